"""Hand a trained model on: as `.keras` (Keras, minicnn), TFLite (phones) or ONNX (other runtimes).

    python -m reference.export runs/reference/model.keras --format tflite,onnx

Beside each file for another runtime stands a .json with class names, image size and interpolation;
pixels go in as float32 from 0 to 255, logits come out. Each file is run on some pictures, where its
runtime is installed, and compared with the model.
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

from minicnn.atomic import replacing
from reference import backend
from reference import model as models
from reference.console import main, make_parser, say
from reference.model import Saved

Array = np.ndarray

FORMATS = ("keras", "tflite", "onnx")
TOLERANCE = 1e-3  # relative to the largest logit


def export(saved: Saved, source: Path, target: Path, kind: str) -> float | None:
    """Write the model to `target`; returns the largest relative difference of its logits.

    None where the format's runtime is not installed. Raises `ImportError` where the packages that
    write the format are missing, `ValueError` if the written file does not agree with the model.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == "keras":
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
        return None if not backend.installed("minicnn") else _compare(saved, target, kind)
    _check_packages(kind)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        written = Path(folder) / target.name
        saved.model.export(
            str(written), format={"tflite": "litert", "onnx": "onnx"}[kind], verbose=False
        )
        difference = _compare(saved, written, kind)
        written.replace(target)
    about = saved.about
    told = {
        "class_names": about.class_names,
        "image_size": about.image_size,
        "interpolation": about.interpolation,
        "input": "float32 (1, height, width, 3), red green blue from 0 to 255",
        "output": "logits; softmax makes probabilities of them",
    }
    with replacing(target.with_name(target.name + ".json")) as temporary:
        temporary.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    return difference


def _check_packages(kind: str) -> None:
    name = keras.backend.backend()
    if kind == "tflite" and name != "tensorflow":
        raise ImportError(f"TFLite files are written with TensorFlow. The backend is {name}.")
    needed = {"tflite": ["tensorflow"], "onnx": ["onnx", "tf2onnx"]}[kind]
    if kind == "onnx" and name == "torch":
        needed = ["onnx", "onnxscript"]
    missing = [package for package in needed if not backend.installed(package)]
    if missing:
        raise ImportError(f"--format {kind} needs {' and '.join(missing)}: pip install them.")


def _compare(saved: Saved, path: Path, kind: str) -> float | None:
    size = saved.about.image_size
    pictures = np.random.default_rng(0).uniform(0, 255, (4, size, size, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(saved.model.predict_on_batch(pictures))
    found = _run(path, pictures, kind)
    if found is None:
        return None
    difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    if not difference < TOLERANCE:
        raise ValueError(f"The {kind} file's logits differ by {difference:.1e} from the model's.")
    return difference


def _run(path: Path, x: Array, kind: str) -> Array | None:
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
    saved = models.load(options.model)
    for kind in kinds:
        target = options.output / f"{options.model.stem}.{kind}"
        difference = export(saved, options.model, target, kind)
        told = "not compared: its runtime is not installed"
        if difference is not None:
            told = f"logits within {difference:.0e} of the model's"
            if kind == "keras":
                told += ", computed by minicnn"
        say(f"Wrote {target} ({target.stat().st_size / 2**20:.1f} MB; {told}).")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, None if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(run())
