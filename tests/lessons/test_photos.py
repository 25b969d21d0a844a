"""The lessons run with photos in place of the drawn clothes, and say what changes."""

import functools
import json
import re

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import commands, layers, lessons
from minicnn.lessons import checking
from minicnn.lessons.photos import CHANGES, WITH_BASE, Photos, copy_photos

KINDS = minicnn.datasets.CLOTHING_CLASSES


def shade(split, number):
    """Return the grey of a photo, by which a test recognizes it."""
    return {"train": 100, "validation": 150, "test": 200}[split] + number


def write_photos(folder, counts, size=(12, 10)):
    for split, count in counts.items():
        for kind in KINDS:
            (folder / split / kind).mkdir(parents=True)
            for number in range(count):
                photo = Image.new("RGB", size, (shade(split, number),) * 3)
                photo.save(folder / split / kind / f"{number:02d}-{split}.png")
    return folder


def shades(folder):
    return [int(np.asarray(Image.open(path))[0, 0, 0]) for path in sorted(folder.iterdir())]


def test_the_first_photos_are_copied_in_the_size_of_the_lesson(tmp_path):
    data = write_photos(tmp_path / "photos", {"train": 5, "validation": 3, "test": 2})
    made = copy_photos(data, tmp_path / "copy", {"train": 2, "validation": 1, "test": 1}, (6, 8))
    assert made == tmp_path / "copy"
    names = [path.name for path in sorted((made / "train" / "hat").iterdir())]
    assert names == ["hat-0000.jpg", "hat-0001.jpg"]
    assert Image.open(made / "train" / "hat" / names[0]).size == (8, 6)  # Pillow: width first
    for kind in KINDS:
        assert shades(made / "train" / kind) == [shade("train", 0), shade("train", 1)]
        assert shades(made / "validation" / kind) == [shade("validation", 0)]
        assert shades(made / "test" / kind) == [shade("test", 0)]


def test_what_a_split_lacks_comes_from_the_end_of_train_and_no_photo_is_used_twice(tmp_path):
    data = write_photos(tmp_path / "photos", {"train": 6, "validation": 1})
    counts = {"train": 2, "validation": 2, "test": 2}
    made = copy_photos(data, tmp_path / "copy", counts, (8, 8))
    assert shades(made / "train" / "hat") == [shade("train", 0), shade("train", 1)]
    assert shades(made / "validation" / "hat") == [shade("validation", 0), shade("train", 5)]
    assert shades(made / "test" / "hat") == [shade("train", 4), shade("train", 3)]


def test_a_damaged_photo_is_left_out_and_named(tmp_path, capsys):
    data = write_photos(tmp_path / "photos", {"train": 3})
    (data / "train" / "hat" / "00-train.png").write_bytes(b"no image")
    (data / "train" / "hat" / "notes.txt").write_text("no photo")
    made = copy_photos(data, tmp_path / "copy", {"train": 2}, (8, 8))
    assert shades(made / "train" / "hat") == [shade("train", 1), shade("train", 2)]
    said = capsys.readouterr().out
    assert "Left out: " in said
    assert "00-train.png" in said
    assert said.count("\n") == 1


def test_a_link_to_nothing_and_a_folder_are_left_out_and_named(tmp_path, capsys):
    data = write_photos(tmp_path / "photos", {"train": 2})
    (data / "train" / "hat" / "00-a.jpg").mkdir()
    (data / "train" / "hat" / "00-b.jpg").symlink_to(tmp_path / "gone.jpg")
    made = copy_photos(data, tmp_path / "copy", {"train": 2}, (8, 8))
    assert shades(made / "train" / "hat") == [shade("train", 0), shade("train", 1)]
    first, second = capsys.readouterr().out.splitlines()
    assert "00-a.jpg' is a folder" in first
    assert "00-b.jpg'. It is a link to nothing." in second


def test_a_copy_is_used_again_and_another_folder_is_left_alone(tmp_path):
    data = write_photos(tmp_path / "photos", {"train": 1})
    made = copy_photos(data, tmp_path / "copy", {"train": 1}, (8, 8))
    before = (made / "train" / "hat" / "hat-0000.jpg").stat().st_mtime_ns
    copy_photos(data, tmp_path / "copy", {"train": 1}, (8, 8))
    assert (made / "train" / "hat" / "hat-0000.jpg").stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match="holds something else than a copy of"):
        copy_photos(data, tmp_path / "copy", {"train": 1}, (9, 9))


def test_too_few_photos_are_refused_and_nothing_is_left_behind(tmp_path):
    data = write_photos(tmp_path / "photos", {"train": 3})
    with pytest.raises(ValueError, match=r"expect 4 photos of each kind .* Received 3 of 'dress'"):
        copy_photos(data, tmp_path / "copy", {"train": 2, "test": 2}, (8, 8))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_lesson_says_what_changes(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    data = write_photos(tmp_path / "photos", {"train": 1})
    lesson = lessons.Lesson(5, data=data)
    said = capsys.readouterr().out
    assert str(data) in said
    assert CHANGES[5] in said
    assert lesson.data == data.resolve()
    (data / "train" / "hat" / "00-train.png").unlink()
    (data / "train" / "hat").rmdir()
    with pytest.raises(FileNotFoundError, match="has no folder train/hat"):
        lessons.Lesson(5, data=data)


def test_every_lesson_with_images_takes_photos(tmp_path):
    data = write_photos(tmp_path / "photos", {"train": 1})
    for script in lessons.scripts():
        if not script.takes_photos:
            with pytest.raises(ValueError, match=rf"Lesson {script.number} does not use"):
                lessons.with_photos(script, data)
            continue
        text = "\n".join(cell.text for cell in lessons.with_photos(script, data).cells)
        assert text.count(f"Lesson({script.number}, data={str(data.resolve())!r})") == 1
    assert {5, 6, 7, 8, 12, 13} <= {s.number for s in lessons.scripts() if s.takes_photos}
    assert list(CHANGES) == [s.number for s in lessons.scripts() if s.takes_photos]
    assert list(WITH_BASE) == [s.number for s in lessons.scripts() if s.takes_base]
    assert not lessons.homework().takes_photos


def test_the_notebooks_take_photos_and_a_base(base, tmp_path, capsys):
    data = write_photos(tmp_path / "photos", {"train": 1})
    where = str(tmp_path / "notebooks")
    options = ["--data", str(data), "--base", str(base)]
    assert commands.main(["lessons", "--notebooks", where, *options]) == 0
    assert "Wrote" in capsys.readouterr().out
    for script in lessons.scripts():
        book = json.loads((tmp_path / "notebooks" / f"{script.path.stem}.ipynb").read_text("utf-8"))
        text = "".join("".join(cell["source"]) for cell in book["cells"])
        assert (f"data={str(data.resolve())!r}" in text) == script.takes_photos
        assert (f"base={str(base.resolve())!r}" in text) == script.takes_base


@pytest.fixture
def base(tmp_path):
    """Return the file of a small base for images of any size: 5 feature maps."""
    minicnn.utils.set_random_seed(0)
    inputs = layers.Input((None, None, 3))
    path = tmp_path / "base.keras"
    minicnn.Model(inputs, layers.Conv2D(5, 3, strides=40, activation="relu")(inputs)).save(path)
    return path


@pytest.mark.parametrize("name", ["file", "efficientnetb0"])
def test_a_base_becomes_a_network_with_the_names_of_lesson_3_s(name, base, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    data = write_photos(tmp_path / "photos", {"train": 1})
    made = minicnn.models.load_model(base)
    monkeypatch.setattr("minicnn.applications.transfer.load_base", lambda base, size: made)
    lesson = lessons.Lesson(5, data=data, base=base if name == "file" else name)
    assert lesson.size == 150
    network = lesson.network()
    assert network.input_shape == (None, 150, 150, 3)
    assert network.metadata["class_names"] == list(lessons.KNOWN)
    assert not network.trainable_weights
    x = np.random.default_rng(0).uniform(-1, 1, (2, 150, 150, 3)).astype(np.float32)
    pixels = x if name == "file" else 127.5 * x + 127.5  # this network scales pixels by itself
    expected = made.predict(pixels, verbose=0)
    _, tape = network.forward(x)
    maps, average = tape["block4_pool"].y, tape["average"].y
    scale = maps.sum() / expected.sum()
    np.testing.assert_allclose(maps, scale * expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(average, maps.mean(axis=(1, 2)), rtol=1e-4)
    # The features of drawn clothes are as long as those of lesson 3's network: 4.
    rng = np.random.default_rng(0)
    drawn = [np.asarray(minicnn.datasets.draw_clothing(kind, rng, 150)) for kind in KINDS]
    vectors = network.predict(np.stack(drawn) / np.float32(127.5) - 1, verbose=0)
    assert np.sqrt(np.mean(np.sum(vectors**2, axis=1))) == pytest.approx(4, rel=1e-4)


def test_a_lesson_says_what_a_base_changes(base, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    data = write_photos(tmp_path / "photos", {"train": 1})
    lessons.Lesson(8, data=data)
    said = capsys.readouterr().out
    assert "take a base that has seen photos, with --base" in said
    monkeypatch.chdir(tmp_path)
    lesson = lessons.Lesson(8, data=data, base="base.keras")
    said = capsys.readouterr().out
    assert str(base.resolve()) in said
    assert WITH_BASE[8] in said
    assert lesson.base == str(base.resolve())  # a lesson may run in another folder
    lesson.network()
    assert capsys.readouterr().out == ""
    lessons.Lesson(13, data=data, base=base).network()
    assert re.search(r"computes 31,000 images here: about \d+ minutes", capsys.readouterr().out)
    for number, photos in ((9, data), (8, None)):
        with pytest.raises(ValueError, match=rf"in lessons 5, 6, 7, .*lesson {number}, data="):
            lessons.Lesson(number, data=photos, base=base)
    with pytest.raises(FileNotFoundError, match=r"The base is one of xception, .*'nothing.keras'"):
        lessons.Lesson(8, data=data, base="nothing.keras")


def test_the_exercise_on_ten_kinds_takes_any_base():
    inputs = layers.Input((8, 8, 3))
    base = minicnn.Model(inputs, layers.Conv2D(7, 3)(inputs))
    base.trainable = False
    vectors = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    check = checking.EXERCISES[5, 3].check
    assert check(minicnn.Model(inputs, layers.Dense(10)(vectors))) == ""
    more = layers.Dense(10)(layers.Dense(8)(vectors))
    assert "one Dense layer" in check(minicnn.Model(inputs, more))


@pytest.mark.slow
def test_a_lesson_runs_with_photos_and_with_a_base(base, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    data = write_photos(tmp_path / "photos", {"train": 65, "validation": 15}, size=(4, 4))
    monkeypatch.chdir(tmp_path)
    assert commands.main(["lessons", "--run", "2", "--data", "photos", "--output", "out"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"smallest and largest pixel of our image: 103\.0 103\.0", said)
    copy = tmp_path / "out" / "clothes-photos"
    assert len(list(copy.glob("*/*/*.jpg"))) == 800
    assert len(list(data.glob("*/*/*.png"))) == 800

    options = ["--data", "photos", "--base", "base.keras", "--output", "out"]
    assert commands.main(["lessons", "--run", "6", *options]) == 0
    assert "rate 0.01 " in capsys.readouterr().out
    assert Image.open(tmp_path / "out/clothes-photos-150/train/hat/hat-0000.jpg").size == (150, 150)


def test_a_base_that_runs_in_each_epoch_takes_minutes(tmp_path):
    script = lessons.find(13)
    assert script._replace(photos=Photos(tmp_path)).duration == f"some {script.seconds} seconds"
    assert script._replace(photos=Photos(tmp_path, "mobilenet")).duration == "several minutes"


@pytest.mark.parametrize(
    "call",
    [lessons.write_notebooks, lessons.write_pack, lessons.check, functools.partial(lessons.run, 5)],
)
def test_a_base_without_photos_is_refused(call, tmp_path):
    with pytest.raises(ValueError, match=r"goes with photos: .* Received base='mobilenet'\."):
        call(tmp_path / "new", base="mobilenet")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "photos"], "--data goes with --run, --notebooks, --teacher or"),
        (["--run", "5", "--base", "xception"], "--base goes with --data."),
        (["--run", "homework", "--data", "photos"], "The homework takes no photos"),
        (["--run", "9", "--data", "photos", "--base", "xception"], "Received lesson 9."),
        (["--run", "5", "--data", "photos", "--base", "no"], "or a model file. Received 'no'."),
        (["--run", "5", "--data", "photos", "--base", "photos/text.keras"], "text.keras"),
        (["--run", "5", "--data", "photos", "--base", "photos/flat.keras"], "cannot be a base"),
        (["--teacher", "pack", "--data", "nowhere"], "'nowhere' has no folder train/dress."),
        (["--run", "10", "--data", "photos"], "Lesson 10 does not use the images of clothes"),
        (["--run", "5", "--data", "nowhere"], "'nowhere' has no folder train/dress."),
        (["--notebooks", "nb", "--data", "nowhere"], "'nowhere' has no folder train/dress."),
        (["--check", "--only", "10,11", "--data", "photos"], "None of these lessons uses the ima"),
        (
            ["--check", "--only", "2", "--data", "photos", "--base", "mobilenet"],
            "None of these lessons reuses a network's base",
        ),
        (["--notebooks", "nb", "--data", "photos", "--base", "photos/text.keras"], "text.keras"),
        (
            ["--check", "--only", "2,5", "--data", "photos", "--base", "photos/text.keras"],
            "text.keras",
        ),
        (["--notebooks", "nb", "--data", "photos", "--base", "photos/flat.keras"], "cannot be a b"),
    ],
)
def test_bad_photos_are_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", {"train": 1})
    (tmp_path / "photos" / "text.keras").write_text("no model")
    minicnn.Sequential([layers.Input((4,)), layers.Dense(2)]).save(tmp_path / "photos/flat.keras")
    assert commands.main(["lessons", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
