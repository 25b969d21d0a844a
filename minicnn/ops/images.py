"""Convolutions and pooling of images (batch, height, width, channels), without a layer."""

from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.ops.operation import operation

Array = np.ndarray


@operation
def conv(
    inputs: Array,
    kernel: Array,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """Return the images convolved with the kernel (rows, columns, channels, filters)."""
    shapes.check_data_format(data_format, "conv")
    x, w, how = _ready(inputs, kernel, strides, padding, dilation_rate)
    back = functional.conv2d_backward
    return (
        functional.conv2d(x, w, name="conv", **how),
        lambda dy: back(np.ascontiguousarray(dy), x, w, need_dw=False, name="conv", **how)[0],
        lambda dy: back(np.ascontiguousarray(dy), x, w, need_dx=False, name="conv", **how)[1],
    )


@operation
def depthwise_conv(
    inputs: Array,
    kernel: Array,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """Return each channel convolved with its own kernels (rows, columns, channels, each)."""
    shapes.check_data_format(data_format, "depthwise_conv")
    x, w, how = _ready(inputs, kernel, strides, padding, dilation_rate)
    how |= {"name": "depthwise_conv"}
    back = functional.depthwise_conv2d_backward
    return (
        functional.depthwise_conv2d(x, w, **how),
        lambda dy: back(np.ascontiguousarray(dy), x, w, need_dw=False, **how)[0],
        lambda dy: back(np.ascontiguousarray(dy), x, w, need_dx=False, **how)[1],
    )


def _ready(
    inputs: Array, kernel: Array, strides: Any, padding: str, dilation_rate: Any
) -> tuple[Array, Array, dict[str, Any]]:
    how = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    return np.ascontiguousarray(inputs), np.ascontiguousarray(kernel), how


@operation
def max_pool(
    inputs: Array,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: Any = None,
) -> Any:
    """Return the largest number under each window, which gets dy; among equals, the first."""
    shapes.check_data_format(data_format, "max_pool")
    x, how = np.ascontiguousarray(inputs), (pool_size, strides, padding, "max_pool")
    back = functional.max_pool2d_backward
    return functional.max_pool2d(x, *how), lambda dy: back(np.ascontiguousarray(dy), x, *how)


@operation
def average_pool(
    inputs: Array,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: Any = None,
) -> Any:
    """Return the mean of the pixels under each window; each pixel gets its share of dy."""
    shapes.check_data_format(data_format, "average_pool")
    x, how = np.ascontiguousarray(inputs), (pool_size, strides, padding, "average_pool")
    back = functional.average_pool2d_backward
    y = functional.average_pool2d(x, *how)
    return y, lambda dy: back(np.ascontiguousarray(dy), x.shape, *how)


@operation
def adaptive_average_pool(inputs: Array, output_size: Any, data_format: Any = None) -> Any:
    """Return the mean under each of `output_size` windows; each pixel gets its share of dy."""
    shapes.check_data_format(data_format, "adaptive_average_pool")
    x, name = np.ascontiguousarray(inputs), "adaptive_average_pool"
    back = functional.adaptive_average_pool2d_backward
    y = functional.adaptive_average_pool2d(x, output_size, name)
    return y, lambda dy: back(np.ascontiguousarray(dy), x.shape, name)


@operation
def adaptive_max_pool(inputs: Array, output_size: Any, data_format: Any = None) -> Any:
    """Return the largest number under each of `output_size` windows, which gets dy."""
    shapes.check_data_format(data_format, "adaptive_max_pool")
    x, name = np.ascontiguousarray(inputs), "adaptive_max_pool"
    back = functional.adaptive_max_pool2d_backward
    y = functional.adaptive_max_pool2d(x, output_size, name)
    return y, lambda dy: back(np.ascontiguousarray(dy), x, name)
