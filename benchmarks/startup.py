"""Measures a fresh process: imports, first prediction, first epoch, peak memory.

Each round starts a new process for each side, in the opposite order every other round. Both run the
same lines, since minicnn has Keras's names; they have the same weights, and their first predictions
are compared. TensorFlow's import is only `import tensorflow`, and its first prediction is
`model(x)`, its fastest, which traces no graph. ONNX Runtime opens a file of the same network; it
cannot train. minicnn is measured with the compiled code of an earlier process, and in other rounds
with an empty `MINICNN_CACHE_DIR`, as directly after installation.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import built, on_onnx, processes
from benchmarks.harness import THEIRS, Job, Row, Session, Times, difference
from benchmarks.networks import sides_with_library

SUBJECT = "startup"
_IMAGES = 1000  # of 64x64 pixels, as `minicnn demo` trains on

_CODE = """
import json, time
start = time.perf_counter()
import {first}
imported = time.perf_counter() - start
import {library} as library
import numpy as np
if "{library}" == "keras":
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads({threads})
    tf.config.threading.set_inter_op_parallelism_threads(1)
else:
    library.config.set_num_threads({threads})
from benchmarks import built
model = built.with_weights(built.small_cnn(library, 64))
x = np.random.default_rng(1).standard_normal(({images}, 64, 64, 3), np.float32)
built = time.perf_counter()
y = np.asarray({call})
done = time.perf_counter()
told = {{"import": imported, "first": done - built, "total": done - start, "y": y.tolist()}}
{memory}
if {work!r} == "predict":
    model.predict(x, batch_size=32, verbose=0)
    told["memory"] = peak_memory()
if {work!r} == "fit":
    loss = library.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.Adam(), loss)
    y = np.eye(10, dtype=np.float32)[np.arange(len(x)) % 10]
    history = model.fit(x, y, batch_size=32, shuffle=False, verbose=0)
    told["epoch"], told["loss"] = time.perf_counter() - start, history.history["loss"]
    told["memory"] = peak_memory()
print(json.dumps(told))
"""

_ONNX_CODE = """
import json, time
start = time.perf_counter()
import onnxruntime
imported = time.perf_counter() - start
import numpy as np
from benchmarks import on_onnx
run = on_onnx.opened({path!r}, {threads})
x = np.random.default_rng(1).standard_normal(({images}, 64, 64, 3), np.float32)
built = time.perf_counter()
y = run(x[:1])[0]
done = time.perf_counter()
told = {{"import": imported, "first": done - built, "total": done - start, "y": y.tolist()}}
{memory}
for k in range(0, len(x), 32):
    run(x[k : k + 32])
told["memory"] = peak_memory()
print(json.dumps(told))
"""

_SIDES = {
    "minicnn": {"first": "minicnn", "call": "model.predict(x[:1], verbose=0)"},
    "keras": {"first": "tensorflow", "call": "model(x[:1], training=False)"},
}


def jobs(session: Session) -> list[Job]:
    """Return the jobs: the warm start, the cold one, and memory."""
    return [
        Job("start of a second process", lambda: _warm(session)),
        Job("start of the first process", lambda: _cold(session)),
        *(
            Job(f"peak memory of {work}", lambda work=work: _memory(session, work))  # type: ignore[misc]
            for work in ("predict", "fit")
        ),
    ]


@contextmanager
def _predicting(session: Session) -> Iterator[list[tuple[str, str]]]:
    """Yield the sides that predict: (side, library, or the file that ONNX Runtime opens)."""
    sides = sides_with_library(session)
    with tempfile.TemporaryDirectory() as folder:
        if session.wants(on_onnx.NAME) and on_onnx.installed():
            import keras

            model = built.with_weights(built.small_cnn(keras, 64))
            sides.append((on_onnx.NAME, str(on_onnx.exported(model, Path(folder)))))
        yield sides


def _told(
    session: Session, library: str, work: str = "", images: int = 256, **environment: str
) -> dict[str, Any]:
    settings = {"images": images, "memory": processes.PEAK_MEMORY, "threads": session.threads}
    if library in _SIDES:
        code = _CODE.format(library=library, work=work, **settings, **_SIDES[library])
    else:
        code = _ONNX_CODE.format(path=library, **settings)
    found: dict[str, Any] = processes.fresh(code, environment)
    return found


def _row(group: str, work: str, unit: str = "s") -> Row:
    return Row(SUBJECT, group, group, work, 1, unit=unit)


def _warm(session: Session) -> list[Row]:
    rows = {
        "import": _row("import", "alone"),
        "first": _row("first prediction after the import", "kernels on disk"),
        "total": _row("import and first prediction", "kernels on disk"),
    }
    with _predicting(session) as sides:
        found: dict[str, list[dict[str, Any]]] = {side: [] for side, _ in sides}
        answers = {side: _told(session, library)["y"] for side, library in sides}  # fills caches
        for row in rows.values():
            _compare(row, answers)
        if any(row.disagreeing for row in rows.values()):
            return list(rows.values())
        for number in range(2 if session.quick else 5):
            for side, library in reversed(sides) if number % 2 else sides:
                found[side].append(_told(session, library))
    for key, row in rows.items():
        _fill(row, found, key)
    return list(rows.values())


def _cold(session: Session) -> list[Row]:
    """The others keep no compiled code: their first process is like any other."""
    first = _row("import and first prediction, nothing compiled yet", "empty cache")
    epoch = _row("import and first epoch, nothing compiled yet", f"{_IMAGES} images, empty cache")
    with _predicting(session) as sides:
        found: dict[str, list[dict[str, Any]]] = {side: [] for side, _ in sides}
        for number in range(1 if session.quick else 3):
            for side, library in reversed(sides) if number % 2 else sides:
                with tempfile.TemporaryDirectory() as empty:
                    found[side].append(
                        _told(session, library, "fit", _IMAGES, MINICNN_CACHE_DIR=empty)
                    )
    _compare(first, {side: told[0]["y"] for side, told in found.items()})
    trained = {side: told for side, told in found.items() if "loss" in told[0]}
    _compare(epoch, {side: told[0]["loss"] for side, told in trained.items()})
    if first.disagreeing or epoch.disagreeing:
        return [row for row in (first, epoch) if row.disagreeing]
    _fill(first, found, "total")
    _fill(epoch, trained, "epoch")
    return [first, epoch]


def _compare(row: Row, answers: dict[str, Any]) -> None:
    """Compare each side's answer with TensorFlow's, if it is among them."""
    if len(answers) > 1:
        row.judge = THEIRS if THEIRS in answers else list(answers)[-1]
        expected = [np.asarray(answers[row.judge])]
        row.differences = {
            side: difference([np.asarray(answer)], expected) for side, answer in answers.items()
        }


def _fill(row: Row, found: dict[str, list[dict[str, Any]]], key: str) -> None:
    for side, told in found.items():
        row.times[side] = Times([[each[key]] for each in told], "fresh process")


def _memory(session: Session, work: str) -> list[Row]:
    row = _row(f"peak memory of {work}", f"{work}, batches of 32", "bytes")
    with _predicting(session) as sides:
        for side, library in sides:
            if work == "predict" or library in _SIDES:
                told = _told(session, library, work)
                row.times[side] = Times([[float(told["memory"])]], "fresh process")
    return [row]
