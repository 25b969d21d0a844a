"""Why is this number what it is? Checks and lessons for a layer, a model, an algorithm."""

from minicnn.explain.gradcheck import gradcheck
from minicnn.explain.health import health
from minicnn.explain.ways import compare_algorithms, convolution_steps

__all__ = ["compare_algorithms", "convolution_steps", "gradcheck", "health"]
