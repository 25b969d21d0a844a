"""Models with several outputs: losses and metrics of each, by hand, and every form of data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import callbacks, layers, losses, metrics, models, optimizers

Array = np.ndarray
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
Y = {"a": np.array([[1.0], [2.0]], np.float32), "b": np.array([[3.0], [3.0]], np.float32)}
LISTED = [Y["a"], Y["b"]]


def fork(loss: Any = "mse", rate: float = 0.1, **options: Any) -> Any:
    """It has two outputs: a is x[0] - x[1], always -1, and b is x[0] + x[1], 3 and 7."""
    inputs = minicnn.Input((2,))
    a, b = (layers.Dense(1, use_bias=False, name=name)(inputs) for name in "ab")
    model = minicnn.Model(inputs, [a, b])
    model.set_weights([np.array([[1], [-1]], "f"), np.array([[1], [1]], "f")])
    model.compile(optimizers.SGD(rate), loss, **options)
    return model


def test_the_loss_is_the_weighted_sum_and_each_one_is_in_the_logs() -> None:
    model = fork(["mse", "mae"], loss_weights=[2.0, 10.0], metrics=[None, ["mse"]])
    assert model.metrics_names == ["loss", "a_loss", "b_loss", "b_mse"]
    # a: (4 + 9) / 2 = 6.5;  b: (0 + 4) / 2 = 2, and squared (0 + 16) / 2 = 8
    assert model.evaluate(X, LISTED, verbose=0) == [pytest.approx(v) for v in (33, 6.5, 2, 8)]
    logs = model.train_on_batch(X, Y, return_dict=True)
    assert logs == {k: pytest.approx(v) for k, v in zip(model.metrics_names, (33, 6.5, 2, 8))}
    a, b = (w.ravel() for w in model.get_weights())
    np.testing.assert_allclose(a, [1 + 0.2 * 11, -1 + 0.2 * 16], rtol=1e-6)  # d mse = (-11, -16)
    np.testing.assert_allclose(
        b, [1 - 1.0 * 1.5, 1 - 1.0 * 2], rtol=1e-6
    )  # (0, 0) and x[1], halved


def test_a_trace_goes_backward_from_the_weighted_sum() -> None:
    model = fork(["mse", "mae"], loss_weights=[2.0, 10.0])
    trace = model.trace(X, y=Y)
    assert trace.loss == pytest.approx(33)
    assert "loss 33" in str(trace)
    # a is -1, -1 where 1, 2 are wanted: 2·2·(y - t) / 2;  b is 3, 7 where 3, 3 are: 10·sign / 2
    np.testing.assert_allclose(trace["a"].dy, [[-4], [-6]])
    np.testing.assert_allclose(trace["b"].dy, [[0], [5]])
    assert {key: dw.ravel().tolist() for key, dw in trace.grads.items()} == {
        "a/kernel": [-4 * 1 - 6 * 3, -4 * 2 - 6 * 4],
        "b/kernel": [5 * 3, 5 * 4],
    }
    before = model.get_weights()
    model.train_on_batch(X, Y)
    for w, now, dw in zip(before, model.get_weights(), trace.grads.values()):
        np.testing.assert_allclose(now, w - 0.1 * dw, rtol=1e-6)


def test_a_trace_explains_the_loss_of_each_output() -> None:
    trace = fork(["mse", "mae"], loss_weights=[2.0, 10.0]).trace(X, y=LISTED)
    assert trace.explain_loss(1, output="a").total == pytest.approx(9)
    assert trace.explain_loss(1, output=1).total == pytest.approx(4)
    for output, dy in (("a", -6), ("b", 5)):
        for found in (
            trace.explain_loss_gradient(0, 1, output=output),
            trace.explain_gradient(output, "dy", at=0, example=1),
        ):
            assert found.total == pytest.approx(dy)
            assert found.difference == 0
    path = trace.why_gradient("b", "kernel", at=(0, 0))
    assert [link.explanation.name for link in path.links][-1] == "MeanAbsoluteError"
    for wrong in (None, 2, "c", True):
        with pytest.raises(ValueError, match=rf"expects output='a' or 'b'\. Received {wrong!r}"):
            trace.explain_loss(output=wrong)


def test_an_output_without_a_loss_gives_no_gradient() -> None:
    trace = fork([None, "mae"]).trace(X, y={"b": Y["b"]}, sample_weight={"b": np.array([1, 3])})
    np.testing.assert_array_equal(trace["a"].dy, [[0], [0]])
    np.testing.assert_allclose(trace["b"].dy, [[0], [1.5]])
    assert trace.explain_loss(1).total == pytest.approx(4)  # there is no other loss
    with pytest.raises(ValueError, match=r"expects output='b'\. Received 'a'"):
        trace.explain_loss(output="a")
    other = fork().trace(X, y=Y, loss={"a": "mae", "b": None})
    np.testing.assert_allclose(other["a"].dy, [[-0.5], [-0.5]])
    np.testing.assert_array_equal(other["b"].dy, [[0], [0]])
    model = fork()
    bare = minicnn.Model(model.inputs, model.outputs)
    with pytest.raises(ValueError, match="no losses to go backward from: compile it with one for"):
        bare.trace(X, y=Y)


def test_an_output_that_is_used_further_says_that_its_gradient_is_a_sum() -> None:
    inputs = minicnn.Input((2,))
    a = layers.Dense(1, use_bias=False, name="a")(inputs)
    model = minicnn.Model(inputs, [a, layers.Dense(1, use_bias=False, name="b")(a)])
    model.set_weights([np.array([[1], [-1]], "f"), np.array([[2]], "f")])
    model.compile("sgd", "mse")
    trace = model.trace(X, y=Y)  # a is -1, -1 and b is -2, -2
    np.testing.assert_allclose(trace["a"].dy, [[-2 - 5 * 2], [-3 - 5 * 2]])
    assert trace.explain_gradient("a", "kernel", at=(0, 0)).total == pytest.approx(-12 - 39)
    with pytest.raises(ValueError, match="its dy is a sum of gradients that is not explained"):
        trace.explain_gradient("a", "dy", at=0)
    assert "not explained" in str(trace.why_gradient("a", "kernel", at=(0, 0)))


FORMS: dict[str, Any] = {
    "list": LISTED,
    "tuple": tuple(LISTED),
    "dict": Y,
    "flat": [y[:, 0] for y in LISTED],
    "lists": {"b": [[3], [3]], "a": [[1.0], [2.0]]},
}


@pytest.mark.parametrize("form", FORMS)
def test_targets_come_in_many_forms(form: str) -> None:
    y = FORMS[form] if form != "lists" else {k: np.array(v) for k, v in FORMS[form].items()}
    model = fork()
    expected = [pytest.approx(v) for v in (14.5, 6.5, 8)]
    assert model.evaluate(X, y, verbose=0, batch_size=1) == expected
    assert model.test_on_batch(X, y) == expected

    class Sequence:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Any:
            return X, y

    assert model.evaluate(Sequence(), verbose=0) == expected
    assert model.evaluate(iter([(X, y)]), verbose=0) == expected


@pytest.mark.parametrize(
    "loss", ["mse", ["mse", "mse"], {"b": "mse", "a": losses.MeanSquaredError()}]
)
def test_losses_come_in_many_forms(loss: Any) -> None:
    assert fork(loss).evaluate(X, Y, verbose=0) == [pytest.approx(v) for v in (14.5, 6.5, 8)]


def test_a_dict_finds_outputs_by_their_names_in_any_order() -> None:
    by_name: dict[str, Any] = {"b": "mae", "a": "mse"}
    model = fork(by_name, loss_weights={"b": 10.0, "a": 2.0}, metrics={"b": ["mse"]})
    assert model.evaluate(X, Y, verbose=0) == [pytest.approx(v) for v in (33, 6.5, 2, 8)]


def test_an_output_may_have_no_loss() -> None:
    for loss in ([None, "mse"], {"a": None, "b": "mse"}):
        model = fork(loss, metrics={"b": "mae"})
        for y in (LISTED, Y, [Y["b"]], {"b": Y["b"]}):
            assert model.evaluate(X, y, verbose=0) == [pytest.approx(8), pytest.approx(2)]
        before = model.get_weights()
        model.fit(X, [Y["b"]], verbose=0, validation_data=(X, {"b": Y["b"]}), epochs=2)
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
        assert (model.get_weights()[1] != before[1]).all()
        assert list(model.history.history) == ["b_mae", "loss", "val_b_mae", "val_loss"]
    watched = fork([None, "mse"], metrics=["mae", None])
    assert watched.evaluate(X, LISTED, verbose=0) == [pytest.approx(8), pytest.approx(2.5)]
    with pytest.raises(ValueError, match="needs targets y of output 'a' for its metrics"):
        watched.evaluate(X, {"b": Y["b"]}, verbose=0)


def test_sample_weights_are_for_one_output_or_for_all() -> None:
    model = fork(weighted_metrics={"a": ["mse"], "b": ["mse"]})
    w = np.array([1.0, 0.0])
    one: Any
    for one in (w, [w, w], {"a": w, "b": w}):
        found = model.evaluate(X, Y, sample_weight=one, verbose=0, return_dict=True)
        assert (found["a_loss"], found["b_loss"]) == (pytest.approx(2), pytest.approx(0))
        assert (found["a_mse"], found["b_mse"]) == (pytest.approx(4), pytest.approx(0))
    for one in ([None, w], {"b": w}):
        found = model.evaluate(X, LISTED, sample_weight=one, verbose=0, return_dict=True)
        assert (found["a_loss"], found["b_loss"]) == (pytest.approx(6.5), pytest.approx(0))


def test_an_output_that_also_feeds_another_layer() -> None:
    """The losses of both outputs count, and its own does not use the logits."""
    inputs = minicnn.Input((2,))
    first = layers.Dense(3, "softmax", name="first")(inputs)
    second = layers.Dense(3, "softmax", name="second")(first)
    model = minicnn.Model(inputs, [second, first])
    model.compile(optimizers.SGD(0.1), "categorical_crossentropy")
    y = np.eye(3)[[0, 2]]
    before = model.get_weights()
    loss = model.train_on_batch(X, [y, y])[0]
    assert loss == pytest.approx(
        sum(float(-np.log(p[[0, 1], [0, 2]]).mean()) for p in _predictions(model, before)), rel=1e-5
    )
    assert model.evaluate(X, [y, y], verbose=0)[0] < loss
    assert model.last_activation(0) == "softmax"
    assert model.last_activation(1) is None


def _predictions(model: Any, weights: list[Array]) -> list[Array]:
    after = model.get_weights()
    model.set_weights(weights)
    found: list[Array] = model.predict(X, verbose=0)
    model.set_weights(after)
    return found


def test_a_frozen_base_runs_once_for_all_outputs() -> None:
    inputs = minicnn.Input((2,))
    base = layers.Dense(3, "tanh", trainable=False, name="base")(inputs)
    outputs = [layers.Dense(1, name=name)(base) for name in "ab"]

    def trained(reuse: bool) -> Any:
        model = minicnn.Model(inputs, outputs)
        model.set_weights([np.full(w.shape, 0.3, np.float32) for w in model.get_weights()])
        model.compile(optimizers.SGD(0.01), "mse")
        fitted = model.fit(
            X, Y, epochs=3, batch_size=1, verbose=0, reuse_features=reuse, validation_data=(X, Y)
        )
        assert fitted.computed_once == (("base",) if reuse else ())
        return fitted.history

    minicnn.utils.set_random_seed(0)
    once = trained(True)
    minicnn.utils.set_random_seed(0)
    assert once == trained(False)
    assert list(once) == ["a_loss", "b_loss", "loss", "val_a_loss", "val_b_loss", "val_loss"]


def test_callbacks_may_monitor_the_loss_of_one_output() -> None:
    model = fork(metrics=["mae", metrics.MeanAbsoluteError(name="off")])
    stop = callbacks.EarlyStopping("a_loss", patience=1)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[stop, callbacks.EarlyStopping("b_off")])
    with pytest.raises(ValueError, match="works for loss, a_loss, b_loss, a_mae, b_off"):
        model.fit(X, Y, verbose=0, callbacks=callbacks.EarlyStopping("off"))


def test_metrics_with_one_name_get_different_names() -> None:
    model = fork(metrics=[["mae", "mae"], None], weighted_metrics=[["mae"], ["mae"]])
    names = ["loss", "a_loss", "b_loss", "a_mae", "a_mae_1", "a_weighted_mae", "b_mae"]
    assert model.metrics_names == names
    assert list(model.evaluate(X, Y, verbose=0, return_dict=True)) == sorted(names)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_file_keeps_how_it_was_compiled(suffix: str, tmp_path: Path) -> None:
    def custom() -> Any:
        return fork(
            {"a": losses.Huber(0.5), "b": None},
            loss_weights={"a": 2, "b": 1},
            metrics={"a": ["mae", metrics.MeanSquaredError(name="square")]},
            weighted_metrics=[None, ["mae"]],
        )

    names = ["mean_squared_error", "log_cosh"]  # an .h5 would hold "mse" in full
    for model in (fork(names, loss_weights=[2.0, 0.5]), fork(names[0]), custom()):
        model.save(tmp_path / f"m.{suffix}")
        again = models.load_model(tmp_path / f"m.{suffix}")
        assert again.get_compile_config() == model.get_compile_config()
        assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
        again.train_on_batch(X, Y)
        model.train_on_batch(X, Y)
        for found, expected in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_file_with_losses_for_other_outputs_is_not_compiled(tmp_path: Path) -> None:
    import json
    import zipfile

    fork().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        held = {name: file.read(name) for name in file.namelist()}
    config = json.loads(held["config.json"])
    for settings in ({"loss": ["mse"] * 3}, {"loss_weights": [1, "a"]}, {"metrics": [["mae"]]}):
        changed = config | {"compile_config": config["compile_config"] | settings}
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
            for name, data in (held | {"config.json": json.dumps(changed).encode()}).items():
                file.writestr(name, data)
        with pytest.warns(UserWarning, match="loaded but not compiled: .*expects|list with an ent"):
            assert not models.load_model(tmp_path / "m.keras").compiled


def test_outputs_in_a_dict_train_under_its_keys() -> None:
    """A loss may leave outputs out there, as in Keras."""
    start = fork()
    model = minicnn.Model(start.inputs, {"two": start.outputs[0], "one": start.outputs[1]})
    model.compile(optimizers.SGD(0.1), "mse", metrics={"two": ["mae"]})
    y = {"one": Y["b"], "two": Y["a"]}
    found = model.evaluate(X, y, verbose=0, return_dict=True)
    assert list(found) == ["loss", "one_loss", "two_loss", "two_mae"]
    assert found["loss"] == pytest.approx(14.5)
    assert found["two_loss"] == pytest.approx(6.5)
    assert model.evaluate(X, [Y["b"], Y["a"]], verbose=0)[0] == pytest.approx(14.5)
    model.compile("sgd", {"two": "mse"}, loss_weights={"two": 2.0})
    assert model.evaluate(X, {"two": Y["a"]}, verbose=0) == pytest.approx(13)
    with pytest.raises(ValueError, match=r"for the outputs \['one', 'two'\]. Received"):
        model.compile("sgd", {"a": "mse"})
    alone = minicnn.Model(start.inputs, {"only": start.outputs[0]})
    alone.compile("sgd", {"only": "mse"}, metrics={"only": ["mae"]})
    expected = [pytest.approx(6.5), pytest.approx(2.5)]
    assert alone.evaluate(X, {"only": Y["a"]}, verbose=0) == expected
    assert alone.evaluate(X, Y["a"], verbose=0) == expected


REFUSED: list[tuple[Any, str]] = [
    (lambda: fork(["mse"]), r"expects loss for each of 2 outputs, \['a', 'b'\]. Received 1"),
    (lambda: fork({"a": "mse"}), r"expects loss for the outputs \['a', 'b'\]. Received \['a'\]"),
    (lambda: fork({"a": "mse", "c": "mse"}), r"Received \['a', 'c'\]"),
    (lambda: fork(loss_weights=[1, 2]), "a loss for each output next to loss_weights"),
    (lambda: fork(["mse"] * 2, loss_weights=3), "loss_weights for each of 2 outputs.*Received 3"),
    (lambda: fork(["mse"] * 2, loss_weights=[1, "a"]), "finite numbers"),
    (lambda: fork(metrics=["mae"]), r"metrics is a list with an entry for each of .*\['mae'\]"),
    (lambda: fork(metrics={"c": "mae"}), "or a dict under their names"),
    (lambda: fork(metrics="mae"), "metrics is a list"),
    (lambda: fork(weighted_metrics=[["oops"], None]), "A metric is .*'oops'"),
    (lambda: fork().fit(X, Y["a"]), r"a list of arrays, or a dict.*Received ndarray"),
    (lambda: fork().fit(X, [Y["a"]] * 3), "Received list of 3"),
    (lambda: fork().fit(X, {"a": Y["a"]}), r"Received \['a'\]"),
    (lambda: fork().fit(X), "needs targets y"),
    (lambda: fork().fit(X, [[[1], [2, 3]], Y["b"]]), r"y\[0\] must be an array of numbers"),
    (lambda: fork().train_on_batch(X, [[[1], [2, 3]], Y["b"]]), "y of output 'a' must be an array"),
    (lambda: fork().fit(X, [Y["a"], Y["b"][:1]]), r"one entry per example. .*\[1, 2\]"),
    (lambda: fork().fit(X, [Y["a"], np.ones((2, 3))]), r"y_true.shape=\(2, 1\)"),
    (lambda: fork().fit(X, Y, class_weight={0: 1.0}), "class_weight is for models with one output"),
    (lambda: fork().fit(X, Y, validation_data=(X, Y["a"])), "Received ndarray"),
    (lambda: fork().fit(X, Y, validation_data=(X, [Y["a"], np.ones((2, 2))])), "y_true.shape"),
    (lambda: fork().fit(X, Y, sample_weight=[np.ones(2)] * 3), "sample_weight to be a list"),
    (lambda: fork().loss, "2 outputs, each with its own loss"),
    (lambda: fork().trace(X, Y["a"]), "y to be a list of arrays, or a dict, for the outputs"),
    (lambda: minicnn.explain.gradcheck(fork(), X, Y["a"]), "y to be a list of arrays, or a dict"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError), match=message):
        make()


def test_two_outputs_with_one_name_are_refused() -> None:
    inputs = minicnn.Input((2,))
    shared = layers.Dense(2, name="shared")
    model = minicnn.Model(inputs, [shared(inputs), shared(shared(inputs))])
    with pytest.raises(ValueError, match="several outputs of the name 'shared'"):
        model.compile("sgd", "mse")
