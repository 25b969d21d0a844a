"""In training, terms explain what random changes of colours and details made of each number."""

from typing import Any

import numpy as np
import pytest
from explanations import agrees, with_a_loss

from minicnn.layers import LAYERS

USES: list[tuple[str, dict[str, Any]]] = [
    ("RandomShear", {"x_factor": 0.5}),
    ("RandomErasing", {"scale": (0.3, 0.9), "fill_value": 0.5}),
    ("RandomErasing", {"scale": (0.3, 0.9), "value_range": (-1, 1)}),
    ("RandomGaussianBlur", {"kernel_size": (3, 3), "value_range": (-1, 1)}),
    ("RandomSharpness", {"factor": 0.9, "value_range": (-1, 1)}),
    ("RandomGrayscale", {"factor": 0.5}),
    ("RandomColorDegeneration", {"factor": (-0.5, 0.9), "value_range": (-1, 1)}),
    ("RandomHue", {"factor": 0.9, "value_range": (-4, 4)}),
    ("RandomHue", {"factor": 0.9, "value_range": (-1, 1)}),
    ("RandomSaturation", {"factor": (0.2, 0.8), "value_range": (0, 1)}),
    ("RandomInvert", {"value_range": (-1, 2)}),
    ("RandomPosterization", {"factor": 4, "value_range": (-4, 4)}),
    ("Solarization", {"addition_factor": 0.2, "threshold_factor": 0.9, "value_range": (-1, 2)}),
    ("AutoContrast", {"value_range": (-2, 2)}),
    ("Equalization", {"bins": 9, "value_range": (-4, 4)}),
    ("RandomColorJitter", {"brightness_factor": 0.1, "value_range": (-2, 2)}),
    ("RandomColorJitter", {"hue_factor": 0.4, "contrast_factor": 0.5, "value_range": (-4, 4)}),
    ("RandomColorJitter", {}),
    *[("RandAugment", {"value_range": (-4, 4), "num_ops": count}) for count in (0, 1, 2, 3)],
]


@pytest.mark.parametrize(("kind", "options"), USES)
def test_terms_lead_to_the_changed_numbers(kind: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 6, 5, 3)).astype("f")
    for _ in range(3):
        layer = LAYERS[kind](**options)
        model = with_a_loss(layer, x)
        loss = "sparse_categorical_crossentropy"
        trace = model.trace(x, y=rng.integers(0, 3, 5), loss=loss, training=True)
        entry = trace[layer]
        for _ in range(8):
            example, at = int(rng.integers(5)), tuple(int(rng.integers(n)) for n in (6, 5, 3))
            found = trace.explain(layer, at, example)
            assert found.value == entry.y[(example, *at)]
            agrees(found)
            gradient = trace.explain_gradient(layer, "dx", at, example)
            assert gradient.value == entry.dx[(example, *at)]
            agrees(gradient)
            assert str(found)
            assert str(gradient)
