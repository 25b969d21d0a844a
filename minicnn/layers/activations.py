"""Activations that are layers: Activation, Softmax, ReLU, LeakyReLU, ELU, PReLU."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import functional, initializers, shapes
from minicnn._support.variable import Variable
from minicnn.functional import by_name
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.core import PassingOn


class Activation(PassingOn):
    """y = activation(x), one of `minicnn.activations` by its name. No weights."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activation

    def as_activation(self) -> str | None:
        return self.activation_name


class Softmax(PassingOn):
    """y[..., k] = exp(x[..., k]) / sum over j of exp(x[..., j]): scores become probabilities.

    It works along `axis`, the last one by default. The largest x is subtracted first, which changes
    nothing and keeps exp from overflowing.
    """

    activation_name = "softmax"

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        whole = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)
        if not whole or axis == 0:
            raise ValueError(
                f"{self.label} expects axis to be an integer, and not 0, the batch. "
                f"Received {axis!r}."
            )
        self.axis = int(axis)
        if self.axis != -1:
            self.activation_name = "linear"  # until `build` sees which axis is the last

    def build(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        if not -rank < self.axis < rank:
            raise ValueError(
                f"{self.label} expects inputs that have an axis {self.axis} besides the batch. "
                f"Received {input_shape}."
            )
        self.activation_name = "softmax" if self.axis in (-1, rank - 1) else "linear"

    def as_activation(self) -> str | None:
        return "softmax" if self.axis == -1 else None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if self.activation_name == "softmax":
            return x, {}
        y = functional.softmax(np.moveaxis(x, self.axis, -1), self.label)
        y = np.ascontiguousarray(np.moveaxis(y, -1, self.axis))
        return y, {"y": y}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if self.activation_name == "softmax":
            return dz, {}
        dz, y = (np.moveaxis(a, self.axis, -1) for a in (dz, cache["y"]))
        dx = functional.softmax_backward(dz, np.ascontiguousarray(y), self.label)
        return np.ascontiguousarray(np.moveaxis(dx, -1, self.axis)), {}


class ReLU(Layer):
    """y = x above `threshold`, `negative_slope * (x - threshold)` below it, at most `max_value`.

    By default, y = max(x, 0); `ReLU(max_value=6)` is MobileNet's ReLU6. No weights.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for argument, value in (
            ("max_value", 0.0 if max_value is None else max_value),
            ("negative_slope", negative_slope),
            ("threshold", threshold),
        ):
            if not isinstance(value, (int, float)) or not value >= 0:
                raise ValueError(
                    f"{self.label} expects {argument} to be a number >= 0. Received {value!r}."
                )
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def as_activation(self) -> str | None:
        numbers = (self.max_value, self.negative_slope, self.threshold)
        most, slope, threshold = (None if n is None else float(n) for n in numbers)
        return by_name.named("relu", max_value=most, negative_slope=slope, threshold=threshold)

    @property
    def _corners(self) -> dict[str, Any]:
        return {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
            "name": self.label,
        }

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.relu(x, **self._corners), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.relu_backward(dz, cache["x"], **self._corners), {}


class LeakyReLU(Layer):
    """y = x above 0, `negative_slope * x` elsewhere. No weights.

    The surprise: the slope is 0.3 here, and 0.2 in `activation="leaky_relu"`, as in Keras.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:  # Keras 2's name
            negative_slope = kwargs.pop("alpha")
            warnings.warn("LeakyReLU's argument alpha is now called negative_slope.", stacklevel=2)
        super().__init__(**kwargs)
        if not shapes.is_number(negative_slope) or negative_slope < 0:
            raise ValueError(
                f"{self.label} expects negative_slope to be a number >= 0. "
                f"Received {negative_slope!r}."
            )
        self.negative_slope = float(negative_slope)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return the layer of a config; Keras 2's configs say `alpha`."""
        if "alpha" in config:
            config = {**config, "negative_slope": config["alpha"]}
            del config["alpha"]
        return super().from_config(config)

    def as_activation(self) -> str | None:
        return by_name.named("leaky_relu", negative_slope=self.negative_slope)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.leaky_relu(x, self.negative_slope, self.label), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.leaky_relu_backward(dz, cache["x"], self.negative_slope, self.label), {}


class ELU(Layer):
    """y = x above 0, `alpha * (exp(x) - 1)` elsewhere. No weights."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(shapes.number(alpha, "alpha", self.label))

    def as_activation(self) -> str | None:
        return by_name.named("elu", alpha=self.alpha)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.elu(x, self.alpha, self.label), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if not need_dx:
            return None, {}
        return functional.elu_backward(dz, cache["x"], self.alpha, self.label), {}


class PReLU(Layer):
    """y = x above 0, `alpha * x` elsewhere, with a learned alpha.

    Weight: `alpha`, one number for each number of an example, or shared along `shared_axes` (1: the
    rows, 2: the columns): `PReLU(shared_axes=[1, 2])` learns one for each channel, for images of
    any size (He et al. 2015).
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        several = isinstance(shared_axes, (tuple, list))
        axes: Any = shared_axes if several or shared_axes is None else [shared_axes]
        self.shared_axes = (
            None
            if axes is None
            else [shapes.positive_int(axis, "each of shared_axes", self.label) for axis in axes]
        )

    alpha: Variable

    def build(self, input_shape: Shape) -> None:
        shared = self.shared_axes or []
        if max(shared, default=0) >= len(input_shape):
            raise ValueError(
                f"{self.label} expects inputs with the axes shared_axes={self.shared_axes}. "
                f"Received {input_shape}."
            )
        sizes: Any = [1 if axis in shared else size for axis, size in enumerate(input_shape)][1:]
        if None in sizes:
            raise ValueError(
                f"{self.label} learns a number for each place: it expects known sizes, or "
                f"shared_axes that have the unknown ones. Received {input_shape}."
            )
        self.alpha = self.add_weight(tuple(sizes), self.alpha_initializer, name="alpha")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built:
            own = self.alpha.shape
            pairs = zip(own, input_shape[1:], strict=False)
            if len(own) != len(input_shape) - 1 or any(a not in (1, b) for a, b in pairs):
                raise ValueError(
                    f"{self.label} expects inputs that fit its alpha {own}. Received {input_shape}."
                )
        return input_shape

    def parameter_formula(self) -> str:
        return "·".join(str(size) for size in self.alpha.shape)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.prelu(x, self.alpha.value, self.label), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx, dalpha = functional.prelu_backward(dz, cache["x"], self.alpha.value, self.label)
        return dx if need_dx else None, {"alpha": dalpha} if self.trainable else {}
