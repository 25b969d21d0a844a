"""Builds a chain of layers that a file describes without the shape of its input.

Such a chain builds itself, with new weights, when it first sees data. If the file has weights for
it, they must not be lost: the shape comes from elsewhere in the file, or from the first kernel,
whose shape gives the channels or features of its input. If neither is possible, the file is
refused.
"""

from collections.abc import Iterator
from typing import Any

from minicnn.layers import Conv2DTranspose, Dense, Layer
from minicnn.layers.convolutional import Convolution
from minicnn.layers.lines import OnLines
from minicnn.saving import hdf5, weights

_CHANNELS = 1009  # a prime: no other size of an image has it by chance


def build(model: Any, described: dict[str, Any], file: hdf5.Group) -> None:
    """Build the model if it is not built and the file has weights for it; else do nothing.

    Raises `ValueError` if the shape of its input cannot be found.
    """
    if model.built:
        return
    group = file.group("model_weights") or file
    if not _has_arrays(group):
        return  # it was saved before it had weights
    shape = _told(described) or _of_kernel(model, _first_kernel(model, group))
    try:
        if shape is None:
            raise ValueError("The first kernel does not determine it.")
        model.build(shape)
    except ValueError as error:
        raise ValueError(
            f"{file.source} has weights for {model.label}, but not the shape of its input. Make "
            f"the model with an Input of that shape, then load_weights. {error}"
        ) from error


def _has_arrays(group: hdf5.Group) -> bool:
    """Return whether the group has weights, in any layout; an optimizer's do not count."""
    for name in group.keys():  # noqa: SIM118 - a group is no dict
        inside = group.group(name)
        if inside is None or (not name.startswith("optimizer") and _has_arrays(inside)):
            return True
    return False


def _first_kernel(model: Any, group: hdf5.Group) -> tuple[int, ...] | None:
    """Return the shape of the first array of the first layer that has arrays."""
    if group.has("layer_names") or group.has("layer_names0"):
        for name in group.names("layer_names"):
            layer = group.group(name)
            for array in layer.names("weight_names") if layer is not None else []:
                return group.shape(f"{name}/{array}")
        return None
    found = (group.shape(f"{path}/vars/0") for path, _ in weights.layer_paths(model))
    return next((shape for shape in found if shape is not None), None)


def _told(described: dict[str, Any]) -> tuple[Any, ...] | None:
    """Return the input shape that Keras 3 stores for the chain or for its first layer."""
    config = described.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    for data in (described, *(layers or [])[:1]):
        noted = data.get("build_config") if isinstance(data, dict) else None
        shape = noted.get("input_shape") if isinstance(noted, dict) else None
        if isinstance(shape, list) and all(size is None or type(size) is int for size in shape):
            return tuple(shape)
    return None


def _of_kernel(model: Any, kernel: tuple[int, ...] | None) -> tuple[Any, ...] | None:
    """Return the input shape that the first kernel implies, if channels stay the same before it."""
    if kernel is None:
        return None
    for layer in _leaves(model):
        if isinstance(layer, Dense) and len(kernel) == 2:
            return None, kernel[0]
        rank = 3 if isinstance(layer, OnLines) else 4
        kind = _of_images(layer)
        if issubclass(kind, Convolution) and len(kernel) == rank:
            transposed = issubclass(kind, Conv2DTranspose)  # ends in (filters, channels)
            channels = kernel[-1] if transposed else kernel[-2] * getattr(layer, "groups", 1)
            return *(None for _ in range(rank - 1)), channels
        if not _keeps_channels(layer):
            return None
    return None


def _of_images(layer: Layer) -> type[Layer]:
    """Return the layer's class, or that of the layer of images that computes it."""
    return layer.kind if isinstance(layer, OnLines) else type(layer)


def _keeps_channels(layer: Layer) -> bool:
    """Return whether the layer has no weights, and keeps the number of channels of images."""
    if layer.takes_list or _of_images(layer).build is not Layer.build:
        return False
    images = *(None for _ in range((layer.input_rank or 4) - 1)), _CHANNELS
    try:
        shape = layer.compute_output_shape(images)
    except ValueError:
        return False
    return len(shape) == len(images) and shape[-1] == _CHANNELS


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield from _leaves(layer) if layer.is_network else (layer,)
