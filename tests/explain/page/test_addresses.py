"""Every place on the page has an address, to go back to or to send."""

import pytest
from pages import go_backward, open_layer, photo, small_cnn, wait

from minicnn.explain.page import build


@pytest.fixture(scope="module")
def small_page(tmp_path_factory):
    return build(small_cnn(), photo((12, 12, 3)), tmp_path_factory.mktemp("small") / "page.html")


def address(tab):
    return tab.evaluate("location.hash")


def test_a_link_opens_a_number_forward_and_backward(small_page, opened):
    tab = opened(small_page, address="#second/3,4,1")
    assert tab.locator(".layer-head h2").inner_text().startswith("second")
    assert tab.evaluate("page.state.at") == [3, 4, 1]
    assert "row 3, column 4, map 1" in tab.locator(".side figcaption").last.inner_text()
    tab = opened(small_page, address="#second/2,5,3/backward", tab=tab)
    assert tab.evaluate("[page.state.mode, page.state.inAt]") == ["backward", [2, 5, 3]]
    assert "dL/d pool" in tab.locator(".side figcaption").first.inner_text()
    tab = opened(small_page, address="#first/weights", tab=tab)
    assert tab.get_by_role("tab", selected=True).inner_text() == "Weights"
    tab = opened(small_page, address="#/backward", tab=tab)
    assert "L: the loss" in tab.locator(".outcome").inner_text()


def test_back_and_forward_retrace_the_reader_s_steps(small_page, opened):
    tab = opened(small_page)
    open_layer(tab, "first")
    tab.evaluate("page.moveTo([5, 5, 2])")
    go_backward(tab)
    places = [address(tab)]
    assert places[0].startswith("#first/")
    assert places[0].endswith("/backward")
    tab.keyboard.press("Escape")
    assert address(tab) == "#/backward"
    tab.go_back()
    wait(tab, "page.state.view === 'layer' && page.state.mode === 'backward'")
    assert address(tab) == places[0]
    tab.go_back()
    wait(tab, "page.state.mode === 'forward'")
    assert address(tab) == "#first/5,5,2"
    assert tab.evaluate("page.state.at") == [5, 5, 2]
    tab.go_back()
    wait(tab, "page.state.view === 'overview'")
    assert tab.locator(".card").count() == 7
    tab.go_forward()
    wait(tab, "page.state.view === 'layer'")
    assert tab.evaluate("page.state.at") == [5, 5, 2]


def test_another_number_is_no_step_to_go_back_from(small_page, opened):
    tab = opened(small_page)
    open_layer(tab, "first")
    steps = tab.evaluate("history.length")
    for k in range(6):
        tab.evaluate(f"page.moveTo([{k}, 1, 0])")
    wait(tab, "location.hash === '#first/5,1,0'")
    assert tab.evaluate("history.length") == steps


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("#nothing/1,2,3", "This network has no layer “nothing”."),
        ("#first/99,0,0", "The output of first is 12 × 12 × 4, and has no number at 99, 0, 0."),
        ("#first/1,2", "The output of first is 12 × 12 × 4, and has no number at 1, 2."),
        ("#first/1,2,3/backward", "The input of first is 12 × 12 × 3, and has no number at 1, 2"),
        ("#first/sideways", "“sideways” in the address means nothing to this page."),
        ("#first/photo=3", "This page has no photo 3: it has 1, counted from 0."),
        ("#first/input=1", "This page has no input of first with the number 1: it has 1, counted"),
        ("#:dance", "This page has no view “dance”."),
        ("#:compare", "This page has one photo, and compares two."),
        ("#%E0%A4%A", "This network has no layer “%E0%A4%A”."),
    ],
)
def test_a_bad_address_ends_in_one_sentence(small_page, opened, bad, says):
    tab = opened(small_page, address=bad)
    assert says in tab.get_by_role("alert").inner_text()
    open_layer(tab, "first")  # the page works all the same
    assert tab.get_by_role("alert").count() == 0
    tab.evaluate("(bad) => { location.hash = bad; }", bad)
    tab.get_by_role("alert").wait_for()
    assert tab.locator(".layer-head").count() == 1


def test_names_of_layers_may_have_any_characters(tmp_path, opened):
    model = small_cnn()
    model.get_layer("first").name = "a (1)%: é"
    tab = opened(build(model, photo((12, 12, 3)), tmp_path / "page.html"))
    tab.evaluate("page.openLayer(2)")
    found = address(tab)
    tab = opened(tmp_path / "page.html", address=found, tab=tab)
    assert tab.evaluate("page.net.nodes[page.state.node].name") == "a (1)%: é"
