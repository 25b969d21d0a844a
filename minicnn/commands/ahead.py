"""Compiles the kernels that are usually needed, by having them compute something small.

    python -m minicnn.commands.ahead [MODEL…]

`minicnn compile` calls it, with the folder and the processor in the environment.
"""

import sys
from collections.abc import Sequence

import numpy as np


def main(models: Sequence[str]) -> int:
    """Compile what training and prediction usually need, and what these models need."""
    from minicnn import compilation
    from minicnn.models import load_model

    _train_and_predict()
    for path in models:
        network = load_model(path, compile=False)
        for count in (1, 32):
            shapes = [(count, *symbol.shape[1:]) for symbol in network.inputs]
            if all(size is not None for shape in shapes for size in shape):
                network.inference_program(count)
        print(f"{path}: its kernels are there.")
    print(f"Compiled {compilation.count} kernels in {compilation.seconds:.1f} seconds.")
    return 0


def _train_and_predict() -> None:
    """A step of training, and predictions, of a network that has all usual layers."""
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
    sys.exit(main(sys.argv[1:]))
