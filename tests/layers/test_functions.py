"""Functions of `keras.ops` on symbols become layers: their numbers, gradients and files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients

import minicnn
from minicnn import layers, models, ops
from minicnn.layers.functions import ARGUMENTS, Function, keras_class_of

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 2, (2, 2, 3, 4)).astype(np.float32)
FOUR = np.float32([1, 2, 3, 4])

# For each function a use of it on a symbol a of shape (None, 2, 3, 4).
_OF_ONE = (
    "abs arctan ceil cos exp expm1 floor isfinite isinf isnan log log10 log1p log2 logical_not"
)
_OF_ONE += " negative reciprocal rsqrt sign sin sqrt square tan celu hard_shrink log_sigmoid"
_OF_ONE += " soft_shrink squareplus tanh_shrink"
_OF_TWO = "add divide equal greater greater_equal less less_equal logical_and logical_or maximum"
_OF_TWO += " minimum multiply not_equal power subtract"
_OVER_AXES = "logsumexp max mean min sum"

USES: dict[str, Callable[[Any, Any], Any]] = {
    **{name: lambda o, a, name=name: getattr(o, name)(a) for name in _OF_ONE.split()},
    **{name: lambda o, a, name=name: getattr(o, name)(a, 1.2) for name in _OF_TWO.split()},
    **{name: lambda o, a, name=name: getattr(o, name)(a, axis=-2) for name in _OVER_AXES.split()},
    "cast": lambda o, a: o.cast(a > 1, "float32") * 2,
    "clip": lambda o, a: o.clip(a, 0.5, 1.5),
    "concatenate": lambda o, a: o.concatenate([a, a + 1], axis=-1),
    "cumsum": lambda o, a: o.cumsum(a, axis=1),
    "expand_dims": lambda o, a: o.expand_dims(a, -2),
    "flip": lambda o, a: o.flip(a, 2),
    "matmul": lambda o, a: o.matmul(o.transpose(a, (0, 1, 3, 2)), a),
    "moveaxis": lambda o, a: o.moveaxis(a, 1, -1),
    "reshape": lambda o, a: o.reshape(a, (-1, 6, 4)),
    "roll": lambda o, a: o.roll(a, 1, axis=2),
    "squeeze": lambda o, a: o.squeeze(a[:, :, :1, :1], axis=[2, 3]),
    "stack": lambda o, a: o.stack([a, a], axis=1),
    "swapaxes": lambda o, a: o.swapaxes(a, 1, 3),
    "transpose": lambda o, a: o.transpose(a, (0, 3, 1, 2)),
    "where": lambda o, a: o.where(
        a > 1, o.sum(a, axis=-1, keepdims=True), np.float32([1, 2, 3, 4])
    ),
    # Uses of operators, and of functions that consist of others.
    "a norm": lambda o, a: a / o.sqrt(o.sum(a * a, axis=(1, 2, 3), keepdims=True)),
    "a distance": lambda o, a: abs(a - o.max(a, axis=1, keepdims=True)) ** 1.5,
    "norm": lambda o, a: o.norm(a, axis=-1),
    "normalize": lambda o, a: o.normalize(a, axis=-1),
    "std": lambda o, a: o.std(a, axis=2),
    "var": lambda o, a: o.var(a, axis=-1, keepdims=True),
    "products": lambda o, a: a @ np.eye(4, dtype=np.float32)[:, :3],
    "a power of a number": lambda o, a: 2.0**a,
    "a power of itself": lambda o, a: a**a,
    "comparisons": lambda o, a: o.cast(a >= 1, "float32") + o.cast(a < 0.5, "float32"),
}


def model_of(use: Callable[[Any, Any], Any]) -> Any:
    inputs = minicnn.Input((2, 3, 4), name="a")
    return minicnn.Model(inputs, use(ops, inputs))


def test_every_function_has_a_use() -> None:
    assert set(ARGUMENTS) <= set(USES)


@pytest.mark.parametrize("name", USES)
def test_a_layer_computes_what_the_function_does(name: str) -> None:
    model = model_of(USES[name])
    expected = np.asarray(USES[name](ops, X), np.float32)
    np.testing.assert_allclose(model(X), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert model.output_shape[1:] == expected.shape[1:]
    again = models.clone_model(model)
    np.testing.assert_array_equal(again(X), model(X))


def test_a_function_may_look_at_the_whole_batch() -> None:
    centred = model_of(lambda o, a: a - o.mean(a, axis=0, keepdims=True))
    assert centred.examples_at_once() is None  # so that predict does not divide a batch
    assert (model_of(lambda o, a: o.relu(a)).examples_at_once() or 0) > 1


def test_numbers_by_hand() -> None:
    inputs = minicnn.Input((3,))
    y = ops.where(inputs > 1, ops.sum(inputs, axis=-1, keepdims=True), ops.log(inputs))
    model = minicnn.Model(inputs, y)
    assert [type(layer) for layer in model.layers[1:]] == [Function] * 4
    x = np.array([[1, 2, 4]], np.float32)
    np.testing.assert_array_equal(model(x), [[0, 7, 7]])
    _, tape = model.forward(x)
    dx, _ = model.backward(np.ones((1, 3), np.float32), tape)
    np.testing.assert_array_equal(dx, [[1 + 2, 2, 2]])
    comparison = minicnn.Model(inputs, inputs > 1).predict(x, verbose=0)
    assert comparison.dtype == np.float32
    assert comparison.tolist() == [[0, 1, 1]]


def test_gradients() -> None:
    """Of two functions at once that share an input, with a constant for each channel."""
    inputs = minicnn.Input((2, 3, 4), dtype="float64")
    y = ops.logsumexp(inputs, axis=-1, keepdims=True) * ops.log1p(ops.maximum(inputs, [0.3] * 4))
    model = minicnn.Model(inputs, y)

    def backward(dy: Any, x: Any) -> Any:
        return [model.backward(dy, model.forward(x)[1])[0]]

    x = X.astype(np.float64)
    check_gradients(lambda x: model.forward(x)[0], backward, [x], np.random.default_rng(1))


def test_a_model_learns_through_functions(tmp_path: Path) -> None:
    """Two images are the same if the features of one network are near each other."""
    one, other = minicnn.Input((4,)), minicnn.Input((4,))
    inner = layers.Dense(3, kernel_initializer=minicnn.initializers.GlorotUniform(seed=1))
    difference = ops.sum(ops.square(inner(one) - inner(other)), axis=1, keepdims=True)
    distance = ops.sqrt(ops.maximum(difference, 1e-7))
    model = minicnn.Model([one, other], distance)
    model.compile("sgd", "mse")
    x = X.reshape(-1, 4)
    losses = model.fit([x[:6], x[6:]], np.zeros((6, 1)), epochs=3, verbose=0).history["loss"]
    assert losses[0] > losses[1] > losses[2]
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again([x[:6], x[6:]]), model([x[:6], x[6:]]))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


def assert_same(found: Any, expected: Any, names: list[str]) -> None:
    for name, y, wanted in zip(names, found, expected, strict=True):
        np.testing.assert_allclose(
            np.asarray(y, np.float32), np.asarray(wanted, np.float32), 1e-5, 1e-5, err_msg=name
        )


@pytest.mark.keras
@pytest.mark.slow
def test_files_both_ways(tmp_path: Path) -> None:
    """Keras opens a model with all functions, computes the same, and minicnn opens its file."""
    keras = pytest.importorskip("keras")
    names = list(USES)
    inputs = minicnn.Input((2, 3, 4), name="a")
    model = minicnn.Model(inputs, [USES[name](ops, inputs) for name in names])
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    assert_same(theirs(X), model(X), names)
    theirs.save(tmp_path / "theirs.keras")
    assert_same(models.load_model(tmp_path / "theirs.keras")(X), model(X), names)
    # These consist of others here, but are functions of their own there.
    names = ["norm", "normalize", "std", "var", "where"]
    inputs = keras.Input((2, 3, 4), name="a")
    theirs = keras.Model(inputs, [USES[name](keras.ops, inputs) for name in names])
    theirs.save(tmp_path / "theirs.keras")
    assert_same(models.load_model(tmp_path / "theirs.keras")(X), theirs(X), names)


@pytest.mark.keras
def test_keras_has_the_classes() -> None:
    keras = pytest.importorskip("keras")
    for name in ARGUMENTS:
        layer = Function(name, [])
        module = __import__(layer.keras_module, fromlist=["ops"])
        assert issubclass(getattr(module, keras_class_of(name)), keras.Operation), name


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda: Function("tile", []), ValueError, r"^Function expects one of abs, .*'tile'\.$"),
        (
            lambda: ops.tile(minicnn.Input((3,)), 2),
            TypeError,
            r"^minicnn\.ops\.tile makes no layer: not supported for symbols\.",
        ),
        (
            lambda: ops.sum(minicnn.Input((3,)), axis=5),
            ValueError,
            r'^Function "sum.*" cannot be called on zeros of shape .* axis 5 is out of bounds',
        ),
        (
            lambda: ops.maximum(minicnn.Input((3,)), "a"),
            TypeError,
            r"^minicnn\.ops\.maximum .*'a'.*: not supported for symbols",
        ),
        *(
            (
                lambda use=use: use(minicnn.Input((20_000, 1)), np.ones((1, 20_000), np.float32)),
                ValueError,
                r"at most 134,217,728 numbers of an example\. Received the shapes \(2, 20000, 1\)",
            )
            for use in (ops.maximum, ops.matmul)
        ),
        (lambda: minicnn.Input((3,)) % 2, TypeError, r"supports \+, -, \*, /, @, \*\* and compari"),
    ],
)
def test_mistakes_are_told(act: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        act()


def test_a_number_for_the_whole_batch_is_no_output_of_fit_and_predict() -> None:
    x = np.ones((2, 3), np.float32)
    inputs = minicnn.Input((3,))
    model = minicnn.Model(inputs, ops.sum(inputs))
    model.compile("sgd", "mse")
    assert float(model(x)) == 6
    for act in (model.predict, lambda x: model.fit(x, x), lambda x: model.evaluate(x, x)):
        with pytest.raises(ValueError, match="expects outputs with an entry for each example"):
            act(x)
