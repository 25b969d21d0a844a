"""Reading and augmenting images, under Keras's names."""

from typing import TYPE_CHECKING

from minicnn.compat import hints
from minicnn.images import image_dataset_from_directory
from minicnn.preprocessing import image

__all__ = ["image", "image_dataset_from_directory"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
