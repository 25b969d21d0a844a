"""Keras's initializers draw the first values of weights; a seed gives the numbers of Keras.

    GlorotUniform(seed=1)((3, 4))    the numbers of Keras on TensorFlow (`minicnn/_support/philox`)

Normally distributed numbers may differ from Keras's in the last bit of float32, those of
`Orthogonal` a little more. Without a seed, the numbers come from the `numpy.random.Generator` that
`set_random_seed` restarts, and differ from Keras's, as do those of a generator passed as the seed.

`fan_in` counts the inputs of one output, `fan_out` the outputs of one input: for a kernel of shape
(rows, columns, in, out) they are rows * columns * in and rows * columns * out.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import shapes
from minicnn._support import philox, seeding
from minicnn._support.settings import Configurable, made_from, plain_throughout, serialized
from minicnn.compat import hints

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


Array = np.ndarray


class Initializer(Configurable):
    """Base class: `initializer(shape, dtype)` returns a new array."""

    seed: Any = None
    _ignored_keys = ("input_axes", "output_axes", "dtype")

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        raise NotImplementedError

    def _check(self, **numbers: Any) -> None:
        """Raise a `ValueError` unless these settings are finite numbers and the seed is valid."""
        for argument, value in numbers.items():
            if not shapes.is_number(value):
                raise ValueError(
                    f"{type(self).__name__} expects {argument} to be a finite number. "
                    f"Received {value!r}."
                )
        seeding.check_seed(self.seed, type(self).__name__)

    # As in Keras, an integer seed makes every call return the same numbers.

    def _uniform(self, low: float, high: float, shape: Sequence[int], dtype: str) -> Array:
        """Return numbers in [low, high)."""
        if _is_integer(self.seed):
            return _as_keras(philox.uniform, self.seed, low, high, shape, dtype)
        return seeding.generator(self.seed).uniform(low, high, tuple(shape)).astype(dtype)

    def _normal(self, mean: float, stddev: float, shape: Sequence[int], dtype: str) -> Array:
        """Return normally distributed numbers."""
        if _is_integer(self.seed):
            return _as_keras(philox.normal, self.seed, mean, stddev, shape, dtype)
        return seeding.generator(self.seed).normal(mean, stddev, tuple(shape)).astype(dtype)

    def _truncated(self, mean: float, stddev: float, shape: Sequence[int], dtype: str) -> Array:
        """Return normally distributed numbers within two stddevs of the mean."""
        if _is_integer(self.seed):
            return _as_keras(philox.truncated_normal, self.seed, mean, stddev, shape, dtype)
        values = _truncated_normal(seeding.generator(self.seed), shape)
        return (mean + stddev * values).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this initializer; a generator becomes seed None."""
        config: dict[str, Any] = plain_throughout(dict(vars(self)))
        if isinstance(self.seed, np.random.Generator):
            config["seed"] = None
        return config


def _is_integer(seed: Any) -> bool:
    return isinstance(seed, (int, np.integer))


def _as_keras(
    draw: Callable[..., Array], seed: Any, a: float, b: float, shape: Sequence[int], dtype: str
) -> Array:
    """Return the numbers that Keras draws, in float64 or, for all other dtypes, in float32."""
    name = np.dtype(dtype).name
    return draw(int(seed), a, b, shape, name if name == "float64" else "float32").astype(name)


class Zeros(Initializer):
    """Sets every weight to 0."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.zeros(tuple(shape), dtype)


class Ones(Initializer):
    """Sets every weight to 1."""

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.ones(tuple(shape), dtype)


class Constant(Initializer):
    """Sets every weight to `value`: a number, or an array that broadcasts to the weight's shape."""

    def __init__(self, value: Any = 0.0) -> None:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise ValueError(f"Constant expects value to be finite numbers. Received {value!r}.")
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return np.full(tuple(shape), self.value, dtype)


class RandomNormal(Initializer):
    """Draws from a normal distribution with `mean` and `stddev`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed
        self._check(mean=mean, stddev=stddev)
        if stddev < 0:
            raise ValueError(f"RandomNormal expects stddev >= 0. Received {stddev!r}.")

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return self._normal(self.mean, self.stddev, shape, dtype)


class RandomUniform(Initializer):
    """Draws from a uniform distribution over [`minval`, `maxval`)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed
        self._check(minval=minval, maxval=maxval)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return self._uniform(self.minval, self.maxval, shape, dtype)


class TruncatedNormal(Initializer):
    """Draws from a normal distribution; repeats draws over two stddevs away from the mean."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed
        self._check(mean=mean, stddev=stddev)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        return self._truncated(self.mean, self.stddev, shape, dtype)


def _truncated_normal(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    values = rng.standard_normal(tuple(shape))
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(int(outside.sum()))
    return values


class VarianceScaling(Initializer):
    """Draws weights of variance `scale / n`, where n is fan_in, fan_out or their mean (`mode`).

    This keeps a signal from growing or vanishing on its way through the layers. `distribution` is
    "truncated_normal" (its stddev is divided by 0.8796 to make up for what truncation takes away),
    "untruncated_normal" or "uniform" (within +-sqrt(3 * scale / n)).
    """

    _modes = ("fan_in", "fan_out", "fan_avg")
    _distributions = ("truncated_normal", "untruncated_normal", "uniform")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
    ) -> None:
        self.seed = seed
        self._check(scale=scale)
        if scale <= 0:
            raise ValueError(f"VarianceScaling expects scale > 0. Received {scale!r}.")
        for argument, value, options in (
            ("mode", mode, self._modes),
            ("distribution", distribution, self._distributions),
        ):
            if not isinstance(value, str) or value not in options:
                raise ValueError(
                    f"VarianceScaling expects {argument} to be one of {options}. "
                    f"Received {value!r}."
                )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        draw = {
            "uniform": self._uniform,
            "untruncated_normal": self._normal,
            "truncated_normal": self._truncated,
        }[self.distribution]
        return draw(*self.limits(shape), shape, dtype)

    def limits(self, shape: Sequence[int]) -> tuple[float, float]:
        """Return the lowest and highest number for a weight of this shape, or mean and stddev."""
        fan_in, fan_out = compute_fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return -limit, limit
        if self.distribution == "untruncated_normal":
            return 0.0, math.sqrt(variance)
        return 0.0, math.sqrt(variance) / 0.87962566103423978


def compute_fans(shape: Sequence[int]) -> tuple[float, float]:
    """Return `(fan_in, fan_out)` of a weight of this shape.

    The weight is a bias, a dense kernel (in, out) or a convolution kernel (…, in, out). A depthwise
    kernel (rows, columns, in, multiplier) is counted by the same rule, as in Keras.
    """
    if len(shape) < 2:
        size = float(shape[0]) if shape else 1.0
        return size, size
    area = math.prod(shape[:-2])
    return float(area * shape[-2]), float(area * shape[-1])


class _Named(VarianceScaling):
    """A `VarianceScaling` with a name of its own, as in Keras; only its seed can be chosen."""

    _arguments: tuple[float, str, str]

    def __init__(self, seed: Any = None) -> None:
        super().__init__(*self._arguments, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": super().get_config()["seed"]}


class GlorotUniform(_Named):
    """Draws uniformly within +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""

    _arguments = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Draws from a truncated normal of variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    _arguments = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Draws uniformly within +-sqrt(6 / fan_in), for ReLU networks (He et al. 2015)."""

    _arguments = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Draws from a truncated normal of variance 2 / fan_in, for ReLU networks (He et al. 2015)."""

    _arguments = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Draws uniformly within +-sqrt(3 / fan_in) (LeCun et al. 1998)."""

    _arguments = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Draws from a truncated normal of variance 1 / fan_in (LeCun et al. 1998)."""

    _arguments = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """Draws a matrix whose rows or columns are orthogonal, of length `gain` (Saxe et al. 2014).

    The rows of the matrix are all axes of the weight except the last, flattened.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain, self.seed = gain, seed
        self._check(gain=gain)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal expects a weight of at least two axes. Received shape={tuple(shape)}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        size = max(rows, columns), min(rows, columns)
        drawn = self._normal(0.0, 1.0, size, dtype if _is_integer(self.seed) else "float64")
        q, r = np.linalg.qr(drawn.astype(np.float64))
        q = q * np.sign(np.diag(r))  # without this, some directions would be likelier
        if rows < columns:
            q = q.T
        return (self.gain * q.reshape(tuple(shape))).astype(dtype)


class Identity(Initializer):
    """Sets a matrix to `gain` times the identity: ones where row and column agree."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self._check(gain=gain)

    def __call__(self, shape: Sequence[int], dtype: str = "float32") -> Array:
        if len(shape) != 2:
            raise ValueError(
                f"Identity expects a weight of two axes. Received shape={tuple(shape)}."
            )
        return (self.gain * np.eye(shape[0], shape[1])).astype(dtype)


# Keras's second names for the same classes.
IdentityInitializer = identity = Identity
OrthogonalInitializer = orthogonal = Orthogonal
constant, ones, zeros = Constant, Ones, Zeros
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform
random_normal, random_uniform = RandomNormal, RandomUniform
truncated_normal, variance_scaling = TruncatedNormal, VarianceScaling

_CLASSES: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
    "identity": Identity,
}
_BY_CLASS_NAME = {cls.__name__: cls for cls in _CLASSES.values()} | {
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
}


def get(identifier: Any) -> Initializer:
    """Return an initializer from an object, a name ("he_normal") or a saved config.

    Raises `ValueError` for anything else.
    """
    if isinstance(identifier, Initializer):
        return identifier
    found: Initializer | None = made_from(identifier, _CLASSES | _BY_CLASS_NAME)
    if found is not None:
        return found
    raise ValueError(
        f"An initializer is an object of minicnn.initializers or one of {', '.join(_CLASSES)}. "
        f"Received {identifier!r}."
    )


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Return the initializer as Keras writes it into a model's config."""
    return serialized(initializer, "keras.initializers")


def deserialize(config: Any) -> Initializer:
    """Return an initializer from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
