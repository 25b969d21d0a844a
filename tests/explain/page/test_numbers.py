"""The numbers on the page agree with minicnn's for every layer, option and gradient.

A real browser opens the page from a file, without internet.
"""

import json
import re

import numpy as np
import pytest
from pages import (
    click_on_layers,
    every_operation,
    go_backward,
    numbers,
    open_layer,
    photo,
    random_layers,
    seeded,
    wait,
)

from minicnn import Input, Model, Sequential, functional, layers
from minicnn.explain.page import build


def test_each_layer_opens_with_a_click_and_says_what_minicnn_says(everything, opened):
    model, x, path = everything
    tab, (_, tape) = opened(path), model.forward(x)
    names = [entry.layer.name for entry in tape.entries]
    for entry, said in zip(tape.entries, click_on_layers(tab, names), strict=True):
        assert said["title"].startswith(entry.layer.name)
        assert said["form"] != "none", said
        wanted = float(entry.y[0][tuple(said["at"])])
        assert said["value"] == pytest.approx(wanted, rel=1e-4, abs=1e-5), said
        assert "minicnn says" in said["verdict"]
        assert said["off"] == 0, said


def test_any_cell_of_any_layer_is_the_sum_that_the_page_shows(everything, opened):
    model, x, path = everything
    tab, (_, tape) = opened(path), model.forward(x)
    rng = np.random.default_rng(1)
    ids = tab.evaluate("Object.fromEntries(page.net.nodes.map((n) => [n.name, n.id]))")
    assert {type(e.layer).__name__ for e in tape.entries} | {"InputLayer"} == set(layers.LAYERS)
    for entry in tape.entries:
        shape = entry.y.shape[1:]
        places = [[int(rng.integers(n)) for n in shape] for _ in range(12)]
        places += [[0] * len(shape), [n - 1 for n in shape]]  # near the padding
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
    tab.evaluate("page.moveTo([0, 0, 0])")  # with 14 pixels, the one zero goes below and right
    assert tab.locator(".grid-of .padded").count() == 0
    tab.evaluate("page.moveTo([6, 6, 0])")
    assert tab.locator(".grid-of .padded").count() == 3 * 5 * 2  # in the patch and in the products
    window = functional.conv2d(
        model.forward(x)[1]["pad"].y,
        model.get_layer("conv").kernel.value,
        strides=2,
        padding="same",
    )
    total = tab.evaluate("page.explain(page.net, page.state.node, [6, 6, 0]).total")
    assert total == pytest.approx(float(window[0, 6, 6, 0]), rel=1e-4)


def check_every_cell_and_gradient(tab, model, x, seed=4):
    """Assert that the page explains numbers and gradients of all layers as minicnn has them."""
    y, tape = model.forward(x)
    rng = np.random.default_rng(seed)
    ids = tab.evaluate("Object.fromEntries(page.net.nodes.map((n) => [n.name, n.id]))")
    for entry in tape.entries:
        places = [[int(rng.integers(n)) for n in entry.y.shape[1:]] for _ in range(10)]
        given = [ids[entry.layer.name], places]
        found = numbers(tab, "a[1].map((at) => page.explain(page.net, a[0], at).value)", given)
        wanted = [entry.y[0][tuple(at)] for at in places]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5, err_msg=entry.layer.name)
    go_backward(tab)
    for said in click_on_layers(tab, list(ids)[1:]):
        assert said["form"] != "none", said
        assert said["off"] == 0, said
    sums = numbers(
        tab,
        """page.net.nodes.slice(0, -1).flatMap((node) => {
            const dy = page.net.dy(node.id);
            const sent = (at) => [...new Set(node.consumers)].flatMap((next) =>
                page.net.nodes[next].inputs.map((i, k) =>
                    (i === node.id ? page.explainInput(page.net, next, at, k).value : 0)))
                .reduce((a, b) => a + b, 0);
            const most = Math.max(...dy.data.map(Math.abs)) || 1;
            return [0.1, 0.5, 0.9].map((share) => {
                const at = dy.shape.map((n) => Math.floor(share * n));
                const o = at.reduce((sum, v, i) => sum * dy.shape[i] + v, 0);
                return Math.abs(sent(at) - dy.data[o]) / most;
            });
        })""",
    )
    assert sums.max() < 1e-4
    dy = y.copy()
    dy[0, tab.evaluate("page.net.target")] -= 1
    dx, grads = model.backward(dy, tape, at_logits=True)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(dx.shape)
    np.testing.assert_allclose(found, dx, rtol=1e-3, atol=1e-4 * np.abs(dx).max())
    for key, gradient in grads.items():
        name, weight = key.split("/")
        at = [int(rng.integers(n)) for n in gradient.shape]
        total = tab.evaluate(
            "(a) => page.explainWeight(page.net, a[0], a[1], a[2]).total", [ids[name], weight, at]
        )
        scale = float(np.abs(gradient).max())
        assert total == pytest.approx(float(gradient[tuple(at)]), rel=1e-3, abs=1e-4 * scale), key


def test_arithmetic_and_the_layers_of_keras_s_own_networks(tmp_path, opened):
    model, x = every_operation(), photo((6, 5, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    check_every_cell_and_gradient(tab, model, x)


def test_a_network_of_lines(tmp_path, opened):
    model = Sequential(
        [
            *(Input((14, 2)), layers.Conv1D(4, 3, activation="relu", name="conv")),
            *(layers.MaxPooling1D(name="pool"), layers.Flatten(name="flatten")),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )
    x = np.random.default_rng(2).normal(size=(2, 14, 2)).astype("float32")
    tab = opened(build(seeded(model), x, tmp_path / "page.html"))
    assert "the input" in tab.locator(".card").first.inner_text()
    tab.evaluate("page.openLayer(0)")
    assert tab.locator(".arithmetic h3").inner_text() == "Step 7"
    assert tab.locator(".numbers .number").count() == 2
    tab.keyboard.press("p")
    wait(tab, "page.net.shown === 1")
    found = numbers(tab, "Array.from(page.net.y(page.net.output).data)")
    np.testing.assert_allclose(found, model.forward(x[1:])[0][0], rtol=1e-4)
    tab.keyboard.press("p")
    wait(tab, "page.net.shown === 0")
    tab.evaluate("page.openLayer(1)")
    assert tab.get_by_role("tab", name="Where it looks").is_disabled()
    tab.get_by_role("tab", name="What if").click()
    assert tab.locator(".whatif").count() == 1
    assert "lines, not images" in tab.get_by_role("button", name="Add").get_attribute("title")
    check_every_cell_and_gradient(tab, model, x[:1])


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(5, 3, padding="same", activation="softmax", name="last"),
        layers.Conv2D(5, 1, activation="softmax", name="last"),
        layers.SeparableConv2D(5, 3, activation="softmax", name="last"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, activation="softmax", name="last"),
        layers.Conv2DTranspose(4, 3, 2, activation="softmax", name="last"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_convolution_s_softmax_takes_the_sums_of_all_maps(tmp_path, opened, layer):
    model, x = Sequential([Input((8, 7, 3)), layer]), photo((8, 7, 3)) / 255
    tab = opened(build(seeded(model), x, tmp_path / "page.html"))
    y = model.forward(x)[0][0]
    places = [[0, 0, 0], [2, 3, 1], [4, 4, 2]]
    found = numbers(tab, "a.map((at) => page.explain(page.net, 1, at).value)", places)
    np.testing.assert_allclose(found, [y[tuple(at)] for at in places], rtol=1e-4)
    tab.evaluate("page.openAt(1, [2, 3, 1])")
    assert tab.locator(".tick.off").count() == 0
    assert tab.locator(".softmax tbody tr").count() == y.shape[2]


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
    names = tab.evaluate("page.net.nodes.slice(1).map((n) => n.name)")
    for said in click_on_layers(tab, names):
        assert said["title"].startswith(said["name"])
        assert said["form"] != "none", said
        assert said["off"] == 0, said
    # Only an activation has numbers before it.
    captions = {"conv": "dL/dz of conv\nbefore the activation, map", "bn": "dL/dz of bn\nmap",
                "flatten": "dL/d flatten"}  # fmt: skip
    for name, caption in captions.items():
        tab.evaluate(
            "(name) => page.openLayer(page.net.nodes.find((n) => n.name === name).id)", name
        )
        assert tab.locator(".bench .side figcaption").last.inner_text().startswith(caption)
    # A root has brackets, since a number may be a product: √(1.2·10⁴).
    node = "page.net.nodes.find((n) => n.type === 'Normalization').id"
    lines = f"page.explain(page.net, {node}, [0, 0, 0]).lines"
    assert tab.evaluate(f"{lines}.at(-1)[1]").startswith("÷ √(")
    # What all consumers of a layer send back adds up to its gradient.
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


def test_the_loss_of_one_class_and_of_another(everything, opened):
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
    """Return a model without classes, whose output is an image."""
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


def test_features_are_not_taken_for_scores(tmp_path):
    model = Sequential([Input((6, 6, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])
    facts = re.search(r'id="data">(.*?)</script>', build(model, photo((6, 6, 3))))[1]
    assert json.loads(facts)["kind"] == ""


def test_a_trace_of_another_loss_makes_a_page(tmp_path):
    labels = layers.Dense(3, activation="sigmoid")  # several of them may be true
    model = Sequential([Input((6, 6, 1)), layers.Flatten(), labels])
    trace = model.trace(photo((6, 6, 1)), y=[[0, 1, 1]], loss="binary_crossentropy")
    assert trace.to_html(tmp_path / "page.html").exists()


def test_the_reader_chooses_one_of_several_outputs(tmp_path, opened):
    inputs = Input((6, 6, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    kind = layers.Dense(3, activation="softmax", name="kind")(layers.Flatten()(x))
    warm = layers.Dense(1, activation="sigmoid", name="warm")(layers.GlobalMaxPooling2D()(x))
    model, picture = Model(inputs, [kind, warm]), photo((6, 6, 3)) / 255
    tab = None
    for output, name, count in ((None, "kind", 3), ("warm", "warm", 2), (1, "warm", 2)):
        tab = opened(build(model, picture, tmp_path / "page.html", output=output), tab=tab)
        assert f"(kind, warm) this page shows {name}." in tab.locator(".notes").inner_text()
        assert tab.locator(".outcome [data-p]").count() == count
        assert tab.evaluate("page.net.nodes.at(-1).name") == name
    with pytest.raises(ValueError, match=r"the outputs \['kind', 'warm'\]. Received output='cold'"):
        build(model, picture, output="cold")


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
        shape = (1, 17, 4) if layer.input_rank == 3 else (1, 9, 8, 4)
        x = np.round(rng.normal(size=shape), 1).astype("float32")  # rounded, to have ties
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
