"""Lets explanations change nothing: neither moving statistics nor the next random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

from minicnn._support.variable import Computed
from minicnn.layers import Layer
from minicnn.layers.noise import generators_within


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
    states = [(g, g.bit_generator.state) for g in generators_within(layer)]
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)
        for generator, state in states:
            generator.bit_generator.state = state
