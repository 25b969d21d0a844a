"""The side of minicnn, with each operation called as `predict` and `fit` call it.

Large arrays are in the memory of `minicnn.functional.buffers`, like the input of a layer, which is
another layer's output; this memory begins at a cache line. (TensorFlow's tensors do, too.) Large
results come from there, and a result that is no longer in use gives its memory to the next one of
its size. The harness drops each result before the next call, as a network drops an activation that
no later layer needs. What `fit` does through a layer (with its cache), a loss or an optimizer is
measured through that.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import OURS, Side, Unavailable, Way
from benchmarks.operations import Case
from minicnn import functional, layers, losses, optimizers
from minicnn._support.variable import Variable
from minicnn.functional import buffers

Array = np.ndarray
Data = dict[str, Array]


def sides(case: Case, work: str, data: Data) -> list[Side]:
    """Return minicnn with its own choice of algorithm, and with each one if it has several."""
    data = {name: _as_in_a_network(array) for name, array in data.items()}
    if case.kind in ("conv", "depthwise"):
        return [
            _side(
                OURS if algorithm == "auto" else algorithm,
                _convolution(case, work, data, algorithm),
            )
            for algorithm in algorithms(case)
        ]
    return [_side(OURS, _WORK[case.kind](case, work, data))]


def _as_in_a_network(array: Array) -> Array:
    copied = buffers.empty(array.shape, array.dtype)
    copied[...] = array
    return copied


def algorithms(case: Case) -> list[str]:
    """Return all algorithms; the plain loops only if they take less than about a second."""
    if case.kind == "depthwise":
        return ["auto"] + ["naive"] * (case.flops / 2 < _LOOPS)
    return [name for name in functional.ALGORITHMS if name != "naive" or case.flops / 2 < _LOOPS]


_LOOPS = 1e6  # multiplications that the plain loops do in about a second


def _side(name: str, run: Callable[[], list[Any]]) -> Side:
    return Side(name, [Way("", run)])


def _convolution(case: Case, work: str, data: Data, algorithm: str) -> Callable[[], list[Any]]:
    x, w, b, dy = (data[name] for name in ("x", "w", "b", "dy"))
    settings: dict[str, Any] = {
        "strides": case.strides, "padding": case.padding, "algorithm": algorithm,
    }  # fmt: skip
    deep = case.kind == "depthwise"
    forward = functional.depthwise_conv2d if deep else functional.conv2d
    backward = functional.depthwise_conv2d_backward if deep else functional.conv2d_backward

    def run() -> list[Any]:
        if work == "forward":
            return [forward(x, w, b, **settings)]
        found = backward(dy, x, w, need_dx=work == "dx", need_dw=work == "dw", **settings)
        return [part for part in found if part is not None]

    if algorithm == "auto":
        return run

    def run_if_it_can() -> list[Any]:
        try:
            return run()
        except ValueError as error:  # this algorithm is not made for this case
            raise Unavailable(str(error)) from None

    return run_if_it_can


def _dense(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    x, w, b, dy = (data[name] for name in ("x", "w", "b", "dy"))
    if work == "forward":
        return lambda: [functional.dense(x, w, b)]
    need_dx = work == "dx"

    def run() -> list[Any]:
        found = functional.dense_backward(dy, x, w, need_dx=need_dx, need_dw=not need_dx)
        return [part for part in found if part is not None]

    return run


def _layer(layer: layers.Layer, work: str, data: Data) -> Callable[[], list[Any]]:
    """Return a layer's forward pass, or its backward pass with the cache of an earlier forward."""
    x, training = data["x"], work != "inference"
    if work != "backward":
        return lambda: [layer.forward(x, training)[0]]
    cache = layer.forward(x, training=True)[1]

    def run() -> list[Any]:
        dx, grads = layer.backward(data["dy"], cache)
        return [dx, *grads.values()]

    return run


def _relu(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    return _layer(layers.ReLU(), work, data)


def _max_pool(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    pool = layers.MaxPooling2D(case.kernel, case.strides, padding=case.padding)
    return _layer(pool, work, data)


def _batch_normalization(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    layer = layers.BatchNormalization()
    layer.build(data["x"].shape)
    layer.set_weights([data[name].copy() for name in ("gamma", "beta", "mean", "variance")])
    return _layer(layer, work, data)


def _cross_entropy(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    loss = losses.CategoricalCrossentropy(from_logits=True)

    def run() -> list[Any]:
        value, cache = loss.forward(data["targets"], data["x"])
        return [value, loss.backward(cache)]

    return run


def _adam(case: Case, work: str, data: Data) -> Callable[[], list[Any]]:
    names = [name for name in data if name.startswith("w")]
    variables = {name: Variable(data[name].copy(), name, "layer") for name in names}
    grads = {name: data["d" + name] for name in names}
    optimizer = optimizers.Adam()

    def run() -> list[Any]:
        optimizer.apply(grads, variables)
        return [variable.value for variable in variables.values()]

    return run


_WORK: dict[str, Callable[[Case, str, Data], Callable[[], list[Any]]]] = {
    "dense": _dense,
    "relu": _relu,
    "max pool": _max_pool,
    "batch norm": _batch_normalization,
    "cross-entropy": _cross_entropy,
    "adam": _adam,
}
