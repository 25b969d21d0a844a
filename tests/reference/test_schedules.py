"""How the learning rate changes during a run, and the search for one."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from reference import backend, find_rate, folds, schedules, sweep
from reference import train as training
from reference.features import Features
from reference.fitting import Settings


def rates(*arguments, steps, **options):
    varying = schedules.of(*arguments, steps=steps, **options)
    return [float(varying(step)) for step in range(arguments[2] * steps + 1)]


def test_schedules_by_hand():
    assert schedules.of("constant", 0.5, 4, steps=10) == 0.5
    falling = [(1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)]
    np.testing.assert_allclose(rates("cosine", 1.0, 2, steps=2), falling, atol=1e-6)
    warm = [0, 0.5, *((1 + math.cos(math.pi * t / 6)) / 2 for t in range(7))]
    np.testing.assert_allclose(rates("cosine", 1.0, 4, steps=2, warmup=1), warm, atol=1e-6)
    np.testing.assert_allclose(
        rates("constant", 1.0, 2, steps=4, warmup=0.5), [0, 0.5, *[1] * 7], atol=1e-6
    )
    cycle = rates("one-cycle", 1.0, 5, steps=2)  # rises in 3 of 10 steps
    np.testing.assert_allclose(cycle[:4], [0.04, 0.36, 0.68, 1], atol=1e-6)
    np.testing.assert_allclose(cycle[3:], [(1 + math.cos(math.pi * t / 7)) / 2 for t in range(8)],
                               atol=1e-6)  # fmt: skip


def test_a_warm_up_may_be_nearly_as_long_as_the_run():
    np.testing.assert_allclose(
        rates("cosine", 1.0, 2, steps=2, warmup=1.99), [0, 1 / 3, 2 / 3, 1, 0], atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": "step"}, r"one of constant, cosine, one-cycle. Received 'step'"),
        ({"schedule": "one-cycle", "warmup": 1}, "its own warm-up"),
        ({"warmup": 10}, "Received 10 of 10 epochs"),
        ({"warmup": -1}, "Received -1 of 10 epochs"),
        ({"warmup": 5, "fine_tune": "block2"}, "Received 5 of 5 epochs"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Settings(**options)


@pytest.mark.parametrize("command", [sweep, folds, training])
def test_the_commands_refuse_a_warm_up_of_the_whole_run(command, options, capsys):
    assert command.run([*options, "--warmup", "10"]) == 2
    assert "Received 10 of 10 epochs" in capsys.readouterr().err


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    x = (np.eye(3)[labels] @ rng.normal(size=(3, 8)) + rng.normal(size=(60, 8))).astype(np.float32)
    return Features(x, np.eye(3, dtype=np.float32)[labels], 48, True)


@pytest.mark.slow
def test_a_head_learns_by_the_schedule(found):
    """The last steps of cosine are nearly 0 long: less changes than at a constant rate."""
    machine = backend.default()
    settings = Settings(learning_rate=0.05, epochs=4, batch_size=20)
    moved = {}
    for schedule in ("constant", "cosine"):
        trial = sweep.try_head(replace(settings, schedule=schedule), found, found, machine)
        moved[schedule] = abs(trial.history["val_loss"][-1] - trial.history["val_loss"][-2])
    assert moved["cosine"] < moved["constant"] / 2
    told = str(replace(settings, schedule="cosine", warmup=0.5))
    assert told == "learning rate 0.05, cosine over 4 epochs, warm-up 0.5"


def test_the_finder_tries_rates_from_the_lowest_to_the_highest(found):
    finder = find_rate.find_rate(found, 4, 0.1, batch_size=10, steps=30, lowest=1e-5, highest=0.5)
    assert finder.rates[0] == pytest.approx(1e-5)
    assert finder.suggestion is not None
    assert 1e-5 < finder.suggestion < 0.05
    again = find_rate.find_rate(found, 4, 0.1, batch_size=10, steps=30, lowest=1e-5, highest=0.5)
    assert again.losses == finder.losses


@pytest.mark.parametrize(
    ("losses", "suggestion", "words"),
    [
        ([2.0, 2.1] * 5 + [1.5, 0.5, 0.4, 3.0], 0.01, "lowest at a learning rate of 0.1, and"),
        ([2.0, 2.1] * 5 + [1.5, 1.0, 0.5, 0.4], None, "still falls at --highest, 1:"),
        ([2.1, 2.0] * 5 + [2.03, 2.04, 3.0, 4.0], None, "by more than the first steps differ"),
        ([2.0, 2.1] * 5 + [2.5, 2.6, 3.0, 4.0], None, "by more than the first steps differ"),
        ([math.nan] * 14, None, "by more than the first steps differ"),
    ],
)
def test_the_finder_suggests_only_what_it_has_seen(losses, suggestion, words):
    finder = find_rate.LearningRateFinder(1e-13, 1.0, 14, smoothing=0.0)
    finder.rates = [10.0 ** (k - 13) for k in range(14)]
    finder.losses = finder.smoothed = losses
    found, sentence = find_rate.advice(finder)
    assert words in sentence
    assert found == pytest.approx(suggestion)


def test_the_finder_s_command(options, tmp_path, capsys):
    told = ["--steps", "12", "--highest", "10", "--output", str(tmp_path)]
    assert find_rate.run([*options, *told]) == 0
    assert "Wrote rate.png and rates.csv" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "rates.csv").open()))
    assert float(rows[0]["learning rate"]) == pytest.approx(1e-6)
    assert (tmp_path / "rate.png").stat().st_size > 1000
    assert find_rate.run([*options, "--lowest", "1", "--output", str(tmp_path)]) == 2
    assert "min_rate < max_rate" in capsys.readouterr().err
