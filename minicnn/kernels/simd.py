"""The width of the processor's vectors, and the instructions that several kernels share.

A processor multiplies and adds whole vectors (8 float32 in an AVX2 register, 16 in an AVX-512 one).
LLVM vectorizes most loops by itself. Where it does not find the best shape, a builtin writes it
out: the microkernel of every matrix product (`microkernel`), sums and maxima of many pixels'
channels (`channels`), Winograd's transforms (`grids`). If the processor's vectors are smaller, LLVM
splits them, so the code is right everywhere.
"""

from typing import Any

from llvmlite import ir

from minicnn.compiler import machine
from minicnn.compiler.language import builtin
from minicnn.compiler.translate import Compiler
from minicnn.compiler.values import I32, I64, POINTER, Number


def _lanes_and_rows() -> tuple[int, int]:
    """Return float32 numbers per vector, and rows per microkernel."""
    processor = machine.processor()
    if processor.has("avx512f"):
        return 16, 14  # 28 sums in 32 registers
    if processor.has("avx2"):
        return 8, 6  # 12 sums in 16 registers
    return 4, 6


LANES, ROWS = _lanes_and_rows()
HEIGHTS = (ROWS, ROWS // 2 + 1, ROWS // 4 + 1)  # rows that do not fill a tile cost less
VECTORS = 2
COLUMNS = VECTORS * LANES  # of float32; half as many float64 have the same width

FUSED = ("contract",)  # a * b + c may be one instruction


def whole(number: int) -> ir.Constant:
    """Return a whole number as an LLVM constant."""
    return ir.Constant(I64, number)


def load(compiler: Compiler, address: Any, kind: Any, align: int) -> Any:
    """Return the value at an address (an LLVM value)."""
    loaded = compiler.builder.load(compiler.builder.inttoptr(address, POINTER), typ=kind)
    loaded.align = align
    return loaded


def store(compiler: Compiler, value: Any, address: Any, align: int) -> None:
    """Put a value at an address."""
    place = compiler.builder.inttoptr(address, POINTER)
    compiler.builder.store(value, place).align = align


def prefetch(compiler: Compiler, address: Any, to_write: bool = False) -> None:
    """Ask for the cache line at `address`, which may lie anywhere."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER, I32, I32, I32])
    function = compiler.module.declared("llvm.prefetch.p0", kind)
    write, keep, data = (ir.Constant(I32, value) for value in (int(to_write), 3, 1))
    place = compiler.builder.inttoptr(address, POINTER)
    compiler.builder.call(function, [place, write, keep, data])


def spread(compiler: Compiler, value: Any, vector: Any) -> Any:
    """Return a vector with `value` in each place."""
    undefined = ir.Constant(vector, ir.Undefined)
    one = compiler.builder.insert_element(undefined, value, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    return compiler.builder.shuffle_vector(one, undefined, zeros)


def limits(compiler: Compiler, clamp: Any, vector: Any, size: int) -> list[Any]:
    """Return the two numbers at the address `clamp`, each as a vector."""
    places = (clamp, compiler.builder.add(clamp, whole(size)))
    return [spread(compiler, load(compiler, p, vector.element, size), vector) for p in places]


def clamped(compiler: Compiler, value: Any, bounds: Any) -> Any:
    """Return `value` kept between the bounds; a comparison with NaN is false, so NaN stays.

    In this form, each bound is a single instruction.
    """
    build, (low, high) = compiler.builder, bounds
    raised = build.select(build.fcmp_ordered(">", low, value), low, value)
    return build.select(build.fcmp_ordered("<", high, raised), high, raised)


def wins(compiler: Compiler, value: Any, most: Any) -> Any:
    """Return whether `value` is larger, or is the first NaN: nothing wins over a NaN."""
    build = compiler.builder
    larger = build.fcmp_unordered(">", value, most)
    return build.and_(larger, build.fcmp_ordered("ord", most, most))


@builtin
def copy_vectors(compiler: Compiler, source: Number, target: Number) -> None:
    """Copy `COLUMNS` float32 (or half as many float64) from one address to another."""
    vector = ir.VectorType(ir.FloatType(), COLUMNS)
    store(compiler, load(compiler, source.value, vector, 4), target.value, 4)


@builtin
def add_vectors(compiler: Compiler, source: Number, target: Number, bounds: Number) -> None:
    """target[o] += source[o] for `COLUMNS` float32, limited as by `elementwise.relu`.

    All three are addresses; the bounds are the smallest and the largest allowed number.
    """
    build, vector = compiler.builder, ir.VectorType(ir.FloatType(), COLUMNS)
    low, high = limits(compiler, bounds.value, vector, 4)
    first, second = (load(compiler, place.value, vector, 4) for place in (target, source))
    total = build.fadd(first, second)
    raised = build.select(build.fcmp_ordered("<=", total, low), low, total)
    lowered = build.select(build.fcmp_ordered(">", raised, high), high, raised)
    store(compiler, lowered, target.value, 4)


@builtin
def transpose_square(
    compiler: Compiler, source: Any, source_row: Any, target: Any, target_row: Any
) -> None:
    """target[k, r] = source[r, k] for `LANES` x `LANES` float32; addresses and strides in bytes.

    In log2(LANES) rounds: round s swaps, between rows r and r + s, the columns whose number has bit
    s with those whose number has not.
    """
    build, vector = compiler.builder, ir.VectorType(ir.FloatType(), LANES)
    base, stride, goal, goal_stride = map(compiler.as_int, (source, source_row, target, target_row))

    def place(base: Any, stride: Any, r: int) -> Any:
        return build.add(base, build.mul(stride, whole(r)))

    rows = [load(compiler, place(base, stride, r), vector, 4) for r in range(LANES)]
    step = 1
    while step < LANES:
        # Of two rows side by side (the second one's columns count on from LANES), the columns that
        # stay or come up, and those that go down or stay.
        up = [c if not c & step else LANES + c - step for c in range(LANES)]
        down = [c + step if not c & step else LANES + c for c in range(LANES)]
        for r in range(LANES):
            if not r & step:
                first, second = rows[r], rows[r + step]
                for where, columns in ((r, up), (r + step, down)):
                    mask = ir.Constant(ir.VectorType(I32, LANES), columns)
                    rows[where] = build.shuffle_vector(first, second, mask)
        step *= 2
    for r in range(LANES):
        store(compiler, rows[r], place(goal, goal_stride, r), 4)


@builtin
def add_line(compiler: Compiler, total: Any, line: Any) -> None:
    """total[o] += line[o] for `COLUMNS` float32, which are added up in float64."""
    build = compiler.builder
    narrow, wide = (ir.VectorType(kind, COLUMNS) for kind in (ir.FloatType(), ir.DoubleType()))
    more = build.fpext(load(compiler, line.value, narrow, 4), wide)
    before = load(compiler, total.value, wide, 8)
    store(compiler, build.fadd(before, more), total.value, 8)
