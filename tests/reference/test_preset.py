"""`reference.train --preset best` says what each part gives, and trains with what won."""

import csv
import tomllib

import numpy as np
import pytest

from reference import config, data, evaluate, fitting, folds, preset, sweep
from reference import model as models
from reference import train as training
from reference.features import Features


def options_of(*told):
    return config.parse(training.parser(), ["--data", "x", "--preset", "best", *told])


def parts_of(*told):
    return preset.with_parts(options_of(*told))


def test_each_row_has_the_parts_of_those_above():
    found = parts_of()
    assert [label for label, _ in found] == [
        "150 pixels, bilinear", "antialiased reading", "224 pixels instead",
        "150 + 192 + 224 side by side", "one-cycle, 40 epochs", "5 seeds in one model",
    ]  # fmt: skip
    read = [(o.image_size, o.image_sizes, o.antialias, o.schedule) for _, o in found]
    assert read == [
        (150, None, False, "constant"), (150, None, True, "constant"),
        (224, None, True, "constant"), 
        (None, [150, 192, 224], True, "constant"), (None, [150, 192, 224], True, "one-cycle"),
        (None, [150, 192, 224], True, "one-cycle"),
    ]  # fmt: skip
    assert [o.epochs for _, o in found] == [10, 10, 10, 10, 40, 40]
    assert [o.ensemble for _, o in found] == [1, 1, 1, 1, 1, 5]
    assert {o.preset for _, o in found} == {None}


def test_options_of_the_command_line_count_more():
    found = parts_of("--image-size", "299", "--epochs", "7", "--course-compatible")
    assert [label for label, _ in found] == [
        "299 pixels, nearest", "one-cycle, 7 epochs", "5 seeds in one model",
    ]  # fmt: skip
    assert {o.image_size for _, o in found} == {299}
    labels = [label for label, _ in parts_of("--antialias", "--image-size", "64", "--epochs", "10")]
    assert labels == ["64 pixels, antialiased", "one-cycle, 10 epochs", "5 seeds in one model"]
    labels = [label for label, _ in parts_of("--image-sizes", "64", "32", "--schedule", "cosine")]
    assert labels[2:5] == ["64 pixels instead", "64 + 32 side by side", "cosine, 40 epochs"]


def test_gains_by_hand():
    def row(label, *bests):
        trials = [sweep.Trial(fitting.Settings(), {"val_accuracy": [b]}, [], []) for b in bests]
        return sweep.Row(label, trials)

    rows = [row("a", 0.5, 0.7), row("b", 0.75), row("c", 0.725)]
    found = preset.Ablation("with all above", rows, 100)
    found.p_value = lambda row: None
    head, told = found.table()
    assert head[2:4] == ["mean", "points"]
    assert [line[2:4] for line in told] == [["0.600", "–"], ["0.750", "+15.0"], ["0.725", "-2.5"]]


def test_heads_together_by_hand():
    """The logits of the photo are 4, 0 and -1, 4: on average 1.5 and 2."""
    found = Features(np.ones((1, 1), np.float32), np.array([[0, 1]], np.float32), 48, True)
    weights = [[np.array([w]), np.array(b)] for w, b in (([4, 0], [0, 0]), ([-1, 3], [0, 1]))]
    trials = [sweep.Trial(fitting.Settings(), {}, w, None) for w in weights]
    trial = preset.together(sweep.Row("x", trials), found, found)
    assert trial.best == 1
    assert trial.right.tolist() == [True]
    assert trial.history["val_loss"] == [pytest.approx(np.log(1 + np.exp(-0.5)))]
    assert trial.history["val_loss"] == trial.history["loss"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["--augment"], "no --augment"),
        (["--coordinator", "x:1", "--processes", "2", "--process-id", "0"], "no --processes"),
    ],
)
def test_what_a_preset_cannot_do_is_refused(told, words):
    with pytest.raises(ValueError, match=words):
        preset.choose(options_of(*told))


def test_a_default_in_the_command_line_or_a_file_is_given(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("ensemble = 1\nantialias = false\n")
    found = parts_of("--config", str(path), "--image-size", "64", "--schedule", "constant")
    assert [label for label, _ in found] == ["64 pixels, bilinear", "constant, 40 epochs"]
    assert found[-1][1].ensemble == 1
    given = options_of("--config", str(path), "--image-size", "64", "--schedule", "constant")
    assert preset.as_given(given) == [
        "--no-antialias", "--ensemble 1", "--image-size 64", "--schedule constant",
    ]  # fmt: skip


def test_the_defaults_in_a_file_that_a_run_wrote_are_not_given(tmp_path):
    """It names all options: otherwise the preset would compare nothing, and not say so."""
    told = ["--data", "x", "--epochs", "12", "--batch-size", "16", "--output", str(tmp_path)]
    config.write(training.parser(), config.parse(training.parser(), told), "Keras 3")
    file = ["--config", str(tmp_path / "config.toml")]
    found = parts_of(*file)
    assert [label for label, _ in found][3:] == [
        "150 + 192 + 224 side by side", "one-cycle, 12 epochs", "5 seeds in one model",
    ]  # fmt: skip
    assert found[-1][1].batch_size == 16
    assert preset.as_given(options_of(*file)) == ["--epochs 12"]
    assert preset.as_given(options_of(*file, "--ensemble", "1")) == ["--ensemble 1", "--epochs 12"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            ["--warmup", "1"],
            "--preset best, one-cycle, 40 epochs: one-cycle begins with its own warm-up",
        ),
        (["--image-sizes", "48", "48"], "sizes of a photo should differ"),
        (["--fine-tune", "block9"], "has none called 'block9'"),
    ],
)
def test_a_later_part_s_mistake_is_said_before_the_work(told, words, options, tmp_path, capsys):
    at = options.index("--image-size")
    some = [*options[:at], *options[at + 2 :], "--image-sizes", "32", "48", "--preset", "best"]
    assert training.run([*some, *told, "--output", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_best_parts_are_trained_and_finished_ones_are_kept(
    options, tmp_path, monkeypatch, capsys, eagerly
):
    monkeypatch.setattr(preset, "SEEDS", 2)
    monkeypatch.setattr(preset, "FOLDS", 2)
    told = ["--preset", "best", "--epochs", "1", "--learning-rate", "0.05"]
    told += ["--output", str(tmp_path)]
    assert training.run([*options, *told]) == 0
    printed = capsys.readouterr().out
    assert "Not compared, since they are given: --epochs 1, --image-size 48.\n" in printed
    rows = list(csv.DictReader((tmp_path / "ablation.csv").open()))
    labels = ["48 pixels, bilinear", "antialiased reading", "one-cycle, 1 epochs"]
    labels.append("2 seeds in one model")
    assert list(dict.fromkeys(row["value"] for row in rows)) == labels
    assert all(label in printed for label in labels)
    page = (tmp_path / "ablation.html").read_text()
    assert "<table>" in page
    means = {
        label: np.mean([float(row["val_accuracy"]) for row in rows if row["value"] == label])
        for label in labels
    }
    best = max(means, key=means.get)
    chosen = tomllib.loads((tmp_path / "config.toml").read_text())
    assert "preset" not in chosen
    assert chosen["antialias"] == (best != labels[0])
    assert chosen["ensemble"] == (2 if best == labels[3] else 1)
    saved = models.load(tmp_path / "model.keras")
    judged = evaluate.evaluate(saved, data.find(options[1]).validation)
    assert judged.accuracy == pytest.approx(
        next(float(row["val_accuracy"]) for row in rows if row["value"] == best), abs=1e-6
    ), "seed 0's, or of both"
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "try_head", None)  # would fail if it were called
        patch.setattr(folds, "last_logits", None)
        again = config.parse(training.parser(), [*options, *told, "--resume"])
        found, expected = preset.choose(again)
    assert found.antialias == chosen["antialias"]
    assert f"These photos chose it. {expected}\n" in printed
    assert str(expected) in page
    assert expected.photos == 180
    assert list(csv.DictReader((tmp_path / "ablation.csv").open())) == rows
