"""Activation functions under Keras's names; `activation=relu` means the same as `"relu"`."""

from typing import Any

from minicnn.functional import ACTIVATIONS

linear = ACTIVATIONS["linear"].forward
relu = ACTIVATIONS["relu"].forward
relu6 = ACTIVATIONS["relu6"].forward
sigmoid = ACTIVATIONS["sigmoid"].forward
softmax = ACTIVATIONS["softmax"].forward
tanh = ACTIVATIONS["tanh"].forward


def get(identifier: Any) -> Any:
    """An activation function by its name; None is `linear`."""
    from minicnn.layers.base import activation_name

    return globals()[activation_name(identifier, "activations.get")]


__all__ = ["get", "linear", "relu", "relu6", "sigmoid", "softmax", "tanh"]
