"""One step of training is four lines of mathematics (`Stepping._train_step`).

y_pred, tape = forward(x)              what does the model say?
loss, cache  = loss(y, y_pred)         how wrong is it?
grads        = backward(dloss, tape)   which weight is to blame, and how much?
optimizer.apply(grads, weights)        a small step down

Regularizers (`minicnn.regularizers`) add penalties to the loss, and their gradients to `grads`.
"""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minicnn import losses
from minicnn import metrics as metrics_module
from minicnn.graph import Network, Tape
from minicnn.layers.penalties import with_penalties
from minicnn.training.batches import Batch, only
from minicnn.training.compiling import Compiling, logged_names

Array = np.ndarray


class LossOfPass(NamedTuple):
    """A loss, its value, and what `backward(loss.backward(cache), tape, at_logits=…)` needs."""

    loss: losses.Loss
    targets: Array
    value: float  # without `penalty`, what regularizers add
    cache: dict[str, Any]
    at_logits: bool
    penalty: float


class Stepping(Compiling):
    """A network that can take a step: forward, loss, backward, optimizer."""

    def _train_step(self, batch: Batch, model: Network) -> None:
        compiled = self._as_compiled("optimizer")
        model = model.ready_for(batch.x, fold=True, training=True)
        y_pred, tape = model.run_for_training(batch.x)
        y = self._targets(batch.y, y_pred)
        value, cache, at_logits = self._loss_of(y, y_pred, tape, batch.sample_weight, model)
        _, grads = model.backward(
            self.loss.backward(cache), tape, need_dx=False, at_logits=at_logits, penalized=True
        )
        value += self.penalty(tape)
        if grads:
            variables = model.trainable_variables_by_name()
            grads = with_penalties(grads, variables)
            if compiled.optimizer_is_ours:  # some weights may have been unfrozen since
                compiled.optimizer.build(list(variables.values()))
            compiled.optimizer.apply(grads, variables)
            compiled.optimizer_is_ours = True
        elif "frozen" not in compiled.told:
            compiled.told.add("frozen")
            warnings.warn(
                f"{self.label} has no trainable weights: it learns nothing.", stacklevel=3
            )
        self._update_metrics(value, y, y_pred, batch.sample_weight)

    def _test_step(self, batch: Batch, model: Network) -> None:
        model = model.ready_for(batch.x, fold=True)
        # The loss needs the logits only if the model ends in its softmax or sigmoid.
        if model.ends_in(self.loss.activation) or model.penalizes_outputs():
            y_pred, tape = model.run_for_loss(batch.x)
        else:
            y_pred, tape = model.run(batch.x, training=False), None
        y = self._targets(batch.y, y_pred)
        value, _, _ = self._loss_of(y, y_pred, tape, batch.sample_weight, model)
        value += self.penalty(tape)
        self._update_metrics(value, y, y_pred, batch.sample_weight)

    def _loss_of(
        self,
        y: Array,
        y_pred: Array,
        tape: Any,
        sample_weight: Any,
        model: Network,
        loss: losses.Loss | None = None,
    ) -> tuple[float, dict[str, Any], bool]:
        """Return the loss, computed from the logits if the model ends in its activation."""
        loss = loss or self.loss
        z = None if tape is None else model.logits(tape, loss.activation)
        if z is None:
            value, cache = loss.forward(y, y_pred, sample_weight)
        else:
            value, cache = loss.forward(y, z, sample_weight, from_logits=True)
        self._warn(loss, y, y_pred, sample_weight, z is not None)
        return float(np.mean(value)), cache, z is not None

    def penalty(self, tape: Tape | None) -> float:
        """Return what regularizers add to the loss: of weights, and of the outputs in this pass."""
        return sum(self.losses) + (0.0 if tape is None else tape.activity_penalty())

    def _warn(
        self, loss: losses.Loss, y: Array, y_pred: Array, sample_weight: Any, at_logits: bool
    ) -> None:
        """Warn of what can be computed but is probably a mistake, once for each `compile`."""
        ours = self._compiled is not None and loss is self._compiled.loss
        told = self._compiled.told if self._compiled is not None and ours else set()
        found = loss.doubts(y, y_pred, sample_weight)
        if "output" not in told:
            told.add("output")
            misfit = loss.misfit(self.last_activation(), y_pred)
            if not misfit and at_logits and loss.from_logits:
                misfit = (
                    f"from_logits=True, but the model ends in {loss.activation}; the loss uses "
                    "what goes into it, as in Keras."
                )
            found["misfit"] = misfit or "".join(
                f"softmax over the one unit of {layer} is 1 whatever the weights."
                for layer in self.constant_softmaxes()[:1]
            )
        for name, sentence in found.items():
            if sentence and name not in told:
                told.add(name)
                warnings.warn(f"{self.label}, {type(loss).__name__}: {sentence}", stacklevel=4)

    def loss_of_pass(
        self, y: Any, y_pred: Array, tape: Any, loss: Any = None, sample_weight: Any = None
    ) -> "LossOfPass":
        """Return how wrong the pass was, as `fit` computes it; `loss` replaces the compiled one.

        Raises `ValueError` without a loss, and for targets that do not fit.
        """
        if loss is None and (self._compiled is None or self._compiled.loss is None):
            raise ValueError(
                f"{self.label} has no loss to go backward from: compile it with one, or pass "
                'loss="categorical_crossentropy", for example.'
            )
        chosen = self.loss if loss is None else losses.get(loss)
        targets = self._targets(y, y_pred)
        found = self._loss_of(targets, y_pred, tape, sample_weight, self, chosen)
        return LossOfPass(chosen, targets, *found, self.penalty(tape))

    def _targets(self, y: Any, y_pred: Any) -> Array:
        if isinstance(y_pred, list):
            raise ValueError(
                f"{self.label} has {len(y_pred)} outputs; training supports models with one."
            )
        if y is None:
            raise ValueError(f"{self.label} needs targets y to train or to be evaluated.")
        y = np.asarray(only(self._of_output(y, "y"), len(y_pred)))
        if y.ndim == 1 and y_pred.ndim == 2 and y_pred.shape[-1] == 1:
            y = y[:, None]  # as Keras does, so that "accuracy" compares columns
        return y

    def _update_metrics(self, value: float, y: Array, y_pred: Array, sample_weight: Any) -> None:
        compiled = self._as_compiled("metrics")
        if compiled.metrics is None:
            compiled.metrics = [
                metrics_module.get(m, y.shape, y_pred.shape) for m in compiled.metric_identifiers
            ]
            compiled.weighted_metrics = [
                metrics_module.get(m, y.shape, y_pred.shape) for m in compiled.weighted_identifiers
            ]
        compiled.loss_mean.update_state(value, sample_weight=len(y_pred))
        for metric in compiled.metrics:
            metric.update_state(y, y_pred)
        for metric in compiled.weighted_metrics:
            metric.update_state(y, y_pred, sample_weight)

    def _logs(self) -> dict[str, float]:
        """Return loss and metrics so far, sorted by name, as in Keras's logs."""
        compiled = self._as_compiled("metrics")
        found = {"loss": compiled.loss_mean.result()}
        plain, weighted = compiled.metrics or [], compiled.weighted_metrics
        names = logged_names(plain, weighted)
        found |= {n: m.result() for n, m in zip(names, [*plain, *weighted], strict=True)}
        return dict(sorted(found.items()))

    def reset_metrics(self) -> None:
        """Restart the means of the loss and the metrics."""
        compiled = self._as_compiled("metrics")
        every = (compiled.loss_mean, *(compiled.metrics or []), *compiled.weighted_metrics)
        for metric in every:
            metric.reset_state()

    def _in_order(self, logs: Mapping[str, float]) -> Any:
        """Return [loss, metrics…], or the loss alone if there are no metrics, as Keras does."""
        values = [logs[name] for name in self.metrics_names]
        return values if len(values) > 1 else values[0]

    def _of_output(self, column: Any, what: str) -> Any:
        """Return the array in `{"name of the output": array}`."""
        if not isinstance(column, Mapping):
            return column
        names = self.output_names if self.built else list(column)
        if len(column) != 1 or list(column) != names:
            raise ValueError(
                f"{self.label} expects {what} to be an array, or a dict with it under the output's "
                f"name, {names}. Received {list(column)}."
            )
        return column[names[0]]
