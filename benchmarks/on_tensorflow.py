"""The side of TensorFlow, at its best.

oneDNN is on. Inputs are tensors before the clock starts, and results stay tensors: `.numpy()` would
copy them and flatter minicnn by a factor of three or four where memory decides. Each operation is a
`tf.function` of a fixed signature that returns exactly the gradient in question, through the
operation that TensorFlow's own automatic differentiation calls. It may also be compiled by XLA, or
run without a graph, which saves the start of the graph on small arrays: the fastest way counts, and
the row names it. A call on the CPU returns when its result is there: reading a value from it takes
no longer.
"""

import importlib.util
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.harness import THEIRS, Side, Unavailable, Way
from benchmarks.operations import Case

Array = np.ndarray
Data = dict[str, Array]

EPSILON = 1e-3  # BatchNormalization's default


def installed() -> bool:
    return importlib.util.find_spec("tensorflow") is not None


def start(threads: int) -> None:
    """Set the threads of an operation; one operation runs at a time, since each uses all."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns about every graph traced
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # it has already computed something; then the count must be right
        if tf.config.threading.get_intra_op_parallelism_threads() not in (0, threads):
            raise ValueError(
                f"TensorFlow was started with another number of threads than {threads}."
            ) from None


def arrays(result: Iterable[Any]) -> list[Array]:
    """Copy the arrays for the comparison, since the value of a variable changes."""
    return [np.array(part.numpy()) for part in result]


def compiled_ways(function: Callable[..., Any], tensors: list[Any]) -> list[Way]:
    """Return `function(*tensors)` as a graph, as a graph compiled by XLA, and eagerly."""
    import tensorflow as tf

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]

    def way(name: str, jit_compile: bool) -> Way:
        graph = tf.function(function, input_signature=signature, jit_compile=jit_compile)
        return Way(name, lambda: graph(*tensors), arrays)

    xla = way("XLA", True)
    run = xla.run

    def run_if_it_can() -> Any:
        try:
            return run()
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise Unavailable(str(error)) from None

    xla.run = run_if_it_can
    return [way("graph", False), xla, Way("eager", lambda: function(*tensors), arrays)]


def side(case: Case, work: str, data: Data) -> Side:
    return Side(THEIRS, _WORK[case.kind](case, work, data))


def _tensors(data: Data, *names: str) -> list[Any]:
    import tensorflow as tf

    return [tf.constant(data[name]) for name in names]


def _convolution(case: Case, work: str, data: Data) -> list[Way]:
    import tensorflow as tf

    deep = case.kind == "depthwise"
    forward = tf.nn.depthwise_conv2d if deep else tf.nn.conv2d
    kind = "DepthwiseConv2dNative" if deep else "Conv2D"
    back_input = getattr(tf.raw_ops, f"{kind}BackpropInput")
    back_filter = getattr(tf.raw_ops, f"{kind}BackpropFilter")
    strides, padding = [1, *case.strides, 1], case.padding.upper()
    size, kernel = data["x"].shape, data["w"].shape
    if work == "forward":
        return compiled_ways(
            lambda x, w, b: [tf.nn.bias_add(forward(x, w, strides, padding), b)],
            _tensors(data, "x", "w", "b"),
        )
    if work == "dx":
        return compiled_ways(
            lambda dy, w: [
                back_input(
                    input_sizes=size, filter=w, out_backprop=dy, strides=strides, padding=padding
                )
            ],
            _tensors(data, "dy", "w"),
        )
    return compiled_ways(
        lambda dy, x: [
            back_filter(
                input=x, filter_sizes=kernel, out_backprop=dy, strides=strides, padding=padding
            ),
            tf.raw_ops.BiasAddGrad(out_backprop=dy),
        ],
        _tensors(data, "dy", "x"),
    )


def _dense(case: Case, work: str, data: Data) -> list[Way]:
    import tensorflow as tf

    if work == "forward":
        return compiled_ways(
            lambda x, w, b: [tf.nn.bias_add(tf.matmul(x, w), b)], _tensors(data, "x", "w", "b")
        )
    if work == "dx":
        return compiled_ways(
            lambda dy, w: [tf.matmul(dy, w, transpose_b=True)], _tensors(data, "dy", "w")
        )
    return compiled_ways(
        lambda dy, x: [
            tf.matmul(x, dy, transpose_a=True), tf.raw_ops.BiasAddGrad(out_backprop=dy),
        ],
        _tensors(data, "dy", "x"),
    )  # fmt: skip


def _relu(case: Case, work: str, data: Data) -> list[Way]:
    import tensorflow as tf

    if work == "forward":
        return compiled_ways(lambda x: [tf.nn.relu(x)], _tensors(data, "x"))
    return compiled_ways(
        lambda dy, x: [tf.raw_ops.ReluGrad(gradients=dy, features=x)], _tensors(data, "dy", "x")
    )


def _max_pool(case: Case, work: str, data: Data) -> list[Way]:
    import tensorflow as tf

    padding = case.padding.upper()

    def forward(x: Any) -> Any:
        return tf.nn.max_pool2d(x, case.kernel, case.strides, padding)

    if work == "forward":
        return compiled_ways(lambda x: [forward(x)], _tensors(data, "x"))
    dy, x = _tensors(data, "dy", "x")
    return compiled_ways(
        lambda dy, x, y: [
            tf.raw_ops.MaxPoolGrad(
                orig_input=x,
                orig_output=y,
                grad=dy,
                ksize=[1, *case.kernel, 1],
                strides=[1, *case.strides, 1],
                padding=padding,
            )
        ],
        [dy, x, forward(x)],
    )


def _batch_normalization(case: Case, work: str, data: Data) -> list[Way]:
    import tensorflow as tf

    training = work != "inference"

    def forward(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Any:
        # In training mean and variance are the batch's; the moving ones follow at the layer's
        # momentum of 0.99.
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=EPSILON,
            exponential_avg_factor=0.01 if training else 1.0,
            is_training=training,
        )

    given = _tensors(data, "x", "gamma", "beta", "mean", "variance")
    if work != "backward":
        return compiled_ways(lambda *tensors: [forward(*tensors).y], given)
    pass_before = forward(*given)
    kept = [getattr(pass_before, f"reserve_space_{number}") for number in (1, 2, 3)]

    def backward(dy: Any, x: Any, gamma: Any, *kept: Any) -> list[Any]:
        found = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=dy,
            x=x,
            scale=gamma,
            reserve_space_1=kept[0],
            reserve_space_2=kept[1],
            reserve_space_3=kept[2],
            epsilon=EPSILON,
            is_training=True,
        )
        return [found.x_backprop, found.scale_backprop, found.offset_backprop]

    return compiled_ways(backward, [*_tensors(data, "dy", "x", "gamma"), *kept])


def _cross_entropy(case: Case, work: str, data: Data) -> list[Way]:
    import tensorflow as tf

    def both(targets: Any, z: Any) -> list[Any]:
        found = tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=z, labels=targets)
        return [tf.reduce_mean(found.loss), found.backprop / case.batch]

    return compiled_ways(both, _tensors(data, "targets", "x"))


def _adam(case: Case, work: str, data: Data) -> list[Way]:
    """Return Keras's optimizer in a graph, the same by XLA, and TensorFlow's fused operation."""
    import keras
    import tensorflow as tf

    names = [name for name in data if name.startswith("w")]
    grads = _tensors(data, *("d" + name for name in names))

    def with_keras(jit_compile: bool) -> Callable[[], Any]:
        variables = [keras.Variable(data[name]) for name in names]
        optimizer = keras.optimizers.Adam()
        optimizer.build(variables)

        @tf.function(jit_compile=jit_compile)
        def step(*grads: Any) -> None:
            optimizer.apply(list(grads), variables)

        def run() -> list[Any]:
            step(*grads)
            return variables

        return run

    weights = [tf.Variable(data[name]) for name in names]
    moments = [[tf.Variable(tf.zeros_like(w)) for w in weights] for _ in range(2)]
    iterations = tf.Variable(0.0)

    @tf.function
    def fused(*grads: Any) -> None:
        t = iterations.assign_add(1.0)
        for w, m, v, grad in zip(weights, *moments, grads, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=0.9**t,
                beta2_power=0.999**t,
                lr=0.001,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=grad,
            )

    def run_fused() -> list[Any]:
        fused(*grads)
        return weights

    return [
        Way("graph", with_keras(False), arrays),
        Way("XLA", with_keras(True), arrays),
        Way("fused", run_fused, arrays),
    ]


_WORK: dict[str, Callable[[Case, str, Data], list[Way]]] = {
    "conv": _convolution,
    "depthwise": _convolution,
    "dense": _dense,
    "relu": _relu,
    "max pool": _max_pool,
    "batch norm": _batch_normalization,
    "cross-entropy": _cross_entropy,
    "adam": _adam,
}
