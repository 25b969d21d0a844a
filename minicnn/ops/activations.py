"""Activations as operations: those of `minicnn.functional`, with their gradients."""

import functools
import math
from typing import Any

import numpy as np

from minicnn import config
from minicnn._support.operators import operations
from minicnn.functional import ACTIVATIONS, by_name
from minicnn.ops.operation import of_symbols, operation, value_of
from minicnn.ops.tape import Symbolic

Array = np.ndarray
Axis = int | tuple[int, ...] | list[int]


def function_of(name: str) -> Any:
    """Return the operation of the activation of this name; `KeyError` if there is none.

    The name may include settings, as in `leaky_relu(negative_slope=0.1)`.
    """
    over_axis = {"softmax": softmax, "log_softmax": log_softmax}
    return over_axis[name] if name in over_axis else _own(name)


@functools.cache
def _own(name: str) -> Any:
    """Return the activation of this name in `minicnn.functional` as an operation."""
    found = by_name.activation(name)

    @functools.wraps(found.forward)
    def function(x: Array, **settings: Any) -> Any:
        dtype = getattr(x, "dtype", np.dtype(bool))
        x = np.asarray(x, dtype if dtype.kind == "f" else config.floatx())
        shape, x = x.shape, np.atleast_1d(x)  # a single number is a line of one
        y = found.forward(x, **settings)
        needed = x if found.of_input or settings else y

        def dx(dy: Array) -> Array:
            return found.backward(np.ascontiguousarray(dy), needed, **settings).reshape(shape)

        return y.reshape(shape), dx

    made = operation(function)
    made.__name__ = name
    if name not in ACTIVATIONS:
        operations.pop(name)  # with settings, it is not a function of `minicnn.ops`
    return made


def _over(name: str, x: Any, axis: Axis) -> Any:
    """Return softmax or its logarithm over this axis, or over several as if they were one."""
    if isinstance(x, Symbolic):
        return of_symbols(name, {"x": x, "axis": axis})
    if axis in (-1, np.ndim(value_of(x)) - 1):
        return _own(name)(x)
    move, reshape = operations["moveaxis"], operations["reshape"]
    axes = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    last = list(range(-len(axes), 0))
    moved = move(x, axes, last)
    shape = tuple(moved.shape)
    y = _own(name)(reshape(moved, (*shape[: -len(axes)], math.prod(shape[-len(axes) :]))))
    return move(reshape(y, shape), last, axes)


def softmax(x: Any, axis: Axis = -1) -> Any:
    """Return exp(x) divided by its sum over the axis, or axes: shares, which add up to 1."""
    return _over("softmax", x, axis)


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """Return the logarithm of `softmax`, computed so that nothing overflows."""
    return _over("log_softmax", x, axis)


def gelu(x: Any, approximate: bool = True) -> Any:
    """Return x * P(x), P the share of a normal distribution below x; see `minicnn.functional`.

    As in Keras, this function approximates by default, and the activation "gelu" does not.
    """
    return function_of("gelu")(x, approximate=approximate)


@operation
def threshold(x: Array, threshold: float, default_value: float) -> Any:
    """Return x where it is above the threshold, elsewhere `default_value`, with gradient 0."""
    above = np.greater(x, threshold)
    return np.where(above, x, default_value), lambda dy: dy * above


@operation
def glu(x: Array, axis: int = -1) -> Any:
    """Return the first half of an axis times sigmoid of the second: a gate for each number.

        y = a * s, s = sigmoid(b)        da = dy * s        db = dy * a * s * (1 - s)

    Raises `ValueError` for an axis of an odd size.
    """
    if not x.ndim or x.shape[axis] % 2:
        raise ValueError(f"glu expects an axis of an even size. Received x.shape={x.shape}.")
    a, b = np.split(x, 2, axis)
    s = 1 / (1 + np.exp(-b))
    return a * s, lambda dy: np.concatenate([dy * s, dy * a * s * (1 - s)], axis)


celu = function_of("celu")
elu = function_of("elu")
hard_shrink = function_of("hard_shrink")
hard_sigmoid = function_of("hard_sigmoid")
hard_silu = hard_swish = function_of("hard_silu")
hard_tanh = function_of("hard_tanh")
leaky_relu = function_of("leaky_relu")
log_sigmoid = function_of("log_sigmoid")
relu = function_of("relu")
relu6 = function_of("relu6")
selu = function_of("selu")
sigmoid = function_of("sigmoid")
silu = swish = function_of("silu")
soft_shrink = function_of("soft_shrink")
softplus = function_of("softplus")
softsign = function_of("softsign")
sparse_plus = function_of("sparse_plus")
sparse_sigmoid = function_of("sparse_sigmoid")
squareplus = function_of("squareplus")
tanh = function_of("tanh")
tanh_shrink = function_of("tanh_shrink")
