"""A page slides over the checkpoints of a training, and shows the network of each time."""

import json

import numpy as np
import pytest
from pages import NAMES, changed, numbers, photo, seeded, small_cnn, wait, with_a_large_dense

from minicnn import Input, Sequential, commands, layers
from minicnn.explain.page import build


def model_of(scale):
    """Return a small CNN whose first convolution is the same for all scales."""
    model = small_cnn()
    kept = model.get_layer("first").get_weights()
    seeded(model, scale)
    model.get_layer("first").set_weights(kept)
    return model


def facts_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


def slide(tab, k):
    changed(tab, lambda: tab.get_by_label("Checkpoint", exact=True).fill(str(k)))


@pytest.fixture
def page(tmp_path):
    x = photo((12, 12, 3))
    past = {"epoch_1": model_of(0.1), "epoch_2": model_of(0.4).get_weights()}
    return build(model_of(0.8), x, tmp_path / "page.html", class_names=NAMES[:3], checkpoints=past)


def test_the_page_shows_the_network_of_each_checkpoint(page, opened):
    x, tab = photo((12, 12, 3)), opened(page, width=900, height=640)
    river, bar = (tab.locator(which).bounding_box() for which in (".shore", ".checkpoints"))
    assert river["y"] + river["height"] <= bar["y"]  # nothing of the network is behind it
    name = tab.locator(".checkpoint-name")
    assert name.inner_text() == "the model itself (3 of 3)"
    for k, scale in ((0, 0.1), (1, 0.4), (0, 0.1)):
        slide(tab, k)
        wanted = model_of(scale)
        assert name.inner_text() == f"epoch_{k + 1} ({k + 1} of 3)"
        scores = numbers(tab, "Array.from(page.net.y(page.net.output).data)")
        np.testing.assert_allclose(scores, wanted.predict(x, verbose=0)[0], rtol=1e-4, atol=1e-5)
        most = NAMES[int(scores.argmax())]
        assert tab.locator(".outcome .best .class-name").inner_text() == most
        assert f"epoch_{k + 1} · back to the model" in tab.locator(".badge").inner_text()
    changed(tab, lambda: tab.locator(".badge").click())
    assert name.inner_text() == "the model itself (3 of 3)"
    assert tab.get_by_label("Checkpoint", exact=True).input_value() == "2"
    scores = numbers(tab, "Array.from(page.net.y(page.net.output).data)")
    np.testing.assert_allclose(scores, model_of(0.8).predict(x, verbose=0)[0], rtol=1e-4, atol=1e-5)


def test_the_slider_follows_the_keys_and_says_where_it_is(page, opened):
    tab = opened(page)
    slider = tab.get_by_role("slider", name="Checkpoint")
    assert tab.evaluate("document.documentElement.scrollHeight <= innerHeight")
    slider.focus()
    slider.press("ArrowLeft")
    wait(tab, "page.net.checkpoint === 1")
    assert slider.get_attribute("aria-valuetext") == "epoch_2"
    slider.press("ArrowRight")
    wait(tab, "page.net.checkpoint === null")
    assert slider.get_attribute("aria-valuetext") == "the model itself"


def test_weights_that_do_not_change_are_there_once(page):
    for checkpoint in facts_of(page)["checkpoints"]:
        assert sorted(checkpoint["weights"]) == [
            *("scores/bias", "scores/kernel", "second/bias", "second/kernel"),
        ]
        assert not checkpoint["half"]


def test_checkpoints_take_fewer_bits_or_are_refused_where_there_is_no_room(tmp_path):
    model = seeded(Sequential([Input((8, 8, 3)), layers.Flatten(), layers.Dense(50)]))
    past = {str(k): [w + k for w in model.get_weights()] for k in range(1, 9)}
    x, path = photo((8, 8, 3)), tmp_path / "page.html"
    assert not facts_of(build(model, x, path, checkpoints=past))["checkpoints"][0]["half"]
    assert facts_of(build(model, x, path, checkpoints=past, limit=400_000))["checkpoints"][0][
        "half"
    ]
    with pytest.raises(ValueError, match=r"and 8 checkpoints has too little room: pass fewer"):
        build(model, x, checkpoints=past, limit=200_000)
    with pytest.raises(ValueError, match=r"and 1 checkpoint .* what differs: compare two networks"):
        build(model, x, checkpoints={"1": past["1"]}, limit=30_000)
    # Without any checkpoint, too, this network or these photos are too large.
    with pytest.raises(ValueError, match=r"is too big for .* even with .*: pass a smaller image"):
        build(model, x, checkpoints=past, limit=1000)
    many = np.repeat(x, 20, axis=0)
    with pytest.raises(ValueError, match=r"20 images of .* do not fit into .*: pass fewer or"):
        build(model, many, checkpoints=past, limit=11_000)


def test_a_page_with_some_of_the_kernels_slides_over_a_training_of_the_others(tmp_path, opened):
    """As of a frozen base that is too large for a page, with a new head."""
    model, x = with_a_large_dense(), np.concatenate([photo((12, 12, 3), k) for k in range(2)])
    *kept, kernel, bias = model.get_weights()
    past = {"epoch_1": [*kept, -kernel, bias + 1]}
    tab = opened(build(model, x, tmp_path / "page.html", checkpoints=past, limit=60_000))
    assert "units of large are left out" in tab.evaluate("page.net.obstacleToPhotos")
    assert tab.evaluate("page.rivals.length") == 0
    earlier = with_a_large_dense()
    earlier.set_weights(past["epoch_1"])
    slide(tab, 0)
    for number, one in enumerate(x):
        if number:
            changed(tab, tab.get_by_role("button", name="Photo 1:").click)
        p = numbers(tab, "Array.from(page.net.probabilities())")
        np.testing.assert_allclose(p, earlier.predict(one[None], verbose=0)[0], rtol=5e-3)
    past["epoch_0"] = [-model.get_weights()[0], *model.get_weights()[1:]]
    lacks = r"and 2 checkpoints has too little room to compute large, .* two networks, with against"
    with pytest.raises(ValueError, match=lacks):
        build(model, x, checkpoints=past, limit=60_000)


def test_what_is_no_checkpoint_of_the_model_is_refused():
    model, x = model_of(0.5), photo((12, 12, 3))
    with pytest.raises(TypeError, match=r"expects checkpoints to be a dict.* Received list"):
        build(model, x, checkpoints=[model])
    with pytest.raises(ValueError, match=r"'a' expects the 6 weights of .* Received \[\(3,\)\]"):
        build(model, x, checkpoints={"a": [np.zeros(3)]})
    broken = [w * np.nan for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"The checkpoint 'a' has NaN or infinite weights"):
        build(model, x, checkpoints={"a": broken})


def test_files_of_a_training_in_the_order_of_their_numbers(tmp_path, capsys):
    from PIL import Image

    model, folder = model_of(0.5), tmp_path / "run"
    folder.mkdir()
    model.save(tmp_path / "model.keras")
    for epoch in (10, 2, 1):
        model.set_weights([w * 0.9 for w in model.get_weights()])
        model.save(folder / f"epoch_{epoch}.keras")
    model.save_weights(folder / "epoch_3.weights.h5")
    Image.new("RGB", (12, 12), "grey").save(tmp_path / "photo.png")
    page = tmp_path / "page.html"

    def run(*paths):
        given = ["explain", tmp_path / "model.keras", tmp_path / "photo.png", "-o", page]
        return commands.main([*map(str, given), "--checkpoints", *map(str, paths)])

    assert run(folder) == 0
    names = [checkpoint["name"] for checkpoint in facts_of(page)["checkpoints"]]
    assert names == ["epoch_1", "epoch_2", "epoch_3", "epoch_10"]
    assert run(folder / "epoch_2.keras", folder / "epoch_1.keras") == 0
    assert len(facts_of(page)["checkpoints"]) == 2
    for path, names in ((tmp_path / "model.keras", "a,b,c"), (folder / "epoch_2.keras", "b,a,c")):
        model.metadata["class_names"] = names.split(",")
        model.save(path)
    assert run(folder / "epoch_1.keras") == 0
    assert run(folder / "epoch_2.keras") == 2
    assert "the classes a, b, c, in this order. " in (said := capsys.readouterr().err)
    assert "epoch_2.keras' has b, a, c." in said
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty") == 2
    assert "there are no .keras or .h5 files in" in capsys.readouterr().err
    assert run(tmp_path / "none.keras") == 2
    assert "none.keras" in capsys.readouterr().err
