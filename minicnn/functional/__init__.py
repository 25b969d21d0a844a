"""The operations of a CNN as pure functions of arrays: check, allocate, choose, compute.

Each function has a plain-loop twin of the same name in `minicnn.naive`, in a file of the same name;
read that one for the formula. Here every argument is checked once; the kernels below check nothing.
Arrays are float32 or float64 (one dtype per call), activations NHWC `(batch, height, width,
channels)`, kernels HWIO. Inputs are never written to and never returned: a result is always a new
array.

    convolution         conv2d
    pooled_convolution  conv2d_max_pool2d, which does not store what the pooling drops
    transposed          conv2d_transpose
    depthwise           depthwise_conv2d
    pooling             max_pool2d, average_pool2d, global_average_pool2d, global_max_pool2d,
                        adaptive_average_pool2d, adaptive_max_pool2d
    padding             zero_padding2d
    upsampling          up_sampling2d
    resizing            resize
    reshaping           permute, repeat_vector, cropping2d
    dense               dense
    elementwise         rescaling, relu, sigmoid, tanh, softmax, dropout, alpha_dropout
    activations         elu, silu, gelu, softplus, …, whose gradients take their input; prelu
    by_name             the activations that layers take, by name
    merging             add, multiply, subtract, divide, average, maximum, minimum, concatenate
    dot                 dot
    normalization       batch_moments, batch_normalization
    example_normalization  layer_normalization, group_normalization, unit_normalization
    losses              categorical_crossentropy, binary_crossentropy
    images              affine_transform, warp

    channelwise         each channel by itself, for depthwise and grouped convolutions
    algorithms/         the algorithms of convolution, and the choice between them
    epilogue            what happens to a sum before it is stored
    buffers             memory that is reused

Error messages call the operation `name`; a layer passes its own name.

Convolutions take `algorithm`:

- `"naive"`   the loops of `minicnn.naive`: to read and to check, thousands of times slower.
- `"im2col"`  patches copied into a matrix, one matrix product for all of them. Any option, any
  dtype; the matrix costs memory and time.
- `"direct"`  no matrix: tiles of the result are summed up in the processor's registers, straight
  from the image. float32, without dilation.
- `"winograd"` 3x3 kernels with strides 1 and a quarter of the multiplications; rounding errors are
  about ten times those of the others. float32, without dilation.
- `"auto"`    "winograd" from 8 channels and 8 filters on, else "direct", else "im2col", whichever
  comes first of those that can (`minicnn.functional.algorithms.choose`). Where each group is one
  channel, none of them: then there is no sum over channels.
"""

from minicnn.functional.activations import (
    celu,
    celu_backward,
    elu,
    elu_backward,
    exponential,
    exponential_backward,
    gelu,
    gelu_backward,
    hard_shrink,
    hard_shrink_backward,
    hard_sigmoid,
    hard_sigmoid_backward,
    hard_silu,
    hard_silu_backward,
    hard_tanh,
    hard_tanh_backward,
    leaky_relu,
    leaky_relu_backward,
    log_sigmoid,
    log_sigmoid_backward,
    log_softmax,
    log_softmax_backward,
    mish,
    mish_backward,
    prelu,
    prelu_backward,
    selu,
    selu_backward,
    silu,
    silu_backward,
    soft_shrink,
    soft_shrink_backward,
    softplus,
    softplus_backward,
    softsign,
    softsign_backward,
    sparse_plus,
    sparse_plus_backward,
    sparse_sigmoid,
    sparse_sigmoid_backward,
    squareplus,
    squareplus_backward,
    tanh_shrink,
    tanh_shrink_backward,
)
from minicnn.functional.by_name import ACTIVATIONS, ALIASES, ActivationFunction
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
from minicnn.functional.dot import (
    dot,
    dot_backward,
)
from minicnn.functional.elementwise import (
    alpha_dropout,
    alpha_dropout_backward,
    dropout,
    dropout_backward,
    relu,
    relu_backward,
    rescaling,
    rescaling_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from minicnn.functional.example_normalization import (
    group_normalization,
    group_normalization_backward,
    layer_normalization,
    layer_normalization_backward,
    unit_normalization,
    unit_normalization_backward,
)
from minicnn.functional.images import (
    FILL_MODES,
    affine_transform,
    warp,
    warp_backward,
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
    add_backward,
    average,
    average_backward,
    concatenate,
    concatenate_backward,
    divide,
    divide_backward,
    maximum,
    maximum_backward,
    minimum,
    minimum_backward,
    multiply,
    multiply_backward,
    subtract,
    subtract_backward,
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
    adaptive_average_pool2d,
    adaptive_average_pool2d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
    average_pool2d,
    average_pool2d_backward,
    global_average_pool2d,
    global_average_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)
from minicnn.functional.reshaping import (
    cropping2d,
    cropping2d_backward,
    permute,
    permute_backward,
    repeat_vector,
    repeat_vector_backward,
)
from minicnn.functional.resizing import (
    resize,
    resize_backward,
)
from minicnn.functional.transposed import (
    conv2d_transpose,
    conv2d_transpose_backward,
)
from minicnn.functional.upsampling import (
    up_sampling2d,
    up_sampling2d_backward,
)

__all__ = [
    "ACTIVATIONS",
    "ALGORITHMS",
    "ALIASES",
    "EPSILON",
    "FILL_MODES",
    "LARGEST_BLOCK",
    "ActivationFunction",
    "adaptive_average_pool2d",
    "adaptive_average_pool2d_backward",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "add",
    "add_backward",
    "affine_transform",
    "alpha_dropout",
    "alpha_dropout_backward",
    "average",
    "average_backward",
    "average_pool2d",
    "average_pool2d_backward",
    "batch_moments",
    "batch_normalization",
    "batch_normalization_backward",
    "binary_crossentropy",
    "binary_crossentropy_backward",
    "categorical_crossentropy",
    "categorical_crossentropy_backward",
    "celu",
    "celu_backward",
    "concatenate",
    "concatenate_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_max_pool2d",
    "conv2d_max_pool2d_backward",
    "conv2d_transpose",
    "conv2d_transpose_backward",
    "cropping2d",
    "cropping2d_backward",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "divide",
    "divide_backward",
    "dot",
    "dot_backward",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "exponential",
    "exponential_backward",
    "gelu",
    "gelu_backward",
    "global_average_pool2d",
    "global_average_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "group_normalization",
    "group_normalization_backward",
    "hard_shrink",
    "hard_shrink_backward",
    "hard_sigmoid",
    "hard_sigmoid_backward",
    "hard_silu",
    "hard_silu_backward",
    "hard_tanh",
    "hard_tanh_backward",
    "layer_normalization",
    "layer_normalization_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_sigmoid",
    "log_sigmoid_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "maximum",
    "maximum_backward",
    "minimum",
    "minimum_backward",
    "mish",
    "mish_backward",
    "multiply",
    "multiply_backward",
    "permute",
    "permute_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "repeat_vector",
    "repeat_vector_backward",
    "rescaling",
    "rescaling_backward",
    "resize",
    "resize_backward",
    "selu",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "soft_shrink",
    "soft_shrink_backward",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "softsign",
    "softsign_backward",
    "sparse_plus",
    "sparse_plus_backward",
    "sparse_sigmoid",
    "sparse_sigmoid_backward",
    "squareplus",
    "squareplus_backward",
    "subtract",
    "subtract_backward",
    "tanh",
    "tanh_backward",
    "tanh_shrink",
    "tanh_shrink_backward",
    "unit_normalization",
    "unit_normalization_backward",
    "up_sampling2d",
    "up_sampling2d_backward",
    "warp",
    "warp_backward",
    "zero_padding2d",
    "zero_padding2d_backward",
]
