"""Activation functions under Keras's names; `activation=relu` means the same as `"relu"`."""

from typing import TYPE_CHECKING, Any

from minicnn.compat import hints
from minicnn.functional import ACTIVATIONS
from minicnn.functional.by_name import activation

celu = ACTIVATIONS["celu"].forward
elu = ACTIVATIONS["elu"].forward
exponential = ACTIVATIONS["exponential"].forward
gelu = ACTIVATIONS["gelu"].forward
hard_shrink = ACTIVATIONS["hard_shrink"].forward
hard_sigmoid = ACTIVATIONS["hard_sigmoid"].forward
hard_silu = ACTIVATIONS["hard_silu"].forward
hard_tanh = ACTIVATIONS["hard_tanh"].forward
leaky_relu = ACTIVATIONS["leaky_relu"].forward
linear = ACTIVATIONS["linear"].forward
log_sigmoid = ACTIVATIONS["log_sigmoid"].forward
log_softmax = ACTIVATIONS["log_softmax"].forward
mish = ACTIVATIONS["mish"].forward
relu = ACTIVATIONS["relu"].forward
relu6 = ACTIVATIONS["relu6"].forward
selu = ACTIVATIONS["selu"].forward
sigmoid = ACTIVATIONS["sigmoid"].forward
silu = ACTIVATIONS["silu"].forward
soft_shrink = ACTIVATIONS["soft_shrink"].forward
softmax = ACTIVATIONS["softmax"].forward
softplus = ACTIVATIONS["softplus"].forward
softsign = ACTIVATIONS["softsign"].forward
sparse_plus = ACTIVATIONS["sparse_plus"].forward
sparse_sigmoid = ACTIVATIONS["sparse_sigmoid"].forward
squareplus = ACTIVATIONS["squareplus"].forward
tanh = ACTIVATIONS["tanh"].forward
tanh_shrink = ACTIVATIONS["tanh_shrink"].forward

# Keras's second names for the same functions.
hard_swish, swish = hard_silu, silu


def get(identifier: Any) -> Any:
    """Return the activation function of this name; None means `linear`."""
    from minicnn.layers.base import activation_name

    return activation(activation_name(identifier, "activations.get")).forward


def serialize(activation: Any) -> Any:
    """Return the name of one of these functions, as Keras writes it into a layer's config."""
    from minicnn.layers.base import activation_in_file, activation_name

    return activation_in_file(activation_name(activation, "activations.serialize"))


def deserialize(config: Any) -> Any:
    """Return the function of this name."""
    return get(config)


__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
