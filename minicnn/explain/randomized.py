"""Checks that a heat map depends on what the network has learned: it changes if that is lost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn._support.terminal import printable
from minicnn._support.variable import Computed
from minicnn.explain import show
from minicnn.explain.copies import copied

Array = np.ndarray


@dataclass(eq=False)
class SanityCheck:
    """How a heat map changes while the network forgets, from the output down to the photo.

    A copy of the model loses one layer after the other: the numbers of each weight are shuffled, so
    their sizes stay the same. `maps[i]` is the heat map after shuffling `layers[i]` and all layers
    after it. `correlations[i]` is Spearman's rank correlation with the true map: 1 for the same
    order, about 0 for an unrelated order, NaN if all numbers of a map are equal. `sizes[i]` is the
    same for the absolute values.

    A map that hardly changes explains the photo (its edges, its bright parts), not the network.
    (Adebayo et al. 2018, "Sanity checks for saliency maps".)
    """

    heat: Any
    layers: list[str]
    maps: list[Array]
    correlations: list[float]
    sizes: list[float]

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the check as a table: header, and one row for each layer."""
        header = ["forgotten from the output down to", "correlation", "of the sizes"]
        numbers = zip(self.layers, self.correlations, self.sizes, strict=True)
        return header, [[name, _text(signed), _text(size)] for name, signed, size in numbers]

    @property
    def title(self) -> str:
        return (
            f"{self.heat.called} of {self.heat.class_text}, beside that of a network that forgets"
        )

    def plot(self, title: str = "") -> Any:
        """Plot the true map, and the maps of the network that forgets."""
        from minicnn import plots

        return plots.sanity_check(self, title)

    def __str__(self) -> str:
        header, rows = self.rows()
        return show.joined([self.title, "", *show.columns([header, *rows], left=1)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, rows = self.rows()
        return show.html_block(self.title, [show.html_table(header, rows)])


def sanity_check(heat: Any, again: Callable[[Any], Any], seed: int) -> SanityCheck:
    """Shuffle the weights of a copy of the heat map's model, layer by layer from the output.

    `again` makes the same heat map of another model. Raises `ValueError` without weights.
    """
    model = copied(heat.trace.model)
    rng = np.random.default_rng(seed)
    found = SanityCheck(heat, [], [], [], [])
    done: set[int] = set()
    for entry in reversed(type(heat.trace)(model, heat.trace.x).entries):
        variables = [v for v in entry.layer.weights if not isinstance(v, Computed)]
        if id(entry.layer) in done or not variables:
            continue
        done.add(id(entry.layer))
        for variable in variables:
            variable.assign(rng.permutation(variable.value.ravel()).reshape(variable.shape))
        values = again(model).values
        found.layers.append(printable(entry.name))
        found.maps.append(values)
        found.correlations.append(spearman(heat.values, values))
        found.sizes.append(spearman(np.abs(heat.values), np.abs(values)))
    if not found.layers:
        raise ValueError(f"{heat.trace.model.label} has no weights, so it has nothing to forget.")
    return found


def spearman(a: Array, b: Array) -> float:
    """Return Spearman's rank correlation of two arrays; NaN if all numbers of one are equal."""
    x, y = (_ranks(np.ravel(values)) for values in (a, b))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / size) if size else float("nan")


def _ranks(values: Array) -> Array:
    """Return the rank of each number, from 0; equal numbers share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = (last - (counts + 1) / 2)[place.ravel()]
    return ranks


def _text(correlation: float) -> str:
    return "—" if np.isnan(correlation) else f"{correlation:.2f}"
