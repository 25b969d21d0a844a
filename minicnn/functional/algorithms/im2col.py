"""Computes a convolution as a matrix product of copied patches.

The patch under each window is copied into a row of a matrix; one matrix product does the rest. It
works for any window and any dtype. The matrix costs memory and time.
"""

import math
import threading

import numpy as np

from minicnn import kernels, shapes
from minicnn.compiler import recording
from minicnn.functional import buffers
from minicnn.functional.algorithms.matmul import matmul
from minicnn.functional.epilogue import PLAIN, UNBOUNDED, Epilogue, clamp_of, pooled
from minicnn.functional.sums import sum_positions
from minicnn.shapes import Pair

Array = np.ndarray

# The patches of a block of images are gathered and multiplied before the next block begins: a block
# of this size is still in the cache when it is multiplied.
BLOCK_BYTES = 4 * 2**20


def is_matrix_product(window: shapes.Window) -> bool:
    """Return whether x itself is the matrix of patches: a 1x1 window visits every pixel."""
    return window.kernel == (1, 1) and window.strides == (1, 1)


_scratch = threading.local()


def _scratch_matrix(rows: int, columns: int, dtype: np.dtype) -> Array:
    """Return a matrix to work in; reusing memory is cheaper than having fresh memory."""
    if recording.here.recorder is not None:  # a program manages its own memory
        return buffers.empty((rows, columns), dtype)
    held: dict[np.dtype, Array] = _scratch.__dict__.setdefault("buffers", {})
    if dtype not in held or held[dtype].size < rows * columns:
        held[dtype] = np.empty(rows * columns, dtype)
    return held[dtype][: rows * columns].reshape(rows, columns)


def _image_blocks(
    images: int, channels: int, window: shapes.Window, dtype: np.dtype
) -> list[slice]:
    """Yield slices of the batch whose patches take about `BLOCK_BYTES` each, at least one image."""
    image_bytes = math.prod(window.out) * math.prod(window.kernel) * channels * dtype.itemsize
    step = images if is_matrix_product(window) else max(1, BLOCK_BYTES // max(image_bytes, 1))
    return [slice(first, min(first + step, images)) for first in range(0, images, max(step, 1))]


def _patches(x: Array, window: shapes.Window) -> Array:
    """Return the patches under the windows as rows: (positions, kernel area * channels)."""
    rows = x.shape[0] * math.prod(window.out)
    if is_matrix_product(window):
        return x.reshape(rows, x.shape[3])
    cols = _scratch_matrix(rows, math.prod(window.kernel) * x.shape[3], x.dtype)
    kernels.convolution.im2col(
        x, window.kernel, window.strides, window.dilation, window.before, window.out, cols
    )
    return cols


def forward(
    x: Array, w: Array, window: shapes.Window, epilogue: Epilogue
) -> tuple[Array, Array | None]:
    """Multiply the patches of a block of images by the kernel's matrix, block by block."""
    filters = w.shape[3]
    matrix = w.reshape(-1, filters)
    y = buffers.empty((x.shape[0], *window.out, filters), x.dtype)
    for block in _image_blocks(len(x), x.shape[3], window, x.dtype):
        rows = y[block].reshape(-1, filters)
        matmul(_patches(x[block], window), matrix, epilogue=epilogue, out=rows)
    return pooled(y, epilogue.pooling, epilogue.limits)


def input_gradient(
    dy: Array, w: Array, window: shapes.Window, size: Pair, epilogue: Epilogue = PLAIN
) -> Array:
    """Return dx: dcols = dy @ w^T, and each pixel of a patch is added to its pixel of dx."""
    channels, filters = w.shape[2:]
    matrix = w.reshape(-1, filters)
    dx = buffers.empty((dy.shape[0], *size, channels), dy.dtype)
    nothing = np.empty(0, dy.dtype)
    bias = nothing if epilogue.bias is None else shapes.contiguous(epilogue.bias)
    clamp = nothing if epilogue.limits == UNBOUNDED else clamp_of(epilogue.limits, dy.dtype)
    for block in _image_blocks(len(dy), channels, window, dy.dtype):
        received = dy[block].reshape(-1, filters)
        if is_matrix_product(window):
            rows = dx[block].reshape(-1, channels)
            matmul(received, matrix, b_transposed=True, epilogue=epilogue, out=rows)
            continue
        cols = _scratch_matrix(len(received), len(matrix), dy.dtype)
        matmul(received, matrix, b_transposed=True, out=cols)
        kernels.convolution.col2im(
            cols, window.kernel, window.strides, window.dilation, window.before, window.out,
            bias, clamp, dx[block],
        )  # fmt: skip
    return dx


def weight_gradient(
    dy: Array, x: Array, window: shapes.Window, need_db: bool = True
) -> tuple[Array, Array | None]:
    """Return dw = cols^T @ dy, and db."""
    channels, filters = x.shape[3], dy.shape[3]
    shape = (*window.kernel, channels, filters)
    dw = None
    for block in _image_blocks(len(x), channels, window, x.dtype):
        received = dy[block].reshape(-1, filters)
        product = matmul(_patches(x[block], window), received, a_transposed=True).reshape(shape)
        dw = product if dw is None else np.add(dw, product, out=dw)
    db = sum_positions(dy) if need_db else None
    return np.zeros(shape, x.dtype) if dw is None else dw, db


def can(window: shapes.Window, dtype: np.dtype) -> bool:
    """Return True: it works for any kernel size, stride, dilation and dtype."""
    return True
