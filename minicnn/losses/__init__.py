"""Losses, under Keras's names: one number that says how wrong the predictions are.

    value, cache = loss.forward(y_true, y_pred, sample_weight=None)
    dy_pred = loss.backward(cache)

`loss(y_true, y_pred, sample_weight=None)` returns the value alone. Each example has its own loss,
whose formula is in the class's docstring; `reduction` makes one number of them:

    "sum_over_batch_size"      sum(weight * loss) / number of examples        (Keras's default)
    "mean"                     the same
    "mean_with_sample_weight"  sum(weight * loss) / sum(weight)
    "sum"                      sum(weight * loss)
    None or "none"             weight * loss, an array

The axes of the weights align with the first axes of the losses: weights (batch,) apply to examples
even if each pixel has its own loss. (Keras's losses, unlike its metrics, would align them with the
last axis.) Targets have the shape of the predictions; only an axis of 1 at the end may be left out.
(Keras broadcasts others, which is rarely intended. If targets leave out that axis, Keras treats a
row of pixels as one example; only "sum" and "none" show the difference.)

`minicnn.losses.Loss` shows how to write your own loss.
"""

from typing import TYPE_CHECKING, Any

from minicnn._support.objects import get_registered_name
from minicnn._support.settings import made_from, serialized
from minicnn.compat import hints
from minicnn.losses import own
from minicnn.losses.base import Loss
from minicnn.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from minicnn.losses.focal import BinaryFocalCrossentropy, CategoricalFocalCrossentropy
from minicnn.losses.functions import (
    OF_CLASS,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    circle,
    cosine_similarity,
    dice,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)
from minicnn.losses.hinges import CategoricalHinge, Hinge, SquaredHinge
from minicnn.losses.of_numbers import CategoricalGeneralizedCrossEntropy, Circle
from minicnn.losses.overlap import Dice, Tversky
from minicnn.losses.regression import (
    CosineSimilarity,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
)

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]

LOSSES: dict[str, type[Loss]] = {function.__name__: cls for function, cls in OF_CLASS.items()}
"""The classes by the names of Keras's functions."""

SHORT_NAMES = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
"""Keras's abbreviations, which may also be written in capitals."""

OLD_NAMES = {
    "huber_loss": "huber",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
"""Names in files of Keras 1 and 2."""

_CLASSES = {cls.__name__: cls for cls in LOSSES.values()}


def full_name(name: str) -> str:
    """Return the function's name for one of its abbreviations: "mean_squared_error" for "mse"."""
    if name in SHORT_NAMES or name.upper() == name:
        name = SHORT_NAMES.get(name.lower(), name)
    return OLD_NAMES.get(name, name)


def get(identifier: Any) -> Loss:
    """Return a loss from an object, a name ("mse"), a function of this module or a saved config.

    A function of your own works, too (`own.LossFunctionWrapper`). Raises `ValueError` for anything
    else.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if isinstance(identifier, dict) and identifier.get("class_name") == "function":
        identifier = identifier.get("config")  # how Keras writes its function `keras.losses.…`
    if isinstance(identifier, dict):
        config = identifier.get("config", {})
        if isinstance(config, dict) and config.get("reduction") == "auto":  # Keras 2's default
            config = {key: value for key, value in config.items() if key != "reduction"}
        found: Loss | None = made_from({**identifier, "config": config}, _CLASSES)
        if found is not None:
            return found
    if callable(identifier) and not isinstance(identifier, type):
        for function, of_function in OF_CLASS.items():
            if function is identifier:
                return of_function()
        name = getattr(identifier, "__name__", "")
        if str(getattr(identifier, "__module__", "")).split(".")[0] == "keras" and name in LOSSES:
            return LOSSES[name]()
        return own.LossFunctionWrapper(identifier)
    if isinstance(identifier, str):
        cls_found = LOSSES.get(full_name(identifier)) or _CLASSES.get(identifier)
        if cls_found is not None:
            return cls_found()
    raise ValueError(
        f"A loss is an object of minicnn.losses or one of {', '.join(LOSSES)}. "
        f"Received {identifier!r}."
    )


def serialize(loss: Loss) -> dict[str, Any]:
    """Return the loss as Keras writes it into a model's config."""
    if isinstance(loss, own.LossFunctionWrapper):
        name = get_registered_name(loss.fn)
        return {
            "module": loss.fn.__module__,
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }
    return serialized(loss, "keras.losses")


def deserialize(config: Any) -> Loss:
    """Return a loss from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
