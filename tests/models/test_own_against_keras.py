"""A user's own layers and models: the same class on Keras and on minicnn gives the same numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4, 4, 2)).astype("float32"), RNG.integers(0, 3, 40)


def network(k: Any) -> Any:
    """A class of models that uses what tutorials use, on Keras or on minicnn."""
    layers, ops = k.layers, k.ops

    class Linear(layers.Layer):
        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape: Any) -> None:
            self.count = self.add_weight(initializer="zeros", trainable=False)
            self.w = self.add_weight(
                shape=(input_shape[-1], self.units),
                initializer="random_normal",
                regularizer="l2",
                trainable=True,
            )
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

        def call(self, x: Any) -> Any:
            self.count.assign(self.count + 1)
            return ops.matmul(x, self.w) + self.b

    class Attention(layers.Layer):
        def __init__(self, size: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.query, self.key, self.value = (layers.Dense(size) for _ in range(3))
            self.scale = size**-0.5

        def call(self, x: Any) -> Any:
            scores = ops.einsum("bqd,bkd->bqk", self.query(x), self.key(x)) * self.scale
            return ops.matmul(ops.softmax(scores, axis=-1), self.value(x))

    class Penalty(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(1e-3 * ops.sum(ops.square(x)))
            return x

    class Net(k.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.conv = layers.Conv2D(6, 3, padding="same", activation="relu")
            self.norm = layers.BatchNormalization()
            self.attention, self.punish = Attention(6), Penalty()
            self.lines = [Linear(7), Linear(5)]
            self.layer_norm = layers.LayerNormalization()
            self.chain = k.Sequential(
                [layers.Dense(6, activation="gelu", activity_regularizer="l2"), layers.Dense(6)]
            )
            self.head = layers.Dense(3, activation="softmax")

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.norm(self.conv(x))
            x = ops.reshape(x, (-1, 16, 6))
            x = self.punish(self.layer_norm(x + self.attention(x)))
            x = x + self.chain(x)
            x = ops.concatenate([ops.mean(x, axis=1), ops.max(x, axis=1)], axis=-1)
            for line in self.lines:
                x = ops.tanh(line(x))
            return self.head(x)

    return Net


def pair(make: Callable[[Any], Any] = network) -> tuple[Any, Any]:
    """Return a model on each, with the same weights, compiled alike."""
    theirs, ours = make(keras)(), make(minicnn)()
    theirs(X[:2])
    ours(X[:2])
    assert [w.shape for w in theirs.weights] == [w.shape for w in ours.weights]
    ours.set_weights(theirs.get_weights())
    for model, k in ((theirs, keras), (ours, minicnn)):
        model.compile(
            k.optimizers.SGD(0.05),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            run_eagerly=True,  # tracing a graph takes Keras longer than these steps
        )
    return theirs, ours


def positives(k: Any) -> Any:
    """Keras's way to write a metric: it keeps variables; `reset_state` may know them by name."""

    class Positives(k.metrics.Metric):  # type: ignore[misc]
        def __init__(self, name: str = "positives", **kwargs: Any) -> None:
            super().__init__(name=name, **kwargs)
            self.found = self.add_weight(name="found", initializer="zeros")
            self.batches = self.add_variable((2,), "ones", dtype="int32", name="batches")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            right = k.ops.logical_and(k.ops.equal(y_true, 1), y_pred[:, 1] > 0.5)
            self.found.assign(self.found + k.ops.sum(k.ops.cast(right, self.dtype)))
            self.batches.assign_add(np.array([1, 2], "int32"))

        def result(self) -> Any:
            return self.found

    class Knows(Positives):
        def reset_state(self) -> None:
            self.found.assign(0.0)
            self.batches.assign(np.zeros(2, "int32"))

    return Positives, Knows


def test_a_metric_with_variables() -> None:
    y, y_pred = np.array([0, 1, 1, 0]), np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    for ours, theirs in zip(positives(minicnn), positives(keras), strict=True):
        for metric in (mine := ours(), other := theirs()):
            metric.update_state(y, y_pred)
            metric.update_state(y, y_pred)
        assert float(mine.result()) == float(other.result()) == 2.0
        assert int(mine.found) == 2
        assert [v.numpy().tolist() for v in mine.variables] == [2.0, [3, 5]]
        assert [v.numpy().tolist() for v in other.variables] == [2.0, [3, 5]]
        mine.reset_state()
        assert [v.numpy().tolist() for v in mine.variables] == [0.0, [0, 0]]
        assert mine(y, y_pred) == 1.0


def test_training_watches_a_metric_with_variables(tmp_path: Path) -> None:
    kind, _ = positives(minicnn)
    model = minicnn.Sequential([minicnn.Input((4, 4, 2)), minicnn.layers.Flatten()])
    model.add(minicnn.layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[kind()])
    logs = model.fit(X, Y, epochs=2, verbose=0).history["positives"]
    assert all(type(found) is float and 0 <= found <= (Y == 1).sum() for found in logs)
    model.save(tmp_path / "m.keras")
    again = minicnn.models.load_model(tmp_path / "m.keras", custom_objects={"Positives": kind})
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_a_metric_may_have_several_numbers() -> None:
    """They come under their own names, in Keras's order."""
    found = []
    for k in (minicnn, keras):
        kind, _ = positives(k)

        class Several(kind):  # type: ignore[misc, valid-type]
            def result(self) -> Any:
                return {"many": self.found * 2, "few": self.found}

        model = k.Sequential([k.Input((4, 4, 2)), k.layers.Flatten()])
        model.add(k.layers.Dense(3, activation="softmax", kernel_initializer="zeros"))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=[Several(), "accuracy"])
        logs = model.evaluate(X, Y, verbose=0, return_dict=True)
        found.append((list(logs), list(logs.values()), model.evaluate(X, Y, verbose=0)))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1:], found[1][1:], rtol=1e-5)


def test_a_metric_s_variable_needs_a_tuple_for_its_shape() -> None:
    kind, _ = positives(minicnn)
    for shape in ("found", 3):
        with pytest.raises(ValueError, match=rf"^Positives expects .* Received shape={shape!r}"):
            kind().add_weight(shape)
    assert minicnn.metrics.Mean()([1, 2]) == 1.5


# Names that Keras leaves to its users, and that they may use here, too: a layer without `call`
# defines them, Keras has properties of these names, or nothing depends on them.
FREE = {
    *("activation", "activation_name", "compute", "compute_gradients", "differs_in_training"),
    *("first_epoch", "given_input_shape", "inference_model", "inference_program", "input_rank"),
    *("input_shape", "inputs", "keras_class_name", "keras_module", "metadata", "multiply_adds"),
    *("optimizer", "output_shape", "outputs", "parameter_formula", "print_inference_plan"),
    *("receptive_window", "stop_evaluating", "stop_predicting", "stop_training", "takes_integers"),
    *("takes_list", "training_by_default", "training_model"),
}


@pytest.mark.parametrize("kind", ["Layer", "Model"])
def test_a_name_of_minicnn_s_is_refused_or_free(kind: str) -> None:
    """A new method would otherwise break classes that use its name for something of their own."""
    ours, theirs = getattr(minicnn, kind), getattr(keras, kind, keras.layers.Layer)
    own = type("Own", (ours,), {"call": lambda self, x: x})
    names = {*dir(own), *vars(own())} - {*dir(theirs), *vars(theirs())}
    for name in sorted(name for name in names - FREE if not name.startswith("_")):
        with pytest.raises(AttributeError, match=f"cannot define {name} itself"):
            type("Other", (ours,), {"call": lambda self, x: x, name: 3})


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_files_of_a_registered_class_go_both_ways(ending: str, tmp_path: Path) -> None:
    """Neither class has an `__init__`, so the config is that of Keras's `Layer`."""
    made = {}
    for k in (minicnn, keras):

        @k.saving.register_keras_serializable(package="both ways")
        class Twice(k.layers.Layer):  # type: ignore[misc]
            def call(self, x: Any) -> Any:
                return 2 * x

        made[k] = k.Sequential([k.Input((3,)), Twice(), k.layers.Dense(2)])
        made[k].save(tmp_path / (k.__name__ + ending))
    x = X[0, :, 0, :1] * np.ones(3, "float32")
    try:
        for k, other in ((minicnn, keras), (keras, minicnn)):
            again = k.models.load_model(tmp_path / (other.__name__ + ending))
            np.testing.assert_allclose(again(x), made[other](x), atol=1e-6)
    finally:
        for k in made:
            del k.saving.get_custom_objects()["both ways>Twice"]


@pytest.mark.slow
def test_twenty_steps_of_training(tmp_path: Path) -> None:
    theirs, ours = pair()
    np.testing.assert_allclose(
        ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-4, atol=1e-6
    )
    before = ours.get_weights()
    for model in (theirs, ours):  # one step of plain descent: the change is the gradient
        model.train_on_batch(X, Y)
    for old, a, b in zip(before, theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(b - old, a - old, rtol=2e-3, atol=2e-6)
    histories = [
        model.fit(X, Y, batch_size=10, epochs=5, shuffle=False, verbose=0).history
        for model in (theirs, ours)
    ]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4, err_msg=name)
    found = [model.evaluate(X, Y, verbose=0) for model in (theirs, ours)]
    np.testing.assert_allclose(*found, rtol=1e-4)
    # Each reads the other's weights: the paths in the files are the same.
    other = network(minicnn)()
    other(X[:2])
    theirs.save_weights(tmp_path / "k.weights.h5")
    other.load_weights(tmp_path / "k.weights.h5")
    np.testing.assert_allclose(other.predict(X, verbose=0), theirs.predict(X, verbose=0), atol=1e-5)
    ours.save_weights(tmp_path / "m.weights.h5")
    theirs.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), atol=1e-5)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda o, x: o.divide(o.add(x, 1.0), o.exp(o.negative(x)) + 2) ** 2,
    "maximum": lambda o, x: o.maximum(x, 0.5) - o.minimum(x, o.flip(x, axis=1)),
    "power": lambda o, x: o.power(o.abs(x) + 0.1, 1.5) + o.rsqrt(o.square(x) + 1),
    "reduce": lambda o, x: o.std(x, axis=1, keepdims=True) + o.var(x, axis=[1, 2], keepdims=True),
    "largest": lambda o, x: o.max(x, axis=(1, 2)) - o.min(x, axis=-1)[:, 0, :2],
    "logsumexp": lambda o, x: o.logsumexp(x, axis=-1) + o.log1p(o.abs(x[..., 0])),
    "norm": lambda o, x: o.normalize(x, axis=-1) + o.norm(x, 2, axis=-1, keepdims=True),
    "average": lambda o, x: o.average(x, axis=-2, weights=x[0, 0, :, 0]) * o.sigmoid(x[0, 0, 0, 0]),
    "shares": lambda o, x: o.softmax(x, axis=(1, 2)) + o.log_softmax(x, axis=(3, 1)),
    "zeros": lambda o, x: o.normalize(o.relu(x), axis=-1),
    "shapes": lambda o, x: o.transpose(o.reshape(x, (-1, 8, 4)), (0, 2, 1)),
    "repeat": lambda o, x: o.repeat(x, 2, axis=1) * o.tile(x, (1, 2, 1, 1)),
    "roll": lambda o, x: o.roll(x, 1, axis=2) + o.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, 1:],
    "join": lambda o, x: o.concatenate(o.split(x, 2, axis=-1), axis=1),
    "stack": lambda o, x: o.stack(o.unstack(x, axis=-1), axis=1),
    "take": lambda o, x: o.take(x, [0, 0, 2], axis=1) * o.expand_dims(o.squeeze(x[:, :3, :1]), 2),
    "where": lambda o, x: o.where(x > 0, x * 2, o.clip(x, -0.5, 0.0)),
    "matmul": lambda o, x: o.matmul(x, o.transpose(x, (0, 1, 3, 2))),
    "tensordot": lambda o, x: o.tensordot(x, o.ones((2, 3)), axes=1),
    "activations": lambda o, x: o.gelu(x) + o.silu(x) + o.leaky_relu(x) + o.softmax(x, axis=1),
    "gates": lambda o, x: o.glu(x, axis=1) + o.threshold(x, 0.3, -1.0)[:, :2],
    "cumsum": lambda o, x: o.cumsum(x, axis=1) * o.one_hot(o.argmax(x, axis=-1), 2),
    "conv": lambda o, x: o.conv(x, o.ones((2, 2, 2, 3)) * 0.1, strides=1, padding="same"),
    "pool": lambda o, x: o.max_pool(x, 2) + o.average_pool(x, 2, strides=2, padding="same"),
    "adaptive": lambda o, x: o.adaptive_average_pool(x, (3, 2)) * o.adaptive_max_pool(x, (3, 2)),
    "depthwise": lambda o, x: o.depthwise_conv(x, o.ones((3, 3, 2, 1)), padding="valid"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_and_their_gradients(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    from minicnn.ops.tape import Tape

    function = OPERATIONS[name]
    with tf.GradientTape() as recorded:
        given = tf.convert_to_tensor(X[:3])
        recorded.watch(given)
        theirs = function(keras.ops, given)
    dy = np.random.default_rng(1).normal(size=theirs.shape).astype("float32")
    expected = recorded.gradient(theirs, given, dy).numpy()
    tape = Tape()
    with tape:
        x = tape.watch(X[:3])
        ours = function(minicnn.ops, x)
    assert ours.dtype == "float32"
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tape.gradients([(ours, dy)], [x])[0], expected, rtol=2e-3, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(function(minicnn.ops, X[:3])), ours.numpy())
