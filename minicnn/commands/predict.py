"""`minicnn predict` names what a photo shows."""

import argparse
from typing import Any

import numpy as np

from minicnn._support.arguments import local_path, positive
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
    command.add_argument("model", type=local_path, metavar="MODEL", help="a .keras file")
    command.add_argument("images", type=local_path, nargs="+", metavar="IMAGE")
    command.add_argument("--top", type=positive, default=3, metavar="N", help="default: 3")
    add_model_options(command)
    command.add_argument(
        "--plan", action="store_true", help="first show which layers run as one step, and why"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from minicnn import functional
    from minicnn.models import load_model

    for path in options.images:
        check_photo(path)
    model = load_model(options.model, compile=False)
    names = options.classes or model.metadata.get("class_names")
    size = photo_size(model, options)
    if names is None or size is None:
        raise ValueError(
            f"{str(options.model)!r} does not contain class names and image size, as the models "
            "that minicnn trains do: pass --classes and --image-size."
        )
    if len(names) != model.output_shape[-1]:
        raise ValueError(
            f"{str(options.model)!r} distinguishes {model.output_shape[-1]} classes. "
            f"Received {len(names)} names."
        )
    if options.plan:
        model.print_inference_plan()
    for path in options.images:
        photo = read_photo(path, size, model, options)
        scores = model.predict(photo[None], verbose=0)
        p = scores[0] if model.ends_in("softmax") else functional.softmax(scores)[0]
        say(f"{printable(path)}:")
        for index in np.argsort(-p, kind="stable")[: options.top]:
            say(f"  {p[index]:6.1%}  {printable(names[index])}")
    return 0
