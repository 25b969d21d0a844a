"""Training refuses bad data, and then changes nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_data import Pairs, Seen, X, Y, fit, model, plain

from minicnn import (
    callbacks,
)

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: plain().fit(X, Y), r"call compile\(optimizer, loss\) before fit"),
    (lambda: plain().evaluate(X, Y), "before evaluate"),
    (lambda: plain().train_on_batch(X, Y), "before train_on_batch"),
    (lambda: model(loss=None).fit(X, Y), "loss=.*needed for fit"),
    (lambda: model(loss="crossentropy"), "A loss is .*'crossentropy'"),
    (lambda: model(optimizer="ftrs"), "An optimizer is .*'ftrs'"),
    (lambda: model(loss_weights=["a"]), r"loss_weights to be finite numbers. Received \['a'\]"),
    (lambda: model(loss_weights=[1.0, 2.0]), r"loss_weights for each of 1 outputs, .*Received 2"),
    (lambda: model(weighted_metrics="accuracy"), "weighted_metrics is a list"),
    (
        lambda: model(steps_per_execution=4),
        "does not support steps_per_execution=4.*batch by batch",
    ),
    (lambda: model(target_tensors=None), "does not support target_tensors"),
    (lambda: model(metrics="accuracy"), 'metrics is a list such as .*"accuracy"'),
    (lambda: model(metrics=["f1"]), "A metric is .*'f1'"),
    (lambda: fit(X, Y[:5]), r"one entry per example.*\[5, 24\]"),
    (lambda: fit(X), "needs targets y"),
    (lambda: fit(X[:0], Y[:0]), "no examples: x is empty"),
    (lambda: fit(iter([(X[:0], Y[:0])] * 2)), "no examples to learn from: every batch is empty"),
    (
        lambda: model().evaluate(iter([(X[:0], Y[:0])] * 2)),
        "no examples to evaluate: every batch is empty",
    ),
    (lambda: fit(iter([([1.0, 2.0], [1, 2])])), "expects 1 inputs. Received 2"),
    (lambda: fit(X, Y, batch_size=0), "batch_size must be an integer >= 1. Received 0"),
    (lambda: fit(X, Y, batch_size=2.5), "batch_size .*2.5"),
    (lambda: fit(X, Y, epochs=0), "epochs must be an integer >= 1. Received 0"),
    (lambda: fit(X, Y, epochs="3"), "epochs .*'3'"),
    (lambda: fit(X, Y, initial_epoch=-1), "initial_epoch .*-1"),
    (lambda: fit(X, Y, validation_freq=0), "validation_freq .*0"),
    (lambda: fit(X, Y, validation_split=1.5), "validation_split must be between 0 and 1.*1.5"),
    (lambda: fit(X, Y, validation_split=-0.5), "validation_split .*-0.5"),
    (lambda: fit(X, Y, validation_split=0.999), "leaves one side empty"),
    (lambda: fit(Pairs(), validation_split=0.5), "validation_split works on arrays.*Pairs"),
    (lambda: fit(X, Y, validation_split=0.5, validation_data=(X, Y)), "not both"),
    (lambda: fit(X, Y, validation_data=(X,)), r"validation_data is \(x, y\).*1 parts"),
    (lambda: fit(X, Y, class_weight={0: 1}, sample_weight=np.ones(24)), "not both"),
    (lambda: fit(X, Y, class_weight={0: "a"}), "class_weight .*'a'"),
    (lambda: fit(X, Y, class_weight={0: np.nan}), "class_weight .*nan"),
    (lambda: fit(X, Y, sample_weight=np.full(24, np.nan)), "finite sample weights. Received NaN"),
    (lambda: fit(X, Y, class_weight=[1, 2, 3]), r"class_weight .*\[1, 2, 3\]"),
    (lambda: fit(X, Y, steps_per_epoch=0), "steps.* >= 1. Received 0"),
    (lambda: fit(Pairs(), Y), "y and sample_weight go with arrays; Pairs"),
    (lambda: fit(Pairs(), batch_size=3), "batch_size goes with arrays; Pairs"),
    (lambda: fit(None, Y, batch_size=3), "Data must be arrays, .* Received NoneType"),
    (lambda: fit(Pairs(0)), r"no batches: len\(Pairs\) is 0"),
    (lambda: fit(iter([])), "ended before the epoch had a batch"),
    (lambda: fit([X, X, X], Y), r"Received x.shape=\(3, 24, 4\)"),
    (lambda: fit(3), "Received int"),
    (lambda: fit("photos"), "Received|numbers"),
    (lambda: fit(np.array(["a", "b"]), Y[:2]), "x must be an array of numbers"),
    (lambda: fit([[1, 2], [3]], Y[:2]), "examples of one shape. Received 2 rows, 1 rows"),
    (lambda: fit(iter([(X, Y, None, None)])), "A batch is x.*4 parts"),
    (lambda: fit(X[:, :3], Y), r"4.*\(24, 3\)|Received.*\(24, 3\)"),
    (lambda: fit(X, np.where(Y == 0, np.nan, Y)), "from 0 to 2. Received NaN"),
    (lambda: fit(X, Y + 1), "from 0 to 2. Received values from"),
    (lambda: fit(X, np.eye(3)[Y]), "One-hot targets go with CategoricalCrossentropy"),
    (
        lambda: model(1, "sparse_categorical_crossentropy").fit(X, Y),
        'One unit goes with "sigmoid" and BinaryCrossentropy',
    ),
    (lambda: model(loss="binary_crossentropy").fit(X, Y), "go with SparseCategorical"),
    (lambda: fit(X, np.array(["shirt"] * 24)), "y must be an array of numbers"),
    (lambda: fit(X, Y, callbacks=[print]), "callbacks must be objects of minicnn.callbacks"),
    (
        lambda: fit(X, Y, callbacks=callbacks.EarlyStopping),
        r"Received <class .*Call the class: EarlyStopping\(…\)",
    ),
    (lambda: fit(X, Y, callbacks=[callbacks.EarlyStopping]), "Call the class: EarlyStopping"),
    (lambda: fit(X, Y, callbacks=3), "callbacks must be objects .*Received 3"),
    (lambda: model().fit(X, Y, verbose=3), 'verbose is "auto", 0, 1 or 2. Received 3'),
    (lambda: model().predict(X, batch_size=-1), "batch_size .*-1"),
    (lambda: model().predict(iter([]), verbose=0), "no batches to predict"),
    (lambda: model().evaluate(iter([]), verbose=0), "no batches to evaluate"),
    (lambda: model().predict(X[:, :2]), "Received"),
    (lambda: model().train_on_batch(X, Y, np.ones(24), {0: 1.0}), "not both"),
]


@pytest.mark.parametrize(("use", "message"), BAD, ids=[m for _, m in BAD])
def test_what_does_not_fit_is_refused(use: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        use()


@pytest.mark.parametrize(
    ("validation", "steps", "message"),
    [
        (X, None, r"needs targets y in validation_data: pass \(x, y\)"),
        ((X, Y + 1), None, "from 0 to 2. Received values from"),
        ((X, Y + 1), 1, "from 0 to 2. Received values from"),
        ((X, np.eye(3)[Y]), None, "One-hot targets"),
        ((X, Y, np.full(24, np.nan)), None, "finite sample weights"),
    ],
)
def test_bad_validation_data_are_refused_before_training(
    validation: Any, steps: int | None, message: str
) -> None:
    seen, m = Seen(), model()
    options: dict[str, Any] = {"validation_data": validation, "validation_steps": steps}
    with pytest.raises(ValueError, match=message):
        m.fit(X, Y, epochs=1, callbacks=seen, verbose=0, **options)
    assert "on_epoch_end" not in seen.events[len(callbacks.EVENTS) :]
    assert not m.optimizer.iterations


def test_bad_targets_change_no_weight() -> None:
    m = model()
    before = m.get_weights()
    with pytest.raises(ValueError, match="Received"):
        m.train_on_batch(X, Y + 1)
    for a, b in zip(before, m.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
