"""`reference.compare` shows runs in one table, and which differences could be luck."""

import csv
import json
import re

import numpy as np
import pytest

from reference import compare, evaluate

CLASSES = ("a", "b")


def write_run(folder, right, names=None, options="", time=None, split="validation"):
    """Write what `reference.train` leaves of a run that judged these photos right or wrong."""
    folder.mkdir()
    lines = ["path,label,a,b"]
    for i, one in enumerate(right):
        label = CLASSES[i % 2]
        p = "0.9,0.1" if (label == "a") == one else "0.2,0.8"
        lines.append(f"{folder}/{label}/{names[i] if names else i}.jpg,{label},{p}")
    (folder / f"probabilities-{split}.csv").write_text("\n".join(lines) + "\n")
    if options:
        (folder / "config.toml").write_text(options)
        (folder / "history.csv").write_text(
            "epoch,loss,accuracy,val_loss,val_accuracy\n1,2,0.1,2,0.3\n2,1,0.2,1,0.6\n"
        )
    if time:
        (folder / "run.json").write_text(json.dumps(time))
    return folder


def test_a_paired_difference_by_hand():
    first = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], bool)
    other = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 1], bool)
    # 2 gained and 1 lost of 10: g = 3/12, l = 2/12, d = 1/12, √((5/12 - 1/144) / 12) = 0.184783
    low, high = evaluate.difference(other, first)
    assert low == pytest.approx(1 / 12 - 1.959964 * 0.184783, abs=1e-5)
    assert high == pytest.approx(1 / 12 + 1.959964 * 0.184783, abs=1e-5)
    assert evaluate.mcnemar(other, first) == 1.0
    assert evaluate.mcnemar(np.ones(8, bool), np.arange(8) < 2) == pytest.approx(2 / 2**6)
    assert evaluate.mcnemar(first, first) == 1.0


def test_several_runs_of_two_models_are_compared_by_hand():
    """One or both of two runs are right: differences of 1/2 and 1, so sums of ±1/2 ± 1 ± 0."""
    ours, theirs = np.array([[1, 1, 0], [1, 1, 1]]), np.array([[0, 0, 0], [1, 0, 1]])
    assert evaluate.mcnemar(ours, theirs) == pytest.approx(0.5)
    assert evaluate.mcnemar(ours[1], theirs) == pytest.approx(2 / 8)  # ±1/2 ± 1 ± 1/2 reach 2
    rng = np.random.default_rng(0)
    one, two = rng.random((5, 60)) < 0.8, rng.random((3, 60)) < 0.7
    d = one.mean(axis=0) - two.mean(axis=0)
    flipped = np.abs((rng.choice([-1, 1], (20000, 60)) * d).sum(axis=1))
    share = np.mean(flipped >= abs(d.sum()) - 1e-9)
    assert evaluate.mcnemar(one, two) == pytest.approx(share, abs=0.02)


def test_runs_in_one_table(tmp_path, monkeypatch, capsys, fakes):
    monkeypatch.chdir(tmp_path)
    few = [i < 10 for i in range(20)]
    told = {"seconds": 12.4, "features_from_cache": True, "resumed": False, "made_with": "x"}
    write_run(
        tmp_path / "first",
        few,
        options='inner = 0\nepochs = 10\ncache = "a"\nseed = 1\n',
        time=told,
    )
    write_run(tmp_path / "more", [True] * 20, options="inner = 100\nlearning-rate = 0.1\n")
    write_run(tmp_path / "like", [i < 11 for i in range(20)])
    write_run(tmp_path / "else", [True] * 20, names=[f"x{i}" for i in range(20)])
    assert (
        compare.run(
            ["first", "more", "first", "like", "else", "--output", "out", "--logger", "mlflow"]
        )
        == 0
    )
    printed = capsys.readouterr().out
    with (tmp_path / "out" / "compare.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["run", "learning-rate", "inner", "seed", "photos", "accuracy", "95 % interval",
                    "difference", "95 % interval", "p", "best epoch", "time"]  # fmt: skip
    low, high = evaluate.interval(0.5, 20)
    assert rows[0] == ["first", "0.001", "0", "1", "20", "0.500", f"{low:.3f} to {high:.3f}", "–",
                       "–", "–", "2 of 2", "12 s (cached features)"]  # fmt: skip
    # 10 gained and none lost: p = 2 / 2^10
    assert [row[0] for row in rows] == ["first", "more", "like", "else"]
    assert rows[1][1:4] == ["0.1", "100", "0"]  # what a file does not say is as by default
    assert (rows[1][7], rows[1][9], rows[1][11]) == ("+0.500", "0.002", "–")
    assert (rows[2][7], rows[2][9]) == ("+0.050", "1.000")
    assert rows[3][7:10] == ["other photos", "–", "–"]
    assert "Beyond luck (p below 0.05): more is better." in printed
    assert "Not told apart from it by these photos: like." in printed
    assert "in up to 15% of cases" in printed
    calls = {call: given for call, given, _ in fakes["mlflow"].calls}
    folders = {"run-1": "first", "run-2": "more", "run-3": "like", "run-4": "else"}
    assert calls["log_params"] == ({"split": "validation", **folders},)
    assert calls["log_metrics"][0] == pytest.approx(
        {"accuracy-1": 0.5, "accuracy-2": 1, "difference-2": 0.5, "p-2": 2 / 2**10,
         "accuracy-3": 0.55, "difference-3": 0.05, "p-3": 1, "accuracy-4": 1}
    )  # fmt: skip
    assert calls["log_artifact"][0].endswith("compare.html")
    page = (tmp_path / "out" / "compare.html").read_text("utf-8")
    assert len(re.findall('<tr class="best"><td>more</td>', page)) == 1
    assert page.count("<img alt=") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a table"),
        ("path,label,a,b\n", "there is no photo in it"),
        ("path,label,a,b\nx,a,0.5\n", "line 2 has other columns"),
        ("path,label,a,b\nx,a,0.5,nan\n", "line 2 has other columns"),
        ("path,label,a,b\nx,a,0.5,many\n", "is not a table"),
        ("path,label,a,b\nx\n", "is not a table"),
        ('path,label,a,b\nx,"a,0.5,0.5\n', "is not a table"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, text, words, capsys):
    first = write_run(tmp_path / "first", [True, False])
    (write_run(tmp_path / "b", [True]) / "probabilities-validation.csv").write_text(text)
    output = ["--output", str(tmp_path / "out")]
    assert compare.run([str(first), str(tmp_path / "b"), *output]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_no_run_is_refused(tmp_path, capsys):
    first = write_run(tmp_path / "first", [True, False])
    assert compare.run([str(first), str(first)]) == 2
    assert "at least two different runs" in capsys.readouterr().err
    assert compare.run([str(first), str(tmp_path / "none")]) == 2
    assert "has no probabilities-validation.csv. reference.train writes it" in (
        capsys.readouterr().err
    )
    for name, text in (("run.json", "[]"), ("history.csv", "epoch\n1\n"), ("config.toml", "=")):
        other = write_run(tmp_path / name[:3], [True, False])
        (other / name).write_text(text)
        assert compare.run([str(first), str(other)]) == 2
        err = capsys.readouterr().err
        assert name in err
        assert err.count("\n") == 1


@pytest.mark.slow
def test_a_run_of_training_can_be_compared(trained, tmp_path, capsys):
    again = tmp_path / "again"
    again.mkdir()
    for path in trained.iterdir():
        if path.suffix in (".csv", ".toml", ".json"):
            (again / path.name).write_bytes(path.read_bytes())
    assert compare.run([str(trained), str(again), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader((trained / "history.csv").open()))
    best = max(float(row["val_accuracy"]) for row in rows)
    assert len(re.findall(rf"  60 +{best:.3f}", printed)) == 2
    assert "+0.000" in printed
    assert re.search(r" of 3 +\d+ s", printed)
