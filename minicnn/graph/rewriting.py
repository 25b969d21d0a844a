"""Uses of layers in a graph that is made of another one."""

from minicnn.layers import InputLayer, KerasTensor, Layer, Node


def use(
    layer: Layer, inputs: list[KerasTensor], node: Node, last: Node | None = None
) -> list[KerasTensor]:
    """A use of `layer` as in `node`, on other symbols; the layer does not know of it.

    Its outputs are as those of `last`, if it does what all nodes up to there did.
    """
    copy = Node(layer, inputs, node.training, node.single_input, listed=False)
    copy.outputs = [
        KerasTensor(symbol.shape, symbol.dtype, copy, symbol.index)
        for symbol in (last or node).outputs
    ]
    return copy.outputs


def new_input(symbol: KerasTensor, name: str) -> KerasTensor:
    """The symbol of an Input of this symbol's shape and dtype."""
    layer = InputLayer(batch_shape=symbol.shape, dtype=symbol.dtype, name=name)
    return layer.nodes[0].outputs[0]
