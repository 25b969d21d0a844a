"""`reference.folds` judges each photo by heads that have not seen it, with an honest interval."""

import csv

import numpy as np
import pytest

from reference import backend, fitting, folds
from reference.features import Features
from reference.fitting import Settings


def test_folds_judge_each_photo_once_in_each_repeat():
    labels = np.repeat([0, 1, 2], [10, 7, 5])
    parts = folds.fold_parts(labels, 3, 2)
    assert len(parts) == 6
    for part in parts:
        assert sorted([*part.train, *part.judged]) == list(range(22))
    for repeat in (parts[:3], parts[3:]):
        assert sorted(np.concatenate([part.judged for part in repeat])) == list(range(22))
    assert any(a.judged.tolist() != b.judged.tolist() for a, b in zip(parts[:3], parts[3:]))


def test_splits_judge_a_fifth_of_each_class():
    labels = np.repeat([0, 1], [20, 10])
    for part in folds.split_parts(labels, 3, 0.2):
        assert np.bincount(labels[part.judged]).tolist() == [4, 2]
        assert sorted([*part.train, *part.judged]) == list(range(30))


def test_the_interval_by_hand():
    """Two folds: s = 0.01 / √2, t of one degree of freedom is 12.706, and √(1/2 + 1)."""
    part = folds.Part("", np.arange(10), np.arange(10))
    found = folds.estimate([0.5, 0.51], [part, part])
    spread = 0.01 / np.sqrt(2)
    assert found.mean == pytest.approx(0.505)
    assert found.high - found.mean == pytest.approx(12.7062 * spread * np.sqrt(1.5), rel=1e-4)
    assert found.mean - found.low == pytest.approx(12.7062 * spread * np.sqrt(1.5), rel=1e-4)
    assert found.naive[1] - found.mean == pytest.approx(12.7062 * spread * np.sqrt(0.5), rel=1e-4)
    assert str(folds.estimate([0.9, 0.6], [part, part])).endswith("0.000 to 1.000)")


def test_trainings_of_an_ensemble_judge_together_by_hand(tmp_path, monkeypatch):
    """On average the logits are 1.5, 2 and 2, 1.5: right, and wrong; alone, each has one right.

    The next part begins with the next seed: -0.5, 2 and 2, 4.5 are right.
    """
    logits = {4: [[4, 0], [0, 3]], 5: [[-1, 4], [4, 0]], 6: [[0, 0], [0, 9]]}

    def found(source, part, settings, machine, watching):
        assert settings.ensemble == 1
        return fitting.empty_history(), np.array(logits[settings.seed])

    monkeypatch.setattr(folds, "last_logits", found)
    x, y = np.ones((3, 1), np.float32), np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    source = folds.Source(None, Features(x, y, 48, True))
    part = folds.Part("one", np.array([0]), np.array([1, 2]))
    told = Settings(seed=4, ensemble=2)
    found = folds.measure(source, [part, part], told, backend.default(), tmp_path, show=False)
    assert found == [0.5, 1.0]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"epochs": 10}, ", after 10 epochs"),
        ({"schedule": "cosine"}, ""),
        ({"epochs": 1, "fine_tune": "a,b"},
         ", after 1 epoch and 5 epochs of fine-tuning in each stage"),
    ],
)  # fmt: skip
def test_the_epochs_are_said_once(told, words):
    assert folds.epochs_of(Settings(**told)) == words


def test_the_words_for_settings_name_class_weights():
    told = Settings(size_inner=100, class_weights=True)
    assert str(told) == "learning rate 0.001, inner 100, class weights"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["--folds", "1"], "needs at least --folds 2"),
        (["--splits", "1"], "needs at least --folds 2"),
        (["--block-decay", "0.5"], "--block-decay is for the blocks that --fine-tune names"),
        (["--fine-tune", "block9"], "has none called 'block9'"),
    ],
)
def test_what_cannot_be_measured_is_said_before_the_work(options, told, words, capsys):
    assert folds.run([*options, *told]) == 2
    assert words in capsys.readouterr().err


def interrupted(*given):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_the_command(options, fakes, tmp_path, capsys, eagerly, monkeypatch):
    told = ["--folds", "3", "--epochs", "2", "--learning-rate", "0.05", "--output", str(tmp_path)]
    assert folds.run([*options, *told, "--schedule", "one-cycle", "--logger", "mlflow"]) == 0
    params = next(given[0] for call, given, _ in fakes["mlflow"].calls if call == "log_params")
    assert params["learning-rate"] == "0.05", "an option's name, as a run of train has it"
    assert (params["dropout"], params["inner"]) == ("0.0", "0")
    names = [call for call, _, _ in fakes["mlflow"].calls]
    one = ["start_run", "log_params", "log_metrics", "log_metrics", "log_metrics", "end_run"]
    assert names == 3 * one
    out = capsys.readouterr().out
    assert "Accuracy of learning rate 0.05, one-cycle over 2 epochs: 0." in out
    assert "95 % interval" in out
    with (tmp_path / "folds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["judged"]) for row in rows] == [60, 60, 60]
    assert [int(row["trained on"]) for row in rows] == [120] * 3
    assert all(0.1 < float(row["accuracy"]) <= 1 for row in rows)
    (tmp_path / "parts" / "1.npz").unlink()
    before = (tmp_path / "config.toml").read_text()
    monkeypatch.setattr(folds, "last_logits", interrupted)
    assert folds.run([*options, *told[2:], "--folds", "2"]) == 130
    assert (tmp_path / "config.toml").read_text() == before, "it describes folds.csv"

    def right(source, part, *others):
        return fitting.empty_history(), source.found.y[part.judged]

    monkeypatch.setattr(folds, "last_logits", right)
    assert folds.run([*options, *told, "--schedule", "one-cycle", "--resume"]) == 0
    with (tmp_path / "folds.csv").open(newline="") as file:
        again = list(csv.DictReader(file))
    assert again == [rows[0], rows[1] | {"accuracy": "1.0"}, rows[2]], "it trains part 1 alone"
    assert folds.run([*options, *told[2:], "--folds", "19"]) == 2
    assert "Each class needs 19 photos" in capsys.readouterr().err
