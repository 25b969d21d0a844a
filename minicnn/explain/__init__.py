"""Why is this number what it is? Checks and lessons for a layer, a model, an algorithm."""

from minicnn.explain.gradcheck import gradcheck
from minicnn.explain.health import health

__all__ = ["gradcheck", "health"]
