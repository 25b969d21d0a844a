"""Losses of masks measure how little a predicted mask overlaps the true one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.losses.base import Array, Loss


class Tversky(Loss):
    """The loss is 1 - I / (I + alpha * F + beta * M + 1e-7), of masks t and y between 0 and 1.

    I = sum of t * y is the overlap, F = sum of t * (1 - y), M = sum of y * (1 - t). The sums are
    over `axis`; by default over everything, the batch included, which gives one loss for the batch.
    """

    # The overlap and its divisor are linear in y: `_sums` returns both.

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.alpha = float(shapes.number(alpha, "alpha", type(self).__name__))
        self.beta = float(shapes.number(beta, "beta", type(self).__name__))
        axes = axis if isinstance(axis, (list, tuple)) else [] if axis is None else [axis]
        if not all(isinstance(a, int) and not isinstance(a, bool) for a in axes):
            raise ValueError(
                f"{type(self).__name__} expects axis to be an integer, several, or None. "
                f"Received {axis!r}."
            )
        self.axis = axis

    @classmethod
    def _default_name(cls) -> str:
        return "tversky"

    def axes(self, rank: int) -> tuple[int, ...]:
        """Return the axes over which masks of this rank are summed."""
        if self.axis is None:
            return tuple(range(rank))
        found = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        if not all(-rank <= a < rank for a in found):
            raise ValueError(
                f"{type(self).__name__} with axis={self.axis} expects predictions with these axes. "
                f"Received predictions with {rank}."
            )
        return tuple(sorted({a % rank for a in found}))

    def _sums(self, t: Array, y: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
        overlap = (t * y).sum(axis=axes)
        false, missed = (t * (1 - y)).sum(axis=axes), (y * (1 - t)).sum(axis=axes)
        epsilon = y.dtype.type(functional.EPSILON)
        return overlap, overlap + false * self.alpha + missed * self.beta + epsilon

    def whole(self, t: Array, y: Array) -> tuple[float, float]:
        """Return the overlap of two masks, and its divisor."""
        above, below = self._sums(t, y, tuple(range(y.ndim)))
        return float(above), float(below)

    def rates(self, t: Array) -> tuple[Array, Array]:
        """Return how much each y adds to the overlap, and to its divisor."""
        return t, t - self.alpha * t + self.beta * (1 - t)

    def each_loss(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        above, below = self._sums(y_true, y_pred, self.axes(y_pred.ndim))
        return np.asarray(1 - above / below, y_pred.dtype)

    def _gradient(self, y_true: Array, y_pred: Array, from_logits: bool) -> Array:
        axes = self.axes(y_pred.ndim)
        above, below = (np.expand_dims(part, axes) for part in self._sums(y_true, y_pred, axes))
        rise, grow = self.rates(y_true)
        found: Array = (above / below * grow - rise) / below
        return found.astype(y_pred.dtype)

    def _check_own_axes(self, losses: Array, y_pred: Array) -> None:
        pass  # the axes may be any

    def _spread(self, factor: Array, y_pred: Array) -> Array:
        if self.axis is None:  # one loss, weighted by each example's weight
            return np.asarray(factor.sum())
        return np.expand_dims(factor, self.axes(y_pred.ndim))

    def get_config(self) -> dict[str, Any]:
        axis = list(self.axis) if isinstance(self.axis, tuple) else self.axis
        return {
            "name": self.name,
            "reduction": self.reduction,
            "alpha": self.alpha,
            "beta": self.beta,
            "axis": axis,
        }


class Dice(Tversky):
    """The loss is 1 - 2 * sum of t * y / (sum of t + sum of y + 1e-7), of masks t and y.

    The sums are over `axis`; by default over everything, the batch included, which gives one loss
    for the batch.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name, axis=axis)

    @classmethod
    def _default_name(cls) -> str:
        return "dice"

    def _sums(self, t: Array, y: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
        below = t.sum(axis=axes) + y.sum(axis=axes) + y.dtype.type(functional.EPSILON)
        return 2 * (t * y).sum(axis=axes), below

    def rates(self, t: Array) -> tuple[Array, Array]:
        return 2 * t, np.ones_like(t)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {key: config[key] for key in ("name", "reduction", "axis")}
