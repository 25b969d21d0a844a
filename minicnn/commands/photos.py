"""Read a photo for `predict` and `explain`, in the same way as the model's training photos."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.arguments import PIXEL_RANGES, positive


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Add the options for models whose files do not say their classes, size or pixel range."""
    command.add_argument(
        "--classes",
        type=class_names,
        metavar="NAME,…",
        help="the classes in order, for a model file that does not name them",
    )
    command.add_argument(
        "--image-size",
        type=positive,
        metavar="PX",
        help="for a model that takes any size",
    )
    command.add_argument(
        "--input-range",
        choices=PIXEL_RANGES,
        default="pixels",
        help="the range of pixels that the model expects: pixels, from 0 to 255, if the model "
        "rescales them itself (default); unit, from 0 to 1; signed, from -1 to 1",
    )


def class_names(text: str) -> list[str]:
    """Return the names between commas."""
    return text.split(",")


def check_photo(path: Path) -> None:
    """Raise `FileNotFoundError` or `IsADirectoryError` if the path is not a file."""
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name the photos in it.")
    if not path.exists():
        raise FileNotFoundError(f"There is no photo {str(path)!r}.")


def photo_size(model: Any, options: argparse.Namespace) -> tuple[int, int] | None:
    """Return (height, width) of the photos that the model takes; None if nothing says the size.

    Raises `ValueError` for a model that does not take one image, or one of another size.
    """
    shape = model.input_shape if model.built else None
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            f"{str(options.model)!r} does not take one image, (batch, height, width, channels): "
            f"its input is {shape}."
        )
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
    """Read a photo as training did: by TensorFlow's bilinear resizing if nothing says how."""
    from minicnn.images.files import READINGS
    from minicnn.images.files import read_photo as read

    mode = {1: "grayscale", 4: "rgba"}.get(model.input_shape[-1], "rgb")
    reading = model.metadata.get("interpolation")
    known = reading if isinstance(reading, str) and reading in READINGS else "bilinear"
    return as_input(read(path, size, known, mode), options)


def as_input(pixels: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    """Scale pixels from 0 to 255 to the range that the model expects."""
    scale, offset = PIXEL_RANGES[options.input_range]
    result: np.ndarray = pixels * np.float32(scale) + np.float32(offset)
    return result
