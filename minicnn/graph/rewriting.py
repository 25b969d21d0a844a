"""Uses layers in a graph that is made from another graph."""

from collections.abc import Callable, Sequence

from minicnn.layers import InputLayer, KerasTensor, Layer, Node


def use(
    layer: Layer,
    inputs: list[KerasTensor],
    node: Node,
    last: Node | None = None,
    listed: bool = False,
) -> list[KerasTensor]:
    """Use `layer` as `node` does, on other symbols, and return the outputs.

    The layer records this use if it is to be `listed`. If it does the work of all nodes up to
    `last`, the outputs are like those of `last`.
    """
    copy = Node(layer, inputs, node.training, node.single_input, listed=listed)
    copy.outputs = [
        KerasTensor(symbol.shape, symbol.dtype, copy, symbol.index)
        for symbol in (last or node).outputs
    ]
    return copy.outputs


def cut(
    starts: Sequence[KerasTensor], outputs: Sequence[KerasTensor], name: Callable[[], str]
) -> tuple[list[KerasTensor], list[KerasTensor]]:
    """Return the inputs and outputs of a graph that starts at symbols within another graph.

    Each of these `starts` becomes an Input, of a new `name()`, and the layers after it are called
    once more.
    """
    new = {s: new_input(s, name()) if s.node.inputs else s for s in starts}
    seen: set[Node] = set()
    # A loop with its own stack: a deep network must not exhaust Python's.
    stack = [(symbol.node, False) for symbol in reversed(outputs) if symbol not in new]
    while stack:
        node, ready = stack.pop()
        if ready:
            given = [new.get(symbol, symbol) for symbol in node.inputs]
            made = use(node.layer, given, node, listed=True)
            made[0].node.repeats = True
            new = dict(zip(node.outputs, made, strict=True)) | new
        elif node not in seen and node.inputs:
            seen.add(node)
            stack.append((node, True))
            stack += [(s.node, False) for s in reversed(node.inputs) if s not in new]
    return [new[s] for s in starts], [new.get(s, s) for s in outputs]


def new_input(symbol: KerasTensor, name: str) -> KerasTensor:
    """Return the symbol of a new Input with this symbol's shape and dtype."""
    layer = InputLayer(batch_shape=symbol.shape, dtype=symbol.dtype, name=name)
    return layer.nodes[0].outputs[0]
