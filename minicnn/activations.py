"""Activation functions under Keras's names; `activation=relu` means the same as `"relu"`."""

from typing import Any

import numpy as np

from minicnn import functional

Array = np.ndarray

relu = functional.relu
sigmoid = functional.sigmoid
softmax = functional.softmax
tanh = functional.tanh


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6)."""
    return functional.relu(x, max_value=6.0)


def linear(x: Array) -> Array:
    """x."""
    return x


def get(identifier: Any) -> Any:
    """An activation function by its name; None is `linear`."""
    from minicnn.layers.base import activation_name

    return globals()[activation_name(identifier, "activations.get")]


__all__ = ["get", "linear", "relu", "relu6", "sigmoid", "softmax", "tanh"]
