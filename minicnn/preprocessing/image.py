"""The names of `keras.preprocessing.image`, from `minicnn.images`."""

from typing import TYPE_CHECKING

from minicnn.compat import hints
from minicnn.images import (
    DataFrameIterator,
    DirectoryIterator,
    ImageDataGenerator,
    NumpyArrayIterator,
    array_to_img,
    img_to_array,
    load_img,
    save_img,
)

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "NumpyArrayIterator",
    "array_to_img",
    "img_to_array",
    "load_img",
    "save_img",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
