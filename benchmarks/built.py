"""The networks that are measured, written once for both libraries: minicnn has Keras's names.

`library` is the module `keras` or `minicnn`.
"""

from typing import Any


def small_cnn(library: Any, size: int) -> Any:
    """Three 3×3 convolutions with pooling between them: what `minicnn train` is like."""
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
    """The course's homework on images: curly or straight."""
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
    """MobileNet with random weights, and scores at its end: probabilities would all look alike."""
    return library.applications.MobileNet(
        input_shape=(size, size, 3), weights=None, classifier_activation=None
    )


def xception(library: Any, size: int) -> Any:
    """Xception, likewise."""
    return library.applications.Xception(
        input_shape=(size, size, 3), weights=None, classifier_activation=None
    )


def frozen_base(library: Any, size: int) -> Any:
    """Transfer learning: MobileNet as it is, and a head that learns."""
    base = library.applications.MobileNet(
        input_shape=(size, size, 3), weights=None, include_top=False
    )
    base.trainable = False
    inputs = library.Input((size, size, 3))
    x = library.layers.GlobalAveragePooling2D()(base(inputs, training=False))
    return library.Model(inputs, library.layers.Dense(10)(x))


NETWORKS = {"small CNN": small_cnn, "MobileNet": mobilenet, "Xception": xception}
