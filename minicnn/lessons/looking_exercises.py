"""The exercises of lesson 20, on what a network looks at: checks, hints and solutions.

`checking` says what a check is and how it gets an answer.
"""

from typing import Any

import numpy as np

from minicnn.lessons.checking import array_of, called, exercise, first_of, number_of, same

# -- 20: heat maps -------------------------------------------------------------------------------


@exercise(
    20,
    1,
    """
def grad_cam(maps, gradients):
    alpha = gradients.mean(axis=(0, 1))
    return np.maximum((maps * alpha).sum(axis=2), 0)
""",
)
def _grad_cam(answer: Any) -> str:
    rng = np.random.default_rng(3)
    maps, gradients = rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 2, 4))
    alpha = gradients.mean(axis=(0, 1))
    plain = (maps * alpha).sum(axis=2)
    right = np.maximum(plain, 0)
    found = array_of(answer, maps, gradients, like=right)
    return first_of(
        (same(found, right), ""),
        (same(found, plain), "nearly: what speaks against the class becomes 0."),
        (
            same(found, np.maximum(6 * plain, 0)) or same(found, 6 * plain),
            "nearly: α is the mean over the cells of a map, not the sum.",
        ),
        (
            same(found, np.maximum((maps * gradients).sum(axis=2), 0))
            or same(found, (maps * gradients).sum(axis=2)),
            "that multiplies each cell by its own gradient: α is one number for each channel.",
        ),
        (
            same(found, np.maximum(maps * alpha, 0).sum(axis=2)),
            "add up the channels first; then a sum below 0 becomes 0.",
        ),
        (
            same(found, np.maximum(right / 4, 0)) or same(found, plain / 4),
            "add up the channels: the mean is only for α.",
        ),
        (same(found, np.maximum(maps.sum(axis=2), 0)), "each channel has a weight, its α."),
        otherwise="not yet: max(Σ over the channels of α · maps, 0), α the mean gradient of each.",
    )


@exercise(
    20,
    2,
    """
def occlusion(p, photo, row, column, size, colour):
    covered = photo.copy()
    covered[row : row + size, column : column + size] = colour
    return p(photo) - p(covered)
""",
)
def _occlusion(answer: Any) -> str:
    photo = np.random.default_rng(4).uniform(0.2, 1, size=(6, 7, 3))
    weights = np.random.default_rng(5).uniform(size=photo.shape)
    weights /= weights.sum()

    def p(x: Any) -> float:
        if np.shape(x) != photo.shape:
            raise ValueError(f"p takes a photo of shape {photo.shape}, not {np.shape(x)}")
        return float((np.asarray(x) * weights).sum())

    def covered(row: int, column: int, size: int, colour: float) -> float:
        x = photo.copy()
        x[row : row + size, column : column + size] = colour
        return p(photo) - p(x)

    row, column, size, colour = 1, 3, 2, 0.5
    given = photo.copy()
    if not callable(answer):
        called(answer)
    # `called` would give the learner's function a copy, in which a change does not show.
    found = number_of(called(lambda: answer(p, given, row, column, size, colour)), "the result")
    right, rest = covered(row, column, size, colour), p(photo)
    changed = not same(given, photo)
    return first_of(
        (
            same(found, right, 1e-6) and changed,
            "right, but the photo is still covered afterwards: change a copy.",
        ),
        (same(found, right, 1e-6), ""),
        (
            same(found, 0, 1e-9) and changed,
            "the photo itself was covered, before p(photo) was asked for: change a copy.",
        ),
        (
            same(found, -right, 1e-6),
            "that is what covering adds. What it takes away is p(photo) − p(covered).",
        ),
        (same(found, rest - right, 1e-6), "that is p(covered). How much was taken away?"),
        (same(found, rest, 1e-6), "that is p(photo): nothing was covered."),
        (
            same(found, covered(column, row, size, colour), 1e-6),
            "rows come first: photo[row…, column…].",
        ),
        (
            same(found, covered(row, column, size, 0.0), 1e-6),
            "the square gets the colour that was given, not 0.",
        ),
        (
            same(found, covered(row, column, size + 1, colour), 1e-6),
            "the square is one pixel too large: row : row + size has size rows.",
        ),
        (
            same(found, (rest - right) / rest, 1e-6) or same(found, right / rest, 1e-6),
            "a difference is asked for, not a ratio.",
        ),
        otherwise="not yet: p(photo) − p(a copy of it with the square in that colour).",
    )


@exercise(20, 3, 'follows = ["b", "c"]')
def _follows(answer: Any) -> str:
    letters = answer if isinstance(answer, (str, list, tuple, set)) else ()
    found = {str(letter).lower() for letter in letters} - {",", " "}
    if not found or not found <= set("abcde"):
        return f"not yet: answer with a list of letters from a to e. It is {answer!r}."
    missing = sorted(set("bc") - found)
    return first_of(
        ("a" in found, "a: a heat map says nothing about how often a network is right."),
        (
            "d" in found,
            "d: Grad-CAM shows what speaks most for the class in these photos. What is weaker, or "
            "speaks against it, does not show.",
        ),
        (
            "e" in found,
            "e: the map says where, not why: at the animal it could look at the collar.",
        ),
        (bool(missing), f"{', '.join(missing)}: this does follow."),
        otherwise="",
    )
