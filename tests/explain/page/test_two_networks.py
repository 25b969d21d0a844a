"""Two networks look at the same photos side by side: outputs and weights, layer by layer."""

import json

import numpy as np
import pytest
from pages import NAMES, changed, open_layer, photo, seeded, small_cnn, wait, with_a_large_dense
from PIL import Image

from minicnn import Input, Model, Sequential, commands, functional, layers
from minicnn.explain.page import build

X = np.concatenate([photo((12, 12, 3), seed) for seed in range(2)])


def trained():
    """Return the small CNN after a training that left its first convolution as it was."""
    model = small_cnn()
    kept = model.get_layer("first").get_weights()
    seeded(model, 0.3)
    model.get_layer("first").set_weights(kept)
    return model


def another():
    """Return a network with one layer more, and one of another shape."""
    model = Sequential(
        [
            Input((12, 12, 3)),
            layers.Rescaling(1 / 255, name="rescaling"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="first"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="second"),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="third"),
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(3, name="scores"),
        ]
    )
    return seeded(model, 0.3)


def facts_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("two") / "page.html"
    past = {"epoch_1": seeded(small_cnn(), 0.1)}
    others = {"after.keras": trained(), "another.keras": another()}
    return build(
        small_cnn(), X, path, class_names=NAMES[:3], against=others, name="before.keras",
        checkpoints=past,
    )  # fmt: skip


def apart(a, b):
    a, b = (np.concatenate([np.ravel(part) for part in each]) for each in (a, b))
    norms = np.linalg.norm(a) + np.linalg.norm(b)
    return np.linalg.norm(b - a) / norms if norms else 0


def outputs_of(model, x):
    return {"photo": x[None], **{e.layer.name: e.y for e in model.forward(x[None])[1].entries}}


def told(tab, attribute):
    return {
        name: float(value)
        for name, value in tab.locator(f".compared td[{attribute}]").evaluate_all(
            "(all, a) => all.map((e) => [e.closest('tr').dataset.layer, e.getAttribute(a)])",
            attribute,
        )
    }


def test_both_networks_layer_by_layer(page, opened):
    tab = opened(page)
    assert tab.get_by_role("button", name="Compare").get_attribute("title") == (
        "Show two photos side by side, layer by layer"
    )
    tab.get_by_role("button", name="Compare").click()
    tab.locator(".comparison").wait_for()
    assert tab.evaluate("location.hash") == "#:compare/against=0"
    heads = tab.locator(".compared th[scope=col]").all_inner_texts()
    assert heads == [
        *("layer", "a: before.keras", "b: after.keras", "b − a", "apart", "weights apart", "map")
    ]
    models = small_cnn(), trained()

    def check(x):
        a, b = (outputs_of(model, x) for model in models)
        found = told(tab, "data-outputs")
        wanted = [apart(p, q) for p, q in zip(a.values(), b.values(), strict=True)]
        np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-4, atol=1e-7)
        for side, y in zip("ab", (a, b), strict=True):
            panel = tab.locator(f'.two-outcomes [aria-label="Classes of {side}"]')
            p = [float(v) for v in panel.locator("[data-p]").evaluate_all(
                "(all) => all.map((e) => e.dataset.p)")]  # fmt: skip
            np.testing.assert_allclose(p, functional.softmax(y["scores"])[0], rtol=1e-3, atol=1e-6)

    check(X[0])
    weights = {
        layer.name: apart(layer.get_weights(), models[1].get_layer(layer.name).get_weights())
        for layer in models[0].layers
        if layer.weights
    }
    assert told(tab, "data-weights") == pytest.approx(weights, rel=1e-5)
    said = tab.locator(".most-apart").inner_text()
    least, most = sorted((v, k) for k, v in weights.items())[-2:]
    told_of = f"weights differ most in {most[1]} ({100 * most[0]:.1f} %) and {least[1]} ("
    assert told_of in said
    assert "have the same name" not in said
    changed(tab, tab.get_by_role("button", name="Photo 1:").click)
    check(X[1])


def test_one_layer_of_both_networks(page, opened):
    tab = opened(page, address="#second/2,3,1/compare/photo=1/against=0")
    assert tab.get_by_role("tab", selected=True).inner_text() == "Two networks"
    models = small_cnn(), trained()
    a, b = (outputs_of(model, X[1])["second"][0, 2, 3, 1] for model in models)
    said = tab.locator(".facts-of-two dd").evaluate_all("(all) => all.map((e) => e.title)")
    found = [float(v.replace("−", "-")) for v in said]
    np.testing.assert_allclose(found, [a, b, b - a], rtol=1e-4, atol=1e-5)
    kernels = [[model.get_layer("second").kernel.numpy()] for model in models]
    row = tab.locator('[data-weight="kernel"]')
    assert float(row.get_attribute("data-apart-weight")) == pytest.approx(apart(*kernels), rel=1e-5)
    open_layer(tab, "first")
    tab.get_by_role("tab", name="Two networks").click()
    wait(tab, "page.state.tab === 'compare'")
    assert tab.locator(".facts-of-two dd").last.inner_text() == "0"


def test_networks_of_different_layers(page, opened):
    tab = opened(page, address="#:compare/against=1")
    a, b = outputs_of(small_cnn(), X[0]), outputs_of(another(), X[0])
    shared = ["photo", "rescaling", "first", "pool", "average", "scores"]
    found = told(tab, "data-outputs")
    wanted = [apart(a[name], b[name]) for name in shared]
    np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-4, atol=1e-7)
    alone = [tab.locator(f'[data-layer="{name}"]') for name in ("second", "third")]
    assert "only in before.keras, 6 × 6 × 6" in alone[0].first.inner_text()
    assert "only in another.keras, 6 × 6 × 5" in alone[0].last.inner_text()
    assert "only in another.keras, 6 × 6 × 6" in alone[1].inner_text()
    said = tab.locator(".most-apart").inner_text()
    assert (
        "6 layers have their counterpart in the other network, by name, kind and shape, or as the "
        "last one; 1 of before.keras and 2 of another.keras have none." in said
    )
    open_layer(tab, "second")
    assert "another.keras has no layer like it" in tab.locator(".reason").inner_text()


def test_layers_without_a_counterpart_are_not_said_to_be_equal(tmp_path, opened):
    one, other = (
        Sequential([Input((12, 12, 3)), layer, layers.Flatten(name=name)])
        for layer, name in ((layers.Conv2D(2, 3), "one"), (layers.Conv2D(3, 3), "other"))
    )
    path = build(one, X[0], tmp_path / "page.html", against={"other": other})
    said = opened(path, address="#:compare/against=0").locator(".most-apart").inner_text()
    assert said.startswith("1 layer has its counterpart")
    assert "equal" not in said


def test_a_checkpoint_another_photo_and_a_photo_that_is_added(page, opened):
    tab = opened(page, address="#:compare")
    assert tab.evaluate("page.state.rival") == 0
    choice = tab.get_by_label("What to compare with")
    assert choice.locator("option").all_inner_texts() == [
        *("1: photo 1", "network after.keras", "network another.keras", "network epoch_1")
    ]
    choice.select_option("network epoch_1")
    wait(tab, "page.state.rival === 2")
    models = small_cnn(), seeded(small_cnn(), 0.1)
    a, b = (outputs_of(model, X[0]) for model in models)
    assert told(tab, "data-outputs")["scores"] == pytest.approx(
        apart(a["scores"], b["scores"]), rel=1e-4
    )
    choice.select_option("1: photo 1")
    wait(tab, "page.state.rival === null")
    assert tab.evaluate("location.hash") == "#:compare/with=1"
    assert tab.locator(".compared th[scope=col]").count() == 6
    choice.select_option("network after.keras")
    wait(tab, "page.state.rival === 0")
    tab.locator("body").evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(12, 12);
            canvas.getContext('2d').fillRect(2, 2, 5, 5);
            const file = await canvas.convertToBlob();
            const data = new DataTransfer();
            data.items.add(new File([file], 'new.png', { type: 'image/png' }));
            document.body.dispatchEvent(
                new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: data }));
        }"""
    )
    wait(tab, "page.net.shown === 2")
    black = np.zeros((12, 12, 3), np.float32)
    a, b = (outputs_of(model, black) for model in (small_cnn(), trained()))
    assert told(tab, "data-outputs")["scores"] == pytest.approx(
        apart(a["scores"], b["scores"]), rel=1e-3
    )


def test_weights_that_are_equal_are_there_once(page):
    facts = facts_of(page)
    before = {node["name"]: node["params"] for node in facts["nodes"]}
    after = {node["name"]: node["params"] for node in facts["against"][0]["nodes"]}
    assert after["first"] == before["first"]
    assert after["second"]["kernel"]["at"] != before["second"]["kernel"]["at"]
    assert facts["against"][0]["pairs"] == [[k, k] for k in range(len(before))]


def test_of_networks_that_are_too_large_the_page_has_outputs(tmp_path, opened):
    model, other = with_a_large_dense(), with_a_large_dense()
    other.set_weights([w * 1.5 for w in other.get_weights()])
    path = build(
        *(model, X, tmp_path / "page.html"), limit=90_000, against={"after": other}, name="before"
    )
    tab = opened(path, address="#:compare")
    for number, x in enumerate(X):
        if number:
            changed(tab, tab.get_by_role("button", name="Photo 1:").click)
        a, b = (outputs_of(each, x) for each in (model, other))
        found = told(tab, "data-outputs")
        wanted = [apart(p, q) for p, q in zip(a.values(), b.values(), strict=True)]
        np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-3, atol=1e-3)
    large = apart(*(each.get_layer("large").get_weights() for each in (model, other)))
    assert told(tab, "data-weights")["large"] == pytest.approx(large, rel=1e-5)
    assert "Of the network after this page has outputs" in tab.locator(".notes").inner_text()
    # Where only the other one is too large, no other photo goes through both.
    tab = opened(build(model, X, tmp_path / "page.html", limit=130_000, against={"after": other}))
    assert tab.evaluate("page.net.obstacleToPhotos") == ""
    add = tab.get_by_role("button", name="Add a photo")
    assert add.is_disabled()
    assert add.get_attribute("title") == (
        "Of the network after this page has outputs, and no kernels. A page that is made with this "
        "photo, too, shows it: minicnn explain takes several."
    )


def test_rounding_to_11_bits_is_no_difference_to_be_seen(tmp_path, opened):
    def network(scale):
        kinds = [layers.Conv2D(8, 3, name="conv"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
        model = seeded(Sequential([Input((40, 40, 3)), *kinds]))
        model.layers[-1].kernel.value[:] *= scale
        return model

    x = photo((40, 40, 3))
    path = build(network(1), x, tmp_path / "page.html", against=network(2), limit=60_000)
    tab = opened(path, address="#conv/5,5,0/compare")
    assert tab.evaluate("page.net.isRounded(1)")
    change = tab.get_by_role("figure").filter(has_text="b − a").locator(".legend span").nth(2)
    largest = tab.evaluate("Math.max(...page.net.y(1).data.map(Math.abs))")
    assert float(change.inner_text().replace("+", "")) == pytest.approx(0.02 * largest, rel=0.2)


def test_the_command_takes_a_network_of_another_size(tmp_path, opened):
    small = Sequential([Input((8, 6, 3)), layers.Flatten(), layers.Dense(3, name="other")])
    trained().save(tmp_path / "after.keras")
    seeded(small, 0.1).save(tmp_path / "small.keras")
    Image.fromarray(X[0].astype("uint8")).save(tmp_path / "photo.png")
    given = [tmp_path / "after.keras", "--against", tmp_path / "small.keras"]
    path = tmp_path / "page.html"
    arguments = ["explain", *given, tmp_path / "photo.png", "-o", path]
    assert commands.main([*map(str, arguments)]) == 0
    facts = facts_of(path)
    assert facts["model"] == "after.keras"
    assert facts["against"][0]["name"] == "small.keras"
    from minicnn.images import load_photo

    tab = opened(path, address="#:compare")
    # The last layers of both say the same of classes, though their names are not the same.
    rows = tab.locator(".compared tr[data-apart]").evaluate_all(
        "(a) => a.map(e => e.dataset.layer)"
    )
    assert rows == ["scores"]
    assert "1 layer has its counterpart" in tab.locator(".most-apart").inner_text()
    y = small.predict(load_photo(tmp_path / "photo.png", (8, 6))[None], verbose=0)
    p = [float(v) for v in tab.locator('[aria-label="Classes of b"] [data-p]').evaluate_all(
        "(all) => all.map((e) => e.dataset.p)")]  # fmt: skip
    np.testing.assert_allclose(p, functional.softmax(y)[0], rtol=1e-3, atol=1e-6)


def test_classes_in_another_order_are_compared_by_name(tmp_path, opened):
    names = NAMES[:3]
    turned, bare, same, strange = (trained() for _ in range(4))
    turned.metadata["class_names"], same.metadata["class_names"] = names[::-1], names
    strange.metadata["class_names"] = ["a", "b", "c"]
    scores = turned.get_layer("scores")
    scores.set_weights([w[..., ::-1] for w in scores.get_weights()])
    rivals = {"turned": turned, "bare": bare, "same": same, "strange": strange}
    path = build(
        *(small_cnn(), X, tmp_path / "page.html"), class_names=names, against=rivals, name="before"
    )
    facts = facts_of(path)
    assert [rival["classes"] for rival in facts["against"]] == [names] * 3 + [["a", "b", "c"]]
    assert [note for note in facts["notes"] if note["key"].startswith("note.rival")] == [
        {"key": "note.rival_reordered", "name": "turned", "classes": ", ".join(names[::-1])},
        {"key": "note.rival_unnamed", "name": "bare"},
        {"key": "note.rival_classes", "name": "strange", "classes": "a, b, c"},
    ]
    tab = opened(path, address="#:compare/against=0")
    found = told(tab, "data-outputs"), told(tab, "data-weights")
    open_layer(tab, "scores")
    tab.get_by_role("tab", name="Two networks").click()
    wait(tab, "page.state.tab === 'compare'")
    unit = tab.evaluate("page.state.at[0]")
    assert tab.locator(".sums-of-two h3").first.inner_text() == f"At {names[unit]}"
    tab.evaluate("page.set({ view: 'compare' })")
    p = "document.querySelector(\"[aria-label='Classes of b']\").innerText"
    bars = tab.evaluate(p)
    tab.get_by_label("What to compare with").select_option("network same")
    wait(tab, "page.state.rival === 2")
    assert (told(tab, "data-outputs"), told(tab, "data-weights")) == found
    assert tab.evaluate(p) == bars.replace("b: turned", "b: same")


def test_the_command_tells_two_files_of_one_name_apart_and_reads_each_range(tmp_path, capsys):
    shown, other = (tmp_path / run / "model.keras" for run in ("1", "2"))
    small = seeded(Sequential([Input((8, 6, 3)), layers.Flatten(), layers.Dense(3)]))
    for file in (shown, other):
        file.parent.mkdir()
        small.save(file)
    lines = tmp_path / "lines.keras"
    Sequential([Input((12, 3)), layers.Flatten(), layers.Dense(3)]).save(lines)
    Image.fromarray(X[0].astype("uint8")).save(tmp_path / "photo.png")
    page = tmp_path / "page.html"
    given = ["explain", *map(str, (shown, tmp_path / "photo.png", "-o", page))]
    against = ["--against", str(other), "--input-range", "unit", "--against-input-range", "signed"]
    assert commands.main([*given, *against]) == 0
    facts = facts_of(page)
    rival = facts["against"][0]
    assert (facts["model"], rival["name"]) == ("1/model.keras", "2/model.keras")
    assert (facts["range"], rival["range"]) == ([255, 0], [127.5, 127.5])
    capsys.readouterr()
    assert commands.main([*given, "--against", str(lines)]) != 0
    assert "lines.keras' does not take one image" in capsys.readouterr().err
    for option, value in (("input-range", "unit"), ("image-size", "8"), ("classes", "a,b")):
        assert commands.main([*given, f"--against-{option}", value]) != 0
        missing = f"--against-{option} goes with --against"
        assert missing in capsys.readouterr().err


def test_the_command_takes_two_networks_of_any_size_each_with_its_size_and_classes(
    tmp_path, capsys
):
    def of_any_size(pooling):
        kinds = [layers.Conv2D(4, 3, name="conv"), pooling(), layers.Dense(3, name="scores")]
        return seeded(Sequential([Input((None, None, 3)), *kinds]))

    files = {"first": of_any_size(layers.GlobalAveragePooling2D)}
    files |= dict.fromkeys(("bare", "says"), of_any_size(layers.GlobalMaxPooling2D))
    for name, model in files.items():
        model.metadata.clear()
        model.metadata |= {"class_names": ["c", "b", "a"]} if name == "says" else {}
        model.metadata |= {"image_size": [6, 6]} if name == "says" else {}
        model.save(tmp_path / f"{name}.keras")
    Image.fromarray(X[0].astype("uint8")).save(tmp_path / "photo.png")
    page = tmp_path / "page.html"

    def told_of(against, *options):
        names = ["first.keras", "photo.png", "-o", "page.html", "--against", f"{against}.keras"]
        given = [n if n.startswith("-") else str(tmp_path / n) for n in names]
        assert commands.main(
            ["explain", *given, "--image-size", "12", "--classes", "a,b,c", *options]
        ) == 0  # fmt: skip
        facts = facts_of(page)
        (rival,) = facts["against"]
        notes = [note["key"] for note in facts["notes"] if note["key"].startswith("note.rival")]
        return facts["nodes"][0]["shape"], rival["nodes"][0]["shape"], rival["classes"], notes

    own, names = [12, 12, 3], ["a", "b", "c"]
    given = ("--against-image-size", "8", "--against-classes", "b,a,c")
    assert told_of("bare", *given) == (own, [8, 8, 3], names, ["note.rival_reordered"])
    assert told_of("says") == (own, [6, 6, 3], names, ["note.rival_reordered"])
    assert told_of("says", *given[:2])[1] == [8, 8, 3]
    assert told_of("bare") == (own, own, names, ["note.rival_unnamed"])
    before = page.read_bytes()
    arguments = [*("explain", *map(str, (tmp_path / "first.keras", tmp_path / "photo.png"))), "-o"]
    arguments += [str(page), "--image-size", "9", "--against", str(tmp_path / "bare.keras")]
    assert commands.main([*arguments, "--against-classes", "a,b"]) != 0
    says = "'bare.keras' distinguishes 3 classes. Received 2 class names."
    assert says in capsys.readouterr().err
    assert page.read_bytes() == before


def test_what_is_no_network_for_the_photos_is_refused():
    model = small_cnn()
    with pytest.raises(TypeError, match=r"against to be a model.* Received str"):
        build(model, X, against={"b": "after.keras"})
    for given in ([model, trained()], [model] * 3):
        with pytest.raises(TypeError, match=r"against to be a model.* Received list\."):
            build(model, X, against=given)
    with pytest.raises(TypeError, match=r"Received \['Sequential', 'NoneType'\]"):
        build(model, X, against={"b": (trained(), None)})
    pair = [Input((12, 12, 3)), Input((12, 12, 3))]
    with pytest.raises(ValueError, match=r"'b' has 2 inputs; a page compares models of one image"):
        build(model, X, against={"b": Model(pair, layers.Add()(pair))})
    lines = Sequential([Input((12, 3)), layers.Flatten(), layers.Dense(3)])
    for network in (lines, Sequential([Input((5,)), layers.Dense(3)])):
        with pytest.raises(
            ValueError, match=r"'b' takes .* the page's images are \(2, 12, 12, 3\)"
        ):
            build(model, X, against={"b": network})
    with pytest.raises(TypeError, match=r"expects title to be a text.* Received \{'a': 1\}"):
        build(model, X, title={"a": 1})
    small = seeded(Sequential([Input((8, 6, 3)), layers.Flatten(), layers.Dense(3)]))
    with pytest.raises(ValueError, match=r"'b' takes \(None, 8, 6, 3\), and the page's images are"):
        build(model, X, against={"b": small})
    with pytest.raises(ValueError, match=r"'b' expects an image for each of the page's 2\. "):
        build(model, X, against={"b": (small, np.zeros((1, 8, 6, 3)))})
    with pytest.raises(ValueError, match=r"'after' do not fit into a page of 0\.003 million"):
        build(model, X, against={"after": trained()}, limit=3_000)
