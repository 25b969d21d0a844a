"""Small models with everything that can go wrong between layers.

They have branches that meet again, a layer or tensor that is used twice, several inputs and
outputs, and models in models.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minicnn import Input, Model, Sequential
from minicnn.layers import (
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
)

Array = np.ndarray


def random(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---------------------------------------------------------------------------------------------
# Graphs that several tests share
# ---------------------------------------------------------------------------------------------


def chain() -> Model:
    return Sequential(
        [
            Input((6, 6, 2)),
            Conv2D(3, 3, padding="same", activation="tanh"),
            AveragePooling2D(2),
            Flatten(),
            Dense(4, activation="softmax"),
        ]
    )


def residual() -> Model:
    inputs = Input((5, 5, 2))
    x = Conv2D(3, 1, name="widen")(inputs)
    y = Activation("tanh")(BatchNormalization()(x))
    y = Conv2D(3, 3, padding="same", name="inner")(y)
    return Model(inputs, GlobalAveragePooling2D()(Add()([x, y])))


def branches() -> Model:
    """Three branches of different lengths leave one input; the order in which they meet matters."""
    inputs = Input((6, 6, 2))
    short = Conv2D(2, 1, activation="sigmoid")(inputs)
    long = Conv2D(3, 3, padding="same", activation="tanh")(inputs)
    long = Conv2D(1, 3, padding="same")(long)
    joined = Concatenate()([long, short, inputs])
    return Model(inputs, Dense(3)(Flatten()(joined)))


def shared_layer() -> Model:
    """One Dense layer is used three times: twice in a row, and once beside that."""
    inputs = Input((4,))
    shared = Dense(4, activation="tanh", name="shared")
    return Model(inputs, Add()([shared(shared(inputs)), shared(Dense(4)(inputs))]))


def same_tensor_twice() -> Model:
    inputs = Input((4,))
    x = Dense(3, activation="tanh")(inputs)
    return Model(inputs, Concatenate()([x, Add()([x, x]), x]))


def several_ends() -> Model:
    """Two inputs, three outputs: one output feeds another, and one depends on a single input."""
    a, b = Input((3,), name="a"), Input((4,), name="b")
    left = Dense(2, activation="tanh", name="left")(a)
    both = Add(name="both")([left, Dense(2, name="right")(b)])
    return Model([a, b], [both, Dense(3, name="top")(both), Dense(1, name="alone")(b)])


def nested() -> Model:
    """A model with a branch lies inside a model, between two layers, and is used once."""
    inner_inputs = Input((4,))
    x = Dense(3, activation="tanh")(inner_inputs)
    inner = Model(inner_inputs, Concatenate()([x, inner_inputs]), name="inner")
    inputs = Input((2,))
    return Model(inputs, Dense(2)(inner(Dense(4)(inputs))))


def nested_twice() -> Model:
    """One chain serves two inputs, as in a siamese network."""
    tower = Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(2)], name="tower")
    a, b = Input((3,)), Input((3,))
    return Model([a, b], Concatenate()([tower(a), tower(b)]))


def nested_ends() -> Model:
    """A model of two inputs and two outputs lies inside a model, which uses one output twice."""
    a, b = Input((2,)), Input((3,))
    x = Add()([Dense(2)(a), Dense(2, activation="tanh")(b)])
    inner = Model([a, b], [x, Dense(1, activation="sigmoid")(x)], name="inner")
    inputs = Input((3,))
    p, q = inner([Dense(2)(inputs), inputs])
    return Model(inputs, Concatenate()([p, q, p]))


GRAPHS: list[Callable[[], Model]] = [
    chain,
    residual,
    branches,
    shared_layer,
    same_tensor_twice,
    several_ends,
    nested,
    nested_twice,
    nested_ends,
]
every_graph = pytest.mark.parametrize("make", GRAPHS, ids=[make.__name__ for make in GRAPHS])


def inputs_of(model: Model, batch: int = 3, seed: int = 1) -> list[Array]:
    return [
        random(batch, *(size or 1 for size in tensor.shape[1:]), seed=seed + i, dtype=tensor.dtype)
        for i, tensor in enumerate(model.inputs)
    ]


def one_or_list(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def flat(y: Any) -> Array:
    """Return all outputs in one vector."""
    return np.concatenate([part.ravel() for part in (y if isinstance(y, list) else [y])])
