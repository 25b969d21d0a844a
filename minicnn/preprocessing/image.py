"""The names of `keras.preprocessing.image`, from `minicnn.images`."""

from minicnn.images import (
    DirectoryIterator,
    ImageDataGenerator,
    NumpyArrayIterator,
    array_to_img,
    img_to_array,
    load_img,
    save_img,
)

__all__ = [
    "DirectoryIterator",
    "ImageDataGenerator",
    "NumpyArrayIterator",
    "array_to_img",
    "img_to_array",
    "load_img",
    "save_img",
]
