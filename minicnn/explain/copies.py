"""Copies of layers and models to experiment on, so that the user's own never change.

A copy has the same names, weights and graph, and arrays of its own. It is not compiled, and it
shares no random generator (for dropout masks, initial weights) with anything else.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn._support.variable import Computed
from minicnn.explain.restoring import restored
from minicnn.graph import Network
from minicnn.graph.fused import FusedLayer
from minicnn.graph.limited import LimitedNormalization
from minicnn.layers import InputLayer, Layer
from minicnn.layers.noise import RandomLayer
from minicnn.training import Trainer


def copied(source: Layer, dtype: str | None = None) -> Any:
    """Return a copy of a layer or model, with another dtype if one is given."""
    # The copy leaves out what a model was compiled with, which may be large, or the user's own.
    left_out = [
        id(model.compiled_with) for model in all_layers(source) if isinstance(model, Trainer)
    ]
    clone = copy.deepcopy(source, dict.fromkeys(left_out))
    for layer in all_layers(clone):
        if isinstance(layer, RandomLayer) and layer.own_generator is None:
            layer.own_generator = np.random.default_rng(0)
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
    """Make the weights of a copy for inputs like x, unless it has them already."""
    if not layer.built and not isinstance(layer, InputLayer):
        with restored(layer):
            layer(x)


def restart_random_layers(layer: Any, seed: int) -> None:
    """Reset a copy's generators, so that the next pass draws the same numbers after each call."""
    for inner in all_layers(layer):
        if isinstance(inner, RandomLayer):
            inner.own_generator = np.random.default_rng(seed)


def all_layers(layer: Any) -> Iterator[Layer]:
    """Yield the layer itself and all layers inside it, however deep."""
    yield layer
    if isinstance(layer, FusedLayer):
        yield from filter(None, (layer.layer, layer.normalization))
    if isinstance(layer, LimitedNormalization):
        yield layer.layer
    if isinstance(layer, Network):
        for inner in layer.graph.layers if layer.built else layer.layers:
            yield from all_layers(inner)
    for _, inner in layer.sublayers():  # in a user's own layer
        yield from all_layers(inner)
