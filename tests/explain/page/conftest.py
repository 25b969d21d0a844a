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


@pytest.fixture
def opened(browser):
    """Return a function that opens a page; at the end, assert no errors, requests or dialogs."""
    contexts, complaints = [], []

    def open_it(path, width=1280, height=720, scheme="light", address="", **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda m: complaints.append(f"console {m.type}: {m.text}"))
        tab.on("pageerror", lambda error: complaints.append(f"error: {error.stack}"))
        tab.on("dialog", lambda d: (complaints.append(f"dialog: {d.message}"), d.dismiss()))
        tab.on(
            "request",
            lambda r: r.url.startswith(OWN) or complaints.append(f"asks {r.url}"),
        )
        tab.goto(f"{path.as_uri()}{address}")
        tab.wait_for_selector("#app[data-ready=true]")
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


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
