"""The network: a pretrained, frozen base, and a small head that learns.

    photo → preprocess → base (frozen) → global average → [inner, ReLU] → [dropout] → logits
    0…255   as the base     rows × columns   one number                      one score a class
            expects          × channels       a channel

If the base sees the photo at several sizes (`reference.sizes`), their vectors lie side by side.
`make_model` is the course's function. `save` writes one `.keras` file with everything that a
prediction needs: weights, class names, image size, interpolation, and (as layers) the
preprocessing. `load` builds the network in code and takes only weights from the file.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import h5py
import keras
import numpy as np

from minicnn._support.arguments import PIXEL_RANGES
from minicnn._support.atomic import replacing
from minicnn._support.reading import check_regular
from minicnn._support.terminal import say
from reference import sizes as seen_sizes
from reference.console import reason
from reference.data import Reader

Array = np.ndarray

_LARGEST_JSON = 16 * 2**20  # bytes


class Pixels(NamedTuple):
    """A base's preprocessing: x @ matrix + offset, for red, green, blue from 0 to 255."""

    matrix: Array
    offset: Array

    def layers(self) -> list[keras.Layer]:
        """Return the preprocessing as layers, so that the model file contains it."""
        scale = np.diag(self.matrix)
        if not np.array_equal(self.matrix, np.diag(scale)):
            # The colours change order (VGG and ResNet were trained on blue, green, red).
            mix = keras.layers.Conv2D(3, 1, trainable=False, name="preprocess", dtype="float32")
            mix.build((None, None, None, 3))
            mix.set_weights([self.matrix[None, None], self.offset])
            return [mix]
        if np.all(scale == 1) and not self.offset.any():
            return []

        def short(values: Array) -> Any:
            return float(values[0]) if np.all(values == values[0]) else values.tolist()

        scaling = {"scale": short(scale), "offset": short(self.offset)}
        return [keras.layers.Rescaling(**scaling, name="preprocess", dtype="float32")]


@dataclass(frozen=True)
class Base:
    """A frozen network whose output is features, for photos of one size.

    It sees them at this size, or at each of `sizes`.
    """

    name: str
    network: keras.Model
    pixels: Pixels
    image_size: int
    input_range: str = "signed"
    sizes: tuple[int, ...] = ()

    @property
    def seen(self) -> tuple[int, ...]:
        """The sizes at which the network sees a photo."""
        return self.sizes or (self.image_size,)

    def sha256(self) -> str:
        """Return a checksum of the weights, the layers, and the preprocessing."""
        whole = hashlib.sha256(np.concatenate([*self.pixels.matrix, self.pixels.offset]).tobytes())
        for layer in all_layers(self.network):
            # Leave out names: Keras goes on counting them from one model to the next.
            config = {k: v for k, v in layer.get_config().items() if k not in ("name", "trainable")}
            told = json.dumps([type(layer).__name__, config], default=lambda o: type(o).__name__)
            whole.update(told.encode())
        for variable in self.network.weights:
            value = np.ascontiguousarray(keras.ops.convert_to_numpy(variable), np.float32)
            whole.update(f"{variable.path.rpartition('/')[2]} {value.shape}".encode())
            whole.update(value.data)
        return whole.hexdigest()

    def extractor(self) -> keras.Model:
        """Return the part that stays the same while the head learns: a photo in, one vector out."""
        inputs = keras.Input((self.image_size, self.image_size, 3), name="photo")
        return keras.Model(inputs, self.vectors(inputs), name="extractor")

    def vectors(self, inputs: Any) -> Any:
        return self.pooled(self.maps(inputs, self.network))

    def maps(self, inputs: Any, network: keras.Model) -> list[Any]:
        """Return what the network, or a part of it, makes of photos, for each of the sizes."""
        x = through(self.pixels.layers(), inputs)
        smaller = [through(seen_sizes.shrinking(self.image_size, size), x) for size in self.seen]
        return [network(x, training=False) for x in smaller]

    def pooled(self, maps: list[Any]) -> Any:
        """Return one vector a photo, from the base's last maps."""
        if len(maps) == 1:
            return keras.layers.GlobalAveragePooling2D(name="vectors", dtype="float32")(maps[0])
        vectors = [
            keras.layers.GlobalAveragePooling2D(name=f"vectors_{size}", dtype="float32")(x)
            for size, x in zip(self.seen, maps, strict=True)
        ]
        return keras.layers.Concatenate(name="vectors", dtype="float32")(vectors)


# ---------------------------------------------------------------------------------------------
# The base
# ---------------------------------------------------------------------------------------------


def applications() -> dict[str, tuple[Callable[..., keras.Model], ModuleType]]:
    """Return of each `keras.applications`, by lower-case name, the function and its module."""
    spaces = vars(keras.applications)
    found = {}
    for name, function in spaces.items():
        if callable(function):
            # MobileNetV3Small is beside the module with its preprocessing, not in it.
            home = spaces.get(function.__module__.rpartition(".")[2])
            if hasattr(home, "preprocess_input"):
                found[name.lower()] = (function, home)
    return found


def load_base(
    name: str,
    image_size: int,
    weights: str = "imagenet",
    input_range: str = "signed",
    sizes: Sequence[int] = (),
) -> Base:
    """Make a base by name (`keras.applications`) or from a `.keras` file, for this photo size.

    With `sizes` it sees each photo at each of them, of which `image_size` is the largest.
    `weights`: "imagenet", "none" (random), or the path of a weights file. `input_range` is the
    range of pixels that a network from a file expects; the others have their own preprocessing.

    Raises `ValueError` for a size that the network does not take, weights that do not fit, or a
    network whose output is not features; `FileNotFoundError`; `ConnectionError` offline.
    """
    for size in (image_size, *sizes):
        Reader(size)
    if len(set(sizes)) < len(sizes) or image_size != max(sizes, default=image_size):
        raise ValueError(
            f"The sizes of a photo should differ, and the largest is {image_size}. "
            f"Received {list(sizes)}."
        )
    sizes = tuple(sizes) if len(sizes) > 1 else ()
    known = applications()
    if name.lower() in known:
        function, module = known[name.lower()]
        network = _application(function, None if sizes else image_size, weights)
        for size in sizes:
            _check_size(network, size, function.__name__)
        pixels = probed(module.preprocess_input)
        return Base(name.lower(), _quiet(network), pixels, image_size, sizes=sizes)
    network, pixels = _base_of_file(name, weights, input_range)
    for size in sizes or (image_size,):
        _check_size(network, size, name)
    return Base(Path(name).name, _quiet(network), pixels, image_size, input_range, sizes)


def _base_of_file(name: str, weights: str, input_range: str) -> tuple[keras.Model, Pixels]:
    """Return the frozen network in a file, and its preprocessing."""
    if not name.endswith((".keras", ".h5")):
        raise ValueError(
            f"--base is a name of keras.applications or a .keras file. Received {name!r}. "
            f"Names: {', '.join(applications())}."
        )
    if weights not in ("imagenet", "none"):
        raise ValueError(f"--base {name} brings its own weights; --weights {weights} has no use.")
    if input_range not in PIXEL_RANGES:
        raise ValueError(f"input_range is one of {list(PIXEL_RANGES)}. Received {input_range!r}.")
    network = _features_of(_from_file(Path(name)), name)
    if keras.config.dtype_policy().name != "float32":
        network = with_policy(network, keras.config.dtype_policy().name)
    network.trainable = False
    scale, offset = PIXEL_RANGES[input_range]
    return network, Pixels(np.eye(3) * scale, np.full(3, offset))


def _application(
    function: Callable[..., keras.Model], image_size: int | None, weights: str
) -> keras.Model:
    """Make the network, for photos of this size; None: of any size."""
    name = function.__name__
    shape = (image_size, image_size, 3)
    published = "imagenet" if weights == "imagenet" else None
    from_file = published is None and weights.lower() != "none"
    if from_file:
        path = Path(weights)
        check_regular(path, "file of --weights")
        _refuse_whole_h5(path)
    expected = Exception if published else ValueError  # a download fails in many ways
    try:
        network = function(include_top=False, weights=published, input_shape=shape)
    except expected as error:
        raise _explained(error, name, image_size) from error
    if from_file:
        try:
            network.load_weights(weights)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(
                f"--weights {weights} does not fit {name} without its classifier "
                f"({len(network.weights)} arrays, {network.count_params():,} numbers): "
                f"{reason(error)}."
            ) from error
    network.trainable = False
    return network


def _explained(error: Exception, name: str, image_size: int | None) -> Exception:
    """Return Keras's error, with advice."""
    text = str(error)
    if "fetch" in text or "URL" in text:
        return ConnectionError(
            f"ImageNet's weights for {name} are not in ~/.keras/models, and cannot be downloaded: "
            f"{reason(error)}. You can run this once online; or pass --weights FILE, "
            "Keras's published weights file; or --base FILE.keras, a base of your own; or "
            "--weights none for random weights, which learn little."
        )
    if image_size is None:
        return ValueError(f"{name} does not take photos of several sizes: {reason(error)}.")
    if "input size" in text.lower() or "input_shape" in text:
        return ValueError(
            f"{name} does not take photos of {image_size}x{image_size} pixels: "
            f"{reason(error)}. Try --image-size 150."
        )
    return error


def _from_file(path: Path) -> keras.Model:
    if path.suffix == ".h5":
        raise ValueError(
            f"{path} is an old .h5 file: whole models are read from .keras files only, which hold "
            "no code. Open it where it was made and save it as .keras."
        )
    check_regular(path, "model file")
    if not zipfile.is_zipfile(path):  # of an empty one Keras says that it does not exist
        raise ValueError(
            f"{path} is not a .keras file, or is damaged: its {path.stat().st_size:,} bytes are "
            "not an archive."
        )
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged archive makes of itself
        raise ValueError(f"{path} cannot be loaded: {reason(error)}.") from error
    if not isinstance(model, keras.Model):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a model.")
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(f"{path} holds a model that does not say its input: start it with Input.")
    return model


def _quiet(network: keras.Model) -> keras.Model:
    """Remove layers that are random in training (dropout, stochastic depth): the base stays fixed.

    `training=False` alone is not enough: Keras 3's fit overrides it (keras issue 20285).
    """
    for layer in all_layers(network):
        for name in ("rate", "drop_path_rate"):
            if isinstance(getattr(layer, name, None), float):
                setattr(layer, name, 0.0)
    return network


def _features_of(network: keras.Model, name: str) -> keras.Model:
    """Return the network up to its last feature maps; a classifier after them is cut off."""
    if len(network.inputs) != 1:
        raise ValueError(
            f"{name} is not a base: it has {len(network.inputs)} inputs, not one photo."
        )
    if [len(y.shape) for y in network.outputs] == [4]:
        return network
    pooling = keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D
    for layer in reversed(network.layers):
        y = getattr(layer, "input", None)  # a layer that is used more than once has no `input`
        if y is None or isinstance(y, list) or y is network.inputs[0] or len(y.shape) != 4:
            continue
        # After its pooling, a classifier may continue with maps of one pixel.
        if isinstance(layer, pooling) or tuple(y.shape[1:3]) != (1, 1):
            last = y._keras_history.operation
            say(f"{name} ends in a classifier: cut off behind its layer {last.name}.")
            return keras.Model(network.inputs, y, name="base")
    raise ValueError(
        f"{name} is not a base: no layer of it gives feature maps (batch, rows, columns, "
        f"channels). It ends in {[tuple(y.shape) for y in network.outputs]}."
    )


def _refuse_whole_h5(path: Path) -> None:
    if path.suffix != ".h5" or path.name.endswith(".weights.h5"):
        return
    try:
        with h5py.File(path, "r") as file:
            whole = "model_config" in file.attrs
    except OSError as error:
        raise ValueError(f"{path} is no HDF5 file: {error}") from error
    if whole:
        raise ValueError(f"{path} is a whole model, not weights: save_weights writes weights.")


def _check_size(network: keras.Model, image_size: int, name: str) -> None:
    shape = tuple(network.inputs[0].shape)
    _, height, width, channels = shape if len(shape) == 4 else (None, 0, 0, 0)
    if channels != 3 or not {height, width} <= {None, image_size}:
        raise ValueError(
            f"{name} takes photos of shape {tuple(network.inputs[0].shape[1:])}. "
            f"Received --image-size {image_size}: ({image_size}, {image_size}, 3)."
        )
    try:
        network.compute_output_shape((None, image_size, image_size, 3))
    except ValueError as error:
        raise ValueError(
            f"{name} does not take photos of {image_size}x{image_size} pixels: {reason(error)}."
        ) from error


def probed(preprocess: Callable[..., Any]) -> Pixels:
    """Find the preprocessing's matrix by trial: all of Keras's are affine in the pixel.

    Four photos, black and fully red, green and blue, are enough. The arrays are fresh, because
    Keras's functions overwrite their argument.
    """
    black = np.asarray(preprocess(np.zeros((1, 1, 1, 3), np.float64)), np.float64).ravel()
    rows = []
    for channel in range(3):
        pure = np.zeros((1, 1, 1, 3), np.float64)
        pure[..., channel] = 255
        rows.append((np.asarray(preprocess(pure), np.float64).ravel() - black) / 255)
    # Differences of floats: 1.0000000000000002 means 1.
    return Pixels(np.round(np.stack(rows), 12), np.round(black, 12))


# ---------------------------------------------------------------------------------------------
# The head, and the whole
# ---------------------------------------------------------------------------------------------


def head_layers(classes: int, size_inner: int = 0, droprate: float = 0.0) -> list[keras.Layer]:
    """Make the head: one score (logit) per class, after an optional inner layer and dropout."""
    layers: list[keras.Layer] = []
    if size_inner:
        layers.append(keras.layers.Dense(size_inner, activation="relu", name="inner"))
    if droprate:
        layers.append(keras.layers.Dropout(droprate, name="drop"))
    # The loss needs full precision, whatever the precision of the layers before it.
    layers.append(keras.layers.Dense(classes, name="logits", dtype="float32"))
    return layers


def through(layers: list[keras.Layer], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def make_model(
    base: Base,
    classes: int,
    learning_rate: float = 0.001,
    size_inner: int = 0,
    droprate: float = 0.0,
) -> keras.Model:
    """Make the course's compiled model: pixels from 0 to 255 in, logits out."""
    model = _classifier(base, classes, size_inner, droprate)
    compile_for(model, learning_rate)
    # Otherwise Keras misses the optimizer's variables when it loads a file of the model.
    model.optimizer.build(model.trainable_variables)
    return model


def _classifier(base: Base, classes: int, size_inner: int, droprate: float) -> keras.Model:
    inputs = keras.Input((base.image_size, base.image_size, 3), name="photo")
    vectors = base.vectors(inputs)
    outputs = through(head_layers(classes, size_inner, droprate), vectors)
    return keras.Model(inputs, outputs, name="classifier")


def head_of(model: keras.Model) -> keras.Model:
    """Return the part of the model after its vectors, as a model that shares its layers."""
    inputs = keras.Input(model.get_layer("vectors").output.shape[1:], name="features")
    return keras.Model(inputs, through(layers_of_head(model), inputs), name="head")


def layers_of_head(model: keras.Model) -> list[keras.Layer]:
    start = model.layers.index(model.get_layer("vectors"))
    return list(model.layers[start + 1 :])


def compile_for(
    model: keras.Model,
    optimizer: float | keras.optimizers.Optimizer,
    jit_compile: bool | str = "auto",
    steps_per_execution: int = 1,
    label_smoothing: float = 0.0,
) -> None:
    """Compile with Adam (at this rate) or another optimizer, and cross-entropy on logits."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        optimizer = keras.optimizers.Adam(learning_rate=optimizer)
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing),
        metrics=["accuracy"],
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )


# ---------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------


@dataclass
class About:
    """The content of the model file besides the weights."""

    class_names: list[str]
    image_size: int
    interpolation: str
    base: str
    input_range: str = "signed"
    size_inner: int = 0
    droprate: float = 0.0
    image_sizes: list[int] = field(default_factory=list)  # if the base sees a photo at several
    training: dict[str, Any] = field(default_factory=dict)  # for people: rate, epochs, accuracy, …
    members: int = 0  # how many trained networks are in it together (`reference.ensemble`); 0: one
    first: int | None = None  # the first layer of the base that differs among them
    flips: bool = False
    temperature: float = 1.0

    @property
    def reader(self) -> Reader:
        """A reader for photos, with the settings of the training photos."""
        return Reader(self.image_size, self.interpolation)


def save(
    model: keras.Model,
    path: str | Path,
    about: About,
    describing: AbstractContextManager[None] | None = None,
) -> None:
    """Write the whole model to a `.keras` file, in float32, completely or not at all.

    `minicnn predict` and `reference.predict` read class names and size from it; Keras ignores them.
    The file takes its place in the context `describing`, which is not entered if it cannot be
    written.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"A model file's name ends in .keras. Received {str(path)!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as described, replacing(path) as temporary:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
            written = Path(folder) / path.name
            with plain(model) as copy:
                copy.save(written)
            add_metadata(written, temporary, asdict(about))
        if describing is not None:
            described.enter_context(describing)


@contextmanager
def plain(model: keras.Model) -> Iterator[keras.Model]:
    """Yield the model, or a copy without mixed precision and distribution: it opens everywhere."""
    in_float32 = all(layer.compute_dtype == "float32" for layer in all_layers(model))
    if keras.distribution.distribution() is None and in_float32:
        yield model
        return
    with of_this_process():
        copy = with_policy(model, "float32")
        if model.compiled:
            compile_for(copy, float(model.optimizer.learning_rate))
            copy.optimizer.build(copy.trainable_variables)
        yield copy


@contextmanager
def of_this_process() -> Iterator[None]:
    """Make models in this context that are not shared with other processes."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def with_policy(model: keras.Model, policy: str) -> keras.Model:
    """Return a copy of the model, with the same weights, that computes with this precision."""

    def changed(config: Any) -> Any:
        if isinstance(config, list):
            return [changed(part) for part in config]
        if not isinstance(config, dict):
            return config
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": policy}}
        return {key: changed(value) for key, value in config.items()}

    copy = type(model).from_config(changed(model.get_config()))
    copy.set_weights(model.get_weights())
    return copy


def all_layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
        else:
            yield layer


def add_metadata(written: Path, target: Path, about: dict[str, Any]) -> None:
    """Copy Keras's archive, with `about` in its metadata.json."""
    with zipfile.ZipFile(written) as archive, zipfile.ZipFile(target, "w") as copy:
        for member in archive.infolist():
            if member.filename == "metadata.json":
                metadata = json.loads(archive.read(member))
                about = {**about, "image_size": [about["image_size"]] * 2}
                copy.writestr(member, json.dumps(metadata | {"minicnn": about}))
            else:
                with archive.open(member) as source, copy.open(member, "w") as into:
                    shutil.copyfileobj(source, into)


def read_about(path: str | Path) -> About:
    """Read the file's description; `ValueError` for a file that this project did not write."""
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(
            f"A model file's name ends in .keras (old whole-model .h5 files are refused). "
            f"Received {str(path)!r}."
        )
    check_regular(path, "model file")
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo("metadata.json")
            if member.file_size > _LARGEST_JSON:
                raise ValueError(f"its metadata has {member.file_size} bytes")
            found = json.loads(archive.read(member))["minicnn"]
            found = {**found, "image_size": found["image_size"][0]}
            for name in ("members", "first", "flips", "temperature"):  # older files lack them
                found.setdefault(name, About.__dataclass_fields__[name].default)
            found = {"image_sizes": [], **found}
            about = About(**{name: found[name] for name in About.__dataclass_fields__})
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(
            f"{path} does not say its class names, image size and base, as files that "
            f"reference.train wrote do ({type(error).__name__}: {error})."
        ) from error
    return about


def check_whole(path: Path) -> None:
    """Raise a `ValueError` if a model file is damaged anywhere, without loading it."""
    read_about(path)
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
    if bad is not None:
        raise ValueError(f"{path} is damaged: its part {bad} does not have its checksum.")


class Saved(NamedTuple):
    """A model loaded from its file, ready to predict."""

    model: keras.Model
    about: About


def load(path: str | Path) -> Saved:
    """Load the model in a file that `save` wrote.

    This builds a base of keras.applications in code, and takes only weights from the file. Keras
    builds other bases, and several networks together, from their description, with `safe_mode` on,
    so that no code runs.
    Raises `FileNotFoundError`, `ValueError`.
    """
    about = read_about(path)
    if about.members or about.base not in applications():
        model = _from_file(Path(path))
    else:
        base = load_base(about.base, about.image_size, "none", sizes=about.image_sizes)
        classes = len(about.class_names)
        model = _classifier(base, classes, about.size_inner, about.droprate)
        try:
            model.load_weights(path)
        except Exception as error:  # whatever a damaged archive makes of itself
            raise ValueError(f"{path} is damaged: {reason(error)}.") from error
    if model.output_shape != (None, len(about.class_names)):
        raise ValueError(
            f"{path} names {len(about.class_names)} classes. "
            f"Its model tells {model.output_shape[-1]} apart."
        )
    return Saved(model, about)


def minicnn_lacks(path: str | Path) -> str | None:
    """Return why minicnn cannot open this model file; None if it can."""
    from minicnn.models import load_model

    try:
        load_model(path, compile=False)
    except ValueError as error:
        reason = str(error).removeprefix(f"{str(path)!r} cannot be loaded. ")
        return reason.split(" It has ")[0].removesuffix(".")
    return None
