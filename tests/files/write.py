"""Write files with Keras: a trained model, and the numbers that Keras gets from it.

    python tests/files/write.py

They are kept beside this script, so that tests without Keras can read Keras's own files.
"""

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np

HERE = Path(__file__).parent
COUNT, CLASSES = 24, 3


def batch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return photos whose brightest channel is their class."""
    labels = rng.integers(0, CLASSES, COUNT)
    x = rng.standard_normal((COUNT, 10, 8, 3)).astype(np.float32)
    x[np.arange(COUNT), :, :, labels] += 0.5
    return x, labels


def compiled(model: keras.Model, learning_rate: float) -> keras.Model:
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def losses(model: keras.Model, seed: int, steps: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return [
        float(model.train_on_batch(*batch(rng), return_dict=True)["loss"]) for _ in range(steps)
    ]


def main() -> None:
    keras.utils.set_random_seed(0)
    k = keras.layers
    inputs = keras.Input((None, None, 3))
    x = k.BatchNormalization()(k.Conv2D(4, 3, use_bias=False)(inputs))
    x = k.SeparableConv2D(6, 3, padding="same")(k.ReLU(max_value=6.0)(x))
    base = keras.Model(inputs, k.MaxPooling2D()(x), name="base")
    inputs = keras.Input((10, 8, 3))
    x = k.GlobalAveragePooling2D()(base(k.Rescaling(2.0)(inputs)))
    model = keras.Model(inputs, k.Dense(CLASSES)(k.Dropout(0.0)(x)), name="transfer")
    losses(compiled(model, 0.01), seed=0, steps=30)  # the base has learned something
    base.trainable = False
    losses(compiled(model, 0.02), seed=1, steps=10)  # the head is in the middle of its training

    model.save(HERE / "model.keras")
    model.save(HERE / "model.h5")
    model.save_weights(HERE / "model.weights.h5")
    x, _ = batch(np.random.default_rng(2))
    told = {"predictions": model.predict(x, verbose=0)}
    told["losses"] = losses(model, seed=3, steps=20)
    # Fine-tuning starts again from the file, with all layers trainable and a low learning rate.
    tuned = keras.saving.load_model(HERE / "model.keras")
    tuned.get_layer("base").trainable = True
    told["fine_tuning"] = losses(compiled(tuned, 0.001), seed=4, steps=20)
    np.savez(HERE / "told.npz", **told)


if __name__ == "__main__":
    main()
