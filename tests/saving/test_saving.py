"""Files: what is written is read, whole or not at all; a damaged one ends in a sentence."""

import errno
import io
import json
import os
import random
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import minicnn
from minicnn import Input, Model, Sequential, layers, models, utils
from minicnn._support.atomic import replacing
from minicnn.saving import hdf5, weights

Array = np.ndarray


@pytest.fixture(autouse=True)
def _start_anew() -> None:
    utils.clear_session()
    utils.set_random_seed(0)


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
every_model = pytest.mark.parametrize("make", MODELS)


def photos() -> Array:
    return np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)


def shaken(model: Model, seed: int = 5) -> Model:
    """The model with weights that no initializer gives."""
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


# -- there and back --------------------------------------------------------------------------------


@every_model
def test_weights_there_and_back(make: Callable[[], Model], tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model, other = shaken(make()), make()
    model.save_weights(path)
    other.load_weights(path)
    assert_same_weights(other, model)
    np.testing.assert_array_equal(
        other.predict(photos(), verbose=0), model.predict(photos(), verbose=0)
    )


@every_model
def test_a_whole_model_there_and_back(make: Callable[[], Model], tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model = shaken(make())
    model.compile(
        minicnn.optimizers.Adam(0.002, clipnorm=1.0),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.metadata = {"classes": ["hat", "shirt"], "image_size": [8, 8]}
    model.save(path)
    loaded = models.load_model(path)
    assert type(loaded) is type(model)
    assert_same_weights(loaded, model)
    assert loaded.metadata == model.metadata
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert [v.path for v in loaded.trainable_weights] == [v.path for v in model.trainable_weights]
    assert loaded.get_compile_config() == model.get_compile_config()
    np.testing.assert_array_equal(
        loaded.predict(photos(), verbose=0), model.predict(photos(), verbose=0)
    )
    # Saved again, the same model once more.
    again = tmp_path / "again.keras"
    loaded.save(again)
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(again) as b:
        assert json.loads(a.read("config.json")) == json.loads(b.read("config.json"))


@pytest.mark.keras
@every_model
@pytest.mark.parametrize("whole", [False, True], ids=["weights", "model"])
def test_keras_reads_ours_and_we_read_keras_s(
    make: Callable[[], Model], whole: bool, tmp_path: Path
) -> None:
    keras = pytest.importorskip("keras")
    ours = shaken(make())
    path, back = (
        tmp_path / f"{n}{'.keras' if whole else '.weights.h5'}" for n in ("there", "back")
    )
    config = tmp_path / "config.keras"
    ours.save(config)
    theirs = keras.saving.load_model(config)
    if whole:
        ours.save(path)
        theirs = keras.saving.load_model(path)
    else:
        theirs.set_weights([np.zeros_like(w) for w in theirs.get_weights()])
        ours.save_weights(path)
        theirs.load_weights(path)
    np.testing.assert_allclose(
        theirs.predict(photos(), verbose=0), ours.predict(photos(), verbose=0), rtol=1e-4, atol=1e-5
    )
    theirs.set_weights([w + 1 for w in theirs.get_weights()])
    if whole:
        theirs.save(back)
        ours = models.load_model(back)
    else:
        theirs.save_weights(back)
        ours.load_weights(back)
    assert_same_weights(ours, theirs)


def test_an_activation_taken_off_is_off_everywhere(tmp_path: Path) -> None:
    model = chain()
    x, y = np.random.default_rng(0).random((4, 8, 8, 3), np.float32), np.eye(3)[[0, 1, 2, 0]]
    model.compile("sgd", "categorical_crossentropy")
    p, loss = model.predict(x, verbose=0), model.evaluate(x, y, verbose=0)
    model.layers[-1].activation = None
    model.compile("sgd", minicnn.losses.CategoricalCrossentropy(from_logits=True))
    z = model.predict(x, verbose=0)
    np.testing.assert_allclose(minicnn.activations.softmax(z), p, rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), loss, rtol=1e-5)
    assert "softmax" not in str(model.trace(x, y).explain("dense", at=1))

    model.layers[0].activation = "tanh"  # which a pooling behind it cannot be folded over
    bounded = model.predict(x, verbose=0)
    np.testing.assert_allclose(bounded, model.run(x), rtol=1e-5, atol=1e-6)
    assert np.abs(bounded - z).max() > 1e-4
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), bounded)
    assert again.layers[-1].activation is minicnn.activations.linear
    assert again.layers[0].activation.__name__ == "tanh"


def test_weights_find_their_layer_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    a = Sequential([Input((3,)), layers.Dense(2, name="first"), layers.Dense(2, name="second")])
    b = Sequential([Input((3,)), layers.Dense(2, name="x"), layers.Dense(2, name="y")])
    shaken(a).save_weights(path)
    b.load_weights(path)
    assert_same_weights(b, a)


def test_the_file_is_laid_out_as_keras_s(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = shaken(nested())
    model.save_weights(path)
    found = []
    with h5py.File(path) as file:
        file.visititems(lambda n, o: found.append(n) if isinstance(o, h5py.Dataset) else None)
        kernel = file["layers/dense/vars/0"][()]
    inner = "layers/sequential/layers"
    assert sorted(found) == [
        "layers/dense/vars/0",
        "layers/dense/vars/1",
        *(f"{inner}/batch_normalization/vars/{i}" for i in range(4)),
        *(f"{inner}/conv2d/vars/{i}" for i in range(2)),
    ]
    np.testing.assert_array_equal(kernel, model.get_layer("head").get_weights()[0])


def test_a_double_model_stays_double(tmp_path: Path) -> None:
    model = Sequential([Input((3,), dtype="float64"), layers.Dense(2, dtype="float64")])
    shaken(model).save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras")
    assert {w.dtype.name for w in loaded.get_weights()} == {"float64"}


def test_training_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """With plain SGD, which remembers nothing, the loaded model takes the very same step."""
    model = shaken(chain())
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras")
    for m in (model, loaded):
        m.get_layer("dropout").rate = 0.0
        m.train_on_batch(photos(), np.array([0, 2]))
    assert_same_weights(loaded, model)


def test_plain_descent_counts_its_steps(tmp_path: Path) -> None:
    model = small_model()
    model.compile("sgd", minicnn.losses.BinaryCrossentropy(from_logits=True))
    for _ in range(3):
        model.train_on_batch(np.ones((1, 3)), np.ones((1, 3)))
    model.optimizer.learning_rate = 0.5
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    loaded = models.load_model(tmp_path / "m.keras")
    assert (loaded.optimizer.iterations, loaded.optimizer.learning_rate) == (3, 0.5)
    loaded.train_on_batch(np.ones((1, 3)), np.ones((1, 3)))
    loaded.load_weights(tmp_path / "m.weights.h5")
    assert loaded.optimizer.iterations == 3


def test_a_state_for_other_weights_is_left_out(tmp_path: Path) -> None:
    """As many arrays, of other shapes: another layer was trainable."""
    model = Sequential([Input((3,)), layers.Dense(2), layers.Dense(3)])
    model.layers[0].trainable = False
    model.compile("adam", minicnn.losses.BinaryCrossentropy(from_logits=True))
    model.train_on_batch(np.ones((1, 3)), np.ones((1, 3)))
    model.layers[0].trainable, model.layers[1].trainable = True, False
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        weights.write_weights(shaken(model), file)
        for i, shape in enumerate([(2, 3), (2, 3), (3,), (3,)]):
            del file[f"optimizer/vars/{i + 2}"]
            file[f"optimizer/vars/{i + 2}"] = np.ones(shape)
    other = Sequential.from_config(model.get_config())
    other.compile("adam", minicnn.losses.BinaryCrossentropy(from_logits=True))
    other.train_on_batch(np.ones((1, 3)), np.ones((1, 3)))
    with pytest.warns(
        UserWarning, match=r"m\.weights\.h5.* does not fit, so the optimizer starts anew"
    ):
        other.load_weights(tmp_path / "m.weights.h5")
    assert_same_weights(other, model)


# -- whole or not at all ---------------------------------------------------------------------------


def full_disk(*args: Any, **kwargs: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(*args: Any, **kwargs: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
@pytest.mark.parametrize("where", ["write", "sync", "replace"])
@pytest.mark.parametrize("accident", [full_disk, interrupt], ids=["full disk", "interrupt"])
def test_an_accident_leaves_the_old_file_and_nothing_else(
    name: str, where: str, accident: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    model = shaken(chain())

    def save() -> None:
        (model.save if name == "m.keras" else model.save_weights)(path)

    save()
    before = path.read_bytes()
    shaken(model, 6)
    target = {
        "write": "zipfile.ZipFile.writestr" if name == "m.keras" else "h5py.Group.create_group",
        "sync": "os.fsync",
        "replace": "pathlib.Path.replace",
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(target, accident)
        with pytest.raises((OSError, KeyboardInterrupt)):
            save()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]
    save()
    assert path.read_bytes() != before


SAVE_ON_A_FULL_DISK = """
import resource, sys
import numpy as np
from minicnn import Input, Sequential, layers, utils
path = sys.argv[1]
model = Sequential([Input((300,)), layers.Dense(300)])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    if path.endswith("png"):
        utils.save_img(path, np.random.default_rng(0).random((80, 80, 3)))
    else:
        (model.save if path.endswith("keras") else model.save_weights)(path)
except OSError as error:
    print(type(error).__name__, error.errno, error)
"""


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.png"])
@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk_is_told_in_one_sentence(name: str, old: bool, tmp_path: Path) -> None:
    """A limit on the size of files, in a process of its own, is met as a full disk is."""
    pytest.importorskip("resource")
    path = tmp_path / name
    if old:
        path.write_text("old")
    command = [sys.executable, "-c", SAVE_ON_A_FULL_DISK, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kept = " The old file is unchanged." if old else ""
    reason = f"OSError {errno.EFBIG} {str(path)!r} cannot be written: {os.strerror(errno.EFBIG)}."
    assert told == f"{reason}{kept}\n"
    assert [p.name for p in tmp_path.iterdir()] == ([name] if old else [])
    assert not old or path.read_text() == "old"


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be written: Permission den"),
        (PermissionError(errno.EACCES, "Permission denied", "photo.jpg"), "photo.jpg"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), "Connection reset"),
        (ValueError("no"), "no"),
    ],
)
def test_an_error_keeps_its_class_and_number(made: Exception, told: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("old")
    with pytest.raises(type(made), match=told) as caught, replacing(tmp_path / "m"):
        raise made
    assert type(caught.value) is type(made)
    assert getattr(caught.value, "errno", None) == getattr(made, "errno", None)
    assert ("cannot be written" in str(caught.value)) == ("cannot" in told)
    assert (tmp_path / "m").read_text() == "old"


def test_a_folder_or_a_device_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(IsADirectoryError, match=r"m\.keras' is a folder"):
        chain().save(tmp_path / "m.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe' is a folder or a device"):
        replacing(tmp_path / "pipe").__enter__()
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_a_link_stays_one_and_its_file_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, there = tmp_path / name, tmp_path / "disk" / name
    link.symlink_to(Path("disk") / name)
    model = shaken(small_model())
    for seed in (6, 7):  # the file is not there yet, and is
        shaken(model, seed)
        (model.save if name == "m.keras" else model.save_weights)(link)
        assert link.is_symlink()
        assert not there.is_symlink()
        assert [path.name for path in there.parent.iterdir()] == [name]
        other = small_model()
        other.load_weights(there)
        assert_same_weights(other, model)


def test_metadata_may_hold_numpy_s_numbers(tmp_path: Path) -> None:
    model = small_model()
    model.metadata = {"mean": np.float32(0.5), "size": np.int64(3), "all": np.arange(3)}
    model.save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras")
    assert loaded.metadata == {"mean": 0.5, "size": 3, "all": [0, 1, 2]}


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ({"x": object()}, TypeError, "JSON can hold. Received an object of type object"),
        ({"x": {1, 2}}, TypeError, "JSON can hold. Received an object of type set"),
        ({(1, 2): 3}, TypeError, "JSON can hold. Received keys must be"),
        ({"x": "a" * 3_000_000}, ValueError, "at most 2097152 characters.*Received 30000"),
    ],
)
def test_other_metadata_are_refused_before_anything_is_written(
    metadata: Any, error: Any, message: str, tmp_path: Path
) -> None:
    model = small_model()
    model.metadata = metadata
    with pytest.raises(error, match=f'Sequential "sequential" expects metadata .*{message}'):
        model.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "ours") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_does_not_fit_changes_no_weight(tmp_path: Path) -> None:
    """The last layer differs: the first ones stay as they were, too."""
    path = tmp_path / "m.weights.h5"
    shaken(Sequential([Input((3,)), layers.Dense(4), layers.Dense(2)])).save_weights(path)
    model = shaken(Sequential([Input((3,)), layers.Dense(4), layers.Dense(5)]), 8)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r'"dense_3"\'s kernel has shape \(4, 5\).*\(4, 2\)'):
        model.load_weights(path)
    assert_same_weights(model, before)
    with pytest.warns(UserWarning, match="Layers that keep their weights: dense_3"):
        model.load_weights(path, skip_mismatch=True)
    for a, b in zip(model.get_weights()[2:], before[2:], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_overwrite_false_keeps_what_is_there(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("mine")
    model = chain()
    with pytest.raises(FileExistsError, match="exists; overwrite=True replaces it"):
        (model.save if name == "m.keras" else model.save_weights)(path, overwrite=False)
    assert path.read_text() == "mine"


def test_keras_s_other_place_for_the_same_two_functions(tmp_path: Path) -> None:
    model = chain()
    minicnn.saving.save_model(model, tmp_path / "m.keras")
    again = minicnn.saving.load_model(tmp_path / "m.keras")
    for ours, read in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(read, ours)
    with pytest.raises(FileExistsError):
        minicnn.saving.save_model(model, tmp_path / "m.keras", overwrite=False)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m, p: m.save(p / "m.h6"), ValueError, r"ends in '\.keras'.*Received .*m\.h6"),
        (lambda m, p: m.save_weights(p / "m.keras"), ValueError, r"ends in '\.weights\.h5'"),
        (lambda m, p: m.save(p / "m\0.keras"), ValueError, r"cannot hold the character '\\0'"),
        (lambda m, p: m.load_weights(p / "n.h5"), FileNotFoundError, "No weights file at"),
        (lambda m, p: m.load_weights(p / "n.weights.h5"), FileNotFoundError, "No weights file at"),
        (lambda m, p: models.load_model(p / "no.keras"), FileNotFoundError, "No model file at"),
        (lambda m, p: models.load_model(p), FileNotFoundError, "No model file at"),
        (lambda m, p: m.save(p / "no" / "m.keras"), FileNotFoundError, "folder .*no.* make it"),
        (lambda m, p: Sequential([layers.Dense(2)]).save(p / "m.keras"), ValueError, "no weights"),
        (
            lambda m, p: Sequential([layers.Dense(2)]).save_weights(p / "m.weights.h5"),
            ValueError,
            "weights",
        ),
    ],
)
def test_a_bad_path_is_refused(use: Any, error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        use(chain(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.weights.h5"])
def test_no_pipe_no_device_and_no_endless_file_is_read(name: str, pipe: Path) -> None:
    path = pipe.with_name(name)
    read = chain().load_weights if "weights" in name else models.load_model
    for target, message in ((pipe, "is a pipe"), (Path("/dev/null"), "is a device")):
        path.symlink_to(target)
        with pytest.raises(OSError, match=f"{name}' {message}: a .* is read from a regular file"):
            read(path)
        path.unlink()
    with path.open("wb") as file:
        file.truncate(40 * 10**9)
    with pytest.raises(ValueError, match=f"{name}' has 40,000,000,000 bytes, more than the"):
        read(path)


# -- damaged and hostile files ---------------------------------------------------------------------


def archive(path: Path, **changed: Any) -> Path:
    """A good `.keras` file, with members changed (None: left out)."""
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
    """config.json with the Dense layer's entry changed."""

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


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no config": ({"config_json": None}, "not a complete .keras file"),
    "no weights": ({"model_weights_h5": None}, "not a complete .keras file"),
    "config is not a JSON": ({"config_json": b"{"}, "damaged config.json"),
    "config is a list": ({"config_json": b"[]"}, "not a JSON object"),
    "config nests deep": ({"config_json": b"[" * 100_000}, "config.json"),
    "config is empty": ({"config_json": b"{}"}, "class None, which minicnn does not have"),
    "config is of something else": ({"config_json": b'{"class_name": 3, "config": 4}'}, "class 3"),
    "weights are no HDF5": ({"model_weights_h5": b"\x89HDF nonsense"}, "no HDF5 file"),
    "weights are empty": ({"model_weights_h5": b""}, "no HDF5 file"),
    "a Lambda": ({"config_json": python_lambda}, "Lambda"),
    "an unknown layer": ({"config_json": with_layer(class_name="LSTM")}, "LSTM"),
    "a module as class": ({"config_json": with_layer(class_name="os.system")}, "os.system"),
    "a foreign module": ({"config_json": with_layer(module="os", class_name="system")}, "system"),
    "bad units": ({"config_json": with_layer(config={"units": -3})}, "units"),
    "units as text": ({"config_json": with_layer(config={"units": "many"})}, "units"),
    "other units than weights": ({"config_json": with_layer(config={"units": 9})}, r"\(3, 9\)"),
    "unknown activation": ({"config_json": with_layer(config={"activation": "evil"})}, "evil"),
    "layer config is a list": ({"config_json": with_layer(config={"name": ["a"]})}, "name"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_file_ends_in_a_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changes, message = BROKEN[case]
    path = archive(tmp_path / "bad.keras", **changes)
    with pytest.raises(ValueError, match=message):
        models.load_model(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_every_truncation_is_noticed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    model = shaken(chain())
    (model.save if name == "m.keras" else model.save_weights)(path)
    whole = path.read_bytes()
    before = model.get_weights()
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match=path.name):
            models.load_model(path) if name == "m.keras" else model.load_weights(path)
    assert_same_weights(model, before)


def edited(tmp_path: Path, edit: Callable[[h5py.File], Any]) -> tuple[Model, Path]:
    path = tmp_path / "m.weights.h5"
    model = shaken(Sequential([Input((3,)), layers.Dense(2)]))
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return model, path


def _external_link(file: h5py.File) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/hostname", "/")


def _soft_link(file: h5py.File) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense/vars/1")


def _external_data(file: h5py.File) -> None:
    del file["layers/dense/vars/1"]
    file.create_dataset(
        "layers/dense/vars/1", (2,), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
    )


def _virtual_data(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    del file["layers/dense/vars/1"]
    file.create_virtual_dataset("layers/dense/vars/1", layout)


def _stored(**how: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        file.create_dataset("layers/dense/vars/1", (2,), "f4", np.ones(2, np.float32), **how)

    return edit


def _replaced(value: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = value

    return edit


def _without(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]

    return edit


def _group_for_array(file: h5py.File) -> None:
    del file["layers/dense/vars/1"]
    file.create_group("layers/dense/vars/1")


HOSTILE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a link to another file": (_external_link, "link at '0', which is refused"),
    "a link within the file": (_soft_link, "link at '0', which is refused"),
    "data in another file": (_external_data, "points into other files, which is refused"),
    "data put together from other files": (_virtual_data, "points into other files"),
    "data in pieces": (_stored(chunks=(1,)), r"in pieces or compressed.*h5repack"),
    "compressed data": (_stored(compression="gzip"), r"in pieces or compressed.*h5repack"),
    "text": (_replaced(np.array([b"ab", b"cd"])), "not numbers"),
    "objects": (_replaced(np.array(["ab", "cd"], dtype=h5py.string_dtype())), "not numbers"),
    "another shape": (_replaced(np.zeros(3)), r"bias has shape \(2,\).*has \(3,\)"),
    "a group": (
        _group_for_array,
        r"at layers/dense/vars/1: there is no array; .*bias was expected",
    ),
    "an array less": (_without("layers/dense/vars/1"), "has 2 weight arrays.*has 1"),
    "no layer": (_without("layers/dense"), "has 2 weight arrays.*has 0"),
    "nothing": (_without("layers"), "has 2 weight arrays.*has 0"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_weights_file_is_refused_whole(case: str, tmp_path: Path) -> None:
    edit, message = HOSTILE[case]
    model, path = edited(tmp_path, edit)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(path)
    assert_same_weights(model, before)


def test_numbers_of_another_precision_are_welcome(tmp_path: Path) -> None:
    model, path = edited(tmp_path, _replaced(np.array([0.5, 1.5], np.float64)))
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[1], np.float32([0.5, 1.5]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty\. It is neither a \.keras file"),
        (b"PK\x03\x04 and no more", r"is not a complete \.keras file"),
        (b"<html>not found</html>", r"begins with b'<html>not found<'\. It is neither"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_what_is_no_model_file_says_what_it_is(
    content: bytes, message: str, tmp_path: Path
) -> None:
    for name in ("m.keras", "m.h5", "m"):
        (tmp_path / name).write_bytes(content)
        for read in (chain().load_weights, models.load_model):
            with pytest.raises(ValueError, match=f"{name}' {message[3:]}|{message}"):
                read(tmp_path / name)


def test_a_folder_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is a folder\. TensorFlow's SavedModel is one"):
        models.load_model(tmp_path)


def test_a_file_is_what_it_holds_whatever_its_name(tmp_path: Path) -> None:
    model = chain()
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "w.weights.h5")
    for name in ("m.h5", "m.hdf5", "m"):
        (tmp_path / name).write_bytes((tmp_path / "m.keras").read_bytes())
        for found, wanted in zip(models.load_model(tmp_path / name).get_weights(), model.weights):
            np.testing.assert_array_equal(found, wanted.value)
    (tmp_path / "w.keras").write_bytes((tmp_path / "w.weights.h5").read_bytes())
    for name in ("m.h5", "w.keras"):
        other = chain()
        other.set_weights([0 * w for w in other.get_weights()])
        other.load_weights(tmp_path / name)
        for found, wanted in zip(other.get_weights(), model.weights, strict=True):
            np.testing.assert_array_equal(found, wanted.value)
    with pytest.raises(ValueError, match="holds weights without the model"):
        models.load_model(tmp_path / "w.keras")


def rewritten(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    """The archive with another JSON member."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = json.dumps(change(json.loads(members[name]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def test_values_that_were_never_written_are_missed(tmp_path: Path) -> None:
    def hollow(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (3, 2), "f4")

    model, path = edited(tmp_path, hollow)
    with pytest.raises(ValueError, match="has a shape but no values"):
        model.load_weights(path)


# -- small files that ask for much -----------------------------------------------------------------

LARGE, SLACK = 400 * 2**20, 200 * 2**20  # bytes that the files below ask for, and may take


def opened_apart(
    how: str, folder: Path, model: Path | None = None, seconds: float = 60
) -> list[dict[str, Any]]:
    """What came of opening each file of a folder in another process: see `strangers`."""
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
    """`size` zero bytes as zlib packs them, in a thousandth of the space."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    piece = bytes(2**20)
    return b"".join(packer.compress(piece) for _ in range(size // len(piece))) + packer.flush()


def small_model(size: int = 3) -> Model:
    return Sequential([Input((size,)), layers.Dense(size, name="dense")])


def packed(path: Path, **changed: bytes) -> None:
    """A small model's `.keras` file, deflated, with other members."""
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


def _unpacks_in_hdf5(path: Path) -> None:
    """A dataset of 256 KiB whose only chunk unpacks to 400 MiB."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        kernel = group.create_dataset("0", (256, 256), "f4", chunks=(256, 256), compression="gzip")
        kernel.id.write_direct_chunk((0, 0), zeros_deflated(LARGE, 15))
        group["1"] = np.zeros(256, np.float32)


def _unpacks_twice(path: Path) -> None:
    """The same within an archive that packs it once more."""
    inner = path.with_name("inner.weights.h5")
    _unpacks_in_hdf5(inner)
    packed(path, model_weights_h5=inner.read_bytes())
    inner.unlink()


def _large_json(member: str) -> Callable[[Path], None]:
    return lambda path: packed(path, **{member: b'{"x":[' + b"{}," * (LARGE // 24) + b"{}]}"})


def _large_json_in_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("model_weights")
        file.attrs["model_config"] = '{"x":[' + "{}," * (LARGE // 24) + "{}]}"


def _archive_that_lies(path: Path) -> None:
    """A member that unpacks to 400 MiB, of which the directory says that it is stored in 200."""
    packed(path, model_weights_h5=b"")
    name, content = b"model.weights.h5", zeros_deflated(LARGE, -15)
    whole = path.read_bytes()
    end = whole.rindex(b"PK\5\6")
    count, size, start = struct.unpack_from("<HII", whole, end + 10)
    directory = whole[start : start + size]
    entry = directory.rindex(b"PK\1\2", 0, directory.index(name))
    sizes = struct.pack("<III", 0, LARGE // 2, LARGE)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes
    changed = bytearray(directory)
    changed[entry + 16 : entry + 28] = sizes
    changed[entry + 42 : entry + 46] = struct.pack("<I", start)
    whole = whole[:start] + local + struct.pack("<HH", len(name), 0) + name + content
    tail = struct.pack("<HHHHIIH", 0, 0, count, count, size, len(whole), 0)
    path.write_bytes(whole + changed + b"PK\5\6" + tail)


def _never_written(path: Path) -> None:
    """Arrays of 256 MB without a value, in a file that zeros make large until it is packed."""
    side = 8000

    def edit(file: h5py.File) -> None:
        for name in ("layers/dense/vars/0", "optimizer/vars/2", "optimizer/vars/3"):
            file.create_dataset(name, (side, side), "f4", chunks=(1000, 1000))
        file["optimizer/vars/0"], file["optimizer/vars/1"] = np.int64(3), np.float32(0.001)

    model = small_model()
    model.compile("adam", "binary_crossentropy")
    config = model.serialize() | {"compile_config": model.get_compile_config()}
    start, dense = config["config"]["layers"]
    start["config"]["batch_shape"] = config["config"]["build_input_shape"] = [None, side]
    dense["config"] |= {"units": side, "use_bias": False}
    del dense["build_config"]
    packed(
        path,
        config_json=json.dumps(config).encode(),
        model_weights_h5=hdf5_bytes(edit) + bytes(60 * 2**20),
    )


def _one_text_many_times(path: Path) -> None:
    """A list of names that are all one and the same megabyte."""
    count, size = LARGE // 2**20, 2**20
    with h5py.File(path, "w") as file:
        names = ["a" * size] + ["b"] * (count - 1)
        file.attrs.create("layer_names", names, dtype=h5py.string_dtype())
    whole = path.read_bytes()
    reference = re.compile(struct.pack("<I", size) + rb".{8}\x01\0\0\0", re.DOTALL)
    found = reference.search(whole)
    assert found
    content, at = bytearray(whole), found.start()
    content[at : at + 16 * count] = found.group() * count
    path.write_bytes(content)


def _layers_in_rows(path: Path) -> None:
    """An array where a group is expected, of a million rows that take 2 GiB each."""
    with h5py.File(path, "w") as file:
        file.create_dataset("layers", (10**6, 2**28), "f8", chunks=(1, 1024))


def _one_array_for_all_layers(path: Path) -> None:
    """A megabyte that a model of 400 MiB would be filled from."""
    with h5py.File(path, "w") as file:
        file.create_group("model_weights").attrs["layer_names"] = np.array([], float)
        file.attrs["model_config"] = json.dumps(
            Sequential([Input((1,)), *(layers.Dense(1) for _ in range(400))]).serialize()
        ).replace('"units": 1,', '"units": 512,')


BOMBS: dict[str, tuple[str, str, Callable[[Path], None], str]] = {
    "unpacks in HDF5": ("load_weights", "m.weights.h5", _unpacks_in_hdf5, "or compressed"),
    "unpacks twice": ("load_model", "m.keras", _unpacks_twice, "or compressed"),
    "config": ("load_model", "m.keras", _large_json("config_json"), "config.json that unpacks to"),
    "metadata": ("load_model", "m.keras", _large_json("metadata_json"), "metadata.json that"),
    "old config": ("load_model", "m.h5", _large_json_in_hdf5, "model_config of more than"),
    "archive that lies": ("load_model", "m.keras", _archive_that_lies, "that unpacks to over"),
    "never written": ("load_model", "m.keras", _never_written, "that unpacks to over"),
    "one text": (
        "load_weights",
        "m.h5",
        _one_text_many_times,
        "more than it can hold: with the texts",
    ),
    "rows": ("by_name", "m.weights.h5", _layers_in_rows, "has none of the layers"),
    "no weights": ("load_model", "m.h5", _one_array_for_all_layers, "too small for its model"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BOMBS)
def test_a_small_file_cannot_ask_for_much(case: str, tmp_path: Path) -> None:
    how, name, make, message = BOMBS[case]
    (tmp_path / "files").mkdir()
    make(tmp_path / "files" / name)
    small_model(256).save(tmp_path / "model.keras")
    model = None if how == "load_model" else tmp_path / "model.keras"
    (told,) = opened_apart(how, tmp_path / "files", model)
    assert told["error"] == "ValueError"
    assert re.search(f"{name}.*{message}", told["message"])
    assert told["grown"] < SLACK


@pytest.mark.parametrize("old", [False, True], ids=[".keras", ".h5"])
def test_a_description_cannot_ask_for_more_than_the_file_holds(old: bool, tmp_path: Path) -> None:
    path = tmp_path / ("m.h5" if old else "m.keras")
    small_model().save(tmp_path / "m.keras")

    def enlarge(config: Any) -> Any:
        config["config"]["layers"][1]["config"]["units"] = 2**30
        return config

    if old:
        with zipfile.ZipFile(tmp_path / "m.keras") as archive, h5py.File(path, "w") as file:
            config = enlarge(json.loads(archive.read("config.json")))
            file.attrs["model_config"] = json.dumps(config)
            file.create_group("model_weights").attrs["layer_names"] = np.array([], float)
    else:
        rewritten(path, "config.json", enlarge)
    with pytest.raises(ValueError, match=r'too small for its model: with Dense "dense"'):
        models.load_model(path)


def test_what_is_stored_once_is_not_read_a_hundred_times(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = Sequential([Input((64,)), *(layers.Dense(64, use_bias=False) for _ in range(100))])
    model.save_weights(path)
    model.load_weights(path)
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((64, 64), np.float32)
        for i in range(1, 100):
            file[f"layers/dense_{i}"] = file["layers/dense"]
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"m\.weights\.h5.* asks for more than it can hold"):
        model.load_weights(path)
    assert_same_weights(model, before)


def test_half_precision_is_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    """What is read may be larger than the file, within reason."""
    path = tmp_path / "m.keras"
    model = shaken(Sequential([Input((800,)), layers.Dense(800, use_bias=False)]))
    model.save(path)
    kernel = model.get_weights()[0].astype(np.float16)
    content = hdf5_bytes(lambda file: file.create_dataset("layers/dense/vars/0", data=kernel))
    with zipfile.ZipFile(path) as good:
        members = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, member in members.items():
            target.writestr(name, content if name == "model.weights.h5" else member)
    np.testing.assert_array_equal(models.load_model(path).get_weights()[0], kernel)


def test_an_archive_that_was_packed_anew_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model = shaken(chain())
    model.compile("adam", "sparse_categorical_crossentropy")  # its state is zeros
    model.save(path)
    with zipfile.ZipFile(path) as good:
        members = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, member in members.items():
            target.writestr(name, member)
    assert_same_weights(models.load_model(path), model)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2], ids=["lzma", "bzip2"])
def test_other_compressions_are_refused(method: int, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    small_model().save(path)
    with zipfile.ZipFile(path) as good:
        members = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(path, "w", method) as target:
        for name, member in members.items():
            target.writestr(name, member)
    content = bytearray(path.read_bytes())
    at = content.index(b"config.json") + 20
    content[at : at + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"m.keras.*zip's method {method}: refused"):
        models.load_model(path)


# -- damage ----------------------------------------------------------------------------------------


def old_file(path: Path) -> Path:
    """A whole model in the old layout, as h5py writes its texts: in a heap."""
    model = shaken(small_model())
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model.serialize())
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["dense"]
        group.create_group("dense").attrs["weight_names"] = ["kernel", "bias"]
        group["dense/kernel"], group["dense/bias"] = model.get_weights()
    assert_same_weights(models.load_model(path), model)
    return path


def heap_objects(content: bytes) -> Iterator[tuple[int, int]]:
    """Where an object of the file's heap begins, and its number; 0 is free space."""
    at = content.index(b"GCOL")
    end = at + int.from_bytes(content[at + 8 : at + 16], "little")
    at += 16
    while at < end:
        number, size = struct.unpack_from("<H6xQ", content, at)
        yield at, number
        at += 16 + -(-size // 8) * 8 if number else size


@pytest.mark.parametrize(
    ("free", "size"),
    [(True, 0), (True, 2**20), (True, 2**63), (False, 2**20), (False, 2**63), (False, 2**64 - 1)],
)
def test_a_heap_that_leads_nowhere_is_refused(free: bool, size: int, tmp_path: Path) -> None:
    """HDF5 itself reads on for ever where free space has the size 0."""
    (tmp_path / "files").mkdir()
    path = old_file(tmp_path / "files" / "m.h5")
    content = bytearray(path.read_bytes())
    at = next(at for at, number in heap_objects(content) if (number == 0) is free)
    content[at + 8 : at + 16] = struct.pack("<Q", size)
    path.write_bytes(content)
    (told,) = opened_apart("load_model", tmp_path / "files", seconds=20)
    assert told["error"] == "ValueError"
    assert re.search(r"m\.h5.* is damaged.*(is damaged|in the heap)", told["message"])


def test_a_text_that_says_it_is_long_is_refused(tmp_path: Path) -> None:
    """HDF5 itself asks for the memory before it looks for the text."""
    (tmp_path / "files").mkdir()
    path = old_file(tmp_path / "files" / "m.h5")
    with h5py.File(path) as file:
        length = len(file.attrs["model_config"])
    content = bytearray(path.read_bytes())
    reference = struct.pack("<IQ", length, content.index(b"GCOL"))
    at = content.index(reference)
    content[at : at + 4] = struct.pack("<I", LARGE)
    path.write_bytes(content)
    (told,) = opened_apart("load_model", tmp_path / "files")
    assert told["error"] == "ValueError"
    assert re.search(rf"m\.h5.* a text of {LARGE} bytes has {length}", told["message"])
    assert told["grown"] < SLACK


TEXTS: dict[str, Any] = {
    "one": "text",
    "long": "ä" * 60_000,
    "empty": "",
    "bytes": b"bytes",
    "list": ["a", "", "bc"],
    "list of bytes": [b"dense", b"conv2d"],
    "fixed": np.array([b"abc", b"d", b""]),
    "nothing": np.array([], float),
    "null": h5py.Empty("S5"),
}


@pytest.mark.parametrize("version", ["earliest", "v108", "v110"])
@pytest.mark.parametrize("order", [False, True])
def test_attributes_are_read_as_h5py_reads_them(version: str, order: bool, tmp_path: Path) -> None:
    for case, value in TEXTS.items():
        with h5py.File(tmp_path / "m.h5", "w", libver=(version, "v110")) as file:
            group = file.create_group("g", track_order=order)
            group.attrs["number"], group.attrs["numbers"] = 3, np.arange(5)
            group.attrs[case] = value
            group.attrs["last"] = ["x", "y"]
        with hdf5.opened(tmp_path / "m.h5", "m.h5") as opened:
            found = opened.group("g")
            assert found is not None
            wanted = [] if case in ("nothing", "null") else np.atleast_1d(value).tolist()
            assert found.names(case) == [
                w.decode() if isinstance(w, bytes) else w for w in wanted
            ], case
            assert found.names("last") == ["x", "y"]
            assert not found.has("none")
            with pytest.raises(ValueError, match="'number' is not text"):
                found.text("number")


@pytest.mark.slow
def test_every_wrong_byte_of_an_attribute_ends_in_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"], file.attrs["fixed"] = ["a", "bc"], np.array([b"a", b"bc"])
        start = h5py.h5o.get_info(file.id).addr
    whole = path.read_bytes()
    refused: list[str] = []
    for at in range(start, whole.index(b"fixed") + 80):
        for value in (0, 255, whole[at] ^ 8):
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                with hdf5.opened(path, "m.h5") as opened:
                    for name in ("layer_names", "fixed"):
                        if opened.has(name):
                            opened.names(name)
            except ValueError as error:
                refused.append(str(error))
    assert len(refused) > 100
    assert all("m.h5" in message for message in refused)


def test_a_list_may_be_cut_in_pieces(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = ["a", "b"], ["c"]
    with hdf5.opened(tmp_path / "m.h5", "m.h5") as opened:
        assert opened.names("layer_names") == ["a", "b", "c"]
        with pytest.raises(ValueError, match=r"m\.h5 has no list 'weight_names'"):
            opened.names("weight_names")


@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
@pytest.mark.parametrize("place", [0, 1], ids=["steps", "learning rate"])
def test_a_state_of_nonsense_names_its_file(place: int, value: float, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = small_model()
    model.compile("sgd", minicnn.losses.BinaryCrossentropy(from_logits=True))
    model.train_on_batch(np.ones((1, 3)), np.ones((1, 3)))
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file[f"optimizer/vars/{place}"]
        file[f"optimizer/vars/{place}"] = value
    shaken(model, 9)
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"m\.weights\.h5"):
        model.load_weights(path)
    for found, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)  # all or nothing


def damaged(content: bytes, rng: random.Random) -> bytes:
    """With some bits or bytes changed, at times cut off."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 2, 4, 16])):
        at = rng.randrange(len(changed))
        changed[at] = rng.choice([changed[at] ^ 1 << rng.randrange(8), rng.randrange(256), 255, 0])
    if rng.random() < 0.1:
        del changed[rng.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["archive", "weights in an archive", "weights", "old"])
def test_damage_anywhere_ends_in_a_value_error(kind: str, seed: int, tmp_path: Path) -> None:
    """HDF5 cannot see a flipped bit in a weight; all else is said, in little time and memory."""
    rng, model = random.Random(seed), tmp_path / "model.keras"
    shaken(chain()).save(model)
    models.load_model(model).save_weights(tmp_path / "m.weights.h5")
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    good = {
        "archive": model,
        "weights": tmp_path / "m.weights.h5",
        "old": Path(__file__).parent / "files" / "model.h5",
    }.get(kind)
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(100):
        path = folder / f"{number:03}{'.weights.h5' if kind == 'weights' else '.keras'}"
        if good is None:
            weights = damaged(members["model.weights.h5"], rng)
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, weights if name == "model.weights.h5" else content)
        else:
            path.with_suffix(good.suffix).write_bytes(damaged(good.read_bytes(), rng))
    how = "load_weights" if kind == "weights" else "load_model"
    told = opened_apart(how, folder, model if kind == "weights" else None)
    refused = [line for line in told if line["error"] is not None]
    assert len(refused) > 5
    for line in refused:
        assert line["error"] == "ValueError", line
        assert line["file"] in line["message"]
        assert not line["changed"]
    assert sum(line["grown"] for line in told) < SLACK


# -- hostile descriptions --------------------------------------------------------------------------

HOSTILE_CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a Lambda": (lambda layer: layer | {"class_name": "Lambda"}, "Lambda.*does not have"),
    "code by name": (
        lambda layer: layer | {"class_name": "system", "module": "os", "registered_name": "os"},
        r'Layer "dense" is of class .system., which minicnn does not have. It has Activation',
    ),
    "an unknown option": (
        lambda layer: layer | {"config": layer["config"] | {"lora_rank": 4}},
        r'Dense "dense" has lora_rank=4.*does not support',
    ),
    "an interpolation that is not here": (
        lambda layer: {
            "class_name": "UpSampling2D",
            "config": {"name": "up", "interpolation": "bilinear"},
        },
        r'UpSampling2D "up" expects interpolation="nearest", .* Received .bilinear.\.',
    ),
    "no config": (lambda layer: {"class_name": "Dense"}, "Dense is described without a config"),
    "a number": (lambda layer: 5, "no model that minicnn can build"),
    "units of text": (
        lambda layer: layer | {"config": layer["config"] | {"units": "many"}},
        "units to be an integer",
    ),
    "units below zero": (
        lambda layer: layer | {"config": layer["config"] | {"units": -(2**40)}},
        "units to be an integer",
    ),
    "a name with a path": (
        lambda layer: layer | {"config": layer["config"] | {"name": "../../x"}},
        'without "/"',
    ),
}


@pytest.mark.parametrize("case", HOSTILE_CONFIGS)
def test_a_hostile_description_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    change, message = HOSTILE_CONFIGS[case]
    path = tmp_path / "m.keras"
    Sequential([Input((3,)), layers.Dense(2, name="dense")]).save(path)

    def edit(config: Any) -> Any:
        config["config"]["layers"][1] = change(config["config"]["layers"][1])
        return config

    rewritten(path, "config.json", edit)
    with pytest.raises(ValueError, match=message) as caught:
        models.load_model(path)
    assert "m.keras" in str(caught.value)


@pytest.mark.parametrize("depth", [900, 5000])
def test_models_within_models_without_end_are_refused(depth: int, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    Sequential([Input((3,)), layers.Dense(2)]).save(path)
    inner = '{"class_name": "Sequential", "config": {"name": "s", "layers": ['
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = (inner * depth + "]}}" * depth).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"m\.keras"):
        models.load_model(path)


def test_custom_code_has_no_door(tmp_path: Path) -> None:
    Sequential([Input((3,)), layers.Dense(2)]).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"minicnn's own layers only\. Received custom_objects"):
        models.load_model(tmp_path / "m.keras", custom_objects={"Mine": object})
    with pytest.raises(ValueError, match="no safe_mode=False"):
        models.load_model(tmp_path / "m.keras", safe_mode=False)


@pytest.mark.parametrize(
    "name", ["/", ".", "..", "", "../dense", "/etc/passwd", "a" * 10_000, "\n"]
)
@pytest.mark.parametrize("where", ["layer", "weight"])
def test_hostile_names_in_old_files_lead_nowhere(where: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name if where == "layer" else "dense"]
        dense = file.create_group("dense")
        dense.attrs["weight_names"] = [name, "bias"]
        dense["kernel"], dense["bias"] = np.ones((3, 2), "f4"), np.ones(2, "f4")
    model = Sequential([Input((3,)), layers.Dense(2, name="dense")])
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"old\.h5"):
        model.load_weights(path)
    assert_same_weights(model, before)
