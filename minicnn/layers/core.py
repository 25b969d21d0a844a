"""Dense, and the layers that pass on, move or rescale numbers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import functional, initializers, regularizers, shapes
from minicnn._support.settings import plain
from minicnn._support.variable import Variable
from minicnn.layers.base import (
    Array,
    Cache,
    Grads,
    Kept,
    Layer,
    Shape,
)
from minicnn.layers.convolutional import add_bias, kernel_grads, known_channels
from minicnn.layers.symbols import KerasTensor, Node


class PassingOn(Layer):
    """y = activation(x): a layer that computes nothing else."""

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return x, {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return dz, {}


class InputLayer(PassingOn):
    """The start of a graph: a shape, without computation. `Input` makes it."""

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        doubly = batch_shape is not None and batch_size is not None
        if (shape is None) == (batch_shape is None) or doubly:
            raise ValueError(
                "Input expects shape=(height, width, channels) and optionally batch_size; or "
                f"batch_shape, which has both. Received shape={shape!r}, "
                f"batch_size={batch_size!r}, batch_shape={batch_shape!r}."
            )
        sizes = (batch_size, *_sizes(shape)) if shape is not None else tuple(_sizes(batch_shape))
        self.batch_shape: Shape = tuple(
            None if size is None else shapes.positive_int(size, "each size of shape", "Input")
            for size in sizes
        )
        self.built = True
        self._start_a_graph()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start_a_graph()

    def _start_a_graph(self) -> None:
        """Create the only node, whose output is the symbol that `Input` returns."""
        node = Node(self, [], None, True)
        node.outputs = [KerasTensor(self.batch_shape, self.dtype, node)]

    @classmethod
    def argument_names(cls) -> list[str]:
        return ["batch_shape"]  # the one that a config has: it includes the others

    @classmethod
    def penalty_settings(cls) -> list[str]:
        return []


def _sizes(shape: Any) -> list[int | None]:
    if isinstance(shape, (tuple, list)):
        return list(shape)
    raise ValueError(f"Input expects shape to be a tuple such as (32, 32, 3). Received {shape!r}.")


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    **unknown: Any,
) -> KerasTensor:
    """Return a symbol for a model's input: `Input((150, 150, 3))`. None means an unknown size.

    `batch_shape` starts with the batch size and replaces `shape` and `batch_size`.
    """
    for argument, value in unknown.items():
        if argument not in ("optional", "ragged", "sparse", "tensor") or value:
            InputLayer._refuse(argument)
    layer = InputLayer(
        shape=shape, batch_size=batch_size, dtype=dtype, batch_shape=batch_shape, name=name
    )
    return layer.nodes[0].outputs[0]


class Dense(Layer):
    """y = activation(x @ kernel + bias): each unit is a weighted sum of all features.

        z[..., u] = bias[u] + sum over k of x[..., k] * kernel[k, u]

    (batch, …, features) to (batch, …, units). Weights: `kernel` (features, units), `bias` (units,).
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = shapes.positive_int(units, "units", self.label)
        self.activation = activation
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        _check_features(input_shape, None, self.label)
        features = known_channels(input_shape, self.label)
        self.kernel = self.add_weight(
            (features, self.units), self.kernel_initializer, name="kernel"
        )
        self.bias = add_bias(self, self.units)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        _check_features(input_shape, self.kernel.shape[0] if self.built else None, self.label)
        return (*input_shape[:-1], self.units)

    def parameter_formula(self) -> str:
        return f"({self.kernel.shape[0]}{'+1' if self.use_bias else ''})·{self.units}"

    def multiply_adds(self, input_shape: Shape) -> int | None:
        positions = shapes.product(input_shape[1:-1])
        return None if positions is None else positions * math.prod(self.kernel.shape)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        b = None if self.bias is None else self.bias.value
        return functional.dense(x, self.kernel.value, b, name=self.label), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx, dw, db = functional.dense_backward(
            dz, cache["x"], self.kernel.value, need_dx, self.trainable, self.label
        )
        return dx, kernel_grads(dw, db, self)


def _check_features(input_shape: Shape, features: int | None, who: str) -> None:
    if len(input_shape) < 2 or (features is not None and input_shape[-1] != features):
        wanted = "features" if features is None else features
        raise ValueError(f"{who} expects an input (batch, ..., {wanted}). Received {input_shape}.")


class ActivityRegularization(PassingOn):
    """y = x, with a penalty on x in the loss, for each example: l1 * sum |x| + l2 * sum x².

    It does as a layer what `activity_regularizer` does for any layer. No weights.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        try:
            self.activity_regularizer = regularizers.L1L2(l1, l2)
        except ValueError as error:
            raise ValueError(f"{self.label}: {error}") from error
        self.l1, self.l2 = l1, l2

    @classmethod
    def penalty_settings(cls) -> list[str]:
        return []  # l1 and l2 say it


class Identity(PassingOn):
    """y = x. It is a placeholder for a layer that some variants of a model have. No weights."""


class Flatten(Layer):
    """Reshapes (batch, height, width, channels) to (batch, height * width * channels)."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape[0], shapes.product(input_shape[1:])

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return dz.reshape(cache["x_shape"]), {}


class Reshape(Layer):
    """Gives the same numbers, in C order, another shape; one size may be -1, which is computed."""

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        several = isinstance(target_shape, (tuple, list, np.ndarray))
        target = tuple(
            size
            if size == -1
            else shapes.positive_int(size, "each size of target_shape", self.label)
            for size in plain(tuple(target_shape) if several else (target_shape,))
        )
        if target.count(-1) > 1:
            raise ValueError(f"{self.label} expects at most one -1. Received {target_shape!r}.")
        self.target_shape = target

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        count = shapes.product(input_shape[1:])
        if count is None:
            return (input_shape[0], *(None if size == -1 else size for size in self.target_shape))
        return (input_shape[0], *self._resolve(count, input_shape))

    def _resolve(self, count: int, input_shape: Shape) -> tuple[int, ...]:
        known = math.prod(size for size in self.target_shape if size != -1)
        if count % known or (-1 not in self.target_shape and count != known):
            raise ValueError(
                f"{self.label} expects inputs that fit target_shape={self.target_shape}. "
                f"Received {input_shape}."
            )
        return tuple(count // known if size == -1 else size for size in self.target_shape)

    def receptive_window(self) -> tuple[shapes.Pair, shapes.Pair, shapes.Pair] | None:
        return None

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        target = self._resolve(math.prod(x.shape[1:]), x.shape)
        return x.reshape(x.shape[0], *target), {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return dz.reshape(cache["x_shape"]), {}


class Rescaling(Layer):
    """y = x * scale + offset: `Rescaling(1/255)` maps pixels 0…255 to 0…1. No weights.

    `scale` and `offset` are numbers, or have one number for each channel. x may have integers, such
    as a photo's uint8 pixels; y is always of the layer's dtype.
    """

    takes_integers = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = _numbers(scale, "scale", self.label)
        self.offset = _numbers(offset, "offset", self.label)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        return functional.rescaling(x, self.scale, self.offset, self.label), {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return functional.rescaling_backward(dz, self.scale, self.label), {}


def _numbers(value: Any, argument: str, who: str) -> Any:
    """Return a finite number or a list of them, as a config can hold it; else `ValueError`."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim > 1 or not np.isfinite(array).all():
        raise ValueError(
            f"{who} expects {argument} to be a number, or one for each channel. Received {value!r}."
        )
    return array.astype(float).tolist()
