"""Checks gradients against numeric slopes in float64.

    (L(w + h) - L(w - h)) / 2h        should be        dL/dw

for entries of x and of every parameter w. The check samples entries of large arrays; one more test,
along a random direction, covers all entries of the array (after HIPS/autograd, `test_util.py`).

**What L is.** With targets y, L is the loss, with a model's regularizers. Without them, L = sum of
dy * y(x) for a fixed random dy: then `backward(dy)` must give the gradients of L.

**Kinks.** ReLU at 0, or two equal pixels under max pooling, have one slope to the left and another
to the right. A difference across a kink is not a gradient and does not disprove one. The two
one-sided differences reveal a kink: at a smooth point their gap shrinks with the step, across a
kink it does not. At a kink the gradient is right if it is one of the two slopes. If it is neither,
several kinks may meet; then the check tests the entry at points nearby, with x and all parameters
moved a little, so that no kink is met exactly. A wrong gradient is wrong there, too.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from minicnn import losses, shapes
from minicnn.explain import copies, show
from minicnn.layers.base import Layer
from minicnn.layers.penalties import with_penalties
from minicnn.models import Model
from minicnn.training.outputs import outputs_of

Array = np.ndarray

_POINTS, _ASIDE = 3, 0.01  # how many points nearby, and how far: a share of an array's size
_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 64 * _EPS  # of L, relative: some dozen operations' worth
_SHAKES = 4  # how many times all arrays are rounded differently to see the effect on L


class Slope(NamedTuple):
    """The slopes of L along one direction: from both sides, and from each side alone."""

    central: float
    right: float
    left: float
    noise: float  # how much rounding alone can change a difference

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)


class Entry(NamedTuple):
    """One tested entry; `at` is None for the direction along all entries.

    `verdict`: "ok"; "kink" (the gradient is one of the two slopes, or agrees nearby); "wrong";
    "undecided" (there are kinks nearby, too). `numeric` is the central difference, or, at a kink,
    the nearer of the two slopes; `error` is relative. An entry that was decided at a point nearby
    has the numbers of that point.
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
        """The worst of the wrong entries, or of all that were decided if none is wrong."""
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

    `passed`: nothing is wrong, and at least one gradient could be checked.
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
            if row.verdict == "frozen":  # listed below the table
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
                "at once. Away from the kinks it can be decided: add a little noise to x, such as "
                "x + 0.01 * np.random.default_rng(0).standard_normal(x.shape)."
            )
        if any(row.kinks for row in self.rows) and "kinks" not in by_verdict:
            said.append(
                "At a kink (ReLU at 0, a tie under max pooling) the slopes to the left and to the "
                "right differ. The gradient is one of them, or agrees close to the kink."
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
        return show.joined([self.title, "", *table, "", *self._sentences()])

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
    """Compare analytic and numeric gradients for x and every parameter; see the module's docstring.

    This checks a copy in float64: the layer or model itself, its weights and its optimizer stay as
    they are. Two or three small examples are enough; each tested entry costs two passes.

    Args:
        x: an array, or a list of them if the layer or model takes several.
        y: targets as `fit` takes them; L is then the loss, otherwise a random sum of the output.
        loss: a loss or its name; by default the one that the model was compiled with. For several
            outputs, as `compile` takes them; L is their sum, with compiled loss weights.
        training: run in training mode: BatchNormalization with the batch's statistics, Dropout
            with one fixed mask.
        entries: how many of each array's entries are tested; smaller arrays are tested in full.
        step, tolerance: h, and the largest relative error that passes.
        seed: for the sample, dy and the masks.

    Raises:
        TypeError: the first argument is not a layer, or x is not numeric.
        ValueError: x does not fit; there is NaN among weights or inputs; y is given without a loss;
            or the layer's output differs from pass to pass.
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
    arrays = {"x" if len(xs) == 1 else f"x[{i}]": a for i, a in enumerate(xs)}
    learned = clone.trainable_variables_by_name()
    arrays |= {name: variable.value for name, variable in learned.items()}
    function = _Function(
        clone, given, arrays, y, _loss(layer_or_model, y, loss, who), training, seed, who
    )
    gradients = function.gradients()
    rng = np.random.default_rng(seed)
    probes = [
        probe
        for name, gradient in gradients.items()
        if np.isfinite(gradient).all()
        for probe in _probes(name, gradient, entries, rng)
    ]
    found = _tested(function, probes, gradients, step, tolerance)
    found = _elsewhere(function, found, step, tolerance, rng)
    rows = []
    for name, array in arrays.items():
        own = tuple(entry for probe, entry in found if probe.name == name)
        finite = bool(np.isfinite(gradients[name]).all())
        rows.append(Row(name, array.shape, own, _verdict(own) if finite else "not finite"))
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


def _loss(source: Layer, y: Any, loss: Any, who: str) -> Any:
    """Return the loss, or a list of `Output`s if there are several; None without targets."""
    if y is None:
        if loss is not None:
            raise ValueError(f"{who}: a loss needs targets. Pass y, too.")
        return None
    names = source.target_names if isinstance(source, Model) and source.built else []
    if len(names) > 1:
        compiled = source.compiled_with if isinstance(source, Model) else None
        outputs = outputs_of(names, loss, None, None, None) if loss is not None else None
        outputs = outputs or (compiled.outputs if compiled is not None else [])
        if not any(output.loss for output in outputs):
            raise ValueError(f"{who}: targets need losses. Pass loss=[…], or compile the model.")
        return [replace(output, loss=output.loss and _summed(output.loss)) for output in outputs]
    if loss is None:
        loss = getattr(source, "loss", None)
        if loss is None:
            raise ValueError(
                f'{who}: targets need a loss. Pass loss="categorical_crossentropy", or compile '
                "the model with one."
            )
    return _summed(losses.get(loss))


def _summed(loss: losses.Loss) -> losses.Loss:
    """Return a copy whose value is one number: the gradient of reduction "none" is the sum's."""
    found = copy.copy(loss)
    if found.reduction == "none":
        found.reduction = "sum"
    return found


class _Function:
    """L as a function of the copy's weights and of x, which change in place between passes."""

    def __init__(
        self,
        clone: Any,
        x: Any,
        arrays: dict[str, Array],
        y: Any,
        loss: Any,
        training: bool,
        seed: int,
        who: str,
    ) -> None:
        self.clone, self.x, self.arrays, self.y, self.loss = clone, x, arrays, y, loss
        self.training, self.seed, self.who = training, seed, who
        outputs = self._forward()[0]
        for a in outputs:
            if a.dtype != np.float64:
                raise ValueError(
                    f"{who}: the output is {a.dtype} though the layer's dtype is float64, and too "
                    "coarse for small steps: a layer of your own computes in self.dtype."
                )
        again = self._forward()[0]
        if any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(outputs, again)):
            raise ValueError(f"{who}: two passes with the same x give different outputs.")
        rng = np.random.default_rng(seed)
        self.dy = [rng.standard_normal(a.shape) for a in outputs]

    def _forward(self) -> tuple[list[Array], Any]:
        copies.restart_random_layers(self.clone, self.seed)
        y, cache = self.clone.forward(self.x, self.training)
        outputs = list(y) if isinstance(y, (list, tuple)) else [y]
        return [np.array(a) for a in outputs], cache  # copies: y may be x itself

    def _loss(self, outputs: list[Array], cache: Any) -> tuple[float, Any, Any]:
        """Return the loss as training computes it, dy, and whether dy is that of the logits."""
        if isinstance(self.clone, Model):
            y_pred: Any = outputs[0] if len(outputs) == 1 else outputs
            found = self.clone.losses_of_pass(self.y, y_pred, cache, self.loss)
            value = sum(one.value for one in found if one) + self.clone.penalty(cache)
            return value, *self.clone.dy_of_pass(found, y_pred)
        value, loss_cache = self.loss.forward(np.asarray(self.y), outputs[0])
        return float(value), self.loss.backward(loss_cache), False

    def gradients(self) -> dict[str, Array]:
        """Return backward's gradient of each array; `ValueError` if one is missing or misfits."""
        outputs, cache = self._forward()
        if self.loss is None:
            dy: Any = self.dy if len(self.dy) > 1 else self.dy[0]
            dx, grads = self.clone.backward(dy, cache)
        else:
            _, dy, at_logits = self._loss(outputs, cache)
            if isinstance(self.clone, Model):
                dx, grads = self.clone.backward(dy, cache, at_logits=at_logits, penalized=True)
                grads = with_penalties(grads, self.clone.trainable_variables_by_name())
            else:
                dx, grads = self.clone.backward(dy, cache, at_logits=at_logits)
        several = list(dx) if isinstance(dx, (list, tuple)) else [dx]
        given = dict(zip(self.arrays, several)) | dict(grads)
        found = {}
        for name, array in self.arrays.items():
            if given.get(name) is None:
                raise ValueError(f"{self.who}: backward gave no gradient for {name}.")
            found[name] = np.array(given[name])
            if found[name].shape != array.shape:
                raise ValueError(
                    f"{self.who}: backward's gradient of {name} has shape {found[name].shape}. "
                    f"Expected {array.shape}."
                )
        return found

    def value(self) -> Any:
        """Return the outputs, or the loss, as `difference` takes them."""
        outputs, cache = self._forward()
        return outputs if self.loss is None else self._loss(outputs, cache)[0]

    def difference(self, a: Any, b: Any) -> float:
        """Return L(a) - L(b), subtracted before summing, which rounds less."""
        if self.loss is not None:
            return float(a - b)
        return sum(float((dy * (p - q)).sum()) for dy, p, q in zip(self.dy, a, b))

    def size(self, value: Any) -> float:
        """Return the size of the numbers that add up to L."""
        if self.loss is not None:
            return max(1.0, abs(value))
        return sum(float(np.abs(dy * p).sum()) for dy, p in zip(self.dy, value))

    def rounding(self, here: Any) -> float:
        """Return how much rounding alone can change L, given `here`, which is `value()`.

        It is the rounding of some dozen operations, or more if the network amplifies it (a
        normalization divides the rounding of equal numbers by nearly 0). Changing the last digit of
        all numbers shows how much.
        """
        start = {name: array.copy() for name, array in self.arrays.items()}
        rng, changes = np.random.default_rng(0), []
        for _ in range(_SHAKES):
            for name, array in self.arrays.items():
                array[...] = start[name] * (1 + _EPS * rng.choice((-1, 1), array.shape))
            changes.append(abs(self.difference(self.value(), here)))
        for name, array in self.arrays.items():
            array[...] = start[name]
        return max(_ROUNDING * self.size(here), 8 * max(changes))

    def slope(self, probe: "_Probe", here: Any, step: float, rounding: float) -> Slope:
        """Take steps from where the arrays are, with `here = value()`, and put the arrays back."""
        array = self.arrays[probe.name]
        start = array.copy() if probe.at is None else array[probe.at]
        values = []
        for h in (step, -step):
            if probe.at is None:
                array[...] = start + h * probe.vector
            else:
                array[probe.at] = start + h
            values.append(self.value())
        array[... if probe.at is None else probe.at] = start
        return Slope(
            self.difference(*values) / (2 * step),
            self.difference(values[0], here) / step,
            self.difference(here, values[1]) / step,
            rounding / step,
        )


class _Probe(NamedTuple):
    """A direction to step along: one entry of an array, or (`at` is None) all of them at once."""

    name: str
    at: tuple[int, ...] | None
    vector: Any = None

    def analytic(self, gradients: dict[str, Array]) -> float:
        gradient = gradients[self.name]
        return float((gradient * self.vector).sum() if self.at is None else gradient[self.at])


def _probes(name: str, gradient: Array, entries: int, rng: np.random.Generator) -> list[_Probe]:
    """Return all entries of a small array; a sample of a large one, and all of it at once."""
    chosen = np.arange(gradient.size)
    if gradient.size > entries:
        # The sample always has the largest gradient: an error there matters most.
        largest = int(np.abs(gradient).argmax())
        others = rng.choice(gradient.size, entries, replace=False)
        chosen = np.sort(np.append(others[others != largest][: entries - 1], largest))
    places = [np.unravel_index(int(index), gradient.shape) for index in chosen]
    probes = [_Probe(name, tuple(int(i) for i in place)) for place in places]
    if gradient.size > entries:
        vector = rng.standard_normal(gradient.shape)
        probes.append(_Probe(name, None, vector / np.abs(vector).max()))
    return probes


def _error(analytic: float, numeric: float, noise: float, tolerance: float) -> float:
    """Return the error relative to the gradient, or to the rounding if that is larger."""
    difference = abs(analytic - numeric)
    return difference / max(abs(analytic), abs(numeric), noise / tolerance, 1e-300)


def _tested(
    function: _Function,
    probes: list[_Probe],
    gradients: dict[str, Array],
    step: float,
    tolerance: float,
) -> list[tuple[_Probe, Entry]]:
    here = function.value()
    rounding = function.rounding(here)

    def slope(probe: _Probe, step: float) -> Slope:
        return function.slope(probe, here, step, rounding)

    return [
        (probe, _entry(slope, probe, probe.analytic(gradients), step, tolerance))
        for probe in probes
    ]


def _entry(
    slope: Callable[[_Probe, float], Slope],
    probe: _Probe,
    analytic: float,
    step: float,
    tolerance: float,
) -> Entry:
    # Along all entries at once, the step is smaller, since some kink is always near.
    wide = slope(probe, step if probe.at is not None else step / 10)
    error = _error(analytic, wide.central, wide.noise, tolerance)
    if error <= tolerance:
        return Entry(probe.at, analytic, wide.central, wide, error, "ok")
    # There may be a kink nearby, or much curvature: a smaller step does not reach as far.
    near = slope(probe, step / 10 if probe.at is not None else step / 100)
    error = _error(analytic, near.central, near.noise, tolerance)
    if error <= tolerance:
        return Entry(probe.at, analytic, near.central, near, error, "ok")
    if not math.isfinite(near.central):
        return Entry(probe.at, analytic, near.central, near, math.inf, "wrong")
    stays = near.gap > 0.3 * wide.gap and near.gap > 4 * near.noise
    if stays and near.gap > 0.1 * abs(analytic - near.central):
        # One-sided differences are less exact than central ones, by curvature * h / 2.
        loose = max(tolerance * 100, 10 * near.noise / max(abs(analytic), near.gap))
        side = min(near.left, near.right, key=lambda slope: abs(analytic - slope))
        difference = abs(analytic - side) / max(abs(analytic), near.gap)
        if difference <= loose:
            return Entry(probe.at, analytic, side, near, difference, "kink")
        return Entry(probe.at, analytic, near.central, near, error, "undecided")
    return Entry(probe.at, analytic, near.central, near, error, "wrong")


def _elsewhere(
    function: _Function,
    found: list[tuple[_Probe, Entry]],
    step: float,
    tolerance: float,
    rng: np.random.Generator,
) -> list[tuple[_Probe, Entry]]:
    """Test entries that did not agree again at points nearby, where no kink is met exactly.

    A wrong gradient is wrong there, too; a gradient that met several kinks at once is right.
    """
    doubtful = [probe for probe, entry in found if entry.verdict in ("wrong", "undecided")]
    if not doubtful:
        return found
    start = {name: array.copy() for name, array in function.arrays.items()}
    tries: dict[int, list[Entry]] = {id(probe): [] for probe in doubtful}
    for _ in range(_POINTS):
        for name, array in function.arrays.items():
            size = float(np.sqrt(np.square(start[name]).mean())) or 1.0
            array[...] = start[name] + _ASIDE * size * rng.standard_normal(array.shape)
        gradients = function.gradients()
        for probe, entry in _tested(function, doubtful, gradients, step, tolerance):
            tries[id(probe)].append(entry)
    for name, array in function.arrays.items():
        array[...] = start[name]

    def decided(probe: _Probe, entry: Entry) -> Entry:
        wrong = [other for other in tries[id(probe)] if other.verdict == "wrong"]
        right = [other for other in tries[id(probe)] if other.verdict in ("ok", "kink")]
        # Along all entries at once, each point may be near a kink: one right answer is enough.
        if wrong and (probe.at is not None or not right):
            return wrong[0]
        return right[0]._replace(verdict="kink") if right else entry._replace(verdict="undecided")

    return [
        (probe, decided(probe, entry) if id(probe) in tries else entry) for probe, entry in found
    ]


def _verdict(entries: tuple[Entry, ...]) -> str:
    verdicts = {entry.verdict for entry in entries}
    if "wrong" in verdicts:
        return "wrong"
    return "ok" if verdicts & {"ok", "kink"} else "kinks"
