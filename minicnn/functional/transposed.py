"""A transposed convolution runs a convolution backward: it enlarges images by learned weights.

Its forward pass is the gradient of a convolution's input, and the gradient of its own input is that
convolution's forward pass. So the algorithms of convolution compute all of it.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minicnn import naive, shapes
from minicnn.functional import algorithms
from minicnn.functional.checks import check_gradient
from minicnn.functional.convolution import ALGORITHMS, check_algorithm, check_arrays, check_scale
from minicnn.functional.elementwise import limits_of
from minicnn.functional.epilogue import PLAIN, Epilogue
from minicnn.functional.sums import sum_positions
from minicnn.shapes import Pair

Array = np.ndarray

# "direct" makes strides[0] * strides[1] images and puts them together. With more of them than this,
# measurements show that a matrix product and a sum take less time, up to 25 times less.
_MOST_PHASES = 16


class Transposed(NamedTuple):
    """A transposed convolution whose arguments have been checked."""

    window: shapes.Window  # over the output
    size: Pair  # of the output
    algorithm: str  # "naive", or one of `algorithms`
    options: tuple[Any, ...]  # what the plain loops take: strides, padding, …


def _check_transposed(
    x: Array,
    w: Array,
    b: Array | None,
    strides: Any,
    padding: Any,
    output_padding: Any,
    dilation_rate: Any,
    algorithm: Any,
    name: str,
) -> Transposed:
    shapes.check_array(x, 4, "x", name)
    shapes.check_array(w, 4, "w", name)
    strides = shapes.pair(strides, "strides", name)
    dilation = shapes.pair(dilation_rate, "dilation_rate", name)
    padding = shapes.choice(padding, ("valid", "same"), "padding", name)
    output_padding = shapes.check_output_padding(output_padding, strides, name)
    algorithm = shapes.choice(algorithm, ALGORITHMS, "algorithm", name)
    check_arrays(x, w, b, w.shape[3], w.shape[2], name)
    size, kernel = (x.shape[1], x.shape[2]), (w.shape[0], w.shape[1])
    window, out = shapes.transposed_window(
        size, kernel, strides, padding, dilation, output_padding, name
    )
    if algorithm == "auto":
        algorithm = algorithms.choose(window, x.dtype, w.shape[2], w.shape[3], len(x))
        if math.prod(strides) > _MOST_PHASES:
            algorithm = "im2col"
    check_algorithm(algorithm, window, x.dtype, name)
    return Transposed(window, out, algorithm, (strides, padding, output_padding, dilation))


def conv2d_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    output_padding: int | Pair | None = None,
    dilation_rate: int | Pair = (1, 1),
    algorithm: str = "auto",
    activation: str = "linear",
    scale: Array | None = None,
    name: str = "conv2d_transpose",
) -> Array:
    """Transposed convolution: each pixel of x adds a weighted window to y.

        y[n, oy, ox, o] = b[o] + sum of x[n, iy, ix, c] * w[i, j, o, c]      over all stamps on it
        oy = iy * strides[0] + i * dilation_rate[0] - rows cut off above,    ox likewise

    Args:
        x: (batch, height, width, channels).
        w: (rows, columns, filters, channels): as of the convolution from y to x.
        b: (filters,) or None.
        strides, padding, output_padding, dilation_rate: as in Keras's `Conv2DTranspose`;
            `minicnn.shapes` has the rules for the size of y.
        algorithm, activation: as in `conv2d`.
        scale: (filters,) or None: the weights of filter o are w[:, :, o] * scale[o].

    Returns:
        y (batch, out_height, out_width, filters), of x's dtype.

    Raises as `conv2d`, and a `ValueError` for an `output_padding` that is not below `strides`.
    """
    how = _check_transposed(
        x, w, b, strides, padding, output_padding, dilation_rate, algorithm, name
    )
    limits = limits_of(activation, name)
    if scale is not None:
        check_scale(scale, x, w.swapaxes(2, 3), name)
        w = w * scale[:, None]
    if how.algorithm == "naive":
        return np.clip(naive.conv2d_transpose(x, w, b, *how.options), *limits)
    chosen = algorithms.ALGORITHMS[how.algorithm]
    x, w = shapes.contiguous(x), shapes.contiguous(w)
    return chosen.input_gradient(x, w, how.window, how.size, Epilogue(bias=b, limits=limits))


def conv2d_transpose_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    output_padding: int | Pair | None = None,
    dilation_rate: int | Pair = (1, 1),
    algorithm: str = "auto",
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "conv2d_transpose",
) -> tuple[Array | None, Array | None, Array | None]:
    """Return `(dx, dw, db)` of `conv2d_transpose`, given `dy` of the shape of its output.

        dx[n, iy, ix, c] = sum over i, j, o of dy[n, oy, ox, o] * w[i, j, o, c]     a convolution
        dw[i, j, o, c]   = sum of dy[n, oy, ox, o] * x[n, iy, ix, c]                over all stamps
        db[o]            = sum of dy[n, oy, ox, o]

    Gradients that are not needed cost nothing and are None. Raises as `conv2d_backward`.
    """
    how = _check_transposed(
        x, w, None, strides, padding, output_padding, dilation_rate, algorithm, name
    )
    dy = check_gradient(dy, (x.shape[0], *how.size, w.shape[2]), x, name)
    if how.algorithm == "naive":
        found = naive.conv2d_transpose_backward(dy, x, w, *how.options)
        return found[0] if need_dx else None, *(found[1:] if need_dw else (None, None))
    chosen = algorithms.ALGORITHMS[how.algorithm]
    x, w = shapes.contiguous(x), shapes.contiguous(w)
    dx = chosen.forward(dy, w, how.window, PLAIN)[0] if need_dx else None
    dw = chosen.weight_gradient(x, dy, how.window, need_db=False)[0] if need_dw else None
    return dx, dw, sum_positions(dy) if need_dw else None
