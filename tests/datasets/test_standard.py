"""The standard data sets come from a server, here a local one, and are Keras's arrays."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from downloads import Server, files

from minicnn import datasets
from minicnn.datasets import cifar, cifar10, cifar100, fashion_mnist, fetching, mnist

Array = np.ndarray


@pytest.fixture(autouse=True)
def _here(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(fetching, "STORE", server.url("whole"))
    monkeypatch.setattr(cifar, "STORE", server.url("whole"))


def pixels(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).integers(0, 256, shape).astype(np.uint8)


def give(server: Server, module: Any, name: str, content: bytes, patch: Any) -> None:
    """Have the server answer with this content, and the module expect it."""
    server.contents[name] = content
    if hasattr(module, "CHECKSUM"):
        patch.setattr(module, "CHECKSUM", hashlib.sha256(content).hexdigest())


def same(found: Any, expected: Any) -> None:
    for part, other in zip(found, expected, strict=True):
        for a, b in zip(part, other, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_array_equal(a, b)


# -- MNIST -----------------------------------------------------------------------------------------


def npz(**arrays: Array) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_mnist(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pixels(5, 28, 28), pixels(5)
    content = npz(x_train=x[:3], y_train=y[:3], x_test=x[3:], y_test=y[3:])
    give(server, mnist, "mnist.npz", content, monkeypatch)
    for _ in range(2):
        same(datasets.mnist.load_data(), ((x[:3], y[:3]), (x[3:], y[3:])))
    assert server.asked == ["whole/mnist.npz"]
    assert files(tmp_path) == ["datasets/mnist.npz"]
    mnist.load_data("mine.npz")
    assert files(tmp_path) == ["datasets/mine.npz", "datasets/mnist.npz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "mnist.npz' is damaged: File is not a zip file"),
        (npz(x_train=pixels(1, 28, 28)), "mnist.npz' is damaged: .*y_train"),
        (
            npz(**dict.fromkeys(["x_train", "y_train", "x_test", "y_test"], np.array([{}]))),
            "mnist.npz' is damaged: .*allow_pickle",
        ),
    ],
)
def test_another_mnist_is_refused(
    content: bytes, message: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(server, mnist, "mnist.npz", content, monkeypatch)
    with pytest.raises(ValueError, match=message):
        mnist.load_data()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (pixels(3, 28, 28), pixels(2), r"test, should hold .*uint8 \(3, 28, 28\) and uint8 \(2,\)"),
        (pixels(3, 28, 30), pixels(3), r"It holds uint8 \(3, 28, 30\)"),
        (pixels(3, 28, 28).astype(float), pixels(3), r"It holds float64 \(3, 28, 28\)"),
        (pixels(3, 28, 28), np.array(7, np.uint8), r"uint8 \(\)"),
        (pixels(3, 28, 28), pixels(3).astype(str), "and <U3"),
    ],
)
def test_arrays_that_are_no_digits_are_refused(
    x: Array, y: Array, message: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = npz(x_train=pixels(1, 28, 28), y_train=pixels(1), x_test=x, y_test=y)
    give(server, mnist, "mnist.npz", content, monkeypatch)
    with pytest.raises(fetching.BadDataError, match=message):
        mnist.load_data()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (9, 28, 28)}",
        "{'descr': '|u1', 'fortran_order': False, 3: 4}",
        "(" * 5000,
    ],
    ids=["too large", "too short", "keys", "nested"],
)
def test_a_header_that_lies_is_refused(
    header: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", start + f"{header}\n".encode() + bytes(9))
    give(server, mnist, "mnist.npz", file.getvalue(), monkeypatch)
    with pytest.raises(fetching.BadDataError, match=r"mnist.npz' is damaged: "):
        mnist.load_data()


def test_clothes_of_another_size_are_refused(server: Server) -> None:
    clothes(server)
    server.contents["train-images-idx3-ubyte.gz"] = idx(pixels(4, 30, 28))
    with pytest.raises(fetching.BadDataError, match=r"part train .*It holds uint8 \(4, 30, 28\)"):
        fashion_mnist.load_data()


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.contents["mnist.npz"] = b"another file"
    with pytest.raises(ValueError, match="checksum is not 731c5ac"):
        mnist.load_data()
    assert files(tmp_path) == []


# -- Fashion-MNIST ---------------------------------------------------------------------------------


def packed(content: bytes) -> bytes:
    """Return the content as a gzip file, the same at any time of day."""
    return gzip.compress(content, 1, mtime=0)


def idx(x: Array) -> bytes:
    header = bytes([0, 0, 8, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape)
    return packed(header + x.tobytes())


def clothes(server: Server) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    parts = (pixels(4, 28, 28), pixels(4)), (pixels(2, 28, 28), pixels(2))
    for part, (x, y) in zip(("train", "t10k"), parts, strict=True):
        server.contents[f"{part}-images-idx3-ubyte.gz"] = idx(x)
        server.contents[f"{part}-labels-idx1-ubyte.gz"] = idx(y)
    return parts


def test_fashion_mnist(server: Server, tmp_path: Path) -> None:
    expected = clothes(server)
    for _ in range(2):
        found = datasets.fashion_mnist.load_data()
        same(found, expected)
    found[0][0][0] = 0  # as in Keras it can be written to, and the file stays as it is
    same(fashion_mnist.load_data(), expected)
    assert len(server.asked) == 4
    assert files(tmp_path)[0] == "datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"plain", "gz' is damaged: Not a gzipped file"),
        (idx(pixels(4))[:-9], "gz' is damaged: Compressed file ended"),
        (idx(pixels(2, 2)), "is not an IDX file of uint8 in 1 axes"),
        (packed(bytes([0, 0, 8, 1, 0, 0, 0, 9, 7])), r"shape \(9,\). It holds 1 bytes"),
        (idx(pixels(3)), r"part train should hold .* uint8 \(4, 28, 28\) and uint8 \(3,\)"),
        (packed(bytes(2**26 + 1)), "holds more than the 67,108,864 bytes"),
    ],
    ids=["plain", "cut off", "images for labels", "too short", "fewer labels", "too large"],
)
def test_other_clothes_are_refused(content: bytes, message: str, server: Server) -> None:
    clothes(server)
    server.contents["train-labels-idx1-ubyte.gz"] = content
    with pytest.raises(ValueError, match=message):
        fashion_mnist.load_data()


# -- CIFAR -----------------------------------------------------------------------------------------


def text(value: bytes) -> bytes:
    """Return the instruction by which Python 2 pickles a string."""
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<I", len(value)) + value


def whole(value: int) -> bytes:
    return b"K" + bytes([value])


def batch(data: Array, by_columns: bool = False, **labels: list[int]) -> bytes:
    """Return what Python 2's cPickle makes of a batch, as CIFAR's authors used it."""
    made = b"\x80\x02}q\x01(" + text(b"batch_label") + b"q\x02" + text(b"testing batch 1 of 1")
    for key, values in labels.items():
        made += text(key.encode()) + b"q\x03]q\x04("
        for start in range(0, len(values), 1000):
            made += b"".join(map(whole, values[start : start + 1000])) + b"e"
            made += b"(" if start + 1000 < len(values) else b""
    made += (
        text(b"data") + b"q\x05cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07"
    )
    made += whole(0) + b"\x85" + text(b"b") + b"\x87R(" + whole(1)
    made += b"".join(b"J" + struct.pack("<i", n) for n in data.shape) + b"\x86"
    made += b"cnumpy\ndtype\n" + text(b"u1") + whole(0) + whole(1) + b"\x87R("
    made += whole(3) + text(b"|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + whole(0) + b"tb"
    made += (b"\x88" if by_columns else b"\x89") + text(data.tobytes("F" if by_columns else "C"))
    made += b"tb" + text(b"filenames") + b"](" + text(b"cat_s_1.png") + text(b"data_s_2.png") + b"e"
    return made + b"u."


def archive(folder: str, contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        for name, content in {**contents, "readme.html": b"<p>"}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


def ten(count: int = 3) -> tuple[dict[str, bytes], Array, Array]:
    """Return the batches of a small CIFAR-10, and all images and labels."""
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    x = pixels(6, count, 3072)
    y = np.random.default_rng(0).integers(0, 10, (6, count))
    made = {n: batch(data, labels=labels.tolist()) for n, data, labels in zip(names, x, y)}
    return made, x.reshape(6 * count, 3, 32, 32).transpose(0, 2, 3, 1), y.reshape(-1, 1)


def test_cifar10(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches, x, y = ten()
    content = archive("cifar-10-batches-py", batches)
    give(server, cifar10, "cifar-10-python.tar.gz", content, monkeypatch)
    expected = (x[:15], y[:15].astype(np.uint8)), (x[15:], y[15:].astype(np.uint8))
    for _ in range(2):
        found = datasets.cifar10.load_data()
        same(found, expected)
        assert found[0][0].flags.c_contiguous
    assert server.asked == ["whole/cifar-10-python.tar.gz"]
    assert files(tmp_path) == ["datasets/cifar-10-batches-py-target_archive"]


def test_cifar100(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    x = pixels(2, 3, 3072)
    batches = {
        "train": batch(x[0], fine_labels=[99, 0, 7], coarse_labels=[19, 3, 0]),
        "test": batch(x[1], True, coarse_labels=[1, 2, 3], fine_labels=[4, 5, 6]),
    }
    content = archive("cifar-100-python", batches)
    give(server, cifar100, "cifar-100-python.tar.gz", content, monkeypatch)
    images = x.reshape(2, 3, 3, 32, 32).transpose(0, 1, 3, 4, 2)
    fine, coarse = np.array([[99, 0, 7], [4, 5, 6]]), np.array([[19, 3, 0], [1, 2, 3]])
    same(datasets.cifar100.load_data(), zip(images, fine[:, :, None]))
    same(cifar100.load_data("coarse"), zip(images, coarse[:, :, None]))
    with pytest.raises(ValueError, match=r"label_mode to be one of .*Received 'rough'"):
        cifar100.load_data("rough")


def test_batches_that_keras_has_unpacked_are_not_downloaded_again(
    server: Server, tmp_path: Path
) -> None:
    batches, x, y = ten()
    folder = tmp_path / "datasets" / "cifar-10-batches-py-target" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in batches.items():
        (folder / name).write_bytes(content)
    (x_train, y_train), _ = cifar10.load_data()
    np.testing.assert_array_equal(x_train, x[:15])
    np.testing.assert_array_equal(y_train, y[:15])
    assert server.asked == []


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"data": Evil()}), "It holds 0 bytes and 0 labels"),
        (batch(pixels(2, 3072), labels=[1, 2])[:-5000], "is damaged: "),
        (b"", "is damaged: pickle exhausted"),
        (batch(pixels(2, 3072), labels=[1]), "It holds 6144 bytes and 1 labels"),
        (batch(pixels(2, 3071), labels=[1, 2]), "It holds 6142 bytes and 2 labels"),
        (batch(pixels(2, 3072), fine_labels=[1, 2]), "It holds 6144 bytes and 0 labels"),
    ],
)
def test_another_batch_is_refused_and_nothing_is_run(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"The batch 'mine' .*{message}"):
        cifar.read_batch(content, "labels", "mine")
    assert files(tmp_path) == []


@pytest.mark.parametrize("cut", [0, 100, None])
def test_another_archive_is_refused(
    cut: int | None, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, _, _ = ten(1)
    del batches["data_batch_4"]
    content = archive("cifar-10-batches-py", batches)[:cut] or b"no archive"
    give(server, cifar10, "cifar-10-python.tar.gz", content, monkeypatch)
    message = "is damaged" if cut is not None else "should hold cifar-10-batches-py/data_batch_4"
    with pytest.raises(ValueError, match=message):
        cifar10.load_data()


# -- Keras -----------------------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.parametrize("by_columns", [False, True])
def test_keras_reads_the_same_batch(by_columns: bool, tmp_path: Path) -> None:
    keras_cifar = pytest.importorskip("keras.src.datasets.cifar")
    content = batch(pixels(2500, 3072), by_columns, labels=list(range(250)) * 10)
    (tmp_path / "batch").write_bytes(content)
    data, labels = keras_cifar.load_batch(str(tmp_path / "batch"))
    x, y = cifar.read_batch(content, "labels", "batch")
    np.testing.assert_array_equal(x, data.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(y[:, 0], labels)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_addresses_checksums_and_names_are_keras_s(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ask for the same files, under the same names and with the same checksums."""
    monkeypatch.undo()
    theirs = pytest.importorskip(f"keras.src.datasets.{name}")
    ours = getattr(datasets, name)
    asked: dict[Any, list[tuple[Any, ...]]] = {theirs: [], ours: []}

    def by_keras(
        fname: str,
        origin: str,
        file_hash: Any = None,
        cache_subdir: str = "datasets",
        extract: bool = False,
    ) -> str:
        place = f"{cache_subdir}/{fname}{'_archive' if extract else ''}"
        asked[theirs].append((place, origin, file_hash))
        return "nothing"

    def by_us(fname: str, origin: str, file_hash: Any, cache_subdir: str, largest: int) -> str:
        asked[ours].append((f"{cache_subdir}/{fname}", origin, file_hash))
        return "nothing"

    monkeypatch.setattr(theirs, "get_file", by_keras)
    monkeypatch.setattr(fetching, "get_file", by_us)
    monkeypatch.setenv("KERAS_HOME", "/nonexistent")
    for module in (theirs, ours):
        with pytest.raises((OSError, ValueError)):  # there is nothing to read
            module.load_data()
    assert sorted(asked[ours]) == sorted(asked[theirs])
