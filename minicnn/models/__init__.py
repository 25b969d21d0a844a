"""Models, and the door to model files, under Keras's names."""

from minicnn import layers, saving
from minicnn.graph import Tape, TapeEntry
from minicnn.models.files import (
    deserialize,
    from_keras,
    load_model,
    model_from_json,
    save_model,
    serialize,
)
from minicnn.models.model import Model
from minicnn.models.sequential import Sequential

layers.deserialize, layers.serialize = deserialize, serialize  # `keras.layers`
saving.load_model, saving.save_model = load_model, save_model  # `keras.saving`

__all__ = [
    "Model",
    "Sequential",
    "Tape",
    "TapeEntry",
    "from_keras",
    "load_model",
    "model_from_json",
    "save_model",
]
