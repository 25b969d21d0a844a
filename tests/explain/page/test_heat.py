"""The page's heat maps are minicnn's, and the view shows each number's sum."""

import numpy as np
import pytest
from pages import NAMES, open_layer, photo, seeded, small_cnn, wait, with_a_large_dense

from minicnn import Input, Model, Sequential, explain, layers
from minicnn.explain.page import build
from minicnn.explain.preferred import Waves
from minicnn.explain.randomized import spearman

MAKE = """async ([method, target, node]) => {
    const choice = { target, nodes: [node], forgotten: null };
    const found = await page.heatMaps.METHODS[method].compute(page.net, choice, () => true);
    return { shape: found.values.shape, values: Array.from(found.values.data),
        pixels: Array.from(found.pixels.data), ...found.rows && { rows: found.rows },
        total: found.total, score: found.score, baseline: found.baseline };
}"""


def assert_same_maps(tab, model, x, target, class_index, layer):
    trace = model.trace(x)
    node = tab.evaluate("(name) => page.net.nodes.find((n) => n.name === name).id", layer)
    for method in explain.HEATMAPS:
        options = {"steps": 24} if method == "integrated_gradients" else {}
        if method == "grad_cam":
            options["layer"] = layer
        heat = trace.heatmap(method, class_index, **options)
        found = tab.evaluate(MAKE, [method, target, node])
        assert tuple(found["shape"]) == heat.values.shape
        close = {"rtol": 2e-3, "atol": 2e-3 * float(np.abs(heat.values).max())}
        np.testing.assert_allclose(
            np.reshape(found["values"], heat.values.shape), heat.values, **close, err_msg=method
        )
        np.testing.assert_allclose(
            np.reshape(found["pixels"], x.shape[1:3]), heat.pixels, **close, err_msg=method
        )
    # Large shares of both signs may add up to nearly nothing.
    rounding = 1e-3 * float(np.abs(heat.values).sum())
    assert found["total"] == pytest.approx(heat.total, abs=rounding)
    assert found["score"] - found["baseline"] == pytest.approx(heat.gain, abs=rounding)


@pytest.mark.slow
def test_the_maps_of_every_layer_are_minicnn_s(everything, opened):
    model, x, path = everything
    assert_same_maps(opened(path), model, x, 2, 2, "conv")


def with_end(*end):
    return seeded(
        Sequential(
            [
                *(Input((11, 9, 3)), layers.Rescaling(1 / 255)),
                layers.Conv2D(4, 3, strides=2, activation="relu", name="conv"),
                layers.SeparableConv2D(5, 2, activation="tanh", name="maps"),
                *(layers.Flatten(), *end),
            ]
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "target"),
    [
        ([layers.Dense(4, activation="softmax")], 3),
        ([layers.Dense(4)], 1),
        ([layers.Dense(1, activation="sigmoid")], 1),
        ([layers.Dense(1, activation="sigmoid")], 0),
        ([layers.Dense(3), layers.Softmax()], 0),
        ([layers.Dense(3, activation="tanh")], 2),  # no classes: the number itself
    ],
    ids=["softmax", "scores", "sigmoid", "other sigmoid", "softmax layer", "no classes"],
)
def test_the_maps_of_every_kind_of_output_are_minicnn_s(tmp_path, opened, end, target):
    model, x = with_end(*end), photo((11, 9, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    assert_same_maps(tab, model, x, target, target, "maps")


def test_ranks_are_correlated_as_in_minicnn(everything, opened):
    rng = np.random.default_rng(3)
    pairs = [rng.integers(0, 6, (2, 20)).tolist(), rng.normal(size=(2, 30)).tolist()]
    tab = opened(everything[2])
    for a, b in pairs:
        found = tab.evaluate("([a, b]) => page.heatMaps.spearman(a, b)", [a, b])
        assert found == pytest.approx(spearman(np.array(a), np.array(b)))
    assert tab.evaluate("Number.isNaN(page.heatMaps.spearman([1, 1], [1, 2]))")


def test_a_network_forgets_the_same_numbers_in_another_order(tmp_path, opened):
    model = small_cnn()
    tab = opened(build(model, photo((12, 12, 3)), tmp_path / "page.html"))
    assert tab.evaluate("page.heatMaps.forgetful(page.net).map((n) => n.name)") == [
        *("scores", "second", "first")
    ]
    found = tab.evaluate(
        """() => [...page.heatMaps.forget(page.net, 2)].map(([key, own]) =>
            [key, Array.from(own.kernel.data), Array.from(own.bias.data)])"""
    )
    assert [key for key, *_ in found] == ["scores", "second"]
    for key, kernel, bias in found:
        own = model.get_layer(key)
        for shuffled, variable in ((kernel, own.kernel), (bias, own.bias)):
            assert sorted(shuffled) == sorted(variable.value.ravel().tolist())
        assert kernel != own.kernel.value.ravel().tolist()


def heats(tab, act):
    """Do something, and wait until the heat maps that it asks for are there."""
    before = tab.evaluate("Number(document.getElementById('app').dataset.heats ?? 0)")
    act()
    wait(tab, "(n) => Number(document.getElementById('app').dataset.heats ?? 0) > n", before)


def open_heat(tab):
    heats(tab, lambda: tab.get_by_role("button", name="Why did it decide so?").click())


def value_of(tab):
    """Return the number that the sum on the page ends with."""
    shown = tab.locator(".heat .quantity.strong b").get_attribute("title")
    return float(shown.replace("−", "-"))


@pytest.mark.slow
def test_four_maps_side_by_side_and_the_sum_behind_a_cell(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html", class_names=NAMES[:3]))
    open_heat(tab)
    trace, likely = model.trace(x), int(model.predict(x, verbose=0).argmax())
    assert tab.locator("[data-heat] canvas").count() == 4
    assert tab.locator("[data-heat=grad_cam].chosen").count() == 1
    cam = trace.heatmap(class_index=likely, layer="second")
    at = np.unravel_index(cam.values.argmax(), cam.values.shape)
    assert value_of(tab) == pytest.approx(cam.values.max(), rel=1e-4)
    terms = tab.locator(".heat .terms tbody tr th").all_inner_texts()
    largest = cam.explain(at).largest()
    assert terms[0] == f"map {largest.channel[0]}"

    # A click chooses a cell, arrow keys move it, and a screen reader hears its number.
    canvas = tab.locator("[data-focus=heat-gradient_x_input]")
    box = canvas.bounding_box()
    cell = (box["width"] - 8) / 12
    canvas.click(position={"x": 4 + 5.5 * cell, "y": 4 + 3.5 * cell})
    pixels = trace.heatmap("gradient_x_input", likely).values
    assert tab.evaluate("page.state.heat.at") == [3, 5]
    assert value_of(tab) == pytest.approx(pixels[3, 5], rel=1e-3, abs=1e-6)
    assert set(tab.locator(".heat .terms tbody th").all_inner_texts()) == {"red", "green", "blue"}
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("page.state.heat.at") == [4, 5]
    assert value_of(tab) == pytest.approx(pixels[4, 5], rel=1e-3, abs=1e-6)
    wait(tab, "document.querySelector('.live').textContent.includes('row 4, column 5')")
    tab.locator("[data-focus=heat-occlusion]").click(position={"x": 30, "y": 30})
    occluded = trace.heatmap("occlusion", likely)
    row, column = tab.evaluate("page.state.heat.at")
    assert value_of(tab) == pytest.approx(occluded.values[row, column], rel=1e-3, abs=1e-6)
    assert tab.get_by_role("img", name="The covered photo").count() == 1
    tab.locator("[data-focus=heat-integrated_gradients]").click()
    whole = tab.locator(".heat .verdict[data-total]")
    total, gain = (float(whole.get_attribute(f"data-{name}")) for name in ("total", "gain"))
    assert total == pytest.approx(gain, abs=0.05 * abs(gain) + 0.05)

    tab.keyboard.press("Escape")
    assert tab.locator(".overview").count() == 1


@pytest.mark.slow
def test_another_class_another_layer_and_a_network_that_forgets(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html", class_names=NAMES[:3]))
    open_heat(tab)
    trace = model.trace(x)
    heats(tab, lambda: tab.get_by_label("what speaks for").select_option("hat"))
    heats(tab, lambda: tab.get_by_label("Grad-CAM of").select_option("first"))
    wanted = trace.heatmap(class_index=1, layer="first").values
    found = tab.evaluate("Array.from(page.heat.maps.grad_cam.values.data)")
    np.testing.assert_allclose(found, wanted.ravel(), rtol=1e-3, atol=1e-4 * wanted.max())
    assert tab.locator("[data-correlation]").count() == 0
    heats(tab, lambda: tab.get_by_label("the network").select_option("forgets down to second"))
    shown = tab.locator("[data-correlation]")
    assert shown.count() == 4
    real, now = tab.evaluate(
        "['real', 'maps'].map((k) => Array.from(page.heat[k].occlusion.values.data))"
    )
    said = float(shown.nth(1).get_attribute("data-correlation"))
    assert said == pytest.approx(spearman(np.array(real), np.array(now)))
    # Back to the network as it is: the same maps as before.
    heats(tab, lambda: tab.get_by_label("the network").select_option("as it is"))
    again = tab.evaluate("Array.from(page.heat.maps.occlusion.values.data)")
    assert again == real
    # A changed pixel makes other maps, and the way back leads through the network.
    tab.get_by_role("button", name="Network").click()
    tab.evaluate("page.changeCell(0, 0, 255)")
    open_heat(tab)
    assert tab.evaluate("Array.from(page.heat.maps.occlusion.values.data)") != real
    tab.get_by_role("button", name="Backward").click()
    wait(tab, "document.querySelector('[data-focus=mode-backward]').ariaPressed === 'true'")
    assert tab.locator(".overview").count() == 1


@pytest.mark.slow
def test_a_term_of_grad_cam_leads_to_its_map(tmp_path, opened):
    tab = opened(build(small_cnn(), photo((12, 12, 3)), tmp_path / "page.html"))
    open_heat(tab)
    at = tab.evaluate("page.state.heat.at")
    tab.locator(".heat .terms .pick").first.click()
    assert tab.locator(".layer-head h2").inner_text().startswith("second")
    assert tab.evaluate("page.state.at.slice(0, 2)") == at


@pytest.mark.slow
def test_grad_cam_of_a_network_with_several_ends_is_that_of_all(tmp_path, opened):
    """A network that also sees the photo mirrored, and upside down; the maps are flipped back."""
    inputs, conv = Input((8, 8, 3)), layers.Conv2D(3, 3, activation="relu", name="conv")
    average = layers.GlobalAveragePooling2D()
    seen = [inputs, inputs[:, :, ::-1], inputs[:, ::-1, ::-1]]
    last = average(layers.Conv2D(3, 3, name="part")(inputs[:, 3:, :]))
    mean = layers.Average(name="mean")([*(average(conv(one)) for one in seen), last])
    ensemble = seeded(Model(inputs, layers.Softmax(name="chances")(mean)))
    x = photo((8, 8, 3))
    tab = opened(build(ensemble, x, tmp_path / "page.html"))
    open_heat(tab)
    target = tab.evaluate("page.state.heat.target")
    heat = ensemble.trace(x).heatmap(class_index=target)
    assert len(heat.parts) == 4
    shown = "Array.from(page.heat.maps.grad_cam.values.data)"
    close = {"rtol": 2e-3, "atol": 2e-3 * float(heat.values.max())}
    np.testing.assert_allclose(tab.evaluate(shown), heat.values.ravel(), **close)
    assert tab.locator("[data-focus=heat-layer] option:checked").inner_text() == (
        "all 4 ends, added up"
    )
    at = tuple(tab.evaluate("page.state.heat.at"))
    assert value_of(tab) == pytest.approx(heat.explain(at).value, rel=1e-3)
    # A term leads to the Grad-CAM of its layer alone.
    term = tab.locator(".heat .terms .pick").first
    name = term.inner_text()
    heats(tab, term.click)
    assert tab.locator("[data-focus=heat-layer] option:checked").inner_text() == name
    largest = int(np.argmax([part.pixels[flip][at] for part, flip in zip(heat.parts, heat.flips)]))
    part = heat.parts[largest].values
    np.testing.assert_allclose(tab.evaluate(shown), part.ravel(), **close)


def test_what_a_cut_page_cannot_compute_is_said(tmp_path, opened):
    model, x = with_a_large_dense(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html", limit=60_000))
    heats(tab, lambda: tab.get_by_role("button", name="Why did it decide so?").click())
    said = tab.locator(".heats .void").all_inner_texts()
    assert len(said) == 4
    assert all("Not available." in text and "units of large are left out" in text for text in said)


def test_the_weights_of_one_class_are_enough_for_its_gradients(tmp_path, opened):
    """Of a last layer with many classes a page has only those that are likely."""
    model = seeded(
        Sequential(
            [
                *(Input((12, 12, 3)), layers.Rescaling(1 / 255)),
                layers.Conv2D(8, 3, padding="same", activation="relu", name="maps"),
                *(layers.MaxPooling2D(), layers.Flatten()),
                layers.Dense(200, activation="softmax", name="classes"),
            ]
        )
    )
    x = photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html", limit=90_000))
    kept = tab.evaluate("page.net.nodes.at(-1).params.kernel.kept")
    assert 4 <= len(kept) < 200
    open_heat(tab)
    target = tab.evaluate("page.state.heat.target")
    assert target in kept
    assert tab.locator("[data-heat] canvas").count() == 2
    trace, node = model.trace(x), tab.evaluate("page.state.heat.node")
    layer = tab.evaluate("(node) => page.net.nodes[node].name", node)
    for method, options in (("grad_cam", {"layer": layer}), ("gradient_x_input", {})):
        wanted = trace.heatmap(method, target, **options).values
        found = np.reshape(tab.evaluate(MAKE, [method, target, node])["values"], wanted.shape)
        np.testing.assert_allclose(found, wanted, rtol=5e-2, atol=5e-3 * np.abs(wanted).max())


def test_a_network_without_maps_or_classes_has_the_other_maps(tmp_path, opened):
    inputs = Input((6, 6, 3))
    outputs = layers.Dense(2, activation="tanh", name="two")(layers.Flatten()(inputs))
    model = seeded(Model(inputs, outputs))
    tab = opened(build(model, photo((6, 6, 3)), tmp_path / "page.html", y=1))
    heats(tab, lambda: tab.get_by_role("button", name="Why is it so?").click())
    assert "No layer has maps" in tab.locator("[data-heat=grad_cam]").inner_text()
    assert tab.locator("[data-heat] canvas").count() == 3
    assert "two[1] = " in tab.locator(".heats").inner_text()


@pytest.mark.slow
def test_it_fits(everything, opened):
    tab = opened(everything[2])
    open_heat(tab)
    for width, height in ((1280, 720), (1920, 1080), (320, 640)):
        tab.set_viewport_size({"width": width, "height": height})
        tab.evaluate("page.render()")
        assert tab.locator("[data-heat] canvas").count() == 4
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        nameless = tab.evaluate(
            """[...document.querySelectorAll('.heat button, .heat select, .heat canvas')]
                .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.closest('label')))"""
        )
        assert nameless == []
    open_layer(tab, "conv")  # Escape leads back


@pytest.mark.slow
def test_an_address_leads_to_the_maps_and_another_photo_makes_others(tmp_path, opened):
    model, first, second = small_cnn(), photo((12, 12, 3)), photo((12, 12, 3), seed=1)
    path = build(model, np.concatenate([first, second]), tmp_path / "page.html")
    tab = opened(path)
    heats(tab, lambda: tab.evaluate("location.hash = '#:heat'"))
    assert tab.locator("[data-heat] canvas").count() == 4
    heats(tab, lambda: tab.keyboard.press("p"))
    index = tab.evaluate("page.state.heat.target")
    wanted = model.trace(second).heatmap("gradient_x_input", index).values
    found = tab.evaluate("Array.from(page.heat.maps.gradient_x_input.values.data)")
    close = {"rtol": 1e-3, "atol": 1e-4 * np.abs(wanted).max()}
    np.testing.assert_allclose(found, wanted.ravel(), **close)


@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 7, 1), (3, 3, 2)])
def test_images_are_made_of_minicnn_s_waves(everything, opened, shape):
    waves, rng = Waves(shape), np.random.default_rng(5)
    strengths, dy = rng.normal(size=waves.shape), rng.normal(size=shape)
    found = opened(everything[2]).evaluate(
        """([shape, strengths, dy]) => {
            const waves = new page.heatMaps.Waves(shape);
            const image = waves.image(Float64Array.from(strengths));
            const gradient = waves.gradient(page.array(shape, Float64Array.from(dy)));
            return [Array.from(image.data), Array.from(gradient)];
        }""",
        [list(shape), strengths.ravel().tolist(), dy.ravel().tolist()],
    )
    for ours, theirs in zip(found, (waves.image(strengths), waves.gradient(dy))):
        np.testing.assert_allclose(ours, theirs.ravel(), rtol=1e-9, atol=1e-9)
