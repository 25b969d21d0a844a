"""Measures the interactive page: its size, the time to the first view, and a step of learning.

    python -m benchmarks.page
    python -m benchmarks.page --steps 40 --json page.json

The network is that of `minicnn demo`, 64×64 pixels, with drawn clothes to learn from. A fresh tab
opens the page for each view. A step is of 8 photos: forward, backward and Adam in the page's
worker, which takes one core; its time is that of the worker for one photo.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import utils
from minicnn._support.arguments import path_to_write, positive
from minicnn._support.atomic import check_place, replacing
from minicnn._support.terminal import pip_install, say
from minicnn.commands.networks import small_cnn
from minicnn.datasets import CLOTHING_CLASSES, draw_clothing
from minicnn.explain.page import build
from reference.console import check_output, main

SIZE, BATCH = 64, 8


@dataclass
class Measured:
    """The measurements; times are in milliseconds, each the median of several."""

    megabytes: float
    first_view: float
    step_of_a_photo: float
    steps: list[float]


def write_page(folder: Path) -> Path:
    """Write the page of a network with 40 photos to learn from."""
    utils.set_random_seed(0)
    names = list(CLOTHING_CLASSES)
    model = small_cnn(SIZE, len(names), (16, 32, 64), dropout=0.3, head="flatten")
    numbers = np.arange(40) % len(names)
    photos = [
        np.asarray(draw_clothing(names[k], np.random.default_rng(i), SIZE), np.float32)
        for i, k in enumerate(numbers)
    ]
    x = np.stack(photos)
    path: Path = build(model, x[:1], folder / "page.html", class_names=names, data=(x, numbers))
    return path


def measure(browser: Any, path: Path, views: int = 5, steps: int = 20) -> Measured:
    """Open the page several times, and let it learn once."""
    times = []
    for _ in range(views):
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        tab = context.new_page()
        start = time.perf_counter()
        tab.goto(path.as_uri())
        tab.wait_for_selector("#app[data-ready=true]")
        times.append(1000 * (time.perf_counter() - start))
        context.close()
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    tab = context.new_page()
    tab.goto(f"{path.as_uri()}#:learn")
    tab.wait_for_selector("[data-focus=learn-take]")
    each = [
        tab.evaluate(
            """async (batch) => {
                await page.course.take();
                return page.course.report.milliseconds / batch;
            }""",
            BATCH,
        )
        for _ in range(steps)
    ]
    context.close()
    return Measured(
        megabytes=path.stat().st_size / 1e6,
        first_view=statistics.median(times),
        step_of_a_photo=statistics.median(each),
        steps=each,
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--steps", type=positive, default=20, metavar="N", help="default: 20")
    made.add_argument("--views", type=positive, default=5, metavar="N", help="default: 5")
    made.add_argument(
        "--json", type=path_to_write, metavar="F", help="write all samples to this file"
    )
    return made


def command(options: argparse.Namespace) -> None:
    if options.json:
        check_output("--json", check_place(options.json).parent)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise ImportError(f"playwright drives the browser: {pip_install('playwright')}") from None
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise OSError("There is no chromium on this machine (apt-get install chromium).")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = write_page(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found = measure(browser, path, options.views, options.steps)
        browser.close()
    say(f"size                      {found.megabytes:.2f} MB")
    say(f"first view                {found.first_view:.0f} ms")
    say(f"a step, for each photo    {found.step_of_a_photo:.0f} ms")
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
