"""The matrix product, in tiles: what dense layers and im2col multiply with.

    c[r, o] = sum over k of a[r, k] * b[k, o]

NumPy would ask BLAS, which is as fast. But BLAS shares a sum among its threads as it likes, so that
the last digits depend on their number; and its threads and numba's, which alternate in a network,
take the cores from each other. So the same tile as in `direct` does this too.

How: the result is cut into blocks, and the sum into runs of `_DEPTH` steps. For each block and run
a task copies what it needs of b into panels, in the order in which `simd.tile` reads it, and what
it needs of a as it lies, transposed or not, for of a the tile takes one number at a time. There
they stay in the cache while one tile after the other is added to c. (Where they lay, lines of 1024
numbers would all want the same few places of the cache.)

The numbers: 80 to 90 % of BLAS's speed on large matrices, the same or better on few rows.

The blocks depend on the shapes alone, and each number is summed by one thread from the first k to
the last, so results do not depend on the number of threads. Only where there are few numbers and
long sums (a weight's gradient) is the sum itself cut into `parts`, which the caller adds up in
order.
"""

import numpy as np
from numba import prange

from minicnn.kernels.compile import jit, parallel_jit
from minicnn.kernels.simd import (
    COLUMNS,
    LANES,
    ROWS,
    copy_vectors,
    tile,
    tile64,
    transpose_square,
)

_DEPTH = 384  # steps at a time: as many of a tile's rows and columns stay near
_TILES = 8  # tiles one above the other in a block: they and a panel of b fit a level-2 cache
_PANELS = 8  # tiles side by side in a block, at most
_LINE = 16  # numbers more in a line, so that lines don't collide in the cache
_TASKS = 16  # as many as keep the cores busy


def plan(rows: int, depth: int, columns: int, itemsize: int) -> tuple[int, int]:
    """`(parts, panels)`: into how many parts to cut the sums, how many panels wide a block is."""
    above = max(1, -(-rows // (ROWS * _TILES)))
    panels = max(1, -(-columns * itemsize // (COLUMNS * 4)))
    beside = -(-panels // _PANELS)
    parts = max(1, min(_TASKS, depth // (8 * _DEPTH)))
    beside = max(beside, min(panels, -(-_TASKS // (above * parts))))
    return parts, -(-panels // beside)


@jit
def _pack_columns(b, turned, left, first, steps, packed):  # type: ignore[no-untyped-def]
    """packed[panel, k, o] = the entry of step first + k, column left + panel * wide + o; else 0."""
    columns, wide = b.shape[0] if turned else b.shape[1], packed.shape[2]
    size = b.itemsize
    for panel in range(packed.shape[0]):
        block, begin = packed[panel], left + panel * wide
        width = min(wide, columns - begin)
        if width < wide:
            block[:] = 0
        if turned:
            squares = steps // LANES * LANES if width == wide and size == 4 else 0
            for o in range(0, wide if squares else 0, LANES):
                for k in range(0, squares, LANES):
                    transpose_square(
                        b[begin + o, first + k :].ctypes.data, b.shape[1] * size,
                        block[k, o:].ctypes.data, wide * size,
                    )  # fmt: skip
            for o in range(width):
                for k in range(squares, steps):
                    block[k, o] = b[begin + o, first + k]
        elif width == wide:
            for k in range(steps):
                copy_vectors(b[first + k, begin:].ctypes.data, block[k].ctypes.data)
        else:
            for k in range(steps):
                source, target = b[first + k, begin : begin + width], block[k]
                for o in range(width):
                    target[o] = source[o]


@jit
def _copy_lines(a, top, height, left, width, copied):  # type: ignore[no-untyped-def]
    """The upper left part of `copied` = a[top : top + height, left : left + width]."""
    for r in range(height):
        source, target = a[top + r, left : left + width], copied[r]
        for k in range(len(source)):
            target[k] = source[k]


@jit
def _add_block(  # type: ignore[no-untyped-def]
    a, a_turned, b, b_turned, start, clamp, top, left, begin, end, copied, packed, edge, c
):
    """The block of c from row `top` and column `left` on: the product over `begin` to `end`.

    Numbers beyond c's last row or column go to `edge` (ROWS, wide), and those before, from there
    to c.
    """
    rows, columns = c.shape
    panels, _, wide = packed.shape
    size = c.itemsize
    line_bytes = copied.shape[1] * size
    row_bytes, step_bytes = (size, line_bytes) if a_turned else (line_bytes, size)
    a_rows, c_rows = np.empty(ROWS, np.int64), np.empty(ROWS, np.int64)
    first_rows = np.empty(ROWS, np.int64)
    bottom = min(rows, top + _TILES * ROWS)
    for first in range(begin, max(end, begin + 1), _DEPTH):
        steps = min(_DEPTH, end - first)
        limits = clamp.ctypes.data if first + _DEPTH >= end else 0
        _pack_columns(b, b_turned, left, first, steps, packed)
        if a_turned:
            _copy_lines(a, first, steps, top, bottom - top, copied)
        else:
            _copy_lines(a, top, bottom - top, first, steps, copied)
        for panel in range(panels):
            column = left + panel * wide
            width = min(wide, columns - column)
            place = packed[panel].ctypes.data
            first_rows[:] = start[column:].ctypes.data
            for row in range(top, bottom, ROWS):
                height = min(ROWS, bottom - row)
                for r in range(ROWS):
                    a_rows[r] = copied.ctypes.data + (row - top + min(r, height - 1)) * row_bytes
                    c_rows[r] = edge[r].ctypes.data
                    if r < height and width == wide:
                        c_rows[r] = c[row + r, column:].ctypes.data
                    elif r < height and first > begin:
                        for o in range(width):
                            edge[r, o] = c[row + r, column + o]
                from_rows = (first_rows if first == begin else c_rows).ctypes.data
                if size == 4:
                    tile(
                        height, a_rows.ctypes.data, 0, 1, 0, steps, step_bytes,
                        place, 0, wide * size, from_rows, 0, c_rows.ctypes.data, 0, limits,
                    )  # fmt: skip
                else:
                    tile64(
                        height, a_rows.ctypes.data, 0, 1, 0, steps, step_bytes,
                        place, 0, wide * size, from_rows, 0, c_rows.ctypes.data, 0, limits,
                    )  # fmt: skip
                if width < wide:
                    for r in range(height):
                        for o in range(width):
                            c[row + r, column + o] = edge[r, o]


@parallel_jit
def product(a, a_turned, b, b_turned, start, clamp, panels, c):  # type: ignore[no-untyped-def]
    """c[part] = start + a @ b over the part's share of the steps; `turned` matrices lie transposed.

    c (parts, rows, columns), start (whole panels of columns), `clamp` the least and the most that
    a number of c may be. All arrays are C-contiguous and of
    one dtype.
    """
    parts, rows, columns = c.shape
    depth = a.shape[0] if a_turned else a.shape[1]
    wide = COLUMNS * 4 // c.itemsize
    above = -(-rows // (ROWS * _TILES))
    beside = -(-columns // (wide * panels))
    for task in prange(parts * above * beside):
        part, block = task // (above * beside), task % (above * beside)
        top, left = block // beside * ROWS * _TILES, block % beside * wide * panels
        begin, end = depth * part // parts, depth * (part + 1) // parts
        across = min(panels, -(-(columns - left) // wide))
        steps, height = min(_DEPTH, end - begin), min(_TILES * ROWS, rows - top)
        packed = np.empty((across, steps, wide), c.dtype)
        lines = (steps, height + _LINE) if a_turned else (height, steps + _LINE)
        copied = np.empty(lines, c.dtype)
        edge = np.zeros((ROWS, wide), c.dtype)
        # Addresses do not keep arrays alive; the arguments of a call are, until it returns.
        _add_block(
            a, a_turned, b, b_turned, start, clamp, top, left, begin, end, copied, packed, edge,
            c[part],
        )
