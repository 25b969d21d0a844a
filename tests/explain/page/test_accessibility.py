"""An accessibility engine, axe, finds nothing to complain about in any view."""

from pathlib import Path

import numpy as np
import pytest
from pages import NAMES, photo, seeded, small_cnn, wait

from minicnn.explain.page import build

AXE = Path(__file__).parents[3] / ".ci/page/node_modules/axe-core/axe.min.js"

# What each view is called, and what leads there from the one before.
VIEWS = {
    "overview": "page.overview()",
    "a number": "(page.openLayer(2), page.set({ tab: 'number' }))",
    "a score": "page.openLayer(6)",
    "two photos": "page.compare({ view: 'compare' }, { other: 1, rival: null })",
    "two networks": "page.compare({ view: 'compare' }, { other: null, rival: 0 })",
    "a layer of both": "(page.openLayer(2), page.compare({ tab: 'compare' }))",
    "weights": "(page.openLayer(2), page.set({ tab: 'weights' }))",
    "places": "page.set({ tab: 'places' })",
    "what if": "page.set({ tab: 'whatif' })",
    "heat": "page.set({ view: 'heat' })",
    "learn": "page.openLearning().then(() => page.course.take())",
    "backward": "page.setMode('backward').then(() => page.overview())",
    "a gradient": "(page.openLayer(2), page.set({ tab: 'number' }))",
    "a weight's gradient": "page.set({ tab: 'weights' })",
}
DIALOGS = ("help", "save", "add-photo", "add-drawing", "tour")
LOOKS = {
    "light": {},
    "dark": {"scheme": "dark"},
    "phone": {"width": 360, "height": 700},
    "presenting": {},
}
COLOURS = ["color-contrast", "link-in-text-block"]  # the rules that dark and light may differ in


@pytest.fixture(scope="module")
def page_with_all_views(tmp_path_factory):
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(3)])
    return build(
        *(small_cnn(), x, tmp_path_factory.mktemp("axe") / "page.html"),
        class_names=NAMES[:3],
        data=(x, [0, 1, 2]),
        checkpoints={"first": seeded(small_cnn())},
    )


def complaints(tab, rules=None):
    """Return what axe finds, by all of its rules or by these."""
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = tab.evaluate("async (o) => (await axe.run(document, o)).violations", options)
    return [f"{v['id']}: {v['nodes'][0]['target']} ({len(v['nodes'])} times)" for v in found]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(look, page_with_all_views, opened):
    if not AXE.exists():
        pytest.skip("axe is not installed (npm ci --prefix .ci/page)")
    tab = opened(page_with_all_views, **LOOKS[look])
    tab.evaluate(AXE.read_text("utf-8") + ";0")
    if look == "presenting":
        tab.keyboard.press("v")
    wrong = {}
    for name in ("overview", "a number", "heat") if look == "presenting" else VIEWS:
        tab.evaluate(f"() => {{ return {VIEWS[name]}; }}")
        if name == "heat":
            wait(tab, "Number(page.root.dataset.heats) > 0")
        wrong[name] = complaints(tab, COLOURS if look == "dark" else None)
    tab.evaluate("page.overview()")
    for name in DIALOGS if look in ("dark", "phone") else ():
        tab.locator(f'[data-focus="{name}"]').click()
        wrong[name] = complaints(tab)
        if name != "add-photo":
            tab.keyboard.press("Escape")
    assert {name: found for name, found in wrong.items() if found} == {}
