"""Grows an image that a map or a class responds to most, from noise by gradient ascent.

    found = preferred_image(model, "block4_conv", 12, value_range=(-1, 1))
    found = preferred_image(model, class_index="hat", value_range=(-1, 1))
    found.image                                    # (height, width, channels)
    found.plot()

Plain ascent on pixels ends in noise that means nothing to people. Two things help (Olah,
Mordvintsev and Schubert 2017, "Feature visualization"):

    decorrelation   the steps change waves instead of pixels, and brightness instead of red, green
                    and blue: in photos, neighbouring pixels are alike, and so are the colours of a
                    pixel
    robustness      before each step the image moves a little, so that the result cannot depend on
                    its exact position
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support import seeding
from minicnn.explain import show
from minicnn.explain.classes import ClassScore, class_score
from minicnn.models import Model

Array = np.ndarray

# How brightness, blue against yellow, and red against green mix into red, green and blue. They come
# from ImageNet's photos; each is as strong as it is there (as in Google's "lucid").
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOURS = COLOURS / np.linalg.norm(COLOURS, axis=0).max()
_RATE, _SMALL = 0.02, 0.01  # of Adam's steps; of the noise


@dataclass(eq=False)
class PreferredImage:
    """The image that grew, and the response to it: `values` before each step and at the end.

    A value is the largest number of the map before the activation, or the class's score. `image`
    (height, width, channels) is in the range that the model takes.
    """

    name: str
    image: Array
    values: list[float]
    value_range: tuple[float, float]

    @property
    def pixels(self) -> Array:
        """The image with numbers from 0 to 1, as plots take it."""
        low, high = self.value_range
        return (self.image - low) / (high - low)

    def plot(self, title: str = "") -> Any:
        """Plot the image; see `minicnn.plots.preferred_images`."""
        from minicnn import plots

        return plots.preferred_images([self], title)

    def __str__(self) -> str:
        first, last = self.values[0], self.values[-1]
        steps = show.count(len(self.values) - 1, "step")
        return show.joined(
            [f"{self.name}: {show.number(first)} for noise, {show.number(last)} after {steps}"]
        )

    __repr__ = __str__


def preferred_image(
    model: Model,
    layer: Any = None,
    channel: int = 0,
    class_index: Any = None,
    *,
    value_range: tuple[float, float] = (0, 255),
    steps: int = 128,
    jitter: int | None = None,
    size: Any = None,
    seed: Any = 0,
) -> PreferredImage:
    """Return an image that a map of `layer`, or a class, answers to strongly.

    For a layer, its map (or unit) `channel` grows, before the activation, wherever it is already
    large: place z has the weight exp((z - max z) / (2·std z)). Without a layer, the score of a
    class grows. The image is

        x = low + (high - low)·sigmoid(waves · COLOURS)

    where the waves' strengths (larger for longer waves) start small and random, and grow by `steps`
    steps of Adam along the gradient. Before each step the image moves by up to `jitter` pixels (by
    default a sixteenth of it), around its edges.

    Args:
        model: takes one image. For a layer in a nested model, pass the nested model itself.
        layer: a layer or its name.
        channel: its map or unit.
        class_index: a number, or a name of the model's `metadata`; only without a layer.
        value_range: the smallest and the largest pixel, as the model takes them.
        size: (height, width), for a model that takes any size.
        seed: an integer or a generator, for the start and the movements.

    The surprise: the image shows what the map responds to *most*, which is not what it usually
    sees; and another seed grows another image. Raises `ValueError` for arguments that do not fit.
    """
    part, of = _subject(model, layer, channel, class_index)
    shape = _shape(model, size)
    low, high = _range(value_range)
    reach = max(shape[:2]) // 16 if jitter is None else jitter
    for what, number, least in (("steps", steps, 1), ("jitter", reach, 0)):
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or number < least:
            raise ValueError(
                f"preferred_image expects {what} to be a whole number of at least {least}. "
                f"Received {what}={number!r}."
            )
    seeding.check_seed(seed, "preferred_image")
    rng = seeding.generator(seed)
    waves = Waves(shape)
    strengths = _SMALL * rng.normal(size=waves.shape)
    first, second = np.zeros(waves.shape), np.zeros(waves.shape)
    values = []
    for step in range(1, steps + 2):
        share = 1 / (1 + np.exp(-waves.image(strengths)))
        x = (low + (high - low) * share).astype(model.inputs[0].dtype)
        move = rng.integers(-reach, reach + 1, 2) if step <= steps else (0, 0)
        value, dx = of(np.roll(x, move, (0, 1)))
        values.append(value)
        if step > steps:
            break
        dx = np.roll(dx, [-by for by in move], (0, 1))
        gradient = waves.gradient(dx * (high - low) * share * (1 - share))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        slope = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-12)
        strengths += _RATE * slope
    return PreferredImage(part, x, values, (low, high))


class Waves:
    """Images as sums of waves, the long ones stronger, in colours that vary independently.

    `image` is a linear function of the strengths, and `gradient` its transpose: it leads from the
    gradient of the image to that of the strengths.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.size, channels = shape[:2], shape[2]
        height, width = self.size
        self.shape = (2, height, width // 2 + 1, channels)
        per_pixel = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
        self.scale = 1 / np.maximum(per_pixel, 1 / max(self.size))[:, :, None]
        self.colours = COLOURS if channels == 3 else np.eye(channels)
        # All but the first and the last column stand for two waves each, which mirror each other.
        self.twice = np.full((1, self.shape[2], 1), 2.0)
        self.twice[:, [0, -1] if width % 2 == 0 else [0]] = 1.0

    def image(self, strengths: Array) -> Array:
        """Return the sum of all waves, (height, width, channels)."""
        spectrum = self.scale * (strengths[0] + 1j * strengths[1])
        plain = np.fft.irfft2(spectrum, self.size, axes=(0, 1), norm="ortho")
        return plain @ self.colours.T

    def gradient(self, dy: Array) -> Array:
        """Return the gradient of the strengths, given that of the image."""
        spectrum = np.fft.rfft2(dy @ self.colours, axes=(0, 1), norm="ortho")
        found = self.scale * self.twice * spectrum
        return np.stack([found.real, found.imag])


def _subject(model: Any, layer: Any, channel: Any, class_index: Any) -> tuple[str, Any]:
    """Return the name of what grows, and a function from an image to its value and gradient."""
    if not isinstance(model, Model):
        raise TypeError(f"preferred_image expects a Model. Received {type(model).__name__}.")
    if not model.built or len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        given = [symbol.shape for symbol in model.inputs] if model.built else "not built"
        raise ValueError(
            "preferred_image expects a model of one image, (batch, height, width, channels). "
            f"{model.label} takes {given}."
        )
    if layer is None:
        return _of_class(model, class_index)
    if class_index is not None:
        raise ValueError(
            "preferred_image grows for a layer's channel or for a class, not for both."
        )
    name = layer if isinstance(layer, str) else getattr(layer, "name", repr(layer))
    found = next((inner for inner in model.layers if inner.name == name), None)
    if found is None or (not isinstance(layer, str) and found is not layer):
        raise ValueError(
            f"{model.label} has no layer {name!r} of its own. "
            f"It has {', '.join(inner.name for inner in model.layers)}."
        )
    part = Model(model.inputs[0], found.output, name="part")
    channels = found.output.shape[-1]
    whole = isinstance(channel, (int, np.integer)) and not isinstance(channel, bool)
    if not whole or not 0 <= channel < channels:
        raise ValueError(f"{found.label} has channels 0…{channels - 1}. Received {channel!r}.")

    def of_map(x: Array) -> tuple[float, Array]:
        y, tape = part.forward(x[None])
        activation = part.last_activation()
        z = None if activation in (None, "linear") else part.logits(tape, activation)
        answers = (y if z is None else z)[..., channel].astype(np.float64)
        most = float(answers.max())
        share = np.exp((answers - most) / (2 * answers.std() or 1.0))
        dy = np.zeros_like(y)
        dy[..., channel] = share / share.sum()
        dx, _ = part.backward(dy, tape, at_logits=z is not None)
        return most, dx[0]

    return f"{found.name}, channel {channel}", of_map


def _of_class(model: Model, class_index: Any) -> tuple[str, Any]:
    shape = [size or 1 for size in model.outputs[0].shape[1:]]
    score: ClassScore = class_score(model, np.zeros((1, *shape), np.float32), class_index)

    def of_class(x: Array) -> tuple[float, Array]:
        values, dx = score.gradients(x[None])
        return float(values[0]), dx[0]

    return score.name or f"class {score.index}", of_class


def _shape(model: Model, size: Any) -> tuple[int, int, int]:
    height, width, channels = model.inputs[0].shape[1:]
    if size is not None:
        given = shapes.pair(size, "size", "preferred_image")
        if any(fixed not in (None, side) for fixed, side in zip((height, width), given)):
            raise ValueError(
                f"{model.label} takes images of {height}×{width} pixels. Received size={size!r}."
            )
        height, width = given
    if height is None or width is None:
        raise ValueError(f"{model.label} takes images of any size: pass size=(height, width).")
    if channels is None:
        raise ValueError(f"{model.label} does not say how many channels its images have.")
    return height, width, channels


def _range(value_range: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in value_range)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            "preferred_image expects value_range=(smallest, largest). "
            f"Received value_range={value_range!r}."
        )
    return low, high
