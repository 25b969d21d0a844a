"""Keras's `.weights.h5`: the weights alone, in a tree of HDF5 groups that mirrors the model.

    layers/conv2d/vars/0                  kernel of the model's first Conv2D, whatever its name
    layers/conv2d/vars/1                  its bias
    layers/conv2d_1/vars/0                the second Conv2D's kernel
    layers/sequential/layers/dense/vars/0 a nested model's layers

A layer's place is its class in snake case, numbered in the order of `model.layers`, so that two
models of one architecture read each other's files whatever their layers are called. `vars` has the
layer's name as an attribute, for people.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.atomic import replacing
from minicnn.layers.base import Layer, snake_case

SUFFIX = ".weights.h5"


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


def write_weights(model: Any, file: Any) -> None:
    """Write the model's weights into an open `h5py.File`."""
    file.create_group("vars").attrs["name"] = model.name
    for path, layer in layer_paths(model):
        group = file.create_group(f"{path}/vars")
        group.attrs["name"] = layer.name
        for index, variable in enumerate(layer.weights_list):
            group[str(index)] = variable.value


def read_weights(model: Any, file: Any, source: str, skip_mismatch: bool = False) -> list[str]:
    """Read the model's weights from an open `h5py.File`: all of them, or none if anything is wrong.

    With `skip_mismatch` layers whose weights differ in number or shape keep theirs, and their names
    are returned. Raises `ValueError` otherwise.
    """
    assignments: list[tuple[Any, np.ndarray]] = []
    skipped = []
    for path, layer in layer_paths(model):
        if not layer.weights_list:
            continue
        try:
            assignments += _layer_assignments(layer, file, path, source)
        except ValueError:
            if not skip_mismatch:
                raise
            skipped.append(layer.name)
    for variable, array in assignments:
        variable.assign(array)
    return skipped


def _layer_assignments(
    layer: Layer, file: Any, path: str, source: str
) -> list[tuple[Any, np.ndarray]]:
    group = _member(file, f"{path}/vars", source)
    expected = len(layer.weights_list)
    found = 0 if group is None else len(group)
    if group is None or found != expected:
        raise ValueError(
            f"{layer.label} has {expected} weight arrays. {source} has {found} at {path}/vars."
        )
    pairs = []
    for index, variable in enumerate(layer.weights_list):
        dataset = _member(group, str(index), source)
        if dataset is None or not hasattr(dataset, "dtype"):
            raise ValueError(f"{source} has no array at {path}/vars/{index}.")
        if dataset.is_virtual or dataset.external:
            raise ValueError(
                f"{source} keeps {path}/vars/{index} in other files, which is refused."
            )
        if dataset.shape != variable.shape:
            raise ValueError(
                f"{layer.label} expects {variable.name} of shape {variable.shape}. "
                f"{source} has {dataset.shape} at {path}/vars/{index}."
            )
        if dataset.dtype.kind != "f":
            raise ValueError(
                f"{source} has dtype {dataset.dtype} at {path}/vars/{index}, not numbers."
            )
        pairs.append((variable, np.asarray(dataset[()], variable.dtype)))
    return pairs


def _member(group: Any, path: str, source: str) -> Any:
    """The member at `path`, None if it is missing; links that lead elsewhere are refused."""
    import h5py

    for part in path.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            return None
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{source} has a link at {part!r}, which is refused.")
        group = group[part]
    return group


def check_path(path: str | os.PathLike[str], suffix: str, what: str) -> Path:
    """`path` as a `Path` if it ends in `suffix`, as Keras demands; else `ValueError`."""
    if not str(path).endswith(suffix):
        raise ValueError(f"{what} expects a path that ends in {suffix!r}. Received {str(path)!r}.")
    return Path(path)


def save_weights(model: Any, path: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write `path` (ends in `.weights.h5`), whole or not at all."""
    import h5py

    path = check_path(path, SUFFIX, "save_weights")
    if not overwrite and path.exists():
        raise FileExistsError(f"{str(path)!r} exists; overwrite=True replaces it.")
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        write_weights(model, file)


def load_weights(
    model: Any, path: str | os.PathLike[str], skip_mismatch: bool = False
) -> list[str]:
    """Read `path` (ends in `.weights.h5`) into the model: all weights or none.

    Raises `FileNotFoundError`, and `ValueError` for a file that is damaged or does not fit.
    """
    import h5py

    path = check_path(path, SUFFIX, "load_weights")
    if not path.is_file():
        raise FileNotFoundError(f"No weights file at {str(path)!r}.")
    try:
        with h5py.File(path, "r") as file:
            return read_weights(model, file, repr(str(path)), skip_mismatch)
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{str(path)!r} is no readable HDF5 file: {error}.") from error
