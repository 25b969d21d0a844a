"""The page fills the window, shows where there is more, and says what its colours mean."""

import re

import numpy as np
import pytest
from pages import photo, seeded, wait

from minicnn import Input, Model, Sequential, layers
from minicnn.explain.page import build


def chain(length, filters=16):
    """Return a model of many convolutions, one after the other, with windows of several sizes."""
    sizes = {4: 5, 5: 7}
    stack = [
        layers.Conv2D(filters, sizes.get(k, 3), padding="same", name=f"conv{k}")
        for k in range(length)
    ]
    ends = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax", name="classes")]
    return seeded(Sequential([Input((16, 16, 3)), *stack, *ends]))


def residual():
    """Return a model with a short second path."""
    inputs = Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same", name="conv")(inputs)
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="a")(x)
    y = layers.Conv2D(16, 3, padding="same", name="b")(y)
    x = layers.Add(name="add")([y, layers.Conv2D(16, 1, name="short")(x)])
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return seeded(Model(inputs, layers.Dense(3, name="scores")(x)))


def images(tab, name):
    return tab.locator(f'.card[data-layer="{name}"] canvas').count()


@pytest.fixture(scope="module")
def long_page(tmp_path_factory):
    return build(chain(18), photo((16, 16, 3)), tmp_path_factory.mktemp("long") / "page.html")


def test_layers_out_of_sight_are_announced_and_reached(long_page, opened):
    tab = opened(long_page)
    status = tab.locator(".minimap-status")
    wait(tab, "document.querySelector('.minimap-status').textContent.includes('more →')")
    assert "←" not in status.inner_text()
    assert tab.locator(".minimap-layer").count() == 21
    box = tab.locator(".minimap-track").bounding_box()
    tab.mouse.click(box["x"] + box["width"] - 4, box["y"] + 8)
    wait(tab, "document.querySelector('.minimap-status').textContent.startsWith('←')")
    assert "→" not in status.inner_text()
    right = tab.locator(".scroller").bounding_box()
    last = tab.locator('.card[data-layer="classes"]').bounding_box()
    assert last["x"] + last["width"] <= right["x"] + right["width"]
    sight = tab.locator(".minimap-sight").bounding_box()
    assert sight["x"] + sight["width"] == pytest.approx(box["x"] + box["width"], abs=3)


def test_blocks_collapse_to_a_card_and_expand_again(tmp_path, opened):
    block = [layers.Conv2D(2, 1, name=f"block1_conv{k}") for k in range(24)]
    ends = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax", name="classes")]
    model = seeded(Sequential([Input((4, 4, 3)), *block, *ends]))
    tab = opened(build(model, photo((4, 4, 3)), tmp_path / "page.html"))
    cards, button = tab.locator(".card[data-layer]"), tab.locator("[data-focus=collapse]")
    counts = []
    for _ in range(2):
        counts.append((button.inner_text(), cards.count(), tab.locator(".card.collapsed").count()))
        button.click()
    assert counts == [("Expand all blocks", 4, 1), ("Collapse the blocks", 27, 0)]
    tab.locator(".card.collapsed").click()
    assert button.inner_text() == "Collapse the blocks"


def test_another_view_and_a_dialog_begin_at_their_top(long_page, opened):
    tab = opened(long_page, height=400)
    tab.evaluate("scrollTo(0, 9999)")
    assert tab.evaluate("scrollY") > 20
    tab.evaluate("page.openLayer(3)")
    assert tab.evaluate("scrollY") == 0
    tab.get_by_role("button", name="Help").click()
    assert tab.locator("dialog").evaluate("(d) => [d.scrollTop, d.scrollHeight > 400]") == [0, True]


def test_no_minimap_where_all_layers_are_in_sight(tmp_path, opened):
    tab = opened(build(chain(4), photo((16, 16, 3)), tmp_path / "page.html"))
    assert tab.locator(".minimap").count() == 0
    inside = tab.evaluate(
        "(s => s.scrollWidth <= s.clientWidth)(document.querySelector('.scroller'))"
    )
    assert inside


def test_a_window_is_full_of_maps_whatever_the_network(tmp_path, long_page, opened):
    tab = opened(long_page, 1920, 1080)
    assert images(tab, "conv3") > 8
    bottom = tab.evaluate("document.querySelector('.network').getBoundingClientRect().bottom")
    assert 0.8 * 1080 < bottom < 1080
    page = build(residual(), photo((16, 16, 3)), tmp_path / "page.html")
    for size, most, few in (((1280, 720), 4, 1), ((1920, 1080), 4, 1)):
        tab = opened(page, *size, tab=tab)
        assert images(tab, "a") >= most
        assert images(tab, "short") >= few
        assert images(tab, "short") < images(tab, "a")
        high = tab.evaluate("document.documentElement.scrollHeight")
        assert high <= size[1]
    x = np.zeros((1, 16, 16, 3))
    tab = opened(build(chain(1, filters=3), x, tmp_path / "page.html"), tab=tab)
    wide = tab.locator('.card[data-layer="conv0"] canvas').first.bounding_box()["width"]
    assert wide > 80  # few layers have large images


def test_a_map_is_reached_by_its_number(tmp_path, opened):
    tab = opened(build(chain(2, filters=40), photo((16, 16, 3)), tmp_path / "page.html"))
    tab.evaluate("page.openLayer(1)")
    field = tab.get_by_label("Go to the map with this number")
    field.fill("33")
    field.press("Enter")
    assert tab.evaluate("page.state.at[2]") == 33
    frame, film = (tab.locator(of).bounding_box() for of in (".frame.chosen", ".film"))
    assert film["x"] <= frame["x"] < film["x"] + film["width"]  # the film scrolls to it
    field.fill("99")
    field.press("Enter")
    assert tab.evaluate("page.state.at[2]") == 39
    tab.evaluate("page.openLayer(0)")
    assert tab.get_by_label("Go to the map with this number").count() == 0


def test_a_map_has_one_name_and_those_of_a_photo_their_colours(long_page, opened):
    tab = opened(long_page)
    titles = (
        tab.locator(".card").first.locator("canvas").evaluate_all("(a) => a.map((e) => e.title)")
    )
    assert titles[:4] == ["the photo", "red", "green", "blue"]
    tab.evaluate("page.openLayer(0)")
    assert tab.locator(".frame").all_inner_texts() == ["red", "green", "blue"]
    tab.evaluate("page.openLayer(1)")
    assert {"red", "green", "blue"} == set(tab.locator(".tag").all_inner_texts())
    tab.evaluate("page.openLayer(2)")
    assert all(text.startswith("map ") for text in tab.locator(".tag").all_inner_texts())
    for mode in ("forward", "backward"):
        tab.evaluate(f"page.setMode('{mode}')")
        for name in tab.evaluate("[...document.querySelectorAll('.tab')].map((e) => e.id)"):
            tab.locator(f"#{name}").click()
            labels = tab.locator("main [aria-label]").evaluate_all(
                "(a) => a.map((e) => e.ariaLabel)"
            )
            said = " ".join([tab.locator(".layer .bench").inner_text(), *labels])
            assert "channel" not in said, (mode, name)
            assert "filter" not in said, (mode, name)


def end_of(values):
    """Return where the colour scale of these numbers ends."""
    found = np.sort(np.abs(values).ravel())
    return found[min(found.size - 1, int(found.size * 0.998))]


def legend_of(tab):
    said = tab.locator(".side").last.locator(".legend").inner_text().replace("−", "-")
    return float(re.search(r"[≥+] ?([\d.]+)", said)[1]), said


def test_colours_have_the_scale_of_a_layer_a_map_or_the_network(tmp_path, opened):
    model, x = residual(), photo((16, 16, 3)) / 255
    tab = opened(build(model, x, tmp_path / "page.html"))
    ys = {entry.layer.name: entry.y[0] for entry in model.forward(x)[1].entries}
    foot = tab.locator('.card[data-layer="a"] .card-foot').inner_text()
    assert float(re.search(r"±([\d.]+)", foot)[1]) == pytest.approx(end_of(ys["a"]), rel=1e-2)
    tab.evaluate("page.openAt(2, [3, 3, 5])")
    assert tab.evaluate("page.net.nodes[2].name") == "a"
    end, said = legend_of(tab)
    assert end == pytest.approx(end_of(ys["a"]), rel=1e-2)
    assert "all maps: " in said
    scale = tab.get_by_label("Scale of the colours")
    scale.focus()
    scale.select_option("each map its own")
    end, said = legend_of(tab)
    assert end == pytest.approx(end_of(ys["a"][:, :, 5]), rel=1e-2)
    assert "this map: " in said
    assert tab.evaluate("document.activeElement.dataset.focus") == "scale"
    scale.select_option("one for all layers")
    end, _ = legend_of(tab)
    assert end == pytest.approx(max(end_of(y) for y in ys.values()), rel=1e-2)
    tab.keyboard.press("Escape")
    tab.evaluate("page.overview()")
    told = tab.locator(".scales .legend").inner_text().replace("−", "-")
    assert float(re.search(r"\+([\d.]+)", told)[1]) == pytest.approx(end, rel=1e-2)
    scale.select_option("each layer its own")


def test_a_histogram_has_axes(long_page, opened):
    tab = opened(long_page, address="#conv1/weights")
    kernel = chain(18).get_layer("conv1").kernel.value
    said = tab.locator(".histogram").first.locator("text").all_text_contents()
    most, zero, low, middle, high = (float(s.replace("−", "-")) for s in said)
    reach = np.abs(kernel).max()
    counts = np.histogram(kernel, 41, (-reach, reach))[0]
    assert most == pytest.approx(counts.max(), abs=2)
    assert (zero, middle) == (0, 0)
    np.testing.assert_allclose([-low, high], reach, rtol=1e-2)
    name = tab.locator(".histogram").first.get_attribute("aria-label")
    assert "in one of 41 equal intervals" in name


def test_sums_are_in_sight_beside_their_products(long_page, opened):
    tab = opened(long_page)
    for number in (2, 5, 6):  # windows of 3, 5 and 7
        tab.evaluate(f"page.openLayer({number})")
        assert tab.locator(".group-sum").count() > 1
        taps = tab.locator(".taps")
        assert taps.evaluate("taps => taps.scrollWidth - taps.clientWidth") <= 0


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_presenting_makes_all_larger_and_the_mouse_still_finds_cells(tmp_path, opened, size):
    tab = opened(build(residual(), photo((16, 16, 3)), tmp_path / "page.html"), *size)
    tab.evaluate("page.openLayer(2)")
    before = tab.locator(".arithmetic .number").first.bounding_box()["width"]
    tab.keyboard.press("v")
    wait(tab, "document.fullscreenElement !== null")
    tab.wait_for_timeout(300)
    after = tab.locator(".arithmetic .number").first.bounding_box()["width"]
    assert after == before if size[0] == 1280 else after > 1.1 * before  # a small screen is full
    assert not tab.get_by_role("button", name="Save this view").is_visible()
    for row, column in ((0, 0), (5, 9), (15, 15)):
        box = tab.locator('[data-focus="out"]').bounding_box()  # the first click ends a hint
        x, y = ((n + 0.5) / 16 for n in (column, row))
        tab.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        assert tab.evaluate("page.state.at.slice(0, 2)") == [row, column]
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    tab.get_by_role("button", name="End the presentation").click()
    wait(tab, "document.fullscreenElement === null && !document.querySelector('.presenting')")
    assert tab.locator(".arithmetic .number").first.bounding_box()["width"] == before
