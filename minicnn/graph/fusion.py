"""Fusion rewrites a graph into one that computes the same numbers in fewer steps.

At inference a BatchNormalization is a fixed scale and shift per channel, and so is linear in what
the convolution before it computes:

    scale = gamma / sqrt(moving_variance + epsilon)
    (conv(x, kernel) + bias - moving_mean) * scale + beta
        = conv(x, kernel * scale) + (bias - moving_mean) * scale + beta

So a convolution with another kernel and bias gives the same numbers, and the normalization costs
nothing. Kernel and bias are computed on each use, so that new weights take effect at once; a matrix
product multiplies by scale while it copies the kernel, which it does anyway. A ReLU that follows is
applied while the result is in registers. (Jacob et al. 2018, section 3.2.) And where max pooling
follows, it takes the largest of a block of results while they are in the cache, and the others are
not written to memory (`functional.conv2d_max_pool2d`). Training, too, fuses a layer with its own
ReLU and the pooling that follows, and a normalization with the ReLU that follows.

The graph and its layers do not change; the fused graph shares their weights.
"""

import functools
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional, shapes
from minicnn.graph.fused import PRODUCTS, FusedLayer
from minicnn.graph.graph import Graph
from minicnn.graph.limited import LimitedNormalization
from minicnn.graph.rewriting import use
from minicnn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    KerasTensor,
    Layer,
    MaxPooling2D,
    Node,
    ReLU,
)
from minicnn.layers.base import only_limits

Array = np.ndarray


class Fold(NamedTuple):
    """Layers that inference computes as one."""

    layer: Layer
    layers: tuple[Layer, ...]
    values_spared: int | None  # outputs per example that are not written to memory; None: unknown


def fuse(
    graph: Graph, nested: Mapping[Any, Layer], training: bool = False
) -> tuple[Graph, list[Fold]]:
    """Return the fused graph for inference, or for training, and what was folded in it.

    `nested` maps each network in the graph to the one that takes its place. Layers of the user's
    own classes stay as they are: fusion cannot know what they compute.
    """
    users: defaultdict[KerasTensor, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for symbol in node.inputs:
            users[symbol].append(node)

    def only_user(node: Node) -> Node | None:
        """Return the only node that uses this node's output, as it is, and uses nothing else."""
        found = users[node.outputs[0]]
        alone = len(found) == 1 and node.outputs[0] not in graph.outputs
        takes_it_as_it_is = alone and found[0].layer.dtype == node.layer.dtype
        if not takes_it_as_it_is or len(found[0].inputs) != 1:
            return None
        # The loss needs this output, which it penalizes.
        penalized = any(each.layer.penalizes_outputs() for each in (node, found[0]))
        return None if penalized else found[0]

    def use_name(node: Node) -> str:
        """Return the layer's name; with a number if the graph uses it elsewhere, folded or not."""
        uses = [other for other in graph.nodes if other.layer is node.layer]
        several = f" (use {uses.index(node) + 1})" if len(uses) > 1 else ""
        return node.layer.name + several

    new = {symbol: symbol for symbol in graph.inputs}
    folds: list[Fold] = []
    for node in graph.nodes:
        if node.outputs[0] in new:  # an input, or folded into an earlier layer
            continue
        layer, done = nested.get(node.layer, node.layer), [node]
        if type(layer) in PRODUCTS or type(layer) is BatchNormalization:
            done = _foldable(node, only_user, training)
            layers = tuple(part.layer for part in done)
            limited = only_limits(layer.activation_name) and not layer.penalizes_outputs()
            if len(done) > 1 or (limited and type(layer) in PRODUCTS):
                layer = _fused(layers, use_name(node), training)
                if len(done) > 1:
                    folds.append(Fold(layer, layers, _values(node, len(layers) - 1)))
        made = use(layer, [new[symbol] for symbol in node.inputs], node, done[-1])
        for part in done:
            new |= zip(part.outputs, made, strict=True)
    return Graph(graph.inputs, [new[symbol] for symbol in graph.outputs]), folds


def _foldable(node: Node, only_user: Callable[[Node], Node | None], training: bool) -> list[Node]:
    """Return the node and those after it that can be computed with it, in order.

    In training a convolution is joined only with the max pooling after it, because gradients must
    pass through all other layers; and a normalization, with the activation after it.
    """
    found, following = [node], only_user(node)
    if type(node.layer) is BatchNormalization:
        limited = training and following is not None and _is_limiter(following)
        return [node, following] if limited and following else found
    if node.layer.activation_name == "linear" and not training:
        for fits in (_is_fixed_normalization, _is_limiter):
            if following is not None and fits(following):
                found.append(following)
                following = only_user(following)
    name = node.layer.activation_name
    may_be_pooled = type(node.layer) is Conv2D and (name == "linear" or only_limits(name))
    if may_be_pooled and following is not None and _is_block_pooling(following):
        found.append(following)
    return found


def settings(layer: Layer) -> Any:
    """Return the settings that decide whether a layer can be folded; None if it never can."""
    kind: Any = type(layer)
    return _settings_of(kind)(layer)


@functools.cache
def _settings_of(kind: Any) -> Callable[[Layer], Any]:
    if kind not in (*PRODUCTS, BatchNormalization, Activation, ReLU, MaxPooling2D):
        return lambda layer: None
    names = [name for name in kind.argument_names() if name != "activation"]
    return operator.attrgetter("activation_name", "activity_regularizer", *names)


def _is_fixed_normalization(node: Node) -> bool:
    return type(node.layer) is BatchNormalization and not node.training


def _is_limiter(node: Node) -> bool:
    return _limits(node.layer) is not None


def _is_block_pooling(node: Node) -> bool:
    """Return whether the node is max pooling of whole blocks side by side."""
    layer = node.layer
    if type(layer) is not MaxPooling2D or layer.padding != "valid":
        return False
    side_by_side = layer.strides == layer.pool_size
    return side_by_side and 1 < math.prod(layer.pool_size) <= functional.LARGEST_BLOCK


def _values(node: Node, times: int) -> int | None:
    """Return `times` the numbers that the node's layer computes for one example."""
    count = shapes.product(node.outputs[0].shape[1:])
    return None if count is None else times * count


def _limits(layer: Layer) -> str | None:
    """Return the name of the layer's activation if the layer is one that only has limits."""
    name = layer.as_activation() if type(layer) in (Activation, ReLU) else None
    return name if name is not None and only_limits(name) else None


def _fused(layers: Sequence[Layer], name: str, training: bool) -> Layer:
    """Return one layer that does the work of these, which `_foldable` has found."""
    first, *others = layers
    if isinstance(first, BatchNormalization):
        return LimitedNormalization(first, name, str(_limits(others[0])))
    found: dict[str, Any] = {"limits": first.activation_name}
    for other in others:
        if isinstance(other, BatchNormalization):
            found["normalization"] = other
        elif isinstance(other, MaxPooling2D):
            found |= {"pool_size": other.pool_size, "remember": training}
        else:
            found["limits"] = _limits(other)
    return FusedLayer(first, name, **found)
