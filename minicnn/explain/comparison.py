"""Compares two networks: in which layers and weights they differ, such as after training.

print(compare_networks(before, after, x))

apart = ‖b − a‖ / (‖a‖ + ‖b‖)      0: equal; 1: opposite, or one of the two is zero everywhere
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.explain import show
from minicnn.explain.class_order import in_order
from minicnn.explain.classes import kind_of
from minicnn.explain.matching import Place, matched, weight_pairs
from minicnn.explain.trace import Trace
from minicnn.layers import Layer
from minicnn.models import Model

Array = np.ndarray


@dataclass(frozen=True)
class LayerComparison:
    """How far apart a layer's outputs and weights are; `weights` is None if it has none."""

    name: str
    kind: str
    shape: tuple[int, ...]  # of the output, with the batch
    outputs: float
    weights: float | None


@dataclass(frozen=True)
class NetworkComparison:
    """Two networks, layer by layer: `print` it, or read its fields.

    `layers` are those that both have, in the first network's order; `alone` has the names of the
    other layers of the first network and of the second. `classes` says how their classes are
    compared, if the two networks do not name them alike.
    """

    first: str
    second: str
    layers: list[LayerComparison]
    alone: tuple[list[str], list[str]]
    classes: str = ""

    @property
    def title(self) -> str:
        return f"{self.first} (a) and {self.second} (b): ‖b − a‖ / (‖a‖ + ‖b‖)"

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the layers as a table: header and rows."""
        rows = [
            [
                layer.name,
                layer.kind,
                "×".join(map(str, layer.shape[1:])),
                f"{layer.outputs:.1%}",
                "" if layer.weights is None else f"{layer.weights:.1%}",
            ]
            for layer in self.layers
        ]
        return ["layer", "kind", "output", "outputs apart", "weights apart"], rows

    def notes(self) -> list[str]:
        """Return sentences on layers that only one network has, and on how classes match."""
        alone = [
            f"Only {who} has {', '.join(names)}."
            for who, names in zip((self.first, self.second), self.alone, strict=True)
            if names
        ]
        return [*alone, self.classes] if self.classes else alone

    def __str__(self) -> str:
        header, rows = self.rows()
        notes = [f"    {note}" for note in self.notes()]
        return show.joined([self.title, "", *show.columns([header, *rows], left=3), *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, rows = self.rows()
        parts = [show.html_table(header, rows, left=3), *map(show.html_text, self.notes())]
        return show.html_block(self.title, parts)


def compare_networks(first: Model, second: Model, x: Any) -> NetworkComparison:
    """Return in which layers two networks differ when they look at the same batch.

    Layers are matched by name, kind and shape, wherever the numbers in automatic names begin, or by
    their places if the networks differ only in names, and the last ones of two classifiers by shape
    alone. Outputs are compared over the whole batch, and all weights of a layer together. If both
    models name the same classes (`class_names` of their `metadata`) in another order, the last
    layers are compared class by class.

    Args:
        first, second: models that take the same input, such as before and after a training.
        x: a batch, as `predict` takes it.

    Raises `ValueError` for an x that does not fit one of them or is empty, and `TypeError` unless
    both are models.
    """
    for model in (first, second):
        if not isinstance(model, Model):
            raise TypeError(
                f"compare_networks expects two models. Received {type(model).__name__}."
            )
    wanted, own = (list(model.metadata.get("class_names") or []) for model in (first, second))
    traces = [Trace(first, x)]
    if not len(traces[0].entries[0].y):
        raise ValueError("compare_networks expects a batch of one or more. Received 0 examples.")
    reordered = in_order(second, own, wanted, x)
    traces.append(Trace(reordered, x))
    (kind, places), (other, others) = ((_kind(trace), _places(trace)) for trace in traces)
    pairs = matched(places, others, same_ends=kind == other != "")
    entries = [(traces[0].entries[i], traces[1].entries[j]) for i, j in pairs]
    layers = [
        LayerComparison(
            a.name,
            type(a.layer).__name__,
            a.y.shape,
            _apart([a.y], [b.y]),
            _weights(a.layer, b.layer),
        )
        for a, b in entries
    ]
    alone = tuple(
        [e.name for k, e in enumerate(trace.entries) if k not in {pair[side] for pair in pairs}]
        for side, trace in enumerate(traces)
    )
    classes = _classes_of(second.name, own, wanted, reordered is not second)
    return NetworkComparison(first.name, second.name, layers, (alone[0], alone[1]), classes)


def _classes_of(name: str, own: list[str], wanted: list[str], by_name: bool) -> str:
    if not own or own == wanted or len(own) != len(wanted):
        return ""
    listed = f"The classes of {name} are {', '.join(own)}, in this order"
    if by_name:
        return f"{listed}: its last layers are compared class by class."
    return f"{listed}: its last layers are compared number by number, not class by class."


def _kind(trace: Trace) -> str:
    """Return what the output says about classes: "" if nothing, or with several outputs."""
    return "" if isinstance(trace.y, list) else kind_of(trace.model, trace.y)


def _places(trace: Trace) -> list[Place]:
    numbers = {id(entry): k for k, entry in enumerate(trace.entries)}
    return [
        Place(
            entry.name,
            type(entry.layer).__name__,
            entry.y.shape,
            tuple(-1 if isinstance(s, int) else numbers[id(s)] for s in entry.sources),
        )
        for entry in trace.entries
    ]


def _weights(first: Layer, second: Layer) -> float | None:
    pairs = weight_pairs(first, second)
    return _apart([a.value for a, _ in pairs], [b.value for _, b in pairs]) if pairs else None


def _apart(a: Iterable[Array], b: Iterable[Array]) -> float:
    first, second = (
        np.concatenate([np.ravel(part).astype(np.float64) for part in parts]) for parts in (a, b)
    )
    norms = float(np.linalg.norm(first) + np.linalg.norm(second))
    return float(np.linalg.norm(second - first)) / norms if norms else 0.0
