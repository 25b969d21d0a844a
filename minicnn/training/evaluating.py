"""`evaluate` and `predict`, in which the network computes batch by batch and does not learn."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn.callbacks import Callback, CallbackList, Quiet, progress_for
from minicnn.callbacks.bars import Closing
from minicnn.callbacks.base import Temporary
from minicnn.graph import Network
from minicnn.training.batches import Batch, Batches, batch_of, count_of, is_arrays, make_batches
from minicnn.training.step import Stepping


class Evaluating(Stepping):
    """A network that reads data: inputs, targets, and weights."""

    stop_evaluating = False  # a callback sets this to end after the current batch
    stop_predicting = False

    def _data(self, x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, Any, Any]:
        """Return x as the model takes it, and y and weights taken out of their dicts."""
        if is_arrays(x):
            x = self.as_inputs(x)
        return x, self._of_outputs(y, "y"), self._of_outputs(sample_weight, "sample_weight")

    def _callbacks(
        self, callbacks: list[Callback], verbose: str | int, params: dict[str, Any]
    ) -> CallbackList:
        # The bar comes first, so that other callbacks print below its finished line.
        params = {"verbose": verbose} | params
        return CallbackList([progress_for(verbose) or Quiet(), *callbacks], self, params)

    def _evaluate(self, batches: Batches, model: Network, events: CallbackList) -> dict[str, float]:
        self.reset_metrics()
        self.stop_evaluating = False
        events.call("on_test_begin")
        logs: dict[str, float] = {}
        examples = 0
        batches.on_epoch_begin()
        for step, given in enumerate(batches.epoch()):
            events.call("on_test_batch_begin", step)
            batch = Batch(*self._data(*given))
            examples += count_of(batch.x)
            self._test_step(batch, model)
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
        if not examples:
            raise ValueError("There are no examples to evaluate: every batch is empty.")
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
        """Return loss and metrics on these data: `[loss, accuracy]`, or with `return_dict` a dict.

        Without metrics it is the loss alone. The data are as in `fit`.
        """
        self._check_compiled("evaluate")
        self._warn_of_lacking(penalties=True)
        batches = make_batches(*self._data(x, y, sample_weight), batch_size, steps)
        events = self._callbacks(listed(callbacks), verbose, {"steps": batches.steps})
        try:
            logs = self._evaluate(batches, self, events)
        except BaseException:
            put_back(events)
            raise
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
        """Return the model's output for each example, as one array (a list for several outputs).

        The model need not be compiled. The data are as in `fit`; targets in batches are ignored, as
        in Keras. With `fold` (not in Keras) normalization, ReLU and max pooling are folded into the
        convolution before them (`inference_model`): fewer steps, the same numbers up to rounding.
        """
        self._check_own_steps("predict")
        batches = make_batches(*self._data(x), batch_size, steps)
        model: Network | None = None
        at_once: int | None = None
        events = self._callbacks(listed(callbacks), verbose, {"steps": batches.steps})
        parts: list[Any] = []
        self.stop_predicting = False
        try:
            events.call("on_predict_begin")
            batches.on_epoch_begin()
            for step, batch in enumerate(batches.epoch()):
                events.call("on_predict_batch_begin", step)
                if model is None:  # not before, because a Sequential may build itself for its data
                    model = self.ready_for(batch.x, fold)
                    at_once = model.examples_at_once()
                given = self.as_inputs(batch.x)
                parts.append(_joined([model.infer(x) for x in _slices(given, at_once)]))
                events.call("on_predict_batch_end", step, {"outputs": self.as_given(parts[-1])})
                if self.stop_predicting:
                    break
            else:
                if parts:
                    warn_of_early_end("data to predict", step + 1, batches, stacklevel=3)
            batches.on_epoch_end()
            batches.restart()
        except BaseException:
            put_back(events)
            raise
        finally:
            close_bars(events)
            batches.close()
        if not parts:
            raise ValueError("There are no batches to predict.")
        events.call("on_predict_end")
        return self.as_given(_joined(parts))

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return loss and metrics of one batch, without a training step."""
        self._check_compiled("test_on_batch")
        self._warn_of_lacking(penalties=True)
        self.reset_metrics()
        self._test_step(batch_of(*self._data(x, y, sample_weight)), self)
        logs = self._logs()
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the model's output for one batch, as `predict` computes it."""
        self._check_own_steps("predict_on_batch")
        return self.as_given(self.ready_for(x, fold=True).infer(x))


def warn_of_early_end(what: str, found: int, batches: Batches, stacklevel: int = 4) -> None:
    """Warn if the data had fewer batches than were asked for."""
    if batches.steps is not None and found < batches.steps:
        text = f"The {what} ended after {found} of {batches.steps} steps."
        warnings.warn(text, stacklevel=stacklevel)


def _slices(x: Any, at_once: int | None) -> list[Any]:
    """Cut a batch into equal parts of at most `at_once` examples, to save memory and fit the cache.

    A layer computes each example by itself, so the numbers are the same.
    """
    if at_once is None or not isinstance(x, np.ndarray) or len(x) <= at_once:
        return [x]
    return np.array_split(x, -(-len(x) // at_once))


def _joined(parts: list[Any]) -> Any:
    """Return the outputs of all parts as one array, or as a list of one for each output."""
    if isinstance(parts[0], list):
        return [np.concatenate(ys) for ys in zip(*parts, strict=True)]
    return np.concatenate(parts)


def listed(callbacks: Callback | Iterable[Callback] | None) -> list[Callback]:
    """Return one callback, several, or none, as a list."""
    if callbacks is None:
        return []
    if isinstance(callbacks, Iterable) and not isinstance(callbacks, Callback):
        return list(callbacks)
    return [callbacks]  # `CallbackList` checks it


def put_back(events: CallbackList) -> None:
    """Undo what callbacks have changed in the model for a while."""
    for callback in reversed(events.callbacks):
        if isinstance(callback, Temporary):
            callback.put_back()


def close_bars(events: CallbackList) -> None:
    """Close progress bars, and whatever else callbacks hold open."""
    for callback in events.callbacks:
        if isinstance(callback, Closing):
            callback.close()
