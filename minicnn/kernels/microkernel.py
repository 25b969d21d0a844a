"""The microkernel: one small matrix product, kept in the processor's vector registers.

    c[r, :] = start[r, :] + sum over u, k of a[r, u, k] * b[u, k, :]
    c[r, :] = c[r, :] * scale + shift, and within limits, on request

for `ROWS` rows r and `COLUMNS` columns at a time. This is the inside of every direct convolution:
the rows are pixels, the columns are filters, u and k run over the window.

Why it is fast. A processor multiplies and adds whole vectors (8 float32 in an AVX2 register, 16 in
an AVX-512 one), two of them in each cycle, but only if the numbers are already in registers. So a
tile of c (6 rows of 2 vectors, or 14 of 2) stays in registers for the whole sum. Each step loads 2
vectors of b and, for each row, one number of a, spread over a vector; each of these loads serves
several multiply-adds (12 for 8 loads). Twelve sums that don't wait for each other also hide that
one multiply-add takes four cycles.

If b is still in memory, one step's numbers are a whole line of the matrix away from the next
step's, often on another page, and the processor cannot predict them. So each step also prefetches
the numbers that are needed `_AHEAD` steps later. (This takes a third off the time for few rows and
many columns.) And a cache line must be present before a result can be stored in it, so a tile
prefetches c's lines before it begins.

A compiler does not find this shape by itself, so `tile` writes it out in LLVM's language, with
vectors as values.

Addresses are given row by row in tables. So the one tile serves all uses: pixels that lie apart in
memory, a start from a bias or from an earlier sum, a last tile with fewer rows (the table then has
further rows, whose results are never read).
"""

from typing import Any

from llvmlite import ir

from minicnn.compiler.language import Separate
from minicnn.compiler.translate import Compiler
from minicnn.compiler.values import I64, Scalar
from minicnn.kernels.simd import (
    FUSED,
    HEIGHTS,
    LANES,
    ROWS,
    VECTORS,
    clamped,
    load,
    prefetch,
    spread,
    store,
    whole,
)

_AHEAD = 24


def _tile(compiler: Compiler, element: Scalar, rows: Any, *arguments: Any) -> None:
    """Compute one tile: `tile(numbers, rows, a_rows, a_offset, outer, a_outer, depth, a_step,
    b, b_outer, b_step, start_rows, start_offset, c_rows, c_offset, epilogue)`.

    It computes in the dtype of the array `numbers`: float32, or float64 and half as wide. The other
    arguments are int64: counts, addresses, strides in bytes.

    `a_rows`, `start_rows`, `c_rows` are the addresses of tables with `ROWS` addresses each, to
    which the offsets are added. The sum runs over u < `outer` and k < `depth`:  a (one number) at
    a_rows[r] + a_offset + u * a_outer + k * a_step,  b (`COLUMNS` numbers side by side) at
    b + u * b_outer + k * b_step.

    If `start_rows` is 0, the sums start at 0.

    Only the first `rows` of the `ROWS` rows are needed: all are computed, or, if a lower tile is
    enough, fewer.

    `epilogue` is the address of four lines of `COLUMNS` numbers, or 0: each column's scale and
    shift (a normalization, a bias), and its smallest and largest allowed result (for a ReLU: 0 and
    infinity). NaN stays NaN.
    """  # noqa: D205
    build = compiler.builder
    done = compiler.function.append_basic_block("done")
    for height in sorted(HEIGHTS):
        if height < ROWS:
            enough = build.icmp_signed("<=", rows, whole(height))
            lower, higher = (compiler.function.append_basic_block() for _ in range(2))
            build.cbranch(enough, lower, higher)
            build.position_at_end(lower)
            _write_tile(compiler, element, height, *arguments)
            build.branch(done)
            build.position_at_end(higher)
        else:
            _write_tile(compiler, element, height, *arguments)
            build.branch(done)
    build.position_at_end(done)


tile = Separate(_tile, count=15, name="tile")


def _write_tile(
    compiler: Compiler, element: Scalar, height: int,
    a_rows: Any, a_offset: Any, outer: Any, a_outer: Any, depth: Any, a_step: Any,
    b: Any, b_outer: Any, b_step: Any,
    start_rows: Any, start_offset: Any, c_rows: Any, c_offset: Any, epilogue: Any,
) -> None:  # fmt: skip
    """Write the instructions for a tile of `height` rows."""
    build, number, size = compiler.builder, element.ir, element.size
    lanes = 4 * LANES // size
    vector = ir.VectorType(number, lanes)

    def table(base: Any, offset: Any) -> list[Any]:
        rows = [load(compiler, build.add(base, whole(8 * r)), I64, 8) for r in range(height)]
        return [build.add(row, offset) for row in rows]

    places = [whole(size * lanes * v) for v in range(VECTORS)]
    a, c = table(a_rows, a_offset), table(c_rows, c_offset)
    # These are written as memory and become registers: LLVM sees that nothing takes their address.
    sums = [[compiler.alloca(vector) for _ in places] for _ in range(height)]
    nothing = ir.Constant(vector, [0.0] * lanes)
    with build.if_else(build.icmp_signed("==", start_rows, whole(0))) as (anew, further):
        with anew:
            for r in range(height):
                for v in range(VECTORS):
                    build.store(nothing, sums[r][v])
        with further:
            start = table(start_rows, start_offset)
            for r in range(height):
                for v, place in enumerate(places):
                    first = load(compiler, build.add(start[r], place), vector, size)
                    build.store(first, sums[r][v])
    for r in range(height):
        for place in places:
            prefetch(compiler, build.add(c[r], place), to_write=True)
    with compiler.counted(outer) as u:
        a_row = build.mul(u, a_outer)
        b_row = build.add(b, build.mul(u, b_outer))
        with compiler.counted(depth) as k:
            a_place = build.add(a_row, build.mul(k, a_step))
            b_place = build.add(b_row, build.mul(k, b_step))
            b_vectors = [load(compiler, build.add(b_place, p), vector, size) for p in places]
            ahead = build.add(b_place, build.mul(b_step, whole(_AHEAD)))
            for place in places:
                prefetch(compiler, build.add(ahead, place))
            for r in range(height):
                one = load(compiler, build.add(a[r], a_place), number, size)
                a_vector = spread(compiler, one, vector)
                for v in range(VECTORS):
                    product = build.fmul(a_vector, b_vectors[v], flags=FUSED)
                    before = build.load(sums[r][v], typ=vector)
                    build.store(build.fadd(before, product, flags=FUSED), sums[r][v])
    with build.if_then(build.icmp_signed("!=", epilogue, whole(0))):
        line = size * lanes * VECTORS
        for v, place in enumerate(places):
            scale, shift, *bounds = (
                load(compiler, build.add(build.add(epilogue, place), whole(line * k)), vector, size)
                for k in range(4)
            )
            for r in range(height):
                total = build.load(sums[r][v], typ=vector)
                scaled = build.fmul(total, scale, flags=FUSED)
                shifted = build.fadd(scaled, shift, flags=FUSED)
                build.store(clamped(compiler, shifted, bounds), sums[r][v])
    for r in range(height):
        for v, place in enumerate(places):
            total = build.load(sums[r][v], typ=vector)
            store(compiler, total, build.add(c[r], place), size)
