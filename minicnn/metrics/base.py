"""The base classes of metrics: a state that grows with each batch, and weights of examples."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import config, initializers, shapes
from minicnn._support.settings import Configurable, is_ours, snake_case
from minicnn._support.values import protected
from minicnn._support.variable import Variable

Array = np.ndarray


class Metric(Configurable):
    """A weighted mean over examples. Subclasses define `values(y_true, y_pred)`, one per example.

    If the values have more axes, (batch, rows, columns), an example's value is their mean. The
    axes of `sample_weight` align with the first axes of the values, as in Keras: (batch,) weights
    examples, (batch, rows, columns) each pixel, a single number all of them.

    `rises` says whether higher is better (None: unknown); callbacks with `mode="auto"` use it.

    A metric of your own may define `values` alone or, as in Keras, keep variables:

        class Positives(Metric):
            def __init__(self, name="positives", **kwargs):
                super().__init__(name=name, **kwargs)
                self.found = self.add_weight(name="found", initializer="zeros")

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.found.assign_add(ops.sum(ops.cast(y_pred > 0.5, self.dtype)))

            def result(self):
                return self.found  # or a dict: several numbers for the logs, by name

    `dtype` is that of these variables; minicnn's own metrics add up in float64 in any case.
    """

    rises: bool | None = None
    _ignored_keys = ("dtype",)

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = self._default_name() if name is None else name
        shapes.check_name(self.name, type(self).__name__)
        self.dtype = config.standardize_dtype(dtype)
        self.variables: list[Variable] = []
        # A user's own reset_state may need attributes that the constructor sets later.
        kind: Any = next(c for c in type(self).__mro__ if is_ours(c) and "reset_state" in vars(c))
        kind.reset_state(self)

    @classmethod
    def _default_name(cls) -> str:
        return snake_case(cls.__name__)

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Return a new variable, which `reset_state` sets to zeros.

        Raises `ValueError` for a shape that is not a tuple of sizes.
        """
        if not isinstance(shape, (tuple, list)):
            raise ValueError(
                f"{type(self).__name__} expects a variable's shape to be a tuple, () for a number. "
                f"Received shape={shape!r}."
            )
        kind = np.dtype(self.dtype if dtype is None else dtype)
        made = initializers.get(initializer)(tuple(shape), self.dtype).astype(kind)
        variable = Variable(made, name or "variable", self.name, trainable=False)
        self.variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable: Keras's other name for `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name)

    def reset_state(self) -> None:
        """Begin again: forget all that was counted, and set variables to zeros."""
        self._total, self._count = 0.0, 0.0
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape))

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

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        self.update_state(y_true, y_pred, sample_weight)
        return self.number()

    def number(self) -> Any:
        """Return the result in the form of logs: a number; an array or a dict if it has several."""
        return _number(self.result())

    def values(self, y_true: Array, y_pred: Array) -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


def _number(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _number(value) for name, value in sorted(found.items())}
    array = np.asarray(found)
    return array if array.ndim else float(array)


def _aligned(
    values: Array, sample_weight: Any, who: str, reduce: Callable[..., Array] = np.mean
) -> tuple[Array, Array]:
    """Average (or add) the values over the axes that the weights lack; return both in one shape."""
    weights = np.asarray(sample_weight, np.float64)
    shape = values.shape
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    elif values.ndim == weights.ndim + 1 and values.shape[-1] == 1:
        values = values[..., 0]
    values = reduce(values, axis=tuple(range(weights.ndim, values.ndim)))
    try:
        return values, np.broadcast_to(weights, values.shape)
    except ValueError:
        raise ValueError(
            f"{who} expects sample_weight to have the shape of the values, {shape}, or of their "
            f"first axes. Received {np.shape(sample_weight)}."
        ) from None


class Mean(Metric):
    """The mean of the numbers it is given: `mean.update_state(values, sample_weight=None)`."""

    @classmethod
    def _default_name(cls) -> str:
        return "mean"

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        self._add(np.asarray(values, np.float64), sample_weight)

    def __call__(self, values: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        self.update_state(values, sample_weight)
        return self.number()


class Sum(Mean):
    """The sum of the numbers it is given: `total.update_state(values, sample_weight=None)`."""

    @classmethod
    def _default_name(cls) -> str:
        return "sum"

    def _add(self, values: Array, sample_weight: Any) -> None:
        if sample_weight is not None:
            values, weights = _aligned(values, sample_weight, type(self).__name__, np.sum)
            values = values * weights
        self._total += float(values.sum(dtype=np.float64))

    def result(self) -> float:
        return self._total


class MeanMetricWrapper(Metric):
    """The mean over examples of what a function `fn(y_true, y_pred, **kwargs)` returns for them.

    A function in `compile(metrics=[fn])` becomes one. It gets NumPy arrays, and returns a number
    for each example, or one for the whole batch.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **kwargs: Any) -> None:
        if not callable(fn):
            raise ValueError(f"MeanMetricWrapper expects a function. Received {fn!r}.")
        super().__init__(name_of(fn) if name is None else name)
        self.fn, self.kwargs = fn, kwargs
        if type(fn).__module__.startswith("minicnn.losses"):
            self.rises = False

    def values(self, y_true: Array, y_pred: Array) -> Array:
        try:
            given = protected(y_true), protected(y_pred)
            return np.asarray(self.fn(*given, **self.kwargs), np.float64)
        except (TypeError, ValueError) as error:
            if is_ours(type(self.fn)):
                raise
            raise type(error)(
                f'The metric "{self.name}", a function of (y_true, y_pred): {error}'
            ) from error

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "fn": name_of(self.fn), **self.kwargs}


def name_of(fn: Any) -> str:
    """Return the name under which Keras logs a function or an object."""
    name = getattr(fn, "name", None) or getattr(fn, "__name__", None)
    return str(name or snake_case(type(fn).__name__))
