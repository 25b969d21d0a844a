"""The operations of a CNN as pure functions of arrays: check, allocate, choose, compute.

Each function has a plain-loop twin of the same name in `minicnn.naive`, in a file of the same name;
read that one for the formula. Here every argument is checked once, so that the kernels below need
not. Arrays are float32 or float64 (one dtype per call), activations NHWC `(batch, height, width,
channels)`, kernels HWIO. Inputs are never written to and never returned: a result is always a new
array.

    convolution         conv2d
    pooled_convolution  conv2d_max_pool2d, which never stores what the pooling drops
    depthwise           depthwise_conv2d
    pooling             max_pool2d, average_pool2d, global_average_pool2d, global_max_pool2d
    padding             zero_padding2d
    upsampling          up_sampling2d
    dense               dense
    elementwise         relu, sigmoid, tanh, softmax, dropout; activations by name
    merging             add, concatenate
    normalization       batch_moments, batch_normalization
    losses              categorical_crossentropy, binary_crossentropy
    images              affine_transform

    algorithms/         the algorithms of convolution, and the choice between them
    epilogue            what happens to a sum before it is stored
    buffers             memory that is used again

`name` is how error messages call the operation; a layer passes its own name.

Convolutions take `algorithm`:

- `"naive"`   the loops of `minicnn.naive`: to read and to check, thousands of times slower.
- `"im2col"`  patches copied into a matrix, one matrix product for all of them. Any option, any
  dtype; the matrix costs memory and time.
- `"direct"`  no matrix: tiles of the result are summed up in the processor's registers, straight
  from the image. float32, without dilation.
- `"winograd"` 3x3 kernels with strides 1 and a quarter of the multiplications; rounding errors are
  about ten times those of the others. float32, without dilation.
- `"auto"`    "winograd" from 8 channels and 8 filters on, else "direct", else "im2col", whichever
  comes first of those that can (`minicnn.functional.algorithms.choose`).
"""

from minicnn.functional.convolution import (
    ALGORITHMS,
    conv2d,
    conv2d_backward,
)
from minicnn.functional.dense import (
    dense,
    dense_backward,
)
from minicnn.functional.depthwise import (
    depthwise_conv2d,
    depthwise_conv2d_backward,
)
from minicnn.functional.elementwise import (
    ACTIVATIONS,
    ActivationFunction,
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
from minicnn.functional.images import (
    FILL_MODES,
    affine_transform,
)
from minicnn.functional.losses import (
    EPSILON,
    binary_crossentropy,
    binary_crossentropy_backward,
    categorical_crossentropy,
    categorical_crossentropy_backward,
)
from minicnn.functional.merging import (
    add,
    concatenate,
    concatenate_backward,
)
from minicnn.functional.normalization import (
    batch_moments,
    batch_normalization,
    batch_normalization_backward,
)
from minicnn.functional.padding import (
    zero_padding2d,
    zero_padding2d_backward,
)
from minicnn.functional.pooled_convolution import (
    LARGEST_BLOCK,
    conv2d_max_pool2d,
    conv2d_max_pool2d_backward,
)
from minicnn.functional.pooling import (
    average_pool2d,
    average_pool2d_backward,
    global_average_pool2d,
    global_average_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from minicnn.functional.upsampling import (
    up_sampling2d,
    up_sampling2d_backward,
)

__all__ = [
    "ACTIVATIONS",
    "ALGORITHMS",
    "EPSILON",
    "FILL_MODES",
    "LARGEST_BLOCK",
    "ActivationFunction",
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
    "up_sampling2d",
    "up_sampling2d_backward",
    "zero_padding2d",
    "zero_padding2d_backward",
]
