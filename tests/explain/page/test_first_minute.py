"""What helps a new reader: a tour, what each layer is for, hints that go away, and the help."""

import pytest
from pages import open_layer, photo, small_cnn, wait, with_a_large_dense

from minicnn import Input, Sequential, layers
from minicnn.explain.page import build
from minicnn.explain.page.wording import wording
from minicnn.layers.applications import APPLICATIONS
from minicnn.layers.arithmetic import OPERATIONS


@pytest.fixture(scope="module")
def small_page(tmp_path_factory):
    return build(small_cnn(), photo((12, 12, 3)), tmp_path_factory.mktemp("small") / "page.html")


def test_a_tour_of_six_steps_shows_the_page(small_page, opened):
    tab = opened(small_page)
    tab.get_by_role("button", name="A tour in six steps").press("Enter")
    seen = []
    for number in range(1, 7):
        panel = tab.get_by_role("dialog", name=f"Tour, step {number} of 6")
        panel.wait_for()
        assert tab.locator(".pointed").count() == 1
        seen.append(tab.evaluate(
            "[page.state.view, page.state.tab, page.state.mode, "
            "document.querySelector('.pointed').className]"
        ))  # fmt: skip
        if number < 6:
            assert tab.evaluate("document.activeElement.textContent") == "Next"
            tab.keyboard.press("Enter")
    assert [what[:3] for what in seen] == [
        ["overview", "number", "forward"],
        ["overview", "number", "forward"],
        ["layer", "number", "forward"],
        ["layer", "number", "forward"],
        ["layer", "whatif", "forward"],
        ["layer", "number", "backward"],
    ]
    assert ["scroller" in seen[0][3], "outcome" in seen[1][3], "film" in seen[2][3]] == [True] * 3
    tab.get_by_role("button", name="Back", exact=True).click()
    tab.get_by_role("dialog", name="Tour, step 5 of 6").wait_for()
    assert tab.evaluate("page.state.mode") == "forward"
    tab.keyboard.press("Escape")
    assert tab.locator(".tour, .pointed").count() == 0
    assert tab.evaluate("page.state.view") == "layer"  # Escape ended the tour alone


def test_a_tour_leaves_out_what_the_page_cannot_do(tmp_path, opened):
    path = build(with_a_large_dense(), photo((12, 12, 3)), tmp_path / "page.html", limit=60_000)
    tab = opened(path)
    tab.evaluate("page.net.obstacle = () => 'no formula'")
    tab.get_by_role("button", name="A tour in six steps").click()
    tab.get_by_role("dialog", name="Tour, step 1 of 5").wait_for()


def test_the_invitation_goes_away_for_good(small_page, opened):
    tab = opened(small_page)
    tab.get_by_role("button", name="No tour").click()
    assert tab.locator(".hint").count() == 0
    tab.reload()
    tab.wait_for_selector("#app[data-ready=true]")
    assert tab.locator(".hint").count() == 0
    tab.keyboard.press("?")
    assert tab.get_by_role("dialog", name="Keys and notes").is_visible()
    tab.get_by_role("button", name="Take the tour").click()
    tab.get_by_role("dialog", name="Tour, step 1 of 6").wait_for()


def test_hints_go_away_when_the_reader_has_done_what_they_say(small_page, opened):
    tab = opened(small_page)
    assert "Open a layer to see its maps" in tab.locator(".caption").inner_text()
    open_layer(tab, "first")
    assert "press an arrow to move" in tab.locator(".side").last.inner_text()
    tab.locator('[data-focus="out"]').press("ArrowRight")
    assert "press an arrow" not in tab.locator(".side").last.inner_text()
    tab.keyboard.press("Escape")
    assert "Open a layer" not in tab.locator(".caption").inner_text()
    tab.reload()
    tab.wait_for_selector("#app[data-ready=true]")
    assert "Open a layer" not in tab.locator(".caption").inner_text()


def test_each_layer_says_what_it_is_for_and_its_formula(small_page, opened):
    tab = opened(small_page)
    open_layer(tab, "first")
    said = tab.locator(".purpose")
    assert "Looks for small patterns everywhere" in said.inner_text()
    assert not said.locator("pre").is_visible()
    said.locator("summary").press("Enter")
    said.locator("pre").wait_for()
    assert said.locator("pre").inner_text().endswith("y = activation(z)")
    wait(tab, "page.state.formula")  # the browser reports an open formula a moment later
    tab.evaluate("page.openLayer(5)")
    assert "y[n, c] = the mean of x[n, :, :, c]" in tab.locator(".purpose details").inner_text()
    every = [*layers.LAYERS, *OPERATIONS, *APPLICATIONS]
    found = tab.evaluate(
        """async (types) => {
            const { purposeOf } = await import("page/kinds/purposes.js");
            return types.filter((type) => !/^[A-Z].*[.?]$/.test(purposeOf(type)));
        }""",
        every,
    )
    assert found == []


def test_wording_comes_from_docstrings():
    mixed = wording(layers.MixUp())
    assert mixed["does"] == "During training, blends each image with another one of its batch."
    assert mixed["formula"] == "y[n] = w * x[n] + (1 - w) * x[other],   and the labels likewise"
    assert wording(layers.Add()) == {
        "does": "y = x0 + x1 + …, element by element: the residual connection.",
        "formula": "",
        "own": True,
    }

    class Own(layers.Layer):
        def compute(self, x, training):
            return x, {}

    assert wording(Own()) == {"does": "", "formula": "", "own": False}


def test_a_class_of_your_own_says_what_its_docstring_says(tmp_path, opened):
    class Twice(layers.Layer):
        """Doubles each number."""

        def compute(self, x, training):
            return 2 * x, {}

        def compute_gradients(self, dz, cache, need_dx):
            return 2 * dz, {}

    model = Sequential([Input((6, 6, 3)), Twice(name="twice"), layers.Flatten(), layers.Dense(2)])
    tab = opened(build(model, photo((6, 6, 3)) / 255, tmp_path / "page.html"))
    open_layer(tab, "twice")
    assert tab.locator(".purpose").inner_text() == "Doubles each number."


def test_the_photo_opens_in_its_middle(small_page, opened):
    tab = opened(small_page)
    tab.evaluate("page.openLayer(0)")
    assert tab.evaluate("page.state.at") == [6, 6, 0]
