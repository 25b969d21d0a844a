"""The weights of a model at other times of its training, between which a page can slide."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn.explain.page.passes import Use
from minicnn.explain.page.plan import Arrays, is_cut
from minicnn.explain.show import count
from minicnn.layers.base import Array
from minicnn.models import Model


def weights_of(model: Model, checkpoints: Any) -> dict[str, list[Array]]:
    """Return the weights of each checkpoint by its name, checked to be those of the model.

    A checkpoint is a model of the same layers, or a list as from `get_weights`.
    """
    if not isinstance(checkpoints, Mapping):
        raise TypeError(
            "A page expects checkpoints to be a dict, from a name to a model or its weights. "
            f"Received {type(checkpoints).__name__}."
        )
    shapes = [variable.shape for variable in model.weights]
    found = {}
    for name, given in checkpoints.items():
        weights = given.get_weights() if isinstance(given, Model) else list(given)
        arrays = [np.asarray(weight, np.float32) for weight in weights]
        if [array.shape for array in arrays] != shapes:
            raise ValueError(
                f"The checkpoint {name!r} expects the {len(shapes)} weights of {model.label}, of "
                f"shapes {shapes}. Received {[array.shape for array in arrays]}."
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(f"The checkpoint {name!r} has NaN or infinite weights.")
        found[str(name)] = arrays
    return found


class Past:
    """The checkpoints of a page: of each, the weights that differ from the model's."""

    def __init__(self, model: Model, checkpoints: dict[str, list[Array]], uses: list[Use]) -> None:
        self.model, self.weights, self.uses = model, checkpoints, uses
        places = {id(variable): k for k, variable in enumerate(model.weights)}
        self.keys = {
            places[id(variable)]: "/".join([*use.path, use.layer.name, variable.name])
            for use in uses
            for variable in use.layer.weights
        }
        now = [variable.numpy() for variable in model.weights]
        self.changed = {
            name: [k for k in self.keys if not np.array_equal(weights[k], now[k])]
            for name, weights in checkpoints.items()
        }
        self.counts = {
            name: sum(now[k].size + 2 for k in numbers) for name, numbers in self.changed.items()
        }
        self.count = sum(self.counts.values())

    @property
    def characters(self) -> int:
        """How many characters of a page the weights take, with 11 bits each."""
        return 2 * self.count * 4 // 3 + 8 if self.weights else 0

    def smallest(self) -> "Past":
        """Return only the checkpoint that differs least from the model."""
        name = min(self.counts, key=lambda name: self.counts[name])
        return Past(self.model, {name: self.weights[name]}, self.uses)

    def described(self, arrays: Arrays) -> list[dict[str, Any]]:
        """Add the weights to the page's numbers, and return where they are."""
        half = 4 * self.count > arrays.room
        return [
            {
                "name": name,
                "half": half,
                "weights": {
                    self.keys[k]: {
                        "shape": list(weights[k].shape),
                        "at": arrays.add(weights[k], half),
                    }
                    for k in self.changed[name]
                },
            }
            for name, weights in self.weights.items()
        ]

    def refusal(self, lost: str, fewer: bool) -> ValueError:
        """Return the error for checkpoints that do not fit; `fewer`: whether fewer would.

        `lost` is a layer that the page could not compute, or "".
        """
        what = f" to compute {lost}, which differs there or follows what differs" if lost else ""
        advice = "pass fewer, or compare" if fewer else "compare"
        return ValueError(
            f"A page of {self.model.label} and {count(len(self.weights), 'checkpoint')} has too "
            f"little room{what}: {advice} two networks, with against."
        )

    def lost(self, nodes: list[dict[str, Any]]) -> str:
        """Return a layer that a page cannot compute with these weights, or "": it lacks kernels."""
        changed = {self.keys[k] for numbers in self.changed.values() for k in numbers}
        touched: set[int] = set()
        for number, node in enumerate(nodes):
            own = {"/".join([*node["path"], node["layer"], name]) for name in node["params"]}
            if changed & own or touched & {*node["inputs"]}:
                touched.add(number)
                if is_cut([node]):
                    return str(node["name"])
        return ""
