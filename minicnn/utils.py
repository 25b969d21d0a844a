"""Small helpers under Keras's names."""

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn._support.download import get_file
from minicnn._support.seeding import set_random_seed
from minicnn.compat import hints
from minicnn.images import (
    array_to_img,
    image_dataset_from_directory,
    img_to_array,
    load_img,
    save_img,
)
from minicnn.layers.base import clear_session


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Return class numbers as one-hot rows: [0, 2] as [[1, 0, 0], [0, 0, 1]], float32.

    Raises `ValueError` for numbers that are not whole or not in 0 … num_classes - 1.
    """
    numbers = np.asarray(x)
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    count = num_classes if num_classes is not None else int(numbers.max(initial=-1)) + 1
    whole = numbers.astype(np.intp)
    if (whole != numbers).any() or (numbers.size and not 0 <= whole.min() <= whole.max() < count):
        raise ValueError(f"to_categorical expects whole numbers in [0, {count}). Received {x!r}.")
    return np.eye(count, dtype=np.float32)[whole]


__all__ = [
    "array_to_img",
    "clear_session",
    "get_file",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "save_img",
    "set_random_seed",
    "to_categorical",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
