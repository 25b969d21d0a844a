"""The health check passes healthy models, names each illness, and changes nothing."""

import math
from unittest import mock

import numpy as np
import pytest

import minicnn as keras
from minicnn import layers, losses, optimizers
from minicnn._support import seeding
from minicnn.explain import health
from minicnn.layers.applications import LayerScale
from minicnn.layers.base import name_counts

CLASSES = 4
CHECKS = (
    "weights", "inputs", "output and loss", "initial loss", "dead ReLUs", "activations",
    "gradients", "step / weights", "tiny batch",
)  # fmt: skip


def images(count=24, seed=0):
    """Return pixels 0 to 255, each class of its own brightness, sorted by class as folders are."""
    y = np.repeat(np.arange(CLASSES), count // CLASSES)
    noise = np.random.default_rng(seed).integers(0, 120, (count, 10, 10, 3))
    x = noise + 45 * y[:, None, None, None]
    return x.astype("float32"), y


def network(
    *first, units=CLASSES, last="softmax", activation="relu", initializer="glorot_uniform", deep=1
):
    keras.utils.set_random_seed(0)
    hidden = [
        layers.Dense(12, activation=activation, kernel_initializer=initializer, name=f"hidden_{i}")
        for i in range(deep)
    ]
    conv = layers.Conv2D(6, 3, activation=activation, kernel_initializer=initializer, name="conv")
    return keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            *first,
            conv,
            layers.Flatten(),
            *hidden,
            layers.Dense(units, activation=last, name="end"),
        ]
    )


def compiled(*first, loss="sparse_categorical_crossentropy", optimizer="adam", **options):
    model = network(*first, **options)
    model.compile(optimizer, loss)
    return model


SCALED = layers.Rescaling(1 / 127.5, -1)


# -- healthy models -------------------------------------------------------------------------------


def test_a_healthy_network():
    report = health(compiled(SCALED), *images())
    assert report.passed
    assert {check.name: check.verdict for check in report.checks} == dict.fromkeys(CHECKS, "ok")
    assert report.verdict == "Healthy: nothing was found that would keep it from learning."
    assert all(check.sentence.endswith(".") for check in report.checks)


@pytest.mark.parametrize(
    ("loss", "units", "last", "kind"),
    [
        ("sparse_categorical_crossentropy", 4, "softmax", "numbers"),
        ("categorical_crossentropy", 4, "softmax", "one-hot"),
        (losses.SparseCategoricalCrossentropy(from_logits=True), 4, None, "numbers"),
        (losses.CategoricalCrossentropy(True, label_smoothing=0.2), 4, None, "one-hot"),
        (losses.CategoricalCrossentropy(True, reduction="sum"), 4, None, "one-hot"),
        ("binary_crossentropy", 1, "sigmoid", "two"),
        (losses.BinaryCrossentropy(from_logits=True), 1, None, "two"),
        (losses.BinaryCrossentropy(label_smoothing=0.1), 1, "sigmoid", "column"),
    ],
)
def test_zero_weights_have_the_initial_loss_of_guessing(loss, units, last, kind):
    model = compiled(SCALED, loss=loss, units=units, last=last)
    model.get_layer("end").set_weights([np.zeros((12, units)), np.zeros(units)])
    x, y = images()
    y = {"numbers": y, "one-hot": np.eye(4)[y], "two": y % 2, "column": y[:, None] % 2}[kind]
    report = health(model, x, y)
    value, guess = (2, "log 2") if units == 1 else (4, "log 4")
    expected = f"{math.log(value):.3f}; guessing costs {math.log(value):.3f} = {guess}"
    assert report["initial loss"] == (
        "initial loss", "ok", expected, report["initial loss"].sentence
    )  # fmt: skip
    assert report["output and loss"].verdict == "ok"
    assert report["tiny batch"].verdict in ("ok", "look"), str(report)
    # In the first step, only the last layer gets a gradient; that is not a problem.
    assert report.passed
    assert report["gradients"].measured == "none arrives at conv, hidden_0"
    assert "weights of end are all 0" in report["gradients"].sentence


def test_a_layer_s_numbers_by_hand():
    """One unit with w = 2 maps x = 1, 3 to y = 2, 6; sigmoid cross-entropy, targets 0 and 1."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, name="one")])
    model.set_weights([[[2.0]], [0.0]])
    model.compile(optimizers.SGD(0.1), losses.BinaryCrossentropy(from_logits=True))
    (row,) = health(model, np.array([[1.0], [3.0]]), np.array([0, 1])).layers
    p = 1 / (1 + np.exp(-np.array([2.0, 6.0])))
    dw = (p[0] * 1 + (p[1] - 1) * 3) / 2
    db = (p[0] + p[1] - 1) / 2
    assert (row.name, row.kind, row.output_shape, row.dead) == ("one", "Dense", (2, 1), None)
    assert (row.mean, row.std) == (4, 2)
    assert row.gradient == pytest.approx(math.hypot(dw, db), rel=1e-5)
    # Kernel and bias are of one size, so both count: √(dw² + db²) / √(2² + 0²).
    assert row.relative == pytest.approx(math.hypot(dw, db) / 2, rel=1e-5)
    assert row.step == pytest.approx(0.1 * math.hypot(dw, db) / 2, rel=1e-5)


# -- ill models -----------------------------------------------------------------------------------


def test_a_dead_network():
    model = compiled(SCALED)
    model.get_layer("conv").set_weights([np.zeros((3, 3, 3, 6)), np.full(6, -1.0)])
    report = health(model, *images())
    assert not report.passed
    assert report["dead ReLUs"].verdict == "problem"
    assert "conv" in report["dead ReLUs"].measured
    assert report["activations"].verdict == "problem"
    assert report["gradients"].verdict == "problem"
    assert "none arrives at conv" in report["gradients"].measured
    assert report["tiny batch"].verdict == "problem"
    dead = {row.name: row.dead for row in report.layers if row.dead is not None}
    assert dead == {"conv": 1, "hidden_0": 1}  # it gets only zeros, and has zero biases


def test_some_dead_units_are_counted():
    model = compiled(SCALED)
    kernel, bias = model.get_layer("conv").get_weights()
    bias[:4] = -1000
    model.get_layer("conv").set_weights([kernel, bias])
    report = health(model, *images())
    assert next(row.dead for row in report.layers if row.name == "conv") == pytest.approx(4 / 6)
    assert report["dead ReLUs"].verdict == "look"
    assert "67%, in conv" in report["dead ReLUs"].measured


def test_pixels_without_rescaling():
    report = health(compiled(), *images())
    assert report["inputs"].verdict == "look"
    assert "put Rescaling(1/255) first" in report["inputs"].sentence
    assert health(compiled(layers.BatchNormalization()), *images())["inputs"].verdict == "ok"


def test_pixels_divided_twice():
    x, y = images()
    report = health(compiled(layers.Rescaling(1 / 255)), x / 255, y)
    assert report["inputs"].verdict == "look"
    assert "divided by 255 twice" in report["inputs"].sentence


def test_inputs_that_are_all_the_same():
    x, y = images()
    report = health(compiled(SCALED), np.ones_like(x), y)
    assert report["inputs"].verdict == "problem"
    assert report["tiny batch"].verdict == "problem"  # the same image with different labels


def test_scores_taken_for_probabilities():
    report = health(compiled(SCALED, last=None), *images())
    assert report["output and loss"].verdict == "problem"
    assert "SparseCategoricalCrossentropy(from_logits=True)" in report["output and loss"].sentence


@pytest.mark.slow
def test_probabilities_taken_for_scores():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    report = health(compiled(SCALED, loss=loss), *images())
    assert report["output and loss"].verdict == "look"  # as in Keras, the loss finds the logits
    model = network(SCALED)
    x = layers.Reshape((CLASSES,))(model.outputs[0])  # and here it cannot
    model = keras.Model(model.inputs, x)
    model.compile("adam", loss)
    report = health(model, *images())
    assert report["output and loss"].verdict == "problem"
    assert "softmax twice" in report["output and loss"].sentence


def test_softmax_of_one_unit():
    x, y = images()
    report = health(
        compiled(SCALED, units=1, loss="categorical_crossentropy"), x, np.ones((len(y), 1))
    )
    assert report["output and loss"].verdict == "problem"
    assert "binary_crossentropy" in report["output and loss"].sentence


def test_weights_that_are_too_large():
    report = health(compiled(SCALED, initializer=keras.initializers.RandomNormal(0, 30)), *images())
    assert report["initial loss"].verdict == "look"
    assert report["activations"].verdict == "look"
    assert "grow" in report["activations"].sentence
    assert report["gradients"].verdict == "look"
    assert "Exploding" in report["gradients"].sentence


def test_signals_that_fade():
    model = compiled(SCALED, initializer=keras.initializers.RandomNormal(0, 3e-3), deep=2)
    report = health(model, *images())
    assert report["activations"].verdict == "look"
    assert "fade" in report["activations"].sentence


@pytest.mark.slow
def test_gradients_that_vanish():
    model = compiled(SCALED, activation="sigmoid", deep=12)
    report = health(model, *images())
    assert report["gradients"].verdict == "look"
    assert "Vanishing" in report["gradients"].sentence
    assert "faint at conv" in report["gradients"].measured
    # With ReLUs, gradients reach all layers.
    assert health(compiled(SCALED, deep=12), *images())["gradients"].verdict == "ok"


def plain_or_residual(depth, residual):
    """Return `depth` convolutions in a row, alone or in pairs with a shortcut."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(SCALED(inputs))
    for number in range(0, depth, 2):
        y = x
        for name in (f"conv_{number}", f"conv_{number + 1}"):
            y = layers.Conv2D(8, 3, padding="same", activation="relu", name=name)(y)
        x = layers.Add()([x, y]) if residual else y
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="end")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_gradients_that_vanish_where_the_signal_has_faded_too():
    """The last kernel's gradient is as faint as the first one's: only the loss's tells."""
    report = health(plain_or_residual(40, False), *images(), steps=1)
    relative = [row.relative for row in report.layers if row.relative is not None]
    assert min(relative) > 1e-4 * max(relative)
    assert report["gradients"].verdict == "look"
    assert "faint at stem … end, 42 layers" in report["gradients"].measured
    residual = health(plain_or_residual(40, True), *images(), steps=1)
    assert residual["gradients"].verdict == "ok"
    assert residual["gradients"].sentence == "A gradient reaches every layer."


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "ResNet50V2", "Xception", "VGG16"])
def test_gradients_of_fresh_networks(name):
    keras.utils.set_random_seed(0)
    base = getattr(keras.applications, name)(
        include_top=False, weights=None, pooling="avg", input_shape=(71, 71, 3)
    )
    model = keras.Sequential([base, layers.Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).uniform(-1, 1, (4, 71, 71, 3)).astype("float32")
    report = health(model, x, np.arange(4), steps=1, tiny=1)
    assert report["gradients"].verdict == "ok"


def test_a_normalization_before_another_one_needs_no_gradient_for_its_scale():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.BatchNormalization(epsilon=1e-7, name="first"),
            layers.ReLU(),
            layers.BatchNormalization(epsilon=1e-7, name="second"),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images()
    assert health(model, x / 255, y, steps=1)["gradients"].verdict == "ok"


def test_a_block_whose_scale_starts_near_zero_is_meant_to_be_so():
    """ConvNeXt's LayerScale starts at 1e-6, and so do the gradients in front of it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(4, 3, strides=3, name="stem")(SCALED(inputs))
    y = layers.Conv2D(4, 3, padding="same", name="inside")(x)
    x = layers.Add()([x, LayerScale(1e-7, 4, name="scale")(y)])
    end = layers.Dense(4, activation="softmax", name="end")(layers.Flatten()(x))
    model = keras.Model(inputs, end)
    model.compile("adam", "sparse_categorical_crossentropy")
    check = health(model, *images(), steps=1)["gradients"]
    assert check.verdict == "ok"
    assert "faint at inside" in check.measured
    assert "LayerScale" in check.sentence


@pytest.mark.slow
def test_a_learning_rate_that_is_too_small():
    report = health(compiled(SCALED, optimizer=optimizers.SGD(1e-6)), *images())
    assert report["step / weights"].verdict == "look"
    assert "larger learning rate" in report["step / weights"].sentence
    assert report["tiny batch"].verdict == "look"
    assert "Adam(learning_rate=0.001) does" in report["tiny batch"].sentence
    assert report.passed


def test_a_learning_rate_that_is_too_large():
    report = health(compiled(SCALED, optimizer=optimizers.SGD(1e8)), *images())
    assert report["step / weights"].verdict == "look"
    assert "smaller learning rate" in report["step / weights"].sentence
    assert report["tiny batch"].verdict != "ok"


def test_nan_weights_are_named_and_nothing_else_is_tried():
    model = compiled(SCALED)
    model.get_layer("end").set_weights([np.full((12, 4), np.nan), np.zeros(4)])
    report = health(model, *images())
    assert not report.passed
    assert [check.name for check in report.checks] == ["weights"]
    assert report["weights"].measured == "NaN or infinity in end/kernel"


def test_nan_inputs_are_named():
    x, y = images()
    x[3, 2, 1, 0] = np.nan
    report = health(compiled(SCALED), x, y)
    assert (report["inputs"].verdict, report["inputs"].measured) == ("problem", "NaN or infinity")


def test_overflow_is_found_in_the_layer_where_it_happens():
    model = compiled(SCALED)
    model.get_layer("conv").set_weights([np.full((3, 3, 3, 6), 1e38), np.zeros(6)])
    report = health(model, *images())
    assert not report.passed
    assert report["activations"].measured == "NaN or infinity after conv"


def test_a_network_that_is_right_before_it_learns():
    """The model has trained weights, but has taken no step itself."""
    model = compiled(SCALED)
    x, y = images()
    model.fit(x, y, epochs=60, verbose=0)
    fresh = compiled(SCALED)
    fresh.set_weights(model.get_weights())
    report = health(fresh, x, y)
    assert report["initial loss"].verdict == "look"
    assert "trained weights" in report["initial loss"].sentence
    assert "trained for 60 steps already" in health(model, x, y)["initial loss"].sentence


# -- models and data of other kinds ---------------------------------------------------------------


def test_nested_and_frozen_models():
    inner = keras.Sequential(
        [keras.Input((10, 10, 3)), layers.Conv2D(3, 3, activation="relu", name="inside")],
        name="base",
    )
    inner.trainable = False
    inputs = keras.Input((10, 10, 3))
    x = layers.Flatten()(inner(SCALED(inputs)))
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="end")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    report = health(model, *images())
    rows = {row.name: row for row in report.layers}
    assert rows["base/inside"].dead is not None
    assert rows["base/inside"].gradient is None
    assert rows["end"].gradient > 0
    model.trainable = False
    frozen = health(model, *images())
    assert frozen["tiny batch"].verdict == frozen["gradients"].verdict == "skipped"


def test_a_model_that_is_not_built_stays_so():
    model = keras.Sequential([layers.Flatten(), layers.Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images()
    assert health(model, x / 255, y).passed
    assert not model.built


def test_examples_come_from_everywhere_in_sorted_data():
    """A data set's first examples are often of one class, and would be learned too easily."""
    x, y = images(400)
    seen = []

    class Spy(losses.SparseCategoricalCrossentropy):
        def forward(self, y_true, *args, **kwargs):
            seen.append(np.asarray(y_true))
            return super().forward(y_true, *args, **kwargs)

    report = health(compiled(SCALED, loss=Spy()), x, y)
    assert "32 examples" in report.title
    assert len(seen[0]) == 32
    assert set(seen[0].tolist()) == set(range(CLASSES))
    assert {len(targets) for targets in seen} == {32, 8}
    assert all(len(set(targets.tolist())) == CLASSES for targets in seen)


def test_a_data_set_gives_its_first_batch():
    x, y = images()
    batches = [(x[:10], y[:10]), (x[10:], y[10:])]
    assert "10 examples" in health(compiled(SCALED), (batch for batch in batches)).title


def test_loss_and_optimizer_may_be_given():
    report = health(network(SCALED), *images(), loss="sparse_categorical_crossentropy")
    assert "SparseCategoricalCrossentropy, Adam(learning_rate=0.001)" in report.title
    report = health(
        compiled(SCALED), *images(), loss="sparse_categorical_crossentropy",
        optimizer=optimizers.SGD(0.05),
    )  # fmt: skip
    assert "SGD(learning_rate=0.05)" in report.title


def test_a_loss_of_your_own():
    """Only the cost of guessing is then unknown."""

    class Squared(losses.Loss):
        def call(self, y_true, y_pred):
            return ((y_true - y_pred) ** 2).mean(axis=-1)

        def gradient(self, y_true, y_pred):
            return 2 * (y_pred - y_true) / y_true.shape[-1]

    x, y = images()
    report = health(compiled(SCALED, loss=Squared()), x, np.eye(CLASSES)[y])
    assert report["initial loss"].verdict == report["output and loss"].verdict == "skipped"
    assert report["tiny batch"].verdict in ("ok", "look")
    assert report.passed


def test_one_hot_targets_may_be_soft():
    """A loss that cannot reach 0 is measured from the least it can be."""
    x, y = images()
    soft = np.eye(CLASSES)[y] * 0.6 + 0.1
    report = health(compiled(SCALED, loss="categorical_crossentropy"), x, soft)
    assert report["tiny batch"].verdict == "ok", str(report)


def test_dropout_does_not_prevent_learning_a_batch():
    model = compiled(SCALED, layers.Dropout(0.9))
    assert health(model, *images())["tiny batch"].verdict == "ok"
    assert model.layers[1].rate == 0.9


# -- the user's objects are not changed -----------------------------------------------------------


def test_health_changes_nothing_of_the_user_s():
    model = compiled(SCALED, layers.BatchNormalization(), layers.Dropout(0.5))
    x, y = images()
    model.fit(x, y, epochs=2, verbose=0)
    loss, optimizer = model.loss, model.optimizer
    before, x_before, y_before = model.get_weights(), x.copy(), y.copy()
    state = [v.copy() for _, slots in optimizer._state.values() for v in slots.values()]
    iterations, reduction = optimizer.iterations, loss.reduction
    randomness = seeding.default_generator().bit_generator.state
    names, uses = dict(name_counts), [len(layer.nodes) for layer in model.layers]
    first = health(model, x, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert np.array_equal(x, x_before)
    assert np.array_equal(y, y_before)
    assert (model.loss, model.optimizer) == (loss, optimizer)
    assert (optimizer.iterations, loss.reduction) == (iterations, reduction)
    after = [v for _, slots in optimizer._state.values() for v in slots.values()]
    assert all(np.array_equal(a, b) for a, b in zip(state, after, strict=True))
    assert seeding.default_generator().bit_generator.state == randomness
    assert dict(name_counts) == names
    assert [len(layer.nodes) for layer in model.layers] == uses
    assert not model.stop_training
    assert str(health(model, x, y)) == str(first)


def test_the_check_is_short(capsys):
    """It takes at most `steps` steps, and prints nothing without a terminal."""
    steps = []

    class Counting(optimizers.SGD):
        def apply(self, *args):
            steps.append(1)
            super().apply(*args)

    with mock.patch.object(optimizers, "get", side_effect=lambda config: Counting(1e-6)):
        health(compiled(SCALED), *images(), steps=7)
    assert len(steps) == 1 + 7 + 7  # one measured, then its own optimizer's and Adam's
    assert capsys.readouterr() == ("", "")


# -- how the report looks, and what health refuses ------------------------------------------------


def test_the_tables():
    report = health(compiled(), *images())
    text = str(report)
    assert 'Training health of Sequential "' in text
    for part in (*CHECKS, "✓", "!", "to look at (!)", "conv", "8×8×6", "dead ReLUs", "gradient"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120
    assert repr(report) == text


def test_html_escapes_names():
    model = keras.Sequential(
        [keras.Input((10, 10, 3)), SCALED, layers.Flatten(), layers.Dense(4, name="<script>")],
        name="<b>",
    )
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    html = health(model, *images())._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<table") == 2


def two_outputs():
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(inputs)
    model = keras.Model(inputs, [layers.Dense(4, "softmax")(x), layers.Dense(4, "softmax")(x)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_what_health_refuses():
    x, y = images()
    with pytest.raises(TypeError, match=r"health expects a model\. Received Dense"):
        health(layers.Dense(2), x, y)
    with pytest.raises(ValueError, match="compile the model with a loss first"):
        health(network(SCALED), x, y)
    with pytest.raises(ValueError, match=r"a model with one output\. Received one with 2"):
        health(two_outputs(), x, [y, y])
    with pytest.raises(ValueError, match="needs targets y"):
        health(compiled(SCALED), x)
    with pytest.raises(ValueError, match="steps to be an integer >= 1"):
        health(compiled(SCALED), x, y, steps=0)
    with pytest.raises(ValueError, match="one entry per example"):
        health(compiled(SCALED), x, y[1:])
    with pytest.raises(ValueError, match="the data have no batches"):
        health(compiled(SCALED), (batch for batch in []))
    with pytest.raises(ValueError, match="class numbers from 0 to 3"):
        health(compiled(SCALED), x, y + 1)
    with pytest.raises(ValueError, match=r"expects x\.shape"):
        health(compiled(SCALED), x[:, 1:], y)
    with pytest.raises(KeyError, match="No check 'loss'"):
        health(compiled(SCALED), x, y)["loss"]


@pytest.mark.parametrize(
    ("units", "last", "loss", "measured", "sentence"),
    [
        (1, "softmax", "binary_crossentropy", "1 unit of softmax", 'Use activation="sigmoid"'),
        (1, "softmax", "categorical_crossentropy", "1 unit of softmax", "one unit for each class"),
        (1, "sigmoid", "categorical_crossentropy", "1 unit of sigmoid", "one unit for each class"),
        (4, "softmax", "binary_crossentropy", "4 units of softmax", 'Use "categorical_cross'),
        (4, "sigmoid", "categorical_crossentropy", "4 units of sigmoid", 'activation="softmax"'),
    ],
)
def test_a_last_layer_that_does_not_match_the_loss(units, last, loss, measured, sentence):
    x, y = images(8)
    y = np.eye(CLASSES)[y] if units > 1 else (y > 1).astype("float32")[:, None]
    report = health(compiled(SCALED, units=units, last=last, loss=loss), x, y, steps=2)
    check = report["output and loss"]
    assert (check.verdict, check.measured) == ("problem", measured)
    assert sentence in check.sentence
    assert not report.passed


def test_a_softmax_of_one_unit_in_the_middle():
    gate = layers.Conv2D(1, 1, activation="softmax", name="gate")
    x, y = images(8)
    check = health(compiled(SCALED, gate), x, y, steps=2)["output and loss"]
    assert check.verdict == "problem"
    assert check.measured == 'softmax over the one unit of Conv2D "gate"'


@pytest.mark.parametrize(("times", "measured"), [(0, "sums from 0 to 0"), (2, "sums from 2 to 2")])
def test_targets_that_are_not_a_distribution(times, measured):
    x, y = images(8)
    # Rows with two ones each, so that targets that sum to 2 stay within 0 and 1.
    rows = np.eye(CLASSES)[y] if times == 0 else np.eye(CLASSES)[y] + np.eye(CLASSES)[(y + 1) % 4]
    report = health(
        compiled(SCALED, loss="categorical_crossentropy"), x, rows * min(times, 1), steps=2
    )
    assert report["targets"].verdict == "problem"
    assert report["targets"].measured == measured
    assert "do not sum to 1" in report["targets"].sentence
