"""Models take data that fit their inputs, and refuse others."""

from typing import Any

import numpy as np
import pytest
from model_graphs import chain, random, several_ends

from minicnn import Input, Model, Sequential, layers
from minicnn.layers import (
    Conv2D,
    GlobalAveragePooling2D,
)


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
            r'Sequential "sequential" expects x to be numbers\. Received text\. load_img reads',
        ),
        (np.zeros((2, 6, 6, 2), complex), TypeError, r"numbers\. Received dtype complex128\."),
        (None, TypeError, r"numbers\. Received dtype object\."),
    ],
    ids=["size", "channels first", "no batch", "text", "complex", "None"],
)
def test_an_input_that_does_not_fit_is_refused(
    method: str, x: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        getattr(chain(), method)(x)


def test_a_model_made_for_one_batch_size_takes_any() -> None:
    """So it is in Keras, where a model keeps the size of its first batch in its config."""
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


def test_inputs_and_outputs_in_a_dict() -> None:
    """They have the order of the sorted keys, as in Keras, and arrays come in a dict, too."""
    a, b = Input((2,), name="a"), Input((3,), name="b")
    x, y = layers.Dense(1, name="x")(a), layers.Dense(2, name="y")(b)
    model = Model({"b": b, "a": a}, {"q": x, "p": y})
    assert [symbol.name for symbol in (*model.inputs, *model.outputs)] == ["a", "b", "y", "x"]
    assert (model.target_names, model.output_names) == (["p", "q"], ["y", "x"])
    assert {key: symbol.name for key, symbol in model.output.items()} == {"p": "y", "q": "x"}
    given = {"a": random(4, 2), "b": random(4, 3)}
    for found in (model(given), model.predict(given, verbose=0), model.predict_on_batch(given)):
        assert {key: value.shape for key, value in found.items()} == {"p": (4, 2), "q": (4, 1)}
    nested = model({"b": b, "a": a})
    assert list(nested) == ["p", "q"]
    again = Model.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    larger = Model([a, b], layers.Concatenate()([nested["q"], nested["p"]]))
    np.testing.assert_array_equal(
        larger([given["a"], given["b"]]), np.concatenate([model(given)["q"], model(given)["p"]], 1)
    )
    alone = Model(a, {"only": x})
    assert list(alone.predict(given["a"], verbose=0)) == list(alone(given["a"])) == ["only"]
    with pytest.raises(ValueError, match=r"their names as keys: Input\(…, name='left'\)"):
        Model({"left": a}, x)
    with pytest.raises(ValueError, match=r"expects inputs \['b'\]. Received \['a'\]"):
        model({"a": given["a"]})


def test_a_sum_in_a_keras_config_is_read_as_add() -> None:
    """Keras writes `x + y` as class Add, called on two arguments instead of a list."""
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


def test_a_keras_config_may_say_that_a_layer_has_no_mask() -> None:
    inputs = Input((3,))
    config = Model(inputs, layers.Dense(3)(inputs)).get_config()
    (node,) = config["layers"][-1]["inbound_nodes"]
    for none in (None, [None], [None, None]):
        node["kwargs"]["mask"] = none
        assert Model.from_config(config)(random(2, 3)).shape == (2, 3)
    for mask in (node["args"][0], [node["args"][0]], [None, [None]]):  # {"class_name": …}, …
        node["kwargs"]["mask"] = mask
        with pytest.raises(ValueError, match=r'Dense "dense.*" is called with mask=.*: not supp'):
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
def test_inputs_that_do_not_fit_are_refused(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        several_ends()(x)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int64", "bool"])
def test_numbers_of_any_dtype_become_the_input_s(dtype: str) -> None:
    model = chain()
    x = np.random.default_rng(0).integers(0, 2, (2, 6, 6, 2))
    y, tape = model.forward(x.astype(dtype))
    assert y.dtype == tape.entries[0].x.dtype == np.float32
    np.testing.assert_array_equal(y, model(x.astype("float32")))


def test_an_array_need_not_be_contiguous() -> None:
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


def test_one_large_image_without_its_batch_is_known_though_predict_cuts_it_into_batches() -> None:
    model = Sequential([Input((40, 40, 3)), GlobalAveragePooling2D()])
    with pytest.raises(ValueError, match=r"One example needs its batch axis: x\[None\]\."):
        model.predict(np.zeros((40, 40, 3)), verbose=0)
