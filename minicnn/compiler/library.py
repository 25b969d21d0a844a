"""The functions of Python and NumPy that a kernel may call."""

import ast
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.compiler.memory import Memory
from minicnn.compiler.values import FLOAT64, INT, Array, Number


def _minimum(compiler: Memory, *values: Any) -> Any:
    return _extreme(compiler, "<", values)


def _maximum(compiler: Memory, *values: Any) -> Any:
    return _extreme(compiler, ">", values)


def _extreme(compiler: Memory, symbol: str, values: tuple[Any, ...]) -> Any:
    if len(values) == 1 and isinstance(values[0], tuple):
        (values,) = values
    best = values[0]
    for other in values[1:]:
        if not isinstance(best, Number) and not isinstance(other, Number):
            best = min(best, other) if symbol == "<" else max(best, other)
            continue
        kind = compiler.common_kind(best, other)
        a, b = compiler.converted(best, kind), compiler.converted(other, kind)
        build = compiler.builder
        compare = build.fcmp_ordered if kind.floating else build.icmp_signed
        best = Number(kind, build.select(compare(symbol, b, a), b, a))
    return best


def _length(compiler: Memory, value: Any) -> Any:
    return Number(INT, value.dims[0]) if isinstance(value, Array) else len(value)


def _absolute(compiler: Memory, value: Any) -> Any:
    if not isinstance(value, Number):
        return abs(value)
    kind = value.kind
    if kind.floating:
        function = compiler.module.ir.declare_intrinsic("llvm.fabs", [kind.ir])
        return Number(kind, compiler.builder.call(function, [value.value]))
    negative = compiler.operation(ast.Sub(), 0, value)
    return _maximum(compiler, value, negative)


def _square_root(compiler: Memory, value: Any) -> Any:
    if not isinstance(value, Number):
        return math.sqrt(value)
    kind = value.kind if value.kind.floating else FLOAT64
    function = compiler.module.ir.declare_intrinsic("llvm.sqrt", [kind.ir])
    return Number(kind, compiler.builder.call(function, [compiler.converted(value, kind)]))


def _zeros(compiler: Memory, shape: Any, dtype: Any = np.float64) -> Array:
    array = compiler.empty(shape, dtype)
    compiler.fill(array, 0)
    return array


CALLS: dict[Any, Callable[..., Any]] = {
    min: _minimum,
    max: _maximum,
    len: _length,
    abs: _absolute,
    int: lambda compiler, value: compiler.cast(INT, value),
    float: lambda compiler, value: compiler.cast(FLOAT64, value),
    math.sqrt: _square_root,
    np.empty: lambda compiler, shape, dtype=np.float64: compiler.empty(shape, dtype),
    np.zeros: _zeros,
}
