"""Losses as functions: `mean_squared_error(y_true, y_pred)` returns one number for each example."""

from typing import Any

import numpy as np

from minicnn.losses import crossentropy, focal, hinges, of_numbers, overlap, regression
from minicnn.losses.base import Array, Loss
from minicnn.ops.tape import Tensor


def _each(loss: Loss, y_true: Any, y_pred: Any) -> Array:
    loss.reduction = "none"
    if isinstance(y_pred, Tensor):  # in a user's own loss
        found_tensor: Any = loss._recorded(y_true, y_pred)
        return found_tensor
    found: Array = loss.forward(y_true, np.asarray(y_pred))[0]
    return found


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return the losses of `BinaryCrossentropy`."""
    loss = crossentropy.BinaryCrossentropy(from_logits, label_smoothing, axis)
    return _each(loss, y_true, y_pred)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return the losses of `BinaryFocalCrossentropy`."""
    loss = focal.BinaryFocalCrossentropy(
        apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis
    )
    return _each(loss, y_true, y_pred)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return the losses of `CategoricalCrossentropy`."""
    loss = crossentropy.CategoricalCrossentropy(from_logits, label_smoothing, axis)
    return _each(loss, y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return the losses of `CategoricalFocalCrossentropy`."""
    loss = focal.CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis)
    return _each(loss, y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Array:
    """Return the losses of `SparseCategoricalCrossentropy`."""
    loss = crossentropy.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis)
    return _each(loss, y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `CategoricalHinge`."""
    return _each(hinges.CategoricalHinge(), y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Return the losses of `CosineSimilarity`."""
    return _each(regression.CosineSimilarity(axis), y_true, y_pred)


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Array:
    """Return the losses of `Dice`."""
    return _each(overlap.Dice(axis=axis), y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `Hinge`."""
    return _each(hinges.Hinge(), y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Array:
    """Return the losses of `Huber`."""
    return _each(regression.Huber(delta), y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `KLDivergence`."""
    return _each(regression.KLDivergence(), y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `LogCosh`."""
    return _each(regression.LogCosh(), y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `MeanAbsoluteError`."""
    return _each(regression.MeanAbsoluteError(), y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `MeanAbsolutePercentageError`."""
    return _each(regression.MeanAbsolutePercentageError(), y_true, y_pred)


def mean_squared_error(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `MeanSquaredError`."""
    return _each(regression.MeanSquaredError(), y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `MeanSquaredLogarithmicError`."""
    return _each(regression.MeanSquaredLogarithmicError(), y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `Poisson`."""
    return _each(regression.Poisson(), y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> Array:
    """Return the losses of `SquaredHinge`."""
    return _each(hinges.SquaredHinge(), y_true, y_pred)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float = 0.5) -> Array:
    """Return the losses of `CategoricalGeneralizedCrossEntropy`."""
    return _each(of_numbers.CategoricalGeneralizedCrossEntropy(q), y_true, y_pred)


def circle(
    y_true: Any,
    y_pred: Any,
    *,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Array:
    """Return the losses of `Circle`."""
    return _each(of_numbers.Circle(gamma, margin, remove_diagonal), y_true, y_pred)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Array:
    """Return the losses of `Tversky`."""
    return _each(overlap.Tversky(alpha, beta, axis=axis), y_true, y_pred)


OF_CLASS = {
    binary_crossentropy: crossentropy.BinaryCrossentropy,
    binary_focal_crossentropy: focal.BinaryFocalCrossentropy,
    categorical_crossentropy: crossentropy.CategoricalCrossentropy,
    categorical_focal_crossentropy: focal.CategoricalFocalCrossentropy,
    categorical_hinge: hinges.CategoricalHinge,
    cosine_similarity: regression.CosineSimilarity,
    dice: overlap.Dice,
    hinge: hinges.Hinge,
    huber: regression.Huber,
    kl_divergence: regression.KLDivergence,
    log_cosh: regression.LogCosh,
    mean_absolute_error: regression.MeanAbsoluteError,
    mean_absolute_percentage_error: regression.MeanAbsolutePercentageError,
    mean_squared_error: regression.MeanSquaredError,
    mean_squared_logarithmic_error: regression.MeanSquaredLogarithmicError,
    poisson: regression.Poisson,
    sparse_categorical_crossentropy: crossentropy.SparseCategoricalCrossentropy,
    squared_hinge: hinges.SquaredHinge,
    tversky: overlap.Tversky,
    categorical_generalized_cross_entropy: of_numbers.CategoricalGeneralizedCrossEntropy,
    circle: of_numbers.Circle,
}
"""Each function, and the class whose losses it returns."""
