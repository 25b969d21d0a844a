"""A depthwise convolution filters each channel by itself."""

from typing import Any

import numpy as np

from minicnn import naive, shapes
from minicnn.functional import channelwise
from minicnn.functional.checks import check_gradient
from minicnn.functional.convolution import Convolution, check_convolution
from minicnn.functional.elementwise import limits_of
from minicnn.shapes import Pair

Array = np.ndarray


def _check_depthwise(
    x: Array,
    w: Array,
    b: Array | None,
    strides: Any,
    padding: Any,
    dilation_rate: Any,
    algorithm: Any,
    name: str,
) -> Convolution:
    shapes.check_array(w, 4, "w", name)
    shapes.choice(algorithm, ("auto", "naive"), "algorithm", name)
    filters = w.shape[2] * w.shape[3]
    return check_convolution(x, w, b, strides, padding, dilation_rate, 1, algorithm, name, filters)


def depthwise_conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    algorithm: str = "auto",
    activation: str = "linear",
    name: str = "depthwise_conv2d",
) -> Array:
    """Depthwise convolution: each channel is filtered by itself, by `multiplier` filters.

        y[n, oy, ox, c * multiplier + m] = b[...] + sum over i, j of x[n, iy, ix, c] * w[i, j, c, m]

    `x` (batch, height, width, channels), `w` (rows, columns, channels, multiplier), `b`
    (channels * multiplier,) or None; y (batch, out_height, out_width, channels * multiplier).
    `algorithm` is "auto" or "naive": without a sum over channels there is no matrix to multiply.
    `activation` as in `conv2d`. Raises as `conv2d`.
    """
    how = _check_depthwise(x, w, b, strides, padding, dilation_rate, algorithm, name)
    window, limits = how.window, limits_of(activation, name)
    if how.algorithm == "naive":
        y = naive.depthwise_conv2d(x, w, b, window.strides, padding.lower(), window.dilation)
        return np.clip(y, *limits, out=y)
    return channelwise.forward(x, w, b, limits, window)


def depthwise_conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    algorithm: str = "auto",
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "depthwise_conv2d",
    need_db: bool = True,
) -> tuple[Array | None, Array | None, Array | None]:
    """Return `(dx, dw, db)` of `depthwise_conv2d`; see `conv2d_backward` for the arguments."""
    how = _check_depthwise(x, w, None, strides, padding, dilation_rate, algorithm, name)
    window, filters = how.window, w.shape[2] * w.shape[3]
    dy = check_gradient(dy, (x.shape[0], *window.out, filters), x, name)
    if how.algorithm == "naive":
        dx, dw, db = naive.depthwise_conv2d_backward(
            dy, x, w, window.strides, padding.lower(), window.dilation
        )
        return (
            dx if need_dx else None,
            dw if need_dw else None,
            db if need_dw and need_db else None,
        )
    found = channelwise.input_gradient(dy, x.shape, w, window) if need_dx else None
    if not need_dw:
        return found, None, None
    return found, *channelwise.weight_gradient(dy, x, w.shape, window, need_db)
