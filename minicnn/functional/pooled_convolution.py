"""Convolution and max pooling in one step do not store what the pooling drops."""

import math
from typing import Any

import numpy as np

from minicnn import kernels, naive, shapes
from minicnn.functional.checks import check_gradient
from minicnn.functional.convolution import (
    algorithm_for,
    check_convolution,
    check_scale,
    conv2d_backward,
    convolve,
    is_channelwise,
    join_channels,
    split_channels,
)
from minicnn.functional.elementwise import limits_of
from minicnn.functional.epilogue import Epilogue, Pooling, unpool
from minicnn.shapes import Pair

Array = np.ndarray

LARGEST_BLOCK = kernels.NOBODY  # the most numbers in a block whose argmax can be remembered


def conv2d_max_pool2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
    activation: str = "linear",
    scale: Array | None = None,
    remember: bool = False,
    name: str = "conv2d_max_pool2d",
) -> tuple[Array, Array | None]:
    """Return `(y, argmax)` of a convolution and max pooling of its results, in blocks side by side.

        y = max_pool2d(conv2d(x, w, b, …), pool_size)

    "direct" finds the largest of each block while the results are in the cache, "winograd" while
    they are in registers if blocks are 2x2: so the convolution's own result, several times as large
    as y, is neither written to memory nor read from there. In all other cases it is.

    Args:
        pool_size: (rows, columns) of the blocks, side by side, whose largest number is kept.
        remember: whether to return the argmax, too, which `conv2d_max_pool2d_backward` needs; else
            it is None.

    The other arguments as in `conv2d`; y is (batch, out_height // rows, out_width // columns,
    filters). `argmax` has y's shape, in uint8: the place of each block's largest in reading
    order (the first of those that are equal), or 255 where no gradient passes because y is at a
    limit of the activation.

    Raises as `conv2d`, and a `ValueError` for blocks larger than the result or, with `remember`,
    of more than 255 numbers.
    """
    how = check_convolution(x, w, b, strides, padding, dilation_rate, groups, algorithm, name)
    pooling = Pooling(_check_blocks(pool_size, how.window, remember, name), remember)
    check_scale(scale, x, w, name)
    return convolve(how, x, w, Epilogue(scale, b, limits_of(activation, name), pooling))


def _check_blocks(pool_size: Any, window: shapes.Window, remember: bool, name: str) -> Pair:
    """Return the pool's size if such blocks fit the window's results, or raise a `ValueError`."""
    pool = shapes.pair(pool_size, "pool_size", name)
    if pool[0] > window.out[0] or pool[1] > window.out[1]:
        raise ValueError(
            f"{name} expects pooled blocks to fit the {window.out[0]}x{window.out[1]} "
            f"results of the convolution. Received pool_size={pool}."
        )
    if remember and math.prod(pool) > LARGEST_BLOCK:
        raise ValueError(
            f"{name} expects a pool_size of at most {LARGEST_BLOCK} numbers to remember the "
            f"argmax. Received {pool}."
        )
    return pool


def conv2d_max_pool2d_backward(
    dy: Array,
    argmax: Array,
    x: Array,
    w: Array,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "conv2d_max_pool2d",
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the gradients `(dx, dw, db)` of `conv2d_max_pool2d`, given `dy` of its output's shape.

        dz[n, oy, ox, o] = dy of its block if `argmax` names it, else 0
        dx, dw, db       = conv2d_backward(dz, x, w, …)

    This includes the gradient of the activation. Raises as `conv2d_backward`, and for an argmax
    that is not uint8 of dy's shape.
    """
    how = check_convolution(x, w, None, strides, padding, dilation_rate, groups, algorithm, name)
    window, groups = how.window, how.groups
    pool = _check_blocks(pool_size, window, True, name)
    size = window.out[0] // pool[0], window.out[1] // pool[1]
    dy = check_gradient(dy, (x.shape[0], *size, w.shape[3]), x, name)
    if not isinstance(argmax, np.ndarray) or argmax.dtype != np.uint8:
        raise TypeError(
            f"{name} expects argmax to be a uint8 array. "
            f"Received {getattr(argmax, 'dtype', argmax)}."
        )
    shapes.check_shape(argmax, dy.shape, "argmax", name)
    chosen = None
    if how.algorithm != "naive" and not is_channelwise(how, w):
        chosen = algorithm_for(how, x, w)
    pooled = None if chosen is None else chosen.pooled_weight_gradient
    options: dict[str, Any] = {
        "strides": strides, "padding": padding, "dilation_rate": dilation_rate, "groups": groups,
        "algorithm": algorithm, "name": name,
    }  # fmt: skip
    dx = dw = db = None
    if need_dx or (need_dw and pooled is None):
        spread = naive.unpool if how.algorithm == "naive" else unpool
        dz = spread(dy, shapes.contiguous(argmax), pool, window.out)
        dx, dw, db = conv2d_backward(
            dz, x, w, need_dx=need_dx, need_dw=need_dw and pooled is None, **options
        )
    if need_dw and pooled is not None:
        dys, numbers, xs = (split_channels(a, groups) for a in (dy, argmax, x))
        parts = zip(dys, numbers, xs, strict=True)
        sums = [pooled(d, number, pool, part, window) for d, number, part in parts]
        dw, db = (join_channels(list(parts)) for parts in zip(*sums, strict=True))
    return dx, dw, db
