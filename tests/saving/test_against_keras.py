"""Files go both ways: minicnn continues with Keras's files, and Keras with minicnn's."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_models import graphs
from sessions import clear_session

import minicnn
from minicnn import layers, models, utils

keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]

Array = np.ndarray
SHAPE = (8, 6, 3)


@pytest.fixture(autouse=True)
def _start_anew() -> None:
    for library in (minicnn, keras):
        clear_session(library)
        library.utils.set_random_seed(0)


def photos(count: int = 2, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def shaken(model: Any, seed: int = 5) -> Any:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.2, 1, w.shape).astype("f") for w in model.get_weights()])
    return model


def classifier(library: Any) -> Any:
    """Convolution, normalization, a nested base, a shortcut: the parts of the course's models."""
    k = library.layers
    inside = library.Input((4, 3, 4))
    base = library.Model(
        inside,
        k.ReLU()(k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(inside))),
        name="base",
    )
    inputs = library.Input(SHAPE)
    x = k.MaxPooling2D()(k.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    x = k.Add()([base(x), x])
    x = k.GlobalAveragePooling2D()(k.SeparableConv2D(6, 3)(x))
    return library.Model(inputs, k.Dense(3, activation="softmax")(x))


def predicted(model: Any, x: Array) -> Any:
    if isinstance(model, minicnn.Model):
        return model.predict(x, verbose=0)
    # The model is called, since `predict` would trace a graph of every model, which is slow; and
    # TensorFlow's oneDNN pass, which rewrites such graphs, has ended in a segmentation fault here.
    answer = model(x, training=False)
    return [v.numpy() for v in answer] if isinstance(answer, list) else answer.numpy()


def assert_same_predictions(a: Any, b: Any, x: Array) -> None:
    found, wanted = predicted(a, x), predicted(b, x)
    found, wanted = (v if isinstance(v, list) else [v] for v in (found, wanted))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


# -- training goes on ------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": {"learning_rate": 0.02},
    "SGD with momentum": {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
    "Adam": {"learning_rate": 0.003},
    "Adam with amsgrad": {"learning_rate": 0.003, "amsgrad": True},
    "RMSprop": {"learning_rate": 0.002},
    "RMSprop in full": {"learning_rate": 0.002, "momentum": 0.5, "centered": True},
}


def compiled(library: Any, model: Any, optimizer: str) -> Any:
    cls = getattr(library.optimizers, optimizer.split()[0])
    model.compile(
        cls(**OPTIMIZERS[optimizer]), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def losses(model: Any, steps: int, seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    if isinstance(model, keras.Model):
        model.run_eagerly = True  # tracing a graph takes longer than these steps
    found = []
    for step in range(steps):
        x, y = photos(8, seed=1000 * seed + step), rng.integers(0, 3, 8)
        found.append(model.train_on_batch(x, y, return_dict=True)["loss"])
    return [float(value) for value in found]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("start", ["keras", "minicnn"])
def test_the_next_losses_are_those_of_the_other_side(
    start: str, optimizer: str, tmp_path: Path
) -> None:
    first, load = (
        (keras, models.load_model) if start == "keras" else (minicnn, keras.saving.load_model)
    )
    model = compiled(first, shaken(classifier(first)), optimizer)
    losses(model, 10, seed=1)
    model.save(tmp_path / "m.keras")
    other = load(tmp_path / "m.keras")
    np.testing.assert_allclose(losses(other, 8, seed=2), losses(model, 8, seed=2), rtol=2e-3)


def test_the_optimizer_s_state_matters(tmp_path: Path) -> None:
    """Without the optimizer's state, the losses above would differ: that test can fail."""
    model = compiled(keras, shaken(classifier(keras)), "Adam")
    losses(model, 10, seed=1)
    model.save(tmp_path / "m.keras")
    fresh = models.load_model(tmp_path / "m.keras")
    compiled(minicnn, fresh, "Adam")
    expected = losses(model, 8, seed=2)
    assert np.abs(np.array(losses(fresh, 8, seed=2)) / expected - 1).max() > 0.01


def test_training_goes_on_from_an_old_file(tmp_path: Path) -> None:
    model = compiled(keras, shaken(classifier(keras)), "Adam")
    losses(model, 10, seed=1)
    model.save(tmp_path / "m.h5")
    loaded = models.load_model(tmp_path / "m.h5")
    np.testing.assert_allclose(losses(loaded, 8, seed=2), losses(model, 8, seed=2), rtol=2e-3)


def test_training_goes_on_from_a_live_model() -> None:
    model = compiled(keras, shaken(classifier(keras)), "Adam")
    losses(model, 10, seed=1)
    ours = models.from_keras(model)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in model.layers]
    assert_same_predictions(ours, model, photos())
    np.testing.assert_allclose(losses(ours, 8, seed=2), losses(model, 8, seed=2), rtol=2e-3)


def test_training_in_half_precision_goes_on_in_float32(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            keras.layers.Conv2D(3, 3, dtype="mixed_float16"),
            keras.layers.Flatten(dtype="mixed_float16"),
            keras.layers.Dense(2, dtype="mixed_float16"),
        ]
    )
    inner = keras.optimizers.Adam(0.01)
    model.compile(keras.optimizers.LossScaleOptimizer(inner, 2.0), "mse", run_eagerly=True)
    x = np.random.default_rng(0).standard_normal((4, 5, 5, 2)).astype("f")
    for _ in range(3):
        model.train_on_batch(x, x[:, 0, 0])
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    wanted = [variable.numpy() for variable in inner.variables]
    assert wanted[0] == 3
    answer = model(x).numpy()
    assert answer.dtype == np.float16
    for source in (model, tmp_path / "m.keras", tmp_path / "m.h5"):
        with pytest.warns(
            UserWarning, match=r"half precision \(mixed_float16\), minicnn in float32"
        ) as told:
            ours = models.from_keras(source) if source is model else models.load_model(source)
        assert len(told) == 1
        np.testing.assert_allclose(ours.predict(x, verbose=0), answer, rtol=0.01, atol=0.01)
        assert np.abs(ours.predict(x, verbose=0) - answer).max() > 0
        state = [array for _, array in ours.optimizer.state(ours.trainable_weights)]
        for a, b in zip(state, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
        ours.train_on_batch(x, x[:, 0, 0])


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_live_model_that_was_saved_is_still_compiled(optimizer: str, tmp_path: Path) -> None:
    """Keras itself drops the optimizer from the model's config when it writes an .h5 file."""
    model = compiled(keras, shaken(classifier(keras)), optimizer)
    losses(model, 3, seed=1)
    model.optimizer.learning_rate = 0.25
    model.save(tmp_path / "m.h5")
    for ours in (models.from_keras(model), models.load_model(tmp_path / "m.h5")):
        assert ours.compiled
        assert (ours.optimizer.iterations, ours.optimizer.learning_rate) == (3, 0.25)


def test_a_model_frozen_since_its_last_step_starts_with_a_new_optimizer(tmp_path: Path) -> None:
    model = compiled(keras, shaken(classifier(keras)), "Adam")
    losses(model, 3, seed=1)
    model.get_layer("base").trainable = False
    model.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match=r'The Keras model ".*does not fit.*starts anew'):
        live = models.from_keras(model)
    with pytest.warns(UserWarning, match=r"m\.keras.*does not fit.*starts anew"):
        loaded = models.load_model(tmp_path / "m.keras")
    for ours in (live, loaded):
        assert ours.compiled
        assert ours.optimizer.iterations == 0
        assert_same_predictions(ours, model, photos())


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("start", ["build", "call"])
def test_a_chain_takes_any_batch_whatever_it_saw_first(
    start: str, suffix: str, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.layers.Dense(2)])
    if start == "build":
        model.build((32, 3))
    else:
        model(np.zeros((1, 3), np.float32))
    model.save(tmp_path / f"m{suffix}")
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    for ours in (models.load_model(tmp_path / f"m{suffix}"), models.from_keras(model)):
        assert_same_predictions(ours, model, x)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_sum_of_symbols_is_read_as_add(suffix: str, tmp_path: Path) -> None:
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(3, 1)(inputs)
    model = shaken(keras.Model(inputs, x + inputs + x))
    model.save(tmp_path / f"m{suffix}")
    for ours in (models.load_model(tmp_path / f"m{suffix}"), models.from_keras(model)):
        assert_same_predictions(ours, model, photos())
    ours.save(tmp_path / "back.keras")
    assert_same_predictions(keras.saving.load_model(tmp_path / "back.keras"), ours, photos())


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_inputs_and_outputs_in_a_dict_go_both_ways(suffix: str, tmp_path: Path) -> None:
    def make(library: Any) -> Any:
        k = library.layers
        a, b = library.Input((3,), name="a"), library.Input((4,), name="b")
        x, y = k.Dense(2, name="first")(a), k.Dense(3, name="second")(b)
        return library.Model({"b": b, "a": a}, {"z": x, "y": k.Concatenate(name="last")([x, y])})

    theirs, ours = shaken(make(keras)), make(minicnn)
    ours.set_weights(theirs.get_weights())
    x = {"a": photos()[:, 0, 0], "b": np.ones((2, 4), "f")}
    expected = theirs.predict(x, verbose=0)
    theirs.save(tmp_path / f"theirs{suffix}")
    ours.save(tmp_path / f"ours{suffix}")
    for model in (
        ours,
        models.load_model(tmp_path / f"theirs{suffix}"),
        models.from_keras(theirs),
        models.clone_model(ours),
        keras.saving.load_model(tmp_path / f"ours{suffix}"),
    ):
        model.set_weights(theirs.get_weights())
        found = model.predict(x, verbose=0)
        assert found.keys() == expected.keys() == {"y", "z"}
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-5)


def test_from_keras_takes_models_only() -> None:
    with pytest.raises(TypeError, match=r"expects a Keras model\. Received str"):
        models.from_keras("model.keras")
    with pytest.raises(
        ValueError, match=r'Layer "lstm" is of class .LSTM.*It has Activation,.* Add,'
    ):
        models.from_keras(keras.Sequential([keras.Input((3, 2)), keras.layers.LSTM(4)]))


def test_a_file_of_weights_keeps_the_state_of_an_optimizer_in_use(tmp_path: Path) -> None:
    model = compiled(keras, shaken(classifier(keras)), "Adam")
    losses(model, 10, seed=1)
    model.save_weights(tmp_path / "m.weights.h5")
    ours = compiled(minicnn, classifier(minicnn), "Adam")
    ours.optimizer.learning_rate = 0.5
    ours.load_weights(tmp_path / "m.weights.h5")
    assert (ours.optimizer.iterations, ours.optimizer.learning_rate) == (0, 0.5)
    ours.optimizer.learning_rate = 0.0
    losses(ours, 1, seed=1)
    ours.load_weights(tmp_path / "m.weights.h5")
    assert ours.optimizer.iterations == 10
    np.testing.assert_allclose(losses(ours, 8, seed=2), losses(model, 8, seed=2), rtol=2e-3)


def test_a_model_that_cannot_be_trained_here_predicts_all_the_same(tmp_path: Path) -> None:
    model = shaken(classifier(keras))
    model.compile(keras.optimizers.Adagrad(), keras.losses.CTC())
    model.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match=r"loaded but not compiled: minicnn .* the loss CTC\."):
        ours = models.load_model(tmp_path / "m.keras")
    assert_same_predictions(ours, model, photos())
    assert models.load_model(tmp_path / "m.keras", compile=False).compiled is False


# -- the old layout --------------------------------------------------------------------------------


def test_an_old_whole_model(tmp_path: Path) -> None:
    model = shaken(classifier(keras))
    model.get_layer("base").trainable = False  # this changes the order of the nested weights
    model.save(tmp_path / "m.h5")
    assert_same_predictions(models.load_model(tmp_path / "m.h5"), model, photos())


def test_old_weights_by_order_and_by_name(tmp_path: Path) -> None:
    model = shaken(classifier(keras))
    model.save(tmp_path / "whole.h5")
    with h5py.File(tmp_path / "whole.h5") as file, h5py.File(tmp_path / "w.h5", "w") as alone:
        for key, value in file["model_weights"].attrs.items():
            alone.attrs[key] = value
        for name in file["model_weights"]:
            file.copy(file["model_weights"][name], alone, name)
    ours = classifier(minicnn)
    ours.load_weights(tmp_path / "w.h5")
    assert_same_predictions(ours, model, photos())
    ours.load_weights(tmp_path / "whole.h5")
    assert_same_predictions(ours, model, photos())
    # By name, another model that starts with the same layer takes its weights.
    inputs = minicnn.Input(SHAPE)
    x = layers.Conv2D(4, 3, name="conv2d_1")(inputs)
    other = minicnn.Model(inputs, layers.Dense(3, name="other")(layers.Flatten()(x)))
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"has 2 layers with weights.*by_name=True"):
        other.load_weights(tmp_path / "w.h5")
    other.load_weights(tmp_path / "w.h5", by_name=True)
    np.testing.assert_array_equal(
        other.get_weights()[0], model.get_layer("conv2d_1").get_weights()[0]
    )
    np.testing.assert_array_equal(other.get_weights()[2], before[2])


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5", "m.keras"])
def test_every_kind_of_file_by_name(name: str, tmp_path: Path) -> None:
    model = shaken(classifier(keras))
    (model.save_weights if name == "m.weights.h5" else model.save)(tmp_path / name)
    inputs = minicnn.Input((6,))
    head = minicnn.Model(inputs, layers.Dense(3, name="dense")(inputs))
    head.load_weights(tmp_path / name, by_name=True)
    for found, wanted in zip(head.get_weights(), model.get_layer("dense").get_weights()):
        np.testing.assert_array_equal(found, wanted)
    stranger = minicnn.Model(inputs, layers.Dense(3, name="stranger")(inputs))
    with pytest.raises(ValueError, match=r"has none of the layers of .*: stranger"):
        stranger.load_weights(tmp_path / name, by_name=True)
    wider = minicnn.Model(inputs, layers.Dense(4, name="dense")(inputs))
    with pytest.raises(ValueError, match=r'"dense"\'s kernel has shape \(6, 4\).*has \(6, 3\)'):
        wider.load_weights(tmp_path / name, by_name=True)
    with pytest.warns(UserWarning, match="Layers that keep their weights: dense"):
        wider.load_weights(tmp_path / name, by_name=True, skip_mismatch=True)


KERAS_2 = {
    "class_name": "Functional",
    "config": {
        "name": "model",
        "trainable": True,
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {
                    "batch_input_shape": [None, 4, 4, 3],
                    "dtype": "float32",
                    "sparse": False,
                    "ragged": False,
                    "name": "input_2",
                },
                "name": "input_2",
                "inbound_nodes": [],
            },
            {
                "class_name": "Sequential",
                "config": {
                    "name": "base",
                    "layers": [
                        {
                            "class_name": "InputLayer",
                            "config": {"batch_input_shape": [None, 4, 4, 3], "name": "input_1"},
                        },
                        {
                            "class_name": "Conv2D",
                            "config": {
                                "name": "conv",
                                "trainable": False,
                                "batch_input_shape": [None, 4, 4, 3],
                                "dtype": "float32",
                                "filters": 2,
                                "kernel_size": [3, 3],
                                "strides": [1, 1],
                                "padding": "valid",
                                "data_format": "channels_last",
                                "dilation_rate": [1, 1],
                                "groups": 1,
                                "activation": "relu",
                                "use_bias": True,
                                "kernel_initializer": {
                                    "class_name": "GlorotUniform",
                                    "config": {"seed": None, "dtype": "float32"},
                                },
                                "bias_initializer": {"class_name": "Zeros", "config": {}},
                                "kernel_regularizer": None,
                                "bias_constraint": None,
                            },
                        },
                    ],
                },
                "name": "base",
                "inbound_nodes": [[["input_2", 0, 0, {"training": False}]]],
            },
            {
                "class_name": "Add",
                "config": {"name": "add", "trainable": True, "dtype": "float32"},
                "name": "add",
                "inbound_nodes": [[["base", 1, 0, {}], ["base", 1, 0, {}]]],
            },
            {
                "class_name": "GlobalAveragePooling2D",
                "config": {"name": "pool", "data_format": "channels_last"},
                "name": "pool",
                "inbound_nodes": [[["add", 0, 0, {}]]],
            },
        ],
        "input_layers": [["input_2", 0, 0]],
        "output_layers": [["pool", 0, 0]],
    },
    "keras_version": "2.13.1",
    "backend": "tensorflow",
}
TRAINING_2 = {
    "loss": {
        "class_name": "CategoricalCrossentropy",
        "config": {"reduction": "auto", "name": "x", "from_logits": True, "label_smoothing": 0},
    },
    "metrics": [
        [
            {
                "class_name": "MeanMetricWrapper",
                "config": {"name": "accuracy", "dtype": "float32", "fn": "categorical_accuracy"},
            }
        ]
    ],
    "weighted_metrics": None,
    "loss_weights": None,
    "optimizer_config": {
        "class_name": "Adam",
        "config": {
            "name": "Adam",
            "weight_decay": None,
            "clipnorm": None,
            "use_ema": False,
            "ema_momentum": 0.99,
            "ema_overwrite_frequency": None,
            "jit_compile": True,
            "is_legacy_optimizer": False,
            "learning_rate": 0.005,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": 1e-07,
            "amsgrad": False,
        },
    },
}


def keras_2_file(path: Path) -> tuple[Array, Array]:
    """Write a file as Keras 2.13 does: uses of layers are counted as then, names end in ":0"."""
    rng = np.random.default_rng(3)
    w, b = rng.standard_normal((3, 3, 3, 2)).astype("f"), rng.standard_normal(2).astype("f")
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.13.1"
        file.attrs["model_config"] = json.dumps(KERAS_2)
        file.attrs["training_config"] = json.dumps(TRAINING_2)
        group = file.create_group("model_weights")
        group.attrs["keras_version"] = "2.13.1"
        group.attrs["layer_names"] = [b"input_2", b"base", b"add", b"pool"]
        for name in ("input_2", "add", "pool"):
            group.create_group(name).attrs["weight_names"] = np.array([], float)
        base = group.create_group("base")
        base.attrs["weight_names"] = [b"conv/kernel:0", b"conv/bias:0"]
        base["conv/kernel:0"], base["conv/bias:0"] = w, b
        state = file.create_group("optimizer_weights")
        state.attrs["weight_names"] = [b"iteration:0", b"Adam/m/conv/kernel:0"]
        state["iteration:0"], state["Adam/m/conv/kernel:0"] = np.int64(7), w
    return w, b


def test_a_file_of_keras_2(tmp_path: Path) -> None:
    w, b = keras_2_file(tmp_path / "old.h5")
    with pytest.warns(UserWarning, match=r"does not fit, so the optimizer starts anew: 2 arrays"):
        model = models.load_model(tmp_path / "old.h5")
    x = photos(2)[:, :4, :4]
    z = layers.Conv2D(2, 3, activation="relu")
    z.build(x.shape)
    z.set_weights([w, b])
    np.testing.assert_allclose(model.predict(x, verbose=0), 2 * z(x).mean((1, 2)), rtol=1e-5)
    assert model.get_layer("base").layers[0].trainable is False
    assert type(model.loss).__name__ == "CategoricalCrossentropy"
    assert model.loss.from_logits is True
    assert (type(model.optimizer).__name__, model.optimizer.learning_rate) == ("Adam", 0.005)
    assert model.metrics_names == ["loss", "accuracy"]


def test_a_keras_file_of_keras_2(tmp_path: Path) -> None:
    """Keras 2.13's `.keras` has other words for nodes in config.json, and another layer folder."""
    w, b = keras_2_file(tmp_path / "old.h5")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        group = file.create_group("_layer_checkpoint_dependencies/sequential")
        group["_layer_checkpoint_dependencies/conv2d/vars/0"] = w
        group["_layer_checkpoint_dependencies/conv2d/vars/1"] = b
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"module": "keras", **KERAS_2}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1"}))
        archive.writestr("model.weights.h5", weights.getvalue())
    with pytest.warns(UserWarning, match="starts anew"):
        expected = models.load_model(tmp_path / "old.h5")
    found = models.load_model(tmp_path / "old.keras")
    x = photos(2)[:, :4, :4]
    np.testing.assert_array_equal(found.predict(x, verbose=0), expected.predict(x, verbose=0))
    for layer in ("base", "pool"):
        assert found.get_layer(layer).name == layer


# -- random models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".h5"])
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(make=graphs(), seed=st.integers(0, 2**16))
def test_random_models_go_there_and_back(make: Any, seed: int, suffix: str, tmp_path: Path) -> None:
    for library in (minicnn, keras):
        clear_session(library)
    x = np.random.default_rng(seed).standard_normal((2, 6, 5, 2)).astype(np.float32)
    theirs = shaken(make(keras), seed)
    there, back = tmp_path / f"there{suffix}", tmp_path / f"back{suffix}"
    if suffix == ".weights.h5":
        theirs.save_weights(there)
        ours = make(minicnn)
        ours.load_weights(there)
        ours.save_weights(back)
        again = make(keras)
        again.load_weights(back)
    else:
        theirs.save(there)
        ours = models.load_model(there)
        ours.save(tmp_path / "back.keras")
        again = keras.saving.load_model(tmp_path / "back.keras")
    # The arrays must be equal: a round trip changes no bit.
    for found, wanted in zip(again.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert_same_predictions(ours, theirs, x)
    assert_same_predictions(again, theirs, x)
    assert [v.shape for v in ours.trainable_weights] == [
        tuple(v.shape) for v in theirs.trainable_weights
    ]
    utils.clear_session()


def test_arithmetic_on_symbols_goes_to_keras_and_back(tmp_path: Path) -> None:
    def network(library: Any) -> Any:
        a = library.Input((3,))
        b = library.layers.Dense(3)(a)
        return library.Model(a, library.layers.concatenate([a + b, b * 2.0 - 1.0, b - a]))

    x = np.random.default_rng(0).random((2, 3), np.float32)
    ours = network(minicnn)
    ours.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(theirs.predict(x, verbose=0), ours(x), rtol=1e-5, atol=1e-6)
    a = keras.Input((3,))  # the one of Keras's own operators that is read
    theirs = keras.Model(a, a + keras.layers.Dense(3)(a))
    theirs.save(tmp_path / "theirs.keras")
    ours = minicnn.models.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(theirs.predict(x, verbose=0), ours(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_a_layer_shared_by_a_model_and_its_inner_model_opens_as_two(
    first: bool, tmp_path: Path
) -> None:
    """Keras writes the layer once, where it first meets it, and then cannot open its own file."""

    def network(library: Any) -> Any:
        shared = library.layers.Dense(4, name="shared")
        a, b = library.Input((4,)), library.Input((4,))
        inner = library.Model(a, library.layers.Dense(4, name="own")(shared(a)))
        return library.Model(b, inner(shared(b)) if first else shared(inner(b)))

    x = np.random.default_rng(0).random((2, 4), np.float32)
    for library in (keras, minicnn):
        model = network(library)
        model.save(tmp_path / "m.keras")
        with pytest.warns(UserWarning, match="of Dense .shared. once, because several models"):
            again = minicnn.models.load_model(tmp_path / "m.keras")
        assert (len(model.weights), len(again.weights)) == (4, 6)
        expected = np.asarray(model.predict(x, verbose=0))
        np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
