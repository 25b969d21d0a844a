"""Explains Dice and Tversky: the loss of a mask, and its gradient, are sums over the whole mask."""

from typing import Any

import numpy as np

from minicnn import losses
from minicnn.explain import show
from minicnn.explain.arithmetic import find_spot, trouble
from minicnn.explain.explanation import (
    Explanation,
    Step,
    UnknownError,
    exact_sum,
    make_gradient_terms,
    make_terms,
)
from minicnn.training import LossOfPass

Array = np.ndarray


def explain_loss(found: LossOfPass, loss: losses.Tversky, example: int, at: Any) -> Explanation:
    """Explain 1 - overlap / size, with a term for each pixel of the overlap."""
    each = np.asarray(loss.each_loss(found.cache["y_true"], found.cache["y_pred"], False))
    where: tuple[int, ...] = ()
    if each.ndim:
        spot = find_spot(type(loss).__name__, each, at, example, "losses")
        where = (spot.example, *spot.at)
    t, y, share = _masks(found, loss, where)
    above, below = loss.whole(t, y)
    rise, _ = loss.rates(t)
    terms = make_terms(np.argwhere(np.ones(y.shape, bool)), y.ravel(), -rise.ravel() / below)
    result = exact_sum([*terms.product.tolist(), 1.0])
    return Explanation(
        name=type(loss).__name__,
        layer=None,
        what="loss",
        at=where[1:],
        example=where[0] if where else None,
        formula=f"loss = 1 - {show.number(above)} / {show.number(below)},  above the overlap of "
        "the masks, a term for each pixel",
        terms=terms,
        steps=[Step("loss", "1 + the total", result)],
        value=float(each[where]),
        result=result,
        notes=[f"In the loss of the batch, {show.number(found.value)}, this one is multiplied by "
               f"{show.number(share)}.", *trouble(None, terms)],
        magnitude=2 + float(np.abs(terms.product).sum()),
        epsilon=float(np.finfo(each.dtype).eps),
    )  # fmt: skip


def explain_gradient(
    found: LossOfPass, loss: losses.Tversky, dy: Array, example: int, at: Any
) -> Explanation:
    """Explain the gradient of one pixel, which adds to the overlap and to its divisor."""
    spot = find_spot(type(loss).__name__, dy, at, example, "gradients")
    full = (spot.example, *spot.at)
    axes = loss.axes(dy.ndim)
    where = tuple(index for axis, index in enumerate(full) if axis not in axes)
    t, y, share = _masks(found, loss, where)
    above, below = loss.whole(t, y)
    rise, grow = (
        float(part) for part in loss.rates(found.cache["y_true"][full].astype(np.float64))
    )
    factors = np.array([above / below * grow / below, -rise / below])
    places = np.tile(np.array(spot.at, np.intp), (2, 1))
    terms = make_gradient_terms(spot.example, places, share, factors, places)
    return Explanation(
        name=type(loss).__name__,
        layer=None,
        what="dy",
        at=spot.at,
        example=spot.example,
        formula=f"dy = ({show.number(above)} / S·{show.number(grow)} - {show.number(rise)}) / S"
        f"·weight,  S = {show.number(below)}",
        terms=terms,
        value=float(dy[full]),
        result=exact_sum(terms.product.tolist()),
        notes=[f"The weight {show.number(share)} is the mask's share in the loss.",
               *trouble(None, terms)],
        epsilon=float(np.finfo(dy.dtype).eps) * 4,
    )  # fmt: skip


def _masks(
    found: LossOfPass, loss: losses.Tversky, where: tuple[int, ...]
) -> tuple[Array, Array, float]:
    """Return the masks of one loss, in float64, and its share in the loss of the batch."""
    cache = found.cache
    t, y = (cache[name].astype(np.float64) for name in ("y_true", "y_pred"))
    if not where:
        return t, y, float(np.sum(cache["factor"]))
    axes = loss.axes(y.ndim)
    kept = [axis for axis in range(y.ndim) if axis not in axes]
    if kept[0] != 0:
        raise UnknownError(
            f"{type(loss).__name__} is explained for each example, or for the whole batch. "
            f"Received axis={loss.axis}."
        )
    pick: list[Any] = [slice(None)] * y.ndim
    for axis, index in zip(kept, where, strict=True):
        pick[axis] = slice(index, index + 1)
    return t[tuple(pick)], y[tuple(pick)], float(cache["factor"][where])
