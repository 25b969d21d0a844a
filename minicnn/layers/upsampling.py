"""UpSampling2D."""

from fractions import Fraction
from typing import Any

from minicnn import functional, shapes
from minicnn.functional import resizing
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape


class UpSampling2D(Layer):
    """Repeats each pixel as a block of `size` (rows, columns) equal pixels. No weights.

        y[n, i, j, c] = x[n, i // rows, j // columns, c]

    (batch, height, width, channels) to (batch, height * rows, width * columns, channels); `size` is
    an int or a pair. With any other `interpolation` than "nearest" ("bilinear", "bicubic",
    "lanczos3", "lanczos5"), the image is resized, as by `Resizing`: pixels become weighted sums of
    neighbours.

    The surprise: "nearest" computes no new numbers, but each gradient is a sum of dy over a block.
    """

    input_rank = 4

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)
        self.size = shapes.pair(size, "size", self.label)
        self.interpolation = shapes.choice(
            interpolation, resizing.INTERPOLATIONS, "interpolation", self.label
        )

    def sampling(self, size: shapes.Pair) -> resizing.Sampling:
        """Return which rows and columns of an image of this size make those of the result."""
        rows, columns = self.size
        new = size[0] * rows, size[1] * columns
        return resizing.sampling(size, new, self.interpolation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        rows, columns = self.size
        return (
            batch,
            None if height is None else height * rows,
            None if width is None else width * columns,
            channels,
        )

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Steps, shapes.Pair] | None:
        if self.interpolation != "nearest":
            return None
        return (1, 1), (Fraction(1, self.size[0]), Fraction(1, self.size[1])), (1, 1)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.up_sampling2d(x, self.size, self.label, self.interpolation), {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.up_sampling2d_backward(dz, self.size, self.label, self.interpolation), {}
