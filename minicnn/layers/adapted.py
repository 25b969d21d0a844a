"""Normalization: shifts and scales by statistics of data that are measured before training."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from minicnn import shapes
from minicnn.layers.axes import AlongAxes
from minicnn.layers.base import Array, Cache, Grads, Kept, Shape

_SMALLEST = 1e-7  # the smallest deviation to divide by: Keras's `epsilon()`
_ROWS = 256  # examples whose statistics are computed at a time


class Normalization(AlongAxes):
    """y = (x - mean) / max(√variance, 1e-7): features with mean 0 and standard deviation 1.

    `adapt(data)` sets mean and variance to those of the data; they can also be arguments, or come
    from a file. Until then they are 0 and 1. Each place along `axis` has its own: each channel
    (-1), or all numbers together (None). `invert=True` goes back: y = x * max(√variance, 1e-7) +
    mean.

    x has any shape (batch, …), and may have integers. The surprise: unless they are arguments, the
    statistics are weights that training does not change: `mean`, `variance`, and `count`, which is
    always 0 (older files have it). `trainable` has no effect.
    """

    takes_integers = True
    adapt_mean = adapt_variance = count = None  # the weights, if there are any

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else shapes.axes(axis, self.label)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"{self.label} expects both mean and variance, or neither. "
                f"Received mean={mean!r}, variance={variance!r}."
            )
        self.input_mean = self._given(mean, "mean")
        self.input_variance = self._given(variance, "variance")
        if np.shape(self.input_mean) != np.shape(self.input_variance):
            raise ValueError(
                f"{self.label} expects mean and variance of one shape. "
                f"Received {np.shape(mean)} and {np.shape(variance)}."
            )
        if self.input_variance is not None and np.min(self.input_variance, initial=0) < 0:
            raise ValueError(f"{self.label} expects a variance >= 0. Received {variance!r}.")
        self.invert = bool(invert)

    def _given(self, value: Any, argument: str) -> Any:
        """Return a number or nested lists of them, as a config can hold them; None stays None."""
        if value is None:
            return None
        try:
            array = np.asarray(value)
        except ValueError:  # lists of different lengths
            array = np.empty(0, object)
        most = len(self.axis)
        if array.dtype.kind not in "fiu" or array.ndim > most or not np.isfinite(array).all():
            wanted = f"numbers, with at most {most} axes" if most else "a number"
            raise ValueError(
                f"{self.label} expects {argument} to be {wanted}, as axis={self.axis} says. "
                f"Received {value!r}."
            )
        return array.astype(float).tolist()

    def get_config(self) -> dict[str, Any]:
        given = {"mean": self.input_mean, "variance": self.input_variance}
        return {**super().get_config(), **given}

    def build(self, input_shape: Shape) -> None:
        self._find_sizes(input_shape)
        self._broadcast = tuple(
            (size or 0) if axis in self.weight_axes else 1 for axis, size in enumerate(input_shape)
        )
        if self.input_mean is None:
            fixed: dict[str, Any] = {"trainable": False}
            self.adapt_mean = self.add_weight(self._sizes, "zeros", **fixed, name="mean")
            self.adapt_variance = self.add_weight(self._sizes, "ones", **fixed, name="variance")
            self.count = self.add_weight((), "zeros", "int64", **fixed, name="count")
            return
        try:
            np.broadcast_to(self.input_mean, self._sizes)
        except ValueError:
            raise ValueError(
                f"{self.label} has mean and variance of shape {np.shape(self.input_mean)} for "
                f"axis={self.axis}. Received inputs of shape {input_shape}."
            ) from None

    def parameter_formula(self) -> str:
        return f"2·{math.prod(self._sizes)}+1" if self.weights else ""

    @property
    def mean(self) -> Array | None:
        """The mean, in a shape that broadcasts with x; None before `build`."""
        return self._statistic(self.adapt_mean, self.input_mean)

    @property
    def variance(self) -> Array | None:
        """The variance, in a shape that broadcasts with x; None before `build`."""
        return self._statistic(self.adapt_variance, self.input_variance)

    def _statistic(self, weight: Any, given: Any) -> Array | None:
        if not self.built:
            return None
        value = np.array(given, self.dtype) if weight is None else weight.numpy()
        return np.broadcast_to(value, self._sizes).reshape(self._broadcast)

    def _mean_and_deviation(self) -> tuple[Any, Any]:
        with np.errstate(invalid="ignore"):  # for a file's negative variance
            deviation = np.sqrt(self.variance)  # type: ignore[arg-type]
        return self.mean, np.maximum(deviation, deviation.dtype.type(_SMALLEST))

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        self._check(x.shape)
        mean, deviation = self._mean_and_deviation()
        y: Array = x * deviation + mean if self.invert else (x - mean) / deviation
        return y, {"deviation": deviation}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return dz * cache["deviation"] if self.invert else dz / cache["deviation"], {}

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of `data`: an array, or batches, one after the other.

        Of a batch `(x, y, …)` only x counts. Earlier statistics are forgotten. Raises `ValueError`
        if the layer was made with `mean` and `variance`, if `data` is empty, or not finite.
        """
        if self.input_mean is not None:
            raise ValueError(
                f"{self.label} was made with mean and variance: it has nothing to adapt."
            )
        count, mean, spread = 0, np.zeros(()), np.zeros(())
        for x in self._batches(data):
            self._build_for(x.shape)
            self._check(x.shape)
            if not x.size:
                continue
            others = tuple(axis for axis in range(x.ndim) if axis not in self.weight_axes)
            here = math.prod(x.shape[axis] for axis in others)
            own = x.mean(axis=others, dtype=np.float64, keepdims=True)
            # The sum of squares of two parts (Chan, Golub and LeVeque 1979).
            apart, together = own - mean, count + here
            spread = spread + np.square(x - own).sum(axis=others, keepdims=True)
            spread = spread + apart**2 * (count * here / together)
            mean, count = mean + apart * (here / together), together
        if not count:
            raise ValueError(f"{self.label} expects data with at least one example.")
        with np.errstate(over="ignore"):
            found = [value.astype(self.dtype) for value in (mean, spread / count)]
        if not all(np.isfinite(value).all() for value in found):
            first, second = (value.ravel()[:3].tolist() for value in found)
            raise ValueError(
                f"{self.label} expects data whose mean and variance are finite {self.dtype} "
                f"numbers. Received {first} and {second} for the first places."
            )
        for weight, value in zip(self.weights, found, strict=False):
            weight.assign(value.reshape(self._sizes))

    def _batches(self, data: Any) -> Iterator[Array]:
        """Yield arrays; large ones come in parts."""
        batches: Iterable[Any] = data
        if hasattr(data, "__array__"):
            array = np.atleast_1d(np.asarray(data))
            batches = (array[i : i + _ROWS] for i in range(0, len(array), _ROWS))
        elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            if isinstance(data, (Mapping, str, bytes)):
                self._refuse_data(data)
            # By number: an iterator over a folder of photos never ends.
            batches = (data[index] for index in range(len(data)))
        elif not isinstance(data, Iterable):
            self._refuse_data(data)
        for batch in batches:
            x = np.asarray(batch[0] if isinstance(batch, tuple) else batch)
            if x.dtype.kind not in "fiub" or x.ndim < 1:
                raise TypeError(
                    f"{self.label} expects batches of numbers. Received dtype {x.dtype}, "
                    f"shape {x.shape}."
                )
            yield x

    def _refuse_data(self, data: Any) -> NoReturn:
        raise TypeError(
            f"{self.label} expects an array, or batches. Received {type(data).__name__}."
        )
