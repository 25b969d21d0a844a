"""Random changes of images are those computed by hand and in Keras, and come from a seed."""

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, models, utils
from minicnn.images.dataset import ImageDataset
from minicnn.layers import LAYERS

Array = np.ndarray

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

    def changed(seed: Any) -> list[Array]:
        layer = LAYERS[kind](**options, seed=seed)
        return [layer(x, training=True) for _ in range(3)]

    for a, b in zip(changed(3), changed(np.random.default_rng(3)), strict=True):
        np.testing.assert_array_equal(a, b)
    again: Any = LAYERS[kind].from_config(LAYERS[kind](**options, seed=3).get_config())
    np.testing.assert_array_equal(again(x, training=True), changed(3)[0])
    if kind != "RandomCrop":
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
    if kind == "RandomCrop":
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
        with pytest.raises(ValueError, match="expects what its get_random_transformation"):
            layer.transform_images(x, drawn)


# -- agreement with Keras --------------------------------------------------------------------------


@pytest.mark.keras
@every_kind
def test_a_draw_changes_images_as_in_keras(kind: str, options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    ours = LAYERS[kind](**options, seed=1)
    theirs = getattr(keras.layers, kind)(**options)
    for x in (images(), images(2, 6, 13, 1), images(1, 4, 5, 2)):
        for _ in range(3):
            drawn = ours.get_random_transformation(x)
            y = ours.transform_images(x, drawn)
            expected = np.asarray(theirs.transform_images(x, drawn, training=True))
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.keras
def test_keras_s_draws_have_the_same_limits() -> None:
    """Over many images, the smallest and largest draws are nearly the same."""
    keras = pytest.importorskip("keras")
    x = images(400, 8, 10, 1)
    for kind, options in KINDS:
        if kind in ("RandomFlip", "RandomCrop", "MixUp", "CutMix"):
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
        if kind in ("RandomRotation", "RandomTranslation", "RandomZoom"):
            continue
        ours = LAYERS[kind](**options, seed=1)
        y, cache = ours.forward(x, training=True)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype("f")
        theirs, given = getattr(keras.layers, kind)(**options), tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            z = theirs.transform_images(given, cache["transformation"], training=True)
            loss = tf.reduce_sum(z * dy)
        dx = ours.backward(dy, cache)[0]
        np.testing.assert_allclose(dx, tape.gradient(loss, given), rtol=1e-4, atol=1e-4)


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
    made = [LAYERS[kind](**options, seed=3) for kind, options in KINDS if kind != "RandomCrop"]
    model = minicnn.Sequential([layers.Input((9, 7, 3)), *made])
    model.save(tmp_path / name)
    theirs = keras.models.load_model(tmp_path / name, compile=False)
    plain = lambda value: list(value) if isinstance(value, tuple) else value  # noqa: E731
    for layer in made:
        found = theirs.get_layer(layer.name).get_config()
        for key, value in layer.get_config().items():
            assert key == "dtype" or plain(found[key]) == plain(value), (layer.name, key)
    theirs.save(tmp_path / "back.keras")  # Keras 3 itself cannot write such layers into .h5
    again = models.load_model(tmp_path / "back.keras", compile=False)
    for layer in made:
        assert again.get_layer(layer.name).get_config() == layer.get_config()
        assert type(again.get_layer(layer.name)) is type(layer)
