"""Explains the loss of one example, term by term, and the gradient that backward begins with.

A cross-entropy's terms are made here; other losses define their own terms
(`minicnn.losses.base.Termwise`), and the overlap of masks is a sum over the whole mask.
"""

import copy
from typing import Any

import numpy as np

from minicnn import functional, losses
from minicnn.explain import overlap, show
from minicnn.explain.arithmetic import find_spot, trouble
from minicnn.explain.explanation import (
    Explanation,
    Step,
    UnknownError,
    exact_sum,
    make_gradient_terms,
    make_terms,
)
from minicnn.losses.base import Termwise
from minicnn.training import LossOfPass

Array = np.ndarray

_CLASSES = (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy)


def explain_loss(found: LossOfPass, example: int = 0, at: Any = ()) -> Explanation:
    """Explain the loss of one example, such as `- Σ t·log p`, each class a term.

    `at` is a place among several predictions of an example (a map of classes), else ().
    """
    loss, cache = found.loss, found.cache
    if isinstance(loss, losses.Tversky):
        return overlap.explain_loss(found, loss, example, at)
    _check_known(loss)
    _check_axis(loss, cache["y_pred"])
    alone = copy.copy(loss)
    alone.reduction = "none"
    each, _ = alone.forward(found.targets, cache["y_pred"], from_logits=cache["from_logits"])
    each = np.asarray(each)
    spot = find_spot(type(loss).__name__, each, at, example, "losses")
    where = (spot.example, *spot.at)
    t, y = _target(loss, cache, where), cache["y_pred"][where].astype(np.float64)
    if isinstance(loss, _CLASSES):
        logs, steps, made = _log_probabilities(loss, y, cache)
        inputs, weights, formula = logs, -t, f"loss = - Σ t[k]·log p[k],  {made}"
    elif isinstance(loss, losses.BinaryCrossentropy):
        inputs, formula = _binary_losses(t, y, cache)
        weights, steps = np.full(len(t), 1 / len(t)), []
    else:
        assert isinstance(loss, Termwise)
        inputs, weights, steps, formula = _terms_of(loss, t, y, cache)
    products = np.where(weights == 0, 0.0, inputs * weights)
    terms = make_terms(np.arange(len(t))[:, None], inputs, weights, products)
    total = exact_sum(terms.product.tolist())
    share = _share(cache, where)
    return Explanation(
        name=type(loss).__name__,
        layer=None,
        what="loss",
        at=spot.at,
        example=spot.example,
        formula=formula,
        terms=terms,
        value=float(each[where]),
        steps=steps,
        result=total,
        notes=[
            f"In the loss of the batch, {show.number(found.value)}, this one is multiplied by "
            f"{show.number(share)} ({_reduction(loss, each)}).",
            *trouble(None, terms),
        ],
        magnitude=float(np.abs(terms.product).sum() + np.abs(y).max(initial=0.0)),
        epsilon=float(np.finfo(each.dtype).eps),
    )


def _check_axis(loss: losses.Loss, y_pred: Array) -> None:
    if isinstance(loss, losses.CosineSimilarity) and loss.axis not in (-1, y_pred.ndim - 1):
        raise UnknownError(
            "CosineSimilarity is explained along the last axis, axis=-1. "
            f"Received axis={loss.axis}."
        )


def _limits(y_pred: Array) -> tuple[float, float]:
    """Return the limits of probabilities, 1e-7 and 1 - 1e-7, as y_pred's dtype has them."""
    number = y_pred.dtype.type
    return float(number(functional.EPSILON)), float(number(1 - functional.EPSILON))


def _check_known(loss: losses.Loss) -> None:
    known = (*_CLASSES, losses.BinaryCrossentropy, Termwise)
    if not isinstance(loss, known):
        kinds = [cls for cls in losses.LOSSES.values() if issubclass(cls, (*known, losses.Tversky))]
        raise UnknownError(
            f"{type(loss).__name__} is a loss that minicnn.explain does not know. It knows "
            f"{', '.join(cls.__name__ for cls in kinds)}."
        )


def _reduction(loss: losses.Loss, each: Array) -> str:
    if loss.reduction == "sum_over_batch_size":
        return f"the mean over {show.count(each.size, 'example')}"
    return f'reduction="{loss.reduction}"'


def _target(loss: losses.Loss, cache: dict[str, Any], where: tuple[int, ...]) -> Array:
    """Return the target with label smoothing, as the loss uses it; a `Termwise` does it itself."""
    t: Array = cache["y_true"][where].astype(np.float64)
    if isinstance(loss, Termwise):
        return t
    classes = 2 if isinstance(loss, losses.BinaryCrossentropy) else len(t)
    smooth: Array = t * (1 - loss.label_smoothing) + loss.label_smoothing / classes
    return smooth


def _log_probabilities(
    loss: losses.Loss, y: Array, cache: dict[str, Any]
) -> tuple[Array, list[Step], str]:
    """Return log p of all classes, the steps to it, and how p is computed."""
    if cache["from_logits"]:
        m = float(y.max())
        with np.errstate(invalid="ignore"):
            powers = np.exp(y - m)
        total = exact_sum(powers.tolist())
        log_total = float(np.log(total))
        steps = [
            Step("m", "the largest score", m, y),
            Step("S", "Σ over the classes of exp(z[j] - m)", total, powers),
            Step("log S", "", log_total),
        ]
        return y - m - log_total, steps, "log p[k] = z[k] - m - log S"
    low, high = _limits(cache["y_pred"])
    with np.errstate(invalid="ignore", divide="ignore"):
        if isinstance(loss, losses.SparseCategoricalCrossentropy):
            kept = np.clip(y, low, high)
            q = kept / kept.sum()
            total = float(kept.sum())
        else:
            total = float(y.sum())
            q = np.clip(y / total, low, high)
        logs = np.log(q)
    steps = [Step("Σ p", "the probabilities' sum, by which they are divided", total, y)]
    return logs, steps, f"p kept within [{low:g}, {high!r}]"


def _binary_losses(t: Array, y: Array, cache: dict[str, Any]) -> tuple[Array, str]:
    n = len(t)
    if cache["from_logits"]:
        each = np.maximum(y, 0) - y * t + np.log1p(np.exp(-np.abs(y)))
        return each, f"loss = Σ (max(z, 0) - z·t + log(1 + exp(-|z|))) / {n}"
    p = np.clip(y, *_limits(cache["y_pred"]))
    return -t * np.log(p) - (1 - t) * np.log(
        1 - p
    ), f"loss = Σ (- t·log p - (1 - t)·log(1 - p)) / {n}"


def _terms_of(
    loss: Termwise, t: Array, y: Array, cache: dict[str, Any]
) -> tuple[Array, Array, list[Step], str]:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        inputs = loss.terms(t, y, cache["from_logits"])
    share = 1 / len(t) if loss.averaged else 1.0
    formula = (
        f"loss = Σ {loss.formula}" if not loss.averaged else f"loss = Σ ({loss.formula}) / {len(t)}"
    )
    return inputs, np.full(len(t), share), [], formula


# -- its gradient ------------------------------------------------------------------------------


def explain_loss_gradient(found: LossOfPass, at: Any, example: int = 0) -> Explanation:
    """Explain the gradient of one prediction: `(p - t)·weight`, if that is the formula.

    The prediction is the score (logit) if the loss works with scores, else the probability.
    """
    loss, cache = found.loss, found.cache
    dy = loss.backward(cache)
    if isinstance(loss, losses.Tversky):
        return overlap.explain_gradient(found, loss, dy, example, at)
    _check_known(loss)
    _check_axis(loss, dy)
    spot = find_spot(type(loss).__name__, dy, at, example, "gradients")
    *before, k = spot.at
    where = (spot.example, *before)
    t, y = _target(loss, cache, where), cache["y_pred"][where].astype(np.float64)
    share, logits = _share(cache, where), cache["from_logits"]
    if isinstance(loss, losses.BinaryCrossentropy):
        factors, formula = _binary_slopes(t[k], y[k], len(t), cache)
        factors_at = np.full((len(factors), 1), k)
    elif isinstance(loss, _CLASSES):
        factors, factors_at, formula = _class_slopes(loss, t, y, k, cache)
    else:
        assert isinstance(loss, Termwise)
        factors, factors_at, formula = _influences(loss, t, y, k, cache)
    places = np.tile(np.array(spot.at, np.intp), (len(factors), 1))
    terms = make_gradient_terms(spot.example, places, share, factors, factors_at)
    # exp of a score is as exact as the score: the rounding error of -80 is 80 times that of 1.
    steep = 1 + float(np.ptp([*y, 0.0])) if logits else 1.0
    return Explanation(
        name=type(loss).__name__,
        layer=None,
        what="dz" if logits else "dy",
        at=spot.at,
        example=spot.example,
        formula=formula,
        terms=terms,
        value=float(dy[(spot.example, *spot.at)]),
        result=exact_sum(terms.product.tolist()),
        notes=[f"The weight {show.number(share)} is this example's share in the loss.",
               *trouble(None, terms)],
        magnitude=steep * float(np.abs(terms.product).sum()),
        epsilon=float(np.finfo(dy.dtype).eps),
    )  # fmt: skip


def _share(cache: dict[str, Any], where: tuple[int, ...]) -> float:
    factor = cache["factor"]
    return float(factor[where[: factor.ndim]])


def _influences(
    loss: Termwise, t: Array, y: Array, k: int, cache: dict[str, Any]
) -> tuple[Array, Array, str]:
    """Return what each term of the loss contributes: the prediction's own only, or all of them."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        factors = loss.influence(t, y, k, cache["from_logits"])
    units = np.arange(len(t))[:, None]
    count = f" / {len(t)}" if loss.averaged else ""
    if loss.averaged:
        factors = factors / len(t)
    if type(loss).influence is Termwise.influence:
        factors, units = factors[k : k + 1], units[k : k + 1]
    unit = "dz" if cache["from_logits"] else "dy"
    return factors, units, f"{unit}[{k}] = ({loss.slope}){count}·weight"


def _class_slopes(
    loss: losses.Loss, t: Array, y: Array, k: int, cache: dict[str, Any]
) -> tuple[Array, Array, str]:
    own = np.array([[k], [k]])
    if cache["from_logits"]:
        p = functional.softmax(y)
        return np.array([p[k] * t.sum(), -t[k]]), own, f"dz[{k}] = (p[{k}] - t[{k}])·weight"
    low, high = _limits(cache["y_pred"])
    if isinstance(loss, losses.SparseCategoricalCrossentropy):
        formula = f"dy[{k}] = (q[{k}] - t[{k}]) / p[{k}]·weight,  q = p / Σ p"
        if not low <= y[k] <= high:
            return np.zeros(2), own, formula + "; cut off here: 0"
        kept = np.clip(y, low, high)
        return np.array([kept[k] / kept.sum(), -t[k]]) / y[k], own, formula
    total = y.sum()
    q = y / total
    inside = (q >= low) & (q <= high)
    dq = np.where(inside, -t / np.where(inside, q, 1), 0)
    units = np.arange(len(t))
    factors = ((units == k) - q) * dq / total
    formula = f"dy[{k}] = Σ over j of ((j = {k}) - q[j])·(- t[j] / q[j]) / Σ p·weight,  q = p / Σ p"
    return factors, units[:, None], formula


def _binary_slopes(t: float, y: float, n: int, cache: dict[str, Any]) -> tuple[Array, str]:
    if cache["from_logits"]:
        p = float(functional.sigmoid(np.array([y]))[0])
        return np.array([p / n, -t / n]), f"dz = (σ(z) - t) / {n}·weight"
    formula = f"dy = (p - t) / (p·(1 - p)) / {n}·weight"
    low, high = _limits(cache["y_pred"])
    if not low <= y <= high:
        return np.zeros(2), formula + "; cut off here: 0"
    return np.array([y, -t]) / (y * (1 - y)) / n, formula
