"""Every layer and option agrees with Keras in float32: y, all gradients, moving statistics."""

import numpy as np
import pytest

from minicnn import check
from minicnn.layers import LAYERS

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

CASES = list(check.cases())


def test_the_table_has_every_layer() -> None:
    assert {case.layer for case in CASES} == set(LAYERS) - {"InputLayer"}


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_agrees_with_keras(case: check.Case) -> None:
    differences = check.compare(case)
    assert {d.array: d.largest for d in differences if not d.passed} == {}
    assert len(differences) >= 2  # y and dx at least


def test_a_difference_is_seen() -> None:
    """The comparison itself must be able to fail."""
    a = np.ones((2, 3), np.float32)
    assert check.relative_difference(a, a) == 0
    assert check.relative_difference(a * (1 + 1e-3), a) > check.TOLERANCE
    assert check.relative_difference(a[:1], a) == float("inf")
    assert not check.Difference("y", 2e-4).passed
