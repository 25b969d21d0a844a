"""The exercises of the lessons: what is right, what to say to a wrong answer, and a solution.

A check takes the learner's answer and returns "" if it is right, else a sentence that helps. It
looks for the mistakes that are easy to make, to name them. A solution is what goes into the cell in
place of what stands above its last line.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional, naive
from minicnn.models import Model

Check = Callable[[Any], str]


class Exercise(NamedTuple):
    """The check of an answer, and a solution."""

    check: Check
    solution: str


EXERCISES: dict[tuple[int, int], Exercise] = {}
"""By the numbers of the lesson and of the exercise."""


class _OpenError(Exception):
    """The dots are still there."""


def verdict(check: Check, answer: Any) -> str:
    """What a check says of an answer: "" if it is right, else one sentence.

    It does not raise, whatever the learner wrote.
    """
    try:
        if isinstance(answer, np.ndarray):
            answer = answer.tolist()  # [1, 2] is right, and so is np.array([1, 2])
        parts = answer if isinstance(answer, (list, tuple)) else [answer]
        if any(part is ... for part in parts):
            raise _OpenError
        with np.errstate(all="ignore"):
            return check(answer)
    except _OpenError:
        return "not answered yet. Put your answer in the place of the dots and run the cell again."
    except Exception as error:
        what = " ".join(str(error).split()) or "no more is known"
        return f"not yet: this ended in {type(error).__name__}: {what.rstrip('.')}."


def _exercise(lesson: int, number: int, solution: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        EXERCISES[lesson, number] = Exercise(check, solution.strip("\n"))
        return check

    return add


def _call(function: Any, *arguments: Any) -> Any:
    """What the learner's function returns; it may spoil copies only."""
    if not callable(function):
        raise TypeError(f"the answer should be a function, and it is {function!r}")
    found = function(*[np.array(a) if isinstance(a, np.ndarray) else a for a in arguments])
    if found is ...:
        raise _OpenError
    if found is None:
        raise TypeError("the function returned None: does it end in return?")
    return found


def _array(function: Any, *arguments: Any, like: np.ndarray) -> np.ndarray:
    """The array that the learner's function returns, which must have the shape of `like`."""
    found = np.asarray(_call(function, *arguments), dtype=np.float64)
    if found.shape != like.shape:
        raise ValueError(f"the result should have shape {like.shape}, and it has {found.shape}")
    return found


def _same(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))


def _number(answer: Any) -> float:
    if isinstance(answer, bool) or not isinstance(answer, (int, float, np.number)):
        raise TypeError(f"the answer should be a number, and it is {answer!r}")
    return float(answer)


def _first(*cases: tuple[bool, str], otherwise: str) -> str:
    """The sentence of the first case that is so."""
    return next((sentence for holds, sentence in cases if holds), otherwise)


# -- 1: the task and the data --------------------------------------------------------------------


@_exercise(1, 1, "accuracy = 90 / (90 + 10)")
def _always_t_shirt(answer: Any) -> str:
    found = _number(answer)
    return _first(
        (_same(found, 0.9), ""),
        (_same(found, 90), "close: accuracy is a share of all pictures, from 0 to 1."),
        (_same(found, 0.1), "0.1 is the share of hats, all of which it gets wrong."),
        (_same(found, 0.5), "there are two kinds, but not equally many of each: count pictures."),
        otherwise="not yet: how many of the 100 pictures does it get right?",
    )


@_exercise(
    1,
    2,
    """
def split(paths, share):
    order = np.random.permutation(len(paths))
    count = round(share * len(paths))
    return [paths[i] for i in order[count:]], [paths[i] for i in order[:count]]
""",
)
def _split(answer: Any) -> str:
    paths = [f"{kind}/{index}.jpg" for kind in ("dress", "hat", "pants") for index in range(40)]
    found = _call(answer, list(paths), 0.25)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        return f"not yet: it should return two lists. It returned {type(found).__name__}."
    train, validation = (list(part) for part in found)
    if set(train) & set(validation):
        return "some pictures are in both parts: then validation asks what was learned by heart."
    if Counter(train + validation) != Counter(paths):
        return "some pictures got lost, or are there twice."
    if len(validation) == 90:
        return "the two parts are exchanged: the second is the share to hold back."
    if len(validation) != 30:
        return f"of 120 pictures a share of 0.25 is 30. Held back were {len(validation)}."
    if len({path.split("/")[0] for path in validation}) < 3:
        return "the paths come sorted by kind, so one kind alone was held back: shuffle first."
    return ""


# -- 2: images as arrays -------------------------------------------------------------------------


@_exercise(2, 1, "shape = (32, 200, 300, 3)")
def _shape_of_batch(answer: Any) -> str:
    found = tuple(answer) if isinstance(answer, (tuple, list)) else answer
    right = (32, 200, 300, 3)
    return _first(
        (found == right, ""),
        (found == (32, 300, 200, 3), "rows come first: height, then width."),
        (found == (32, 3, 200, 300), "the channels come last here (torch has them before)."),
        (found == right[1:], "that is one picture; the batch has an axis of its own, the first."),
        (found == (200, 300, 3, 32), "the batch is the first axis."),
        otherwise="not yet: (how many, height, width, channels).",
    )


@_exercise(
    2,
    2,
    """
def mirror(picture):
    return picture[:, ::-1]
""",
)
def _mirror(answer: Any) -> str:
    x = np.arange(4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
    found = _array(answer, x, like=x)
    return _first(
        (_same(found, x[:, ::-1]), ""),
        (_same(found, x), "nothing has moved."),
        (_same(found, x[::-1]), "it stands on its head: axis 0 are the rows. Turn the columns."),
        (_same(found, x[..., ::-1]), "red and blue are exchanged: axis 2 are the channels."),
        (_same(found, x[::-1, ::-1]), "rows and columns are turned; only columns should be."),
        otherwise="not yet: the first column should become the last.",
    )


@_exercise(
    2,
    3,
    """
def to_pixels(x):
    return np.rint((x + 1) * 127.5).astype(np.uint8)
""",
)
def _to_pixels(answer: Any) -> str:
    pixels = np.arange(256, dtype=np.uint8)
    x = pixels.astype(np.float32) / np.float32(127.5) - 1
    found = np.asarray(_call(answer, x))
    if found.shape != pixels.shape:
        return f"not yet: the shape should stay {pixels.shape}, and it is {found.shape}."
    wrong = np.flatnonzero(found != pixels)
    if wrong.size:
        place = int(wrong[-1])
        return _first(
            (
                _same(found, pixels.astype(float), 1e-3),
                "nearly: pixels are whole numbers; round them (np.rint).",
            ),
            (
                found[128] < 3,
                "black is -1 here, and 0 is the grey in the middle: add 1 first, to begin at 0.",
            ),
            (
                found[255] == 0,
                "white became 0. The largest pixel is 255, so half of the range is 127.5; with 128 "
                "white is 256, one more than a uint8 can hold, and starts again at 0.",
            ),
            (
                bool((pixels.astype(int) - found <= 1).all()),
                f"nearly: pixel {place} became {found[place]}. astype cuts off what is behind the "
                "point; round first (np.rint).",
            ),
            otherwise=f"not yet: pixel {place} became {found[place]}.",
        )
    if found.dtype != np.uint8:
        return f"the numbers are right; their dtype should be uint8, and it is {found.dtype}."
    return ""


# -- 3: a pretrained network ---------------------------------------------------------------------


@_exercise(
    3,
    1,
    """
def top(probabilities, names, count):
    order = np.argsort(-probabilities)[:count]
    return [(names[index], probabilities[index]) for index in order]
""",
)
def _top(answer: Any) -> str:
    names = ["dress", "hat", "pants", "shirt"]
    p = np.array([0.1, 0.2, 0.65, 0.05])
    found = _call(answer, p, names, 2)
    if isinstance(found, dict):
        return "nearly: a list of pairs (name, probability), not a dict."
    found = [tuple(pair) for pair in found]
    if [pair[0] for pair in found] == ["shirt", "dress"]:
        return "these are the least probable: argsort begins with the smallest."
    if len(found) != 2:
        return f"not yet: count=2 asks for two pairs, and there are {len(found)}."
    if [pair[0] for pair in found] == ["hat", "pants"]:
        return "the right ones, but the most probable comes first."
    if [pair[0] for pair in found] != ["pants", "hat"]:
        return f"not yet: the best of {dict(zip(names, p.tolist()))} are pants, then hat."
    if not _same([pair[1] for pair in found], [0.65, 0.2]):
        return "the names are right; beside each belongs its own probability."
    return ""


@_exercise(3, 2, "shape = (5, 1000)")
def _imagenet_shape(answer: Any) -> str:
    found = tuple(answer) if isinstance(answer, (tuple, list)) else answer
    return _first(
        (found == (5, 1000), ""),
        (found == (1000,), "that is one photo's row: five photos went in."),
        (found == (5, 299, 299, 3), "that is what goes in. What comes out is one row a photo."),
        (found == (1000, 5), "one row for each photo, one column for each class."),
        (found == (5, 6), "six is our network's; ImageNet has 1000 classes."),
        otherwise="not yet: (how many photos, how many classes).",
    )


# -- 4: the layers -------------------------------------------------------------------------------


@_exercise(4, 1, "parameters = (3 * 3 * 3 + 1) * 32")
def _parameters(answer: Any) -> str:
    found = _number(answer)
    return _first(
        (found == 896, ""),
        (found == 864, "these are the weights; each filter also has a bias."),
        (found in (288, 320), "each filter looks at all three channels: 3·3·3 weights."),
        (found == 28, "that is one filter. There are 32."),
        otherwise="not yet: (rows · columns · channels in + 1 bias) · filters.",
    )


@_exercise(
    4,
    2,
    """
def convolve(x, w):
    height, width = x.shape[0] - 2, x.shape[1] - 2
    y = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            y[row, column] = np.sum(x[row : row + 3, column : column + 3] * w)
    return y
""",
)
def _convolve(answer: Any) -> str:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(6, 8)), rng.normal(size=(3, 3))

    def conv(w: np.ndarray) -> np.ndarray:
        return naive.conv2d(x[None, :, :, None], w[:, :, None, None])[0, :, :, 0]

    found = np.asarray(_call(answer, x, w))
    if found.shape == (6, 8):
        return "the window must stay inside: 3 rows fit into 6 at 4 places, not at 6."
    if found.shape != (4, 6):
        return f"not yet: a (6, 8) picture gives (4, 6). Yours has shape {found.shape}."
    return _first(
        (_same(found, conv(w)), ""),
        (
            _same(found, conv(w[::-1, ::-1])),
            "the kernel is turned round, as mathematics has it. CNNs lay it on as it is.",
        ),
        (_same(found, conv(w.T)), "rows and columns of the kernel are exchanged."),
        (_same(found, conv(w) / 9), "that is the mean of the products; take their sum."),
        otherwise="not yet: multiply the window and the kernel place by place, then add up.",
    )


@_exercise(4, 3, "shape = (None, 15, 15, 32)")
def _shape_after(answer: Any) -> str:
    found = tuple(answer) if isinstance(answer, (tuple, list)) else answer
    return _first(
        (found in ((None, 15, 15, 32), (15, 15, 32)), ""),
        (
            isinstance(found, tuple) and 16 in found,
            "without padding, 3×3 takes a row off each side.",
        ),
        (isinstance(found, tuple) and 31 in found, "pooling keeps every second place: 30 from 60."),
        (isinstance(found, tuple) and found[-1] == 3, "the channels out are as many as filters."),
        otherwise="not yet: go through it line by line, from 64 to 62 and on.",
    )


# -- 5: transfer learning ------------------------------------------------------------------------


@_exercise(5, 1, "trainable = (64 + 1) * 4")
def _head_parameters(answer: Any) -> str:
    found = _number(answer)
    return _first(
        (found == 260, ""),
        (found == 256, "these are the weights; each of the four scores also has a bias."),
        (found > 60_000, "the base is frozen: only the head learns."),
        otherwise="not yet: (64 numbers in + 1 bias) · 4 scores out.",
    )


@_exercise(
    5,
    2,
    """
def cross_entropy(y, scores):
    e = np.exp(scores - scores.max())
    p = e / e.sum()
    return -np.sum(y * np.log(p))
""",
)
def _cross_entropy(answer: Any) -> str:
    y, scores = np.array([0.0, 0.0, 1.0]), np.array([1.0, -0.5, 2.0])
    p = functional.softmax(scores[None])[0]
    right = -math.log(p[2])
    found = np.asarray(_call(answer, y, scores), dtype=float)
    if found.shape != ():
        return f"a loss is one number. This has shape {found.shape}."
    if not _same(found, right):
        with np.errstate(all="ignore"):
            return _first(
                (_same(found, -right), "the sign is wrong: log of a probability is negative."),
                (_same(found, right / 3), "np.mean divided by the number of classes: use np.sum."),
                (_same(found, right / math.log(2)), "that is log2; the loss has the natural log."),
                (_same(found, -math.log(2)), "scores are no probabilities: softmax first."),
                (_same(found, p[2]), "that is the probability; the loss is its −log."),
                otherwise="not yet: softmax makes p of the scores; the loss is −Σ y·log p.",
            )
    large = float(_call(answer, y, np.array([1000.0, 980.0, 999.0])))
    if not _same(large, 1.3133, 1e-3):
        return (
            f"right, until a score is large: for 1000 it gives {large}, for exp(1000) is infinite. "
            "Subtract the largest score first; the probabilities are the same."
        )
    return ""


@_exercise(
    5,
    3,
    """
base.trainable = False
inputs = keras.Input((64, 64, 3))
vectors = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
ten = keras.Model(inputs, keras.layers.Dense(10)(vectors))
""",
)
def _ten(answer: Any) -> str:
    if not isinstance(answer, Model):
        return f"not yet: the answer should be a model, and it is a {type(answer).__name__}."
    if answer.output_shape != (None, 10):
        return f"ten kinds need ten scores. The output has shape {answer.output_shape}."
    bases = [layer for layer in answer.layers if isinstance(layer, Model)]
    if not bases:
        return "not yet: the base should be one of its layers: base(inputs, training=False)."
    if bases[0].trainable_weights:
        return "the base would learn too: set base.trainable = False."
    if sum(w.numpy().size for w in answer.trainable_weights) != 650:
        return "not yet: behind the base stand one average and one Dense layer, nothing else."
    return ""


# -- 6: the learning rate ------------------------------------------------------------------------


@_exercise(6, 1, "w = 3 - 0.1 * 2 * (3 - 1)")
def _one_step(answer: Any) -> str:
    found = _number(answer)
    return _first(
        (_same(found, 2.6), ""),
        (_same(found, 3.4), "uphill! The gradient says where the loss grows: subtract."),
        (_same(found, 2.2), "the loss is (w − 1)²: its slope at 3 is 2·(3 − 1) = 4."),
        (_same(found, 0.4), "that is how far it goes. Where does it arrive?"),
        (_same(found, -1), "that is a step with learning rate 1."),
        otherwise="not yet: new w = w − learning rate · slope.",
    )


@_exercise(6, 2, "rate = 0.9")
def _zigzag(answer: Any) -> str:
    found = _number(answer)
    return _first(
        (0.5 < found < 1, ""),
        (found <= 0, "that goes nowhere, or uphill."),
        (found == 0.5, "0.5 arrives in one step: no zigzag."),
        (found < 0.5, "that comes from one side only, ever closer: no zigzag."),
        (found == 1, "1 jumps between two places for ever: no arrival."),
        otherwise="that flies off: each step is longer than the last.",
    )


@_exercise(
    6,
    3,
    """
def best(runs):
    return max(runs, key=lambda rate: max(runs[rate]["val_accuracy"]))
""",
)
def _best_rate(answer: Any) -> str:
    runs = {
        0.001: {"accuracy": [0.2, 0.4, 0.6], "val_accuracy": [0.2, 0.4, 0.5]},
        0.01: {"accuracy": [0.5, 0.8, 0.9], "val_accuracy": [0.5, 0.8, 0.6]},
        0.1: {"accuracy": [0.7, 0.95, 1.0], "val_accuracy": [0.6, 0.7, 0.7]},
    }
    found = _call(answer, runs)
    return _first(
        (found == 0.01, ""),
        (found == 0.8, "that is the accuracy. Which learning rate reached it?"),
        (
            found == 0.1
            and _call(answer, {r: {**h, "val_accuracy": [0.1]} for r, h in runs.items()}) == 0.1,
            "chosen by what it learned by heart: compare val_accuracy, not accuracy.",
        ),
        (found == 0.1, "chosen by the last epoch. A checkpoint keeps the best one: take the max."),
        otherwise=f"not yet: it chose {found!r}; the best epoch on validation is at 0.01.",
    )


# -- 7: checkpointing ----------------------------------------------------------------------------


@_exercise(7, 1, "epochs = [1, 2, 5]")
def _saved_epochs(answer: Any) -> str:
    found = sorted(answer) if isinstance(answer, (list, tuple, set)) else answer
    return _first(
        (found == [1, 2, 5], ""),
        (found == [5], "nobody knows yet, after epoch 1, what will come: the first is saved too."),
        (found == [1, 2, 4, 5], "epoch 4 is as good as epoch 2, not better: it is not saved."),
        (found == [0, 1, 4], "right, counted from 0; Keras's files count epochs from 1."),
        (found == [1, 2, 3, 4, 5, 6], "that would be without save_best_only."),
        otherwise="not yet: go through it; an epoch is saved if it beats all before it.",
    )


@_exercise(7, 2, 'pattern = "runs/{epoch:02d}-{val_accuracy:.3f}.keras"')
def _pattern(answer: Any) -> str:
    if not isinstance(answer, str):
        return f"not yet: the answer should be a string, and it is {answer!r}."
    if not answer.endswith(".keras"):
        return 'not yet: a model file ends in ".keras".'
    try:
        names = [
            answer.format(epoch=e, val_accuracy=a) for e, a in ((3, 0.71), (12, 0.71), (12, 0.8))
        ]
    except KeyError as error:
        return f"nothing is called {error}: the names to fill in are epoch and val_accuracy."
    if names[0] == names[1]:
        return "two epochs with the same accuracy have the same name: one would be lost."
    if names[1] == names[2]:
        return "the name does not say how good it is: add {val_accuracy:.3f}."
    if sorted(names) != names:
        return f"{names[1]!r} would be listed before {names[0]!r}: write the epoch with two digits."
    return ""


# -- 8: more layers ------------------------------------------------------------------------------


@_exercise(8, 1, "parameters = (64 + 1) * 100 + (100 + 1) * 10")
def _inner_parameters(answer: Any) -> str:
    found = _number(answer)
    return _first(
        (found == 7510, ""),
        (found == 7400, "these are the weights; each unit also has a bias: 100 + 10 of them."),
        (found in (6500, 6400), "that is the inner layer; the last one has parameters too."),
        (found == 7150, "the last layer reads the 100 units, not the 64 numbers."),
        otherwise="not yet: (64 + 1) · 100 for the inner layer, and the same way for the last.",
    )


@_exercise(
    8,
    2,
    """
def join(w1, b1, w2, b2):
    return w1 @ w2, b1 @ w2 + b2
""",
)
def _join(answer: Any) -> str:
    rng = np.random.default_rng(0)
    w1, b1, w2, b2 = (rng.normal(size=s) for s in ((4, 5), (5,), (5, 3), (3,)))
    found = _call(answer, w1, b1, w2, b2)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        return "not yet: return two arrays, w and b."
    w, b = (np.asarray(part) for part in found)
    if w.shape != (4, 3):
        return f"not yet: 4 numbers go in and 3 come out, so w is (4, 3). Yours is {w.shape}."
    if not _same(w, w1 @ w2):
        return "w is not right yet: x passes w1, then w2, and (x @ w1) @ w2 = x @ (w1 @ w2)."
    return _first(
        (_same(b, b1 @ w2 + b2), ""),
        (_same(b, b2), "b1 got lost: it passes through the second layer too."),
        (_same(b, b1 @ w2), "b2 got lost: it is added at the end."),
        otherwise="w is right; for b, set x = 0 and see what comes out.",
    )


# -- 9: backpropagation --------------------------------------------------------------------------


@_exercise(
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
    found = _array(answer, dy, x, like=x)
    return _first(
        (_same(found, dy * (x > 0)), ""),
        (
            _same(found, np.maximum(dy, 0)),
            "that is the ReLU of dy. The gate was set by x, on the way forward.",
        ),
        (_same(found, dy * np.maximum(x, 0)), "multiply by the slope, which is 1, not by x."),
        (_same(found, x > 0), "that is the slope alone: multiply it by what came back, dy."),
        (_same(found, dy), "everything passes; where x was negative nothing should."),
        (_same(found, dy * (x >= 0)), "nearly: at exactly 0 the convention is 0, as in Keras."),
        otherwise="not yet: where x > 0 the slope is 1, else 0; multiply it by dy.",
    )


@_exercise(9, 2, "dz = [0.2, -0.7, 0.5]")
def _softmax_gradient(answer: Any) -> str:
    found = np.asarray(answer, dtype=float)
    return _first(
        (_same(found, [0.2, -0.7, 0.5]), ""),
        (_same(found, [-0.2, 0.7, -0.5]), "turned round: it is p − y."),
        (_same(found, [0.2, 0.3, 0.5]), "that is p: subtract y."),
        otherwise="not yet: p − y, class by class; y is 1 for the hat and 0 else.",
    )


@_exercise(
    9,
    3,
    """
def slope(f, x):
    h = 1e-5
    return (f(x + h) - f(x - h)) / (2 * h)
""",
)
def _slope(answer: Any) -> str:
    found = float(_call(answer, math.exp, 1.0))
    error = abs(found - math.e)
    return _first(
        (error < 1e-8, ""),
        (
            _same(found, 2 * math.e, 1e-3),
            "twice too much: from x − h to x + h it is 2h.",
        ),
        (_same(found, math.e / 2, 1e-3), "half of it: from x to x + h it is only h."),
        (
            error < 1e-2,
            f"nearly: the error is {error:.0e}. Look to both sides, (f(x + h) − f(x − h)) / 2h, "
            "with h near 1e-5: smaller h drowns in rounding, larger is not local.",
        ),
        otherwise=f"not yet: the slope of exp at 1 is {math.e:.5f}, and this gives {found:.5f}.",
    )


# -- 10: a fast convolution ----------------------------------------------------------------------


@_exercise(10, 1, "multiplications = 32 * 32 * 3 * 3 * 16 * 32")
def _multiplications(answer: Any) -> str:
    found = _number(answer)
    right = 32 * 32 * 9 * 16 * 32
    return _first(
        (found == right, ""),
        (found == right / 16, "each output adds up over all 16 channels."),
        (found == right / 32, "that is one filter. There are 32."),
        (found == right / 1024, "that is one place of the picture. There are 32 · 32."),
        otherwise="not yet: places · window · channels in · filters.",
    )


@_exercise(
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
    found = np.asarray(_call(answer, x))
    return _first(
        (_same(found, right), ""),
        (_same(found, right.T), "turned: one row for each place, one column for each tap."),
        (found.shape == (6, 3, 3), "nearly: make each window flat (ravel), 9 numbers in a row."),
        (_same(found, windows.swapaxes(0, 1).reshape(6, 9)), "go through the rows first."),
        otherwise=f"not yet: (4, 5) has 2 · 3 places: (6, 9). Yours has shape {found.shape}.",
    )


@_exercise(
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
    found = _array(answer, d, g, like=right)
    if not _same(found, right):
        return _first(
            (_same(found[0], right[0]), "the first is right; the second is m2 − m3 − m4."),
            (_same(found[1], right[1]), "the second is right; the first is m1 + m2 + m3."),
            otherwise=f"not yet: for d={d} and g={g} it should be {right}, and it is {found}.",
        )
    counted = _Counting.count(answer)
    if counted > 4:
        return f"right, with {counted} multiplications of data by weights; four are enough."
    return ""


class _Counting:
    """A number of the data: it counts how often it is multiplied by a weight."""

    multiplications = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __add__(self, other: Any) -> "_Counting":
        return _Counting(self.value + getattr(other, "value", other))

    __radd__ = __add__

    def __neg__(self) -> "_Counting":
        return _Counting(-self.value)

    def __sub__(self, other: Any) -> "_Counting":
        return _Counting(self.value - getattr(other, "value", other))

    def __rsub__(self, other: Any) -> "_Counting":
        return _Counting(other - self.value)

    def __mul__(self, other: Any) -> "_Counting":
        _Counting.multiplications += 1
        return _Counting(self.value * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "_Counting":  # by 2: the weights' half is made beforehand
        return _Counting(self.value / other)

    @classmethod
    def count(cls, function: Any) -> int:
        """Multiplications of one call; a weight that is scaled does not count."""
        cls.multiplications = 0
        function([cls(v) for v in (1.0, 2.0, -1.0, 4.0)], [0.5, -1.0, 2.0])
        return cls.multiplications


def exercises_of(lesson: int) -> Sequence[int]:
    """The numbers of a lesson's exercises."""
    return [number for found, number in EXERCISES if found == lesson]
