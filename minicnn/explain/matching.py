"""Finds corresponding layers of two networks, whose outputs can be compared."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from minicnn._support.settings import snake_case
from minicnn.layers import Layer, Variable

_MODELS = ("sequential", "functional")  # as nested models are named

_Key = tuple[str, str, tuple[int, ...]]  # name, kind, shape


class Place(NamedTuple):
    """A layer's use in a network; `inputs` has the numbers of the uses before it."""

    name: str
    kind: str
    shape: tuple[int, ...]  # of its output, without the batch
    inputs: tuple[int, ...] = ()


def matched(
    first: Sequence[Place], second: Sequence[Place], same_ends: bool = False
) -> list[tuple[int, int]]:
    """Return the pairs of corresponding layers, as numbers in both networks, in order.

    These are layers of the same name, kind and shape. The numbers in automatic names, which count
    the layers of a process, are counted within each network if that matches more layers. Networks
    that differ only in names that a user gave are matched by place. With `same_ends`, the last
    layers correspond whatever their names are, if they have the same shape.
    """
    exact = _pairs(first, second)
    counted = _pairs(_counted(first), _counted(second))
    pairs = counted if len(counted) > len(exact) else exact
    alike = [place[1:] for place in first] == [place[1:] for place in second]
    if alike and len(pairs) < len(first):
        return [(number, number) for number in range(len(first))]
    ends = len(first) - 1, len(second) - 1
    if same_ends and first[-1].shape == second[-1].shape:
        pairs = [pair for pair in pairs if pair[0] != ends[0] and pair[1] != ends[1]] + [ends]
    return pairs


def weight_pairs(first: Layer, second: Layer) -> list[tuple[Variable, Variable]]:
    """Return the pairs of corresponding weights of both layers, which have equal shapes.

    They have the same name and the same place among weights of that name: a layer of layers may
    have two kernels.
    """
    known = {key: variable for variable, key in _named(second)}
    pairs = [(variable, known[key]) for variable, key in _named(first) if key in known]
    return [(a, b) for a, b in pairs if a.shape == b.shape]


def _named(layer: Layer) -> list[tuple[Variable, tuple[str, int]]]:
    seen: Counter[str] = Counter()
    named = []
    for variable in layer.weights:
        named.append((variable, (variable.name, seen[variable.name])))
        seen[variable.name] += 1
    return named


def _pairs(first: Iterable[Place], second: Iterable[Place]) -> list[tuple[int, int]]:
    known = {key: number for number, key in enumerate(_keys(second))}
    return [(number, known[key]) for number, key in enumerate(_keys(first)) if key in known]


def _keys(places: Iterable[Place]) -> list[tuple[_Key, int]]:
    """Return the name, kind and shape of each layer, and which use of it this is."""
    seen: Counter[_Key] = Counter()
    keys = []
    for place in places:
        keys.append((place[:3], seen[place[:3]]))
        seen[place[:3]] += 1
    return keys


def _counted(places: Sequence[Place]) -> list[Place]:
    """Return the places with automatic names that count from 0: dense, dense_1 for dense_5, …."""
    least: dict[str, int] = {}
    for place in places:
        for base, number in _parts(place):
            least[base] = min(number, least.get(base, number))
    return [
        place._replace(name="/".join(f"{b}_{n - least[b]}" for b, n in _parts(place)))
        for place in places
    ]


def _parts(place: Place) -> list[tuple[str, int]]:
    """Return each part of a name such as "sequential_1/dense_2" without its number, and the number.

    A name that a user chose stays as it is, with 0.
    """
    *models, own = place.name.split("/")
    parts = []
    for part, kinds in [*((m, _MODELS) for m in models), (own, (snake_case(place.kind),))]:
        found = re.fullmatch(r"(.+?)(?:_(\d+))?(?::\d+)?", part)
        automatic = found is not None and found[1] in kinds
        parts.append((found[1], int(found[2] or 0)) if found and automatic else (part, 0))
    return parts
