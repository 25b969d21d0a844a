"""What a page needs so that the model learns in it: examples, and what learns how.

The page trains with the cross-entropy, as minicnn does with the same batches; `facts_of` says in
one sentence why it cannot train a model.
"""

import base64
import math
import zlib
from typing import Any

import numpy as np

from minicnn import initializers, optimizers, regularizers
from minicnn._support.philox import PERIOD
from minicnn._support.variable import Variable
from minicnn.explain.page.passes import Use, config_of
from minicnn.explain.page.wording import Message, message
from minicnn.layers import RandAugment, RandomColorJitter
from minicnn.layers.base import Array, Layer
from minicnn.models import Model

_MOST_MULTIPLY_ADDS = 60e6  # of one example: the page should make a step in a few seconds
_MOST_WEIGHTS = 2_000_000
_MOST_BYTES = 1_500_000  # of pixels in the page
_IN_TRAINING = (
    *("AlphaDropout", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "BatchNormalization"),
    *("RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomShear"),
    *("RandomCrop", "RandomContrast", "RandomBrightness", "RandomGrayscale", "RandomInvert"),
    *("RandomColorDegeneration", "RandomErasing", "RandomSharpness", "RandomGaussianBlur"),
    *("RandomHue", "RandomSaturation", "RandomPosterization", "Solarization", "Equalization"),
    *("RandomColorJitter", "RandAugment", "MixUp", "CutMix"),
    *("GaussianNoise", "GaussianDropout", "StochasticDepth"),
)
_OPTIMIZERS = (optimizers.SGD, optimizers.RMSprop, optimizers.Adam, optimizers.AdamW)
_DRAWS = {"uniform": "uniform", "untruncated_normal": "normal", "truncated_normal": "truncated"}
_PENALTIES = (regularizers.L1, regularizers.L2, regularizers.L1L2)


def examples(data: Any, model: Model, classes: int) -> tuple[Array, Array]:
    """Return images and class numbers, as many as fit into a page; `ValueError` if they do not fit.

    `data` is (x, y): images as `fit` takes them, and class numbers or one-hot rows.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(f"A page learns from data=(x, y). Received {type(data).__name__}.")
    x, y = (np.asarray(part) for part in data)
    shape = tuple(model.inputs[0].shape[1:])
    fits = x.ndim == len(shape) + 1 and all(
        n in (None, m) for n, m in zip(shape, x.shape[1:], strict=True)
    )
    if not fits or not len(x) or x.dtype.kind not in "fiub":
        raise ValueError(
            f"A page's data expect images or lines for {model.label}, (examples, "
            f"{', '.join(map(str, shape))}). Received x.shape={x.shape}, dtype {x.dtype}."
        )
    if not np.isfinite(x).all():
        raise ValueError("The data have NaN or infinite pixels, from which nothing can be learned.")
    if y.ndim == 2 and y.shape[1] == classes and classes > 1:
        y = y.argmax(axis=1)
    y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    whole = y.ndim == 1 and y.dtype.kind in "fiub" and bool((y == np.round(y)).all())
    if not whole or len(y) != len(x) or y.min() < 0 or y.max() >= classes:
        raise ValueError(
            f"A page's data expect a class from 0 to {classes - 1} for each of {len(x)} images. "
            f"Received y.shape={y.shape}, dtype {y.dtype}."
        )
    most = max(8, _MOST_BYTES // math.prod(x.shape[1:]))
    return x[:most].astype(np.float32), y[:most].astype(int)


def facts_of(model: Model, uses: list[Use], kind: str, x: Array, y: Array) -> dict[str, Any]:
    """Return what the page is told; with `obstacle`, a sentence, if it cannot train the model."""
    trained = {id(variable) for variable in model.trainable_weights}
    nodes = [
        {
            "learns": [v.name for v in use.layer.weights if id(v) in trained],
            "alters": use.alters,
            "seed": seed if isinstance(seed := getattr(use.layer, "seed", None), int) else None,
            **parts_of(use.layer),
        }
        for use in uses
    ]
    obstacle = _obstacle(model, uses, kind)
    if obstacle:
        return {"obstacle": obstacle}
    return {
        "obstacle": None,
        "nodes": nodes,
        "initial": _initial(uses),
        "optimizer": _optimizer(model),
        "y": y.tolist(),
        **_packed(x),
    }


def parts_of(layer: Layer) -> dict[str, Any]:
    """Describe the layers that a layer of random changes makes them with, if it has any."""
    if not isinstance(layer, (RandAugment, RandomColorJitter)):
        return {}
    found = layer.parts.values()
    return {"parts": [{"type": type(one).__name__, "config": config_of(one)} for one in found]}


def _obstacle(model: Model, uses: list[Use], kind: str) -> Message | None:
    """Say why the page cannot train the model; None if it can."""
    if not kind:
        return message("cannot_learn.no_classes")
    if not model.trainable_weights:
        return message("cannot_learn.no_weights")
    for use in uses:
        found = _obstacle_in(use)
        if found:
            return found
    cost = sum(use.macs for use in uses)
    if cost > _MOST_MULTIPLY_ADDS:
        return message(
            "cannot_learn.too_slow", cost=round(cost / 1e6), most=round(_MOST_MULTIPLY_ADDS / 1e6)
        )
    if model.count_params() > _MOST_WEIGHTS:
        return message("cannot_learn.too_many", most=_MOST_WEIGHTS, n=model.count_params())
    return None


def _obstacle_in(use: Use) -> Message | None:
    layer, who = use.layer, f"{use.name} ({type(use.layer).__name__})"
    if not use.known:
        return message("cannot_learn.no_formula", who=who)
    if use.alters and type(layer).__name__ not in _IN_TRAINING:
        return message("cannot_learn.random", who=who)
    if (getattr(layer, "noise_shape", None) or (None,))[0] not in (None, 1):
        return message("cannot_learn.noise_shape", who=who)
    if layer.penalizes_outputs():
        return message("cannot_learn.activity", who=who)
    for variable in layer.trainable_weights:
        penalty, constraint = variable.regularizer, variable.constraint
        if penalty is not None and type(penalty) not in _PENALTIES:
            return message("cannot_learn.regularizer", who=who, what=type(penalty).__name__)
        if constraint is not None:
            return message("cannot_learn.constraint", who=who, what=type(constraint).__name__)
    return None


def _initial(uses: list[Use]) -> dict[str, Any]:
    """Describe how each weight begins, in the order in which layers draw."""
    return {
        "/".join([*use.path, use.layer.name, variable.name]): {
            "shape": list(variable.shape),
            **_beginning(use.layer, variable),
        }
        for use in uses
        for variable in use.layer.weights
    }


def _beginning(layer: Layer, variable: Variable) -> dict[str, Any]:
    """Return how a weight is drawn, its value if that is constant, or a `kind` the page lacks."""
    name, shape = variable.name, variable.shape
    # The kernels of a separable convolution have initializers of a shorter name.
    short = name.removesuffix("_kernel")
    chosen = getattr(layer, f"{name}_initializer", getattr(layer, f"{short}_initializer", None))
    found: dict[str, Any] = {"draw": None, "limits": [0, 0], "value": None, "own": None, "kind": ""}
    if type(chosen).__module__ != initializers.__name__:
        found["kind"] = message("begins.own") if chosen is None else type(chosen).__name__
    elif isinstance(chosen, initializers.VarianceScaling):
        found |= {"draw": _DRAWS[chosen.distribution], "limits": list(chosen.limits(shape))}
    elif isinstance(chosen, initializers.RandomUniform):
        found |= {"draw": "uniform", "limits": [chosen.minval, chosen.maxval]}
    elif isinstance(chosen, (initializers.RandomNormal, initializers.TruncatedNormal)):
        draw = "normal" if isinstance(chosen, initializers.RandomNormal) else "truncated"
        found |= {"draw": draw, "limits": [chosen.mean, chosen.stddev]}
    elif isinstance(chosen, (initializers.Orthogonal, initializers.Identity)):
        found |= {"draw": type(chosen).__name__.lower(), "limits": [chosen.gain, chosen.gain]}
    elif isinstance(chosen, initializers.Zeros):
        found["value"] = 0.0
    elif isinstance(chosen, initializers.Ones):
        found["value"] = 1.0
    elif isinstance(chosen, initializers.Constant) and np.ndim(chosen.value) == 0:
        found["value"] = float(chosen.value)
    else:
        found["kind"] = type(chosen).__name__
    seed = getattr(chosen, "seed", None)
    if isinstance(seed, (int, np.integer)) and variable.dtype != "float64":
        found["own"] = int(seed) % PERIOD
    elif seed is not None:
        found["kind"] = message("begins.generator")
    return found


def _optimizer(model: Model) -> dict[str, Any]:
    """Return the name and the rate of the compiled optimizer if the page has it, else Adam."""
    if model.compiled and type(model.optimizer) in _OPTIMIZERS:
        own, usual = model.optimizer.get_config(), type(model.optimizer)().get_config()  # type: ignore[call-arg]
        left_out = ("learning_rate", "name")
        same = all(own.get(key) == value for key, value in usual.items() if key not in left_out)
        if same and model.optimizer.has_own_rate:
            return {"name": type(model.optimizer).__name__, "rate": model.optimizer.learning_rate}
    return {"name": "Adam", "rate": 0.001}


def _packed(x: Array) -> dict[str, Any]:
    """Describe images: as bytes that point into a palette, if there are at most 256 numbers."""
    found, places = np.unique(x, return_inverse=True)
    if len(found) <= 256:
        palette, numbers = found.tolist(), places.astype("u1").tobytes()
    else:
        palette, numbers = None, x.astype("<f4").tobytes()
    text = base64.b64encode(zlib.compress(numbers, 9)).decode("ascii")
    return {"shape": list(x.shape[1:]), "palette": palette, "pixels": text}
