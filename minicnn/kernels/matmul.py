"""The matrix product of dense layers and im2col, in tiles.

    c[r, o] = shift[o] + scale[o] * sum over k of a[r, k] * b[k, o]

NumPy would call BLAS, which is as fast. But BLAS shares a sum among its threads as it likes, so the
last digits depend on their number; and its threads and ours, which alternate in a network, take the
cores from each other. So the same tile as in `direct` does this, too.

How: the result is cut into blocks, and the sum into runs of at most `_DEPTH` steps. All blocks need
the same b, so it is copied into panels first (`pack`), in the order in which `tile` reads it.
If one block is as high as the result, nothing is shared, and each block copies the strip of b that
it needs. That pays although few tiles use the copy, because weights come from memory: copying asks
for many lines at once, a tile only for those that it will need soon (81x728 times 728x728: 1.5
times as fast). Whole panels are read in place if the block is as wide as b, or if there are so few
rows, `HEIGHTS[1]`, that b is used once.

The tile takes one number of a at a time, so a is read where it lies: a tile's rows come from memory
once and stay near while all of the block's panels, from the level-2 cache, pass by. Only two kinds
of a are copied first, a block's part for each run: a transposed a, whose steps would each be on
another page, and an a whose rows all want the same few places of the level-1 cache (`collide`).

The numbers: on one core with a peak of 165 GFLOP/s, 140 to 155 on large matrices, as much as
OpenBLAS there; with a transposed (a weight's gradient), 100 to 130.

The blocks depend on the shapes alone, and each number is summed by one thread from the first k to
the last, so results do not depend on the number of threads. Only if there are few numbers and long
sums (a weight's gradient), the sum itself is cut into `parts`, which the caller adds up in order.
"""

import math
from typing import Any

import numpy as np

from minicnn.compiler import machine
from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels.microkernel import tile
from minicnn.kernels.simd import (
    COLUMNS,
    HEIGHTS,
    LANES,
    ROWS,
    VECTORS,
    add_vectors,
    copy_vectors,
    transpose_square,
)

_DEPTH = 768  # steps at a time, at most: this much of a tile's rows stays near
BLOCK_ROWS = 8 * ROWS  # of a block: 8 tiles one above the other
PANELS = 8  # tiles side by side in a block, at most: their part of b stays in a level-2 cache
_PLACES = 4096  # bytes: lines this far apart, or a multiple, want the same place of a level-1 cache
_LINE = 16  # float32 in a line of the cache
_TASKS = 16  # enough to keep the cores busy


def plan(rows: int, depth: int, columns: int, itemsize: int) -> tuple[int, int]:
    """Return `(parts, panels)`: the number of parts of each sum, and a block's width in panels."""
    above = max(1, -(-rows // BLOCK_ROWS))
    panels = max(1, -(-columns * itemsize // (COLUMNS * 4)))
    beside = -(-panels // PANELS)
    parts = max(1, min(_TASKS, depth // (4 * _DEPTH)))
    beside = max(beside, min(panels, -(-_TASKS // (above * parts))))
    return parts, -(-panels // beside)


def packed_shape(
    rows: int, depth: int, columns: int, itemsize: int, for_good: bool = False
) -> tuple[int, int, int]:
    """Return the shape of b's panels, packed before the product; none if that does not pay.

    It pays if several blocks read them, and, if they are packed `for_good`, also for one block.
    """
    wide = COLUMNS * 4 // itemsize
    worth_it = rows > (HEIGHTS[1] if for_good else BLOCK_ROWS)
    return -(-columns // wide) if worth_it else 0, depth, wide


def collide(row_bytes: int) -> bool:
    """Return whether a tile's rows of this length compete for places of a level-1 cache.

    An AVX-512 tile has 14 rows. If they are 2 KB long, seven of them want the same place, which has
    room for eight or twelve lines, depending on the processor.
    """
    places = _PLACES // math.gcd(row_bytes, _PLACES)
    return -(-ROWS // places) + VECTORS > machine.level_1_ways()


@function
def run_of(steps, transposed):
    """Return how many steps to take at a time; half as many for a transposed a, which is copied."""
    runs = max(1, -(-steps // (_DEPTH // 2 if transposed else _DEPTH)))
    return max(1, -(-steps // runs))


@function
def _pack_panel(b, transposed, left, first, steps, packed):
    """packed[k, o] = the entry of step first + k, column left + o; 0 beyond the last column."""
    columns, wide, size = b.shape[0] if transposed else b.shape[1], packed.shape[1], b.itemsize
    width = min(wide, columns - left)
    if width < wide:
        packed[:steps] = 0
    if transposed:
        squares = steps // LANES * LANES if width == wide and size == 4 else 0
        for o in range(0, wide if squares else 0, LANES):
            for k in range(0, squares, LANES):
                transpose_square(
                    b[left + o, first + k :].address, b.shape[1] * size,
                    packed[k, o:].address, wide * size,
                )  # fmt: skip
        for o in range(width):
            for k in range(squares, steps):
                packed[k, o] = b[left + o, first + k]
    elif width == wide:
        for k in range(steps):
            copy_vectors(b[first + k, left:].address, packed[k].address)
    else:
        for k in range(steps):
            packed[k, :width] = b[first + k, left : left + width]


@function
def _pack_strip(b, left, first, steps, packed):
    """Pack several whole panels at once, to fetch together what lies side by side in memory."""
    wide = packed.shape[2]
    for k in range(steps):
        for panel in range(len(packed)):
            source = b[first + k, left + panel * wide :]
            copy_vectors(source.address, packed[panel, k].address)


@kernel(
    tasks=lambda b, transposed, packed: len(packed) * -(-packed.shape[1] // _DEPTH),
    writes="packed",
    vectorize=True,
)
def pack(task, b, transposed, packed):
    """packed (panels, depth, wide) of all of b, panel by panel; 0 beyond the last column."""
    _, depth, wide = packed.shape
    runs = -(-depth // _DEPTH)
    panel, first = task // runs, task % runs * _DEPTH
    steps = min(_DEPTH, depth - first)
    _pack_panel(b, transposed, panel * wide, first, steps, packed[panel, first:])


@function
def odd_lines(numbers):
    """Return `numbers`, rounded up to an odd number of cache lines: then no rows collide."""
    return (-(-numbers // _LINE) | 1) * _LINE


@function
def _copy_lines(a, top, height, left, width, copied):
    """Set the upper left part of `copied` to a[top : top + height, left : left + width]."""
    for r in range(height):
        copied[r, :width] = a[top + r, left : left + width]


@function
def add_block(
    a, a_transposed, b, b_transposed, epilogue, top, left, panels, begin, end, run, copied, ready,
    packed, edge, c,
):  # fmt: skip
    """Compute a block of c from row `top` and column `left`: the product over `begin` to `end`.

    The sum is made `run` steps at a time. For each run the block's part of a is copied to `copied`,
    or read where it lies if `copied` has no lines. b's panels are already packed if `ready`
    (panels, depth, wide) has any; otherwise `packed` (panels, steps, wide) is the place to pack
    those that are not read where they lie. Numbers beyond c's last row or column go to `edge`
    (ROWS, panels * wide), and those before, from there to c.
    """
    rows, columns = c.shape
    wide, size = packed.shape[2], c.itemsize
    height = min(rows - top, BLOCK_ROWS)
    count = -(-height // ROWS) * ROWS
    a_rows, c_rows = np.empty(count, np.int64), np.empty(count, np.int64)
    source = copied if len(copied) else a[top:]
    line_bytes = source.shape[1] * size
    strip = panels * wide < columns and rows > HEIGHTS[1]
    row_bytes, step_bytes = (size, line_bytes) if a_transposed else (line_bytes, size)
    for r in range(count):
        a_rows[r] = source.address + min(r, height - 1) * row_bytes
        c_rows[r] = c[top + r, left:].address if r < height else edge[0].address
    edge_rows = np.empty(ROWS, np.int64)
    for r in range(ROWS):
        edge_rows[r] = edge[r].address
    first_panel = left // wide
    for first in range(begin, max(end, begin + 1), run):
        steps = min(run, end - first)
        ends = len(epilogue) and first + run >= end
        a_offset = 0 if len(copied) else first * size
        if a_transposed:
            _copy_lines(a, first, steps, top, height, copied)
        elif len(copied):
            _copy_lines(a, top, height, first, steps, copied)
        together = 0
        if strip and not b_transposed and len(ready) == 0:
            together = min(panels, (columns - left) // wide)
            _pack_strip(b, left, first, steps, packed[:together])
        for panel in range(together, 0 if len(ready) else panels):
            column = left + panel * wide
            if b_transposed or strip or columns - column < wide:
                _pack_panel(b, b_transposed, column, first, steps, packed[panel])
        for row in range(0, height, ROWS):
            a_table, c_table = a_rows[row:].address, c_rows[row:].address
            for panel in range(panels):
                column, offset = left + panel * wide, panel * wide * size
                width = min(wide, columns - column)
                last = epilogue[first_panel + panel].address if ends else 0
                place, b_step = packed[panel:].address, wide * size
                if len(ready):
                    place = ready[first_panel + panel, first].address
                elif not (b_transposed or strip) and width == wide:
                    place, b_step = b[first, column:].address, b.shape[1] * size
                used = min(ROWS, height - row) if width < wide else 0
                for r in range(used if first > begin else 0):
                    at = panel * wide
                    edge[r, at : at + width] = c[top + row + r, column : column + width]
                into = edge_rows.address if used else c_table
                since, since_offset = (0, 0) if first == begin else (into, offset)
                tile(
                    c, height - row, a_table, a_offset, 1, 0, steps, step_bytes,
                    place, 0, b_step, since, since_offset, into, offset, last,
                )  # fmt: skip
                for r in range(used):
                    at = panel * wide
                    c[top + row + r, column : column + width] = edge[r, at : at + width]


@function
def add_to_block(added, bounds, top, left, height, width, c):
    """c += `added` (rows, columns) in the block that begins at (top, left), within the bounds.

    The block is still in the cache, where `add_block` left it. The bounds are those of a ReLU:
    numbers at the lower bound or below become that bound.
    """
    right = min(left + width, c.shape[1])
    whole = (right - left) // COLUMNS * COLUMNS if c.itemsize == 4 else 0
    low, high = bounds[0], bounds[1]
    for r in range(top, min(top + height, c.shape[0])):
        for o in range(left, left + whole, COLUMNS):
            add_vectors(added[r, o:].address, c[r, o:].address, bounds.address)
        for o in range(left + whole, right):
            v = c[r, o] + added[r, o]
            c[r, o] = low if v <= low else (high if v > high else v)


def _blocks(*arguments: Any) -> int:
    panels, c = arguments[-2:]
    parts, rows, columns = c.shape
    wide = COLUMNS * 4 // c.itemsize
    return parts * -(-rows // BLOCK_ROWS) * -(-columns // (wide * panels))


@kernel(tasks=_blocks, writes="c")
def product(
    task, a, a_transposed, b, b_transposed, ready, epilogue, added, bounds, copies, panels, c
):  # fmt: skip
    """c[part] = a @ b over the part's share of the steps; a and b may be stored transposed.

    c (parts, rows, columns). b may be empty if it is `ready`, in panels. `copies` says to copy a
    first; a transposed a is always copied. `epilogue` (panels, 4, columns of a panel) has each
    column's scale, shift, smallest and largest result (`microkernel.tile`), or is empty. `added` is
    empty, or has c's size; then c has one part, to which `add_to_block` adds it within the
    `bounds`. All arrays are of one dtype.
    """
    parts, rows, columns = c.shape
    depth = a.shape[0] if a_transposed else a.shape[1]
    wide = COLUMNS * 4 // c.itemsize
    above = -(-rows // BLOCK_ROWS)
    beside = -(-columns // (wide * panels))
    run, height = run_of(-(-depth // parts), a_transposed), min(BLOCK_ROWS, rows)
    if a_transposed:
        lines = run, odd_lines(height)
    else:
        lines = height if copies else 0, odd_lines(run)
    packed = np.empty((0 if len(ready) else panels, run, wide), c.dtype)
    copied = np.empty(lines, c.dtype)
    edge = np.zeros((ROWS, panels * wide), c.dtype)
    part, block = task // (above * beside), task % (above * beside)
    top, left = block // beside * BLOCK_ROWS, block % beside * wide * panels
    begin, end = depth * part // parts, depth * (part + 1) // parts
    across = min(panels, -(-(columns - left) // wide))
    add_block(
        a, a_transposed, b, b_transposed, epilogue, top, left, across, begin, end, run, copied,
        ready, packed, edge, c[part],
    )  # fmt: skip
    if len(added):
        add_to_block(added, bounds, top, left, BLOCK_ROWS, across * wide, c[part])
