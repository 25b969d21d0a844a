"""One use of a layer in a traced pass: its input, its output, and the gradients of both."""

from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from minicnn._support.terminal import printable
from minicnn.explain import show
from minicnn.explain.arithmetic import explain_output
from minicnn.explain.explanation import Explanation
from minicnn.functional import by_name
from minicnn.layers import Layer

Array = np.ndarray

Source = Union["TraceEntry", int]
"""Where an input comes from: another entry, or the model's input of this number."""


@dataclass(eq=False)
class TraceEntry:
    """One use of a layer: `x` (a list for several inputs), `y`, its cache, and its gradients.

    `dy`, `dx` and `grads` are None, None and {} without a backward pass, or if no gradient reached
    the layer. `grads` are those of the loss alone, without regularizers (`penalties`).
    `name` includes the nested models around the layer, as in "base/conv2d", and ":2" for its second
    use.
    """

    name: str
    layer: Layer
    x: Any
    y: Any
    cache: Any
    sources: list[Source] = field(default_factory=list)
    dy: Any = None
    dx: Any = None
    grads: dict[str, Array] = field(default_factory=dict)
    at_logits: bool = False  # dy is the gradient of the logits, from which the loss was computed

    def __repr__(self) -> str:
        kind = type(self.layer).__name__
        return f"<TraceEntry {printable(self.name)} ({kind}): {self.x_shape} to {_shape(self.y)}>"

    @property
    def x_shape(self) -> str:
        return _shape(self.x)

    @property
    def y_shape(self) -> str:
        return _shape(self.y)

    @property
    def xs(self) -> list[Array]:
        """The inputs as a list, of the dtype that the layer computes in."""
        several = self.x if isinstance(self.x, (list, tuple)) else [self.x]
        return [np.asarray(x, self.layer.dtype) for x in several]

    @property
    def dz(self) -> Array | None:
        """The gradient of the sum before the activation, as backward computes it from dy."""
        if self.dy is None or self.at_logits or self.layer.activation_name == "linear":
            return self.dy
        activation = by_name.activation(self.layer.activation_name)
        dy = np.ascontiguousarray(self.dy)
        return activation.gradient(dy, self.cache.get("z"), self.cache["y"])

    @property
    def penalties(self) -> dict[str, Array]:
        """The gradients that regularizers add to `grads`, for the present weights; {} without any.

        The optimizer gets `grads["kernel"] + penalties["kernel"]`; for a layer that is used more
        than once, the sum of all uses' `grads`, plus the penalty once.
        """
        weights = self.layer.trainable_weights
        return {v.name: v.dpenalty() for v in weights if v.regularizer is not None}

    def explain(self, at: Any, example: int = 0) -> Explanation:
        """Explain where `y[example, *at]` comes from."""
        return explain_output(self.layer, self.x, self.y, self.cache, at, example, self.name)


def _shape(x: Any) -> str:
    if isinstance(x, (list, tuple)):
        parts = [_shape(item) for item in x]
        return f"{len(parts)} of {parts[0]}" if len(set(parts)) == 1 else " + ".join(parts)
    return "×".join(str(size) for size in x.shape[1:]) if np.ndim(x) > 1 else show.place(x.shape)
