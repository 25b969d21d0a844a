"""Photos in tar and Parquet files are those of folders: the same order, classes and pixels."""

import contextlib
import csv
import io
import json
import shutil
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from minicnn.images import BadImageError
from reference import archives, audit, data
from reference.data import Reader


def pack(path, folder, above=""):
    """Pack a folder, last file first: the order of a tar is that of chance."""
    with tarfile.open(path, "w") as archive:
        for file in sorted(folder.rglob("*.jpg"), reverse=True):
            archive.add(file, above + file.relative_to(folder).as_posix())
    return path


def add(archive, name, content=b"x", **about):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in about.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(content))


def same(splits, wanted):
    for photos, others in zip(splits, wanted, strict=True):
        assert (photos is None) == (others is None)
        if photos is not None:
            assert photos.name == others.name
            assert photos.class_names == others.class_names
            assert photos.labels.tolist() == others.labels.tolist()
            assert photos.sha256() == others.sha256()  # the same contents in the same order


@pytest.mark.parametrize("above", ["", "./", "clothing-dataset-small/"])
def test_a_tar_is_read_as_the_folder_in_it(clothes, tmp_path, above):
    path = pack(tmp_path / "photos.tar", clothes, above)
    found, wanted = data.find(path), data.find(clothes)
    same(found, wanted)
    assert data.find_one(path, "test").paths == found.test.paths
    assert found.train.paths[0].startswith(f"{path}/{above.lstrip('./')}train/dress/dress-0000")
    for interpolation in ("bilinear", "nearest", "antialias"):
        reader = Reader(32, interpolation)
        np.testing.assert_array_equal(
            reader.read(found.train.paths[:3]), reader.read(wanted.train.paths[:3])
        )


def test_class_folders_in_a_tar_are_divided_as_in_a_folder(clothes, tmp_path, capsys):
    flat = clothes / "train"
    for above in ("", "photos/"):
        same(data.find(pack(tmp_path / "flat.tar", flat, above)), data.find(flat))
    assert "flat.tar has no splits: each photo's name decides" in capsys.readouterr().out


def test_a_folder_may_have_a_tar_for_each_split(clothes, tmp_path, capsys):
    for split in data.SPLITS:
        pack(tmp_path / f"{split}-000.tar", clothes / split)
    wanted = data.find(clothes)
    (tmp_path / "README.md").touch()
    (tmp_path / ".DS_Store").touch()
    same(data.find(tmp_path), wanted)
    assert "Passed over beside the archives: README.md." in capsys.readouterr().out
    (other,) = audit.passed_over(tmp_path, [])
    assert (other.path, other.why) == (str(tmp_path / "README.md"), "no archive")
    for name in ("train-001.tar.gz", "test.ZIP"):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=rf"{name}' is compressed: unpack it"):
            data.find(tmp_path)
        (tmp_path / name).unlink()
    (tmp_path / "test-000.tar").rename(tmp_path / "final.tar")
    with pytest.raises(ValueError, match=r"begin with train.*Received final\.tar"):
        data.find(tmp_path)


def test_the_index_of_each_of_many_shards_is_read_once(clothes, tmp_path):
    photo = next((clothes / "test/hat").iterdir()).read_bytes()
    for number in range(70):
        with tarfile.open(tmp_path / f"{number:03d}.tar", "w") as archive:
            for label in "ab":
                add(archive, f"{label}/{number}.jpg", photo)
    archives.indexed.cache_clear()
    for photos in data.find(tmp_path):
        photos.sha256()
    assert archives.indexed.cache_info().misses == 70


def test_pairs_of_photos_and_labels_as_webdataset_has_them(clothes, tmp_path, capsys):
    photos = sorted((clothes / "train").rglob("*.jpg"))[:60]
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as archive:
        for number, photo in enumerate(photos):
            add(archive, f"{number:03d}.jpg", photo.read_bytes())
            if number != 7:
                add(archive, f"{number:03d}.cls", b"%d\n" % (number % 3 * 5))
            add(archive, f"{number:03d}.json", b"{}")
    found = data.find(path)
    assert found.train.class_names == ("0", "5", "10")  # numbers in their order
    everything = [p for split in found for p in split.paths]
    assert sorted(everything) == [f"{path}/{i:03d}.jpg" for i in range(60) if i != 7]
    for split in found:
        for photo, label in zip(split.paths, split.labels, strict=True):
            assert int(photo[-7:-4]) % 3 == label
    assert "59 photos used, 61 files passed over" in capsys.readouterr().out


def test_pairs_and_class_folders_are_not_mixed(clothes, tmp_path):
    for folder, words in (
        (clothes, "2 of 220 photos with a .cls file, and a folder named train"),
        (clothes / "test", r"2 of 40 photos with a .cls file\."),
    ):
        path = pack(tmp_path / "photos.tar", folder)
        with tarfile.open(path, "a") as archive:
            for photo in sorted(folder.rglob("*.jpg"))[:2]:
                add(archive, photo.relative_to(folder).with_suffix(".cls").as_posix(), b"7")
        with pytest.raises(ValueError, match=words):
            data.find(path)


def test_a_label_in_a_tar_is_one_line_and_keeps_its_bytes(tmp_path):
    path = tmp_path / "shard.tar"

    def write(*labels):
        with tarfile.open(path, "w") as archive:
            for number, label in enumerate(labels):
                add(archive, f"{number}.jpg")
                add(archive, f"{number}.cls", label)
        archives.indexed.cache_clear()
        return archives.opened(path, data.endings())

    found = write(b"caf\xe8\n", b"caf\xe9\n").entries
    assert [entry.label for entry in found] == ["caf\udce8", "caf\udce9"]
    for label in (b"a\nb", b"a\x1b[2Jb"):
        with pytest.raises(ValueError, match=r"0\.cls' should be one line that names a class"):
            write(label)


def test_everything_else_in_a_tar_is_passed_over_and_named(clothes, tmp_path, capsys):
    folder = shutil.copytree(clothes, tmp_path / "clothes")
    path = pack(tmp_path / "photos.tar", folder)
    with tarfile.open(path, "a") as archive:
        add(archive, "train/hat/link.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "train/hat/hard.jpg", b"", type=tarfile.LNKTYPE, linkname="../../x")
        add(archive, "train/hat/pipe.jpg", b"", type=tarfile.FIFOTYPE)
        add(archive, "train/hat/notes.txt")
        add(archive, "train/hat/._hat.jpg")
        add(archive, "train/.hidden/a.jpg")
        add(archive, "beside.jpg")
        add(archive, "train/hat/bad.jpg", b"no photo")
        add(archive, "train/hat/hat-0001.jpg", (folder / "train/hat/hat-0001.jpg").read_bytes())
    output = tmp_path / "report"
    assert data.run(["--data", str(path), "--output", str(output), "--drop", "unreadable"]) == 0
    capsys.readouterr()
    with (output / "findings.csv").open(newline="") as file:
        found = {row["path"][len(str(path)) + 1 :]: row["why"] for row in csv.DictReader(file)}
    assert len(found) == 7
    assert found["train/hat/link.jpg"] == found["train/hat/hard.jpg"] == "a link"
    assert found["train/hat/pipe.jpg"] == "no plain file"
    assert "does not end in" in found["train/hat/notes.txt"]
    assert found["train/.hidden/a.jpg"] == "in a hidden folder"
    assert found["beside.jpg"] == "in no class folder of a split"
    assert (
        found["train/hat/bad.jpg"]
        == f"{str(path / 'train/hat/bad.jpg')!r} is not an image that can be read."
    )
    same(data.find(output / "photos.csv"), data.find(folder))


def test_a_name_that_leads_out_of_a_tar_is_refused(tmp_path):
    for name in ("../a.jpg", "train/../../a.jpg", "/etc/a.jpg"):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            add(archive, name)
        with pytest.raises(ValueError, match=r"not to be trusted: .* leads out of it"):
            data.find(tmp_path / "a.tar")
        (tmp_path / "a.tar").unlink()


def test_a_list_cannot_lead_out_of_a_tar(clothes, tmp_path):
    path = pack(tmp_path / "photos.tar", clothes)
    secret = tmp_path / "secret.jpg"
    shutil.copy(next((clothes / "test" / "hat").iterdir()), secret)
    for name in ("../secret.jpg", "train/../../secret.jpg", "none.jpg", str(secret)):
        with pytest.raises(FileNotFoundError, match="There is no photo"):
            data.image_of(f"{path}/{name}")


def test_a_member_too_large_for_a_photo_is_not_read(clothes, tmp_path, monkeypatch):
    path = pack(tmp_path / "photos.tar", clothes)
    monkeypatch.setattr(archives, "MAX_BYTES", 100)
    with pytest.raises(BadImageError, match="more than the 100 that a photo may have"):
        data.image_of(f"{path}/train/hat/hat-0000.jpg")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tar", b"", "is not a tar file, or is damaged: empty file"),
        ("a.tar", bytes(10240), "has no photos of classes"),
        ("a.tar", b"no tar" * 1000, "is not a tar file, or is damaged"),
        ("a.tar", b"\x1f\x8b" + b"x" * 600, "is compressed"),
        ("a.tar.gz", b"x", "unpack it, or make a .tar of it"),
        ("a.zip", b"x", "unpack it"),
        ("a.tar", None, "t-shirt-0001.jpg' should have 0 to 296 bytes. Received 1,976."),
    ],
)
def test_a_damaged_archive_is_refused(clothes, tmp_path, name, content, words, capsys):
    path = tmp_path / name
    if content is None:
        content = pack(path, clothes / "test").read_bytes()[:9000]
    path.write_bytes(content)
    assert data.run(["--data", str(path), "--output", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_header_that_is_damaged_or_cut_is_not_the_end_of_a_tar(clothes, tmp_path):
    path = pack(tmp_path / "photos.tar", clothes)
    whole = path.read_bytes()
    with tarfile.open(path) as archive:
        place = archive.getmembers()[200].offset
    flipped = bytearray(whole)
    flipped[place + 3] ^= 1
    for content in (flipped, whole[: place + 100], whole[:place]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"at byte {place:,}: only the 200 members before"):
            data.find(path)


def test_an_archive_behind_the_end_of_another_is_not_passed_over_in_silence(clothes, tmp_path):
    parts = [pack(tmp_path / f"{name}.tar", clothes / name) for name in ("train", "test")]
    first, second = (part.read_bytes() for part in parts)
    joined = tmp_path / "joined.tar"
    joined.write_bytes(first + second)
    with pytest.raises(ValueError, match=rf"goes on at byte {len(first):,}: archives that were"):
        data.find(joined)
    joined.write_bytes(first + bytes(3_000_000))
    assert sum(map(len, data.find(joined))) == 120


@pytest.mark.parametrize("size", [-1024, -1, 2**40])
def test_a_size_that_is_negative_or_beyond_the_end_is_refused(clothes, tmp_path, size):
    path = pack(tmp_path / "photos.tar", clothes)
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        member = archive.getmembers()[5]
    member.size = size
    start = member.offset
    content[start : start + 512] = member.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"should have 0 to [\d,]+ bytes. Received {size:,}"):
        data.find(path)


def test_a_pipe_is_no_archive(pipe, capsys):
    path = pipe.rename(pipe.with_suffix(".tar"))
    assert data.run(["--data", str(path)]) == 2
    assert "is a pipe" in capsys.readouterr().err


@pytest.mark.parametrize("kind", archives.ENDINGS)
def test_damage_anywhere_is_told_in_a_sentence(tmp_path, kind, capsys):
    """Bytes of small archives are replaced at random; nothing but our own errors may come of it."""
    drawn = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    file = io.BytesIO()
    drawn.save(file, "JPEG")
    path = tmp_path / f"a{kind}"
    names = [(f"{i}.jpg", file.getvalue(), "ab"[i % 2]) for i in range(8)]
    if kind == ".parquet":
        write_parquet(path, names, group=3)
    else:
        with tarfile.open(path, "w") as archive:
            for name, content, label in names:
                add(archive, f"{label}/{name}", content)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    read = 0
    for _ in range(80):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.integers(1, 9)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        archives.indexed.cache_clear()
        try:
            photos = [photo for split in data.find(path) for photo in split.paths]
        except ValueError:
            continue
        for photo in photos:
            with contextlib.suppress(BadImageError):
                data.image_of(photo)
                read += 1
    assert read > 0


# ---------------------------------------------------------------------------------------------
# Parquet
# ---------------------------------------------------------------------------------------------


def write_parquet(path, rows, names=None, struct=True, group=7):
    """Write (path, content, label), and the split if there is a fourth, as Hugging Face does."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    paths, contents, labels, *splits = zip(*rows, strict=True)
    images = list(contents)
    if struct:
        images = [{"bytes": c, "path": p} for p, c in zip(paths, contents, strict=True)]
    columns = {"image": images, "label": list(labels), "more": [1] * len(rows)}
    if splits:
        columns["split"] = list(splits[0])
    table = pyarrow.table(columns)
    if names:
        feature = {"label": {"names": names, "_type": "ClassLabel"}}
        about = json.dumps({"info": {"features": feature}} if names != "broken" else ["no", "info"])
        table = table.replace_schema_metadata({"huggingface": about})
    parquet.write_table(table, path, row_group_size=group)
    return path


def rows_of(folder, names=None):
    found = []
    for path in sorted(folder.rglob("*.jpg"), reverse=True):
        label = path.parent.name
        found.append((path.name, path.read_bytes(), names.index(label) if names else label))
    return found


@pytest.mark.parametrize("named", [True, False])
def test_parquet_files_are_read_as_folders(clothes, tmp_path, named, monkeypatch):
    wanted = data.find(clothes)
    names = list(wanted.train.class_names) if named else None
    for split in data.SPLITS:
        write_parquet(tmp_path / f"{split}-0.parquet", rows_of(clothes / split, names), names)
    monkeypatch.setattr(archives, "LARGEST_KEPT", 30_000)  # bytes: some groups are read twice
    found = data.find(tmp_path)
    same(found, wanted)
    reader = Reader(32)
    np.testing.assert_array_equal(
        reader.read(found.test.paths[:3]), reader.read(wanted.test.paths[:3])
    )
    flat = clothes / "train"
    same(data.find(tmp_path / "train-0.parquet"), data.find(flat))


def test_a_column_named_split_divides_a_parquet_file(clothes, tmp_path):
    rows = [(*row, split) for split in data.SPLITS for row in rows_of(clothes / split)]
    path = write_parquet(tmp_path / "whole.parquet", rows)
    found, wanted = data.find(path), data.find(clothes)
    for photos, others in zip(found, wanted, strict=True):
        assert photos.class_names == others.class_names
        assert photos.labels.tolist() == others.labels.tolist()
    write_parquet(tmp_path / "more.parquet", rows_of(clothes / "test"))
    with pytest.raises(ValueError, match=r"or none\. Received 40 photos without a split"):
        data.find(tmp_path)
    write_parquet(path, [*rows[:-1], (*rows[-1][:3], "val")])
    with pytest.raises(ValueError, match=r"one of train, validation, test\. Received 'val'"):
        data.find(path)


def test_the_case_of_a_column_s_letters_does_not_matter(clothes, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    path = write_parquet(tmp_path / "a.parquet", rows_of(clothes / "train"))
    table = pyarrow.parquet.read_table(path).select(["image", "label"])
    wanted = data.find(path)
    pyarrow.parquet.write_table(table.rename_columns(["Image", "LABEL"]), path)
    same(data.find(path), wanted)
    both = table.append_column("Label", table["label"])
    pyarrow.parquet.write_table(both, path)
    same(data.find(path), wanted)
    pyarrow.parquet.write_table(both.rename_columns(["image", "Label", "LABEL"]), path)
    with pytest.raises(ValueError, match=r"one column named label\. Received Label and LABEL"):
        data.find(path)


def test_photos_without_names_are_numbered_and_without_labels_passed_over(clothes, tmp_path):
    rows = [("", content, label) for _, content, label in rows_of(clothes / "train")]
    rows[3] = ("", rows[3][1], None)
    path = write_parquet(tmp_path / "a.parquet", rows, struct=False)
    found = data.find(path)
    everything = sorted(p for split in found for p in split.paths)
    assert everything == [f"{path}/{i:08d}" for i in range(120) if i != 3]
    for split in found:
        for photo, label in zip(split.paths, split.labels, strict=True):
            assert rows[int(photo[-8:])][2] == split.class_names[label]
    assert archives.opened(path, data.endings()).passed_over == [("00000003", "without a label")]


def test_notes_in_a_parquet_file_that_are_of_another_form_name_no_class(clothes, tmp_path):
    rows = [(name, content, i % 2) for i, (name, content, _) in enumerate(rows_of(clothes))]
    path = write_parquet(tmp_path / "a.parquet", rows, "broken")
    assert data.find(path).train.class_names == ("0", "1")


def test_a_number_that_names_no_class_is_no_label(clothes, tmp_path):
    rows = [(name, content, -1 if i == 2 else i % 2)
            for i, (name, content, _) in enumerate(rows_of(clothes / "test"))]  # fmt: skip
    path = write_parquet(tmp_path / "a.parquet", rows, ["b", "a"])
    found = data.find(path)
    assert found.train.class_names == ("a", "b")
    assert sum(map(len, found)) == 39


def test_what_is_no_table_of_photos_is_refused(clothes, tmp_path, monkeypatch, capsys):
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no table PAR1")
    tables = {
        "b": {"label": [1]},
        "c": {"image": [b"x"], "other": [b"y"], "label": [1]},
        "d": {"image": [b"x"]},
        "e": {"image": [b"x"], "label": [0.0]},
        "f": {"image": [b"x"], "label": [True]},
    }
    words = {
        "a": "",
        "b": "these may be images: none",
        "c": "Received columns image, other, label, of which these may be images: image, other",
        "d": "one named label",
        "e": "each label should be a whole number or a text. Received 0.0",
        "f": "whole number or a text. Received True",
    }
    for name, table in tables.items():
        pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / f"{name}.parquet")
    for name, told in words.items():
        assert data.run(["--data", str(tmp_path / f"{name}.parquet")]) == 2
        err = capsys.readouterr().err
        assert "is not a Parquet file of photos: " in err
        assert told in err
        assert err.count("\n") == 1, err
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    archives.indexed.cache_clear()
    assert data.run(["--data", str(tmp_path / "a.parquet")]) == 2
    assert "pip install pyarrow" in capsys.readouterr().err


def test_a_photo_that_is_empty_or_too_large_is_bad(clothes, tmp_path, monkeypatch):
    rows = rows_of(clothes / "test")
    rows[0] = (rows[0][0], None, rows[0][2])
    path = write_parquet(tmp_path / "a.parquet", rows)
    with pytest.raises(BadImageError, match="has no bytes in the file"):
        data.image_of(f"{path}/{rows[0][0]}")
    monkeypatch.setattr(archives, "MAX_BYTES", 100)
    with pytest.raises(BadImageError, match=r"has [\d,]+ bytes: it is not a photo"):
        data.image_of(f"{path}/{rows[1][0]}")
    monkeypatch.setattr(archives, "LARGEST_GROUP", 100)
    archives.indexed.cache_clear()
    with pytest.raises(BadImageError, match="in one row group, of at most 100"):
        data.image_of(f"{path}/{rows[1][0]}")
