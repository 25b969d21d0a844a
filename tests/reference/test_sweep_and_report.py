"""`reference.sweep` chooses settings, and the report presents them."""

import csv
import json
import re
import tomllib

import numpy as np
import pytest

from reference import backend, course, data, evaluate, features, fitting, report, sweep
from reference import model as models
from reference.features import Features


def trial(accuracies, right):
    history = {name: list(accuracies) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    settings = fitting.Settings()
    return sweep.Trial(settings, history, [], np.array(right, bool))


def test_a_sweep_s_judgement_by_hand():
    best = sweep.Row("0.001", [trial([0.5, 0.9], [1] * 9 + [0]), trial([0.8], [1] * 8 + [0] * 2)])
    close = sweep.Row("0.01", [trial([0.8], [1] * 8 + [0] * 2), trial([0.8], [1] * 8 + [0] * 2)])
    poor = sweep.Row("0.1, slow", [trial([0.1], [0] * 9 + [1]), trial([0.2], [0] * 10)])
    found = sweep.Sweep("learning rate", [close, best, poor], 10)
    assert (best.mean, close.mean) == (pytest.approx(0.85), pytest.approx(0.8))
    assert best.spread == pytest.approx(np.std([0.9, 0.8], ddof=1))
    assert found.best_row == 1
    assert found.best is best.trials[0]
    # One photo differs: that is as likely as not (p = 1).
    assert found.p_value(close) == pytest.approx(1.0)
    # Eight photos differ by 1, one by 1/2 and one by -1/2: 3 · 2 of 2^10 signs reach the sum of 8.
    assert found.p_value(poor) == pytest.approx(6 / 1024)
    told = found.sentence()
    assert "Best by validation accuracy: 0.001 (0.850)" in told
    assert f"{100 * np.sqrt(0.85 * 0.15 / 10):.1f} points" in told
    assert 'Worse beyond luck (p below 0.05): "0.1, slow".' in told
    assert "Not told apart from the best by these photos: 0.01." in told
    head, rows = found.table()
    assert [row[0] for row in rows] == ["0.01", "0.001", "0.1, slow"]
    assert all(len(row) == len(head) for row in rows)


def test_the_smallest_size_that_is_as_good_is_chosen():
    def rows(*bests):
        return [sweep.Row(str(10**i), [trial([best], [1])]) for i, best in enumerate(bests)]

    # One standard error of 0.9 with 100 photos is 0.03.
    found = sweep.Sweep("inner size", rows(0.5, 0.88, 0.9), 100, prefer_small=True)
    assert found.chosen.best == 0.88
    assert found.best.best == 0.9
    assert "Going on with 10: the smallest within one standard error" in found.sentence()
    assert (
        sweep.Sweep("inner size", rows(0.5, 0.86, 0.9), 100, prefer_small=True).chosen.best == 0.9
    )
    plain = sweep.Sweep("learning rate", rows(0.5, 0.88, 0.9), 100)
    assert plain.chosen.best == 0.9
    assert "Going on" not in plain.sentence()


def test_among_equals_the_first_is_chosen():
    rows = [sweep.Row(name, [trial([0.5], [1, 0])]) for name in "ab"]
    assert sweep.Sweep("x", rows, 2).best_row == 0


@pytest.mark.slow
def test_sweep_tries_each_setting_with_each_seed_and_keeps_the_best(
    options, fakes, tmp_path, capsys, eagerly
):
    told = [
        "--learning-rates", "0.05,0.000001", "--inner-sizes", "4", "--drop-rates", "0.2",
        "--seeds", "2", "--epochs", "2", "--drop-epochs", "3", "--compare", "--output",
        str(tmp_path), "--logger", "wandb",
    ]  # fmt: skip
    (tmp_path / "evaluation.json").write_text("of another model")
    assert sweep.run([*options, *told]) == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert len(rows) == 2 * (2 * 2 + 2 + 3)
    assert {row["seed"] for row in rows} == {"0", "1"}
    inner = [row for row in rows if row["sweep"] == "inner size"]
    assert {row["learning_rate"] for row in inner} == {"0.05"}, "each sweep starts from the best"
    assert re.search(r"18 epochs in .* times as long\.", printed)
    begun = [more for call, _, more in fakes["wandb"].calls if call == "init"]
    assert len(begun) == 2 * (2 + 1 + 1)
    named = [(more["name"], more["config"]["inner"]) for more in begun]
    assert named[:2] == [("learning rate 0.05, seed 0", 0), ("learning rate 0.05, seed 1", 0)]
    best = max(float(row["val_accuracy"]) for row in rows)
    assert f"Best of all: {best:.3f}" in printed
    saved = models.load(tmp_path / "model.keras")
    clothes = options[1]
    judged = evaluate.evaluate(saved, data.find(clothes).validation)
    assert judged.accuracy == pytest.approx(best, abs=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {
        "trials.csv", "model.keras", "config.toml", "learning-rate.png", "inner-size.png",
        "drop-rate.png",
    }  # fmt: skip


@pytest.mark.slow
def test_a_killed_sweep_leaves_what_was_done(options, tmp_path, monkeypatch, eagerly):
    def killed(*arguments, **more):
        raise KeyboardInterrupt

    told = [
        "--learning-rates", "0.05,0.01", "--inner-sizes", "4", "--drop-rates", "0.2", "--epochs",
        "2", "--output", str(tmp_path),
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "inners", killed)
        assert sweep.run([*options, *told]) == 130
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert len(rows) == 2 * 2
    assert {row["sweep"] for row in rows} == {"learning rate"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "trials.csv", "config.toml", "learning-rate.png",
    }  # fmt: skip


@pytest.mark.slow
def test_the_course_ends_in_one_report(options, tmp_path, capsys, eagerly, monkeypatch):
    told = [
        "--larger", "64", "--epochs", "2", "--drop-epochs", "2", "--augment-epochs", "1",
        "--output", str(tmp_path),
    ]  # fmt: skip
    old = ["model.keras", "config.toml", "report.html", "trials.csv", "curves.png"]
    for name in old:
        (tmp_path / name).write_text("of another model")
    judge, seen = evaluate.evaluate, []

    def judging(*arguments):
        """Judge the new model, the last work that can be interrupted, and see what is there."""
        seen.extend((tmp_path / name).read_text() for name in old)
        return judge(*arguments)

    monkeypatch.setattr(evaluate, "evaluate", judging)
    assert course.run([*options, *told]) == 0
    monkeypatch.undo()
    assert seen == ["of another model"] * len(old)
    assert not (tmp_path / "curves.png").exists()
    chosen = tomllib.loads((tmp_path / "config.toml").read_text())
    assert (chosen["epochs"], chosen["larger"]) == (2, 64)
    page = (tmp_path / "report.html").read_text()
    places = [
        page.index(f"<h2>{title}</h2>")
        for title in (
            "8.5 Baseline", "8.6 Learning rate", "8.7 Checkpoints", "8.8 An inner layer",
            "Dropout", "Augmentation", "A larger image: 64 pixels", "The choice", "Test",
        )
    ]  # fmt: skip
    assert places == sorted(places)
    assert page.count("<img alt=") == 8
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", page), "it stands alone"
    assert "Keras 3" in page[: places[0]]
    saved = models.load(tmp_path / "model.keras")
    found = json.loads((tmp_path / "evaluation.json").read_text())
    judged = evaluate.evaluate(saved, data.find(options[1]).test)
    assert found["accuracy"] == judged.accuracy
    assert f"{found['accuracy']:.3f}" in page[places[-1] :]
    assert "Wrote" in capsys.readouterr().out
    kept = sorted(path.name for path in (tmp_path / "sweeps").iterdir())
    assert kept == ["drop-rate.npz", "inner-size.npz", "learning-rate.npz", "model.keras"]


def test_a_finished_sweep_is_kept(tmp_path, capsys):
    first, second = trial([0.5, 0.9], [1, 0]), trial([0.8], [1, 1])
    first.weights = [np.arange(6.0).reshape(2, 3), np.ones(3)]
    rows = [sweep.Row("0.1", [first]), sweep.Row("0.2", [second, second])]
    wanted = sweep.Sweep("inner size", rows, 2, prefer_small=True)
    path = tmp_path / "new" / "sweep.npz"
    assert sweep.read_sweep(path, "about") is None
    sweep.write_sweep(path, wanted, "about")
    found = sweep.read_sweep(path, "about")
    assert found.table() == wanted.table()
    assert found.sentence() == wanted.sentence()
    assert found.rows[0].trials[0].settings == first.settings
    assert found.rows[0].trials[0].history == first.history
    assert found.rows[1].trials[0].right.tolist() == [True, True]
    for a, b in zip(found.rows[0].trials[0].weights, first.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert capsys.readouterr().out == ""
    assert sweep.read_sweep(path, "other") is None
    assert "other settings, photos or versions: computed anew" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-50])
    assert sweep.read_sweep(path, "about") is None
    assert "is damaged" in capsys.readouterr().out


def test_finished_sweeps_are_not_computed_again(tmp_path, monkeypatch):
    tried = []

    def try_head(settings, train, validation, machine, watching):
        tried.append(settings)
        made = trial([settings.learning_rate, settings.droprate], [1, 0])
        made.settings = settings
        return made

    vectors = Features(np.ones((2, 3), np.float32), np.eye(2, dtype=np.float32), 48, True)
    monkeypatch.setattr(sweep, "try_head", try_head)
    monkeypatch.setattr(features, "extract_both", lambda *told, **more: (vectors, vectors))

    def run(resume, drops=(0.2, 0.5)):
        before = len(tried)
        done = sweep.three_sweeps(
            None, None, fitting.Settings(), None, backend.default(), None, 1, (0.1, 0.2), (4,),
            drops, told=lambda found: None, kept=tmp_path, resume=resume,
        )  # fmt: skip
        return len(tried) - before, [found.table() for found in done.found]

    count, wanted = run(resume=True)
    assert count == 5
    assert run(resume=True) == (0, wanted)
    assert run(resume=False) == (5, wanted)
    (tmp_path / "inner-size.npz").unlink()  # the run was killed
    assert run(resume=True) == (1, wanted)
    assert run(resume=True, drops=(0.3,))[0] == 1  # another question


def test_a_table_in_columns_has_a_line_for_each_row():
    assert report.in_columns(["a", "n"], [["x\ny", "10"]]) == "a      n\nx\\ny  10"


def test_a_page_shows_text_as_text(tmp_path):
    page = report.Page("<b>title</b>", "a & b")
    page.table(["<i>"], [["1 < 2"]], best=0)
    page.write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    for wanted in ("&lt;b&gt;title", "a &amp; b", "<th>&lt;i&gt;</th>", "<td>1 &lt; 2</td>"):
        assert wanted in text


def test_the_speed_says_where_the_features_came_from():
    assert "the pass of the base included" in sweep.Sweeps([], 30, 5.0, None).speed()
    told = sweep.Sweeps([], 30, 5.0, 10.0, computed=False).speed()
    assert "without the pass of the base, whose features were in the cache" in told
    assert told.endswith("60 times as long.")
