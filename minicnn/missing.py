"""What Keras has and minicnn does not says so, and names what does the same here.

`minicnn.layers.LSTM` ends in a sentence, not in a bare AttributeError. Each public module gets its
`__getattr__` (PEP 562) here, so that the table stands in one place and the modules stay plain.
"""

import difflib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from minicnn import (
    activations,
    applications,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    utils,
)
from minicnn.preprocessing import image

_AUGMENT = "ImageDataGenerator({}) of minicnn.preprocessing.image"
_RATE = "LambdaCallback({}=…), and set model.optimizer.learning_rate in it"
_NETWORK = "Xception or MobileNet, or load_model with a .keras file that Keras wrote"
_NAME = "its name in compile, or an object of its class"

# For each module: what Keras has there, and what to use in its place.
INSTEAD: dict[ModuleType, Mapping[str, str]] = {
    activations: {},
    applications: dict.fromkeys(
        [
            "DenseNet121",
            "EfficientNetB0",
            "EfficientNetV2B0",
            "InceptionV3",
            "MobileNetV2",
            "NASNetMobile",
            "ResNet50",
            "ResNet101",
            "ResNet50V2",
            "VGG16",
            "VGG19",
        ],
        _NETWORK,
    ),
    callbacks: {
        "BackupAndRestore": "ModelCheckpoint, load_model, and initial_epoch in fit",
        "LearningRateScheduler": _RATE.format("on_epoch_begin"),
        "ReduceLROnPlateau": _RATE.format("on_epoch_end"),
        "TensorBoard": "CSVLogger",
    },
    image: {
        "random_brightness": "ImageDataGenerator(brightness_range=…).random_transform(x)",
        "random_rotation": "ImageDataGenerator(rotation_range=…).random_transform(x)",
        "random_shear": "ImageDataGenerator(shear_range=…).random_transform(x)",
        "random_shift": "ImageDataGenerator(width_shift_range=…).random_transform(x)",
        "random_zoom": "ImageDataGenerator(zoom_range=…).random_transform(x)",
        "smart_resize": "load_img(path, target_size=…, keep_aspect_ratio=True)",
    },
    initializers: {},
    layers: {
        "Lambda": "a class of your own with _forward and _backward (see minicnn.layers.base)",
        "LeakyReLU": "ReLU(negative_slope=0.3)",
        "RandomBrightness": _AUGMENT.format("brightness_range=…"),
        "RandomFlip": _AUGMENT.format("horizontal_flip=True, vertical_flip=True"),
        "RandomRotation": _AUGMENT.format("rotation_range=…"),
        "RandomShear": _AUGMENT.format("shear_range=…"),
        "RandomTranslation": _AUGMENT.format("width_shift_range=…, height_shift_range=…"),
        "RandomZoom": _AUGMENT.format("zoom_range=…"),
        "Resizing": "target_size of flow_from_directory",
        "add": "Add()([x, y])",
        "concatenate": "Concatenate()([x, y])",
    },
    losses: {
        "binary_crossentropy": _NAME,
        "categorical_crossentropy": _NAME,
        "sparse_categorical_crossentropy": _NAME,
    },
    metrics: {"binary_accuracy": _NAME, "categorical_accuracy": _NAME},
    models: {
        "clone_model": "type(model).from_config(model.get_config())",
        "model_from_json": "load_model: one file holds the architecture and the weights",
    },
    optimizers: {
        "AdamW": "Adam(weight_decay=0.004)",
        "schedules": "minicnn.callbacks." + _RATE.format("on_epoch_begin"),
    },
    preprocessing: {},
    utils: {
        "PyDataset": "any class with __len__ and __getitem__: fit takes it as it is",
        "Sequence": "any class with __len__ and __getitem__: fit takes it as it is",
        "plot_model": "model.summary()",
    },
}
TOP = {
    "Variable": "minicnn.layers.Variable",
    "backend": "NumPy, the only backend here",
    "ops": "NumPy, and minicnn.functional for what layers compute",
    "regularizers": "weight_decay of an optimizer, or a Dropout layer",
}


def install(module: ModuleType, instead: Mapping[str, str]) -> None:
    """Give the module its `__getattr__`: an `AttributeError` in a sentence."""

    def explain(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        if name in instead:
            hint = f"Use {instead[name]}."
        else:
            known = _public_names(module)
            close = difflib.get_close_matches(name, known, 1, 0.8)
            hint = f"Did you mean {close[0]}? " if close else ""
            hint += f"It has {', '.join(known)}. For more there is Keras itself."
        raise AttributeError(f"{module.__name__} has no {name}. {hint}")

    module.__getattr__ = explain  # type: ignore[method-assign]


def _public_names(module: ModuleType) -> list[str]:
    """`__all__`, or else the classes and functions that are defined there."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
    ]
    return sorted(name for name in names if not name.startswith("_"))


for _module, _instead in INSTEAD.items():
    install(_module, _instead)
install(sys.modules["minicnn"], TOP)
