"""Losses of one's own that say nothing of gradients: functions, and classes with `call` alone.

What they compute with `minicnn.ops` a tape records (`minicnn.ops.tape`), and goes back through it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.losses.base import Array, Loss
from minicnn.ops.operation import check_ours
from minicnn.ops.tape import Tape, Tensor, summed_to

Function = Callable[[Any, Any], Any]


class LossFunctionWrapper(Loss):
    """The loss of a function f(y_true, y_pred), which returns one number for each example, or one.

    Targets need not have the shape of the predictions: the function says what it takes.
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

    def get_config(self) -> dict[str, Any]:
        """Return the function's name under "fn", as Keras writes it."""
        return {"name": self.name, "reduction": self.reduction, "fn": self.fn, **self.options}


def slopes(loss: Loss, y_true: Array, y_pred: Array, factor: Array) -> Array:
    """Return d value / d y_pred of a loss without a `gradient`, by a tape.

    `factor` has what each example's loss counts in the value. An example's loss may depend on the
    predictions for others, too. Raises `NotImplementedError` if its `call` computes with what a
    tape cannot record.
    """
    tape = Tape()
    try:
        with tape:
            given = tape.watch(y_pred)
            value = loss.call(y_true, given)  # type: ignore[arg-type]
    except (TypeError, AttributeError) as error:
        own = isinstance(loss, LossFunctionWrapper)
        who = f"The loss {loss.name}" if own else f"{type(loss).__name__} has no gradient, and"
        raise NotImplementedError(f"{who} cannot be recorded on a tape. {error}") from error
    if not isinstance(value, Tensor):
        check_ours(value)
        raise NotImplementedError(
            f"{loss.name} is no function of the predictions that a tape can follow: it expects "
            f"call to compute with minicnn.ops. Received {type(value).__name__}."
        )
    (dy,) = tape.gradients([(value, summed_to(factor, value.shape))], [given])
    return np.zeros_like(y_pred) if dy is None else np.ascontiguousarray(dy)
