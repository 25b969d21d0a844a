"""`reference.tuning`: which layers learn, how fast, and the part of the base that runs once."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from minicnn.models import load_model
from reference import backend, ensemble, fitting, tuning
from reference import model as models
from reference.fitting import Settings
from reference.model import Base


@pytest.fixture
def base():
    """Return a base of three blocks; its cut before block3 is crossed by two maps."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, name="block1_conv")(inputs)
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="block2_conv")(x)
    z = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="block3_conv")(y)
    outputs = keras.layers.Conv2D(5, 1, name="block3_out")(z + x)
    network = keras.Model(inputs, outputs, name="net")
    return Base("net.keras", network, models.Pixels(np.eye(3) / 255, np.zeros(3)), 16)


@pytest.mark.parametrize("name", ["block1", "block2", "block3", "block3_out"])
def test_the_part_above_the_cut_makes_of_the_part_below_what_the_whole_makes(base, name):
    whole = models.make_model(base, 4, size_inner=3)
    first = tuning.stages(base.network, name)[0]
    photos = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("f4")
    rows = np.asarray(tuning.extractor(base, first)(photos))
    upper = tuning.behind(whole, base, first)
    widths = {"block1": 16 * 16 * 3, "block2": 196, "block3": 2 * 196, "block3_out": 196}
    assert rows.shape == (2, widths[name])
    np.testing.assert_allclose(upper(rows), whole(photos), rtol=1e-5, atol=1e-6)
    assert models.head_of(whole).weights[0] is upper.weights[-4], "the layers are shared"


@pytest.mark.slow
def test_xception_is_cut_and_learns_in_mixed_precision():
    machine = backend.default()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        base = models.load_base("xception", 71, "none")
        whole = models.make_model(base, 4)
        first = tuning.stages(base.network, "block14,block13")[-1]
        photos = np.random.default_rng(0).uniform(0, 255, (2, 71, 71, 3)).astype("f4")
        rows = np.asarray(tuning.extractor(base, first)(photos))
        tuning.thaw(base.network, first)
        upper = tuning.behind(whole, base, first)
        np.testing.assert_array_equal(upper(rows), whole(photos))
        found = tuning.factors(upper, base.network, 0.5)
        assert set(found) == {0.125, 0.25, 0.5, 1.0}  # the way around block13 has its own name
        settings = Settings(ema=0.9, weight_decay=0.01)
        fitting.compile_learner(upper, settings, 1e-4, machine, factors=found)
        assert np.isfinite(upper.train_on_batch(rows, np.eye(4, dtype="f4")[:2])).all()
    finally:
        keras.config.set_dtype_policy("float32")


def test_several_networks_in_one_model_share_the_part_below_the_cut(base, tmp_path):
    """Two maps cross this cut; minicnn computes what Keras does."""
    first = tuning.stages(base.network, "block3")[0]
    other = replace(base, network=keras.models.clone_model(base.network))
    for ours, theirs in zip(base.network.layers[:first], other.network.layers, strict=False):
        theirs.set_weights(ours.get_weights())
    wholes = [models.make_model(base, 4), models.make_model(other, 4)]
    model = ensemble.assemble(wholes, base, first, flips=True, temperature=2.0)
    photos = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("f4")
    views = photos, photos[:, :, ::-1]
    wanted = np.mean([whole(view) for whole in wholes for view in views], axis=0) / 2
    np.testing.assert_allclose(model(photos), wanted, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    found = load_model(tmp_path / "model.keras", compile=False).predict(photos, verbose=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_later_stage_begins_below_the_earlier_ones(base):
    assert tuning.stages(base.network, "block3, block2,block1_conv") == [4, 3, 1]
    for names in ("block2,block3", "block2,block2"):
        with pytest.raises(ValueError, match=f"from a lower block on.*Received '{names}'"):
            tuning.stages(base.network, names)


def test_auto_is_the_last_layer_that_makes_a_fifth_of_the_weights_learn(base):
    """There are 449 numbers (112, 16, 148, 148, 25): 25 in the last layer, 173 in the last two."""
    found = tuning.stages(base.network, "auto")
    assert found == tuning.stages(base.network, "block3_conv")


def test_blocks_learn_slower_the_further_they_are_from_the_head(base):
    whole = models.make_model(base, 4)
    tuning.thaw(base.network, 1)
    assert [v.path for v in whole.trainable_variables if "bn" in v.path] == []
    found = tuning.factors(whole, base.network, 0.5)
    names = [v.path.split("/")[0] for v in whole.trainable_variables]
    wanted = {"block1_conv": 0.125, "block2_conv": 0.25, "block3_conv": 0.5, "block3_out": 0.5,
              "logits": 1.0}  # fmt: skip
    assert dict(zip(names, found, strict=True)) == wanted
    tuning.thaw(base.network, 4)
    assert tuning.factors(whole, base.network, 0.5) == [0.5] * 4 + [1.0] * 2


def test_a_step_of_each_variable_has_its_factor():
    """Adam's first step is the learning rate, whatever the gradient; decay comes on top."""
    slow, fast = keras.Variable([1.0, 2.0]), keras.Variable([1.0, 2.0])
    optimizer = tuning.AdamOfBlocks([0.1, 1.0], learning_rate=0.5, weight_decay=0.02)
    gradient = keras.ops.convert_to_tensor([3.0, -4.0])
    optimizer.apply([gradient, gradient], [slow, fast])
    np.testing.assert_allclose(fast, [1 - 0.01 - 0.5, 2 - 0.02 + 0.5], rtol=1e-5)
    np.testing.assert_allclose(slow, [1 - 0.01 - 0.05, 2 - 0.02 + 0.05], rtol=1e-5)
