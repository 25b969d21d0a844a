"""Write a file with an old Keras, such as `keras-2.13.keras`, and the numbers Keras gets from it.

    python -m venv old && old/bin/pip install "tensorflow==2.13.*"
    old/bin/python tests/files/write_keras_2.py

TensorFlow 2.12, 2.13 and 2.14 (for Python 3.11 at most) came with versions of Keras that wrote
`.keras` files, and each version numbered layers in its own way. The tests themselves write the
files of newer versions of Keras 2, with the package tf_keras.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
keras = tf.keras
layers = keras.layers


def batch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((5, 6, 5, 2)).astype(np.float32), rng.integers(0, 2, 5)


def network() -> keras.Model:
    """Several layers of one class, with other layers and a nested model between them."""
    inputs = keras.Input((6, 5, 2))
    x = layers.Conv2D(2, 3, padding="same")(inputs)
    base = keras.Sequential(
        [keras.Input((6, 5, 2)), layers.ReLU(), layers.Conv2D(2, 1), layers.BatchNormalization()]
    )
    x = layers.Add()([base(x), x])
    x = layers.Conv2D(2, 3, padding="same", activation="relu")(layers.MaxPooling2D()(x))
    x = layers.DepthwiseConv2D(2)(layers.SeparableConv2D(2, 1)(x))
    x = layers.Dense(3, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def main() -> None:
    version = ".".join(tf.__version__.split(".")[:2])
    keras.utils.set_random_seed(0)
    model = network()
    model.compile(
        keras.optimizers.RMSprop(0.01),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    for seed in range(3):
        model.train_on_batch(*batch(seed))
    path = HERE / f"keras-{version}.keras"
    model.save(path, save_format="keras_v3" if version == "2.12" else "keras")
    told = {
        "predictions": model.predict(batch(3)[0], verbose=0),
        "evaluated": model.evaluate(*batch(4), verbose=0),
        "losses": [model.train_on_batch(*batch(seed))[0] for seed in range(5, 15)],
    }
    np.savez(HERE / f"keras-{version}.npz", **told)


if __name__ == "__main__":
    main()
