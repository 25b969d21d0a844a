"""The lessons run with photos in place of the drawn clothes, and say what changes."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import commands, lessons
from minicnn.lessons.photos import CHANGES, copy_photos

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
    assert set(CHANGES) <= {s.number for s in lessons.scripts() if s.takes_photos}


def test_the_notebooks_take_photos(tmp_path, capsys):
    data = write_photos(tmp_path / "photos", {"train": 1})
    where = str(tmp_path / "notebooks")
    assert commands.main(["lessons", "--notebooks", where, "--data", str(data)]) == 0
    assert "Wrote" in capsys.readouterr().out
    for script in lessons.scripts():
        book = json.loads((tmp_path / "notebooks" / f"{script.path.stem}.ipynb").read_text("utf-8"))
        text = "".join("".join(cell["source"]) for cell in book["cells"])
        assert (f"data={str(data.resolve())!r}" in text) == script.takes_photos


@pytest.mark.slow
def test_a_lesson_runs_with_photos(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    data = write_photos(tmp_path / "photos", {"train": 65, "validation": 15}, size=(4, 4))
    monkeypatch.chdir(tmp_path)
    assert commands.main(["lessons", "--run", "2", "--data", "photos", "--output", "out"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"smallest and largest pixel of our image: 103\.0 103\.0", said)
    copy = tmp_path / "out" / "clothes-photos"
    assert len(list(copy.glob("*/*/*.jpg"))) == 800
    assert len(list(data.glob("*/*/*.png"))) == 800


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "photos"], "--data goes with --run or --notebooks."),
        (["--run", "10", "--data", "photos"], "Lesson 10 does not use the images of clothes"),
        (["--run", "5", "--data", "nowhere"], "'nowhere' has no folder train/dress."),
        (["--notebooks", "nb", "--data", "nowhere"], "'nowhere' has no folder train/dress."),
    ],
)
def test_bad_photos_are_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", {"train": 1})
    assert commands.main(["lessons", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
