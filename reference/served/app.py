"""Names what a photo shows: an HTTP service, a handler for AWS Lambda, and a command.

    python app.py                                              http://127.0.0.1:8080
    curl --data-binary @photo.jpg http://127.0.0.1:8080/predict
    python app.py photo.jpg folder/                            the same answers in a terminal
    python app.py --measure                                    sizes and times of a cold start

`handler` is for AWS Lambda, and `application` for any WSGI server (gunicorn app:application).
A photo becomes pixels exactly as the training photos did, and photos that arrive at the same time
go through the model together. Before the first answer, the self-test compares pixels and logits of
stored photos with those that they had where the model was exported.
"""

import argparse
import base64
import binascii
import io
import json
import os
import queue
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import numpy as np
from PIL import Image

Array = np.ndarray
FOLDER = Path(__file__).parent

MAX_BYTES = 10 * 2**20  # of an upload
PARTS = 100  # of the JSON around an upload: lists, objects and commas
MAX_PIXELS = 50_000_000  # of a photo: a small file may claim an image that no memory holds
BATCH = 32  # photos that go through the model together, at most
CONNECTIONS = 256  # at the same time; others wait
SECONDS = 30  # for a request, from its first byte to its answer
TOLERANCE = 1e-4  # of a probability in the self-test: processors round in different ways


class BadPhotoError(ValueError):
    """The request does not contain a photo that can be read."""


class BusyError(RuntimeError):
    """More photos are waiting than can be answered in time."""


# ---------------------------------------------------------------------------------------------
# Pixels
# ---------------------------------------------------------------------------------------------


def opened(data: bytes) -> Image.Image:
    """Decode a photo; raises `BadPhotoError` for anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked below
            image = Image.open(io.BytesIO(data), formats=formats())
        if image.width * image.height > MAX_PIXELS:
            raise BadPhotoError(
                f"The photo has {image.width}x{image.height} pixels; at most {MAX_PIXELS:,} are "
                "read."
            )
        image.load()
        if image.im.size != image.size:  # some of Pillow's plugins never compare these
            raise BadPhotoError("The photo is damaged: its size is not that of its header.")
    except (Image.DecompressionBombError, Image.UnidentifiedImageError):
        raise BadPhotoError("This is not an image that can be read.") from None
    except (BadPhotoError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise all kinds of errors
        raise BadPhotoError(f"The photo is damaged: {error or type(error).__name__}.") from None
    return image.convert("RGB") if image.mode == "LAB" else image


@cache
def formats() -> list[str]:
    """Return the formats of photos, as far as this Pillow has them.

    Pillow knows others, but PostScript is a program that may never end, and some files contain
    another file, which Pillow opens whatever it is.
    """
    Image.init()
    photos = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM")
    return [name for name in photos if name in Image.OPEN]


def pixels_of(data: bytes, size: int, interpolation: str) -> Array:
    """Return a photo's pixels, float32 (size, size, 3), red green blue from 0 to 255.

    "bilinear" is TensorFlow's, between the four neighbours and without smoothing; "antialias" is
    Pillow's bilinear, which smooths when it makes images smaller; "nearest" is Pillow's, too.
    EXIF's rotation is ignored, as in training.
    """
    image = opened(data)
    if interpolation in _PILLOWS:
        image = image.convert("RGB").resize((size, size), _PILLOWS[interpolation])
        return np.asarray(image, np.float32)
    if image.mode.startswith("I"):  # gray of 16 bits: the upper 8 remain
        gray = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return _bilinear(np.stack([gray] * 3, axis=2), size)
    return _bilinear(np.asarray(image.convert("RGB")), size)


_PILLOWS = {"nearest": Image.Resampling.NEAREST, "antialias": Image.Resampling.BILINEAR}


def _bilinear(x: Array, size: int) -> Array:
    top, bottom, down = _between(size, x.shape[0])
    left, right, across = _between(size, x.shape[1])

    def rows(chosen: Array) -> Array:
        lines = x[chosen]
        near, far = (lines[:, columns].astype(np.float32) for columns in (left, right))
        return np.asarray(near + (far - near) * across[:, None])

    above, below = rows(top), rows(bottom)
    return np.asarray(above + (below - above) * down[:, None, None])


def _between(new: int, old: int) -> tuple[Array, Array, Array]:
    """Return for each new pixel the two old ones around it, and how far it is to the second."""
    scale = np.float32(old) / np.float32(new)
    position = (np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    floor = np.floor(position)
    before = np.maximum(floor, 0).astype(np.intp)
    after = np.minimum(np.ceil(position), old - 1).astype(np.intp)
    return before, after, position - floor


# ---------------------------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------------------------

# The numbers of black and white in the model's input.
RANGES = {"pixels": (0.0, 255.0), "signed": (-1.0, 1.0), "unit": (0.0, 1.0)}


def scaled(x: Array, input_range: str) -> Array:
    """Return pixels from 0 to 255 in the range that the model expects, in float32."""
    low, high = RANGES[input_range]
    return x * np.float32((high - low) / 255) + np.float32(low)


def check_range(x: Array, input_range: str) -> None:
    """Raise a `ValueError` for pixels that are certainly in another range."""
    low, high = RANGES[input_range]
    margin = (high - low) / 1000
    if x.size and not (x.min() >= low - margin and x.max() <= high + margin):
        raise ValueError(
            f"The model expects red, green and blue from {low:g} to {high:g}. "
            f"Received {x.min():g} to {x.max():g}."
        )


def _on_onnx(path: Path) -> Callable[[Array], Array]:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0])


def _on_litert(path: Path) -> Callable[[Array], Array]:
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    into = interpreter.get_input_details()[0]["index"]
    out = interpreter.get_output_details()[0]["index"]

    def run(x: Array) -> Array:
        rows = []
        for photo in x:
            interpreter.set_tensor(into, photo[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(out)[0])
        return np.stack(rows)

    return run


def _on_minicnn(path: Path) -> Callable[[Array], Array]:
    if (FOLDER / "kernels").is_dir():  # compiled when the container image was built
        os.environ.setdefault("MINICNN_CACHE_DIR", str(FOLDER / "kernels"))
    from minicnn.models import load_model

    model = load_model(path, compile=False)
    return lambda x: np.asarray(model.predict(x, verbose=0))


RUNTIMES = {"model.onnx": _on_onnx, "model.tflite": _on_litert, "model.keras": _on_minicnn}


class Model:
    """The model in this folder; `model.json` says how to read photos for it."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        about = json.loads((folder / "model.json").read_text("utf-8"))
        self.file: str = about["file"]
        self.class_names: list[str] = about["class_names"]
        self.size: int = about["image_size"]
        self.interpolation: str = about["interpolation"]
        self.input_range: str = about["input_range"]
        self.run = RUNTIMES[self.file](folder / self.file)

    def pixels(self, data: bytes) -> Array:
        """Return a photo's pixels as the model expects them."""
        return scaled(pixels_of(data, self.size, self.interpolation), self.input_range)

    def logits(self, x: Array) -> Array:
        """Return (photos, classes) for pixels (photos, size, size, 3). Raises `ValueError`."""
        check_range(x, self.input_range)
        return self.run(x)

    def probabilities(self, logits: Array) -> Array:
        z = np.exp(np.float64(logits) - logits.max(axis=-1, keepdims=True))
        return np.asarray(z / z.sum(axis=-1, keepdims=True))

    def check(self) -> None:
        """Run the self-test; raise a `RuntimeError` that says what differs.

        `examples.npz` has photos, their pixels and their logits from where the model was exported.
        """
        with np.load(self.folder / "examples.npz", allow_pickle=False) as file:
            photos = [file[f"photo{i}"].tobytes() for i in range(len(file["logits"]))]
            pixels, logits = file["pixels"], file["logits"]
        for number, (photo, wanted) in enumerate(zip(photos, pixels, strict=True)):
            found = self.pixels(photo)
            if not np.array_equal(found, wanted):
                raise RuntimeError(
                    f"The self-test failed: pixels of photo {number} differ by up to "
                    f"{np.abs(found - wanted).max():g} from those in training. Pillow "
                    f"{Image.__version__} reads it here; requirements.txt says which one should."
                )
        told = self.probabilities(self.logits(pixels))
        difference = float(np.abs(told - self.probabilities(logits)).max())
        if not difference < TOLERANCE:
            raise RuntimeError(
                f"The self-test failed: probabilities differ by {difference:.1e} from the model's. "
                f"Is {self.file} whole, and from the same export as examples.npz?"
            )


class Service:
    """Answers photos; those that wait at the same time go through the model together."""

    def __init__(self, model: Model, waiting: int = CONNECTIONS) -> None:
        self.model = model
        self._waiting: queue.Queue[tuple[Array, Future[Array]]] = queue.Queue(waiting)
        self.decoders = threading.BoundedSemaphore(2 * (os.cpu_count() or 1))
        threading.Thread(target=self._work, daemon=True, name="model").start()

    def answer(self, data: bytes) -> dict[str, Any]:
        """Return the class, and the probability of each, highest first.

        Raises `BadPhotoError`, and `BusyError` if too many photos are waiting.
        """
        with self.decoders:  # a photo takes much more memory than its file
            x = self.model.pixels(data)
        coming: Future[Array] = Future()
        try:
            self._waiting.put_nowait((x, coming))
        except queue.Full:
            raise BusyError("Too many photos are waiting: try again later.") from None
        p = self.model.probabilities(coming.result())
        order = np.argsort(-p, kind="stable")
        found = {self.model.class_names[i]: round(float(p[i]), 6) for i in order}
        return {"class": self.model.class_names[order[0]], "classes": found}

    def _work(self) -> None:
        while True:
            taken = [self._waiting.get()]
            with suppress(queue.Empty):
                while len(taken) < BATCH:
                    taken.append(self._waiting.get_nowait())
            try:
                rows = self.model.logits(np.stack([x for x, _ in taken]))
                for row, (_, coming) in zip(rows, taken, strict=True):
                    coming.set_result(row)
            except Exception as error:  # waiting requests must get an answer, and others be served
                for _, coming in taken:
                    if not coming.done():
                        coming.set_exception(error)


_one_at_a_time = threading.Lock()


def service() -> Service:
    """Return the service of this folder, made once, after the self-test, for all requests."""
    with _one_at_a_time:  # `cache` alone would let each of the first requests load the model
        return _made()


@cache
def _made() -> Service:
    model = Model()
    model.check()
    return Service(model)


# ---------------------------------------------------------------------------------------------
# HTTP and AWS Lambda
# ---------------------------------------------------------------------------------------------


class Reply(NamedTuple):
    """An answer as JSON, and HTTP's number for it."""

    status: str
    told: dict[str, Any]


_USE = "POST a photo to /predict: curl --data-binary @photo.jpg ADDRESS/predict"


def reply(method: str, path: str, kind: str, body: bytes) -> Reply:
    """Answer one request, from any kind of server."""
    if path == "/health" and method in ("GET", "HEAD"):
        return Reply("200 OK", {"status": "ok", "model": service().model.file})
    if path != "/predict":
        return Reply("404 Not Found", {"error": f"There is nothing at this path. {_USE}"})
    if method != "POST":
        return Reply("405 Method Not Allowed", {"error": _USE})
    try:
        asked = service()
        with asked.decoders:  # JSON takes more memory than the photo in it
            photo = _photo_in(body, kind)
        return Reply("200 OK", asked.answer(photo))
    except BadPhotoError as error:
        return Reply("400 Bad Request", {"error": str(error)})
    except BusyError as error:
        return Reply("503 Service Unavailable", {"error": str(error)})


def _photo_in(body: bytes, kind: str) -> bytes:
    """Return the bytes of the photo in a request: the body itself, or {"photo": "base64"}."""
    if len(body) > MAX_BYTES * (2 if kind.startswith("application/json") else 1):
        raise BadPhotoError(f"A photo has at most {MAX_BYTES:,} bytes.")
    if not body:
        raise BadPhotoError("The request is empty: its body should be the photo.")
    if kind.startswith("multipart/"):
        raise BadPhotoError("This is a form: send the photo itself (curl --data-binary @photo).")
    if not kind.startswith("application/json"):
        return body
    try:
        if sum(map(body.count, (b"[", b"{", b","))) > PARTS:  # each takes much more than its byte
            raise ValueError
        photo = base64.b64decode(json.loads(body)["photo"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        raise BadPhotoError('JSON should be {"photo": "the photo in base64"}.') from None
    if len(photo) > MAX_BYTES:
        raise BadPhotoError(f"A photo has at most {MAX_BYTES:,} bytes.")
    return photo


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer for AWS Lambda: a function URL, API Gateway, or {"photo": "base64"} directly."""
    if "requestContext" not in event and "httpMethod" not in event:
        found = reply("POST", "/predict", "application/json", json.dumps(event).encode())
        if "error" in found.told:
            raise BadPhotoError(found.told["error"])
        return found.told
    asked = event.get("requestContext", {}).get("http", {})  # of a function URL
    method = asked.get("method") or event.get("httpMethod", "POST")
    path = event.get("rawPath") or event.get("path") or "/predict"
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    body = (event.get("body") or "").encode()
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body)  # Lambda itself has encoded it
    found = reply(method, path, headers.get("content-type", ""), body)
    return {
        "statusCode": int(found.status[:3]),
        "headers": {"content-type": "application/json"},
        "body": json.dumps(found.told),
    }


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request of a WSGI server."""
    try:
        found = _received(environ)
    except Exception as error:  # a defect: its traceback is in the log, not in the answer
        import traceback

        traceback.print_exception(error)
        found = Reply("500 Internal Server Error", {"error": "The service has failed."})
    body = json.dumps(found.told).encode() + b"\n"
    start(
        found.status,
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def _received(environ: dict[str, Any]) -> Reply:
    length = environ.get("CONTENT_LENGTH") or ""
    if environ["REQUEST_METHOD"] == "POST" and not length:
        return Reply("411 Length Required", {"error": "The request does not say its length."})
    if length and not (length.isascii() and length.isdecimal() and len(length) < 16):
        return Reply("400 Bad Request", {"error": "Content-Length should be a number of bytes."})
    count = int(length or 0)
    kind = environ.get("CONTENT_TYPE", "")
    if count > 2 * MAX_BYTES or (count > MAX_BYTES and not kind.startswith("application/json")):
        for _ in range(0, min(count, 8 * MAX_BYTES), 2**16):  # else the client misses the answer
            if not environ["wsgi.input"].read(2**16):
                break
        return Reply("413 Content Too Large", {"error": f"At most {MAX_BYTES:,} bytes."})
    body = environ["wsgi.input"].read(count)
    if len(body) < count:
        return Reply("400 Bad Request", {"error": "The request ended before its last byte."})
    return reply(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), kind, body)


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, up to `CONNECTIONS`, each for up to `SECONDS`."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._since: dict[socket.socket, float] = {}
        threading.Thread(target=self._end_old_ones, daemon=True, name="old ones").start()

    def server_bind(self) -> None:
        """Do not look up the machine's name, which may take seconds."""
        host, port = self.server_address[:2]
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(host), self.server_address[1] or int(port)
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        self._since[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except BaseException:  # the system may have no thread left
            self._end(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._end(request)

    def _end(self, request: Any) -> None:
        """Let another connection begin, once for each that ends."""
        if self._since.pop(request, None) is not None:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of a client that has gone."""
        if not isinstance(sys.exception(), (OSError, ValueError)):
            super().handle_error(request, client_address)

    def _end_old_ones(self) -> None:
        """End requests that take too long: clients that send a byte now and then."""
        while True:
            time.sleep(min(1, SECONDS / 10))
            now = time.monotonic()
            for request, since in list(self._since.items()):
                if now - since > SECONDS:
                    with suppress(OSError):
                        request.shutdown(socket.SHUT_RD)  # the answer can still go out


class Quiet(WSGIRequestHandler):
    """A handler that writes no line for each request."""

    def log_message(self, *arguments: Any) -> None:
        pass


def serve(host: str, port: int) -> None:
    """Answer until SIGTERM or an interrupt."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = service()  # the self-test comes before the first request
    with Server((host, port), Quiet) as server:
        server.set_app(application)
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        print(
            f"{asked.model.file} passed its self-test. Listening: http://{shown}:"
            f"{server.server_port}",
            flush=True,
        )
        with suppress(KeyboardInterrupt):
            server.serve_forever()


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def photos_in(paths: Iterable[Path]) -> Iterator[Path]:
    """Return files, and the files in folders."""
    for path in paths:
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def predict(paths: Iterable[Path]) -> int:
    """Print an answer for each photo, a JSON object per line; return 2 if a photo got an error."""
    asked, bad = service(), 0
    for path in photos_in(paths):
        try:
            found = asked.answer(path.read_bytes())
        except (OSError, BadPhotoError) as error:
            found, bad = {"error": str(error)}, 2
        print(json.dumps({"photo": str(path), **found}), flush=True)
    return bad


def first_answer() -> None:
    """Print the seconds that a new process takes for each part of its first answer."""
    start = time.perf_counter()
    model = Model()
    loaded = time.perf_counter()
    with np.load(FOLDER / "examples.npz", allow_pickle=False) as file:
        photo = file["photo0"].tobytes()
    seconds = []
    for _ in range(11):
        before = time.perf_counter()
        model.logits(model.pixels(photo)[None])
        seconds.append(time.perf_counter() - before)
    told = {"load": loaded - start, "first": seconds[0], "next": statistics.median(seconds[1:])}
    print(json.dumps(told))


def measure(times: int = 5) -> None:
    """Print the sizes of model and packages, and the median times of a cold start."""
    file = json.loads((FOLDER / "model.json").read_text("utf-8"))["file"]
    packages = (FOLDER / "requirements.txt").read_text("utf-8").split()
    size = sum(_size_of(line.partition("==")[0]) for line in packages if "==" in line)
    if file == "model.keras":
        size += sum(p.stat().st_size for p in (FOLDER / "minicnn").rglob("*") if p.is_file())
    runs = []
    for _ in range(times):
        start = time.perf_counter()
        command = [sys.executable, __file__, "--first-answer"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        whole = time.perf_counter() - start
        told = json.loads(done.stdout)
        runs.append({"whole": whole - 10 * told["next"], **told})
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    print(
        f"{file}: {(FOLDER / file).stat().st_size / 1e6:.1f} MB, packages {size / 1e6:.0f} MB. "
        f"A new process answers after {middle['whole']:.2f} s (the model loads in "
        f"{middle['load']:.2f} s, its first answer takes {1000 * middle['first']:.0f} ms), "
        f"then in {1000 * middle['next']:.0f} ms a photo."
    )


def _size_of(package: str) -> int:
    """Return the bytes of an installed package."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return 0
    return sum(Path(file.locate()).stat().st_size for file in files if Path(file.locate()).exists())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Names what photos show: a service, a command.")
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="files and folders")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    parser.add_argument("--port", type=int, default=8080, help="default: 8080; 0: any free one")
    parser.add_argument("--check", action="store_true", help="run the self-test and end")
    parser.add_argument("--measure", action="store_true", help="sizes, and times of a cold start")
    parser.add_argument("--first-answer", action="store_true", help="what --measure runs")
    options = parser.parse_args(arguments)
    try:
        if options.first_answer:
            first_answer()
        elif options.measure:
            measure()
        elif options.check:
            print(f"{service().model.file} passed its self-test.")
        elif options.photos:
            return predict(options.photos)
        else:
            serve(options.host, options.port)
    except (OSError, RuntimeError, ImportError, ValueError) as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
    service()  # before the first request: Lambda gives more power to this part

if __name__ == "__main__":
    sys.exit(main())
