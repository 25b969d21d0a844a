"""A user's own models with Keras's `call`: training, shapes, files, summary, what is refused."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import explain, layers, models, ops

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 6, 6, 1)).astype("float32"), RNG.integers(0, 3, 12)


class Small(minicnn.Model):
    def __init__(self, classes: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.scale = self.add_weight((1,), "ones", name="scale")
        self.conv = layers.Conv2D(4, 3, activation="relu")
        self.norm = layers.BatchNormalization()
        self.pool = layers.GlobalAveragePooling2D()
        self.blocks = [layers.Dense(5, activation="relu"), layers.Dense(5)]
        self.head = layers.Dense(classes, activation="softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.pool(self.norm(self.conv(x) * self.scale))
        for dense in self.blocks:
            x = dense(x)
        return self.head(x)


class Pairs(minicnn.Model):
    """Takes a dict and returns one."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        whole = self.dense(inputs["a"]) + inputs["b"]
        return {"whole": whole, "sum": ops.sum(inputs["b"], axis=-1, keepdims=True)}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    minicnn.utils.set_random_seed(0)
    return


def compiled(model: Any) -> Any:
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def functional() -> Any:
    """The same network as `Small`, but for its own weight, made from symbols."""
    inputs = minicnn.Input((6, 6, 1))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))
    x = layers.Dense(5)(layers.Dense(5, activation="relu")(x))
    return minicnn.Model(inputs, layers.Dense(3, activation="softmax")(x))


@pytest.mark.slow
def test_it_trains_as_a_model_of_symbols_does() -> None:
    model, other = compiled(Small()), compiled(functional())
    model.build(X.shape)
    other.set_weights(model.get_weights()[1:])
    model.scale.trainable = False
    histories = [
        m.fit(X, Y, batch_size=5, epochs=3, shuffle=False, validation_data=(X, Y), verbose=0)
        for m in (model, other)
    ]
    for name, values in histories[1].history.items():
        np.testing.assert_allclose(histories[0].history[name], values, rtol=1e-5)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), other.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(other.evaluate(X, Y, verbose=0))
    np.testing.assert_array_equal(model(X), model.predict(X, verbose=0))
    np.testing.assert_array_equal(model.predict_on_batch(X), model(X))


def test_gradients_are_slopes() -> None:
    found = explain.gradcheck(
        Small(), X[:3], y=Y[:3], loss="sparse_categorical_crossentropy", training=True
    )
    assert found.passed, str(found)
    assert [row.name for row in found.rows[:3]] == ["x", "scale", "conv/kernel"]


def test_layers_and_weights_are_found() -> None:
    model = Small()
    assert [weight.name for weight in model.weights] == ["scale"]
    model.build((None, 6, 6, 1))
    assert [type(layer).__name__ for layer in model.layers] == [
        *("Conv2D", "BatchNormalization", "GlobalAveragePooling2D", "Dense", "Dense", "Dense")
    ]
    assert list(model.trainable_variables_by_name()) == [
        *("scale", "conv/kernel", "conv/bias", "norm/gamma", "norm/beta"),
        *("blocks/dense/kernel", "blocks/dense/bias"),
        *("blocks/dense_1/kernel", "blocks/dense_1/bias", "head/kernel", "head/bias"),
    ]
    assert model.count_params() == 1 + 40 + 16 + 25 + 30 + 18
    assert (model.input_shape, model.output_shape) == ((None, 6, 6, 1), (None, 3))
    model.conv.trainable = False
    assert len(model.trainable_weights) == 9
    model.trainable = False
    assert not model.trainable_weights
    assert model.name == "small"
    assert model.get_layer(model.head.name) is model.head


def test_a_frozen_layer_stays_as_it_is() -> None:
    model = compiled(Small())
    model.build(X.shape)
    model.conv.trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed[:3] == [True, False, False]
    assert all(changed[3:])


def test_data_of_other_sizes() -> None:
    model = Small()
    assert model.predict(X, verbose=0).shape == (12, 3)
    assert model.predict(np.zeros((2, 9, 7, 1)), verbose=0).shape == (2, 3)
    np.testing.assert_array_equal(model.predict(X, verbose=0), model(X))
    with pytest.raises(ValueError, match=r"Conv2D .* expects 1 input channels"):
        model.predict(np.zeros((2, 9, 7, 2)), verbose=0)


def test_dicts_and_lists() -> None:
    model = Pairs()
    a, b = X[:, 0, :3, 0], X[:, 1, :2, 0]
    y = model.predict({"b": b, "a": a}, verbose=0)
    assert list(y) == ["sum", "whole"]
    np.testing.assert_allclose(y["sum"][:, 0], b.sum(-1), rtol=1e-5)
    direct = model({"a": a, "b": b})
    np.testing.assert_array_equal(y["whole"], direct["whole"])
    model.compile("sgd", {"whole": "mse", "sum": "mae"})
    targets = {"whole": np.zeros((12, 2)), "sum": np.zeros((12, 1))}
    history = model.fit({"a": a, "b": b}, targets, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert set(history) == {"loss", "sum_loss", "whole_loss"}

    class Listed(minicnn.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            first, second = inputs
            return self.dense(first), second

    listed = Listed()
    outputs = listed.predict([a, b], verbose=0)
    assert isinstance(outputs, tuple)
    assert len(outputs) == 2
    np.testing.assert_array_equal(outputs[1], b)
    assert listed.output_names == ["output_1", "output_2"]


@pytest.mark.slow
def test_it_nests(tmp_path: Path) -> None:
    inputs = minicnn.Input((6, 6, 1))
    model = compiled(minicnn.Model(inputs, layers.Dense(3, "softmax")(Small(4)(inputs))))
    assert model.fit(X, Y, epochs=2, verbose=0).history["loss"][1] > 0
    found = explain.gradcheck(model, X[:3], y=Y[:3])
    assert found.passed, str(found)
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Small": Small})
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert again.layers[1].classes == 4

    class Outer(minicnn.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = Small(5)
            self.chain = minicnn.Sequential([layers.Dense(4), layers.Dense(3)])
            self.nothing = functional()

        def call(self, x: Any) -> Any:
            return self.chain(self.inner(x)) + self.nothing(x)

    outer = Outer()
    outer.build((None, 6, 6, 1))
    found = explain.gradcheck(outer, X[:3], y=np.ones((3, 3)), loss="mse")
    assert found.passed, str(found)
    outer.save_weights(tmp_path / "m.weights.h5")
    other = Outer()
    other.build((None, 6, 6, 1))
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(other.predict(X, verbose=0), outer.predict(X, verbose=0))


def test_files(tmp_path: Path) -> None:
    model = compiled(Small(3, name="mine"))
    model.fit(X, Y, verbose=0)
    model.metadata = {"classes": ["a", "b", "c"]}
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Small": Small})
    assert (type(again), again.name, again.metadata) == (Small, "mine", model.metadata)
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert again.train_on_batch(X, Y) == pytest.approx(model.train_on_batch(X, Y))
    for other in (models.clone_model(model), Small.from_config(model.get_config())):
        other.build(X.shape)
        model.save_weights(tmp_path / "m.weights.h5")
        other.load_weights(tmp_path / "m.weights.h5")
        np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))
    again = models.model_from_json(model.to_json(), custom_objects={"Small": Small})
    assert again.classes == 3
    with pytest.raises(ValueError, match=r"of class 'Small', which .* pass custom_objects="):
        models.load_model(tmp_path / "m.keras")
    with pytest.raises(
        ValueError, match=r"^Small \"mine\" is of a class of your own, which Keras's"
    ):
        model.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"ends in '\.weights\.h5' then\. Received"):
        model.save_weights(tmp_path / "m.h5")
    with pytest.raises(ValueError, match="has no weights yet"):
        Small().save(tmp_path / "m.keras")


def test_a_compile_of_one_s_own_is_left_to_its_author(tmp_path: Path) -> None:
    """Nobody else knows its arguments, neither when a file is read nor when a model is cloned."""

    class Own(Small):
        def compile(self, rate: float) -> None:  # type: ignore[override]
            super().compile(minicnn.optimizers.SGD(rate), "mse")

    model = Own()
    model.build(X.shape)
    model.compile(0.1)
    model.save(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match=r"not compiled: Own has a compile of its own\. Call"):
        again = models.load_model(tmp_path / "m.keras", custom_objects={"Own": Own})
    assert not again.compiled
    assert not models.clone_model(model).compiled
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_names_of_groups_are_keras(tmp_path: Path) -> None:
    """Keras goes through attributes by name, and meets its list `layers` on the way."""
    h5py = pytest.importorskip("h5py")
    model = Small()
    model.build(X.shape)
    model.save_weights(tmp_path / "m.weights.h5")
    found: list[str] = []
    with h5py.File(tmp_path / "m.weights.h5") as file:
        file.visititems(lambda name, item: found.append(name) if hasattr(item, "shape") else None)
    assert sorted({name.rpartition("/vars/")[0] for name in found if "/" in name}) == [
        *("", "blocks/dense", "blocks/dense_1", "conv", "head"),
        *("layers/batch_normalization",),
    ]


def test_the_summary_shows_the_layers_that_were_called() -> None:
    model = Small()
    with pytest.raises(ValueError, match=r"no layers to show yet: build it for a shape, or call"):
        model.summary()
    model.build((None, 6, 6, 1))
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    rows = [line.split("│") for line in lines if "(Conv2D)" in line or "(Dense)" in line]
    assert [row[2].strip() for row in rows] == [
        *("(None, 4, 4, 4)", "(None, 5)", "(None, 5)", "(None, 3)")
    ]
    assert rows[0][3].strip() == "40"
    assert rows[0][6].strip() == "?"
    assert any("Total params: 130" in line for line in lines)


def test_weights_of_ones_own_may_be_made_in_build() -> None:
    class Own(minicnn.Model):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(input_shape[-1], 2), initializer="ones", name="w")

        def call(self, x: Any) -> Any:
            return ops.matmul(x, self.w)

    model = Own()
    x = X[:, 0, :, 0]
    np.testing.assert_allclose(model.predict(x, verbose=0), x @ np.ones((6, 2)), rtol=1e-4)
    assert len(model.weights) == 1
    assert model.predict(x[:, :6], verbose=0).shape == (12, 2)


def test_a_trace_shows_what_goes_in_and_out() -> None:
    model = Small(name="mine")
    trace = model.trace(X[:2], y=Y[:2], loss="sparse_categorical_crossentropy")
    assert trace["mine"].y.shape == (2, 3)
    assert "conv/kernel" in trace["mine"].grads
    with pytest.raises(ValueError, match=r'Small "mine" defines call, .* each of its layers'):
        trace.explain("mine", at=0)
    found = explain.health(model, X, Y, loss="sparse_categorical_crossentropy")
    assert "A gradient reaches every layer" in str(found)


class Stepping(minicnn.Model):
    def train_step(self, data: Any) -> Any:
        return {}


class Doubling(minicnn.Model):
    def predict_step(self, data: Any) -> Any:
        return 2 * self(data)


class WithoutSuper(minicnn.Model):
    def __init__(self) -> None:
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class Shadows(minicnn.Model):
    def __init__(self) -> None:
        super().__init__()
        self.logits = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return x


def shadows() -> Any:
    class Runs(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

        def run(self) -> None:
            """Do something else."""

    return Runs


def stepping(kind: Any = Stepping) -> Any:
    inputs = minicnn.Input((3,))
    model = kind(inputs, layers.Dense(2)(inputs))
    model.compile("sgd", "mse")
    return model


class Twice(layers.Layer):
    def call(self, x: Any) -> Any:
        return 2 * x


def test_from_config_takes_classes_of_ones_own() -> None:
    inputs = minicnn.Input((3,))
    graph = minicnn.Model(inputs, Twice()(inputs))
    for model in (graph, minicnn.Sequential([inputs, Twice()])):
        config = model.get_config()
        with pytest.raises(ValueError, match="Twice"):
            type(model).from_config(config)
        again = type(model).from_config(config, custom_objects={"Twice": Twice})
        assert type(again.layers[-1]) is Twice


def test_only_a_predict_step_stops_predict() -> None:
    assert stepping().predict(X[:, 0, :3, 0]).shape == (len(X), 2)


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (
            minicnn.Model,
            ValueError,
            "expects inputs and outputs, or else a class that defines call",
        ),
        (
            lambda: Small(inputs=minicnn.Input((3,)), outputs=minicnn.Input((3,))),
            ValueError,
            r"^Small expects inputs and outputs, or else a class that defines call",
        ),
        (WithoutSuper().__call__, TypeError, "missing 1 required positional argument"),
        (lambda: WithoutSuper()(X), RuntimeError, r"does not call super\(\).__init__\(\)"),
        (
            lambda: stepping().fit(X[:, 0, :3, 0], X[:, 0, :2, 0]),
            ValueError,
            r"^Stepping defines train_step, which fit does not call: write the loop with",
        ),
        (
            lambda: stepping(Doubling).predict(X[:, 0, :3, 0]),
            ValueError,
            r"^Doubling defines predict_step, which predict does not call: change what predict",
        ),
        (
            lambda: stepping(Doubling).predict_on_batch(X[:, 0, :3, 0]),
            ValueError,
            r"^Doubling defines predict_step, which predict_on_batch does not call",
        ),
        (
            lambda: compiled(Pairs()).fit({"a": X[:, 0, :3, 0], "b": X[:, 0, :2, 0]}, Y),
            ValueError,
            r"has 2 outputs, which compile did not know: build the model first",
        ),
        (
            Shadows,
            AttributeError,
            r"^Shadows cannot define logits itself: .* logits_",
        ),
        (
            lambda: setattr(Small(), "_graph", [layers.Dense(2)]),
            AttributeError,
            r"^Small cannot have an attribute _graph, where .* such as graph_",
        ),
        (
            lambda: setattr(Small(), "_largest", []),
            AttributeError,
            r"^Small cannot have an attribute _largest, where .* such as largest_",
        ),
        (
            lambda: setattr(Small(), "_body", layers.Dense(2)),
            AttributeError,
            r"^Small cannot hold layers in _body, where .* such as _body_",
        ),
        (shadows, AttributeError, r"^Runs cannot define run itself: minicnn"),
        (lambda: Small().save_weights("m.weights.h5"), ValueError, "has no weights yet"),
    ],
)
def test_what_is_wrong_is_said(act: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        act()
