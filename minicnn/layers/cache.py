"""The arrays that a layer's forward pass keeps for its backward pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Cache(Mapping[str, Any]):
    """A read-only mapping, made by `forward`, of what the layer's `compute` kept: `cache["x"]`.

    Args:
        layer: the layer whose pass this was.
        kept: the dict that its `compute` returned.
        output_shape: the shape of y.
        activation: the name of the activation that `forward` applied to z.
        z, y: before and after the activation; None if it is linear, to keep nothing twice.
    """

    layer: Any
    kept: Mapping[str, Any]
    output_shape: tuple[int, ...]
    activation: str = "linear"
    z: np.ndarray | None = None
    y: np.ndarray | None = None

    def _own(self) -> dict[str, Any]:
        own = {"output_shape": self.output_shape, "layer": self.layer}
        return own if self.z is None else {"z": self.z, "y": self.y, **own}

    def __getitem__(self, name: str) -> Any:
        return self.kept[name] if name in self.kept else self._own()[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.kept, **self._own()})

    def __len__(self) -> int:
        return len({**self.kept, **self._own()})

    def __repr__(self) -> str:
        return f"<Cache of {self.layer.label}: {', '.join(self)}>"
