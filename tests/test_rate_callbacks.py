"""Callbacks change the learning rate as Keras's do, and can stop at a NaN."""

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Sequential, callbacks, layers
from minicnn.optimizers import SGD
from minicnn.optimizers.schedules import CosineDecay

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = X.sum(axis=-1, keepdims=True)


def network(library: Any, rate: float = 0.1) -> Any:
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    model.compile(library.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


def reducing(library: Any, **options: Any) -> Any:
    return library.callbacks.ReduceLROnPlateau("loss", **options)


def scheduling(library: Any, **options: Any) -> Any:
    return library.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5, **options)


def of_epochs(library: Any, **options: Any) -> Any:
    return library.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1), **options)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("make", "options", "rate"),
    [
        (reducing, {"patience": 1, "min_delta": 0.5, "factor": 0.5}, 0.1),
        (reducing, {"patience": 1, "min_delta": 0.5, "factor": 0.5, "cooldown": 2}, 0.1),
        (reducing, {"patience": 2, "min_delta": 0.1, "min_lr": 0.03, "factor": 0.2}, 0.1),
        (reducing, {"patience": 1}, 1.5),  # diverges
        (scheduling, {}, 0.2),
        (of_epochs, {}, 0.2),
    ],
)
def test_rates_are_keras_s(make: Any, options: dict[str, Any], rate: float) -> None:
    keras = pytest.importorskip("keras")
    ours, theirs = network(minicnn, rate), network(keras, rate)
    theirs.set_weights(ours.get_weights())
    found = [
        model.fit(X, Y, 6, epochs=8, shuffle=False, verbose=0, callbacks=[make(library, **options)])
        for library, model in ((minicnn, ours), (keras, theirs))
    ]
    for name in ("learning_rate", "loss"):
        np.testing.assert_allclose(
            found[0].history[name], found[1].history[name], rtol=1e-3, err_msg=name
        )


def test_what_rate_callbacks_print(capsys: pytest.CaptureFixture[str]) -> None:
    seen = [reducing(minicnn, patience=1, min_delta=9, verbose=1), scheduling(minicnn, verbose=1)]
    network(minicnn).fit(X, Y, epochs=3, verbose=0, callbacks=seen)
    out = capsys.readouterr().out
    assert "Epoch 1: LearningRateScheduler setting learning rate to 0.05." in out
    assert "ReduceLROnPlateau reducing learning rate to 0.0025" in out


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: callbacks.ReduceLROnPlateau(factor=1), r"factor in \[0, 1\). Received 1"),
        (lambda: callbacks.ReduceLROnPlateau(min_lr=-1), "min_lr to be a number >= 0"),
        (lambda: callbacks.ReduceLROnPlateau(mode="up"), 'mode to be "auto", "min" or "max"'),
        (lambda: callbacks.LearningRateScheduler(0.1), "schedule to be a function"),
        (
            lambda: network(minicnn).fit(
                X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda e, r: "a")]
            ),
            "return a number. Received 'a' for epoch 0",
        ),
    ],
)
def test_what_does_not_fit_is_refused(use: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use()


def test_a_schedule_of_steps_cannot_be_set_by_a_callback() -> None:
    model = Sequential([Input((3,)), layers.Dense(1)])
    model.compile(SGD(CosineDecay(0.1, 10)), "mse")
    with pytest.raises(TypeError, match="has a schedule of learning rates"):
        model.fit(X, Y, verbose=0, callbacks=[scheduling(minicnn)])


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_nan_may_raise_an_error() -> None:
    model = network(minicnn)
    x = X.copy()
    x[0] = np.nan
    with pytest.raises(RuntimeError, match="The loss of batch 0 is nan: training ends"):
        model.fit(x, Y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])
