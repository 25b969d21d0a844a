"""Training on several devices: JAX in several processes, and TensorFlow's copies on devices."""

import ast
import csv
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import reference
from benchmarks import accelerator
from reference import data, evaluate
from reference import model as models

ROOT = Path(__file__).parents[2]
# Compiling takes most of the time; at level 0, XLA's graph is the same, but its loops are slower.
QUICKLY_COMPILED = "--xla_backend_optimization_level=0"
needs_jax = pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="needs jax")


def history(folder):
    rows = list(csv.DictReader((folder / "history.csv").open()))
    return np.array([[float(value) for value in row.values()] for row in rows])


def epochs_in(folder):
    path = folder / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def start(output, *told):
    return subprocess.Popen(
        # On a CPU: two processes cannot share one GPU.
        [
            *(sys.executable, "-m", "reference.train", *map(str, told)),
            *("--output", str(output), "--device", "cpu"),
        ],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": QUICKLY_COMPILED},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    assert "jit_compile=False" not in err, "JAX is slow where it does not compile"
    return out


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.slow
@needs_jax
def test_two_processes_train_what_one_does_and_survive_the_death_of_one(
    clothes, tiny_base, tmp_path
):
    told = [
        "--data", clothes, "--base", tiny_base, "--image-size", 48, "--learning-rate", 0.05,
        "--dropout", 0.2, "--epochs", 40, "--fine-tune", "block2", "--fine-tune-epochs", 2,
        "--fine-tune-rate", 0.01,
    ]  # fmt: skip
    alone, group = tmp_path / "alone", tmp_path / "group"

    def together(*more):
        port = free_port()
        shared = ["--coordinator", f"127.0.0.1:{port}", "--processes", 2]
        caches = [tmp_path / f"cache{index}" for index in range(2)]
        return [
            start(group, *told, "--cache", cache, *shared, "--process-id", index, *more)
            for index, cache in enumerate(caches)
        ]

    first, second = together()
    end = time.monotonic() + 100
    while epochs_in(group) < 3:
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < end, "the two did not get so far"
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    err = second.communicate(timeout=60)[1]
    assert second.returncode != 0
    assert re.search(r"Process 1 of 2 .*was lost\. Start all of them again with --resume", err)
    first.communicate()
    done = epochs_in(group)
    assert 3 <= done < 40, "it was killed too late to prove anything"

    printed = [finish(process) for process in together("--resume")]
    assert "Going on after epoch" in printed[0]
    assert "process 0 of 2" in printed[0]
    spoken = [line for line in printed[1].splitlines() if not line.startswith("[Gloo]")]
    assert spoken == [], "only the first one speaks"

    finish(start(alone, *told, "--cache", tmp_path / "cache"))
    assert len(history(alone)) == 42
    np.testing.assert_allclose(history(group), history(alone), rtol=2e-4, atol=1e-6)
    # TensorFlow opens what JAX trained: the file does not name the backend.
    saved = models.load(group / "model.keras")
    judged = evaluate.evaluate(saved, data.find(clothes).validation)
    assert judged.accuracy == pytest.approx(history(alone)[:, 4].max(), abs=1e-6)


@pytest.mark.slow
@needs_jax
def test_two_processes_augment_as_one_does(clothes, tiny_base, tmp_path):
    """Two processes flip, shift and zoom each photo as a single one does."""
    told = [
        "--data", clothes, "--base", tiny_base, "--image-size", 48, "--learning-rate", 0.05,
        "--augment", "--epochs", 3, "--batch-size", 40,  # equal batches compile once
    ]  # fmt: skip
    alone, group = tmp_path / "alone", tmp_path / "group"
    shared = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", 2]
    together = [start(group, *told, *shared, "--process-id", index) for index in range(2)]
    printed = [finish(process) for process in together]
    assert "Augmented photos are new each time" in printed[0]
    finish(start(alone, *told))
    assert len(history(alone)) == 3
    np.testing.assert_allclose(history(group), history(alone), rtol=2e-4, atol=1e-6)
    ours, theirs = (models.load(f / "model.keras").model.get_weights() for f in (group, alone))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


MIRRORED = """
import sys
from dataclasses import replace
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from reference import backend, data, fitting, on_tensorflow, train
from reference import model as models
photos, base_file, output = sys.argv[1:]
one = backend.default()
two = replace(one, strategy=on_tensorflow.mirrored(["CPU:0", "CPU:1"]))
print(two.describe())
settings = fitting.Settings(
    learning_rate=0.05, epochs=3, fine_tune="block2", fine_tune_epochs=1, fine_tune_rate=0.01
)
for name, machine in (("one", one), ("two", two)):
    with machine.scope():
        base = models.load_base(base_file, 48)
    train.train(data.find(photos), base, settings, f"{output}/{name}", machine, data.Reader(48))
"""


@pytest.mark.slow
def test_copies_on_two_devices_train_what_one_does(clothes, tiny_base, tmp_path):
    command = [sys.executable, "-c", MIRRORED, str(clothes), str(tiny_base), str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert found.returncode == 0, found.stderr
    assert "mirrored on 2 devices" in found.stdout
    assert len(history(tmp_path / "one")) == 4
    np.testing.assert_allclose(
        history(tmp_path / "two"), history(tmp_path / "one"), rtol=2e-4, atol=1e-6
    )
    assert keras.backend.backend() == "tensorflow"


def test_operations_are_counted_as_by_hand():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)  # 24 × 24 places
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.SeparableConv2D(5, 3)(x)  # 22 × 22
    wanted = 2 * 24 * 24 * (3 * 3 * 3 * 4) + 2 * 22 * 22 * (3 * 3 * 4 + 4 * 5)
    assert accelerator.flops(keras.Model(inputs, x), 48) == wanted


@pytest.mark.slow
def test_the_accelerator_benchmark_reports_every_rate(tiny_base, clothes, tmp_path, capsys):
    told = [
        "--base", str(tiny_base), "--data", str(clothes), "--image-size", "48", "--batch-size",
        "8", "--json", str(tmp_path / "rates.json"),
    ]  # fmt: skip
    assert accelerator.run(told) == 0
    found = json.loads((tmp_path / "rates.json").read_text())
    assert len(found["rows"]) == 2 * 4
    assert {row["precision"] for row in found["rows"]} == {"float32", "mixed_bfloat16"}
    for row in found["rows"]:
        assert row["photos_per_second"] > 0
        assert row["share"] == pytest.approx(
            row["teraflops"] * 1e12 / found["peaks"][row["precision"]]
        )
    assert capsys.readouterr().out.count("photos/s") == 8
    assert keras.config.dtype_policy().name == "float32"


# ---------------------------------------------------------------------------------------------
# The rooms
# ---------------------------------------------------------------------------------------------

FLOORS = (
    ("console", "lists", "served"), ("on_tensorflow", "on_jax"), ("backend",), ("data",),
    ("model", "report"), ("features", "batches", "serve"), ("fitting", "audit"), ("evaluate",),
    ("train", "predict", "export"), ("sweep",), ("course", "folds"),
)  # fmt: skip
DOORS = {("data", "audit")}  # the command, which reports on the data, leads up
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
SOURCES = sorted(Path(reference.__file__).parent.glob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            inside = node.module == "reference"
            names = [f"reference.{alias.name}" for alias in node.names] if inside else [node.module]
            yield from names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_rooms_import_from_lower_floors_and_backends_stay_in_their_files(path):
    for name in imported(path):
        top, _, room = name.partition(".")
        if top == "reference":
            below = FLOOR_OF[room.split(".")[0]] < FLOOR_OF[path.stem]
            assert below or (path.stem, room) in DOORS, f"{path.stem} → {room}"
        for library, home in (("tensorflow", "on_tensorflow"), ("jax", "on_jax")):
            assert top != library or path.stem == home


def test_every_room_has_a_floor():
    assert set(FLOOR_OF) == {path.stem for path in SOURCES} - {"__init__"} | {"served"}
