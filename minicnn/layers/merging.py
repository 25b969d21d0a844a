"""Layers that take several inputs: Add, Multiply, …, Concatenate."""

from collections.abc import Sequence
from typing import Any

from minicnn import functional, shapes
from minicnn.functional.dot import axes_of
from minicnn.layers import symbols
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.core import Rescaling
from minicnn.layers.symbols import KerasTensor


class Merge(Layer):
    """A layer that merges several inputs element by element, `operation` by name.

    Shapes are equal, or 1 in an axis, along which the input is then broadcast, as in a
    squeeze-and-excite block: (n, h, w, c) with (n, 1, 1, c).
    """

    takes_list = True
    operation: str

    def build(self, input_shape: Sequence[Shape]) -> None:
        two = self.operation in ("divide", "subtract")
        if len(input_shape) < 2 or (two and len(input_shape) > 2):
            wanted = "2" if two else "at least 2"
            raise ValueError(f"{self.label} expects {wanted} inputs. Received {len(input_shape)}.")

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        found = [tuple(shape) for shape in input_shape]
        sizes = list(zip(*found, strict=False))
        fits = all(len({size for size in axis if size not in (1, None)}) < 2 for axis in sizes)
        if len({len(shape) for shape in found}) > 1 or not fits:
            raise ValueError(
                f"{self.label} expects inputs of one shape, or 1 in an axis. Received {found}."
            )
        return tuple(_merged_size(axis) for axis in sizes)

    def compute(self, x: list[Array], training: bool) -> tuple[Array, Kept]:
        y: Array = getattr(functional, self.operation)(x, name=self.label)
        return y, {"xs": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return [None] * len(cache["xs"]), {}
        backward = getattr(functional, f"{self.operation}_backward")
        return backward(dz, cache["xs"], name=self.label), {}


def _merged_size(axis: Sequence[int | None]) -> int | None:
    """Return the size of an axis of the output: the one that is not 1; None if it is unknown."""
    known = [size for size in axis if size not in (1, None)]
    return known[0] if known else None if None in axis else 1


class Add(Merge):
    """y = x0 + x1 + …, element by element: the residual connection. No weights.

    Each input receives dy unchanged, or, if it has size 1 in an axis, the sum along that axis.
    """

    operation = "add"

    def compute(self, x: list[Array], training: bool) -> tuple[Array, Kept]:
        # Backward needs the inputs only if their shapes differ.
        y = functional.add(x, self.label)
        same = all(a.shape == y.shape for a in x)
        return y, {"count": len(x), "xs": None if same else x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if cache["xs"] is None:
            return [dz] * cache["count"], {}
        return functional.add_backward(dz, cache["xs"], self.label), {}


class Multiply(Merge):
    """y = x0 * x1 * …, element by element. No weights. `x * y` of symbols is this layer."""

    operation = "multiply"


class Subtract(Merge):
    """y = x0 - x1, element by element, of two inputs. No weights."""

    operation = "subtract"


class Average(Merge):
    """y = (x0 + x1 + …) / n, element by element. No weights."""

    operation = "average"


class Maximum(Merge):
    """y = the largest of x0, x1, …, element by element. Of equal ones the first gets dy."""

    operation = "maximum"


class Minimum(Merge):
    """y = the smallest of x0, x1, …, element by element. Of equal ones the first gets dy."""

    operation = "minimum"


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


class Dot(Layer):
    """y = the dot products of x0 and x1 along `axes`: an axis of both, or one of each. No weights.

        y[n, …, ___] = sum over k of x0[n, …, k, …] * x1[n, _, k, _]

    y has the other axes of x0, then those of x1; (batch, 1) if there are none. With `normalize`
    each vector is divided by its length first: y is the cosine of the angle between two of them.
    """

    takes_list = True

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        listed = shapes.axes(axes, self.label, "axes")
        several = isinstance(axes, (tuple, list))
        if len(listed) != (2 if several else 1) or 0 in listed:
            raise ValueError(
                f"{self.label} expects axes to be an integer or two, and not 0, the batch. "
                f"Received {axes!r}."
            )
        self.axes: Any = listed if several else listed[0]
        self.normalize = bool(normalize)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return axes_of(input_shape, self.axes, self.label)[1]

    def build(self, input_shape: Sequence[Shape]) -> None:
        self.compute_output_shape(input_shape)

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        return None

    def compute(self, x: list[Array], training: bool) -> tuple[Array, Kept]:
        return functional.dot(x, self.axes, self.normalize, self.label), {"xs": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return [None, None], {}
        return functional.dot_backward(dz, cache["xs"], self.axes, self.normalize, self.label), {}


@symbols.operator("add")
def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


@symbols.operator("multiply")
def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Return `Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: Any = -1, **kwargs: Any) -> Any:
    """Return `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes, **kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Return `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)


@symbols.operator("rescale")
def _rescale(x: KerasTensor, scale: Any, offset: Any) -> Any:
    return Rescaling(scale, offset, dtype=x.dtype)(x)
