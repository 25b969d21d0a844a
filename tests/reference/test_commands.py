"""What the commands of `reference/` write, print and refuse, as a user sees it."""

import csv
import importlib
import json
import re
import shutil
import sys
import threading
import time
import zipfile
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from judgements import judged
from PIL import Image

import minicnn.commands
from reference import backend, console, data, evaluate, find_rate, folds, predict, tuning
from reference import model as models
from reference import train as training
from reference.data import Photos
from reference.evaluate import Judged

COMMANDS = (
    "data", "train", "sweep", "folds", "evaluate", "compare", "predict", "export", "course",
    "find_rate",
)  # fmt: skip


# ---------------------------------------------------------------------------------------------
# Every command
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option(name, capsys):
    module = importlib.import_module(f"reference.{name}")
    with pytest.raises(SystemExit) as ended:
        module.run(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert f"python -m reference.{name}" in printed
    for action in module.parser()._actions:
        assert action.help, f"{name} {action.option_strings} has no help"
        assert action.type is not Path, f"{name} {action.option_strings} takes an empty path"


@pytest.mark.parametrize(
    "told",
    [
        ["--learning-rate", "0"],
        ["--learning-rate", "nan"],
        ["--dropout", "1"],
        ["--epochs", "0"],
        ["--inner", "-3"],
        ["--seed", "x"],
        ["--precision", "float8"],
        ["--output", ""],
        ["--config", ""],
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(told, capsys):
    with pytest.raises(SystemExit) as ended:
        training.run(["--data", "nowhere", *told])
    assert ended.value.code == 2
    assert told[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["--data", ""], ["--data expects a folder", "received nothing"]),
        (["--data", "nowhere"], ["no folder 'nowhere'", "download", "sample"]),
        (["--strategy", "multiworker"], ["keras issue 20585", "KERAS_BACKEND=jax"]),
        (["--coordinator", "127.0.0.1:1"], ["--processes, --process-id is missing"]),
        (
            ["--coordinator", "h:1", "--processes", "2", "--process-id", "0"],
            ["KERAS_BACKEND=jax", "tensorflow"],
        ),
        (["--base", "nothing"], ["keras.applications", "xception"]),
        (["--image-size", "12"], ["16 to 2048", "12"]),
        (["--fine-tune", "block7"], ["block7", "block1, block2"]),
        (["--fine-tune", ""], ["such as block14", "''"]),
        (["--block-decay", "0.5"], ["Received 0.5, and no --fine-tune"]),
        (["--fine-tune-epochs", "3"], ["--fine-tune-epochs is for", "Received 3"]),
    ],
)
def test_bad_input_ends_in_one_sentence(told, words, options, tmp_path, capsys):
    assert training.run([*options, "--output", str(tmp_path / "out"), *told]) == 2
    err = capsys.readouterr().err
    assert err.startswith("python -m reference.train: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["train", "sweep", "evaluate", "export", "course"])
@pytest.mark.parametrize("inside", ["", "below"])
def test_a_file_where_the_output_should_go_is_named_at_once(name, inside, tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    module = importlib.import_module(f"reference.{name}")
    told = {"evaluate": ["model.keras", "--data", "x"], "export": ["model.keras"]}
    output = ["--output", str(path / inside)]
    assert module.run([*told.get(name, ["--data", "nowhere"]), *output]) == 2
    err = capsys.readouterr().err
    assert f"--output names a folder. '{path / inside}' cannot be a folder" in err
    assert err.count("\n") == 1
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["train", "sweep", "course"])
@pytest.mark.parametrize(
    "file", ["model.keras", "sweeps.keras", "seed-0/model.keras", "at-64/model.keras"]
)
def test_a_base_that_a_new_model_would_replace_is_named_at_once(name, file, tmp_path, capsys):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    module = importlib.import_module(f"reference.{name}")
    assert module.run(["--data", "no", "--base", str(path), "--output", str(tmp_path)]) == 2
    assert f"'{path}' would replace '{path}', which the command reads" in capsys.readouterr().err
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["best.h5", "xception_{epoch:02d}.keras"])
def test_a_checkpoint_s_name_in_place_of_the_folder_is_refused(name, tmp_path, capsys):
    assert training.run(["--data", "nowhere", "--output", str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert "--output is a folder; the model in it is named model.keras" in err
    assert name in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("No route: [Errno 101].\nTraceback …"), "No route: [Errno 101]"),
        (
            ValueError("A total of 54 objects could not be loaded. Example error message for x:"),
            "A total of 54 objects could not be loaded",
        ),
        (KeyError(), "KeyError"),
    ],
)
def test_the_reason_of_an_error_is_its_first_sentence(error, said):
    assert console.reason(error) == said


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path, monkeypatch, capsys):
    def full(dir):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(console.tempfile, "TemporaryFile", full)
    assert training.run(["--data", "nowhere", "--output", str(tmp_path / "new" / "run")]) == 2
    err = capsys.readouterr().err
    assert f"no file can be written into {str(tmp_path)!r}: Read-only file system." in err
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_lines_say_how_far_the_work_is(monkeypatch, capsys):
    monkeypatch.setattr(console, "LINE_SECONDS", 0.0)
    with console.progress("Reading", 4) as advance:
        for _ in range(4):
            advance(1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", about")[0] for line in lines] == [f"Reading: {i} of 4" for i in (1, 2, 3)]
    with console.progress("Reading", 4, show=False) as advance:
        advance(1)
    assert capsys.readouterr().out == ""


def named(*names):
    layers = [SimpleNamespace(name=name, weights=[1]) for name in names]
    return SimpleNamespace(name="net", layers=layers)


MOBILENET = named("conv1", "conv1_bn", "conv_dw_1", "conv_dw_1_bn", "conv_pw_1", "conv_dw_12")


@pytest.mark.parametrize(
    ("network", "name", "first"),
    [
        (MOBILENET, "conv_dw_1", "conv_dw_1"),
        (MOBILENET, "conv_dw_1_bn", "conv_dw_1_bn"),
        (named("conv1", "conv5_block2_1_conv", "conv5_block3_1_conv"), "conv5_block3",
         "conv5_block3_1_conv"),
        (named("block1_conv", "block14_sepconv1", "block14_sepconv2"), "block14",
         "block14_sepconv1"),
        (named("block7a_expand_conv", "top_conv", "top_bn"), "top", "top_conv"),
        (named("conv2d", "conv2d_1", "dense"), "conv2d_1", "conv2d_1"),
    ],
)  # fmt: skip
def test_fine_tuning_begins_at_a_layer_or_a_block(network, name, first):
    assert tuning.first_of(network, name).name == first


@pytest.mark.parametrize("name", ["conv", "conv_dw", "conv_", "", "block"])
def test_fine_tuning_does_not_take_half_a_name_for_the_whole_base(name):
    with pytest.raises(ValueError, match=r"such as conv_dw_12.*conv1, conv_dw_1, conv_pw"):
        tuning.first_of(MOBILENET, name)


def test_an_empty_or_damaged_base_is_not_called_missing(tmp_path):
    (tmp_path / "base.keras").write_bytes(b"")
    with pytest.raises(ValueError, match=r"is not a \.keras file, or is damaged: its 0 bytes"):
        models.load_base(str(tmp_path / "base.keras"), 48)


def test_a_damaged_model_is_not_resumed(trained, tmp_path):
    models.check_whole(trained / "model.keras")
    whole = (trained / "model.keras").read_bytes()
    damaged = bytearray(whole)
    with zipfile.ZipFile(trained / "model.keras") as archive:
        weights = archive.getinfo("model.weights.h5")
    damaged[weights.header_offset + 2000] ^= 255
    path = tmp_path / "model.keras"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"is damaged: its part model\.weights\.h5"):
        models.check_whole(path)
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="does not say its class names"):
        models.check_whole(path)


def test_a_folder_describes_no_model_but_the_one_in_it(options, tmp_path, monkeypatch):
    """A new run that is interrupted before its first model leaves all of the run before."""
    said = ["run.json", "probabilities-validation.csv", "evaluation.html", "config.toml"]
    others = ["model.keras", "state.npz", "history.csv", "mine.csv"]
    for name in [*said, *others, "loggers.json"]:
        (tmp_path / name).write_text("old")
    seen = []

    def interrupted(*args, begun, describing, **more):
        output = args[3]
        output.mkdir(exist_ok=True)
        begun()
        seen.append({path.name for path in output.iterdir()})
        with describing():
            seen.append({path.name for path in output.iterdir()})
        seen.append({path.name for path in output.iterdir()})
        raise ValueError("interrupted")

    monkeypatch.setattr(training, "train", interrupted)
    assert training.run([*options, "--output", str(tmp_path)]) == 2
    assert seen == [{*said, *others}, {*others}, {*others, "config.toml"}]
    assert "epochs = 10" in (tmp_path / "config.toml").read_text("utf-8")
    assert training.run([*options, "--output", str(tmp_path / "first")]) == 2
    assert seen[3:] == [{"config.toml"}, set(), {"config.toml"}], "it resumes with --config, too"
    (tmp_path / "loggers.json").write_text("old")
    assert training.run([*options, "--output", str(tmp_path), "--resume"]) == 2
    assert (tmp_path / "loggers.json").exists()
    for command in (folds, find_rate):
        assert command.run([*options, "--output", str(tmp_path)]) == 2
    assert "epochs = 10" in (tmp_path / "config.toml").read_text("utf-8")


def test_a_missing_gpu_is_refused(options, capsys, monkeypatch):
    monkeypatch.setattr("reference.on_tensorflow.gpus", lambda: [])
    assert training.run([*options, "--device", "gpu"]) == 2
    assert re.search(r"finds no GPU.*--device auto", capsys.readouterr().err)


def test_torch_can_be_kept_from_the_gpu(monkeypatch):
    """A fake torch that finds a GPU stands in for the real one."""
    cuda = SimpleNamespace(device_count=lambda: 1, get_device_name=lambda index: "NVIDIA H100")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, __version__="2.11"))
    monkeypatch.delenv("KERAS_TORCH_DEVICE", raising=False)
    assert backend.devices("torch", "auto", False) == (("NVIDIA H100",), "torch 2.11")
    with pytest.raises(ValueError, match="set KERAS_TORCH_DEVICE=cpu"):
        backend.devices("torch", "cpu", False)
    monkeypatch.setenv("KERAS_TORCH_DEVICE", "cpu")
    for wanted in ("cpu", "auto"):
        assert backend.devices("torch", wanted, False) == ((), "torch 2.11")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "export"])
def test_float32_is_not_tf32(name, options, trained, clothes, tmp_path, eagerly):
    """This would matter on a GPU; without one, TensorFlow still keeps the setting."""
    config = pytest.importorskip("tensorflow").config.experimental
    config.enable_tensor_float_32_execution(True)
    path, output = str(trained / "model.keras"), ["--output", str(tmp_path)]
    told = {
        "train": [*options, "--epochs", "1", *output],
        "evaluate": [path, "--data", str(clothes), *output],
        "predict": [path, str(clothes / "test" / "hat")],
        "export": [path, *output],
    }
    assert importlib.import_module(f"reference.{name}").run(told[name]) == 0
    assert not config.tensor_float_32_execution_enabled()


@pytest.mark.slow
def test_float32_is_not_tf32_on_jax():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_default_matmul_precision
    try:
        importlib.import_module("reference.on_jax").make_exact()
        assert jax.config.jax_default_matmul_precision == "highest"
    finally:
        jax.config.update("jax_default_matmul_precision", before)


def test_a_machine_names_its_gpus():
    machine = replace(backend.default(), gpus=("NVIDIA H100", "NVIDIA H100", "NVIDIA T4"))
    assert ", 2 × NVIDIA H100 and NVIDIA T4, Pillow" in machine.describe()
    assert replace(machine, gpus=()).device == "CPU"


def test_a_likely_typo_of_299_is_asked_about(clothes, capsys):
    training.run(["--data", str(clothes), "--image-size", "229", "--base", "nothing"])
    assert "is 299, Xception's own size, meant?" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "batch_size", "words"),
    [
        (MemoryError(), 32, "try --batch-size 16"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes"), 64, "size 32"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 1, "Smaller photos"),
        (MemoryError(), None, "other programs"),
    ],
)
def test_out_of_memory_says_what_to_try(error, batch_size, words):
    assert words in console.out_of_memory(error, batch_size)


def test_other_errors_are_not_taken_for_out_of_memory():
    assert console.out_of_memory(ValueError("no memory of that photo"), 32) is None


def test_a_defect_keeps_its_traceback():
    parser = console.make_parser("train", "")

    def broken(options):
        raise ZeroDivisionError

    def stopped(options):
        raise KeyboardInterrupt

    with pytest.raises(ZeroDivisionError):
        console.main(parser, broken, [])
    assert console.main(parser, stopped, []) == 130


def test_old_versions_with_known_bugs_are_refused(monkeypatch):
    backend.check_versions()
    monkeypatch.setattr("PIL.__version__", "12.1.9")
    with pytest.raises(ImportError, match=r"pillow 12\.1\.9 .*pillow>=12\.2"):
        backend.check_versions()


# ---------------------------------------------------------------------------------------------
# data
# ---------------------------------------------------------------------------------------------


def test_data_counts_every_class_and_names_bad_photos(clothes, tmp_path, capsys):
    assert data.run(["--data", str(clothes)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"longsleeve +12 +6 +4", printed)
    assert re.search(r"all +120 +60 +40", printed)
    copy = shutil.copytree(clothes, tmp_path / "copy")
    bad = sorted((copy / "test" / "hat").iterdir())[0]
    bad.write_bytes(b"no")
    assert data.run(["--data", str(copy)]) == 2
    assert bad.name in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------
# train, evaluate
# ---------------------------------------------------------------------------------------------


def test_train_writes_what_it_says(trained):
    assert {path.name for path in trained.iterdir()} == {
        "calibration.png", "config.toml", "confused.csv", "confusion.png", "curves.png",
        "evaluation.json", "history.csv", "mistakes.png", "model.keras", "probabilities-test.csv",
        "probabilities-validation.csv", "report.txt", "run.json", "state.npz",
    }  # fmt: skip
    for name in ("confusion.png", "curves.png", "mistakes.png"):
        with Image.open(trained / name) as picture:
            assert min(picture.size) > 300
    told = json.loads((trained / "evaluation.json").read_text())
    rows = list(csv.DictReader((trained / "history.csv").open()))
    assert told["validation_accuracy"] == max(float(row["val_accuracy"]) for row in rows)
    assert np.sum(told["confusion"]) == 40
    assert np.trace(told["confusion"]) == round(40 * told["accuracy"])


@pytest.mark.slow
def test_without_test_photos_nothing_is_claimed(clothes, options, tmp_path, capsys):
    copy = shutil.copytree(clothes, tmp_path / "copy")
    shutil.rmtree(copy / "test")
    told = ["--data", str(copy), "--epochs", "1", "--output", str(tmp_path / "out")]
    assert training.run([*options, *told]) == 0
    assert "this model has not been tested" in capsys.readouterr().out
    assert not (tmp_path / "out" / "evaluation.json").exists()
    assert evaluate.run([str(tmp_path / "out" / "model.keras"), "--data", str(copy)]) == 2
    assert "--split validation" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bad_test_photo_is_named_before_training(clothes, options, tmp_path, capsys, eagerly):
    copy = shutil.copytree(clothes, tmp_path / "copy")
    bad = sorted((copy / "test" / "hat").iterdir())[0]
    bad.write_bytes(b"no photo")
    told = ["--data", str(copy), "--epochs", "1", "--output", str(tmp_path / "out")]
    assert training.run([*options, *told]) == 2
    assert bad.name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert training.run([*options, *told, "--skip-bad-images"]) == 0
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["photos"] == 39


def test_the_classes_of_another_data_set_are_refused(trained, clothes, tmp_path, capsys):
    copy = shutil.copytree(clothes, tmp_path / "copy")
    (copy / "test" / "hat").rename(copy / "test" / "cap")
    assert evaluate.run([str(trained / "model.keras"), "--data", str(copy)]) == 2
    err = capsys.readouterr().err
    assert "The model tells dress, hat" in err
    assert "cap" in err


def test_classes_in_another_order_are_matched_by_name(trained, clothes, capsys):
    saved, photos = models.load(trained / "model.keras"), data.find(clothes).test
    wanted = evaluate.evaluate(saved, photos)
    order = np.arange(10)[::-1]
    turned = Photos(
        "test", photos.paths, order[photos.labels], tuple(np.array(photos.class_names)[order])
    )
    found = evaluate.evaluate(saved, turned)
    assert found.accuracy == wanted.accuracy
    assert found.photos.class_names == wanted.photos.class_names
    assert "another order" in capsys.readouterr().out


def test_an_accuracy_as_good_as_in_validation_is_not_below_it():
    # Keras's accuracy is a float32, so 0.1 is 0.10000000149.
    p = np.eye(10)[[0] * 10]
    photos = Photos("test", ("x",) * 10, np.arange(10), tuple("abcdefghij"))
    assert "flatters" not in Judged(photos, p, float(np.float32(0.1))).summary()


def test_judgement_by_hand():
    found = judged()
    assert found.accuracy == 0.5
    assert found.confusion().tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 1]]
    assert found.mistakes() == [3, 1, 4]
    # F1 = 2 right / (2 right + missed + wrongly named): a 2/4, b 2/5, c 2/3
    assert found.macro_f1 == pytest.approx((2 / 4 + 2 / 5 + 2 / 3) / 3)
    assert found.loss == pytest.approx(-np.log([0.6, 0.2, 0.8, 1e-12, 0.1, 0.5]).mean())
    assert "0.400 below the best validation accuracy (0.900)" in found.summary()
    photos = replace(found.photos, class_names=("a\nb", "b", "c"))
    lines = replace(found, photos=photos).report().splitlines()
    assert sum(line.split()[:1] == ["a\\nb"] for line in lines) == 1, "a class is a line"


def test_the_interval_is_wilson_s():
    # (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), with z = 1.96, p = 0.9, n = 10
    z, p, n = 1.959964, 0.9, 10
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = evaluate.interval(0.9, 10)
    assert low == pytest.approx((p + z * z / (2 * n) - half) / (1 + z * z / n), abs=1e-6)
    assert high == pytest.approx((p + z * z / (2 * n) + half) / (1 + z * z / n), abs=1e-6)
    assert evaluate.interval(1.0, 10).high == 1.0


# ---------------------------------------------------------------------------------------------
# predict
# ---------------------------------------------------------------------------------------------


@pytest.fixture
def serve():
    """Return a function that starts a local server and returns its address."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_predict_takes_files_folders_and_addresses(trained, clothes, serve, capsys):
    address = serve(partial(Quiet, directory=str(clothes)))
    hats = sorted((clothes / "test" / "hat").iterdir())
    sources = [str(hats[0]), str(clothes / "test" / "hat"), f"{address}/test/hat/{hats[0].name}"]
    assert predict.run([str(trained / "model.keras"), *sources, "--json", "--top", "10"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["photo"] for line in lines] == [sources[0], *map(str, hats), sources[2]]
    assert lines[0]["classes"] == lines[1]["classes"] == lines[-1]["classes"]
    assert sum(lines[0]["classes"].values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_a_prediction_equals_the_evaluation(trained, clothes):
    """Photo by photo, the saved file gives the same probabilities as the evaluation."""
    saved, photos = models.load(trained / "model.keras"), data.find(clothes).validation
    together = evaluate.evaluate(saved, photos).p
    alone = [predict.predict(saved, [path])[0].p for path in photos.paths[:12]]
    np.testing.assert_allclose(alone, together[:12], rtol=0, atol=1e-5)


def test_minicnn_predicts_the_same_without_keras(trained, clothes, capsys):
    photo = str(sorted((clothes / "test" / "hat").iterdir())[0])
    assert predict.run([str(trained / "model.keras"), photo]) == 0
    theirs = capsys.readouterr().out
    assert minicnn.commands.main(["predict", str(trained / "model.keras"), photo]) == 0
    assert capsys.readouterr().out == theirs


@pytest.mark.slow
@pytest.mark.parametrize("reading", ["--course-compatible", "--antialias"])
def test_minicnn_reads_photos_as_the_model_learned_to(
    reading, options, clothes, tmp_path, capsys, eagerly
):
    told = [reading, "--epochs", "2", "--learning-rate", "0.05"]
    assert training.run([*options, *told, "--output", str(tmp_path)]) == 0
    capsys.readouterr()
    photo = str(sorted((clothes / "test" / "hat").iterdir())[0])
    assert predict.run([str(tmp_path / "model.keras"), photo, "--top", "10"]) == 0
    theirs = capsys.readouterr().out
    told = ["predict", str(tmp_path / "model.keras"), photo, "--top", "10"]
    assert minicnn.commands.main(told) == 0
    assert capsys.readouterr().out == theirs


def test_a_bad_photo_does_not_hide_the_others(trained, clothes, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    good = str(sorted((clothes / "test" / "hat").iterdir())[0])
    assert predict.run([str(trained / "model.keras"), str(tmp_path / "bad.jpg"), good]) == 2
    out, err = capsys.readouterr()
    assert good in out
    assert "bad.jpg" in err
    assert "1 of 2 photos could not be read" in err


class Awkward(BaseHTTPRequestHandler):
    """Serves pages that are not photos, never end, or redirect elsewhere."""

    def do_GET(self):
        if self.path == "/elsewhere.jpg":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        if self.path == "/inside.jpg":
            self.send_response(302)
            self.send_header("Location", "http://192.168.1.1/camera.jpg")
            self.end_headers()
            return
        if self.path == "/missing.jpg":
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(400):
                self.wfile.write(b"x" * (2**20 if self.path == "/huge.jpg" else 10))
                self.wfile.flush()
                time.sleep(0 if self.path == "/huge.jpg" else 0.05)
        except OSError:
            pass  # the client has closed the connection

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("missing.jpg", "404"),
        ("huge.jpg", "more than the 3000000 bytes"),
        ("slow.jpg", "took more than 0.5 seconds"),
        ("elsewhere.jpg", "is not allowed"),
        ("inside.jpg", "leads from the public network to 192.168.1.1"),
    ],
)
def test_an_address_that_gives_no_photo_says_why(trained, serve, monkeypatch, page, words, capsys):
    monkeypatch.setattr(predict, "LARGEST", 3_000_000)
    monkeypatch.setattr(predict, "SECONDS", 0.5)
    monkeypatch.setattr(
        "minicnn._support.addresses.is_private", lambda address: address != "127.0.0.1"
    )
    address = f"{serve(Awkward)}/{page}"
    assert predict.run([str(trained / "model.keras"), address]) == 2
    err = capsys.readouterr().err
    assert address in err
    assert words in err


@pytest.mark.parametrize("source", ["file:///etc/hostname", "ftp://example.org/a.jpg", "nowhere"])
def test_other_addresses_are_refused(trained, source, capsys):
    assert predict.run([str(trained / "model.keras"), source]) == 2
    assert source in capsys.readouterr().err
