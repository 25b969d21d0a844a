"""What `compile` is told: an optimizer, a loss, metrics to watch."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn import losses, optimizers
from minicnn import metrics as metrics_module  # `compile` has an argument of that name
from minicnn.graph import Network
from minicnn.layers import carried


@dataclass
class Compiled:
    """What `compile` was told, and what has come of it since."""

    optimizer: optimizers.Optimizer
    loss: losses.Loss | None
    loss_identifier: Any
    # A saved metric is an object; a name waits: which "accuracy" it is, the targets say.
    metric_identifiers: list[Any]
    flags: dict[str, Any]
    metrics: list[metrics_module.Metric] | None = None
    loss_mean: metrics_module.Mean = field(default_factory=lambda: metrics_module.Mean(name="loss"))
    told: set[str] = field(default_factory=set)  # of which doubts `fit` and `evaluate` have warned
    warned_of_lacking: set[bool] = field(default_factory=set)
    optimizer_is_ours: bool = False  # whether it has trained this model since


class Compiling(Network):
    """A network that can be told how to train."""

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
        """Let the optimizer go on with this model's weights, which it has trained before."""
        if self._compiled is not None:
            self._compiled.optimizer_is_ours = True

    @property
    def loss(self) -> losses.Loss:
        """The loss that the model was compiled with. `AttributeError` if it has none."""
        found = self._as_compiled("loss").loss
        if found is None:
            raise AttributeError(f"{self.label} was compiled without a loss.")
        return found

    def lacking_in_training(self, penalties: bool) -> str:
        """What the model's file says of training (or of the loss) and minicnn does not have."""
        return carried.described(self.lacking(learning=True, penalties=penalties))

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Sequence[Any] | None = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        **unknown: Any,
    ) -> None:
        """Say how to train: an optimizer, a loss, and metrics to watch; objects or Keras's names.

        An optimizer serves one model: the first step raises a `ValueError` if it has trained other
        weights than those to be trained now, as in Keras. What is thawed later, without another
        `compile`, learns from then on; Keras on TensorFlow does not see it.

        `run_eagerly`, `jit_compile` and `auto_scale_loss` (of float16) are Keras's, and change
        nothing here: Python calls each layer, whose kernels are compiled. They stay in the file.

        Raises `ValueError` for a name that is not known, listing those that are, and for
        `loss_weights`, `weighted_metrics` and `steps_per_execution` that would change something.
        """
        asked = {
            "loss_weights": None if _all_are_one(loss_weights) else loss_weights,
            "weighted_metrics": weighted_metrics or None,
            "steps_per_execution": None if steps_per_execution == 1 else steps_per_execution,
        }
        for argument, value in {**asked, **unknown}.items():
            if argument in unknown or value is not None:
                raise ValueError(
                    f"compile does not support {argument}={value!r}. It takes optimizer, loss and "
                    "metrics; models here have one output and run batch by batch, and fit's "
                    "sample_weight weighs examples."
                )
        if _is_list(loss) and len(loss) == 1:  # Keras's form for several outputs
            loss = loss[0]
        if isinstance(metrics, (list, tuple)) and len(metrics) == 1 and _is_list(metrics[0]):
            metrics = metrics[0]
        # All are looked up before one is set: what is refused leaves the model as it was.
        found_optimizer = optimizers.get(optimizer)
        found_loss = None if loss is None else losses.get(loss)
        if isinstance(metrics, (str, dict)) or (metrics is not None and not _is_list(metrics)):
            raise ValueError(f'metrics is a list such as ["accuracy"]. Received {metrics!r}.')
        identifiers = [_metric(m) if isinstance(m, dict) else m for m in metrics or []]
        for identifier in identifiers:
            _metric(identifier)  # raises now, not in the first epoch, for one that is not known
        flags = {
            "run_eagerly": bool(run_eagerly),
            "jit_compile": jit_compile if isinstance(jit_compile, (bool, str)) else False,
        }
        self._compiled = Compiled(found_optimizer, found_loss, loss, identifiers, flags)

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was told, as Keras writes it into a model's file."""
        compiled = self._as_compiled("compile configuration")
        loss = compiled.loss_identifier
        return {
            "optimizer": optimizers.serialize(compiled.optimizer),
            "loss": loss if loss is None or isinstance(loss, str) else losses.serialize(self.loss),
            "loss_weights": None,
            "metrics": [
                m if isinstance(m, str) else metrics_module.serialize(m)
                for m in compiled.metric_identifiers
            ],
            "weighted_metrics": None,
            "steps_per_execution": 1,
            **compiled.flags,
        }

    @property
    def metrics_names(self) -> list[str]:
        """The names of the numbers that `evaluate` returns, in order."""
        if self._compiled is None:
            return []
        return ["loss", *(_metric(m).name for m in self._compiled.metric_identifiers)]

    @property
    def metrics(self) -> list[metrics_module.Metric]:
        """The mean of the loss, and the metrics, as objects; none before `compile`."""
        compiled = self._compiled
        if compiled is None:
            return []
        named = compiled.metrics or map(_metric, compiled.metric_identifiers)
        return [compiled.loss_mean, *named]

    def _check_compiled(self, method: str) -> None:
        if self._compiled is None:
            raise ValueError(f"{self.label}: call compile(optimizer, loss) before {method}.")
        if self._compiled.loss is None:
            raise ValueError(f"{self.label}: compile(…, loss=…) is needed for {method}.")
        if method in ("fit", "train_on_batch"):
            self.optimizer.check_ready()

    def _warn_of_lacking(self, penalties: bool = False) -> None:
        """Say once after each `compile` what Keras would have trained, or evaluated, with."""
        warned = self._as_compiled("optimizer").warned_of_lacking
        if penalties in warned:
            return
        warned.add(penalties)
        missing = self.lacking_in_training(penalties)
        if missing:
            what = "the loss here is" if penalties else "training here is"
            warnings.warn(
                f"{self.label}: {what} without {missing}. Its file asks for that, and minicnn does "
                "not have it.",
                stacklevel=3,
            )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _all_are_one(weights: Any) -> bool:
    found = list(weights.values()) if isinstance(weights, dict) else weights
    return found is None or bool(np.all(np.asarray(found) == 1))


def _metric(identifier: Any) -> metrics_module.Metric:
    """The metric, while the targets are not known yet; `ValueError` if there is none such."""
    return metrics_module.get(identifier, (1, 2), (1, 2))
