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
from minicnn.graph.network import FeatureSplit
from minicnn.training import features
from minicnn.training.batches import (
    ArrayBatches,
    Batch,
    Batches,
    as_columns,
    batch_of,
    check_class_weight,
    class_weights,
    count_of,
    flat,
    is_arrays,
    make_batches,
    take,
)
from minicnn.training.evaluating import Evaluating, close_bars, listed, put_back, warn_of_early_end

FAR = 1_000  # for a cross-entropy; guessing among a thousand classes costs 7


class Trainer(Evaluating):
    """A network that learns; `Model` adds construction and saving."""

    stop_training = False  # a callback sets this: no further batch, no further epoch
    first_epoch = 0  # of the last `fit`; a callback may set it when training begins
    untracked: tuple[str, ...] = ("history",)
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
                (x, y) or (x, y, sample_weight), or a generator of them. Several inputs or outputs
                need a list of arrays, or a dict under their names; for one, both are also allowed,
                and a list may hold examples. Images (n, h, w) fit an input (h, w, 1), numbers (n,)
                an input (1,).
            batch_size: examples per step, for arrays; by default 32. validation_batch_size: those
                of validation; by default `batch_size`.
            epochs, initial_epoch: trains epochs `initial_epoch` … `epochs - 1`.
            verbose: see `minicnn.callbacks.progress_for`.
            validation_split: the share of the arrays, from their end before shuffling, for
                validation.
            validation_data: (x, y), (x, y, sample_weight), or anything that x may be.
            shuffle: new order of examples (arrays) or of batches (sequences) in each epoch.
            class_weight, sample_weight: weights for each example's loss; sample_weight may be a
                list or a dict for several outputs, or one array for all of them.
            steps_per_epoch, validation_steps: the largest number of batches in an epoch; needed for
                a generator that never ends. Each epoch of training starts where the last one
                stopped, each validation starts anew. An epoch ends when the data end, with a
                warning if that is early.
            validation_freq: validate once in this many epochs.
            reuse_features: compute the layers before the first one that learns only once, if they
                and the images are the same in each epoch (`features.py`): arrays, `flow`,
                `flow_from_directory` and `image_dataset_from_directory` without augmentation. The
                numbers are the same; `history.computed_once` names the layers. If a callback
                changes the weights of these layers, unfreezes some, or changes an array of images,
                all layers are computed from the next epoch on. A callback must not change files.

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
        self._check_class_weight(class_weight, sample_weight)
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
        validation = self._validation_batches(
            validation_data, validation_batch_size or batch_size, validation_steps
        )
        history = History()
        events = self._callbacks(
            # Last, as in Keras, so that the history includes what other callbacks add to the logs.
            [*listed(callbacks), history],
            verbose,
            {"epochs": epochs, "steps": training.steps},
        )
        self.stop_training, self.first_epoch = False, initial_epoch
        events.call("on_train_begin")
        first, logs = self.first_epoch, {}
        passes = (
            (epochs - first, epochs // validation_freq - first // validation_freq)
            if reuse_features
            else (0, 0)
        )
        train_on, validate_on = self._sources(training, validation, passes, verbose != 0)
        history.computed_once = train_on.names
        try:
            for epoch in range(first, epochs):
                self.reset_metrics()
                events.call("on_epoch_begin", epoch)
                train_on = self._current(train_on, True)
                found = self._epoch(train_on.batches, train_on.model, class_weight, events)
                if found is None and epoch == first:
                    raise ValueError("The training data ended before the epoch had a batch.")
                if found is None:
                    warnings.warn(
                        f"The training data ran out after epoch {epoch}: training ends.",
                        stacklevel=2,
                    )
                    break
                logs = found
                if validate_on is not None and (epoch + 1) % validation_freq == 0:
                    validate_on = self._current(validate_on, False)
                    held_out = self._evaluate(validate_on.batches, validate_on.model, events)
                    logs |= {f"val_{key}": value for key, value in held_out.items()}
                self._warn_of_loss(logs)
                events.call("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        except BaseException:
            put_back(events)
            raise
        finally:
            close_bars(events)
            for source in (train_on, validate_on):
                if source is not None:
                    source.batches.close()
                    if source.names:
                        source.given.catch_up(source.batches)
        self.optimizer.finalize_variable_values(self.trainable_weights)
        events.call("on_train_end", logs)
        return history

    def _sources(
        self, training: Batches, validation: Batches | None, passes: tuple[int, int], show: bool
    ) -> tuple[features.Source, features.Source | None]:
        """Return the sources of training and validation; `passes` says how often each is read."""
        train_on = self._source(training, True, passes[0], show)
        if validation is None:
            return train_on, None
        return train_on, self._source(validation, False, passes[1], show, train_on.names)

    def _source(
        self,
        batches: Batches,
        training: bool,
        passes: int,
        show: bool,
        told: tuple[str, ...] = (),
    ) -> features.Source:
        """Return batches of features and the part of the model that follows, if possible.

        Otherwise, or if `passes` over the batches read no example twice, return the batches and the
        model as they are. Layers that the user was `told` about are not printed again.
        """
        parts = self._parts(training) if features.are_reused(batches, passes) else None
        count = batches.example_count() or 0
        if (
            parts is None
            or not features.fits(parts.feature_shape, count, parts.itemsize)
            or not features.can_repeat(batches)
        ):
            return features.Source(batches, batches, self)
        body, what = parts.body, "training" if training else "validation"
        made = features.compute(batches, lambda x: body.run(x, False), f"Features, {what}", show)
        if show and not told:
            names = printable(" … ".join(dict.fromkeys((parts.names[0], parts.names[-1]))))
            why = "because they do not learn" if training else "for all validations"
            print(
                f"Computed once, {why}: {names} ({len(parts.names)} layers; "
                f"{bytes_text(made.nbytes)} of features kept)."
            )
        return features.Source(
            batches, batches.with_features(made), parts.head, parts.names,
            features.digest(body, batches),
        )  # fmt: skip

    def _parts(self, training: bool) -> FeatureSplit | None:
        """Return the parts that are computed once, and in each epoch, in training or validation."""
        return self.split_at_features(training) or (None if training else self.split_at_features())

    def _current(self, source: features.Source, training: bool) -> features.Source:
        """Return the source, or the whole model's source if the features are no longer valid.

        A callback may have unfrozen layers that were computed once, or changed their weights or
        the images.
        """
        if not source.names:
            return source
        parts = self._parts(training)
        if (
            parts is not None
            and parts.names == source.names
            and features.digest(parts.body, source.given) == source.digest
        ):
            return source
        source.given.catch_up(source.batches)
        return features.Source(source.given, source.given, self)

    def _epoch(
        self,
        training: Batches,
        model: Network,
        class_weight: Mapping[int, float] | None,
        events: CallbackList,
    ) -> dict[str, float] | None:
        """Train one epoch and return its logs; None if the data had no batch for it."""
        logs: dict[str, float] = {}
        step, examples = -1, 0
        training.on_epoch_begin()
        for step, given in enumerate(training.epoch()):
            batch = Batch(*self._data(*given))
            examples += count_of(batch.x)
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
        if not examples:
            raise ValueError("There are no examples to learn from: every batch is empty.")
        if training.steps is None:
            training.steps = step + 1
        elif not self.stop_training:
            warn_of_early_end("training data", step + 1, training)
        return logs

    def _warn_of_loss(self, logs: Mapping[str, float]) -> None:
        """Warn about a loss that shows a mistake, and say where to look for it."""
        name, loss = "loss", logs["loss"]
        if loss <= FAR and "val_loss" in logs:
            name, loss = "validation loss", logs["val_loss"]
        if np.isnan(loss):
            warnings.warn(
                f"{self.label}: the {name} became NaN. Are there NaN among the inputs, or is the "
                f"learning rate ({self.optimizer.learning_rate:g}) too large?",
                stacklevel=3,
            )
        elif loss > FAR and all(
            output.loss is None or "crossentropy" in output.loss.name
            for output in self._as_compiled("loss").outputs
        ):
            warnings.warn(
                f"{self.label}: the {name} is above {FAR:,}, and guessing costs only log(classes). "
                "Are the pixels scaled, in each generator (rescale, preprocess_input)? "
                "minicnn.explain.health(model, x, y) helps to find the cause.",
                stacklevel=3,
            )

    def _validation_batches(
        self, data: Any, batch_size: int | None, steps: int | None
    ) -> Batches | None:
        """Return the batches of `validation_data`, checked; None if it is None."""
        if data is None:
            return None
        if isinstance(data, (tuple, list)):
            if not 2 <= len(data) <= 3:
                raise ValueError(
                    "validation_data is (x, y), (x, y, sample_weight) or a data set. "
                    f"Received {len(data)} parts."
                )
            x, y, sample_weight = [*data, None][:3]
            batches = make_batches(*self._data(x, y, sample_weight), batch_size, steps)
        else:
            batches = make_batches(data, steps=steps)
        self._check_validation(batches)
        return batches

    def _check_validation(self, validation: Batches) -> None:
        """Raise an error now, not after the first epoch, if arrays have targets that do not fit."""
        arrays = validation.unlimited()
        if not isinstance(arrays, ArrayBatches):
            return
        if arrays.columns[1] is None:
            raise ValueError(f"{self.label} needs targets y in validation_data: pass (x, y).")
        sizes = [symbol.shape[1:] for symbol in self.graph.outputs] if self.built else [(None,)]
        if any(None in size for size in sizes):
            return  # only the data will show these sizes
        outputs = self._as_compiled("loss").outputs
        for batch in itertools.islice(arrays.epoch(), validation.steps):
            count = len(flat(batch.y)[0])
            y_pred: Any = [np.full((count, *size), 0.5, np.float32) for size in sizes]
            columns = self._for_each_output(batch, y_pred if len(sizes) > 1 else y_pred[0])
            for output, y, one, weight in zip(outputs, *columns, strict=True):
                if output.loss is not None:
                    output.loss.forward(y, one, weight)

    def _check_class_weight(self, class_weight: Any, sample_weight: Any) -> None:
        check_class_weight(class_weight)
        if class_weight is not None and sample_weight is not None:
            raise ValueError("Pass class_weight or sample_weight, not both.")
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
        self._check_class_weight(class_weight, sample_weight)
        batch = batch_of(*self._data(x, y, sample_weight))
        if class_weight is not None:
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
