"""Without Keras, minicnn reads files that Keras wrote, predicts, trains on and fine-tunes.

`tests/files/write.py` wrote the files, and the numbers that Keras got from them.
"""

from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn.models import load_model

FILES = Path(__file__).parents[1] / "files"
COUNT, CLASSES = 24, 3


@pytest.fixture(scope="module")
def told() -> dict[str, np.ndarray]:
    with np.load(FILES / "told.npz", allow_pickle=False) as found:
        return dict(found)


def batch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch as `write.py` makes it."""
    labels = rng.integers(0, CLASSES, COUNT)
    x = rng.standard_normal((COUNT, 10, 8, 3)).astype(np.float32)
    x[np.arange(COUNT), :, :, labels] += 0.5
    return x, labels


def losses(model: minicnn.Model, seed: int, steps: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return [
        float(model.train_on_batch(*batch(rng), return_dict=True)["loss"]) for _ in range(steps)
    ]


def weights_into_a_model() -> minicnn.Model:
    model = load_model(FILES / "model.keras")
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    model.load_weights(FILES / "model.weights.h5")
    return model


@pytest.mark.parametrize(
    "load",
    [
        lambda: load_model(FILES / "model.keras"),
        lambda: load_model(FILES / "model.h5"),
        weights_into_a_model,
    ],
    ids=["model.keras", "model.h5", "model.weights.h5"],
)
def test_a_file_of_keras_predicts_what_keras_predicts(load, told):
    x, _ = batch(np.random.default_rng(2))
    np.testing.assert_allclose(load().predict(x, verbose=0), told["predictions"], atol=1e-5)


def test_training_goes_on_where_keras_stopped(told):
    model = load_model(FILES / "model.keras")
    assert not model.get_layer("base").trainable
    np.testing.assert_allclose(losses(model, seed=3, steps=20), told["losses"], rtol=1e-4)
    fresh = load_model(FILES / "model.keras", compile=False)
    fresh.compile(minicnn.optimizers.Adam(0.02), model.loss)  # an Adam without the file's moments
    assert not np.allclose(losses(fresh, seed=3, steps=20), told["losses"], rtol=1e-3)


def test_fine_tuning_learns_as_in_keras(told):
    model = load_model(FILES / "model.keras")
    model.get_layer("base").trainable = True
    model.compile(
        minicnn.optimizers.Adam(0.001),
        minicnn.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    found = losses(model, seed=4, steps=20)
    np.testing.assert_allclose(found, told["fine_tuning"], rtol=1e-3)
    assert not np.allclose(found, losses(load_model(FILES / "model.keras"), 4, 20), rtol=1e-2)
