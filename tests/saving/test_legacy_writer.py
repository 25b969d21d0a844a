"""Keras 2, Keras 3 and minicnn read the old `.h5` files that minicnn writes, and predict alike."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from layer_uses import NOT_IN_KERAS_2

import minicnn
from minicnn import callbacks, models
from minicnn import layers as k
from minicnn.constraints import MaxNorm
from minicnn.layers import LAYERS, Input

Array = np.ndarray


def every_layer() -> Any:
    return [
        Input((8, 8, 3)),
        k.Rescaling(1 / 127.5, -1.0),
        k.Normalization(),
        k.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
        k.Identity(),
        k.ZeroPadding2D(((1, 0), (2, 1))),
        k.Conv2D(
            4,
            3,
            activation="relu6",
            padding="same",
            groups=1,
            kernel_initializer="he_normal",
            kernel_regularizer="l1_l2",
            kernel_constraint=MaxNorm(2, axis=(0, 1, 2)),
        ),
        k.BatchNormalization(scale=False),
        k.GroupNormalization(2),
        k.LayerNormalization(center=False),
        k.UnitNormalization(),
        k.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2),
        k.SeparableConv2D(4, 3, strides=2, padding="same", use_bias=False),
        k.ReLU(6.0, negative_slope=0.1),
        k.MaxPooling2D(2, padding="same", strides=1),
        k.Conv2DTranspose(4, 3, strides=1, padding="same"),
        k.UpSampling2D((1, 2)),
        k.UpSampling2D((1, 2), interpolation="bilinear"),
        k.Cropping2D(((0, 1), (1, 1))),
        k.Resizing(4, 8, "nearest"),
        k.CenterCrop(4, 6),
        k.RandomCrop(4, 6, seed=3),
        k.Permute((2, 1, 3)),
        k.AveragePooling2D((2, 4)),
        k.Activation("tanh"),
        k.LeakyReLU(0.2),
        k.ELU(0.5),
        k.PReLU("random_uniform", shared_axes=[1, 2]),
        k.Softmax(axis=1, activity_regularizer="l2"),
        k.Dropout(0.3, seed=1),
        k.ActivityRegularization(0.1, 0.2),
        k.SpatialDropout2D(0.2),
        k.RandomFlip("vertical", seed=1),
        k.RandomRotation((-0.1, 0.2), "wrap"),
        k.RandomTranslation(0.1, (0.1, 0.2), interpolation="nearest"),
        k.RandomZoom(0.1, fill_mode="constant", fill_value=0.5),
        k.RandomContrast((0.1, 0.2)),
        k.RandomBrightness(0.1, (-1, 1)),
        k.GaussianNoise(0.1, seed=2),
        k.GaussianDropout(0.1),
        k.AlphaDropout(0.1),
        k.Reshape((-1, 4)),
        k.SpatialDropout1D(0.2),
        k.ZeroPadding1D((1, 0)),
        k.Conv1D(6, 3, padding="causal", activation="tanh"),
        k.UpSampling1D(2),
        k.DepthwiseConv1D(3, depth_multiplier=2),
        k.MaxPooling1D(2),
        k.SeparableConv1D(5, 3, padding="same"),
        k.AveragePooling1D(2, strides=1, padding="same"),
        k.Conv1DTranspose(4, 3, strides=2),
        k.Cropping1D((1, 2)),
        k.Flatten(),
        k.RepeatVector(2),
        k.Flatten(),
        k.Dense(3, activation="gelu"),
        k.Softmax(),
    ]


def chain() -> Any:
    return minicnn.Sequential(every_layer())


def nested(kind: str, last: bool) -> Any:
    """A model lies in a model and is used twice; with `last`, a second one makes the output."""
    if kind == "Functional":
        start = Input((6, 6, 2))
        base: Any = minicnn.Model(start, k.Conv2D(3, 3)(start), name="base")
        start = Input((12,))
        head: Any = minicnn.Model(start, k.Dense(2)(start))
    else:
        base = minicnn.Sequential([Input((6, 6, 2)), k.Conv2D(3, 3)], name="base")
        head = minicnn.Sequential([Input((12,)), k.Dense(2)])
    inputs = Input((6, 6, 2))
    a, b = base(inputs, training=False), base(k.Activation("tanh")(inputs))
    x = k.Average()([k.Add()([a, b]), k.Subtract()([a, b]), k.Multiply()([a, b])])
    x = k.Maximum()([x, k.Minimum()([a, b])])
    line = k.Reshape((-1, 3))(x)
    ends = [k.GlobalAveragePooling1D()(line), k.GlobalMaxPooling1D()(line)]
    x = k.Concatenate()([k.GlobalAveragePooling2D()(x), k.GlobalMaxPooling2D()(x), *ends])
    return minicnn.Model(inputs, head(x) if last else k.Dense(2)(x))


def two_of_each() -> Any:
    a, b, shared = Input((4,), name="a"), Input((4,), name="b"), k.Dense(3)
    ends = [
        k.Add()([shared(a), shared(b)]),
        k.Concatenate()([a, b, k.Dot(1, normalize=True)([a, b])]),
    ]
    return minicnn.Model([a, b], ends)


def deep() -> Any:
    """A model contains two models whose layers have the same names."""
    halves = [minicnn.Sequential([Input((4,)), k.Dense(4, name="same")]) for _ in range(2)]
    return minicnn.Sequential([Input((4,)), minicnn.Sequential(halves), k.Dense(1)])


MODELS: dict[str, Callable[[], Any]] = {
    "chain": chain,
    "two of each": two_of_each,
    "deep": deep,
    **{
        f"{kind} in a model{', last' if last else ''}": lambda kind=kind, last=last: nested(
            kind, last
        )
        for kind in ("Functional", "Sequential")
        for last in (False, True)
    },
}


def shaken(model: Any) -> Any:
    rng = np.random.default_rng(5)
    model.set_weights([rng.uniform(0.2, 1, w.shape).astype("f") for w in model.get_weights()])
    return model


def inputs_for(model: Any) -> Any:
    rng = np.random.default_rng(1)
    found = [rng.standard_normal((2, *t.shape[1:])).astype("f") for t in model.inputs]
    return found if len(found) > 1 else found[0]


def outputs(model: Any, x: Any) -> list[Array]:
    y = model(x, training=False) if not isinstance(model, minicnn.Model) else model.run(x)
    return [np.asarray(v) for v in y] if isinstance(y, (list, tuple)) else [np.asarray(y)]


def assert_same(found: list[Array], wanted: list[Array]) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


READERS = [
    "minicnn",
    pytest.param("keras", marks=pytest.mark.keras),
    pytest.param("tf_keras", marks=[pytest.mark.keras, pytest.mark.slow]),
]


def library(name: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return minicnn if name == "minicnn" else pytest.importorskip(name)


def test_some_test_writes_every_layer() -> None:
    used = {type(layer).__name__ for layer in every_layer() if isinstance(layer, k.Layer)}
    for model in (nested("Functional", True), two_of_each()):
        used |= {type(layer).__name__ for layer in model.layers}
    assert set(LAYERS) <= used | {"InputLayer"} | NOT_IN_KERAS_2


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", MODELS)
def test_every_reader_predicts_the_same(name: str, reader: str, tmp_path: Path) -> None:
    load = library(reader).models.load_model
    model = shaken(MODELS[name]())
    x = inputs_for(model)
    wanted = outputs(model, x)
    model.save(tmp_path / "m.h5")
    model.save_weights(tmp_path / "w.h5")
    read = load(str(tmp_path / "m.h5"), compile=False)
    assert_same(outputs(read, x), wanted)
    read.set_weights([0 * w for w in read.get_weights()])
    read.load_weights(str(tmp_path / "w.h5"))
    assert_same(outputs(read, x), wanted)


def small(optimizer: Any) -> tuple[Any, Array, Array]:
    rng = np.random.default_rng(2)
    model = minicnn.Sequential([Input((4,)), k.BatchNormalization(), k.Dense(3, "softmax")])
    model.layers[0].trainable = False
    loss = minicnn.losses.CategoricalCrossentropy(label_smoothing=0.125)
    model.compile(optimizer, loss, metrics=["accuracy", minicnn.metrics.CategoricalAccuracy()])
    x, y = rng.standard_normal((8, 4)).astype("f"), np.eye(3, dtype="f")[rng.integers(0, 3, 8)]
    model.fit(x, y, epochs=2, batch_size=4, verbose=0)
    return model, x, y


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: minicnn.optimizers.Adam(0.0625, amsgrad=True),
        lambda: minicnn.optimizers.SGD(0.0625, momentum=0.5, clipnorm=1.0),
        lambda: minicnn.optimizers.RMSprop(0.0625, centered=True),
    ],
    ids=["Adam", "SGD", "RMSprop"],
)
def test_it_is_compiled_and_training_goes_on(optimizer: Any, reader: str, tmp_path: Path) -> None:
    """Only minicnn continues with the optimizer's state.

    Keras 3.15 cannot continue with any `.h5` file, even its own: it builds the optimizer for
    weights of the model itself, but only layers have weights. Keras 2 starts anew, with a warning.
    """
    load = library(reader).models.load_model
    model, x, y = small(optimizer())
    model.save(tmp_path / "m.h5")
    read = load(str(tmp_path / "m.h5"))
    wanted = model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(read.evaluate(x, y, verbose=0), wanted, rtol=1e-4)
    assert float(np.asarray(read.optimizer.learning_rate)) == 0.0625
    if reader == "minicnn":
        assert read.optimizer.iterations == 4
        step = {"shuffle": False, "batch_size": 4, "verbose": 0}
        found = read.fit(x, y, epochs=3, **step).history["loss"]
        np.testing.assert_allclose(found, model.fit(x, y, epochs=3, **step).history["loss"], 2e-3)


def test_the_literal_checkpoint_of_the_course(tmp_path: Path) -> None:
    model, x, y = small("adam")
    checkpoint = callbacks.ModelCheckpoint(
        str(tmp_path / "xception_v1_{epoch:02d}_{val_accuracy:.3f}.h5"),
        save_best_only=True,
        monitor="val_accuracy",
        mode="max",
    )
    history = model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[checkpoint])
    best = history.history["val_accuracy"][0]
    (written,) = tmp_path.iterdir()
    assert written.name == f"xception_v1_01_{best:.3f}.h5"
    np.testing.assert_array_equal(models.load_model(written).predict(x), model.predict(x))
    weights_only = callbacks.ModelCheckpoint(tmp_path / "w.h5", save_weights_only=True)
    model.fit(x, y, verbose=0, callbacks=[weights_only])
    with h5py.File(tmp_path / "w.h5") as file:
        assert list(file.attrs["layer_names"]) == [b"batch_normalization", b"dense"]
        assert file["dense/dense/kernel"].shape == (4, 3)


def test_metadata_travel_in_the_old_format_too(tmp_path: Path) -> None:
    model = chain()
    model.metadata = {"class_names": ["cat", "dog"], "size": np.int64(8)}
    model.save(tmp_path / "m.hdf5")
    assert models.load_model(tmp_path / "m.hdf5").metadata == {
        "class_names": ["cat", "dog"],
        "size": 8,
    }
    model.metadata = {"photo": object()}
    with pytest.raises(TypeError, match="expects metadata that JSON can hold"):
        model.save(tmp_path / "m.hdf5")
    assert models.load_model(tmp_path / "m.hdf5").metadata["size"] == 8  # the old file is kept
    assert [path.name for path in tmp_path.iterdir()] == ["m.hdf5"]


def test_long_lists_of_names_are_cut_into_pieces(tmp_path: Path) -> None:
    """An HDF5 attribute holds at most 64 KB, so ten names of 9,000 letters need two."""
    names = [f"{letter * 9000}" for letter in "abcdefghij"]
    stack = [k.Activation("relu", name=name) for name in names[:-1]]
    model = minicnn.Sequential([Input((2,)), *stack, k.Dense(1, name=names[-1])])
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        group = file["model_weights"]
        assert len(group.attrs["layer_names0"]) + len(group.attrs["layer_names1"]) == 10
    x = np.ones((1, 2), "f")
    np.testing.assert_array_equal(models.load_model(tmp_path / "m.h5").predict(x), model.predict(x))


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("kind", ["Sequential", "Model"])
def test_the_weights_of_a_partly_frozen_base_are_read_in_order(
    kind: str, frozen: bool, tmp_path: Path
) -> None:
    stack = [Input((4,)), k.Dense(3), k.Dense(3), k.Dense(3)]
    base = minicnn.Sequential(stack)
    if kind == "Model":
        base = minicnn.Model(base.inputs, base.outputs)
    base.trainable = not frozen
    base.layers[0 if kind == "Sequential" else 1].trainable = False
    base.layers[-1].trainable = True
    model = minicnn.Sequential([Input((4,)), base, k.Dense(1)])
    model.save(tmp_path / "m.h5")
    again = models.load_model(tmp_path / "m.h5")
    assert [layer.trainable for layer in again.layers] == [not frozen, True]
    assert len(again.trainable_weights) == len(model.trainable_weights)
    with h5py.File(tmp_path / "m.h5") as file:  # what learns comes first, if the base is not frozen
        (first, *_) = file["model_weights"][base.name].attrs["weight_names"]
    assert (first.decode() == base.layers[-2].kernel.path) == (not frozen)
    model.load_weights(tmp_path / "m.h5")
    x = np.ones((1, 4), "f")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("kind", [k.LayerNormalization, k.UnitNormalization])
def test_several_axes_are_refused_as_keras_forgets_them(kind: Any, tmp_path: Path) -> None:
    model = minicnn.Sequential([Input((3, 4)), kind(axis=[1, 2])])
    with pytest.raises(ValueError, match=r"has axis=\[1, 2\]: Keras forgets several axes"):
        model.save(tmp_path / "m.h5")
    assert not (tmp_path / "m.h5").exists()
    minicnn.Sequential([Input((3, 4)), kind(axis=[2])]).save(tmp_path / "m.h5")
    read = models.load_model(tmp_path / "m.h5")
    x = np.arange(12.0).reshape(1, 3, 4)
    np.testing.assert_allclose(read(x), kind(axis=-1)(x), rtol=1e-6)


def test_a_layer_s_name_that_hdf5_reserves_is_refused(tmp_path: Path) -> None:
    model = minicnn.Sequential([minicnn.Input((2,)), minicnn.layers.Dense(2, name=".")])
    with pytest.raises(ValueError, match=r'Dense "\." cannot be written into an \.h5 file'):
        model.save(tmp_path / "m.h5")
    assert not any(tmp_path.iterdir())
