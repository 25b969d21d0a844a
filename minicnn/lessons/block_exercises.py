"""The exercises of lessons 14 to 17, on the building blocks: checks, hints and solutions.

`checking` says what a check is and how it gets an answer.
"""

from typing import Any

import numpy as np

from minicnn.layers import Input, KerasTensor
from minicnn.lessons.checking import (
    KindError,
    array_of,
    called,
    exercise,
    first_of,
    number_of,
    same,
    shown,
)
from minicnn.models import Model

# -- 14: batch normalization ---------------------------------------------------------------------


@exercise(
    14,
    1,
    """
def normalize(x, gamma, beta, epsilon):
    z = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + epsilon)
    return gamma * z + beta
""",
)
def _normalize(answer: Any) -> str:
    x = np.array([[1.0, 4.0], [2.0, -4.0], [6.0, 0.0]])
    gamma, beta, epsilon = np.array([2.0, 0.5]), np.array([1.0, -3.0]), 0.5
    found = array_of(answer, x, gamma, beta, epsilon, like=x)
    mean, variance = x.mean(axis=0), x.var(axis=0)

    def scaled(centered: Any, deviation: Any) -> Any:
        return gamma * centered / deviation + beta

    deviation = np.sqrt(variance + epsilon)
    z = (x - mean) / deviation
    across = x - x.mean(axis=1, keepdims=True)
    return first_of(
        (same(found, gamma * z + beta), ""),
        (same(found, z), "that is z: multiply it by gamma and add beta."),
        (same(found, gamma * (z + beta)), "beta comes after gamma, and is not scaled."),
        (same(found, beta * z + gamma), "gamma scales and beta shifts: you have swapped them."),
        (
            same(found, scaled(x - mean, np.sqrt(variance))),
            "nearly: add epsilon to the variance.",
        ),
        (
            same(found, scaled(x - mean, np.sqrt(variance) + epsilon)),
            "nearly: epsilon is added to the variance, before the root is taken.",
        ),
        (
            same(found, scaled(x - mean, variance + epsilon)),
            "take the root: divide by the standard deviation, not by the variance.",
        ),
        (
            same(found, scaled(x - mean, np.sqrt(x.var(axis=0, ddof=1) + epsilon))),
            "nearly: this variance is divided by n, not by n − 1.",
        ),
        (
            same(found, scaled(across, np.sqrt(x.var(axis=1, keepdims=True) + epsilon))),
            "that normalizes each example by itself: take the mean over the batch, axis 0.",
        ),
        (
            same(found, scaled(x - x.mean(), np.sqrt(x.var() + epsilon))),
            "that is one mean for all: each channel has its own.",
        ),
        (same(found, scaled(x, deviation)), "the mean got lost: subtract it first."),
        otherwise="not yet: gamma · (x − mean) / √(variance + epsilon) + beta, in each channel.",
    )


@exercise(14, 2, "moving_mean = 10 * (1 - 0.9**3)  # 1.0, then 1.9, then 2.71")
def _moving_mean(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (same(found, 2.71), ""),
        (same(found, 10), "that is the mean of the batches. The moving mean is still on its way."),
        (same(found, 1), "right for the first batch: there are two more."),
        (same(found, 2.7), "close, but rounded: it is a little more."),
        (same(found, 3), "each batch adds a tenth of what is *missing*, not a tenth of the mean."),
        (same(found, 7.29), "that is what is still missing after three batches."),
        (
            same(found, 9.99),
            "momentum is the share of the *old* value here. (In PyTorch it is the share of the new "
            "one.)",
        ),
        otherwise="not yet: new = old · 0.9 + 10 · 0.1, three times, beginning at 0.",
    )


@exercise(
    14,
    3,
    """
def backward(dy, z, scale):
    return scale * (dy - dy.mean(axis=0) - z * (dy * z).mean(axis=0))
""",
)
def _backward(answer: Any) -> str:
    rng = np.random.default_rng(0)
    z, dy = rng.normal(size=(2, 6, 3))
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    scale = np.array([0.5, 2.0, -1.0])
    found = array_of(answer, dy, z, scale, like=z)
    mean, along = dy.mean(axis=0), (dy * z).mean(axis=0)
    return first_of(
        (same(found, scale * (dy - mean - z * along)), ""),
        (
            same(found, scale * dy),
            "that is the gradient in prediction. In training x also moves the mean and the "
            "variance.",
        ),
        (same(found, scale * (dy - mean)), "right for the mean. x moves the variance, too."),
        (same(found, scale * (dy - z * along)), "right for the variance. x moves the mean, too."),
        (same(found, scale * (dy - mean - along)), "nearly: the last term is multiplied by z."),
        (same(found, dy - mean - z * along), "nearly: all of it is multiplied by scale."),
        (
            same(found, scale * (dy + mean + z * along)),
            "the signs: what all examples share is subtracted.",
        ),
        (
            same(found, scale * (dy - dy.sum(axis=0) - z * (dy * z).sum(axis=0))),
            "take the means over the batch, not the sums.",
        ),
        (
            same(found, scale * (dy - dy.mean() - z * (dy * z).mean())),
            "each channel has its own means: over axis 0 alone.",
        ),
        otherwise="not yet: scale · (dy − mean of dy − z · mean of dy · z), each mean over axis 0.",
    )


# -- 15: residual connections --------------------------------------------------------------------


@exercise(
    15,
    1,
    """
def residual_backward(dy, x, w):
    through = dy * (x @ w > 0)
    return dy + through @ w.T
""",
)
def _residual_backward(answer: Any) -> str:
    x = np.array([[1.0, -2.0], [-3.0, 1.0]])
    w = np.array([[1.0, 2.0], [3.5, -2.0]])  # x @ w has other signs than x
    dy = np.array([[1.0, -1.0], [2.0, 4.0]])
    found = array_of(answer, dy, x, w, like=x)
    gate = x @ w > 0
    through = (dy * gate) @ w.T
    return first_of(
        (same(found, dy + through), ""),
        (same(found, through), "that is what comes back through f. The shortcut brings dy."),
        (same(found, dy), "that is what the shortcut brings. Add what comes back through f."),
        (
            same(found, dy + dy @ w.T),
            "the ReLU is a gate: nothing passes where x @ w was negative.",
        ),
        (same(found, dy + (dy * gate) @ w), "nearly: on the way back, multiply by w.T."),
        (
            same(found, dy * (x + np.maximum(x @ w, 0) > 0) + through)
            or same(found, dy + (dy * (x > 0)) @ w.T),
            "the gate belongs to x @ w, the number that went into the ReLU, and to f alone.",
        ),
        (same(found, dy * through), "the two ways are added, not multiplied."),
        otherwise="not yet: dy + (dy · (x @ w > 0)) @ w.T.",
    )


@exercise(15, 2, "weights = 64 * 128")
def _projection(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (found == 64 * 128, ""),
        (found == 9 * 64 * 128, "the window is 1×1, not 3×3: the shortcut need not look around."),
        (found == 64 * 128 + 128, "nearly: it has no bias."),
        (found == 64 * 128 / 4, "the strides leave out places, not weights."),
        (found in (64, 128), "each of the 128 filters has a weight for each of the 64 channels."),
        (
            found == 64 * 128 * 16 * 16,
            "those are the multiplications: the same weights serve all places.",
        ),
        otherwise="not yet: window · channels in · filters, with a window of 1×1.",
    )


@exercise(
    15,
    3,
    """
def residual_block(x, filters, strides):
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", activation="relu")(x)
    y = layers.Conv2D(filters, 3, padding="same")(y)
    if strides > 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, strides=strides, padding="same")(x)
    return layers.ReLU()(layers.Add()([x, y]))
""",
)
def _block(answer: Any) -> str:
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1, (1, 8, 8, 4)).astype(np.float32)

    def built(filters: int, strides: int) -> Model:
        symbol = Input((8, 8, 4))
        result = called(answer, symbol, filters, strides)
        if not isinstance(result, KerasTensor):
            raise KindError(f"the function should return a symbol, not {shown(result)}")
        return Model(symbol, result)

    def outputs(model: Model, kernels: float, others: float) -> np.ndarray:
        model.set_weights(
            [np.full_like(w, kernels if w.ndim > 1 else others) for w in model.get_weights()]
        )
        return np.asarray(model(x))

    plain = built(4, 1)
    if plain.output_shape != (None, 8, 8, 4):
        return f"with 4 filters the shape should stay (8, 8, 4). It is {plain.output_shape[1:]}."
    windows = [w.shape[0] for w in plain.get_weights() if w.ndim == 4]
    if windows.count(3) != 2:
        return f"a block has two convolutions of 3×3. Yours has {windows.count(3)}."
    if not same(outputs(plain, 0.0, 0.0), x):
        return first_of(
            (1 in windows, "x has the right shape already: add it as it is, without a projection."),
            otherwise="with all weights 0, f is 0, and x should come through: add it at the end.",
        )
    if len(plain.get_weights()) == 4 and same(outputs(plain, 0.0, -0.25), x):
        return "with a ReLU at its end f can only add. Put that ReLU after the Add."
    if not same(outputs(plain, -0.1, 0.0), x):  # the first convolution gives negative numbers
        return "a ReLU is missing between the two convolutions."
    if not same(plain(-x), 0 * x):
        return "a ReLU is missing at the end: after the Add."
    try:
        smaller = built(8, 2)
    except ValueError as error:
        return (
            "right with 4 filters and strides=1. With 8 and 2 the shapes differ, and the shortcut "
            f"needs a 1×1 convolution: {' '.join(str(error).split())}"
        )
    return first_of(
        (smaller.output_shape == (None, 4, 4, 8), ""),
        otherwise="with 8 filters and strides=2 the shape should be (4, 4, 8). It is "
        f"{smaller.output_shape[1:]}.",
    )


# -- 16: separable convolutions ------------------------------------------------------------------


@exercise(16, 1, "weights = 3 * 3 * 128 + 128 * 256")
def _separable_weights(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (found == 33920, ""),
        (
            found == 9 * 128 * 256,
            "that is the full convolution. Add, don't multiply.",
        ),
        (found == 128 * 256, "that is the pointwise step alone."),
        (found == 9 * 128, "that is the depthwise step alone."),
        (found == 9 * 256 + 128 * 256, "the depthwise step comes first: it has 128 channels."),
        (found == 33920 + 256, "nearly: use_bias=False."),
        (found == 128 + 128 * 256, "the depthwise step has 3·3 weights for each channel."),
        otherwise="not yet: 3·3·channels for the first step, channels·filters for the second.",
    )


@exercise(
    16,
    2,
    """
def pointwise(x, w):
    return x @ w
""",
)
def _pointwise(answer: Any) -> str:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 5, 3)), rng.normal(size=(3, 3))
    found = array_of(answer, x, w, like=x)
    if not same(found, x @ w):
        return first_of(
            (same(found, x @ w.T), "transposed: w[c, o] is the weight from channel c to filter o."),
            (
                same(found, np.maximum(x @ w, 0)),
                "nearly: there is no ReLU here.",
            ),
            (
                same(found, x * np.diag(w)) or same(found, x * w.sum(axis=1)),
                "each filter needs all channels of the pixel: a sum of products.",
            ),
            otherwise="not yet: at each pixel, result[o] = Σ over c of x[c] · w[c, o].",
        )
    wide = rng.normal(size=(3, 7))
    wider = np.asarray(called(answer, x, wide))
    return first_of(
        (same(wider, x @ wide), ""),
        otherwise=f"right for 3 filters; with 7 the shape should be (4, 5, 7), not {wider.shape}.",
    )


@exercise(
    16,
    3,
    """
def join(depthwise, pointwise):
    return depthwise[:, :, :, None] * pointwise
""",
)
def _join(answer: Any) -> str:
    rng = np.random.default_rng(0)
    depthwise, pointwise = rng.normal(size=(3, 3, 4)), rng.normal(size=(4, 5))
    right = depthwise[..., None] * pointwise
    found = np.asarray(called(answer, depthwise, pointwise), dtype=float)
    return first_of(
        (same(found, right), ""),
        (
            same(found, depthwise @ pointwise),
            "that adds up the channels. The kernel keeps them apart: (3, 3, 4, 5).",
        ),
        (
            same(found, right.transpose(0, 1, 3, 2)),
            "the order is (rows, columns, channels in, filters).",
        ),
        (
            found.shape != right.shape,
            f"the kernel should have shape (3, 3, 4, 5), but it has {found.shape}.",
        ),
        (same(found, depthwise[..., None] + pointwise), "multiply the two, do not add them."),
        otherwise="not yet: kernel[i, j, c, o] = depthwise[i, j, c] · pointwise[c, o].",
    )


# -- 17: how Adam moves a weight -----------------------------------------------------------------


@exercise(
    17,
    1,
    """
def adam_step(w, g, m, v, t, rate):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    step = rate * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
    return w - step, m, v
""",
)
def _adam_step(answer: Any) -> str:
    w, g = np.array([1.0, -2.0]), np.array([3.0, -0.5])
    m, v, t, rate = np.array([0.4, 0.2]), np.array([0.5, 0.02]), 3, 0.1
    found = called(answer, w, g, m, v, t, rate)
    if not isinstance(found, (tuple, list)) or len(found) != 3:
        return "not yet: return three things, the new w, m and v."
    new_w, new_m, new_v = (np.asarray(part, dtype=float) for part in found)
    next_m, next_v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    if not same(new_m, next_m):
        return first_of(
            (same(new_m, 0.1 * m + 0.9 * g), "m keeps 0.9 of the old value, not 0.1."),
            (same(new_m, 0.9 * m + g), "m is a mean: 0.9 of the old and 0.1 of the gradient."),
            (same(new_m, next_m / (1 - 0.9**t)), "return m itself; only the step is corrected."),
            otherwise="m is not right yet: 0.9 · m + 0.1 · g.",
        )
    if not same(new_v, next_v):
        return first_of(
            (same(new_v, 0.999 * v + 0.001 * g), "v is a mean of squares: square the gradient."),
            (same(new_v, 0.9 * v + 0.1 * g**2), "v is slower: it keeps 0.999 of the old value."),
            (same(new_v, next_v / (1 - 0.999**t)), "return v itself; only the step is corrected."),
            otherwise="v is not right yet: 0.999 · v + 0.001 · g².",
        )
    corrected_m, corrected_v = next_m / (1 - 0.9**t), next_v / (1 - 0.999**t)
    return first_of(
        (same(new_w, w - rate * corrected_m / np.sqrt(corrected_v)), ""),
        (
            same(new_w, w - rate * next_m / np.sqrt(next_v)),
            "m and v are right. Correct both, for having begun at 0, before you divide.",
        ),
        (same(new_w, w + rate * corrected_m / np.sqrt(corrected_v)), "uphill! Subtract the step."),
        (same(new_w, w - rate * corrected_m / corrected_v), "take the root of v."),
        (
            same(new_w, w - rate * m / (1 - 0.9**t) / np.sqrt(v / (1 - 0.999**t))),
            "the step uses the new m and v, not the old ones.",
        ),
        (
            same(new_w, w - rate * g / np.sqrt(corrected_v)),
            "the mean of the gradients, m, takes the place of the gradient.",
        ),
        (same(new_w, rate * corrected_m / np.sqrt(corrected_v)), "that is the step. Where is w?"),
        otherwise="m and v are right; w − rate · m / (1 − 0.9ᵗ) / √(v / (1 − 0.999ᵗ)).",
    )


@exercise(17, 2, "length = 0.01 * 2 / (1 - 0.95)")
def _length(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (same(found, 0.4), ""),
        (same(found, 0.02), "that is the first step. Then the velocity adds up."),
        (
            same(found, 0.2),
            "a momentum of 0.9 makes steps 10 times as long. Here it is 1 / (1 − 0.95).",
        ),
        (same(found, 0.019), "that is what is left of the first step in the second one."),
        (same(found, 0.039), "that is the second step: the velocity goes on growing."),
        (same(found, -0.4), "that is the velocity; its length has no sign."),
        otherwise="not yet: 0.01 · 2 · (1 + 0.95 + 0.95² + …).",
    )


@exercise(17, 3, "count = 0.2 / 0.001  # each step is as long as the rate")
def _count(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (same(found, 200), ""),
        (found in (1, 0.2, 0.0002), "that would be SGD. Adam divides by the gradient's size."),
        (same(found, 20), "Adam's default rate is 0.001, not 0.01."),
        (same(found, 2000), "Adam's default rate is 0.001, not 0.0001."),
        otherwise="not yet: each step is as long as the rate, 0.001.",
    )
