"""Settings of Keras's layers that minicnn lacks and files may have, and when each one matters.

never            a neutral value (`groups=1`), or one that changes no number here
in training      regularizers and constraints of the user's own class, or of weights that the layer
lacks: the layer keeps them, so that saving the model writes them back; `predict` does not need
them, and training warns about them
in prediction    everything else: the file is refused
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from minicnn import initializers
from minicnn.layers import penalties

# Settings that change no result here: how and where to compute, or how to initialize weights that
# the layer does not have. (Keras 2's separable convolutions write a `kernel_initializer`.)
_WITHOUT_EFFECT = {
    "autocast",
    "bias_initializer",
    "bounding_box_format",  # for layers that change images, which have no boxes here
    "dynamic",
    "fused",
    "implementation",
    "input_dtype",
    "kernel_initializer",
    "renorm_clipping",
    "renorm_momentum",
    "rng_type",  # of Keras 2
    "synchronized",  # over several devices
}
_ENDINGS = tuple(penalties.ENDINGS)
_NEUTRAL = {
    "data_format": ("channels_last",),
    "depth_multiplier": (1,),
    "groups": (1,),
    "mode": (0,),  # Keras 1's BatchNormalization: each channel
}


def sort_settings(
    config: dict[str, Any], known: set[str], label: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `(arguments, carried)`: the constructor's arguments, and settings that only train.

    Raises `ValueError` for a setting that is not `known` and changes the layer's output.
    """
    arguments: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if key == "batch_input_shape":  # Keras 2's way to start a Sequential
            arguments["input_shape"] = value[1:]
        elif key in known and key.endswith("_initializer"):
            arguments[key] = initializer(value, label)
        elif key in known and key.endswith(_ENDINGS):
            try:
                arguments[key] = penalties.get(key, value)
            except (ValueError, TypeError, AttributeError):  # of the user's own class
                kept[key] = value
        elif key in known:
            arguments[key] = tuple(value) if isinstance(value, list) else value
        elif without_effect(key, value):
            continue
        elif only_trains(key):
            kept[key] = value
        else:
            raise ValueError(
                f"{label} has {key}={value!r}, which minicnn does not support. "
                f"It takes {', '.join(sorted(known))}."
            )
    return arguments, kept


def without_effect(setting: str, value: Any) -> bool:
    """Return whether a layer that lacks this setting computes and trains the same without it."""
    if value is None or value is False or setting in _WITHOUT_EFFECT:
        return True
    return isinstance(value, (int, str)) and value in _NEUTRAL.get(setting, ())


def only_trains(setting: str) -> bool:
    """Return whether a setting changes training and nothing that `predict` computes."""
    return setting.endswith(_ENDINGS) or setting == "virtual_batch_size"


def penalizes(setting: str) -> bool:
    """Return whether the setting adds to the loss, so that `evaluate` also differs from Keras."""
    return setting.endswith("_regularizer")


def of_outputs(setting: str) -> bool:
    """Return whether the setting is about the layer's output: it matters even if frozen."""
    return setting == "activity_regularizer"


def shown(setting: str, value: Any) -> str:
    """Return a setting as text, such as `kernel_regularizer=L2(l2=0.01)`."""
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config")
        config = config if isinstance(config, dict) else {}
        arguments = ", ".join(f"{k}={_short(v)}" for k, v in config.items() if v is not None)
        return f"{setting}={value['class_name']}({arguments})"
    return f"{setting}={value!r}"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def described(found: Iterable[tuple[str, str]]) -> str:
    """Return `(what, which layer)` pairs as a text that names each setting once."""
    layers: dict[str, list[str]] = {}
    for what, layer in found:
        layers.setdefault(what, []).append(layer)
    parts = [f"{what[:200]} of {_named(names)}" for what, names in layers.items()]
    return "; ".join(parts if len(parts) <= 20 else [*parts[:20], f"and {len(parts) - 20} more"])


def _named(names: list[str]) -> str:
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more"]
    return " and ".join(", ".join(shown).rsplit(", ", 1))


# ---------------------------------------------------------------------------------------------
# Initializers
# ---------------------------------------------------------------------------------------------


class KeptInitializer(initializers.Initializer):
    """An initializer that minicnn lacks, kept as a file describes it, and written back.

    Weights that come from the file do not need it. Raises `ValueError` if it has to draw any.
    """

    def __init__(self, description: Any) -> None:
        self.description = description

    @property
    def name(self) -> str:
        """The class's name in Keras."""
        named = isinstance(self.description, dict)
        return str(self.description.get("class_name") if named else self.description)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> np.ndarray:
        if not _weights_follow.get():
            raise ValueError(
                f"minicnn does not have the initializer {self.name[:200]}, which a file names for "
                "this layer, so it cannot draw new weights."
            )
        usual = initializers.GlorotUniform() if len(shape) > 1 else initializers.Zeros()
        return usual(shape, dtype)


_weights_follow: ContextVar[bool] = ContextVar("_weights_follow", default=False)


@contextmanager
def weights_follow() -> Iterator[None]:
    """Let kept initializers draw as Keras's default initializers, until weights are read."""
    token = _weights_follow.set(True)
    try:
        yield
    finally:
        _weights_follow.reset(token)


def initializer(description: Any, who: str) -> initializers.Initializer:
    """Return the initializer that a model's file describes, unread if minicnn lacks it."""
    if isinstance(description, dict) and description.get("class_name") == "VarianceScaling":
        config = description.get("config")
        if isinstance(config, dict) and config.get("distribution") == "normal":  # in Keras 2
            changed = {**config, "distribution": "truncated_normal"}
            description = {**description, "config": changed}
    try:
        return initializers.get(description)
    except (ValueError, TypeError, AttributeError) as error:
        if not isinstance(description, (str, dict)):
            raise ValueError(f"{who}: {error}") from error
        return KeptInitializer(description)
