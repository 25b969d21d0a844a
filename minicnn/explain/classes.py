"""Finds what an output says about classes, and a class's score, probability and gradients."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn import functional
from minicnn.explain.arithmetic import check_place
from minicnn.layers import Average, Dense, Rescaling
from minicnn.models import Model

Array = np.ndarray


def kind_of(model: Model, output: Array) -> str:
    """Return the kind of output: "softmax", "sigmoid", "logits", or "" without classes."""
    if output.ndim != 2:
        return ""
    if output.shape[1] == 1:
        return "sigmoid" if model.ends_in("sigmoid") else ""
    if model.ends_in("softmax"):
        return "softmax"
    return "logits" if _gives_logits(model) else ""


def _gives_logits(model: Model) -> bool:
    """Return whether the output comes from a linear Dense layer, or is an average of such outputs.

    An ensemble averages the logits of its members, and a temperature divides them all. Pooled or
    flattened features are not scores.
    """
    node = model.outputs[0].node
    scale: Any = node.layer.scale if isinstance(node.layer, Rescaling) else None
    if np.ndim(scale) == 0 and scale is not None and scale > 0:  # the inverse of a temperature
        node = node.inputs[0].node
    nodes = [x.node for x in node.inputs] if isinstance(node.layer, Average) else [node]
    for layer in (node.layer for node in nodes):
        if isinstance(layer, Model):
            if not _gives_logits(layer):
                return False
        elif not isinstance(layer, Dense) or layer.activation_name != "linear":
            return False
    return True


@dataclass(frozen=True)
class ClassScore:
    """One class's score and probability, for any photos, and the score's gradients.

    The score is the input of the last softmax or sigmoid: the probability's gradient nearly
    vanishes if the network is sure, the score's does not. For a single sigmoid unit, the score of
    class 0 is that of class 1 with the opposite sign. An output without classes (`kind_of` is "")
    has no probability; its score is one number of the output.
    """

    model: Model
    kind: str
    index: int  # of the class, or of the number in the flattened output
    name: str

    @property
    def has_probability(self) -> bool:
        return bool(self.kind)

    def scores(self, y: Array, tape: Any) -> Array:
        """Return the scores of a pass, one for each photo."""
        activation = self.kind if self.kind in ("softmax", "sigmoid") else ""
        z = self.model.logits(tape, activation) if activation else y
        assert z is not None
        if self.kind == "sigmoid":
            return z[:, 0] * self._sign
        return z.reshape(len(z), -1)[:, self.index]

    def probabilities(self, y: Array) -> Array:
        """Return the probabilities of a pass; without classes, the numbers themselves."""
        if self.kind == "sigmoid":
            return y[:, 0] if self.index else 1 - y[:, 0]
        p = functional.softmax(y) if self.kind == "logits" else y
        return p.reshape(len(p), -1)[:, self.index]

    def start(self, y: Array) -> tuple[Array, bool]:
        """Return `dy` and `at_logits` for a backward pass from the score of each photo."""
        dy = np.zeros(y.shape, y.dtype)  # in reading order, unlike y perhaps
        if self.kind == "sigmoid":
            dy[:, 0] = self._sign
        else:
            dy.reshape(len(dy), -1)[:, self.index] = 1
        return dy, self.kind in ("softmax", "sigmoid")

    def gradients(self, x: Array) -> tuple[Array, Array]:
        """Return the scores of these photos, and the gradient of each score for its pixels."""
        y, tape = self.model.forward(x)
        dy, at_logits = self.start(y)
        dx, _ = self.model.backward(dy, tape, at_logits=at_logits)
        return self.scores(y, tape), dx

    @property
    def _sign(self) -> int:
        return 1 if self.index else -1


def class_score(model: Model, y: Any, class_index: Any = None) -> ClassScore:
    """Return the score of a class of `model`, which gave `y` for one photo.

    `class_index` is a number or a name of the model's `metadata`; by default it is the most likely
    class. For an output without classes it is a place in it, by default that of the largest number.
    Raises `ValueError` for a class that the model does not have, or for several outputs.
    """
    if isinstance(y, list):
        raise ValueError(
            f"{model.label} has {len(y)} outputs, and a heat map explains one: cut the others off "
            "with Model(model.input, output)."
        )
    kind, names = kind_of(model, y), list(model.metadata.get("class_names") or [])
    sizes = (2,) if kind == "sigmoid" else y.shape[1:]
    if class_index is None:
        index = int(y[0, 0] > 0.5) if kind == "sigmoid" else int(y[0].argmax())
    elif isinstance(class_index, str):
        if class_index not in names:
            there = f"Its classes are {', '.join(names)}." if names else "It names no classes."
            raise ValueError(f"{model.label} has no class {class_index!r}. {there}")
        index = names.index(class_index)
    else:
        axes = ("classes",) if len(sizes) == 1 else ()
        place = check_place(model.label, sizes, class_index, "output", axes)
        index = int(np.ravel_multi_index(place, sizes))
    name = names[index] if len(sizes) == 1 and index < len(names) else ""
    return ClassScore(model, kind, index, name)
