"""Sums and maxima over rows of channels: the building blocks of depthwise convolution and pooling.

Channels lie next to each other in memory, so vectors run along them, and sums and maxima stay in
registers. The rows come as tables of addresses. A step computes many `results` side by side, whose
rows all move on by the same distance.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from minicnn.compiler.language import Separate
from minicnn.compiler.translate import Compiler
from minicnn.compiler.values import I8, I32, I64, Scalar
from minicnn.kernels import NOBODY
from minicnn.kernels.simd import FUSED, LANES, clamped, limits, load, spread, store, whole, wins

_TOGETHER = 2  # neighbours whose sums of `_FEW` vectors are in registers
_MANY, _FEW = (8, 4, 1), (4, 1)  # vectors at a time; each further number is more to compile


class _Channels:
    """The code for a step along channels: vectors of them, numbers at addresses in bytes."""

    def __init__(self, compiler: Compiler, element: Scalar, width: int, channel: Any) -> None:
        self.compiler, self.element, self.channel = compiler, element, channel
        self.size = element.size
        self.vector = ir.VectorType(element.ir, width)
        self.offset = compiler.builder.mul(channel, whole(element.size))

    def parts(self, most: int) -> list["_Channels"]:
        """Return parts of the same channels, at most `most` vectors each."""
        count, width = max(1, self.vector.count // most), min(self.vector.count, most)
        channels = [self.compiler.builder.add(self.channel, whole(width * k)) for k in range(count)]
        return [_Channels(self.compiler, self.element, width, channel) for channel in channels]

    def place(self, base: Any, moved: Any = None) -> Any:
        """Return the address of these channels of the pixel at `base`, moved by `moved` bytes."""
        address = self.compiler.builder.add(base, self.offset)
        return address if moved is None else self.compiler.builder.add(address, moved)

    def load(self, base: Any, moved: Any = None) -> Any:
        """Return these channels of the pixel at `base`."""
        return load(self.compiler, self.place(base, moved), self.vector, self.size)

    def store(self, value: Any, base: Any, moved: Any = None) -> None:
        """Put the value into these channels of the pixel at `base`."""
        store(self.compiler, value, self.place(base, moved), self.size)

    def entry(self, table: Any, t: Any) -> Any:
        """Return the t-th address of a table."""
        build = self.compiler.builder
        return load(self.compiler, build.add(table, build.mul(t, whole(8))), I64, 8)

    def bytes_at(self, base: Any, moved: Any) -> Any:
        """Return the place of these channels' bytes, one for each, moved by `moved` bytes."""
        return self.compiler.builder.add(self.compiler.builder.add(base, self.channel), moved)


def _along_channels(
    compiler: Compiler,
    element: Scalar,
    channels: Any,
    write: Callable[[_Channels], None],
    widths: Sequence[int] = _MANY,
) -> None:
    """Go through all channels: whole vectors first, then single numbers.

    `write` writes the code of a step, given a `_Channels`.
    """
    build, begin, lanes = compiler.builder, whole(0), 4 * LANES // element.size
    for width in (*(vectors * lanes for vectors in widths), 1):
        steps = build.sdiv(build.sub(channels, begin), whole(width))
        with compiler.counted(steps) as step:
            channel = build.add(begin, build.mul(step, whole(width)))
            write(_Channels(compiler, element, width, channel))
        begin = build.add(begin, build.mul(steps, whole(width)))


def _add_products(
    compiler: Compiler, element: Scalar,
    x_rows: Any, w_rows: Any, count: Any, start: Any, y: Any, channels: Any, clamp: Any,
    results: Any, x_step: Any, y_step: Any,
) -> None:  # fmt: skip
    """y[c] = start[c] + sum over t < `count` of x[t][c] * w[t][c], of what the array has.

    `x_rows` and `w_rows` are the addresses of tables with the addresses of x[t] and w[t]; `clamp`
    is the address of the smallest and the largest allowed result. This is done for `results`
    results: from one to the next all x[t] move by `x_step` bytes, and y by `y_step`.

    The sums stay in registers. Some channels of all results are computed before the next channels
    begin, so that neighbours find their common part of x, and of w, a few KB, in the level-1 cache.
    """
    build = compiler.builder

    def some(here: _Channels, bounds: Any, first: Any, together: int) -> None:
        """Write the code for `together` results at once: each weight is loaded once for all."""
        moved = [build.add(first, whole(r)) for r in range(together)]
        x_moved, y_moved = ([build.mul(m, step) for m in moved] for step in (x_step, y_step))
        totals = [compiler.alloca(here.vector) for _ in moved]
        for total in totals:
            build.store(here.load(start), total)
        with compiler.counted(count) as t:
            x_row, w = here.entry(x_rows, t), here.load(here.entry(w_rows, t))
            for total, step in zip(totals, x_moved, strict=True):
                product = build.fmul(here.load(x_row, step), w, flags=FUSED)
                before = build.load(total, typ=here.vector)
                build.store(build.fadd(before, product, flags=FUSED), total)
        for total, step in zip(totals, y_moved, strict=True):
            found = clamped(compiler, build.load(total, typ=here.vector), bounds)
            here.store(found, y, step)

    def write(here: _Channels) -> None:
        parts = here.parts(_FEW[0] * 4 * LANES // element.size)
        bounds = limits(compiler, clamp, parts[0].vector, here.size)
        done = whole(0)
        for together in (_TOGETHER, 1):
            groups = build.sdiv(build.sub(results, done), whole(together))
            with compiler.counted(groups) as group:
                for part in parts:
                    some(part, bounds, build.add(done, build.mul(group, whole(together))), together)
            done = build.add(done, build.mul(groups, whole(together)))

    _along_channels(compiler, element, channels, write)


add_products = Separate(_add_products, count=10, name="add_products")


def _all_alike(compiler: Compiler, number: Any, kind: Any, count: int) -> Any:
    """Return a vector of the low bits of `number` in each place."""
    return spread(compiler, compiler.builder.trunc(number, kind), ir.VectorType(kind, count))


def _largest_of(
    compiler: Compiler, here: _Channels, x_rows: Any, count: Any, moved: Any
) -> tuple[Any, Any]:
    """Return the largest of x[t][c], t < `count`, and its t (int32): the first of equals."""
    build, lanes = compiler.builder, here.vector.count
    places = ir.VectorType(I32, lanes)
    most, argmax = compiler.alloca(here.vector), compiler.alloca(places)
    build.store(here.load(here.entry(x_rows, whole(0)), moved), most)
    build.store(_all_alike(compiler, whole(0), I32, lanes), argmax)
    with compiler.counted(count, first=whole(1)) as t:
        x, m = here.load(here.entry(x_rows, t), moved), build.load(most, typ=here.vector)
        won, place = wins(compiler, x, m), _all_alike(compiler, t, I32, lanes)
        build.store(build.select(won, x, m), most)
        build.store(build.select(won, place, build.load(argmax, typ=places)), argmax)
    return build.load(most, typ=here.vector), build.load(argmax, typ=places)


def unless_stopped(compiler: Compiler, argmax: Any, most: Any, stops: Any) -> Any:
    """Return the argmax (uint8); `NOBODY` where the largest is at a limit or beyond."""
    build, (low, high) = compiler.builder, stops
    stopped = build.or_(build.fcmp_ordered("<=", most, low), build.fcmp_ordered(">=", most, high))
    nobody = ir.Constant(argmax.type, [NOBODY] * argmax.type.count)
    return build.select(stopped, nobody, argmax)


def _find_largest(
    compiler: Compiler, element: Scalar,
    x_rows: Any, count: Any, y: Any, argmax: Any, stops: Any, channels: Any, results: Any,
    *steps: Any,
) -> None:  # fmt: skip
    """y[c] = the largest of x[t][c], t < `count` (at least 1); the rest as in `add_products`.

    And argmax[c] (uint8) = its t, the first among equals, unless the address of argmax is 0. NaN
    wins over everything. Where y is one of the two limits of an activation, at `stops`, no gradient
    passes: there the argmax is `NOBODY`. The steps are x's, y's and those of argmax.
    """
    build = compiler.builder
    wanted = build.icmp_signed("!=", argmax, whole(0))

    def write(here: _Channels) -> None:
        bounds = limits(compiler, stops, here.vector, here.size)
        with compiler.counted(results) as result:
            x_moved, y_moved, argmax_moved = (build.mul(result, step) for step in steps)
            most, places = _largest_of(compiler, here, x_rows, count, x_moved)
            here.store(most, y, y_moved)
            with build.if_then(wanted):
                places = build.trunc(places, ir.VectorType(I8, here.vector.count))
                found = unless_stopped(compiler, places, most, bounds)
                store(compiler, found, here.bytes_at(argmax, argmax_moved), 1)

    _along_channels(compiler, element, channels, write, widths=_FEW)


find_largest = Separate(_find_largest, count=10, name="find_largest")


def _give_to_argmax(
    compiler: Compiler, element: Scalar,
    dy: Any, argmax: Any, dx_rows: Any, count: Any, channels: Any, results: Any, *steps: Any,
) -> None:  # fmt: skip
    """dx[t][c] = dy[c] where t is argmax[c], else 0: `find_largest` backwards.

    The steps are those of dy, argmax and dx.
    """
    build = compiler.builder

    def write(here: _Channels) -> None:
        lanes = here.vector.count
        nothing = ir.Constant(here.vector, [0.0] * lanes)
        with compiler.counted(results) as result:
            dy_moved, argmax_moved, dx_moved = (build.mul(result, step) for step in steps)
            received = here.load(dy, dy_moved)
            address = here.bytes_at(argmax, argmax_moved)
            places = load(compiler, address, ir.VectorType(I8, lanes), 1)
            with compiler.counted(count) as t:
                won = build.icmp_signed("==", places, _all_alike(compiler, t, I8, lanes))
                share = build.select(won, received, nothing)
                here.store(share, here.entry(dx_rows, t), dx_moved)

    _along_channels(compiler, element, channels, write, widths=_FEW)


give_to_argmax = Separate(_give_to_argmax, count=9, name="give_to_argmax")


def _give_to_largest(
    compiler: Compiler, element: Scalar,
    x_rows: Any, dx_rows: Any, count: Any, dy: Any, channels: Any, add: Any, results: Any,
    *steps: Any,
) -> None:  # fmt: skip
    """dx[t][c] = dy[c] where x[t][c] is the first of the largest of t < `count`, 0 elsewhere.

    With `add` it is added to dx. The first NaN wins over everything. This is done for `results`
    results, as in `add_products`; from one to the next x and dx move by the first of the steps, dy
    by the second.
    """
    build = compiler.builder
    adds = build.icmp_signed("!=", add, whole(0))

    def write(here: _Channels) -> None:
        lanes = here.vector.count
        nothing = ir.Constant(here.vector, [0.0] * lanes)
        with compiler.counted(results) as result:
            x_moved, dy_moved = (build.mul(result, step) for step in steps)
            _, argmax = _largest_of(compiler, here, x_rows, count, x_moved)
            received = here.load(dy, dy_moved)
            with compiler.counted(count) as t:
                place = here.entry(dx_rows, t)
                won = build.icmp_signed("==", argmax, _all_alike(compiler, t, I32, lanes))
                share = build.select(won, received, nothing)
                with build.if_else(adds) as (further, first):
                    with further:
                        here.store(build.fadd(here.load(place, x_moved), share), place, x_moved)
                    with first:
                        here.store(share, place, x_moved)

    _along_channels(compiler, element, channels, write, widths=_FEW)


give_to_largest = Separate(_give_to_largest, count=9, name="give_to_largest")
