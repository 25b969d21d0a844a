"""`minicnn predict` names what a photo shows."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.arguments import local_path, path_to_write, positive
from minicnn._support.atomic import check_spares, make_folder
from minicnn._support.terminal import printable, say, this_program
from minicnn.commands.photos import add_model_options, check_photo, photo_size, read_photo


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    this = this_program()
    command = commands.add_parser(
        "predict",
        help="name what a photo shows",
        description="Prints the most likely classes of each photo with their probabilities.",
        epilog=f"example:\n  {this} predict runs/minicnn/model.keras photo.jpg another.png",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("model", type=local_path, metavar="MODEL", help="a .keras or .h5 file")
    command.add_argument("images", type=local_path, nargs="+", metavar="IMAGE")
    command.add_argument("--top", type=positive, default=3, metavar="N", help="default: 3")
    command.add_argument(
        "--json", action="store_true", help="one JSON object per line, for programs"
    )
    add_model_options(command)
    command.add_argument(
        "--plan", action="store_true", help="first show which layers run as one step, and why"
    )
    command.add_argument(
        "--heatmaps",
        type=path_to_write,
        metavar="FOLDER",
        help="also draw which parts of each photo speak for its most likely class, by four "
        "methods, into FOLDER/NAME.png (needs matplotlib)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from minicnn.models import load_model

    for path in options.images:
        check_photo(path)
    if options.heatmaps is not None:
        _check_heatmaps(options.heatmaps, options.images)
        for path in options.images:
            check_spares(options.heatmaps / f"{path.stem}.png", [options.model, *options.images])
    model = load_model(options.model, compile=False)
    names = options.classes or model.metadata.get("class_names")
    size = photo_size(model, options)
    if names is None or size is None:
        raise ValueError(
            f"{str(options.model)!r} does not contain class names and image size, unlike models "
            "that minicnn trains: pass --classes and --image-size."
        )
    shape = model.output_shape
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1]):
        raise ValueError(
            f"{str(options.model)!r} does not end in a score for each class: its output is {shape}."
        )
    classes = max(shape[1], 2)  # one unit tells two classes apart
    if len(names) != classes:
        raise ValueError(
            f"{str(options.model)!r} distinguishes {classes} classes. Received {len(names)} names."
        )
    if options.plan and options.json:
        raise ValueError("--plan prints a table for people, and --json is for programs: pass one.")
    if options.plan:
        model.print_inference_plan()
    for path in options.images:
        photo = read_photo(path, size, model, options)
        p = _probabilities(model, model.predict(photo[None], verbose=0)[0])
        best = [(names[i], float(p[i])) for i in np.argsort(-p, kind="stable")[: options.top]]
        drawn = None
        if options.heatmaps is not None:
            model.metadata["class_names"] = list(names)
            drawn = _draw(model, photo, options.heatmaps, path)
        (_say_json if options.json else _say)(path, best, drawn)
    return 0


def _probabilities(model: Any, y: np.ndarray) -> np.ndarray:
    """Return the probability of each class, of a photo's output; one unit is for the second of two.

    Sigmoids are for classes that do not exclude each other, so their sum need not be 1.
    """
    from minicnn import functional

    has_probabilities = model.ends_in("softmax") or model.ends_in("sigmoid")
    if len(y) == 1:
        p = y if has_probabilities else functional.sigmoid(y)
        return np.concatenate([1 - p, p])
    return y if has_probabilities else functional.softmax(y)


def _say(path: Path, best: Sequence[tuple[str, float]], drawn: Path | None) -> None:
    say(f"{printable(path)}:")
    for name, p in best:
        say(f"  {p:6.1%}  {printable(name)}")
    if drawn is not None:
        say(f"  heat maps: {printable(drawn)}")


def _say_json(path: Path, best: Sequence[tuple[str, float]], drawn: Path | None) -> None:
    """Print an object on one line, as `reference.predict` does."""
    told: dict[str, Any] = {"photo": str(path), "classes": {name: round(p, 6) for name, p in best}}
    if drawn is not None:
        told["heatmaps"] = str(drawn)
    say(json.dumps(told).replace("\x7f", "\\u007f"))  # JSON does not escape this one


def _check_heatmaps(folder: Path, images: Sequence[Path]) -> None:
    """Make the folder, and raise `ValueError` if two photos would have one figure."""
    names: dict[str, Path] = {}
    for path in images:
        other = names.setdefault(path.stem, path)
        if other is not path:
            raise ValueError(
                f"The heat maps of {str(other)!r} and {str(path)!r} would be one file, "
                f"{path.stem}.png: pass photos of different names."
            )
    make_folder(folder)


def _draw(model: Any, photo: np.ndarray, folder: Path, path: Path) -> Path:
    """Draw the heat maps of a photo, and return the figure's path."""
    from minicnn import explain, plots

    trace = model.trace(photo[None])
    figure = plots.heatmaps([trace.heatmap(method) for method in explain.HEATMAPS])
    return plots.save(figure, folder / f"{path.stem}.png")
