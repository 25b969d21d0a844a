"""Models are built from symbols, sub-models or `Sequential`, and named; bad graphs are refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_graphs import branches, chain, random, several_ends, shared_layer

from minicnn import Input, Model, Sequential, layers, utils
from minicnn.layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    Flatten,
)


def test_automatic_names_are_keras_s() -> None:
    inputs = Input((8, 8, 3))
    x = Conv2D(2, 3)(inputs)  # on its own line: if nested, the outer layer is made first
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
    """Depth decides, not the order of calls: the layer of the short branch comes later."""
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
    """After each `add`, earlier layers must still have a single use."""
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
    """`Model(model.inputs, layer.output)` computes features, with the same weights."""
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
    """As in Keras, `predict([x])` and `model([symbol])` work, and a list of rows is a batch."""
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


def starts_behind_its_output() -> Model:
    x = Dense(3)(Input((4,), name="start"))
    return Model(Dense(2)(x), x)


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
            starts_behind_its_output,
            ValueError,
            r"the outputs depend on <KerasTensor .*name=start>, which is not among the inputs\.",
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
def test_an_impossible_graph_is_refused(
    make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------------------------------------
# Sequential
# ---------------------------------------------------------------------------------------------


def test_a_chain_without_an_input_is_built_for_its_first_data() -> None:
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


def test_build_and_input_shape_also_give_the_size() -> None:
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
    np.testing.assert_array_equal(model(x), features)  # its weights are the same
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


# -- arithmetic on symbols, and what a model returns ----------------------------------------------


def test_arithmetic_on_symbols_makes_layers() -> None:
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
        (a / (b + 9), x / (total + 9)),
        (1 / (a + 9), 1 / (x + 9)),
        (a**2, x**2),
        (a[..., 1:], x[:, 1:]),
        (a[:, None, 0], x[:, None, 0]),
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
        lambda a, b: np.ones(3) / a,
        lambda a, b: a // 2,
        lambda a, b: a % 2,
        lambda a, b: list(a),
        lambda a, b: a + "one",
        lambda a, b: a + np.ones((2, 3)),
        lambda a, b: ~a,
        bool,
    ],
)
def test_other_arithmetic_on_symbols_is_refused_with_advice(use: Callable[..., Any]) -> None:
    a = Input((3,))
    with pytest.raises(TypeError, match="is a symbol"):
        use(a) if use is bool else use(a, layers.Dense(3)(a))


def test_symbols_of_two_shapes_are_not_added() -> None:
    with pytest.raises(ValueError, match="inputs of one shape"):
        Input((3,)) + Input((2,))
    with pytest.raises(ValueError, match="scale"):
        Input((3,)) / 0


def test_add_and_concatenate_as_functions() -> None:
    a, b = Input((3,)), Input((3,))
    assert layers.add([a, b], name="sum").node.layer.get_config()["name"] == "sum"
    assert layers.concatenate([a, b]).shape == (None, 6)
    np.testing.assert_array_equal(layers.add([np.ones((1, 2)), np.ones((1, 2))]), [[2, 2]])


@pytest.mark.parametrize("kind", [list, tuple])
def test_outputs_come_as_the_list_or_tuple_they_were_given_as(kind: Any) -> None:
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
    assert type(again(x)) is list  # as when Keras reads its own config


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
def test_attributes_that_do_not_exist_yet_raise_attribute_errors(make: Callable[[], Any]) -> None:
    thing = make()
    names = {name for name in dir(type(thing)) if isinstance(getattr(type(thing), name), property)}
    assert {"input", "output", "trainable"} <= names
    for name in names:
        hasattr(thing, name)  # this raises any other error
    for name in ("input", "output", "input_shape", "output_shape", "inputs", "outputs"):
        assert not hasattr(thing, name)


def test_the_same_layer_twice_in_a_chain_is_refused() -> None:
    layer = layers.Dense(3, name="both")
    for make in (lambda: Sequential([layer, layer]), lambda: Sequential([layer]).add(layer)):
        with pytest.raises(ValueError, match=r'already has Dense "both"\. To use it twice, call'):
            make()
    a = Input((3,))
    assert len(Model(a, layer(layer(a))).weights) == 2
