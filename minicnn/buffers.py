"""Big arrays whose memory is used again.

A fresh array of 45 MB costs more than filling it: the system hands out its pages one by one, at
the first touch of each. A network asks for the same sizes in every step, so the memory of a big
array goes, when its last view is gone, to the next one of its size or a little less.
"""

import math
from collections import OrderedDict
from typing import Any

import numpy as np

_SMALLEST = 2**18  # bytes; below that malloc reuses memory by itself
_KEPT = 2**29  # bytes that may wait for their next use
_LOOSEST = 1.5  # so many times as large as asked for a block may be
_ALIGNMENT = 64  # a cache line, and a vector register

_free: "OrderedDict[int, list[np.ndarray]]" = OrderedDict()


class _Lease:
    """Lends a block to one array; NumPy keeps it alive as the base of that array and its views."""

    def __init__(self, block: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._block = block
        start = -block.ctypes.data % _ALIGNMENT
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (block.ctypes.data + start, False),
        }

    def __del__(self) -> None:
        _give_back(self._block)


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """`np.empty(shape, dtype)`; a big one may have been another array before."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < _SMALLEST:
        return np.empty(shape, dtype)
    block = None
    fitting = sorted(kept for kept in list(_free) if size <= kept <= _LOOSEST * size)
    for kept in fitting:
        try:
            block = _free[kept].pop()
            break
        except (IndexError, KeyError):  # none is left, or another thread was faster
            continue
    if block is None:
        block = np.empty(size + _ALIGNMENT, np.uint8)
    return np.asarray(_Lease(block, tuple(shape), dtype))


def _give_back(block: np.ndarray) -> None:
    size = block.size - _ALIGNMENT
    _free.setdefault(size, []).append(block)
    _free.move_to_end(size)
    # What has not been asked for the longest goes first.
    kept = sum(size * len(blocks) for size, blocks in list(_free.items()))
    for oldest, blocks in list(_free.items()):
        while blocks and kept > _KEPT:
            del blocks[-1:]
            kept -= oldest
        if not blocks:
            _free.pop(oldest, None)


def release() -> None:
    """Give all memory that waits back to the system."""
    _free.clear()
