"""The part of a trace about the loss of each output: its value, its terms, and its gradient."""

from typing import Any

from minicnn.explain import loss as losses
from minicnn.explain.explanation import Explanation
from minicnn.explain.trace_entry import Source, TraceEntry
from minicnn.models import Model
from minicnn.training import LossOfPass


class LossesOfTrace:
    """The part of a `Trace` that is about losses."""

    model: Model
    found: list[LossOfPass | None]  # of each output; empty without targets
    _outputs: list[Source]

    @property
    def loss(self) -> float | None:
        """The loss of the batch, without regularizers; None without targets.

        For several outputs it is the sum of their losses, each times its loss weight.
        """
        return sum(one.value for one in self.found if one) if self.found else None

    def explain_loss(self, example: int = 0, at: Any = (), output: Any = None) -> Explanation:
        """Explain the loss of one example, with one term per class.

        `output`: which of several outputs, by its number or its layer's name.
        """
        return losses.explain_loss(self._loss_of(output), example, at)

    def explain_loss_gradient(self, at: Any, example: int = 0, output: Any = None) -> Explanation:
        """Explain the gradient that backward begins with, for one score or probability.

        `output` is as in `explain_loss`.
        """
        return losses.explain_loss_gradient(self._loss_of(output), at, example)

    def _need_gradients(self) -> None:
        if not self.found:
            raise ValueError(
                f"This trace of {self.model.label} went forward only: model.trace(x, y=labels) "
                "also goes backward."
            )

    def _loss_of(self, output: Any) -> LossOfPass:
        """Return the loss of an output, given its number or name; None if only one has a loss."""
        self._need_gradients()
        names = self.model.target_names
        having = [number for number, found in enumerate(self.found) if found is not None]
        number = names.index(output) if output in names else output
        if number is None and len(having) == 1:
            number = having[0]
        if isinstance(number, bool) or number not in having:
            known = " or ".join(repr(names[number]) for number in having)
            raise ValueError(f"{self.model.label} expects output={known}. Received {output!r}.")
        found = self.found[number]
        assert found is not None
        return found

    def _loss_gradient_of(self, entry: TraceEntry, at: Any, example: int) -> Explanation:
        """Explain the gradient that backward begins with at this output."""
        several = len(self._outputs) > 1 and entry in self._outputs
        return self.explain_loss_gradient(
            at, example, self._outputs.index(entry) if several else None
        )
