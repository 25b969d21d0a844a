"""Huge numbers and deep or long models are refused in a sentence, or take proportionate work."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Model, Sequential, functional, layers, models, naive
from minicnn.shapes import LARGEST_STEP

X = np.ones((1, 4, 4, 1), "f")
W = np.ones((3, 3, 1, 1), "f")
HUGE = (LARGEST_STEP + 1, 2**31, 2**32, 2**63, 2**64, 10**5000)


# -- windows ---------------------------------------------------------------------------------------

WINDOWS: dict[str, Callable[[int], Any]] = {
    "kernel_size": lambda n: layers.Conv2D(1, n),
    "kernel_size, one of two": lambda n: layers.DepthwiseConv2D((1, n)),
    "kernel_size, transposed": lambda n: layers.Conv2DTranspose(1, n),
    "kernel_size of a line": lambda n: layers.Conv1D(1, n),
    "strides, transposed": lambda n: layers.Conv2DTranspose(1, 3, (1, n)),
    "pool_size": lambda n: layers.MaxPooling2D(n, strides=1, padding="same"),
    "strides": lambda n: layers.DepthwiseConv2D(3, strides=n),
    "strides of a pooling": lambda n: layers.AveragePooling2D(2, strides=(n, 1)),
    "dilation_rate": lambda n: layers.SeparableConv2D(1, 3, dilation_rate=n),
    "padding": lambda n: layers.ZeroPadding2D(((0, n), (0, 0))),
    "size of a line": lambda n: layers.UpSampling1D(n),
    "size": lambda n: layers.UpSampling2D((1, n)),
    "cropping": lambda n: layers.Cropping2D(((0, n), (0, 0))),
    "output_size": lambda n: layers.AdaptiveAveragePooling2D((n, 2)),
    "output_size of a line": lambda n: layers.AdaptiveAveragePooling1D(n),
    "height": lambda n: layers.Resizing(n, 2),
    "width": lambda n: layers.CenterCrop(2, n),
    "width of a random part": lambda n: layers.RandomCrop(2, n),
    "size of a function": lambda n: functional.resize(X, (n, 2)),
    "strides of a function": lambda n: functional.conv2d(X, W, strides=n),
    "dilation_rate of a function": lambda n: functional.depthwise_conv2d(X, W, dilation_rate=n),
    "pool_size of a function": lambda n: functional.max_pool2d(X, n, padding="same"),
    "padding of a function": lambda n: functional.zero_padding2d(X, ((n, 0), (0, 0))),
    "strides of a plain loop": lambda n: naive.conv2d(X, W, strides=(n, n)),
    "target_size": lambda n: minicnn.utils.load_img("none.png", target_size=(n, 8)),
}
SIZES: dict[str, Callable[[int], Any]] = {
    "filters": lambda n: layers.Conv2D(n, 1),
    "units": lambda n: layers.Dense(n),
    "n": lambda n: layers.RepeatVector(n),
    "depth_multiplier": lambda n: layers.DepthwiseConv2D(1, depth_multiplier=n),
    "groups": lambda n: layers.Conv2D(1, 1, groups=n),
    "shape": lambda n: Input((n, 1, 1)),
    "target_shape": lambda n: layers.Reshape((n, -1)),
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("n", HUGE, ids=lambda n: f"{n.bit_length()} bits")
def test_a_window_with_a_huge_number_is_refused(name: str, n: int) -> None:
    with pytest.raises(ValueError, match=f"(at most|from 1 to) {LARGEST_STEP}"):
        WINDOWS[name](n)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("n", [2**31, 2**64, 10**5000], ids=lambda n: f"{n.bit_length()} bits")
def test_a_huge_size_is_refused(name: str, n: int) -> None:
    with pytest.raises(ValueError, match=r"from 1 to 2147483647\. Received"):
        SIZES[name](n)
    with pytest.raises(ValueError, match=r">= 1\. Received"):
        SIZES[name](-n)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.MaxPooling2D(LARGEST_STEP, strides=1, padding="same"),
        lambda: layers.AveragePooling2D((2**12, 2**13), padding="same"),
        lambda: layers.Conv2D(1, 3, dilation_rate=LARGEST_STEP, padding="same"),
        lambda: layers.DepthwiseConv2D(2, dilation_rate=2**13, padding="same"),
    ],
)
def test_an_oversized_window_is_refused_before_memory_is_allocated(layer: Any) -> None:
    message = 'too large for an input of 4x4 pixels with padding "same"'
    with pytest.raises(ValueError, match=message):
        layer()(X)
    with pytest.raises(ValueError, match=message):
        layer()(Input((4, 4, 1)))


def test_the_largest_window_that_is_accepted_gives_right_results() -> None:
    """Every window sees all pixels, and one step already leaves the input."""
    x = np.arange(16, dtype="f").reshape(1, 4, 4, 1)
    for size in (LARGEST_STEP, 8):
        pooled = layers.MaxPooling2D((size, 8), strides=(LARGEST_STEP, 4), padding="same")
        y, cache = pooled.forward(x)
        assert y.ravel().tolist() == [15]
        assert pooled.backward(np.ones_like(y), cache)[0].sum() == 1
    conv = layers.DepthwiseConv2D(1, strides=LARGEST_STEP, depthwise_initializer="ones")
    y, cache = conv.forward(x)
    assert y.ravel().tolist() == [0]
    dx, grads = conv.backward(np.ones_like(y), cache)
    assert dx.ravel().tolist() == [1] + [0] * 15
    assert grads["kernel"].ravel().tolist() == [0]


def test_the_error_about_a_weight_or_output_too_large_for_memory_names_its_layer() -> None:
    wide = Input((2**31 - 1, 2**31 - 1, 1))
    with pytest.raises(ValueError, match='Dense "wide"\'s kernel would have the shape'):
        layers.Dense(2, name="wide")(layers.Flatten()(wide))
    with pytest.raises(MemoryError, match=r'ZeroPadding2D "z" needs more memory .*smaller batch'):
        layers.ZeroPadding2D(LARGEST_STEP, name="z")(X)
    with pytest.raises(MemoryError, match='Conv2DTranspose "t" needs more memory than there is'):
        layers.Conv2DTranspose(1, 1, LARGEST_STEP, name="t")(X)
    with pytest.raises(MemoryError, match='UpSampling2D "u" needs more memory than there is'):
        layers.UpSampling2D(LARGEST_STEP, name="u")(X)


# -- long models -----------------------------------------------------------------------------------


def calls(work: Callable[[], Any]) -> int:
    """Return how many Python functions the work calls."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def long_chain(count: int, kind: str) -> Any:
    stack = [layers.Activation("relu", name=f"a{i}") for i in range(count)]
    chain = Sequential([Input((2,)), *stack, layers.Dense(1)])
    return chain if kind == "Sequential" else Model(chain.inputs, chain.outputs)


def backwards(model: Any) -> Any:
    config = model.get_config()
    return config | {"layers": config["layers"][::-1]}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["listed backwards", "Functional", "Sequential", "old Sequential"])
def test_a_model_of_twice_the_layers_takes_twice_the_work(case: str, tmp_path: Path) -> None:
    found = []
    for count in (1, 50, 100, 200):  # the first run does all imports
        model = long_chain(count, case.split()[-1])
        if case == "listed backwards":
            model = long_chain(count, "Functional")
            config = backwards(model)
            found.append(calls(lambda config=config: Model.from_config(config)))
            again = Model.from_config(config)
            assert [layer.name for layer in again.layers] == [x.name for x in model.layers]
            continue
        path = tmp_path / f"{count}{'.h5' if case.startswith('old') else '.keras'}"
        saving = calls(lambda model=model, path=path: model.save(path))
        found.append(saving + calls(lambda path=path: models.load_model(path)))
    _, *found = found
    assert found[2] - found[1] < 2.2 * (found[1] - found[0])


def test_layers_that_wait_for_each_other_are_refused_in_a_sentence() -> None:
    config = backwards(long_chain(3, "Functional"))
    nodes = [layer["inbound_nodes"] for layer in config["layers"]]
    nodes[2][0]["args"][0]["config"]["keras_history"] = ["a2", 0, 0]  # a1 takes what a2 makes
    with pytest.raises(ValueError, match="wait for each other"):
        Model.from_config(config)
    config = backwards(long_chain(3, "Functional"))
    config["layers"].append(config["layers"][1])
    with pytest.raises(ValueError, match="several layers with the name"):
        Model.from_config(config)


# -- deep models -----------------------------------------------------------------------------------


def deep(count: int, kind: str) -> dict[str, Any]:
    """Return the description of models nested this deep."""
    inner: dict[str, Any] = {
        "class_name": "Sequential",
        "config": {"name": "m0", "layers": [{"class_name": "ReLU", "config": {"name": "r"}}]},
    }
    for i in range(1, count):
        config: dict[str, Any] = {"name": f"m{i}", "layers": [inner | {"name": "x"}]}
        inner = {"class_name": kind, "config": config}
    return inner


@pytest.mark.parametrize("kind", ["Sequential", "Functional"])
def test_the_depth_of_nested_models_is_limited_when_they_are_read(kind: str) -> None:
    for count in (51, 300, 3000):
        with pytest.raises(ValueError, match="nested more than 50 deep"):
            layers.deserialize(deep(count, kind))
    assert layers.deserialize(deep(50, "Sequential")).nesting == 50


def test_the_depth_of_nested_models_is_limited_when_they_are_made(tmp_path: Path) -> None:
    chain = Sequential([Input((2,)), layers.Dense(2)])
    for _ in range(49):
        chain = Sequential([chain])
    x = np.ones((1, 2), "f")
    chain.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(models.load_model(tmp_path / "m.keras").predict(x), chain(x))
    with pytest.raises(ValueError, match="nests models more than 50 deep"):
        Sequential([chain])
    with pytest.raises(ValueError, match="nests models more than 50 deep"):
        Model(inputs := Input((2,)), chain(inputs))


@pytest.mark.parametrize("count", [51, 300, 2000])
def test_a_file_of_deeply_nested_models_is_refused_in_a_sentence(
    count: int, tmp_path: Path
) -> None:
    import json
    import zipfile

    path = tmp_path / "m.keras"
    long_chain(1, "Sequential").save(path)
    text = '{"class_name": "Sequential", "config": {"name": "m", "layers": [' * count
    text += json.dumps(deep(1, "Sequential")) + "]}}" * count
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, text if name == "config.json" else content)
    with pytest.raises(ValueError, match="50 deep"):
        models.load_model(path)
