"""Models, and the door to model files, under Keras's names."""

import json
import os
from typing import Any

from minicnn import saving
from minicnn.model import Model, Sequential, Tape, TapeEntry, layer_from_config


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Model:
    """The model in a `.keras` or an old `.h5` file: its weights, and how it was compiled.

    Runs no code that the file names, so there are no custom objects and no unsafe mode. With
    `compile` the optimizer goes on where it stopped; settings of training that minicnn lacks are
    named in a warning, and the model is loaded for prediction.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, is no model, or needs a layer or option that minicnn lacks.
    """
    if custom_objects:
        raise ValueError(
            f"load_model knows minicnn's own layers only. Received custom_objects={custom_objects}."
        )
    if not safe_mode:
        raise ValueError("load_model has no safe_mode=False: no code in a model file is ever run.")

    def build(config: dict[str, object]) -> Model:
        model = layer_from_config(config)
        if not isinstance(model, Model):
            raise ValueError(f"{str(filepath)!r} holds a {type(model).__name__}, not a model.")
        return model

    model = saving.read_model(filepath, build, compile)
    assert isinstance(model, Model)
    return model


def from_keras(model: Any) -> Model:
    """A live Keras model as a minicnn model: its layers, weights, and how it was compiled.

        model = minicnn.models.from_keras(keras_model)

    The weights are copied, the optimizer's state too, so that training can go on here. Raises
    `TypeError` for what is no Keras model, `ValueError` for layers or options that minicnn lacks.
    """
    if not hasattr(model, "to_json") or not hasattr(model, "get_weights"):
        raise TypeError(f"from_keras expects a Keras model. Received {type(model).__name__}.")
    config = json.loads(model.to_json())
    found = layer_from_config(config)
    if not isinstance(found, Model):
        raise ValueError(f"from_keras expects a Keras model. Received {config['class_name']}.")
    _copy_weights(model, found)
    if saving.compile_as_saved(found, config, f'The Keras model "{model.name}"'):
        state = [variable.numpy() for variable in model.optimizer.variables]
        if len(state) > 2:  # else it has not stepped yet
            found.optimizer.set_state(found.trainable_weights, state)
    return found


def _copy_weights(source: Any, target: Model) -> None:
    for theirs, ours in zip(source.layers, target.layers, strict=True):
        if isinstance(ours, Model):
            _copy_weights(theirs, ours)
        else:
            ours.set_weights(theirs.get_weights())


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """`model.save(filepath)`."""
    model.save(filepath, overwrite)


saving.load_model, saving.save_model = load_model, save_model  # `keras.saving`

__all__ = ["Model", "Sequential", "Tape", "TapeEntry", "from_keras", "load_model", "save_model"]
