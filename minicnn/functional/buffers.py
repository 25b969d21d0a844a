"""Allocates big arrays whose memory is reused.

A fresh array of 45 MB costs more than filling it: the system hands out its pages one by one, at
the first touch of each. A network asks for the same sizes in every step. So when the last view of a
big array is gone, its memory goes to the next array of the same size, or a little less.
"""

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from minicnn.compiler import recording

_SMALLEST = 2**18  # bytes; below that malloc reuses memory by itself
LARGEST_KEPT = 2**29  # bytes that may wait for their next use
_SIZES = 64  # sizes whose last request is remembered, even if no block of them waits
_LOOSEST = 1.5  # a block may be at most this many times as large as requested
_ALIGNMENT = 64  # a cache line, and a vector register


class _Block:
    """A block of memory, and where in it an array begins."""

    def __init__(self, size: int) -> None:
        self.size, self.memory = size, np.empty(size + _ALIGNMENT, np.uint8)
        address = self.memory.ctypes.data
        self.start = address + -address % _ALIGNMENT


_interrupted = False
_free: "OrderedDict[int, list[_Block]]" = OrderedDict()


class _Lease:
    """Lends a block to one array; NumPy keeps it alive as the base of that array and its views."""

    def __init__(self, block: _Block, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._block = block
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (block.start, False),
        }

    def __del__(self) -> None:
        global _interrupted
        try:
            give_back(self._block)
        except KeyboardInterrupt:  # Python would only print it here: `empty` raises it
            _interrupted = True


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return `np.empty(shape, dtype)`; a big array may reuse the memory of an earlier one."""
    global _interrupted
    if _interrupted:
        _interrupted = False
        raise KeyboardInterrupt
    if recording.here.recorder is not None:
        return recording.live(shape, dtype)
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < _SMALLEST:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(_taken(size) or _Block(size), tuple(shape), dtype))


def _taken(size: int) -> _Block | None:
    """Take the smallest waiting block that is large enough; None if it is much too large."""
    fitting = [size]  # usually there is one of exactly this size
    if not _free.get(size):
        fitting = sorted(kept for kept in list(_free) if size <= kept <= _LOOSEST * size)
    for kept in fitting:
        try:
            return _free[kept].pop()
        except (IndexError, KeyError):  # none is left, or another thread was faster
            continue
    return None


def give_back(block: _Block) -> None:
    """Keep a block for a later array, as long as not too much is kept."""
    _free.setdefault(block.size, []).append(block)
    _free.move_to_end(block.size)
    kept = sum([size * len(blocks) for size, blocks in list(_free.items())])
    if kept <= LARGEST_KEPT and len(_free) <= _SIZES:
        return
    # The sizes that were requested longest ago go first.
    for oldest, blocks in list(_free.items()):
        while blocks and kept > LARGEST_KEPT:
            del blocks[-1:]
            kept -= oldest
        if not blocks:
            _free.pop(oldest, None)


def release() -> None:
    """Return all waiting memory to the system."""
    _free.clear()
