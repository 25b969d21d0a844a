"""Activation functions under Keras's names; `activation=relu` means the same as `"relu"`."""

from typing import TYPE_CHECKING, Any

from minicnn.compat import hints
from minicnn.ops import activations as operations
from minicnn.ops.activations import function_of

celu = function_of("celu")
elu = function_of("elu")
exponential = function_of("exponential")
gelu = function_of("gelu")
hard_shrink = function_of("hard_shrink")
hard_sigmoid = function_of("hard_sigmoid")
hard_silu = function_of("hard_silu")
hard_tanh = function_of("hard_tanh")
leaky_relu = function_of("leaky_relu")
linear = function_of("linear")
log_sigmoid = function_of("log_sigmoid")
log_softmax = function_of("log_softmax")
mish = function_of("mish")
relu = function_of("relu")
relu6 = function_of("relu6")
selu = function_of("selu")
sigmoid = function_of("sigmoid")
silu = function_of("silu")
soft_shrink = function_of("soft_shrink")
softmax = function_of("softmax")
softplus = function_of("softplus")
softsign = function_of("softsign")
sparse_plus = function_of("sparse_plus")
sparse_sigmoid = function_of("sparse_sigmoid")
squareplus = function_of("squareplus")
tanh = function_of("tanh")
tanh_shrink = function_of("tanh_shrink")

# Functions that no layer takes by its name: one halves the channels, the other needs numbers.
glu, threshold = operations.glu, operations.threshold

# Keras's second names for the same functions.
hard_swish, swish = hard_silu, silu


def get(identifier: Any) -> Any:
    """Return the activation function of this name; None means `linear`."""
    from minicnn.layers.base import activation_name

    return function_of(activation_name(identifier, "activations.get"))


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
    "glu",
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
    "threshold",
]

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)
