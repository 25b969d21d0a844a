"""LearningRateFinder: its rates, its losses by hand, where it stops, and what it restores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import callbacks, layers, optimizers
from minicnn.callbacks import LearningRateFinder

Array = np.ndarray


def valley(optimizer: Any = None, weight: float = 3.0) -> Any:
    """y = w * x with x = 1 and target 1, so the loss is (w - 1)², as in the lesson."""
    model = minicnn.Sequential([minicnn.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[weight]], np.float32)])
    model.compile(optimizer or optimizers.SGD(0.5), "mse")
    return model


X = np.ones((4, 1), np.float32)


def fit(model: Any, finder: Any, epochs: int = 50, x: Array = X) -> Any:
    return model.fit(x, np.ones(len(x)), batch_size=1, epochs=epochs, verbose=0, callbacks=finder)


def test_by_hand() -> None:
    model = valley()
    finder = LearningRateFinder(0.01, 1.0, steps=3, smoothing=0.5)
    fit(model, finder)
    np.testing.assert_allclose(finder.rates, [0.01, 0.1, 1.0])
    # w - 1 is 2, then 2 * (1 - 2 * 0.01) = 1.96, then 1.96 * (1 - 2 * 0.1) = 1.568
    np.testing.assert_allclose(finder.losses, [4, 1.96**2, 1.568**2], rtol=1e-6)
    means = np.cumsum([0.125 * 4, 0.25 * 1.96**2, 0.5 * 1.568**2])[-1]
    assert finder.smoothed[0] == pytest.approx(4)
    assert finder.smoothed[2] == pytest.approx(means / (1 - 0.125), rel=1e-6)


def test_everything_is_restored() -> None:
    model = valley(optimizers.Adam(1 / 3, use_ema=True))
    model.train_on_batch(X, X)
    state = [a.copy() for _, a in model.optimizer.state(model.trainable_weights)]
    weights = model.get_weights()
    finder = LearningRateFinder(steps=20)
    fit(model, finder)
    assert len(finder.losses) == 20
    assert model.optimizer.learning_rate == 1 / 3  # which is not a float32
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    for found, expected in zip(model.optimizer.state(model.trainable_weights), state, strict=True):
        np.testing.assert_array_equal(found[1], expected)


def test_everything_is_restored_after_an_interrupt_too() -> None:
    def interrupt(batch: int, logs: Any) -> None:
        if batch == 2:
            raise KeyboardInterrupt

    model = valley(optimizers.Adam(1 / 3))
    later = callbacks.LambdaCallback(on_train_batch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [LearningRateFinder(0.1, 1.0, steps=20), later])
    assert model.get_weights()[0] == 3
    assert (model.optimizer.learning_rate, model.optimizer.iterations) == (1 / 3, 0)
    fit(model, None, epochs=1)
    assert model.optimizer.iterations == 4


def test_it_suggests_a_rate_that_learns_and_stops_where_the_loss_explodes() -> None:
    x = np.array([[1.0], [2.0], [0.5], [1.5]], np.float32)  # no weight fits all
    finder = LearningRateFinder(1e-4, 1e3, steps=200)
    fit(valley(), finder, x=x)
    assert len(finder.losses) < 200
    assert finder.smoothed[-1] > 4 * min(finder.smoothed)
    assert finder.suggestion is not None
    lowest = finder.rates[int(np.argmin(finder.smoothed))]
    assert finder.suggestion == lowest / 10
    assert 1e-3 < finder.suggestion < 1.0  # above 1, the loss rises
    trained = valley(optimizers.SGD(finder.suggestion))
    before = trained.evaluate(X, X, verbose=0)
    fit(trained, None, epochs=5)
    assert trained.evaluate(X, X, verbose=0) < 0.5 * before


def test_each_loss_is_that_of_one_batch() -> None:
    x = np.array([[1.0], [2.0], [3.0]], np.float32)
    model = valley()
    finder = LearningRateFinder(1e-9, 2e-9, steps=3)
    model.fit(x, np.zeros(3), batch_size=1, verbose=0, shuffle=False, callbacks=[finder])
    np.testing.assert_allclose(finder.losses, [9, 36, 81], rtol=1e-5)


def test_a_loss_that_never_falls_gives_no_suggestion() -> None:
    finder = LearningRateFinder(steps=5)
    fit(valley(weight=1.0), finder)  # it is already at the minimum
    assert finder.suggestion is None
    assert LearningRateFinder().suggestion is None


def test_nan_stops_it() -> None:
    model = valley()
    finder = LearningRateFinder(steps=50)
    with pytest.warns(UserWarning, match="became NaN"):
        fit(model, finder, x=np.full((4, 1), np.nan, np.float32))
    assert len(finder.losses) == 1
    assert model.get_weights()[0].item() == 3.0


def test_too_few_steps_give_a_warning() -> None:
    with pytest.warns(UserWarning, match="made 4 of 100 steps, up to the rate .*more epochs"):
        fit(valley(), LearningRateFinder(), epochs=1)


def test_it_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    finder = LearningRateFinder(1e-4, 1e3, steps=50)
    with pytest.raises(ValueError, match="no step was made"):
        finder.plot()
    fit(valley(), finder)
    figure = finder.plot(tmp_path / "rates.png", "Which rate?")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [len(line.get_xdata()) for line in axes.lines[:2]] == [len(finder.rates)] * 2
    assert axes.lines[2].get_xdata()[0] == finder.suggestion
    assert (tmp_path / "rates.png").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"suffixes .*\.png, .*Received '.*rates\.abc'"):
        finder.plot(tmp_path / "rates.abc")
    assert not (tmp_path / "rates.abc").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LearningRateFinder(0), "min_rate to be a number > 0. Received 0"),
        (lambda: LearningRateFinder(1, 0.1), "min_rate < max_rate. Received min_rate=1"),
        (lambda: LearningRateFinder(steps=1), "steps to be an integer >= 2. Received 1"),
        (lambda: LearningRateFinder(smoothing=1), r"smoothing in \[0, 1\). Received 1"),
        (lambda: LearningRateFinder(worst="a"), "worst .*Received 'a'"),
        (
            lambda: fit(
                valley(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))),
                LearningRateFinder(),
            ),
            "learning_rate is a number. SGD has a schedule",
        ),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_without_weights_is_refused() -> None:
    model = minicnn.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="a model that has weights"):
        fit(model, LearningRateFinder())
