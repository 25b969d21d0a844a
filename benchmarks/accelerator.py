"""Measures the reference on an accelerator: photos per second, share of the peak, the bottleneck.

    KERAS_BACKEND=jax python -m benchmarks.accelerator --image-size 150,299 --json accelerator.json
    KERAS_BACKEND=jax python -m benchmarks.accelerator --base mobilenet.keras --data photos

Three rates for the pass of the frozen base show what limits it: with photos already on the device
(arithmetic), with photos in this machine's memory (transfer to the device), with photos in files
(decoding). A training step of the whole network follows. Each is measured in float32 and bfloat16;
the peak is the rate of a chain of large matrix products in the same run. Each row is the median of
several rounds, after one that compiles.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from minicnn._support.arguments import listed, path_to_write, positive
from minicnn._support.atomic import check_place, replacing
from minicnn._support.terminal import say
from reference import backend, data
from reference import model as models
from reference.backend import Machine
from reference.console import add_backend_options, check_output, main, make_parser

Array = np.ndarray

PRECISIONS = ("float32", "mixed_bfloat16")
ROUNDS = 5


@dataclass
class Row:
    """One measurement. `share` is of the peak of the same precision."""

    base: str
    image_size: int
    precision: str
    work: str
    batch_size: int
    photos_per_second: float
    teraflops: float
    share: float


# ---------------------------------------------------------------------------------------------
# Time
# ---------------------------------------------------------------------------------------------


def seconds(run: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the median time of a round, after a warm-up round; `run` returns a result."""
    _wait(run())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        _wait(run())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _wait(result: Any) -> None:
    """Wait for the device, which computes asynchronously, by reading a number from the result."""
    for value in keras.tree.flatten(result):
        np.asarray(keras.ops.convert_to_numpy(value)).ravel()[:1]


def peak_flops(precision: str, size: int = 8192, products: int = 16) -> float:
    """Return the operations per second in a chain of `products` products of size × size matrices.

    For mixed precision this uses matrices of the lower precision, which need no conversion.
    """
    keras.config.set_dtype_policy(precision.removeprefix("mixed_"))
    try:
        size = size if keras.distribution.list_devices()[0].startswith("gpu") else 1024
        inputs = keras.Input((size,))
        x = inputs
        for _ in range(products):
            x = keras.layers.Dense(size, use_bias=False)(x)
        model = keras.Model(inputs, keras.ops.mean(x, axis=1))
    finally:
        keras.config.set_dtype_policy("float32")
    step = _inference(model)
    x = keras.ops.convert_to_tensor(np.ones((size, size), np.float32))
    return 2 * size**3 * products / seconds(lambda: step(x))


def _inference(model: keras.Model) -> Callable[[Any], Any]:
    """Return the compiled model as a function of a tensor that is already on the device."""
    if keras.backend.backend() == "jax":
        from reference import on_jax

        return on_jax.compiled(model)
    return lambda x: model(x, training=False)


# ---------------------------------------------------------------------------------------------
# Work
# ---------------------------------------------------------------------------------------------


def flops(network: keras.Model, size: int) -> float:
    """Return the operations for one photo in the network: two for each weight at each position.

    This counts convolutions and dense layers, but not normalization and activations.
    """
    kernels = {
        layer: sum(float(np.prod(w.shape)) for w in layer.weights if "kernel" in w.name)
        for layer in network.layers
    }
    counted = [layer for layer, weights in kernels.items() if weights]
    every = keras.Model(network.inputs, [layer.output for layer in counted])
    shapes = every.compute_output_shape((1, size, size, 3))
    return sum(
        2 * kernels[layer] * float(np.prod(shape[1:-1]))
        for layer, shape in zip(counted, shapes, strict=True)
    )


def measure(
    name: str,
    weights: str,
    size: int,
    precision: str,
    batch_size: int,
    machine: Machine,
    photos: data.Photos | None,
    peak: float,
) -> list[Row]:
    """Return all rows of one image size and precision."""
    keras.config.set_dtype_policy(precision)
    try:
        base = models.load_base(name, size, weights)
        extractor = base.extractor()
        classifier = models.make_model(base, 10)
    finally:
        keras.config.set_dtype_policy("float32")
    per_photo = flops(base.network, size)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (batch_size, size, size, 3)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[rng.integers(0, 10, batch_size)]
    rows: list[Row] = []

    def row(work: str, rate: float, passes: float = 1.0) -> None:
        done = rate * per_photo * passes
        rows.append(
            Row(base.name, size, precision, work, batch_size, rate, done / 1e12, done / peak)
        )
        say(told(rows[-1]))

    resident = keras.ops.convert_to_tensor(pixels)
    step = _inference(extractor)
    row("features, on the device", batch_size / seconds(lambda: step(resident)))
    jit = machine.jit_compile(small=False)
    extractor.compile(jit_compile=jit)
    row("features, from memory", batch_size / seconds(lambda: extractor.predict_on_batch(pixels)))
    if photos is not None:

        def whole_pass() -> Any:
            batches = data.decoded(photos, data.Reader(size), batch_size)
            return [extractor.predict_on_batch(b) for b in batches if len(b) == batch_size]

        row("features, from files", len(photos) // batch_size * batch_size / seconds(whole_pass, 1))
    base.network.trainable = True
    models.compile_for(classifier, 1e-4, jit)
    # Backward is about twice the work of forward: one product for dx, one for dw.
    train = classifier.train_on_batch
    row("training, all layers", batch_size / seconds(lambda: train(pixels, targets)), 3)
    return rows


def told(row: Row) -> str:
    return (
        f"{row.base:12} {row.image_size:4} px  {row.precision:14}  {row.work:24} "
        f"{row.photos_per_second:10.0f} photos/s {row.teraflops:8.2f} TFLOP/s "
        f"{row.share:6.1%} of peak"
    )


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser("accelerator", __doc__ or "")
    made.prog = "python -m benchmarks.accelerator"
    add = made.add_argument
    add("--base", default="xception", metavar="NAME", help="as for reference.train")
    add("--weights", default="none", metavar="W", help="default: none (random), which are as fast")
    add("--image-size", type=listed(positive), default=[150, 299], metavar="PX,…",
        help="default: 150,299")  # fmt: skip
    add("--batch-size", type=positive, default=128, metavar="N", help="default: 128")
    add("--data", metavar="DIR", help="photos for the rows that read files")
    add("--json", type=path_to_write, metavar="FILE", help="also write the rows to this file")
    add_backend_options(made)
    return made


def command(options: argparse.Namespace) -> None:
    if options.json:
        check_output("--json", check_place(options.json).parent)
    machine = backend.start(options)
    say(machine.describe())
    photos = None if options.data is None else data.find(data.locate(options.data)).train
    peaks = {precision: peak_flops(precision) for precision in PRECISIONS}
    for precision, peak in peaks.items():
        say(f"peak of matrix products, {precision}: {peak / 1e12:.2f} TFLOP/s")
    rows: list[Row] = []
    for size in options.image_size:
        for precision in PRECISIONS:
            rows += measure(
                options.base, options.weights, size, precision, options.batch_size, machine,
                photos, peaks[precision],
            )  # fmt: skip
    if options.json:
        told_all = {
            "machine": machine.describe(), "peaks": peaks, "rows": [asdict(row) for row in rows],
        }  # fmt: skip
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(told_all, indent=2) + "\n", "utf-8")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
