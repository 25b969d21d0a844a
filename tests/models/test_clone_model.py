"""`clone_model` copies the layers, with new weights."""

import numpy as np
import pytest

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
        assert not clone.compiled
        assert not {id(layer) for layer in clone.layers} & {id(layer) for layer in model.layers}
        before = model.get_weights()
        assert any(not np.array_equal(a, b) for a, b in zip(clone.get_weights(), before))
        clone.set_weights([w + 1 for w in before])
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(TypeError, match=r"clone_model expects a model\. Received Dense"):
        models.clone_model(layers.Dense(2))  # type: ignore[arg-type]
