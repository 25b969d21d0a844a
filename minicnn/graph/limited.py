"""`LimitedNormalization`: batch normalization and the ReLU after it, computed as one in training.

    y = limits( gamma * (x - mean) / sqrt(variance + epsilon) + beta )

Each of the two layers by itself reads and writes all numbers, and memory limits their speed.
Together they need eight passes over it instead of thirteen, forward and backward. And the
normalization's own result, which a tape would keep until backward, is never written.
"""

from typing import Any

from minicnn import functional
from minicnn.graph.wrapped import WrappedLayer
from minicnn.layers import BatchNormalization
from minicnn.layers.base import Array, Cache, Grads, Kept, Shape


class LimitedNormalization(WrappedLayer):
    """A normalization together with an activation that only has `limits`."""

    def __init__(self, layer: BatchNormalization, name: str, limits: str) -> None:
        self.limits = limits
        super().__init__(layer, name)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the layer's output shape."""
        found: Shape = self.layer.compute_output_shape(input_shape)
        return found

    def differs_in_training(self) -> bool:
        """Return whether the normalization does."""
        return bool(self.layer.differs_in_training())

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        layer, training = self.layer, training and self.trainable
        mean, variance = layer.statistics(x, training)
        gamma, beta = layer.scale_and_shift()
        y = functional.batch_normalization(
            x, mean, variance, gamma, beta, layer.epsilon, layer.label, self.limits
        )
        return y, {"x": x, "mean": mean, "variance": variance, "training": training}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        gamma, beta = self.layer.scale_and_shift()
        dx, dgamma, dbeta = functional.batch_normalization_backward(
            dz,
            cache["x"],
            cache["mean"],
            cache["variance"],
            gamma,
            self.layer.epsilon,
            cache["training"],
            need_dx,
            self.layer.label,
            beta,
            self.limits,
        )
        grads: Grads = self.layer.grads(dgamma, dbeta)
        return dx, grads
