# %% [markdown]
# # Lesson 19: Using the model
#
# *Section 8.12 of the course · 20 minutes to read, 6 seconds to compute*
#
# The model is trained. Now somebody wants to *use* it: for one photo, for a folder, behind a web
# page. Training is over, so what can still go wrong? Nearly everything that goes wrong here goes
# wrong silently.

# %%
import http.client
import importlib.metadata
import importlib.resources
import io
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np

import minicnn as keras
from minicnn import images
from minicnn.lessons import Lesson, draw

lesson = Lesson(19)
layers = keras.layers
preprocess_input = keras.applications.xception.preprocess_input

# %% [markdown]
# First we need a model. We take lesson 5's, a frozen base and a new head, now for all ten kinds.
# The photos are upright, as many from a phone are: 160×120, taller than wide. `load_photo` reads
# them just as `image_dataset_from_directory` does.

# %%
folder = lesson.clothes("telephone", size=(160, 120), counts={"train": 20, "test": 20})
names = list(keras.datasets.CLOTHING_CLASSES)
paths = {
    split: [path for name in names for path in sorted((folder / split / name).iterdir())]
    for split in ("train", "test")
}
labels = np.repeat(np.eye(10, dtype=np.float32), 20, axis=0)
size = lesson.network().input_shape[1:3]  # (64, 64)


def read(paths):
    return np.stack([images.load_photo(path, size) for path in paths])


def make_model():
    network = lesson.network()
    base = keras.Model(network.input, network.get_layer("average").output, name="base")
    base.trainable = False
    inputs = keras.Input((*size, 3))
    return keras.Model(inputs, layers.Dense(10)(base(inputs, training=False)), name="clothes")


keras.utils.set_random_seed(0)
model = make_model()
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
model.fit(preprocess_input(read(paths["train"])), labels, epochs=25, verbose=0)
model.metadata = {"class_names": names, "image_size": list(size)}
test = preprocess_input(read(paths["test"]))
print("test accuracy:", model.evaluate(test, labels, verbose=0)[1])

# %% [markdown]
# ## Three kinds of files
#
# | file | what is in it | who opens it |
# |---|---|---|
# | `.keras` | layers, weights, how it was compiled, our class names | minicnn, Keras 3 |
# | `.h5` | the same, in the older format that the course uses | minicnn, Keras 2 and 3 |
# | `.weights.h5` | numbers alone: weights, the optimizer's state | code that builds its layers |
#
# **Before you run this:** somebody gets one of these files from you and nothing else: not this
# notebook, not your code. With which of the three can they classify a photo?

# %%
place = Path("lesson-19")
place.mkdir(exist_ok=True)
model.save(place / "clothes.keras")
model.save(place / "clothes.h5")
model.save_weights(place / "clothes.weights.h5")
for file in ("clothes.keras", "clothes.h5", "clothes.weights.h5"):
    print(f"{file:20}{(place / file).stat().st_size / 1024:6.0f} KB", end="   ")
    try:
        opened = keras.models.load_model(place / file)
    except ValueError as error:
        print(error)
    else:
        same = np.array_equal(opened.predict(test, verbose=0), model.predict(test, verbose=0))
        print("the same scores, bit for bit:", same)

# %% [markdown]
# With the first two. For the third they need the code that builds the model:

# %%
again = make_model()
again.load_weights(place / "clothes.weights.h5")
print(np.array_equal(again.predict(test, verbose=0), model.predict(test, verbose=0)))

# %% [markdown]
# A model file is data: minicnn runs nothing that is in it. (A *pickle* is another matter. It can
# run any program when it is opened, so open only your own.)
#
# ## One photo
#
# The model ends in `Dense(10)` and was trained with `from_logits=True`, so it gives scores, not
# probabilities.
#
# **Before you run this:** what will be the sum of the ten scores, and what that of the ten
# probabilities?


# %%
def softmax(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


opened = keras.models.load_model(place / "clothes.keras")
x = preprocess_input(read(paths["test"][84:85]))
scores = opened.predict(x, verbose=0)
p = softmax(scores)
print(f"sums: {scores.sum():.2f} and {p.sum():.2f}")
for index in np.argsort(-p[0])[:3]:
    print(f"{scores[0, index]:6.2f}  {p[0, index]:6.1%}  {opened.metadata['class_names'][index]}")

# %% [markdown]
# The names come from the file. An index does not say which class it stands for: that follows from
# the order of the folders in training, which is alphabetical. If you type the list again in
# another order, you get wrong names, and no error.
#
# ## A folder
#
# `predict` takes the photos in batches, so a folder can be larger than the memory.

# %%
dataset = keras.utils.image_dataset_from_directory(
    folder / "test", label_mode="categorical", image_size=size, shuffle=False
)
dataset = dataset.map(lambda x, y: (preprocess_input(x), y))
print("accuracy:", opened.evaluate(dataset, verbose=0)[1])
found = opened.predict(dataset, verbose=0).argmax(axis=1)
for path, index in list(zip(paths["test"], found))[80:84]:
    print(path.name, "is a photo of", names[index])

# %% [markdown]
# `shuffle=False` matters here. With shuffling, the predictions would not come in the order of the
# files.
#
# ## Exactly as in training
#
# A photo has to be prepared *exactly* as the training photos were: size, resizing, order of
# colours, range. Here are the usual mistakes. Each gives an array of the right shape, so none gives
# an error.

# %%
pixels = read(paths["test"])


def read_with(**options):
    return np.stack([images.load_photo(path, size, **options) for path in paths["test"]])


prepared = {
    "as in training": preprocess_input(pixels),
    "0 to 255": pixels,
    "0 to 1": pixels / 255,
    "scaled twice": preprocess_input(preprocess_input(pixels)),
    "blue, green, red": preprocess_input(pixels[..., ::-1]),
    "columns first": preprocess_input(pixels.swapaxes(1, 2)),
    "nearest pixel": preprocess_input(read_with(interpolation="nearest")),
    "cut to a square": preprocess_input(read_with(fit="crop")),
    "black borders": preprocess_input(read_with(fit="pad")),
}
shown = [pixels[84], pixels[84, :, :, ::-1], pixels[84].swapaxes(0, 1)]
shown += [read_with(fit=fit)[84] for fit in ("crop", "pad")]
titles = ["as in training", "blue, green, red", "columns first", "cut", "black borders"]
lesson.show(draw.images(shown, titles, "One photo, prepared in five ways"))

# %% [markdown]
# (OpenCV reads blue, green, red. Pillow's `size` is width first, an array's shape is height first.
# `load_img` takes the nearest pixel, `image_dataset_from_directory` a mean of neighbours.)
#
# **Before you run this:** which three of the eight mistakes are the worst? Are there harmless ones?

# %%
accuracies, sure = {}, {}
for name, x in prepared.items():
    p = softmax(model.predict(np.ascontiguousarray(x), verbose=0))
    accuracies[name] = float(np.mean(p.argmax(axis=1) == labels.argmax(axis=1)))
    sure[name] = float(p.max(axis=1).mean())
lesson.show(draw.bars(accuracies, "The same photos, the same model", "test accuracy"))
for name in ("as in training", "0 to 255"):
    print(f"{name:14} mean probability of its answers: {sure[name]:.2f}")

# %% [markdown]
# * **Columns first**, **scaled twice** and **black borders** leave little or nothing of the
#   accuracy. In training there was no black border, and everything was larger.
# * **0 to 255** and **0 to 1** are the dangerous ones: worse, but still right more often than not.
#   With 0 to 255 the model is surer of its answers than ever (lesson 3).
# * **Cut to a square** cuts off sleeves and hems.
# * The **colours** and the **nearest pixel** make no difference here. Our clothes come in all
#   colours, so the network pays no attention to them (lesson 13). One that tells ripe tomatoes from
#   green ones would.
#
# So write the preparation once, and use it in training and afterwards. Better still, put into the
# model what can be put there:

# %%
inputs = keras.Input((*size, 3))
scaled = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
service = keras.Model(inputs, layers.Softmax()(model(scaled)), name="service")
service.metadata = {"class_names": names, "image_size": list(size)}
service.save(place / "service.keras")
p = service.predict(pixels, verbose=0)
print("accuracy with pixels from 0 to 255:", np.mean(p.argmax(axis=1) == labels.argmax(axis=1)))

# %% [markdown]
# Now there is less to forget: the file takes pixels and gives probabilities. With class names and
# image size inside it, `minicnn predict lesson-19/service.keras photo.jpg` needs nothing else.
#
# ## A service
#
# Other programs can ask the model over HTTP: a photo comes, names and probabilities go back. Python
# has a server in its standard library. This one listens on 127.0.0.1, which is this computer alone.
#
# A service gets all kinds of things. So it never reads more than a limit allows, and what is not a
# photo gets an answer, too.


# %%
LARGEST = 5_000_000  # bytes of a photo


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds, so that a slow client does not keep the others waiting

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return self.answer(411, {"error": "Say how many bytes are coming."})
        if int(length) > LARGEST:
            return self.answer(413, {"error": f"A photo may have {LARGEST:,} bytes."})
        try:
            x = images.load_photo(io.BytesIO(self.rfile.read(int(length))), size)
        except images.BadImageError as error:
            return self.answer(400, {"error": str(error)})
        p = service.predict(x[np.newaxis], verbose=0)[0]
        best = {names[i]: round(float(p[i]), 3) for i in np.argsort(-p)[:3]}
        return self.answer(200, best)

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):  # it would print each request
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)  # port 0: any that is free
threading.Thread(target=server.serve_forever, daemon=True).start()


def ask(body):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("POST", "/", body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


# %% [markdown]
# **Before you run this:** the status 200 means "fine", 400 "what you sent makes no sense", 413 "too
# much". Which status does a photo get, which a text, which an empty message?

# %%
photo = paths["test"][84].read_bytes()
replies = [ask(body) for body in (photo, b"I am no photo", b"")]
for reply in replies:
    print(*reply)

# %%
seconds = []
for path in paths["test"][:50]:
    start = time.perf_counter()
    ask(path.read_bytes())
    seconds.append(time.perf_counter() - start)
print(f"a request takes {1000 * np.median(seconds):.1f} ms (the middle one of 50)")
server.shutdown()
server.server_close()

# %% [markdown]
# (That is a service to learn from. One that strangers can reach needs a real web server in front of
# it, and a limit on how many requests each client may send.)
#
# ## What the service needs
#
# The course goes on to make a service *small*: TensorFlow takes more than a gigabyte, and a cloud
# that starts a program for each request has to load it each time.
#
# **Before you run this:** we wrote `import minicnn as keras`. Is TensorFlow in this process? Is
# Keras?

# %%
for module in ("tensorflow", "keras", "minicnn"):
    print(f"{module:10}", module in sys.modules)


def megabytes(files):
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


sizes = {"minicnn": megabytes(Path(importlib.resources.files("minicnn")).rglob("*"))}
for package in ("numpy", "llvmlite", "pillow", "h5py", "rich"):
    files = importlib.metadata.files(package) or []
    sizes[package] = megabytes(Path(str(file.locate())) for file in files)
lesson.show(draw.bars(sizes, "What is installed", "megabytes", digits=0))

# %% [markdown]
# **Before you run this:** a new Python process imports minicnn, opens the model, reads a photo and
# answers. How long does all of that take?

# %%
program = f"""
import minicnn
from minicnn import images
model = minicnn.models.load_model({str(place / "service.keras")!r}, compile=False)
p = model.predict(images.load_photo({str(paths["test"][84])!r}, {size})[None], verbose=0)[0]
print(model.metadata["class_names"][p.argmax()])
"""
start = time.perf_counter()
done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
cold = time.perf_counter() - start
print(done.stdout.strip(), f"after {cold:.1f} seconds")

# %% [markdown]
# This is the *cold start*: what the first request waits for. (The very first one on a machine also
# waits for kernels to be compiled. `minicnn compile` does that beforehand, when a container for the
# cloud is built.)
#
# ## Exercises
#
# **1.** OpenCV gives you a photo as `uint8`, (64, 64, 3), with the channels blue, green, red. Write
# `prepare(photo)`, which returns what `model` takes: a batch with one image.


# %%
def prepare(photo):
    return ...


lesson.check(1, prepare)

# %% [markdown]
# **2.** Which of the three files suits which purpose? Write "keras", "h5" or "weights" for each.
#
# * a: you go on training tomorrow, with Keras 3, and want everything back, in today's format
# * b: somebody who has Keras 2 wants to use the model
# * c: a program builds the network itself, and needs only the numbers that you found

# %%
files = [..., ..., ...]
lesson.check(2, files)

# %% [markdown]
# **3.** Write `status(body)` for a service of your own: 413 if there are more than a million bytes,
# 400 if the bytes are not a photo, otherwise 200. Look at the size first: reading is work.


# %%
def status(body):
    return ...


lesson.check(3, status)

# %% [markdown]
# **You now know** how a model gets from your notebook to those who need it, and that most mistakes
# on the way are silent.
