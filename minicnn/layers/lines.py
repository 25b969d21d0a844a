"""Layers of lines, such as sounds and other series; a line is an image one pixel high.

So each layer here lets a layer of images compute, its `image`: the line gets an axis of size 1, and
that layer sees views of the kernels with such an axis. `Conv2D(8, (1, 3), strides=(1, 2))` computes
`Conv1D(8, 3, strides=2)`, and its docstring about numbers and gradients applies here.

    x (batch, steps, channels)     as an image:  (batch, 1, steps, channels)
    kernel (size, …)                             (1, size, …)

Weights, options and files have Keras's shapes, without the axis.
"""

import functools
import re
from collections.abc import Callable
from typing import Any, ClassVar

from minicnn import functional, shapes
from minicnn._support.variable import Computed, Variable
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.convolutional import (
    Conv2D,
    DepthwiseConv2D,
    SeparableConv2D,
    ZeroPadding2D,
)
from minicnn.layers.pooling import (
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling2D,
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from minicnn.layers.reshaping import Cropping2D
from minicnn.layers.transposed import Conv2DTranspose
from minicnn.layers.upsampling import UpSampling2D


class OnLines(Layer):
    """A layer of lines (batch, steps, channels), which a layer of images computes: its `image`."""

    input_rank = 3
    kind: ClassVar[type[Layer]]  # of `image`
    untracked: tuple[str, ...] = ("_image",)
    bias: Variable | None = None
    _image_class: ClassVar[Any]
    _names: ClassVar[tuple[str, ...]]  # of the arguments

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # It has the name of this class, for its error messages.
        cls._image_class = type(cls.__name__, (cls.kind,), {"__module__": __name__})
        cls._names = tuple(cls.argument_names())

    def _set(self, given: dict[str, Any]) -> None:
        """Keep the constructor's arguments, once the layer of images has checked its own."""
        for name in self._names:
            value = given[name]
            setattr(self, name, _READ[name](value, name, self.label) if name in _READ else value)
        image = self._new_image()
        for name in self._names:  # as that layer reads them: initializers, a text in lower case
            if name not in _READ and name != "activation":
                setattr(self, name, getattr(image, name))

    def __getstate__(self) -> dict[str, Any]:
        """Copy or pickle without `image`, which belongs to this layer's own weights."""
        return {key: value for key, value in super().__getstate__().items() if key != "_image"}

    # -- the layer of images ---------------------------------------------------------------------

    @property
    def image(self) -> Any:
        """The layer of images with this layer's settings, and with views of its weights."""
        own = (self.name, self.dtype, self.trainable)
        settings = *(getattr(self, name) for name in self._names), *own
        made = vars(self).get("_image")
        if made is None or made[0] != settings or made[1].built != self.built:
            made = settings, self._new_image()
            vars(self)["_image"] = made  # not by `setattr`, since no result changes
        return made[1]

    def _new_image(self) -> Any:
        options = {
            name: _on_images(name, getattr(self, name))
            for name in self._names
            if name not in ("activation", "data_format")
        }
        if self.before is not None:  # they are added first
            options["padding"] = "valid"
        try:
            image = self._image_class(
                **options, name=self.name, dtype=self.dtype, trainable=self.trainable
            )
        except ValueError as error:
            raise _of_lines(error) from None
        if self.built:
            image.weights_list = [
                Computed(functools.partial(_view, own), own.name, self.name)
                for own in self.weights_list
            ]
            for weight in image.weights_list:
                setattr(image, weight.name, weight)
            image.built = True
        return image

    @property
    def before(self) -> int | None:
        """The number of zeros that padding="causal" puts before a line; otherwise None."""
        return None

    def as_image(self, x: Array) -> Array:
        """Return the line as an image, with the zeros that padding="causal" puts before it."""
        image = x[:, None]
        if not self.before:
            return image
        return functional.zero_padding2d(image, ((0, 0), (self.before, 0)), self.label)

    def image_shape(self, shape: Shape) -> Shape:
        """Return the shape of `as_image` for lines of this shape."""
        batch, steps, channels = shape
        return batch, 1, None if steps is None else steps + (self.before or 0), channels

    # -- weights, shapes and costs ---------------------------------------------------------------

    def build(self, input_shape: Shape) -> None:
        image = self._new_image()
        self.bias = None
        image.add_weight = self._add_own
        try:
            image.build(self.image_shape(input_shape))
        except ValueError as error:
            raise _of_lines(error) from None

    def _add_own(self, shape: Any, *rest: Any, name: str, **more: Any) -> Variable:
        """Create a weight for a layer of images, without the axis of size 1."""
        own = self.add_weight(shape[1:] if len(shape) == 4 else shape, *rest, name=name, **more)
        setattr(self, name, own)
        return own

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        try:
            found: Shape = self.image.compute_output_shape(self.image_shape(input_shape))
        except ValueError as error:
            raise _of_lines(error) from None
        return (found[0], *found[2:]) if len(found) == 4 else found

    def parameter_formula(self) -> str:
        return re.sub(r"^(\(?)1·", r"\1", self.image.parameter_formula())

    def multiply_adds(self, input_shape: Shape) -> int | None:
        found: int | None = self.image.multiply_adds(self.image_shape(input_shape))
        return found

    def receptive_window(self) -> None:
        """Return None: a line is not part of an image."""
        return None

    # -- running ---------------------------------------------------------------------------------

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        try:
            z, kept = self.image.compute(self.as_image(x), training)
        except ValueError as error:
            raise _of_lines(error) from None
        return self.as_lines(x, z, kept)

    def as_lines(self, x: Array, z: Array, kept: Kept) -> tuple[Array, Kept]:
        """Return what `compute` returns for x, given what the layer of images returned."""
        own = {"x": x} if "x" in kept else {}
        return z[:, 0] if z.ndim == 4 else z, {**own, "of_image": kept}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        image = self.image
        dz = dz[:, None] if dz.ndim == 3 else dz
        dx, grads = image.compute_gradients(dz, Cache(image, cache["of_image"], dz.shape), need_dx)
        if dx is not None and self.before:
            border = (0, 0), (self.before, 0)
            dx = functional.zero_padding2d_backward(dx, border, self.label)
        own = {name: grad[0] if grad.ndim == 4 else grad for name, grad in grads.items()}
        return None if dx is None else dx[:, 0], own


def _view(own: Variable) -> Array:
    """Return a weight as the layer of images sees it."""
    value = own.value
    return value[None] if value.ndim == 3 else value


def _of_lines(error: ValueError) -> ValueError:
    """Return an error of the layer of images, reworded for lines."""
    text = re.sub(r"\((\w+), 1, ", r"(\1, ", str(error))  # a shape
    text = re.sub(r"\b1x(\d+)( pixels)?", r"\1 steps", text)
    text = re.sub(r"=\([01], (\d+)\)", r"=\1", text)  # an argument
    text = re.sub(
        r"images with more than 0 rows and (\d+) columns", r"lines of over \1 steps", text
    )
    text = re.sub(r"(at least one|an (?:input|output) with) pixel", r"\1 step", text)
    return ValueError(text)


# ---------------------------------------------------------------------------------------------
# Arguments as given, and as the layer of images takes them
# ---------------------------------------------------------------------------------------------


def _single(value: Any, argument: str, who: str, minimum: int = 1) -> tuple[int]:
    """Return `3` or `(3,)` as a tuple of one int."""
    alone = value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value
    return (shapes.positive_int(alone, argument, who, minimum, shapes.LARGEST_STEP),)


def _of_steps(value: Any, argument: str, who: str) -> tuple[int] | None:
    return None if value is None else _single(value, argument, who, minimum=0)


def _sides(value: Any, argument: str, who: str) -> shapes.Pair:
    """Return `1` or `(1, 2)` as zeros, or steps, before and after."""
    return shapes.pair(value, argument, who, minimum=0)


def _size(value: Any, argument: str, who: str) -> int:
    return _single(value, argument, who)[0]


def _padding(value: Any, argument: str, who: str) -> Any:
    """Return a kind of padding in lower case, or the numbers of zeros before and after."""
    return value.lower() if isinstance(value, str) else _sides(value, argument, who)


_READ: dict[str, Callable[[Any, str, str], Any]] = {
    "kernel_size": _single,
    "strides": _single,
    "dilation_rate": _single,
    "pool_size": _single,
    "output_size": _single,
    "output_padding": _of_steps,
    "size": _size,
    "padding": _padding,
    "cropping": _sides,
    "data_format": lambda value, argument, who: shapes.check_data_format(value, who),
}


def _on_images(argument: str, value: Any) -> Any:
    """Return an argument as the layer of images takes it."""
    if argument in ("kernel_size", "strides", "dilation_rate", "pool_size", "output_size"):
        return 1, value[0]
    if argument == "size":
        return 1, value
    if argument == "output_padding":
        return None if value is None else (0, value[0])
    if argument == "cropping" or (argument == "padding" and not isinstance(value, str)):
        return (0, 0), value
    return value


# ---------------------------------------------------------------------------------------------
# Convolutions
# ---------------------------------------------------------------------------------------------


class Conv1D(OnLines):
    """1D convolution: each of `filters` kernels slides along the line and sums what it covers.

        z[n, t, o] = bias[o] + sum over j, c of x[n, s, c] * kernel[j, c, o]
        s = t * strides + j * dilation_rate - zeros before the line
        y = activation(z)

    x (batch, steps, channels) to y (batch, out steps, filters). Weights: `kernel` (size, channels /
    groups, filters), then `bias` (filters,).

    Args: as for `Conv2D`, with one number instead of a pair. padding="causal" puts all zeros before
    the line, (kernel_size - 1) * dilation_rate of them, so that y[t] depends on no later step than
    t.
    """

    kind = Conv2D
    padding: str
    kernel_size: tuple[int]
    dilation_rate: tuple[int]
    kernel: Variable

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        padding = shapes.choice(padding, ("valid", "same", "causal"), "padding", self.label)
        self._set(locals())

    @property
    def before(self) -> int | None:
        if self.padding != "causal":
            return None
        return int((self.kernel_size[0] - 1) * self.dilation_rate[0])


class DepthwiseConv1D(OnLines):
    """Depthwise 1D convolution: `depth_multiplier` kernels filter each channel by itself.

    `DepthwiseConv2D` on a line. Weights: `kernel` (size, channels, multiplier), then `bias`.
    """

    kind = DepthwiseConv2D

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set(locals())


class SeparableConv1D(OnLines):
    """A depthwise convolution along the line, then one of size 1 that mixes the channels.

    `SeparableConv2D` on a line. Weights: `depthwise_kernel` (size, channels, multiplier),
    `pointwise_kernel` (1, channels * multiplier, filters), `bias` (filters,).
    """

    kind = SeparableConv2D

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set(locals())


class Conv1DTranspose(OnLines):
    """Transposed 1D convolution: each step adds `filters` weighted kernels to a longer line.

    `Conv2DTranspose` on a line. Weights: `kernel` (size, filters, channels), then `bias`.
    """

    kind = Conv2DTranspose

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set(locals())


# ---------------------------------------------------------------------------------------------
# Pooling
# ---------------------------------------------------------------------------------------------


class MaxPooling1D(OnLines):
    """Takes the largest number under each window: `MaxPooling2D` on a line."""

    kind = MaxPooling2D

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        strides = pool_size if strides is None else strides
        self._set(locals())


class AveragePooling1D(OnLines):
    """Takes the mean of the numbers under each window: `AveragePooling2D` on a line."""

    kind = AveragePooling2D

    def __init__(
        self,
        pool_size: Any,  # no default, as in Keras
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        strides = pool_size if strides is None else strides
        self._set(locals())


class AdaptiveAveragePooling1D(OnLines):
    """Takes the mean under each of `output_size` windows: `AdaptiveAveragePooling2D` on a line."""

    kind = AdaptiveAveragePooling2D

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set(locals())


class AdaptiveMaxPooling1D(OnLines):
    """Takes the largest under each of `output_size` windows: `AdaptiveMaxPooling2D` on a line."""

    kind = AdaptiveMaxPooling2D

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set(locals())


class GlobalMaxPooling1D(OnLines):
    """y[n, c] = the largest of x[n, :, c]: (batch, steps, channels) to (batch, channels).

    With `keepdims=True` to (batch, 1, channels). Equal maxima share the gradient.
    """

    kind = GlobalMaxPooling2D

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._set(locals())


class GlobalAveragePooling1D(OnLines):
    """y[n, c] = the mean of x[n, :, c]. Shapes as `GlobalMaxPooling1D`."""

    kind = GlobalAveragePooling2D

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._set(locals())


# ---------------------------------------------------------------------------------------------
# Longer and shorter lines
# ---------------------------------------------------------------------------------------------


class UpSampling1D(OnLines):
    """Repeats each step `size` times: y[n, t, c] = x[n, t // size, c]."""

    kind = UpSampling2D

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set(locals())


class ZeroPadding1D(OnLines):
    """Adds zeros to each line: `padding` of them at both ends, or (before, after)."""

    kind = ZeroPadding2D

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set(locals())


class Cropping1D(OnLines):
    """Cuts steps off the ends of each line: `cropping` at both, or (before, after)."""

    kind = Cropping2D

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set(locals())
