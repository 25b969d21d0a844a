"""Compiles the kernels that are usually needed, by having them compute something small.

    python -m minicnn.commands.ahead [MODEL…]

`minicnn compile` calls it, with the folder and the processor in the environment.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn._support import terminal
from minicnn._support.terminal import say


def main(models: Sequence[str]) -> int:
    """Compile what training and prediction usually need, and what these models need."""
    from minicnn import compilation
    from minicnn.models import load_model

    networks = [load_model(path, compile=False) for path in models]
    _train_and_predict()
    for path, network in zip(models, networks, strict=True):
        shapes: list[Any] = [symbol.shape[1:] for symbol in network.inputs]
        if any(size is None for shape in shapes for size in shape):
            say(f"{path}: which kernels it needs depends on its input, whose size is not fixed.")
            continue
        one = [np.zeros((1, *s), t.dtype) for s, t in zip(shapes, network.inputs, strict=True)]
        network.predict(one if len(one) > 1 else one[0], verbose=0)
        for count in (1, 32):
            network.inference_program(count)
    say(f"Compiled {compilation.count} kernels in {compilation.seconds:.1f} seconds.")
    return 0


def _train_and_predict() -> None:
    """Run a step of training, and predictions, of a network that has all the usual layers."""
    from minicnn import layers
    from minicnn.models import Model

    x = inputs = layers.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(16, 3, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.SeparableConv2D(16, 3, padding="same")(x)
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.Add()([x, y]))
    x = layers.AveragePooling2D(2)(layers.ZeroPadding2D()(x))
    x = layers.Dropout(0.1)(layers.Concatenate()([x, x]))
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    x = layers.Flatten()(x)
    outputs = layers.Dense(3, activation="softmax")(layers.Dense(8, activation="relu")(x))
    random = np.random.default_rng(0)
    photos, classes = random.random((8, 32, 32, 3), np.float32), np.arange(8) % 3
    for optimizer in ("adam", "sgd"):
        model = Model(inputs, outputs)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        model.fit(photos, classes, batch_size=8, epochs=1, verbose=0)
        model.predict(photos, verbose=0)
        model.predict(photos[:1], verbose=0)


if __name__ == "__main__":
    sys.exit(terminal.run("minicnn compile", lambda: main(sys.argv[1:])))
