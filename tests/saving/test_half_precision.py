"""Models that Keras computes in half precision are read, and computed in float32."""

import json
from pathlib import Path
from typing import Any

import pytest
from model_files import assert_same_weights, nested, shaken

from minicnn import models
from minicnn.saving import half_precision

OF_KERAS_3 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
OF_KERAS_2 = {"class_name": "Policy", "config": {"name": "mixed_bfloat16"}}
TOLD = r"Keras computes this model in half precision \({}\), minicnn in float32"


def described(model: Any, policy: Any) -> str:
    """Return the model's description, with this policy in place of each dtype."""

    def changed(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"dtype": policy} if data.get("dtype") == "float32" else data

    return json.dumps(json.loads(model.to_json(), object_hook=changed))


@pytest.mark.parametrize(
    ("policy", "name"),
    [(OF_KERAS_3, "mixed_float16"), (OF_KERAS_2, "mixed_bfloat16"), ("float16", "float16")],
)
def test_it_computes_in_float32(policy: Any, name: str, tmp_path: Path) -> None:
    model = shaken(nested())
    written = described(model, policy)
    assert written.count(name) > 5
    with pytest.warns(UserWarning, match=TOLD.format(name)):
        found = models.model_from_json(written)
    assert name not in found.to_json()
    model.save_weights(tmp_path / "m.weights.h5")
    found.load_weights(tmp_path / "m.weights.h5")
    assert_same_weights(found, model)


@pytest.mark.parametrize("policy", ["bfloat16", "float8", {"config": None}, {"config": [1]}])
def test_other_policies_are_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match=r'dtype must be "float32" or|describes no model'):
        models.model_from_json(described(nested(), policy))


ADAM = {"class_name": "Adam", "config": {"learning_rate": 0.25}}
TWICE = {"class_name": "LossScaleOptimizerV3", "config": {"inner_optimizer": ADAM}}
BROKEN = {"class_name": "LossScaleOptimizer", "config": None}


@pytest.mark.parametrize(
    ("optimizer", "found"),
    [
        ({"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": TWICE}}, ADAM),
        (ADAM, ADAM),
        ("adam", "adam"),
        (BROKEN, BROKEN),
        ({"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": BROKEN}}, BROKEN),
    ],
)
def test_an_optimizer_that_scales_the_loss_is_the_one_in_it(optimizer: Any, found: Any) -> None:
    assert half_precision.unscaled(optimizer) == found
