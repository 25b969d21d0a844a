"""Layers that take several inputs: Add, Concatenate."""

from collections.abc import Sequence
from typing import Any

from minicnn import functional
from minicnn.layers import symbols
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.core import Rescaling
from minicnn.layers.symbols import KerasTensor


class Add(Layer):
    """y = x0 + x1 + …, element by element: the residual connection. No weights.

    All inputs have one shape; each receives dy unchanged.
    """

    takes_list = True

    def build(self, input_shape: Sequence[Shape]) -> None:
        if len(input_shape) < 2:
            raise ValueError(
                f"{self.label} expects at least 2 inputs. Received {len(input_shape)}."
            )

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        if len({tuple(shape) for shape in input_shape}) > 1:
            raise ValueError(
                f"{self.label} expects inputs of one shape. Received {list(input_shape)}."
            )
        return input_shape[0]

    def compute(self, x: list[Array], training: bool) -> tuple[Array, Kept]:
        return functional.add(x, self.label), {"count": len(x)}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return [dz] * cache["count"], {}


class Concatenate(Layer):
    """Joins the channels of x0, x1, … in order (`axis=-1`, the only one supported). No weights."""

    takes_list = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"{self.label} expects axis to be an integer. Received {axis!r}.")
        self.axis = axis

    def build(self, input_shape: Sequence[Shape]) -> None:
        if len(input_shape) < 1 or self.axis not in (-1, len(input_shape[0]) - 1):
            raise ValueError(
                f"{self.label} joins the last axis: it expects axis=-1 and at least one input. "
                f"Received axis={self.axis} and {len(input_shape)} inputs."
            )

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        if len({tuple(shape[:-1]) for shape in input_shape}) > 1:
            raise ValueError(
                f"{self.label} expects inputs that differ in the last axis only. "
                f"Received {list(input_shape)}."
            )
        channels = [shape[-1] for shape in input_shape]
        total = None if None in channels else sum(c for c in channels if c is not None)
        return (*input_shape[0][:-1], total)

    def compute(self, x: list[Array], training: bool) -> tuple[Array, Kept]:
        return functional.concatenate(x, self.label), {"channels": [a.shape[-1] for a in x]}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return functional.concatenate_backward(dz, cache["channels"], self.label), {}


@symbols.operator("add")
def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Return `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)


@symbols.operator("rescale")
def _rescale(x: KerasTensor, scale: Any, offset: Any) -> Any:
    return Rescaling(scale, offset, dtype=x.dtype)(x)
