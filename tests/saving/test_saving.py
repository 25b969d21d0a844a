"""What minicnn writes it also reads, whole or not at all."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from model_files import MODELS, assert_same_weights, chain, nested, photos, shaken, small_model

import minicnn
from minicnn import Input, Model, Sequential, layers, models
from minicnn._support.atomic import check_spares, replacing
from minicnn.applications.transfer import check_base
from minicnn.saving import hdf5, weights

every_model = pytest.mark.parametrize("make", MODELS)


# -- written and read again ------------------------------------------------------------------------


@every_model
def test_weights_are_written_and_read_again(make: Callable[[], Model], tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model, other = shaken(make()), make()
    model.save_weights(path)
    other.load_weights(path)
    assert_same_weights(other, model)
    np.testing.assert_array_equal(
        other.predict(photos(), verbose=0), model.predict(photos(), verbose=0)
    )


@every_model
def test_a_whole_model_is_written_and_read_again(make: Callable[[], Model], tmp_path: Path) -> None:
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
    # Saved again, it is still the same model.
    again = tmp_path / "again.keras"
    loaded.save(again)
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(again) as b:
        assert json.loads(a.read("config.json")) == json.loads(b.read("config.json"))


@pytest.mark.slow
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


def test_a_removed_activation_is_gone_everywhere(tmp_path: Path) -> None:
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

    model.layers[0].activation = "tanh"  # pooling cannot be fused across it
    bounded = model.predict(x, verbose=0)
    np.testing.assert_allclose(bounded, model.run(x), rtol=1e-5, atol=1e-6)
    assert np.abs(bounded - z).max() > 1e-4
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), bounded)
    assert again.layers[-1].activation is minicnn.activations.linear
    assert again.layers[0].activation.__name__ == "tanh"


def test_weights_find_their_layer_under_any_name(tmp_path: Path) -> None:
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


def test_a_float64_model_stays_float64(tmp_path: Path) -> None:
    model = Sequential([Input((3,), dtype="float64"), layers.Dense(2, dtype="float64")])
    shaken(model).save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras")
    assert {w.dtype.name for w in loaded.get_weights()} == {"float64"}


def test_training_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """With plain SGD, which has no state, the loaded model takes exactly the same step."""
    model = shaken(chain())
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras")
    for m in (model, loaded):
        m.get_layer("dropout").rate = 0.0
        m.train_on_batch(photos(), np.array([0, 2]))
    assert_same_weights(loaded, model)


def test_plain_sgd_counts_its_steps(tmp_path: Path) -> None:
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


def test_an_optimizer_s_state_in_a_file_of_keras_2_s_weights(tmp_path: Path) -> None:
    """It has no learning rate, and the file does not say who wrote it."""
    model = Sequential([Input((3,)), layers.Dense(2)])
    model.compile(minicnn.optimizers.Adam(0.25), "mse")
    model.train_on_batch(np.ones((1, 3)), np.ones((1, 2)))
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        state = file["optimizer/vars"]
        del state["1"]
        for i in range(2, 6):
            state.move(str(i), str(i - 1))
    other = Sequential.from_config(model.get_config())
    other.compile(minicnn.optimizers.Adam(0.125), "mse")
    other.train_on_batch(np.ones((1, 3)), np.ones((1, 2)))
    other.load_weights(tmp_path / "m.weights.h5")
    for weight, same in zip(model.weights, other.weights, strict=True):
        for slot, array in model.optimizer.slots(weight).items():
            np.testing.assert_array_equal(other.optimizer.slots(same)[slot], array)
    assert (other.optimizer.iterations, other.optimizer.learning_rate) == (1, 0.125)


def test_an_optimizer_s_state_for_other_weights_is_left_out(tmp_path: Path) -> None:
    """It has as many arrays, but of other shapes: another layer was trainable."""
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


def test_an_interrupt_as_soon_as_the_file_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch = Path.touch

    def made(path: Path, *args: Any, **kwargs: Any) -> None:
        touch(path, *args, **kwargs)
        assert list(tmp_path.iterdir()) == [path]
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "touch", made)
    with pytest.raises(KeyboardInterrupt):
        small_model().save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_is_not_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_model().save(tmp_path / "m.keras")
    spend = hdf5.Budget.spend

    def interrupted(budget: hdf5.Budget, size: int, what: str) -> None:
        if what == "the names in a group":  # HDF5 calls the function that counts them
            signal.raise_signal(signal.SIGINT)
        spend(budget, size, what)

    monkeypatch.setattr(hdf5.Budget, "spend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        models.load_model(tmp_path / "m.keras")


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.png"])
@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk_ends_in_one_sentence(name: str, old: bool, tmp_path: Path) -> None:
    """A limit on the size of files, in its own process, stands in for a full disk."""
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


NO_MEMORY = OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.mark.parametrize(
    ("target", "error", "name"),
    [
        (
            "h5py.Dataset.__getitem__",
            MemoryError(),
            "m.keras' at layers/dense/vars/0 has 120 bytes",
        ),
        ("h5py.Dataset.__getitem__", MemoryError(), "m.h5' at model_weights/dense/dense/kernel"),
        ("zipfile.ZipExtFile.read", MemoryError(), "m.keras' cannot be read"),
        ("mmap.mmap", NO_MEMORY, "m.h5' cannot be read"),
    ],
)
def test_too_little_memory_is_not_the_file_s_fault(
    target: str, error: Exception, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **options: Any) -> Any:
        raise error

    def fails_to_close(file: Any, *_: Any) -> None:
        file.close()
        raise RuntimeError("Unable to decrement the reference count")  # as HDF5 may then say

    path = tmp_path / name.partition("'")[0]
    model = Sequential([Input((5,)), layers.Dense(6)])
    model.save(path)
    with monkeypatch.context() as patch:
        patch.setattr(target, fails)
        with pytest.raises(MemoryError, match=f"{name}.*: there is not enough memory"):
            models.load_model(path)
    before = path.read_bytes()
    error = MemoryError()
    monkeypatch.setattr("h5py.Group.create_group", fails)
    for _ in range(2):
        with pytest.raises(
            MemoryError, match=r'"sequential.*" cannot be saved: there is not enough'
        ):
            model.save(path)
        monkeypatch.setattr("h5py.File.__exit__", fails_to_close)
    assert path.read_bytes() == before


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
    for seed in (6, 7):  # first without the file, then with it
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


def test_permissions_are_those_of_the_old_file_or_of_any_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(mask: int) -> int:
        raise AssertionError("another thread's files would have all permissions")

    monkeypatch.setattr(os, "umask", forbidden)
    (tmp_path / "plain").write_text("")
    ours = tmp_path / "ours"
    for mode in ((tmp_path / "plain").stat().st_mode, 0o100600):
        with replacing(ours) as temporary:
            temporary.write_text("x")
            assert temporary.stat().st_mode == mode
        assert ours.stat().st_mode == mode
        if os.name == "posix":
            ours.chmod(0o600)

    def without_modes(*_: object) -> None:
        raise PermissionError("this file system has no permissions")

    monkeypatch.setattr(shutil, "copymode", without_modes)
    (tmp_path / "other").write_text("")
    with replacing(tmp_path / "other") as temporary:
        temporary.write_text("y")
    assert (tmp_path / "other").read_text() == "y"


@pytest.mark.parametrize("name", ["a" * 255, "\u96ea" * 85, "\xe9" * 120 + "a" * 15])
def test_a_name_may_be_as_long_as_the_system_allows(name: str, tmp_path: Path) -> None:
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_that_leads_back_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.keras").symlink_to(tmp_path / "m.keras")
    with pytest.raises(OSError, match=r"m.keras' is a link that leads back to itself"):
        chain().save(tmp_path / "m.keras")
    with pytest.raises(FileNotFoundError, match="The base is one of"):
        check_base(tmp_path / "m.keras")
    check_spares(tmp_path / "other", [tmp_path / "m.keras"])


def test_what_does_not_fit_changes_no_weight(tmp_path: Path) -> None:
    """Only the last layer differs, but the first ones are left unchanged, too."""
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


def test_the_saving_module_has_the_same_two_functions(tmp_path: Path) -> None:
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
def test_pipes_devices_and_endless_files_are_not_read(name: str, pipe: Path) -> None:
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
