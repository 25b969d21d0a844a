"""The page on a phone: the network comes first, and fingers find every button."""

import numpy as np
import pytest
from pages import go_backward, photo, small_cnn, wait

from minicnn.explain.page import build

# The page as it is, or each tab of these layers: what is too small, how wide the page is, and how
# many buttons it has.
SEEN = """async (layers) => {
    const seen = (what) => ({
        what, wide: document.documentElement.scrollWidth,
        small: [...document.querySelectorAll(
            '#app button, #app select, #app summary, #app input:not([type=range])')]
            .map((e) => [e.outerHTML.slice(0, 120), e.getBoundingClientRect(), e])
            .filter(([, box, e]) => box.width && !e.matches('.card') && !e.closest('[hidden]'))
            .filter(([, box]) => box.width < 43.9 || box.height < 43.9)
            .map(([text, box]) => `${text} ${box.width}x${box.height}`),
        buttons: document.querySelectorAll('#app button').length,
    });
    if (!layers) return [seen('the page')];
    const found = [];
    for (const layer of layers) {
        page.openLayer(layer);
        for (const { id } of document.querySelectorAll('.tab:not(:disabled)')) {
            document.getElementById(id).click();
            const isOpen = () => document.getElementById(id).ariaSelected === 'true';
            for (let n = 0; n < 400 && !isOpen(); n++) {
                await new Promise((done) => setTimeout(done, 5));
            }
            if (!isOpen()) throw new Error(`layer ${layer}: ${id} does not open`);
            found.push(seen(`layer ${layer}, ${id}`));
        }
    }
    return found;
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(2)])
    return build(small_cnn(), x, tmp_path_factory.mktemp("phone") / "page.html")


@pytest.mark.parametrize("size", [(320, 640), (390, 844)])
def test_every_button_is_large_enough_for_a_finger(page, opened, size):
    tab = opened(page, *size, has_touch=True, is_mobile=True)
    seen = tab.evaluate(SEEN)
    tabs = tab.evaluate(SEEN, list(range(1, 7)))
    assert len(tabs) > 20
    tab.evaluate("page.compare({ view: 'compare' })")
    wait(tab, "document.querySelector('.comparison') !== null")
    seen += tab.evaluate(SEEN)
    # No word is broken into letters below each other, and each share says of what it is.
    cells = tab.locator(".compared th, .compared td")
    assert max(cells.evaluate_all("(all) => all.map((e) => e.offsetHeight)")) <= 64
    assert "apart" in tab.locator("[data-outputs]").first.inner_text()
    tab.evaluate("location.hash = '#:heat'")
    tab.locator("main .heat").wait_for()
    seen += tab.evaluate(SEEN)
    tab.evaluate("page.overview()")
    go_backward(tab)
    seen += tab.evaluate(SEEN)
    for found in seen + tabs:
        assert found["small"] == [], found["what"]
        assert found["wide"] <= size[0], found["what"]
    assert sum(found["buttons"] for found in seen + tabs) > 100


def test_the_network_comes_first(page, opened):
    tab = opened(page, 390, 844)
    network, outcome = (tab.locator(of).bounding_box()["y"] for of in (".network", ".outcome"))
    assert network < outcome
    assert network < 0.45 * 844
    shown = tab.locator(".card canvas").first.bounding_box()
    assert shown["y"] + shown["height"] < 844


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_everything_new_is_readable_in_the_dark(page, opened, width):
    """Texts have the contrast that WCAG asks for, 4.5 to 1, on both grounds."""
    tab = None
    for scheme in ("light", "dark"):
        tab = opened(page, width, 800, scheme, tab=tab)
        for view in ("", "page.compare({ view: 'compare' })", "page.openLayer(2)"):
            if view:
                tab.evaluate(view)
            low = tab.evaluate(
                """() => {
                    const numbers = (c) => c.match(/[\\d.]+/g).map(Number);
                    const light = (c) => {
                        const [r, g, b] = numbers(c).map((v) => v / 255).map((v) =>
                            v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                    };
                    const ground = (e) => {
                        for (let p = e; p; p = p.parentElement) {
                            const c = getComputedStyle(p).backgroundColor;
                            if (numbers(c).length < 4 || numbers(c)[3] > 0.5) return c;
                        }
                        return 'rgb(255, 255, 255)';
                    };
                    return [...document.querySelectorAll('#app p, #app button, #app th, #app td, ' +
                        '#app small, #app summary, #app label, #app h2, #app h3, #app dd')]
                        .filter((e) => e.checkVisibility() && e.textContent.trim() && !e.disabled)
                        .map((e) => {
                            const [a, b] = [getComputedStyle(e).color, ground(e)].map(light)
                                .sort((x, y) => y - x);
                            return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 100)];
                        })
                        .filter(([ratio]) => ratio < 4.5);
                }"""
            )
            assert low == [], (scheme, view)
