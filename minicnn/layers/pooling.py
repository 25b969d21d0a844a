"""MaxPooling2D and AveragePooling2D, and each of them adaptive and global."""

from typing import Any

from minicnn import functional, shapes
from minicnn.functional import pooling, resizing
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.convolutional import window_output_shape


class _Pooling(Layer):
    input_rank = 4

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = shapes.pair(pool_size, "pool_size", self.label)
        self.strides = shapes.pair(
            self.pool_size if strides is None else strides, "strides", self.label
        )
        self.padding = shapes.choice(padding, ("valid", "same"), "padding", self.label)
        self.data_format = shapes.check_data_format(data_format, self.label)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        height, width = window_output_shape(
            input_shape, self.pool_size, self.strides, self.padding, (1, 1), self.label
        )
        return input_shape[0], height, width, input_shape[3]

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return self.pool_size, self.strides, (1, 1)

    @property
    def window_options(self) -> dict[str, Any]:
        return {
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "name": self.label,
        }


class MaxPooling2D(_Pooling):
    """Takes the largest pixel under each window, per channel. No weights.

        y[n, oy, ox, c] = max over i, j of x[n, oy*s + i - before, ox*s + j - before, c]

    Surprises: padding counts as minus infinity, so it never wins over a negative pixel; and among
    equal pixels the first in reading order gets the whole gradient, as in TensorFlow.
    """

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.max_pool2d(x, **self.window_options), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.max_pool2d_backward(dz, cache["x"], **self.window_options), {}


class AveragePooling2D(_Pooling):
    """Takes the mean of the pixels under each window, per channel. No weights.

    The surprise: padding is neither added nor counted, so with "same" a corner is the mean of the
    real pixels alone.
    """

    def __init__(
        self,
        pool_size: Any,  # no default, as in Keras
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.average_pool2d(x, **self.window_options), {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.average_pool2d_backward(dz, cache["x_shape"], **self.window_options), {}


class _AdaptivePooling(Layer):
    input_rank = 4

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = shapes.pair(output_size, "output_size", self.label)
        self.data_format = shapes.check_data_format(data_format, self.label)

    def sampling(self, size: shapes.Pair) -> resizing.Sampling:
        """Return which rows and columns of an image of this size are under each window."""
        return pooling.adaptive_windows(size, self.output_size)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], *self.output_size, input_shape[3]

    def receptive_window(self) -> None:
        """Return None: which pixels a window covers depends on the size of the image."""
        return None


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """Takes the mean under each of `output_size` (rows, columns) windows. No weights.

        y[n, i, j, c] = the mean of x[n, r, s, c] over
            r = floor(i * height / rows) … ceil((i + 1) * height / rows) - 1,
            s = floor(j * width / columns) … ceil((j + 1) * width / columns) - 1

    (batch, height, width, channels) to (batch, rows, columns, channels), whatever the height and
    width: a `Dense` layer behind it works for images of every size. `output_size` is an int or a
    pair; with 1 this is `GlobalAveragePooling2D(keepdims=True)`.

    The surprise: unless rows divide the height, neighbouring windows overlap by a row, and pixels
    there count twice; with more rows than the image has, some are repeated.
    """

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        y = functional.adaptive_average_pool2d(x, self.output_size, self.label)
        return y, {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.adaptive_average_pool2d_backward(dz, cache["x_shape"], self.label), {}


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """Takes the largest pixel under each of `output_size` (rows, columns) windows. No weights.

    The windows and shapes are those of `AdaptiveAveragePooling2D`.

    The surprise: among equal pixels the gradient goes to the first in the first column that has
    one, while `MaxPooling2D` looks row by row. Keras on TensorFlow does both.
    """

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.adaptive_max_pool2d(x, self.output_size, self.label), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.adaptive_max_pool2d_backward(dz, cache["x"], self.label), {}


class _GlobalPooling(Layer):
    input_rank = 4

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)
        self.keepdims = bool(keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, channels = input_shape[0], input_shape[3]
        return (batch, 1, 1, channels) if self.keepdims else (batch, channels)

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return None

    def _shaped(self, y: Array) -> Array:
        return y[:, None, None, :] if self.keepdims else y


class GlobalAveragePooling2D(_GlobalPooling):
    """y[n, c] = the mean of x[n, :, :, c]: feature maps become one vector.

    (batch, height, width, channels) to (batch, channels), or (batch, 1, 1, channels) with
    `keepdims=True`. No weights.
    """

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return self._shaped(functional.global_average_pool2d(x, self.label)), {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        shape = cache["x_shape"]
        flat = dz.reshape(shape[0], shape[3])
        return functional.global_average_pool2d_backward(flat, shape, self.label), {}


class GlobalMaxPooling2D(_GlobalPooling):
    """y[n, c] = the largest of x[n, :, :, c]. Shapes as `GlobalAveragePooling2D`. No weights.

    The surprise: equal maxima share the gradient, while `MaxPooling2D` gives it to the first. Keras
    does both.
    """

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return self._shaped(functional.global_max_pool2d(x, self.label)), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        x = cache["x"]
        flat = dz.reshape(x.shape[0], x.shape[3])
        return functional.global_max_pool2d_backward(flat, x, self.label), {}
