"""AUC: the area under a curve of two shares, over all thresholds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import functional, shapes
from minicnn.metrics.base import Array
from minicnn.metrics.confusion import EPSILON, Counting, ratio


class AUC(Counting):
    """The area under the ROC curve (true against false positive rate), or precision and recall.

    The curve is drawn through `num_thresholds` thresholds, so the area is approximate, as in Keras.
    `curve` is "ROC", "PR" or "PRGAIN"; `summation_method` chooses the height between two
    thresholds: "interpolation", "minoring" or "majoring". With `multi_label`, each of the labels
    has its own curve; the result is the mean, weighted by `label_weights`.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name)
        if not isinstance(curve, str) or curve.upper() not in ("ROC", "PR", "PRGAIN"):
            raise ValueError(
                f'AUC expects curve to be "ROC", "PR" or "PRGAIN". Received {curve!r}.'
            )
        self.curve = curve.upper()
        method = summation_method.lower() if isinstance(summation_method, str) else summation_method
        self.summation_method = shapes.choice(
            method, ("interpolation", "minoring", "majoring"), "summation_method", "AUC"
        )
        self._from_thresholds = thresholds is not None
        if thresholds is not None:
            self._set_thresholds(list(thresholds), 0.5)
            inner = sorted(self.thresholds)
        else:
            if not isinstance(num_thresholds, int) or num_thresholds <= 1:
                raise ValueError(
                    f"AUC expects num_thresholds to be an integer > 1. Received {num_thresholds!r}."
                )
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        self.thresholds = [-EPSILON, *inner, 1 + EPSILON]
        self.num_thresholds = len(self.thresholds)
        if num_labels is not None and not multi_label:
            raise ValueError(
                f"AUC expects num_labels with multi_label=True. Received {num_labels!r}."
            )
        if isinstance(label_weights, dict):  # a tensor in Keras's files
            label_weights = label_weights.get("config", {}).get("value")
        self.multi_label, self.num_labels = bool(multi_label), num_labels
        self.label_weights = (
            None if label_weights is None else np.asarray(label_weights, np.float64)
        )
        self.from_logits = bool(from_logits)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = np.asarray(y_pred)
        if self.from_logits:
            y_pred = functional.sigmoid(y_pred.astype(np.float32))
        super().update_state(y_true, y_pred, sample_weight)

    def _add_counts(self, yes: Array, y_pred: Array, weights: Array) -> None:
        labels = self.label_weights
        if labels is not None and labels.shape != y_pred.shape[-1:]:
            raise ValueError(
                f"AUC expects label_weights for {y_pred.shape[-1]} labels. Received {len(labels)}."
            )
        if not self.multi_label:
            super()._add_counts(yes, y_pred, weights if labels is None else weights * labels)
            return
        if y_pred.ndim != 2 or self.num_labels not in (None, y_pred.shape[1]):
            wanted = self.num_labels or "labels"
            raise ValueError(
                f"AUC with multi_label=True expects predictions of shape (batch, {wanted}). "
                f"Received {y_pred.shape}."
            )
        before = [self.true_positives, self.false_positives]
        before += [self.true_negatives, self.false_negatives]
        columns = []
        for label in range(y_pred.shape[1]):
            self.reset_state()
            super()._add_counts(yes[:, label], y_pred[:, label], weights[:, label])
            columns.append([self.true_positives, self.false_positives,
                            self.true_negatives, self.false_negatives])  # fmt: skip
        parts = [
            old + np.stack(new, axis=-1) for old, new in zip(before, zip(*columns), strict=True)
        ]
        self.true_positives, self.false_positives = parts[0], parts[1]
        self.true_negatives, self.false_negatives = parts[2], parts[3]

    def result(self) -> float:
        shape = (self.num_thresholds,)
        tp, fp, tn, fn = (
            part if np.ndim(part) else np.full(shape, part)
            for part in (self.true_positives, self.false_positives,
                         self.true_negatives, self.false_negatives)
        )  # fmt: skip
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _under_precision(tp, fp, fn)
        else:
            x, y = self._curve(tp, fp, tn, fn)
            low, high = np.minimum(y[:-1], y[1:]), np.maximum(y[:-1], y[1:])
            heights = {"interpolation": (low + high) / 2, "minoring": low, "majoring": high}
            areas = (x[:-1] - x[1:]) * heights[self.summation_method]
        area = areas.sum(axis=0)
        if not self.multi_label or not np.ndim(area):
            return float(area)
        labels = self.label_weights
        return float(area.mean() if labels is None else ratio((area * labels).sum(), labels.sum()))

    def _curve(self, tp: Array, fp: Array, tn: Array, fn: Array) -> tuple[Array, Array]:
        if self.curve == "ROC":
            return ratio(fp, fp + tn), ratio(tp, tp + fn)
        if self.curve == "PR":
            return ratio(tp, tp + fn), ratio(tp, tp + fp)
        scale = ratio(tp + fn, tn + fp)  # "PRGAIN" (Flach and Kull 2015)
        recall = np.where(tp == 0, 0, 1 - scale * ratio(fn, tp))
        return np.maximum(recall, 0), np.where(tp == 0, 1, 1 - scale * ratio(fp, tp))

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": self.name,
            "dtype": self.dtype,
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if self.label_weights is None else self.label_weights.tolist(),
            "from_logits": self.from_logits,
        }
        return config | ({"thresholds": self.thresholds[1:-1]} if self._from_thresholds else {})


def _under_precision(tp: Array, fp: Array, fn: Array) -> Array:
    """Return the area under precision between two thresholds, by Davis and Goadrich (2006)."""
    dtp, p = tp[:-1] - tp[1:], tp + fp
    slope = ratio(dtp, np.maximum(p[:-1] - p[1:], 0))
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    shares = np.where(both, p[:-1] / np.where(both, p[1:], 1), 1)
    return ratio(slope * (dtp + intercept * np.log(shares)), np.maximum(tp[1:] + fn[1:], 0))
