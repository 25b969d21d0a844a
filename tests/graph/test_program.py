"""Programs compute what their networks compute, and notice when that changes."""

import copy
import itertools
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import graphs

import minicnn
from minicnn import Input, Model, Sequential, functional, layers
from minicnn.compiler import recording
from minicnn.compiler.recording import NotKernelsError, Recorder
from minicnn.graph import program as programs
from minicnn.graph.program import Call, Program

Array = np.ndarray


def images(count: int = 2, size: tuple[int, ...] = (12, 10, 3), seed: int = 0) -> Array:
    return np.random.default_rng(seed).random((count, *size), np.float32)


def network() -> Model:
    """It has every kind of step: fused, pooled, joined, in Python."""
    x = inputs = Input((12, 10, 3))
    x = layers.Rescaling(2.0, offset=-1.0, name="rescaling")(x)
    x = layers.Conv2D(9, 3, activation="relu", name="first")(x)
    x = layers.MaxPooling2D()(x)
    y = layers.SeparableConv2D(9, 3, padding="same", use_bias=False, name="separable")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(y))
    x = layers.Add()([x, y])
    x = layers.Concatenate()([layers.ZeroPadding2D(name="padding")(x), layers.ZeroPadding2D()(y)])
    x = layers.Conv2D(5, 2, strides=2, name="strided")(x)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    return Model(inputs, layers.Dense(4, activation="softmax", name="last")(x))


def plain(model: Any, x: Array) -> Array:
    """Return what the folded network computes without a program."""
    y: Array = model.form(training=False).run(x)
    return y


def settled(model: Any, x: Array) -> Array:
    """Return the prediction, once there is a program for x."""
    for _ in range(2):
        model.predict(x, verbose=0)
    assert model.form(training=False)._programs.holds(x.shape)
    y: Array = model.predict(x, verbose=0)
    return y


@pytest.mark.slow
@given(graphs(), st.integers(0, 9), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_programs_of_random_networks_agree_to_the_last_bit(
    make: Any, seed: int, count: int
) -> None:
    model = make(minicnn)
    form = model.form(training=False)
    program = Program(form.graph, [(count, 6, 5, 2)])
    for number in range(2):  # the second time, memory holds old numbers
        x = images(count, (6, 5, 2), seed + number)
        expected = form.run(x)
        expected = expected if isinstance(expected, list) else [expected]
        for y, z in zip(program.run([x]), expected, strict=True):  # type: ignore[arg-type]
            np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("threads", [1, 2, 7, 16])
def test_any_number_of_threads(threads: int) -> None:
    before = minicnn.config.num_threads()
    model, x = network(), images(5)
    expected = plain(model, x)
    minicnn.config.set_num_threads(threads)
    try:
        np.testing.assert_array_equal(settled(model, x), expected)
    finally:
        minicnn.config.set_num_threads(before)


def test_the_steps_of_a_program() -> None:
    model = network()
    program = model.inference_program(3)
    steps = zip(program.steps, program.layers, strict=True)
    in_python = [layer.name for step, layer in steps if isinstance(step, Call)]
    assert in_python == ["last"]  # NumPy computes the softmax
    assert len([layer for layer in program.layers if layer.name == "last"]) == 2  # and product
    text = str(program)
    assert "direct.forward" in text
    assert "depthwise.forward" in text
    assert "(3, 5, 4, 9)" in text
    assert program.arena_bytes > 0
    assert program.constant_bytes > 0


@pytest.mark.parametrize(("kernel", "strides"), [(2, 2), (3, 1), (4, 2), (1, 1), (12, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_decoder_is_made_of_kernels_alone(kernel: int, strides: int, dtype: str) -> None:
    """Bias, normalization and ReLU are fused into it, even for few pixels."""
    x = inputs = Input((3, 4, 9), dtype=dtype)
    x = layers.ZeroPadding2D(dtype=dtype)(x)
    x = layers.Conv2DTranspose(10, kernel, strides, "same", dtype=dtype)(x)
    outputs = layers.ReLU(dtype=dtype)(layers.BatchNormalization(dtype=dtype)(x))
    model = Model(inputs, outputs)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.3, 1, w.shape) for w in model.get_weights()])
    found = Program(model.form(training=False).graph, [(2, 3, 4, 9)])
    assert not any(isinstance(step, Call) for step in found.steps)
    for seed in (0, 1):
        x = np.random.default_rng(seed).standard_normal((2, 3, 4, 9)).astype(dtype)
        (y,) = found.run([x]) or [None]
        np.testing.assert_array_equal(y, plain(model, x))
        assert 0 < (y == 0).sum() < y.size


def test_the_cost_of_each_step() -> None:
    model = network()
    program = model.inference_program(3)
    rows = zip(program.steps, program.layers, program.multiply_adds, strict=True)
    costs = {layer.name: cost for _, layer, cost in rows if cost}
    first, depthwise, pointwise = 3 * 10 * 8 * 9 * 27, 3 * 5 * 4 * 9 * 9, 3 * 5 * 4 * 9 * 9
    # The strided convolution makes 3x3 places from 18 channels of 7x6 pixels.
    assert list(costs.values()) == [first, depthwise + pointwise, 3 * 9 * 5 * 4 * 18, 3 * 4 * 5]
    assert sum(program.multiply_adds) == 3 * model.multiply_adds((3, 12, 10, 3))
    header, *lines = str(program).splitlines()
    assert f"{sum(program.multiply_adds) / 1e6:.2f} million multiply-adds" in header
    assert [line for line in lines if "0.06 M" in line] == [lines[1]]  # the first convolution


def test_merged_steps_cost_as_much_as_single_ones() -> None:
    net = Sequential(
        [
            Input((64, 64, 8)),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.Conv2D(32, 1),
        ]
    )
    program = net.inference_program()
    assert [step.kernel.label for step in program.steps] == ["separable.forward"]
    assert program.multiply_adds == [64 * 64 * 8 * (9 + 32)]


def test_each_array_s_lifetime_and_place_in_memory() -> None:
    program = network().inference_program(2)
    for block in program.blocks:
        assert 0 <= block.first <= block.last <= len(program.steps) + 1
        assert block.offset + block.size <= program.arena_bytes
    # The images are there before the first step, and the result remains after the last.
    assert [block.shape for block in program.blocks if block.first == 0] == [(2, 12, 10, 3)]
    stay = [block.shape for block in program.blocks if block.last == len(program.steps) + 1]
    assert stay == [(2, 4)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_block_that_squeezes_and_excites_is_made_of_kernels_alone(dtype: str) -> None:
    """As those of EfficientNet and MobileNetV3 are."""
    inputs = Input((7, 6, 5), dtype=dtype)
    x = layers.Rescaling([1.0, 2.0, 3.0, 4.0, 5.0], offset=0.5, dtype=dtype)(inputs)
    x = layers.Activation("hard_silu", dtype=dtype)(x)
    s = layers.GlobalAveragePooling2D(keepdims=True, dtype=dtype)(x)
    s = layers.Conv2D(2, 1, activation="silu", dtype=dtype)(s)
    s = layers.Conv2D(5, 1, activation="hard_sigmoid", dtype=dtype)(s)
    s = layers.Rescaling(0.5, dtype=dtype)(s)
    y = layers.Multiply(dtype=dtype)([layers.Multiply(dtype=dtype)([x, s]), x])
    model = Model(inputs, y)
    given = images(3, (7, 6, 5)).astype(dtype)
    np.testing.assert_array_equal(settled(model, given), plain(model, given))
    assert not any(isinstance(step, Call) for step in model.inference_program(3).steps)


def test_arrays_that_are_not_needed_at_the_same_time_share_memory() -> None:
    net = Sequential([Input((16, 16, 4))] + [layers.Conv2D(4, 1) for _ in range(10)])
    one = 16 * 16 * 4 * 4
    assert net.inference_program().arena_bytes <= 3 * one


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 999)), max_size=30)
)
def test_no_two_arrays_overlap_while_both_are_needed(drawn: list[tuple[int, int, int]]) -> None:
    blocks = [(k, min(a, b), max(a, b), size) for k, (a, b, size) in enumerate(drawn)]
    offsets, total = programs._offsets(blocks)
    for key, first, last, size in blocks:
        assert offsets[key] % 64 == 0
        assert offsets[key] + size <= total
        for other, begin, end, length in blocks:
            if other != key and begin <= last and first <= end and size and length:
                apart = offsets[key] + size <= offsets[other]
                assert apart or offsets[other] + length <= offsets[key]


# -- what changes ----------------------------------------------------------------------------------


def _assign(model: Any) -> None:
    model.get_layer("first").kernel.assign(model.get_layer("first").kernel.numpy() * 2)


def _write(model: Any) -> None:
    model.get_layer("separable").pointwise_kernel.value[...] *= 2


def _statistics(model: Any) -> None:
    model.get_layer("norm").moving_variance.value[...] += 1


def _replace(model: Any) -> None:
    weights = model.get_weights()
    model.set_weights([w * 1.5 for w in weights])


def _train(model: Any) -> None:
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images(4), np.arange(4), verbose=0, epochs=1)


def _setting(model: Any) -> None:
    model.get_layer("rescaling").scale = 0.5


def _activation(model: Any) -> None:
    model.get_layer("last").activation = "linear"


def _fused_activation(model: Any) -> None:
    model.get_layer("first").activation = "linear"


def _kernels_setting(model: Any) -> None:
    model.get_layer("padding").padding = ((0, 2), (2, 0))


CHANGES = [_assign, _write, _statistics, _replace, _train, _setting, _activation]
CHANGES += [_fused_activation, _kernels_setting]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change: Any) -> None:
    model, x = network(), images()
    old = settled(model, x)
    change(model)
    new = model.predict(x, verbose=0)
    assert not np.array_equal(new, old)
    np.testing.assert_array_equal(new, plain(model, x))
    np.testing.assert_array_equal(settled(model, x), new)


def test_an_array_that_the_caller_holds_may_be_written_to_at_any_time() -> None:
    model, x = network(), images()
    held = model.get_layer("first").kernel.value
    part = model.get_layer("separable").depthwise_kernel.value[0]
    for array in (held, part):
        old = settled(model, x)
        array *= 2
        new = model.predict(x, verbose=0)
        assert not np.array_equal(new, old)
        np.testing.assert_array_equal(new, plain(model, x))


def test_a_program_is_kept_as_long_as_nothing_changes() -> None:
    model, x = network(), images()
    settled(model, x)
    kept = model.form(training=False)._programs._programs
    (before,) = kept.values()
    for _ in range(3):
        model.predict(x, verbose=0)
        model.predict(images(1), verbose=0)
    model.get_weights()
    model.predict(x, verbose=0)
    assert before in kept.values()


def test_the_program_shown_to_users_is_the_one_that_predicts() -> None:
    model = network()
    x = images()
    program = model.inference_program(2)
    assert model.inference_program(2) is program
    settled(model, x)
    form = model.form(training=False)
    assert form._programs._program_for((x.shape,)) is program
    # It does not hold weights as a user would, who might write into them at any time.
    assert form._programs._watch._copies == []


def test_an_old_program_that_a_user_keeps_holds_few_weights() -> None:
    net = Sequential([Input((20, 20, 3)), layers.Conv2D(40, 1), layers.Flatten(), layers.Dense(2)])
    old, x = net.inference_program(2), images(2, (20, 20, 3))
    net.layers[0].kernel.assign(net.layers[0].kernel.numpy() + 1)
    y = settled(net, x)
    held = net.form(training=False)._programs._watch._copies
    assert "kernel" not in {weight.name for weight, _ in held if weight.shape == (1, 1, 3, 40)}
    assert not np.array_equal(old.run([x])[0], y)


def test_programs_can_be_limited_and_declined() -> None:
    model, x = network(), images()
    weights = sum(4 * weight.value.size for weight in model.weights)
    expected = settled(model, x)
    form = model.form(training=False)
    try:
        for most, kept in ((0, False), (None, True), (weights - 1, False), (weights, True)):
            minicnn.config.set_program_bytes(most)
            assert minicnn.config.program_bytes() == most
            for _ in range(2):
                np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
            assert form._programs.holds(x.shape) == kept
    finally:
        minicnn.config.set_program_bytes(None)
    for wrong in (-1, 1.5, True, "all"):
        with pytest.raises(ValueError, match=r">= 0, or None\. Received n="):
            minicnn.config.set_program_bytes(wrong)  # type: ignore[arg-type]


def test_programs_of_two_sizes_are_kept_and_a_size_seen_once_gets_none() -> None:
    model = network()
    for count in (1, 4, 1, 4, 7, 3, 3):
        model.predict(images(count), verbose=0)
    kept = model.form(training=False)._programs._programs
    assert [shapes[0][0] for shapes in kept] == [4, 3]


# -- steps without kernels -------------------------------------------------------------------------


class Doubling(layers.Layer):
    """A user's layer that counts its calls."""

    calls = 0

    def compute(self, x: Array, training: bool) -> tuple[Array, dict[str, Any]]:
        Doubling.calls += 1
        return x * 2, {}


def test_a_layer_of_your_own_runs_between_two_tables() -> None:
    net = Sequential([Input((6, 5, 2)), layers.Conv2D(3, 3), Doubling(), layers.Conv2D(3, 3)])
    x = images(2, (6, 5, 2))
    expected = plain(net, x)
    Doubling.calls = 0
    np.testing.assert_array_equal(settled(net, x), expected)
    assert Doubling.calls == 3  # once per prediction; making the program calls it not at all


def test_random_numbers_are_drawn_in_each_run() -> None:
    inputs = Input((64,))
    model = Model(inputs, layers.Dropout(0.5, seed=3)(inputs, training=True))
    x = np.ones((2, 64), np.float32)
    results = [model.predict(x, verbose=0) for _ in range(4)]
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(results))


def test_numpy_refuses_arrays_whose_values_are_not_known_yet() -> None:
    recorder = Recorder()
    x = recording.live((2, 3), np.float32)
    recorder.expect(x)
    for compute in (
        lambda: x + 1,
        lambda: np.exp(x),
        lambda: x.max(),
        lambda: x.sum(axis=0),
        lambda: np.concatenate([x, x]),
        lambda: np.where(x, x, x),
        lambda: x.copy(),
        lambda: x.astype(np.float64),
        lambda: x[0, 0],
        lambda: x.item(0),
        lambda: x.tolist(),
        lambda: x.__setitem__(0, 1),
        lambda: np.add(x, 1, out=np.empty((2, 3), np.float32)),
    ):
        with pytest.raises(NotKernelsError):
            compute()
    assert type(x.reshape(3, 2)) is recording.Live
    assert recorder.is_live(x[1:])


# -- threads, copies and other arrays --------------------------------------------------------------


def test_several_threads_predict_at_once() -> None:
    model, xs = network(), [images(2, seed=k) for k in range(4)]
    expected = [plain(model, x) for x in xs]
    settled(model, xs[0])
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(30):
            if not np.array_equal(model.predict(xs[number], verbose=0), expected[number]):
                wrong.append(number)

    running = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_programs_of_its_own(twin: Any) -> None:
    model, x = network(), images()
    expected = settled(model, x)
    other = twin(model)
    _write(other)
    changed = settled(other, x)
    assert not np.array_equal(changed, expected)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


def test_a_result_belongs_to_the_caller() -> None:
    model, x = network(), images()
    first = settled(model, x)
    kept = first.copy()
    model.predict(images(seed=5), verbose=0)
    np.testing.assert_array_equal(first, kept)


def test_a_model_that_has_no_program_says_so() -> None:
    with pytest.raises(ValueError, match=r"no program.*inputs of known size.*None"):
        Sequential([Input((None, None, 3)), layers.GlobalAveragePooling2D()]).inference_program()

    class Own(Model):
        """A user's class."""

    inputs = Input((3,))
    with pytest.raises(ValueError, match=r"own classes"):
        Own(inputs, layers.Dense(2)(inputs)).inference_program()


def test_an_empty_batch() -> None:
    model = network()
    for _ in range(3):
        assert model.predict_on_batch(images(0)).shape == (0, 4)


@pytest.mark.parametrize("kind", [np.memmap, np.ma.MaskedArray])
def test_arrays_of_other_classes(kind: Any, tmp_path: Any) -> None:
    x = images()
    if kind is np.memmap:
        other: Any = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
        other[...] = x
    else:
        other = np.ma.masked_array(x)
    for operation in (functional.relu, functional.max_pool2d, functional.zero_padding2d):
        y = operation(other)
        assert type(y) is np.ndarray
        np.testing.assert_array_equal(y, operation(x))
    model = network()
    np.testing.assert_array_equal(settled(model, other), settled(model, x))
