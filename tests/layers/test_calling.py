"""A user's own layers with Keras's `call`: passes, gradients, shapes, weights, what is refused."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradients import check_gradients

import minicnn
from minicnn import explain, layers, models, ops, saving
from minicnn._support.values import Result

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3)).astype("float32")


class MyDense(layers.Layer):
    def __init__(self, units: int = 2, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = minicnn.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", name="w"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, x: Any) -> Any:
        return self.activation(ops.matmul(x, self.w) + self.b)


class Block(layers.Layer):
    """Layers in attributes and lists, a nested layer of the user's, and two behaviours."""

    def __init__(self, rate: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.conv = layers.Conv2D(4, 3, padding="same")
        self.norm = layers.BatchNormalization()
        self.dense = [MyDense(4), MyDense(4, "gelu")]
        self._drop = layers.Dropout(rate)

    def call(self, x: Any, training: bool = False) -> Any:
        y = ops.relu(self.norm(self.conv(x)))
        for layer in self.dense:
            y = layer(y) + y
        if training:
            y = self._drop(y)
        return ops.mean(y, axis=(1, 2))


class Halves(layers.Layer):
    def call(self, inputs: Any) -> Any:
        a, b = inputs
        return a * b, a - b


IMAGES = RNG.normal(size=(4, 5, 5, 2)).astype("float32")


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    minicnn.utils.set_random_seed(0)
    return


def test_by_hand() -> None:
    layer = MyDense(1, "relu")
    layer.build((None, 2))
    layer.set_weights([[[1.0], [2.0]], [-3.0]])
    x = np.array([[2.0, 3.0], [1.0, 0.0]], np.float32)
    y, cache = layer.forward(x)
    assert y.tolist() == [[5.0], [0.0]]
    assert layer(x).tolist() == y.tolist()
    dx, grads = layer.backward(np.array([[10.0], [10.0]], np.float32), cache)
    assert dx.tolist() == [[10, 20], [0, 0]]
    assert grads["w"].tolist() == [[20], [30]]
    assert grads["b"].tolist() == [10]
    assert layer.backward(np.ones((2, 1), np.float32), cache, need_dx=False)[0] is None


def test_gradients_are_slopes() -> None:
    inputs = minicnn.Input((5, 5, 2))
    a, b = Halves()([inputs, inputs * 2 + 1])
    outputs = MyDense(2, "tanh")(Block()(layers.Concatenate()([a, b])))
    model = minicnn.Model(inputs, outputs)
    found = explain.gradcheck(model, IMAGES)
    assert found.passed, str(found)
    assert len(found.rows) >= 11


def test_a_layer_alone_has_slopes() -> None:
    layer = MyDense(3, "tanh", dtype="float64")
    check_gradients(
        lambda x: layer.forward(x)[0],
        lambda dy, x: [layer.backward(dy, layer.forward(x)[1])[0]],
        [IMAGES.astype("float64")],
        RNG,
    )


def test_training_passes_to_the_layers_within() -> None:
    layer = Block()
    plain = layer(IMAGES)
    np.testing.assert_array_equal(plain, layer(IMAGES, training=False))
    before = layer.norm.moving_mean.numpy()
    np.testing.assert_array_equal(before, 0)
    assert not np.allclose(layer(IMAGES, training=True), plain)
    assert not np.allclose(layer.norm.moving_mean.numpy(), before)

    class Asked(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner, self.heard = Block(), []

        def call(self, x: Any, training: Any = None) -> Any:
            self.heard.append(training)
            return self.inner(x, training=False) if training else self.inner(x)

    asked = Asked()
    asked(IMAGES)
    asked(IMAGES, True)
    asked.forward(IMAGES, True)
    asked.run(IMAGES)
    assert asked.heard == [False, True, True, False]
    np.testing.assert_array_equal(asked.inner.norm.moving_mean.numpy(), 0)


def test_weights_are_those_within_too() -> None:
    layer = Block(name="block")
    layer(IMAGES)
    assert [weight.name for weight in layer.weights] == [
        *("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "w", "b", "w", "b")
    ]
    assert list(layer.trainable_variables_by_name()) == [
        *("conv/kernel", "conv/bias", "norm/gamma", "norm/beta"),
        *("dense/my_dense/w", "dense/my_dense/b", "dense/my_dense_1/w", "dense/my_dense_1/b"),
    ]
    assert list(layer.params) == list(layer.trainable_variables_by_name())
    layer.conv.trainable = False
    assert "conv/kernel" not in layer.trainable_variables_by_name()
    _, cache = layer.forward(IMAGES)
    assert "conv/kernel" not in layer.backward(np.ones((4, 4), np.float32), cache)[1]
    layer.trainable = False
    assert not layer.trainable_weights
    assert len(layer.non_trainable_weights) == 10
    assert layer.count_params() == sum(w.numpy().size for w in layer.weights)


def test_layers_may_be_in_attributes_that_only_models_need() -> None:
    class Holds(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self._body = layers.Dense(2)
            self._chain, self.history = [layers.Dense(2)], layers.Dense(2)
            self.fixed, self.ends = layers.Dense(2), 3

        def call(self, x: Any) -> Any:
            return self.fixed(self.history(self._chain[0](self._body(x))))

    layer = Holds()
    layer(X)
    assert [path for path, _ in layer.sublayers()] == ["_body", "_chain/dense", "history", "fixed"]
    assert len(layer.trainable_weights) == 8


@pytest.mark.parametrize("name", ["nodes", "weights_list", "carried", "defines_call"])
def test_an_attribute_that_layers_need_is_refused(name: str) -> None:
    class Sets(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, name, 3)

        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(AttributeError, match=rf"^Sets cannot define {name} itself: .* {name}_"):
        Sets()


def test_a_layer_may_count_its_calls(tmp_path: Path) -> None:
    class Counts(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.calls, self.dense = 0, layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    model = minicnn.Sequential([minicnn.Input((3,)), Counts()])
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Counts": Counts})
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_weights_that_learn_come_first() -> None:
    layer = layers.Layer()
    layer.add_weight((2,), "zeros", trainable=False, name="count")
    layer.add_weight((3, 4), name="w")
    layer.add_weight(5)
    layer.add_weight(5)
    layer.add_weight("old", (2,), "ones", trainable=False)
    names = ["w", "variable", "variable_1", "count", "old"]
    assert [weight.name for weight in layer.weights_list] == names
    assert layer.weights_list[-1].numpy().tolist() == [1, 1]


def test_shapes_are_found_by_a_trial() -> None:
    layer = Block()
    symbol = layer(minicnn.Input((None, None, 2)))
    assert symbol.shape == (None, 4)
    assert len(layer.weights) == 10
    assert layer.compute_output_shape((None, 8, 9, 2)) == (None, 4)
    a, b = Halves()([minicnn.Input((7, 3)), minicnn.Input((1, 3))])
    assert a.shape == b.shape == (None, 7, 3)
    assert layers.Dense(2)(MyDense(6)(minicnn.Input((4, 3)))).shape == (None, 4, 2)

    class Own(MyDense):
        def compute_output_shape(self, input_shape: Any) -> Any:
            return (*input_shape[:-1], self.units)

    assert Own(5)(minicnn.Input((None, 3))).shape == (None, None, 5)


def test_a_trial_changes_no_weight() -> None:
    class Counts(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.count = self.add_weight((), "zeros", trainable=False)

        def call(self, x: Any) -> Any:
            y = x * self.count
            self.count.assign_add(1.0)
            return y

    layer = Counts()
    model = minicnn.Model(inputs := minicnn.Input((3,)), layer(inputs))
    assert float(layer.count.numpy()) == 0
    model.predict(X, verbose=0)
    model.predict(X, verbose=0)
    y, cache = layer.forward(X)
    assert float(layer.count.numpy()) == 3
    np.testing.assert_array_equal(y, X * 2)  # and the tape has the 2
    np.testing.assert_array_equal(layer.backward(np.ones_like(X), cache)[0], np.full_like(X, 2))


class Starts(layers.Layer):
    """Its `build` sets its weights, and those of a layer within; `call` counts."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight((3,), "zeros")
        self.w.assign(np.arange(3.0))
        self.count = self.add_weight((), "zeros", trainable=False)
        self.count.assign_add(5.0)
        self.inner = layers.Dense(1)
        self.inner.build(input_shape)
        self.inner.set_weights([np.ones((3, 1)), [2.0]])

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return self.inner(x * self.w)


class HoldsStarts(minicnn.Model):
    def __init__(self) -> None:
        super().__init__()
        self.starts = Starts()

    def call(self, x: Any) -> Any:
        return self.starts(x)


@pytest.mark.parametrize("way", ["functional", "sequential", "model", "within", "alone"])
def test_what_build_assigns_stays(way: str) -> None:
    class Within(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.starts = Starts()

        def call(self, x: Any) -> Any:
            return self.starts(x) * 1.0

    runs: Any = Starts()
    starts = runs
    if way == "functional":
        runs = minicnn.Model(inputs := minicnn.Input((3,)), starts(inputs))
    elif way == "sequential":
        runs = minicnn.Sequential([minicnn.Input((3,)), starts])
    elif way == "model":
        runs = HoldsStarts()
        starts = runs.starts
    elif way == "within":
        within = Within()
        runs, starts = minicnn.Model(inputs := minicnn.Input((3,)), within(inputs)), within.starts
    y = np.asarray(runs(np.array([[1.0, 2.0, 3.0]], np.float32)))
    assert y.tolist() == [[0 + 2 + 6 + 2]]
    assert starts.w.numpy().tolist() == [0, 1, 2]
    assert float(starts.count.numpy()) == 6  # from 5, and trials do not count


def test_a_trial_within_build_changes_no_weight() -> None:
    class Tries(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.inner = Starts()
            self.out = self.inner.compute_output_shape(input_shape)  # a trial

        def call(self, x: Any) -> Any:
            return self.inner(x)

    layer = Tries()
    assert layer(minicnn.Input((3,))).shape == (None, 1)
    assert float(layer.inner.count.numpy()) == 5


def test_losses_that_a_layer_adds() -> None:
    class Adds(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = layers.Dense(3, activity_regularizer="l2", kernel_regularizer="l1")

        def call(self, x: Any) -> Any:
            self.add_loss([0.5 * ops.sum(x * x), ops.mean(x)])
            return self.inner(x)

    inputs = minicnn.Input((3,))
    model = minicnn.Model(inputs, Adds(activity_regularizer="l2")(inputs))
    model.compile("sgd", "mse")
    y = model.predict(X, verbose=0)
    targets = np.zeros_like(y)
    penalties = 0.5 * (X * X).sum() + X.mean() + 2 * 0.01 * (y * y).sum() / len(y)
    kernel = model.layers[-1].inner.kernel.numpy()
    expected = (y * y).mean() + penalties + 0.01 * np.abs(kernel).sum()
    assert model.evaluate(X, targets, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(X, targets) == pytest.approx(expected, rel=1e-5)
    dkernel = X.T @ (2 * y / y.size + 2 * 2 * 0.01 * y / len(y)) + 0.01 * np.sign(kernel)
    np.testing.assert_allclose(
        model.layers[-1].inner.kernel.numpy(), kernel - 0.01 * dkernel, rtol=1e-4, atol=1e-6
    )
    found = explain.gradcheck(model, X, y=targets)
    assert found.passed, str(found)


def test_a_class_derived_from_a_layer_calls_it() -> None:
    class Doubled(layers.Conv2D):
        def call(self, x: Any) -> Any:
            return super().call(x) * 2.0

    layer = Doubled(3, 2, activation="relu", name="doubled")
    plain = layers.Conv2D(3, 2, activation="relu")
    y = layer(IMAGES)
    plain.build(IMAGES.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(y, plain(IMAGES) * 2)
    y, cache = layer.forward(IMAGES)
    dx, grads = layer.backward(np.ones_like(y), cache)
    expected = plain.backward(np.full_like(y, 2), plain.forward(IMAGES)[1])
    np.testing.assert_allclose(dx, expected[0])
    np.testing.assert_allclose(grads["kernel"], expected[1]["kernel"])
    assert layer.receptive_window() is None
    assert layer.multiply_adds(IMAGES.shape) is None
    assert layers.Conv2D(3, 2).call(IMAGES).shape == y.shape


def test_a_call_may_take_more_than_one_argument() -> None:
    class Scaled(layers.Layer):
        def call(self, q: Any, k: Any, scale: float = 1.0) -> Any:
            return q * k * scale

    layer = Scaled(name="scaled")
    np.testing.assert_allclose(layer(X, X, scale=2.0), X * X * 2)
    np.testing.assert_allclose(layer(X, k=X), X * X)
    with pytest.raises(TypeError, match=r'Scaled "scaled" expects its symbols in one argument'):
        layer(minicnn.Input((3,)), minicnn.Input((3,)))
    for given in ({"scale": 2.0}, {"k": 2.0}):
        (name,) = given
        with pytest.raises(TypeError, match=f'"scaled" expects {name} in its __init__ if it is ca'):
            layer(minicnn.Input((3,)), **given)
    with pytest.raises(TypeError, match=r"Received k=2\.0"):
        layer(minicnn.Input((3,)), 2.0)
    for x in (X, minicnn.Input((3,))):
        with pytest.raises(
            TypeError, match=r"at most 2 arguments after the first one\. Received 3"
        ):
            layer(x, X, 2.0, 3.0)


class Twice(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2


def test_what_a_call_returns_has_numpy() -> None:
    """As TensorFlow's tensors have; what NumPy computes from it is plain again."""
    own = Twice()
    dense = layers.Dense(2, kernel_initializer="ones")
    model = minicnn.Sequential([minicnn.Input((3,)), dense])
    for y in (own(X), dense(X), model(X), ops.relu(X), own(X)[1:]):
        assert type(y.numpy()) is np.ndarray
        assert np.shares_memory(y.numpy(), y)
        assert repr(y) == repr(y.numpy())
        assert type(y + 1) is type(np.exp(y)) is type(y.max(axis=0)) is np.ndarray
        assert isinstance(y.sum(), np.float32)
        assert isinstance(y.mean(), np.float32)
    y = own(X)
    before = y[0, 0]
    y += 1
    assert y[0, 0] == before + 1
    assert float(ops.sum(X).numpy()) == pytest.approx(X.sum())
    assert type(model.predict(X, verbose=0)) is np.ndarray


def test_softmax_is_the_same_whoever_applies_it() -> None:
    """The gradient of the loss starts before the activation, as with a `Dense` layer at the end."""

    class Ends(layers.Layer):
        def __init__(self, how: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.how = how
            self.inner = layers.Dense(3, activation="softmax" if how == "layer" else None)

        def call(self, x: Any) -> Any:
            y = self.inner(x)
            return ops.softmax(y) if self.how == "operation" else y

    losses = []
    for how in ("layer", "operation", "none"):
        minicnn.utils.set_random_seed(1)
        inputs = minicnn.Input((3,))
        end = Ends(how)(inputs)
        model = minicnn.Model(inputs, layers.Softmax()(end) if how == "none" else end)
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.set_weights([w * 300 for w in model.get_weights()])  # probabilities of 0 and 1
        losses.append(model.fit(X, [0, 1, 2, 0, 1], epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1])
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-5)
    assert losses[0][0] > 20


def test_a_layer_that_returns_its_input_or_a_constant() -> None:
    class Same(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    class One(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.ones((len(x), 2))

    y, cache = Same().forward(X)
    np.testing.assert_array_equal(y, X)
    assert cache.layer.backward(y, cache)[0].tolist() == y.tolist()
    y, cache = One().forward(X)
    assert y.shape == (5, 2)
    assert not cache.layer.backward(y, cache)[0].any()


def test_a_layer_that_returns_a_weight() -> None:
    class Returns(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight((5, 3), "ones", name="w")
            self.frozen = self.add_weight((5, 3), "ones", trainable=False, name="frozen")

        def call(self, x: Any) -> Any:
            return [self.w, x * self.w, self.frozen]

    layer = Returns(activity_regularizer="l2")
    ys, cache = layer.forward(X)
    dy = np.full_like(X, 2.0)
    dx, grads = layer.backward([dy, dy, dy], cache)
    np.testing.assert_array_equal(grads["w"], 2 + 2 * X)
    np.testing.assert_array_equal(dx, dy)
    assert cache.activity_penalty() == pytest.approx(0.01 * (15 + (X * X).sum() + 15) / 5)
    for y in [ys, layer.run(X), layer(X)]:
        assert all(isinstance(one, np.ndarray) for one in y)
        y[0][:], y[2][:] = 7.0, 7.0  # which are not the weights themselves
    assert (layer.w.numpy() == 1).all()
    assert (layer.frozen.numpy() == 1).all()


@pytest.mark.keras
@pytest.mark.slow
def test_a_returned_weight_learns_as_in_keras() -> None:
    keras = pytest.importorskip("keras")

    def trained(k: Any) -> Any:
        class Row(k.layers.Layer):  # type: ignore[misc]
            def build(self, input_shape: Any) -> None:
                self.w = self.add_weight(shape=(5, 3), initializer="ones")

            def call(self, x: Any) -> Any:
                return self.w

        model = k.Sequential([k.Input((3,)), Row()])
        model.compile(k.optimizers.SGD(0.1), "mse")
        model.fit(X, X, batch_size=5, epochs=2, shuffle=False, verbose=0)
        return model.get_weights()[0]

    np.testing.assert_allclose(trained(minicnn), trained(keras), rtol=1e-5)


class InPlace(layers.Layer):
    """Each `+=` makes a new tensor: `h` stays what it was."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight((input_shape[-1],), "ones", name="w")
        self.dense = layers.Dense(3, kernel_initializer="ones")

    def call(self, x: Any) -> Any:
        h = ops.relu(x)
        z = h
        z += 1.0
        total = ops.zeros(ops.shape(x))
        first = total
        for _ in range(2):
            total += z * h
        d = e = self.dense(x)
        e *= 2.0
        v = u = ops.reshape(self.w, (1, 3))
        v -= 5.0
        x += 10.0
        x /= 2.0
        x **= 2.0
        return total + first + d * e + u * v + x


class TimesResult(layers.Layer):
    """A result from outside is a constant: what is computed from it is like any other value."""

    ones = ops.ones((3,))

    def call(self, x: Any) -> Any:
        y = z = self.ones * x
        y += 1.0
        return z


def expected_in_place(x: Any) -> Any:
    h, d = np.maximum(x, 0), x.sum(-1, keepdims=True)
    return 2 * h * (h + 1) + 2 * d * d - 4 + ((x + 10) / 2) ** 2


def test_in_place_operators_make_new_arrays() -> None:
    x = X.copy()
    layer = InPlace()
    model = minicnn.Sequential([minicnn.Input((3,)), layer])

    class Holds(minicnn.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layer

        def call(self, x: Any) -> Any:
            x += 0.0
            return self.inner(x)

    holds = Holds()
    for pass_ in (
        layer,
        layer.run,
        lambda x: layer.forward(x)[0],
        model,
        lambda x: model.predict(x, verbose=0),
        lambda x: holds.predict(x, verbose=0),
        holds,
    ):
        y = pass_(x)
        np.testing.assert_allclose(np.asarray(y), expected_in_place(X), rtol=1e-5)
        assert type(y) in (np.ndarray, Result)
        assert y.flags.writeable
        np.testing.assert_array_equal(x, X)
    assert (layer.w.numpy() == 1).all()
    np.testing.assert_array_equal(TimesResult()(X), X)
    model.compile("sgd", "mse")
    model.fit(x, x, validation_data=(x, x), epochs=2, verbose=0)
    model.evaluate(x, x, verbose=0)
    np.testing.assert_array_equal(x, X)
    check_gradients_of_in_place()


def check_gradients_of_in_place() -> None:
    layer = InPlace(dtype="float64")
    x = X[:2].astype(float)
    y, cache = layer.forward(x)
    dx, grads = layer.backward(np.ones_like(y), cache)
    d = x.sum(-1, keepdims=True)
    relu = np.where(x > 0, 2 * (2 * x + 1), 0)
    np.testing.assert_allclose(dx, relu + 12 * d + (x + 10) / 2)
    np.testing.assert_allclose(grads["w"], np.full(3, 2 * (2 * 1 - 5)))


def test_what_call_is_given_cannot_be_written_to() -> None:
    class Writes(layers.Layer):
        def call(self, x: Any, other: Any = None) -> Any:
            (x if other is None else other)[0] = 1.0
            return x

    class Same(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ValueError, match="read-only"):
        Writes().run(X)
    with pytest.raises(ValueError, match="read-only"):
        Writes()(X, X.copy())
    for y in (Same()(X), Same().run(X)):
        y[:] = 0.0  # it is the caller's
    assert X.any()


def test_files_have_the_arguments_and_weights(tmp_path: Path) -> None:
    model = minicnn.Model(
        inputs := minicnn.Input((5, 5, 2)), MyDense(2, "tanh")(Block(0.0)(inputs))
    )
    model.compile("adam", "mse")
    model.fit(IMAGES, np.zeros((4, 2)), verbose=0)
    classes = {"MyDense": MyDense, "Block": Block}
    expected = model.predict(IMAGES, verbose=0)
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        again = models.load_model(tmp_path / name, custom_objects=classes)
        np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), expected)
        assert again.layers[1].rate == 0.0
        assert again.layers[2].units == 2
        with pytest.raises(ValueError, match=r"pass custom_objects=\{'Block': …\}"):
            models.load_model(tmp_path / name)
    with saving.custom_object_scope(classes):
        again = models.load_model(tmp_path / "m.keras")
    a, b = (m.train_on_batch(IMAGES, np.ones((4, 2))) for m in (model, again))
    assert a == pytest.approx(b)
    model.save_weights(tmp_path / "m.weights.h5")
    again.load_weights(tmp_path / "m.weights.h5")
    clone = models.clone_model(model)
    clone.load_weights(tmp_path / "m.weights.h5")
    for other in (again, clone, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(
            other.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0)
        )
    assert clone.layers[1].name == model.layers[1].name


@pytest.mark.parametrize("file", ["m.keras", "m.h5"])
def test_registered_classes_are_known(file: str, tmp_path: Path) -> None:
    @saving.register_keras_serializable(package="tests")
    class Registered(layers.Layer):
        def __init__(self, factors: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.sum = float(sum(factors))

        def call(self, x: Any) -> Any:
            return x * self.sum

    try:
        model = minicnn.Model(inputs := minicnn.Input((3,)), Registered([1, 2])(inputs))
        model.save(tmp_path / file)
        assert saving.get_registered_name(Registered) == "tests>Registered"
        assert saving.get_registered_object("tests>Registered") is Registered
        again = models.load_model(tmp_path / file)
        np.testing.assert_array_equal(again.predict(X, verbose=0), X * 3)
    finally:
        del saving.get_custom_objects()["tests>Registered"]
    with pytest.raises(
        ValueError, match=r"of class '(tests>)?Registered', which minicnn does not have"
    ):
        models.load_model(tmp_path / file)


class Repeats(layers.Layer):
    """A layer whose attribute `layers` is its own affair, as an argument of that name often is."""

    def __init__(self, layers: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = layers
        self.dense = MyDense(3)
        self.drop = minicnn.layers.Dropout(0.5, seed=1)

    def call(self, x: Any, training: bool = False) -> Any:
        for _ in range(self.layers):
            x = self.dense(x)
        return self.drop(x, training=training)


def test_an_attribute_may_be_called_layers(tmp_path: Path) -> None:
    model = minicnn.Sequential([minicnn.Input((3,)), Repeats(3)])
    model.save(tmp_path / "m.keras")
    known = {"Repeats": Repeats, "MyDense": MyDense}
    again = models.load_model(tmp_path / "m.keras", custom_objects=known)
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    model.compile("sgd", "mean_squared_error")
    backup = minicnn.callbacks.BackupAndRestore(tmp_path)
    model.fit(X, X, epochs=1, verbose=0, callbacks=[backup])
    np.testing.assert_array_equal(model.trace(X).entries[-1].y, model.predict(X, verbose=0))


def test_a_config_of_ones_own() -> None:
    class Named(layers.Layer):
        def __init__(self, size: int) -> None:  # takes no name
            super().__init__()
            self.inner = layers.Dense(size)

        def get_config(self) -> dict[str, Any]:
            return super().get_config() | {"size": self.inner.units}

        def call(self, x: Any) -> Any:
            return self.inner(x)

    layer = Named(4)
    layer.trainable = False
    again = Named.from_config(layer.get_config())
    assert (again.name, again.trainable, again.inner.units) == (layer.name, False, 4)
    with pytest.raises(ValueError, match=r"^Named cannot be made from its config: .*'more'"):
        Named.from_config({"size": 3, "more": 1})

    class Holds(layers.Layer):
        def __init__(self, inner: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = inner

        def call(self, x: Any) -> Any:
            return self.inner(x)

    model = minicnn.Model(inputs := minicnn.Input((3,)), Holds(layers.ReLU())(inputs))
    with pytest.raises(ValueError, match=r"get_config to return what JSON can hold; define it"):
        model.to_json()


def test_self_may_have_another_name(tmp_path: Path) -> None:
    class Other(layers.Layer):
        def __init__(me, factor: float = 2.0, **options: Any) -> None:  # noqa: N805
            super().__init__(**options)
            me.factor = factor

        def call(me, x: Any) -> Any:  # noqa: N805
            return x * me.factor

    layer = Other(3.0, name="it")
    config = layer.get_config()
    assert config == {"name": "it", "trainable": True, "dtype": "float32", "factor": 3.0}
    assert Other.from_config(config).factor == 3.0
    model = minicnn.Model(inputs := minicnn.Input((3,)), layer(inputs))
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras", custom_objects={"Other": Other})
    np.testing.assert_array_equal(again.predict(X, verbose=0), X * 3)


def returns(value: Any) -> Any:
    class Returns(layers.Layer):
        def call(self, x: Any) -> Any:
            return value

    return Returns


class WithoutSuper(layers.Layer):
    def __init__(self) -> None:
        self.inner = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.inner(x)


class UsesNumPy(layers.Layer):
    def call(self, x: Any) -> Any:
        return np.mean(x, axis=-1)


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda: WithoutSuper()(X), RuntimeError, r"does not call super\(\).__init__\(\)"),
        (lambda: returns(None)().forward(X), TypeError, "expects call to return an array"),
        (lambda: returns([])().run(X), TypeError, "expects call to return an array"),
        (
            lambda: UsesNumPy()(minicnn.Input((3,))),
            ValueError,
            r"called on zeros of shape \(None, 3\), from which .* np\.mean cannot be recorded",
        ),
        (
            lambda: MyDense()([minicnn.Input((3,)), X]),
            TypeError,
            "expects symbols or arrays, not both",
        ),
        (lambda: MyDense().backward(X, {}), ValueError, "the cache that its forward returned"),
        (
            lambda: (a := MyDense(2)).backward(X, a.forward(X)[1]),
            ValueError,
            r"expects dy\.shape=\(5, 2\)\. Received dy\.shape=\(5, 3\)",
        ),
        (
            lambda: (a := Halves()).backward(X, a.forward([X, X])[1]),
            ValueError,
            r"expects 2 gradients\. Received 1",
        ),
        (lambda: layers.Layer().call(X), NotImplementedError, "Layer has no compute"),
    ],
)
def test_what_is_wrong_is_said(act: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        act()


def test_numpy_predicts_but_does_not_learn() -> None:
    np.testing.assert_allclose(UsesNumPy().run(X), X.mean(-1), rtol=1e-6)
    with pytest.raises(TypeError, match=r"np\.mean cannot be recorded for gradients"):
        UsesNumPy().forward(X)


def test_tensors_of_other_libraries_are_named() -> None:
    kind = type("Tensor", (), {"__module__": "torch"})
    with pytest.raises(TypeError, match=r"Received a Tensor of torch, whose functions minicnn"):
        returns(kind())().run(X)
    with pytest.raises(TypeError, match=r"Received a Tensor of torch"):
        ops.add(X, kind())


def test_an_activation_of_ones_own() -> None:
    layer = MyDense(2)
    layer.activation = lambda x: x * 3.0
    y, _cache = layer.forward(X)
    layer.activation = None
    np.testing.assert_allclose(y, layer(X) * 3, rtol=1e-6)
    with pytest.raises(ValueError, match="To use another function, write a layer"):
        layers.Dense(2, activation=lambda x: x)


def test_explaining_says_that_it_is_unknown() -> None:
    model = minicnn.Model(inputs := minicnn.Input((3,)), MyDense(2, name="mine")(inputs))
    trace = model.trace(X, y=np.zeros((5, 2)), loss="mse")
    assert trace["mine"].y.shape == (5, 2)
    assert set(trace["mine"].grads) == {"w", "b"}
    assert "mine (MyDense)" in str(trace)
    for ask in (
        lambda: trace.explain("mine", at=0),
        lambda: trace.explain_gradient("mine", "w", (0, 0)),
    ):
        with pytest.raises(ValueError, match=r'MyDense "mine" defines call, which .* cannot take'):
            ask()

    class Doubled(layers.Dense):
        def call(self, x: Any) -> Any:
            return super().call(x) * 2.0

    with pytest.raises(ValueError, match=r'Doubled "twice" defines call'):
        Doubled(2, name="twice").explain(X, at=0)
