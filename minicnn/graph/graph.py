"""`Graph`: layers joined by symbols, as a value.

A node is one use of a layer. Symbols lead from node to node. The sorted nodes are a program: run
them in order, and each finds its inputs computed. Backward walks the same list in reverse.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional
from minicnn._support.variable import Variable
from minicnn.functional import by_name
from minicnn.graph.tape import BackwardStep, TapeEntry, Visitor
from minicnn.layers import KerasTensor, Layer, MaxPooling2D, Node
from minicnn.layers.base import Array, Shape, only_limits
from minicnn.layers.calling import CallCache


class Graph:
    """The uses of layers that lead from `inputs` to `outputs`. It never changes.

    nodes       in an order in which each comes after those whose outputs it uses
    layers      each once, in Keras's order, on which weight files rely
    producer    for each symbol, the node that computes it
    uses        for each symbol, how many nodes use it

    Errors name `who`. Raises `ValueError` if an output depends on an input that is not among
    `inputs`, or if two layers share a name.
    """

    def __init__(
        self, inputs: Iterable[KerasTensor], outputs: Iterable[KerasTensor], who: str = "Graph"
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.nodes, self.layers = _sorted(self.inputs, self.outputs, who)
        self.producer = {symbol: node for node in self.nodes for symbol in node.outputs}
        self.uses = Counter(symbol for node in self.nodes for symbol in node.inputs)

    @property
    def ends(self) -> set[Node]:
        """The nodes that compute the outputs."""
        return {self.producer[symbol] for symbol in self.outputs}

    def use_numbers(self) -> dict[Node, int]:
        """Return for each node which of its layer's uses in this graph it is, from 0."""
        counts: Counter[Layer] = Counter()
        numbers = {}
        for node in sorted(self.nodes, key=lambda node: node.index):
            numbers[node] = counts[node.layer]
            counts[node.layer] += 1
        return numbers

    # -- running -----------------------------------------------------------------------------------

    def run(
        self, arrays: Sequence[Array], training: bool | None, keep: Collection[Node] = ()
    ) -> tuple[list[Array], list[TapeEntry]]:
        """Return the outputs for these inputs, and an entry for each node in `keep`.

        An array is dropped as soon as no later node needs it. `training=None` runs each layer as a
        call without `training` does.
        """
        values: dict[KerasTensor, Any] = dict(zip(self.inputs, arrays, strict=True))
        uses = dict(self.uses)
        entries = []
        for node in self.nodes:
            if not node.inputs:
                continue
            taken = [values[symbol] for symbol in node.inputs]
            given = taken[0] if node.single_input else taken
            effective: Any = training if node.training is None else node.training
            if effective is None:
                effective = node.layer.training_by_default
            if node in keep:
                y, cache = node.layer.forward(given, effective)
                entries.append(TapeEntry(node, given, y, cache))
            else:
                y = node.layer.run(given, effective)
            computed = y if isinstance(y, list) else [y]
            values |= zip(node.outputs, computed)
            for symbol in node.inputs:
                uses[symbol] -= 1
                if not uses[symbol] and symbol not in self.outputs:
                    values.pop(symbol, None)
            del y, computed, taken, given  # else this node's arrays would outlive the next node
        return [values[symbol] for symbol in self.outputs], entries

    def shapes(self, input_shapes: Sequence[Shape]) -> dict[KerasTensor, Shape]:
        """Return the shape of every symbol for inputs of these shapes."""
        known: dict[KerasTensor, Shape] = dict(zip(self.inputs, map(tuple, input_shapes)))
        for node in self.nodes:
            if node.inputs:
                found = node.layer.compute_output_shape(self.given_shape(node, known))
                several = len(node.outputs) > 1
                known |= zip(node.outputs, found if several else [found])
        return known

    @staticmethod
    def given_shape(node: Node, known: dict[KerasTensor, Shape]) -> Any:
        """Return the shape (or list of shapes) that a node's layer is called on."""
        shapes = [known[symbol] for symbol in node.inputs]
        return shapes[0] if node.single_input and not node.layer.takes_list else shapes

    def penalized_nodes(self) -> set[Node]:
        """Return the nodes whose outputs the loss needs, for an `activity_regularizer`."""
        return {node for node in self.nodes if node.layer.penalizes_outputs()}

    # -- backward ----------------------------------------------------------------------------------

    def learning_nodes(self) -> set[Node]:
        """Return the nodes that gradients must pass: those that train weights, and all after."""
        learning: set[Node] = set()
        for node in self.nodes:
            trains = bool(node.layer.learning_variables_by_name())
            if trains or any(self.producer[symbol] in learning for symbol in node.inputs):
                learning.add(node)
        return learning

    def backward(
        self,
        dys: Sequence[Array],
        entries: Sequence[TapeEntry],
        needed: Collection[Node],
        at_logits: Sequence[bool] = (),
        visit: Visitor | None = None,
        penalized: bool = False,
    ) -> tuple[list[Array | None], dict[Variable, Array]]:
        """Return the gradients of the inputs and of the weights, through the nodes in `needed`.

        `at_logits` says for which outputs dy is already the gradient before the activation;
        `penalized`, that the loss includes the layers' `activity_regularizer`.
        """
        exact = {symbol.node for symbol, flag in zip(self.outputs, at_logits) if flag}
        received: dict[KerasTensor, Array] = {}
        for symbol, dy in zip(self.outputs, dys, strict=True):
            _accumulate(received, symbol, dy)
        undone: set[Node] = set()  # nodes whose activation's backward ran after their pooling
        grads: dict[Variable, Array] = {}
        for entry in reversed(entries):
            node, layer = entry.node, entry.layer
            incoming = [received.pop(symbol, None) for symbol in node.outputs]
            adds = penalized and layer.penalizes_outputs()
            if node not in needed or (all(dy is None for dy in incoming) and not adds):
                continue
            dy = _filled(incoming, entry.y)
            clamped = self._clamped_before(node) if visit is None else None
            if clamped is not None:
                # Pooling passes on only the largest number of a window. So the backward of the
                # activation before it can run here, where there are fewer numbers.
                activation = by_name.activation(clamped.layer.activation_name)
                dy = activation.backward(dy, entry.y)
                undone.add(clamped)
            here = node in undone or node in exact
            if adds:
                dy = _with_activity(dy, entry, here)
            wanted = [self.producer[symbol] in needed for symbol in node.inputs]
            dx, own = layer.backward_within(dy, entry.cache, any(wanted), here, visit, adds)
            if visit is not None:
                visit(entry, BackwardStep(dy, dx, own, here))
            variables = layer.learning_variables_by_name()
            for key in own.keys() & variables.keys():
                _accumulate(grads, variables[key], own[key])
            for symbol, part, want in zip(
                node.inputs, dx if isinstance(dx, list) else [dx], wanted
            ):
                if want and part is not None:
                    _accumulate(received, symbol, part)
        return [received.get(symbol) for symbol in self.inputs], grads

    def _clamped_before(self, node: Node) -> Node | None:
        """Return the node that only this max pooling uses, if its activation only has limits."""
        if type(node.layer) is not MaxPooling2D:
            return None
        (symbol,) = node.inputs
        before = self.producer[symbol]
        alone = self.uses[symbol] == 1 and symbol not in self.outputs
        ours = type(before.layer).backward is Layer.backward  # and so it knows `at_logits`
        free = not before.layer.penalizes_outputs()  # else dy would lack the penalty's gradient
        limits = only_limits(before.layer.activation_name)
        return before if alone and ours and free and limits else None

    # -- copying -----------------------------------------------------------------------------------

    def __reduce__(self) -> Any:
        """Copy or pickle as layers and numbers, which are flat however deep the graph is."""
        number: dict[KerasTensor, int] = {}
        rows = []
        for node in self.nodes:
            taken = [number[symbol] for symbol in node.inputs]
            made = [(symbol.shape, symbol.dtype) for symbol in node.outputs]
            number |= {symbol: len(number) + at for at, symbol in enumerate(node.outputs)}
            rows.append(
                _Row(
                    node.layer,
                    taken,
                    made,
                    node.training,
                    node.single_input,
                    node.listed,
                    node.index,
                )
            )
        ends = [[number[symbol] for symbol in end] for end in (self.inputs, self.outputs)]
        return _from_rows, (rows, *ends)


class _Row(NamedTuple):
    """A node as numbers: the symbols it uses, and the shapes and dtypes of those it computes."""

    layer: Layer
    taken: list[int]
    made: list[tuple[Shape, str]]
    training: bool | None
    single_input: bool
    listed: bool
    number: int


def _from_rows(rows: list[_Row], inputs: list[int], outputs: list[int]) -> Graph:
    symbols: list[KerasTensor] = []
    new: defaultdict[Layer, list[tuple[int, Node]]] = defaultdict(list)
    for row in rows:
        if row.taken:
            taken = [symbols[number] for number in row.taken]
            node = Node(row.layer, taken, row.training, row.single_input, row.listed)
            node.outputs = [
                KerasTensor(shape, dtype, node, index)
                for index, (shape, dtype) in enumerate(row.made)
            ]
            if row.listed:
                new[row.layer].append((row.number, node))
        else:
            (node,) = row.layer.nodes  # an Input's only node
        symbols += node.outputs
    # A layer numbers its uses in the order of the calls, which may differ from that of the nodes.
    for layer, uses in new.items():
        first = len(layer.nodes) - len(uses)
        layer.nodes[first:] = [node for _, node in sorted(uses, key=lambda pair: pair[0])]
        for number, node in enumerate(layer.nodes):
            node.index = number
    return Graph([symbols[number] for number in inputs], [symbols[number] for number in outputs])


def _sorted(
    inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor], who: str
) -> tuple[tuple[Node, ...], tuple[Layer, ...]]:
    """Return nodes and layers sorted as Keras sorts them.

    Depth is the longest path from a node to an output. The deepest layers come first; within a
    depth, layers come in the order in which a walk back from the outputs meets them.
    """
    order: list[Node] = []  # inputs before what needs them
    met: dict[Layer, int] = {}  # when the walk from the outputs first met a layer
    seen: set[Node] = set()
    for output in outputs:
        # A loop with its own stack: a deep network must not exhaust Python's.
        stack: list[tuple[Node, int]] = [(output.node, 0)]
        while stack:
            node, position = stack.pop()
            if position == 0:
                if node in seen:
                    continue
                seen.add(node)
                met.setdefault(node.layer, len(met))
            if position < len(node.inputs):
                stack.append((node, position + 1))
                if node.inputs[position].node not in seen:
                    stack.append((node.inputs[position].node, 0))
                continue
            order.append(node)
    for symbol in inputs:
        if symbol.node not in seen:  # an input that no output needs
            order.insert(0, symbol.node)
            met[symbol.node.layer] = -1
    for node in order:
        if not node.inputs and node.outputs[0] not in inputs:
            raise ValueError(
                f"{who}: the outputs depend on {node.outputs[0]!r}, which is not among the inputs."
            )
    depth: dict[Node, int] = {}
    layer_depth: dict[Layer, int] = {}
    for node in reversed(order):
        depth[node] = max(depth.get(node, 0), layer_depth.get(node.layer, 0))
        layer_depth[node.layer] = depth[node]
        for symbol in node.inputs:
            depth[symbol.node] = max(depth.get(symbol.node, 0), depth[node] + 1)
    layers = sorted(layer_depth, key=lambda layer: (-layer_depth[layer], met[layer]))
    for name, count in Counter(layer.name for layer in layers).items():
        if count > 1:
            raise ValueError(f'{who} has several layers with the name "{name}".')
    return tuple(order), tuple(layers)


def _accumulate(sums: dict[Any, Array], key: Any, gradient: Array) -> None:
    """Add to the sum of this key without writing into an array that others may hold."""
    sums[key] = functional.add([sums[key], gradient]) if key in sums else gradient


def _with_activity(dy: Any, entry: TapeEntry, at_logits: bool) -> Any:
    """Return dy plus the gradient of the layer's `activity_regularizer`, if it has one."""
    within = isinstance(entry.cache, CallCache)  # whose tape adds it
    added = None if within else entry.layer.activity_gradient(entry.y)
    if added is None:
        return dy
    if at_logits and entry.cache.y is not None:  # dy is the gradient before the activation
        activation = by_name.activation(entry.cache.activation)
        added = activation.gradient(added, entry.cache.z, entry.cache.y)
    return dy + added


def _filled(incoming: list[Array | None], y: Any) -> Any:
    """Return the gradients of a layer's outputs, with zeros for those that nothing used."""
    ys = y if isinstance(y, list) else [y]
    filled = [np.zeros_like(v) if g is None else g for g, v in zip(incoming, ys)]
    return filled if isinstance(y, list) else filled[0]
