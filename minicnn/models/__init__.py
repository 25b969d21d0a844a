"""Models, and functions that read and write model files, under Keras's names."""

from typing import TYPE_CHECKING

from minicnn.compat import hints
from minicnn.graph import Tape, TapeEntry
from minicnn.models.files import (
    clone_model,
    deserialize,
    from_keras,
    load_model,
    model_from_json,
    save_model,
    serialize,
)
from minicnn.models.model import Model
from minicnn.models.sequential import Sequential

__all__ = [
    "Model",
    "Sequential",
    "Tape",
    "TapeEntry",
    "clone_model",
    "deserialize",
    "from_keras",
    "load_model",
    "model_from_json",
    "save_model",
    "serialize",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
