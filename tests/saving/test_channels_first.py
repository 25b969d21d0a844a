"""Models with data_format="channels_first" open, and take, return and compute the same."""

import copy
import inspect
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import models
from minicnn.layers import LAYERS
from minicnn.saving import channels_first

Array = np.ndarray
FIRST = "channels_first"
IMAGES, LINES = (3, 12, 10), (3, 12)


def library(name: str = "keras") -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip(name)


def shaken(model: Any) -> Any:
    rng = np.random.default_rng(5)
    model.set_weights([rng.uniform(0.2, 1, w.shape).astype("f") for w in model.get_weights()])
    return model


def inputs(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(1).standard_normal((2, *shape)).astype("f")


def assert_same(ours: Any, theirs: Any, x: Array) -> None:
    found, expected = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    if not isinstance(expected, list):
        found, expected = [found], [expected]
    for one, other in zip(found, expected, strict=True):
        scale = float(np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * scale)


NEEDED: dict[str, dict[str, Any]] = {
    **{f"{kind}{n}D": {"filters": 4} for kind in ("Conv", "SeparableConv") for n in (1, 2)},
    **{f"Conv{n}DTranspose": {"filters": 4} for n in (1, 2)},
    "AdaptiveAveragePooling2D": {"output_size": (2, 3)},
    "AdaptiveMaxPooling2D": {"output_size": (2, 3)},
    "AdaptiveMaxPooling1D": {"output_size": 2},
    "AdaptiveAveragePooling1D": {"output_size": 2},
    "AveragePooling2D": {"pool_size": (2, 3)},
    "MaxPooling2D": {"pool_size": (2, 3)},
    "AveragePooling1D": {"pool_size": 2},
    "UpSampling2D": {"size": (2, 3)},
    "ZeroPadding2D": {"padding": ((1, 2), (0, 3))},
    "Cropping2D": {"cropping": ((1, 2), (0, 3))},
    "CenterCrop": {"height": 4, "width": 6},
    "Resizing": {"height": 4, "width": 6},
}


def with_data_format() -> list[str]:
    found = [name for name, cls in LAYERS.items() if "data_format" in cls.argument_names()]
    # Keras cannot make a model with an Equalization.
    left_out = "Random", "Spatial", "AutoContrast", "Equalization"
    return [name for name in found if not name.startswith(left_out)]


@pytest.mark.keras
@pytest.mark.parametrize("name", with_data_format())
def test_each_layer_computes_what_keras_computes(name: str) -> None:
    keras = library()
    arguments = dict(NEEDED.get(name, {}))
    kind = getattr(keras.layers, name)
    if "kernel_size" in inspect.signature(kind).parameters:
        arguments["kernel_size"] = 3
    layer = kind(**arguments, data_format=FIRST)
    shape = LINES if "1D" in name else IMAGES
    model = shaken(keras.Sequential([keras.Input(shape), layer]))
    ours = models.from_keras(model)
    assert ours.input_shape == (None, *shape)
    assert ours.output_shape == model.output_shape
    assert_same(ours, model, inputs(shape))
    assert ours.get_layer(layer.name).get_config()["data_format"] == "channels_last"


def chain(keras: Any) -> Any:
    k = keras.layers
    return keras.Sequential(
        [
            *(keras.Input(IMAGES), k.BatchNormalization(axis=1), k.Rescaling(0.5)),
            k.Conv2D(4, 3, data_format=FIRST, activation="relu"),
            *(k.MaxPooling2D(data_format=FIRST), k.Dropout(0.5), k.ReLU()),
            k.Conv2DTranspose(5, 3, strides=2, padding="same", data_format=FIRST),
            *(k.PReLU("ones", shared_axes=[2, 3]), k.Softmax(axis=1)),
            *(k.Flatten(data_format=FIRST), k.Dense(3)),
        ]
    )


def lines(keras: Any) -> Any:
    k = keras.layers
    end = [k.MaxPooling1D(data_format=FIRST), k.BatchNormalization(axis=1), k.Activation("softmax")]
    return keras.Sequential([keras.Input(LINES), k.Conv1D(4, 3, data_format=FIRST), *end])


def graph(keras: Any) -> Any:
    k = keras.layers
    inputs = keras.Input(IMAGES)
    x = k.ZeroPadding2D(1, data_format=FIRST)(inputs)
    a, b = k.Conv2D(4, 3, data_format=FIRST)(x), k.SeparableConv2D(4, 3, data_format=FIRST)(x)
    x = k.Concatenate(axis=1)([k.Add()([a, b]), a])
    x = k.Activation("tanh")(k.BatchNormalization(axis=1)(x))
    gate = k.Dense(8, activation="sigmoid")(k.GlobalAveragePooling2D(data_format=FIRST)(x))
    x = k.Multiply()([x, k.Reshape((8, 1, 1))(gate)])
    y = k.Conv2D(2, 3, data_format=FIRST)(x)
    return keras.Model(inputs, [y, k.Dense(2)(k.Flatten()(y))])


def nested(keras: Any) -> Any:
    k = keras.layers
    base = keras.Sequential([keras.Input(IMAGES), k.Conv2D(4, 3, data_format=FIRST)], name="base")
    inputs = keras.Input(IMAGES)
    x = k.Average()([base(inputs), base(k.ReLU()(inputs))])
    x = k.GlobalMaxPooling2D(data_format=FIRST, keepdims=True)(x)
    return keras.Model(inputs, x)


MODELS = [chain, lines, graph, nested]


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_file_opens_and_is_written_again(make: Any, suffix: str, tmp_path: Path) -> None:
    keras = library()
    model = shaken(make(keras))
    x = inputs(model.input_shape[1:])
    model.save(tmp_path / f"m{suffix}")
    ours = models.load_model(tmp_path / f"m{suffix}")
    assert_same(ours, model, x)
    ours.save(tmp_path / f"again{suffix}")
    assert_same(models.load_model(tmp_path / f"again{suffix}"), model, x)
    assert_same(keras.models.load_model(tmp_path / f"again{suffix}", compile=False), model, x)
    model.save_weights(tmp_path / "w.weights.h5")
    ours.set_weights([0 * w for w in ours.get_weights()])
    ours.load_weights(tmp_path / "w.weights.h5")
    assert_same(ours, model, x)


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_file_of_keras_2_opens(make: Any, tmp_path: Path) -> None:
    """On a CPU, TensorFlow cannot run Keras 2's layers, so the same model in Keras 3 computes."""
    old, keras = library("tf_keras"), library()
    model, twin = shaken(make(old)), make(keras)
    twin.set_weights(model.get_weights())
    model.save(tmp_path / "m.h5")
    assert_same(models.load_model(tmp_path / "m.h5"), twin, inputs(model.input_shape[1:]))


@pytest.mark.keras
def test_it_learns_what_keras_learns() -> None:
    keras = library()
    keras.utils.set_random_seed(0)
    model = shaken(lines(keras))
    ours = models.from_keras(model)
    x = inputs(LINES)
    y = np.random.default_rng(0).uniform(0, 1, (2, *model.output_shape[1:])).astype("f")
    for one in (ours, model):
        one.compile("sgd", "mse")
        one.fit(x, y, epochs=3, shuffle=False, verbose=0)
    for mine, theirs in zip(ours.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------------------------------
# Descriptions
# ---------------------------------------------------------------------------------------------


def described(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "name": name, "config": {"name": name, **config}}


def conv(name: str, **more: Any) -> dict[str, Any]:
    return described("Conv2D", name, filters=2, kernel_size=[3, 3], data_format=FIRST, **more)


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    start = described("InputLayer", "in", batch_shape=[None, *IMAGES])
    return described("Sequential", "s", layers=[start, *layers])


def after(*names: str) -> list[dict[str, Any]]:
    symbols = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}
        for name in names
    ]
    return [{"args": [symbols[0] if len(symbols) == 1 else symbols], "kwargs": {}}]


def test_a_model_with_channels_last_is_not_changed() -> None:
    data = sequential(described("Flatten", "f", data_format="channels_last"))
    assert channels_first.converted(data) is data
    before = copy.deepcopy(data := sequential(conv("c")))
    assert channels_first.converted(data) != data
    assert data == before


def test_keras_2_s_chains_begin_with_any_layer() -> None:
    data = described("Sequential", "s", layers=[conv("c", batch_input_shape=[None, *IMAGES])])
    model = minicnn.layers.deserialize(channels_first.converted(data))
    assert [layer.name for layer in model.layers] == [
        *("c_channels_last", "c", "c_channels_first"),
    ]
    assert (model.input_shape, model.output_shape) == ((None, *IMAGES), (None, 2, 10, 8))


def test_by_hand() -> None:
    """A 1x1 kernel computes 1·red + 10·green + 100·blue, and keeps rows and columns in place."""
    config = {"filters": 1, "kernel_size": [1, 1], "data_format": FIRST, "use_bias": False}
    data = sequential(described("Conv2D", "c", **config))
    model = minicnn.layers.deserialize(channels_first.converted(data))
    model.set_weights([np.array([1, 10, 100]).reshape(1, 1, 3, 1)])
    x = np.arange(3 * 12 * 10, dtype="f").reshape(1, 3, 12, 10)
    expected = x[:, :1] + 10 * x[:, 1:2] + 100 * x[:, 2:]
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        sequential(conv("c", activation="softmax")),
        r'Conv2D "c" has data_format="channels_first" and activation="softmax", which Keras',
    ),
    (
        sequential(conv("c"), described("Mine", "m"), described("Flatten", "f", data_format=FIRST)),
        r'Flatten "f" has data_format="channels_first", and the file does not say how many axes',
    ),
    (
        described(
            *("Functional", "f"),
            layers=[{**conv("c"), "inbound_nodes": after("c")}],
            input_layers=[["c", 0, 0]],
            output_layers=[["c", 0, 0]],
        ),
        "layers that wait for each other",
    ),
]


@pytest.mark.parametrize(("data", "message"), REFUSED)
def test_what_cannot_be_converted_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        channels_first.converted(data)


@pytest.mark.keras
def test_a_change_in_the_order_of_layers_is_refused() -> None:
    """A PReLU keeps the file's axes, which makes one of two equal branches longer."""
    keras = library()
    k = keras.layers
    inputs = keras.Input(IMAGES)
    a, b = (k.Conv2D(3, 1, data_format=FIRST, name=name)(inputs) for name in ("a", "b"))
    a, b = k.ReLU()(a), k.PReLU(shared_axes=[2, 3])(b)
    ends = [k.Conv2D(3, 1, data_format=FIRST, name=name)(x) for name, x in (("c", a), ("d", b))]
    model = keras.Model(inputs, k.Add()(ends))
    with pytest.raises(ValueError, match=r"come in another order, and files find weights"):
        models.from_keras(model)


def test_a_layer_that_does_nothing_in_prediction_stays_where_it_is() -> None:
    mix = described("AugMix", "mix", data_format=FIRST)
    model = minicnn.layers.deserialize(channels_first.converted(sequential(mix, conv("c"))))
    assert [layer.name for layer in model.layers][:2] == ["mix", "c_channels_last"]
    assert model.get_layer("mix").get_config()["data_format"] == FIRST


def test_a_stretch_of_columns_is_refused() -> None:
    stretch = described("AutoContrast", "a", data_format=FIRST)
    with pytest.raises(ValueError, match=r'AutoContrast "a" has .*stretches each column'):
        channels_first.converted(sequential(stretch, conv("c")))


def test_opening_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        minicnn.layers.deserialize(channels_first.converted(sequential(conv("c"))))
