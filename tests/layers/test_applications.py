"""Layers that Keras has only for its own networks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explanations import agrees, with_a_loss
from gradients import check_gradients
from layer_uses import as_list, made

import minicnn
from minicnn import layers, models, utils
from minicnn.layers.applications import (
    APPLICATIONS,
    CustomScaleLayer,
    LayerScale,
    StochasticDepth,
)

Array = np.ndarray
A, B = np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)


def test_by_hand() -> None:
    layer = made(LayerScale(0.5, 2), A, [0.5, 3])
    y, cache = layer.forward(A)
    np.testing.assert_array_equal(y, [[0.5, 6]])
    dx, grads = layer.backward(B, cache)
    np.testing.assert_array_equal(dx, [[1.5, 12]])
    np.testing.assert_array_equal(grads["gamma"], [3, 8])
    layer.trainable = False
    assert layer.backward(B, layer.forward(A)[1])[1] == {}
    np.testing.assert_array_equal(LayerScale(0.25, 2)(A), A / 4)
    layer = CustomScaleLayer(0.5)
    y, cache = layer.forward([A, B])
    np.testing.assert_array_equal(y, [[2.5, 4]])
    np.testing.assert_array_equal(layer.backward(B, cache)[0], [B, B / 2])
    assert layer.backward(B, cache, need_dx=False)[0] == [None, None]


def test_whole_examples_are_dropped() -> None:
    layer, x = StochasticDepth(0.25), np.ones((400, 2, 2, 3), np.float32)
    np.testing.assert_array_equal(layer(x), x)
    utils.set_random_seed(0)
    y, cache = layer.forward(x, training=True)
    np.testing.assert_array_equal(y.min((1, 2, 3)), y.max((1, 2, 3)))
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75], rtol=1e-6)
    assert 0.68 < (y > 0).mean() < 0.82
    np.testing.assert_array_equal(layer.backward(x, cache)[0], y)
    assert layer.get_config().keys() == {"name", "trainable", "dtype", "drop_path_rate"}
    assert layer.drop_path_rate == 0.25


def cases() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    x, other = rng.standard_normal((2, 3, 4, 4, 5))
    return [
        (LayerScale(0.7, 5, dtype="float64"), x),
        (StochasticDepth(0.5, dtype="float64"), x),
        (CustomScaleLayer(-0.3, dtype="float64"), [x, other]),
        (CustomScaleLayer(0.3, dtype="float64"), [x, other[:, :1, :1]]),
    ]


@pytest.mark.parametrize("training", [False, True])
def test_gradients_agree_with_differences(training: bool) -> None:
    for layer, x in cases():

        def run(arrays: tuple[Array, ...], layer: Any = layer, x: Any = x) -> Any:
            utils.set_random_seed(1)
            given = list(arrays[: len(as_list(x))]) if isinstance(x, list) else arrays[0]
            layer.forward(given)
            for weight, value in zip(layer.weights, arrays[len(as_list(x)) :], strict=True):
                weight.assign(value)
            return layer.forward(given, training=training)

        def backward(dy: Array, *arrays: Array, layer: Any = layer, run: Any = run) -> Any:
            dx, grads = layer.backward(dy, run(arrays)[1])
            return [*as_list(dx), *grads.values()]

        layer.forward(x)
        arrays = [*as_list(x), *layer.get_weights()]
        check_gradients(
            lambda *arrays, run=run: run(arrays)[0], backward, arrays, np.random.default_rng(2)
        )


def test_their_numbers_are_explained() -> None:
    rng = np.random.default_rng(0)
    for layer, x in cases()[:3]:
        layer.dtype = "float32"
        given = [a.astype(np.float32) for a in as_list(x)]
        given = given if isinstance(x, list) else given[0]  # type: ignore[assignment]
        trace = with_a_loss(layer, given).trace(
            given, y=[0, 1, 2], loss="sparse_categorical_crossentropy", training=True
        )
        entry = trace[layer]
        for _ in range(4):
            at = tuple(int(rng.integers(n)) for n in entry.y.shape[1:])
            agrees(trace.explain(layer, at))
            for source in range(len(as_list(x))):
                agrees(trace.explain_gradient(layer, "dx", at, 0, source))
            for weight in layer.params:
                agrees(trace.explain_gradient(layer, weight, at[-1:]))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: LayerScale("a", 2), "init_values to be a number. Received 'a'"),
        (lambda: LayerScale(1.0, 0), "projection_dim .*Received 0"),
        (lambda: LayerScale(1.0, 3)(A), r"expects 3 channels. Received \(1, 2\)"),
        (lambda: StochasticDepth(2), r"rate in \[0, 1\]. Received 2"),
        (lambda: CustomScaleLayer(None), "scale to be a number. Received None"),
        (lambda: CustomScaleLayer(1)([A]), "expects 2 inputs. Received 1"),
        (lambda: CustomScaleLayer(1)([A, B[:, :0]]), "one shape, or 1 in an axis"),
    ],
)
def test_what_does_not_fit_is_refused(use: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use()


def small() -> minicnn.Model:
    inputs = layers.Input((4, 4, 3))
    x = layers.Conv2D(3, 3, padding="same", groups=3)(inputs)
    x = StochasticDepth(0.5)(LayerScale(0.1, 3)(layers.LayerNormalization(epsilon=1e-6)(x)))
    return minicnn.Model(inputs, CustomScaleLayer(0.2)([inputs, x]))


def test_they_are_saved_under_keras_s_names(tmp_path: Path) -> None:
    model = small()
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype(np.float32)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        again = models.load_model(tmp_path / name)
        np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
        assert again.to_json() == model.to_json()
    described = {data["class_name"]: data for data in model.get_config()["layers"]}
    assert {name: described[name]["module"] for name in APPLICATIONS} == {
        "LayerScale": "keras.src.applications.convnext",
        "StochasticDepth": "keras.src.applications.convnext",
        "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
    }
    assert all(described[name]["registered_name"] == name for name in APPLICATIONS)


@pytest.mark.slow
@pytest.mark.keras
def test_keras_reads_them(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    model = small()
    model.save(tmp_path / "m.keras")
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype(np.float32)
    theirs = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(theirs(x), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
