"""A local server that gives good and bad answers, for tests of downloads."""

import base64
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONTENT = bytes(range(256)) * 5000
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Records the paths it is asked for, and answers with its `content`, or that of a name."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []
        self.content = CONTENT
        self.contents: dict[str, bytes] = {}
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Answers(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        content = self.server.contents.get(Path(self.path).name, self.server.content)
        name = self.path.strip("/").split("/")[0]
        name = "to" if "/proxied/to" in self.path else name
        self.server.asked.append(self.path.strip("/"))
        if name == "moved":
            self._answer(302, {"Location": self.server.url("whole/file.bin")})
        elif name == "insecure":
            self._answer(302, {"Location": "http://example.com/file.bin"})
        elif name == "local":
            self._answer(302, {"Location": "file:///etc/hostname"})
        elif name == "to":  # to/?http://…
            self._answer(302, {"Location": self.path.partition("?")[2]})
        elif name == "loop":
            self._answer(302, {"Location": self.path})
        elif name == "status":  # status/204
            body = b"" if self.path.endswith(("204", "304")) else content
            self._answer(int(self.path.split("/")[2]), {}, body)
        elif name == "length":  # length/?abc
            self._answer(200, {"Content-Length": self.path.partition("?")[2]}, content[:100])
        elif name == "lengths":
            self._answer(200, {"Content-Length": "7", "content-length": "9"}, content[:7])
        elif name == "empty":
            self._answer(200, {"Content-Length": "0"})
        elif name == "chunks":  # chunks/5 promises chunks of five bytes, and sends three of each
            size = self.path.split("/")[2].encode()
            self.protocol_version = "HTTP/1.1"
            self._answer(200, {"Transfer-Encoding": "chunked"}, size + b"\r\nabc\r\n0\r\n\r\n")
            self.close_connection = True
        elif name == "hash":
            self._answer(200, {"x-goog-hash": self.path.partition("?")[2]}, content)
        elif name == "missing":
            self._answer(404, {})
        elif name == "cut":
            self._answer(200, {"Content-Length": str(len(content))}, content[:1000])
        elif name == "endless":
            self._answer(200, {}, content)
        elif name == "google":
            digest = base64.b64encode(hashlib.md5(content).digest()).decode()
            damaged = content[:-1] + b"!" if "damaged" in self.path else content
            hashes = {"x-goog-hash": f"crc32c=abc=,md5={digest}"}
            self._answer(200, {"Content-Length": str(len(damaged)), **hashes}, damaged)
        else:
            self._answer(200, {"Content-Length": str(len(content))}, content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
