"""Models with several outputs log Keras's names, and give Keras's numbers step by step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_pairs import (
    CLASSES,
    assert_weights_close,
    compile_both,
    one_hot,
    pair_of_models,
    photos,
)

import minicnn

keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]

Array = np.ndarray


def head(module: Any) -> Any:
    """It outputs a class, a yes or no, two numbers, and the map that these three share."""
    layers = module.layers
    inputs = module.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, strides=2, activation="relu", kernel_regularizer="l2")(inputs)
    x = layers.BatchNormalization(name="map")(x)
    flat = layers.Flatten()(x)
    inside = module.Input((100,))
    nested = module.Sequential([inside, layers.Dense(2)], name="numbers")
    return module.Model(
        inputs,
        [
            layers.Dense(CLASSES, activation="softmax", name="kind")(flat),
            layers.Dense(1, activation="sigmoid", name="big")(flat),
            nested(flat),
            x,
        ],
    )


def data(count: int = 24, seed: int = 1) -> tuple[Array, dict[str, Array]]:
    x, classes = photos(count, seed)
    rng = np.random.default_rng(seed)
    return x, {
        "kind": one_hot(classes),
        "big": (classes > 1).astype("f")[:, None],
        "numbers": rng.standard_normal((count, 2)).astype("f"),
        "map": rng.standard_normal((count, 5, 5, 4)).astype("f"),
    }


NAMES = ["kind", "big", "numbers", "map"]
WEIGHTS = {"kind": 1.0, "big": 0.5, "numbers": 2.0, "map": 0.1}
LOSSES: dict[str, str | None] = {
    "kind": "categorical_crossentropy",
    "big": "binary_crossentropy",
    "numbers": "mae",
    "map": "mse",
}


def listed(given: dict[str, Any]) -> list[Any]:
    return [given[name] for name in NAMES]


def metrics(module: Any) -> dict[str, Any]:
    off = module.metrics.MeanSquaredError(name="off")
    return {"kind": ["accuracy", "mse"], "big": "accuracy", "numbers": [off]}


SETTINGS: dict[str, Any] = {
    "dicts": lambda module: {
        "loss": LOSSES,
        "loss_weights": WEIGHTS,
        "metrics": metrics(module),
    },
    "lists": lambda module: {
        "loss": listed(LOSSES),
        "loss_weights": listed(WEIGHTS),
        "metrics": [["accuracy"], "accuracy", [], None],
        "weighted_metrics": [["accuracy", "mae"], None, ["mae"], []],
    },
    "one loss": lambda module: {"loss": "mse"},
    "only two losses": lambda module: {
        "loss": ["categorical_crossentropy", None, "mse", None],
        "metrics": [["accuracy"], None, None, None],
    },
    "only one loss": lambda module: {"loss": [None, None, "mse", None]},
    "objects": lambda module: {
        "loss": [
            module.losses.CategoricalCrossentropy(label_smoothing=0.1),
            module.losses.BinaryCrossentropy(),
            module.losses.LogCosh(),
            module.losses.MeanSquaredError(reduction="sum"),
        ],
        "loss_weights": [1.0, 1.0, 1.0, 0.001],
    },
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fit_follows_keras(name: str) -> None:
    models = ours, theirs = pair_of_models(head)
    compile_both(
        models,
        lambda module: {"optimizer": module.optimizers.SGD(0.02, 0.5), **SETTINGS[name](module)},
    )
    x, y = data()
    held_x, held_y = data(16, seed=2)  # equal batches: Keras weights unequal ones alike
    if name != "dicts":
        y, held_y = listed(y), listed(held_y)  # type: ignore[assignment]
    options: dict[str, Any] = {"epochs": 2, "batch_size": 8, "verbose": 0, "shuffle": False}
    options["validation_data"] = (held_x, held_y)
    expected = theirs.fit(x, y, **options).history
    found = ours.fit(x, y, **options).history
    assert list(found) == list(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=2e-4, atol=1e-6, err_msg=key)
    assert_weights_close(ours, theirs, 1e-3)
    ends = theirs.evaluate(held_x, held_y, verbose=0, batch_size=4)
    np.testing.assert_allclose(
        ours.evaluate(held_x, held_y, verbose=0, batch_size=4), ends, rtol=2e-4, atol=1e-6
    )
    logs = theirs.evaluate(held_x, held_y, verbose=0, return_dict=True)
    assert list(ours.evaluate(held_x, held_y, verbose=0, return_dict=True)) == list(logs)


@pytest.mark.parametrize("form", ["one array", "a list"])
def test_sample_weights_follow_keras(form: str) -> None:
    models = ours, theirs = pair_of_models(head)
    # One array of weights must fit all outputs' losses, but the map's have three axes.
    changed = {} if form == "a list" else {"loss": [*listed(LOSSES)[:3], None]}
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.Adam(0.003),
            **SETTINGS["lists"](module),
            **changed,
        },
    )
    x, y = data()
    rng = np.random.default_rng(3)
    weights: Any = rng.uniform(0, 2, len(x)).astype("f")
    if form == "a list":
        weights = [weights * k for k in range(3)] + [np.ones((len(x), 5, 5), "f")]
    for _ in range(5):
        expected = theirs.train_on_batch(x, listed(y), weights)
        np.testing.assert_allclose(
            ours.train_on_batch(x, listed(y), weights), expected, rtol=2e-4, atol=1e-6
        )
    assert_weights_close(ours, theirs, 2e-3)


def test_losses_use_logits_where_probabilities_round_to_0_or_1() -> None:
    """So losses after a softmax or a sigmoid are exact even there."""

    def make(module: Any) -> Any:
        inputs = module.Input((4,))
        outputs = [
            module.layers.Dense(4, activation=activation, name=activation)(inputs)
            for activation in ("softmax", "sigmoid")
        ]
        return module.Model(inputs, outputs)

    models = ours, theirs = pair_of_models(make)
    large = [w * 60 for w in ours.get_weights()]
    for model in models:
        model.set_weights(large)
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.5),
            "loss": ["categorical_crossentropy", "binary_crossentropy"],
        },
    )
    x = np.random.default_rng(0).standard_normal((8, 4)).astype("f")
    y = [one_hot(np.arange(8) % 4)] * 2
    for _ in range(5):
        expected = theirs.train_on_batch(x, y)
        np.testing.assert_allclose(ours.train_on_batch(x, y), expected, rtol=1e-4)
    assert expected[0] > 5
    assert_weights_close(ours, theirs, 1e-4)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ["dicts", "lists", "objects", "one loss"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_files_both_ways(suffix: str, name: str, tmp_path: Path) -> None:
    models = ours, theirs = pair_of_models(head)
    compile_both(
        models,
        lambda module: {"optimizer": module.optimizers.Adam(0.003), **SETTINGS[name](module)},
    )
    x, y = data()
    for model in models:
        model.train_on_batch(x, listed(y))
    theirs.save(tmp_path / f"theirs.{suffix}")
    ours.save(tmp_path / f"ours.{suffix}")
    read = minicnn.models.load_model(tmp_path / f"theirs.{suffix}")
    # Keras cannot read "mse" among the metrics of an .h5, even in its own files.
    readable = suffix == "keras" or name in ("objects", "one loss")
    read_by_keras = keras.models.load_model(tmp_path / f"ours.{suffix}") if readable else read
    expected = theirs.evaluate(x, listed(y), verbose=0, return_dict=True)
    for model in (read, read_by_keras):
        found = model.evaluate(x, listed(y), verbose=0, return_dict=True)
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-6), key
    if suffix == "keras":
        np.testing.assert_allclose(
            read.train_on_batch(x, listed(y)), theirs.train_on_batch(x, listed(y)), rtol=1e-3
        )
        assert_weights_close(read, theirs, 1e-3)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_files_of_keras_2(suffix: str, tmp_path: Path) -> None:
    keras_2 = pytest.importorskip("tf_keras")
    theirs = head(keras_2)
    settings = SETTINGS["dicts"](keras_2) | {"metrics": {"kind": ["accuracy"], "numbers": "mae"}}
    theirs.compile(keras_2.optimizers.SGD(0.02), **settings)
    x, y = data()
    theirs.train_on_batch(x, y)
    theirs.save(tmp_path / f"m.{suffix}")
    ours = minicnn.models.load_model(tmp_path / f"m.{suffix}")
    expected = theirs.evaluate(x, y, verbose=0, return_dict=True)
    found = ours.evaluate(x, y, verbose=0, return_dict=True)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-3), key
    ours.compile("sgd", listed(LOSSES), listed(WEIGHTS), [["accuracy"], None, ["mae"], None])
    if suffix == "h5":
        ours.save(tmp_path / "back.h5")
        back = keras_2.models.load_model(tmp_path / "back.h5")
        again = back.evaluate(x, y, verbose=0, return_dict=True)
        for key, value in found.items():
            if not key.endswith("loss"):  # Keras 2 writes the output's name twice
                continue
            assert again[key] == pytest.approx(value, rel=1e-3), key


@pytest.mark.parametrize("loss", ["all", "some", "one for all"])
def test_outputs_in_a_dict_follow_keras(loss: str, tmp_path: Path) -> None:
    def make(module: Any) -> Any:
        whole = head(module)
        keys = ["d", "c", "b", "a"]
        return module.Model(whole.input, dict(zip(keys, whole.outputs)))

    given: dict[str, Any] = {"d": LOSSES["kind"], "b": "mse", "c": LOSSES["big"], "a": "mse"}
    given = {"d": LOSSES["kind"], "b": "mse"} if loss == "some" else given
    weights = {key: 0.1 * number for number, key in enumerate(given, 1)}
    models = ours, theirs = pair_of_models(make)
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.02),
            "loss": "mse" if loss == "one for all" else given,
            "loss_weights": None if loss == "one for all" else weights,
            "metrics": {"d": ["accuracy"], "a": ["mae"]},
        },
    )
    x, named = data()
    y = dict(zip(["d", "c", "b", "a"], listed(named)))
    options: dict[str, Any] = {"epochs": 2, "batch_size": 8, "verbose": 0, "shuffle": False}
    expected = theirs.fit(x, y, **options).history
    found = ours.fit(x, y, **options).history
    assert list(found) == list(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=2e-4, atol=1e-6, err_msg=key)
    theirs.save(tmp_path / "theirs.keras")
    ours.save(tmp_path / "ours.keras")
    logs = theirs.evaluate(x, y, verbose=0, return_dict=True, batch_size=24)
    for model in (
        minicnn.models.load_model(tmp_path / "theirs.keras"),
        keras.models.load_model(tmp_path / "ours.keras"),
    ):
        again = model.evaluate(x, y, verbose=0, return_dict=True, batch_size=24)
        assert list(again) == list(logs)
        for key, value in logs.items():
            assert again[key] == pytest.approx(value, rel=1e-3, abs=1e-6), key
