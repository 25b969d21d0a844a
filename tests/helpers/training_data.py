"""A small model, and its data in several forms."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn import (
    Input,
    Model,
    Sequential,
    callbacks,
    layers,
)

Array = np.ndarray


def data(count: int = 24, classes: int = 3, seed: int = 0) -> tuple[Array, Array]:
    """Return points around a corner for each class: learnable within a few steps."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, count)
    x = rng.standard_normal((count, 4)).astype(np.float32)
    x[np.arange(count), y] += 3
    return x, y


def model(units: int = 3, loss: Any = "sparse_categorical_crossentropy", **settings: Any) -> Model:
    made = Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Dense(units, "softmax")])
    made.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **settings})
    return made


X, Y = data()


class Seen(callbacks.Callback):
    """Records every event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in callbacks.EVENTS:
            self.events.append(name)
        return super().__getattribute__(name)


class Pairs:
    """A sequence of batches that records which were asked for."""

    def __init__(self, batches: int = 6, size: int = 4) -> None:
        self.batches, self.size = batches, size
        self.asked: list[int] = []
        self.epochs = 0

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, i: int) -> tuple[Array, Array]:
        self.asked.append(i)
        part = slice(i * self.size, (i + 1) * self.size)
        return X[part], Y[part]

    def on_epoch_end(self) -> None:
        self.epochs += 1


def forever(size: int = 4) -> Iterator[tuple[Array, Array]]:
    while True:
        for i in range(0, 24, size):
            yield X[i : i + size], Y[i : i + size]


def two_inputs() -> Model:
    a, b = Input((2,), name="a"), Input((2,), name="b")
    made = Model([a, b], layers.Dense(3, "softmax")(layers.Concatenate()([a, b])))
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def plain() -> Model:
    return Sequential([Input((4,)), layers.Dense(3, "softmax")])


def fit(*args: Any, **kwargs: Any) -> Any:
    return model().fit(*args, verbose=0, **kwargs)
