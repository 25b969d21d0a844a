"""Operations on symbols: `minicnn.ops.relu(x)` makes the same layer as a file's "Relu".

`functions` has the table: what Keras writes for an operation on a symbol, and the layer for it.
"""

from typing import Any

import numpy as np

from minicnn.layers import LAYERS, KerasTensor
from minicnn.layers.arithmetic import OPERATIONS
from minicnn.layers.functions import Function, keras_class_of, keras_dtype
from minicnn.ops.operation import on_symbols
from minicnn.saving import functions


@on_symbols
def layer_of(name: str, given: dict[str, Any]) -> Any:
    """Return the symbol of a new layer that computes this operation on these arguments.

    Raises `TypeError` if minicnn has no such layer.
    """
    function = keras_class_of(name.strip("_"))
    symbols = [value for value in _all(list(given.values())) if isinstance(value, KerasTensor)]
    settings = {key: _described(value) for key, value in given.items()}
    try:
        kind, config, inputs = functions.layer_of(function, list(settings.values()), settings)
    except ValueError as error:
        raise TypeError(
            f"minicnn.ops.{name.strip('_')} {error}: not supported for symbols. Use it in the call "
            "of a layer of your own (minicnn.layers.calling shows one)."
        ) from error
    layer = {**LAYERS, **OPERATIONS, "Function": Function}[kind](dtype=symbols[0].dtype, **config)
    found = [tensor["symbol"] for tensor in inputs]
    return layer(found if layer.takes_list or len(found) > 1 else found[0])


def _all(values: list[Any]) -> list[Any]:
    """Return the values, and those in lists among them."""
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _described(value: Any) -> Any:
    """Return an argument as Keras's files describe it."""
    if isinstance(value, KerasTensor):
        config = {"dtype": keras_dtype(value)}
        return {"class_name": "__keras_tensor__", "config": config, "symbol": value}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    return value
