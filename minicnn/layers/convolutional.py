"""Conv2D, DepthwiseConv2D, SeparableConv2D, ZeroPadding2D."""

from typing import Any

from minicnn import functional, initializers, shapes
from minicnn._support.variable import Variable
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape


def window_output_shape(
    input_shape: Shape,
    kernel: shapes.Pair,
    strides: shapes.Pair,
    padding: str,
    dilation: shapes.Pair,
    who: str,
) -> tuple[int | None, int | None]:
    """Return a window's (out height, out width), with None where the input's size is None."""
    height, width = input_shape[1:3]
    if height is not None and width is not None:
        shapes.check_extent((height, width), kernel, strides, padding, dilation, who)
    sizes: list[int | None] = []
    for size, k, s, d in zip(input_shape[1:3], kernel, strides, dilation, strict=True):
        out = None if size is None else shapes.output_size(size, k, s, padding, d)
        if out is not None and out < 1:
            raise ValueError(
                f"{who} expects an input of at least {(k - 1) * d + 1} pixels a side, the size of "
                f"its window. Received {input_shape[1]}x{input_shape[2]}."
            )
        sizes.append(out)
    return sizes[0], sizes[1]


def known_channels(input_shape: Shape, who: str) -> int:
    """Return the number of channels or features; raise a `ValueError` if it is None or 0."""
    if input_shape[-1] is None:
        raise ValueError(
            f"{who} expects a known number of channels, as in Input((None, None, 3)). "
            f"Received {input_shape}."
        )
    if input_shape[-1] == 0:
        raise ValueError(f"{who} expects at least one channel or feature. Received {input_shape}.")
    return input_shape[-1]


class Convolution(Layer):
    """The arguments and shapes that all convolutions share."""

    input_rank = 4
    bias: Variable | None = None

    def _set_window(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
    ) -> None:
        who = self.label
        self.kernel_size = shapes.pair(kernel_size, "kernel_size", who)
        self.strides = shapes.pair(strides, "strides", who)
        self.padding = shapes.choice(padding, ("valid", "same"), "padding", who)
        self.data_format = shapes.check_data_format(data_format, who)
        self.dilation_rate = shapes.pair(dilation_rate, "dilation_rate", who)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who} expects strides or dilation_rate to be 1, as Keras does. "
                f"Received strides={self.strides}, dilation_rate={self.dilation_rate}."
            )
        self.activation = activation
        self.use_bias = bool(use_bias)

    @property
    def window_options(self) -> dict[str, Any]:
        """Options of the windows, for the functions of `minicnn.functional`."""
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "name": self.label,
        }

    @property
    def _bias(self) -> Array | None:
        return None if self.bias is None else self.bias.value

    def _out(self, input_shape: Shape, filters: int) -> Shape:
        height, width = window_output_shape(
            input_shape,
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
            self.label,
        )
        return input_shape[0], height, width, filters

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Steps, shapes.Pair]:
        return self.kernel_size, self.strides, self.dilation_rate

    def multiply_adds(self, input_shape: Shape) -> int | None:
        """Return the multiply-adds of one image: each place of the output uses all kernels."""
        _, height, width, _ = self._out(input_shape, 1)
        if height is None or width is None:
            return None
        kernels = [w.value.size for w in self.weights_list if w is not self.bias]
        return height * width * sum(kernels)


class Conv2D(Convolution):
    """2D convolution: each of `filters` kernels slides over the image and sums what it covers.

        z[n, oy, ox, o] = bias[o] + sum over i, j, c of x[n, iy, ix, c] * kernel[i, j, c, o]
        iy = oy * strides[0] + i * dilation_rate[0] - padding above,  ix likewise
        y = activation(z)

    x (batch, height, width, channels) to y (batch, out height, out width, filters). Weights:
    `kernel` (rows, columns, channels / groups, filters), then `bias` (filters,).

    The surprise: "same" padding puts its odd zero below and to the right, and depends on the
    input's size if strides exceed 1 (`minicnn.shapes`).

    Args (Keras's names and defaults): `filters`; `kernel_size`, `strides`, `dilation_rate`: an int
    or (rows, columns); `padding`: "valid" or "same"; `groups`: splits channels and filters into
    groups that do not see each other; `activation`; `use_bias`; initializers, regularizers and
    constraints (`minicnn.layers.penalties`).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        groups: int = 1,
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
        self.filters = shapes.positive_int(filters, "filters", self.label)
        self.groups = shapes.positive_int(groups, "groups", self.label)
        if self.filters % self.groups:
            raise ValueError(
                f"{self.label} expects filters to be a multiple of groups. "
                f"Received filters={filters}, groups={groups}."
            )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = known_channels(input_shape, self.label)
        if channels % self.groups:
            raise ValueError(
                f"{self.label} expects a multiple of its {self.groups} groups as input channels. "
                f"Received an input of shape {input_shape}."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        self.bias = add_bias(self, self.filters)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built:
            check_channels(self.kernel.shape[2] * self.groups, input_shape, self.label)
        return self._out(input_shape, self.filters)

    def parameter_formula(self) -> str:
        rows, columns, channels, filters = self.kernel.shape
        return f"({rows}·{columns}·{channels}{'+1' if self.use_bias else ''})·{filters}"

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        w, b = self.kernel.value, self._bias
        return functional.conv2d(x, w, b, groups=self.groups, **self.window_options), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx, dw, db = functional.conv2d_backward(
            dz,
            cache["x"],
            self.kernel.value,
            groups=self.groups,
            need_dx=need_dx,
            need_dw=self.trainable,
            need_db=self.use_bias,
            **self.window_options,
        )
        return dx, kernel_grads(dw, db, self)


def add_bias(layer: Any, count: int) -> Variable | None:
    """Create the layer's bias, of `count` numbers; return None if it has `use_bias=False`."""
    if not layer.use_bias:
        return None
    bias: Variable = layer.add_weight((count,), layer.bias_initializer, name="bias")
    return bias


def kernel_grads(dw: Array | None, db: Array | None, layer: Any) -> Grads:
    """Return `{"kernel": dw, "bias": db}`, without db if there is no bias; {} when frozen."""
    if dw is None:
        return {}
    return {"kernel": dw, "bias": db} if layer.use_bias and db is not None else {"kernel": dw}


def check_channels(expected: int, input_shape: Shape, who: str) -> None:
    """Raise a `ValueError` for an input with another number of channels."""
    if input_shape[-1] != expected:
        raise ValueError(f"{who} expects {expected} input channels. Received shape {input_shape}.")


class DepthwiseConv2D(Convolution):
    """Depthwise convolution: `depth_multiplier` kernels filter each channel by itself.

        z[n, oy, ox, c * multiplier + m] = bias[c * multiplier + m]
                                           + sum over i, j of x[n, iy, ix, c] * kernel[i, j, c, m]

    y has channels * depth_multiplier channels. Weights: `kernel` (rows, columns, channels,
    multiplier), then `bias`. Everything else is as in `Conv2D`.
    """

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_window(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        )
        self.depth_multiplier = shapes.positive_int(
            depth_multiplier, "depth_multiplier", self.label
        )
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = known_channels(input_shape, self.label)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(
            shape, self.depthwise_initializer, name="kernel", part="depthwise"
        )
        self.bias = add_bias(self, channels * self.depth_multiplier)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built:
            check_channels(self.kernel.shape[2], input_shape, self.label)
        return self._out(
            input_shape, known_channels(input_shape, self.label) * self.depth_multiplier
        )

    def parameter_formula(self) -> str:
        rows, columns, channels, multiplier = self.kernel.shape
        filters = f"{channels}·{multiplier}" if multiplier > 1 else f"{channels}"
        return f"({rows}·{columns}{'+1' if self.use_bias else ''})·{filters}"

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        w, b = self.kernel.value, self._bias
        return functional.depthwise_conv2d(x, w, b, **self.window_options), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx, dw, db = functional.depthwise_conv2d_backward(
            dz,
            cache["x"],
            self.kernel.value,
            need_dx=need_dx,
            need_dw=self.trainable,
            need_db=self.use_bias,
            **self.window_options,
        )
        return dx, kernel_grads(dw, db, self)


class SeparableConv2D(Convolution):
    """A depthwise convolution looks around each pixel, then a 1x1 convolution mixes the channels.

        h = depthwise_conv2d(x, depthwise_kernel)                 no bias, no activation
        z[n, oy, ox, o] = bias[o] + sum over c of h[n, oy, ox, c] * pointwise_kernel[0, 0, c, o]

    The building block of Xception (Chollet 2017): rows·columns·c + c·filters weights, where a
    `Conv2D` has rows·columns·c·filters. Weights: `depthwise_kernel` (rows, columns, channels,
    multiplier), `pointwise_kernel` (1, 1, channels * multiplier, filters), `bias` (filters,).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_window(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        )
        self.filters = shapes.positive_int(filters, "filters", self.label)
        self.depth_multiplier = shapes.positive_int(
            depth_multiplier, "depth_multiplier", self.label
        )
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        channels = known_channels(input_shape, self.label)
        deep = channels * self.depth_multiplier
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            name="depthwise_kernel",
            part="depthwise",
        )
        self.pointwise_kernel = self.add_weight(
            (1, 1, deep, self.filters),
            self.pointwise_initializer,
            name="pointwise_kernel",
            part="pointwise",
        )
        self.bias = add_bias(self, self.filters)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built:
            check_channels(self.depthwise_kernel.shape[2], input_shape, self.label)
        return self._out(input_shape, self.filters)

    def parameter_formula(self) -> str:
        rows, columns, channels, multiplier = self.depthwise_kernel.shape
        deep = f"{channels}·{multiplier}" if multiplier > 1 else f"{channels}"
        return f"{rows}·{columns}·{deep} + ({deep}{'+1' if self.use_bias else ''})·{self.filters}"

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        h = functional.depthwise_conv2d(x, self.depthwise_kernel.value, **self.window_options)
        z = functional.conv2d(h, self.pointwise_kernel.value, self._bias, name=self.label)
        return z, {"x": x, "h": h}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dh, dp, db = functional.conv2d_backward(
            dz,
            cache["h"],
            self.pointwise_kernel.value,
            need_dx=need_dx or self.trainable,
            need_dw=self.trainable,
            need_db=self.use_bias,
            name=self.label,
        )
        if dh is None:
            return None, {}
        dx, dd, _ = functional.depthwise_conv2d_backward(
            dh,
            cache["x"],
            self.depthwise_kernel.value,
            need_dx=need_dx,
            need_dw=self.trainable,
            need_db=False,
            **self.window_options,
        )
        if dd is None or dp is None:
            return dx, {}
        grads: Grads = {"depthwise_kernel": dd, "pointwise_kernel": dp}
        return dx, grads | ({"bias": db} if self.use_bias and db is not None else {})


class ZeroPadding2D(Layer):
    """Adds zeros around each image.

    `padding`, in pixels, is an int (all sides), (rows, columns) or ((top, bottom), (left, right)).
    """

    input_rank = 4

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)
        self.padding = shapes.sides(padding, "padding", self.label)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, channels = input_shape
        rows, columns = (sum(side) for side in self.padding)
        return (
            batch,
            None if height is None else height + rows,
            None if width is None else width + columns,
            channels,
        )

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.zero_padding2d(x, self.padding, self.label), {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return functional.zero_padding2d_backward(dz, self.padding, self.label), {}


__all__ = ["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "ZeroPadding2D"]
