"""Mixes images and their labels at random in training: MixUp, CutMix.

    mix = MixUp(alpha=0.2)
    dataset = dataset.map(lambda x, y: tuple(mix({"images": x, "labels": y}).values()))

A batch is mixed with itself in another order. A network learns from it only if the labels are mixed
in the same way, so these layers take a dict of both; `labels` are one-hot, (batch, classes).
"""

from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.layers.base import Array, Cache, Kept
from minicnn.layers.random_images import Drawn, RandomImageLayer, covered, limits


class _Mixing(RandomImageLayer):
    """A layer that mixes each image with another one of the batch."""

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        """Run on images or on a dict of "images" and "labels"; or add the layer to a graph."""
        if not isinstance(x, dict):
            return super().__call__(x, training)
        if set(x) != {"images", "labels"}:
            raise ValueError(
                f'{self.label} expects a dict with "images" and "labels". Received {list(x)}.'
            )
        drawn = self.get_random_transformation(x["images"], training is not False)
        on = drawn is not None
        return {
            "images": self.transform_images(x["images"], drawn, on),
            "labels": self.transform_labels(x["labels"], drawn, on),
        }

    def transform_labels(
        self, labels: Array, transformation: Drawn, training: bool = True
    ) -> Array:
        """Return one-hot labels mixed as the images are."""
        labels = np.asarray(labels)
        shapes.check_numbers(labels, "labels", self.label)
        labels = labels.astype(self.dtype)
        if not training:
            return labels
        try:
            order, w = transformation["permutation_order"], transformation["mix_weight"]
        except (KeyError, TypeError) as error:
            raise self._unfit(transformation) from error
        if labels.shape[:1] != order.shape or labels.ndim != 2:
            raise ValueError(
                f"{self.label} expects one-hot labels of shape ({len(order)}, classes). "
                f"Received labels.shape={labels.shape}."
            )
        w = w.astype(self.dtype)[:, None]
        mixed: Array = w * labels + (1 - w) * labels[order]
        return mixed


def _back(order: Array, parts: Array) -> Array:
    """Return for each image the sum of the gradients from where it was mixed in."""
    found = np.zeros_like(parts)
    found[order] = parts  # the order has each image once
    return found


class MixUp(_Mixing):
    """During training, blends each image with another one of its batch. No weights.

        y[n] = w * x[n] + (1 - w) * x[other],   and the labels likewise

    `other` is random, and w is drawn from a beta distribution with the parameters `alpha`, `alpha`;
    if alpha is small, w is mostly close to 0 or 1 (Zhang et al. 2018). `seed` as in `Dropout`.
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        if not shapes.is_number(alpha) or alpha <= 0:
            raise ValueError(f"{self.label} expects alpha to be a number > 0. Received {alpha!r}.")
        self.alpha = alpha

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {
            "permutation_order": rng.permutation(shape[0]),
            "mix_weight": rng.beta(self.alpha, self.alpha, shape[0]).astype(np.float32),
        }

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        w = drawn["mix_weight"].astype(x.dtype).reshape(-1, 1, 1, 1)
        return w * x + (1 - w) * x[drawn["permutation_order"]], {"x": x}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        w = drawn["mix_weight"].astype(dz.dtype).reshape(-1, 1, 1, 1)
        dx: Array = w * dz + _back(drawn["permutation_order"], (1 - w) * dz)
        return dx


class CutMix(_Mixing):
    """During training, pastes a rectangle of another image of the batch into each one. No weights.

        y[n] = x[other] within the rectangle, x[n] around it;   labels: w * label + (1 - w) * other

    where w is the share of the image around the rectangle. Its area is random: first alpha is
    drawn, from 0 to `factor` or between its two numbers, then 1 - w from a beta distribution with
    the parameters alpha, alpha; its place is random, too (Yun et al. 2019). The surprise, as in
    Keras: w belongs to the rectangle before its borders are moved to whole pixels. `seed` as in
    `Dropout`.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        self.factor = limits(factor, "factor", self.label, least=0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        count, height, width, channels = shape
        alpha = rng.uniform(*self.factor) + 1e-6
        ratio = np.sqrt(1 - rng.beta(alpha, alpha, count)).astype(np.float32)
        inside, area = np.ones((count, 1, 1, 1), bool), np.ones(count, np.float32)
        for length, axis in ((width, 2), (height, 1)):
            cut = ratio * np.float32(length)
            start = rng.random(count, np.float32) * (length - cut)
            inside = inside & covered(start, cut, length, axis)
            area *= cut
        return {
            "permutation_order": rng.permutation(count),
            "batch_masks": np.repeat(inside, channels, axis=3),
            "mix_weight": 1 - area / np.float32(max(width * height, 1)),
        }

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        return np.where(drawn["batch_masks"], x[drawn["permutation_order"]], x), {"x": x}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache) -> Array:
        pasted = np.where(drawn["batch_masks"], dz, dz.dtype.type(0))
        dx: Array = dz - pasted + _back(drawn["permutation_order"], pasted)
        return dx
