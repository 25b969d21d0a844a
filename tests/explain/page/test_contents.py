"""What a page contains: texts, nested models, what it leaves out, and what it refuses."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from pages import (
    changed,
    class_probabilities,
    go_backward,
    numbers,
    open_layer,
    photo,
    seeded,
    small_cnn,
    with_a_large_dense,
)

from minicnn import Input, Model, Sequential, layers
from minicnn.explain import page as page_room
from minicnn.explain.page import build
from minicnn.explain.page.passes import uses_of


def test_text_from_files_stays_text(tmp_path, opened):
    evil = '</script><img src=x onerror="window.hacked=1"><!--'
    name = "<img src=x onerror='hacked=1'> & \u2028"
    convolution = layers.Conv2D(2, 3, name=name)
    model = Sequential([Input((6, 6, 3)), convolution, layers.Flatten(), layers.Dense(2)])
    path = build(
        model,
        photo((6, 6, 3)),
        tmp_path / "page.html",
        class_names=[evil, "{{script}}"],
        title=evil,
    )
    tab = opened(path, 390, 844)
    for mode in ("forward", "backward"):
        tab.evaluate(f"page.setMode('{mode}')")
        for view in ("page.overview()", "page.openLayer(1)", "page.openLayer(3)"):
            tab.evaluate(view)
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.evaluate("page.overview()")
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.images.length") == 0
    assert tab.locator("h1").inner_text() == evil
    assert tab.locator(".class-name").all_inner_texts() == [evil, "{{script}}"]
    assert evil in tab.title()


def test_what_does_not_fit_is_left_out_and_listed(tmp_path, opened):
    """As the limit shrinks, each page still opens, says what is missing, and is right."""
    inputs = Input((12, 12, 3))
    x = layers.Conv2D(64, 3, name="block1_conv")(inputs)
    x = layers.BatchNormalization(name="block1_bn")(x)
    x = layers.Activation("relu", name="block1_relu")(x)
    x = layers.SeparableConv2D(128, 3, name="block2_sepconv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model, picture = Model(inputs, layers.Dense(4)(x)), photo((12, 12, 3)) / 255
    _, tape = model.forward(picture)
    sizes, told, tab = [], set(), None
    for limit in (900_000, 160_000, 120_000, 100_000, 35_000):
        path = build(model, picture, tmp_path / f"{limit}.html", limit=limit)
        sizes.append(path.stat().st_size)
        tab = opened(path, tab=tab)
        notes = tab.evaluate("page.net.notes")
        told.update(notes)
        assert all(note in tab.locator(".notes").inner_text() for note in notes)
        for name in ("block1_conv", "block2_sepconv", "dense"):
            number = tab.evaluate(
                "(n) => page.net.nodes.find((m) => m.name.startsWith(n)).id", name
            )
            y = next(e.y for e in tape.entries if e.layer.name.startswith(name))[0]
            tab.evaluate(f"page.openLayer({number})")
            at = tab.evaluate("page.state.at")
            verdict = tab.locator(".verdict")
            if verdict.count():
                value = float(verdict.get_attribute("data-page"))
                assert value == pytest.approx(float(y[tuple(at)]), rel=2e-2, abs=1e-3)
            else:
                assert "left out" in tab.locator("#main").inner_text()
        tab.evaluate("page.setMode('backward')")
        tab.evaluate("page.overview()")
        whole = not any("kernels" in note or "of them are left out" in note for note in notes)
        assert tab.get_by_label("The class of the loss").is_enabled() == whole
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2
    assert len(told) > 4


def test_softmax_of_scores_that_are_left_out(tmp_path, opened):
    model = Sequential([Input((24, 24, 3)), layers.GlobalAveragePooling2D(), layers.Dense(300)])
    model.add(layers.Dense(60, activation="softmax", name="probabilities"))
    tab = opened(build(model, photo((24, 24, 3)) / 255, tmp_path / "page.html", limit=40_000))
    open_layer(tab, "probabilities")
    assert "probabilities (" in tab.locator(".notes").inner_text()
    assert "takes the scores of all classes" in tab.locator(".verdict").inner_text()
    assert tab.locator(".tick.off, .softmax").count() == 0


def facts_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text("utf-8"))[1])


def test_a_model_that_fits_with_11_bits_keeps_all_kernels(tmp_path, opened):
    """Its large layer is stored in 16-bit floats, but what-if and backward work as in any page."""
    model, x = with_a_large_dense(), photo((12, 12, 3))
    assert model.get_layer("large").kernel.value.size == 27_648
    path = build(model, x, tmp_path / "page.html", limit=110_000)
    facts = facts_of(path)
    weights = {n["name"]: n["params"]["kernel"] for n in facts["nodes"] if n["params"]}
    halves = {name: facts["arrays"][w["at"]]["half"] for name, w in weights.items()}
    assert halves == {"conv": False, "large": True, "classes": False}  # only as many as needed
    assert not any(w["kept"] for w in weights.values())
    tab = opened(path)
    assert "weights of large are stored with 11 bits" in tab.locator(".notes").inner_text()
    assert tab.locator(".reason").count() == 0
    open_layer(tab, "large")
    assert "weights stored with 11 bits" in tab.locator(".facts").inner_text()
    assert "stores these numbers with 11 bits" in tab.locator(".verdict").inner_text()
    assert tab.locator(".tick.off").count() == 0
    open_layer(tab, "conv")
    assert "11 bits" not in tab.locator(".layer").inner_text()
    tab.get_by_role("tab", name="What if").click()
    column = tab.evaluate("page.state.at")[2]
    field = tab.get_by_label("bias", exact=True)
    changed(tab, lambda: (field.fill("3"), field.press("Enter")))
    model.get_layer("conv").bias.value[column] = 3
    y, tape = model.forward(x)
    np.testing.assert_allclose(class_probabilities(tab), y[0], atol=5e-3)
    go_backward(tab)
    dy = y.copy()
    dy[0, tab.evaluate("page.net.target")] -= 1
    dx, _ = model.backward(dy, tape, at_logits=True)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(x.shape)
    np.testing.assert_allclose(found, dx, atol=1e-2 * np.abs(dx).max())


def test_what_a_cut_page_cannot_compute_is_disabled(tmp_path, opened):
    """Only the largest layer is cut, as far as needed, and the page offers nothing that fails."""
    model, x = with_a_large_dense(), photo((12, 12, 3))
    path = build(model, x, tmp_path / "page.html", limit=60_000)
    facts = facts_of(path)
    kept = {n["name"]: n["params"]["kernel"]["kept"] for n in facts["nodes"] if n["params"]}
    assert kept["conv"] is kept["classes"] is None
    assert 16 < len(kept["large"]) < 96
    assert sum((2 if a["half"] else 4) * a["n"] for a in facts["arrays"]) > 0.95 * 45_000  # full
    tab, why = opened(path), f"{96 - len(kept['large'])} of the 96 units of large are left out"
    open_layer(tab, "large")
    assert tab.get_by_role("tab", name="What if").is_disabled()
    assert why in tab.locator(".reason").inner_text()
    open_layer(tab, "conv")  # the page can follow a change here to `large`, but no further
    tab.get_by_role("tab", name="What if").click()
    assert why in tab.locator(".whatif .reason").inner_text()
    assert tab.locator(".off .classes").count() == 1
    assert tab.get_by_role("button", name="Backward").is_enabled()
    changed(tab, lambda: tab.get_by_role("button", name="blur").click())
    assert tab.get_by_role("button", name="Backward").is_disabled()
    assert why in tab.locator(".reason.under-top").inner_text()
    tab.keyboard.press("b")
    assert tab.evaluate("page.state.mode") == "forward"
    changed(tab, lambda: tab.evaluate("void page.resetChanges()"))
    assert tab.locator(".reason.under-top").count() == 0
    open_layer(tab, "classes")  # after the cut, everything is there
    tab.get_by_role("tab", name="What if").click()
    assert tab.locator(".reason, .off").count() == 0
    tab.evaluate("page.overview()")
    go_backward(tab)
    assert tab.get_by_label("The class of the loss").is_disabled()
    assert why in tab.locator(".outcome").inner_text()


def test_small_layers_after_a_gap_are_stored(tmp_path, opened):
    """Leaving one output out does not leave out others that fit."""
    inputs = Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", name="wide")(inputs)
    x = layers.MaxPooling2D(4, name="pool")(x)
    x = layers.Add(name="add")([x, layers.Conv2D(16, 1, name="one")(x)])
    model = Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    tab = opened(build(model, photo((32, 32, 3)), tmp_path / "page.html", limit=45_000))
    assert "of them are left out" in tab.locator(".notes").inner_text()
    assert tab.evaluate("page.net.nodes.filter((n) => !page.net.has(n.id)).map((n) => n.name)") == [
        "wide"
    ]
    assert tab.locator('.card.off[data-layer="wide"]').count() == 1
    open_layer(tab, "add")
    assert tab.locator(".tick.off").count() == 0


def test_a_photo_of_integer_pixels_loses_nothing_to_11_bits(tmp_path):
    model = seeded(Sequential([Input((64, 64, 3)), layers.Flatten(), layers.Dense(2)]))
    facts = facts_of(build(model, photo((64, 64, 3)), tmp_path / "page.html", limit=170_000))
    assert facts["arrays"][facts["nodes"][0]["y"]] | {"at": 0} == {
        **{"at": 0, "n": 64 * 64 * 3, "half": True, "scale": 1.0}
    }
    assert "note.half_photo" not in [note["key"] for note in facts["notes"]]


def test_a_model_that_never_fits_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"too big for a page of 0\.001 million characters"):
        build(small_cnn(), photo((12, 12, 3)), tmp_path / "page.html", limit=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_small_cnn_takes_less_than_five_megabytes():
    model = Sequential(
        [
            *(Input((64, 64, 3)), layers.Rescaling(1 / 255)),
            *(layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.GlobalAveragePooling2D(), layers.Dense(10)),
        ]
    )
    page = build(model, photo((64, 64, 3)))
    assert isinstance(page, str)
    assert len(page.encode()) < 5_000_000
    assert json.loads(re.search(r'id="data">(.*?)</script>', page)[1])["notes"] == []


def test_nested_models_are_expanded(tmp_path, opened):
    convolution = layers.Conv2D(4, 3, name="inside")
    inner = Sequential([Input((8, 8, 3)), convolution, layers.ReLU()], name="base")
    inputs = Input((8, 8, 3))
    x = layers.Add()([inner(inputs), inner(layers.Rescaling(0.5)(inputs))])
    model = Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    picture = photo((8, 8, 3)) / 255
    tab = opened(build(model, picture, tmp_path / "page.html"))
    names = tab.evaluate("page.net.nodes.map((n) => n.name)")
    assert "inside" in names
    assert "inside (2)" in names  # used twice
    tab.evaluate("page.setMode('backward')")
    y, tape = model.forward(picture)
    y = y.copy()
    y[0, tab.evaluate("page.net.target")] -= 1
    dx, _ = model.backward(y, tape, at_logits=True)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(dx.shape)
    np.testing.assert_allclose(found, dx, rtol=1e-4, atol=1e-6)


def test_a_layer_of_your_own_is_shown_without_its_arithmetic(tmp_path, opened):
    class Square(layers.Layer):
        def compute(self, x, training):
            return x * x, {"x": x}

        def compute_gradients(self, dz, cache, need_dx):
            return 2 * cache["x"] * dz, {}

    model = Sequential([Input((6, 6, 3)), Square(name="square"), layers.Flatten(), layers.Dense(2)])
    tab = opened(build(model, photo((6, 6, 3)) / 255, tmp_path / "page.html"))
    open_layer(tab, "square")
    assert "no formula for Square" in tab.locator(".arithmetic").inner_text()
    tab.evaluate("page.setMode('backward')")


def test_training_hides_only_the_arithmetic_of_layers_that_it_changes():
    x = inputs = Input((6, 6, 3))
    for layer in (layers.ZeroPadding2D(), layers.Dropout(0.5), layers.BatchNormalization()):
        x = layer(x, training=True)
    model = Model(inputs, x)
    image = photo((6, 6, 3))
    found, _ = uses_of(model, model.forward(image)[1], image)
    assert [use.known for use in found[1:]] == [True, False, False]


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_a_single_score(tmp_path, opened, activation):
    model = Sequential([Input((6, 6, 1)), layers.Flatten(), layers.Dense(1, activation=activation)])
    tab = opened(build(model, photo((6, 6, 1)) / 255, tmp_path / "page.html"))
    tab.evaluate("page.setMode('backward')")
    if activation is None:
        assert "does not end in one score per class" in tab.locator(".outcome").inner_text()
    else:
        assert tab.locator(".outcome [data-p]").count() == 2
        tab.evaluate("page.openLayer(2)")
        assert tab.locator(".tick.off").count() == 0


# -- bad input -------------------------------------------------------------------------------------


def _with_nan():
    model = small_cnn()
    model.get_layer("first").kernel.value[0, 0, 0, 0] = np.nan
    return model


def _overflowing():
    model = small_cnn()
    for layer in ("first", "second"):
        model.get_layer(layer).kernel.value[:] = 1e30
    return model


@pytest.mark.parametrize(
    ("make", "x", "options", "message"),
    [
        (_with_nan, photo((12, 12, 3)), {}, r"weight first/kernel has NaN or infinite values"),
        (small_cnn, photo((12, 12, 3)) * np.nan, {}, "image has NaN or infinite pixels"),
        (_overflowing, photo((12, 12, 3)), {}, "gives NaN or infinity"),
        (small_cnn, photo((9, 9, 3)), {}, r"expects x.shape=\(batch, 12, 12, 3\)"),
        (small_cnn, np.zeros((12, 12), "float32"), {}, "models that look at images"),
        (
            small_cnn,
            photo((12, 12, 3)),
            {"class_names": ["a"]},
            "distinguishes 3 classes. Received 1",
        ),
        (small_cnn, photo((12, 12, 3)), {"y": 3}, "a class from 0 to 2. Received 3"),
        (
            small_cnn,
            photo((12, 12, 3)),
            {"y": "d", "class_names": ["a", "b", "c"]},
            "no class 'd'. There are a, b, c",
        ),
        (small_cnn, photo((12, 12, 3)), {"y": "d"}, "no class 'd'. The model has no class names"),
        (
            lambda: Sequential([Input((4,)), layers.Dense(2)]),
            np.zeros((1, 4)),
            {},
            "look at images",
        ),
    ],
)
def test_bad_input_ends_in_one_sentence(make, x, options, message):
    with pytest.raises(ValueError, match=message), np.errstate(all="ignore"):
        build(make(), x, **options)


def test_an_old_page_stays_if_the_new_one_fails(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="NaN"):
        build(_with_nan(), photo((12, 12, 3)), path)
    assert path.read_text() == "old"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build(small_cnn(), photo((12, 12, 3)), tmp_path / "no" / "page.html")


def test_the_page_contains_its_modules_unchanged():
    folder = Path(page_room.__file__).parent
    sources = {f"page/{p.relative_to(folder).as_posix()}": p for p in folder.rglob("*.js")}
    page = build(small_cnn(), photo((12, 12, 3)))
    (text,) = re.findall(r'<script type="importmap">(.*?)</script>', page)
    held = json.loads(text)["imports"]
    assert held.keys() == sources.keys()
    assert "page/app.js" in held
    for name, url in held.items():
        kind, _, data = url.partition(",")
        assert kind == "data:text/javascript"
        assert not re.search(r"[\n#<]", data)  # a URL leaves out, or ends at, the first two
        source = sources[name].read_text("utf-8")
        assert unquote(data).startswith(source)
        assert set(re.findall(r'^(?:import|\}) .*from "([^"]+)";$', source, re.M)) <= held.keys()
    assert page_room.__all__ == ["Page", "build", "kind_of"]


def test_a_photo_s_name_may_be_no_text(tmp_path):
    model = Sequential([Input((6, 6, 3)), layers.Flatten(), layers.Dense(2)])
    title, name = "model looks at caf\udce9.jpg", "caf\udce9"
    path = build(
        model, photo((6, 6, 3)), tmp_path / "page.html", class_names=[name, "b"], title=title
    )
    page = path.read_text("utf-8")
    assert r"<title>model looks at caf\udce9.jpg · see inside</title>" in page
    assert r'"caf\udce9"' in page  # JSON's way to write it
