"""The networks to measure, written once for both libraries, since minicnn has Keras's names.

`library` is the module `keras` or `minicnn`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


def small_cnn(library: Any, size: int) -> Any:
    """Return three 3×3 convolutions with pooling between them, as `minicnn train` makes them."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((size, size, 3)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def homework(library: Any, size: int) -> Any:
    """Return the course's homework on images: curly or straight."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((size, size, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def mobilenet(library: Any, size: int) -> Any:
    """Return MobileNet with random weights, up to its scores: all probabilities would be alike.

    Its dropout of 0.001 is left out, so that all libraries learn the same.
    """
    return library.applications.MobileNet(
        input_shape=(size, size, 3), weights=None, classifier_activation=None, dropout=0.0
    )


def xception(library: Any, size: int) -> Any:
    """Return Xception with random weights, which ends in scores, too."""
    return library.applications.Xception(
        input_shape=(size, size, 3), weights=None, classifier_activation=None
    )


def frozen_base(library: Any, size: int) -> Any:
    """Return a model for transfer learning: a frozen MobileNet, and a head that learns."""
    base = library.applications.MobileNet(
        input_shape=(size, size, 3), weights=None, include_top=False
    )
    base.trainable = False
    inputs = library.Input((size, size, 3))
    x = library.layers.GlobalAveragePooling2D()(base(inputs, training=False))
    return library.Model(inputs, library.layers.Dense(10)(x))


def resnet50(library: Any, size: int) -> Any:
    """Return ResNet50 with random weights, which ends in scores, too."""
    return library.applications.ResNet50(
        input_shape=(size, size, 3), weights=None, classifier_activation=None
    )


def vgg16(library: Any, size: int) -> Any:
    """Return VGG16 with random weights, which ends in scores, too."""
    return library.applications.VGG16(
        input_shape=(size, size, 3), weights=None, classifier_activation=None
    )


def with_weights(model: Any) -> Any:
    """Return the model with weights that are the same in each library and process."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(w.shape) * 0.05 for w in model.get_weights()])
    return model


Build = Callable[[Any, int], Any]

NETWORKS: dict[str, Build] = {
    "small CNN": small_cnn,
    "MobileNet": mobilenet,
    "Xception": xception,
    "ResNet50": resnet50,
    "VGG16": vgg16,
}
