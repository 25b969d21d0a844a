"""`reference.data` reports on all splits at once; lists and divisions say which photo is where."""

import contextlib
import csv
import hashlib
import json
import shutil
import sys
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minicnn.images import BadImageError
from reference import audit, data, lists
from reference import train as training
from reference.data import Photos
from reference.report import Page


@pytest.fixture
def copy(clothes, tmp_path):
    return shutil.copytree(clothes, tmp_path / "copy")


def smooth(rng):
    return Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize((120, 90))


def photo_of(copy, split, name, index=0):
    return copy / split / name / f"{name}-{index:04d}.jpg"


# ---------------------------------------------------------------------------------------------
# Problems with photos
# ---------------------------------------------------------------------------------------------


def test_one_run_reports_all_splits_and_training_takes_the_clean_list(copy, tmp_path, capsys):
    photo_of(copy, "train", "hat").write_bytes(b"no photo")
    photo_of(copy, "test", "hat").write_bytes(b"")
    photo_of(copy, "train", "shoes", 1).rename(copy / "train" / "shoes" / "a.heic")
    (copy / "train" / "beside.jpg").write_bytes(b"x")
    (copy / "train" / ".hidden").mkdir()
    (copy / "train" / ".hidden" / "b.jpg").write_bytes(b"x")
    drawn = smooth(np.random.default_rng(0))
    drawn.save(photo_of(copy, "test", "pants"))
    drawn.resize((200, 180)).save(photo_of(copy, "train", "dress", 3), quality=60)
    output = tmp_path / "report"
    told = ["--data", str(copy), "--output", str(output)]
    assert data.run(told) == 2
    out, err = capsys.readouterr()
    assert "2 of 219 photos are bad" in err
    assert "hat-0000.jpg" in err
    assert "Photos that look like another one: 1, 1 of them one in another split." in out
    with (output / "findings.csv").open(newline="") as file:
        rows = [(r["kind"], r["split"], r["path"][len(str(copy)) + 1 :], r["why"])
                for r in csv.DictReader(file)]  # fmt: skip
    whys = {path: (kind, split, why) for kind, split, path, why in rows}
    assert len(whys) == len(rows) == 6
    assert whys["train/hat/hat-0000.jpg"][:2] == ("unreadable", "train")
    assert whys["test/hat/hat-0000.jpg"][:2] == ("unreadable", "test")
    assert "does not end in" in whys["train/shoes/a.heic"][2]
    assert whys["train/beside.jpg"][2] == "in no class folder of a split"
    assert whys["train/.hidden/b.jpg"][2] == "in a hidden folder"
    kind, split, why = whys["train/dress/dress-0003.jpg"]
    assert (kind, split) == ("duplicates", "train")
    assert why == "looks like pants-0000.jpg in test, and one is dress, one pants"
    page = (output / "report.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64") == 2

    assert data.run([*told, "--drop", "unreadable,duplicates"]) == 0
    splits = data.find(output / "photos.csv")
    assert [len(photos) for photos in splits] == [117, 60, 39]
    wanted = data.find(copy)
    gone = {str(photo_of(copy, "train", "hat")), str(photo_of(copy, "train", "dress", 3))}
    kept = [path for path in wanted.train.paths if path not in gone]
    assert [data.Path(p).resolve() for p in splits.train.paths] == [
        data.Path(p).resolve() for p in kept
    ]
    assert splits.train.class_names == wanted.train.class_names
    assert data.run(["--data", str(output / "photos.csv"), "--output", str(tmp_path / "b")]) == 0


def test_a_copy_is_found_resized_compressed_and_brightened_and_others_are_not(tmp_path):
    rng = np.random.default_rng(0)
    images = [smooth(rng) for _ in range(6)]
    copies = [
        images[0].resize((60, 70)), images[1].point(lambda v: int(v * 0.8) + 30), images[2],
        Image.new("RGB", (50, 50), "white"), Image.new("RGB", (70, 50), "gray"),
    ]  # fmt: skip
    paths = []
    for number, image in enumerate([*images, *copies]):
        paths.append(str(tmp_path / f"{number}.jpg"))
        image.save(paths[-1], quality=70)
    photos = Photos("train", tuple(paths), np.zeros(11, int), ("a",))
    found = audit.duplicates([photos], {path: audit.look(path) for path in paths})
    names = [(data.Path(f.path).stem, data.Path(f.other).stem) for f in found]
    assert names == [("6", "0"), ("7", "1"), ("8", "2")]


def test_labels_are_doubted_by_hand():
    """Eleven photos to the right, eleven upwards; the last one of them has the wrong label."""
    x = np.concatenate([np.tile([5.0, 0.0], (11, 1)), np.tile([0.0, 5.0], (11, 1))])
    x += np.random.default_rng(0).normal(scale=0.1, size=x.shape)
    labels = np.array([0] * 11 + [1] * 10 + [0])
    paths = tuple(f"{i}" for i in range(22))
    train = Photos("train", paths[:20], labels[:20], ("a", "b"))
    test = Photos("test", paths[20:], labels[20:], ("a", "b"))
    (found,) = audit.doubted([train, test], [x[:20], x[20:]])
    assert found[:3] == ("doubted", "test", "21")
    assert found.why == "is a; of the 10 photos with the most similar features, 10 are b"
    made = audit.Audit([train, test], {}, [found])
    assert len(made.clean(["doubted"])["test"]) == 2  # hard ones stay in the test
    train_finding = found._replace(split="train", path="3")
    made = audit.Audit([train, test], {}, [train_finding])
    assert [path for _, path in made.clean(["doubted"])["train"]] == [
        path for path in paths[:20] if path != "3"
    ]


def test_a_few_photos_are_too_few_to_doubt_a_label():
    labels = np.array([1] + [0] * 10)
    x = np.tile([5.0, 0.0], (11, 1)) + np.random.default_rng(0).normal(scale=0.1, size=(11, 2))
    paths = tuple(f"{i}" for i in range(11))
    for count, doubts in ((0, []), (1, []), (2, []), (10, []), (11, ["0"])):
        photos = Photos("train", paths[:count], labels[:count], ("a", "b"))
        assert [finding.path for finding in audit.doubted([photos], [x[:count]])] == doubts


def test_a_copy_in_the_same_split_is_not_counted_as_one_in_another(tmp_path):
    paths = tuple(str(tmp_path / name) for name in ("dog in snow.jpg", "dog in test.jpg", "c.jpg"))
    drawn = smooth(np.random.default_rng(0))
    for path in paths:
        drawn.save(path)
    train = Photos("train", paths[:2], np.zeros(2, int), ("dog",))
    test = Photos("test", paths[2:], np.zeros(1, int), ("dog",))
    facts = {path: audit.look(path) for path in paths}
    made = audit.Audit([train], facts, audit.duplicates([train], facts))
    assert "Photos that look like another one: 1." in audit.sentences(made)
    made = audit.Audit([train, test], facts, audit.duplicates([train, test], facts))
    assert [finding.other_split for finding in made.findings] == ["test", "test"]
    told = audit.sentences(made)
    assert "Photos that look like another one: 2, 2 of them one in another split." in told


@pytest.mark.slow
def test_the_features_of_a_base_doubt_a_wrong_label(copy, tiny_base, tmp_path, capsys, eagerly):
    told = ["--data", str(copy), "--output", str(tmp_path / "report"), "--base", str(tiny_base)]
    told += ["--image-size", "48", "--cache", str(tmp_path / "cache"), "--drop", "doubted"]
    assert data.run(told) == 0
    assert "photos.csv" in capsys.readouterr().out


@pytest.mark.parametrize("told", [["--drop", "old"], ["--drop", "doubted"]])
def test_what_cannot_be_dropped_is_refused(copy, told, capsys):
    with contextlib.suppress(SystemExit):
        assert data.run(["--data", str(copy), *told]) == 2
    assert told[1] in capsys.readouterr().err


def test_bad_photos_of_all_splits_are_named_at_once(copy):
    bad = [photo_of(copy, split, "hat") for split in data.SPLITS]
    for path in bad:
        path.write_bytes(b"no")
    with pytest.raises(BadImageError) as caught:
        data.check_all(data.find(copy))
    for path in bad:
        assert str(path) in str(caught.value)
    assert str(caught.value).count("--skip-bad-images") == 1


# ---------------------------------------------------------------------------------------------
# Lists and divisions
# ---------------------------------------------------------------------------------------------


@pytest.fixture
def flat(clothes, tmp_path):
    return shutil.copytree(clothes / "train", tmp_path / "flat")


def test_class_folders_alone_are_divided_always_in_the_same_way(flat, capsys):
    splits = data.find(flat)
    counts = [len(photos) for photos in splits]
    assert "{} train, {} validation, {} test".format(*counts) in capsys.readouterr().out
    for photos in splits:
        assert (np.bincount(photos.labels, minlength=10) >= 1).all()
    paths = [path for photos in splits for path in photos.paths]
    assert sorted(paths) == sorted(str(path) for path in flat.rglob("*.jpg"))
    again = data.find(flat)
    assert [a.paths for a in again] == [b.paths for b in splits]
    assert data.find_one(flat, "test").paths == splits.test.paths
    moved = data.find(flat.rename(flat.with_name("moved")))
    for photos, others in zip(splits, moved, strict=True):
        assert [path[len(str(flat)) :] for path in photos.paths] == [
            path[len(str(flat.with_name("moved"))) :] for path in others.paths
        ]


def test_a_photo_s_name_decides_on_its_split_by_hand():
    """The SHA-256 of hat/a.jpg and so on begin with these numbers; test ends at 9830 of 65536."""
    numbers = {"a": 0x3D9A, "b": 0x4A9F, "c": 0x3775, "d": 0x9C29, "e": 0x1423, "f": 0x4D2A,
               "g": 0x7737, "h": 0x602A}  # fmt: skip
    names = [f"hat/{letter}.jpg" for letter in numbers]
    for name, number in zip(names, numbers.values(), strict=True):
        assert int(hashlib.sha256(name.encode()).hexdigest()[:4], 16) == number
    found = lists.divided_by_name(names, np.zeros(8, int))
    assert found == {"train": [3, 5, 6, 7], "validation": [0, 1, 2], "test": [4]}
    # Without a, b, c and e all belong into train: f is the nearest to the others, and then h.
    found = lists.divided_by_name([names[i] for i in (3, 5, 6, 7)], np.zeros(4, int))
    assert found == {"train": [0, 2], "validation": [3], "test": [1]}


@pytest.mark.parametrize("count", [40, 41, 60, 299])
def test_added_photos_move_none(count):
    names = [f"hat/{i}.jpg" for i in range(300)]
    before = lists.divided_by_name(names[:count], np.zeros(count, int))
    after = lists.divided_by_name(names, np.zeros(300, int))
    for split, rows in before.items():
        assert rows == [row for row in after[split] if row < count]
        assert abs(len(after[split]) / 300 - lists.SHARES[split]) < 0.05


def test_a_class_with_too_few_photos_cannot_be_divided(flat):
    for path in sorted((flat / "hat").iterdir())[2:]:
        path.unlink()
    with pytest.raises(ValueError, match=r"needs 3 photos, one for each split.*hat \(2\)"):
        data.find(flat)


@given(st.lists(st.integers(3, 40), min_size=1, max_size=5), st.integers(0, 3))
def test_each_photo_is_in_one_split_and_each_class_in_all(counts, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    names = [f"{seed}-{row}.jpg" for row in range(len(labels))]
    for found in (
        lists.divided(labels, lists.SHARES, seed),
        lists.divided_by_name(names, labels),
    ):
        assert sorted(chain(*found.values())) == list(range(len(labels)))
        for rows in found.values():
            assert set(labels[rows]) == set(range(len(counts)))


@given(st.lists(st.integers(2, 30), min_size=1, max_size=5), st.integers(2, 5))
def test_folds_are_equally_large_and_each_class_is_spread_evenly(counts, folds):
    labels = np.repeat(np.arange(len(counts)), counts)
    found = lists.folds(labels, folds)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(labels)))
    assert np.ptp([len(rows) for rows in found]) <= 1
    for label in range(len(counts)):
        assert np.ptp([(labels[rows] == label).sum() for rows in found]) <= 1


HEAD = "split,class,path\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "first line should be split,class,path"),
        ("path\na.jpg\n", "first line should be"),
        (
            "path,label,class\na.jpg,x,y\n",
            "one column for the class of a photo. Received label and",
        ),
        ("path,label\na.jpg,\n", "line 2, should name a class and a path. Received 'a.jpg,'"),
        ("path,label\na.jpg,x\n", r"Each class needs 3 photos.*x \(1\)"),
        (HEAD + "train,hat\n", "line 2, should name"),
        (HEAD + "final,hat,a.jpg\n", "one of train, validation, test"),
        (HEAD + "train,hat,a.jpg\ntest,hat,a.jpg\n", "line 3: 'a.jpg' is there twice"),
        (HEAD + 'train,"hat,a.jpg\n', "is not a list of photos"),
        (HEAD + "train,hat,a.jpg\n", "no photos for validation"),
        (HEAD + "train,hat,a.jpg\nvalidation,cap,b.jpg\n", "validation lacks hat"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path, text, words):
    (tmp_path / "photos.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        data.find(tmp_path / "photos.csv")


def test_a_list_names_photos_relative_to_its_folder(tmp_path):
    rows = {"train": [("b", str(tmp_path / "x" / "1.jpg")), ("a", str(tmp_path / "2,3.jpg"))]}
    rows["validation"] = [("a", str(tmp_path / "ä.jpg")), ("b", str(tmp_path / "4.jpg"))]
    lists.write(tmp_path / "photos.csv", rows)
    assert "train,b,x/1.jpg\n" in (tmp_path / "photos.csv").read_text("utf-8")
    found = data.find(tmp_path / "photos.csv")
    assert found.train.paths == (str(tmp_path / "2,3.jpg"), str(tmp_path / "x" / "1.jpg"))
    assert found.train.labels.tolist() == [0, 1]
    assert found.validation.paths[0].endswith("ä.jpg")
    assert found.test is None


def test_a_table_without_splits_is_divided_as_its_photos_are_in_folders(flat):
    wanted = data.find(flat)
    rows = [path.relative_to(flat).as_posix() for path in sorted(flat.rglob("*.jpg"))]
    lines = [f"{number},{row.split('/')[0]},{row}" for number, row in enumerate(rows)]
    (flat / "all.csv").write_text("\n".join(["Number,Label,Path", *lines]) + "\n")
    for photos, others in zip(data.find(flat / "all.csv"), wanted, strict=True):
        assert photos.paths == others.paths
        assert photos.class_names == others.class_names
        assert photos.labels.tolist() == others.labels.tolist()


NAMES = ("a\u2028b.jpg", "c\x85d.jpg", "e\x0bf.jpg", "g\nh.jpg", "i\r.jpg", 'j,"k.jpg')


def test_a_list_names_files_of_any_name_and_excel_may_have_saved_it(tmp_path):
    rows = {
        split: [("a", str(tmp_path / split / name)) for name in names]
        for split, names in (("train", NAMES), ("test", ("caf\udce9.jpg", "é.jpg")))
    }
    path = tmp_path / "photos.csv"
    lists.write(path, rows)
    assert b"caf\xe9.jpg" in path.read_bytes()
    assert lists.read(path, data.SPLITS) == rows
    path.write_bytes("\ufeff".encode() + path.read_bytes())
    assert lists.read(path, data.SPLITS) == rows


@pytest.mark.skipif(sys.platform != "linux", reason="its file names are bytes")
def test_a_photo_whose_name_is_no_text_is_reported_and_listed(tmp_path):
    photos = tmp_path / "photos"
    for split in ("train", "validation"):
        for name in ("hat", "shoes"):
            (photos / split / name).mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(photos / split / name / "caf\udce9.jpg")
    (photos / "train" / "hat" / "na\udcefve.jpg").write_bytes(b"no photo")
    output = tmp_path / "report"
    told = ["--data", str(photos), "--output", str(output), "--drop", "unreadable"]
    assert data.run(told) == 0
    assert b"/na\xefve.jpg," in (output / "findings.csv").read_bytes()
    assert r"na\udcefve.jpg" in (output / "report.html").read_text("utf-8")
    splits = data.find(output / "photos.csv")
    assert len(splits.train) == len(splits.validation) == 2
    for path in (*splits.train.paths, *splits.validation.paths):
        assert path.endswith("caf\udce9.jpg")
        assert data.Path(path).is_file()


def test_a_page_shows_names_that_are_no_text(tmp_path):
    page = Page("caf\udce9", "first")
    page.heading("caf\udce9")
    page.table(["caf\udce9"], [["caf\udce9"]])
    page.code("caf\udce9")
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8").count(r"caf\udce9") == 6


@pytest.mark.slow
def test_a_flat_folder_can_be_trained_on_and_tested(options, flat, tmp_path, eagerly):
    output = tmp_path / "out"
    told = ["--data", str(flat), "--epochs", "1", "--output", str(output)]
    assert training.run([*options, *told]) == 0
    wanted = len(data.find(flat).test)
    assert json.loads((output / "evaluation.json").read_text())["photos"] == wanted
