"""A base that sees each photo at several sizes: one model, which all runtimes compute the same."""

import csv
import random
import re

import keras
import numpy as np
import pytest

import minicnn.commands
from minicnn import functional
from reference import backend, data, evaluate, export, features, predict, sizes, sweep
from reference import model as models
from reference import train as training
from reference.data import Reader


@pytest.fixture(scope="module")
def both(options, tmp_path_factory):
    """Return the folder of two small runs in one, fine-tuned, which see photos at two sizes."""
    output = tmp_path_factory.mktemp("both")
    told = [
        "--image-sizes", "32", "48", "--antialias", "--epochs", "1", "--learning-rate", "0.05",
        "--fine-tune", "block2", "--fine-tune-epochs", "1", "--ensemble", "2",
        "--output", str(output),
    ]  # fmt: skip
    assert training.run([*without_size(options), *told]) == 0
    return output


def without_size(options):
    at = options.index("--image-size")
    return [*options[:at], *options[at + 2 :]]


def test_the_matrix_by_hand():
    """4 pixels become 2: the triangle's weights are 3/4, 3/4 and 1/4, divided by their sum."""
    np.testing.assert_allclose(
        sizes.matrix(4, 2), np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7, rtol=1e-6
    )
    assert sizes.told([150, 224]) == "150 + 224"


@pytest.mark.parametrize(("large", "small"), [(9, 4), (12, 12), (31, 30)])
def test_the_layers_resize_with_antialiasing(large, small):
    x = np.random.default_rng(0).uniform(0, 255, (2, large, large, 3)).astype(np.float32)
    inputs = keras.Input((large, large, 3))
    model = keras.Model(inputs, models.through(sizes.shrinking(large, small), inputs) * 1)
    assert model.trainable_weights == []
    wanted = functional.resize(x, small, antialias=True)
    np.testing.assert_allclose(np.asarray(model(x)), wanted, rtol=1e-5, atol=1e-4)


def test_the_layers_draw_no_random_numbers():
    """A sweep's head, which has no such layers before it, begins with the same weights."""
    keras.utils.set_random_seed(1)
    wanted = random.random()
    keras.utils.set_random_seed(1)
    sizes.shrinking(9, 4)
    assert random.random() == wanted


def test_features_lie_side_by_side_and_have_a_file_for_each_size(tiny_base, clothes, tmp_path):
    machine, photos = backend.default(), data.find(clothes).validation.keep(range(5))
    base = models.load_base(str(tiny_base), 48, sizes=(48, 32))
    reader = Reader(48, "antialias")
    found = features.extract(photos, reader, base, machine, tmp_path, show=False)
    whole = features.outputs(base.extractor(), photos, reader, "", show=False)
    np.testing.assert_allclose(found.x, whole, rtol=1e-5, atol=1e-6)
    assert found.computed
    assert sorted(path.name.rpartition("-")[0] for path in tmp_path.iterdir()) == [
        "tiny.keras-32", "tiny.keras-48",
    ]  # fmt: skip
    again = features.extract(photos, reader, base, machine, tmp_path, show=False)
    assert not again.computed
    np.testing.assert_array_equal(again.x, found.x)
    alone = models.load_base(str(tiny_base), 48)
    one = features.extract(photos, reader, alone, machine, tmp_path, show=False)
    assert not one.computed, "the largest size is the same as if it were alone"
    np.testing.assert_array_equal(one.x, found.x[:, : one.x.shape[1]])


@pytest.mark.parametrize(
    ("image_size", "given", "words"),
    [
        (48, (32, 32, 48), r"should differ.*\[32, 32, 48\]"),
        (48, (32, 64), r"the largest is 48.*\[32, 64\]"),
        (48, (8, 48), "16 to 2048"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tiny_base, image_size, given, words):
    with pytest.raises(ValueError, match=words):
        models.load_base(str(tiny_base), image_size, sizes=given)


def test_a_base_of_one_size_cannot_see_several(tmp_path):
    inputs = keras.Input((48, 48, 3))
    keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)).save(tmp_path / "fixed.keras")
    with pytest.raises(ValueError, match=r"takes photos of shape \(48, 48, 3\).*size 32"):
        models.load_base(str(tmp_path / "fixed.keras"), 48, sizes=(32, 48))


def test_one_size_and_several_exclude_each_other(options, capsys):
    with pytest.raises(SystemExit):
        training.run([*options, "--image-sizes", "32", "48"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.slow
def test_the_file_takes_one_photo_and_all_runtimes_answer_the_same(both, clothes, tmp_path, capsys):
    path = both / "model.keras"
    saved, photos = models.load(path), data.find(clothes).validation
    assert (saved.about.image_size, saved.about.image_sizes) == (48, [32, 48])
    judged = evaluate.evaluate(saved, photos)
    assert judged.accuracy == pytest.approx(saved.about.training["val_accuracy"], abs=1e-6)
    assert predict.run([str(path), photos.paths[0], "--top", "10"]) == 0
    theirs = capsys.readouterr().out
    assert minicnn.commands.main(["predict", str(path), photos.paths[0], "--top", "10"]) == 0
    assert capsys.readouterr().out == theirs
    kinds = ["keras", "tflite"] + ["onnx"] * backend.installed("tf2onnx")
    for kind in kinds:
        assert export.export(saved, path, tmp_path / f"model.{kind}", kind) < 1e-5


@pytest.mark.slow
def test_a_network_of_keras_that_sees_two_sizes_is_rebuilt_from_code(tmp_path, monkeypatch):
    def network(include_top, weights, input_shape):
        assert input_shape == (None, None, 3)
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=3, name="c")(inputs))

    known = {"tiny": (network, keras.applications.mobilenet)}
    monkeypatch.setattr(models, "applications", lambda: known)
    base = models.load_base("tiny", 48, "none", sizes=(32, 48))
    model = models.make_model(base, 3)
    about = models.About(list("abc"), 48, "bilinear", base.name, image_sizes=[32, 48])
    models.save(model, tmp_path / "model.keras", about)
    monkeypatch.setattr(keras.saving, "load_model", None)  # would fail if it were called
    saved = models.load(tmp_path / "model.keras")
    x = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype(np.float32)
    np.testing.assert_allclose(
        saved.model.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6
    )


@pytest.mark.slow
def test_a_sweep_compares_sizes_and_goes_on_with_the_best(options, tmp_path, capsys, eagerly):
    told = [
        "--image-size", "32", "48", "--image-sizes", "32", "48", "--learning-rates", "0.05",
        "--inner-sizes", "0", "--drop-rates", "0", "--epochs", "1", "--drop-epochs", "1",
        "--output", str(tmp_path),
    ]  # fmt: skip
    assert sweep.run([*without_size(options), *told]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"image size .*\n32 .*\n48 .*\n32 \+ 48 ", printed)
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    compared = {row["value"]: row for row in rows if row["sweep"] == "image size"}
    assert list(compared) == ["32", "48", "32 + 48"]
    best = max(compared, key=lambda value: float(compared[value]["val_accuracy"]))
    saved = models.load(tmp_path / "model.keras")
    assert sizes.told(saved.about.image_sizes or [saved.about.image_size]) == best
    judged = evaluate.evaluate(saved, data.find(options[1]).validation)
    accuracy = max(float(row["val_accuracy"]) for row in rows)
    assert judged.accuracy == pytest.approx(accuracy, abs=1e-6)
