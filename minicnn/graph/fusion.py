"""Fusion: a graph made of a graph, with the same numbers in fewer steps.

At inference a BatchNormalization is a fixed scale and shift per channel, and so is linear in what
the convolution before it computes:

    scale = gamma / sqrt(moving_variance + epsilon)
    (conv(x, kernel) + bias - moving_mean) * scale + beta
        = conv(x, kernel * scale) + (bias - moving_mean) * scale + beta

So a convolution with another kernel and bias gives the same numbers, and the normalization costs
nothing. Both are computed whenever they are used, so that new weights are seen at once; a matrix
product multiplies by scale while it copies the kernel, as it does anyway. A ReLU behind it is
applied while the result is in registers. (Jacob et al. 2018, section 3.2.) And where max pooling
takes the largest of a block of results, it gets them while they are in the cache: those that lose
are not written to memory (`functional.conv2d_max_pool2d`). Training, too, takes a layer together
with its own ReLU and the pooling behind it.

The graph and its layers stay as they are; the fused graph shares their weights.
"""

import functools
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicnn import functional
from minicnn.graph.fused import PRODUCTS, FusedLayer
from minicnn.graph.graph import Graph
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
    """The graph for inference, or for training, and what was folded in it.

    `nested` has the networks in it, and what takes the place of each. Classes of the user's own are
    left as they are: what they compute is not known here.
    """
    users: defaultdict[KerasTensor, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for symbol in node.inputs:
            users[symbol].append(node)

    def only_user(node: Node) -> Node | None:
        """The node that alone takes what this one computes."""
        found = users[node.outputs[0]]
        alone = len(found) == 1 and node.outputs[0] not in graph.outputs
        takes_it_as_it_is = alone and found[0].layer.dtype == node.layer.dtype
        return found[0] if takes_it_as_it_is and len(found[0].inputs) == 1 else None

    new = {symbol: symbol for symbol in graph.inputs}
    folds: list[Fold] = []
    for node in graph.nodes:
        if node.outputs[0] in new:  # an input, or folded into a layer before
            continue
        layer, done = nested.get(node.layer, node.layer), [node]
        if type(layer) in PRODUCTS:
            done = _foldable(node, only_user, training)
            layers = tuple(part.layer for part in done)
            if len(done) > 1 or only_limits(layer.activation_name):
                uses = [other for other in graph.nodes if other.layer is layer]
                # A layer may be used elsewhere, too, folded or as it is: each has its own name.
                several = f" (use {uses.index(node) + 1})" if len(uses) > 1 else ""
                layer = _fused(layers, layer.name + several, training)
                if len(done) > 1:
                    folds.append(Fold(layer, layers, _values(node, len(layers) - 1)))
        made = use(layer, [new[symbol] for symbol in node.inputs], node, done[-1])
        for part in done:
            new |= zip(part.outputs, made, strict=True)
    return Graph(graph.inputs, [new[symbol] for symbol in graph.outputs]), folds


def _foldable(node: Node, only_user: Callable[[Node], Node | None], training: bool) -> list[Node]:
    """The node and those behind it that can be computed with it, in their order.

    For training that is max pooling alone: a gradient has to pass through each of the others.
    """
    found, behind = [node], only_user(node)
    if node.layer.activation_name == "linear" and not training:
        for fits in (_is_fixed_normalization, _is_limiter):
            if behind is not None and fits(behind):
                found.append(behind)
                behind = only_user(behind)
    name = node.layer.activation_name
    may_be_pooled = type(node.layer) is Conv2D and (name == "linear" or only_limits(name))
    if may_be_pooled and behind is not None and _is_block_pooling(behind):
        found.append(behind)
    return found


def settings(layer: Layer) -> Any:
    """The settings of a layer on which folding depends; None for a layer that is never folded."""
    kind: Any = type(layer)
    return _settings_of(kind)(layer)


@functools.cache
def _settings_of(kind: Any) -> Callable[[Layer], Any]:
    if kind not in (*PRODUCTS, BatchNormalization, Activation, ReLU, MaxPooling2D):
        return lambda layer: None
    names = [name for name in kind._arguments() if name != "activation"]
    return operator.attrgetter("activation_name", *names)


def _is_fixed_normalization(node: Node) -> bool:
    return type(node.layer) is BatchNormalization and not node.training


def _is_limiter(node: Node) -> bool:
    return _limits(node.layer) is not None


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


def _limits(layer: Layer) -> str | None:
    """The name of the activation that the layer is, if all it has is limits."""
    name = layer.as_activation() if type(layer) in (Activation, ReLU) else None
    return name if name is not None and only_limits(name) else None


def _fused(layers: Sequence[Layer], name: str, training: bool) -> FusedLayer:
    """One layer that does what these do: see `_foldable` for what they may be."""
    first, *others = layers
    found: dict[str, Any] = {"limits": first.activation_name}
    for other in others:
        if isinstance(other, BatchNormalization):
            found["normalization"] = other
        elif isinstance(other, MaxPooling2D):
            found |= {"pool_size": other.pool_size, "remember": training}
        else:
            found["limits"] = _limits(other)
    return FusedLayer(first, name, **found)
