"""Writes Keras's old `.h5` so that Keras 2 and Keras 3 read it; `legacy` describes the layout.

The layout is Keras 3's. The architecture is in the words of Keras 2, which Keras 3 also
understands; Keras 2 cannot read what Keras 3 itself writes here.
"""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn import losses
from minicnn.saving import hdf5
from minicnn.saving.keras_file import KERAS_VERSION, metadata_json

_MODELS = ("Functional", "Sequential")
# Settings that Keras 2 does not know, and the values with which they have no effect.
_CHANNELS_LAST = {"data_format": "channels_last"}
_NEWER: dict[str, dict[str, Any]] = {
    **dict.fromkeys(["CenterCrop", "RandomBrightness", "RandomCrop", "RandomFlip"], _CHANNELS_LAST),
    **dict.fromkeys(["RandomRotation", "RandomTranslation", "RandomZoom"], _CHANNELS_LAST),
    "LayerNormalization": {"rms_scaling": False},
    "ZeroPadding1D": _CHANNELS_LAST,
    "RandomContrast": {**_CHANNELS_LAST, "value_range": (0, 255)},
    "Resizing": {
        "antialias": False,
        "data_format": "channels_last",
        "fill_mode": "constant",
        "fill_value": 0.0,
        "pad_to_aspect_ratio": False,
    },
}
_LARGEST_ATTRIBUTE = 64512  # bytes that fit into HDF5's attributes; longer lists are split


def model_to_bytes(model: Any) -> memoryview:
    """Return the HDF5 file of the whole model: architecture, weights, how it was compiled."""
    attributes: dict[str, Any] = {
        "keras_version": KERAS_VERSION,
        "backend": "tensorflow",
        "model_config": json.dumps(_described(model.serialize())),
    }
    if model.compiled:
        attributes["training_config"] = json.dumps(_training_config(model))
    if model.metadata:
        attributes["minicnn"] = metadata_json(model)

    def write(file: Any) -> None:
        for name, text in attributes.items():
            file.attrs[name] = text.encode("utf-8")
        _write_layers(file.create_group("model_weights"), model)
        if model.compiled:
            _write_optimizer(file.create_group("optimizer_weights"), model)

    return hdf5.written(write, model.label)


def weights_to_bytes(model: Any) -> memoryview:
    """Return the HDF5 file of the weights alone."""
    return hdf5.written(lambda file: _write_layers(file, model), model.label)


# ---------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------


def _write_layers(group: Any, model: Any) -> None:
    _write_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = KERAS_VERSION.encode()
    for layer in model.layers:
        if layer.name == ".":  # HDF5's name for the group itself
            raise ValueError(
                f"{layer.label} cannot be written into an .h5 file, in which that name has another "
                "meaning: rename the layer, or save the model as .keras."
            )
        variables = layer.trainable_weights + layer.non_trainable_weights
        _write_arrays(group.create_group(layer.name), ((v.path, v.value) for v in variables))
    _write_arrays(group.require_group("top_level_model_weights"), ())


def _write_optimizer(group: Any, model: Any) -> None:
    optimizer = model.optimizer
    named = optimizer.state(model.trainable_weights)
    _write_arrays(group, ((f"{optimizer.name}/{name.replace('/', '_')}", v) for name, v in named))


def _write_arrays(group: Any, named: Iterable[tuple[str, Any]]) -> None:
    """Write each array under its name, numbered if that is taken, and the list of the names."""
    names: list[str] = []
    for path, array in named:
        name, count = path, 0
        while name in group:  # layers of models within models may share a name
            count += 1
            name = f"{path}_{count}"
        group[name] = array
        names.append(name)
    if "weight_names" not in group.attrs:
        _write_names(group, "weight_names", names)


def _write_names(group: Any, attribute: str, names: list[str]) -> None:
    written = np.array([name.encode("utf-8") for name in names])
    pieces = [written]
    while any(piece.nbytes > _LARGEST_ATTRIBUTE for piece in pieces):
        pieces = np.array_split(written, len(pieces) + 1)
    for number, piece in enumerate(pieces):
        group.attrs[attribute if len(pieces) == 1 else f"{attribute}{number}"] = piece


# ---------------------------------------------------------------------------------------------
# The architecture, and how it was compiled, in Keras 2's words
# ---------------------------------------------------------------------------------------------


def _described(data: dict[str, Any]) -> dict[str, Any]:
    """Return Keras 2's description of a layer or model, made from Keras 3's."""
    _check_can_be_described(data)
    kind, config = data["class_name"], dict(data["config"])
    if kind == "InputLayer":
        config = {
            "name": config["name"],
            "dtype": config["dtype"],
            "batch_input_shape": config["batch_shape"],
            "sparse": False,
            "ragged": False,
        }
    elif kind in _MODELS:
        config.pop("build_input_shape", None)
        config["layers"] = [_described(layer) for layer in data["config"]["layers"]]
    if kind == "Sequential":
        # Keras reads no flag here, but the order of the weights depends on it.
        flag = {} if config["trainable"] else {"trainable": False}
        config = {"name": config["name"], "layers": config["layers"], **flag}
    if kind == "Functional":
        _connect_as_keras_2(config)
    else:
        newer = _NEWER.get(kind, {})
        # Keras finds a layer that is an activation only by its module.
        config = {
            k: v if k == "activation" else _alone(v)
            for k, v in config.items()
            if k not in newer or v != newer[k]
        }
        if kind == "LeakyReLU":
            config["alpha"] = config.pop("negative_slope")
    # A class of the user's own is found by the name under which it was registered.
    described = {"class_name": data.get("registered_name") or kind, "config": config}
    return described | {key: data[key] for key in ("name", "inbound_nodes") if key in data}


def _check_can_be_described(data: dict[str, Any]) -> None:
    """Raise a `ValueError` for a layer that Keras would not read from an .h5 file as it is."""
    config = data["config"]
    if data.get("module", "").startswith("keras.src.ops."):
        raise ValueError(
            f'Layer "{config["name"]}" is the function {data["class_name"]}, which no .h5 file can '
            "hold for Keras: save the model as .keras."
        )
    axis = config.get("axis")
    if isinstance(axis, (list, tuple)) and len(axis) > 1:
        raise ValueError(
            f'Layer "{config["name"]}" has axis={list(axis)}: Keras forgets several axes when it '
            "reads an .h5 file. Save the model as .keras."
        )


def _connect_as_keras_2(config: dict[str, Any]) -> None:
    """Rewrite the addresses in a functional model's config as Keras 2 writes them."""
    models = {layer["name"] for layer in config["layers"] if layer["class_name"] in _MODELS}
    for layer in config["layers"]:
        nodes = [_node(node, models) for node in layer["inbound_nodes"]]
        again = 2 if layer["name"] in models else 1
        layer["inbound_nodes"] = [node for node in nodes for _ in range(again)]
    for ends in ("input_layers", "output_layers"):
        config[ends] = _ends(config[ends], config["layers"])


def _alone(value: Any) -> Any:
    """Return an object such as an initializer or a loss as in Keras 2, without Keras 3's module."""
    if isinstance(value, list):
        return [_alone(item) for item in value]
    if isinstance(value, dict) and "class_name" in value:
        return {"class_name": value["class_name"], "config": value.get("config", {})}
    return value


def _address(history: list[Any], models: set[str]) -> list[Any]:
    """Return where a tensor comes from: a layer's name, and the numbers of its use and output.

    Keras 2 counts a nested model's own graph as its first use. Keras 3 does so only among the
    outputs of a model. Each use of a nested model is therefore written twice: both numbers lead to
    the same tensor, so every reader finds it. The second one is never used and costs nothing.
    """
    name, use, index = history
    return [name, 2 * use + 1 if name in models else use, index]


def _node(node: dict[str, Any], models: set[str]) -> list[Any]:
    tensors = node["args"][0]
    return [
        [*_address(tensor["config"]["keras_history"], models), node["kwargs"]]
        for tensor in (tensors if isinstance(tensors, list) else [tensors])
    ]


def _ends(found: Any, layers: list[dict[str, Any]]) -> Any:
    """Return the addresses of a model's inputs or outputs: one, a list, or a dict."""
    if isinstance(found, dict):
        return {key: _end(end, layers) for key, end in found.items()}
    return _end(found, layers) if isinstance(found[0], str) else [_end(e, layers) for e in found]


def _end(end: list[Any], layers: list[dict[str, Any]]) -> list[Any]:
    name, use, index = end
    kind = next(layer["class_name"] for layer in layers if layer["name"] == name)
    own = {name} if kind in _MODELS else set()
    return _address([name, use - (kind == "Functional"), index], own)


def _in_full(loss: Any) -> Any:
    """Return losses by their full names: Keras 3 would read "mse" in an .h5 as a metric."""
    if isinstance(loss, list):
        return [_in_full(one) for one in loss]
    return losses.full_name(loss) if isinstance(loss, str) else loss


def _training_config(model: Any) -> dict[str, Any]:
    config = model.get_compile_config()
    optimizer = config.pop("optimizer")
    return {
        "loss": _in_full(_alone(config["loss"])),
        "metrics": _alone(config["metrics"]),
        "weighted_metrics": _alone(config["weighted_metrics"]),
        "loss_weights": config["loss_weights"],
        "optimizer_config": {
            "class_name": optimizer["class_name"],
            # Keras 2 before 2.11 does not know some of these; settings that are off can be left
            # out.
            "config": {k: v for k, v in optimizer["config"].items() if v is not None},
        },
    }
