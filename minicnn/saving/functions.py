"""Translates functions that a file names as if they were layers into layers that compute them.

In Keras 3 and in Keras 2, `x * 2` of a symbol becomes:

    {"module": "keras.src.ops.numpy", "class_name": "Multiply", …}     called with (tensor, 2.0)
    {"class_name": "TFOpLambda", "config": {"function": "math.multiply", …}, …}

`as_layer` turns it into the description of a `Rescaling`. Nothing is looked up outside this table.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from minicnn.layers.functions import ARGUMENTS, FUNCTION_OF, SYMBOL

Layer = tuple[str, dict[str, Any], list[Any]]  # the layer's class, its config, its inputs


class _Call(NamedTuple):
    """A call of a function: its arguments, and the settings that have names."""

    arguments: list[Any]
    settings: dict[str, Any]

    @property
    def tensors(self) -> list[Any]:
        return [argument for argument in self.arguments if is_tensor(argument)]

    @property
    def only(self) -> list[Any]:
        """The only argument; settings may follow."""
        tensors = self.tensors
        if len(tensors) != 1 or not is_tensor(self.arguments[0]):
            raise ValueError(f"is called with {len(tensors)} tensors")
        return tensors


_FUNCTIONS: dict[str, Callable[[_Call], Layer]] = {}


# Settings that change nothing with these values, whatever the function, and those of all layers.
_USUAL = {"alpha": 1.0, "axis": -1, "beta": 1.0, "conjugate": False, "data_format": "NHWC"}
_OF_LAYERS = ("dtype", "name", "trainable")


def _function(
    *names: str, takes: tuple[str, ...] = ()
) -> Callable[[Callable[[_Call], Layer]], Callable[[_Call], Layer]]:
    """Register the layer for functions with these names: Keras 3's class, or a path in `tf`.

    The layer follows the settings that it `takes`; any other is refused unless it is the default.
    """

    def register(translate: Callable[[_Call], Layer]) -> Callable[[_Call], Layer]:
        def checked(call: _Call) -> Layer:
            for name, value in call.settings.items():
                tensors = value if isinstance(value, list) and value else [value]
                known = name in (*takes, *_OF_LAYERS) or all(map(is_tensor, tensors))
                if not known and value not in (None, _USUAL.get(name)):
                    raise ValueError(f"has {name}={value!r:.100}")
            return translate(call)

        _FUNCTIONS.update(dict.fromkeys(names, checked))
        return translate

    return register


def as_layer(data: dict[str, Any]) -> dict[str, Any]:
    """Return a function's description as that of a layer; any other description as it is.

    Raises `ValueError` for a function that minicnn has no layer for.
    """
    function = _function_name(data)
    if function is None:
        return data
    name = layer_name(data)
    who = f'Layer "{name}" is the function {function!r}, which'
    if function not in _FUNCTIONS and function not in FUNCTION_OF:
        raise ValueError(f"{who} minicnn does not have as a layer.")
    settings = {k: v for k, v in data["config"].items() if k not in ("name", "function")}
    found: list[Layer] = []
    for node in data.get("inbound_nodes", []):
        given = {k: v for k, v in node.get("kwargs", {}).items() if k != "name"}
        arguments = [*node.get("args", []), *given.values()]
        try:
            found.append(layer_of(function, arguments, {**settings, **given}))
        except ValueError as error:
            raise ValueError(f"{who} {error}: not supported.") from error
    if not found or len({json.dumps(layer[:2]) for layer in found}) > 1:
        raise ValueError(f"{who} is called with several settings: not supported.")
    kind, config, _ = found[0]
    several = kind in _OF_LISTS or len(found[0][2]) > 1
    return {
        "class_name": kind,
        "config": {"name": name, "trainable": True, **config},
        "name": name,
        "inbound_nodes": [
            {"args": [inputs if several else inputs[0]], "kwargs": {}} for _, _, inputs in found
        ],
    }


def layer_of(function: str, arguments: list[Any], settings: dict[str, Any]) -> Layer:
    """Return the layer for a function: its class, its configuration, and its inputs.

    Raises `ValueError` if there is none.
    """
    call = _Call(arguments, settings)
    try:
        if function not in _FUNCTIONS:
            raise ValueError("makes no layer")
        return _FUNCTIONS[function](call)
    except ValueError as error:
        found = _function_layer(FUNCTION_OF[function], call) if function in FUNCTION_OF else None
        if found is None:
            raise error
        return found


def _function_layer(function: str, call: _Call) -> Layer | None:
    """Return the layer that calls this function of `minicnn.ops`; None if it cannot."""
    names, left = ARGUMENTS[function], iter(call.arguments)
    given = [call.settings[name] if name in call.settings else next(left, None) for name in names]
    settings = {
        name: value
        for name, value in call.settings.items()
        if name not in names and name not in _OF_LAYERS and value is not None
    }
    inputs = [value for value in given if is_tensor(value)]
    arguments = [SYMBOL if is_tensor(value) else _plain(value) for value in given]
    if not inputs or None in arguments or any(map(is_tensor, settings.values())):
        return None
    if function == "divide" and arguments[1] == 0:
        return None
    return "Function", {"function": function, "arguments": arguments, "settings": settings}, inputs


def _plain(value: Any) -> Any:
    """Return a number, or a list of numbers or of such lists; None for anything else."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        value = value["config"]["value"]
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        return None if None in items else items
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def as_layers(data: dict[str, Any]) -> dict[str, Any]:
    """Return a model's description without functions, also in the models within it."""
    config = data.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(layers, list):
        return data
    return {**data, "config": {**config, "layers": [as_layers(as_layer(one)) for one in layers]}}


def layer_name(data: dict[str, Any]) -> Any:
    """Return the name of the layer that a file describes; None if it has none."""
    return data.get("name", data.get("config", {}).get("name"))


def _function_name(data: dict[str, Any]) -> str | None:
    """Return the function's name; None for a layer."""
    kind, config = data.get("class_name"), data.get("config")
    if kind in ("TFOpLambda", "SlicingOpLambda") and isinstance(config, dict):
        return str(config.get("function"))
    module = data.get("module")
    if isinstance(module, str):
        return str(kind) if module.startswith("keras.src.ops.") else None
    # Keras 3's `.h5` has no modules; but every layer has `trainable` in its config.
    nodes = data.get("inbound_nodes") or [None]
    if not isinstance(nodes[0], dict) or not isinstance(config, dict) or "trainable" in config:
        return None
    return str(kind) if kind in _FUNCTIONS else None


# -- arguments -------------------------------------------------------------------------------------


def is_tensor(value: Any) -> bool:
    """Return whether a file's value stands for a layer's output."""
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _constant(value: Any) -> Any:
    """Return a number, or a list of one for each channel."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        value = value["config"]["value"]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    listed = value if isinstance(value, list) else [value]
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in listed) or not listed:
        raise ValueError(f"is called with {value!r:.100}")
    return value


def _combined(call: _Call) -> tuple[Any, Any]:
    """Return the two arguments of a function: tensors, or a tensor and a constant."""
    pair = call.arguments[:2]
    if len(pair) < 2 or not any(map(is_tensor, pair)):
        raise ValueError(f"is called with {len(pair)} arguments")
    x, y = (value if is_tensor(value) else _constant(value) for value in pair)
    return x, y


def _each(f: Callable[[float], float], value: Any) -> Any:
    """Return f of a number, or of each in a list."""
    return [f(n) for n in value] if isinstance(value, list) else f(value)


def _rescaled(x: Any, scale: Any, offset: Any) -> Layer:
    return "Rescaling", {"scale": scale, "offset": offset}, [x]


# -- arithmetic ------------------------------------------------------------------------------------

_PAIR = ("x", "y", "x1", "x2", "bias", "value")  # the functions' names for their two arguments
_OF_LISTS = {
    *("Add", "Concatenate", "Divide", "Maximum", "Minimum", "Multiply", "Stack", "Subtract"),
}


@_function("Add", "__operators__.add", "math.add", "nn.bias_add", takes=_PAIR)
def _add(call: _Call) -> Layer:
    x, y = _combined(call)
    if is_tensor(x) and is_tensor(y):
        return "Add", {}, [x, y]
    return _rescaled(x, 1.0, y) if is_tensor(x) else _rescaled(y, 1.0, x)


@_function("Subtract", "math.subtract", takes=_PAIR)
def _subtract(call: _Call) -> Layer:
    x, y = _combined(call)
    if is_tensor(x) and is_tensor(y):
        return "Subtract", {}, [x, y]
    return _rescaled(x, 1.0, _each(lambda n: -n, y)) if is_tensor(x) else _rescaled(y, -1.0, x)


@_function("Multiply", "math.multiply", takes=_PAIR)
def _multiply(call: _Call) -> Layer:
    x, y = _combined(call)
    if is_tensor(x) and is_tensor(y):
        return "Multiply", {}, [x, y]
    return _rescaled(x, y, 0.0) if is_tensor(x) else _rescaled(y, x, 0.0)


@_function("Divide", "TrueDivide", "math.truediv", "math.divide", "realdiv", takes=_PAIR)
def _divide(call: _Call) -> Layer:
    x, y = _combined(call)
    if is_tensor(x) and is_tensor(y):
        return "Divide", {}, [x, y]
    if not is_tensor(x):
        return "Reciprocal", {"numerator": x}, [y]
    if 0 in (y if isinstance(y, list) else [y]):
        raise ValueError("divides by 0")
    return _rescaled(x, _each(lambda n: 1 / n, y), 0.0)


@_function("Negative", "math.negative")
def _negative(call: _Call) -> Layer:
    return _rescaled(call.only[0], -1.0, 0.0)


@_function("Power", "math.pow", takes=_PAIR)
def _power(call: _Call) -> Layer:
    x, y = _combined(call)
    if not is_tensor(x) or is_tensor(y):
        raise ValueError("has a tensor as its exponent")
    return "Power", {"exponent": y}, [x]


@_function("Square", "math.square")
def _square(call: _Call) -> Layer:
    return "Power", {"exponent": 2.0}, call.only


@_function("Sqrt", "math.sqrt")
def _sqrt(call: _Call) -> Layer:
    return "Power", {"exponent": 0.5}, call.only


@_function("Maximum", "math.maximum", takes=_PAIR)
def _maximum(call: _Call) -> Layer:
    x, y = _combined(call)
    if is_tensor(x) and is_tensor(y):
        return "Maximum", {}, [x, y]
    if 0 not in (x, y):
        raise ValueError("is called with a number other than 0")
    return "ReLU", {}, [x if is_tensor(x) else y]


@_function("Minimum", "math.minimum", takes=_PAIR)
def _minimum(call: _Call) -> Layer:
    x, y = _combined(call)
    if not (is_tensor(x) and is_tensor(y)):
        raise ValueError("is called with a number")
    return "Minimum", {}, [x, y]


_LIMITS = ("x_min", "x_max", "clip_value_min", "clip_value_max")


@_function("Clip", "clip_by_value", takes=_LIMITS)
def _clip(call: _Call) -> Layer:
    low = call.settings.get("x_min", call.settings.get("clip_value_min"))
    high = _constant(call.settings.get("x_max", call.settings.get("clip_value_max")))
    if low != 0:
        raise ValueError("has a least value other than 0")
    return "ReLU", {"max_value": high}, call.only


# -- activations -----------------------------------------------------------------------------------

_ACTIVATIONS = {
    "exponential": ("Exp", "math.exp"),
    "hard_sigmoid": ("HardSigmoid",),
    "hard_silu": ("HardSilu",),
    "log_softmax": ("LogSoftmax", "nn.log_softmax"),
    "relu6": ("Relu6", "nn.relu6"),
    "selu": ("Selu", "nn.selu"),
    "sigmoid": ("Sigmoid", "nn.sigmoid", "math.sigmoid", "sigmoid"),
    "silu": ("Silu", "nn.silu", "nn.swish"),
    "softplus": ("Softplus", "nn.softplus", "math.softplus"),
    "softsign": ("Softsign", "nn.softsign", "math.softsign"),
    "tanh": ("Tanh", "math.tanh", "nn.tanh"),
}


def _activation(activation: str) -> Callable[[_Call], Layer]:
    return lambda call: ("Activation", {"activation": activation}, call.only)


for _name, _names in _ACTIVATIONS.items():
    _function(*_names)(_activation(_name))


@_function("Relu", "nn.relu", takes=("max_value", "negative_slope", "threshold"))
def _relu(call: _Call) -> Layer:
    corners = {}
    for name, usual in (("max_value", None), ("negative_slope", 0), ("threshold", 0)):
        value = call.settings.get(name)
        if isinstance(value, (list, dict, str)):
            raise ValueError(f"has {name}={value!r:.100}")
        if value not in (None, usual):
            corners[name] = value
    if not corners:
        return "Activation", {"activation": "relu"}, call.only
    return "ReLU", corners, call.only


@_function("Elu", "nn.elu", takes=("alpha",))
def _elu(call: _Call) -> Layer:
    alpha = _constant(call.settings.get("alpha", 1.0))
    if alpha == 1:
        return "Activation", {"activation": "elu"}, call.only
    return "ELU", {"alpha": alpha}, call.only


@_function("Softmax", "nn.softmax", takes=("axis",))
def _softmax(call: _Call) -> Layer:
    axis = call.settings.get("axis")
    if axis in (None, -1):
        return "Activation", {"activation": "softmax"}, call.only
    if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
        raise ValueError(f"has axis={axis!r:.100}")
    return "Softmax", {"axis": axis}, call.only


@_function("Gelu", "nn.gelu", takes=("approximate",))
def _gelu(call: _Call) -> Layer:
    if call.settings.get("approximate"):
        raise ValueError("approximates")
    return "Activation", {"activation": "gelu"}, call.only


@_function("LeakyRelu", "nn.leaky_relu", takes=("negative_slope", "alpha"))
def _leaky_relu(call: _Call) -> Layer:
    slope = call.settings.get("negative_slope", call.settings.get("alpha", 0.2))
    return "LeakyReLU", {"negative_slope": slope}, call.only


# -- shapes ----------------------------------------------------------------------------------------


@_function("GetItem", "__operators__.getitem", takes=("key", "slice_spec"))
def _get_item(call: _Call) -> Layer:
    x, key = call.arguments[0], call.settings.get("slice_spec", call.arguments[-1])
    if not is_tensor(x) or len(call.arguments) != 2:
        raise ValueError(f"is called with {len(call.arguments)} arguments")
    return "GetItem", {"key": key}, [x]


@_function("Reshape", "reshape", takes=("newshape", "shape"))
def _reshape(call: _Call) -> Layer:
    shape = call.settings.get("newshape", call.settings.get("shape"))
    if not isinstance(shape, list) or len(shape) < 2 or shape[0] not in (-1, None):
        raise ValueError(f"has the shape {shape!r:.100}")
    sizes = [-1 if size is None else size for size in shape[1:]]
    return "Reshape", {"target_shape": sizes}, call.only


@_function("Transpose", "transpose", "compat.v1.transpose", takes=("axes", "perm"))
def _transpose(call: _Call) -> Layer:
    axes = call.settings.get("axes", call.settings.get("perm"))
    if not isinstance(axes, list) or not axes or axes[0] != 0:
        raise ValueError(f"has the axes {axes!r:.100}")
    return "Permute", {"dims": axes[1:]}, call.only


def _joining(layer: str) -> Callable[[_Call], Layer]:
    def translate(call: _Call) -> Layer:
        tensors = call.arguments[0]
        if not isinstance(tensors, list) or not all(map(is_tensor, tensors)):
            raise ValueError("is called without a list of tensors")
        return layer, {"axis": call.settings.get("axis", 0)}, tensors

    return translate


_function("Concatenate", "concat", takes=("axis",))(_joining("Concatenate"))
_function("Stack", "stack", takes=("axis",))(_joining("Stack"))


def _key(call: _Call, part: int | None) -> Layer:
    """Return a slice that has this part in the place of an axis."""
    axis, whole = call.settings.get("axis"), {"start": None, "stop": None, "step": None}
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    if axis == -1:
        return "GetItem", {"key": [{"class_name": "__ellipsis__"}, part]}, call.only
    if not isinstance(axis, int) or not 0 < axis < 10:
        raise ValueError(f"has axis={axis!r:.100}")
    return "GetItem", {"key": [*[whole] * axis, part]}, call.only


@_function("ExpandDims", "expand_dims", takes=("axis",))
def _expand_dims(call: _Call) -> Layer:
    return _key(call, None)


@_function("Squeeze", "squeeze", "compat.v1.squeeze", takes=("axis",))
def _squeeze(call: _Call) -> Layer:
    return _key(call, 0)


def _over_images(layer: str) -> Callable[[_Call], Layer]:
    def translate(call: _Call) -> Layer:
        axis = call.settings.get("axis")
        if axis not in ([1, 2], [2, 1], [-3, -2], [-2, -3]):
            raise ValueError(f"has axis={axis!r:.100} rather than [1, 2]")
        keepdims = bool(call.settings.get("keepdims", False))
        return layer, {"keepdims": keepdims}, call.only

    return translate


_function("Mean", "math.reduce_mean", takes=("axis", "keepdims"))(
    _over_images("GlobalAveragePooling2D")
)
_function("Max", "math.reduce_max", takes=("axis", "keepdims"))(_over_images("GlobalMaxPooling2D"))


def _windows(layer: str, *names: str) -> None:
    """Register a pooling layer under Keras's name of the function; both have these settings."""
    takes = (*names, "data_format")

    @_function(layer.removesuffix("ing2D"), takes=takes)
    def translate(call: _Call) -> Layer:
        given = {name: call.settings[name] for name in takes if call.settings.get(name) is not None}
        return layer, given, call.only


_windows("MaxPooling2D", "pool_size", "strides", "padding")
_windows("AveragePooling2D", "pool_size", "strides", "padding")
_windows("AdaptiveAveragePooling2D", "output_size")
_windows("AdaptiveMaxPooling2D", "output_size")


@_function("Identity", "identity")
def _identity(call: _Call) -> Layer:
    return "Identity", {}, call.only


@_function("Cast", "cast")
def _cast(call: _Call) -> Layer:
    if call.settings.get("dtype") not in ("float32", "float64"):
        raise ValueError(f"has dtype={call.settings.get('dtype')!r:.100}")
    if call.only[0].get("config", {}).get("dtype") == "bool":  # a layer, since Keras needs it there
        settings = {"dtype": call.settings["dtype"]}
        return (
            "Function",
            {"function": "cast", "arguments": [SYMBOL], "settings": settings},
            call.only,
        )
    return "Identity", {}, call.only
