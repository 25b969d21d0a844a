"""Helpers that tests of layers share."""

from typing import Any

import numpy as np

Array = np.ndarray


def as_list(x: Any) -> list[Array]:
    return x if isinstance(x, list) else [x]


def picture(*rows: list[float]) -> Array:
    """Return one grey image of shape (1, rows, columns, 1)."""
    return np.array(rows, np.float32)[None, :, :, None]


def made(layer: Any, x: Any, *weights: Any) -> Any:
    """Return the layer, built for x, with these weights."""
    layer.forward(x)
    layer.set_weights(
        [np.array(w, np.float32).reshape(v.shape) for w, v in zip(weights, layer.weights)]
    )
    return layer


NOT_IN_KERAS_2 = {
    *("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D"),
    *("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D"),
    *("AutoContrast", "CutMix", "Equalization", "MixUp", "RandAugment", "RandomColorDegeneration"),
    *("RandomColorJitter", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomHue"),
    *("RandomInvert", "RandomPosterization", "RandomSaturation", "RandomSharpness", "RandomShear"),
    "Solarization",
}
"""Layers that Keras 3 has and Keras 2 has not."""
