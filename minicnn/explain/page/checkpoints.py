"""The weights of a model at other times of its training, between which a page can slide."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn.explain.page.passes import Use
from minicnn.explain.page.plan import Arrays, is_cut
from minicnn.layers.base import Array
from minicnn.models import Model


def weights_of(model: Model, checkpoints: Any) -> dict[str, list[Array]]:
    """Return the weights of each checkpoint by its name, checked to be those of the model.

    A checkpoint is a model of the same layers, or a list as from `get_weights`.
    """
    if not isinstance(checkpoints, Mapping):
        raise TypeError(
            "A page expects checkpoints to be a dict, from a name to a model or its weights. "
            f"Received {type(checkpoints).__name__}."
        )
    shapes = [variable.shape for variable in model.weights]
    found = {}
    for name, given in checkpoints.items():
        weights = given.get_weights() if isinstance(given, Model) else list(given)
        arrays = [np.asarray(weight, np.float32) for weight in weights]
        if [array.shape for array in arrays] != shapes:
            raise ValueError(
                f"The checkpoint {name!r} expects the {len(shapes)} weights of {model.label}, of "
                f"shapes {shapes}. Received {[array.shape for array in arrays]}."
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(f"The checkpoint {name!r} has NaN or infinite weights.")
        found[str(name)] = arrays
    return found


def described(
    model: Model, checkpoints: dict[str, list[Array]], uses: list[Use], nodes: Any, arrays: Arrays
) -> list[dict[str, Any]]:
    """Add the weights that differ from the model's to the page's numbers, and say where they are.

    Raises `ValueError` if they do not fit, and for a page with only some of the kernels.
    """
    if is_cut(nodes):
        raise ValueError(
            f"{model.label} is too big for a page with checkpoints: the page has only some kernels."
        )
    places = {id(variable): k for k, variable in enumerate(model.weights)}
    keys = {
        places[id(variable)]: "/".join([*use.path, use.layer.name, variable.name])
        for use in uses
        for variable in use.layer.weights
    }
    now = [variable.numpy() for variable in model.weights]
    changed = {
        name: [k for k in keys if not np.array_equal(weights[k], now[k])]
        for name, weights in checkpoints.items()
    }
    count = sum(now[k].size + 2 for numbers in changed.values() for k in numbers)
    half = 4 * count > arrays.room
    if 2 * count > arrays.room:
        raise ValueError(
            f"{len(checkpoints)} checkpoints of {model.label} do not fit into a page: pass fewer."
        )
    return [
        {
            "name": name,
            "half": half,
            "weights": {
                keys[k]: {"shape": list(now[k].shape), "at": arrays.add(weights[k], half)}
                for k in changed[name]
            },
        }
        for name, weights in checkpoints.items()
    ]
