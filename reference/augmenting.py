"""Changes the training photos at random, so that each epoch sees different ones.

Keras's layers before the network change each photo by itself: flips, shifts, zooms, RandAugment,
random erasing. Mixing two photos also mixes their targets, so it is applied to a batch before it
reaches the network:

    mixup     x = w · x₁ + (1 − w) · x₂             w from the distribution Beta(alpha, alpha)
    cutmix    a square of x₂ is pasted into x₁      its share of the area is about 1 − w
    y = w · y₁ + (1 − w) · y₂                       after cutmix, w is exactly what is left of x₁

The seed, the epoch and the number of the batch determine the mixtures, in the same way on every
backend.
"""

from dataclasses import dataclass

import keras
import numpy as np

from reference import model as models

Array = np.ndarray


def augmented(
    whole: keras.Model,
    seed: int,
    basic: bool = True,
    randaugment: float = 0.0,
    erasing: float = 0.0,
) -> keras.Model:
    """Return the model with layers before it that change photos at random.

    `basic` flips, shifts by up to a tenth and zooms by up to a fifth; `randaugment` is the strength
    of two random operations (Cubuk et al. 2019), `erasing` the probability of noise in a rectangle
    (Zhong et al. 2017). This is only for training: in prediction the layers change nothing, and the
    file omits them.
    """
    inputs = keras.Input(whole.input_shape[1:], name="plain_photo")
    edge = {"fill_mode": "nearest"}
    layers: list[keras.Layer] = []
    if basic:
        layers += [
            keras.layers.RandomFlip("horizontal", seed=seed, name="flip"),
            keras.layers.RandomTranslation(0.1, 0.1, seed=seed + 1, name="shift", **edge),
            keras.layers.RandomZoom((-0.2, 0.2), seed=seed + 2, name="zoom", **edge),
        ]
    if randaugment:
        layers.append(keras.layers.RandAugment(factor=randaugment, seed=seed + 3, name="any"))
    if erasing:
        # A pair, or Keras draws the probability itself, between 0 and this one.
        factor = (erasing, erasing)
        layers.append(keras.layers.RandomErasing(factor, seed=seed + 4, name="erasing"))
    if keras.backend.backend() == "jax":
        # Keras does not compile steps of a model with these layers, since TensorFlow's XLA cannot
        # shift and zoom. JAX's XLA can; without it, JAX takes several times as long.
        for layer in layers:
            for part in layer._flatten_layers():
                part.supports_jit = True
    x = models.through(layers, inputs)
    return keras.Model(inputs, whole(x), name="augmented")


@dataclass(frozen=True)
class Mixing:
    """Mixup and cutmix with these alphas; with both, each batch gets one of them, by chance."""

    mixup: float = 0.0  # Zhang et al. 2018, "mixup: beyond empirical risk minimization"
    cutmix: float = 0.0  # Yun et al. 2019, "CutMix"

    def __call__(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Mix photos x (batch, rows, columns, channels) and targets y (batch, classes)."""
        pasting = rng.random() < 0.5 if self.mixup and self.cutmix else bool(self.cutmix)
        alpha = self.cutmix if pasting else self.mixup
        order = rng.permutation(len(x))
        w = rng.beta(alpha, alpha, len(x)).astype(np.float32)
        if pasting:
            mixed, w = _pasted(x, order, w, rng)
        else:
            across = w[:, None, None, None]
            mixed = across * x + (1 - across) * x[order]
        return mixed, w[:, None] * y + (1 - w[:, None]) * y[order]


def _pasted(x: Array, order: Array, w: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    mixed, height, width = x.copy(), *x.shape[1:3]
    rows = np.round(np.sqrt(1 - w) * height).astype(int)
    columns = np.round(np.sqrt(1 - w) * width).astype(int)
    tops, lefts = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    for photo, (r, c, top, left) in enumerate(zip(rows, columns, tops, lefts, strict=True)):
        place = slice(top, top + r), slice(left, left + c)
        mixed[photo][place] = x[order[photo]][place]
    return mixed, (1 - rows * columns / (height * width)).astype(np.float32)
