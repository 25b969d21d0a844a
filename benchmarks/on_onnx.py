"""The side of ONNX Runtime, if it is installed, which predicts without a framework.

The model is Keras's, exported to ONNX by Keras. The session optimizes its graph as far as it can
and has as many threads as the other sides. Its threads do not spin between calls, because they
would take cores from the side that is being measured.
"""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Side, Way

Array = np.ndarray

NAME = "ONNX Runtime"


def installed() -> bool:
    """Return whether ONNX Runtime, and what Keras needs to write its files, are installed."""
    return all(importlib.util.find_spec(name) for name in ("onnxruntime", "onnx", "tf2onnx"))


def session_of(model: Any, threads: int) -> Any:
    """Return a session of ONNX Runtime for a built model of Keras's."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports what was called
        model.export(str(path), format="onnx", verbose=False)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def side(session: Any, x: Array) -> Side:
    """Return the predictions for x."""
    name = session.get_inputs()[0].name
    return Side(NAME, [Way("session", lambda: session.run(None, {name: x}), list)])
