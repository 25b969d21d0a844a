"""Keras's old `.h5`: a whole model, or weights alone, as Keras 2 and `keras.applications` write it.

    layer_names (attribute)               the layers in the order of `model.layers`
    conv1.weight_names (attribute)        the arrays of the group conv1, in order
    conv1/conv1/kernel:0                  one of them

A whole model keeps these under `model_weights`, and beside them, as JSON attributes, `model_config`
and `training_config`. In a layer (or nested model) trainable weights come first.
"""

import warnings
from typing import Any

import numpy as np

from minicnn.layers import Conv1D, Conv2D, Conv2DTranspose
from minicnn.layers.base import Layer
from minicnn.saving import hdf5, keras_1, weights
from minicnn.saving.functions import layer_name
from minicnn.saving.limits import parse_json, shortened

_MODELS = ("Functional", "Model", "Sequential")
_CALLED_ON_LISTS = (
    *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"),
)


def is_legacy(file: hdf5.Group) -> bool:
    """Return whether an open HDF5 file has this layout."""
    listed = file.has("layer_names") or file.has("layer_names0")
    return listed or file.group("model_weights") is not None


# ---------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------


def read_weights(
    model: Any, file: hdf5.Group, skip_mismatch: bool = False, by_name: bool = False
) -> list[str]:
    """Read weights as `minicnn.saving.weights.read_weights` does, from a file of the old layout.

    By default the k-th layer with weights takes the k-th group with weights. With `by_name`, each
    layer takes the group of its name, and keeps its weights if there is none.
    """
    group = file.group("model_weights") or file
    saved = {name: _weight_names(group, name) for name in group.names("layer_names")}
    if by_name:
        pairs = [(layer, layer.name) for layer in model.layers if layer.name in saved]
    else:
        wanted = [layer for layer in model.layers if layer.weights]
        full = [name for name, arrays in saved.items() if arrays]
        if len(full) != len(wanted):
            raise ValueError(
                f"{model.label} has {len(wanted)} layers with weights. "
                f"{file.source} has {len(full)}; by_name=True takes those with equal names."
            )
        pairs = list(zip(wanted, full))
    assignments: weights.Assignments = []
    skipped = []
    kernels = _Kernels(model, file, group)
    for layer, name in pairs:
        try:
            assignments += _layer_assignments(layer, group, name, saved[name], kernels)
        except ValueError:
            if not skip_mismatch:
                raise
            skipped.append(layer.name)
    weights.assign(model, assignments, skipped, file.source)
    return skipped


def _flipped(model: Any) -> set[int]:
    """Return the kernels that Keras on Theano stored flipped along rows and columns.

    Theano computed convolutions as mathematicians define them, with a flipped kernel. When Keras
    2.0 to 2.3 load such a file on another backend, they flip the kernels of exactly these layers.
    """
    found = set()
    for layer in model.layers:
        if layer.is_network:
            found |= _flipped(layer)
        elif isinstance(layer, (Conv1D, Conv2D, Conv2DTranspose)):
            found.add(id(layer.kernel))
    return found


def _weight_names(group: hdf5.Group, layer_name: str) -> list[str]:
    layer_group = group.group(layer_name)
    if layer_group is None:
        raise ValueError(
            f"{group.source} lists a layer {shortened(repr(layer_name))} but has no group of that "
            "name."
        )
    return layer_group.names("weight_names")


class _Kernels:
    """How a file stores kernels: as Keras 2 does, with other axes, or flipped."""

    def __init__(self, model: Any, file: hdf5.Group, group: hdf5.Group) -> None:
        self._group = group
        self._flipped = _flipped(model) if group.text("backend") == "theano" else set()
        version = group.text("keras_version") or "1"
        self._of_keras_1 = version.startswith(("0.", "1"))
        written = file.text("model_config") if self._of_keras_1 else None
        described = None if written is None else parse_json(written, "model_config", file.source)
        self._theano_ordered = keras_1.theano_ordered(described)

    def read(self, variable: Any, path: str, layer: Layer) -> np.ndarray:
        """Return the variable's value from the array at this path."""
        who = f"{layer.label}'s {variable.name}"
        shape, converted = variable.shape, lambda array: array
        if self._of_keras_1:
            theano = variable.path.rpartition("/")[0] in self._theano_ordered
            transposed = isinstance(layer, Conv2DTranspose)
            found = self._group.shape(path)
            shape, converted = keras_1.kernel_reader(found, shape, theano, transposed)
        value: np.ndarray = converted(self._group.array(path, shape, who))
        if id(variable) not in self._flipped:
            return value
        # Along all axes except channels and filters.
        return np.flip(value, tuple(range(value.ndim - 2)))


def _layer_assignments(
    layer: Layer, group: hdf5.Group, name: str, arrays: list[str], kernels: _Kernels
) -> weights.Assignments:
    variables = layer.trainable_weights + layer.non_trainable_weights
    if len(arrays) != len(variables):
        raise ValueError(
            f"{layer.label} has {len(variables)} weight arrays. "
            f"{group.source} has {len(arrays)} for {shortened(repr(name))}."
        )
    found: weights.Assignments = []
    for variable, array in zip(variables, arrays, strict=True):
        found.append((variable, kernels.read(variable, f"{name}/{array}", layer)))
    return found


def read_optimizer(model: Any, file: hdf5.Group) -> None:
    """Read the optimizer's state in the order of Keras 1, 2 or 3."""
    group = file.group("optimizer_weights")
    if group is None:
        return
    names = group.names("weight_names")
    if len(names) > 3 and names[3].endswith("/dynamic_scale"):
        names = names[4:]  # after those of an optimizer that scales the loss (`half_precision`)
    if is_old(file.text("keras_version") or "1"):
        ordered = _in_order(model, names)
        if ordered is None:
            warnings.warn(
                f"{file.source} keeps an optimizer state that does not fit, so the optimizer "
                f"starts anew: {len(names)} arrays, where {model.label} has "
                f"{len(model.trainable_weights)} trainable weights.",
                stacklevel=4,
            )
            return
        names = ordered

    def read(index: int, shape: tuple[int, ...], who: str) -> np.ndarray:
        if names[index] == _RATE:
            return np.array(model.optimizer.learning_rate)
        return group.array(names[index], shape, who)

    weights.read_state(model, file.source, len(names), read)


def is_old(version: str) -> bool:
    """Return whether this is a version of Keras before 3."""
    return version.startswith(("0.", "1", "2"))


_RATE = ""  # stands for the learning rate, which Keras 2 stores only in the config
# The names that Keras 2 gave the slots of its optimizers, and Keras 3's names.
_SLOTS = {
    "SGD": {"m": "momentum", "momentum": "momentum"},
    "Adam": {"m": "momentum", "v": "velocity", "vhat": "velocity_hat"},
    "AdamW": {"m": "momentum", "v": "velocity", "vhat": "velocity_hat"},
    "Adamax": {"m": "momentum", "u": "norm", "v": "norm"},
    "Nadam": {"m": "momentum", "v": "velocity"},
    "Ftrl": {"accumulator": "accumulator", "linear": "linear"},
    "Lion": {"m": "momentum"},
    "RMSprop": {
        "rms": "velocity",
        "velocity": "velocity",
        "accumulator": "velocity",
        "momentum": "momentum",
        "mg": "average_gradient",
        "average_gradient": "average_gradient",
    },
}


def _in_order(model: Any, names: list[str]) -> list[str] | None:
    """Return the names of Keras 2's arrays in Keras 3's order; None if other weights were trained.

        iteration:0  Adam/m/dense/kernel:0  Adam/v/dense/kernel:0  …     from 2.11
        iteration:0  m/dense/kernel:0  v/dense/kernel:0  …               with mixed_float16
        Adam/iter:0  Adam/dense/kernel/m:0  …  Adam/dense/kernel/v:0     before
        Adam/iterations:0  training/Adam/m_0:0  …  training/Adam/v_0:0   before tf.keras

    Arrays of one slot come in the order of the weights. If the names do not show the slot (Keras
    2.2 calls each array `Variable`), the slots follow one another.
    """
    optimizer, variables = model.optimizer, model.trainable_weights
    sorts = [slot for group in optimizer.all_slot_groups() for slot in group]
    rate = [_RATE] if optimizer.has_own_rate else []
    if len(names) <= 1 or not sorts:  # no step was made, or there are no slots
        return [*names[:1], *rate] if names else []
    known = _SLOTS.get(type(optimizer).__name__, {})
    of_sort: dict[str, list[str]] = {}
    for name in names[1:]:
        parts = name.rpartition(":")[0].split("/")
        if names[0].startswith("iteration:"):
            named = parts[:1] if parts[0] in known else parts[1:2]
        else:
            named = [parts[-1].split("_")[0]]
        called = named[0] if named else ""
        sort = known.get(called, called if called in sorts else "")
        of_sort.setdefault(sort, []).append(name)
    if list(of_sort) == [""]:
        size, unsorted = len(variables), of_sort.pop("")
        of_sort = {s: unsorted[i * size : (i + 1) * size] for i, s in enumerate(sorts)}
    if any(len(of_sort.get(sort, [])) != len(variables) for sort in sorts):
        return None
    where = {id(variable): number for number, variable in enumerate(variables)}
    places = [of_sort[slot][where[id(v)]] for v, slot in optimizer.slot_places(variables)]
    return [names[0], *rate, *places]


# ---------------------------------------------------------------------------------------------
# The architecture
# ---------------------------------------------------------------------------------------------


def read_config(file: hdf5.Group) -> dict[str, Any]:
    """Return the content of a `.keras` file's config.json for this model, in Keras 2's words."""
    source = file.source
    written = file.text("model_config")
    if written is None:
        raise ValueError(
            f"{source} holds weights without a model: make the model, then call load_weights."
        )
    config = parse_json(written, "model_config", source)
    config["keras_version"] = file.text("keras_version") or "1"
    training = file.text("training_config")
    if training is not None:
        settings = parse_json(training, "training_config", source)
        config["compile_config"] = settings | {"optimizer": settings.get("optimizer_config")}
    return config


def read_metadata(file: hdf5.Group) -> dict[str, Any]:
    """Return `model.metadata` from the place where `legacy_writer` stores it."""
    written = file.text("minicnn")
    return {} if written is None else parse_json(written, "metadata", file.source)


def modern(data: dict[str, Any]) -> dict[str, Any]:
    """Return Keras 1's or 2's description of a model or layer as Keras 3 would write it.

    A model's `keras_version`, if it has one, is the version that wrote it.
    """
    if is_old(str(data.get("keras_version", "3"))):
        data = _with_old_activations(data)
    data = keras_1.renamed(data)
    config, kind = data.get("config"), data.get("class_name")
    if isinstance(config, list):  # Sequential before Keras 2.2.3
        config = {"layers": config}
    if not isinstance(config, dict):
        return data
    config = dict(config)
    if kind == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    if kind == "ThresholdedReLU":  # Keras 3 has only ReLU
        kind, config["threshold"] = "ReLU", config.pop("theta", 1.0)
    if kind in _MODELS:
        layers = [modern(layer) for layer in config.get("layers", [])]
        nodes = [node for layer in layers for node in layer.get("inbound_nodes", [])]
        if any(isinstance(node, list) for node in nodes):  # otherwise Keras 3 wrote it
            shift = {layer_name(layer): _first_use(layer) for layer in layers}
            config["output_layers"] = _ends(config.get("output_layers"), layers)
            layers = [_with_modern_nodes(layer, shift) for layer in layers]
        config["layers"] = layers
    return {**data, "class_name": kind, "config": config}


def _with_old_activations(data: Any) -> Any:
    """Return a description in which `hard_sigmoid` has the slope that it had before Keras 3."""
    if isinstance(data, list):
        return [_with_old_activations(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {
        key: "hard_sigmoid(slope=0.2)"
        if key == "activation" and value == "hard_sigmoid"
        else _with_old_activations(value)
        for key, value in data.items()
    }


def _first_use(layer: dict[str, Any]) -> int:
    """Return Keras 2's number of a layer's first use: a nested model's own graph has number 0."""
    inner = layer.get("config", {}).get("layers") or [{}]
    starts = layer.get("class_name") in _MODELS and inner[0].get("class_name") == "InputLayer"
    return 1 if starts else 0


def _with_modern_nodes(layer: dict[str, Any], shift: dict[Any, int]) -> dict[str, Any]:
    nodes = layer.get("inbound_nodes", [])
    return {**layer, "inbound_nodes": [_modern_node(node, layer, shift) for node in nodes]}


def _modern_node(node: Any, layer: dict[str, Any], shift: dict[Any, int]) -> Any:
    if not isinstance(node, list):
        return node
    if layer.get("class_name") in ("TFOpLambda", "SlicingOpLambda"):
        return _call_of_function(node, shift)
    tensors = []
    kwargs: dict[str, Any] = {}
    for name, use, index, *rest in node:
        kwargs = rest[0] if rest else {}
        tensors.append(_tensor(name, use, index, shift))
    single = len(tensors) == 1 and layer.get("class_name") not in _CALLED_ON_LISTS
    return {"args": [tensors[0] if single else tensors], "kwargs": kwargs}


def _tensor(name: Any, use: int, index: int, shift: dict[Any, int]) -> dict[str, Any]:
    address = [name, max(use - shift.get(name, 0), 0), index]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": address}}


def _call_of_function(node: list[Any], shift: dict[Any, int]) -> dict[str, Any]:
    """Return the call of one of tf's functions, whose first argument is stored with the others.

    ["a", 0, 0, {"y": 2.0}]    ["_CONSTANT_VALUE", -1, 2.0, {"y": ["a", 0, 0]}]
    [["a", 0, 0, {"axis": -1}], ["b", 0, 0, {"axis": -1}]]
    """

    def argument(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if len(value) < 3 or not isinstance(value[0], str):
            return [argument(item) for item in value]
        return (
            value[2]
            if value[0] == "_CONSTANT_VALUE"
            else _tensor(value[0], value[1], value[2], shift)
        )

    last = node if isinstance(node[0], str) else node[0]
    others = last[3] if len(last) > 3 else {}
    kwargs = {key: argument(value) for key, value in others.items()}
    return {"args": [argument(node)], "kwargs": kwargs}


def _ends(ends: Any, layers: list[dict[str, Any]]) -> Any:
    """Renumber a nested Sequential's first use, 1 in Keras 2, 0 in Keras 3 (Functional: 1, 1)."""
    if isinstance(ends, dict):
        return {key: _ends(end, layers) for key, end in ends.items()}
    shifted = {
        layer_name(layer)
        for layer in layers
        if layer.get("class_name") == "Sequential" and _first_use(layer)
    }
    if not all(isinstance(end, list) for end in ends or []):  # one output, not in a list
        return _ends([ends], layers)[0]
    return [[n, max(u - 1, 0), i] if n in shifted else [n, u, i] for n, u, i in ends]
