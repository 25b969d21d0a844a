"""`fit`: Keras's training loop, in the open."""

import itertools
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.terminal import bytes_text, printable
from minicnn.callbacks import Callback, CallbackList, History
from minicnn.graph import Network
from minicnn.training import features
from minicnn.training.batches import (
    ArrayBatches,
    Batch,
    Batches,
    LimitedBatches,
    as_columns,
    batch_of,
    check_class_weight,
    class_weights,
    flat,
    is_arrays,
    make_batches,
    take,
)
from minicnn.training.evaluating import Evaluating, close_bars, listed, warn_of_early_end

FAR = 1_000  # for a cross-entropy: guessing among a thousand classes costs 7


class Trainer(Evaluating):
    """A network that learns; `Model` adds how it is made and saved."""

    stop_training = False  # a callback sets this: no further batch, no further epoch
    first_epoch = 0  # of the last `fit`; a callback may set it when training begins
    history: History  # of the last `fit`

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
        """Train. Arguments, defaults and the returned `History` are Keras's, except the last one.

        Args:
            x, y: arrays with one entry per example; or x alone as a sequence or iterable of batches
                (x, y) or (x, y, sample_weight), or a generator of them. Arrays may be in a list, or
                in a dict under the names of the inputs and of the outputs, as they must be for
                several; for one, a list may also hold examples. Images (n, h, w) fit an input
                (h, w, 1), numbers (n,) an input (1,).
            batch_size: examples per step, for arrays; by default 32.
            epochs, initial_epoch: trains epochs `initial_epoch` … `epochs - 1`.
            verbose: see `minicnn.callbacks.progress_for`.
            validation_split: the last share of the arrays, before shuffling, is for validation.
            validation_data: (x, y), (x, y, sample_weight), or anything that x may be.
            shuffle: new order of examples (arrays) or of batches (sequences) in each epoch.
            class_weight, sample_weight: weights for each example's loss; sample_weight may be a
                list or a dict for several outputs, or one array for all of them.
            steps_per_epoch, validation_steps: the largest number of batches in an epoch; needed for
                a generator that never ends. Each epoch of training starts where the last one
                stopped, each validation starts anew. An epoch ends where the data end, with a
                warning if that is early.
            validation_freq: validate after every so many epochs.
            reuse_features: compute the layers before the first one that learns only once, if they
                and the images are the same in each epoch (`features.py`): arrays, `flow`,
                `flow_from_directory` and `image_dataset_from_directory` without augmentation. The
                numbers are the same; `history.computed_once` names the layers.

        Returns:
            `History`: `history.history` maps "loss", "accuracy", "val_loss", … to a list.

        Raises:
            ValueError: before `compile`, for data that do not fit the model, or for NaN or
                out-of-range targets.
        """
        self._check_compiled("fit")
        self._warn_of_lacking()
        _check_whole_number("epochs", epochs, 1)
        _check_whole_number("initial_epoch", initial_epoch, 0)
        _check_whole_number("validation_freq", validation_freq, 1)
        self._check_class_weight(class_weight)
        if class_weight is not None and sample_weight is not None:
            raise ValueError("Pass class_weight or sample_weight, not both.")
        compiled = self._as_compiled("optimizer")
        if self.built and not compiled.optimizer_is_ours:  # raises before callbacks begin
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
            # Last, as in Keras: what other callbacks add to the logs is history, too.
            [*listed(callbacks), history],
            verbose,
            {"epochs": epochs, "steps": training.steps, "verbose": verbose},
        )
        self.stop_training, self.first_epoch = False, initial_epoch
        events.call("on_train_begin")
        first, logs = self.first_epoch, {}
        # What training and validation read, and the part of the model that they run.
        train_on: tuple[Batches, Network] = training, self
        validate_on: tuple[Batches | None, Network] = validation, self
        if reuse_features and epochs - first > 1:
            show = verbose != 0
            train_on, validate_on, history.computed_once = self._reuse(training, validation, show)
        try:
            for epoch in range(first, epochs):
                self.reset_metrics()
                events.call("on_epoch_begin", epoch)
                if history.computed_once and not self._still_fixed(history.computed_once):
                    training.catch_up(train_on[0])  # a callback has unfrozen something
                    train_on, validate_on = (training, self), (validation, self)
                found = self._epoch(*train_on, class_weight, events)
                if found is None and epoch == first:
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
            close_bars(events)
            for batches, used in ((training, train_on[0]), (validation, validate_on[0])):
                if batches is not None and used is not None:
                    used.close()
                    if used is not batches:
                        batches.catch_up(used)
        self.optimizer.finalize_variable_values(self.trainable_weights)
        events.call("on_train_end", logs)
        return history

    def _reuse(
        self, training: Batches, validation: Batches | None, show: bool
    ) -> tuple[tuple[Batches, Network], tuple[Batches | None, Network], tuple[str, ...]]:
        """Return batches of features and the part of the model that learns from them, if possible.

        Otherwise return the batches and the model as they are. The last item names the layers that
        are computed once.
        """
        as_they_are = (training, self), (validation, self), ()
        parts = self.split_at_features()
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
                f"Computed once, because they do not learn: {names} ({len(parts.names)} layers; "
                f"{bytes_text(size or 0)} of features kept)."
            )
        return (once, parts.head), validated, parts.names

    def _still_fixed(self, names: tuple[str, ...]) -> bool:
        parts = self.split_at_features()
        return parts is not None and parts.names == names

    def _epoch(
        self,
        training: Batches,
        model: Network,
        class_weight: Mapping[int, float] | None,
        events: CallbackList,
    ) -> dict[str, float] | None:
        """Train one epoch and return its logs; None if the data had no batch for it."""
        logs: dict[str, float] = {}
        step = -1
        training.on_epoch_begin()
        for step, given in enumerate(training.epoch()):
            batch = Batch(*self._data(*given))
            if class_weight is not None:
                if batch.sample_weight is not None:
                    raise ValueError(
                        "The data have sample weights: class_weight cannot be added to them."
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
            warn_of_early_end("training data", step + 1, training)
        self._warn_of_loss(logs["loss"])
        return logs

    def _warn_of_loss(self, loss: float) -> None:
        """Warn of a loss that shows a mistake, and say where to look for it."""
        if np.isnan(loss):
            warnings.warn(
                f"{self.label}: the loss became NaN. Are there NaN among the inputs, or is the "
                f"learning rate ({self.optimizer.learning_rate:g}) too large?",
                stacklevel=4,
            )
        elif loss > FAR and "crossentropy" in getattr(self.loss, "name", ""):
            warnings.warn(
                f"{self.label}: the loss is above {FAR:,}, and guessing costs only log(classes). "
                "Are the pixels scaled, in each generator (rescale, preprocess_input)? "
                "minicnn.explain.health(model, x, y) looks at it.",
                stacklevel=4,
            )

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

    def _check_validation(self, validation: Batches) -> None:
        """Raise now, not after the first epoch, if arrays have targets that do not fit."""
        arrays = validation.batches if isinstance(validation, LimitedBatches) else validation
        if not isinstance(arrays, ArrayBatches):
            return
        if arrays.columns[1] is None:
            raise ValueError(f"{self.label} needs targets y in validation_data: pass (x, y).")
        sizes = [symbol.shape[1:] for symbol in self.graph.outputs] if self.built else [(None,)]
        if any(None in size for size in sizes):
            return  # only the data will tell
        outputs = self._as_compiled("loss").outputs
        for batch in itertools.islice(arrays.epoch(), validation.steps):
            count = len(flat(batch.y)[0])
            y_pred: Any = [np.full((count, *size), 0.5, np.float32) for size in sizes]  # any value
            columns = self._for_each_output(batch, y_pred if len(sizes) > 1 else y_pred[0])
            for output, y, one, weight in zip(outputs, *columns, strict=True):
                if output.loss is not None:
                    output.loss.forward(y, one, weight)

    def _check_class_weight(self, class_weight: Any) -> None:
        check_class_weight(class_weight)
        if class_weight is not None and self.built and len(self.graph.outputs) > 1:
            raise ValueError(
                f"class_weight is for models with one output, and {self.label} has "
                f"{len(self.graph.outputs)}: pass sample_weight, a list or a dict of weights."
            )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Make one step on one batch; return its loss and metrics from before the step."""
        self._check_compiled("train_on_batch")
        self._warn_of_lacking()
        self._check_class_weight(class_weight)
        batch = batch_of(*self._data(x, y, sample_weight))
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("Pass class_weight or sample_weight, not both.")
            batch = batch._replace(sample_weight=class_weights(batch.y, class_weight))
        self.reset_metrics()
        self._train_step(batch, self)
        logs = self._logs()
        return logs if return_dict else self._in_order(logs)


def _check_whole_number(argument: str, number: Any, least: int) -> None:
    if not isinstance(number, (int, np.integer)) or number < least:
        raise ValueError(f"{argument} must be an integer >= {least}. Received {number!r}.")


def _split(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[Any, Any]:
    """Return arrays for training, and their last `share` for validation, cut as in Keras."""
    if not shapes.is_number(share) or not 0 < share < 1:
        raise ValueError(f"validation_split must be between 0 and 1. Received {share!r}.")
    if not is_arrays(x):
        raise ValueError(
            f"validation_split works on arrays only. Received {type(x).__name__}; "
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
