"""What a page is told so that the model learns in it, without a browser."""

import base64
import re
import zlib

import numpy as np
import pytest

from minicnn import Input, Sequential, layers, optimizers
from minicnn.explain.page import build, learning
from minicnn.explain.page.passes import uses_of
from minicnn.explain.page.wording import said


def model_of(*more, units=3, size=4, **dense):
    last = layers.Dense(units, name="scores", **dense)
    return Sequential([Input((size, size, 1)), *more, layers.Flatten(), last])


X, Y = np.arange(48, dtype=np.float32).reshape(3, 4, 4, 1), np.array([2, 0, 1])


def facts(model, kind="logits", x=X, y=Y):
    _, tape = model.forward(x[:1])
    uses, _ = uses_of(model, tape, x[:1])
    return learning.facts_of(model, uses, kind, x, y)


def test_images_become_bytes_that_point_into_a_palette() -> None:
    found = facts(model_of(layers.Conv2D(2, 3, name="conv")))
    assert found["obstacle"] is None
    assert (found["shape"], found["y"]) == ([4, 4, 1], [2, 0, 1])
    places = np.frombuffer(zlib.decompress(base64.b64decode(found["pixels"])), "u1")
    assert np.array_equal(np.float32(found["palette"])[places], X.ravel())
    many = np.random.default_rng(0).normal(size=(40, 4, 4, 1)).astype(np.float32)
    found = facts(model_of(), x=many, y=np.zeros(40, int))
    assert found["palette"] is None
    raw = zlib.decompress(base64.b64decode(found["pixels"]))
    assert np.array_equal(np.frombuffer(raw, "<f4"), many.ravel())


def test_what_learns_and_how_each_weight_begins() -> None:
    conv = layers.Conv2D(2, 3, name="conv", trainable=False)
    model = model_of(conv, layers.Dropout(0.5, seed=4), kernel_initializer="random_uniform")
    found = facts(model)
    assert [node["learns"] for node in found["nodes"]] == [[], [], [], [], ["kernel", "bias"]]
    assert [node["alters"] for node in found["nodes"]] == [False, False, True, False, False]
    assert [node["seed"] for node in found["nodes"]] == [None, None, 4, None, None]
    begins = found["initial"]
    limit = np.sqrt(6 / (9 * 1 + 9 * 2))
    assert begins["conv/kernel"]["limits"] == pytest.approx([-limit, limit])
    assert begins["scores/kernel"]["limits"] == [-0.05, 0.05]
    assert begins["scores/bias"]["value"] == 0.0
    assert not any(weight["kind"] for weight in begins.values())


@pytest.mark.parametrize(
    ("optimizer", "name", "rate"),
    [
        (None, "Adam", 0.001),
        (optimizers.SGD(0.25), "SGD", 0.25),
        (optimizers.RMSprop(0.5), "RMSprop", 0.5),
        (optimizers.SGD(0.25, clipnorm=1.0), "Adam", 0.001),  # which the page does not have
        (optimizers.Lion(0.25), "Adam", 0.001),
    ],
)
def test_the_page_begins_with_the_compiled_optimizer_if_it_has_it(optimizer, name, rate) -> None:
    model = model_of()
    if optimizer is not None:
        model.compile(optimizer, "mse")
    assert facts(model)["optimizer"] == {"name": name, "rate": rate}


@pytest.mark.parametrize(
    ("model", "kind", "says"),
    [
        (model_of(), "", "trains classifiers, and this model does not end in one score per class"),
        (model_of(layers.Dropout(0.5, (3, 1, 1, 1))), "logits", "has a noise_shape for batches of"),
        (model_of(activity_regularizer="l2"), "logits", "has an activity_regularizer"),
        (
            model_of(kernel_regularizer="orthogonal_regularizer"),
            "logits",
            "has the regularizer OrthogonalRegularizer, which the page lacks",
        ),
        (model_of(kernel_constraint="non_neg"), "logits", "has the constraint NonNeg"),
        (
            model_of(layers.Conv2D(512, 3), layers.Conv2D(512, 3, padding="same"), size=8),
            "logits",
            "would take too long here: 85 million multiply-adds a photo",
        ),
        (model_of(layers.Conv2D(900, 4), layers.Conv2D(900, 1), layers.Conv2D(1500, 1)), "logits",
         "trains up to 2\u202f000\u202f000 weights. This model has 2\u202f18"),
        (model_of(trainable=False), "logits", "has no weights that learn"),
    ],
)  # fmt: skip
def test_why_a_page_cannot_train_a_model(model, kind, says) -> None:
    size = model.input_shape[1]
    x = np.ones((3, size, size, 1), np.float32)
    found = facts(model, kind, x)
    assert set(found) == {"obstacle"}
    sentence = said(found["obstacle"])
    assert len(sentence.split(". ")) <= 2
    assert re.search(says, sentence), sentence


def test_a_layer_that_the_page_does_not_change_in_training_cannot_learn(monkeypatch) -> None:
    monkeypatch.setattr(learning, "_IN_TRAINING", ())
    found = facts(model_of(layers.MixUp(name="c")))
    assert "In training c (MixUp) draws random numbers" in said(found["obstacle"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (X, r"learns from data=\(x, y\). Received ndarray"),
        ((X[0], Y), r"expect images .* Received x.shape=\(4, 4, 1\)"),
        ((X[:, :3], Y), r"Received x.shape=\(3, 3, 4, 1\)"),
        ((X[:0], Y[:0]), r"Received x.shape=\(0, 4, 4, 1\)"),
        ((X.astype(str), Y), "dtype <U"),
        ((X * np.nan, Y), "NaN or infinite pixels"),
        ((X, [0, 1, 3]), r"a class from 0 to 2 for each of 3 images. Received y.shape=\(3,\)"),
        ((X, [0, 1, -1]), "a class from 0 to 2"),
        ((X, [0, 1]), r"Received y.shape=\(2,\)"),
        ((X, [0, 1, 0.5]), "dtype float64"),
        ((X, ["a", "b", "c"]), "dtype <U1"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, says) -> None:
    with pytest.raises(ValueError, match=says):
        build(model_of(), X[:1], data=data)


def test_targets_may_be_rows_or_columns_and_as_many_images_are_kept_as_fit() -> None:
    model = model_of()
    for y in (Y, Y[:, None], np.eye(3)[Y], Y.astype(float)):
        assert learning.examples((X, y), model, 3)[1].tolist() == [2, 0, 1]
    big = Sequential([Input((200, 200, 3)), layers.Flatten(), layers.Dense(2)])
    x, y = learning.examples((np.zeros((40, 200, 200, 3), "u1"), np.zeros(40)), big, 2)
    assert (len(x), len(y), x.dtype) == (12, 12, np.float32)
