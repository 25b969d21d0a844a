"""Users' own models: classes that derive from `Model` and define Keras's `call`.

    class Small(Model):
        def __init__(self, classes, **kwargs):
            super().__init__(**kwargs)
            self.conv = Conv2D(8, 3, activation="relu")
            self.pool = GlobalAveragePooling2D()
            self.head = Dense(classes, activation="softmax")

        def call(self, x, training=False):
            return self.head(self.pool(self.conv(x)))

Its graph has one layer between inputs and outputs, the `Body`, which runs `call`. The model builds
itself when it first sees data, or a shape (`build`), and anew for data of other sizes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn._support.objects import custom_object_scope
from minicnn._support.settings import parameters_of
from minicnn._support.variable import Variable
from minicnn.graph import Graph, Network
from minicnn.graph.layer import Ends, fits
from minicnn.layers import InputLayer, KerasTensor, Layer, calling
from minicnn.layers.calling import Trial
from minicnn.layers.symbols import is_symbolic
from minicnn.layers.tracking import tracked
from minicnn.layers.weights import WithWeights

Array = np.ndarray


class Body(Layer):
    """The layer that runs a model's `call`. It has the model's weights, and its name in errors."""

    ends: Ends

    def __init__(self, model: Any, ends: Ends) -> None:
        super().__init__(name=model.name, dtype=model.dtype)
        self.model = model
        vars(self).update(ends=ends, weights_list=model.weights_list)
        self.output_keys: tuple[str, ...] = ()  # if the last call returned a dict
        self.output_tuple = False

    @property
    def label(self) -> str:
        """The model's name in messages."""
        return str(self.model.label)

    def sublayers(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers that the model holds."""
        yield from self.model.sublayers()

    def call(self, x: Any, training: bool | None = False) -> Any:
        """Return what the model's `call` returns."""
        if self.ends.input_keys:
            x = dict(zip(self.ends.input_keys, x if isinstance(x, list) else [x], strict=True))
        asks = "training" in parameters_of(type(self.model).call)
        y = self.model.call(x, **({"training": training} if asks else {}))
        self.output_keys = tuple(sorted(y)) if isinstance(y, dict) else ()
        self.output_tuple = isinstance(y, tuple)
        return y

    def differs_in_training(self) -> bool:
        """Return whether the model's `call` asks for `training`, or a layer within differs."""
        asks = "training" in parameters_of(type(self.model).call)
        return asks or any(layer.differs_in_training() for _, layer in self.sublayers())

    def penalizes_outputs(self) -> bool:
        """Return whether the model, or a layer within, adds to the loss."""
        own = vars(self.model).get("adds_loss", False)
        return own or any(layer.penalizes_outputs() for _, layer in self.sublayers())


class Subclassed:
    """The methods that a class of models gets when it defines `call`."""

    # Attributes that `Model` defines.
    name: Any
    label: Any
    dtype: Any
    built: Any
    ends: Any
    call: Any
    as_given: Any
    weights_list: Any
    _graph: Any
    compiled_with: Any
    _body: Body
    _set_graph: Any
    _input_values: Any

    def sublayers(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers that the model holds, each with the path of its attribute."""
        return tracked(self, Layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers that the model holds, in the order of its attributes."""
        return [layer for _, layer in self.sublayers()]

    @property
    def weights(self) -> list[Variable]:
        """All weights, the model's own first, each once."""
        found: list[Variable] = WithWeights.weights.fget(self)  # type: ignore[attr-defined]
        return found

    variables = weights

    @property
    def params(self) -> dict[str, Array]:
        """The parameters, under names such as "conv/kernel"."""
        found: dict[str, Array] = WithWeights.params.fget(self)  # type: ignore[attr-defined]
        return found

    def learning_variables_by_name(self) -> dict[str, Variable]:
        """Return what training updates if this is a layer of a network that learns."""
        return self._own_body().trainable_variables_by_name()

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: "output_1" and so on."""
        return [f"output_{number}" for number in range(1, len(self._graph.outputs) + 1)]

    # -- building ----------------------------------------------------------------------------------

    def _own_body(self) -> Body:
        if self._body is None:
            vars(self)["_body"] = Body(self, self.ends)
        return self._body

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape, batch included, or of a list of shapes."""
        self._connect_body(input_shape)

    def _build_for(self, shape: Any) -> None:
        if self._graph is None:
            self._connect_body(shape)

    def _connect_body(self, input_shape: Any) -> None:
        """Make the graph for inputs of this shape, or of shapes in a list or in a dict of names."""
        if type(self).build is not Subclassed.build and not self.built:
            self.build(input_shape)  # the user's own, which makes weights
        keys = tuple(sorted(input_shape)) if isinstance(input_shape, dict) else ()
        several = not keys and isinstance(input_shape[0], (list, tuple))
        shapes = [input_shape[key] for key in keys] if keys else list(input_shape)
        shapes = shapes if keys or several else [input_shape]
        names: list[Any] = [*keys] if keys else [None] * len(shapes)
        starts = [
            InputLayer(shape=tuple(shape[1:]), dtype=self.dtype, name=name).nodes[0].outputs[0]
            for shape, name in zip(shapes, names, strict=True)
        ]
        body = Body(self, Ends(several, input_keys=keys))
        ends = body(starts if several or len(starts) > 1 else starts[0])
        outputs = list(ends) if isinstance(ends, list) else [ends]
        if self.compiled_with is not None and len(outputs) != len(self.compiled_with.outputs):
            raise ValueError(
                f"{self.label} has {len(outputs)} outputs, which compile did not know: build the "
                "model first, or call it on a batch, and then compile it."
            )
        vars(self)["_body"] = body
        vars(self)["ends"] = Ends(
            several, isinstance(ends, list), body.output_tuple, keys, body.output_keys
        )
        self._set_graph(Graph(starts, outputs, self.label))

    def trial(self) -> Trial | None:
        """Return the trial of `call`, which shows the layers within; None before `build`."""
        return None if self._graph is None else vars(self._body).get("_trial")

    def _connect(self, inputs: list[KerasTensor], training: bool | None, single: bool) -> Any:
        shapes = [symbol.shape for symbol in inputs]
        self._build_for(shapes[0] if single else shapes)
        return Network._connect(self, inputs, training, single)  # type: ignore[arg-type]

    # -- running -----------------------------------------------------------------------------------

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Run `call` on arrays, or nest the model in a larger graph of symbols."""
        if "weights_list" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__} has an __init__ that does not call super().__init__()."
            )
        if is_symbolic(list(x.values()) if isinstance(x, dict) else x):
            return Network.__call__(self, x, *args, **kwargs)  # type: ignore[arg-type]
        return calling.called(self, x, *args, **kwargs)

    def as_inputs(self, x: Any) -> Any:
        """Return a list of arrays, one for each input, as it is, and anything else as an array."""
        if isinstance(x, (list, tuple)) and x and not all(hasattr(item, "shape") for item in x):
            return np.asarray(x)
        return x

    def _graph_for(self, x: Any) -> Graph:
        """Return the graph, made anew if x has other sizes than the data before."""
        x = self.as_inputs(x)
        if isinstance(x, dict):
            shape: Any = {key: np.shape(value) for key, value in x.items()}
        elif isinstance(x, (list, tuple)):
            shape = [np.shape(value) for value in x]
        else:
            shape = np.shape(x)
        if self._graph is None or not self._takes(shape):
            self._connect_body(shape)
        return self._graph

    def _takes(self, shape: Any) -> bool:
        """Return whether arrays of these shapes fit the inputs."""
        known = [symbol.shape for symbol in self._graph.inputs]
        if isinstance(shape, dict):
            shapes = [shape.get(key, ()) for key in self.ends.input_keys]
        else:
            shapes = shape if isinstance(shape, list) else [shape]
        return len(shapes) == len(known) and all(map(fits, shapes, known))

    # -- files -------------------------------------------------------------------------------------

    def build_config(self) -> dict[str, Any]:
        """Return the shapes of the inputs for which the model was built, for its file."""
        if self._graph is None:
            return {}
        shapes = [list(symbol.shape) for symbol in self._graph.inputs]
        keys = self.ends.input_keys
        given: Any = dict(zip(keys, shapes, strict=True)) if keys else shapes
        several = keys or self.ends.listed_inputs
        return {"build_config": {"input_shape": given if several else shapes[0]}}

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this model, as Keras writes them."""
        config: dict[str, Any] = Layer.get_config(self)  # type: ignore[arg-type]
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """Return a new model from `get_config()`'s dict; it has no weights before it is built."""
        with custom_object_scope(custom_objects):
            return Layer.from_config.__func__(cls, config)  # type: ignore[attr-defined]
