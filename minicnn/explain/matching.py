"""Which layers of two networks stand for the same: where their outputs can be compared."""

from collections.abc import Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """A layer's use in a network; `inputs` are the numbers of those before it."""

    name: str
    kind: str
    shape: tuple[int, ...]  # of its output, without the batch
    inputs: tuple[int, ...] = ()


def matched(first: Sequence[Place], second: Sequence[Place]) -> list[tuple[int, int]]:
    """Return the pairs of layers that stand for the same, as numbers in both networks, in order.

    Of two networks that are alike but for their layers' names, as a function makes them that is
    called twice, all layers do; otherwise those of the same name, kind and shape.
    """
    if [place[1:] for place in first] == [place[1:] for place in second]:
        return [(number, number) for number in range(len(first))]
    known = {place[:3]: number for number, place in enumerate(second)}
    return [(number, known[place[:3]]) for number, place in enumerate(first) if place[:3] in known]
