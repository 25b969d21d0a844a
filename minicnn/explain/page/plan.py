"""Decide what goes into the page, and how precisely: everything, or as much as fits.

`best_plan` first leaves out what the page can compute at once, then bits of gradients and of
large kernels, then whole kernels of the largest layers, then gradients and outputs.
"""

import base64
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from minicnn.explain.page.passes import Use, is_exact_half
from minicnn.explain.page.wording import Message, message
from minicnn.layers.base import Array, Layer

_FAST = 1.5e9  # multiply-adds that a browser recomputes without making people wait long
_SMALL = 2**12  # arrays of up to this many numbers are always kept whole

# The page computes the outputs of all other layers, the light ones, again whenever it needs them.
_HEAVY = (
    *("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense"),
    *("Conv1D", "Conv1DTranspose", "DepthwiseConv1D", "SeparableConv1D", "InputLayer", "Softmax"),
)


@dataclass(frozen=True)
class _Part:
    """How much of a large kernel goes into a page."""

    half: bool = False  # with 11 bits instead of 24
    filters: int | None = None  # the kernels of this many maps or units; None: of all


@dataclass(frozen=True)
class _Plan:
    """What goes into a page, and how precisely."""

    light: bool = True  # keep the outputs of layers that the page could compute quickly
    gradients: float = math.inf  # outputs of the largest layer whose gradient is kept; 0: none
    photo_gradient: bool = True
    weight_gradients: bool = True
    half: bool = False  # outputs and gradients with 11 bits instead of 24
    half_photo: bool = False
    outputs: float = math.inf  # size of the largest output that is kept; below 0: no image, either
    kernels: Mapping[tuple[int, str], _Part] = field(default_factory=dict)


class Arrays:
    """Numbers one after the other, and a table of where each array starts."""

    def __init__(self, limit: int) -> None:
        self.table: list[dict[str, Any]] = []
        self.bytes, self.limit = 0, limit
        self._arrays: list[tuple[Array, list[int] | None]] = []

    @property
    def room(self) -> int:
        """How many bytes still fit; a negative number says how many are too many."""
        return self.limit * 3 // 4 - self.bytes

    @property
    def fits(self) -> bool:
        return self.room >= 0

    def add(
        self, array: Array | None, half: bool = False, kept: list[int] | None = None
    ) -> int | None:
        """Add an array, of its last axis only `kept`, and return its index in the table."""
        if array is None or not self.fits:
            return None
        n = array.size if kept is None else array.size // array.shape[-1] * len(kept)
        self.table.append({"at": self.bytes, "n": n, "half": half, "scale": 1.0})
        self._arrays.append((array, kept))
        self.bytes += _bytes(n, half)
        return len(self.table) - 1

    def text(self) -> str:
        """Return all numbers as text; halves use their whole range, unless they are exact."""
        parts = []
        for entry, (array, kept) in zip(self.table, self._arrays, strict=True):
            if kept is not None:
                array = array[..., kept]
            if entry["half"]:
                plain = array.astype("<f2") if np.abs(array).max(initial=0) < 65504 else None
                if plain is None or not np.array_equal(plain, array):
                    entry["scale"] = float(np.abs(array).max(initial=0)) / 32768 or 1.0
                    array = array / entry["scale"]
            data = np.ascontiguousarray(array, "<f2" if entry["half"] else "<f4").tobytes()
            parts.append(data + bytes(-len(data) % 4))
        # All first bytes, then all second ones: those with exponents are much alike, and pack well.
        planes = np.frombuffer(b"".join(parts), "u1").reshape(-1, 4).T
        return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")


def _bytes(n: int, half: bool) -> int:
    """Return how many bytes n numbers take; each array starts at a multiple of four."""
    return -(-n // 2) * 4 if half else 4 * n


class _Kernel(NamedTuple):
    """A weight that may go into the page in part, or with fewer bits."""

    key: tuple[int, str]  # of `_Plan.kernels`
    size: int
    filters: int

    def bytes(self, part: _Part) -> int:
        kept = self.filters if part.filters is None else min(part.filters, self.filters)
        return _bytes(self.size // self.filters * kept, part.half)


def _large_kernels(uses: list[Use]) -> list[_Kernel]:
    """Return the large kernels, the largest first; equal ones in the network's order."""
    found = {
        (id(use.layer), v.name): _Kernel((id(use.layer), v.name), v.value.size, v.value.shape[-1])
        for use in uses
        for v in use.layer.weights
        if _is_large(use.layer, v.name) and v.value.size > _SMALL
    }
    return sorted(found.values(), key=lambda kernel: -kernel.size)


Weights = dict[int, dict[str, Any]]  # where weights lie, by the layer's id and their names

_Found = tuple[_Plan, list[dict[str, Any]], Arrays]


def best_plan(uses: list[Use], limit: int) -> _Found | None:
    """Return the plan that leaves out least, and what it puts into the page; None if none fits."""
    lean = _Plan(light=False, weight_gradients=False)
    half = replace(lean, half=True)
    # The page computes what is not stored, if it has all formulas and this takes only a moment.
    quick = sum(use.macs for use in uses) <= _FAST and all(use.known for use in uses)
    computed = [replace(lean, gradients=0), replace(half, gradients=0)] if quick else []
    for plan in (_Plan(), lean, half, *computed):
        if (found := _tried(uses, plan, limit)) is not None:
            return found
    kernels = _large_kernels(uses)
    for plan in (lean, half, *computed[1:]):
        if (found := _with_half_kernels(uses, plan, kernels, limit)) is not None:
            return found
    for photo in (False, True):
        found = _with_fewer_kernels(uses, replace(half, half_photo=photo), kernels, limit)
        if found is not None:
            return found
    return None


def _tried(uses: list[Use], plan: _Plan, limit: int) -> _Found | None:
    arrays = Arrays(limit)
    described = _describe(uses, plan, arrays)
    return (plan, described, arrays) if arrays.fits else None


def _with_half_kernels(
    uses: list[Use], plan: _Plan, kernels: list[_Kernel], limit: int
) -> _Found | None:
    """Keep all kernels whole, and as few of the largest as possible with 11 bits."""
    arrays = Arrays(limit + sum(6 * kernel.size for kernel in kernels))
    _describe(uses, plan, arrays)
    too_much = arrays.bytes - limit * 3 // 4
    parts: dict[tuple[int, str], _Part] = {}
    for kernel in kernels:
        if too_much <= 0:
            break
        parts[kernel.key] = _Part(half=True)
        too_much -= kernel.bytes(_Part()) - kernel.bytes(parts[kernel.key])
    return _tried(uses, replace(plan, kernels=parts), limit)


def _with_fewer_kernels(
    uses: list[Use], plan: _Plan, kernels: list[_Kernel], limit: int
) -> _Found | None:
    """Keep kernels with 11 bits and cut the largest; then leave out gradients, then outputs."""
    sizes = sorted({use.y.size for use in uses}, reverse=True)
    for outputs in (math.inf, *sizes):
        for filters in (16, 8) if outputs == math.inf else (16, 8, 4):
            least = dict.fromkeys((kernel.key for kernel in kernels), _Part(True, filters))
            bare = replace(plan, outputs=outputs, gradients=0, kernels=least)
            if _tried(uses, bare, limit) is None:
                continue
            levels = [size for size in sizes if size <= outputs]
            plans = [
                *(replace(bare, gradients=size) for size in levels),
                *(replace(bare, gradients=size, photo_gradient=False) for size in levels),
                bare,
            ]
            found = next(f for p in plans if (f := _tried(uses, p, limit)) is not None)
            return _tried(uses, _filled(found, kernels), limit)
    return None


def _filled(found: _Found, kernels: list[_Kernel]) -> _Plan:
    """Return the plan with as many kernels as fit: the smallest first, so the largest are cut.

    Of equal ones the last comes first: the page can follow a change there to the output.
    """
    plan, _, arrays = found
    parts, room = dict(plan.kernels), arrays.room
    for kernel in reversed(kernels):
        least = kernel.bytes(parts[kernel.key])
        each = 2 * kernel.size // kernel.filters
        more = max(0, (room - 2) // each)
        filters = min(kernel.filters, (parts[kernel.key].filters or 0) + more)
        parts[kernel.key] = _Part(True, None if filters == kernel.filters else filters)
        room -= kernel.bytes(parts[kernel.key]) - least
    return replace(plan, kernels=parts)


def is_cut(described: list[dict[str, Any]]) -> bool:
    """Return whether the page lacks some kernels of these uses of layers."""
    return any(weight["kept"] for node in described for weight in node["params"].values())


def says(plan: _Plan, uses: list[Use], described: list[dict[str, Any]]) -> list[Message]:
    """Return the page's notes about what it leaves out."""
    says: list[Message] = []
    cut: dict[int, Message] = {}
    rounded: list[str] = []
    for use, node in zip(uses, described, strict=True):
        for weight in node["params"].values():
            if weight["kept"]:
                some = {"kept": len(weight["kept"]), "n": weight["shape"][-1]}
                cut.setdefault(id(use.layer), message("note.some", name=use.layer.name, **some))
        parts = [part for key, part in plan.kernels.items() if key[0] == id(use.layer)]
        if any(part.half for part in parts) and use.layer.name not in rounded:
            rounded.append(use.layer.name)
    if cut:
        says.append(message("note.kernels", layers=_first(list(cut.values()))))
    if plan.half:
        says.append(message("note.half"))
    if plan.half_photo and not uses[0].is_exact_half:
        says.append(message("note.half_photo"))
    if rounded:
        says.append(message("note.half_weights", layers=_first(rounded)))
    sizes = [use.y.size for use in uses]
    if plan.outputs < max(sizes):
        says.append(message("note.outputs", n=plan.outputs))
    if not plan.gradients:
        lost = cut or plan.outputs < max(sizes)
        says.append(message("note.no_gradients" if lost else "note.gradients_computed"))
    elif uses[0].others:
        says.append(message("note.first_photo"))
    if 0 < plan.gradients < max(sizes[1:] or sizes):
        says.append(message("note.gradients", n=plan.gradients))
    if plan.gradients and not plan.photo_gradient:
        says.append(message("note.no_photo_gradient"))
    return says


def _first(names: list[Any], most: int = 4) -> list[Any]:
    """Return the names or, of many, the first ones and how many others there are."""
    if len(names) <= most + 1:
        return names
    return [*names[:most], message("others", n=len(names) - most)]


def is_light(use: Use) -> bool:
    """Return whether the page computes the layer's output from its input at once."""
    return use.known and type(use.layer).__name__ not in _HEAVY


def describe_lean(
    uses: list[Use], weights: Weights, arrays: Arrays, outputs: int = -1
) -> list[dict[str, Any]]:
    """Describe a network of which the page has these weights, and computes all else.

    Or it has the outputs of layers with up to `outputs` of them.
    """
    half = outputs >= 0
    bare = _Plan(light=False, gradients=0, weight_gradients=False, half=half, outputs=outputs)
    return _describe(uses, bare, arrays, weights)


def _describe(
    uses: list[Use], plan: _Plan, arrays: Arrays, known: Weights | None = None
) -> list[dict[str, Any]]:
    """Describe each use of a layer; of `known` layers the weights are in the page already."""
    groups = _groups(uses)
    feeds: dict[int, list[Use]] = {}
    for use in uses:
        for source in use.inputs:
            feeds.setdefault(source, []).append(use)
    weights = dict(known or {})
    there: list[bool] = []  # whether the page knows the output of each use
    described = []
    for number, use in enumerate(uses):
        layer = use.layer
        if id(layer) not in weights:
            weights[id(layer)] = {
                v.name: _weight(
                    v.value, plan.kernels.get((id(layer), v.name), _Part()), use, arrays
                )
                for v in layer.weights
            }
        # The page computes a light layer's output again, unless it lacks the layer's input.
        light = is_light(use)
        again = light and not plan.light and all(there[source] for source in use.inputs)
        small = use.y.size <= plan.outputs or (number == 0 and plan.outputs >= 0)
        y = use.y[0] if small and not again else None
        there.append(again or y is not None)
        # The page can compute a gradient quickly if all layers behind it are light.
        needed = plan.light or number == 0 or not all(map(is_light, feeds.get(number, [use])))
        wanted = plan.photo_gradient if number == 0 else use.y.size <= plan.gradients
        keep_dy = plan.gradients and needed and wanted and use.dy is not None
        dy = use.dy[0] if keep_dy and use.dy is not None else None

        def store(y: Array | None, number: int = number) -> int | None:
            half = plan.half and (number > 0 or (y is not None and is_exact_half(y)))
            large = y is not None and y.size > _SMALL
            return arrays.add(y, large and (plan.half_photo or half))

        described.append(
            {
                **_facts(use),
                "group": groups[number],
                "light": light,
                "params": weights[id(layer)],
                "y": store(y),
                "others": [store(None if y is None else other) for other in use.others],
                "dy": arrays.add(dy, plan.half and use.y.size > _SMALL),
                "grads": {
                    key: arrays.add(value)
                    for key, value in use.grads.items()
                    if plan.weight_gradients
                },
            }
        )
        if not arrays.fits:
            break
    return described


def _facts(use: Use) -> dict[str, Any]:
    """Return what the page says of a use of a layer, whatever numbers it has."""
    layer = use.layer
    return {
        "name": use.name,
        "layer": layer.name,
        "type": type(layer).__name__,
        "config": use.config,
        "inputs": use.inputs,
        "shape": list(use.y.shape[1:]),
        "path": list(use.path),
        "known": use.known,
        "trainable": layer.trainable,
        "count": layer.count_params() if layer.built else 0,
        "formula": layer.parameter_formula() if layer.weights else "",
        "macs": use.macs,
    }


def _is_large(layer: Layer, name: str) -> bool:
    """Return whether this weight may go into the page in part: a kernel that mixes all channels."""
    kind = type(layer).__name__
    return (name == "kernel" and kind in ("Conv2D", "Dense")) or name == "pointwise_kernel"


def _weight(value: Array, part: _Part, use: Use, arrays: Arrays) -> dict[str, Any]:
    """Describe a weight; a kernel that is kept in part keeps those of the strongest maps."""
    kept = None
    if part.filters is not None and use.y.ndim > 1 and part.filters < use.y.shape[-1]:
        kept = sorted(use.strongest[: part.filters].tolist())
    return {"shape": list(value.shape), "at": arrays.add(value, part.half, kept), "kept": kept}


_BLOCK = re.compile(r"^(.*?block_?\d+[a-z]?|conv\d+_block\d+)(?:_|$)|^conv_(?:dw|pw|pad)_(\d+)")


def _groups(uses: list[Use]) -> list[str]:
    """Return the block of each layer, by nested models and by names; the page collapses blocks."""
    groups: list[str] = []
    current = ""
    path: tuple[str, ...] = ()
    for use in uses:
        if use.path != path:
            current, path = "", use.path
        match = _BLOCK.match(use.name)
        if match:
            current = match.group(1) or f"block {match.group(2)}"
        elif use.layer.name in ("avg_pool", "global_average_pooling2d", "predictions"):
            current = ""
        groups.append("/".join([*use.path, *([current] if current else [])]))
    return groups
