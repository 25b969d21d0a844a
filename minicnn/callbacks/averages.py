"""A callback that evaluates and saves the averages of the weights, while training goes on."""

import numpy as np

from minicnn._support import interrupts
from minicnn.callbacks.base import Logs, Temporary


class SwapEMAWeights(Temporary):
    """Puts the averages in the place of the weights while the model is evaluated, or predicts.

    The optimizer keeps them if it has `use_ema=True`. With `swap_on_epoch` they are also in place
    from the end of an epoch to the beginning of the next one, so that a `ModelCheckpoint` later in
    the list saves them. Training always goes on with the weights themselves; at the end of `fit`
    the averages replace them, as `use_ema` says.

    One thing differs from Keras, which leaves the averages in the model after `predict`: here the
    weights are put back. Raises `ValueError` for an optimizer without averages.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = bool(swap_on_epoch)
        self._kept: dict[int, np.ndarray] = {}  # the weights, while the averages are in place

    def _swap_in(self) -> None:
        optimizer = self.model.optimizer
        if not optimizer.use_ema:
            raise ValueError(
                "SwapEMAWeights expects an optimizer that keeps averages of the weights: "
                f"{type(optimizer).__name__}(…, use_ema=True)."
            )
        if not self._kept:
            averages = optimizer.averages()
            with interrupts.waiting():
                self._kept = {id(variable): variable.numpy() for variable, _ in averages}
                if not optimizer.set_aside:  # otherwise another one's averages are in place
                    optimizer.set_aside = self._kept
                for variable, average in averages:
                    variable.assign(average)

    def put_back(self) -> None:
        """Put the weights back, if the averages are in their place."""
        with interrupts.waiting():
            if self._kept:
                for variable, _ in self.model.optimizer.averages():
                    variable.assign(self._kept[id(variable)])
            self._forget()

    def _forget(self) -> None:
        if self.model.optimizer.set_aside is self._kept:
            self.model.optimizer.set_aside = {}
        self._kept = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.put_back()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap_in()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._forget()  # `fit` has put the averages in their place for good

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self.put_back()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self.put_back()
