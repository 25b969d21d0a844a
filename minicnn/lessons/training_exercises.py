"""The exercises of lessons 12, 13, 18 and 19: checks, hints and solutions.

`checking` says what a check is and how it gets an answer.
"""

import io
from typing import Any

import numpy as np

from minicnn import images
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
        (same(found, dw + 2 * l2 * w), "that is the gradient. Where do the weights end up?"),
        (same(found, rate * (dw + 2 * l2 * w)), "that is the step. Where do the weights end up?"),
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
    wide = a + 2 * (a - 0.82)  # with this one it is 0.022

    def says(shift: float, swapped: bool = False, a: np.ndarray = a, b: np.ndarray = a) -> bool:
        pair = (b + shift, a) if swapped else (a, b + shift)
        found = called(answer, *pair)
        if not isinstance(found, (bool, np.bool_)):
            raise KindError(f"the function should return True or False, not {shown(found)}")
        return bool(found)

    far, near, hair = says(0.03), says(0.015), says(0.0001)
    few = says(0.03, a=a[::2], b=a[::2])  # of three starts: the error is 0.016
    return first_of(
        (hair, "two means always differ a little: ask whether luck alone explains it."),
        (
            far != says(0.03, swapped=True),
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
        (
            says(0.03, b=wide) or says(0.03, swapped=True, b=wide),
            "right if both spread alike; where one spreads more, the same difference may be luck.",
        ),
        (not says(0.025), "too strict: add the squares of the two errors, not the errors."),
        otherwise="",
    )


# -- 13: augmentation ----------------------------------------------------------------------------


@exercise(13, 1, "degrees = 0.1 * 360")
def _degrees(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (same(found, 36), ""),
        (same(found, 18), "a full turn is 360 degrees, and it may turn by 0.1 of one either way."),
        (same(found, 72), "that is from one end to the other: 36 degrees to each side."),
        (same(found, 0.1), "0.1 is a share of a full turn. How many degrees is that?"),
        (same(found, np.degrees(0.1), 1e-2), "0.1 is not in radians, but a share of a full turn."),
        otherwise="not yet: 0.1 of a full turn.",
    )


@exercise(
    13,
    2,
    """
def flip_some(images, rng):
    mirrored = rng.random(len(images)) < 0.5
    return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
""",
)
def _flip_some(answer: Any) -> str:
    x = np.random.default_rng(0).normal(size=(100, 3, 4, 3))
    found = array_of(answer, x, np.random.default_rng(1), like=x)
    flipped = {
        name: np.array([same(a, b) for a, b in zip(found, other)])
        for name, other in (
            ("nothing", x),
            ("mirror", x[:, :, ::-1]),
            ("upside", x[:, ::-1]),
            ("colours", x[..., ::-1]),
        )
    }
    mirrored = flipped["mirror"]
    return first_of(
        (bool(flipped["nothing"].all()), "no image was mirrored."),
        (bool(mirrored.all()), "all images were mirrored: each should have a coin of its own."),
        (
            bool(flipped["upside"].any()),
            "some are upside down: axis 1 is the rows; reverse axis 2.",
        ),
        (bool(flipped["colours"].any()), "in some, red and blue are swapped: reverse axis 2."),
        (
            not (mirrored | flipped["nothing"]).all(),
            "not yet: each image should be as it was, or mirrored from left to right.",
        ),
        (
            not 30 <= mirrored.sum() <= 70,
            f"of 100 images {mirrored.sum()} were mirrored; about half of them should be.",
        ),
        (
            same(found, array_of(answer, x, np.random.default_rng(2), like=x)),
            "another rng should mirror other images: draw the coins from it.",
        ),
        (
            not same(found, array_of(answer, x, np.random.default_rng(1), like=x)),
            "an equal rng should mirror the same images: draw the coins from it alone.",
        ),
        otherwise="",
    )


@exercise(13, 3, 'allowed = ["b", "d", "e"]')
def _allowed(answer: Any) -> str:
    letters = answer if isinstance(answer, (str, list, tuple, set)) else ()
    found = {str(letter).lower() for letter in letters} - {",", " "}
    if not found or not found <= set("abcde"):
        return f"not yet: answer with a list of letters from a to e. It is {answer!r}."
    missing = sorted(set("bde") - found)
    return first_of(
        (
            "a" in found,
            'a: a mirrored "turn left" is a "turn right", and its label would be wrong.',
        ),
        ("c" in found, 'c: "turn left", turned by 180 degrees, points to the right.'),
        (bool(missing), f"{', '.join(missing)}: the label stays right, and such photos do occur."),
        otherwise="",
    )


# -- 18: a larger model --------------------------------------------------------------------------


@exercise(18, 1, "seconds = 60 * (299 / 150) ** 2")
def _larger_epoch(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (abs(found - 240) <= 5, ""),
        (
            abs(found - 120) <= 3,
            "twice as high and twice as wide: that is not twice as many pixels, but more.",
        ),
        (abs(found - 480) <= 12, "an image has two sides that grow; the channels stay."),
        (same(found, 60), "each pixel of a map is computed, and there are more of them."),
        (abs(found - 4) <= 0.1, "that is how many times as long. How many seconds is it?"),
        otherwise="not yet: the number of pixels grows with the square of the side.",
    )


@exercise(18, 2, "parameters = [(2048 + 1) * 10, (10 * 10 * 2048 + 1) * 10]")
def _two_heads(answer: Any) -> str:
    if not isinstance(answer, (list, tuple)) or len(answer) != 2:
        return f"not yet: answer with two numbers, [..., ...]. It is {answer!r}."
    found = [number_of(part) for part in answer]
    return first_of(
        (found == [20_490, 2_048_010], ""),
        (found == [2_048_010, 20_490], "the other way round: the average makes 2048 numbers."),
        (found == [20_480, 2_048_000], "these are the kernels; each unit also has a bias."),
        (found[0] == 20_490, "the first is right. Flatten keeps all 10 · 10 · 2048 numbers."),
        (found[1] == 2_048_010, "the second is right. The average leaves one number per channel."),
        otherwise="not yet: (numbers that come in + 1) · 10.",
    )


@exercise(
    18,
    3,
    """
def choose(runs):
    best = max(runs, key=lambda size: np.mean(runs[size]))

    def error(a, b):
        return np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))

    return min(
        size
        for size in runs
        if np.mean(runs[best]) - np.mean(runs[size]) <= 2 * error(runs[best], runs[size])
    )
""",
)
def _choose(answer: Any) -> str:
    runs = {
        256: [0.71, 0.72, 0.73],
        64: [0.60, 0.61, 0.62],
        96: [0.836, 0.846, 0.856],
        128: [0.85, 0.86, 0.87],  # 0.014 above 96 x 96: the error of the difference is 0.008
    }
    found = number_of(called(answer, runs), "the result")
    wide = called(answer, {64: [0.5, 0.6, 0.7], 128: [0.55, 0.65, 0.75]})
    few = called(answer, {64: [0.80] * 9 + [0.81], 128: [0.82] * 9 + [0.83]})
    return first_of(
        (found == 128, "128 is the best, but it beats 96 by no more than luck may give."),
        (found == 64, "that is the smallest; it is far worse than the best."),
        (found == 256, "256 is the largest, and worse than 128: compare with the best."),
        (found in (0.846, 0.86), "that is an accuracy. Which size reached it?"),
        (found != 96, f"not yet: it chose {found:g}; 96 is as good as the best, except for luck."),
        (wide != 64, "not yet: where the starts lie far apart, a difference of 0.05 may be luck."),
        (few != 128, "nearly: where all starts agree, a difference of 0.02 is no luck."),
        otherwise="",
    )


# -- 19: using the model -------------------------------------------------------------------------


@exercise(
    19,
    1,
    """
def prepare(photo):
    red_first = photo[:, :, ::-1].astype(np.float32)
    return (red_first / 127.5 - 1)[np.newaxis]
""",
)
def _prepare(answer: Any) -> str:
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    found = np.asarray(called(answer, photo))
    if found.shape == (64, 64, 3):
        return "a batch has one axis more, in front: (1, 64, 64, 3)."
    if found.shape != (1, 64, 64, 3):
        return f"the result should have shape (1, 64, 64, 3), but it has {found.shape}."
    found = found[0].astype(np.float64)
    red_first = photo[:, :, ::-1] / 1.0
    return first_of(
        (same(found, red_first / 127.5 - 1), ""),
        (same(found, photo / 127.5 - 1), "the range is right; the model takes red first."),
        (
            same(found, red_first / 255) or same(found, photo / 255),
            "the model was trained with -1 to 1, not with 0 to 1.",
        ),
        (same(found, red_first) or same(found, photo), "the pixels still reach from 0 to 255."),
        (same(found, red_first[::-1] / 127.5 - 1), "upside down: reverse the last axis alone."),
        (
            same(found, (red_first - 128) / 128) or same(found, red_first / 128 - 1),
            "nearly: the largest pixel is 255, so divide by 127.5.",
        ),
        otherwise="not yet: reverse the last axis, then pixel / 127.5 − 1, as float32.",
    )


@exercise(19, 2, 'files = ["keras", "h5", "weights"]')
def _which_file(answer: Any) -> str:
    if not isinstance(answer, (list, tuple)) or len(answer) != 3:
        return f"not yet: answer with a list of three names. It is {answer!r}."
    found = [str(name).lower().strip(".") for name in answer]
    if not set(found) <= {"keras", "h5", "weights"}:
        return f"not yet: the names are keras, h5 and weights. Yours are {answer!r}."
    return first_of(
        (found == ["keras", "h5", "weights"], ""),
        (found[0] == "weights", "a: numbers alone know neither layers nor class names."),
        (found[0] == "h5", "a: that would do, too, but today's format is .keras."),
        (found[1] == "keras", "b: .keras came with Keras 3; Keras 2 reads .h5."),
        (found[1] == "weights", "b: they would have to build the layers first."),
        (found[2] != "weights", "c: it has the layers already: numbers alone are enough."),
        otherwise="",
    )


@exercise(
    19,
    3,
    """
def status(body):
    if len(body) > 1_000_000:
        return 413
    try:
        images.load_photo(io.BytesIO(body), (64, 64))
    except images.BadImageError:
        return 400
    return 200
""",
)
def _status(answer: Any) -> str:
    file = io.BytesIO()
    images.save_img(file, np.full((8, 8, 3), 200.0), file_format="png", scale=False)
    photo = file.getvalue()
    padded = photo + bytes(1_000_000)  # a photo all the same: Pillow reads to its end mark

    def says(body: bytes) -> Any:
        try:
            return called(answer, body)
        except images.BadImageError:
            return "an error"

    text, large, empty, cut = (says(b) for b in (b"text", padded, b"", photo[: len(photo) // 2]))
    return first_of(
        (says(photo) != 200, f"a photo should get 200; yours says {says(photo)!r}."),
        ("an error" in (text, empty, cut), "an error would end the request: catch BadImageError."),
        (text != 400, f"a text is no photo: 400. Yours says {text!r}."),
        (empty != 400, f"nothing at all is no photo: 400. Yours says {empty!r}."),
        (cut != 400, f"a photo that was cut off should get 400; yours says {cut!r}. Read it."),
        (large != 413, f"a photo of more than a million bytes should get 413, not {large!r}."),
        (says(bytes(2_000_000)) != 413, "look at the size first, and only then at what it is."),
        otherwise="",
    )
