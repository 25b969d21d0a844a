"""`evaluate` and `predict`: batch by batch through the network, without a step."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn.callbacks import Callback, CallbackList, Quiet, progress_for
from minicnn.graph import Network
from minicnn.training.batches import Batch, Batches, batch_of, is_arrays, make_batches
from minicnn.training.step import Stepping


class Evaluating(Stepping):
    """A network that reads data: as its inputs, its targets, and how they weigh."""

    stop_evaluating = False  # a callback's wish: no further batch
    stop_predicting = False

    def _data(self, x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, Any, Any]:
        """x, y and weights: x as the model takes it, the others out of their dicts."""
        if is_arrays(x):
            x = self.as_inputs(x)
        return x, self._of_output(y, "y"), self._of_output(sample_weight, "sample_weight")

    def _callbacks(
        self, callbacks: list[Callback], verbose: str | int, params: dict[str, Any]
    ) -> CallbackList:
        # The bar comes first, so that what other callbacks print stands below its finished line.
        return CallbackList([progress_for(verbose) or Quiet(), *callbacks], self, params)

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
                warn_of_early_end("data to evaluate", step + 1, batches)
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
        events = self._callbacks(listed(callbacks), verbose, {"steps": batches.steps})
        try:
            logs = self._evaluate(batches, self, events)
        finally:
            close_bars(events)
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
        events = self._callbacks(listed(callbacks), verbose, {"steps": batches.steps})
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
                parts += [model.infer(x) for x in _slices(given, at_once)]
                events.call("on_predict_batch_end", step)
                if self.stop_predicting:
                    break
            else:
                if parts:
                    warn_of_early_end("data to predict", step + 1, batches, stacklevel=3)
            batches.on_epoch_end()
            batches.restart()
        finally:
            close_bars(events)
            batches.close()
        if not parts:
            raise ValueError("There are no batches to predict.")
        events.call("on_predict_end")
        if isinstance(parts[0], list):
            return self.as_given([np.concatenate(ys) for ys in zip(*parts, strict=True)])
        return np.concatenate(parts)

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
        return self.as_given(self.ready_for(x, fold=True).infer(x))


def warn_of_early_end(what: str, found: int, batches: Batches, stacklevel: int = 4) -> None:
    """Warn if the data had fewer batches than were asked for."""
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


def listed(callbacks: Callback | Iterable[Callback] | None) -> list[Callback]:
    """One callback, several, or none, as a list."""
    if callbacks is None:
        return []
    if isinstance(callbacks, Iterable) and not isinstance(callbacks, Callback):
        return list(callbacks)
    return [callbacks]  # `CallbackList` says what it thinks of it


def close_bars(events: CallbackList) -> None:
    """A progress bar that is left open would go on drawing over an error message."""
    for callback in events.callbacks:
        getattr(callback, "_close", lambda: None)()
