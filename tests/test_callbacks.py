"""Callbacks do at each event what Keras's do, on scripted logs and real models, or are refused."""

import csv
import errno
import functools
import os
import re
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Sequential, callbacks, layers, metrics, models, utils

Logs = dict[str, float]


class FakeModel:
    """Has what callbacks use of a model, and records what was saved."""

    stop_training = False
    metrics_by_name = {"accuracy": metrics.BinaryAccuracy(name="accuracy")}

    def __init__(self) -> None:
        self.weights = [np.zeros(1)]
        self.saved: list[str] = []

    def save(self, path: Path) -> None:
        self.saved.append(Path(path).name)

    save_weights = save

    def get_weights(self) -> list[np.ndarray]:
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = [w.copy() for w in weights]


def play(callback: Any, epochs: list[Logs], model: Any = None) -> FakeModel:
    """Run the callback through these epochs' logs; the model's weight is the epoch's number."""
    model = model or FakeModel()
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, logs in enumerate(epochs):
        callback.on_epoch_begin(epoch)
        model.set_weights([np.array([epoch + 1.0])])
        callback.on_epoch_end(epoch, dict(logs))
        if model.stop_training:
            break
    callback.on_train_end()
    return model


def losses(*values: float) -> list[Logs]:
    return [{"loss": v, "val_loss": v, "val_accuracy": 1 - v / 10} for v in values]


def trained(*given: Any, **arguments: Any) -> tuple[Any, dict[str, list[float]]]:
    """Return a small model after a `fit` with these callbacks."""
    utils.set_random_seed(0)
    model = Sequential([Input((3,)), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).standard_normal((16, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    history = model.fit(
        x, y, validation_split=0.25, verbose=0, callbacks=list(given), **{"epochs": 3, **arguments}
    )
    return model, history.history


# -- ModelCheckpoint -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"save_best_only": True}, [1, 3, 5]),
        ({"save_best_only": True, "mode": "max"}, [1, 2]),
        ({"save_best_only": True, "monitor": "val_accuracy"}, [1, 3, 5]),
        ({"save_best_only": True, "monitor": "val_accuracy", "mode": "min"}, [1, 2]),
        ({"save_best_only": True, "initial_value_threshold": 2.5}, [5]),
        ({"save_best_only": True, "save_weights_only": True}, [1, 3, 5]),
    ],
)
def test_which_epochs_are_saved(tmp_path: Path, options: dict[str, Any], saved: list[int]) -> None:
    suffix = ".weights.h5" if options.get("save_weights_only") else ".keras"
    callback = callbacks.ModelCheckpoint(tmp_path / f"{{epoch}}{suffix}", **options)
    model = play(callback, losses(5, 6, 4, 4, 2))
    assert model.saved == [f"{epoch}{suffix}" for epoch in saved]


def test_a_checkpoint_of_a_real_model_has_its_epoch_s_weights(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "cnn_{epoch:02d}-{val_accuracy:.3f}.keras"
    seen: list[list[np.ndarray]] = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(box[0].get_weights()))
    box: list[Any] = []
    first = callbacks.LambdaCallback(on_train_begin=lambda logs=None: box.append(keep.model))
    _, history = trained(first, keep, callbacks.ModelCheckpoint(path))
    names = sorted(p.name for p in path.parent.iterdir())
    expected = [f"cnn_{e + 1:02d}-{v:.3f}.keras" for e, v in enumerate(history["val_accuracy"])]
    assert names == expected
    for name, weights in zip(expected, seen, strict=True):
        for a, b in zip(models.load_model(path.parent / name).get_weights(), weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_best_checkpoint_of_a_real_model_is_the_best(tmp_path: Path) -> None:
    path = tmp_path / "best.weights.h5"
    callback = callbacks.ModelCheckpoint(
        path, monitor="val_loss", save_best_only=True, save_weights_only=True
    )
    model, history = trained(callback, epochs=6)
    assert callback.best == min(history["val_loss"])
    model.load_weights(path)


def test_save_freq_counts_batches(tmp_path: Path) -> None:
    path = tmp_path / "{epoch}-{batch}.keras"
    trained(callbacks.ModelCheckpoint(path, save_freq=4), batch_size=4, epochs=3)
    # With 3 steps an epoch, it saves after step 4, in epoch 2, and after step 8, in epoch 3.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2-1.keras", "3-2.keras"]


def test_verbose_says_what_is_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callback = callbacks.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True, verbose=1)
    play(callback, losses(5, 6))
    out = capsys.readouterr().out
    assert "Epoch 1: val_loss improved from None to 5.00000, saving model to " in out
    assert "Epoch 2: val_loss did not improve from 5.00000" in out


def test_with_a_missing_monitor_it_warns_and_still_saves(tmp_path: Path) -> None:
    callback = callbacks.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    with pytest.warns(UserWarning, match='cannot find "val_loss" in the logs, which have: loss'):
        model = play(callback, [{"loss": 1.0}])
    assert model.saved == ["m.keras"]


def test_nan_is_never_best(tmp_path: Path) -> None:
    callback = callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    assert play(callback, losses(float("nan"), 3, float("nan"), 2)).saved == ["2.keras", "4.keras"]


def test_a_name_that_the_logs_lack_is_an_error(tmp_path: Path) -> None:
    callback = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{val_f1:.2f}.keras")
    with pytest.raises(KeyError, match=r"val_f1.*not among the logs: epoch, loss"):
        play(callback, losses(1))


def test_an_interrupt_while_saving_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.keras"
    trained(callbacks.ModelCheckpoint(path), epochs=1)
    before = path.read_bytes()

    def interrupted(self: Any, *args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zipfile.ZipFile.writestr", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(callbacks.ModelCheckpoint(path), epochs=1)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


# -- EarlyStopping ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        ({}, [5, 4, 4, 3], 3),
        ({"patience": 2}, [5, 4, 4, 4, 3], 4),
        ({"patience": 2}, [5, 4, 4, 3, 3, 3, 1], 6),
        ({"min_delta": 0.5}, [5, 4, 3.6, 1], 3),
        ({"min_delta": -0.5}, [5, 4, 3.6, 1], 3),
        ({"monitor": "val_accuracy"}, [5, 4, 4, 3], 3),
        ({"mode": "max"}, [5, 6, 6, 7], 3),
        ({"baseline": 3.5, "patience": 2}, [5, 4, 4, 1], 3),
        ({"baseline": 4.5, "patience": 2}, [5, 4, 4, 1], 4),
        ({"start_from_epoch": 2, "patience": 1}, [5, 6, 7, 6, 8, 1], 5),
    ],
)
def test_when_it_stops(options: dict[str, Any], values: list[float], epochs: int) -> None:
    assert play(callbacks.EarlyStopping(**options), losses(*values)).weights[0][0] == epochs


def test_it_restores_the_best_weights(capsys: pytest.CaptureFixture[str]) -> None:
    callback = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    model = play(callback, losses(5, 3, 4, 4, 4))
    assert model.weights[0][0] == 2
    assert (callback.best_epoch, callback.stopped_epoch) == (1, 3)
    out = capsys.readouterr().out
    assert "Epoch 4: early stopping" in out
    assert "best epoch: 2" in out
    # It also does so if training ends first, and in a second `fit`.
    assert play(callback, losses(1, 3)).weights[0][0] == 1
    assert play(callbacks.EarlyStopping(patience=2), losses(5, 3, 4, 4)).weights[0][0] == 4


def test_a_missing_monitor_stops_nothing() -> None:
    with pytest.warns(UserWarning, match='EarlyStopping cannot find "val_loss"'):
        model = play(callbacks.EarlyStopping(), [{"loss": 1.0}] * 3)
    assert model.weights[0][0] == 3


SCRIPTS = [
    [5.0, 4.0, 4.0, 3.0, 3.0, 3.0, 2.0],
    [1.0, 2.0, 3.0, 0.5, 0.6, 0.4],
    [2.0, 1.9, 1.85, 1.84, 1.0],
    [3.0, 3.0, 3.0],
]


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 1},
        {"patience": 2, "restore_best_weights": True},
        {"min_delta": 0.08, "patience": 1},
        {"baseline": 2.5, "patience": 2, "restore_best_weights": True},
        {"start_from_epoch": 1, "patience": 1},
        {"monitor": "val_accuracy", "patience": 1},
        {"monitor": "val_accuracy", "mode": "max", "restore_best_weights": True},
    ],
)
def test_it_stops_where_keras_does(script: list[float], options: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    model = FakeModel()
    model.stop_training = False

    class Theirs(keras.callbacks.EarlyStopping):
        model = property(lambda self: fake)  # Keras needs a compiled one to find its `mode`

        def set_model(self, model: Any) -> None: ...

        def _set_monitor_op(self) -> None:
            up = "accuracy" in self.monitor
            self.monitor_op = keras.ops.greater if up else keras.ops.less
            self.min_delta *= 1 if up else -1

    fake = FakeModel()
    ours = play(callbacks.EarlyStopping(**options), losses(*script))
    theirs = play(Theirs(**options), losses(*script), fake)
    assert ours.weights[0][0] == theirs.weights[0][0]
    assert ours.stop_training == theirs.stop_training


# -- whether more or less is better ----------------------------------------------------------------


class F1(metrics.BinaryAccuracy):
    """A user's metric that does not say whether it should rise."""

    rises = None


class Distance(F1):
    rises = False


@pytest.mark.parametrize("make", [callbacks.EarlyStopping, "checkpoint"])
@pytest.mark.parametrize(
    ("monitor", "rises"),
    [
        ("loss", False),
        ("val_loss", False),
        ("accuracy", True),
        ("val_accuracy", True),
        ("val_distance", False),
        ("val_f1", None),  # among the metrics, but its direction is unknown
        ("val_recall", None),
        ("val_AUC", None),
        ("top_k_accuracy", None),
        ("val_accuracy_loss", None),
        ("acc", None),
    ],
)
def test_auto_knows_the_direction_of_known_metrics(
    make: Any, monitor: str, rises: bool | None, tmp_path: Path
) -> None:
    """It once took names with "acc" in them to rise, and all others to fall."""
    model = Sequential([Input((3,)), layers.Dense(1, "sigmoid")])
    wanted = ["accuracy", F1(name="f1"), Distance("distance")]
    model.compile("sgd", "binary_crossentropy", metrics=wanted)
    callback: Any
    if make == "checkpoint":
        callback = callbacks.ModelCheckpoint(tmp_path / "m.keras", monitor, save_best_only=True)
    else:
        callback = make(monitor=monitor)
    callback.set_model(model)
    if rises is None:
        known = "loss, accuracy, distance"
        with pytest.raises(ValueError, match=rf'"{monitor}" .* mode="max" or mode="min".*{known}'):
            callback.on_train_begin()
        return
    callback.on_train_begin()
    assert callback._improved(2.0, than=1.0) == rises
    assert callback._improved(1.0, than=2.0) != rises


def test_a_checkpoint_at_every_epoch_needs_no_direction(tmp_path: Path) -> None:
    play(callbacks.ModelCheckpoint(tmp_path / "m.keras", monitor="val_f1"), losses(1, 2))


@pytest.mark.slow
@pytest.mark.keras
def test_keras_refuses_the_same() -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    for module in (keras, minicnn):
        for monitor in ("val_loss", "accuracy", "val_f1", "val_accuracy_loss"):
            model = module.Sequential([module.Input((3,)), module.layers.Dense(1, "sigmoid")])
            model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
            stop = module.callbacks.EarlyStopping(monitor=monitor)
            data = np.zeros((4, 3), np.float32), np.zeros((4, 1), np.float32)
            refusal = "mode=" if monitor in ("val_f1", "val_accuracy_loss") else None
            with pytest.raises(ValueError, match=refusal) if refusal else nullcontext():
                model.fit(*data, validation_data=data, verbose=0, callbacks=[stop])


# -- CSVLogger -------------------------------------------------------------------------------------


def test_the_log_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    _, history = trained(callbacks.CSVLogger(path))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    for key, values in history.items():
        assert [float(row[key]) for row in rows] == values


@pytest.mark.keras
def test_the_log_is_keras_s(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    epochs = losses(5, 4.25, 3)
    epochs[1].pop("val_loss")
    for name, module in (("ours", callbacks), ("theirs", keras.callbacks)):
        for append in (False, True):
            play(module.CSVLogger(str(tmp_path / name), separator=";", append=append), epochs)
    ours, theirs = (
        [line.split(";") for line in (tmp_path / name).read_text().splitlines()]
        for name in ("ours", "theirs")
    )
    assert len(ours) == 7
    assert ours == theirs


def test_numbers_that_appear_later_are_not_lost(tmp_path: Path) -> None:
    """One run validates after every second epoch; another adds a metric to the same file."""
    path = tmp_path / "log.csv"
    epochs = losses(4, 3, 2, 1)
    for logs in (epochs[0], epochs[2]):
        logs.pop("val_loss"), logs.pop("val_accuracy")
    play(callbacks.CSVLogger(path), epochs)
    play(callbacks.CSVLogger(path, append=True), [{"loss": 0.5, "f1": 0.25}, {"loss": 0.4}])
    assert path.read_text().splitlines() == [
        "epoch,loss,val_accuracy,val_loss,f1",
        "0,4,NA,NA,NA",
        "1,3,0.7,3,NA",
        "2,2,NA,NA,NA",
        "3,1,0.9,1,NA",
        "0,0.5,NA,NA,0.25",
        "1,0.4,NA,NA,NA",
    ]


def test_fit_with_validation_freq_is_logged_completely(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    _, history = trained(callbacks.CSVLogger(path), epochs=4, validation_freq=2)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["val_loss"] for row in rows][::2] == ["NA", "NA"]
    assert [float(row["val_loss"]) for row in rows[1::2]] == history["val_loss"]


def test_an_old_log_is_replaced_or_continued(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    play(callbacks.CSVLogger(path), losses(1, 2))
    play(callbacks.CSVLogger(path), losses(3))
    assert len(path.read_text().splitlines()) == 2
    play(callbacks.CSVLogger(path, append=True), losses(4, 5))
    lines = path.read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "0", "1"]
    path.write_bytes(path.read_bytes().rstrip())  # as a killed run, or an editor, leaves it
    play(callbacks.CSVLogger(path, append=True), losses(6))
    assert [line.split(",")[0] for line in path.read_text().splitlines()[3:]] == ["1", "0"]
    old = path.read_text()
    with pytest.raises(ValueError, match=r"separated by ';' .* a first line 'epoch,"):
        play(callbacks.CSVLogger(path, separator=";", append=True), losses(7))
    assert path.read_text() == old


@pytest.mark.parametrize("append", [False, True])
def test_an_old_log_stays_until_the_new_one_has_a_row(append: bool, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    play(callbacks.CSVLogger(path), losses(1, 2))
    old = path.read_text()
    logger = callbacks.CSVLogger(path, append=append)
    logger.on_train_begin()
    assert path.read_text() == old
    for epoch, logs in enumerate(losses(3, 4)):
        logger.on_epoch_end(epoch, logs)
        lines = path.read_text().splitlines()
        assert len(lines) == 2 + epoch + (2 if append else 0)
    assert path.read_text().startswith(old) == append


def test_a_full_disk_leaves_the_old_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"log\.csv' cannot be written: No space .* unchanged"):
        play(callbacks.CSVLogger(path), losses(1))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# -- the others ------------------------------------------------------------------------------------


def test_functions_as_a_callback() -> None:
    told: list[Any] = []
    callback = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: told.append((epoch, sorted(logs))),
        on_train_end=lambda logs: told.append("end"),
        on_epoch_begin=None,
    )
    trained(callback, epochs=2)
    keys = ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert told == [(0, keys), (1, keys), "end"]


@pytest.mark.keras
def test_functions_by_position_as_in_keras() -> None:
    keras = pytest.importorskip("keras")
    told: list[list[str]] = []
    for module in (callbacks, keras.callbacks):
        heard: list[str] = []

        def hear(*args: Any, name: str, heard: list[str] = heard) -> None:
            heard.append(name)

        functions = [functools.partial(hear, name=name) for name in "abcdef"]
        callback = module.LambdaCallback(*functions)
        for event in ("train_begin", "epoch_begin", "train_batch_begin"):
            for part in (event, event.replace("begin", "end")):
                getattr(callback, f"on_{part}")(0, {})
        told.append(heard)
    assert told[0] == told[1] == list("cdabef")


def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Input((3,)), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.full((8, 3), np.nan, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = model.fit(
            x, np.zeros(8), 2, epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
        )
    assert len(history.epoch) == 1
    assert "Batch 0: invalid loss" in capsys.readouterr().out


def test_a_callback_knows_its_model_and_the_parameters_of_fit() -> None:
    callback = callbacks.Callback()
    model, _ = trained(callback, epochs=2, batch_size=4)
    assert callback.model is model
    assert (callback.params["epochs"], callback.params["steps"]) == (2, 3)


@pytest.mark.parametrize(
    ("logs", "text"),
    [
        ({"loss": 0.53104, "accuracy": 1.0}, "loss: 0.5310 - accuracy: 1.0000"),
        ({"loss": 0.0}, "loss: 0.0000"),
        ({"loss": 1.25e-5}, "loss: 1.2500e-05"),
        ({"loss": 123456.0}, "loss: 1.2346e+05"),
        (None, ""),
    ],
)
def test_logs_as_text(logs: Logs | None, text: str) -> None:
    assert callbacks.logs_text(logs) == text


def test_the_old_names_of_batch_events_are_called() -> None:
    told: list[Any] = []

    class Old(callbacks.Callback):
        def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
            told.append(("begin", batch, sorted(logs or ())))

        def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
            told.append(("end", batch, sorted(logs or ())))

    by_name = callbacks.LambdaCallback(on_batch_end=lambda step, logs: told.append(step))
    trained(Old(), by_name, epochs=1, batch_size=4)
    keys = ["accuracy", "loss"]
    expected = [[("begin", step, []), ("end", step, keys), step] for step in range(3)]
    assert told == [event for step in expected for event in step]


def test_what_a_callback_adds_to_the_logs_is_history() -> None:
    """As in Keras, a later callback also sees it, and may monitor it."""

    class Score(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
            assert logs is not None
            logs["val_score"] = -epoch

    stop = callbacks.EarlyStopping("val_score", mode="max", patience=1)
    model, history = trained(Score(), stop, epochs=5)
    assert history["val_score"] == [0, -1]
    assert model.history.history is history


def test_a_callback_sees_what_predict_computes() -> None:
    model = minicnn.Sequential([minicnn.Input((2,)), minicnn.layers.Dense(1, None)])
    seen: list[Any] = []
    see = callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs))
    y = model.predict(np.eye(3, 2), batch_size=2, callbacks=[see])
    assert [list(logs) for logs in seen] == [["outputs"]] * 2
    np.testing.assert_array_equal(np.concatenate([logs["outputs"] for logs in seen]), y)
    assert see.params == {"steps": 2, "verbose": "auto"}


@pytest.mark.keras
@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_a_callback_stops_evaluate_and_predict(method: str) -> None:
    """They stop after the current batch; the next call starts again."""
    keras = pytest.importorskip("keras")
    flag = {"evaluate": "stop_evaluating", "predict": "stop_predicting"}[method]
    event = {"evaluate": "on_test_batch_end", "predict": "on_predict_batch_end"}[method]
    counts = []
    for module in (minicnn, keras):
        model = module.Sequential([module.Input((3,)), module.layers.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy")
        seen: list[int] = []

        def stop(batch: int, logs: Any, model: Any = model, seen: list[int] = seen) -> None:
            seen.append(batch)
            if batch == 1:
                setattr(model, flag, True)

        data = (np.zeros((8, 3), np.float32), np.zeros((8, 1), np.float32))
        arguments = data if method == "evaluate" else data[:1]
        callback = module.callbacks.LambdaCallback(**{event: stop})
        for _ in range(2):
            found = getattr(model, method)(
                *arguments, batch_size=2, verbose=0, callbacks=[callback]
            )
        assert method == "evaluate" or found.shape == (4, 1)
        counts.append(seen)
    assert counts[0] == counts[1] == [0, 1, 0, 1]


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: callbacks.ModelCheckpoint("m.h6"), r"ends in '\.keras'.* Received 'm\.h6'"),
    (
        lambda: callbacks.ModelCheckpoint("m.keras", save_weights_only=True),
        r"ends in '\.weights\.h5'.* Received 'm\.keras'",
    ),
    *(
        (lambda name=name: callbacks.ModelCheckpoint(name), "braces hold epoch")
        for name in [
            "{0}.keras",
            "{}.keras",
            "{epoch:zz}.keras",
            "{epoch:9999999999d}.keras",  # a name of 10 GB
            "{epoch!z}.keras",
            "{epoch.x}.keras",
            "{epoch}}.keras",
            "{val_loss:d}.keras",
        ]
    ),
    (lambda: callbacks.ModelCheckpoint("a\0b.keras"), r"without the character '\\0'"),
    (lambda: callbacks.ModelCheckpoint("m.keras", mode="best"), "mode .*'best'"),
    (lambda: callbacks.ModelCheckpoint("m.keras", save_freq=0), "save_freq .*0"),
    (lambda: callbacks.ModelCheckpoint("m.keras", save_freq="batch"), "save_freq .*'batch'"),
    (lambda: callbacks.EarlyStopping(mode="up"), "EarlyStopping expects mode .*'up'"),
    (lambda: callbacks.LambdaCallback(3), "on_epoch_begin to be a function. Received 3"),
    (lambda: callbacks.LambdaCallback(on_epoch=print), "events among on_train_begin.*'on_epoch'"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[m for _, m in BAD])
def test_a_bad_option_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_log_where_a_file_is_impossible(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "no"))):
        trained(callbacks.CSVLogger(tmp_path / "no" / "log.csv"))


def test_functions_get_logs_at_every_event() -> None:
    """As in Keras, `lambda epoch, logs` and `lambda logs` also serve for the begin events."""
    heard: list[str] = []

    def hear(event: str) -> Any:
        if "epoch" in event or "batch" in event:
            return lambda number, logs: heard.append(f"{event} {isinstance(logs, dict)}")
        return lambda logs: heard.append(f"{event} {isinstance(logs, dict)}")

    events = {event: hear(event) for event in callbacks.EVENTS if "predict" not in event}
    trained(callbacks.LambdaCallback(**events))
    assert {text.split()[0] for text in heard} == set(events)
    assert all(text.endswith("True") for text in heard)


def test_a_log_keeps_its_bytes_and_what_is_new_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes("epoch,größe\n0,1\n".encode("latin-1"))
    play(callbacks.CSVLogger(path, append=True), [{"größe": 2.0}])
    lines = path.read_bytes().splitlines()
    assert lines[0] == "epoch,größe".encode("latin-1") + ",größe".encode()
    assert lines[1] == b"0,1,NA"


def test_csv_logger_writes_to_no_pipe_and_reads_no_endless_line(pipe: Path) -> None:
    with pytest.raises(OSError, match="is a pipe: a log is read from a regular file only"):
        callbacks.CSVLogger(pipe, append=True).on_train_begin()
    endless = pipe.with_name("log.csv")
    with endless.open("wb") as file:
        file.truncate(40 * 10**9)
    with pytest.raises(ValueError, match=r"expects columns separated by ',' in the log .*log\.csv"):
        callbacks.CSVLogger(endless, append=True).on_train_begin()
