"""Small random graphs of the layers, the same for minicnn and for Keras."""

from typing import Any

from hypothesis import strategies as st


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """A function that draws the same small random graph with either library."""
    choices: list[tuple[str, dict[str, Any]]] = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(
            st.sampled_from(
                (
                    "conv",
                    "depthwise",
                    "separable",
                    "norm",
                    "pool",
                    "average",
                    "relu",
                    "act",
                    "pad",
                    "add",
                    "concat",
                    "nested",
                    "dropout",
                    "rescale",
                )
            )
        )
        choices.append(
            (
                kind,
                {
                    "filters": draw(st.integers(1, 4)),
                    "kernel": draw(st.integers(1, 3)),
                    "strides": draw(st.integers(1, 2)),
                    "padding": "same",
                    "bias": draw(st.booleans()),
                    "activation": draw(st.sampled_from([None, "relu", "tanh", "sigmoid"])),
                    "limit": draw(st.sampled_from([None, 6.0])),
                    "scale": draw(st.booleans()),
                    "trainable": draw(st.booleans()),
                },
            )
        )
    top = draw(st.sampled_from(["average", "max", "flatten", "none", "two"]))

    def make(library: Any) -> Any:
        k = library.layers
        inputs = library.Input((6, 5, 2))
        x = inputs
        for number, (kind, o) in enumerate(choices):
            conv = {
                "strides": o["strides"],
                "padding": o["padding"],
                "use_bias": o["bias"],
                "activation": o["activation"],
            }
            same = {**conv, "strides": 1}
            if kind == "conv":
                x = k.Conv2D(o["filters"], o["kernel"], **conv, trainable=o["trainable"])(x)
            elif kind == "depthwise":
                x = k.DepthwiseConv2D(o["kernel"], **conv)(x)
            elif kind == "separable":
                x = k.SeparableConv2D(o["filters"], o["kernel"], **conv)(x)
            elif kind == "norm":
                x = k.BatchNormalization(scale=o["scale"], center=o["bias"])(x)
            elif kind == "pool":
                x = k.MaxPooling2D(o["kernel"], strides=o["strides"], padding="same")(x)
            elif kind == "average":
                x = k.AveragePooling2D(o["kernel"], strides=o["strides"], padding="same")(x)
            elif kind == "relu":
                x = k.ReLU(max_value=o["limit"])(x)
            elif kind == "act":
                x = k.Activation(o["activation"] or "linear")(x)
            elif kind == "pad":
                x = k.ZeroPadding2D(((o["kernel"], 0), (1, o["strides"])))(x)
            elif kind == "add":
                x = k.Add()([k.Conv2D(x.shape[-1], 1, use_bias=o["bias"])(x), x])
            elif kind == "concat":
                x = k.Concatenate()([x, k.Conv2D(o["filters"], o["kernel"], **same)(x)])
            elif kind == "nested":
                inside = library.Input(tuple(x.shape[1:]))
                y = k.BatchNormalization()(k.Conv2D(o["filters"], 1, **same)(inside))
                base = library.Model(inside, y, name=f"base{number}")
                base.trainable = o["trainable"]
                x = base(x, training=False) if o["scale"] else base(x)
            elif kind == "dropout":
                x = k.Dropout(0.3)(x)
            else:
                x = k.Rescaling(0.5, offset=0.25)(x)
        if top == "average":
            outputs: Any = k.Dense(3)(k.GlobalAveragePooling2D()(x))
        elif top == "max":
            outputs = k.GlobalMaxPooling2D(keepdims=True)(x)
        elif top == "flatten":
            outputs = k.Softmax()(k.Dense(3)(k.Flatten()(x)))
        elif top == "two":
            outputs = [x, k.Reshape((-1,))(x)]
        else:
            outputs = x
        return library.Model(inputs, outputs)

    return make
