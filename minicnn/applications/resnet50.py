"""`ResNet50` in the place where Keras also has it; the network is in `resnet`."""

from typing import TYPE_CHECKING

from minicnn.applications.resnet import ResNet50, decode_predictions, preprocess_input
from minicnn.compat import hints

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
