"""Networks whose output is an image train as in Keras: a U-Net for masks, an autoencoder.

The masks are those of drawn clothes: where in the photo the garment is. The learning rates are
small, because larger steps multiply rounding errors until the losses tell nothing: with ten times
the rate, moving each first weight to its neighbour in float32 makes minicnn's own losses differ by
1 to 25 percent within 200 steps, and they differ from Keras's by as much.
"""

from typing import Any

import numpy as np
import pytest
from trained_pairs import BATCH, STEPS, batch, compile_both, pair_of_models

from minicnn.datasets import CLOTHING_CLASSES
from minicnn.datasets.drawing import GARMENTS, make_pose, photograph, rasterize

keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]


def clothes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return photos (40, size, size, 3) of drawn clothes, 0 to 1, and masks (40, size, size, 1)."""
    rng = np.random.default_rng(0)
    photos, masks = [], []
    for number in range(5 * BATCH):
        sketch = GARMENTS[CLOTHING_CLASSES[number % len(CLOTHING_CLASSES)]](rng)
        pose = make_pose(sketch, rng, size, size)
        shares, light = rasterize(sketch, pose, size, size)
        photos.append(np.asarray(photograph(rng, shares, light, pose)) / 255)
        masks.append(shares.sum(axis=0) > 0.5)
    return np.stack(photos).astype(np.float32), np.stack(masks)[..., None].astype(np.float32)


def u_net(module: Any, up: str) -> Any:
    """Go down twice and up twice; each way up also sees what the way down saw at its size."""
    layers = module.layers

    def block(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return layers.Activation("relu")(layers.BatchNormalization()(x))

    def larger(x: Any, filters: int) -> Any:
        if up == "Conv2DTranspose":
            return layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(x)
        return layers.UpSampling2D(interpolation="bilinear")(x)

    inputs = module.Input((16, 16, 3))
    fine = block(inputs, 8)
    middle = block(layers.MaxPooling2D()(fine), 12)
    coarse = block(layers.MaxPooling2D()(middle), 16)
    x = block(layers.Concatenate()([larger(coarse, 12), middle]), 12)
    x = block(layers.Concatenate()([larger(x, 8), fine]), 8)
    return module.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def autoencoder(module: Any) -> Any:
    """Squeeze 3072 numbers into 256, and make the photo of them again."""
    layers = module.layers
    return module.Sequential(
        [
            module.Input((32, 32, 3)),
            layers.Conv2D(12, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(4, 3, padding="same"),
            layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(12, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2D(3, 3, padding="same", activation="sigmoid"),
        ]
    )


def follow(models: tuple[Any, Any], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Train both on the same batches; return the losses, after asserting that they agree."""
    ours, theirs = models
    expected, found = [], []
    for step in range(STEPS):
        part = batch(step, x, y)
        expected.append(theirs.train_on_batch(*part))
        found.append(ours.train_on_batch(*part))
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x, verbose=0), rtol=0, atol=1e-2)
    return np.array(found)


@pytest.mark.parametrize(
    ("loss", "up"), [("Dice", "Conv2DTranspose"), ("BinaryCrossentropy", "UpSampling2D")]
)
def test_200_steps_of_a_u_net_follow_keras(loss: str, up: str) -> None:
    models = pair_of_models(lambda module: u_net(module, up))
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.005, momentum=0.9),
            "loss": getattr(module.losses, loss)(),
        },
        many_steps=True,
    )
    losses = follow(models, *clothes(16))
    assert losses[-5:].mean() < 0.4 * losses[:5].mean()


def test_200_steps_of_an_autoencoder_follow_keras() -> None:
    models = pair_of_models(autoencoder)
    compile_both(
        models,
        lambda module: {"optimizer": module.optimizers.SGD(0.2, momentum=0.9), "loss": "mse"},
        many_steps=True,
    )
    x, _ = clothes(32)
    losses = follow(models, x, x)
    assert losses[-5:].mean() < 0.4 * losses[:5].mean()
