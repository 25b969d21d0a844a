"""A depthwise convolution and the matrix product of its pixels, in one pass.

A separable convolution filters each channel by itself, and then mixes the channels of each pixel by
a matrix product. As two kernels, one would write all filtered pixels to memory and the other would
read them again, which takes as long as reading x and writing the result. Here a task filters some
pixels, which stay in its level-2 cache, and multiplies them at once. The numbers are those of
`depthwise.forward` and `matmul.product`, to the last bit.
"""

from typing import Any

import numpy as np

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function
from minicnn.kernels.depthwise import add_pixels
from minicnn.kernels.matmul import PANELS, add_block, add_to_block, odd_lines, run_of
from minicnn.kernels.simd import ROWS

PIXELS = 48 // ROWS * ROWS  # that are multiplied at once: whole tiles
_NEAR = 2**13  # numbers of filtered pixels that stay in a level-1 cache
_TASKS = 32  # at least, if there are enough blocks: then the threads share them evenly


@function
def _filtered(x, w, b, clamp, strides, dilation, before, out, first, last, h):
    """h[k] = pixel first + k of the depthwise convolution, up to the one before `last`."""
    taps = w.shape[0] * w.shape[1]
    x_rows, w_rows = np.empty(taps, np.int64), np.empty(taps, np.int64)
    pixel = first
    while pixel < last:
        line, ox = pixel // out[1], pixel % out[1]
        end = min(out[1], ox + last - pixel)
        add_pixels(
            x, w, b, clamp, line // out[0], line % out[0], ox, end, strides, dilation, before,
            x_rows, w_rows, h[pixel - first].address, h.shape[1] * h.itemsize,
        )  # fmt: skip
        pixel += end - ox


@function
def _pixels(pixels, depth):
    """Return the number of pixels of a task: they fit the cache, and there are enough tasks."""
    near = _NEAR // (depth * PIXELS)
    return PIXELS * max(1, min(near, pixels // (_TASKS * PIXELS)))


def _tasks(*arguments: Any) -> int:
    ready, c = arguments[-5], arguments[-1]
    return -(-len(c) // _pixels(len(c), ready.shape[1]))


@kernel(tasks=_tasks, writes="c")
def forward(
    task, x, w, b, clamp, strides, dilation, before, out, ready, epilogue, added, bounds, c
):  # fmt: skip
    """c (pixels, filters) of all `out` (lines, columns) pixels of each image of x.

    `w`, `b`, `clamp` and the window are those of `depthwise.forward`; `ready`, `epilogue`,
    `added` and `bounds` those of `matmul.product`.
    """
    depth, wide = ready.shape[1], ready.shape[2]
    pixels = _pixels(len(c), depth)
    first = task * pixels
    last = min(first + pixels, len(c))
    h = np.empty((last - first, odd_lines(depth)), x.dtype)
    _filtered(x, w, b, clamp, strides, dilation, before, out, first, last, h)
    nothing, packed = np.empty((0, 0), x.dtype), np.empty((0, 0, wide), x.dtype)
    edge = np.zeros((ROWS, PANELS * wide), x.dtype)
    for top in range(0, last - first, PIXELS):
        block = c[first + top : min(first + top + PIXELS, last)]
        for panel in range(0, len(ready), PANELS):
            panels = min(PANELS, len(ready) - panel)
            add_block(
                h[top:], False, h, False, epilogue, 0, panel * wide, panels, 0, depth,
                run_of(depth, False), nothing, ready, packed, edge, block,
            )  # fmt: skip
        if len(added):
            add_to_block(added, bounds, first + top, 0, len(block), c.shape[1], c)
