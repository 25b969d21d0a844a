"""A weight: an array with a name, which layers hold and optimizers update."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.terminal import printable

Array = np.ndarray


class Variable:
    """One weight array with a name. `np.asarray(variable)` and `variable.numpy()` give its values.

    `value` is the array itself, which optimizers update in place. `is_parameter` tells a parameter
    (kernel, gamma) from a statistic (moving mean). `trainable = False` freezes this parameter until
    its layer is unfrozen; whether training updates it also depends on its layer's `trainable`.
    """

    def __init__(self, value: Array, name: str, layer_name: str, trainable: bool = True) -> None:
        self.value, self.name, self.trainable = value, name, trainable
        self.is_parameter = trainable
        self.path = f"{layer_name}/{name}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> str:
        return self.value.dtype.name

    def numpy(self) -> Array:
        """Return a copy of the values."""
        return self.value.copy()

    def assign(self, value: Any) -> None:
        """Copy `value` in; `ValueError` if its shape differs, `TypeError` if it has no numbers."""
        array, who = np.asarray(value), f'Variable "{self.path}"'
        shapes.check_numbers(array, "value", who)
        shapes.check_shape(array, self.shape, "value", who)
        self.value[...] = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype=dtype, copy=True if copy is None else copy)

    def __repr__(self) -> str:
        return f"<Variable path={printable(self.path)}, shape={self.shape}, dtype={self.dtype}>"


class Computed(Variable):
    """A weight that is a function of others, computed anew on each access.

    It cannot be assigned to, or trained.
    """

    def __init__(self, compute: Callable[[], Array], name: str, layer_name: str) -> None:
        self._compute, self.name, self.trainable = compute, name, False
        self.is_parameter = False
        self.path = f"{layer_name}/{name}"

    @property
    def value(self) -> Array:  # type: ignore[override]
        return self._compute()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._compute().shape

    def assign(self, value: Any) -> None:
        raise ValueError(
            f'Variable "{self.path}" is computed from other weights; assign to those instead.'
        )
