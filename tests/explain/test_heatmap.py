"""Heat maps: computed by hand, beside Keras's gradients, as sums, and of networks that forget."""

import math
from typing import Any

import numpy as np
import pytest
from explanations import agrees, products
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import explain, layers
from minicnn.explain.randomized import spearman

Array = np.ndarray

X = np.array([[[1, 4], [2, 0]], [[3, 2], [4, 8]]], np.float32)[None]  # 2×2 pixels, 2 channels
W = np.array([[2, -1], [-1, 3]], np.float32)  # from the means of the channels to two scores


def by_hand(activation: str | None = "softmax") -> minicnn.Model:
    """Return a model whose maps are its photo, and whose scores are z = mean(x)·W."""
    model = minicnn.Sequential(
        [
            minicnn.Input((2, 2, 2)),
            layers.Conv2D(2, 1, use_bias=False, name="same"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(2, use_bias=False, activation=activation, name="scores"),
        ]
    )
    model.set_weights([np.eye(2).reshape(1, 1, 2, 2), W])
    return model


def cnn(activation: str | None = "softmax", classes: int = 3) -> minicnn.Model:
    """Return a small network with a nested model, normalization, dropout and a branch."""
    minicnn.utils.set_random_seed(4)
    inner = minicnn.Sequential(
        [
            minicnn.Input((6, 5, 4)),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="deep"),
            layers.BatchNormalization(name="norm"),
        ],
        name="inner",
    )
    inputs = minicnn.Input((12, 10, 3), name="photo")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Concatenate(name="join")([x, inner(x)])
    x = layers.Dropout(0.5, name="dropout")(layers.Flatten(name="flatten")(x))
    y = layers.Dense(classes, activation=activation, name="scores")(x)
    return minicnn.Model(inputs, y, name="small")


def photos(count: int = 2) -> Array:
    return np.random.default_rng(0).integers(0, 256, (count, 12, 10, 3)).astype(np.float32)


# -- by hand -----------------------------------------------------------------------------------


def test_the_average_of_logits_is_of_classes_and_that_of_features_is_not() -> None:
    x = minicnn.Input((2, 2, 2))
    members = [by_hand(None), by_hand(None)]
    averaged = minicnn.Model(x, layers.Average()([member(x) for member in members]))
    heat = averaged.trace(X).heatmap(class_index=0)
    alone = members[0].trace(X).heatmap(class_index=0)
    assert heat.of.kind == "logits"
    assert heat.probability == pytest.approx(alone.probability)
    np.testing.assert_allclose(heat.values, alone.values, rtol=1e-6)  # each member is half of it
    cold = minicnn.Model(x, layers.Rescaling(0.5)(averaged(x))).trace(X).heatmap(class_index=0)
    assert (cold.of.kind, cold.score) == ("logits", heat.score / 2)
    upside_down = minicnn.Model(x, layers.Rescaling(-1.0)(averaged(x)))
    assert upside_down.trace(X).heatmap("occlusion", size=1).of.kind == ""
    pooled = [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
    features = minicnn.Model(x, layers.Average()(pooled))
    assert features.trace(X).heatmap("occlusion", size=1).of.kind == ""
    mixed = minicnn.Model(x, layers.Average()([by_hand(None)(x), by_hand("softmax")(x)]))
    assert mixed.trace(X).heatmap("occlusion", size=1).of.kind == ""


def test_grad_cam_weighs_the_maps_by_their_mean_gradients() -> None:
    heat: Any = by_hand().trace(X).heatmap("grad_cam", class_index=0)
    # d score 0 / d A[r, c, k] = W[k, 0] / 4 at each of the four places.
    assert heat.weights.tolist() == [0.5, -0.25]
    # 0.5·1 - 0.25·4 = -0.5 is cut off.
    assert heat.values.tolist() == [[0, 1], [1, 0]]
    assert (heat.score, heat.of.index) == (1.5, 0)
    e = heat.explain(at=(0, 1))
    assert products(e) == [1, 0]
    assert (e.total, e.result, e.value) == (1, 1, 1)
    assert "heat[0, 1] = max(Σ over k of A[0, 1, k]·α[k], 0)" in str(e)
    cut = heat.explain(at=(0, 0))
    assert (cut.total, cut.result, cut.value) == (-0.5, 0, 0)
    alpha = heat.explain_weight(1)
    assert products(alpha) == [-0.0625] * 4
    assert (alpha.total, alpha.value) == (-0.25, -0.25)
    agrees(alpha)


def test_grad_cam_of_a_photo_and_its_mirror_image_is_the_sum_of_both() -> None:
    """The average halves the gradients: α = 0.25, -0.125, and so each map of it is halved."""
    x, member = minicnn.Input((2, 2, 2)), by_hand(None)
    both = layers.Average(name="both")([member(x[:, :, ::-1]), member(x)])
    upside_down = layers.Average(name="all")([both, both, member(x[:, ::-1, ::-1])])
    x0 = np.array([[[[1, 4], [2, 0]], [[4, 0], [2, 4]]]], np.float32)
    # 0.25·1 - 0.125·4 < 0, 0.25·2, 0.25·4, 0.25·2 - 0.125·4: from either side the same.
    trace = minicnn.Model(x, both).trace(x0)
    heat: Any = trace.heatmap(class_index=0)
    assert heat.values.tolist() == [[0, 1], [2, 0]]
    assert [part.values.tolist() for part in heat.parts] == [[[0.5, 0], [0, 1]], [[0, 0.5], [1, 0]]]
    e = heat.explain(at=(1, 0))
    assert (products(e), e.total, e.value) == ([1, 1], 2, 2)
    agrees(e)
    assert "0: " in str(heat)
    assert "2×2, flipped back" in str(heat)
    assert trace.heatmap(class_index=0, layer=heat.parts[1].entry.name).values.tolist() == [
        [0, 0.5],
        [1, 0],
    ]
    three: Any = minicnn.Model(x, upside_down).trace(x0).heatmap(class_index=0)
    np.testing.assert_allclose(three.values, [[0, 1], [2, 0]], rtol=1e-6)
    assert three.sanity_check().maps[0].shape == (2, 2)


def test_the_shares_of_a_linear_score_add_up_to_it() -> None:
    trace = by_hand().trace(X)
    expected = [[-0.5, 1], [1, 0]]  # 2·x0/4 - x1/4
    for method in ("gradient_x_input", "integrated_gradients"):
        heat: Any = trace.heatmap(method, class_index=0)
        assert heat.values.tolist() == expected
        assert heat.values.sum() == heat.score == 1.5
        assert products(heat.explain(at=(0, 0))) == [0.5, -1]
    assert (heat.total, heat.gain, heat.baseline_score) == (1.5, 1.5, 0)
    # From another baseline, x0 = (1, 2) everywhere: score(x0) = 2·1 - 2 = 0.
    heat = trace.heatmap("integrated_gradients", class_index=0, baseline=[1, 2], steps=2)
    assert heat.values.tolist() == [[-0.5, 1], [1, 0]]
    assert (heat.total, heat.gain, heat.baseline_score) == (1.5, 1.5, 0)
    assert products(heat.explain(at=(0, 0, 1))) == [-0.25, -0.25]  # (4 - 2)/2 steps · -1/4


def test_integrated_gradients_of_a_curved_score() -> None:
    # score = max(x - 1, 0): on the way from 0 to 4 its slope is 0 up to a quarter, then 1.
    model = minicnn.Sequential(
        [
            minicnn.Input((1, 1, 1)),
            layers.Conv2D(1, 1, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(2, use_bias=False, name="scores"),
        ]
    )
    model.set_weights([np.ones((1, 1, 1, 1)), np.array([-1]), np.array([[1, 0]])])
    x = np.full((1, 1, 1, 1), 4, np.float32)
    heat: Any = model.trace(x).heatmap("integrated_gradients", 0, steps=4)
    assert heat.gradients.ravel().tolist() == [0, 1, 1, 1]
    assert (heat.total, heat.gain) == (3, 3)
    assert model.trace(x).heatmap("gradient_x_input", 0).values == 4  # not the score, 3


def test_occlusion_is_what_covering_takes_away() -> None:
    trace = by_hand().trace(X)
    heat: Any = trace.heatmap("occlusion", class_index=0, size=1, stride=1, fill=0)

    def p(x: Array) -> float:
        z = x.mean(axis=(0, 1)) @ W
        return 1 / (1 + math.exp(z[1] - z[0]))

    for at in np.ndindex(2, 2):
        covered = X[0].copy()
        covered[at] = 0
        assert heat.values[at] == pytest.approx(p(X[0]) - p(covered), rel=1e-4)
        e = heat.explain(at)
        assert products(e) == pytest.approx([p(X[0]), -p(covered)], rel=1e-4)
        agrees(e)
    assert trace.heatmap("occlusion", size=2).fill.tolist() == [2.5, 3.5]  # the mean


def test_the_squares_of_an_occlusion_reach_the_border() -> None:
    heat: Any = cnn().trace(photos()).heatmap("occlusion", size=(5, 4), stride=(3, 4))
    assert (heat.rows, heat.columns) == ([0, 3, 6, 7], [0, 4, 6])
    covered = heat.covered(7, 6)
    assert (covered[7:, 6:] == heat.fill).all()
    assert (covered[:7] == photos()[0, :7]).all()
    assert heat.pixels.shape == (12, 10)
    assert heat.pixels[0, 0] == heat.values[0, 0]
    assert heat.pixels[4, 0] == pytest.approx((heat.values[0, 0] + heat.values[1, 0]) / 2)


# -- sums, and what they are of ------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["softmax", None, "sigmoid", "one sigmoid"]), st.data())
def test_each_number_is_the_sum_that_explains_it(activation: str | None, data: Any) -> None:
    single = activation == "one sigmoid"
    model = cnn("sigmoid" if single else activation, 1 if single else 3)
    trace = model.trace(photos())
    index = data.draw(st.integers(0, 1 if single else 2))
    for method in explain.HEATMAPS:
        heat: Any = trace.heatmap(method, index, example=1)
        rows, columns = heat.values.shape
        at = data.draw(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1)))
        e = heat.explain(at)
        assert e.value == heat.values[at]
        agrees(e)
        assert heat.pixels.shape == (12, 10)
    agrees(heat.explain((3, 4, 2)))
    assert heat.total == pytest.approx(heat.gain, abs=0.02 * abs(heat.gain) + 0.02)


def test_the_score_is_the_number_before_the_last_activation() -> None:
    for activation in ("softmax", "sigmoid"):
        model = cnn(activation, 1 if activation == "sigmoid" else 3)
        trace = model.trace(photos())
        z = trace["scores"].cache["z"][0]
        heat = trace.heatmap("gradient_x_input", class_index=1)
        assert heat.score == z[0 if activation == "sigmoid" else 1]
    other = trace.heatmap("gradient_x_input", class_index=0)
    assert other.score == -heat.score
    assert np.array_equal(other.values, -heat.values)
    assert other.probability == pytest.approx(1 - heat.probability)
    ahead = trace.heatmap()
    assert ahead.of.index == int(trace.y[0, 0] > 0.5)


def test_the_class_is_the_most_likely_one_or_has_a_name() -> None:
    model = cnn()
    trace = model.trace(photos())
    assert [trace.heatmap(example=n).of.index for n in (0, 1)] == trace.y.argmax(axis=1).tolist()
    assert "grad_cam of class 2" in str(trace.heatmap(class_index=2))
    model.metadata = {"class_names": ["dress", "hat", "pants"]}
    heat = trace.heatmap(class_index="hat")
    assert heat.of.index == 1
    assert str(heat).startswith('grad_cam of "hat" (score')
    with pytest.raises(ValueError, match=r"no class 'cap'\. Its classes are dress, hat, pants"):
        trace.heatmap(class_index="cap")


def test_a_number_of_an_output_without_classes() -> None:
    inputs = minicnn.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="maps")(inputs)
    model = minicnn.Model(inputs, layers.Conv2D(2, 3, padding="same", name="mask")(x))
    trace = model.trace(np.random.default_rng(1).normal(size=(1, 6, 6, 3)))
    heat: Any = trace.heatmap("grad_cam", class_index=(2, 3, 1))
    assert heat.entry.name == "maps"
    assert heat.score == heat.probability == trace.y[0, 2, 3, 1]
    assert "output [2, 3, 1] (score" in str(heat)
    mean = model.get_layer("mask").kernel.value[..., 1].sum(axis=(0, 1)) / 36
    assert heat.weights == pytest.approx(mean, rel=1e-5)
    assert trace.heatmap().of.index == trace.y.argmax()


def test_a_number_of_an_output_whose_axes_are_swapped() -> None:
    model = minicnn.Sequential([minicnn.Input((3, 4, 2)), layers.Permute((2, 1, 3))])
    x = np.arange(24, dtype=np.float32).reshape(1, 3, 4, 2)
    heat = model.trace(x).heatmap("gradient_x_input", class_index=(3, 1, 0))
    assert heat.score == x[0, 1, 3, 0]
    assert heat.values[1, 3] == x[0, 1, 3, 0] == heat.values.sum()


def test_grad_cam_takes_any_layer_with_maps() -> None:
    trace = cnn().trace(photos())
    assert trace.heatmap().entry.name == "join"  # type: ignore[attr-defined]
    for name, shape in (("first", (12, 10)), ("inner/deep", (6, 5)), ("inner", (6, 5))):
        heat: Any = trace.heatmap(layer=name)
        assert heat.values.shape == shape
        assert heat.pixels.shape == (12, 10)
        assert (heat.values >= 0).all()
    assert heat.entry.name == "inner/norm"
    assert np.array_equal(trace.heatmap(layer="norm").values, heat.values)


def test_a_heat_map_is_of_inference_and_changes_nothing() -> None:
    model = cnn()
    before = model.get_weights()
    trained = model.trace(photos(), y=[0, 1], loss="sparse_categorical_crossentropy", training=True)
    gradients = trained["first"].dy.copy()
    for method in explain.HEATMAPS:
        heat = trained.heatmap(method)
        plain = model.trace(photos()).heatmap(method)
        assert np.array_equal(heat.values, plain.values)
    assert np.array_equal(trained["first"].dy, gradients)
    heat.sanity_check()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


# -- beside Keras --------------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("last", ["softmax", "linear", "sigmoid"])
def test_keras_gradients_give_the_same_maps(last: str) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(2)
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(inputs)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Conv2D(8, 3, activation="elu", name="top")(x)
    x = keras.layers.Dense(9, activation="tanh")(keras.layers.Flatten()(x))
    classes = 1 if last == "sigmoid" else 4
    theirs = keras.Model(inputs, keras.layers.Dense(classes, activation=last, name="scores")(x))
    ours = minicnn.models.from_keras(theirs)
    x = photos(1) / 255
    trace = ours.trace(x)
    theirs.get_layer("scores").activation = keras.activations.linear
    parts = keras.Model(inputs, [theirs.get_layer("top").output, theirs.output])
    index = 1 if last == "sigmoid" else 2

    def of(photo: Array) -> tuple[Array, Array, Array]:
        with tf.GradientTape(persistent=True) as tape:
            given = tf.convert_to_tensor(photo)
            tape.watch(given)
            maps, scores = parts(given)
            score = scores[:, 0 if last == "sigmoid" else index]
        return maps.numpy(), tape.gradient(score, maps).numpy(), tape.gradient(score, given).numpy()

    maps, dmaps, dx = of(x)
    cam = np.maximum((maps[0] * dmaps[0].mean(axis=(0, 1))).sum(axis=-1), 0)
    close = {"rtol": 1e-3, "atol": 1e-6}
    np.testing.assert_allclose(trace.heatmap("grad_cam", index, "top").values, cam, **close)
    found = trace.heatmap("gradient_x_input", index)
    np.testing.assert_allclose(found.values, (x * dx)[0].sum(axis=-1), **close)
    steps = [of(x * np.float32((i + 0.5) / 10))[2] for i in range(10)]
    shares = (x * np.mean(steps, axis=0))[0].sum(axis=-1)
    found = trace.heatmap("integrated_gradients", index, steps=10)
    np.testing.assert_allclose(found.values, shares, rtol=1e-3, atol=1e-5)


# -- networks that forget ------------------------------------------------------------------------


def test_ranks_are_correlated() -> None:
    assert spearman(np.array([1, 2, 3]), np.array([10, 20, 1000])) == pytest.approx(1)
    assert spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)
    # Ranks 0, 1.5, 1.5, 3 and 1, 0, 2, 3: 0.75 + 0 + 0 + 2.25 = 3.
    found = spearman(np.array([1.0, 5, 5, 9]), np.array([2.0, 1, 7, 8]))
    assert found == pytest.approx(3 / math.sqrt(4.5 * 5))
    assert math.isnan(spearman(np.zeros(3), np.arange(3)))


def test_a_network_forgets_from_the_output_down() -> None:
    heat = cnn().trace(photos()).heatmap("gradient_x_input")
    check = heat.sanity_check(seed=3)
    assert check.layers == ["scores", "inner/norm", "inner/deep", "first"]
    assert [m.shape for m in check.maps] == [(12, 10)] * 4
    assert check.correlations == [spearman(heat.values, m) for m in check.maps]
    assert check.sizes == [spearman(abs(heat.values), abs(m)) for m in check.maps]
    assert all(np.abs(m - heat.values).max() > 1e-6 for m in check.maps)
    again = heat.sanity_check(seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(check.maps, again.maps, strict=True))
    other = heat.sanity_check(seed=4)
    assert not np.array_equal(check.maps[0], other.maps[0])
    lines = str(check).splitlines()
    assert (
        " ".join(lines[2].split()) == "forgotten from the output down to correlation of the sizes"
    )
    assert lines[3].split() == ["scores", f"{check.correlations[0]:.2f}", f"{check.sizes[0]:.2f}"]
    assert "<table" in check._repr_html_()


def test_the_shuffled_weights_are_the_same_numbers() -> None:
    model = by_hand()
    heat: Any = model.trace(X).heatmap("grad_cam", class_index=0)
    check = heat.sanity_check(seed=0)
    assert check.layers == ["scores", "same"]
    # After the scores have forgotten, α is made of W's numbers in another order.
    alphas = [(a / 4, b / 4) for a in W.ravel() for b in W.ravel() if a != b or a == -1]
    maps = [np.maximum(X[0] @ np.array(pair), 0) for pair in alphas]
    assert any(np.allclose(check.maps[0], m) for m in maps)


def test_a_network_without_weights_has_nothing_to_forget() -> None:
    model = minicnn.Sequential([minicnn.Input((2, 2, 2)), layers.GlobalAveragePooling2D()])
    heat = model.trace(X).heatmap("gradient_x_input")
    with pytest.raises(ValueError, match="has no weights, so it has nothing to forget"):
        heat.sanity_check()


# -- refused -------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"method": "lime"}, "method is grad_cam or occlusion or .*Received 'lime'"),
    ({"method": ["grad_cam"]}, "method is grad_cam or"),
    ({"class_index": 3}, "classes 0…2. Received at=3"),
    ({"class_index": -1}, "classes 0…2. Received at=-1"),
    ({"class_index": 1.5}, "Received at=1.5"),
    ({"class_index": "hat"}, "no class 'hat'. It names no classes"),
    ({"example": 2}, "saw the examples 0…1. Received example=2"),
    ({"layer": "flatten"}, 'a layer with maps, .*"flatten" gives 270'),
    ({"layer": "convv"}, "no layer 'convv'"),
    ({"method": "occlusion", "layer": "first"}, "takes size, stride, fill. Received layer='first'"),
    ({"method": "gradient_x_input", "steps": 3}, "takes no options. Received steps=3"),
    ({"method": "occlusion", "size": 11}, "12×10 pixels. Received size=11"),
    ({"method": "occlusion", "size": 0}, "size"),
    ({"method": "occlusion", "size": 2, "stride": 3}, "would leave gaps"),
    ({"method": "occlusion", "fill": [1, 2]}, r"each of 3 channels. Received fill=\[1, 2\]"),
    ({"method": "occlusion", "fill": "red"}, "Received fill='red'"),
    ({"method": "occlusion", "fill": np.nan}, "Received fill=nan"),
    ({"method": "integrated_gradients", "steps": 0}, "steps of at least 1. Received 0"),
    ({"method": "integrated_gradients", "steps": 2.5}, "steps of at least 1. Received 2.5"),
    ({"method": "integrated_gradients", "baseline": np.zeros((2, 2))}, r"Received \(2, 2\)"),
    ({"method": "integrated_gradients", "baseline": [[1], [1, 2]]}, "a number, one for each"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[str(o) for o, _ in REFUSED])
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cnn().trace(photos()).heatmap(**options)


def test_places_outside_the_map_are_refused() -> None:
    heat: Any = cnn().trace(photos()).heatmap()
    with pytest.raises(ValueError, match="rows 0…5, columns 0…4"):
        heat.explain(at=(6, 0))
    with pytest.raises(ValueError, match="channels 0…8"):
        heat.explain_weight(9)


def test_models_without_one_photo_and_one_output_are_refused() -> None:
    vector = minicnn.Sequential([minicnn.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"needs a photo, .*x.shape=\(1, 4\)"):
        vector.trace(np.ones((1, 4))).heatmap()
    a, b = minicnn.Input((4, 4, 1)), minicnn.Input((4, 4, 1))
    pair = minicnn.Model([a, b], layers.Flatten()(layers.Add()([a, b])))
    x = np.ones((1, 4, 4, 1))
    with pytest.raises(ValueError, match="several inputs; a heat map explains one photo"):
        pair.trace([x, x]).heatmap()
    two = minicnn.Model(a, [layers.Flatten()(a), layers.GlobalMaxPooling2D()(a)])
    with pytest.raises(ValueError, match="has 2 outputs, and a heat map explains one"):
        two.trace(x).heatmap()
    flat = minicnn.Sequential([minicnn.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="needs a layer with maps"):
        flat.trace(x).heatmap()


@pytest.mark.filterwarnings("ignore:.*NaN or infinity")
def test_nan_is_refused() -> None:
    model, x = cnn(), photos(1)
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in x already"):
        model.trace(x).heatmap("occlusion")
