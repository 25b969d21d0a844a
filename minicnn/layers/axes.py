"""The base class of layers that have a number for each place along some axes."""

from typing import Any

from minicnn import shapes
from minicnn.layers.base import Layer, Shape


def as_given(axis: Any, who: str) -> int | tuple[int, ...]:
    """Return the argument `axis`, an integer or a list, as a config can hold it."""
    axes = shapes.axes(axis, who)
    if not axes:
        raise ValueError(f"{who} expects axis to name an axis. Received {axis!r}.")
    return axes if isinstance(axis, (tuple, list)) else axes[0]


class AlongAxes(Layer):
    """A layer whose inputs have known sizes along `axis`, which `build` finds."""

    axis: Any
    _rank: int
    weight_axes: tuple[int, ...]  # those of `axis`, counted from 0, sorted
    _sizes: tuple[int, ...]

    def _find_sizes(self, input_shape: Shape) -> None:
        axes = shapes.axes_of_examples(shapes.axes(self.axis, self.label), input_shape, self.label)
        sizes = tuple(size for axis in axes if (size := input_shape[axis]))
        if len(sizes) < len(axes):
            raise ValueError(
                f"{self.label} expects inputs of a known size along axis={self.axis}, at least 1. "
                f"Received {input_shape}."
            )
        self._rank, self.weight_axes, self._sizes = len(input_shape), axes, sizes

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.built:
            self._check(input_shape)
        return input_shape

    def _check(self, shape: Any) -> None:
        fits = len(shape) == self._rank and all(
            shape[axis] in (None, size)
            for axis, size in zip(self.weight_axes, self._sizes, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{self.label} expects inputs that have {self._sizes} along axis={self.axis}. "
                f"Received {tuple(shape)}."
            )
