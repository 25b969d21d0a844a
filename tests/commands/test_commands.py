"""What the command line prints, writes and returns, and how it fails, as a user sees it."""

import csv
import importlib.util
import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import Model, Sequential, commands, initializers, layers, utils
from minicnn._support import terminal
from minicnn.commands import demo
from minicnn.compiler import machine
from minicnn.models import load_model


def run(*arguments):
    return commands.main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Write train, validation and test folders of two classes that one pixel can tell apart."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("validation", 4), ("test", 4)):
        for name, bright in (("day", 150), ("night", 0)):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 100, (12, 10, 3)) + bright
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{i}.png")
    return folder


SMALL = ("--image-size", 8, "--filters", "4,4", "--batch-size", 8, "--learning-rate", 0.03)


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    assert run("train", "--data", photos, "--output", output, "--epochs", 8, *SMALL) == 0
    return output


@pytest.mark.slow
def test_train_writes_the_best_model_and_the_history(photos, trained):
    rows = list(csv.DictReader((trained / "history.csv").open()))
    assert [row["epoch"] for row in rows] == [str(i) for i in range(8)]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} < set(rows[0])
    model = load_model(trained / "model.keras")
    assert model.metadata["class_names"] == ["day", "night"]
    assert model.metadata["image_size"] == [8, 8]
    assert max(float(row["val_accuracy"]) for row in rows) == 1.0


@pytest.mark.slow
def test_train_prints_what_happened(photos, tmp_path, capsys):
    assert run("train", "--data", photos, "--output", tmp_path, "--epochs", 2, *SMALL) == 0
    printed = capsys.readouterr().out
    assert "(3·3·3+1)·4" in printed
    assert "Epoch 2/2" in printed
    assert "Best validation accuracy" in printed
    assert "Test, with that epoch's weights" in printed


def test_curves_are_drawn(trained):
    pytest.importorskip("matplotlib")
    with Image.open(trained / "curves.png") as picture:
        assert picture.width > 600


@pytest.mark.slow
def test_same_seed_same_model(photos, tmp_path):
    for name in ("a", "b"):
        arguments = ("--output", tmp_path / name, "--epochs", 2, "--seed", 3, "--augment")
        assert run("train", "--data", photos, *arguments, *SMALL, "--dropout", 0.2) == 0
    a, b = (load_model(tmp_path / name / "model.keras").get_weights() for name in ("a", "b"))
    for first, second in zip(a, b, strict=True):
        np.testing.assert_array_equal(first, second)


def test_predict(photos, trained, capsys):
    images = [photos / "test" / "night" / "0.png", photos / "test" / "day" / "1.png"]
    assert run("predict", trained / "model.keras", *images) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{images[0]}:"
    assert lines[1].split()[1] == "night"
    assert lines[4].split()[1] == "day"
    shares = [float(line.split("%")[0]) for line in lines[1:3]]
    assert abs(sum(shares) - 100) < 0.11
    assert run("predict", trained / "model.keras", images[0], "--top", 1) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_predict_prints_json_for_programs(photos, trained, capsys):
    image = photos / "test" / "night" / "0.png"
    assert run("predict", trained / "model.keras", image, "--top", 2) == 0
    wanted = re.findall(r"([\d.]+)%  (\S+)", capsys.readouterr().out)
    assert run("predict", trained / "model.keras", image, "--top", 2, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["photo"] == str(image)
    shown = [(f"{100 * p:.1f}", name) for name, p in found["classes"].items()]
    assert shown == wanted
    model = trained / "model.keras"
    assert_fails(capsys, "--plan prints a table", "predict", model, image, "--json", "--plan")


@pytest.mark.slow
def test_predict_draws_heat_maps(photos, trained, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    images = [photos / "test" / "night" / "0.png", photos / "test" / "day" / "1.png"]
    folder = tmp_path / "new" / "maps"
    assert run("predict", trained / "model.keras", *images, "--heatmaps", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[3], lines[7]] == [f"  heat maps: {folder / name}.png" for name in "01"]
    for name in ("0.png", "1.png"):
        with Image.open(folder / name) as picture:
            assert picture.width > 600
            assert np.asarray(picture.convert("L")).std() > 10
    same = [*images, photos / "test" / "day" / "0.png"]
    model = trained / "model.keras"
    assert_fails(capsys, "would be one file, 0.png", "predict", model, *same, "--heatmaps", folder)
    file = photos / "test" / "day" / "0.png"
    assert_fails(capsys, "cannot be a folder", "predict", model, file, "--heatmaps", file)


@pytest.mark.slow
def test_train_without_a_validation_folder(photos, tmp_path, capsys):
    data = photos / "train"
    arguments = ("--output", tmp_path, "--epochs", 1, "--head", "flatten", *SMALL)
    assert run("train", "--data", data, "--validation-split", 0.25, *arguments) == 0
    printed = capsys.readouterr().out
    assert "Using 18 files for training." in printed
    assert "Using 6 files for validation." in printed


@pytest.mark.slow
def test_demo(tmp_path, capsys, monkeypatch):
    from minicnn import datasets

    draw = datasets.write_clothing_sample

    def draw_fewer(folder, counts, **options):
        return draw(folder, {"train": 6, "validation": 2, "test": 2}, **options)

    monkeypatch.setattr(datasets, "write_clothing_sample", draw_fewer)
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "my demo"  # a shell would read this as two words
    assert run("demo", "--output", output, "--epochs", 1, "--page", output / "shown.html") == 0
    printed = capsys.readouterr().out
    assert "Test: accuracy" in printed
    shown = (output / "shown.html").read_text("utf-8")
    facts = json.loads(re.search(r'id="data">(.*?)</script>', shown)[1])
    assert [photo["name"] for photo in facts["photos"]] == [
        *("shirt-0000.jpg", "dress-0000.jpg", "shoes-0000.jpg"),
    ]
    assert facts["learning"]["obstacle"] is None
    demo.write_page(output / "model.keras", output / "clothes", output / "again.html")
    assert (output / "again.html").read_text("utf-8") == shown
    capsys.readouterr()
    assert {p.name for p in output.iterdir()} >= {
        "clothes",
        "model.keras",
        "history.csv",
    }
    # The commands it suggests next work as printed, each on its own line for a shell.
    lines = printed.partition("What to try next:")[2].splitlines()
    this = shlex.split(terminal.this_program())
    typed = [shlex.split(line) for line in lines if line.startswith("  ")]
    assert all(words[: len(this)] == this for words in typed)
    typed = [words[len(this) :] for words in typed]
    expected = ["explain", "lessons", "predict", "train"]
    if importlib.util.find_spec("keras") and importlib.util.find_spec("tensorflow"):
        expected.append("check")
    assert [words[0] for words in typed] == expected
    for words in typed:
        assert commands.make_parser().parse_args(words).command == words[0]
    for words in typed[:3]:
        assert commands.main(words) == 0
    assert "%" in capsys.readouterr().out
    assert (output / "page.html").exists()
    assert Path(typed[3][2]).is_dir()  # train --data DIR
    assert {path.name for path in tmp_path.iterdir()} == {"my demo"}  # nothing is elsewhere


def test_check_is_a_next_step_only_where_keras_is(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    steps = demo.next_steps(tmp_path, tmp_path, tmp_path)
    assert [name for name in ("check", "explain") if any(f" {name} " in c for _, c in steps)] == [
        "explain"
    ]


@pytest.mark.slow
@pytest.mark.keras
def test_check_one_layer(capsys):
    pytest.importorskip("keras")
    assert run("check", "ReLU") == 0
    assert "ReLU" in capsys.readouterr().out


def test_check_without_keras_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "keras", None)
    assert run("check") == 2
    assert terminal.install_extra("keras") in capsys.readouterr().err


@pytest.mark.keras
def test_check_of_an_unknown_layer(capsys):
    pytest.importorskip("keras")
    assert run("check", "Conv7D") == 2
    error = capsys.readouterr().err
    assert "Conv7D" in error
    assert "Conv2D" in error


# ---------------------------------------------------------------------------------------------
# One sentence and exit code 2
# ---------------------------------------------------------------------------------------------


def assert_fails(capsys, sentence, *arguments):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_no_data(tmp_path, capsys):
    assert_fails(capsys, "no folder", "train", "--data", tmp_path / "nowhere")
    (tmp_path / "data" / "train").mkdir(parents=True)
    assert_fails(capsys, "no validation folder", "train", "--data", tmp_path / "data")
    (tmp_path / "data" / "validation").mkdir(parents=True)
    assert_fails(capsys, "at least 2", "train", "--data", tmp_path / "data")


@pytest.mark.parametrize("command", ["demo", "train", "transfer"])
@pytest.mark.parametrize("below", ["", "run"])
def test_an_output_that_cannot_be_a_folder_is_refused_before_photos_are_read(
    photos, tmp_path, capsys, command, below
):
    (tmp_path / "file").touch()
    broken = tmp_path / "data" / "train" / "day" / "broken.png"
    broken.parent.mkdir(parents=True)
    broken.touch()
    data = () if command == "demo" else ("--data", tmp_path / "data")
    output = tmp_path / "file" / below
    said = f"{command}: '{output}' cannot be a folder: there is a file"
    assert_fails(capsys, said, command, *data, "--output", output)


def test_class_folders_that_differ(photos, tmp_path, capsys):
    for split, names in (("train", ("a", "b")), ("validation", ("a", "c"))):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(tmp_path / split / name / "0.png")
    assert_fails(capsys, "differ", "train", "--data", tmp_path)


def test_photos_too_small_for_the_network(photos, tmp_path, capsys):
    arguments = ("--data", photos, "--image-size", 4, "--output", tmp_path / "run")
    assert_fails(capsys, "at least 8 pixels", "train", *arguments)
    assert not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.slow
def test_a_bad_photo_is_named_or_skipped(photos, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(photos, data)
    (data / "train" / "day" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    arguments = ("--data", data, "--epochs", 1, "--output", tmp_path / "run", *SMALL)
    assert_fails(capsys, "broken.png' is", "train", *arguments)
    assert_fails(capsys, "Pass --skip-bad-images to leave it out.", "train", *arguments)
    assert not (tmp_path / "run" / "model.keras").exists()
    with pytest.warns(UserWarning, match="Skipped 1 bad photo"):
        assert run("train", *arguments, "--skip-bad-images") == 0


@pytest.mark.slow
def test_a_class_without_a_photo_is_named(photos, tmp_path, capsys):
    data = shutil.copytree(photos, tmp_path / "data")
    day = data / "train" / "day"
    for path in day.iterdir():
        path.rename(path.with_suffix(".heic"))
    arguments = ("--data", data, "--epochs", 1, "--output", tmp_path / "run", *SMALL)
    for command in ("train", "transfer"):
        shown = arguments if command == "train" else arguments[:6]
        assert_fails(capsys, "'day' (in its folder: 12 .heic)", command, *shown)
    for number, path in enumerate(sorted(day.iterdir())):  # train reads all that predict reads
        path.rename(path.with_suffix((".webp", ".jfif", ".tif", ".PNG")[number % 4]))
    (day / "notes.txt").touch()
    assert run("train", *arguments) == 0
    assert "  day: 12 used, passed over 1 .txt." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dropout", "1.5"], "rate"),
        (["--validation-split", "2"], "validation_split"),
    ],
)
def test_values_out_of_range(photos, tmp_path, capsys, arguments, sentence):
    where = ("--data", photos, "--output", tmp_path, "--image-size", 8, "--filters", "2")
    assert_fails(capsys, sentence, "train", *where, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "--data", "x", "--epochs", "0"],
        ["train", "--data", "x", "--filters", "a,b"],
        ["train", "--data", "x", "--seed", "-1"],
        ["train", "--data", "x", "--learning-rate", "-1"],
        ["train", "--data", "x", "--learning-rate", "nan"],
        ["train", "--data", "x", "--learning-rate", "fast"],
        ["train", "--data", "x", "--dropout", "inf"],
        ["transfer", "--data", "x", "--learning-rate", "1e-3,-1"],
        ["transfer", "--data", "x", "--dropout", "nan"],
        ["predict", "model.keras"],
        ["explain", "model.keras"],
        ["dance"],
        ["predict", "m.keras", "https://example.com/a.jpg"],
        ["predict", "s3://bucket/m.keras", "a.jpg"],
        ["explain", "m.keras", "file:///a.jpg"],
        ["train", "--data", "https://example.com/photos"],
        ["transfer", "--data", "x", "--base", "https://example.com/base.keras"],
        ["train", "--data", ""],
        ["train", "--data", "x", "--output", ""],
        ["demo", "--page", ""],
        ["explain", "m.keras", "a.jpg", "--output", ""],
        ["predict", "m.keras", "a.jpg", "--heatmaps", ""],
        ["compile", "m.keras", "--output", ""],
    ],
)
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    assert "usage: minicnn" in capsys.readouterr().err


def test_an_address_is_refused_with_advice_how_to_get_a_file(capsys):
    address = "https://example.com/a photo.jpg"
    with pytest.raises(SystemExit):
        run("predict", "m.keras", address)
    assert f"curl -LO '{address}'" in capsys.readouterr().err


def test_names_from_files_do_not_command_the_terminal(photos, trained, tmp_path, capsys):
    image = tmp_path / "a\x1b]0;title\x07\n.png"
    image.write_bytes((photos / "test" / "day" / "0.png").read_bytes())
    model = load_model(trained / "model.keras")
    model.metadata["class_names"] = ["day\x1b[2J\nforged", "\u202enight\x9b"]
    model.save(tmp_path / "m.keras")
    assert run("predict", tmp_path / "m.keras", image, "--plan") == 0
    printed = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", printed)
    assert r"day\x1b[2J\nforged" in printed
    assert r"\u202enight\x9b" in printed
    assert r"a\x1b]0;title\x07\n.png:" in printed


def test_predict_with_bad_files(photos, trained, tmp_path, capsys):
    image = photos / "test" / "day" / "0.png"
    model = trained / "model.keras"
    assert_fails(capsys, "none.keras", "predict", tmp_path / "none.keras", image)
    none = tmp_path / "none.png"
    assert_fails(capsys, f"minicnn predict: There is no photo '{none}'.", "predict", model, none)
    assert_fails(capsys, f"'{tmp_path}' is a folder; name", "predict", model, image, tmp_path)
    (tmp_path / "text.png").write_text("no photo")
    assert_fails(capsys, "text.png", "predict", model, tmp_path / "text.png")
    (tmp_path / "half.keras").write_bytes(model.read_bytes()[:500])
    assert_fails(capsys, "half.keras", "predict", tmp_path / "half.keras", image)


def test_explain_writes_a_page(photos, trained, tmp_path, capsys):
    image, page = photos / "test" / "night" / "1.png", tmp_path / "page.html"
    assert run("explain", trained / "model.keras", image, "-o", page) == 0
    assert f"Wrote {page} (" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    facts = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert facts["classes"] == ["day", "night"]
    assert [node["type"] for node in facts["nodes"]][:3] == ["InputLayer", "Rescaling", "Conv2D"]
    assert run("explain", trained / "model.keras", image, "-o", page, "--class", "day") == 0
    text = page.read_text(encoding="utf-8")
    assert json.loads(text.split('id="data">')[1].split("</script>")[0])["target"] == 0
    others = [photos / "test" / "day" / f"{number}.png" for number in (0, 1)]
    assert run("explain", trained / "model.keras", image, *others, "-o", page) == 0
    facts = json.loads(page.read_text("utf-8").split('id="data">')[1].split("</script>")[0])
    assert [photo["name"] for photo in facts["photos"]] == ["1.png", "0.png", "1.png"]
    title = {"key": "title.looks_at_more", "model": "model.keras", "photo": "1.png", "n": 2}
    assert facts["title"] == title


def test_an_output_does_not_replace_what_the_command_reads(photos, trained, base, tmp_path, capsys):
    for name in ("model.keras", "other.keras", "epoch_1.keras"):
        (tmp_path / "runs").mkdir(exist_ok=True)
        shutil.copyfile(trained / "model.keras", tmp_path / "runs" / name)
    model, other, epoch = sorted(
        (tmp_path / "runs").iterdir(), key=lambda p: "moe".index(p.name[0])
    )
    shutil.copytree(photos / "test", tmp_path / "test")
    photo, second = (tmp_path / "test" / "day" / name for name in ("0.png", "1.png"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    told = ("explain", model, photo, second)
    (tmp_path / "link.html").symlink_to(other)
    for output, *more in (
        (model,),
        (second,),
        (photo.parent / ".." / "day" / "0.png",),
        (other, "--against", other),
        (tmp_path / "link.html", "--against", other),
        (epoch, "--checkpoints", epoch),
        (epoch, "--checkpoints", tmp_path / "runs"),
        (tmp_path / "test" / "night" / "1.png", "--data", tmp_path / "test"),
    ):
        assert_fails(capsys, "would replace", *told, "-o", output, *more)
    assert_fails(capsys, "would replace", "predict", model, photo, "--heatmaps", photo.parent)
    for name in ("model.keras", "history.csv", "clothes"):
        output = tmp_path / "demo"
        assert_fails(capsys, "would replace", "demo", "--output", output, "--page", output / name)
    assert not (tmp_path / "demo" / "clothes").exists()
    shutil.copyfile(base, tmp_path / "runs" / "model.keras")
    before[model] = base.read_bytes()
    assert transfer(photos, model, tmp_path / "runs") == 2
    assert "would replace" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in before}


def test_explain_shows_the_output_and_the_number_that_were_asked_for(photos, tmp_path):
    inputs = layers.Input((8, 8, 3))
    maps = layers.Conv2D(2, 3, name="maps")(inputs)
    score = layers.Dense(2, name="score")(layers.Flatten()(maps))
    Model(inputs, [score, maps]).save(tmp_path / "two.keras")
    page = tmp_path / "page.html"
    given = ("explain", tmp_path / "two.keras", photos / "test" / "day" / "0.png", "-o", page)
    assert run(*given, "--head", "maps", "--class", "4,1,0") == 0
    facts = json.loads(page.read_text("utf-8").split('id="data">')[1].split("</script>")[0])
    assert facts["nodes"][facts["output"]]["name"] == "maps"
    assert facts["target"] == (4 * 6 + 1) * 2


def test_explain_with_bad_files(photos, trained, tmp_path, capsys):
    image, model, page = photos / "test" / "day" / "0.png", trained / "model.keras", tmp_path / "p"
    out = ("-o", page)
    none = tmp_path / "none.png"
    assert_fails(capsys, f"minicnn explain: There is no photo '{none}'.", "explain", model, none)
    assert_fails(capsys, f"'{tmp_path}' is a folder", "explain", model, tmp_path, *out)
    assert_fails(capsys, "none.keras", "explain", tmp_path / "none.keras", image, *out)
    (tmp_path / "text.png").write_text("no photo")
    assert_fails(capsys, "text.png", "explain", model, tmp_path / "text.png", *out)
    assert_fails(capsys, "no class 'noon'", "explain", model, image, *out, "--class", "noon")
    # The page's path is checked first, since a model's kernels may take seconds to compile.
    none = tmp_path / "none.keras"
    assert_fails(capsys, "does not exist", "explain", none, image, "-o", page / "page.html")
    assert_fails(capsys, "is a folder or", "explain", none, image, "-o", tmp_path)
    Sequential([layers.Input((4,)), layers.Dense(2)]).save(tmp_path / "flat.keras")
    assert_fails(capsys, "not take one image", "explain", tmp_path / "flat.keras", image, *out)
    any_size = Sequential([layers.Input((None, None, 3)), layers.GlobalMaxPooling2D()])
    any_size.save(tmp_path / "any.keras")
    assert_fails(capsys, "--image-size", "explain", tmp_path / "any.keras", image, *out)
    assert run("explain", tmp_path / "any.keras", image, *out, "--image-size", 9) == 0
    broken = load_model(model)
    broken.layers[-1].kernel.value[:] = np.nan
    broken.save(tmp_path / "broken.keras")
    assert_fails(capsys, "has NaN or infinite", "explain", tmp_path / "broken.keras", image, *out)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "antialias"])
def test_a_photo_is_read_in_the_colours_that_the_model_takes(
    channels, mode, interpolation, tmp_path, capsys
):
    model = Sequential(
        [layers.Input((9, 9, channels)), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    model.metadata = {"class_names": ["2", "1"], "interpolation": interpolation}
    model.save(tmp_path / "m.keras")
    Image.new(mode, (12, 7)).save(tmp_path / "a.png")
    assert run("predict", tmp_path / "m.keras", tmp_path / "a.png") == 0
    if channels < 4:  # a page shows only grey or colour photos
        explained = ("explain", tmp_path / "m.keras", tmp_path / "a.png", "-o", tmp_path / "p.html")
        assert run(*explained) == 0
        assert run(*explained, "--class", "1") == 0  # the class's name, not its number
        assert_fails(capsys, "There is no class '²'", *explained, "--class", "²")


def test_a_size_that_the_model_does_not_take_is_refused(photos, trained, capsys):
    image, model = photos / "test" / "day" / "0.png", trained / "model.keras"
    for command in ("predict", "explain"):
        said = "takes photos of 8×8 pixels. Received an image size of 9×9."
        assert_fails(capsys, said, command, model, image, "--image-size", 9)


def test_predict_with_a_model_that_names_no_classes(photos, trained, tmp_path, capsys):
    source, target = io.BytesIO((trained / "model.keras").read_bytes()), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "metadata.json":
                data = json.dumps({"keras_version": "3.0.0"}).encode()
            new.writestr(name, data)
    (tmp_path / "anonymous.keras").write_bytes(target.getvalue())
    image = photos / "test" / "day" / "0.png"
    assert_fails(capsys, "class names", "predict", tmp_path / "anonymous.keras", image)


def test_an_interrupt_keeps_the_best_model_so_far(photos, tmp_path, capsys, monkeypatch):
    from minicnn.callbacks import CSVLogger

    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(CSVLogger, "on_epoch_end", interrupt)
    assert run("train", "--data", photos, "--output", tmp_path, "--epochs", 3, *SMALL) == 130
    caught = capsys.readouterr()
    assert "interrupted" in caught.err
    assert "best model so far" in caught.out
    assert load_model(tmp_path / "model.keras").metadata["class_names"] == ["day", "night"]


COMMANDS = [command.__name__.rpartition(".")[2] for command in commands.COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command, monkeypatch):
    """A terminal may be narrow; only a file of photos says all in its name."""
    monkeypatch.setenv("COLUMNS", "60")
    commands_of = next(
        action for action in commands.make_parser()._actions if action.dest == "command"
    )
    parser = commands_of.choices[command]
    assert parser.format_help().startswith(f"usage: minicnn {command}")
    assert [action.dest for action in parser._actions if not action.help] in ([], ["images"])


def test_minicnn_alone_prints_its_help(capsys):
    assert run() == 2  # a script forgot to say what it wants
    printed = capsys.readouterr().err
    assert printed.startswith("usage: minicnn")
    assert all(f"    {command} " in printed for command in COMMANDS)


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        run("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"minicnn {minicnn.__version__}\n"


# -- transfer --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Write an untrained base: a convolution for images of any size."""
    utils.set_random_seed(0)
    inputs = layers.Input((None, None, 3))
    x = layers.BatchNormalization()(layers.Conv2D(6, 3)(inputs))
    path = tmp_path_factory.mktemp("base") / "base.keras"
    Model(inputs, layers.ReLU()(x), name="base").save(path)
    return path


def transfer(photos, base, output, *more):
    small = ("--image-size", 8, "--batch-size", 8, "--epochs", 3)
    return run("transfer", "--data", photos, "--base", base, "--output", output, *small, *more)


@pytest.mark.slow
def test_transfer_teaches_the_head_and_leaves_the_base(photos, base, tmp_path, capsys):
    assert transfer(photos, base, tmp_path, "--learning-rate", 0.1) == 0
    printed = capsys.readouterr().out
    assert "Run 1 of 1: learning rate 0.1" in printed
    assert (
        "Computed once, because they do not learn: rescaling … global_average_pooling2d" in printed
    )
    assert "Test: accuracy 1.000" in printed
    model = load_model(tmp_path / "model.keras")
    assert model.metadata["class_names"] == ["day", "night"]
    for found, wanted in zip(model.get_layer("base").get_weights(), load_model(base).get_weights()):
        np.testing.assert_array_equal(found, wanted)
    assert [w.name for w in model.trainable_weights] == ["kernel", "bias"]


@pytest.mark.slow
def test_transfer_tries_every_combination(photos, base, tmp_path, capsys):
    rates = ("--learning-rate", "1e-9,0.1", "--inner", "0,5", "--dropout", "0.5")
    assert transfer(photos, base, tmp_path, *rates) == 0
    printed = capsys.readouterr().out
    assert "Run 4 of 4: learning rate 0.1, inner 5, dropout 0.5" in printed
    rows = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert len(rows) == 4 * 3
    assert {(row["learning_rate"], row["inner"], row["dropout"]) for row in rows} == {
        (rate, inner, "0.5") for rate in ("1e-09", "0.1") for inner in ("0", "5")
    }
    pictures = ["curves.png"] if importlib.util.find_spec("matplotlib") else []
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *pictures,
        "lr-0.1-inner-0-drop-0.5.keras",
        "lr-0.1-inner-5-drop-0.5.keras",
        "lr-1e-09-inner-0-drop-0.5.keras",
        "lr-1e-09-inner-5-drop-0.5.keras",
        "model.keras",
        "runs.csv",
    ]
    inner = load_model(tmp_path / "lr-0.1-inner-5-drop-0.5.keras")
    assert [type(layer).__name__ for layer in inner.layers[-3:]] == ["Dense", "Dropout", "Dense"]
    # If several runs in the table are best, the first of them wins.
    table = printed.partition("Best validation accuracy of each run:\n")[2].split("\n\n")[0]
    results = [line.strip().split("  ") for line in table.splitlines()]
    winner = max(results, key=lambda result: float(result[0]))[1]
    assert f"model.keras ({winner})" in printed
    for name in pictures:
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 1000


@pytest.mark.slow
def test_transfer_with_augmentation_computes_the_base_each_time(photos, base, tmp_path, capsys):
    assert transfer(photos, base, tmp_path, "--augment") == 0
    found = capsys.readouterr().out
    assert "Computed once, for all validations: rescaling … global_average_pooling2d" in found
    assert found.count("Computed once") == 1, "training sees other photos in each epoch"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--base", "resnet"), "The base is one of xception, mobilenet, mobilenet_v2, "),
        (("--image-size", 2), "Conv2D"),
        (("--dropout", "1.5"), "rate in [0, 1]"),
    ],
)
def test_transfer_says_what_is_wrong(photos, base, tmp_path, capsys, more, sentence):
    assert transfer(photos, base, tmp_path / "out", *more) == 2
    assert sentence in capsys.readouterr().err


def test_transfer_wants_features_from_a_base(photos, trained, tmp_path, capsys):
    assert transfer(photos, trained / "model.keras", tmp_path / "out") == 2
    assert "cannot be a base: a base ends in features" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [("--learning-rate", "a,b"), ("--learning-rate", "1,-1"), ("--inner", "1.5")]
)
def test_transfer_usage_errors(options, capsys):
    with pytest.raises(SystemExit):
        run("transfer", "--data", "x", *options)
    assert "separated by commas" in capsys.readouterr().err


# -- predict with a model that holds no metadata ---------------------------------------------------


def test_predict_with_a_model_that_only_has_what_keras_writes(photos, tmp_path, capsys):
    """The class names, image size and input range come from the command line."""
    inputs = layers.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(inputs)
    model = Model(inputs, layers.Dense(2, activation="softmax")(x))
    model.set_weights([np.array([[9.0, -9.0]] * 3), np.zeros(2)])  # the classes are bright and dark
    model.save(tmp_path / "m.keras")
    photo = photos / "test" / "day" / "0.png"
    options = ("--classes", "day,night", "--image-size", 8, "--input-range", "signed", "--plan")
    assert run("predict", tmp_path / "m.keras", photo, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Inference plan of")
    assert lines[-2].endswith("day")
    assert run("predict", tmp_path / "m.keras", photo, "--classes", "a,b,c", *options[2:]) == 2
    assert "distinguishes 2 classes. Received 3 names" in capsys.readouterr().err
    assert run("predict", tmp_path / "m.keras", photo) == 2
    assert "pass --classes and --image-size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("units", "activation", "wanted"),
    [
        (1, "sigmoid", {"night": 0.8, "day": 0.2}),  # of two classes, one unit is for the second
        (1, None, {"night": 0.8, "day": 0.2}),
        (1, "softmax", {"night": 1, "day": 0}),  # of one unit it is always 1
        (2, "sigmoid", {"day": 0.8, "night": 0.8}),  # a photo may show both
        (2, None, {"day": 0.5, "night": 0.5}),
    ],
)
def test_predict_with_one_unit_for_two_classes_and_with_sigmoids(
    units, activation, wanted, tmp_path, capsys
):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    model = Sequential(
        [
            *(layers.Input((8, 8, 3)), layers.GlobalAveragePooling2D()),
            layers.Dense(units, activation, bias_initializer=initializers.Constant(np.log(4))),
        ]
    )
    model.save(tmp_path / "m.keras")
    options = ("--classes", "day,night", "--image-size", 8, "--input-range", "pixels", "--json")
    assert run("predict", tmp_path / "m.keras", tmp_path / "photo.png", *options) == 0
    told = json.loads(capsys.readouterr().out)["classes"]
    assert list(told) == list(wanted)
    assert told == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_a_model_of_no_single_image_ends_in_one_sentence(tmp_path, command, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    start = layers.Input((8, 8, 3))
    both = layers.Add()([start, other := layers.Input((8, 8, 3))])
    for number, model in enumerate(
        [Sequential([layers.Input((4,)), layers.Dense(2)]), Model([start, other], both)]
    ):
        model.metadata = {"class_names": ["day", "night"], "image_size": [8, 8]}
        model.save(path := tmp_path / f"{number}.keras")
        assert run(command, path, tmp_path / "photo.png") == 2
        told = capsys.readouterr().err
        assert "does not take one image, (batch, height, width, channels): its input is" in told
        assert str(model.input_shape) in told


@pytest.mark.parametrize(
    ("side", "last", "shape"),
    [(8, layers.Conv2D(2, 3), "(None, 6, 6, 2)"), (None, layers.Flatten(), "(None, None)")],
)
def test_predict_refuses_maps_and_any_number_of_scores(side, last, shape, tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    model = Sequential([layers.Input((side, side, 3)), last])
    model.metadata = {"class_names": ["day", "night"], "image_size": [8, 8]}
    model.save(tmp_path / "maps.keras")
    assert run("predict", tmp_path / "maps.keras", tmp_path / "photo.png") == 2
    assert f"its output is {shape}." in capsys.readouterr().err


def test_memory_that_runs_out_ends_in_a_sentence(photos, tmp_path, capsys, monkeypatch):
    def decode(self):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    arguments = ("--data", photos, "--output", tmp_path, *SMALL)
    assert_fails(capsys, "there is not enough memory for its pixels", "train", *arguments)
    monkeypatch.setattr("minicnn.images.image_dataset_from_directory", lambda *a, **k: decode(0))
    assert_fails(capsys, "minicnn train: Out of memory", "train", *arguments)


USE_COMPILED = """
import sys
import numpy as np
import minicnn
from minicnn import compilation
from minicnn.compiler import machine
model = minicnn.saving.load_model(sys.argv[1], compile=False)
for count in (1, 32):
    for _ in range(3):
        model.predict(np.zeros((count, 20, 20, 3), np.float32), batch_size=count, verbose=0)
print(compilation.count, machine.processor().name)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="levels of x86-64")
def test_kernels_compiled_in_advance(tmp_path: Path) -> None:
    """They are for another processor, in a folder of its name; a process using it compiles none."""
    model, folder = tmp_path / "model.keras", tmp_path / "kernels"
    net = Sequential(
        [
            layers.Input((20, 20, 3)),
            layers.Conv2D(9, 3, strides=2, activation="relu"),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    net.save(model)
    command = [sys.executable, "-m", "minicnn", "compile", str(model)]
    command += ["--cpu", "x86-64-v2", "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert f"MINICNN_CACHE_DIR={folder}" in done.stdout
    used = subprocess.run(
        [sys.executable, "-c", USE_COMPILED, str(model)],
        env={**os.environ, "MINICNN_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert used.stdout.split() == ["0", "x86-64-v2"], used.stderr


def test_compile_refuses_a_processor_that_can_do_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "missing", lambda level: ["avx512f"])
    assert commands.main(["compile", "--cpu", "x86-64-v4"]) == 2
    assert "lacks: avx512f" in capsys.readouterr().err


@pytest.mark.slow
def test_compile_says_which_file_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "minicnn", "compile", str(tmp_path / "missing.keras")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"minicnn compile: No model file at '.*missing\.keras'\.\n", done.stderr)


def test_compile_knows_the_levels_of_processors(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        commands.main(["compile", "--cpu", "i386"])
    error = capsys.readouterr().err
    assert re.findall(r"x86-64[-v\d]*", error.partition("choose from")[2]) == [*machine.LEVELS]
