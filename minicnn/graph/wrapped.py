"""`WrappedLayer`: a layer of a rewritten graph that does the work of one of the user's layers."""

from typing import Any

from minicnn._support.variable import Variable
from minicnn.layers import Layer


class WrappedLayer(Layer):
    """Does what `layer` does, and more; that layer has the weights, and says whether they learn."""

    def __init__(self, layer: Any, name: str) -> None:
        self.layer = layer
        super().__init__(name=name, dtype=layer.dtype)
        self.weights_list, self.built = layer.weights_list, True

    @property
    def trainable(self) -> bool:
        """Whether the layer's weights learn."""
        return bool(self.layer.trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.layer.trainable = value

    def trainable_variables_by_name(self) -> dict[str, Variable]:
        """Return the layer's trainable variables."""
        found: dict[str, Variable] = self.layer.trainable_variables_by_name()
        return found
