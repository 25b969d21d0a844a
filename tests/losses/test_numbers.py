"""Other losses than cross-entropies: by hand, as in Keras, explained, in files, and your own."""

import warnings
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Sequential, explain, layers, losses, models

Array = np.ndarray

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(4, 3)).astype(np.float32)
OTHERS = (NUMBERS + RNG.normal(size=(4, 3))).astype(np.float32)
SHARES = np.abs(NUMBERS) / np.abs(NUMBERS).sum(axis=-1, keepdims=True)
SIGNS = np.sign(OTHERS)
ONE_HOT = np.eye(3, dtype=np.float32)[[0, 2, 1, 1]]
INSIDE = RNG.uniform(0.05, 0.95, (4, 3)).astype(np.float32)
MASKS = RNG.integers(0, 2, (2, 3, 4, 1)).astype(np.float32)
SHADES = RNG.uniform(0.05, 0.95, (2, 3, 4, 1)).astype(np.float32)
EDGE = INSIDE.copy()
EDGE[0] = [0, 1, 0.5]

# name, options, targets, predictions
CASES: list[tuple[str, dict[str, Any], Array, Array]] = [
    ("MeanSquaredError", {}, NUMBERS, OTHERS),
    ("MeanSquaredError", {}, MASKS[..., 0], SHADES),
    ("MeanSquaredError", {}, MASKS, SHADES[..., 0]),
    ("MeanAbsoluteError", {}, NUMBERS, OTHERS),
    ("MeanAbsolutePercentageError", {}, NUMBERS, OTHERS),
    ("MeanSquaredLogarithmicError", {}, NUMBERS, OTHERS),
    ("Huber", {}, NUMBERS, 2 * OTHERS),
    ("Huber", {"delta": 0.3}, NUMBERS, OTHERS),
    ("LogCosh", {}, NUMBERS, OTHERS * 30),
    ("Poisson", {}, np.floor(3 * INSIDE), INSIDE),
    ("KLDivergence", {}, SHARES, INSIDE),
    ("KLDivergence", {}, ONE_HOT, EDGE),
    ("CosineSimilarity", {}, NUMBERS, OTHERS),
    ("CosineSimilarity", {"axis": 1}, MASKS + SHADES, SHADES),
    ("Hinge", {}, SIGNS, NUMBERS),
    ("Hinge", {}, ONE_HOT, NUMBERS),
    ("SquaredHinge", {}, SIGNS, NUMBERS),
    ("CategoricalHinge", {}, ONE_HOT, NUMBERS),
    ("Dice", {}, MASKS, SHADES),
    ("Dice", {"axis": (1, 2, 3)}, MASKS, SHADES),
    ("Tversky", {"alpha": 0.3, "beta": 0.8}, MASKS, SHADES),
    ("Tversky", {"axis": [1, 2]}, MASKS, SHADES),
    ("BinaryFocalCrossentropy", {}, ONE_HOT, INSIDE),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 0}, ONE_HOT, NUMBERS),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.6, "gamma": 1.5,
                                 "label_smoothing": 0.2, "from_logits": True}, ONE_HOT, NUMBERS),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT, INSIDE),
    ("CategoricalFocalCrossentropy", {"alpha": [0.2, 0.5, 0.9], "gamma": 0.5}, ONE_HOT, EDGE),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, ONE_HOT,
     NUMBERS),
]  # fmt: skip
IDS = [f"{name}-{'-'.join(map(str, options.values()))}" for name, options, _, _ in CASES]
REDUCTIONS = ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none")


def weights_for(name: str, options: dict[str, Any], y_pred: Array) -> list[Any]:
    """Return None, and sample weights if Keras, too, gives each example its weight."""
    found: list[Any] = [None]
    one_loss_each = y_pred.ndim == 2 or options.get("axis") == (1, 2, 3)
    if one_loss_each or (name in ("Dice", "Tversky") and "axis" not in options):
        found.append(np.linspace(0.5, 2, len(y_pred)).astype(np.float32))
    return found


@pytest.mark.keras
@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES, ids=IDS)
def test_value_and_gradient_are_keras_s(
    name: str, options: dict[str, Any], y_true: Array, y_pred: Array
) -> None:
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    # If targets lack the last axis, Keras takes each row for one example.
    for reduction in REDUCTIONS if y_true.shape == y_pred.shape else REDUCTIONS[:2]:
        for weights in weights_for(name, options, y_pred):
            ours = getattr(losses, name)(reduction=reduction, **options)
            theirs = getattr(keras.losses, name)(reduction=reduction, **options)
            value, cache = ours.forward(y_true, y_pred, weights)
            tensor = tf.constant(y_pred)
            with tf.GradientTape() as tape:
                tape.watch(tensor)
                expected = theirs(y_true, tensor, sample_weight=weights)
                total = tf.reduce_sum(expected)
            np.testing.assert_allclose(np.sum(value), total, rtol=1e-4, atol=1e-6)
            gradient = tape.gradient(total, tensor).numpy()
            np.testing.assert_allclose(
                ours.backward(cache), gradient, atol=1e-5 * np.abs(gradient).max()
            )
    assert ours.name == theirs.name
    function = getattr(losses, {"Huber": "huber"}.get(name, theirs.name))
    theirs_too = getattr(keras.losses, function.__name__)
    expected = theirs_too(y_true.reshape(y_pred.shape), y_pred, **options)
    np.testing.assert_allclose(function(y_true, y_pred, **options), expected, rtol=1e-4, atol=1e-6)
    assert type(losses.get(function.__name__)) is type(ours)
    assert type(losses.get(function)) is type(ours) is type(losses.get(theirs_too))


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES, ids=IDS)
def test_a_config_makes_the_loss_again(
    name: str, options: dict[str, Any], y_true: Array, y_pred: Array
) -> None:
    made = getattr(losses, name)(**options, name="mine", reduction="sum")
    again = losses.deserialize(losses.serialize(made))
    assert again.get_config() == made.get_config()
    assert again(y_true, y_pred) == made(y_true, y_pred)


def test_by_hand() -> None:
    t, y = np.array([[1.0, 2.0]]), np.array([[2.0, 5.0]])
    assert losses.MeanSquaredError()(t, y) == 5  # (1 + 9) / 2
    assert losses.MeanAbsoluteError()(t, y) == 2
    assert losses.MeanAbsolutePercentageError()(t, y) == 125  # (100 + 150) / 2
    assert losses.Huber()(t, y) == 1.5  # (0.5 + 3 - 0.5) / 2
    assert losses.Hinge()([[1, -1]], np.array([[0.25, 0.5]])) == pytest.approx((0.75 + 1.5) / 2)
    assert losses.CategoricalHinge()([[1, 0]], np.array([[0.25, 0.5]])) == 1.25
    assert losses.CosineSimilarity()([[3, 4]], np.array([[4.0, 3.0]])) == pytest.approx(-0.96)
    assert losses.Dice()([[1, 1, 0]], np.array([[1.0, 0.0, 1.0]])) == pytest.approx(0.5)
    assert losses.mean_squared_error([0, 2], [0.0, 4.0]) == 2  # two numbers are one example


@pytest.mark.parametrize("name", ["mse", "MSE", "mae", "mape", "msle", "kld", "huber", "log_cosh"])
def test_strings_are_the_ones_of_keras(name: str) -> None:
    model = Sequential([Input((2,)), layers.Dense(1)])
    model.compile("sgd", name)
    assert model.get_compile_config()["loss"] == name
    assert type(model.loss).__name__.upper().startswith(name[0].upper())


# -- training ------------------------------------------------------------------------------------


def network(library: Any, loss: Any, masks: bool) -> Any:
    last: Any = library.layers.Dense(1)
    if masks:
        last = library.layers.Conv2D(1, 1, activation="sigmoid")
    start = [
        library.Input((4, 4, 2)),
        library.layers.Conv2D(3, 3, padding="same", activation="relu"),
    ]
    model = library.Sequential([*start, *([] if masks else [library.layers.Flatten()]), last])
    model.compile(library.optimizers.SGD(0.05), loss)
    return model


@pytest.mark.keras
@pytest.mark.parametrize(
    ("loss", "masks"),
    [("mse", False), ("mae", False), ("mse", True), ("dice", True), ("huber", True)],
)
def test_regression_heads_and_masks_train_as_in_keras(loss: str, masks: bool) -> None:
    """Each step gives the same loss, and so do the weights in the end."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 4, 4, 2)).astype(np.float32)
    y = (x.sum(axis=-1) > 0).astype(np.float32) if masks else x.sum(axis=(1, 2, 3))
    weights = None if masks else np.linspace(0.5, 2, 6)
    ours, theirs = network(minicnn, loss, masks), network(keras, loss, masks)
    if masks and loss == "dice":  # Keras's function needs the whole shape
        y = y[..., None]
    theirs.set_weights(ours.get_weights())
    for _ in range(4):
        found = ours.train_on_batch(x, y, sample_weight=weights)
        expected = theirs.train_on_batch(x, y, sample_weight=weights)
        assert found == pytest.approx(float(expected), rel=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert ours.evaluate(x, y, verbose=0) == pytest.approx(
        float(theirs.evaluate(x, y, verbose=0)), rel=1e-4
    )


@pytest.mark.keras
def test_files_keep_the_loss_both_ways(tmp_path: Any) -> None:
    keras = pytest.importorskip("keras")
    x, y = np.ones((2, 4, 4, 2), np.float32), np.ones((2, 1), np.float32)
    for made in ("mse", losses.MeanSquaredError(), losses.Huber(0.5), losses.CosineSimilarity()):
        ours = network(minicnn, made, masks=False)
        ours.save(tmp_path / "ours.keras")
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            theirs = keras.models.load_model(tmp_path / "ours.keras")
            theirs.save(tmp_path / "theirs.keras")
            theirs.run_eagerly = True  # tracing a graph takes longer
            again = models.load_model(tmp_path / "theirs.keras")
            back = models.load_model(tmp_path / "ours.keras")
        assert theirs.evaluate(x, y, verbose=0) == pytest.approx(
            ours.evaluate(x, y, verbose=0), rel=1e-5, abs=1e-7
        )
        assert type(again.loss) is type(back.loss) is type(ours.loss)
        ours.save(tmp_path / "ours.h5")
        with warnings.catch_warnings():
            warnings.filterwarnings("error", category=UserWarning, module="minicnn")
            assert type(models.load_model(tmp_path / "ours.h5").loss) is type(ours.loss)


# -- explained -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES, ids=IDS)
def test_every_loss_is_explained(
    name: str, options: dict[str, Any], y_true: Array, y_pred: Array
) -> None:
    model = Sequential([Input(y_pred.shape[1:]), layers.Activation("linear", name="out")])
    trace = model.trace(y_pred, y=y_true, loss=getattr(losses, name)(**options))
    if options == {"axis": 1}:
        with pytest.raises(ValueError, match="axis=-1"):
            trace.explain_loss()
        return
    places = np.argwhere(trace["out"].dy[:2])[:6]
    assert len(places)
    for example, *at in places:
        g = trace.explain_loss_gradient(tuple(at), int(example))
        assert abs(g.difference) <= g.tolerance
        assert g.value == trace["out"].dy[(example, *at)]
        where = () if name in ("Dice", "Tversky") else at[:-1]
        if options.get("axis") == [1, 2]:
            where = (0,)
        e = trace.explain_loss(int(example), where)
        assert abs(e.difference) <= e.tolerance
        assert "loss = " in e.formula
        assert str(e)
        assert str(g)


# -- losses of your own ----------------------------------------------------------------------------


class Squared(losses.Loss):
    """Written as the docstring of `Loss` shows."""

    def call(self, y_true: Array, y_pred: Array) -> Array:
        each: Array = ((y_pred - y_true) ** 2).mean(axis=(1, 2, 3))
        return each

    def gradient(self, y_true: Array, y_pred: Array) -> Array:
        each: Array = 2 * (y_pred - y_true) / y_pred[0].size
        return each


def test_a_loss_of_your_own_trains() -> None:
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 2)).astype(np.float32)
    y = x[..., :1]
    mine, theirs = (network(minicnn, loss, masks=True) for loss in (Squared(), "mse"))
    theirs.set_weights(mine.get_weights())
    weights = np.arange(6.0)
    for model in (mine, theirs):
        model.fit(x, y, sample_weight=weights, shuffle=False, epochs=2, verbose=0)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert Squared().name == "squared"
    assert explain.gradcheck(mine, x[:2], y=y[:2]).passed


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: losses.MeanSquaredError()([[np.nan]], np.zeros((1, 1))), "finite targets"),
        (lambda: losses.MeanSquaredError()([[1, 2]], np.zeros((2, 1))), r"y_true.shape=\(2, 1\)"),
        (lambda: losses.Huber(delta=-1), "delta to be a number >= 0. Received -1"),
        (lambda: losses.CosineSimilarity(axis=1.5), "axis to be an integer. Received 1.5"),
        (lambda: losses.CosineSimilarity(axis=3)([[1]], np.ones((1, 1))), "predictions with that"),
        (lambda: losses.Dice(axis=(1, 9))([[1]], np.ones((1, 1))), "predictions with these axes"),
        (lambda: losses.Dice(axis="rows"), "axis to be an integer, several, or None"),
        (lambda: losses.Tversky(alpha=None), "alpha to be a number"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "gamma to be a number >= 0"),
        (lambda: losses.BinaryFocalCrossentropy(alpha="a"), "alpha to be a number"),
        (lambda: losses.BinaryFocalCrossentropy()([[2]], np.ones((1, 1))), "between 0 and 1"),
        (lambda: losses.CategoricalFocalCrossentropy(alpha=[1, 2])(ONE_HOT, INSIDE), "3 classes"),
        (lambda: losses.CategoricalFocalCrossentropy(label_smoothing=2), r"in \[0, 1\]"),
        (lambda: losses.CategoricalFocalCrossentropy(axis=1), "axis=-1"),
        (lambda: type("Mine", (losses.Loss,), {})()([[1]], np.ones((1, 1))), "Mine has no call"),
    ],
)
def test_what_does_not_fit_is_refused(use: Any, message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=message):
        use()


def test_scores_in_place_of_probabilities_are_noticed() -> None:
    with pytest.warns(UserWarning, match="predictions from -5 to 5 are treated as probabilities"):
        losses.BinaryFocalCrossentropy()([[0, 1]], np.array([[-5.0, 5.0]]))
