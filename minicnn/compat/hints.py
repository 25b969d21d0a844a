"""Errors about names that Keras has and minicnn lacks say what to use instead.

This holds for `minicnn.layers.LSTM`, `from minicnn.layers import LSTM` and `model.to_yaml`. All
that it takes is here, so that the tables are in one place and modules and classes stay plain:

    minicnn.layers.LSTM                the module's `__getattr__` (PEP 562) raises
    from minicnn.layers import LSTM    ignores that error and looks for a module: `Finder` raises
    model.to_yaml                      the class's `__getattr__` raises
"""

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from minicnn import (
    activations,
    applications,
    callbacks,
    config,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    saving,
    utils,
)
from minicnn.applications import mobilenet, xception
from minicnn.layers import Layer
from minicnn.models import Model
from minicnn.optimizers import Optimizer
from minicnn.preprocessing import image

_AUGMENT = "ImageDataGenerator({}) of minicnn.preprocessing.image"
_RATE = "LambdaCallback({}=…), and set model.optimizer.learning_rate in it"
_NETWORK = "Xception or MobileNet, or load_model with a .keras file that Keras wrote"
_NETWORKS = """
ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169
DenseNet201 EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4
EfficientNetB5 EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2
EfficientNetV2B3 EfficientNetV2L EfficientNetV2M EfficientNetV2S InceptionResNetV2 InceptionV3
MobileNetV2 MobileNetV3Large MobileNetV3Small NASNetLarge NASNetMobile ResNet101 ResNet101V2
ResNet152 ResNet152V2 ResNet50 ResNet50V2 VGG16 VGG19 convnext densenet efficientnet
efficientnet_v2 inception_resnet_v2 inception_v3 mobilenet_v2 mobilenet_v3 nasnet resnet
resnet50 resnet_v2 vgg16 vgg19
"""
_NAME = "its name in compile, or an object of its class"
_FOLDERS = "folders of photos, or write_clothing_sample, which draws some"
_QUIET = "verbose=0 of fit, evaluate and predict"
_DTYPE = 'dtype="float32" or "float64" of a layer, or minicnn.config.set_floatx for all'
_REGULARIZE = "weight_decay of an optimizer, or a Dropout layer"
_SAVE = 'save("model.keras"), or to_json for the architecture alone'
_TRANSFORM = "ImageDataGenerator({}).random_transform(x)"

# For each module: names that Keras has there, and what to use instead.
INSTEAD: dict[ModuleType, Mapping[str, str]] = {
    activations: {},
    applications: {
        **dict.fromkeys(_NETWORKS.split(), _NETWORK),
        "imagenet_utils": "minicnn.applications.xception or minicnn.applications.mobilenet",
    },
    mobilenet: {},
    xception: {},
    callbacks: {
        "BackupAndRestore": "ModelCheckpoint, load_model, and initial_epoch in fit",
        "LearningRateScheduler": _RATE.format("on_epoch_begin"),
        "ProgbarLogger": "verbose=1 of fit",
        "ReduceLROnPlateau": _RATE.format("on_epoch_end"),
        "TensorBoard": "CSVLogger",
    },
    config: {
        "disable_interactive_logging": _QUIET,
        "dtype_policy": "floatx",
        "set_dtype_policy": "set_floatx",
    },
    datasets: dict.fromkeys(["cifar10", "cifar100", "fashion_mnist", "mnist"], _FOLDERS),
    image: {
        "apply_affine_transform": "ImageDataGenerator(…).apply_transform(x, transform_parameters)",
        "random_brightness": _TRANSFORM.format("brightness_range=…"),
        "random_channel_shift": _TRANSFORM.format("channel_shift_range=…"),
        "random_rotation": _TRANSFORM.format("rotation_range=…"),
        "random_shear": _TRANSFORM.format("shear_range=…"),
        "random_shift": _TRANSFORM.format("width_shift_range=…"),
        "random_zoom": _TRANSFORM.format("zoom_range=…"),
        "smart_resize": "load_img(path, target_size=…, keep_aspect_ratio=True)",
    },
    initializers: {},
    layers: {
        "Lambda": "a class of your own (minicnn.layers.base shows one)",
        "LeakyReLU": "ReLU(negative_slope=0.3)",
        "RandomBrightness": _AUGMENT.format("brightness_range=…"),
        "RandomFlip": _AUGMENT.format("horizontal_flip=True, vertical_flip=True"),
        "RandomRotation": _AUGMENT.format("rotation_range=…"),
        "RandomShear": _AUGMENT.format("shear_range=…"),
        "RandomTranslation": _AUGMENT.format("width_shift_range=…, height_shift_range=…"),
        "RandomZoom": _AUGMENT.format("zoom_range=…"),
        "Resizing": "target_size of flow_from_directory",
        "Subtract": "x - y, of symbols",
        "subtract": "x - y, of symbols",
        "experimental": "minicnn.layers itself, or " + _AUGMENT.format("…"),
    },
    losses: {
        "binary_crossentropy": _NAME,
        "categorical_crossentropy": _NAME,
        "sparse_categorical_crossentropy": _NAME,
    },
    metrics: {"binary_accuracy": _NAME, "categorical_accuracy": _NAME},
    models: {
        "clone_model": "type(model).from_config(model.get_config())",
    },
    optimizers: {
        "AdamW": "Adam(weight_decay=0.004)",
        "legacy": "minicnn.optimizers itself",
        "schedules": "minicnn.callbacks." + _RATE.format("on_epoch_begin"),
    },
    preprocessing: {},
    saving: {
        "load_weights": "model.load_weights(filepath)",
        "save_weights": "model.save_weights(filepath)",
    },
    utils: {
        "PyDataset": "any class with __len__ and __getitem__, which fit accepts",
        "Sequence": "any class with __len__ and __getitem__, which fit accepts",
        "disable_interactive_logging": _QUIET,
        "model_to_dot": "model.summary()",
        "np_utils": "minicnn.utils itself",
        "plot_model": "model.summary()",
    },
}
TOP = {
    **dict.fromkeys(
        ["DTypePolicy", "FloatDTypePolicy", "dtype_policies", "mixed_precision"], _DTYPE
    ),
    "Initializer": "minicnn.initializers.Initializer",
    "Loss": "minicnn.losses.Loss",
    "Metric": "minicnn.metrics.Metric",
    "Optimizer": "minicnn.optimizers.Optimizer",
    "Regularizer": _REGULARIZE,
    "Variable": "minicnn.layers.Variable",
    "backend": "NumPy, the only backend here. clear_session is in minicnn.utils, floatx in "
    "minicnn.config, and model.optimizer.learning_rate is a plain number to read and to set",
    "constraints": "LambdaCallback(on_train_batch_end=…), and assign the weights in it",
    "export": 'model.save("model.keras")',
    "keras": "minicnn itself: import minicnn as keras",
    "ops": "NumPy, and minicnn.functional for what layers compute",
    "random": "numpy.random; what minicnn draws is seeded by minicnn.utils.set_random_seed",
    "regularizers": _REGULARIZE,
    "version": "minicnn.__version__",
}

# The same for objects: attributes that Keras's models, layers and optimizers have, or once had.
OF_OBJECTS: dict[type, Mapping[str, str]] = {
    Layer: {
        "call": "forward, or the object itself: it is a function of x",
        "get_input_at": "nodes[index].inputs",
        "get_output_at": "nodes[index].outputs",
        "input_shape": "input.shape",
        "output_shape": "output.shape",
    },
    Model: {
        "evaluate_generator": "evaluate, which takes generators, too",
        "export": 'save("model.keras")',
        "fit_generator": "fit, which takes generators, too",
        "get_metrics_result": "evaluate(x, y, return_dict=True)",
        "predict_classes": "predict(x).argmax(axis=-1)",
        "predict_generator": "predict, which takes generators, too",
        "predict_proba": "predict",
        "test_step": "test_on_batch",
        "to_yaml": _SAVE,
        "train_step": "train_on_batch",
    },
    Optimizer: optimizers.INSTEAD,
}


def install(module: ModuleType, instead: Mapping[str, str], later: Sequence[str] = ()) -> None:
    """Give the module a `__getattr__` whose `AttributeError` says what to use instead.

    It imports the submodules named in `later` on first use.
    """

    def explain(name: str) -> Any:
        if name in later:
            return importlib.import_module(f"{module.__name__}.{name}")
        if name.startswith("_"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        full = f"{module.__name__}.{name}"
        if name in instead:
            hint = f"Use {instead[name]}."
        elif PathFinder.find_spec(full, module.__path__):
            hint = f"It is a module of its own: import {full}."
        else:
            known = _public_names(module)
            close = difflib.get_close_matches(name, known, 1, 0.8)
            hint = f"Did you mean {close[0]}? " if close else ""
            hint += f"It has {', '.join(known)}. For more, use Keras itself."
        raise AttributeError(f"{module.__name__} has no {name}. {hint}")

    module.__getattr__ = explain  # type: ignore[method-assign]
    # Python asks finders for a name that an import does not find only if the module has a path.
    vars(module).setdefault("__path__", [])


class Finder:
    """The finder that Python asks last: it makes an import that fails say what to use instead."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: ModuleType | None = None) -> None:
        """Return None for names of other packages; for ours raise a `ModuleNotFoundError`."""
        parent, _, name = fullname.rpartition(".")
        if parent not in _EXPLAINED or name.startswith("_"):
            return
        try:
            getattr(sys.modules[parent], name)
        except AttributeError as error:
            # Without `name=fullname`: with it a from-import would swallow this error, too.
            raise ModuleNotFoundError(str(error)) from None


def explain_attribute(self: Any, name: str) -> Any:
    """Raise an `AttributeError` with a hint; the `__getattr__` of the classes in `OF_OBJECTS`."""
    for cls in type(self).__mro__:
        # A property that has no value yet raises its own error.
        if name in OF_OBJECTS.get(cls, ()) and not hasattr(type(self), name):
            hint = OF_OBJECTS[cls][name]
            raise AttributeError(f"{type(self).__name__} has no {name}. Use {hint}.")
    return object.__getattribute__(self, name)  # raises again, in Python's or a property's words


def _public_names(module: ModuleType) -> list[str]:
    """Return `__all__`, or else the classes and functions that the module defines."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
    ]
    return sorted(name for name in names if not name.startswith("_"))


for _module, _instead in INSTEAD.items():
    install(_module, _instead)
install(sys.modules["minicnn"], TOP, later=["explain"])
_EXPLAINED = {"minicnn", *(module.__name__ for module in INSTEAD)}
sys.meta_path.append(Finder)
Layer.__getattr__ = explain_attribute  # type: ignore[attr-defined]
Optimizer.__getattr__ = explain_attribute  # type: ignore[attr-defined]
