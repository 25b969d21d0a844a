"""`FusedLayer`, which replaces several layers in inference and training (see `graph.fusion`).

    y = largest of each block( limits( conv(x, kernel * scale) + bias ) )

Textbook layers know nothing about it. `scale` and `bias` do the work of a normalization at
inference; a ReLU limits the sums while they are in registers; and if max pooling follows, only the
largest sum of each block is written to memory.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional
from minicnn._support.variable import Computed, Variable
from minicnn.graph.wrapped import WrappedLayer
from minicnn.layers import (
    BatchNormalization,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from minicnn.layers.base import Array, Cache, Grads, Kept, Shape
from minicnn.layers.convolutional import kernel_grads
from minicnn.layers.lines import OnLines
from minicnn.shapes import Pair, ReceptiveField, Steps


class Scaling(NamedTuple):
    """A scale and a bias for each sum: one number for each output channel, or None."""

    scale: Array | None
    bias: Array | None


class FusedLayer(WrappedLayer):
    """A convolution or dense layer and the layers after it, computed as one.

    The weights belong to `layer`, which also says whether they learn. With a `normalization` they
    are computed anew on each access, and cannot learn. In training, `remember` makes the layer keep
    which number of each block was the largest: a byte for each block, while two separate layers
    would keep the whole result.
    """

    def __init__(
        self,
        layer: Any,
        name: str,
        normalization: BatchNormalization | None = None,
        limits: str = "linear",
        pool_size: Pair | None = None,
        remember: bool = False,
    ) -> None:
        self.normalization, self.limits = normalization, limits
        self.pool_size, self.remember = pool_size, remember
        super().__init__(layer, name)
        self.input_rank = layer.input_rank
        if pool_size is None:
            self.activation_name = limits  # otherwise backward handles it together with the pooling
        if normalization is not None:
            self.weights_list = self._computed()

    # -- weights -----------------------------------------------------------------------------------

    def _computed(self) -> list[Variable]:
        """Return the weights with the normalization in them; the last kernel makes the outputs."""
        *others, kernel = [v for v in self.layer.weights_list if v.name != "bias"]
        # Methods, not local functions: a copy of this layer computes from the copy's weights.
        self.kernel = Computed(self._scaled_kernel, kernel.name, self.name)
        return [*others, self.kernel, Computed(self._shifted_bias, "bias", self.name)]

    def _scaled_kernel(self) -> Array:
        *_, kernel = [v for v in self.layer.weights_list if v.name != "bias"]
        scale = self.scaling().scale
        assert scale is not None
        kind = self.layer.kind if isinstance(self.layer, OnLines) else type(self.layer)
        if kind is DepthwiseConv2D:  # ends in (channels, multiplier)
            scale = scale.reshape(kernel.shape[-2:])
        elif kind is Conv2DTranspose:  # ends in (filters, channels)
            scale = scale[:, None]
        scaled: Array = kernel.value * scale
        return scaled

    def _shifted_bias(self) -> Array:
        bias = self.scaling().bias
        assert bias is not None
        return bias

    def scaling(self) -> Scaling:
        """Return the current effect of the layer's bias and the normalization on each sum."""
        bias = None if self.layer.bias is None else self.layer.bias.value
        if self.normalization is None:
            return Scaling(None, bias)
        scale, shift = _scale_and_shift(self.normalization)
        shifted = shift if bias is None else bias * scale + shift
        return Scaling(scale.astype(self.dtype), shifted.astype(self.dtype))

    def with_weights(self) -> Any:
        """Return a layer of `layer`'s class with the normalization in its weights."""
        layer = copy.copy(self.layer)
        if self.normalization is not None:
            *_, kernel, layer.bias = self.weights_list
            setattr(layer, kernel.name, kernel)
            layer.weights_list, layer.use_bias = self.weights_list, True
        return layer

    def trainable_variables_by_name(self) -> dict[str, Variable]:
        """Return the layer's trainable variables; none if the weights are computed."""
        return {} if self.normalization is not None else super().trainable_variables_by_name()

    # -- shapes and costs --------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the layer's output shape, divided by the pooling's blocks."""
        found: Shape = self.layer.compute_output_shape(input_shape)
        if self.pool_size is None:
            return found
        batch, *size, filters = found
        down, across = (
            None if length is None else length // pool
            for length, pool in zip(size, self.pool_size, strict=True)
        )
        return batch, down, across, filters

    def parameter_formula(self) -> str:
        """Return the layer's formula; a normalization adds a bias if the layer has none."""
        formula: str = self.layer.parameter_formula()
        if self.normalization is None or self.layer.use_bias:
            return formula
        return f"{formula} + {self.weights_list[-1].shape[0]}"

    def multiply_adds(self, input_shape: Shape) -> int | None:
        """Return the layer's multiply-adds."""
        found: int | None = self.layer.multiply_adds(input_shape)
        return found

    def receptive_window(self) -> tuple[Steps, Steps, Pair] | None:
        """Return the window of the layer and its pooling together."""
        window: tuple[Steps, Steps, Pair] | None = self.layer.receptive_window()
        if window is None or self.pool_size is None:
            return window
        rows, columns = (
            ReceptiveField().through(kernel, stride, dilation).through(pool, pool)
            for kernel, stride, dilation, pool in zip(*window, self.pool_size, strict=True)
        )
        return (rows.size, columns.size), (rows.step, columns.step), (1, 1)

    # -- running -----------------------------------------------------------------------------------

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if self.pool_size is None:
            return PRODUCTS[type(self.layer)](self.layer, x, self.scaling(), self.limits)
        y, argmax = self._pooled(x, self.remember)
        return y, {"x": x, "argmax": argmax}

    def _activated(self, z: Array) -> Array:
        return z  # the limits are already applied

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if self.pool_size is None:
            scale = self.scaling().scale
            dz = dz if scale is None else dz * scale
            dx, grads = self.layer.compute_gradients(dz, cache, need_dx)
            return dx, grads if self.normalization is None else {}
        x, argmax = cache["x"], cache["argmax"]
        if argmax is None:  # inference did not keep it
            argmax = self._pooled(x, remember=True)[1]
        dx, dw, db = functional.conv2d_max_pool2d_backward(
            dz,
            argmax,
            x,
            (self.layer if self.normalization is None else self).kernel.value,
            need_dx=need_dx,
            need_dw=self.trainable and self.normalization is None,
            **self._block,
        )
        return dx, kernel_grads(dw, db, self.layer)

    @property
    def _block(self) -> dict[str, Any]:
        groups = self.layer.groups
        return {"pool_size": self.pool_size, "groups": groups, **self.layer.window_options}

    def _pooled(self, x: Array, remember: bool) -> tuple[Array, Array | None]:
        scale, bias = self.scaling()
        return functional.conv2d_max_pool2d(
            x,
            self.layer.kernel.value,
            bias,
            scale=scale,
            activation=self.limits,
            remember=remember,
            **self._block,
        )


def _scale_and_shift(normalization: Any) -> tuple[Array, Array]:
    """Return scale and shift of a normalization at inference, x * scale + shift, in float64."""
    gamma, beta = normalization.scale_and_shift()
    variance = normalization.moving_variance.value.astype(np.float64)
    scale = gamma / np.sqrt(variance + normalization.epsilon)
    return scale, beta - normalization.moving_mean.value * scale


# ---------------------------------------------------------------------------------------------
# How each kind of layer computes its sums
# ---------------------------------------------------------------------------------------------


def _conv2d(layer: Conv2D, x: Array, end: Scaling, limits: str) -> tuple[Array, Kept]:
    w, options = layer.kernel.value, layer.window_options
    y = functional.conv2d(
        x, w, end.bias, scale=end.scale, activation=limits, groups=layer.groups, **options
    )
    return y, {"x": x}


def _conv2d_transpose(
    layer: Conv2DTranspose, x: Array, end: Scaling, limits: str
) -> tuple[Array, Kept]:
    y = functional.conv2d_transpose(
        x, layer.kernel.value, end.bias, scale=end.scale, activation=limits, **layer.window_options
    )
    return y, {"x": x}


def _depthwise_conv2d(
    layer: DepthwiseConv2D, x: Array, end: Scaling, limits: str
) -> tuple[Array, Kept]:
    w = layer.kernel.value
    if end.scale is not None:
        w = w * end.scale.reshape(w.shape[2:])
    y = functional.depthwise_conv2d(x, w, end.bias, activation=limits, **layer.window_options)
    return y, {"x": x}


def _separable_conv2d(
    layer: SeparableConv2D, x: Array, end: Scaling, limits: str
) -> tuple[Array, Kept]:
    h = functional.depthwise_conv2d(x, layer.depthwise_kernel.value, **layer.window_options)
    w = layer.pointwise_kernel.value
    y = functional.conv2d(h, w, end.bias, scale=end.scale, activation=limits, name=layer.label)
    return y, {"x": x, "h": h}


def _on_lines(layer: OnLines, x: Array, end: Scaling, limits: str) -> tuple[Array, Kept]:
    of_images = PRODUCTS[layer.kind]
    return layer.as_lines(x, *of_images(layer.image, layer.as_image(x), end, limits))


def _dense(layer: Dense, x: Array, end: Scaling, limits: str) -> tuple[Array, Kept]:
    w = layer.kernel.value
    if end.scale is not None:
        w = w * end.scale
    return functional.dense(x, w, end.bias, limits, layer.label), {"x": x}


PRODUCTS: dict[type, Callable[[Any, Array, Scaling, str], tuple[Array, Kept]]] = {
    Conv2D: _conv2d,
    Conv2DTranspose: _conv2d_transpose,
    DepthwiseConv2D: _depthwise_conv2d,
    SeparableConv2D: _separable_conv2d,
    Dense: _dense,
    **dict.fromkeys((Conv1D, Conv1DTranspose, DepthwiseConv1D, SeparableConv1D), _on_lines),
}
