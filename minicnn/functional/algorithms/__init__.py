"""Each algorithm of convolution is a file with functions of the same names.

All of them take what `minicnn.functional` has checked: contiguous arrays of one dtype, one group,
and the window's geometry. Each allocates, calls its kernels, and returns new arrays.

    forward(x, w, window, epilogue)
        y, and the argmax of a pooling that remembers it, else None
    input_gradient(dy, w, window, size, epilogue)
        dx, for x of `size` (height, width); a transposed convolution's forward pass, to which the
        epilogue adds a bias and an activation's limits
    weight_gradient(dy, x, window, need_db)
        dw and db; None for db if it is not needed
    pooled_weight_gradient(dy, argmax, pool, x, window)
        the same, given what the pooling received
    can(window, dtype)
        whether the algorithm can compute this convolution

`ALGORITHMS` has them by name, and `choose` says which one is the fastest.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minicnn import kernels, shapes
from minicnn.functional.algorithms import direct, im2col, winograd
from minicnn.functional.epilogue import Epilogue
from minicnn.shapes import Pair

Array = np.ndarray

# With fewer channels or filters than this, Winograd's transforms cost more than they save.
_WINOGRAD_CHANNELS = 8

# With this many channels, a pixel takes much longer to multiply than to copy.
_MANY_CHANNELS = 256
# A kernel with at most this many numbers stays in the cache, however often it is read.
_SMALL_KERNEL = 2**16


class Algorithm(NamedTuple):
    """One algorithm; `needs` says in words what it can be used for."""

    forward: Callable[[Array, Array, shapes.Window, Epilogue], tuple[Array, Array | None]]
    input_gradient: Callable[..., Array]
    weight_gradient: Callable[..., tuple[Array, Array | None]]  # dw, db
    can: Callable[[shapes.Window, np.dtype], bool]
    needs: str
    # If it is None, `unpool` makes the dy for `weight_gradient`.
    pooled_weight_gradient: (
        Callable[[Array, Array, Pair, Array, shapes.Window], tuple[Array, Array]] | None
    ) = None


def choose(window: shapes.Window, dtype: np.dtype, channels: int, filters: int, images: int) -> str:
    """Return the algorithm for `"auto"`: the fewest multiplications if they pay, and few copies."""
    if im2col.is_matrix_product(window):
        return "im2col"  # whose matrix is x itself
    enough = min(channels, filters) >= _WINOGRAD_CHANNELS and winograd.pays(window, images)
    if enough and ALGORITHMS["winograd"].can(window, dtype):
        return "winograd"
    # With so few pixels, "direct" has few tasks, and each of them reads the whole kernel.
    small = math.prod(window.kernel) * channels * filters <= _SMALL_KERNEL
    few = images * math.prod(window.out) <= kernels.matmul.BLOCK_ROWS and not small
    # A 1x1 kernel that gets here has strides: im2col copies only the pixels that it uses.
    cheap_copy = window.kernel == (1, 1) and channels >= _MANY_CHANNELS
    direct = ALGORITHMS["direct"].can(window, dtype) and not few and not cheap_copy
    return "direct" if direct else "im2col"


ALGORITHMS = {
    "winograd": Algorithm(
        winograd.forward,
        winograd.input_gradient,
        winograd.weight_gradient,
        winograd.can,
        "float32, a 3x3 kernel, strides=1 and dilation_rate=1",
    ),
    "direct": Algorithm(
        direct.forward,
        direct.input_gradient,
        direct.weight_gradient,
        direct.can,
        "float32 and dilation_rate=1",
        direct.pooled_weight_gradient,
    ),
    "im2col": Algorithm(
        im2col.forward,
        im2col.input_gradient,
        im2col.weight_gradient,
        im2col.can,
        "float32 or float64",
    ),
}
