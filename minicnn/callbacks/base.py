"""The base class of callbacks, and that of callbacks that watch a number of the logs."""

import math
import warnings
from typing import Any

from minicnn._support.settings import PlainArguments

Logs = dict[str, float]


class Callback(PlainArguments):
    """Base class whose methods all do nothing; override those you need."""

    model: Any = None
    params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None: ...
    def on_train_end(self, logs: Logs | None = None) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None: ...

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.on_batch_end(batch, logs)

    # Older names of the two events above; `fit` still calls callbacks that override these.
    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...
    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...

    def on_test_begin(self, logs: Logs | None = None) -> None: ...
    def on_test_end(self, logs: Logs | None = None) -> None: ...
    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...
    def on_predict_begin(self, logs: Logs | None = None) -> None: ...
    def on_predict_end(self, logs: Logs | None = None) -> None: ...
    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None: ...
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None: ...


class Temporary(Callback):
    """A callback that changes the model only for a while."""

    def put_back(self) -> None:
        """Undo the changes: an interrupt or an error ends `fit`, `evaluate` or `predict`."""
        raise NotImplementedError


class Monitor(Callback):
    """A callback that watches one number of the logs and knows whether it has improved.

    `mode="auto"` asks the model, as Keras does: a loss should fall, and each metric that the model
    was compiled with knows whether it should rise. For any other number the user must pass `mode`.
    """

    def __init__(
        self, monitor: str, mode: str, min_delta: float = 0.0, best: float | None = None
    ) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                f'{type(self).__name__} expects mode to be "auto", "min" or "max". '
                f"Received {mode!r}."
            )
        self.monitor, self.mode = monitor, mode
        self.min_delta, self.best = abs(min_delta), best
        self._rises = mode == "max"

    def _choose_direction(self) -> None:
        """Find out which direction is better. Raises `ValueError` where "auto" cannot tell."""
        if self.mode != "auto":
            return
        name = self.monitor.removeprefix("val_")
        rises = {name: metric.rises for name, metric in self.model.metrics_by_name.items()}
        known = {"loss": False} | {name: up for name, up in rises.items() if up is not None}
        if name not in known:
            raise ValueError(
                f'{type(self).__name__} cannot know whether "{self.monitor}" is better when it '
                'rises or when it falls: pass mode="max" or mode="min". mode="auto" works for '
                f"{', '.join(known)}."
            )
        self._rises = known[name]

    def _improved(self, value: float, than: float | None) -> bool:
        if than is None:
            return not math.isnan(value)
        if self._rises:
            return value - self.min_delta > than
        return value + self.min_delta < than

    def _monitored(self, logs: Logs | None) -> float | None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            have = ", ".join(logs or {})
            warnings.warn(
                f'{type(self).__name__} cannot find "{self.monitor}" in the logs, '
                f"which have: {have}.",
                stacklevel=2,
            )
        return value
