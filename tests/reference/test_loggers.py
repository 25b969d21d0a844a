"""MLflow and Weights & Biases are told about a run; fakes record what they are told."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from reference import backend, loggers
from reference import train as training


def called(fake, name):
    return [(given, named) for call, given, named in fake.calls if call == name]


def test_a_run_is_told_with_options_epochs_result_and_files(fakes, tmp_path):
    output = tmp_path / "my run"
    output.mkdir()
    for logger in loggers.make(["mlflow", "wandb"]):
        logger.begin("my run", output, {"epochs": 2, "rates": [0.1]}, resume=False)
        logger.on_epoch_end(0, {"loss": 2, "val_accuracy": 0.5})
        logger.on_epoch_end(1, {"loss": 1, "val_accuracy": 0.75})
        logger.end({"best_val_accuracy": 0.75}, [output / "config.toml"])
        logger.fail()  # it has ended
    mlflow, wandb = fakes["mlflow"], fakes["wandb"]
    assert mlflow.calls == [
        ("start_run", (), {"run_id": None, "run_name": "my run"}),
        ("log_params", ({"epochs": "2", "rates": "[0.1]"},), {}),
        ("log_metrics", ({"loss": 2.0, "val_accuracy": 0.5},), {"step": 1}),
        ("log_metrics", ({"loss": 1.0, "val_accuracy": 0.75},), {"step": 2}),
        ("log_metrics", ({"best_val_accuracy": 0.75},), {}),
        ("log_artifact", (str(output / "config.toml"),), {}),
        ("end_run", (), {}),
    ]
    begun = {"name": "my run", "dir": str(output), "config": {"epochs": 2, "rates": [0.1]},
             "id": None, "resume": None, "settings": {"console": "off"}}  # fmt: skip
    assert wandb.calls == [
        ("init", (), begun),
        ("log", ({"loss": 2.0, "val_accuracy": 0.5},), {"step": 1}),
        ("log", ({"loss": 1.0, "val_accuracy": 0.75},), {"step": 2}),
        ("update", ({"best_val_accuracy": 0.75},), {}),
        ("save", (str(output / "config.toml"),), {"base_path": str(output), "policy": "now"}),
        ("finish", (), {}),
    ]
    assert json.loads((output / "loggers.json").read_text()) == {
        "mlflow": "run-1", "wandb": "run-1",
    }  # fmt: skip


def test_a_resumed_run_goes_on_there_and_a_new_one_is_another(fakes, tmp_path):
    (tmp_path / "loggers.json").write_text('{"mlflow": "old", "wandb": "older"}')
    for resume in (True, False):
        for logger in loggers.make(["mlflow", "wandb"]):
            logger.begin("run", tmp_path, {}, resume)
            logger.fail()
    assert [named["run_id"] for _, named in called(fakes["mlflow"], "start_run")] == ["old", None]
    assert len(called(fakes["mlflow"], "log_params")) == 1
    told = called(fakes["wandb"], "init")
    assert [(named["id"], named["resume"]) for _, named in told] == [
        ("older", "allow"), (None, None),
    ]  # fmt: skip
    assert called(fakes["mlflow"], "end_run")[0] == (("FAILED",), {})
    assert called(fakes["wandb"], "finish")[0] == ((), {"exit_code": 1})
    (tmp_path / "loggers.json").write_text("[damaged")
    (logger,) = loggers.make(["mlflow"])
    logger.begin("run", tmp_path, {}, resume=True)
    assert json.loads((tmp_path / "loggers.json").read_text()) == {"mlflow": "run-1"}


def test_training_goes_on_without_a_service_that_is_lost(fakes, tmp_path, capsys):
    (logger,) = loggers.make(["mlflow"])
    fakes["mlflow"].broken = ("log_metrics",)
    logger.begin("run", tmp_path, {}, resume=False)
    for epoch in range(3):
        logger.on_epoch_end(epoch, {"loss": 1})
    logger.end({}, [])
    assert len(called(fakes["mlflow"], "log_metrics")) == 1
    told = capsys.readouterr().out
    assert told == "mlflow takes no more numbers (the server is gone): going on without it.\n"
    fakes["mlflow"].broken = ("start_run",)
    with pytest.raises(ValueError, match="--logger mlflow: no run can begin: the server"):
        logger.begin("run", tmp_path, {}, resume=False)


def test_each_training_of_a_command_is_a_run_and_a_lost_service_costs_none(fakes, tmp_path, capsys):
    output = tmp_path / "sweep"
    output.mkdir()
    trials = loggers.Trials(["mlflow", "wandb"], output)
    with trials.one("learning rate 0.1, seed 0", {"seed": 0}) as watching:
        for logger in watching:
            logger.on_epoch_end(0, {"loss": 2})
            logger.end({"best_val_accuracy": 0.5})
    ((_, first),) = called(fakes["mlflow"], "start_run")
    assert (first["run_name"], first["tags"]) == ("learning rate 0.1, seed 0", {"group": "sweep"})
    assert called(fakes["wandb"], "init")[0][1]["group"] == "sweep"
    assert called(fakes["wandb"], "finish") == [((), {})]
    assert not (output / "loggers.json").exists()
    fakes["mlflow"].broken = ("start_run",)
    with pytest.raises(KeyboardInterrupt), trials.one("again", {}):
        raise KeyboardInterrupt
    assert "no run can begin: the server is gone. Going on without it." in capsys.readouterr().out
    assert called(fakes["wandb"], "finish")[1:] == [((), {"exit_code": 1})]
    with trials.one("and again", {}) as watching:
        assert [logger.name for logger in watching] == ["wandb"], "the lost one is not tried again"
        watching[0].end({})
    assert len(called(fakes["mlflow"], "start_run")) == 2
    with (
        pytest.raises(ValueError, match="no run can begin"),
        loggers.Trials(["wandb", "mlflow"], output).one("first", {}),
    ):
        pass
    assert called(fakes["wandb"], "finish")[3:] == [((), {"exit_code": 1})], "it had begun"


def test_trainings_in_the_current_folder_are_a_group_by_its_name(fakes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), Path("/")):
        with loggers.Trials(["mlflow"], folder).one("first", {}):
            pass
    told = [named["tags"]["group"] for _, named in called(fakes["mlflow"], "start_run")]
    assert told == [tmp_path.name, "trials"]
    assert not (tmp_path / "loggers.json").exists()


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_logger_that_is_not_installed_is_named_in_a_sentence(name, monkeypatch, capsys):
    monkeypatch.setattr(backend, "installed", lambda package: package != name)
    assert training.run(["--data", "nowhere", "--logger", name]) == 2
    err = capsys.readouterr().err
    assert f"--logger {name} needs it" in err
    assert f"pip install {name}" in err
    assert err.count("\n") == 1


def test_another_logger_is_refused(capsys):
    with pytest.raises(SystemExit):
        training.run(["--data", "x", "--logger", "mlflow,excel"])
    assert "or both separated by a comma, not 'mlflow,excel'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_file_that_a_run_writes_repeats_it_and_the_loggers_are_told(
    fakes, trained, tmp_path, capsys, eagerly
):
    text = (trained / "config.toml").read_text("utf-8")
    found = tomllib.loads(text)
    assert (found["epochs"], found["learning-rate"], found["augment"]) == (3, 0.05, False)
    assert "output" not in found
    output = tmp_path / "again"
    told = ["--config", str(trained / "config.toml"), "--output", str(output)]
    assert training.run([*told, "--logger", "mlflow"]) == 0
    assert "numbers may differ" not in capsys.readouterr().out
    for name in ("history.csv", "probabilities-test.csv", "config.toml"):
        first, again = (
            # The comment names Python as the folder in which the command ran has it.
            re.sub("(?<=again: ).*?python ", "", (folder / name).read_text()).replace(
                str(folder), ""
            )
            for folder in (trained, output)
        )
        assert again == first, name
    mlflow = fakes["mlflow"]
    ((given, _),) = called(mlflow, "log_params")
    assert (given[0]["epochs"], given[0]["learning-rate"]) == ("3", "0.05")
    steps = [(named.get("step"), set(given[0])) for given, named in called(mlflow, "log_metrics")]
    names = {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert steps == [
        (1, names), (2, names), (3, names), (None, {"best_val_accuracy", "test_accuracy"}),
    ]  # fmt: skip
    files = [given[0] for given, _ in called(mlflow, "log_artifact")]
    assert all(training.Path(path).is_file() for path in files)
    assert mlflow.calls[-1][0] == "end_run"
    other = tmp_path / "other.toml"
    other.write_text(text.replace("Pillow", "Billow"))
    assert training.run(["--config", str(other), "--base", "none"]) == 2
    assert "Billow" in capsys.readouterr().out
