"""`reference.train --preset best` says what each part gives, and trains with what won."""

import csv
import tomllib

import pytest

from reference import data, evaluate, preset, sweep
from reference import model as models
from reference import train as training


def options_of(*told):
    return training.parser().parse_args(["--data", "x", "--preset", "best", *told])


def parts_of(*told):
    return preset.with_parts(options_of(*told), training.parser())


def test_each_row_has_the_parts_of_those_above():
    found = parts_of()
    assert [label for label, _ in found] == [
        "150 pixels, bilinear", "antialiased reading", "224 pixels instead",
        "150 + 224 side by side", "one-cycle, 40 epochs",
    ]  # fmt: skip
    read = [(o.image_size, o.image_sizes, o.antialias, o.schedule) for _, o in found]
    assert read == [
        (150, None, False, "constant"), (150, None, True, "constant"),
        (224, None, True, "constant"), (None, [150, 224], True, "constant"),
        (None, [150, 224], True, "one-cycle"),
    ]  # fmt: skip
    assert [o.epochs for _, o in found] == [10, 10, 10, 10, 40]
    assert {o.preset for _, o in found} == {None}


def test_options_of_the_command_line_count_more():
    found = parts_of("--image-size", "299", "--epochs", "7", "--course-compatible")
    assert [label for label, _ in found] == ["299 pixels, bilinear", "one-cycle, 7 epochs"]
    assert [o.image_size for _, o in found] == [299, 299]
    labels = [label for label, _ in parts_of("--image-sizes", "64", "32", "--schedule", "cosine")]
    assert labels[2:] == ["64 pixels instead", "64 + 32 side by side", "cosine, 40 epochs"]


def test_gains_by_hand():
    def row(label, *bests):
        trials = [sweep.Trial(training.Settings(), {"val_accuracy": [b]}, [], []) for b in bests]
        return sweep.Row(label, trials)

    rows = [row("a", 0.5, 0.7), row("b", 0.75), row("c", 0.725)]
    found = preset.Ablation("with all above", rows, 100)
    found.p_value = lambda row: None
    head, told = found.table()
    assert head[2:4] == ["mean", "points"]
    assert [line[2:4] for line in told] == [["0.600", "–"], ["0.750", "+15.0"], ["0.725", "-2.5"]]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["--augment"], "no --augment"),
        (["--coordinator", "x:1", "--processes", "2", "--process-id", "0"], "no --processes"),
    ],
)
def test_what_a_preset_cannot_do_is_refused(told, words):
    with pytest.raises(ValueError, match=words):
        preset.choose(options_of(*told), training.parser())


@pytest.mark.slow
def test_the_best_parts_are_trained_and_finished_ones_are_kept(
    options, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(preset, "SEEDS", 1)
    told = ["--preset", "best", "--epochs", "1", "--learning-rate", "0.05"]
    told += ["--output", str(tmp_path)]
    assert training.run([*options, *told]) == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "ablation.csv").open()))
    labels = ["48 pixels, bilinear", "antialiased reading", "one-cycle, 1 epochs"]
    assert [row["value"] for row in rows] == labels
    assert all(label in printed for label in labels)
    assert "<table>" in (tmp_path / "ablation.html").read_text()
    best = max(rows, key=lambda row: float(row["val_accuracy"]))
    chosen = tomllib.loads((tmp_path / "config.toml").read_text())
    assert "preset" not in chosen
    assert chosen["antialias"] == (best["value"] != labels[0])
    saved = models.load(tmp_path / "model.keras")
    judged = evaluate.evaluate(saved, data.find(options[1]).validation)
    assert judged.accuracy == pytest.approx(float(best["val_accuracy"]), abs=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "try_head", None)  # would fail if it were called
        again = training.parser().parse_args([*options, *told, "--resume"])
        assert preset.choose(again, training.parser()).antialias == chosen["antialias"]
    assert list(csv.DictReader((tmp_path / "ablation.csv").open())) == rows
