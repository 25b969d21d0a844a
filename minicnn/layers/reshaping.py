"""Permute, RepeatVector, Cropping2D: layers that move numbers, or leave some out."""

from typing import Any

from minicnn import functional, shapes
from minicnn.functional.reshaping import check_dims
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape


class Permute(Layer):
    """Swaps axes: axis k of y is axis `dims[k - 1]` of x. No weights.

    The axes count from 1, the first after the batch: `Permute((2, 1))` turns (batch, steps,
    channels) into (batch, channels, steps).
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = check_dims(dims, self.label)
        self.input_rank = len(self.dims) + 1

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.permute(x, self.dims, self.label), {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return functional.permute_backward(dz, self.dims, self.label), {}


class RepeatVector(Layer):
    """Repeats each example's features `n` times: (batch, features) to (batch, n, features).

        y[b, i, k] = x[b, k]

    No weights. The surprise: the gradient is the sum over the copies.
    """

    input_rank = 2

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = shapes.positive_int(n, "n", self.label)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], self.n, input_shape[1]

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.repeat_vector(x, self.n, self.label), {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return functional.repeat_vector_backward(dz, self.label), {}


class Cropping2D(Layer):
    """Cuts rows and columns off the sides of each image. No weights.

        y[n, i, j, c] = x[n, i + top, j + left, c]

    `cropping`, in pixels, is an int (all sides), (rows, columns) or ((top, bottom), (left, right)).
    """

    input_rank = 4

    def __init__(
        self,
        cropping: Any = ((0, 0), (0, 0)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)
        self.cropping = shapes.sides(cropping, "cropping", self.label)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        sizes = [
            None if size is None else size - sum(side)
            for size, side in zip((height, width), self.cropping, strict=True)
        ]
        if any(size is not None and size < 1 for size in sizes):
            rows, columns = (sum(side) for side in self.cropping)
            raise ValueError(
                f"{self.label} expects images with more than {rows} rows and {columns} columns, "
                f"which it cuts off. Received {input_shape}."
            )
        return batch, sizes[0], sizes[1], channels

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.cropping2d(x, self.cropping, self.label), {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return functional.cropping2d_backward(dz, self.cropping, self.label), {}
