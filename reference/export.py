"""Export a trained model as `.keras` (Keras, minicnn), TFLite (phones) or ONNX (other runtimes).

    python -m reference.export runs/reference/model.keras --format tflite,onnx

Each file for another runtime gets a .json beside it with class names, image size and interpolation;
pixels go in as float32 from 0 to 255, logits come out. If a file's runtime is installed, the export
runs the file on some images and compares the result with the model's.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from minicnn._support.atomic import replacing
from minicnn._support.terminal import pip_install, say
from reference import backend
from reference import model as models
from reference.console import main, make_parser, reason
from reference.model import Saved

Array = np.ndarray

FORMATS = ("keras", "tflite", "onnx")
TOLERANCE = 1e-3  # relative to the largest logit


def export(saved: Saved, source: Path, target: Path, kind: str) -> float | None:
    """Write the model to `target`; returns the largest relative difference of its logits.

    The difference is None if nothing here can run the file: its runtime is not installed, or
    minicnn lacks one of the layers. Raises `ImportError` if packages that write the format are
    missing, and `ValueError` if Keras cannot write it or the file does not agree with the model.
    """
    if kind == "keras":
        difference = None if models.minicnn_lacks(source) else _compare(saved, source, kind)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
        return difference
    _check_packages(kind)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        written = Path(folder) / target.name
        # Keras's exporter to ONNX asks for a model that has been called.
        saved.model(np.zeros((1, *saved.model.input_shape[1:]), np.float32), training=False)
        try:
            saved.model.export(
                str(written), format={"tflite": "litert", "onnx": "onnx"}[kind], verbose=False
            )
            difference = _compare(saved, written, kind)
        except Exception as error:  # one of the many converters may raise anything
            raise ValueError(
                f"Keras on {keras.backend.backend()} makes no {kind} file of this model that its "
                f"runtime can use: {reason(error)}. {_OTHERS[kind]}"
            ) from error
        written.replace(target)
    about = saved.about
    told = {
        "class_names": about.class_names,
        "image_size": about.image_size,
        "interpolation": about.interpolation,
        "input": f"float32 {_SHAPES[kind].format(about.image_size)}, red green blue from 0 to 255",
        "output": "logits (photos, classes); softmax makes probabilities of them",
    }
    with replacing(target.with_name(target.name + ".json")) as temporary:
        temporary.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    return difference


# The input of each format, for a user who has only the file.
_SHAPES = {
    "tflite": "(1, {0}, {0}, 3), or (photos, {0}, {0}, 3) after resize_tensor_input",
    "onnx": "(photos, {0}, {0}, 3)",
}
_OTHERS = {
    "tflite": "ONNX may do: --format onnx.",
    "onnx": "Each backend writes it in its own way: KERAS_BACKEND=tensorflow, jax or torch.",
}


def _check_packages(kind: str) -> None:
    name = keras.backend.backend()
    if kind == "tflite" and name != "tensorflow":
        raise ImportError(
            f"TFLite files are written with TensorFlow: KERAS_BACKEND=tensorflow opens the same "
            f"model file. The backend is {name}."
        )
    by_backend = {"tensorflow": ["tf2onnx"], "jax": ["jax2onnx"], "torch": ["onnxscript"]}
    needed = {"tflite": ["tensorflow"], "onnx": ["onnx", *by_backend[name]]}[kind]
    missing = [package for package in needed if not backend.installed(package)]
    if missing:
        raise ImportError(
            f"--format {kind} on {name} needs {' and '.join(needed)}: {pip_install(*missing)}"
        )


def _compare(saved: Saved, path: Path, kind: str) -> float | None:
    """Compare on several photos at once and on one: a file may be fixed to one batch size."""
    size = saved.about.image_size
    pictures = np.random.default_rng(0).uniform(0, 255, (5, size, size, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(saved.model.predict_on_batch(pictures))
    found = [run_file(path, part, kind) for part in (pictures[:4], pictures[4:])]
    known = [rows for rows in found if rows is not None]
    if not known:
        return None
    difference = float(np.abs(np.concatenate(known) - wanted).max() / np.abs(wanted).max())
    if not difference < TOLERANCE:
        raise ValueError(f"the {kind} file's logits differ by {difference:.1e} from the model's.")
    return difference


def run_file(path: Path, x: Array, kind: str) -> Array | None:
    """Return the logits that a file's own runtime computes; None if it is not installed."""
    if kind == "keras":
        from minicnn.models import load_model

        found: Array = load_model(path, compile=False).predict(x, verbose=0)
        return found
    if kind == "tflite":
        from reference import on_tensorflow

        return on_tensorflow.run_tflite(path, x)
    if not backend.installed("onnxruntime"):
        return None
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(path))
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "export",
        "Writes a model for other runtimes, and compares each file's answers with the model's.",
        "example:\n  python -m reference.export runs/reference/model.keras --format tflite",
    )
    made.add_argument("model", type=Path, metavar="MODEL", help="a file that reference.train wrote")
    made.add_argument(
        "--format", default="keras", metavar="F,…", help=f"of {', '.join(FORMATS)}; default: keras"
    )
    made.add_argument(
        "--output", type=Path, default=Path("export"), metavar="DIR", help="default: export"
    )
    return made


def command(options: argparse.Namespace) -> None:
    kinds = options.format.split(",")
    unknown = [kind for kind in kinds if kind not in FORMATS]
    if unknown:
        raise ValueError(f"--format is of {', '.join(FORMATS)}. Received {', '.join(unknown)}.")
    backend.make_exact()
    saved = models.load(options.model)
    for kind in kinds:
        target = options.output / f"{options.model.stem}.{kind}"
        difference = export(saved, options.model, target, kind)
        told = "not compared: its runtime is not installed"
        if difference is not None:
            told = f"logits within {difference:.0e} of the model's"
            if kind == "keras":
                told += ", computed by minicnn"
        elif kind == "keras":
            told = f"for Keras alone: minicnn cannot open it: {models.minicnn_lacks(options.model)}"
        say(f"Wrote {target} ({target.stat().st_size / 2**20:.1f} MB; {told}).")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, None if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(run())
