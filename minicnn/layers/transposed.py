"""Conv2DTranspose."""

import math
from fractions import Fraction
from typing import Any

from minicnn import functional, initializers, shapes
from minicnn.layers.base import Array, Cache, Grads, Kept, Shape
from minicnn.layers.convolutional import (
    Convolution,
    add_bias,
    check_channels,
    kernel_grads,
    known_channels,
)


class Conv2DTranspose(Convolution):
    """Transposed convolution: each pixel adds `filters` weighted kernels to a larger image.

        z[n, oy, ox, o] = bias[o] + sum of x[n, iy, ix, c] * kernel[i, j, o, c]   over all stamps
        oy = iy * strides[0] + i * dilation_rate[0] - rows cut off above,         ox likewise
        y = activation(z)

    x (batch, height, width, channels) to y (batch, out height, out width, filters). Weights:
    `kernel` (rows, columns, filters, channels), then `bias` (filters,). With strides of s, y has s
    times as many rows and columns as x if padding="same", and max(rows of the kernel - s, 0) more
    if "valid". It does what `Conv2D`'s backward pass does to a gradient, hence the name. (The name
    "deconvolution" is wrong: it undoes nothing.)

    The surprise: if the strides do not divide the kernel's size, more kernels overlap on some
    pixels than on their neighbours, and images show a checkerboard (Odena et al., "Deconvolution
    and Checkerboard Artifacts", Distill 2016). `kernel_size=4, strides=2` avoids it, and so does
    `UpSampling2D` followed by `Conv2D`.

    Args (Keras's names and defaults): as for `Conv2D`, without groups. `output_padding`, an int or
    (rows, columns) below the strides, sets the size of y: a convolution with strides maps images of
    several sizes to one size, and this chooses the size to return to (`minicnn.shapes`).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_window(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        )
        self.output_padding = shapes.check_output_padding(output_padding, self.strides, self.label)
        self.filters = shapes.positive_int(filters, "filters", self.label)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        shape = (*self.kernel_size, self.filters, known_channels(input_shape, self.label))
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        self.bias = add_bias(self, self.filters)

    def window(self, size: shapes.Pair) -> tuple[shapes.Window, shapes.Pair]:
        """Return the window that slides over the output, and the output's size, for this input."""
        return shapes.transposed_window(
            size,
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
            self.output_padding,
            self.label,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built:
            check_channels(self.kernel.shape[3], input_shape, self.label)
        batch, height, width, _ = input_shape
        # Any number can stand for an unknown size: rows and columns do not mix.
        known = self.window((2 if height is None else height, 2 if width is None else width))[1]
        return (
            batch,
            None if height is None else known[0],
            None if width is None else known[1],
            self.filters,
        )

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Steps, shapes.Pair]:
        """Return the window on x that one output sees: at most ceil(kernel / stride) pixels."""
        rows, columns = (
            -(-kernel // stride) for kernel, stride in zip(self.kernel_size, self.strides)
        )
        steps = Fraction(1, self.strides[0]), Fraction(1, self.strides[1])
        return (rows, columns), steps, self.dilation_rate

    def parameter_formula(self) -> str:
        rows, columns, filters, channels = self.kernel.shape
        return f"({rows}·{columns}·{channels}{'+1' if self.use_bias else ''})·{filters}"

    def multiply_adds(self, input_shape: Shape) -> int | None:
        """Return the multiply-adds of all kernels, including the parts that are cut off."""
        _, height, width, _ = input_shape
        if height is None or width is None:
            return None
        return height * width * math.prod(self.kernel.shape)

    @property
    def window_options(self) -> dict[str, Any]:
        return {**super().window_options, "output_padding": self.output_padding}

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        w, b = self.kernel.value, self._bias
        return functional.conv2d_transpose(x, w, b, **self.window_options), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx, dw, db = functional.conv2d_transpose_backward(
            dz,
            cache["x"],
            self.kernel.value,
            need_dx=need_dx,
            need_dw=self.trainable,
            **self.window_options,
        )
        return dx, kernel_grads(dw, db, self)
