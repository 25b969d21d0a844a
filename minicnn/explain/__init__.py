"""Explains any number of any layer, forward and backward, term by term.

    trace = model.trace(x)                        # or model.trace(x, y=labels)
    print(trace.explain("conv2d", at=(4, 7, 0)))  # which pixels, which weights, what sum
    print(trace.explain_gradient("conv2d", "kernel", at=(0, 0, 0, 0)))
    print(trace.explain_update("conv2d", "kernel", at=(0, 0, 0, 0)))  # what a step does to it
    print(trace.why("dense", at=(3,)))            # down to the pixels
    print(layer.explain(x, at=(4, 7, 0)))         # a layer by itself
    print(gradcheck(layer, x))                    # are its gradients right?
    print(health(model, x, y))                    # can the model learn?
    print(compare_networks(before, after, x))     # which layers did the training change?
    print(trace.heatmap("grad_cam"))              # which parts of the photo speak for a class?
    print(convolution_steps(x, w, algorithm="winograd"))    # how does a fast algorithm work?

`arithmetic` has the sums of layers, `gradients` those of their gradients, `activation_layers` both
for activations, `merging_layers` for sums and products, `moving` for moved numbers and resized
images, `transposed` for transposed convolutions, `random_layers`, `random_images` and
`random_colours` for layers that are random in training, `update` a weight's step in training,
`field` the receptive fields, `heatmap` the heat maps, `preferred` the images that a map responds to
most, `comparison` two networks side by side, `algorithm_steps` the algorithms, `show` the
formatting.
"""

from minicnn.explain import (  # noqa: F401 - they register what they explain
    activation_layers,
    adaptive,
    lines,
    merging_layers,
    moving,
    normalizing,
    operations,
    random_colours,
    random_images,
    random_layers,
    transposed,
)
from minicnn.explain.algorithm_steps import compare_algorithms, convolution_steps
from minicnn.explain.arithmetic import Spot, Sum, sums
from minicnn.explain.comparison import LayerComparison, NetworkComparison, compare_networks
from minicnn.explain.explanation import (
    Explanation,
    Step,
    Window,
    make_gradient_terms,
    make_terms,
)
from minicnn.explain.field import SeenPixels
from minicnn.explain.gradcheck import GradientCheck, gradcheck
from minicnn.explain.gradient_sum import GradientSum, Query, gradient_of
from minicnn.explain.health import Health, health
from minicnn.explain.heatmap import HEATMAPS, Heatmap
from minicnn.explain.path import Link, Path
from minicnn.explain.preferred import PreferredImage, preferred_image
from minicnn.explain.randomized import SanityCheck
from minicnn.explain.trace import Moved, Trace
from minicnn.explain.trace_entry import TraceEntry
from minicnn.explain.update import Update

__all__ = [
    "HEATMAPS",
    "Explanation",
    "GradientCheck",
    "GradientSum",
    "Health",
    "Heatmap",
    "LayerComparison",
    "Link",
    "Moved",
    "NetworkComparison",
    "Path",
    "PreferredImage",
    "Query",
    "SanityCheck",
    "SeenPixels",
    "Spot",
    "Step",
    "Sum",
    "Trace",
    "TraceEntry",
    "Update",
    "Window",
    "compare_algorithms",
    "compare_networks",
    "convolution_steps",
    "gradcheck",
    "gradient_of",
    "health",
    "make_gradient_terms",
    "make_terms",
    "preferred_image",
    "sums",
]
