"""The page as readers use it: with keys, a mouse, a phone or paper, and what it says."""

import re

import numpy as np
import pytest
from pages import changed, go_backward, open_layer, photo, small_cnn, wait

from minicnn import Input, Sequential, layers
from minicnn.explain.page import build


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
    assert tab.evaluate("document.activeElement.dataset.focus") == "out"  # even after redrawing
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


def followed(tab):
    """Follow the largest terms to the end; return what the page says of each on the way."""
    steps = tab.evaluate(
        """() => {
            const words = (place) => document.querySelector(place)?.innerText ?? "", seen = [];
            for (let promised = ""; ; document.querySelector(".follow").click()) {
                const follow = words(".follow");
                seen.push({
                    promised, name: words(".layer-head h2").split(/\\s/)[0], id: page.state.node,
                    off: document.querySelectorAll(".tick.off").length,
                    arithmetic: words(".arithmetic"),
                });
                if (!follow || seen.length > page.net.nodes.length) return seen;
                promised = follow.match(/comes from (\\w+),/)[1];
            }
        }"""
    )
    assert not any(step["off"] for step in steps)
    return steps


def test_the_largest_terms_lead_to_the_photo_and_to_the_loss(everything, opened):
    _, _, path = everything
    tab = opened(path)
    open_layer(tab, "softmax")
    steps = followed(tab)
    assert len(steps) > 10
    # All terms of a convolution may be 0; then the first one may lead to a border.
    assert steps[-1]["name"] == "photo" or "border of zeros" in steps[-1]["arithmetic"]
    open_layer(tab, "conv")
    steps += followed(tab)
    assert steps[-1]["name"] == "photo"
    assert all(step["name"] == step["promised"] for step in steps if step["promised"])
    go_backward(tab)
    tab.evaluate("page.openLayer(1)")
    steps = followed(tab)
    ids = [step["id"] for step in steps]
    assert ids == sorted(set(ids))
    assert "comes from the loss" in steps[-1]["arithmetic"]


def test_the_path_from_pooled_images_leads_to_their_only_place(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "squeeze")
    go_backward(tab)
    tab.evaluate("page.set({ inAt: [1, 1, 3] })")
    tab.locator(".follow").click()
    assert tab.locator(".layer-head h2").inner_text().startswith("excite")
    assert tab.evaluate("page.state.inAt") == [0, 0, 3]


def test_the_mouse_drags_the_window(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "conv")
    tab.evaluate("page.moveTo([0, 0, 1])")
    box = tab.locator("[data-focus=out]").bounding_box()  # 7 rows and 7 columns
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


def test_a_screen_reader_reads_tabs_grids_and_changes(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "conv")
    live = tab.locator(".live").element_handle()
    tab.get_by_role("tab", name="This number").focus()
    for name in ("Weights", "Where it looks", "What if", "This number"):
        tab.keyboard.press("ArrowRight")
        assert tab.get_by_role("tab", name=name).get_attribute("aria-selected") == "true"
        assert name in tab.evaluate("document.activeElement.textContent")
        assert tab.get_by_role("tabpanel", name=name).count() == 1
    patch = tab.get_by_role("table", name=re.compile("^patch of map")).first
    assert patch.get_by_role("row").count() == 3
    assert patch.get_by_role("cell").count() == 9
    open_layer(tab, "scores")
    tab.get_by_role("button", name="feature 3", exact=True).focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("page.state.term") == 3
    wait(tab, "document.querySelector('.live').textContent.includes('scores')")
    assert live.is_visible()  # the same element; screen readers would not read a copy


def test_a_long_network_stays_beside_the_classes(tmp_path, opened):
    parts = [layers.ReLU(name=f"part_{n}") for n in range(14)]
    model = Sequential([Input((6, 6, 3)), *parts, layers.Flatten(), layers.Dense(3)])
    tab = opened(build(model, photo((6, 6, 3)), tmp_path / "page.html"))
    box, panel = (tab.locator(name).bounding_box() for name in (".scroller", ".outcome"))
    assert box["x"] + box["width"] <= panel["x"]
    assert tab.evaluate("document.querySelector('.scroller').scrollWidth") > 1500


def test_edges_keep_clear_of_cards(everything, opened):
    tab = opened(everything[2])
    crossed = tab.evaluate(
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


def test_edges_flow_for_less_than_five_seconds_or_not_at_all(plain_page, opened):
    """So long may a page move what nobody can stop (WCAG 2.2.2), and then it costs no power."""
    tab = opened(plain_page[2], reduced_motion="reduce")
    shown = "getComputedStyle(document.querySelector('.edge'))"
    assert tab.evaluate(f"{shown}.animationName") == "none"
    tab.emulate_media(reduced_motion="no-preference")
    assert tab.evaluate(f"{shown}.animationName") == "flow"
    length, times = tab.evaluate(f"[{shown}.animationDuration, {shown}.animationIterationCount]")
    assert 0 < float(length.removesuffix("s")) * float(times) < 5


def test_another_stride_keeps_the_place(tmp_path, opened):
    tab = opened(build(small_cnn(), photo((12, 12, 3)), tmp_path / "page.html"))
    open_layer(tab, "first")
    tab.get_by_role("tab", name="What if").click()
    tab.evaluate("page.moveTo([4, 10, 1])")
    changed(tab, lambda: tab.get_by_label("Stride").select_option("2"))
    assert tab.evaluate("page.state.at") == [2, 5, 1]


def test_a_concatenation_shows_the_input_that_the_number_comes_from(everything, opened):
    tab = opened(everything[2])
    open_layer(tab, "concat")
    for channel, name in ((2, "mean"), (9, "relu")):
        tab.evaluate(f"page.chooseMap({channel})")
        assert tab.locator(".side figcaption").first.inner_text().startswith(f"in: {name}")


# Of the network, and of each tab of these layers: how wide it is, what has no name, what is cut.
AS_SHOWN = """(names) => {
    const nodes = page.net.nodes.filter((n) => names.includes(n.name));
    const tabs = ["number", "weights", "places", "whatif"];
    const views = nodes.flatMap((node) => tabs.map((tab) => [node, tab]));
    return [[null, ""], ...views].map(([node, tab]) => {
        if (node) page.openLayer(node.id);
        else page.overview();
        if (node) page.set({ tab });
        const all = (names) => [...document.querySelectorAll(names)];
        return [
            `${node?.name} ${tab}`, document.documentElement.scrollWidth,
            all("button, select, input, canvas, svg, img").filter((e) =>
                !(e.ariaLabel || e.textContent.trim() || e.closest("[aria-hidden=true]")
                    || e.alt !== undefined || e.closest("label"))).map((e) => e.outerHTML),
            all(".number").filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent),
        ];
    });
}"""


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [
        *((1280, 720, "light"), (390, 844, "dark"), (1920, 1080, "dark")),
        (320, 640, "light"),  # the width of a desktop's page at 400 % zoom
    ],
)
def test_it_fits_and_everything_has_a_name(everything, opened, width, height, scheme):
    tab = opened(everything[2], width, height, scheme, reduced_motion="reduce")
    for mode, names in (
        ("forward", ("conv", "bn", "scores", "softmax")),
        ("backward", ("conv", "scores")),
    ):
        tab.evaluate(f"page.setMode('{mode}')")
        found = tab.evaluate(AS_SHOWN, names)
        assert len(found) == 1 + 4 * len(names)
        for what, wide, nameless, cut in found:
            assert wide <= width, (mode, what)
            assert nameless == [], (mode, what)
            assert cut == [], (mode, what)
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
    wait(tab, "document.querySelector('[data-dream]').textContent.includes('After 64')")
    said = tab.locator("[data-dream]").inner_text().replace("−", "-")
    now, before = re.findall(r"is (-?[\d.]+); with grey noise it was (-?[\d.]+)\.", said)[0]
    assert float(now) > float(before) + 0.1


def test_a_cell_s_field_has_the_pixels_that_change_it(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    open_layer(tab, "second")
    tab.get_by_role("tab", name="Where it looks").click()
    tab.evaluate("page.set({ at: [3, 0, 1] })")
    note = tab.locator(".arithmetic .note").inner_text()
    # second: rows 2–4, columns 0–1 of pool; pool: 4–9, 0–3 of first; first: 3–10, 0–4 of the photo
    assert "rows 3–10 and columns 0–4" in note


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
    open_layer(tab, "scores")  # it has few numbers, so all are listed
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


def test_a_relu_shows_its_limit(plain_page, everything, opened):
    tab = opened(plain_page[2])
    open_layer(tab, "relu6")
    assert tab.locator(".arithmetic h3").inner_text() == "y = min(max(x, 0), 6)"
    assert "min(max(x, 0), 6)" in tab.locator(".facts").inner_text()
    heights = tab.locator(".graph").get_attribute("points").split()
    assert heights[-1].split(",")[1] == heights[-4].split(",")[1]  # the graph includes the flat end
    open_layer(tab, "hidden")
    assert "relu6: min(max(z, 0), 6)" in tab.locator(".facts").inner_text()
    tab = opened(everything[2], tab=tab)
    open_layer(tab, "relu")
    assert "x above 0, 0.1 · x below, at most 0.4" in tab.locator(".facts").inner_text()


def test_a_dense_layer_has_units_not_maps(plain_page, opened):
    tab = opened(plain_page[2])
    for name in ("hidden", "scores"):
        open_layer(tab, name)
        for choice in ("This number", "Weights", "What if"):
            tab.get_by_role("tab", name=choice).click()
            text = tab.locator(".bench").inner_text()
            labels = tab.locator(".bench [aria-label]").evaluate_all(
                "(a) => a.map((e) => e.ariaLabel)"
            )
            said = re.sub(r"\(\d+, \d+\) map \d+", "", " ".join([text, *labels]))  # input places
            assert not re.search(r"\b(map|pixel|cell|channel)s?\b", said), (name, choice, said)
    assert "click a unit to change it" in tab.locator(".bench").inner_text()


def test_the_first_cell_shown_is_away_from_padding(plain_page, everything, opened):
    model, x, path = plain_page
    y = model.forward(x)[1]["conv"].y[0]
    assert np.unravel_index(y.argmax(), y.shape)[:2] in {(0, 0), (0, 1), (1, 0)}
    tab = opened(path)
    open_layer(tab, "conv")
    inner = y[1:-1, 1:-1]
    row, column, channel = np.unravel_index(inner.argmax(), inner.shape)
    assert tab.evaluate("page.state.at") == [row + 1, column + 1, channel]
    assert tab.locator(".grid-of .padded").count() == 0
    open_layer(tab, "relu6")  # it has no window, so that of the layer before counts
    assert tab.evaluate("page.state.at") == [row + 1, column + 1, channel]
    tab = opened(everything[2], tab=tab)
    # Zeros of ZeroPadding2D are padding, too: ((1, 0), (2, 1)) around 13×11.
    assert tab.evaluate(f"page.net.innerCells({_id(tab, 'pad')}, false)") == [1, 13, 2, 12]
    assert tab.evaluate(f"page.net.innerCells({_id(tab, 'conv')}, true)") == [1, 5, 1, 5]
    pool = _id(tab, "max_pool")  # its field reaches the edges; its window need not
    assert tab.evaluate("(id) => page.net.innerCells(id, true)", pool) is None
    assert tab.evaluate("(id) => page.net.innerCells(id, false)", pool) == [1, 2, 1, 2]
    go_backward(tab)
    tab.evaluate(f"page.openLayer({_id(tab, 'conv')})")
    assert tab.locator(".grid-of .padded").count() < 9 * 6 * 2


def test_copies_of_a_pixel_see_what_it_sees(tmp_path, opened):
    """The layer "up" makes two rows of each row that it gets from "below"."""
    x = Input((12, 9, 3))
    below = layers.Conv2D(4, 3, strides=3, padding="same", name="below")
    model = Sequential([x, below, layers.UpSampling2D((2, 1), name="up")])
    tab = opened(build(model, photo((12, 9, 3)), tmp_path / "page.html"))
    up, below = _id(tab, "up"), _id(tab, "below")
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


def test_it_prints_as_on_a_light_desktop_and_nothing_is_cut_off(everything, opened, tmp_path):
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
    assert len(set(tops)) == 1  # three columns, as on a desktop
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
    assert width > height  # the sheets are landscape
    assert tab.locator(".strip-of-network").count() == 0  # and the screen is as before
