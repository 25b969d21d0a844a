"""Translates Keras 1's names of layers and arguments (2015 to 2017) into Keras 2's.

    Convolution2D(nb_filter=8, nb_row=3, nb_col=3, border_mode="same", subsample=[1, 1],
                  dim_ordering="th", init="uniform", W_regularizer=…, bias=True)
    Conv2D(filters=8, kernel_size=[3, 3], padding="same", strides=[1, 1],
           data_format="channels_first", kernel_initializer="random_uniform",
           kernel_regularizer=…, use_bias=True)

The old names occur in no later file, so each description shows how old it is. If the channels came
first (`dim_ordering="th"`, Theano's), kernels had another order of axes: (filters, channels, rows,
columns).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Description = dict[str, Any]

_CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}
_MERGES = {
    "ave": "Average",
    "concat": "Concatenate",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}
_ARGUMENTS = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "atrous_rate": "dilation_rate",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "beta_init": "beta_initializer",
    "bias": "use_bias",
    "border_mode": "padding",
    "depthwise_init": "depthwise_initializer",
    "filter_length": "kernel_size",
    "gamma_init": "gamma_initializer",
    "init": "kernel_initializer",
    "input_dtype": "dtype",
    "length": "size",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "pointwise_init": "pointwise_initializer",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}
# Layers with these arguments; for another layer, the same name may mean something else.
_KNOWN = {
    *_CLASSES.values(),
    *("AveragePooling1D", "AveragePooling2D", "BatchNormalization", "Cropping2D", "Dense"),
    *("Dropout", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling2D"),
    *("GlobalMaxPooling2D", "InputLayer", "MaxPooling1D", "MaxPooling2D", "PReLU"),
    *("SpatialDropout1D", "SpatialDropout2D", "UpSampling1D", "UpSampling2D"),
    *("ZeroPadding1D", "ZeroPadding2D"),
}
_FIRST_LAYER = ("input_dim", "input_length")  # `batch_input_shape` has these sizes, too
_DATA_FORMATS = {"th": "channels_first", "tf": "channels_last"}
_INITIALIZERS = {
    "normal": "random_normal",
    "one": "ones",
    "uniform": "random_uniform",
    "zero": "zeros",
}
_SIDES = ("top_pad", "bottom_pad", "left_pad", "right_pad")


def renamed(data: Description) -> Description:
    """Return the description of a layer of Keras 1 in Keras 2's words; any other as it is."""
    config, kind = data.get("config"), data.get("class_name")
    if not isinstance(config, dict):
        return data
    if kind == "Merge" and config.get("mode") in _MERGES and "layers" not in config:
        return _merge(data, config)
    kind = _CLASSES.get(str(kind), kind)
    if kind not in _KNOWN:
        return data
    names = dict(_ARGUMENTS)
    if kind == "PReLU":
        names["init"] = "alpha_initializer"
    new: Description = {}
    for key, value in config.items():
        if key in ("nb_row", "nb_col", *_FIRST_LAYER):
            continue
        if kind == "Conv2DTranspose" and key == "output_shape":  # see `check_sizes`
            continue
        if key == "dim_ordering":
            new["data_format"] = _DATA_FORMATS.get(value, value)
        elif key != "weights" or value is not None:
            name = names.get(key, str(key))
            new[name] = _value(name, value)
    if "nb_row" in config and "nb_col" in config:
        new["kernel_size"] = [config["nb_row"], config["nb_col"]]
    if kind in ("ZeroPadding1D", "ZeroPadding2D"):
        new["padding"] = _padding(new.get("padding"))
    return {**data, "class_name": kind, "config": new}


def check_sizes(model: Any, data: Any) -> None:
    """Raise `ValueError` if a `Deconvolution2D` of Keras 1 made a larger output than it does here.

    Its output could have several sizes, and `output_shape` chose one. Keras 2 computes the size.
    """
    layers = data.get("config") if isinstance(data, dict) else None
    layers = layers.get("layers") if isinstance(layers, dict) else layers
    for one in layers if isinstance(layers, list) else []:
        config = one.get("config") if isinstance(one, dict) else None
        if not isinstance(config, dict):
            continue
        if isinstance(config.get("layers"), list):
            check_sizes(model.get_layer(config.get("name", one.get("name"))), one)
        given = config.get("output_shape")
        if one.get("class_name") != "Deconvolution2D" or not isinstance(given, list):
            continue
        layer = model.get_layer(config["name"])
        size = given[2:4] if config.get("dim_ordering") == "th" else given[1:3]
        own = list(layer.output.shape[1:3])
        if any(a is not None and b is not None and a != b for a, b in zip(own, size)):
            raise ValueError(
                f"{layer.label} makes maps of {own[0]}x{own[1]}. The file's output_shape={given} "
                "asks for others."
            )


def _merge(data: Description, config: Description) -> Description:
    kind = _MERGES[config["mode"]]
    new: Description = {key: config[key] for key in ("name", "trainable") if key in config}
    if kind == "Concatenate":
        new["axis"] = config.get("concat_axis", -1)
    return {**data, "class_name": kind, "config": new}


def _value(key: str, value: Any) -> Any:
    """Return a setting's value as Keras 2 writes it."""
    if key.endswith("_initializer") and isinstance(value, str):
        return _INITIALIZERS.get(value, value)
    if not isinstance(value, dict) or "name" not in value or "class_name" in value:
        return value
    settings = {name: number for name, number in value.items() if name != "name"}
    if key.endswith("_regularizer") and settings.keys() <= {"l1", "l2"}:
        return {"class_name": "L1L2", "config": settings}
    if key.endswith("_constraint"):
        if "m" in settings:
            settings["max_value"] = settings.pop("m")
        return {"class_name": value["name"], "config": settings}
    return value


def _padding(value: Any) -> Any:
    """Return the rows and columns of zeros, which Keras 1 also wrote as four numbers or by name."""
    if isinstance(value, dict):
        value = [value.get(side, 0) for side in (_SIDES if "top_pad" in value else _SIDES[2:])]
    if isinstance(value, list) and len(value) == 4:
        return [value[:2], value[2:]]
    return value


# ---------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------


def theano_ordered(data: Any) -> set[str]:
    """Return the names of all layers, also nested ones, with `dim_ordering="th"`."""
    found: set[str] = set()
    config = data.get("config") if isinstance(data, dict) else None
    inside = config if isinstance(config, list) else (config or {}).get("layers")
    for layer in inside if isinstance(inside, list) else []:
        found |= theano_ordered(layer)
    if isinstance(config, dict) and config.get("dim_ordering") == "th":
        found.add(str(config.get("name")))
    return found


def kernel_reader(
    shape: tuple[int, ...] | None, wanted: tuple[int, ...], theano: bool, transposed: bool = False
) -> tuple[tuple[int, ...], Callable[[np.ndarray], np.ndarray]]:
    """Return the shape of a kernel in a file of Keras 1, and a function that converts it.

    `shape` is the array's shape in the file. For other arrays the result is `wanted` itself. In the
    file, a `transposed` convolution's kernel has the same order of axes as any other.
    """
    if transposed and len(wanted) == 4:
        rows, columns, filters, channels = wanted
        if theano:
            return (filters, channels, rows, columns), lambda array: array.transpose(2, 3, 0, 1)
        return (rows, columns, channels, filters), lambda array: array.transpose(0, 1, 3, 2)
    if shape is None or len(shape) != 4:
        return wanted, _same
    if len(wanted) == 3:  # of a convolution along lines: those were images, too
        size, channels, filters = wanted
        if shape == (size, 1, channels, filters):
            return shape, lambda array: array[:, 0]
        if shape == (filters, channels, size, 1):
            return shape, lambda array: array.transpose(2, 3, 1, 0)[:, 0]
    if len(wanted) == 4:
        of_theano = (wanted[3], wanted[2], wanted[0], wanted[1])
        if shape == of_theano and (theano or shape != wanted):
            return shape, lambda array: array.transpose(2, 3, 1, 0)
    return wanted, _same


def _same(array: np.ndarray) -> np.ndarray:
    return array
