"""The regularizers and constraints of a layer, which training applies.

A layer that takes `kernel_initializer` also takes `kernel_regularizer` and `kernel_constraint`, and
likewise for each weight that learns. `add_weight` puts them on the weight. Every layer takes
`activity_regularizer`, a penalty on its output.
"""

from typing import Any

import numpy as np

from minicnn import constraints, regularizers
from minicnn._support.variable import Variable

Array = np.ndarray

ENDINGS = {"_regularizer": regularizers, "_constraint": constraints}


class WithPenalties:
    """Gives a layer its regularizers and constraints, as attributes with their names."""

    activity_regularizer: regularizers.Regularizer | None = None

    # What `Layer` defines.
    label: Any

    @property
    def trainable_weights(self) -> list[Variable]:
        raise NotImplementedError

    @classmethod
    def argument_names(cls) -> list[str]:
        raise NotImplementedError

    @classmethod
    def penalty_settings(cls) -> list[str]:
        """Return the names of the settings: `kernel_regularizer`, `kernel_constraint`, and so on.

        Statistics, such as a moving mean, have an initializer alone: they do not learn.
        """
        starts = [name for name in cls.argument_names() if name.endswith("_initializer")]
        parts = [
            name.removesuffix("_initializer") for name in starts if not name.startswith("moving_")
        ]
        return ["activity_regularizer", *(part + ending for ending in ENDINGS for part in parts)]

    def _take_penalties(self, given: dict[str, Any]) -> None:
        """Set the attributes; settings that are not given are None."""
        for name in self.penalty_settings():
            try:
                setattr(self, name, get(name, given.get(name)))
            except ValueError as error:
                raise ValueError(f"{self.label}'s {name}: {error}") from error

    def _penalty_config(self) -> dict[str, Any]:
        """Return the settings that are not None, as Keras writes them."""
        found = {name: getattr(self, name, None) for name in self.penalty_settings()}
        return {
            name: _room(name).serialize(value) for name, value in found.items() if value is not None
        }

    def _restrain(self, variable: Variable, part: str, regularizer: Any, constraint: Any) -> None:
        """Give a new weight these, or else the layer's own for this part of it."""
        for ending, given in (("_regularizer", regularizer), ("_constraint", constraint)):
            own = getattr(self, part + ending, None)
            setattr(variable, ending[1:], own if given is None else get(ending, given))

    @property
    def losses(self) -> list[float]:
        """The current penalties of the weights that learn; a frozen layer has none.

        Those of layers' outputs, which Keras adds after a pass, are in `Tape.activity_penalty`.
        """
        return [v.penalty() for v in self.trainable_weights if v.regularizer is not None]

    def penalizes_outputs(self) -> bool:
        """Return whether an `activity_regularizer` adds a penalty on the output to the loss."""
        return self.activity_regularizer is not None

    def activity_penalty(self, y: Array) -> float:
        """Return what the layer's output y adds to the loss: its penalty for each example."""
        if self.activity_regularizer is None or not len(y):
            return 0.0
        return self.activity_regularizer.forward(y, self.label) / len(y)

    def activity_gradient(self, y: Array) -> Array | None:
        """Return d activity_penalty / d y; None without an `activity_regularizer`."""
        if self.activity_regularizer is None:
            return None
        dy: Array = self.activity_regularizer.backward(y, self.label) / y.dtype.type(max(len(y), 1))
        return dy


def with_penalties(grads: dict[str, Array], variables: dict[str, Variable]) -> dict[str, Array]:
    """Return the gradients of the loss and the weights' penalties together."""
    return {
        key: grad if variables[key].regularizer is None else grad + variables[key].dpenalty()
        for key, grad in grads.items()
    }


def get(name: str, value: Any) -> Any:
    """Return the regularizer or constraint for the setting of this name, or raise `ValueError`."""
    return _room(name).get(value)


def _room(name: str) -> Any:
    return next(room for ending, room in ENDINGS.items() if name.endswith(ending))
