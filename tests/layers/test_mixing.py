"""MixUp and CutMix: mixtures by hand, labels that go with them, draws like Keras's."""

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, utils

Array = np.ndarray


def images() -> Array:
    """Two images of 2 by 2 pixels: 1 2 / 3 4, and ten times that."""
    one = np.array([[1.0, 2], [3, 4]], np.float32)
    return np.stack([one, 10 * one])[..., None]


EXCHANGED = np.array([1, 0])
LABELS = np.eye(2)


def test_a_blend_by_hand() -> None:
    layer = layers.MixUp()
    drawn = {"permutation_order": EXCHANGED, "mix_weight": np.array([0.75, 0.5], np.float32)}
    y = layer.transform_images(images(), drawn)
    assert y[0, ..., 0].tolist() == [[3.25, 6.5], [9.75, 13.0]]  # 0.75 * 1 + 0.25 * 10, …
    assert y[1, ..., 0].tolist() == [[5.5, 11], [16.5, 22]]
    assert layer.transform_labels(LABELS, drawn).tolist() == [[0.75, 0.25], [0.5, 0.5]]
    dx = layer.gradient(np.ones_like(y), drawn, None)  # type: ignore[arg-type]
    np.testing.assert_allclose(dx[:, 0, 0, 0], [0.75 + 0.5, 0.5 + 0.25])


def test_a_pasted_part_by_hand() -> None:
    layer = layers.CutMix()
    masks = np.zeros((2, 2, 2, 1), bool)
    masks[0, 0, 1] = True
    drawn = {
        "permutation_order": EXCHANGED,
        "batch_masks": masks,
        "mix_weight": np.array([0.75, 1], np.float32),
    }
    y = layer.transform_images(images(), drawn)
    assert y[0, ..., 0].tolist() == [[1, 20], [3, 4]]
    assert y[1, ..., 0].tolist() == [[10, 20], [30, 40]]
    assert layer.transform_labels(LABELS, drawn).tolist() == [[0.75, 0.25], [0, 1]]
    dx = layer.gradient(np.ones_like(y), drawn, None)  # type: ignore[arg-type]
    assert dx[..., 0].tolist() == [[[1, 0], [1, 1]], [[1, 2], [1, 1]]]


def test_labels_go_with_their_images() -> None:
    """Images whose pixels all are their class show how much of each class is in a mixture."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 40)
    x = np.broadcast_to(classes[:, None, None, None], (40, 32, 32, 1)).astype(np.float32)
    layer: Any
    for layer, tolerance in ((layers.MixUp(1.0, seed=1), 1e-6), (layers.CutMix(seed=1), 0.07)):
        mixed = layer({"images": x, "labels": np.eye(2)[classes]})
        ones = mixed["images"].mean(axis=(1, 2, 3))
        np.testing.assert_allclose(mixed["labels"][:, 1], ones, atol=tolerance)
        np.testing.assert_allclose(mixed["labels"].sum(axis=1), 1, rtol=1e-6)
        assert ((ones > 0.1) & (ones < 0.9)).sum() > 5
        assert mixed["labels"].dtype == np.float32
        still = layer({"images": x, "labels": np.eye(2)[classes]}, training=False)
        np.testing.assert_array_equal(still["images"], x)
        np.testing.assert_array_equal(still["labels"], np.eye(2)[classes])


def test_draws_are_as_said() -> None:
    rng = np.random.default_rng(0)
    w = layers.MixUp(0.2).draw(rng, (20000, 4, 4, 1))["mix_weight"]
    assert w.mean() == pytest.approx(0.5, abs=0.02)
    assert w.var() == pytest.approx(0.25 / 1.4, rel=0.05)  # of beta(a, a): 1 / (4 * (2a + 1))
    drawn = layers.CutMix((1.0, 1.0)).draw(rng, (3000, 40, 30, 2))
    masks = drawn["batch_masks"]
    np.testing.assert_array_equal(masks[..., 0], masks[..., 1])
    np.testing.assert_allclose(1 - masks.mean(axis=(1, 2, 3)), drawn["mix_weight"], atol=0.06)
    assert drawn["mix_weight"].mean() == pytest.approx(0.5, abs=0.03)  # alpha 1: evenly
    assert sorted(drawn["permutation_order"]) == list(range(3000))
    rows = masks[..., 0].any(axis=2)  # each is one rectangle
    assert (np.abs(np.diff(rows.astype(int), axis=1)).sum(axis=1) <= 2).all()


@pytest.mark.keras
def test_keras_draws_the_same_way() -> None:
    keras = pytest.importorskip("keras")
    x = np.zeros((4000, 16, 12, 1), np.float32)
    for ours, theirs in (
        (layers.MixUp(0.4, seed=1), keras.layers.MixUp(0.4, seed=1)),
        (layers.CutMix((0.9, 1.0), seed=1), keras.layers.CutMix((0.9, 1.0), seed=1)),
    ):
        found, expected = (layer.get_random_transformation(x) for layer in (ours, theirs))
        assert found.keys() == expected.keys()
        a, b = (np.sort(np.ravel(drawn["mix_weight"])) for drawn in (found, expected))
        np.testing.assert_allclose(a[::100], b[::100], atol=0.05)
        if "batch_masks" in found:
            mine, wanted = (np.asarray(d["batch_masks"]) for d in (found, expected))
            assert mine.shape == wanted.shape
            np.testing.assert_allclose(mine.mean(axis=0), wanted.mean(axis=0), atol=0.05)


@pytest.mark.keras
def test_labels_are_mixed_as_in_keras() -> None:
    keras = pytest.importorskip("keras")
    x = np.random.default_rng(0).standard_normal((6, 5, 4, 2)).astype("f")
    y = np.eye(3, dtype="f")[[0, 1, 2, 0, 1, 2]]
    for ours, theirs in (
        (layers.MixUp(0.5), keras.layers.MixUp()),
        (layers.CutMix(), keras.layers.CutMix()),
    ):
        drawn = ours.get_random_transformation(x, seed=2)
        expected = np.asarray(theirs.transform_labels(y, drawn, training=True))
        np.testing.assert_allclose(ours.transform_labels(y, drawn), expected, rtol=1e-5, atol=1e-6)


def test_a_network_learns_from_mixtures() -> None:
    utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 64)
    x = rng.uniform(0, 0.3, (64, 6, 6, 1)).astype("f")
    x[classes == 1, 2:4] += 0.6
    y = np.eye(2, dtype="f")[classes]
    mix = layers.MixUp(0.2)

    class Mixed:
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> tuple[Array, Array]:
            part = slice(8 * index, 8 * index + 8)
            mixed = mix({"images": x[part], "labels": y[part]})
            return mixed["images"], mixed["labels"]

    model = minicnn.Sequential(
        [minicnn.Input((6, 6, 1)), layers.Flatten(), layers.Dense(2, "softmax")]
    )
    model.compile(minicnn.optimizers.Adam(0.05), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(Mixed(), epochs=8, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95


REFUSED: list[tuple[Any, str]] = [
    (lambda m: m({"images": images()}), r'a dict with "images" and "labels". Received \[\'images'),
    (lambda m: m({"images": images(), "labels": [0, 1]}), r"one-hot labels of shape \(2, classes"),
    (lambda m: m({"images": images(), "labels": np.eye(3)}), r"labels.shape=\(3, 3\)"),
    (lambda m: m({"images": images(), "labels": ["a", "b"]}), "labels"),
    (lambda m: m({"images": np.ones(3), "labels": LABELS}), "an image"),
    (lambda m: m({"images": [[1], [2, 3]], "labels": LABELS}), "an image"),
    (lambda m: m.transform_labels(LABELS, {"a": 1}), "what its get_random_transformation returned"),
    (lambda m: m.transform_labels(LABELS, None), "what its get_random_transformation returned"),
    (
        lambda m: m.transform_images(images(), m.get_random_transformation(images()[:1])),
        "what its get_random_transformation returned for such images",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
@pytest.mark.parametrize("kind", [layers.MixUp, layers.CutMix])
def test_what_is_refused(kind: Any, call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call(kind())


@pytest.mark.parametrize("layer", [layers.MixUp(0.9, seed=3), layers.CutMix((1.0, 1.0), seed=3)])
def test_explanations_name_the_other_image(layer: Any) -> None:
    """Each number, and each gradient, is the sum of those of two images of the batch."""
    x = np.random.default_rng(0).standard_normal((4, 4, 3, 2)).astype("f")
    inputs = minicnn.Input((4, 3, 2))
    outputs = layers.Dense(2, name="top")(layers.Flatten()(layer(inputs)))
    model = minicnn.Model(inputs, outputs)
    trace = model.trace(x, np.eye(2)[[0, 1, 1, 0]], "mse", training=True)
    for example in range(4):
        for at in ((0, 0, 0), (2, 1, 1), (3, 2, 0)):
            found = trace.explain(layer.name, at, example)
            assert found.result == pytest.approx(found.value, rel=1e-5, abs=1e-6)
            assert "was mixed in" in found.notes[0]
            back = trace.explain_gradient(layer.name, "dx", at, example)
            assert len(back.terms) == 2
            assert back.result == pytest.approx(back.value, rel=1e-5, abs=1e-6)
    assert minicnn.explain.gradcheck(model, x, training=True).passed
