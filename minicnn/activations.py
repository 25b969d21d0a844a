"""Activation functions under Keras's names; `activation=relu` means the same as `"relu"`."""

from typing import TYPE_CHECKING, Any

from minicnn.compat import hints
from minicnn.functional import ACTIVATIONS

linear = ACTIVATIONS["linear"].forward
relu = ACTIVATIONS["relu"].forward
relu6 = ACTIVATIONS["relu6"].forward
sigmoid = ACTIVATIONS["sigmoid"].forward
softmax = ACTIVATIONS["softmax"].forward
tanh = ACTIVATIONS["tanh"].forward


def get(identifier: Any) -> Any:
    """Return the activation function of this name; None means `linear`."""
    from minicnn.layers.base import activation_name

    return globals()[activation_name(identifier, "activations.get")]


def serialize(activation: Any) -> str:
    """Return the name of one of these functions, as Keras writes it into a layer's config."""
    from minicnn.layers.base import activation_name

    return activation_name(activation, "activations.serialize")


def deserialize(config: Any) -> Any:
    """Return the function of this name."""
    return get(config)


__all__ = [
    "deserialize",
    "get",
    "linear",
    "relu",
    "relu6",
    "serialize",
    "sigmoid",
    "softmax",
    "tanh",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
