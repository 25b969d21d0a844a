"""Functions of `keras.ops` as layers, which `x / y`, `x ** 2`, `1 / x` and `x[..., :3]` create.

Keras's files describe such a function as an operation without settings, and store its numbers among
the arguments of its call. `call_arguments` returns these.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.layers import symbols
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.merging import Merge
from minicnn.layers.symbols import KerasTensor

_LONGEST_KEY = 16


class Operation(Layer):
    """Base class of these layers. No weights."""

    keras_module = "keras.src.ops.numpy"
    keras_class_name: str  # the class there

    def call_arguments(self, inputs: list[Any]) -> list[Any]:
        """Return the arguments of Keras's call, given how its file describes the inputs."""
        return inputs

    def keras_config(self) -> dict[str, Any]:
        """Return the configuration that Keras's file has."""
        return {"name": self.name}


class Divide(Merge, Operation):
    """y = x0 / x1, element by element, of two inputs; `x / y` of symbols is this layer."""

    keras_class_name = "TrueDivide"
    operation = "divide"


class Reciprocal(Operation):
    """y = numerator / x, element by element; `1 / x` of a symbol is this layer."""

    keras_class_name = "TrueDivide"

    def __init__(self, numerator: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.numerator = float(shapes.number(numerator, "numerator", self.label))

    def call_arguments(self, inputs: list[Any]) -> list[Any]:
        return [self.numerator, *inputs]

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return x.dtype.type(self.numerator) / x, {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return -dz * dz.dtype.type(self.numerator) / cache["x"] ** 2, {}


class Power(Operation):
    """y = x ** exponent, element by element; `x ** 2` of a symbol is this layer.

    A root or another fraction of a number below 0 is NaN, as in NumPy and Keras.
    """

    keras_class_name = "Power"

    def __init__(self, exponent: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exponent = float(shapes.number(exponent, "exponent", self.label))

    def call_arguments(self, inputs: list[Any]) -> list[Any]:
        return [*inputs, self.exponent]

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        with np.errstate(all="ignore"):
            return x ** x.dtype.type(self.exponent), {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        exponent = dz.dtype.type(self.exponent)
        if exponent == 0:
            return np.zeros_like(dz), {}
        with np.errstate(all="ignore"):
            return dz * exponent * cache["x"] ** (exponent - 1), {}


class GetItem(Operation):
    """y = x[key], as NumPy slices: `x[..., :3]`, `x[:, 1:-1, ::2]`, `x[:, 0]`, `x[:, None]`.

    `key` has integers, slices, one `...`, and None for a new axis of size 1. The batch stays whole.
    Numbers that are left out get the gradient 0.
    """

    keras_class_name = "GetItem"

    def __init__(self, key: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        listed = list(key) if isinstance(key, (tuple, list)) else [key]
        self.key = tuple(_part(part, self.label) for part in listed)
        if self.key.count(Ellipsis) > 1:
            raise ValueError(f"{self.label} expects one ... in key. Received {key!r}.")
        if len(self.key) > _LONGEST_KEY:
            raise ValueError(
                f"{self.label} expects a key of at most {_LONGEST_KEY} parts. "
                f"Received {len(self.key)}."
            )

    def call_arguments(self, inputs: list[Any]) -> list[Any]:
        return [*inputs, [_described(part) for part in self.key]]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "key": [_described(part) for part in self.key]}

    def parts(self, rank: int) -> tuple[Any, ...]:
        """Return the key without `...`: a part for each axis of x, and None for each new one."""
        parts = list(self.key)
        if Ellipsis not in parts:
            parts.append(Ellipsis)
        named = sum(part is not None for part in parts) - 1
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (rank - named)
        if named > rank or parts[0] != slice(None):
            raise ValueError(
                f"{self.label} expects inputs that have the axes of its key, and keeps the whole "
                f"batch: [:, …]. Received key={self.key} for {rank} axes."
            )
        return tuple(parts)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        sizes: list[int | None] = []
        left = list(input_shape)
        for part in self.parts(len(input_shape)):
            if part is None:
                sizes.append(1)
                continue
            size = left.pop(0)
            if part == slice(None):
                sizes.append(size)
            elif isinstance(part, slice):
                sizes.append(None if size is None else len(range(*part.indices(size))))
            elif size is not None and not -size <= part < size:
                raise ValueError(
                    f"{self.label} expects inputs that have the place {part}. "
                    f"Received {input_shape}."
                )
        if 0 in sizes[1:]:
            raise ValueError(f"{self.label}'s key leaves nothing of inputs {input_shape}.")
        return tuple(sizes)

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        moves = any(part not in (slice(None), Ellipsis) for part in self.key[:-1])
        return None if moves or Ellipsis not in self.key else super().receptive_window()

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        self.compute_output_shape(x.shape)
        return x[self.parts(x.ndim)].copy(), {"x_shape": x.shape}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx = np.zeros(cache["x_shape"], dz.dtype)
        dx[self.parts(dx.ndim)] = dz
        return dx, {}


class Stack(Operation):
    """y = the inputs, all of one shape, side by side along a new axis; a file may name it.

    `axis` is an axis of y, but not the batch axis.
    """

    keras_class_name = "Stack"
    takes_list = True

    def __init__(self, axis: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) or isinstance(axis, bool) or axis == 0:
            raise ValueError(
                f"{self.label} expects axis to be an integer, and not 0, the batch. "
                f"Received {axis!r}."
            )
        self.axis = axis

    def call_arguments(self, inputs: list[Any]) -> list[Any]:
        return [inputs]

    def keras_config(self) -> dict[str, Any]:
        return {"name": self.name, "axis": self.axis}

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        found = [tuple(shape) for shape in input_shape]
        if len(set(found)) != 1 or not -len(found[0]) <= self.axis <= len(found[0]):
            raise ValueError(
                f"{self.label} expects inputs of one shape, with the axes for axis={self.axis}. "
                f"Received {found}."
            )
        sizes = list(found[0])
        at = self.axis if self.axis > 0 else len(sizes) + 1 + self.axis
        return (*sizes[:at], len(found), *sizes[at:])

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        return None

    def compute(self, x: list[Array], training: bool) -> tuple[Array, Kept]:
        self.compute_output_shape([a.shape for a in x])
        return np.stack(x, self.axis), {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return [part.copy() for part in np.moveaxis(dz, self.axis, 0)], {}


def _part(part: Any, who: str) -> Any:
    """Return a part of a key, which a file may describe."""
    if isinstance(part, dict):
        part = from_file(part)
    if part is None or part is Ellipsis:
        return part
    numbers = [part.start, part.stop, part.step] if isinstance(part, slice) else [part]
    whole = [n for n in numbers if n is not None]
    if any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) for n in whole) or (
        isinstance(part, slice) and part.step == 0
    ):
        raise ValueError(
            f"{who} expects key to have integers, slices of integers, ... and None. "
            f"Received {part!r}."
        )
    return (
        slice(*(None if n is None else int(n) for n in numbers)) if len(numbers) > 1 else whole[0]
    )


def from_file(part: dict[str, Any]) -> Any:
    """Return a part of a key that Keras 3, or Keras 2 (`{"start": …}`), describes."""
    config = part.get("config", part)
    if part.get("class_name") == "__ellipsis__":
        return Ellipsis
    if isinstance(config, dict) and set(config) == {"start", "stop", "step"}:
        return slice(config["start"], config["stop"], config["step"])
    return part


def _described(part: Any) -> Any:
    if part is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(part, slice):
        limits = {"start": part.start, "stop": part.stop, "step": part.step}
        return {"class_name": "__slice__", "config": limits}
    return part


OPERATIONS: dict[str, type[Operation]] = {
    cls.__name__: cls for cls in (Divide, GetItem, Power, Reciprocal, Stack)
}
"""By class name; the configuration of a model may name these, too."""


@symbols.operator("divide")
def _divide(inputs: Sequence[KerasTensor], dtype: str) -> Any:
    return Divide(dtype=dtype)(inputs)


@symbols.operator("reciprocal")
def _reciprocal(x: KerasTensor, numerator: Any) -> Any:
    return Reciprocal(numerator, dtype=x.dtype)(x)


@symbols.operator("power")
def _power(x: KerasTensor, exponent: Any) -> Any:
    return Power(exponent, dtype=x.dtype)(x)


@symbols.operator("get_item")
def _get_item(x: KerasTensor, key: Any) -> Any:
    return GetItem(key, dtype=x.dtype)(x)
