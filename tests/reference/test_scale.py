"""Training on several devices: JAX in several processes, and TensorFlow's copies on devices."""

import ast
import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from mirrored import train_on

import reference
from benchmarks import accelerator
from reference import backend, data, evaluate
from reference import model as models

ROOT = Path(__file__).parents[2]
# Compiling takes most of the time; at level 0, XLA's graph is the same, but its loops are slower.
QUICKLY_COMPILED = "--xla_backend_optimization_level=0"
needs_jax = pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="needs jax")


def history(folder):
    rows = list(csv.DictReader((folder / "history.csv").open()))
    return np.array([[float(value) for value in row.values()] for row in rows])


# Runs the commands in turn, in one group of processes, and dies after an epoch if told to. It finds
# neither TensorFlow nor scikit-learn: training on JAX needs none of them, Keras would import both,
# and importing TensorFlow would take as long as everything else.
ON_JAX = """
import functools, json, sys

class OnlyWhatJaxNeeds:
    def find_spec(name, path=None, target=None):
        if name in ("tensorflow", "sklearn"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, OnlyWhatJaxNeeds)
from killed import die_after
from reference import on_jax, train

on_jax.Processes = functools.cache(on_jax.Processes)
commands, last = json.loads(sys.argv[1])
die_after(last)
sys.exit(max(train.run(command) for command in commands))
"""


def start(commands, compiled, last=None):
    told = [[*map(str, command), "--device", "cpu"] for command in commands]
    return subprocess.Popen(
        # On a CPU: two processes cannot share one GPU.
        [sys.executable, "-c", ON_JAX, json.dumps([told, last])],
        cwd=compiled.parent,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'helpers'}",
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": QUICKLY_COMPILED,
            "JAX_COMPILATION_CACHE_DIR": str(compiled),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "jit_compile=False" not in err, "JAX is slow where it does not compile"
    return out


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.slow
@needs_jax
def test_two_processes_train_and_augment_as_one_does_and_survive_the_death_of_one(
    clothes, tiny_base, tmp_path
):
    photos = tmp_path / "photos"  # without test photos, which only one process would judge
    for split in ("train", "validation"):
        shutil.copytree(clothes / split, photos / split)
    told = ["--data", photos, "--base", tiny_base, "--image-size", 48, "--learning-rate", 0.05]
    tuned = [
        *told, "--dropout", 0.2, "--epochs", 5, "--fine-tune", "block2", "--fine-tune-epochs", 2,
        "--fine-tune-rate", 0.01,
    ]  # fmt: skip
    moved = [*told, "--augment", "--epochs", 2, "--batch-size", 40]  # equal batches compile once
    alone, group, compiled = tmp_path / "alone", tmp_path / "group", tmp_path / "compiled"

    def together(*commands, ends=(None, None)):
        shared = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", 2]
        return [
            start(
                [
                    [
                        *command,
                        "--cache",
                        tmp_path / f"cache{index}",
                        *shared,
                        "--process-id",
                        index,
                    ]
                    for command in commands
                ],
                compiled,
                last,
            )
            for index, last in enumerate(ends)
        ]

    tuned_group = [*tuned, "--output", group / "tuned"]
    first, second = together(tuned_group, ends=(3, None))
    err = second.communicate(timeout=300)[1]
    assert second.returncode != 0
    assert re.search(r"Process 1 of 2 .*was lost\. Start all of them again with --resume", err)
    assert first.wait(timeout=300) == -signal.SIGKILL
    first.communicate()
    assert len(history(group / "tuned")) == 3

    printed = [
        finish(process)
        for process in together([*tuned_group, "--resume"], [*moved, "--output", group / "moved"])
    ]
    assert "Going on after epoch 3." in printed[0]
    assert "process 0 of 2" in printed[0]
    assert "Augmented photos are new each time" in printed[0]
    spoken = [line for line in printed[1].splitlines() if not line.startswith("[Gloo]")]
    assert spoken == [], "only the first one speaks"

    commands = [[*tuned, "--output", alone / "tuned"], [*moved, "--output", alone / "moved"]]
    finish(start(commands, compiled))
    for run, epochs in (("tuned", 7), ("moved", 2)):
        assert len(history(alone / run)) == epochs
        found, wanted = (history(folder / run) for folder in (group, alone))
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-6)
    # TensorFlow opens what JAX trained: the file does not name the backend.
    saved = models.load(group / "tuned" / "model.keras")
    judged = evaluate.evaluate(saved, data.find(clothes).validation)
    best = history(alone / "tuned")[:, 4].max()
    assert judged.accuracy == pytest.approx(best, abs=1e-6)
    ours, theirs = (
        models.load(folder / "moved" / "model.keras").model.get_weights()
        for folder in (group, alone)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_copies_on_two_devices_train_what_one_does(clothes, tiny_base, tmp_path, eagerly):
    command = [sys.executable, "-m", "mirrored", clothes, tiny_base, tmp_path / "two"]
    found = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'helpers'}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    assert "mirrored on 2 devices" in found.stdout
    train_on(backend.default(), clothes, tiny_base, tmp_path / "one")
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
    ("archives", "calibration", "config", "lists", "served", "sizes", "schedules"), ("console",),
    ("on_tensorflow", "on_jax"), ("backend",), ("data", "loggers"), ("model", "report"),
    ("batches",), ("tuning",), ("augmenting", "ensemble", "features", "serve"),
    ("fitting", "audit", "mistakes"), ("evaluate",),
    ("running", "starting", "predict", "export"), ("sweep", "find_rate"), ("folds",), ("preset",),
    ("train",), ("compare", "course"),
)  # fmt: skip
# The command, which reports on the data, leads up; and mistakes names the class of what it shows.
DOORS = {("data", "audit"), ("mistakes", "evaluate")}
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


def test_the_list_of_rooms_is_that_of_the_floors():
    rooms = reference.__doc__.split("in this list:")[1].split("Those that are")[0]
    listed = re.findall("^    (\\w+)  ", rooms, re.MULTILINE)
    assert sorted(listed) == sorted(FLOOR_OF)
    floors = [FLOOR_OF[room] for room in listed]
    assert floors == sorted(floors)
