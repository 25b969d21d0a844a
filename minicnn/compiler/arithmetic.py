"""Arithmetic in a kernel: operations, comparisons, and the common kind of two numbers."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from minicnn.compiler.language import Module, RefusedError
from minicnn.compiler.values import BOOL, BYTE, FLOAT64, I1, I64, INT, Array, Kind, Number, Scalar

_FUSED = ("contract",)  # a * b + c may be one instruction; NaN and infinity keep their meaning
NO_WRAP = ("nsw",)


class Arithmetic:
    """Writes the instructions of one function: its frame, and what it computes with numbers."""

    def __init__(self, module: Module, function: Callable[..., Any] | None) -> None:
        """Read the text of `function`; None if a builtin writes all instructions."""
        self.module = module
        if function is not None:
            self.file = function.__code__.co_filename
            lines, self.first_line = inspect.getsourcelines(function)
            self.tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
            self.globals = function.__globals__
        self.variables: dict[str, tuple[Kind, list[Any]]] = {}
        self.returned: Kind | None = None
        self._loops: list[tuple[Any, Any]] = []
        self._extra: list[Any] = []  # memory that did not fit into scratch

    def begin(self, function: ir.Function) -> None:
        """Write into this LLVM function from now on."""
        self.function = function
        function.attributes.add("nounwind")
        self._entry = function.append_basic_block("entry")
        body = function.append_basic_block("body")
        self.entry_builder = ir.IRBuilder(self._entry)
        self.builder = ir.IRBuilder(body)
        self._body = body

    def alloca(self, kind: Any, count: int = 1) -> Any:
        """Return a place in the frame; LLVM turns most of them into registers."""
        return self.entry_builder.alloca(kind, count)

    def operation(self, op: ast.operator, left: Any, right: Any) -> Any:
        """Return left op right."""
        if not isinstance(left, Number) and not isinstance(right, Number):
            if type(op) not in _PYTHONS:
                raise RefusedError(f"A kernel has no {type(op).__name__}.")
            return _PYTHONS[type(op)](left, right)
        kind = self.common_kind(left, right)
        if type(op) not in (_OF_FLOATS if kind.floating else _OF_INTS):
            raise RefusedError(f"A kernel has no {type(op).__name__} of {kind.name}.")
        divides = isinstance(op, (ast.Div, ast.FloorDiv, ast.Mod))
        if divides and not kind.floating and isinstance(right, int) and right == 0:
            raise ZeroDivisionError("division by zero")
        if isinstance(op, ast.Div) and not kind.floating:
            kind = FLOAT64
        a, b = self.converted(left, kind), self.converted(right, kind)
        build = self.builder
        if kind.floating:
            if isinstance(op, ast.Mod):
                return Number(kind, self._floating_remainder(a, b))
            method = {
                ast.Add: build.fadd, ast.Sub: build.fsub, ast.Mult: build.fmul, ast.Div: build.fdiv,
            }[type(op)]  # fmt: skip
            return Number(kind, method(a, b, flags=_FUSED))
        if isinstance(op, (ast.FloorDiv, ast.Mod)):
            return Number(kind, self._divided(op, a, b, right))
        if isinstance(op, (ast.BitAnd, ast.BitOr)):
            return Number(kind, (build.and_ if isinstance(op, ast.BitAnd) else build.or_)(a, b))
        method = {ast.Add: build.add, ast.Sub: build.sub, ast.Mult: build.mul}[type(op)]
        return Number(kind, method(a, b, flags=NO_WRAP))

    def _divided(self, op: ast.operator, a: Any, b: Any, right: Any) -> Any:
        """Divide whole numbers, rounded down as in Python."""
        build = self.builder
        if isinstance(right, int) and right > 0 and right & (right - 1) == 0:
            if isinstance(op, ast.Mod):
                return build.and_(a, ir.Constant(I64, right - 1))
            return build.ashr(a, ir.Constant(I64, right.bit_length() - 1))
        remainder = build.srem(a, b)
        zero = ir.Constant(I64, 0)
        # LLVM rounds towards 0: wrong if there is a remainder and the signs differ.
        differ = build.icmp_signed("<", build.xor(remainder, b), zero)
        wrong = build.and_(build.icmp_signed("!=", remainder, zero), differ)
        if isinstance(op, ast.Mod):
            return build.select(wrong, build.add(remainder, b), remainder)
        quotient = build.sdiv(a, b)
        return build.select(wrong, build.sub(quotient, ir.Constant(I64, 1)), quotient)

    def _floating_remainder(self, a: Any, b: Any) -> Any:
        build = self.builder
        remainder = build.frem(a, b)
        zero = ir.Constant(remainder.type, 0.0)
        differ = build.xor(
            build.fcmp_ordered("<", remainder, zero), build.fcmp_ordered("<", b, zero)
        )
        wrong = build.and_(build.fcmp_ordered("!=", remainder, zero), differ)
        return build.select(wrong, build.fadd(remainder, b), remainder)

    def common_kind(self, left: Any, right: Any) -> Scalar:
        """Return the kind in which two values are combined."""
        kinds = [v.kind for v in (left, right) if isinstance(v, Number)]
        plain = [v for v in (left, right) if not isinstance(v, Number)]
        if len(kinds) == 2 and BOOL in kinds:  # which converts to any other kind
            kinds.remove(BOOL)
            kinds *= 2
        kinds = [INT if kind in (BYTE, BOOL) else kind for kind in kinds]
        if plain:
            if isinstance(plain[0], float) and not kinds[0].floating:
                return FLOAT64
            return kinds[0]
        if kinds[0] is kinds[1]:
            return kinds[0]
        return FLOAT64  # also for int64 and float32, as in NumPy

    def converted(self, value: Any, kind: Scalar) -> Any:
        """Return the LLVM value of a number as this kind."""
        if not isinstance(value, Number):
            if isinstance(value, np.generic):
                value = value.item()
            if not isinstance(value, (int, float)):
                raise TypeError(f"expected a number, found {value!r}")
            return ir.Constant(kind.ir, float(value) if kind.floating else int(value))
        own, build = value.kind, self.builder
        if own is kind or own.ir == kind.ir:
            return value.value
        if kind is BOOL:
            return self.truth(value)
        if own is BOOL:
            value, own = Number(INT, build.zext(value.value, I64)), INT
            if not kind.floating:
                return value.value
        if own.floating and kind.floating:
            return (build.fpext if kind.size > own.size else build.fptrunc)(value.value, kind.ir)
        if own.floating:
            return build.fptosi(value.value, kind.ir)
        return build.sitofp(value.value, kind.ir)

    def as_int(self, value: Any) -> Any:
        """Return the LLVM value of a whole number."""
        return self.converted(value, INT)

    def cast(self, kind: Scalar, value: Any) -> Number:
        return Number(kind, self.converted(value, kind))

    def compared(self, op: ast.cmpop, left: Any, right: Any) -> Any:
        if isinstance(left, tuple) and isinstance(right, tuple):
            if not isinstance(op, ast.Eq):
                raise RefusedError("A kernel compares tuples only with == and !=.")
            result: Any = len(left) == len(right)
            for a, b in zip(left, right):
                result = self.both(result, self.compared(op, a, b))
            return result
        if type(op) not in _COMPARISONS:
            raise RefusedError(f"A kernel has no {type(op).__name__}.")
        if isinstance(left, Array) or isinstance(right, Array):
            raise RefusedError("A kernel compares numbers, not arrays.")
        if not isinstance(left, Number) and not isinstance(right, Number):
            return bool(_COMPARISONS[type(op)][1](left, right))
        symbol = _COMPARISONS[type(op)][0]
        kind = self.common_kind(left, right)
        a, b = self.converted(left, kind), self.converted(right, kind)
        if not kind.floating:
            return Number(BOOL, self.builder.icmp_signed(symbol, a, b))
        compare = self.builder.fcmp_unordered if symbol == "!=" else self.builder.fcmp_ordered
        return Number(BOOL, compare(symbol, a, b))

    def both(self, one: Any, other: Any) -> Any:
        if isinstance(one, bool):
            return other if one else False
        if isinstance(other, bool):
            return one if other else False
        return Number(BOOL, self.builder.and_(one.value, other.value))

    def truth(self, value: Any) -> Any:
        """Return whether a value is true: a bool while compiling, or an LLVM value."""
        if isinstance(value, Array):
            raise RefusedError("An array is neither true nor false.")
        if not isinstance(value, Number):
            return bool(value)
        if value.kind is BOOL:
            return value.value
        if value.kind.floating:
            zero = ir.Constant(value.kind.ir, 0.0)
            return self.builder.fcmp_unordered("!=", value.value, zero)
        return self.builder.icmp_signed("!=", value.value, ir.Constant(I64, 0))

    def as_bool(self, value: Any) -> Any:
        """Return the LLVM value of whether it is true."""
        truth = self.truth(value)
        return ir.Constant(I1, int(truth)) if isinstance(truth, bool) else truth


_OF_FLOATS = {ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod}
_OF_INTS = {*_OF_FLOATS, ast.FloorDiv, ast.BitAnd, ast.BitOr}
_PYTHONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
}

_COMPARISONS: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Lt: ("<", lambda a, b: a < b),
    ast.LtE: ("<=", lambda a, b: a <= b),
    ast.Gt: (">", lambda a, b: a > b),
    ast.GtE: (">=", lambda a, b: a >= b),
    ast.Eq: ("==", lambda a, b: a == b),
    ast.NotEq: ("!=", lambda a, b: a != b),
}
