"""Graphs that start at a symbol inside another graph, and chains that see images of two sizes."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Model, Sequential, layers, models

Array = np.ndarray


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


def keras_or_ours(name: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return minicnn if name == "minicnn" else pytest.importorskip("keras")


# ---------------------------------------------------------------------------------------------
# Model(middle, output)
# ---------------------------------------------------------------------------------------------


def whole(module: Any = minicnn) -> Any:
    """Return a network with a branch, a shared layer and a nested model behind its middle."""
    k = module.layers
    base = module.Sequential([module.Input((4, 4, 4)), k.Conv2D(3, 1, name="inner")], name="base")
    inputs = module.Input((6, 6, 2), name="image")
    x = k.ReLU(name="middle")(k.Conv2D(4, 3, name="conv")(inputs))
    shared = k.Conv2D(4, 1, name="shared")
    y = k.Add(name="sum")([shared(x), shared(shared(x))])
    y = k.GlobalAveragePooling2D(name="pool")(base(y))
    model = module.Model(inputs, k.Dense(3, name="scores")(y))
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(-1, 1, w.shape).astype("f") for w in model.get_weights()])
    return model


def test_the_layers_behind_a_symbol_are_a_model() -> None:
    model = whole()
    middle = model.get_layer("middle").output
    head, body = Model(middle, model.output), Model(model.input, middle)
    x = random(2, 6, 6, 2)
    np.testing.assert_array_equal(head.predict(body.predict(x)), model.predict(x))
    assert [layer.name for layer in head.layers[1:]] == ["shared", "sum", "base", "pool", "scores"]
    assert head.input_shape == (None, 4, 4, 4)
    # The layers are the same ones, and the whole stays what it was.
    assert head.get_layer("scores") is model.get_layer("scores")
    head.get_layer("scores").kernel.assign(np.zeros((3, 3)))
    assert not (model.predict(x) - model.get_layer("scores").bias.numpy()).any()
    assert model.get_layer("scores").output is model.output
    assert Model(model.get_layer("sum").output, model.output).layers[-1].name == "scores"


def test_the_gradient_of_a_middle_is_that_of_the_whole() -> None:
    """As in Grad-CAM: which parts of a feature map the score of a class depends on."""
    model = whole()
    middle = model.get_layer("middle").output
    body, head = Model(model.input, middle), Model(middle, model.output)
    x = random(2, 6, 6, 2)
    features, tape_of_body = body.forward(x)
    _, tape = head.forward(features)
    dy = np.eye(3, dtype="f")[[1, 1]]
    dfeatures, grads = head.backward(dy, tape)
    _, tape_of_all = model.forward(x)
    dx, all_grads = model.backward(dy, tape_of_all)
    np.testing.assert_allclose(body.backward(dfeatures, tape_of_body)[0], dx, rtol=1e-5, atol=1e-6)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, all_grads[name], rtol=1e-5, atol=1e-6)


def test_several_starts_and_an_input_among_them() -> None:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    x = layers.Dense(3, name="early")(a)
    y = layers.Add(name="sum")([x, b])
    model = Model([x, b], [layers.ReLU()(y), x])
    one, two = random(2, 3), random(2, 3, seed=1)
    found, same = model.predict([one, two])
    np.testing.assert_array_equal(found, np.maximum(one + two, 0))
    np.testing.assert_array_equal(same, one)
    assert [layer.name for layer in model.layers][:2] == ["input_layer", "b"]
    with pytest.raises(ValueError, match=r"name=b>, which is not among the inputs"):
        Model(x, y)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_cut_model_is_saved_and_trains(suffix: str, tmp_path: Path) -> None:
    model = whole()
    head = Model(model.get_layer("middle").output, model.output)
    x, y = random(8, 4, 4, 4), np.eye(3, dtype="f")[np.arange(8) % 3]
    head.compile("adam", minicnn.losses.CategoricalCrossentropy(from_logits=True))
    losses = head.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    head.save(tmp_path / f"m{suffix}")
    again = models.load_model(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(again.predict(x, verbose=0), head.predict(x, verbose=0))
    copy = Model.from_config(head.get_config())
    copy.set_weights(head.get_weights())
    np.testing.assert_array_equal(copy.predict(x, verbose=0), head.predict(x, verbose=0))


def test_a_deep_network_is_cut() -> None:
    inputs = x = Input((2,))
    first = x = layers.ReLU()(inputs)
    for _ in range(3000):
        x = layers.Activation("linear")(x)
    head = Model(first, x)
    assert len(head.layers) == 3001
    assert head.run(np.ones((1, 2))).tolist() == [[1, 1]]


@pytest.mark.slow
@pytest.mark.keras
def test_keras_cuts_the_same(tmp_path: Path) -> None:
    keras = keras_or_ours("keras")
    theirs, ours = whole(keras), whole()
    ours.set_weights(theirs.get_weights())
    cut = [
        module.Model(model.get_layer("middle").output, model.output)
        for module, model in ((keras, theirs), (minicnn, ours))
    ]
    x = random(2, 4, 4, 4)
    expected = cut[0].predict(x, verbose=0)
    np.testing.assert_allclose(cut[1].predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    names = [[layer.name for layer in model.layers][1:] for model in cut]
    assert names[0] == names[1]
    cut[1].save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        models.from_keras(cut[0]).predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6
    )


# ---------------------------------------------------------------------------------------------
# A chain without an Input
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minicnn", pytest.param("keras", marks=pytest.mark.keras)])
def test_a_chain_without_an_input_takes_images_of_any_size(name: str) -> None:
    module = keras_or_ours(name)
    k = module.layers
    model = module.Sequential(
        [k.Conv2D(2, 3, kernel_initializer="ones"), k.GlobalMaxPooling2D(), k.Dense(2)]
    )
    for height, width in ((8, 8), (9, 7), (8, 8), (3, 20)):
        x = np.ones((2, height, width, 3), "f")
        expected = np.asarray(model(x))
        assert expected.shape == (2, 2)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"4|3"):
        model(np.ones((2, 8, 8, 4), "f"))


def test_it_keeps_its_weights_and_learns_from_both() -> None:
    model = Sequential([layers.Conv2D(2, 3), layers.GlobalMaxPooling2D(), layers.Dense(2)])
    model(random(2, 8, 8, 3))
    weights = model.get_weights()
    assert model.input_shape == (None, 8, 8, 3)
    model(random(2, 9, 8, 3))
    assert model.input_shape == (None, None, 8, 3)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert model.layers[0].output is model.layers[1].input  # there is one graph still
    model.compile("sgd", "mse")
    for size in (8, 12):
        model.fit(random(4, size, size, 3), np.ones((4, 2)), verbose=0)
    assert model.input_shape == (None, None, None, 3)


def test_layers_that_need_one_size_refuse_another() -> None:
    model = Sequential([layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)], name="s")
    y = model(random(2, 8, 8, 3))
    message = r'"s" expects x\.shape=\(batch, 8, 8, 3\)\. Received x\.shape=\(2, 9, 8, 3\)'
    with pytest.raises(ValueError, match=message):
        model(random(2, 9, 8, 3))
    with pytest.raises(ValueError, match=r"Sequential|channels"):
        model(random(2, 8, 8, 4))
    np.testing.assert_array_equal(model(random(2, 8, 8, 3)), y)
    fixed = Sequential([Input((8, 8, 3)), layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match=r"expects x\.shape=\(batch, 8, 8, 3\)"):
        fixed(random(2, 9, 8, 3))
