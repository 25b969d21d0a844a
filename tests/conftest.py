"""All tests share this: random numbers that do not depend on earlier tests, photos, a tiny base."""

import gc
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minicnn import compilation, config, utils

HELPERS = Path(__file__).parent / "helpers"
pytest.register_assert_rewrite(*(path.stem for path in HELPERS.glob("*.py")))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # or TensorFlow starts with a page of messages

# `reference/` uses Keras: its tests are not collected where Keras is not installed.
collect_ignore = [] if importlib.util.find_spec("keras") else ["reference"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `reference/` and those in a browser; other tests carry their own marks.

    Tests in a browser are slow: it takes long to start, and a test clicks many times.
    """
    for item in items:
        if item.path.parent.name == "reference":
            item.add_marker("keras")
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Spare the garbage collector from going through all of TensorFlow again and again.

    That took a third of the time of many tests, and what is imported by now stays anyway.
    """
    gc.collect()
    gc.freeze()


# How many threads NumPy's, TensorFlow's, and every OpenMP library's operations use.
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Share the cores among xdist's workers, and let an interrupt stop all processes of the tests.

    Libraries beside which minicnn is tested would start a thread per core in each worker, and
    threads that wait for each other's core take a tenth of the suite's time. minicnn keeps its
    threads: with one per worker the tests take as long, and would see less. The workers start
    later, with this environment.

    A shell that starts tests in the background makes them, and what they start, ignore interrupts.
    """
    workers = getattr(config.option, "numprocesses", None)
    if workers:
        share = max(1, (os.cpu_count() or 1) // workers)
        for name in THREADS:
            os.environ.setdefault(name, str(share))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


CLASSES = (
    "dress", "hat", "longsleeve", "outwear", "pants",
    "shirt", "shoes", "shorts", "skirt", "t-shirt",
)  # fmt: skip
COUNTS = {"train": 12, "validation": 6, "test": 4}


@pytest.fixture(scope="session", autouse=True)
def _compiling_is_not_told():
    """Print nothing about compiling, so stderr does not depend on which kernels are compiled."""
    compilation.show(False)


@pytest.fixture(autouse=True)
def _start_anew() -> Iterator[None]:
    """Start anew, so that a test's names and weights do not depend on earlier tests."""
    utils.clear_session()
    utils.set_random_seed(0)
    yield
    config.set_floatx("float32")


@pytest.fixture(autouse=True)
def _no_thread_is_left_over() -> Iterator[None]:
    """Assert that threads that read ahead have ended; those that compute stay."""
    before = set(threading.enumerate())
    yield
    left = {t for t in threading.enumerate() if t not in before and t.name.startswith("minicnn")}
    assert not {t for t in left if not t.name.startswith("minicnn-compute")}


@pytest.fixture(scope="session", autouse=True)
def _keras_does_not_compile():
    """Keep Keras from handing models to XLA, which takes longer than small models take to run.

    It does not if operations must be deterministic, which on a CPU they are anyway.
    """
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].config.experimental.enable_op_determinism()


@pytest.fixture(scope="session")
def clothes(tmp_path_factory):
    """Write photos that even a tiny network learns a little from: a class has nearly one colour."""
    folder = tmp_path_factory.mktemp("photos") / "clothes"
    rng = np.random.default_rng(0)
    colours = rng.normal(size=(len(CLASSES), 3))
    colours *= 60 / np.linalg.norm(colours, axis=1, keepdims=True)
    for split, count in COUNTS.items():
        for name, colour in zip(CLASSES, colours, strict=True):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                photo = (
                    128 + colour + rng.normal(scale=18, size=3) + rng.normal(size=(48, 56, 3)) * 20
                )
                image = Image.fromarray(photo.clip(0, 255).astype(np.uint8))
                image.save(folder / split / name / f"{name}-{index:04d}.jpg", quality=90)
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """Write a `.keras` file of a base that gives features: two blocks with random weights."""
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="block1_conv")(inputs)
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    x = keras.layers.SeparableConv2D(24, 3, strides=2, activation="relu", name="block2_conv")(x)
    x = keras.layers.BatchNormalization(name="block2_bn")(x)
    path = tmp_path_factory.mktemp("base") / "tiny.keras"
    keras.Model(inputs, x, name="tiny").save(path)
    return path


@pytest.fixture
def server() -> Iterator[Any]:
    """Start a local web server; `helpers/downloads.py` says what it answers."""
    from downloads import Server

    found = Server()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def pipes_end(tmp_path):
    """End the test's pipes after a while, so that code that opens one does not hang."""

    def end():
        for path in tmp_path.rglob("*"):
            if path.is_fifo():
                os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    timer = threading.Timer(20, end)
    timer.start()
    yield
    timer.cancel()
    timer.join()


@pytest.fixture
def pipe(tmp_path, pipes_end):
    """Make a pipe that nothing writes to: opening it to read would wait."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"
