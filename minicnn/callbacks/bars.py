"""What `fit`, `evaluate` and `predict` show while they run: a bar, or a line for each epoch."""

import time
from typing import Any

import numpy as np

from minicnn import compilation
from minicnn._support import progress
from minicnn._support.terminal import printable
from minicnn.callbacks.base import Callback, Logs


class Closing(Callback):
    """A callback that `fit`, `evaluate` and `predict` close at their end, also after an error."""

    def close(self) -> None:
        """Release what the callback holds; an open bar would draw over an error message."""


def progress_for(verbose: str | int) -> "LinePerEpoch | None":
    """Return the callback that shows progress as `verbose` asks for it; None shows nothing.

    "auto" and 1 show a bar on a terminal or in a notebook, and print a line per epoch elsewhere
    (into a file or a pipe); 2 prints a line per epoch everywhere; 0 is quiet.
    """
    if verbose not in ("auto", 0, 1, 2) or isinstance(verbose, float):
        raise ValueError(f'verbose is "auto", 0, 1 or 2. Received {verbose!r}.')
    if verbose == 0:
        return None
    return ProgressBar() if verbose != 2 and progress.can_draw() else LinePerEpoch()


class Quiet(Closing):
    """The callback for `verbose=0`: it keeps even the compilation of kernels quiet."""

    def __init__(self) -> None:
        compilation.listen(self)

    def compiling(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        compilation.leave(self)


def logs_text(logs: Logs | None) -> str:
    """Return the logs as text, such as `accuracy: 0.8125 - loss: 0.5310`."""
    return " - ".join(
        f"{printable(key)}: {_number_text(value)}" for key, value in (logs or {}).items()
    )


def _number_text(value: Any) -> str:
    number = float(np.mean(value))  # a metric may have a number for each class
    return f"{number:.4f}" if 1e-3 <= abs(number) < 1e4 or number == 0 else f"{number:.4e}"


class LinePerEpoch(Closing):
    """Prints `Epoch 3/10 - 4.1s - 42ms/step - accuracy: … - loss: …` after each epoch.

    The seconds are those of the whole epoch; the time per step is that of training alone, without
    validation and without the time spent on compiling kernels.
    """

    def __init__(self) -> None:
        self._told = False
        compilation.listen(self)

    def compiling(self, text: str) -> None:
        """Say, once, that this takes longer because kernels are being compiled."""
        if text and not self._told:
            self._told = True
            print("Compiling kernels for this machine, once: a few seconds.", flush=True)

    def close(self) -> None:
        compilation.leave(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = self._last_step = time.perf_counter()
        self._compiled = self._compiled_in_steps = compilation.seconds
        self._steps = 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps, self._last_step = batch + 1, time.perf_counter()
        self._compiled_in_steps = compilation.seconds

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        seconds = time.perf_counter() - self._start
        in_steps = self._last_step - self._start - (self._compiled_in_steps - self._compiled)
        step = 1000 * max(in_steps, 0) / max(self._steps, 1)
        epochs = self.params.get("epochs")
        compiled = compilation.seconds - self._compiled
        of_which = f", {compiled:.1f}s of it compiling" if compiled >= 0.1 else ""
        self._finish(
            f"Epoch {epoch + 1}/{epochs} - {seconds:.1f}s{of_which} - {step:.0f}ms/step - "
            f"{logs_text(logs)}"
        )

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._start_test = time.perf_counter()

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self._alone():
            self._finish(f"{time.perf_counter() - self._start_test:.1f}s - {logs_text(logs)}")

    def _finish(self, line: str | None) -> None:
        print(line, flush=True)

    def _alone(self) -> bool:
        """Return whether this is `evaluate` by itself, not the validation of `fit`."""
        return "epochs" not in self.params


class ProgressBar(LinePerEpoch):
    """Shows a bar with the loss, the metrics and the time left; after the epoch, prints its line.

    While kernels are being compiled, the bar says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar = progress.Bar()
        self._compiled_before = 0.0

    def compiling(self, text: str) -> None:
        """Show after the bar which kernel is being compiled; an empty text means it is done."""
        if self._bar.is_open:
            self._bar.say(text)
        else:
            super().compiling(text)

    def _open(self, title: str) -> None:
        self._compiled_before = compilation.seconds
        self._bar.open(title, self.params.get("steps"))

    def _finish(self, line: str | None) -> None:
        self._bar.close()
        if line is not None:
            super()._finish(line)

    def close(self) -> None:
        self._bar.close()
        super().close()

    def _advance(self, batch: int, logs: Logs | None) -> None:
        self._bar.update(batch + 1, logs_text(logs))
        if compilation.seconds > self._compiled_before:  # this batch says nothing about later ones
            self._compiled_before = compilation.seconds
            self._bar.restart()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._open(f"Epoch {epoch + 1}/{self.params.get('epochs')}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        self._advance(batch, logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._finish(None)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        super().on_test_begin(logs)
        if self._alone():
            self._open("Evaluate")

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._alone():
            self._advance(batch, logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._open("Predict")

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, None)  # the logs have the outputs, which are no text

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish(None)
