"""Iterators and data sets refuse bad folders and options."""

import os
from pathlib import Path

import pytest
from photos import BAD_KINDS, bad_file, dataset, flow, labels_of, write_photos
from PIL import Image

from minicnn import images
from minicnn.images import folders

WAYS = pytest.mark.parametrize("read", [flow, dataset], ids=["flow", "dataset"])


@WAYS
def test_a_missing_folder_a_file_and_an_empty_folder(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file"):
        read(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"at least 2.*Found none"):
        read(tmp_path / "empty")
    write_photos(tmp_path / "two", each=0)
    with pytest.raises(ValueError, match="found no photos"):
        read(tmp_path / "two")


def strange_photos(folder):
    """Write `hat` with one photo among other files, `sock` with none, and two files beside them."""
    write_photos(folder, classes=["hat", "shirt"], each=1)
    other = {"hat": ["a.webp", "b.WEBP", "notes.txt", ".DS_Store", "Thumbs.db", "no ending"]}
    for name, names in (other | {"sock": ["c.webp", "d.heic"], ".": ["e.jpg", "LICENSE"]}).items():
        (folder / name).mkdir(exist_ok=True)
        for file in names:
            Image.new("RGB", (3, 3)).save(folder / name / file, "png")
    (folder / "shirt" / "again").symlink_to(folder / "shirt")  # a circle, if it were followed
    return folder


@WAYS
def test_what_is_passed_over_is_listed_for_each_class(tmp_path, read, capsys):
    folder = strange_photos(tmp_path / "photos")
    more = {} if read is flow else {"verbose": True}
    with pytest.warns(
        UserWarning, match=r"no usable photo of the class 'sock' \(in its folder: 1 "
    ):
        read(folder, **more)
    printed = capsys.readouterr().out
    assert "Found 2 " in printed
    assert "belonging to 3 classes." in printed
    assert printed.splitlines()[1:] == [
        "  hat: 1 used, passed over 2 .webp, 1 other file, 1 .txt.",
        "  shirt: 1 used, passed over 1 linked folder.",
        "  sock: 0 used, passed over 1 .webp, 1 .heic.",
        "  (beside the class folders): 0 used, passed over 1 .jpg.",
    ]
    with pytest.warns(UserWarning, match="'sock'"):
        assert len(read(folder, follow_links=True, batch_size=1)) == 2  # not forty times each photo


@WAYS
def test_the_error_lists_what_all_classes_hold_instead_of_photos(tmp_path, read):
    folder = write_photos(tmp_path / "p", each=0)
    (folder / "hat" / "a.webp").touch()
    with pytest.raises(ValueError, match=r"found no photos .*Passed over: 1 \.webp"):
        read(folder)


@WAYS
def test_a_class_whose_photos_are_all_skipped_is_warned_of(photos, read, capsys):
    for path in (photos / "hat").iterdir():
        path.write_bytes(b"no photo")
    more = {} if read is flow else {"verbose": True}
    with (
        pytest.warns(UserWarning, match="Skipped 3 bad photos"),
        pytest.warns(UserWarning, match=r"'hat' \(in its folder: 3 unreadable photos\)"),
    ):
        read(photos, on_bad_image="skip", **more)
    assert "  hat: 0 used, passed over 3 unreadable photos." in capsys.readouterr().out


def test_a_class_that_the_split_leaves_empty_is_warned_of(tmp_path):
    folder = write_photos(tmp_path / "p", each=1)
    split = {"validation_split": 0.5, "subset": "training", "seed": 1}
    with pytest.warns(UserWarning, match=r"no usable photo .*\(in its folder: 1 photo held out\)"):
        dataset(folder, **split)
    with pytest.raises(ValueError, match="1 photo held out"):
        dataset(folder, **split, on_empty_class="error")


def test_other_formats_are_read_when_they_are_named(tmp_path):
    folder = strange_photos(tmp_path / "photos")
    with pytest.raises(ValueError, match=r"class 'sock' \(in its folder: 1 \.webp, 1 \.heic\)"):
        dataset(folder, on_empty_class="error")
    data = dataset(folder, on_empty_class="error", formats=[".webp", ".png"], shuffle=False)
    assert [Path(path).name for path in data.file_paths] == [
        "0.png", "a.webp", "b.WEBP", "0.png", "c.webp",
    ]  # fmt: skip
    assert labels_of(data) == [0, 0, 0, 1, 2]


def test_a_folder_that_cannot_be_opened_is_listed(photos, monkeypatch, capsys):
    (photos / "hat" / "closed").mkdir()
    usual = os.scandir

    def scan(path="."):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return usual(path)

    monkeypatch.setattr(os, "scandir", scan)
    dataset(photos, verbose=True)
    assert "passed over 1 folder that cannot be opened." in capsys.readouterr().out


@WAYS
def test_one_class_is_too_few(tmp_path, read):
    folder = write_photos(tmp_path / "one", classes=["hat"])
    with pytest.raises(ValueError, match=r"at least 2.*only 'hat'"):
        read(folder)
    unlabelled = {"class_mode": None} if read is flow else {"label_mode": None}
    assert len(read(folder, **unlabelled)) == 1  # one folder is enough to predict


@WAYS
def test_binary_labels_need_two_classes(tmp_path, read):
    folder = write_photos(tmp_path / "three", classes=["a", "b", "c"])
    mode = {"class_mode": "binary"} if read is flow else {"label_mode": "binary"}
    with pytest.raises(ValueError, match="exactly 2 class folders"):
        read(folder, **mode)


@WAYS
@pytest.mark.parametrize("kind", BAD_KINDS)
def test_a_bad_photo_is_named_in_an_error_or_skipped_and_counted(photos, read, kind):
    bad_file(photos / "shirt", kind)
    with pytest.raises(images.BadImageError, match=f"{kind}.png"):
        list(zip(read(photos), range(1)))
    with pytest.warns(UserWarning, match=f"Skipped 1 bad photo of 7: .*{kind}.png"):
        batches = read(photos, on_bad_image="skip")
    assert [Path(path).name for path in batches.skipped] == [f"{kind}.png"]
    x, y = next(iter(batches))
    assert len(x) == len(y) == 6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"class_mode": "multi"}, "class_mode"),
        ({"color_mode": "hsv"}, "color_mode"),
        ({"target_size": 0}, "target_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"subset": "training"}, "validation_split"),
        ({"on_bad_image": "ignore"}, "on_bad_image"),
    ],
)
def test_bad_options_of_flow_from_directory(photos, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        flow(photos, **arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"label_mode": "multi"}, "label_mode"),
        ({"color_mode": "hsv"}, "color_mode"),
        ({"interpolation": "lanczos3"}, "interpolation"),
        ({"image_size": (4, 0)}, "image_size"),
        ({"batch_size": -1}, "batch_size"),
        ({"labels": [1, 2]}, "one label for each of the 6 files"),
        ({"labels": [0, 1, 2, 3, 4, -5]}, "whole numbers >= 0"),
        ({"labels": "guess"}, "labels to be"),
        ({"class_names": ["hat", "socks"]}, "class_names to be among"),
        ({"labels": [0] * 6, "class_names": ["hat"]}, "class_names go with"),
        ({"validation_split": 0.2}, "go together"),
        ({"subset": "training"}, "go together"),
        ({"validation_split": 2, "subset": "training", "seed": 1}, "between 0 and 1"),
        ({"validation_split": 0.2, "subset": "test", "seed": 1}, "subset"),
        ({"validation_split": 0.2, "subset": "training"}, "needs a seed"),
        ({"validation_split": 0.01, "subset": "validation", "seed": 1}, "leaves no photos"),
        ({"seed": -3}, "seed"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "only one"),
        ({"data_format": "channels_first"}, "channels_last"),
        ({"on_bad_image": "ignore"}, "on_bad_image"),
        ({"on_empty_class": "ignore"}, "on_empty_class"),
        ({"formats": ".jpg"}, "formats to be endings"),
        ({"formats": ["JPG"]}, "formats to be endings"),
        ({"formats": []}, "formats to be endings"),
    ],
)
def test_bad_options_of_the_dataset(photos, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataset(photos, **arguments)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_threads_return_results_in_order_and_raise_what_is_raised(count):
    assert folders.in_threads(lambda n: n * n, range(count)) == [n * n for n in range(count)]

    def refuse(n):
        raise ValueError(f"no {n}")

    if count:
        with pytest.raises(ValueError, match="no 0"):
            folders.in_threads(refuse, range(count))
