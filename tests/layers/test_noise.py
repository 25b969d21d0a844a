"""Dropout and layers like it draw random numbers in training, and none otherwise."""

import json
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, models, utils
from minicnn.layers import LAYERS

Array = np.ndarray

NOISY: dict[str, dict[str, Any]] = {
    "SpatialDropout1D": {"rate": 0.25},
    "SpatialDropout2D": {"rate": 0.25},
    "GaussianNoise": {"stddev": 0.5},
    "GaussianDropout": {"rate": 0.2},
    "AlphaDropout": {"rate": 0.25},
}
every_kind = pytest.mark.parametrize("kind", NOISY)


def made(kind: str, **more: Any) -> Any:
    return LAYERS[kind](**{**NOISY[kind], **more})


def ones(kind: str) -> Array:
    return np.ones((50, 40, 50) if kind == "SpatialDropout1D" else (50, 8, 5, 50), np.float32)


@every_kind
def test_it_changes_nothing_at_inference(kind: str) -> None:
    layer, x = made(kind), ones(kind)
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(layer.backward(x * 3, cache)[0], x * 3)


@every_kind
def test_its_numbers_come_from_the_seed(kind: str) -> None:
    x = ones(kind)

    def drawn(**seed: Any) -> list[Array]:
        layer = made(kind, **seed)
        return [layer(x, training=True) for _ in range(2)]

    a, b = drawn(seed=3)
    assert not np.array_equal(a, b), "each pass draws anew"
    np.testing.assert_array_equal(a, drawn(seed=3)[0])
    np.testing.assert_array_equal(a, drawn(seed=np.random.default_rng(3))[0])
    assert not np.array_equal(a, drawn(seed=4)[0])
    again = LAYERS[kind].from_config(made(kind, seed=3).get_config())
    np.testing.assert_array_equal(a, again(x, training=True))
    utils.set_random_seed(5)
    c = drawn()[0]
    utils.set_random_seed(5)
    np.testing.assert_array_equal(c, drawn()[0])


@pytest.mark.parametrize("kind", ["SpatialDropout1D", "SpatialDropout2D"])
def test_a_map_is_dropped_as_a_whole(kind: str) -> None:
    layer, x = made(kind, seed=1), ones(kind)
    y, cache = layer.forward(x, training=True)
    maps = y.reshape(50, -1, 50)
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    np.testing.assert_array_equal(maps.max(axis=1), maps.min(axis=1))
    assert abs((y == 0).mean() - 0.25) < 0.03
    assert (maps[:, 0] == 0).sum(axis=1).std() > 0, "each example has maps of its own"
    np.testing.assert_array_equal(layer.backward(x, cache)[0], y)


def test_gaussian_noise_has_its_deviation_and_a_gradient_of_one() -> None:
    x = ones("GaussianNoise")
    layer = layers.GaussianNoise(0.5, seed=1)
    y, cache = layer.forward(x, training=True)
    assert abs(y.mean() - 1) < 0.01
    assert abs(y.std() - 0.5) < 0.01
    assert abs(np.mean((y - 1) ** 4) / 0.5**4 - 3) < 0.1, "a normal distribution"
    np.testing.assert_array_equal(layer.backward(x * 3, cache)[0], x * 3)


def test_gaussian_dropout_multiplies_by_numbers_around_one() -> None:
    x = 2 * ones("GaussianDropout")
    layer = layers.GaussianDropout(0.2, seed=1)
    y, cache = layer.forward(x, training=True)
    noise = y / 2
    assert abs(noise.mean() - 1) < 0.01
    assert abs(noise.std() - 0.5) < 0.01, "√(0.2 / 0.8)"
    np.testing.assert_allclose(layer.backward(x, cache)[0], y, rtol=1e-6)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).standard_normal((500, 400)).astype("f")
    layer = layers.AlphaDropout(0.25, seed=1)
    y, cache = layer.forward(x, training=True)
    assert abs(y.mean()) < 0.01
    assert abs(y.std() - 1) < 0.01
    dropped = y == np.unique(y, return_counts=True)[0][np.unique(y, return_counts=True)[1].argmax()]
    assert abs(dropped.mean() - 0.25) < 0.01
    dx, _ = layer.backward(np.ones_like(x), cache)
    np.testing.assert_array_equal(dx == 0, dropped)
    assert len(np.unique(dx)) == 2


def test_alpha_dropout_s_noise_shape_drops_together() -> None:
    x = np.random.default_rng(0).standard_normal((9, 5, 4)).astype("f")
    layer = layers.AlphaDropout(0.5, noise_shape=(None, 1, 4), seed=2)
    dx, _ = layer.backward(np.ones_like(x), layer.forward(x, training=True)[1])
    np.testing.assert_array_equal(dx.max(axis=1), dx.min(axis=1))
    assert len(np.unique(dx)) == 2


@every_kind
def test_a_rate_of_0_changes_nothing_in_training(kind: str) -> None:
    off = dict.fromkeys(NOISY[kind], 0.0)
    layer, x = made(kind, **off), ones(kind)
    assert not layer.differs_in_training()
    assert made(kind).differs_in_training()
    np.testing.assert_array_equal(layer(x, training=True), x)


def network() -> minicnn.Sequential:
    utils.set_random_seed(1)
    return minicnn.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.GaussianNoise(0.1),
            layers.Conv2D(4, 3, activation="selu"),
            layers.SpatialDropout2D(0.2),
            layers.AlphaDropout(0.1),
            layers.Reshape((16, 4)),
            layers.SpatialDropout1D(0.1),
            layers.GaussianDropout(0.1),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def test_a_network_of_them_learns_and_the_seed_repeats_it() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 64)
    x = (rng.standard_normal((64, 6, 6, 2)) + y[:, None, None, None]).astype("f")
    losses = []
    for _ in range(2):
        model = network()
        model.compile("adam", minicnn.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses.append(model.fit(x, y, epochs=8, batch_size=16, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    assert losses[0][-1] < 0.7 * losses[0][0]


def test_explanations_and_checks_use_the_same_noise() -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 2)).astype("f")
    model = network()
    trace = model.trace(x, training=True)
    np.testing.assert_array_equal(trace.y, model.trace(x, training=True).y)
    for entry in trace.entries:
        if type(entry.layer).__name__ in NOISY:
            for at in [(0,) * (entry.y.ndim - 1), tuple(n - 1 for n in entry.y.shape[1:])]:
                explained = trace.explain(entry.name, at)
                assert abs(explained.difference) <= explained.tolerance
    np.testing.assert_array_equal(trace.y, model(x, training=True))
    checked = minicnn.explain.gradcheck(network(), x, training=True, entries=5)
    assert checked.passed, str(checked)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_files_go_both_ways(name: str, tmp_path: Any) -> None:
    keras = pytest.importorskip("keras")
    ours = [made(kind, name=kind.lower(), seed=7) for kind in NOISY if kind[-2:] != "1D"]
    model = minicnn.Sequential([layers.Input((4, 4, 2)), *ours, layers.Reshape((8, 4)),
                                made("SpatialDropout1D", name="last", seed=7)])  # fmt: skip
    model.save(tmp_path / name)
    theirs = keras.models.load_model(tmp_path / name, compile=False)
    for layer in [*ours, model.layers[-1]]:
        found = theirs.get_layer(layer.name).get_config()
        for key, value in layer.get_config().items():
            assert key == "dtype" or found[key] == value, (layer.name, key)
    theirs.save(tmp_path / f"back{name[1:]}")
    again = models.load_model(tmp_path / f"back{name[1:]}", compile=False)
    for layer in [*ours, model.layers[-1]]:
        config = again.get_layer(layer.name).get_config()
        assert json.dumps(config) == json.dumps(layer.get_config())
        assert type(again.get_layer(layer.name)) is type(layer)
