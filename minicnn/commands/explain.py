"""`minicnn explain` writes a page that shows where every number of a model comes from."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.arguments import PIXEL_RANGES, local_path, path_to_write, positive
from minicnn._support.atomic import check_place, check_spares
from minicnn._support.terminal import say, this_program
from minicnn.commands.checkpoints import checkpoints_in
from minicnn.commands.learning import photos_to_learn_from
from minicnn.commands.photos import (
    add_model_options,
    check_photo,
    class_names,
    photo_size,
    read_photo,
)


def add_to(commands: Any) -> None:
    """Add this command and its options to the parser of `minicnn`."""
    this = this_program()
    command = commands.add_parser(
        "explain",
        help="write a page that shows where every number of a model comes from",
        description=(
            "Runs the model on a photo, forward and backward, and writes an interactive page:\n"
            "every map of every layer, every number as the sum that makes it, the gradients, and\n"
            "what would happen if a weight or a pixel were different. The page is one file and\n"
            "works offline; it leaves out what is too big, and says so. It can switch between\n"
            "several photos, and shows how they differ in each layer."
        ),
        epilog=f"example:\n  {this} explain runs/minicnn/model.keras photo.jpg -o page.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("model", type=local_path, metavar="MODEL", help="a .keras or .h5 file")
    command.add_argument("images", type=local_path, nargs="+", metavar="IMAGE")
    command.add_argument(
        "-o",
        "--output",
        type=path_to_write,
        default=Path("page.html"),
        metavar="HTML",
        help="default: page.html",
    )
    command.add_argument(
        "--class",
        dest="target",
        metavar="NAME",
        help="compute the gradients of this class's loss; default: the most likely class. For a "
        "model that does not output classes: a place in its output, such as 4,7,0",
    )
    command.add_argument(
        "--head",
        metavar="LAYER",
        help="for a model with several outputs: the layer whose output to show; "
        "default: the first output",
    )
    command.add_argument(
        "--data",
        type=local_path,
        metavar="DIR",
        help="a folder with a subfolder of photos for each class: some of them go into the page, "
        "where the model learns from them, step by step. For a model of clothes minicnn draws some",
    )
    command.add_argument(
        "--checkpoints",
        type=local_path,
        nargs="+",
        metavar="FILE",
        help="files of ModelCheckpoint, or their folder: the page slides over them, in the order "
        "of the numbers in their names, and shows how maps and kernels developed",
    )
    command.add_argument(
        "--against",
        type=local_path,
        metavar="FILE",
        help="another model file, such as the model before its training: the page shows each "
        "photo in both networks, layer by layer, and which layers and weights differ most",
    )
    _add_options_of_the_other(command)
    command.add_argument(
        "--language",
        choices=["en", "de"],
        default="en",
        help="the page's first language, which a button on the page switches; default: en",
    )
    add_model_options(command)
    command.set_defaults(run=run)


def _add_options_of_the_other(command: Any) -> None:
    """Add what its file may not say of the model of --against."""
    command.add_argument(
        "--against-input-range",
        choices=PIXEL_RANGES,
        help="the range of pixels that the model of --against expects; default: that of "
        "--input-range",
    )
    command.add_argument(
        "--against-image-size",
        type=positive,
        metavar="PX",
        help="the size of its photos, if it takes any size; default: what its file says, or that "
        "of the other model",
    )
    command.add_argument(
        "--against-classes",
        type=class_names,
        metavar="NAME,…",
        help="its classes in order, if its file does not name them; default: those of the other "
        "model. Classes of the same names are compared with each other, whatever their order",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from minicnn.explain import page
    from minicnn.models import load_model

    for path in options.images:
        check_photo(path)
    check_place(options.output)
    read = [options.model, *options.images, *(options.checkpoints or []), options.against]
    check_spares(options.output, [*read, options.data])
    for what in ("input_range", "image_size", "classes"):
        if getattr(options, f"against_{what}") is not None and options.against is None:
            option = f"--against-{what.replace('_', '-')}"
            raise ValueError(f"{option} goes with --against.")
    model = load_model(options.model, compile=False)
    size = photo_size(model, options)
    if size is None:
        raise ValueError(f"{str(options.model)!r} takes photos of any size: pass --image-size.")
    photos = [read_photo(path, size, model, options) for path in options.images]
    target = options.target
    names = options.classes or model.metadata.get("class_names") or ()
    if target is not None and target not in names:
        numbers = target.split(",")
        if all(number.isdecimal() for number in numbers):
            target = tuple(int(number) for number in numbers)
    images = np.stack(photos)
    path = page.build(
        model,
        images,
        options.output,
        y=target,
        output=options.head,
        class_names=options.classes,
        photo=options.images,
        data=photos_to_learn_from(model, size, options),
        checkpoints=checkpoints_in(options.checkpoints or [], model),
        against=_against(options, model, images),
        name=_names(options)[0],
        title=_title(options),
        language=options.language,
    )
    say(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser.")
    return 0


def _against(options: argparse.Namespace, model: Any, images: np.ndarray) -> Any:
    """Return the model to compare with, by its file's name, and the photos as it expects them."""
    from minicnn.models import load_model

    if options.against is None:
        return None
    other = load_model(options.against, compile=False)
    if options.against_classes is not None:
        other.metadata["class_names"] = options.against_classes
    own = argparse.Namespace(
        model=options.against,
        image_size=options.against_image_size,
        input_range=options.against_input_range or options.input_range,
    )
    size = photo_size(other, own) or images.shape[1:3]
    photos = np.stack([read_photo(path, size, other, own) for path in options.images])
    same = photos.shape == images.shape and np.array_equal(photos, images)
    return {_names(options)[1]: other if same else (other, photos)}


def _names(options: argparse.Namespace) -> tuple[str, str]:
    """Return what the page calls both models: their files, from the first folder that differs."""
    first, second = options.model.absolute(), (options.against or options.model).absolute()
    count = 1
    while first != second and first.parts[-count:] == second.parts[-count:]:
        count += 1
    return "/".join(first.parts[-count:]), "/".join(second.parts[-count:])


def _title(options: argparse.Namespace) -> Any:
    """Return the page's title, as a message that the page translates."""
    from minicnn.explain.page.wording import message

    first, *others = (path.name for path in options.images)
    both = {"model": options.model.name, "photo": first}
    if not others:
        return message("title.looks_at", **both)
    return message("title.looks_at_more", **both, n=len(others))
