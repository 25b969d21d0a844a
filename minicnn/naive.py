"""Every operation, forward and backward, as plain loops: the formula itself.

This is the first lesson and the oracle. Nothing here is fast and nothing is clever; each function
has a twin of the same name and arguments in `minicnn.functional`, and the tests hold the two
together. Functions expect arguments that are right (`functional` checks them) and never write to
their inputs.

Shapes: activations are NHWC `(batch, height, width, channels)`, kernels are HWIO
`(rows, columns, input channels, filters)`. A gradient `dx` has the shape of its `x` and holds
`d loss / d x`. Every backward function is the chain rule: what an output received (`dy`), it hands
to each of its inputs in proportion to how strongly that input moved it.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from minicnn import shapes
from minicnn.shapes import Pair

Array = np.ndarray


# ---------------------------------------------------------------------------------------------
# Windows
# ---------------------------------------------------------------------------------------------


def _taps(window: shapes.Window, size: Pair) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Each `(oy, ox, i, j, iy, ix)`: output position, place in the window, input pixel under it.

    Places of the window that lie on padding are left out: they hold no pixel.
    """
    for oy in range(window.out[0]):
        for ox in range(window.out[1]):
            for i in range(window.kernel[0]):
                for j in range(window.kernel[1]):
                    iy = oy * window.strides[0] + i * window.dilation[0] - window.before[0]
                    ix = ox * window.strides[1] + j * window.dilation[1] - window.before[1]
                    if 0 <= iy < size[0] and 0 <= ix < size[1]:
                        yield oy, ox, i, j, iy, ix


def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """y[n, oy, ox, o] = b[o] + sum over i, j, c of x[n, iy, ix, c] * w[i, j, c, o],

    where iy = oy * stride + i * dilation - padding, and ix likewise; pixels outside count as zero.
    With `groups`, filter o sees only the input channels of its own group.
    """
    batch, height, width, _ = x.shape
    rows, columns, channels, filters = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "conv2d"
    )
    y = np.zeros((batch, *window.out, filters), x.dtype)
    for oy, ox, i, j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for o in range(filters):
                first = o // (filters // groups) * channels
                for c in range(channels):
                    y[n, oy, ox, o] += x[n, iy, ix, first + c] * w[i, j, c, o]
    return y if b is None else y + b


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """`(dx, dw, db)`: each product x * w of the forward pass hands dy to both of its factors."""
    batch, height, width, _ = x.shape
    rows, columns, channels, filters = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "conv2d"
    )
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(filters, w.dtype)
    for oy, ox, i, j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for o in range(filters):
                first = o // (filters // groups) * channels
                for c in range(channels):
                    dx[n, iy, ix, first + c] += dy[n, oy, ox, o] * w[i, j, c, o]
                    dw[i, j, c, o] += dy[n, oy, ox, o] * x[n, iy, ix, first + c]
    for n in range(batch):
        for oy in range(window.out[0]):
            for ox in range(window.out[1]):
                db += dy[n, oy, ox]
    return dx, dw, db


def depthwise_conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
) -> Array:
    """Each channel is filtered alone, by `depth_multiplier` filters m of its own:

    y[n, oy, ox, c * multiplier + m] = b[...] + sum over i, j of x[n, iy, ix, c] * w[i, j, c, m].
    """
    batch, height, width, channels = x.shape
    rows, columns, _, multiplier = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "depthwise_conv2d"
    )
    y = np.zeros((batch, *window.out, channels * multiplier), x.dtype)
    for oy, ox, i, j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                for m in range(multiplier):
                    y[n, oy, ox, c * multiplier + m] += x[n, iy, ix, c] * w[i, j, c, m]
    return y if b is None else y + b


def depthwise_conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
) -> tuple[Array, Array, Array]:
    """`(dx, dw, db)`, by the same rule as `conv2d_backward`."""
    batch, height, width, channels = x.shape
    rows, columns, _, multiplier = w.shape
    window = shapes.window(
        (height, width), (rows, columns), strides, padding, dilation_rate, "depthwise_conv2d"
    )
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for oy, ox, i, j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                for m in range(multiplier):
                    received = dy[n, oy, ox, c * multiplier + m]
                    dx[n, iy, ix, c] += received * w[i, j, c, m]
                    dw[i, j, c, m] += received * x[n, iy, ix, c]
    db = np.zeros(channels * multiplier, w.dtype)
    for position in np.ndindex(dy.shape[:3]):
        db += dy[position]
    return dx, dw, db


def max_pool2d(
    x: Array, pool_size: Pair = (2, 2), strides: Pair | None = None, padding: str = "valid"
) -> Array:
    """y = the largest pixel under the window; padding counts as minus infinity and never wins."""
    batch, height, width, channels = x.shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "max_pool2d"
    )
    y = np.full((batch, *window.out, channels), -np.inf, x.dtype)
    for oy, ox, _i, _j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                pixel = x[n, iy, ix, c]
                if pixel > y[n, oy, ox, c] or np.isnan(pixel):
                    y[n, oy, ox, c] = pixel
    return y


def conv2d_max_pool2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    pool_size: Pair = (2, 2),
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array]:
    """`(y, winners)`: the largest of each block of `conv2d`, and which one that is."""
    z = conv2d(x, w, b, strides, padding, dilation_rate, groups)
    return largest_of_blocks(z, pool_size)


def conv2d_max_pool2d_backward(
    dy: Array,
    winners: Array,
    x: Array,
    w: Array,
    pool_size: Pair = (2, 2),
    strides: Pair = (1, 1),
    padding: str = "valid",
    dilation_rate: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Array, Array]:
    """`(dx, dw, db)`: of each block the convolution's winner takes all of dy."""
    kernel = w.shape[0], w.shape[1]
    size = x.shape[1], x.shape[2]
    window = shapes.window(size, kernel, strides, padding, dilation_rate, "conv2d_max_pool2d")
    dz = unpool(dy, winners, pool_size, window.out)
    return conv2d_backward(dz, x, w, strides, padding, dilation_rate, groups)


def largest_of_blocks(
    x: Array, pool_size: Pair, limits: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[Array, Array]:
    """`(y, winners)`: `max_pool2d` of blocks side by side, and the winner's number in its block.

    255 where y is at a finite limit: there an activation lets no gradient through.
    """
    rows, columns = pool_size
    y = max_pool2d(x, pool_size, pool_size)
    winners = np.full(y.shape, 255, np.uint8)
    for n, oy, ox, c in np.ndindex(y.shape):
        most = y[n, oy, ox, c]
        low, high = (limit if np.isfinite(limit) else np.nan for limit in limits)
        if most <= low or most >= high:
            continue
        for number in reversed(range(rows * columns)):  # so that the first one stays
            v = x[n, oy * rows + number // columns, ox * columns + number % columns, c]
            if v == most or (np.isnan(v) and np.isnan(most)):
                winners[n, oy, ox, c] = number
    return y, winners


def unpool(dy: Array, winners: Array, pool_size: Pair, size: Pair) -> Array:
    """dx of `largest_of_blocks`, (batch, *size, channels): each winner takes its block's dy."""
    rows, columns = pool_size
    dx = np.zeros((len(dy), *size, dy.shape[3]), dy.dtype)
    for n, oy, ox, c in np.ndindex(dy.shape):
        number = int(winners[n, oy, ox, c])
        if number < rows * columns:
            dx[n, oy * rows + number // columns, ox * columns + number % columns, c] = dy[
                n, oy, ox, c
            ]
    return dx


def max_pool2d_backward(
    dy: Array,
    x: Array,
    pool_size: Pair = (2, 2),
    strides: Pair | None = None,
    padding: str = "valid",
) -> Array:
    """dx: the winner of each window takes all of its dy; among equals the first one wins.

    NaN wins over every number, and the first NaN over later ones.
    """
    batch, height, width, channels = x.shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "max_pool2d"
    )
    best: dict[tuple[int, ...], tuple[float, int, int]] = {}
    for oy, ox, _i, _j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                key, pixel = (n, oy, ox, c), x[n, iy, ix, c]
                if key not in best or not (pixel <= best[key][0] or np.isnan(best[key][0])):
                    best[key] = (pixel, iy, ix)
    dx = np.zeros_like(x)
    for (n, oy, ox, c), (_, iy, ix) in best.items():
        dx[n, iy, ix, c] += dy[n, oy, ox, c]
    return dx


def _pixels_in_window(window: shapes.Window, size: Pair) -> Array:
    """How many real pixels, not padding, lie under each window: (out_height, out_width)."""
    count = np.zeros(window.out, int)
    for oy, ox, _i, _j, _iy, _ix in _taps(window, size):
        count[oy, ox] += 1
    return count


def average_pool2d(
    x: Array, pool_size: Pair = (2, 2), strides: Pair | None = None, padding: str = "valid"
) -> Array:
    """y = the mean of the real pixels under the window: padding is neither added nor counted."""
    batch, height, width, channels = x.shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "average_pool2d"
    )
    y = np.zeros((batch, *window.out, channels), x.dtype)
    for oy, ox, _i, _j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                y[n, oy, ox, c] += x[n, iy, ix, c]
    return y / _pixels_in_window(window, (height, width))[None, :, :, None].astype(x.dtype)


def average_pool2d_backward(
    dy: Array,
    x_shape: Sequence[int],
    pool_size: Pair = (2, 2),
    strides: Pair | None = None,
    padding: str = "valid",
) -> Array:
    """dx: each pixel under a window of k real pixels gets dy / k."""
    batch, height, width, channels = x_shape
    window = shapes.window(
        (height, width), pool_size, strides or pool_size, padding, (1, 1), "average_pool2d"
    )
    count = _pixels_in_window(window, (height, width))
    dx = np.zeros(tuple(x_shape), dy.dtype)
    for oy, ox, _i, _j, iy, ix in _taps(window, (height, width)):
        for n in range(batch):
            for c in range(channels):
                dx[n, iy, ix, c] += dy[n, oy, ox, c] / count[oy, ox]
    return dx


def global_average_pool2d(x: Array) -> Array:
    """y[n, c] = mean of x[n, :, :, c]."""
    batch, height, width, channels = x.shape
    y = np.zeros((batch, channels), x.dtype)
    for n, i, j in np.ndindex(batch, height, width):
        y[n] += x[n, i, j]
    return y / np.asarray(height * width, x.dtype)


def global_average_pool2d_backward(dy: Array, x_shape: Sequence[int]) -> Array:
    """dx[n, i, j, c] = dy[n, c] / (height * width)."""
    dx = np.zeros(tuple(x_shape), dy.dtype)
    for n, i, j in np.ndindex(*x_shape[:3]):
        dx[n, i, j] = dy[n] / (x_shape[1] * x_shape[2])
    return dx


def global_max_pool2d(x: Array) -> Array:
    """y[n, c] = the largest pixel of x[n, :, :, c]."""
    return max_pool2d(x, (x.shape[1], x.shape[2]))[:, 0, 0, :]


def global_max_pool2d_backward(dy: Array, x: Array) -> Array:
    """dx: equal maxima share dy evenly, as in Keras, where this is a reduction and no window."""
    dx = np.zeros_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[3]):
            largest = x[n, :, :, c].max()
            winners = [p for p in np.ndindex(x.shape[1:3]) if x[n, p[0], p[1], c] == largest]
            for i, j in winners:
                dx[n, i, j, c] = dy[n, c] / len(winners)
    return dx


def zero_padding2d(x: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1))) -> Array:
    """Zeros around the picture: `((top, bottom), (left, right))`."""
    (top, bottom), (left, right) = padding
    batch, height, width, channels = x.shape
    y = np.zeros((batch, top + height + bottom, left + width + right, channels), x.dtype)
    for n, i, j, c in np.ndindex(*x.shape):
        y[n, top + i, left + j, c] = x[n, i, j, c]
    return y


def zero_padding2d_backward(dy: Array, padding: tuple[Pair, Pair] = ((1, 1), (1, 1))) -> Array:
    """dx: the gradient of the real pixels; the padding's is dropped."""
    (top, bottom), (left, right) = padding
    batch, height, width, channels = dy.shape
    dx = np.zeros((batch, height - top - bottom, width - left - right, channels), dy.dtype)
    for n, i, j, c in np.ndindex(*dx.shape):
        dx[n, i, j, c] = dy[n, top + i, left + j, c]
    return dx


# ---------------------------------------------------------------------------------------------
# Dense and element by element
# ---------------------------------------------------------------------------------------------


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    """y[..., u] = b[u] + sum over k of x[..., k] * w[k, u]."""
    y = np.zeros((*x.shape[:-1], w.shape[1]), x.dtype)
    for position in np.ndindex(x.shape[:-1]):
        for u in range(w.shape[1]):
            for k in range(w.shape[0]):
                y[(*position, u)] += x[(*position, k)] * w[k, u]
    return y if b is None else y + b


def dense_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """`(dx, dw, db)`."""
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(w.shape[1], w.dtype)
    for position in np.ndindex(x.shape[:-1]):
        for u in range(w.shape[1]):
            received = dy[(*position, u)]
            db[u] += received
            for k in range(w.shape[0]):
                dx[(*position, k)] += received * w[k, u]
                dw[k, u] += received * x[(*position, k)]
    return dx, dw, db


def relu(
    x: Array, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
) -> Array:
    """y = x above the threshold, `negative_slope * (x - threshold)` below, at most `max_value`."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        if x[p] <= threshold:
            y[p] = negative_slope * (x[p] - threshold) if negative_slope else 0.0
        else:  # also NaN, which is neither above nor below
            y[p] = max_value if max_value is not None and x[p] > max_value else x[p]
    return y


def relu_backward(
    dy: Array,
    x: Array,
    max_value: float | None = None,
    negative_slope: float = 0.0,
    threshold: float = 0.0,
) -> Array:
    """dx = dy where y follows x, `negative_slope * dy` below, 0 where y is capped.

    At the threshold itself the slope below counts, so relu's gradient at 0 is 0.
    """
    dx = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        if x[p] <= threshold:
            dx[p] = negative_slope * dy[p] if negative_slope else 0.0
        else:
            dx[p] = 0.0 if max_value is not None and x[p] >= max_value else dy[p]
    return dx


def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + exp(-x)); for negative x as exp(x) / (1 + exp(x)), so that nothing overflows."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        e = math.exp(-abs(x[p]))
        y[p] = 1 / (1 + e) if x[p] >= 0 else e / (1 + e)
    return y


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dx = dy * y * (1 - y), from the output y."""
    dx = np.zeros_like(y)
    for p in np.ndindex(y.shape):
        dx[p] = dy[p] * y[p] * (1 - y[p])
    return dx


def tanh(x: Array) -> Array:
    """y = tanh(x)."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = math.tanh(x[p])
    return y


def tanh_backward(dy: Array, y: Array) -> Array:
    """dx = dy * (1 - y**2), from the output y."""
    dx = np.zeros_like(y)
    for p in np.ndindex(y.shape):
        dx[p] = dy[p] * (1 - y[p] ** 2)
    return dx


def softmax(x: Array) -> Array:
    """y[..., k] = exp(x[..., k] - m) / sum over j of exp(x[..., j] - m), m the largest x.

    Subtracting m changes nothing (it cancels) and keeps exp from overflowing.
    """
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape[:-1]):
        m = max(x[p])
        total = sum(math.exp(v - m) for v in x[p])
        for k in range(x.shape[-1]):
            y[(*p, k)] = math.exp(x[(*p, k)] - m) / total
    return y


def softmax_backward(dy: Array, y: Array) -> Array:
    """dx[k] = y[k] * (dy[k] - sum over j of dy[j] * y[j]), from the output y."""
    dx = np.zeros_like(y)
    for p in np.ndindex(y.shape[:-1]):
        mean = sum(dy[p] * y[p])
        for k in range(y.shape[-1]):
            dx[(*p, k)] = y[(*p, k)] * (dy[(*p, k)] - mean)
    return dx


def dropout(x: Array, mask: Array, rate: float) -> Array:
    """y = x / (1 - rate) where the mask is True, else 0: the expected value stays x."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        y[p] = x[p] / (1 - rate) if mask[p] else 0.0
    return y


def dropout_backward(dy: Array, mask: Array, rate: float) -> Array:
    """dx = dy / (1 - rate) where the mask is True, else 0."""
    return dropout(dy, mask, rate)


def add(xs: Sequence[Array]) -> Array:
    """y = x0 + x1 + …, element by element; every x receives dy unchanged."""
    y = np.zeros_like(xs[0])
    for x in xs:
        for p in np.ndindex(y.shape):
            y[p] += x[p]
    return y


def concatenate(xs: Sequence[Array]) -> Array:
    """The channels of x0, then those of x1, …"""
    y = np.zeros((*xs[0].shape[:-1], sum(x.shape[-1] for x in xs)), xs[0].dtype)
    first = 0
    for x in xs:
        for p in np.ndindex(x.shape):
            y[(*p[:-1], first + p[-1])] = x[p]
        first += x.shape[-1]
    return y


def concatenate_backward(dy: Array, channels: Sequence[int]) -> list[Array]:
    """Each input's own slice of dy."""
    parts, first = [], 0
    for count in channels:
        part = np.zeros((*dy.shape[:-1], count), dy.dtype)
        for p in np.ndindex(part.shape):
            part[p] = dy[(*p[:-1], first + p[-1])]
        parts.append(part)
        first += count
    return parts


# ---------------------------------------------------------------------------------------------
# Batch normalization
# ---------------------------------------------------------------------------------------------


def batch_moments(x: Array) -> tuple[Array, Array]:
    """Per channel: mean, and variance = mean of (x - mean)**2, over all positions of the batch."""
    rows = x.reshape(-1, x.shape[-1])
    mean, variance = np.zeros(x.shape[-1], x.dtype), np.zeros(x.shape[-1], x.dtype)
    for c in range(x.shape[-1]):
        mean[c] = sum(float(v) for v in rows[:, c]) / len(rows)
        variance[c] = sum((float(v) - float(mean[c])) ** 2 for v in rows[:, c]) / len(rows)
    return mean, variance


def batch_normalization(
    x: Array, mean: Array, variance: Array, gamma: Array, beta: Array, epsilon: float = 1e-3
) -> Array:
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel."""
    y = np.zeros_like(x)
    for p in np.ndindex(x.shape):
        c = p[-1]
        normalized = (x[p] - mean[c]) / math.sqrt(variance[c] + epsilon)
        y[p] = gamma[c] * normalized + beta[c]
    return y


def batch_normalization_backward(
    dy: Array,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array,
    epsilon: float = 1e-3,
    training: bool = False,
) -> tuple[Array, Array, Array]:
    """`(dx, dgamma, dbeta)`, with z = (x - mean) / sqrt(variance + epsilon):

    dbeta = sum of dy,   dgamma = sum of dy * z
    inference:  dx = gamma / sqrt(variance + epsilon) * dy
    training:   dx = gamma / sqrt(variance + epsilon) * (dy - mean(dy) - z * mean(dy * z)),
    since there each x also moved the mean and the variance (Ioffe and Szegedy 2015, section 3).
    """
    count = x.size // x.shape[-1]
    dx, dgamma, dbeta = np.zeros_like(x), np.zeros_like(gamma), np.zeros_like(gamma)
    z = batch_normalization(x, mean, variance, np.ones_like(gamma), np.zeros_like(gamma), epsilon)
    for p in np.ndindex(x.shape):
        dgamma[p[-1]] += dy[p] * z[p]
        dbeta[p[-1]] += dy[p]
    for p in np.ndindex(x.shape):
        c = p[-1]
        received = dy[p]
        if training:
            received = received - dbeta[c] / count - z[p] * dgamma[c] / count
        dx[p] = gamma[c] / math.sqrt(variance[c] + epsilon) * received
    return dx, dgamma, dbeta


# ---------------------------------------------------------------------------------------------
# Losses, one number per example (all axes but the last are examples)
# ---------------------------------------------------------------------------------------------


def categorical_crossentropy(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """loss = - sum over k of t[k] * log p[k], with t smoothed: t (1 - s) + s / classes.

    From logits z:  log p[k] = z[k] - m - log(sum over j of exp(z[j] - m)), m the largest z.
    From probabilities: p is first divided by its sum and kept within [1e-7, 1 - 1e-7] (Keras).
    """
    classes = y_true.shape[-1]
    loss = np.zeros(y_true.shape[:-1], y_pred.dtype)
    for p in np.ndindex(loss.shape):
        if from_logits:
            m = float(max(y_pred[p]))
            log_sum = m + math.log(sum(math.exp(z - m) for z in y_pred[p]))
            logs = [z - log_sum for z in y_pred[p]]
        else:
            total = float(sum(y_pred[p]))
            logs = [math.log(min(max(float(v) / total, 1e-7), 1 - 1e-7)) for v in y_pred[p]]
        for k in range(classes):
            t = y_true[(*p, k)] * (1 - label_smoothing) + label_smoothing / classes
            loss[p] -= t * logs[k]
    return loss


def categorical_crossentropy_backward(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """d loss / d y_pred of each example.

    From logits:  softmax(z)[k] * sum(t) - t[k], which is p - t where t sums to 1.
    From probabilities, q = p / sum(p):  dq[k] = -t[k] / q[k] where q was not cut off, else 0;
    dp[k] = (dq[k] - sum over j of dq[j] * q[j]) / sum(p).
    """
    classes = y_true.shape[-1]
    dy = np.zeros_like(y_pred)
    for p in np.ndindex(y_true.shape[:-1]):
        t = y_true[p] * (1 - label_smoothing) + label_smoothing / classes
        if from_logits:
            dy[p] = softmax(y_pred[p][None])[0] * sum(t) - t
        else:
            total = sum(y_pred[p])
            q = y_pred[p] / total
            dq = [-t[k] / q[k] if 1e-7 <= q[k] <= 1 - 1e-7 else 0.0 for k in range(classes)]
            shared = sum(dq[k] * q[k] for k in range(classes))
            for k in range(classes):
                dy[(*p, k)] = (dq[k] - shared) / total
    return dy


def binary_crossentropy(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """loss = mean over the last axis of - t log p - (1 - t) log(1 - p); t = y_true (1 - s) + s/2.

    From logits z:  max(z, 0) - z t + log(1 + exp(-|z|)), which cannot overflow.
    From probabilities: p is first kept within [1e-7, 1 - 1e-7] (Keras).
    """
    loss = np.zeros(y_true.shape[:-1], y_pred.dtype)
    for p in np.ndindex(y_true.shape):
        t = y_true[p] * (1 - label_smoothing) + label_smoothing / 2
        v = float(y_pred[p])
        if from_logits:
            term = max(v, 0) - v * t + math.log1p(math.exp(-abs(v)))
        else:
            v = min(max(v, 1e-7), 1 - 1e-7)
            term = -t * math.log(v) - (1 - t) * math.log(1 - v)
        loss[p[:-1]] += term / y_true.shape[-1]
    return loss


def binary_crossentropy_backward(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """d loss / d y_pred: (sigmoid(z) - t) / n from logits, (p - t) / (p (1 - p)) / n from p."""
    dy = np.zeros_like(y_pred)
    units = y_true.shape[-1]
    for p in np.ndindex(y_true.shape):
        t = y_true[p] * (1 - label_smoothing) + label_smoothing / 2
        v = y_pred[p]
        if from_logits:
            dy[p] = (sigmoid(np.array([v]))[0] - t) / units
        elif 1e-7 <= v <= 1 - 1e-7:
            dy[p] = (v - t) / (v * (1 - v)) / units
    return dy


# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------


def affine_transform(
    x: Array,
    matrix: Array,
    offset: Sequence[float],
    order: int = 1,
    mode: str = "nearest",
    cval: float = 0.0,
) -> Array:
    """y[i, j] = x at the position matrix · (i, j) + offset: one picture rotated, shifted, zoomed.

    `x` is (height, width, channels). Order 0 takes the nearest pixel, order 1 weighs the four
    around the position by how near they are (bilinear). `mode` says what lies outside the picture.
    """
    height, width, channels = x.shape
    y = np.zeros_like(x)
    for i in range(height):
        for j in range(width):
            row = _fold(matrix[0][0] * i + matrix[0][1] * j + offset[0], height, mode)
            column = _fold(matrix[1][0] * i + matrix[1][1] * j + offset[1], width, mode)
            for c in range(channels):
                if math.isnan(row) or math.isnan(column):
                    y[i, j, c] = cval
                elif order == 0:
                    y[i, j, c] = _pixel(x, math.floor(row + 0.5), math.floor(column + 0.5), c)
                else:
                    top, left = math.floor(row), math.floor(column)
                    total = 0.0
                    for r in (top, top + 1):
                        for s in (left, left + 1):
                            weight = (1 - abs(row - r)) * (1 - abs(column - s))
                            total += weight * _pixel(x, r, s, c)
                    y[i, j, c] = total
    return y


def _fold(position: float, size: int, mode: str) -> float:
    """The position along an axis of `size` pixels that is read; NaN: none, the constant is."""
    last = size - 1
    while not 0 <= position <= last:
        if mode == "constant":
            return math.nan
        if mode == "nearest":
            position = min(max(position, 0), last)
        elif mode == "wrap":  # a b c d | b c d: the first pixel lies on the last, as in scipy
            if last == 0:
                return 0
            return last - -position % last if position < 0 else position % last
        elif -0.5 <= position <= size - 0.5:  # "reflect", between an edge and its mirror image
            return position
        else:  # "reflect", d c b a | a b c d | d c b a
            position = -1 - position if position < 0 else 2 * size - 1 - position
    return position


def _pixel(x: Array, row: int, column: int, channel: int) -> float:
    """One value; a neighbour just outside the picture counts as the pixel on its edge."""
    row, column = min(max(row, 0), x.shape[0] - 1), min(max(column, 0), x.shape[1] - 1)
    return float(x[row, column, channel])
