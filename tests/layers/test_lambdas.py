"""`Lambda`: a function of one's own as a layer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, models, ops

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def scaled(x: Any, by: float = 2.0) -> Any:
    return x * by


def distance(pair: Any) -> Any:
    return ops.sum(ops.abs(pair[0] - pair[1]), axis=1, keepdims=True)


def test_numbers_shapes_and_gradients() -> None:
    model = minicnn.Sequential(
        [minicnn.Input((3,)), layers.Lambda(lambda x: x**2 / 2), layers.Flatten()]
    )
    y, tape = model.forward(X)
    np.testing.assert_array_equal(y, X**2 / 2)
    dx, _ = model.backward(np.ones_like(X), tape)
    np.testing.assert_allclose(dx, X)
    np.testing.assert_array_equal(model.predict(X, verbose=0), y)
    one, other = minicnn.Input((3,)), minicnn.Input((3,))
    far = layers.Lambda(distance, output_shape=(1,))([one, other])
    assert far.shape == (None, 1)
    np.testing.assert_array_equal(minicnn.Model([one, other], far)([X, X + 1]), [[3]] * 4)


def test_it_is_told_of_training_if_it_asks() -> None:
    layer = layers.Lambda(lambda x, training: x * (2 if training else 1))
    assert layer.differs_in_training()
    assert not layers.Lambda(scaled).differs_in_training()
    np.testing.assert_array_equal(layer(X), X)
    np.testing.assert_array_equal(layer(X, training=True), 2 * X)


def test_a_network_learns_behind_it() -> None:
    inputs = minicnn.Input((3,))
    y = layers.Dense(1)(layers.Lambda(lambda x: x / 12)(layers.Dense(3)(inputs)))
    model = minicnn.Model(inputs, y)
    model.compile("sgd", "mse")
    loss = model.fit(X, X[:, :1] / 12, epochs=3, verbose=0).history["loss"]
    assert loss[0] > loss[1] > loss[2]


@pytest.mark.keras
def test_files_both_ways(tmp_path: Path) -> None:
    """A file keeps the function's name; both programs are told what it means."""
    keras = pytest.importorskip("keras")
    own = {"custom_objects": {"scaled": scaled}}
    for k, other in ((minicnn, keras), (keras, minicnn)):
        model = k.Sequential([k.Input((3,)), k.layers.Lambda(scaled, (3,), arguments={"by": 3.0})])
        model.save(tmp_path / "m.keras")
        for reader in (k, other):
            again = reader.models.load_model(tmp_path / "m.keras", **own)
            np.testing.assert_array_equal(np.asarray(again(X)), 3 * X)
    with pytest.raises(ValueError, match=r"is a Lambda: .* pass it in custom_objects"):
        models.load_model(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="is a Lambda"):
        models.load_model(tmp_path / "m.keras", custom_objects={"scaled": layers.Dense})


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: layers.Lambda("relu"), r'^Lambda ".*" expects a function\. Received \'relu\''),
        (lambda: layers.Lambda(scaled, mask=scaled), "computes no mask"),
        (lambda: layers.Lambda(scaled, output_shape=3), r"a tuple of sizes, .*\. Received 3\."),
        (
            lambda: layers.Lambda(scaled, output_shape=(4,))(minicnn.Input((3,))),
            r"output has the shape \(4,\), without the batch\. Received \(3,\)\.",
        ),
        (
            lambda: minicnn.Sequential([minicnn.Input((3,)), layers.Lambda(lambda x: x)]).save(
                "m.keras"
            ),
            r"holds a function without a name, which no file keeps: define it with def",
        ),
    ],
)
def test_mistakes_are_told(act: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        act()
