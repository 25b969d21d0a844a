"""`ACTIVATIONS` has the activations that a layer takes as `activation=`, by name.

An activation whose numbers are not the defaults has them in its name, as in
`leaky_relu(negative_slope=0.1)`; `activation` finds both.
"""

import functools
import inspect
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn.compiler import recording
from minicnn.functional import activations, elementwise
from minicnn.functional.elementwise import LIMITS, linear, relu6, relu_backward
from minicnn.functional.epilogue import Limits

Array = np.ndarray


class ActivationFunction(NamedTuple):
    """An activation: `forward(z)` gives y, `backward(dy, y)` gives dz.

    If it is `of_input`, backward needs z in place of y: `backward(dy, z)`. An activation that only
    keeps z between two `limits` can be a convolution's epilogue.
    """

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]
    limits: Limits | None = None
    of_input: bool = False

    def applied(self, z: Array) -> Array:
        """Return `forward(z)`; a program (`graph.program`) calls it if no kernel computes it."""
        return recording.activated(self.forward, z)

    def gradient(self, dy: Array, z: Array | None, y: Array) -> Array:
        """Return dz for dy."""
        return self.backward(dy, z if self.of_input and z is not None else y)


ACTIVATIONS: dict[str, ActivationFunction] = {
    "linear": ActivationFunction(linear, lambda dy, y: dy, LIMITS["linear"]),
    "relu": ActivationFunction(elementwise.relu, relu_backward, LIMITS["relu"]),
    "relu6": ActivationFunction(
        relu6, lambda dy, y: relu_backward(dy, y, max_value=6.0), LIMITS["relu6"]
    ),
    "sigmoid": ActivationFunction(elementwise.sigmoid, elementwise.sigmoid_backward),
    "tanh": ActivationFunction(elementwise.tanh, elementwise.tanh_backward),
    "softmax": ActivationFunction(elementwise.softmax, elementwise.softmax_backward),
    **{
        name: ActivationFunction(
            getattr(activations, name), getattr(activations, f"{name}_backward"), of_input=True
        )
        for name in (
            *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
            *("hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "mish", "selu", "silu"),
            *("soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid"),
            *("squareplus", "tanh_shrink"),
        )
    },
}

ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}
"""Keras's second names."""

_WITH_NUMBERS = ("relu", "leaky_relu", "elu", "hard_sigmoid")


def named(name: str, **numbers: Any) -> str:
    """Return the name of an activation with these numbers: its plain name for the defaults."""
    function = ACTIVATIONS[name].forward
    usual = {key: value.default for key, value in inspect.signature(function).parameters.items()}
    changed = {key: value for key, value in numbers.items() if value != usual[key]}
    if name == "relu" and changed == {"max_value": 6.0}:
        return "relu6"
    listed = ", ".join(f"{key}={json.dumps(value)}" for key, value in changed.items())
    return f"{name}({listed})" if changed else name


def parts(name: str) -> tuple[str, dict[str, Any]]:
    """Return `("leaky_relu", {"negative_slope": 0.1})` for `leaky_relu(negative_slope=0.1)`."""
    plain, _, rest = name.partition("(")
    pairs = re.findall(r"(\w+)=([^,)]+)", rest)
    return plain, {key: json.loads(value) for key, value in pairs}


@functools.cache
def _with_numbers(name: str) -> ActivationFunction:
    plain, numbers = parts(name)
    if plain not in _WITH_NUMBERS or not numbers:
        raise KeyError(name)
    forward, backward = ACTIVATIONS[plain].forward, ACTIVATIONS[plain].backward

    def changed(x: Array) -> Array:
        return forward(x, **numbers)

    changed.__name__ = name
    changed.__doc__ = f"y = {name}, see `{plain}`."
    return ActivationFunction(changed, lambda dy, z: backward(dy, z, **numbers), of_input=True)


def activation(name: str) -> ActivationFunction:
    """Return the activation of this name; `KeyError` if there is none."""
    found = ACTIVATIONS.get(name)
    return _with_numbers(name) if found is None else found
