"""Measures whole networks: photos per second, latency and peak memory of `predict`.

All sides have the same weights. minicnn takes and returns NumPy arrays, as a user of `predict`
does, and so does ONNX Runtime; TensorFlow takes tensors that exist already. TensorFlow may use
Keras's `predict_on_batch`, a `tf.function` of the model, the same with its weights as constants
(which lets TensorFlow fold normalizations into convolutions, as minicnn does), or compiled by XLA,
and the fastest counts. (XLA takes up to a minute to compile a large network, so if it was clearly
slower at one batch size of a network, the next one does without it.)

Peak memory is that of a fresh process which builds the network (ONNX Runtime: reads its file) and
predicts one batch, including imports: the memory that a machine needs to do this at all.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minicnn
from benchmarks import built, on_onnx, on_tensorflow, processes
from benchmarks.harness import OURS, THEIRS, Job, Row, Session, Side, Times, Way, measure

SUBJECT = "networks"


def jobs(session: Session) -> list[Job]:
    """Return each network, size and batch; then the memory."""
    shared: dict[Any, Any] = {}
    found = [_job(session, name, size, batch, shared) for name, size, batch in cases(session.quick)]
    for name in ["small CNN"] if session.quick else built.NETWORKS:
        found.append(_memory_job(session, name, 150, 1 if session.quick else 32))
    return found


def cases(quick: bool) -> list[tuple[str, int, int]]:
    """Return (network, side of the photos, batch), batches in ascending order."""
    if quick:
        return [("small CNN", 150, 1), ("small CNN", 150, 32), ("MobileNet", 150, 1)]
    first, more = list(built.NETWORKS)[:3], list(built.NETWORKS)[3:]
    found = [(name, size, b) for name in first for size in (150, 299) for b in (1, 8, 32)]
    return found + [(name, 150, b) for name in more for b in (1, 32)]


def _group(name: str, batch: int) -> str:
    return f"predict: {name}, batch {batch}"


def _job(session: Session, name: str, size: int, batch: int, shared: dict[Any, Any]) -> Job:
    title = f"{name} {size}×{size}"
    row = Row(SUBJECT, _group(name, batch), title, "predict", batch, photos=batch)

    def run() -> list[Row]:
        if (name, size) not in shared:
            shared.clear()  # one network at a time
            shared[name, size] = pair(built.NETWORKS[name], size, session)
            theirs = shared[name, size][1]
            if theirs is not None and session.wants(on_onnx.NAME) and on_onnx.installed():
                shared["onnx"] = on_onnx.sessions_of(theirs, session.threads)
        ours, theirs = shared[name, size]
        x = np.random.default_rng(0).standard_normal((batch, size, size, 3), np.float32)
        found = [Side(OURS, ways(ours, x))]
        if theirs is not None and session.wants(THEIRS):
            found.append(Side(THEIRS, their_ways(theirs, x, not shared.get("slow"))))
        if "onnx" in shared:
            found.append(on_onnx.side(shared["onnx"], x))
        measure(row, [side for side in found if session.wants(side.name)], session.effort)
        if theirs is not None and THEIRS in row.times:
            shared["slow"] = row.times[THEIRS].lost("XLA")
        return [row]

    return Job(row.title, run)


def pair(build: Callable[[Any, int], Any], size: int, session: Session) -> tuple[Any, Any]:
    """Return the network of minicnn and that of Keras, with the same weights.

    The latter is None if Keras is not installed, or if no side that comes from it is wanted.
    """
    if not on_tensorflow.installed() or not (session.wants(THEIRS) or session.wants(on_onnx.NAME)):
        return build(minicnn, size), None
    import keras

    theirs = build(keras, size)
    return minicnn.models.from_keras(theirs), theirs


def ways(model: Any, x: Any) -> list[Way]:
    """Return the ways in which a user of minicnn predicts."""
    return [
        Way(
            "predict",
            lambda: model.predict(x, batch_size=len(x), verbose=0),
            lambda y: [np.array(y)],
        )
    ]


def their_ways(model: Any, x: Any, xla: bool) -> list[Way]:
    """Return the usual way of a user of Keras, and the ways to be faster."""
    import tensorflow as tf

    tensor = tf.constant(x)
    signature = [tf.TensorSpec(x.shape, tf.float32)]

    def graph(jit_compile: bool) -> Any:
        return tf.function(
            lambda x: model(x, training=False), input_signature=signature, jit_compile=jit_compile
        )

    def frozen() -> Callable[[], Any]:
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        function = convert_variables_to_constants_v2(graph(False).get_concrete_function())
        return lambda: function(tensor)[0]

    in_turn, compiled = graph(False), graph(True)
    found = [
        Way("graph", lambda: in_turn(tensor), lambda y: [y.numpy()]),
        Way("frozen graph", frozen(), lambda y: [y.numpy()]),
        Way("predict_on_batch", lambda: model.predict_on_batch(tensor), lambda y: [np.array(y)]),
    ]
    if xla:
        found.append(Way("XLA", lambda: compiled(tensor), lambda y: [y.numpy()]))
    return found


# ---------------------------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------------------------

_CODE = """
import json, sys
import numpy as np
{memory}
from benchmarks import built
import {library} as library
if {threads} and "{library}" == "keras":
    from benchmarks import on_tensorflow
    on_tensorflow.start({threads})
elif {threads}:
    from benchmarks import threads
    threads.set_threads({threads})
model = built.NETWORKS["{name}"](library, {size})
x = np.random.default_rng(0).standard_normal(({batch}, {size}, {size}, 3), np.float32)
y = model.{call}
assert y.shape[0] == {batch}
print(json.dumps(peak_memory()))
"""

_CALLS = {
    "minicnn": "predict(x, batch_size=len(x), verbose=0)",
    "keras": "predict_on_batch(x)",
}


def _memory_job(session: Session, name: str, size: int, batch: int) -> Job:
    row = Row(
        SUBJECT, "peak memory of predict", f"memory of {name} {size}×{size}", "predict", batch,
        unit="bytes", photos=batch,
    )  # fmt: skip

    def run() -> list[Row]:
        if session.wants(on_onnx.NAME) and on_onnx.installed():
            row.times[on_onnx.NAME] = Times(
                [[_onnx_memory(session, name, size, batch)]], "fresh process"
            )
        for side, library in sides_with_library(session):
            code = _CODE.format(
                memory=processes.PEAK_MEMORY, library=library, name=name, size=size, batch=batch,
                call=_CALLS[library], threads=session.threads,
            )  # fmt: skip
            row.times[side] = Times([[float(processes.fresh(code, {}))]], "fresh process")
        return [row]

    return Job(row.title, run)


_ONNX_CODE = """
import json
import numpy as np
{memory}
from benchmarks import on_onnx
run = on_onnx.opened({path!r}, {threads})
y = run(np.random.default_rng(0).standard_normal(({batch}, {size}, {size}, 3), np.float32))[0]
assert y.shape[0] == {batch}
print(json.dumps(peak_memory()))
"""


def _onnx_memory(session: Session, name: str, size: int, batch: int) -> float:
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = on_onnx.exported(built.NETWORKS[name](keras, size), Path(folder))
        code = _ONNX_CODE.format(
            memory=processes.PEAK_MEMORY, path=str(path), size=size, batch=batch,
            threads=session.threads,
        )  # fmt: skip
        return float(processes.fresh(code, {}))


def sides_with_library(session: Session) -> list[tuple[str, str]]:
    """Return (side, the module that a process of it imports)."""
    found = [(OURS, "minicnn")]
    if on_tensorflow.installed():
        found.append((THEIRS, "keras"))
    return [(side, library) for side, library in found if session.wants(side)]
