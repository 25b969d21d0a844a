"""Training agrees with Keras when parts of a model are frozen or nested."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained_pairs import (
    BATCH,
    CLASSES,
    assert_weights_close,
    batch,
    compile_both,
    logits_loss,
    one_hot,
    pair_of_models,
    photos,
)

import minicnn

keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]  # most fits are slow


def nested(module: Any, training: bool | None = None, trainable: bool = True) -> Any:
    """A base with normalization lies inside a larger model, as in transfer learning."""
    layers = module.layers
    inside = module.Input((12, 12, 3))
    x = layers.Conv2D(6, 3, strides=2, use_bias=False, name="conv")(inside)
    x = layers.BatchNormalization(momentum=0.7, name="norm")(x)
    base = module.Model(inside, layers.Activation("relu")(x), name="base")
    base.trainable = trainable
    inputs = module.Input((12, 12, 3))
    options = {} if training is None else {"training": training}
    x = layers.GlobalAveragePooling2D()(base(inputs, **options))
    return module.Model(inputs, layers.Dense(CLASSES, name="scores")(x))


def train_both(models: tuple[Any, Any], steps: int = 12) -> None:
    """Train both; assert that each loss and the final weights agree."""
    ours, theirs = models
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.1, momentum=0.5),
            "loss": logits_loss(module),
        },
    )
    x, classes = photos(3 * BATCH)
    for step in range(steps):
        part = batch(step, x + 1, one_hot(classes))  # the mean is not 0, so statistics move
        expected = theirs.train_on_batch(*part)
        assert ours.train_on_batch(*part) == pytest.approx(expected, rel=1e-4), f"step {step}"
    assert_weights_close(ours, theirs, 1e-4)


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    return [bool((a != b).any()) for a, b in zip(before, after, strict=True)]


# Weights: kernel, gamma, beta, moving mean and variance; then the dense layer's kernel and bias.
@pytest.mark.parametrize(
    ("training", "trainable", "expected"),
    [
        (None, True, [True] * 7),
        (True, True, [True] * 7),
        (None, False, [False] * 5 + [True] * 2),
        (False, False, [False] * 5 + [True] * 2),
        (True, False, [False] * 5 + [True] * 2),
    ],
)
def test_a_nested_model_trains_as_in_keras(
    training: bool | None, trainable: bool, expected: list[bool]
) -> None:
    ours, theirs = models = pair_of_models(lambda m: nested(m, training, trainable))
    before = ours.get_weights()
    assert [w.shape for w in before] == [tuple(w.shape) for w in theirs.weights]
    train_both(models)
    after = dict(zip([v.path for v in ours.weights], moved(before, ours.get_weights())))
    assert list(after.values()) == expected, after


def test_training_false_in_a_graph_holds_while_training() -> None:
    """`base(inputs, training=False)` uses no batch statistics, though gamma and beta learn.

    An intended difference: Keras's guide to transfer learning promises this, and its model does so
    when it is called without `training`; but its `fit` overrides this with training=True.
    """
    tf = pytest.importorskip("tensorflow")
    ours, theirs = pair_of_models(lambda module: nested(module, training=False))
    rng = np.random.default_rng(4)
    weights = ours.get_weights()
    weights[1:5] = [rng.uniform(0.5, 1.5, 6).astype(np.float32) for _ in range(4)]
    for model in (ours, theirs):
        model.set_weights(weights)
    x, classes = photos(BATCH)
    dy = one_hot(classes)
    with tf.GradientTape() as tape:
        expected = theirs(x)
        objective = tf.reduce_sum(expected * dy)
    gradients = tape.gradient(objective, [w.value for w in theirs.trainable_weights])
    y, cache = ours.run_for_training(x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    _, grads = ours.backward(dy, cache, need_dx=False)
    keys = list(ours.trainable_variables_by_name())
    assert grads.keys() == set(keys)
    for key, gradient in zip(keys, gradients, strict=True):
        np.testing.assert_allclose(grads[key], gradient, rtol=1e-4, atol=1e-4, err_msg=key)
    assert moved(weights, ours.get_weights()) == [False] * 7


def test_fine_tuning_follows_keras() -> None:
    """Train the head, then thaw the base except for its normalization, and continue training."""
    models = pair_of_models(lambda m: nested(m, training=False, trainable=False))
    train_both(models, 4)
    for model in models:
        model.get_layer("base").trainable = True
        model.get_layer("base").get_layer("norm").trainable = False
    ours, theirs = models
    assert len(ours.trainable_weights) == len(theirs.trainable_weights) == 3
    before = ours.get_weights()
    train_both(models, 8)
    assert moved(before, ours.get_weights()) == [True, False, False, False, False, True, True]


def three_deep(module: Any) -> Any:
    """A model lies in a model in a model; one dense layer is used twice."""
    layers = module.layers
    inner = module.Sequential(
        [
            module.Input((4,)),
            layers.Dense(4, name="a"),
            layers.BatchNormalization(momentum=0.7, name="norm"),
            layers.Dense(4, name="b"),
        ],
        name="inner",
    )
    shared = layers.Dense(4, name="shared")
    inputs = module.Input((4,))
    x = shared(layers.Dense(4, name="c")(shared(inner(inputs))))
    base = module.Model(inputs, x, name="base")
    inputs = module.Input((4,))
    return module.Model(inputs, layers.Dense(CLASSES, name="head")(base(inputs)), name="outer")


def part(model: Any, path: str) -> Any:
    for name in filter(None, path.split("/")):
        model = model.get_layer(name)
    return model


FREEZING: dict[str, list[tuple[str, bool]]] = {
    "a thawed layer": [("base", False), ("base/c", True)],
    "a thawed layer in a layer": [("base", False), ("base/inner/a", True)],
    "a thawed model": [("base", False), ("base/inner", True)],
    "normalization alone": [("base", False), ("base/inner/norm", True)],
    "frozen in a frozen one": [("base/inner", False), ("base", False), ("base/c", True)],
    "thawed, frozen again": [
        *(("base", False), ("base/inner", True), ("base/c", True)),
        *(("base", True), ("base", False)),
    ],
    "True when it is True": [("base", False), ("", True)],
    "False when it is False": [("base", False), ("base/c", True), ("base", False)],
    "used twice, thawed": [("base", False), ("base/shared", True)],
    "used twice, frozen": [("base/shared", False)],
    "frozen whole": [("", False), ("base/c", True), ("head", True)],
    "frozen whole, thawed whole": [("", False), ("base/c", True), ("", True)],
}


@pytest.mark.parametrize("name", FREEZING)
def test_freezing_and_thawing_follow_keras(name: str, tmp_path: Path) -> None:
    """The layers' own flags say what learns in the outer model, also after saving and loading."""
    ours, theirs = models = pair_of_models(three_deep)
    for path, value in FREEZING[name]:
        for model in models:
            part(model, path).trainable = value
    reloaded = []
    for model, load in zip(models, (minicnn.models.load_model, keras.models.load_model)):
        model.save(tmp_path / "model.keras")
        reloaded.append(load(tmp_path / "model.keras"))
    for mine, other in (models, reloaded):
        for inner in ("", "base", "base/inner", "base/inner/norm", "base/shared"):
            if inner == "base/inner" and mine is not ours:
                continue  # Keras's file does not store a Sequential's own flag
            found = [v.path for v in part(mine, inner).trainable_weights]
            expected = [
                "/".join(v.path.split("/")[-2:]) for v in part(other, inner).trainable_weights
            ]
            assert found == expected, inner
    if name == "frozen whole":
        return  # Keras warns and continues, and so does minicnn; no weight moves
    before = ours.get_weights()
    ours.compile(minicnn.optimizers.SGD(0.1), logits_loss(minicnn))
    theirs.compile(keras.optimizers.SGD(0.1), logits_loss(keras), run_eagerly=True)
    rng = np.random.default_rng(0)
    for _ in range(2):
        x, y = rng.standard_normal((8, 4)).astype(np.float32), one_hot(np.arange(8) % CLASSES)
        assert ours.train_on_batch(x, y) == pytest.approx(theirs.train_on_batch(x, y), rel=1e-4)
    assert_weights_close(ours, theirs, 1e-4)
    learns = {id(v) for v in ours.trainable_weights}
    changed = moved(before, ours.get_weights())
    for variable, did in zip(ours.weights, changed, strict=True):
        if variable.trainable:
            assert did == (id(variable) in learns), variable.path


def test_a_frozen_normalization_follows_keras() -> None:
    """`trainable=False` freezes its parameters and moving statistics, and uses these statistics."""

    def make(module: Any) -> Any:
        layers = module.layers
        return module.Sequential(
            [
                module.Input((12, 12, 3)),
                layers.Conv2D(5, 3),
                layers.BatchNormalization(trainable=False),
                layers.Activation("relu"),
                layers.Flatten(),
                layers.Dense(CLASSES),
            ]
        )

    ours, _ = models = pair_of_models(make)
    rng = np.random.default_rng(3)
    weights = ours.get_weights()
    weights[2:6] = [rng.uniform(0.5, 1.5, 5).astype(np.float32) for _ in range(4)]
    for model in models:
        model.set_weights(weights)
    train_both(models)
    assert moved(weights, ours.get_weights()) == [True] * 2 + [False] * 4 + [True] * 2


def test_statistics_of_a_tiny_batch() -> None:
    """With four examples, a variance divided by n - 1 would be a third larger."""

    def make(module: Any) -> Any:
        layers = module.layers
        return module.Sequential(
            [
                module.Input((12, 12, 3)),
                layers.GlobalAveragePooling2D(),
                layers.BatchNormalization(momentum=0.5),
                layers.Dense(CLASSES),
            ]
        )

    ours, theirs = models = pair_of_models(make)
    compile_both(models, lambda module: {"optimizer": "sgd", "loss": logits_loss(module)})
    x, classes = photos(4)
    for _ in range(5):
        expected = theirs.train_on_batch(x, one_hot(classes))
        assert ours.train_on_batch(x, one_hot(classes)) == pytest.approx(expected, rel=1e-4)
    assert_weights_close(ours, theirs, 1e-5)
