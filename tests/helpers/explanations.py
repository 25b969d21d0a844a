"""Helpers that tests of explanations share."""

import math
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers
from minicnn.explain import Explanation
from minicnn.layers import Layer

Array = np.ndarray


def f32(*values: Any) -> Array:
    return np.array(values, np.float32)


def with_weights(layer: Layer, x: Any, **weights: Any) -> Layer:
    """Return the layer, built for x, with these weights."""
    layer.forward(x)
    assert set(weights) <= {v.name for v in layer.weights}
    for variable in layer.weights:
        if variable.name in weights:
            variable.assign(np.reshape(np.array(weights[variable.name]), variable.shape))
    return layer


def products(e: Explanation) -> list[float]:
    return [round(p, 9) for p in e.terms.product.tolist()]


def agrees(e: Explanation) -> None:
    """Assert that the terms add up to the number that the layer, or backward, gave."""
    assert abs(e.difference) <= e.tolerance, str(e)
    assert e.total == pytest.approx(math.fsum([*e.terms.product.tolist(), e.bias]), abs=0)
    assert "rounding" in e.verdict() or "none at all" in e.verdict()


def with_a_loss(layer: Layer, x: Any) -> minicnn.Model:
    several = x if isinstance(x, list) else [x]
    inputs = [minicnn.Input(item.shape[1:]) for item in several]
    y = layer(inputs if isinstance(x, list) else inputs[0])
    scores = layers.Dense(3)(layers.Flatten()(y))
    return minicnn.Model(inputs, layers.Softmax()(scores))
