"""Explaining a pass changes nothing: neither moving statistics nor the next random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from minicnn._support import seeding
from minicnn._support.variable import Computed
from minicnn.layers import Layer
from minicnn.layers.noise import RandomLayer


@contextmanager
def restored(layer: Layer) -> Iterator[None]:
    """Restore the moving statistics and the random generators afterwards.

    So a pass in training mode has exactly the masks that the next training step will have.
    """
    values = [
        (variable, variable.numpy())
        for variable in layer.weights
        if not variable.trainable and not isinstance(variable, Computed)
    ]
    states = [(g, g.bit_generator.state) for g in _generators(layer)]
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)
        for generator, state in states:
            generator.bit_generator.state = state


def _generators(layer: Layer) -> Iterator[np.random.Generator]:
    yield seeding.default_generator()
    stack = [layer]
    while stack:
        inner = stack.pop()
        stack += getattr(inner, "layers", [within for _, within in inner.sublayers()])
        if isinstance(inner, RandomLayer) and inner._generator is not None:
            yield inner._generator
