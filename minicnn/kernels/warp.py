"""Moves the pixels of images: rotates, shifts, shears and zooms."""

from typing import Any

import numpy as np
from llvmlite import ir

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import builtin, function
from minicnn.compiler.translate import Compiler
from minicnn.compiler.values import FLOAT32, I8, Number
from minicnn.kernels.simd import load, spread, store
from minicnn.kernels.tasks import share, shares

CONSTANT, NEAREST, REFLECT, WRAP = range(4)


@function
def _inside(position, size, mode):
    """Return where a position beyond the edge of `size` pixels is read; -1 is nowhere (`cval`)."""
    last = size - 1.0
    if 0.0 <= position <= last:
        return position
    if mode == NEAREST:
        return 0.0 if position < 0.0 else last
    if mode == REFLECT:  # d c b a | a b c d | d c b a
        position = abs(position + 0.5) % (2.0 * size)
        if position > size:
            position = 2.0 * size - position
        return position - 0.5
    if mode == WRAP:  # with the period size - 1, scipy's "wrap": first and last pixel coincide
        if last == 0.0:
            return 0.0
        if position < 0.0:
            return position + last * (int(-position / last) + 1)
        return position - last * int(position / last)
    return -1.0


# One task: a batch has several images, and its reader several threads.
@kernel(tasks=lambda *_: 1, writes="y", vectorize=True)
def affine_transform(task, x, matrix, offset, order, mode, cval, y):
    """y[i, j] = x at matrix · (i, j) + offset, by the nearest (order 0) or the 4 nearest pixels."""
    height, width, channels = x.shape
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            row = _inside(matrix[0, 0] * i + matrix[0, 1] * j + offset[0], height, mode)
            column = _inside(matrix[1, 0] * i + matrix[1, 1] * j + offset[1], width, mode)
            if row == -1.0 or column == -1.0:
                for c in range(channels):
                    y[i, j, c] = cval
                continue
            if order == 0:
                nearest_row = min(int(row + 0.5), height - 1)
                nearest_column = min(int(column + 0.5), width - 1)
                for c in range(channels):
                    y[i, j, c] = x[nearest_row, nearest_column, c]
                continue
            # Between -0.5 and 0, and beyond the last pixel by less than a half, "reflect" reads
            # the edge pixel twice.
            top, left = int(row + 1.0) - 1, int(column + 1.0) - 1
            down, right = row - top, column - left
            bottom, east = min(top + 1, height - 1), min(left + 1, width - 1)
            top, left = max(top, 0), max(left, 0)
            for c in range(channels):
                above = x[top, left, c] * (1.0 - right) + x[top, east, c] * right
                below = x[bottom, left, c] * (1.0 - right) + x[bottom, east, c] * right
                y[i, j, c] = above * (1.0 - down) + below * down


# The functions below give TensorFlow's float32 numbers, bit for bit, so each product is rounded
# before it is added, even where one instruction could multiply and add.


@builtin
def _product(compiler: Compiler, a: Any, b: Any) -> Number:
    """Return a * b in float32, rounded."""
    factors = (compiler.converted(factor, FLOAT32) for factor in (a, b))
    return Number(FLOAT32, compiler.builder.fmul(*factors))


@builtin
def _blend_pixels(compiler: Compiler, near: Any, far: Any, share: Any, target: Any) -> None:
    """target[c] = near[c] + (far[c] - near[c]) * share for four channels; from bytes to float32.

    All but the share are addresses.
    """
    build, vector = compiler.builder, ir.VectorType(FLOAT32.ir, 4)

    def pixel(place: Any) -> Any:
        found = load(compiler, place.value, ir.VectorType(I8, 4), 1)
        return build.uitofp(found, vector)

    first, second = pixel(near), pixel(far)
    part = spread(compiler, compiler.converted(share, FLOAT32), vector)
    store(compiler, build.fadd(first, build.fmul(build.fsub(second, first), part)), target.value, 4)


@function
def _between(above, below, share, y):
    """y = the line between two others, at `share` of the way."""
    for k in range(y.size):
        y[k] = above[k] + _product(below[k] - above[k], share)


# One task, too.
@kernel(tasks=lambda *_: 1, writes="y", vectorize=True)
def resize(task, x, top, bottom, down, left, right, across, y):
    """y[i, j] = x between rows top[i] and bottom[i], and between columns left[j] and right[j].

    down[i] and across[j], in float32, are the share of the way to the second of the two.
    """
    height, width, channels = y.shape
    lines = np.empty((2, width * channels), y.dtype)  # rows of x as wide as y: even, odd
    held = np.empty(2, top.dtype)  # the numbers of these rows
    held[0], held[1] = -1, -1
    for i in range(height):
        for r in range(top[i], bottom[i] + 1):
            if held[r % 2] != r:
                held[r % 2] = r
                wide, row = lines[r % 2], x[r]
                for j in range(width):
                    west, east = row[left[j]], row[right[j]]
                    for c in range(channels):
                        near = y.dtype.type(west[c])
                        far = y.dtype.type(east[c])
                        wide[j * channels + c] = near + _product(far - near, across[j])
        _between(lines[top[i] % 2], lines[bottom[i] % 2], down[i], y[i].reshape(-1))


@kernel(tasks=lambda *_: 1, writes="y", vectorize=True)
def resize_pixels(task, x, top, bottom, down, left, right, across, y):
    """Resize pixels of four bytes each, of which y takes the first ones, three times as fast.

    A vector holds a pixel.
    """
    height, width, channels = y.shape
    size = width * channels
    lines = np.empty((2, size + 4), y.dtype)  # the last pixel's vector may go beyond
    held = np.empty(2, top.dtype)
    held[0], held[1] = -1, -1
    for i in range(height):
        for r in range(top[i], bottom[i] + 1):
            if held[r % 2] != r:
                held[r % 2] = r
                wide, row = lines[r % 2], x[r]
                for j in range(width):
                    near, far = row[left[j]].address, row[right[j]].address
                    _blend_pixels(near, far, across[j], wide.address + 4 * j * channels)
        above, below = lines[top[i] % 2], lines[bottom[i] % 2]
        _between(above[:size], below[:size], down[i], y[i].reshape(-1))


@function
def _floor(position):
    """Round down a number that is at least -2."""
    return int(position + 2.0) - 2


@function
def _of_some(x, row, column, top, left, fill, pixel):
    """Compute a pixel of `sample` with fewer than four neighbours in x, or some without weight."""
    pixel[:] = 0
    for r in range(top, top + 2):
        for s in range(left, left + 2):
            weight = (1 - abs(row - r)) * (1 - abs(column - s))
            if weight > 0:
                inside = 0 <= r < x.shape[0] and 0 <= s < x.shape[1]
                for c in range(pixel.size):
                    pixel[c] += weight * (x[r, s, c] if inside else fill)


@kernel(
    tasks=lambda x, rows, columns, fill, y: shares(y.shape[0] * y.shape[1], y[0, 0].size),
    writes="y",
)
def sample(task, tasks, x, rows, columns, fill, y):
    """y[n, i, j] = the pixels around (rows[n, i, j], columns[n, i, j]), weighted by closeness.

    Around each image lies `fill`.
    """
    images, height, width, channels = y.shape
    for line in range(*share(images * height, task, tasks)):
        n, i = line // height, line % height
        for j in range(width):
            pixel, row, column = y[n, i, j], rows[n, i, j], columns[n, i, j]
            top, left = _floor(row), _floor(column)
            up, down = 1 - abs(row - top), 1 - abs(row - (top + 1))
            west, east = 1 - abs(column - left), 1 - abs(column - (left + 1))
            inside = top >= 0 and top + 1 < x.shape[1] and left >= 0 and left + 1 < x.shape[2]
            if inside and down > 0 and east > 0:  # 0 times infinity would be NaN
                above, below = x[n, top], x[n, top + 1]
                nw, ne, sw, se = above[left], above[left + 1], below[left], below[left + 1]
                a, b, d, e = up * west, up * east, down * west, down * east
                for c in range(channels):
                    pixel[c] = a * nw[c] + b * ne[c] + d * sw[c] + e * se[c]
            else:
                _of_some(x[n], row, column, top, left, fill, pixel)


@kernel(tasks=lambda dy, rows, columns, dx: len(dx), writes="dx", vectorize=True)
def sample_backward(n, dy, rows, columns, dx):
    """dx: each pixel gets dy of the places close to it, weighted by closeness."""
    _, height, width, channels = dx.shape
    dx[n] = 0
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            received, row, column = dy[n, i, j], rows[n, i, j], columns[n, i, j]
            top, left = _floor(row), _floor(column)
            for r in range(max(top, 0), min(top + 2, height)):
                for s in range(max(left, 0), min(left + 2, width)):
                    weight = (1 - abs(row - r)) * (1 - abs(column - s))
                    if weight > 0:
                        pixel = dx[n, r, s]
                        for c in range(channels):
                            pixel[c] += weight * received[c]
