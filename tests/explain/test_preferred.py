"""Images that a map or a class likes best: how they are made of waves, and that they are liked."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import explain, layers
from minicnn.explain.preferred import COLOURS, Waves

Array = np.ndarray


def stripes() -> minicnn.Model:
    """Return a network whose maps answer to vertical and to horizontal edges, and to red."""
    model = minicnn.Sequential(
        [
            minicnn.Input((12, 12, 3)),
            layers.Conv2D(3, 3, activation="relu", name="edges"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(3, use_bias=False, name="scores"),
        ]
    )
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[:, 0, :, 0], kernel[:, 2, :, 0] = -1, 1
    kernel[0, :, :, 1], kernel[2, :, :, 1] = -1, 1
    kernel[1, 1, :, 2] = [1, -0.5, -0.5]
    model.set_weights([kernel, np.zeros(3), np.eye(3)])
    return model


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(1, 8), st.sampled_from([1, 2, 3]), st.integers(0, 9))
def test_the_gradient_of_waves_is_the_transpose(h: int, w: int, channels: int, seed: int) -> None:
    """<dy, image(s)> = <gradient(dy), s>, for any s and dy."""
    rng, waves = np.random.default_rng(seed), Waves((h, w, channels))
    s, dy = rng.normal(size=waves.shape), rng.normal(size=(h, w, channels))
    left = (dy * waves.image(s)).sum()
    assert (waves.gradient(dy) * s).sum() == pytest.approx(left, rel=1e-9, abs=1e-9)


def test_one_wave_by_hand() -> None:
    waves = Waves((4, 4, 1))
    strengths = np.zeros(waves.shape)
    strengths[0, 0, 1] = 1  # the longest wave along a row: scale 4, and two of 16 numbers
    expected = 4 / 4 * 2 * np.cos(2 * np.pi * np.arange(4) / 4)
    np.testing.assert_allclose(
        waves.image(strengths)[:, :, 0], np.tile(expected, (4, 1)), atol=1e-9
    )
    strengths[0, 0, 1], strengths[0, 0, 2] = 0, 1  # the shortest: half as strong
    expected = 2 / 4 * np.array([1, -1, 1, -1])
    np.testing.assert_allclose(waves.image(strengths)[1, :, 0], expected, atol=1e-9)


def test_brightness_changes_all_colours_alike() -> None:
    waves = Waves((4, 4, 3))
    strengths = np.zeros(waves.shape)
    strengths[0, 0, 0, 0] = 1
    colour = waves.image(strengths)[0, 0]
    np.testing.assert_allclose(colour / colour[0], COLOURS[:, 0] / COLOURS[0, 0])
    assert np.ptp(colour) < 0.05 * colour.max()


@pytest.mark.slow
def test_a_map_s_image_shows_what_the_map_answers_to() -> None:
    model = stripes()
    across, down, red = (
        explain.preferred_image(model, "edges", k, value_range=(0, 1), steps=40).image
        for k in range(3)
    )
    steps = lambda x, axis: np.abs(np.diff(x.sum(axis=2), axis=axis)).mean()  # noqa: E731
    assert steps(across, 1) > 1.3 * steps(across, 0)
    assert steps(down, 0) > 1.3 * steps(down, 1)
    redness = red[..., 0] - red[..., 1:].mean(axis=2)
    assert redness.max() > 0.5
    assert redness.mean() > 0.02


def test_its_numbers_are_the_network_s() -> None:
    model = stripes()
    found = explain.preferred_image(model, "edges", 2, value_range=(-1, 1), steps=10)
    assert found.image.shape == (12, 12, 3)
    assert found.image.dtype == np.float32
    assert -1 <= found.image.min() < found.image.max() <= 1
    assert (len(found.values), found.name) == (11, "edges, channel 2")
    z = model.trace(found.image[None])["edges"].cache["z"][..., 2]  # before the ReLU
    assert found.values[-1] == pytest.approx(float(z.max()), rel=1e-5)
    assert found.values[-1] > found.values[0] + 0.05
    assert found.pixels == pytest.approx((found.image + 1) / 2)
    assert str(found).startswith("edges, channel 2: ")
    assert str(found).endswith("after 10 steps")
    liked = explain.preferred_image(model, class_index=2, value_range=(0, 1), steps=10)
    assert liked.name == "class 2"
    score = model.predict(liked.image[None], verbose=0)[0, 2]
    assert liked.values[-1] == pytest.approx(float(score), rel=1e-5)
    assert liked.values[-1] > liked.values[0] + 0.01
    model.metadata = {"class_names": ["across", "down", "red"]}
    named = explain.preferred_image(model, class_index="red", value_range=(0, 1), steps=10)
    assert named.name == "red"
    assert np.array_equal(named.image, liked.image)


def test_the_seed_decides() -> None:
    model = stripes()
    one, same, other = (
        explain.preferred_image(model, model.get_layer("edges"), 0, steps=3, seed=seed).image
        for seed in (0, np.random.default_rng(0), 1)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    still = explain.preferred_image(model, "edges", 0, steps=3, jitter=0).image
    moved = explain.preferred_image(model, "edges", 0, steps=3, jitter=3).image
    assert not np.array_equal(still, moved)


def test_a_network_of_any_size_and_of_grey_images() -> None:
    inputs = minicnn.Input((None, None, 1))
    outputs = layers.Conv2D(2, 3, activation="tanh", name="conv")(inputs)
    model = minicnn.Model(inputs, outputs)
    found = explain.preferred_image(model, "conv", 1, size=(7, 9), steps=20)
    assert found.image.shape == (7, 9, 1)
    assert found.values[-1] > found.values[0]
    with pytest.raises(ValueError, match=r"any size: pass size=\(height, width\)"):
        explain.preferred_image(model, "conv")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"layer": "edgy"}, "no layer 'edgy' of its own. It has .*edges, mean, scores"),
    ({"layer": layers.Dense(2, name="edges")}, "no layer 'edges' of its own"),
    ({"layer": "edges", "channel": 3}, "channels 0…2. Received 3"),
    ({"layer": "edges", "channel": 1.0}, "channels 0…2. Received 1.0"),
    ({"layer": "edges", "class_index": 1}, "a layer's channel or for a class, not for both"),
    ({"class_index": 3}, "classes 0…2. Received at=3"),
    ({"class_index": "red"}, "no class 'red'"),
    ({"value_range": (1, 0)}, r"value_range=\(smallest, largest\). Received value_range=\(1, 0\)"),
    ({"value_range": 255}, "Received value_range=255"),
    ({"value_range": (0, np.inf)}, "Received value_range"),
    ({"steps": 0}, "steps to be a whole number of at least 1. Received steps=0"),
    ({"jitter": 0.5}, "jitter to be a whole number of at least 0. Received jitter=0.5"),
    ({"seed": "one"}, "expects seed to be an integer"),
    ({"size": (8, 12)}, r"12×12 pixels. Received size=\(8, 12\)"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[str(o) for o, _ in REFUSED])
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain.preferred_image(stripes(), **options)


def test_other_models_are_refused() -> None:
    with pytest.raises(TypeError, match=r"expects a Model\. Received Conv2D"):
        explain.preferred_image(layers.Conv2D(2, 3))  # type: ignore[arg-type]
    vector = minicnn.Sequential([minicnn.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"a model of one image, .* takes \[\(None, 4\)\]"):
        explain.preferred_image(vector)
    unbuilt = minicnn.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="takes not built"):
        explain.preferred_image(unbuilt)
