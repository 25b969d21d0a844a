"""Winograd's transforms: a few sums along the columns of a small grid, then along its rows.

Each place of a grid has a vector of `LANES` float32, the channels of a pixel, at an address: the
grid is an address and two strides in bytes. `along` is a Python function from a few numbers to a
few others; it only adds, subtracts, and multiplies by constants. Here it is called with vectors,
and its operations become instructions. `name` is the name of the resulting global in the file that
has `along`.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from minicnn.compiler.language import Separate
from minicnn.compiler.translate import Compiler
from minicnn.compiler.values import FLOAT32, I8, Scalar
from minicnn.kernels.channels import unless_stopped
from minicnn.kernels.simd import FUSED, LANES, clamped, limits, load, store, whole, wins

Along = Callable[[Sequence[Any]], Sequence[Any]]
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _Vector:
    """`LANES` float32 in a register while code is generated: + and - and * write instructions."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "_Vector") -> "_Vector":
        return _Vector(self.builder, self.builder.fadd(self.value, other.value, flags=FUSED))

    def __sub__(self, other: "_Vector") -> "_Vector":
        return _Vector(self.builder, self.builder.fsub(self.value, other.value, flags=FUSED))

    def __mul__(self, factor: float) -> "_Vector":
        factors = ir.Constant(self.value.type, [factor] * LANES)
        return _Vector(self.builder, self.builder.fmul(self.value, factors, flags=FUSED))


def grid_transform(along: Along, size: int, name: str) -> Separate:
    """Return a function of kernels that applies `along` to a grid of `size` x `size`.

    It takes six whole numbers, addresses and strides in bytes: `source, source_row, source_column,
    target, target_row, target_column`.
    """

    def transform(compiler: Compiler, element: Scalar, *numbers: Any) -> None:
        for i, row in enumerate(_grid_of(compiler, along, size, numbers[:3])):
            for j, result in enumerate(row):
                store(compiler, result, _place(compiler, numbers[3:], i, j), 4)

    return Separate(transform, 6, name, FLOAT32, along.__module__)


def clamped_grid_transform(along: Along, size: int, name: str) -> Separate:
    """Return `grid_transform` with `clamp`, the address of the smallest and largest result."""

    def transform(compiler: Compiler, element: Scalar, *numbers: Any) -> None:
        bounds = limits(compiler, numbers[6], _VECTOR, 4)
        for i, row in enumerate(_grid_of(compiler, along, size, numbers[:3])):
            for j, result in enumerate(row):
                place = _place(compiler, numbers[3:6], i, j)
                store(compiler, clamped(compiler, result, bounds), place, 4)

    return Separate(transform, 7, name, FLOAT32, along.__module__)


def pooled_grid_transform(along: Along, size: int, pool: int, name: str) -> Separate:
    """Return `clamped_grid_transform` that keeps the largest of each `pool` x `pool` results.

    Unless `argmax` is 0, it also keeps their numbers, as `find_largest` does: after `clamp` come
    `argmax, argmax_row, argmax_column, stops`.
    """

    def transform(compiler: Compiler, element: Scalar, *numbers: Any) -> None:
        build = compiler.builder
        source, target, clamp = numbers[:3], numbers[3:6], numbers[6]
        argmax, stops = numbers[7:10], numbers[10]
        bounds = limits(compiler, clamp, _VECTOR, 4)
        results = _grid_of(compiler, along, size, source)
        places = ir.VectorType(I8, LANES)
        found = {}
        for i, j in itertools.product(range(len(results) // pool), repeat=2):
            lines = results[i * pool : (i + 1) * pool]
            most, *others = [v for line in lines for v in line[j * pool : (j + 1) * pool]]
            place = ir.Constant(places, [0] * LANES)
            for number, other in enumerate(others, 1):
                won = wins(compiler, other, most)
                most = build.select(won, other, most)
                place = build.select(won, ir.Constant(places, [number] * LANES), place)
            most = clamped(compiler, most, bounds)
            store(compiler, most, _place(compiler, target, i, j), 4)
            found[i, j] = most, place
        with build.if_then(build.icmp_signed("!=", argmax[0], whole(0))):
            stopped = limits(compiler, stops, _VECTOR, 4)
            for (i, j), (most, place) in found.items():
                number = unless_stopped(compiler, place, most, stopped)
                store(compiler, number, _place(compiler, argmax, i, j), 1)

    return Separate(transform, 11, name, FLOAT32, along.__module__)


def _grid_of(compiler: Compiler, along: Along, size: int, source: Sequence[Any]) -> Any:
    """Return the results, row by row."""
    columns = []
    for j in range(size):
        places = [_place(compiler, source, i, j) for i in range(size)]
        loaded = [load(compiler, place, _VECTOR, 4) for place in places]
        columns.append(along([_Vector(compiler.builder, value) for value in loaded]))
    return [[result.value for result in along(row)] for row in zip(*columns, strict=True)]


def _place(compiler: Compiler, grid: Sequence[Any], i: int, j: int) -> Any:
    """Return the address of a grid's vector (i, j)."""
    build, (base, row_stride, column_stride) = compiler.builder, grid
    down, right = build.mul(row_stride, whole(i)), build.mul(column_stride, whole(j))
    return build.add(base, build.add(down, right))
