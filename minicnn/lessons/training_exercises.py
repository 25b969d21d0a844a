"""The exercises from lesson 12 on, which are about training again: checks, hints and solutions.

`checking` says what a check is and how it gets an answer.
"""

from typing import Any

import numpy as np

from minicnn.lessons.checking import array_of, called, exercise, first_of, same

# -- 12: regularization and dropout --------------------------------------------------------------


@exercise(
    12,
    1,
    """
def dropout(x, kept, rate):
    return x * kept / (1 - rate)
""",
)
def _dropout(answer: Any) -> str:
    x = np.array([[1.0, -2.0, 3.0, 4.0], [0.5, 6.0, -7.0, 8.0]])
    kept = np.array([[True, True, False, True], [True, False, True, True]])
    rate = 0.2
    found = array_of(answer, x, kept, rate, like=x)
    right = x * kept / (1 - rate)
    return first_of(
        (same(found, right), ""),
        (same(found, x * kept), "the zeros are right; divide the rest by 1 − rate."),
        (
            same(found, x * kept / rate),
            "that divides by the share that is dropped; 1 − rate stays.",
        ),
        (
            same(found, x * kept * (1 - rate)),
            "that makes the rest smaller. Fewer numbers have to give the same sum: divide.",
        ),
        (
            same(found, x * ~kept / (1 - rate)) or same(found, x * ~kept),
            "these are the ones that should have been dropped: True stays.",
        ),
        (same(found, x / (1 - rate)), "nothing was dropped: where kept is False, the result is 0."),
        (
            same(found, x * kept / kept.mean(axis=1, keepdims=True))
            or same(found, x * kept / kept.mean()),
            "divide by 1 − rate, the same number for every mask, not by the share of this one.",
        ),
        (same(found, x), "that is prediction, where nothing is dropped."),
        otherwise="not yet: 0 where kept is False, otherwise x / (1 − rate).",
    )


@exercise(
    12,
    2,
    """
def step(w, dw, l2, learning_rate):
    return w - learning_rate * (dw + 2 * l2 * w)
""",
)
def _step(answer: Any) -> str:
    w, dw, l2, rate = np.array([3.0, -1.0, 0.5]), np.array([0.2, 1.0, -4.0]), 0.25, 0.1
    found = array_of(answer, w, dw, l2, rate, like=w)
    return first_of(
        (same(found, w - rate * (dw + 2 * l2 * w)), ""),
        (same(found, w - rate * dw), "that is a step without the penalty."),
        (same(found, w - rate * (dw + l2 * w)), "nearly: the slope of w² is 2w."),
        (
            same(found, w - rate * (dw + l2 * w**2)),
            "that adds the penalty itself; a step needs its slope, 2 · l2 · w.",
        ),
        (same(found, w + rate * (dw + 2 * l2 * w)), "uphill! Subtract the gradient."),
        (
            same(found, w - rate * (dw - 2 * l2 * w)),
            "that rewards large weights: add the gradient of the penalty to dw.",
        ),
        (
            same(found, w - rate * dw - 2 * l2 * w),
            "nearly: the learning rate also multiplies the gradient of the penalty.",
        ),
        (same(found, dw + 2 * l2 * w), "that is the gradient. Where do the weights end?"),
        (same(found, rate * (dw + 2 * l2 * w)), "that is the step. Where do the weights end?"),
        otherwise="not yet: new w = w − learning rate · (dw + 2 · l2 · w).",
    )


@exercise(
    12,
    3,
    """
def differ(a, b):
    error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    return abs(np.mean(a) - np.mean(b)) > 2 * error
""",
)
def _differ(answer: Any) -> str:
    a = np.array([0.80, 0.81, 0.82, 0.83, 0.84])  # the standard error of the difference is 0.01

    def says(shift: float, turned: bool = False) -> bool:
        pair = (a + shift, a) if turned else (a, a + shift)
        found = called(answer, *pair)
        if not isinstance(found, (bool, np.bool_)):
            raise TypeError(f"the function should return True or False, but it returned {found!r}")
        return bool(found)

    far, near, hair = says(0.03), says(0.015), says(0.0001)
    few = bool(called(answer, a[::2], a[::2] + 0.03))  # of three starts: the error is 0.016
    return first_of(
        (hair, "two means always differ a little: ask whether they do by more than luck explains."),
        (
            far != says(0.03, turned=True),
            "it depends on which comes first: take the absolute value of the difference.",
        ),
        (
            not far,
            "too strict: the mean of n numbers varies less than one number. Divide the variances "
            "by n.",
        ),
        (
            near,
            "too lenient: add the errors of both means, √(s₁²/n + s₂²/n), and take twice as much.",
        ),
        (few, "right for five starts, but with three of them the same difference may be luck."),
        otherwise="",
    )
