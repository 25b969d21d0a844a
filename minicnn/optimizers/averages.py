"""Running averages of the weights, which may predict better than the weights themselves."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.variable import Variable

Array = np.ndarray


class Averaging:
    """The part of an optimizer that keeps averages, with the arguments `use_ema` and two more."""

    _state: dict[int, tuple[Variable, dict[str, Array]]]  # of the optimizer
    # Values of weights by id, while averages are in their place, as SwapEMAWeights puts them there.
    set_aside: Mapping[int, Array] = {}

    def _set_averages(self, use_ema: bool, momentum: float, frequency: int | None) -> None:
        self.use_ema, self.ema_momentum = bool(use_ema), momentum
        self.ema_overwrite_frequency = frequency
        if not use_ema:
            return
        who = type(self).__name__
        if not shapes.is_number(momentum) or not 0 <= momentum <= 1:
            raise ValueError(f"{who} expects ema_momentum in [0, 1]. Received {momentum!r}.")
        if frequency is not None and (not isinstance(frequency, int) or frequency < 1):
            raise ValueError(
                f"{who} expects ema_overwrite_frequency to be an integer >= 1. "
                f"Received {frequency!r}."
            )

    def _config_of_averages(self) -> dict[str, Any]:
        """Return the arguments of `_set_averages` as a config has them: none without averages."""
        if not self.use_ema:
            return {}
        return {
            "use_ema": True,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
        }

    def _average(self, steps_before: int) -> None:
        """Let the averages follow the weights, and at times replace them."""
        momentum = self.ema_momentum if steps_before else 0.0
        frequency = self.ema_overwrite_frequency
        replace = frequency is not None and (steps_before + 1) % frequency == 0
        for variable, average in self.averages():
            w = variable.value
            average *= w.dtype.type(momentum)
            average += w * w.dtype.type(1 - momentum)
            if replace:
                w[...] = average

    def averages(self) -> list[tuple[Variable, Array]]:
        """Return each weight with its average; none without `use_ema`, or before the first step."""
        if not self.use_ema:
            return []
        return [(variable, slots["average"]) for variable, slots in self._state.values()]

    def finalize_variable_values(self, var_list: Any = None) -> None:
        """With `use_ema`, replace the weights by their averages; `fit` does this when it ends."""
        for variable, average in self.averages():
            variable.value[...] = average
