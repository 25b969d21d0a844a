"""The page in another browser: the same numbers, without requests and complaints."""

import shutil

import numpy as np
import pytest
from pages import NAMES, photo, small_cnn

from minicnn import losses
from minicnn.explain.page import build

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("there is no Firefox on this machine (apt-get install firefox-esr)")
    pytest.importorskip("tornado", reason="tornado is not installed (it comes with ipykernel)")
    from firefox import Firefox

    started = Firefox(program, tmp_path_factory.mktemp("firefox"))
    yield started
    started.end()


def opened(firefox, path, address=""):
    firefox.goto(f"{path.as_uri()}{address}")
    ready = "document.getElementById('app').dataset.ready === 'true'"
    firefox.evaluate(
        f"""(async () => {{
            while (!({ready})) await new Promise((done) => setTimeout(done, 20));
        }})()"""
    )


def test_every_number_is_minicnn_s(firefox, everything):
    opened(firefox, everything[2])
    wrong, seen = firefox.evaluate(
        """(async () => {
            const [wrong, seen] = [[], []];
            for (const mode of ["forward", "backward"]) {
                await page.setMode(mode);
                for (const { id, name } of page.net.nodes.slice(1)) {
                    page.openLayer(id);
                    seen.push(...document.querySelectorAll("[data-page]"));
                    if (document.querySelector(".tick.off")) wrong.push([mode, name]);
                }
            }
            return [wrong, seen.length];
        })()"""
    )
    assert wrong == []
    assert seen > 100
    assert firefox.complaints() == []


def test_views_answer_and_learning_makes_minicnn_s_steps(firefox, tmp_path):
    model = small_cnn()
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(4)])
    y = np.array([0, 1, 2, 0])
    path = build(model, x[:2], tmp_path / "page.html", class_names=NAMES[:3], data=(x, y))
    opened(firefox, path, "#second/3,4,1")
    assert firefox.evaluate("page.state.at") == [3, 4, 1]
    second = model.trace(x[:1])["second"].y[0, 3, 4, 1]
    shown = firefox.evaluate("Number(document.querySelector('[data-page]').dataset.page)")
    assert shown == pytest.approx(second, rel=1e-5)
    assert firefox.evaluate(
        """(async () => {
            await page.speak("de");
            const said = document.querySelector(".verdict").textContent;
            await page.speak("en");
            return said;
        })()"""
    ).startswith("✓ minicnn sagt")
    assert firefox.evaluate(
        """(async () => {
            page.set({ view: "heat" });
            const { root } = page;
            while (!root.dataset.heats) await new Promise((done) => setTimeout(done, 20));
            return root.querySelectorAll("[data-heat] canvas").length;
        })()"""
    ) == 4  # fmt: skip
    history = firefox.evaluate(
        """(async () => {
            await page.openLearning();
            await page.learn({ optimizer: "SGD", batch: 4 });
            await page.course.take(3);
            return page.course.report.history.map(({ loss }) => loss);
        })()"""
    )
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    trained = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(history, trained, rtol=1e-5)
    assert firefox.complaints() == []
