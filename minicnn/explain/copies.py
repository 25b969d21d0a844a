"""Copies of layers and models to experiment on: the user's own are looked at, never changed.

A copy has the same names, weights and graph, and arrays of its own. It is not compiled, and what it
draws (dropout masks, initial weights) comes from no generator that somebody else draws from.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.explain.restoring import restored
from minicnn.graph import Network
from minicnn.graph.fused import FusedLayer
from minicnn.layers import Dropout, InputLayer, Layer
from minicnn.training import Trainer
from minicnn.variable import Computed


def copied(source: Layer, dtype: str | None = None) -> Any:
    """A copy of a layer or model, of another dtype if one is named."""
    # What a model was compiled with is not copied, be it large or the user's own.
    left_out = [id(model._compiled) for model in all_layers(source) if isinstance(model, Trainer)]
    clone = copy.deepcopy(source, dict.fromkeys(left_out))
    for layer in all_layers(clone):
        if isinstance(layer, Dropout) and layer._generator is None:
            layer._generator = np.random.default_rng(0)
        if dtype is not None:
            layer.dtype = dtype
            for variable in layer.weights_list:
                if not isinstance(variable, Computed):
                    variable.value = variable.value.astype(dtype)
            for node in layer.nodes:
                for symbol in node.outputs:
                    symbol.dtype = dtype
    return clone


def build(layer: Layer, x: Any) -> None:
    """Make a copy's weights, if there are none yet, for inputs like x."""
    if not layer.built and not isinstance(layer, InputLayer):
        with restored(layer):
            layer(x)


def restart_dropout(layer: Any, seed: int) -> None:
    """Let a copy's next pass draw the same masks as any other after this call."""
    for inner in all_layers(layer):
        if isinstance(inner, Dropout):
            inner._generator = np.random.default_rng(seed)


def all_layers(layer: Any) -> Iterator[Layer]:
    """The layer itself, and those within it, however deep."""
    yield layer
    if isinstance(layer, FusedLayer):
        yield from filter(None, (layer.layer, layer.normalization))
    if isinstance(layer, Network):
        for inner in layer.graph.layers if layer.built else layer.layers:
            yield from all_layers(inner)
