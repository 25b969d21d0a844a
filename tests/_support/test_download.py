"""Downloads, here from a local server, are whole and checked, or leave nothing."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from downloads import CONTENT, MD5, SHA256, Server, files

from minicnn._support import addresses
from minicnn._support.download import fetch
from minicnn.utils import get_file


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("checksum", [None, MD5, SHA256, MD5.upper()])
def test_a_file_is_downloaded_once_and_kept(
    server: Server, tmp_path: Path, checksum: str | None
) -> None:
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


def test_the_url_gives_the_name_and_the_caller_may_give_the_folder(
    server: Server, tmp_path: Path
) -> None:
    path = get_file(origin=server.url("whole/file.bin?x=1"), cache_dir=tmp_path / "mine")
    assert path == str(tmp_path / "mine" / "datasets" / "file.bin")


def test_a_wrong_file_in_the_cache_is_downloaded_again(server: Server, tmp_path: Path) -> None:
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
        ("to/x?http://[::1", {}, ConnectionError, "to/x.* leads to an invalid address"),
        ("to/x?http://127.0.0.1:abc/", {}, ValueError, "to/x.*abc.*not an address: Port could not"),
        ("to/x?http://127.0.0.1:99999/", {}, ValueError, "to/x.*99999.*not an address: Port out"),
        ("to/x?ftp://127.0.0.1/x", {}, ValueError, "to/x.*Only HTTPS .*ftp://127.0.0.1/x"),
        ("loop/x", {}, ConnectionError, "loop/x cannot be downloaded: .*redirect.*loop"),
        ("status/204", {}, ConnectionError, "status/204 .*answers 204 No Content"),
        ("status/206", {}, ConnectionError, "status/206 .*answers 206 Partial Content"),
        ("status/304", {}, ConnectionError, "status/304 cannot be downloaded: .*304"),
        ("status/500", {}, ConnectionError, "status/500 cannot be downloaded: .*500"),
        ("length/x?abc", {}, ConnectionError, "length/x.*says that its length is 'abc'"),
        ("length/x?-5", {}, ConnectionError, "length/x.*says that its length is '-5'"),
        ("length/x?", {}, ConnectionError, "length/x.*says that its length is ''"),
        ("length/x?9999999999999", {}, ValueError, "length/x.* 9999999999999 bytes, more than"),
        ("lengths/x", {}, ConnectionError, "lengths/x.*its length is '7', '9'"),
        ("empty/x", {}, ConnectionError, "empty/x has no content: an empty file is not kept"),
        ("chunks/5", {}, ConnectionError, "chunks/5 broke off after 3 bytes|chunks/5 broke off"),
        ("chunks/zz", {}, ConnectionError, "chunks/zz broke off after 0 bytes"),
        ("hash/x?md5=!!", {}, ConnectionError, "hash/x.* sends an invalid MD5, '!!'"),
        ("hash/x?md5=YWJj", {}, ConnectionError, "hash/x.* sends an invalid MD5, 'YWJj'"),
    ],
)
def test_a_failed_download_leaves_nothing(
    server: Server, tmp_path: Path, path: str, options: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        get_file(origin=server.url(path), **options)
    assert files(tmp_path) == []


def test_the_error_about_a_reset_connection_names_the_address(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reset(*args: Any) -> Any:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr("http.client.HTTPResponse.read1", reset)
    with pytest.raises(ConnectionError, match=r"whole/x broke off after 0 bytes: .*reset"):
        get_file(origin=server.url("whole/x"))
    assert files(tmp_path) == []


def test_an_impossible_checksum_is_refused_before_any_request(server: Server) -> None:
    for wrong in ("abc", "g" * 32, MD5[:-1], SHA256 + "0", 5):
        with pytest.raises(ValueError, match="MD5 or SHA-256 in hexadecimal"):
            get_file(origin=server.url("whole/x"), file_hash=wrong)  # type: ignore[arg-type]
    assert server.asked == []


def test_an_empty_file_in_the_cache_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "home" / "datasets" / "file.bin"
    target.parent.mkdir(parents=True)
    target.touch()
    get_file(origin=server.url("whole/file.bin"))
    assert target.read_bytes() == CONTENT


def test_spaces_and_non_ascii_letters_are_sent_as_a_browser_sends_them(server: Server) -> None:
    path = get_file(origin=server.url("whole/ein Hüt.bin?größe=1 2&a=%20"))
    assert Path(path).name == "ein Hüt.bin"
    assert server.asked == ["whole/ein%20H%C3%BCt.bin?gr%C3%B6%C3%9Fe=1%202&a=%20"]


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(OSError, match=r"home/datasets' cannot be made: .*KERAS_HOME"):
        get_file(origin=server.url("whole/file.bin"))
    assert server.asked == []


# -- no redirection leads from the public network into a private one -------------------------------


PRIVATE = """
    127.0.0.1 10.1.2.3 192.168.1.1 172.16.0.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
    255.255.255.255 ::1 :: fe80::1%eth0 fd00::1 ff02::1 ::ffff:127.0.0.1 2002:7f00:1::
    64:ff9b::7f00:1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_private_addresses(address: str) -> None:
    assert addresses.is_private(address)


def test_public_addresses() -> None:
    for address in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert not addresses.is_private(address)


class Names:
    """Resolves names that end in .test; the local address counts as the public network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **known: list[str]) -> None:
        self.known, usual = known, socket.getaddrinfo
        self.asked: list[str] = []

        def look_up(host: str, port: int, *more: Any) -> Any:
            if not host.endswith(".test"):
                return usual(host, port, *more)
            self.asked.append(host)
            found = self.known[host.removesuffix(".test")]
            address = found.pop(0) if len(found) > 1 else found[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        private = addresses.is_private
        monkeypatch.setattr(addresses, "is_private", lambda a: a != "127.0.0.1" and private(a))


BOTH = ("http", "https")


INSIDE = """
    http://10.0.0.1/x http://inner.test/x http://rebound.test/x http://[::1]/x
    http://169.254.169.254/latest http://2130706434/
"""  # the last is 127.0.0.2


@pytest.mark.parametrize("inner", INSIDE.split())
def test_no_redirection_leads_from_the_public_network_into_a_private_one(
    server: Server, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    # `rebound.test` gives a public address to whatever looks it up once, as a check would.
    names = Names(monkeypatch, photos=["127.0.0.1"], inner=["10.0.0.1"], rebound=["127.0.0.2"])
    start = f"http://photos.test:{server.server_address[1]}/to/x?{inner}"
    with pytest.raises(ValueError, match=r"photos\.test.*from the public network to .*private"):
        fetch(start, 10**7, schemes=BOTH)
    assert names.asked.count("photos.test") == 1


def test_the_address_of_the_connection_counts_not_another_lookup(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, photos=["127.0.0.1", "10.0.0.1"])
    port = server.server_address[1]
    again = f"http://photos.test:{port}/whole/x"
    with pytest.raises(ValueError, match=r"photos\.test \(10\.0\.0\.1\), an address in a private"):
        fetch(f"http://photos.test:{port}/to/x?{again}", 10**7, schemes=BOTH)
    assert names.asked == ["photos.test"] * 2
    names.known["photos"] = ["127.0.0.1"]  # now both addresses are public
    assert fetch(f"http://photos.test:{port}/to/x?{again}", 10**7, schemes=BOTH) == CONTENT


def test_behind_a_proxy_the_name_in_the_redirection_counts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ValueError, match=r"from the public network to 10\.0\.0\.1"):
        fetch("http://photos.test/proxied/to?http://10.0.0.1/x", 10**7, schemes=BOTH)
    assert server.asked == ["http://photos.test/proxied/to?http://10.0.0.1/x"]


def test_a_private_address_may_redirect_to_a_private_one(server: Server) -> None:
    assert fetch(server.url(f"to/x?{server.url('whole/x')}"), 10**7) == CONTENT


def test_the_checksum_that_the_server_sends_is_used(server: Server) -> None:
    assert Path(get_file(origin=server.url("google/whole"))).read_bytes() == CONTENT


def test_without_a_network_the_error_is_one_sentence(server: Server, tmp_path: Path) -> None:
    url = server.url("whole/file.bin")
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError) as caught:
        get_file(origin=url)
    text = str(caught.value)
    assert text.startswith(f"{url} cannot be downloaded: ")
    assert f"put the file at {str(tmp_path / 'home' / 'datasets' / 'file.bin')!r}" in text
    assert files(tmp_path) == []


def test_what_a_killed_process_left_goes_a_day_later(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "datasets"
    folder.mkdir(parents=True)
    for name, age in (
        (".f[1].bin.0123abcd", 90_000),
        (".f[1].bin.89abcdef", 0),
        (".f[1].bin", 9e9),
    ):
        (folder / name).write_text("half")
        os.utime(folder / name, (time.time() - age,) * 2)
    get_file("f[1].bin", server.url("whole/file.bin"))
    assert files(folder) == [".f[1].bin", ".f[1].bin.89abcdef", "f[1].bin"]


def test_an_interrupt_leaves_what_was_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "home" / "datasets" / "file.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")

    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("hashlib.file_digest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get_file(origin=server.url("whole/file.bin"), file_hash=MD5, force_download=True)
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
        ({"origin": "https://example.com:abc/x"}, "not an address: Port could not"),
        ({"origin": "https://example.com:99999/x"}, "not an address: Port out of range"),
        ({"origin": "https://[::1/x"}, "not an address: Invalid IPv6"),
        ({"origin": "https://ä..example.com/x"}, "not an address"),
        ({"origin": "https://example.com/"}, "plain file name"),
        ({"origin": "https://example.com/.."}, "plain file name"),
        ({"origin": "https://example.com/x", "fname": "a\0b"}, "plain file name"),
        ({"origin": "https://example.com/x", "fname": "../x"}, "plain file name"),
        ({"origin": "https://example.com/x", "fname": ".."}, "plain file name"),
    ],
)
def test_a_wrong_address_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_file(**arguments)


def test_a_bar_shows_the_progress(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    get_file(origin=server.url("whole/file.bin"), progress=True)
    assert "file.bin" in capsys.readouterr().err
