"""A browser, and pages that several tests share."""

import os
import shutil

import pytest
from pages import NAMES, every_layer, photo, plain

from minicnn.explain.page import build

OWN = ("file:", "data:", "blob:")  # addresses of what a page has itself


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        reason = "there is no chromium on this machine (apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]  # a camera of its own
        started = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield started
        started.close()


class Tabs:
    """Tabs that tests use one after another: to start one takes longer than to open a page in it.

    Each test finds them as new: without storage, history, or a mouse over the page.
    """

    def __init__(self, browser):
        self.browser, self.kept, self.used, self.complaints = browser, [], 0, []
        self.histories = {}  # of each kept tab, a session that can empty it

    def take(self, width, height, scheme, reduced_motion, tab=None, **options):
        """Return `tab`, or one that this test does not use yet; with other options a new one."""
        size = {"width": width, "height": height}
        if options:
            media = {"color_scheme": scheme, "reduced_motion": reduced_motion}
            return self._new(viewport=size, **media, **options)
        if tab:
            self._leave(tab)
        else:
            if self.used == len(self.kept):
                self.kept.append(new := self._new())
                self.histories[new] = new.context.new_cdp_session(new)
            tab = self.kept[self.used]
            self.used += 1
        tab.set_viewport_size(size)
        tab.emulate_media(media="null", color_scheme=scheme, reduced_motion=reduced_motion)
        return tab

    def _new(self, **options):
        tab = self.browser.new_context(**options).new_page()
        complain = self.complaints.append
        tab.on("console", lambda m: complain(f"console {m.type}: {m.text}"))
        tab.on("pageerror", lambda error: complain(f"error: {error.stack}"))
        tab.on("dialog", lambda d: (complain(f"dialog: {d.message}"), d.dismiss()))
        tab.on("request", lambda r: r.url.startswith(OWN) or complain(f"asks {r.url}"))
        return tab

    def open(self, tab, url):
        """Open a page, as a new tab does."""
        if "#" in url and tab.url.split("#")[0] == url.split("#")[0]:
            tab.goto("about:blank")  # or the page that is there would go to another place
        tab.goto(url)
        tab.wait_for_selector("#app[data-ready=true]")
        if tab in self.histories:
            self.histories[tab].send("Page.resetNavigationHistory")

    def _leave(self, tab):
        """Let the page come to rest, and forget what it kept."""
        tab.evaluate("window.page?.stop(); localStorage.clear()")
        tab.mouse.move(0, 0)

    def give_back(self):
        """Leave the tabs that the test used; close those that cannot be left or are not kept.

        A page stays until the next one takes its place.
        """
        for tab in self.kept[: self.used]:
            try:
                self._leave(tab)
            except Exception:
                self.kept.remove(tab)
        for context in self.browser.contexts:
            if not any(tab.context is context for tab in self.kept):
                context.close()
        self.used = 0


@pytest.fixture(scope="session")
def tabs(browser):
    return Tabs(browser)


@pytest.fixture
def opened(tabs):
    """Return a function that opens a page; at the end, assert no errors, requests or dialogs.

    A test that opens one page after another in the same `tab` spares the browser a second one. The
    edges of a page do not flow, which would take a quarter of a core.
    """
    tabs.complaints.clear()

    def open_it(
        path,
        width=1280,
        height=720,
        scheme="light",
        address="",
        reduced_motion="reduce",
        tab=None,
        **options,
    ):
        tab = tabs.take(width, height, scheme, reduced_motion, tab, **options)
        tabs.open(tab, f"{path.as_uri()}{address}")
        return tab

    yield open_it
    tabs.give_back()
    assert tabs.complaints == []


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    model, x = every_layer(), photo()
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert build(model, x, path, class_names=NAMES, y="pants") == path
    return model, x, path


@pytest.fixture(scope="session")
def plain_page(tmp_path_factory):
    model, x = plain()
    return model, x, build(model, x, tmp_path_factory.mktemp("plain") / "page.html")
