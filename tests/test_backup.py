"""BackupAndRestore: however training is stopped, the same program resumes and ends the same."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import callbacks, layers, optimizers
from minicnn.callbacks import BackupAndRestore

Array = np.ndarray
EPOCHS = 4


def data() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((20, 6)).astype("f"), rng.integers(0, 3, 20)


def network(optimizer: Any = None, units: int = 8) -> Any:
    minicnn.utils.set_random_seed(1)
    model = minicnn.Sequential(
        [
            minicnn.Input((6,)),
            layers.Dense(units, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dropout(0.2, seed=3),
            layers.Dense(3),
        ]
    )
    loss = minicnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


class Crash(callbacks.Callback):
    """Interrupts training in this epoch, before this batch."""

    def __init__(self, epoch: int, batch: int = 0) -> None:
        self.at, self.now = (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if (self.now, batch) == self.at:
            raise KeyboardInterrupt


def fit(model: Any, folder: Path, *more: Any, epochs: int = EPOCHS, **options: Any) -> Any:
    x, y = data()
    return model.fit(
        x,
        y,
        epochs=epochs,
        batch_size=6,
        verbose=0,
        validation_split=0.2,
        callbacks=[*more, BackupAndRestore(folder, **options)],
    )


def state(model: Any) -> list[Array]:
    return [*model.get_weights(), *(a for _, a in model.optimizer.state(model.trainable_weights))]


def rate(epoch: int) -> float:
    return 0.01 / (3 + epoch)


MAKE: dict[str, Any] = {
    "adam": lambda: optimizers.Adam(0.01),
    "averages": lambda: optimizers.SGD(0.1, 0.9, use_ema=True, ema_momentum=0.8),
    "accumulated": lambda: optimizers.RMSprop(0.01, gradient_accumulation_steps=2),
    "scheduled": lambda: optimizers.SGD(
        optimizers.schedules.ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5)
    ),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("crash", [Crash(1, 1), Crash(3, 0)], ids=["in epoch 1", "in epoch 3"])
def test_it_ends_as_if_nothing_had_happened(name: str, crash: Crash, tmp_path: Path) -> None:
    more = [] if name == "scheduled" else [callbacks.LearningRateScheduler(rate)]
    if name == "averages":  # a backup has the weights, not what is in their place for a while
        more.append(callbacks.SwapEMAWeights(swap_on_epoch=True))
    whole = network(MAKE[name]())
    expected = fit(whole, tmp_path / "whole", *more).history
    with pytest.raises(KeyboardInterrupt):
        fit(network(MAKE[name]()), tmp_path / "b", *more, crash)
    resumed = network(MAKE[name]())
    minicnn.utils.set_random_seed(99)  # a new process draws different numbers
    found = fit(resumed, tmp_path / "b", *more)
    assert found.epoch == list(range(crash.at[0], EPOCHS))
    for key, values in expected.items():
        assert found.history[key] == values[crash.at[0] :], key
    for a, b in zip(state(resumed), state(whole), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not (tmp_path / "b").exists()  # no backup is left


PROGRAM = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    import numpy as np
    from test_backup import Crash, callbacks, fit, network, state

    class Kill(Crash):
        def on_train_batch_begin(self, batch, logs=None):
            if (self.now, batch) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)

    model = network()
    fit(model, {folder!r}, *([Kill(2, 1)] if "kill" in sys.argv else []))
    np.savez({result!r}, *state(model))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    def run(folder: str, *arguments: str) -> int:
        program = PROGRAM.format(
            tests=str(Path(__file__).parent),
            folder=str(tmp_path / folder),
            result=str(tmp_path / f"{folder}.npz"),
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
        return subprocess.run(command, check=False, env=environment).returncode

    assert run("whole") == 0
    assert run("killed", "kill") == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["latest.npz"]
    assert run("killed") == 0
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as found:
        assert len(whole.files) > 10
        for name in whole.files:
            np.testing.assert_array_equal(found[name], whole[name])


def test_a_backup_within_an_epoch_leads_to_its_beginning(tmp_path: Path) -> None:
    model = network()
    with pytest.raises(KeyboardInterrupt):
        fit(model, tmp_path / "b", Crash(1, 2), save_freq=2)  # at 3 batches an epoch, it saves at 4
    held = np.load(tmp_path / "b" / "latest.npz")
    assert json.loads(str(held["about"]))["epoch"] == 1
    assert held["optimizer 0"] == 4  # steps
    again = network()
    assert fit(again, tmp_path / "b", save_freq=2).epoch == [1, 2, 3]
    assert again.optimizer.iterations == 4 + 3 * 3


def test_the_learning_rate_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    model = network()
    model.optimizer.learning_rate = 1 / 3  # no float32
    with pytest.raises(KeyboardInterrupt):
        fit(model, tmp_path / "b", Crash(1))
    again = network()
    fit(again, tmp_path / "b")
    assert again.optimizer.learning_rate == 1 / 3


def test_a_layer_may_be_unfrozen_where_training_goes_on(tmp_path: Path) -> None:
    class Unfreezes(callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.layers[0].trainable = epoch > 0

    def frozen() -> Any:
        model = network()
        model.layers[0].trainable = False
        return model

    whole, resumed = frozen(), frozen()
    fit(whole, tmp_path / "whole", Unfreezes())
    with pytest.raises(KeyboardInterrupt):
        fit(frozen(), tmp_path / "b", Unfreezes(), Crash(1))
    fit(resumed, tmp_path / "b", Unfreezes())
    for a, b in zip(state(resumed), state(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_kept_and_what_is_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    fit(network(), folder, delete_checkpoint=False, double_checkpoint=True)
    assert sorted(path.name for path in folder.iterdir()) == ["latest.npz", "previous.npz"]
    model = network()
    found = fit(model, folder, delete_checkpoint=False)
    assert found.epoch == []  # nothing is left to do
    assert found.history == {}
    fit(model, folder, epochs=EPOCHS + 1, delete_checkpoint=False)
    assert model.optimizer.iterations == (EPOCHS + 1) * 3
    (folder / "mine.txt").write_text("not the callback's")
    (folder / ".latest.npz.0123abcd").write_text("by a run that was killed while it wrote")
    fit(network(), folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


# The second is larger than any memory, the third no expression.
HEADERS = [
    f"{header:63}"
    for header in ("{}", "{'descr':'<f8','fortran_order':False,'shape':(10000000000000,)}", "((")
]


def archive_of(array: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("about.npy", array)
    return held.getvalue()


def test_instead_of_a_damaged_backup_the_previous_one_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    with pytest.raises(KeyboardInterrupt):
        fit(network(), folder, Crash(3), double_checkpoint=True)
    latest = folder / "latest.npz"
    headers = [header.encode().join([b"\x93NUMPY\1\0\x40\0", b"\n"]) for header in HEADERS]
    for damaged in (latest.read_bytes()[:200], b"", b"PK\x03\x04", *map(archive_of, headers)):
        latest.write_bytes(damaged)
        with pytest.raises(KeyboardInterrupt):
            fit(network(), folder, Crash(2))
    whole = (folder / "previous.npz").read_bytes()
    entry = whole.index(b"PK\x01\x02")  # of the first array, in the archive's directory
    for place in (6, 8, 10):  # the version, that it is encrypted, how it is compressed
        latest.write_bytes(whole[: entry + place] + b"\xff" + whole[entry + place + 1 :])
        with pytest.raises(KeyboardInterrupt):
            fit(network(), folder, Crash(2))
    (folder / "previous.npz").unlink()
    with pytest.raises(ValueError, match=r"latest.npz' is not a backup of training, or is damaged"):
        fit(network(), folder)


def test_a_backup_of_another_model_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    with pytest.raises(KeyboardInterrupt):
        fit(network(), folder, Crash(2))
    others = [network(units=5), network(optimizers.SGD(0.1))]
    plain = minicnn.Sequential([minicnn.Input((6,)), layers.Dense(3)])
    plain.compile("sgd", "sparse_categorical_crossentropy")
    for model in [*others, plain]:
        before = model.get_weights()
        with pytest.raises(ValueError, match="is a backup of another training: choose"):
            fit(model, folder)
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


TOO_LARGE = np.random.default_rng(0).bit_generator.state | {"uinteger": 2**40, "has_uint32": 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch": -1}, "is not a backup of training, or is damaged"),
        ({"epoch": "1"}, "is not a backup of training, or is damaged"),
        ({"learning_rate": "slow"}, "is not a backup of training, or is damaged"),
        ({"learning_rate": math.inf}, "is not a backup of training, or is damaged"),
        ({"generators": [{}, {}]}, "is a backup of another training"),
        ({"generators": ["a", "b"]}, "is a backup of another training"),
        ({"generators": [TOO_LARGE, TOO_LARGE]}, "is a backup of another training"),
        ({}, "is not a backup of training, or is damaged"),
    ],
)
def test_a_backup_with_another_content_changes_nothing(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    with pytest.raises(KeyboardInterrupt):
        fit(network(), folder, Crash(2))
    latest = folder / "latest.npz"
    with np.load(latest) as held:
        arrays = {name: held[name] for name in held.files}
    about = json.loads(str(arrays.pop("about")))
    about = about | changed if changed else {"epoch": 1, "generators": about["generators"]}
    np.savez(latest, about=np.array(json.dumps(about)), **arrays)
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        fit(model, folder)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(os.name != "posix", reason="has no such devices")
def test_a_device_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "latest.npz").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="is a device: a backup is read from a regular file only"):
        fit(network(), tmp_path)


def test_nothing_in_a_backup_is_unpickled(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    np.savez(tmp_path / "b" / "latest.npz", about=np.array([{"epoch": 1}], object))
    with pytest.raises(ValueError, match="is not a backup of training"):
        fit(network(), tmp_path / "b")


def test_a_frozen_part_is_computed_after_its_weights_are_back(tmp_path: Path) -> None:
    """Features that are computed once must be those of the backup's weights."""

    def frozen(seed: int) -> Any:
        model = network()
        model.layers[0].trainable = model.layers[1].trainable = False
        minicnn.utils.set_random_seed(seed)
        model.layers[0].set_weights(
            [np.random.default_rng(seed).standard_normal(w.shape) for w in model.layers[0].weights]
        )
        model.compile(optimizers.SGD(0.1), model.loss)
        return model

    minicnn.utils.set_random_seed(5)
    whole = frozen(5)
    assert fit(whole, tmp_path / "whole").computed_once
    with pytest.raises(KeyboardInterrupt):
        fit(frozen(5), tmp_path / "b", Crash(1))
    resumed = frozen(6)
    assert fit(resumed, tmp_path / "b").computed_once
    for a, b in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BackupAndRestore(""), "backup_dir to be a folder"),
        (lambda: BackupAndRestore(None), "backup_dir to be a folder. Received None"),  # type: ignore[arg-type]
        (lambda: BackupAndRestore("b", save_freq="batch"), "Received 'batch'"),
        (lambda: BackupAndRestore("b", save_freq=0), "a number of batches. Received 0"),
        (lambda: BackupAndRestore("b", save_freq=True), "Received True"),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    model = minicnn.Sequential([layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="a model that has weights"):
        fit(model, tmp_path / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        fit(network(), tmp_path / "file")
