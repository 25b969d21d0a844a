"""The gradient check passes right layers, catches wrong ones, and tells kinks from errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import graphs

import minicnn as keras
from minicnn import layers
from minicnn._support import seeding
from minicnn.explain import gradcheck
from minicnn.layers.base import name_counts


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


PICTURE, ROW = (2, 6, 5, 4), (3, 7)
ALL = [
    (layers.Conv2D(3, 3, strides=2, padding="same", activation="tanh"), PICTURE),
    (layers.Conv2D(4, (2, 3), dilation_rate=2, groups=2), PICTURE),
    (layers.DepthwiseConv2D(3, depth_multiplier=2), PICTURE),
    (layers.SeparableConv2D(3, 3, activation="relu"), PICTURE),
    (layers.ZeroPadding2D(((0, 1), (2, 0))), PICTURE),
    (layers.MaxPooling2D(3, strides=2, padding="same"), PICTURE),
    (layers.AveragePooling2D(2), PICTURE),
    (layers.GlobalAveragePooling2D(), PICTURE),
    (layers.GlobalMaxPooling2D(), PICTURE),
    (layers.BatchNormalization(), PICTURE),
    (layers.Dense(5, activation="softmax"), ROW),
    (layers.Activation("sigmoid"), ROW),
    (layers.Softmax(), ROW),
    (layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), ROW),
    (layers.Rescaling(0.1, offset=-1), PICTURE),
    (layers.Flatten(), PICTURE),
    (layers.Reshape((20, 6)), PICTURE),
    (layers.Dropout(0.5), ROW),
]


@pytest.mark.parametrize(("layer", "shape"), ALL, ids=lambda value: getattr(value, "name", ""))
@pytest.mark.parametrize("training", [False, True])
def test_every_layer_passes(layer, shape, training):
    found = gradcheck(layer, random(shape), training=training)
    assert found.passed, str(found)
    assert [row.verdict for row in found.rows] == ["ok"] * len(found.rows)
    assert {row.name for row in found.rows} >= {"x"}
    assert all(row.worst_error <= found.tolerance for row in found.rows)


def test_layers_with_several_inputs_pass():
    for layer in (layers.Add(), layers.Concatenate()):
        found = gradcheck(layer, [random(PICTURE), random(PICTURE, 1)])
        assert [row.name for row in found.rows] == ["x[0]", "x[1]"]
        assert found.passed, str(found)


def test_the_numbers_of_one_dense_unit_by_hand():
    layer = layers.Dense(1)
    layer.build((None, 2))
    layer.set_weights([[[2.0], [3.0]], [1.0]])
    found = gradcheck(layer, np.array([[4.0, -5.0]]))
    dy = found["bias"].entries[0].analytic  # L = dy * (2 * 4 + 3 * -5 + 1)
    assert [entry.analytic / dy for entry in found["x"].entries] == pytest.approx([2, 3])
    assert [entry.analytic / dy for entry in found["kernel"].entries] == pytest.approx([4, -5])
    assert [entry.numeric / dy for entry in found["kernel"].entries] == pytest.approx([4, -5])
    assert [entry.at for entry in found["kernel"].entries] == [(0, 0), (1, 0)]
    assert (found["kernel"].shape, found["kernel"].tested) == ((2, 1), 2)


def test_the_numbers_of_cross_entropy_by_hand():
    """Dense(2) with zero weights gives 1/2 and 1/2; d loss / d bias is the mean of p - t."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(2, activation="softmax")])
    model.set_weights([np.zeros((1, 2)), np.zeros(2)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = gradcheck(model, np.array([[1.0], [3.0]]), [0, 0])
    name = model.layers[0].name
    assert [e.analytic for e in found[f"{name}/bias"].entries] == pytest.approx([-0.5, 0.5])
    assert [e.analytic for e in found[f"{name}/kernel"].entries] == pytest.approx([-1, 1])
    assert found.passed


# -- wrong gradients are caught -------------------------------------------------------------------


class WrongDx(layers.Conv2D):
    def compute_gradients(self, dz, cache, need_dx):
        dx, grads = super().compute_gradients(dz, cache, need_dx)
        return dx * 1.001, grads


class WrongKernel(layers.Conv2D):
    """Gives the kernel's gradient upside down."""

    def compute_gradients(self, dz, cache, need_dx):
        dx, grads = super().compute_gradients(dz, cache, need_dx)
        return dx, grads | {"kernel": grads["kernel"][::-1].copy()}


class WrongEdge(layers.Conv2D):
    """Is wrong at one pixel of many, which a sample of entries would hardly include."""

    def compute_gradients(self, dz, cache, need_dx):
        dx, grads = super().compute_gradients(dz, cache, need_dx)
        dx = dx.copy()
        dx[0, 0, 0, 0] = 0
        return dx, grads


class NoBias(layers.Conv2D):
    def compute_gradients(self, dz, cache, need_dx):
        dx, grads = super().compute_gradients(dz, cache, need_dx)
        return dx, grads | {"bias": np.zeros_like(grads["bias"])}


class NotFinite(layers.Conv2D):
    def compute_gradients(self, dz, cache, need_dx):
        dx, grads = super().compute_gradients(dz, cache, need_dx)
        return dx * np.nan, grads


@pytest.mark.parametrize(
    ("broken", "array", "verdict"),
    [
        (WrongDx, "x", "wrong"),
        (WrongKernel, "kernel", "wrong"),
        (WrongEdge, "x", "wrong"),
        (NoBias, "bias", "wrong"),
        (NotFinite, "x", "not finite"),
    ],
)
@pytest.mark.parametrize("within", ["alone", "in a model"])
def test_a_wrong_gradient_is_caught(broken, array, verdict, within):
    layer = broken(4, 3, padding="same", activation="relu")
    x = random((2, 12, 12, 3))
    checked, prefix = layer, ""
    if within == "in a model":
        checked = keras.Sequential([keras.Input(x.shape[1:]), layer, layers.Flatten()])
        prefix = "" if array == "x" else f"{layer.name}/"
    found = gradcheck(checked, x)
    assert not found.passed
    bad = {row.name: row.verdict for row in found.rows if row.verdict != "ok"}
    assert bad == {prefix + array: verdict}
    assert (verdict == "wrong") == ("WRONG" in str(found))


def test_a_gradient_of_another_shape_is_named():
    class Turned(layers.Dense):
        def compute_gradients(self, dz, cache, need_dx):
            dx, grads = super().compute_gradients(dz, cache, need_dx)
            return dx, grads | {"kernel": grads["kernel"].T}

    with pytest.raises(ValueError, match=r"gradient of kernel has shape \(4, 7\). Expected"):
        gradcheck(Turned(4), random(ROW))


# -- kinks ----------------------------------------------------------------------------------------


def test_relu_at_zero_is_a_kink_not_an_error():
    found = gradcheck(layers.ReLU(), np.zeros((2, 3)))
    (row,) = found.rows
    assert found.passed
    assert row.verdict == "ok"
    assert row.kinks == 6
    assert {entry.verdict for entry in row.entries} == {"kink"}
    for entry in row.entries:
        slope = entry.slope
        assert 0 in (pytest.approx(slope.left), pytest.approx(slope.right))
        assert slope.central == pytest.approx((slope.left + slope.right) / 2)
        assert entry.numeric == pytest.approx(entry.analytic) == 0
    assert "At a kink" in str(found)


def test_ties_under_max_pooling_are_kinks_not_errors():
    found = gradcheck(layers.MaxPooling2D(), np.ones((1, 2, 2, 1)))
    (row,) = found.rows
    assert found.passed
    assert row.kinks == 4
    given = [entry.analytic != 0 for entry in row.entries]
    assert given == [True, False, False, False]  # the first in reading order


def test_a_smaller_step_avoids_a_kink_near_the_point():
    found = gradcheck(layers.ReLU(), np.array([[3e-6, -3e-6, 1.0]]))
    assert found.passed
    assert found.rows[0].kinks == 0


def test_where_several_kinks_meet_the_gradient_is_tested_beside_them():
    """`GlobalMaxPooling2D` shares the gradient among equal maxima, so it is neither slope."""
    found = gradcheck(layers.GlobalMaxPooling2D(), np.ones((1, 2, 2, 1)))
    assert found.passed, str(found)
    assert {entry.verdict for entry in found.rows[0].entries} == {"kink"}
    beside = sorted(abs(entry.analytic) for entry in found.rows[0].entries)
    assert beside[-1] > 0  # there, one pixel has all of it, not a quarter
    assert "agrees close to the kink" in str(found)


def test_a_wrong_gradient_is_caught_at_kinks_too():
    class Five(layers.ReLU):
        def compute_gradients(self, dz, cache, need_dx):
            return dz * 5, {}

    class Copied(layers.MaxPooling2D):
        """Gives the gradient to every pixel of a window."""

        def compute_gradients(self, dz, cache, need_dx):
            return np.ones_like(cache["x"]) * dz, {}

    assert gradcheck(Five(), np.zeros((2, 3))).rows[0].verdict == "wrong"
    assert gradcheck(Five(), np.full((2, 3), 0.5)).rows[0].verdict == "wrong"
    assert gradcheck(Copied(), np.ones((1, 2, 2, 1))).rows[0].verdict == "ok"  # one of two slopes
    assert gradcheck(Copied(), random((1, 2, 2, 1))).rows[0].verdict == "wrong"


def test_black_pictures_and_zero_biases_pass():
    """Users often try these first, and everything lies at ReLU's kink."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    x = np.zeros((2, 8, 8, 3))
    x[1] = random((8, 8, 3))
    found = gradcheck(model, x)
    assert found.passed, str(found)
    assert found[f"{model.layers[0].name}/bias"].kinks > 0


# -- models ---------------------------------------------------------------------------------------


def graph():
    """Return a model with two inputs, two outputs, a nested model and a layer used twice."""
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, layers.Dense(4, activation="tanh")(inner_input), name="inner")
    first, second = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    x = layers.Add()([inner(shared(first)), shared(second)])
    return keras.Model([first, second], [x, layers.Dense(2, name="end")(x)])


def test_a_graph_with_nested_and_shared_layers_passes():
    found = gradcheck(graph(), [random((3, 4)), random((3, 4), 1)])
    assert found.passed, str(found)
    names = [row.name for row in found.rows]
    assert names[:2] == ["x[0]", "x[1]"]
    assert {"shared/kernel", "shared/bias", "end/kernel", "end/bias"} <= set(names)
    assert sum(name.startswith("inner/") for name in names) == 2


@pytest.mark.parametrize("loss", [None, ["mae", "huber"], [None, "mse"]])
def test_the_loss_of_several_outputs_is_their_weighted_sum(loss):
    inputs = keras.Input((4,))
    x = layers.Dense(4, kernel_regularizer="l2", name="body")(inputs)
    kinds = layers.Dense(3, activation="softmax", name="kind")(x)
    model = keras.Model(inputs, [kinds, layers.Dense(2, name="size")(x)])
    model.compile(
        "sgd",
        {
            "kind": "categorical_crossentropy",
            "size": keras.losses.MeanSquaredError(reduction="none"),
        },
        loss_weights={"kind": 0.5, "size": 3},
    )
    y = {"kind": np.eye(3)[[0, 2, 1]], "size": random((3, 2), 1)}
    found = gradcheck(model, random((3, 4)), y, loss)
    assert found.passed, str(found)
    assert {row.name for row in found.rows if row.verdict == "ok"} >= {"body/kernel", "size/kernel"}


@pytest.mark.parametrize(
    ("units", "last", "loss", "y"),
    [
        (3, "softmax", "categorical_crossentropy", np.eye(3)),
        (3, "softmax", "sparse_categorical_crossentropy", [0, 1, 2]),
        (3, None, keras.losses.CategoricalCrossentropy(True, label_smoothing=0.1), np.eye(3)),
        (3, None, keras.losses.SparseCategoricalCrossentropy(True, reduction="sum"), [0, 1, 2]),
        (1, "sigmoid", "binary_crossentropy", [0, 1, 1]),
        (1, None, keras.losses.BinaryCrossentropy(True, reduction=None), [[0], [1], [1]]),
    ],
)
def test_the_loss_may_be_compiled_or_given(units, last, loss, y):
    model = keras.Sequential([keras.Input((7,)), layers.Dense(units, activation=last)])
    given = gradcheck(model, random(ROW), y, loss)
    model.compile("sgd", loss)
    compiled = gradcheck(model, random(ROW), y)
    assert given.passed, str(given)
    assert str(given) == str(compiled)
    assert "Gradients of the loss" in given.title


def test_a_layer_alone_may_have_a_loss():
    layer = layers.Dense(3, activation="softmax")
    assert gradcheck(layer, random(ROW), [0, 1, 2], "sparse_categorical_crossentropy").passed


def test_frozen_parameters_are_said_to_be_frozen():
    model = keras.Sequential([keras.Input((7,)), layers.Dense(3, name="a"), layers.Dense(2)])
    model.layers[0].trainable = False
    found = gradcheck(model, random(ROW))
    assert found.passed
    frozen = [row.name for row in found.rows if row.verdict == "frozen"]
    assert frozen == ["a/kernel", "a/bias"]
    assert "Frozen, so backward gives no gradient: a/kernel, a/bias." in str(found)


# -- the user's objects are not changed -----------------------------------------------------------


def trained():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(random((4, 6, 6, 1)), [0, 1, 2, 0], verbose=0)
    return model


def test_gradcheck_changes_nothing_of_the_user_s():
    model, x = trained(), random((3, 6, 6, 1)).astype("float32")
    before, x_before = model.get_weights(), x.copy()
    optimizer, iterations = model.optimizer, model.optimizer.iterations
    state = [v.copy() for _, slots in model.optimizer._state.values() for v in slots.values()]
    randomness = seeding.default_generator().bit_generator.state
    names, uses = dict(name_counts), [len(layer.nodes) for layer in model.layers]
    gradcheck(model, x, [0, 1, 2], training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert {v.dtype for v in model.weights} == {"float32"}
    assert np.array_equal(x, x_before)
    assert (model.optimizer, model.optimizer.iterations) == (optimizer, iterations)
    after = [v for _, slots in model.optimizer._state.values() for v in slots.values()]
    assert all(np.array_equal(a, b) for a, b in zip(state, after, strict=True))
    assert seeding.default_generator().bit_generator.state == randomness
    assert dict(name_counts) == names
    assert [len(layer.nodes) for layer in model.layers] == uses


def test_a_layer_that_is_not_built_stays_so():
    randomness = seeding.default_generator().bit_generator.state
    layer = layers.Conv2D(2, 3)
    model = keras.Sequential([layers.Dense(3)])
    assert gradcheck(layer, random(PICTURE)).passed
    assert gradcheck(model, random(ROW)).passed
    assert not layer.built
    assert not model.built
    assert seeding.default_generator().bit_generator.state == randomness


def test_a_layer_of_a_deep_model_is_checked_without_the_model():
    inputs = x = keras.Input((4,))
    for _ in range(400):
        x = layers.Activation("tanh")(x)
    last = layers.Dense(2)
    keras.Model(inputs, last(x))
    assert gradcheck(last, random((2, 4))).passed


def test_the_same_seed_gives_the_same_sample():
    layer = layers.Conv2D(3, 3)
    layer(random(PICTURE))
    first, second, other = (gradcheck(layer, random(PICTURE), seed=s) for s in (1, 1, 2))
    assert str(first) == str(second) != str(other)


def test_small_arrays_are_tested_in_full_and_large_ones_sampled():
    found = gradcheck(layers.Conv2D(3, 3), random(PICTURE), entries=20)
    assert found["x"].tested == 20
    assert found["x"].entries[-1].at is None  # all entries at once
    assert found["bias"].tested == 3
    assert all(entry.at is not None for entry in found["bias"].entries)
    scaled = gradcheck(layers.Rescaling(np.eye(7)[3]), random((9, 7)), entries=1)
    (entry,) = scaled["x"].entries[:-1]
    assert entry.at is not None
    assert entry.at[1] == 3  # the only column with a gradient is always tested


# -- how the check looks, and what it refuses -----------------------------------------------------


def test_the_table():
    found = gradcheck(layers.Conv2D(3, 3, name="a"), random(PICTURE))
    text = str(found)
    assert 'Gradients of a random sum of the output of Conv2D "a", float64' in text
    for part in ("x", "2×6×5×4", "10 of 240", "kernel", "3×3×4×3", "bias", "3 of 3", "verdict"):
        assert part in text
    assert "All gradients agree with the slopes" in text
    assert repr(found) == text


def test_html_escapes_names():
    layer = layers.Dense(3, name='<img src=x onerror="x">')
    html = gradcheck(layer, random(ROW))._repr_html_()
    assert "<img" not in html
    assert "&lt;img" in html
    assert html.count("<tr>") == 4


def test_an_array_that_was_not_checked():
    with pytest.raises(KeyError, match="No array 'kernal'"):
        gradcheck(layers.Dense(2), random(ROW))["kernal"]


def test_what_gradcheck_refuses():
    x = random(ROW)
    with pytest.raises(TypeError, match=r"expects a layer or a model of minicnn\. Received str"):
        gradcheck("dense", x)
    with pytest.raises(TypeError, match="x to be numbers"):
        gradcheck(layers.Dense(2), np.array([["a"]]))
    with pytest.raises(ValueError, match=r"finite x\. Received NaN"):
        gradcheck(layers.Dense(2), x * np.nan)
    with pytest.raises(ValueError, match="at least one example"):
        gradcheck(layers.Dense(2), x[:0])
    with pytest.raises(ValueError, match="entries to be an integer >= 1"):
        gradcheck(layers.Dense(2), x, entries=0)
    with pytest.raises(ValueError, match="a loss needs targets"):
        gradcheck(layers.Dense(2), x, loss="binary_crossentropy")
    inputs = keras.Input((2,))
    two = keras.Model(inputs, [layers.Dense(1)(inputs), layers.Dense(1)(inputs)])
    with pytest.raises(ValueError, match="targets need losses"):
        gradcheck(two, x, [x, x])
    with pytest.raises(ValueError, match="for each of 2 outputs"):
        gradcheck(two, x, [x, x], loss=["mse"])
    with pytest.raises(ValueError, match="targets need a loss"):
        gradcheck(layers.Dense(2), x, [0, 1, 1])
    layer = layers.Dense(2, name="d")
    layer(x)
    layer.set_weights([np.full((7, 2), np.nan), np.zeros(2)])
    with pytest.raises(ValueError, match="the weight d/kernel has NaN"):
        gradcheck(layer, x)


def test_a_layer_with_randomness_of_its_own_is_refused():
    class Noise(layers.ReLU):
        def compute(self, x, training):
            y, cache = super().compute(x, training)
            return y + np.random.default_rng().random(y.shape), cache

    with pytest.raises(ValueError, match="two passes with the same x give different outputs"):
        gradcheck(Noise(), random(ROW))


def test_a_layer_that_insists_on_float32_is_refused():
    class Coarse(layers.ReLU):
        def compute(self, x, training):
            y, cache = super().compute(x, training)
            return y.astype("float32"), cache

    with pytest.raises(ValueError, match=r"the output is float32 though .* in self\.dtype"):
        gradcheck(Coarse(), random(ROW))


def test_a_model_class_of_your_own():
    """The copy's references to layers are to the copy's own layers."""

    class Mine(keras.Sequential):
        def __init__(self):
            super().__init__([keras.Input((7,)), layers.Dense(3), layers.Dense(2)])
            self.favourites = [self.layers[0]]

        def forward(self, x, training=False):
            assert (self.favourites[0].dtype == "float64") == (self.dtype == "float64")
            assert self.favourites[0] is self.layers[0]
            return super().forward(x, training)

    model = Mine()
    assert gradcheck(model, random(ROW)).passed
    assert model.favourites[0].dtype == "float32"


@pytest.mark.parametrize("seed", range(8))
def test_rounding_errors_enlarged_by_a_normalization_are_not_slopes(seed):
    """Equal numbers have variance 0 or a rounding error, and are divided by about its root."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([
        keras.Input((6, 5, 2)), layers.Conv2D(4, 1), layers.BatchNormalization(epsilon=1e-7)
    ])  # fmt: skip
    model.layers[0].bias.assign(random((4,), seed) * 100)
    x = np.ones((2, 6, 5, 2))
    assert gradcheck(model, x, training=True, seed=seed).passed


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(graphs(), st.sampled_from([1.0, 255.0]), st.booleans(), st.integers(0, 99))
def test_no_right_gradient_of_any_graph_is_called_wrong(make, scale, training, seed):
    """Nor is it for inputs of any size, though there are kinks everywhere."""
    keras.utils.set_random_seed(seed)
    model = make(keras)
    x = np.abs(random((2, 6, 5, 2), seed)) * scale
    x[0, :2] = 0
    found = gradcheck(model, x, training=training, entries=4, seed=seed)
    assert all(row.verdict in ("ok", "kinks", "frozen") for row in found.rows), str(found)


def test_integer_pixels_are_accepted():
    pixels = np.arange(2 * 6 * 6 * 3, dtype="uint8").reshape(2, 6, 6, 3)
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Rescaling(1 / 255), layers.Flatten()])
    assert gradcheck(model, pixels).passed
