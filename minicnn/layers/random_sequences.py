"""Makes several random changes, one after the other: `RandomColorJitter` and `RandAugment`."""

from typing import Any

import numpy as np

from minicnn import shapes
from minicnn.layers.base import Array, Cache, Kept, Shape
from minicnn.layers.random_colours import (
    AutoContrast,
    Equalization,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomHue,
    RandomPosterization,
    RandomSaturation,
    Solarization,
    check_value_range,
)
from minicnn.layers.random_details import RandomSharpness
from minicnn.layers.random_images import (
    Drawn,
    RandomImageLayer,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    limits,
)


class _Sequence(RandomImageLayer):
    """A layer whose changes are those of other layers, drawn by its own generator."""

    parts: dict[str, RandomImageLayer]

    def steps(self, drawn: Drawn) -> list[tuple[RandomImageLayer, Drawn]]:
        """Return the layers to apply, in order, and what was drawn for each."""
        raise NotImplementedError

    def _check_count(self, drawn: Drawn, count: int) -> None:
        for layer, one in self.steps(drawn):
            layer._check_count(one, count)

    def changed(self, x: Array, drawn: Drawn) -> tuple[Array, Kept]:
        inputs, caches = [], []
        for layer, one in self.steps(drawn):
            inputs.append(x)
            x, kept = layer.changed(x, one)
            caches.append({"transformation": one, **kept})
        return x, {"inputs": inputs, "caches": caches}

    def gradient(self, dz: Array, drawn: Drawn, cache: Cache, first: int = 0) -> Array:
        """Return dx; or the gradient of the input of a later step, of number `first`."""
        steps = list(zip(self.steps(drawn), cache["caches"], strict=True))
        for (layer, one), kept in reversed(steps[first:]):
            dz = layer.gradient(dz, one, kept)
        return dz


class RandomColorJitter(_Sequence):
    """During training, changes brightness, contrast, saturation and hue, in this order. No weights.

    Each factor belongs to the layer of its name, `RandomBrightness` and so on; without the factor,
    the layer is left out. `value_range` is (low, high) for all of them. `seed` as in `Dropout`.
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        check_value_range(value_range, self.label)
        self.value_range = value_range
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        self.parts = {
            name: kind(factor, value_range=value_range, dtype=self.dtype)
            for name, kind, factor in (
                ("brightness", RandomBrightness, brightness_factor),
                ("contrast", RandomContrast, contrast_factor),
                ("saturation", RandomSaturation, saturation_factor),
                ("hue", RandomHue, hue_factor),
            )
            if factor is not None
        }

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        for layer in self.parts.values():
            layer.compute_output_shape(input_shape)
        return input_shape

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {name: layer.draw(rng, shape) for name, layer in self.parts.items()}

    def steps(self, drawn: Drawn) -> list[tuple[RandomImageLayer, Drawn]]:
        return [(layer, drawn[name]) for name, layer in self.parts.items()]


class RandAugment(_Sequence):
    """During training, makes `num_ops` random changes, one after the other. No weights.

    Each change is one of eleven, all equally likely: shear, shift, rotation, brightness, colour
    degeneration, contrast, sharpness, posterization, solarization, `AutoContrast` and
    `Equalization`. All images of a batch get the same kinds of changes; their strength is drawn for
    each image, between the numbers of `factor`, or from 0 to it. `interpolation` is for the moves,
    `value_range` for the colours. `seed` as in `Dropout`. (Cubuk et al. 2020)
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, seed, **kwargs)
        self.value_range, self.interpolation = value_range, interpolation
        self.num_ops = shapes.positive_int(num_ops, "num_ops", self.label, minimum=0)
        self.factor = limits(factor, "factor", self.label, least=0)
        move: dict[str, Any] = {"interpolation": interpolation, "dtype": self.dtype}
        colour: dict[str, Any] = {"value_range": value_range, "dtype": self.dtype}
        f = self.factor
        self.parts = {
            "random_shear": RandomShear(f, f, **move),
            "random_translation": RandomTranslation(f, f, **move),
            "random_rotation": RandomRotation(f, **move),
            "random_brightness": RandomBrightness(f, **colour),
            "random_color_degeneration": RandomColorDegeneration(f, **colour),
            "random_contrast": RandomContrast(f, **colour),
            "random_sharpness": RandomSharpness(f, **colour),
            "random_posterization": RandomPosterization(max(1, int(8 * f[1])), **colour),
            "solarization": Solarization(f, f, **colour),
            "auto_contrast": AutoContrast(**colour),
            "equalization": Equalization(**colour),
        }

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.parts["random_color_degeneration"].compute_output_shape(input_shape)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Drawn:
        return {
            "layer_idxes": rng.integers(0, len(self.parts), self.num_ops),
            "transforms": {name: layer.draw(rng, shape) for name, layer in self.parts.items()},
        }

    def steps(self, drawn: Drawn) -> list[tuple[RandomImageLayer, Drawn]]:
        names = list(self.parts)
        used = [names[int(number)] for number in drawn["layer_idxes"]]
        return [(self.parts[name], drawn["transforms"][name]) for name in used]
