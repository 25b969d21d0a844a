"""Files from the network, into Keras's own cache: whole and checked, or not there at all."""

import base64
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minicnn.atomic import replacing
from minicnn.progress import Bar

LARGEST = 4 * 2**30  # bytes; no file that minicnn knows of has a tenth of it
_TIMEOUT = 30  # seconds without a byte
_PIECE = 2**20
_LOCAL = ("localhost", "127.0.0.1", "::1")


def keras_home() -> Path:
    """Where Keras keeps what it downloads: `$KERAS_HOME`, or `~/.keras`.

    minicnn keeps its files there too, so that one that Keras has fetched is not fetched again.
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
    """The path of `cache_dir/cache_subdir/fname`, downloaded from `origin` if it is not there.

    The file takes its name only when it is complete and its checksum is right; what an interrupt
    leaves is removed, and the next call starts anew.

    Args:
        fname: the name in the cache; the last part of `origin` if not given.
        origin: a URL, HTTPS (or HTTP on this machine).
        file_hash: MD5 or SHA-256 in hexadecimal. Without one the checksum that the server names
            counts, if it names one.
        cache_subdir, cache_dir: the folder; `cache_dir` is `keras_home()` if not given.
        force_download: even if the file is there.
        largest: bytes; more are refused.
        progress: a bar on stderr; None shows it on a terminal.

    Raises:
        ConnectionError: the server cannot be reached, says no, or breaks off.
        ValueError: the file is larger than `largest`, or its checksum is wrong.
    """
    if origin is None:
        raise ValueError("get_file expects origin, the URL to download from. Received None.")
    parts = urllib.parse.urlsplit(origin)
    fname = fname or Path(parts.path).name
    if not fname or Path(fname).name != fname or fname in (".", ".."):
        raise ValueError(f"get_file expects fname to be a plain file name. Received {fname!r}.")
    check_url(origin)
    folder = Path(cache_dir if cache_dir is not None else keras_home()).expanduser() / cache_subdir
    target = folder / fname
    if target.is_file() and not force_download and _is_right(target, file_hash):
        return str(target)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        _download(origin, temporary, target, file_hash, largest, progress)
    return str(target)


def fetch(
    url: str,
    largest: int,
    seconds: float | None = None,
    schemes: Sequence[str] = ("https",),
) -> bytes:
    """What the address holds, in memory.

    Args:
        url: HTTPS, or what else `schemes` allows (HTTP on this machine always).
        largest: bytes; more are refused.
        seconds: for all of it; None sets no limit but 30 seconds without a byte.

    Raises:
        ConnectionError: the server cannot be reached, says no, breaks off or takes too long.
        ValueError: another scheme, or more than `largest` bytes.
    """
    check_url(url, schemes)
    start = time.monotonic()
    content = bytearray()
    patience = _TIMEOUT if seconds is None else min(_TIMEOUT, seconds)
    try:
        with _opener(schemes).open(url, timeout=patience) as response:
            # read1 returns what has arrived, so that a trickle meets the clock too.
            while piece := response.read1(_PIECE):
                content += piece
                if len(content) > largest:
                    raise ValueError(f"{url} has more than {largest} bytes: refused.")
                if seconds is not None and time.monotonic() - start > seconds:
                    raise TimeoutError(f"it took more than {seconds:g} seconds")
            if response.length:
                raise ConnectionError(f"{url} broke off, {response.length} bytes early. Try again.")
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise ConnectionError(f"{url} cannot be downloaded: {_reason(error)}.") from error
    return bytes(content)


def _reason(error: Exception) -> object:
    """An HTTPError says "HTTP Error 404: Not Found" by itself, a URLError wraps its reason."""
    return error if hasattr(error, "code") else getattr(error, "reason", error)


def _download(
    url: str, temporary: Path, target: Path, file_hash: str | None, largest: int, show: bool | None
) -> None:
    try:
        with _opener(("https",)).open(url, timeout=_TIMEOUT) as response:
            total = int(response.headers.get("Content-Length") or -1)
            if total > largest:
                raise ValueError(
                    f"{url} has {total} bytes, more than the {largest} that are expected."
                )
            with temporary.open("wb") as file, _bar(target.name, total, show) as advance:
                size = 0
                while piece := response.read(_PIECE):
                    size += len(piece)
                    if size > largest:
                        raise ValueError(
                            f"{url} has more than the {largest} bytes that are expected."
                        )
                    file.write(piece)
                    advance(len(piece))
            if 0 <= total != size:
                raise ConnectionError(f"{url} broke off after {size} of {total} bytes. Try again.")
            expected = file_hash or _md5_of_server(response.headers)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise ConnectionError(
            f"{url} cannot be downloaded: {_reason(error)}. Without a network, put the file at "
            f"{str(target)!r} (or pass its path) yourself."
        ) from error
    if not _is_right(temporary, expected):
        raise ValueError(
            f"{url} was downloaded, and its checksum is not {expected}: the file is damaged or "
            "another one, and was not kept."
        )


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """A secure address must not lead to an insecure one, or to a file."""

    def __init__(self, schemes: Sequence[str]) -> None:
        self._schemes = schemes

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, url: Any
    ) -> Any:
        check_url(url, self._schemes)
        return super().redirect_request(req, fp, code, msg, headers, url)


def _opener(schemes: Sequence[str]) -> urllib.request.OpenerDirector:
    opener = urllib.request.build_opener(_SafeRedirects(schemes))
    opener.addheaders = [("User-Agent", "minicnn")]
    return opener


def check_url(url: str, schemes: Sequence[str] = ("https",)) -> None:
    """Raise a `ValueError` unless the address has one of these schemes, or is on this machine."""
    parts = urllib.parse.urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOCAL
    if not (parts.scheme in schemes or local) or not parts.hostname:
        allowed = " and ".join(scheme.upper() for scheme in schemes)
        raise ValueError(f"Only {allowed} addresses are downloaded. Received {url!r}.")


def _is_right(path: Path, file_hash: str | None) -> bool:
    return file_hash is None or _checksum(path, file_hash) == file_hash.lower()


def _checksum(path: Path, expected: str) -> str:
    """The file's checksum, of the kind that `expected` is by its length."""
    kinds = {32: "md5", 64: "sha256"}
    if len(expected) not in kinds:
        raise ValueError(f"A checksum is MD5 or SHA-256 in hexadecimal. Received {expected!r}.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, kinds[len(expected)]).hexdigest()


def _md5_of_server(headers: Any) -> str | None:
    """The MD5 that Google's storage sends along, in hexadecimal."""
    for entry in headers.get_all("x-goog-hash") or ():
        for kind in entry.split(","):
            name, _, value = kind.strip().partition("=")
            if name == "md5":
                return base64.b64decode(value).hex()
    return None


@contextmanager
def _bar(name: str, total: int, show: bool | None) -> Iterator[Callable[[int], None]]:
    from rich.progress import DownloadColumn, TimeRemainingColumn

    columns = (DownloadColumn(), TimeRemainingColumn())
    bar = Bar(columns, stderr=True, transient=False, show=show)
    with bar.open(name, total if total >= 0 else None):
        yield bar.advance
