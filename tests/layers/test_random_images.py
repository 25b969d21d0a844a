"""Random changes of images are those computed by hand and in Keras, and come from a seed."""

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, models, utils
from minicnn.images.dataset import ImageDataset
from minicnn.layers import LAYERS

Array = np.ndarray

JITTER = {
    "brightness_factor": 0.3,
    "contrast_factor": (0.2, 0.5),
    "saturation_factor": (0.3, 0.8),
    "hue_factor": 0.5,
}
# Layers that need red, green and blue, or change nothing of gray images.
IN_COLOUR = (
    *("RandomColorDegeneration", "RandomHue", "RandomSaturation", "RandomColorJitter"),
    *("RandAugment", "RandomGrayscale"),
)
WHETHER = (
    *("RandomErasing", "RandomGaussianBlur", "RandomGrayscale", "RandomInvert", "RandAugment"),
    "RandomColorJitter",
)
NOT_RANDOM = ("AutoContrast", "Equalization")
# Options with which a random layer changes nothing, or always does the same.
STILL: list[tuple[str, dict[str, Any]]] = [
    ("RandomColorJitter", {}),
    ("RandomPosterization", {"factor": (3, 3), "value_range": (-4.0, 4.0)}),
]
# Each layer with values for all its options.
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("RandomFlip", {"mode": "horizontal"}),
    ("RandomFlip", {"mode": "vertical"}),
    ("RandomFlip", {}),
    *[
        (kind, {**factors, "fill_mode": fill, "interpolation": how, "fill_value": 2.5})
        for kind, factors in (
            ("RandomRotation", {"factor": (-0.4, 0.3)}),
            ("RandomTranslation", {"height_factor": 0.9, "width_factor": (-0.5, 1.0)}),
            ("RandomZoom", {"height_factor": (-0.9, 1.0), "width_factor": 0.5}),
        )
        for fill in ("reflect", "wrap", "constant", "nearest")
        for how in ("bilinear", "nearest")
    ],
    ("RandomZoom", {"height_factor": 0.9}),
    ("RandomContrast", {"factor": (0.9, 0.4), "value_range": (-2.0, 1.0)}),
    ("RandomContrast", {"factor": 0.9}),
    ("RandomBrightness", {"factor": (-0.5, 1.0), "value_range": (-2.0, 2.0)}),
    ("MixUp", {"alpha": 0.7}),
    ("CutMix", {"factor": (0.3, 1.0)}),
    ("RandomErasing", {"factor": (0.3, 0.9), "scale": (0.1, 0.5), "value_range": (-1.0, 1.0)}),
    ("RandomErasing", {"fill_value": 0.5, "scale": 0.5}),
    ("RandomGaussianBlur", {"factor": 0.9, "kernel_size": (3, 5), "value_range": (-1.0, 1.0)}),
    ("RandomGaussianBlur", {"kernel_size": 5, "sigma": (0.4, 0.9)}),
    ("RandomGrayscale", {"factor": 0.6}),
    ("RandomColorDegeneration", {"factor": (-0.2, 0.9), "value_range": (-1.0, 1.5)}),
    ("RandomHue", {"factor": 0.9, "value_range": (-2.0, 2.5)}),
    ("RandomSaturation", {"factor": (0.1, 0.8), "value_range": (0.0, 1.0)}),
    ("RandomSaturation", {"factor": 0.7}),
    ("RandomInvert", {"factor": (0.3, 0.9), "value_range": (-1.0, 1.0)}),
    ("RandomPosterization", {"factor": 5, "value_range": (-4.0, 4.0)}),
    ("RandomPosterization", {"factor": (3, 3), "value_range": (-4.0, 4.0)}),
    ("RandomSharpness", {"factor": (0.2, 1.0), "value_range": (-1.0, 1.5)}),
    ("RandomShear", {"x_factor": 0.6, "y_factor": (0.1, 0.3), "fill_mode": "wrap"}),
    ("RandomShear", {"x_factor": (0.1, 0.3), "interpolation": "nearest", "fill_value": 2.5}),
    ("Solarization", {"addition_factor": 0.4, "threshold_factor": 0.9, "value_range": (-2, 2)}),
    ("Solarization", {"addition_factor": (0.1, 0.4), "threshold_factor": (0.2, 0.3)}),
    ("AutoContrast", {"value_range": (-2.0, 2.0)}),
    ("Equalization", {"value_range": (-2.0, 2.0)}),
    ("Equalization", {"bins": 20, "value_range": (-2.0, 3.0)}),
    ("RandomColorJitter", {"value_range": (-2.0, 2.0), **JITTER}),
    ("RandomColorJitter", {}),
    ("RandAugment", {"value_range": (-4.0, 4.0), "num_ops": 3}),
    (
        "RandAugment",
        {"value_range": (-4.0, 4.0), "factor": (0.1, 0.3), "interpolation": "nearest"},
    ),
    ("RandomCrop", {"height": 5, "width": 4}),
    ("RandomCrop", {"height": 12, "width": 4}),
    ("RandomCrop", {"height": 9, "width": 11}),
]
every_kind = pytest.mark.parametrize(
    ("kind", "options"), KINDS, ids=[f"{k} {' '.join(map(str, o.values()))}" for k, o in KINDS]
)


def images(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape or (5, 9, 7, 3)).astype("f")


# -- by hand ---------------------------------------------------------------------------------------


def grid() -> Array:
    return np.array([[[[1.0], [2], [3]], [[4], [5], [6]]]], "f")


def after(layer: Any, drawn: Any, x: Array | None = None) -> Any:
    y, _ = layer.changed(grid() if x is None else x, drawn)
    return y[..., 0].tolist()


def test_a_flip_by_hand() -> None:
    yes = {"flips": np.array([[[[True]]]])}
    assert after(layers.RandomFlip("horizontal"), yes) == [[[3, 2, 1], [6, 5, 4]]]
    assert after(layers.RandomFlip("vertical"), yes) == [[[4, 5, 6], [1, 2, 3]]]
    assert after(layers.RandomFlip(), yes) == [[[6, 5, 4], [3, 2, 1]]]
    assert after(layers.RandomFlip(), {"flips": np.array([[[[False]]]])}) == [
        [[1, 2, 3], [4, 5, 6]]
    ]


@pytest.mark.parametrize(
    ("fill_mode", "expected"),
    [
        ("reflect", [[[1, 1, 2], [1, 1, 2]]]),
        ("nearest", [[[1, 1, 2], [1, 1, 2]]]),
        ("wrap", [[[6, 4, 5], [3, 1, 2]]]),
        ("constant", [[[9, 9, 9], [9, 1, 2]]]),
    ],
)
def test_a_shift_by_hand(fill_mode: str, expected: Any) -> None:
    layer = layers.RandomTranslation(0.5, 0.5, fill_mode, fill_value=9)
    assert after(layer, {"translations": np.array([[1.0, 1.0]], "f")}) == expected


def test_a_rotation_by_hand() -> None:
    """After a quarter turn, counter-clockwise, the right column is the top row."""
    layer, x = layers.RandomRotation(0.5), images(1, 3, 3, 1)
    angle = np.array([90.0], "f")
    drawn = {"angle": angle, "rotation_matrix": layer._matrix(angle, (3, 3))}
    np.testing.assert_allclose(layer.changed(x, drawn)[0], np.rot90(x, 1, (1, 2)), atol=1e-6)


def test_a_zoom_by_hand() -> None:
    """It shows twice as many columns, and the outer ones come from beyond the edge."""
    layer = layers.RandomZoom(0.5, 0.5, "constant")
    drawn = {"height_zoom": np.array([[1.0]], "f"), "width_zoom": np.array([[2.0]], "f")}
    assert after(layer, drawn) == [[[0, 2, 0], [0, 5, 0]]]


def test_colours_by_hand() -> None:
    contrast = layers.RandomContrast(0.5, (0, 7))
    twice = {"contrast_factor": np.array([[[[2.0]]]], "f")}
    assert after(contrast, twice) == [[[0, 0.5, 2.5], [4.5, 6.5, 7]]]
    brightness = layers.RandomBrightness(0.5, (0, 7))
    assert after(brightness, {"rgb_delta": np.float32([[[[2]]]])}) == [[[3, 4, 5], [6, 7, 7]]]


def coloured(*pixels: tuple[float, float, float]) -> Array:
    return np.array([[pixels]], "f")


def in_colour(layer: Any, drawn: Any, x: Array) -> Any:
    return layer.changed(x, drawn)[0][0, 0].tolist()


def test_hue_and_saturation_by_hand() -> None:
    """A third of the circle leads from red to green, half of it from orange to azure."""
    red, orange = (1.0, 0.0, 0.0), (1.0, 0.5, 0.0)
    hue = layers.RandomHue(1.0, (0, 1))
    third = {"factor": np.array([1 / 3], "f")}
    found = in_colour(hue, third, coloured(red, orange, (0.5, 0.5, 0.5)))
    np.testing.assert_allclose(found, [[0, 1, 0], [0, 1, 0.5], [0.5, 0.5, 0.5]], atol=1e-6)
    half = {"factor": np.array([-0.5], "f")}
    found = in_colour(hue, half, coloured(orange))
    np.testing.assert_allclose(found, [[0, 0.5, 1]], atol=1e-6)
    saturation = layers.RandomSaturation(1.0, (0, 1))
    found = in_colour(saturation, {"factor": np.array([0.5], "f")}, coloured(red, orange))
    np.testing.assert_allclose(found, [[1, 0.5, 0.5], [1, 0.75, 0.5]], atol=1e-6)
    found = in_colour(saturation, {"factor": np.array([0.0], "f")}, coloured(orange))
    np.testing.assert_allclose(found, [[1, 1, 1]], atol=1e-6)


def test_gray_by_hand() -> None:
    x, gray = coloured((1.0, 2.0, 3.0)), 0.2989 + 2 * 0.587 + 3 * 0.114
    yes = np.array([[[[True]]]])
    np.testing.assert_allclose(in_colour(layers.RandomGrayscale(), yes, x), [[gray] * 3], 1e-6)
    assert in_colour(layers.RandomGrayscale(), ~yes, x) == [[1, 2, 3]]
    halfway = {"factor": np.full((1, 1, 1, 1), 0.5, "f")}
    found = in_colour(layers.RandomColorDegeneration(0.5), halfway, x)
    np.testing.assert_allclose(found, [[(v + gray) / 2 for v in (1, 2, 3)]], 1e-6)


def test_fewer_and_other_levels_by_hand() -> None:
    x = np.array([[[[0.0], [100], [201], [255]]]], "f")
    two = layers.RandomPosterization((2, 2))
    assert after(two, {"shift_factor": np.array([6], np.uint8)}, x) == [[[0, 64, 192, 192]]]
    yes = {"apply_inversion": np.array([True])}
    assert after(layers.RandomInvert(), yes, x) == [[[255, 155, 54, 0]]]
    levels = {"additions": np.full((1, 1, 1, 1), 10.0), "thresholds": np.full((1, 1, 1, 1), 120.0)}
    assert after(layers.Solarization(), levels, x) == [[[10, 110, 44, 0]]]
    x = np.array([[[[10.0], [20], [20], [30]]]], "f")
    assert after(layers.AutoContrast(), None, x) == [[[0, 127.5, 127.5, 255]]]
    assert after(layers.Equalization(), {}, x) == [[[0, 170, 170, 255]]]
    flat = np.full((1, 2, 2, 1), 7.0, "f")
    assert after(layers.AutoContrast(), None, flat) == after(layers.Equalization(), {}, flat)


def test_details_by_hand() -> None:
    x = np.zeros((1, 3, 3, 1), "f")
    x[0, 1, 1] = 13.0
    blurred = [[[1, 1, 1], [1, 5, 1], [1, 1, 1]]]
    found = after(layers.RandomSharpness(1.0), {"factor": np.zeros(1, "f")}, x)
    np.testing.assert_allclose(found, blurred, rtol=1e-6)
    sharper = {"factor": np.ones(1, "f")}  # twice x, less the mean, and not below 0
    np.testing.assert_allclose(
        after(layers.RandomSharpness(1.0), sharper, x), [[[0, 0, 0], [0, 21, 0], [0, 0, 0]]], 1e-6
    )
    drawn = {"should_apply_blur": np.array([True]), "blur_factor": np.array([1.0, 1e-6])}
    g = np.exp(-0.5)
    found = after(layers.RandomGaussianBlur(), drawn, x)
    np.testing.assert_allclose(found[0][1], np.array([g, 1, g]) * 13 / (1 + 2 * g), rtol=1e-6)
    assert found[0][0] == found[0][2] == [0, 0, 0]
    mask = np.zeros((1, 3, 3, 1), bool)
    mask[0, 1:, :2] = True
    drawn = {
        "apply_erasing": np.array([True]),
        "batch_masks": mask,
        "fill_value": np.full_like(x, 2),
    }
    found = after(layers.RandomErasing(), drawn, x)
    assert found == [[[0, 0, 0], [2, 2, 0], [2, 2, 0]]]
    drawn["apply_erasing"] = np.array([False])
    assert after(layers.RandomErasing(), drawn, x) == x[..., 0].tolist()


def test_a_shear_s_limits_as_keras_writes_them() -> None:
    layer: Any = layers.RandomShear.from_config({"name": "s", "x_factor": [-0.3, 0.3]})
    assert (layer.x_factor, layer.get_config()["x_factor"]) == ((-0.3, 0.3), 0.3)


def test_a_shear_by_hand() -> None:
    right = {"shear_factor": np.array([[1.0, 0.0]], "f")}
    assert after(layers.RandomShear(1.0, fill_mode="constant"), right) == [[[1, 2, 3], [5, 6, 0]]]


def test_a_crop_by_hand() -> None:
    assert after(layers.RandomCrop(1, 2), (1, 1)) == [[[5, 6]]]
    layer = layers.RandomCrop(2, 2)  # at inference, it crops the middle
    y, cache = layer.forward(grid())
    assert y[..., 0].tolist() == [[[1, 2], [4, 5]]]
    assert layer.backward(np.ones_like(y), cache)[0][..., 0].tolist() == [[[1, 1, 0], [1, 1, 0]]]


# -- what is drawn ---------------------------------------------------------------------------------


def test_draws_lie_within_their_limits() -> None:
    many = (4000, 8, 10, 1)
    rng = np.random.default_rng(1)

    def check(drawn: Array, low: float, high: float) -> None:
        assert low <= drawn.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < drawn.max() <= high
        assert abs(drawn.mean() - (low + high) / 2) < 0.02 * (high - low)

    check(layers.RandomRotation(0.25).draw(rng, many)["angle"], -90, 90)
    check(layers.RandomRotation((0.5, 0.25)).draw(rng, many)["angle"], 90, 180)
    shifts = layers.RandomTranslation((-0.5, 0.25), -0.5).draw(rng, many)["translations"]
    check(shifts[:, 0], -5, 5)
    check(shifts[:, 1], -4, 2)
    zooms = layers.RandomZoom(0.5).draw(rng, many)
    check(zooms["height_zoom"], 0.5, 1.5)
    np.testing.assert_array_equal(zooms["height_zoom"], zooms["width_zoom"])
    zooms = layers.RandomZoom(0.5, (0.25, 0.75)).draw(rng, many)
    check(zooms["width_zoom"], 1.25, 1.75)
    check(layers.RandomContrast(0.5).draw(rng, many)["contrast_factor"], 1.0, 1.5)
    check(layers.RandomContrast((0.5, 0.25)).draw(rng, many)["contrast_factor"], 0.75, 1.5)
    check(layers.RandomBrightness(0.5, (0, 1)).draw(rng, many)["rgb_delta"], -0.5, 0.5)
    assert abs(layers.RandomFlip().draw(rng, many)["flips"].mean() - 0.5) < 0.03
    starts = np.array([layers.RandomCrop(6, 7).draw(rng, many) for _ in range(200)])
    assert starts.min(axis=0).tolist() == [0, 0]
    assert starts.max(axis=0).tolist() == [2, 3]


@every_kind
def test_draws_come_from_the_seed(kind: str, options: dict[str, Any]) -> None:
    x = images()

    if kind in NOT_RANDOM:
        pytest.skip("Nothing is drawn.")

    def changed(seed: Any) -> list[Array]:
        layer = LAYERS[kind](**options, seed=seed)
        return [layer(x, training=True) for _ in range(3)]

    for a, b in zip(changed(3), changed(np.random.default_rng(3)), strict=True):
        np.testing.assert_array_equal(a, b)
    again: Any = LAYERS[kind].from_config(LAYERS[kind](**options, seed=3).get_config())
    np.testing.assert_array_equal(again(x, training=True), changed(3)[0])
    if kind != "RandomCrop" and (kind, options) not in STILL:
        first = changed(3)
        assert not np.array_equal(first[0], first[1]), "each pass draws anew"
        utils.set_random_seed(5)
        c = changed(None)[0]
        utils.set_random_seed(5)
        np.testing.assert_array_equal(c, changed(None)[0])


@every_kind
def test_nothing_changes_at_inference(kind: str, options: dict[str, Any]) -> None:
    layer, x = LAYERS[kind](**options), images()
    y, cache = layer.forward(x)
    if kind == "AutoContrast":
        assert not np.array_equal(y, x), "It works always, as in Keras."
    elif kind == "RandomCrop":
        assert y.shape == (5, layer.height, layer.width, 3)
        np.testing.assert_array_equal(y, layer(x, training=False))
    else:
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(layer.backward(x, cache)[0], x)


def test_a_single_image_integers_and_the_default() -> None:
    """As in Keras, a layer that is called directly changes its images."""
    photo = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    y = layers.RandomRotation(0.5, seed=1)(photo)
    assert (y.shape, y.dtype) == ((6, 5, 3), "float32")
    np.testing.assert_array_equal(y, layers.RandomRotation(0.5, seed=1)(photo[None])[0])
    assert not np.array_equal(y, photo)
    np.testing.assert_array_equal(layers.RandomRotation(0.5)(photo, training=False), photo)
    x = images()
    augment = minicnn.Sequential([layers.RandomFlip(seed=1), layers.Dropout(0.5)])
    y = augment(x)
    assert not np.array_equal(y, x)
    assert not (y == 0).any(), "Dropout works only in training, and this is none"
    np.testing.assert_array_equal(augment.predict(x, verbose=0), x)
    np.testing.assert_array_equal(augment(x, training=False), x)
    assert (augment(x, training=True) == 0).any()
    nested = minicnn.Sequential([layers.Input((9, 7, 3)), augment, layers.Rescaling(1.0)])
    assert not np.array_equal(nested(x), nested.predict(x, verbose=0))


def test_a_transformation_can_be_drawn_and_used_again() -> None:
    layer, x = layers.RandomTranslation(0.3, 0.3, seed=2), images()
    drawn = layer.get_random_transformation(x)
    y = layer.transform_images(x, drawn)
    np.testing.assert_array_equal(y, layer.transform_images(x, drawn))
    np.testing.assert_array_equal(layer.transform_images(x, drawn, training=False), x)
    again = layer.get_random_transformation(x, seed=7)["translations"]
    np.testing.assert_array_equal(again, layer.get_random_transformation(x, seed=7)["translations"])
    assert layer.get_random_transformation(x, training=False) is None
    alone = layer.get_random_transformation(x[0])
    y = layer.transform_images(x[:1], alone)
    np.testing.assert_array_equal(layer.transform_images(x[0], alone), y[0])


@every_kind
def test_a_transformation_for_other_images_is_refused(kind: str, options: dict[str, Any]) -> None:
    layer, x = LAYERS[kind](**options), images()
    few = layer.get_random_transformation(x[:2])
    for drawn in (few, {}, 3, "a"):
        if kind == "RandomCrop" and drawn is few:  # it cuts any number of images alike
            continue
        if kind in NOT_RANDOM or options == {}:  # nothing was drawn
            continue
        with pytest.raises(ValueError, match="expects what its get_random_transformation"):
            layer.transform_images(x, drawn)


# -- agreement with Keras --------------------------------------------------------------------------


@pytest.mark.keras
@every_kind
def test_a_draw_changes_images_as_in_keras(kind: str, options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    ours: Any = LAYERS[kind](**options, **({} if kind in NOT_RANDOM else {"seed": 1}))
    theirs = getattr(keras.layers, kind)(**options)
    few = images(2, 6, 13, 3), images(1, 4, 5, 3)
    for x in (images(), *(few if kind in IN_COLOUR else (images(2, 6, 13, 1), images(1, 4, 5, 2)))):
        for _ in range(3):
            drawn = ours.get_random_transformation(x)
            y = ours.transform_images(x, drawn)
            if kind == "RandomColorJitter":  # Keras draws while it changes the images
                expected = x
                for name in ours.parts:
                    part = getattr(theirs, f"random_{name}")
                    expected = part.transform_images(expected, drawn[name])
            else:
                expected = theirs.transform_images(x, drawn, training=True)
            if kind == "RandAugment":  # a last bit more or less may be another step
                assert np.isclose(y, expected, rtol=1e-4, atol=1e-4).mean() > 0.98
            else:
                np.testing.assert_allclose(y, np.asarray(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.keras
def test_keras_s_draws_have_the_same_limits() -> None:
    """Over many images, the smallest and largest draws are nearly the same."""
    keras = pytest.importorskip("keras")
    for kind, options in KINDS:
        x = images(400, 8, 10, 3 if kind in IN_COLOUR else 1)
        # Whether, not how much, or in an order of their own.
        if kind in ("RandomFlip", "RandomCrop", "MixUp", "CutMix", *NOT_RANDOM, *WHETHER):
            continue
        theirs = getattr(keras.layers, kind)(**options, seed=1).get_random_transformation(x)
        ours = LAYERS[kind](**options, seed=1).get_random_transformation(x)
        for key in ours.keys() - {"rotation_matrix"}:
            a, b = np.asarray(theirs[key]), ours[key]
            assert a.shape == b.shape
            spread = np.ptp(a, axis=0)
            np.testing.assert_array_less(np.abs(a.min(axis=0) - b.min(axis=0)), 0.1 * spread + 1e-6)
            np.testing.assert_array_less(np.abs(a.max(axis=0) - b.max(axis=0)), 0.1 * spread + 1e-6)


@pytest.mark.keras
def test_gradients_of_colours_flips_and_crops_are_keras_s() -> None:
    """Those of warps are not: TensorFlow warps dy back, which only approximates the gradient."""
    keras = pytest.importorskip("keras")
    import tensorflow as tf

    x = images()
    for kind, options in KINDS:
        if kind in ("RandomRotation", "RandomTranslation", "RandomZoom", "RandomShear"):
            continue
        if kind in ("RandomHue", "RandomSaturation", "RandomColorJitter", "RandAugment"):
            continue  # TensorFlow has none
        ours: Any = LAYERS[kind](**options, **({} if kind in NOT_RANDOM else {"seed": 1}))
        y, cache = ours.forward(x, training=True)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype("f")
        theirs, given = getattr(keras.layers, kind)(**options), tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            z = theirs.transform_images(given, cache["transformation"], training=True)
            loss = tf.reduce_sum(z * dy)
        dx, expected = ours.backward(dy, cache)[0], tape.gradient(loss, given)
        if expected is None:  # TensorFlow has none of steps
            expected = np.zeros_like(x)
        np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RandomHue", {"factor": 1.0, "value_range": (-2.0, 3.0)}),
        ("RandomSaturation", {"factor": (0.1, 0.4), "value_range": (0.0, 1.0)}),
        ("RandomSaturation", {"factor": (0.7, 0.9), "value_range": (0.0, 1.0)}),
        ("RandomColorJitter", {"value_range": (-1.0, 2.0), **JITTER}),
    ],
)
def test_gradients_of_hues_are_those_of_differences(kind: str, options: dict[str, Any]) -> None:
    """TensorFlow has none. The steps are small, and no two channels are nearly equal."""
    layer = LAYERS[kind](**options, seed=2, dtype="float64")
    rng = np.random.default_rng(3)
    x = rng.permuted(np.linspace(0.1, 0.9, 9).reshape(3, 3), axis=None).reshape(1, 1, 3, 3)
    x = np.repeat(x, 4, axis=0) + rng.uniform(0, 0.02, (4, 1, 3, 3))
    drawn = layer.get_random_transformation(x)
    y, kept = layer.changed(x, drawn)
    dy = rng.standard_normal(y.shape)
    dx = layer.gradient(dy, drawn, kept)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-6
        after = (layer.changed(x + step, drawn)[0] - layer.changed(x - step, drawn)[0]) / 2e-6
        np.testing.assert_allclose(dx[index], (after * dy).sum(), rtol=1e-4, atol=1e-5)


# -- in use ----------------------------------------------------------------------------------------


LOSS = minicnn.losses.SparseCategoricalCrossentropy(from_logits=True)


def augmented() -> minicnn.Sequential:
    utils.set_random_seed(1)
    return minicnn.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.05),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.2, (0, 1)),
            layers.RandomBrightness(0.1, (0, 1)),
            layers.RandomCrop(10, 10),
            layers.Conv2D(6, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2),
        ]
    )


def stripes() -> tuple[Array, Array]:
    """Return images with horizontal or vertical stripes, and their classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 96)
    wave = 0.5 + 0.4 * np.sin(np.arange(12) * 2 + rng.uniform(0, 6, (96, 1)))
    x = np.where(y[:, None, None] == 0, wave[:, :, None], wave[:, None, :])
    return (x + 0.05 * rng.standard_normal(x.shape))[..., None].astype("f"), y


def test_a_network_learns_from_changed_images() -> None:
    x, y = stripes()
    found = []
    for _ in range(2):
        model = augmented()
        model.compile(minicnn.optimizers.Adam(0.02), LOSS, metrics=["accuracy"])
        history = model.fit(x, y, epochs=12, batch_size=16, verbose=0).history
        found.append(history["loss"])
    assert found[0] == found[1], "the same seed, the same changes"
    assert model.evaluate(x, y, verbose=0)[1] > 0.9
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_data_set_is_changed_as_it_is_read() -> None:
    x, y = stripes()
    data = ImageDataset(lambda: iter([(x, y)]), 1)
    augment = minicnn.Sequential([layers.RandomFlip(seed=1), layers.RandomZoom(0.2, seed=2)])
    changed = data.map(lambda x, y: (augment(x, training=True), y))
    ((a, kept),), ((b, _),) = list(changed), list(changed)
    np.testing.assert_array_equal(kept, y)
    assert not np.array_equal(a, x)
    assert not np.array_equal(a, b), "each epoch has changes of its own"


def test_explanations_and_checks_use_the_same_draw() -> None:
    x = stripes()[0][:3]
    model = augmented()
    trace = model.trace(x, y=[0, 1, 0], loss=LOSS, training=True)
    rng = np.random.default_rng(2)
    for entry in trace.entries:
        if not type(entry.layer).__name__.startswith("Random"):
            continue
        for _ in range(5):
            at = tuple(int(rng.integers(n)) for n in entry.y.shape[1:])
            example = int(rng.integers(3))
            explained = trace.explain(entry.name, at, example)
            assert abs(explained.difference) <= explained.tolerance, (entry.name, at)
            at = tuple(int(rng.integers(n)) for n in entry.dx.shape[1:])
            explained = trace.explain_gradient(entry.name, "dx", at, example)
            assert abs(explained.difference) <= explained.tolerance, (entry.name, at)
    checked = minicnn.explain.gradcheck(augmented(), x, training=True, entries=5)
    assert checked.passed, str(checked)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_files_go_both_ways(name: str, tmp_path: Any) -> None:
    keras = pytest.importorskip("keras")
    # Keras does not write the seed of a RandomGrayscale.
    seeds: dict[str, Any] = {kind: {} for kind in (*NOT_RANDOM, "RandomGrayscale")}
    made = [
        LAYERS[kind](**options, **seeds.get(kind, {"seed": 3}))
        for kind, options in KINDS
        if kind not in ("RandomCrop", "Equalization")  # Keras itself has no model with the latter
    ]
    model = minicnn.Sequential([layers.Input((9, 7, 3)), *made])
    model.save(tmp_path / name)
    theirs = keras.models.load_model(tmp_path / name, compile=False)
    plain = lambda value: list(value) if isinstance(value, tuple) else value  # noqa: E731
    for layer in made:
        found = theirs.get_layer(layer.name).get_config()
        for key, value in layer.get_config().items():
            if key in ("x_factor", "y_factor") or (key == "seed" and value is None):
                continue  # (Keras writes limits of a shear that it does not read)
            assert key == "dtype" or plain(found[key]) == plain(value), (layer.name, key)
    theirs.save(tmp_path / "back.keras")  # Keras 3 itself cannot write such layers into .h5
    again = models.load_model(tmp_path / "back.keras", compile=False)
    for layer in made:
        assert again.get_layer(layer.name).get_config() == layer.get_config()
        assert type(again.get_layer(layer.name)) is type(layer)
