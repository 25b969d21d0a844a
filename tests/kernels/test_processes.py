"""Kernels compute the same in other processes, on other processors and without a cache."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn import naive
from minicnn.compiler import machine

# Runs every kernel, forward and backward, on sizes that several threads share, trains a little,
# and prints a digest of each array.
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
    y, argmax = functional.conv2d_max_pool2d(
        x, w, activation="relu", algorithm=way, remember=True
    )
    grads = functional.conv2d_max_pool2d_backward(np.cos(y), argmax, x, w, algorithm=way)
    found["pooled " + way] = [digest(a) for a in (y, argmax, *grads)]
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
loaded = len(loading.known) - compiled
print(json.dumps({
    "found": found, "compiled": compiled, "loaded": loaded, "threads": threads.count(),
}))
"""


def run_script(**environment: str) -> dict:
    """Run the script in its own process with these environment variables; return what it prints."""
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
    """Return what the script prints; it compiles and keeps kernels that are not kept yet."""
    return run_script()


# glibc fills memory with this byte when it frees it and with its inverse when it allocates it.
# Its own small cache is off, since it does not fill the memory there.
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
    """The results are equal to the bit, with any number of threads and any garbage in memory.

    A kernel that kept an address after its array was freed would compute wrongly only at times.
    """
    run = run_script(**environment)
    assert run["threads"] == int(environment["MINICNN_NUM_THREADS"])
    assert run["compiled"] == 0
    assert run["loaded"] > 25
    assert {name for name, found in run["found"].items() if found != first["found"][name]} == set()
    assert set(run["found"]) == set(first["found"])


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="another kind of machine")
@pytest.mark.parametrize("cpu", machine.LEVELS)
def test_another_cpu_computes_the_same_within_rounding(cpu: str, tmp_path: Path) -> None:
    """Smaller vectors mean smaller tiles, so the order of sums differs."""
    if machine.missing(cpu):
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
        "    y, argmax = functional.conv2d_max_pool2d(x, w, remember=True, **options)\n"
        "    options.pop('activation')\n"
        "    dw = functional.conv2d_max_pool2d_backward(y, argmax, x, w, **options)[1]\n"
        "    found |= {f'{way} pooled': y, f'{way} argmax': argmax, f'{way} pooled dw': dw}\n"
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
            dz = naive.unpool(pooled, found[f"{way} argmax"], (2, 2), y.shape[1:3])
            _, pooled_dw, _ = naive.conv2d_backward(dz, x, w, padding="same")
            found_names = ("y", "dx", "dw", "pooled", "pooled dw")
            for name, values in zip(found_names, (y, dx, dw, pooled, pooled_dw), strict=True):
                expected[f"{way} {name}"] = values
        for name, values in expected.items():
            tolerance = 1e-4 if name.startswith("winograd") else 1e-5
            difference = np.abs(found[name] - values).max() / np.abs(values).max()
            assert difference < tolerance, name


@pytest.mark.slow
def test_an_unknown_cpu_is_refused() -> None:
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
def test_kernels_are_compiled_again_when_code_in_them_changes(tmp_path: Path) -> None:
    """Not only a kernel's own file counts: simd's tile size is compiled into others."""
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
    for file in ("kernels/simd.py", "compiler/values.py"):
        with (package / file).open("a") as opened:
            opened.write("# another line\n")
        assert compiled() == all_of_them, file
    assert compiled() == 0


@pytest.mark.slow
def test_without_a_folder_for_the_cache_it_still_runs(tmp_path: Path) -> None:
    """In a read-only installation without a home, kernels are compiled each time, without error."""
    package = tmp_path / "site" / "minicnn"
    shutil.copytree(Path(minicnn.__file__).parent, package, ignore=shutil.ignore_patterns("__pyc*"))
    code = (
        "import minicnn.compiler.cache as cache\n"
        "def refuse(*_): raise OSError('read-only')\n"
        "cache.write = refuse\n"
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
