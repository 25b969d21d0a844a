"""The kinds of values that a kernel computes with, and how LLVM represents each.

A kernel knows few kinds: whole numbers (int64), truth values, floating-point numbers (float32,
float64), arrays of these or of bytes, and tuples. An array is C-contiguous: an address and a length
for each axis describe it completely. A tuple exists only while the kernel is compiled.

A plain Python number in a kernel's text, or in a global of its file, takes the kind of its partner,
as in NumPy: `x * 0.5` stays float32 if x is.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
POINTER = ir.PointerType()


class Scalar(NamedTuple):
    """A kind of number: its name, its type in a register, its type and bytes in memory."""

    name: str
    ir: Any
    stored: Any
    size: int

    @property
    def floating(self) -> bool:
        """Return whether it is a floating-point number."""
        return self.name.startswith("float")


INT = Scalar("int64", I64, I64, 8)
BOOL = Scalar("bool", I1, I8, 1)
BYTE = Scalar("uint8", I64, I8, 1)  # computed with as int64
FLOAT32 = Scalar("float32", ir.FloatType(), ir.FloatType(), 4)
FLOAT64 = Scalar("float64", ir.DoubleType(), ir.DoubleType(), 8)

BY_DTYPE = {np.dtype(s.name): s for s in (INT, BYTE, FLOAT32, FLOAT64)}


class ArrayKind(NamedTuple):
    """A C-contiguous array with a number of axes."""

    element: Scalar
    ndim: int

    def __str__(self) -> str:
        return f"{self.element.name}[{self.ndim}]"


class TupleKind(NamedTuple):
    """Values side by side."""

    items: tuple[Any, ...]


Kind = Scalar | ArrayKind | TupleKind


class Number:
    """A number that a kernel computed."""

    def __init__(self, kind: Scalar, value: Any) -> None:
        self.kind, self.value = kind, value


class Array:
    """An array in a kernel: its address and the length of each axis (LLVM values)."""

    def __init__(self, element: Scalar, pointer: Any, dims: list[Any]) -> None:
        self.element, self.pointer, self.dims = element, pointer, dims

    @property
    def kind(self) -> ArrayKind:
        """Its kind."""
        return ArrayKind(self.element, len(self.dims))


def kind_of(value: Any) -> Kind:
    """Return the kind of a variable that is assigned this value."""
    if isinstance(value, (Number, Array)):
        return value.kind
    if isinstance(value, tuple):
        return TupleKind(tuple(kind_of(item) for item in value))
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT
    if isinstance(value, float):
        return FLOAT64
    raise TypeError(f"A kernel cannot keep {value!r} in a variable.")


def parts_of(kind: Kind) -> list[Any]:
    """Return LLVM's types for the parts of a value of this kind."""
    if isinstance(kind, Scalar):
        return [kind.ir]
    if isinstance(kind, ArrayKind):
        return [POINTER, *[I64] * kind.ndim]
    return [part for item in kind.items for part in parts_of(item)]


def flattened(value: Any) -> list[Any]:
    """Return the LLVM values that make up this value."""
    if isinstance(value, Number):
        return [value.value]
    if isinstance(value, Array):
        return [value.pointer, *value.dims]
    if isinstance(value, tuple):
        return [part for item in value for part in flattened(item)]
    return [ir.Constant(kind_of(value).ir, value)]  # type: ignore[union-attr]


def rebuilt(kind: Kind, parts: list[Any]) -> Any:
    """Return the value of this kind whose parts come first in `parts`; they are removed from it."""
    if isinstance(kind, Scalar):
        return Number(INT if kind is BYTE else kind, parts.pop(0))
    if isinstance(kind, ArrayKind):
        return Array(kind.element, parts.pop(0), [parts.pop(0) for _ in range(kind.ndim)])
    return tuple(rebuilt(item, parts) for item in kind.items)


def kind_of_argument(argument: Any) -> Kind:
    """Return the kind of an argument that Python passes to a kernel."""
    if isinstance(argument, np.ndarray):
        return ArrayKind(BY_DTYPE[argument.dtype], argument.ndim)
    if isinstance(argument, tuple):
        return TupleKind(tuple(kind_of_argument(item) for item in argument))
    if isinstance(argument, (bool, np.bool_)):
        return INT
    if isinstance(argument, (int, np.integer)):
        return INT
    if isinstance(argument, np.float32):
        return FLOAT32
    if isinstance(argument, float):  # np.float64, too
        return FLOAT64
    raise TypeError(f"A kernel takes arrays, numbers and tuples of these. Received {argument!r}.")


def name_of(kind: Kind) -> str:
    """Return a short name of the kind, for file names and messages."""
    if isinstance(kind, Scalar):
        return kind.name
    if isinstance(kind, ArrayKind):
        return str(kind)
    return f"({','.join(name_of(item) for item in kind.items)})"
