"""Keras's `.weights.h5`: the weights alone, in a tree of HDF5 groups that mirrors the model.

    layers/conv2d/vars/0                  kernel of the model's first Conv2D, whatever its name
    layers/conv2d/vars/1                  its bias
    layers/conv2d_1/vars/0                the second Conv2D's kernel
    layers/sequential/layers/dense/vars/0 a nested model's layers

A layer's path is its class in snake case, numbered in the order of `model.layers`, so two models of
one architecture can read each other's files, whatever their layers are called. `vars` has the
layer's name as an attribute, for people and for `by_name`.

The optimizer's state is next to the layers, in Keras's order: count of steps, learning rate, then
the slots of each trainable weight.

    optimizer/vars/0, 1, 2, …

Keras 2 wrote another layout under the same suffix; `minicnn.saving.legacy` reads that.
"""

import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minicnn._support.settings import snake_case
from minicnn.layers.base import Layer
from minicnn.optimizers import SGD
from minicnn.saving import hdf5
from minicnn.saving.compiling import KeptOptimizer
from minicnn.saving.limits import MismatchError, shortened

SUFFIX = ".weights.h5"
_OLD_FOLDER = "_layer_checkpoint_dependencies"  # the name of `layers` in Keras 2.12 to 2.14
Assignments = list[tuple[Any, np.ndarray]]


def layer_paths(model: Any, met: set[int] | None = None) -> Iterator[tuple[str, Layer]]:
    """Yield `("layers/conv2d", layer)` for each layer of the model, nested ones after their model.

    A layer that is used both here and in a nested model has only the first of its paths.
    """
    met = set() if met is None else met
    for path, layer in _within(model):
        if id(layer) in met:
            continue
        met.add(id(layer))
        yield path, layer
        yield from ((f"{path}/{inner}", nested) for inner, nested in layer_paths(layer, met))


def _within(layer: Any) -> list[tuple[str, Layer]]:
    """Return the layers in a layer, with their paths; users' own layers by their attributes.

    Keras goes through the attributes of a user's model by name, and so finds the list `layers`,
    too: layers whose attributes come after it have paths as in other models.
    """
    counts: Counter[str] = Counter()
    found = []
    for inner in layer.layers if layer.is_network else ():
        kind = snake_case(getattr(inner, "keras_class_name", type(inner).__name__))
        found.append((f"layers/{kind}" + (f"_{counts[kind]}" if counts[kind] else ""), inner))
        counts[kind] += 1
    return sorted([*layer.sublayers(), *found], key=_order) if layer.defines_call else found


def _order(pair: tuple[str, Layer]) -> tuple[bool, str]:
    """Return a sort key: the attribute's name, with those that begin with "_" last, as in Keras."""
    attribute = pair[0].split("/")[0]
    return attribute.startswith("_"), attribute


def old_layer_paths(
    model: Any, file: hdf5.Group, met: set[int] | None = None
) -> Iterator[tuple[str, Layer]]:
    """Yield the same as `layer_paths` for layers with weights, in a file of Keras 2.12 to 2.14.

    Keras 2.13 visited layers with weights twice, so they have every second number. The k-th layer
    of a class gets its k-th group that holds anything, whatever its number.
    """
    met = set() if met is None else met
    folder = file.group(_OLD_FOLDER)
    full: dict[str, list[str]] = {}
    for name in sorted(folder.keys() if folder is not None else (), key=_kind_and_number):
        if folder is not None and _holds_something(folder.group(name)):
            full.setdefault(_kind_and_number(name)[0], []).append(name)
    for layer in model.layers:
        if id(layer) in met or not layer.weights:
            continue
        met.add(id(layer))
        kind = snake_case(getattr(layer, "keras_class_name", type(layer).__name__))
        names = full.get(kind)
        path = f"{_OLD_FOLDER}/{names.pop(0) if names else kind}"
        yield path, layer
        inside = file.group(path)
        if layer.is_network and inside is not None:
            found = old_layer_paths(layer, inside, met)
            yield from ((f"{path}/{inner}", nested) for inner, nested in found)


def _kind_and_number(name: str) -> tuple[str, int]:
    """Return `("conv2d", 12)` for `conv2d_12`."""
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if kind and number.isdecimal() and len(number) < 10 else (name, 0)


def _holds_something(group: hdf5.Group | None) -> bool:
    """Return whether there is an array for this layer, or for one inside it."""
    if group is None:
        return False
    variables, inside = group.group("vars"), group.group(_OLD_FOLDER)
    if variables is not None and variables.keys():
        return True
    names = inside.keys() if inside is not None else []
    return inside is not None and any(_holds_something(inside.group(name)) for name in names)


def named_layer_paths(model: Any, file: hdf5.Group) -> Iterator[tuple[str, Layer]]:
    """Yield the same as `layer_paths` for layers whose names are anywhere in the file."""
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
            if layer.is_network and inside is not None:
                found = named_layer_paths(layer, inside)
                yield from ((f"{path}/{inner}", nested) for inner, nested in found)


def weights_to_bytes(model: Any) -> memoryview:
    """Return the HDF5 file of the model's weights."""
    return hdf5.written(lambda file: write_weights(model, file), model.label)


def write_weights(model: Any, file: Any) -> None:
    """Write the model's weights, and its optimizer's state, into an open `h5py.File`."""
    file.create_group("vars").attrs["name"] = model.name
    for index, variable in enumerate(model.weights_list):  # its own, if it defines `call`
        file[f"vars/{index}"] = variable.value
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

    With `skip_mismatch`, layers whose weights differ in number or shape keep theirs, and their
    names are returned. Otherwise they raise a `ValueError`.
    """
    assignments: Assignments = []
    skipped = []
    read: dict[str, tuple[Layer, Assignments]] = {}
    twins = []
    taken = None
    if by_name:
        places = named_layer_paths(model, file)
    elif file.group(_OLD_FOLDER) is not None:
        places = old_layer_paths(model, file)
    else:
        places, taken = layer_paths(model), set[str]()
    for path, layer in itertools.chain([("", model)], places):
        if not layer.weights_list:
            continue
        if taken is not None:
            taken.add(path)
        twin = _twin(layer, read.get(layer.name), file, path)
        if twin is not None:
            assignments += twin
            twins.append(layer.label)
            continue
        try:
            found = _layer_assignments(layer, file, path)
        except ValueError:
            if not skip_mismatch:
                raise
            skipped.append(layer.name)
        else:
            assignments += found
            read.setdefault(layer.name, (layer, found))
    left = [] if taken is None else [path for path in _paths_in(file) if path not in taken]
    assign(model, assignments, skipped, file.source)
    if twins:
        warnings.warn(
            f"{file.source} has the weights of {shortened(', '.join(twins))} once, because several "
            f"models inside {model.label} shared that layer. Now each has its own layer with "
            "the same weights, which will differ after training.",
            stacklevel=4,
        )
    if left:
        warnings.warn(
            f"{file.source} has weights that no layer of {model.label} uses: "
            f"{shortened(', '.join(left))}.",
            stacklevel=4,
        )
    return skipped


def _twin(
    layer: Layer, first: tuple[Layer, Assignments] | None, file: hdf5.Group, path: str
) -> Assignments | None:
    """Return the weights of the layer of this name that was read before, if `path` has none.

    If a model and a model inside it share a layer, Keras writes it once, but a description of the
    model makes two layers of it.
    """
    group = file.group(f"{path}/vars")
    if first is None or (group is not None and group.keys()):
        return None
    one, read = first
    if type(one) is not type(layer) or [v.shape for v in layer.weights_list] != [
        variable.shape for variable, _ in read
    ]:
        return None
    return [(own, array) for own, (_, array) in zip(layer.weights_list, read, strict=True)]


def _paths_in(group: hdf5.Group, before: str = "") -> Iterator[str]:
    """Yield the paths of the layers that have weights in the file, as `layer_paths` does."""
    layers = group.group("layers")
    for kind in layers.keys() if layers is not None else ():
        inside = group.group(f"layers/{kind}")
        if inside is not None:
            variables = inside.group("vars")
            if variables is not None and variables.keys():
                yield f"{before}layers/{kind}"
            yield from _paths_in(inside, f"{before}layers/{kind}/")


def assign(model: Any, assignments: Assignments, skipped: list[str], source: str) -> None:
    """Copy the arrays that were read into the model. Raises `ValueError` if there were none."""
    if model.weights and not assignments and not skipped:
        names = ", ".join(layer.name for layer in model.layers if layer.weights)
        raise ValueError(f"{source} has none of the layers of {model.label}: {names}.")
    for variable, array in assignments:
        variable.assign(array)


def _layer_assignments(layer: Layer, file: hdf5.Group, path: str) -> Assignments:
    group = file.group(f"{path}/vars" if path else "vars")
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


def read_optimizer(model: Any, file: hdf5.Group, old: bool = False) -> None:
    """Give the model's optimizer the state in the file, so that training continues.

    `old`: the state is in Keras 2's order, without the learning rate.
    """
    # The first is in an optimizer that scales the loss (`half_precision`).
    group = file.group("optimizer/inner_optimizer/vars") or file.group("optimizer/vars")
    if group is None:
        if old and len(model.optimizer.state_shapes(model.trainable_weights)) > 2:
            warnings.warn(  # for an optimizer from before 2.11, which a .keras file may hold
                f"{file.source} keeps no state of its optimizer, which starts anew.", stacklevel=4
            )
        return
    count = len(group.keys())
    # A file of weights does not say who wrote it, but Keras 2 if one array is missing. (Two arrays
    # are Keras 3's before the first step.)
    expected = len(model.optimizer.state_shapes(model.trainable_weights))
    old = (old or 2 < count == expected - 1) and model.optimizer.has_own_rate

    def read(index: int, shape: tuple[int, ...], who: str) -> np.ndarray:
        if old and index == 1:
            return np.array(model.optimizer.learning_rate)
        return group.array(str(index - (old and index > 1)), shape, who)

    if old and isinstance(model.optimizer, SGD) and not model.optimizer.momentum:
        count = min(count, 1)  # Keras 2 keeps unused momenta
    read_state(model, file.source, count + old, read)


def read_state(
    model: Any, source: str, count: int, read: Callable[[int, tuple[int, ...], str], np.ndarray]
) -> None:
    """Set the optimizer's state from `count` arrays, which `read(index, shape, who)` returns.

    A state that does not fit (because other layers were trainable) is left out with a warning, as
    in Keras; `read` reports that by a `MismatchError`. A state of only two arrays, count of steps
    and learning rate, belongs to an optimizer that has made no step, unless the optimizer has no
    slots.
    """
    if isinstance(model.optimizer, KeptOptimizer):
        return  # it has no state
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
        # All arrays are read before the state is allocated: a file without them cannot use memory.
        arrays = [read(i, shape, name) for i, (name, shape) in enumerate(expected)]
    except MismatchError as error:
        warnings.warn(
            f"{source} keeps an optimizer state that does not fit, so the optimizer starts anew: "
            f"{error}",
            stacklevel=2,
        )
        return
    model.optimizer.set_state(variables, arrays, keep=True)
