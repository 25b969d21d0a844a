"""What a reader takes away: a view as SVG or PNG, on paper, or as a link."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from pages import go_backward, open_layer, photo, small_cnn
from PIL import Image

from minicnn.explain.page import build

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def small_page(tmp_path_factory):
    return build(small_cnn(), photo((12, 12, 3)), tmp_path_factory.mktemp("small") / "page.html")


def saved(tab, kind):
    tab.get_by_role("button", name="Save this view").click()
    with tab.expect_download() as download:
        tab.get_by_role("button", name=kind, exact=True).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def words(root):
    return [text.text for text in root.iter(f"{SVG}text")]


def test_the_network_is_saved_as_svg_with_all_layers(small_page, opened):
    tab = opened(small_page, 700, 500)  # too narrow to show them all
    name, data = saved(tab, "SVG")
    assert name == "overview.svg"
    root = ET.fromstring(data)
    said = words(root)
    for layer in small_cnn().layers:
        assert layer.name in said
    assert {"Conv2D", "weights", "class 0"} <= set(said)
    cards = tab.locator(".card canvas").count()
    assert len(list(root.iter(f"{SVG}image"))) == cards
    assert all(i.get("href").startswith("data:image/png") for i in root.iter(f"{SVG}image"))
    assert not list(root.iter("{http://www.w3.org/1999/xhtml}div"))  # nothing but SVG
    width = float(root.get("width"))
    for image in root.iter(f"{SVG}image"):
        assert 0 <= float(image.get("x")) <= width - float(image.get("width"))
    assert tab.locator("#app.whole").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700  # as it was


def test_a_number_is_saved_as_svg_forward_and_backward(small_page, opened):
    tab = opened(small_page, address="#second/3,4,1")
    name, data = saved(tab, "SVG")
    assert name == "second.svg"
    shown = tab.locator(".numbers .number").all_inner_texts()
    found = words(ET.fromstring(data))
    assert shown
    assert all(number in found for number in shown)
    go_backward(tab)
    name, data = saved(tab, "SVG")
    assert name == "second-backward.svg"
    assert "dL/d pool" in words(ET.fromstring(data))


@pytest.mark.parametrize("view", ["", "#first/4,5,2", "#second/weights", "#/backward"])
def test_a_png_looks_like_the_screen(small_page, opened, view):
    tab = opened(small_page, address=view)
    tab.evaluate("document.activeElement.blur()")
    tab.add_style_tag(content="* { animation: none !important; transition: none !important }")
    tab.evaluate("document.getElementById('app').classList.add('whole')")
    screen = Image.open(io.BytesIO(tab.locator("main").screenshot())).convert("RGB")
    tab.evaluate("document.getElementById('app').classList.remove('whole')")
    _, data = saved(tab, "PNG")
    image = Image.open(io.BytesIO(data))
    assert image.size == (2 * screen.width, 2 * screen.height)
    a, b = (np.asarray(i.resize((160, 90), Image.Resampling.BOX).convert("RGB"), float)
            for i in (screen, image))  # fmt: skip
    assert np.abs(a - b).mean() < 3
    assert np.abs(a - b).max() < 90
    assert np.asarray(image.convert("RGB")).std() > 5


def test_the_link_is_copied(small_page, opened):
    tab = opened(
        small_page, address="#first/4,5,2", permissions=["clipboard-read", "clipboard-write"]
    )
    tab.get_by_role("button", name="Save this view").click()
    tab.get_by_role("button", name="Copy the link").click()
    assert tab.evaluate("navigator.clipboard.readText()") == f"{small_page.as_uri()}#first/4,5,2"


def test_paper_shows_the_formula_and_no_buttons(small_page, opened):
    tab = opened(small_page)
    open_layer(tab, "first")
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator(".purpose p").first.is_visible()
    for name in ("Save this view", "Add a photo", "Keys and notes"):
        assert not tab.get_by_role("button", name=name).is_visible()
