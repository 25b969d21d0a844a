"""Downloads, from a server on this machine: whole and checked, or not there at all."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from minicnn import download
from minicnn.utils import get_file

CONTENT = bytes(range(256)) * 5000
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Answers(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.strip("/").split("/")[0]
        self.server.asked.append(self.path.strip("/"))
        if name == "moved":
            self._answer(302, {"Location": self.server.url("whole/file.bin")})
        elif name == "insecure":
            self._answer(302, {"Location": "http://example.com/file.bin"})
        elif name == "local":
            self._answer(302, {"Location": "file:///etc/hostname"})
        elif name == "missing":
            self._answer(404, {})
        elif name == "cut":
            self._answer(200, {"Content-Length": str(len(CONTENT))}, CONTENT[:1000])
        elif name == "endless":
            self._answer(200, {}, CONTENT)
        elif name == "google":
            digest = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
            damaged = CONTENT[:-1] + b"!" if "damaged" in self.path else CONTENT
            hashes = {"x-goog-hash": f"crc32c=abc=,md5={digest}"}
            self._answer(200, {"Content-Length": str(len(damaged)), **hashes}, damaged)
        else:
            self._answer(200, {"Content-Length": str(len(CONTENT))}, CONTENT)

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("checksum", [None, MD5, SHA256, MD5.upper()])
def test_a_file_comes_once_and_stays(server: Server, tmp_path: Path, checksum: str | None) -> None:
    for _ in range(2):
        path = get_file(
            "f.bin", server.url("whole/file.bin"), file_hash=checksum, cache_subdir="models"
        )
        assert Path(path).read_bytes() == CONTENT
        assert path == str(tmp_path / "home" / "models" / "f.bin")
    assert len(server.asked) == 1
    assert files(tmp_path) == ["home/models/f.bin"]
    get_file("f.bin", server.url("whole/file.bin"), cache_subdir="models", force_download=True)
    assert len(server.asked) == 2


def test_the_name_is_the_url_s_and_the_folder_may_be_given(server: Server, tmp_path: Path) -> None:
    path = get_file(origin=server.url("whole/file.bin?x=1"), cache_dir=tmp_path / "mine")
    assert path == str(tmp_path / "mine" / "datasets" / "file.bin")


def test_what_is_there_and_wrong_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "home" / "datasets" / "file.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-5])
    get_file(origin=server.url("whole/file.bin"), file_hash=MD5)
    assert target.read_bytes() == CONTENT


def test_a_redirection_is_followed(server: Server) -> None:
    path = get_file("f.bin", server.url("moved"), file_hash=MD5)
    assert Path(path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "options", "error", "message"),
    [
        ("whole/x", {"file_hash": "0" * 32}, ValueError, "checksum is not 0000.*was not kept"),
        ("whole/x", {"file_hash": "abc"}, ValueError, "MD5 or SHA-256 in hexadecimal"),
        ("google/damaged", {}, ValueError, "checksum is not .*damaged"),
        ("cut/x", {}, ConnectionError, f"broke off after 1000 of {len(CONTENT)} bytes"),
        ("whole/x", {"largest": 1000}, ValueError, f"has {len(CONTENT)} bytes, more than the 1000"),
        ("endless/x", {"largest": 1000}, ValueError, "has more than the 1000 bytes"),
        ("missing/x", {}, ConnectionError, "cannot be downloaded: .*404.*put the file at"),
        ("insecure", {"fname": "x"}, ValueError, "Only HTTPS .*http://example.com"),
        ("local", {"fname": "x"}, (ValueError, ConnectionError), "file:///etc/hostname"),
    ],
)
def test_what_goes_wrong_leaves_nothing(
    server: Server, tmp_path: Path, path: str, options: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        get_file(origin=server.url(path), **options)
    assert files(tmp_path) == []


def test_the_checksum_that_the_server_names_counts(server: Server) -> None:
    assert Path(get_file(origin=server.url("google/whole"))).read_bytes() == CONTENT


def test_without_a_network_one_sentence(server: Server, tmp_path: Path) -> None:
    url = server.url("whole/file.bin")
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError) as caught:
        get_file(origin=url)
    text = str(caught.value)
    assert text.startswith(f"{url} cannot be downloaded: ")
    assert f"put the file at {str(tmp_path / 'home' / 'datasets' / 'file.bin')!r}" in text
    assert files(tmp_path) == []


def test_an_interrupt_leaves_what_was_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "home" / "datasets" / "file.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")

    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "_is_right", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get_file(origin=server.url("whole/file.bin"), force_download=True)
    assert target.read_bytes() == b"old"
    assert files(tmp_path) == ["home/datasets/file.bin"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expects origin"),
        ({"origin": "http://example.com/x"}, "Only HTTPS"),
        ({"origin": "ftp://example.com/x"}, "Only HTTPS"),
        ({"origin": "file:///etc/hostname"}, "Only HTTPS"),
        ({"origin": "https:///x"}, "Only HTTPS"),
        ({"origin": "https://example.com/"}, "plain file name"),
        ({"origin": "https://example.com/x", "fname": "../x"}, "plain file name"),
        ({"origin": "https://example.com/x", "fname": ".."}, "plain file name"),
    ],
)
def test_a_wrong_address_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_file(**arguments)


def test_a_bar_shows_the_way(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    get_file(origin=server.url("whole/file.bin"), progress=True)
    assert "file.bin" in capsys.readouterr().err
