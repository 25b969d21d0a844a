"""Finds gradients of losses that do not define them: functions, and classes with only `call`.

A tape records what they compute with `minicnn.ops` (`minicnn.ops.tape`), and goes back through it.
"""

from typing import Any

import numpy as np

from minicnn._support.values import protected
from minicnn.ops.operation import check_ours
from minicnn.ops.tape import Tape, Tensor, summed_to

Array = np.ndarray


def slopes(loss: Any, y_true: Array, y_pred: Array, factor: Array) -> Array:
    """Return d value / d y_pred of a loss without a `gradient`, by a tape.

    `factor` has the weight of each example's loss in the value. An example's loss may also depend
    on the predictions for others. Raises `NotImplementedError` if its `call` computes with what a
    tape cannot record.
    """
    tape = Tape()
    try:
        with tape:
            given = tape.watch(y_pred)
            value = loss.call(protected(y_true), given)
    except (TypeError, AttributeError) as error:
        who = loss._without_gradient()
        raise NotImplementedError(f"{who} cannot be recorded on a tape. {error}") from error
    if not isinstance(value, Tensor):
        check_ours(value)
        raise NotImplementedError(
            f"{loss.name} is not a function of the predictions that a tape can follow: it expects "
            f"call to compute with minicnn.ops. Received {type(value).__name__}."
        )
    (dy,) = tape.gradients([(value, summed_to(factor, value.shape))], [given])
    return np.zeros_like(y_pred) if dy is None else np.ascontiguousarray(dy)
