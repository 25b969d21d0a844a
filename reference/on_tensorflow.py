"""Code for TensorFlow; this is the only file here that imports tensorflow."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def version() -> str:
    return str(tf.__version__)


def gpus() -> list[str]:
    details = tf.config.experimental.get_device_details
    return [
        details(device).get("device_name", device.name)
        for device in tf.config.list_physical_devices("GPU")
    ]


def make_exact() -> None:
    """Compute products and convolutions of float32 in float32, not in TF32."""
    tf.config.experimental.enable_tensor_float_32_execution(False)


def prepare(use_gpu: bool) -> None:
    """Allocate GPU memory as needed, not all at once, or hide the GPUs."""
    for device in tf.config.list_physical_devices("GPU"):
        if use_gpu:
            tf.config.experimental.set_memory_growth(device, True)
    if not use_gpu:
        tf.config.set_visible_devices([], "GPU")


def make_deterministic() -> None:
    tf.config.experimental.enable_op_determinism()


def mirrored(devices: list[str] | None = None) -> Any:
    """Keep a copy of the model on each GPU (or these devices) and share each batch among them."""
    return tf.distribute.MirroredStrategy(devices)


def scope(strategy: Any) -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = strategy.scope()
    return context


def run_tflite(path: Path, x: np.ndarray) -> np.ndarray:
    """Compute the outputs of a TFLite file, photo by photo."""
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    into = interpreter.get_input_details()[0]["index"]
    out = interpreter.get_output_details()[0]["index"]
    rows = []
    for photo in x:
        interpreter.set_tensor(into, photo[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(out)[0])
    return np.stack(rows)
