"""Compiled kernels take every kind and size of array, and own the memory of their results.

`tests/functional` shows that they compute what the loops compute.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import functional, kernels
from minicnn.compiler import kernel, machine, threads
from minicnn.functional.algorithms.matmul import matmul


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_the_number_of_threads_that_the_environment_names(given: str, monkeypatch) -> None:
    monkeypatch.setenv("MINICNN_NUM_THREADS", given)
    if not given:  # it counts as not set
        assert threads.cores() == len(os.sched_getaffinity(0))
        return
    expected = f"expects a whole number >= 1. Received '{given}'."
    with pytest.raises(ValueError, match=expected):
        threads.cores()


def compiled_for() -> dict[str, int]:
    """Return for how many types of arguments each kernel has been compiled."""
    return {
        f"{name}.{one.__name__}": len(one._compiled)
        for name, module in list(sys.modules.items())
        if name.startswith("minicnn.kernels.")
        for one in vars(module).values()
        if isinstance(one, kernel.Kernel)
    }


def read_only(x: np.ndarray) -> np.ndarray:
    view = x.view()
    view.flags.writeable = False
    return view


def unaligned(x: np.ndarray) -> np.ndarray:
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    moved = raw.view(x.dtype).reshape(x.shape)
    moved[...] = x
    return read_only(moved)


def apart(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((*x.shape, 2), x.dtype)
    wide[..., 0] = x
    return read_only(wide[..., 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_kind_of_array_needs_another_compilation(dtype: str) -> None:
    """Read-only arrays (from a file or JAX), at an odd address, or in another order are as good."""
    f, rng = functional, np.random.default_rng(0)

    def new(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    x, w, b, dy, v = new(2, 9, 9, 8), new(3, 3, 8, 16), new(16), new(2, 7, 7, 16), new(8) ** 2
    wide, deep = new(3, 3, 8, 1), new(2, 7, 7, 8)
    half, rows, table, bias = new(2, 4, 4, 8), new(5, 8), new(8, 12), new(12)
    calls = [
        (f.conv2d, (x, w, b)),
        (lambda *a: f.conv2d(*a, algorithm="im2col"), (x, w, b)),
        (f.conv2d_backward, (dy, x, w)),
        (lambda *a: f.conv2d_max_pool2d(*a, remember=True), (x, w, b)),
        (f.depthwise_conv2d, (x, wide, v)),
        (f.depthwise_conv2d_backward, (deep, x, wide)),
        (f.max_pool2d, (x,)),
        (f.max_pool2d_backward, (half, x)),
        (f.average_pool2d, (x,)),
        (lambda dy: f.average_pool2d_backward(dy, x.shape), (half,)),
        (f.dense, (rows, table, bias)),
        (f.relu, (x,)),
        (f.relu_backward, (x, x)),
        (lambda *xs: f.add(xs), (x, x)),
        (f.batch_moments, (x,)),
        (f.batch_normalization, (x, v, v, v, v)),
        (lambda *a: f.batch_normalization_backward(*a, training=True), (x, x, v, v, v)),
        (lambda *a: minicnn.layers.Conv2D(4, 3, dtype=dtype)(*a), (x,)),
    ]
    for call, arrays in calls:
        call(*arrays)
        expected, before = call(*arrays), compiled_for()
        for kind in (read_only, unaligned, apart, np.asfortranarray):
            found = call(*map(kind, arrays))
            assert compiled_for() == before, kind
            if call is not calls[-1][0]:  # the layer has new weights each time
                np.testing.assert_equal(found, expected)


def test_read_only_arrays_are_not_written_to() -> None:
    """Kernels do not check this; their callers do."""
    g = np.ones(3, np.float32)
    weight = read_only(np.ones(3, np.float32))
    variable = minicnn._support.variable.Variable(weight, "w", "layer")
    optimizer = minicnn.optimizers.SGD(0.1, momentum=0.9)
    with pytest.raises(ValueError, match="read-only"):
        optimizer.apply_gradients([(g, variable)])
    assert (weight == 1).all()


def test_weights_from_an_initializer_s_read_only_array_learn() -> None:
    class Given(minicnn.initializers.Initializer):
        def __call__(self, shape, dtype="float32"):
            return np.broadcast_to(np.float32(0.5), shape)

    layer = minicnn.layers.Dense(2, kernel_initializer=Given())
    model = minicnn.Sequential([minicnn.Input((3,)), layer])
    model.compile("adam", minicnn.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(np.ones((4, 3), np.float32), np.array([0, 0, 0, 1]))
    assert (layer.get_weights()[0] != 0.5).all()


@pytest.mark.slow
def test_importing_is_quick_because_kernels_wait() -> None:
    """Neither kernels nor LLVM are loaded before the first call; see `project/test_rooms.py`."""
    code = (
        "import sys, minicnn\n"
        "later = {'llvmlite', 'numpy.ma', 'concurrent.futures', 'socket', 'http.client'}\n"
        "assert not later & {*sys.modules}\n"
        "import numpy as np\n"
        "minicnn.utils.set_random_seed(0)\n"
        "minicnn.layers.ReLU()(np.ones((1, 2, 2, 1), 'float32'))\n"
        "assert later & {*sys.modules} == {'llvmlite', 'concurrent.futures'}\n"
        "assert 'minicnn.kernels.pooling' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_winograd_s_transforms_make_the_sums_of_a_window() -> None:
    """By hand, on one line: 6 products, not 12, give 4 sums of 3 weights over 6 pixels."""
    fast = kernels.winograd
    d, w = [1.0, 2.0, 0.0, -1.0, 3.0, 5.0], [2.0, -1.0, 1.0]
    products = [u * v for u, v in zip(fast.weight_points(w), fast.input_points(d), strict=True)]
    assert len(products) == 6
    # 2 - 2 + 0,  4 - 0 - 1,  0 + 1 + 3,  -2 - 3 + 5
    np.testing.assert_allclose(fast.output_pixels(products), [0, 3, 4, 0], atol=1e-14)


@pytest.mark.parametrize(
    ("forward", "backward", "size"),
    [("output_pixels", "output_points", 6), ("weight_points", "weight_gradient", 3)],
)
def test_winograd_s_backward_transforms_are_the_transposes(
    forward: str, backward: str, size: int
) -> None:
    there, back = (getattr(kernels.winograd, name) for name in (forward, backward))
    matrix = np.array(there(np.eye(size)))
    transposed = np.array(back(np.eye(len(matrix))))
    np.testing.assert_allclose(transposed, matrix.T, rtol=1e-14, atol=1e-15)


SIZES = [
    (1, 1, 1), (14, 256, 32), (15, 257, 33), (113, 40, 1), (3, 5000, 40), (200, 9000, 9),
    (130, 1024, 40), (30, 1536, 300),  # rows of a that collide in the cache
    (20, 9000, 70),  # strips of b, for each part of the sums
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_matrix_product(
    sizes: tuple[int, int, int], dtype: str, a_turned: bool, b_turned: bool
) -> None:
    """Sums of whole numbers are exact in any order: at edges of tiles, panels, runs and parts."""
    rows, depth, columns = sizes
    rng = np.random.default_rng(0)
    a, b = rng.integers(-3, 4, (rows, depth)), rng.integers(-3, 4, (depth, columns))
    x = rng.integers(-3, 4, (rows, columns)).astype(dtype)
    given = [m.T if turned else m for m, turned in ((a, a_turned), (b, b_turned))]
    given = [np.ascontiguousarray(m, dtype) for m in given]
    found = matmul(*given, a_turned, b_turned)
    np.testing.assert_array_equal(found, a @ b)
    assert found.dtype == dtype
    assert matmul(*given, a_turned, b_turned, out=x) is not None
    np.testing.assert_array_equal(x, a @ b)


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(
    sizes=st.tuples(st.integers(1, 300), st.integers(1, 3000), st.integers(1, 300)),
    seed=st.integers(0, 99),
)
def test_the_matrix_product_of_any_sizes(sizes: tuple[int, int, int], seed: int) -> None:
    rows, depth, columns = sizes
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((rows, depth)), rng.standard_normal((depth, columns))
    expected = a @ b
    np.testing.assert_allclose(matmul(a, b), expected, rtol=1e-10, atol=1e-9)
    found = matmul(a.astype("float32"), b.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_are_copied_first_have_the_same_products(dtype: str, monkeypatch) -> None:
    """Whether they are depends on the processor's cache."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((130, 70)).astype(dtype), rng.standard_normal((70, 45)).astype(dtype)
    found = []
    for ways in (1, 1000):
        monkeypatch.setattr(machine, "level_1_ways", lambda ways=ways: ways)
        assert kernels.matmul.collide(a.strides[0]) == (ways == 1)
        found.append(matmul(a, b))
    np.testing.assert_array_equal(*found)


def test_rows_collide_where_they_are_as_far_apart_as_a_cache_is_long(monkeypatch) -> None:
    monkeypatch.setattr(machine, "level_1_ways", lambda: kernels.simd.ROWS + 1)
    assert kernels.matmul.collide(4096)  # all rows want one place, which two lines of b share
    assert not kernels.matmul.collide(2048)  # every other row
    assert not kernels.matmul.collide(4096 + 64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_matrix_product(dtype: str) -> None:
    for rows, depth, columns in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        a, b = np.ones((rows, depth), dtype), np.ones((depth, columns), dtype)
        np.testing.assert_array_equal(matmul(a, b), np.zeros((rows, columns)))


def test_a_nan_reaches_the_sums_it_is_part_of_and_no_others() -> None:
    a, b = np.ones((30, 40), np.float32), np.ones((40, 50), np.float32)
    a[3, 7], b[9, 11] = np.nan, np.inf
    found = matmul(a, b)
    expected = a @ b
    np.testing.assert_array_equal(found, expected)


def test_results_own_their_memory() -> None:
    """No kernel returns a buffer that a later call would overwrite."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 8, 8, 4)), rng.standard_normal((3, 3, 4, 6))
    for dtype in (np.float32, np.float64):
        a, b = x.astype(dtype), w.astype(dtype)

        def results(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
            y = functional.conv2d(a, b, padding="same")
            return [
                y,
                *functional.conv2d_backward(y, a, b, padding="same")[:2],
                functional.depthwise_conv2d(a, b[..., :1]),
                functional.max_pool2d(a, 2, 2, "valid"),
                functional.relu(a),
            ]

        first = results(a, b)
        digests = [hashlib.sha256(r.tobytes()).digest() for r in first]
        results(-a, 2 * b)
        assert [hashlib.sha256(r.tobytes()).digest() for r in first] == digests
        for one in first:
            assert not np.shares_memory(one, a)
            assert not any(np.shares_memory(one, other) for other in first if other is not one)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, 2**16),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2**16),
        ({"cpu.max": "what\n"}, 2**16),
        ({}, 2**16),
    ],
)
def test_a_container_has_as_many_threads_as_it_may_use_cores(
    files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.quota(tmp_path) == cores
