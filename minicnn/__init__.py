"""minicnn is a CNN engine in NumPy, with Keras's names and layers you can look into.

    import minicnn as keras

Start at `minicnn.naive` for the formulas, at `minicnn.layers` for the layers, at `minicnn.graph`
for how a network runs forward and backward, and at `minicnn.training` for how it learns.
"""

from minicnn._support import early
from minicnn._support.version import __version__ as __version__

if early.is_command():
    early.end_in_one_line("minicnn")

from typing import TYPE_CHECKING

from minicnn import (
    activations,
    backend,
    callbacks,
    config,
    constraints,
    functional,
    initializers,
    layers,
    losses,
    metrics,
    models,
    naive,
    ops,
    optimizers,
    regularizers,
    saving,
)
from minicnn.compat import hints
from minicnn.initializers import Initializer
from minicnn.layers import Input, KerasTensor, Layer
from minicnn.losses import Loss
from minicnn.metrics import Metric
from minicnn.models import Model, Sequential
from minicnn.optimizers import Optimizer
from minicnn.regularizers import Regularizer

# What a first prediction does not need is imported when it is first used.
if TYPE_CHECKING:
    from minicnn import applications, datasets, explain, plots, preprocessing, utils
else:
    _LATER = ["applications", "datasets", "explain", "plots", "preprocessing", "utils"]
    __getattr__ = hints.of_module(__name__, later=_LATER)


def __dir__() -> list[str]:  # a notebook completes these names before they are imported
    return sorted({*globals(), *__all__})


__all__ = [
    "Initializer",
    "Input",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "explain",
    "functional",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "naive",
    "ops",
    "optimizers",
    "plots",
    "preprocessing",
    "regularizers",
    "saving",
    "utils",
]
