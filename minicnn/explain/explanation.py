"""An explanation: the terms of a sum, the steps from the sum to the result, and how to show it.

total  = Σ term.product + bias          in float64, exactly rounded
result = the steps applied to it        an activation, for example; without steps, the total
value  = the layer's own number         difference = value - result: rounding
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minicnn.explain import show

Array = np.ndarray
Terms = Any  # a NumPy record array; its fields are attributes

_MOST_CHANNELS = 3  # printed as grids; the others as one line
_MOST_COLUMNS = 5  # a wider window is printed as a list of its largest terms


class UnknownError(ValueError):
    """The layer or loss is of a kind whose arithmetic `minicnn.explain` does not know."""


class Step(NamedTuple):
    """One named intermediate number; `parts` are the numbers it is computed from, or None."""

    name: str
    formula: str
    value: float
    parts: Array | None = None


class Window(NamedTuple):
    """The place of a window: rows and columns of its taps, in the input and in the padded input.

    Rows and columns below 0, or after the input's last one, lie in the padding.
    """

    rows: tuple[int, ...]
    cols: tuple[int, ...]
    before: tuple[int, int]  # rows of padding above, columns of padding on the left

    @property
    def padded_rows(self) -> tuple[int, ...]:
        return tuple(row + self.before[0] for row in self.rows)

    @property
    def padded_cols(self) -> tuple[int, ...]:
        return tuple(col + self.before[1] for col in self.cols)


def make_terms(
    places: Array,
    inputs: Any,
    weights: Any,
    products: Any = None,
    padded: Any = False,
    source: Any = 0,
) -> Terms:
    """Make the terms `input × weight` of an output.

    Fields: `place`, the index in the (unpadded) input of the example; `row`, `col`, `channel`, its
    last three (0 where there are fewer); `input`, `weight`, `product`; `padded`; `source`, the
    index of the input if there are several.
    """
    places = np.asarray(places, np.intp)
    terms = _record(
        places,
        [("input", np.float64), ("weight", np.float64), ("source", np.intp)],
    )
    terms.input, terms.weight = inputs, weights
    with np.errstate(invalid="ignore", over="ignore"):
        terms.product = terms.input * terms.weight if products is None else products
    terms.padded, terms.source = padded, source
    return terms


def make_gradient_terms(
    examples: Any, places: Array, gradients: Any, factors: Any, factor_places: Array
) -> Terms:
    """Make the terms `gradient × factor` of a gradient, the largest product first.

    Fields: `example`, `place` (and `row`, `col`, `channel`), the place of the `gradient` in the
    output; `factor`, what it is multiplied by, and `factor_at`, the factor's place: in the input
    for the gradient of a weight, in the weights for the gradient of an input; `product`; `padded`.
    """
    places, factor_places = np.asarray(places, np.intp), np.asarray(factor_places, np.intp)
    terms = _record(
        places,
        [
            ("example", np.intp),
            ("gradient", np.float64),
            ("factor", np.float64),
            ("factor_at", np.intp, (factor_places.shape[1],)),
        ],
    )
    terms.example, terms.gradient, terms.factor = examples, gradients, factors
    terms.factor_at = factor_places
    with np.errstate(invalid="ignore", over="ignore"):
        terms.product = terms.gradient * terms.factor
    order = np.argsort(-np.abs(terms.product), kind="stable")
    return terms[order]


def _record(places: Array, more: list[Any]) -> Terms:
    count, rank = places.shape
    kinds: list[Any] = [(name, np.intp) for name in ("row", "col", "channel")]
    kinds += [("place", np.intp, (rank,)), ("product", np.float64), ("padded", np.bool_), *more]
    terms = np.recarray(count, dtype=np.dtype(kinds))
    terms.place, terms.padded = places, False
    for name, axis in (("row", -3), ("col", -2), ("channel", -1)):
        terms[name] = places[:, axis] if rank >= -axis else 0
    return terms


@dataclass(eq=False)
class Explanation:
    """Why one number is what it is: `print` it, show it in a notebook, or read its fields.

    `what` is "y" for an output; "dx", "dy", "dz", "dh" or a parameter's name for a gradient;
    "loss"; "heat", "share" or "α" for a heat map.
    """

    name: str  # the layer's, with the nested models around it: "base/conv2d"
    layer: Any
    what: str
    at: tuple[int, ...]
    example: int | None  # None: a sum over all examples
    formula: str
    terms: Terms
    value: float
    bias: float = 0.0
    steps: list[Step] = field(default_factory=list)
    result: float = math.nan
    notes: list[str] = field(default_factory=list)
    window: Window | None = None
    grid: tuple[int, int, int] | None = None  # terms.reshape(grid): rows, columns, channels
    magnitude: float | None = None  # of the numbers added up, if the terms do not show it
    epsilon: float = 2.0**-23
    of: str = "dz"  # a gradient's terms are made of these entries

    @property
    def total(self) -> float:
        """The sum of the terms and the bias, in float64, rounded once."""
        return exact_sum([*self.terms.product.tolist(), self.bias])

    @property
    def difference(self) -> float:
        """The layer's number minus `result`: the effect of rounding, and nothing else."""
        if self.value == self.result:  # also for infinite numbers
            return 0.0
        return self.value - self.result

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding this many numbers of this size can make."""
        with np.errstate(invalid="ignore"):
            size = self.magnitude
            if size is None:
                size = float(np.abs(self.terms.product).sum()) + abs(self.bias)
        return (4 + math.sqrt(len(self.terms))) * self.epsilon * (size + abs(self.value))

    @property
    def is_gradient(self) -> bool:
        return "gradient" in (self.terms.dtype.names or ())

    @property
    def title(self) -> str:
        kind = f" ({type(self.layer).__name__})" if self.layer is not None else ""
        which = "all examples" if self.example is None else f"example {self.example}"
        return f"{self.name}{kind}, {which}"

    def largest(self, count: int | None = None) -> Terms:
        """Return the terms, the largest product first."""
        order = np.argsort(-np.abs(self.terms.product), kind="stable")
        return self.terms[order[:count]]

    # -- text ----------------------------------------------------------------------------------

    def __str__(self) -> str:
        return self.to_string()

    __repr__ = __str__

    def to_string(self, exact: bool = False, terms: int | None = 12) -> str:
        """Return the explanation as text: `exact` shows all digits, `terms` limits the terms."""
        lines = [self.title, "", f"    {self.formula}", ""]
        if self.window is not None:
            lines += [f"    {_window_text(self.window)}", ""]
        if self.grid is not None and self.grid[1] <= _MOST_COLUMNS and not self.is_gradient:
            lines += self._grids(exact, None if terms is None else _MOST_CHANNELS)
        else:
            lines += self._list(exact, terms)
        lines += ["", *show.columns(self._sums(exact), left=2)]
        lines += [f"    {self.verdict(exact)}"]
        lines += [f"    {note}" for note in self.notes]
        return show.joined(lines)

    def verdict(self, exact: bool = False) -> str:
        """Return the difference in words: rounding, or more than that."""
        more = "more than rounding; have the weights changed since?"
        return show.verdict(self.difference, self.tolerance, exact, more)

    def _sums(self, exact: bool) -> list[list[str]]:
        """Return the lines below the terms: sum, bias, steps, and the layer's own number."""
        products = self.terms.product.tolist()
        rows = [
            [
                f"Σ of {show.count(len(products), 'term')}",
                "",
                show.number(exact_sum(products), exact),
            ]
        ]
        if self.bias or (getattr(self.layer, "use_bias", False) and self.what == "y"):
            rows += [["+ bias", "", show.number(self.bias, exact)]]
            name = "= total" if self.layer.activation_name == "linear" else "= z, the total"
            rows += [[name, "", show.number(self.total, exact)]]
        for name, formula, value, _ in self.steps:
            rows.append([name, f"= {formula}" if formula else "", show.number(value, exact)])
        rows.append([self._said(), "", show.number(self.value, exact)])
        return rows

    def _said(self) -> str:
        if self.what == "loss":
            return "the loss said"
        if self.what in ("heat", "share", "α"):
            return "the heat map said"
        return "backward said" if self.is_gradient else "the layer said"

    def _grids(self, exact: bool, most: int | None) -> list[str]:
        lines: list[str] = []
        shown, others = self._channels(most)
        for channel, part in shown:
            lines.append(f"    {self._channel_title(channel, part, exact)}")
            padded = part.padded
            x, w, p = (
                [[show.number(v, exact) for v in row] for row in values]
                for values in (part.input, part.weight, part.product)
            )
            for i, j in np.argwhere(padded):
                x[i][j] = f"({x[i][j]})"  # padding
            lines += show.side_by_side([("x", x), ("w", w), ("x·w", p)], "        ")
        if others.size:
            lines.append(
                f"    … and {show.count(others.shape[2], 'more channel')}, "
                f"together {show.number(exact_sum(others.product.ravel().tolist()), exact)}"
            )
        return lines

    def _channels(self, most: int | None) -> tuple[list[tuple[int, Terms]], Terms]:
        """Return the channels to show, as (channel, the window's terms), and the others' terms."""
        assert self.grid is not None
        cube: Any = self.terms.reshape(self.grid)
        count = self.grid[2]
        if most is None or count <= most:
            chosen = list(range(count))
        else:
            sums = np.nan_to_num(np.abs(cube.product.sum(axis=(0, 1))), nan=np.inf)
            chosen = sorted(np.argsort(-sums, kind="stable")[:most].tolist())
        rest = [c for c in range(count) if c not in set(chosen)]
        return [(c, cube[:, :, c]) for c in chosen], cube[:, :, rest]

    def _channel_title(self, channel: int, part: Terms, exact: bool = False) -> str:
        together = show.number(exact_sum(part.product.ravel().tolist()), exact)
        return f"channel {part.channel.ravel()[0]}, together {together}"

    def _list(self, exact: bool, most: int | None) -> list[str]:
        header, rows, rest = self.rows(exact, most)
        lines = show.columns([header, *rows], left=1) if rows else ["    no terms"]
        return lines + ([f"    {rest}"] if rest else [])

    def rows(
        self, exact: bool = False, most: int | None = 12
    ) -> tuple[list[str], list[list[str]], str]:
        """Return the largest terms as a table: header, rows, and the sum of the others."""
        chosen = self.largest(most)
        own = self.is_gradient and {*self.terms.example.tolist()} <= {self.example}
        several = len({*self.terms.source.tolist()}) > 1 if not self.is_gradient else False
        rows = []
        for term in chosen:
            mark = " (padding)" if term.padded else ""
            if self.is_gradient:
                example = "" if own else f"{term.example}: "
                factor_at = show.place(term.factor_at) if len(term.factor_at) else ""
                rows.append(
                    [
                        f"{example}{show.place(term.place)}",
                        show.number(term.gradient, exact),
                        f"{factor_at}{mark}",
                        show.number(term.factor, exact),
                        show.number(term.product, exact),
                    ]
                )
            else:
                which = f"x{term.source}" if several else "x"
                rows.append(
                    [
                        f"{which}{show.place(term.place)}{mark}",
                        show.number(term.input, exact),
                        show.number(term.weight, exact),
                        show.number(term.product, exact),
                    ]
                )
        header = ["from", "x", "w", "x·w"]
        if self.is_gradient:
            header = ["from output", "gradient", "factor at", "factor", "product"]
        others = self.largest()[len(chosen) :]
        rest = ""
        if len(others):
            together = show.number(exact_sum(others.product.tolist()), exact)
            rest = f"… and {len(others):,} more, together {together}"
        return header, rows, rest

    # -- notebooks -----------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        parts = [show.html_formula(self.formula)]
        if self.window is not None:
            parts.append(show.html_text(_window_text(self.window)))
        if self.grid is not None and not self.is_gradient:
            parts += self._html_grids()
        else:
            header, rows, rest = self.rows()
            parts += [show.html_table(header, rows), show.html_text(rest) if rest else ""]
        parts.append(show.html_table([], self._sums(False), left=2))
        parts += [show.html_text(text) for text in [self.verdict(), *self.notes]]
        return show.html_block(self.title, parts)

    def _html_grids(self) -> list[str]:
        shown, others = self._channels(_MOST_CHANNELS)
        terms = self.terms
        scales = [show.scale_of(a) for a in (terms.input, terms.weight, terms.product)]
        parts = []
        for channel, part in shown:
            parts.append(show.html_text(self._channel_title(channel, part)))
            for title, values, scale in zip(
                ("x", "w", "x·w"), (part.input, part.weight, part.product), scales, strict=True
            ):
                faint = part.padded if title == "x" else None
                parts.append(show.html_grid(title, values, scale, faint))
        if others.size:
            together = show.number(exact_sum(others.product.ravel().tolist()))
            more = show.count(others.shape[2], "more channel")
            parts.append(show.html_text(f"… and {more}, together {together}"))
        full = dict(zip(("x", "w", "x·w"), scales, strict=True))
        return [*parts, show.legend(full, bool(terms.padded.any()))]


def exact_sum(values: Sequence[float]) -> float:
    """Return the sum rounded once (`math.fsum`); infinities and NaN as in ordinary addition."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # inf - inf, or beyond the largest float64
        with np.errstate(all="ignore"):
            return float(np.sum(np.asarray(values, np.float64)))


def _window_text(window: Window) -> str:
    if not window.rows:
        text = f"window: steps {show.span(window.cols)} of x"
        if any(window.before):
            text += f" (with the padding before it: {show.span(window.padded_cols)})"
        return text
    text = f"window: rows {show.span(window.rows)}, columns {show.span(window.cols)} of x"
    if any(window.before):
        text += (
            f" (with the padding around it: rows {show.span(window.padded_rows)}, "
            f"columns {show.span(window.padded_cols)})"
        )
    return text
