"""Fused graphs take fewer steps, give the same numbers, and leave the model unchanged."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import graphs

import minicnn
from minicnn import Input, Model, Sequential, explain, layers, optimizers, utils

Array = np.ndarray


def shaken(model: Any, seed: int = 5) -> Any:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.2, 1, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def photos(shape: tuple[int, ...] = (2, 8, 6, 4)) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def assert_folds_to(model: Model, steps: int, x: Array | None = None) -> Model:
    """Assert that the folded model has so many layers after its input, and predicts the same."""
    x = photos() if x is None else x
    folded = model.inference_model()
    assert len(folded.graph.nodes) - 1 == steps
    wanted = model.predict(x, verbose=0, fold=False)
    found = model.predict(x, verbose=0)
    for a, b in zip(np.atleast_1d(found), np.atleast_1d(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5 * np.abs(wanted).max())
    np.testing.assert_array_equal(wanted, model.run(x))
    return folded


def test_by_hand() -> None:
    """scale = 3 / sqrt(15.999 + 0.001) = 0.75; kernel 2 * 0.75; bias (1 - 5) * 0.75 + 7 = 4."""
    model = Sequential(
        [Input((1, 1, 1)), layers.Conv2D(1, 1), layers.BatchNormalization(), layers.ReLU()]
    )
    model.set_weights([[[[[2.0]]]], [1.0], [3.0], [7.0], [5.0], [15.999]])
    folded = model.inference_model()
    kernel, bias = folded.get_weights()
    np.testing.assert_allclose(kernel, [[[[1.5]]]], rtol=1e-6)
    np.testing.assert_allclose(bias, [4.0], rtol=1e-6)
    with pytest.raises(ValueError, match=r'"conv2d/kernel" is computed from other weights'):
        folded.layers[1].kernel.assign(kernel)
    x = np.array([10.0, -10.0], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(model.predict(x, verbose=0).ravel(), [19.0, 0.0], rtol=1e-6)


LINEAR: dict[str, Callable[[bool], layers.Layer]] = {
    "Conv2D": lambda b: layers.Conv2D(6, 3, strides=2, padding="same", use_bias=b),
    "Conv2D in groups": lambda b: layers.Conv2D(6, 3, groups=2, use_bias=b),
    "Conv2D dilated": lambda b: layers.Conv2D(5, 2, dilation_rate=2, use_bias=b),
    "Conv2DTranspose": lambda b: layers.Conv2DTranspose(6, 3, strides=2, use_bias=b),
    "Conv2DTranspose, 3x3": lambda b: layers.Conv2DTranspose(9, 3, padding="same", use_bias=b),
    "Conv1D": lambda b: layers.Conv1D(6, 3, padding="causal", use_bias=b),
    "Conv1D in groups": lambda b: layers.Conv1D(6, 3, groups=2, use_bias=b),
    "Conv1DTranspose": lambda b: layers.Conv1DTranspose(6, 3, strides=2, use_bias=b),
    "DepthwiseConv1D": lambda b: layers.DepthwiseConv1D(3, depth_multiplier=2, use_bias=b),
    "SeparableConv1D": lambda b: layers.SeparableConv1D(5, 3, use_bias=b),
    "DepthwiseConv2D": lambda b: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=b),
    "SeparableConv2D": lambda b: layers.SeparableConv2D(5, 3, depth_multiplier=2, use_bias=b),
    "Dense": lambda b: layers.Dense(5, use_bias=b),
}


def inputs_for(kind: str) -> Array:
    """Return a batch of lines or of images, as this kind of layer takes them."""
    return photos((2, 8, 4) if "1D" in kind else (2, 8, 6, 4))


CLAMPS: dict[str, Callable[[], list[layers.Layer]]] = {
    "nothing": list,
    "relu": lambda: [layers.Activation("relu")],
    "relu6": lambda: [layers.Activation("relu6")],
    "ReLU": lambda: [layers.ReLU()],
    "ReLU6": lambda: [layers.ReLU(max_value=6)],
}


@pytest.mark.parametrize("clamp", CLAMPS)
@pytest.mark.parametrize("normalization", [None, {}, {"scale": False}, {"center": False}])
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", LINEAR)
def test_every_kind_folds(kind: str, use_bias: bool, normalization: Any, clamp: str) -> None:
    chain: list[Any] = [LINEAR[kind](use_bias)]
    if normalization is not None:
        chain.append(layers.BatchNormalization(**normalization))
    chain += CLAMPS[clamp]()
    x = inputs_for(kind)
    folded = assert_folds_to(shaken(Sequential([Input(x.shape[1:]), *chain])), 1, x)
    assert folded.layers[1].name == chain[0].name


def test_in_float64_the_numbers_agree_to_the_last_digits() -> None:
    model = shaken(
        Sequential(
            [
                Input((8, 6, 4), dtype="float64"),
                layers.SeparableConv2D(5, 3, dtype="float64"),
                layers.BatchNormalization(dtype="float64"),
            ]
        )
    )
    x = photos().astype(np.float64)
    found, wanted = model.predict(x, verbose=0), model.predict(x, verbose=0, fold=False)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


class Own(layers.Conv2D):
    """A user's convolution, which computes something else."""

    def compute(self, x: Array, training: bool) -> Any:
        z, cache = super().compute(x, training)
        return z + 1, cache


UNFOLDED: dict[str, Callable[[Any], Any]] = {
    "an activation before": lambda x: layers.BatchNormalization()(
        layers.Conv2D(4, 3, activation="relu")(x)
    ),
    "a normalization first": lambda x: layers.Conv2D(4, 3)(layers.BatchNormalization()(x)),
    "a leaky ReLU": lambda x: layers.ReLU(negative_slope=0.1)(layers.Conv2D(4, 3)(x)),
    "a raised ReLU": lambda x: layers.ReLU(threshold=0.5)(layers.Conv2D(4, 3)(x)),
    "another limit": lambda x: layers.ReLU(max_value=1)(layers.Conv2D(4, 3)(x)),
    "tanh": lambda x: layers.Activation("tanh")(layers.Conv2D(4, 3)(x)),
    "pooling of windows that overlap": lambda x: layers.MaxPooling2D(3, 2)(layers.Conv2D(4, 2)(x)),
    "pooling of windows apart": lambda x: layers.MaxPooling2D(2, 3)(layers.Conv2D(4, 2)(x)),
    "pooling beyond the edge": lambda x: layers.MaxPooling2D(2, padding="same")(
        layers.Conv2D(4, 2)(x)
    ),
    "pooling of single pixels": lambda x: layers.MaxPooling2D(1)(layers.Conv2D(4, 2)(x)),
    "pooling in another dtype": lambda x: layers.MaxPooling2D(2, dtype="float64")(
        layers.Conv2D(4, 2)(x)
    ),
    "pooling of other layers": lambda x: layers.MaxPooling2D()(layers.DepthwiseConv2D(2)(x)),
    "average pooling": lambda x: layers.AveragePooling2D(2)(layers.Conv2D(4, 2)(x)),
    "pooling of what is no limit": lambda x: layers.MaxPooling2D()(
        layers.Conv2D(4, 2, activation="tanh")(x)
    ),
    "the user's own class": lambda x: layers.BatchNormalization()(Own(4, 3)(x)),
    "always as in training": lambda x: layers.BatchNormalization()(
        layers.Conv2D(4, 3)(x), training=True
    ),
}


@pytest.mark.parametrize("case", UNFOLDED)
def test_what_cannot_be_folded_stays(case: str) -> None:
    inputs = Input((8, 6, 4))
    outputs = UNFOLDED[case](inputs)
    assert_folds_to(shaken(Model(inputs, outputs)), 2)


POOLED: dict[str, tuple[Callable[[], list[layers.Layer]], tuple[int, int, int]]] = {
    "nothing between": (lambda: [layers.MaxPooling2D()], (3, 2, 5)),
    "all that folds": (
        lambda: [layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D((3, 2))],
        (2, 2, 5),
    ),
    "no pixel left": (lambda: [layers.MaxPooling2D((7, 5))], (1, 1, 5)),
}


@pytest.mark.parametrize("activation", ["linear", "relu6"])
@pytest.mark.parametrize("case", POOLED)
def test_max_pooling_folds(case: str, activation: str) -> None:
    chain, shape = POOLED[case]
    convolution = layers.Conv2D(5, 2, activation=activation if len(chain()) == 1 else None)
    model = shaken(Sequential([Input((8, 6, 4)), convolution, *chain()]))
    folded = assert_folds_to(model, 1)
    assert folded.output_shape == (None, *shape)
    assert folded.compute_output_shape((2, 8, 6, 4)) == (2, *shape)
    assert folded.layers[1].name == convolution.name
    assert folded.layers[1].multiply_adds((None, 8, 6, 4)) == 7 * 5 * 2 * 2 * 4 * 5


def test_a_pooled_convolution_as_a_layer() -> None:
    """It sees what both layers saw, has a gradient, and takes images of any size."""
    inputs = Input((None, None, 4))
    y = layers.Conv2D(5, 3, strides=2, activation="relu")(inputs)
    model = Model(inputs, layers.MaxPooling2D((2, 3))(y))
    folded = assert_folds_to(model, 1, photos((2, 13, 21, 4)))
    assert folded.output_shape == (None, None, None, 5)
    assert folded.receptive_window() == model.receptive_window() == ((5, 7), (4, 6), (1, 1))
    x = photos((2, 13, 21, 4))
    y, tape = model.forward(x)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    _, pooled = folded.forward(x)
    dx, grads = model.backward(dy, tape)
    found, found_grads = folded.backward(dy, pooled)
    np.testing.assert_allclose(found, dx, rtol=1e-5, atol=1e-5)
    assert found_grads.keys() == grads.keys()
    for key in grads:
        np.testing.assert_allclose(found_grads[key], grads[key], rtol=1e-5, atol=1e-5)


def test_what_other_layers_need_stays() -> None:
    inputs = Input((8, 6, 4))
    z = layers.Conv2D(4, 3)(inputs)
    y = layers.BatchNormalization()(z)
    assert_folds_to(shaken(Model(inputs, layers.Add()([y, z]))), 3)
    both = shaken(Model(inputs, [y, z]))
    assert len(both.inference_model().graph.nodes) - 1 == 2
    for a, b in zip(both.predict(photos(), verbose=0), both.run(photos()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_normalization_between_may_be_an_output() -> None:
    inputs = Input((8, 6, 4))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    model = shaken(Model(inputs, [y, layers.ReLU()(y)]))
    assert len(model.inference_model().graph.nodes) - 1 == 2
    for a, b in zip(model.predict(photos(), verbose=0), model.run(photos()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("behind", [layers.BatchNormalization, layers.MaxPooling2D])
def test_a_layer_used_twice_may_fold_at_one_place(behind: Callable[[], layers.Layer]) -> None:
    inputs = Input((8, 6, 4))
    conv = layers.Conv2D(4, 3, padding="same", name="conv")
    first = layers.GlobalMaxPooling2D()(behind()(conv(inputs)))
    second = layers.GlobalAveragePooling2D()(conv(layers.ReLU()(inputs)))
    y = layers.Add()([first, second])
    model = shaken(Model(inputs, layers.Dense(3, activation="softmax")(y)))
    names = [layer.name for layer in assert_folds_to(model, 7).layers]
    assert {"conv", "conv (use 1)"} < set(names)
    assert len(trained(model)) == len(model.weights)


def test_a_layer_used_twice_folds_at_each_place() -> None:
    inputs = Input((8, 6, 4))
    conv = layers.Conv2D(4, 3, padding="same")
    x = layers.BatchNormalization()(conv(inputs))
    model = shaken(Model(inputs, layers.BatchNormalization()(conv(x))))
    assert_folds_to(model, 2)


def network() -> Model:
    base = Sequential(
        [Input((8, 6, 4)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()],
        name="base",
    )
    inputs = Input((8, 6, 4))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(inputs))
    x = layers.GlobalAveragePooling2D()(base(x))
    return shaken(Model(inputs, layers.Dense(3, activation="softmax")(x)))


def test_nested_models_fold_too() -> None:
    model = network()
    folded = assert_folds_to(model, 4)
    assert len(folded.get_layer("base").graph.nodes) - 1 == 1
    model.get_layer("base").trainable = False
    assert_folds_to(model, 4)


def test_new_weights_are_seen_wherever_they_come_from() -> None:
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    changes: list[Callable[[], Any]] = [
        lambda: shaken(model, 6),
        lambda: model.fit(photos(), np.array([0, 2]), epochs=2, verbose=0),
        lambda: model.get_layer("base").layers[1].moving_mean.assign(np.ones(4)),
        lambda: model.get_layer("base").layers[0].kernel.value.__imul__(2),
        lambda: setattr(model.get_layer("base").layers[1], "epsilon", 0.5),
        lambda: setattr(model.layers[-1], "activation", "linear"),
    ]
    before = model.predict(photos(), verbose=0)
    for change in changes:
        change()
        after = model.predict(photos(), verbose=0)
        assert np.abs(after - before).max() > 1e-6
        np.testing.assert_allclose(after, model.run(photos()), rtol=2e-5, atol=1e-6)
        before = after


@pytest.mark.parametrize(
    ("layer", "setting", "value"),
    [
        ("re_lu", "max_value", 0.5),
        ("re_lu", "max_value", 6.0),
        ("re_lu", "negative_slope", 0.5),
        ("re_lu", "threshold", 0.5),
        ("conv2d", "strides", (2, 2)),
        ("depthwise_conv2d", "dilation_rate", (2, 2)),
    ],
)
def test_new_settings_are_seen(layer: str, setting: str, value: Any) -> None:
    inner = Sequential(
        [
            Input((8, 6, 4)),
            layers.Conv2D(4, 1),
            layers.BatchNormalization(),
            layers.ReLU(max_value=None if value == 6 else 6.0),
            layers.DepthwiseConv2D(2),
            layers.ReLU(name="last"),
        ]
    )
    for model in (inner, Sequential([Input((8, 6, 4)), inner, layers.GlobalMaxPooling2D()])):
        shaken(model)
        before = model.predict(3 * photos(), verbose=0)
        old = getattr(inner.get_layer(layer), setting)
        setattr(inner.get_layer(layer), setting, value)
        after = model.predict(3 * photos(), verbose=0)
        np.testing.assert_allclose(after, model.run(3 * photos()), rtol=2e-5, atol=1e-5)
        assert after.shape != before.shape or np.abs(after - before).max() > 1e-4
        setattr(inner.get_layer(layer), setting, old)
        np.testing.assert_array_equal(model.predict(3 * photos(), verbose=0), before)


def test_a_chain_that_grows_is_folded_again() -> None:
    model = Sequential([Input((8, 6, 4)), layers.Conv2D(4, 3)])
    model.predict(photos(), verbose=0)
    model.add(layers.BatchNormalization())
    model.add(layers.ReLU())
    assert_folds_to(shaken(model), 1)
    late = Sequential([layers.Conv2D(4, 3), layers.BatchNormalization()])
    late.predict(photos(), verbose=0)  # it is built for its first data
    assert_folds_to(shaken(late), 1)


def test_folding_leaves_the_model_unchanged() -> None:
    model = network()
    conv = model.get_layer("conv2d_1")
    before = (
        model.count_params(),
        [w.path for w in model.weights],
        conv.output,
        model.get_config(),
    )
    model.predict(photos(), verbose=0)
    model.split_at_features()
    assert (model.count_params(), [w.path for w in model.weights]) == before[:2]
    assert conv.output is before[2]
    assert model.get_config() == before[3]
    assert layers.Conv2D(1, 1).name == "conv2d_2"  # folding used up no names
    assert layers.BatchNormalization().name == "batch_normalization_2"


def test_a_model_class_of_the_user_s_own_is_left_alone() -> None:
    class Doubled(Model):
        def run(self, x: Any, training: bool = False) -> Any:
            return 2 * super().run(x, training)

    inputs = Input((8, 6, 4))
    outputs = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    plain, doubled = Model(inputs, outputs), Doubled(inputs, outputs)
    np.testing.assert_allclose(
        doubled.predict(photos(), verbose=0), 2 * plain.predict(photos(), verbose=0), rtol=1e-5
    )


# ---------------------------------------------------------------------------------------------
# For training
# ---------------------------------------------------------------------------------------------


def pooled_network() -> Model:
    """Two convolutions are pooled, one in a nested model, among all kinds of layers."""
    inner = Sequential(
        [
            Input((7, 9, 9)),
            layers.Conv2D(10, 3, padding="same", activation="relu6"),
            layers.MaxPooling2D((2, 3)),
            layers.BatchNormalization(),
        ],
        name="inner",
    )
    inputs = Input((16, 20, 3))
    x = layers.Conv2D(9, 3, activation="relu")(inputs)
    x = inner(layers.MaxPooling2D()(x))
    x = layers.MaxPooling2D(2)(layers.Conv2D(11, 2)(x))
    x = layers.Flatten()(layers.Dropout(0.2)(x))
    return Model(inputs, layers.Dense(3, activation="softmax")(x))


def trained(model: Model, steps: int = 3) -> list[Array]:
    # Adam would enlarge a gradient that is only a rounding error.
    model.compile(optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((6, *model.input_shape[1:]), np.float32), np.arange(6) % 3
    for _ in range(steps):
        model.train_on_batch(x, y)
    return model.get_weights()


def kinds(model: Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def change_nothing(model: Model) -> None:
    pass


def freeze_the_first(model: Model) -> None:
    model.layers[1].trainable = False


def freeze_the_nested(model: Model) -> None:
    model.get_layer("inner").trainable = False


@pytest.mark.parametrize("freeze", [change_nothing, freeze_the_first, freeze_the_nested])
def test_training_fuses_pooling(
    freeze: Callable[[Model], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns the same as layer by layer."""
    found = []
    for fold in (True, False):
        utils.clear_session()
        utils.set_random_seed(0)
        model = pooled_network()
        freeze(model)
        if fold:
            learner = model.training_model()
            assert kinds(learner).count("FusedLayer") == 2
            assert kinds(learner.get_layer("inner"))[1:] == ["FusedLayer", "BatchNormalization"]
            names = [list(m.trainable_variables_by_name()) for m in (learner, model)]
            assert names[0] == names[1]
        else:
            monkeypatch.setattr(Model, "training_model", lambda self: self)
        found.append(trained(model))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_layers_that_are_frozen_later_do_not_change() -> None:
    """They do not even if the folded model was made before."""
    model = pooled_network()
    trained(model, 1)
    before = model.get_weights()
    model.layers[1].trainable = False
    model.get_layer("inner").trainable = False
    trained(model, 1)
    same = [np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]
    assert same[:8] == [True] * 8, "two convolutions, a normalization"
    assert same[8:] == [False] * 4
    model.trainable = False
    before = model.get_weights()
    with pytest.warns(UserWarning, match="has no trainable weights"):
        trained(model, 1)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_model_learns_nothing_even_if_a_layer_in_it_was_thawed() -> None:
    model = pooled_network()
    model.trainable = False
    model.layers[-1].trainable = True
    before = model.get_weights()
    with pytest.warns(UserWarning, match="has no trainable weights"):
        trained(model)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_base_is_computed_as_in_inference() -> None:
    base = network().get_layer("base")
    base.trainable = False
    inputs = Input((8, 6, 4))
    x = layers.Flatten()(base(inputs, training=False))
    model = Model(inputs, layers.Dense(3, activation="softmax")(x))
    assert len(model.training_model().get_layer("base").graph.nodes) == 2
    before = base.get_weights()
    trained(model)
    for a, b in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    base.trainable = True
    assert len(model.training_model().get_layer("base").graph.nodes) == 3, "gradients pass"
    in_training = Model(inputs, base(inputs))
    base.trainable = False
    nodes = in_training.training_model().get_layer("base").graph.nodes
    assert len(nodes) == 3, "it was not called with training=False"


def test_a_base_that_is_frozen_after_it_was_folded_learns_nothing() -> None:
    """Its folded form was made while its layers still learned."""
    base = Sequential(
        [
            Input((8, 6, 4)),
            layers.Conv2D(4, 3, activation="relu", padding="same", name="first"),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(4, 2),
            layers.BatchNormalization(),
        ]
    )
    inputs = Input((8, 6, 4))
    z = layers.Conv2D(4, 1)(inputs)
    head = layers.Dense(3, activation="softmax")
    model = Model(inputs, head(layers.Flatten()(base(z, training=False))))
    base.predict(photos(), verbose=0)
    model.predict(photos(), verbose=0)
    base.trainable = False
    before, head_before = base.get_weights(), head.get_weights()
    trained(model)
    for a, b in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(head.get_weights()[0], head_before[0])
    base.get_layer("first").trainable = True  # only this layer of the base
    assert model.training_model().trainable_variables_by_name().keys() == {
        f"{name}/{weight}"
        for name in ("conv2d", "sequential/first", "dense")
        for weight in ("kernel", "bias")
    }
    trained(model)
    same = [np.array_equal(a, b) for a, b in zip(base.get_weights(), before, strict=True)]
    assert same == [False, False] + [True] * (len(same) - 2)


@pytest.mark.parametrize("called", [True, None])
def test_a_frozen_base_called_in_two_ways(called: bool | None) -> None:
    base = network().get_layer("base")
    base.trainable = False
    inputs = Input((8, 6, 4))
    z = layers.ReLU()(inputs)
    both = layers.Add()([base(inputs, training=False), base(z, training=called)])
    model = Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(both)))
    trained(model)
    found, wanted = model.predict(photos(), verbose=0), model.run(photos())
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_folded_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is folded: save the model that it was made from"):
        pooled_network().inference_model().save(tmp_path / "model.keras")


def test_a_model_without_pooling_trains_as_it_is() -> None:
    model = Sequential([Input((8, 6, 4)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()])
    assert model.training_model() is model
    unbuilt = Sequential([layers.Conv2D(4, 3), layers.MaxPooling2D(), layers.Flatten()])
    unbuilt.add(layers.Dense(3, activation="softmax"))
    unbuilt.compile("sgd", "sparse_categorical_crossentropy")
    unbuilt.train_on_batch(photos((3, 8, 6, 4)), np.arange(3))
    assert unbuilt.ready_for(photos(), fold=True, training=True) is unbuilt.training_model()
    assert "FusedLayer" in kinds(unbuilt.training_model())


def test_a_block_too_large_for_its_argmax_is_not_folded() -> None:
    model = Sequential([Input((16, 16, 3)), layers.Conv2D(4, 1), layers.MaxPooling2D(16)])
    assert model.training_model() is model
    assert kinds(model.inference_model())[1:] == ["Conv2D", "MaxPooling2D"]


@settings(max_examples=40, deadline=None)
@given(make=graphs(), seed=st.integers(0, 2**16))
def test_random_models_fold(make: Any, seed: int) -> None:
    utils.clear_session()
    model = shaken(make(minicnn), seed)
    x = np.random.default_rng(seed).standard_normal((2, 6, 5, 2)).astype(np.float32)
    found, wanted = model.predict(x, verbose=0), model.run(x)
    found, wanted = (v if isinstance(v, list) else [v] for v in (found, wanted))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * max(1, np.abs(b).max()))


def test_the_plan_says_what_became_of_each_layer() -> None:
    lines: list[str] = []
    network().print_inference_plan(lines.append)
    text = "\n".join(lines)
    assert text.startswith('Inference plan of "functional": 6 layers in 5 steps.')
    assert "Each of these has a plan of its own, below: base." in text
    assert '\n\nInference plan of "base": 4 layers in 2 steps.' in text
    assert "    conv2d includes batch_normalization + re_lu" in text
    assert "    conv2d_1 includes batch_normalization_1" in text
    # 8 * 6 * 4 numbers of 4 bytes are spared once.
    assert "Per example, 768.00 B less is written to memory and read again." in text
    assert "conv(x, kernel * scale) + (bias - moving_mean) * scale + beta" in text
    lines.clear()
    pooled = [layers.Conv2D(5, 3, name="first"), layers.MaxPooling2D()]
    Sequential([Input((8, 6, 4)), *pooled]).print_inference_plan(lines.append)
    assert "    first includes max_pooling2d" in lines
    assert lines[-1].startswith("Per example, 480.00 B less")  # 6 * 4 * 5 numbers of 4 bytes
    lines.clear()
    Sequential([Input((3,)), layers.Dense(2)]).print_inference_plan(lines.append)
    assert lines[-1].startswith("Nothing to fold")


@pytest.mark.parametrize("kind", LINEAR)
def test_a_fused_layer_explains_its_numbers(kind: str) -> None:
    chain = [LINEAR[kind](False), layers.BatchNormalization(), layers.ReLU()]
    x = inputs_for(kind)
    model = shaken(Sequential([Input(x.shape[1:]), *chain])).inference_model()
    trace = model.trace(x)
    at = (1, 0, 2)[-x.ndim + 1 :]
    found = trace.explain(model.layers[1].name, at)
    np.testing.assert_allclose(found.result, trace.y[(0, *at)], rtol=1e-5, atol=1e-5)
    pooled = [layers.Conv2D(5, 3, name="first"), layers.MaxPooling2D()]
    pooled_model = Sequential([Input((8, 6, 4)), *pooled]).inference_model()
    with pytest.raises(ValueError, match="ask the model that it was made from"):
        pooled_model.trace(photos()).explain("first", (1, 0, 2))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("kind", LINEAR)
def test_a_copy_of_a_folded_model_has_weights_of_its_own(
    kind: str, copied: Callable[[Model], Model]
) -> None:
    x = inputs_for(kind)
    chain = [LINEAR[kind](True), layers.BatchNormalization(), layers.ReLU()]
    model = shaken(Sequential([Input(x.shape[1:]), *chain]))
    again = copied(model.inference_model())
    wanted = model.predict(x, verbose=0)
    weights = again.get_weights()
    model.set_weights([2 * w for w in model.get_weights()])
    np.testing.assert_array_equal(again.predict(x, verbose=0), wanted)
    for mine, before in zip(again.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, before)
    assert explain.gradcheck(again, x).passed


def test_a_copy_keeps_the_order_in_which_a_layer_was_called() -> None:
    """It does although the graph meets the second call first; files number the calls."""
    inputs, shared = Input((4,)), layers.Dense(4, name="shared")
    first, second = shared(inputs), shared(layers.ReLU()(inputs))
    model = Model(inputs, [second, first])
    assert [node.index for node in model.graph.nodes if node.layer is shared] == [1, 0]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.get_config() == model.get_config()
        for a, b in zip(again.run(-np.eye(4)), model.run(-np.eye(4)), strict=True):
            np.testing.assert_array_equal(a, b)
