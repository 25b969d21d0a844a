"""Losses that are users' own functions; `taped` finds their gradients."""

from collections.abc import Callable
from typing import Any

from minicnn import shapes
from minicnn.losses.base import Array, Loss

Function = Callable[[Any, Any], Any]


class LossFunctionWrapper(Loss):
    """The loss of a function f(y_true, y_pred), which returns one number per example, or one.

    Targets need not have the shape of the predictions: the function decides what it takes.
    """

    def __init__(
        self,
        fn: Function,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not callable(fn):
            raise ValueError(f"LossFunctionWrapper expects a function. Received {fn!r}.")
        super().__init__(reduction=reduction, name=name or getattr(fn, "__name__", "loss"))
        self.fn, self.options = fn, kwargs

    def call(self, y_true: Array, y_pred: Any) -> Any:
        """Return what the function returns."""
        return self.fn(y_true, y_pred, **self.options)

    def _check(self, y_true: Array, y_pred: Array) -> Array:
        who = type(self).__name__
        shapes.check_numbers(y_true, "targets", who)
        if len(y_true) != len(y_pred):
            raise ValueError(
                f"{self.name} expects targets for {len(y_pred)} examples. Received {len(y_true)}."
            )
        self._check_range(y_true)
        if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., None]
        return y_true if y_true.dtype.kind in "iub" else y_true.astype(y_pred.dtype)

    def _check_own_axes(self, losses: Array, y_pred: Array) -> None:
        if len(losses) != len(y_pred):
            super()._check_own_axes(losses, y_pred)

    def _without_gradient(self) -> str:
        return f"The loss {self.name}"

    def get_config(self) -> dict[str, Any]:
        """Return the function's name under "fn", as Keras writes it."""
        return {"name": self.name, "reduction": self.reduction, "fn": self.fn, **self.options}
