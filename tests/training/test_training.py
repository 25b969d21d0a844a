"""`compile`, `fit`, `evaluate` and `predict` do what they promise.

`test_against_keras.py` shows that the numbers are Keras's; the tests here need only minicnn.
"""

import copy
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from training_data import Pairs, Seen, X, Y, forever, model, two_inputs

from minicnn import (
    Input,
    Sequential,
    callbacks,
    layers,
    losses,
    metrics,
    optimizers,
    utils,
)
from minicnn.training.batches import class_weights

Array = np.ndarray


def test_the_loss_of_a_pass() -> None:
    """It is what one step of `fit` computes, with the compiled loss or another one."""
    m = model()
    y, tape = m.forward(X)
    found = m.loss_of_pass(Y, y, tape)
    assert found.at_logits
    assert found.value == pytest.approx(m.evaluate(X, Y, verbose=0)[0], rel=1e-6)
    one_hot = m.loss_of_pass(np.eye(3)[Y], y, tape, loss="categorical_crossentropy")
    assert one_hot.value == pytest.approx(found.value, rel=1e-6)
    assert type(one_hot.loss) is losses.CategoricalCrossentropy
    m.compile("sgd")
    with pytest.raises(ValueError, match=r'has no loss to go backward from: .* pass loss="cat'):
        m.loss_of_pass(Y, y, tape)


# -- fit -------------------------------------------------------------------------------------------


def test_a_model_learns() -> None:
    m = model(optimizer=optimizers.Adam(0.02))
    history = m.fit(X, Y, epochs=30, batch_size=8, verbose=0).history
    assert list(history) == ["accuracy", "loss"]
    assert len(history["loss"]) == 30
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert m.evaluate(X, Y, verbose=0)[1] > 0.9


def test_the_history_has_keras_s_keys() -> None:
    history = model().fit(X, Y, validation_split=0.25, epochs=2, verbose=0)
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.epoch == [0, 1]
    history = model(metrics=None).fit(X, Y, initial_epoch=2, epochs=5, verbose=0)
    assert list(history.history) == ["loss"]
    assert history.epoch == [2, 3, 4]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("accuracy", "accuracy"),
        ("acc", "acc"),
        ("sparse_categorical_accuracy", "sparse_categorical_accuracy"),
        ("SparseCategoricalAccuracy", "sparse_categorical_accuracy"),
        (metrics.SparseCategoricalAccuracy(name="right"), "right"),
    ],
)
def test_a_metric_may_have_any_of_its_names(name: Any, key: str) -> None:
    m = model(metrics=[name])
    assert m.metrics_names == ["loss", key]
    assert sorted(m.fit(X, Y, verbose=0).history) == sorted([key, "loss"])
    assert len(m.evaluate(X, Y, verbose=0)) == 2


def test_compile_takes_keras_settings_that_change_nothing() -> None:
    x, y = X[:4], Y[:4]
    utils.set_random_seed(0)
    expected = model().fit(x, y, verbose=0).history
    for more in (
        {"run_eagerly": True},
        {"jit_compile": False},
        {"jit_compile": "auto", "auto_scale_loss": True, "steps_per_execution": 1},
        {"loss_weights": [1.0], "weighted_metrics": []},
        {"loss": ["sparse_categorical_crossentropy"], "metrics": [["accuracy"]]},
    ):
        utils.set_random_seed(0)
        compiled = model(**more)
        found = compiled.fit(x, y, verbose=0).history
        np.testing.assert_array_equal(list(found["loss"]), expected["loss"])
        config = compiled.get_compile_config()
        assert config["run_eagerly"] is more.get("run_eagerly", False)
        assert config["jit_compile"] == more.get("jit_compile", "auto")


def test_several_metrics_come_in_the_order_of_compile() -> None:
    m = model(loss="categorical_crossentropy", metrics=["binary_accuracy", "accuracy"])
    y = np.eye(3)[Y]
    values = m.evaluate(X, y, verbose=0)
    logs = m.evaluate(X, y, verbose=0, return_dict=True)
    assert values == [logs["loss"], logs["binary_accuracy"], logs["accuracy"]]


def test_sources_of_the_same_batches_give_the_same_training() -> None:
    def weights(x: Any, y: Any = None, **arguments: Any) -> list[Array]:
        utils.set_random_seed(3)
        m = model()
        m.fit(x, y, epochs=2, verbose=0, **arguments)
        return m.get_weights()

    expected = weights(X, Y, batch_size=4, shuffle=False)
    batches = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 24, 4)]

    class Again:
        def __iter__(self) -> Iterator[Any]:
            return iter(batches)

    for source, arguments in (
        (Pairs(), {"shuffle": False}),
        (Again(), {}),
        (forever(), {"steps_per_epoch": 6}),
    ):
        for a, b in zip(expected, weights(source, **arguments), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_sequence_is_read_whole_each_epoch(shuffle: bool) -> None:
    pairs = Pairs()
    model().fit(pairs, epochs=3, shuffle=shuffle, verbose=0)
    epochs = [pairs.asked[i : i + 6] for i in (0, 6, 12)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(6))] * 3
    assert (len({tuple(epoch) for epoch in epochs}) > 1) == shuffle
    assert pairs.epochs == 3


def test_a_sequence_that_fails_says_so_and_leaves_no_thread() -> None:
    class Broken(Pairs):
        def __getitem__(self, i: int) -> Any:
            if i == 2:
                raise OSError("photo 2 is gone")
            return super().__getitem__(i)

    with pytest.raises(OSError, match="photo 2 is gone"):
        model().fit(Broken(), shuffle=False, verbose=0)


def test_steps_per_epoch_reads_on() -> None:
    pairs = Pairs()
    model().fit(pairs, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    assert pairs.asked[:6] == list(range(6))


class Again:
    """Gives batches 0 to 5, from the first one each time; it has no length."""

    def __iter__(self) -> Iterator[Any]:
        return (Pairs()[i] for i in range(6))


class Steps(callbacks.Callback):
    """Counts the training steps of each epoch, and all validation steps."""

    def __init__(self) -> None:
        self.steps, self.tested = [], 0  # type: ignore[var-annotated]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.steps.append(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps[-1] += 1

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.tested += 1


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(20, [6, 6, 6]), (7, [6, 6, 6]), (6, [6, 6, 6]), (4, [4, 2, 4]), (3, [3, 3, 3])],
)
@pytest.mark.parametrize("kind", ["arrays", "sequence", "iterable"])
def test_an_epoch_ends_where_the_data_do(kind: str, steps: int, expected: list[int]) -> None:
    """As in Keras, no example is trained on twice because `steps_per_epoch` asks for more."""
    seen: list[Array] = []

    class Watch(layers.Layer):
        def compute(self, x: Array, training: bool) -> Any:
            seen.append(x)
            return x, {}

        def compute_gradients(self, dz: Array, cache: Any, need_dx: bool) -> Any:
            return dz, {}

    m = Sequential([Input((4,)), Watch(), layers.Dense(3, "softmax")])
    m.compile("sgd", "sparse_categorical_crossentropy")
    counted = Steps()
    data: dict[str, Any] = {
        "arrays": {"x": X, "y": Y, "batch_size": 4, "shuffle": False},
        "sequence": {"x": Pairs(), "shuffle": False},
        "iterable": {"x": Again()},
    }[kind]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        m.fit(**data, epochs=3, steps_per_epoch=steps, callbacks=counted, verbose=0)
    assert counted.steps == expected
    early = [f"The training data ended after {n} of {steps} steps." for n in expected if n < steps]
    assert [str(w.message) for w in caught] == early
    for number, x in enumerate(seen):
        np.testing.assert_array_equal(x, X[4 * (number % 6) : 4 * (number % 6) + 4])


@pytest.mark.parametrize("make", [Pairs, Again, lambda: iter(Again())])
def test_no_example_is_evaluated_or_predicted_twice(make: Any) -> None:
    m, counted = model(), Steps()
    expected = m.evaluate(X, Y, verbose=0)
    with pytest.warns(UserWarning, match="to evaluate ended after 6 of 9 steps"):
        found = m.evaluate(make(), steps=9, callbacks=counted, verbose=0)
    assert found == pytest.approx(expected, rel=1e-5)
    assert counted.tested == 6
    with pytest.warns(UserWarning, match="to predict ended after 6 of 9 steps"):
        found = m.predict(make(), steps=9, verbose=0)
    np.testing.assert_allclose(found, m.predict(X, verbose=0), rtol=1e-5)
    with pytest.warns(UserWarning, match="to evaluate ended after 6 of 7 steps"):
        m.fit(X, Y, validation_data=make(), validation_steps=7, callbacks=counted, verbose=0)
    assert counted.tested == 12


def test_validation_starts_again_each_epoch() -> None:
    pairs = Pairs()
    model().fit(X, Y, epochs=3, validation_data=pairs, validation_steps=2, verbose=0)
    assert set(pairs.asked) <= {0, 1, 2}  # one batch is fetched ahead
    assert pairs.asked.count(0) == 3


class Epochs(Pairs):
    """Logs its reads, which come in order, and where its epochs begin and end."""

    def __init__(self, name: str, log: list[str], batches: int) -> None:
        super().__init__(batches)
        self.name, self.log = name, log

    def __getitem__(self, i: int) -> tuple[Array, Array]:
        self.log.append(f"{self.name}{i}")
        return super().__getitem__(i)

    def on_epoch_begin(self) -> None:
        self.log.append(f"{self.name}(")

    def on_epoch_end(self) -> None:
        self.log.append(f"){self.name}")


def told(log: list[str]) -> callbacks.Callback:
    """Return a callback that logs when epochs, tests and predictions begin and end."""
    events = [e for e in callbacks.EVENTS if "batch" not in e and "train" not in e]
    made = callbacks.Callback()
    for event in events:
        setattr(made, event, lambda *args, event=event: log.append(event[3:]))
    return made


def test_a_sequence_is_told_of_its_epochs() -> None:
    log: list[str] = []
    train, validation = Epochs("t", log, 2), Epochs("v", log, 2)
    m = model()
    options: dict[str, Any] = {"verbose": 0, "callbacks": told(log)}
    m.fit(train, epochs=2, shuffle=False, validation_data=validation, **options)
    test = ["test_begin", "v(", "v0", "v1", ")v", "test_end"]
    epoch = ["epoch_begin", "t(", "t0", "t1", ")t", *test, "epoch_end"]
    assert log == epoch * 2
    log.clear()
    m.evaluate(validation, **options)
    assert log == test
    log.clear()
    m.predict(train, **options)
    assert log == ["predict_begin", "t(", "t0", "t1", ")t", "predict_end"]


def test_a_sequence_that_is_read_in_part_is_told_of_its_end() -> None:
    log: list[str] = []
    train, validation = Epochs("t", log, 3), Epochs("v", log, 6)
    # Four epochs pass over the training data twice; validation sees the same batches each time.
    settings: dict[str, Any] = {"steps_per_epoch": 2, "validation_steps": 2, "verbose": 0}
    m = model()
    with pytest.warns(UserWarning, match="training data ended after 1 of 2 steps"):
        m.fit(train, epochs=4, shuffle=False, validation_data=validation, **settings)
    assert [c for c in log if c in "t()t"] == ["t(", ")t"] * 2
    assert [c for c in log if c in "v()v"] == ["v(", ")v"] * 4
    assert log.count("v0") == log.count("v1") == 4
    log.clear()
    m.predict(validation, steps=2, callbacks=told(log), verbose=0)
    assert (log[:3], log[-2:]) == (["predict_begin", "v(", "v0"], [")v", "predict_end"])
    log.clear()
    m.fit(train, epochs=2, shuffle=False, steps_per_epoch=3, callbacks=told(log), verbose=0)
    assert log == ["epoch_begin", "t(", "t0", "t1", "t2", ")t", "epoch_end"] * 2


def test_validation_freq() -> None:
    history = (
        model().fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=2, verbose=0).history
    )
    assert (len(history["loss"]), len(history["val_loss"])) == (5, 2)


def test_validation_split_takes_the_last_examples_and_never_trains_on_them() -> None:
    x = X.copy()
    x[18:] = np.nan
    m = model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = m.fit(x, Y, validation_split=0.25, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isnan(history["val_loss"]).all()
    assert all(np.isfinite(w).all() for w in m.get_weights())


@pytest.mark.parametrize("form", [list, tuple, lambda parts: dict(zip("ab", parts))])
def test_validation_split_cuts_each_input(form: Callable[[Any], Any]) -> None:
    weights = np.linspace(0, 1, 24)
    histories = []
    for settings in (
        {"x": form([X[:, :2], X[:, 2:]]), "sample_weight": weights, "validation_split": 0.25},
        {
            "x": [X[:18, :2], X[:18, 2:]],
            "sample_weight": weights[:18],
            "validation_data": ([X[18:, :2], X[18:, 2:]], Y[18:], weights[18:]),
        },
    ):
        utils.set_random_seed(0)
        y = Y.tolist() if "validation_split" in settings else Y[:18]
        histories.append(two_inputs().fit(y=y, epochs=2, verbose=0, **settings).history)
    assert histories[0] == histories[1]
    assert len(histories[0]["val_loss"]) == 2


def test_an_example_of_weight_zero_counts_as_absent() -> None:
    def weights(x: Array, y: Array, **arguments: Any) -> list[Array]:
        utils.set_random_seed(3)
        m = model(loss=losses.SparseCategoricalCrossentropy(reduction="sum"))
        m.fit(x, y, batch_size=len(x), shuffle=False, verbose=0, **arguments)
        return m.get_weights()

    weight = np.array([1.0] * 12 + [0.0] * 12)
    for a, b in zip(weights(X, Y, sample_weight=weight), weights(X[:12], Y[:12]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_class_weight_is_a_sample_weight_by_class() -> None:
    def weights(**arguments: Any) -> list[Array]:
        utils.set_random_seed(3)
        m = model()
        m.fit(X, Y, epochs=2, verbose=0, **arguments)
        return m.get_weights()

    by_class = weights(class_weight={0: 2.0, 2: 0.5})
    by_example = weights(sample_weight=np.array([2.0, 1.0, 0.5])[Y])
    for a, b, c in zip(by_class, by_example, weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    np.testing.assert_array_equal(class_weights(np.eye(3)[[0, 2]], {2: 5.0}), [1, 5])


def test_events_come_in_keras_s_order() -> None:
    seen = Seen()
    model().fit(X, Y, batch_size=12, validation_data=(X, Y), callbacks=[seen], verbose=0)
    events = [e for e in seen.events if e.startswith("on_")]
    # First come the events that `CallbackList` looked up, to see that the callback has them all.
    events = events[len(callbacks.EVENTS) :]
    assert events == [
        "on_train_begin",
        "on_epoch_begin",
        *["on_train_batch_begin", "on_train_batch_end"] * 2,
        "on_test_begin",
        *["on_test_batch_begin", "on_test_batch_end"] * 2,
        "on_test_end",
        "on_epoch_end",
        "on_train_end",
    ]


def test_stop_training_stops() -> None:
    def stop(epoch: int, logs: Any) -> None:
        m.stop_training = epoch == 1

    m = model()
    history = m.fit(
        X, Y, epochs=9, callbacks=callbacks.LambdaCallback(on_epoch_end=stop), verbose=0
    )
    assert history.epoch == [0, 1]
    assert len(m.fit(X, Y, epochs=2, verbose=0).epoch) == 2, "a new fit begins anew"


# -- the same numbers ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_numbers() -> None:
    def train(seed: int) -> tuple[list[Array], Any]:
        utils.set_random_seed(seed)
        m = Sequential(
            [Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(3, "softmax")]
        )
        m.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = m.fit(X, Y, epochs=3, batch_size=8, verbose=0).history
        return m.get_weights(), history

    first, history = train(1)
    again, history_again = train(1)
    other, _ = train(2)
    assert history == history_again
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_evaluate_and_predict_change_nothing() -> None:
    m = Sequential([Input((4,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3)])
    m.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    before = m.get_weights()
    first = m.predict(X, verbose=0)
    m.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(first, m.predict(X, verbose=0))
    for a, b in zip(before, m.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluate_is_the_mean_over_examples_whatever_the_batches() -> None:
    m = model()
    expected = m.evaluate(X, Y, batch_size=24, verbose=0)
    for size in (1, 5, 7, 100):
        assert m.evaluate(X, Y, batch_size=size, verbose=0) == pytest.approx(expected, rel=1e-5)
    y_pred = m.predict(X, verbose=0)
    by_hand = -np.log(y_pred[np.arange(24), Y]).mean()
    assert expected[0] == pytest.approx(by_hand, rel=1e-5)
    assert expected[1] == pytest.approx((y_pred.argmax(1) == Y).mean())


def test_a_single_step() -> None:
    m = model(optimizer=optimizers.SGD(0.1))
    loss, accuracy = m.test_on_batch(X, Y)
    before = m.get_weights()
    assert m.train_on_batch(X, Y) == [loss, accuracy], "what it says is from before the step"
    assert not any(np.array_equal(a, b) for a, b in zip(before, m.get_weights(), strict=True))
    assert m.test_on_batch(X, Y, return_dict=True)["loss"] < loss
    np.testing.assert_array_equal(m.predict_on_batch(X), m.predict(X, verbose=0))
    weighted = m.train_on_batch(X, Y, class_weight={0: 0.0, 1: 0.0, 2: 0.0}, return_dict=True)
    assert weighted["loss"] == 0


@pytest.mark.parametrize("make", [lambda: optimizers.SGD(0.1), lambda: optimizers.Adam()])
def test_an_optimizer_serves_one_model(make: Any) -> None:
    """Or the second model in a comparison would start with the first one's moments and steps."""
    optimizer = make()
    first, second = model(), model()
    for m in (first, second):
        m.compile(optimizer, "sparse_categorical_crossentropy")
    first.fit(X, Y, verbose=0)
    before, steps = second.get_weights(), optimizer.iterations
    for train in (second.fit, second.train_on_batch):
        with pytest.raises(ValueError, match=r'Received ".*/kernel" and \d more, which are new'):
            train(X, Y)
    assert optimizer.iterations == steps
    for a, b in zip(before, second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    first.compile(optimizer, "sparse_categorical_crossentropy")  # continues with the same weights
    first.fit(X, Y, verbose=0)
    assert optimizer.iterations == 2 * steps
    duplicate = copy.deepcopy(first)  # it has its own optimizer
    duplicate.fit(X, Y, verbose=0)
    assert (optimizer.iterations, duplicate.optimizer.iterations) == (2 * steps, 3 * steps)


def test_compile_again_refuses_an_optimizer_that_has_not_seen_a_layer() -> None:
    """As in Keras, fine-tuning needs a new optimizer; training continues without `compile`."""
    optimizer, m = optimizers.Adam(), model()
    m.layers[0].trainable = False
    m.compile(optimizer, "sparse_categorical_crossentropy")
    m.fit(X, Y, verbose=0)
    m.layers[-1].trainable = False
    m.layers[0].trainable = True
    m.fit(X, Y, verbose=0)
    m.compile(optimizer, "sparse_categorical_crossentropy")
    m.layers[-1].trainable = True
    m.fit(X, Y, verbose=0)  # by now it has seen all layers
    other = optimizers.Adam()
    m.layers[0].trainable = False
    m.compile(other, "sparse_categorical_crossentropy")
    m.fit(X, Y, verbose=0)
    m.layers[0].trainable = True
    m.compile(other, "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="compile with a new optimizer"):
        m.fit(X, Y, verbose=0)


def test_a_frozen_model_runs_but_does_not_move() -> None:
    m = model()
    m.trainable = False
    before = m.get_weights()
    with pytest.warns(UserWarning, match="has no trainable weights"):
        m.fit(X, Y, verbose=0)
    for a, b in zip(before, m.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_becomes_nan_gives_a_warning() -> None:
    x = X.copy()
    x[3] = np.nan
    with pytest.warns(UserWarning, match="the loss became NaN"):
        model().fit(x, Y, verbose=0)


ONE_HOT = np.eye(3)[Y]
SCORES = losses.CategoricalCrossentropy(from_logits=True)
DOUBTS: list[tuple[int, Any, Any, Array, dict[str, Any], list[str]]] = [
    (1, "softmax", "binary_crossentropy", Y > 0, {}, ["softmax of one unit.*sigmoid"]),
    (1, "softmax", "sparse_categorical_crossentropy", 0 * Y, {}, ["one unit.*binary_cross"]),
    (1, "sigmoid", "categorical_crossentropy", Y > 0, {}, ["one unit.*for each class"]),
    (1, None, SCORES, Y > 0, {}, ["one unit.*for each class"]),
    (3, "softmax", "binary_crossentropy", ONE_HOT, {}, ['softmax.*Use "categorical_cross']),
    (3, "sigmoid", "categorical_crossentropy", ONE_HOT, {}, ['sigmoid.*Use activation="softmax"']),
    (3, "sigmoid", "sparse_categorical_crossentropy", Y, {}, ["sigmoid.*softmax"]),
    (3, None, "categorical_crossentropy", ONE_HOT, {}, ["treated as .*from_logits=True.*softmax"]),
    (3, None, "binary_crossentropy", ONE_HOT, {}, ["treated as probabilities.*sigmoid"]),
    (3, "softmax", SCORES, ONE_HOT, {}, ["from_logits=True, but the model ends in softmax"]),
    (3, "softmax", "categorical_crossentropy", 0 * ONE_HOT, {}, ["4 of 4 .* do not sum to 1, but"]),
    (3, None, SCORES, (ONE_HOT + ONE_HOT[::-1]).clip(0, 1), {}, ["do not sum to 1, but to 2"]),
    (3, "softmax", "sparse_categorical_crossentropy", Y, {"class_weight": {0: -2}}, ["down to -2"]),
    (3, "softmax", "categorical_crossentropy", 0.5 * ONE_HOT, {"sample_weight": -np.ones(24)},
     ["sample .*down to -1", "targets .*do not sum"]),
    (3, "softmax", "categorical_crossentropy", ONE_HOT, {}, []),
    (3, "softmax", "sparse_categorical_crossentropy", Y, {"class_weight": {0: 2, 1: 0}}, []),
    (3, "sigmoid", "binary_crossentropy", (ONE_HOT + ONE_HOT[::-1]).clip(0, 1), {}, []),
    (1, "sigmoid", "binary_crossentropy", Y > 0, {}, []),
    (3, None, SCORES, ONE_HOT, {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("units", "last", "loss", "y", "more", "messages"), DOUBTS)
def test_settings_that_are_likely_mistakes_are_warned_of_once(
    units: int, last: Any, loss: Any, y: Array, more: dict[str, Any], messages: list[str]
) -> None:
    made = Sequential([layers.Dense(units, last)])  # it is built in the first step
    made.compile("sgd", loss)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made.fit(X, y, batch_size=4, epochs=2, verbose=0, validation_data=(X, y), **more)
            made.evaluate(X, y, verbose=0)
            made.train_on_batch(X, y)
        found = sorted(str(w.message) for w in told)
        assert len(found) == len(messages), found
        for sentence, message in zip(found, sorted(messages), strict=True):
            assert re.search(message, sentence), sentence
            assert made.label in sentence
        made.compile("sgd", loss)  # so that it warns again


def test_a_softmax_of_one_unit_anywhere_gives_a_warning() -> None:
    inner = Sequential([Input((4,)), layers.Dense(1, "softmax", name="gate")])
    made = Sequential([Input((4,)), inner, layers.Dense(3, "softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match='one unit of Dense "gate" is 1 whatever'):
        made.fit(X, Y, verbose=0)


def test_a_loss_by_itself_also_warns_of_likely_mistakes() -> None:
    for loss, y, p, weight, message in [
        (losses.CategoricalCrossentropy(), [[1.0]], [[0.5]], None, "one unit"),
        (losses.CategoricalCrossentropy(), [[1, 1]], [[0.5, 0.5]], None, "sum to 1"),
        (losses.BinaryCrossentropy(), [[1.0]], [[3.0]], None, "from 3 to 3"),
        (losses.BinaryCrossentropy(), [[1.0]], [[0.5]], [-1.0], "down to -1"),
    ]:
        with pytest.warns(UserWarning, match=f"{type(loss).__name__}: .*{message}"):
            loss(np.array(y), np.array(p), weight)


def test_an_early_end_of_the_data_gives_a_warning() -> None:
    def short() -> Iterator[Any]:
        yield X[:4], Y[:4]

    with pytest.warns(UserWarning, match="ended after 1 of 5 steps"):
        model().fit(short(), steps_per_epoch=5, verbose=0)


@pytest.mark.parametrize("steps", [None, 2])
def test_a_generator_that_runs_out_ends_the_training(steps: int | None) -> None:
    def two_epochs() -> Iterator[Any]:
        for _ in range(4 if steps else 1):
            yield X, Y

    seen = Seen()
    m = model()
    with pytest.warns(UserWarning, match=f"ran out after epoch {2 if steps else 1}: training ends"):
        history = m.fit(two_epochs(), epochs=5, steps_per_epoch=steps, callbacks=seen, verbose=0)
    assert len(history.history["loss"]) == len(history.epoch) == (2 if steps else 1)
    assert seen.events[-1] == "on_train_end"


def test_a_frozen_model_warns_once_that_it_learns_nothing() -> None:
    m = model()
    m.trainable = False
    m.compile("sgd", "sparse_categorical_crossentropy")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        m.fit(X, Y, batch_size=2, epochs=2, verbose=0)
    assert [str(w.message).split(": ")[1] for w in told] == ["it learns nothing."]
