"""The compiled kernels as a machine meets them: threads, caches, CPUs, and memory they own.

That they compute what the loops compute is `test_functional.py`'s to show.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import prange

import minicnn
from minicnn import algorithms, functional, kernels, naive
from minicnn.kernels.compile import parallel_jit
from minicnn.kernels.tasks import new_counter, take

# Every kernel, forward and backward, on sizes that several threads share; then a short training.
# Prints a digest of each array.
SCRIPT = """
import hashlib, json, sys
import numpy as np
import minicnn
from minicnn import functional, layers

def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()

minicnn.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x = rng.standard_normal((5, 23, 21, 18)).astype("float32")
found = {}
for name, layer in {
    "conv": layers.Conv2D(33, 3, padding="same", activation="relu"),
    "conv with stride": layers.Conv2D(40, 5, 2, padding="same"),
    "conv dilated": layers.Conv2D(16, 3, dilation_rate=2),
    "conv in groups": layers.Conv2D(12, 3, groups=3),
    "conv 3x3": layers.Conv2D(9, 3),
    "conv 1x1": layers.Conv2D(70, 1),
    "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2),
    "depthwise with stride": layers.DepthwiseConv2D(3, 2, padding="same"),
    "separable": layers.SeparableConv2D(20, 3),
    "max": layers.MaxPooling2D(3, 2, padding="same"),
    "average": layers.AveragePooling2D(3, 2, padding="same"),
    "normalization": layers.BatchNormalization(),
    "relu": layers.ReLU(1.0, 0.1, 0.2),
    "softmax": layers.Softmax(),
    "tanh": layers.Activation("tanh"),
    "sigmoid": layers.Activation("sigmoid"),
    "global average": layers.GlobalAveragePooling2D(),
    "global max": layers.GlobalMaxPooling2D(),
}.items():
    y, cache = layer.forward(x, training=True)
    dx, grads = layer.backward(np.cos(y), cache)
    found[name] = [digest(a) for a in (y, dx, *grads.values())]
w = rng.standard_normal((3, 3, 18, 37)).astype("float32")
for way in ("direct", "winograd", "im2col"):
    y, winners = functional.conv2d_max_pool2d(
        x, w, activation="relu", algorithm=way, remember=True
    )
    grads = functional.conv2d_max_pool2d_backward(np.cos(y), winners, x, w, algorithm=way)
    found["pooled " + way] = [digest(a) for a in (y, winners, *grads)]
few = layers.Conv2D(64, 3)
y, cache = few.forward(x[:1])
dx, grads = few.backward(np.cos(y), cache)
found["conv 3x3 of few"] = [digest(a) for a in (y, dx, *grads.values())]
big = layers.Dense(300)
rows = rng.standard_normal((700, 900)).astype("float32")
y, cache = big.forward(rows)
dx, grads = big.backward(np.cos(y), cache)
found["dense"] = [digest(a) for a in (y, dx, *grads.values())]
model = minicnn.Sequential([
    minicnn.Input((23, 21, 18)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
    layers.SeparableConv2D(40, 3), layers.BatchNormalization(), layers.Flatten(),
    layers.Dropout(0.5), layers.Dense(64, "relu"), layers.Dense(4, "softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(np.concatenate([x] * 4), np.arange(20) % 4, batch_size=8, epochs=2, verbose=0)
found["training"] = [digest(w) for w in model.get_weights()]
compiled = loaded = 0
for name, module in list(sys.modules.items()):  # not all of others are modules with a name
    if name.startswith("minicnn.kernels."):
        for kernel in vars(module).values():
            if hasattr(kernel, "stats"):
                compiled += sum(kernel.stats.cache_misses.values())
                loaded += sum(kernel.stats.cache_hits.values())
print(json.dumps({"found": found, "compiled": compiled, "loaded": loaded}))
"""


def run_script(**environment: str) -> dict:
    """What the script prints, in a process of its own with these environment variables."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def first() -> dict:
    """What the script prints; kernels that nobody has used before are compiled and kept."""
    return run_script()


def test_a_later_process_compiles_nothing(first: dict) -> None:
    second = run_script()
    if second["compiled"]:  # two processes that write a cache's index at once can lose an entry
        second = run_script()
    assert second["compiled"] == 0
    assert second["loaded"] > 25
    assert second["found"] == first["found"], "and computes the same"


@pytest.mark.parametrize("numba", ["1", "2", "3"])
@pytest.mark.parametrize("blas", ["1", "2"])
def test_the_number_of_threads_changes_no_bit(first: dict, numba: str, blas: str) -> None:
    found = run_script(
        NUMBA_NUM_THREADS=numba,
        OPENBLAS_NUM_THREADS=blas,
        OMP_NUM_THREADS=blas,
        MKL_NUM_THREADS=blas,
    )["found"]
    assert {name for name in found if found[name] != first["found"][name]} == set()


def test_no_kernel_reads_memory_that_is_freed_or_not_yet_written(first: dict) -> None:
    """glibc fills memory with this byte when it is freed and, inverted, when it is given out.

    A kernel that kept an address longer than the array would compute with it, and only at times.
    Without glibc's own small cache, whose memory it does not fill.
    """
    for byte in ("255", "85"):
        found = run_script(GLIBC_TUNABLES="glibc.malloc.tcache_count=0", MALLOC_PERTURB_=byte)[
            "found"
        ]
        assert {name for name in found if found[name] != first["found"][name]} == set()


@pytest.mark.parametrize("cpu", ["generic", "haswell"])
def test_another_cpu_computes_the_same_within_rounding(cpu: str, tmp_path: Path) -> None:
    """With smaller vectors, or none to speak of, the tile is smaller; the sums' order differs."""
    code = (
        "import sys, numpy as np\n"
        "from minicnn import functional\n"
        "rng = np.random.default_rng(0)\n"
        "x = rng.standard_normal((2, 9, 11, 9), dtype='float32')\n"
        "w = rng.standard_normal((3, 3, 9, 37), dtype='float32')\n"
        "found = {'x': x, 'w': w}\n"
        "for way in ('direct', 'winograd'):\n"
        "    y = functional.conv2d(x, w, padding='same', algorithm=way)\n"
        "    dx, dw, db = functional.conv2d_backward(y, x, w, padding='same', algorithm=way)\n"
        "    found |= {f'{way} y': y, f'{way} dx': dx, f'{way} dw': dw}\n"
        "    options = {'activation': 'relu', 'padding': 'same', 'algorithm': way}\n"
        "    y, winners = functional.conv2d_max_pool2d(x, w, remember=True, **options)\n"
        "    options.pop('activation')\n"
        "    dw = functional.conv2d_max_pool2d_backward(y, winners, x, w, **options)[1]\n"
        "    found |= {f'{way} pooled': y, f'{way} winners': winners, f'{way} pooled dw': dw}\n"
        "np.savez(sys.argv[1], **found)\n"
    )
    path = tmp_path / "found.npz"
    features = "+avx,+avx2,+fma" if cpu == "haswell" else ""
    environment = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    environment["NUMBA_OPT"] = "1"  # what LLVM does beyond takes long, and is the same for all
    subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, **environment},
        check=True,
        timeout=600,
    )
    with np.load(path) as found:
        y = naive.conv2d(found["x"], found["w"], padding="same")
        dx, dw, _ = naive.conv2d_backward(y, found["x"], found["w"], padding="same")
        pooled = np.maximum(naive.max_pool2d(y), 0)
        for way, tolerance in (("direct", 1e-5), ("winograd", 1e-4)):
            dz = naive.unpool(pooled, found[f"{way} winners"], (2, 2), y.shape[1:3])
            _, pooled_dw, _ = naive.conv2d_backward(dz, found["x"], found["w"], padding="same")
            for name, expected in (
                ("y", y), ("dx", dx), ("dw", dw), ("pooled", pooled), ("pooled dw", pooled_dw)
            ):  # fmt: skip
                scale = np.abs(expected).max()
                difference = np.abs(found[f"{way} {name}"] - expected).max() / scale
                assert difference < tolerance, f"{way} {name}"


def test_kernels_are_compiled_anew_when_what_is_written_into_them_changes(tmp_path: Path) -> None:
    """numba looks only at the file that a kernel is in; simd's tile is written into others."""
    package = tmp_path / "site" / "minicnn"
    shutil.copytree(Path(minicnn.__file__).parent, package, ignore=shutil.ignore_patterns("__pyc*"))
    code = (
        "import numpy as np, minicnn\n"
        "minicnn.functional.relu(np.ones((2, 2), 'float32'))\n"
        "print(sum(minicnn.kernels.elementwise.relu.stats.cache_misses.values()))\n"
    )
    places = {"PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def compiled() -> str:
        command = [sys.executable, "-c", code]
        return subprocess.check_output(
            command, cwd=tmp_path, env={**os.environ, **places}, text=True, timeout=600
        ).strip()

    assert [compiled(), compiled()] == ["1", "0"]
    with (package / "kernels" / "simd.py").open("a") as file:
        file.write("# another line\n")
    assert [compiled(), compiled()] == ["1", "0"]


def test_without_a_folder_for_the_cache_it_still_runs(tmp_path: Path) -> None:
    """An installation that nobody may write to, and no home: compiled anew, but no error."""
    package = tmp_path / "site" / "minicnn"
    shutil.copytree(Path(minicnn.__file__).parent, package, ignore=shutil.ignore_patterns("__pyc*"))
    code = (
        "import numba.core.caching as caching\n"
        "def refuse(self): raise OSError('read-only')\n"
        "for locator in caching._CacheLocator.__subclasses__():\n"
        "    locator.ensure_cache_path = refuse\n"
        "import numpy as np, minicnn\n"
        "x = np.arange(16, dtype='float32').reshape(1, 4, 4, 1)\n"
        "print(minicnn.__file__)\n"
        "print(minicnn.functional.max_pool2d(x, 2, 2, 'valid').ravel().tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    where, pooled = done.stdout.splitlines()
    assert where.startswith(str(tmp_path))
    assert pooled == "[5.0, 7.0, 13.0, 15.0]"


def test_importing_is_quick_because_kernels_wait() -> None:
    """No kernel, and not even numba, is there before the first call; see test_rooms.py."""
    code = (
        "import sys, minicnn\n"
        "assert 'numba' not in sys.modules\n"
        "import numpy as np\n"
        "minicnn.layers.ReLU()(np.ones((1, 2, 2, 1), 'float32'))\n"
        "assert 'numba' in sys.modules\n"
        "assert 'minicnn.kernels.pooling' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_winograd_s_transforms_make_the_sums_of_a_window() -> None:
    """One line: 4 sums of 3 weights over 6 pixels, by hand; 6 products instead of 12."""
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
def test_winograd_s_backward_transforms_are_the_transposed(
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
    """Of whole numbers, whose sums are exact in any order: edges of tiles, panels, runs, parts."""
    rows, depth, columns = sizes
    rng = np.random.default_rng(0)
    a, b = rng.integers(-3, 4, (rows, depth)), rng.integers(-3, 4, (depth, columns))
    x = rng.integers(-3, 4, (rows, columns)).astype(dtype)
    given = [m.T if turned else m for m, turned in ((a, a_turned), (b, b_turned))]
    given = [np.ascontiguousarray(m, dtype) for m in given]
    found = algorithms.matmul(*given, None, a_turned, b_turned)
    np.testing.assert_array_equal(found, a @ b)
    assert found.dtype == dtype
    assert algorithms.matmul(*given, None, a_turned, b_turned, out=x) is not None
    np.testing.assert_array_equal(x, a @ b)


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
    np.testing.assert_allclose(algorithms.matmul(a, b), expected, rtol=1e-10, atol=1e-9)
    found = algorithms.matmul(a.astype("float32"), b.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_matrix_product(dtype: str) -> None:
    for rows, depth, columns in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        a, b = np.ones((rows, depth), dtype), np.ones((depth, columns), dtype)
        np.testing.assert_array_equal(algorithms.matmul(a, b), np.zeros((rows, columns)))


@parallel_jit
def _who_does_what(tasks, threads, done):  # type: ignore[no-untyped-def]
    counter = new_counter()
    for me in prange(threads):
        task = take(counter)
        while task < tasks:
            done[me, task] += 1
            task = take(counter)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("tasks", [0, 1, 7, 1000])
def test_each_task_is_done_once(tasks: int, threads: int) -> None:
    done = np.zeros((threads, tasks), np.int64)
    _who_does_what(tasks, threads, done)
    np.testing.assert_array_equal(done.sum(axis=0), np.ones(tasks))


def test_a_nan_reaches_the_numbers_it_is_part_of_and_no_others() -> None:
    a, b = np.ones((30, 40), np.float32), np.ones((40, 50), np.float32)
    a[3, 7], b[9, 11] = np.nan, np.inf
    found = algorithms.matmul(a, b)
    expected = a @ b
    np.testing.assert_array_equal(found, expected)


def test_results_own_their_memory() -> None:
    """No kernel hands out a buffer that a later call would write over."""
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
