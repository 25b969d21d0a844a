"""`GraphLayer`: a graph of layers that is one layer, with their weights, shapes and costs."""

from typing import Any, NamedTuple

from minicnn._support.settings import is_ours
from minicnn._support.terminal import printable
from minicnn._support.variable import Variable
from minicnn.graph.graph import Graph
from minicnn.graph.receptive import fields
from minicnn.layers import called
from minicnn.layers.base import Array, Layer, Shape
from minicnn.layers.functions import Function
from minicnn.layers.lambdas import Lambda
from minicnn.layers.symbols import KerasTensor, Node
from minicnn.saving.limits import LARGEST_NESTING
from minicnn.shapes import Pair, Steps


class Ends(NamedTuple):
    """Whether symbols were given in a list, a tuple or a dict; arrays are returned in the same.

    The items of a dict are in the order of its sorted keys, as in Keras.
    """

    listed_inputs: bool = False
    listed_outputs: bool = False
    tuple_outputs: bool = False
    input_keys: tuple[str, ...] = ()
    output_keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, inputs: Any, outputs: Any) -> "Ends":
        """Return the ends of a network from `inputs` to `outputs`."""
        several = (list, tuple, dict)
        return cls(
            isinstance(inputs, several),
            isinstance(outputs, several),
            isinstance(outputs, tuple),
            *(tuple(sorted(end)) if isinstance(end, dict) else () for end in (inputs, outputs)),
        )


SINGLE = Ends()


class GraphLayer(Layer):
    """Layers that together are one layer, so that networks nest.

    `stands_for` is the network that this one was rewritten from: this one has that network's label
    in errors and its weights, and computes the same numbers, or a part of them. A `fixed` network
    never learns.
    """

    training_by_default = None  # each of its layers decides
    is_network = True
    untracked: tuple[str, ...] = ("_graph", "stands_for")
    ends: Ends
    stands_for: "GraphLayer | None"
    nesting = 1  # how many networks deep it is, counting itself
    fixed = False

    def __init__(
        self,
        graph: Graph | None,
        ends: Ends = SINGLE,
        *,
        name: str,
        trainable: bool = True,
        dtype: Any = None,
        stands_for: "GraphLayer | None" = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        vars(self).update(ends=ends, stands_for=stands_for)  # names that are minicnn's alone
        self._graph: Graph | None = None
        if graph is not None:
            self._set_graph(graph)

    def __setattr__(self, name: str, value: Any) -> None:
        # Only its graph decides what a network computes: see `base.changes`.
        if name == "_graph":
            super().__setattr__(name, value)
        else:
            if self.defines_call:
                called.check_attribute(self, name, value)
            object.__setattr__(self, name, value)

    @classmethod
    def _adopt_call(cls) -> None:
        """Do nothing: the `call` of a network runs its graph."""

    def _set_graph(self, graph: Graph) -> None:
        self._graph, self.built = graph, True
        for layer in graph.layers:
            self._take_in(layer)

    def _take_in(self, layer: Layer) -> None:
        """Note how deeply a layer of this network nests, if it is a network."""
        if isinstance(layer, GraphLayer):
            if layer.nesting >= LARGEST_NESTING:
                raise ValueError(
                    f"{self.label} nests models more than {LARGEST_NESTING} deep, the limit."
                )
            vars(self)["nesting"] = max(self.nesting, layer.nesting + 1)

    @property
    def label(self) -> str:
        """The network's name in messages: `Model "functional"`."""
        if self.stands_for is not None:
            return self.stands_for.label
        return f'{type(self).__name__} "{printable(self.name)}"'

    @property
    def graph(self) -> Graph:
        """The layers and the symbols between them; `AttributeError` if there are none yet."""
        return self.require_graph("layers", AttributeError)

    def require_graph(self, what: str, error: type[Exception] = ValueError) -> Graph:
        """Return the graph; raise the error, which says that there is no `what` yet."""
        if self._graph is None or not self.built:
            start = "build it for a shape" if self.defines_call else "start it with an Input"
            raise error(f"{self.label} has no {what} yet: {start}, or call it on data.")
        return self._graph

    @property
    def layers(self) -> list[Layer]:
        """All layers, in Keras's order."""
        return list(self.graph.layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer of this name, or at this index. Raises `ValueError` if there is none."""
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

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that compute the outputs."""
        return [symbol.name for symbol in self.require_graph("outputs", AttributeError).outputs]

    @property
    def target_names(self) -> list[str]:
        """The names of the outputs in training: the keys of a dict, or else `output_names`."""
        return list(self.ends.output_keys) or self.output_names

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a list of shapes; None means an unknown size."""
        return _one([t.shape for t in self.require_graph("inputs", AttributeError).inputs])

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of shapes; None means an unknown size."""
        return _one([t.shape for t in self.require_graph("outputs", AttributeError).outputs])

    def as_given(self, outputs: Any) -> Any:
        """Return outputs as Keras does: in a tuple or dict if the network was made with one."""
        if self.ends.output_keys:
            several = outputs if isinstance(outputs, list) else [outputs]
            return dict(zip(self.ends.output_keys, several, strict=True))
        return tuple(outputs) if self.ends.tuple_outputs and isinstance(outputs, list) else outputs

    # -- weights -----------------------------------------------------------------------------------

    @property
    def weights(self) -> list[Variable]:
        """All weights of all layers, in Keras's order, each once."""
        found = {id(variable): variable for layer in self.layers for variable in layer.weights}
        return list(found.values())

    variables = weights

    def trainable_variables_by_name(self) -> dict[str, Variable]:
        """Return what training updates: nothing, if the network itself is frozen."""
        return self.learning_variables_by_name() if self.trainable else {}

    def learning_variables_by_name(self) -> dict[str, Variable]:
        """Return what training updates if this is a layer of a network that learns."""
        if self.fixed:
            return {}
        # A layer that is used both here and in a nested network has only its first name.
        names: dict[int, tuple[str, Variable]] = {}
        for layer in self.layers:
            for key, variable in layer.learning_variables_by_name().items():
                names.setdefault(id(variable), (f"{layer.name}/{key}", variable))
        return dict(names.values())

    @property
    def params(self) -> dict[str, Array]:
        """The parameters of all layers, under names such as "conv2d/kernel"."""
        return {
            f"{layer.name}/{key}": value
            for layer in self.layers
            for key, value in layer.params.items()
        }

    @property
    def trainable(self) -> bool:
        """Whether training updates weights in it.

        Setting it freezes or unfreezes the network and everything in it, as in Keras. Afterwards
        each layer can be frozen or unfrozen by itself, and in a larger model only the layers' own
        settings count: an unfrozen layer in a frozen base learns. A model that is frozen itself
        trains nothing in its own `fit`. The surprise, as in Keras on TensorFlow: setting the value
        that the model already has changes nothing in it (on JAX and PyTorch, Keras sets all
        layers).
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if bool(value) == self._trainable:
            return
        self._trainable = bool(value)
        for layer in self.layers:
            layer.trainable = bool(value)

    # -- what a file says --------------------------------------------------------------------------

    def lacking(self, learning: bool = False, penalties: bool = False) -> list[tuple[str, str]]:
        """Return what Keras would do in training and minicnn does not (see `Layer.lacking`)."""
        return [item for layer in self.layers for item in layer.lacking(learning, penalties)]

    # -- shapes and costs --------------------------------------------------------------------------

    def _connect(self, inputs: list[KerasTensor], training: bool | None, single: bool) -> Any:
        if not self.built:
            self._build_for(inputs[0].shape)
        if len(inputs) != len(self.graph.inputs):
            raise ValueError(
                f"{self.label} expects {len(self.graph.inputs)} inputs. Received {len(inputs)}."
            )
        found = self._output_shapes([symbol.shape for symbol in inputs])
        node = Node(self, inputs, training, single)
        node.outputs = [
            KerasTensor(shape, symbol.dtype, node, index)
            for index, (shape, symbol) in enumerate(zip(found, self.graph.outputs))
        ]
        made = list(node.outputs)
        return self.as_given(made if len(made) > 1 else made[0])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of y (or a list of shapes) for an input or inputs of these shapes."""
        return _one(self._output_shapes(_listed(input_shape)))

    def _output_shapes(self, input_shapes: list[Shape]) -> list[Shape]:
        known = self._all_shapes(input_shapes)
        return [known[symbol] for symbol in self.graph.outputs]

    def _all_shapes(self, input_shapes: list[Shape]) -> dict[KerasTensor, Shape]:
        for symbol, shape in zip(self.graph.inputs, input_shapes):
            if not fits(tuple(0 if s is None else s for s in shape), symbol.shape, unknown=0):
                raise ValueError(
                    f"{self.label} expects an input of shape {symbol.shape}. Received {shape}."
                )
        return self.graph.shapes(input_shapes)

    def penalizes_outputs(self) -> bool:
        """Return whether a layer in it has an `activity_regularizer`."""
        return bool(self.graph.penalized_nodes())

    def differs_in_training(self) -> bool:
        """Return whether `training=True` changes what a layer computes, or a layer's weights."""
        return any(
            node.layer.differs_in_training()
            for node in self.graph.nodes
            if node.training is not False
        )

    def parameter_formula(self) -> str:
        """Return where to look: a network has no formula of its own."""
        return "see its own summary"

    def multiply_adds(self, input_shape: Any) -> int | None:
        """Return how many multiply-adds one example costs; None if unknown."""
        graph, known = self.graph, self._all_shapes(_listed(input_shape))
        costs = [
            node.layer.multiply_adds(graph.given_shape(node, known))
            for node in graph.nodes
            if node.inputs
        ]
        return None if None in costs else sum(costs)

    def receptive_window(self) -> tuple[Steps, Steps, Pair] | None:
        """Return the whole network as one window: its receptive field and effective strides."""
        found = fields(self.graph)[self.graph.outputs[0]]
        if found is None:
            return None
        (height, down), (width, across) = (axis.window for axis in found)
        return (height, width), (down, across), (1, 1)


def is_users(layer: Layer) -> bool:
    """Return whether nothing here knows what the layer computes, as its class is the user's own.

    A `Function` and a `Lambda` count as such: they may look at the whole batch.
    """
    return isinstance(layer, (Function, Lambda)) or not is_ours(type(layer))


def _one(found: list[Any]) -> Any:
    """Return the only item by itself, or several in a list."""
    return found[0] if len(found) == 1 else found


def _listed(input_shape: Any) -> list[Shape]:
    several = bool(input_shape) and isinstance(input_shape[0], (tuple, list))
    return list(input_shape) if several else [input_shape]


def fits(shape: tuple[int, ...], expected: Shape, unknown: int | None = None) -> bool:
    """Return whether an array of this shape fits the symbol, whose None fits any size.

    Any batch size fits, as in Keras, even if the model was built for a certain one.
    """
    return len(shape) == len(expected) and all(
        wanted is None or size in (wanted, unknown) for size, wanted in zip(shape[1:], expected[1:])
    )
