"""Each output of a model has a loss with its weight, and metrics to watch.

`compile` takes losses and metrics in Keras's forms: one loss for all outputs, a list in the order
of the outputs, or a dict under their names, which are the names of the layers that compute them.
The same holds for targets and weights of examples in `fit`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minicnn import losses, shapes
from minicnn import metrics as metrics_module  # `compile` has an argument of that name
from minicnn._support.settings import plain_throughout


@dataclass
class Output:
    """The loss and metrics of one output; `name` is "" if the model has no other output."""

    name: str
    loss: losses.Loss | None
    loss_identifier: Any
    weight: float | None
    # A saved metric is an object; a name waits, because the targets decide what "accuracy" is.
    metric_identifiers: list[Any]
    weighted_identifiers: list[Any]
    metrics: list[metrics_module.Metric] | None = None
    weighted_metrics: list[metrics_module.Metric] = field(default_factory=list)
    loss_mean: metrics_module.Mean = field(default_factory=lambda: metrics_module.Mean(name="loss"))

    def __post_init__(self) -> None:
        self.loss_mean.name, self.loss_mean.rises = self._full("loss"), False

    def _full(self, name: str) -> str:
        return f"{self.name}_{name}" if self.name else name

    def make_metrics(self, target_shape: Any = (1, 2), output_shape: Any = (1, 2)) -> None:
        """Make the metrics, now that the targets are known."""
        self.metrics, self.weighted_metrics = (
            [metrics_module.get(m, target_shape, output_shape) for m in identifiers]
            for identifiers in (self.metric_identifiers, self.weighted_identifiers)
        )

    def watched(self) -> tuple[list[metrics_module.Metric], list[metrics_module.Metric]]:
        """Return the metrics and the weighted metrics, or those that their names would give."""
        if self.metrics is not None:
            return self.metrics, self.weighted_metrics
        plain, weighted = self.metric_identifiers, self.weighted_identifiers
        return [*map(as_metric, plain)], [*map(as_metric, weighted)]

    def reset(self) -> None:
        """Restart the means of the loss and the metrics."""
        for metric in (self.loss_mean, *(self.metrics or []), *self.weighted_metrics):
            metric.reset_state()


def as_metric(identifier: Any) -> metrics_module.Metric:
    """Return the metric before the targets are known, or raise a `ValueError` if there is none."""
    return metrics_module.get(identifier, (1, 2), (1, 2))


def by_name(outputs: list[Output]) -> dict[str, metrics_module.Metric]:
    """Return the metrics under their names in the logs, with Keras's rules for equal names.

    If there are several losses, they come first. A weighted metric whose name is taken is called
    "weighted_…"; others get a number.
    """
    found: dict[str, metrics_module.Metric] = {}
    several = [output for output in outputs if output.loss is not None]
    if len(several) > 1:
        found = {output.loss_mean.name: output.loss_mean for output in several}
    watched = [(output, *output.watched()) for output in outputs]
    named = [(o._full(m.name), o._full(m.name), m) for o, plain, _ in watched for m in plain]
    named += [
        (o._full(m.name), o._full(f"weighted_{m.name}"), m)
        for o, _, weighted in watched
        for m in weighted
    ]
    for name, otherwise, metric in named:
        if name in found:
            name = otherwise
        number, chosen = 1, name
        while chosen in found:
            chosen, number = f"{name}_{number}", number + 1
        found[chosen] = metric
    return found


# ---------------------------------------------------------------------------------------------
# What `compile` takes
# ---------------------------------------------------------------------------------------------


def outputs_of(
    names: list[str], loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any
) -> list[Output]:
    """Return what `compile` received for the outputs of these names.

    Raises `ValueError` for an unknown name of a loss or metric, and where lists or dicts do not
    fit the outputs.
    """
    given = _for_each(names, loss, "loss")
    weights = _weights(names, loss, loss_weights)
    watched = _metrics_for_each(names, metrics, "metrics")
    weighted = _metrics_for_each(names, weighted_metrics, "weighted_metrics")
    found = [None if one is None else losses.get(one) for one in given]
    return [
        Output(name if len(names) > 1 else "", *rest)
        for name, *rest in zip(names, found, given, weights, watched, weighted, strict=True)
    ]


def is_named(value: Any) -> bool:
    """Return whether this is a dict under the outputs' names, not the description of one loss."""
    return isinstance(value, Mapping) and "class_name" not in value


def is_list(value: Any) -> bool:
    """Return whether this is a list or a tuple."""
    return isinstance(value, (list, tuple))


def _for_each(names: list[str], value: Any, argument: str) -> list[Any]:
    """Return the entries of a list or dict in the outputs' order; anything else applies to all."""
    if is_named(value):
        # The names of a Sequential's output are not known before it is built.
        if set(value) != set(names) and (len(value) != 1 or names != [""]):
            raise ValueError(
                f"compile expects {argument} for the outputs {names}. Received {list(value)}."
            )
        return [value[name] for name in names] if names != [""] else list(value.values())
    if is_list(value):
        if len(value) != len(names):
            raise ValueError(
                f"compile expects {argument} for each of {len(names)} outputs, {names}. "
                f"Received {len(value)}: {value!r}."
            )
        return list(value)
    return [value] * len(names)


def _weights(names: list[str], loss: Any, loss_weights: Any) -> list[float | None]:
    if loss_weights is None:
        return [None] * len(names)
    loss_weights = plain_throughout(loss_weights)  # an array works like a list
    if len(names) > 1 and is_list(loss_weights) + is_named(loss_weights) == 0:
        raise ValueError(
            f"compile expects loss_weights for each of {len(names)} outputs, {names}. "
            f"Received {loss_weights!r}."
        )
    if len(names) > 1 and not (is_list(loss) or is_named(loss)):
        raise ValueError(
            "compile expects a loss for each output next to loss_weights, as Keras does. Received "
            f"loss={loss!r}."
        )
    weights = [1.0 if w is None else w for w in _for_each(names, loss_weights, "loss_weights")]
    for weight in weights:
        if not shapes.is_number(weight):
            raise ValueError(
                f"compile expects loss_weights to be finite numbers. Received {loss_weights!r}."
            )
    return [float(weight) for weight in weights]


def _metrics_for_each(names: list[str], metrics: Any, argument: str) -> list[list[Any]]:
    if metrics is not None and not is_list(metrics) and not is_named(metrics):
        raise ValueError(f'{argument} is a list such as ["accuracy"]. Received {metrics!r}.')
    if len(names) == 1:
        return [_checked(_flat(metrics))]
    if not metrics:
        return [[] for _ in names]
    fits = set(metrics) <= set(names) if is_named(metrics) else len(metrics) == len(names)
    if not fits:
        raise ValueError(
            f"{argument} is a list with an entry for each of the outputs {names}, or a dict under "
            f"their names. Received {metrics!r}."
        )
    found = [metrics.get(n) for n in names] if is_named(metrics) else metrics
    return [_checked(_flat(one)) for one in found]


def _flat(metrics: Any) -> list[Any]:
    """Return all items of nested lists and dicts."""
    if metrics is None:
        return []
    if is_named(metrics):
        metrics = list(metrics.values())
    if is_list(metrics):
        return [metric for part in metrics for metric in _flat(part)]
    return [metrics]


def _checked(identifiers: Iterable[Any]) -> list[Any]:
    """Return names as they are, anything else as objects; `ValueError` if one is unknown."""
    found = [m if isinstance(m, str) else as_metric(m) for m in identifiers]
    for identifier in found:
        as_metric(identifier)
    return found


# ---------------------------------------------------------------------------------------------
# What a file keeps of it
# ---------------------------------------------------------------------------------------------


def described(outputs: list[Output]) -> dict[str, Any]:
    """Return losses, weights and metrics as Keras writes them: lists, if there are several."""
    parts: dict[str, list[Any]] = {
        "loss": [_written(o.loss_identifier, _loss_config) for o in outputs],
        "loss_weights": [o.weight for o in outputs],
        "metrics": [_written_metrics(o.metric_identifiers) for o in outputs],
        "weighted_metrics": [_written_metrics(o.weighted_identifiers) for o in outputs],
    }
    if len(outputs) == 1:
        alone = {key: value for key, (value,) in parts.items()}
        return alone | {"weighted_metrics": alone["weighted_metrics"] or None}
    if all(weight is None for weight in parts["loss_weights"]):
        parts["loss_weights"] = []
    return {key: value if any(value) else None for key, value in parts.items()}


def _written(identifier: Any, describe: Callable[[Any], Any]) -> Any:
    plain = identifier is None or isinstance(identifier, str)
    return identifier if plain else describe(identifier)


def _loss_config(identifier: Any) -> dict[str, Any]:
    return losses.serialize(losses.get(identifier))


def _written_metrics(identifiers: list[Any]) -> list[Any]:
    return [_written(m, metrics_module.serialize) for m in identifiers]
