"""`reference.export` checks each file, or does not write it."""

import errno
import json
import re
import shutil

import keras
import numpy as np
import pytest

from reference import backend, export
from reference import model as models
from reference import train as training


@pytest.mark.slow
def test_export_checks_each_file(trained, tmp_path, capsys):
    told = [str(trained / "model.keras"), "--output", str(tmp_path)]
    assert export.run([*told, "--format", "keras,tflite"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"model\.keras .*computed by minicnn", printed)
    assert re.search(r"model\.tflite .*logits within \de-\d\d", printed)
    assert (tmp_path / "model.keras").read_bytes() == (trained / "model.keras").read_bytes()
    told_beside = json.loads((tmp_path / "model.tflite.json").read_text())
    assert told_beside["image_size"] == 48
    assert len(told_beside["class_names"]) == 10
    assert export.run([*told, "--format", "pickle"]) == 2
    assert "keras, tflite, onnx. Received pickle" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_that_does_not_agree_is_not_written(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "run_file", lambda path, x, kind: np.zeros((len(x), 10)))
    told = [str(trained / "model.keras"), "--output", str(tmp_path), "--format", "tflite"]
    assert export.run(told) == 2
    assert "logits differ by 1.0e+00" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("onnx", "tensorflow", "on tensorflow needs onnx and tf2onnx: "),
        ("onnx", "jax", "on jax needs onnx and jax2onnx"),
        ("onnx", "torch", "on torch needs onnx and onnxscript"),
        ("tflite", "jax", "KERAS_BACKEND=tensorflow"),
    ],
)
def test_a_format_whose_packages_are_missing_says_which(
    trained, tmp_path, monkeypatch, kind, name, words, capsys
):
    saved = models.load(trained / "model.keras")
    monkeypatch.setattr(models, "load", lambda path: saved)
    monkeypatch.setattr(backend, "installed", lambda package: False)
    monkeypatch.setattr("keras.backend.backend", lambda: name)
    output = tmp_path / "out"
    told = [str(trained / "model.keras"), "--output", str(output), "--format", kind]
    assert export.run(told) == 2
    said = capsys.readouterr().err
    assert words in said
    if kind == "onnx":
        _, *packages = re.search(r"needs (\w+) and (\w+)", said).group(0).split()
        assert said.endswith(f"pip install {packages[0]} {packages[2]}\n")
    assert not output.exists()


@pytest.mark.slow
def test_a_file_that_its_runtime_cannot_run_ends_in_a_sentence(
    trained, tmp_path, monkeypatch, capsys
):
    def broken(path, x, kind):
        raise RuntimeError("Required inputs are missing\nmore")

    monkeypatch.setattr(export, "run_file", broken)
    told = [str(trained / "model.keras"), "--output", str(tmp_path), "--format", "tflite"]
    assert export.run(told) == 2
    err = capsys.readouterr().err
    assert "no tflite file of this model that its runtime can use: Required inputs are" in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_onnx_agrees_with_the_model_in_batches_of_every_size(options, tmp_path, capsys):
    """The model trains in mixed precision; minicnn lacks the augmenting layers in its base."""
    for package in ("onnx", "tf2onnx"):
        pytest.importorskip(package)
    onnxruntime = pytest.importorskip("onnxruntime")
    inputs = keras.Input((48, 48, 3))
    x = keras.layers.RandomFlip("horizontal")(inputs)
    x = keras.layers.RandomZoom(0.2)(keras.layers.Rescaling(1 / 255)(x))
    keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=3)(x)).save(tmp_path / "base.keras")
    told = ["--base", str(tmp_path / "base.keras"), "--input-range", "pixels", "--epochs", "1"]
    path, output = tmp_path / "run" / "model.keras", tmp_path / "out"
    try:
        told += ["--precision", "mixed_bfloat16", "--output", str(path.parent)]
        assert training.run([*options, *told]) == 0
    finally:
        keras.config.set_dtype_policy("float32")
    assert export.run([str(path), "--output", str(output), "--format", "onnx"]) == 0
    assert re.search(r"model\.onnx .*logits within \de-\d\d", capsys.readouterr().out)
    model = models.load(path).model
    session = onnxruntime.InferenceSession(str(output / "model.onnx"))
    pixels = np.random.default_rng(0).uniform(0, 255, (7, 48, 48, 3)).astype(np.float32)
    for count in (1, 2, 7):
        (found,) = session.run(None, {session.get_inputs()[0].name: pixels[:count]})
        wanted = np.asarray(model(pixels[:count], training=False))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    beside = json.loads((output / "model.onnx.json").read_text())
    assert "(photos, 48, 48, 3)" in beside["input"]


@pytest.mark.slow
def test_a_file_that_minicnn_cannot_open_says_so(options, tmp_path, capsys, eagerly):
    inputs = keras.Input((48, 48, 3))
    x = keras.layers.Conv2D(4, 3, strides=3)(keras.layers.RMSNormalization()(inputs))
    keras.Model(inputs, x).save(tmp_path / "base.keras")
    path = tmp_path / "run" / "model.keras"
    told = ["--base", str(tmp_path / "base.keras"), "--epochs", "1", "--output", str(path.parent)]
    assert training.run([*options, *told]) == 0
    why = "minicnn cannot open it.*'RMSNormalization', which minicnn does not have"
    assert re.search(why, capsys.readouterr().out)
    assert export.run([str(path), "--output", str(tmp_path / "out")]) == 0
    assert re.search(why, capsys.readouterr().out)
    assert (tmp_path / "out" / "model.keras").read_bytes() == path.read_bytes()


def test_a_disk_that_is_full_while_minicnn_is_copied_is_named(
    trained, tmp_path, monkeypatch, capsys
):
    copy, left = shutil.copyfile, iter(range(12))

    def until_full(source, target, **more):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copy(source, target, **more)

    monkeypatch.setattr(shutil, "copyfile", until_full)
    target = tmp_path / "served"
    told = [str(trained / "model.keras"), "--format", "keras", "--serve", str(target)]
    assert export.run(told) == 2
    wanted = f"{str(target)!r} cannot be written: No space left on device.\n"
    assert capsys.readouterr().err.endswith(f": {wanted}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("serving", [False, True])
def test_a_full_disk_is_named_and_the_format_is_not_blamed(
    trained, tmp_path, monkeypatch, serving, capsys
):
    def full(*given, **named):
        error = OSError(errno.ENOSPC, "No space left on device")
        error.filename = "model.onnx"
        raise error

    model, target = trained / "model.keras", tmp_path / "new"
    if serving:
        monkeypatch.setattr(export, "export", lambda *given: None)
        monkeypatch.setattr(export.serve, "write_folder", full)
        assert export.run([str(model), "--format", "onnx", "--serve", str(target)]) == 2
    else:
        monkeypatch.setattr(keras.Model, "export", full)
        assert export.run([str(model), "--format", "tflite", "--output", str(target)]) == 2
    err = capsys.readouterr().err
    assert f"'{target}" in err
    assert "cannot be written: " in err
    assert "No space left on device.\n" in err
    assert err.count("\n") == 1
