"""`Model`, a graph of layers, and `Sequential`, a chain of them.

Running a graph forward writes a tape: one entry for each use of a layer, with what went in, what
came out and the layer's cache. Backward walks the tape in reverse. The tape is the caller's:

    y, tape = model.forward(x)
    for entry in tape.entries:
        print(entry.layer.name, entry.y.shape)
    dx, grads = model.backward(dy, tape)      # grads["conv2d/kernel"], grads["dense/bias"], …

A model is a layer too, so models nest; a nested model's entry has a tape as its cache.
"""

import functools
import json
import math
import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional, rewriting, saving, summary
from minicnn.insight import inside
from minicnn.layers import LAYERS, Add, InputLayer, MaxPooling2D, carried
from minicnn.layers.base import Array, Grads, KerasTensor, Layer, Node, Shape, unique_name
from minicnn.layers.stand_ins import STAND_INS
from minicnn.saving.untrusted import LARGEST_NESTING, check_nesting
from minicnn.settings import plain_throughout
from minicnn.shapes import Pair
from minicnn.terminal import printable
from minicnn.training import InTwo, Trainer
from minicnn.variable import Variable

_TABLES = {"_produced_by", "_output_ids", "_use_numbers", "_uses"}
_HELD = 3 * 2**24  # bytes of one layer's output that `predict` computes at a time


@dataclass
class TapeEntry:
    """One use of a layer in a pass: `x` (a list for several inputs), `y`, and its cache."""

    node: Node
    x: Any
    y: Any
    cache: Any

    @property
    def layer(self) -> Layer:
        return self.node.layer


class BackwardStep(NamedTuple):
    """What an entry's backward took and gave; `at_logits`: dy is that before the activation."""

    dy: Any
    dx: Any
    grads: Grads
    at_logits: bool


Visitor = Callable[[TapeEntry, BackwardStep], None]


@dataclass
class Tape:
    """A pass through a model, in the order of computation."""

    entries: list[TapeEntry] = field(default_factory=list)
    y: Any = None
    model: "Model | None" = field(default=None, repr=False)  # whose pass it is

    def __getitem__(self, name: str) -> TapeEntry:
        """The (first) entry of the layer of this name."""
        for entry in self.entries:
            if entry.layer.name == name:
                return entry
        raise KeyError(f"No layer {name!r} on the tape: {[e.layer.name for e in self.entries]}.")


class Model(Trainer, Layer):
    """A graph of layers from `inputs` to `outputs`, symbols made by `Input` and calls of layers.

        inputs = Input((64, 64, 3))
        x = Conv2D(32, 3, activation="relu")(inputs)
        outputs = Dense(10)(GlobalAveragePooling2D()(x))
        model = Model(inputs, outputs)

    `trainable=False` freezes the model and each layer in it. (Keras's constructor freezes the model
    alone; its layers learn within a larger one.)

    Raises `ValueError` if an input is not made by `Input`, if an output depends on another one, or
    if two layers share a name.
    """

    keras_class_name = "Functional"
    nesting = 1  # how many models deep it is, itself among them
    _folded_from: str | None = None  # the label of the model that this one is folded from
    _fixed = False  # a form for inference, within one that learns: nothing in it learns

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        Layer.__init__(
            self, name=name or unique_name("functional"), trainable=trainable, dtype=dtype
        )
        self.metadata: dict[str, Any] = {}
        self._folded: dict[bool, Any] = {}  # for inference and for training
        starts = _tensors(inputs, "inputs")
        for tensor in starts:
            if tensor.node.inputs:
                raise ValueError(
                    f"{self.label} expects inputs made by Input. Received {tensor!r}, which is "
                    "computed: call the layers behind it on a new Input."
                )
        self._set_graph(starts, _tensors(outputs, "outputs"))
        self._list_inputs = isinstance(inputs, (list, tuple))
        self._list_outputs = isinstance(outputs, (list, tuple))
        self._tuple_outputs = isinstance(outputs, tuple)
        self._freeze_unless(trainable)

    def _freeze_unless(self, trainable: bool) -> None:
        """What the constructor's `trainable` says holds for each layer; `from_config` undoes it."""
        if not trainable:
            for layer in self.layers:
                layer.trainable = False

    def _set_graph(self, inputs: list[KerasTensor], outputs: list[KerasTensor]) -> None:
        self._inputs, self._outputs = inputs, outputs
        self._sort_graph()
        for layer in self._layers:
            self._take_in(layer)
        for table in _TABLES:  # of another graph
            vars(self).pop(table, None)
        self.built = True

    def _take_in(self, layer: Layer) -> None:
        """Note how deep a layer of this model is, if it is a model."""
        if isinstance(layer, Model):
            if layer.nesting >= LARGEST_NESTING:
                raise ValueError(
                    f"{self.label} nests models more than {LARGEST_NESTING} deep: that is the most."
                )
            self.nesting = max(self.nesting, layer.nesting + 1)

    # Tables of symbols, by identity: a copy or a model from a pickle makes its own.

    @functools.cached_property
    def _produced_by(self) -> dict[int, Node]:
        return {id(t): node for node in self.graph_nodes for t in node.outputs}

    @functools.cached_property
    def _output_ids(self) -> set[int]:
        return {id(t) for t in self._outputs}

    @functools.cached_property
    def _use_numbers(self) -> dict[Node, int]:
        """Which of its layer's uses in this model each node is."""
        counts: Counter[Layer] = Counter()
        numbers = {}
        for node in sorted(self.graph_nodes, key=lambda node: node.index):
            numbers[node] = counts[node.layer]
            counts[node.layer] += 1
        return numbers

    @functools.cached_property
    def _uses(self) -> Counter[int]:
        return Counter(id(t) for node in self.graph_nodes for t in node.inputs)

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in vars(self).items() if key not in _TABLES}
        return state | {"_folded": {}}

    @property
    def label(self) -> str:
        return self._folded_from or f'{type(self).__name__} "{printable(self.name)}"'

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbols that the model starts from."""
        self._check_graph("inputs", AttributeError)
        return list(self._inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbols that the model computes."""
        self._check_graph("outputs", AttributeError)
        return list(self._outputs)

    @property
    def input(self) -> Any:
        """The symbol that the model starts from (a list, if there are several)."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def output(self) -> Any:
        """The symbol that the model computes (a list or tuple as given, if there are several)."""
        return self.outputs[0] if len(self.outputs) == 1 else self.as_given(self.outputs)

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that compute the outputs."""
        return [t.name for t in self.outputs]

    @property
    def input_shape(self) -> Any:
        found = [t.shape for t in self.inputs]
        return found[0] if len(found) == 1 else found

    @property
    def output_shape(self) -> Any:
        found = [t.shape for t in self.outputs]
        return found[0] if len(found) == 1 else found

    def as_given(self, outputs: Any) -> Any:
        """Several outputs as Keras returns them: a tuple, if the model was made with one."""
        return tuple(outputs) if self._tuple_outputs and isinstance(outputs, list) else outputs

    def _check_graph(self, what: str, error: type[Exception] = ValueError) -> None:
        if not self.built:
            raise error(
                f"{self.label} has no {what} yet: start it with an Input, or call it on data."
            )

    # -- the order of computation ----------------------------------------------------------------

    def _sort_graph(self) -> None:
        """Sort nodes and layers as Keras does, since weight files rely on the order.

        Depth is the longest way from a node to an output. Layers come deepest first; within a
        depth, as a walk back from the outputs meets them.
        """
        order: list[Node] = []  # inputs before what needs them
        met: dict[Layer, int] = {}  # when the walk from the outputs first came to a layer
        state: dict[Node, str] = {}
        starts = {id(t) for t in self._inputs}

        def visit(tensor: KerasTensor) -> None:
            # A loop with a stack of its own: a deep network must not exhaust Python's.
            stack: list[tuple[Node, int]] = [(tensor.node, 0)]
            while stack:
                node, position = stack.pop()
                if position == 0:
                    if node in state:
                        continue
                    state[node] = "open"
                    met.setdefault(node.layer, len(met))
                incoming = [] if id(node.outputs[0]) in starts else node.inputs
                if position < len(incoming):
                    stack.append((node, position + 1))
                    if incoming[position].node not in state:
                        stack.append((incoming[position].node, 0))
                    continue
                order.append(node)

        for output in self._outputs:
            visit(output)
        for tensor in self._inputs:
            if tensor.node not in state:  # an input that no output needs
                order.insert(0, tensor.node)
                met[tensor.node.layer] = -1
        for node in order:
            if not node.inputs and not any(t is node.outputs[0] for t in self._inputs):
                raise ValueError(
                    f"{self.label}: the outputs depend on {node.outputs[0]!r}, "
                    "which is not among the inputs."
                )
        depth: dict[Node, int] = {}
        layer_depth: dict[Layer, int] = {}
        for node in reversed(order):
            depth[node] = max(depth.get(node, 0), layer_depth.get(node.layer, 0))
            layer_depth[node.layer] = depth[node]
            if id(node.outputs[0]) in starts:
                continue
            for tensor in node.inputs:
                depth[tensor.node] = max(depth.get(tensor.node, 0), depth[node] + 1)
        self.graph_nodes: list[Node] = order
        self._layers = sorted(layer_depth, key=lambda layer: (-layer_depth[layer], met[layer]))
        for name, count in Counter(layer.name for layer in self._layers).items():
            if count > 1:
                raise ValueError(f'{self.label} has several layers with the name "{name}".')

    @property
    def layers(self) -> list[Layer]:
        """All layers, in Keras's order."""
        return list(self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this place in `layers`. Raises `ValueError` if none is."""
        if (name is None) == (index is None):
            raise ValueError("get_layer expects a name or an index.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"{self.label} has {len(self.layers)} layers. Received index={index}."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"{self.label} has no layer {name!r}. It has {names}.")

    # -- weights ---------------------------------------------------------------------------------

    @property
    def weights(self) -> list[Variable]:
        """All weights of all layers, in Keras's order, each once."""
        found = {id(variable): variable for layer in self.layers for variable in layer.weights}
        return list(found.values())

    variables = weights

    def trainable_variables_by_name(self) -> dict[str, Variable]:
        return self.learning_variables_by_name() if self.trainable else {}

    def learning_variables_by_name(self) -> dict[str, Variable]:
        if self._fixed:
            return {}
        # A layer that is used here and in a nested model has its first name only.
        names: dict[int, tuple[str, Variable]] = {}
        for layer in self.layers:
            for key, variable in layer.learning_variables_by_name().items():
                names.setdefault(id(variable), (f"{layer.name}/{key}", variable))
        return dict(names.values())

    @property
    def params(self) -> dict[str, Array]:
        """The parameters of all layers: `"conv2d/kernel"`, …"""
        return {
            f"{layer.name}/{key}": value
            for layer in self.layers
            for key, value in layer.params.items()
        }

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Freeze or thaw the model with everything in it, as in Keras.

        Afterwards each layer may be thawed or frozen by itself, and this alone decides within a
        larger model: a layer that was thawed in a frozen base learns. A model that is frozen itself
        trains nothing in its own `fit`. The surprise, that of Keras on TensorFlow: a model that has
        this value already, and all in it, stays as it is (on JAX and PyTorch Keras sets them all).
        """
        if bool(value) == self._trainable:
            return
        self._trainable = bool(value)
        for layer in self.layers:
            layer.trainable = bool(value)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write all weights to a `.weights.h5` file that Keras 3 reads.

        A path that ends in `.h5` alone gets Keras 2's format, which Keras 3 reads, too; there is no
        state of the optimizer in it.
        """
        self._check_graph("weights")
        saving.write_weights(self, filepath, overwrite)

    def load_weights(
        self,
        filepath: str | os.PathLike[str],
        skip_mismatch: bool = False,
        by_name: bool = False,
    ) -> None:
        """Read all weights from a file of Keras's or ours: `.weights.h5`, `.keras` or old `.h5`.

        All or nothing: nothing changes if anything does not fit.

        Args:
            skip_mismatch: layers that do not fit keep their weights, with a warning.
            by_name: layers take the weights of the layer of their name, wherever it stood in the
                other model; those whose name the file lacks keep theirs. Else the order counts.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, or does not fit the model.
        """
        self._check_graph("weights")
        skipped = saving.read_weights(self, filepath, skip_mismatch, by_name)
        if skipped:
            import warnings

            warnings.warn(f"Left as they were: {', '.join(skipped)}.", stacklevel=2)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the whole model to a `.keras` file: architecture, weights, how it was compiled.

        A path that ends in `.h5` gets Keras's old format instead, which Keras 2 reads, too.

        `model.metadata`, a dict of what JSON can hold, travels with it (class names, image size).
        Raises `ValueError` for a folded model, whose weights are another model's.
        """
        if self._folded_from is not None:
            raise ValueError(f"{self.label} is folded: save the model that it was made from.")
        saving.write_model(self, filepath, overwrite)

    # -- running -----------------------------------------------------------------------------------

    def forward(self, x: Any, training: bool = False) -> tuple[Any, Tape]:
        """`(y, tape)`; the tape keeps every layer's input, output and cache."""
        return self._run(x, training, set(self._graph_for(x)))

    def run(self, x: Any, training: bool = False) -> Any:
        """y alone; what no later layer needs is dropped on the way."""
        return self._run(x, training, set())[0]

    def run_for_training(self, x: Any) -> tuple[Array, Tape]:
        """`(y, tape)` with training on; the tape keeps only what the trainable part needs.

        And the last layer's entry, even of a frozen model: the loss may ask for its logits.
        """
        self._graph_for(x)
        last = self._produced_by[id(self._outputs[0])]
        learning = self._learning_nodes() if self.trainable else set()
        return self._run(x, True, learning | {last})

    def run_keeping_last(self, x: Any) -> tuple[Array, Tape]:
        """`(y, tape)` as in inference; the tape keeps the last layer's entry."""
        self._graph_for(x)
        return self._run(x, False, {self._produced_by[id(self._outputs[0])]})

    def _graph_for(self, x: Any) -> list[Node]:
        """The nodes; a Sequential without an Input builds itself for x here."""
        if not self.built:
            self._build_for(np.shape(self.as_inputs(x)))
        return self.graph_nodes

    def _run(self, x: Any, training: bool, keep: set[Node]) -> tuple[Any, Tape]:
        nodes = self._graph_for(x)
        values = self._input_values(x)
        uses = dict(self._uses)
        tape = Tape(model=self)
        for node in nodes:
            if id(node.outputs[0]) in values:  # an input
                continue
            taken = [values[id(tensor)] for tensor in node.inputs]
            given = taken[0] if node.single_input else taken
            effective = training if node.training is None else node.training
            if node in keep:
                y, cache = node.layer.forward(given, effective)
                tape.entries.append(TapeEntry(node, given, y, cache))
            elif isinstance(node.layer, Model):
                y = node.layer.run(given, effective)
            else:
                y = node.layer.forward(given, effective)[0]
            outputs = y if isinstance(y, list) else [y]
            for tensor, value in zip(node.outputs, outputs):
                values[id(tensor)] = value
            for tensor in node.inputs:
                uses[id(tensor)] -= 1
                if not uses[id(tensor)] and id(tensor) not in self._output_ids:
                    values.pop(id(tensor), None)
            del y, outputs, value, taken, given
        results = [values[id(tensor)] for tensor in self._outputs]
        tape.y = results if self._list_outputs and len(results) > 1 else results[0]
        return tape.y, tape

    def as_inputs(self, x: Any) -> Any:
        """A list as the model takes it: one array per input, or, for one input, the array itself.

        For one input `[array]` is the array, and a longer list is one of examples.
        """
        if not isinstance(x, (list, tuple)) or not x or not hasattr(x[0], "__len__"):
            return x
        if self.built and len(self._inputs) > 1:
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
        if self.built and array.ndim > len(self._inputs[0].shape):
            self._input_value(array, self._inputs[0])  # raises: a list for several inputs
        return array

    def _is_batch(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is a batch, rather than one example."""
        if not self.built:
            return len(shape) > 1
        expected = self._inputs[0].shape
        one_fewer = len(shape) == len(expected) - 1 and expected[-1] == 1
        return len(shape) >= len(expected) or (one_fewer and not _fits((1, *shape), expected))

    def input_values(self, x: Any) -> list[Array]:
        """The arrays that the model's inputs receive for x, checked and of their dtype."""
        self._graph_for(x)
        return list(self._input_values(x).values())

    def _input_values(self, x: Any) -> dict[int, Array]:
        """The arrays for the model's inputs, checked and of the inputs' dtype."""
        if isinstance(x, dict):
            missing = [t.name for t in self._inputs if t.name not in x]
            if missing:
                raise ValueError(f"{self.label} expects inputs {missing}. Received {list(x)}.")
            x = [x[t.name] for t in self._inputs]
        x = self.as_inputs(x)
        arrays = list(x) if isinstance(x, (list, tuple)) else [x]
        if len(arrays) != len(self._inputs):
            raise ValueError(
                f"{self.label} expects {len(self._inputs)} inputs. Received {len(arrays)}."
            )
        return {
            id(tensor): self._input_value(array, tensor)
            for array, tensor in zip(arrays, self._inputs)
        }

    def _input_value(self, x: Any, tensor: KerasTensor) -> Array:
        argument = "x" if len(self._inputs) == 1 else f'input "{tensor.name}"'
        array = x if isinstance(x, np.ndarray) else np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"{self.label} expects {argument} to be numbers. Received dtype {array.dtype}."
            )
        fitted = _of_rank(array, tensor.shape)
        if not _fits(fitted.shape, tensor.shape):
            free = (None, *tensor.shape[1:])
            expected = summary.shape_text(free).replace("None", "batch", 1)
            hint = ""
            if array.ndim == 4 and _fits(np.moveaxis(array, 1, -1).shape, tensor.shape):
                hint = " Channels come last here: np.moveaxis(x, 1, -1)."
            elif _fits((1, *array.shape), tensor.shape):
                hint = " One example needs its batch axis: x[None]."
            raise ValueError(
                f"{self.label} expects {argument}.shape={expected}. "
                f"Received {argument}.shape={array.shape}.{hint}"
            )
        return np.ascontiguousarray(fitted, tensor.dtype)

    # -- the model rewritten -----------------------------------------------------------------------

    def inference_model(self) -> "Model":
        """The model as `predict` runs it: what stands behind a convolution is folded into it.

        That is normalization, ReLU and max pooling. It gives the same numbers, but for rounding, in
        fewer steps (`minicnn.rewriting`). Its weights are computed from this model's whenever they
        are asked for, and here is where to look at them: `model.inference_model().summary()`, or
        `model.print_inference_plan()` for what became of each layer.
        """
        return self._fold(training=False)[0]

    def training_model(self) -> "Model":
        """The model as `fit` runs it: max pooling folded into the convolution before it.

        And frozen models in it that are called with `training=False` as in inference. Its weights
        are this model's.
        """
        folded, _ = self._fold(training=True)
        folded._trainable = self._trainable  # of the model alone: its layers are this model's
        return folded

    def _fold(self, training: bool) -> "tuple[Model, list[rewriting.Fold]]":
        """The folded model, and what was folded."""
        if type(self) not in (Model, Sequential) or not self.built:
            return self, []  # a class of the user's own may compute what it likes
        key = self._folding_key(training)
        if training not in self._folded or self._folded[training][0] != key:
            inner: dict[Any, Model] = {}

            def nested(layer: Any, called: set[bool | None]) -> Model:
                inner[layer] = layer._nested(training, called)
                return inner[layer]

            ends, folds = rewriting.fold(self, nested, training)
            folded = Model(*ends, name=self.name)
            folded._list_outputs, folded._folded_from = self._list_outputs, self.label
            folded._tuple_outputs = self._tuple_outputs
            if training and not folds and all(old is new for old, new in inner.items()):
                folded = self
            self._folded[training] = key, folded, folds
        return self._folded[training][1:]

    def _nested(self, training: bool, called: set[bool | None]) -> "Model":
        """What stands for this model in one that is folded, which `called` it with training so."""
        if not training:
            return self if True in called else self.inference_model()
        if called != {False} or self.learning_variables_by_name():
            return self.training_model()
        form = self.inference_model()
        form._fixed = True  # its layers may be copies from before they were frozen
        return form

    def examples_at_once(self) -> int | None:
        """How many examples keep each layer's output within `_HELD` bytes; None: not to be told.

        That is so where a size is unknown, and where a layer of the user's own may look at the
        whole batch.
        """
        largest = self._largest_output()
        return None if largest is None else max(1, _HELD // max(largest, 1))

    def _largest_output(self) -> int | None:
        """Bytes of one example's largest layer output."""
        if type(self) not in (Model, Sequential):
            return None
        sizes: list[int | None] = []
        for node in self.graph_nodes:
            layer = node.layer
            if isinstance(layer, Model):
                sizes.append(layer._largest_output())
            elif not type(layer).__module__.startswith("minicnn."):
                return None
            for tensor in node.outputs:
                shape = [size for size in tensor.shape[1:] if size is not None]
                known = len(shape) == len(tensor.shape) - 1
                sizes.append(math.prod(shape) * np.dtype(tensor.dtype).itemsize if known else None)
        known_sizes = [size for size in sizes if size is not None]
        return max(known_sizes) if known_sizes and len(known_sizes) == len(sizes) else None

    def ready_for(self, x: Any, fold: bool, training: bool = False) -> "Model":
        self._graph_for(x)
        if not fold:
            return self
        return self.training_model() if training else self.inference_model()

    def _folding_key(self, training: bool) -> list[Any]:
        """What the folded graph depends on, but for weights: the layers and their settings."""
        key: list[Any] = []
        for node in self.graph_nodes:
            key += [node, rewriting.settings(node.layer)]
            if isinstance(node.layer, Model):
                key += node.layer._folding_key(training)
                if training:
                    key.append(bool(node.layer.learning_variables_by_name()))
        return key

    def print_inference_plan(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print what `predict` computes: which layers became one, and why that is the same."""
        self._check_graph("layers to fold")
        for line in summary.inference_plan(self, self._fold(training=False)[1]):
            print_fn(line)
        for layer in self.layers:
            if isinstance(layer, Model):
                print_fn("")
                layer.print_inference_plan(print_fn)

    def in_two(self) -> InTwo | None:
        """The layers before the first one that learns, and the rest, as two models."""
        parts = rewriting.split(self) if self.built else None
        if parts is None:
            return None
        (border,) = parts.fixed[1]
        return InTwo(
            Model(*parts.fixed, name=f"{self.name}_body"),
            Model(*parts.learning, name=f"{self.name}_head"),
            tuple(layer.name for layer in parts.layers),
            border.shape,
            np.dtype(border.dtype).itemsize,
        )

    # -- backward ----------------------------------------------------------------------------------

    def _learning_nodes(self) -> set[Node]:
        """The nodes that gradients must pass: those with something to train, and all after them."""
        learning: set[Node] = set()
        for node in self.graph_nodes:
            trains = not self._fixed and bool(node.layer.learning_variables_by_name())
            after = any(self._produced_by[id(t)] in learning for t in node.inputs)
            if trains or after:
                learning.add(node)
        return learning

    def backward(
        self,
        dy: Any,
        cache: Any,
        need_dx: bool = True,
        at_logits: bool = False,
        visit: Visitor | None = None,
    ) -> tuple[Any, Grads]:
        """`(dx, grads)` for `dy` = d loss / d y, given the tape of the pass.

        `grads` has the keys of `trainable_variables_by_name()`. With `need_dx=False` layers before
        the first trainable one do no work. `at_logits`: see `Layer.backward`; for one output.
        `visit(entry, step)` is shown each entry's gradients on the way, those of nested models'
        entries, too: nothing else keeps them.
        """
        if not self.trainable and not need_dx and visit is None:
            return (None if len(self._inputs) == 1 else [None]), {}
        dx, grads = self._backward_through(dy, cache, need_dx, at_logits, visit)
        return dx, grads if self.trainable else {}

    def _backward_through(
        self,
        dy: Any,
        cache: Any,
        need_dx: bool = True,
        at_logits: bool = False,
        visit: Visitor | None = None,
    ) -> tuple[Any, Grads]:
        """`backward` within a larger model, where this one's own `trainable` does not count."""
        if not isinstance(cache, Tape) or cache.model is not self:
            other = getattr(cache, "model", None)
            given = type(cache).__name__ if other is None else f"that of {other.label}"
            raise ValueError(
                f"{self.label} expects the tape that its forward returned. Received {given}."
            )
        tape = cache
        dys = list(dy) if isinstance(dy, (list, tuple)) else [dy]
        if len(dys) != len(self._outputs):
            raise ValueError(
                f"{self.label} expects {len(self._outputs)} gradients. Received {len(dys)}."
            )
        needed = set(self.graph_nodes) if need_dx else self._learning_nodes()
        received: dict[int, Array] = {}
        for tensor, gradient in zip(self._outputs, dys):
            _accumulate(received, id(tensor), gradient)
        last = self._outputs[0].node
        undone: set[Node] = set()  # nodes whose activation the layer behind them has gone through
        learning = self.learning_variables_by_name()
        names = {id(v): name for name, v in learning.items()}
        grads: Grads = {}
        for entry in reversed(tape.entries):
            node, layer = entry.node, entry.layer
            if node not in needed:
                continue
            incoming = [received.pop(id(tensor), None) for tensor in node.outputs]
            if all(gradient is None for gradient in incoming):
                continue
            wanted = [self._produced_by[id(t)] in needed for t in node.inputs]
            received_dy = _filled(incoming, entry.y)
            clamped = self._clamped_before(node) if visit is None else None
            if clamped is not None:
                # Of a window the pooling lets only the largest number through. So the activation
                # may as well be undone behind it, where there are fewer numbers.
                received_dy = functional.ACTIVATIONS[clamped.layer.activation_name].backward(
                    received_dy, entry.y
                )
                undone.add(clamped)
            here = node in undone or (at_logits and node is last)
            if isinstance(layer, Model):
                dx, own = layer._backward_through(
                    received_dy, entry.cache, any(wanted), here, visit
                )
            else:
                dx, own = layer.backward(
                    received_dy, entry.cache, need_dx=any(wanted), at_logits=here
                )
            if visit is not None:
                visit(entry, BackwardStep(received_dy, dx, own, here))
            variables = layer.learning_variables_by_name()
            for key, gradient in own.items():
                if key in variables and id(variables[key]) in names:
                    _accumulate(grads, names[id(variables[key])], gradient)
            parts = dx if isinstance(dx, list) else [dx]
            for tensor, part, want in zip(node.inputs, parts, wanted):
                if want and part is not None:
                    _accumulate(received, id(tensor), part)
        for key, variable in learning.items():
            if key not in grads:  # a branch that no gradient reached
                grads[key] = np.zeros_like(variable.value)
        found = [received.get(id(tensor)) for tensor in self._inputs] if need_dx else [None]
        return found[0] if len(self._inputs) == 1 else found, grads

    def _clamped_before(self, node: Node) -> Node | None:
        """The node that a max pooling alone takes from, if its activation only has limits."""
        if type(node.layer) is not MaxPooling2D:
            return None
        before = self._produced_by[id(node.inputs[0])]
        alone = self._uses[id(node.inputs[0])] == 1 and id(node.inputs[0]) not in self._output_ids
        ours = type(before.layer).backward is Layer.backward  # and so knows of `at_logits`
        return before if alone and ours and before.layer.clamp != "linear" else None

    def logits(self, cache: Any, activation: str) -> Array | None:
        if len(self._outputs) != 1 or not self.ends_in(activation):
            return None
        last = self._produced_by[id(self._outputs[0])]
        entry = next(e for e in reversed(cache.entries) if e.node is last)
        return entry.layer.logits(entry.cache, activation)

    def last_activation(self) -> str | None:
        """The activation that the one output comes from, used nowhere else; None if not so."""
        if not self.built or len(self._outputs) != 1 or id(self._outputs[0]) in self._uses:
            return None
        layer = self._outputs[0].node.layer
        return layer.last_activation() if isinstance(layer, Model) else layer.activation_name

    def constant_softmaxes(self) -> list[str]:
        """The labels of layers whose softmax has one unit, which makes it 1 for any input."""
        found: dict[str, None] = {}
        for node in self.graph_nodes:
            if isinstance(node.layer, Model):
                found |= dict.fromkeys(node.layer.constant_softmaxes())
            elif node.layer.activation_name == "softmax" and node.outputs[0].shape[-1] == 1:
                found[node.layer.label] = None
        return list(found)

    # -- looking inside ----------------------------------------------------------------------------

    def trace(
        self,
        x: Any,
        y: Any = None,
        loss: Any = None,
        training: bool = False,
        sample_weight: Any = None,
    ) -> Any:
        """A pass to look into: a `minicnn.explain.Trace`; with targets y backward, too.

            trace = model.trace(x, y=labels)
            print(trace)                                     # every layer: shapes, costs, ranges
            print(trace.explain("conv2d", at=(4, 7, 0)))     # one number, term by term
            print(trace.why("dense", at=(3,)))               # down to the pixels

        Args:
            x: a batch, as `predict` takes it.
            y: targets, as `fit` takes them.
            loss: an object or a name, if not the compiled loss.
            training: as while training (dropout, batch statistics); the model stays as it is.
            sample_weight: weighs each example's loss.

        Raises `ValueError` for inputs or targets that do not fit, and for targets without a loss.
        """
        return inside.bodies.trace(
            self, x, y=y, loss=loss, training=training, sample_weight=sample_weight
        )

    # -- as a layer --------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        """With arrays: run and return y. With symbols: nest this model in a larger graph.

        `base(symbol, training=False)` holds in `fit` too; Keras 3's `fit` overrides it (see
        `Layer.__call__`).
        """
        if isinstance(x, KerasTensor) or (
            isinstance(x, (list, tuple)) and any(isinstance(t, KerasTensor) for t in x)
        ):
            return Layer.__call__(self, x, training)
        return self.as_given(self.run(x, training=bool(training)))

    def _connect(self, inputs: list[KerasTensor], training: bool | None, single: bool) -> Any:
        if not self.built:
            self._build_for(inputs[0].shape)
        if len(inputs) != len(self._inputs):
            raise ValueError(
                f"{self.label} expects {len(self._inputs)} inputs. Received {len(inputs)}."
            )
        found = self._output_shapes([t.shape for t in inputs])
        node = Node(self, inputs, training, single)
        node.outputs = [
            KerasTensor(shape, tensor.dtype, node, index)
            for index, (shape, tensor) in enumerate(zip(found, self._outputs))
        ]
        return node.outputs[0] if len(node.outputs) == 1 else self.as_given(list(node.outputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        several = bool(input_shape) and isinstance(input_shape[0], (tuple, list))
        found = self._output_shapes(list(input_shape) if several else [input_shape])
        return found[0] if len(found) == 1 else found

    def _output_shapes(self, input_shapes: list[Shape]) -> list[Shape]:
        known = self._all_shapes(input_shapes)
        return [known[id(tensor)] for tensor in self._outputs]

    def _all_shapes(self, input_shapes: list[Shape]) -> dict[int, Shape]:
        """The shape of every symbol, for inputs of these shapes."""
        known: dict[int, Shape] = {}
        for tensor, shape in zip(self._inputs, input_shapes):
            if not _fits(tuple(0 if s is None else s for s in shape), tensor.shape, unknown=0):
                raise ValueError(
                    f"{self.label} expects an input of shape {tensor.shape}. Received {shape}."
                )
            known[id(tensor)] = tuple(shape)
        for node in self.graph_nodes:
            if id(node.outputs[0]) in known:
                continue
            shapes = [known[id(t)] for t in node.inputs]
            one = node.single_input and not node.layer.takes_list
            found = node.layer.compute_output_shape(shapes[0] if one else shapes)
            several = len(node.outputs) > 1
            known |= {id(t): s for t, s in zip(node.outputs, found if several else [found])}
        return known

    def differs_in_training(self) -> bool:
        return any(
            node.layer.differs_in_training()
            for node in self.graph_nodes
            if node.training is not False
        )

    def parameter_formula(self) -> str:
        return "see its own summary"

    def multiply_adds(self, input_shape: Any) -> int | None:
        several = bool(input_shape) and isinstance(input_shape[0], (tuple, list))
        known = self._all_shapes(list(input_shape) if several else [input_shape])
        costs = []
        for node in self.graph_nodes:
            shapes = [known[id(tensor)] for tensor in node.inputs]
            one = node.single_input and not node.layer.takes_list
            costs.append(node.layer.multiply_adds(shapes[0] if one else shapes) if shapes else 0)
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def receptive_window(self) -> tuple[Pair, Pair, Pair] | None:
        """The whole model as one window: its receptive field, its effective strides."""
        last = self._outputs[0].node
        lines = zip(self.graph_nodes, summary.rows(self))
        found = next(row.field for node, row in lines if node is last)
        if found is None:
            return None
        rows, columns = found
        return (rows.size, columns.size), (rows.step, columns.step), (1, 1)

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], Any] | None = None,
        **unknown: Any,
    ) -> None:
        """Print a table: shapes, parameters and their formula, multiply-adds, receptive field.

        `print_fn` gets the text line by line, as in Keras. Raises `ValueError` if more
        is asked for.
        """
        for argument, value in unknown.items():
            if value not in (None, False):
                raise ValueError(
                    f"summary does not support {argument}={value!r}. It takes line_length and "
                    "print_fn; a nested model has a summary of its own: "
                    "model.get_layer(name).summary()."
                )
        self._check_graph("layers to show")
        summary.print_summary(self, line_length, print_fn)

    # -- config ------------------------------------------------------------------------------------

    def lacking(self, learning: bool = False, penalties: bool = False) -> list[tuple[str, str]]:
        return [item for layer in self.layers for item in layer.lacking(learning, penalties)]

    def lacking_in_training(self, penalties: bool) -> str:
        return carried.described(self.lacking(learning=True, penalties=penalties))

    def serialize(self) -> dict[str, Any]:
        """The model as config.json of a `.keras` file holds it."""
        return serialize_layer(self)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture, and how the model was compiled, as a text: `model_from_json` reads it.

        The weights go beside it, with `save_weights`. `kwargs` are those of `json.dumps`.
        """
        compiled = {"compile_config": self.get_compile_config()} if self.compiled else {}
        return json.dumps(self.serialize() | compiled, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The graph as Keras writes it: each layer with the uses (nodes) it has in this model."""
        own = set(self.graph_nodes)
        described = []
        for layer in self.layers:
            nodes = [node for node in layer.nodes if node in own and node.inputs]
            described.append(
                serialize_layer(layer)
                | {
                    "name": layer.name,
                    "inbound_nodes": [self._serialize_node(node) for node in nodes],
                }
            )
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": described,
            "input_layers": self._serialize_ends(self._inputs, self._list_inputs),
            "output_layers": self._serialize_ends(self._outputs, self._list_outputs),
        }

    def _history(self, tensor: KerasTensor) -> list[Any]:
        """[layer name, which of its uses in this model, which output]: Keras's address."""
        return [tensor.node.layer.name, self._use_numbers[tensor.node], tensor.index]

    def _serialize_ends(self, tensors: list[KerasTensor], as_list: bool) -> Any:
        # Among the ends, not elsewhere, Keras counts a nested functional model's own graph as its
        # first use.
        ends = []
        for tensor in tensors:
            name, use, index = self._history(tensor)
            ends.append([name, use + (type(tensor.node.layer) is Model), index])
        return ends if as_list else ends[0]

    def _serialize_node(self, node: Node) -> dict[str, Any]:
        tensors = [
            {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": list(tensor.shape),
                    "dtype": tensor.dtype,
                    "keras_history": self._history(tensor),
                },
            }
            for tensor in node.inputs
        ]
        kwargs = {} if node.training is None else {"training": node.training}
        return {"args": [tensors[0] if node.single_input else tensors], "kwargs": kwargs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Model":
        """A new model, with new weights, from `get_config()`'s dict, Keras's or ours."""
        check_nesting({"config": config})
        made: dict[str, Layer] = {}
        uses: dict[str, deque[dict[str, Any]]] = {}
        for data in config["layers"]:
            layer = layer_from_config(data)
            name = data.get("name", layer.name)
            if name in made:
                raise ValueError(f'A model\'s config has several layers with the name "{name}".')
            made[name], uses[name] = layer, deque(data.get("inbound_nodes", []))
        # Each layer's own Input node (a Sequential's, a nested model's) does not count as a use.
        before = {
            name: 0 if isinstance(layer, InputLayer) else len(layer.nodes)
            for name, layer in made.items()
        }

        def tensor_at(address: Any) -> KerasTensor | None:
            name, use, index = address
            if name not in made:
                raise ValueError(f"A model's config names a layer {name!r} that it does not have.")
            nodes = made[name].nodes
            at = use + (before[name] if use >= 0 else len(nodes))
            if at < before[name]:
                raise ValueError(f"A model's config names use {use} of {name!r}.")
            return nodes[at].outputs[index] if at < len(nodes) else None

        # Each use of a layer waits for the first tensor that it lacks, and for the use before it.
        ready, waiting = list(reversed(uses)), defaultdict[tuple[str, int], list[str]](list)
        while ready:
            name = ready.pop()
            layer = made[name]
            while uses[name]:
                arguments, single, training = _node_arguments(uses[name][0], layer)
                tensors = [tensor_at(address) for address in arguments]
                if any(tensor is None for tensor in tensors):
                    lacking = next(a for a, t in zip(arguments, tensors) if t is None)
                    waiting[lacking[0], lacking[1]].append(name)
                    break
                uses[name].popleft()
                layer(tensors[0] if single else tensors, training=training)
                ready += waiting.pop((name, len(layer.nodes) - 1 - before[name]), [])
        if any(uses.values()):
            raise ValueError("A model's config has layers that wait for each other.")

        def end_at(address: Any) -> KerasTensor | None:
            name, use, index = address
            own_graph = type(made.get(name)) is Model
            return tensor_at([name, use - own_graph, index])

        def ends(key: str) -> Any:
            value = config[key]
            if isinstance(value, dict):
                raise ValueError(
                    f'Model "{config.get("name")}" has its {key.removesuffix("_layers")}s in a '
                    f"dict, {list(value)}, which minicnn does not support. In Keras, "
                    "Model([...], [...]) of the same symbols is the same model with lists."
                )
            if len(value) == 3 and isinstance(value[0], str):
                return end_at(value)
            return [end_at(address) for address in value]

        model = cls(ends("input_layers"), ends("output_layers"), name=config.get("name"))
        model._trainable = config.get("trainable") is not False  # each layer has its own
        return model


class Sequential(Model):
    """A chain of layers: each one's output is the next one's input.

        model = Sequential([Input((64, 64, 3)), Conv2D(32, 3, activation="relu"), Flatten(),
                            Dense(10)])

    Without an `Input` (or `input_shape=` on the first layer) the chain builds itself when it first
    sees data.
    """

    keras_class_name = "Sequential"

    def __init__(
        self,
        layers: Sequence[Layer | KerasTensor] | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        Layer.__init__(
            self, name=name or unique_name("sequential"), trainable=trainable, dtype=dtype
        )
        self.metadata = {}
        self._folded = {}
        self._chain: list[Layer] = []
        self._list_inputs = self._list_outputs = self._tuple_outputs = False
        names: dict[str, Layer] = {}
        for layer in layers or []:
            self._append(layer, names)
        self._rebuild()
        self._freeze_unless(trainable)

    def add(self, layer: Layer | KerasTensor) -> None:
        """Put one more layer at the end; one that does not fit is not added."""
        before = list(self._chain)
        self._append(layer, {other.name: other for other in before})
        try:
            if self.built:  # the layers before keep the one use they have
                self._set_graph(self._inputs, [self._chain[-1](self._outputs[0])])
            else:
                self._rebuild()
        except (TypeError, ValueError):
            self._chain = before
            raise

    def pop(self) -> Layer:
        """Take the last layer off."""
        if not self.layers:
            raise ValueError(f"{self.label} has no layer to take off.")
        layer = self._chain.pop()
        if self.built and self.layers:
            self._set_graph(self._inputs, self._outputs[0].node.inputs)
        else:
            self.built = False
        return layer

    def _append(self, layer: Layer | KerasTensor, names: dict[str, Layer]) -> None:
        """Put the layer at the end, and among `names` with those before it."""
        if isinstance(layer, KerasTensor) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.label} expects layers. Received {layer!r}.")
        if isinstance(layer, InputLayer) and self._chain:
            raise ValueError(f"{self.label} takes an Input only as its first layer.")
        if not self._chain and layer.given_input_shape is not None:
            self._chain.append(InputLayer(shape=layer.given_input_shape, dtype=layer.dtype))
        if names.get(layer.name) is layer:
            raise ValueError(
                f"{self.label} has {layer.label} already. To use it twice, call it twice and make "
                "a Model of the symbols. (Keras takes it here, and loses the second use in a file.)"
            )
        if layer.name in names:
            raise ValueError(f'{self.label} has several layers with the name "{layer.name}".')
        self._take_in(layer)
        names[layer.name] = layer
        self._chain.append(layer)

    def _rebuild(self) -> None:
        self.built = False
        if self._chain and isinstance(self._chain[0], InputLayer) and len(self._chain) > 1:
            start = self._chain[0].nodes[0].outputs[0]
        elif self._chain and isinstance(self._chain[0], Model) and self._chain[0].built:
            shape = self._chain[0].inputs[0].shape
            start = InputLayer(batch_shape=shape).nodes[0].outputs[0]
        else:
            return
        self._build_from(start)

    def _build_from(self, start: KerasTensor) -> None:
        tensor = start
        for layer in self._chain:
            if not isinstance(layer, InputLayer):
                tensor = layer(tensor)
        self._set_graph([start], [tensor])

    def build(self, input_shape: Any) -> None:
        """Build for inputs of this shape, batch included."""
        if not self._chain:
            raise ValueError(f"{self.label} has no layers.")
        start = InputLayer(shape=tuple(input_shape[1:]), dtype=self._chain[0].dtype)
        self._build_from(start.nodes[0].outputs[0])

    @property
    def layers(self) -> list[Layer]:
        """The layers without the Input, as in Keras."""
        return [layer for layer in self._chain if not isinstance(layer, InputLayer)]

    def get_config(self) -> dict[str, Any]:
        chain = list(self._chain)
        if self.built and not isinstance(chain[0], InputLayer):
            chain.insert(0, self._inputs[0].node.layer)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype,
            "layers": [serialize_layer(layer) for layer in chain],
            "build_input_shape": self._inputs[0].shape if self.built else None,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sequential":
        check_nesting({"config": config})
        layers = [layer_from_config(data) for data in config["layers"]]
        model = cls(layers, name=config.get("name"))
        model._trainable = config.get("trainable") is not False  # each layer has its own
        shape = config.get("build_input_shape")
        if not model.built and shape:
            model.build(tuple(shape))
        return model


# ---------------------------------------------------------------------------------------------
# Helpers
# ---------------------------------------------------------------------------------------------


def _tensors(value: Any, what: str) -> list[KerasTensor]:
    tensors = list(value) if isinstance(value, (list, tuple)) else [value]
    if not tensors or not all(isinstance(tensor, KerasTensor) for tensor in tensors):
        raise TypeError(
            f"Model expects {what} to be symbols, made by Input and by calling layers on it. "
            f"Received {value!r}."
        )
    return tensors


def _fits(shape: tuple[int, ...], expected: Shape, unknown: int | None = None) -> bool:
    """Whether an array of this shape may stand for the symbol; None there fits any size.

    Any batch fits, as in Keras, which keeps the size of the batch that a model was built for.
    """
    return len(shape) == len(expected) and all(
        wanted is None or size in (wanted, unknown) for size, wanted in zip(shape[1:], expected[1:])
    )


def _of_rank(x: Array, expected: Shape) -> Array:
    """x with a last axis of 1 added or taken off where that gives the rank, as Keras does it.

    So photos (n, h, w) are taken for an Input((h, w, 1)), and numbers (n,) for an Input((1,)).
    """
    if x.ndim == len(expected) - 1 and expected[-1] == 1:
        return x[..., None]
    if x.ndim == len(expected) + 1 and x.shape[-1] == 1:
        return x[..., 0]
    return x


def _accumulate(sums: dict[Any, Array], key: Any, gradient: Array) -> None:
    """Add to what is there, without writing into an array that others may hold."""
    sums[key] = sums[key] + gradient if key in sums else gradient


def _filled(incoming: list[Array | None], y: Any) -> Any:
    """The gradients of a layer's outputs, zeros for those that nothing used."""
    ys = y if isinstance(y, list) else [y]
    filled = [np.zeros_like(v) if g is None else g for g, v in zip(incoming, ys)]
    return filled if isinstance(y, list) else filled[0]


def serialize_layer(layer: Layer) -> dict[str, Any]:
    """A layer as Keras's files describe it."""
    name = getattr(layer, "keras_class_name", type(layer).__name__)
    module = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
    data: dict[str, Any] = {
        "module": module.get(name, "keras.layers"),
        "class_name": name,
        "config": plain_throughout(layer.get_config()),
        "registered_name": "Functional" if name == "Functional" else None,
    }
    if layer.nodes and layer.nodes[-1].inputs:
        node = layer.nodes[-1]
        shapes = [list(tensor.shape) for tensor in node.inputs]
        data["build_config"] = {"input_shape": shapes[0] if node.single_input else shapes}
    return data


def layer_from_config(data: dict[str, Any]) -> Any:
    """A layer or model from its description in a file; runs no code that the file names."""
    classes: dict[str, type[Layer]] = {
        **LAYERS,
        **STAND_INS,
        "Functional": Model,
        "Model": Model,
        "Sequential": Sequential,
    }
    name = data.get("class_name")
    config = data.get("config")
    if name not in classes:
        called = f' "{config.get("name")}"' if isinstance(config, dict) else ""
        raise ValueError(
            f"Layer{called} is of class {name!r}, which minicnn does not have. "
            f"It has {', '.join(c for c in classes if c not in STAND_INS)}."
        )
    if not isinstance(config, dict):
        raise ValueError(f"A {name} is described without a config. Received {config!r}.")
    return classes[name].from_config(config)


def _node_arguments(
    node: dict[str, Any], layer: Layer
) -> tuple[list[list[Any]], bool, bool | None]:
    """Where a use of a layer takes its inputs: addresses, one or a list, and `training`."""
    args, kwargs = node.get("args", []), node.get("kwargs", {})
    if isinstance(layer, Add) and len(args) > 1:
        args = [args]  # Keras's `x + y` is an Add that is called on two arguments
    for key, value in kwargs.items():
        if key not in ("training", "mask") or (key == "mask" and value is not None):
            raise ValueError(f"{layer.label} is called with {key}={value!r}: not supported.")
    if len(args) != 1:
        raise ValueError(f"{layer.label} is called with {len(args)} arguments: not supported.")
    single = not isinstance(args[0], list)
    tensors = [args[0]] if single else args[0]
    for tensor in tensors:
        if not isinstance(tensor, dict) or tensor.get("class_name") != "__keras_tensor__":
            raise ValueError(f"{layer.label} is called with {tensor!r}: not supported.")
    return [t["config"]["keras_history"] for t in tensors], single, kwargs.get("training")
