"""The compiled kernels as a machine meets them: threads, caches, CPUs, and memory they own.

That they compute what the loops compute is `tests/functional`'s to show.
"""

import errno
import hashlib
import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import compilation, functional, kernels, naive
from minicnn.compiler import cache, kernel, loading, machine, threads
from minicnn.functional.algorithms.matmul import matmul

# Every kernel, forward and backward, on sizes that several threads share; then a short training.
# Prints a digest of each array.
SCRIPT = """
import hashlib, json
import numpy as np
import minicnn
from minicnn import compilation, functional, layers
from minicnn.compiler import loading, threads

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
compiled = compilation.count
loaded = len(loading._known) - compiled
print(json.dumps({
    "found": found, "compiled": compiled, "loaded": loaded, "threads": threads.count(),
}))
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
    "one thread": {"MINICNN_NUM_THREADS": "1", **FILLED},
    "two threads, BLAS with one": {"MINICNN_NUM_THREADS": "2", **ONE},
    "three threads": {"MINICNN_NUM_THREADS": "3", **FILLED, "MALLOC_PERTURB_": "85"},
    "seven threads": {"MINICNN_NUM_THREADS": "7"},
    "sixteen threads": {"MINICNN_NUM_THREADS": "16", **FILLED},
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
    assert run["threads"] == int(environment["MINICNN_NUM_THREADS"])
    assert run["compiled"] == 0
    assert run["loaded"] > 25
    assert {name for name, found in run["found"].items() if found != first["found"][name]} == set()
    assert set(run["found"]) == set(first["found"])


def runs(cpu: str) -> bool:
    """Whether the machine at hand has all that this processor has."""
    here = machine.processor()
    return all(here.has(f.removeprefix("+")) for f in machine._LEVELS[cpu].split(",") if f)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="another kind of machine")
@pytest.mark.parametrize("cpu", machine._LEVELS)
def test_another_cpu_computes_the_same_within_rounding(cpu: str, tmp_path: Path) -> None:
    """With smaller vectors, or none to speak of, the tile is smaller; the sums' order differs."""
    if not runs(cpu):
        pytest.skip(f"this machine is no {cpu}")
    code = (
        "import sys, numpy as np\n"
        "from minicnn import functional, kernels\n"
        "rng = np.random.default_rng(0)\n"
        "x = rng.standard_normal((2, 9, 11, 9), dtype='float32')\n"
        "w = rng.standard_normal((3, 3, 9, 37), dtype='float32')\n"
        "deep = rng.standard_normal((3, 3, 9, 2), dtype='float32')\n"
        "found = {'x': x, 'w': w, 'deep': deep}\n"
        "for way in ('direct', 'winograd'):\n"
        "    y = functional.conv2d(x, w, padding='same', algorithm=way)\n"
        "    dx, dw, db = functional.conv2d_backward(y, x, w, padding='same', algorithm=way)\n"
        "    found |= {f'{way} y': y, f'{way} dx': dx, f'{way} dw': dw}\n"
        "    options = {'activation': 'relu', 'padding': 'same', 'algorithm': way}\n"
        "    y, winners = functional.conv2d_max_pool2d(x, w, remember=True, **options)\n"
        "    options.pop('activation')\n"
        "    dw = functional.conv2d_max_pool2d_backward(y, winners, x, w, **options)[1]\n"
        "    found |= {f'{way} pooled': y, f'{way} winners': winners, f'{way} pooled dw': dw}\n"
        "z = functional.depthwise_conv2d(x, deep)\n"
        "dx, dw, _ = functional.depthwise_conv2d_backward(z, x, deep)\n"
        "found |= {'depthwise y': z, 'depthwise dx': dx, 'depthwise dw': dw}\n"
        "found |= {'max': functional.max_pool2d(x, 3, 2, 'same')}\n"
        "found |= {'average': functional.average_pool2d(x, 3, 2, 'same')}\n"
        "found |= {'tile': np.array([kernels.simd.LANES, kernels.simd.ROWS])}\n"
        "np.savez(sys.argv[1], **found)\n"
    )
    path = tmp_path / "found.npz"
    environment = {"MINICNN_CPU": cpu, "MINICNN_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, **environment},
        check=True,
        timeout=600,
    )
    with np.load(path) as found:
        tiles = {"x86-64-v3": [8, 6], "x86-64-v4": [16, 14]}
        assert found["tile"].tolist() == tiles.get(cpu, [4, 6])
        x, w, deep = found["x"], found["w"], found["deep"]
        expected = {
            "max": naive.max_pool2d(x, (3, 3), (2, 2), "same"),
            "average": naive.average_pool2d(x, (3, 3), (2, 2), "same"),
            "depthwise y": naive.depthwise_conv2d(x, deep),
        }
        dx, dw, _ = naive.depthwise_conv2d_backward(expected["depthwise y"], x, deep)
        expected |= {"depthwise dx": dx, "depthwise dw": dw}
        y = naive.conv2d(x, w, padding="same")
        dx, dw, _ = naive.conv2d_backward(y, x, w, padding="same")
        pooled = np.maximum(naive.max_pool2d(y), 0)
        for way in ("direct", "winograd"):
            dz = naive.unpool(pooled, found[f"{way} winners"], (2, 2), y.shape[1:3])
            _, pooled_dw, _ = naive.conv2d_backward(dz, x, w, padding="same")
            found_names = ("y", "dx", "dw", "pooled", "pooled dw")
            for name, values in zip(found_names, (y, dx, dw, pooled, pooled_dw), strict=True):
                expected[f"{way} {name}"] = values
        for name, values in expected.items():
            tolerance = 1e-4 if name.startswith("winograd") else 1e-5
            difference = np.abs(found[name] - values).max() / np.abs(values).max()
            assert difference < tolerance, name


def test_a_cpu_that_nobody_knows_is_refused() -> None:
    code = "import numpy, minicnn; minicnn.functional.relu(numpy.ones((2, 2), 'float32'))"
    environment = {**os.environ, "MINICNN_CPU": "haswell"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    expected = (
        "MINICNN_CPU expects one of x86-64, x86-64-v2, x86-64-v3, x86-64-v4. Received haswell."
    )
    assert expected in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("file", ["kernels/simd.py", "compiler/values.py"])
def test_kernels_are_compiled_anew_when_what_is_written_into_them_changes(
    file: str, tmp_path: Path
) -> None:
    """Not only the file that a kernel is in: simd's tile is written into others."""
    package = tmp_path / "site" / "minicnn"
    shutil.copytree(Path(minicnn.__file__).parent, package, ignore=shutil.ignore_patterns("__pyc*"))
    code = (
        "import numpy as np, minicnn\n"
        "minicnn.functional.relu(np.ones((2, 2), 'float32'))\n"
        "print(minicnn.compilation.count)\n"
    )
    places = {"PYTHONPATH": str(package.parent), "MINICNN_CACHE_DIR": str(tmp_path / "cache")}

    def compiled() -> int:
        command = [sys.executable, "-c", code]
        return int(
            subprocess.check_output(
                command, cwd=tmp_path, env={**os.environ, **places}, text=True, timeout=600
            )
        )

    all_of_them = compiled()
    assert all_of_them > 0
    assert compiled() == 0
    with (package / file).open("a") as opened:
        opened.write("# another line\n")
    assert [compiled(), compiled()] == [all_of_them, 0]


@pytest.mark.slow
def test_without_a_folder_for_the_cache_it_still_runs(tmp_path: Path) -> None:
    """An installation that nobody may write to, and no home: compiled anew, but no error."""
    package = tmp_path / "site" / "minicnn"
    shutil.copytree(Path(minicnn.__file__).parent, package, ignore=shutil.ignore_patterns("__pyc*"))
    code = (
        "import minicnn.compiler.cache as cache\n"
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
        env={**os.environ, "PYTHONPATH": str(package.parent), "MINICNN_CACHE_DIR": ""},
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


def tiny(task, x):
    x[task] += 1


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
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path / "kernels"


def met(element: str = "float32") -> tuple[bytes, int]:
    """What a new process hands to LLVM to load, and how many kernels it compiles before."""
    handed: list[bytes] = []
    before = compilation.count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_known", {})
        patch.setattr(machine, "load", lambda code, _: handed.append(code) or 1)
        array = np.zeros(1, element)
        kernel.Kernel(tiny, lambda x: x.size).prepared((array,))
    (code,) = handed
    return code, compilation.count - before


def entry_of(place: Path) -> Path:
    (entry,) = place.glob("*.o")
    return entry


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_kernel_is_compiled_anew_and_replaced(
    place: Path, damage: Callable[[Path], object]
) -> None:
    good, compiled = met()
    assert compiled == 1
    damage(entry_of(place))
    assert met() == (good, 1)
    assert met() == (good, 0)
    assert [path.suffix for path in place.iterdir()] == [".o"]


def test_another_kernel_under_its_name_is_compiled_anew(place: Path) -> None:
    first, _ = met("float32")
    content = entry_of(place).read_bytes()
    second, _ = met("float64")
    assert first != second
    for entry in place.glob("*.o"):
        entry.write_bytes(content)
    assert [met("float32"), met("float64")] == [(first, 0), (second, 1)]


def test_the_file_of_one_processor_is_not_another_s(place: Path, monkeypatch) -> None:
    """Even under its name: the digest is of what the code was made for, too."""
    here = machine.processor()
    met()
    content = entry_of(place).read_bytes()
    cache._about_machine.cache_clear()
    try:
        monkeypatch.setattr(machine, "processor", lambda: here._replace(name="another"))
        other = cache.Entry("test_kernels.tiny", "about")
        assert other.file_name != entry_of(place).name
        (place / other.file_name).write_bytes(content)
        (place / other.file_name).chmod(0o644)
        assert other.read() is None
        assert list(place.glob("*.o")) == [entry_of(place)]
    finally:
        monkeypatch.undo()
        cache._about_machine.cache_clear()


def test_a_disk_that_is_full_costs_a_compilation(place: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    with pytest.warns(RuntimeWarning, match="No space left on device") as told:
        found = met(), met()
    assert found[0] == found[1]
    assert found[0][1] == 1
    assert len(told) == 1
    assert list(place.glob("*")) == []


def test_a_write_that_breaks_off_leaves_nothing_behind(place: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    good, _ = met()
    before = entry_of(place).read_bytes()
    entry_of(place).chmod(0o666)  # so that it is written anew
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.warns(RuntimeWarning, match="Input/output error"):
        assert met() == (good, 1)
    assert list(place.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(place))
    assert met() == (good, 1)
    assert entry_of(place).read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users")
def test_a_folder_that_cannot_be_made_costs_a_compilation(place: Path) -> None:
    """A file stands where the folder would be."""
    place.write_text("no folder")
    with pytest.warns(RuntimeWarning, match="cannot keep its compiled kernels"):
        assert met()[1] == 1
    assert place.read_text() == "no folder"


@pytest.mark.parametrize(
    ("folder", "file", "runs"),
    [(0o755, 0o644, True), (0o777, 0o644, False), (0o755, 0o666, False), (0o1777, 0o644, False)],
)
@pytest.mark.filterwarnings("ignore:minicnn cannot keep")
def test_no_code_runs_that_another_user_can_have_written(
    place: Path, folder: int, file: int, runs: bool
) -> None:
    good, _ = met()
    (entry,) = place.glob("*.o")
    # Its digest is right, since anybody can compute one.
    content = entry.read_bytes()
    name = entry.name.rpartition("-")[0]
    assert name == "test_kernels.tiny"
    symbol = f"{tiny.__module__}.{tiny.__qualname__}_plain_float32[1]"
    about = f"{symbol}\n{loading._digest(__file__)}"
    ours = cache.Entry(name, about)
    assert ours.file_name == entry.name
    cache._write(entry, ours.key, b"\nforeign code")
    assert content != entry.read_bytes()
    entry.chmod(file)
    place.chmod(folder)
    assert met() == ((b"foreign code", 0) if runs else (good, 1))


def test_another_user_s_files_are_not_trusted(place: Path, monkeypatch) -> None:
    met()
    assert cache.trusted(entry_of(place).stat())
    if os.getuid() == 0:  # then root's own are not another user's
        os.chown(entry_of(place), 12345, -1)
    monkeypatch.setattr(os, "getuid", lambda: 23456)
    assert not cache.trusted(entry_of(place).stat())


# Fork, with threads before and after it, and results that stay the same.
FORKS = """
import multiprocessing, os, threading
import numpy as np
from minicnn import functional
from minicnn.compiler import threads

x = np.random.default_rng(0).standard_normal((8, 65, 65, 20)).astype("float32")

def run(_=None):  # of more tasks than there are threads
    return functional.average_pool2d(functional.relu(x), 3, 2, "same")

def same(got):
    return all((y == expected).all() for y in got)

def in_threads():
    got = []
    def work():
        got.extend(run() for _ in range(30))
    workers = [threading.Thread(target=work) for _ in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
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

def team():
    return len(threads._team.members)

expected = run()
assert threads.count() == 3 and team() == 2
assert in_threads()
child = in_child(lambda: threads._team is None and in_threads() and team() == 2)
assert same([run() for _ in range(5)]), "the parent goes on"
assert ended_well(child)
assert ended_well(in_child(lambda: ended_well(in_child(lambda: same([run()])))))
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert same(pool.map_async(run, range(4)).get(300))
for count in (1, 2, 7, 16):
    threads.set_count(count)
    assert same([run()]) and team() == max(2, count - 1)
    assert ended_well(in_child(lambda: same([run()]) and threads.count() == count))
# While another thread computes, the team is not the child's.
stop = threading.Event()
def work():
    while not stop.is_set():
        run()
worker = threading.Thread(target=work)
worker.start()
assert all([ended_well(in_child(lambda: same([run(), run()]))) for _ in range(20)])
stop.set()
worker.join()
print("well")
"""

# While another thread compiles, it has a lock that no child would see released.
COMPILING = """
import os, threading, time
import numpy as np
import minicnn
from minicnn.compiler import machine
from minicnn.compiler.kernel import kernel

@kernel(tasks=len, writes="")
def one(task, x):
    x[task] += 1

@kernel(tasks=len, writes="")
def two(task, x):
    x[task] += 2

within, really = threading.Event(), machine.machine_code
def slowly(*text):
    if not within.is_set():
        within.set()
        time.sleep(0.3)  # meanwhile the other thread forks
    return really(*text)

def ended_well(child):
    if child == 0:
        try:
            two(y)
            one(y)
            os._exit(0 if y.tolist() == [3, 3, 3] else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0

x, y = np.zeros(3), np.zeros(3)
machine.machine_code = slowly
compiling = threading.Thread(target=one, args=(x,))
compiling.start()
assert within.wait(100)
assert all([ended_well(os.fork()) for _ in range(4)])
compiling.join()
assert x.tolist() == [1, 1, 1]
print("well")
"""


def told(path: Path, script: str, **environment: str) -> str:
    """What the script prints, which is a file of its own: a kernel's text is read from there."""
    path.write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(path)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_processes_are_forked_and_threads_share_kernels(tmp_path: Path) -> None:
    assert told(tmp_path / "forks.py", FORKS, MINICNN_NUM_THREADS="3") == "well\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_is_forked_while_a_thread_compiles(tmp_path: Path) -> None:
    kept = str(tmp_path / "kernels")
    assert told(tmp_path / "compiling.py", COMPILING, MINICNN_CACHE_DIR=kept) == "well\n"


def test_a_forked_process_that_comes_first_has_all_threads() -> None:
    """What a server does that loads the model, forks, and only then predicts."""
    code = (
        "import os, numpy as np\n"
        "from minicnn import functional, kernels\n"
        "from minicnn.compiler import threads\n"
        "kernels.elementwise\n"
        "if os.fork() == 0:\n"
        "    functional.relu(np.ones((2, 2**17), 'float32'))\n"
        "    os._exit(len(threads._team.members))\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    environment = {**os.environ, "MINICNN_NUM_THREADS": "3"}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, timeout=300) == b"2\n"


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_the_number_of_threads_that_the_environment_names(given: str, monkeypatch) -> None:
    monkeypatch.setenv("MINICNN_NUM_THREADS", given)
    if not given:  # as if it were not set
        assert threads._cores() == len(os.sched_getaffinity(0))
        return
    expected = f"expects a whole number from 1 on. Received '{given}'."
    with pytest.raises(ValueError, match=expected):
        threads._cores()


def compiled_for() -> dict[str, int]:
    """For how many kinds of arguments each kernel has been compiled."""
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
        expected, before = call(*arrays), compiled_for()
        for kind in (read_only, unaligned, apart, np.asfortranarray):
            found = call(*map(kind, arrays))
            assert compiled_for() == before, kind
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
    """No kernel, and not even LLVM, is there before the first call; see `project/test_rooms.py`."""
    code = (
        "import sys, minicnn\n"
        "assert 'llvmlite' not in sys.modules\n"
        "import numpy as np\n"
        "minicnn.layers.ReLU()(np.ones((1, 2, 2, 1), 'float32'))\n"
        "assert 'llvmlite' in sys.modules\n"
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
    assert threads._quota(tmp_path) == cores
