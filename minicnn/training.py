"""`compile`, `fit`, `evaluate`, `predict`: Keras's training loop, in the open.

One step of training is four lines of mathematics (`Trainer._train_step`):

    y_pred, tape = forward(x)              what does the model say?
    loss, cache  = loss(y, y_pred)         how wrong is it?
    grads        = backward(dloss, tape)   which weight is to blame, and how much?
    optimizer.apply(grads, weights)        a small step down

A `Trainer` is a network that knows how to train; `Model` adds what a user makes and saves.
"""

import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minicnn import features, losses, optimizers, shapes
from minicnn import metrics as metrics_module  # `compile` has an argument of that name
from minicnn._support.terminal import printable
from minicnn.batches import (
    ArrayBatches,
    Batch,
    Batches,
    LimitedBatches,
    as_columns,
    batch_of,
    check_class_weight,
    class_weights,
    is_arrays,
    make_batches,
    only,
    take,
)
from minicnn.callbacks import Callback, CallbackList, History, Quiet, progress_for
from minicnn.graph import Network
from minicnn.layers import carried

Array = np.ndarray


class LossOfPass(NamedTuple):
    """A loss, its value, and what `backward(loss.backward(cache), tape, at_logits=…)` needs."""

    loss: losses.Loss
    targets: Array
    value: float
    cache: dict[str, Any]
    at_logits: bool


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


class Trainer(Network):
    """What a network can do once it knows an optimizer and a loss: `fit`, `evaluate`, `predict`."""

    stop_training = False  # a callback's wish: no further batch, no further epoch
    stop_evaluating = False
    stop_predicting = False
    history: History  # of the last `fit`
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

    # -- compile -------------------------------------------------------------------------------

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

    # -- one step ------------------------------------------------------------------------------

    def _train_step(self, batch: Batch, model: Network) -> None:
        compiled = self._as_compiled("optimizer")
        model = model.ready_for(batch.x, fold=True, training=True)
        y_pred, tape = model.run_for_training(batch.x)
        y = self._targets(batch.y, y_pred)
        value, cache, at_logits = self._loss_of(y, y_pred, tape, batch.sample_weight, model)
        _, grads = model.backward(
            self.loss.backward(cache), tape, need_dx=False, at_logits=at_logits
        )
        if grads:
            variables = model.trainable_variables_by_name()
            if compiled.optimizer_is_ours:  # these may be more than before: some were thawed
                compiled.optimizer.build(list(variables.values()))
            compiled.optimizer.apply(grads, variables)
            compiled.optimizer_is_ours = True
        elif "frozen" not in compiled.told:
            compiled.told.add("frozen")
            warnings.warn(
                f"{self.label} has no trainable weights: it learns nothing.", stacklevel=3
            )
        self._update_metrics(value, y, y_pred)

    def _test_step(self, batch: Batch, model: Network) -> None:
        model = model.ready_for(batch.x, fold=True)
        # Only a final softmax or sigmoid makes the loss ask for what went into it.
        if model.ends_in(self.loss.activation):
            y_pred, tape = model.run_keeping_last(batch.x)
        else:
            y_pred, tape = model.run(batch.x, training=False), None
        y = self._targets(batch.y, y_pred)
        value, _, _ = self._loss_of(y, y_pred, tape, batch.sample_weight, model)
        self._update_metrics(value, y, y_pred)

    def _loss_of(
        self,
        y: Array,
        y_pred: Array,
        tape: Any,
        sample_weight: Any,
        model: Network,
        loss: losses.Loss | None = None,
    ) -> tuple[float, dict[str, Any], bool]:
        """The loss, computed from the logits if the model ends in the activation that fits it."""
        loss = loss or self.loss
        z = None if tape is None else model.logits(tape, loss.activation)
        if z is None:
            value, cache = loss.forward(y, y_pred, sample_weight)
        else:
            value, cache = loss.forward(y, z, sample_weight, from_logits=True)
        self._warn(loss, y, y_pred, sample_weight, z is not None)
        return float(np.mean(value)), cache, z is not None

    def _warn(
        self, loss: losses.Loss, y: Array, y_pred: Array, sample_weight: Any, at_logits: bool
    ) -> None:
        """Warn of what can be computed but hardly be meant: once for each `compile`."""
        ours = self._compiled is not None and loss is self._compiled.loss
        told = self._compiled.told if self._compiled is not None and ours else set()
        found = loss.doubts(y, y_pred, sample_weight)
        if "output" not in told:
            told.add("output")
            misfit = loss.misfit(self.last_activation(), y_pred)
            if not misfit and at_logits and loss.from_logits:
                misfit = (
                    f"from_logits=True, but the model ends in {loss.activation}; the loss takes "
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
        """How wrong the pass was, as `fit` computes it; `loss` if not the compiled one.

        Raises `ValueError` without a loss, and for targets that do not fit.
        """
        if loss is None and (self._compiled is None or self._compiled.loss is None):
            raise ValueError(
                f"{self.label} has no loss to go back from: compile it with one, or pass "
                'loss="categorical_crossentropy", for example.'
            )
        chosen = self.loss if loss is None else losses.get(loss)
        targets = self._targets(y, y_pred)
        found = self._loss_of(targets, y_pred, tape, sample_weight, self, chosen)
        return LossOfPass(chosen, targets, *found)

    def _targets(self, y: Any, y_pred: Any) -> Array:
        if isinstance(y_pred, list):
            raise ValueError(
                f"{self.label} has {len(y_pred)} outputs; training takes models with one."
            )
        if y is None:
            raise ValueError(f"{self.label} needs targets y to train or to be evaluated.")
        y = np.asarray(only(self._of_output(y, "y"), len(y_pred)))
        if y.ndim == 1 and y_pred.ndim == 2 and y_pred.shape[-1] == 1:
            y = y[:, None]  # as Keras does, so that "accuracy" sees one column beside one column
        return y

    def _update_metrics(self, value: float, y: Array, y_pred: Array) -> None:
        compiled = self._as_compiled("metrics")
        if compiled.metrics is None:
            compiled.metrics = [
                metrics_module.get(m, y.shape, y_pred.shape) for m in compiled.metric_identifiers
            ]
        compiled.loss_mean.update_state(value, sample_weight=len(y_pred))
        for metric in compiled.metrics:
            metric.update_state(y, y_pred)

    def _logs(self) -> dict[str, float]:
        """Loss and metrics so far, in the order of Keras's logs: by name."""
        compiled = self._as_compiled("metrics")
        found = {"loss": compiled.loss_mean.result()}
        found |= {metric.name: metric.result() for metric in compiled.metrics or []}
        return dict(sorted(found.items()))

    def reset_metrics(self) -> None:
        """Begin new means of the loss and the metrics."""
        compiled = self._as_compiled("metrics")
        for metric in (compiled.loss_mean, *(compiled.metrics or [])):
            metric.reset_state()

    def _in_order(self, logs: Mapping[str, float]) -> Any:
        """[loss, metrics…], or the loss alone if there are no metrics: what Keras returns."""
        values = [logs[name] for name in self.metrics_names]
        return values if len(values) > 1 else values[0]

    # -- fit -----------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        reuse_features: bool = True,
    ) -> History:
        """Train. Arguments, defaults and the returned `History` are Keras's, but for the last one.

        Args:
            x, y: arrays with one entry per example; or x alone as a sequence or iterable of batches
                (x, y) or (x, y, sample_weight), or a generator of them. Arrays may stand in a list,
                or in a dict under the names of the inputs and of the output; a list may hold
                examples, too. Photos (n, h, w) do for an input (h, w, 1), numbers (n,) for (1,).
            batch_size: examples a step, for arrays; 32.
            epochs, initial_epoch: trains epochs `initial_epoch` … `epochs - 1`.
            verbose: see `minicnn.callbacks.progress_for`.
            validation_split: the last share of the arrays, before shuffling, is for validation.
            validation_data: (x, y), (x, y, sample_weight), or anything that x may be.
            shuffle: new order of examples (arrays) or of batches (sequences) in each epoch.
            class_weight, sample_weight: weigh each example's loss.
            steps_per_epoch, validation_steps: how many batches make an epoch at most; needed for a
                generator that never ends. Each epoch of training goes on where the last one
                stopped, each validation begins anew. An epoch ends where the data do, with a
                warning if that is early.
            validation_freq: validate after each so many epochs.
            reuse_features: compute the layers before the first one that learns only once, where
                they and the photos are the same in each epoch (`minicnn.features`): arrays,
                `flow`, `flow_from_directory` and `image_dataset_from_directory` without
                augmentation. The numbers are the same; `history.computed_once` names the layers.

        Returns:
            `History`: `history.history` maps "loss", "accuracy", "val_loss", … to a list.

        Raises:
            ValueError: before `compile`, for data that do not fit the model, or for NaN or
                out-of-range targets.
        """
        self._check_compiled("fit")
        self._warn_of_lacking()
        for argument, number, least in (
            ("epochs", epochs, 1),
            ("initial_epoch", initial_epoch, 0),
            ("validation_freq", validation_freq, 1),
        ):
            if not isinstance(number, (int, np.integer)) or number < least:
                raise ValueError(f"{argument} must be an integer >= {least}. Received {number!r}.")
        check_class_weight(class_weight)
        if class_weight is not None and sample_weight is not None:
            raise ValueError("Pass class_weight or sample_weight, not both.")
        compiled = self._as_compiled("optimizer")
        if self.built and not compiled.optimizer_is_ours:  # now, not after callbacks have begun
            self.optimizer.check_known(self.trainable_variables_by_name())
        if validation_split:
            if validation_data is not None:
                raise ValueError("Pass validation_split or validation_data, not both.")
            x, y, sample_weight = self._data(x, y, sample_weight)
            (x, y, sample_weight), validation_data = _split(x, y, sample_weight, validation_split)
        data = self._data(x, y, sample_weight)
        training = make_batches(*data, batch_size, steps_per_epoch, shuffle)
        validation = None
        if validation_data is not None:
            validation = self._validation_batches(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
            self._check_validation(validation)
        history = History()
        events = self._callbacks(
            # Last, as in Keras: what a callback adds to the logs is history, too.
            [*_listed(callbacks), history],
            verbose,
            {"epochs": epochs, "steps": training.steps, "verbose": verbose},
        )
        self.stop_training = False
        logs: dict[str, float] = {}
        # What training and validation read, and the part of the model that they run.
        train_on: tuple[Batches, Network] = training, self
        validate_on: tuple[Batches | None, Network] = validation, self
        if reuse_features and epochs - initial_epoch > 1:
            show = verbose != 0
            train_on, validate_on, history.computed_once = self._reuse(training, validation, show)
        events.call("on_train_begin")
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                events.call("on_epoch_begin", epoch)
                if history.computed_once and not self._still_fixed(history.computed_once):
                    training.catch_up(train_on[0])  # a callback has unfrozen something
                    train_on, validate_on = (training, self), (validation, self)
                found = self._epoch(*train_on, class_weight, events)
                if found is None and epoch == initial_epoch:
                    raise ValueError("The training data ended before the epoch had a batch.")
                if found is None:
                    warnings.warn(
                        f"The training data ran out after epoch {epoch}: training ends.",
                        stacklevel=2,
                    )
                    break
                logs = found
                if validation is not None and (epoch + 1) % validation_freq == 0:
                    held_out = self._evaluate(validate_on[0] or validation, validate_on[1], events)
                    logs |= {f"val_{key}": value for key, value in held_out.items()}
                events.call("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        finally:
            _close_bars(events)
            for batches, used in ((training, train_on[0]), (validation, validate_on[0])):
                if batches is not None and used is not None:
                    used.close()
                    if used is not batches:
                        batches.catch_up(used)
        events.call("on_train_end", logs)
        return history

    def _reuse(
        self, training: Batches, validation: Batches | None, show: bool
    ) -> tuple[tuple[Batches, Network], tuple[Batches | None, Network], tuple[str, ...]]:
        """Batches of features and the part of the model that learns from them, where that works.

        Else the batches and the model as they are. And the names of the layers computed once.
        """
        as_they_are = (training, self), (validation, self), ()
        parts = self.in_two()
        if parts is None:
            return as_they_are

        def replaced(batches: Batches, title: str) -> Batches | None:
            count = batches.example_count() or 0
            if not features.fits(parts.feature_shape, count, parts.itemsize):
                return None
            if not features.can_repeat(batches):
                return None
            made = features.compute(batches, lambda x: parts.body.run(x, False), title, show)
            return batches.with_features(made)

        once = replaced(training, "Features, training")
        if once is None:
            return as_they_are
        validated: tuple[Batches | None, Network] = (validation, self)
        if validation is not None:
            validation_once = replaced(validation, "Features, validation")
            if validation_once is not None:
                validated = (validation_once, parts.head)
        if show:
            names = printable(" … ".join(dict.fromkeys((parts.names[0], parts.names[-1]))))
            size = features.size(parts.feature_shape, once.example_count() or 0, parts.itemsize)
            print(
                f"Computed once, for they do not learn: {names} ({len(parts.names)} layers; "
                f"{(size or 0) / 2**20:.1f} MB of features kept)."
            )
        return (once, parts.head), validated, parts.names

    def _still_fixed(self, names: tuple[str, ...]) -> bool:
        parts = self.in_two()
        return parts is not None and parts.names == names

    def _epoch(
        self,
        training: Batches,
        model: Network,
        class_weight: Mapping[int, float] | None,
        events: CallbackList,
    ) -> dict[str, float] | None:
        """The epoch's logs; None if the data had no batch for it."""
        logs: dict[str, float] = {}
        step = -1
        training.on_epoch_begin()
        for step, given in enumerate(training.epoch()):
            batch = Batch(*self._data(*given))
            if class_weight is not None:
                if batch.sample_weight is not None:
                    raise ValueError(
                        "The data bring sample weights: class_weight cannot join them."
                    )
                batch = Batch(batch.x, batch.y, class_weights(batch.y, class_weight))
            events.call("on_train_batch_begin", step)
            self._train_step(batch, model)
            logs = self._logs()
            events.call("on_train_batch_end", step, logs)
            if self.stop_training:
                break
        training.on_epoch_end()
        if step < 0:
            return None
        if training.steps is None:
            training.steps = step + 1
        elif not self.stop_training:
            _warn_of_early_end("training data", step + 1, training)
        if np.isnan(logs["loss"]):
            warnings.warn(
                f"{self.label}: the loss became NaN. Are there NaN among the inputs, or is the "
                f"learning rate ({self.optimizer.learning_rate:g}) too large?",
                stacklevel=3,
            )
        return logs

    def _validation_batches(self, data: Any, batch_size: int | None, steps: int | None) -> Batches:
        if isinstance(data, (tuple, list)):
            if not 2 <= len(data) <= 3:
                raise ValueError(
                    "validation_data is (x, y), (x, y, sample_weight) or a data set. "
                    f"Received {len(data)} parts."
                )
            x, y, sample_weight = [*data, None][:3]
            return make_batches(*self._data(x, y, sample_weight), batch_size, steps)
        return make_batches(data, steps=steps)

    def _data(self, x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, Any, Any]:
        """x, y and weights: x as the model takes it, the others out of their dicts."""
        if is_arrays(x):
            x = self.as_inputs(x)
        return x, self._of_output(y, "y"), self._of_output(sample_weight, "sample_weight")

    def _of_output(self, column: Any, what: str) -> Any:
        """`{"name of the output": array}` as the array."""
        if not isinstance(column, Mapping):
            return column
        names = self.output_names if self.built else list(column)
        if len(column) != 1 or list(column) != names:
            raise ValueError(
                f"{self.label} expects {what} to be an array, or a dict with it under the output's "
                f"name, {names}. Received {list(column)}."
            )
        return column[names[0]]

    def _check_validation(self, validation: Batches) -> None:
        """Raise now, not after the first epoch, where arrays have targets that do not fit."""
        arrays = validation.batches if isinstance(validation, LimitedBatches) else validation
        if not isinstance(arrays, ArrayBatches):
            return
        if arrays.columns[1] is None:
            raise ValueError(f"{self.label} needs targets y in validation_data: pass (x, y).")
        shape = self.output_shape if self.built else None
        if not isinstance(shape, tuple) or None in shape[1:]:
            return  # only the data will tell
        for batch in itertools.islice(arrays.epoch(), validation.steps):
            y_pred = np.full((len(batch.y), *shape[1:]), 0.5, np.float32)  # any will do
            self.loss.forward(self._targets(batch.y, y_pred), y_pred, batch.sample_weight)

    def _callbacks(
        self, callbacks: list[Callback], verbose: str | int, params: dict[str, Any]
    ) -> CallbackList:
        # The bar comes first, so that what other callbacks print stands below its finished line.
        return CallbackList([progress_for(verbose) or Quiet(), *callbacks], self, params)

    # -- evaluate, predict, single batches --------------------------------------------------------

    def _evaluate(self, batches: Batches, model: Network, events: CallbackList) -> dict[str, float]:
        self.reset_metrics()
        self.stop_evaluating = False
        events.call("on_test_begin")
        logs: dict[str, float] = {}
        batches.on_epoch_begin()
        for step, batch in enumerate(batches.epoch()):
            events.call("on_test_batch_begin", step)
            self._test_step(Batch(*self._data(*batch)), model)
            logs = self._logs()
            events.call("on_test_batch_end", step, logs)
            if self.stop_evaluating:
                break
        else:
            if logs:
                _warn_of_early_end("data to evaluate", step + 1, batches)
        batches.on_epoch_end()
        batches.restart()
        if not logs:
            raise ValueError("There are no batches to evaluate.")
        events.call("on_test_end", logs)
        return logs

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on these data: `[loss, accuracy]`, or a dict with `return_dict=True`.

        Without metrics the loss alone. Data as in `fit`.
        """
        self._check_compiled("evaluate")
        self._warn_of_lacking(penalties=True)
        batches = make_batches(*self._data(x, y, sample_weight), batch_size, steps)
        events = self._callbacks(_listed(callbacks), verbose, {"steps": batches.steps})
        try:
            logs = self._evaluate(batches, self, events)
        finally:
            _close_bars(events)
            batches.close()
        return logs if return_dict else self._in_order(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        fold: bool = True,
    ) -> Any:
        """The model's output for each example, as one array (a list of them for several outputs).

        Needs no `compile`. Data as in `fit`; targets in batches are ignored, as in Keras. With
        `fold` (not in Keras) normalization, ReLU and max pooling are folded into the convolution
        before them (`inference_model`): fewer steps, the same numbers but for rounding.
        """
        batches = make_batches(*self._data(x), batch_size, steps)
        model: Network | None = None
        at_once: int | None = None
        events = self._callbacks(_listed(callbacks), verbose, {"steps": batches.steps})
        parts: list[Any] = []
        self.stop_predicting = False
        events.call("on_predict_begin")
        batches.on_epoch_begin()
        try:
            for step, batch in enumerate(batches.epoch()):
                events.call("on_predict_batch_begin", step)
                if model is None:  # now, for a Sequential may build itself for its first data
                    model = self.ready_for(batch.x, fold)
                    at_once = model.examples_at_once()
                given = self.as_inputs(batch.x)
                parts += [model.run(x, training=False) for x in _slices(given, at_once)]
                events.call("on_predict_batch_end", step)
                if self.stop_predicting:
                    break
            else:
                if parts:
                    _warn_of_early_end("data to predict", step + 1, batches, stacklevel=3)
            batches.on_epoch_end()
            batches.restart()
        finally:
            _close_bars(events)
            batches.close()
        if not parts:
            raise ValueError("There are no batches to predict.")
        events.call("on_predict_end")
        if isinstance(parts[0], list):
            return self.as_given([np.concatenate(ys) for ys in zip(*parts, strict=True)])
        return np.concatenate(parts)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; returns its loss and metrics from before the step."""
        self._check_compiled("train_on_batch")
        self._warn_of_lacking()
        check_class_weight(class_weight)
        batch = batch_of(*self._data(x, y, sample_weight))
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("Pass class_weight or sample_weight, not both.")
            batch = batch._replace(sample_weight=class_weights(batch.y, class_weight))
        self.reset_metrics()
        self._train_step(batch, self)
        logs = self._logs()
        return logs if return_dict else self._in_order(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch, without a step."""
        self._check_compiled("test_on_batch")
        self._warn_of_lacking(penalties=True)
        self.reset_metrics()
        self._test_step(batch_of(*self._data(x, y, sample_weight)), self)
        logs = self._logs()
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """The model's output for one batch, as `predict` computes it."""
        return self.as_given(self.ready_for(x, fold=True).run(x, training=False))


def _warn_of_early_end(what: str, found: int, batches: Batches, stacklevel: int = 4) -> None:
    if batches.steps is not None and found < batches.steps:
        text = f"The {what} ended after {found} of {batches.steps} steps."
        warnings.warn(text, stacklevel=stacklevel)


def _slices(x: Any, at_once: int | None) -> list[Any]:
    """A batch in equal parts of at most so many examples: less memory, and more of it in the cache.

    A layer computes each example alone, so the numbers are the same.
    """
    if at_once is None or not isinstance(x, np.ndarray) or len(x) <= at_once:
        return [x]
    return np.array_split(x, -(-len(x) // at_once))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _all_are_one(weights: Any) -> bool:
    found = list(weights.values()) if isinstance(weights, dict) else weights
    return found is None or bool(np.all(np.asarray(found) == 1))


def _listed(callbacks: Callback | Iterable[Callback] | None) -> list[Callback]:
    if callbacks is None:
        return []
    if isinstance(callbacks, Iterable) and not isinstance(callbacks, Callback):
        return list(callbacks)
    return [callbacks]  # `CallbackList` says what it thinks of it


def _metric(identifier: Any) -> metrics_module.Metric:
    """The metric, while the targets are not known yet; `ValueError` if there is none such."""
    return metrics_module.get(identifier, (1, 2), (1, 2))


def _close_bars(events: CallbackList) -> None:
    """A progress bar that is left open would go on drawing over an error message."""
    for callback in events.callbacks:
        getattr(callback, "_close", lambda: None)()


def _split(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[Any, Any]:
    """The last `share` of the arrays for validation, the rest for training, as Keras cuts it."""
    if not shapes.is_number(share) or not 0 < share < 1:
        raise ValueError(f"validation_split must be between 0 and 1. Received {share!r}.")
    if not is_arrays(x):
        raise ValueError(
            f"validation_split needs arrays, to cut them. Received {type(x).__name__}; "
            "pass validation_data instead."
        )
    columns = as_columns(x, y, sample_weight)
    count = ArrayBatches(*columns).examples
    at = int(np.floor(count * (1 - share)))
    if at == 0 or at == count:
        raise ValueError(f"validation_split={share} of {count} examples leaves one side empty.")
    return (
        tuple(take(column, slice(at)) for column in columns),
        tuple(take(column, slice(at, None)) for column in columns),
    )
