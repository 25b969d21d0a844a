"""Export a trained model as `.keras` (Keras, minicnn), TFLite (phones) or ONNX (other runtimes).

    python -m reference.export runs/reference/model.keras --format tflite,onnx
    python -m reference.export runs/reference/model.keras --format onnx --serve served

Each file for another runtime gets a .json beside it with class names, image size and interpolation;
pixels go in as float32, by default from 0 to 255, and logits come out. A file that gets pixels in
another range answers with an error if the pixels show it, instead of with nonsense. If a file's
runtime is installed, the export runs the file on some images and compares the result with the
model's. `--serve` writes a folder that runs on a server (`reference.serve`).
"""

import argparse
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from minicnn._support.arguments import PIXEL_RANGES, path_to_write
from minicnn._support.atomic import cannot_write, replacing
from minicnn._support.terminal import pip_install, python, quoted, say
from reference import backend, serve
from reference import model as models
from reference.console import check_output, main, make_parser, reason
from reference.model import Saved
from reference.served import app

Array = np.ndarray

FORMATS = ("keras", "tflite", "onnx")
TOLERANCE = 1e-3  # relative to the largest logit


def export(
    saved: Saved, source: Path, target: Path, kind: str, input_range: str = "pixels"
) -> float | None:
    """Write the model to `target`, and return the largest relative difference of its logits.

    `input_range` is the range of pixels that the file takes: "pixels" (0 to 255), "signed" (-1 to
    1), "unit" (0 to 1). The difference is None if nothing here can run the file: its runtime is not
    installed, or minicnn lacks one of the layers. Raises `ImportError` if packages that write the
    format are missing, and `ValueError` if Keras cannot write it or the file does not agree with
    the model.
    """
    if kind == "keras":
        return _copy(saved, source, target, input_range)
    _check_packages(kind)
    target.parent.mkdir(parents=True, exist_ok=True)
    difference = _convert(saved, target, kind, input_range)
    _describe(saved, target, kind, input_range)
    return difference


def _copy(saved: Saved, source: Path, target: Path, input_range: str) -> float | None:
    """Copy the model file; return how far minicnn's logits for it differ, if minicnn opens it."""
    if input_range != "pixels":
        raise ValueError(
            "A .keras file has its preprocessing inside, and takes pixels from 0 to 255. "
            f"Received --input-range {input_range}: it is for {' and '.join(_SHAPES)}."
        )
    difference = None if models.minicnn_lacks(source) else _compare(saved, source, "keras")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
    return difference


def _convert(saved: Saved, target: Path, kind: str, input_range: str) -> float | None:
    """Have Keras write the model in another format; return how far its runtime's logits differ."""
    model = with_range(saved.model, input_range, guard=kind == "tflite")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        written = Path(folder) / target.name
        # Keras's exporter to ONNX asks for a model that has been called.
        model(np.zeros((1, *model.input_shape[1:]), np.float32), training=False)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # converters warn of their own future
                model.export(
                    str(written), format={"tflite": "litert", "onnx": "onnx"}[kind], verbose=False
                )
                if kind == "onnx":
                    add_guard(written, input_range)
                difference = _compare(saved, written, kind, input_range)
        except Exception as error:  # one of the many converters may raise anything
            if isinstance(error, OSError) and cannot_write(error):
                raise OSError(f"{str(target)!r} cannot be written: {error.strerror}.") from error
            raise ValueError(
                f"Keras on {keras.backend.backend()} makes no {kind} file of this model that its "
                f"runtime can use: {reason(error)}. {_OTHERS[kind]}"
            ) from error
        written.replace(target)
    return difference


def _describe(saved: Saved, target: Path, kind: str, input_range: str) -> None:
    """Write beside the file, as JSON, what a program must know that runs it."""
    about = saved.about
    low, high = app.RANGES[input_range]
    told = {
        "class_names": about.class_names,
        "image_size": about.image_size,
        "interpolation": about.interpolation,
        "input_range": input_range,
        "input": f"float32 {_SHAPES[kind].format(about.image_size)}, red green blue from {low:g} "
        f"to {high:g}",
        "output": "logits (photos, classes); softmax makes probabilities of them",
    }
    with replacing(target.with_name(target.name + ".json")) as temporary:
        temporary.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


# ---------------------------------------------------------------------------------------------
# The range of the input
# ---------------------------------------------------------------------------------------------


def with_range(model: keras.Model, input_range: str, guard: bool = False) -> keras.Model:
    """Return the model for pixels of this range.

    With `guard`, pixels that are certainly in another range look up a number outside a table: an
    error in TFLite, which has no other way to stop.
    """
    scale, offset = PIXEL_RANGES[input_range]
    x = inputs = keras.Input(model.input_shape[1:], name="photo")
    if guard:
        low, high = _limits(input_range)
        outside = keras.ops.logical_or(keras.ops.any(x < low), keras.ops.any(x > high))
        x = x + keras.ops.take(np.zeros(1, np.float32), keras.ops.cast(outside, "int32") * 9)
    if input_range != "pixels":
        x = keras.layers.Rescaling(1 / scale, -offset / scale, name="to_pixels")(x)
    return keras.Model(inputs, model(x), name="classifier")


def add_guard(path: Path, input_range: str) -> None:
    """Let an ONNX file refuse pixels that are certainly in another range, and say so.

    ONNX has no operation that raises an error; but looking up a number outside a table does, and
    ONNX Runtime's message contains the operation's name.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["checked_photo" if part == name else part for part in node.input]
    low, high = _limits(input_range)
    for label, value in (("low", low), ("high", high)):
        graph.initializer.append(
            numpy_helper.from_array(np.array(value, np.float32), f"photo_{label}")
        )
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "photo_table"))
    least, most = app.RANGES[input_range]
    sentence = f"This model expects red, green and blue from {least:g} to {most:g}."
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("ReduceMin", [name], "photo_least", {"keepdims": 0}),
        ("ReduceMax", [name], "photo_most", {"keepdims": 0}),
        ("Less", ["photo_least", "photo_low"], "photo_below", {}),
        ("Greater", ["photo_most", "photo_high"], "photo_above", {}),
        ("Or", ["photo_below", "photo_above"], "photo_outside", {}),
        ("Cast", ["photo_outside"], "photo_index", {"to": TensorProto.INT64}),
        ("Gather", ["photo_table", "photo_index"], "photo_zero", {"name": sentence}),
        ("Add", [name, "photo_zero"], "checked_photo", {}),
    ]
    for number, (kind, inputs, output, more) in enumerate(steps):
        graph.node.insert(number, helper.make_node(kind, inputs, [output], **more))
    graph.input[0].doc_string = sentence
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _limits(input_range: str) -> tuple[float, float]:
    """Return the limits of pixels in this range, with a margin for rounding."""
    low, high = app.RANGES[input_range]
    margin = (high - low) / 1000
    return low - margin, high + margin


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


def _compare(saved: Saved, path: Path, kind: str, input_range: str = "pixels") -> float | None:
    """Compare on several photos at once and on one: a file may be fixed to one batch size."""
    size = saved.about.image_size
    images = np.random.default_rng(0).uniform(0, 255, (5, size, size, 3)).astype(np.float32)
    wanted = keras.ops.convert_to_numpy(saved.model.predict_on_batch(images))
    scaled = app.scaled(images, input_range)
    found = [run_file(path, part, kind) for part in (scaled[:4], scaled[4:])]
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
    made.add_argument(
        "model", type=path_to_write, metavar="MODEL", help="a file that reference.train wrote"
    )
    made.add_argument(
        "--format", default="keras", metavar="F,…", help=f"of {', '.join(FORMATS)}; default: keras"
    )
    made.add_argument(
        "--output",
        type=path_to_write,
        default=Path("export"),
        metavar="DIR",
        help="default: export",
    )
    made.add_argument(
        "--input-range",
        choices=tuple(app.RANGES),
        default="pixels",
        help="the pixels that a TFLite or ONNX file takes: pixels, from 0 to 255 (default); "
        "signed, from -1 to 1, as programs prepare them for Xception; unit, from 0 to 1",
    )
    made.add_argument(
        "--serve",
        type=path_to_write,
        metavar="DIR",
        help="write a folder that runs on a server, with the file of the one --format: HTTP, AWS "
        "Lambda, Dockerfile, self-test; keras runs on minicnn, without TensorFlow",
    )
    return made


def command(options: argparse.Namespace) -> None:
    kinds = options.format.split(",")
    unknown = [kind for kind in kinds if kind not in FORMATS]
    if unknown:
        raise ValueError(f"--format is of {', '.join(FORMATS)}. Received {', '.join(unknown)}.")
    if options.serve is not None:
        if len(kinds) > 1:
            raise ValueError(f"--serve takes one --format. Received {', '.join(kinds)}.")
        check_output("--serve", options.serve)
        serve.check_free(options.serve)
    backend.make_exact()
    saved = models.load(options.model)
    if options.serve is not None:
        _serve(saved, options, kinds[0])
        return
    for kind in kinds:
        target = options.output / f"{options.model.stem}.{kind}"
        difference = export(saved, options.model, target, kind, options.input_range)
        told = "not compared: its runtime is not installed"
        if difference is not None:
            told = f"logits within {difference:.0e} of the model's"
            if kind == "keras":
                told += ", computed by minicnn"
        elif kind == "keras":
            told = f"for Keras alone: minicnn cannot open it: {models.minicnn_lacks(options.model)}"
        say(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB; {told}).")


def _serve(saved: Saved, options: argparse.Namespace, kind: str) -> None:
    if kind == "keras" and (lacking := models.minicnn_lacks(options.model)):
        raise ValueError(
            f"A folder for --format keras runs on minicnn, which cannot open this model "
            f"({lacking}). Try --format onnx."
        )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"model.{kind}"
        export(saved, options.model, target, kind, options.input_range)
        try:
            untested = serve.write_folder(saved, target, options.serve, kind, options.input_range)
        except OSError as error:
            if not cannot_write(error):
                raise
            told = f"{str(options.serve)!r} cannot be written: {error.strerror}."
            raise OSError(told) from error  # the error itself may name a file that is read
    passed = f"its self-test has not run: {untested}" if untested else "it passed its self-test"
    say(f"Wrote {options.serve}, which runs on a server; {passed}. For example:")
    say(f"  {python()} {quoted(options.serve / 'app.py')}")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
