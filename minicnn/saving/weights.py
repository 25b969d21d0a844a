"""Keras's `.weights.h5`: the weights alone, in a tree of HDF5 groups that mirrors the model.

    layers/conv2d/vars/0                  kernel of the model's first Conv2D, whatever its name
    layers/conv2d/vars/1                  its bias
    layers/conv2d_1/vars/0                the second Conv2D's kernel
    layers/sequential/layers/dense/vars/0 a nested model's layers

A layer's place is its class in snake case, numbered in the order of `model.layers`, so that two
models of one architecture read each other's files whatever their layers are called. `vars` has the
layer's name as an attribute, for people.

The optimizer's state stands beside the layers, in Keras's order: steps taken, learning rate, then
what it remembers of each trainable weight.

    optimizer/vars/0, 1, 2, …

Keras 2 wrote another layout under the same suffix; `minicnn.saving.legacy` reads that.
"""

import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minicnn.layers.base import Layer, snake_case
from minicnn.saving import hdf5
from minicnn.saving.untrusted import MismatchError

SUFFIX = ".weights.h5"
_OLD_FOLDER = "_layer_checkpoint_dependencies"  # what Keras 2.12 and 2.13 called `layers`
Assignments = list[tuple[Any, np.ndarray]]


def layer_paths(model: Any, met: set[int] | None = None) -> Iterator[tuple[str, Layer]]:
    """`("layers/conv2d", layer)` for each layer of the model, nested ones after their model.

    A layer that is used here and in a nested model has the first of its places only.
    """
    met = set() if met is None else met
    counts: Counter[str] = Counter()
    for layer in model.layers:
        kind = snake_case(getattr(layer, "keras_class_name", type(layer).__name__))
        path = f"layers/{kind}" + (f"_{counts[kind]}" if counts[kind] else "")
        counts[kind] += 1
        if id(layer) in met:
            continue
        met.add(id(layer))
        yield path, layer
        if hasattr(layer, "layers"):
            yield from ((f"{path}/{inner}", nested) for inner, nested in layer_paths(layer, met))


def named_layer_paths(model: Any, file: hdf5.Group) -> Iterator[tuple[str, Layer]]:
    """The same for those layers whose names the file has, wherever they stand in it."""
    kinds = file.group("layers")
    places: dict[str, str] = {}
    for kind in kinds.keys() if kinds is not None else ():
        variables = file.group(f"layers/{kind}/vars")
        if variables is not None:
            places[variables.text("name") or kind] = kind
    for layer in model.layers:
        if layer.name in places:
            path = f"layers/{places[layer.name]}"
            yield path, layer
            inside = file.group(path)
            if hasattr(layer, "layers") and inside is not None:
                found = named_layer_paths(layer, inside)
                yield from ((f"{path}/{inner}", nested) for inner, nested in found)


def weights_to_bytes(model: Any) -> memoryview:
    """The HDF5 file of the model's weights, made in memory and so written in one go.

    HDF5 itself tells of a full disk in many lines, and of some of it only when it closes the file.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        write_weights(model, file)
    return buffer.getbuffer()


def write_weights(model: Any, file: Any) -> None:
    """Write the model's weights, and its optimizer's state, into an open `h5py.File`."""
    file.create_group("vars").attrs["name"] = model.name
    for path, layer in layer_paths(model):
        group = file.create_group(f"{path}/vars")
        group.attrs["name"] = layer.name
        for index, variable in enumerate(layer.weights_list):
            group[str(index)] = variable.value
    if model.compiled:
        group = file.create_group("optimizer/vars")
        group.attrs["name"] = model.optimizer.name
        for index, (_, array) in enumerate(model.optimizer.state(model.trainable_weights)):
            group[str(index)] = array


def read_weights(
    model: Any, file: hdf5.Group, skip_mismatch: bool = False, by_name: bool = False
) -> list[str]:
    """Read the model's weights from an open file: all of them, or none if anything is wrong.

    With `skip_mismatch` layers whose weights differ in number or shape keep theirs, and their names
    are returned. Raises `ValueError` otherwise.
    """
    assignments: Assignments = []
    skipped = []
    named = named_layer_paths(model, file) if by_name else layer_paths(model)
    for path, layer in named:
        if not layer.weights_list:
            continue
        try:
            assignments += _layer_assignments(layer, file, path)
        except ValueError:
            if not skip_mismatch:
                raise
            skipped.append(layer.name)
    assign(model, assignments, skipped, file.source)
    return skipped


def assign(model: Any, assignments: Assignments, skipped: list[str], source: str) -> None:
    """Copy what was read into the model. Raises `ValueError` if nothing of it was in the file."""
    if model.weights and not assignments and not skipped:
        names = ", ".join(layer.name for layer in model.layers if layer.weights)
        raise ValueError(f"{source} has none of the layers of {model.label}: {names}.")
    for variable, array in assignments:
        variable.assign(array)


def _layer_assignments(layer: Layer, file: hdf5.Group, path: str) -> Assignments:
    if file.group(_OLD_FOLDER) is not None:
        path = path.replace("layers", _OLD_FOLDER)
    group = file.group(f"{path}/vars")
    expected = len(layer.weights_list)
    found = 0 if group is None else len(group.keys())
    if group is None or found != expected:
        raise ValueError(
            f"{layer.label} has {expected} weight arrays. {file.source} has {found} at {path}/vars."
        )
    return [
        (variable, group.array(str(index), variable.shape, f"{layer.label}'s {variable.name}"))
        for index, variable in enumerate(layer.weights_list)
    ]


def read_optimizer(model: Any, file: hdf5.Group) -> None:
    """Give the model's optimizer the state that the file keeps, so that training goes on."""
    group = file.group("optimizer/vars")
    if group is not None:
        count = len(group.keys())
        read_state(model, file.source, count, lambda i, shape, who: group.array(str(i), shape, who))


def read_state(
    model: Any, source: str, count: int, read: Callable[[int, tuple[int, ...], str], np.ndarray]
) -> None:
    """The optimizer's state from `count` arrays, of which `read(index, shape, who)` gives one.

    A state that does not fit (other layers were trainable) is left out with a warning, as in Keras;
    `read` says so by `MismatchError`. One of only two arrays, steps and learning rate, is of an
    optimizer that has not begun, unless it remembers nothing more.
    """
    variables = model.trainable_weights
    expected = model.optimizer.state_shapes(variables)
    if count <= 2 < len(expected):
        return
    try:
        if count != len(expected):
            raise MismatchError(
                f"{model.label}'s {type(model.optimizer).__name__} has {len(expected)} arrays. "
                f"{source} has {count}."
            )
        # All are read before room is made for them: a file without them cannot ask for it.
        arrays = [read(i, shape, name) for i, (name, shape) in enumerate(expected)]
    except MismatchError as error:
        warnings.warn(
            f"{source} keeps a state of the optimizer that does not fit, so that it starts anew: "
            f"{error}",
            stacklevel=2,
        )
        return
    model.optimizer.set_state(variables, arrays)
