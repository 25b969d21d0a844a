"""Runs one training: its epochs, its best model, and the state that it needs to resume.

After each epoch `state.npz` has everything that the rest of the run depends on: weights, optimizer,
the state of random layers, and the history. The run replaces it in one step, after it has written
the best model; and since the seed and the epoch's number determine the epoch's batches, a run that
was killed at any moment continues to the same history and the same best model.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from minicnn._support.atomic import replacing
from minicnn._support.reading import check_regular
from reference import model as models
from reference import schedules, tuning
from reference.backend import Machine
from reference.batches import Batches, InOrder, steps_of_epoch

Array = np.ndarray
History = dict[str, list[float]]

COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Settings:
    """How to train; stops after `patience` epochs without a better validation accuracy."""

    learning_rate: float = 0.001
    size_inner: int = 0
    droprate: float = 0.0
    epochs: int = 10
    batch_size: int = 32
    seed: int = 0
    patience: int | None = None
    class_weights: bool = False
    augment: bool = False  # flips, shifts, zooms; see `reference.augmenting` for these, too:
    randaugment: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    fine_tune: str | None = None  # the base's first block that learns; "block14,block13": stages
    fine_tune_epochs: int = 5  # of each stage
    fine_tune_rate: float = 1e-5
    block_decay: float = 1.0  # how fast a block learns, relative to the next one
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0  # momentum of a moving average of the weights, which is then evaluated; 0: off
    schedule: str = "constant"  # of the learning rate: see `reference.schedules`
    warmup: float = 0.0  # epochs in which the learning rate rises
    ensemble: int = 1  # runs with seeds from `seed` on, in one file
    flips: bool = False  # average over the photo and its mirror image
    calibrate: bool = False  # fit a temperature to the validation photos

    def __post_init__(self) -> None:
        stages = [self.epochs] if self.fine_tune is None else [self.epochs, self.fine_tune_epochs]
        schedules.check(self.schedule, self.warmup, min(stages))

    def varying(self, rate: float, epochs: int, steps: int) -> Any:
        """Return the learning rate during these epochs: a number, or Keras's schedule."""
        return schedules.of(self.schedule, rate, epochs, steps, self.warmup)

    @property
    def renews(self) -> bool:
        """Whether the photos are new in each epoch, so that the whole network sees them."""
        return bool(self.augment or self.randaugment or self.erasing or self.mixup or self.cutmix)

    @property
    def as_it_is(self) -> bool:
        """Whether the best epoch of one run is the final model, unchanged."""
        return self.ensemble == 1 and not self.flips and not self.calibrate

    def __str__(self) -> str:
        words = [f"learning rate {self.learning_rate:g}"]
        if self.schedule != "constant":
            words.append(f"{self.schedule} over {self.epochs} epochs")
        if self.warmup:
            words.append(f"warm-up {self.warmup:g}")
        if self.size_inner:
            words.append(f"inner {self.size_inner}")
        if self.droprate:
            words.append(f"dropout {self.droprate:g}")
        if self.augment:
            words.append("augmented")
        for name in ("randaugment", "erasing", "mixup", "cutmix"):
            if value := getattr(self, name):
                words.append(f"{name} {value:g}")
        if self.fine_tune:
            words.append(f"fine-tuned from {self.fine_tune}")
        if self.fine_tune and self.block_decay != 1:
            words.append(f"block decay {self.block_decay:g}")
        for name, value in (
            ("weight decay", self.weight_decay),
            ("label smoothing", self.label_smoothing),
            ("averaged with momentum", self.ema),
        ):
            if value:
                words.append(f"{name} {value:g}")
        if self.class_weights:
            words.append("class weights")
        if self.ensemble > 1:
            words.append(f"{self.ensemble} runs together")
        if self.flips:
            words.append("with mirror images")
        if self.calibrate:
            words.append("calibrated")
        return ", ".join(words)


def best_epoch(history: Mapping[str, Sequence[float]]) -> int:
    """Return the first epoch with the highest validation accuracy, counted from 0."""
    return int(np.argmax(history["val_accuracy"]))


def balanced(y: Array) -> Array:
    """Return weights that make all classes count the same: photos / (classes · its photos)."""
    counts = y.sum(axis=0)
    return np.asarray(len(y) / (len(counts) * counts), np.float32)


def scores(logits: Array, y: Array, label_smoothing: float = 0.0) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy of logits, as `fit` reports them."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    right = logits.argmax(axis=1) == y.argmax(axis=1)
    smooth = y * (1 - label_smoothing) + label_smoothing / y.shape[1]
    return float(-(smooth * log_p).sum(axis=1).mean()), float(right.mean())


def compile_learner(
    learner: keras.Model,
    settings: Settings,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    machine: Machine,
    steps: int | None = None,
    factors: Sequence[float] = (),
) -> None:
    """Compile what `fit` trains, with the optimizer and the loss of the settings.

    `steps` is the number of steps in an epoch of a small model, whose calls take longer than its
    steps; `factors` has one for each trainable variable, to multiply the learning rate with.
    """
    more = {"use_ema": bool(settings.ema), "ema_momentum": settings.ema or 0.99}
    if set(factors) - {1.0}:
        optimizer: keras.optimizers.Optimizer = tuning.AdamOfBlocks(
            factors, learning_rate=learning_rate, weight_decay=settings.weight_decay, **more
        )
    elif settings.weight_decay:
        optimizer = keras.optimizers.AdamW(learning_rate, settings.weight_decay, **more)
    else:
        optimizer = keras.optimizers.Adam(learning_rate, **more)
    if settings.weight_decay:
        # As usual, only kernels decay: nothing pulls a bias or a scale towards zero.
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    models.compile_for(
        learner,
        optimizer,
        machine.jit_compile(small=steps is not None),
        1 if steps is None else machine.steps_per_execution(steps),
        settings.label_smoothing,
    )


def _averages(model: keras.Model) -> keras.callbacks.SwapEMAWeights | None:
    """Return Keras's callback that validates with the weights' moving averages."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return keras.callbacks.SwapEMAWeights() if optimizer.use_ema else None


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Let the model have the moving averages of its weights, if its optimizer keeps them."""
    swap = _averages(model)
    if swap is None:
        yield
        return
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        swap.on_test_end()


# ---------------------------------------------------------------------------------------------
# Callbacks
# ---------------------------------------------------------------------------------------------


class BestModel(keras.callbacks.ModelCheckpoint):
    """Keras's checkpoint of the best epoch, `save_best_only`, with our own function to write it.

    `write(accuracy)` saves the whole model, although only its head is trained, and never half a
    file. `best` is the accuracy to beat in a resumed run.
    """

    def __init__(
        self, path: Path, write: Callable[[float], None], best: float | None = None
    ) -> None:
        super().__init__(
            str(path),
            monitor="val_accuracy",
            mode="max",
            save_best_only=True,
            initial_value_threshold=best,
        )
        self._write = write

    def set_model(self, model: Any) -> None:
        def write() -> None:
            with averaged(model):
                self._write(float(self.best))

        super().set_model(_Saves(write))


class _Saves:
    """The part of a model that `ModelCheckpoint` uses."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write

    def save(self, filepath: str, overwrite: bool = True) -> None:
        self._write()


class BestWeights(keras.callbacks.Callback):
    """The weights of the best epoch, in memory: a sweep writes only its winner."""

    def __init__(self) -> None:
        super().__init__()
        self.best: float | None = None
        self.weights: list[Array] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.best is None or logs["val_accuracy"] > self.best:
            with averaged(self.model):
                self.best, self.weights = logs["val_accuracy"], self.model.get_weights()


class Record(keras.callbacks.Callback):
    """Keep the history, call `after` after each epoch, and stop when patience ends."""

    def __init__(
        self,
        history: History,
        patience: int | None = None,
        since: int = 0,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.history, self.patience, self.since, self.after = history, patience, since, after

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name in COLUMNS:
            self.history[name].append(float(logs[name]))
        self.after()
        if is_over(self.history, self.patience, self.since):
            self.model.stop_training = True


def is_over(history: History, patience: int | None, since: int = 0) -> bool:
    """Return whether the last `patience` epochs (from epoch `since` on) brought nothing better."""
    done = len(history["loss"])
    if patience is None or done <= since:
        return False
    return done - 1 - max(best_epoch(history), since) >= patience


class ValidationHere(keras.callbacks.Callback):
    """Validate in one process alone, which `fit` cannot do if several train together."""

    def __init__(self, logits: Callable[[], Array], y: Array, label_smoothing: float) -> None:
        super().__init__()
        self._logits, self._y, self._label_smoothing = logits, y, label_smoothing

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with averaged(self.model):
            logits = self._logits()
        logs["val_loss"], logs["val_accuracy"] = scores(logits, self._y, self._label_smoothing)


def run_epochs(
    model: keras.Model,
    training: Batches,
    validation: Batches | None,
    epochs: range,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int = 0,
) -> None:
    """Run Keras's `fit` over these epochs."""
    if not epochs:
        return
    swap = _averages(model)
    model.fit(
        training,
        validation_data=validation,
        initial_epoch=epochs.start,
        epochs=epochs.stop,
        shuffle=False,
        callbacks=[InOrder(training), *([] if swap is None else [swap]), *callbacks],
        verbose=verbose,
    )


def fit_rows(
    learner: keras.Model,
    settings: Settings,
    learning_rate: float,
    training: Batches,
    validation: Batches,
    epochs: range,
    machine: Machine,
    callbacks: Sequence[keras.callbacks.Callback],
    small: bool = True,
    factors: Sequence[float] = (),
) -> None:
    """Compile a learner for a stage of these epochs, and train it; see `compile_learner`."""
    photos, size = len(training.y), settings.batch_size
    varying = settings.varying(learning_rate, len(epochs), steps_of_epoch(photos, size))
    with machine.scope():
        steps = photos // size if small else None
        compile_learner(learner, settings, varying, machine, steps, factors)
    run_epochs(learner, training, validation, epochs, callbacks)


# ---------------------------------------------------------------------------------------------
# The state of a run
# ---------------------------------------------------------------------------------------------


def empty_history() -> History:
    return {name: [] for name in COLUMNS}


def learning_variables(model: keras.Model) -> list[Any]:
    """Return all variables that training changes: weights, random layers, optimizer."""
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    changing = {id(variable) for variable in model.trainable_variables}
    random = [v for v in model.variables if "seed_generator" in v.path]
    chosen = [v for v in model.variables if id(v) in changing]
    return [*chosen, *random, *optimizer.variables]


class State(NamedTuple):
    """Where an interrupted run stands: its history, and the values of `learning_variables`.

    `stages` has the number of the first epoch of each stage of fine-tuning that has begun.
    """

    history: History
    stages: list[int]
    values: list[Array]


def write_state(
    path: Path,
    about: Mapping[str, Any],
    history: History,
    stages: Sequence[int],
    model: keras.Model,
) -> None:
    """Write everything that the rest of the run depends on to one file, in one step."""
    told = {"about": dict(about), "history": history, "stages": list(stages)}
    arrays = {
        f"v{number:05d}": keras.ops.convert_to_numpy(variable)
        for number, variable in enumerate(learning_variables(model))
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, told=np.array(json.dumps(told)), **arrays)


_CHECKSUMS = ("weights", "photos", "validation photos", "classes")  # of a run: what they are of


def read_state(path: Path, about: Mapping[str, Any]) -> State:
    """Read the state of the run; `ValueError` if it is another run (settings, photos, base)."""
    try:
        with np.load(check_regular(path, "state of a run"), allow_pickle=False) as file:
            told = json.loads(str(file["told"]))
            values = [np.asarray(file[name]) for name in sorted(file.files) if name != "told"]
        now = dict(about)
        # Options newer than the state did not exist then: they count as their present defaults.
        usual = {field.name: field.default for field in fields(Settings) if field.name in now}
        before = usual | told["about"]
        if before.get("schedule") != now.get("schedule"):
            # A constant rate does not depend on the number of epochs, so its state leaves it out.
            before, now = (
                {name: value for name, value in one.items() if "epochs" not in name}
                for one in (before, now)
            )
        if "stages" not in told:  # an older form, of runs with one stage at most
            since = told["fine_tuning_since"]
            told["stages"] = [] if since is None else [since]
        state = State(told["history"], told["stages"], values)
    except Exception as error:  # reading a damaged archive may raise anything
        raise ValueError(f"{path} is damaged ({error}): start anew, without --resume.") from error
    other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if other:
        changes = "; ".join(
            f"other {name}" if name in _CHECKSUMS
            else f"{name} was {before.get(name)}, is {now.get(name)}"
            for name in other
        )  # fmt: skip
        raise ValueError(
            f"{path} is of another run ({changes}): the same command goes on with it, and without "
            "--resume a new run begins."
        )
    return state


def restore(model: keras.Model, values: Sequence[Array]) -> None:
    """Put a state's values into the model and its optimizer."""
    variables = learning_variables(model)
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [value.shape for value in values]:
        raise ValueError("The saved state is of another model: start anew, without --resume.")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def write_history(path: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Write the history as CSV, with epochs counted from 1."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", *COLUMNS])
        for epoch, row in enumerate(zip(*(history[name] for name in COLUMNS), strict=True), 1):
            table.writerow([epoch, *row])
