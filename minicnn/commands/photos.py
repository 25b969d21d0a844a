"""`predict` and `explain` read one photo as the model's training photos were read."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.arguments import positive


def add_model_options(command: argparse.ArgumentParser) -> None:
    """What `predict` and `explain` need of a model whose file does not say it."""
    command.add_argument(
        "--classes",
        type=lambda text: text.split(","),
        metavar="NAME,…",
        help="the classes in order, for a model of Keras's that does not say them",
    )
    command.add_argument(
        "--image-size", type=positive, metavar="PX", help="for a model that takes any size"
    )
    command.add_argument(
        "--input-range",
        choices=("signed", "unit", "pixels"),
        default="pixels",
        help="what the model expects of a pixel: pixels, from 0 to 255, for it rescales by itself "
        "(default); unit, from 0 to 1; signed, from -1 to 1",
    )


def check_photo(path: Path) -> None:
    """Raise an `OSError` of its kind where there is no photo."""
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name the photos in it.")
    if not path.exists():
        raise FileNotFoundError(f"There is no photo {str(path)!r}.")


def photo_size(model: Any, options: argparse.Namespace) -> tuple[int, int] | None:
    """(height, width) of the photos that the model takes; None if nothing says it."""
    fixed = tuple(model.input_shape[1:3])
    if options.image_size is not None:
        size = options.image_size, options.image_size
    else:
        size = tuple(model.metadata.get("image_size") or fixed)
    for asked, taken in zip(size, fixed):
        if taken not in (None, asked):
            raise ValueError(
                f"{str(options.model)!r} takes photos of {fixed[0]}×{fixed[1]} pixels. "
                f"Received an image size of {size[0]}×{size[1]}."
            )
    return None if None in size else size


def read_photo(
    path: Path, size: tuple[int, int], model: Any, options: argparse.Namespace
) -> np.ndarray:
    """A photo as the model's training photos were read: with one of Keras's two ways."""
    from minicnn.images import img_to_array, load_img, load_photo
    from minicnn.transfer import INPUT_RANGES

    mode = {1: "grayscale", 4: "rgba"}.get(model.input_shape[-1], "rgb")
    if model.metadata.get("interpolation") == "nearest":  # flow_from_directory
        photo = img_to_array(load_img(path, mode, target_size=size), dtype="float32")
    else:
        photo = load_photo(path, size, color_mode=mode)
    scaling = INPUT_RANGES[options.input_range]
    result: np.ndarray = photo * np.float32(scaling["scale"]) + np.float32(scaling["offset"])
    return result
