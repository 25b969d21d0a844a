"""Draws a model as SVG: a box for each use of a layer, and lines from outputs to inputs.

A box lies in the row below the lowest box that it depends on. A line that passes rows has a narrow
place in each of them, so that it runs beside the boxes. Rows are filled from the top: the places
above decide where in its row a place is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from minicnn._support.terminal import printable
from minicnn.graph.graph import Graph
from minicnn.graph.network import Network
from minicnn.layers import KerasTensor
from minicnn.layers.base import Node
from minicnn.shapes import shape_text

# In pixels.
_LETTER, _LINE, _MARGIN, _ROW_GAP, _GAP, _WAY = 7.3, 17, 8, 34, 24, 12


class Drawing(str):
    """The text of an SVG file, which a notebook shows as an image."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass(eq=False)
class _Place:
    """A box with lines of text, or, without text, a place that a line passes."""

    text: list[str] = field(default_factory=list)
    above: list["_Place"] = field(default_factory=list)
    nested: bool = False
    sideways: bool = False
    x: float = 0.0  # of its centre, along the row
    top: float = 0.0
    bottom: float = 0.0

    @property
    def size(self) -> tuple[float, float]:
        """Return its extent along the row, and from row to row."""
        if not self.text:
            return _WAY, 0.0
        width = max(map(len, self.text)) * _LETTER + 2 * _MARGIN
        height = len(self.text) * _LINE + _MARGIN
        return (height, width) if self.sideways else (width, height)

    def point(self, x: float, y: float) -> str:
        """Return a point as the file has it; sideways, rows become columns."""
        return f"{y:.1f} {x:.1f}" if self.sideways else f"{x:.1f} {y:.1f}"


def draw(
    model: Network,
    describe: Callable[[Node], list[str]],
    sideways: bool = False,
    expanded: bool = False,
    scale: float = 1.0,
) -> Drawing:
    """Return the drawing; `describe` returns the lines of text in a node's box.

    Sideways, rows become columns from left to right. Expanded, a nested model's layers replace its
    box. `scale` scales the size at which the drawing is shown.
    """
    rows = _rows(model, describe, sideways, expanded)
    top = float(_MARGIN)
    for row in rows:
        depth = max(place.size[1] for place in row)
        _arrange(row)
        for place in row:
            place.top = top
            place.bottom = top + (place.size[1] if place.text else depth)
        top += depth + _ROW_GAP
    places = [place for row in rows for place in row]
    left = min(place.x - place.size[0] / 2 for place in places) - _MARGIN
    right = max(place.x + place.size[0] / 2 for place in places) + _MARGIN
    extent = [round(right - left), round(top - _ROW_GAP + _MARGIN)]
    corner = [round(left), 0]
    if sideways:
        extent, corner = extent[::-1], corner[::-1]
    (width, height), (x, y) = extent, corner
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x} {y} {width} {height}" '
        f'width="{width * scale:g}" height="{height * scale:g}" font-family="monospace" '
        'font-size="12">',
        '<g fill="none" stroke="#555">',
        *(_line(above, place) for place in places for above in place.above),
        "</g>",
        *(part for place in places for part in _box(place)),
        "</svg>",
    ]
    return Drawing("\n".join(lines) + "\n")


def _rows(
    model: Network, describe: Callable[[Node], list[str]], sideways: bool, expanded: bool
) -> list[list[_Place]]:
    depth: dict[_Place, int] = {}
    ways: dict[tuple[_Place, int], _Place] = {}  # where the line from a box passes a row
    rows: list[list[_Place]] = []

    def put(box: _Place, sources: list[_Place]) -> None:
        depth[box] = max((depth[source] + 1 for source in sources), default=0)
        rows.extend([] for _ in range(depth[box] + 1 - len(rows)))
        for source in dict.fromkeys(sources):
            above = source
            for level in range(depth[source] + 1, depth[box]):
                if (source, level) not in ways:
                    ways[source, level] = _Place(above=[above], sideways=sideways)
                    rows[level].append(ways[source, level])
                above = ways[source, level]
            box.above.append(above)
        rows[depth[box]].append(box)

    def add(graph: Graph, given: list[_Place], inside: str) -> list[_Place]:
        """Put the boxes of a graph below those of its inputs; return those of its outputs."""
        made: dict[KerasTensor, _Place] = {}
        outer = dict(zip(graph.inputs, given))
        for node in graph.nodes:
            sources = [made[symbol] for symbol in node.inputs]
            sources += [outer[symbol] for symbol in node.outputs if symbol in outer]
            layer: Any = node.layer
            if expanded and node.inputs and layer.is_network:
                ends = add(layer.graph, sources, f"{inside}/{layer.name}" if inside else layer.name)
                made |= zip(node.outputs, ends)
                continue
            text = [*describe(node), *([f"in {inside}"] if inside else [])]
            box = _Place([*map(printable, text)], nested=bool(inside), sideways=sideways)
            put(box, sources)
            made |= dict.fromkeys(node.outputs, box)
        return [made[symbol] for symbol in graph.outputs]

    add(model.require_graph("layers to draw"), [], "")
    return rows


def _arrange(row: list[_Place]) -> None:
    """Put places side by side, each on average below the places that it comes from."""

    def wanted(place: _Place) -> float:
        return sum(above.x for above in place.above) / max(len(place.above), 1)

    row.sort(key=wanted)
    x = 0.0
    for place in row:
        place.x = x + place.size[0] / 2
        x += place.size[0] + _GAP
    boxes = [place for place in row if place.text]
    shift = sum(wanted(box) - box.x for box in boxes) / len(boxes)
    for place in row:
        place.x += shift


def _line(above: _Place, place: _Place) -> str:
    middle, point = (above.bottom + place.top) / 2, place.point
    path = (
        f"M{point(above.x, above.bottom)}C{point(above.x, middle)} {point(place.x, middle)} "
        f"{point(place.x, place.top)}"
    )
    if place.text:
        tip = "m-7 -4l7 4l-7 4" if place.sideways else "m-4 -7l4 7l4 -7"
        return f'<path d="{path}{tip}"/>'
    return f'<path d="{path}{"H" if place.sideways else "V"}{place.bottom:.1f}"/>'


def _box(place: _Place) -> list[str]:
    if not place.text:
        return []
    breadth, depth = place.size
    corner = place.x - breadth / 2, place.top
    left, top = corner[::-1] if place.sideways else corner
    width, height = (depth, breadth) if place.sideways else (breadth, depth)
    found = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" '
        f'fill="{"#fdf3e3" if place.nested else "#f4f6fa"}" stroke="#555"/>'
    ]
    for number, text in enumerate(place.text, 1):
        y = top + number * _LINE - 1
        weight = ' font-weight="bold"' if number == 1 else ""
        found.append(
            f'<text x="{left + width / 2:.1f}" y="{y:.1f}" text-anchor="middle"{weight}>'
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
