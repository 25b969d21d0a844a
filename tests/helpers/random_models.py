"""Small random graphs of layers, the same for minicnn and for Keras."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Options = dict[str, Any]


def _convolution(o: Options, **others: Any) -> Options:
    return {
        "strides": o["strides"],
        "padding": "same",
        "use_bias": o["bias"],
        "activation": o["activation"],
        **others,
    }


def _pooling(o: Options) -> Options:
    return {"pool_size": o["kernel"], "strides": o["strides"], "padding": "same"}


def _nested(library: Any, x: Any, o: Options) -> Any:
    k, inside = library.layers, library.Input(tuple(x.shape[1:]))
    y = k.BatchNormalization()(k.Conv2D(o["filters"], 1, **_convolution(o, strides=1))(inside))
    base = library.Model(inside, y, name=f"base{o['number']}")
    base.trainable = o["trainable"]
    return base(x, training=False) if o["scale"] else base(x)


def _convolved(library: Any, x: Any, o: Options) -> Any:
    return library.layers.Conv2D(
        o["filters"], o["kernel"], **_convolution(o), trainable=o["trainable"]
    )(x)


def _joined(library: Any, x: Any, o: Options) -> Any:
    k = library.layers
    y = k.Conv2D(o["filters"], o["kernel"], **_convolution(o, strides=1))(x)
    return k.Concatenate()([x, y])


# Steps of a graph: functions of the library, the symbol so far, and the drawn options.
KINDS: dict[str, Callable[[Any, Any, Options], Any]] = {
    "conv": _convolved,
    "depthwise": lambda lib, x, o: lib.layers.DepthwiseConv2D(o["kernel"], **_convolution(o))(x),
    "separable": lambda lib, x, o: lib.layers.SeparableConv2D(
        o["filters"], o["kernel"], **_convolution(o)
    )(x),
    "norm": lambda lib, x, o: lib.layers.BatchNormalization(scale=o["scale"], center=o["bias"])(x),
    "pool": lambda lib, x, o: lib.layers.MaxPooling2D(**_pooling(o))(x),
    "average": lambda lib, x, o: lib.layers.AveragePooling2D(**_pooling(o))(x),
    "relu": lambda lib, x, o: lib.layers.ReLU(max_value=o["limit"])(x),
    "act": lambda lib, x, o: lib.layers.Activation(o["activation"] or "linear")(x),
    "pad": lambda lib, x, o: lib.layers.ZeroPadding2D(((o["kernel"], 0), (1, o["strides"])))(x),
    "add": lambda lib, x, o: lib.layers.Add()(
        [lib.layers.Conv2D(x.shape[-1], 1, use_bias=o["bias"])(x), x]
    ),
    "concat": _joined,
    "nested": _nested,
    "dropout": lambda lib, x, o: lib.layers.Dropout(0.3)(x),
    "rescale": lambda lib, x, o: lib.layers.Rescaling(0.5, offset=0.25)(x),
    "layer norm": lambda lib, x, o: lib.layers.LayerNormalization(scale=o["scale"])(x),
    "group norm": lambda lib, x, o: lib.layers.GroupNormalization(1, center=o["bias"])(x),
    "numbers": lambda lib, x, o: (x * 2.0 - 1.0) / (1.0 + x * x),
    "slice": lambda lib, x, o: x[..., ::-1],
}

# Ends of a graph: functions of the library's layers and the symbol so far.
TOPS: dict[str, Callable[[Any, Any], Any]] = {
    "average": lambda k, x: k.Dense(3)(k.GlobalAveragePooling2D()(x)),
    "max": lambda k, x: k.GlobalMaxPooling2D(keepdims=True)(x),
    "flatten": lambda k, x: k.Softmax()(k.Dense(3)(k.Flatten()(x))),
    "none": lambda k, x: x,
    "two": lambda k, x: [x, k.Reshape((-1,))(x)],
}

_OPTIONS = st.fixed_dictionaries(
    {
        "filters": st.integers(1, 4),
        "kernel": st.integers(1, 3),
        "strides": st.integers(1, 2),
        "bias": st.booleans(),
        "activation": st.sampled_from([None, "relu", "tanh", "sigmoid"]),
        "limit": st.sampled_from([None, 6.0]),
        "scale": st.booleans(),
        "trainable": st.booleans(),
    }
)


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """Draw a function that makes the same small random graph with either library."""
    steps = [
        (draw(st.sampled_from(list(KINDS))), draw(_OPTIONS)) for _ in range(draw(st.integers(1, 5)))
    ]
    top = draw(st.sampled_from(list(TOPS)))

    def make(library: Any) -> Any:
        inputs = x = library.Input((6, 5, 2))
        for number, (kind, options) in enumerate(steps):
            x = KINDS[kind](library, x, {**options, "number": number})
        return library.Model(inputs, TOPS[top](library.layers, x))

    return make
