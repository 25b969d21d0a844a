"""Models: the graph, what runs and in which order, the tape, whole-model gradients, weights, names.

The graphs in `GRAPHS` are small but have everything that can go wrong between layers: branches
that meet again, a layer used twice, one tensor used twice, several inputs and outputs, models in
models.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients

from minicnn import Input, Model, Sequential, config, layers, utils
from minicnn.functional import ACTIVATIONS
from minicnn.layers import (
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
)

Array = np.ndarray


@pytest.fixture(autouse=True)
def _fresh_names() -> Iterator[None]:
    """Automatic names start anew, and float32 is the default again afterwards."""
    utils.clear_session()
    utils.set_random_seed(0)
    yield
    config.set_floatx("float32")


@pytest.fixture
def double() -> None:
    """Everything in float64, so that differences can be trusted."""
    config.set_floatx("float64")


def random(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---------------------------------------------------------------------------------------------
# Graphs that several tests share
# ---------------------------------------------------------------------------------------------


def chain() -> Model:
    return Sequential(
        [
            Input((6, 6, 2)),
            Conv2D(3, 3, padding="same", activation="tanh"),
            AveragePooling2D(2),
            Flatten(),
            Dense(4, activation="softmax"),
        ]
    )


def residual() -> Model:
    inputs = Input((5, 5, 2))
    x = Conv2D(3, 1, name="widen")(inputs)
    y = Activation("tanh")(BatchNormalization()(x))
    y = Conv2D(3, 3, padding="same", name="inner")(y)
    return Model(inputs, GlobalAveragePooling2D()(Add()([x, y])))


def branches() -> Model:
    """Three ways from one input, of different lengths; the order of inputs matters."""
    inputs = Input((6, 6, 2))
    short = Conv2D(2, 1, activation="sigmoid")(inputs)
    long = Conv2D(3, 3, padding="same", activation="tanh")(inputs)
    long = Conv2D(1, 3, padding="same")(long)
    joined = Concatenate()([long, short, inputs])
    return Model(inputs, Dense(3)(Flatten()(joined)))


def shared_layer() -> Model:
    """One Dense used three times: twice in a row, once beside."""
    inputs = Input((4,))
    shared = Dense(4, activation="tanh", name="shared")
    return Model(inputs, Add()([shared(shared(inputs)), shared(Dense(4)(inputs))]))


def same_tensor_twice() -> Model:
    inputs = Input((4,))
    x = Dense(3, activation="tanh")(inputs)
    return Model(inputs, Concatenate()([x, Add()([x, x]), x]))


def several_ends() -> Model:
    """Two inputs, three outputs; one output goes on into another, one depends on one input."""
    a, b = Input((3,), name="a"), Input((4,), name="b")
    left = Dense(2, activation="tanh", name="left")(a)
    both = Add(name="both")([left, Dense(2, name="right")(b)])
    return Model([a, b], [both, Dense(3, name="top")(both), Dense(1, name="alone")(b)])


def nested() -> Model:
    """A model with a branch in a model, used once, between two layers."""
    inner_inputs = Input((4,))
    x = Dense(3, activation="tanh")(inner_inputs)
    inner = Model(inner_inputs, Concatenate()([x, inner_inputs]), name="inner")
    inputs = Input((2,))
    return Model(inputs, Dense(2)(inner(Dense(4)(inputs))))


def nested_twice() -> Model:
    """One chain for two inputs, as in a siamese network."""
    tower = Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(2)], name="tower")
    a, b = Input((3,)), Input((3,))
    return Model([a, b], Concatenate()([tower(a), tower(b)]))


def nested_ends() -> Model:
    """A model of two inputs and two outputs in a model; one of its outputs is used twice."""
    a, b = Input((2,)), Input((3,))
    x = Add()([Dense(2)(a), Dense(2, activation="tanh")(b)])
    inner = Model([a, b], [x, Dense(1, activation="sigmoid")(x)], name="inner")
    inputs = Input((3,))
    p, q = inner([Dense(2)(inputs), inputs])
    return Model(inputs, Concatenate()([p, q, p]))


GRAPHS: list[Callable[[], Model]] = [
    chain,
    residual,
    branches,
    shared_layer,
    same_tensor_twice,
    several_ends,
    nested,
    nested_twice,
    nested_ends,
]
every_graph = pytest.mark.parametrize("make", GRAPHS, ids=[make.__name__ for make in GRAPHS])


def inputs_of(model: Model, batch: int = 3, seed: int = 1) -> list[Array]:
    return [
        random(batch, *(size or 1 for size in tensor.shape[1:]), seed=seed + i, dtype=tensor.dtype)
        for i, tensor in enumerate(model.inputs)
    ]


def one_or_list(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def flat(y: Any) -> Array:
    """All outputs in one vector."""
    return np.concatenate([part.ravel() for part in (y if isinstance(y, list) else [y])])


# ---------------------------------------------------------------------------------------------
# Forward
# ---------------------------------------------------------------------------------------------


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
    # Nodes are shared, the pass is not: what of it is missing would be taken for zeros.
    part = Model(b.inputs, b.layers[-1].output, name="part")
    with pytest.raises(ValueError, match="Received that of Model"):
        part.backward(y, tape)


def test_a_branched_model_computes_what_its_layers_do() -> None:
    """Each value written out with the layers themselves, in the order of the drawing."""
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
    """One entry a use; each entry's x is what earlier entries (or the caller) said."""
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


def test_a_nested_models_entry_has_a_tape() -> None:
    model = nested()
    _, tape = model.forward(random(2, 2))
    inner = tape["inner"].cache
    assert [entry.layer.name for entry in inner.entries] == ["dense", "concatenate"]
    np.testing.assert_array_equal(inner.y, tape["inner"].y)


@every_graph
def test_nothing_that_was_given_is_written_to(make: Callable[[], Model]) -> None:
    """Neither x nor dy nor a weight nor the tape: backward twice gives the same answer twice."""
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


def test_an_output_that_is_an_input_comes_through() -> None:
    inputs = Input((3,))
    model = Model(inputs, [inputs, Dense(2)(inputs)])
    x = random(2, 3)
    y, tape = model.forward(x)
    np.testing.assert_array_equal(y[0], x)
    dx, _ = model.backward([np.ones_like(y[0]), np.zeros_like(y[1])], tape)
    np.testing.assert_array_equal(dx, np.ones_like(x))


def test_an_unused_input_is_asked_for_but_has_no_gradient() -> None:
    a, b = Input((3,)), Input((2,))
    model = Model([a, b], Dense(2)(a))
    y, tape = model.forward([random(2, 3), random(2, 2)])
    dx, grads = model.backward(np.ones_like(y), tape)
    assert dx[0].shape == (2, 3)
    assert dx[1] is None
    assert set(grads) == {"dense/kernel", "dense/bias"}


def test_a_deep_chain_needs_no_deep_stack() -> None:
    """Two thousand layers: more than Python would recurse into."""
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
    """Every input and every weight of the whole graph, by differences."""
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


def test_a_shared_layers_gradients_are_summed(double: None) -> None:
    """By hand: y = k (k x) has dk = x k + k x and dx = k k."""
    inputs = Input((1,))
    shared = Dense(1, use_bias=False, name="k")
    model = Model(inputs, shared(shared(inputs)))
    model.set_weights([[[3.0]]])
    y, tape = model.forward(np.array([[2.0]]))
    dx, grads = model.backward(np.ones_like(y), tape)
    assert (y.item(), dx.item(), grads["k/kernel"].item()) == (18, 9, 12)


def test_a_layer_here_and_in_a_nested_model_is_one_layer(double: None) -> None:
    """It has its weights once, and the optimizer moves them once, by the whole gradient."""
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
    """Undone behind the pooling, where there are fewer numbers; the answer is the plain walk's."""
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
    x = np.round(3 * random(4, 9, 8, 2))  # with ties, dead units and some above 6
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


def test_an_activation_that_something_else_sees_too_is_undone_in_its_place() -> None:
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
    """Of two outputs one has dy = 0; of a nested model's outputs one is not used at all."""
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
    """In reverse, those of nested models before the model's own; the numbers are the usual ones."""
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
    """dy is then d loss / d z: what goes into the softmax, in a nested model too."""
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
    """Its output is an output of the model and goes on as well: dz alone would miss a way."""
    inputs = Input((4,))
    probabilities = Dense(3, activation="softmax")(inputs)
    assert Model(inputs, probabilities).ends_in("softmax")
    assert not Model(inputs, Dense(2)(probabilities)).ends_in("softmax")
    more = Model(inputs, [probabilities, Dense(2)(probabilities)])
    assert not more.ends_in("softmax")


# ---------------------------------------------------------------------------------------------
# What is frozen
# ---------------------------------------------------------------------------------------------


def record_backward(monkeypatch: pytest.MonkeyPatch, model: Model) -> list[str]:
    """The names of the layers whose backward ran, in order, nested ones too."""
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
    """A frozen base under a head, as in transfer learning."""
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
    """Nor are its activations kept: the tape of a training step begins at the head."""
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


def test_training_false_holds_dropout_and_batchnorm_still() -> None:
    """`base(inputs, training=False)`: inference mode within, whatever the outer model does."""
    model = transfer(training=False)
    x = random(4, 6, 6, 1)
    statistics = model.get_layer("base").get_layer("bn").get_weights()
    np.testing.assert_array_equal(model.forward(x, training=True)[0], model.predict_on_batch(x))
    for old, new in zip(statistics, model.get_layer("base").get_layer("bn").get_weights()):
        np.testing.assert_array_equal(old, new)


def test_without_it_a_nested_model_trains_along() -> None:
    """Frozen BatchNormalization keeps its statistics all the same; dropout drops."""
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


def test_training_true_switches_dropout_on_for_good() -> None:
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
    """In one order, whatever the layers are called."""
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


# ---------------------------------------------------------------------------------------------
# Layers by name, symbols, sub-models
# ---------------------------------------------------------------------------------------------


def test_automatic_names_are_keras_s() -> None:
    inputs = Input((8, 8, 3))
    x = Conv2D(2, 3)(inputs)  # apart: nested, Python would make the outer one first
    x = layers.SeparableConv2D(2, 3)(Conv2D(2, 3)(x))
    x = layers.ReLU()(layers.MaxPooling2D()(BatchNormalization()(x)))
    x = layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(1, padding="same")(x))
    model = Model(inputs, Dense(1)(x))
    assert [layer.name for layer in model.layers] == [
        "input_layer",
        "conv2d",
        "conv2d_1",
        "separable_conv2d",
        "batch_normalization",
        "max_pooling2d",
        "re_lu",
        "depthwise_conv2d",
        "global_average_pooling2d",
        "dense",
    ]
    assert model.name == "functional"
    assert [Sequential().name, Sequential().name] == ["sequential", "sequential_1"]
    assert Sequential(name="mine").name == "mine"
    assert [Dense(1).name, Dense(1, name="own").name, Dense(1).name] == [
        "dense_1",
        "own",
        "dense_2",
    ]
    utils.clear_session()
    assert Dense(1).name == "dense"


def test_get_layer_by_name_and_index() -> None:
    model = chain()
    assert model.get_layer("conv2d") is model.layers[0] is model.get_layer(index=0)
    assert model.get_layer(index=-1) is model.get_layer(name="dense")
    assert [layer.name for layer in model.layers] == [
        "conv2d",
        "average_pooling2d",
        "flatten",
        "dense",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "conv"},
            r'Sequential "sequential" has no layer \'conv\'\. It has conv2d, average_pooling2d, fl',
        ),
        ({"index": 4}, r'Sequential "sequential" has 4 layers\. Received index=4\.'),
        ({"index": -5}, r"Received index=-5\."),
        ({}, r"get_layer expects a name or an index\."),
        ({"name": "dense", "index": 0}, r"get_layer expects a name or an index\."),
    ],
    ids=["unknown name", "beyond the end", "before the start", "neither", "both"],
)
def test_get_layer_says_what_there_is(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chain().get_layer(**arguments)


def test_layers_of_a_graph_are_listed_deepest_first() -> None:
    """Not in the order of calls: the short way's layer stands at its own depth."""
    assert [layer.name for layer in branches().layers] == [
        "input_layer",
        "conv2d_1",
        "conv2d_2",
        "conv2d",
        "concatenate",
        "flatten",
        "dense",
    ]


def test_inputs_outputs_and_shapes_of_a_model() -> None:
    model = several_ends()
    assert [t.name for t in model.inputs] == ["a", "b"]
    assert [t.name for t in model.outputs] == ["both", "top", "alone"]
    assert model.input_shape == [(None, 3), (None, 4)]
    assert model.output_shape == [(None, 2), (None, 3), (None, 1)]
    assert [t.name for t in model.input] == ["a", "b"]
    one = chain()
    assert one.input is one.inputs[0]
    assert one.output is one.outputs[0]
    assert (one.input_shape, one.output_shape) == ((None, 6, 6, 2), (None, 4))


def built_at_once() -> Sequential:
    return Sequential([Input((4,)), Dense(3, name="first"), Dense(2, name="second")])


def built_with_add() -> Sequential:
    """Each `add` must leave the layers before it with the one use they have."""
    model = Sequential()
    for layer in (Input((4,)), Dense(3, name="first"), Dense(2, name="second"), Dense(9)):
        model.add(layer)
    model.pop()
    return model


def functional() -> Model:
    inputs = Input((4,))
    return Model(inputs, Dense(2, name="second")(Dense(3, name="first")(inputs)))


@pytest.mark.parametrize("make", [built_at_once, built_with_add, functional])
def test_a_model_up_to_a_layer(make: Callable[[], Model]) -> None:
    """`Model(model.inputs, layer.output)`: features, with the same weights."""
    model = make()
    first, second = model.get_layer("first"), model.get_layer("second")
    features = Model(model.inputs, first.output)
    x = random(2, 4)
    np.testing.assert_array_equal(features(x), first(x))
    assert second.input is first.output
    assert second.output is model.output
    both = Model(model.inputs, [first.output, second.output])
    y = both(x)
    np.testing.assert_array_equal(y[0], first(x))
    np.testing.assert_array_equal(y[1], model(x))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    assert not np.any(features(x))


def test_a_layer_used_twice_has_no_single_output() -> None:
    shared = shared_layer().get_layer("shared")
    with pytest.raises(
        AttributeError, match=r'Dense "shared" has been used 3 times in a graph, so'
    ):
        shared.output  # noqa: B018 - asking is the test
    with pytest.raises(AttributeError, match=r'Dense "dense" has been used 0 times.*no single inp'):
        Dense(1, name="dense").input  # noqa: B018


def test_a_list_of_one_input_is_that_input() -> None:
    """`predict([x])`, `model([symbol])`, as Keras takes them; a list of rows stays a batch."""
    inputs = Input((4,))
    model = Model([inputs], [Dense(2)([inputs])])
    x = random(3, 4)
    np.testing.assert_array_equal(model([x]), model(x))
    np.testing.assert_array_equal(model.predict([x], verbose=0), model(x))
    np.testing.assert_array_equal(model([[1.0, 2.0, 3.0, 4.0]]), model(np.array([[1, 2, 3, 4]])))
    outer_inputs = Input((4,))
    outer = Model(outer_inputs, model([outer_inputs]))
    y, tape = outer.forward(x)
    np.testing.assert_array_equal(y, model(x))
    assert outer.backward(y, tape)[0].shape == x.shape


# ---------------------------------------------------------------------------------------------
# Graphs that are refused
# ---------------------------------------------------------------------------------------------


def foreign_input() -> Model:
    a, b = Input((3,), name="a"), Input((3,), name="b")
    return Model(a, Add()([a, b]))


def starts_in_the_middle() -> Model:
    x = Dense(3, name="early")(Input((4,)))
    return Model(x, Dense(2)(x))


def two_of_one_name() -> Model:
    inputs = Input((4,))
    return Model(inputs, Dense(4, name="same")(Dense(4, name="same")(inputs)))


def nested_with_too_few_inputs() -> Any:
    return several_ends()(Input((3,)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            foreign_input,
            ValueError,
            r'Model "functional": the outputs depend on <KerasTensor shape=\(None, 3\), '
            r"dtype=float32, name=b>, which is not among the inputs\.",
        ),
        (
            starts_in_the_middle,
            ValueError,
            r'Model "functional" expects inputs made by Input\. Received .*name=early>, which is '
            "computed",
        ),
        (
            two_of_one_name,
            ValueError,
            r'Model "functional" has several layers with the name "same"',
        ),
        (
            lambda: Sequential([Input((4,)), Dense(2, name="d"), Dense(2, name="d")]),
            ValueError,
            r'Sequential "sequential" has several layers with the name "d"\.',
        ),
        (
            lambda: Model(np.zeros(3), Dense(2)(Input((4,)))),
            TypeError,
            r"Model expects inputs to be symbols, made by Input and by calling layers on it\. "
            r"Received array\(",
        ),
        (lambda: Model(Input((4,)), []), TypeError, r"Model expects outputs to be symbols"),
        (
            nested_with_too_few_inputs,
            ValueError,
            r'Model "functional" expects 2 inputs\. Received 1\.',
        ),
        (
            lambda: chain()(Input((6, 6, 3))),
            ValueError,
            r'Sequential "sequential" expects an input of shape \(None, 6, 6, 2\)\. '
            r"Received \(None, 6, 6, 3\)\.",
        ),
        (
            lambda: Sequential([Dense(2), Input((4,))]),
            ValueError,
            r'Sequential "sequential" takes an Input only as its first layer\.',
        ),
        (lambda: Sequential([Dense]), TypeError, r'"sequential" expects layers\. Received <class'),
        (
            lambda: Sequential([Input((4,)), Conv2D(2, 3, name="c")]),
            ValueError,
            r'Conv2D "c" expects an input with 4 dimensions, the batch included\. '
            r"Received \(None, 4\)\.",
        ),
        (
            lambda: Add()([Input((4,)), random(2, 4)]),
            TypeError,
            r'Add "add" expects symbols or arrays, not both\. Received ndarray among symbols\.',
        ),
    ],
)
def test_a_graph_that_cannot_be(
    make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------------------------------------
# Data that do not fit
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["run", "forward", "run_for_training", "predict_on_batch"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            random(2, 5, 6, 2),
            ValueError,
            r'Sequential "sequential" expects x\.shape=\(batch, 6, 6, 2\)\. '
            r"Received x\.shape=\(2, 5, 6, 2\)\.$",
        ),
        (
            random(2, 2, 6, 6),
            ValueError,
            r"Received x\.shape=\(2, 2, 6, 6\)\. Channels come last here: np\.moveaxis\(x, 1, -1\)",
        ),
        (
            random(6, 6, 2),
            ValueError,
            r"Received x\.shape=\(6, 6, 2\)\. One example needs its batch axis: x\[None\]\.",
        ),
        (
            np.full((2, 6, 6, 2), "a"),
            TypeError,
            r'Sequential "sequential" expects x to be numbers\. Received dtype <U1\.',
        ),
        (np.zeros((2, 6, 6, 2), complex), TypeError, r"numbers\. Received dtype complex128\."),
        (None, TypeError, r"numbers\. Received dtype object\."),
    ],
    ids=["size", "channels first", "no batch", "text", "complex", "None"],
)
def test_an_input_that_does_not_fit(
    method: str, x: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        getattr(chain(), method)(x)


def test_the_batch_that_a_model_was_made_for_is_no_limit() -> None:
    """As in Keras, where a model that saw its first batch keeps its size in the config."""
    inputs = Input((6, 6, 2), batch_size=32)
    base = Sequential([Input((6, 6, 2)), layers.Conv2D(3, 2), layers.Flatten()])
    model = Model(inputs, layers.Dense(2)(base(inputs)))
    assert model.input_shape == (32, 6, 6, 2)
    again = Model.from_config(model.get_config())
    assert again.input_shape == (32, 6, 6, 2)
    for count in (1, 32, 33):
        assert again(random(count, 6, 6, 2)).shape == (count, 2)
        assert again.predict(random(count, 6, 6, 2), verbose=0).shape == (count, 2)
    assert Sequential([Input((6, 6, 2)), again])(random(3, 6, 6, 2)).shape == (3, 2)
    with pytest.raises(
        ValueError, match=r"x\.shape=\(batch, 6, 6, 2\)\. Received .*\(32, 5, 6, 2\)"
    ):
        again(random(32, 5, 6, 2))


@pytest.mark.parametrize("key", ["input_layers", "output_layers"])
def test_ends_in_a_dict_are_refused(key: str) -> None:
    config = several_ends().get_config()
    config[key] = {"left": config[key][0], "right": config[key][1]}
    with pytest.raises(ValueError, match=rf"{key[:-7]}s in a dict, \['left', 'right'\], which"):
        Model.from_config(config)


def test_a_sum_in_keras_s_words_is_an_add() -> None:
    """`x + y` in Keras: class Add, called on two arguments instead of a list."""
    inputs = Input((3,))
    model = Model(inputs, layers.Add()([layers.Dense(3)(inputs), inputs]))
    config = model.get_config()
    (node,) = config["layers"][-1]["inbound_nodes"]
    (node["args"],) = node["args"]
    assert len(node["args"]) == 2
    again = Model.from_config(config)
    again.set_weights(model.get_weights())
    x = random(2, 3)
    np.testing.assert_array_equal(again(x), model(x))
    node["args"][1] = 3
    with pytest.raises(ValueError, match=r'Add "add" is called with 3: not supported'):
        Model.from_config(config)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([random(2, 3)], r'Model "functional" expects 2 inputs\. Received 1\.'),
        (random(2, 3), r"expects 2 inputs\. Received 1\."),
        ([random(2, 3)] * 3, r"expects 2 inputs\. Received 3\."),
        (
            [random(2, 3), random(2, 5)],
            r'expects input "b"\.shape=\(batch, 4\)\. Received input "b"\.shape=\(2, 5\)\.',
        ),
        ({"a": random(2, 3)}, r"expects inputs \['b'\]\. Received \['a'\]\."),
    ],
    ids=["one of two", "an array", "three", "shape", "name missing"],
)
def test_inputs_that_do_not_fit(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        several_ends()(x)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int64", "bool"])
def test_numbers_of_any_kind_become_the_inputs_dtype(dtype: str) -> None:
    model = chain()
    x = np.random.default_rng(0).integers(0, 2, (2, 6, 6, 2))
    y, tape = model.forward(x.astype(dtype))
    assert y.dtype == tape.entries[0].x.dtype == np.float32
    np.testing.assert_array_equal(y, model(x.astype("float32")))


def test_an_array_need_not_lie_in_order() -> None:
    model = chain()
    x = random(2, 12, 6, 4)
    view = x[:, ::2, :, ::2].transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(model(view), model(view.copy(order="C")))


def test_an_empty_batch_gives_an_empty_answer() -> None:
    assert chain()(np.zeros((0, 6, 6, 2), np.float32)).shape == (0, 4)


def test_sizes_left_open_take_any_size() -> None:
    inputs = Input((None, None, 2))
    model = Model(inputs, GlobalAveragePooling2D()(Conv2D(3, 3)(inputs)))
    assert [model(random(1, n, n + 2, 2)).shape for n in (3, 8)] == [(1, 3), (1, 3)]
    with pytest.raises(
        ValueError, match=r"x\.shape=\(batch, None, None, 2\)\. Received x\.shape=\(1"
    ):
        model(random(1, 8, 8, 3))


# ---------------------------------------------------------------------------------------------
# Sequential
# ---------------------------------------------------------------------------------------------


def test_a_chain_without_an_input_builds_itself_on_data() -> None:
    model = Sequential([Conv2D(2, 3), Flatten(), Dense(3)])
    assert not model.built
    for ask in (lambda: model.inputs, lambda: model.outputs, lambda: model.summary()):
        with pytest.raises(
            (AttributeError, ValueError),
            match=r'Sequential "sequential" has no .* yet: start it with',
        ):
            ask()
    with pytest.raises(ValueError, match=r"has no weights yet"):
        model.count_params()
    assert model(random(2, 5, 5, 1)).shape == (2, 3)
    assert model.count_params() == (9 + 1) * 2 + (18 + 1) * 3
    assert model.input_shape == (None, 5, 5, 1)
    with pytest.raises(ValueError, match=r"expects x\.shape=\(batch, 5, 5, 1\)"):
        model(random(2, 6, 6, 1))


def test_build_and_input_shape_say_the_size_too() -> None:
    model = Sequential([Dense(3)])
    model.build((None, 4))
    assert model.output_shape == (None, 3)
    assert Sequential([Dense(3, input_shape=(4,))]).output_shape == (None, 3)
    with pytest.raises(ValueError, match=r'Sequential "sequential_2" has no layers\.'):
        Sequential().build((None, 4))


def test_add_and_pop() -> None:
    model = Sequential()
    with pytest.raises(ValueError, match=r'Sequential "sequential" has no layer to remove\.'):
        model.pop()
    model.add(Input((4,)))
    model.add(Dense(3))
    x = random(2, 4)
    features = model(x)
    last = Dense(2)
    model.add(last)
    assert model(x).shape == (2, 2)
    assert model.pop() is last
    np.testing.assert_array_equal(model(x), features)  # the weights stayed
    assert len(model.weights) == 2
    model.pop()
    assert model.layers == []
    assert not model.built


def test_a_layer_that_does_not_fit_is_not_added() -> None:
    model = built_at_once()
    x = random(2, 4)
    y = model(x)
    for layer, message in [
        (Conv2D(2, 3), "expects an input with 4 dim"),
        (Dense(1, name="first"), 'several layers with the name "first"'),
        (Input((2,)), "only as its first"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.add(layer)
        assert [layer.name for layer in model.layers] == ["first", "second"]
        np.testing.assert_array_equal(model(x), y)


def test_a_chain_may_begin_with_a_model() -> None:
    base = chain()
    model = Sequential([base, Dense(2)])
    x = random(3, 6, 6, 2)
    np.testing.assert_array_equal(model(x), model.layers[1](base(x)))
    assert model.input_shape == base.input_shape


# -- what is written as arithmetic, and what a model returns --------------------------------------


def test_arithmetic_on_symbols_is_layers() -> None:
    a = Input((3,))
    b = layers.Dense(3, kernel_initializer="ones")(a)
    row = np.array([1.0, 2.0, 4.0])
    x = random(2, 3)
    total = x.sum(axis=-1, keepdims=True) * np.ones(3)
    expected = [
        (a + b, x + total),
        (b - a, total - x),
        (a + 1, x + 1),
        (1 + a, x + 1),
        (a - 0.5, x - 0.5),
        (2 - a, 2 - x),
        (a * 2, x * 2),
        (np.float32(2) * a, x * 2),
        (a / 4, x / 4),
        (-a, -x),
        (a * row, x * row),
        (row + a, x + row),
        (a / row.tolist(), x / row),
        (sum([a, b]), x + total),
        ((a * 2 + 1) - b * row, x * 2 + 1 - total * row),
    ]
    model = Model(a, [symbol for symbol, _ in expected])
    for y, (_, wanted) in zip(model(x), expected, strict=True):
        np.testing.assert_allclose(y, wanted, rtol=1e-6)
    again = Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    for y, wanted in zip(again.predict(x, verbose=0), model(x), strict=True):
        np.testing.assert_array_equal(y, wanted)
    whole = Model(a, 1 - a * row)
    np.testing.assert_allclose(
        whole.backward(np.ones((2, 3)), whole.forward(x)[1])[0], [-row, -row]
    )
    double = Input((3,), dtype="float64")
    assert (double * 2 + double).dtype == "float64"


@pytest.mark.parametrize(
    "use",
    [
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: 1 / a,
        lambda a, b: a**2,
        lambda a, b: a @ b,
        lambda a, b: a // 2,
        lambda a, b: a % 2,
        lambda a, b: abs(a),
        lambda a, b: a[:, :1],
        lambda a, b: a[..., 0],
        lambda a, b: list(a),
        lambda a, b: a < b,
        lambda a, b: a + "one",
        lambda a, b: a + np.ones((2, 3)),
        bool,
    ],
)
def test_other_arithmetic_on_symbols_says_what_there_is(use: Callable[..., Any]) -> None:
    a = Input((3,))
    with pytest.raises(TypeError, match="is a symbol"):
        use(a) if use is bool else use(a, layers.Dense(3)(a))


def test_symbols_of_two_shapes_are_not_added() -> None:
    with pytest.raises(ValueError, match="inputs of one shape"):
        Input((3,)) + Input((1,))
    with pytest.raises(ValueError, match="scale"):
        Input((3,)) / 0


def test_layers_as_functions() -> None:
    a, b = Input((3,)), Input((3,))
    assert layers.add([a, b], name="sum").node.layer.get_config()["name"] == "sum"
    assert layers.concatenate([a, b]).shape == (None, 6)
    np.testing.assert_array_equal(layers.add([np.ones((1, 2)), np.ones((1, 2))]), [[2, 2]])


@pytest.mark.parametrize("kind", [list, tuple])
def test_outputs_come_as_they_were_given(kind: Any) -> None:
    a, x = Input((3,)), random(2, 3)
    model = Model(a, kind([layers.Dense(2)(a), layers.Dense(1)(a)]))
    for given in (
        model(x), model.predict(x, verbose=0), model.predict_on_batch(x), model.output,
        model.inference_model()(x), model(Input((3,))),
    ):  # fmt: skip
        assert type(given) is kind
        assert [len(part.shape) for part in given] == [2, 2]
    assert type(model.outputs) is list
    again = Model.from_config(model.get_config())
    assert type(again(x)) is list  # as Keras reads its own


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sequential([layers.Dense(2)]),
        Sequential,
        lambda: layers.Dense(2),
        lambda: layers.Conv2D(2, 3),
        layers.Flatten,
    ],
)
def test_what_is_not_there_yet_is_not_an_attribute(make: Callable[[], Any]) -> None:
    thing = make()
    names = {name for name in dir(type(thing)) if isinstance(getattr(type(thing), name), property)}
    assert {"input", "output", "trainable"} <= names
    for name in names:
        hasattr(thing, name)  # raises nothing but an AttributeError
    for name in ("input", "output", "input_shape", "output_shape", "inputs", "outputs"):
        assert not hasattr(thing, name)


def test_the_same_layer_twice_in_a_chain_is_told() -> None:
    layer = layers.Dense(3, name="both")
    for make in (lambda: Sequential([layer, layer]), lambda: Sequential([layer]).add(layer)):
        with pytest.raises(ValueError, match=r'already has Dense "both"\. To use it twice, call'):
            make()
    a = Input((3,))
    assert len(Model(a, layer(layer(a))).weights) == 2
