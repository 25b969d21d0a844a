"""Dropout and related layers, which make numbers noisy in training, and otherwise pass them on."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn._support import seeding
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer
from minicnn.layers.tracking import layers_within


class RandomLayer(Layer):
    """A layer that draws random numbers in training, unless `is_still` is set.

    `seed` is an integer or a `numpy.random.Generator`; without one, the numbers come from the
    generator that `set_random_seed` restarts.
    """

    is_still = False  # set to make a model deterministic

    def __init__(self, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        seeding.check_seed(seed, self.label)
        self.seed = seed
        # Created once: each pass continues the sequence, so draws do not repeat.
        self.own_generator = None if seed is None else seeding.generator(seed)

    def generator(self) -> np.random.Generator:
        """Return the generator that the next pass draws from."""
        return self.own_generator or seeding.default_generator()

    def has_effect(self) -> bool:
        """Return whether the layer's settings let it do anything in training."""
        return True

    def differs_in_training(self) -> bool:
        return self.has_effect() and not self.is_still

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config | {"seed": self.seed if isinstance(self.seed, int) else None}


def generators_within(layer: Layer) -> Iterator[np.random.Generator]:
    """Yield the generators that passes draw from: minicnn's own, and those of seeded layers."""
    yield seeding.default_generator()
    stack = [layer]
    while stack:
        inner = stack.pop()
        stack += layers_within(inner)
        if isinstance(inner, RandomLayer) and inner.own_generator is not None:
            yield inner.own_generator


class _Dropping(RandomLayer):
    """A layer with a `rate` from 0 to 1."""

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = _share(rate, "rate", self.label)

    def has_effect(self) -> bool:
        return self.rate > 0

    def _refuse_all(self, left: str) -> None:
        """Raise a `ValueError` for the rate 1, for which there is no formula."""
        if self.rate == 1:
            raise ValueError(f"{self.label} expects rate < 1 in training: {left}. Received 1.")


def _share(value: Any, argument: str, who: str) -> Any:
    if not shapes.is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{who} expects {argument} in [0, 1]. Received {value!r}.")
    return value


class _Masking(_Dropping):
    """A layer that sets numbers to 0 by a mask of shape `mask_shape`."""

    def mask_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the mask; along an axis of 1, neighbours are dropped together."""
        raise NotImplementedError

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if not training or not self.differs_in_training():
            return x, {"mask": None}
        if self.rate == 1:
            return np.zeros_like(x), {"mask": np.zeros(x.shape, bool)}
        mask = _mask(self.generator(), self.rate, self.mask_shape(x.shape), x.shape)
        return functional.dropout(x, mask, self.rate, self.label), {"mask": mask}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if cache["mask"] is None:
            return dz, {}
        if self.rate == 1:
            return np.zeros_like(dz), {}
        return functional.dropout_backward(dz, cache["mask"], self.rate, self.label), {}


class Dropout(_Masking):
    """During training, sets a random share `rate` of x to 0 and divides the rest by 1 - rate.

    Otherwise y = x. `noise_shape` has x's sizes (None fits any), or 1 where neighbours are set to 0
    together: (None, 1, 1, channels) drops whole feature maps. `seed` is an integer or a
    `numpy.random.Generator`; without one, the masks come from the generator that `set_random_seed`
    restarts. The surprise: the scaling happens during training, so prediction needs none
    (Srivastava et al. 2014, section 10). No weights.
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = _noise_shape(noise_shape, self.label)

    def mask_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        return _mask_shape(self.noise_shape, x_shape, self.label)


def _mask(
    rng: np.random.Generator, rate: float, shape: tuple[int, ...], x_shape: tuple[int, ...]
) -> Array:
    """Return a boolean array of x's shape, False with probability `rate`."""
    kept: Array = rng.random(shape, dtype=np.float32) >= rate
    return np.broadcast_to(kept, x_shape)


def _noise_shape(given: Any, who: str) -> tuple[int | None, ...] | None:
    if given is None:
        return None
    if not isinstance(given, (tuple, list, np.ndarray)):
        raise ValueError(
            f"{who} expects noise_shape to be a tuple of sizes, 1 and None. Received {given!r}."
        )
    return tuple(
        None if size is None else shapes.positive_int(size, "each size of noise_shape", who)
        for size in given
    )


def _mask_shape(
    noise_shape: tuple[int | None, ...] | None, x_shape: tuple[int, ...], who: str
) -> tuple[int, ...]:
    if noise_shape is None:
        return x_shape
    sizes = zip(noise_shape, x_shape, strict=False)
    if len(noise_shape) != len(x_shape) or any(n not in (None, 1, size) for n, size in sizes):
        raise ValueError(
            f"{who} expects noise_shape={noise_shape} to have the sizes of x, 1 or None. "
            f"Received x.shape={x_shape}."
        )
    return tuple(size if n is None else n for n, size in zip(noise_shape, x_shape, strict=True))


class _SpatialDropout(_Masking):
    """Dropout of whole feature maps."""

    @classmethod
    def penalty_settings(cls) -> list[str]:
        return []  # Keras's layer takes none

    def mask_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (x_shape[0], *(1 for _ in x_shape[1:-1]), x_shape[-1])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]  # Keras's layer does not take it
        return config


class SpatialDropout1D(_SpatialDropout):
    """During training, sets a random share `rate` of the channels to 0, each at all steps.

        y[n, i, c] = x[n, i, c] * kept[n, c] / (1 - rate)

    (batch, steps, channels). Otherwise y = x. Neighbours are similar, so dropping single numbers
    hides little; here a whole channel is gone (Tompson et al. 2014). `seed` as in `Dropout`.
    """

    input_rank = 3


class SpatialDropout2D(_SpatialDropout):
    """During training, sets a random share `rate` of the feature maps to 0, each as a whole.

        y[n, i, j, c] = x[n, i, j, c] * kept[n, c] / (1 - rate)

    (batch, height, width, channels). Otherwise y = x. Neighbouring pixels are similar, so dropping
    single ones hides little; here a whole map is gone (Tompson et al. 2014). `seed` as in
    `Dropout`. The surprise: a map that is 0 everywhere has no gradient anywhere.
    """

    input_rank = 4

    def __init__(
        self, rate: float, data_format: str | None = None, seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed, **kwargs)
        self.data_format = shapes.check_data_format(data_format, self.label)


class GaussianNoise(RandomLayer):
    """During training, adds a normal random number to each number of x.

        y = x + noise,  noise ~ N(0, stddev²)

    Otherwise y = x. `stddev` is from 0 to 1, as in Keras; `seed` as in `Dropout`. The gradient is
    dx = dy, whatever the noise was. No weights.
    """

    def __init__(self, stddev: float, seed: Any = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.stddev = _share(stddev, "stddev", self.label)

    def has_effect(self) -> bool:
        return self.stddev > 0

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if not training or not self.differs_in_training():
            return x, {"noise": None}
        noise = _normal(self.generator(), x) * x.dtype.type(self.stddev)
        return x + noise, {"noise": noise}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return dz, {}


class GaussianDropout(_Dropping):
    """During training, multiplies each number of x by a normal random number whose mean is 1.

        y = x * noise,  noise ~ N(1, rate / (1 - rate))

    Otherwise y = x. The noise has the variance of `Dropout`'s mask, and nothing becomes exactly 0
    (Srivastava et al. 2014, section 10). `seed` as in `Dropout`. The gradient is dx = dy * noise.

    Raises `ValueError` in training with `rate=1`, whose variance would be infinite.
    """

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if not training or not self.differs_in_training():
            return x, {"noise": None}
        self._refuse_all("the noise's variance is rate / (1 - rate)")
        deviation = math.sqrt(self.rate / (1 - self.rate))
        noise = 1 + _normal(self.generator(), x) * x.dtype.type(deviation)
        return x * noise, {"noise": noise}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        noise = cache["noise"]
        return (dz if noise is None else dz * noise), {}


def _normal(rng: np.random.Generator, x: Array) -> Array:
    """Return standard normal random numbers of x's shape and dtype."""
    dtype: Any = x.dtype
    return rng.standard_normal(x.shape, dtype=dtype)


class AlphaDropout(_Dropping):
    """During training, sets a random share `rate` of x to SELU's value far below 0, and rescales.

        y = a * (x if kept else s) + b,  s = -1.7581

    where a = ((1 - rate) * (1 + rate * s²))^(-1/2) and b = -a * s * rate, so that numbers with mean
    0 and variance 1, such as SELU's outputs, keep both (Klambauer et al. 2017). Otherwise y = x.
    `noise_shape` and `seed` as in `Dropout`. dx is a * dy where x is kept, else 0.

    Raises `ValueError` in training with `rate=1`, for which a would be infinite.
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = _noise_shape(noise_shape, self.label)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if not training or not self.differs_in_training():
            return x, {"mask": None}
        self._refuse_all("nothing would be left to rescale")
        shape = _mask_shape(self.noise_shape, x.shape, self.label)
        mask = _mask(self.generator(), self.rate, shape, x.shape)
        return functional.alpha_dropout(x, mask, self.rate, self.label), {"mask": mask}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        if cache["mask"] is None:
            return dz, {}
        return functional.alpha_dropout_backward(dz, cache["mask"], self.rate, self.label), {}
