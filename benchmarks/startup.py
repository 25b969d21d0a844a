"""Measures a fresh process: imports, first prediction, first epoch, peak memory.

Each round starts a new process for each side, in the opposite order every other round. Both run the
same lines, since minicnn has Keras's names; they have the same weights, and their first predictions
are compared. TensorFlow's import is only `import tensorflow`, and its first prediction is
`model(x)`, its fastest, which traces no graph. minicnn is measured with the compiled code of an
earlier process, and in other rounds with an empty `MINICNN_CACHE_DIR`, as directly after
installation.
"""

import tempfile
from typing import Any

import numpy as np

from benchmarks import processes
from benchmarks.harness import OURS, Job, Row, Session, Times, difference
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
model = built.small_cnn(library, 64)
rng = np.random.default_rng(0)
model.set_weights([rng.standard_normal(w.shape) * 0.05 for w in model.get_weights()])
x = rng.standard_normal(({images}, 64, 64, 3), np.float32)
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


def _told(
    session: Session, library: str, work: str = "", images: int = 256, **environment: str
) -> dict[str, Any]:
    code = _CODE.format(
        library=library, work=work, images=images, memory=processes.PEAK_MEMORY,
        threads=session.threads, **_SIDES[library],
    )  # fmt: skip
    found: dict[str, Any] = processes.fresh(code, environment)
    return found


def _row(group: str, work: str, unit: str = "s") -> Row:
    return Row(SUBJECT, group, group, work, 1, unit=unit)


def _warm(session: Session) -> list[Row]:
    sides = sides_with_library(session)
    rows = {
        "import": _row("import", "import alone"),
        "first": _row("first call of a second process", "first prediction"),
        "total": _row("second process's first prediction", "import to first prediction"),
    }
    found: dict[str, list[dict[str, Any]]] = {side: [] for side, _ in sides}
    answers = {side: _told(session, library)["y"] for side, library in sides}  # fills the caches
    if len(answers) > 1:
        ours, theirs = ([np.asarray(answers[side])] for side, _ in sides)
        off = difference(ours, theirs)
        for row in rows.values():
            row.judge = sides[-1][0]
            row.differences = {OURS: off, row.judge: 0.0}
        if any(row.disagreeing for row in rows.values()):
            return list(rows.values())
    for number in range(2 if session.quick else 5):
        for side, library in reversed(sides) if number % 2 else sides:
            found[side].append(_told(session, library))
    for key, row in rows.items():
        for side, told in found.items():
            row.times[side] = Times([[each[key]] for each in told], "fresh process")
    return list(rows.values())


def _cold(session: Session) -> list[Row]:
    """TensorFlow keeps no compiled code: its first process is like any other."""
    first = _row("first process's first prediction", "import to first prediction, empty cache")
    epoch = _row("first process's first epoch", f"import to the end of {_IMAGES} images' epoch")
    sides = sides_with_library(session)
    found: dict[str, list[dict[str, Any]]] = {side: [] for side, _ in sides}
    for number in range(1 if session.quick else 3):
        for side, library in reversed(sides) if number % 2 else sides:
            with tempfile.TemporaryDirectory() as empty:
                found[side].append(_told(session, library, "fit", _IMAGES, MINICNN_CACHE_DIR=empty))
    if len(sides) > 1:
        ours, theirs = ([np.asarray(found[side][0]["loss"])] for side, _ in sides)
        epoch.judge = sides[-1][0]
        epoch.differences = {OURS: difference(ours, theirs), epoch.judge: 0.0}
        if epoch.disagreeing:
            return [epoch]
    for row, key in ((first, "total"), (epoch, "epoch")):
        for side, told in found.items():
            row.times[side] = Times([[each[key]] for each in told], "fresh process")
    return [first, epoch]


def _memory(session: Session, work: str) -> list[Row]:
    row = _row(f"peak memory of {work}", f"{work}, batches of 32", "bytes")
    for side, library in sides_with_library(session):
        told = _told(session, library, work)
        row.times[side] = Times([[float(told["memory"])]], "fresh process")
    return [row]
