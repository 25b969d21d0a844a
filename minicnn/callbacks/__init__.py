"""Callbacks, under Keras's names, have methods that `fit` calls between batches and epochs.

A callback receives `model` and `params` before training, then one call per event with `logs`, a
dict of the loss and the metrics so far. `model.stop_training = True` ends training after the epoch.
"""

import csv
import math
import os
import re
import string
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn._support.atomic import replacing
from minicnn._support.reading import check_regular
from minicnn._support.terminal import printable
from minicnn.callbacks.averages import SwapEMAWeights
from minicnn.callbacks.backup import BackupAndRestore
from minicnn.callbacks.bars import LinePerEpoch, ProgressBar, Quiet, logs_text, progress_for
from minicnn.callbacks.base import Callback, Logs, Monitor
from minicnn.callbacks.finder import LearningRateFinder
from minicnn.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from minicnn.callbacks.tensorboard import TensorBoard
from minicnn.compat import hints

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateFinder",
    "LearningRateScheduler",
    "LinePerEpoch",
    "ModelCheckpoint",
    "ProgressBar",
    "Quiet",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "logs_text",
    "progress_for",
]


_LONGEST_NAME = 255  # characters of a file's name, on most systems


_OLD_NAMES = ("on_batch_begin", "on_batch_end")
EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_") and name not in _OLD_NAMES)


class CallbackList(Callback):
    """Passes each event on to several callbacks, in order."""

    def __init__(self, callbacks: Iterable[Callback], model: Any, params: dict[str, Any]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            complete = all(callable(getattr(callback, event, None)) for event in EVENTS)
            if not complete or isinstance(callback, type):
                name = getattr(callback, "__name__", None)
                hint = f" Call the class: {name}(…)." if isinstance(callback, type) else ""
                raise TypeError(
                    "callbacks must be objects of minicnn.callbacks (or have all methods of "
                    f"minicnn.callbacks.Callback). Received {callback!r}.{hint}"
                )
            callback.set_params(params)
            callback.set_model(model)

    def call(self, event: str, *args: Any) -> None:
        """Call each callback's method; `logs`, the last argument, defaults to {}."""
        if len(args) < (2 if "epoch" in event or "batch" in event else 1):
            args = (*args, {})
        for callback in self.callbacks:
            getattr(callback, event)(*args)


class History(Callback):
    """The record that `fit` returns: `history.history["val_accuracy"]` has one number per epoch.

    `computed_once` names the layers whose outputs were computed once for all epochs
    (`minicnn.training.features`).
    """

    def __init__(self) -> None:
        self.computed_once: tuple[str, ...] = ()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        if self.model is not None:
            self.model.history = self  # as in Keras, so that it survives an interrupted `fit`

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)

    def plot(self, path: str | os.PathLike[str] | None = None, title: str = "") -> Any:
        """Return a matplotlib `Figure` of the curves, which a notebook shows.

        With `path` it is also written to that file. Raises `ImportError` without matplotlib and
        `ValueError` before the end of the first epoch.
        """
        from minicnn import plots

        figure = plots.curves(self, title)
        if path is not None:
            plots.save(figure, path)
        return figure

    def _repr_html_(self) -> str:
        """Return the history as a notebook shows it: a table with a row for each epoch."""
        from minicnn.explain import methods

        return methods.html(self)


class ModelCheckpoint(Monitor):
    """Saves the model after each epoch, or only when it has improved.

    Args (Keras's): `filepath` ends in `.keras` (`.weights.h5` with `save_weights_only`), or in
    `.h5` for Keras's old format. It may hold `{epoch:02d}`, `{batch:04d}` (if `save_freq` counts
    batches) and any number of the logs, such as `{val_accuracy:.3f}`; missing folders are created.
    `monitor`, `mode` and `initial_value_threshold` define an improvement for `save_best_only`;
    `save_freq` is "epoch" or a number of batches; `verbose=1` prints what is saved and why.

    A file is written beside its final place and then moved there, so an interrupt never leaves
    half a checkpoint.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, best=initial_value_threshold)
        self.filepath = str(filepath)
        suffix = ".weights.h5" if save_weights_only else ".keras"
        if not self.filepath.endswith((suffix, ".h5", ".hdf5")):
            raise ValueError(
                f"ModelCheckpoint with save_weights_only={save_weights_only} expects a filepath "
                f"that ends in {suffix!r}, or in '.h5' for Keras's old format. "
                f"Received {self.filepath!r}."
            )
        _check_fields(self.filepath)
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f'ModelCheckpoint expects save_freq to be "epoch" or a number of batches. '
                f"Received {save_freq!r}."
            )
        self.verbose, self.save_freq = verbose, save_freq
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self._epoch = self._batches = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            self._choose_direction()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, dict(logs or {}))

    def _save(self, epoch: int, logs: dict[str, Any]) -> None:
        try:
            path = Path(self.filepath.format(epoch=epoch + 1, **logs))
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint's filepath {self.filepath!r} names {error}, which is not among "
                f"the logs: {', '.join(['epoch', *logs])}."
            ) from None
        if not self._should_save(epoch, logs, path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)

    def _should_save(self, epoch: int, logs: dict[str, Any], path: Path) -> bool:
        value = self._monitored(logs) if self.save_best_only else None
        if value is None:
            self._say(f"Epoch {epoch + 1}: saving model to {path}")
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._improved(value, self.best):
            self._say(f"Epoch {epoch + 1}: {self.monitor} did not improve from {best}")
            return False
        self._say(
            f"Epoch {epoch + 1}: {self.monitor} improved from {best} to {value:.5f}, "
            f"saving model to {path}"
        )
        self.best = value
        return True

    def _say(self, text: str) -> None:
        if self.verbose:
            print(f"\n{printable(text)}")


def _check_fields(filepath: str) -> None:
    """Raise a `ValueError` unless the fields in braces can be formatted into a file name."""
    try:
        fields = [field for field in string.Formatter().parse(filepath) if field[1] is not None]
        for _, name, form, _ in fields:
            if not name or name.strip().isdigit() or name != name.strip():
                raise ValueError(f"{{{name}}} names no number")
            if any(int(digits) > _LONGEST_NAME for digits in re.findall(r"\d+", form or "")):
                raise ValueError(f"{form!r} asks for more characters than a file name may have")
        names = {re.split(r"[.\[]", name or "", maxsplit=1)[0] for _, name, _, _ in fields}
        whole = dict.fromkeys(names & {"epoch", "batch"}, 1)
        made = filepath.format(**dict.fromkeys(names, 1.0) | whole)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(
            "ModelCheckpoint expects a filepath whose braces hold epoch, batch or the name of a "
            f"number in the logs, and a format, as in '{{epoch:02d}}-{{val_loss:.3f}}.keras'. "
            f"Received {filepath!r}: {error}."
        ) from None
    if "\0" in made:
        raise ValueError(
            "ModelCheckpoint expects a filepath without the character '\\0'. "
            f"Received {filepath!r}."
        )


class EarlyStopping(Monitor):
    """Stops training once `monitor` has not improved by `min_delta` for `patience` epochs.

    only values better than `baseline` restart the count of `patience`;
    `restore_best_weights` returns to the weights of the best epoch at the end; `start_from_epoch`
    is the number of epochs to wait before watching; `verbose=1` prints what happens.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights: list[np.ndarray] | None = None
        self._choose_direction()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self._monitored(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._remember(epoch)
        self.wait += 1
        if self._improved(value, self.best):
            self.best = value
            self._remember(epoch)
            # The count restarts only if the value also beats the baseline, as in Keras.
            if self.baseline is None or self._improved(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


# Bytes of another encoding, which an older log may have, stay as they are.
_AS_CSV: Any = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}


class CSVLogger(Callback):
    """Writes one line per epoch: the epoch (from 0) and all logs. `append` continues an old file.

    Without `append`, the old file is replaced when the first epoch ends, not before. A number that
    first appears in a later epoch (because only every third epoch validates, say, or another run
    continues the file) gets a column then, and rows without it hold "NA". Keras's logger loses
    such numbers. To continue a file without such columns raises a `ValueError`.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append
        self._keys: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._keys = []
        if self.filename.exists():
            check_regular(self.filename, "log")
        with self.filename.open("ab+") as file:  # raises now if it cannot be written
            file.seek(0)
            first = file.readline(2**16).decode(errors="surrogateescape")
            if self.append and first:
                self._keys = next(csv.reader([first], delimiter=self.separator), [])[1:]
                if first.strip() and not self._keys:
                    raise ValueError(
                        f"CSVLogger expects columns separated by {self.separator!r} in the log "
                        f"{str(self.filename)!r}. Received a first line {first.strip()!r:.100}."
                    )
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a killed run, or an editor, left the last line open
                    file.write(b"\n")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        new = sorted(logs.keys() - set(self._keys), key=lambda key: (key.startswith("val_"), key))
        row = [epoch, *(logs.get(key, "NA") for key in [*self._keys, *new])]
        if self._keys and not new:
            with self.filename.open("a", **_AS_CSV) as file:
                csv.writer(file, delimiter=self.separator).writerow(row)
            return
        rows = [["epoch", *self._keys, *new]]
        if self._keys:  # otherwise the file is empty or an older run's
            with self.filename.open(**_AS_CSV) as file:
                old = csv.reader(file, delimiter=self.separator)
                rows += [[*line, *["NA"] * (len(rows[0]) - len(line))] for line in old][1:]
        with replacing(self.filename) as temporary, temporary.open("w", **_AS_CSV) as file:
            csv.writer(file, delimiter=self.separator).writerows([*rows, row])
        self._keys += new


class LambdaCallback(Callback):
    """A callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: …)`.

    Every event can be given by name; the first six also by position, in Keras's order.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **others: Callable[..., Any] | None,
    ) -> None:
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **others,
        }
        for event, function in functions.items():
            if event not in (*EVENTS, *_OLD_NAMES):
                raise ValueError(
                    f"LambdaCallback expects events among {', '.join(EVENTS)}. Received {event!r}."
                )
            if function is not None and not callable(function):
                raise ValueError(
                    f"LambdaCallback expects {event} to be a function. Received {function!r}."
                )
            if function is not None:
                setattr(self, event, function)


class TerminateOnNaN(Callback):
    """Stops training when the loss becomes NaN or infinite.

    With `raise_error` it raises a `RuntimeError` instead.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = bool(raise_error)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(
                    f"The loss of batch {batch} is {loss}: training ends. Are there NaN among the "
                    "inputs, or is the learning rate too large?"
                )
            print(f"Batch {batch}: invalid loss, terminating training")
            self.model.stop_training = True
