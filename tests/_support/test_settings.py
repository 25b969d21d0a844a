"""Settings may be NumPy's numbers, and a config makes the same object again."""

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import (
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    utils,
)
from minicnn._support.settings import plain, plain_throughout
from minicnn.preprocessing.image import ImageDataGenerator

# Arguments that constructors need because they have no default.
NEEDED = {
    "axes": 1,
    "activation": "relu",
    "dims": (2, 1),
    "factor": 0.5,
    "filters": 4,
    "height": 4,
    "height_factor": 0.5,
    "kernel_size": 3,
    "n": 2,
    "num_classes": 3,
    "output_size": 2,
    "pool_size": 2,
    "precision": 0.5,
    "rate": 0.5,
    "recall": 0.5,
    "scale": 0.5,
    "sensitivity": 0.5,
    "shape": (4, 4),
    "specificity": 0.5,
    "target_class_ids": (0, 1),
    "target_shape": (4, 4),
    "units": 4,
    "stddev": 0.5,
    "width": 4,
    "width_factor": 0.5,
}
# Where a class needs another value.
OF_ITS_OWN = {"RandomPosterization": {"factor": 4}}
# Settings whose default is None, each with a number that it may be.
OPTIONAL = {
    "clipnorm": 1.0,
    "clipvalue": 1.0,
    "global_clipnorm": 1.0,
    "max_value": 6.0,
    "noise_shape": (1, 1),
    "seed": 3,
    "strides": 2,
    "weight_decay": 0.1,
}
BASES = (
    *("Layer", "Loss", "Metric", "Optimizer", "Initializer", "Regularizer", "Constraint"),
    "MeanMetricWrapper",
)
# Settings that Keras computes with but leaves out of its own configs.
LEFT_OUT = {
    "CosineSimilarity": {"axis"},
    "Huber": {"delta"},
    "Identity": {"gain"},
    "RandomGrayscale": {"seed"},
}


def kinds() -> list[type]:
    """Return every class whose config Keras, too, writes into files."""
    rooms = (layers, losses, metrics, optimizers, initializers, regularizers, constraints)
    return sorted(
        {
            value
            for room in rooms
            for name, value in vars(room).items()
            if isinstance(value, type)
            and value.__module__.startswith(room.__name__)
            and hasattr(value, "from_config")
            and not name.startswith("_")
            and value.__name__ not in BASES
        },
        key=lambda kind: kind.__name__,
    )


def needed(kind: type) -> dict[str, Any]:
    values = NEEDED | OF_ITS_OWN.get(kind.__name__, {})
    return {
        name: values[name]
        for name, parameter in inspect.signature(kind).parameters.items()
        if name in values and (parameter.default is parameter.empty or name == "shape")
    }


def numbers(kind: type) -> dict[str, Any]:
    """Return the settings that are numbers or tuples of numbers, each with a value it may have."""
    found = dict(inspect.signature(kind).parameters)
    if issubclass(kind, optimizers.Optimizer):
        found |= inspect.signature(optimizers.Optimizer).parameters
    known = {**OPTIONAL, **NEEDED, **OF_ITS_OWN.get(kind.__name__, {})}
    values = {name: known.get(name, p.default) for name, p in found.items()}
    return {name: v for name, v in values.items() if isinstance(v, (bool, int, float, tuple))}


def as_numpy(value: Any, without_axes: bool = False) -> Any:
    """Return the same value as NumPy's type."""
    if isinstance(value, tuple):
        return tuple(as_numpy(item, without_axes) for item in value)
    return np.array(value) if without_axes else np.array(value)[()]


def test_the_table_has_every_kind() -> None:
    names = {kind.__name__ for kind in kinds()}
    assert {"Conv2D", "Adam", "BinaryAccuracy", "BinaryCrossentropy", "HeNormal"} <= names
    assert len(names) > 40


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_a_numpy_number_is_as_good_as_python_s(kind: type) -> None:
    for name, value in numbers(kind).items():
        for without_axes in (False, True):
            expected = kind(**needed(kind) | {name: value}).get_config()
            made = kind(**needed(kind) | {name: as_numpy(value, without_axes)})
            found = made.get_config()
            if "name" in found and name != "name":
                found["name"] = expected["name"]  # names are numbered
            assert found == expected, name
            json.dumps(found)
            for key, kept in found.items():
                assert type(kept) is type(expected[key]), (name, key)


def test_a_callback_keeps_the_caller_s_own_list() -> None:
    mine: list[Any] = [np.float32(1)]
    assert plain(mine) is mine
    assert plain((np.int64(1), (np.True_, mine))) == (1, (True, mine))
    assert plain_throughout({"a": [np.float32(0.5), (np.int64(1),)], "b": np.arange(2)}) == {
        "a": [0.5, (1,)],
        "b": [0, 1],
    }

    class Noting(callbacks.Callback):
        def __init__(self, into: list[Any]) -> None:
            self.into = into

    assert Noting(mine).into is mine


def test_a_model_of_numpy_numbers_trains_and_is_saved(tmp_path: Path) -> None:
    number, whole = np.float32, np.int64
    model = minicnn.Sequential(
        [
            layers.Input((whole(4), whole(4), 1)),
            layers.Rescaling(number(0.5), offset=np.array(1.0)),
            layers.ReLU(max_value=number(6)),
            layers.Reshape([whole(8), np.int32(2)]),
            layers.BatchNormalization(momentum=number(0.5), epsilon=np.array(0.25)),
            layers.Dropout(number(0.5), seed=whole(3)),
            layers.Flatten(),
            layers.Dense(
                whole(1),
                activation=np.str_("sigmoid"),
                name=np.str_("out"),
                kernel_initializer=initializers.Constant(np.array(0.5)),
                bias_initializer=initializers.RandomNormal(number(0), np.float64(1), whole(2)),
            ),
        ]
    )
    model.compile(
        optimizers.Adam(number(0.125), beta_1=np.float64(0.5), clipnorm=whole(1)),
        losses.BinaryCrossentropy(label_smoothing=number(0.25)),
        metrics=[metrics.BinaryAccuracy(threshold=number(0.25))],
    )
    model.fit(
        np.ones((4, 4, 4, 1), "float32"),
        np.ones(4),
        epochs=whole(1),
        batch_size=whole(2),
        verbose=0,
        validation_split=number(0.5),
        callbacks=[
            callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_freq=whole(1)),
            callbacks.EarlyStopping(patience=whole(1), min_delta=number(0.5)),
        ],
    )
    model.optimizer.beta_1 = number(0.75)  # a later change may be a NumPy number, too
    model.save(tmp_path / "model.keras")
    again = models.load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    assert again.optimizer.get_config() == model.optimizer.get_config()
    assert again.optimizer.beta_1 == 0.75
    assert again.loss.get_config() == model.loss.get_config()
    assert (tmp_path / "1.keras").exists()


def test_a_generator_takes_numpy_numbers() -> None:
    generator = ImageDataGenerator(
        shear_range=np.array(3.0), rotation_range=np.float32(3), brightness_range=(np.float16(1), 1)
    )
    assert type(generator.shear_range) is float


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (layers.BatchNormalization, {"momentum": "abc"}, "expects momentum in"),
    (layers.BatchNormalization, {"epsilon": None}, "and epsilon > 0"),
    (layers.Dropout, {"rate": np.array([0.5, 0.5])}, "expects rate in"),
    (layers.Dropout, {"rate": 0.5, "seed": -1}, "expects seed to be"),
    (layers.Flatten, {"input_shape": 3}, "expects input_shape to be a tuple"),
    (optimizers.Adam, {"beta_1": "abc"}, "expects beta_1 in"),
    (optimizers.RMSprop, {"rho": None}, "expects rho in"),
    (optimizers.SGD, {"learning_rate": 10**400}, "expects learning_rate to be a number"),
    (optimizers.SGD, {"name": 3}, "expects name to be"),
    (optimizers.SGD, {"name": "a\0b"}, r"without '\\0'"),
    (layers.Dense, {"units": 1, "name": "a\0b"}, """without "/", '\\\\0'"""),
    (layers.Dense, {"units": 1, "name": "a/b"}, 'without "/"'),
    (layers.Dense, {"units": 1, "name": ""}, "non-empty"),
    (layers.Dense, {"units": 1, "name": "\ud800"}, "lone surrogates"),
    (layers.Dense, {"units": 1, "name": "x" * 10_001}, "at most 10000 characters"),
    (losses.BinaryCrossentropy, {"label_smoothing": "abc"}, "expects label_smoothing in"),
    (losses.BinaryCrossentropy, {"name": ""}, "expects name to be"),
    (metrics.BinaryAccuracy, {"threshold": "abc"}, "expects threshold to be"),
    (metrics.BinaryAccuracy, {"threshold": 1.0}, "expects threshold to be"),
    (metrics.Mean, {"name": object()}, "expects name to be"),
    (initializers.Constant, {"value": "abc"}, "expects value to be finite"),
    (initializers.RandomNormal, {"stddev": float("nan")}, "expects stddev to be a finite number"),
    (initializers.RandomNormal, {"stddev": -1}, "expects stddev >= 0"),
    (initializers.RandomUniform, {"minval": np.complex64(1)}, "expects minval to be"),
    (initializers.VarianceScaling, {"scale": None}, "expects scale to be a finite number"),
    (initializers.HeNormal, {"seed": "abc"}, "expects seed to be an integer"),
]


@pytest.mark.parametrize(("kind", "options", "message"), REFUSED, ids=[m for _, _, m in REFUSED])
def test_the_constructor_refuses_what_is_not_a_number(
    kind: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}.* {message}"):
        kind(**options)


# -- configs agree with Keras's --------------------------------------------------------------------


def theirs(kind: type) -> Any:
    keras = pytest.importorskip("keras")
    room = kind.__module__.split(".")[1]  # a loss and a metric may have the same name
    return getattr(getattr(keras, room), kind.__name__)


AS_DATA = [kind for kind in kinds() if kind is not layers.Lambda]  # Keras writes its code


@pytest.mark.keras
@pytest.mark.parametrize("kind", AS_DATA, ids=lambda kind: kind.__name__)
def test_configs_are_keras_s_and_go_both_ways(kind: type) -> None:
    """Settings that both have they write alike, tuples as tuples, and each reads the other's."""
    more = {"seed": 3} if kind is layers.RandomCrop else {}  # else Keras draws one
    oracle = theirs(kind)(**needed(kind), **more)
    made = kind(**needed(kind), **more)
    ours, expected = made.get_config(), oracle.get_config()
    for key in ours.keys() & expected.keys() - {"name", "dtype"}:
        if isinstance(ours[key], float):
            assert ours[key] == pytest.approx(expected[key], rel=1e-6), key
        elif key.endswith("_initializer"):
            assert ours[key]["class_name"] == expected[key]["class_name"], key
        else:
            assert ours[key] == expected[key], key
            assert isinstance(expected[key], type(ours[key])), key
    # Keras's InputLayer leaves out trainable.
    assert set(ours) - {"trainable"} <= {*expected, *LEFT_OUT.get(kind.__name__, ())}
    for config in (ours, expected):
        again = kind.from_config(config)
        assert type(again) is kind
        for key in ours.keys() - {"learning_rate"}:
            wanted = (ours | {"name": config.get("name")})[key]
            # Keras keeps some numbers as float32.
            wanted = pytest.approx(wanted, rel=1e-6) if isinstance(wanted, float) else wanted
            assert again.get_config()[key] == wanted, key
    assert type(theirs(kind).from_config(ours)) is theirs(kind)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("room", "made"),
    [
        (losses, losses.CategoricalCrossentropy(label_smoothing=0.25, name="mine")),
        (optimizers, optimizers.RMSprop(0.5, momentum=0.5, name="mine")),
        (metrics, metrics.BinaryAccuracy(threshold=0.25, name="mine")),
        (metrics, metrics.Mean(name="mine")),
        (initializers, initializers.HeNormal(seed=3)),
        (layers, layers.Conv2D(2, (3, 1), strides=2, name="mine")),
    ],
    ids=lambda thing: getattr(thing, "__name__", type(thing).__name__),
)
def test_deserialize_undoes_serialize(room: Any, made: Any) -> None:
    keras = pytest.importorskip("keras")
    written = room.serialize(made)
    again = room.deserialize(json.loads(json.dumps(written)))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    their_room = getattr(keras, room.__name__.removeprefix("minicnn."))
    back = their_room.deserialize(dict(written))  # a copy, since Keras writes into it
    assert type(back).__name__ == type(made).__name__
    assert room.serialize(room.deserialize(their_room.serialize(back))) == written
    assert their_room.serialize(back).keys() >= written.keys()


def test_activations_are_serialized_by_name() -> None:
    assert activations.serialize(activations.relu6) == "relu6"
    assert activations.deserialize("relu6") is activations.relu6


def test_from_config_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match='BinaryAccuracy does not take the argument "treshold"'):
        metrics.BinaryAccuracy.from_config({"treshold": 0.5})
    with pytest.raises(ValueError, match="SGD does not support loss_scale_factor=2"):
        optimizers.SGD.from_config({"loss_scale_factor": 2})
    with pytest.raises(ValueError, match='which metric "accuracy" is'):
        metrics.get("accuracy")


DESCRIBES_NOTHING = [
    *({}, {"class_name": ["L2"]}, {"class_name": None}, {"class_name": "function", "config": []}),
    *(3.5, [1, 2], np.ones(3), object()),
]


@pytest.mark.parametrize("bad", DESCRIBES_NOTHING)
def test_what_describes_nothing_is_refused(bad: Any) -> None:
    gets = [
        *(initializers.get, regularizers.get, constraints.get, losses.get, optimizers.get),
        *(metrics.get, optimizers.schedules.deserialize),
    ]
    for get in gets:
        with pytest.raises(ValueError, match="Received"):
            get(bad)


@pytest.mark.parametrize(
    ("get", "name"),
    [
        (initializers.get, "HeNormal"),
        (regularizers.get, "L2"),
        (constraints.get, "MaxNorm"),
        (losses.get, "MeanSquaredError"),
        (optimizers.get, "Adam"),
        (optimizers.schedules.deserialize, "CosineDecay"),
    ],
)
def test_a_config_is_a_dict(get: Any, name: str) -> None:
    for config in (3, [1, 2], "l2", None):
        with pytest.raises(ValueError, match=f"{name} expects its config to be a dict. Received"):
            get({"class_name": name, "config": config})


def test_window_settings_are_tuples() -> None:
    utils.clear_session()
    conv = layers.Conv2D(2, 3, strides=[2, 1])
    assert (conv.kernel_size, conv.strides, conv.dilation_rate) == ((3, 3), (2, 1), (1, 1))
    assert layers.MaxPooling2D().get_config()["pool_size"] == (2, 2)
    assert layers.ZeroPadding2D([[1, 0], [2, 3]]).get_config()["padding"] == ((1, 0), (2, 3))
    assert layers.Reshape([2, 2]).get_config()["target_shape"] == (2, 2)
    assert layers.Dropout(0.5, noise_shape=[None, 1]).get_config()["noise_shape"] == (None, 1)
    model = minicnn.Sequential([layers.Input([4, 4, 1]), conv])
    assert model.input_shape == (None, 4, 4, 1)
    assert model.get_config()["build_input_shape"] == (None, 4, 4, 1)
