"""A weight: an array with a name, which layers hold and optimizers update."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.operators import Operators, no_gradient
from minicnn._support.terminal import printable
from minicnn._support.within import Within

Array = np.ndarray


class _Here(threading.local):
    """What this Python thread does with weights: only reads, keeps them, or records their use."""

    reading = False
    keeping = False
    tape: Any = None  # the `minicnn.ops.tape.Tape` that records


_here = _Here()


def reading() -> Within:
    """Promise that in this block the thread writes to no weight and keeps no weight's array."""
    return Within(_here, "reading", True)


def keeping(on: bool = True) -> Within:
    """Make `assign` do nothing in this thread within the block: a layer is only tried out.

    If `on` is False, it assigns: what a trial builds stays.
    """
    return Within(_here, "keeping", on)


def recording(tape: Any) -> Within:
    """Record this thread's operations within the block on the tape; on none if it is None."""
    return Within(_here, "tape", tape)


def recorder() -> Any:
    """Return the tape that records in this Python thread; None if none does."""
    return _here.tape


class Variable(Operators):
    """One weight array with a name. `np.asarray(variable)` and `variable.numpy()` give its values.

    `value` is the array itself, which optimizers update in place; `taken` counts how often it was
    asked for, except by a network that computes (`reading`). `is_parameter` tells a parameter
    (kernel, gamma) from a statistic (moving mean). `trainable = False` freezes this parameter until
    its layer is unfrozen; whether training updates it also depends on its layer's `trainable`.

    `regularizer` and `constraint` may be assigned: an object of `minicnn.regularizers`, whose
    penalty is added to the loss, and a function of the values that is applied at the end of each
    step of the optimizer.
    """

    regularizer: Any = None
    constraint: Any = None

    def __init__(self, value: Array, name: str, layer_name: str, trainable: bool = True) -> None:
        self._value, self.name, self.trainable = value, name, trainable
        self.taken = 0
        self.is_parameter = trainable
        self.path = f"{layer_name}/{name}"

    @property
    def value(self) -> Array:
        """The array itself."""
        if not _here.reading:
            self.taken += 1
        return self._value

    @value.setter
    def value(self, value: Array) -> None:
        self.taken += 1
        self._value = value

    def holders(self) -> int:
        """Return Python's reference count of the array."""
        return sys.getrefcount(self._value)

    def is_equal(self, copy: Array) -> bool:
        """Return whether the array is `copy`, bit for bit; so NaN is equal to itself."""
        found, bits = self._value, f"u{copy.itemsize}"
        if (found.shape, found.dtype) != (copy.shape, copy.dtype) or not found.flags.c_contiguous:
            return np.array_equal(copy, found, equal_nan=True)
        return bool((found.view(bits) == copy.view(bits)).all())

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape

    @property
    def dtype(self) -> str:
        return self._value.dtype.name

    @property
    def nbytes(self) -> int:
        return self._value.nbytes

    def numpy(self) -> Array:
        """Return a copy of the values."""
        with reading():
            return self.value.copy()

    def assign(self, value: Any) -> None:
        """Copy `value` in; `ValueError` if its shape differs, `TypeError` if it has no numbers."""
        array, who = np.asarray(_given(value)), f'Variable "{self.path}"'
        shapes.check_numbers(array, "value", who)
        shapes.check_shape(array, self.shape, "value", who)
        if _here.keeping:
            return
        if _here.tape is None:
            self.value[...] = array
        else:  # what the tape has recorded still needs the old array
            self.value = np.array(array, self.dtype)

    def assign_add(self, value: Any) -> None:
        """Add `value` to the values."""
        self.assign(self.numpy() + np.asarray(_given(value)))

    def assign_sub(self, value: Any) -> None:
        """Subtract `value` from the values."""
        self.assign(self.numpy() - np.asarray(_given(value)))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if _here.tape is not None:
            return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        return getattr(ufunc, method)(*map(_given, inputs), **kwargs)

    def penalty(self) -> float:
        """Return what the regularizer adds to the loss."""
        found: float = self.regularizer.forward(self.value, self.path)
        return found

    def dpenalty(self) -> Array:
        """Return d penalty / d value."""
        found: Array = self.regularizer.backward(self.value, self.path)
        return found

    def constrain(self) -> None:
        """Apply the constraint to the values."""
        if self.constraint is not None:
            self.assign(self.constraint(self.value))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if _here.tape is not None and self.trainable:
            raise TypeError(no_gradient(f'NumPy\'s function of the weight "{self.path}"'))
        with reading():
            value = self.value
        return np.array(value, dtype=dtype, copy=True if copy is None else copy)

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __repr__(self) -> str:
        return f"<Variable path={printable(self.path)}, shape={self.shape}, dtype={self.dtype}>"


def _given(value: Any) -> Any:
    """Return the array of a weight or of a recorded tensor; anything else as it is."""
    return value.value if isinstance(value, Operators) else value


class Computed(Variable):
    """A weight that is a function of other weights, computed anew on each access.

    It cannot be assigned to, or trained.
    """

    def __init__(self, compute: Callable[[], Array], name: str, layer_name: str) -> None:
        self._compute, self.name, self.trainable = compute, name, False
        self.is_parameter = False
        self.path = f"{layer_name}/{name}"

    @property  # type: ignore[misc]
    def value(self) -> Array:
        return self._compute()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._compute().shape

    def assign(self, value: Any) -> None:
        raise ValueError(
            f'Variable "{self.path}" is computed from other weights; assign to those instead.'
        )
