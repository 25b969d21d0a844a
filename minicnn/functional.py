"""The operations of a CNN as pure functions of arrays: check, allocate, choose, compute.

Each function has a plain-loop twin of the same name in `minicnn.naive`; read that one for the
formula. Here every argument is checked once, so that the kernels below need not. Arrays are float32
or float64 (one dtype per call), activations NHWC `(batch, height, width, channels)`, kernels HWIO.
Inputs are never written to and never returned: a result is always a new array.

`name` is how error messages call the operation; a layer passes its own name.

Convolutions take `algorithm`:

- `"naive"`   the loops of `minicnn.naive`: to read and to check, thousands of times slower.
- `"im2col"`  patches copied into a matrix, one matrix product for all of them. Any option, any
  dtype; the matrix costs memory and time.
- `"direct"`  no matrix: tiles of the result are summed up in the processor's registers, straight
  from the picture. float32, without dilation.
- `"winograd"` 3x3 kernels with strides 1 and a quarter of the multiplications; rounding errors are
  about ten times those of the others. float32, without dilation.
- `"auto"`    "winograd" from 8 channels and 8 filters on, else "direct", else "im2col", whichever
  comes first of those that can (`minicnn.algorithms.choose`).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn import algorithms, buffers, kernels, naive, shapes
from minicnn.shapes import Pair

Array = np.ndarray

LARGEST_BLOCK = kernels.NOBODY  # numbers of which `conv2d_max_pool2d` can name the winner
ALGORITHMS = ("auto", *algorithms.ALGORITHMS, "naive")

# Depthwise sums over all positions are split into this many parts whatever the number of threads,
# so that the rounding, and so the result, is the same on one core and on many.
_BLOCKS = 16


# ---------------------------------------------------------------------------------------------
# Convolution
# ---------------------------------------------------------------------------------------------


# A network asks for the same ones in each step.
_window = functools.lru_cache(maxsize=1024)(shapes.window)


class _Convolution(NamedTuple):
    """A convolution whose arguments have been checked."""

    window: shapes.Window
    padding: str
    groups: int
    algorithm: str


def _check_convolution(
    x: Array,
    w: Array,
    b: Array | None,
    strides: Any,
    padding: Any,
    dilation_rate: Any,
    groups: Any,
    algorithm: Any,
    name: str,
    filters: int | None = None,
) -> _Convolution:
    shapes.check_array(x, 4, "x", name)
    shapes.check_array(w, 4, "w", name)
    strides = shapes.pair(strides, "strides", name)
    dilation = shapes.pair(dilation_rate, "dilation_rate", name)
    groups = shapes.positive_int(groups, "groups", name)
    padding = shapes.choice(padding, ("valid", "same"), "padding", name)
    algorithm = shapes.choice(algorithm, ALGORITHMS, "algorithm", name)
    if 0 in w.shape:
        raise ValueError(f"{name} expects a w that is not empty. Received w.shape={w.shape}.")
    if filters is None:
        filters = w.shape[3]
    if filters % groups:
        raise ValueError(
            f"{name} expects a number of filters that its {groups} groups divide. "
            f"Received w.shape={w.shape}."
        )
    if x.shape[3] != w.shape[2] * groups:
        raise ValueError(
            f"{name} expects {w.shape[2] * groups} input channels. Received x.shape={x.shape}."
        )
    if b is not None:
        shapes.check_array(b, 1, "b", name)
        shapes.check_shape(b, (filters,), "b", name)
    shapes.check_same_dtype({"x": x, "w": w, "b": b}, name)
    height, width = x.shape[1:3]
    kernel = (w.shape[0], w.shape[1])
    window = _window((height, width), kernel, strides, padding, dilation, name)
    known = algorithms.ALGORITHMS.get(algorithm)
    if known is not None and not known.can(window, x.dtype):
        raise ValueError(
            f'{name} expects {known.needs} for algorithm="{algorithm}". Received {x.dtype}, '
            f"a {kernel[0]}x{kernel[1]} kernel, strides={strides}, dilation_rate={dilation}."
        )
    return _Convolution(window, padding, groups, algorithm)


def _check_gradient(dy: Array, shape: Sequence[int], x: Array, name: str) -> Array:
    """`dy` for an output of this shape, contiguous as the kernels expect it."""
    shapes.check_array(dy, None, "dy", name)
    shapes.check_shape(dy, shape, "dy", name)
    shapes.check_same_dtype({"dy": dy, "x": x}, name)
    return shapes.contiguous(dy)


def _algorithm(how: _Convolution, channels: int, filters: int, dtype: np.dtype) -> Any:
    """The one that was asked for, or that "auto" chooses for so many channels and filters."""
    name = how.algorithm
    if name == "auto":
        name = algorithms.choose(how.window, dtype, channels, filters)
    return algorithms.ALGORITHMS[name]


def _split_channels(x: Array, groups: int) -> list[Array]:
    if groups == 1:
        return [shapes.contiguous(x)]
    return [shapes.contiguous(part) for part in np.split(x, groups, axis=-1)]


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
    activation: str = "linear",
    scale: Array | None = None,
    name: str = "conv2d",
) -> Array:
    """Convolution (cross-correlation, as in all CNN libraries).

        y[n, oy, ox, o] = b[o] + sum over i, j, c of x[n, iy, ix, c] * w[i, j, c, o]
        iy = oy * strides[0] + i * dilation_rate[0] - padding above,  ix likewise

    Args:
        x: (batch, height, width, channels).
        w: (rows, columns, channels / groups, filters).
        b: (filters,) or None.
        strides, padding, dilation_rate, groups: as in Keras's `Conv2D`; "same" pads as described
            in `minicnn.shapes`.
        algorithm: see the top of this module.
        activation: "linear", "relu" or "relu6", applied while y is still in the processor's
            registers; another pass over a large y costs as much time as a small convolution.
        scale: (filters,) or None: filter o is w[..., o] * scale[o], multiplied on the way. Of a
            normalization that is folded into the convolution.

    Returns:
        y (batch, out_height, out_width, filters), of x's dtype.

    Raises:
        TypeError: an array that is no float32 or float64 NumPy array, or mixed dtypes.
        ValueError: a wrong rank, channels that do not fit `w`, a window larger than the input, or
            an option that is not one of those named here.
    """
    how = _check_convolution(x, w, b, strides, padding, dilation_rate, groups, algorithm, name)
    return _convolution(how, x, w, b, activation, scale, algorithms.NO_POOLING, name)[0]


def _convolution(
    how: _Convolution,
    x: Array,
    w: Array,
    b: Array | None,
    activation: str,
    scale: Array | None,
    pooling: algorithms.Pooling,
    name: str,
) -> tuple[Array, Array | None]:
    """y, and the winners of a pooling that remembers them."""
    window, limits, groups = how.window, _limits(activation, name), how.groups
    if scale is not None:
        shapes.check_array(scale, 1, "scale", name)
        shapes.check_shape(scale, (w.shape[3],), "scale", name)
        shapes.check_same_dtype({"x": x, "scale": scale}, name)
    if how.algorithm == "naive":
        w = w if scale is None else w * scale
        y = naive.conv2d(x, w, b, window.strides, how.padding, window.dilation, groups)
        np.clip(y, *limits, out=y)
        if pooling == algorithms.NO_POOLING:
            return y, None
        if not pooling.remember:
            return naive.max_pool2d(y, pooling.size, pooling.size), None
        return naive.largest_of_blocks(y, pooling.size, limits)
    forward = _algorithm(how, w.shape[2], w.shape[3] // groups, x.dtype).forward
    xs, ws = _split_channels(x, groups), _split_channels(w, groups)
    bs, scales = ([None] * groups if v is None else _split_channels(v, groups) for v in (b, scale))
    parts = zip(xs, ws, bs, scales, strict=True)
    found = [forward(*part, window, limits, pooling) for part in parts]
    winners = [numbers for _, numbers in found if numbers is not None]
    return _joined([y for y, _ in found]), _joined(winners) if winners else None


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: int | Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: int | Pair = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "conv2d",
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients `(dx, dw, db)` of `conv2d`, given `dy` of the shape of its output.

        dx[n, iy, ix, c] = sum of dy[n, oy, ox, o] * w[i, j, c, o]      over all windows on (iy, ix)
        dw[i, j, c, o]   = sum of dy[n, oy, ox, o] * x[n, iy, ix, c]    over all windows
        db[o]            = sum of dy[n, oy, ox, o]

    What is not needed (`need_dx=False`; `need_dw=False` for dw and db) costs nothing and is None.
    Raises as `conv2d`, and a `ValueError` for a `dy` of another shape than y.
    """
    how = _check_convolution(x, w, None, strides, padding, dilation_rate, groups, algorithm, name)
    window = how.window
    dy = _check_gradient(dy, (x.shape[0], *window.out, w.shape[3]), x, name)
    if how.algorithm == "naive":
        found = naive.conv2d_backward(
            dy, x, w, window.strides, padding.lower(), window.dilation, groups
        )
        return found[0] if need_dx else None, *(found[1:] if need_dw else (None, None))
    way = _algorithm(how, w.shape[2], w.shape[3] // groups, x.dtype)
    dys, xs, ws = (_split_channels(a, groups) for a in (dy, x, w))
    dx = dw = db = None
    if need_dx:
        size = x.shape[1], x.shape[2]
        dxs = [way.input_gradient(*part, window, size) for part in zip(dys, ws, strict=True)]
        dx = _joined(dxs)
    if need_dw:
        sums = [way.weight_gradient(*part, window) for part in zip(dys, xs, strict=True)]
        dw, db = (_joined(list(parts)) for parts in zip(*sums, strict=True))
    return dx, dw, db


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
    """`(y, winners)` of a convolution and the max pooling of its results in blocks, side by side.

        y = max_pool2d(conv2d(x, w, b, …), pool_size)

    "direct" finds the largest of each block while the results are in the cache, "winograd" while
    they are in registers if blocks are 2x2: so the convolution's own result, several times as large
    as y, is not written to memory, nor read from there. In all other cases it is.

    Args:
        pool_size: (rows, columns) of the blocks, side by side, whose largest number is kept.
        remember: whether to return the winners, too, of which `conv2d_max_pool2d_backward` needs
            nothing more; else they are None.

    The other arguments as in `conv2d`; y is (batch, out_height // rows, out_width // columns,
    filters). `winners` has y's shape, in uint8: each winner's number in its block, in reading
    order, the first of those that are equal, or 255 where no gradient passes because y is at a
    limit of the activation.

    Raises as `conv2d`, and a `ValueError` for blocks larger than the result or, with `remember`,
    of more than 255 numbers.
    """
    how = _check_convolution(x, w, b, strides, padding, dilation_rate, groups, algorithm, name)
    pooling = algorithms.Pooling(_check_blocks(pool_size, how.window, remember, name), remember)
    return _convolution(how, x, w, b, activation, scale, pooling, name)


def _check_blocks(pool_size: Any, window: shapes.Window, remember: bool, name: str) -> Pair:
    """The pool's size, if blocks of it fit the window's results."""
    pool = shapes.pair(pool_size, "pool_size", name)
    if pool[0] > window.out[0] or pool[1] > window.out[1]:
        raise ValueError(
            f"{name} expects blocks that are pooled to fit the {window.out[0]}x{window.out[1]} "
            f"results of the convolution. Received pool_size={pool}."
        )
    if remember and math.prod(pool) > LARGEST_BLOCK:
        raise ValueError(
            f"{name} expects a pool_size of {LARGEST_BLOCK} numbers at most to remember the "
            f"winners. Received {pool}."
        )
    return pool


def conv2d_max_pool2d_backward(
    dy: Array,
    winners: Array,
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
    """Gradients `(dx, dw, db)` of `conv2d_max_pool2d`, given `dy` of its output's shape.

        dz[n, oy, ox, o] = dy of its block if `winners` names it, else 0
        dx, dw, db       = conv2d_backward(dz, x, w, …)

    So the gradient of the activation is in it. Raises as `conv2d_backward`, and for winners that
    are not uint8 of dy's shape.
    """
    how = _check_convolution(x, w, None, strides, padding, dilation_rate, groups, algorithm, name)
    window, groups = how.window, how.groups
    pool = _check_blocks(pool_size, window, True, name)
    size = window.out[0] // pool[0], window.out[1] // pool[1]
    dy = _check_gradient(dy, (x.shape[0], *size, w.shape[3]), x, name)
    if not isinstance(winners, np.ndarray) or winners.dtype != np.uint8:
        raise TypeError(
            f"{name} expects winners to be a uint8 array. "
            f"Received {getattr(winners, 'dtype', winners)}."
        )
    shapes.check_shape(winners, dy.shape, "winners", name)
    way = None
    if how.algorithm != "naive":
        way = _algorithm(how, w.shape[2], w.shape[3] // groups, x.dtype)
    pooled = None if way is None else way.pooled_weight_gradient
    options: dict[str, Any] = {
        "strides": strides, "padding": padding, "dilation_rate": dilation_rate, "groups": groups,
        "algorithm": algorithm, "name": name,
    }  # fmt: skip
    dx = dw = db = None
    if need_dx or (need_dw and pooled is None):
        unpool = naive.unpool if way is None else algorithms.unpool
        dz = unpool(dy, shapes.contiguous(winners), pool, window.out)
        dx, dw, db = conv2d_backward(
            dz, x, w, need_dx=need_dx, need_dw=need_dw and pooled is None, **options
        )
    if need_dw and pooled is not None:
        dys, numbers, xs = (_split_channels(a, groups) for a in (dy, winners, x))
        parts = zip(dys, numbers, xs, strict=True)
        sums = [pooled(d, number, pool, part, window) for d, number, part in parts]
        dw, db = (_joined(list(parts)) for parts in zip(*sums, strict=True))
    return dx, dw, db


def _check_depthwise(
    x: Array,
    w: Array,
    b: Array | None,
    strides: Any,
    padding: Any,
    dilation_rate: Any,
    algorithm: Any,
    name: str,
) -> _Convolution:
    shapes.check_array(w, 4, "w", name)
    shapes.choice(algorithm, ("auto", "naive"), "algorithm", name)
    filters = w.shape[2] * w.shape[3]
    return _check_convolution(x, w, b, strides, padding, dilation_rate, 1, algorithm, name, filters)


def _flat_filters(w: Array) -> Array:
    """(rows, columns, channels, multiplier) as (rows, columns, channels * multiplier)."""
    return shapes.contiguous(w).reshape(*w.shape[:2], -1)


def _repeat_channels(x: Array, multiplier: int) -> Array:
    """Each channel `multiplier` times: as many channels as filters, so that each has one filter."""
    x = shapes.contiguous(x)
    if multiplier == 1:
        return x
    y = buffers.empty((*x.shape[:3], x.shape[3] * multiplier), x.dtype)
    kernels.depthwise.repeat(x.reshape(-1), multiplier, y.reshape(-1))
    return y


def _sum_channels(dy: Array, multiplier: int) -> Array:
    """The backward pass of `_repeat_channels`: the sum over each channel's copies."""
    if multiplier == 1:
        return dy
    dx = buffers.empty((*dy.shape[:3], dy.shape[3] // multiplier), dy.dtype)
    kernels.depthwise.sum_runs(dy.reshape(-1), multiplier, dx.reshape(-1))
    return dx


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
    """Depthwise convolution: every channel is filtered alone, with `multiplier` filters of its own.

        y[n, oy, ox, c * multiplier + m] = b[...] + sum over i, j of x[n, iy, ix, c] * w[i, j, c, m]

    `x` (batch, height, width, channels), `w` (rows, columns, channels, multiplier), `b`
    (channels * multiplier,) or None; y (batch, out_height, out_width, channels * multiplier).
    `algorithm` is "auto" or "naive": without a sum over channels there is no matrix to multiply.
    `activation` as in `conv2d`. Raises as `conv2d`.
    """
    how = _check_depthwise(x, w, b, strides, padding, dilation_rate, algorithm, name)
    window, filters, limits = how.window, w.shape[2] * w.shape[3], _limits(activation, name)
    if how.algorithm == "naive":
        y = naive.depthwise_conv2d(x, w, b, window.strides, padding.lower(), window.dilation)
        return np.clip(y, *limits, out=y)
    x, w = _repeat_channels(x, w.shape[3]), _flat_filters(w)
    bias = np.zeros(filters, x.dtype) if b is None else shapes.contiguous(b)
    y = buffers.empty((x.shape[0], *window.out, filters), x.dtype)
    clamp = algorithms.clamp_of(limits, x.dtype)
    threads, geometry = kernels.tasks.threads(), (window.strides, window.dilation, window.before)
    kernels.depthwise.forward(x, w, bias, clamp, *geometry, threads, y)
    return y


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
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients `(dx, dw, db)` of `depthwise_conv2d`; see `conv2d_backward` for the arguments."""
    how = _check_depthwise(x, w, None, strides, padding, dilation_rate, algorithm, name)
    window, filters = how.window, w.shape[2] * w.shape[3]
    dy = _check_gradient(dy, (x.shape[0], *window.out, filters), x, name)
    if how.algorithm == "naive":
        dx, dw, db = naive.depthwise_conv2d_backward(
            dy, x, w, window.strides, padding.lower(), window.dilation
        )
        return dx if need_dx else None, dw if need_dw else None, db if need_dw else None
    threads, geometry = kernels.tasks.threads(), (window.strides, window.dilation, window.before)
    dx_found: Array | None = None
    dw_found: Array | None = None
    db_found: Array | None = None
    if need_dx:
        each = buffers.empty((*x.shape[:3], filters), x.dtype)
        if window.strides == (1, 1):  # a depthwise convolution too, of dy with the kernel turned
            turned = shapes.contiguous(_flat_filters(w)[::-1, ::-1])
            sides = zip(window.kernel, window.dilation, window.before, strict=True)
            before = tuple((size - 1) * step - pad for size, step, pad in sides)
            nothing = np.zeros(filters, x.dtype), algorithms.clamp_of(algorithms.UNBOUNDED, x.dtype)
            kernels.depthwise.forward(
                dy, turned, *nothing, (1, 1), window.dilation, before, threads, each
            )
        else:
            kernels.depthwise.backward_input(dy, _flat_filters(w), *geometry, threads, each)
        dx_found = _sum_channels(each, w.shape[3])
    if need_dw:
        parts = max(1, min(_BLOCKS, len(dy) * window.out[0]))
        partial = np.empty((parts, *window.kernel, filters), x.dtype)
        repeated = _repeat_channels(x, w.shape[3])
        kernels.depthwise.backward_weight(dy, repeated, *geometry, threads, partial)
        dw_found = partial.sum(axis=0).reshape(w.shape)
        db_found = algorithms.sum_positions(dy)
    return dx_found, dw_found, db_found


# ---------------------------------------------------------------------------------------------
# Pooling
# ---------------------------------------------------------------------------------------------


def _pool_window(
    size: Sequence[int], pool_size: Any, strides: Any, padding: Any, name: str
) -> shapes.Window:
    kernel = shapes.pair(pool_size, "pool_size", name)
    steps = kernel if strides is None else shapes.pair(strides, "strides", name)
    padding = shapes.choice(padding, ("valid", "same"), "padding", name)
    return _window((size[0], size[1]), kernel, steps, padding, (1, 1), name)


def _check_x_shape(x_shape: Sequence[int], name: str) -> Sequence[int]:
    if len(x_shape) != 4 or min(x_shape[1:3]) < 1:
        raise ValueError(
            f"{name} expects x_shape=(batch, height, width, channels). Received {x_shape}."
        )
    return x_shape


def max_pool2d(
    x: Array,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "max_pool2d",
) -> Array:
    """Max pooling: the largest pixel under each window, per channel.

    `x` (batch, height, width, channels) to y (batch, out_height, out_width, channels). `strides`
    defaults to `pool_size`. Under "same" the padding counts as minus infinity and never wins. NaN
    under a window makes its output NaN.

    Raises `TypeError` or `ValueError` for an `x` that is no such array, a window larger than the
    input, or an unknown option.
    """
    shapes.check_array(x, 4, "x", name)
    window = _pool_window(x.shape[1:3], pool_size, strides, padding, name)
    y = buffers.empty((x.shape[0], *window.out, x.shape[3]), x.dtype)
    kernels.pooling.max_forward(
        shapes.contiguous(x),
        window.kernel,
        window.strides,
        window.before,
        kernels.tasks.threads(),
        y,
    )
    return y


def max_pool2d_backward(
    dy: Array,
    x: Array,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "max_pool2d",
) -> Array:
    """dx of `max_pool2d`: the winner of each window gets its dy; of equal pixels the first one

    in reading order wins, as in TensorFlow. Windows that overlap add up.
    """
    shapes.check_array(x, 4, "x", name)
    window = _pool_window(x.shape[1:3], pool_size, strides, padding, name)
    dy = _check_gradient(dy, (x.shape[0], *window.out, x.shape[3]), x, name)
    dx = buffers.empty(x.shape, x.dtype)
    kernels.pooling.max_backward(
        dy,
        shapes.contiguous(x),
        window.kernel,
        window.strides,
        window.before,
        kernels.tasks.threads(),
        dx,
    )
    return dx


def average_pool2d(
    x: Array,
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "average_pool2d",
) -> Array:
    """Average pooling: the mean of the real pixels under each window (padding is not counted).

    Shapes, defaults and errors as `max_pool2d`.
    """
    shapes.check_array(x, 4, "x", name)
    window = _pool_window(x.shape[1:3], pool_size, strides, padding, name)
    y = buffers.empty((x.shape[0], *window.out, x.shape[3]), x.dtype)
    kernels.pooling.average_forward(
        shapes.contiguous(x),
        window.kernel,
        window.strides,
        window.before,
        kernels.tasks.threads(),
        y,
    )
    return y


def average_pool2d_backward(
    dy: Array,
    x_shape: Sequence[int],
    pool_size: int | Pair = (2, 2),
    strides: int | Pair | None = None,
    padding: str = "valid",
    name: str = "average_pool2d",
) -> Array:
    """dx of `average_pool2d`: each of the k real pixels under a window gets dy / k."""
    batch, height, width, channels = _check_x_shape(x_shape, name)
    window = _pool_window((height, width), pool_size, strides, padding, name)
    dy = _check_gradient(dy, (batch, *window.out, channels), dy, name)
    dx = buffers.empty(tuple(x_shape), dy.dtype)
    kernels.pooling.average_backward(dy, window.kernel, window.strides, window.before, dx)
    return dx


def _check_pixels(x: Array, name: str) -> None:
    shapes.check_array(x, 4, "x", name)
    if 0 in x.shape[1:3]:
        raise ValueError(f"{name} expects at least one pixel. Received x.shape={x.shape}.")


def global_average_pool2d(x: Array, name: str = "global_average_pool2d") -> Array:
    """y[n, c] = mean of x[n, :, :, c]: (batch, height, width, channels) to (batch, channels)."""
    _check_pixels(x, name)
    batch, height, width, channels = x.shape
    # The mean of the lines' means: all threads have lines, and short sums round less.
    lines = average_pool2d(x, (1, width), name=name)
    return average_pool2d(lines, (height, 1), name=name).reshape(batch, channels)


def global_average_pool2d_backward(
    dy: Array, x_shape: Sequence[int], name: str = "global_average_pool2d"
) -> Array:
    """dx[n, i, j, c] = dy[n, c] / (height * width)."""
    batch, height, width, channels = _check_x_shape(x_shape, name)
    dy = _check_gradient(dy, (batch, channels), dy, name)
    share = dy / dy.dtype.type(height * width)
    dx = buffers.empty(tuple(x_shape), dy.dtype)
    kernels.pooling.spread(share, dx)
    return dx


def global_max_pool2d(x: Array, name: str = "global_max_pool2d") -> Array:
    """y[n, c] = largest of x[n, :, :, c]: (batch, height, width, channels) to (batch, channels)."""
    _check_pixels(x, name)
    y: Array = x.max(axis=(1, 2))
    return y


def global_max_pool2d_backward(dy: Array, x: Array, name: str = "global_max_pool2d") -> Array:
    """dx: the k pixels equal to the maximum get dy / k each.

    An even share, where a pooling window would choose the first: Keras computes this layer as a
    reduction, and that is the gradient of its reduction.
    """
    _check_pixels(x, name)
    dy = _check_gradient(dy, (x.shape[0], x.shape[3]), x, name)
    winners = x == x.max(axis=(1, 2), keepdims=True)
    # A NaN equals nothing, not even itself: without a winner nobody gets a share.
    share = dy / np.maximum(winners.sum(axis=(1, 2)), 1).astype(dy.dtype)
    return np.where(winners, share[:, None, None, :], dy.dtype.type(0))


def _check_sides(padding: tuple[Pair, Pair], name: str) -> list[Pair]:
    if not isinstance(padding, (tuple, list)) or len(padding) != 2:
        raise ValueError(
            f"{name} expects padding=((top, bottom), (left, right)). Received {padding!r}."
        )
    return [shapes.pair(side, "padding", name, minimum=0) for side in padding]


def zero_padding2d(
    x: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1)), name: str = "zero_padding2d"
) -> Array:
    """Zeros around each picture: `padding` is `((top, bottom), (left, right))`, in pixels."""
    shapes.check_array(x, 4, "x", name)
    (top, bottom), (left, right) = _check_sides(padding, name)
    batch, height, width, channels = x.shape
    y = buffers.empty((batch, top + height + bottom, left + width + right, channels), x.dtype)
    y[:, :top], y[:, top + height :] = 0, 0
    y[:, :, :left], y[:, :, left + width :] = 0, 0
    y[:, top : top + height, left : left + width] = x
    return y


def zero_padding2d_backward(
    dy: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1)), name: str = "zero_padding2d"
) -> Array:
    """dx: dy without its border."""
    shapes.check_array(dy, 4, "dy", name)
    (top, bottom), (left, right) = _check_sides(padding, name)
    if dy.shape[1] < top + bottom or dy.shape[2] < left + right:
        raise ValueError(
            f"{name} expects dy with at least {top + bottom}x{left + right} pixels, its padding. "
            f"Received dy.shape={dy.shape}."
        )
    return dy[:, top : dy.shape[1] - bottom, left : dy.shape[2] - right].copy()


# ---------------------------------------------------------------------------------------------
# Dense and element by element
# ---------------------------------------------------------------------------------------------


def _check_dense(x: Array, w: Array, b: Array | None, name: str) -> None:
    shapes.check_array(x, None, "x", name)
    shapes.check_array(w, 2, "w", name)
    if 0 in w.shape:
        raise ValueError(f"{name} expects a w that is not empty. Received w.shape={w.shape}.")
    if x.ndim < 2 or x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"{name} expects x.shape=(batch, ..., {w.shape[0]}). Received x.shape={x.shape}."
        )
    if b is not None:
        shapes.check_array(b, 1, "b", name)
        shapes.check_shape(b, (w.shape[1],), "b", name)
    shapes.check_same_dtype({"x": x, "w": w, "b": b}, name)


def dense(
    x: Array,
    w: Array,
    b: Array | None = None,
    activation: str = "linear",
    name: str = "dense",
) -> Array:
    """y[..., u] = b[u] + sum over k of x[..., k] * w[k, u]: (…, features) to (…, units).

    `activation` as in `conv2d`.
    """
    _check_dense(x, w, b, name)
    limits = _limits(activation, name)
    y = algorithms.matmul(x.reshape(-1, w.shape[0]), w, b, limits=limits)
    return y.reshape(*x.shape[:-1], w.shape[1])


def dense_backward(
    dy: Array,
    x: Array,
    w: Array,
    need_dx: bool = True,
    need_dw: bool = True,
    name: str = "dense",
) -> tuple[Array | None, Array | None, Array | None]:
    """`(dx, dw, db)` of `dense`: dx = dy w^T, dw = x^T dy, db = the sum of dy over positions."""
    _check_dense(x, w, None, name)
    dy = _check_gradient(dy, (*x.shape[:-1], w.shape[1]), x, name).reshape(-1, w.shape[1])
    dx = algorithms.matmul(dy, w, b_turned=True).reshape(x.shape) if need_dx else None
    dw = algorithms.matmul(x.reshape(-1, w.shape[0]), dy, a_turned=True) if need_dw else None
    return dx, dw, dy.sum(axis=0) if need_dw else None


def relu(
    x: Array,
    max_value: float | None = None,
    negative_slope: float = 0.0,
    threshold: float = 0.0,
    name: str = "relu",
) -> Array:
    """y = x above `threshold`, `negative_slope * (x - threshold)` below, at most `max_value`.

    With the defaults max(x, 0); `max_value=6` is ReLU6. NaN stays NaN.
    """
    shapes.check_array(x, None, "x", name)
    y = buffers.empty(x.shape, x.dtype)
    cap = np.inf if max_value is None else max_value
    kernels.elementwise.relu(
        shapes.contiguous(x).reshape(-1),
        y.reshape(-1),
        *(x.dtype.type(v) for v in (cap, negative_slope, threshold)),
    )
    return y


def relu_backward(
    dy: Array,
    x: Array,
    max_value: float | None = None,
    negative_slope: float = 0.0,
    threshold: float = 0.0,
    name: str = "relu",
) -> Array:
    """dx = dy above `threshold`, `negative_slope * dy` at and below it, 0 at and above `max_value`.

    For plain ReLU the output y serves as well as the input x: both are above 0 at the same places.
    """
    shapes.check_array(x, None, "x", name)
    dy = _check_gradient(dy, x.shape, x, name)
    dx = buffers.empty(x.shape, x.dtype)
    cap = np.nan if max_value is None else max_value  # not even infinity is at or above NaN
    kernels.elementwise.relu_backward(
        dy.reshape(-1),
        shapes.contiguous(x).reshape(-1),
        dx.reshape(-1),
        *(x.dtype.type(v) for v in (cap, negative_slope, threshold)),
    )
    return dx


def sigmoid(x: Array, name: str = "sigmoid") -> Array:
    """y = 1 / (1 + exp(-x)), as exp(min(x, 0)) / (1 + exp(-|x|)) so that nothing overflows."""
    shapes.check_array(x, None, "x", name)
    y: Array = np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))
    return y


def sigmoid_backward(dy: Array, y: Array, name: str = "sigmoid") -> Array:
    """dx = dy * y * (1 - y), from the output y."""
    shapes.check_array(y, None, "y", name)
    dy = _check_gradient(dy, y.shape, y, name)
    return dy * y * (1 - y)


def tanh(x: Array, name: str = "tanh") -> Array:
    """y = tanh(x)."""
    shapes.check_array(x, None, "x", name)
    y: Array = np.tanh(x)
    return y


def tanh_backward(dy: Array, y: Array, name: str = "tanh") -> Array:
    """dx = dy * (1 - y**2), from the output y."""
    shapes.check_array(y, None, "y", name)
    dy = _check_gradient(dy, y.shape, y, name)
    return dy * (1 - y * y)


def _check_classes(x: Array, argument: str, name: str) -> None:
    shapes.check_array(x, None, argument, name)
    if x.ndim < 1 or x.shape[-1] < 1:
        raise ValueError(
            f"{name} expects {argument}.shape=(..., classes), at least one class. "
            f"Received {argument}.shape={x.shape}."
        )


def softmax(x: Array, name: str = "softmax") -> Array:
    """y[..., k] = exp(x[..., k] - m) / sum over j of exp(x[..., j] - m), m the largest of x[...].

    Over the last axis. Subtracting m cancels in the ratio and keeps exp from overflowing.
    """
    _check_classes(x, "x", name)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def softmax_backward(dy: Array, y: Array, name: str = "softmax") -> Array:
    """dx[..., k] = y[..., k] * (dy[..., k] - sum over j of dy[..., j] * y[..., j])."""
    _check_classes(y, "y", name)
    dy = _check_gradient(dy, y.shape, y, name)
    dx: Array = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    return dx


def dropout(x: Array, mask: Array, rate: float, name: str = "dropout") -> Array:
    """y = x / (1 - rate) where the boolean `mask` is True, else 0, so that y's mean stays x's.

    `rate` in [0, 1) is the share that is dropped (Srivastava et al. 2014, scaled while training).
    """
    shapes.check_array(x, None, "x", name)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        received = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"{name} expects mask to be an array of booleans. Received {received}.")
    shapes.check_shape(mask, x.shape, "mask", name)
    if not 0 <= rate < 1:
        raise ValueError(f"{name} expects rate to be at least 0 and below 1. Received {rate!r}.")
    return np.where(mask, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))


def dropout_backward(dy: Array, mask: Array, rate: float, name: str = "dropout") -> Array:
    """dx = dy / (1 - rate) where the mask is True, else 0."""
    return dropout(dy, mask, rate, name)


def _check_several(xs: Sequence[Array], name: str) -> None:
    if len(xs) < 1:
        raise ValueError(f"{name} expects at least one array. Received none.")
    for x in xs:
        shapes.check_array(x, None, "each input", name)
    shapes.check_same_dtype({f"x{i}": x for i, x in enumerate(xs)}, name)


def add(xs: Sequence[Array], name: str = "add") -> Array:
    """y = x0 + x1 + …; all of one shape. Each x receives dy unchanged."""
    _check_several(xs, name)
    for x in xs[1:]:
        if x.shape != xs[0].shape:
            raise ValueError(
                f"{name} expects inputs of one shape. Received {[x.shape for x in xs]}."
            )
    y = buffers.empty(xs[0].shape, xs[0].dtype)
    first, *more = (shapes.contiguous(x).reshape(-1) for x in xs)
    if not more:
        y[...] = xs[0]
    for x in more:
        kernels.elementwise.add(first, x, y.reshape(-1))
        first = y.reshape(-1)
    return y


def concatenate(xs: Sequence[Array], name: str = "concatenate") -> Array:
    """The channels (last axis) of x0, then those of x1, …; all other axes must agree."""
    _check_several(xs, name)
    if len({x.shape[:-1] for x in xs}) > 1:
        raise ValueError(
            f"{name} expects inputs that differ in the last axis only. "
            f"Received {[x.shape for x in xs]}."
        )
    return np.concatenate(xs, axis=-1)


def concatenate_backward(
    dy: Array, channels: Sequence[int], name: str = "concatenate"
) -> list[Array]:
    """Each input's own slice of dy; `channels` counts those of each input."""
    shapes.check_array(dy, None, "dy", name)
    if sum(channels) != dy.shape[-1]:
        raise ValueError(
            f"{name} expects dy with {sum(channels)} channels. Received dy.shape={dy.shape}."
        )
    return [part.copy() for part in np.split(dy, np.cumsum(channels)[:-1], axis=-1)]


# ---------------------------------------------------------------------------------------------
# Batch normalization
# ---------------------------------------------------------------------------------------------


def _rows(x: Array, name: str) -> Array:
    shapes.check_array(x, None, "x", name)
    if x.ndim < 2:
        raise ValueError(f"{name} expects x with at least 2 dimensions. Received {x.shape}.")
    return shapes.contiguous(x).reshape(-1, x.shape[-1])


def _check_per_channel(x: Array, parameters: dict[str, Array], name: str) -> None:
    for argument, value in parameters.items():
        shapes.check_array(value, 1, argument, name)
        shapes.check_shape(value, (x.shape[-1],), argument, name)
    shapes.check_same_dtype({"x": x, **parameters}, name)


def batch_moments(x: Array, name: str = "batch_moments") -> tuple[Array, Array]:
    """Per channel (last axis): mean, and variance = mean of (x - mean)**2, over the whole batch.

    The variance is the biased one (divided by the count), in the sums as in what Keras puts into
    the moving variance. Sums run in float64. Raises `ValueError` for an empty batch.
    """
    rows = _rows(x, name)
    if len(rows) == 0:
        raise ValueError(f"{name} expects at least one example. Received x.shape={x.shape}.")
    shift = np.where(np.isfinite(rows[0]), rows[0], 0).astype(np.float64)
    sums = np.empty((_BLOCKS, 2, rows.shape[1]))
    kernels.normalization.shifted_sums(rows, shift, _BLOCKS, sums)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite shows in the result
        mean, square = sums.sum(axis=0) / len(rows)
        variance = np.maximum(square - (mean - shift) ** 2, 0)
    return mean.astype(x.dtype), variance.astype(x.dtype)


def batch_normalization(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    beta: Array,
    epsilon: float = 1e-3,
    name: str = "batch_normalization",
) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel (last axis).

    All of `mean`, `variance`, `gamma`, `beta` have the shape (channels,).
    """
    rows = _rows(x, name)
    _check_per_channel(x, {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}, name)
    scale = (gamma / np.sqrt(variance + x.dtype.type(epsilon))).astype(x.dtype)
    y = buffers.empty(x.shape, x.dtype)
    kernels.normalization.forward(
        rows, shapes.contiguous(mean), scale, shapes.contiguous(beta), y.reshape(rows.shape)
    )
    return y


def batch_normalization_backward(
    dy: Array,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    epsilon: float = 1e-3,
    training: bool = False,
    need_dx: bool = True,
    name: str = "batch_normalization",
) -> tuple[Array | None, Array, Array]:
    """`(dx, dgamma, dbeta)` of `batch_normalization`; z = (x - mean) / sqrt(variance + epsilon).

        dbeta = sum of dy,   dgamma = sum of dy * z
        inference:  dx = gamma / sqrt(variance + epsilon) * dy
        training:   dx = gamma / sqrt(variance + epsilon) * (dy - mean(dy) - z * mean(dy * z))

    In training `mean` and `variance` must be the batch's own (`batch_moments(x)`): each x moved
    them, hence the two extra terms (Ioffe and Szegedy 2015, section 3).
    """
    rows = _rows(x, name)
    _check_per_channel(x, {"mean": mean, "variance": variance, "gamma": gamma}, name)
    dy = _check_gradient(dy, x.shape, x, name).reshape(rows.shape)
    mean = shapes.contiguous(mean)
    sums = np.empty((_BLOCKS, 2, rows.shape[1]))
    kernels.normalization.backward_sums(dy, rows, mean, _BLOCKS, sums)
    total, centered = sums.sum(axis=0)
    inverse = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
    dgamma, dbeta = (centered * inverse).astype(x.dtype), total.astype(x.dtype)
    if not need_dx:
        return None, dgamma, dbeta
    dx, scale = buffers.empty(x.shape, x.dtype), (gamma * inverse).astype(x.dtype)
    if training:
        kernels.normalization.backward_input(
            dy,
            rows,
            mean,
            scale,
            (total / len(rows)).astype(x.dtype),
            (centered * inverse**2 / len(rows)).astype(x.dtype),
            dx.reshape(rows.shape),
        )
    else:  # dx = (dy - 0) * scale + 0, whatever x is
        zero = np.zeros_like(scale)
        kernels.normalization.forward(dy, zero, scale, zero, dx.reshape(rows.shape))
    return dx, dgamma, dbeta


# ---------------------------------------------------------------------------------------------
# Losses, one number per example
# ---------------------------------------------------------------------------------------------

EPSILON = 1e-7  # Keras's `epsilon()`: how far probabilities stay from 0 and 1 under a logarithm


def _check_targets(y_true: Array, y_pred: Array, name: str) -> None:
    shapes.check_array(y_true, None, "y_true", name)
    _check_classes(y_pred, "y_pred", name)
    shapes.check_shape(y_true, y_pred.shape, "y_true", name)
    shapes.check_same_dtype({"y_true": y_true, "y_pred": y_pred}, name)


def categorical_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "categorical_crossentropy",
) -> Array:
    """loss = - sum over k of t[k] * log p[k], with t = y_true * (1 - s) + s / classes.

    `y_true` and `y_pred` (…, classes); the result has one number per example, shape (…,).
    From logits z, log p[k] = z[k] - m - log(sum over j of exp(z[j] - m)) with m the largest z: no
    overflow and no log(0). Probabilities are first divided by their sum and kept within
    [1e-7, 1 - 1e-7], as Keras does.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, y_true.shape[-1])
    loss: Array = -(t * _log_probabilities(y_pred, from_logits)).sum(axis=-1)
    return loss


def _smooth(y_true: Array, label_smoothing: float, classes: int) -> Array:
    return y_true * y_true.dtype.type(1 - label_smoothing) + y_true.dtype.type(
        label_smoothing / classes
    )


def _log_probabilities(y_pred: Array, from_logits: bool) -> Array:
    if from_logits:
        shifted = y_pred - y_pred.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    q = y_pred / y_pred.sum(axis=-1, keepdims=True)
    return np.log(np.clip(q, EPSILON, 1 - EPSILON))


def categorical_crossentropy_backward(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "categorical_crossentropy",
) -> Array:
    """d loss / d y_pred of each example; from logits it is softmax(z) * sum(t) - t.

    From probabilities p with sum s and q = p / s:  dq = -t / q where q was not cut off, else 0, and
    dp[k] = (dq[k] - sum over j of dq[j] * q[j]) / s.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, y_true.shape[-1])
    if from_logits:
        return softmax(y_pred) * t.sum(axis=-1, keepdims=True) - t
    total = y_pred.sum(axis=-1, keepdims=True)
    q = y_pred / total
    inside = (q >= EPSILON) & (q <= 1 - EPSILON)
    dq = np.where(inside, -t / np.where(inside, q, 1), 0).astype(y_pred.dtype)
    dp: Array = (dq - (dq * q).sum(axis=-1, keepdims=True)) / total
    return dp


def binary_crossentropy(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "binary_crossentropy",
) -> Array:
    """loss = mean over the last axis of - t log p - (1 - t) log(1 - p), t = y_true (1 - s) + s / 2.

    From logits z each term is max(z, 0) - z t + log(1 + exp(-|z|)), which cannot overflow.
    Probabilities are first kept within [1e-7, 1 - 1e-7], as Keras does.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, 2)
    if from_logits:
        terms = np.maximum(y_pred, 0) - y_pred * t + np.log1p(np.exp(-np.abs(y_pred)))
    else:
        p = np.clip(y_pred, EPSILON, 1 - EPSILON)
        terms = -t * np.log(p) - (1 - t) * np.log(1 - p)
    loss: Array = terms.mean(axis=-1, dtype=y_pred.dtype)
    return loss


def binary_crossentropy_backward(
    y_true: Array,
    y_pred: Array,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    name: str = "binary_crossentropy",
) -> Array:
    """d loss / d y_pred: (sigmoid(z) - t) / n from logits, (p - t) / (p (1 - p)) / n from p;

    n is the length of the last axis. A probability that was cut off has gradient 0.
    """
    _check_targets(y_true, y_pred, name)
    t = _smooth(y_true, label_smoothing, 2)
    units = y_pred.dtype.type(y_pred.shape[-1])
    if from_logits:
        return (sigmoid(y_pred) - t) / units
    inside = (y_pred >= EPSILON) & (y_pred <= 1 - EPSILON)
    p = np.where(inside, y_pred, y_pred.dtype.type(0.5))
    return np.where(inside, (p - t) / (p * (1 - p)) / units, 0).astype(y_pred.dtype)


# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------

FILL_MODES = ("constant", "nearest", "reflect", "wrap")  # in the order of kernels.warp's numbers


def affine_transform(
    x: Array,
    matrix: Any,
    offset: Any,
    order: int = 1,
    mode: str = "nearest",
    cval: float = 0.0,
    name: str = "affine_transform",
) -> Array:
    """One picture (height, width, channels) rotated, shifted, sheared or zoomed, same shape:

        y[i, j] = x at the position matrix · (i, j) + offset

    read from the nearest pixel (`order=0`) or bilinearly between four (`order=1`). Outside the
    picture lies `cval` ("constant"), the edge ("nearest"), the mirror image ("reflect") or the
    picture again ("wrap"): the modes and numbers of `scipy.ndimage.affine_transform`.
    """
    shapes.check_array(x, 3, "x", name)
    mode = shapes.choice(mode, FILL_MODES, "mode", name)
    if order not in (0, 1):
        raise ValueError(f"{name} expects order to be 0 or 1. Received {order!r}.")
    matrix, offset = np.asarray(matrix, np.float64), np.asarray(offset, np.float64)
    if matrix.shape != (2, 2) or offset.shape != (2,):
        raise ValueError(
            f"{name} expects a matrix of shape (2, 2) and an offset of shape (2,). "
            f"Received {matrix.shape} and {offset.shape}."
        )
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise ValueError(
            f"{name} expects finite numbers. Received {matrix.tolist()}, {offset.tolist()}."
        )
    with np.errstate(over="ignore"):
        farthest = np.abs(matrix) @ x.shape[:2] + np.abs(offset)
    if farthest.max() > 2**31:  # beyond, the kernel's arithmetic would lose the picture
        raise ValueError(
            f"{name} expects positions within 2**31 pixels. "
            f"Received {matrix.tolist()}, {offset.tolist()}."
        )
    y = buffers.empty(x.shape, x.dtype)
    if y.size:
        kernels.warp.affine_transform(
            shapes.contiguous(x), matrix, offset, order, FILL_MODES.index(mode), float(cval), y
        )
    return y


# ---------------------------------------------------------------------------------------------
# Activations by name
# ---------------------------------------------------------------------------------------------


class ActivationFunction(NamedTuple):
    """`forward(z)` gives y, `backward(dy, y)` gives dz; for layers with `activation=`.

    `limits`: all that it does is to keep z between them, which a convolution can do on its way.
    """

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]
    limits: algorithms.Limits | None = None


def _relu6(z: Array) -> Array:
    """min(max(z, 0), 6)."""
    return relu(z, max_value=6.0)


def _linear(z: Array) -> Array:
    """z."""
    return z


ACTIVATIONS: dict[str, ActivationFunction] = {
    "linear": ActivationFunction(_linear, lambda dy, y: dy, algorithms.UNBOUNDED),
    "relu": ActivationFunction(relu, relu_backward, (0.0, np.inf)),
    "relu6": ActivationFunction(
        _relu6, lambda dy, y: relu_backward(dy, y, max_value=6.0), (0.0, 6.0)
    ),
    "sigmoid": ActivationFunction(sigmoid, sigmoid_backward),
    "tanh": ActivationFunction(tanh, tanh_backward),
    "softmax": ActivationFunction(softmax, softmax_backward),
}
for _name, _function in ACTIVATIONS.items():  # read as `layer.activation.__name__`
    _function.forward.__name__ = _name


_LIMITS = {key: found.limits for key, found in ACTIVATIONS.items() if found.limits is not None}


def _limits(activation: Any, name: str) -> algorithms.Limits:
    """The limits of an activation that has nothing but limits."""
    return _LIMITS[shapes.choice(activation, _LIMITS, "activation", name)]
