"""Models for pages, and what a reader does on a page."""

import time

import numpy as np

from minicnn import Input, Model, Sequential, functional, layers
from minicnn.layers.applications import CustomScaleLayer, LayerScale, StochasticDepth
from minicnn.layers.arithmetic import Divide, GetItem, Power, Reciprocal, Stack


def recoloured(inputs):
    """Return a symbol after the layers that change colours and details."""
    x = layers.AutoContrast(name="stretch")(layers.RandAugment(name="augment")(inputs))
    x = layers.RandomHue(0.1, name="hue")(layers.RandomSaturation(0.5, name="saturation")(x))
    x = layers.RandomGrayscale(name="gray")(layers.RandomColorDegeneration(0.1, name="dull")(x))
    x = layers.RandomColorJitter(hue_factor=0.1, name="jitter")(layers.Equalization(name="even")(x))
    x = layers.RandomInvert(name="invert")(layers.RandomPosterization(4, name="bits")(x))
    x = layers.Solarization(name="sun")(layers.RandomSharpness(0.5, name="sharp")(x))
    x = layers.RandomGaussianBlur(name="blur")(layers.RandomErasing(name="erasing")(x))
    x = layers.RandomShear(0.1, name="shear")(x)
    return x


def every_layer():
    """Return a model with all of minicnn's layers in one graph with branches."""
    inputs = Input((13, 11, 3), name="photo")
    x = recoloured(inputs)
    x = layers.Rescaling([1 / 255, 1 / 200, 1 / 100], -0.2, name="rescaling")(x)
    x = layers.Normalization(name="normalization")(x)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)), name="pad")(layers.Identity(name="same")(x))
    a = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    b = layers.Conv2D(6, (1, 3), padding="same", dilation_rate=2, groups=3, name="grouped")(
        layers.Conv2D(6, 1, strides=2, padding="same", activation="tanh", name="pointwise")(x)
    )
    b = layers.BatchNormalization(name="bn")(b)
    b = layers.GroupNormalization(2, name="groups")(layers.LayerNormalization(name="layer")(b))
    b = layers.ReLU(max_value=0.4, negative_slope=0.1, name="relu")(b)
    c = layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=2, activation="relu6", name="depthwise"
    )(a)
    c = layers.SeparableConv2D(6, 3, padding="same", activation="sigmoid", name="separable")(c)
    x = layers.Add(name="add")([a, b, c])
    x = layers.Subtract(name="subtract")([x, layers.Maximum(name="maximum")([a, b])])
    x = layers.Average(name="mean")([x, layers.Minimum(name="minimum")([c, b])])
    x = layers.Concatenate(name="concat")([x, b])
    x = layers.Activation("tanh", name="activation")(x)
    x = layers.PReLU(shared_axes=[2], name="prelu")(layers.ELU(0.5, name="elu")(x))
    x = layers.LeakyReLU(0.1, name="leaky")(x)
    m = layers.MaxPooling2D(3, strides=2, padding="same", name="max_pool")(x)
    v = layers.AveragePooling2D(3, strides=2, padding="same", name="average_pool")(x)
    x = layers.Add(name="add_pools")([m, v])
    x = layers.Dropout(0.3, name="dropout")(layers.ActivityRegularization(0.1, name="activity")(x))
    x = layers.SpatialDropout2D(0.3, name="spatial")(layers.GaussianNoise(0.1, name="noise")(x))
    x = layers.AlphaDropout(0.3, name="alpha")(layers.GaussianDropout(0.1, name="gaussian")(x))
    x = layers.RandomFlip(name="flip")(layers.RandomRotation(0.1, name="rotation")(x))
    x = layers.RandomTranslation(0.1, 0.1, name="shift")(layers.RandomZoom(0.1, name="zoom")(x))
    x = layers.RandomBrightness(0.1, name="bright")(layers.RandomContrast(0.1, name="contrast")(x))
    x = layers.MixUp(name="mix")(layers.CutMix(name="cut")(x))
    f = layers.Flatten(name="flatten")(layers.Reshape((4, 3, -1), name="reshape")(x))
    g = layers.GlobalAveragePooling2D(name="average")(x)
    t = layers.GlobalMaxPooling2D(name="largest")(x)
    s = layers.UpSampling2D((2, 1), name="up")(x)
    s = layers.Conv2DTranspose(12, (3, 2), 2, "same", activation="relu", name="stamps")(s)
    s = layers.Resizing(5, 4, "bicubic", name="resizing")(layers.Cropping2D(1, name="crop")(s))
    s = layers.AdaptiveMaxPooling2D((4, 3), name="top")(layers.RandomCrop(4, 3, name="part")(s))
    s = layers.AdaptiveAveragePooling2D((3, 4), name="adaptive")(s)
    s = layers.Permute((2, 1, 3), name="permute")(layers.CenterCrop(2, 1, name="center")(s))
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    s = layers.Multiply(name="excite")([s, gate])
    u = layers.Flatten(name="flatten_up")(s)
    g = layers.SpatialDropout1D(0.3, name="steps")(layers.RepeatVector(2, name="copies")(g))
    g = layers.Flatten(name="flatten_copies")(g)
    line = layers.Reshape((12, 16), name="lines")(x)
    line = layers.Conv1D(6, 3, 2, "causal", activation="relu", name="causal")(line)
    line = layers.ZeroPadding1D((1, 2), name="pad_line")(layers.UpSampling1D(name="up_line")(line))
    line = layers.SeparableConv1D(6, 3, activation="tanh", name="separable_line")(line)
    line = layers.DepthwiseConv1D(3, depth_multiplier=2, name="depthwise_line")(line)
    line = layers.Conv1DTranspose(5, 3, 2, "same", name="stamps_line")(line)
    line = layers.MaxPooling1D(3, 2, name="max_line")(layers.Cropping1D(1, name="crop_line")(line))
    line = layers.AveragePooling1D(3, 1, "same", name="average_line")(line)
    line = layers.AdaptiveAveragePooling1D(3, name="adaptive_line")(line)
    line = layers.AdaptiveMaxPooling1D(2, name="adaptive_max_line")(line)
    ends = [
        layers.GlobalMaxPooling1D(name="largest_line")(line),
        layers.GlobalAveragePooling1D(name="mean_line")(line),
    ]
    products = layers.Dot((1, 1), name="dot")([line, line])
    ends += [layers.Dot(1, normalize=True, name="cosine")(ends)]
    ends += [layers.Flatten(name="flatten_products")(products)]
    x = layers.Concatenate(name="join")([f, g, t, u, *ends])
    x = layers.Dense(7, activation="gelu", name="hidden")(layers.UnitNormalization(name="unit")(x))
    x = layers.Activation("log_softmax", name="logarithms")(x)
    x = layers.Dense(5, name="scores")(x)
    outputs = layers.Softmax(name="softmax")(x)
    model = Model(inputs, outputs, name="every_layer")
    rng = np.random.default_rng(3)
    model.set_weights(
        [
            np.abs(rng.normal(size=w.shape)) + 0.5
            if "variance" in w.path
            else rng.normal(scale=0.4, size=w.shape)
            for w in model.weights
        ]
    )
    return model


def every_operation():
    """Return a model of layers that are made by arithmetic, and those of Keras's own networks."""
    inputs = Input((6, 5, 3), name="photo")
    a = layers.Rescaling(1 / 255, 0.5, name="above_zero")(inputs)
    b = layers.Conv2D(3, 3, padding="same", activation="sigmoid", name="conv")(a)
    x = Divide(name="divide")([a, b])
    x = CustomScaleLayer(0.3, name="shortcut")([x, Reciprocal(2.0, name="reciprocal")(b)])
    x = LayerScale(0.7, 3, name="scale")(Power(2, name="power")(x))
    x = StochasticDepth(0.2, name="depth")(x)
    part = GetItem((slice(None), slice(4, 0, -1), slice(None, None, 2)), name="part")(x)
    row = GetItem((slice(None), 2, None), name="row")(x)
    ends = [layers.Flatten()(part), layers.Flatten()(row)]
    rows = [GetItem((slice(None), k), name=f"row_{k}")(x) for k in (0, -1)]
    stacked = Stack(2, name="stack")(rows)
    ends += [layers.Flatten()(stacked), layers.Flatten()(Stack(-1, name="last")(rows))]
    outputs = layers.Dense(3, activation="softmax", name="classes")(layers.Concatenate()(ends))
    return seeded(Model(inputs, outputs, name="every_operation"))


def photo(shape=(13, 11, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, *shape)).astype("float32")


NAMES = ["dress", "hat", "pants", "shirt", "shoes"]


def open_layer(tab, name):
    tab.keyboard.press("Escape")
    tab.locator(f'.card[data-layer="{name}"]').click(position={"x": 20, "y": 8})
    assert tab.locator(".layer-head h2").inner_text().startswith(name)


def click_on_layers(tab, names):
    """Open each of these layers with a click on its card; return what the page then says of it.

    The clicks are made in the page itself, where a card must be what lies under the mouse. All
    cards are found in one view of the network: to draw it takes longer than to open a layer.
    """
    return tab.evaluate(
        """(names) => {
            page.overview();
            const hits = names.map((name) => {
                const card = document.querySelector(`.card[data-layer="${name}"]`);
                card.scrollIntoView({ block: "nearest", inline: "nearest" });
                const { left, top } = card.getBoundingClientRect();
                const hit = document.elementFromPoint(left + 20, top + 8);
                if (!card.contains(hit)) throw new Error(`${name} is behind ${hit?.outerHTML}`);
                return hit;
            });
            return names.map((name, k) => {
                hits[k].click();
                const verdict = document.querySelector(".verdict");
                return {
                    name, at: page.state.at,
                    title: document.querySelector(".layer-head h2").innerText,
                    form: document.querySelector(".arithmetic").dataset.form,
                    off: document.querySelectorAll(".tick.off").length,
                    verdict: verdict?.innerText, value: Number(verdict?.dataset.page),
                };
            });
        }""",
        names,
    )


def wait(tab, expression, argument=None, seconds=20):
    """Wait until the expression is true; Playwright's own wait needs `eval`, which pages forbid."""
    end = time.monotonic() + seconds
    while not tab.evaluate(expression if "=>" in expression else f"() => {expression}", argument):
        assert time.monotonic() < end, f"never came true: {expression}"
        tab.wait_for_timeout(20)


def go_backward(tab):
    tab.get_by_role("button", name="Backward").click()
    wait(tab, "document.querySelector('[data-focus=mode-backward]').ariaPressed === 'true'")


def numbers(tab, expression, argument=None):
    return np.array(tab.evaluate(f"(a) => {expression}", argument), float)


def normalizing_layers():
    return [
        layers.BatchNormalization(scale=False),
        layers.BatchNormalization(center=False),
        layers.Normalization(axis=(1, 3), invert=True),
        layers.Normalization(axis=None),
        layers.Normalization((2, 3), mean=[[1, 2, 3, 4]], variance=[[4, 1, 2, 3]]),
        layers.LayerNormalization(),
        layers.LayerNormalization([1, -1], rms_scaling=True),
        layers.LayerNormalization((1, 2, 3), scale=False),
        layers.GroupNormalization(2),
        layers.GroupNormalization(-1, center=False),
        layers.UnitNormalization(),
        layers.UnitNormalization([1, 2]),
    ]


def random_layers():
    rng = np.random.default_rng(7)
    pick = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    cases = []
    for number in range(36):
        padding, activation = pick("same", "valid"), pick("linear", "relu", "sigmoid", "tanh")
        kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 4)))
        strides = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        dilation = (
            (1, 1) if max(strides) > 1 else (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        )
        window = {"padding": padding, "strides": strides}
        more = {
            **window,
            "dilation_rate": dilation,
            "activation": activation,
            "use_bias": number % 3 > 0,
        }
        groups = pick(1, 1, 2, 4)
        kinds = [
            lambda k=kernel, m=more, g=groups: layers.Conv2D(8, k, groups=g, **m),
            lambda k=kernel, m=more: layers.DepthwiseConv2D(k, depth_multiplier=2, **m),
            lambda k=kernel, m=more: layers.SeparableConv2D(5, k, depth_multiplier=2, **m),
            lambda k=kernel, w=window: layers.MaxPooling2D(k, **w),
            lambda k=kernel, w=window: layers.AveragePooling2D(k, **w),
            lambda a=activation: layers.Dense(6, activation=a),
        ]
        cases.append(kinds[number % len(kinds)]())
    return [
        *cases,
        *normalizing_layers(),
        layers.Dense(6, activation="softmax"),
        layers.ReLU(6.0),
        layers.ReLU(negative_slope=0.3, threshold=0.5),
        layers.Activation("softmax"),
        layers.Softmax(),
        layers.Softmax(axis=1),
        layers.Softmax(axis=-2),
        layers.ActivityRegularization(0.1, 0.2),
        layers.LeakyReLU(0.1),
        layers.ELU(0.5),
        layers.PReLU(),
        layers.PReLU(shared_axes=[1, 2]),
        layers.Dense(6, activation=layers.LeakyReLU(0.1)),
        layers.Dense(6, activation=layers.ReLU(max_value=2, threshold=0.5)),
        layers.Conv2D(3, 2, activation="silu"),
        *[layers.Activation(name) for name in functional.ACTIVATIONS],
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.ZeroPadding2D(((0, 2), (1, 3))),
        *layers_of_lines(),
        *more_layers(),
        layers.Conv2DTranspose(5, (3, 2), (2, 3), activation="tanh"),
        layers.Conv2DTranspose(5, 3, 2, "same", output_padding=0),
        layers.Conv2DTranspose(5, 4, 2, "same", output_padding=(1, 0), use_bias=False),
        layers.Conv2DTranspose(5, 2, 1, "same", dilation_rate=(1, 2)),
        layers.UpSampling2D((2, 3)),
        layers.UpSampling2D((2, 3), interpolation="bilinear"),
        layers.Resizing(4, 13, "nearest"),
        layers.Resizing(4, 13, "bicubic"),
        layers.Resizing(4, 13, "lanczos5"),
        layers.Resizing(4, 3, "lanczos3", antialias=True),
        layers.Resizing(4, 3, antialias=True),
        layers.Resizing(4, 3, crop_to_aspect_ratio=True),
        layers.Resizing(14, 3, pad_to_aspect_ratio=True, fill_value=0.5),
        layers.AdaptiveAveragePooling2D((2, 13)),
        layers.AdaptiveMaxPooling2D((2, 13)),
        layers.CenterCrop(4, 5),
        layers.CenterCrop(4, 11),
        layers.AutoContrast((-2, 1)),
        layers.RandomCrop(4, 11),
        layers.RandomCrop(14, 3),
        layers.RandomFlip(),
        layers.GaussianNoise(0.5),
        layers.Cropping2D(((1, 2), (0, 3))),
        layers.Permute((3, 1, 2)),
        layers.Reshape((-1, 4)),
        layers.Rescaling(0.5, [1.0, 2.0, 3.0, 4.0]),
    ]


def more_layers():
    """Return layers that are made by arithmetic, and those of Keras's own networks."""
    every = slice(None)
    return [
        Power(2),
        Power(3.0),
        Power(0),
        GetItem((..., slice(1, 3))),
        GetItem((every, slice(1, -1, 3), slice(None, None, -2), 2)),
        GetItem((every, slice(-3, None), None, slice(7, 1, -1))),
        GetItem((every, -1)),
        GetItem((every, None, 0, slice(100))),
        LayerScale(0.5, 4),
        StochasticDepth(0.3),
    ]


def layers_of_lines():
    return [
        layers.Conv1D(5, 3, 2, "same", activation="tanh"),
        layers.Conv1D(6, 3, padding="causal", dilation_rate=2, groups=2),
        layers.DepthwiseConv1D(3, depth_multiplier=2),
        layers.SeparableConv1D(5, 3, 2, activation="relu"),
        layers.Conv1DTranspose(5, 3, 2, output_padding=0),
        layers.MaxPooling1D(3, 2, "same"),
        layers.AveragePooling1D(3, padding="same"),
        layers.AdaptiveAveragePooling1D(4),
        layers.AdaptiveMaxPooling1D(4),
        layers.GlobalAveragePooling1D(keepdims=True),
        layers.GlobalMaxPooling1D(),
        layers.UpSampling1D(3),
        layers.ZeroPadding1D((2, 0)),
        layers.Cropping1D((2, 0)),
    ]


def small_cnn(strides=1, padding="same"):
    model = Sequential(
        [
            Input((12, 12, 3)),
            layers.Rescaling(1 / 255, name="rescaling"),
            layers.Conv2D(4, 3, strides=strides, padding=padding, activation="relu", name="first"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="second"),
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(3, name="scores"),
        ]
    )
    rng = np.random.default_rng(11)
    model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.weights])
    return model


def class_probabilities(tab):
    return np.array([float(p) for p in tab.locator(".results [data-p]").evaluate_all(
        "(all) => all.map((e) => e.dataset.p)")])  # fmt: skip


def changed(tab, act):
    before = tab.evaluate("Number(document.getElementById('app').dataset.computed ?? 0)")
    act()
    wait(tab, "(n) => Number(document.getElementById('app').dataset.computed ?? 0) > n", before)


def plain():
    """Return a model with a dead map and zero biases, and an x with one very large number."""
    model = Sequential(
        [
            Input((24, 24, 1)),
            layers.Conv2D(3, 3, padding="same", activation="relu", name="conv"),
            layers.ReLU(6.0, name="relu6"),
            layers.Flatten(name="flatten"),
            layers.Dense(4, activation="relu6", name="hidden"),
            layers.Dense(2, use_bias=False, name="scores"),
        ]
    )
    seeded(model)
    kernel = np.abs(model.get_layer("conv").kernel.value)
    kernel[1, 1] = 1.5
    kernel[..., 1] *= -1  # this filter never answers to positive pixels
    model.get_layer("conv").set_weights([kernel, np.zeros(3)])
    model.get_layer("hidden").bias.value[:] = 0
    x = np.full((1, 24, 24, 1), 0.01, "float32")
    x[0, 12, 12] = 1
    x[0, 0, 0] = 3  # the strongest answer, but its window reaches into the padding
    return model, x


def with_a_large_dense(units=96):
    """Return a model with most of its weights in one layer in the middle, as in VGG."""
    return seeded(
        Sequential(
            [
                *(Input((12, 12, 3)), layers.Rescaling(1 / 255, name="rescaling")),
                layers.Conv2D(8, 3, padding="same", activation="relu", name="conv"),
                *(layers.MaxPooling2D(name="pool"), layers.Flatten(name="flatten")),
                layers.Dense(units, activation="relu", name="large"),
                layers.Dense(10, activation="softmax", name="classes"),
            ]
        )
    )


def seeded(model, scale=0.2):
    rng = np.random.default_rng(6)
    model.set_weights([rng.normal(scale=scale, size=w.shape) for w in model.weights])
    return model
