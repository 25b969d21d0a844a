"""Other networks that look at the same photos, which a page shows beside the model's own.

A page has their weights, as far as they differ from the model's, and computes their outputs. Of
networks that are too large for that, it has outputs instead, of as many layers as fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.explain.class_order import in_order
from minicnn.explain.classes import kind_of
from minicnn.explain.matching import Place, matched, weight_pairs
from minicnn.explain.page.document import pixel_range
from minicnn.explain.page.given import check_finite, images_of, one_output, reading_of
from minicnn.explain.page.others import Others
from minicnn.explain.page.passes import Use, check_outputs, is_exact_half, uses_of
from minicnn.explain.page.plan import Arrays, Weights, describe_lean, is_light
from minicnn.explain.page.wording import Message, message
from minicnn.layers.base import Array, Layer
from minicnn.models import Model


@dataclass(eq=False)
class Rival:
    """One of the other networks."""

    name: str
    images: Array  # the page's, as this network takes them
    uses: list[Use]
    pairs: list[tuple[int, int]]  # uses of the page's own network, and of this one
    facts: dict[str, Any]
    own: bool  # whether it takes other numbers than the page's network
    shared: dict[tuple[int, str], int]  # its layers' weights that are those of the page's uses
    model: Model
    norms: dict[int, dict[str, list[float]]]  # by the page's use and weight: ‖a‖, ‖b‖, ‖b − a‖
    outputs: int = -1  # of the largest layer whose outputs the page has; -1: it computes them
    taken: int = 0  # the characters that these take
    note: Message | None = None  # about its classes, if they are not the page's

    def characters(self, half: bool) -> int:
        """Return how many characters of a page its numbers take."""
        numbers = self.images.size + 2 * len(self.images) if self.own else 0
        count = sum(
            variable.value.size + 2
            for layer in {id(use.layer): use.layer for use in self.uses}.values()
            for variable in layer.weights
            if (id(layer), variable.name) not in self.shared
        )
        return (4 * numbers + (2 if half else 4) * count) * 4 // 3 + 8

    def store_outputs(self, limit: int) -> None:
        """Have the page take its outputs, of as many layers as fit, instead of its kernels."""
        Others(self.images[1:]).look(self.model, self.uses, limit)
        for size in sorted({use.y.size for use in self.uses}, reverse=True):
            arrays = Arrays(limit)
            describe_lean(self.uses, self._small_weights(arrays), arrays, size)
            self.outputs, self.taken = size, arrays.bytes * 4 // 3 + 8
            if arrays.fits:
                break

    def describe(
        self, described: list[dict[str, Any]], pixels: list[Any], arrays: Arrays, half: bool
    ) -> dict[str, Any]:
        """Add its numbers to the page's, and return what the page is told."""
        told: dict[str, Any] = {**self.facts, "pairs": self.pairs, "stored": 0}
        if self.outputs >= 0:
            weights = self._small_weights(arrays)
            nodes = describe_lean(self.uses, weights, arrays, self.outputs)
            pixels = [nodes[0]["y"], *nodes[0]["others"]]
            return {
                **told, "nodes": nodes, "pixels": pixels, "stored": len(pixels), "norms": self.norms
            }  # fmt: skip
        weights = {
            id(layer): {
                v.name: {
                    "shape": list(v.shape),
                    "at": described[self.shared[id(layer), v.name]]["params"][v.name]["at"]
                    if (id(layer), v.name) in self.shared
                    else arrays.add(v.value, half),
                    "kept": None,
                }
                for v in layer.weights
            }
            for layer in {id(use.layer): use.layer for use in self.uses}.values()
        }
        if self.own:
            exact = is_exact_half(self.images)
            pixels = [arrays.add(image, exact) for image in self.images]
        nodes = describe_lean(self.uses, weights, arrays)
        return {**told, "nodes": nodes, "pixels": pixels}

    def _small_weights(self, arrays: Arrays) -> Weights:
        """Add the weights of layers that the page computes again at once; it lacks the others."""
        return {
            id(use.layer): {
                v.name: {"shape": list(v.shape), "at": arrays.add(v.value), "kept": None}
                for v in (use.layer.weights if is_light(use) else ())
            }
            for use in self.uses
        }


def rivals_of(
    against: Any, uses: list[Use], images: Array, kind: str, names: list[str], output: Any
) -> list[Rival]:
    """Return the networks to compare that of `uses` with, of this kind of output; see `build`."""
    if against is None:
        return []
    named = against if isinstance(against, Mapping) else {getattr(against, "name", ""): against}
    return [
        _rival(str(name), given, uses, images, kind, names, output) for name, given in named.items()
    ]


def _rival(
    name: str,
    given: Any,
    uses: list[Use],
    images: Array,
    page_kind: str,
    names: list[str],
    output: Any,
) -> Rival:
    own = isinstance(given, (tuple, list)) and len(given) == 2 and not isinstance(given[1], Model)
    model, x = _model_and_images(name, given, images, own)
    told, reading = list(model.metadata.get("class_names") or []), reading_of(model)
    whole, _ = one_output(model, output if len(model.outputs) > 1 else None)
    model = in_order(whole, told, names, x[:1])
    by_name = model is not whole
    scores, tape = model.forward(x[:1])
    theirs, places = uses_of(model, tape, x[:1])
    _check_uses(theirs, name)
    kind = kind_of(model, scores)
    pairs = matched(_places(uses), _places(theirs), same_ends=kind == page_kind != "")
    classes = 2 if kind == "sigmoid" else scores.shape[-1]
    if kind and told and len(told) != classes:
        raise ValueError(
            f"{name!r} distinguishes {classes} classes. Received {len(told)} class names."
        )
    own_names = names if by_name else told
    facts = {
        "name": name,
        "kind": kind,
        "target": 0,
        "output": places[id(tape)][id(model.outputs[0])],
        "classes": next((n for n in (own_names, names) if len(n) == classes), []),
        "range": pixel_range(x),
        "interpolation": reading,
    }
    shared = {
        (id(theirs[j].layer), name): i
        for i, j in pairs
        for name in _equal_weights(uses[i].layer, theirs[j].layer)
    }
    norms = {i: _norms(uses[i].layer, theirs[j].layer) for i, j in pairs if uses[i].layer.weights}
    note = _note_of_classes(name, names, told, by_name) if len(names) == classes else None
    return Rival(name, x, theirs, pairs, facts, own, shared, model, norms, note=note)


def _model_and_images(name: str, given: Any, images: Array, own: bool) -> tuple[Model, Array]:
    """Return the network and the images that it takes, its own or the page's, checked."""
    model, x = given if own else (given, images)
    if not isinstance(model, Model) or x is None:
        received = [type(part).__name__ for part in given] if own else type(given).__name__
        raise TypeError(
            "A page expects against to be a model, or a dict from a name to a model or to (model, "
            f"images). Received {received}."
        )
    _check_input(model, name, x, images)
    x = images_of(model, x)
    if len(x) != len(images):
        raise ValueError(
            f"{name!r} expects an image for each of the page's {len(images)}. "
            f"Received x.shape={x.shape}."
        )
    check_finite(model, x)
    return model, x


def _check_uses(uses: list[Use], name: str) -> None:
    """Raise a `ValueError` unless the page can compute all outputs of the network."""
    check_outputs(uses)
    for use in uses:
        if not use.known:
            raise ValueError(
                f"A page computes the outputs of {name!r}, and has no formula for "
                f"{type(use.layer).__name__} {use.name!r} there."
            )


def _note_of_classes(
    name: str, names: list[str], theirs: list[str], by_name: bool
) -> Message | None:
    """Return what readers must know of a network of as many classes as the page's."""
    if theirs == names:
        return None
    if len(theirs) != len(names):
        return message("note.rival_unnamed", name=name)
    key = "note.rival_reordered" if by_name else "note.rival_classes"
    return message(key, name=name, classes=", ".join(theirs))


def _check_input(model: Model, name: str, x: Any, images: Array) -> None:
    taken = model.input_shape if model.built else None
    if taken is None:
        return
    if not isinstance(taken, tuple):
        raise ValueError(
            f"{name!r} has {len(model.inputs)} inputs; a page compares models of one image."
        )
    shape = np.shape(x)
    fits = all(n in (None, m) for n, m in zip(taken[1:], shape[1 - len(taken) :]))
    if not fits or len(shape) not in (len(taken), len(taken) - 1):
        received = "the page's images are" if x is images else "its images are"
        raise ValueError(
            f"{name!r} takes {taken}, and {received} {shape}: pass "
            f"against={{{name!r}: (model, images)}} with the photos as it takes them."
        )


def _places(uses: list[Use]) -> list[Place]:
    return [
        Place(
            "/".join([*use.path, use.name]) if number else "",
            type(use.layer).__name__,
            use.y.shape[1:],
            tuple(use.inputs),
        )
        for number, use in enumerate(uses)
    ]


def _equal_weights(first: Layer, second: Layer) -> list[str]:
    return [b.name for a, b in weight_pairs(first, second) if np.array_equal(a.value, b.value)]


def _norms(first: Layer, second: Layer) -> dict[str, list[float]]:
    """Return ‖a‖, ‖b‖ and ‖b − a‖ of each weight that both layers have."""
    pairs = {a.name: (a.value, b.value) for a, b in weight_pairs(first, second)}
    return {
        name: [float(np.linalg.norm(x.astype(np.float64))) for x in (a, b, b - a)]
        for name, (a, b) in pairs.items()
    }
