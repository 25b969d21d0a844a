"""The tape of a pass: what each layer received, returned and needs to go backward.

    y, tape = model.forward(x)
    for entry in tape.entries:
        print(entry.layer.name, entry.y.shape)
    dx, grads = model.backward(dy, tape)      # grads["conv2d/kernel"], grads["dense/bias"], …

The tape belongs to the caller. A nested model's entry has a tape of its own as its cache.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minicnn.layers.base import Grads, Layer
from minicnn.layers.calling import CallCache
from minicnn.layers.symbols import Node


@dataclass
class TapeEntry:
    """One use of a layer in a pass: `x` (a list for several inputs), `y`, and its cache."""

    node: Node
    x: Any
    y: Any
    cache: Any

    @property
    def layer(self) -> Layer:
        """The layer that was used."""
        layer: Layer = self.node.layer
        return layer

    def activity_penalty(self) -> float:
        """Return what the layer's `activity_regularizer` adds to the loss for this output."""
        if isinstance(self.cache, (Tape, CallCache)):
            return self.cache.activity_penalty()
        return self.layer.activity_penalty(self.y)


@dataclass
class Tape:
    """A pass through a network, in the order of computation."""

    entries: list[TapeEntry] = field(default_factory=list)
    y: Any = None
    model: Any = field(default=None, repr=False)  # the network that ran

    def activity_penalty(self) -> float:
        """Return what the outputs of the layers, also in nested models, add to the loss."""
        return sum(entry.activity_penalty() for entry in self.entries)

    def __getitem__(self, name: str) -> TapeEntry:
        """Return the (first) entry of the layer of this name."""
        for entry in self.entries:
            if entry.layer.name == name:
                return entry
        raise KeyError(f"No layer {name!r} on the tape: {[e.layer.name for e in self.entries]}.")


class BackwardStep(NamedTuple):
    """What one entry's backward received and returned.

    With `at_logits`, dy is the gradient before the activation.
    """

    dy: Any
    dx: Any
    grads: Grads
    at_logits: bool


Visitor = Callable[[TapeEntry, BackwardStep], None]
