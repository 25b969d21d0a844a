"""R² and correlations: by hand, and as Keras computes them."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minicnn import metrics

RNG = np.random.default_rng(0)
T = RNG.normal(size=(12, 3)).astype("float32")
Y = (T + 0.4 * RNG.normal(size=T.shape)).astype("float32")
WEIGHTS = np.linspace(0, 2, 12).astype("float32")


def test_r2_by_hand() -> None:
    """Errors 1, 0, 1 and distances -5/3, 4/3, 1/3 from the mean 8/3: 1 - 2 / (42/9)."""
    metric = metrics.R2Score()
    metric.update_state([[1.0], [4.0]], [[2.0], [4.0]])
    metric.update_state([[3.0]], [[4.0]])
    assert metric.result() == pytest.approx(1 - 2 / (42 / 9))
    metric.reset_state()
    assert metric.result() == 0
    assert metric([[1.0], [3.0]], [[1.0], [3.0]]) == 1
    assert metrics.R2Score()([[2.0], [2.0]], [[1.0], [3.0]]) == 0  # nothing to explain
    assert metrics.R2Score()([1.0, 3.0], [[2.0], [2.0]]) == 0  # the mean


def test_correlations_by_hand() -> None:
    t, y = [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0], [3.0, 2.0, 1.0]]
    np.testing.assert_allclose(metrics.pearson_correlation(t, y), [1, -1])
    assert metrics.PearsonCorrelation()(t, y) == pytest.approx(0, abs=1e-12)
    # cov 4/3, variances 2/3 and 8/3, means 2 apart.
    expected = [(8 / 3) / (2 / 3 + 8 / 3 + 4), -1]
    np.testing.assert_allclose(metrics.concordance_correlation(t, y), expected, rtol=1e-6)
    assert np.isnan(metrics.pearson_correlation([[1.0, 1.0]], [[1.0, 2.0]]))


CASES: list[tuple[str, dict[str, Any]]] = [
    ("R2Score", {}),
    ("R2Score", {"class_aggregation": None}),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    ("PearsonCorrelation", {}),
    ("PearsonCorrelation", {"axis": 0}),
    ("ConcordanceCorrelation", {}),
    ("ConcordanceCorrelation", {"axis": 0}),
]


@pytest.mark.keras
@pytest.mark.parametrize(("name", "options"), CASES)
def test_numbers_are_keras_s(name: str, options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    for weights in [None] if "axis" in options else [None, WEIGHTS]:
        ours, theirs = (getattr(k.metrics, name)(**options) for k in (_Ours, keras))
        for part in (slice(5), slice(5, None)):
            given = None if weights is None else weights[part]
            ours.update_state(T[part], Y[part], given)
            theirs.update_state(T[part], Y[part], sample_weight=given)
        np.testing.assert_allclose(ours.result(), theirs.result(), rtol=2e-4)
    config = theirs.get_config()
    assert ours.get_config() == config
    again = metrics.deserialize(keras.metrics.serialize(theirs))
    assert again.get_config() == config
    for function in ("pearson_correlation", "concordance_correlation"):
        found = [getattr(k.metrics, function)(T, Y) for k in (_Ours, keras)]
        np.testing.assert_allclose(found[0], np.asarray(found[1]), rtol=2e-4, atol=1e-6)


class _Ours:
    metrics = metrics


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: metrics.R2Score("mean"), "class_aggregation .* Received 'mean'"),
        (lambda: metrics.R2Score(num_regressors=-1), "an integer >= 0. Received -1"),
        (lambda: metrics.R2Score()(T[0], Y[0]), r"\(batch, columns\). Received \(3,\) and"),
        (lambda: metrics.R2Score()(T, Y, [1.0]), r"one sample weight per example, 12"),
        (lambda: metrics.PearsonCorrelation(axis=0.5), "axis to be an integer. Received 0.5"),
        (lambda: metrics.concordance_correlation(T, Y[:2]), "of one shape. Received"),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        act()


def test_too_few_numbers_to_adjust() -> None:
    metric = metrics.R2Score(num_regressors=3)
    with pytest.warns(UserWarning, match="needs more than 4 numbers to adjust"):
        found = metric(T[:3, :1], Y[:3, :1])
    assert found == metrics.R2Score()(T[:3, :1], Y[:3, :1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric(T, Y)
