"""Collect every use of a layer in a model for one image, forward and backward, for the page."""

import functools
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn import functional
from minicnn.layers import LAYERS
from minicnn.layers.applications import APPLICATIONS
from minicnn.layers.arithmetic import OPERATIONS
from minicnn.layers.base import Array, Layer, Node
from minicnn.models import Model, Tape

_FORMULAS = LAYERS | OPERATIONS | APPLICATIONS  # the classes that the page has formulas for


@dataclass(eq=False)
class Use:
    """One use of a layer; nested models are flattened."""

    layer: Layer
    name: str
    inputs: list[int]
    y: Array
    path: tuple[str, ...] = ()
    known: bool = True  # whether the page has the formula
    alters: bool = False  # whether it works differently in training
    macs: int = 0
    last: bool = False
    dy: Array | None = None
    grads: dict[str, Array] = field(default_factory=dict)
    others: list[Array | None] = field(default_factory=list)  # y[0] for the other images, if stored

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        return config_of(self.layer)

    @functools.cached_property
    def is_exact_half(self) -> bool:
        """Whether 11 bits store the output exactly, such as pixels from 0 to 255."""
        return is_exact_half(self.y)

    def add_others(self, others: list[Array | None]) -> None:
        """Take the outputs for the other images, which count for `strongest`, too."""
        self.others = others
        self.__dict__.pop("strongest", None)

    @functools.cached_property
    def strongest(self) -> Array:
        """Indices of its maps or units, the strongest first; the model's output by its scores."""
        found = [y.reshape(-1, y.shape[-1]) for y in (self.y, *self.others) if y is not None]
        if self.last:
            strength = np.max([rows[0] for rows in found], axis=0)
        else:
            strength = np.mean([np.abs(rows).mean(axis=0) for rows in found], axis=0)
        return np.argsort(-strength, kind="stable")


def is_exact_half(x: Array) -> bool:
    """Return whether 11 bits store these numbers exactly, such as pixels from 0 to 255."""
    small = bool(np.abs(x).max(initial=0) < 65504)
    return small and np.array_equal(x.astype(np.float16), x)


def uses_of(model: Model, tape: Tape, x: Array) -> tuple[list[Use], dict[int, dict[int, int]]]:
    """Return all uses of layers in order, and for each tape which use made which tensor."""
    start = model.inputs[0].node.layer
    uses = [Use(start, start.name, [], x)]
    places: dict[int, dict[int, int]] = {}

    def walk(
        model: Model, tape: Tape, given: list[int], path: tuple[str, ...], fixed: bool = False
    ) -> None:
        found = places[id(tape)] = {id(t): n for t, n in zip(model.inputs, given)}
        for entry in tape.entries:
            layer, node = entry.layer, entry.node
            inputs = [found[id(tensor)] for tensor in node.inputs]
            if isinstance(layer, Model):
                still = fixed or node.training is False
                walk(layer, entry.cache, inputs, (*path, layer.name), still)
                inner = places[id(entry.cache)]
                ends = [inner[id(tensor)] for tensor in layer.outputs]
                found |= {id(t): n for t, n in zip(node.outputs, ends)}
                continue
            found[id(node.outputs[0])] = len(uses)
            in_training = node.training and layer.differs_in_training()
            known = _FORMULAS.get(type(layer).__name__) is type(layer) and not in_training
            alters = not fixed and node.training is not False and layer.differs_in_training()
            macs = _macs(node, entry.x)
            uses.append(Use(layer, layer.name, inputs, entry.y, path, known, alters, macs))

    walk(model, tape, [0], ())
    uses[-1].last = True
    seen: dict[str, int] = {}
    for use in uses:  # a name occurs twice if a layer is used again, or in nested models
        seen[use.name] = seen.get(use.name, 0) + 1
        if seen[use.name] > 1:
            use.name = f"{use.name} ({seen[use.name]})"
    return uses, places


def check_outputs(uses: list[Use]) -> None:
    """Raise a `ValueError` if a layer's output has NaN or infinity."""
    for use in uses:
        if not np.isfinite(use.y).all():
            raise ValueError(
                f"{use.layer.label} gives NaN or infinity for this image, so no number behind it "
                "has an explanation: check the range of the pixels and the weights."
            )


def _macs(node: Node, x: Any) -> int:
    shape: Any = [a.shape for a in x] if isinstance(x, (list, tuple)) else x.shape
    return int(node.layer.multiply_adds(shape) or 0)


def backward(
    model: Model,
    tape: Tape,
    places: dict[int, dict[int, int]],
    uses: list[Use],
    kind: str,
    output: Array,
    target: int,
) -> None:
    """Put d L / d each output and weight into `uses`; L is the cross-entropy, or one number."""
    wanted = np.zeros_like(output)
    if kind == "sigmoid":
        wanted[0, 0] = target
    else:
        wanted[0].flat[target] = 1
    if not kind:
        start, exact = wanted, False
    elif kind == "logits":
        start, exact = functional.softmax(output) - wanted, False
    else:  # p - t, the gradient of the input of the softmax or sigmoid
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
                if not logits:  # otherwise dy is the gradient before the activation
                    use.dy = incoming[0]
                dx, grads = layer.backward(np.asarray(incoming[0]), entry.cache, True, logits)
                use.grads = grads
                parts = dx if isinstance(dx, list) else [dx]
            for tensor, part in zip(node.inputs, parts):
                if part is not None:
                    add(id(tensor), part)
        return [received.get(id(tensor)) for tensor in model.inputs]

    uses[0].dy = walk(model, tape, [start], exact)[0]


def config_of(layer: Layer) -> dict[str, Any]:
    """Return the arguments of a layer that the page needs."""
    left_out = ("name", "dtype", "trainable", "data_format", "seed")
    config = {
        key: value
        for key, value in layer.get_config().items()
        if key not in left_out and not key.endswith("initializer")
    }
    # The configuration of a user's own class may contain anything.
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    return plain
