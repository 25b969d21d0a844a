"""Errors about names that Keras has and minicnn lacks say what to use instead.

This holds for attributes, of modules and of objects: `minicnn.layers.LSTM`, `model.to_yaml`. The
tables are here, in one place; a module or class that wants its hints says so in one line:

    __getattr__ = hints.of_module(__name__)     in a module (PEP 562)
    __getattr__ = hints.of_object               in a class

These lines stand under `if not TYPE_CHECKING:`, because type checkers would otherwise accept any
name. `from minicnn.layers import LSTM` shows no hint: for an import statement Python replaces the
module's error by "cannot import name 'LSTM' from 'minicnn.layers'".
"""

import difflib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

# Layers for other data than images and lines.
_VOLUMES = """
AdaptiveAveragePooling3D AdaptiveMaxPooling3D AveragePooling3D AvgPool3D Conv3D Conv3DTranspose
Convolution3D Convolution3DTranspose Cropping3D GlobalAveragePooling3D GlobalAvgPool3D
GlobalMaxPool3D GlobalMaxPooling3D MaxPool3D MaxPooling3D SpatialDropout3D UpSampling3D
ZeroPadding3D
"""
_SEQUENCES = """
AdditiveAttention Attention Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU GRUCell
GroupQueryAttention LSTM LSTMCell Masking MultiHeadAttention RNN SimpleRNN SimpleRNNCell
StackedRNNCells TimeDistributed
"""
_TABLES = """
CategoryEncoding Discretization Embedding HashedCrossing Hashing IntegerLookup ReversibleEmbedding
StringLookup TextVectorization
"""
OTHER_DATA = {
    **dict.fromkeys(_VOLUMES.split(), "volumes"),
    **dict.fromkeys([*_SEQUENCES.split(), "CTC", "ctc"], "sequences"),
    **dict.fromkeys(_TABLES.split(), "text and tables"),
    **dict.fromkeys(["MelSpectrogram", "STFT", "STFTSpectrogram"], "sound"),
    "MaxNumBoundingBoxes": "boxes around things",
}
_BESIDE_IMAGES = {
    name: f"Keras itself for {data}: minicnn computes images, lines and features"
    for name, data in OTHER_DATA.items()
}
_CHANGED_AT_RANDOM = "AugMix RandomElasticTransform RandomPerspective"
_OTHER_CODE = "minicnn's own layers: code of other libraries does not run in it"
_AS_IT_IS = "epsilon or image_data_format: there is one of each here, which cannot be set"
_IN_OPS = "abs argmax cast clip concatenate dot exp expand_dims log max maximum mean min minimum"
_IN_OPS += " ones reshape sigmoid softmax sqrt square squeeze stack std sum tanh var zeros"
_OWN_LAYER = "a class of your own with call (minicnn.layers.calling shows one)"
_QUIET = "verbose=0 of fit, evaluate and predict"
_DTYPE = 'dtype="float32" or "float64" of a layer, or minicnn.config.set_floatx for all'
_SAVE = 'save("model.keras"), or to_json for the architecture alone'
_TRANSFORM = "ImageDataGenerator({}).random_transform(x)"

# For each module: names that Keras has there, and what to use instead.
INSTEAD: dict[str, Mapping[str, str]] = {
    "minicnn": {
        **dict.fromkeys(
            ["DTypePolicy", "FloatDTypePolicy", "dtype_policies", "mixed_precision"], _DTYPE
        ),
        "Variable": "add_weight of a layer, whose weights are minicnn.layers.Variable",
        "export": 'model.save("model.keras")',
        "keras": "minicnn itself: import minicnn as keras",
        "random": "numpy.random; what minicnn draws is seeded by minicnn.utils.set_random_seed",
        "version": "minicnn.__version__",
    },
    "minicnn.applications": {
        "imagenet_utils": "the network's own module, such as minicnn.applications.resnet",
    },
    "minicnn.activations": {
        "sparsemax": "softmax, whose outputs add up to 1; Keras 3.15's sparsemax breaks this",
    },
    "minicnn.backend": {
        "get_value": "float(model.optimizer.learning_rate), or the numpy() of a weight",
        "set_value": "model.optimizer.learning_rate = …, or the assign(…) of a weight",
        **{name: f"minicnn.ops.{name}" for name in _IN_OPS.split()},
        **dict.fromkeys(["set_epsilon", "set_image_data_format"], _AS_IT_IS),
    },
    "minicnn.callbacks": {
        "OrbaxCheckpoint": "BackupAndRestore, or ModelCheckpoint",
        "ProgbarLogger": "verbose=1 of fit",
        "RemoteMonitor": "CSVLogger",
    },
    "minicnn.config": {
        "disable_interactive_logging": _QUIET,
        "dtype_policy": "floatx",
        "set_dtype_policy": "set_floatx",
    },
    "minicnn.datasets": {
        **dict.fromkeys(["imdb", "reuters"], "Keras itself for text: minicnn computes images"),
        **dict.fromkeys(
            ["boston_housing", "california_housing"], "Keras itself for tables, or a CSV file"
        ),
    },
    "minicnn.preprocessing.image": {
        "apply_affine_transform": "ImageDataGenerator(…).apply_transform(x, transform_parameters)",
        "random_brightness": _TRANSFORM.format("brightness_range=…"),
        "random_channel_shift": _TRANSFORM.format("channel_shift_range=…"),
        "random_rotation": _TRANSFORM.format("rotation_range=…"),
        "random_shear": _TRANSFORM.format("shear_range=…"),
        "random_shift": _TRANSFORM.format("width_shift_range=…"),
        "random_zoom": _TRANSFORM.format("zoom_range=…"),
        "smart_resize": "load_img(path, target_size=…, keep_aspect_ratio=True)",
    },
    "minicnn.layers": {
        **{name: use for name, use in _BESIDE_IMAGES.items() if name not in ("CTC", "ctc", "STFT")},
        **dict.fromkeys(
            _CHANGED_AT_RANDOM.split(),
            "RandomFlip, RandomRotation, RandomContrast and their like",
        ),
        "ContrastLimitedAdaptiveHistogramEqualization": "Equalization",
        **dict.fromkeys(["FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"], _OTHER_CODE),
        **dict.fromkeys(["RMSNormalization", "SpectralNormalization", "Wrapper"], _OWN_LAYER),
        "EinsumDense": "Dense, which takes inputs with more axes, too",
        "InputSpec": "a ValueError in compute_output_shape, as the layers here raise it",
        "Pipeline": "Sequential",
        "experimental": "minicnn.layers itself",
    },
    "minicnn.initializers": {"STFT": _BESIDE_IMAGES["STFT"]},
    "minicnn.losses": dict.fromkeys(["CTC", "ctc"], _BESIDE_IMAGES["CTC"]),
    "minicnn.optimizers": {
        **dict.fromkeys(["ScheduleFreeAdamW"], "Adam, AdamW or another"),
        **dict.fromkeys(["MultiOptimizer", "OptimizerMap"], "one optimizer for all weights"),
        "LossScaleOptimizer": "the optimizer itself: float32 needs no scaled loss",
        "legacy": "minicnn.optimizers itself",
    },
    "minicnn.saving": {
        "deserialize_keras_object": "minicnn.layers.deserialize(config), and its like elsewhere",
        "serialize_keras_object": "minicnn.layers.serialize(layer), and its like elsewhere",
        "load_weights": "model.load_weights(filepath)",
        "save_weights": "model.save_weights(filepath)",
    },
    "minicnn.utils": {
        "disable_interactive_logging": _QUIET,
        "model_to_dot": "plot_model(model), which draws without Graphviz",
        "np_utils": "minicnn.utils itself",
    },
}

# Arguments, and attributes, that Keras's optimizers once had.
OPTIMIZER_ARGUMENTS = {
    "decay": "learning_rate=optimizers.schedules.InverseTimeDecay(rate, 1, decay)",
    "lr": "learning_rate",
}

# The same for objects, by their class's name: attributes that Keras has, or once had.
OF_OBJECTS: dict[str, Mapping[str, str]] = {
    "ImageDataset": {
        **dict.fromkeys(["batch", "rebatch"], "image_dataset_from_directory(…, batch_size=…)"),
        **dict.fromkeys(["concatenate", "filter"], "a generator of batches, which fit accepts"),
        "repeat": "fit(…, epochs=…), each of which reads all batches anew",
        "unbatch": "image_dataset_from_directory(…, batch_size=None)",
    },
    "Layer": {
        "get_input_at": "nodes[index].inputs",
        "get_output_at": "nodes[index].outputs",
        "input_shape": "input.shape",
        "output_shape": "output.shape",
    },
    "Model": {
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
    "Optimizer": OPTIMIZER_ARGUMENTS,
}


def of_module(module: str, later: Sequence[str] = ()) -> Callable[[str], Any]:
    """Return the `__getattr__` of this module: its `AttributeError` says what to use instead.

    It imports the submodules named in `later` on first use.
    """

    def find(name: str) -> Any:
        if name in later:
            return importlib.import_module(f"{module}.{name}")
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise AttributeError(f"{module} has no {name}. {_hint(sys.modules[module], name)}")

    return find


def of_object(self: Any, name: str) -> Any:
    """Raise an `AttributeError` with a hint; the `__getattr__` of the classes in `OF_OBJECTS`."""
    for cls in type(self).__mro__:
        # A property that has no value yet raises its own error.
        if name in OF_OBJECTS.get(cls.__name__, ()) and not hasattr(type(self), name):
            hint = OF_OBJECTS[cls.__name__][name]
            who = type(self).__name__
            who = cls.__name__ if who.startswith("_") else who
            raise AttributeError(f"{who} has no {name}. Use {hint}.")
    return object.__getattribute__(self, name)  # raises again, in Python's or a property's words


def _hint(module: ModuleType, name: str) -> str:
    """Return what to use instead of a name that the module lacks."""
    instead = INSTEAD.get(module.__name__, {})
    if name in instead:
        return f"Use {instead[name]}."
    full = f"{module.__name__}.{name}"
    if PathFinder.find_spec(full, getattr(module, "__path__", [])):
        return f"It is a module of its own: import {full}."
    known = _public_names(module)
    close = difflib.get_close_matches(name, known, 1, 0.8)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}It has {', '.join(known)}. For more, use Keras itself."


def _public_names(module: ModuleType) -> list[str]:
    """Return `__all__`, or else the classes and functions that the module defines."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
    ]
    return sorted(name for name in names if not name.startswith("_"))
