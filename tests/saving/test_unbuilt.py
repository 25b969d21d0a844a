"""A Sequential read from a file without its input's shape gets its own weights, or is refused."""

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from minicnn import Input, Sequential, layers, models

Config = dict[str, Any]


def rewritten(path: Path, change: Callable[[Config], None]) -> Path:
    """Change the description of the model in a file."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config).encode()
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def without_shapes(config: Config) -> None:
    config.pop("build_config", None)
    config["config"].pop("build_input_shape", None)
    kept = [data for data in config["config"]["layers"] if data["class_name"] != "InputLayer"]
    config["config"]["layers"] = kept
    for data in kept:
        data.pop("build_config", None)
        if data["class_name"] == "Sequential":
            without_shapes(data)


def stored(model: Sequential, path: Path) -> Path:
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1, w.shape) for w in model.get_weights()])
    model.save(path)
    return rewritten(path, without_shapes)


TOLD_BY_A_KERNEL: dict[str, Callable[[], list[Any]]] = {
    "Dense": lambda: [Input((5,)), layers.ReLU(), layers.Dense(3), layers.Dense(2)],
    "Conv2D": lambda: [
        Input((6, 6, 4)),
        layers.Rescaling(0.5),
        layers.ZeroPadding2D(1),
        layers.UpSampling2D(),
        layers.MaxPooling2D(2, strides=1),
        layers.Conv2D(4, 3, groups=2),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    ],
    "Conv2DTranspose": lambda: [Input((6, 6, 4)), layers.Conv2DTranspose(3, 2, strides=2)],
    "Conv1D": lambda: [
        Input((6, 4)),
        layers.ZeroPadding1D(),
        layers.MaxPooling1D(),
        layers.Conv1D(6, 3, groups=2),
    ],
    "Conv1DTranspose": lambda: [Input((6, 4)), layers.Conv1DTranspose(3, 2, strides=2)],
    "DepthwiseConv2D": lambda: [Input((6, 6, 4)), layers.DepthwiseConv2D(3, depth_multiplier=2)],
    "SeparableConv2D": lambda: [Input((6, 6, 4)), layers.SeparableConv2D(3, 3)],
    "a chain in a chain": lambda: [
        Input((6, 6, 4)),
        Sequential([Input((6, 6, 4)), layers.Conv2D(3, 3)]),
        layers.Conv2D(2, 1),
    ],
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", TOLD_BY_A_KERNEL)
def test_the_first_kernel_tells_the_shape(name: str, suffix: str, tmp_path: Path) -> None:
    model = Sequential(TOLD_BY_A_KERNEL[name]())
    loaded = models.load_model(stored(model, tmp_path / f"m{suffix}"))
    x = np.random.default_rng(2).standard_normal((2, *model.input_shape[1:])).astype("f")
    np.testing.assert_allclose(loaded.predict(x), model.predict(x), rtol=1e-5, atol=1e-6)


def flat() -> Sequential:
    return Sequential([Input((4, 4, 2)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1)])


def test_keras_s_build_config_tells_the_shape(tmp_path: Path) -> None:
    model = flat()
    path = stored(model, tmp_path / "m.keras")
    rewritten(path, lambda c: c.update(build_config={"input_shape": [None, 4, 4, 2]}))
    x = np.ones((1, 4, 4, 2), "f")
    np.testing.assert_array_equal(models.load_model(path).predict(x), model.predict(x))


UNTOLD: dict[str, Callable[[], Sequential]] = {
    "flattened after": flat,
    "flattened before": lambda: Sequential(
        [Input((4, 4, 2)), layers.Flatten(), layers.Dense(1, name="last")]
    ),
    "reshaped before": lambda: Sequential(
        [Input((4, 4, 2)), layers.Reshape((2, 2, 8)), layers.Conv2D(1, 2)]
    ),
    "normalized before": lambda: Sequential(
        [Input((4, 2)), layers.BatchNormalization(), layers.Dense(1)]
    ),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", UNTOLD)
def test_weights_are_never_lost_in_silence(name: str, suffix: str, tmp_path: Path) -> None:
    model = UNTOLD[name]()
    path = stored(model, tmp_path / f"m{suffix}")
    with pytest.raises(ValueError, match="but not the shape of its input"):
        models.load_model(path)
    again = UNTOLD[name]()
    again.load_weights(path)  # as the error advises
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="has no weights yet"):
        Sequential([layers.Dense(1)]).load_weights(path)


@pytest.mark.keras
def test_a_chain_without_weights_has_none_to_lose(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Dense(2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns that there are no weights
        model.save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras")
    assert not loaded.built
    assert loaded.predict(np.ones((1, 3), "f")).shape == (1, 2)


def test_weights_that_no_layer_takes_are_warned_of(tmp_path: Path) -> None:
    base = [Input((3,)), layers.Dense(2)]
    inner = Sequential([Input((2,)), layers.Dense(2), layers.Dense(2)])
    Sequential([*base, inner, layers.Dense(1)]).save_weights(tmp_path / "m.weights.h5")
    smaller = Sequential([Input((3,)), layers.Dense(2), Sequential([Input((2,)), layers.Dense(2)])])
    with pytest.warns(UserWarning, match="no layer of .* uses: layers/dense_1, layers/sequential/"):
        smaller.load_weights(tmp_path / "m.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        smaller.save_weights(tmp_path / "s.weights.h5")
        smaller.load_weights(tmp_path / "s.weights.h5")
