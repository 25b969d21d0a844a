"""A model's run and its tape, gradients of whole models, frozen parts, and weights."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients
from model_graphs import (
    Array,
    branches,
    chain,
    every_graph,
    flat,
    inputs_of,
    nested,
    one_or_list,
    random,
    several_ends,
    shared_layer,
)

from minicnn import Input, Model, Sequential, config, layers
from minicnn.functional import ACTIVATIONS
from minicnn.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    GlobalAveragePooling2D,
    MaxPooling2D,
)


@pytest.fixture
def double() -> None:
    """Compute in float64, so that differences can be trusted."""
    config.set_floatx("float64")


def test_backward_wants_the_model_s_own_tape() -> None:
    def made(name: str) -> Model:
        inputs = Input((3,))
        return Model(inputs, layers.Dense(2)(inputs), name=name)

    a, b = made("a"), made("b")
    y, tape = b.forward(np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match=r'"a" expects the tape .* Received that of Model "b"'):
        a.backward(y, tape)
    with pytest.raises(ValueError, match=r'"a" expects the tape .* Received NoneType'):
        a.backward(y, None)
    # The models share nodes but not passes: missing gradients would count as zeros.
    part = Model(b.inputs, b.layers[-1].output, name="part")
    with pytest.raises(ValueError, match="Received that of Model"):
        part.backward(y, tape)


def test_a_branched_model_computes_what_its_layers_do() -> None:
    """The test computes each value with the layers themselves, in the order of the graph."""
    model = branches()
    short, first, second = (model.get_layer(n) for n in ("conv2d", "conv2d_1", "conv2d_2"))
    x = random(2, 6, 6, 2)
    joined = np.concatenate([second(first(x)), short(x), x], axis=-1)
    expected = model.get_layer("dense")(joined.reshape(2, -1))
    np.testing.assert_array_equal(model(x), expected)


def test_a_shared_layer_is_applied_each_time() -> None:
    model = shared_layer()
    shared, other = model.get_layer("shared"), model.get_layer("dense")
    x = random(3, 4)
    np.testing.assert_array_equal(model(x), shared(shared(x)) + shared(other(x)))


def test_several_inputs_and_outputs_come_in_order() -> None:
    model = several_ends()
    a, b = random(2, 3), random(2, 4, seed=1)
    left, right, top, alone = (model.get_layer(n) for n in ("left", "right", "top", "alone"))
    both = left(a) + right(b)
    expected = [both, top(both), alone(b)]
    for given in ([a, b], (a, b), {"b": b, "a": a}):
        for y, z in zip(model(given), expected, strict=True):
            np.testing.assert_array_equal(y, z)


@every_graph
def test_forward_run_and_call_agree(make: Callable[[], Model]) -> None:
    model = make()
    x = one_or_list(inputs_of(model))
    y, tape = model.forward(x)
    np.testing.assert_array_equal(flat(y), flat(model.run(x)))
    np.testing.assert_array_equal(flat(y), flat(model(x)))
    np.testing.assert_array_equal(flat(y), flat(model.predict_on_batch(x)))
    np.testing.assert_array_equal(flat(y), flat(tape.y))


@every_graph
def test_the_tape_has_every_use_in_order(make: Callable[[], Model]) -> None:
    """Each use has an entry, whose x is what earlier entries or the caller gave."""
    model = make()
    given = inputs_of(model)
    _, tape = model.forward(one_or_list(given))
    assert [entry.node for entry in tape.entries] == [n for n in model.graph.nodes if n.inputs]
    values = {id(tensor): array for tensor, array in zip(model.inputs, given, strict=True)}
    for entry in tape.entries:
        taken = entry.x if isinstance(entry.x, list) else [entry.x]
        for tensor, array in zip(entry.node.inputs, taken, strict=True):
            np.testing.assert_array_equal(array, values[id(tensor)])
        given_out = entry.y if isinstance(entry.y, list) else [entry.y]
        for tensor, array in zip(entry.node.outputs, given_out, strict=True):
            assert array.shape[1:] == tensor.shape[1:]
            values[id(tensor)] = array
    expected = [values[id(tensor)] for tensor in model.outputs]
    np.testing.assert_array_equal(flat(tape.y), flat(expected))


def test_the_tape_is_read_by_name() -> None:
    model = chain()
    y, tape = model.forward(random(2, 6, 6, 2))
    assert tape["conv2d"].layer is model.get_layer("conv2d")
    assert tape["conv2d"].y.shape == (2, 6, 6, 3)
    assert tape["flatten"].x.shape == (2, 3, 3, 3)
    np.testing.assert_array_equal(tape["dense"].y, y)
    with pytest.raises(KeyError, match=r"No layer 'conv' on the tape: \['conv2d', "):
        tape["conv"]


def test_a_nested_model_s_entry_has_a_tape() -> None:
    model = nested()
    _, tape = model.forward(random(2, 2))
    inner = tape["inner"].cache
    assert [entry.layer.name for entry in inner.entries] == ["dense", "concatenate"]
    np.testing.assert_array_equal(inner.y, tape["inner"].y)


@every_graph
def test_backward_writes_to_none_of_its_arguments(make: Callable[[], Model]) -> None:
    """It changes neither x, dy, weights nor the tape, so a second call gives the same."""
    model = make()
    given = inputs_of(model)
    before = copy.deepcopy(given)
    weights = model.get_weights()
    y, tape = model.forward(one_or_list(given))
    seen = flat(y).copy()
    dys = [random(*part.shape, seed=7) for part in (y if isinstance(y, list) else [y])]
    dys_before = copy.deepcopy(dys)
    dx, grads = model.backward(one_or_list(dys), tape)
    dx_again, grads_again = model.backward(one_or_list(dys), tape)
    np.testing.assert_array_equal(flat(dx), flat(dx_again))
    assert grads.keys() == grads_again.keys() == model.trainable_variables_by_name().keys()
    for key in grads:
        np.testing.assert_array_equal(grads[key], grads_again[key])
    for x, old in zip([*given, *dys], [*before, *dys_before], strict=True):
        np.testing.assert_array_equal(x, old)
    for w, old in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(w, old)
    np.testing.assert_array_equal(flat(y), seen)


def test_an_input_may_also_be_an_output() -> None:
    inputs = Input((3,))
    model = Model(inputs, [inputs, Dense(2)(inputs)])
    x = random(2, 3)
    y, tape = model.forward(x)
    np.testing.assert_array_equal(y[0], x)
    dx, _ = model.backward([np.ones_like(y[0]), np.zeros_like(y[1])], tape)
    np.testing.assert_array_equal(dx, np.ones_like(x))


def test_an_unused_input_is_required_but_has_no_gradient() -> None:
    a, b = Input((3,)), Input((2,))
    model = Model([a, b], Dense(2)(a))
    y, tape = model.forward([random(2, 3), random(2, 2)])
    dx, grads = model.backward(np.ones_like(y), tape)
    assert dx[0].shape == (2, 3)
    assert dx[1] is None
    assert set(grads) == {"dense/kernel", "dense/bias"}


def test_a_deep_chain_needs_no_deep_stack() -> None:
    """Python could not recurse into its two thousand layers."""
    x = inputs = Input((1,))
    for _ in range(2000):
        x = Activation("linear")(x)
    model = Model(inputs, x)
    x = random(1, 1)
    y, tape = model.forward(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(model.backward(x, tape)[0], x)


# ---------------------------------------------------------------------------------------------
# Backward
# ---------------------------------------------------------------------------------------------


@every_graph
def test_whole_model_gradients(make: Callable[[], Model], double: None) -> None:
    """Gradients of every input and weight of the whole graph agree with differences."""
    model = make()
    given = inputs_of(model)
    variables = model.trainable_variables_by_name()

    def run(*arrays: Array) -> tuple[Any, Any]:
        for variable, value in zip(variables.values(), arrays[len(given) :], strict=True):
            variable.assign(value)
        return model.forward(one_or_list(list(arrays[: len(given)])), training=True)

    def forward(*arrays: Array) -> Array:
        return flat(run(*arrays)[0])

    def backward(dy: Array, *arrays: Array) -> list[Array]:
        y, tape = run(*arrays)
        parts = y if isinstance(y, list) else [y]
        cuts = np.cumsum([part.size for part in parts])[:-1]
        dys = [d.reshape(part.shape) for d, part in zip(np.split(dy, cuts), parts, strict=True)]
        dx, grads = model.backward(one_or_list(dys), tape)
        return [*(dx if isinstance(dx, list) else [dx]), *(grads[key] for key in variables)]

    weights = [variable.numpy() for variable in variables.values()]
    check_gradients(forward, backward, [*given, *weights], np.random.default_rng(5))


def test_a_shared_layer_s_gradients_are_summed(double: None) -> None:
    """By hand, y = k (k x) has dk = x k + k x and dx = k k."""
    inputs = Input((1,))
    shared = Dense(1, use_bias=False, name="k")
    model = Model(inputs, shared(shared(inputs)))
    model.set_weights([[[3.0]]])
    y, tape = model.forward(np.array([[2.0]]))
    dx, grads = model.backward(np.ones_like(y), tape)
    assert (y.item(), dx.item(), grads["k/kernel"].item()) == (18, 9, 12)


def test_a_layer_used_in_a_model_and_in_a_nested_one_is_one_layer(double: None) -> None:
    """It has one set of weights, which the optimizer moves once, by the whole gradient."""
    inputs = Input((1,))
    shared = Dense(1, use_bias=False, name="k")
    inner = Model(inputs, shared(inputs), name="inner")
    outer_inputs = Input((1,))
    model = Model(outer_inputs, inner(shared(outer_inputs)))
    assert model.count_params() == 1
    assert list(model.trainable_variables_by_name()) == ["k/kernel"]
    model.set_weights([[[3.0]]])
    y, tape = model.forward(np.array([[2.0]]))
    dx, grads = model.backward(np.ones_like(y), tape)
    assert (dx.item(), {key: g.item() for key, g in grads.items()}) == (9, {"k/kernel": 12})


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("pool", [{}, {"pool_size": 3, "strides": 1, "padding": "same"}])
def test_an_activation_before_max_pooling_gets_its_own_gradient(
    pool: dict, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken after pooling, where numbers are fewer; the result is the plain backward's."""
    model = Sequential(
        [
            Input((9, 8, 2)),
            Conv2D(5, 3, activation=activation),
            MaxPooling2D(**pool),
            Conv2D(3, 3),
            Activation(activation),
            MaxPooling2D(2, padding="same"),
        ]
    )
    x = np.round(3 * random(4, 9, 8, 2))  # has ties, dead units and values above 6
    y, tape = model.forward(x)
    assert (tape["conv2d"].y == 0).any()
    assert (tape["conv2d"].y > 6).any() == (activation == "relu")
    dy = random(*y.shape, seed=1)
    expected, dx = {}, dy
    for entry in reversed(tape.entries):
        dx, grads = entry.layer.backward(dx, entry.cache)
        expected |= {f"{entry.layer.name}/{key}": gradient for key, gradient in grads.items()}
    shapes_seen = []
    for name in ("relu", "relu6"):
        known = ACTIVATIONS[name]

        def counted(dy: Array, y: Array, known: Any = known) -> Array:
            shapes_seen.append(y.shape)
            return known.backward(dy, y)

        monkeypatch.setitem(ACTIVATIONS, name, known._replace(backward=counted))
    found_dx, found = model.backward(dy, tape)
    assert shapes_seen == [tape["max_pooling2d_1"].y.shape, tape["max_pooling2d"].y.shape]
    np.testing.assert_array_equal(found_dx, dx)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        np.testing.assert_array_equal(found[name], gradient, err_msg=name)


def test_an_activation_with_another_user_gets_its_gradient_before_pooling() -> None:
    inputs = Input((6, 6, 2))
    x = Conv2D(3, 3, padding="same", activation="relu")(inputs)
    pooled = MaxPooling2D()(x)
    model = Model(inputs, [Add()([GlobalAveragePooling2D()(x), GlobalAveragePooling2D()(pooled)])])
    ends = Model(inputs, [x, pooled])
    given = random(2, 6, 6, 2)
    for whole in (model, ends):
        y, tape = whole.forward(given)
        ys = y if isinstance(y, list) else [y]
        dys = [random(*part.shape, seed=3) for part in ys]
        _, grads = whole.backward(dys, tape)
        entry, pooling = tape["conv2d"], tape["max_pooling2d"]
        if whole is model:
            both = np.broadcast_to(dys[0][:, None, None] / 36, entry.y.shape)
            behind = np.broadcast_to(dys[0][:, None, None] / 9, pooling.y.shape)
        else:
            both, behind = dys
        dy = both + pooling.layer.backward(np.ascontiguousarray(behind), pooling.cache)[0]
        expected = entry.layer.backward(dy, entry.cache)[1]
        np.testing.assert_allclose(grads["conv2d/kernel"], expected["kernel"], rtol=1e-5, atol=1e-6)


def test_a_branch_that_no_gradient_reaches_gets_zeros() -> None:
    """One of a nested model's two outputs is not used at all."""
    a = Input((2,))
    inner = Model(a, [Dense(2, name="used")(a), Dense(3, name="unused")(a)], name="inner")
    inputs = Input((2,))
    model = Model(inputs, inner(inputs)[0])
    y, tape = model.forward(random(3, 2))
    dx, grads = model.backward(np.ones_like(y), tape)
    assert grads.keys() == model.trainable_variables_by_name().keys()
    assert np.any(grads["inner/used/kernel"])
    assert not np.any(grads["inner/unused/kernel"])
    assert grads["inner/unused/kernel"].shape == (2, 3)
    kernel = model.get_layer("inner").get_layer("used").kernel.value
    np.testing.assert_allclose(dx, np.ones((3, 2)) @ kernel.T, rtol=1e-6)


def test_backward_needs_one_gradient_for_each_output() -> None:
    model = several_ends()
    _, tape = model.forward([random(2, 3), random(2, 4)])
    with pytest.raises(ValueError, match=r'Model "functional" expects 3 gradients\. Received 1\.'):
        model.backward(np.ones((2, 2), np.float32), tape)


def test_backward_shows_each_entry_to_a_visitor() -> None:
    """It goes in reverse, nested entries before their model's; gradients are the usual ones."""
    inner = Sequential([Input((4,)), layers.Dense(4, activation="tanh", name="a")], name="inner")
    model = Sequential([Input((4,)), inner, layers.Dense(3, name="b")])
    y, tape = model.forward(np.ones((2, 4)))
    seen: list[Any] = []
    dx, grads = model.backward(
        np.ones_like(y), tape, visit=lambda entry, step: seen.append((entry.layer.name, step))
    )
    plain_dx, plain = model.backward(np.ones_like(y), tape)
    assert np.array_equal(dx, plain_dx)
    assert [name for name, _ in seen] == ["b", "a", "inner"]
    steps = dict(seen)
    assert np.array_equal(steps["b"].dx, steps["inner"].dy)
    assert np.array_equal(steps["a"].dx, dx)
    assert np.array_equal(steps["a"].grads["kernel"], plain["inner/a/kernel"])
    assert grads.keys() == plain.keys()
    assert not any(step.at_logits for _, step in seen)


def test_backward_at_logits_skips_the_last_activation() -> None:
    """dy is then d loss / d z, of the softmax's input z, in a nested model, too."""
    head = Sequential([Input((4,)), Dense(3, activation="softmax", name="last")], name="head")
    inputs = Input((4,))
    model = Model(inputs, head(inputs))
    x, dz = random(2, 4), random(2, 3, seed=1)
    _, tape = model.forward(x)
    z = model.logits(tape, "softmax")
    assert z is not None
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(z, x @ kernel + bias, rtol=1e-6)
    assert model.logits(tape, "sigmoid") is None
    dx, grads = model.backward(dz, tape, at_logits=True)
    np.testing.assert_allclose(grads["head/last/kernel"], x.T @ dz, rtol=1e-5)
    np.testing.assert_allclose(dx, dz @ kernel.T, rtol=1e-5)


def test_a_softmax_that_something_else_uses_has_no_logits() -> None:
    """Its output also feeds another layer, so dz alone would miss a path."""
    inputs = Input((4,))
    probabilities = Dense(3, activation="softmax")(inputs)
    assert Model(inputs, probabilities).ends_in("softmax")
    assert not Model(inputs, Dense(2)(probabilities)).ends_in("softmax")
    more = Model(inputs, [probabilities, Dense(2)(probabilities)])
    assert not more.ends_in("softmax")


# ---------------------------------------------------------------------------------------------
# Frozen parts
# ---------------------------------------------------------------------------------------------


def record_backward(monkeypatch: pytest.MonkeyPatch, model: Model) -> list[str]:
    """Return a list that records which layers' backward runs, in order, also nested ones."""
    ran: list[str] = []

    def watch(layer: Any) -> None:
        original = layer.backward

        def backward(*args: Any, **kwargs: Any) -> Any:
            ran.append(layer.name)
            return original(*args, **kwargs)

        monkeypatch.setattr(layer, "backward", backward)
        for inner in getattr(layer, "layers", []):
            watch(inner)

    for layer in model.layers:
        watch(layer)
    return ran


def transfer(training: bool | None = False) -> Model:
    """A frozen base feeds a head, as in transfer learning."""
    base = Sequential(
        [
            Input((6, 6, 1)),
            Conv2D(2, 3, name="c1"),
            BatchNormalization(name="bn"),
            Dropout(0.5, name="drop"),
            Conv2D(2, 3, name="c2"),
        ],
        name="base",
    )
    base.trainable = False
    inputs = Input((6, 6, 1))
    x = base(inputs, training=training)
    x = GlobalAveragePooling2D(name="pool")(x)
    return Model(inputs, Dense(3, activation="softmax", name="head")(x))


def test_a_frozen_base_costs_no_backward_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its activations are not kept, either: a training step's tape begins at the head."""
    model = transfer()
    model.compile("sgd", "sparse_categorical_crossentropy")
    ran = record_backward(monkeypatch, model)
    _, tape = model.run_for_training(random(4, 6, 6, 1))
    assert [entry.layer.name for entry in tape.entries] == ["head"]
    before = model.get_weights()
    model.train_on_batch(random(4, 6, 6, 1), np.array([0, 1, 2, 0]))
    assert ran == ["head"]
    *base, kernel, bias = zip(before, model.get_weights(), strict=True)
    assert all(np.array_equal(old, new) for old, new in base)
    assert not np.array_equal(*kernel)
    assert not np.array_equal(*bias)


def test_a_frozen_layer_after_a_trainable_one_lets_gradients_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = Input((4,))
    x = Dense(3, name="before")(inputs)
    x = Dense(3, name="first")(x)
    x = Dense(3, name="frozen")(x)
    model = Model(inputs, Dense(2, name="last")(x))
    model.get_layer("before").trainable = model.get_layer("frozen").trainable = False
    ran = record_backward(monkeypatch, model)
    y, tape = model.run_for_training(random(5, 4))
    dx, grads = model.backward(np.ones_like(y), tape, need_dx=False)
    assert ran == ["last", "frozen", "first"]
    assert dx is None
    assert set(grads) == {"first/kernel", "first/bias", "last/kernel", "last/bias"}
    assert np.any(grads["first/kernel"])


def test_a_frozen_branch_beside_a_trainable_one_does_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = Input((4,))
    frozen = Dense(3, name="frozen", trainable=False)(inputs)
    model = Model(inputs, Add(name="add")([frozen, Dense(3, name="learns")(inputs)]))
    ran = record_backward(monkeypatch, model)
    y, tape = model.run_for_training(random(5, 4))
    model.backward(np.ones_like(y), tape, need_dx=False)
    assert ran == ["add", "learns"]


def test_training_false_keeps_dropout_and_batchnorm_in_inference() -> None:
    """`base(inputs, training=False)` runs in inference mode, whatever the outer model does."""
    model = transfer(training=False)
    x = random(4, 6, 6, 1)
    statistics = model.get_layer("base").get_layer("bn").get_weights()
    np.testing.assert_array_equal(model.forward(x, training=True)[0], model.predict_on_batch(x))
    for old, new in zip(statistics, model.get_layer("base").get_layer("bn").get_weights()):
        np.testing.assert_array_equal(old, new)


def test_without_training_false_a_nested_model_runs_in_training_mode() -> None:
    """Frozen BatchNormalization still keeps its statistics, but dropout drops."""
    model = transfer(training=None)
    x = random(4, 6, 6, 1)
    statistics = model.get_layer("base").get_layer("bn").get_weights()
    y = model.forward(x, training=True)[0]
    assert not np.array_equal(y, model.predict_on_batch(x))
    for old, new in zip(statistics, model.get_layer("base").get_layer("bn").get_weights()):
        np.testing.assert_array_equal(old, new)
    model.get_layer("base").trainable = True
    model.forward(x, training=True)
    moved = model.get_layer("base").get_layer("bn").get_weights()
    assert not np.array_equal(moved[2], statistics[2])


def test_training_true_always_switches_dropout_on() -> None:
    inputs = Input((50,))
    model = Model(inputs, Dropout(0.5)(inputs, training=True))
    y = model(np.ones((1, 50), np.float32))
    assert set(np.unique(y)) == {0, 2}


# ---------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------


def test_weights_trainable_and_not() -> None:
    model = transfer()
    head, base = model.get_layer("head"), model.get_layer("base")
    paths = [w.path for w in model.weights]
    assert paths == [
        *("c1/kernel", "c1/bias"),
        *("bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"),
        *("c2/kernel", "c2/bias", "head/kernel", "head/bias"),
    ]
    assert [w.path for w in model.trainable_weights] == ["head/kernel", "head/bias"]
    assert [w.path for w in model.non_trainable_weights] == paths[:-2]
    # (3·3·1+1)·2 + 4·2 + (3·3·2+1)·2 = 20 + 8 + 38, and the head's (2+1)·3
    assert (base.count_params(), head.count_params(), model.count_params()) == (66, 9, 75)
    base.trainable = True
    statistics = ["bn/moving_mean", "bn/moving_variance"]
    assert [w.path for w in model.trainable_weights] == [p for p in paths if p not in statistics]
    assert [w.path for w in model.non_trainable_weights] == statistics
    model.trainable = False
    assert model.trainable_weights == []
    assert not base.get_layer("c1").trainable
    assert [w.path for w in model.non_trainable_weights] == paths


def test_a_frozen_model_trains_nothing_even_if_a_layer_in_it_would() -> None:
    model = chain()
    model.trainable = False
    model.get_layer("dense").trainable = True
    assert model.trainable_weights == []
    y, tape = model.forward(random(2, 6, 6, 2))
    assert model.backward(np.ones_like(y), tape)[1] == {}


@every_graph
def test_weights_go_from_model_to_model(make: Callable[[], Model]) -> None:
    """They go in order, whatever the layers' names."""
    first, second = make(), make()
    x = one_or_list(inputs_of(first))
    assert not np.array_equal(flat(first(x)), flat(second(x)))
    second.set_weights(first.get_weights())
    np.testing.assert_array_equal(flat(first(x)), flat(second(x)))
    assert [w.shape for w in first.weights] == [w.shape for w in first.get_weights()]


def test_get_weights_are_copies() -> None:
    model = chain()
    model.get_weights()[0][...] = 9
    assert not np.any(model.get_weights()[0] == 9)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w[:-1], r'Sequential "sequential" expects 4 weight arrays\. Received 3\.'),
        (lambda w: [*w, w[0]], r"expects 4 weight arrays\. Received 5\."),
        (
            lambda w: [*w[:-1], np.ones(5)],
            r'Sequential "sequential" expects dense/bias\.shape=\(4,\)\. '
            r"Received dense/bias\.shape=\(5,\)\.",
        ),
        (lambda w: [*w[:2], w[2].T, w[3]], r"expects dense/kernel\.shape=\(27, 4\)"),
    ],
    ids=["fewer", "more", "other shape", "transposed"],
)
def test_set_weights_takes_all_or_none(
    spoil: Callable[[list[Array]], list[Array]], message: str
) -> None:
    model = chain()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.set_weights(spoil([np.zeros_like(w) for w in before]))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
