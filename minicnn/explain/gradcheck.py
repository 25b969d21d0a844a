"""Are the gradients right? Each one beside what a small step says, in float64.

    (L(w + h) - L(w - h)) / 2h        should be        dL/dw

for entries of x and of every parameter w. Entries of large arrays are sampled; one more test, along
a random direction, has all entries of the array in it (after HIPS/autograd, `test_util.py`).

**What L is.** With targets y, the loss. Without, L = sum of dy * y(x), for a fixed random dy: then
`backward(dy)` must give the gradients of L.

**Kinks.** ReLU at 0, or two equal pixels under max pooling, have a slope to the left and another to
the right. A difference across a kink is no gradient, and says nothing against one. It is told by
the two one-sided differences: in a smooth place their gap shrinks with the step, across a kink it
stays. There the gradient is right if it is one of the two slopes; if it is neither, several kinks
meet, and the entry is left undecided.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn import losses, shapes
from minicnn.explain import copies, show
from minicnn.layers.base import Layer
from minicnn.model import Model

Array = np.ndarray

_ROUNDING = 64 * np.finfo(np.float64).eps  # of L, relative: some dozen operations' worth


class Slope(NamedTuple):
    """What steps along one direction say: the slope of L from both sides, and from each one."""

    central: float
    right: float
    left: float
    noise: float  # what rounding alone may make of a difference

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)


class Entry(NamedTuple):
    """One tested entry; `at` is None for the direction that all entries share.

    `verdict`: "ok"; "kink" (the gradient is one of the two slopes); "undecided" (several kinks
    meet); "wrong". `numeric` is the central difference, at a kink the nearer one of the two slopes;
    `error` is relative.
    """

    at: tuple[int, ...] | None
    analytic: float
    numeric: float
    slope: Slope
    error: float
    verdict: str


class Row(NamedTuple):
    """One array: x or a parameter. `worst` is the entry with the largest relative error."""

    name: str
    shape: tuple[int, ...]
    entries: tuple[Entry, ...]
    verdict: str  # "ok", "kinks", "wrong", "frozen", "not finite"

    @property
    def tested(self) -> int:
        return sum(entry.at is not None for entry in self.entries)

    @property
    def kinks(self) -> int:
        return sum(entry.verdict in ("kink", "undecided") for entry in self.entries)

    @property
    def worst(self) -> Entry | None:
        """Of those that were wrong, else of those that were decided."""
        for verdicts in (("wrong",), ("ok",), ("kink", "undecided")):
            found = [entry for entry in self.entries if entry.verdict in verdicts]
            if found:
                return max(found, key=lambda entry: entry.error)
        return None

    @property
    def worst_error(self) -> float:
        return self.worst.error if self.worst is not None else 0.0


class GradientCheck:
    """The result: `rows`, `passed`; prints as a table.

    `passed`: nothing is wrong, and something could be told.
    """

    def __init__(self, title: str, rows: list[Row], tolerance: float) -> None:
        self.title, self.rows, self.tolerance = title, rows, tolerance

    @property
    def passed(self) -> bool:
        bad = any(row.verdict in ("wrong", "not finite") for row in self.rows)
        return not bad and any(row.verdict == "ok" for row in self.rows)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"No array {name!r} was checked: {[row.name for row in self.rows]}.")

    _HEADER = ("array", "shape", "tested", "at kinks", "worst error", "at", "gradient", "numeric")

    def _cells(self) -> list[list[str]]:
        lines = [[*self._HEADER, "verdict"]]
        for row in self.rows:
            if row.verdict == "frozen":  # told below
                continue
            worst, size = row.worst, math.prod(row.shape)
            cells = [row.name, "×".join(map(str, row.shape)) or "one number"]
            if worst is None:
                cells += [""] * 6
            else:
                at = "all at once" if worst.at is None else show.place(worst.at)
                cells += [
                    f"{row.tested} of {size}",
                    str(row.kinks),
                    f"{worst.error:.1e}",
                    at,
                    show.number(worst.analytic),
                    show.number(worst.numeric),
                ]
            lines.append([*cells, row.verdict])
        return lines

    def _sentences(self) -> list[str]:
        by_verdict: dict[str, list[str]] = {}
        for row in self.rows:
            by_verdict.setdefault(row.verdict, []).append(row.name)
        said = []
        if "wrong" in by_verdict:
            said.append(
                f"WRONG: backward's gradient of {_listed(by_verdict['wrong'])} is not the slope of "
                "the function that forward computes."
            )
        if "not finite" in by_verdict:
            said.append(
                f"NaN or infinity in the gradients of {_listed(by_verdict['not finite'])}: look at "
                "the weights and at x first."
            )
        if "kinks" in by_verdict:
            said.append(
                f"Undecided: every step for {_listed(by_verdict['kinks'])} crosses several kinks "
                "at once. Off the kinks it can be told: add a little noise to x, such as "
                "x + 0.01 * np.random.default_rng(0).standard_normal(x.shape)."
            )
        if any(row.kinks for row in self.rows) and "kinks" not in by_verdict:
            said.append(
                "At a kink (ReLU at 0, a tie under max pooling) the slopes to the left and to the "
                "right differ; the gradient is one of them, which is right."
            )
        if "frozen" in by_verdict:
            said.append(f"Frozen, so backward gives no gradient: {_listed(by_verdict['frozen'])}.")
        if self.passed and "kinks" not in by_verdict:
            said.insert(
                0, f"All gradients agree with the slopes (relative error <= {self.tolerance:g})."
            )
        return said

    def __str__(self) -> str:
        table = show.columns(self._cells(), left=2)
        return "\n".join([self.title, "", *table, "", *self._sentences()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, *rows = self._cells()
        table = show.html_table(header, rows, left=2)
        return show.html_block(self.title, [table, *map(show.html_text, self._sentences())])


def gradcheck(
    layer_or_model: Layer,
    x: Any,
    y: Any = None,
    loss: Any = None,
    *,
    training: bool = False,
    entries: int = 10,
    step: float = 1e-5,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> GradientCheck:
    """Analytic beside numeric gradients for x and every parameter; see the top of the module.

    A copy in float64 is checked: the layer or model itself, its weights and its optimizer stay as
    they are. Two or three small examples are enough; each tested entry costs two passes.

    Args:
        x: an array, or a list of them where the layer or model takes several.
        y: targets as `fit` takes them; L is then the loss, else a random sum of the output.
        loss: a loss or its name; by default the one that the model was compiled with.
        training: run as while training: BatchNormalization with the batch's statistics, Dropout
            with one fixed mask.
        entries: how many of each array's entries are tested; smaller arrays are tested in full.
        step, tolerance: h, and the largest relative error that passes.
        seed: of the sample, of dy and of masks.

    Raises:
        TypeError: for what is no layer, and for x that is no numbers.
        ValueError: for x that does not fit, for NaN among weights or inputs, for y without a loss,
            and for a layer whose output is another one at each pass.
    """
    if not isinstance(layer_or_model, Layer):
        raise TypeError(
            "gradcheck expects a layer or a model of minicnn. "
            f"Received {type(layer_or_model).__name__}."
        )
    who = f"gradcheck of {layer_or_model.label}"
    entries = shapes.positive_int(entries, "entries", who)
    xs = [_numbers(item, who) for item in (x if isinstance(x, (list, tuple)) else [x])]
    given: Any = xs if isinstance(x, (list, tuple)) else xs[0]
    clone = copies.copied(layer_or_model, "float64")
    copies.build(clone, given)
    for path, value in {v.path: v.value for v in clone.weights}.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{who}: the weight {path} has NaN or infinity in it.")
    function = _Function(clone, given, y, _loss(layer_or_model, y, loss, who), training, seed, who)
    dx, grads = function.gradients()
    arrays = {"x" if len(xs) == 1 else f"x[{i}]": a for i, a in enumerate(xs)}
    gradients = dict(zip(arrays, dx if isinstance(dx, (list, tuple)) else [dx]))
    learned = clone.trainable_variables_by_name()
    arrays |= {name: learned[name].value for name in learned}
    gradients |= grads
    rng = np.random.default_rng(seed)
    rows = [
        _row(name, array, gradients.get(name), function, rng, entries, step, tolerance, who)
        for name, array in arrays.items()
    ]
    held = {id(variable) for variable in learned.values()}
    rows += [
        Row(v.path, v.shape, (), "frozen")
        for v in clone.weights
        if v.trainable and id(v) not in held
    ]
    what = "the loss" if y is not None else "a random sum of the output"
    title = f"Gradients of {what} of {layer_or_model.label}, float64, step {step:g}"
    return GradientCheck(title, rows, tolerance)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")


def _numbers(x: Any, who: str) -> Array:
    array = np.asarray(x)
    shapes.check_numbers(array, "x", who)
    if not np.isfinite(array).all():
        raise ValueError(f"{who} expects finite x. Received NaN or infinity.")
    if array.size == 0:
        raise ValueError(f"{who} expects at least one example. Received x.shape={array.shape}.")
    return np.array(array, np.float64)


def _loss(source: Layer, y: Any, loss: Any, who: str) -> losses.Loss | None:
    if y is None:
        if loss is not None:
            raise ValueError(f"{who}: a loss needs targets. Pass y, too.")
        return None
    if loss is None:
        loss = getattr(source, "loss", None)
        if loss is None:
            raise ValueError(
                f'{who}: targets need a loss. Pass loss="categorical_crossentropy", or compile '
                "the model with one."
            )
    found = copy.copy(losses.get(loss))
    if found.reduction == "none":  # whose gradient is that of the sum
        found.reduction = "sum"
    return found


class _Function:
    """L of the copy's weights and of x, arrays that are changed in place between two passes."""

    def __init__(
        self,
        clone: Any,
        x: Any,
        y: Any,
        loss: losses.Loss | None,
        training: bool,
        seed: int,
        who: str,
    ) -> None:
        self.clone, self.x, self.y, self.loss = clone, x, y, loss
        self.training, self.seed, self.who = training, seed, who
        outputs = self._forward()[0]
        again = self._forward()[0]
        if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(outputs, again)):
            raise ValueError(f"{who}: two passes with the same x give different outputs.")
        rng = np.random.default_rng(seed)
        self.dy = [rng.standard_normal(a.shape) for a in outputs]

    def _forward(self) -> tuple[list[Array], Any]:
        copies.restart_dropout(self.clone, self.seed)
        y, cache = self.clone.forward(self.x, self.training)
        outputs = list(y) if isinstance(y, (list, tuple)) else [y]
        return [np.array(a) for a in outputs], cache  # y may be x itself, which moves

    def _loss(self, outputs: list[Array], cache: Any) -> tuple[float, Any, bool]:
        """The loss as training computes it: from the logits, where the model ends in softmax."""
        assert self.loss is not None
        if isinstance(self.clone, Model):
            y_pred: Any = outputs[0] if len(outputs) == 1 else outputs
            found = self.clone.loss_of_pass(self.y, y_pred, cache, self.loss)
            return found.value, found.cache, found.at_logits
        value, loss_cache = self.loss.forward(np.asarray(self.y), outputs[0])
        return float(value), loss_cache, False

    def gradients(self) -> tuple[Any, dict[str, Array]]:
        outputs, cache = self._forward()
        if self.loss is None:
            dy: Any = self.dy if len(self.dy) > 1 else self.dy[0]
            dx, grads = self.clone.backward(dy, cache)
        else:
            _, loss_cache, at_logits = self._loss(outputs, cache)
            dy = self.loss.backward(loss_cache)
            dx, grads = self.clone.backward(dy, cache, at_logits=at_logits)
        return dx, dict(grads)

    def value(self) -> Any:
        """The outputs, or the loss: whatever `difference` takes."""
        outputs, cache = self._forward()
        return outputs if self.loss is None else self._loss(outputs, cache)[0]

    def difference(self, a: Any, b: Any) -> float:
        """L(a) - L(b), subtracted before it is summed: less rounding."""
        if self.loss is not None:
            return float(a - b)
        return sum(float((dy * (p - q)).sum()) for dy, p, q in zip(self.dy, a, b))

    def size(self, value: Any) -> float:
        """How large the numbers are that L is made of."""
        if self.loss is not None:
            return max(1.0, abs(value))
        return sum(float(np.abs(dy * p).sum()) for dy, p in zip(self.dy, value))


def _slope(function: _Function, here: Any, move: Callable[[float], None], step: float) -> Slope:
    values = []
    for h in (step, -step):
        move(h)
        values.append(function.value())
    move(0.0)
    right = function.difference(values[0], here) / step
    left = function.difference(here, values[1]) / step
    central = function.difference(*values) / (2 * step)
    return Slope(central, right, left, _ROUNDING * function.size(here) / step)


def _error(analytic: float, numeric: float, noise: float, tolerance: float) -> float:
    """The relative error; a gradient that drowns in rounding is measured against that instead."""
    difference = abs(analytic - numeric)
    return difference / max(abs(analytic), abs(numeric), noise / tolerance, 1e-300)


def _tested(
    function: _Function,
    here: Any,
    move: Callable[[float], None],
    at: tuple[int, ...] | None,
    analytic: float,
    step: float,
    tolerance: float,
) -> Entry:
    wide = _slope(function, here, move, step)
    error = _error(analytic, wide.central, wide.noise, tolerance)
    if error <= tolerance:
        return Entry(at, analytic, wide.central, wide, error, "ok")
    # A kink that lies a little aside, or much curvature: a smaller step does not reach as far.
    near = _slope(function, here, move, step / 10)
    error = _error(analytic, near.central, near.noise, tolerance)
    if error <= tolerance:
        return Entry(at, analytic, near.central, near, error, "ok")
    if not math.isfinite(near.central):
        return Entry(at, analytic, near.central, near, math.inf, "wrong")
    stays = near.gap > 0.3 * wide.gap and near.gap > 4 * near.noise
    if stays and near.gap > 0.1 * abs(analytic - near.central):
        # One-sided differences are less exact than central ones: by curvature * h / 2.
        loose = max(tolerance * 100, 10 * near.noise / max(abs(analytic), near.gap))
        side = min(near.left, near.right, key=lambda slope: abs(analytic - slope))
        difference = abs(analytic - side) / max(abs(analytic), near.gap)
        if difference <= loose:
            return Entry(at, analytic, side, near, difference, "kink")
        return Entry(at, analytic, near.central, near, error, "undecided")
    return Entry(at, analytic, near.central, near, error, "wrong")


def _row(
    name: str,
    array: Array,
    gradient: Any,
    function: _Function,
    rng: np.random.Generator,
    entries: int,
    step: float,
    tolerance: float,
    who: str,
) -> Row:
    if gradient is None:
        raise ValueError(f"{who}: backward gave no gradient for {name}.")
    gradient = np.asarray(gradient)
    if gradient.shape != array.shape:
        raise ValueError(
            f"{who}: backward's gradient of {name} has shape {gradient.shape}. "
            f"Expected {array.shape}."
        )
    if not np.isfinite(gradient).all():
        return Row(name, array.shape, (), "not finite")
    here = function.value()
    flat, start = array.reshape(-1), array.copy()
    assert np.shares_memory(flat, array)
    chosen = np.arange(flat.size)
    if flat.size > entries:
        # The largest gradient is always there: where it is wrong, it matters most.
        largest = int(np.abs(gradient).argmax())
        others = rng.choice(flat.size, entries, replace=False)
        chosen = np.sort(np.append(others[others != largest][: entries - 1], largest))
    found = []
    for index in map(int, chosen):

        def move(h: float, index: int = index) -> None:
            flat[index] = start.flat[index] + h

        at = tuple(int(i) for i in np.unravel_index(index, array.shape))
        analytic = float(gradient[at])
        found.append(_tested(function, here, move, at, analytic, step, tolerance))
    if flat.size > len(chosen):
        direction = rng.standard_normal(array.shape)
        direction /= np.abs(direction).max()

        def move_all(h: float) -> None:
            array[...] = start + h * direction

        # Smaller: with so many entries some kink is always near.
        slope = float((gradient * direction).sum())
        found.append(_tested(function, here, move_all, None, slope, step / 10, tolerance))
    array[...] = start
    verdicts = {entry.verdict for entry in found}
    if "wrong" in verdicts:
        verdict = "wrong"
    else:
        verdict = "ok" if verdicts & {"ok", "kink"} else "kinks"
    return Row(name, array.shape, tuple(found), verdict)
