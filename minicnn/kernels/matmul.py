"""The matrix product, in tiles: what dense layers and im2col multiply with.

    c[r, o] = sum over k of a[r, k] * b[k, o]

NumPy would ask BLAS, which is as fast. But BLAS shares a sum among its threads as it likes, so that
the last digits depend on their number; and its threads and numba's, which alternate in a network,
take the cores from each other. So the same tile as in `direct` does this too.

How: the result is cut into blocks, and the sum into runs of `_DEPTH` steps. For each block and run
a task copies what it needs of a and b into the order in which `simd.tile` reads it, where it stays
in the cache, and adds one tile after the other. The blocks depend on the shapes alone, and each
number is summed by one thread from the first k to the last, so results do not depend on the number
of threads. Only where there are few numbers and long sums (a weight's gradient) is the sum itself
cut into `parts`, which `functional` adds up in order.
"""

import numpy as np
from numba import prange

from minicnn.kernels.compile import jit, parallel_jit
from minicnn.kernels.simd import COLUMNS, ROWS, tile, tile64

_DEPTH = 256  # steps at a time: a tile's rows and columns of them fit a level-1 cache
_TILES = 8  # tiles one above the other in a block: they and a panel of b fit a level-2 cache
_PANELS = 16  # tiles side by side in a block, at most
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
def _pack_rows(a, turned, top, first, steps, packed):  # type: ignore[no-untyped-def]
    """packed[tile, k, r] = the entry of row top + tile * ROWS + r, step first + k; 0 below."""
    rows = a.shape[1] if turned else a.shape[0]
    if rows - top < packed.shape[0] * ROWS:
        packed[-1] = 0
    height = min(packed.shape[0] * ROWS, rows - top)
    if turned:
        for k in range(steps):
            source = a[first + k, top : top + height]
            for t in range(packed.shape[0]):
                part, target = source[t * ROWS : (t + 1) * ROWS], packed[t, k]
                for r in range(len(part)):
                    target[r] = part[r]
    else:
        for r in range(height):
            source, block = a[top + r, first : first + steps], packed[r // ROWS]
            for k in range(steps):
                block[k, r % ROWS] = source[k]


@jit
def _pack_columns(b, turned, left, first, steps, packed):  # type: ignore[no-untyped-def]
    """packed[panel, k, o] = the entry of step first + k, column left + panel * wide + o."""
    columns, wide = b.shape[0] if turned else b.shape[1], packed.shape[2]
    if columns - left < packed.shape[0] * wide:
        packed[-1] = 0
    width = min(packed.shape[0] * wide, columns - left)
    if turned:
        for o in range(width):
            source, block = b[left + o, first : first + steps], packed[o // wide]
            for k in range(steps):
                block[k, o % wide] = source[k]
    else:
        for k in range(steps):
            source = b[first + k, left : left + width]
            for panel in range(packed.shape[0]):
                part, target = source[panel * wide : (panel + 1) * wide], packed[panel, k]
                for o in range(len(part)):
                    target[o] = part[o]


@jit
def _add_block(a, a_turned, b, b_turned, top, left, begin, end, a_packed, b_packed, sums):  # type: ignore[no-untyped-def]
    """sums += the block's product over the steps from `begin` to `end`."""
    tiles, steps_at_once = a_packed.shape[:2]
    across, wide, size = b_packed.shape[0], b_packed.shape[2], sums.itemsize
    height = (a.shape[1] if a_turned else a.shape[0]) - top
    a_rows, sum_rows = np.empty(ROWS, np.int64), np.empty(tiles * ROWS, np.int64)
    for r in range(ROWS):
        a_rows[r] = a_packed.ctypes.data + r * size
    for r in range(tiles * ROWS):
        sum_rows[r] = sums.ctypes.data + r * across * wide * size
    for first in range(begin, end, _DEPTH):
        steps = min(_DEPTH, end - first)
        _pack_rows(a, a_turned, top, first, steps, a_packed)
        _pack_columns(b, b_turned, left, first, steps, b_packed)
        for panel in range(across):
            b_place = b_packed[panel].ctypes.data
            offset = panel * wide * size
            for t in range(tiles):
                a_offset = t * steps_at_once * ROWS * size
                place = sum_rows[t * ROWS :].ctypes.data
                if size == 4:
                    tile(
                        height - t * ROWS, a_rows.ctypes.data, a_offset, 1, 0, steps, ROWS * size,
                        b_place, 0, wide * size, place, offset, place, offset,
                    )  # fmt: skip
                else:
                    tile64(
                        height - t * ROWS, a_rows.ctypes.data, a_offset, 1, 0, steps, ROWS * size,
                        b_place, 0, wide * size, place, offset, place, offset,
                    )  # fmt: skip


@parallel_jit
def product(a, a_turned, b, b_turned, panels, c):  # type: ignore[no-untyped-def]
    """c[part] = a @ b over the part's share of the steps; `turned` matrices lie transposed.

    c (parts, rows, columns); all arrays are C-contiguous and of one dtype.
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
        tiles = min(_TILES, -(-(rows - top) // ROWS))
        across = min(panels, -(-(columns - left) // wide))
        steps = min(_DEPTH, end - begin)
        a_packed = np.empty((tiles, steps, ROWS), c.dtype)
        b_packed = np.empty((across, steps, wide), c.dtype)
        sums = np.zeros((tiles * ROWS, across * wide), c.dtype)
        # Addresses do not keep arrays alive; the arguments of a call are, until it returns.
        _add_block(a, a_turned, b, b_turned, top, left, begin, end, a_packed, b_packed, sums)
        height, width = min(tiles * ROWS, rows - top), min(across * wide, columns - left)
        for r in range(height):
            source, target = sums[r, :width], c[part, top + r, left : left + width]
            for o in range(width):
                target[o] = source[o]
