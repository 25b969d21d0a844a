"""Initializers have Keras's distributions, names and configs, and seeds repeat their numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minicnn import config, initializers, layers, utils
from minicnn._support import philox, seeding
from minicnn.initializers import compute_fans

SHAPE = (3, 3, 40, 60)  # fan_in 360, fan_out 540

# The largest possible value (None: no limit) and the standard deviation, for SHAPE.
EXPECTED = {
    "random_normal": (None, 0.05),
    "random_uniform": (0.05, 0.05 / 3**0.5),
    "truncated_normal": (0.1, 0.05 * 0.87963),
    "variance_scaling": (2 * (1 / 360) ** 0.5 / 0.87963, (1 / 360) ** 0.5),
    "glorot_uniform": ((6 / 900) ** 0.5, (2 / 900) ** 0.5),
    "glorot_normal": (2 * (2 / 900) ** 0.5 / 0.87963, (2 / 900) ** 0.5),
    "he_uniform": ((6 / 360) ** 0.5, (2 / 360) ** 0.5),
    "he_normal": (2 * (2 / 360) ** 0.5 / 0.87963, (2 / 360) ** 0.5),
    "lecun_uniform": ((3 / 360) ** 0.5, (1 / 360) ** 0.5),
    "lecun_normal": (2 * (1 / 360) ** 0.5 / 0.87963, (1 / 360) ** 0.5),
}
NAMES = ["zeros", "ones", "constant", *EXPECTED]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_distribution(name: str) -> None:
    """From 21600 draws, the standard deviation is known to about 1 %."""
    largest, spread = EXPECTED[name]
    utils.set_random_seed(0)
    w = initializers.get(name)(SHAPE)
    assert (w.shape, w.dtype) == (SHAPE, np.float32)
    assert abs(w.mean()) < 0.03 * spread
    assert w.std() == pytest.approx(spread, rel=0.02)
    if largest is not None:
        assert 0.97 * largest < np.abs(w).max() <= largest * 1.0001


@pytest.mark.keras
@pytest.mark.parametrize("name", [name for name in NAMES if name != "constant"])
def test_the_distribution_is_keras_s(name: str) -> None:
    keras = pytest.importorskip("keras")
    ours = initializers.get(name)(SHAPE)
    theirs = np.asarray(keras.initializers.get(name)(SHAPE))
    assert ours.dtype == theirs.dtype
    quantiles = np.linspace(0.05, 0.95, 19)
    scale = max(float(theirs.std()), 1e-6)
    a, b = np.quantile(ours, quantiles), np.quantile(theirs, quantiles)
    np.testing.assert_allclose(a / scale, b / scale, atol=0.06)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_config_makes_the_initializer_again(name: str, dtype: str) -> None:
    made = initializers.get(name)
    again = initializers.get(initializers.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    utils.set_random_seed(1)
    a = made((2, 3), dtype)
    utils.set_random_seed(1)
    np.testing.assert_array_equal(a, again((2, 3), dtype))
    assert a.dtype == dtype


@pytest.mark.keras
@pytest.mark.parametrize("name", NAMES)
def test_keras_reads_our_config(name: str) -> None:
    keras = pytest.importorskip("keras")
    found = keras.initializers.deserialize(initializers.serialize(initializers.get(name)))
    back = initializers.get(keras.initializers.serialize(found))
    assert back.get_config() == initializers.get(name).get_config()


def test_seeds() -> None:
    """As in Keras, an integer gives the same numbers at each call; a generator continues."""
    he = initializers.HeNormal(seed=3)
    np.testing.assert_array_equal(he((4, 5)), he((4, 5)))
    np.testing.assert_array_equal(he((4, 5)), initializers.HeNormal(seed=3)((4, 5)))
    assert not np.array_equal(he((4, 5)), initializers.HeNormal(seed=4)((4, 5)))
    going_on = initializers.HeNormal(seed=np.random.default_rng(3))
    first = going_on((4, 5))
    again = initializers.HeNormal(seed=np.random.default_rng(3))
    np.testing.assert_array_equal(first, again((4, 5)))
    assert not np.array_equal(first, going_on((4, 5)))
    assert going_on.get_config() == {"seed": None}
    utils.set_random_seed(8)
    a = initializers.HeNormal()((4, 5))
    b = initializers.HeNormal()((4, 5))
    utils.set_random_seed(8)
    np.testing.assert_array_equal(a, initializers.HeNormal()((4, 5)))
    assert not np.array_equal(a, b)


# Keras 3.15 on TensorFlow 2.21 has drawn these.
FROM_KERAS = {
    "glorot_uniform": [
        [0.82922614, -0.08767891, 0.21972716],
        [-0.23530674, -0.5407265, -0.12203431],
    ],
    "he_normal": [[0.14398205, -0.5604845, 0.71756744], [-0.896798, -1.0343677, -0.45378962]],
    "random_normal": [
        [0.0063325153, -0.024650829, 0.031559538],
        [-0.039442327, 0.028415445, -0.077849686],
    ],
}


@pytest.mark.parametrize("name", FROM_KERAS)
def test_a_seed_draws_the_numbers_that_keras_drew(name: str) -> None:
    w = initializers.get({"class_name": name, "config": {"seed": 1}})((2, 3))
    np.testing.assert_allclose(w, FROM_KERAS[name], rtol=3e-7)


SEEDED: list[tuple[str, dict[str, Any]]] = [
    *[(name, {}) for name in EXPECTED],
    ("random_uniform", {"minval": -0.3, "maxval": 0.7}),
    ("random_normal", {"mean": 0.3, "stddev": 2.0}),
    ("truncated_normal", {"mean": 0.3, "stddev": 2.0}),
    ("variance_scaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}),
    ("variance_scaling", {"mode": "fan_avg", "distribution": "untruncated_normal"}),
]


@pytest.mark.keras
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), SEEDED)
def test_a_seed_draws_keras_s_numbers(name: str, options: dict[str, Any], dtype: str) -> None:
    """Uniform numbers agree bit by bit; the logarithms and sines in normal ones, to the last."""
    keras = pytest.importorskip("keras")
    for seed, shape in (
        (0, (5,)),
        (1, (3, 4)),
        (7, (3, 3, 5, 2)),
        (2**31, (1,)),
        (2**40 + 3, (31, 33)),
        (5, (0, 3)),
    ):
        described = {"class_name": name, "config": {**options, "seed": seed}}
        ours = initializers.get(described)(shape, dtype)
        theirs = np.asarray(keras.initializers.get(described)(shape, dtype))
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        if "uniform" in (name.split("_")[-1], options.get("distribution")):
            np.testing.assert_array_equal(ours, theirs)
        else:
            few = 4 * float(np.finfo(dtype).eps)
            np.testing.assert_allclose(ours, theirs, rtol=few, atol=few)


@pytest.mark.keras
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 2, 4, 5), (1, 6)])
def test_a_seed_makes_keras_s_orthogonal_matrix(shape: tuple[int, ...]) -> None:
    keras = pytest.importorskip("keras")
    ours = initializers.Orthogonal(gain=1.5, seed=3)(shape)
    theirs = np.asarray(keras.initializers.Orthogonal(gain=1.5, seed=3)(shape))
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.keras
def test_a_layer_starts_with_keras_s_weights() -> None:
    keras = pytest.importorskip("keras")
    ours = layers.Conv2D(4, 3, kernel_initializer=initializers.HeUniform(seed=11))
    theirs = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.HeUniform(seed=11))
    ours.build((None, 8, 8, 3))
    theirs.build((None, 8, 8, 3))
    np.testing.assert_array_equal(ours.get_weights()[0], theirs.get_weights()[0])


def test_many_truncated_numbers_are_drawn_in_parts() -> None:
    """A part has no influence on the next one."""
    whole = initializers.TruncatedNormal(seed=2)((50, 50))
    parts = philox.truncated_normal(2, 0.0, 0.05, (50, 50), "float32", at_once=7)
    np.testing.assert_array_equal(whole, parts)
    assert np.abs(whole).max() < 0.1


def test_constants_by_hand() -> None:
    np.testing.assert_array_equal(initializers.get("zeros")((2,)), [0, 0])
    np.testing.assert_array_equal(initializers.get("ones")((2,)), [1, 1])
    np.testing.assert_array_equal(initializers.Constant(2.5)((2,)), [2.5, 2.5])


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((5, 6), (5, 6)),
        ((3, 2, 5, 6), (30, 36)),
        ((3, 3, 8, 1), (72, 9)),
    ],
)
def test_fans_by_hand(shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    assert compute_fans(shape) == fans


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.get("he"), "glorot_uniform.*'he'"),
        (lambda: initializers.get(None), "Received None"),
        (lambda: initializers.get({"class_name": "STFT", "config": {}}), "'STFT'"),
        (lambda: initializers.VarianceScaling(scale=0), "scale > 0. Received 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode .*'fan'"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), "distribution .*cauchy"),
    ],
)
def test_unknown_names_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# -- the global seed -------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, 2**32, 1.5, "1", None, True])
def test_a_bad_seed_is_refused_and_changes_nothing(bad: Any) -> None:
    utils.set_random_seed(1)
    expected = seeding.default_generator().random(3)
    utils.set_random_seed(1)
    with pytest.raises(ValueError, match="0 to 2"):
        utils.set_random_seed(bad)
    np.testing.assert_array_equal(seeding.default_generator().random(3), expected)


def test_one_seed_restarts_all_randomness() -> None:
    import random

    def draw() -> list[float]:
        return [random.random(), np.random.rand(), float(seeding.default_generator().random())]

    utils.set_random_seed(4)
    first = draw()
    assert draw() != first
    utils.set_random_seed(4)
    assert draw() == first
    utils.set_random_seed(5)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("name", ["float32", "float64", np.float32, np.dtype("float64"), None])
def test_dtypes_by_any_name(name: Any) -> None:
    assert config.standardize_dtype(name) == np.dtype(name or "float32").name


@pytest.mark.parametrize("name", ["float16", "int32", "double32", 3, object])
def test_other_dtypes_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match=r'dtype must be "float32" or "float64". Received'):
        config.standardize_dtype(name)


def test_orthogonal_and_identity() -> None:
    for shape in ((6, 4), (4, 6), (2, 2, 3, 5)):
        w = initializers.Orthogonal(gain=2.0, seed=1)(shape)
        assert (w.shape, w.dtype) == (shape, np.float32)
        flat = w.reshape(-1, shape[-1]).astype(np.float64)
        product = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)
        np.testing.assert_array_equal(w, initializers.Orthogonal(gain=2.0, seed=1)(shape))
    np.testing.assert_array_equal(initializers.Identity(3)((2, 3)), [[3, 0, 0], [0, 3, 0]])
    for name, kind in (("orthogonal", "Orthogonal"), ("identity", "Identity")):
        made = initializers.get(name)
        again = initializers.deserialize(initializers.serialize(made))
        assert type(again).__name__ == kind
        assert again.get_config() == made.get_config()
    with pytest.raises(ValueError, match=r"at least two axes. Received shape=\(3,\)"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ValueError, match=r"a weight of two axes. Received shape=\(3, 2, 1\)"):
        initializers.Identity()((3, 2, 1))
