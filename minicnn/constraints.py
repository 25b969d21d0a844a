"""Constraints, under Keras's names: what a weight must be after each step of the optimizer.

    Conv2D(8, 3, kernel_constraint=MaxNorm(2, axis=(0, 1, 2)))

A constraint is a function from a weight to one of the same shape. It does not touch the initial
values of a weight; it is applied at the end of each step, as in Keras. The norm of weights is taken
along `axis`: 0 for the kernel of a Dense layer, whose units are its columns; (0, 1, 2) for that of
a Conv2D, whose filters are on the last axis.

Your own constraint can be any such function. To save it in a file, write a subclass of `Constraint`
with `__call__(self, w)` and `get_config(self)`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import config, shapes
from minicnn._support.settings import Configurable, made_from, serialized
from minicnn.compat import hints

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


Array = np.ndarray


class Constraint(Configurable):
    """Base class: `constraint(w)` returns an allowed weight that is close to w."""

    def __call__(self, w: Any) -> Array:
        return np.asarray(w)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this constraint, as Keras writes them."""
        return dict(vars(self))

    def _checked(self, argument: str, value: Any) -> Any:
        return shapes.number(value, argument, type(self).__name__, least=0)

    def _checked_axis(self, axis: Any) -> Any:
        several = isinstance(axis, (tuple, list))
        for number in axis if several else (axis,):
            if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
                raise ValueError(
                    f"{type(self).__name__} expects axis to be an integer, or several. "
                    f"Received {axis!r}."
                )
        return list(axis) if several else axis  # a list, as Keras's files have it

    def _norms(self, w: Array, axis: Any) -> Array:
        """Return the norm of w along the axes, which are kept with size 1."""
        axes = tuple(axis) if isinstance(axis, list) else axis
        try:
            return np.sqrt(np.square(w).sum(axis=axes, keepdims=True))
        except (ValueError, OverflowError):  # of NumPy, for an axis that w does not have
            raise ValueError(
                f"{type(self).__name__} expects a weight that has the axis {axis}. "
                f"Received shape {w.shape}."
            ) from None


class MaxNorm(Constraint):
    """Scales weights down to a norm of at most `max_value` (with Dropout: Srivastava et al. 2014).

        w * min(norm, max_value) / (norm + 1e-7)

    The surprise, as in Keras: because of the 1e-7, weights below the limit shrink a little, too.
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = self._checked("max_value", max_value)
        self.axis = self._checked_axis(axis)

    def __call__(self, w: Any) -> Array:
        norms = self._norms(np.asarray(w), self.axis)
        return _scaled(w, norms, np.clip(norms, 0, self.max_value))


class NonNeg(Constraint):
    """Sets negative weights to 0."""

    def __call__(self, w: Any) -> Array:
        return np.maximum(w, 0)


class UnitNorm(Constraint):
    """Scales weights to a norm of 1: w / (norm + 1e-7)."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = self._checked_axis(axis)

    def __call__(self, w: Any) -> Array:
        norms = self._norms(np.asarray(w), self.axis)
        return _scaled(w, norms, np.ones_like(norms))


class MinMaxNorm(Constraint):
    """Scales weights so that their norm lies between `min_value` and `max_value`.

        w * (rate * clip(norm, min_value, max_value) + (1 - rate) * norm) / (norm + 1e-7)

    With a `rate` below 1, the norm moves there over several steps.
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value = self._checked("min_value", min_value)
        self.max_value = self._checked("max_value", max_value)
        self.rate = self._checked("rate", rate)
        self.axis = self._checked_axis(axis)
        if min_value > max_value:
            raise ValueError(
                "MinMaxNorm expects min_value <= max_value. "
                f"Received min_value={min_value!r}, max_value={max_value!r}."
            )

    def __call__(self, w: Any) -> Array:
        norms = self._norms(np.asarray(w), self.axis)
        clipped = np.clip(norms, self.min_value, self.max_value)
        return _scaled(w, norms, self.rate * clipped + (1 - self.rate) * norms)


def _scaled(w: Any, norms: Array, desired: Array) -> Array:
    found: Array = w * (desired / (norms.dtype.type(config.epsilon()) + norms))
    return found


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

_CLASSES: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
    "min_max_norm": MinMaxNorm,
}
_BY_CLASS_NAME = {cls.__name__: cls for cls in _CLASSES.values()}


def get(identifier: Any) -> Callable[[Array], Any] | None:
    """Return a constraint from an object, a function of w, a name ("non_neg") or a saved config.

    None gives None. Raises `ValueError` for anything else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, type) and issubclass(identifier, Constraint):
        return identifier()
    found: Constraint | None = made_from(identifier, _CLASSES | _BY_CLASS_NAME)
    if found is not None:
        return found
    if callable(identifier) and not isinstance(identifier, type):
        function: Callable[[Array], Any] = identifier
        return function
    raise ValueError(
        "A constraint is an object of minicnn.constraints, a function of the weight, or one of "
        f"{', '.join(_CLASSES)}. Received {identifier!r}."
    )


def serialize(constraint: Any) -> dict[str, Any]:
    """Return the constraint as Keras writes it into a model's config.

    Raises `TypeError` for a function, which a file cannot hold.
    """
    if not isinstance(constraint, Constraint):
        raise TypeError(
            "A file cannot hold a constraint that is a function: write a subclass of "
            f"minicnn.constraints.Constraint. Received {constraint!r}."
        )
    return serialized(constraint, "keras.constraints")


def deserialize(config: Any) -> Callable[[Array], Any] | None:
    """Return a constraint from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
