"""`Function`: a function of `keras.ops` that has no layer of its own, as a layer of a graph.

`ops.sum(x, axis=-1)` of a symbol creates one. Keras's files describe it as an operation, with its
settings, and its other arguments among those of its call.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn._support.operators import operations
from minicnn.layers.arithmetic import Operation
from minicnn.layers.base import unique_name
from minicnn.layers.symbols import KerasTensor
from minicnn.ops.tape import Tensor

# Functions by the names of the arguments that are arrays. Only those of two arrays make a large one
# of small ones, and `_check_size` limits these, so that no file can ask for too much memory.
_OF_X = """
abs arctan cast ceil clip cos cumsum exp expand_dims expm1 flip floor isfinite isinf isnan log log10
log1p log2 logical_not logsumexp max mean min moveaxis negative norm normalize reciprocal roll rsqrt
sign sin sqrt square squeeze std sum swapaxes tan var
celu hard_shrink log_sigmoid soft_shrink squareplus tanh_shrink
"""
_OF_TWO = """
add divide equal greater greater_equal less less_equal logical_and logical_or matmul maximum minimum
multiply not_equal power subtract
"""
ARGUMENTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_OF_X.split(), ("x",)),
    **dict.fromkeys(_OF_TWO.split(), ("x1", "x2")),
    "where": ("condition", "x1", "x2"),
}
_TRUE_OR_FALSE = [
    "equal",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "not_equal",
]
_NAMES = {"cast": "_cast", "where": "_where"}  # those of `operations`, where they are others
_KERAS_CLASSES = {"abs": "Absolute"}
_OF_NN = "celu hard_shrink log_sigmoid normalize soft_shrink squareplus tanh_shrink"
_KERAS_MODULES = {
    **dict.fromkeys(_OF_NN.split(), "nn"),
    **dict.fromkeys(["logsumexp", "rsqrt"], "math"),
    **{"cast": "core", "norm": "linalg"},
}
SYMBOL = {"class_name": "__keras_tensor__"}  # stands for an input among the arguments
_LARGEST = 2**27  # numbers of an example, if no argument has as many


def keras_class_of(function: str) -> str:
    """Return the name of Keras's class for a function."""
    return _KERAS_CLASSES.get(function, "".join(map(str.capitalize, function.split("_"))))


FUNCTION_OF = {
    **{keras_class_of(name): name for name in ARGUMENTS if name != "cast"},
    **{"Abs": "abs", "TrueDivide": "divide"},
}
"""The functions by the names of Keras's classes, except `Cast`, which is for bools alone."""


def keras_dtype(symbol: KerasTensor) -> str:
    """Return the dtype that a symbol has in Keras."""
    layer = symbol.node.layer
    known = isinstance(layer, Function) and layer.function in _TRUE_OR_FALSE
    return "bool" if known else symbol.dtype


class Function(Operation):
    """y = f(x0, x1, …): a function of `minicnn.ops` with constants and settings.

    `arguments` are those of f that are arrays: numbers, lists of them, and `SYMBOL` for each input.
    The surprise: what is true or false in Keras is the number 1 or 0 here. No weights.
    """

    def __init__(
        self, function: str, arguments: Any, settings: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        if function not in ARGUMENTS:
            raise ValueError(
                f"Function expects one of {', '.join(ARGUMENTS)}. Received {function!r}."
            )
        if kwargs.get("name") is None:
            kwargs["name"] = unique_name(_snake_case(keras_class_of(function)))
        super().__init__(**kwargs)
        self.function, self.arguments = function, list(arguments)
        self.settings = dict(settings or {})

    @property
    def keras_module(self) -> str:  # type: ignore[override]
        """The module of Keras that has the function."""
        return f"keras.src.ops.{_KERAS_MODULES.get(self.function, 'numpy')}"

    @property
    def keras_class_name(self) -> str:  # type: ignore[override]
        """The function's class there."""
        return keras_class_of(self.function)

    def keras_config(self) -> dict[str, Any]:
        return {"name": self.name, **self.settings}

    def call_arguments(self, inputs: list[Any]) -> list[Any]:
        return self._filled([_described(argument) for argument in self.arguments], inputs)

    def _filled(self, arguments: list[Any], inputs: list[Any]) -> list[Any]:
        left = iter(inputs)
        return [_filled(argument, left) for argument in arguments]

    def call(self, x: Any) -> Any:  # type: ignore[override]
        """Return f of the inputs."""
        arguments = self._filled(self.arguments, list(x) if isinstance(x, (list, tuple)) else [x])
        self._check_size([a.shape if hasattr(a, "shape") else np.shape(a) for a in arguments])
        try:
            y = operations[_NAMES.get(self.function, self.function)](*arguments, **self.settings)
        except (IndexError, OverflowError, KeyError) as error:
            raise ValueError(f"{self.label}: {error}") from error
        return y if isinstance(y, Tensor) else np.asarray(y, self.dtype)

    def _check_size(self, shapes: list[tuple[int, ...]]) -> None:
        """Raise a `ValueError` if small arrays make a far larger one, as an outer product does."""
        spread = shapes
        if self.function == "matmul" and all(shapes):
            first, second = shapes
            spread = [(*first[:-1], 1), (*second[:-2], 1, second[-1])]
        try:
            made = np.broadcast_shapes(*spread)
        except ValueError:
            return  # the function says that they do not fit together
        if math.prod(made[1:]) > max(_LARGEST, *map(math.prod, shapes)):
            raise ValueError(
                f"{self.label} expects arguments that make at most {_LARGEST:,} numbers of an "
                f"example. Received the shapes {', '.join(map(str, shapes))}."
            )


def _filled(argument: Any, left: Iterator[Any]) -> Any:
    """Return an argument with the inputs that are left in the places of its symbols."""
    if argument == SYMBOL:
        return next(left)
    if isinstance(argument, list):
        return [_filled(item, left) for item in argument]
    return argument


def _described(argument: Any) -> Any:
    """Return an argument as Keras's files have it: a list of numbers as an array."""
    if not isinstance(argument, list) or _has_symbol(argument):
        return argument
    return {"class_name": "__numpy__", "config": {"value": argument, "dtype": "float32"}}


def _has_symbol(argument: Any) -> bool:
    listed = isinstance(argument, list)
    return argument == SYMBOL or (listed and any(map(_has_symbol, argument)))


def _snake_case(name: str) -> str:
    return "".join("_" * (i > 0 and c.isupper()) + c.lower() for i, c in enumerate(name))
