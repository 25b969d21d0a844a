"""Optimizers: first steps by hand, every setting as in Keras, and bad settings refused."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minicnn import optimizers
from minicnn._support.variable import Variable
from minicnn.optimizers import SGD, Adam, RMSprop, schedules

Array = np.ndarray


def steps(optimizer: Any, start: float, gradients: list[float]) -> list[float]:
    """Return the values of one weight under these gradients."""
    w = Variable(np.array([start]), "w", "layer")
    found = []
    for g in gradients:
        optimizer.apply({"w": np.array([g])}, {"w": w})
        found.append(float(w.value[0]))
    return found


# -- by hand ---------------------------------------------------------------------------------------


def test_sgd_by_hand() -> None:
    assert steps(SGD(0.5), 1.0, [1, -2]) == [0.5, 1.5]
    # v = -0.5, then 0.5·(-0.5) + 1 = 0.75
    assert steps(SGD(0.5, momentum=0.5), 1.0, [1, -2]) == [0.5, 1.25]
    # w += 0.5·v - 0.5·g: -0.75, then 0.375 + 1
    assert steps(SGD(0.5, momentum=0.5, nesterov=True), 1.0, [1, -2]) == [0.25, 1.625]


def test_adam_by_hand() -> None:
    """The first step has size lr for any gradient, since m / sqrt(v) is its sign."""
    (w,) = steps(Adam(0.1, epsilon=1e-12), 1.0, [1234.0])
    assert w == pytest.approx(0.9)
    # m = 0.5, then 0.5 + (0 - 0.5)·0.5 = 0.25; v = 0.25, then 0.1875;
    # step = lr·sqrt(1 - 0.75²)/(1 - 0.5²) · m/sqrt(v)
    first, second = steps(Adam(1.0, beta_1=0.5, beta_2=0.75, epsilon=1e-12), 0.0, [1.0, 0.0])
    assert first == pytest.approx(-1)
    expected = math.sqrt(1 - 0.5625) / 0.75 * 0.25 / math.sqrt(0.1875)
    assert second - first == pytest.approx(-expected)


def test_amsgrad_remembers_the_largest_v() -> None:
    plain = steps(Adam(1.0, beta_2=0.5), 0.0, [4.0, 0.1, 0.1])
    careful = steps(Adam(1.0, beta_2=0.5, amsgrad=True), 0.0, [4.0, 0.1, 0.1])
    assert plain[0] == pytest.approx(careful[0])
    assert abs(careful[2] - careful[1]) < abs(plain[2] - plain[1])


def test_rmsprop_by_hand() -> None:
    """v = 0.25·4 = 1, step 2; then v = 0.75 + 0.25·1 = 1, step 1."""
    optimizer = RMSprop(1.0, rho=0.75, epsilon=1e-12)
    assert steps(optimizer, 10.0, [2.0, 1.0]) == pytest.approx([8.0, 7.0])
    optimizer = RMSprop(1.0, rho=0.75, epsilon=1e-12, momentum=0.5)
    assert steps(optimizer, 10.0, [2.0, 1.0]) == pytest.approx([8.0, 6.0])
    # centered: v - mean² = 1 - 0.25
    optimizer = RMSprop(1.0, rho=0.75, epsilon=1e-12, centered=True)
    assert steps(optimizer, 0.0, [2.0]) == pytest.approx([-2 / math.sqrt(0.75)])


def test_clipping_by_hand() -> None:
    def after(**clip: float) -> list[float]:
        a, b = (Variable(np.zeros(2), name, "layer") for name in "ab")
        SGD(1.0, **clip).apply(
            {"a": np.array([3.0, 4.0]), "b": np.array([0.0, 12.0])}, {"a": a, "b": b}
        )
        return [-float(v) for v in [*a.value, *b.value]]

    assert after() == [3, 4, 0, 12]
    assert after(clipvalue=3.5) == [3, 3.5, 0, 3.5]
    assert after(clipnorm=10) == [3, 4, 0, 10]
    assert after(clipnorm=2.5) == pytest.approx([1.5, 2, 0, 2.5])
    assert after(global_clipnorm=6.5) == pytest.approx([1.5, 2, 0, 6])
    assert after(global_clipnorm=13) == [3, 4, 0, 12]


def test_weight_decay_by_hand() -> None:
    assert steps(SGD(0.5, weight_decay=0.5), 4.0, [1.0]) == [4 - 4 * 0.25 - 0.5]


def test_ftrl_by_hand() -> None:
    """A = 1, then 1 + 9 = 10, whose power is itself here; z = 3 - (10 - 1) / 0.5 * 2 = -33."""
    optimizer = optimizers.Ftrl(
        0.5, learning_rate_power=-1, initial_accumulator_value=1, l1_regularization_strength=3
    )
    assert steps(optimizer, 2.0, [3.0]) == pytest.approx([(33 - 3) / 20])
    # While z stays within l1 of 0, so does the weight.
    optimizer = optimizers.Ftrl(0.5, l1_regularization_strength=3)
    assert steps(optimizer, 0.0, [1.0, 1.0]) == [0, 0]
    # No gradient, and nothing to start from: no number to divide by.
    assert steps(optimizers.Ftrl(initial_accumulator_value=0), 2.0, [0.0]) == [2]


def test_lamb_by_hand() -> None:
    """Adam's first step is the gradient's sign; Lamb's is as long as the weight, times the rate."""
    assert steps(optimizers.Lamb(0.1, epsilon=0), 4.0, [5.0]) == pytest.approx([4 - 0.1 * 4])
    assert steps(optimizers.Lamb(0.1, epsilon=0), 0.0, [5.0]) == pytest.approx([-0.1])
    assert steps(optimizers.Lamb(0.1), 4.0, [0.0]) == [4]


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_muon_makes_all_directions_alike(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    u, _, vt = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    s = u @ np.diag(np.linspace(0.3, 3, min(shape))) @ vt
    found = np.linalg.svd(optimizers.Muon().orthogonal(s), compute_uv=False)
    assert 0.65 < found.min() <= found.max() < 1.25
    # With these numbers the iteration ends in u v^T itself.
    exact = optimizers.Muon(muon_a=1.875, muon_b=-1.25, muon_c=0.375, ns_steps=20)
    np.testing.assert_allclose(exact.orthogonal(s), u @ vt, atol=1e-6)
    w = Variable(np.zeros(shape), "kernel", "dense")
    exact.apply({"w": s}, {"w": w})
    rate = 0.001 * 0.2 * np.sqrt(5 if 5 in shape else 4)
    np.testing.assert_allclose(w.value, -rate * u @ vt, atol=1e-8)


def test_muon_takes_adam_for_what_is_no_matrix() -> None:
    muon = optimizers.Muon(exclude_layers=["head"])
    kinds = {
        "dense/kernel": ((3, 4), False),
        "dense/bias": ((4,), True),
        "conv/kernel": ((3, 3, 2, 4), True),
        "head/kernel": ((3, 4), True),
        "token_embedding/table": ((3, 4), True),
    }
    made = []
    for path, (shape, adam) in kinds.items():
        layer, name = path.split("/")
        made.append(Variable(np.zeros(shape), name, layer))
        assert muon.uses_adam(made[-1]) is adam
    muon.build(made)
    names = [name for name, _ in muon.state(made)]
    assert names[2:] == [
        *("dense/kernel_momentum", "dense/bias_momentum", "dense/bias_velocity"),
        *("conv/kernel_momentum", "conv/kernel_velocity"),
        *("head/kernel_momentum", "head/kernel_velocity"),
        *("token_embedding/table_momentum", "token_embedding/table_velocity"),
    ]
    assert [shape for _, shape in muon.state_shapes(made)][2:5] == [(3, 4), (4,), (4,)]


# -- agreement with Keras (training/test_against_keras.py trains networks) ------------------------

MORE = (
    "AdamW",
    "Adamax",
    "Nadam",
    "Adagrad",
    "Adadelta",
    "Adafactor",
    "Lion",
    "Ftrl",
    "Lamb",
    "Muon",
)
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"clipnorm": 0.5}),
    ("SGD", {"clipvalue": 0.1}),
    ("SGD", {"global_clipnorm": 0.5}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 0.01}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    *[(name, {}) for name in MORE],
    ("AdamW", {"learning_rate": 0.1, "weight_decay": 0.5, "amsgrad": True, "clipnorm": 0.5}),
    ("Adafactor", {"learning_rate": 0.5, "clip_threshold": 0.5, "relative_step": False}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.5}),
    (
        "Ftrl",
        {
            "learning_rate": 0.2,
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.5,
            "l1_regularization_strength": 0.1,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.05,
            "beta": 0.3,
        },
    ),
    ("Lamb", {"learning_rate": 0.05, "beta_1": 0.5, "weight_decay": 0.1, "clipvalue": 0.2}),
    ("Muon", {"learning_rate": 0.05, "nesterov": False, "rms_rate": None, "ns_steps": 3}),
    ("Muon", {"learning_rate": 0.05, "exclude_layers": ["layer|variable"], "adam_lr_ratio": 0.5}),
    ("Muon", {"learning_rate": 0.05, "weight_decay": None, "adam_weight_decay": 0.1}),
    ("Adagrad", {"learning_rate": 0.5, "initial_accumulator_value": 0.0, "global_clipnorm": 0.5}),
    ("Adam", {"use_ema": True, "learning_rate": 0.1, "ema_momentum": 0.5}),
    ("SGD", {"use_ema": True, "ema_overwrite_frequency": 3, "learning_rate": 0.1}),
    ("Nadam", {"gradient_accumulation_steps": 3, "learning_rate": 0.1, "weight_decay": 0.1}),
    (
        "SGD",
        {
            "gradient_accumulation_steps": 2,
            "use_ema": True,
            "clipvalue": 0.1,
            "ema_overwrite_frequency": 4,
        },
    ),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.1, "rho": 0.5, "momentum": 0.9, "centered": True}),
]


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize(("name", "options"), SETTINGS)
def test_fifty_steps_are_keras_s(name: str, options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal(shape).astype(np.float32) for shape in ((3, 4), (4,))]
    ours = [Variable(w.copy(), f"w{i}", "layer") for i, w in enumerate(starts)]
    theirs = [keras.Variable(w) for w in starts]
    optimizer, oracle = (
        getattr(optimizers, name)(**options),
        getattr(keras.optimizers, name)(**options),
    )
    defaults = optimizer.get_config()
    expected = oracle.get_config()
    for key, value in defaults.items():
        if key == "name":  # Keras numbers names: sgd, sgd_1, …
            continue
        if isinstance(value, float):
            assert value == pytest.approx(expected[key], rel=1e-6)
        else:
            assert value == expected[key], key
    for _ in range(50):
        grads = [rng.standard_normal(w.shape).astype(np.float32) for w in starts]
        optimizer.apply_gradients(zip(grads, ours, strict=True))
        oracle.apply_gradients(zip(grads, theirs, strict=True))
    assert optimizer.iterations == int(oracle.iterations)
    assert optimizer.iterations == 50 // options.get("gradient_accumulation_steps", 1)
    state = optimizer.state(ours)
    assert [array.shape for _, array in state] == [tuple(v.shape) for v in oracle.variables]
    for (name, array), variable in zip(state, oracle.variables, strict=True):
        np.testing.assert_allclose(array, variable.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizers.get(keras.optimizers.serialize(oracle)).get_config() | {
        "name": again.name,
        "learning_rate": again.learning_rate,
    }
    again.set_state(ours, [array for _, array in state])
    optimizer.finalize_variable_values(ours)
    oracle.finalize_variable_values(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.value, b.numpy(), rtol=1e-4, atol=1e-5)


# -- behaviour -------------------------------------------------------------------------------------


def test_a_state_is_copied_or_kept() -> None:
    """Kept arrays are the state, unless their dtype differs; what is not of a weight is copied."""
    w = Variable(np.zeros(2, np.float32), "w", "layer")
    first = optimizers.Nadam(0.5)
    first.apply({"w": np.ones(2, np.float32)}, {"w": w})
    arrays = [array.copy() for _, array in first.state([w])]
    arrays[3] = arrays[3].astype(np.float64)
    for keep in (False, True):
        taken = optimizers.Nadam()
        taken.set_state([w], arrays, keep=keep)
        for (_, array), given in zip(taken.state([w]), arrays, strict=True):
            np.testing.assert_array_equal(array, given)
            assert array.dtype == given.dtype or given is arrays[3]
        slots = taken.slots(w).values()
        assert [any(slot is array for slot in slots) for array in arrays[2:4]] == [keep, False]
    arrays[2] = np.frombuffer(arrays[2].tobytes(), np.float32)  # which cannot be written
    taken = optimizers.Nadam()
    taken.set_state([w], arrays, keep=True)
    taken.apply({"w": np.ones(2, np.float32)}, {"w": w})


def test_the_learning_rate_may_change_between_steps() -> None:
    optimizer = SGD(1.0)
    w = Variable(np.zeros(1), "w", "layer")
    optimizer.apply({"w": np.ones(1)}, {"w": w})
    optimizer.learning_rate = 0.25
    optimizer.apply({"w": np.ones(1)}, {"w": w})
    assert w.value[0] == -1.25
    assert optimizer.get_config()["learning_rate"] == 0.25


@pytest.mark.parametrize(
    "optimizer", [SGD(momentum=0.9), Adam(amsgrad=True), RMSprop(momentum=0.5)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_keep_their_array_and_dtype_and_gradients_are_left_alone(
    optimizer: Any, dtype: str
) -> None:
    optimizer = copy.deepcopy(optimizer)  # each optimizer has one weight
    w = Variable(np.ones((2, 3), dtype), "w", "layer")
    array, g = w.value, np.full((2, 3), 0.5, dtype)
    for _ in range(3):
        optimizer.apply({"w": g}, {"w": w})
    assert w.value is array
    assert array.dtype == dtype
    assert {a.dtype for a in optimizer.slots(w).values()} == {np.dtype(dtype)}
    np.testing.assert_array_equal(g, np.full((2, 3), 0.5))


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.3, 0.5, True, clipnorm=2),
        Adam(0.1, 0.5, 0.6, 0.1, True),
        RMSprop(0.1, 0.5, 0.2, 1e-3, True),
    ],
)
def test_a_config_makes_the_optimizer_again(optimizer: Any) -> None:
    name = type(optimizer).__name__
    again = optimizers.get({"class_name": name, "config": optimizer.get_config()})
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    keras_adds = {"use_ema": False, "ema_momentum": 0.99, "loss_scale_factor": None}
    optimizers.get({"class_name": name, "config": optimizer.get_config() | keras_adds})
    with pytest.raises(ValueError, match="loss_scale_factor=2"):
        optimizers.get({"class_name": name, "config": {"loss_scale_factor": 2}})


def test_names() -> None:
    for name, cls in {"sgd": SGD, "Adam": Adam, "adam": Adam, "RMSprop": RMSprop}.items():
        assert type(optimizers.get(name)) is cls
    own = Adam()
    assert optimizers.get(own) is own


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: SGD(-1), "learning_rate to be a number >= 0 that .*Received -1"),
    (lambda: Adam("fast"), "learning_rate .*'fast'"),
    (lambda: Adam(math.nan), "learning_rate .*nan"),
    (lambda: Adam(math.inf), "learning_rate .*inf"),
    (lambda: SGD(momentum=2), r"momentum in \[0, 1\]. Received 2"),
    (lambda: Adam(beta_1=1), r"beta_1 in \[0, 1\). Received 1"),
    (lambda: Adam(beta_2=-0.1), "beta_2 .*-0.1"),
    (lambda: RMSprop(rho=3), "rho .*3"),
    (lambda: SGD(1e39), "learning_rate .*float32 can hold. Received 1e\\+39"),
    (lambda: Adam(10**400), "learning_rate .*float32"),
    (lambda: Adam(epsilon=1e39), "epsilon .*float32"),
    (lambda: SGD(weight_decay=1e39), "weight_decay .*float32"),
    (lambda: setattr(SGD(), "learning_rate", 1e39), "learning_rate .*float32"),
    (lambda: setattr(SGD(), "learning_rate", np.nan), "learning_rate .*nan"),
    (lambda: SGD(clipnorm=1, clipvalue=1), "at most one of clipnorm, clipvalue"),
    (lambda: SGD(clipnorm=-1), "clipnorm .*-1"),
    (lambda: SGD(clipvalue=np.nan), "clipvalue .*nan"),
    (lambda: SGD(global_clipnorm="a"), "global_clipnorm .*'a'"),
    (lambda: SGD(weight_decay=-0.1), "weight_decay .*-0.1"),
    (lambda: Adam(epsilon=-1), "epsilon .*-1"),
    (lambda: RMSprop(epsilon="x"), "epsilon .*'x'"),
    (lambda: Adam(lr=0.1), r'Adam does not take the argument "lr"\. Use learning_rate\.$'),
    (lambda: SGD(decay=1e-6), r'argument "decay"\. Use learning_rate=.*InverseTimeDecay'),
    (lambda: SGD(momentun=0.9), r'argument "momentun"\. Did you mean "momentum"\?$'),
    (
        lambda: SGD(foo=1),
        r"takes learning_rate, momentum, nesterov, .*, gradient_accumulation_steps\.$",
    ),
    (lambda: optimizers.get("ftrs"), "sgd, adam, rmsprop, .*Received 'ftrs'"),
    (lambda: optimizers.Ftrl(learning_rate_power=1), "learning_rate_power to be a number <= 0"),
    (lambda: optimizers.Ftrl(beta=-1), "Ftrl expects beta to be a number >= 0"),
    (lambda: optimizers.Ftrl(l1_regularization_strength="a"), "l1_regularization_strength .*'a'"),
    (lambda: steps(optimizers.Ftrl(0), 1.0, [1.0]), "expects one above 0. Received 0"),
    (lambda: optimizers.Lamb(beta_2=1), r"Lamb expects beta_2 in \[0, 1\)"),
    (lambda: optimizers.Muon(momentum=1), r"Muon expects momentum in \[0, 1\)"),
    (lambda: optimizers.Muon(ns_steps=0), "Muon expects ns_steps .*0"),
    (lambda: optimizers.Muon(exclude_layers="dense"), "a list of texts. Received 'dense'"),
    (lambda: optimizers.Muon(muon_a="a"), "Muon expects muon_a .*'a'"),
    (lambda: SGD(use_ema=True, ema_momentum=2), r"ema_momentum in \[0, 1\]. Received 2"),
    (lambda: SGD(use_ema=True, ema_overwrite_frequency=0), "ema_overwrite_frequency .*0"),
    (lambda: SGD(gradient_accumulation_steps=1), "gradient_accumulation_steps .*>= 2. Received 1"),
    (lambda: SGD(learning_rate=lambda: "x").learning_rate, "learning_rate .*'x'"),
    (lambda: SGD(learning_rate=lambda: 1.0).get_config(), "a function as its learning_rate"),
    (lambda: setattr(SGD(schedules.CosineDecay(1, 2)), "learning_rate", 1), "has a schedule"),
    (lambda: optimizers.AdamW(weight_decay=None), "weight_decay to be a number. Received None"),
    (lambda: optimizers.Lion(beta_1=0), r"beta_1 in \(0, 1\]. Received 0"),
    (lambda: optimizers.Adamax(beta_1=1), r"Adamax expects beta_1 in \[0, 1\)"),
    (lambda: optimizers.Nadam(beta_2=-1), r"Nadam expects beta_2 in \[0, 1\)"),
    (lambda: optimizers.Adadelta(rho=2), r"rho in \[0, 1\]. Received 2"),
    (lambda: optimizers.Adagrad(initial_accumulator_value=-1), "initial_accumulator_value .*-1"),
    (lambda: optimizers.Adafactor(beta_2_decay=1), "beta_2_decay to be a number <= 0"),
    (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps > 0. Received 0"),
    (lambda: schedules.CosineDecay("a", 1), "initial_learning_rate to be a number"),
    (lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0), "t_mul > 0. Received 0"),
    (lambda: schedules.PiecewiseConstantDecay([1], [1]), "one of values more than boundaries"),
    (lambda: schedules.PiecewiseConstantDecay([1], [1, "a"]), "expects numbers"),
    (lambda: schedules.deserialize({"class_name": "Cosine"}), "Received 'Cosine'"),
    (lambda: optimizers.get(None), "Received None"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[m for _, m in BAD])
def test_a_bad_setting_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_the_learning_rate_cannot_be_set_by_its_old_name() -> None:
    optimizer = SGD(0.1)
    with pytest.raises(AttributeError, match=r"^SGD has no lr\. Use learning_rate\.$"):
        optimizer.lr = 0.01  # type: ignore[attr-defined]
    assert optimizer.learning_rate == 0.1


def test_gradients_that_do_not_fit_are_refused_before_any_step() -> None:
    a, b = Variable(np.zeros(2), "a", "layer"), Variable(np.zeros(3), "b", "layer")
    optimizer = SGD()
    with pytest.raises(ValueError, match=r"a gradient for each of \['a', 'b'\]. Received \['a'\]"):
        optimizer.apply({"a": np.ones(2)}, {"a": a, "b": b})
    with pytest.raises(ValueError, match=r'shape \(3,\) for "b". Received \(2,\)'):
        optimizer.apply({"a": np.ones(2), "b": np.ones(2)}, {"a": a, "b": b})
    assert optimizer.iterations == 0
    assert not a.value.any()


def test_lists_of_gradients_and_weights_as_in_keras() -> None:
    def weights() -> list[Variable]:
        return [Variable(np.zeros(2), "a", "layer"), Variable(np.zeros(3), "b", "layer")]

    for call in (
        lambda o, g, w: o.apply(g, w),
        lambda o, g, w: o.apply(g, trainable_variables=w),
        lambda o, g, w: o.apply_gradients(zip(g, w, strict=True)),
    ):
        a, b = weights()
        optimizer = SGD(1.0, momentum=0.5)
        call(optimizer, [np.ones(2), [2, 2, 2]], [a, b])
        np.testing.assert_array_equal([*a.value, *b.value], [-1, -1, -2, -2, -2])
        with pytest.warns(UserWarning, match=r"SGD received no gradient for \['layer/b'\]"):
            call(optimizer, [np.ones(2), None], [a, b])
        np.testing.assert_array_equal([*a.value, *b.value], [-2.5, -2.5, -2, -2, -2])
        with pytest.raises(ValueError, match=r"no gradient for any of \['layer/a', 'layer/b'\]"):
            call(optimizer, [None, None], [a, b])
        call(optimizer, [], [])
        assert optimizer.iterations == 2
        optimizer.apply([np.zeros(2), np.zeros(3)])  # for the weights that it knows, in their order
        np.testing.assert_array_equal([*a.value, *b.value], [-3.25, -3.25, -3, -3, -3])
    with pytest.raises(ValueError, match="for each of 2 weights"):
        SGD().apply([np.ones(2)], weights())
    with pytest.raises(ValueError, match=r"apply\(grads, trainable_variables\)"):
        SGD().apply([np.ones(2)])


# -- previews --------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"clipnorm": 0.5}, {"global_clipnorm": 0.5}])
@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
def test_a_preview_is_the_step_that_follows_and_changes_nothing(
    name: str, settings: dict[str, float]
) -> None:
    rng = np.random.default_rng(3)
    optimizer = optimizers.OPTIMIZERS[name](0.1, weight_decay=0.1, **settings)
    variables = {
        key: Variable(rng.normal(size=(2, 3)).astype(np.float32), key, "layer") for key in "ab"
    }
    optimizer.exclude_from_weight_decay(var_names=["b"])
    for _ in range(3):
        grads = {key: rng.normal(size=(2, 3)).astype(np.float32) for key in "ab"}
        weights = {key: v.numpy() for key, v in variables.items()}
        count = optimizer.iterations
        found = {key: optimizer.preview(grads, variables, key) for key in "ab"}
        assert optimizer.iterations == count
        for key, v in variables.items():
            assert np.array_equal(v.value, weights[key])
        optimizer.apply(grads, variables)
        for key, v in variables.items():
            assert np.array_equal(v.value, found[key].value), (name, key)
        assert (found["a"].decay, found["b"].decay) == (pytest.approx(0.01), 0.0)
