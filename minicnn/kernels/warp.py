"""Moving the pixels of one picture: rotate, shift, shear, zoom.

One task a picture: a batch has several pictures, and its reader several threads.
"""

from minicnn.compiler.kernel import kernel
from minicnn.compiler.language import function

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
