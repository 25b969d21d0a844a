"""Metrics, under Keras's names, are the numbers that people watch while a model learns.

A metric accumulates over the batches of an epoch: `update_state` for each, then `result()`;
`reset_state` starts again. `compile(metrics=[…])` takes objects, names such as "mse" or "auc", and
functions `f(y_true, y_pred)`, which get NumPy arrays.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minicnn import losses
from minicnn._support.settings import serialized, snake_case
from minicnn.compat import hints
from minicnn.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
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
)
from minicnn.metrics.accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from minicnn.metrics.auc import AUC
from minicnn.metrics.base import Mean, MeanMetricWrapper, Metric, Sum, name_of
from minicnn.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from minicnn.metrics.f_scores import F1Score, FBetaScore
from minicnn.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from minicnn.metrics.of_losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from minicnn.metrics.regression import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    R2Score,
    concordance_correlation,
    pearson_correlation,
)

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Accuracy,
        BinaryAccuracy,
        CategoricalAccuracy,
        SparseCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        TopKCategoricalAccuracy,
        AUC,
        Mean,
        Sum,
        FalseNegatives,
        FalsePositives,
        Precision,
        PrecisionAtRecall,
        Recall,
        RecallAtPrecision,
        SensitivityAtSpecificity,
        SpecificityAtSensitivity,
        TrueNegatives,
        TruePositives,
        F1Score,
        FBetaScore,
        BinaryIoU,
        IoU,
        MeanIoU,
        OneHotIoU,
        OneHotMeanIoU,
        BinaryCrossentropy,
        CategoricalCrossentropy,
        CategoricalHinge,
        CosineSimilarity,
        Hinge,
        KLDivergence,
        LogCoshError,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredError,
        MeanSquaredLogarithmicError,
        Poisson,
        RootMeanSquaredError,
        SparseCategoricalCrossentropy,
        SquaredHinge,
        ConcordanceCorrelation,
        PearsonCorrelation,
        R2Score,
    )
}
METRICS: dict[str, type[Any]] = {snake_case(name): cls for name, cls in _CLASSES.items()}
"""The classes by Keras's names for them."""

_SHORT_NAMES = {
    **losses.SHORT_NAMES,
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
    "kullback_leibler_divergence": "kl_divergence",
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "binary_accuracy": binary_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "concordance_correlation": concordance_correlation,
    "pearson_correlation": pearson_correlation,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "sparse_top_k_categorical_accuracy": sparse_top_k_categorical_accuracy,
    "top_k_categorical_accuracy": top_k_categorical_accuracy,
    **{name: getattr(losses, name) for name in losses.LOSSES},
}


def accuracy_for(target_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> type[Metric]:
    """Return the accuracy that "accuracy" means for targets of this shape, as Keras decides it."""
    if output_shape[-1] == 1:
        return BinaryAccuracy
    if len(target_shape) < len(output_shape) or target_shape[-1] == 1:
        return SparseCategoricalAccuracy
    return CategoricalAccuracy


def get(
    identifier: Any,
    target_shape: tuple[int, ...] | None = None,
    output_shape: tuple[int, ...] | None = None,
) -> Metric:
    """Return a metric from an object, a name, a function or a saved config.

    The meaning of "accuracy" depends on the targets' shape, so it needs the two shapes.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        identifier = identifier.__name__ if identifier.__name__ in _CLASSES else identifier()
        return get(identifier)
    if isinstance(identifier, str) and identifier in ("accuracy", "acc"):
        if target_shape is None or output_shape is None:
            raise ValueError(
                f"metrics.get expects target_shape and output_shape to tell which metric "
                f'"{identifier}" is. Name one of {", ".join(METRICS)}.'
            )
        return accuracy_for(target_shape, output_shape)(name=identifier)
    found = _from_config(identifier) if isinstance(identifier, dict) else None
    if found is None and isinstance(identifier, str):
        found = _named(identifier)
    if found is None and callable(identifier) and not isinstance(identifier, type):
        found = MeanMetricWrapper(_ours(identifier))
    if found is None:
        raise ValueError(
            f'A metric is an object of minicnn.metrics or one of "accuracy", {", ".join(METRICS)}. '
            f"Received {identifier!r}."
        )
    return found


def _named(name: str) -> Metric | None:
    full = _SHORT_NAMES.get(name) or _SHORT_NAMES.get(name.lower() if name.isupper() else "", name)
    cls = METRICS.get(full) or _CLASSES.get(full)
    if cls is None:
        return None
    try:
        made: Metric = cls()
    except TypeError:
        raise ValueError(
            f'The metric "{name}" needs arguments: pass an object, {cls.__name__}(…). '
            f"Received {name!r}."
        ) from None
    if name not in _CLASSES:
        made.name = name  # as Keras's compile calls it
    return made


def _from_config(data: dict[str, Any]) -> Metric | None:
    kind, config = data.get("class_name"), data.get("config")
    if not isinstance(kind, str):
        return None
    if kind == "function":  # how Keras writes its function `keras.metrics.…`
        if isinstance(config, str) and config in METRICS:
            return _named(config)
        if isinstance(config, str) and config in _FUNCTIONS:
            return MeanMetricWrapper(_FUNCTIONS[config])
        return None
    if not isinstance(config, dict):
        config = {}
    if kind in _CLASSES:
        made: Metric = _CLASSES[kind].from_config(config)
        return made
    if kind == "MeanMetricWrapper":
        function = config.get("fn")  # a name in Keras 2's files
        if isinstance(function, dict):
            function = function.get("config")
        if not isinstance(function, str) or (
            function not in METRICS and function not in _FUNCTIONS
        ):
            return None
        left = {k: v for k, v in config.items() if k not in ("fn", "name", "dtype")}
        name = config.get("name")
        if function in METRICS and not left:
            named: Metric = METRICS[function](name=name)
            return named
        return MeanMetricWrapper(_FUNCTIONS[function], name, **left)
    return None


def _ours(function: Any) -> Any:
    """Return minicnn's function in place of Keras's own; others as they are."""
    name = getattr(function, "__name__", None)
    keras = str(getattr(function, "__module__", "")).split(".")[0] == "keras"
    return _FUNCTIONS[name] if keras and name in _FUNCTIONS else function


def serialize(metric: Metric) -> dict[str, Any]:
    """Return the metric as Keras writes it into a model's config."""
    if not isinstance(metric, MeanMetricWrapper):
        return serialized(metric, "keras.metrics")
    function = {
        "module": "builtins",
        "class_name": "function",
        "config": name_of(metric.fn),
        "registered_name": "function",
    }
    if isinstance(metric.fn, losses.Loss):
        function = losses.serialize(metric.fn)
    if metric.name == name_of(metric.fn) and not metric.kwargs:
        return function
    data = serialized(metric, "keras.metrics")
    return data | {"config": data["config"] | {"fn": function}}


def deserialize(config: Any) -> Metric:
    """Return a metric from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
