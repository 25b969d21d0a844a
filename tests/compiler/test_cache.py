"""Damage to the compiler's cache, full disks and other users' files only cost a compilation."""

import errno
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minicnn import compilation
from minicnn.compiler import cache, kernel, loading, machine


def tiny(task, x):
    x[task] += 1


def flip_a_bit(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)


def make_a_link(entry: Path) -> None:
    entry.unlink()
    entry.symlink_to("/dev/zero")


def make_a_pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


DAMAGES = {
    "empty": lambda entry: entry.write_bytes(b""),
    "cut off": lambda entry: entry.write_bytes(entry.read_bytes()[:-100]),
    "a bit of it": flip_a_bit,
    "text": lambda entry: entry.write_text("no kernel"),
    "a pickle": lambda entry: entry.write_bytes(pickle.dumps(("0.61", {}))),
    "others may write": lambda entry: entry.chmod(0o666),
    "a link": make_a_link,
    "a pipe": make_a_pipe,
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for kernels, of which no warning has been given yet."""
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(cache, "warned", False)
    return tmp_path / "kernels"


def met(element: str = "float32") -> tuple[bytes, int]:
    """Return what a new process gives LLVM to load, and how many kernels it compiles first."""
    handed: list[bytes] = []
    before = compilation.count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "known", {})
        patch.setattr(machine, "load", lambda code, _: handed.append(code) or 1)
        array = np.zeros(1, element)
        kernel.Kernel(tiny, lambda x: x.size).prepared((array,))
    (code,) = handed
    return code, compilation.count - before


def entry_of(place: Path) -> Path:
    (entry,) = place.glob("*.o")
    return entry


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_kernel_is_compiled_again_and_replaced(
    place: Path, damage: Callable[[Path], object]
) -> None:
    good, compiled = met()
    assert compiled == 1
    damage(entry_of(place))
    assert met() == (good, 1)
    assert met() == (good, 0)
    assert [path.suffix for path in place.iterdir()] == [".o"]


def test_another_kernel_s_file_under_its_name_is_not_run(place: Path) -> None:
    first, _ = met("float32")
    content = entry_of(place).read_bytes()
    second, _ = met("float64")
    assert first != second
    for entry in place.glob("*.o"):
        entry.write_bytes(content)
    assert [met("float32"), met("float64")] == [(first, 0), (second, 1)]


def test_the_file_of_one_processor_is_not_another_s(place: Path, monkeypatch) -> None:
    """Nor is it under the other's name: the digest covers the processor, too."""
    here = machine.processor()
    met()
    content = entry_of(place).read_bytes()
    cache.about_machine.cache_clear()
    try:
        monkeypatch.setattr(machine, "processor", lambda: here._replace(name="another"))
        other = cache.Entry("test_cache.tiny", "about")
        assert other.file_name != entry_of(place).name
        (place / other.file_name).write_bytes(content)
        (place / other.file_name).chmod(0o644)
        assert other.read() is None
        assert list(place.glob("*.o")) == [entry_of(place)]
    finally:
        monkeypatch.undo()
        cache.about_machine.cache_clear()


def test_a_folder_may_be_named_from_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINICNN_CACHE_DIR", "~/kernels")
    assert cache.folders() == [Path.home() / "kernels"]


@pytest.mark.parametrize("named", [False, True])
def test_old_versions_of_a_kernel_go_when_it_is_compiled_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """A folder that the user has named keeps them: other processors may use it."""
    place.mkdir()
    if not named:
        monkeypatch.delenv("MINICNN_CACHE_DIR")
        monkeypatch.setattr(cache, "folders", lambda: [place])
    digests = ["a" * 20, "b" * 20]
    names = ["test_cache.tiny", "test_cache.tiny", "test_cache.other", "test_cache.tiny-tiny"]
    paths = [place / f"{name}-{digest}.o" for name, digest in zip(names, digests * 2)]
    paths.append(place / "test_cache.tiny-notes.o")
    for path in paths:
        path.write_bytes(b"machine code")
        os.utime(path, (0, time.time() - 91 * 24 * 3600))
    os.utime(paths[1], (0, time.time() - 89 * 24 * 3600))
    met()
    assert [path.exists() for path in paths] == [named, True, True, True, True]
    assert met()[1] == 0, "the new file is still there"


def test_a_disk_that_is_full_costs_a_compilation(place: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "mkstemp", refuse)
    with pytest.warns(RuntimeWarning, match="No space left on device") as told:
        found = met(), met()
    assert found[0] == found[1]
    assert found[0][1] == 1
    assert len(told) == 1
    assert list(place.glob("*")) == []


def test_a_write_that_breaks_off_leaves_nothing_behind(place: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    good, _ = met()
    before = entry_of(place).read_bytes()
    entry_of(place).chmod(0o666)  # so that it is not trusted, but written again
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.warns(RuntimeWarning, match="Input/output error"):
        assert met() == (good, 1)
    assert list(place.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("MINICNN_CACHE_DIR", str(place))
    assert met() == (good, 1)
    assert entry_of(place).read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users")
def test_a_folder_that_cannot_be_made_costs_a_compilation(place: Path) -> None:
    """A file is where the folder would be."""
    place.write_text("no folder")
    with pytest.warns(RuntimeWarning, match="cannot keep its compiled kernels: .* is not a folder"):
        assert met()[1] == 1
    assert place.read_text() == "no folder"


@pytest.mark.parametrize(
    ("folder", "file", "runs"),
    [(0o755, 0o644, True), (0o777, 0o644, False), (0o755, 0o666, False), (0o1777, 0o644, False)],
)
@pytest.mark.filterwarnings("ignore:minicnn cannot keep")
def test_no_code_runs_that_another_user_can_have_written(
    place: Path, folder: int, file: int, runs: bool
) -> None:
    good, _ = met()
    (entry,) = place.glob("*.o")
    # Its digest is right, since anyone can compute one.
    content = entry.read_bytes()
    name = entry.name.rpartition("-")[0]
    assert name == "test_cache.tiny"
    symbol = f"{tiny.__module__}.{tiny.__qualname__}_plain_float32[1]"
    about = f"{symbol}\n{loading.digest(__file__)}"
    ours = cache.Entry(name, about)
    assert ours.file_name == entry.name
    cache.write(entry, ours.key, b"\nforeign code")
    assert content != entry.read_bytes()
    entry.chmod(file)
    place.chmod(folder)
    assert met() == ((b"foreign code", 0) if runs else (good, 1))


def test_another_user_s_files_are_not_trusted(place: Path, monkeypatch) -> None:
    met()
    assert cache.trusted(entry_of(place).stat())
    if os.getuid() == 0:  # the files are root's own, so give this one to another user
        os.chown(entry_of(place), 12345, -1)
    monkeypatch.setattr(os, "getuid", lambda: 23456)
    assert not cache.trusted(entry_of(place).stat())
