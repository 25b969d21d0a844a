"""The receptive field of every symbol in a graph: which input pixels it depends on."""

from minicnn.graph.graph import Graph
from minicnn.layers.symbols import KerasTensor, Node
from minicnn.shapes import ReceptiveField

Field = tuple[ReceptiveField, ReceptiveField] | None  # rows and columns; None: the whole image


def fields(graph: Graph) -> dict[KerasTensor, Field]:
    """Return the receptive field of each symbol, in pixels of the input with four dimensions."""
    known: dict[KerasTensor, Field] = {}
    for node in graph.nodes:
        known |= dict.fromkeys(node.outputs, _field(node, known))
    return known


def _field(node: Node, known: dict[KerasTensor, Field]) -> Field:
    """Return the receptive field after this node, the largest if it has several inputs."""
    if not node.inputs:
        is_image = len(node.outputs[0].shape) == 4
        return (ReceptiveField(), ReceptiveField()) if is_image else None
    window = node.layer.receptive_window()
    incoming = [known[symbol] for symbol in node.inputs]
    if window is None or any(field is None for field in incoming):
        return None
    kernel, strides, dilation = window
    through = [
        tuple(f.through(k, s, d) for f, k, s, d in zip(field, kernel, strides, dilation))
        for field in incoming
        if field is not None
    ]
    rows, columns = (max(axis) for axis in zip(*through))
    return rows, columns
