"""Files name functions as layers: those of `keras.ops`, and of `tf` in Keras 2's files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, models
from minicnn.saving import functions

Array = np.ndarray


def tensor(name: str = "a") -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


def called(kind: str, *args: Any, **config: Any) -> dict[str, Any]:
    """Return what Keras 3 writes for a function that is called once."""
    return {
        "module": "keras.src.ops.numpy",
        "class_name": kind,
        "config": {"name": "it", **config},
        "name": "it",
        "inbound_nodes": [{"args": list(args), "kwargs": {}}],
    }


A, B = tensor("a"), tensor("b")
ROW = {"class_name": "__numpy__", "config": {"value": [[1.0, 2.0]], "dtype": "float32"}}
ALL = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
AS_LAYERS: list[tuple[dict[str, Any], str, dict[str, Any], Any]] = [
    (called("Add", A, B), "Add", {}, [A, B]),
    (called("Add", A, 3), "Rescaling", {"scale": 1.0, "offset": 3}, A),
    (called("Add", ROW, A), "Rescaling", {"scale": 1.0, "offset": [1.0, 2.0]}, A),
    (called("Subtract", A, ROW), "Rescaling", {"scale": 1.0, "offset": [-1.0, -2.0]}, A),
    (called("Subtract", 3.0, A), "Rescaling", {"scale": -1.0, "offset": 3.0}, A),
    (called("Multiply", A, 0.5), "Rescaling", {"scale": 0.5, "offset": 0.0}, A),
    (called("TrueDivide", A, 4), "Rescaling", {"scale": 0.25, "offset": 0.0}, A),
    (called("TrueDivide", 4, A), "Reciprocal", {"numerator": 4}, A),
    (called("Divide", A, B), "Divide", {}, [A, B]),
    (called("Negative", A), "Rescaling", {"scale": -1.0, "offset": 0.0}, A),
    (called("Power", A, 2), "Power", {"exponent": 2}, A),
    (called("Square", A), "Power", {"exponent": 2.0}, A),
    (called("Maximum", A, 0), "ReLU", {}, A),
    (called("Clip", A, x_min=0, x_max=6), "ReLU", {"max_value": 6}, A),
    (called("Relu6", A), "Activation", {"activation": "relu6"}, A),
    (called("Relu", A, max_value=2), "ReLU", {"max_value": 2}, A),
    (called("Elu", A, alpha=0.5), "ELU", {"alpha": 0.5}, A),
    (called("Softmax", A, axis=1), "Softmax", {"axis": 1}, A),
    (called("Softmax", A, axis=-1), "Activation", {"activation": "softmax"}, A),
    (called("GetItem", A, [ALL, 0]), "GetItem", {"key": [ALL, 0]}, A),
    (called("Reshape", A, newshape=[-1, 8, 2]), "Reshape", {"target_shape": [8, 2]}, A),
    (called("Concatenate", [A, B], axis=-1), "Concatenate", {"axis": -1}, [A, B]),
    (
        called("MaxPool", A, pool_size=2, strides=None, data_format="channels_first"),
        "MaxPooling2D",
        {"pool_size": 2, "data_format": "channels_first"},
        A,
    ),
    (called("Mean", A, axis=[1, 2]), "GlobalAveragePooling2D", {"keepdims": False}, A),
]


@pytest.mark.parametrize(("data", "kind", "config", "inputs"), AS_LAYERS)
def test_a_function_becomes_the_layer_that_computes_it(
    data: dict[str, Any], kind: str, config: dict[str, Any], inputs: Any
) -> None:
    found = functions.as_layer(data)
    assert (found["class_name"], found["config"]) == (
        kind,
        {"name": "it", "trainable": True, **config},
    )
    assert found["inbound_nodes"] == [{"args": [inputs], "kwargs": {}}]
    assert functions.as_layer(found) is found


def test_a_layer_stays_as_it_is() -> None:
    for data in (
        {"module": "keras.layers", "class_name": "Add", "config": {"name": "add"}},
        {"class_name": "Add", "config": {"name": "add", "trainable": True}},
        {"class_name": "Multiply", "config": None, "inbound_nodes": [{}]},
        {"class_name": "Add", "config": {"name": "add"}, "inbound_nodes": [[["a", 0, 0, {}]]]},
    ):
        assert functions.as_layer(data) is data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (called("math.maximum", A, 1), "a number other than 0"),
        (called("math.pow", A, B), "has a tensor as its exponent"),
        (called("math.minimum", A, 1), "is called with a number"),
        (called("clip_by_value", A, clip_value_min=-1, clip_value_max=1), "least value other"),
        (called("math.reduce_mean", A, axis=[1]), r"axis=\[1\] rather than"),
        (called("Sum", A, axis=B), "makes no layer"),
        (called("Where", A, None, 1.0), "makes no layer"),
        (called("Erf", A), 'Layer "it" is the function \'Erf\', which minicnn does not have'),
        (called("Add", A), "is called with 1 arguments: not supported"),
        (called("Add", 1, 2), "is called with 2 arguments"),
        (called("Add", A, "x"), "is called with 'x'"),
        (called("Add", A, True), "is called with True"),
        (called("TrueDivide", A, 0), "divides by 0"),
        (called("Softmax", A, axis=[1, 2]), r"has axis=\[1, 2\]"),
        (called("LogSoftmax", A, axis=1), "has axis=1"),
        (called("nn.bias_add", A, 3.0, data_format="NCHW"), "has data_format='NCHW'"),
        (called("Sigmoid", A, steepness=2.0), "has steepness=2.0"),
        (called("Relu", A, max_value=[1.0, 2.0]), r"has max_value=\[1\.0, 2\.0\]"),
        (called("Gelu", A, approximate=True), "approximates"),
        (called("Reshape", A, newshape=[2, 8]), r"has the shape \[2, 8\]"),
        (called("Transpose", A, axes=[1, 0]), r"has the axes \[1, 0\]"),
        (called("Concatenate", A, axis=-1), "without a list of tensors"),
        (called("Relu", A, B), "is called with 2 tensors"),
        (called("GetItem", A), "is called with 1 arguments"),
        (called("Cast", A, dtype="int32"), "dtype='int32'"),
        (called("Negative", A) | {"inbound_nodes": []}, "several settings"),
    ],
)  # fmt: skip
def test_a_function_that_no_layer_computes_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        functions.as_layer(data)


def test_a_function_is_called_with_the_same_numbers_each_time() -> None:
    twice = called("Add", A, 3.0)
    twice["inbound_nodes"].append({"args": [B, 3.0], "kwargs": {}})
    assert len(functions.as_layer(twice)["inbound_nodes"]) == 2
    twice["inbound_nodes"][1]["args"][1] = 4.0
    with pytest.raises(ValueError, match="several settings: not supported"):
        functions.as_layer(twice)


def with_operations() -> minicnn.Model:
    x = minicnn.Input((4, 4, 3))
    y = layers.Conv2D(3, 3, padding="same")(x)
    y = 1 / (y[:, 1:, ..., ::-1] ** 2 + 1) - x[:, :3] / (y[:, :1] ** 2 + 2)
    return minicnn.Model(x, layers.Dense(2)(layers.Flatten()(y)))


def test_arithmetic_is_saved(tmp_path: Path) -> None:
    model = with_operations()
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype(np.float32)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.to_json() == model.to_json()
    model.save_weights(tmp_path / "w.h5")  # a file of weights names no functions
    with pytest.raises(
        ValueError, match=r'Layer "get_item.*" is the function GetItem, .*save .* \.keras'
    ):
        model.save(tmp_path / "m.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras", "w.h5"]


# -- agreement with Keras --------------------------------------------------------------------------


def uses(k: Any, x: Any, c: Any) -> list[Any]:
    """Return what operators make of symbols, in both versions of Keras."""
    row = np.array([1.0, 2.0, 3.0], "float32")
    return [
        *(x + 3.0, 3.0 + x, 3.0 - x, x - 1, x * (1 / 6), 2.0 * x, x / 2, 2 / (x + 9.0), -x),
        *((x + 9.0) ** 2, x[..., :1], x[:, 1:], x[:, 0], x[:, None, ..., -1], x[:, ::2, ::-1]),
        *(x + row, x - row, x * row, x / row, x + c, x - c, x * c, x / (c * c + 1.0)),
    ]


def of_keras(k: Any, x: Any, c: Any) -> list[Any]:
    ops = k.ops
    return [
        *(ops.add(x, 2.0), ops.multiply(c, x), ops.divide(x, 2.0), ops.subtract(x, c)),
        *(ops.reshape(x, (-1, 48)), ops.reshape(x, (-1, 16, 3)), ops.transpose(x, (0, 2, 1, 3))),
        *(ops.relu(x), ops.relu6(x), ops.sigmoid(x), ops.silu(x), ops.tanh(x), ops.softmax(x)),
        *(ops.gelu(x, approximate=False), ops.leaky_relu(x, 0.3), ops.hard_silu(x), ops.exp(x)),
        *(ops.mean(x, axis=(1, 2)), ops.max(x, axis=[1, 2], keepdims=True), ops.square(x)),
        *(ops.concatenate([x, c], axis=-1), ops.clip(x, 0, 6), ops.maximum(x, 0.0)),
        *(ops.stack([x[..., 0], c[..., 1]], axis=-1), ops.stack([x, c], axis=1)),
        *(ops.expand_dims(x, 1), ops.expand_dims(x, -1), ops.squeeze(x[..., :1], -1)),
        *(ops.maximum(x, c), ops.minimum(x, c), ops.sqrt(ops.square(x) + 1.0)),
        *(ops.cast(x, "float32"), ops.log_softmax(x), ops.elu(x), ops.selu(x), ops.softplus(x)),
        *(ops.softmax(x, axis=1), ops.softmax(x, axis=3), ops.elu(x, alpha=0.5)),
        *(ops.max_pool(x, 2), ops.average_pool(x, (2, 3), strides=1, padding="same")),
        ops.adaptive_average_pool(x, (3, 2), data_format="channels_last"),
        ops.adaptive_max_pool(x, (3, 2), data_format="channels_last"),
        k.activations.relu(x, negative_slope=0.1, max_value=0.5, threshold=0.2),
    ]


def of_tf(k: Any, x: Any, c: Any) -> list[Any]:
    import tensorflow as tf

    return [
        *(tf.add(x, 2.0), tf.reshape(x, (-1, 48)), tf.transpose(x, [0, 2, 1, 3])),
        *(
            tf.nn.relu(x),
            tf.nn.relu6(x),
            tf.sigmoid(x),
            tf.nn.silu(x),
            tf.tanh(x),
            tf.nn.softmax(x),
        ),
        *(tf.nn.gelu(x), tf.nn.leaky_relu(x), tf.nn.leaky_relu(x, 0.3), tf.exp(x), tf.square(x)),
        *(tf.reduce_mean(x, axis=[1, 2]), tf.reduce_max(x, [1, 2], keepdims=True)),
        *(tf.concat([x, c], axis=-1), tf.clip_by_value(x, 0, 6), tf.maximum(x, 0.0)),
        *(tf.maximum(x, c), tf.minimum(x, c), tf.sqrt(tf.square(x) + 1.0), tf.cast(x, "float32")),
        *(tf.stack([x, c], axis=1), tf.expand_dims(x, 1), tf.squeeze(x[..., :1], [-1])),
        *(tf.identity(x), tf.nn.elu(x), tf.nn.selu(x), tf.nn.log_softmax(x)),
    ]


def model_of(k: Any, makes: list[Callable[[Any, Any, Any], list[Any]]]) -> Any:
    x = k.Input((4, 4, 3), name="photo")
    c = k.layers.Conv2D(3, 1, name="conv")(x)
    return k.Model(x, [y for make in makes for y in make(k, x, c)])


def assert_equal_to(ours: minicnn.Model, theirs: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype(np.float32)
    for found, wanted in zip(ours.predict(x, verbose=0), theirs(x, training=False), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.keras
def test_functions_of_keras_3_both_ways(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    theirs = model_of(keras, [uses, of_keras])
    theirs.save(tmp_path / "m.keras")
    theirs.save(tmp_path / "m.h5")  # Keras itself cannot read this again
    for name in ("m.keras", "m.h5"):
        assert_equal_to(models.load_model(tmp_path / name), theirs)
    ours = models.from_keras(theirs)
    assert_equal_to(ours, theirs)
    ours.save(tmp_path / "ours.keras")
    assert_equal_to(ours, keras.saving.load_model(tmp_path / "ours.keras"))
    own = with_operations()
    own.save(tmp_path / "own.keras")
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype(np.float32)
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(loaded(x), own.predict(x, verbose=0), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.keras
def test_functions_of_tf_in_keras_2_s_files(tmp_path: Path) -> None:
    keras_2 = pytest.importorskip("tf_keras")
    theirs = model_of(keras_2, [uses, of_tf])
    theirs.save(tmp_path / "m.h5")  # Keras 2 cannot write x[..., 0] into a .keras file
    assert_equal_to(models.load_model(tmp_path / "m.h5"), theirs)
    assert_equal_to(models.from_keras(theirs), theirs)
    again = models.model_from_json(json.dumps(json.loads(theirs.to_json())))
    again.load_weights(tmp_path / "m.h5")
    assert_equal_to(again, theirs)


@pytest.mark.slow
@pytest.mark.keras
def test_functions_beside_layers_with_their_channels_first(tmp_path: Path) -> None:
    """Numbers of a row go along the columns, which the file has last."""
    keras = pytest.importorskip("keras")
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.ZeroPadding2D(0, data_format="channels_first")(inputs)
    row = np.array([1.0, 2.0, 4.0], "float32")
    ys = [x + row, x * 2.0 - 1.0, keras.ops.mean(x, axis=[1, 2]), x[:, :1], keras.ops.relu(x)]
    theirs = keras.Model(inputs, ys)
    theirs.save(tmp_path / "m.keras")
    assert_equal_to(models.load_model(tmp_path / "m.keras"), theirs)


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("version", ["keras", "tf_keras"])
def test_preprocess_input_within_a_model(version: str, tmp_path: Path) -> None:
    k = pytest.importorskip(version)
    x = k.Input((4, 4, 3))
    y = k.layers.Conv2D(3, 1)(k.applications.mobilenet_v2.preprocess_input(x))
    z = k.layers.Conv2D(3, 1)(k.applications.resnet50.preprocess_input(x))
    theirs = k.Model(x, [y, z])
    theirs.save(tmp_path / "m.h5")
    assert_equal_to(models.load_model(tmp_path / "m.h5"), theirs)
