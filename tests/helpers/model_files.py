"""Small models, their files, and files changed by hand."""

import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from minicnn import Input, Model, Sequential, layers, models

Array = np.ndarray


def chain() -> Model:
    return Sequential(
        [
            Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", kernel_initializer="he_normal"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 2, use_bias=False),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.25, seed=3),
            layers.Dense(3, "softmax"),
        ]
    )


def branched() -> Model:
    inputs = Input((8, 8, 3), name="photo")
    x = layers.SeparableConv2D(4, 3, padding="same")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    y = layers.Conv2D(4, 1)(layers.ReLU(6)(y))
    z = layers.Concatenate()([layers.Add()([x, y]), layers.ZeroPadding2D(0)(x)])
    return Model(inputs, layers.Dense(2)(layers.Flatten()(layers.AveragePooling2D(4)(z))))


def nested() -> Model:
    base = Sequential([Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()])
    base.trainable = False
    inputs = Input((8, 8, 3))
    x = layers.GlobalMaxPooling2D()(base(layers.Rescaling(1 / 255)(inputs), training=False))
    return Model(inputs, layers.Dense(3, name="head")(x))


MODELS = [chain, branched, nested]


def photos() -> Array:
    return np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)


def shaken(model: Model, seed: int = 5) -> Model:
    """Give the model weights that no initializer gives, and return it."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.uniform(0.2, 1, w.shape).astype(np.float32) for w in model.get_weights()]
    )
    return model


def assert_same_weights(a: Model, b: Any) -> None:
    expected = b.get_weights() if hasattr(b, "get_weights") else b
    assert len(a.weights) == len(expected) > 0
    for found, wanted in zip(a.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def archive(path: Path, **changed: Any) -> Path:
    """Return a good `.keras` file with these members changed (None leaves one out)."""
    good = path.parent / "good.keras"
    shaken(Sequential([Input((3,)), layers.Dense(2)])).save(good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = changed.get(name.replace(".", "_"), source.read(name))
            if callable(content):
                content = json.dumps(content(json.loads(source.read(name))))
            if content is not None:
                target.writestr(name, content)
    return path


def with_layer(**change: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return config.json with the Dense layer's entry changed."""

    def edit(config: dict[str, Any]) -> dict[str, Any]:
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Dense":
                layer.update({k: v for k, v in change.items() if k != "config"})
                layer["config"].update(change.get("config", {}))
        return config

    return edit


def python_lambda(config: dict[str, Any]) -> dict[str, Any]:
    code = {"class_name": "__lambda__", "config": {"value": "import os; os.system('touch owned')"}}
    return with_layer(class_name="Lambda", config={"function": code})(config)


def edited(tmp_path: Path, edit: Callable[[h5py.File], Any]) -> tuple[Model, Path]:
    path = tmp_path / "m.weights.h5"
    model = shaken(Sequential([Input((3,)), layers.Dense(2)]))
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return model, path


def rewritten(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Return the archive with one JSON member replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = json.dumps(change(json.loads(members[name]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


LARGE, SLACK = 400 * 2**20, 200 * 2**20  # bytes: files below ask for LARGE and may take SLACK


def opened_apart(
    how: str, folder: Path, model: Path | None = None, seconds: float = 60
) -> list[dict[str, Any]]:
    """Open each file of a folder in another process and return what came of it: see `strangers`."""
    script = Path(__file__).with_name("strangers.py")
    done = subprocess.run(
        [sys.executable, script, how, folder, *([model] if model else [])],
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in told] == sorted(path.name for path in folder.iterdir())
    return told


def zeros_deflated(size: int, wbits: int) -> bytes:
    """Return `size` zero bytes as zlib packs them, in a thousandth of the space."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    piece = bytes(2**20)
    return b"".join(packer.compress(piece) for _ in range(size // len(piece))) + packer.flush()


def small_model(size: int = 3) -> Model:
    return Sequential([Input((size,)), layers.Dense(size, name="dense")])


def packed(path: Path, **changed: bytes) -> None:
    """Write a small model's `.keras` file, deflated, with these members replaced."""
    source = path.parent.parent / "small.keras"
    model = small_model(256)
    model.compile("adam", "binary_crossentropy")
    model.save(source)
    with (
        zipfile.ZipFile(source) as good,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in good.namelist():
            target.writestr(name, changed.get(name.replace(".", "_"), good.read(name)))


def hdf5_bytes(edit: Callable[[h5py.File], Any]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        edit(file)
    return buffer.getvalue()


def old_file(path: Path) -> Path:
    """Write a whole model in the old layout, with its strings in a heap, as h5py writes them."""
    model = shaken(small_model())
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model.serialize())
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["dense"]
        group.create_group("dense").attrs["weight_names"] = ["kernel", "bias"]
        group["dense/kernel"], group["dense/bias"] = model.get_weights()
    assert_same_weights(models.load_model(path), model)
    return path
