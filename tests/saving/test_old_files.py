"""minicnn reads Keras 2's files: layers, how models were compiled, what only training needs."""

import json
import re
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from layer_uses import NOT_IN_KERAS_2

import minicnn
from minicnn import layers, models
from minicnn.layers import LAYERS
from minicnn.layers.stand_ins import STAND_INS

Array = np.ndarray
FILES = Path(__file__).parents[1] / "files"
SHAPE = (8, 6, 3)


def photos(count: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def warned_of(path: Path) -> tuple[Any, list[str]]:
    """Load the model; return it and the warnings about it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = models.load_model(path)
    assert all(warning.filename == __file__ for warning in said)  # the caller's line, not ours
    return model, [str(warning.message) for warning in said]


# -- kept files that Keras 2.12, 2.13 and 2.14 wrote; they need no Keras ---------------------------


@pytest.mark.parametrize("version", ["2.12", "2.13", "2.14"])
def test_each_version_s_numbering_of_layers(version: str) -> None:
    """`tests/files/write_keras_2.py` saved a model during its training, and what came next."""

    def batch(seed: int) -> tuple[Array, Array]:
        rng = np.random.default_rng(seed)
        return rng.standard_normal((5, 6, 5, 2)).astype(np.float32), rng.integers(0, 2, 5)

    model, said = warned_of(FILES / f"keras-{version}.keras")
    assert said == []
    told = np.load(FILES / f"keras-{version}.npz")
    np.testing.assert_allclose(model.predict(batch(3)[0], verbose=0), told["predictions"], 1e-4)
    np.testing.assert_allclose(model.evaluate(*batch(4), verbose=0), told["evaluated"], 1e-4)
    found = [model.train_on_batch(*batch(seed))[0] for seed in range(5, 15)]
    np.testing.assert_allclose(found, told["losses"], 1e-3)


# -- hand-made variants ----------------------------------------------------------------------------


def chain() -> Any:
    return minicnn.Sequential(
        [minicnn.Input(SHAPE), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2, "softmax")]
    )


def old_weights(model: Any, path: Path, **attributes: str) -> None:
    """Write the weights as Keras 2 does, with these attributes."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{variable.path}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights, strict=True):
                group[name] = variable.value


def test_theano_s_kernels_are_flipped(tmp_path: Path) -> None:
    model, other = chain(), chain()
    old_weights(model, tmp_path / "w.h5", backend="theano", keras_version="2.1.6")
    other.load_weights(tmp_path / "w.h5")
    kernel, _, dense, _ = model.get_weights()
    np.testing.assert_array_equal(other.get_weights()[0], kernel[::-1, ::-1])
    np.testing.assert_array_equal(other.get_weights()[2], dense)
    nested = minicnn.Sequential([minicnn.Input(SHAPE), chain()])
    old = minicnn.Sequential([minicnn.Input(SHAPE), model])
    old_weights(old, tmp_path / "n.h5", backend="theano", keras_version="2.1.6")
    nested.load_weights(tmp_path / "n.h5")
    np.testing.assert_array_equal(nested.get_weights()[0], kernel[::-1, ::-1])
    old_weights(model, tmp_path / "tf.h5", backend="tensorflow", keras_version="2.1.6")
    other.load_weights(tmp_path / "tf.h5")
    np.testing.assert_array_equal(other.get_weights()[0], kernel)


def test_which_layers_have_theano_s_kernels_flipped(tmp_path: Path) -> None:
    """They are the layers that Keras 2 flips, along all axes but those of channels and filters."""

    def made() -> Any:
        kinds = [
            *(layers.Conv2DTranspose(2, 3), layers.SeparableConv2D(2, 3), layers.Reshape((-1, 2))),
            *(layers.Conv1D(2, 3), layers.DepthwiseConv1D(2)),
        ]
        return minicnn.Sequential([minicnn.Input(SHAPE), *kinds])

    model, other = made(), made()
    old_weights(model, tmp_path / "w.h5", backend="theano", keras_version="2.1.6")
    other.load_weights(tmp_path / "w.h5")
    for mine, read in zip(model.layers, other.layers, strict=True):
        for before, after in zip(mine.get_weights(), read.get_weights(), strict=True):
            flips = {"Conv2DTranspose": (0, 1), "Conv1D": (0,)}.get(type(mine).__name__, ())
            expected = np.flip(before, flips) if before.ndim > 1 else before
            np.testing.assert_array_equal(after, expected)


def test_weights_in_an_archive_may_lie_where_hdf5_may_begin(tmp_path: Path) -> None:
    model = minicnn.Sequential([minicnn.Input((2,)), layers.Dense(1)])
    model.save(tmp_path / "m.keras")
    start = (tmp_path / "m.keras").read_bytes().index(b"\x89HDF")
    # What stands before the weights grows by one byte for each letter.
    model.metadata = {"x": "a" * (2048 - start - len(json.dumps({"x": ""})) + len("{}"))}
    model.save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").read_bytes()[2048:2052] == b"\x89HDF"
    read = minicnn.models.load_model(tmp_path / "m.keras")
    read.load_weights(tmp_path / "m.keras")
    np.testing.assert_array_equal(read.get_weights()[0], model.get_weights()[0])


def test_an_hdf5_file_may_begin_with_a_user_block(tmp_path: Path) -> None:
    model, other = chain(), chain()
    old_weights(model, tmp_path / "w.h5", keras_version="2.1.6")
    with (
        h5py.File(tmp_path / "w.h5") as file,
        h5py.File(tmp_path / "u.h5", "w", userblock_size=1024) as copy,
    ):
        copy.attrs.update(file.attrs)
        for name in file:
            file.copy(file[name], copy, name)
    with (tmp_path / "u.h5").open("r+b") as raw:
        raw.write(b"PK\x03\x04, but that is the user's")
    other.load_weights(tmp_path / "u.h5")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


OLD_NAMES = {
    "from 2.11": ["iteration:0", *(f"Adam/{s}/{v}:0" for v in "abcd" for s in "mv")],
    "with mixed_float16": ["iteration:0", *(f"{s}/{v}:0" for v in "abcd" for s in "mv")],
    "before": ["Adam/iter:0", *(f"Adam/{v}/{s}:0" for s in "mv" for v in "abcd")],
    "before tf.keras": [
        "Adam/iterations:0",
        *(f"t/Adam/{s}_{i}:0" for s in "mv" for i in range(4)),
    ],
    "without names": ["Adam/iterations:0", *(f"t/Adam/Variable_{i}:0" for i in range(12))],
}


@pytest.mark.parametrize("age", OLD_NAMES)
def test_an_optimizer_s_state_is_found_by_its_old_names(age: str, tmp_path: Path) -> None:
    model = chain()
    model.compile("adam", "categorical_crossentropy")
    model.save(tmp_path / "m.keras")
    shapes = [variable.shape for variable in model.weights]
    interleaved = age in ("from 2.11", "with mixed_float16")
    old_weights(model, tmp_path / "o.h5", keras_version="2.2.4")
    config = json.loads(model.to_json())
    names = OLD_NAMES[age]
    with h5py.File(tmp_path / "o.h5", "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["training_config"] = json.dumps(
            {
                "optimizer_config": {"class_name": "Adam", "config": {"lr": 0.25, "epsilon": None}},
                "loss": "categorical_crossentropy",
                "metrics": ["acc"],
            }
        )
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = file.attrs["layer_names"]
        for name in list(file):
            if name != "model_weights":
                file.move(name, f"model_weights/{name}")
        state = file.create_group("optimizer_weights")
        state.attrs["weight_names"] = [name.encode() for name in names]
        state[names[0]] = np.int64(7)
        for number, name in enumerate(names[1:]):
            which = number // 2 if interleaved else number % 4
            sort = number % 2 if interleaved else number // 4
            state[name] = np.full(shapes[which] if sort < 2 else 1, 10 * sort + which, "f")
    found = models.load_model(tmp_path / "o.h5")
    assert (found.optimizer.iterations, found.optimizer.learning_rate) == (7, 0.25)
    assert found.metrics_names == ["loss", "acc"]
    for number, variable in enumerate(found.weights):
        held = found.optimizer.slots(variable)
        assert {float(value.mean()) for value in held.values()} == {number, 10 + number}
        assert held["momentum"].max() == number


# -- the common pair: a description beside a weights file ------------------------------------------


def test_a_description_and_a_file_of_weights(tmp_path: Path) -> None:
    model = chain()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.save_weights(tmp_path / "w.weights.h5")
    text = model.to_json(indent=1)
    assert text.startswith("{\n ")
    other = models.model_from_json(text)
    other.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(other.predict(photos(), verbose=0), model(photos()))
    assert (type(other.optimizer).__name__, other.metrics_names) == ("Adam", ["loss", "accuracy"])
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]


def test_a_description_with_settings_that_only_training_needs(tmp_path: Path) -> None:
    config = json.loads(chain().to_json())
    conv = config["config"]["layers"][1]["config"]
    conv["kernel_initializer"] = {"class_name": "STFT", "config": {}}
    conv["kernel_regularizer"] = {"class_name": "Cubes", "config": {"l3": 0.25}}
    with pytest.warns(UserWarning, match="description|text") as said:
        model = models.model_from_json(json.dumps(config))
    (message,) = [str(warning.message) for warning in said]
    assert "does not have kernel_regularizer=Cubes(l3=0.25) of conv2d" in message
    assert "initializers STFT of conv2d: until load_weights, those weights come" in message
    assert model.get_weights()[0].std() > 0.1
    again = json.loads(model.to_json())["config"]["layers"][1]["config"]
    assert again["kernel_initializer"] == conv["kernel_initializer"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged description of a model"),
        ('{"class_name": "Dense", "config": {"units": 2}}', "describes a Dense, not a model"),
        ('{"class_name": "LSTM", "config": {"name": "a"}}', r'Layer "a" is of class .LSTM'),
        ("[1]", "not a JSON object"),
    ],
)
def test_a_description_of_something_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.model_from_json(text)


def test_a_description_is_a_text() -> None:
    with pytest.raises(TypeError, match=r"expects the text that to_json returned\. Received dict"):
        models.model_from_json({})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a dict of names and classes\. Received int"):
        models.model_from_json("{}", custom_objects=1)  # type: ignore[arg-type]


# -- files that Keras 2 writes in the test ---------------------------------------------------------


@pytest.fixture(scope="module")
def keras_2() -> Any:
    return pytest.importorskip("tf_keras")


def every_layer(keras: Any) -> Any:
    k = keras.layers
    inputs = keras.Input(SHAPE)
    x = k.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(k.Identity()(inputs))
    x = k.ZeroPadding2D(1)(k.Rescaling(2.0, offset=-1.0)(k.Normalization()(x)))
    x = k.AveragePooling2D((1, 2))(k.UpSampling2D((1, 2), interpolation="bilinear")(x))
    x = k.Cropping2D(((0, 1), (1, 0)))(k.ZeroPadding2D(((0, 1), (1, 0)))(x))
    size = x.shape[1:3]
    x = k.CenterCrop(*size)(k.Resizing(12, 13, interpolation="nearest")(x))
    x = k.RandomFlip("vertical", seed=1)(k.RandomRotation((-0.1, 0.2), "wrap")(x))
    x = k.RandomTranslation(0.1, (0.1, 0.2))(k.RandomZoom(0.1, fill_value=0.5)(x))
    x = k.RandomContrast((0.1, 0.2))(k.RandomBrightness(0.1, (-1, 1))(x))
    x = k.RandomCrop(*size)(x)
    x = k.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2))(x)
    x = k.ActivityRegularization(0.1, 0.2)(x)
    x = k.ReLU(max_value=6.0)(k.BatchNormalization(fused=True)(x))
    x = k.UnitNormalization()(k.GroupNormalization(2)(k.LayerNormalization()(x)))
    y = k.SeparableConv2D(4, 3, padding="same")(k.DepthwiseConv2D(3, padding="same")(x))
    base = keras.Sequential(
        [keras.Input((8, 6, 4)), k.Conv2D(4, 1), k.BatchNormalization(), k.Activation("relu")],
        name="base",
    )
    shared = k.Conv2D(4, 3, padding="same")
    x = k.Concatenate()([shared(k.Add()([base(x), shared(y)])), y])
    x = k.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=1)(k.MaxPooling2D()(x))
    x = k.AveragePooling2D(2, strides=2)(x)
    x = k.PReLU(shared_axes=[1, 2])(k.ThresholdedReLU(theta=0.3)(k.LeakyReLU(alpha=0.1)(x)))
    x = k.Conv2D(8, 1, activation=k.LeakyReLU(alpha=0.1))(k.ELU(alpha=0.5)(x))
    x = k.Activation("swish")(k.Dense(8, activation="gelu")(x))
    x = k.Maximum()([k.Average()([x, x]), k.Minimum()([x, k.Subtract()([x, x])])])
    x = k.Multiply()([x, k.Activation("sigmoid")(x)])
    x = k.GaussianDropout(0.1)(k.GaussianNoise(0.1)(k.SpatialDropout2D(0.2)(x)))
    x = k.AlphaDropout(0.1)(x)
    flat = k.SpatialDropout1D(0.2)(k.Permute((2, 1))(k.Reshape((2, -1))(x)))
    flat = k.Flatten()(flat)
    flat = k.Flatten()(k.RepeatVector(2)(flat))
    line = k.Conv1D(6, 3, padding="causal", strides=2)(
        k.ZeroPadding1D((1, 2))(k.Reshape((-1, 4))(x))
    )
    line = k.DepthwiseConv1D(3, padding="same", depth_multiplier=2)(k.UpSampling1D(2)(line))
    line = k.Conv1DTranspose(5, 3, strides=2, output_padding=1)(k.SeparableConv1D(6, 2)(line))
    line = k.MaxPooling1D(2)(k.AveragePooling1D(2, strides=1)(k.Cropping1D((1, 0))(line)))
    ends = [k.GlobalAveragePooling1D()(line), k.GlobalMaxPooling1D(keepdims=False)(line)]
    ends += [k.Dot(1, normalize=True)(ends), k.Flatten()(k.Dot((1, 1))([line, line]))]
    x = k.Concatenate()([k.GlobalAveragePooling2D()(x), k.GlobalMaxPooling2D()(x), flat, *ends])
    model = keras.Model(inputs, k.Softmax()(k.Dense(3)(k.Dropout(0.3)(x))))
    rng = np.random.default_rng(5)
    model.set_weights([rng.uniform(0.2, 0.6, w.shape).astype("f") for w in model.get_weights()])
    return model


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_every_layer_of_keras_2(keras_2: Any, tmp_path: Path) -> None:
    model = every_layer(keras_2)
    kinds = {type(layer).__name__ for layer in [*model.layers, *model.get_layer("base").layers]}
    assert {"Sequential", "ThresholdedReLU", *LAYERS} - NOT_IN_KERAS_2 == kinds
    expected = model(photos()).numpy()
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "hdf5.keras", save_format="h5")
    found = {}
    for name in ("m.h5", "m.keras", "hdf5.keras"):
        found[name], said = warned_of(tmp_path / name)
        assert said == []
    model.save_weights(tmp_path / "w.h5")
    model.save_weights(tmp_path / "w.weights.h5")
    for name in ("w.h5", "w.weights.h5"):
        found[name] = models.model_from_json(model.to_json())
        found[name].load_weights(tmp_path / name)
    found["live"] = models.from_keras(model)
    for name, ours in found.items():
        np.testing.assert_allclose(
            ours.predict(photos(), verbose=0), expected, rtol=1e-4, atol=1e-6, err_msg=name
        )


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"learning_rate": 0.02},
    "SGD with momentum": {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True},
    "Adam": {"learning_rate": 0.01, "amsgrad": True},
    "RMSprop": {"learning_rate": 0.01, "momentum": 0.5, "centered": True},
    "AdamW": {"learning_rate": 0.01, "weight_decay": 0.1},
    "Adagrad": {"learning_rate": 0.01},
    "Ftrl": {"learning_rate": 0.01},
    "legacy.SGD": {"learning_rate": 0.02, "momentum": 0.9},
    "legacy.Adam": {"learning_rate": 0.01, "amsgrad": True},
    "legacy.RMSprop": {"learning_rate": 0.01, "momentum": 0.5},
}
LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "by name": ("categorical_crossentropy", {}),
    "categorical": ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
    "sparse": ("SparseCategoricalCrossentropy", {"from_logits": True}),
    "binary": ("BinaryCrossentropy", {"reduction": "sum_over_batch_size"}),
}


def compiled(keras: Any, optimizer: str, loss: str) -> Any:
    kind = keras.optimizers
    for part in optimizer.split()[0].split("."):
        kind = getattr(kind, part)
    name, options = LOSSES[loss]
    end = "linear" if options.get("from_logits") else "sigmoid" if loss == "binary" else "softmax"
    k = keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), k.Dense(5, activation="relu"), k.Dense(3, activation=end)]
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(-1, 1, w.shape).astype("f") for w in model.get_weights()])
    model.compile(
        kind(**OPTIMIZERS[optimizer]),
        name if not options else getattr(keras.losses, name)(**options),
        metrics=["accuracy"],
        run_eagerly=True,  # tracing a graph of each model takes longer
    )
    return model


def batch(loss: str, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 3, 8)
    x = rng.standard_normal((8, 4)).astype(np.float32)
    return x, numbers if loss == "sparse" else np.eye(3, dtype="f")[numbers]


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_how_keras_2_compiled_a_model(keras_2: Any, optimizer: str, tmp_path: Path) -> None:
    """It evaluates as in Keras; and training continues if the file holds the optimizer's state."""
    for loss in LOSSES if optimizer in list(OPTIMIZERS)[:4] else ["by name"]:
        theirs = compiled(keras_2, optimizer, loss)
        theirs.train_on_batch(*batch(loss, 0))
        for name in ("m.h5", "m.keras"):
            theirs.save(tmp_path / name)
        expected = theirs.test_on_batch(*batch(loss, 9))
        then = [theirs.train_on_batch(*batch(loss, seed))[0] for seed in range(1, 4)]
        for name in ("m.h5", "m.keras"):
            ours, said = warned_of(tmp_path / name)
            np.testing.assert_allclose(ours.evaluate(*batch(loss, 9), verbose=0), expected, 1e-4)
            if optimizer.startswith("legacy") and name == "m.keras":
                (message,) = said
                assert "keeps no state of its optimizer, which starts anew" in message
            else:
                assert said == []
                found = [ours.train_on_batch(*batch(loss, seed))[0] for seed in range(1, 4)]
                np.testing.assert_allclose(found, then, 1e-3, err_msg=f"{loss} {name}")


@pytest.mark.slow
@pytest.mark.keras
def test_an_optimizer_that_minicnn_lacks_is_written_back(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    theirs.compile(keras.optimizers.ScheduleFreeAdamW(0.01), "categorical_crossentropy")
    theirs.save(tmp_path / "m.keras")
    ours, (message,) = warned_of(tmp_path / "m.keras")
    assert "compiled without the optimizer ScheduleFreeAdamW (the model evaluates" in message
    with pytest.raises(ValueError, match=r"the optimizer ScheduleFreeAdamW .* call compile"):
        ours.fit(*batch("by name", 0), verbose=0)
    ours.save(tmp_path / "back.keras")
    again = keras.saving.load_model(tmp_path / "back.keras")
    assert type(again.optimizer).__name__ == "ScheduleFreeAdamW"
    assert float(again.optimizer.learning_rate) == pytest.approx(0.01)


def edited(path: Path, to: Path, **changes: Any) -> Path:
    """Copy an .h5 file and change these entries of its training_config; None removes one."""
    to.write_bytes(path.read_bytes())
    with h5py.File(to, "r+") as file:
        settings = json.loads(file.attrs["training_config"]) | changes
        settings = {key: value for key, value in settings.items() if value is not None}
        file.attrs["training_config"] = json.dumps(settings)
    return to


DENSE = "categorical_crossentropy"
FN = {"class_name": "LossFunctionWrapper", "config": {"fn": DENSE, "reduction": "auto"}}
CHANGES: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
    # changes to the file; the optimizer then (None: not compiled); the warning
    "no optimizer": ({"optimizer_config": None}, "RMSprop", None),
    "a loss in a list": ({"loss": [DENSE]}, "Adam", None),
    "a loss by output": ({"loss": {"dense_1": DENSE}, "loss_weights": [1.0]}, "Adam", None),
    "a loss by function": ({"loss": FN}, "Adam", None),
    "metrics by output": ({"metrics": {"dense_1": ["acc", DENSE]}}, "Adam", None),
    "a metric more": (
        {"metrics": [["accuracy", {"class_name": "Beauty", "config": {"name": "it"}}]]},
        "Adam",
        "compiled without the metric Beauty, which minicnn does not have",
    ),
    "a loss it lacks": ({"loss": "ctc"}, None, "not compiled: minicnn does not have the loss ctc."),
    "a loss with more": (
        {"loss": {"class_name": "CategoricalCrossentropy", "config": {"axis": 1}}},
        None,
        r"the loss CategoricalCrossentropy with axis=1\.",
    ),
    "a weighted loss": ({"loss_weights": [0.5]}, "Adam", None),
    "weights of other outputs": ({"loss_weights": [1, 2]}, None, "not compiled: compile expects"),
    "decay": (
        {"optimizer_config": {"class_name": "SGD", "config": {"lr": 0.5, "decay": 0.01}}},
        "SGD",
        r"decay=0\.01 of the learning rate, which stays at 0\.5",
    ),
    "a schedule": (
        {
            "optimizer_config": {
                "class_name": "Custom>Adam",
                "config": {"learning_rate": {"class_name": "ExponentialDecay", "config": {}}},
            }
        },
        "KeptOptimizer",
        r"the optimizer Adam with learning_rate=ExponentialDecay\(\) \(",
    ),
    "nonsense": (
        {"optimizer_config": {"class_name": "Adam", "config": {"beta_1": "x", "y": 1}}},
        "KeptOptimizer",
        "the optimizer Adam with beta_1='x', y=1 \\(",
    ),
}


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_variants_of_how_a_model_was_compiled(keras_2: Any, tmp_path: Path) -> None:
    compiled(keras_2, "Adam", "by name").save(tmp_path / "m.h5")
    for case, (changes, optimizer, message) in CHANGES.items():
        model, said = warned_of(edited(tmp_path / "m.h5", tmp_path / "c.h5", **changes))
        assert model.compiled == (optimizer is not None), case
        assert len(said) == (message is not None), case
        if message is not None:
            assert re.search(message, said[0]), (case, said)
            assert not re.search("Error|argument|__init__", said[0])
        if optimizer is not None:
            assert type(model.optimizer).__name__ == optimizer
            assert np.isfinite(model.evaluate(*batch("by name", 0), verbose=0)).all()
        else:
            assert not hasattr(model, "optimizer"), case


# -- what only training needs ----------------------------------------------------------------------


def keras_3(keras: Any) -> bool:
    return hasattr(keras.layers, "AugMix")


def trained_with_more(keras: Any) -> Any:
    """Return a model with what only training needs, and with layers that minicnn lacks."""
    k, settings = keras.layers, {"kernel_regularizer": keras.regularizers.L2(0.25)}
    more = [k.AugMix(name="mix"), k.RandomPerspective(name="tilt")] if keras_3(keras) else []
    return keras.Sequential(
        [
            k.RandomFlip(input_shape=SHAPE, name="flip"),
            *more,
            k.Conv2D(2, 3, name="one", kernel_initializer="orthogonal", **settings),
            k.SpatialDropout2D(0.5, name="spatial"),
            k.Conv2D(2, 3, name="two", kernel_constraint=keras.constraints.MaxNorm(2), **settings),
            k.GaussianNoise(0.5, name="noise"),
            k.ActivityRegularization(l2=0.5, name="activity"),
            k.GlobalAveragePooling2D(name="pool"),
            k.Dense(3, name="three", activity_regularizer=keras.regularizers.L1(0.5)),
        ]
    )


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5", "ignore:Do not pass an")
@pytest.mark.parametrize("which", ["tf_keras", "keras"])
@pytest.mark.parametrize("name", ["m.h5", "m.keras"])
def test_a_file_with_more_for_training_predicts(which: str, name: str, tmp_path: Path) -> None:
    model_library = pytest.importorskip(which)
    model = trained_with_more(model_library)
    expected = np.asarray(model(photos(), training=False))
    model.save(tmp_path / name)
    ours, said = warned_of(tmp_path / name)
    np.testing.assert_allclose(ours.predict(photos(), verbose=0), expected, rtol=1e-4, atol=1e-6)
    if keras_3(model_library):
        (message,) = said
        assert not re.search("regularizer|constraint|ActivityRegularization", message)
        assert 'of AugMix "mix" and RandomPerspective "tilt"' in message
    else:
        assert said == []
    lines: list[str] = []
    ours.summary(print_fn=lines.append)
    assert any("GaussianNoise" in line for line in lines)
    # Keras 3 gets back what it, or Keras 2, wrote.
    keras = pytest.importorskip("keras")
    ours.save(tmp_path / "back.keras")
    again = keras.saving.load_model(tmp_path / "back.keras", compile=False)
    np.testing.assert_allclose(again(photos(), training=False), expected, rtol=1e-4, atol=1e-6)
    assert again.get_layer("two").kernel_regularizer.l2 == pytest.approx(0.25)
    assert again.get_layer("two").kernel_constraint.max_value == 2
    assert type(again.get_layer("one").kernel_initializer).__name__ == "Orthogonal"
    assert again.get_layer("three").activity_regularizer.get_config() == {"l1": 0.5}
    assert again.get_layer("noise").stddev == 0.5
    if which == "keras":
        for layer in model.layers:
            found = again.get_layer(layer.name).get_config()
            assert json.dumps(found) == json.dumps(layer.get_config())
    ours.compile("sgd", "categorical_crossentropy")
    y = np.eye(3, dtype="f")[[0, 1, 2, 0]]
    with (
        pytest.raises(ValueError, match=r'"mix" only predicts here.*RandomFlip')
        if keras_3(model_library)
        else nullcontext()
    ):
        ours.fit(photos(), y, verbose=0)


@pytest.mark.slow
@pytest.mark.keras
def test_every_layer_that_does_nothing_in_prediction(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    only_of_keras_2, other_ranks = {"RandomHeight", "RandomWidth"}, {"1D", "3D"}
    chain = [
        getattr(keras.layers, name)()
        for name in STAND_INS
        if name not in only_of_keras_2 and name[-2:] not in other_ranks
    ]
    model = keras.Sequential([keras.Input(SHAPE), *chain])
    x = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    np.testing.assert_array_equal(model(x, training=False), x)  # so it is in Keras
    model.save(tmp_path / "m.keras")
    ours, (message,) = warned_of(tmp_path / "m.keras")
    np.testing.assert_array_equal(ours.predict(x, verbose=0), x)
    assert re.search(r'AugMix "aug_mix".*RandomPerspective', message)
    ours.save(tmp_path / "back.keras")
    again = keras.saving.load_model(tmp_path / "back.keras")
    for found, wanted in zip(again.layers, model.layers, strict=True):
        assert json.dumps(found.get_config()) == json.dumps(wanted.get_config())


def test_layers_with_zero_noise_train() -> None:
    name, x = "SpatialDropout3D", np.ones((2, 3, 3, 3, 1), "f")
    still = STAND_INS[name].from_config({"name": "n", "rate": 0.0})
    loud = STAND_INS[name].from_config({"name": "n", "rate": 0.5})
    np.testing.assert_array_equal(still(x, training=True), x)
    np.testing.assert_array_equal(loud(x, training=False), x)
    assert still.lacking() == []
    assert loud.differs_in_training()
    with pytest.raises(ValueError, match=f'{name} "n" only predicts here'):
        loud(x, training=True)


def test_training_says_once_what_it_lacks_of_layers_that_learn() -> None:
    config = chain().get_config()
    for number, name in ((1, "conv"), (3, "dense")):
        own = config["layers"][number]["config"]
        own |= {"kernel_regularizer": {"class_name": "Cubes", "config": {"l3": 0.5}}, "name": name}
    model = minicnn.Sequential.from_config(config)
    x, y = photos(), np.eye(2, dtype="f")[[0, 1, 1, 0]]

    def told(call: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            call()
        return [str(warning.message) for warning in said]

    model.compile("sgd", "categorical_crossentropy")
    (message,) = told(lambda: model.fit(x, y, verbose=0, epochs=2))
    assert "minicnn trains without kernel_regularizer=Cubes(l3=0.5) of conv and dense" in message
    assert told(lambda: model.train_on_batch(x, y)) == []
    (message,) = told(lambda: model.evaluate(x, y, verbose=0))
    assert (
        "minicnn computes the loss without kernel_regularizer=Cubes(l3=0.5) of conv and dense"
        in message
    )
    model.layers[0].trainable = False
    model.compile("sgd", "categorical_crossentropy")
    (message,) = told(lambda: model.fit(x, y, verbose=0))
    assert "Cubes(l3=0.5) of dense, which it does not have" in message
    model.layers[-1].trainable = False
    model.compile("sgd", "categorical_crossentropy")
    (message,) = told(lambda: model.fit(x, y, verbose=0))
    assert "no trainable weights" in message

    # An activity regularizer adds to the loss whether the layer's weights learn or not.
    own = config["layers"][1]["config"]
    own["activity_regularizer"] = own.pop("kernel_regularizer")
    model = minicnn.Sequential.from_config(config)
    model.layers[0].trainable = False
    model.compile("sgd", "categorical_crossentropy")
    (message,) = told(lambda: model.fit(x, y, verbose=0))
    assert "activity_regularizer=Cubes(l3=0.5) of conv" in message
