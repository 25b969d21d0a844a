"""Graphs made of graphs: fewer steps, and the part that training need not repeat.

**Folding.** At inference a BatchNormalization is a fixed scale and shift per channel, and so is
linear in what the convolution before it computes:

    scale = gamma / sqrt(moving_variance + epsilon)
    (conv(x, kernel) + bias - moving_mean) * scale + beta
        = conv(x, kernel * scale) + (bias - moving_mean) * scale + beta

So a convolution with another kernel and bias gives the same numbers, and the normalization costs
nothing. They are computed whenever they are used, so that new weights are seen at once; a matrix
product multiplies by scale while it copies the kernel, as it does anyway. A ReLU behind it is
applied while the result is in registers. (Jacob et al. 2018, section 3.2.) And where max pooling
takes the largest of a block of results, it gets them while they are in the cache: those that lose
are not written to memory (`functional.conv2d_max_pool2d`). This last step serves training, too.

**Splitting.** The layers before the first one that learns or draws random numbers compute the same
for a photo in each epoch: once is enough.

Both leave the model and its layers as they are; what they return shares its weights.
"""

import copy
import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional
from minicnn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    InputLayer,
    KerasTensor,
    Layer,
    MaxPooling2D,
    Node,
    ReLU,
    SeparableConv2D,
)
from minicnn.layers.base import Cache, Grads, Shape
from minicnn.layers.convolutional import kernel_grads
from minicnn.shapes import Pair, ReceptiveField
from minicnn.variable import Computed, Variable

Array = np.ndarray
Ends = tuple[list[KerasTensor], list[KerasTensor]]  # a graph's inputs and outputs
LINEAR = (Conv2D, DepthwiseConv2D, SeparableConv2D, Dense)


# ---------------------------------------------------------------------------------------------
# Copying a graph
# ---------------------------------------------------------------------------------------------


def _use(
    layer: Layer, inputs: list[KerasTensor], node: Node, last: Node | None = None
) -> list[KerasTensor]:
    """A use of `layer` as in `node`, on other symbols; the layer does not know of it.

    Its outputs are as those of `last`, if it does what all nodes up to there did.
    """
    copy = Node(layer, inputs, node.training, node.single_input, listed=False)
    copy.outputs = [
        KerasTensor(tensor.shape, tensor.dtype, copy, tensor.index)
        for tensor in (last or node).outputs
    ]
    return copy.outputs


def _new_input(tensor: KerasTensor, name: str) -> KerasTensor:
    return InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype, name=name).nodes[0].outputs[0]


# ---------------------------------------------------------------------------------------------
# Folding
# ---------------------------------------------------------------------------------------------


class Fold(NamedTuple):
    """Layers that inference computes as one."""

    layer: Layer
    layers: tuple[Layer, ...]
    values_spared: int | None  # outputs per example that are not written to memory; None: unknown


class PooledConv2D(Layer):
    """A convolution and the max pooling behind it: of each block of results the largest.

    The weights, and whether they learn, are the convolution's. For training it is to `remember` the
    winners' numbers, a byte for each block, where the two layers keep the whole result.
    """

    input_rank = 4

    def __init__(self, convolution: Conv2D, pool_size: Pair, name: str, remember: bool) -> None:
        self.convolution, self.pool_size, self.remember = convolution, pool_size, remember
        super().__init__(name=name, dtype=convolution.dtype)
        self.weights_list, self.built = convolution.weights_list, True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *size, filters = self.convolution.compute_output_shape(input_shape)
        down, across = (
            None if length is None else length // pool
            for length, pool in zip(size, self.pool_size, strict=True)
        )
        return batch, down, across, filters

    def parameter_formula(self) -> str:
        return self.convolution.parameter_formula()

    def multiply_adds(self, input_shape: Shape) -> int | None:
        return self.convolution.multiply_adds(input_shape)

    def receptive_window(self) -> tuple[Pair, Pair, Pair] | None:
        window = self.convolution.receptive_window()
        assert window is not None
        rows, columns = (
            ReceptiveField().through(kernel, stride, dilation).through(pool, pool)
            for kernel, stride, dilation, pool in zip(*window, self.pool_size, strict=True)
        )
        return (rows.size, columns.size), (rows.step, columns.step), (1, 1)

    @property
    def trainable(self) -> bool:
        return self.convolution.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.convolution.trainable = value

    def trainable_variables_by_name(self) -> dict[str, Variable]:
        return self.convolution.trainable_variables_by_name()

    @property
    def _options(self) -> dict[str, Any]:
        groups = self.convolution.groups
        return {"pool_size": self.pool_size, "groups": groups, **self.convolution._window}

    def _pooled(self, x: Array, remember: bool) -> tuple[Array, Array | None]:
        layer = self.convolution
        w, scale, b = layer.factors(layer.kernel)
        return functional.conv2d_max_pool2d(
            x,
            w,
            b,
            scale=scale,
            activation=layer.clamp,
            remember=remember,
            **self._options,
        )

    def _forward(self, x: Array, training: bool) -> tuple[Array, Cache]:
        y, winners = self._pooled(x, self.remember)
        return y, {"x": x, "winners": winners}

    def _backward(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        x, winners = cache["x"], cache["winners"]
        if winners is None:  # inference did not ask for them
            winners = self._pooled(x, remember=True)[1]
        dx, dw, db = functional.conv2d_max_pool2d_backward(
            dz,
            winners,
            x,
            self.convolution.kernel.value,
            need_dx=need_dx,
            need_dw=self.trainable,
            **self._options,
        )
        return dx, kernel_grads(dw, db, self.convolution)


def fold(
    model: Any, nested: Callable[[Any, set[bool | None]], Any], training: bool = False
) -> tuple[Ends, list[Fold]]:
    """The graph of `model` for inference, or for training, and what was folded in it.

    `nested(inner, called)` gives the model that stands for one that was called with training so,
    everywhere. Classes of the user's own are left as they are: what they compute is not known here.
    """
    users: dict[int, list[Node]] = {}
    for node in model.graph_nodes:
        for tensor in node.inputs:
            users.setdefault(id(tensor), []).append(node)
    outputs = {id(tensor) for tensor in model.outputs}

    def only_user(node: Node) -> Node | None:
        """The node that alone takes what this one computes."""
        found = users.get(id(node.outputs[0]), [])
        alone = len(found) == 1 and id(node.outputs[0]) not in outputs
        takes_it_as_it_is = alone and found[0].layer.dtype == node.layer.dtype
        return found[0] if takes_it_as_it_is and len(found[0].inputs) == 1 else None

    new = {id(tensor): tensor for tensor in model.inputs}
    folds: list[Fold] = []
    for node in model.graph_nodes:
        if id(node.outputs[0]) in new:  # an input, or folded into a layer before
            continue
        layer, done = node.layer, [node]
        if hasattr(layer, "graph_nodes"):
            layer = nested(layer, {use.training for use in model.graph_nodes if use.layer is layer})
        elif type(layer) in LINEAR:
            done = _foldable(node, only_user, training)
            if len(done) > 1:
                layers = tuple(part.layer for part in done)
                uses = [other for other in model.graph_nodes if other.layer is layer]
                # A layer may be used elsewhere, too, folded or as it is: each has its own name.
                several = f" (use {uses.index(node) + 1})" if len(uses) > 1 else ""
                layer = _folded(layers, layer.name + several, training)
                folds.append(Fold(layer, layers, _values(node, len(layers) - 1)))
        made = _use(layer, [new[id(tensor)] for tensor in node.inputs], node, done[-1])
        for part in done:
            new |= {id(tensor): copy for tensor, copy in zip(part.outputs, made, strict=True)}
    return (list(model.inputs), [new[id(tensor)] for tensor in model.outputs]), folds


def _foldable(node: Node, only_user: Callable[[Node], Node | None], training: bool) -> list[Node]:
    """The node and those behind it that can be computed with it, in their order.

    For training that is max pooling alone: of the others a gradient passes through each.
    """
    found, behind = [node], only_user(node)
    if node.layer.activation_name == "linear" and not training:
        for fits in (_is_fixed_normalization, _is_clamp):
            if behind is not None and fits(behind):
                found.append(behind)
                behind = only_user(behind)
    limited = node.layer.clamp == node.layer.activation_name
    if type(node.layer) is Conv2D and limited and behind is not None and _is_block_pooling(behind):
        found.append(behind)
    return found


def settings(layer: Layer) -> Any:
    """What a layer that may be folded is asked for or copied for: whether to fold, and to what."""
    kind: Any = type(layer)
    return _settings_of(kind)(layer)


@functools.cache
def _settings_of(kind: Any) -> Callable[[Layer], Any]:
    if kind not in (*LINEAR, BatchNormalization, Activation, ReLU, MaxPooling2D):
        return lambda layer: None
    names = [name for name in kind._arguments() if name != "activation"]
    return operator.attrgetter("activation_name", *names)


def _is_fixed_normalization(node: Node) -> bool:
    return type(node.layer) is BatchNormalization and not node.training


def _is_clamp(node: Node) -> bool:
    return _clamp(node.layer) is not None


def _is_block_pooling(node: Node) -> bool:
    """Whether it is a max pooling of whole blocks side by side."""
    layer = node.layer
    if type(layer) is not MaxPooling2D or layer.padding != "valid":
        return False
    side_by_side = layer.strides == layer.pool_size
    return side_by_side and 1 < math.prod(layer.pool_size) <= functional.LARGEST_BLOCK


def _values(node: Node, times: int) -> int | None:
    sizes = [size for size in node.outputs[0].shape[1:] if size is not None]
    known = len(sizes) == len(node.outputs[0].shape) - 1
    return times * math.prod(sizes) if known else None


def _clamp(layer: Layer) -> str | None:
    """The name of the activation that the layer is, if it can be applied in place."""
    name = layer.as_activation() if type(layer) in (Activation, ReLU) else None
    return name if name in ("relu", "relu6") else None


def _folded(layers: tuple[Layer, ...], name: str, training: bool) -> Layer:
    """The first layer, doing what the others do: see `_foldable` for what they may be."""
    layer: Any = layers[0]
    if training:
        pooling: Any = layers[1]
        return PooledConv2D(layer, pooling.pool_size, name, remember=True)
    folded = copy.copy(layer)
    folded.name = name
    for other in layers[1:]:
        if type(other) is BatchNormalization:
            _fold_normalization(folded, layer, other)
        elif type(other) is MaxPooling2D:
            folded = PooledConv2D(folded, other.pool_size, name, remember=False)
        else:
            folded.activation = _clamp(other)
    return folded  # type: ignore[no-any-return]


def _fold_normalization(folded: Any, layer: Any, normalization: Any) -> None:
    """Give `folded`, a copy of the layer, a kernel and a bias that the normalization is in."""
    # The last kernel makes the outputs; a separable convolution's depthwise kernel stays.
    *others, kernel = [variable for variable in layer.weights_list if variable.name != "bias"]
    # A depthwise kernel ends in (channels, multiplier), which together are the outputs.
    outputs = kernel.shape[2:] if isinstance(layer, DepthwiseConv2D) else (-1,)

    def factors() -> tuple[Array, Array, Array]:
        w, bias = kernel.value, 0.0 if layer.bias is None else layer.bias.value
        scale, shift = _scale_and_shift(normalization)
        b = (bias * scale + shift).astype(w.dtype)
        return w, scale.astype(w.dtype).reshape(outputs), b

    def new_kernel() -> Array:
        w, scale, _ = factors()
        return w * scale

    computed = Computed(new_kernel, kernel.name, folded.name)
    setattr(folded, kernel.name, computed)
    folded.folded, folded.use_bias = factors, True
    folded.bias = Computed(lambda: factors()[2], "bias", folded.name)
    folded.weights_list = [*others, computed, folded.bias]


def _scale_and_shift(normalization: Any) -> tuple[Array, Array]:
    """What a normalization does at inference, x * scale + shift, in float64."""
    gamma, beta = normalization._scale_and_shift()
    variance = normalization.moving_variance.value.astype(np.float64)
    scale = gamma / np.sqrt(variance + normalization.epsilon)
    return scale, beta - normalization.moving_mean.value * scale


# ---------------------------------------------------------------------------------------------
# Splitting
# ---------------------------------------------------------------------------------------------


class Split(NamedTuple):
    """A model in two: what stays the same for a photo, and what learns."""

    fixed: Ends
    learning: Ends
    layers: tuple[Layer, ...]  # in the fixed part


def split(model: Any) -> Split | None:
    """The model's fixed part and the rest of it; None if nothing worth keeping is fixed.

    Fixed are the layers that neither learn nor differ between training and inference, and have only
    such layers before them. For models with one input.
    """
    if len(model.inputs) != 1 or not model.trainable_weights:
        return None
    trains = {id(variable) for variable in model.trainable_weights}
    fixed: set[int] = {id(model.inputs[0])}
    nodes: list[Node] = []
    for node in model.graph_nodes:
        ready = node.inputs and all(id(tensor) in fixed for tensor in node.inputs)
        if ready and not any(id(v) in trains for v in node.layer.weights) and _repeats(node):
            fixed |= {id(tensor) for tensor in node.outputs}
            nodes.append(node)
    if not any(node.layer.weights for node in nodes):
        return None  # nothing but cheap layers
    # What goes from one part to the other.
    needed = [t for node in model.graph_nodes if node not in nodes for t in node.inputs]
    crossing = {id(t): t for t in [*needed, *model.outputs] if id(t) in fixed}
    if len(crossing) != 1 or id(model.inputs[0]) in crossing:
        return None
    (border,) = crossing.values()
    start = _new_input(border, "features")
    new = {id(border): start}
    for node in model.graph_nodes:
        if node not in nodes and node.inputs:
            made = _use(node.layer, [new[id(tensor)] for tensor in node.inputs], node)
            new |= {id(tensor): copy for tensor, copy in zip(node.outputs, made, strict=True)}
    learning = [start], [new[id(tensor)] for tensor in model.outputs]
    return Split((list(model.inputs), [border]), learning, tuple(node.layer for node in nodes))


def _repeats(node: Node) -> bool:
    """Whether training computes here what inference does, and changes nothing on the way."""
    return node.training is False or not node.layer.differs_in_training()
