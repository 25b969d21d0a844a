"""The course's code runs on minicnn as on Keras: names and shapes are equal, numbers close."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from course import SIZE, course

import minicnn
from minicnn import applications, datasets
from minicnn.preprocessing import image


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course") / "clothes"
    return datasets.write_clothing_sample(
        folder, {"train": 3, "validation": 1, "test": 1}, size=(90, 70)
    )


def base_weights(work: Path, photos: Path) -> Path:
    """Save the weights of an untrained base whose features can still tell photos apart.

    Its normalizations have these photos' statistics, so no layer flattens the features.
    """
    minicnn.utils.set_random_seed(0)
    minicnn.utils.clear_session()
    base = applications.Xception(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    normalizations = [layer for layer in base.layers if hasattr(layer, "momentum")]
    for layer in normalizations:
        layer.momentum = 0.0
    generator = image.ImageDataGenerator(
        preprocessing_function=applications.xception.preprocess_input
    )
    base.run(
        next(generator.flow_from_directory(photos / "train", (SIZE, SIZE), batch_size=30))[0],
        training=True,
    )
    for layer in normalizations:
        layer.momentum = 0.99
    work.mkdir()
    base.save_weights(work / "xception.weights.h5")
    return work


def assert_close(found: Any, wanted: Any, where: str, tolerance: float) -> None:
    """Assert equal keys, shapes and words; numbers may differ by `tolerance` times the largest."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted), where
        for key in wanted:
            assert_close(found[key], wanted[key], f"{where}, {key}", tolerance)
    elif isinstance(wanted, (list, tuple)) and not all(isinstance(v, float) for v in wanted):
        assert len(found) == len(wanted), where
        for a, b in zip(found, wanted, strict=True):
            assert_close(a, b, where, tolerance)
    elif isinstance(wanted, (float, list, np.ndarray, np.floating)):
        assert np.shape(found) == np.shape(wanted), where
        scale = max(float(np.abs(wanted).max()), 1e-3)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale, err_msg=where)
    else:
        assert found == wanted, where


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Return the folder of the weights that the course starts with, first those of the base."""
    return base_weights(tmp_path_factory.mktemp("weights") / "work", photos)


@pytest.fixture(scope="module")
def ours(work: Path, photos: Path) -> dict[str, Any]:
    """Return what the course shows on minicnn, in a process that cannot import TensorFlow."""
    code = (
        "import pickle, sys; sys.modules.update(tensorflow=None, keras=None)\n"
        "from pathlib import Path\n"
        "import minicnn\n"
        "from course import course\n"
        "photos, work, found = map(Path, sys.argv[1:])\n"
        "found.write_bytes(pickle.dumps(course(minicnn, photos, work)))\n"
    )
    found = work.with_name("found.pickle")
    run = subprocess.run(
        [sys.executable, "-c", code, str(photos), str(work), str(found)],
        cwd=Path(__file__).parents[1] / "helpers",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return pickle.loads(found.read_bytes())


@pytest.mark.slow
def test_the_course_without_tensorflow(ours: dict[str, Any]) -> None:
    """It loads, predicts and fine-tunes; features of photos differ, and the loss goes down."""
    assert sorted(ours["history"]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(ours["answer"]) == 10
    assert np.ptp(ours["features"], axis=0).max() > 0.1
    losses = ours["history"]["loss"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
@pytest.mark.keras
def test_the_course_gives_the_same_on_keras_and_minicnn(
    ours: dict[str, Any], photos: Path, work: Path
) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    tensorflow.config.run_functions_eagerly(True)  # tracing graphs takes longer than these steps
    try:
        theirs = course(tensorflow.keras, photos, work)
    finally:
        tensorflow.config.run_functions_eagerly(False)
    # Decoding, order and initial weights are the same, so only rounding differs.
    for part, wanted in theirs.items():
        found = ours[part]
        if part.endswith("random"):  # dropout draws different numbers
            assert list(found) == list(wanted)
        elif part == "checkpoints":
            assert [name[:12] for name in found] == [name[:12] for name in wanted]
        else:
            assert_close(found, wanted, part, 0.002)
