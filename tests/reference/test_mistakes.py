"""The page behind an evaluation: confused pairs, heat maps beside mistakes, probabilities."""

import csv
import html
import json
import re
import shlex
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from judgements import judged

import minicnn.commands
from minicnn.models import load_model
from reference import compare, ensemble, evaluate, mistakes, tuning
from reference import model as models
from reference.data import Photos
from reference.evaluate import Judged


def test_confused_pairs_by_hand():
    found = mistakes.confused_pairs(judged())
    assert found == [(0, 1, [1], [4]), (1, 2, [3], [])]
    head, rows = mistakes.pair_table(judged())
    assert len(head) == 6
    assert rows == [["a", "b", "1", "1", "2", "0.400"], ["b", "c", "1", "0", "1", "0.250"]]


def test_probabilities_are_written_whatever_names_consist_of(tmp_path):
    photos = Photos("test", ('a,"b.jpg', "caf\udce9\n.jpg"), np.array([1, 0]), ("x,y", "é"))
    path = tmp_path / "p.csv"
    mistakes.write_probabilities(Judged(photos, np.array([[0.25, 0.75], [1.0, 0.0]])), path)
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert list(csv.reader(file)) == [
            ["path", "label", "x,y", "é"],
            ['a,"b.jpg', "é", "0.25", "0.75"],
            ["caf\udce9\n.jpg", "x,y", "1", "0"],
        ]


def test_names_that_are_formulas_or_no_text_are_written_for_people(tmp_path):
    names = ("=1+1", "'=1+1", "@SUM(A1)", "-1e5", "caf\udce9")
    found = Judged(Photos("test", tuple("abcde"), np.arange(5), names), np.eye(5))
    evaluate.write(found, tmp_path)
    assert "caf\\udce9" in (tmp_path / "report.txt").read_text("utf-8")
    path = tmp_path / "probabilities-test.csv"
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        head = next(csv.reader(file))
    assert head[2:] == ["'=1+1", "''=1+1", "'@SUM(A1)", "-1e5", "caf\udce9"]
    run = compare.read(tmp_path, "test")
    assert run.accuracy == 1
    assert run.photos == tuple(zip("abcde", names, strict=True))


@pytest.fixture(scope="module")
def deeper(tiny_base, tmp_path_factory):
    """Save a model with an inner layer and dropout behind its base; return it and its path."""
    base = models.load_base(str(tiny_base), 48)
    keras.utils.set_random_seed(0)  # of some heads no inner unit is above 0
    model = models.make_model(base, 3, size_inner=5, droprate=0.3)
    path = tmp_path_factory.mktemp("deeper") / "model.keras"
    models.save(model, path, models.About(["a", "b", "c"], 48, "bilinear", base.name))
    return models.load(path), path


def test_keras_s_heat_map_is_minicnn_s(deeper, monkeypatch):
    ours = mistakes.Heat(*deeper)
    monkeypatch.setattr(models, "minicnn_lacks", lambda path: "it has a layer of its own")
    theirs = mistakes.Heat(*deeper)
    assert (ours.by, theirs.by) == ("minicnn", "Keras")
    x = np.random.default_rng(0).uniform(0, 255, (48, 48, 3)).astype(np.float32)
    maps = [ours.of(x, label) for label in range(3)]
    assert max(found.max() for found in maps) > 0
    for label, wanted in enumerate(maps):
        np.testing.assert_allclose(theirs.of(x, label), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_heat_map_of_several_networks_is_the_sum_of_theirs(tiny_base, tmp_path):
    """Those of a mirror image, flipped back, count as much; the photo's own maps come last."""
    base = models.load_base(str(tiny_base), 48)
    rng = np.random.default_rng(0)
    wholes, alone = [], []
    for number in range(2):
        model = models.make_model(base, 3)
        model.set_weights([w + rng.uniform(0, 0.3, w.shape) for w in model.get_weights()])
        path = tmp_path / f"{number}.keras"
        models.save(model, path, models.About(["a", "b", "c"], 48, "bilinear", base.name))
        wholes.append(models.load(path).model)
        alone.append(mistakes.Heat(models.load(path), path))
    x = rng.uniform(0, 255, (48, 48, 3)).astype(np.float32)
    first = tuning.stages(base.network, "block1")[-1]
    model = ensemble.assemble(wholes, base, first, flips=True)
    path = tmp_path / "together.keras"
    models.save(model, path, models.About(["a", "b", "c"], 48, "bilinear", base.name, members=2))
    found = mistakes.Heat(models.load(path), path)
    wanted = [h.of(x, 1) + h.of(x[:, ::-1], 1)[:, ::-1] for h in alone]
    assert not np.allclose(wanted[0] / wanted[0].max(), wanted[1] / wanted[1].max(), atol=0.02)
    np.testing.assert_allclose(found.of(x, 1), sum(wanted) / 4, rtol=1e-4, atol=1e-6)
    # minicnn predict --heatmaps draws the same, and the photo's own maps come last.
    heat = load_model(path).trace(x[None]).heatmap(class_index=1)
    assert np.array_equal(heat.pixels, found.of(x, 1))
    assert [flip == np.s_[:, ::-1] for flip in heat.flips] == [True, True, False, False]
    np.testing.assert_allclose(heat.parts[3].pixels * 4, alone[1].of(x, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_heat_map_of_two_sizes_is_the_sum_of_both(tiny_base, tmp_path):
    base = models.load_base(str(tiny_base), 48, sizes=(48, 32))
    path = tmp_path / "both.keras"
    about = models.About(["a", "b", "c"], 48, "bilinear", base.name, image_sizes=[48, 32])
    models.save(models.make_model(base, 3), path, about)
    found = mistakes.Heat(models.load(path), path)
    x = np.random.default_rng(0).uniform(0, 255, (48, 48, 3)).astype(np.float32)
    trace = load_model(path).trace(x[None])
    heat = trace.heatmap(class_index=1)
    assert [part.values.shape[0] for part in heat.parts] == [11, 7]
    parts = [trace.heatmap(class_index=1, layer=part.entry.name).pixels for part in heat.parts]
    np.testing.assert_allclose(found.of(x, 1), sum(parts), rtol=1e-5, atol=1e-7)


def test_a_model_that_neither_can_look_into_is_refused(deeper, monkeypatch):
    monkeypatch.setattr(models, "minicnn_lacks", lambda path: "it has a layer of its own")
    saved, path = deeper
    inputs = keras.Input((48, 48, 3))
    other = keras.Model(inputs, keras.layers.Flatten(name="vectors")(inputs))
    with pytest.raises(ValueError, match=r"\(it has a layer of its own\), and it does not end in"):
        mistakes.Heat(saved._replace(model=other), path)


def test_pages_with_every_number_are_refused_where_there_can_be_none(
    trained, clothes, monkeypatch, capsys
):
    with pytest.raises(ValueError, match=r"not in archives\. Received 'a\.tar/b\.jpg'"):
        mistakes.check_explain(trained / "model.keras", ["a.tar/b.jpg"])
    monkeypatch.setattr(models, "minicnn_lacks", lambda path: "it has a layer of its own")
    told = [str(trained / "model.keras"), "--data", str(clothes), "--explain", "1"]
    assert evaluate.run(told) == 2
    assert "--explain: minicnn cannot open" in capsys.readouterr().err


@pytest.mark.slow
def test_a_page_shows_what_was_confused_and_its_commands_run(trained, clothes, tmp_path, capsys):
    copy = shutil.copytree(clothes / "test", tmp_path / "my photos" / "test")
    output = tmp_path / "out put"
    told = ["--data", str(copy.parent), "--output", str(output), "--explain", "1"]
    assert evaluate.run([str(trained / "model.keras"), *told]) == 0
    printed = capsys.readouterr().out
    numbers = [json.loads((folder / "evaluation.json").read_text()) for folder in (output, trained)]
    for one in numbers:  # what training says of the same photos, elsewhere
        one["mistakes"] = [Path(path).name for path in one["mistakes"]]
    assert numbers[0] == numbers[1]
    assert f"Test accuracy: {numbers[0]['accuracy']:.3f}" in printed
    assert "macro avg" in printed
    for path in output.iterdir():
        assert path.name in printed
    with (output / "probabilities-test.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    p = np.array([row[2:] for row in rows], float)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    answers = [head[2 + i] for i in p.argmax(axis=1)]
    order = np.argsort(-p.max(axis=1), kind="stable")
    wrong = [rows[i][0] for i in order if answers[i] != rows[i][1]]
    assert [Path(path).name for path in wrong] == numbers[0]["mistakes"]
    with (output / "confused.csv").open(newline="") as file:
        assert sum(int(row["both"]) for row in csv.DictReader(file)) == len(wrong)

    page = (output / "evaluation.html").read_text("utf-8")
    shown = wrong[: evaluate.SHOWN_MISTAKES]
    below = page[page.index("<h2>The most confident") :]
    assert below.count('<img alt="" src="data:image/jpeg') == 3 * len(shown) > 0
    assert page.count("<a href=") == page.count('<a href="explained-01.html">') == 1
    assert (output / "explained-01.html").stat().st_size > 10_000
    places = [below.index(f"<figcaption>{html.escape(path)}") for path in shown]
    assert places == sorted(places)
    commands = [html.unescape(line) for line in re.findall(r"<pre>(.* explain .*)</pre>", page)]
    assert len(commands) == len(shown)
    words = shlex.split(commands[-1])
    told = words[words.index("explain") :]
    assert minicnn.commands.main(told) == 0
    assert Path(told[-1]).is_file()
