"""Copies of layers and models to experiment on: the user's own are looked at, never changed.

A copy has the same names, weights and graph, and arrays of its own. It is not compiled, and what it
draws (dropout masks, initial weights) comes from no generator that somebody else draws from.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.explain.undisturbed import undisturbed
from minicnn.layers import Dropout, InputLayer, Layer
from minicnn.layers.base import KerasTensor, Node
from minicnn.model import Model

# A model's graph is made anew; how it was compiled is not copied.
_GRAPH = {"_inputs", "_outputs", "graph_nodes", "_uses", "_produced_by", "_output_ids", "_layers"}
_TRAINING = {"optimizer", "loss", "_metrics", "_metric_identifiers", "_loss_mean", "compiled"}
_LEFT_OUT = {"nodes", "_folded", *_GRAPH, *_TRAINING}


def copied(source: Layer, dtype: str | None = None) -> Any:
    """A copy of a layer or model, of another dtype if one is named."""
    found: dict[int, Any] = {}
    clone = _copied(source, found)
    for layer in found.values():
        if isinstance(layer, Dropout) and layer._generator is None:
            layer._generator = np.random.default_rng(0)
        if isinstance(layer, Layer) and dtype is not None:
            layer.dtype = dtype
            for variable in layer.weights_list:
                variable.value = variable.value.astype(dtype)
            for node in layer.nodes:
                for tensor in node.outputs:
                    tensor.dtype = dtype
    return clone


def _copied(source: Layer, found: dict[int, Any]) -> Any:
    """`found` maps identities of what was copied to the copies, as in `copy.deepcopy`."""
    if id(source) in found:
        return found[id(source)]
    clone = object.__new__(type(source))
    found[id(source)] = clone
    clone.nodes = []
    if isinstance(source, Model):
        layers = [node.layer for node in source.graph_nodes] if source.built else []
        for layer in [*layers, *getattr(source, "_chain", [])]:
            _copied(layer, found)
        vars(clone)["_folded"] = {}
    for name, value in vars(source).items():
        if name not in _LEFT_OUT:
            vars(clone)[name] = _copied_value(value, found)  # past any property
    if isinstance(source, Model) and source.built:
        _copy_graph(source, clone, found)
    return clone


def _copied_value(value: Any, found: dict[int, Any]) -> Any:
    """A deep copy, in which layers are copied as layers are."""
    if isinstance(value, Layer):
        return _copied(value, found)
    if type(value) in (list, tuple):
        return type(value)(_copied_value(item, found) for item in value)
    if type(value) is dict:
        return {key: _copied_value(item, found) for key, item in value.items()}
    return copy.deepcopy(value, found)


def _copy_graph(source: Model, clone: Any, found: dict[int, Any]) -> None:
    symbols: dict[int, KerasTensor] = {}
    for node in source.graph_nodes:
        inputs = [symbols[id(tensor)] for tensor in node.inputs]
        new = Node(found[id(node.layer)], inputs, node.training, node.single_input)
        new.outputs = [KerasTensor(t.shape, t.dtype, new, t.index) for t in node.outputs]
        symbols |= {id(old): tensor for old, tensor in zip(node.outputs, new.outputs)}
    clone._set_graph(
        [symbols[id(tensor)] for tensor in source._inputs],
        [symbols[id(tensor)] for tensor in source._outputs],
    )


def build(layer: Layer, x: Any) -> None:
    """Make a copy's weights, if there are none yet, for inputs like x."""
    if not layer.built and not isinstance(layer, InputLayer):
        with undisturbed(layer):
            layer(x)


def restart_dropout(layer: Any, seed: int) -> None:
    """Let a copy's next pass draw the same masks as any other after this call."""
    for inner in all_layers(layer):
        if isinstance(inner, Dropout):
            inner._generator = np.random.default_rng(seed)


def all_layers(layer: Any) -> Iterator[Layer]:
    """The layer itself, and those within it, however deep."""
    yield layer
    for inner in getattr(layer, "layers", []):
        yield from all_layers(inner)
