"""Reading and augmenting images, under Keras's names."""

from minicnn.images import image_dataset_from_directory
from minicnn.preprocessing import image

__all__ = ["image", "image_dataset_from_directory"]
