"""Known networks have Keras's names and numbers, and their helpers refuse wrong input."""

import hashlib
import importlib
import json
import math
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from downloads import Server, files
from keras_networks import few_blocks, without_values
from sessions import clear_session

import minicnn
from minicnn import Input, Model, applications, layers, utils
from minicnn.applications import (
    MobileNet,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    ResNet50V2,
    Xception,
    convnext,
    densenet,
    efficientnet,
    efficientnet_v2,
    imagenet,
    inception_resnet_v2,
    inception_v3,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    resnet,
    resnet50,
    resnet_v2,
    transfer,
    vgg16,
    vgg19,
    xception,
)
from minicnn.layers.weights import weight_budget

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


# keras.io/api/applications has the sizes with the classifier.
SIZES: dict[str, tuple[int, int, int]] = {  # with it, without it, maps of the last block
    "VGG16": (138_357_544, 14_714_688, 512),
    "VGG19": (143_667_240, 20_024_384, 512),
    "ResNet50": (25_636_712, 23_587_712, 2048),
    "ResNet101": (44_707_176, 42_658_176, 2048),
    "ResNet152": (60_419_944, 58_370_944, 2048),
    "ResNet50V2": (25_613_800, 23_564_800, 2048),
    "ResNet101V2": (44_675_560, 42_626_560, 2048),
    "ResNet152V2": (60_380_648, 58_331_648, 2048),
    "MobileNetV2": (3_538_984, 2_257_984, 1280),
    "DenseNet121": (8_062_504, 7_037_504, 1024),
    "DenseNet169": (14_307_880, 12_642_880, 1664),
    "DenseNet201": (20_242_984, 18_321_984, 1920),
    "InceptionV3": (23_851_784, 21_802_784, 2048),
    "MobileNetV3Small": (2_554_968, 939_120, 576),
    "MobileNetV3Large": (5_507_432, 2_996_352, 960),
    "EfficientNetB0": (5_330_571, 4_049_571, 1280),
    "EfficientNetB1": (7_856_239, 6_575_239, 1280),
    "EfficientNetB2": (9_177_569, 7_768_569, 1408),
    "EfficientNetB3": (12_320_535, 10_783_535, 1536),
    "EfficientNetB4": (19_466_823, 17_673_823, 1792),
    "EfficientNetB5": (30_562_527, 28_513_527, 2048),
    "EfficientNetB6": (43_265_143, 40_960_143, 2304),
    "EfficientNetB7": (66_658_687, 64_097_687, 2560),
    "EfficientNetV2B0": (7_200_312, 5_919_312, 1280),
    "EfficientNetV2B1": (8_212_124, 6_931_124, 1280),
    "EfficientNetV2B2": (10_178_374, 8_769_374, 1408),
    "EfficientNetV2B3": (14_467_622, 12_930_622, 1536),
    "EfficientNetV2S": (21_612_360, 20_331_360, 1280),
    "EfficientNetV2M": (54_431_388, 53_150_388, 1280),
    "EfficientNetV2L": (119_027_848, 117_746_848, 1280),
    "ConvNeXtTiny": (28_589_128, 27_820_128, 768),
    "ConvNeXtSmall": (50_223_688, 49_454_688, 768),
    "ConvNeXtBase": (88_591_464, 87_566_464, 1024),
    "ConvNeXtLarge": (197_767_336, 196_230_336, 1536),
    "ConvNeXtXLarge": (350_196_968, 348_147_968, 2048),
    "InceptionResNetV2": (55_873_736, 54_336_736, 1536),
    "NASNetMobile": (5_326_716, 4_269_716, 1056),
    "NASNetLarge": (88_949_818, 84_916_818, 4032),
}
SMALL = (
    *("ResNet50V2", "MobileNetV2", "DenseNet121", "MobileNetV3Small"),
    *("EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny", "NASNetMobile"),
)


@pytest.mark.parametrize(
    "name",
    [name if name in SMALL else pytest.param(name, marks=pytest.mark.slow) for name in SIZES],
)
def test_a_network_has_its_published_size(name: str) -> None:
    whole, bare, maps = SIZES[name]
    build = getattr(applications, name)
    with weight_budget(math.inf):  # no initial values
        model = build(weights=None)
        base = build(weights=None, include_top=False)
        pooled = build(weights=None, include_top=False, pooling="max", input_shape=(96, 96, 3))
    assert model.count_params() == whole
    assert base.count_params() == bare
    fixed = {"NASNetMobile": (7, 7), "NASNetLarge": (11, 11)}.get(name, (None, None))
    assert base.output_shape == (None, *fixed, maps)
    assert pooled.output_shape == (None, maps)
    assert name in (build.__name__, repr(build))
    assert f"The {name} network" in str(build.__doc__)


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


AVERAGE = {"pooling": "avg"}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "Xception": ("Xception", {"input_shape": (75, 71, 3), "include_top": False}),
    "Xception with its top": ("Xception", {"input_shape": (71, 71, 3), "classes": 7}),
    "MobileNet": ("MobileNet", {"input_shape": (40, 64, 3), "include_top": False}),
    "MobileNet with its top": ("MobileNet", {"input_shape": (64, 64, 3), "alpha": 0.5}),
    "VGG16": ("VGG16", {"input_shape": (32, 40, 3), "include_top": False}),
    "VGG16 with its top": ("VGG16", {"input_shape": (32, 32, 3), "classes": 7}),
    "VGG19": ("VGG19", {"input_shape": (40, 32, 3), "include_top": False, "pooling": "max"}),
    "ResNet50": ("ResNet50", {"input_shape": (33, 40, 3), "include_top": False}),
    "ResNet101": ("ResNet101", {"input_shape": (32, 32, 3), "classes": 7}),
    "ResNet152": ("ResNet152", {"input_shape": (40, 33, 3), "include_top": False, **AVERAGE}),
    "ResNet50V2": ("ResNet50V2", {"input_shape": (40, 33, 3), "include_top": False}),
    "ResNet101V2": ("ResNet101V2", {"input_shape": (32, 32, 3), "classes": 7}),
    "ResNet152V2": ("ResNet152V2", {"input_shape": (40, 33, 3), "include_top": False, **AVERAGE}),
    "MobileNetV2": ("MobileNetV2", {"input_shape": (40, 65, 3), "include_top": False}),
    "narrow MobileNetV2": ("MobileNetV2", {"input_shape": (96, 96, 3), "alpha": 0.35}),
    "wide MobileNetV2": ("MobileNetV2", {"input_shape": (33, 32, 3), "alpha": 1.3, "classes": 7}),
    "DenseNet121": ("DenseNet121", {"input_shape": (33, 40, 3), "include_top": False}),
    "DenseNet169": ("DenseNet169", {"input_shape": (32, 32, 3), "include_top": False, **AVERAGE}),
    "DenseNet201": ("DenseNet201", {"input_shape": (40, 32, 3), "classes": 7}),
    "MobileNetV3Small": ("MobileNetV3Small", {"input_shape": (40, 65, 3), "include_top": False}),
    "narrow MobileNetV3Small": ("MobileNetV3Small", {"input_shape": (64, 48, 3), "alpha": 0.75}),
    "wide MobileNetV3Large": (
        "MobileNetV3Large",
        {"input_shape": (33, 32, 3), "alpha": 1.25, "classes": 7, "include_preprocessing": False},
    ),
    "minimalistic MobileNetV3Large": (
        "MobileNetV3Large",
        {"input_shape": (32, 47, 3), "minimalistic": True, "include_top": False, **AVERAGE},
    ),
    "EfficientNetB0": ("EfficientNetB0", {"input_shape": (33, 40, 3), "include_top": False}),
    "EfficientNetB3": ("EfficientNetB3", {"input_shape": (32, 32, 3), "classes": 7}),
    "EfficientNetB7": (
        "EfficientNetB7",
        {"input_shape": (32, 35, 3), "include_top": False, **AVERAGE},
    ),
    "EfficientNetV2B0": ("EfficientNetV2B0", {"input_shape": (40, 33, 3), "include_top": False}),
    "EfficientNetV2B3 with its top": (
        "EfficientNetV2B3",
        {"input_shape": (32, 32, 3), "classes": 7},
    ),
    "EfficientNetV2S": (
        "EfficientNetV2S",
        {"input_shape": (32, 40, 3), "include_top": False, "pooling": "max"},
    ),
    "EfficientNetV2B1 without scaling": (
        "EfficientNetV2B1",
        {"input_shape": (32, 32, 3), "include_top": False, "include_preprocessing": False},
    ),
    "ConvNeXtTiny": ("ConvNeXtTiny", {"input_shape": (33, 40, 3), "include_top": False}),
    "ConvNeXtTiny with its top": (
        "ConvNeXtTiny",
        {"input_shape": (32, 32, 3), "classes": 7, "name": "mine"},
    ),
    "ConvNeXtSmall without scaling": (
        "ConvNeXtSmall",
        {
            "input_shape": (32, 35, 3),
            "include_top": False,
            "include_preprocessing": False,
            **AVERAGE,
        },
    ),
    "InceptionResNetV2": ("InceptionResNetV2", {"input_shape": (75, 92, 3), "include_top": False}),
    "InceptionResNetV2 with its top": (
        "InceptionResNetV2",
        {"input_shape": (76, 75, 3), "classes": 7},
    ),
    "NASNetMobile": ("NASNetMobile", {"input_shape": (40, 33, 3), "include_top": False}),
    "NASNetMobile with its top": ("NASNetMobile", {"input_shape": (64, 64, 3), "classes": 7}),
    "NASNetLarge": ("NASNetLarge", {"input_shape": (32, 47, 3), "include_top": False, **AVERAGE}),
    "InceptionV3": ("InceptionV3", {"input_shape": (75, 92, 3), "include_top": False}),
    "InceptionV3 with its top": ("InceptionV3", {"input_shape": (76, 75, 3), "classes": 7}),
}


# Rounding grows through so many layers, so that float32 predictions say little of these.
DEEP = ("EfficientNetB5", "EfficientNetV2M", "EfficientNetV2L", "ConvNeXtBase")
# The smallest of a family says as much; `-m large` runs these, too.
LARGE = (
    *("ConvNeXtSmall", "DenseNet169", "DenseNet201", "EfficientNetB3", "EfficientNetB7"),
    *("EfficientNetV2B1", "EfficientNetV2S", "NASNetLarge", "ResNet101", "ResNet101V2"),
    *("ResNet152", "ResNet152V2", "VGG19", "ConvNeXtTiny with", "InceptionResNetV2 with"),
    *("InceptionV3 with", "NASNetMobile with", "EfficientNetV2B3 with", "Xception with"),
)


def marked(names: Iterable[str]) -> list[Any]:
    """Return the names as parameters; those of large networks are marked."""
    marks = [pytest.mark.slow, pytest.mark.large]
    return [
        pytest.param(name, marks=marks) if name.startswith((*LARGE, *DEEP)) else name
        for name in names
    ]


@pytest.fixture(params=marked(NETWORKS))
def keras_network(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], Any, Array, Array]:
    """Return a network's name, its arguments, Keras's network, x, and its prediction for x."""
    keras = pytest.importorskip("keras")
    clear_session(keras)
    name, arguments = NETWORKS[request.param]
    theirs = shaken(getattr(keras.applications, name)(weights=None, **arguments))
    x = np.random.default_rng(1).uniform(-1, 1, (2, *arguments["input_shape"])).astype(np.float32)
    return name, arguments, theirs, x, np.asarray(theirs(x, training=False))


def plain_config(layer: Any) -> dict[str, Any]:
    """Return what a layer computes, in the same words for both libraries."""
    if "keras.src.ops" in type(layer).__module__ or layer.name.startswith(("add", "multiply")):
        return {"name": layer.name}  # what an operator made: here a Rescaling, or a layer as well
    config = json.loads(json.dumps(layer.get_config(), default=str))
    ndim = len(layer.output.shape)
    if "axis" in config:
        config["axis"] = np.mod(config["axis"], ndim).ravel().tolist()
    keys = """
        name units filters kernel_size strides padding dilation_rate groups use_bias activation
        pool_size axis momentum epsilon center scale max_value rate depth_multiplier keepdims
        offset mean variance noise_shape target_shape
    """
    return {key: config[key] for key in keys.split() if key in config}


def assert_same_layers(ours: Any, theirs: Any) -> None:
    assert ours.name == theirs.name
    assert [layer.name for layer in ours.layers] == [each.name for each in theirs.operations]
    assert [plain_config(layer) for layer in ours.layers] == [
        plain_config(each) for each in theirs.operations
    ]


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("name", marked(DEEP))
def test_deep_networks_have_keras_s_layers(name: str) -> None:
    keras = pytest.importorskip("keras")
    clear_session(keras)
    with without_values():
        theirs = getattr(keras.applications, name)(weights=None)
    with weight_budget(math.inf):  # no initial values
        ours = getattr(applications, name)(weights=None)
    assert_same_layers(ours, theirs)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]


@pytest.mark.slow
@pytest.mark.keras
def test_keras_s_weights_give_keras_s_numbers(
    keras_network: tuple[str, dict[str, Any], Any, Array, Array],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    name, arguments, theirs, x, wanted = keras_network
    assert np.ptp(wanted) > 0.1 * np.abs(wanted).max()
    weights, path = tmp_path / "x.weights.h5", tmp_path / "x.h5"
    theirs.save_weights(weights)
    theirs.save(path)
    ours = getattr(applications, name)(weights=weights, **arguments)
    assert_same_layers(ours, theirs)
    nearly = {"rtol": 0, "atol": 1e-4 * np.abs(wanted).max()}
    np.testing.assert_allclose(ours.predict(x, verbose=0), wanted, **nearly)
    zeros = [np.zeros_like(w) for w in ours.get_weights()]
    ours.set_weights(zeros)
    ours.load_weights(path)
    np.testing.assert_allclose(ours.predict(x, verbose=0), wanted, **nearly)
    # By name, the weights also load into a network with another end. Which layer has which name was
    # compared above for each network, so one of them shows it.
    if request.node.callspec.id == "MobileNetV2":
        tail = Model(ours.inputs, layers.Flatten(name="tail")(ours.layers[-3].output))
        read = tail.get_weights()
        ours.set_weights(zeros)
        tail.load_weights(path, by_name=True)
        for found, expected in zip(tail.get_weights(), read, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny"])
def test_keras_opens_a_network_that_is_built_here(name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    ours = getattr(applications, name)(weights=None, input_shape=(32, 40, 3), classes=7)
    ours.save(tmp_path / "model.keras")
    theirs = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(1).uniform(0, 255, (2, 32, 40, 3)).astype(np.float32)
    wanted = np.asarray(theirs(x, training=False))
    np.testing.assert_allclose(ours.predict(x, verbose=0), wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("size", [150, 299])
def test_xception_at_usual_sizes(size: int, tmp_path: Path) -> None:
    """One file of weights serves Xception with and without its top; each predicts one photo."""
    keras = pytest.importorskip("keras")
    clear_session(keras)
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
def test_what_is_downloaded_is_checked(
    include_top: bool, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet, "WEIGHTS_STORE", server.url("whole").rstrip("/"))
    for build, folder in ((Xception, "xception"), (ResNet50V2, "resnet")):
        with pytest.raises(ValueError, match=r"checksum is not [0-9a-f]{32}"):
            build(include_top=include_top)
        ending = "" if include_top else "_notop"
        name = f"{build.__name__.lower()}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
        assert server.asked[-1] == f"whole/{folder}/{name}"
    assert files(tmp_path) == []


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("name", marked(["Xception", "MobileNet", *SIZES]))
@pytest.mark.parametrize("include_top", [True, False])
def test_weights_are_where_keras_finds_them(
    name: str, include_top: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address and checksum are Keras's."""
    keras = pytest.importorskip("keras")
    from keras.src.utils import file_utils

    class Asked(Exception):  # noqa: N818 - it says what was asked for
        pass

    def ours(_: Any, url: str, md5: str | None, **more: Any) -> None:
        raise Asked(url, md5)

    def theirs(_: str, url: str, cache_subdir: str, file_hash: str | None = None) -> None:
        raise Asked(url, file_hash)

    monkeypatch.setattr(imagenet, "get_file", ours)
    monkeypatch.setattr(file_utils, "get_file", theirs)
    few_blocks(monkeypatch)
    found = []
    no_values = without_values(), weight_budget(math.inf)
    for library, without in zip((keras.applications, applications), no_values, strict=True):
        small = {} if include_top else {"input_shape": (96, 96, 3)}
        with pytest.raises(Asked) as asked, without:
            getattr(library, name)(include_top=include_top, **small)
        found.append(asked.value.args)
    assert found[0] == found[1]


def test_mobilenet_v2_s_weights_depend_on_the_size(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = MobileNetV2(weights=None, alpha=0.35, include_top=False)
    source.save_weights(tmp_path / "w.weights.h5")
    server.content = (tmp_path / "w.weights.h5").read_bytes()
    monkeypatch.setattr(imagenet, "WEIGHTS_STORE", server.url("whole").rstrip("/"))
    file = "whole/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_{}_no_top.h5"
    model = MobileNetV2(alpha=0.35, include_top=False, input_shape=(96, 96, 3))
    assert server.asked[-1] == file.format(96)
    assert model.name == "mobilenetv2_0.35_96"
    with pytest.warns(
        UserWarning, match="96, 128, 160, 192 and 224 pixels.*uses the weights of 224"
    ) as caught:
        MobileNetV2(alpha=0.35, include_top=False, input_shape=(100, 96, 3))
    assert caught[0].filename == __file__  # it points at the line of whoever asked
    assert server.asked[-1] == file.format(224)
    with pytest.raises(ValueError, match=r"alpha among 0.35, .*Received alpha=0.4"):
        MobileNetV2(alpha=0.4)


def test_mobilenet_v3_says_for_which_sizes_its_weights_are(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = {"minimalistic": True, "include_top": False}
    source = MobileNetV3Small(weights=None, **small)
    source.save_weights(tmp_path / "w.weights.h5")
    server.content = (tmp_path / "w.weights.h5").read_bytes()
    monkeypatch.setattr(imagenet, "WEIGHTS_STORE", server.url("whole").rstrip("/"))
    known = "small_minimalistic_224_1.0"
    checksums = {**mobilenet_v3.CHECKSUMS, known: (None, None)}
    monkeypatch.setattr(mobilenet_v3, "CHECKSUMS", checksums)
    model = MobileNetV3Small(**small)  # any size: nothing to warn of
    np.testing.assert_array_equal(model.get_weights()[0], source.get_weights()[0])
    with pytest.warns(UserWarning, match=r"trained at 224 pixels; for input_shape=\(96, 64, 3\)"):
        MobileNetV3Small(input_shape=(96, 64, 3), **small)
    file = "whole/mobilenet_v3/weights_mobilenet_v3_small_minimalistic_224_1.0_float_no_top_v2.h5"
    assert server.asked == [file]
    with pytest.raises(ValueError, match=r"alpha 0.75 and 1, .*alpha=0.75, minimalistic=True"):
        MobileNetV3Large(alpha=0.75, minimalistic=True)
    with pytest.raises(ValueError, match="each size of input_shape"):
        MobileNetV3Large(weights=None, input_shape=(31, 64, 3))
    with pytest.raises(ValueError, match="rate"):
        MobileNetV3Large(weights=None, dropout_rate=-0.5)


@pytest.mark.parametrize("name", ["NASNetMobile", "NASNetLarge"])
def test_nasnet_needs_a_fixed_size(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"{name} expects images of a fixed size.*\(None, 64, 3\)"
    ):
        getattr(applications, name)(weights=None, include_top=False, input_shape=(None, 64, 3))
    with pytest.raises(ValueError, match=r"fixed size.*\(None, None, 3\)"):
        getattr(applications, name)(weights=None, input_tensor=Input((None, None, 3)))


# -- preprocess_input and decode_predictions -------------------------------------------------------


SIGNED = (
    *(xception, mobilenet, mobilenet_v2, resnet_v2, inception_v3),
    *(inception_resnet_v2, nasnet),
)
SCALING = (mobilenet_v3, efficientnet, efficientnet_v2, convnext)


@pytest.mark.parametrize("module", SIGNED)
def test_preprocess_input_leaves_its_argument_alone(module: Any) -> None:
    x = np.array([[[0.0, 127.5, 255.0]]], np.float32)
    y = module.preprocess_input(x)
    np.testing.assert_array_equal(y, np.float32([[[-1, 0, 1]]]))
    np.testing.assert_array_equal(x, np.float32([[[0, 127.5, 255]]]))
    assert module.preprocess_input(x.astype(np.uint8)).dtype == np.float32
    assert module.preprocess_input(x.astype(np.float64)).dtype == np.float64
    assert module.preprocess_input(x[None]).shape == (1, 1, 1, 3)


@pytest.mark.parametrize("module", SCALING)
def test_networks_that_scale_pixels_themselves_take_them_as_they_are(module: Any) -> None:
    x = np.array([[[0, 128, 255]]], np.uint8)
    assert module.preprocess_input(x) is x
    with pytest.raises(ValueError, match="channels_last"):
        module.preprocess_input(x, "channels_first")


def test_preprocess_input_of_older_networks() -> None:
    x = np.array([[[255, 0, 127.5]]], np.float32)
    for module in (vgg16, vgg19, resnet, resnet50):  # BGR, less the mean
        y = module.preprocess_input(x)
        np.testing.assert_allclose(y, [[[23.561, -116.779, 131.32]]], rtol=1e-6)
        with pytest.raises(ValueError, match="RGB into BGR, which no layer does"):
            module.preprocess_input(Input((4, 4, 3)))
    y = densenet.preprocess_input(x)
    expected = [[[(1 - 0.485) / 0.229, -0.456 / 0.224, (0.5 - 0.406) / 0.225]]]
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    inputs = Input((1, 1, 3))
    model = Model(inputs, densenet.preprocess_input(inputs))
    np.testing.assert_allclose(model.predict(x[None], verbose=0)[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(x, np.float32([[[255, 0, 127.5]]]))


@pytest.mark.keras
@pytest.mark.parametrize("module", [*SIGNED, *SCALING, vgg16, vgg19, resnet, resnet50, densenet])
def test_preprocess_input_equals_keras_s_to_the_bit(module: Any) -> None:
    keras = pytest.importorskip("keras")
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 16, 3)).astype(np.float32)
    theirs = getattr(keras.applications, module.__name__.split(".")[-1])
    np.testing.assert_array_equal(module.preprocess_input(x), theirs.preprocess_input(x.copy()))


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
        (lambda: vgg16.preprocess_input(np.zeros((2, 2, 1))), ValueError, "height, width, 3"),
        (lambda: densenet.preprocess_input(np.zeros((2, 3))), ValueError, "an image"),
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
    ({"include_top": False, "input_shape": 150}, r"\(height, width, channels\). Received 150"),
    ({"include_top": False, "input_shape": (20, 150, 3)}, "each size of input_shape"),
    ({"include_top": False, "input_shape": (150, 150, 1)}, "expects 3 channels"),
    ({"include_top": False, "weights": None, "input_shape": (150, 150, 0)}, "channels of"),
    ({"weights": None, "input_shape": (None, None, 3)}, "expects a fixed size"),
    ({"weights": None, "include_top": False, "pooling": "sum"}, '"avg" or "max"'),
    ({"classifier_activation": "relu"}, '"softmax" or None'),
    ({"weights": None, "classifier_activation": "swoosh"}, "activation to be one of"),
]


@pytest.mark.parametrize("network", [MobileNet, MobileNetV2, MobileNetV3Small])
@pytest.mark.parametrize("alpha", [0, -1.0, "wide", None, float("nan")])
def test_a_width_must_be_a_number_above_zero(network: Callable[..., Model], alpha: Any) -> None:
    with pytest.raises(ValueError, match=r"alpha to be a number above 0\. Received"):
        network(weights=None, alpha=alpha)


@pytest.mark.parametrize(
    "name",
    ["Xception", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "EfficientNetB0"],
)
def test_an_input_tensor_and_another_input_shape_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"its own, \(64, 64, 3\)\. Received input_shape=\(96, 64, 3\)"
    ):
        getattr(applications, name)(
            weights=None,
            include_top=False,
            input_tensor=Input((64, 64, 3)),
            input_shape=(96, 64, 3),
        )


def test_an_input_tensor_beside_its_own_shape_is_taken() -> None:
    inputs = Input((64, 64, 3))
    for shape in ((64, 64, 3), (None, None, 3), None):
        model = MobileNetV2(
            weights=None, include_top=False, input_tensor=inputs, input_shape=shape, alpha=0.35
        )
        assert model.input_shape == (None, 64, 64, 3)


def test_an_input_tensor_must_be_a_symbol() -> None:
    with pytest.raises(TypeError, match=r"input_tensor to be a symbol, .*Received ndarray"):
        MobileNetV2(weights=None, include_top=False, input_tensor=np.zeros((1, 32, 32, 3)))


@pytest.mark.parametrize("network", [Xception, MobileNet, MobileNetV2, ResNet50V2])
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


def test_a_base_of_transfer_learning_gets_the_pixels_that_it_expects() -> None:
    for name, build in transfer.NETWORKS.items():
        module = importlib.import_module(build.__module__)
        scales_itself = module.preprocess_input is imagenet.unchanged
        assert transfer.input_range_of(name) == ("pixels" if scales_itself else "signed")
    assert transfer.input_range_of("base.keras") == "signed"


def test_networks_are_found_where_keras_has_them() -> None:
    assert minicnn.applications.xception.Xception is minicnn.applications.Xception
    assert minicnn.applications.mobilenet.MobileNet is minicnn.applications.MobileNet
    assert resnet50.ResNet50 is resnet.ResNet50 is applications.ResNet50
    for name in SIZES:
        build = getattr(applications, name)
        module = importlib.import_module(build.__module__)
        assert getattr(module, name) is build
        assert pickle.loads(pickle.dumps(build)) is build
