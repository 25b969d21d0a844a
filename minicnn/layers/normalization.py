"""BatchNormalization."""

from typing import Any

from minicnn import functional, initializers, shapes
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.convolutional import known_channels


class BatchNormalization(Layer):
    """Shifts and scales each channel to mean `beta` and standard deviation `gamma`.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    During training, mean and variance are those of the batch, and the moving statistics follow
    them:

        moving = moving * momentum + batch's * (1 - momentum)

    Otherwise the moving statistics are used. Surprises, all as in Keras: the variance is the biased
    one (divided by the count), in the moving statistics, too; `momentum` is the share of the old
    value, 0.99; epsilon is 1e-3; and a layer with `trainable=False` always runs as in inference.

    x has any shape (batch, …, channels). Weights: `gamma`, `beta`, then the statistics
    `moving_mean` and `moving_variance`, each (channels,).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, (tuple, list)) and len(axis) == 1:
            axis = axis[0]
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise ValueError(f"{self.label} expects axis to be an integer. Received {axis!r}.")
        numbers = shapes.is_number(momentum) and shapes.is_number(epsilon)
        if not numbers or not 0 <= momentum <= 1 or not epsilon > 0:
            raise ValueError(
                f"{self.label} expects momentum in [0, 1] and epsilon > 0. "
                f"Received momentum={momentum!r}, epsilon={epsilon!r}."
            )
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 2 or self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(
                f"{self.label} normalizes the last axis: it expects axis=-1 and an input "
                f"(batch, ..., channels). Received axis={self.axis}, shape {input_shape}."
            )
        shape = (known_channels(input_shape, self.label),)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma")
        if self.center:
            self.beta = self.add_weight(shape, self.beta_initializer, name="beta")
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built and input_shape[-1] != self.moving_mean.shape[0]:
            raise ValueError(
                f"{self.label} expects {self.moving_mean.shape[0]} channels. "
                f"Received {input_shape}."
            )
        return input_shape

    def parameter_formula(self) -> str:
        return f"{len(self.weights)}·{self.moving_mean.shape[0]}"

    def differs_in_training(self) -> bool:
        return self.trainable

    def scale_and_shift(self) -> tuple[Array, Array]:
        """Return gamma and beta as arrays, whether or not the layer has these weights."""
        shape, dtype = self.moving_mean.shape, self.dtype
        gamma = self.gamma.value if self.gamma else initializers.Ones()(shape, dtype)
        beta = self.beta.value if self.beta else initializers.Zeros()(shape, dtype)
        return gamma, beta

    def statistics(self, x: Array, training: bool) -> tuple[Array, Array]:
        """Return mean and variance; in training, those of the batch, and update the moving ones."""
        if x.shape[-1] != self.moving_mean.shape[0]:
            raise ValueError(
                f"{self.label} expects {self.moving_mean.shape[0]} channels. "
                f"Received x.shape={x.shape}."
            )
        if not training:
            return self.moving_mean.numpy(), self.moving_variance.numpy()
        mean, variance = functional.batch_moments(x, self.label)
        for moving, batch in (
            (self.moving_mean.value, mean),
            (self.moving_variance.value, variance),
        ):
            moving *= moving.dtype.type(self.momentum)
            moving += batch * batch.dtype.type(1 - self.momentum)
        return mean, variance

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        training = training and self.trainable
        mean, variance = self.statistics(x, training)
        gamma, beta = self.scale_and_shift()
        y = functional.batch_normalization(x, mean, variance, gamma, beta, self.epsilon, self.label)
        return y, {"x": x, "mean": mean, "variance": variance, "training": training}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        gamma, _ = self.scale_and_shift()
        dx, dgamma, dbeta = functional.batch_normalization_backward(
            dz,
            cache["x"],
            cache["mean"],
            cache["variance"],
            gamma,
            self.epsilon,
            cache["training"],
            need_dx,
            self.label,
        )
        return dx, self.grads(dgamma, dbeta)

    def grads(self, dgamma: Array, dbeta: Array) -> Grads:
        """Return the gradients of the weights that the layer has; none if it is frozen."""
        both = ("gamma", self.gamma, dgamma), ("beta", self.beta, dbeta)
        return {name: found for name, weight, found in both if weight and self.trainable}
