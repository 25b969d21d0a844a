"""Makes models from files, texts and live Keras models, under Keras's names."""

import json
import math
import os
from typing import Any

import numpy as np

from minicnn import saving
from minicnn._support import objects
from minicnn.graph.layer import is_users
from minicnn.layers import Layer
from minicnn.layers.carried import weights_follow
from minicnn.layers.functions import Function
from minicnn.layers.lambdas import Lambda
from minicnn.layers.weights import weight_budget
from minicnn.models.config import layer_from_config, serialize_layer
from minicnn.models.model import Model
from minicnn.saving.compiling import compile_alike
from minicnn.saving.limits import MismatchError, parse_json, plain
from minicnn.saving.weights import read_state


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Model:
    """Load the model in a `.keras` or an old `.h5` file: its weights, and how it was compiled.

    `custom_objects` are your own classes of layers and models, under the names that the file has
    for them; those of `register_keras_serializable` are known. No code that the file names is run,
    so there is no unsafe mode. With `compile` the optimizer continues where it stopped. If the file
    asks for training settings that minicnn lacks, a warning names them and the model is loaded for
    prediction.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is damaged, is not a model, or needs a layer or option that minicnn lacks.
    """
    if not safe_mode:
        raise ValueError("load_model has no safe_mode=False: no code in a model file is ever run.")
    with objects.custom_object_scope(custom_objects):
        model = saving.read_model(filepath, _model, compile)
    assert isinstance(model, Model)
    model.resume_optimizer()
    return model


def from_keras(model: Any) -> Model:
    """Convert a live Keras model: its layers, its weights, and how it was compiled.

        model = minicnn.models.from_keras(keras_model)

    The weights and the optimizer's state are copied, so that training can continue here. Raises
    `TypeError` for anything but a Keras model, `ValueError` for layers or options that minicnn
    lacks.
    """
    if not hasattr(model, "to_json") or not hasattr(model, "get_weights"):
        raise TypeError(f"from_keras expects a Keras model. Received {type(model).__name__}.")
    config = json.loads(model.to_json(), object_hook=plain)
    source, optimizer = f'The Keras model "{model.name}"', getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # see `saving.half_precision`
    with weight_budget(math.inf):  # draws no weights, because all are copied below
        found = saving.built(config, _model, source)
    _copy_weights(model, found)
    if isinstance(config.get("compile_config"), dict) and optimizer is not None:
        # Use the optimizer itself: Keras drops it from the config when it writes an .h5.
        config["compile_config"]["optimizer"] = {
            "class_name": type(optimizer).__name__,
            "config": optimizer.get_config(),
        }
    if saving.compile_as_saved(found, config, source) and optimizer is not None:
        state = [variable.numpy() for variable in optimizer.variables]

        def read(index: int, shape: tuple[int, ...], who: str) -> np.ndarray:
            if state[index].shape != shape:
                raise MismatchError(f"{who} has shape {shape}. Received {state[index].shape}.")
            return np.asarray(state[index])

        read_state(found, source, len(state), read)
        found.resume_optimizer()
    saving.warn_of_lacking(found, source, config)
    return found


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """Return the model that `to_json` of Keras 2, Keras 3 or minicnn describes, with new weights.

        model = model_from_json(Path("model.json").read_text())
        model.load_weights("model.h5")

    No code that the text names is run. Raises `TypeError` for anything but a text, and `ValueError`
    if it does not describe a model, or needs a layer or option that minicnn lacks.
    """
    if not isinstance(json_string, (str, bytes)):
        raise TypeError(
            "model_from_json expects the text that to_json returned. "
            f"Received {type(json_string).__name__}."
        )
    source = "The text for model_from_json"
    config = parse_json(json_string, "description of a model", source)
    with weights_follow(), objects.custom_object_scope(custom_objects):
        model = saving.built(config, _model, source)
    saving.compile_as_saved(model, config, source)
    saving.warn_of_lacking(model, source, config, weights_to_come=True)
    assert isinstance(model, Model)
    return model


def _model(config: dict[str, Any]) -> Model:
    found = layer_from_config(config)
    if not isinstance(found, Model):
        raise ValueError(f"It describes a {type(found).__name__}, not a model.")
    return found


def _copy_weights(source: Any, target: Model) -> None:
    for ours in target.layers:  # Keras does not list all: there, a sum `x + y` is no layer
        if isinstance(ours, Model):
            _copy_weights(source.get_layer(ours.name), ours)
        elif ours.weights:
            ours.set_weights(source.get_layer(ours.name).get_weights())


def clone_model(model: Model) -> Model:
    """Return a new model with the same layers, names included, and new weights.

    It is compiled as the model is, with an optimizer and metrics that begin anew, as in Keras.
    Raises `TypeError` for anything but a model.
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model expects a model. Received {type(model).__name__}.")
    with objects.custom_object_scope(_own_classes(model)):
        clone = type(model).from_config(model.get_config())
    compile_alike(clone, model)
    return clone


def _own_classes(model: Model) -> dict[str, Any]:
    """Return the classes of the user's own that are in a model, under the names of files."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        if is_users(layer) and not isinstance(layer, (Function, Lambda)):
            found[objects.get_registered_name(type(layer))] = type(layer)
        if isinstance(layer, Model):
            found |= _own_classes(layer)
    return found


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write the model to a file, as `model.save(filepath)` does."""
    model.save(filepath, overwrite)


def deserialize(config: dict[str, Any]) -> Any:
    """Return a layer or a model, with new weights, from `serialize`'s dict, Keras's or ours.

    Raises `ValueError` for a layer or an option that minicnn lacks.
    """
    return layer_from_config(config)


def serialize(layer: Layer) -> dict[str, Any]:
    """Return the layer or model as Keras writes it: `{"class_name": …, "config": …, …}`."""
    return serialize_layer(layer)
