"""Splits a graph into the part that training need not repeat and the part that learns.

The layers before the first one that learns or draws random numbers compute the same for an image in
each epoch, so once is enough. In validation nothing is random, so more layers repeat themselves:
augmentation leaves images unchanged. The parts share the weights of the graph, which does not
change.
"""

from collections.abc import Collection
from typing import NamedTuple

from minicnn._support.variable import Variable
from minicnn.graph.graph import Graph
from minicnn.graph.layer import GraphLayer, is_users
from minicnn.graph.rewriting import new_input, use
from minicnn.layers import Layer, Node


class Split(NamedTuple):
    """A graph in two parts: one computes the same for an image in each epoch; the other learns."""

    fixed: Graph
    learning: Graph
    layers: tuple[Layer, ...]  # in the fixed part


def split(graph: Graph, trained: Collection[Variable], training: bool = True) -> Split | None:
    """Return the graph's fixed part and the rest of it; None if nothing worth keeping is fixed.

    A layer is fixed if it has none of the `trained` weights, computes the same in training as in
    inference, and comes only after such layers. Without `training` it may also be a layer of
    minicnn's that is random in training and has no weights. The graph must have one input.
    """
    if len(graph.inputs) != 1 or not trained:
        return None
    learns = {id(variable) for variable in trained}
    fixed = set(graph.inputs)
    nodes: list[Node] = []
    for node in graph.nodes:
        ready = node.inputs and fixed.issuperset(node.inputs)
        trains = any(id(v) in learns for v in node.layer.weights)
        if ready and not trains and (_repeats(node) or (not training and _rests(node))):
            fixed |= set(node.outputs)
            nodes.append(node)
    if not any(node.layer.weights for node in nodes):
        return None  # nothing but cheap layers
    rest = [node for node in graph.nodes if node.inputs and not fixed.issuperset(node.outputs)]
    # The symbols that lead from one part to the other.
    needed = [symbol for node in rest for symbol in node.inputs]
    crossing = {symbol for symbol in [*needed, *graph.outputs] if symbol in fixed}
    if len(crossing) != 1:
        return None
    (border,) = crossing
    start = new_input(border, "features")
    new = {border: start}
    for node in rest:
        made = use(node.layer, [new[symbol] for symbol in node.inputs], node)
        new |= zip(node.outputs, made, strict=True)
    learning = Graph([start], [new[symbol] for symbol in graph.outputs])
    return Split(Graph(graph.inputs, [border]), learning, tuple(node.layer for node in nodes))


def _repeats(node: Node) -> bool:
    """Return whether training computes the same here as inference, and adds nothing to the loss."""
    if node.layer.penalizes_outputs():
        return False
    return node.training is False or not node.layer.differs_in_training()


def _rests(node: Node) -> bool:
    """Return whether the layer is random only in training: augmentation, dropout, noise."""
    layer = node.layer
    if node.training or layer.weights or layer.penalizes_outputs() or is_users(layer):
        return False
    within = layer.graph.nodes if isinstance(layer, GraphLayer) else ()
    return all(_repeats(part) or _rests(part) for part in within)
