"""Several runs, mirror images and a temperature in one model; how probabilities are judged."""

import json
from dataclasses import replace

import numpy as np
import pytest

from minicnn.models import load_model
from reference import backend, calibration, data, evaluate, export
from reference import model as models
from reference import train as training
from reference.data import Reader
from reference.fitting import Settings

TOGETHER = Settings(
    learning_rate=0.05, epochs=1, size_inner=5, seed=3, fine_tune="block2", fine_tune_epochs=1,
    fine_tune_rate=0.01, ensemble=2, flips=True, calibrate=True,
)  # fmt: skip


def train(clothes, tiny_base, output, settings, **options):
    base = models.load_base(str(tiny_base), 48)
    machine, reader = backend.default(), Reader(48)
    return training.train(data.find(clothes), base, settings, output, machine, reader, **options)


@pytest.fixture(scope="module")
def together(clothes, tiny_base, tmp_path_factory):
    """Return the result of two runs in one model, which other tests only read."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield train(clothes, tiny_base, tmp_path_factory.mktemp("together"), TOGETHER)
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
def test_one_model_averages_the_runs_over_photo_and_mirror_image(clothes, together):
    about = models.read_about(together.path)
    assert (about.members, about.flips, about.training["ensemble"]) == (2, True, 2)
    photos = data.find(clothes).validation
    x = about.reader.read(photos.paths)
    files = [together.path.parent / f"seed-{seed}" / "model.keras" for seed in (3, 4)]
    logits = [
        np.asarray(models.load(file).model(views, training=False))
        for file in files
        for views in (x, x[:, :, ::-1])
    ]
    assert not np.allclose(logits[0], logits[2])
    mean = np.mean(logits, axis=0)
    found = np.asarray(models.load(together.path).model(x, training=False))
    np.testing.assert_allclose(found * about.temperature, mean, rtol=1e-4, atol=1e-5)
    assert together.best == np.mean(mean.argmax(axis=1) == photos.labels)
    assert about.temperature == pytest.approx(calibration.temperature(mean, photos.labels), 1e-3)
    # minicnn computes the same, and the block below those that learned is there once.
    ours = load_model(together.path, compile=False)
    np.testing.assert_allclose(ours.predict(x, verbose=0), found, rtol=1e-4, atol=1e-5)
    below = 3 * 3 * 3 * 8 + 8 + 4 * 8
    one = ours.count_params() - below
    assert models.load(files[0]).model.count_params() == below + one // 2


@pytest.mark.slow
def test_one_model_of_several_runs_is_evaluated_and_exported(clothes, together, tmp_path, capsys):
    told = [str(together.path), "--output", str(tmp_path)]
    assert export.run([*told, "--format", "keras,tflite"]) == 0
    assert "computed by minicnn" in capsys.readouterr().out
    assert evaluate.run([*told, "--data", str(clothes)]) == 0
    assert "expected calibration error" in capsys.readouterr().out
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert 0 <= found["expected_calibration_error"] <= 1
    assert (tmp_path / "calibration.png").is_file()


@pytest.mark.slow
def test_finished_runs_stay_when_others_join_them(clothes, tiny_base, together):
    folder = together.path.parent
    before = (folder / "seed-4" / "model.keras").read_bytes()
    (folder / "state.npz").write_bytes(b"of one run, which must not go on with this model")
    more = train(clothes, tiny_base, folder, replace(TOGETHER, ensemble=3), resume=True)
    assert models.read_about(more.path).members == 3
    assert more.alone[:2] == together.alone
    assert (folder / "seed-4" / "model.keras").read_bytes() == before
    assert not (folder / "state.npz").exists()


def test_calibration_by_hand():
    p = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.35, 0.65]])
    labels = np.array([0, 1, 1, 1])
    found = {(b.low, b.photos): (b.accuracy, b.confidence) for b in calibration.bins(p, labels, 2)}
    assert found[0.5, 4] == (0.75, pytest.approx(0.775))
    assert np.isnan(found[0.0, 0][0])
    # Above 0.9: half of two photos are right, at 0.925; below 0.7: both are, at 0.625.
    assert calibration.error(p, labels, 5) == pytest.approx(0.5 * 0.425 + 0.5 * 0.375)
    calibration.picture(p, labels, "two")


def test_the_temperature_makes_probabilities_as_sure_as_they_are_right():
    """Logits are ±1·s, three of four right: the best T makes the probability 3/4: s/T = ln(3)/2."""
    logits = 5 * np.array([[1.0, -1.0]] * 4)
    labels = np.array([0, 0, 0, 1])
    assert calibration.temperature(logits, labels) == pytest.approx(10 / np.log(3), rel=1e-3)


def test_no_temperature_is_made_of_photos_that_are_all_right(capsys):
    """The colder, the lower their loss: the limit of the search says nothing of other photos."""
    logits = np.array([[9.0, -9.0], [5.0, -5.0]])
    assert calibration.temperature(logits, np.array([0, 0])) == 1
    assert "as where all of them are right" in capsys.readouterr().out
    assert calibration.temperature(logits, np.array([1, 1])) == 1, "nor of those all wrong"
