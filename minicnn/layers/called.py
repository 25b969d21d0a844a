"""`Called` has the methods that a user's class gets when it defines Keras's `call`."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn._support.settings import is_ours, parameters_of
from minicnn.layers import calling, tracking
from minicnn.layers.calling import CallCache
from minicnn.layers.symbols import KerasTensor, Node, is_symbolic
from minicnn.layers.weights import WithWeights

Array = np.ndarray


class Called:
    """The methods that follow from `call`: passes, shapes, the layers within; `adopt` adds them."""

    # Attributes that `Layer`, or the class itself, defines.
    label: Any
    dtype: Any
    nodes: Any
    call: Any
    takes_list: Any
    learning_variables_by_name: Any
    activity_regularizer: Any
    _build_for: Any

    def sublayers(self) -> Iterator[tuple[str, Any]]:
        """Yield the layers in its attributes, each with its path, such as "blocks/dense_1"."""
        return tracking.tracked(self, WithWeights)

    # -- running -----------------------------------------------------------------------------------

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Run `call` on arrays or tensors and return y, or add the layer to a graph of symbols."""
        if "weights_list" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__} has an __init__ that does not call super().__init__()."
            )
        given = [*args, *kwargs.values()]
        if is_symbolic(x) or any(map(is_symbolic, given)):
            if any(map(is_symbolic, given)) or isinstance(x, dict):
                raise TypeError(
                    f"{self.label} expects its symbols in one argument: a symbol, or a list of "
                    "symbols that its call takes apart."
                )
            named = calling.named_arguments(self, args, kwargs)
            training = named.pop("training", None)
            for name in [name for name, value in named.items() if value is not None]:
                raise TypeError(
                    f"{self.label} expects {name} in its __init__ if it is called on a symbol. "
                    f"Received {name}={named[name]!r:.100}."
                )
            several = isinstance(x, (list, tuple))
            return self._connect(list(x) if several else [x], training, not several)
        return calling.called(self, x, *args, **kwargs)

    def forward(self, x: Any, training: bool = False) -> tuple[Any, CallCache]:
        """Return `(y, cache)`; the cache has the tape of the pass."""
        return calling.forward(self, x, training)

    def run(self, x: Any, training: bool = False) -> Any:
        """Return y alone, recording nothing."""
        return calling.run(self, x, training)

    def backward(
        self, dy: Any, cache: Any, need_dx: bool = True, at_logits: bool = False
    ) -> tuple[Any, dict[str, Array]]:
        """Return `(dx, grads)`, by the tape of the pass."""
        return calling.backward(self, dy, cache, need_dx, at_logits)

    def backward_within(
        self,
        dy: Any,
        cache: Any,
        need_dx: bool,
        at_logits: bool,
        visit: Any = None,
        penalized: bool = False,
    ) -> tuple[Any, dict[str, Array]]:
        """Go backward as part of a graph."""
        return calling.backward(self, dy, cache, need_dx, at_logits, penalized)

    def logits(self, cache: Any, activation: str) -> Array | None:
        """Return the input of the output's activation, if it is this activation, or None."""
        return calling.logits(cache, activation)

    # -- shapes and costs --------------------------------------------------------------------------

    def _connect(self, inputs: list[Any], training: bool | None, single: bool) -> Any:
        for symbol in inputs:
            if not isinstance(symbol, KerasTensor):
                raise TypeError(
                    f"{self.label} expects symbols or arrays, not both. "
                    f"Received {type(symbol).__name__} among symbols."
                )
        shapes = [symbol.shape for symbol in inputs]
        self.takes_list = not single
        found = self._tried(shapes[0] if single else shapes)
        own = self.compute_output_shape(shapes[0] if single else shapes)
        if not found.several:
            found.shapes[:] = [tuple(own)]
        node = Node(self, inputs, training, single)
        node.outputs = [
            KerasTensor(shape, self.dtype, node, index) for index, shape in enumerate(found.shapes)
        ]
        return list(node.outputs) if found.several else node.outputs[0]

    def _tried(self, input_shape: Any) -> calling.Trial:
        """Return a trial on zeros of this shape, after which the layer has its weights."""
        found = calling.tried(self, input_shape)
        vars(self).update(_last=found.activation, _trial=found)
        return found

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of y, or a list of shapes, found by a trial on zeros."""
        found = self._tried(input_shape)
        return found.shapes if found.several else found.shapes[0]

    def last_activation(self) -> str | None:
        """Return the name of the activation that y comes from, or None."""
        found: str | None = vars(self).get("_last")
        return None if self.penalizes_outputs() else found

    def differs_in_training(self) -> bool:
        """Return whether `call` asks for `training`, or a layer within differs."""
        asks = "training" in parameters_of(type(self).call)
        return asks or any(layer.differs_in_training() for _, layer in self.sublayers())

    def penalizes_outputs(self) -> bool:
        """Return whether it, or a layer within, adds to the loss."""
        own = self.activity_regularizer is not None or vars(self).get("adds_loss", False)
        return own or any(layer.penalizes_outputs() for _, layer in self.sublayers())

    def parameter_formula(self) -> str:
        """Return no formula: nothing here knows what `call` computes."""
        return ""

    def multiply_adds(self, input_shape: Any) -> int | None:
        """Return None: nothing here knows what `call` costs."""
        return None

    def receptive_window(self) -> None:
        """Return None: an output may depend on all of the input."""
        return None


# Methods for passes and files, under names that Keras leaves to its users.
_TAKEN = frozenset(
    [
        *("activity_gradient", "activity_penalty", "argument_names", "as_activation", "as_given"),
        *("as_inputs", "backward", "backward_within", "build_config", "carried"),
        *("constant_softmaxes", "defines_call", "dy_of_pass", "ends_in"),
        *("examples_at_once", "explain", "folds", "form", "forward", "graph", "infer"),
        *("input_values", "is_network", "label", "lacking"),
        *("lacking_in_training", "last_activation", "learning_variables_by_name", "logits"),
        *("loss_of_pass", "losses_of_pass", "metrics_by_name", "nodes", "output_names"),
        *("params", "penalizes_outputs", "penalty", "penalty_settings", "program", "ready_for"),
        *("resume_optimizer", "run", "run_for_loss", "run_for_training"),
        *("serialize", "split_at_features", "sublayers", "target_names", "trace"),
        *("trainable_variables_by_name", "trial", "untracked", "weights_list"),
    ]
)
_TAKEN_IN_MODELS = frozenset(
    ["compiled_with", "ends", "fixed", "inputs_in_order", "nesting", "require_graph", "stands_for"]
)


def check_name(kind: Any, name: str) -> None:
    """Raise an `AttributeError` for a name that a user's class may not use for something else."""
    if name in _TAKEN or (kind.is_network and name in _TAKEN_IN_MODELS):
        raise AttributeError(
            f"{kind.__name__} cannot define {name} itself: minicnn uses that name in "
            f"{'layers and models' if name in _TAKEN else 'models'}. "
            f"Choose another, such as {name}_."
        )


def check_attribute(owner: Any, name: str, value: Any) -> None:
    """Raise an `AttributeError` for an attribute that minicnn needs itself, given this value."""
    check_name(type(owner), name)
    tracking.check_attribute(owner, name, value, WithWeights)


def adopt(kind: Any, methods: type = Called) -> None:
    """Give a class that defines `call` the methods that follow, unless it defines them itself.

    Raises `AttributeError` if it defines a name that minicnn needs.
    """
    if not is_ours(kind):
        for name in vars(kind):
            check_name(kind, name)
    kind.defines_call = True
    for name, value in vars(methods).items():
        owner = next((c for c in kind.__mro__ if name in vars(c)), object)
        ours = owner.__module__.startswith(("minicnn.", "builtins"))
        if (
            owner is not kind
            and ours
            and (callable(value) or isinstance(value, (property, classmethod)))
        ):
            setattr(kind, name, value)
