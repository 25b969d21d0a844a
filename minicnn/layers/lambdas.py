"""`Lambda`: a function of the user's own as a layer."""

import inspect
from collections.abc import Callable
from typing import Any

from minicnn._support.objects import get_registered_name, own_object
from minicnn.layers.base import Layer, Shape


class Lambda(Layer):
    """y = function(x, **arguments): a function of arrays, such as `lambda x: x / 255`, as a layer.

    The function computes with operators and `minicnn.ops`, whose gradients are known. If it has a
    parameter `training`, it is told whether the network learns. A file keeps the name of a function
    that was defined with `def`, never its code: the program that opens the file registers the
    function, or passes it in `custom_objects`. `output_shape`, without the batch, is checked.
    Raises `ValueError` for a `mask`, which minicnn does not compute. No weights.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ValueError(f"{self.label} expects a function. Received {function!r:.100}.")
        if mask is not None:
            raise ValueError(f"{self.label} computes no mask. Received mask={mask!r:.100}.")
        known = output_shape is None or isinstance(output_shape, (tuple, list))
        if not known and not callable(output_shape):
            raise ValueError(
                f"{self.label} expects output_shape to be a tuple of sizes, without the batch, or "
                f"a function. Received {output_shape!r:.100}."
            )
        self.function, self.arguments = function, dict(arguments or {})
        self._told_shape = output_shape

    def _asks_for_training(self) -> bool:
        try:
            return "training" in inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # such as a function in C
            return False

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return the function of x."""
        told = {"training": training} if self._asks_for_training() else {}
        return self.function(x, **self.arguments, **told)

    def differs_in_training(self) -> bool:
        return self._asks_for_training()

    def compute_output_shape(self, input_shape: Any) -> Any:
        found: Any = self._tried(input_shape)  # type: ignore[attr-defined]
        told = self._told_shape
        shapes: list[Shape] = found.shapes
        if told is not None and not found.several:
            told = tuple(told(input_shape))[1:] if callable(told) else tuple(told)
            if told != shapes[0][1:]:
                raise ValueError(
                    f"{self.label} expects a function whose output has the shape {told}, without "
                    f"the batch. Received {shapes[0][1:]}."
                )
        return shapes if found.several else shapes[0]

    def get_config(self) -> dict[str, Any]:
        name = getattr(self.function, "__name__", "<lambda>")
        if name == "<lambda>" or callable(self._told_shape):
            raise ValueError(
                f"{self.label} holds a function without a name, which no file keeps: define it "
                "with def, under @keras.saving.register_keras_serializable(), or use a layer of "
                "your own (minicnn.layers.calling shows one)."
            )
        function = {"module": "builtins", "class_name": "function", "registered_name": "function"}
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype,
            "function": function | {"config": get_registered_name(self.function)},
            "arguments": self.arguments,
        }
        told = self._told_shape
        return config if told is None else config | {"output_shape": list(told)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Lambda":
        """Return the layer, if its function is registered or in `custom_objects`."""
        function = own_object(config.get("function"))
        if function is None or isinstance(function, type) or not callable(function):
            raise ValueError(
                f'Layer "{config.get("name")}" is a Lambda: it holds a function in Python, and '
                "minicnn runs no code from a file. If the function has a name, pass it in "
                "custom_objects. Otherwise build the model here, with a layer of your own in its "
                "place (minicnn.layers.calling shows one), and read the weights with load_weights."
            )
        kept = ("name", "trainable", "dtype", "output_shape", "mask", "arguments")
        return cls(function, **{key: config[key] for key in kept if key in config})
