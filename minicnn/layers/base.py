"""The base class of layers: names, weights, symbolic calls, and the forward/backward contract.

    y, cache = layer.forward(x, training=False)
    dx, grads = layer.backward(dy, cache)

`cache` maps names to the arrays that backward needs (and that a learner may want to look at); the
layer itself keeps nothing of a pass. `grads` has the keys of `layer.params`, or none if the layer
is frozen. No weight is updated here: that is the optimizer's work.

A layer of your own is a class with Keras's `call`, whose gradients a tape finds
(`minicnn.layers.calling` shows one), or with these three methods, which say how it goes backward;
and with `build`, if it has weights:

    class Scale(Layer):
        # y = x * kernel, channel by channel

        def build(self, input_shape):
            self.kernel = self.add_weight((input_shape[-1],), "ones", name="kernel")

        def compute_output_shape(self, input_shape):
            return input_shape

        def compute(self, x, training):
            return x * self.kernel.value, {"x": x}            # z, and what the gradient needs

        def compute_gradients(self, dz, cache, need_dx):
            axes = tuple(range(dz.ndim - 1))
            dx = dz * self.kernel.value if need_dx else None
            return dx, {"kernel": (dz * cache["x"]).sum(axes)} if self.trainable else {}

`forward` and `backward` call them. They check the arrays, cast them to the layer's dtype, build the
weights on first use, and apply the activation:

    z, kept = layer.compute(x, training)          y = activation(z)
    dz = activation'(dy)                          dx, grads = layer.compute_gradients(dz, cache, …)
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import config, initializers, shapes
from minicnn._support import variable
from minicnn._support.settings import (
    Configurable,
    is_ours,
    parameters_of,
    plain,
    plain_throughout,
    snake_case,
)
from minicnn._support.terminal import printable
from minicnn.compat import hints
from minicnn.functional import by_name
from minicnn.layers import called, calling, carried, own_config
from minicnn.layers.cache import Cache
from minicnn.layers.symbols import KerasTensor, Node, WithNodes, is_symbolic
from minicnn.layers.weights import WithWeights
from minicnn.ops.activations import function_of

Array = np.ndarray
Shape = tuple[int | None, ...]
Kept = dict[str, Any]  # what `compute` keeps for `compute_gradients`
Grads = dict[str, Array]


# ---------------------------------------------------------------------------------------------
# Names
# ---------------------------------------------------------------------------------------------

name_counts: Counter[str] = Counter()


def unique_name(prefix: str) -> str:
    """Return `conv2d` at first, then `conv2d_1`, then `conv2d_2`, and so on."""
    count = name_counts[prefix]
    name_counts[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def clear_session() -> None:
    """Restart the numbering of automatic layer names, like `keras.utils.clear_session`."""
    name_counts.clear()


# ---------------------------------------------------------------------------------------------
# Layer
# ---------------------------------------------------------------------------------------------


_activating: dict[str, type["Layer"]] = {}  # layers that can be used as an activation, by name


class WithActivation:
    """The activation that a layer applies last, by its name."""

    activation_name: str = "linear"
    # Whether the class defines Keras's `call`, which applies its own activations.
    defines_call = False

    # What `Layer` defines.
    label: Any

    @classmethod
    def argument_names(cls) -> list[str]:
        raise NotImplementedError

    @property
    def activation(self) -> Callable[[Array], Array]:
        """The function of `minicnn.activations` that the layer applies last; may be assigned.

        The next pass applies the assigned activation: None removes it (then it is `linear`); a
        name, a function of `minicnn.activations` or Keras's, or a layer such as `Softmax()`
        replaces it. Raises `ValueError` for a function whose gradient minicnn lacks. As in Keras,
        only layers with the argument `activation` have one; others raise `AttributeError`.
        """
        if not self._may_be_activated():
            raise AttributeError(f"{self.label} has no activation.")
        own: Any = vars(self).get("activation")
        return function_of(self.activation_name) if own is None else own

    @activation.setter
    def activation(self, value: Any) -> None:
        if not self._may_be_activated():
            raise AttributeError(
                f"{self.label} has no activation: put Activation({value!r}) after it."
            )
        vars(self).pop("activation", None)
        try:
            self.activation_name = activation_name(value, self.label)
        except ValueError:
            if not self.defines_call or not callable(value):
                raise
            vars(self)["activation"] = value  # the user's own function, which `call` applies

    def _may_be_activated(self) -> bool:
        # A class of the user's own may set it in `__init__`, whatever its arguments.
        own = not is_ours(type(self))
        return own or "activation" in self.argument_names()

    def as_activation(self) -> str | None:
        """Return the name of the activation if the whole layer is one, or None."""
        return None


class _Changes:
    """Counts assignments to layers' attributes, after which things made from layers may be old."""

    count = 0


changes = _Changes()


class Layer(WithActivation, WithWeights, WithNodes, Configurable):
    """Base class of all layers; see this module's docstring for the contract.

    Args:
        name: unique within a model; made from the class name by default.
        trainable: False freezes the layer: no gradients for its parameters, no updates.
        dtype: "float32" or "float64"; by default `minicnn.config.floatx()`.
        input_shape: without the batch axis; lets a `Sequential` start without an `Input`.
        activity_regularizer: a penalty on y (`minicnn.regularizers`); for each weight that learns,
            a layer also takes a regularizer and a constraint (`minicnn.layers.penalties`).
    """

    carried: dict[str, Any]  # a file's settings that training here does not support
    input_rank: int | None = None  # the rank of x that the layer needs; None for any
    takes_list = False  # Add, Concatenate: forward takes a list of arrays
    keras_module = "keras.layers"  # where Keras has the class, as its files say
    takes_integers = False  # Rescaling, Resizing, …: x may be a photo's uint8 pixels
    training_by_default: bool | None = False  # what a call without `training` means

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Sequence[int | None] | None = None,
        **unknown: Any,
    ) -> None:
        _check_autocast(unknown.pop("autocast", True), type(self).__name__)
        penalties = {key: unknown.pop(key) for key in self.penalty_settings() if key in unknown}
        if unknown:
            self._refuse(next(iter(unknown)))
        self.name = name if name is not None else unique_name(snake_case(type(self).__name__))
        self._take_penalties(penalties)
        self._trainable = bool(trainable)
        self.dtype = config.standardize_dtype(dtype)
        self.given_input_shape = None
        if input_shape is not None:
            if not isinstance(input_shape, (tuple, list, np.ndarray)):
                raise ValueError(
                    f"{self.label} expects input_shape to be a tuple such as (32, 32, 3), without "
                    f"the batch. Received {input_shape!r}."
                )
            self.given_input_shape = plain(tuple(input_shape))
        self.built = False
        vars(self).update(nodes=[], weights_list=[], carried={})  # names that are minicnn's alone

    if not TYPE_CHECKING:
        __getattr__ = hints.of_object

    def __setattr__(self, name: str, value: Any) -> None:
        if self.defines_call:
            called.check_attribute(self, name, value)
        changes.count += 1
        super().__setattr__(name, value)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap `build`: afterwards the layer is `built`, whoever called it, as in Keras."""
        super().__init_subclass__(**kwargs)
        for old, new in (("_forward", "compute"), ("_backward", "compute_gradients")):
            if old in vars(cls):
                raise TypeError(f"{cls.__name__}.{old} is now called {new} (see Layer.{new}).")
        if "build" in vars(cls):
            own = cls.build

            @functools.wraps(own)
            def build(self: Layer, input_shape: Any) -> None:
                weights = list(self.weights_list)
                try:
                    with variable.keeping(False):  # a trial may build it first
                        own(self, input_shape)
                except BaseException:  # also for an interrupt: the next try starts afresh
                    self.weights_list[:] = weights
                    raise
                self.built = True

            cls.build = build  # type: ignore[method-assign]
        if "call" in vars(cls):
            cls._adopt_call()
        if isinstance(vars(cls).get("activation"), str):  # a constant of the class
            cls.activation_name = activation_name(vars(cls)["activation"], cls.__name__)
            del cls.activation  # type: ignore[misc]
        if "as_activation" in vars(cls):
            _activating.setdefault(cls.__name__, cls)

    def _take_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not is_ours(type(self)):  # for `get_config`
            vars(self).setdefault("_given", (args, kwargs))

    @classmethod
    def _adopt_call(cls) -> None:
        """Give a class that defines `call` the methods that follow from it."""
        called.adopt(cls)

    def __getstate__(self) -> dict[str, Any]:
        """Copy or pickle without `nodes`: each graph adds its uses to its own copy of the layer."""
        return {key: value for key, value in vars(self).items() if key != "nodes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, nodes=[])

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of the constructor's own arguments, in order."""
        if cls.__init__ is Layer.__init__:
            return []
        names = list(parameters_of(cls.__init__))[1:]  # without `self`, whatever it is called
        return [name for name in names if name != "kwargs"]

    @classmethod
    def _refuse(cls, argument: str) -> None:
        known = [*cls.argument_names(), *cls.penalty_settings(), "name", "trainable", "dtype"]
        shapes.refuse_argument(argument, known, _INSTEAD, cls.__name__)

    @property
    def name(self) -> str:
        """The layer's name in files and messages: a text without "/"; may be assigned."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        shapes.check_name(value, type(self).__name__, slash=False)
        self._name = value

    @property
    def label(self) -> str:
        """The layer's name in messages: `Conv2D "conv1"`."""
        return f'{type(self).__name__} "{printable(self.name)}"'

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={printable(self.name)}, built={self.built}>"

    # -- shapes and costs ----------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape (batch axis included)."""
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of y for an input of this shape; None means an unknown size."""
        return input_shape

    def parameter_formula(self) -> str:
        """Return the sum that gives the count of parameters, such as `(3·3·3+1)·32`."""
        return ""

    def multiply_adds(self, input_shape: Any) -> int | None:
        """Return how many multiply-adds one example costs; None if unknown."""
        return 0

    def differs_in_training(self) -> bool:
        """Return whether `forward` with `training=True` gives other numbers or changes a weight."""
        return False

    def receptive_window(self) -> tuple[shapes.Steps, shapes.Steps, shapes.Pair] | None:
        """Return `(kernel, strides, dilation)` of the window that one output sees; None: all.

        A layer that makes images n times larger has the stride `Fraction(1, n)`.
        """
        return (1, 1), (1, 1), (1, 1)

    # -- running -------------------------------------------------------------------------------

    def forward(self, x: Any, training: bool = False) -> tuple[Any, Any]:
        """Return `(y, cache)`. Raises `TypeError` or `ValueError` for an input that doesn't fit."""
        x = self._prepare(x)
        try:
            z, kept = self.compute(x, training)
        except MemoryError as error:
            raise MemoryError(
                f"{self.label} needs more memory than there is: {error}. "
                "A smaller batch needs less."
            ) from error
        if self.activation_name == "linear":
            return z, Cache(self, kept, z.shape)
        y = self._activated(z)
        return y, Cache(self, kept, y.shape, self.activation_name, z, y)

    def backward(
        self, dy: Array, cache: Any, need_dx: bool = True, at_logits: bool = False
    ) -> tuple[Any, Grads]:
        """Return `(dx, grads)` for `dy` = d loss / d y, of y's shape.

        `need_dx=False` skips dx, which is None then. `at_logits=True` says that `dy` is already
        d loss / d z, before the activation: cross-entropy and softmax together have the gradient
        p - t, which is exact; going through them one after the other divides by a vanishing p.

        Raises `ValueError` for a cache that is not this layer's, and for dy of another shape.
        """
        if not isinstance(cache, Cache) or cache.layer is not self:
            known = isinstance(cache, Cache)
            received = f"that of {cache.layer.label}" if known else type(cache).__name__
            raise ValueError(
                f"{self.label} expects the cache that its forward returned. Received {received}."
            )
        shapes.check_array(dy, None, "dy", self.label)
        shapes.check_shape(dy, cache.output_shape, "dy", self.label)
        dz = shapes.contiguous(dy, self.dtype)
        if cache.y is not None and not at_logits:
            dz = by_name.activation(cache.activation).gradient(dz, cache.z, cache.y)
        return self.compute_gradients(dz, cache, need_dx)

    def _activated(self, z: Array) -> Array:
        """Return y for z."""
        y: Array = by_name.activation(self.activation_name).applied(z)
        return y

    def logits(self, cache: Any, activation: str) -> Array | None:
        """Return the input of the layer's activation if it is this activation, or None."""
        return cache.z if cache.activation == activation else None  # type: ignore[no-any-return]

    def run(self, x: Any, training: bool = False) -> Any:
        """Return y alone; a network keeps less for this than for `forward`."""
        return self.forward(x, training)[0]

    def backward_within(
        self,
        dy: Any,
        cache: Any,
        need_dx: bool,
        at_logits: bool,
        visit: Any = None,
        penalized: bool = False,
    ) -> tuple[Any, Grads]:
        """Go backward as part of a graph; a nested network passes `visit` and `penalized` on."""
        return self.backward(dy, cache, need_dx=need_dx, at_logits=at_logits)

    def last_activation(self) -> str | None:
        """Return the name of the activation that makes y."""
        return self.activation_name

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return y for x, an array or a tensor; a layer of your own may define this instead.

        See `minicnn.layers.calling`. In a derived class, `super().call(x)` runs the base layer.
        """
        return calling.recorded(calling.Inherited(self, Layer), x, training)

    def add_loss(self, loss: Any) -> None:
        """Add a number that `call` has computed to the loss of this pass."""
        calling.add_loss(self, loss)

    def compute(self, x: Any, training: bool) -> tuple[Array, Kept]:
        """Return `(z, kept)`: y before the activation, and a new dict of arrays for the gradients.

        A layer of your own defines this; to use a layer, call `forward`. x is an array (a list of
        arrays if `takes_list` is set) of the layer's dtype, and must not be written to.
        """
        raise NotImplementedError(f"{type(self).__name__} has no compute(self, x, training).")

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        """Return `(dx, grads)` for dz = d loss / d z; `grads` has the trainable weights' keys.

        A layer of your own defines this; to use a layer, call `backward`. dx has the shape of x,
        and may be None if `need_dx` is False; `grads` is empty if the layer is not `trainable`. The
        cache has the arrays that `compute` kept, under the same names.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no compute_gradients(self, dz, cache, need_dx)."
        )

    def _prepare(self, x: Any) -> Any:
        """Return x checked and in the layer's dtype; build the weights if they are missing."""
        if self.takes_list:
            if not isinstance(x, (list, tuple)):
                raise TypeError(
                    f"{self.label} expects a list of arrays. Received {type(x).__name__}."
                )
            x = [self._prepare_array(item) for item in x]
            shape: Any = [item.shape for item in x]
        else:
            x = self._prepare_array(x)
            shape = x.shape
        self._build_for(shape)
        return x

    def _prepare_array(self, x: Any) -> Array:
        if self.takes_integers and isinstance(x, np.ndarray) and x.dtype.kind in "iu":
            x = x.astype(self.dtype)
        x = shapes.check_array(x, self.input_rank, "x", self.label)
        return shapes.contiguous(x, self.dtype)

    def _build_for(self, shape: Any) -> None:
        if not self.built:
            self.build(shape)
            self.built = True

    # -- looking inside --------------------------------------------------------------------------

    def explain(self, x: Any, at: Any, example: int = 0, training: bool = False) -> Any:
        """Explain where one number of the output for x comes from, term by term.

        `at` is its place in the output of the batch's `example`: (row, col, channel), or a unit's
        number. Returns a `minicnn.explain.Explanation`: print it, or use its `terms`. The layer
        does not change. Raises what `forward` raises, and `ValueError` for a place that does not
        exist.
        """
        from minicnn.explain import methods

        return methods.explain_layer(self, x, at, example, training)

    def _repr_html_(self) -> str:
        """Return the layer as a notebook shows it: its settings, and its weights as grids."""
        from minicnn.explain import methods

        return methods.html(self)

    # -- calling -------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        """Run the layer on arrays and return y, or add it to the graph if x is a symbol.

        `layer(symbol, training=False)` applies wherever the graph runs, also in `fit`: a frozen
        base keeps its moving statistics, and its dropout is off. In Keras 3 the `training=True` of
        `fit` overrides it; there, only `base.trainable = False` keeps BatchNormalization unchanged.
        """
        if not is_symbolic(x):
            return calling.recorded(self, x, training)
        inputs = list(x) if isinstance(x, (list, tuple)) else [x]
        for item in inputs:
            if not isinstance(item, KerasTensor):
                raise TypeError(
                    f"{self.label} expects symbols or arrays, not both. "
                    f"Received {type(item).__name__} among symbols."
                )
        single = not isinstance(x, (list, tuple))
        if self.takes_list and single:
            raise TypeError(f"{self.label} expects a list of inputs. Received {x!r}.")
        return self._connect(inputs, training, single)

    def _connect(self, inputs: list[KerasTensor], training: bool | None, single: bool) -> Any:
        shape: Any = [t.shape for t in inputs] if self.takes_list else inputs[0].shape
        if not self.takes_list and len(inputs) != 1:
            raise ValueError(f"{self.label} expects one input. Received {len(inputs)}.")
        if self.input_rank is not None and len(shape) != self.input_rank:
            raise ValueError(
                f"{self.label} expects an input with {self.input_rank} dimensions, "
                f"the batch included. Received {shape}."
            )
        self._build_for(shape)
        output_shape = self.compute_output_shape(shape)
        node = Node(self, inputs, training, not self.takes_list)
        node.outputs = [KerasTensor(tuple(output_shape), self.dtype, node)]
        return node.outputs[0]

    # -- config --------------------------------------------------------------------------------

    def lacking(self, learning: bool = False, penalties: bool = False) -> list[tuple[str, str]]:
        """Return what Keras, but not minicnn, would do with the layer in training.

        It is a list of (what, the layer's name). With `learning` it has only what matters for
        training the layer as it is; with `penalties`, only what adds to the loss. Only layers from
        a file have such settings.
        """
        frozen = learning and not self.trainable_weights
        return [
            (carried.shown(setting, value), self.name)
            for setting, value in self.carried.items()
            if not (frozen and not carried.of_outputs(setting))
            and (carried.penalizes(setting) or not penalties)
        ]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that recreate this layer, as Keras writes them."""
        own = self._own_arguments()
        own |= self._penalty_config() | self.carried
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype, **own}

    def _own_arguments(self) -> dict[str, Any]:
        """Return the constructor's own arguments: attributes with their names, or else as given."""
        names = self.argument_names()
        if "_given" not in vars(self):
            return {name: _plain(getattr(self, name)) for name in names}
        found = own_config.arguments(self, names)
        plain_ones = {"activation", *(n for n in names if n.endswith("_initializer"))}
        return {n: _plain(value) if n in plain_ones else value for n, value in found.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a new layer from `get_config()`'s dict, Keras's or ours.

        Settings that only Keras's layer has are accepted if they are switched off. Those that only
        matter in training (such as a regularizer that minicnn lacks) are kept in `carried` and
        written back. Raises `ValueError` for settings that change the layer's output.
        """
        if not is_ours(cls):
            return own_config.made(cls, config)
        known = {*cls.argument_names(), *cls.penalty_settings(), "name", "trainable", "dtype"}
        label = f'{cls.__name__} "{printable(config.get("name"))}"'
        arguments, carried_on = carried.sort_settings(config, known, label)
        try:
            layer = cls(**arguments)
        except (TypeError, ValueError) as error:
            if label in str(error):
                raise
            raise ValueError(f"{label}: {error}") from error
        vars(layer)["carried"] = carried_on
        return layer


# Arguments that Keras's layers take, or once took, and their replacements here.
_INSTEAD = {
    "batch_input_shape": "input_shape, which leaves the batch out",
    "input_dim": "input_shape=(size,)",
    "weights": "set_weights, once the layer is built",
}


def _check_autocast(autocast: Any, who: str) -> None:
    if autocast is not True:
        raise ValueError(
            f"{who} casts its inputs to its dtype: it expects autocast=True. "
            f"Received autocast={autocast!r}."
        )


def _plain(value: Any) -> Any:
    """Return a hyper-parameter as JSON can hold it."""
    if isinstance(value, carried.KeptInitializer):
        return value.description
    if isinstance(value, initializers.Initializer):
        return initializers.serialize(value)
    if callable(value):
        return activation_in_file(activation_name(value, "get_config"))
    return plain_throughout(value)


def activation_name(activation: Any, who: str) -> str:
    """Return the name of an activation, given as None, a name, a function or a layer.

    The function may be one of `minicnn.activations` or Keras's. A dict is a function or a layer as
    Keras's files write it. Any other function is refused, whatever its name, because minicnn has no
    gradient of it.
    """
    if activation is None:
        return "linear"
    if isinstance(activation, dict):
        activation = _activation_in_file(activation)
    if isinstance(activation, Layer):
        found = activation.as_activation()
        if found is None:
            raise ValueError(
                f"{who} expects activation to be a layer that is one of minicnn.activations, such "
                f"as Softmax() or ReLU(). Received {activation.label}: put it after {who} instead."
            )
        return found
    name, hint = activation, ""
    if callable(activation):
        own: Any = getattr(activation, "__name__", None)
        if _is_known(own) and activation in (function_of(own), by_name.activation(own).forward):
            return str(own)
        if str(getattr(activation, "__module__", "")).split(".")[0] == "keras":
            name = own
        hint = " To use another function, write a layer of your own with call."
    name = by_name.ALIASES.get(name, name) if isinstance(name, str) else name
    if not _is_known(name):
        names = ", ".join(f'"{name}"' for name in by_name.ACTIVATIONS)
        raise ValueError(
            f"{who} expects activation to be one of {names}. Received {activation!r}.{hint}"
        )
    return str(name)


def _is_known(name: Any) -> bool:
    try:
        return isinstance(name, str) and by_name.activation(name) is not None
    except (KeyError, ValueError):
        return False


def only_limits(name: str) -> bool:
    """Return whether the activation of this name only keeps z between limits, as ReLU does."""
    return name != "linear" and by_name.activation(name).limits is not None


def _activation_in_file(described: dict[str, Any]) -> Any:
    """Return the function's name or the layer that a file's dict describes, or the dict."""
    name, config = described.get("class_name"), described.get("config")
    if name == "function":
        return config
    if name in _activating and isinstance(config, dict):
        return _activating[name].from_config(config)
    return name if config == {} and _is_known(name) else described


_LAYER_OF = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU"}


def activation_in_file(name: str) -> Any:
    """Return an activation as in Keras's files: its name, or the layer with its numbers.

    Keras 3 has no layer for `hard_sigmoid(slope=0.2)`, which comes from files of Keras 1 and 2: so
    Keras refuses that name, instead of computing something else.
    """
    plain, numbers = by_name.parts(name)
    if plain not in _LAYER_OF or not numbers:
        return name
    return {
        "module": "keras.layers",
        "class_name": _LAYER_OF[plain],
        "config": {"name": plain, "trainable": True, "dtype": "float32", **numbers},
        "registered_name": None,
    }
