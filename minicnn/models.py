"""Models, and the door to model files, under Keras's names."""

import os

from minicnn.model import Model, Sequential, Tape, TapeEntry, layer_from_config
from minicnn.saving import keras_file


def load_model(filepath: str | os.PathLike[str]) -> Model:
    """The model in a `.keras` file, with its weights, compiled as it was saved.

    Runs no code that the file names. Raises `FileNotFoundError`, and `ValueError` for a file that
    is damaged, is no model, or needs what minicnn does not have.
    """

    def build(config: dict[str, object]) -> Model:
        model = layer_from_config(config)
        if not isinstance(model, Model):
            raise ValueError(f"{str(filepath)!r} holds a {type(model).__name__}, not a model.")
        return model

    model = keras_file.read_model(filepath, build)
    assert isinstance(model, Model)
    return model


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """`model.save(filepath)`."""
    model.save(filepath, overwrite)


__all__ = ["Model", "Sequential", "Tape", "TapeEntry", "load_model", "save_model"]
