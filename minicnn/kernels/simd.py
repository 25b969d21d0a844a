"""One small matrix product, kept in the processor's vector registers: the tile.

    c[r, :] = start[r, :] + sum over u, k of a[r, u, k] * b[u, k, :]
    c[r, :] = c[r, :] * scale + shift, and within limits, if that is asked for

for `ROWS` rows r and `COLUMNS` columns at a time. This is the inside of every direct convolution:
the rows are pixels, the columns are filters, u and k run over the window.

Why it is fast. A processor multiplies and adds whole vectors (8 float32 in an AVX2 register, 16 in
an AVX-512 one), two of them in each cycle, but only if the numbers are in registers already. So a
tile of c (6 rows of 2 vectors, or 14 of 2) stays in registers for the whole sum. Each step loads
2 vectors of b and, for each row, one number of a, spread over a vector; each of these loads serves
several multiply-adds (12 for 8 loads). Twelve sums that don't wait for each other also hide that
one multiply-add takes four cycles.

Where b is in memory still, one step's numbers are a line of a matrix from the next one's, often on
another page, and the processor would not guess where. So each step also asks for what is needed
`_AHEAD` steps later. (A third less time for few rows and many columns.) And a line of the cache has
to be there before a result can be stored in it, so a tile asks for c's lines before it begins.

A compiler does not find this shape by itself, so `tile` writes it out in LLVM's language, with
vectors as values. Where the processor's vectors are smaller, LLVM splits them: right everywhere.

Addresses are given row by row in tables. That makes the one tile serve all uses: pixels that lie
apart in memory, a start from a bias or from an earlier sum, a last tile with fewer rows (the table
goes on with rows whose result goes to a place that nobody reads).
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from minicnn.kernels import NOBODY


def _lanes_and_rows() -> tuple[int, int]:
    """float32 numbers per vector, and rows per tile, for the processor that numba compiles for."""
    name, features = getattr(config, "CPU_NAME", None), getattr(config, "CPU_FEATURES", None) or ""
    if name or features:  # numba was asked to compile for another one
        has = {part.lstrip("+") for part in features.split(",") if part.startswith("+")}
    else:
        has = {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}
    if "avx512f" in has:
        return 16, 14  # 28 sums in 32 registers
    if "avx2" in has:
        return 8, 6  # 12 sums in 16 registers
    return 4, 6


LANES, ROWS = _lanes_and_rows()
HEIGHTS = (ROWS, ROWS // 2 + 1, ROWS // 4 + 1)  # what remains below a full tile costs less
VECTORS = 2
_AHEAD = 24  # steps, which take longer than memory to answer
COLUMNS = VECTORS * LANES  # of float32; of float64 half as many are as wide


@intrinsic
def tile(  # type: ignore[no-untyped-def]
    typingctx, numbers,
    rows, a_rows, a_offset, outer, a_outer, depth, a_step,
    b, b_outer, b_step,
    start_rows, start_offset, c_rows, c_offset, finish,
):  # fmt: skip
    """Compute one tile of what the array `numbers` has: float32, or float64 and half as wide.

    The other arguments are int64: counts, addresses, strides in bytes.

    `a_rows`, `start_rows`, `c_rows` are the addresses of tables with `ROWS` addresses each, to
    which the offsets are added. The sum runs over u < `outer` and k < `depth`:  a (one number) at
    a_rows[r] + a_offset + u * a_outer + k * a_step,  b (`COLUMNS` numbers side by side) at
    b + u * b_outer + k * b_step.

    Of the `ROWS` rows the first `rows` are wanted: all are computed, or, where a lower tile is
    enough, fewer.

    `finish` is the address of four lines of `COLUMNS` numbers, or 0: each column's scale and shift
    (a normalization, a bias), the least and the most that it may be (for a ReLU: 0 and infinity).
    What is NaN stays NaN.
    """
    number, size = _number_of(numbers)

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        rows, done = arguments[1], builder.append_basic_block("done")
        for height in sorted(HEIGHTS):
            if height < ROWS:
                enough = builder.icmp_signed("<=", rows, ir.Constant(ir.IntType(64), height))
                lower, higher = (builder.append_basic_block() for _ in range(2))
                builder.cbranch(enough, lower, higher)
                builder.position_at_end(lower)
                _write_tile(builder, number, size, height, arguments[2:])
                builder.branch(done)
                builder.position_at_end(higher)
            else:
                _write_tile(builder, number, size, height, arguments[2:])
                builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(numbers, *[types.int64] * 15), codegen


def _number_of(array):  # type: ignore[no-untyped-def]
    """LLVM's type of an array's numbers, and their bytes: known when a kernel is compiled."""
    single = array.dtype == types.float32
    return (ir.FloatType(), 4) if single else (ir.DoubleType(), 8)


def _write_tile(builder, number, size, height, arguments):  # type: ignore[no-untyped-def]
    """The instructions for a tile of `height` rows."""
    a_rows, a_offset, outer, a_outer, depth, a_step = arguments[:6]
    b, b_outer, b_step = arguments[6:9]
    start_rows, start_offset, c_rows, c_offset, finish = arguments[9:]
    lanes = 4 * LANES // size
    i64, vector = ir.IntType(64), ir.VectorType(number, lanes)

    def plus(base, offset):  # type: ignore[no-untyped-def]
        return builder.add(base, offset)

    def load(base, kind):  # type: ignore[no-untyped-def]
        loaded = builder.load(builder.inttoptr(base, kind.as_pointer()))
        loaded.align = 8 if kind is i64 else size  # numbers may start anywhere
        return loaded

    def table(base, offset):  # type: ignore[no-untyped-def]
        rows = [load(plus(base, ir.Constant(i64, 8 * r)), i64) for r in range(height)]
        return [plus(row, offset) for row in rows]

    places = [ir.Constant(i64, size * lanes * v) for v in range(VECTORS)]
    a, start = table(a_rows, a_offset), table(start_rows, start_offset)
    c = table(c_rows, c_offset)
    # Written as memory, these become registers: LLVM's mem2reg sees that nobody takes their
    # address.
    sums = [[cgutils.alloca_once(builder, vector) for _ in places] for _ in range(height)]
    for r in range(height):
        for v, place in enumerate(places):
            builder.store(load(plus(start[r], place), vector), sums[r][v])
    for r in range(height):
        for place in places:
            _prefetch(builder, plus(c[r], place), to_write=True)
    with cgutils.for_range(builder, outer) as window_row:
        a_row = builder.mul(window_row.index, a_outer)
        b_row = plus(b, builder.mul(window_row.index, b_outer))
        with cgutils.for_range(builder, depth) as step:
            a_place = plus(a_row, builder.mul(step.index, a_step))
            b_place = plus(b_row, builder.mul(step.index, b_step))
            b_vectors = [load(plus(b_place, place), vector) for place in places]
            ahead = plus(b_place, builder.mul(b_step, ir.Constant(i64, _AHEAD)))
            for place in places:
                _prefetch(builder, plus(ahead, place))
            for r in range(height):
                a_vector = _spread(builder, load(plus(a[r], a_place), number), vector)
                for v in range(VECTORS):
                    product = builder.fmul(a_vector, b_vectors[v], flags=("contract",))
                    total = builder.fadd(builder.load(sums[r][v]), product, flags=("contract",))
                    builder.store(total, sums[r][v])
    with builder.if_then(builder.icmp_signed("!=", finish, ir.Constant(i64, 0))):
        line = size * lanes * VECTORS
        for v, place in enumerate(places):
            scale, shift, *limits = (
                load(plus(plus(finish, place), ir.Constant(i64, line * k)), vector)
                for k in range(4)
            )
            for r in range(height):
                scaled = builder.fmul(builder.load(sums[r][v]), scale, flags=("contract",))
                shifted = builder.fadd(scaled, shift, flags=("contract",))
                builder.store(_clamped(builder, shifted, limits), sums[r][v])
    for r in range(height):
        for v, place in enumerate(places):
            target = builder.inttoptr(plus(c[r], place), vector.as_pointer())
            builder.store(builder.load(sums[r][v]), target).align = size


def _prefetch(builder, address, to_write=False):  # type: ignore[no-untyped-def]
    """Ask for the cache line at `address`, which may lie anywhere."""
    i32, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
    write, keep, data = (ir.Constant(i32, value) for value in (int(to_write), 3, 1))
    builder.call(function, [builder.inttoptr(address, pointer), write, keep, data])


def _spread(builder, value, vector):  # type: ignore[no-untyped-def]
    """A vector with `value` in each place."""
    undefined, i32 = ir.Constant(vector, ir.Undefined), ir.IntType(32)
    one = builder.insert_element(undefined, value, ir.Constant(i32, 0))
    zeros = ir.Constant(ir.VectorType(i32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, undefined, zeros)


def _limits(builder, clamp, vector, size):  # type: ignore[no-untyped-def]
    """The two numbers at `clamp`, each as a vector."""
    pointer = builder.inttoptr(clamp, vector.element.as_pointer())
    found = []
    for place in range(2):
        limit = builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), place)]))
        limit.align = size
        found.append(_spread(builder, limit, vector))
    return found


def _clamped(builder, value, limits):  # type: ignore[no-untyped-def]
    """`value` between the limits; a comparison with NaN is false, so NaN stays."""
    low, high = limits
    raised = builder.select(builder.fcmp_ordered("<=", value, low), low, value)
    return builder.select(builder.fcmp_ordered(">", raised, high), high, raised)


@intrinsic
def copy_vectors(typingctx, source, target):  # type: ignore[no-untyped-def]
    """Copy `COLUMNS` float32 (or half as many float64) from one address to another."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        vector = ir.VectorType(ir.FloatType(), COLUMNS)
        source, target = (builder.inttoptr(a, vector.as_pointer()) for a in arguments)
        copied = builder.load(source)
        copied.align = 4
        builder.store(copied, target).align = 4
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def transpose_square(typingctx, source, source_row, target, target_row):  # type: ignore[no-untyped-def]
    """target[k, r] = source[r, k] for `LANES` x `LANES` float32; addresses and strides in bytes.

    In log2(LANES) rounds: round s swaps, between rows r and r + s, the columns whose number has bit
    s with those that have not.
    """

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        i64, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)
        base, stride, target, target_stride = arguments

        def place(base, stride, r):  # type: ignore[no-untyped-def]
            address = builder.add(base, builder.mul(stride, ir.Constant(i64, r)))
            return builder.inttoptr(address, vector.as_pointer())

        rows = []
        for r in range(LANES):
            rows.append(builder.load(place(base, stride, r)))
            rows[-1].align = 4
        step = 1
        while step < LANES:
            # Of two rows side by side (the second one's columns count on from LANES), the columns
            # that stay or come up, and those that go down or stay.
            up = [c if not c & step else LANES + c - step for c in range(LANES)]
            down = [c + step if not c & step else LANES + c for c in range(LANES)]
            for r in range(LANES):
                if not r & step:
                    first, second = rows[r], rows[r + step]
                    for where, columns in ((r, up), (r + step, down)):
                        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), columns)
                        rows[where] = builder.shuffle_vector(first, second, mask)
            step *= 2
        for r in range(LANES):
            builder.store(rows[r], place(target, target_stride, r)).align = 4
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


class _Channels:
    """The code for a step along channels: vectors of them, numbers at addresses in bytes."""

    def __init__(self, builder, number, size, width, channel):  # type: ignore[no-untyped-def]
        self.builder, self.size, self.channel = builder, size, channel
        self.vector = ir.VectorType(number, width)
        self.offset = builder.mul(channel, ir.Constant(ir.IntType(64), size))

    def place(self, base, moved=None):  # type: ignore[no-untyped-def]
        """These channels of the pixel at `base`, `moved` by so many bytes."""
        address = self.builder.add(base, self.offset)
        address = address if moved is None else self.builder.add(address, moved)
        return self.builder.inttoptr(address, self.vector.as_pointer())

    def load(self, base, moved=None):  # type: ignore[no-untyped-def]
        loaded = self.builder.load(self.place(base, moved))
        loaded.align = self.size
        return loaded

    def store(self, value, base, moved=None):  # type: ignore[no-untyped-def]
        self.builder.store(value, self.place(base, moved)).align = self.size

    def entry(self, table, t):  # type: ignore[no-untyped-def]
        """The t-th address of a table."""
        pointer = self.builder.inttoptr(table, ir.IntType(64).as_pointer())
        return self.builder.load(self.builder.gep(pointer, [t]))

    def bytes_at(self, base, moved):  # type: ignore[no-untyped-def]
        """The place of these channels' bytes, one for each; `moved` by so many bytes."""
        address = self.builder.add(self.builder.add(base, self.channel), moved)
        kind = ir.VectorType(ir.IntType(8), self.vector.count)
        return self.builder.inttoptr(address, kind.as_pointer())


_MANY, _FEW = (8, 4, 1), (4, 1)  # vectors at a time; each more is more to compile


def _along_channels(builder, numbers, channels, write, widths=_MANY):  # type: ignore[no-untyped-def]
    """All channels: so many vectors at a time while there are as many, at last single numbers.

    `write` writes the code of a step, given a `_Channels`. A loop of numba's own goes through 4
    vectors at a time, too, but what remains, or all of 32 channels, number by number.
    """
    i64, (number, size) = ir.IntType(64), _number_of(numbers)
    begin, lanes = ir.Constant(i64, 0), 4 * LANES // size
    for width in (*(vectors * lanes for vectors in widths), 1):
        wide = ir.Constant(i64, width)
        steps = builder.sdiv(builder.sub(channels, begin), wide)
        with cgutils.for_range(builder, steps) as step:
            channel = builder.add(begin, builder.mul(step.index, wide))
            write(_Channels(builder, number, size, width, channel))
        begin = builder.add(begin, builder.mul(steps, wide))


@intrinsic
def add_products(  # type: ignore[no-untyped-def]
    typingctx, numbers,
    x_rows, w_rows, count, start, y, channels, clamp, results, x_step, y_step,
):  # fmt: skip
    """y[c] = start[c] + sum over t < `count` of x[t][c] * w[t][c], of what the array `numbers` has.

    `x_rows` and `w_rows` are the addresses of tables with the addresses of x[t] and w[t]; `clamp`
    is the address of the least and the most that a result may be. The same for so many `results`:
    from one to the next all x[t] move by `x_step` bytes, and y by `y_step`.

    The sums stay in registers. All results get some channels before the next ones are begun: so
    neighbours find their common part of x, and of w, a few KB, in the level-1 cache.
    """

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, x_rows, w_rows, count, start, y, channels, clamp, results, x_step, y_step = arguments

        def write(here):  # type: ignore[no-untyped-def]
            limits = _limits(builder, clamp, here.vector, here.size)
            with cgutils.for_range(builder, results) as result:
                x_moved, y_moved = (builder.mul(result.index, step) for step in (x_step, y_step))
                total = cgutils.alloca_once(builder, here.vector)
                builder.store(here.load(start), total)
                with cgutils.for_range(builder, count) as tap:
                    x = here.load(here.entry(x_rows, tap.index), x_moved)
                    w = here.load(here.entry(w_rows, tap.index))
                    product = builder.fmul(x, w, flags=("contract",))
                    added = builder.fadd(builder.load(total), product, flags=("contract",))
                    builder.store(added, total)
                here.store(_clamped(builder, builder.load(total), limits), y, y_moved)

        _along_channels(builder, numbers, channels, write)
        return context.get_dummy_value()

    return types.void(numbers, *[types.int64] * 10), codegen


def _wins(builder, value, most):  # type: ignore[no-untyped-def]
    """Whether `value` is larger, or the first NaN: nothing wins over a NaN."""
    larger, number = (
        builder.fcmp_unordered(">", value, most),
        builder.fcmp_ordered("ord", most, most),
    )
    return builder.and_(larger, number)


def _all_alike(builder, number, kind, count):  # type: ignore[no-untyped-def]
    """A vector of the low bits of `number` in each place."""
    return _spread(builder, builder.trunc(number, kind), ir.VectorType(kind, count))


def _largest_of(builder, here, x_rows, count, moved=None):  # type: ignore[no-untyped-def]
    """The largest of x[t], t < `count`, and its t (int32): the first of those that are equal."""
    i32, i64 = ir.IntType(32), ir.IntType(64)
    zero, one = (ir.Constant(i64, value) for value in (0, 1))
    most = cgutils.alloca_once(builder, here.vector)
    winner = cgutils.alloca_once(builder, ir.VectorType(i32, here.vector.count))
    builder.store(here.load(here.entry(x_rows, zero), moved), most)
    builder.store(_all_alike(builder, zero, i32, here.vector.count), winner)
    with cgutils.for_range(builder, count, start=one) as pixel:
        x, m = here.load(here.entry(x_rows, pixel.index), moved), builder.load(most)
        wins, place = _wins(builder, x, m), _all_alike(builder, pixel.index, i32, here.vector.count)
        builder.store(builder.select(wins, x, m), most)
        builder.store(builder.select(wins, place, builder.load(winner)), winner)
    return builder.load(most), builder.load(winner)


def _unless_stopped(builder, winner, most, limits):  # type: ignore[no-untyped-def]
    """The winner's number (uint8); `NOBODY` where the largest is at a limit or beyond."""
    low, high = limits
    stopped = builder.or_(
        builder.fcmp_ordered("<=", most, low), builder.fcmp_ordered(">=", most, high)
    )
    nobody = ir.Constant(winner.type, [NOBODY] * winner.type.count)
    return builder.select(stopped, nobody, winner)


@intrinsic
def find_largest(  # type: ignore[no-untyped-def]
    typingctx, numbers,
    x_rows, count, y, winners, stops, channels, results, x_step, y_step, winners_step,
):  # fmt: skip
    """y[c] = the largest of x[t][c], t < `count`, which is 1 at least; the rest as `add_products`.

    And winners[c] (uint8) = its t, of equal ones the first, unless the address of winners is 0.
    NaN wins over everything. Where y is the least or the most that an activation lets be, at
    `stops`, no gradient passes: there the winner is `NOBODY`.
    """

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, x_rows, count, y, winners, stops, channels, results, *steps = arguments
        wanted = builder.icmp_signed("!=", winners, ir.Constant(winners.type, 0))

        def write(here):  # type: ignore[no-untyped-def]
            limits = _limits(builder, stops, here.vector, here.size)
            with cgutils.for_range(builder, results) as result:
                x_moved, y_moved, winners_moved = (builder.mul(result.index, s) for s in steps)
                most, winner = _largest_of(builder, here, x_rows, count, x_moved)
                here.store(most, y, y_moved)
                with builder.if_then(wanted):
                    winner = builder.trunc(winner, ir.VectorType(ir.IntType(8), here.vector.count))
                    found = _unless_stopped(builder, winner, most, limits)
                    builder.store(found, here.bytes_at(winners, winners_moved)).align = 1

        _along_channels(builder, numbers, channels, write, widths=_FEW)
        return context.get_dummy_value()

    return types.void(numbers, *[types.int64] * 10), codegen


@intrinsic
def give_to_winners(  # type: ignore[no-untyped-def]
    typingctx, numbers,
    dy, winners, dx_rows, count, channels, results, dy_step, winners_step, dx_step,
):  # fmt: skip
    """dx[t][c] = dy[c] where t is winners[c], else 0: `find_largest` backwards."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, dy, winners, dx_rows, count, channels, results, *steps = arguments

        def write(here):  # type: ignore[no-untyped-def]
            nothing = ir.Constant(here.vector, [0.0] * here.vector.count)
            with cgutils.for_range(builder, results) as result:
                dy_moved, winners_moved, dx_moved = (builder.mul(result.index, s) for s in steps)
                received = here.load(dy, dy_moved)
                winner = builder.load(here.bytes_at(winners, winners_moved))
                winner.align = 1
                with cgutils.for_range(builder, count) as pixel:
                    place = _all_alike(builder, pixel.index, ir.IntType(8), here.vector.count)
                    won = builder.icmp_signed("==", winner, place)
                    share = builder.select(won, received, nothing)
                    here.store(share, here.entry(dx_rows, pixel.index), dx_moved)

        _along_channels(builder, numbers, channels, write, widths=_FEW)
        return context.get_dummy_value()

    return types.void(numbers, *[types.int64] * 9), codegen


@intrinsic
def give_to_largest(  # type: ignore[no-untyped-def]
    typingctx, numbers, x_rows, dx_rows, count, dy, channels, add, results, x_step, dy_step
):
    """dx[t][c] = dy[c] where x[t][c] is the first of the largest of t < `count`, 0 elsewhere.

    With `add` that is added to what dx has. The first NaN wins over everything. For so many
    `results`, as in `add_products`; from one to the next x and dx move by `x_step`.
    """

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, x_rows, dx_rows, count, dy, channels, add, results, *steps = arguments
        adds = builder.icmp_signed("!=", add, ir.Constant(ir.IntType(64), 0))

        def write(here):  # type: ignore[no-untyped-def]
            nothing = ir.Constant(here.vector, [0.0] * here.vector.count)
            with cgutils.for_range(builder, results) as result:
                x_moved, dy_moved = (builder.mul(result.index, step) for step in steps)
                _, winner = _largest_of(builder, here, x_rows, count, x_moved)
                received = here.load(dy, dy_moved)
                with cgutils.for_range(builder, count) as pixel:
                    place = here.entry(dx_rows, pixel.index)
                    number = _all_alike(builder, pixel.index, ir.IntType(32), here.vector.count)
                    won = builder.icmp_signed("==", winner, number)
                    share = builder.select(won, received, nothing)
                    with builder.if_else(adds) as (further, first):
                        with further:
                            more = builder.fadd(here.load(place, x_moved), share)
                            here.store(more, place, x_moved)
                        with first:
                            here.store(share, place, x_moved)

        _along_channels(builder, numbers, channels, write, widths=_FEW)
        return context.get_dummy_value()

    return types.void(numbers, *[types.int64] * 9), codegen


class _Vector:
    """`LANES` float32 in a register while code is generated: + and - and * write instructions."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "_Vector") -> "_Vector":
        added = self.builder.fadd(self.value, other.value, flags=("contract",))
        return _Vector(self.builder, added)

    def __sub__(self, other: "_Vector") -> "_Vector":
        taken = self.builder.fsub(self.value, other.value, flags=("contract",))
        return _Vector(self.builder, taken)

    def __mul__(self, factor: float) -> "_Vector":
        factors = ir.Constant(self.value.type, [factor] * LANES)
        return _Vector(self.builder, self.builder.fmul(self.value, factors, flags=("contract",)))


def grid_transform(along: Callable[[Sequence[Any]], Sequence[Any]], size: int) -> Any:
    """The instructions that apply `along`, a few sums, to a grid's columns and then to its rows.

    `along` takes `size` numbers and returns others; it only adds, subtracts, and multiplies by
    constants. The grid (`size` x `size`) has a vector of `LANES` float32 in each place. The result
    is a function of six int64, addresses and strides in bytes: `source, source_row, source_column,
    target, target_row, target_column`.
    """

    @intrinsic
    def transform(typingctx, source, source_row, source_column, target, target_row, target_column):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            _write_grid(builder, along, size, arguments[:3], arguments[3:], lambda value: value)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return transform


def clamped_grid_transform(along: Callable[[Sequence[Any]], Sequence[Any]], size: int) -> Any:
    """`grid_transform` with `clamp`, the address of the least and the most that a number may be."""

    @intrinsic
    def transform(  # type: ignore[no-untyped-def]
        typingctx, source, source_row, source_column, target, target_row, target_column, clamp
    ):
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            vector = ir.VectorType(ir.FloatType(), LANES)
            limits = _limits(builder, arguments[6], vector, 4)

            def finish(value):  # type: ignore[no-untyped-def]
                return _clamped(builder, value, limits)

            _write_grid(builder, along, size, arguments[:3], arguments[3:6], finish)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), codegen

    return transform


def pooled_grid_transform(
    along: Callable[[Sequence[Any]], Sequence[Any]], size: int, pool: int
) -> Any:
    """`clamped_grid_transform` that keeps only the largest of each `pool` x `pool` results.

    And, unless `winners` is 0, their numbers, as `find_largest` does.
    """

    @intrinsic
    def transform(  # type: ignore[no-untyped-def]
        typingctx, source, source_row, source_column, target, target_row, target_column, clamp,
        winners, winners_row, winners_column, stops,
    ):  # fmt: skip
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            vector = ir.VectorType(ir.FloatType(), LANES)
            i8, i64 = ir.IntType(8), ir.IntType(64)
            source, target, clamp = arguments[:3], arguments[3:6], arguments[6]
            winners, stops = arguments[7:10], arguments[10]
            limits = _limits(builder, clamp, vector, 4)
            results = _grid_of(builder, along, size, source)
            found = {}
            for i, j in itertools.product(range(len(results) // pool), repeat=2):
                lines = results[i * pool : (i + 1) * pool]
                most, *others = [v for line in lines for v in line[j * pool : (j + 1) * pool]]
                winner = ir.Constant(ir.VectorType(i8, LANES), [0] * LANES)
                for number, other in enumerate(others, 1):
                    wins = _wins(builder, other, most)
                    place = ir.Constant(winner.type, [number] * LANES)
                    most = builder.select(wins, other, most)
                    winner = builder.select(wins, place, winner)
                most = _clamped(builder, most, limits)
                builder.store(most, _grid_place(builder, target, vector, i, j)).align = 4
                found[i, j] = most, winner
            wanted = builder.icmp_signed("!=", winners[0], ir.Constant(i64, 0))
            with builder.if_then(wanted):
                for (i, j), (most, winner) in found.items():
                    stopped = _limits(builder, stops, vector, 4)
                    number = _unless_stopped(builder, winner, most, stopped)
                    place = _grid_place(builder, winners, winner.type, i, j)
                    builder.store(number, place).align = 1
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), codegen

    return transform


def _write_grid(builder, along, size, source, target, finish):  # type: ignore[no-untyped-def]
    for i, row in enumerate(_grid_of(builder, along, size, source)):
        for j, result in enumerate(row):
            place = _grid_place(builder, target, result.type, i, j)
            builder.store(finish(result), place).align = 4


def _grid_of(builder, along, size, source):  # type: ignore[no-untyped-def]
    """The results, row by row."""
    columns = []
    for j in range(size):
        numbers = []
        for i in range(size):
            vector = ir.VectorType(ir.FloatType(), LANES)
            loaded = builder.load(_grid_place(builder, source, vector, i, j))
            loaded.align = 4
            numbers.append(_Vector(builder, loaded))
        columns.append(along(numbers))
    return [[result.value for result in along(row)] for row in zip(*columns, strict=True)]


def _grid_place(builder, grid, vector, i, j):  # type: ignore[no-untyped-def]
    """Where a grid has its vector (i, j): of the grid, an address and two strides in bytes."""
    base, row_stride, column_stride = grid
    down = builder.mul(row_stride, ir.Constant(ir.IntType(64), i))
    right = builder.mul(column_stride, ir.Constant(ir.IntType(64), j))
    return builder.inttoptr(builder.add(base, builder.add(down, right)), vector.as_pointer())
