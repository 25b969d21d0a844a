"""A weight's step: each example's share of the gradient, and the optimizer's formula."""

import math
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import constraints, layers, losses, optimizers, regularizers
from minicnn.explain import Update
from minicnn.explain.whole_formulas import FORMULAS

Array = np.ndarray

LOSS = losses.SparseCategoricalCrossentropy(from_logits=True)


def line(optimizer: Any, **options: Any) -> Any:
    """Return y = w·x with w = 1, compiled, for the mean of squares."""
    dense = layers.Dense(1, use_bias=False, name="line", **options)
    model = minicnn.Sequential([minicnn.Input((1,)), dense])
    model.set_weights([np.array([[1.0]])])
    model.compile(optimizer, "mean_squared_error")
    return model


X, Y = np.array([[1.0], [2.0]], np.float32), np.zeros((2, 1), np.float32)


def explained(optimizer: Any, **options: Any) -> Update:
    """Explain the step of w for the targets 0: dw = (2·1·1 + 2·2·2) / 2 = 5."""
    return line(optimizer, **options).trace(X, y=Y).explain_update("line", "kernel", at=(0, 0))


def step_values(update: Update) -> dict[str, float]:
    return {step.name: step.value for step in update.steps}


# -- by hand ---------------------------------------------------------------------------------------


def test_each_example_has_its_share_of_the_gradient() -> None:
    update = explained(optimizers.SGD(0.1))
    assert update.shares.tolist() == [(1, 1, 4.0), (0, 1, 1.0)]
    assert (update.total, update.gradient) == (5.0, 5.0)
    assert (update.before, update.result) == (1.0, 0.5)
    assert update.value == update.after == 0.5
    assert update.change == -0.5


def test_the_text_of_an_update() -> None:
    assert str(explained(optimizers.SGD(0.1))).splitlines() == [
        "line (Dense), kernel[0, 0] in step 1 of SGD",
        "",
        "    w += update,  update = -rate·g",
        "",
        "    from       terms  share of dw  pushes",
        "    example 1      1            4    down",
        "    example 0      1            1    down",
        "",
        "    Σ of 2 examples                        5",
        "    backward said                          5",
        "    update           = -0.1·5           -0.5",
        "    w before                               1",
        "    w after          = before + update   0.5",
        "    SGD said                             0.5",
        "    difference 0: none at all",
    ]


def test_a_negative_share_pushes_the_weight_up_and_further_examples_are_added_up() -> None:
    model = line("sgd")
    trace = model.trace(np.ones((14, 1)), y=np.array([[8.0], *[[0.0]] * 13]))
    update = trace.explain_update("line", at=(0, 0))
    # 2·(1 - 8) / 14 = -1, and 2 / 14 of each of the others
    header, rows, rest = update.rows(most=2)
    assert header == ["from", "terms", "share of dw", "pushes"]
    assert rows == [["example 0", "1", "-1", "up"], ["example 1", "1", "0.1429", "down"]]
    assert rest == "… and 12 more examples, together 1.714"
    assert "… and 2 more examples, together 0.2857" in str(update)
    assert update.to_string(examples=None).count("example ") == 14
    assert "example 0" in update._repr_html_()


@pytest.mark.parametrize(
    ("optimizer", "values", "after"),
    [
        (optimizers.SGD(0.1, momentum=0.5), {"v": -0.5, "update": -0.5}, 0.5),
        # v = -0.5, then 0.5·(-0.5) - 0.5
        (optimizers.SGD(0.1, momentum=0.5, nesterov=True), {"v": -0.5, "update": -0.75}, 0.25),
        # The first step of Adam has the size of its rate, for any gradient.
        (
            optimizers.Adam(0.25, beta_1=0.5, beta_2=0.75, epsilon=0.0),
            {"m": 2.5, "v": 6.25, "rate": 0.25 * 0.5 / 0.5, "√v + ε": 2.5, "update": -0.25},
            0.75,
        ),
        # v = 0.25·25, √v = 2.5, 0.1·5 / 2.5
        (optimizers.RMSprop(0.1, rho=0.75, epsilon=0.0), {"v": 6.25, "update": -0.2}, 0.8),
        # the variance 6.25 - (0.25·5)² has the root 2.165
        (
            optimizers.RMSprop(0.1, rho=0.75, epsilon=0.0, centered=True, momentum=0.5),
            {"mean": 1.25, "s": 0.5 / math.sqrt(4.6875), "update": -0.5 / math.sqrt(4.6875)},
            1 - 0.5 / math.sqrt(4.6875),
        ),
        # a = 11 + 25
        (optimizers.Adagrad(0.6, 11.0, 0.0), {"a": 36.0, "√(a + ε)": 6.0, "update": -0.5}, 0.5),
        # a = 0.25·25, √a = 2.5, and √ε of the steps so far is 0.5, of a's a little more
        (
            optimizers.Adadelta(0.5, rho=0.75, epsilon=0.25),
            {"a": 6.25, "step": 0.5 * 5 / math.sqrt(6.5), "update": -1.25 / math.sqrt(6.5)},
            1 - 1.25 / math.sqrt(6.5),
        ),
        (
            optimizers.Adamax(0.25, beta_1=0.5, epsilon=0.0),
            {"m": 2.5, "u": 5.0, "rate": 0.5, "update": -0.25},
            0.75,
        ),
        # mu(1) = 0.5·0.52 = 0.26, mu(2) = 0.5·0.5392 = 0.2696, the roots of g² and of v̂ are 5
        (
            optimizers.Nadam(0.25, beta_1=0.5, beta_2=0.75, epsilon=0.0),
            {"m": 2.5, "v": 6.25, "step": 2.5 * 0.2696 / (1 - 0.26 * 0.2696) + 5.0, "√v̂ + ε": 5.0},
            1 - 0.05 * (2.5 * 0.2696 / (1 - 0.26 * 0.2696) + 5.0),
        ),
        (optimizers.Lion(0.25, beta_1=0.5), {"c": 2.5, "update": -0.25}, 0.75),
        # b = 11 + 25, √36 - √9 = 3, z = 5 - 3 / 0.5, and then 1 / (6 / 0.5)
        (
            optimizers.Ftrl(0.5, initial_accumulator_value=11.0),
            {"b": 36.0, "pull": (6 - math.sqrt(11)) / 0.5, "divisor": 12.0},
            -(5 - (6 - math.sqrt(11)) / 0.5) / 12,
        ),
        # |z| = 5 is within the limit: the weight becomes 0
        (optimizers.Ftrl(1e6, l1_regularization_strength=6.0), {"update": -1.0}, 0.0),
        # the quotient of the lengths is 1 / 1, since u = 5 / 5
        (
            optimizers.Lamb(0.25, beta_1=0.5, beta_2=0.75, epsilon=0.0),
            {"m": 2.5, "v": 6.25, "u": 1.0, "‖w‖": 1.0, "‖u‖": 1.0, "update": -0.25},
            0.75,
        ),
        # r, c and v are 25, u = 1, and the rate is 1·0.25
        (
            optimizers.Adafactor(0.25),
            {"ρ": 0.25, "rms(w)": 1.0, "rate": 0.25, "r": 25.0, "c": 25.0, "v": 25.0, "u": 1.0},
            0.75,
        ),
        # x = 1, and a round makes 2·1 - 1.5·1 + 0.25·1 = 0.75 of it; √1·0.5 of the rate
        (
            optimizers.Muon(
                0.5,
                muon_a=2.0,
                muon_b=-1.5,
                muon_c=0.25,
                ns_steps=1,
                momentum=0.5,
                rms_rate=0.5,
                weight_decay=0.25,
            ),
            {"decay": -0.125, "m": 5.0, "s": 7.5, "‖s‖": 7.5, "o": 0.75, "c": 0.5},
            0.875 - 0.5 * 0.5 * 0.75,
        ),
        # not a matrix for Muon, but one that it leaves to Adam
        (
            optimizers.Muon(
                0.25,
                adam_beta_1=0.5,
                adam_beta_2=0.75,
                epsilon=0.0,
                adam_weight_decay=None,
                adam_lr_ratio=2,
                exclude_layers=["line"],
            ),
            {"m": 2.5, "v": 6.25, "update": -0.5},
            0.5,
        ),
        # first w -= 0.1·0.5·w, and then the gradient
        (optimizers.SGD(0.1, weight_decay=0.5), {"decay": -0.05, "update": -0.5}, 0.45),
        (optimizers.SGD(0.1, clipvalue=2.0), {"g clipped": 2.0, "update": -0.2}, 0.8),
        (optimizers.SGD(0.1, clipnorm=2.0), {"g clipped": 2.0, "update": -0.2}, 0.8),
        (optimizers.SGD(0.1, global_clipnorm=2.0), {"g clipped": 2.0, "update": -0.2}, 0.8),
        (optimizers.SGD(0.1, clipnorm=9.0), {"g clipped": 5.0, "update": -0.5}, 0.5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, optimizers.Optimizer) else "",
)
def test_the_first_step_by_hand(optimizer: Any, values: dict[str, float], after: float) -> None:
    update = explained(optimizer)
    found = step_values(update)
    assert {name: found[name] for name in values} == pytest.approx(values, rel=1e-6)
    assert update.result == pytest.approx(after, rel=1e-6)
    assert abs(update.difference) <= update.tolerance


def test_a_regularizer_adds_to_the_gradient_and_a_constraint_has_the_last_word() -> None:
    update = explained(optimizers.SGD(0.1), kernel_regularizer=regularizers.L2(0.25))
    assert step_values(update) == pytest.approx({"penalty": 0.5, "g": 5.5, "update": -0.55})
    assert update.result == pytest.approx(0.45)
    update = explained(optimizers.SGD(0.1), kernel_constraint=constraints.MaxNorm(0.125, axis=0))
    assert (update.value, update.after) == (0.5, pytest.approx(0.125))
    assert "w constrained" in str(update)


def test_a_clipped_gradient_may_be_clipped_because_of_other_weights() -> None:
    model = minicnn.Sequential([minicnn.Input((1,)), layers.Dense(1, name="line")])
    model.set_weights([np.array([[1.0]]), np.array([0.0])])
    model.compile(optimizers.SGD(1.0, global_clipnorm=1.0), "mean_squared_error")
    # dw = 2·(4 - 0)·4 = 32 and db = 8: the norm is 8·√17
    update = model.trace(np.array([[4.0]]), y=np.zeros((1, 1))).explain_update("line", "bias", 0)
    assert update.change == pytest.approx(-1 / math.sqrt(17))
    assert abs(update.difference) <= update.tolerance


def test_the_quotient_of_lengths_is_1_where_a_weight_is_zero() -> None:
    model = minicnn.Sequential([minicnn.Input((1,)), layers.Dense(1, name="line")])
    model.set_weights([np.array([[1.0]]), np.array([0.0])])
    optimizer = optimizers.Lamb(0.25, beta_1=0.5, beta_2=0.75, epsilon=0.0)
    model.compile(optimizer, "mean_squared_error")
    update = model.trace(np.array([[4.0]]), y=np.zeros((1, 1))).explain_update("line", "bias", 0)
    found = step_values(update)  # u = 8 / √(8²)
    parts = {name: found[name] for name in ("‖w‖", "‖u‖", "ratio", "update")}
    assert parts == pytest.approx({"‖w‖": 0.0, "‖u‖": 1.0, "ratio": 1.0, "update": -0.25})


# -- the steps of training -------------------------------------------------------------------------


def small(optimizer: Any) -> Any:
    """Return a network with a shared layer, dropout and batch normalization, compiled."""
    minicnn.utils.set_random_seed(5)
    inputs = minicnn.Input((8, 7, 3))
    shared = layers.Conv2D(
        3, 3, padding="same", activation="relu", kernel_regularizer="l2", name="shared"
    )
    x = layers.BatchNormalization(name="norm")(shared(shared(inputs)))
    x = layers.SeparableConv2D(4, 3, name="separable")(x)
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    model = minicnn.Model(inputs, layers.Dense(3, name="scores")(x))
    model.compile(optimizer, LOSS)
    return model


def batches(count: int, size: int = 5) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(1)
    return [
        (rng.normal(size=(size, 8, 7, 3)).astype(np.float32), rng.integers(0, 3, size))
        for _ in range(count)
    ]


def weight_of(model: Any, update: Update) -> float:
    return float(model.get_layer(update.name).params[update.weight][update.at])


PLACES = [
    ("shared", "kernel", (1, 2, 0, 1)),
    ("shared", "bias", (2,)),
    ("norm", "gamma", (1,)),
    ("separable", "depthwise_kernel", (0, 0, 1, 0)),
    ("separable", "pointwise_kernel", (0, 0, 2, 3)),
    ("scores", "kernel", (3, 2)),
]

OPTIMIZERS = [
    optimizers.SGD(0.1),
    optimizers.SGD(0.1, momentum=0.9, clipnorm=0.05),
    optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    optimizers.Adam(0.01),
    optimizers.Adam(optimizers.schedules.ExponentialDecay(0.02, 2, 0.5), amsgrad=True),
    optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.1),
    optimizers.RMSprop(0.01),
    optimizers.RMSprop(0.01, momentum=0.5, centered=True, clipvalue=0.01, use_ema=True),
    optimizers.Adagrad(0.1),
    optimizers.Adadelta(10.0),
    optimizers.Adamax(0.01),
    optimizers.Nadam(0.01),
    optimizers.Lion(0.01),
    optimizers.Ftrl(0.1, l1_regularization_strength=0.001, beta=0.1),
    optimizers.Ftrl(0.1, -0.7, 0.2, 0.0, 0.01, l2_shrinkage_regularization_strength=0.01),
    optimizers.Lamb(0.01, weight_decay=0.1),
    optimizers.Adafactor(0.5, weight_decay=0.01),
    optimizers.Adafactor(0.01, clip_threshold=0.1),
    optimizers.Muon(0.01, adam_weight_decay=0.1),
    optimizers.Muon(0.01, nesterov=False, rms_rate=None, weight_decay=None),
]


@pytest.mark.parametrize("number", range(len(OPTIMIZERS)))
def test_the_step_is_the_one_that_training_makes(number: int) -> None:
    """Also with the state that earlier steps have left, and the masks of the next step."""
    model = small(optimizers.get(optimizers.serialize(OPTIMIZERS[number])))
    for step, (x, y) in enumerate(batches(3)):
        trace = model.trace(x, y=y, training=True)
        updates = [trace.explain_update(*place) for place in PLACES]
        before = [weight_of(model, u) for u in updates]
        model.train_on_batch(x, y)
        for update, w in zip(updates, before, strict=True):
            assert abs(update.difference) <= update.tolerance, str(update)
            assert update.step == step + 1
            assert update.before == w
            assert math.fsum(update.shares.share) == pytest.approx(update.total, rel=1e-12)
            moved = weight_of(model, update) - w
            assert moved == pytest.approx(update.change, rel=1e-3, abs=1e-7), str(update)


def test_an_example_s_share_is_its_own_gradient() -> None:
    model = small("sgd")  # in inference mode no example changes what another one gives
    ((x, y),) = batches(1)
    trace = model.trace(x, y=y)
    for place in PLACES:
        update = trace.explain_update(*place)
        for one in update.shares:
            alone = model.trace(x[[one.example]], y=y[[one.example]])
            grads = [e.grads for e in alone.entries if e.layer.name == update.name]
            own = sum(float(found[update.weight][update.at]) for found in grads)
            assert one.share == pytest.approx(own / 5, rel=1e-4, abs=1e-7), place
        assert "training=True" in update.notes[-1]
    assert "used 2 times" in trace.explain_update(*PLACES[0]).notes[0]


def test_explaining_makes_no_step() -> None:
    model = small(optimizers.Adam(0.01))
    (x, y), (other, _) = batches(2)
    model.train_on_batch(x, y)
    state = [v.copy() for _, v in model.optimizer.state(model.trainable_weights)]
    weights = model.get_weights()
    trace = model.trace(other, y=y, training=True)
    first, again = (str(trace.explain_update(*PLACES[0])) for _ in range(2))
    assert first == again
    for before, now in zip(state, model.optimizer.state(model.trainable_weights), strict=True):
        assert np.array_equal(before, now[1])
    for before, now in zip(weights, model.get_weights(), strict=True):
        assert np.array_equal(before, now)


def test_another_optimizer_can_be_asked_what_it_would_do() -> None:
    trace = line("sgd").trace(X, y=Y)
    assert trace.explain_update("line", at=(0, 0), optimizer=optimizers.SGD(0.25)).change == -1.25
    assert "Adam said" in str(trace.explain_update("line", at=(0, 0), optimizer="adam"))


@pytest.mark.keras
@pytest.mark.parametrize("name", [cls.__name__ for cls in FORMULAS])
def test_keras_makes_the_same_step(name: str) -> None:
    keras = pytest.importorskip("keras")
    update = explained(getattr(optimizers, name)(0.1))
    theirs = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    theirs.set_weights([np.array([[1.0]])])
    theirs.compile(getattr(keras.optimizers, name)(0.1), "mean_squared_error")
    theirs.train_on_batch(X, Y)
    assert update.result == pytest.approx(float(theirs.get_weights()[0][0, 0]), rel=1e-6)


# -- what cannot be explained ----------------------------------------------------------------------


def test_what_is_no_weight_of_the_layer_is_refused() -> None:
    model = small("sgd")
    ((x, y),) = batches(1)
    with pytest.raises(ValueError, match=r"went forward only"):
        model.trace(x).explain_update("scores", "kernel", (0, 0))
    trace = model.trace(x, y=y)
    with pytest.raises(ValueError, match=r"has the weights kernel, bias. Received 'dx'"):
        trace.explain_update("scores", "dx", (0, 0))
    with pytest.raises(ValueError, match=r"kernel .*Received at=\(4, 0\)"):
        trace.explain_update("scores", "kernel", (4, 0))
    model.get_layer("separable").trainable = False
    with pytest.raises(ValueError, match=r"frozen or unfrozen since this trace"):
        trace.explain_update("scores", "kernel", (0, 0))
    with pytest.raises(ValueError, match=r"is frozen"):
        model.trace(x, y=y).explain_update("separable", "pointwise_kernel", (0, 0, 0, 0))


class OwnSGD(optimizers.SGD):
    """A user's own optimizer, whose step may be anything."""


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        (OwnSGD(), "knows the steps of SGD, Adam, .*, Muon. Received OwnSGD"),
        (
            optimizers.SGD(gradient_accumulation_steps=2),
            r"step of one batch. Received SGD\(gradient_accumulation_steps=2\)",
        ),
        (
            optimizers.SGD(use_ema=True, ema_overwrite_frequency=3),
            r"averages do not replace. Received SGD\(ema_overwrite_frequency=3\)",
        ),
    ],
)
def test_steps_that_are_no_sum_over_the_batch_are_refused(optimizer: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        explained(optimizer)


def test_a_model_without_an_optimizer_or_with_penalties_on_outputs_is_refused() -> None:
    model = minicnn.Sequential([minicnn.Input((1,)), layers.Dense(1, name="line")])
    trace = model.trace(X, y=Y, loss="mean_squared_error")
    with pytest.raises(ValueError, match=r'has no optimizer .* pass optimizer="adam"'):
        trace.explain_update("line", at=(0, 0))
    assert trace.explain_update("line", at=(0, 0), optimizer="sgd").step == 1
    with pytest.raises(ValueError, match=r"penalties on weights only. .* activity_regularizer"):
        explained("sgd", activity_regularizer="l2")
