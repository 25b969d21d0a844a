"""Change the training photos at random, so that no epoch sees the same ones as the one before."""

import keras

from reference import model as models


def augmented(whole: keras.Model, seed: int) -> keras.Model:
    """The model behind random flips, shifts by up to a tenth and zooms by up to a fifth.

    This is only for training: in prediction the layers change nothing, and the file omits them.
    """
    inputs = keras.Input(whole.input_shape[1:], name="plain_photo")
    edge = {"fill_mode": "nearest"}
    layers = [
        keras.layers.RandomFlip("horizontal", seed=seed, name="flip"),
        keras.layers.RandomTranslation(0.1, 0.1, seed=seed + 1, name="shift", **edge),
        keras.layers.RandomZoom((-0.2, 0.2), seed=seed + 2, name="zoom", **edge),
    ]
    if keras.backend.backend() == "jax":
        # Keras compiles no step of a model with these layers, since TensorFlow's XLA cannot shift
        # and zoom. JAX's can, and without it takes several times as long.
        for layer in layers:
            layer.supports_jit = True
    x = models.through(layers, inputs)
    return keras.Model(inputs, whole(x), name="augmented")
