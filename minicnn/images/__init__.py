"""Images: reading them, augmenting them, and feeding them to `fit` in batches.

`files` reads and writes one image, `augmentation` changes it at random, `iterators` and `dataset`
are Keras's two ways from a folder to batches.
"""

from minicnn.images.augmentation import ImageDataGenerator
from minicnn.images.dataset import ImageDataset, image_dataset_from_directory
from minicnn.images.files import (
    BadImageError,
    array_to_img,
    img_to_array,
    load_img,
    load_photo,
    save_img,
)
from minicnn.images.frames import DataFrameIterator
from minicnn.images.iterators import DirectoryIterator, Iterator, NumpyArrayIterator

__all__ = [
    "BadImageError",
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "ImageDataset",
    "Iterator",
    "NumpyArrayIterator",
    "array_to_img",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "load_photo",
    "save_img",
]
