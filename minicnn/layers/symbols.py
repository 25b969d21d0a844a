"""Symbols, which layers return when they are called on symbols, while a model is defined.

    inputs = Input((8, 8, 3))        # a symbol, of a node without inputs
    x = Conv2D(4, 3)(inputs)         # a symbol, whose node records this layer and these inputs

A graph is read from its outputs: the node of each symbol leads to the symbols before it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn._support.operators import OperatorsOfAll, operations
from minicnn._support.terminal import printable
from minicnn.ops.tape import Symbolic

Array = np.ndarray
Shape = tuple[int | None, ...]

_operators: dict[str, Callable[..., Any]] = {}


def operator(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator: operations on symbols call the function as `add` or `rescale`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _operators[name] = function
        return function

    return register


class KerasTensor(OperatorsOfAll, Symbolic):
    """A symbol for a layer's output while a model is defined: a shape with None for the batch.

    Arithmetic makes layers, as in Keras. `x + y` of symbols is `Add()([x, y])`, `x * y` is
    `Multiply()([x, y])`; `x - y` and `x / y` work likewise. With a number, or with one for each
    channel, `x * 2 + 1` is two `Rescaling` layers. With a number, `1 / x` and `x ** 2` work, too;
    `x[..., :3]` takes a part. `x @ y`, `abs(x)`, `x > y` and the like are functions of
    `minicnn.ops`, as layers. Other arithmetic raises `TypeError`.
    """

    __array_priority__ = 1000.0  # NumPy leaves `array + x` to the symbol

    def __init__(self, shape: Shape, dtype: str, node: "Node", index: int = 0) -> None:
        self.shape, self.dtype, self.node, self.index = shape, dtype, node, index

    @property
    def name(self) -> str:
        return self.node.layer.name

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={printable(self.name)}>"

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, KerasTensor):
            return _operators["add"]([self, other], dtype=self.dtype)
        return _operators["rescale"](self, 1.0, _constant(other, self, "+"))

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __neg__(self) -> Any:
        return _operators["rescale"](self, -1.0, 0.0)

    def __sub__(self, other: Any) -> Any:
        return self + -other if isinstance(other, KerasTensor) else self + -_constant(other, self)

    def __rsub__(self, other: Any) -> Any:
        return _operators["rescale"](self, -1.0, _constant(other, self))

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, KerasTensor):
            return _operators["multiply"]([self, other], dtype=self.dtype)
        return _operators["rescale"](self, _constant(other, self), 0.0)

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, KerasTensor):
            return _operators["divide"]([self, other], dtype=self.dtype)
        with np.errstate(divide="ignore"):  # Rescaling refuses infinity
            return _operators["rescale"](self, 1.0 / _constant(other, self), 0.0)

    def __rtruediv__(self, other: Any) -> Any:
        return _operators["reciprocal"](self, _number(other, self))

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, KerasTensor):
            return operations["power"](self, other)
        return _operators["power"](self, _number(other, self))

    def __getitem__(self, key: Any) -> Any:
        return _operators["get_item"](self, key)

    def _no_layer(self, *others: Any) -> Any:
        raise TypeError(
            f"{self!r} is a symbol: minicnn supports +, -, *, /, @, ** and comparisons with "
            "symbols and numbers. For the rest, write a layer of your own "
            "(minicnn.layers.calling shows one)."
        )

    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __invert__ = _no_layer
    __iter__ = _no_layer  # otherwise Python would ask for x[0], x[1], …

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is a symbol, neither true nor false.")

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        raise TypeError(
            f"{self!r} is a symbol without values; call a Model on arrays to get numbers."
        )


def _constant(value: Any, symbol: KerasTensor, sign: str = "") -> Array:
    """Return a number, or one for each channel, as an array; `TypeError` for anything else."""
    if isinstance(value, KerasTensor):
        symbol._no_layer()
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim > 1:
        raise TypeError(
            f"{symbol!r} is a symbol: it can be combined with a number, or one for each channel. "
            f"Received {value!r}."
        )
    return array.astype(float)


def _number(value: Any, symbol: KerasTensor) -> float:
    array = _constant(value, symbol)
    if array.ndim:
        raise TypeError(
            f"{symbol!r} is a symbol: here it can be combined with a number. Received {value!r}."
        )
    return float(array)


class Node:
    """One use of a layer in a graph, with its input and output symbols.

    `training` is the call's argument (`base_model(inputs, training=False)`), or None.
    """

    def __init__(
        self,
        layer: Any,
        inputs: Sequence[KerasTensor],
        training: bool | None,
        single: bool,
        listed: bool = True,
    ) -> None:
        self.layer, self.inputs, self.training = layer, list(inputs), training
        self.single_input = single  # called on a symbol rather than on a list
        self.outputs: list[KerasTensor] = []
        self.index = len(layer.nodes)
        self.repeats = False  # whether it repeats another node's use on a new Input
        self.listed = listed  # whether it is in its layer's `nodes` (not in rewritten graphs)
        if listed:
            layer.nodes.append(self)

    @property
    def given(self) -> Any:
        """The layer's argument: a symbol, or a list of symbols."""
        return self.inputs[0] if self.single_input else self.inputs


class WithNodes:
    """The uses of a layer in graphs."""

    # Attributes that `Layer` defines.
    label: Any
    nodes: list[Node]

    def _only_node(self, what: str) -> Node:
        own = [node for node in self.nodes if not node.repeats]
        if len(own) != 1:
            raise AttributeError(
                f"{self.label} has been used {len(own)} times in a graph, "
                f"so it has no single {what}."
            )
        return own[0]

    @property
    def input(self) -> Any:
        """The symbol (or list of symbols) that the layer was called on."""
        node = self._only_node("input")
        return node.inputs[0] if node.single_input else list(node.inputs)

    @property
    def output(self) -> Any:
        """The symbol that the layer's call returned: `Model(model.inputs, layer.output)`."""
        outputs = self._only_node("output").outputs
        return outputs[0] if len(outputs) == 1 else list(outputs)


def is_symbolic(x: Any) -> bool:
    """Return whether x is a symbol, or a list that contains one."""
    if isinstance(x, (list, tuple)):
        return any(isinstance(item, KerasTensor) for item in x)
    return isinstance(x, KerasTensor)
