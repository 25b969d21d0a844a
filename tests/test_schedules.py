"""Schedules give Keras's learning rate at each step, in `fit`, and in files both ways."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import models, optimizers
from minicnn.optimizers import schedules

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("ExponentialDecay", (0.1, 7, 0.5), {}),
    ("ExponentialDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10], [0.5, 0.25, 0.125]), {}),
    ("PolynomialDecay", (0.1, 11), {}),
    ("PolynomialDecay", (0.1, 5, 0.01, 2.0), {"cycle": True}),
    ("CosineDecay", (0.1, 13), {"alpha": 0.1}),
    ("CosineDecay", (0.0, 13), {"warmup_target": 0.2, "warmup_steps": 5}),
    ("CosineDecayRestarts", (0.1, 4), {}),
    ("CosineDecayRestarts", (0.1, 4), {"t_mul": 1.0, "m_mul": 0.5, "alpha": 0.2}),
    ("CosineDecayRestarts", (0.1, 3), {"t_mul": 1.5, "m_mul": 0.9}),
]


@pytest.mark.keras
@pytest.mark.parametrize(("name", "arguments", "options"), CASES)
def test_each_step_is_keras_s(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    keras = pytest.importorskip("keras")
    ours = getattr(schedules, name)(*arguments, **options)
    theirs = getattr(keras.optimizers.schedules, name)(*arguments, **options)
    for step in range(40):
        assert ours(step) == pytest.approx(float(theirs(step)), rel=1e-4, abs=1e-7), step
    assert ours.get_config() == theirs.get_config()
    again = schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert again.get_config() == ours.get_config()
    back = keras.optimizers.schedules.deserialize(schedules.serialize(ours))
    assert back.get_config() == theirs.get_config()


def network(library: Any, optimizer: Any) -> Any:
    model = library.Sequential([library.Input((3,)), library.layers.Dense(2)])
    model.compile(optimizer(library), "mse")
    return model


def scheduled(library: Any) -> Any:
    kinds = library.optimizers
    return kinds.Adam(kinds.schedules.CosineDecay(0.1, 6), use_ema=True, ema_momentum=0.5)


def accumulating(library: Any) -> Any:
    return library.optimizers.Nadam(0.1, gradient_accumulation_steps=2, weight_decay=0.1)


@pytest.mark.keras
@pytest.mark.parametrize("optimizer", [scheduled, accumulating])
def test_fit_and_files_go_on_as_in_keras(optimizer: Any, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(size=(7, 2)).astype(np.float32)
    ours, theirs = network(minicnn, optimizer), network(keras, optimizer)
    theirs.set_weights(ours.get_weights())
    settings = {"batch_size": 3, "shuffle": False, "verbose": 0}
    for model in (ours, theirs):
        model.fit(x, y, epochs=1, **settings)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    rate = float(theirs.optimizer.learning_rate)
    assert ours.optimizer.learning_rate == pytest.approx(rate, rel=1e-5)
    ours.save(tmp_path / "ours.keras")
    ours.save(tmp_path / "ours.h5")
    theirs.save(tmp_path / "theirs.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        opened = [
            models.load_model(tmp_path / "theirs.keras"),
            models.load_model(tmp_path / "ours.keras"),
            models.load_model(tmp_path / "ours.h5"),
            keras.models.load_model(tmp_path / "ours.keras"),
        ]
    theirs.fit(x, y, epochs=2, **settings)
    for model in opened:
        model.fit(x, y, epochs=2, **settings)
        for a, b in zip(model.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_function_may_give_the_rate() -> None:
    rates = iter([0.5, 0.25, 0.125])
    optimizer = optimizers.SGD(learning_rate=lambda: next(rates))
    assert optimizer.learning_rate == 0.5
    assert optimizer.learning_rate == 0.25
    optimizer.learning_rate = 1.0
    assert optimizer.learning_rate == 1.0


def test_weights_may_be_excluded_from_weight_decay() -> None:
    layer = minicnn.layers.Dense(2)
    layer.build((None, 2))
    layer.bias.assign(np.ones(2))
    before = layer.get_weights()
    optimizer = optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([np.zeros_like(w) for w in before], layer.trainable_variables)
    np.testing.assert_allclose(layer.get_weights()[0], before[0] * 0.95, rtol=1e-6)
    np.testing.assert_array_equal(layer.get_weights()[1], before[1])
