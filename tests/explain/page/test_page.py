"""The page as its reader meets it: in a real browser, from a file, without a network.

The numbers that it computes are compared with minicnn's: every layer, option and gradient.
"""

import base64
import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, functional, layers
from minicnn.explain import page as page_room
from minicnn.explain.page import build
from minicnn.explain.page.passes import uses_of

# -- a browser -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        reason = "there is no chromium on this machine (apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Opens a page file; at the end nothing may have been complained of, asked for or popped up."""
    contexts, complaints = [], []

    def open_it(path, width=1280, height=720, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda m: complaints.append(f"console {m.type}: {m.text}"))
        tab.on("pageerror", lambda error: complaints.append(f"error: {error.stack}"))
        tab.on("dialog", lambda d: (complaints.append(f"dialog: {d.message}"), d.dismiss()))
        tab.on(
            "request",
            lambda r: r.url.startswith(("file:", "data:")) or complaints.append(f"asks {r.url}"),
        )
        tab.goto(path.as_uri())
        tab.wait_for_selector("#app[data-ready=true]")
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


# -- models ----------------------------------------------------------------------------------------


def every_layer():
    """All of minicnn's layers in one graph with branches."""
    inputs = Input((13, 11, 3), name="photo")
    x = layers.Rescaling([1 / 255, 1 / 200, 1 / 100], -0.2, name="rescaling")(inputs)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)), name="pad")(x)
    a = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    b = layers.Conv2D(6, (1, 3), padding="same", dilation_rate=2, groups=3, name="grouped")(
        layers.Conv2D(6, 1, strides=2, padding="same", activation="tanh", name="pointwise")(x)
    )
    b = layers.BatchNormalization(name="bn")(b)
    b = layers.ReLU(max_value=0.4, negative_slope=0.1, name="relu")(b)
    c = layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=2, activation="relu6", name="depthwise"
    )(a)
    c = layers.SeparableConv2D(6, 3, padding="same", activation="sigmoid", name="separable")(c)
    x = layers.Add(name="add")([a, b, c])
    x = layers.Concatenate(name="concat")([x, b])
    x = layers.Activation("tanh", name="activation")(x)
    m = layers.MaxPooling2D(3, strides=2, padding="same", name="max_pool")(x)
    v = layers.AveragePooling2D(3, strides=2, padding="same", name="average_pool")(x)
    x = layers.Add(name="add_pools")([m, v])
    x = layers.Dropout(0.3, name="dropout")(x)
    f = layers.Flatten(name="flatten")(layers.Reshape((4, 3, -1), name="reshape")(x))
    g = layers.GlobalAveragePooling2D(name="average")(x)
    t = layers.GlobalMaxPooling2D(name="largest")(x)
    u = layers.Flatten(name="flatten_up")(layers.UpSampling2D((2, 1), name="up")(x))
    x = layers.Concatenate(name="join")([f, g, t, u])
    x = layers.Dense(7, activation="relu", name="hidden")(x)
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


def photo(shape=(13, 11, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, *shape)).astype("float32")


NAMES = ["dress", "hat", "pants", "shirt", "shoes"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    model, x = every_layer(), photo()
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert build(model, x, path, class_names=NAMES, y="pants") == path
    return model, x, path


def open_layer(tab, name):
    tab.keyboard.press("Escape")
    tab.locator(f'.card[data-layer="{name}"]').click(position={"x": 20, "y": 8})
    assert tab.locator(".layer-head h2").inner_text().startswith(name)


def wait(tab, expression, argument=None, seconds=20):
    """Until the expression is true; Playwright's own way needs `eval`, which the page forbids."""
    end = time.monotonic() + seconds
    while not tab.evaluate(expression if "=>" in expression else f"() => {expression}", argument):
        assert time.monotonic() < end, f"never came true: {expression}"
        tab.wait_for_timeout(20)


def go_backward(tab):
    tab.get_by_role("button", name="Backward").click()
    wait(tab, "document.querySelector('[data-focus=mode-backward]').ariaPressed === 'true'")


def numbers(tab, expression, argument=None):
    return np.array(tab.evaluate(f"(a) => {expression}", argument), float)


# -- what it shows is what minicnn computed --------------------------------------------------------


def test_each_layer_opens_with_a_click_and_says_what_minicnn_says(everything, opened):
    model, x, path = everything
    tab, (_, tape) = opened(path), model.forward(x)
    for entry in tape.entries:
        open_layer(tab, entry.layer.name)
        at = tab.evaluate("page.state.at")
        assert tab.locator(".arithmetic").get_attribute("data-form") != "none", entry.layer.name
        verdict = tab.locator(".verdict")
        value = float(verdict.get_attribute("data-page"))
        assert value == pytest.approx(float(entry.y[0][tuple(at)]), rel=1e-4, abs=1e-5)
        assert "minicnn says" in verdict.inner_text()
        assert verdict.locator(".tick.off").count() == 0, entry.layer.name


def test_any_cell_of_any_layer_is_the_sum_that_the_page_shows(everything, opened):
    model, x, path = everything
    tab, (_, tape) = opened(path), model.forward(x)
    rng = np.random.default_rng(1)
    ids = tab.evaluate("Object.fromEntries(page.net.nodes.map((n) => [n.name, n.id]))")
    assert {type(e.layer).__name__ for e in tape.entries} | {"InputLayer"} == set(layers.LAYERS)
    for entry in tape.entries:
        shape = entry.y.shape[1:]
        places = [[int(rng.integers(n)) for n in shape] for _ in range(12)]
        places += [[0] * len(shape), [n - 1 for n in shape]]  # where the padding is
        found = numbers(
            tab,
            "a[1].map((at) => page.explain(page.net, a[0], at).value)",
            [ids[entry.layer.name], places],
        )
        wanted = [entry.y[0][tuple(at)] for at in places]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-6, err_msg=entry.layer.name)


def test_padded_taps_are_marked_and_count_for_nothing(everything, opened):
    model, x, path = everything
    tab = opened(path)
    open_layer(tab, "conv")
    tab.evaluate("page.moveTo([0, 0, 0])")  # 14 pixels: the one zero stands below and right
    assert tab.locator(".grid-of .padded").count() == 0
    tab.evaluate("page.moveTo([6, 6, 0])")
    assert tab.locator(".grid-of .padded").count() == 3 * 5 * 2  # patch and products
    window = functional.conv2d(
        model.forward(x)[1]["pad"].y,
        model.get_layer("conv").kernel.value,
        strides=2,
        padding="same",
    )
    total = tab.evaluate("page.explain(page.net, page.state.node, [6, 6, 0]).total")
    assert total == pytest.approx(float(window[0, 6, 6, 0]), rel=1e-4)


def loss_gradients(model, x, target):
    y, tape = model.forward(x)
    dy = y.copy()
    dy[0, target] -= 1
    return model.backward(dy, tape, at_logits=True)


def test_gradients_of_pixels_and_weights_are_minicnn_s(everything, opened):
    model, x, path = everything
    dx, grads = loss_gradients(model, x, 2)
    tab = opened(path)
    rng = np.random.default_rng(2)
    go_backward(tab)
    ids = tab.evaluate("Object.fromEntries(page.net.nodes.map((n) => [n.name, n.id]))")
    places = [[int(rng.integers(n)) for n in x.shape[1:]] for _ in range(10)]
    found = numbers(tab, "a.map((at) => page.explainInput(page.net, 1, at).value)", places)
    np.testing.assert_allclose(found, [dx[0][tuple(at)] for at in places], rtol=1e-3, atol=1e-7)
    for key, gradient in grads.items():
        name, weight = key.split("/")
        places = [[int(rng.integers(n)) for n in gradient.shape] for _ in range(6)]
        found = numbers(
            tab,
            "a[2].map((at) => page.explainWeight(page.net, a[0], a[1], at).total)",
            [ids[name], weight, places],
        )
        wanted = [gradient[tuple(at)] for at in places]
        scale = float(np.abs(gradient).max())
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5 * scale, err_msg=key)


def test_every_layer_explains_its_input_s_gradient(everything, opened):
    _, _, path = everything
    tab = opened(path)
    go_backward(tab)
    for name in tab.evaluate("page.net.nodes.slice(1).map((n) => n.name)"):
        tab.evaluate("page.overview()")
        open_layer(tab, name)
        assert tab.locator(".arithmetic").get_attribute("data-form") != "none", name
        assert tab.locator(".tick.off").count() == 0, name
    # All ways that lead from one layer add up to its gradient.
    errors = numbers(
        tab,
        """page.net.nodes.slice(0, -1).map((node) => {
            const dy = page.net.dy(node.id), at = page.net.shape(node.id).map((n) => n >> 1);
            let sum = 0;
            for (const next of new Set(node.consumers)) {
                page.net.nodes[next].inputs.forEach((i, k) => {
                    if (i === node.id) sum += page.explainInput(page.net, next, at, k).value;
                });
            }
            const o = at.reduce((o, v, i) => o * dy.shape[i] + v, 0);
            return Math.abs(sum - dy.data[o]) / (Math.max(...dy.data.map(Math.abs)) || 1);
        })""",
    )
    assert errors.max() < 1e-4


def test_the_loss_and_another_class_of_it(everything, opened):
    model, x, path = everything
    p = model.forward(x)[0][0]
    tab = opened(path)
    go_backward(tab)
    assert "loss" in tab.locator(".outcome").inner_text()
    assert tab.evaluate("page.net.loss()") == pytest.approx(-np.log(p[2]), rel=1e-4)
    tab.get_by_label("The class of the loss").select_option("0")
    wait(tab, "page.net.target === 0 && page.net.gradients.size > 5")
    dx, _ = loss_gradients(model, x, 0)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(x.shape)
    np.testing.assert_allclose(found, dx, rtol=1e-3, atol=1e-4 * np.abs(dx).max())


def picture_to_picture(last):
    """A model without classes: its output is an image."""
    model = Sequential(
        [
            *(Input((10, 10, 3)), layers.Rescaling(1 / 255)),
            *(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), last),
        ]
    )
    rng = np.random.default_rng(4)
    for weight in model.weights:
        if weight.name in ("kernel", "gamma"):
            weight.assign(rng.normal(weight.name == "gamma", 0.4, size=weight.shape))
    return model


@pytest.mark.parametrize(
    ("last", "ceiling"),
    [
        (layers.Conv2D(3, 3, strides=2, activation="sigmoid", name="last"), 1),
        (layers.Conv2D(3, 3, activation="softmax", name="last"), 1),
        (layers.ReLU(0.5, name="last"), 0.5),
    ],
    ids=["sigmoid", "softmax", "relu"],
)
def test_without_classes_backward_starts_from_one_number_of_the_output(
    tmp_path, opened, last, ceiling
):
    model, x = picture_to_picture(last), photo((10, 10, 3))
    y, tape = model.forward(x)
    tab = opened(build(model, x, tmp_path / "page.html"))
    assert "does not end in one score per class" in tab.locator(".outcome").inner_text()

    def check(at):
        dy = np.zeros_like(y)
        dy[(0, *at)] = 1
        dx, _ = model.backward(dy, tape)
        assert tab.evaluate("page.net.loss()") == pytest.approx(float(y[(0, *at)]), rel=1e-5)
        assert f"L = last[{', '.join(map(str, at))}]" in tab.locator(".outcome").inner_text()
        found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(x.shape)
        np.testing.assert_allclose(found, dx, rtol=1e-3, atol=1e-4 * np.abs(dx).max())
        assert np.abs(dx).max() > 0
        for number in range(1, len(model.layers) + 1):
            tab.evaluate(f"page.openLayer({number})")
            assert tab.locator(".tick.off").count() == 0

    go_backward(tab)
    assert (y[0] < ceiling).any()
    assert (y[0] == ceiling).any() == isinstance(last, layers.ReLU)
    largest = np.where(y[0] < ceiling, y[0], -1).argmax()
    check([int(i) for i in np.unravel_index(largest, y.shape[1:])])
    tab.evaluate("page.overview()")
    tab.get_by_role("button", name="choose another").click()
    other = [int(i) for i in np.argwhere((y[0] > 1e-3) & (y[0] < ceiling))[0]]
    tab.evaluate("(at) => page.moveTo(at)", other)
    tab.get_by_role("button", name="Go backward from this number").click()
    wait(tab, "document.querySelector('[data-focus=mode-backward]').ariaPressed === 'true'")
    tab.evaluate("page.overview()")
    check(other)
    page = build(model, x, y=tuple(other))
    target = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])["target"]
    assert target == np.ravel_multi_index(other, y.shape[1:])
    with pytest.raises(ValueError, match=r"its output at rows 0…"):
        build(model, x, y=(99, 0, 0))


def test_features_are_no_scores(tmp_path):
    model = Sequential([Input((6, 6, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])
    facts = re.search(r'id="data">(.*?)</script>', build(model, photo((6, 6, 3))))[1]
    assert json.loads(facts)["kind"] == ""


def test_a_trace_of_another_loss_makes_a_page(tmp_path):
    labels = layers.Dense(3, activation="sigmoid")  # several of which may be true
    model = Sequential([Input((6, 6, 1)), layers.Flatten(), labels])
    trace = model.trace(photo((6, 6, 1)), y=[[0, 1, 1]], loss="binary_crossentropy")
    assert trace.to_html(tmp_path / "page.html").exists()


def test_of_several_outputs_the_reader_chooses_one(tmp_path, opened):
    inputs = Input((6, 6, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    kind = layers.Dense(3, activation="softmax", name="kind")(layers.Flatten()(x))
    warm = layers.Dense(1, activation="sigmoid", name="warm")(layers.GlobalMaxPooling2D()(x))
    model, picture = Model(inputs, [kind, warm]), photo((6, 6, 3)) / 255
    for output, name, count in ((None, "kind", 3), ("warm", "warm", 2), (1, "warm", 2)):
        tab = opened(build(model, picture, tmp_path / "page.html", output=output))
        assert f"(kind, warm) this page shows {name}." in tab.locator(".notes").inner_text()
        assert tab.locator(".outcome [data-p]").count() == count
        assert tab.evaluate("page.net.nodes.at(-1).name") == name
    with pytest.raises(ValueError, match=r"the outputs \['kind', 'warm'\]. Received output='cold'"):
        build(model, picture, output="cold")


# -- the arithmetic in the page, layer by layer ----------------------------------------------------


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
        layers.Dense(6, activation="softmax"),
        layers.BatchNormalization(scale=False),
        layers.BatchNormalization(center=False),
        layers.ReLU(6.0),
        layers.ReLU(negative_slope=0.3, threshold=0.5),
        layers.Activation("softmax"),
        layers.Softmax(),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.ZeroPadding2D(((0, 2), (1, 3))),
        layers.UpSampling2D((2, 3)),
        layers.Reshape((-1, 4)),
        layers.Rescaling(0.5, [1.0, 2.0, 3.0, 4.0]),
    ]


def spec(layer):
    return {
        "type": type(layer).__name__,
        "config": json.loads(json.dumps(layer.get_config(), default=str)),
        "params": {
            v.name: {"shape": list(v.shape), "data": v.value.ravel().tolist()}
            for v in layer.weights
        },
    }


def test_the_engine_agrees_with_minicnn_for_random_layers(everything, opened):
    tab = opened(everything[2])
    rng = np.random.default_rng(5)
    for layer in random_layers():
        x = np.round(rng.normal(size=(1, 9, 8, 4)), 1).astype("float32")  # with ties
        layer.forward(x)
        signs = [1 if "variance" in w.path else rng.choice([-1, 1], w.shape) for w in layer.weights]
        layer.set_weights([rng.uniform(0.2, 1, w.shape) * s for w, s in zip(layer.weights, signs)])
        y, cache = layer.forward(x)
        dy = rng.normal(size=y.shape).astype("float32")
        dx, grads = layer.backward(dy, cache)
        found = tab.evaluate(
            """([layer, shape, x, outShape, dy]) => {
                const plain = (a) => Array.from(a.data);
                const X = page.array(shape, Float32Array.from(x)), out = page.forward(layer, [X]);
                const DY = page.array(outShape, Float32Array.from(dy));
                const got = page.backward(layer, [X], { ...out, z: out.z ?? out.y }, DY);
                const grads = Object.entries(got.grads).map(([k, v]) => [k, plain(v)]);
                return { shape: out.y.shape, y: plain(out.y), dx: plain(got.dxs[0]),
                    grads: Object.fromEntries(grads) };
            }""",
            [
                spec(layer),
                list(x.shape[1:]),
                x.ravel().tolist(),
                list(y.shape[1:]),
                dy.ravel().tolist(),
            ],
        )
        what = f"{layer.label} {layer.get_config()}"
        assert tuple(found["shape"]) == y.shape[1:], what
        np.testing.assert_allclose(found["y"], y.ravel(), rtol=2e-4, atol=2e-5, err_msg=what)
        np.testing.assert_allclose(found["dx"], dx.ravel(), rtol=2e-4, atol=5e-5, err_msg=what)
        assert found["grads"].keys() == grads.keys(), what
        for key, gradient in grads.items():
            np.testing.assert_allclose(
                found["grads"][key], gradient.ravel(), rtol=1e-3, atol=2e-4, err_msg=f"{what} {key}"
            )


# -- what if ---------------------------------------------------------------------------------------


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


def test_what_if_agrees_with_minicnn(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    real = functional.softmax(model.forward(x)[0])[0]
    open_layer(tab, "first")
    tab.get_by_role("tab", name="What if").click()
    np.testing.assert_allclose(class_probabilities(tab), real, rtol=1e-4)

    column, channel = tab.evaluate("page.state.at")[2], tab.evaluate("page.state.inChannel ?? 0")

    def set_to(label, value, exact=True):
        field = tab.get_by_label(label, exact=exact)
        field.fill(str(value))
        field.press("Enter")

    def check(other, picture=x):
        wanted = functional.softmax(other.forward(picture)[0])[0]
        np.testing.assert_allclose(class_probabilities(tab), wanted, rtol=2e-4, atol=1e-6)
        assert np.abs(wanted - real).max() > 1e-3  # a change that changes something

    kernel = model.get_layer("first").kernel.value
    changed(tab, lambda: set_to("weight 0, 2", 2.5))
    kernel[0, 2, channel, column] = 2.5
    check(model)
    changed(tab, lambda: set_to("bias", -0.75))
    model.get_layer("first").bias.value[column] = -0.75
    check(model)

    for strides, padding in ((2, "same"), (2, "valid"), (1, "valid")):
        if int(tab.get_by_label("Stride").input_value()) != strides:
            changed(tab, lambda s=strides: tab.get_by_label("Stride").select_option(str(s)))
        if tab.get_by_label("Padding").input_value() != padding:
            changed(tab, lambda p=padding: tab.get_by_label("Padding").select_option(p))
        other = small_cnn(strides, padding)
        other.set_weights(model.get_weights())
        check(other)
        shape = tab.evaluate("page.net.y(page.state.node).shape")
        assert tuple(shape) == other.forward(x)[1]["first"].y.shape[1:]

    changed(tab, lambda: tab.get_by_role("button", name="Reset all changes").click())
    np.testing.assert_allclose(class_probabilities(tab), real, rtol=1e-4)


def test_another_pixel_of_the_photo_changes_the_classes(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    open_layer(tab, "rescaling")
    tab.get_by_role("tab", name="What if").click()
    tab.evaluate("page.set({ pixel: { node: 0, at: [4, 5, 0] } })")
    for k in range(3):
        field = tab.get_by_label(f"pixel channel {k}")
        changed(tab, lambda f=field: (f.fill("900"), f.press("Enter")))
    x = x.copy()
    x[0, 4, 5] = 900
    wanted = functional.softmax(model.forward(x)[0])[0]
    np.testing.assert_allclose(class_probabilities(tab), wanted, rtol=2e-4, atol=1e-6)
    go_backward(tab)  # gradients of the changed network
    y, tape = model.forward(x)
    p = functional.softmax(y)
    p[0, tab.evaluate("page.net.target")] -= 1
    dx, _ = model.backward(p, tape)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(x.shape)
    np.testing.assert_allclose(found, dx, rtol=1e-3, atol=1e-4 * np.abs(dx).max())


def test_a_change_that_does_not_fit_the_next_layer_is_told(tmp_path, opened):
    convolution = layers.Conv2D(2, 3, name="conv")
    model = Sequential([Input((8, 8, 3)), convolution, layers.Flatten(), layers.Dense(2)])
    tab = opened(build(model, photo((8, 8, 3)), tmp_path / "page.html"))
    open_layer(tab, "conv")
    tab.get_by_role("tab", name="What if").click()
    changed(tab, lambda: tab.get_by_label("Stride").select_option("2"))
    assert "expects 72 features" in tab.locator(".results").inner_text()


# -- keys, colours, phones -------------------------------------------------------------------------


def test_everything_can_be_done_with_the_keyboard(everything, opened):
    _, _, path = everything
    tab = opened(path)
    tab.locator('.card[data-layer="conv"]').focus()
    tab.keyboard.press("Enter")
    assert tab.locator(".layer-head h2").inner_text().startswith("conv")
    tab.evaluate("page.moveTo([2, 2, 1])")
    for key, at in (("ArrowRight", [2, 3, 1]), ("ArrowDown", [3, 3, 1]), ("ArrowLeft", [3, 2, 1]),
                    ("ArrowUp", [2, 2, 1]), (".", [2, 3, 1]), (",", [2, 2, 1]), ("]", [2, 2, 2]),
                    ("[", [2, 2, 1])):  # fmt: skip
        tab.keyboard.press(key)
        assert tab.evaluate("page.state.at") == at, key
    assert tab.evaluate("document.activeElement.dataset.focus") == "out"  # also after redrawing
    wait(tab, "document.querySelector('.live').textContent.includes('row 2, column 2')")
    tab.keyboard.press(" ")
    wait(tab, "page.state.at[1] !== 2")
    tab.keyboard.press(" ")
    assert tab.evaluate("page.state.playing") is False
    tab.locator(".film").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("page.state.at[2]") == 2
    tab.keyboard.press("b")
    wait(tab, "document.querySelector('[data-focus=mode-backward]').ariaPressed === 'true'")
    tab.keyboard.press("Escape")
    assert tab.locator(".overview").count() == 1
    assert tab.evaluate("document.activeElement.dataset.layer") == "conv"
    tab.get_by_role("button", name="Keys and notes").click()
    assert tab.get_by_role("dialog").is_visible()
    tab.keyboard.press("Escape")
    assert tab.get_by_role("dialog").count() == 0


def test_the_largest_terms_lead_to_the_photo_and_to_the_loss(everything, opened):
    _, _, path = everything
    tab = opened(path)
    open_layer(tab, "softmax")
    seen = ["softmax"]
    while seen[-1] != "photo":
        follow = tab.locator(".follow")
        name = re.search(r"comes from (\w+),", follow.inner_text())[1]
        follow.click()
        assert tab.locator(".layer-head h2").inner_text().split()[0] == name
        assert tab.locator(".tick.off").count() == 0
        seen.append(name)
    assert len(seen) > 10
    go_backward(tab)
    tab.evaluate("page.openLayer(1)")
    while tab.locator(".follow").count():
        before = tab.evaluate("page.state.node")
        tab.locator(".follow").click()
        assert tab.evaluate("page.state.node") > before
        assert tab.locator(".tick.off").count() == 0
    assert "comes from the loss" in tab.locator(".arithmetic").inner_text()


def test_the_mouse_drags_the_window(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "conv")
    tab.evaluate("page.moveTo([0, 0, 1])")
    box = tab.locator("[data-focus=out]").bounding_box()  # 7 rows, 7 columns
    at = lambda row, col: [box["x"] + 4 + 37 * (col + 0.5), box["y"] + 4 + 37 * (row + 0.5)]  # noqa: E731
    tab.mouse.move(*at(1, 1))
    tab.mouse.down()
    assert tab.evaluate("page.state.at") == [1, 1, 1]
    tab.mouse.move(*at(3, 4))
    assert tab.evaluate("page.state.at") == [3, 4, 1]
    tab.mouse.up()
    tab.mouse.move(*at(5, 5))
    assert tab.evaluate("page.state.at") == [3, 4, 1]


def test_play_slides_the_window(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "conv")
    tab.get_by_role("button", name="To the first cell").click()
    assert tab.evaluate("page.state.at.slice(0, 2)") == [0, 0]
    tab.get_by_role("button", name="One cell forward").click()
    assert tab.evaluate("page.state.at.slice(0, 2)") == [0, 1]
    tab.evaluate("page.state.speed = 6")
    tab.get_by_role("button", name="Play").click()
    wait(tab, "page.state.at[0] > 0")
    tab.get_by_role("button", name="Pause").click()
    assert tab.get_by_role("button", name="Play").is_visible()


def test_tabs_grids_and_news_speak_to_a_screen_reader(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "conv")
    live = tab.locator(".live").element_handle()
    tab.get_by_role("tab", name="This number").focus()
    for name in ("Weights", "Where it looks", "What if", "This number"):
        tab.keyboard.press("ArrowRight")
        assert tab.get_by_role("tab", name=name).get_attribute("aria-selected") == "true"
        assert name in tab.evaluate("document.activeElement.textContent")
        assert tab.get_by_role("tabpanel", name=name).count() == 1
    patch = tab.get_by_role("table", name=re.compile("^patch of channel")).first
    assert patch.get_by_role("row").count() == 3
    assert patch.get_by_role("cell").count() == 9
    open_layer(tab, "scores")
    tab.get_by_role("button", name="feature 3", exact=True).focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("page.state.term") == 3
    wait(tab, "document.querySelector('.live').textContent.includes('scores')")
    assert live.is_visible()  # the same element, not a copy: else nothing is read out


def test_a_long_network_stays_beside_the_classes(tmp_path, opened):
    parts = [layers.ReLU(name=f"part_{n}") for n in range(14)]
    model = Sequential([Input((6, 6, 3)), *parts, layers.Flatten(), layers.Dense(3)])
    tab = opened(build(model, photo((6, 6, 3)), tmp_path / "page.html"))
    box, panel = (tab.locator(name).bounding_box() for name in (".scroller", ".outcome"))
    assert box["x"] + box["width"] <= panel["x"]
    assert tab.evaluate("document.querySelector('.scroller').scrollWidth") > 1500


def test_edges_keep_clear_of_cards(everything, opened):
    crossed = opened(everything[2]).evaluate(
        """() => {
            const boxes = [...document.querySelectorAll('.thumbs canvas')]
                .map((e) => e.getBoundingClientRect());
            const [origin] = document.querySelector('.edges').getClientRects();
            return [...document.querySelectorAll('.edge')].flatMap((path) => {
                const n = path.getTotalLength(), out = [];
                for (let s = 0; s < n; s += 3) {
                    const p = path.getPointAtLength(s), x = p.x + origin.x, y = p.y + origin.y;
                    if (boxes.some((b) => x > b.left + 3 && x < b.right - 3
                        && y > b.top && y < b.bottom)) out.push([x, y]);
                }
                return out.slice(0, 1);
            });
        }"""
    )
    assert crossed == []


def test_another_stride_keeps_the_place(tmp_path, opened):
    tab = opened(build(small_cnn(), photo((12, 12, 3)), tmp_path / "page.html"))
    open_layer(tab, "first")
    tab.get_by_role("tab", name="What if").click()
    tab.evaluate("page.moveTo([4, 10, 1])")
    changed(tab, lambda: tab.get_by_label("Stride").select_option("2"))
    assert tab.evaluate("page.state.at") == [2, 5, 1]


def test_of_a_concatenation_the_input_behind_the_number_is_shown(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "concat")
    for channel, name in ((2, "add"), (9, "relu")):
        tab.evaluate(f"page.chooseMap({channel})")
        assert tab.locator(".side figcaption").first.inner_text().startswith(f"in: {name}")


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [
        *((1280, 720, "light"), (390, 844, "dark"), (1920, 1080, "dark")),
        (320, 640, "light"),  # to which a desktop's page shrinks when it is enlarged four times
    ],
)
def test_it_fits_and_everything_has_a_name(everything, opened, width, height, scheme):
    tab = opened(everything[2], width, height, scheme, reduced_motion="reduce")
    for mode, name in (
        *(("forward", name) for name in ("conv", "bn", "scores", "softmax")),
        *(("backward", name) for name in ("conv", "scores")),
    ):
        tab.evaluate(f"page.setMode('{mode}')")
        for show in ("page.overview()", f"page.openLayer({_id(tab, name)})"):
            for choice in ("number", "weights", "places", "whatif"):
                tab.evaluate(show)
                tab.evaluate(f"page.set({{ tab: '{choice}' }})")
                assert tab.evaluate("document.documentElement.scrollWidth") <= width
                nameless = tab.evaluate(
                    """[...document.querySelectorAll('button, select, input, canvas, svg, img')]
                        .filter((e) => !(e.ariaLabel || e.textContent.trim()
                          || e.closest('[aria-hidden=true]') || e.alt !== undefined
                          || e.closest('label'))).map((e) => e.outerHTML)"""
                )
                assert nameless == []
                cut = tab.evaluate(
                    """[...document.querySelectorAll('.number')]
                        .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent)"""
                )
                assert cut == []
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(int(c) for c in re.findall(r"\d+", ground)) < 60) == (scheme == "dark")
    tab.get_by_role("button", name="Switch to").click()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != ground


def _id(tab, name):
    return tab.evaluate("(name) => page.net.nodes.find((n) => n.name === name).id", name)


def test_an_image_that_a_map_responds_to_grows(tmp_path, opened):
    tab = opened(build(small_cnn(), photo((12, 12, 3)), tmp_path / "page.html"))
    open_layer(tab, "second")
    tab.get_by_role("tab", name="Where it looks").click()
    assert tab.locator(".crop").count() > 1
    tab.get_by_role("button", name="Grow an image").click()
    wait(tab, "document.querySelector('[data-dream]').textContent.includes('After 32')")
    said = tab.locator("[data-dream]").inner_text().replace("−", "-")
    now, before = re.findall(r"is (-?[\d.]+); with grey noise it was (-?[\d.]+)\.", said)[0]
    assert float(now) > float(before) + 0.1


def test_the_field_of_a_cell_is_what_pixels_change_it(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    open_layer(tab, "second")
    tab.get_by_role("tab", name="Where it looks").click()
    tab.evaluate("page.set({ at: [3, 0, 1] })")
    note = tab.locator(".arithmetic .note").inner_text()
    # second: rows 2–4, columns 0–1 of pool; pool: 4–9, 0–3 of first; first: 3–10, 0–4 of the photo
    assert "rows 3–10 and columns 0–4" in note


# -- what a reader takes from it -------------------------------------------------------------------


def plain():
    """A dead map, zero biases and one number far beyond the others."""
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
    kernel[..., 1] *= -1  # never answers to what is above zero
    model.get_layer("conv").set_weights([kernel, np.zeros(3)])
    model.get_layer("hidden").bias.value[:] = 0
    x = np.full((1, 24, 24, 1), 0.01, "float32")
    x[0, 12, 12] = 1
    x[0, 0, 0] = 3  # the strongest answer, and its window lies in the padding
    return model, x


@pytest.fixture(scope="module")
def plain_page(tmp_path_factory):
    model, x = plain()
    return model, x, build(model, x, tmp_path_factory.mktemp("plain") / "page.html")


def test_the_ends_of_a_scale_are_not_taken_for_the_extremes(plain_page, opened):
    model, x, path = plain_page
    y = model.forward(x)[1]["conv"].y
    tab = opened(path)
    open_layer(tab, "conv")
    said = tab.locator(".side").last.locator(".legend").inner_text()
    assert "≥ " in said
    assert f"largest {y.max():.3f}" in said
    assert "smallest 0" in said
    assert "% are beyond the scale" in said
    end = float(re.search(r"≥ ([\d.]+)", said)[1])
    beyond = 100 * float((np.abs(y) > end * 1.001).mean())
    assert f"{beyond:.1f} %" in said
    open_layer(tab, "scores")  # few numbers: all of them are within, and listed
    assert "beyond" not in tab.locator(".bench").inner_text()


def test_zeros_are_marked(plain_page, opened):
    tab = opened(plain_page[2])
    assert (
        tab.locator('.card[data-layer="conv"] canvas.zero[title="map 1, all zeros"]').count() == 1
    )
    open_layer(tab, "conv")
    assert tab.locator(".frame.zero").evaluate_all("(a) => a.map((e) => e.ariaLabel)") == [
        "map 1, all zeros"
    ]
    assert "bias: zero" in tab.locator(".sum").inner_text()
    assert "all zeros" not in tab.locator(".side").last.locator("figcaption").inner_text()
    tab.evaluate("page.chooseMap(1)")
    assert "all zeros" in tab.locator(".side").last.locator("figcaption").inner_text()
    tab.get_by_role("tab", name="Weights").click()
    bias, kernel = (tab.locator("section.weight", has_text=n).first for n in ("bias", "kernel"))
    assert "all zeros" in bias.inner_text()
    assert "all zeros" not in kernel.inner_text()
    open_layer(tab, "scores")
    tab.get_by_role("tab", name="This number").click()
    assert "bias" not in tab.locator(".sum").inner_text()  # it has none


def test_a_relu_tells_its_limit(plain_page, everything, opened):
    tab = opened(plain_page[2])
    open_layer(tab, "relu6")
    assert tab.locator(".arithmetic h3").inner_text() == "y = min(max(x, 0), 6)"
    assert "min(max(x, 0), 6)" in tab.locator(".facts").inner_text()
    heights = tab.locator(".graph").get_attribute("points").split()
    assert heights[-1].split(",")[1] == heights[-4].split(",")[1]  # the flat end is drawn, too
    open_layer(tab, "hidden")
    assert "relu6: min(max(z, 0), 6)" in tab.locator(".facts").inner_text()
    tab = opened(everything[2])
    open_layer(tab, "relu")
    assert "x above 0, 0.1 · x below, at most 0.4" in tab.locator(".facts").inner_text()


def test_a_dense_layer_has_units_and_no_maps(plain_page, opened):
    tab = opened(plain_page[2])
    for name in ("hidden", "scores"):
        open_layer(tab, name)
        for choice in ("This number", "Weights", "What if"):
            tab.get_by_role("tab", name=choice).click()
            text = tab.locator(".bench").inner_text()
            labels = tab.locator(".bench [aria-label]").evaluate_all(
                "(a) => a.map((e) => e.ariaLabel)"
            )
            said = re.sub(r"\(\d+, \d+\) map \d+", "", " ".join([text, *labels]))  # of its inputs
            assert not re.search(r"\b(map|pixel|cell|channel)s?\b", said), (name, choice, said)
    assert "click a unit to change it" in tab.locator(".bench").inner_text()


def test_the_cell_that_opens_first_lies_inside(plain_page, everything, opened):
    model, x, path = plain_page
    y = model.forward(x)[1]["conv"].y[0]
    assert np.unravel_index(y.argmax(), y.shape)[:2] in {(0, 0), (0, 1), (1, 0)}
    tab = opened(path)
    open_layer(tab, "conv")
    inner = y[1:-1, 1:-1]
    row, column, channel = np.unravel_index(inner.argmax(), inner.shape)
    assert tab.evaluate("page.state.at") == [row + 1, column + 1, channel]
    assert tab.locator(".grid-of .padded").count() == 0
    open_layer(tab, "relu6")  # has no window: that of the layer before counts
    assert tab.evaluate("page.state.at") == [row + 1, column + 1, channel]
    tab = opened(everything[2])
    # The padding of ZeroPadding2D is no picture either: ((1, 0), (2, 1)) around 13×11.
    assert tab.evaluate("page.net.innerCells(2, false)") == [1, 13, 2, 12]
    assert tab.evaluate(f"page.net.innerCells({_id(tab, 'conv')}, true)") == [1, 5, 1, 5]
    pool = _id(tab, "max_pool")  # sees as far as the edges; its own window need not
    assert tab.evaluate("(id) => page.net.innerCells(id, true)", pool) is None
    assert tab.evaluate("(id) => page.net.innerCells(id, false)", pool) == [1, 2, 1, 2]
    go_backward(tab)
    tab.evaluate(f"page.openLayer({_id(tab, 'conv')})")
    assert tab.locator(".grid-of .padded").count() < 9 * 6 * 2


def test_copies_of_a_pixel_see_what_it_sees(everything, opened):
    """The layer "up" makes two rows of each row that "dropout" passes on."""
    tab = opened(everything[2])
    up, below = _id(tab, "up"), _id(tab, "dropout")
    fields = "([id, rows]) => rows.map((row) => page.net.field(id, [row, 1, 0]))"
    found = tab.evaluate(fields, [below, [0, 3]])
    assert found[0] != found[1]
    copies = tab.evaluate(fields, [up, [0, 1, 6, 7]])
    assert copies == [found[0], found[0], found[1], found[1]]
    inner = "(id) => page.net.innerCells(id, false)"
    top, bottom, left, right = tab.evaluate(inner, below)
    assert tab.evaluate(inner, up) == [2 * top, 2 * bottom + 1, left, right]


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (390, 844)])
def test_a_page_is_no_taller_than_the_window_needs(plain_page, opened, size):
    tab = opened(plain_page[2], *size)
    for show in ("page.overview()", "page.openLayer(1)"):
        tab.evaluate(show)
        high, window = tab.evaluate(
            "[document.documentElement.scrollHeight, document.documentElement.clientHeight]"
        )
        content = tab.evaluate("Math.ceil(document.getElementById('app').offsetHeight)")
        assert high == max(window, content)
        if size[0] > 400:
            assert high <= window


def test_on_paper_it_is_a_light_desktop_s_and_nothing_is_cut(everything, opened, tmp_path):
    tab = opened(everything[2], 390, 844, "dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(ground)

    def print_it():
        tab.emulate_media(media="print")
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")

    def beyond():
        return tab.evaluate(
            """[...document.querySelectorAll('.card, canvas, table, .number, .panel, p, h3')]
                .filter((e) => e.getBoundingClientRect().right > 1281).map((e) => e.outerHTML)"""
        )

    print_it()
    assert tab.evaluate(ground) == "rgb(255, 255, 255)"
    assert tab.locator(".strip-of-network").count() > 1
    assert tab.locator(".card").count() == len(everything[0].layers)
    assert beyond() == []
    tab.evaluate("page.openLayer(3)")
    assert tab.locator(".side").count() == 2
    tops = tab.locator(".bench > *").evaluate_all("(a) => a.map((e) => e.offsetTop)")
    assert len(set(tops)) == 1  # three columns, as on a desk
    assert beyond() == []
    for control in ("Play", "Network", "Help", "Backward", "Its largest term"):
        for button in tab.get_by_role("button", name=control).all():
            assert not button.is_visible(), control
    tab.emulate_media(media="screen")
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(ground) == dark
    tab.evaluate("page.overview()")
    assert tab.locator(".strip-of-network").count() == 0
    tab.emulate_media(media="null")
    printed = tab.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    width, height = map(float, re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed).groups())
    assert width > height  # sheets lie on their side
    assert tab.locator(".strip-of-network").count() == 0  # and the screen is as it was


# -- what may stand in a page ----------------------------------------------------------------------


def test_text_from_files_stays_text(tmp_path, opened):
    evil = '</script><img src=x onerror="window.hacked=1"><!--'
    name = "<img src=x onerror='hacked=1'> & \u2028"
    convolution = layers.Conv2D(2, 3, name=name)
    model = Sequential([Input((6, 6, 3)), convolution, layers.Flatten(), layers.Dense(2)])
    path = build(
        model,
        photo((6, 6, 3)),
        tmp_path / "page.html",
        class_names=[evil, "{{script}}"],
        title=evil,
    )
    tab = opened(path, 390, 844)
    for mode in ("forward", "backward"):
        tab.evaluate(f"page.setMode('{mode}')")
        for view in ("page.overview()", "page.openLayer(1)", "page.openLayer(3)"):
            tab.evaluate(view)
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.evaluate("page.overview()")
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.images.length") == 0
    assert tab.locator("h1").inner_text() == evil
    assert tab.locator(".class-name").all_inner_texts() == [evil, "{{script}}"]
    assert evil in tab.title()


def test_what_does_not_fit_is_left_out_and_told(tmp_path, opened):
    """Ever smaller limits: each page still opens, says what is missing, and is right."""
    inputs = Input((24, 24, 3))
    x = layers.Conv2D(64, 3, name="block1_conv")(inputs)
    x = layers.BatchNormalization(name="block1_bn")(x)
    x = layers.Activation("relu", name="block1_relu")(x)
    x = layers.SeparableConv2D(128, 3, name="block2_sepconv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model, picture = Model(inputs, layers.Dense(4)(x)), photo((24, 24, 3)) / 255
    _, tape = model.forward(picture)
    sizes, told = [], set()
    for limit in (4_000_000, 900_000, 500_000, 330_000, 200_000):
        path = build(model, picture, tmp_path / f"{limit}.html", limit=limit)
        sizes.append(path.stat().st_size)
        tab = opened(path)
        notes = tab.evaluate("page.net.notes")
        told.update(notes)
        assert all(note in tab.locator(".notes").inner_text() for note in notes)
        for name in ("block1_conv", "block2_sepconv", "dense"):
            number = tab.evaluate(
                "(n) => page.net.nodes.find((m) => m.name.startsWith(n)).id", name
            )
            y = next(e.y for e in tape.entries if e.layer.name.startswith(name))[0]
            tab.evaluate(f"page.openLayer({number})")
            at = tab.evaluate("page.state.at")
            verdict = tab.locator(".verdict")
            if verdict.count():
                value = float(verdict.get_attribute("data-page"))
                assert value == pytest.approx(float(y[tuple(at)]), rel=2e-2, abs=1e-3)
            else:
                assert "left out" in tab.locator("#main").inner_text()
        tab.evaluate("page.setMode('backward')")
        tab.evaluate("page.overview()")
        whole = not any("kernels" in note or "of them are left out" in note for note in notes)
        assert tab.get_by_label("The class of the loss").is_enabled() == whole
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2
    assert len(told) > 1


def test_softmax_of_scores_that_are_left_out(tmp_path, opened):
    model = Sequential([Input((24, 24, 3)), layers.GlobalAveragePooling2D(), layers.Dense(300)])
    model.add(layers.Dense(60, activation="softmax", name="probabilities"))
    tab = opened(build(model, photo((24, 24, 3)) / 255, tmp_path / "page.html", limit=40_000))
    open_layer(tab, "probabilities")
    assert "probabilities (" in tab.locator(".notes").inner_text()
    assert "takes the scores of all classes" in tab.locator(".verdict").inner_text()
    assert tab.locator(".tick.off, .softmax").count() == 0


def with_a_large_dense(units=96):
    """Most of its weights are in one layer in the middle, as in VGG."""
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


def facts_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text("utf-8"))[1])


def test_a_model_that_fits_with_11_bits_keeps_all_kernels(tmp_path, opened):
    """Its large layer is stored as halves, and what-if and backward work as in any other page."""
    model, x = with_a_large_dense(), photo((12, 12, 3))
    assert model.get_layer("large").kernel.value.size == 27_648
    path = build(model, x, tmp_path / "page.html", limit=110_000)
    facts = facts_of(path)
    weights = {n["name"]: n["params"]["kernel"] for n in facts["nodes"] if n["params"]}
    halves = {name: facts["arrays"][w["at"]]["half"] for name, w in weights.items()}
    assert halves == {"conv": False, "large": True, "classes": False}  # only as many as it takes
    assert not any(w["kept"] for w in weights.values())
    tab = opened(path)
    assert "weights of large are stored with 11 bits" in tab.locator(".notes").inner_text()
    assert tab.locator(".reason").count() == 0
    open_layer(tab, "large")
    assert "weights stored with 11 bits" in tab.locator(".facts").inner_text()
    assert "stores these numbers with 11 bits" in tab.locator(".verdict").inner_text()
    assert tab.locator(".tick.off").count() == 0
    open_layer(tab, "conv")
    assert "11 bits" not in tab.locator(".layer").inner_text()
    tab.get_by_role("tab", name="What if").click()
    column = tab.evaluate("page.state.at")[2]
    field = tab.get_by_label("bias", exact=True)
    changed(tab, lambda: (field.fill("3"), field.press("Enter")))
    model.get_layer("conv").bias.value[column] = 3
    y, tape = model.forward(x)
    np.testing.assert_allclose(class_probabilities(tab), y[0], atol=5e-3)
    go_backward(tab)
    dy = y.copy()
    dy[0, tab.evaluate("page.net.target")] -= 1
    dx, _ = model.backward(dy, tape, at_logits=True)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(x.shape)
    np.testing.assert_allclose(found, dx, atol=1e-2 * np.abs(dx).max())


def test_what_a_cut_page_cannot_compute_is_grey_beforehand(tmp_path, opened):
    """The largest layer alone is cut, as far as it takes; and nothing is offered that fails."""
    model, x = with_a_large_dense(), photo((12, 12, 3))
    path = build(model, x, tmp_path / "page.html", limit=60_000)
    facts = facts_of(path)
    kept = {n["name"]: n["params"]["kernel"]["kept"] for n in facts["nodes"] if n["params"]}
    assert kept["conv"] is kept["classes"] is None
    assert 16 < len(kept["large"]) < 96
    assert sum((2 if a["half"] else 4) * a["n"] for a in facts["arrays"]) > 0.95 * 45_000  # filled
    tab, why = opened(path), f"{96 - len(kept['large'])} of the 96 units of large are left out"
    open_layer(tab, "large")
    assert tab.get_by_role("tab", name="What if").is_disabled()
    assert why in tab.locator(".reason").inner_text()
    open_layer(tab, "conv")  # a change here can be followed to `large`, and no further
    tab.get_by_role("tab", name="What if").click()
    assert why in tab.locator(".whatif .reason").inner_text()
    assert tab.locator(".off .classes").count() == 1
    assert tab.get_by_role("button", name="Backward").is_enabled()
    changed(tab, lambda: tab.get_by_role("button", name="blur").click())
    assert tab.get_by_role("button", name="Backward").is_disabled()
    assert why in tab.locator(".reason.under-top").inner_text()
    tab.keyboard.press("b")
    assert tab.evaluate("page.state.mode") == "forward"
    changed(tab, lambda: tab.evaluate("void page.resetChanges()"))
    assert tab.locator(".reason.under-top").count() == 0
    open_layer(tab, "classes")  # behind the cut all is whole
    tab.get_by_role("tab", name="What if").click()
    assert tab.locator(".reason, .off").count() == 0
    tab.evaluate("page.overview()")
    go_backward(tab)
    assert tab.get_by_label("The class of the loss").is_disabled()
    assert why in tab.locator(".outcome").inner_text()


def test_light_layers_behind_a_gap_are_stored(tmp_path, opened):
    """An output that is left out takes none with it that would fit."""
    inputs = Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", name="wide")(inputs)
    x = layers.MaxPooling2D(4, name="pool")(x)
    x = layers.Add(name="add")([x, layers.Conv2D(16, 1, name="one")(x)])
    model = Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    tab = opened(build(model, photo((32, 32, 3)), tmp_path / "page.html", limit=45_000))
    assert "of them are left out" in tab.locator(".notes").inner_text()
    assert tab.evaluate("page.net.nodes.filter((n) => !page.net.has(n.id)).map((n) => n.name)") == [
        "wide"
    ]
    assert tab.locator('.card.off[data-layer="wide"]').count() == 1
    open_layer(tab, "add")
    assert tab.locator(".tick.off").count() == 0


def test_a_photo_of_whole_pixels_loses_nothing_to_11_bits(tmp_path):
    model = seeded(Sequential([Input((64, 64, 3)), layers.Flatten(), layers.Dense(2)]))
    facts = facts_of(build(model, photo((64, 64, 3)), tmp_path / "page.html", limit=170_000))
    assert facts["arrays"][facts["nodes"][0]["y"]] | {"at": 0} == {
        **{"at": 0, "n": 64 * 64 * 3, "half": True, "scale": 1.0}
    }
    assert not any("image" in note for note in facts["notes"])


def test_a_model_that_never_fits_is_refused(tmp_path):
    with pytest.raises(ValueError, match="too big for a page of 0 million characters"):
        build(small_cnn(), photo((12, 12, 3)), tmp_path / "page.html", limit=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_small_cnn_takes_less_than_five_megabytes():
    model = Sequential(
        [
            *(Input((64, 64, 3)), layers.Rescaling(1 / 255)),
            *(layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.GlobalAveragePooling2D(), layers.Dense(10)),
        ]
    )
    page = build(model, photo((64, 64, 3)))
    assert isinstance(page, str)
    assert len(page.encode()) < 5_000_000
    assert json.loads(re.search(r'id="data">(.*?)</script>', page)[1])["notes"] == []


def test_nested_models_are_laid_open(tmp_path, opened):
    convolution = layers.Conv2D(4, 3, name="inside")
    inner = Sequential([Input((8, 8, 3)), convolution, layers.ReLU()], name="base")
    inputs = Input((8, 8, 3))
    x = layers.Add()([inner(inputs), inner(layers.Rescaling(0.5)(inputs))])
    model = Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    picture = photo((8, 8, 3)) / 255
    tab = opened(build(model, picture, tmp_path / "page.html"))
    names = tab.evaluate("page.net.nodes.map((n) => n.name)")
    assert "inside" in names
    assert "inside (2)" in names  # used twice
    tab.evaluate("page.setMode('backward')")
    y, tape = model.forward(picture)
    y = y.copy()
    y[0, tab.evaluate("page.net.target")] -= 1
    dx, _ = model.backward(y, tape, at_logits=True)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(dx.shape)
    np.testing.assert_allclose(found, dx, rtol=1e-4, atol=1e-6)


def test_a_layer_of_the_user_s_own_is_shown_without_its_arithmetic(tmp_path, opened):
    class Square(layers.Layer):
        def compute(self, x, training):
            return x * x, {"x": x}

        def compute_gradients(self, dz, cache, need_dx):
            return 2 * cache["x"] * dz, {}

    model = Sequential([Input((6, 6, 3)), Square(name="square"), layers.Flatten(), layers.Dense(2)])
    tab = opened(build(model, photo((6, 6, 3)) / 255, tmp_path / "page.html"))
    open_layer(tab, "square")
    assert "no formula for Square" in tab.locator(".arithmetic").inner_text()
    tab.evaluate("page.setMode('backward')")


def test_training_hides_the_arithmetic_of_what_differs_in_it_alone():
    x = inputs = Input((6, 6, 3))
    for layer in (layers.ZeroPadding2D(), layers.Dropout(0.5), layers.BatchNormalization()):
        x = layer(x, training=True)
    model = Model(inputs, x)
    image = photo((6, 6, 3))
    found, _ = uses_of(model, model.forward(image)[1], image)
    assert [use.known for use in found[1:]] == [True, False, False]


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_a_single_score(tmp_path, opened, activation):
    model = Sequential([Input((6, 6, 1)), layers.Flatten(), layers.Dense(1, activation=activation)])
    tab = opened(build(model, photo((6, 6, 1)) / 255, tmp_path / "page.html"))
    tab.evaluate("page.setMode('backward')")
    if activation is None:
        assert "does not end in one score per class" in tab.locator(".outcome").inner_text()
    else:
        assert tab.locator(".outcome [data-p]").count() == 2
        tab.evaluate("page.openLayer(2)")
        assert tab.locator(".tick.off").count() == 0


# -- bad input -------------------------------------------------------------------------------------


def _with_nan():
    model = small_cnn()
    model.get_layer("first").kernel.value[0, 0, 0, 0] = np.nan
    return model


def _overflowing():
    model = small_cnn()
    for layer in ("first", "second"):
        model.get_layer(layer).kernel.value[:] = 1e30
    return model


@pytest.mark.parametrize(
    ("make", "x", "options", "message"),
    [
        (_with_nan, photo((12, 12, 3)), {}, r"weight first/kernel has NaN or infinite values"),
        (small_cnn, photo((12, 12, 3)) * np.nan, {}, "image has NaN or infinite pixels"),
        (_overflowing, photo((12, 12, 3)), {}, "gives NaN or infinity"),
        (small_cnn, photo((9, 9, 3)), {}, r"expects x.shape=\(batch, 12, 12, 3\)"),
        (small_cnn, np.zeros((12, 12), "float32"), {}, "models that look at images"),
        (
            small_cnn,
            photo((12, 12, 3)),
            {"class_names": ["a"]},
            "distinguishes 3 classes. Received 1",
        ),
        (small_cnn, photo((12, 12, 3)), {"y": 3}, "a class from 0 to 2. Received 3"),
        (
            small_cnn,
            photo((12, 12, 3)),
            {"y": "d", "class_names": ["a", "b", "c"]},
            "no class 'd'. There are a, b, c",
        ),
        (small_cnn, photo((12, 12, 3)), {"y": "d"}, "no class 'd'. The model has no class names"),
        (
            lambda: Sequential([Input((4,)), layers.Dense(2)]),
            np.zeros((1, 4)),
            {},
            "look at images",
        ),
    ],
)
def test_bad_input_ends_in_one_sentence(make, x, options, message):
    with pytest.raises(ValueError, match=message), np.errstate(all="ignore"):
        build(make(), x, **options)


def test_an_old_page_stays_if_the_new_one_fails(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="NaN"):
        build(_with_nan(), photo((12, 12, 3)), path)
    assert path.read_text() == "old"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build(small_cnn(), photo((12, 12, 3)), tmp_path / "no" / "page.html")


def test_the_page_holds_its_modules_as_they_are():
    folder = Path(page_room.__file__).parent
    sources = {f"page/{p.relative_to(folder).as_posix()}": p for p in folder.rglob("*.js")}
    page = build(small_cnn(), photo((12, 12, 3)))
    (text,) = re.findall(r'<script type="importmap">(.*?)</script>', page)
    held = json.loads(text)["imports"]
    assert held.keys() == sources.keys()
    assert "page/app.js" in held
    for name, url in held.items():
        kind, _, data = url.partition(",")
        assert kind == "data:text/javascript;base64"
        source = sources[name].read_text("utf-8")
        assert base64.b64decode(data).decode("utf-8").startswith(source)
        assert set(re.findall(r'^(?:import|\}) .*from "([^"]+)";$', source, re.M)) <= held.keys()
    assert page_room.__all__ == ["build", "kind_of"]
