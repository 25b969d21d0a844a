"""LayerNormalization, GroupNormalization, UnitNormalization: each example by itself."""

import math
from typing import Any

from minicnn import functional, initializers, shapes
from minicnn._support.variable import Variable
from minicnn.layers.axes import AlongAxes, as_given
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.convolutional import known_channels


class _Scaled(Layer):
    """A layer that ends in y = gamma * z + beta, where gamma and beta are optional."""

    gamma: Variable | None = None
    beta: Variable | None = None
    epsilon: float

    def _take(
        self, epsilon: Any, center: Any, scale: Any, beta_initializer: Any, gamma_initializer: Any
    ) -> None:
        if not shapes.is_number(epsilon) or not epsilon > 0:
            raise ValueError(f"{self.label} expects epsilon > 0. Received epsilon={epsilon!r}.")
        self.epsilon, self.center, self.scale = epsilon, bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def _add_weights(self, shape: tuple[int, ...], gamma: bool, beta: bool) -> None:
        self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma") if gamma else None
        self.beta = self.add_weight(shape, self.beta_initializer, name="beta") if beta else None

    def parameter_formula(self) -> str:
        found = self.weights
        return f"{len(found)}·{math.prod(found[0].shape)}" if found else ""

    @property
    def _values(self) -> tuple[Array | None, Array | None]:
        gamma, beta = self.gamma, self.beta
        return None if gamma is None else gamma.value, None if beta is None else beta.value

    def _grads(self, dgamma: Array, dbeta: Array) -> Grads:
        if not self.trainable:
            return {}
        found = {"gamma": (self.gamma, dgamma), "beta": (self.beta, dbeta)}
        return {name: grad for name, (weight, grad) in found.items() if weight is not None}


class LayerNormalization(AlongAxes, _Scaled):
    """Shifts and scales each example to mean `beta` and standard deviation `gamma` along `axis`.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    Mean and variance are those of the example itself, at each place along the other axes: with
    `axis=-1`, of the channels of one pixel. So training and prediction do the same, whatever the
    batch is. x is (batch, …). Weights: `gamma` and `beta`, each with the sizes of x along `axis`.

    The surprise: with `rms_scaling`, x is divided by the deviation around its mean, though the mean
    is not subtracted, and there is no beta, as in Keras, which calls this an old mistake. (Ba,
    Kiros and Hinton 2016, section 3.)
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = as_given(axis, self.label)
        self.rms_scaling = bool(rms_scaling)
        self._take(epsilon, center, scale, beta_initializer, gamma_initializer)

    def build(self, input_shape: Shape) -> None:
        self._find_sizes(input_shape)
        rms = self.rms_scaling
        self._add_weights(self._sizes, self.scale or rms, self.center and not rms)

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        last = self.built and self.weight_axes == (self._rank - 1,)
        return super().receptive_window() if last else None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        self._check(x.shape)
        y = functional.layer_normalization(
            x, *self._values, self.weight_axes, self.epsilon, self.rms_scaling, self.label
        )
        return y, {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        gamma, _ = self._values
        dx, dgamma, dbeta = functional.layer_normalization_backward(
            dz,
            cache["x"],
            gamma,
            self.weight_axes,
            self.epsilon,
            self.rms_scaling,
            need_dx,
            self.label,
        )
        return dx, self._grads(dgamma, dbeta)


class GroupNormalization(_Scaled):
    """Shifts and scales each group of channels of each example, over all of its places.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    The channels are cut into `groups` of equal size: 1 takes all together, -1 (or the count of
    channels) each by itself, which is instance normalization. Mean and variance are those of one
    group of one example, so small batches work as well as large ones (Wu and He 2018).

    x is (batch, …, channels). Weights: `gamma` and `beta`, (channels,) each.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups = groups if groups == -1 else shapes.positive_int(groups, "groups", self.label)
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"{self.label} expects axis to be an integer. Received {axis!r}.")
        self.axis = axis
        self._take(epsilon, center, scale, beta_initializer, gamma_initializer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 2 or self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(
                f"{self.label} normalizes the last axis: it expects axis=-1 and an input "
                f"(batch, ..., channels). Received axis={self.axis}, shape {input_shape}."
            )
        channels = known_channels(input_shape, self.label)
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ValueError(
                f"{self.label} expects channels divisible by {self.groups} groups. "
                f"Received {input_shape}."
            )
        self._add_weights((channels,), self.scale, self.center)
        self._channels = channels

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built and input_shape[-1] != self._channels:
            raise ValueError(
                f"{self.label} expects {self._channels} channels. Received {input_shape}."
            )
        return input_shape

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        return None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        self.compute_output_shape(x.shape)
        y = functional.group_normalization(x, self.groups, *self._values, self.epsilon, self.label)
        return y, {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        gamma, _ = self._values
        dx, dgamma, dbeta = functional.group_normalization_backward(
            dz, cache["x"], self.groups, gamma, self.epsilon, need_dx, self.label
        )
        return dx, self._grads(dgamma, dbeta)


class UnitNormalization(Layer):
    """y = x / sqrt(sum of x**2), the sum along `axis`: vectors of length 1. No weights.

    A vector shorter than 1e-12 is multiplied by 1e12, so 0 stays 0. x is (batch, …).
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = as_given(axis, self.label)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shapes.axes_of_examples(shapes.axes(self.axis, ""), input_shape, self.label)
        return input_shape

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        return super().receptive_window() if self.axis in (-1, (-1,)) else None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.unit_normalization(x, self.axis, name=self.label), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx = functional.unit_normalization_backward(dz, cache["x"], self.axis, name=self.label)
        return dx, {}
