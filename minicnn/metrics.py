"""Metrics, under Keras's names: the numbers that people read while a model learns.

A metric accumulates over the batches of an epoch: `update_state` for each, then `result()`;
`reset_state` starts again.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import shapes
from minicnn.compat import hints
from minicnn.settings import Configurable, serialized

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


Array = np.ndarray


class Metric(Configurable):
    """A weighted mean over examples. Subclasses define `values(y_true, y_pred)`, one per example.

    Where the values have more axes, (batch, rows, columns), an example's value is their mean. The
    axes of `sample_weight` align with the first axes of the values, as in Keras: (batch,) weights
    examples, (batch, rows, columns) each pixel, a single number all of them.

    `rises` says whether higher is better (None: unknown); callbacks with `mode="auto"` use it.
    """

    rises: bool | None = None
    _ignored_keys = ("dtype",)

    def __init__(self, name: str | None = None) -> None:
        self.name = self._default_name() if name is None else name
        shapes.check_name(self.name, type(self).__name__)
        self.reset_state()

    @classmethod
    def _default_name(cls) -> str:
        raise NotImplementedError

    def reset_state(self) -> None:
        self._total, self._count = 0.0, 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._add(self.values(np.asarray(y_true), np.asarray(y_pred)), sample_weight)

    def _add(self, values: Array, sample_weight: Any) -> None:
        """Add each example's value times its weight, like Keras's `reduce_to_samplewise_values`."""
        values = values.astype(np.float64)
        if sample_weight is None:
            count: float = len(values) if values.ndim else 1
        else:
            values, weights = _aligned(values, sample_weight, type(self).__name__)
            values = values * weights
            count = weights.mean(axis=tuple(range(1, weights.ndim))).sum() if weights.size else 0.0
        if values.size:
            self._total += float(values.mean(axis=tuple(range(1, values.ndim))).sum())
        self._count += float(count)

    def result(self) -> float:
        """Return the mean so far; 0.0 before the first example, as in Keras."""
        return self._total / self._count if self._count else 0.0

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def values(self, y_true: Array, y_pred: Array) -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class Mean(Metric):
    """The mean of the numbers it is given: `mean.update_state(values, sample_weight=None)`."""

    @classmethod
    def _default_name(cls) -> str:
        return "mean"

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self._add(np.asarray(values, np.float64), sample_weight)

    def __call__(self, values: Any, sample_weight: Any = None) -> float:  # type: ignore[override]
        self.update_state(values, sample_weight)
        return self.result()


class CategoricalAccuracy(Metric):
    """How often the largest prediction is where the target is 1; both are (batch, classes).

    Class numbers raise a `ValueError`: Keras would use their argmax over the batch as the target.
    """

    rises = True

    @classmethod
    def _default_name(cls) -> str:
        return "categorical_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        _check_same_shape(y_true, y_pred, type(self).__name__)
        return (y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)).astype(np.float32)


class SparseCategoricalAccuracy(Metric):
    """How often the largest prediction is at the target's class number; targets are (batch,).

    Targets of another shape are broadcast to the predictions by NumPy's rules, as in Keras.
    """

    rises = True

    @classmethod
    def _default_name(cls) -> str:
        return "sparse_categorical_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        _check_broadcast(y_true, y_pred[..., 0], type(self).__name__)
        return (y_true == y_pred.argmax(axis=-1)).astype(np.float32)


class BinaryAccuracy(Metric):
    """How often `y_pred > threshold` agrees with the target; each unit counts.

    The surprise, as in Keras: the threshold is 0.5 even where the predictions are logits.
    """

    rises = True

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        if not shapes.is_number(threshold) or not 0 < threshold < 1:
            raise ValueError(
                f"BinaryAccuracy expects threshold to be above 0 and below 1. "
                f"Received {threshold!r}."
            )
        self.threshold = threshold

    @classmethod
    def _default_name(cls) -> str:
        return "binary_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
            y_true = y_true[..., None]
        elif y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        _check_broadcast(y_true, y_pred, type(self).__name__)
        return (y_true == (y_pred > self.threshold)).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "threshold": self.threshold}


def _aligned(values: Array, sample_weight: Any, who: str) -> tuple[Array, Array]:
    """Average the values over the axes that the weights lack; return both in one shape."""
    weights = np.asarray(sample_weight, np.float64)
    shape = values.shape
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    elif values.ndim == weights.ndim + 1 and values.shape[-1] == 1:
        values = values[..., 0]
    values = values.mean(axis=tuple(range(weights.ndim, values.ndim)))
    try:
        return values, np.broadcast_to(weights, values.shape)
    except ValueError:
        raise ValueError(
            f"{who} expects sample_weight to have the shape of the values, {shape}, or of their "
            f"first axes. Received {np.shape(sample_weight)}."
        ) from None


def _check_same_shape(y_true: Array, y_pred: Array, who: str) -> None:
    if y_true.shape != y_pred.shape:
        raise ValueError(f"{who} expects targets of shape {y_pred.shape}. Received {y_true.shape}.")


def _check_broadcast(y_true: Array, y_pred: Array, who: str) -> None:
    try:
        np.broadcast_shapes(y_true.shape, y_pred.shape)
    except ValueError:
        _check_same_shape(y_true, y_pred, who)


METRICS: dict[str, type[Metric]] = {
    cls._default_name(): cls
    for cls in (CategoricalAccuracy, SparseCategoricalAccuracy, BinaryAccuracy)
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
    """Return a metric from an object, a name or a saved config.

    What "accuracy" means depends on the targets' shape, so it alone needs the two shapes.
    """
    if isinstance(identifier, Metric):
        return identifier
    if identifier in ("accuracy", "acc"):
        if target_shape is None or output_shape is None:
            raise ValueError(
                f"metrics.get expects target_shape and output_shape to tell which metric "
                f'"{identifier}" is. Name one of {", ".join(METRICS)}.'
            )
        return accuracy_for(target_shape, output_shape)(name=identifier)
    if isinstance(identifier, dict) and identifier.get("class_name") == "function":
        identifier = identifier.get("config")  # how Keras writes its function `keras.metrics.…`
    classes: dict[str, type[Any]] = {cls.__name__: cls for cls in (*METRICS.values(), Mean)}
    if isinstance(identifier, dict) and identifier.get("class_name") in classes:
        made: Metric = classes[identifier["class_name"]].from_config(identifier.get("config", {}))
        return made
    if isinstance(identifier, dict) and identifier.get("class_name") == "MeanMetricWrapper":
        config = identifier.get("config", {})  # Keras 2 writes a metric as a mean of a function
        if config.get("fn") in METRICS:
            return METRICS[config["fn"]](name=config.get("name"))
    if isinstance(identifier, str):
        found = METRICS.get(identifier) or classes.get(identifier)
        if found is not None:
            return found()
    raise ValueError(
        f'A metric is an object of minicnn.metrics or one of "accuracy", {", ".join(METRICS)}. '
        f"Received {identifier!r}."
    )


def serialize(metric: Metric) -> dict[str, Any]:
    """Return the metric as Keras writes it into a model's config."""
    return serialized(metric, "keras.metrics")


def deserialize(config: Any) -> Metric:
    """Return a metric from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
