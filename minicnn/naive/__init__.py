"""Every operation, forward and backward, as plain loops: the formula itself.

This is the first lesson, and the oracle of the tests. Nothing here is fast or clever; each function
has a twin of the same name and arguments in `minicnn.functional`, in a file of the same name, and
the tests compare the two. Functions expect correct arguments (`functional` checks them) and never
write to their inputs.

Shapes: activations are NHWC `(batch, height, width, channels)`, kernels are HWIO
`(rows, columns, input channels, filters)`. A gradient `dx` has the shape of its `x` and holds
`d loss / d x`. Every backward function is the chain rule: it passes the gradient `dy` of an output
on to each of that output's inputs, in proportion to how strongly the input moved the output.
"""

from minicnn.naive.convolution import (
    conv2d,
    conv2d_backward,
)
from minicnn.naive.dense import (
    dense,
    dense_backward,
)
from minicnn.naive.depthwise import (
    depthwise_conv2d,
    depthwise_conv2d_backward,
)
from minicnn.naive.elementwise import (
    dropout,
    dropout_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from minicnn.naive.images import (
    affine_transform,
)
from minicnn.naive.losses import (
    binary_crossentropy,
    binary_crossentropy_backward,
    categorical_crossentropy,
    categorical_crossentropy_backward,
)
from minicnn.naive.merging import (
    add,
    concatenate,
    concatenate_backward,
)
from minicnn.naive.normalization import (
    batch_moments,
    batch_normalization,
    batch_normalization_backward,
)
from minicnn.naive.padding import (
    zero_padding2d,
    zero_padding2d_backward,
)
from minicnn.naive.pooled_convolution import (
    conv2d_max_pool2d,
    conv2d_max_pool2d_backward,
    largest_of_blocks,
    unpool,
)
from minicnn.naive.pooling import (
    average_pool2d,
    average_pool2d_backward,
    global_average_pool2d,
    global_average_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from minicnn.naive.upsampling import (
    up_sampling2d,
    up_sampling2d_backward,
)

__all__ = [
    "add",
    "affine_transform",
    "average_pool2d",
    "average_pool2d_backward",
    "batch_moments",
    "batch_normalization",
    "batch_normalization_backward",
    "binary_crossentropy",
    "binary_crossentropy_backward",
    "categorical_crossentropy",
    "categorical_crossentropy_backward",
    "concatenate",
    "concatenate_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_max_pool2d",
    "conv2d_max_pool2d_backward",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "dropout",
    "dropout_backward",
    "global_average_pool2d",
    "global_average_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "largest_of_blocks",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
    "unpool",
    "up_sampling2d",
    "up_sampling2d_backward",
    "zero_padding2d",
    "zero_padding2d_backward",
]
