"""`reference.data` and `reference.batches`: folders, bad photos, the download, and batches."""

import hashlib
import json
import shutil
import threading
import tracemalloc
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain

import numpy as np
import pytest

from minicnn.compiler import threads
from minicnn.images import BadImageError, ImageDataGenerator, image_dataset_from_directory
from reference import data
from reference.batches import Batches, pixels
from reference.data import Photos, Reader
from reference.fitting import run_epochs


@pytest.fixture
def copy(clothes, tmp_path):
    return shutil.copytree(clothes, tmp_path / "copy")


# ---------------------------------------------------------------------------------------------
# Folders
# ---------------------------------------------------------------------------------------------


def test_classes_are_numbered_in_the_order_of_folder_names(clothes):
    splits = data.find(clothes)
    assert [len(photos) for photos in splits] == [120, 60, 40]
    assert splits.train.class_names == tuple(sorted(p.name for p in (clothes / "train").iterdir()))
    for path, label in zip(splits.train.paths, splits.train.labels, strict=True):
        assert f"/train/{splits.train.class_names[label]}/" in path
    assert splits.train.one_hot().shape == (120, 10)
    assert splits.train.one_hot()[13].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_a_data_set_without_test_photos_has_none(copy):
    shutil.rmtree(copy / "test")
    assert data.find(copy).test is None


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda d: shutil.rmtree(d), FileNotFoundError, ["no folder", "download", "sample"]),
        (lambda d: shutil.rmtree(d / "validation"), FileNotFoundError, ["validation is missing"]),
        (
            lambda d: (d / "validation" / "hat").rename(d / "validation" / "cap"),
            ValueError,
            ["validation lacks hat", "train lacks cap", "same"],
        ),
        (lambda d: shutil.rmtree(d / "test" / "hat"), ValueError, ["test lacks hat"]),
        (
            lambda d: [p.unlink() for p in (d / "train" / "shoes").iterdir()],
            ValueError,
            ["no photos", "shoes (in its folder: nothing)"],
        ),
        (
            lambda d: [p.rename(p.with_suffix(".heic")) for p in (d / "train" / "hat").iterdir()],
            ValueError,
            ["no photos", "hat (in its folder: 12 .heic)"],
        ),
        (
            lambda d: [shutil.rmtree(p) for p in (d / "train").iterdir() if p.name != "hat"],
            ValueError,
            ["at least two", "Found hat"],
        ),
    ],
)
def test_a_folder_that_is_unfit_for_training_is_refused_in_a_sentence(copy, change, error, words):
    change(copy)
    with pytest.raises(error) as caught:
        data.find(copy)
    for word in words:
        assert word in str(caught.value)


def test_photos_of_every_kind_are_found_and_the_rest_is_listed(copy, capsys):
    hats = sorted((copy / "train" / "hat").iterdir())
    for path, ending in zip(
        hats, (".webp", ".jfif", ".TIF", ".heic", ".txt", ".txt"), strict=False
    ):
        path.rename(path.with_suffix(ending))
    train = data.find(copy).train
    assert (train.labels == train.class_names.index("hat")).sum() == 9
    assert capsys.readouterr().out == "  hat: 9 used, passed over 2 .txt, 1 .heic.\n"


# ---------------------------------------------------------------------------------------------
# Pixels
# ---------------------------------------------------------------------------------------------


def flow_from(clothes, **options):
    flow = ImageDataGenerator().flow_from_directory(
        clothes / "train", target_size=(32, 32), shuffle=False, batch_size=5, **options
    )
    return next(flow)[0]


def test_photos_are_read_as_by_both_of_keras_s_readers(clothes):
    train = data.find(clothes).train
    whole = image_dataset_from_directory(
        clothes / "train", image_size=(32, 32), shuffle=False, batch_size=None
    )
    for index, (wanted, _) in zip(range(5), whole):
        np.testing.assert_array_equal(Reader(32)(train.paths[index]), wanted)
    found = Reader(32, "nearest").read(train.paths[:5])
    np.testing.assert_array_equal(found, flow_from(clothes))
    assert found.dtype == np.float32
    assert found.max() > 100
    smooth = flow_from(clothes, interpolation="bilinear")
    np.testing.assert_array_equal(Reader(32, "antialias").read(train.paths[:5]), smooth)


@pytest.mark.parametrize("size", [8, 5000, 64.0, True, "64"])
def test_a_strange_image_size_is_refused(size):
    with pytest.raises(ValueError, match=r"16 to 2048.*Received"):
        Reader(size)


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match=r"bilinear, nearest, antialias.*'bicubic'"):
        Reader(64, "bicubic")


def test_decoding_ahead_keeps_the_order_and_every_photo(clothes):
    train, reader = data.find(clothes).train, Reader(24)
    found = np.concatenate(list(data.decoded(train, reader, 32)))
    np.testing.assert_array_equal(found, reader.read(train.paths))
    part = np.concatenate(list(data.decoded(train, reader, 7, slice(50, 75))))
    np.testing.assert_array_equal(part, found[50:75])


def damage(copy):
    """Damage three photos in train; return their names."""
    hats = sorted((copy / "train" / "hat").iterdir())
    hats[0].write_bytes(b"not a picture")
    hats[1].write_bytes(hats[1].read_bytes()[:300])
    hats[2].write_bytes(b"")
    return [path.name for path in hats[:3]]


@pytest.mark.parametrize(
    "look",
    [
        lambda photos: data.check(photos),
        lambda photos: list(data.decoded(photos, Reader(24), 32)),
        lambda photos: pixels(photos, Reader(24)),
    ],
)
def test_all_bad_photos_are_named_before_anything_is_trained(copy, look):
    bad = damage(copy)
    with pytest.raises(BadImageError, match="3 of 120 photos in train are bad") as caught:
        look(data.find(copy).train)
    for name in bad:
        assert name in str(caught.value)
    assert "--skip-bad-images" in str(caught.value)


def test_oversized_photos_are_bad_too(copy, monkeypatch):
    monkeypatch.setattr("minicnn.images.files.MAX_PIXELS", 1000)
    with pytest.raises(BadImageError, match=r"120 of 120 photos.*too large.*110 more"):
        data.check(data.find(copy).train)


def test_bad_photos_can_be_left_out(copy, capsys):
    bad = damage(copy)
    kept = data.check(data.find(copy).train, skip=True)
    assert len(kept) == 117
    assert not any(path.endswith(tuple(bad)) for path in kept.paths)
    assert [int((kept.labels == i).sum()) for i in range(10)] == [12, 9, *[12] * 8]
    printed = capsys.readouterr().out
    assert all(name in printed for name in bad)


def test_a_class_whose_photos_are_all_bad_is_not_left_out_silently(copy):
    for path in (copy / "train" / "hat").iterdir():
        path.write_bytes(b"no")
    with pytest.raises(ValueError, match="no readable photo of hat"):
        data.check(data.find(copy).train, skip=True)


def test_the_checksum_changes_with_photos_and_order(clothes):
    train = data.find(clothes).train
    assert train.sha256() == data.find(clothes).train.sha256()
    assert train.sha256() != train.keep(range(119)).sha256()
    assert train.sha256() != train.keep([1, 0, *range(2, 120)]).sha256()


# ---------------------------------------------------------------------------------------------
# The download, from a local server that answers as GitHub does
# ---------------------------------------------------------------------------------------------


def git_id(kind, content):
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


class GitHub:
    """Serves the files of a dictionary, records what was asked for, and can be told to fail."""

    commit = "1" * 40

    def __init__(self, files):
        self.files, self.asked, self.fail, self.damaged = files, [], set(), set()
        self.lie = False
        self.entries = []
        self.tree = self._tree("", files)

    def _tree(self, prefix, files):
        names = sorted({path.split("/")[0] for path in files})
        rows = []
        for name in names:
            if name in files:
                number, mode, kind = git_id("blob", files[name]), "100644", "blob"
            else:
                inside = {
                    p[len(name) + 1 :]: c for p, c in files.items() if p.startswith(name + "/")
                }
                number, mode, kind = self._tree(f"{prefix}{name}/", inside), "040000", "tree"
            rows.append((name + ("/" if kind == "tree" else ""), name, mode, number))
            path = prefix + name
            self.entries.append({"path": path, "mode": mode, "type": kind, "sha": number})
        body = b"".join(
            f"{mode.lstrip('0')} {name}\0".encode() + bytes.fromhex(number)
            for _, name, mode, number in sorted(rows)
        )
        return git_id("tree", body)

    def answer(self, path):
        if path == f"/repos/me/photos/git/commits/{self.commit}":
            return json.dumps({"sha": self.commit, "tree": {"sha": self.tree}}).encode()
        if path == f"/repos/me/photos/git/trees/{self.tree}?recursive=1":
            entries = self.entries[:-1] if self.lie else self.entries
            return json.dumps({"sha": self.tree, "tree": entries, "truncated": False}).encode()
        name = path.removeprefix(f"/me/photos/{self.commit}/")
        self.asked.append(name)
        if name in self.fail or name not in self.files:
            return None
        return self.files[name][:-1] + b"?" if name in self.damaged else self.files[name]


class Handler(BaseHTTPRequestHandler):
    def __init__(self, github, *arguments):
        self.github = github
        super().__init__(*arguments)

    def do_GET(self):
        content = self.github.answer(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def github(clothes):
    files = {
        str(path.relative_to(clothes)): path.read_bytes()
        for path in sorted(clothes.rglob("*-000[01].jpg"))
    }
    files |= {"LICENSE": b"CC0", "train/hat/notes.txt": b"no photo", "code/run.py": b"print()"}
    made = GitHub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, made))
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    made.address = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()


def fetch(github, folder):
    return data.download(
        folder, "me/photos", github.commit, api=github.address, files=github.address
    )


def test_the_download_gets_every_photo_and_nothing_else(github, tmp_path):
    folder = fetch(github, tmp_path / "got")
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    others = ("train/hat/notes.txt", "code/run.py")
    assert found == {name: c for name, c in github.files.items() if name not in others}
    assert len(data.find(folder).train) == 20


def test_an_interrupted_download_goes_on_where_it_stopped(github, tmp_path):
    missing = sorted(name for name in github.files if name.startswith("train/t-shirt/"))
    github.fail = set(missing)
    with pytest.raises(ConnectionError, match=r"404.*goes on from there.*--data sample"):
        fetch(github, tmp_path / "got")
    there = [p for p in (tmp_path / "got").rglob("*") if p.is_file()]
    assert there
    assert all(not p.name.startswith(".") for p in there), "half a file was left"
    github.fail, github.asked = set(), []
    fetch(github, tmp_path / "got")
    assert set(missing) <= set(github.asked)
    assert len(github.asked) == 61 - len(there)


def test_a_damaged_file_is_refused_and_an_old_one_replaced(github, tmp_path):
    name = "test/hat/hat-0000.jpg"
    github.damaged = {name}
    with pytest.raises(ValueError, match=rf"{name} arrived damaged"):
        fetch(github, tmp_path / "got")
    assert not (tmp_path / "got" / name).exists()
    github.damaged = set()
    (tmp_path / "got" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "got" / name).write_bytes(b"something else")
    fetch(github, tmp_path / "got")
    assert (tmp_path / "got" / name).read_bytes() == github.files[name]


def test_a_list_that_is_not_the_commit_s_is_refused(github, tmp_path):
    github.lie = True
    with pytest.raises(ValueError, match="does not have the checksum of commit"):
        fetch(github, tmp_path / "got")
    assert not (tmp_path / "got").exists()


# ---------------------------------------------------------------------------------------------
# Batches
# ---------------------------------------------------------------------------------------------


def rows_of_epoch(batches):
    found = [batches[index] for index in range(len(batches))]
    batches.epoch += 1
    return [x[:, 0].astype(int).tolist() for x, _ in found]


def counted(count, **options):
    x = np.arange(count, dtype=np.float32)[:, None]
    return Batches(x, np.eye(2, dtype=np.float32)[np.arange(count) % 2], **options)


def test_an_epoch_has_every_photo_once_in_an_order_of_its_own():
    batches = counted(10, batch_size=4, seed=3)
    first, second = rows_of_epoch(batches), rows_of_epoch(batches)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second
    again = counted(10, batch_size=4, seed=3)
    again.epoch = 1
    assert rows_of_epoch(again) == second
    assert rows_of_epoch(counted(10, batch_size=4, seed=4)) != first
    assert rows_of_epoch(counted(10, batch_size=4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_x_and_y_stay_together():
    batches = counted(9, batch_size=4, seed=0)
    for index in range(len(batches)):
        x, y = batches[index]
        np.testing.assert_array_equal(y.argmax(axis=1), x[:, 0].astype(int) % 2)


class Group:
    def __init__(self, count, index):
        self.count, self.index = count, index

    def share(self, total):
        return slice(total * self.index // self.count, total * (self.index + 1) // self.count)


def test_processes_share_each_batch_of_a_single_process():
    alone = rows_of_epoch(counted(23, batch_size=6, seed=1))
    shared = [rows_of_epoch(counted(23, batch_size=6, seed=1, group=Group(3, i))) for i in range(3)]
    for number, batch in enumerate(alone):
        parts = [rows[number] for rows in shared]
        assert len({len(part) for part in parts}) == 1, "a process with another count would wait"
        assert list(chain(*parts)) == batch[: len(batch) // 3 * 3]


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match=r"multiple of 3. Received 32"):
        counted(23, batch_size=32, group=Group(3, 0))
    with pytest.raises(ValueError, match="2 photos are too few for 3 processes"):
        counted(2, batch_size=3, group=Group(3, 0))


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_keras_learns_from_the_batches_in_this_order(steps_per_execution):
    import keras

    seen = []

    class Watched(Batches):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            seen.append(x[:, 0].astype(int).tolist())
            return x, y

    x = np.arange(10, dtype=np.float32)[:, None]
    y = np.eye(2, dtype=np.float32)[np.arange(10) % 2]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, steps_per_execution=steps_per_execution)
    wanted = counted(10, batch_size=4, seed=5)
    for epochs in (range(2, 4), range(4, 5)):  # the second call continues with a built model
        run_epochs(model, Watched(x, y, 4, seed=5), None, epochs, [])
        wanted.epoch = epochs.start
        expected = [batch for _ in epochs for batch in rows_of_epoch(wanted)]
        # Keras reads the first batches once more, for their shapes.
        assert seen[-len(expected) :] == expected


def test_photos_that_do_not_fit_in_memory_are_decoded_on_request(clothes, monkeypatch):
    train, reader = data.find(clothes).train, Reader(24)
    kept = pixels(train, reader)
    monkeypatch.setattr("reference.batches.LARGEST_KEPT", 1000)
    read = pixels(train, reader)
    rows = np.array([5, 119, 0])
    np.testing.assert_array_equal(read(rows), kept[rows])


@pytest.mark.slow
def test_photos_that_are_kept_take_their_memory_once(clothes, monkeypatch):
    monkeypatch.setattr(threads, "SCRATCH", 2**17)  # of each thread that reads; mostly untouched
    train = data.find(clothes).train
    photos = train.keep(np.tile(np.arange(len(train)), 6))
    tracemalloc.start()
    kept = pixels(photos, Reader(32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept.shape == (720, 32, 32, 3)
    assert peak < 1.5 * kept.nbytes


def test_a_split_can_be_cut_to_some_photos():
    photos = Photos("train", ("a", "b", "c"), np.array([0, 1, 1]), ("x", "y"))
    assert photos.keep([2, 0]).paths == ("c", "a")
    assert photos.keep([2, 0]).labels.tolist() == [1, 0]
