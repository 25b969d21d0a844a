"""Regularizers and constraints give Keras's losses and weights, step by step."""

from collections.abc import Callable
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
pytestmark = [pytest.mark.keras, pytest.mark.slow]

STEPS = 6


def restrained(module: Any, last: str | None = None) -> Any:
    """Every kind of weight has a regularizer, a constraint or both, and outputs have penalties."""
    layers, r, c = module.layers, module.regularizers, module.constraints
    inside = module.Input((6, 6, 4))
    base = module.Sequential(
        [
            inside,
            layers.SeparableConv2D(
                5,
                3,
                activation="relu",
                depthwise_regularizer=r.L2(0.02),
                pointwise_regularizer="l1",
                pointwise_constraint=c.MaxNorm(0.8, axis=[0, 1, 2]),
                activity_regularizer=r.L1(0.01),
            ),
            layers.DepthwiseConv2D(
                2, depthwise_constraint=c.MinMaxNorm(0.2, 0.9, 0.5), bias_regularizer="l2"
            ),
        ],
        name="base",
    )
    inputs = module.Input((12, 12, 3))
    x = layers.Conv2D(
        4,
        3,
        padding="same",
        activation="relu",
        kernel_regularizer=r.L1L2(0.001, 0.01),
        kernel_constraint=c.UnitNorm(axis=[0, 1, 2]),
        activity_regularizer=r.L2(0.005),
    )(inputs)
    x = layers.BatchNormalization(
        gamma_regularizer=r.L2(0.1), beta_regularizer="l1", gamma_constraint=c.MaxNorm(1.5)
    )(x)
    x = layers.MaxPooling2D(activity_regularizer=r.L2(0.003))(x)
    x = layers.PReLU(alpha_regularizer="l2", alpha_constraint="non_neg", shared_axes=[1, 2])(x)
    x = layers.Flatten()(base(x))
    x = layers.Dense(6, kernel_regularizer=r.OrthogonalRegularizer(0.3), name="hidden")(x)
    return module.Model(
        inputs,
        layers.Dense(
            CLASSES,
            last,
            kernel_constraint="non_neg",
            bias_regularizer=r.L2(0.1),
            activity_regularizer="l2",
            name="top",
        )(x),
    )


def follow(models: tuple[Any, Any], tolerance: float = 1e-3) -> None:
    """Train both, and compare losses, weights and evaluations."""
    (ours, theirs), rtol = models, 2e-4
    x, classes = photos(5 * BATCH)
    found, expected = [], []
    for step in range(STEPS):
        part = batch(step, x, one_hot(classes))
        expected.append(theirs.train_on_batch(*part))
        found.append(ours.train_on_batch(*part))
    np.testing.assert_allclose(found, expected, rtol=rtol)
    y = one_hot(classes)
    again = theirs.evaluate(x, y, verbose=0)
    assert ours.evaluate(x, y, verbose=0) == pytest.approx(again, rel=rtol)
    assert_weights_close(ours, theirs, tolerance)


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"learning_rate": 0.02, "momentum": 0.5, "nesterov": True},
    "RMSprop": {"learning_rate": 0.001, "rho": 0.5},
    "Adam": {"learning_rate": 0.002, "global_clipnorm": 1.0},
    "AdamW": {"learning_rate": 0.002, "weight_decay": 0.01},
    "Adamax": {"learning_rate": 0.002},
    "Nadam": {"learning_rate": 0.002},
    "Adagrad": {"learning_rate": 0.01},
    "Adadelta": {"learning_rate": 0.5},
    "Adafactor": {"learning_rate": 0.002},
    "Lion": {"learning_rate": 0.0005, "clipvalue": 0.5},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_follows_keras(name: str) -> None:
    models = pair_of_models(restrained)
    compile_both(
        models,
        lambda module: {
            "optimizer": getattr(module.optimizers, name)(**OPTIMIZERS[name]),
            "loss": logits_loss(module),
        },
    )
    # Lion's steps all have one size, so a rounding error in a sum's sign costs a whole step.
    follow(models, 1e-2 if name == "Lion" else 1e-3)


VARIANTS: dict[str, dict[str, Any]] = {
    "averages": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    "accumulated": {"gradient_accumulation_steps": 2},
    "clipped": {"clipnorm": 0.05},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_a_step_follows_keras(variant: str) -> None:
    models = pair_of_models(restrained)
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.05, **VARIANTS[variant]),
            "loss": logits_loss(module),
        },
    )
    follow(models)


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_a_penalty_after_the_activation_whose_logits_the_loss_takes(last: str) -> None:
    models = pair_of_models(lambda module: restrained(module, last))
    loss = {"softmax": "categorical_crossentropy", "sigmoid": "binary_crossentropy"}[last]
    compile_both(models, lambda module: {"optimizer": module.optimizers.SGD(0.05), "loss": loss})
    follow(models)


FROZEN: dict[str, Callable[[Any], None]] = {
    "a layer": lambda model: setattr(model.get_layer("hidden"), "trainable", False),
    "a nested model": lambda model: setattr(model.get_layer("base"), "trainable", False),
    "all but the top": lambda model: (
        [setattr(layer, "trainable", False) for layer in model.layers[:-1]] and None
    ),
}


@pytest.mark.parametrize("what", FROZEN)
def test_frozen_layers_follow_keras(what: str) -> None:
    models = pair_of_models(restrained)
    for model in models:
        FROZEN[what](model)
    compile_both(
        models,
        lambda module: {"optimizer": module.optimizers.SGD(0.05), "loss": logits_loss(module)},
    )
    follow(models)
    ours, theirs = models
    x = photos(4)[0]
    theirs(x)
    of_weights = len(ours.losses)
    penalties = [float(penalty) for penalty in theirs.losses]
    np.testing.assert_allclose(ours.losses, penalties[len(penalties) - of_weights :], rtol=1e-4)
    _, tape = ours.forward(x)
    of_outputs = sum(penalties[: len(penalties) - of_weights])
    assert tape.activity_penalty() == pytest.approx(of_outputs, rel=1e-4)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_training_goes_on_from_files_both_ways(suffix: str, tmp_path: Path) -> None:

    def compile_again(models: tuple[Any, Any]) -> None:
        compile_both(
            models,
            lambda module: {"optimizer": module.optimizers.Adam(0.01), "loss": logits_loss(module)},
        )

    models = pair_of_models(restrained)
    compile_again(models)
    ours, theirs = models
    theirs.save(tmp_path / f"theirs.{suffix}")
    ours.save(tmp_path / f"ours.{suffix}")
    read = minicnn.models.load_model(tmp_path / f"theirs.{suffix}")
    read_by_keras = keras.models.load_model(tmp_path / f"ours.{suffix}")
    assert read.lacking() == []
    if suffix == "h5":  # Keras cannot continue training from .h5, even from its own
        compile_again((read, read_by_keras))
    follow((read, read_by_keras))


def test_a_clone_has_the_same_regularizers_and_constraints() -> None:
    models = pair_of_models(restrained)
    clones = tuple(
        module.models.clone_model(model)
        for module, model in zip((minicnn, keras), models, strict=True)
    )
    clones[0].set_weights(models[0].get_weights())
    clones[1].set_weights(models[0].get_weights())
    compile_both(
        clones,  # type: ignore[arg-type]
        lambda module: {"optimizer": module.optimizers.SGD(0.05), "loss": logits_loss(module)},
    )
    follow(clones)  # type: ignore[arg-type]
    assert len(clones[0].losses) == len(models[0].losses) == 9
    assert all(m.models.clone_model(c).compiled for m, c in zip((minicnn, keras), clones))
