"""A name that only Keras has is refused in a sentence that names the alternative."""

import copy
import importlib
import inspect
import pickle
import pydoc
import subprocess
import sys
from typing import Any
from unittest import mock

import numpy as np
import pytest

import minicnn
from minicnn.compat import hints
from minicnn.images.dataset import ImageDataset
from minicnn.optimizers import Optimizer


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "layers.AugMix",
            r"^minicnn\.layers has no AugMix\. Use RandomFlip, RandomRotation",
        ),
        ("layers.Conv2d", r"has no Conv2d\. Did you mean Conv2D\? It has Activation, Activi"),
        ("layers.Foo", r"has no Foo\. It has Activation.* For more, use Keras itself\.$"),
        (
            "layers.LSTM",
            r"^minicnn\.layers has no LSTM\. Use Keras itself for sequences: minicnn comp",
        ),
        ("losses.CTC", r"Use Keras itself for sequences"),
        ("layers.experimental", r"Use minicnn\.layers itself"),
        ("optimizers.legacy", r"Use minicnn\.optimizers itself"),
        ("optimizers.Sgdw", r"It has Adadelta, Adafactor, Adagrad, Adam, AdamW, "),
        ("losses.Foo", r"It has BinaryCrossentropy, BinaryFocalCrossentropy"),
        ("callbacks.ProgbarLogger", r"Use verbose=1 of fit"),
        ("applications.imagenet_utils", r"Use the network's own module, such as minicnn\.appl"),
        ("preprocessing.image.random_zoom", r"zoom_range"),
        ("utils.np_utils", r"Use minicnn\.utils itself"),
        ("utils.model_to_dot", r"Use plot_model\(model\)"),
        ("random", r"^minicnn has no random\. Use numpy\.random"),
        ("keras", r"import minicnn as keras"),
        ("ops.cholesky", r"^minicnn\.ops has no cholesky"),
        ("initializers.STFT", "Keras itself for sound"),
        ("activations.sparsemax", r"softmax, whose outputs add up to 1"),
        ("preprocessing.text", "image"),
        ("applications.EfficientNetB8", r"Did you mean EfficientNetB7\?"),
        ("applications.xception.Foo", r"^minicnn\.applications\.xception has no Foo\. It has Xcep"),
        ("applications.mobilenet.MobileNetV2", r"has no MobileNetV2\. Did you mean MobileNet\?"),
        ("datasets.imdb", r"Use Keras itself for text"),
        ("saving.load_weights", r"Use model\.load_weights\(filepath\)"),
        ("config.set_dtype_policy", r"Use set_floatx"),
        (
            "backend.set_value",
            r"^minicnn\.backend has no set_value\. Use model\.optimizer\.lear",
        ),
        ("Variable", r"^minicnn has no Variable\. Use add_weight of a layer"),
        ("backend.square", r"Use minicnn\.ops\.square"),
        ("backend.Foo", r"It has backend, clear_session, epsilon, floatx, image_data_format"),
    ],
)
def test_the_error_says_what_to_use(path: str, message: str) -> None:
    *modules, name = path.split(".")
    found = minicnn
    for module in modules:
        found = getattr(found, module)
    with pytest.raises(AttributeError, match=message):
        getattr(found, name)
    assert not hasattr(found, name)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "from minicnn.layers import Dense, LSTM",
            r"^cannot import name 'LSTM' from 'minicnn\.lay",
        ),
        ("from minicnn import version", r"^cannot import name 'version' from 'minicnn' "),
        ("from minicnn.datasets import imdb", r"^cannot import name 'imdb' from 'minicnn\.datas"),
        ("import minicnn.version as v", r"^No module named 'minicnn\.version'$"),
        (
            "from minicnn.utils.np_utils import to_categorical",
            r"^No module named 'minicnn\.utils\.n",
        ),
    ],
)
def test_an_import_ends_in_python_s_own_words(statement: str, message: str) -> None:
    with pytest.raises(ImportError, match=message):
        exec(statement, {})


@pytest.mark.parametrize(
    "statement",
    [
        "from minicnn import *",
        "from minicnn.callbacks import *",
        "from minicnn.layers import *",
        "from minicnn.callbacks import EarlyStopping",
        "from minicnn.layers.base import snake_case",
        "import minicnn.kernels.pooling",
        "import minicnn.commands",
        "from minicnn.applications import transfer",
    ],
)
def test_what_is_there_is_imported(statement: str) -> None:
    exec(statement, {})


@pytest.mark.slow
def test_importing_minicnn_changes_nothing_outside_it() -> None:
    code = "import sys; finders = [*sys.meta_path]; import minicnn; assert sys.meta_path == finders"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_module_that_waits_for_its_import_is_not_called_missing() -> None:
    code = "import minicnn; minicnn.datasets.write_clothing_sample; minicnn.commands"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        "minicnn has no commands. It is a module of its own: import minicnn.commands." in run.stderr
    )


def compiled() -> minicnn.Model:
    model = minicnn.Sequential([minicnn.Input((2,)), minicnn.layers.Dense(1, name="head")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    ("of", "name", "message"),
    [
        (
            lambda m: m,
            "to_yaml",
            r'^Sequential has no to_yaml\. Use save\("model\.keras"\), or to_json',
        ),
        (lambda m: m, "export", r'^Sequential has no export\. Use save\("model\.keras"\)'),
        (lambda m: m, "predict_classes", r"Use predict\(x\)\.argmax\(axis=-1\)\.$"),
        (lambda m: m, "fit_generator", r"Use fit, which takes generators"),
        (lambda m: m, "get_output_at", r"Use nodes\[index\]\.outputs"),
        (lambda m: m.layers[0], "output_shape", r"^Dense has no output_shape\. Use output\.shape"),
        (lambda m: m.optimizer, "lr", r"^SGD has no lr\. Use learning_rate\.$"),
        (lambda m: m, "frobnicate", r"^'Sequential' object has no attribute 'frobnicate'$"),
        (lambda m: m.layers[0], "to_json", r"^'Dense' object has no attribute 'to_json'$"),
        (lambda m: m.optimizer, "metrics", r"^'SGD' object has no attribute 'metrics'$"),
        (lambda m: minicnn.layers.Dense(1), "output", r"used 0 times in a graph"),  # its own error
    ],
)
def test_objects_also_say_what_to_use(of: Any, name: str, message: str) -> None:
    found = of(compiled())
    with pytest.raises(AttributeError, match=message):
        getattr(found, name)
    assert not hasattr(found, name)
    assert getattr(found, name, "default") == "default"


def test_the_tables_name_nothing_that_is_there() -> None:
    for module, instead in hints.INSTEAD.items():
        assert not {name for name in instead if name in vars(importlib.import_module(module))}
    listed = (minicnn.Layer, minicnn.Model, Optimizer, ImageDataset)
    classes = {cls.__name__: cls for cls in listed}
    for cls, instead in hints.OF_OBJECTS.items():
        assert not {name for name in instead if hasattr(classes[cls], name)}


def test_introspection_still_works() -> None:
    model = compiled()
    for found in (model, model.layers[0], model.optimizer, minicnn.callbacks, minicnn):
        names = dir(found)
        assert not {"to_yaml", "fit_generator", "lr", "RemoteMonitor", "version"} & set(names)
        assert {name for name, _ in inspect.getmembers(found)} <= set(names)
    assert pydoc.locate("minicnn.layers.Conv2D") is minicnn.layers.Conv2D
    assert inspect.getmodule(minicnn.callbacks.EarlyStopping) is minicnn.callbacks
    with mock.patch("minicnn.callbacks.History"):
        assert isinstance(minicnn.callbacks.History, mock.Mock)


def test_objects_are_copied_and_pickled() -> None:
    model = compiled()
    x = np.ones((1, 2), np.float32)
    for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again(x), model(x))
        assert again.optimizer.learning_rate == model.optimizer.learning_rate
        with pytest.raises(AttributeError, match="Use learning_rate"):
            _ = again.optimizer.lr


def test_copies_continue_training_as_the_model_does() -> None:
    """The model has trained and predicted before, so it has momentum and a folded network."""
    layers = minicnn.layers
    model = minicnn.Sequential([minicnn.Input((8, 8, 2)), layers.Conv2D(3, 3, activation="relu")])
    for layer in (layers.MaxPooling2D(), layers.BatchNormalization(), layers.Flatten()):
        model.add(layer)
    model.add(layers.Dense(2, activation="softmax"))
    model.compile(minicnn.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 8, 8, 2)), np.array([0, 1, 1, 0])

    def go_on(model: minicnn.Model) -> list[np.ndarray]:
        model.fit(
            x, y, epochs=2, shuffle=False, verbose=0
        )  # the order of a sum decides its rounding
        return [*model.get_weights(), model.predict(x, verbose=0)]

    go_on(model)
    others = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    wanted = go_on(model)
    for again in others:
        for a, b in zip(go_on(again), wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_python_s_own_lookups_get_no_advice() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute .__wrapped"):
        _ = minicnn.layers.__wrapped__  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(minicnn.layers.Dense)) is minicnn.layers.Dense


@pytest.mark.slow
@pytest.mark.keras
def test_what_is_in_the_table_is_keras_s() -> None:
    keras = pytest.importorskip("tensorflow").keras
    for module, instead in hints.INSTEAD.items():
        theirs = keras
        if module in ("minicnn", "minicnn.saving"):  # `tensorflow.keras` lacks some
            theirs = importlib.import_module("keras")
        for part in module.split(".")[1:]:
            theirs = getattr(theirs, part)
        unknown = {name for name in instead if not hasattr(theirs, name)}
        assert unknown <= {"experimental", "keras", "np_utils"}, module  # Keras 2 had these


def test_keras_backend_has_what_programs_still_use() -> None:
    minicnn.backend.clear_session()
    assert minicnn.Input((2,)).name == "input_layer"
    minicnn.Input((2,))
    minicnn.backend.clear_session()
    assert minicnn.Input((2,)).name == "input_layer"
    assert minicnn.backend.image_data_format() == "channels_last"
    assert (minicnn.backend.epsilon(), minicnn.backend.floatx()) == (1e-7, "float32")
    assert minicnn.backend.backend() == minicnn.config.backend() == "numpy"
