"""`clone_model` copies the layers, with new weights."""

from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Model, Sequential, layers, models


def test_a_clone_has_the_same_layers_and_its_own_weights() -> None:
    x = Input((4,), name="in")
    inner = Sequential([Input((3,)), layers.Dense(3, name="deep")], name="inner")
    y = inner(layers.Dense(3, activation="relu", name="first")(x))
    for model in (Model(x, layers.Dense(2)(y)), inner):
        model.compile("sgd", "mse")
        clone = models.clone_model(model)
        assert type(clone) is type(model)
        assert clone.get_config() == model.get_config()
        assert not {id(layer) for layer in clone.layers} & {id(layer) for layer in model.layers}
        before = model.get_weights()
        assert any(not np.array_equal(a, b) for a, b in zip(clone.get_weights(), before))
        clone.set_weights([w + 1 for w in before])
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(TypeError, match=r"clone_model expects a model\. Received Dense"):
        models.clone_model(layers.Dense(2))  # type: ignore[arg-type]


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return minicnn.ops.mean((y_true - y_pred) ** 2, axis=-1)


def test_a_clone_is_compiled_as_the_model_is_and_begins_anew() -> None:
    x, y = np.eye(4), np.eye(4)[:, :2]
    inputs = Input((4,))
    hidden = layers.Dense(3, activation="tanh")(inputs)
    ends = [layers.Dense(2, name="a")(hidden), layers.Dense(2, name="b")(hidden)]
    chain = Sequential([Input((4,)), layers.Dense(2, name="only")])
    seen = minicnn.metrics.MeanSquaredError(name="seen")
    settings: list[tuple[Model, Any]] = [
        (
            chain,
            {
                "loss": own_loss,
                "metrics": [seen, "mae"],
                "weighted_metrics": ["mse"],
                "run_eagerly": True,
            },
        ),
        (Model(inputs, ends), {"loss": {"a": "mse", "b": "mae"}, "loss_weights": [1, 3]}),
    ]
    for model, given in settings:
        model.compile(minicnn.optimizers.Adam(0.1, clipnorm=1.0), **given)
        several = len(model.outputs) > 1
        model.fit(x, [y, y] if several else y, epochs=2, verbose=0)
        clone = models.clone_model(model)
        assert clone.get_compile_config() == model.get_compile_config()
        assert clone.optimizer.iterations == 0
        assert not {*map(id, clone.metrics)} & {*map(id, model.metrics)}
        fresh = models.clone_model(clone)
        fresh.compile(minicnn.optimizers.Adam(0.1, clipnorm=1.0), **given)
        fresh.set_weights(clone.get_weights())
        found, expected = (
            m.fit(x, [y, y] if several else y, epochs=2, shuffle=False, verbose=0).history
            for m in (clone, fresh)
        )
        assert found == expected


def test_what_cannot_be_made_again_leaves_a_clone_without_compile() -> None:
    model = Sequential([Input((4,)), layers.Dense(2)])
    assert not models.clone_model(model).compiled

    class Mine(minicnn.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: int) -> float:
            return 0.1

        def get_config(self) -> dict[str, Any]:
            return {}

    class Reads(minicnn.metrics.MeanSquaredError):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("an open file cannot be copied")

    for rate in (lambda: 0.1, Mine()):
        model.compile(minicnn.optimizers.SGD(rate), "mse")
        assert not models.clone_model(model).compiled
    model.compile("sgd", "mse", metrics=[Reads()])
    assert not models.clone_model(model).compiled
