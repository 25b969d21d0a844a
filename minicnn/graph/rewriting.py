"""Uses of layers in a graph that is made from another graph."""

from minicnn.layers import InputLayer, KerasTensor, Layer, Node


def use(
    layer: Layer, inputs: list[KerasTensor], node: Node, last: Node | None = None
) -> list[KerasTensor]:
    """Use `layer` as `node` does, on other symbols, and return the outputs.

    The layer does not record this use. If it does the work of all nodes up to `last`, the outputs
    are like those of `last`.
    """
    copy = Node(layer, inputs, node.training, node.single_input, listed=False)
    copy.outputs = [
        KerasTensor(symbol.shape, symbol.dtype, copy, symbol.index)
        for symbol in (last or node).outputs
    ]
    return copy.outputs


def new_input(symbol: KerasTensor, name: str) -> KerasTensor:
    """Return the symbol of a new Input with this symbol's shape and dtype."""
    layer = InputLayer(batch_shape=symbol.shape, dtype=symbol.dtype, name=name)
    return layer.nodes[0].outputs[0]
