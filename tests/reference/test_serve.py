"""A folder that `reference.export --serve` writes answers as Keras does, whatever it is sent."""

import base64
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from photos import PROGRAM, in_iptc
from PIL import Image

from minicnn import functional
from minicnn.images.files import READINGS
from reference import export, predict, serve
from reference import model as models
from reference.data import Reader
from reference.served import app


def photo(mode="RGB", form="PNG", size=(37, 53)):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(np.random.default_rng(0).integers(0, 2**16, size, np.uint16))
    else:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


# ---------------------------------------------------------------------------------------------
# Pixels
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", READINGS)
@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *((mode, "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")),
        *((mode, "JPEG") for mode in ("RGB", "L", "CMYK")),
        ("LAB", "TIFF"), ("RGB", "WEBP"), ("RGB", "GIF"),
    ],
)  # fmt: skip
def test_pixels_are_those_of_training(mode, form, interpolation):
    for size in ((37, 53), (64, 64), (1, 200)):
        file = photo(mode, form, size)
        wanted = Reader(64, interpolation)(io.BytesIO(file))
        found = app.pixels_of(file, 64, interpolation)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_bilinear_by_hand():
    """Two pixels, 0 and 100, become four: a quarter and three quarters of the way between."""
    file = io.BytesIO()
    Image.fromarray(np.array([[[0] * 3, [100] * 3]], np.uint8)).save(file, "PNG")
    found = app.pixels_of(file.getvalue(), 4, "bilinear")
    assert found[0, :, 0].tolist() == [0, 25, 75, 100]
    assert (found == found[:1, :, :1]).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no photo", "not an image"),
        (photo(form="JPEG")[:-500], "damaged"),
        (PROGRAM, "not an image"),
        (in_iptc(PROGRAM, (5, 5)), "not an image"),
        (photo(form="ICNS", size=(16, 16)), "not an image"),  # has another file inside
        (photo(size=(80, 80)), "80x80 pixels; at most 5,000"),
    ],
)
def test_what_is_no_photo_is_refused(data, words, monkeypatch):
    monkeypatch.setattr(app, "MAX_PIXELS", 5000)
    with pytest.raises(app.BadPhotoError, match=words):
        app.pixels_of(data, 32, "bilinear")


def test_a_size_that_is_not_that_of_the_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(app, "formats", lambda: ["IPTC"])
    file = in_iptc(photo("L", size=(4, 4)), (12, 12), gray=True)
    with pytest.raises(app.BadPhotoError, match="its size is not that of its header"):
        app.pixels_of(file, 32, "bilinear")


# ---------------------------------------------------------------------------------------------
# The model's range
# ---------------------------------------------------------------------------------------------

X = np.array([0, 51, 255], np.float32)


@pytest.mark.parametrize(
    ("name", "wanted"), [("pixels", [0, 51, 255]), ("signed", [-1, -0.6, 1]), ("unit", [0, 0.2, 1])]
)
def test_ranges_by_hand(name, wanted):
    np.testing.assert_allclose(app.scaled(X, name), wanted, rtol=1e-6)
    app.check_range(app.scaled(X, name), name)


@pytest.mark.parametrize(
    ("given", "expected"), [("signed", "pixels"), ("signed", "unit"), ("pixels", "signed")]
)
def test_another_range_is_refused(given, expected):
    low, high = app.RANGES[expected]
    with pytest.raises(ValueError, match=f"from {low:g} to {high:g}"):
        app.check_range(app.scaled(X, given), expected)


def test_a_model_of_another_range_gives_the_same():
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    x = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype(np.float32)
    wanted = np.asarray(model(x))
    for name in app.RANGES:
        found = export.with_range(model, name, guard=True)(app.scaled(x, name))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", app.RANGES)
def test_an_onnx_file_refuses_pixels_of_another_range(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    step = helper.make_node("Flatten", ["x"], ["y"])
    x = helper.make_tensor_value_info("x", floats, ["photos", 2, 2, 3])
    y = helper.make_tensor_value_info("y", floats, ["photos", 12])
    made = helper.make_model(
        helper.make_graph([step], "photos", [x], [y]),
        opset_imports=[helper.make_opsetid("", 15)],
        ir_version=9,
    )
    onnx.save(made, tmp_path / "model.onnx")
    export.add_guard(tmp_path / "model.onnx", name)
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), quiet)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 2, 2, 3)).astype(np.float32)
    good = app.scaled(pixels, name)
    np.testing.assert_array_equal(session.run(None, {"x": good})[0], good.reshape(3, 12))
    wrong = app.scaled(pixels, "pixels" if name == "signed" else "signed")
    low, high = app.RANGES[name]
    with pytest.raises(Exception, match=f"expects red, green and blue from {low:g} to {high:g}"):
        session.run(None, {"x": wrong})


# ---------------------------------------------------------------------------------------------
# The service
# ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Write the folder of a model whose logits are the photo's mean red, green and blue."""
    told = {
        "file": "model.onnx", "class_names": ["red", "green", "blue"], "image_size": 16,
        "interpolation": "bilinear", "input_range": "pixels",
    }  # fmt: skip
    (tmp_path / "model.json").write_text(json.dumps(told))
    return tmp_path


@pytest.fixture
def model(folder, monkeypatch):
    monkeypatch.setitem(app.RUNTIMES, "model.onnx", lambda path: lambda x: x.mean((1, 2)) / 10)
    return app.Model(folder)


@pytest.fixture
def service(model, monkeypatch):
    made = app.Service(model)
    monkeypatch.setattr(app, "service", lambda: made)
    return made


def coloured(colour):
    file = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(file, "PNG")
    return file.getvalue()


RED = coloured((50, 20, 30))  # logits 5, 2, 3


def test_an_answer_by_hand(service):
    found = service.answer(RED)
    assert list(found["classes"]) == ["red", "blue", "green"]
    whole = np.exp([5, 2, 3]).sum()
    assert found["class"] == "red"
    assert found["classes"]["blue"] == pytest.approx(np.exp(3) / whole, abs=1e-6)


def test_photos_of_the_same_time_go_together_and_none_is_mixed_up(service, monkeypatch):
    sizes, run = [], service.model.run
    hold = threading.Event()

    def slow(x):
        sizes.append(len(x))
        hold.wait(10)
        return run(x)

    monkeypatch.setattr(service.model, "run", slow)
    colours = [(i, 255 - i, 128) for i in range(200)]
    with ThreadPoolExecutor(200) as threads:
        coming = [threads.submit(service.answer, coloured(colour)) for colour in colours]
        while service._waiting.qsize() < 150:
            time.sleep(0.01)
        hold.set()
        found = [answer.result() for answer in coming]
    assert sum(sizes) == 200
    assert max(sizes) == app.BATCH
    for colour, answer in zip(colours, found, strict=True):
        wanted = functional.softmax(np.array([colour], np.float64) / 10)[0]
        for name, p in zip(("red", "green", "blue"), wanted, strict=True):
            assert answer["classes"][name] == pytest.approx(p, abs=1e-5)


def test_a_failing_model_is_told_to_who_waits_and_the_service_goes_on(service, monkeypatch):
    def broken(x):
        raise RuntimeError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(service.model, "run", broken)
        with pytest.raises(RuntimeError, match="no memory"):
            service.answer(RED)
    assert service.answer(RED)["class"] == "red"


def test_too_many_photos_are_refused(model, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)  # nobody works
    made = app.Service(model, waiting=1)
    made._waiting.put_nowait((None, None))
    with pytest.raises(app.BusyError, match="try again"):
        made.answer(RED)


def test_the_self_test_says_what_differs(model, folder, monkeypatch):
    pixels = model.pixels(RED)[None]

    def write(pixels, logits):
        photo0 = np.frombuffer(RED, np.uint8)
        np.savez(folder / "examples.npz", photo0=photo0, pixels=pixels, logits=logits)
        model.check()

    write(pixels, np.array([[5, 2, 3]]))
    with pytest.raises(RuntimeError, match=r"pixels of photo 0 differ by up to 1 .* Pillow"):
        write(pixels + 1, np.array([[5, 2, 3]]))
    with pytest.raises(RuntimeError, match="probabilities differ by"):
        write(pixels, np.array([[5, 2, 3.01]]))


def in_json(photo, **more):
    told = {"photo": base64.b64encode(photo).decode(), **more}
    return json.dumps(told, separators=(",", ":")).encode()


IN_JSON = in_json(RED)


@pytest.mark.parametrize(
    ("request_of", "status", "words"),
    [
        (("GET", "/health", "", b""), 200, "ok"),
        (("POST", "/predict", "image/png", RED), 200, "red"),
        (("POST", "/predict", "application/json", IN_JSON), 200, "red"),
        (("GET", "/predict", "", b""), 405, "POST a photo"),
        (("POST", "/", "", RED), 404, "/predict"),
        (("POST", "/predict", "", b""), 400, "empty"),
        (("POST", "/predict", "", b"x"), 400, "not an image"),
        (("POST", "/predict", "", b"x" * 201), 400, "at most 200 bytes"),
        (("POST", "/predict", "multipart/form-data; boundary=a", RED), 400, "a form"),
        (("POST", "/predict", "application/json", b"[" * 300), 400, "base64"),
        (("POST", "/predict", "application/json", b'{"url": "http://a.b"}'), 400, "base64"),
        (("POST", "/predict", "application/json", b'{"photo": "!"}'), 400, "base64"),
        (("POST", "/predict", "application/json", in_json(bytes(201))), 400, "at most 200 bytes"),
        (("POST", "/predict", "application/json", in_json(RED, more=[1] * 50)), 200, "red"),
        (("POST", "/predict", "application/json", in_json(RED, more=[1] * 101)), 400, "base64"),
        (("POST", "/predict", "application/json", in_json(RED, more=[[]] * 50)), 400, "base64"),
    ],
)
def test_each_request_gets_its_answer(service, monkeypatch, request_of, status, words):
    monkeypatch.setattr(app, "MAX_BYTES", max(200, len(RED)))
    found = app.reply(*request_of)
    assert int(found.status[:3]) == status
    assert words in json.dumps(found.told).replace(f"{len(RED)} bytes", "200 bytes")


def test_the_handler_of_aws_lambda(service):
    assert app.handler(json.loads(IN_JSON), None)["class"] == "red"
    with pytest.raises(app.BadPhotoError, match="base64"):
        app.handler({"url": "http://a.b/c.jpg"}, None)
    event = {
        "requestContext": {"http": {"method": "POST"}},
        "rawPath": "/predict",
        "headers": {"Content-Type": "image/png"},
        "body": base64.b64encode(RED).decode(),
        "isBase64Encoded": True,
    }
    found = app.handler(event, None)
    assert found["statusCode"] == 200
    assert json.loads(found["body"])["class"] == "red"
    old = {"httpMethod": "GET", "path": "/nowhere", "headers": None, "body": None}
    assert app.handler(old, None)["statusCode"] == 404


def test_the_wsgi_application(service, monkeypatch):
    def ask(body, **environ):
        told = []
        environ = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/predict", "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)), **environ,
        }  # fmt: skip
        (answer,) = app.application(environ, lambda status, headers: told.append(status))
        return told[0][:3], json.loads(answer or "{}")

    assert ask(RED)[1]["class"] == "red"
    assert ask(RED, CONTENT_LENGTH="")[0] == "411"
    assert ask(RED, CONTENT_LENGTH=str(len(RED) + 1))[0] == "400"
    for method in ("POST", "GET", "PUT"):
        for length in ("-1", "abc", "1.5", "+1", "1_0", "9" * 5000, "٣"):
            found = ask(RED, REQUEST_METHOD=method, CONTENT_LENGTH=length)
            assert found == ("400", {"error": "Content-Length should be a number of bytes."})
    assert ask(b"", REQUEST_METHOD="HEAD", PATH_INFO="/health") == ("200", {})
    monkeypatch.setattr(app, "MAX_BYTES", 10)
    assert ask(RED)[0] == "413"
    monkeypatch.setattr(app, "reply", lambda *told: 1 / 0)
    assert ask(b"x") == ("500", {"error": "The service has failed."})


def test_a_client_that_sends_a_byte_now_and_then_is_ended(service, monkeypatch):
    monkeypatch.setattr(app, "SECONDS", 0.1)
    with app.Server(("127.0.0.1", 0), app.Quiet) as server:
        server.set_app(app.application)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        with app.socket.create_connection(server.server_address, timeout=10) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 99\r\n\r\nx")
            assert b"400" in client.recv(100)  # otherwise it would wait for the other bytes
        server.shutdown()


def test_a_connection_that_gets_no_thread_makes_room_for_the_next(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(app, "CONNECTIONS", 1)
    with app.Server(("127.0.0.1", 0), app.Quiet) as server:
        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="new thread"):
            server.process_request(object(), None)
        assert not server._since
        assert server._free.acquire(blocking=False)


def test_the_first_requests_share_one_model(folder, monkeypatch):
    made = []

    class Slow:
        def __init__(self):
            made.append(self)
            time.sleep(0.05)

        def check(self):
            pass

    monkeypatch.setattr(app, "Model", Slow)
    monkeypatch.setattr(app, "_made", app.cache(app._made.__wrapped__))
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: app.service(), range(8)))
    assert len(found) == len(made) == 1


# ---------------------------------------------------------------------------------------------
# The folder
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", serve.NEEDED)
def test_requirements_are_those_installed_here(kind):
    lines = serve.requirements(kind).splitlines()
    assert f"pillow=={serve._installed('pillow')}" in lines
    assert f"numpy=={np.__version__}" in lines
    assert all("==" in line for line in lines)
    assert any(line.startswith(next(iter(serve.NEEDED[kind]))) for line in lines)
    assert not any(line.startswith(("tensorflow", "keras")) for line in lines)
    file = serve.dockerfile(kind)
    (minor,) = re.findall(r"lambda/python:3\.(\d+) AS lambda\nWORKDIR /var/task\n", file)
    assert int(minor) >= 12  # below, its C library is too old for these packages
    assert f"FROM python:3.{sys.version_info.minor}-slim AS service\nWORKDIR /app\n" in file
    assert ("minicnn compile" in serve.dockerfile(kind)) == (kind == "keras")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["--format", "keras,onnx", "--serve", "DIR/new"], "--serve takes one --format"),
        (["--serve", "DIR"], "has other files in it"),
        (["--serve", "DIR/new", "--input-range", "signed"], "takes pixels from 0 to 255"),
    ],
)
def test_what_cannot_be_served_is_refused(trained, tmp_path, capsys, told, words):
    (tmp_path / "notes.txt").write_text("mine")
    told = [part.replace("DIR", str(tmp_path)) for part in told]
    assert export.run([str(trained / "model.keras"), *told]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_with_a_file_of_the_users_is_never_replaced(tmp_path):
    """Not even one that was written here, or has a file of the same name as one of ours."""
    serve.check_free(tmp_path / "new")
    serve.check_free(tmp_path)  # empty
    for name in sorted(serve.ALWAYS, reverse=True):
        (tmp_path / name).touch()
        if name != min(serve.ALWAYS):
            with pytest.raises(FileExistsError, match="other files in it"):
                serve.check_free(tmp_path)
    serve.check_free(tmp_path)  # as it was written
    for name in ("kernels", "minicnn", "__pycache__"):
        (tmp_path / name).mkdir()
    serve.check_free(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="other files in it"):
        serve.check_free(tmp_path)


@pytest.mark.slow
def test_a_served_model_answers_as_keras_at_once_and_after_a_kill(trained, clothes, tmp_path):
    served = tmp_path / "served"
    assert export.run([str(trained / "model.keras"), "--serve", str(served)]) == 0
    assert any((served / "kernels").iterdir())  # compiled in advance
    paths = sorted(str(path) for path in (clothes / "train").rglob("*.jpg"))
    saved = models.load(trained / "model.keras")
    wanted = {found.source: found.p for found in predict.predict(saved, paths)}
    names = saved.about.class_names

    def start():
        command = [sys.executable, "app.py", "--port", "0"]
        running = subprocess.Popen(command, cwd=served, stdout=subprocess.PIPE, text=True)
        return running, running.stdout.readline().split()[-1]

    def ask(address, data):
        try:
            with urllib.request.urlopen(f"{address}/predict", data, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code

    running, address = start()
    try:
        chosen = [paths[i % len(paths)] for i in range(200)]
        files = [b"damaged" if i % 10 == 3 else Path(chosen[i]).read_bytes() for i in range(200)]
        with ThreadPoolExecutor(200) as threads:
            found = list(threads.map(lambda data: ask(address, data), files))
        for number, answer in enumerate(found):
            if number % 10 == 3:
                assert answer == 400
                continue
            told = [answer["classes"][name] for name in names]
            np.testing.assert_allclose(told, wanted[chosen[number]], rtol=0, atol=1e-5)
        running.kill()
        running.wait()
        running.stdout.close()
        running, address = start()
        assert ask(address, files[0]) == found[0]
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
    assert export.run([str(trained / "model.keras"), "--serve", str(served)]) == 0  # once more


@pytest.mark.slow
def test_a_tflite_file_refuses_pixels_of_another_range(trained, tmp_path, capsys):
    told = ["--format", "tflite", "--input-range", "signed", "--output", str(tmp_path)]
    assert export.run([str(trained / "model.keras"), *told]) == 0
    beside = json.loads((tmp_path / "model.tflite.json").read_text())
    assert "from -1 to 1" in beside["input"]
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 48, 48, 3)).astype(np.float32)
    with pytest.raises(RuntimeError, match="out of bounds"):
        export.run_file(tmp_path / "model.tflite", pixels, "tflite")
