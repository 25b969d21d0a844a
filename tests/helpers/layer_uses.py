"""Layers with their weights set, and what tests of layers share."""

from typing import Any

import numpy as np

Array = np.ndarray


def as_list(x: Any) -> list[Array]:
    return x if isinstance(x, list) else [x]


def picture(*rows: list[float]) -> Array:
    """One grey picture, (1, rows, columns, 1)."""
    return np.array(rows, np.float32)[None, :, :, None]


def made(layer: Any, x: Any, *weights: Any) -> Any:
    """The layer with these weights."""
    layer.forward(x)
    layer.set_weights(
        [np.array(w, np.float32).reshape(v.shape) for w, v in zip(weights, layer.weights)]
    )
    return layer
