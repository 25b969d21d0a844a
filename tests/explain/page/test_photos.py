"""Several photos on one page: switched, added, and compared. No number leaves the page."""

import base64
import io

import numpy as np
import pytest
from pages import (
    changed,
    go_backward,
    numbers,
    open_layer,
    photo,
    seeded,
    small_cnn,
    wait,
    with_a_large_dense,
)
from PIL import Image

from minicnn import Input, Sequential, functional, layers
from minicnn.explain.page import build
from minicnn.images import load_photo
from minicnn.images.files import read_photo


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Return a model, three images, and their page."""
    model, folder = small_cnn(), tmp_path_factory.mktemp("three")
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(3)])
    paths = [folder / f"{name}.png" for name in ("ant", "bee", "cat")]
    for path, image in zip(paths, x):
        Image.fromarray(image.astype("uint8")).save(path)
    return model, x, build(model, x, folder / "page.html", photo=paths, class_names=["A", "B", "C"])


def switch(tab, number):
    changed(tab, tab.get_by_role("button", name=f"Photo {number}:").click)
    assert tab.evaluate("page.net.shown") == number


def outputs(tab):
    return [np.array(a) for a in tab.evaluate(
        "page.net.nodes.map((n) => Array.from(page.net.y(n.id).data))")]  # fmt: skip


def test_the_reader_switches_between_photos(three, opened):
    model, x, path = three
    tab = opened(path)
    assert tab.locator(".photo").evaluate_all("(a) => a.map((e) => e.ariaLabel)") == [
        "Photo 0: ant.png",
        "Photo 1: bee.png",
        "Photo 2: cat.png",
    ]
    for number in (1, 2, 0, 1):
        switch(tab, number)
        assert (
            tab.locator(".photo[aria-pressed=true]").get_attribute("title")
            == (["ant.png", "bee.png", "cat.png"][number])
        )
        scores, tape = model.forward(x[number, None])
        wanted = [x[number], *(entry.y for entry in tape.entries)]
        for found, right in zip(outputs(tab), wanted, strict=True):
            np.testing.assert_allclose(found, right.ravel(), rtol=1e-4, atol=1e-4)
        p = functional.softmax(scores)[0]
        best = f"most likely {'ABC'[p.argmax()]}"
        wait(tab, "(t) => document.querySelector('.live').textContent.includes(t)", best)
    open_layer(tab, "second")
    assert tab.locator(".tick.off").count() == 0
    changed(tab, lambda: tab.keyboard.press("p"))
    assert tab.locator(".layer-head h2").inner_text().startswith("second")
    assert tab.evaluate("location.hash").endswith("/photo=2")


def test_a_link_opens_another_photo(three, opened):
    tab = opened(three[2], address="#first/2,3,1/photo=2")
    assert tab.evaluate("[page.net.shown, page.state.at]") == [2, [2, 3, 1]]


def test_gradients_are_those_of_the_photo_shown(three, opened):
    model, x, path = three
    tab = opened(path)
    go_backward(tab)
    for number in (2, 0):
        switch(tab, number)
        y, tape = model.forward(x[number, None])
        dy = functional.softmax(y)
        assert tab.evaluate("page.net.target") == dy.argmax()
        dy[0, dy.argmax()] -= 1
        dx, _ = model.backward(dy, tape)
        found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(dx.shape)
        np.testing.assert_allclose(found, dx, rtol=1e-3, atol=1e-4 * np.abs(dx).max())


def test_the_class_that_the_reader_chose_stays(three, opened):
    tab = opened(three[2])
    go_backward(tab)
    tab.get_by_label("The class of the loss").select_option("1")
    wait(tab, "page.net.target === 1")
    switch(tab, 2)
    assert tab.evaluate("page.net.target") == 1


def test_a_changed_weight_stays_and_a_changed_pixel_does_not(three, opened):
    model, x, path = small_cnn(), *three[1:]
    tab = opened(path)
    open_layer(tab, "first")
    tab.get_by_role("tab", name="What if").click()
    map_ = tab.evaluate("page.state.at")[2]
    field = tab.get_by_label("bias", exact=True)
    changed(tab, lambda: (field.fill("40"), field.press("Enter")))
    changed(tab, lambda: tab.evaluate("void page.changeCell(0, 3, 9)"))
    switch(tab, 1)
    model.get_layer("first").bias.value[map_] = 40
    wanted = model.forward(x[1, None])[0].ravel()
    np.testing.assert_allclose(outputs(tab)[-1], wanted, rtol=1e-4)
    changed(tab, lambda: tab.evaluate("void page.resetChanges()"))
    wanted = three[0].forward(x[1, None])[0].ravel()
    np.testing.assert_allclose(outputs(tab)[-1], wanted, rtol=1e-4)


def png(shape, seed, mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, len(mode)), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels, mode).save(file, "PNG")
    return file.getvalue()


def hand_over(tab, kind, files):
    """Drop or paste files, {name: bytes}."""
    tab.evaluate(
        """([kind, files]) => {
            const data = new DataTransfer();
            for (const [name, text] of files) {
                const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
                data.items.add(new File([bytes], name, { type: 'image/png' }));
            }
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(kind === 'drop'
                ? new DragEvent('drop', { ...options, dataTransfer: data })
                : new ClipboardEvent('paste', { ...options, clipboardData: data }));
        }""",
        [kind, [[name, base64.b64encode(data).decode()] for name, data in files.items()]],
    )


@pytest.mark.parametrize("kind", ["drop", "paste"])
@pytest.mark.parametrize("shape", [(12, 12), (31, 17), (5, 40)])
def test_a_dropped_or_pasted_photo_is_read_as_python_reads_it(three, opened, kind, shape):
    model, _, path = three
    tab = opened(path)
    data = png(shape, seed=8)
    changed(tab, lambda: hand_over(tab, kind, {"new.png": data}))
    x = load_photo(io.BytesIO(data), (12, 12))
    found = outputs(tab)
    np.testing.assert_allclose(found[0], x.ravel(), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found[-1], model.forward(x[None])[0].ravel(), rtol=1e-3)
    assert tab.locator(".photo").last.get_attribute("title") == "new.png"


@pytest.mark.parametrize(
    ("channels", "mode", "scale", "offset", "reading", "levels"),
    [
        (1, "L", 1, 0, "bilinear", 1e-3),
        (3, "RGB", 127.5, 127.5, "antialias", 1),  # Pillow rounds between rows and columns, too
        (3, "L", 255, 0, "bilinear", 1e-3),
        (1, "RGB", 255, 0, "bilinear", 1e-3),
    ],
)
def test_photos_become_the_numbers_that_the_model_takes(
    tmp_path, opened, channels, mode, scale, offset, reading, levels
):
    model = Sequential([Input((9, 9, channels)), layers.Flatten(), layers.Dense(2)])
    model.metadata = {"interpolation": reading}
    x = (photo((9, 9, channels)) - np.float32(offset)) / np.float32(scale)
    tab = opened(build(seeded(model), x, tmp_path / "page.html"))
    data = png((20, 14), 3, mode)
    changed(tab, lambda: hand_over(tab, "drop", {"new.png": data}))
    wanted = read_photo(io.BytesIO(data), (9, 9), reading, "grayscale" if channels == 1 else "rgb")
    wanted = (wanted - offset) / scale
    np.testing.assert_allclose(outputs(tab)[0], wanted.ravel(), rtol=1e-5, atol=levels / scale)


@pytest.mark.parametrize("ending", ["jpeg", "png"])
def test_a_photo_is_not_turned_as_in_python(three, opened, ending):
    tab = opened(three[2])
    image, exif, file = Image.new("RGB", (24, 12), (200, 40, 90)), Image.Exif(), io.BytesIO()
    image.paste((20, 90, 230), (0, 0, 12, 12))
    exif[0x0112] = 6  # the camera was held upright: browsers turn the photo
    image.save(file, ending, exif=exif.tobytes())
    changed(tab, lambda: hand_over(tab, "drop", {f"new.{ending}": file.getvalue()}))
    x = load_photo(file, (12, 12))
    assert x[0, 0, 2] > 200 > x[0, -1, 2]  # blue is at the left
    np.testing.assert_allclose(outputs(tab)[0], x.ravel(), rtol=1e-5, atol=2)


def test_files_are_chosen_in_a_dialog(three, opened, tmp_path):
    (tmp_path / "one.png").write_bytes(png((16, 16), 1))
    (tmp_path / "two.png").write_bytes(png((16, 16), 2))
    tab = opened(three[2])
    tab.get_by_role("button", name="Add a photo").click()
    assert tab.get_by_role("dialog", name="Add a photo").is_visible()
    tab.locator("input[type=file]").set_input_files([tmp_path / "one.png", tmp_path / "two.png"])
    wait(tab, "page.net.shown === 4")
    titles = tab.locator(".photo").evaluate_all("(a) => a.map((e) => e.title)")
    assert titles[3:] == ["one.png", "two.png"]
    assert tab.get_by_role("dialog").count() == 0


def test_the_camera_takes_a_photo(three, opened):
    tab = opened(three[2], permissions=["camera"])
    tab.get_by_role("button", name="Add a photo").click()
    tab.get_by_role("button", name="Use the camera").click()
    shoot = tab.get_by_role("button", name="Take the photo")
    shoot.wait_for()
    wait(tab, "!document.querySelector('dialog .primary').disabled")
    changed(tab, shoot.click)
    assert tab.locator(".photo").last.get_attribute("title") == "photo of the camera"
    assert np.ptp(outputs(tab)[0]) > 50


def test_a_picture_is_drawn_with_a_mouse_or_with_keys(three, opened):
    tab = opened(three[2])

    def drawn(draw):
        tab.get_by_role("button", name="Add a photo").click()
        tab.get_by_role("button", name="Draw", exact=True).click()
        draw(tab.get_by_role("application", name="The picture."))
        changed(tab, tab.get_by_role("button", name="Look at it").click)
        return outputs(tab)[0].reshape(12, 12, 3)

    def with_the_mouse(canvas):
        box = canvas.bounding_box()
        tab.mouse.move(box["x"] + 60, box["y"] + 140)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 220, box["y"] + 140, steps=4)
        tab.mouse.up()

    def with_keys(canvas):
        canvas.press(" ")
        for _ in range(20):
            canvas.press("ArrowUp")
        assert "The pen is down, at 140, 0" in tab.get_by_role("dialog").inner_text()

    image = drawn(with_the_mouse)
    assert image[0].min() == 255  # paper
    assert image[5:7, 4:8].max() < 60  # a line from left to right
    image = drawn(with_keys)
    assert image[:5, 5:7].max() < 60  # a line from the middle up
    assert image[8:].min() == 255


def test_two_photos_are_compared_layer_by_layer(three, opened):
    model, x, path = three
    tab = opened(path)
    tab.get_by_role("button", name="Compare").click()
    tab.locator(".comparison").wait_for()
    tab.get_by_label("The photo to compare with").select_option("2: cat.png")
    wait(tab, "page.state.other === 2")
    tapes = [model.forward(x[k, None])[1] for k in (0, 2)]
    apart = [float(a) for a in tab.locator("[data-apart]").evaluate_all(
        "(all) => all.map((e) => e.dataset.apart)")]  # fmt: skip
    pairs = [(x[0], x[2]), *((a.y[0], b.y[0]) for a, b in zip(*(t.entries for t in tapes)))]
    norm = np.linalg.norm
    wanted = [norm((b - a).ravel()) / (norm(a.ravel()) + norm(b.ravel())) for a, b in pairs]
    np.testing.assert_allclose(apart, wanted, rtol=1e-4)
    assert tab.locator(".two-outcomes .panel").count() == 2
    tab.evaluate("""() => {
        const name = { value: `${"long".repeat(30)}.png` };
        for (const photo of page.net.photos) Object.defineProperty(photo, "name", name);
        page.render();
    }""")
    table, classes = (
        tab.locator(f".{name}").bounding_box() for name in ("compared", "two-outcomes")
    )
    assert table["x"] + table["width"] < classes["x"]  # beside it, not below
    assert classes["x"] + classes["width"] <= 1280
    assert tab.evaluate("location.hash") == "#:compare/with=2"
    tab.locator('[data-layer="second"] button').click()
    assert tab.get_by_role("tab", selected=True).inner_text() == "Two photos"
    a, b = pairs[4]
    change = norm((b - a).reshape(-1, 6), axis=0)
    assert tab.evaluate("page.state.at")[2] == change.argmax()
    rows = tab.locator(".terms tbody tr")
    assert rows.first.inner_text().startswith(f"map {change.argmax()}")
    at = tuple(tab.evaluate("page.state.at"))
    said = tab.locator(".facts-of-two dd").evaluate_all("(all) => all.map((e) => e.title)")
    found = [float(v.replace("−", "-")) for v in said]
    np.testing.assert_allclose(found, [a[at], b[at], b[at] - a[at]], rtol=1e-4, atol=1e-5)
    tab.go_back()
    wait(tab, "page.state.view === 'compare'")
    tab.keyboard.press("Escape")
    assert tab.locator(".overview").count() == 1


def test_two_photos_are_compared_without_what_if_changes(three, opened):
    model, x, path = three
    tab = opened(path)
    changed(tab, lambda: tab.evaluate("void page.changeParam(2, 'bias', (b) => b.fill(50))"))
    tab.get_by_role("button", name="Compare").click()
    tab.locator(".comparison").wait_for()
    assert "Both are of the unchanged network" in tab.locator(".comparison").inner_text()
    a, b = (model.forward(x[k, None])[1]["first"].y for k in (0, 1))
    apart = float(tab.locator('[data-layer="first"]').get_attribute("data-apart"))
    norm = np.linalg.norm
    assert apart == pytest.approx(norm(b - a) / (norm(a) + norm(b)), rel=1e-4)


def test_one_photo_has_nothing_to_compare_with(tmp_path, opened):
    tab = opened(build(small_cnn(), photo((12, 12, 3)), tmp_path / "page.html"))
    assert tab.get_by_role("button", name="Compare").count() == 0
    open_layer(tab, "first")
    assert tab.get_by_role("tab", name="Two photos").count() == 0


def test_what_is_no_image_is_refused_in_one_sentence(three, opened):
    tab = opened(three[2])
    hand_over(tab, "drop", {"text.png": b"no image"})
    tab.get_by_role("alert").wait_for()
    said = "text.png is not an image that this browser can read."
    assert tab.get_by_role("alert").inner_text() == said
    assert tab.locator(".photo").count() == 3
    # It is still said when the photos beside it have come; the last one, and "+", are in sight.
    more = {f"{k}.png": png((9, 9), k) for k in range(6)}
    hand_over(tab, "drop", {"text.png": b"no image", **more})
    wait(tab, "page.net.shown === 8 && page.state.notice !== ''")
    assert tab.get_by_role("alert").inner_text() == said
    row, last, add = (
        tab.locator(which).bounding_box()
        for which in (".photo-row", ".photo[aria-pressed=true]", ".add-photo")
    )
    ends = [box["x"] + box["width"] for box in (last, row, add)]
    assert row["x"] <= last["x"] < ends[0] <= ends[1] + 1 < ends[2] < 1280


def test_a_page_that_cannot_look_at_another_photo_says_why(tmp_path, opened):
    path = build(with_a_large_dense(), photo((12, 12, 3)), tmp_path / "page.html", limit=60_000)
    tab = opened(path)
    add = tab.get_by_role("button", name="Add a photo")
    assert add.is_disabled()
    assert "units of large are left out" in add.get_attribute("title")
    hand_over(tab, "drop", {"new.png": png((9, 9), 1)})
    assert "units of large are left out" in tab.get_by_role("alert").inner_text()
    model = Sequential([Input((9, 9, 3)), layers.Flatten(), layers.Dense(2)])
    odd = photo((9, 9, 3)) / 7 - 3  # of which the page cannot know how they were made
    tab = opened(build(seeded(model), odd, tmp_path / "page.html"))
    assert "not known to the page" in tab.get_by_role("button", name="Add").get_attribute("title")


def check_stored(tab, model, x):
    """Compare the outputs of every layer that the page has for each photo; return how many."""
    count = 0
    for number, image in [*enumerate(x), (0, x[0])]:
        if tab.evaluate("page.net.shown") != number:
            switch(tab, number)
        found = tab.evaluate(
            "page.net.nodes.map((n) => page.net.y(n.id) && Array.from(page.net.y(n.id).data))"
        )
        wanted = [image, *(entry.y for entry in model.forward(image[None])[1].entries)]
        for y, right in zip(found, wanted, strict=True):
            if y is not None:
                scale = np.abs(right).max()
                np.testing.assert_allclose(y, right.ravel(), rtol=1e-3, atol=2e-3 * scale)
                count += 1
    return count


def test_of_several_photos_a_page_has_the_outputs_that_it_cannot_compute(tmp_path, opened):
    model = with_a_large_dense()
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(3)])
    path = build(model, x, tmp_path / "page.html", limit=60_000)
    tab = opened(path)
    assert "units of large are left out" in tab.evaluate("page.net.obstacleToPhotos")
    assert check_stored(tab, model, x) == 4 * 7
    go_backward(tab)
    switch(tab, 2)  # for which the page has gradients as far as the layer that lacks kernels
    y, tape = model.forward(x[2, None])
    dz = y - np.eye(10)[y.argmax()]
    dy = model.get_layer("classes").backward(dz, tape["classes"].cache, True, True)[0]
    large = tab.evaluate("page.net.nodes.findIndex((n) => n.name === 'large')")
    found = numbers(tab, f"Array.from(page.net.dy({large}).data)")
    np.testing.assert_allclose(found, dy.ravel(), rtol=1e-2, atol=1e-3 * np.abs(dy).max())
    assert "units of large are left out" in tab.evaluate("page.net.gradientReason(0)")
    tab.get_by_role("button", name="Compare").click()
    tab.locator(".comparison").wait_for()
    tapes = [model.forward(image[None])[1] for image in (x[2], x[0])]
    a, b = (tape["large"].y for tape in tapes)
    apart = float(tab.locator('[data-layer="large"]').get_attribute("data-apart"))
    norm = np.linalg.norm
    assert apart == pytest.approx(norm(b - a) / (norm(a) + norm(b)), rel=2e-3)
    assert "Gradients are stored for the first photo alone." in tab.locator(".notes").inner_text()
    # Where less fits, the largest outputs are left out for all photos.
    tab = opened(build(model, x, tmp_path / "small.html", limit=30_000))
    assert 4 * 3 <= check_stored(tab, model, x) < 4 * 7


class Halved(layers.Layer):
    """A layer of one's own, for which the page has no formula."""

    def compute(self, x, training):
        return x / 2, {}

    def compute_gradients(self, dz, cache, need_dx):
        return dz / 2, {}


def test_outputs_of_layers_without_a_formula_are_there_for_all_photos(tmp_path, opened):
    model = Sequential(
        [Input((12, 12, 3)), Halved(name="halved"), layers.Flatten(), layers.Dense(3)]
    )
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(2)])
    tab = opened(build(seeded(model), x, tmp_path / "page.html"))
    assert check_stored(tab, model, x) == 3 * 4


def test_images_that_do_not_fit_are_refused(tmp_path):
    x = np.concatenate([photo((12, 12, 3), seed) for seed in range(2)])
    with pytest.raises(ValueError, match=r"24 images at most\. Received x\.shape=\(25,"):
        build(small_cnn(), np.zeros((25, 12, 12, 3)))
    with pytest.raises(ValueError, match=r"a photo for each image\. Received 1 for 2"):
        build(small_cnn(), x, photo=["a.png"])
    x[1, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite pixels"):
        build(small_cnn(), x)
