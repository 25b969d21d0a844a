"""The parts of VGG16 and VGG19 (Simonyan and Zisserman 2014, arXiv:1409.1556).

Nothing but 3×3 convolutions, in five blocks that each end in a pooling: two of them see as much as
one of 5×5, with fewer weights. Most of the weights are in the first dense layer of the classifier.
"""

from collections.abc import Sequence
from typing import Any

from minicnn.applications.imagenet import Body
from minicnn.layers import Conv2D, Dense, Flatten, MaxPooling2D

_FILTERS = (64, 128, 256, 512, 512)


def body_of(convolutions: Sequence[int]) -> Body:
    """Return a function that makes the body; `convolutions` counts those of each block."""

    def body(x: Any) -> Any:
        for block, (count, filters) in enumerate(zip(convolutions, _FILTERS, strict=True), start=1):
            for number in range(1, count + 1):
                name = f"block{block}_conv{number}"
                x = Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
            x = MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
        return x

    return body


def top(x: Any, classes: int, activation: str) -> Any:
    """Return the classifier: three dense layers on all numbers of the last block."""
    x = Flatten(name="flatten")(x)
    x = Dense(4096, activation="relu", name="fc1")(x)
    x = Dense(4096, activation="relu", name="fc2")(x)
    return Dense(classes, activation=activation, name="predictions")(x)
