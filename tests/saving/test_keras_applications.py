"""A network of every family in `keras.applications`: its file, its predictions, its gradients."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_networks import few_blocks

from minicnn import models
from minicnn.explain.copies import copied

keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]

Array = np.ndarray
# One of each family, and the size of a small image.
FAMILIES = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "EfficientNetV2S": 64,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Large": 64,
    "MobileNetV3Small": 64,
    "NASNetMobile": 64,
    "ResNet50": 64,
    "ResNet50V2": 64,
    "VGG16": 64,
    "VGG19": 64,
    "Xception": 71,
}


def family(name: str) -> Any:
    """A network with weights other than zeros and ones, and without anything random.

    Its statistics are those of some photos, or each layer would shrink what comes in, and no output
    would depend on its input.
    """
    size = FAMILIES[name]
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    model = make(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3))
    rng, momenta = np.random.default_rng(0), {}
    inside = [inner for layer in model.layers for inner in getattr(layer, "layers", [])]
    for layer in [*model.layers, *inside]:
        for variable in layer.weights:
            shape = tuple(variable.shape)
            if variable.name in ("gamma", "variance"):
                variable.assign(rng.uniform(0.5, 1, shape))
            elif variable.name in ("beta", "bias", "mean"):
                variable.assign(0.1 * rng.standard_normal(shape))
        getattr(layer, "finalize_state", lambda: None)()  # Normalization computes with copies
        for setting in ("rate", "drop_path_rate"):
            if hasattr(layer, setting):
                setattr(layer, setting, 0.0)
        if hasattr(layer, "momentum"):
            momenta[layer], layer.momentum = layer.momentum, 0.0
    model(photos(model, 8), training=True)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    return model


@pytest.fixture
def _few_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small networks, except where the test is marked large."""
    if not request.node.get_closest_marker("large"):
        few_blocks(monkeypatch)


def photos(model: Any, count: int) -> Array:
    x = np.random.default_rng(1).uniform(0, 255, (count, *model.input_shape[1:]))
    return x.astype(np.float32)


def apart(found: Any, wanted: Any) -> float:
    """How far the numbers are apart, beside the largest."""
    wanted = np.asarray(wanted)
    return float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())


# `-m large` runs all of them, and with all of their blocks. The layers of the others are among
# those of these; that each network has Keras's numbers is shown in tests/applications.
PREDICTING = [
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "MobileNet"),
    *("MobileNetV3Small", "Xception"),
]
LEARNING = ["EfficientNetB0", "MobileNetV3Small", "ResNet50"]


def families(small: list[str]) -> list[Any]:
    """Return the small ones, and then all of them, marked, as parameters."""
    large = pytest.mark.large
    return [*small, *(pytest.param(name, id=f"whole {name}", marks=large) for name in FAMILIES)]


@pytest.mark.usefixtures("_few_blocks")
@pytest.mark.parametrize("name", families(PREDICTING))
def test_a_network_of_the_family_opens_and_predicts_as_keras(name: str, tmp_path: Path) -> None:
    theirs = family(name)
    x = photos(theirs, 2)
    expected = theirs(x, training=False).numpy()
    assert apart(expected[0], expected[1]) > 0.01, "the output depends on the photo"
    theirs.save(tmp_path / "m.keras")
    ours = models.load_model(tmp_path / "m.keras")
    assert ours.count_params() == theirs.count_params()
    # A hundred layers with random weights make much of float32's rounding, Keras's as ours.
    exact = copied(ours, "float64").run(x.astype(np.float64))
    most = max(1e-5, 10 * apart(expected, exact))
    assert apart(ours.predict(x, verbose=0), exact) <= most
    assert most < 0.05
    ours.save(tmp_path / "ours.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras")
    assert apart(again(x, training=False), expected) <= most / 10
    theirs.save(tmp_path / "m.h5")  # even those of which Keras itself cannot read its file
    assert apart(models.load_model(tmp_path / "m.h5").predict(x, verbose=0), exact) <= most


@pytest.fixture
def _exactly() -> Any:
    """Keras computes in float64, so that rounding turns hardly any ReLU on or off.

    Its constants stay float32: the scale of Rescaling, the root of 2 in gelu.
    """
    for set_dtype in (keras.config.set_floatx, keras.config.set_dtype_policy):
        set_dtype("float64")
    yield
    for set_dtype in (keras.config.set_floatx, keras.config.set_dtype_policy):
        set_dtype("float32")


@pytest.mark.usefixtures("_exactly", "_few_blocks")
@pytest.mark.parametrize("name", families(LEARNING))
def test_a_step_of_training_has_keras_s_gradients(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    theirs = family(name)
    theirs.save(tmp_path / "m.keras")
    ours = models.load_model(tmp_path / "m.keras")
    x = photos(theirs, 4).astype(np.float64)
    assert apart(ours.predict(x, verbose=0), theirs(x, training=False)) < 1e-5
    with tf.GradientTape() as tape:
        features = theirs(x, training=True)
        target = np.random.default_rng(2).standard_normal(features.shape)
        objective = tf.reduce_mean((features - target) ** 2)
    weights = theirs.trainable_variables
    expected = tape.gradient(objective, [w.value for w in weights])
    y, tape_of_ours = ours.forward(x, training=True)
    assert apart(y, features) < 1e-5
    _, grads = ours.backward(2 * (y - target) / target.size, tape_of_ours, need_dx=False)
    found = [grads[key] for key in ours.trainable_variables_by_name()]
    largest = max(float(np.abs(g).max()) for g in expected)
    for weight, gradient, wanted in zip(weights, found, expected, strict=True):
        assert gradient.dtype == np.float64
        difference = np.abs(gradient - wanted).max()
        assert difference <= 1e-4 * max(np.abs(wanted).max(), 1e-4 * largest), weight.path
    # The statistics moved alike.
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
