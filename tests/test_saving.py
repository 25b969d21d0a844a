"""Files: what is written is read, whole or not at all; a damaged one ends in a sentence."""

import errno
import json
import os
import random
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import minicnn
from minicnn import Input, Model, Sequential, layers, models, utils
from minicnn.atomic import replacing

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
    kept = " The old file is as it was." if old else ""
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
    with pytest.warns(UserWarning, match="Left as they were: dense_3"):
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
    assert minicnn.saving.load_model is models.load_model
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
        (lambda m, p: m.save(p / "m.h5"), ValueError, r"ends in '\.keras'. Received .*m\.h5"),
        (lambda m, p: m.save_weights(p / "m.h5"), ValueError, r"ends in '\.weights\.h5'"),
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
    "no config": ({"config_json": None}, "no whole .keras file"),
    "no weights": ({"model_weights_h5": None}, "no whole .keras file"),
    "config is no JSON": ({"config_json": b"{"}, "damaged config.json"),
    "config is a list": ({"config_json": b"[]"}, "no JSON object"),
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


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_flipped_bytes_load_or_end_in_a_value_error(name: str, tmp_path: Path) -> None:
    """HDF5 cannot see a flipped bit in a weight; all else must be said, in a sentence."""
    path = tmp_path / name
    model = shaken(chain())
    (model.save if name == "m.keras" else model.save_weights)(path)
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(8):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        before = model.get_weights()
        try:
            models.load_model(path) if name == "m.keras" else model.load_weights(path)
        except ValueError:
            refused += 1
            assert_same_weights(model, before)
    assert refused > 5


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
    "text": (_replaced(np.array([b"ab", b"cd"])), "not numbers"),
    "objects": (_replaced(np.array(["ab", "cd"], dtype=h5py.string_dtype())), "not numbers"),
    "another shape": (_replaced(np.zeros(3)), r"bias has shape \(2,\).*has \(3,\)"),
    "a group": (
        _group_for_array,
        r"at layers/dense/vars/1: there is no array, .*bias was expected",
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


def test_a_name_without_a_known_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"ends in '\.weights\.h5', '\.h5' or '\.keras'"):
        chain().load_weights(tmp_path / "weights.npz")
    with pytest.raises(ValueError, match=r"ends in '\.keras' or '\.h5'"):
        models.load_model(tmp_path / "weights.npz")


def rewritten(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    """The archive with another JSON member."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = json.dumps(change(json.loads(members[name]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def peak_memory(function: Callable[[], Any]) -> int:
    """Bytes of NumPy arrays and Python objects at the highest point."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("old", [False, True], ids=[".keras", ".h5"])
def test_a_small_file_cannot_ask_for_gigabytes(old: bool, tmp_path: Path) -> None:
    path = tmp_path / ("m.h5" if old else "m.keras")
    model = Sequential([Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "m.keras")

    def enlarge(config: Any) -> Any:
        config["config"]["layers"][1]["config"]["units"] = 2**31
        return config

    if old:
        with zipfile.ZipFile(tmp_path / "m.keras") as archive, h5py.File(path, "w") as file:
            config = enlarge(json.loads(archive.read("config.json")))
            file.attrs["model_config"] = json.dumps(config)
            file.create_group("model_weights").attrs["layer_names"] = np.array([], float)
    else:
        rewritten(path, "config.json", enlarge)

    def load() -> None:
        with pytest.raises(ValueError, match=r'too small for its model: with Dense "dense"'):
            models.load_model(path)

    assert peak_memory(load) < 20 * 2**20


def test_values_that_were_never_written_are_missed(tmp_path: Path) -> None:
    def hollow(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (3, 2), "f4")

    model, path = edited(tmp_path, hollow)
    with pytest.raises(ValueError, match="has a shape but no values"):
        model.load_weights(path)


def test_compressed_weights_are_read_but_not_in_giant_pieces(tmp_path: Path) -> None:
    def packed(chunks: tuple[int, ...], maximum: Any = None) -> Callable[[h5py.File], None]:
        def edit(file: h5py.File) -> None:
            values = file["layers/dense/vars/0"][()]
            del file["layers/dense/vars/0"]
            file.create_dataset(
                "layers/dense/vars/0",
                data=values,
                chunks=chunks,
                maxshape=maximum,
                compression="gzip",
            )

        return edit

    model, path = edited(tmp_path, packed((3, 2)))
    before = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in before])
    model.load_weights(path)
    assert_same_weights(model, before)
    model, path = edited(tmp_path, packed((2**12, 2**12), (None, None)))
    with pytest.raises(ValueError, match=r"in pieces of \(4096, 4096\), larger than itself"):
        model.load_weights(path)


def test_a_member_that_swells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    Sequential([Input((3,)), layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.weights.h5"] += bytes(65 * 2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    del members
    assert path.stat().st_size < 2**20

    def load() -> None:
        with pytest.raises(
            ValueError, match=r"model.weights.h5 that unpacks from \d+ to \d+ bytes"
        ):
            models.load_model(path)

    assert peak_memory(load) < 20 * 2**20


HOSTILE_CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a Lambda": (lambda layer: layer | {"class_name": "Lambda"}, "Lambda.*does not have"),
    "code by name": (
        lambda layer: layer | {"class_name": "system", "module": "os", "registered_name": "os"},
        r'Layer "dense" is of class .system., which minicnn does not have. It has Activation',
    ),
    "an unknown option": (
        lambda layer: layer | {"config": layer["config"] | {"kernel_regularizer": {"l2": 1}}},
        r'Dense "dense" has kernel_regularizer=.*does not support',
    ),
    "an unknown initializer": (
        lambda layer: (
            layer | {"config": layer["config"] | {"kernel_initializer": {"class_name": "open"}}}
        ),
        "initializer is an object",
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


@pytest.mark.parametrize("seed", range(3))
def test_damaged_old_files_end_in_a_value_error(seed: int, tmp_path: Path) -> None:
    """Bit flips and cuts all over a file of the old layout; peak memory stays small."""
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"dense"]
        group.create_group("dense").attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/dense/kernel:0"] = np.ones((3, 2), np.float32)
        group["dense/dense/bias:0"] = np.ones(2, np.float32)
    whole = path.read_bytes()
    model = Sequential([Input((3,)), layers.Dense(2, name="dense")])
    model.load_weights(path)
    rng = random.Random(seed)
    refused = 0

    def damage() -> None:
        nonlocal refused
        for attempt in range(60):
            damaged = bytearray(whole)
            for _ in range(rng.choice([1, 3, 30])):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            if attempt % 3 == 0:
                del damaged[rng.randrange(len(damaged)) :]
            path.write_bytes(damaged)
            before = model.get_weights()
            try:
                model.load_weights(path)
            except ValueError:
                refused += 1
                assert_same_weights(model, before)

    assert peak_memory(damage) < 50 * 2**20
    assert refused > 20


def test_custom_code_has_no_door(tmp_path: Path) -> None:
    Sequential([Input((3,)), layers.Dense(2)]).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"minicnn's own layers only\. Received custom_objects"):
        models.load_model(tmp_path / "m.keras", custom_objects={"Mine": object})
    with pytest.raises(ValueError, match="no safe_mode=False"):
        models.load_model(tmp_path / "m.keras", safe_mode=False)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", b" " * (65 * 2**20))
        file.writestr("model.weights.h5", b"")
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"more than \d+ bytes: refused"):
        models.load_model(path)


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
