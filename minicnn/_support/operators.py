"""`Operators` gives weights and the tensors of a tape `x + y`, `x @ w`, `x[0]` and so on.

The functions themselves are those of `minicnn.ops`, a higher floor, which registers them here.
"""

from collections.abc import Callable
from typing import Any

operations: dict[str, Callable[..., Any]] = {}
"""The functions of `minicnn.ops`, by their names there."""

# NumPy's names of the functions behind its operators, where they differ from Keras's.
_UFUNCS = {"absolute": "abs", "true_divide": "divide"}


class OperatorsOfAll:
    """The operators that also mean a function of `minicnn.ops` on symbols."""

    def __matmul__(self, other: Any) -> Any:
        return operations["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return operations["matmul"](other, self)

    def __rpow__(self, other: Any) -> Any:
        return operations["power"](other, self)

    def __abs__(self) -> Any:
        return operations["abs"](self)

    def __lt__(self, other: Any) -> Any:
        return operations["less"](self, other)

    def __le__(self, other: Any) -> Any:
        return operations["less_equal"](self, other)

    def __gt__(self, other: Any) -> Any:
        return operations["greater"](self, other)

    def __ge__(self, other: Any) -> Any:
        return operations["greater_equal"](self, other)


class Operators(OperatorsOfAll):
    """Base class of things with operators, each of which calls a function of `minicnn.ops`.

    NumPy leaves `array + x` to x, too.
    """

    value: Any  # the array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = _UFUNCS.get(ufunc.__name__, ufunc.__name__)
        if method != "__call__" or kwargs or name not in operations:
            raise TypeError(no_gradient(f"np.{ufunc.__name__}"))
        return operations[name](*inputs)

    def __add__(self, other: Any) -> Any:
        return operations["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return operations["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return operations["subtract"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return operations["subtract"](other, self)

    def __mul__(self, other: Any) -> Any:
        return operations["multiply"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return operations["multiply"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return operations["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return operations["divide"](other, self)

    def __pow__(self, other: Any) -> Any:
        return operations["power"](self, other)

    def __neg__(self) -> Any:
        return operations["negative"](self)

    def __getitem__(self, key: Any) -> Any:
        return operations["get_item"](self, key)


def no_gradient(function: str) -> str:
    """Return a message: another library's function cannot be recorded, and what to use instead."""
    return (
        f"{function} cannot be recorded for gradients: use the function of minicnn.ops with that "
        "name, or x.numpy() if no gradient should flow through it."
    )
