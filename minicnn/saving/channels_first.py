"""Opens models that hold images as (channels, rows, columns): data_format="channels_first".

minicnn computes with the channels last. Seen from outside, such a model does not change: it takes
and returns the same arrays. Inside, a `Permute` moves the channels to the end before the first
layer with this data format, and back before the first layer without it:

    Input (3, 32, 32)   Permute   Conv2D   BatchNormalization   ReLU   Permute   Dense …
                        (to the end)       (axis=1 becomes -1)         (and back)

Weights have the same shapes in both data formats. Files find them by the order of the layers, which
a `Permute` in one branch of several can change: then the file is refused.
"""

from collections import deque
from typing import Any

from minicnn.layers import LAYERS
from minicnn.saving.functions import layer_name
from minicnn.saving.limits import shortened

_CHAINS = ("Sequential",)
_GRAPHS = ("Functional", "Model")

# They compute number by number, so it does not matter where the channels are.
_ELEMENT_BY_ELEMENT = {
    *("Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "Dropout", "ELU"),
    *("GaussianDropout", "GaussianNoise", "Identity", "LeakyReLU", "Maximum", "Minimum"),
    *("Multiply", "ReLU", "Rescaling", "Subtract"),
}
# They compute along an axis that the config names; 1 is the channel axis.
_ALONG_AN_AXIS = {
    *("BatchNormalization", "Concatenate", "GroupNormalization", "LayerNormalization", "Softmax"),
}
_OF_ALL_UNITS = ("softmax", "log_softmax")  # activations that compute along the last axis

Address = tuple[Any, int, int]  # a layer's name, the number of its use, the number of the output
Use = tuple[Any, int]
Description = dict[str, Any]


def converted(data: Description) -> Description:
    """Return the description of a model without channels_first, or `data` itself if it has none.

    Raises `ValueError` for a layer that cannot be converted exactly.
    """
    config, kind = data.get("config"), data.get("class_name")
    if not isinstance(config, dict) or not _is_model(data) or not _holds_some(data):
        return data
    config = dict(config)
    config["layers"] = [converted(layer) for layer in config["layers"]]
    if kind in _CHAINS:
        config["layers"] = _chain(config["layers"])
    else:
        config |= _Graph(config).converted()
    return {**data, "config": config}


def check_order(model: Any, data: Description) -> None:
    """Raise `ValueError` if the converted layers come in another order than in the file."""
    if not _is_model(data) or not _holds_some(data):
        return
    described = {layer_name(layer): layer for layer in data["config"]["layers"]}
    layers = {v.name: v for v in model.layers if v.name in described and v.weights}
    for name, layer in layers.items():
        if layer.is_network:
            check_order(layer, described[name])
    if list(layers) != [name for name in described if name in layers]:
        raise ValueError(
            f'{model.label} has layers with data_format="channels_first". With the channels last '
            "they would come in another order, and files find weights by order: build the model in "
            "minicnn, and copy the weights layer by layer."
        )


def _is_model(data: Description) -> bool:
    config = data.get("config")
    known = data.get("class_name") in (*_CHAINS, *_GRAPHS)
    return known and isinstance(config, dict) and isinstance(config.get("layers"), list)


def _holds_some(data: Any) -> bool:
    """Return whether a layer of the model, or of a model in it, has channels_first."""
    if not isinstance(data, dict) or not isinstance(data.get("config"), dict):
        return False
    if _is_model(data):
        return any(_holds_some(layer) for layer in data["config"]["layers"])
    return data["config"].get("data_format") == "channels_first"


# ---------------------------------------------------------------------------------------------
# One layer
# ---------------------------------------------------------------------------------------------


class _Layer:
    """A layer's description, and the orders of axes that it takes and returns.

    `last` says whether an array has its channels at the end, unlike in the file; `rank` is its
    number of axes, None if unknown.
    """

    def __init__(self, data: Description) -> None:
        self.data, self.name = data, layer_name(data)
        self.kind: Any = data.get("class_name")
        config = data.get("config")
        self.config: Description = config if isinstance(config, dict) else {}
        # For a class without `data_format` here, the setting is refused later, or has no effect.
        cls: Any = LAYERS.get(str(self.kind))
        has_one = cls is not None and "data_format" in cls.argument_names()
        self.is_first = has_one and self.config.get("data_format") == "channels_first"
        if self.is_first and self.config.get("activation") in _OF_ALL_UNITS:
            raise ValueError(
                f'{self.label} has data_format="channels_first" and activation='
                f'"{self.config["activation"]}", which Keras computes along the columns: minicnn '
                "cannot convert that."
            )
        if self.is_first and self.kind == "AutoContrast":
            raise ValueError(
                f'{self.label} has data_format="channels_first", for which Keras stretches each '
                "column of pixels, not each channel: minicnn cannot convert that."
            )

    @property
    def label(self) -> str:
        """The layer's name in messages."""
        return f'{self.kind} "{shortened(str(self.name), 200)}"'

    def wants_last(self, last: list[bool], ranks: list[int | None]) -> bool:
        """Return whether its inputs need their channels last, given the present order."""
        if self.is_first:
            return self.kind != "Flatten" or last[0] or self.known_rank(ranks[0]) > 2
        if self.kind in _ELEMENT_BY_ELEMENT and all(last) and len(set(ranks)) == 1:
            return self._is_of_elements()
        if self.kind in _ALONG_AN_AXIS and len(set(ranks)) == 1 and ranks[0] in (3, 4):
            return _axis(self.config) in (1, 1 - ranks[0])
        return False

    def _is_of_elements(self) -> bool:
        plain = all(
            isinstance(self.config.get(key, 0.0), (int, float)) for key in ("scale", "offset")
        )
        softmax = self.config.get("activation") in _OF_ALL_UNITS
        return plain and not softmax and self.config.get("noise_shape") is None

    def described(self, last: bool) -> Description:
        """Return the description for inputs with their channels last, or as in the file."""
        config = dict(self.config)
        if self.is_first:
            config["data_format"] = "channels_last"
        elif last and self.kind in _ALONG_AN_AXIS:
            config["axis"] = -1
        return {**self.data, "config": config}

    def makes_last(self, last: bool) -> bool:
        """Return whether its output has its channels last, given whether its inputs do."""
        if self.kind == "Flatten" or (self._is_global() and not self.config.get("keepdims")):
            return False
        return last

    def _is_global(self) -> bool:
        return isinstance(self.kind, str) and self.kind.startswith("Global")

    def rank(self, ranks: list[int | None]) -> int | None:
        """Return the rank of its output, None if unknown."""
        shape = self.config.get("batch_shape") or self.config.get("batch_input_shape")
        if not ranks:
            return len(shape) if isinstance(shape, (list, tuple)) else None
        if self.kind == "Flatten" or (self._is_global() and not self.config.get("keepdims")):
            return 2
        if self.is_first:
            found: int | None = getattr(LAYERS[self.kind], "input_rank", None)
            return found if found is not None else ranks[0]
        for key in ("dims", "target_shape"):  # of Permute, of Reshape
            if isinstance(self.config.get(key), (list, tuple)):
                return len(self.config[key]) + 1
        known = {*_ELEMENT_BY_ELEMENT, *_ALONG_AN_AXIS, "Dense", "PReLU"}
        return ranks[0] if self.kind in known else None

    def known_rank(self, rank: int | None) -> int:
        """Return the rank of its input, which a layer of images or lines fixes."""
        found = rank if rank is not None else getattr(LAYERS.get(self.kind), "input_rank", None)
        if found is None:
            raise ValueError(
                f'{self.label} has data_format="channels_first", and the file does not say how '
                "many axes its input has."
            )
        return int(found)


def _axis(config: Description) -> Any:
    axis = config.get("axis", -1)
    return axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis


def _permute(name: str, rank: int, to_end: bool) -> Description:
    moved = (*range(2, rank), 1) if to_end else (rank - 1, *range(1, rank - 1))
    return {"class_name": "Permute", "config": {"name": name, "dims": list(moved)}, "name": name}


# ---------------------------------------------------------------------------------------------
# Chains
# ---------------------------------------------------------------------------------------------


def _chain(described: list[Description]) -> list[Description]:
    """Return the layers of a `Sequential`, with a `Permute` wherever the order of axes changes."""
    names = {layer_name(data) for data in described}
    found: list[Description] = []
    last, rank = False, None
    for data in described:
        layer = _Layer(data)
        shape = layer.config.get("batch_input_shape")
        starts = not found and isinstance(shape, (list, tuple))
        if starts:
            rank = layer.rank([])
        if layer.kind == "InputLayer":
            found.append(data)
            rank = layer.rank([])
            continue
        wanted = layer.wants_last([last], [rank])
        if wanted != last:
            permute = _permute(_new_name(layer.name, wanted, names), layer.known_rank(rank), wanted)
            if starts:
                permute["config"]["batch_input_shape"] = layer.config.pop("batch_input_shape")
            found.append(permute)
        found.append(layer.described(wanted))
        last, rank = layer.makes_last(wanted), layer.rank([rank])
    if last:
        found.append(_permute(_new_name(layer_name(found[-1]), False, names), rank or 4, False))
    return found


def _new_name(name: Any, to_end: bool, names: set[Any]) -> str:
    base = f"{name}_channels_{'last' if to_end else 'first'}"
    found = next(
        n for n in (base, *(f"{base}_{k}" for k in range(1, len(names) + 2))) if n not in names
    )
    names.add(found)
    return found


# ---------------------------------------------------------------------------------------------
# Graphs
# ---------------------------------------------------------------------------------------------


class _Graph:
    """The layers of a functional model, and what is known about each symbol, by its address."""

    def __init__(self, config: Description) -> None:
        self.config = config
        self.layers = {layer_name(data): _Layer(data) for data in config["layers"]}
        self.names = set(self.layers)
        self.last: dict[Use, bool] = {}
        self.ranks: dict[Use, int | None] = {}
        self.moved: dict[tuple[Address, bool], Address] = {}
        self.permutes: list[Description] = []
        self.nodes: dict[Any, list[Any]] = {name: [] for name in self.layers}
        self.wanted: dict[Any, bool] = {}

    def converted(self) -> Description:
        """Return the new `layers` and `output_layers`."""
        waiting = deque(
            (name, number)
            for name, layer in self.layers.items()
            for number in range(max(1, len(layer.data.get("inbound_nodes") or [])))
        )
        tried = 0
        while waiting and tried <= len(waiting):
            name, number = waiting.popleft()
            if self._use(self.layers[name], number):
                tried = 0
            else:
                waiting.append((name, number))
                tried += 1
        if waiting:
            raise ValueError("A model's config has layers that wait for each other.")
        found = [
            {**layer.described(self.wanted.get(name, False)), "inbound_nodes": self.nodes[name]}
            for name, layer in self.layers.items()
        ]
        ends = self._ends(self.config["output_layers"])
        return {"layers": [*found, *self.permutes], "output_layers": ends}

    def _use(self, layer: _Layer, number: int) -> bool:
        """Add one use of the layer; return whether its inputs were known."""
        use = layer.name, number
        nodes = layer.data.get("inbound_nodes") or []
        if not nodes:
            self.last[use], self.ranks[use] = False, layer.rank([])
            return True
        given = _addresses(nodes[number])
        if len(self.nodes[layer.name]) != number or not all(a[:2] in self.last for a in given):
            return False
        last, ranks = [self.last[a[:2]] for a in given], [self.ranks[a[:2]] for a in given]
        wanted = layer.wants_last(last, ranks)
        if self.wanted.setdefault(layer.name, wanted) != wanted:
            wanted = self.wanted[layer.name]  # as in its first use
        replaced = {a: self._as_wanted(layer, a, wanted) for a in given}
        self.nodes[layer.name].append(_with_addresses(nodes[number], replaced))
        self.last[use], self.ranks[use] = layer.makes_last(wanted), layer.rank(ranks)
        return True

    def _as_wanted(self, layer: _Layer, address: Address, wanted: bool) -> Address:
        """Return the address of the symbol with its channels where they are wanted."""
        if self.last[address[:2]] == wanted:
            return address
        if (address, wanted) not in self.moved:
            name = _new_name(address[0], wanted, self.names)
            permute = _permute(name, layer.known_rank(self.ranks[address[:2]]), wanted)
            symbol = {"class_name": "__keras_tensor__", "config": {"keras_history": list(address)}}
            self.permutes.append({**permute, "inbound_nodes": [{"args": [symbol], "kwargs": {}}]})
            self.moved[address, wanted] = (name, 0, 0)
        return self.moved[address, wanted]

    def _ends(self, ends: Any) -> Any:
        if isinstance(ends, dict):
            return {key: self._ends(end) for key, end in ends.items()}
        if isinstance(ends, list) and len(ends) == 3 and isinstance(ends[0], str):
            name, use, index = ends
            if not self.last.get((name, use)):
                return ends
            return list(self._as_wanted(self.layers[name], (name, use, index), False))
        return [self._ends(end) for end in ends] if isinstance(ends, list) else ends


def _addresses(node: Any) -> list[Address]:
    """Return the addresses of the symbols that a use takes, in order."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        name, use, index = node["config"]["keras_history"]
        return [(name, use, index)]
    inside = node.values() if isinstance(node, dict) else node
    return (
        [a for part in inside for a in _addresses(part)] if isinstance(node, (dict, list)) else []
    )


def _with_addresses(node: Any, replaced: dict[Address, Address]) -> Any:
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        name, use, index = node["config"]["keras_history"]
        address = (name, use, index)
        if replaced[address] == address:
            return node
        return {**node, "config": {"keras_history": list(replaced[address])}}
    if isinstance(node, dict):
        return {key: _with_addresses(value, replaced) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_addresses(value, replaced) for value in node]
    return node
