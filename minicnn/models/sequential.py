"""`Sequential` is a chain of layers: each layer's output is the next one's input."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn._support.objects import custom_object_scope
from minicnn.graph import Graph
from minicnn.graph.layer import SINGLE, fits
from minicnn.layers import InputLayer, KerasTensor, Layer
from minicnn.layers.base import unique_name
from minicnn.models import config as configuration
from minicnn.models.model import Model
from minicnn.saving.limits import check_nesting


@configuration.network("Sequential")
class Sequential(Model):
    """A chain of layers: each one's output is the next one's input.

        model = Sequential([Input((64, 64, 3)), Conv2D(32, 3, activation="relu"), Flatten(),
                            Dense(10)])

    Without an `Input` (or `input_shape=` on the first layer) the chain is built when it first sees
    data; it takes images of other sizes, too, if its layers do.
    """

    keras_class_name = "Sequential"
    keras_module = "keras"
    untracked: tuple[str, ...] = ("_chain",)

    def __init__(
        self,
        layers: Sequence[Layer | KerasTensor] | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self._start(None, SINGLE, name or unique_name("sequential"), trainable, dtype)
        self._chain: list[Layer] = []
        names: dict[str, Layer] = {}
        for layer in layers or []:
            self._append(layer, names)
        self._rebuild()
        self._freeze_unless(trainable)

    def add(self, layer: Layer | KerasTensor) -> None:
        """Add a layer at the end; if it does not fit, the model stays as it was."""
        before = list(self._chain)
        self._append(layer, {other.name: other for other in before})
        try:
            if self.built:  # the layers before it keep their only use
                self._set_chain(self.input, self._chain[-1](self.output))
            else:
                self._rebuild()
        except (TypeError, ValueError):
            self._chain[:] = before
            raise

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self.layers:
            raise ValueError(f"{self.label} has no layer to remove.")
        layer = self._chain.pop()
        if self.built and self.layers:
            self._set_chain(self.input, self.output.node.inputs[0])
        else:
            self.built = False
        return layer

    def _append(self, layer: Layer | KerasTensor, names: dict[str, Layer]) -> None:
        """Put the layer at the end, and into `names` with those before it."""
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
                f"{self.label} already has {layer.label}. To use it twice, call it twice and make "
                "a Model of the symbols. (Keras accepts it, but loses the second use in a file.)"
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
        self._set_chain(start, tensor)

    def _graph_for(self, x: Any) -> Graph:
        """Return the graph; without an Input it also takes images of other sizes, as in Keras."""
        graph = super()._graph_for(x)
        if isinstance(self._chain[0], (InputLayer, Model)):
            return graph
        shape, known = np.shape(self.as_inputs(x)), graph.inputs[0].shape
        if len(shape) == len(known) and not fits(shape, known):
            self._open(tuple(a if a == b else None for a, b in zip(shape, known, strict=True)))
        return self.graph

    def _open(self, shape: tuple[int | None, ...]) -> None:
        """Build the chain for inputs of more sizes, if its layers allow that; else do nothing."""
        before = self.graph
        nodes = {layer: layer.nodes for layer in self._chain}
        for layer in self._chain:
            vars(layer)["nodes"] = [node for node in layer.nodes if node not in before.nodes]
        try:
            self.build(shape)
        except ValueError:
            for layer, own in nodes.items():
                vars(layer)["nodes"] = own

    def _set_chain(self, start: KerasTensor, end: KerasTensor) -> None:
        self._set_graph(Graph([start], [end], self.label))

    def build(self, input_shape: Any) -> None:
        """Build for inputs of this shape, whose first axis is the batch."""
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
            chain.insert(0, self.input.node.layer)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype,
            "layers": [configuration.serialize_layer(layer) for layer in chain],
            "build_input_shape": self.input_shape if self.built else None,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "Sequential":
        check_nesting({"config": config})
        with custom_object_scope(custom_objects):
            layers = [configuration.layer_from_config(data) for data in config["layers"]]
        model = cls(layers, name=config.get("name"))
        model._trainable = config.get("trainable") is not False  # each layer has its own setting
        shape = config.get("build_input_shape")
        if not model.built and shape:
            model.build(tuple(shape))
        return model
