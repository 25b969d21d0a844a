"""Tables of addresses that hold what they point to.

An address does not keep an array alive: numba may free one after the last line that names it, while
a tile still reads from its address. So zeros to start from, and places for what nobody reads, lie
behind the addresses in the table itself, which lives as long as the loop that hands it out.
"""

import numpy as np

from minicnn.kernels.compile import jit
from minicnn.kernels.simd import COLUMNS, ROWS

_BEHIND = COLUMNS // 2  # int64 that are as long as a tile's line


@jit
def zero_rows():  # type: ignore[no-untyped-def]
    """`ROWS` addresses of the zeros behind them: where a tile's sums start."""
    table = np.zeros(ROWS + _BEHIND, np.int64)
    table[:ROWS] = table[ROWS:].ctypes.data
    return table


@jit
def spare_rows(count):  # type: ignore[no-untyped-def]
    """`count` addresses of a place behind them, for results that nobody reads."""
    table = np.empty(count + _BEHIND, np.int64)
    table[:count] = table[count:].ctypes.data
    return table
