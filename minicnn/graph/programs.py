"""The programs of a network: made when a batch size comes again, dropped when weights change.

A program contains packed weights and settings of layers. So before each run, `_Watch` checks that
nothing has changed since it was made:

- **Weights.** A `Variable` counts how often outside code took its array: whoever has it may have
written to it. If no one took it, and no one had it before, its numbers are unchanged. An array that
other code holds is compared with a copy each time.
- **Settings.** Assigning to an attribute of any layer is counted (`minicnn.layers.base.changes`).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from minicnn import config
from minicnn._support import variable
from minicnn._support.variable import Computed, Variable
from minicnn.functional import buffers
from minicnn.graph.fused import FusedLayer
from minicnn.graph.graph import Graph
from minicnn.graph.layer import GraphLayer
from minicnn.graph.program import Program
from minicnn.layers import base

Array = np.ndarray
Shapes = tuple[tuple[int, ...], ...]

_KEPT = 2  # programs: for one photo and for a batch, say
_REMEMBERED = 8  # sizes seen once


_ALONE = Variable(np.zeros(1, np.float32), "alone", "nobody").holders()


def _weights_of(graph: Graph) -> list[Variable]:
    """Return the weights that a graph computes with; for fused layers, those of their parts."""
    found: list[Variable] = []
    for layer in graph.layers:
        if isinstance(layer, GraphLayer):
            found += _weights_of(layer.graph)
        elif isinstance(layer, FusedLayer):
            found += layer.layer.weights_list
            found += [] if layer.normalization is None else layer.normalization.weights_list
        else:
            found += [w for w in layer.weights_list if not isinstance(w, Computed)]
    return found


class _Watch:
    """Watches whether weights and settings have changed."""

    def __init__(self, weights: Sequence[Variable]) -> None:
        self._weights = list(weights)
        self._copies = [(w, w.numpy()) for w in weights if w.holders() > _ALONE]
        self._changes = base.changes.count
        self._taken = [w.taken for w in self._weights]

    def sees_nothing_new(self) -> bool:
        """Return whether nothing has changed."""
        if base.changes.count != self._changes or [w.taken for w in self._weights] != self._taken:
            return False
        return all(weight.is_equal(copy) for weight, copy in self._copies)


class Programs:
    """The programs of one graph, by the shapes of its inputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._programs: OrderedDict[Shapes, Program] = OrderedDict()
        self._came: OrderedDict[Shapes, None] = OrderedDict()  # shapes seen once
        self._watch: _Watch | None = None
        self._lock = threading.Lock()

    def holds(self, *shapes: tuple[int, ...]) -> bool:
        """Return whether there is a program for inputs of these shapes."""
        return shapes in self._programs

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return the graph's outputs at inference."""
        shapes = tuple([array.shape for array in inputs])
        with variable.reading():
            # If another thread is looking for its program, or running it, the graph itself runs.
            program = None
            if self._lock.acquire(blocking=False):
                try:
                    program = self._program_for(shapes)
                finally:
                    self._lock.release()
            results = None if program is None else program.run(inputs)
            return self.graph.run(inputs, training=False)[0] if results is None else results

    def of(self, *shapes: tuple[int, ...]) -> Program:
        """Return the program that `run` uses for inputs of these shapes."""
        with self._lock, variable.reading():
            self._drop_old()
            return self._kept(shapes)

    def _program_for(self, shapes: Shapes) -> Program | None:
        most = config.program_bytes()
        if most is not None and most < sum(w.nbytes for w in _weights_of(self.graph)):
            self._programs.clear()
            return None
        self._drop_old()
        if shapes in self._programs or (shapes in self._came and all(map(all, shapes))):
            return self._kept(shapes)
        # A program takes longer to make than to compute once without it.
        self._came[shapes] = None
        if len(self._came) > _REMEMBERED:
            self._came.popitem(last=False)
        return None

    def _drop_old(self) -> None:
        if self._programs and (self._watch is None or not self._watch.sees_nothing_new()):
            self._programs.clear()

    def _kept(self, shapes: Shapes) -> Program:
        if shapes in self._programs:
            self._programs.move_to_end(shapes)
            return self._programs[shapes]
        if not self._programs:
            self._watch = _Watch(_weights_of(self.graph))
        while len(self._programs) >= _KEPT:
            self._programs.popitem(last=False)
        buffers.release()  # the memory kept for the network's arrays: it is no longer needed
        self._programs[shapes] = Program(self.graph, shapes)
        return self._programs[shapes]
