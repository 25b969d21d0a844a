"""A model as a drawing (SVG): a box for each use of a layer, lines from outputs to inputs.

A box lies in the row below the lowest box that it depends on. A line that passes rows has a narrow
place in each of them, so that it runs beside the boxes. Rows are filled from the top: what lies
above says where in its row a place is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from minicnn._support.terminal import printable
from minicnn.graph.network import Network
from minicnn.layers.base import Node
from minicnn.shapes import shape_text

# In pixels.
_LETTER, _LINE, _MARGIN, _ROW_GAP, _GAP, _WAY = 7.3, 17, 8, 34, 24, 12


class Drawing(str):
    """The text of an SVG file, which a notebook shows as a picture."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass(eq=False)
class _Place:
    """A box with lines of text, or without text a place that a line passes."""

    text: list[str] = field(default_factory=list)
    above: list["_Place"] = field(default_factory=list)
    x: float = 0.0  # of its centre
    top: float = 0.0
    bottom: float = 0.0

    @property
    def width(self) -> float:
        longest = max((len(line) for line in self.text), default=0)
        return longest * _LETTER + 2 * _MARGIN if self.text else _WAY


def draw(model: Network, describe: Callable[[Node], list[str]]) -> Drawing:
    """Return the drawing; `describe` returns the lines of text in a node's box."""
    rows = _rows(model, describe)
    top = float(_MARGIN)
    for row in rows:
        height = max(len(place.text) for place in row) * _LINE + _MARGIN
        _arrange(row)
        for place in row:
            place.top = top
            place.bottom = top + (len(place.text) * _LINE + _MARGIN if place.text else height)
        top += height + _ROW_GAP
    places = [place for row in rows for place in row]
    left = min(place.x - place.width / 2 for place in places) - _MARGIN
    right = max(place.x + place.width / 2 for place in places) + _MARGIN
    size = f"{right - left:.0f} {top - _ROW_GAP + _MARGIN:.0f}"
    width, height_text = size.split()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} 0 {size}" '
        f'width="{width}" height="{height_text}" font-family="monospace" font-size="12">',
        '<g fill="none" stroke="#555">',
        *(_line(above, place) for place in places for above in place.above),
        "</g>",
        *(part for place in places for part in _box(place)),
        "</svg>",
    ]
    return Drawing("\n".join(lines) + "\n")


def _rows(model: Network, describe: Callable[[Node], list[str]]) -> list[list[_Place]]:
    graph = model._require_graph("layers to draw")
    depth: dict[Node, int] = {}
    boxes: dict[Node, _Place] = {}
    ways: dict[tuple[Node, int], _Place] = {}  # where the line from a node passes a row
    rows: list[list[_Place]] = []
    for node in graph.nodes:
        sources = [graph.producer[symbol] for symbol in node.inputs]
        depth[node] = max((depth[source] + 1 for source in sources), default=0)
        rows += [[] for _ in range(depth[node] + 1 - len(rows))]
        boxes[node] = _Place([printable(line) for line in describe(node)])
        for source in dict.fromkeys(sources):
            above = boxes[source]
            for level in range(depth[source] + 1, depth[node]):
                if (source, level) not in ways:
                    ways[source, level] = _Place(above=[above])
                    rows[level].append(ways[source, level])
                above = ways[source, level]
            boxes[node].above.append(above)
        rows[depth[node]].append(boxes[node])
    return rows


def _arrange(row: list[_Place]) -> None:
    """Put places side by side: the boxes, on average, below what they come from."""

    def wanted(place: _Place) -> float:
        return sum(above.x for above in place.above) / max(len(place.above), 1)

    row.sort(key=wanted)
    x = 0.0
    for place in row:
        place.x = x + place.width / 2
        x += place.width + _GAP
    boxes = [place for place in row if place.text]
    shift = sum(wanted(box) - box.x for box in boxes) / len(boxes)
    for place in row:
        place.x += shift


def _line(above: _Place, place: _Place) -> str:
    middle = (above.bottom + place.top) / 2
    path = (
        f"M{above.x:.1f} {above.bottom:.1f}C{above.x:.1f} {middle:.1f} {place.x:.1f} {middle:.1f} "
        f"{place.x:.1f} {place.top:.1f}"
    )
    if place.text:
        return f'<path d="{path}m-4 -7l4 7l4 -7"/>'
    return f'<path d="{path}V{place.bottom:.1f}"/>'


def _box(place: _Place) -> list[str]:
    if not place.text:
        return []
    left = place.x - place.width / 2
    found = [
        f'<rect x="{left:.1f}" y="{place.top:.1f}" width="{place.width:.1f}" '
        f'height="{place.bottom - place.top:.1f}" rx="4" fill="#f4f6fa" stroke="#555"/>'
    ]
    for number, text in enumerate(place.text, 1):
        y = place.top + number * _LINE - 1
        weight = ' font-weight="bold"' if number == 1 else ""
        found.append(
            f'<text x="{place.x:.1f}" y="{y:.1f}" text-anchor="middle"{weight}>'
            f"{escape(text)}</text>"
        )
    return found


def description(
    node: Node, shapes: bool, dtype: bool, names: bool, activations: bool, trainable: bool
) -> list[str]:
    """Return the lines of text in a node's box, as `plot_model` of Keras fills it."""
    layer: Any = node.layer
    kind = type(layer).__name__
    text = [f"{layer.name} ({kind})" if names else kind]
    activation = getattr(layer, "activation", None)
    if activations and activation is not None:
        text.append(f"activation: {getattr(activation, '__name__', activation)}")
    if shapes:
        given = ", ".join(shape_text(symbol.shape) for symbol in node.inputs)
        made = ", ".join(shape_text(symbol.shape) for symbol in node.outputs)
        text += [f"in: {given}"] if given else []
        text.append(f"out: {made}")
    if dtype:
        text.append(f"dtype: {layer.dtype}")
    if trainable and layer.weights:
        text.append("trainable" if layer.trainable else "frozen")
    return text
