"""The side of ONNX Runtime, if it is installed, which predicts without a framework.

The model is Keras's, exported to ONNX by Keras. A session optimizes its graph as far as it can and
has as many threads as the other sides. There are two, and the faster one counts: in the first,
threads spin from one operation to the next, which is what ONNX Runtime does by default, and which
saves a third of the time of a single photo if the cores have nothing else to do; in the second they
sleep. After a call no thread spins, because it would take a core from the side that is measured
next.
"""

import importlib.util
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Side, Way

Array = np.ndarray

NAME = "ONNX Runtime"
PACKAGES = ("onnxruntime", "onnx", "tf2onnx")  # the last two: Keras writes its files with them


def installed() -> bool:
    """Return whether ONNX Runtime, and what Keras needs to write its files, are installed."""
    return all(importlib.util.find_spec(name) for name in ("tensorflow", *PACKAGES))


def exported(model: Any, folder: Path) -> Path:
    """Write a built model of Keras's as ONNX; returns the file's name."""
    path = folder / "model.onnx"
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports what was called
    model.export(str(path), format="onnx", verbose=False)
    return path


def opened(path: Path | str, threads: int, spin: bool = True) -> Callable[[Array], Any]:
    """Return the function of x that a session of ONNX Runtime for this file computes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.add_session_config_entry("session.force_spinning_stop", str(int(spin)))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})


def sessions_of(model: Any, threads: int) -> dict[str, Callable[[Array], Any]]:
    """Return the sessions for a built model of Keras's, by the names of their ways."""
    with tempfile.TemporaryDirectory() as folder:
        path = exported(model, Path(folder))
        return {"spinning": opened(path, threads), "sleeping": opened(path, threads, spin=False)}


def side(sessions: dict[str, Callable[[Array], Any]], x: Array) -> Side:
    """Return the predictions for x."""
    return Side(NAME, [Way(name, partial(run, x), list) for name, run in sessions.items()])
