"""Operations: answers by hand, gradients against differences, and what they refuse."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients, distinct_values
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import layers, ops
from minicnn.ops.activations import function_of
from minicnn.ops.tape import Tape, Tensor, summed_to

Array = np.ndarray


def gradients_of(function: Callable[..., Any], inputs: list[Array], dy: Array) -> list[Any]:
    """Return dx of each input, by a tape."""
    tape = Tape()
    with tape:
        tensors = [tape.watch(x) for x in inputs]
        y = function(*tensors)
    return tape.gradients([(y, dy)], tensors)


def uniform(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    found: Array = np.random.default_rng(sum(shape)).uniform(low, high, shape)
    return found


def of_number(function: Callable[..., Any], x: Any) -> Any:
    """Return the function of the one number in x, without its axis while it is computed."""
    return ops.reshape(function(ops.reshape(x, ())), (1,))


ROWS, LINE = distinct_values((3, 4), np.random.default_rng(0)), uniform(4)
POSITIVE = uniform(3, 4, low=0.5)
IMAGES, KERNEL = distinct_values((2, 5, 6, 3), np.random.default_rng(1)), uniform(3, 2, 3, 4)

# An operation, and what it is called with; of several outputs, all count.
CASES: dict[str, tuple[Callable[..., Any], list[Array]]] = {
    **{
        name: (getattr(ops, name), [ROWS, LINE + 5])
        for name in ("add", "subtract", "multiply", "divide")
    },
    "maximum": (ops.maximum, [ROWS, uniform(3, 4)]),
    "minimum": (ops.minimum, [ROWS, uniform(3, 4)]),
    "where": (lambda x1, x2: ops.where(ROWS > 0, x1, x2), [ROWS, uniform(3, 4)]),
    "power": (ops.power, [POSITIVE, LINE]),
    **{
        name: (getattr(ops, name), [ROWS])
        for name in ("negative", "abs", "square", "exp", "expm1", "sin", "cos", "arctan")
    },
    "tan": (ops.tan, [ROWS / 2]),
    **{
        name: (getattr(ops, name), [POSITIVE])
        for name in ("sqrt", "rsqrt", "reciprocal", "log", "log1p", "log2", "log10")
    },
    "clip": (lambda x: ops.clip(x, -0.7, 0.9), [ROWS]),
    "nan_to_num": (ops.nan_to_num, [ROWS]),
    **{
        f"{name} {axis} {keep}": (partial(getattr(ops, name), axis=axis, keepdims=keep), [ROWS])
        for name in ("sum", "mean", "max", "min", "var", "std", "logsumexp", "norm")
        for axis in (None, 0, -1, (0, 1))
        for keep in (False, True)
    },
    "moments": (lambda x: ops.stack(ops.moments(x, [0])), [ROWS]),
    "normalize": (ops.normalize, [ROWS]),
    "average": (lambda x, w: ops.average(x, 0, w), [ROWS, POSITIVE]),
    "average of lines": (lambda x, w: ops.average(x, -2, w), [ROWS, POSITIVE[:, 0]]),
    "cumsum": (lambda x: ops.cumsum(x, 1), [ROWS]),
    "cumsum of all": (ops.cumsum, [ROWS]),
    "reshape": (lambda x: ops.reshape(x, (2, -1)), [ROWS]),
    "ravel": (ops.ravel, [ROWS]),
    "transpose": (ops.transpose, [IMAGES]),
    "transpose axes": (lambda x: ops.transpose(x, [0, 3, 1, 2]), [IMAGES]),
    "transpose negative axes": (lambda x: ops.transpose(x, (-1, 0, -3, 2)), [IMAGES]),
    "moveaxis": (lambda x: ops.moveaxis(x, -1, 1), [IMAGES]),
    "moveaxis of two": (lambda x: ops.moveaxis(x, (-1, 0), (1, -1)), [IMAGES]),
    "swapaxes": (lambda x: ops.swapaxes(x, 1, 3), [IMAGES]),
    "expand_dims": (lambda x: ops.expand_dims(x, [0, 2]), [ROWS]),
    "squeeze": (lambda x: ops.squeeze(x, 1), [ROWS[:, None]]),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (2, 3, 4)), [ROWS[:1]]),
    "flip": (lambda x: ops.flip(x, 1), [ROWS]),
    "roll": (lambda x: ops.roll(x, 3, 1), [ROWS]),
    "repeat": (lambda x: ops.repeat(x, 3, 1), [ROWS]),
    "repeat of all": (lambda x: ops.repeat(x, 2), [ROWS]),
    "tile": (lambda x: ops.tile(x, (2, 1, 3)), [ROWS]),
    "pad": (lambda x: ops.pad(x, ((1, 2), (0, 1))), [ROWS]),
    "pad with two numbers": (
        lambda x: ops.pad(x, ((1, 2), (0, 1)), constant_values=np.array([3.0, 4.0])),
        [ROWS],
    ),
    "get_item": (lambda x: x[1:, None, ::-2], [ROWS]),
    "get_item twice": (lambda x: x[[0, 2, 0]], [ROWS]),
    "take": (lambda x: ops.take(x, [3, 3, 0], 1), [ROWS]),
    "take of all": (lambda x: ops.take(x, [3, 3, 11]), [ROWS]),
    "concatenate": (lambda x, y: ops.concatenate([x, y], 1), [ROWS, uniform(3, 2)]),
    "stack": (lambda x, y: ops.stack([x, y], axis=-1), [ROWS, uniform(3, 4)]),
    "split": (lambda x: ops.split(x, [1, 3], 1)[1], [ROWS]),
    "split evenly": (lambda x: ops.split(x, 2, axis=-1)[1], [ROWS]),
    "unstack": (lambda x: ops.unstack(x, axis=1)[3], [ROWS]),
    "matmul": (ops.matmul, [ROWS, uniform(4, 5)]),
    "matmul of images": (ops.matmul, [IMAGES, uniform(3, 2)]),
    "matmul of stacks": (ops.matmul, [uniform(2, 3, 4), uniform(2, 4, 5)]),
    "matmul, one of them a stack": (ops.matmul, [ROWS, uniform(2, 4, 5)]),
    "matmul with a vector": (ops.matmul, [ROWS, LINE]),
    "matmul of a vector": (ops.matmul, [LINE, uniform(2, 4, 5)]),
    "matmul of vectors": (ops.matmul, [LINE, LINE + 1]),
    "dot": (ops.dot, [ROWS, uniform(2, 4, 5)]),
    "tensordot": (lambda x, y: ops.tensordot(x, y, ([0, 1], [2, 0])), [ROWS, uniform(4, 2, 3)]),
    "tensordot of negative axes": (
        lambda x, y: ops.tensordot(x, y, ([-1, -2], [0, -1])),
        [ROWS, uniform(4, 2, 3)],
    ),
    "tensordot of the last": (lambda x, y: ops.tensordot(x, y, 1), [ROWS, uniform(4, 2)]),
    "einsum": (
        lambda x, y: ops.einsum("bqd, bkd -> bqk", x, y),
        [uniform(2, 3, 4), uniform(2, 5, 4)],
    ),
    "einsum that sums": (lambda x, y: ops.einsum("ij,kl->j", x, y), [ROWS, uniform(2, 2)]),
    "softmax": (lambda x: ops.softmax(x, axis=1), [IMAGES]),
    "softmax over two axes": (lambda x: ops.softmax(x, axis=(1, -2)), [IMAGES]),
    "log_softmax": (lambda x: ops.log_softmax(x, axis=0), [ROWS]),
    "gelu": (ops.gelu, [ROWS]),
    "glu": (ops.glu, [ROWS]),
    "glu of rows": (lambda x: ops.glu(x, axis=1), [uniform(2, 4, 3)]),
    "threshold": (lambda x: ops.threshold(x, 0.5, -3.0), [ROWS]),
    "relu of some slope": (lambda x: ops.relu(x, negative_slope=0.3, max_value=1.5), [ROWS]),
    "conv": (lambda x, w: ops.conv(x, w, (2, 1), "same"), [IMAGES, KERNEL]),
    "depthwise_conv": (
        lambda x, w: ops.depthwise_conv(x, w, dilation_rate=2),
        [IMAGES, KERNEL[:2]],
    ),
    "max_pool": (lambda x: ops.max_pool(x, 2, padding="same"), [IMAGES]),
    "adaptive_max_pool": (lambda x: ops.adaptive_max_pool(x, (3, 2)), [IMAGES]),
    "adaptive_average_pool": (lambda x: ops.adaptive_average_pool(x, (3, 2)), [IMAGES]),
    "average_pool": (lambda x: ops.average_pool(x, (2, 3), 1), [IMAGES]),
    "cast": (lambda x: ops.cast(x, "float64"), [ROWS]),
    "copy": (ops.copy, [ROWS]),
    **{
        f"activation {name}": (function_of(name), [ROWS]) for name in minicnn.functional.ACTIVATIONS
    },
    **{
        f"activation {name} of a number": (partial(of_number, function_of(name)), [uniform(1)])
        for name in minicnn.functional.ACTIVATIONS
        if "softmax" not in name
    },
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_slopes(case: str) -> None:
    function, inputs = CASES[case]
    check_gradients(
        lambda *xs: np.asarray(function(*xs)),
        lambda dy, *xs: gradients_of(function, list(xs), dy),
        inputs,
        np.random.default_rng(0),
    )


@pytest.mark.parametrize("case", CASES)
def test_a_tape_records_the_same_numbers(case: str) -> None:
    function, inputs = CASES[case]
    tape = Tape()
    with tape:
        y = function(*(tape.watch(x) for x in inputs))
    assert isinstance(y, Tensor)
    np.testing.assert_array_equal(y.numpy(), np.asarray(function(*inputs)))
    assert y.shape == y.numpy().shape
    assert repr(y) == f"<Tensor shape={y.shape}, dtype=float64>"


def test_each_operation_with_a_gradient_has_a_case() -> None:
    said = {case.split()[0] for case in CASES} | set(minicnn.functional.ACTIVATIONS)
    constants = {
        name for name, value in vars(ops.constants).items() if inspect.isfunction(value)
    } - {"cast", "copy"}
    second = {"absolute", "true_divide", "hard_swish", "swish"}
    assert set(ops.__all__) - constants - second - {"identity"} <= said


def test_by_hand() -> None:
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    tape = Tape()
    with tape:
        tensor = tape.watch(x)
        y = ops.sum(tensor * tensor / 2.0 + [1.0, 10.0])
    assert float(y) == 41.5
    assert [step.name for step in tape.steps] == ["multiply", "divide", "add", "sum"]
    (dx,) = tape.gradients([(y, np.array(1.0))], [tensor])
    np.testing.assert_array_equal(dx, x)


@pytest.mark.parametrize(
    ("function", "x", "dx"),
    [
        (
            lambda x: ops.transpose(x, (-1, 0, 1)) * np.arange(6.0).reshape(3, 1, 2),
            np.zeros((1, 2, 3)).tolist(),
            [[[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]],
        ),
        (lambda x: ops.max(x, axis=1), [[1.0, 4.0, 4.0]], [[0.0, 0.5, 0.5]]),
        (lambda x: ops.maximum(x, 2.0), [1.0, 2.0, 3.0], [0.0, 1.0, 1.0]),
        (lambda x: ops.maximum(2.0, x), [1.0, 2.0, 3.0], [0.0, 0.0, 1.0]),
        (lambda x: ops.abs(x), [-2.0, 0.0, 3.0], [-1.0, 0.0, 1.0]),
        (lambda x: ops.clip(x, 0.0, 1.0), [-1.0, 0.0, 1.0, 2.0], [0.0, 1.0, 1.0, 0.0]),
        (lambda x: ops.power(x, 0), [0.0, 2.0], [0.0, 0.0]),
        (lambda x: x**3.0, [2.0, -1.0], [12.0, 3.0]),
        (lambda x: 2.0**x, [3.0], [8 * np.log(2)]),
        (lambda x: 1.0 / x, [2.0], [-0.25]),
        (lambda x: 3.0 - x, [2.0], [-1.0]),
        (lambda x: x[0] * x[1], [3.0, 7.0], [7.0, 3.0]),
        (lambda x: x * ops.stop_gradient(x), [3.0], [3.0]),
        (lambda x: x * ops.floor(x), [3.5], [3.0]),
        (lambda x: ops.where(x > 2, x * 3, x), [1.0, 3.0], [1.0, 3.0]),
        (lambda x: np.array([4.0]) * x + np.maximum(x, 0), [3.0], [5.0]),
        (lambda x: np.exp(-x), [0.0], [-1.0]),
        (lambda x: ops.glu(x), [6.0, 0.0], [0.5, 1.5]),
        (lambda x: ops.threshold(x, 1.0, 7.0) * x, [1.0, 2.0], [7.0, 4.0]),
        (lambda x: abs(x) @ np.array([2.0, 3.0]), [-1.0, 1.0], [-2.0, 3.0]),
        (lambda x: ops.normalize(x, epsilon=0.25), [[0.0, 0.0], [0.0, 2.0]], [[4, 4], [0.5, 0]]),
        (
            lambda x: ops.average(x, 0, [3.0, 1.0]),
            [[1.0, 2.0], [5.0, 6.0]],
            [[0.75] * 2, [0.25] * 2],
        ),
        (lambda x: ops.repeat(x, 0), [[1.0, 2.0]], [[0.0, 0.0]]),
        (lambda x: ops.tensordot(x, np.zeros((0, 2)), 1), [[], []], [[], []]),
        (lambda x: x * ops.sigmoid(0.0), [4.0], [0.5]),
    ],
)
def test_gradients_by_hand(function: Any, x: list[Any], dx: list[Any]) -> None:
    y = function(np.array(x))
    found = gradients_of(function, [np.array(x)], np.ones_like(y))
    np.testing.assert_allclose(found[0], dx)


def test_where_alone_returns_the_places() -> None:
    rows, columns = ops.where([[1, 0], [0, 2]])
    assert rows.tolist() == columns.tolist() == [0, 1]
    assert rows.dtype == np.int32
    (places,) = ops.where(np.array([True, False, True]))
    assert places.tolist() == [0, 2]
    tape = Tape()
    with tape:  # of a tensor, too
        assert ops.where(tape.watch(np.array([0.0, 3.0])) > 1)[0].tolist() == [1]


def test_padding_with_several_numbers() -> None:
    found = ops.pad(np.ones((1, 1)), 1, constant_values=np.array([[2.0, 3.0], [4.0, 5.0]]))
    np.testing.assert_array_equal(found, [[4, 2, 5], [4, 1, 5], [4, 3, 5]])
    np.testing.assert_array_equal(ops.pad([1], 1, constant_values=7), [7, 1, 7])


def test_results_have_the_usual_dtype() -> None:
    x = np.ones((2, 3), np.float32)
    for y in (
        x * ops.exp([1.0, 2.0, 3.0]),
        ops.multiply(x, np.sqrt(2.0)),
        ops.mean(np.array([1, 2])),
        ops.divide(np.uint8(3), 2),
        ops.relu([-1, 2]),
        ops.zeros((2,)),
        ops.arange(3.0),
        ops.one_hot([1, 5], 3),
    ):
        assert y.dtype == np.float32
    assert ops.exp(np.ones(2)).dtype == ops.cast(x, "float64").dtype == np.float64
    assert ops.cast([1, 2], float).dtype == np.float32
    assert ops.zeros_like(x.astype(">f4")).dtype == np.float32  # "big-endian", as files have it
    assert ops.arange(3).dtype == ops.argmax(x).dtype == np.int32
    tape = Tape()
    with tape:  # constants take the dtype of tensors
        assert (tape.watch(x) * np.ones((2, 3))).dtype == "float32"


def test_constants() -> None:
    x = np.array([[1.0, 5.0, 2.0]])
    assert ops.shape(x) == (1, 3)
    assert ops.ndim(x) == 2
    assert ops.size(x) == 3
    assert ops.dtype(x) == "float64"
    assert ops.dtype(1.0) == "float64"
    np.testing.assert_array_equal(ops.argmax(x, axis=-1), [1])
    np.testing.assert_array_equal(ops.argmin(x, axis=0, keepdims=True), [[0, 0, 0]])
    np.testing.assert_array_equal(ops.argsort(x), [[0, 2, 1]])
    np.testing.assert_array_equal(ops.one_hot([0, 2, 7], 3), [[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(ops.one_hot([1.7, -0.5], 2), [[0, 1], [1, 0]])  # cut, as in Keras
    np.testing.assert_array_equal(ops.greater(x, 1), [[False, True, True]])
    np.testing.assert_array_equal(ops.logical_not(ops.isfinite([np.nan, 1.0])), [True, False])
    np.testing.assert_array_equal(ops.round([0.26, 2.5], 1), np.float32([0.3, 2.5]))
    np.testing.assert_array_equal(ops.full_like(x, 3), [[3, 3, 3]])
    np.testing.assert_array_equal(ops.linspace(0, 1, 3), [0, 0.5, 1])
    np.testing.assert_array_equal(ops.arange(1, 7, 2), [1, 3, 5])
    np.testing.assert_array_equal(ops.eye(2), [[1, 0], [0, 1]])
    assert ops.any(x, axis=1)[0]
    assert not ops.all(x - 1)
    assert ops.cast(x, "int32").dtype == np.int32
    assert ops.is_tensor(x)
    assert not ops.is_tensor([1.0])
    assert ops.convert_to_tensor([1, 2]).tolist() == [1, 2]
    np.testing.assert_array_equal(ops.convert_to_numpy(x), x)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([1, 2, 3]), min_size=0, max_size=3), st.data())
def test_what_counted_more_than_once_gets_the_sum(full: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(full)))
    shape = tuple(data.draw(st.sampled_from([1, size])) for size in full[start:])
    dy = np.random.default_rng(0).normal(size=full)
    found = summed_to(dy, shape)
    expected = np.zeros(shape)
    for place in np.ndindex(*full):
        own = place[len(full) - len(shape) :]
        at = tuple(0 if size == 1 else i for i, size in zip(own, shape, strict=True))
        expected[at] += dy[place]
    np.testing.assert_allclose(found, expected)


def test_what_nothing_depends_on_has_no_gradient() -> None:
    tape = Tape()
    with tape:
        x, other = tape.watch(np.ones(2)), tape.watch(np.ones(2))
        y = x * 2
    assert tape.gradients([(y, np.ones(2))], [x, other])[1] is None
    assert tape.gradients([(x, np.ones(2))], [x])[0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: np.mean(x), r"^np\.mean cannot be recorded for gradients: use the function of"),
        (lambda x: np.fmod(x, 2), r"^np\.fmod cannot be recorded"),
        (lambda x: np.asarray(x), r"^NumPy's function of a tensor cannot be recorded"),
        (lambda x: np.add.reduce(x), r"^np\.add cannot be recorded"),
        (lambda x: x + "a", r"^Operations expect numbers\. Received dtype"),
        (lambda x: ops.add(x, [x]), r"A list of tensors is not a tensor: minicnn\.ops\.stack"),
        (lambda x: ops.exp(), r"missing a required argument: 'x'"),
        (lambda x: ops.exp(x, y=1), r"unexpected keyword argument 'y'"),
    ],
)
def test_what_cannot_be_recorded_says_so(call: Any, says: str) -> None:
    tape = Tape()
    with tape, pytest.raises(TypeError, match=says):
        call(tape.watch(np.ones(2)))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: ops.einsum("...i->i", x), r"einsum expects subscripts such as"),
        (lambda x: ops.einsum("ij", x), r"einsum expects subscripts such as"),
        (lambda x: ops.einsum("ij,j->i", x), r"einsum expects 2 operands\. Received 1"),
        (lambda x: ops.glu(x), r"glu expects an axis of an even size. Received x.shape=\(2, 3\)"),
        (lambda x: layers.Dense(4, activation="glu"), "Dense .* expects activation to be one of"),
        (
            lambda x: layers.Dense(4, activation=ops.glu),
            "write a layer of your own with call",
        ),
        (lambda x: ops.where(x > 1, x), r"where expects both x1 and x2.*Received x2=None"),
        (lambda x: ops.average(x, 1, [1, 2]), r"each place along axis=1\. Received .*\(2,\)"),
        (lambda x: ops.average(x, (0,), [1, 2, 3]), r"along axis=\(0,\)\. Received .*\(3,\)"),
        (lambda x: ops.norm(x, ord=2), r"norm expects one axis with ord=2.* Received axis=None"),
        (lambda x: ops.norm(x, ord=1), r"norm expects ord=2.*Received ord=1"),
        (lambda x: ops.normalize(x, order=1), r"normalize expects order=2.*Received order=1"),
        (lambda x: ops.pad(x, 1, "reflect"), r'pad expects mode="constant"\. Received'),
        (lambda x: ops.split(x, 2, axis=1), r"divides the axis's 3 places\. Received 2"),
        (lambda x: ops.max_pool(x, 2, data_format="channels_first"), "channels_last"),
    ],
)
def test_bad_arguments_are_refused(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call(np.ones((2, 3)))


def test_a_tensor_says_what_to_use() -> None:
    tape = Tape()
    with tape:
        x = tape.watch(np.ones((2, 3)))
    with pytest.raises(AttributeError, match=r"A tensor has no reshape: use minicnn\.ops\.reshape"):
        x.reshape(3, 2)
    with pytest.raises(AttributeError, match=r"^A tensor has no device\.$"):
        _ = x.device
    assert [row.shape for row in x] == [(3,), (3,)]
    assert len(x) == 2
    assert x.size == 6
    assert (x == 1).all()
    assert not (x != 1).any()


SYMBOLIC = {
    "relu": (lambda x: ops.relu(x), "Activation"),
    "gelu": (lambda x: minicnn.activations.gelu(x), "Activation"),
    "add": (lambda x: ops.add(x, x), "Add"),
    "shift": (lambda x: ops.subtract(x, [1.0, 2.0, 3.0]), "Rescaling"),
    "divide": (lambda x: ops.divide(1.0, x + 5.0), "Reciprocal"),
    "square": (lambda x: ops.square(x), "Power"),
    "mean": (lambda x: ops.mean(x, axis=(1, 2)), "GlobalAveragePooling2D"),
    "max": (lambda x: ops.max(x, axis=[1, 2], keepdims=True), "GlobalMaxPooling2D"),
    "max_pool": (lambda x: ops.max_pool(x, 2, padding="same"), "MaxPooling2D"),
    "average_pool": (lambda x: ops.average_pool(x, (2, 3), strides=1), "AveragePooling2D"),
    "largest": (lambda x: ops.adaptive_max_pool(x, (3, 2)), "AdaptiveMaxPooling2D"),
    "adaptive": (lambda x: ops.adaptive_average_pool(x, (3, 2)), "AdaptiveAveragePooling2D"),
    "concatenate": (lambda x: ops.concatenate([x, x], axis=-1), "Concatenate"),
    "stack": (lambda x: ops.stack([x, x], axis=1), "Stack"),
    "reshape": (lambda x: ops.reshape(x, (-1, 16, 3)), "Reshape"),
    "transpose": (lambda x: ops.transpose(x, (0, 3, 1, 2)), "Permute"),
    "expand_dims": (lambda x: ops.expand_dims(x, 1), "GetItem"),
    "split": (lambda x: ops.split(x, 3, axis=-1)[1], "GetItem"),
    "softmax": (lambda x: ops.softmax(x), "Activation"),
    "softmax of the last": (lambda x: minicnn.activations.softmax(x, axis=-1), "Activation"),
    "softmax of rows": (lambda x: minicnn.activations.softmax(x, axis=1), "Softmax"),
    "softmax of columns": (lambda x: ops.softmax(x, -2), "Softmax"),
    "log_softmax": (lambda x: minicnn.activations.log_softmax(x, axis=-1), "Activation"),
    "relu with its defaults": (lambda x: ops.relu(x, None, 0.0, threshold=0), "Activation"),
    "relu up to 0.5": (lambda x: ops.relu(x, max_value=0.5), "ReLU"),
    "relu up to 0": (lambda x: ops.relu(x, max_value=0), "ReLU"),
    "relu with a slope": (lambda x: minicnn.activations.relu(x, negative_slope=0.2), "ReLU"),
    "relu from 0.3 on": (lambda x: minicnn.activations.relu(x, threshold=0.3), "ReLU"),
    "elu": (lambda x: ops.elu(x, alpha=0.5), "ELU"),
    "leaky_relu": (lambda x: ops.leaky_relu(x, negative_slope=0.4), "LeakyReLU"),
}


@pytest.mark.parametrize("case", SYMBOLIC)
def test_operations_on_symbols_make_layers(case: str) -> None:
    function, kind = SYMBOLIC[case]
    inputs = minicnn.Input((4, 4, 3))
    output = function(inputs)
    assert type(output.node.layer).__name__ == kind
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    found = minicnn.Model(inputs, output).predict(x, verbose=0)
    np.testing.assert_allclose(found, function(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: ops.einsum("bhwc->bc", x), r"ops\.einsum makes no layer: not supported for"),
        (lambda x: ops.hard_sigmoid(x, slope=0.3), r"ops\.hard_sigmoid has slope=0\.3: not"),
        (lambda x: ops.log_softmax(x, axis=1), r"ops\.log_softmax has axis=1: not supported"),
        (lambda x: ops.softmax(x, axis=(1, 2)), r"ops\.softmax has axis=\[1, 2\]: not supported"),
        (lambda x: ops.softmax(x, axis=0), r"ops\.softmax has axis=0: not supported"),
        (lambda x: ops.zeros_like(x), r"is a symbol without values, and this operation makes no"),
    ],
)
def test_operations_without_a_layer_refuse_symbols(call: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        call(minicnn.Input((4, 4, 3)))


def test_weights_are_operands() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    kernel = layer.kernel.numpy()
    np.testing.assert_array_equal(layer.kernel * 2 + 1, kernel * 2 + 1)
    np.testing.assert_array_equal(np.ones((1, 3), "float32") @ layer.kernel, kernel.sum(0)[None])
    np.testing.assert_array_equal(-layer.kernel[0], -kernel[0])
    np.testing.assert_array_equal(np.abs(layer.kernel), abs(kernel))
    np.testing.assert_array_equal(np.fmod(layer.kernel, 0.1), np.fmod(kernel, 0.1))
    assert np.add.reduce(layer.kernel, axis=None) == kernel.sum()
    layer.bias.assign_add([1.0, 2.0])
    layer.bias.assign_sub([0.0, 1.0])
    assert layer.bias.numpy().tolist() == [1, 1]


@pytest.mark.parametrize(
    ("given", "total", "running", "root"),
    [
        ("bool", "int32", "int32", "float32"),
        ("int8", "int32", "int8", "float32"),
        ("uint8", "uint32", "uint8", "float32"),
        ("int32", "int32", "int32", "float32"),
        ("int64", "int64", "int64", "float32"),
        ("float16", "float16", "float16", "float16"),
    ],
)
def test_dtypes_of_sums_and_roots_are_those_of_keras(
    given: str, total: str, running: str, root: str
) -> None:
    x = np.ones((2, 3), given)
    assert ops.sum(x, axis=1).dtype == total
    assert ops.cumsum(x, axis=1).dtype == running
    assert ops.sqrt(x).dtype == ops.exp(x).dtype == root
    assert ops.sum(np.full(300, 1, given)) == 300


@pytest.mark.parametrize("name", ["argmax", "argmin", "logsumexp", "max", "min"])
def test_nothing_has_no_largest_number(name: str) -> None:
    x, function = np.zeros((0, 3), np.float32), getattr(ops, name)
    assert function(x, axis=1).shape == (0,)
    with pytest.raises(ValueError, match=rf"^{name} expects at least one number\. Received x\.sha"):
        function(x)
    with pytest.raises(ValueError, match=rf"^{name} expects at least one number along axis=0\. Re"):
        function(x, axis=0)


@pytest.mark.filterwarnings("error")
def test_the_mean_of_nothing_is_not_a_number() -> None:
    x = np.zeros((0, 3), np.float32)
    assert ops.max(x, initial=1.0) == 1
    for function in (ops.mean, ops.var, ops.std):
        assert np.isnan(function(x))
        np.testing.assert_array_equal(function(x, axis=0), [np.nan] * 3)
        assert function(x, axis=1).shape == (0,)
