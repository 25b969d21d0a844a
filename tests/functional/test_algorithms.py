"""Convolution gives one result, whichever algorithm computes it and whatever is fused with it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operations import (
    DTYPES,
    FEW,
    MANY,
    SEEDS,
    WAYS,
    Array,
    assert_same,
    convolutions,
    picture,
    transposed_convolutions,
)

from minicnn import functional, kernels, naive, shapes
from minicnn.functional import algorithms, buffers, channelwise, epilogue
from minicnn.layers import LAYERS


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", WAYS)
@MANY
@given(data=st.data(), seed=SEEDS)
def test_every_algorithm_gives_the_same(algorithm: str, data: st.DataObject, seed: int) -> None:
    operation = data.draw(convolutions(algorithm=algorithm))
    rng = np.random.default_rng(seed)
    arrays = operation.arrays(np.float32, rng)
    exact = operation.exact
    y = operation.forward(functional, *arrays, algorithm=algorithm)
    assert_same(y, operation.forward(naive, *arrays), exact, f"y, {operation.options}")
    dy = operation.gradient_for(y, rng)
    found = operation.backward(functional, dy, *arrays, algorithm=algorithm)
    expected = operation.backward(naive, dy, *arrays)
    for name, a, b in zip(operation.shapes, found, expected, strict=True):
        assert_same(a, b, exact, f"d{name}, {operation.options}")


def random(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("algorithm", functional.ALGORITHMS)
def test_db_that_is_not_needed_is_none(algorithm: str, groups: int) -> None:
    x, w = random(2, 9, 8, 16), random(3, 3, 16 // groups, 16)
    dy = random(2, 7, 6, 16)
    whole = functional.conv2d_backward(dy, x, w, groups=groups, algorithm=algorithm)
    dx, dw, db = functional.conv2d_backward(
        dy, x, w, groups=groups, algorithm=algorithm, need_db=False
    )
    np.testing.assert_array_equal(dx, whole[0])
    np.testing.assert_array_equal(dw, whole[1])
    assert db is None
    assert whole[2] is not None


@pytest.mark.parametrize("algorithm", ["naive", "auto"])
def test_db_of_a_depthwise_convolution_that_is_not_needed_is_none(algorithm: str) -> None:
    x, w, dy = random(2, 6, 5, 3), random(3, 3, 3, 2), random(2, 4, 3, 6)
    whole = functional.depthwise_conv2d_backward(dy, x, w, algorithm=algorithm)
    dx, dw, db = functional.depthwise_conv2d_backward(dy, x, w, algorithm=algorithm, need_db=False)
    np.testing.assert_array_equal(dx, whole[0])
    np.testing.assert_array_equal(dw, whole[1])
    assert db is None
    assert whole[2] is not None


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", ["Conv2D", "DepthwiseConv2D", "SeparableConv2D"])
def test_a_layer_sums_up_db_only_for_a_bias(
    kind: str, use_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum reads all of dy once more."""
    options = {"kernel_size": 3, "use_bias": use_bias}
    layer = LAYERS[kind](**options, **({} if kind == "DepthwiseConv2D" else {"filters": 3}))
    y, cache = layer.forward(random(2, 6, 5, 3), training=True)
    summed: list[Array] = []
    sum_positions = channelwise.sum_positions

    def counted(dy: Array) -> Array:
        summed.append(dy)
        return sum_positions(dy)

    for module in (algorithms.direct, algorithms.im2col, channelwise):
        monkeypatch.setattr(module, "sum_positions", counted)
    _, grads = layer.backward(y, cache)
    assert len(summed) == use_bias
    assert ("bias" in grads) == use_bias


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", WAYS)
@MANY
@given(data=st.data(), seed=SEEDS)
def test_every_algorithm_gives_the_same_transposed_convolution(
    algorithm: str, data: st.DataObject, seed: int
) -> None:
    """It gives the same with a fused scale or activation, too."""
    operation = data.draw(transposed_convolutions(algorithm=algorithm))
    rng = np.random.default_rng(seed)
    arrays, exact = operation.arrays(np.float32, rng), operation.exact
    y = operation.forward(functional, *arrays, algorithm=algorithm)
    assert_same(y, operation.forward(naive, *arrays), exact, f"y, {operation.options}")
    dy = operation.gradient_for(y, rng)
    found = operation.backward(functional, dy, *arrays, algorithm=algorithm)
    expected = operation.backward(naive, dy, *arrays)
    for name, a, b in zip(operation.shapes, found, expected, strict=True):
        assert_same(a, b, exact, f"d{name}, {operation.options}")
    more: dict[str, Any] = {"algorithm": algorithm}
    for activation, limits in ON_THE_WAY.items():
        found = operation.forward(functional, *arrays, activation=activation, **more)
        np.testing.assert_array_equal(found, np.clip(y, *limits))
    x, w, *b = arrays
    scale = rng.integers(-2, 3, w.shape[2]).astype(np.float32)
    found = operation.forward(functional, x, w, *b, scale=scale, **more)
    wanted = operation.forward(functional, x, w * scale[:, None], *b, **more)
    np.testing.assert_array_equal(found, wanted)


ON_THE_WAY = {"relu": (0, np.inf), "relu6": (0, 6)}


@pytest.mark.parametrize("activation", ON_THE_WAY)
@pytest.mark.parametrize("algorithm", WAYS)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_a_fused_activation_equals_one_applied_afterwards(
    algorithm: str, activation: str, data: st.DataObject, seed: int
) -> None:
    operation = data.draw(convolutions(algorithm=algorithm))
    arrays = [9 * x for x in operation.arrays(np.float32, np.random.default_rng(seed))]
    y = operation.forward(functional, *arrays, algorithm=algorithm)
    found = operation.forward(functional, *arrays, algorithm=algorithm, activation=activation)
    np.testing.assert_array_equal(found, np.clip(y, *ON_THE_WAY[activation]))


@pytest.mark.parametrize("algorithm", WAYS)
@FEW
@given(data=st.data(), seed=SEEDS)
def test_a_fused_scale_equals_a_scaled_kernel(
    algorithm: str, data: st.DataObject, seed: int
) -> None:
    operation = data.draw(convolutions(algorithm=algorithm))
    rng = np.random.default_rng(seed)
    x, w, *b = operation.arrays(np.float32, rng)
    scale = rng.integers(-2, 3, w.shape[-1]).astype(np.float32)
    found = operation.forward(functional, x, w, *b, algorithm=algorithm, scale=scale)
    wanted = operation.forward(functional, x, w * scale, *b, algorithm=algorithm)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options", [{}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2, "padding": "same"}]
)
def test_a_group_for_each_channel_is_a_depthwise_convolution(options: Any, dtype: Any) -> None:
    """As ConvNeXt has it; with several filters for each channel, too."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 8, 3)).astype(dtype)
    w = rng.standard_normal((3, 3, 1, 6)).astype(dtype)
    b, scale = (rng.standard_normal(6).astype(dtype) for _ in range(2))
    of_each = w.reshape(3, 3, 3, 2)
    y = functional.conv2d(x, w, b, groups=3, **options)
    np.testing.assert_array_equal(y, functional.depthwise_conv2d(x, of_each, b, **options))
    found = functional.conv2d(x, w, b, groups=3, scale=scale, activation="relu6", **options)
    wanted = functional.conv2d(x, w * scale, b, groups=3, algorithm="im2col", **options)
    np.testing.assert_allclose(found, np.clip(wanted, 0, 6), rtol=1e-4, atol=1e-5)
    dy = rng.standard_normal(y.shape).astype(dtype)
    gradients = functional.conv2d_backward(dy, x, w, groups=3, **options)
    slow = functional.conv2d_backward(dy, x, w, groups=3, algorithm="im2col", **options)
    for one, other in zip(gradients, slow, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert functional.conv2d_backward(dy, x, w, groups=3, need_dw=False, **options)[1:] == (
        None,
        None,
    )
    assert functional.conv2d_backward(dy, x, w, groups=3, need_dx=False, **options)[0] is None


@pytest.mark.parametrize(("channels", "chosen"), [(256, "im2col"), (255, "direct")])
def test_pixels_of_many_channels_are_copied_for_a_pointwise_convolution_with_strides(
    channels: int, chosen: str
) -> None:
    window = shapes.window((38, 38), (1, 1), (2, 2), "valid", (1, 1), "conv")
    assert algorithms.choose(window, np.dtype(np.float32), channels, 512, 32) == chosen


@pytest.mark.parametrize(("images", "chosen"), [(1, "im2col"), (8, "direct"), (32, "winograd")])
def test_winograd_is_chosen_only_where_its_tiles_pay(images: int, chosen: str) -> None:
    """5x5 pixels are 2x2 tiles of 4x4, of which more than half is not wanted."""
    window = shapes.window((5, 5), (3, 3), (1, 1), "same", (1, 1), "conv")
    assert algorithms.choose(window, np.dtype(np.float32), 512, 512, images) == chosen


def test_convolution_and_max_pooling_by_hand() -> None:
    """y is 2 * x + 1, clipped to 0 to 6; the blocks' maxima are 3 (a tie), 6, 0 and 5 (a tie)."""
    x = picture([[1, 1, 9, 2], [0, -1, 1, 1], [-4, -3, 2, 1], [-2, -5, 0, 2]])
    w, b = np.full((1, 1, 1, 1), 2.0), np.ones(1)
    y, argmax = functional.conv2d_max_pool2d(x, w, b, 2, activation="relu6", remember=True)
    np.testing.assert_array_equal(y, picture([[3, 6], [0, 5]]))
    assert argmax is not None
    np.testing.assert_array_equal(argmax[0, :, :, 0], [[0, 255], [255, 0]])
    dy = picture([[10, 20], [30, 40]])
    dx, dw, db = functional.conv2d_max_pool2d_backward(dy, argmax, x, w, 2)
    expected = [[20, 0, 0, 0], [0, 0, 0, 0], [0, 0, 80, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(dx, picture(expected))
    np.testing.assert_array_equal(dw.ravel(), [10 * 1 + 40 * 2])
    np.testing.assert_array_equal(db, [50])


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", WAYS)
@MANY
@given(data=st.data(), seed=SEEDS)
def test_fused_max_pooling_equals_pooling_afterwards(
    algorithm: str, data: st.DataObject, seed: int
) -> None:
    operation = data.draw(convolutions(data.draw(st.integers(1, 3)), algorithm))
    rng = np.random.default_rng(seed)
    guarded = Guarded()
    x, w, *b = (guarded.copy(a) for a in operation.arrays(np.float32, rng))
    broken = data.draw(st.booleans())
    if broken:
        x[rng.random(x.shape) < 0.03] = np.nan
    activation = data.draw(st.sampled_from(["linear", "relu", "relu6"]))
    given_options = operation.options | {"algorithm": algorithm}
    z = functional.conv2d(x, w, *b, activation=activation, **given_options)
    usual = st.just((2, 2)) if min(z.shape[1:3]) > 1 else st.nothing()
    rows, columns = (st.integers(1, min(4, size)) for size in z.shape[1:3])
    pool = data.draw(usual | st.tuples(rows, columns))
    options = {"pool_size": pool, **given_options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers, "empty", guarded.empty)
        y, argmax = functional.conv2d_max_pool2d(
            x, w, *b, activation=activation, remember=True, **options
        )
        alone, nothing = functional.conv2d_max_pool2d(x, w, *b, activation=activation, **options)
        assert nothing is None
        dy = guarded.copy(rng.integers(-3, 4, y.shape).astype(np.float32))
        _, *grads = functional.conv2d_max_pool2d_backward(
            dy, argmax, x, w, need_dx=False, **options
        )
        found = functional.conv2d_max_pool2d_backward(dy, argmax, x, w, **options)
    guarded.check()
    limits = ON_THE_WAY.get(activation, (-np.inf, np.inf))
    expected, numbers = naive.largest_of_blocks(z, pool, limits)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(alone, expected)
    np.testing.assert_array_equal(argmax, numbers)
    if broken:  # NaN times a loser's dy of 0: not every way multiplies there
        return
    dz = naive.unpool(dy, numbers, pool, z.shape[1:3])
    wanted = functional.conv2d_backward(dz, x, w, **given_options)
    for name, ours, twin in zip(["x", "w", "b"], found, wanted, strict=True):
        assert_same(ours, twin, operation.exact, f"d{name}, {options}")
    for ours, twin in zip(grads, found[1:], strict=True):
        np.testing.assert_array_equal(ours, twin)


@pytest.mark.parametrize("algorithm", algorithms.ALGORITHMS)
@pytest.mark.parametrize("pool", [(2, 2), (3, 1)])
@pytest.mark.parametrize("size", [(70, 91), (9, 8)])
def test_fused_max_pooling_of_larger_results(algorithm: str, pool: Any, size: Any) -> None:
    """There are more lines than are pooled at a time, and more filters than a tile has columns."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (3, *size, 9)), rng.integers(-3, 4, (3, 3, 9, 70))
    x, w = x.astype(np.float32), w.astype(np.float32)
    options: dict[str, Any] = {"padding": "same", "algorithm": algorithm}
    z = functional.conv2d(x, w, activation="relu6", **options)
    y, argmax = functional.conv2d_max_pool2d(
        x, w, None, pool, activation="relu6", remember=True, **options
    )
    np.testing.assert_array_equal(y, functional.max_pool2d(z, pool))
    dy = rng.integers(-3, 4, y.shape).astype(np.float32)
    received = functional.max_pool2d_backward(dy, z, pool)
    dz = functional.relu_backward(received, z, max_value=6.0)
    wanted = functional.conv2d_backward(dz, x, w, **options)
    found = functional.conv2d_max_pool2d_backward(dy, argmax, x, w, pool, **options)
    for name, ours, twin in zip(["x", "w", "b"], found, wanted, strict=True):
        assert_same(ours, twin, algorithm != "winograd", f"d{name}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_maxima_for_any_number_of_channels(dtype: type) -> None:
    """364 channels fill whole vectors and leave a rest; z has ties, NaN and clipped numbers."""
    rng = np.random.default_rng(3)
    z = rng.integers(-2, 7, (2, 7, 5, 364)).astype(dtype)
    z[rng.random(z.shape) < 0.05], z[rng.random(z.shape) < 0.05] = np.nan, np.inf
    pooling = epilogue.Pooling((3, 2), remember=True)
    for limits in ((0.0, 6.0), (0.0, np.inf), epilogue.UNBOUNDED):
        clipped = np.clip(z, *limits)
        y, argmax = epilogue.pooled(clipped, pooling, limits)
        expected, numbers = naive.largest_of_blocks(clipped, (3, 2), limits)
        assert (numbers == 255).any() == (limits != epilogue.UNBOUNDED)
        assert (numbers[expected == np.inf] != 255).all()
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(argmax, numbers)
        dy = rng.standard_normal(y.shape).astype(dtype)
        dz = epilogue.unpool(dy, argmax, (3, 2), z.shape[1:3])
        np.testing.assert_array_equal(dz, naive.unpool(dy, numbers, (3, 2), z.shape[1:3]))


def test_bad_arguments_of_convolution_and_max_pooling() -> None:
    both, back = functional.conv2d_max_pool2d, functional.conv2d_max_pool2d_backward
    x, w = np.ones((1, 20, 22, 1)), np.ones((3, 3, 1, 1))
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d expects.* 18x20 .*\(19, 1\)"):
        both(x, w, pool_size=(19, 1))
    with pytest.raises(ValueError, match=r"conv2d_max_pool2d expects pool_size.*Received 0"):
        both(x, w, pool_size=0)
    with pytest.raises(ValueError, match=r"pool_size of at most 255 numbers.*\(16, 16\)"):
        both(x, w, pool_size=16, remember=True)
    for algorithm in ("auto", "naive"):
        y, argmax = both(x, w, pool_size=16, algorithm=algorithm)
        assert y.shape == (1, 1, 1, 1)
        assert argmax is None
    y, argmax = both(x, w, remember=True)
    with pytest.raises(ValueError, match=r"dy.shape=\(1, 9, 10, 1\)"):
        back(y[:, 1:], argmax, x, w)
    with pytest.raises(ValueError, match=r"argmax.shape=\(1, 9, 10, 1\).*\(1, 8, 10, 1\)"):
        back(y, argmax[:, 1:], x, w)
    for wrong in (None, argmax.astype(np.int32)):
        with pytest.raises(TypeError, match="argmax to be a uint8 array"):
            back(y, wrong, x, w)


@pytest.mark.parametrize("rows", [1, 84, 85, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_scale_in_a_matrix_product(rows: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(dtype) for s in [(1, 1, rows, 500), (1, 1, 500, 37)])
    b, scale = rng.standard_normal((2, 37)).astype(dtype)
    before = w.copy()
    found = functional.conv2d(x, w, b, scale=scale)
    wanted = functional.conv2d(x, w * scale, b)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 if dtype is np.float32 else 1e-11)
    np.testing.assert_array_equal(w, before)
    with pytest.raises(ValueError, match=r"scale.*\(37,\).*\(36,\)"):
        functional.conv2d(x, w, scale=scale[1:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ON_THE_WAY)
@pytest.mark.parametrize(
    ("function", "x_shape", "w_shape"),
    [
        (functional.depthwise_conv2d, (2, 5, 4, 19), (3, 3, 19, 2)),
        (functional.dense, (3, 37), (37, 41)),
        (functional.dense, (2, 9000), (9000, 5)),  # long sums, computed in parts
        (functional.dense, (300, 800), (800, 35)),
    ],
)
def test_a_fused_activation_in_other_layers(
    function: Any, x_shape: tuple, w_shape: tuple, activation: str, dtype: type
) -> None:
    rng = np.random.default_rng(0)
    x, w = (3 * rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape))
    b = rng.standard_normal(function(x, w).shape[-1]).astype(dtype)
    x[0, 0] = np.nan
    y = function(x, w, b)
    assert np.isnan(y).any()
    assert (y > 6).any()
    found = function(x, w, b, activation=activation)
    np.testing.assert_array_equal(found, np.clip(y, *ON_THE_WAY[activation]))
    with pytest.raises(ValueError, match=r"activation.*linear.*relu.*relu6.*'tanh'"):
        function(x, w, b, activation="tanh")


class Guarded:
    """Makes arrays with NaN before and after them, and checks that nothing wrote there."""

    margin = 1024

    def __init__(self) -> None:
        self.blocks: list[Array] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        size = math.prod(shape)
        guard = 77 if np.dtype(dtype).kind == "u" else np.nan
        self.blocks.append(np.full(size + 2 * self.margin, guard, dtype))
        return self.blocks[-1][self.margin : self.margin + size].reshape(shape)

    def copy(self, x: Array) -> Array:
        y = self.empty(x.shape, x.dtype)
        y[...] = x
        return y

    def check(self) -> None:
        for block in self.blocks:
            untouched = block == 77 if block.dtype.kind == "u" else np.isnan(block)
            assert untouched[: self.margin].all(), "written before the array"
            assert untouched[-self.margin :].all(), "written behind the array"


WINOGRADS = ["winograd in groups", "winograd of few", "winograd of many"]


@pytest.mark.parametrize("algorithm", ["direct", "im2col", *WINOGRADS])
@MANY
@given(data=st.data(), seed=SEEDS)
def test_nothing_outside_the_arrays_is_touched(
    algorithm: str, data: st.DataObject, seed: int
) -> None:
    """A read outside them would show as NaN in the results, a write as a changed guard."""
    algorithm, _, course = algorithm.partition(" ")
    operation = data.draw(convolutions(data.draw(st.integers(0, 3)), algorithm))
    rng = np.random.default_rng(seed)
    guarded = Guarded()
    arrays = [guarded.copy(x) for x in operation.arrays(np.float32, rng)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffers, "empty", guarded.empty)
        if course == "in groups":  # too small for groups, had we not forced them
            tiles_of = kernels.winograd.tiles_of
            patch.setattr(kernels.winograd, "groups_of", lambda dy, _: min(3, tiles_of(dy)) or 1)
        elif course:
            patch.setattr(kernels.winograd, "are_few", lambda *_: course == "of few")
        y = operation.forward(functional, *arrays, algorithm=algorithm)
        dy = guarded.copy(operation.gradient_for(y, rng))
        gradients = operation.backward(functional, dy, *arrays, algorithm=algorithm)
    for found in (y, *gradients):
        assert np.isfinite(found).all()
    guarded.check()


@MANY
@given(
    batch=st.integers(0, 3), size=st.tuples(st.integers(3, 11), st.integers(3, 11)),
    channels=st.sampled_from([1, 16, 63, 64, 65, 130]), filters=st.sampled_from([1, 32, 70]),
    pool=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_few_tiles_and_many_are_the_same_to_the_last_digit(
    batch: int, size: Any, channels: int, filters: int, pool: bool, seed: int
) -> None:
    """So neither the number of threads nor the rest of the batch changes a photo's numbers."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, *size, channels), np.float32)
    w = rng.standard_normal((3, 3, channels, filters), np.float32)
    b = rng.standard_normal(filters, np.float32)
    window = shapes.Window((3, 3), (1, 1), (1, 1), (1, 1), size)
    pooling = epilogue.Pooling((2, 2), remember=True) if pool else epilogue.NO_POOLING
    end = epilogue.Epilogue(bias=b, limits=(0.0, np.inf), pooling=pooling)
    found = []
    for few in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels.winograd, "are_few", lambda *_, few=few: few)
            way = algorithms.ALGORITHMS["winograd"]
            found.append(way.forward(x, w, window, end))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


# Sizes at which the fast algorithms take another path: several panels of filters, weights too
# large for the nearest cache, many lines per band, more images than bands, a last tile with few
# rows, one line, one column.
LARGER = [
    {"x": (1, 9, 7, 48), "w": (3, 3, 48, 40)},
    {"x": (9, 13, 17, 40), "w": (3, 3, 40, 72)},
    {"x": (1, 3, 3, 330), "w": (3, 3, 330, 8)},
    {"x": (1, 7, 9, 130), "w": (3, 3, 130, 70)},
    {"x": (2, 5, 6, 130), "w": (3, 2, 130, 33)},
    {"x": (1, 40, 11, 3), "w": (3, 3, 3, 32)},
    {"x": (1, 17, 19, 3), "w": (5, 4, 3, 70), "strides": (2, 3)},
    {"x": (19, 4, 5, 2), "w": (2, 3, 2, 9)},
    {"x": (17, 3, 3, 5), "w": (1, 1, 5, 64), "strides": 2},
    {"x": (1, 1, 50, 2), "w": (1, 7, 2, 3)},
    {"x": (2, 7, 4, 2), "w": (3, 3, 2, 3), "strides": 3},  # "same": windows before some phases
    {"x": (3, 50, 1, 2), "w": (7, 1, 2, 31)},
    {"x": (2, 1, 1, 300), "w": (1, 1, 300, 65)},
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_wide_depthwise_convolutions(stride: int, padding: str, dtype: str) -> None:
    """They agree with NumPy's sums; 364 channels fill every kind of loop."""
    rng = np.random.default_rng(6)
    x, w = rng.integers(-3, 4, (1, 4, 110, 364)), rng.integers(-3, 4, (3, 3, 364, 1))
    around = [(0, 0)] * 4
    if padding == "same":
        around[1:3] = [shapes.same_padding(size, 3, stride) for size in x.shape[1:3]]
    padded = np.pad(x, around)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    patches = patches[:, ::stride, ::stride]
    y = np.einsum("nyxcij,ijc->nyxc", patches, w[..., 0])
    dy = rng.integers(-3, 4, y.shape)
    dw = np.einsum("nyxcij,nyxc->ijc", patches, dy)[..., None]
    spread = np.zeros_like(padded)
    views = np.lib.stride_tricks.sliding_window_view(spread, (3, 3), (1, 2), writeable=True)
    for i, j in np.ndindex(3, 3):
        views[:, ::stride, ::stride, :, i, j] += dy * w[i, j, :, 0]
    dx = spread[:, around[1][0] :, around[2][0] :][:, : x.shape[1], : x.shape[2]]
    given, filters, received = (array.astype(dtype) for array in (x, w, dy))
    options = {"strides": stride, "padding": padding}
    np.testing.assert_array_equal(functional.depthwise_conv2d(given, filters, **options), y)
    found = functional.depthwise_conv2d_backward(received, given, filters, **options)
    for ours, wanted in zip(found, (dx, dw, dy.sum((0, 1, 2))), strict=True):
        np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("case", LARGER, ids=[f"{c['x']}, {c['w']}" for c in LARGER])
def test_larger_convolutions(case: dict, padding: str) -> None:
    """They agree with NumPy's own sums over windows; the plain loops are too slow here."""
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, case["x"]).astype(np.float32)
    w = rng.integers(-3, 4, case["w"]).astype(np.float32)
    b = rng.integers(-3, 4, w.shape[3]).astype(np.float32)
    options = {"strides": case.get("strides", 1), "padding": padding}
    steps = np.broadcast_to(options["strides"], 2)
    around = [(0, 0)] * 4
    if padding == "same":
        sizes = zip(x.shape[1:3], w.shape[:2], steps, strict=True)
        around[1:3] = [shapes.same_padding(*size) for size in sizes]
    padded = np.pad(x, around)
    patches = np.lib.stride_tricks.sliding_window_view(padded, w.shape[:2], (1, 2))
    patches = patches[:, :: steps[0], :: steps[1]]
    y = np.einsum("nyxcij,ijco->nyxo", patches, w) + b
    dy = rng.integers(-3, 4, y.shape).astype(np.float32)
    dw = np.einsum("nyxcij,nyxo->ijco", patches, dy)
    spread = np.zeros_like(padded)
    views = np.lib.stride_tricks.sliding_window_view(spread, w.shape[:2], (1, 2), writeable=True)
    for i, j in np.ndindex(w.shape[:2]):
        views[:, :: steps[0], :: steps[1], :, i, j] += dy @ w[i, j].T
    dx = spread[:, around[1][0] :, around[2][0] :][:, : x.shape[1], : x.shape[2]]
    can_be_winograd = w.shape[:2] == (3, 3) and options["strides"] == 1
    for algorithm in ("direct", "im2col", "winograd")[: 3 if can_be_winograd else 2]:
        exact = algorithm != "winograd"
        found = functional.conv2d(x, w, b, **options, algorithm=algorithm)
        assert_same(found, y, exact, f"y, {algorithm}")
        gradients = functional.conv2d_backward(dy, x, w, **options, algorithm=algorithm)
        for name, a, expected in zip("xwb", gradients, (dx, dw, dy.sum((0, 1, 2))), strict=True):
            assert_same(a, expected, exact, f"d{name}, {algorithm}")


def test_im2col_in_blocks_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose patches don't fit the cache is worked through in parts."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (7, 5, 4, 2)) / 1.0, rng.integers(-3, 4, (3, 3, 2, 4)) / 1.0
    dy = rng.integers(-3, 4, (7, 3, 2, 4)) / 1.0
    image_bytes = 3 * 2 * 18 * 8
    for images in (0.5, 1, 3):
        monkeypatch.setattr(algorithms.im2col, "BLOCK_BYTES", int(images * image_bytes))
        assert_same(functional.conv2d(x, w), naive.conv2d(x, w), True, "y")
        found = functional.conv2d_backward(dy, x, w)
        for name, a, b in zip("xwb", found, naive.conv2d_backward(dy, x, w), strict=True):
            assert_same(a, b, True, f"d{name}")
