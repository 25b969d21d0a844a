"""`reference.fitting`, `train` and `sweep`: what they learn, and that a kill loses nothing."""

import csv
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from minicnn import losses
from reference import backend, batches, data, evaluate, features, fitting, folds, sweep
from reference import model as models
from reference import train as training
from reference.data import Reader
from reference.fitting import Settings

ROOT = Path(__file__).parents[2]
QUICK = Settings(learning_rate=0.05, epochs=3, batch_size=32, seed=7)


@pytest.fixture(scope="module")
def machine():
    return backend.default()


@pytest.fixture(scope="module")
def splits(clothes):
    return data.find(clothes)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Return the folder of the base's features, which the first run computes."""
    return tmp_path_factory.mktemp("cache")


def learner(splits, tiny_base, folder, machine, cache):
    """Return a function that runs `train` on the tiny base; calls of one name share a folder."""

    def run(settings=QUICK, name="run", **options):
        base = models.load_base(str(tiny_base), 48)
        return training.train(
            splits,
            base,
            settings,
            folder / name,
            machine,
            Reader(48),
            cache,
            **options,
        )

    return run


@pytest.fixture
def learn(splits, tiny_base, tmp_path, machine, cache, eagerly):
    return learner(splits, tiny_base, tmp_path, machine, cache)


@pytest.fixture(scope="module")
def whole(splits, tiny_base, tmp_path_factory, machine, cache):
    """Return a function that trains without interruption, once per settings, to compare with."""
    learn = learner(splits, tiny_base, tmp_path_factory.mktemp("whole"), machine, cache)
    return functools.cache(lambda settings: learn(settings, name=str(hash(settings))))


@pytest.fixture
def quick(whole, tmp_path, eagerly):
    """Return what a quick run left, copied to the folder where `learn` continues with it."""
    shutil.copytree(whole(QUICK).path.parent, tmp_path / "run")
    return tmp_path / "run"


# ---------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------


def test_scores_are_keras_s():
    rng = np.random.default_rng(0)
    logits, y = (
        rng.normal(size=(9, 4)).astype("f4") * 5,
        np.eye(4, dtype="f4")[rng.integers(0, 4, 9)],
    )
    for smoothing in (0.0, 0.3):
        loss, accuracy = fitting.scores(logits, y, smoothing)
        keras_s = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        assert loss == pytest.approx(float(keras_s(y, logits)))
        assert accuracy == np.mean(logits.argmax(1) == y.argmax(1))


def test_weight_decay_shrinks_kernels_and_no_biases(machine):
    head = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, bias_initializer="ones")])
    kernel = np.asarray(head.weights[0])
    fitting.compile_learner(head, replace(QUICK, weight_decay=0.1), 0.5, machine)
    head.optimizer.apply([np.zeros((2, 3), "f4"), np.zeros(3, "f4")], head.trainable_variables)
    np.testing.assert_allclose(head.weights[0], kernel * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(head.weights[1], np.ones(3))


def test_balanced_weights_by_hand():
    y = np.eye(2)[[0, 0, 0, 1]]
    weights = fitting.balanced(y)
    np.testing.assert_allclose(weights, [4 / (2 * 3), 4 / (2 * 1)], rtol=1e-6)

    def mix(x, y, rng):
        return x, np.array([[0.25, 0.75], [1, 0]])

    _, _, found = batches.Batches(y, y, 2, mix=mix, weights=weights)[0]
    np.testing.assert_allclose(found, [0.25 * 2 / 3 + 0.75 * 2, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("accuracies", "since", "over"),
    [
        ([0.5, 0.6], 0, False),
        ([0.6, 0.5], 0, False),
        ([0.6, 0.5, 0.6], 0, True),  # among equals, the first is the best
        ([0.6, 0.5, 0.5], 1, False),  # patience starts again with fine-tuning
        ([0.6, 0.5, 0.5, 0.5], 1, True),
        ([], 0, False),
    ],
)
def test_patience_counts_epochs_without_a_better_one(accuracies, since, over):
    history = {"loss": accuracies, "val_accuracy": accuracies}
    assert fitting.is_over(history, 2, since) is over
    assert fitting.is_over(history, None, since) is False


def test_a_state_of_another_run_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    path = tmp_path / "state.npz"
    fitting.write_state(path, {"seed": 1, "base": "a"}, fitting.empty_history(), [], model)
    assert fitting.read_state(path, {"seed": 1, "base": "a"}).stages == []
    with pytest.raises(ValueError, match=r"of another run \(base was a, is b; seed was 1, is 2\)"):
        fitting.read_state(path, {"seed": 2, "base": "b"})
    falling = {"seed": 1, "base": "a", "schedule": "cosine", "epochs": 30}  # others lack the epochs
    with pytest.raises(ValueError, match=r"run \(schedule was constant, is cosine\): the same"):
        fitting.read_state(path, falling)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match="of another model"):
        fitting.restore(other, fitting.read_state(path, {"seed": 1, "base": "a"}).values)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"is damaged.*without --resume"):
        fitting.read_state(path, {"seed": 1, "base": "a"})


# ---------------------------------------------------------------------------------------------
# A run
# ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_file_has_the_best_epoch_s_model(learn, splits, tmp_path):
    result = learn(replace(QUICK, epochs=5, ema=0.8))
    accuracies = result.history["val_accuracy"]
    assert len(accuracies) == 5
    assert max(accuracies) > 0.3, "nothing was learned"
    saved = models.load(result.path)
    judged = evaluate.evaluate(saved, splits.validation)
    best = int(np.argmax(accuracies))
    assert judged.accuracy == pytest.approx(max(accuracies), abs=1e-6)
    assert judged.loss == pytest.approx(result.history["val_loss"][best], rel=1e-4)
    assert saved.about.training["learning_rate"] == 0.05
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    assert [float(row["val_accuracy"]) for row in rows] == accuracies
    assert [row["epoch"] for row in rows] == list("12345")


@pytest.mark.slow
def test_a_sweep_s_trial_equals_a_run(learn, splits, tiny_base, machine):
    settings = replace(QUICK, size_inner=8, droprate=0.3)
    result = learn(settings)
    base = models.load_base(str(tiny_base), 48)
    train_x, validation_x = (
        features.extract(photos, Reader(48), base, machine, show=False) for photos in splits[:2]
    )
    trial = sweep.try_head(settings, train_x, validation_x, machine)
    for name in fitting.COLUMNS:
        np.testing.assert_allclose(trial.history[name], result.history[name], rtol=1e-5)
    assert trial.best == result.best
    assert trial.right.mean() == pytest.approx(trial.best)
    # The winner's file holds the same model, too.
    whole = models.load(result.path).model
    for found, wanted in zip(models.head_of(whole).get_weights(), trial.weights, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_seed_decides_the_history(learn, whole):
    first = whole(QUICK).history
    assert learn(name="again").history == first
    assert learn(replace(QUICK, seed=8), name="other").history != first


@pytest.mark.slow
def test_class_weights_change_what_is_learned(
    clothes, tiny_base, tmp_path, machine, cache, eagerly
):
    splits = data.find(clothes)
    few = [i for i in range(120) if splits.train.labels[i] != 0 or i == 0]
    uneven = splits._replace(train=splits.train.keep(few))
    base = models.load_base(str(tiny_base), 48)
    histories = [
        training.train(
            uneven, base, replace(QUICK, class_weights=weights), tmp_path / str(weights), machine,
            Reader(48), cache,
        ).history
        for weights in (False, True)
    ]  # fmt: skip
    assert histories[0]["val_loss"] != histories[1]["val_loss"]


@pytest.mark.slow
def test_augmentation_runs_the_whole_network_and_leaves_no_layer_in_the_file(learn, whole, splits):
    result = learn(replace(QUICK, augment=True, epochs=2))
    assert result.history["loss"] != whole(QUICK).history["loss"][:2]
    saved = models.load(result.path)
    names = [layer.name for layer in saved.model.layers]
    assert names == ["photo", "preprocess", "tiny", "vectors", "logits"]
    judged = evaluate.evaluate(saved, splits.validation)
    assert judged.accuracy == pytest.approx(result.best, abs=1e-6)


@pytest.mark.slow
def test_fine_tuning_changes_the_last_blocks_and_nothing_before_them(
    learn, tiny_base, monkeypatch, capsys
):
    settings = replace(QUICK, epochs=1, fine_tune="block2", fine_tune_epochs=3, fine_tune_rate=0.01)
    result = learn(settings, verbose=2)
    assert len(result.history["loss"]) == 4
    best = fitting.best_epoch(result.history)
    assert best > 0, "fine-tuning brought nothing, so the file says nothing of it"
    assert "No epoch of fine-tuning" not in capsys.readouterr().out
    before = models.load_base(str(tiny_base), 48).network
    after = models.load(result.path).model.get_layer("tiny")
    for layer in before.layers:
        pairs = zip(layer.weights, after.get_layer(layer.name).weights, strict=True)
        for old, new in pairs:
            same = np.array_equal(old, new)
            moves = layer.name == "block2_conv"  # and not block2_bn
            assert same is not moves, old.path
    monkeypatch.setattr(batches, "LARGEST_KEPT", 0)  # and pixels are decoded again and again
    uncached = learn(settings, name="uncached").history
    np.testing.assert_allclose(uncached["val_loss"], result.history["val_loss"], rtol=1e-4)


@pytest.mark.slow
def test_a_fold_equals_a_run_of_its_split(
    splits, tiny_base, machine, cache, monkeypatch, tmp_path, eagerly
):
    """Each epoch here is better than those before it, so the best one is the last one for both."""
    settings = replace(
        QUICK, epochs=1, fine_tune="block2,block1", fine_tune_epochs=1, fine_tune_rate=0.02,
        droprate=0.2, ema=0.5, block_decay=0.5, class_weights=True,
    )  # fmt: skip
    some = [photos.keep(range(0, len(photos), 3)) for photos in splits[:2]]
    splits = data.Splits(*some, None)
    run = learner(splits, tiny_base, tmp_path, machine, cache)(settings).history
    assert np.all(np.diff(run["val_accuracy"]) > 0)
    base = models.load_base(str(tiny_base), 48)
    before, rows = base.sha256(), len(splits.train)
    source = folds.source_of(splits, Reader(48), base, settings, machine, cache)
    part = folds.Part("", np.arange(rows), np.arange(rows, len(source.found)))
    history, logits = folds.last_logits(source, part, settings, machine)
    for name in fitting.COLUMNS:
        np.testing.assert_allclose(history[name], run[name], rtol=1e-5)
    judged = logits.argmax(axis=1) == splits.validation.labels
    assert judged.mean() == pytest.approx(run["val_accuracy"][-1])
    assert base.sha256() == before, "the next part begins with the same base"
    assert not base.network.trainable_variables
    monkeypatch.setattr(batches, "LARGEST_KEPT", 0)
    source = folds.source_of(splits, Reader(48), base, settings, machine, cache)
    assert source.are_pixels
    uncached, _ = folds.last_logits(source, part, settings, machine)
    np.testing.assert_allclose(uncached["val_loss"], run["val_loss"], rtol=1e-4)


def test_an_unknown_layer_to_fine_tune_lists_the_blocks(learn):
    with pytest.raises(ValueError, match=r"none called 'block9'. It has: block1, block2"):
        learn(replace(QUICK, fine_tune="block9"))


@pytest.mark.slow
def test_patience_stops_a_run(learn):
    settings = replace(QUICK, learning_rate=1e-9, epochs=9, patience=2)
    assert len(learn(settings).history["loss"]) == 3


@pytest.mark.parametrize("missing", ["tensorboard", "tensorflow"])
def test_a_missing_tensorboard_is_named_in_a_sentence(learn, monkeypatch, missing):
    monkeypatch.setattr(backend, "installed", lambda package: package != missing)
    with pytest.raises(ImportError, match=f"pip install {missing}"):
        learn(tensorboard=True)


@pytest.mark.slow
def test_tensorboard_gets_every_epoch_and_fine_tuning_in_vain_is_told(learn, tmp_path, capsys):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tf = pytest.importorskip("tensorflow")
    settings = replace(
        QUICK, epochs=2, fine_tune="block2", fine_tune_epochs=1, fine_tune_rate=1e-12
    )
    history = learn(settings, tensorboard=True, verbose=2).history
    best = fitting.best_epoch(history) + 1
    told = f"No epoch of fine-tuning was better than epoch {best}, before it: the model keeps"
    assert told in capsys.readouterr().out
    for folder, column in (("train", "loss"), ("validation", "val_loss")):
        events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard" / folder))
        events.Reload()
        told = events.Tensors("epoch_loss")
        assert [event.step for event in told] == [0, 1, 2]
        found = [float(tf.make_ndarray(event.tensor_proto)) for event in told]
        np.testing.assert_allclose(found, history[column], rtol=1e-6)


# ---------------------------------------------------------------------------------------------
# Interrupted runs
# ---------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


HEAD = replace(
    QUICK, epochs=4, size_inner=6, droprate=0.4, ema=0.9, weight_decay=0.01, label_smoothing=0.1,
    schedule="one-cycle",
)  # fmt: skip
FINE = replace(
    QUICK, epochs=2, augment=True, erasing=0.5, mixup=0.4, cutmix=1.0, fine_tune="block2",
    fine_tune_epochs=2, fine_tune_rate=0.01, block_decay=0.5, ema=0.9, label_smoothing=0.1,
)  # fmt: skip
STAGES = replace(
    QUICK, epochs=1, fine_tune="block2,block1", fine_tune_epochs=1, fine_tune_rate=0.01,
    block_decay=0.5, ema=0.9,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "stage"),
    [
        (HEAD, "after the model"),
        (FINE, "before the model"),
        (FINE, "after the model"),
        (STAGES, "after the state"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.fine_tune or "head",
)
def test_an_interrupted_run_ends_with_the_same(learn, whole, monkeypatch, stage, settings):
    """It is stopped again and again, at each place where something has just been written."""
    wanted = whole(settings)
    count = {"left": 0}

    def stop():
        count["left"] -= 1
        if count["left"] == 0:
            raise Killed

    save, write_state = models.save, fitting.write_state

    def model(*arguments):
        if stage == "before the model":
            stop()
        save(*arguments)
        if stage == "after the model":
            stop()

    def state(*arguments):
        write_state(*arguments)
        if stage == "after the state":
            stop()

    monkeypatch.setattr(models, "save", model)
    monkeypatch.setattr(fitting, "write_state", state)
    stops = 0
    for _ in range(8):
        # The same step would stop every attempt, so each attempt may pass one.
        count["left"] = 1 if stage == "after the state" else 2
        try:
            found = learn(settings, name="broken", resume=True)
        except Killed:
            stops += 1
        else:
            break
    assert 1 <= stops < 8
    assert found.history == wanted.history
    ours, theirs = (models.load(result.path).model.get_weights() for result in (found, wanted))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_patience_is_the_same_after_an_interruption(learn):
    settings = replace(QUICK, learning_rate=1e-9, epochs=9, patience=3)
    wanted = learn(settings, name="whole").history
    learn(replace(settings, epochs=2), name="broken")
    assert learn(settings, name="broken", resume=True).history == wanted


@pytest.mark.slow
def test_more_epochs_may_follow_and_other_settings_may_not(learn):
    assert not learn(replace(QUICK, epochs=1), resume=True).resumed, "there was nothing yet"
    with pytest.raises(ValueError, match=r"learning_rate was 0\.05, is 0\.02"):
        learn(replace(QUICK, learning_rate=0.02), resume=True)
    longer = learn(QUICK, resume=True)
    assert longer.resumed
    assert len(longer.history["loss"]) == 3
    falling = replace(QUICK, epochs=1, schedule="cosine")
    assert len(learn(falling).history["loss"]) == 1, "without resume: anew"
    with pytest.raises(ValueError, match=r"epochs was 1, is 3"):  # the rate would fall otherwise
        learn(replace(falling, epochs=3), resume=True)


@pytest.mark.slow
def test_a_run_that_is_really_killed_ends_with_the_same(clothes, tiny_base, tmp_path, capsys):
    """The killed run has its own process; its continuation and the whole run share this one.

    TensorFlow logs lines while it is imported; none of them reaches the killed run's stderr.
    """
    options = [
        *map(str, ("--data", clothes, "--base", tiny_base, "--cache", tmp_path / "cache")),
        *("--image-size", "48", "--learning-rate", "0.01", "--dropout", "0.2", "--epochs", "8"),
        "--deterministic",
    ]
    killed = subprocess.run(
        [sys.executable, "-m", "killed", "4", *options, "--output", str(tmp_path / "broken")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "helpers")},
        capture_output=True,
        text=True,
    )
    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
    assert training.run([*options, "--output", str(tmp_path / "broken"), "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "Going on after epoch 4." in printed
    assert "Test accuracy" in printed
    assert training.run([*options, "--output", str(tmp_path / "whole")]) == 0
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    assert (broken / "history.csv").read_text() == (whole / "history.csv").read_text()
    assert len((whole / "history.csv").read_text().splitlines()) == 1 + 8
    ours, theirs = (models.load(f / "model.keras").model.get_weights() for f in (broken, whole))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    told = [json.loads((f / "evaluation.json").read_text())["accuracy"] for f in (broken, whole)]
    assert told[0] == told[1]
    left = [{path.name for path in folder.iterdir()} for folder in (broken, whole)]
    assert left[0] == left[1]


@pytest.mark.slow
def test_a_kill_in_the_first_epoch_of_fine_tuning_loses_nothing(learn, monkeypatch):
    """By then the file holds fine-tuned weights: its head is not the best to start from anymore."""
    settings = replace(QUICK, epochs=2, fine_tune="block2", fine_tune_epochs=2, fine_tune_rate=0.02)
    wanted = learn(settings, name="whole")
    assert fitting.best_epoch(wanted.history) >= 2, "fine-tuning must write the file"
    save = models.save

    def model(whole, *arguments):
        save(whole, *arguments)
        if len(whole.trainable_weights) > 4:  # the head alone has 4
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(models, "save", model)
        with pytest.raises(Killed):
            learn(settings, name="broken")
    assert learn(settings, name="broken", resume=True).history == wanted.history


@pytest.mark.slow
def test_what_a_kill_left_half_written_is_removed(learn, quick):
    folder = quick
    wanted = sorted(path.name for path in folder.iterdir())
    (folder / ".state.npz.2onxilmy").write_bytes(b"half")
    (folder / ".history.csv.abcd_123").write_bytes(b"")
    (folder / ".model.keras-xyz12345").mkdir()
    (folder / ".model.keras-xyz12345" / "model.keras").write_bytes(b"half")
    learn(replace(QUICK, epochs=4), resume=True)
    assert sorted(path.name for path in folder.iterdir()) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("since", [None, 3])
def test_a_run_of_an_older_version_goes_on(learn, quick, since):
    """Its state lacks what is younger, and says otherwise where fine-tuning has begun."""
    before = dict(np.load(quick / "state.npz"))
    told = json.loads(str(before["told"]))
    del told["stages"], told["about"]["block_decay"], told["about"]["schedule"]
    told["fine_tuning_since"] = since
    np.savez(quick / "state.npz", **(before | {"told": np.array(json.dumps(told))}))
    now = json.loads(str(before["told"]))["about"]
    assert fitting.read_state(quick / "state.npz", now).stages == ([] if since is None else [3])
    with pytest.raises(ValueError, match=r"block_decay was 1\.0, is 0\.5"):
        fitting.read_state(quick / "state.npz", now | {"block_decay": 0.5})
    if since is None:
        found = learn(replace(QUICK, epochs=4), resume=True).history
        assert found["loss"][:3] == told["history"]["loss"]


@pytest.mark.slow
def test_a_run_does_not_go_on_with_the_model_of_another(learn, quick, monkeypatch):
    """A new run in the folder of an old one is killed after its first model: neither is whole."""
    save = models.save

    def model(*arguments):
        save(*arguments)
        assert not (quick / "state.npz").exists(), "the old run would go on with the new model"
        assert not (quick / "history.csv").exists()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(models, "save", model)
        with pytest.raises(Killed):
            learn(replace(QUICK, learning_rate=0.01))
    assert len(learn(QUICK, resume=True).history["loss"]) == QUICK.epochs


@pytest.mark.slow
def test_a_run_whose_best_model_was_moved_does_not_go_on(learn, quick):
    path = quick / "model.keras"
    path.rename(path.with_name("mine.keras"))
    history = path.with_name("history.csv").read_text()
    with pytest.raises(FileNotFoundError, match=r"best epoch so far.*put it back, or start anew"):
        learn(replace(QUICK, epochs=5), resume=True)
    assert path.with_name("history.csv").read_text() == history


@pytest.mark.slow
def test_a_resumed_run_has_the_same_classes(splits, tiny_base, quick, machine, cache):
    base = models.load_base(str(tiny_base), 48)

    def go_on(train):
        training.train(
            splits._replace(train=train),
            base,
            QUICK,
            quick,
            machine,
            Reader(48),
            cache,
            resume=True,
        )

    go_on(splits.train)
    with pytest.raises(ValueError, match=r"another run \(other classes\)"):
        go_on(replace(splits.train, labels=splits.train.labels[::-1].copy()))
    with pytest.raises(ValueError, match=r"another run \(other classes\)"):
        go_on(replace(splits.train, class_names=tuple("abcdefghij")))
