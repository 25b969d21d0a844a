"""`compile`: an optimizer, a loss, and metrics to watch."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn import losses, optimizers
from minicnn import metrics as metrics_module  # `compile` has an argument of that name
from minicnn.graph import Network
from minicnn.layers import carried


@dataclass
class Compiled:
    """What `compile` received, and what has come of it since."""

    optimizer: optimizers.Optimizer
    loss: losses.Loss | None
    loss_identifier: Any
    # A saved metric is an object; a name waits, because the targets decide what "accuracy" is.
    metric_identifiers: list[Any]
    weighted_identifiers: list[Any]
    flags: dict[str, Any]
    metrics: list[metrics_module.Metric] | None = None
    weighted_metrics: list[metrics_module.Metric] = field(default_factory=list)
    loss_mean: metrics_module.Mean = field(default_factory=lambda: metrics_module.Mean(name="loss"))
    told: set[str] = field(default_factory=set)  # doubts of which `fit` and `evaluate` have warned
    warned_of_lacking: set[bool] = field(default_factory=set)
    optimizer_is_ours: bool = False  # whether it has trained this model since then


class Compiling(Network):
    """A network that can be compiled for training."""

    _compiled: Compiled | None = None

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    def _as_compiled(self, what: str) -> Compiled:
        if self._compiled is None:
            raise AttributeError(f"{self.label} has no {what} yet: call compile first.")
        return self._compiled

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer that the model was compiled with."""
        return self._as_compiled("optimizer").optimizer

    @optimizer.setter
    def optimizer(self, value: optimizers.Optimizer) -> None:
        compiled = self._as_compiled("optimizer")
        compiled.optimizer, compiled.optimizer_is_ours = optimizers.get(value), False

    def resume_optimizer(self) -> None:
        """Let the optimizer continue with this model's weights, which it has trained before."""
        if self._compiled is not None:
            self._compiled.optimizer_is_ours = True

    @property
    def loss(self) -> losses.Loss:
        """The loss that the model was compiled with. Raises `AttributeError` if it has none."""
        found = self._as_compiled("loss").loss
        if found is None:
            raise AttributeError(f"{self.label} was compiled without a loss.")
        return found

    def lacking_in_training(self, penalties: bool) -> str:
        """Say what the model's file asks for in training (or in the loss) and minicnn lacks."""
        return carried.described(self.lacking(learning=True, penalties=penalties))

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Sequence[Any] | None = None,
        weighted_metrics: Sequence[Any] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        **unknown: Any,
    ) -> None:
        """Set how to train: an optimizer, a loss, and metrics to watch; objects or Keras's names.

        A metric may also be a function of (y_true, y_pred). `weighted_metrics` are metrics that the
        weights of examples (`sample_weight`, `class_weight`) count for, too.

        An optimizer serves one model: the first step raises a `ValueError` if it has trained
        weights other than those to be trained now, as in Keras. Layers that are unfrozen later,
        without another `compile`, learn from then on; Keras on TensorFlow does not notice them.

        `run_eagerly`, `jit_compile` and `auto_scale_loss` (of float16) are Keras's, and change
        nothing here: Python calls each layer, whose kernels are compiled. A file keeps the first
        two.

        Raises `ValueError` for an unknown name, listing those that are known, and for
        `loss_weights` and `steps_per_execution` that would change something.
        """
        asked = {
            "loss_weights": None if _all_are_one(loss_weights) else loss_weights,
            "steps_per_execution": None if steps_per_execution == 1 else steps_per_execution,
        }
        for argument, value in {**asked, **unknown}.items():
            if argument in unknown or value is not None:
                raise ValueError(
                    f"compile does not support {argument}={value!r}. It takes optimizer, loss and "
                    "metrics; models here have one output and run batch by batch, and fit's "
                    "sample_weight weights examples."
                )
        if _is_list(loss) and len(loss) == 1:  # Keras's form for several outputs
            loss = loss[0]
        # All are looked up before one is set, so that an error leaves the model as it was.
        found_optimizer = optimizers.get(optimizer)
        found_loss = None if loss is None else losses.get(loss)
        identifiers = _identifiers(metrics, "metrics")
        weighted = _identifiers(weighted_metrics, "weighted_metrics")
        flags = {
            "run_eagerly": bool(run_eagerly),
            "jit_compile": jit_compile if isinstance(jit_compile, (bool, str)) else False,
        }
        self._compiled = Compiled(found_optimizer, found_loss, loss, identifiers, weighted, flags)

    def get_compile_config(self) -> dict[str, Any]:
        """Return what `compile` received, as Keras writes it into a model's file."""
        compiled = self._as_compiled("compile configuration")
        loss = compiled.loss_identifier
        return {
            "optimizer": optimizers.serialize(compiled.optimizer),
            "loss": loss if loss is None or isinstance(loss, str) else losses.serialize(self.loss),
            "loss_weights": None,
            "metrics": _described(compiled.metric_identifiers),
            "weighted_metrics": _described(compiled.weighted_identifiers) or None,
            "steps_per_execution": 1,
            **compiled.flags,
        }

    @property
    def metrics_names(self) -> list[str]:
        """The names of the numbers that `evaluate` returns, in order."""
        if self._compiled is None:
            return []
        compiled = self._compiled
        plain, weighted = compiled.metric_identifiers, compiled.weighted_identifiers
        return ["loss", *logged_names(map(_metric, plain), map(_metric, weighted))]

    @property
    def metrics(self) -> list[metrics_module.Metric]:
        """The mean of the loss, and the metrics, as objects; none before `compile`."""
        compiled = self._compiled
        if compiled is None:
            return []
        if compiled.metrics is None:
            identifiers = (*compiled.metric_identifiers, *compiled.weighted_identifiers)
            return [compiled.loss_mean, *map(_metric, identifiers)]
        return [compiled.loss_mean, *compiled.metrics, *compiled.weighted_metrics]

    def _check_compiled(self, method: str) -> None:
        if self._compiled is None:
            raise ValueError(f"{self.label}: call compile(optimizer, loss) before {method}.")
        if self._compiled.loss is None:
            raise ValueError(f"{self.label}: compile(…, loss=…) is needed for {method}.")
        if method in ("fit", "train_on_batch"):
            self.optimizer.check_ready()

    def _warn_of_lacking(self, penalties: bool = False) -> None:
        """Warn once after each `compile` of what Keras would have trained, or evaluated, with."""
        warned = self._as_compiled("optimizer").warned_of_lacking
        if penalties in warned:
            return
        warned.add(penalties)
        missing = self.lacking_in_training(penalties)
        if missing:
            what = "minicnn computes the loss" if penalties else "minicnn trains"
            warnings.warn(
                f"{self.label}: {what} without {missing}, which it does not have. The model's file "
                "asks for it.",
                stacklevel=3,
            )


def _identifiers(given: Any, argument: str) -> list[Any]:
    """Return the metrics as a list. Raises a `ValueError` for an unknown one now, not in `fit`."""
    if isinstance(given, (list, tuple)) and len(given) == 1 and _is_list(given[0]):
        given = given[0]
    if given is not None and not _is_list(given):
        raise ValueError(f'{argument} is a list such as ["accuracy"]. Received {given!r}.')
    found = [m if isinstance(m, str) else _metric(m) for m in given or []]
    for identifier in found:
        _metric(identifier)
    return found


def _described(identifiers: list[Any]) -> list[Any]:
    return [m if isinstance(m, str) else metrics_module.serialize(m) for m in identifiers]


def logged_names(
    metrics: Iterable[metrics_module.Metric], weighted: Iterable[metrics_module.Metric]
) -> list[str]:
    """Return the names in the logs, as Keras tells metrics of one name apart.

    A weighted metric whose name is taken is called "weighted_…"; others get a number.
    """
    found: list[str] = []
    named = [(m.name, m.name) for m in metrics] + [(m.name, f"weighted_{m.name}") for m in weighted]
    for name, otherwise in named:
        if name in found:
            name = otherwise
        number = 1
        chosen = name
        while chosen in found:
            chosen, number = f"{name}_{number}", number + 1
        found.append(chosen)
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _all_are_one(weights: Any) -> bool:
    found = list(weights.values()) if isinstance(weights, dict) else weights
    return found is None or bool(np.all(np.asarray(found) == 1))


def _metric(identifier: Any) -> metrics_module.Metric:
    """Return the metric, before the targets are known; raise a `ValueError` if there is none."""
    return metrics_module.get(identifier, (1, 2), (1, 2))
