"""`operation` lets a function of arrays also take tensors, weights and symbols.

    @operation
    def multiply(x1: Array, x2: Array) -> Any:
        return x1 * x2, lambda dy: dy * x2, lambda dy: dy * x1

The function returns y, and then a gradient for each of its arrays, in their order: a function that
turns dy into dx. This dx has the shape of y, or one that broadcasts to it; the tape sums it to the
shape of x.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import config
from minicnn._support import variable
from minicnn._support.operators import operations
from minicnn._support.values import within_call
from minicnn._support.variable import Variable
from minicnn.ops.tape import Symbolic, Tensor

Array = np.ndarray
Arrays = Sequence[np.ndarray]

_on_symbols: list[Callable[[str, dict[str, Any]], Any]] = []


def on_symbols(function: Callable[[str, dict[str, Any]], Any]) -> Callable[..., Any]:
    """Register the function that turns an operation (name, arguments) on symbols into a layer."""
    _on_symbols.append(function)
    return function


def of_symbols(name: str, given: dict[str, Any]) -> Any:
    """Return the symbol of the layer that computes this operation on these arguments."""
    return _on_symbols[0](name, given)


def operation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make the function an operation; the parameters annotated `Array` or `Arrays` are its inputs.

    Given arrays and numbers, the operation returns an array. While a tape records, it returns a
    tensor if one of its inputs is a tensor or a weight that learns.
    """
    signature = inspect.signature(function)
    kinds = {name: p.annotation for name, p in signature.parameters.items()}
    single = [name for name, kind in kinds.items() if kind is Array]
    listed = [name for name, kind in kinds.items() if kind is Arrays]
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        inputs = [given[key] for key in single if key in given]
        for key in listed:
            inputs += given[key]
        if any(isinstance(value, Symbolic) for value in inputs):
            return of_symbols(name, given)
        arrays = arrays_of(inputs)
        left = iter(arrays)
        given |= {key: next(left) for key in single if key in given}
        given |= {key: [next(left) for _ in given[key]] for key in listed}
        with np.errstate(all="ignore"):
            y, *gradients = function(**given)
        y = np.asarray(y) if "dtype" in given else as_result(y, arrays)
        if not is_recorded(inputs):
            return within_call(y)
        return _recorded(name, y, inputs, gradients)

    operations[name] = call
    return call


def is_recorded(inputs: Sequence[Any]) -> bool:
    """Return whether a tape records what is computed from these inputs."""
    tape = variable.recorder()
    return tape is not None and any(tape.tensor_of(value) is not None for value in inputs)


def _recorded(name: str, y: Array, inputs: list[Any], gradients: list[Any]) -> Tensor:
    """Record the operation on the tape. Raises `TypeError` if it has no gradients."""

    def backward(
        dys: list[Array | None], wanted: list[bool], at_logits: bool
    ) -> list[Array | None]:
        (dy,) = dys
        if at_logits:
            return [dy]
        with np.errstate(all="ignore"):
            pairs = zip(gradients, wanted, strict=True)
            return [f(dy) if want and f is not None else None for f, want in pairs]

    logits = (name, value_of(inputs[0])) if name in ("softmax", "sigmoid") else None
    (tensor,) = variable.recorder().record(name, [y], inputs, backward, logits)
    made: Tensor = tensor
    return made


def arrays_of(inputs: Sequence[Any]) -> list[Any]:
    """Return the arrays of tensors, weights and constants; Python's numbers stay as they are.

    Constants that are not arrays get the default dtype; beside tensors or weights, all constants
    get their dtype.
    """
    values = [value_of(value) for value in inputs]
    ours = {
        value.dtype
        for given, value in zip(inputs, values, strict=True)
        if isinstance(given, (Tensor, Variable)) and value.dtype.kind == "f"
    }
    ours = ours or {v.dtype for v in values if isinstance(v, Array) and v.dtype.kind == "f"}
    if not ours:
        return values
    dtype = np.result_type(*ours)
    return [
        value.astype(dtype, copy=False)
        if isinstance(value, Array) and value.dtype.kind in "fiu" and value.dtype != dtype
        else value
        for value in values
    ]


def value_of(value: Any) -> Any:
    """Return the array of a tensor, a weight, an array or a list; a number or None as it is.

    Raises `TypeError` for a tensor of another library, and for values that are not numbers.
    """
    if isinstance(value, Tensor):
        return value.value
    if isinstance(value, Variable):
        with variable.reading():
            return value.value
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, Array):
        check_ours(value)
        if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
            raise TypeError("A list of tensors is not a tensor: minicnn.ops.stack makes one of it.")
        value = np.asarray(value)
        if value.dtype == np.float64:
            value = value.astype(config.floatx())
    if value.dtype.kind not in "fiub":
        raise TypeError(f"Operations expect numbers. Received dtype {value.dtype}.")
    return np.asarray(value, value.dtype.newbyteorder("="))


def check_ours(value: Any) -> None:
    """Raise a `TypeError` for a tensor of TensorFlow, JAX or PyTorch."""
    library = type(value).__module__.split(".")[0]
    if library in ("tensorflow", "jax", "jaxlib", "torch", "keras"):
        raise TypeError(
            f"Operations expect arrays and minicnn's tensors. Received a {type(value).__name__} of "
            f"{library}, whose functions minicnn cannot record: use those of minicnn.ops."
        )


def as_result(y: Any, arrays: Sequence[Any]) -> Array:
    """Return y as an array, in the default dtype if NumPy alone made it float64 or float16."""
    result = np.asarray(y)
    given = {a.dtype.name for a in arrays if isinstance(a, Array)}
    named = result.dtype.name
    numpys = named in ("float16", "float64") and named not in given
    return result.astype(config.floatx()) if numpys else result
