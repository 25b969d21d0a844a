"""Puts a network's classes into another network's order, so that both compare class by class.

The order of the classes is the order of the last layer's units: reordering its kernels and biases
reorders the scores and probabilities, and changes nothing else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn._support.variable import Variable
from minicnn.explain.classes import kind_of
from minicnn.explain.copies import copied
from minicnn.explain.restoring import restored
from minicnn.layers import (
    Activation,
    Average,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Rescaling,
    Reshape,
    Softmax,
)
from minicnn.layers.base import Node
from minicnn.models import Model

# They turn one number for each class into one number for each of the same classes.
_KEEPING = (
    *(Activation, Average, Dropout, Flatten, GlobalAveragePooling2D, Rescaling, Reshape, Softmax),
)


def in_order(model: Model, own: Sequence[str], wanted: Sequence[str], x: Any) -> Model:
    """Return a copy of the model that has its classes, `own`, in the order of `wanted`.

    Return the model itself if they are already in this order, are other classes, or if no last
    layer has a kernel for each of them; x is a batch to try this with.
    """
    own, wanted = list(own), list(wanted)
    if own == wanted or sorted(own) != sorted(wanted) or len({*own}) < len(own):
        return model
    with restored(model):
        y, _ = model.forward(x)
    kind = "" if isinstance(y, list) else kind_of(model, y)
    if not kind or len(own) != max(2, y.shape[-1]):
        return model
    order = [own.index(name) for name in wanted]
    reordered = copied(model)
    weights = _last_weights(reordered.outputs[0].node, y.shape[-1])
    if not weights:
        return model
    for variable in weights:
        # A single unit's z belongs to the second of two classes, and −z to the first.
        value = -variable.value if kind == "sigmoid" else variable.value[..., order]
        variable.assign(value)
    expected = 1 - y if kind == "sigmoid" else y[..., order]
    with restored(reordered):
        found, _ = reordered.forward(x)
    # This is not possible if other layers also use these weights or their outputs.
    return reordered if np.allclose(found, expected, rtol=1e-3, atol=1e-5) else model


def _last_weights(node: Node, classes: int) -> list[Variable]:
    """Return the weights of the last layers that have a kernel for each class."""
    layer = node.layer
    if isinstance(layer, Model):
        return _last_weights(layer.outputs[0].node, classes)
    if type(layer) in (Conv2D, Dense):
        return list(layer.weights)
    inputs = [symbol.node for symbol in node.inputs if symbol.shape[-1] == classes]
    if not isinstance(layer, _KEEPING) or len(inputs) < len(node.inputs):
        return []
    weights = {id(v): v for one in inputs for v in _last_weights(one, classes)}
    return list(weights.values())
