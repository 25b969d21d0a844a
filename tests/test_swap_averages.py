"""SwapEMAWeights: when a model has the averages of its weights, and when the weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import callbacks, layers, optimizers
from minicnn.callbacks import SwapEMAWeights

Array = np.ndarray
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
Y = np.array([[1.0], [2.0]], np.float32)


def line(**options: Any) -> Any:
    model = minicnn.Sequential([minicnn.Input((2,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0], [-1.0]], np.float32)])
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse", **options)
    return model


def test_by_hand() -> None:
    model = line()
    model.train_on_batch(X, Y)  # the gradient is (-11, -16)
    weights = model.get_weights()[0].ravel()
    np.testing.assert_allclose(weights, [2.1, 0.6], rtol=1e-6)
    model.train_on_batch(X, Y)
    weights = model.get_weights()[0]
    average = 0.5 * np.array([2.1, 0.6]) + 0.5 * weights.ravel()  # the first average is the weights
    swap = SwapEMAWeights()
    y = model.predict(X, verbose=0, callbacks=[swap])
    np.testing.assert_allclose(y.ravel(), X @ average, rtol=1e-5)
    np.testing.assert_array_equal(model.get_weights()[0], weights)
    loss = model.evaluate(X, Y, verbose=0, callbacks=[swap])
    assert loss == pytest.approx(float(((X @ average - Y.ravel()) ** 2).mean()), rel=1e-5)
    np.testing.assert_array_equal(model.get_weights()[0], weights)
    assert model.evaluate(X, Y, verbose=0) != pytest.approx(loss, rel=1e-3)


def test_a_checkpoint_at_the_end_of_an_epoch_has_the_averages(tmp_path: Path) -> None:
    for swap_on_epoch in (False, True):
        seen: list[Array] = []
        model = line()
        save = callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
        watch = callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, m=model, s=seen: s.append(m.get_weights()[0])
        )
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[watch, SwapEMAWeights(swap_on_epoch), save])
        average = seen[0]
        for epoch, weights in enumerate(seen):
            average = 0.5 * average + 0.5 * weights if epoch else weights
            other = line()
            other.load_weights(tmp_path / f"{epoch + 1}.weights.h5")
            expected = average if swap_on_epoch else weights
            np.testing.assert_allclose(other.get_weights()[0], expected, rtol=1e-5)
        np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-5)


def test_another_one_may_evaluate_meanwhile() -> None:
    model, seen, aside = line(), [], []
    again = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()[0]),
        on_epoch_end=lambda epoch, logs: model.evaluate(
            X, Y, verbose=0, callbacks=[SwapEMAWeights()]
        ),
        on_epoch_begin=lambda epoch, logs: seen.append(model.get_weights()[0]),
    )
    watch = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: aside.extend(model.optimizer.set_aside.values())
    )
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[SwapEMAWeights(True), again, watch])
    assert len(seen) == 6
    np.testing.assert_array_equal(aside, seen[1::2])
    for after, before in zip(seen[2::2], seen[1::2]):
        np.testing.assert_array_equal(after, before)


def test_an_early_end_keeps_the_averages() -> None:
    model = line()
    stop = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1)
    )
    model.fit(X, Y, epochs=5, verbose=0, callbacks=[SwapEMAWeights(True), stop])
    assert model.optimizer.iterations == 2
    ((_, average),) = model.optimizer.averages()
    np.testing.assert_array_equal(model.get_weights()[0], average)


@pytest.mark.parametrize("event", ["test_begin", "test_batch_end", "predict_begin", "epoch_end"])
def test_an_interrupt_puts_the_weights_back(event: str) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    model = line()
    model.train_on_batch(X, Y)
    model.train_on_batch(X, Y)
    seen = [model.get_weights()[0]]
    watch = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()[0])
    )
    stop = callbacks.LambdaCallback(**{f"on_{event}": interrupt})
    method = {"epoch": model.fit, "test": model.evaluate, "predict": model.predict}[
        event.partition("_")[0]
    ]
    data = (X,) if method == model.predict else (X, Y)
    swaps = SwapEMAWeights(True), SwapEMAWeights(True)  # the second keeps the averages
    with pytest.raises(KeyboardInterrupt):
        method(*data, verbose=0, callbacks=[watch, *swaps, stop])
    np.testing.assert_array_equal(model.get_weights()[0], seen[-1])
    ((_, average),) = model.optimizer.averages()
    assert np.abs(average - seen[-1]).max() > 0.01


def test_an_optimizer_without_averages_is_refused() -> None:
    model = line()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"keeps averages of the weights: SGD\(…, use_ema=True\)"):
        model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[SwapEMAWeights()])


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_fit_follows_keras(swap_on_epoch: bool) -> None:
    keras = pytest.importorskip("keras")
    from trained_pairs import pair_of_models

    def make(module: Any) -> Any:
        return module.Sequential([module.Input((2,)), module.layers.Dense(1, name="d")])

    ours, theirs = pair_of_models(make)
    logs = []
    for module, model in ((minicnn, ours), (keras, theirs)):
        model.compile(module.optimizers.SGD(0.01, use_ema=True, ema_momentum=0.7), "mse")
        swap = module.callbacks.SwapEMAWeights(swap_on_epoch)
        options: dict[str, Any] = {"batch_size": 1, "shuffle": False, "verbose": 0}
        found = model.fit(
            X, Y, epochs=4, validation_data=(X[::-1], Y), callbacks=[swap], **options
        ).history
        logs.append(found["loss"] + found["val_loss"] + [model.evaluate(X, Y, verbose=0)])
    np.testing.assert_allclose(*logs, rtol=1e-4)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-4)
