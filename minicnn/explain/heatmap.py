"""Heat maps show which parts of a photo speak for a class; each number of a map is a sum.

    heat = trace.heatmap("grad_cam")               # of the most likely class
    heat.values                                    # the map; heat.pixels: as large as the photo
    print(heat.explain(at=(3, 4)))                 # one number of it, term by term
    heat.plot()                                    # over the photo
    print(heat.sanity_check())                     # does it depend on what the network learned?

The four methods, and what each can show:

    grad_cam                which places of a layer's maps: coarse, and only evidence for the class;
                            at a layer near the photo it means little
    occlusion               what covering a square changes: a fact about this photo and this
                            cover, but squares that do the same job hide each other
    gradient_x_input        each pixel's share if the score were linear; where a unit is
                            saturated, a pixel that matters gets nothing
    integrated_gradients    the same, added up on a path from a baseline to the photo; all shares
                            add up to the difference of the scores, but depend on the baseline

None of them shows why the network has learned to look there, or whether it is right.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn._support.terminal import printable
from minicnn.explain import show
from minicnn.explain.arithmetic import check_place, find_spot
from minicnn.explain.classes import ClassScore, class_score
from minicnn.explain.explanation import (
    Explanation,
    Step,
    Terms,
    make_gradient_terms,
    make_terms,
)
from minicnn.explain.randomized import SanityCheck, sanity_check
from minicnn.layers.arithmetic import GetItem

Array = np.ndarray

_AT_ONCE = 16  # photos in one pass
_ROWS_COLUMNS = ("rows", "columns")


class Heatmap:
    """A map of numbers over one photo, which say how much each part speaks for a class.

    `values` (rows, columns) is the map, `of` the class with its score, `trace` the pass (in
    inference mode). Orange, above zero, speaks for the class, blue against it.
    """

    method = ""
    called = ""  # in the title of a figure
    formula = ""
    options: tuple[str, ...] = ()
    example = 0  # in the trace that made it

    def __init__(self, trace: Any, of: ClassScore, **chosen: Any) -> None:
        self.trace, self.of, self.chosen = trace, of, chosen
        self.photo: Array = trace.x[0]
        self.score = float(of.scores(trace.y, trace._tape)[0])
        self.probability = float(of.probabilities(trace.y)[0])
        self.values: Array = self._compute(**chosen)

    def _compute(self, *args: Any, **kwargs: Any) -> Array:
        raise NotImplementedError

    def _sum(self, at: tuple[int, ...]) -> tuple[Terms, str, list[Step]]:
        """Return the terms of one number of the map, its formula, and the steps after the sum."""
        raise NotImplementedError

    @property
    def pixels(self) -> Array:
        """The map at the size of the photo, (height, width)."""
        return self.enlarged(self.values)

    def enlarged(self, values: Array) -> Array:
        """Return a map like `values` at the size of the photo."""
        return values

    def explain(self, at: Any) -> Explanation:
        """Return one number of the map as a sum: `at` is (row, column) of `values`."""
        place = check_place(self._label, self.values.shape, at, "cells", _ROWS_COLUMNS)
        terms, formula, steps = self._sum(place)
        return self._explanation("heat", place, terms, formula, float(self.values[place]), steps)

    def _explanation(
        self,
        what: str,
        at: tuple[int, ...],
        terms: Terms,
        formula: str,
        value: float,
        steps: list[Step] | None = None,
    ) -> Explanation:
        explanation = Explanation(
            name=self._label,
            layer=None,
            what=what,
            at=at,
            example=self.example,
            formula=formula,
            terms=terms,
            value=value,
            steps=steps or [],
            epsilon=float(np.finfo(self.values.dtype).eps),
        )
        explanation.result = steps[-1].value if steps else explanation.total
        return explanation

    def sanity_check(self, seed: int = 0) -> SanityCheck:
        """Return how the map changes when the network forgets, layer by layer, from the output on.

        See `minicnn.explain.SanityCheck`. Each layer with weights takes the time of a heat map.
        """

        def again(model: Any) -> Heatmap:
            trace = type(self.trace)(model, self.trace.x)
            return type(self)(trace, replace(self.of, model=model), **self.chosen)

        return sanity_check(self, again, seed)

    def plot(self, title: str = "") -> Any:
        """Plot the photo, and the map over it; see `minicnn.plots.heatmaps`."""
        from minicnn import plots

        return plots.heatmaps([self], title)

    # -- text ----------------------------------------------------------------------------------

    @property
    def class_text(self) -> str:
        """The class in words: `"hat"`, `class 3`, or the place of a number."""
        if not self.of.has_probability:
            shape = self.trace.y.shape[1:]
            return f"output {show.place(np.unravel_index(self.of.index, shape))}"
        return f'"{self.of.name}"' if self.of.name else f"class {self.of.index}"

    @property
    def _label(self) -> str:
        return f"{self.method} of {self.class_text}"

    def _facts(self) -> list[str]:
        """Return lines about this kind of map."""
        return []

    def __str__(self) -> str:
        rows, columns = self.values.shape
        most, least = (
            np.unravel_index(index, self.values.shape)
            for index in (self.values.argmax(), self.values.argmin())
        )
        score = f"score {show.number(self.score)}"
        if self.of.has_probability:
            score += f", probability {self.probability:.1%}"
        lines = [
            f"{self._label} ({score}): {rows}×{columns} numbers",
            "",
            f"    {self.formula}",
            *(f"    {fact}" for fact in self._facts()),
            f"    largest {show.number(self.values[most])} at {show.place(most)}, "
            f"smallest {show.number(self.values[least])} at {show.place(least)}, "
            f"{np.mean(self.values == 0):.0%} are 0",
        ]
        return show.joined(lines)

    __repr__ = __str__


class GradCam(Heatmap):
    """Which places of a layer's maps A speak for the class (Selvaraju et al. 2017).

    heat[r, c] = max(Σ over k of α[k]·A[r, c, k], 0)
    α[k]       = the mean over all places of d score / d A[:, :, k]

    `layer` is a layer with maps; by default the last one that has more than one place (if a network
    ends in several, see `GradCamSum`). `maps` is A (rows, columns, channels), `gradients` d score /
    d A, and `weights` α. The surprise: evidence against the class is cut off, and the map cannot
    separate places that the layer has already pooled together.
    """

    method = "grad_cam"
    called = "Grad-CAM"
    formula = (
        "heat[r, c] = max(Σ over k of α[k]·A[r, c, k], 0),  α[k] = mean of d score / d A[:, :, k]"
    )
    options = ("layer",)

    def _compute(self, layer: Any) -> Array:
        self.entry = self.trace._leaf(layer)
        if np.ndim(self.entry.y) != 4:
            raise ValueError(
                f"grad_cam expects a layer with maps, (rows, columns, channels). "
                f"{self.entry.layer.label} gives {self.entry.y_shape}."
            )
        if self.entry.dy is None:  # the first of several maps goes backward for all
            self.trace.go_backward(*self.of.start(self.trace.y))
        if self.entry.dy is None:
            raise ValueError(f"{self.entry.layer.label} does not lead to the score.")
        self.maps: Array = self.entry.y[0]
        self.gradients: Array = self.entry.dy[0]
        self.weights: Array = self.gradients.mean(axis=(0, 1), dtype=np.float64)
        return np.maximum(self.maps @ self.weights, 0).astype(self.maps.dtype)

    def enlarged(self, values: Array) -> Array:
        """Return a map like `values` at the size of the photo, by linear interpolation."""
        small = values[None, :, :, None]
        return functional.resize(small, self.photo.shape[:2], "bilinear")[0, :, :, 0]

    def _sum(self, at: tuple[int, ...]) -> tuple[Terms, str, list[Step]]:
        channels = np.arange(self.maps.shape[2])
        places = np.column_stack([np.tile(at, (len(channels), 1)), channels])
        terms = make_terms(places, self.maps[at], self.weights)
        total = float(terms.product.sum())
        place = ", ".join(map(str, at))
        formula = f"heat[{place}] = max(Σ over k of A[{place}, k]·α[k], 0)"
        return terms, formula, [Step("heat", "max(total, 0)", max(total, 0.0))]

    def explain_weight(self, channel: int) -> Explanation:
        """Return α of one channel: the mean of the score's gradient over the places of its map."""
        at = check_place(self._label, self.weights.shape, channel, "channels", ("channels",))
        rows, columns = self.values.shape
        places = np.indices(self.values.shape).reshape(2, -1).T
        places = np.column_stack([places, np.full(len(places), at[0])])
        gradients = self.gradients[..., at[0]].ravel()
        terms = make_gradient_terms(0, places, gradients, 1 / (rows * columns), places)
        formula = f"α[{at[0]}] = Σ over r, c of d score / d A[r, c, {at[0]}] / {rows * columns}"
        return self._explanation("α", at, terms, formula, float(self.weights[at]))

    def _facts(self) -> list[str]:
        rows, columns, channels = self.maps.shape
        return [f"A: {printable(self.entry.name)}, {channels} maps of {rows}×{columns}"]


class GradCamSum(Heatmap):
    """Grad-CAM of a network that ends in maps of several layers: the sum of their Grad-CAMs.

    heat[r, c] = Σ over these layers of their Grad-CAM, as large as the photo

    Such a network combines several networks, or sees the photo at several sizes, or also its mirror
    image, whose maps are flipped back. `parts` has the `GradCam` of each layer, and `flips` has the
    slices of rows and columns that flip each one.
    """

    method = GradCam.method
    called = GradCam.called
    formula = "heat[r, c] = Σ over the layers in which the network ends of Grad-CAM[r, c]"

    def _compute(self, layers: list[str], flips: list[tuple[slice, slice]]) -> Array:
        self.parts = [GradCam(self.trace, self.of, layer=name) for name in layers]
        self.flips = flips
        return np.sum(self._flipped_back(), axis=0, dtype=self.photo.dtype)

    def _flipped_back(self) -> list[Array]:
        return [part.pixels[flip] for part, flip in zip(self.parts, self.flips, strict=True)]

    def _sum(self, at: tuple[int, ...]) -> tuple[Terms, str, list[Step]]:
        values = [pixels[at] for pixels in self._flipped_back()]
        places = [(number, *at) for number in range(len(values))]
        terms = make_terms(np.array(places), values, np.ones(len(values)))
        place = ", ".join(map(str, at))
        return terms, f"heat[{place}] = Σ over the layers n of Grad-CAM n[{place}]", []

    def _facts(self) -> list[str]:
        facts = []
        for number, (part, flip) in enumerate(zip(self.parts, self.flips, strict=True)):
            rows, columns = part.values.shape
            back = ", flipped back" if flip != _AS_IT_IS else ""
            facts.append(f"{number}: {printable(part.entry.name)}, {rows}×{columns}{back}")
        return facts


class Occlusion(Heatmap):
    """How much of the probability a covered square takes away (Zeiler and Fergus 2014).

    heat[r, c] = p(photo) - p(photo with square (r, c) covered)

    The squares are `size` pixels high and wide (a pair: rows, columns; by default a quarter of the
    photo), and move by `stride` (by default half of `size`); the last ones end at the border.
    `fill` is the colour that covers, a number or one for each channel; by default the photo's mean.
    The surprise: a square is not a natural absence. Its edges can look like something themselves,
    and another colour gives another map.
    """

    method = "occlusion"
    called = "occlusion"
    formula = "heat[r, c] = p(photo) - p(photo with square (r, c) covered)"
    options = ("size", "stride", "fill")

    def _compute(self, size: Any = None, stride: Any = None, fill: Any = None) -> Array:
        height, width, channels = self.photo.shape
        usual = max(1, height // 4), max(1, width // 4)
        self.size = usual if size is None else shapes.pair(size, "size", self.method)
        if self.size[0] > height or self.size[1] > width:
            raise ValueError(
                f"occlusion expects squares within the photo of {height}×{width} pixels. "
                f"Received size={size!r}."
            )
        half = tuple(max(1, side // 2) for side in self.size)
        self.stride = half if stride is None else shapes.pair(stride, "stride", self.method)
        if self.stride[0] > self.size[0] or self.stride[1] > self.size[1]:
            raise ValueError(
                "occlusion expects a stride of at most the size, or squares would leave gaps. "
                f"Received size={self.size}, stride={self.stride}."
            )
        self.fill = _colour(fill, channels, self.photo)
        self.rows = _starts(height, self.size[0], self.stride[0])
        self.columns = _starts(width, self.size[1], self.stride[1])
        squares = [(row, column) for row in self.rows for column in self.columns]
        parts = []
        for first in range(0, len(squares), _AT_ONCE):
            covered = np.stack([self.covered(*at) for at in squares[first : first + _AT_ONCE]])
            parts.append(self.of.probabilities(self.trace.model.run(covered)))
        self.without = np.concatenate(parts).reshape(len(self.rows), len(self.columns))
        return self.trace.y.dtype.type(self.probability) - self.without

    def covered(self, row: int, column: int) -> Array:
        """Return the photo with the square covered whose upper left pixel is this one."""
        photo = self.photo.copy()
        photo[row : row + self.size[0], column : column + self.size[1]] = self.fill
        return photo

    def enlarged(self, values: Array) -> Array:
        """Return for each pixel the mean of a map like `values` over the squares that cover it."""
        total, count = np.zeros(self.photo.shape[:2]), np.zeros(self.photo.shape[:2])
        for row, line in zip(self.rows, values, strict=True):
            for column, value in zip(self.columns, line, strict=True):
                square = np.s_[row : row + self.size[0], column : column + self.size[1]]
                total[square] += value
                count[square] += 1
        return (total / count).astype(values.dtype)

    def _sum(self, at: tuple[int, ...]) -> tuple[Terms, str, list[Step]]:
        terms = make_terms(np.array([at, at]), [self.probability, self.without[at]], [1, -1])
        row, column = self.rows[at[0]], self.columns[at[1]]
        rows = show.span(range(row, row + self.size[0]))
        columns = show.span(range(column, column + self.size[1]))
        formula = f"heat{show.place(at)} = p(photo) - p(rows {rows}, columns {columns} covered)"
        return terms, formula, []

    def _facts(self) -> list[str]:
        colour = ", ".join(show.number(v) for v in self.fill)
        return [
            f"squares of {self.size[0]}×{self.size[1]} pixels, every {self.stride[0]} rows and "
            f"{self.stride[1]} columns, covered with {colour}"
        ]


class GradientTimesInput(Heatmap):
    """Each pixel's share in the score, as if the score were linear (Shrikumar et al. 2016).

    heat[r, c] = Σ over channels of x[r, c, k]·d score / d x[r, c, k]

    `gradients` is d score / d x. The surprise: x is the model's input, so a pixel that is 0 there
    (black, or grey if the pixels lie between -1 and 1) gets nothing, whatever it shows.
    """

    method = "gradient_x_input"
    called = "gradient × input"
    formula = "heat[r, c] = Σ over k of x[r, c, k]·d score / d x[r, c, k]"

    def _compute(self) -> Array:
        self.gradients: Array = self.of.gradients(self.trace.x)[1][0]
        return (self.photo * self.gradients).sum(axis=2)

    def _sum(self, at: tuple[int, ...]) -> tuple[Terms, str, list[Step]]:
        place = ", ".join(map(str, at))
        terms = make_terms(_channels(at, self.photo), self.photo[at], self.gradients[at])
        return terms, f"heat[{place}] = Σ over k of x[{place}, k]·d score / d x[{place}, k]", []


class IntegratedGradients(Heatmap):
    """Each pixel's share in the score's increase from a baseline to the photo.

    heat[r, c] = Σ over channels of (x - x0)[r, c, k]·the mean of d score / d x[r, c, k]

    The mean is over `steps` photos on the straight line from the baseline x0 to the photo x, at (i
    + 1/2)/steps of it. `baseline` is a number, one for each channel, or a photo; by default 0. The
    shares add up to score(x) - score(x0), except that the steps only approximate the integral:
    compare `total` with `gain` (Sundararajan et al. 2017, completeness). `gradients` (steps,
    height, width, channels) has all of them. The surprise: the shares depend on the baseline. With
    0, a black pixel of a photo from 0 to 255 gets nothing.
    """

    method = "integrated_gradients"
    called = "integrated gradients"
    formula = (
        "heat[r, c] = Σ over k of (x - x0)[r, c, k]·mean over the steps of d score / d x[r, c, k]"
    )
    options = ("steps", "baseline")

    def _compute(self, steps: int = 50, baseline: Any = 0.0) -> Array:
        if not isinstance(steps, (int, np.integer)) or isinstance(steps, bool) or steps < 1:
            raise ValueError(
                f"integrated_gradients expects steps of at least 1. Received {steps!r}."
            )
        self.steps = int(steps)
        self.baseline = _photo_like(baseline, self.photo)
        self.way: Array = self.photo - self.baseline
        shares = ((np.arange(self.steps) + 0.5) / self.steps).astype(self.photo.dtype)
        parts = []
        for first in range(0, self.steps, _AT_ONCE):
            part = shares[first : first + _AT_ONCE, None, None, None]
            parts.append(self.of.gradients(self.baseline + part * self.way)[1])
        self.gradients: Array = np.concatenate(parts)
        y, tape = self.trace.model.forward(self.baseline[None])
        self.baseline_score = float(self.of.scores(y, tape)[0])
        self.mean_gradients: Array = self.gradients.mean(axis=0, dtype=np.float64)
        return (self.way * self.mean_gradients).sum(axis=2).astype(self.photo.dtype)

    @property
    def total(self) -> float:
        """The sum of the whole map."""
        return float(self.values.sum(dtype=np.float64))

    @property
    def gain(self) -> float:
        """The number that the whole map should add up to: score(photo) - score(baseline)."""
        return self.score - self.baseline_score

    def explain(self, at: Any) -> Explanation:
        """Return one number of the map as a sum over channels, or one channel's over the steps.

        `at` is (row, column) of `values`, or (row, column, channel) of the photo.
        """
        if np.size(at) != 3:
            return super().explain(at)
        names = (*_ROWS_COLUMNS, "channels")
        place = check_place(self._label, self.photo.shape, at, "shares", names)
        row, column, channel = place
        gradients = self.gradients[:, row, column, channel]
        places = np.column_stack([np.arange(self.steps), np.tile(place, (self.steps, 1))])
        terms = make_terms(places, float(self.way[place]) / self.steps, gradients)
        text = ", ".join(map(str, place))
        formula = (
            f"share[{text}] = Σ over the steps of (x - x0)[{text}]/{self.steps}·"
            f"d score / d x[{text}]"
        )
        value = float(self.way[place] * self.mean_gradients[place])
        return self._explanation("share", place, terms, formula, value)

    def _sum(self, at: tuple[int, ...]) -> tuple[Terms, str, list[Step]]:
        place = ", ".join(map(str, at))
        terms = make_terms(_channels(at, self.photo), self.way[at], self.mean_gradients[at])
        return (
            terms,
            f"heat[{place}] = Σ over k of (x - x0)[{place}, k]·mean gradient[{place}, k]",
            [],
        )

    def _facts(self) -> list[str]:
        return [
            f"completeness: in {show.count(self.steps, 'step')} the map adds up to "
            f"{show.number(self.total)}; from {show.number(self.baseline_score)} at the baseline "
            f"the score gains {show.number(self.gain)}"
        ]


HEATMAPS: Mapping[str, type[Heatmap]] = {
    kind.method: kind for kind in (GradCam, Occlusion, GradientTimesInput, IntegratedGradients)
}


_AS_IT_IS = slice(None), slice(None)
_BACKWARDS = slice(None, None, -1)


def _grad_cam(trace: Any, of: ClassScore) -> Heatmap:
    """Make the map of the last layer with maps, or of all in which the network ends."""
    trace.go_backward(*of.start(trace.y))
    found = _last_maps(trace)
    if len(found) == 1:
        return GradCam(trace, of, layer=found[0].name)
    names, flips = [entry.name for entry in found], _flips(trace)
    return GradCamSum(trace, of, layers=names, flips=[flips[name] for name in names])


def _last_maps(trace: Any) -> list[Any]:
    """Return the entries with maps that lead to the score and to no other maps, in order."""
    found: list[Any] = []
    before: set[str] = set()
    for entry in reversed(trace.entries):
        shape = np.shape(entry.y) if isinstance(entry.y, np.ndarray) else ()
        if len(shape) != 4 or shape[1] * shape[2] == 1 or entry is trace.output_entry():
            continue
        if entry.dy is None or entry.name in before:
            continue
        found.append(entry)
        waiting = [entry]
        while waiting:
            for source in waiting.pop().sources:
                if not isinstance(source, int) and source.name not in before:
                    before.add(source.name)
                    waiting.append(source)
    if not found:
        raise ValueError(
            f"grad_cam needs a layer with maps. {trace.model.label} has none with more than "
            "one place."
        )
    return found[::-1]


def _flips(trace: Any) -> dict[str, tuple[slice, slice]]:
    """Return how to flip each entry's maps, so that they lie on the photo, not its mirror image."""
    flipped: dict[str | int, set[tuple[bool, bool]]] = {0: {(False, False)}}
    for entry in trace.entries:
        own = False, False
        if isinstance(entry.layer, GetItem) and np.ndim(entry.x) == 4:
            _, rows, columns, *_ = entry.layer.parts(4)
            own = rows == _BACKWARDS, columns == _BACKWARDS
        keys = [s if isinstance(s, int) else s.name for s in entry.sources]
        before = set().union(*(flipped.get(key, set()) for key in keys))
        flipped[entry.name] = {(own[0] ^ rows, own[1] ^ columns) for rows, columns in before}
    found = {}
    for name, several in flipped.items():
        # Maps of both the photo and its mirror image are not flipped.
        both = next(iter(several)) if len(several) == 1 else (False, False)
        rows, columns = (_BACKWARDS if one else slice(None) for one in both)
        found[str(name)] = rows, columns
    return found


def make_heatmap(
    trace: Any, method: str, class_index: Any, layer: Any, example: int, options: dict[str, Any]
) -> Heatmap:
    """Make a heat map of one example of a trace; see `Trace.heatmap`."""
    if not isinstance(method, str) or method not in HEATMAPS:
        raise ValueError(f"A heat map's method is {' or '.join(HEATMAPS)}. Received {method!r}.")
    if isinstance(trace.x, list):
        raise ValueError(f"{trace.model.label} has several inputs; a heat map explains one photo.")
    if trace.x.ndim != 4:
        raise ValueError(
            "A heat map needs a photo, (batch, height, width, channels). "
            f"{trace.model.label} received x.shape={trace.x.shape}."
        )
    kind = HEATMAPS[method]
    chosen = options if layer is None else options | {"layer": layer}
    for name in chosen:
        if name not in kind.options:
            takes = ", ".join(kind.options) or "no options"
            raise ValueError(f"{method} takes {takes}. Received {name}={chosen[name]!r}.")
    spot = find_spot(trace.model.label, trace.x, (0, 0, 0), example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `trouble` says the same
        one = type(trace)(trace.model, trace.x[spot.example, None])
    if one.trouble:
        raise ValueError(one.trouble)
    of = class_score(trace.model, one.y, class_index)
    heat = _grad_cam(one, of) if kind is GradCam and layer is None else kind(one, of, **chosen)
    heat.example = spot.example
    return heat


def _starts(length: int, size: int, stride: int) -> list[int]:
    """Return where squares begin along one side, so that the last one ends at the border."""
    starts = list(range(0, length - size + 1, stride))
    return starts if starts[-1] == length - size else [*starts, length - size]


def _colour(fill: Any, channels: int, photo: Array) -> Array:
    if fill is None:
        return photo.mean(axis=(0, 1), dtype=np.float64).astype(photo.dtype)
    colour = _numbers(fill, photo.dtype)
    if colour is None or colour.shape not in ((), (channels,)):
        raise ValueError(
            f"occlusion expects fill to be a number, or one for each of {channels} channels. "
            f"Received fill={fill!r}."
        )
    return np.broadcast_to(colour, (channels,))


def _photo_like(baseline: Any, photo: Array) -> Array:
    found = _numbers(baseline, photo.dtype)
    shapes_ = ((), photo.shape[2:], photo.shape)
    if found is None or found.shape not in shapes_:
        given = np.shape(baseline) if found is not None and found.ndim else repr(baseline)
        raise ValueError(
            f"integrated_gradients expects baseline to be a number, one for each channel, or a "
            f"photo of shape {photo.shape}. Received {given}."
        )
    return np.broadcast_to(found, photo.shape)


def _numbers(given: Any, dtype: Any) -> Array | None:
    """Return finite numbers as an array; None for anything else."""
    try:
        found = np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        return None
    return found.astype(dtype)


def _channels(at: tuple[int, ...], photo: Array) -> Array:
    """Return the places of all channels of a pixel."""
    channels = np.arange(photo.shape[2])
    return np.column_stack([np.tile(at, (len(channels), 1)), channels])
