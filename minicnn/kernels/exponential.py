"""The exponential function, and activations that use it, number by number.

    exp(x) = 2^n * exp(r),   n = x / ln 2 rounded,   r = x - n * ln 2, which is 0.35 at most

2^n sets the bits in which a floating-point number keeps its exponent, and exp(r) is the series 1 +
r + r^2/2! + r^3/3! + …, which needs few terms for such a small r. Vectors can do all of this: LLVM
makes the loops below run on whole vectors, several times as fast as a function call for each
number.

The result is right to the last bit or two. The product with 2^n is made in two steps, because for
the largest and the smallest results 2^n itself is out of range.
"""

import math
from typing import Any

from llvmlite import ir

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import builtin, function
from minicnn.compiler.translate import Compiler
from minicnn.compiler.values import Number
from minicnn.kernels.simd import FUSED
from minicnn.kernels.tasks import NUMBERS

# For float32 and float64: the number of terms of the series, the bits of the fraction, the exponent
# of 1, and the x beyond which exp(x) is infinite or 0.
_KINDS = {
    "float32": (7, 23, 127, 89.0, -110.0, ir.IntType(32)),
    "float64": (13, 52, 1023, 710.0, -750.0, ir.IntType(64)),
}
# ln 2 in two parts: the first has so few bits that n times it is exact.
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.121944400546905827679e-4


@builtin
def exp(compiler: Compiler, x: Number) -> Number:
    """Return e to the power of x; NaN gives NaN."""
    build, number = compiler.builder, x.kind.ir
    terms, fraction, one, most, least, whole = _KINDS[x.kind.name]

    def constant(value: float) -> Any:
        return ir.Constant(number, value)

    def limited(value: Any, symbol: str, limit: float) -> Any:
        beyond = build.fcmp_ordered(symbol, value, constant(limit))
        return build.select(beyond, constant(limit), value)

    near = limited(limited(x.value, ">", most), "<", least)
    # Adding 1.5 * 2^fraction and subtracting it again rounds to a whole number.
    rounder = constant(1.5 * 2.0**fraction)
    scaled = build.fmul(near, constant(1 / math.log(2)))
    n = build.fsub(build.fadd(scaled, rounder), rounder)
    r = near
    for part in (_LN2_HIGH, _LN2_LOW):
        r = build.fsub(r, build.fmul(n, constant(part), flags=FUSED), flags=FUSED)
    total = constant(1 / math.factorial(terms))
    for k in range(terms - 1, -1, -1):
        product = build.fmul(total, r, flags=FUSED)
        total = build.fadd(product, constant(1 / math.factorial(k)), flags=FUSED)
    is_number = build.fcmp_ordered("ord", n, n)
    exponent = build.fptosi(build.select(is_number, n, constant(0.0)), whole)
    half = build.ashr(exponent, ir.Constant(whole, 1))
    for part in (half, build.sub(exponent, half)):
        bits = build.shl(build.add(part, ir.Constant(whole, one)), ir.Constant(whole, fraction))
        total = build.fmul(total, build.bitcast(bits, number))
    return Number(x.kind, total)


def _tasks(first: Any, *_: Any) -> int:
    return -(-first.size * 4 // NUMBERS)


@function
def _range(task, x):
    """Return the task's part of a flat array."""
    numbers = NUMBERS // 4
    return task * numbers, min((task + 1) * numbers, x.size)


@function
def _sigmoid(v):
    """Return 1 / (1 + exp(-v)), computed from exp(-|v|), which does not overflow."""
    e = exp(-abs(v))
    share = 1 / (1 + e)
    return e * share if v < 0 else share


@kernel(tasks=_tasks, writes="y", vectorize=True)
def sigmoid(task, x, y):
    """y = 1 / (1 + exp(-x))."""
    begin, end = _range(task, y)
    for i in range(begin, end):
        y[i] = _sigmoid(x[i])


@kernel(tasks=_tasks, writes="y", vectorize=True)
def silu(task, x, y):
    """y = x / (1 + exp(-x))."""
    begin, end = _range(task, y)
    for i in range(begin, end):
        y[i] = x[i] * _sigmoid(x[i])


@kernel(tasks=_tasks, writes="dx", vectorize=True)
def silu_backward(task, dy, x, dx):
    """dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x)."""
    begin, end = _range(task, dx)
    for i in range(begin, end):
        s = _sigmoid(x[i])
        dx[i] = dy[i] * s * (1 + x[i] * (1 - s))
