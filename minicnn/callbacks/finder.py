"""A callback that tries all learning rates in one short training, and says which one to take."""

import math
import os
import warnings
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support import interrupts
from minicnn.callbacks.base import Logs, Temporary

Array = np.ndarray


class LearningRateFinder(Temporary):
    """Raises the learning rate from step to step, and records the loss of each step.

        finder = LearningRateFinder()
        model.fit(x, y, epochs=5, callbacks=[finder])
        print(finder.suggestion)
        finder.plot()

    While the rate is too small, the loss hardly changes; then it falls; and when the rate is too
    large, it rises. Where the loss is lowest it is about to rise, so `suggestion` is a tenth of
    that rate (None if the loss never falls): a rule of thumb, and the plot says more. (Smith 2017,
    section 3.3. Keras has no such callback.)

    Step k of n has the rate min_rate * (max_rate / min_rate)**(k / (n - 1)). Training ends after n
    steps, or when the loss is above `worst` times its best, or not finite. Then the weights, the
    optimizer and its rate are restored, also after an interrupt. Give `fit` enough epochs for the
    steps.

    Args:
        min_rate, max_rate: the rates of the first and the last step.
        steps: how many steps to make.
        smoothing: the share of the past in the moving mean of the loss, in [0, 1), because some
            batches are harder than others.
        worst: stop when the loss is above this many times its best.

    Attributes:
        rates, losses: those of each step.
        smoothed: the moving mean of the losses, corrected for its start at 0.
    """

    def __init__(
        self,
        min_rate: float = 1e-7,
        max_rate: float = 10.0,
        steps: int = 100,
        smoothing: float = 0.9,
        worst: float = 4.0,
    ) -> None:
        for argument, value in (("min_rate", min_rate), ("max_rate", max_rate), ("worst", worst)):
            if not shapes.is_number(value) or value <= 0:
                raise ValueError(
                    f"LearningRateFinder expects {argument} to be a number > 0. Received {value!r}."
                )
        if min_rate >= max_rate:
            raise ValueError(
                "LearningRateFinder expects min_rate < max_rate. "
                f"Received min_rate={min_rate!r}, max_rate={max_rate!r}."
            )
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 2:
            raise ValueError(
                f"LearningRateFinder expects steps to be an integer >= 2. Received {steps!r}."
            )
        if not shapes.is_number(smoothing) or not 0 <= smoothing < 1:
            raise ValueError(
                f"LearningRateFinder expects smoothing in [0, 1). Received {smoothing!r}."
            )
        self.min_rate, self.max_rate = float(min_rate), float(max_rate)
        self.steps, self.smoothing, self.worst = steps, float(smoothing), float(worst)
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._mean = 0.0
        self._before: tuple[list[Array], list[Array], float] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        model, optimizer = self.model, self.model.optimizer
        if not model.built:
            raise ValueError(
                f"LearningRateFinder expects a model that has weights, and {model.label} has none "
                "yet: start it with an Input, or call it on data."
            )
        if not optimizer.has_own_rate:
            raise ValueError(
                "LearningRateFinder expects an optimizer whose learning_rate is a number. "
                f"{type(optimizer).__name__} has a schedule."
            )
        state = [array.copy() for _, array in optimizer.state(model.trainable_weights)]
        self._before = (model.get_weights(), state, optimizer.learning_rate)
        self.rates, self.losses, self.smoothed, self._mean = [], [], [], 0.0

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        share = len(self.rates) / (self.steps - 1)
        self.rates.append(self.min_rate * (self.max_rate / self.min_rate) ** share)
        self.model.optimizer.learning_rate = self.rates[-1]
        self.model.reset_metrics()  # so that the logs have the loss of this batch alone

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = float((logs or {})["loss"])
        self.losses.append(loss)
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        self.smoothed.append(self._mean / (1 - self.smoothing ** len(self.losses)))
        diverges = not self.smoothed[-1] <= self.worst * min(self.smoothed)  # also if it is NaN
        if diverges or len(self.losses) >= self.steps:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not self.model.stop_training:
            warnings.warn(
                f"LearningRateFinder made {len(self.losses)} of {self.steps} steps, up to the rate "
                f"{self.rates[-1] if self.rates else self.min_rate:.3g}: give fit more epochs.",
                stacklevel=2,
            )
        self.put_back()

    def put_back(self) -> None:
        """Restore the weights, the optimizer and its rate."""
        if self._before is not None:
            weights, state, rate = self._before
            with interrupts.waiting():
                self.model.set_weights(weights)
                self.model.optimizer.set_state(self.model.trainable_weights, state)
                self.model.optimizer.learning_rate = rate
                self._before = None

    @property
    def suggestion(self) -> float | None:
        """Return a tenth of the rate of the lowest smoothed loss; None if it never falls."""
        finite = [loss for loss in self.smoothed if math.isfinite(loss)]
        lowest = int(np.argmin(finite)) if finite else 0
        return self.rates[lowest] / 10 if lowest else None

    def plot(self, path: str | os.PathLike[str] | None = None, title: str = "") -> Any:
        """Return a matplotlib `Figure` of the loss over the learning rate, which a notebook shows.

        With `path` it is also written to that file. Raises `ImportError` without matplotlib and
        `ValueError` before the first step.
        """
        from minicnn import plots

        figure = plots.learning_rates(
            self.rates, self.losses, self.smoothed, self.suggestion, title
        )
        if path is not None:
            plots.save(figure, path)
        return figure
