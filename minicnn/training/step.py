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
from minicnn.graph import Network, Tape
from minicnn.layers.base import Grads
from minicnn.layers.penalties import with_penalties
from minicnn.training.batches import Batch, as_array, columns_of, only
from minicnn.training.compiling import Compiling
from minicnn.training.outputs import Output, outputs_of

Array = np.ndarray


class LossOfPass(NamedTuple):
    """A loss, its value, and what `backward(loss.backward(cache), tape, at_logits=…)` needs.

    Each of several outputs has one, whose loss weight is a factor of value and cache.
    """

    loss: losses.Loss
    targets: Array
    value: float  # without `penalty`, which regularizers add
    cache: dict[str, Any]
    at_logits: bool
    penalty: float


class LossOfOutput(NamedTuple):
    """The loss of one output, and what its gradient needs."""

    loss: losses.Loss
    value: float
    cache: dict[str, Any]
    at_logits: bool


class Stepping(Compiling):
    """A network that can take a step: forward, loss, backward, optimizer."""

    def _train_step(self, batch: Batch, model: Network) -> None:
        compiled = self._as_compiled("optimizer")
        model = model.ready_for(batch.x, fold=True, training=True)
        y_pred, tape = model.run_for_training(batch.x)
        ys, y_preds, weights = self._for_each_output(batch, y_pred)
        found = self._losses_of(ys, y_preds, weights, tape, model)
        penalty = self.penalty(tape)
        grads = self._grads_of(found, y_preds, tape, model)
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
        self._update_metrics(found, penalty, ys, y_preds, weights)

    def _test_step(self, batch: Batch, model: Network) -> None:
        model = model.ready_for(batch.x, fold=True)
        outputs = self._as_compiled("loss").outputs
        # The loss needs the logits only if an output ends in its softmax or sigmoid.
        exact = any(
            output.loss is not None and model.ends_in(output.loss.activation, number)
            for number, output in enumerate(outputs)
        )
        if exact or model.penalizes_outputs():
            y_pred, tape = model.run_for_loss(batch.x)
        else:
            y_pred, tape = model.run(batch.x, training=False), None
        ys, y_preds, weights = self._for_each_output(batch, y_pred)
        found = self._losses_of(ys, y_preds, weights, tape, model)
        self._update_metrics(found, self.penalty(tape), ys, y_preds, weights)

    def _for_each_output(self, batch: Batch, y_pred: Any) -> tuple[list[Any], list[Any], list[Any]]:
        """Return targets, predictions and weights of examples: lists with an entry per output."""
        if not isinstance(y_pred, list):
            return [self._targets(batch.y, y_pred)], [y_pred], [batch.sample_weight]
        outputs = self._as_compiled("loss").outputs
        if batch.y is None:
            raise ValueError(f"{self.label} needs targets y to train or to be evaluated.")
        ys = [
            None if y is None and output.loss is None else self._targets(y, one, output.name)
            for y, one, output in zip(batch.y, y_pred, outputs, strict=True)
        ]
        weights = [None] * len(outputs) if batch.sample_weight is None else batch.sample_weight
        return ys, y_pred, list(weights)

    def _losses_of(
        self, ys: list[Any], y_preds: list[Any], weights: list[Any], tape: Any, model: Network
    ) -> list[LossOfOutput | None]:
        """Return the loss of each output; None for an output without one."""
        return [
            None
            if output.loss is None
            else self._loss_of(y, y_pred, tape, weight, model, output.loss, number)
            for number, (output, y, y_pred, weight) in enumerate(
                zip(self._as_compiled("loss").outputs, ys, y_preds, weights, strict=True)
            )
        ]

    def _grads_of(
        self, found: list[LossOfOutput | None], y_preds: list[Any], tape: Any, model: Network
    ) -> Grads:
        """Return the gradients of the sum of these losses, without those of weights' penalties."""
        dys = []
        for one, output, y_pred in zip(found, self._as_compiled("loss").outputs, y_preds):
            dy = np.zeros_like(y_pred) if one is None else one.loss.backward(one.cache)
            dys.append(dy if output.weight is None else dy * dy.dtype.type(output.weight))
        at_logits = [one is not None and one.at_logits for one in found]
        _, grads = model.backward(dys, tape, need_dx=False, at_logits=at_logits, penalized=True)
        return grads

    def _loss_of(
        self,
        y: Array,
        y_pred: Array,
        tape: Any,
        sample_weight: Any,
        model: Network,
        loss: losses.Loss,
        number: int = 0,
    ) -> LossOfOutput:
        """Return the loss, computed from the logits if this output ends in its activation."""
        z = None if tape is None else model.logits(tape, loss.activation, number)
        if z is None:
            value, cache = loss.forward(y, y_pred, sample_weight)
        else:
            value, cache = loss.forward(y, z, sample_weight, from_logits=True)
        self._warn(loss, y, y_pred, sample_weight, z is not None, number)
        return LossOfOutput(loss, float(np.mean(value)), cache, z is not None)

    def penalty(self, tape: Tape | None) -> float:
        """Return what regularizers of weights, and of the outputs in this pass, add to the loss."""
        return sum(self.losses) + (0.0 if tape is None else tape.activity_penalty())

    def _warn(
        self,
        loss: losses.Loss,
        y: Array,
        y_pred: Array,
        sample_weight: Any,
        at_logits: bool,
        number: int,
    ) -> None:
        """Warn about probable mistakes that can still be computed, once for each `compile`."""
        outputs = [] if self.compiled_with is None else self.compiled_with.outputs
        ours = any(loss is output.loss for output in outputs)
        told = self.compiled_with.told if self.compiled_with is not None and ours else set()
        found = loss.doubts(y, y_pred, sample_weight)
        if f"output {number}" not in told:
            told.add(f"output {number}")
            misfit = loss.misfit(self.last_activation(number), y_pred)
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
        """Return the loss of the pass, as `fit` computes it; `loss` replaces the compiled loss.

        Raises `ValueError` without a loss, and for targets that do not fit.
        """
        if isinstance(y_pred, list):
            raise ValueError(
                f"{self.label} has {len(y_pred)} outputs, each with its own loss; this is for "
                "a model with one."
            )
        if loss is None and (self.compiled_with is None or not self.compiled_with.has_loss):
            raise ValueError(
                f"{self.label} has no loss to go backward from: compile it with one, or pass "
                'loss="categorical_crossentropy", for example.'
            )
        chosen = self.loss if loss is None else losses.get(loss)
        targets = self._targets(y, y_pred)
        found = self._loss_of(targets, y_pred, tape, sample_weight, self, chosen)
        _, value, cache, at_logits = found
        return LossOfPass(chosen, targets, value, cache, at_logits, self.penalty(tape))

    def losses_of_pass(
        self, y: Any, y_pred: Any, tape: Any, loss: Any = None, sample_weight: Any = None
    ) -> list[LossOfPass | None]:
        """Return the loss of each output, None for one without a loss; `fit` adds them up.

        `loss` replaces what was compiled: for several outputs a list or a dict, as in `compile`,
        or `Output`s. Raises what `loss_of_pass` raises.
        """
        if not isinstance(y_pred, list):
            return [self.loss_of_pass(y, y_pred, tape, loss, sample_weight)]
        if loss is None and (self.compiled_with is None or not self.compiled_with.has_loss):
            raise ValueError(
                f"{self.label} has no losses to go backward from: compile it with one for each of "
                f"its {len(y_pred)} outputs."
            )
        outputs = self._as_compiled("loss").outputs if loss is None else loss
        if not isinstance(outputs, list) or not all(isinstance(one, Output) for one in outputs):
            outputs = outputs_of(self.target_names, loss, None, None, None)
        needed = [output.loss is not None for output in outputs]
        names = self.target_names
        ys: Any = columns_of(y, names, needed, "y", self.label)
        if ys is None:
            raise ValueError(f"{self.label} needs targets y to train or to be evaluated.")
        weights = columns_of(sample_weight, names, needed, "sample_weight", self.label)
        found = []
        for number, (output, one) in enumerate(zip(outputs, y_pred, strict=True)):
            weight = None if weights is None else weights[number]
            found.append(self._share_of(output, ys[number], one, tape, weight, number))
        return found

    def _share_of(
        self, output: Output, y: Any, y_pred: Array, tape: Any, sample_weight: Any, number: int
    ) -> LossOfPass | None:
        """Return this output's share in the sum of losses."""
        if output.loss is None:
            return None
        t = self._targets(y, y_pred, output.name)
        found = self._loss_of(t, y_pred, tape, sample_weight, self, output.loss, number)
        weight = 1.0 if output.weight is None else output.weight
        factor = found.cache["factor"]
        cache = found.cache | {"factor": factor * factor.dtype.type(weight)}
        value, penalty = found.value * weight, self.penalty(tape)
        return LossOfPass(found.loss, t, value, cache, found.at_logits, penalty)

    @staticmethod
    def dy_of_pass(found: list[LossOfPass | None], y_pred: Any) -> tuple[Any, list[bool]]:
        """Return `(dy, at_logits)` for `backward` from the result of `losses_of_pass`."""
        ys = y_pred if isinstance(y_pred, list) else [y_pred]
        dys = [
            np.zeros_like(y) if one is None else one.loss.backward(one.cache)
            for one, y in zip(found, ys, strict=True)
        ]
        at_logits = [one is not None and one.at_logits for one in found]
        return dys if len(dys) > 1 else dys[0], at_logits

    def _targets(self, y: Any, y_pred: Any, name: str = "") -> Array:
        """Return the targets of an output as its loss takes them; messages use `name`, if any."""
        if y is None:
            of = f" of output {name!r}" if name else ""
            raise ValueError(f"{self.label} needs targets y{of} to train or to be evaluated.")
        y = y if name else only(self._of_outputs(y, "y"), len(y_pred))
        y = as_array(y, f"y of output {name!r}" if name else "y")
        if y.ndim == 1 and y_pred.ndim == 2 and y_pred.shape[-1] == 1:
            y = y[:, None]  # as Keras does, so that "accuracy" compares columns
        return y

    def _update_metrics(
        self,
        found: list[LossOfOutput | None],
        penalty: float,
        ys: list[Any],
        y_preds: list[Any],
        weights: list[Any],
    ) -> None:
        compiled = self._as_compiled("metrics")
        total = penalty
        for output, one, y, y_pred, weight in zip(compiled.outputs, found, ys, y_preds, weights):
            if one is not None:
                total += one.value * (1.0 if output.weight is None else output.weight)
                output.loss_mean.update_state(one.value, sample_weight=len(y_pred))
            if not output.metric_identifiers and not output.weighted_identifiers:
                continue
            if y is None:
                raise ValueError(
                    f"{self.label} needs targets y of output {output.name!r} for its metrics."
                )
            if output.metrics is None:
                output.make_metrics(y.shape, y_pred.shape)
            for metric in output.metrics or []:
                metric.update_state(y, y_pred)
            for metric in output.weighted_metrics:
                metric.update_state(y, y_pred, weight)
        compiled.loss_mean.update_state(total, sample_weight=len(y_preds[0]))

    def _logs(self) -> dict[str, float]:
        """Return losses and metrics so far, sorted by name, as in Keras's logs."""
        logs: dict[str, float] = {}
        for name, metric in sorted(self.metrics_by_name.items()):
            found = metric.number()
            logs |= found if isinstance(found, dict) else {name: found}
        return logs

    def reset_metrics(self) -> None:
        """Restart the means of the loss and the metrics."""
        compiled = self._as_compiled("metrics")
        compiled.loss_mean.reset_state()
        for output in compiled.outputs:
            output.reset()

    def _in_order(self, logs: Mapping[str, float]) -> Any:
        """Return [loss, metrics…], or the loss alone if there are no metrics, as Keras does.

        The numbers of a metric that returns several under names of their own come last.
        """
        names = [name for name in self.metrics_names if name in logs]
        values = [logs[name] for name in (*names, *sorted({*logs} - {*names}))]
        return values if len(values) > 1 else values[0]

    def _of_outputs(self, column: Any, what: str) -> Any:
        """Return the array in `{"name of the output": array}`; for several outputs, `Columns`."""
        names = self.target_names if self.built else []
        if len(names) > 1:
            return columns_of(column, names, self._with_loss(), what, self.label)
        if not isinstance(column, Mapping):
            return column
        names = names or list(column)
        if len(column) != 1 or list(column) != names:
            raise ValueError(
                f"{self.label} expects {what} to be an array, or a dict with it under the output's "
                f"name, {names}. Received {list(column)}."
            )
        return column[names[0]]

    def _with_loss(self) -> list[bool]:
        """Return for each output whether it has a loss; before `compile`, True for all."""
        if self.compiled_with is None:
            return [True] * len(self.target_names)
        return [output.loss is not None for output in self.compiled_with.outputs]
