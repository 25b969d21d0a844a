"""Regularizers, under Keras's names, add a penalty on large numbers to the loss.

    Dense(4, kernel_regularizer="l2", activity_regularizer=L1(0.001))

A penalty on a weight keeps it small, because each step also lowers the penalty. Only trainable
weights are penalized, as in Keras. The penalty on a layer's output, `activity_regularizer`, is
divided by the number of examples in the batch.

`minicnn.regularizers.Regularizer` shows how to write a regularizer of your own.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import config, shapes
from minicnn._support.settings import Configurable, made_from, serialized
from minicnn.compat import hints

if not TYPE_CHECKING:
    __getattr__ = hints.of_module(__name__)


Array = np.ndarray


class Regularizer(Configurable):
    """Base class: `regularizer(x)` is the penalty of x, one number.

    A regularizer of your own defines two methods, because minicnn does not derive gradients:

        class Cubes(Regularizer):
            def __call__(self, x):
                return 0.01 * (np.abs(x) ** 3).sum()

            def gradient(self, x):
                return 0.03 * x * np.abs(x)                        # d penalty / d x

        layer = Dense(4, kernel_regularizer=Cubes())

    `minicnn.explain.gradcheck(model, x, y=y)` says whether the two agree.
    """

    def __call__(self, x: Any) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no __call__(self, x).")

    def gradient(self, x: Array) -> Array:
        """Return d penalty / d x, in the shape of x."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient(self, x).")

    def forward(self, x: Array, who: str) -> float:
        """Return the penalty, checked: a `ValueError` that names `who` unless it is one number."""
        penalty = np.asarray(self(x))
        if penalty.ndim or penalty.dtype.kind not in "fiub":
            raise ValueError(
                f"{type(self).__name__} of {who} expects __call__ to return one number. "
                f"Received an array of shape {penalty.shape}, dtype {penalty.dtype}."
            )
        return float(penalty)

    def backward(self, x: Array, who: str) -> Array:
        """Return the gradient in the dtype of x, checked to have its shape."""
        dx = np.asarray(self.gradient(x))
        who = f"{type(self).__name__} of {who}"
        shapes.check_numbers(dx, "the gradient", who)
        shapes.check_shape(dx, x.shape, "the gradient", who)
        return dx.astype(x.dtype, copy=False)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this regularizer, as Keras writes them."""
        return dict(vars(self))

    def _checked(self, argument: str, value: Any) -> float:
        return float(shapes.number(value, argument, type(self).__name__, least=0))


class L1(Regularizer):
    """Adds l1 * sum of |x| to the loss, which pulls all numbers equally hard, many of them to 0.

    The gradient is l1 * sign(x), and 0 where x is 0.
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = self._checked("l1", 0.01 if l1 is None else l1)

    def __call__(self, x: Any) -> float:
        return self.l1 * _sum(np.abs(x))

    def gradient(self, x: Array) -> Array:
        return x.dtype.type(self.l1) * np.sign(x)


class L2(Regularizer):
    """Adds l2 * sum of x² to the loss, which pulls large numbers most (ridge, weight decay).

    The gradient is 2 * l2 * x.
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = self._checked("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Any) -> float:
        return self.l2 * _sum(np.square(x))

    def gradient(self, x: Array) -> Array:
        return x.dtype.type(2 * self.l2) * x


class L1L2(Regularizer):
    """Adds l1 * sum of |x| + l2 * sum of x² to the loss.

    The surprise, as in Keras: both numbers are 0 by default, but the name "l1_l2" means 0.01 each.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = self._checked("l1", 0.0 if l1 is None else l1)
        self.l2 = self._checked("l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Any) -> float:
        return self.l1 * _sum(np.abs(x)) + self.l2 * _sum(np.square(x))

    def gradient(self, x: Array) -> Array:
        number = x.dtype.type
        return number(self.l1) * np.sign(x) + number(2 * self.l2) * x


class OrthogonalRegularizer(Regularizer):
    """Penalizes rows (or columns) of a matrix that point in similar directions.

        n[i] = x[i] / |x[i]|              penalty = factor * mean over pairs i < j of |n[i] · n[j]|

    `mode` is "rows" or "columns". Raises `ValueError` for weights that are not matrices, such as a
    convolution's kernel. A single row has no pair, and no penalty.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = self._checked("factor", factor)
        self.mode = shapes.choice(mode, ("rows", "columns"), "mode", type(self).__name__)

    def __call__(self, x: Any) -> float:
        unit, _ = self._unit_rows(np.asarray(x))
        pairs = len(unit) * (len(unit) - 1) / 2
        return self.factor * 0.5 * _sum(np.abs(_products(unit))) / max(pairs, 1)

    def gradient(self, x: Array) -> Array:
        unit, length = self._unit_rows(x)
        pairs = len(unit) * (len(unit) - 1) / 2
        dunit = x.dtype.type(self.factor / max(pairs, 1)) * (np.sign(_products(unit)) @ unit)
        # Only the part of the gradient at right angles to a row turns it.
        dx = (dunit - unit * (unit * dunit).sum(axis=1, keepdims=True)) / length
        return dx if self.mode == "rows" else dx.T

    def _unit_rows(self, x: Array) -> tuple[Array, Array]:
        if x.ndim != 2:
            raise ValueError(
                f"OrthogonalRegularizer expects a matrix, of two axes. Received shape {x.shape}."
            )
        rows = x if self.mode == "rows" else x.T
        length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        length = np.maximum(length, length.dtype.type(config.epsilon()))
        return rows / length, length


def _products(unit: Array) -> Array:
    """Return the products of each row with each other row, and 0 with itself."""
    products = unit @ unit.T
    np.fill_diagonal(products, 0)
    return products


def _sum(terms: Array) -> float:
    return float(terms.sum(dtype=np.float64))


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_CLASSES: dict[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "l1l2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
}
_BY_CLASS_NAME = {cls.__name__: cls for cls in _CLASSES.values()}


def get(identifier: Any) -> Regularizer | None:
    """Return a regularizer from an object, a class, a name ("l2") or a saved config; None for None.

    "l1_l2" is `L1L2(0.01, 0.01)`. Raises `ValueError` for anything else. A function of your own has
    no gradient here: write a `Regularizer` with it.
    """
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Regularizer):
        return identifier()
    if isinstance(identifier, str) and identifier == "l1_l2":
        return L1L2(0.01, 0.01)
    found: Regularizer | None = made_from(identifier, _CLASSES | _BY_CLASS_NAME)
    if found is not None:
        return found
    hint = ""
    if callable(identifier):
        hint = (
            " A function of your own needs its gradient: write a subclass of "
            "minicnn.regularizers.Regularizer with the methods __call__(x) and gradient(x)."
        )
    raise ValueError(
        "A regularizer is an object of minicnn.regularizers or one of l1, l2, l1_l2, "
        f"orthogonal_regularizer. Received {identifier!r}.{hint}"
    )


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """Return the regularizer as Keras writes it into a model's config."""
    return serialized(regularizer, "keras.regularizers")


def deserialize(config: Any) -> Regularizer | None:
    """Return a regularizer from `serialize`'s dict, Keras's or ours, or from a name."""
    return get(config)
