"""Finds what the next step would do to a weight, by making it on a copy."""

import copy
from typing import Any, NamedTuple

import numpy as np

from minicnn._support.variable import Variable

Array = np.ndarray


class NextStep(NamedTuple):
    """What the next step does to one weight: `value` is the weight afterwards, unconstrained."""

    gradient: Array  # as clipped
    slots: dict[str, Array]  # the state before the step
    decay: float  # w -= decay * w comes first
    value: Array


class Previewing:
    """The part of an optimizer that says what a step would do."""

    # Attributes that `Optimizer` defines.
    learning_rate: Any
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    apply: Any
    slots: Any
    _clip: Any
    _decays: Any
    _decay_of: Any
    _state: dict[int, tuple[Variable, dict[str, Array]]]
    _without_decay: tuple[set[int], list[str]]

    def preview(
        self, grads: dict[str, Array], variables: dict[str, Variable], key: str
    ) -> NextStep:
        """Return what `apply` would do to the weight `key`; the step is not made.

        Takes the dicts that `apply` takes. The weight's constraint is left out.
        """
        original = variables[key]
        twin, w = copy.copy(self), copy.copy(original)
        w.value, w.constraint = original.numpy(), None
        own = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        vars(twin).update(copy.deepcopy(own))
        twin._state = {}
        held = self._state[id(original)][1] if id(original) in self._state else twin.slots(w)
        before = copy.deepcopy(held)
        twin._state = {id(w): (w, copy.deepcopy(held))}
        weight_decay = self._decay_of(original)
        decays = weight_decay is not None and self._decays(original)
        twin._without_decay = set() if decays else {id(w)}, []
        gradient = self._clip(grads)[key]  # a norm may depend on all gradients
        twin.clipnorm = twin.clipvalue = twin.global_clipnorm = None
        twin.apply({key: gradient}, {key: w})
        decay = (weight_decay or 0.0) * self.learning_rate if decays else 0.0
        return NextStep(gradient, before, decay, w.value)
