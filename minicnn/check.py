"""Compares each layer with the Keras layer of the same name, for the command and for the tests.

In every case both layers get the same weights, x and dy; y, dx and the gradient of each parameter
are compared. A difference is the largest absolute difference divided by the largest absolute value
of Keras's array; float32 rounding alone gives about 1e-6.

Keras is imported only when a check runs.
"""

import inspect
import operator
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minicnn._support.settings import parameters_of
from minicnn._support.terminal import install_extra
from minicnn.functional import ACTIVATIONS
from minicnn.layers import LAYERS
from minicnn.layers.base import Layer

Array = np.ndarray

TOLERANCE = 1e-4

_NO_THINGS = ("deserialize", "get", "serialize")  # functions that look up the others


class Case(NamedTuple):
    """One layer with its options and an input to try it on.

    `values`: "normal" draws from a normal distribution; "ties" draws whole numbers from -2 to 2, so
    that many pixels are equal; "negative" has no pixel above -1.
    """

    layer: str
    options: dict[str, Any]
    shape: tuple[int, ...] = (2, 9, 8, 4)
    values: str = "normal"
    training: bool = False
    inputs: int = 1
    second: tuple[int, ...] | None = None  # the shape of the second input, if it is another one

    @property
    def title(self) -> str:
        parts = [f"{key}={value}" for key, value in self.options.items()]
        parts += [f"x={'x'.join(map(str, self.shape))}"]
        parts += [f"and {'x'.join(map(str, self.second))}"] if self.second else []
        parts += [self.values] if self.values != "normal" else []
        parts += ["training"] if self.training else []
        return f"{self.layer}({', '.join(parts)})"


class Difference(NamedTuple):
    """The relative difference between one array (`y`, `dx`, `d kernel`, …) and Keras's."""

    array: str
    largest: float

    @property
    def passed(self) -> bool:
        return self.largest <= TOLERANCE


def cases() -> Iterator[Case]:
    """Yield every layer with every option, and the edge cases in which implementations differ."""
    yield from _convolution_cases()
    yield from _pooling_cases()
    yield from _line_cases()
    yield from _element_cases()
    yield from _normalization_cases()
    yield from _moving_cases()


# Even and odd sizes, H != W, a batch of one, a single pixel.
_SHAPES = ((2, 9, 8, 4), (1, 8, 7, 4), (3, 6, 6, 4), (1, 5, 10, 4))


def _convolution_cases() -> Iterator[Case]:
    both = ("valid", "same")
    for shape in _SHAPES:
        for padding in both:
            yield Case("Conv2D", {"filters": 6, "kernel_size": 3, "padding": padding}, shape)
            for strides in (2, 3, (1, 2)):
                options = {"filters": 3, "kernel_size": 3, "padding": padding, "strides": strides}
                yield Case("Conv2D", options, shape)
    for padding in both:
        for more in (
            {"kernel_size": (2, 5)},
            {"kernel_size": 4, "strides": 2},
            {"kernel_size": 3, "dilation_rate": 2},
            {"kernel_size": 3, "dilation_rate": (1, 3)},
            {"kernel_size": 3, "groups": 2},
            {"kernel_size": 3, "groups": 4, "strides": 2},
            {"kernel_size": 1},
            {"kernel_size": 1, "strides": 2},
            {"kernel_size": 3, "use_bias": False},
        ):
            yield Case("Conv2D", {"filters": 8, "padding": padding, **more}, (2, 9, 8, 4))
    yield Case("Conv2D", {"filters": 5, "kernel_size": 3, "padding": "same"}, (1, 1, 1, 3))
    yield Case("Conv2D", {"filters": 32, "kernel_size": 3}, (2, 20, 21, 17))
    for activation in ("relu", "relu6", "sigmoid", "tanh", "softmax", "linear", "silu"):
        yield Case("Conv2D", {"filters": 4, "kernel_size": 3, "activation": activation})

    for shape in _SHAPES:
        for padding in both:
            for more in (
                {"kernel_size": 3},
                {"kernel_size": 3, "strides": 2},
                {"kernel_size": 4, "strides": 2},
                {"kernel_size": (2, 3), "strides": (1, 3)},
                {"kernel_size": 2, "strides": 3, "activation": "relu"},
                {"kernel_size": 3, "strides": 2, "output_padding": 0, "use_bias": False},
                {"kernel_size": (3, 5), "strides": (2, 3), "output_padding": (1, 2)},
            ):
                yield Case("Conv2DTranspose", {"filters": 5, "padding": padding, **more}, shape)
    for padding in both:
        yield Case("Conv2DTranspose", {"filters": 3, "kernel_size": 1, "padding": padding})
        dilated = {"filters": 3, "kernel_size": 3, "dilation_rate": (1, 2), "padding": padding}
        yield Case("Conv2DTranspose", dilated)
        wide = {"filters": 12, "kernel_size": 3, "padding": padding}
        yield Case("Conv2DTranspose", wide, (2, 9, 8, 9))

    for shape in _SHAPES:
        for padding in both:
            for strides in (1, 2):
                options = {"kernel_size": 3, "padding": padding, "strides": strides}
                yield Case("DepthwiseConv2D", options, shape)
                options = {"filters": 5, **options}
                yield Case("SeparableConv2D", options, shape)
    for padding in both:
        for more in (
            {"kernel_size": 3, "depth_multiplier": 2},
            {"kernel_size": (2, 4), "depth_multiplier": 3},
            {"kernel_size": 3, "dilation_rate": 2},
            {"kernel_size": 3, "use_bias": False, "activation": "relu"},
            {"kernel_size": 5, "strides": 3, "depth_multiplier": 2},
        ):
            yield Case("DepthwiseConv2D", {"padding": padding, **more})
            yield Case("SeparableConv2D", {"filters": 7, "padding": padding, **more})
    sides: tuple[Any, ...] = (1, (2, 0), ((1, 2), (0, 3)))
    for side in sides:
        yield Case("ZeroPadding2D", {"padding": side})
    for size in (2, (1, 3), (3, 2)):
        yield Case("UpSampling2D", {"size": size})
    yield Case("UpSampling2D", {}, (1, 1, 1, 3))
    for interpolation in ("bilinear", "bicubic", "lanczos3", "lanczos5"):
        for size in (2, (1, 3)):
            options = {"size": size, "interpolation": interpolation}
            yield Case("UpSampling2D", options, (2, 4, 5, 3))
    yield from _sampling_cases()


def _sampling_cases() -> Iterator[Case]:
    crops: tuple[Any, ...] = (1, (2, 0), ((1, 2), (0, 3)))
    for cropping in crops:
        yield Case("Cropping2D", {"cropping": cropping})
    yield Case("Cropping2D", {})
    # Smaller, larger, both, the same size; integers where floats decide which pixel is nearest.
    for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
        for height, width in ((4, 3), (17, 13), (3, 14), (9, 8)):
            options = {"height": height, "width": width, "interpolation": interpolation}
            yield Case("Resizing", options)
            yield Case("Resizing", {**options, "antialias": True})
    for height, width in ((4, 9), (9, 4), (12, 20)):
        for more in (
            {"crop_to_aspect_ratio": True},
            {"pad_to_aspect_ratio": True},
            {"pad_to_aspect_ratio": True, "fill_value": 2.5, "interpolation": "nearest"},
        ):
            yield Case("Resizing", {"height": height, "width": width, **more})
    for height, width in ((4, 4), (5, 3), (9, 8), (12, 4), (20, 30)):
        yield Case("CenterCrop", {"height": height, "width": width})


def _pooling_cases() -> Iterator[Case]:
    for layer in ("MaxPooling2D", "AveragePooling2D"):
        if layer == "MaxPooling2D":
            yield Case(layer, {})
        for shape in _SHAPES:
            for padding in ("valid", "same"):
                yield Case(layer, {"pool_size": 2, "padding": padding}, shape)
                for pool_size, strides in ((3, 2), (3, 1), ((2, 3), (3, 2)), (2, 3), (5, 2)):
                    options = {"pool_size": pool_size, "strides": strides, "padding": padding}
                    yield Case(layer, options, shape)
        for values in ("ties", "negative"):
            for padding in ("valid", "same"):
                options = {"pool_size": 3, "strides": 2, "padding": padding}
                yield Case(layer, options, (2, 9, 8, 4), values)
                yield Case(layer, {"pool_size": 2, "padding": padding}, (2, 9, 8, 4), values)
    for output_size in (1, (2, 5), (13, 3)):  # both smaller; one larger
        options = {"output_size": output_size}
        yield Case("AdaptiveAveragePooling2D", options, (2, 9, 8, 4))
        if output_size != 1:  # there TensorFlow ends the process
            yield Case("AdaptiveMaxPooling2D", options, (2, 9, 8, 4), "ties")
    for layer in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
        for keepdims in (False, True):
            for values in ("normal", "ties", "negative"):
                yield Case(layer, {"keepdims": keepdims}, (2, 9, 8, 4), values)
                yield Case(layer, {"keepdims": keepdims}, (1, 1, 1, 3), values)


def _line_cases() -> Iterator[Case]:
    for shape in ((2, 9, 4), (1, 8, 4), (3, 5, 4)):
        for padding in ("valid", "same", "causal"):
            for more in (
                {},
                {"strides": 2},
                {"dilation_rate": 2},
                {"groups": 2, "activation": "relu"},
                {"use_bias": False, "strides": 3},
            ):
                options = {"filters": 6, "kernel_size": 3, "padding": padding, **more}
                yield Case("Conv1D", options, shape)
        for padding in ("valid", "same"):
            for strides in (1, 2):
                window = {"kernel_size": 3, "padding": padding, "strides": strides}
                yield Case("DepthwiseConv1D", {**window, "depth_multiplier": 2}, shape)
                yield Case("SeparableConv1D", {**window, "filters": 5}, shape)
                yield Case("Conv1DTranspose", {**window, "filters": 5}, shape)
                for layer in ("MaxPooling1D", "AveragePooling1D"):
                    options = {"pool_size": 2, "padding": padding, "strides": strides}
                    yield Case(layer, options, shape)
                    yield Case(layer, {"pool_size": 3, "padding": padding}, shape, "ties")
            options = {"filters": 3, "kernel_size": 4, "strides": 3, "output_padding": 1}
            yield Case("Conv1DTranspose", {**options, "padding": padding}, shape)
    wide = {"filters": 12, "kernel_size": 5, "padding": "same"}
    yield Case("Conv1D", wide, (2, 70, 9))
    yield Case("SeparableConv1D", {**wide, "depth_multiplier": 2, "activation": "tanh"}, (2, 20, 9))
    for keepdims in (False, True):
        for layer in ("GlobalAveragePooling1D", "GlobalMaxPooling1D"):
            yield Case(layer, {"keepdims": keepdims}, (2, 9, 4), "ties")
    for output_size in (4, 11):
        yield Case("AdaptiveAveragePooling1D", {"output_size": output_size}, (2, 9, 4))
        yield Case("AdaptiveMaxPooling1D", {"output_size": output_size}, (2, 9, 4), "ties")
    for size in (1, 3):
        yield Case("UpSampling1D", {"size": size}, (2, 5, 4))
    for side in (1, (2, 0)):
        yield Case("ZeroPadding1D", {"padding": side}, (2, 5, 4))
        yield Case("Cropping1D", {"cropping": side}, (2, 5, 4))


def _element_cases() -> Iterator[Case]:
    features: tuple[tuple[int, ...], ...] = ((5, 12), (1, 3), (2, 4, 6))
    for shape in features:
        yield Case("Dense", {"units": 7}, shape)
        yield Case("Dense", {"units": 1, "activation": "sigmoid"}, shape)
        yield Case("Dense", {"units": 10, "activation": "softmax", "use_bias": False}, shape)
    for activation in ACTIVATIONS:
        yield Case("Activation", {"activation": activation})
        if activation != "celu":  # at 0, the slope is 1; TensorFlow adds both sides' slopes
            yield Case("Activation", {"activation": activation}, (4, 10), "ties")
    for layer in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"):
        for values in ("normal", "ties"):
            yield Case(layer, {}, (2, 3, 5, 4), values, inputs=2)
            yield Case(layer, {}, (2, 3, 5, 4), values, inputs=2, second=(2, 1, 1, 4))
        if layer != "Subtract":
            yield Case(layer, {}, (2, 6), "ties", inputs=3)
    yield Case("Softmax", {}, (4, 10))
    for axis in (-1, 1, -2, 3):
        yield Case("Softmax", {"axis": axis}, (2, 3, 5, 4))
    for layer, argument in (("LeakyReLU", "negative_slope"), ("ELU", "alpha")):
        for one in ({}, {argument: 0.1}):
            yield Case(layer, one)
            yield Case(layer, one, (4, 10), "ties")
    for axes in (None, [1, 2], [3]):
        yield Case("PReLU", {"shared_axes": axes}, (2, 3, 4, 5))
        yield Case("PReLU", {"shared_axes": axes}, (2, 3, 4, 5), "ties")
    for options in (
        {},
        {"max_value": 6},
        {"max_value": 1.5},
        {"negative_slope": 0.2},
        {"threshold": 0.5},
        {"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.25},
    ):
        yield Case("ReLU", options)
    yield Case("ReLU", {}, (2, 9, 8, 4), "ties")


def _normalization_cases() -> Iterator[Case]:
    for training in (False, True):
        shapes: tuple[tuple[int, ...], ...] = ((4, 9, 8, 4), (1, 5, 6, 3), (8, 10))
        for shape in shapes:
            yield Case("BatchNormalization", {}, shape, training=training)
        for options in (
            {"center": False},
            {"scale": False},
            {"center": False, "scale": False},
            {"momentum": 0.8, "epsilon": 1e-5},
        ):
            yield Case("BatchNormalization", options, (4, 9, 8, 4), training=training)
    frozen = {"trainable": False}
    yield Case("BatchNormalization", frozen, (4, 9, 8, 4), training=True)
    given: tuple[dict[str, Any], ...] = (
        {},
        {"axis": None},
        {"axis": [1, -1]},
        {"invert": True},
        {"mean": [1.0, 2.0, 3.0, 4.0], "variance": [4.0, 1.0, 0.25, 0.0625]},
        {"mean": 2.0, "variance": 0.0},
        {"axis": (2, 3), "mean": [[1.0, 2.0, 3.0, 4.0]], "variance": [[4.0, 1.0, 2.0, 3.0]]},
    )
    for options in given:
        yield Case("Normalization", options)
    yield from _example_normalization_cases()


def _example_normalization_cases() -> Iterator[Case]:
    for options in (
        {},
        {"axis": [1, 2, 3], "epsilon": 1e-6},
        {"axis": 1},
        {"axis": (2, 3)},
        {"center": False},
        {"scale": False},
        {"rms_scaling": True},
        {"rms_scaling": True, "scale": False, "epsilon": 0.5},
    ):
        yield Case("LayerNormalization", options)
    yield Case("LayerNormalization", {"center": False, "scale": False}, (3, 7))
    for options in (
        {"groups": 1},
        {"groups": 2, "epsilon": 1e-5},
        {"groups": -1, "center": False},
        {"groups": 4, "scale": False},
    ):
        yield Case("GroupNormalization", options)
    yield Case("GroupNormalization", {"groups": 2, "center": False, "scale": False}, (3, 6))
    for axis in (-1, 1, [1, 2]):
        yield Case("UnitNormalization", {"axis": axis})
    yield Case("UnitNormalization", {}, (4, 9))


def _moving_cases() -> Iterator[Case]:
    yield Case("ActivityRegularization", {"l1": 0.1, "l2": 0.2})
    yield Case("Dropout", {"rate": 0.5})
    yield Case("Dropout", {"rate": 0.0}, training=True)
    for layer in ("RandomRotation", "RandomZoom", "RandomContrast", "RandomBrightness"):
        yield Case(layer, {("height_factor" if layer == "RandomZoom" else "factor"): 0.5})
    yield Case("RandomTranslation", {"height_factor": 0.5, "width_factor": 0.5})
    for layer in ("RandomSharpness", "RandomShear", "RandomErasing", "RandomGaussianBlur"):
        yield Case(layer, {"x_factor" if layer == "RandomShear" else "factor": 0.5})
    for layer in ("RandomHue", "RandomSaturation", "RandomColorDegeneration", "RandomGrayscale"):
        yield Case(layer, {"factor": 0.5}, (2, 7, 6, 3))
    yield Case("RandomInvert", {"factor": 0.5})
    yield Case("RandomPosterization", {"factor": 4})
    yield Case("Solarization", {"threshold_factor": 0.5})
    yield Case("AutoContrast", {"value_range": (-2, 2)})
    yield Case("AutoContrast", {"value_range": (0, 1)}, training=True)
    yield Case("Equalization", {"value_range": (-3, 3)})
    yield Case("RandomColorJitter", {"hue_factor": 0.5, "contrast_factor": 0.5}, (2, 7, 6, 3))
    yield Case("RandAugment", {}, (2, 7, 6, 3))
    yield Case("RandomFlip", {})
    yield Case("MixUp", {})
    yield Case("CutMix", {"factor": (0.2, 0.8)})
    yield Case("RandomCrop", {"height": 9, "width": 8})
    for layer in ("GaussianDropout", "AlphaDropout", "SpatialDropout2D"):
        yield Case(layer, {"rate": 0.5})
        yield Case(layer, {"rate": 0.0}, training=True)
    yield Case("SpatialDropout1D", {"rate": 0.5}, (2, 5, 4))
    yield Case("SpatialDropout1D", {"rate": 0.0}, (2, 5, 4), training=True)
    yield Case("GaussianNoise", {"stddev": 0.5})
    yield Case("GaussianNoise", {"stddev": 0.0}, training=True)
    yield Case("Flatten", {})
    yield Case("Flatten", {}, (3, 5))
    yield Case("Identity", {}, (3, 5))
    yield Case("Permute", {"dims": (3, 1, 2)})
    yield Case("Permute", {"dims": (2, 1)}, (2, 5, 3))
    yield Case("RepeatVector", {"n": 3}, (4, 5))
    yield Case("Reshape", {"target_shape": (8, 9, 4)})
    yield Case("Reshape", {"target_shape": (-1, 12)})
    yield Case("Rescaling", {"scale": 1 / 127.5, "offset": -1.0})
    yield Case("Rescaling", {"scale": [1.0, 0.5, 0.25, 2.0], "offset": [0.0, 1.0, 2.0, 3.0]})
    yield Case("Add", {}, inputs=2)
    yield Case("Add", {}, inputs=3)
    yield Case("Concatenate", {}, inputs=2)
    for normalize in (False, True):
        more = {"normalize": normalize}
        yield Case("Dot", {"axes": 1, **more}, (4, 6), inputs=2)
        yield Case("Dot", {"axes": -1, **more}, (2, 3, 4), inputs=2, second=(2, 4))
        yield Case("Dot", {"axes": (1, 2), **more}, (2, 3, 5), inputs=2, second=(2, 4, 3))
        yield Case("Dot", {"axes": [2, 1], **more}, (2, 3, 5, 2), inputs=2, second=(2, 5))
        yield Case("Dot", {"axes": (3, 1), **more}, (2, 3, 2, 4), inputs=2, second=(2, 4, 2, 3))
    yield Case("Concatenate", {"axis": -1}, inputs=3)


def values(case: Case, rng: np.random.Generator) -> Array:
    """Return an input for the case, in its first input's shape."""
    x = rng.standard_normal(case.shape)
    if case.values == "ties":
        x = rng.integers(-2, 3, case.shape).astype(np.float64)
    elif case.values == "negative":
        x = -1 - np.abs(x)
    return x.astype(np.float32)


def compare(case: Case, seed: int = 0) -> list[Difference]:
    """Return the differences of one case: y, dx (one per input), each gradient, each statistic.

    Raises `ImportError`, which says what to install, if Keras is missing.
    """
    keras = import_keras()
    rng = np.random.default_rng(seed)
    xs = [values(case, rng) for _ in range(case.inputs)]
    if case.second is not None:
        xs[1] = values(case._replace(shape=case.second), rng)
    theirs = getattr(keras.layers, case.layer)(**case.options)
    ours = LAYERS[case.layer](**case.options)
    theirs(xs if case.inputs > 1 else xs[0])  # builds the weights
    weights = [_weight(variable, rng) for variable in theirs.weights]
    theirs.set_weights(weights)
    getattr(theirs, "finalize_state", lambda: None)()  # Normalization computes with copies
    given: Any = xs if case.inputs > 1 else xs[0]
    ours.forward(given)
    ours.set_weights(weights)
    shape = theirs(given).shape
    dy = rng.standard_normal(tuple(shape)).astype(np.float32)
    expected = _run_keras(theirs, xs, dy, case)
    found = _run_ours(ours, given, dy, case)
    if expected.keys() != found.keys():
        raise AssertionError(f"{case.title}: Keras has {list(expected)}, minicnn {list(found)}.")
    return [
        Difference(name, relative_difference(found[name], array))
        for name, array in expected.items()
    ]


def relative_difference(found: Any, expected: Any) -> float:
    """Return max |found - expected| / max |expected|; infinity where the shapes differ."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    largest = float(np.abs(expected).max())
    return float(np.abs(found - expected).max()) / (largest or 1.0)


def _weight(variable: Any, rng: np.random.Generator) -> Array:
    """Return values unlike the initial zeros and ones; a variance must be positive."""
    value = 0.5 * rng.standard_normal(tuple(variable.shape))
    if variable.name == "count":
        return np.zeros((), np.int64)
    if variable.name in ("gamma", "moving_variance", "variance"):
        value = 0.5 + np.abs(value)
    return value.astype(np.float32)


def _run_keras(layer: Any, xs: list[Array], dy: Array, case: Case) -> dict[str, Array]:
    import tensorflow as tf

    tensors = [tf.constant(x) for x in xs]
    statistics = [v for v in layer.weights if "moving" in v.name]
    kwargs = {}
    if "training" in parameters_of(type(layer).call):
        kwargs["training"] = case.training
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = layer(tensors if case.inputs > 1 else tensors[0], **kwargs)
        objective = tf.reduce_sum(y * dy)
    weights = layer.trainable_weights
    gradients = tape.gradient(objective, [*tensors, *(w.value for w in weights)])
    arrays = {"y": y.numpy()}
    arrays |= {_dx_name(i, case): g.numpy() for i, g in enumerate(gradients[: len(xs)])}
    arrays |= {f"d {w.name}": g.numpy() for w, g in zip(weights, gradients[len(xs) :], strict=True)}
    return arrays | {v.name: v.numpy() for v in statistics}


def _run_ours(layer: Layer, given: Any, dy: Array, case: Case) -> dict[str, Array]:
    y, cache = layer.forward(given, training=case.training)
    dx, grads = layer.backward(dy, cache)
    arrays = {"y": y}
    dxs = dx if isinstance(dx, list) else [dx]
    arrays |= {_dx_name(i, case): value for i, value in enumerate(dxs)}
    arrays |= {f"d {name}": grad for name, grad in grads.items()}
    return arrays | {v.name: v.numpy() for v in layer.weights if "moving" in v.name}


def _dx_name(index: int, case: Case) -> str:
    return "dx" if case.inputs == 1 else f"dx{index}"


def import_keras() -> Any:
    """Return Keras on TensorFlow, or raise an `ImportError` that says what to do."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras
        import tensorflow  # noqa: F401
    except ImportError:
        raise ImportError(
            "The check compares minicnn with Keras on TensorFlow, which is not installed here: "
            f"{install_extra('keras')}"
        ) from None
    if keras.config.backend() != "tensorflow":
        raise ImportError(
            "The check needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow. "
            f"The backend is {keras.config.backend()!r} now."
        )
    return keras


def keras_names(keras: Any, modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the public classes and functions of these modules of Keras, each thing once.

    A thing with several names is listed under its own: AveragePooling2D, not AvgPool2D.
    """
    found = {}
    for path in modules:
        module = operator.attrgetter(path)(keras)
        things: dict[int, str] = {}
        for name, thing in sorted(vars(module).items()):
            if name[0] == "_" or inspect.ismodule(thing) or name in _NO_THINGS:
                continue
            if id(thing) not in things or name == thing.__name__:
                things[id(thing)] = name
        found[path] = tuple(sorted(things.values()))
    return found


def run(layers: list[str] | None = None) -> bool:
    """Print a table with one line per case; return whether all cases agree.

    `layers` restricts the table to layers of these names. Raises `ImportError` without Keras and
    `ValueError` for the name of a layer that has no case.
    """
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    keras = import_keras()
    chosen = list(cases())
    known = sorted({case.layer for case in chosen})
    unknown = [name for name in layers or [] if name not in known]
    if unknown:
        raise ValueError(f"The check covers {', '.join(known)}. Received {unknown[0]!r}.")
    if layers:
        chosen = [case for case in chosen if case.layer in layers]
    console = Console()
    table = Table(title=f"minicnn and Keras {keras.__version__}: relative differences in float32")
    table.add_column("Case", overflow="fold")
    table.add_column("Largest difference", overflow="fold")
    table.add_column("Verdict")
    worst, failed = 0.0, 0
    quiet = not console.is_terminal
    for case in track(chosen, "Comparing", console=console, transient=True, disable=quiet):
        differences = compare(case)
        worst = max(worst, *(d.largest for d in differences))
        passed = all(d.passed for d in differences)
        failed += not passed
        table.add_row(
            case.title,
            "  ".join(f"{d.array} {d.largest:.0e}" for d in differences),
            "[green]agrees[/green]" if passed else "[red]DIFFERS[/red]",
        )
    console.print(table)
    console.print(
        f"{len(chosen) - failed} of {len(chosen)} cases agree within {TOLERANCE:g}; "
        f"the largest difference is {worst:.1e}."
    )
    return not failed
