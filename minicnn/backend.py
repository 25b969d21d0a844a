"""Names of `keras.backend` that programs still use; all else that was there is in `minicnn.ops`."""

from typing import TYPE_CHECKING

from minicnn.compat import hints
from minicnn.config import backend, epsilon, floatx, image_data_format, set_floatx
from minicnn.layers.base import clear_session

__all__ = ["backend", "clear_session", "epsilon", "floatx", "image_data_format", "set_floatx"]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
