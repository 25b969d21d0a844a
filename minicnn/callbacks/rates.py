"""Callbacks that change the learning rate from epoch to epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.callbacks.base import Callback, Logs, Monitor


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch: `schedule(epoch, learning_rate)` returns it.

    A schedule of the epoch alone is accepted, too. The logs, and so the history, get
    `learning_rate`; `verbose=1` prints it. `minicnn.optimizers.schedules` change the rate from step
    to step instead.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise ValueError(
                "LearningRateScheduler expects schedule to be a function of the epoch and the "
                f"learning rate. Received {schedule!r}."
            )
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, optimizer.learning_rate)
        except TypeError:
            rate = self.schedule(epoch)
        if not shapes.is_number(rate):
            raise ValueError(
                "LearningRateScheduler expects schedule to return a number. "
                f"Received {rate!r} for epoch {epoch}."
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to "
                f"{float(rate)}."
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` after `patience` epochs without improvement.

    An improvement is one of `monitor` by at least `min_delta`; `mode` is as for `EarlyStopping`.
    After a reduction `cooldown` epochs are not counted. The rate does not go below `min_lr`. The
    logs get `learning_rate`; `verbose=1` prints each reduction.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not shapes.is_number(factor) or not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau expects factor in [0, 1). Received {factor!r}.")
        if not shapes.is_number(min_lr) or min_lr < 0:
            raise ValueError(
                f"ReduceLROnPlateau expects min_lr to be a number >= 0. Received {min_lr!r}."
            )
        self.factor, self.min_lr = factor, min_lr
        self.patience, self.verbose, self.cooldown = patience, verbose, cooldown
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best, self.wait, self.cooldown_counter = None, 0, 0
        self._choose_direction()

    def in_cooldown(self) -> bool:
        """Return whether epochs are not being counted at present."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate
        value = self._monitored(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improved(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter, self.wait = self.cooldown, 0

    def _reduce(self, epoch: int) -> bool:
        optimizer: Any = self.model.optimizer
        if optimizer.learning_rate <= np.float32(self.min_lr):
            return False
        optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                f"{optimizer.learning_rate}."
            )
        return True
