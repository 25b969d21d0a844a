"""Known networks have Keras's names and numbers, and their helpers refuse wrong input."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from downloads import Server, files

import minicnn
from minicnn import Input, Model, applications, layers, utils
from minicnn.applications import MobileNet, Xception, imagenet, mobilenet, xception

Array = np.ndarray


@pytest.fixture(autouse=True)
def _start_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils.clear_session()
    utils.set_random_seed(0)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))


# -- the networks ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_xception_has_the_paper_s_size() -> None:
    model = Xception(weights=None)
    assert model.count_params() == 22_910_480  # keras.io/api/applications: 22.9M
    assert model.input_shape == (None, 299, 299, 3)
    assert model.output_shape == (None, 1000)
    bare = Xception(weights=None, include_top=False)
    assert bare.count_params() == 20_861_480
    assert bare.output_shape == (None, None, None, 2048)
    pooled = Xception(weights=None, include_top=False, pooling="avg", input_shape=(150, 150, 3))
    assert pooled.output_shape == (None, 2048)
    assert bare.get_layer("block13_sepconv2").output.shape[-1] == 1024


def test_mobilenet_has_the_paper_s_size() -> None:
    model = MobileNet(weights=None)
    assert model.count_params() == 4_253_864  # keras.io/api/applications: 4.3M
    assert (model.name, model.output_shape) == ("mobilenet_1.00_224", (None, 1000))
    half = MobileNet(weights=None, alpha=0.5, include_top=False, pooling="max")
    assert half.output_shape == (None, 512)
    assert half.count_params() == 829_536


def test_a_network_may_start_from_your_own_input() -> None:
    inputs = Input((71, 80, 3), name="photo")
    model = Xception(weights=None, include_top=False, input_tensor=inputs)
    assert model.inputs[0] is inputs
    assert model.output_shape == (None, 3, 3, 2048)


def shaken(model: Any) -> Any:
    """Give the model weights that are all different and keep the signal alive through 70 layers."""
    rng = np.random.default_rng(7)
    values = []
    for variable in model.weights:
        name, shape = variable.path.split("/")[-1], tuple(variable.shape)
        if name in ("gamma", "moving_variance"):
            value = rng.uniform(0.7, 1.3, shape)
        elif name in ("beta", "moving_mean", "bias"):
            value = rng.normal(0, 0.1, shape)
        else:
            value = np.asarray(variable.numpy()) * rng.uniform(0.9, 1.1, shape)
        values.append(value.astype(np.float32))
    model.set_weights(values)
    return model


NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "Xception": ("Xception", {"input_shape": (75, 71, 3), "include_top": False}),
    "Xception with its top": ("Xception", {"input_shape": (71, 71, 3), "classes": 7}),
    "MobileNet": ("MobileNet", {"input_shape": (40, 64, 3), "include_top": False}),
    "MobileNet with its top": ("MobileNet", {"input_shape": (64, 64, 3), "alpha": 0.5}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def keras_network(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], Any, Array, Array]:
    """Return a network's name, its arguments, Keras's network, x, and its prediction for x."""
    keras = pytest.importorskip("keras")
    keras.utils.clear_session()
    name, arguments = NETWORKS[request.param]
    theirs = shaken(getattr(keras.applications, name)(weights=None, **arguments))
    x = np.random.default_rng(1).uniform(-1, 1, (2, *arguments["input_shape"])).astype(np.float32)
    return name, arguments, theirs, x, np.asarray(theirs(x, training=False))


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_keras_s_weights_give_keras_s_numbers(
    keras_network: tuple[str, dict[str, Any], Any, Array, Array], suffix: str, tmp_path: Path
) -> None:
    name, arguments, theirs, x, wanted = keras_network
    path = tmp_path / f"x{suffix}"
    (theirs.save_weights if suffix == ".weights.h5" else theirs.save)(path)
    ours = getattr(applications, name)(weights=path, **arguments)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.name == theirs.name
    np.testing.assert_allclose(
        ours.predict(x, verbose=0), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max()
    )
    assert np.ptp(wanted) > 0.1 * np.abs(wanted).max()
    # By name, the weights also load into a network with another end.
    other = getattr(applications, name)(weights=None, **arguments)
    tail = Model(other.inputs, layers.Flatten(name="tail")(other.layers[-3].output))
    tail.load_weights(path, by_name=True)
    first = next(layer for layer in tail.layers if layer.weights)
    np.testing.assert_array_equal(
        first.get_weights()[0], ours.get_layer(first.name).get_weights()[0]
    )


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("size", [150, 299])
def test_xception_at_usual_sizes(size: int, tmp_path: Path) -> None:
    """One file of weights serves Xception with and without its top; each predicts one photo."""
    keras = pytest.importorskip("keras")
    keras.utils.clear_session()
    shape, path = (size, size, 3), tmp_path / "x.weights.h5"
    theirs = shaken(keras.applications.Xception(weights=None, input_shape=shape, classes=5))
    theirs.save_weights(path)
    x = np.random.default_rng(1).uniform(-1, 1, (1, *shape)).astype(np.float32)
    bare = keras.Model(theirs.input, theirs.get_layer("block14_sepconv2_act").output)
    features = np.asarray(bare(x, training=False))
    top = keras.Model(bare.output, theirs.output)
    whole = applications.Xception(weights=path, input_shape=shape, classes=5)
    base = applications.Xception(weights=None, include_top=False, input_shape=shape)
    base.load_weights(path)
    assert base.layers[-1].name == "block14_sepconv2_act"
    for model, wanted in ((base, features), (whole, np.asarray(top(features, training=False)))):
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
        assert np.ptp(wanted) > 0.1 * np.abs(wanted).max()


# -- weights from the internet ---------------------------------------------------------------------


@pytest.mark.slow
def test_imagenet_s_weights_are_downloaded_once(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = shaken(MobileNet(weights=None, alpha=0.25, include_top=False))
    source.save_weights(tmp_path / "w.weights.h5")
    content = (tmp_path / "w.weights.h5").read_bytes()
    server.content = content
    monkeypatch.setattr(imagenet, "WEIGHTS_STORE", server.url("whole").rstrip("/"))
    for _ in range(2):
        model = MobileNet(alpha=0.25, include_top=False, input_shape=(128, 128, 3))
        for found, wanted in zip(model.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert server.asked == ["whole/mobilenet/mobilenet_2_5_128_tf_no_top.h5"]
    with pytest.warns(UserWarning, match=r"uses the weights of 224"):
        MobileNet(alpha=0.25, include_top=False, input_shape=(100, 128, 3))
    assert server.asked[-1] == "whole/mobilenet/mobilenet_2_5_224_tf_no_top.h5"


@pytest.mark.parametrize("include_top", [True, False])
def test_xception_checks_what_it_downloads(
    include_top: bool,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = "_WITH_TOP" if include_top else "_WITHOUT_TOP"
    url, md5 = getattr(xception, kind)
    assert url.startswith("https://storage.googleapis.com/tensorflow/keras-applications/xception/")
    assert len(md5) == len(hashlib.md5().hexdigest())
    monkeypatch.setattr(xception, kind, (server.url("whole/x.h5"), md5))
    with pytest.raises(ValueError, match=f"checksum is not {md5}"):
        Xception(include_top=include_top)
    assert files(tmp_path) == []


# -- preprocess_input and decode_predictions -------------------------------------------------------


@pytest.mark.parametrize("module", [xception, mobilenet])
def test_preprocess_input_leaves_its_argument_alone(module: Any) -> None:
    x = np.array([[[0.0, 127.5, 255.0]]], np.float32)
    y = module.preprocess_input(x)
    np.testing.assert_array_equal(y, np.float32([[[-1, 0, 1]]]))
    np.testing.assert_array_equal(x, np.float32([[[0, 127.5, 255]]]))
    assert module.preprocess_input(x.astype(np.uint8)).dtype == np.float32
    assert module.preprocess_input(x.astype(np.float64)).dtype == np.float64
    assert module.preprocess_input(x[None]).shape == (1, 1, 1, 3)


@pytest.mark.keras
def test_preprocess_input_equals_keras_s_to_the_bit() -> None:
    keras = pytest.importorskip("keras")
    x = np.arange(256, dtype=np.float32).reshape(2, 8, 16, 1)
    theirs = keras.applications.xception.preprocess_input(x.copy())
    np.testing.assert_array_equal(xception.preprocess_input(x), theirs)


def test_preprocess_input_of_a_symbol_is_a_layer() -> None:
    inputs = Input((4, 4, 3))
    model = Model(inputs, xception.preprocess_input(inputs))
    x = np.full((1, 4, 4, 3), 255, np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: xception.preprocess_input(np.zeros((4, 3))), ValueError, "an image"),
        (lambda: xception.preprocess_input(np.array(["a"])), TypeError, "to be numbers"),
        (
            lambda: xception.preprocess_input(np.zeros((2, 2, 3)), "channels_first"),
            ValueError,
            "channels_last",
        ),
        (lambda: xception.decode_predictions(np.zeros(1000)), ValueError, r"\(batch, 1000\)"),
        (lambda: xception.decode_predictions(np.zeros((1, 10))), ValueError, "1000 classes"),
        (lambda: xception.decode_predictions(np.zeros((1, 1000)), top=0), ValueError, "top"),
    ],
)
def test_helpers_say_what_they_expect(use: Callable[[], Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        use()


def test_predictions_get_their_names(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = {str(i): [f"n{i:08d}", f"thing {i}"] for i in range(1000)}
    content = json.dumps(index).encode()
    server.content = content
    entry = ("index.json", server.url("whole/index.json"), hashlib.md5(content).hexdigest())
    monkeypatch.setattr(imagenet, "CLASS_INDEX", entry)
    scores = np.zeros((2, 1000), np.float32)
    scores[0, [5, 7]] = 0.25, 0.75
    scores[1, 999] = 1
    found = xception.decode_predictions(scores, top=2)
    assert found[0] == [("n00000007", "thing 7", 0.75), ("n00000005", "thing 5", 0.25)]
    assert found[1][0] == ("n00000999", "thing 999", 1.0)
    assert [len(row) for row in found] == [2, 2]


# -- wrong arguments -------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"weights": "no/such/file.h5"}, "weights to be None .*Received 'no/such/file.h5'"),
    ({"weights": 3}, "weights to be None"),
    ({"classes": 10}, "1000 classes. Received classes=10"),
    ({"input_shape": (150, 150, 3)}, r"expects input_shape=\(\d+, \d+, 3\)"),
    ({"include_top": False, "input_shape": (150, 150)}, r"\(height, width, channels\)"),
    ({"include_top": False, "input_shape": (20, 150, 3)}, "each size of input_shape"),
    ({"include_top": False, "input_shape": (150, 150, 1)}, "expects 3 channels"),
    ({"include_top": False, "weights": None, "input_shape": (150, 150, 0)}, "channels of"),
    ({"weights": None, "input_shape": (None, None, 3)}, "expects a fixed size"),
    ({"weights": None, "include_top": False, "pooling": "sum"}, '"avg" or "max"'),
    ({"classifier_activation": "relu"}, '"softmax" or None'),
    ({"weights": None, "classifier_activation": "swoosh"}, "activation to be one of"),
]


@pytest.mark.parametrize("network", [Xception, MobileNet])
@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_bad_or_conflicting_arguments_are_refused(
    network: Callable[..., Model], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        network(**arguments)


def test_mobilenet_knows_which_weights_there_are() -> None:
    with pytest.raises(ValueError, match=r"alpha among 0.25, 0.5, 0.75, 1.0.*alpha=0.3"):
        MobileNet(alpha=0.3, include_top=False)
    with pytest.raises(ValueError, match=r"depth_multiplier=2"):
        MobileNet(depth_multiplier=2, include_top=False)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    MobileNet(weights=None, alpha=0.25, include_top=False).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="kernel has shape"):
        MobileNet(weights=tmp_path / "m.weights.h5", alpha=0.5, include_top=False)


def test_networks_are_found_where_keras_has_them() -> None:
    assert minicnn.applications.xception.Xception is minicnn.applications.Xception
    assert minicnn.applications.mobilenet.MobileNet is minicnn.applications.MobileNet
