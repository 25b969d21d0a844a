"""The exercises of lessons 9 to 11, which look inside the engine: checks, hints and solutions.

`checking` says what a check is and how it gets an answer.
"""

import math
from typing import Any

import numpy as np

from minicnn.lessons.checking import array_of, called, exercise, first_of, number_of, same

# -- 9: backpropagation --------------------------------------------------------------------------


@exercise(
    9,
    1,
    """
def relu_backward(dy, x):
    return dy * (x > 0)
""",
)
def _relu_backward(answer: Any) -> str:
    x = np.array([-2.0, -1.0, 0.5, 3.0, 0.0])
    dy = np.array([1.0, -2.0, -3.0, 4.0, 5.0])
    found = array_of(answer, dy, x, like=x)
    return first_of(
        (same(found, dy * (x > 0)), ""),
        (
            same(found, np.maximum(dy, 0)),
            "that is the ReLU of dy. The gate was set by x, on the way forward.",
        ),
        (
            same(found, dy * np.maximum(x, 0)),
            "multiply by the slope, which is 1, not by x.",
        ),
        (
            same(found, x > 0),
            "that is the slope alone: multiply it by the gradient that came back, dy.",
        ),
        (same(found, dy), "everything passes; nothing should where x was negative."),
        (
            same(found, dy * (x >= 0)),
            "nearly: at exactly 0 the convention is 0, as in Keras.",
        ),
        otherwise="not yet: the slope is 1 where x > 0, otherwise 0; multiply it by dy.",
    )


@exercise(9, 2, "dz = [0.2, -0.7, 0.5]")
def _softmax_gradient(answer: Any) -> str:
    found = np.asarray(answer, dtype=float).ravel()
    return first_of(
        (same(found, [0.2, -0.7, 0.5]), ""),
        (same(found, [-0.2, 0.7, -0.5]), "the sign is wrong: it is p − y."),
        (same(found, [0.2, 0.3, 0.5]), "that is p: subtract y."),
        otherwise="not yet: p − y, class by class; y is 1 for the hat and otherwise 0.",
    )


@exercise(
    9,
    3,
    """
def slope(f, x):
    h = 1e-5
    return (f(x + h) - f(x - h)) / (2 * h)
""",
)
def _slope(answer: Any) -> str:
    found, right = float(called(answer, math.sin, 1.0)), math.cos(1.0)
    error = abs(found - right)
    return first_of(
        (error < 1e-8, ""),
        (
            same(found, 2 * right, 1e-3),
            "that is twice too much: the distance from x − h to x + h is 2h.",
        ),
        (same(found, right / 2, 1e-3), "that is half of it: the distance from x to x + h is h."),
        (same(found, -right, 1e-3), "the sign is wrong: take f(x − h) from f(x + h)."),
        (
            error < 1e-2,
            f"nearly: the error is {error:.0e}. Nudge to both sides, (f(x + h) − f(x − h)) / 2h, "
            "with h near 1e-5: a smaller h drowns in rounding errors, a larger one is not local.",
        ),
        otherwise=f"not yet: the slope of sin at 1 is {right:.5f}, but yours is {found:.5f}.",
    )


# -- 10: a fast convolution ----------------------------------------------------------------------


@exercise(10, 1, "multiplications = 32 * 32 * 3 * 3 * 16 * 32")
def _multiplications(answer: Any) -> str:
    found = number_of(answer)
    right = 32 * 32 * 9 * 16 * 32
    return first_of(
        (found == right, ""),
        (found == right / 16, "each output adds up over all 16 channels."),
        (found == right / 32, "that is one filter. There are 32."),
        (found == right / 1024, "that is one place of the image. There are 32 · 32."),
        otherwise="not yet: places · window · channels in · filters.",
    )


@exercise(
    10,
    2,
    """
def patches(x):
    height, width = x.shape[0] - 2, x.shape[1] - 2
    rows = [
        x[row : row + 3, column : column + 3].ravel()
        for row in range(height)
        for column in range(width)
    ]
    return np.stack(rows)
""",
)
def _patches(answer: Any) -> str:
    x = np.arange(20.0).reshape(4, 5)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3))
    right = windows.reshape(6, 9)
    found = np.asarray(called(answer, x))
    return first_of(
        (same(found, right), ""),
        (same(found, right.T), "transposed: one row for each place, one column for each weight."),
        (found.shape == (6, 3, 3), "nearly: flatten each window (ravel) to 9 numbers in a row."),
        (same(found, windows.swapaxes(0, 1).reshape(6, 9)), "go through the rows first."),
        (found.shape == (6, 9), "the shape is right; the nine numbers of a window go row by row."),
        otherwise=f"not yet: (4, 5) has 2 · 3 places, so (6, 9). Yours has shape {found.shape}.",
    )


@exercise(
    10,
    3,
    """
def two_outputs(d, g):
    m1 = (d[0] - d[2]) * g[0]
    m2 = (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2
    m3 = (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2
    m4 = (d[1] - d[3]) * g[2]
    return np.array([m1 + m2 + m3, m2 - m3 - m4])
""",
)
def _two_outputs(answer: Any) -> str:
    d, g = np.array([1.0, 2.0, -1.0, 4.0]), np.array([0.5, -1.0, 2.0])
    right = np.array([d[0:3] @ g, d[1:4] @ g])
    found = array_of(answer, d, g, like=right)
    if not same(found, right):
        return first_of(
            (same(found[0], right[0]), "the first is right; the second is m2 − m3 − m4."),
            (same(found[1], right[1]), "the second is right; the first is m1 + m2 + m3."),
            otherwise=f"not yet: for d={d} and g={g} it should be {right}, but it is {found}.",
        )
    counted = _Counting.count(answer)
    if counted > 4:
        return f"right, with {counted} multiplications of data by weights; four are enough."
    return ""


class _Counting:
    """A pixel, a weight or what was computed from them; it counts the products of two of these.

    Products with other numbers do not count: a real kernel halves the weights beforehand.
    """

    multiplications = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __add__(self, other: Any) -> "_Counting":
        if isinstance(other, np.ndarray):
            return NotImplemented  # NumPy adds to each number of the array, and so multiplies
        return _Counting(self.value + getattr(other, "value", other))

    __radd__ = __add__

    def __neg__(self) -> "_Counting":
        return _Counting(-self.value)

    def __sub__(self, other: Any) -> "_Counting":
        return self + -other

    def __rsub__(self, other: Any) -> "_Counting":
        return -self + other

    def __mul__(self, other: Any) -> "_Counting":
        if isinstance(other, np.ndarray):
            return NotImplemented
        _Counting.multiplications += isinstance(other, _Counting)
        return _Counting(self.value * getattr(other, "value", other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "_Counting":
        return self * (1 / other)

    def __float__(self) -> float:
        return self.value

    @classmethod
    def count(cls, function: Any) -> int:
        """How many multiplications of pixels by weights one call does."""
        cls.multiplications = 0
        d, g = [cls(v) for v in (1.0, 2.0, -1.0, 4.0)], [cls(v) for v in (0.5, -1.0, 2.0)]
        function(np.array(d), np.array(g))
        return cls.multiplications


# -- 11: from layers to a program ----------------------------------------------------------------


@exercise(
    11,
    1,
    """
def fold(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)
    return kernel * scale, (bias - mean) * scale + beta
""",
)
def _fold(answer: Any) -> str:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 4, 5))
    bias, gamma, beta, mean = rng.normal(size=(4, 5))
    variance, epsilon = rng.uniform(0.5, 2, 5), 0.25
    found = called(answer, kernel, bias, gamma, beta, mean, variance, epsilon)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        return "not yet: return two arrays, the kernel and the bias."
    w, b = (np.asarray(part, dtype=float) for part in found)
    if w.shape != kernel.shape or b.shape != bias.shape:
        return f"the shapes should stay {kernel.shape} and (5,). Yours are {w.shape} and {b.shape}."
    scale = gamma / np.sqrt(variance + epsilon)
    if not same(w, kernel * scale):
        return first_of(
            (same(w, kernel * gamma / np.sqrt(variance)), "nearly: add epsilon to the variance."),
            (
                same(w, kernel * gamma / (np.sqrt(variance) + epsilon)),
                "nearly: epsilon is added to the variance, before the root is taken.",
            ),
            (
                same(w, kernel * gamma / (variance + epsilon)),
                "take the root: the normalization divides by the standard deviation.",
            ),
            (same(w, kernel * gamma), "the normalization also divides by √(variance + epsilon)."),
            (same(w, kernel / np.sqrt(variance + epsilon)), "gamma got lost."),
            (same(w, kernel), "the kernel is as it was: multiply each filter by its scale."),
            otherwise="the kernel is not right yet: kernel · gamma / √(variance + epsilon).",
        )
    return first_of(
        (same(b, (bias - mean) * scale + beta), ""),
        (same(b, bias - mean * scale + beta), "the scale multiplies the old bias, too."),
        (same(b, beta - mean * scale), "the old bias got lost: it goes through the normalization."),
        (same(b, (bias - mean) * scale), "beta got lost: it is added at the end."),
        (same(b, bias * scale + beta), "the mean got lost: subtract it from the old bias."),
        (same(b, (bias + mean) * scale + beta), "the sign is wrong: the mean is subtracted."),
        (same(b, (bias - mean + beta) * scale), "beta comes after the scale, and is not scaled."),
        otherwise="the kernel is right; for the bias, set x = 0 and see what comes out.",
    )


@exercise(11, 2, "kilobytes = 20 + 30 + 30  # in step 4: b, c and d")
def _arena(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (found == 80, ""),
        (found == 140, "that is a place for each. Which of them are never needed together?"),
        (found == 60, "b is needed until step 5, so it is still there in step 4."),
        (found == 40, "that is the largest array, but it does not live alone."),
        (found == 50, "a step reads while it writes: what goes in and what comes out both count."),
        (found == 90, "a is no longer needed when c is written."),
        (found < 80, "that is too little for one of the steps: add up what each of them needs."),
        otherwise="it works with less: add up what each step needs, and take the largest sum.",
    )


@exercise(
    11,
    3,
    """
def duration(tasks, threads):
    return sum(-(-count // threads) for count in tasks)  # -(-a // b) rounds up
""",
)
def _duration(answer: Any) -> str:
    tasks, threads = [16, 9, 1], 4
    right = sum(math.ceil(count / threads) for count in tasks)
    longest = math.ceil(max(tasks) / threads)
    found = number_of(called(answer, tasks, threads), "the result")
    if not same(found, right):
        return first_of(
            (found == sum(tasks), "that is the time of one thread alone."),
            (found == sum(tasks) / threads, "nobody can do a quarter of a task: round up."),
            (
                found == math.ceil(sum(tasks) / threads),
                "each step waits for the one before it: round up in each step, then add.",
            ),
            (
                found == sum(count // threads for count in tasks),
                "round up, not down: the ninth task has to be done, too, and takes its time.",
            ),
            (found == longest, "that is the longest step alone."),
            otherwise=f"not yet: with 4 threads, {tasks} tasks take {right} ms, not {found:g}.",
        )
    alone = number_of(called(answer, [3, 2], 1), "the result")
    return (
        "" if alone == 5 else f"right for 4 threads; but with 1, [3, 2] takes 5 ms, not {alone:g}."
    )
