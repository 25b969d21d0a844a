"""Follows the largest contributions: from a number down to the pixels, or up to the loss."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minicnn.explain import show
from minicnn.explain.explanation import Explanation, UnknownError, make_gradient_terms
from minicnn.explain.gradients import explain_gradient
from minicnn.explain.trace_entry import Source, TraceEntry

Array = np.ndarray


class Link(NamedTuple):
    """One step of a path: an explained number, the term that was followed, and its share.

    `share`: this term's part of the sum of all terms of its sign; None without a term.
    """

    explanation: Explanation
    term: Any  # a row of explanation.terms
    share: float | None

    @property
    def value(self) -> float:
        return self.explanation.value


@dataclass(eq=False)
class Path:
    """A chain of links: each explains the number that the term of the link before multiplies."""

    title: str
    links: list[Link]
    end: str  # where it stopped, and why
    reverse: bool = False

    def __len__(self) -> int:
        return len(self.links)

    def __iter__(self) -> Iterator[Link]:
        return iter(self.links)

    def __getitem__(self, index: int) -> Link:
        return self.links[index]

    def to_string(self, exact: bool = False) -> str:
        """Return the path as text, a line for each link."""
        lines = [*show.columns(self.rows(exact), left=2), f"    {self.end}"]
        if self.reverse:
            lines.reverse()
        return show.joined([self.title, "", *lines, "", f"    {self._legend}"])

    @property
    def _legend(self) -> str:
        if self.reverse:
            return "share: of the absolute values of all terms; the path follows the largest"
        return "share: of all terms of the same sign; the path follows the largest"

    def rows(self, exact: bool = False) -> list[list[str]]:
        """Return one row for each link: the number, the term, its share."""
        return [_row(link, exact) for link in self.links]

    def __str__(self) -> str:
        return self.to_string()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header = ["number", "", "because of", "share"]
        rows = self.rows()
        end = show.html_text(self.end)
        table = show.html_table(header, rows[::-1] if self.reverse else rows, left=3)
        parts = [end, table] if self.reverse else [table, end]
        parts.append(show.html_text(self._legend))
        return show.html_block(self.title, parts)


def _row(link: Link, exact: bool) -> list[str]:
    e, term = link.explanation, link.term
    what = "" if e.what == "y" else f" {e.what}"
    example = "" if e.example is None or e.what == "y" else f"{e.example}: "
    left = f"{e.name}{what} {example}{show.place(e.at)}"
    value = f"= {show.number(e.value, exact)}"
    if e.what == "y" and e.layer.activation_name != "linear":
        value += f" (z = {show.number(e.total, exact)})"
    if term is None:
        return [left, value, "", ""]
    first, second = (term.gradient, term.factor) if e.is_gradient else (term.input, term.weight)
    product = f"{show.number(first, exact)} · {show.number(second, exact)}"
    product += f" = {show.number(term.product, exact)}"
    terms = show.count(len(e.terms), "term")
    share = "" if link.share is None else f"{100 * link.share:.3g}% of {terms}"
    return [left, value, product, share]


def _strongest(e: Explanation, sign: float) -> tuple[Any, float | None]:
    """Return the largest term that pulls towards `sign` (0: either way), and its share of them."""
    products = e.terms.product * sign if sign else np.abs(e.terms.product)
    products = np.where(np.isnan(products), np.inf, products)
    if not len(products) or not products.max() > 0:
        return None, None
    index = int(products.argmax())
    with np.errstate(invalid="ignore"):
        share = float(products[index] / products[products > 0].sum())
    return e.terms[index], share if np.isfinite(share) else None


def why(entry: TraceEntry, at: Any, example: int) -> Path:
    """Go from one output down to a pixel, at each layer to the term that contributed most.

    The path follows the largest positive term if the sum is positive, else the most negative one.
    At a softmax the sum counts as positive if it is above the mean of the scores.
    """
    links: list[Link] = []
    source: Source = entry
    title = ""
    while isinstance(source, TraceEntry):
        try:
            e = source.explain(at, example)
        except UnknownError as error:
            if not links:
                raise
            return Path(title, links, str(error))
        title = (
            title
            or f"Why {e.name}{show.place(e.at)} of example {example} is {show.number(e.value)}"
        )
        term, share = _strongest(e, _direction(e))
        if term is None:  # every term is 0, or pulls the other way
            term, share = _strongest(e, 0.0)
        if term is None and len(e.terms) == 1 and not e.terms[0].padded:
            term = e.terms[0]  # the source of a 0 can be followed, too
        links.append(Link(e, term, share))
        if term is None:
            return Path(title, links, "Every term is 0 here: there is nothing to follow.")
        at, source = tuple(int(i) for i in term.place), source.sources[int(term.source)]
    end = links[-1].term
    number = "" if source == 0 else f" {source}"
    return Path(
        title,
        links,
        f"the model's input{number} {show.place(end.place)} = {show.number(end.input)}",
    )


def _direction(e: Explanation) -> float:
    centre = 0.0
    if e.layer.activation_name == "softmax" and e.steps and e.steps[-5].parts is not None:
        centre = float(e.steps[-5].parts.mean())
    return float(np.sign(np.nan_to_num(e.total - centre)))


def why_gradient(
    entry: TraceEntry,
    what: str,
    e: Explanation,
    consumers: Callable[[TraceEntry], list[tuple[TraceEntry, int]]],
    loss_gradient: Callable[[TraceEntry, Any, int], Explanation],
) -> Path:
    """Go from `e`, one entry of a gradient, up to the loss: at each layer to the largest term."""
    title = f"Why the gradient {what}{show.place(e.at)} of {entry.name} is {show.number(e.value)}"
    links: list[Link] = []
    while True:
        term, share = _strongest(e, 0.0)
        links.append(Link(e, term, share))
        if term is None:
            return Path(title, links, "Every term is 0 here: no gradient comes through.", True)
        if e.layer is None:
            return Path(title, links, "the loss", True)
        try:
            entry, e = _sender(entry, e, term, consumers, loss_gradient)
        except UnknownError as error:
            return Path(title, links, str(error), True)


def _sender(
    entry: TraceEntry,
    e: Explanation,
    term: Any,
    consumers: Callable[[TraceEntry], list[tuple[TraceEntry, int]]],
    loss_gradient: Callable[[TraceEntry, Any, int], Explanation],
) -> tuple[TraceEntry, Explanation]:
    """Return the explanation of the term's gradient, and the layer whose gradient it is."""
    place, example = tuple(int(i) for i in term.place), int(term.example)
    if e.of != "dz":
        return entry, explain_gradient(entry, e.of, place, example)
    if (
        entry.layer.activation_name != "linear"
        and not entry.at_logits
        and e.what not in ("dz", "dy")
    ):
        return entry, explain_gradient(entry, "dz", place, example)
    users = consumers(entry)
    if not users:
        return entry, loss_gradient(entry, place, example)
    if len(users) > 1 and e.what != "dy":
        return entry, gathered(entry, place, example, users)
    entry, source = users[int(term.source) if e.what == "dy" else 0]
    return entry, explain_gradient(entry, "dx", place, example, source)


def gathered(
    entry: TraceEntry, place: tuple[int, ...], example: int, users: list[tuple[TraceEntry, int]]
) -> Explanation:
    """Explain dy of an output that several layers use: the sum of the gradients they return."""
    parts = []
    for user, source in users:
        dx = user.dx[source] if isinstance(user.dx, list) else user.dx
        parts.append(0.0 if dx is None else float(dx[(example, *place)]))
    places = np.tile(np.array(place, np.intp), (len(users), 1))
    terms = make_gradient_terms(example, places, parts, 1.0, places)
    # The terms are sorted by size; `source` says which user each of them comes from.
    order = np.argsort(-np.abs(np.array(parts)), kind="stable")
    kinds = [*terms.dtype.descr, ("source", "<i8")]
    marked = np.recarray(len(terms), dtype=np.dtype(kinds))
    for name in terms.dtype.names or ():
        marked[name] = terms[name]
    marked.source = order
    return Explanation(
        name=entry.name,
        layer=entry.layer,
        what="dy",
        at=place,
        example=example,
        formula=f"dy{show.place(place)} = {' + '.join(f'dx of {user.name}' for user, _ in users)}",
        terms=marked,
        value=float(entry.dy[(example, *place)]),
        result=float(sum(parts)),
        epsilon=float(np.finfo(entry.dy.dtype).eps),
    )
