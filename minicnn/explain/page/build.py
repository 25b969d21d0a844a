"""Runs a model forward and backward on one photo and writes what happened as an HTML page.

    build(model, x, "page.html", class_names=["dress", …])

The page holds the graph, the weights, what every layer said and what every gradient was, as base64
of little-endian numbers; its modules compute everything else from them when it is looked at. What
is too big is left out, the least of it (`_best_plan`), and the page says what that was.
"""

import base64
import functools
import html
import json
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional
from minicnn.atomic import replacing
from minicnn.explain.arithmetic import check_place
from minicnn.images import load_img
from minicnn.layers import LAYERS, Dense
from minicnn.layers.base import Array, Layer, Node
from minicnn.models import Model, Tape

LIMIT = 24_000_000  # characters of numbers in a page
_FAST = 1.5e9  # multiply-adds that a browser recomputes without making people wait long
_SMALL = 2**12  # numbers of an array that is always kept whole

# A layer whose output the page computes at once from its input, as often as it likes.
_LIGHT = LAYERS.keys() - {
    *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense", "InputLayer", "Softmax")
}

_CEILINGS = {"relu6": 6, "sigmoid": 1, "softmax": 1, "tanh": 1}


@dataclass(frozen=True)
class _Part:
    """How much of a large kernel goes into a page."""

    half: bool = False  # with 11 bits instead of 24
    filters: int | None = None  # the kernels of so many maps or units; None: of all


@dataclass(frozen=True)
class _Plan:
    """What goes into a page, and how exactly."""

    light: bool = True  # outputs of layers that are quickly computed again
    gradients: float = math.inf  # outputs of the largest layer whose gradient is kept; 0: none
    photo_gradient: bool = True
    weight_gradients: bool = True
    half: bool = False  # outputs and gradients with 11 bits instead of 24
    half_photo: bool = False
    outputs: float = math.inf  # numbers of the largest output that is kept
    kernels: Mapping[tuple[int, str], _Part] = field(default_factory=dict)


@dataclass(eq=False)
class _Use:
    """One use of a layer, nested models laid open."""

    layer: Layer
    name: str
    inputs: list[int]
    y: Array
    path: tuple[str, ...] = ()
    known: bool = True  # whether the page has the formula
    macs: int = 0
    last: bool = False
    dy: Array | None = None
    grads: dict[str, Array] = field(default_factory=dict)

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        return _config(self.layer)

    @functools.cached_property
    def is_exact_half(self) -> bool:
        """Whether 11 bits hold the output as it is, such as pixels from 0 to 255."""
        return bool(np.abs(self.y).max(initial=0) < 65504) and np.array_equal(
            self.y.astype(np.float16), self.y
        )

    @functools.cached_property
    def strongest(self) -> Array:
        """Its maps or units, the strongest first; those of the output by their scores."""
        rows = self.y.reshape(-1, self.y.shape[-1])
        strength = rows[0] if self.last else np.abs(rows).mean(axis=0)
        return np.argsort(-strength, kind="stable")


def build(
    model: Model,
    x: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    y: Any = None,
    output: int | str | None = None,
    class_names: Sequence[str] | None = None,
    photo: Any = None,
    title: str | None = None,
    limit: int = LIMIT,
) -> Any:
    """The page of `model` looking at `x`: as text, or written to `path`, which is returned.

    Args:
        model: a `Sequential` or `Model` with one picture as its input.
        x: (1, height, width, channels), or without the batch; of several examples the first.
        y: where backward starts. The class that the loss is for: a number, a class name or a
            one-hot row; without it the most likely one. Of a model that does not tell classes
            apart, the place of a number in its output; without it the largest number.
        output: of a model with several outputs the one to show, by its number or its layer's name;
            without it the first.
        class_names: one for each class; the model's own (`model.metadata`) without them.
        photo: a path or `PIL` image to show larger beside what the model sees.
        title: of the page; the model's name without it.
        limit: how many characters the page's numbers may take; what does not fit is left out.

    Raises:
        ValueError: x is no picture for this model; weights or outputs are NaN or infinite; names or
            y do not fit; the model does not fit into the page, whatever is left out.
    """
    x = _one_picture(model, x)
    _check_finite(model, x)
    names = list(class_names or model.metadata.get("class_names") or [])
    model, notes = _one_output(model, output)
    scores, tape = model.forward(x)
    uses, places = _uses(model, tape, x)
    for use in uses:
        if not np.isfinite(use.y).all():
            raise ValueError(
                f"{use.layer.label} gives NaN or infinity for this picture, so no number behind it "
                "has an explanation: check the range of the pixels and the weights."
            )
    kind = kind_of(model, scores)
    target = _target(model, kind, scores, y, names)
    _backward(model, tape, places, uses, kind, scores, target)
    last = places[id(tape)][id(model.outputs[0])]
    facts: dict[str, Any] = {
        "title": title or model.name,
        "model": model.name,
        "classes": names,
        "kind": kind,
        "target": target,
        "output": last,
        "photo": None if photo is None else _data_uri(photo),
        "range": _pixel_range(x),
    }
    found = _best_plan(uses, limit)
    if found is None:
        raise ValueError(
            f"{model.label} is too big for a page of {limit / 1e6:.0f} million characters, even "
            "with four kernels a layer: give it a smaller picture, or show a part of it with "
            "Model(model.input, model.get_layer(name).output)."
        )
    plan, described, arrays = found
    numbers = arrays.text()
    notes += _says(plan, uses, described)
    facts |= {"nodes": described, "arrays": arrays.table, "notes": notes}
    page = _page(facts, numbers)
    if path is None:
        return page
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


# ---------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------


def _one_picture(model: Any, x: Any) -> Array:
    if not isinstance(model, Model):
        raise TypeError(f"A page shows a Model or Sequential. Received {type(model).__name__}.")
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"A page expects x to be numbers. Received dtype {x.dtype}.")
    x = x[None] if x.ndim == 3 else x[:1]
    if not model.built:
        model.build(x.shape)
    if len(model.inputs) != 1:
        raise ValueError(f"{model.label} has {len(model.inputs)} inputs; a page shows one picture.")
    if len(model.inputs[0].shape) != 4 or x.ndim != 4 or not x.size:
        raise ValueError(
            f"A page shows models that look at pictures, (batch, height, width, channels). "
            f"{model.label} takes {model.inputs[0].shape}; received x.shape={x.shape}."
        )
    return x.astype(model.inputs[0].dtype)


def _check_finite(model: Model, x: Array) -> None:
    if not np.isfinite(x).all():
        raise ValueError("The picture has NaN or infinite pixels: nothing to explain in them.")
    for variable in model.weights:
        if not np.isfinite(variable.value).all():
            raise ValueError(
                f"The weight {variable.path} has NaN or infinite values, as after a training that "
                "went astray (a smaller learning rate helps): there is nothing to explain."
            )


def _one_output(model: Model, output: int | str | None) -> tuple[Model, list[str]]:
    """The model as far as it leads to one of its outputs, and what the page says of the others."""
    names = [tensor.node.layer.name for tensor in model.outputs]
    number = names.index(output) if output in names else output or 0
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise ValueError(f"{model.label} has the outputs {names}. Received output={output!r}.")
    if len(names) == 1:
        return model, []
    says = f"Of the model's outputs ({', '.join(names)}) this page shows {names[number]}."
    return Model(model.inputs, model.outputs[number], name=model.name), [says]


def kind_of(model: Model, output: Array) -> str:
    """How the output tells classes apart: "softmax", "sigmoid", "logits", or "" for not at all."""
    if output.ndim != 2:
        return ""
    if output.shape[1] == 1:
        return "sigmoid" if model.ends_in("sigmoid") else ""
    if model.ends_in("softmax"):
        return "softmax"
    last = model.outputs[0].node.layer
    while isinstance(last, Model):
        last = last.outputs[0].node.layer
    # Pooled or flattened features are no scores.
    return "logits" if isinstance(last, Dense) and last.activation_name == "linear" else ""


def _target(model: Model, kind: str, output: Array, y: Any, names: list[str]) -> int:
    """The class that the loss is for; without classes, which number of the output is explained."""
    if not kind:
        if y is None:
            # The largest number, but none at the activation's ceiling: nothing flows back there.
            last = model.outputs[0].node.layer
            ceiling = _CEILINGS.get(last.activation_name, getattr(last, "max_value", None))
            below = output[0] < (math.inf if ceiling is None else ceiling)
            return int(np.where(below, output[0], -math.inf).argmax())
        shape = output.shape[1:]
        return int(np.ravel_multi_index(check_place(model.label, shape, y, "output"), shape))
    classes = 2 if kind == "sigmoid" else output.shape[1]
    if names and len(names) != classes:
        raise ValueError(
            f"The model tells {classes} classes apart. Received {len(names)} class names."
        )
    if y is None:
        return int(output[0, 0] > 0.5) if kind == "sigmoid" else int(output[0].argmax())
    if isinstance(y, str):
        if y not in names:
            there = f"There is {', '.join(names)}." if names else "The model has no class names."
            raise ValueError(f"There is no class {y!r}. {there}")
        return names.index(y)
    row = np.asarray(y)
    row = row[0] if row.ndim and (row.ndim == 2 or len(row) != classes) else row
    wanted = int(row.argmax()) if row.ndim == 1 and row.size > 1 else int(row.reshape(-1)[0])
    if not 0 <= wanted < classes:
        raise ValueError(f"y is a class from 0 to {classes - 1}. Received {wanted}.")
    return wanted


# ---------------------------------------------------------------------------------------------
# The passes
# ---------------------------------------------------------------------------------------------


def _uses(model: Model, tape: Tape, x: Array) -> tuple[list[_Use], dict[int, dict[int, int]]]:
    """Each use of a layer in order, and, for each tape, which use made which tensor."""
    start = model.inputs[0].node.layer
    uses = [_Use(start, start.name, [], x)]
    places: dict[int, dict[int, int]] = {}

    def walk(model: Model, tape: Tape, given: list[int], path: tuple[str, ...]) -> None:
        found = places[id(tape)] = {id(t): n for t, n in zip(model.inputs, given)}
        for entry in tape.entries:
            layer, node = entry.layer, entry.node
            inputs = [found[id(tensor)] for tensor in node.inputs]
            if isinstance(layer, Model):
                walk(layer, entry.cache, inputs, (*path, layer.name))
                inner = places[id(entry.cache)]
                ends = [inner[id(tensor)] for tensor in layer.outputs]
                found |= {id(t): n for t, n in zip(node.outputs, ends)}
                continue
            found[id(node.outputs[0])] = len(uses)
            known = LAYERS.get(type(layer).__name__) is type(layer) and not node.training
            uses.append(_Use(layer, layer.name, inputs, entry.y, path, known, _macs(node, entry.x)))

    walk(model, tape, [0], ())
    uses[-1].last = True
    seen: dict[str, int] = {}
    for use in uses:  # names that occur twice: a layer used again, or those of nested models
        seen[use.name] = seen.get(use.name, 0) + 1
        if seen[use.name] > 1:
            use.name = f"{use.name} ({seen[use.name]})"
    return uses, places


def _macs(node: Node, x: Any) -> int:
    shape: Any = [a.shape for a in x] if isinstance(x, (list, tuple)) else x.shape
    return int(node.layer.multiply_adds(shape) or 0)


def _backward(
    model: Model,
    tape: Tape,
    places: dict[int, dict[int, int]],
    uses: list[_Use],
    kind: str,
    output: Array,
    target: int,
) -> None:
    """d L / d each output and weight, into `uses`: L is the cross-entropy, or the one number."""
    wanted = np.zeros_like(output)
    if kind == "sigmoid":
        wanted[0, 0] = target
    else:
        wanted[0].flat[target] = 1
    if not kind:
        start, exact = wanted, False
    elif kind == "logits":
        start, exact = functional.softmax(output) - wanted, False
    else:  # p - t, at what went into the softmax or sigmoid
        start, exact = output - wanted, True

    def walk(model: Model, tape: Tape, dys: list[Any], at_logits: bool) -> list[Any]:
        found = places[id(tape)]
        received: dict[int, Any] = {}

        def add(key: int, gradient: Any) -> None:
            received[key] = received[key] + gradient if key in received else gradient

        for tensor, dy in zip(model.outputs, dys):
            if dy is not None:
                add(id(tensor), dy)
        last = model.outputs[0].node
        for entry in reversed(tape.entries):
            node, layer = entry.node, entry.layer
            incoming = [received.get(id(tensor)) for tensor in node.outputs]
            if all(dy is None for dy in incoming):
                continue
            logits = at_logits and node is last
            if isinstance(layer, Model):
                parts = walk(layer, entry.cache, incoming, logits)
            else:
                use = uses[found[id(node.outputs[0])]]
                if not logits:  # else dy is that of the numbers before the activation
                    use.dy = incoming[0]
                dx, grads = layer.backward(np.asarray(incoming[0]), entry.cache, True, logits)
                use.grads = grads
                parts = dx if isinstance(dx, list) else [dx]
            for tensor, part in zip(node.inputs, parts):
                if part is not None:
                    add(id(tensor), part)
        return [received.get(id(tensor)) for tensor in model.inputs]

    uses[0].dy = walk(model, tape, [start], exact)[0]


# ---------------------------------------------------------------------------------------------
# What the page holds
# ---------------------------------------------------------------------------------------------


class _Arrays:
    """Numbers one after the other, and a table of where each array starts."""

    def __init__(self, limit: int) -> None:
        self.table: list[dict[str, Any]] = []
        self.bytes, self.limit = 0, limit
        self._arrays: list[tuple[Array, list[int] | None]] = []

    @property
    def room(self) -> int:
        """How many bytes still fit; negative: so many are too much."""
        return self.limit * 3 // 4 - self.bytes

    @property
    def fits(self) -> bool:
        return self.room >= 0

    def add(
        self, array: Array | None, half: bool = False, kept: list[int] | None = None
    ) -> int | None:
        """The number of the array in the table; `kept`: only these along its last axis."""
        if array is None or not self.fits:
            return None
        n = array.size if kept is None else array.size // array.shape[-1] * len(kept)
        self.table.append({"at": self.bytes, "n": n, "half": half, "scale": 1.0})
        self._arrays.append((array, kept))
        self.bytes += _bytes(n, half)
        return len(self.table) - 1

    def text(self) -> str:
        """All numbers; halves are scaled to use their range, unless they are exact as they are."""
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
        return base64.b64encode(zlib.compress(b"".join(parts), 6)).decode("ascii")


def _bytes(n: int, half: bool) -> int:
    """What n numbers take; each array starts at a multiple of four."""
    return -(-n // 2) * 4 if half else 4 * n


class _Kernel(NamedTuple):
    """A weight that may be there in part, or with fewer bits."""

    key: tuple[int, str]  # of `_Plan.kernels`
    size: int
    filters: int

    def bytes(self, part: _Part) -> int:
        kept = self.filters if part.filters is None else min(part.filters, self.filters)
        return _bytes(self.size // self.filters * kept, part.half)


def _large_kernels(uses: list[_Use]) -> list[_Kernel]:
    """The largest first; of equal ones the first in the network."""
    found = {
        (id(use.layer), v.name): _Kernel((id(use.layer), v.name), v.value.size, v.value.shape[-1])
        for use in uses
        for v in use.layer.weights
        if _is_large(use.layer, v.name) and v.value.size > _SMALL
    }
    return sorted(found.values(), key=lambda kernel: -kernel.size)


_Found = tuple[_Plan, list[dict[str, Any]], _Arrays]


def _best_plan(uses: list[_Use], limit: int) -> _Found | None:
    """The plan that leaves out least, and what it puts into the page; None if none fits."""
    lean = _Plan(light=False, weight_gradients=False)
    half = replace(lean, half=True)
    # What is not stored the page computes, if it has all formulas and it takes but a moment.
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


def _tried(uses: list[_Use], plan: _Plan, limit: int) -> _Found | None:
    arrays = _Arrays(limit)
    described = _describe(uses, plan, arrays)
    return (plan, described, arrays) if arrays.fits else None


def _with_half_kernels(
    uses: list[_Use], plan: _Plan, kernels: list[_Kernel], limit: int
) -> _Found | None:
    """All kernels whole, the largest with 11 bits: as few of them as it takes."""
    arrays = _Arrays(limit + sum(6 * kernel.size for kernel in kernels))
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
    uses: list[_Use], plan: _Plan, kernels: list[_Kernel], limit: int
) -> _Found | None:
    """Kernels with 11 bits, the largest cut; then gradients are left out, then outputs."""
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
    """The plan with as many kernels as fit: the smallest first, so the largest layers are cut.

    Of equal ones the last: what changes there can be followed to the output.
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


_BITS = "with 11 bits (about 3 digits), so sums agree to that."


def _says(plan: _Plan, uses: list[_Use], described: list[dict[str, Any]]) -> list[str]:
    """What the page tells of what it lacks."""
    says: list[str] = []
    cut: dict[int, str] = {}
    rounded: list[str] = []
    for use, node in zip(uses, described, strict=True):
        for weight in node["params"].values():
            if weight["kept"]:
                what = f"{use.layer.name} ({len(weight['kept'])} of {weight['shape'][-1]})"
                cut.setdefault(id(use.layer), what)
        parts = [part for key, part in plan.kernels.items() if key[0] == id(use.layer)]
        if any(part.half for part in parts) and use.layer.name not in rounded:
            rounded.append(use.layer.name)
    if cut:
        says.append(
            f"Of the largest layers only some kernels are here, those of their strongest maps or "
            f"units: {_listed(list(cut.values()))}."
        )
    if plan.half:
        says.append(f"Outputs and gradients are stored {_BITS}")
    if plan.half_photo and not uses[0].is_exact_half:
        says.append(f"The picture is stored {_BITS}")
    if rounded:
        says.append(f"The weights of {_listed(rounded)} are stored {_BITS}")
    sizes = [use.y.size for use in uses]
    if plan.outputs < max(sizes):
        says.append(f"Layers with more than {plan.outputs:,} outputs show none.")
    if not plan.gradients:
        says.append(
            "No gradients are stored."
            if cut or plan.outputs < max(sizes)
            else "Gradients are not stored: the page computes them."
        )
    elif plan.gradients < max(sizes[1:] or sizes):
        says.append(f"Gradients of layers with more than {plan.gradients:,} outputs are left out.")
    if plan.gradients and not plan.photo_gradient:
        says.append("The gradients of the pixels are left out.")
    return says


def _listed(names: list[str], most: int = 4) -> str:
    more = [f"{len(names) - most} others"] if len(names) > most + 1 else []
    names = [*(names[:most] if more else names), *more]
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])


def _describe(uses: list[_Use], plan: _Plan, arrays: _Arrays) -> list[dict[str, Any]]:
    groups = _groups(uses)
    feeds: dict[int, list[_Use]] = {}
    for use in uses:
        for source in use.inputs:
            feeds.setdefault(source, []).append(use)
    weights: dict[int, dict[str, Any]] = {}
    there: list[bool] = []  # whether the page knows the output
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
        # What is quickly computed again is not stored, unless what it is computed from is missing.
        light = type(layer).__name__ in _LIGHT and use.known
        again = light and not plan.light and all(there[source] for source in use.inputs)
        small = use.y.size <= plan.outputs or number == 0
        y = use.y[0] if small and not again else None
        there.append(again or y is not None)
        # A gradient is quickly computed again if all layers behind it are light.
        needed = (
            plan.light
            or number == 0
            or any(type(after.layer).__name__ not in _LIGHT for after in feeds.get(number, [use]))
        )
        wanted = plan.photo_gradient if number == 0 else use.y.size <= plan.gradients
        keep_dy = plan.gradients and needed and wanted and use.dy is not None
        dy = use.dy[0] if keep_dy and use.dy is not None else None
        described.append(
            {
                "name": use.name,
                "layer": layer.name,
                "type": type(layer).__name__,
                "config": use.config,
                "inputs": use.inputs,
                "shape": list(use.y.shape[1:]),
                "group": groups[number],
                "path": list(use.path),
                "known": use.known,
                "trainable": layer.trainable,
                "count": layer.count_params() if layer.built else 0,
                "formula": layer.parameter_formula() if layer.weights else "",
                "macs": use.macs,
                "params": weights[id(layer)],
                "y": arrays.add(
                    y,
                    (plan.half_photo or (plan.half and (number > 0 or use.is_exact_half)))
                    and use.y.size > _SMALL,
                ),
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


def _is_large(layer: Layer, name: str) -> bool:
    """Whether this weight may be there in part: one that mixes all channels."""
    kind = type(layer).__name__
    return (name == "kernel" and kind in ("Conv2D", "Dense")) or name == "pointwise_kernel"


def _weight(value: Array, part: _Part, use: _Use, arrays: _Arrays) -> dict[str, Any]:
    """Of a kernel in part the strongest maps' stay."""
    kept = None
    if part.filters is not None and use.y.ndim > 1 and part.filters < use.y.shape[-1]:
        kept = sorted(use.strongest[: part.filters].tolist())
    return {"shape": list(value.shape), "at": arrays.add(value, part.half, kept), "kept": kept}


def _config(layer: Layer) -> dict[str, Any]:
    left_out = ("name", "dtype", "trainable", "data_format", "seed")
    config = {
        key: value
        for key, value in layer.get_config().items()
        if key not in left_out and not key.endswith("initializer")
    }
    # A class of the user's own may hold anything.
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    return plain


_BLOCK = re.compile(r"^(.*?block_?\d+[a-z]?|conv\d+_block\d+)(?:_|$)|^conv_(?:dw|pw|pad)_(\d+)")


def _groups(uses: list[_Use]) -> list[str]:
    """The block that each layer belongs to, by nested models and by names, for folding them."""
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


# ---------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------


def _pixel_range(x: Array) -> list[float]:
    """[scale, offset] that make bytes of x's pixels, for showing them."""
    low, high = float(x.min()), float(x.max())
    if low >= -1.01 and low < -0.01 and high <= 1.01:
        return [127.5, 127.5]
    if low >= -0.01 and high <= 1.01:
        return [255.0, 0.0]
    if low >= -0.5 and high <= 255.5:
        return [1.0, 0.0]
    scale = 255 / ((high - low) or 1)
    return [scale, -low * scale]


def _data_uri(photo: Any) -> str:
    """A photo (a path or a PIL image) as a JPEG of at most 640 pixels a side."""
    import io

    from PIL import Image

    if not isinstance(photo, Image.Image):
        photo = load_img(photo)
    photo = photo.convert("RGB")
    photo.thumbnail((640, 640))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def modules() -> dict[str, str]:
    """The page's modules as an import map: "page/app.js" and so on, to `data:` URLs.

    The browser joins them as it joins files, so each keeps names of its own, and an import of what
    a module does not export is an error. Relative imports would not do: `data:` has no folders.
    """
    found = {}
    for name, file in _scripts(resources.files("minicnn.explain.page"), "page"):
        # The last line is how error messages and a browser's tools name the module.
        source = file.read_bytes() + f"//# sourceURL={name}\n".encode()
        found[name] = f"data:text/javascript;base64,{base64.b64encode(source).decode('ascii')}"
    return found


def _scripts(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.is_dir():
            yield from _scripts(file, f"{name}/{file.name}")
        elif file.name.endswith(".js"):
            yield f"{name}/{file.name}", file


def _page(facts: dict[str, Any], numbers: str) -> str:
    folder = resources.files("minicnn.explain.page")
    data = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    # Nothing in a string may end the element that holds it.
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    parts = {
        "title": html.escape(f"{facts['title']} · see inside"),
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "data": data,
        "numbers": numbers,
        "modules": json.dumps({"imports": modules()}),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match.group(1)], template)
