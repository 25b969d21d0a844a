"""Files of Keras 1, written by hand as Keras 1.2 wrote them, and its names of arguments."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import minicnn
from minicnn import Input, layers, models
from minicnn.saving import keras_1

Array = np.ndarray
SHAPE = (9, 8, 3)


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def of_weights(**more: Any) -> dict[str, Any]:
    """Return what Keras 1.2 wrote for every layer with weights."""
    nothing = dict.fromkeys(
        ["W_regularizer", "b_regularizer", "activity_regularizer", "W_constraint", "b_constraint"]
    )
    return {**nothing, "init": "glorot_uniform", "activation": "linear", "bias": True, **more}


def convolution(name: str, filters: int, rows: int, columns: int, **more: Any) -> dict[str, Any]:
    window = {"nb_filter": filters, "nb_row": rows, "nb_col": columns, "border_mode": "valid"}
    usual = {**window, "subsample": [1, 1], "dim_ordering": "tf"}
    return layer("Convolution2D", name, **of_weights(**usual | more))


def chain(ordering: str = "tf", **start: Any) -> list[dict[str, Any]]:
    """Return a small VGG, as its author's `model.get_config()` was."""
    shape = SHAPE if ordering == "tf" else (3, 9, 8)
    first = {"batch_input_shape": [None, *shape], "input_dtype": "float32", "activation": "relu"}
    axis, order = (-1 if ordering == "tf" else 1), {"dim_ordering": ordering}
    decay = {"W_regularizer": {"l2": 0.25, "name": "L1L2Regularizer", "l1": 0.0}}
    return [
        layer("ZeroPadding2D", "zeropadding2d_1", padding=[1, 2], **order, **start),
        convolution("convolution2d_1", 3, 3, 3, border_mode="same", **order, **decay, **first),
        layer(
            *("BatchNormalization", "batchnormalization_1"),
            **{"axis": axis, "mode": 0, "momentum": 0.99, "epsilon": 0.001},
            **{"gamma_init": "one", "beta_init": "zero"},
            **{"gamma_regularizer": None, "beta_regularizer": None},
        ),
        layer(
            *("MaxPooling2D", "maxpooling2d_1"),
            **{"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", **order},
        ),
        convolution("convolution2d_2", 5, 2, 3, subsample=[2, 1], init="uniform", **order),
        layer("Dropout", "dropout_1", p=0.25),
        layer("Flatten", "flatten_1"),
        layer("Dense", "dense_1", output_dim=4, input_dim=None, **of_weights(activation="softmax")),
    ]


def twin() -> Any:
    """Return the same network in today's words, with its channels last."""
    return minicnn.Sequential(
        [
            *(Input(SHAPE), layers.ZeroPadding2D((1, 2))),
            layers.Conv2D(3, 3, padding="same", activation="relu"),
            *(layers.BatchNormalization(), layers.MaxPooling2D()),
            layers.Conv2D(5, (2, 3), strides=(2, 1)),
            *(layers.Dropout(0.25), layers.Flatten(), layers.Dense(4, activation="softmax")),
        ]
    )


def written(path: Path, config: Any, weights: dict[str, list[Array]], **attributes: str) -> Path:
    """Write a whole model as `model.save` of Keras 1.2 did."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs.update(attributes)
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            inside = group.create_group(name)
            names = [f"{name}_{letter}:0" for letter in "Wbms"[: len(arrays)]]
            inside.attrs["weight_names"] = [n.encode() for n in names]
            for one, array in zip(names, arrays, strict=True):
                inside[one] = array
    return path


def shaken(model: Any) -> Any:
    rng = np.random.default_rng(5)
    model.set_weights([rng.uniform(0.01, 0.2, w.shape).astype("f") for w in model.get_weights()])
    return model


def weights_of(model: Any, names: list[str], theano: bool = False) -> dict[str, list[Array]]:
    found = {}
    for name, one in zip(names, model.layers, strict=True):
        arrays = one.get_weights()
        if theano and arrays and arrays[0].ndim == 4:
            arrays[0] = arrays[0].transpose(3, 2, 0, 1)
        found[name] = arrays
    return found


def photos() -> Array:
    return np.random.default_rng(1).standard_normal((2, *SHAPE)).astype("f")


def test_a_chain_of_keras_1_opens(tmp_path: Path) -> None:
    model = shaken(twin())
    described = chain(batch_input_shape=[None, *SHAPE], input_dtype="float32")
    names = [one["config"]["name"] for one in described]
    config = {"class_name": "Sequential", "config": described}
    path = written(tmp_path / "m.h5", config, weights_of(model, names))
    found = models.load_model(path)
    np.testing.assert_array_equal(found.predict(photos()), model.predict(photos()))
    assert [one.name for one in found.layers] == names
    conv = found.get_layer("convolution2d_1")
    assert isinstance(conv, layers.Conv2D)
    assert conv.kernel_regularizer.get_config() == {"l1": 0.0, "l2": 0.25}
    assert found.get_layer("dropout_1").rate == 0.25
    found.save(tmp_path / "again.keras")
    again = models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again.predict(photos()), model.predict(photos()))


def test_theano_s_order_of_axes(tmp_path: Path) -> None:
    """(channels, rows, columns), and kernels (filters, channels, rows, columns): 3x3x3x3, too."""
    model = shaken(twin())
    described = chain("th", batch_input_shape=[None, 3, 9, 8], input_dtype="float32")
    names = [one["config"]["name"] for one in described]
    weights = weights_of(model, names, theano=True)
    last = weights["dense_1"][0]  # of numbers that Keras 1 flattened with the channels first
    rows, columns = model.layers[-3].output.shape[1:3]
    order = np.arange(rows * columns * 5).reshape(rows, columns, 5).transpose(2, 0, 1).ravel()
    weights["dense_1"][0] = last[order]
    config = {"class_name": "Sequential", "config": described}
    found = models.load_model(written(tmp_path / "m.h5", config, weights))
    assert found.input_shape == (None, 3, 9, 8)
    x = photos()
    y = found.predict(np.moveaxis(x, -1, 1))
    np.testing.assert_allclose(y, model.predict(x), rtol=1e-4)
    assert y.min() > 0.05


def test_a_graph_of_keras_1_opens(tmp_path: Path) -> None:
    """Lines, and a Merge, as Keras 1 called what adds, multiplies and concatenates."""

    def line(name: str, before: str, length: int) -> dict[str, Any]:
        window = {"nb_filter": 4, "filter_length": length, "border_mode": "same"}
        more = {
            "subsample_length": 1,
            "input_dim": 3,
            "input_length": None,
            "input_dtype": "float32",
        }
        shape = {"batch_input_shape": [None, None, 3]}
        made = layer("Convolution1D", name, **of_weights(**window, **more, **shape))
        return {**made, "name": name, "inbound_nodes": [[[before, 0, 0]]]}

    def merge(name: str, mode: str, *before: str) -> dict[str, Any]:
        functions = {"mode_type": "raw", "output_shape": None, "output_shape_type": "raw"}
        made = layer("Merge", name, mode=mode, concat_axis=-1, dot_axes=-1, **functions)
        return {**made, "name": name, "inbound_nodes": [[[one, 0, 0] for one in before]]}

    pool = layer("MaxPooling1D", "p", pool_length=2, stride=2, border_mode="valid")
    config = {
        "name": "model_1",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {
                    "batch_input_shape": [None, 8, 3],
                    "input_dtype": "float32",
                    "sparse": False,
                    "name": "input_1",
                },
                "inbound_nodes": [],
                "name": "input_1",
            },
            *(line("a", "input_1", 3), line("b", "input_1", 5)),
            *(merge("s", "sum", "a", "b"), merge("c", "concat", "s", "a")),
            {**pool, "name": "p", "inbound_nodes": [[["c", 0, 0]]]},
        ],
        "input_layers": [["input_1", 0, 0]],
        "output_layers": [["p", 0, 0]],
    }
    inputs = Input((8, 3))
    a, b = (layers.Conv1D(4, size, padding="same")(inputs) for size in (3, 5))
    model = minicnn.Model(
        inputs, layers.MaxPooling1D()(layers.Concatenate()([layers.Add()([a, b]), a]))
    )
    shaken(model)
    (ka, ba), (kb, bb) = (model.layers[k].get_weights() for k in (1, 2))
    old = {"a": [ka[:, None], ba], "b": [kb.transpose(2, 1, 0)[..., None], bb]}  # of 1.2, of 1.1
    found = models.load_model(
        written(tmp_path / "m.h5", {"class_name": "Model", "config": config}, old)
    )
    x = np.random.default_rng(0).standard_normal((2, 8, 3)).astype("f")
    np.testing.assert_array_equal(found.predict(x), model.predict(x))
    text = json.dumps({"class_name": "Model", "config": config, "keras_version": "1.2.2"})
    model = models.model_from_json(text)
    assert model.output_shape == (None, 4, 8)


def deconvolution(ordering: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return an encoder and a decoder, whose last layer makes maps of this size."""
    order = {"dim_ordering": ordering}
    maps = [None, *size, 4] if ordering == "tf" else [None, 4, *size]
    start = [None, *SHAPE] if ordering == "tf" else [None, 3, 9, 8]
    first = {"batch_input_shape": start, "input_dtype": "float32"}
    window = {"nb_filter": 4, "nb_row": 3, "nb_col": 2, "border_mode": "valid"}
    more = {"subsample": [2, 2], "output_shape": maps, **order}
    last = layer("Deconvolution2D", "deconvolution2d_1", **of_weights(**window, **more))
    described = [convolution("convolution2d_1", 5, 2, 2, **order, **first), last]
    return {"class_name": "Sequential", "config": described}


@pytest.mark.parametrize("ordering", ["tf", "th"])
def test_a_deconvolution_of_keras_1_opens(ordering: str, tmp_path: Path) -> None:
    """Its kernel has channels before filters, where Keras 2's has filters before channels."""
    model = minicnn.Sequential(
        [Input(SHAPE), layers.Conv2D(5, 2), layers.Conv2DTranspose(4, (3, 2), strides=2)]
    )
    weights = weights_of(shaken(model), ["convolution2d_1", "deconvolution2d_1"])
    kernel = weights["deconvolution2d_1"][0]
    weights["deconvolution2d_1"][0] = kernel.transpose(
        (0, 1, 3, 2) if ordering == "tf" else (2, 3, 0, 1)
    )
    if ordering == "th":
        first = weights["convolution2d_1"][0]
        weights["convolution2d_1"][0] = first.transpose(3, 2, 0, 1)
    config = deconvolution(ordering, model.output_shape[1:3])
    found = models.load_model(written(tmp_path / "m.h5", config, weights))
    x = photos()
    given = x if ordering == "tf" else np.moveaxis(x, -1, 1)
    y = found.predict(given)
    np.testing.assert_allclose(
        y if ordering == "tf" else np.moveaxis(y, 1, -1), model.predict(x), rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"makes maps of 17x14\. The file's output_shape="):
        models.load_model(written(tmp_path / "m.h5", deconvolution(ordering, (18, 14)), weights))


@pytest.mark.keras
@pytest.mark.parametrize("ordering", ["tf", "th"])
def test_keras_2_turns_the_kernel_likewise(ordering: str) -> None:
    found = pytest.importorskip("tf_keras.src.saving.legacy.hdf5_format")
    tf_keras = pytest.importorskip("tf_keras")
    channels = "channels_last" if ordering == "tf" else "channels_first"
    layer = tf_keras.layers.Conv2DTranspose(4, (3, 2), data_format=channels)
    layer.build((None, 8, 8, 5) if ordering == "tf" else (None, 5, 8, 8))
    shape = (3, 2, 5, 4) if ordering == "tf" else (4, 5, 3, 2)
    kernel = np.random.default_rng(0).standard_normal(shape)
    (theirs,) = found.preprocess_weights_for_loading(layer, [kernel], "1", "tensorflow")
    own, turned = keras_1.kernel_reader(shape, (3, 2, 4, 5), ordering == "th", transposed=True)
    assert own == shape
    np.testing.assert_array_equal(turned(kernel), theirs)


@pytest.mark.parametrize("version", ["1.2.2", "2.15.0", "3.15.1"])
def test_a_hard_sigmoid_is_computed_as_then(version: str, tmp_path: Path) -> None:
    """Keras 3 has another slope, so that the same name means another function."""
    dense = layer("Dense", "d", units=1, activation="hard_sigmoid", batch_input_shape=[None, 1])
    after = layer("Activation", "a", activation="hard_sigmoid")
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [dense, after]}}
    path = written(tmp_path / "m.h5", config, {"d": [np.ones((1, 1), "f"), np.zeros(1, "f")]})
    with h5py.File(path, "a") as file:
        file.attrs["keras_version"] = version.encode()
    x = np.array([[-9.0], [-2.75], [-1.0], [0.0], [2.0], [2.75], [9.0]], "f")

    def then(z: Array) -> Array:
        return np.clip(0.2 * z + 0.5 if version < "3" else z / 6 + 0.5, 0, 1)

    model = models.load_model(path)
    np.testing.assert_allclose(model.predict(x), then(then(x)), atol=1e-6)
    for name in ("again.keras", "again.h5"):
        model.save(tmp_path / name)
        again = models.load_model(tmp_path / name)
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
    text = json.dumps({**config, "keras_version": version})
    described = models.model_from_json(text)
    described.set_weights(model.get_weights())
    np.testing.assert_array_equal(described.predict(x), model.predict(x))
    slope = "hard_sigmoid(slope=0.2)" if version < "3" else "hard_sigmoid"
    assert [one.activation_name for one in model.layers] == [slope, slope]


@pytest.mark.keras
def test_keras_2_has_this_hard_sigmoid() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    x = np.linspace(-4, 4, 33, dtype="f")
    theirs = np.asarray(tf_keras.layers.Activation("hard_sigmoid")(x))
    np.testing.assert_allclose(minicnn.functional.hard_sigmoid(x, slope=0.2), theirs, atol=1e-7)


RENAMED: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        layer("AtrousConvolution2D", "a", nb_filter=2, nb_row=3, nb_col=1, atrous_rate=[2, 2]),
        "Conv2D",
        {"filters": 2, "kernel_size": [3, 1], "dilation_rate": [2, 2]},
    ),
    (
        layer("SeparableConvolution2D", "s", nb_filter=2, nb_row=3, nb_col=3, pointwise_init="one"),
        "SeparableConv2D",
        {"filters": 2, "kernel_size": [3, 3], "pointwise_initializer": "ones"},
    ),
    (
        layer(
            "Deconvolution2D", "d", nb_filter=2, nb_row=3, nb_col=1, output_shape=[None, 4, 4, 2]
        ),
        "Conv2DTranspose",
        {"filters": 2, "kernel_size": [3, 1]},
    ),
    (layer("UpSampling1D", "u", length=3), "UpSampling1D", {"size": 3}),
    (layer("GaussianNoise", "n", sigma=0.5), "GaussianNoise", {"stddev": 0.5}),
    (layer("PReLU", "p", init="zero", weights=None), "PReLU", {"alpha_initializer": "zeros"}),
    (
        layer("ZeroPadding2D", "z", padding=[1, 2, 3, 4]),
        "ZeroPadding2D",
        {"padding": [[1, 2], [3, 4]]},
    ),
    (
        layer("ZeroPadding1D", "z", padding={"left_pad": 1, "right_pad": 2}),
        "ZeroPadding1D",
        {"padding": [1, 2]},
    ),
    (
        layer("Dense", "d", output_dim=2, W_constraint={"name": "MaxNorm", "m": 2, "axis": 0}),
        "Dense",
        {
            "units": 2,
            "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
        },
    ),
    (layer("Merge", "m", mode="concat", concat_axis=1), "Concatenate", {"axis": 1}),
]


@pytest.mark.parametrize(("data", "kind", "config"), RENAMED, ids=[k for _, k, _ in RENAMED])
def test_what_keras_1_called_otherwise(
    data: dict[str, Any], kind: str, config: dict[str, Any]
) -> None:
    found = keras_1.renamed(data)
    assert found["class_name"] == kind
    assert found["config"] == {"name": data["config"]["name"], "trainable": True, **config}


@pytest.mark.parametrize(
    "data",
    [
        layer("Embedding", "e", output_dim=3, init="uniform"),
        layer("Merge", "m", mode="dot"),
        layer("MaxoutDense", "m", output_dim=3),
        {"class_name": "Sequential", "config": []},
    ],
)
def test_what_minicnn_lacks_keeps_its_name(data: dict[str, Any]) -> None:
    assert keras_1.renamed(data) is data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": 2}, "mode=2, which minicnn does not support"),
        ({"axis": 2}, "axis=-1"),
    ],
)
def test_what_changes_the_output_is_refused(change: dict[str, Any], message: str) -> None:
    described = chain(batch_input_shape=[None, *SHAPE])
    described[2]["config"].update(change)
    with pytest.raises(ValueError, match=message):
        models.model_from_json(json.dumps({"class_name": "Sequential", "config": described}))


def test_a_kernel_of_keras_2_is_not_turned(tmp_path: Path) -> None:
    model = shaken(twin())
    described = chain(batch_input_shape=[None, *SHAPE])
    names = [one["config"]["name"] for one in described]
    weights = weights_of(model, names, theano=True)
    config = {"class_name": "Sequential", "config": described}
    path = written(tmp_path / "m.h5", config, weights, keras_version="2.1.6")
    with pytest.raises(ValueError, match=r"kernel has shape \(2, 3, 3, 5\)"):
        models.load_model(path)
