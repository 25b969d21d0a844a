"""`Program`: a graph for one size of batch, as a table of kernels.

When Python runs a network on one photo, it spends as much time between the layers as in them: each
layer checks its input, packs its weights, asks for memory, and wakes the threads. A program has
done all that beforehand.

- **Steps.** The layers are called once, on arrays whose numbers are not known yet, and the kernels
that they call are recorded (`minicnn.compiler.recording`). A layer that needs more than kernels, or
one of the user's own, becomes a step in Python between two tables.
- **Weights** are packed, transformed and scaled when the program is made.
- **Memory.** The program knows when each array is first written and last read; arrays that are not
needed at the same time share memory. All of it is one block, the arena.

- **Joined steps.** An array that only the next step reads need not be written (`graph.peephole`).

A program computes the same numbers as its graph, bit for bit: each number is the same sum, in the
same order.
"""

import functools
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn._support.terminal import bytes_text, printable
from minicnn.compiler import recording
from minicnn.compiler.recording import Call, Live, NotKernelsError, Recorder, Step, root_of
from minicnn.compiler.threads import Table
from minicnn.graph import peephole
from minicnn.graph.graph import Graph
from minicnn.graph.layer import GraphLayer, is_users
from minicnn.graph.peephole import Planned, arrays_of
from minicnn.layers import KerasTensor, Layer, Node

Array = np.ndarray

_ALIGNMENT = 64  # bytes: a cache line, and a vector register


class Program:
    """What a graph computes for inputs of these shapes; see the module.

    `steps` has a `Step` for each kernel and a `Call` for each Python function, in order; `layers`
    has the layer of each step, and `multiply_adds` its cost (`_shared_out`). `arena_bytes` is the
    memory for all results, `blocks` says which array has which part of it when, and
    `constant_bytes` is the memory of the packed weights. One Python thread at a time runs a
    program. `minicnn.plots.program` draws it.
    """

    def __init__(self, graph: Graph, shapes: Sequence[tuple[int, ...]]) -> None:
        planned = _Plan(graph, shapes)
        planned.steps = peephole.rewritten(planned.steps, planned.outputs)
        layout = _Layout(planned)
        self.arena_bytes, self.constant_bytes = layout.size, layout.constant_bytes
        self.blocks = layout.blocks
        self.steps = [layout.placed(each.step) for each in planned.steps]
        self.layers = [each.layer for each in planned.steps]
        self.multiply_adds = [each.multiply_adds for each in planned.steps]
        self._inputs = [layout.array(array) for array in planned.inputs]
        self._outputs = [layout.array(array) for array in planned.outputs]
        self._parts: list[Table | Call] = []
        together: list[Step] = []
        for step in [*self.steps, None]:
            if isinstance(step, Step):
                together.append(step)
                continue
            if together:
                self._parts.append(_table(together))
                together = []
            if step is not None:
                self._parts.append(step)
        self._lock = threading.Lock()

    def run(self, inputs: Sequence[Array]) -> list[Array] | None:
        """Return the outputs for these inputs; None if another thread is using the program."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            for place, array in zip(self._inputs, inputs, strict=True):
                place[...] = array
            for part in self._parts:
                if isinstance(part, Table):
                    part.run()
                else:
                    _compute(part)
            return [output.copy() for output in self._outputs]
        finally:
            self._lock.release()

    def __str__(self) -> str:
        """Return a line for each step: layer, kernel, tasks, cost, and what it writes."""
        lines = [
            f"{len(self.steps)} steps, {_millions(sum(self.multiply_adds))} million multiply-adds, "
            f"{bytes_text(self.arena_bytes)} of memory, "
            f"{bytes_text(self.constant_bytes)} of packed weights"
        ]
        rows = []
        for step, layer, cost in zip(self.steps, self.layers, self.multiply_adds, strict=True):
            if isinstance(step, Call):
                what, tasks = "Python", ""
            else:
                what = step.kernel.label
                tasks = f"{step.tasks} task{'s' if step.tasks > 1 else ''}"
            shapes = " ".join(str(array.shape) for array in _written(step) if array.size)
            costs = f"{_millions(cost)} M" if cost else ""
            rows.append((printable(layer.name), what, tasks, costs, shapes))
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, (name, what, tasks, costs, shapes) in enumerate(rows, 1):
            first = f"{number:4}  {name:{wide[0]}}  {what:{wide[1]}}  {tasks:{wide[2]}}"
            lines.append(f"{first}  {costs:>{wide[3]}}  {shapes}")
        return "\n".join(lines)


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f}"


def _table(steps: Sequence[Step]) -> Table:
    return Table(
        [(*step.kernel.prepared(step.arguments, step.tasks), step.tasks) for step in steps]
    )


def _compute(call: Call) -> None:
    y = call.function(call.given)
    results = y if isinstance(y, list) else [y]
    for place, result in zip(call.outputs, results, strict=True):
        place[...] = result


class _Plan:
    """The layers' steps, in order, and the arrays that go in and come out."""

    def __init__(self, graph: Graph, shapes: Sequence[tuple[int, ...]]) -> None:
        self.recorder = Recorder()
        self.steps: list[Planned] = []
        self.inputs: list[Array] = []
        for symbol, shape in zip(graph.inputs, shapes, strict=True):
            array = recording.live(shape, symbol.dtype)
            self.recorder.expect(array)
            self.inputs.append(array)
        self.outputs = self._through(graph, self.inputs)

    def _through(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        known = graph.shapes([array.shape for array in inputs])
        values: dict[KerasTensor, Array] = dict(zip(graph.inputs, inputs, strict=True))
        for node in graph.nodes:
            if node.inputs:
                taken = [values[symbol] for symbol in node.inputs]
                shapes: list[Any] = [known[symbol] for symbol in node.outputs]
                values |= zip(node.outputs, self._node(node, taken, shapes), strict=True)
        return [values[symbol] for symbol in graph.outputs]

    def _node(
        self, node: Node, taken: list[Array], shapes: list[tuple[int, ...]]
    ) -> Sequence[Array]:
        layer, training = node.layer, bool(node.training)
        given = taken[0] if node.single_input else taken
        ours = not is_users(layer)
        if ours and not training and isinstance(layer, GraphLayer) and _fit(taken, layer.graph):
            return self._through(layer.graph, taken)
        if ours and not (training and layer.differs_in_training()):
            found = self._recorded(layer, given)
            if found is not None:
                return found
        pairs = zip(node.outputs, shapes, strict=True)
        outputs = tuple(recording.live(shape, symbol.dtype) for symbol, shape in pairs)
        self.recorder.steps = []
        run = functools.partial(layer.run, training=training)
        self.recorder.call(run, given, outputs)
        self._take_steps(layer, given)
        return outputs

    def _take_steps(self, layer: Layer, given: Any) -> None:
        shape = [array.shape for array in given] if isinstance(given, list) else given.shape
        images = shape[0][0] if isinstance(given, list) else shape[0]
        costs = _shared_out(images * (layer.multiply_adds(shape) or 0), self.recorder.steps)
        pairs = zip(self.recorder.steps, costs, strict=True)
        self.steps += [Planned(step, layer, cost) for step, cost in pairs]

    def _recorded(self, layer: Layer, given: Any) -> list[Array] | None:
        """Return the layer's outputs if kernels alone compute them, or None."""
        self.recorder.steps = []
        here, before = recording.here, recording.here.recorder
        # No context manager: an interrupt as it begins or ends could leave the recorder listening.
        try:
            here.recorder = self.recorder
            y = layer.run(given)
        except NotKernelsError:
            return None
        finally:
            here.recorder = before
        found = y if isinstance(y, list) else [y]
        if not all(type(array) is Live and self.recorder.is_live(array) for array in found):
            return None
        self._take_steps(layer, given)
        return found


# The kernels that do a layer's multiplications; others prepare them, or change their results.
_MULTIPLY = (
    "depthwise.forward",
    "direct.forward",
    "matmul.product",
    "winograd.forward",
    "winograd.multiply_few",
)


def _shared_out(cost: int, steps: Sequence[Step | Call]) -> list[int]:
    """Return each step's part of a layer's multiply-adds.

    The steps that multiply get them. If a layer multiplies with two kinds of kernel, the later kind
    gets all; several steps of that kind share them in proportion to the sizes of their results.
    """
    labels = [step.kernel.label if isinstance(step, Step) else "" for step in steps]
    multiply = [label for label in labels if label in _MULTIPLY] or labels
    sizes = [
        sum(array.size for array in _written(step)) if label == multiply[-1] else 0
        for step, label in zip(steps, labels, strict=True)
    ]
    return [cost * size // max(sum(sizes), 1) for size in sizes]


def _written(step: Step | Call) -> list[Array]:
    """Return the arrays that a step writes."""
    if isinstance(step, Call):
        return list(step.outputs)
    return [step.arguments[number] for number in step.kernel.written]


class Block(NamedTuple):
    """A part of the arena, and the steps between which an array lies there.

    Steps count from 1. An input exists from step 0, before the first step, and an output stays
    until one step after the last.
    """

    offset: int
    size: int
    first: int
    last: int
    shape: tuple[int, ...]


class _Layout:
    """Where in the arena each array lies."""

    def __init__(self, plan: _Plan) -> None:
        self._is_live = plan.recorder.is_live
        self._roots: dict[int, Array] = {}
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        constants: dict[int, int] = {}
        for number, (step, *_) in enumerate(plan.steps):
            for array in arrays_of(step):
                root = root_of(array)
                if self._is_live(array):
                    self._roots[id(root)] = root
                    first.setdefault(id(root), number)
                    last[id(root)] = number
                else:
                    constants[id(root)] = root.nbytes
        for at, arrays in ((-1, plan.inputs), (len(plan.steps), plan.outputs)):
            for array in arrays:
                root = root_of(array)
                self._roots[id(root)] = root
                first.setdefault(id(root), at)
                first[id(root)] = min(first[id(root)], at)
                last[id(root)] = max(last.get(id(root), at), at)
        self.constant_bytes = sum(constants.values())
        self._offsets, self.size = _offsets(
            [(key, first[key], last[key], self._roots[key].nbytes) for key in self._roots]
        )
        self.blocks = [
            Block(offset, root.nbytes, first[key] + 1, last[key] + 1, root.shape)
            for key, offset in self._offsets.items()
            for root in (self._roots[key],)
        ]
        memory = np.empty(self.size + _ALIGNMENT, np.uint8)
        begin = -memory.ctypes.data % _ALIGNMENT
        self._arena = memory[begin : begin + self.size]
        self._made: dict[int, Array] = {}

    def array(self, array: Array) -> Array:
        """Return the array in the arena that takes the place of a live one."""
        root = root_of(array)
        offset = self._offsets[id(root)] + array.ctypes.data - root.ctypes.data
        return np.ndarray(array.shape, array.dtype, self._arena.data, offset)

    def placed(self, step: Step | Call) -> Step | Call:
        """Return the step with its arrays in the arena."""
        if isinstance(step, Call):
            given = step.given
            given = [*map(self.array, given)] if isinstance(given, list) else self.array(given)
            return step._replace(given=given, outputs=tuple(map(self.array, step.outputs)))
        arguments = [self.array(a) if self._is_live(a) else a for a in step.arguments]
        return step._replace(arguments=tuple(arguments))


def _fit(arrays: Sequence[Array], graph: Graph) -> bool:
    """Return whether the arrays are as the graph expects them."""
    pairs = zip(arrays, graph.inputs, strict=True)
    return all(a.dtype == s.dtype and a.ndim == len(s.shape) for a, s in pairs)


def _offsets(blocks: list[tuple[int, int, int, int]]) -> tuple[dict[int, int], int]:
    """Return where each block (key, first step, last step, bytes) lies, and the total memory.

    The largest blocks come first, each as low as possible beside those needed at the same time.
    """
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    offsets, size = {}, 0
    for key, first, last, bytes_ in sorted(blocks, key=lambda block: -block[3]):
        offset = 0
        for begin, end, other_first, other_last in sorted(placed):
            if other_first <= last and first <= other_last and begin < offset + bytes_:
                offset = max(offset, -(-end // _ALIGNMENT) * _ALIGNMENT)
        placed.append((offset, offset + bytes_, first, last))
        offsets[key] = offset
        size = max(size, offset + bytes_)
    return offsets, size
