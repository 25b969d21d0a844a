"""Make README's pictures of the interactive page: `python tests/pictures/make.py`.

The page shows the lessons' network looking at one of the drawn clothes; Debian's chromium opens
the page.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from minicnn import datasets, models
from minicnn.applications.xception import preprocess_input
from minicnn.explain import page
from minicnn.lessons import PRETRAINED

PICTURES = Path(__file__).parent


def main() -> None:
    model = models.load_model(PRETRAINED, compile=False)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        clothes = Path(folder) / "clothes"
        datasets.write_clothing_sample(clothes, {"test": 1}, size=64, seed=0)
        photo = next((clothes / "test" / "shirt").iterdir())
        x = preprocess_input(np.asarray(Image.open(photo), "float32")[None])
        path = page.build(
            model, x, Path(folder) / "page.html", photo=photo, title="A small CNN sees a shirt"
        )
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 720})
        tab.goto(path.as_uri())
        tab.wait_for_selector("#app[data-ready=true]")
        tab.get_by_role("button", name="No tour").click()
        tab.wait_for_timeout(500)  # the browser draws what is in sight
        tab.screenshot(path=PICTURES / "page-network.png")
        convolution = [layer.name for layer in model.layers if layer.name.endswith("conv")][1]
        tab.locator(f'.card[data-layer="{convolution}"]').click(position={"x": 20, "y": 8})
        tab.wait_for_selector(".verdict")
        tab.wait_for_timeout(500)
        tab.screenshot(path=PICTURES / "page-number.png")
        tab.keyboard.press("Escape")
        tab.get_by_role("button", name="Why did it decide so?").click()
        tab.wait_for_selector('[data-heat="integrated_gradients"] canvas', timeout=60_000)
        tab.wait_for_timeout(500)
        tab.screenshot(path=PICTURES / "page-heat.png")
        browser.close()


if __name__ == "__main__":
    main()
