"""Intersection over union measures how well the areas of each class overlap."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.metrics.base import Array, Metric
from minicnn.metrics.confusion import EPSILON


class IoU(Metric):
    """The mean over `target_class_ids` of pixels in both / pixels in either, for each class.

    Targets and predictions are class numbers, or scores of the classes along `axis` if
    `sparse_y_true` or `sparse_y_pred` is False. Pixels whose target is `ignore_class`, or not a
    class, do not count, nor do classes that appear nowhere. Weights count as they are (Keras's
    default dtype, int, truncates them to whole numbers).
    """

    rises = True

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        who = type(self).__name__
        self.num_classes = shapes.positive_int(num_classes, "num_classes", who)
        super().__init__(name)
        found = list(target_class_ids)
        if not found or not all(isinstance(i, int) and 0 <= i < num_classes for i in found):
            raise ValueError(
                f"{who} expects target_class_ids from 0 to {num_classes - 1}. "
                f"Received {target_class_ids!r}."
            )
        self.target_class_ids, self.ignore_class = found, ignore_class
        self.sparse_y_true, self.sparse_y_pred = bool(sparse_y_true), bool(sparse_y_pred)
        self.axis = axis

    def reset_state(self) -> None:
        self._matrix = np.zeros((self.num_classes, self.num_classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        t, y = np.asarray(y_true), np.asarray(y_pred)
        t = t.astype(np.int64) if self.sparse_y_true else t.argmax(axis=self.axis)
        y = y.astype(np.int64) if self.sparse_y_pred else y.argmax(axis=self.axis)
        shape, t, y = y.shape, t.ravel(), y.ravel()
        if t.shape != y.shape:
            raise ValueError(
                f"{type(self).__name__} expects as many targets as predictions, {y.size}. "
                f"Received {t.size}."
            )
        weights = self._weights(sample_weight, shape)
        count = self.num_classes
        inside = (t >= 0) & (t < count) & (y >= 0) & (y < count)
        if self.ignore_class is not None:
            inside &= t != self.ignore_class
        places = t[inside] * count + y[inside]
        found = np.bincount(places, weights[inside], count * count)
        self._matrix = self._matrix + found.reshape(count, count)

    def _weights(self, sample_weight: Any, shape: tuple[int, ...]) -> Array:
        weights = np.asarray(1 if sample_weight is None else sample_weight, np.float64)
        if weights.ndim > len(shape) and weights.shape[-1] == 1:
            weights = weights[..., 0]
        try:
            first = weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim))
            return np.broadcast_to(first, shape).ravel()
        except ValueError:
            raise ValueError(
                f"{type(self).__name__} expects sample_weight to have the shape of the "
                f"predictions, {shape}, or of their first axes. Received {weights.shape}."
            ) from None

    def result(self) -> float:
        both = np.diag(self._matrix)
        either = self._matrix.sum(axis=0) + self._matrix.sum(axis=1) - both
        both, either = both[self.target_class_ids], either[self.target_class_ids]
        there = either > 1e-9
        shares = np.where(there, both / (either + EPSILON), 0)
        return float(shares.sum() / (there.sum() + EPSILON))

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }


def _without(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


class BinaryIoU(IoU):
    """`IoU` of two classes: a prediction of at least `threshold` is class 1, the others class 0."""

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
    ) -> None:
        super().__init__(2, target_class_ids, name)
        self.threshold = shapes.number(threshold, "threshold", "BinaryIoU")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        said = np.asarray(y_pred, np.float32) >= np.float32(self.threshold)
        super().update_state(y_true, said, sample_weight)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        kept = {key: config[key] for key in ("name", "target_class_ids")}
        return kept | {"threshold": self.threshold}


class MeanIoU(IoU):
    """`IoU` of all classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        shapes.positive_int(num_classes, "num_classes", type(self).__name__)
        every = range(num_classes)
        super().__init__(num_classes, every, name, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "target_class_ids")


class OneHotIoU(IoU):
    """`IoU` of one-hot targets and scores of classes."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, ignore_class, False, sparse_y_pred, axis
        )

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets and scores of classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")
