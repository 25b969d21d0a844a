"""The compiled kernels as a machine meets them: threads, caches, CPUs, and memory they own.

That they compute what the loops compute is `test_functional.py`'s to show.
"""

import errno
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import prange

import minicnn
from minicnn import functional, kernels, naive
from minicnn.functional.algorithms.matmul import matmul
from minicnn.kernels import cache
from minicnn.kernels.compile import jit, parallel_jit
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
            if hasattr(kernel, "signatures") and not isinstance(kernel, type):
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


# glibc fills memory with this byte when it is freed and, inverted, when it is given out. Its own
# small cache is off, since it does not fill the memory there.
FILLED = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0", "MALLOC_PERTURB_": "255"}
ONE = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
LATER = {
    "one thread": {"NUMBA_NUM_THREADS": "1", **FILLED},
    "two threads, BLAS with one": {"NUMBA_NUM_THREADS": "2", **ONE},
    "three threads": {"NUMBA_NUM_THREADS": "3", **FILLED, "MALLOC_PERTURB_": "85"},
}


@pytest.mark.slow
@pytest.mark.parametrize("environment", LATER.values(), ids=LATER)
def test_a_later_process_compiles_nothing_and_computes_the_same(
    first: dict, environment: dict[str, str]
) -> None:
    """To the bit: with fewer or more threads, and whatever memory held before.

    A kernel that kept an address longer than the array would compute with it, and only at times.
    """
    run = run_script(**environment)
    assert run["compiled"] == 0
    assert run["loaded"] > 25
    assert {name for name, found in run["found"].items() if found != first["found"][name]} == set()
    assert set(run["found"]) == set(first["found"])


@pytest.mark.slow
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
    environment["NUMBA_OPT"] = "0"  # what LLVM does beyond takes long, and is the same for all
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_without_a_folder_for_the_cache_it_still_runs(tmp_path: Path) -> None:
    """An installation that nobody may write to, and no home: compiled anew, but no error."""
    package = tmp_path / "site" / "minicnn"
    shutil.copytree(Path(minicnn.__file__).parent, package, ignore=shutil.ignore_patterns("__pyc*"))
    code = (
        "import minicnn.kernels.cache as cache\n"
        "def refuse(*_): raise OSError('read-only')\n"
        "cache._write = refuse\n"
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
    assert done.stderr.count("cannot keep its compiled kernels: read-only") == 1
    where, pooled = done.stdout.splitlines()
    assert where.startswith(str(tmp_path))
    assert pooled == "[5.0, 7.0, 13.0, 15.0]"


def tiny(x):
    return x + 1


def flip_a_bit(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)


def make_a_link(entry: Path) -> None:
    entry.unlink()
    entry.symlink_to("/dev/zero")


def make_a_pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


DAMAGES = {
    "empty": lambda entry: entry.write_bytes(b""),
    "cut off": lambda entry: entry.write_bytes(entry.read_bytes()[:-100]),
    "a bit of it": flip_a_bit,
    "text": lambda entry: entry.write_text("no kernel"),
    "a pickle": lambda entry: entry.write_bytes(pickle.dumps(("0.61", {}))),
    "others may write": lambda entry: entry.chmod(0o666),
    "a link": make_a_link,
    "a pipe": make_a_pipe,
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for kernels, of which nothing is known yet."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path


def met(kernel) -> tuple[int, int, int]:
    """Its result for 1, and how often it was compiled and loaded."""
    found = kernel(1)
    return (
        found, sum(kernel.stats.cache_misses.values()), sum(kernel.stats.cache_hits.values())
    )  # fmt: skip


def entry_of(place: Path) -> Path:
    (entry,) = place.glob("*/*.nbc")
    return entry


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_kernel_is_compiled_anew_and_replaced(place: Path, damage) -> None:
    assert met(jit(tiny)) == (2, 1, 0)
    damage(entry_of(place))
    assert met(jit(tiny)) == (2, 1, 0)
    assert met(jit(tiny)) == (2, 0, 1)


def test_another_kernel_under_its_name_is_compiled_anew(place: Path) -> None:
    kernel = jit(tiny)
    kernel(1)
    content = entry_of(place).read_bytes()
    kernel(1.5)
    for entry in place.glob("*/*.nbc"):
        entry.write_bytes(content)
    again = jit(tiny)
    assert [again(1), again(1.5)] == [2, 2.5]


def test_a_disk_that_is_full_costs_a_compilation(place: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    with pytest.warns(RuntimeWarning, match="No space left on device") as told:
        assert met(jit(tiny)) == met(jit(tiny)) == (2, 1, 0)
    assert len(told) == 1
    assert list(place.glob("*/*")) == []


def make_marker(path: Path) -> None:
    path.write_text("this code ran")


class Pickled:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return make_marker, (self.path,)


@pytest.mark.parametrize(
    ("folder", "file", "runs"),
    [(0o755, 0o644, True), (0o777, 0o644, False), (0o755, 0o666, False), (0o1777, 0o644, False)],
)
def test_nothing_is_unpickled_that_another_user_can_have_written(
    place: Path, folder: int, file: int, runs: bool
) -> None:
    kernel, marker = jit(tiny), place / "marker"
    kernel(1)
    entry = entry_of(place)
    machine = kernel.targetctx.codegen()
    key = kernel._cache._key(kernel.signatures[0], machine)
    cache._write(entry, key, pickle.dumps(Pickled(marker)))
    entry.chmod(file)
    entry.parent.chmod(folder)
    assert jit(tiny)(1) == 2
    assert marker.exists() == runs


def test_another_user_s_files_are_not_trusted(place: Path, monkeypatch) -> None:
    jit(tiny)(1)
    assert cache.trusted(entry_of(place).stat())
    if os.getuid() == 0:  # then root's own are not another user's
        os.chown(entry_of(place), 12345, -1)
    monkeypatch.setattr(os, "getuid", lambda: 23456)
    assert not cache.trusted(entry_of(place).stat())


# Fork, with threads before and after it, and results that stay the same.
FORKS = """
import multiprocessing, os, sys, threading
import numba, numpy as np
from minicnn import functional, kernels

x = np.random.default_rng(0).standard_normal((4, 9, 9, 20)).astype("float32")

def run(_=None):
    return functional.relu(functional.average_pool2d(x, 3, 2, "same"))

def same(got):
    return all((y == expected).all() for y in got)

def in_threads():
    got = []
    def work():
        got.extend(run() for _ in range(30))
    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return len(got) == 120 and same(got)

def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if function() else 1)
        finally:
            os._exit(2)
    return child

def ended_well(child):
    return os.waitpid(child, 0)[1] == 0

expected = run()
assert numba.threading_layer() == sys.argv[1], numba.threading_layer()
assert kernels.team.threads() == numba.get_num_threads() == 2
assert in_threads()
child = in_child(lambda: in_threads() and kernels.team.threads() == 1)
assert same([run() for _ in range(5)]), "the parent goes on"
assert ended_well(child)
assert ended_well(in_child(lambda: ended_well(in_child(lambda: same([run()])))))
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert same(pool.map_async(run, range(4)).get(300))
numba.set_num_threads(1)
assert kernels.team.threads() == 1 and same([run()])
# While another thread compiles, or imports kernels, it has locks that no child will see released.
stop = threading.Event()
def compile_and_compile():
    while not stop.is_set():
        numba.njit(lambda x: x + 1)(1)
thread = threading.Thread(target=compile_and_compile)
thread.start()
child = in_child(lambda: numba.njit(lambda x: x + 2)(1) == 3 and same([run()]))
stop.set()
assert ended_well(child)
print("well")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_processes_are_forked_and_threads_share_kernels(layer: str) -> None:
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, layer],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout == "well\n", done.stderr


def test_a_forked_process_that_comes_first_has_all_threads() -> None:
    """What a server does that loads the model, forks, and only then predicts."""
    code = (
        "import os, numpy as np\n"
        "from minicnn import functional, kernels\n"
        "kernels.elementwise\n"
        "if os.fork() == 0:\n"
        "    functional.relu(np.ones((2, 2), 'float32'))\n"
        "    os._exit(kernels.team.threads())\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, timeout=300) == b"2\n"


@pytest.mark.slow
def test_kernels_are_compiled_where_numba_compiles_nothing() -> None:
    """NUMBA_DISABLE_JIT is for those who debug functions of their own."""
    code = (
        "import numpy as np\n"
        "from minicnn import functional, kernels\n"
        "x = np.arange(16, dtype='float32').reshape(1, 4, 4, 1)\n"
        "print(functional.max_pool2d(x, 2).ravel().tolist())\n"
        "print(len(kernels.pooling.max_forward.signatures))\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", code]
    told = subprocess.check_output(command, env=environment, text=True, timeout=600)
    assert told.splitlines() == ["[5.0, 7.0, 13.0, 15.0]", "1"]


def signatures() -> dict[str, int]:
    return {
        f"{name}.{kernel.__name__}": len(kernel.signatures)
        for name, module in list(sys.modules.items())
        if name.startswith("minicnn.kernels.")
        for kernel in vars(module).values()
        if hasattr(kernel, "signatures") and not isinstance(kernel, type)
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
def test_no_kind_of_array_is_compiled_for_anew(dtype: str) -> None:
    """Of a file or of JAX, which cannot be written to; at an odd address; in another order."""
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
        expected, before = call(*arrays), signatures()
        for kind in (read_only, unaligned, apart, np.asfortranarray):
            found = call(*map(kind, arrays))
            assert signatures() == before, kind
            if call is not calls[-1][0]:  # which has new weights each time
                np.testing.assert_equal(found, expected)


def test_what_cannot_be_written_to_is_not_written_to() -> None:
    """The kernels do not ask: whoever calls them does."""
    g = np.ones(3, np.float32)
    weight = read_only(np.ones(3, np.float32))
    variable = minicnn.variable.Variable(weight, "w", "layer")
    optimizer = minicnn.optimizers.SGD(0.1, momentum=0.9)
    with pytest.raises(ValueError, match="read-only"):
        optimizer.apply_gradients([(g, variable)])
    assert (weight == 1).all()


def test_weights_that_an_initializer_made_read_only_learn() -> None:
    class Given(minicnn.initializers.Initializer):
        def __call__(self, shape, dtype="float32"):
            return np.broadcast_to(np.float32(0.5), shape)

    layer = minicnn.layers.Dense(2, kernel_initializer=Given())
    model = minicnn.Sequential([minicnn.Input((3,)), layer])
    model.compile("adam", minicnn.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(np.ones((4, 3), np.float32), np.array([0, 0, 0, 1]))
    assert (layer.get_weights()[0] != 0.5).all()


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
    found = matmul(*given, a_turned, b_turned)
    np.testing.assert_array_equal(found, a @ b)
    assert found.dtype == dtype
    assert matmul(*given, a_turned, b_turned, out=x) is not None
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
    np.testing.assert_allclose(matmul(a, b), expected, rtol=1e-10, atol=1e-9)
    found = matmul(a.astype("float32"), b.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_matrix_product(dtype: str) -> None:
    for rows, depth, columns in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        a, b = np.ones((rows, depth), dtype), np.ones((depth, columns), dtype)
        np.testing.assert_array_equal(matmul(a, b), np.zeros((rows, columns)))


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
    found = matmul(a, b)
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
