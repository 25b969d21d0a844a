"""Writes and reads Keras's configuration, which describes a network.

    {"class_name": "Functional", "config": {"layers": [{…, "inbound_nodes": […]}, …], …}}

A symbol's address is `[layer name, number of its use in this graph, number of the output]`.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from minicnn._support import objects
from minicnn._support.settings import plain_throughout
from minicnn.graph import Graph, Network
from minicnn.graph.layer import Ends, is_users
from minicnn.layers import LAYERS, InputLayer, KerasTensor, Layer, Node
from minicnn.layers.applications import APPLICATIONS
from minicnn.layers.arithmetic import OPERATIONS, Operation
from minicnn.layers.functions import Function, keras_dtype
from minicnn.layers.lambdas import Lambda
from minicnn.layers.stand_ins import STAND_INS
from minicnn.saving import functions
from minicnn.saving.limits import check_nesting

_networks: dict[str, type[Network]] = {}

Kind = TypeVar("Kind", bound=type[Network])


def network(*names: str) -> Callable[[Kind], Kind]:
    """Register a class of networks under the names that files use for it."""

    def register(kind: Kind) -> Kind:
        _networks.update(dict.fromkeys(names, kind))
        return kind

    return register


# -- writing ---------------------------------------------------------------------------------------


def serialize_layer(layer: Layer) -> dict[str, Any]:
    """Return a layer as Keras's files describe it."""
    if _is_own(layer):
        return _serialize_own(layer)
    name = getattr(layer, "keras_class_name", type(layer).__name__)
    config = layer.keras_config() if isinstance(layer, Operation) else layer.get_config()
    data: dict[str, Any] = {
        "module": layer.keras_module,
        "class_name": name,
        "config": plain_throughout(config),
        # Keras names a class twice if its module is not public.
        "registered_name": name if layer.keras_module.startswith("keras.src.") else None,
    }
    if not isinstance(layer, Operation):
        data |= _build_config(layer)
    return data


def _build_config(layer: Layer) -> dict[str, Any]:
    """Return the input shape for which the layer was built; an empty dict if there is none."""
    if not layer.nodes or not layer.nodes[-1].inputs:
        return {}
    node = layer.nodes[-1]
    shapes = [list(tensor.shape) for tensor in node.inputs]
    return {"build_config": {"input_shape": shapes[0] if node.single_input else shapes}}


def _is_own(layer: Layer) -> bool:
    """Return whether the layer's class is the user's own, which files name."""
    if isinstance(layer, (Operation, Lambda)) or not is_users(layer):
        return False
    return layer.defines_call or not isinstance(layer, Network)


def _serialize_own(layer: Layer) -> dict[str, Any]:
    """Return a layer or model of the user's own class, as Keras's files describe it.

    Raises `ValueError` if its `get_config` returns something that JSON cannot hold.
    """
    kind = type(layer)
    config = layer.get_config()
    try:
        config = json.loads(json.dumps(plain_throughout(config)))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{layer.label} expects get_config to return what JSON can hold; define it, and "
            f"from_config. Received {error}."
        ) from error
    built: Any = getattr(layer, "build_config", lambda: _build_config(layer))()
    return {
        "module": kind.__module__,
        "class_name": kind.__name__,
        "config": config,
        "registered_name": objects.get_registered_name(kind),
        **built,
    }


def describe_graph(graph: Graph, ends: Ends) -> dict[str, Any]:
    """Return the graph as Keras writes it: each layer with its uses (nodes) in the graph."""
    own, numbers = set(graph.nodes), graph.use_numbers()
    described = []
    for layer in graph.layers:
        nodes = [node for node in layer.nodes if node in own and node.inputs]
        uses = [_describe_node(node, numbers) for node in nodes]
        described.append(serialize_layer(layer) | {"name": layer.name, "inbound_nodes": uses})
    return {
        "layers": described,
        "input_layers": _describe_ends(graph.inputs, ends.listed_inputs, ends.input_keys, numbers),
        "output_layers": _describe_ends(
            graph.outputs, ends.listed_outputs, ends.output_keys, numbers
        ),
    }


def _address(symbol: KerasTensor, numbers: dict[Node, int]) -> list[Any]:
    return [symbol.node.layer.name, numbers[symbol.node], symbol.index]


def _describe_ends(
    symbols: Sequence[KerasTensor], as_list: bool, keys: tuple[str, ...], numbers: dict[Node, int]
) -> Any:
    # Only in these lists, Keras counts a nested functional model's own graph as its first use.
    ends = []
    for symbol in symbols:
        name, use, index = _address(symbol, numbers)
        ends.append([name, use + _is_functional(symbol.node.layer), index])
    if keys:
        return dict(zip(keys, ends, strict=True))
    return ends if as_list else ends[0]


def _describe_node(node: Node, numbers: dict[Node, int]) -> dict[str, Any]:
    symbols = [
        {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": list(symbol.shape),
                "dtype": keras_dtype(symbol),
                "keras_history": _address(symbol, numbers),
            },
        }
        for symbol in node.inputs
    ]
    kwargs = {} if node.training is None else {"training": node.training}
    if isinstance(node.layer, Operation):
        return {"args": node.layer.call_arguments(symbols), "kwargs": kwargs}
    return {"args": [symbols[0] if node.single_input else symbols], "kwargs": kwargs}


def _is_functional(layer: Layer | None) -> bool:
    return type(layer) is _networks["Functional"]


# -- reading ---------------------------------------------------------------------------------------


def layer_from_config(data: dict[str, Any]) -> Any:
    """Return the layer or model that a file describes; run no code that the file names."""
    classes: dict[str, type[Layer]] = {**LAYERS, **APPLICATIONS, **OPERATIONS}
    classes |= {**STAND_INS, **_networks, "Function": Function}
    name = data.get("class_name")
    config = data.get("config")
    own = _own_class(data)
    if own is not None and isinstance(config, dict):
        return own.from_config(config)
    called = f' "{config.get("name")}"' if isinstance(config, dict) else ""
    if name == "Lambda":
        return Lambda.from_config(config if isinstance(config, dict) else {})
    if name not in classes:
        known = ", ".join(c for c in classes if c in LAYERS or c in _networks)
        raise ValueError(
            f"Layer{called} is of class {name!r}, which minicnn does not have. If it is a class of "
            f"your own, pass custom_objects={{{name!r}: …}}. It has {known}."
        )
    if not isinstance(config, dict):
        raise ValueError(f"A {name} is described without a config. Received {config!r}.")
    return classes[name].from_config(config)


def _own_class(data: dict[str, Any]) -> Any:
    """Return the class of the user's own that a file names, if it was registered or passed.

    Raises `ValueError` if it is not a class of layers.
    """
    for name in (data.get("registered_name"), data.get("class_name")):
        found = objects.get_registered_object(name) if isinstance(name, str) else None
        if found is None:
            continue
        if not isinstance(found, type) or not issubclass(found, Layer):
            raise ValueError(f"custom_objects has no layer class under {name!r}, but {found!r}.")
        return found
    return None


def ends_from_config(config: dict[str, Any]) -> tuple[Any, Any]:
    """Return the inputs and outputs of a graph of new layers, in lists or dicts as in the config.

    Raises `ValueError` if the config contradicts itself or needs what minicnn lacks.
    """
    check_nesting({"config": config})
    graph = _DescribedGraph(config["layers"])
    graph.connect()
    return graph.ends(config["input_layers"]), graph.ends(config["output_layers"])


class _DescribedGraph:
    """The new layers of a graph that a config describes, and the uses still to be made of them."""

    def __init__(self, described: Sequence[dict[str, Any]]) -> None:
        self.layers: dict[str, Layer] = {}
        self.uses: dict[str, deque[dict[str, Any]]] = {}
        for data in map(functions.as_layer, described):
            layer = layer_from_config(data)
            name = data.get("name", layer.name)
            if name in self.layers:
                raise ValueError(f'A model\'s config has several layers with the name "{name}".')
            self.layers[name], self.uses[name] = layer, deque(data.get("inbound_nodes", []))
        # Each layer's own Input node (a Sequential's, a nested model's) does not count as a use.
        self.before = {
            name: 0 if isinstance(layer, InputLayer) else len(layer.nodes)
            for name, layer in self.layers.items()
        }

    def connect(self) -> None:
        """Call each layer as often as it is used.

        Each use waits for the first symbol that it needs, and for the layer's use before it.
        """
        uses, ready = self.uses, list(reversed(self.uses))
        waiting: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        while ready:
            name = ready.pop()
            layer = self.layers[name]
            while uses[name]:
                arguments, single, training = _node_arguments(uses[name][0], layer)
                symbols = [self._symbol_at(address) for address in arguments]
                if None in symbols:
                    lacking = arguments[symbols.index(None)]
                    waiting[lacking[0], lacking[1]].append(name)
                    break
                uses[name].popleft()
                layer(symbols[0] if single else symbols, training=training)
                ready += waiting.pop((name, len(layer.nodes) - 1 - self.before[name]), [])
        if any(uses.values()):
            raise ValueError("A model's config has layers that wait for each other.")

    def _symbol_at(self, address: Any) -> KerasTensor | None:
        """Return the symbol at an address; None if its layer has not been called so often yet."""
        name, use, index = address
        if name not in self.layers:
            raise ValueError(f"A model's config names a layer {name!r} that it does not have.")
        nodes, before = self.layers[name].nodes, self.before[name]
        at = use + (before if use >= 0 else len(nodes))
        if at < before:
            raise ValueError(f"A model's config names use {use} of {name!r}, which it lacks.")
        return nodes[at].outputs[index] if at < len(nodes) else None

    def ends(self, described: Any) -> Any:
        """Return the symbols at the inputs' or outputs' addresses: one, or a list or dict."""
        if isinstance(described, dict):
            return {name: self._end_at(address) for name, address in described.items()}
        if len(described) == 3 and isinstance(described[0], str):
            return self._end_at(described)
        return [self._end_at(address) for address in described]

    def _end_at(self, address: Any) -> KerasTensor | None:
        name, use, index = address
        return self._symbol_at([name, use - _is_functional(self.layers.get(name)), index])


def _node_arguments(
    node: dict[str, Any], layer: Layer
) -> tuple[list[list[Any]], bool, bool | None]:
    """Return the addresses of a use's inputs, whether there is just one, and `training`."""
    args, kwargs = node.get("args", []), node.get("kwargs", {})
    if layer.takes_list and len(args) > 1:
        args = [args]  # Keras's `x + y` is an Add called with two arguments
    for key, value in kwargs.items():
        masks = value if isinstance(value, list) else [value]  # a list if there are several inputs
        given = key == "mask" and any(mask is not None for mask in masks)
        if given or key not in ("training", "mask"):
            raise ValueError(f"{layer.label} is called with {key}={value!r}: not supported.")
    if len(args) != 1:
        raise ValueError(f"{layer.label} is called with {len(args)} arguments: not supported.")
    single = not isinstance(args[0], list)
    symbols = [args[0]] if single else args[0]
    for tensor in symbols:
        if not isinstance(tensor, dict) or tensor.get("class_name") != "__keras_tensor__":
            raise ValueError(f"{layer.label} is called with {tensor!r}: not supported.")
    return [t["config"]["keras_history"] for t in symbols], single, kwargs.get("training")
