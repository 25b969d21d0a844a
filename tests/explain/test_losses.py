"""Terms explain one loss at a time, and its gradient."""

import math
from typing import Any

import numpy as np
import pytest
from explanations import agrees

import minicnn
from minicnn import layers, losses


def traced(y_pred: Any, y: Any, loss: Any, activation: str = "linear") -> Any:
    y_pred = np.array(y_pred, np.float32)
    model = minicnn.Sequential(
        [minicnn.Input(y_pred.shape[1:]), layers.Activation(activation, name="out")]
    )
    return model.trace(y_pred, y=y, loss=loss)


def test_cross_entropy_from_logits() -> None:
    """Scores 0 and log 3 give probabilities 1/4 and 3/4."""
    trace = traced([[0, math.log(3)]] * 2, [0, 1], losses.SparseCategoricalCrossentropy(True))
    e = trace.explain_loss(0)
    assert e.total == pytest.approx(math.log(4), rel=1e-6)
    assert e.terms.weight.tolist() == [-1, 0]
    assert "this one is multiplied by 0.5 (the mean over 2 examples)" in e.notes[0]
    agrees(e)
    e = trace.explain_loss_gradient(at=0, example=0)
    assert sorted(e.terms.factor.tolist()) == pytest.approx([-1, 0.25])
    assert e.total == pytest.approx((0.25 - 1) / 2)
    agrees(e)


def test_probabilities_of_a_softmax_are_explained_by_its_scores() -> None:
    trace = traced([[0, math.log(3)]], [[0, 1]], "categorical_crossentropy", "softmax")
    assert trace["out"].at_logits
    e = trace.explain_loss()
    assert e.total == pytest.approx(math.log(4 / 3), rel=1e-6)
    assert [step.name for step in e.steps] == ["m", "S", "log S"]
    e = trace.explain_gradient("out", "dz", at=0)
    assert e.total == pytest.approx(0.25)
    assert "differentiated together" in e.notes[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("kind", ["CategoricalCrossentropy", "SparseCategoricalCrossentropy",
                                  "BinaryCrossentropy"])  # fmt: skip
def test_every_loss(kind: str, logits: bool, smoothing: float) -> None:
    if "Sparse" in kind and smoothing:
        pytest.skip("has no label smoothing, as in Keras")
    rng = np.random.default_rng(0)
    y_pred = rng.uniform(0.05, 0.95, (4, 3)).astype(np.float32)
    y_pred[1] = [1e-9, 0.3, 1.0]  # these probabilities are cut off
    numbers = rng.integers(0, 3, 4)
    y = numbers if "Sparse" in kind else np.eye(3)[numbers]
    options = {} if "Sparse" in kind else {"label_smoothing": smoothing}
    trace = traced(y_pred, y, getattr(losses, kind)(from_logits=logits, **options))
    total = 0.0
    for example in range(4):
        e = trace.explain_loss(example)
        agrees(e)
        total += e.total / 4
        for k in range(3):
            g = trace.explain_loss_gradient((k,), example)
            agrees(g)
            assert g.value == trace["out"].dy[example, k]
    assert trace.loss == pytest.approx(total, rel=1e-5)


def test_a_very_large_loss() -> None:
    trace = traced([[1000.0, -1000.0]], [1], losses.SparseCategoricalCrossentropy(True))
    assert trace.explain_loss().total == 2000.0


def test_the_gradient_of_an_unlikely_class_is_as_exact_as_its_score() -> None:
    """exp(-80.1) is off by 80 times the rounding error of -80.1 in float32."""
    scores = np.float32([[3.3, -77.7, 0.1]])
    trace = traced(scores, [0], losses.SparseCategoricalCrossentropy(from_logits=True))
    for k in range(3):
        assert "more than rounding" not in str(trace.explain_loss_gradient(k))


def test_an_example_with_one_loss_has_no_places() -> None:
    trace = traced([[0, 1]], [0], losses.SparseCategoricalCrossentropy(True))
    with pytest.raises(
        ValueError, match=r"has one of its losses an example: at=\(\). Received at=1"
    ):
        trace.explain_loss(0, at=1)


def test_a_loss_for_each_place_of_a_map() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    y = np.random.default_rng(1).integers(0, 5, (2, 3, 4))
    trace = traced(x, y, losses.SparseCategoricalCrossentropy(True))
    agrees(trace.explain_loss(1, at=(2, 3)))
    agrees(trace.explain_loss_gradient((2, 3, 4), 1))
    with pytest.raises(ValueError, match="expects at="):
        trace.explain_loss(1)
