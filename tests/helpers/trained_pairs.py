"""The same model for minicnn and for Keras, with the same weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minicnn

keras = pytest.importorskip("keras")

STEPS = 200
CLASSES = 4
BATCH = 8


def build(module: Any, last: str | None = None, units: int = CLASSES) -> Any:
    """Convolution, normalization, ReLU, pooling, dense: the layers of a small photo classifier.

    The same lines build it with minicnn and with Keras.
    """
    layers = module.layers
    return module.Sequential(
        [
            module.Input((12, 12, 3)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(3, 2, padding="same"),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(units, activation=last),
        ]
    )


def pair_of_models(make: Callable[[Any], Any], seed: int = 0) -> tuple[Any, Any]:
    """Return (ours, theirs), both with the weights that Keras drew."""
    keras.utils.set_random_seed(seed)
    theirs, ours = make(keras), make(minicnn)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def compile_both(
    models: tuple[Any, Any], settings: Callable[[Any], dict[str, Any]], many_steps: bool = False
) -> None:
    """Compile both models; `settings(module)` makes the arguments from minicnn or from Keras."""
    ours, theirs = models
    ours.compile(**settings(minicnn))
    # A few steps of Keras in Python take less time than tracing their graph, and XLA's compilation
    # takes longer than all steps here.
    theirs.compile(**settings(keras), run_eagerly=not many_steps, jit_compile=False)


def photos(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return noise with a patch whose place and colour tell the class: learnable, not at once."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 12, 12, 3)).astype(np.float32)
    classes = rng.integers(0, CLASSES, count)
    for picture, k in zip(x, classes, strict=True):
        picture[3 * k : 3 * k + 3, 2:8, k % 3] += 2
    return x, classes


def one_hot(classes: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES, dtype=np.float32)[classes]


def assert_weights_close(ours: Any, theirs: Any, tolerance: float) -> None:
    found, expected = ours.get_weights(), theirs.get_weights()
    assert len(found) == len(expected) > 0
    for variable, a, b in zip(theirs.weights, found, expected, strict=True):
        scale = max(float(np.abs(b).max()), 1e-3)
        assert float(np.abs(a - b).max()) <= tolerance * scale, variable.path


def batch(step: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """Return the step's batch of each array; after the last batch comes the first."""
    start = step * BATCH % (len(arrays[0]) // BATCH * BATCH)
    return [array[start : start + BATCH] for array in arrays]


def logits_loss(module: Any) -> Any:
    return module.losses.CategoricalCrossentropy(from_logits=True)
