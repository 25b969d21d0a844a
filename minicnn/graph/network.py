"""`Network`: a graph of layers that runs.

It checks what comes from outside and passes it to its `Graph`.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn.graph import fusion
from minicnn.graph.graph import Graph
from minicnn.graph.layer import SINGLE, Ends, GraphLayer, fits, is_users
from minicnn.graph.program import Program
from minicnn.graph.programs import Programs
from minicnn.graph.split import split
from minicnn.graph.tape import Tape, Visitor
from minicnn.layers import calling
from minicnn.layers.base import Array, Grads, Layer, Shape, changes
from minicnn.layers.symbols import KerasTensor, Node, is_symbolic
from minicnn.shapes import product, shape_text

HELD = 3 * 2**24  # bytes of one layer's output that `predict` computes at a time


class FeatureSplit(NamedTuple):
    """A network cut in two: `body` computes features, `head` learns from them.

    `names` are the names of the body's layers.
    """

    body: "Network"
    head: "Network"
    names: tuple[str, ...]
    feature_shape: Shape
    itemsize: int


class Network(GraphLayer):
    """Layers that compute together: what `Model` does, apart from training and files."""

    untracked: tuple[str, ...] = ("_forms", "_largest", "_programs")
    _forms: "dict[bool, _Form]"  # for inference and for training
    _programs: Programs | None
    _largest: tuple[Graph, int | None] | None  # bytes of the graph's largest output

    def __init__(self, graph: Graph | None, ends: Ends = SINGLE, **options: Any) -> None:
        vars(self).update(_forms={}, _programs=None, _largest=None)
        super().__init__(graph, ends, **options)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_forms": {}, "_programs": None, "_largest": None}

    # -- running -----------------------------------------------------------------------------------

    def forward(self, x: Any, training: bool = False) -> tuple[Any, Tape]:
        """Return `(y, tape)`; the tape keeps every layer's input, output and cache."""
        return self._run(x, training, set(self._graph_for(x).nodes))

    def run(self, x: Any, training: bool | None = False) -> Any:
        """Return y alone; arrays are dropped as soon as no later layer needs them."""
        return self._run(x, training)[0]

    def infer(self, x: Any) -> Any:
        """Return y as `run` computes it, by a program if a batch of this size has come before."""
        graph = self._graph_for(x)
        inputs = self._input_values(x)
        if is_users(self):
            return self.run(x)
        results = self._programs_of(graph).run(inputs)
        return results if self.ends.listed_outputs and len(results) > 1 else results[0]

    def program(self, batch_size: int) -> Program:
        """Return the program for batches of this size; see `Model.inference_program`."""
        shapes: list[Any] = [(batch_size, *symbol.shape[1:]) for symbol in self.graph.inputs]
        if is_users(self) or any(size is None for shape in shapes for size in shape):
            raise ValueError(
                f"{self.label} has no program: it expects a model of minicnn's own classes, with "
                f"inputs of known size. Received inputs {[s.shape for s in self.graph.inputs]}."
            )
        return self._programs_of(self.graph).of(*shapes)

    def _programs_of(self, graph: Graph) -> Programs:
        programs = self._programs
        if programs is None or programs.graph is not graph:
            programs = vars(self)["_programs"] = Programs(graph)
        return programs

    def run_for_training(self, x: Any) -> tuple[Array, Tape]:
        """Return `(y, tape)` with training on; the tape keeps only what the trainable part needs.

        It also keeps what the loss may need, even of a frozen network: the entries of the outputs'
        layers, for their logits, and those of layers with an `activity_regularizer`.
        """
        graph = self._graph_for(x)
        learning = graph.learning_nodes() if self.trainable and not self.fixed else set()
        return self._run(x, True, learning | graph.penalized_nodes() | graph.ends)

    def run_for_loss(self, x: Any) -> tuple[Array, Tape]:
        """Return `(y, tape)` as in inference; the tape keeps only what the loss may need."""
        graph = self._graph_for(x)
        return self._run(x, False, graph.penalized_nodes() | graph.ends)

    def _run(self, x: Any, training: bool | None, keep: Collection[Node] = ()) -> tuple[Any, Tape]:
        graph = self._graph_for(x)
        results, entries = graph.run(self._input_values(x), training, keep)
        y = results if self.ends.listed_outputs and len(results) > 1 else results[0]
        return y, Tape(entries, y, self)

    def _graph_for(self, x: Any) -> Graph:
        """Return the graph; a Sequential without an Input builds itself for x first."""
        if not self.built:
            self._build_for(np.shape(self.as_inputs(x)))
        return self.graph

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        """Run on arrays and return y, or nest this network in a larger graph of symbols.

        Without `training`, only layers that change images at random run as in training.
        `base(symbol, training=False)` holds in `fit`, too; Keras 3's `fit` overrides it (see
        `Layer.__call__`).
        """
        if isinstance(x, dict) and any(map(is_symbolic, x.values())):
            x = self.inputs_in_order(x)
        if is_symbolic(x):
            return super().__call__(x, training)
        return self.as_given(calling.recorded(self, x, training))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return y for x; a model of your own defines this (`minicnn.models.subclassed`)."""
        return self(x, training)

    # -- inputs ------------------------------------------------------------------------------------

    def as_inputs(self, x: Any) -> Any:
        """Return a list as the network takes it: one array per input, or one array alone.

        A network with one input takes `[array]` as the array, and a longer list as examples.
        """
        if not isinstance(x, (list, tuple)) or not x or not hasattr(x[0], "__len__"):
            return x
        if self.built and len(self.graph.inputs) > 1:
            return x
        try:
            if len(x) == 1 and self._is_batch(np.shape(x[0])):
                return x[0]
            array = np.asarray(x)
        except ValueError:
            found = dict.fromkeys(getattr(a, "shape", f"{len(a)} rows") for a in x[:1000])
            listed = ", ".join(map(str, list(found)[:3]))
            raise ValueError(
                f"{self.label} expects a list of examples of one shape. Received {listed}."
            ) from None
        if self.built and array.ndim > len(self.graph.inputs[0].shape):
            self._input_value(array, self.graph.inputs[0])  # raises: these were several inputs
        return array

    def _is_batch(self, shape: tuple[int, ...]) -> bool:
        """Return whether an array of this shape is a batch, rather than one example."""
        if not self.built:
            return len(shape) > 1
        expected = self.graph.inputs[0].shape
        one_fewer = len(shape) == len(expected) - 1 and expected[-1] == 1
        return len(shape) >= len(expected) or (one_fewer and not fits((1, *shape), expected))

    def input_values(self, x: Any) -> list[Array]:
        """Return the arrays that the network's inputs receive for x, checked and converted."""
        self._graph_for(x)
        return self._input_values(x)

    def inputs_in_order(self, x: dict[str, Any]) -> list[Any]:
        """Return the items of a dict under the inputs' names in the order of the inputs."""
        names = [symbol.name for symbol in self.graph.inputs]
        missing = [name for name in names if name not in x]
        if missing:
            raise ValueError(f"{self.label} expects inputs {missing}. Received {list(x)}.")
        return [x[name] for name in names]

    def _input_values(self, x: Any) -> list[Array]:
        inputs = self.graph.inputs
        x = self.as_inputs(self.inputs_in_order(x) if isinstance(x, dict) else x)
        arrays = list(x) if isinstance(x, (list, tuple)) else [x]
        if len(arrays) != len(inputs):
            raise ValueError(f"{self.label} expects {len(inputs)} inputs. Received {len(arrays)}.")
        return [self._input_value(array, symbol) for array, symbol in zip(arrays, inputs)]

    def _input_value(self, x: Any, symbol: KerasTensor) -> Array:
        argument = "x" if len(self.graph.inputs) == 1 else f'input "{symbol.name}"'
        array = x if isinstance(x, np.ndarray) else np.asarray(x)
        if array.dtype.kind not in "fiub":
            received = f"dtype {array.dtype}."
            if array.dtype.kind == "U":
                received = (
                    "text. load_img reads a photo, image_dataset_from_directory a folder of photos."
                )
            raise TypeError(f"{self.label} expects {argument} to be numbers. Received {received}")
        fitted = _of_rank(array, symbol.shape)
        alone = (1, *array.shape)
        if array.ndim > 1:  # `predict` reads the rows of one image as examples, 32 at a time
            alone = (1, symbol.shape[1] or 1, *array.shape[1:])
        if not fits(fitted.shape, symbol.shape):
            expected = shape_text((None, *symbol.shape[1:])).replace("None", "batch", 1)
            hint = ""
            if array.ndim == 4 and fits(np.moveaxis(array, 1, -1).shape, symbol.shape):
                hint = " Channels come last here: np.moveaxis(x, 1, -1)."
            elif fits(alone, symbol.shape):
                hint = " One example needs its batch axis: x[None]."
            raise ValueError(
                f"{self.label} expects {argument}.shape={expected}. "
                f"Received {argument}.shape={array.shape}.{hint}"
            )
        return np.ascontiguousarray(fitted, symbol.dtype)

    # -- backward ----------------------------------------------------------------------------------

    def backward(
        self,
        dy: Any,
        cache: Any,
        need_dx: bool = True,
        at_logits: bool | Sequence[bool] = False,
        visit: Visitor | None = None,
        penalized: bool = False,
    ) -> tuple[Any, Grads]:
        """Return `(dx, grads)` for `dy` = d loss / d y, given the tape of the pass.

        `grads` has the keys of `trainable_variables_by_name()`. With `need_dx=False` the layers
        before the first trainable one do no work. `at_logits` (see `Layer.backward`) may be a list,
        with an entry for each output. `visit(entry, step)` receives the gradients of each entry,
        including those of nested networks, when they are computed: nothing else keeps them.
        `penalized` adds the gradients of each `activity_regularizer`, for a loss that includes
        `tape.activity_penalty()`.
        """
        if not self.trainable and not need_dx and visit is None:
            return (None if len(self.graph.inputs) == 1 else [None]), {}
        dx, grads = self.backward_within(dy, cache, need_dx, at_logits, visit, penalized)
        return dx, grads if self.trainable else {}

    def backward_within(
        self,
        dy: Any,
        cache: Any,
        need_dx: bool,
        at_logits: bool | Sequence[bool],
        visit: Visitor | None = None,
        penalized: bool = False,
    ) -> tuple[Any, Grads]:
        """Go backward within a larger network, where this one's own `trainable` does not count."""
        if not isinstance(cache, Tape) or cache.model is not self:
            other = getattr(cache, "model", None)
            given = type(cache).__name__ if other is None else f"that of {other.label}"
            raise ValueError(
                f"{self.label} expects the tape that its forward returned. Received {given}."
            )
        graph = self.graph
        dys = list(dy) if isinstance(dy, (list, tuple)) else [dy]
        if len(dys) != len(graph.outputs):
            raise ValueError(
                f"{self.label} expects {len(graph.outputs)} gradients. Received {len(dys)}."
            )
        learning = self.learning_variables_by_name()
        if need_dx:
            needed = set(graph.nodes)
        else:
            needed = set() if self.fixed else graph.learning_nodes()
        exact = [at_logits] * len(dys) if isinstance(at_logits, bool) else at_logits
        dx, found = graph.backward(dys, cache.entries, needed, exact, visit, penalized)
        # A branch that no gradient reached gets zeros.
        grads = {
            name: found[variable] if variable in found else np.zeros_like(variable.value)
            for name, variable in learning.items()
        }
        if not need_dx:
            dx = [None]
        return dx[0] if len(graph.inputs) == 1 else dx, grads

    # -- what the loss asks ------------------------------------------------------------------------

    def logits(self, cache: Any, activation: str, output: int | None = None) -> Array | None:
        """Return what went into the output's activation, if it is this one, or None."""
        if not self.ends_in(activation, output):
            return None
        node = self.graph.outputs[output or 0].node
        entry = next(e for e in reversed(cache.entries) if e.node is node)
        return entry.layer.logits(entry.cache, activation)

    def last_activation(self, output: int | None = None) -> str | None:
        """Return the activation that makes this output, or the only one.

        It is None if something else uses the output, too.
        """
        if not self.built or (output is None and len(self.graph.outputs) != 1):
            return None
        symbol = self.graph.outputs[output or 0]
        alone = symbol not in self.graph.uses and self.graph.outputs.count(symbol) == 1
        if not alone or len(symbol.node.outputs) != 1:
            return None
        layer: Layer = symbol.node.layer
        return layer.last_activation()

    def ends_in(self, activation: str, output: int | None = None) -> bool:
        """Return whether this activation makes the output, which nothing else uses."""
        return self.last_activation(output) == activation

    def constant_softmaxes(self) -> list[str]:
        """Return the labels of layers whose softmax has one unit, which is 1 for any input."""
        found: dict[str, None] = {}
        for node in self.graph.nodes:
            if isinstance(node.layer, Network):
                found |= dict.fromkeys(node.layer.constant_softmaxes())
            elif node.layer.activation_name == "softmax" and node.outputs[0].shape[-1] == 1:
                found[node.layer.label] = None
        return list(found)

    # -- rewritten ---------------------------------------------------------------------------------

    def ready_for(self, x: Any, fold: bool, training: bool = False) -> "Network":
        """Build the network for x; return it, or with `fold` its form."""
        _check_examples(self.label, self._graph_for(x))
        return self.form(training) if fold else self

    def form(self, training: bool) -> "Network":
        """Return the network that computes the same numbers in fewer steps (`graph.fusion`)."""
        form = self._form(training).network
        if training and form is not self:
            form._trainable = self._trainable  # the network's own; it shares the layers
        return form

    def folds(self) -> list[fusion.Fold]:
        """Return which layers became one in the form for inference."""
        return self._form(training=False).folds

    def _form(self, training: bool) -> "_Form":
        if is_users(self) or not self.built:
            return _Form(None, [], self, [])  # a class of the user's own may compute anything
        made = self._forms.get(training)
        if made is not None and made.state == (changes.count, id(self._graph)) and not training:
            return made
        key = self._form_key(training)
        if made is None or made.key != key:
            called: defaultdict[Network, set[bool | None]] = defaultdict(set)
            for node in self.graph.nodes:
                if isinstance(node.layer, Network):
                    called[node.layer].add(node.training)
            nested = {layer: layer._nested_form(training, how) for layer, how in called.items()}
            graph, folds = fusion.fuse(self.graph, nested, training)
            if training and not folds and all(old is new for old, new in nested.items()):
                form = self
            else:
                form = self._made_of(graph)
            made = _Form(None, key, form, folds)
        self._forms[training] = made._replace(state=(changes.count, id(self._graph)))
        return self._forms[training]

    def _made_of(self, graph: Graph) -> "Network":
        """Return a network with this graph, which computes what this network computes."""
        return Network(graph, self.ends, name=self.name, stands_for=self)

    def _nested_form(self, training: bool, called: set[bool | None]) -> "Network":
        """Return the form that replaces this network in a larger network's form.

        `called` holds the values of `training` with which the larger one calls this network.
        """
        if not training:
            return self if True in called else self.form(training=False)
        if called != {False} or self.learning_variables_by_name():
            return self.form(training=True)
        form = self.form(training=False)
        form.fixed = True  # its layers may be copies from before they were frozen
        return form

    def _form_key(self, training: bool) -> list[Any]:
        """Return what the form depends on besides weights: the layers and their settings."""
        key: list[Any] = []
        for node in self.graph.nodes:
            key += [node, fusion.settings(node.layer)]
            if isinstance(node.layer, Network):
                key += node.layer._form_key(training)
                if training:
                    key.append(bool(node.layer.learning_variables_by_name()))
        return key

    def split_at_features(self, training: bool = True) -> FeatureSplit | None:
        """Split off the layers before the first one that learns; None if that is impossible.

        With `training=False`, split off those that compute the same in each validation.
        """
        parts = split(self.graph, self.trainable_weights, training) if self.built else None
        if parts is None:
            return None
        (border,) = parts.fixed.outputs
        return FeatureSplit(
            Network(parts.fixed, name=f"{self.name}_body", stands_for=self),
            Network(
                parts.learning,
                self.ends._replace(listed_inputs=False, input_keys=()),
                name=f"{self.name}_head",
                stands_for=self,
            ),
            tuple(layer.name for layer in parts.layers),
            border.shape,
            np.dtype(border.dtype).itemsize,
        )

    def examples_at_once(self) -> int | None:
        """Return how many examples keep each layer's output within `HELD` bytes, None if unknown.

        It is unknown if a size is unknown, or if a layer of the user's own may look at the whole
        batch.
        """
        known = self._largest
        if known is None or known[0] is not self.graph:
            known = vars(self)["_largest"] = self.graph, self._largest_output()
        largest = known[1]
        return None if largest is None else max(1, HELD // max(largest, 1))

    def _largest_output(self) -> int | None:
        """Return the bytes of one example's largest layer output, None if unknown."""
        if is_users(self):
            return None
        sizes: list[int | None] = []
        for node in self.graph.nodes:
            layer = node.layer
            if isinstance(layer, Network):
                sizes.append(layer._largest_output())
            elif is_users(layer):
                return None
            for symbol in node.outputs:
                count = product(symbol.shape[1:])
                itemsize = np.dtype(symbol.dtype).itemsize
                sizes.append(None if count is None else count * itemsize)
        known = [size for size in sizes if size is not None]
        return None if len(known) < len(sizes) else max(known, default=None)


class _Form(NamedTuple):
    """A rewritten network, what it was rewritten for (`key`), and what was folded.

    As long as `state` is the same, so is the key.
    """

    state: tuple[int, int] | None
    key: list[Any]
    network: Network
    folds: list[fusion.Fold]


def _of_rank(x: Array, expected: Shape) -> Array:
    """Return x with a last axis of 1 added or removed if that gives the rank, as in Keras.

    So images (n, h, w) fit an Input((h, w, 1)), and numbers (n,) fit an Input((1,)).
    """
    if x.ndim == len(expected) - 1 and expected[-1] == 1:
        return x[..., None]
    if x.ndim == len(expected) + 1 and x.shape[-1] == 1:
        return x[..., 0]
    return x


def _check_examples(label: str, graph: Graph) -> None:
    """Raise `ValueError` for an output without examples, such as `ops.sum(x)` of a whole batch."""
    if any(symbol.shape == () for symbol in graph.outputs):
        raise ValueError(
            f"{label} expects outputs with an entry for each example. Received one number for the "
            "whole batch: name the axes, as in ops.sum(x, axis=-1)."
        )
