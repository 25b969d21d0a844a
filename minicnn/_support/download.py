"""Downloads files into Keras's own cache: whole and checked, or not at all."""

import base64
import binascii
import hashlib
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn._support.addresses import UnreachableError, check_url, reason
from minicnn._support.atomic import remove_left, replacing
from minicnn._support.progress import Bar
from minicnn._support.reading import open_regular

if TYPE_CHECKING:
    from http.client import HTTPResponse

LARGEST = 4 * 2**30  # bytes; over ten times the largest file that minicnn knows of
_TIMEOUT = 30  # seconds without a byte
_PIECE = 2**20
_LEFT = 24 * 3600  # seconds without a byte, after which no one is downloading any more

__all__ = ["LARGEST", "check_url", "fetch", "get_file", "keras_home"]


def keras_home() -> Path:
    """Return the folder in which Keras keeps its downloads: `$KERAS_HOME`, or `~/.keras`.

    minicnn keeps its files there, too, so that a file that Keras has fetched is not fetched again.
    """
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    largest: int = LARGEST,
    progress: bool | None = None,
) -> str:
    """Return the path of `cache_dir/cache_subdir/fname`, downloaded from `origin` if missing.

    The file gets its name only when it is complete and its checksum is right; an interrupted
    download is removed (that of a killed process by a download a day later), and the next call
    starts again.

    Args:
        fname: the name in the cache; by default the last part of `origin`.
        origin: a URL, HTTPS (or HTTP on this machine). It may redirect to others of that kind,
            but not from the public network into a private one (see `minicnn._support.addresses`).
        file_hash: MD5 or SHA-256 in hexadecimal. Without one, the file must have the checksum that
            the server sends, if it sends one.
        cache_subdir, cache_dir: the folder; `cache_dir` is `keras_home()` by default.
        force_download: download even if the file is there.
        largest: bytes; a larger file is refused.
        progress: a bar on stderr; None shows it on a terminal only.

    Raises:
        ConnectionError: the server cannot be reached, refuses, contradicts itself, breaks off, or
            has nothing: an empty file is not kept.
        ValueError: the file is larger than `largest`, its checksum is wrong, or the address, the
            name or `file_hash` is invalid.
        OSError: the folder cannot be made or written to.
    """
    if origin is None:
        raise ValueError("get_file expects origin, the URL to download from. Received None.")
    check_url(origin)
    fname = os.fspath(fname) if fname else Path(urllib.parse.urlsplit(origin).path).name
    if not fname or Path(fname).name != fname or fname in (".", "..") or "\0" in fname:
        raise ValueError(f"get_file expects fname to be a plain file name. Received {fname!r}.")
    if file_hash is not None and not _is_checksum(file_hash):
        raise ValueError(f"A checksum is MD5 or SHA-256 in hexadecimal. Received {file_hash!r}.")
    folder = Path(cache_dir if cache_dir is not None else keras_home()).expanduser() / cache_subdir
    target = folder / fname
    if not force_download and _is_there(target, file_hash, largest):
        return str(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sentence = f"The folder {str(folder)!r} cannot be made: {error.strerror}."
        raise type(error)(f"{sentence} KERAS_HOME or cache_dir can name another.") from error
    remove_left(target, _LEFT)
    with replacing(target) as temporary:
        _download(origin, temporary, target, file_hash, largest, progress)
    return str(target)


def fetch(
    url: str,
    largest: int,
    seconds: float | None = None,
    schemes: Sequence[str] = ("https",),
) -> bytes:
    """Return the bytes at the address.

    Args:
        url: HTTPS, or another scheme in `schemes` (HTTP on this machine always). It may redirect to
            others of that kind, but not from the public network into a private one; a private
            address that the user gives is allowed (see `minicnn._support.addresses`).
        largest: bytes; more are refused.
        seconds: for the whole download; None sets no limit except 30 seconds without a byte.

    Raises:
        ConnectionError: the server cannot be reached, refuses, breaks off, takes too long, or has
            nothing.
        ValueError: another scheme, or more than `largest` bytes.
    """
    start = time.monotonic()
    content = bytearray()
    patience = _TIMEOUT if seconds is None else min(_TIMEOUT, seconds)
    with _opened(url, schemes, patience) as response:
        for piece in _pieces(url, response, largest):
            content += piece
            if seconds is not None and time.monotonic() - start > seconds:
                raise ConnectionError(
                    f"{url} cannot be downloaded: it took more than {seconds:g} seconds."
                )
    return bytes(content)


def _download(
    url: str, temporary: Path, target: Path, file_hash: str | None, largest: int, show: bool | None
) -> None:
    try:
        response = _opened(url, ("https",), _TIMEOUT)
    except UnreachableError as error:
        raise UnreachableError(
            f"{error} Without a network, put the file at {str(target)!r} (or pass its path) "
            "yourself."
        ) from error.__cause__
    with response:
        expected = file_hash or _md5_of_server(url, response.headers)
        total = _length(url, response)
        with temporary.open("wb") as file, _bar(target.name, total, show) as advance:
            for piece in _pieces(url, response, largest):
                file.write(piece)
                advance(len(piece))
    if expected is not None and _checksum(temporary, expected) != expected.lower():
        raise ValueError(
            f"{url} was downloaded, but its checksum is not {expected}: the file is damaged or a "
            "different one, and was not kept."
        )


def _opened(url: str, schemes: Sequence[str], seconds: float) -> "HTTPResponse":
    from minicnn._support import connections

    return connections.open_url(url, schemes, seconds)


def _pieces(url: str, response: "HTTPResponse", largest: int) -> Iterator[bytes]:
    """Yield the content, piece by piece: complete, not empty, and at most `largest` bytes."""
    from http.client import HTTPException

    total = _length(url, response)
    if total > largest:
        raise ValueError(f"{url} has {total} bytes, more than the {largest} that are expected.")
    size = 0
    while True:
        try:
            # read1 returns what has arrived, so that the time limit also ends a very slow download.
            piece = response.read1(_PIECE)
        except (OSError, HTTPException) as error:
            raise ConnectionError(
                f"{url} broke off after {size} bytes: {reason(error)}. Try again."
            ) from error
        if not piece:
            break
        size += len(piece)
        if size > largest:
            raise ValueError(f"{url} has more than the {largest} bytes that are expected.")
        yield piece
    if 0 <= total != size:
        raise ConnectionError(f"{url} broke off after {size} of {total} bytes. Try again.")
    if size == 0:
        raise ConnectionError(f"{url} has no content: an empty file is not kept.")


def _length(url: str, response: "HTTPResponse") -> int:
    """Return how many bytes the server says will come; -1 if it does not say."""
    told = {text.strip() for text in response.headers.get_all("Content-Length") or ()}
    if not told or response.chunked:
        return -1
    text = told.pop()
    if told or not re.fullmatch("[0-9]{1,18}", text):
        raise ConnectionError(
            f"{url} cannot be downloaded: the server says that its length is "
            f"{', '.join(repr(t[:40]) for t in sorted({text, *told}))}."
        )
    return int(text)


def _is_there(path: Path, file_hash: str | None, largest: int) -> bool:
    """Return whether the cache has the file: not empty, and with this checksum."""
    if not path.is_file() or not (size := path.stat().st_size):
        return False
    if file_hash is None:
        return True
    return size <= largest and _checksum(path, file_hash) == file_hash.lower()


def _is_checksum(text: object) -> bool:
    return isinstance(text, str) and bool(re.fullmatch("[0-9a-fA-F]{32}|[0-9a-fA-F]{64}", text))


def _checksum(path: Path, expected: str) -> str:
    """Return the file's checksum, of the same kind as `expected`, judged by its length."""
    with open_regular(path, "file") as file:
        return hashlib.file_digest(file, "md5" if len(expected) == 32 else "sha256").hexdigest()


def _md5_of_server(url: str, headers: Any) -> str | None:
    """Return the MD5 that Google's storage sends, in hexadecimal, or None."""
    for entry in headers.get_all("x-goog-hash") or ():
        for kind in entry.split(","):
            name, _, value = kind.strip().partition("=")
            if name != "md5":
                continue
            try:
                digest = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                digest = b""
            if len(digest) != 16:
                raise ConnectionError(
                    f"{url} cannot be downloaded: the server sends an invalid MD5, "
                    f"{value[:40]!r}. Pass file_hash to use a checksum of your own."
                )
            return digest.hex()
    return None


@contextmanager
def _bar(name: str, total: int, show: bool | None) -> Iterator[Callable[[int], None]]:
    from rich.progress import DownloadColumn, TimeRemainingColumn

    columns = (DownloadColumn(), TimeRemainingColumn())
    bar = Bar(columns, stderr=True, transient=False, show=show)
    with bar.open(name, total if total >= 0 else None):
        yield bar.advance
