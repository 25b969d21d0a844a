"""Copies an image into a larger one, or channels beside others."""

from typing import Any

from minicnn.compiler.kernel import kernel
from minicnn.kernels.tasks import share, shares


def _lines(*arguments: Any) -> int:
    y = arguments[-1]
    return shares(y.shape[0] * y.shape[1], y.shape[2] * y.shape[3])


@kernel(tasks=_lines, writes="y")
def zero_padding(task, tasks, x, top, left, y):
    """y = x, `top` lines down and `left` pixels to the right, with zeros around it."""
    images, height, _width, channels = y.shape
    for line in range(*share(images * height, task, tasks)):
        n, i = line // height, line % height
        target = y[n, i].reshape(-1)
        if top <= i < top + x.shape[1]:
            begin, count = left * channels, x.shape[2] * channels
            target[:begin] = 0
            target[begin : begin + count] = x[n, i - top].reshape(-1)
            target[begin + count :] = 0
        else:
            target[:] = 0


@kernel(tasks=lambda x, first, y: shares(*x.shape), writes="y")
def put_channels(task, tasks, x, first, y):
    """y[r, first + c] = x[r, c]."""
    for r in range(*share(len(x), task, tasks)):
        y[r, first : first + x.shape[1]] = x[r]
