"""Training agrees with Keras: the same weights and batches give the same losses, step by step.

An error in a gradient, an optimizer, a moving statistic or a mean over batches shows in the losses
after a few steps, and keeps growing.
"""

from typing import Any

import numpy as np
import pytest
from trained_pairs import (
    BATCH,
    CLASSES,
    assert_weights_close,
    batch,
    build,
    compile_both,
    logits_loss,
    one_hot,
    pair_of_models,
    photos,
)

import minicnn

keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]  # most fits are slow


# -- the optimizers --------------------------------------------------------------------------------

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"learning_rate": 0.05}),
    "momentum": ("SGD", {"learning_rate": 0.01, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.002}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.002}),
}
# Adam divides by the size of the gradient: if that is only a rounding error, so is the step.
WEIGHT_TOLERANCE = {"adam": 1e-3}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_200_steps_follow_keras(name: str) -> None:
    optimizer, options = OPTIMIZERS[name]
    ours, theirs = models = pair_of_models(build)
    compile_both(
        models,
        lambda module: {
            "optimizer": getattr(module.optimizers, optimizer)(**options),
            "loss": logits_loss(module),
        },
        many_steps=True,
    )
    x, classes = photos(5 * BATCH)
    found, expected = [], []
    for step in range(200):
        part = batch(step, x, one_hot(classes))
        expected.append(theirs.train_on_batch(*part))
        found.append(ours.train_on_batch(*part))
    assert np.mean(expected[-5:]) < 0.3 * np.mean(expected[:5]), "nothing was learned"
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert_weights_close(ours, theirs, WEIGHT_TOLERANCE.get(name, 1e-4))
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x, verbose=0), rtol=0, atol=1e-2)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.02, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.02, "momentum": 0.5, "clipnorm": 0.1}),
    ("SGD", {"learning_rate": 0.05, "clipvalue": 0.01}),
    ("Adam", {"learning_rate": 0.003, "amsgrad": True, "global_clipnorm": 0.2}),
    ("Adam", {"learning_rate": 0.003, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"learning_rate": 0.003, "weight_decay": 0.05}),
    ("RMSprop", {"learning_rate": 0.001, "rho": 0.5, "momentum": 0.6}),
    ("RMSprop", {"learning_rate": 0.001, "centered": True, "epsilon": 1e-4}),
]


@pytest.mark.parametrize(
    ("optimizer", "options"), VARIANTS, ids=[f"{o}-{'-'.join(list(a)[1:])}" for o, a in VARIANTS]
)
def test_every_setting_of_an_optimizer_follows_keras(
    optimizer: str, options: dict[str, Any]
) -> None:
    """The model is dense, so gradients agree almost to the last bit; the learning rate changes."""

    def make(module: Any) -> Any:
        layers = module.layers
        return module.Sequential(
            [module.Input((12, 12, 3)), layers.Flatten(), layers.Dense(6, "tanh"), layers.Dense(4)]
        )

    ours, theirs = models = pair_of_models(make)
    compile_both(
        models,
        lambda module: {
            "optimizer": getattr(module.optimizers, optimizer)(**options),
            "loss": logits_loss(module),
        },
        many_steps=True,
    )
    x, classes = photos(3 * BATCH)
    for step in range(30):
        if step == 20:
            ours.optimizer.learning_rate = theirs.optimizer.learning_rate = 1e-4
        part = batch(step, x, one_hot(classes))
        expected = theirs.train_on_batch(*part)
        assert ours.train_on_batch(*part) == pytest.approx(expected, rel=1e-4), f"step {step}"
    assert_weights_close(ours, theirs, 1e-4)
    assert ours.optimizer.iterations == int(theirs.optimizer.iterations.numpy()) == 30


# -- the losses ------------------------------------------------------------------------------------


def targets(kind: str, classes: np.ndarray) -> np.ndarray:
    """Return the targets of 4 classes, in a form that a loss takes."""
    return {
        "one-hot": one_hot(classes),
        "sparse": classes,
        "sparse column": classes[:, None],
        "binary": (classes % 2).astype(np.float32),
        "binary column": (classes % 2)[:, None],
        "several": np.stack([classes >= 1, classes >= 2, classes == 3, classes == 0], 1) * 1.0,
    }[kind]


# loss, its options, the model's last activation, the targets, units
LOSSES: list[tuple[str, dict[str, Any], str | None, str, int]] = [
    ("CategoricalCrossentropy", {"from_logits": True}, None, "one-hot", 4),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, None, "one-hot", 4),
    ("CategoricalCrossentropy", {}, "softmax", "one-hot", 4),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "softmax", "one-hot", 4),
    ("CategoricalCrossentropy", {"reduction": "sum"}, "softmax", "one-hot", 4),
    # A layer in between hides the logits, so the loss has only the probabilities.
    ("CategoricalCrossentropy", {}, "hidden softmax", "one-hot", 4),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "hidden sigmoid", "one-hot", 4),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, None, "sparse", 4),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, None, "sparse column", 4),
    ("SparseCategoricalCrossentropy", {}, "softmax", "sparse", 4),
    ("SparseCategoricalCrossentropy", {}, "hidden sigmoid", "sparse", 4),
    ("BinaryCrossentropy", {"from_logits": True}, None, "binary", 1),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.3}, None, "several", 4),
    ("BinaryCrossentropy", {}, "sigmoid", "binary", 1),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "sigmoid", "binary column", 1),
    ("BinaryCrossentropy", {}, "sigmoid", "several", 4),
    ("BinaryCrossentropy", {}, "hidden softmax", "several", 4),
]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("loss", "options", "last", "kind", "units"),
    LOSSES,
    ids=[f"{a}-{'-'.join(b)}-{c}-{d}" for a, b, c, d, _ in LOSSES],
)
def test_training_on_each_loss_follows_keras(
    loss: str, options: dict[str, Any], last: str | None, kind: str, units: int, weighted: bool
) -> None:
    def make(module: Any) -> Any:
        layers = module.layers
        chain = [
            module.Input((12, 12, 3)),
            layers.AveragePooling2D(3),
            layers.Flatten(),
            layers.Dense(units, activation=(last or "linear").removeprefix("hidden ")),
        ]
        if (last or "").startswith("hidden"):
            chain.append(layers.Reshape((units,)))
        return module.Sequential(chain)

    ours, theirs = models = pair_of_models(make)
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.05),
            "loss": getattr(module.losses, loss)(**options),
        },
    )
    x, classes = photos(2 * BATCH)
    y = targets(kind, classes)
    weights = np.random.default_rng(2).uniform(0, 3, len(x)).astype(np.float32)
    columns = [x, y, weights] if weighted else [x, y]
    for step in range(8):
        part = batch(step, *columns)
        expected = theirs.train_on_batch(*part)
        assert ours.train_on_batch(*part) == pytest.approx(expected, rel=1e-4), f"step {step}"
        assert ours.test_on_batch(*part) == pytest.approx(theirs.test_on_batch(*part), rel=1e-4)
    assert_weights_close(ours, theirs, 1e-4)


@pytest.mark.parametrize("last", ["dense", "Activation", "Softmax", "nested"])
def test_the_loss_takes_the_logits_of_a_final_softmax_in_any_form(last: str) -> None:
    """Where p underflows to 0, its logarithm would be cut off at -16; the logits are exact."""

    def make(module: Any) -> Any:
        layers = module.layers
        inputs = module.Input((3,))
        scores = layers.Dense(3, use_bias=False)
        if last == "dense":
            y = layers.Dense(3, use_bias=False, activation="softmax")(inputs)
        elif last == "Activation":
            y = layers.Activation("softmax")(scores(inputs))
        elif last == "Softmax":
            y = layers.Softmax()(scores(inputs))
        else:
            y = module.Model(inputs, layers.Softmax()(scores(inputs)))(inputs)
        return module.Model(inputs, y)

    ours, theirs = models = pair_of_models(make)
    for model in models:
        model.set_weights([np.diag([100.0, 0.0, -100.0])])
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(1.0),
            "loss": module.losses.CategoricalCrossentropy(),
        },
    )
    x, y = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[1, 2, 0]]
    expected = theirs.train_on_batch(x, y)
    assert expected > 30
    assert ours.train_on_batch(x, y) == pytest.approx(expected, rel=1e-5)
    assert_weights_close(ours, theirs, 1e-6)
    assert ours.evaluate(x, y) == pytest.approx(theirs.evaluate(x, y, verbose=0), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "last", "kind"),
    [
        ("CategoricalCrossentropy", "sigmoid", "one-hot"),
        ("SparseCategoricalCrossentropy", "sigmoid", "sparse"),
        ("BinaryCrossentropy", "softmax", "several"),
    ],
)
def test_a_loss_after_another_activation_takes_the_predictions(
    loss: str, last: str, kind: str
) -> None:
    """An intended difference: here Keras on TensorFlow reads a sigmoid's scores as a softmax's.

    Our loss is that of the model's predictions, which Keras's loss also gives when called on them.
    """
    ours, _ = pair_of_models(lambda module: build(module, last))
    ours.compile(optimizer="sgd", loss=getattr(minicnn.losses, loss)())
    x, classes = photos(BATCH)
    y = targets(kind, classes)
    expected = getattr(keras.losses, loss)()(y, ours.predict(x)).numpy()
    assert ours.test_on_batch(x, y) == pytest.approx(expected, rel=1e-5)


def test_a_loss_from_logits_after_a_softmax_warns() -> None:
    ours, theirs = models = pair_of_models(lambda module: build(module, "softmax"))
    compile_both(models, lambda module: {"optimizer": "sgd", "loss": logits_loss(module)})
    x, classes = photos(BATCH)
    y = one_hot(classes)
    with pytest.warns(UserWarning, match="from_logits=True"):
        expected = theirs.train_on_batch(x, y)
    with pytest.warns(UserWarning, match="from_logits=True"):
        found = ours.train_on_batch(x, y)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["one-hot", "sparse", "sparse column", "binary"])
def test_class_weight_follows_keras(kind: str) -> None:
    units = 1 if kind == "binary" else CLASSES
    ours, theirs = models = pair_of_models(lambda module: build(module, None, units))
    loss = {"one-hot": "CategoricalCrossentropy", "binary": "BinaryCrossentropy"}
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.05),
            "loss": getattr(module.losses, loss.get(kind, "SparseCategoricalCrossentropy"))(
                from_logits=True
            ),
        },
    )
    x, classes = photos(2 * BATCH)
    y = targets(kind, classes)
    weights = {0: 0.25, 1: 3.0} if units == 1 else {0: 0.5, 1: 2.0, 2: 1.0, 3: 0.0}
    for step in range(4):
        part = batch(step, x, y)
        expected = theirs.train_on_batch(*part, class_weight=weights)
        assert ours.train_on_batch(*part, class_weight=weights) == pytest.approx(expected, rel=1e-4)
    assert_weights_close(ours, theirs, 1e-4)


# -- fit, evaluate, predict ------------------------------------------------------------------------

EXAMPLES = 29  # in batches of 8, the last has 5; a validation share is uneven, too


def fit_both(
    models: tuple[Any, Any], x: np.ndarray, y: np.ndarray, **options: Any
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return both histories of the same call, which neither shuffles nor prints."""
    ours, theirs = models
    options = {"batch_size": BATCH, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    expected = theirs.fit(x, y, **options).history
    return ours.fit(x, y, **options).history, expected


def assert_histories_close(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert list(found) == list(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-4, err_msg=key)


def classifier(kind: str, last: str | None = "softmax") -> tuple[Any, Any]:
    """Return both models, compiled with SGD, the loss for these targets, and accuracy."""
    units, loss = CLASSES, "categorical_crossentropy"
    if kind.startswith("sparse"):
        loss = "sparse_categorical_crossentropy"
    elif kind.startswith("binary") or kind == "several":
        units, last, loss = (4 if kind == "several" else 1), "sigmoid", "binary_crossentropy"
    models = pair_of_models(lambda module: build(module, last, units))
    compile_both(
        models,
        lambda module: {
            "optimizer": module.optimizers.SGD(0.05, momentum=0.5),
            "loss": loss,
            "metrics": ["accuracy"],
        },
    )
    return models


KINDS = ["one-hot", "sparse", "sparse column", "binary", "binary column", "several"]


@pytest.mark.parametrize("kind", KINDS)
def test_fit_with_accuracy_follows_keras(kind: str) -> None:
    """Each form of targets has its own accuracy; `evaluate` and `predict` agree afterwards."""
    ours, theirs = models = classifier(kind)
    x, classes = photos(EXAMPLES)
    y = targets(kind, classes)
    found, expected = fit_both(models, x, y, validation_split=0.3)
    assert list(found) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert_histories_close(found, expected)
    assert len(set(found["accuracy"] + found["val_accuracy"])) > 1, "accuracy never moved"
    expected_scores = theirs.evaluate(x, y, batch_size=BATCH, verbose=0)
    assert ours.evaluate(x, y, batch_size=BATCH) == pytest.approx(expected_scores, rel=1e-4)
    np.testing.assert_allclose(
        ours.predict(x, batch_size=BATCH),
        theirs.predict(x, batch_size=BATCH, verbose=0),
        rtol=1e-4,
        atol=1e-6,
    )
    assert_weights_close(ours, theirs, 1e-4)


x_val, classes_val = photos(13, seed=5)
FITS: dict[str, dict[str, Any]] = {
    "default batch": {"batch_size": None},
    "validation_data": {"validation_data": (x_val, one_hot(classes_val))},
    "validation weights": {
        "validation_data": (x_val, one_hot(classes_val), np.linspace(0, 2, 13, dtype="float32"))
    },
    "validation batch": {"validation_split": 0.5, "validation_batch_size": 3},
    "validation steps": {
        "validation_data": (x_val, one_hot(classes_val)),
        "validation_steps": 1,
    },
    "validation_freq": {"validation_split": 0.25, "validation_freq": 2, "epochs": 5},
    "initial_epoch": {"initial_epoch": 2, "epochs": 4},
    "class_weight": {"class_weight": {0: 2.0, 1: 0.5, 2: 1.0, 3: 0.1}},
    "sample_weight": {"sample_weight": np.linspace(0, 2, EXAMPLES).astype(np.float32)},
    "split weights": {
        "sample_weight": np.linspace(0, 2, EXAMPLES).astype(np.float32),
        "validation_split": 0.4,
    },
}


@pytest.mark.parametrize("case", FITS)
def test_arguments_of_fit_follow_keras(case: str) -> None:
    ours, theirs = models = classifier("one-hot")
    x, classes = photos(EXAMPLES)
    found, expected = fit_both(models, x, one_hot(classes), **FITS[case])
    assert_histories_close(found, expected)
    assert_weights_close(ours, theirs, 1e-4)


def test_the_history_counts_epochs_as_keras_does() -> None:
    ours, theirs = classifier("sparse")
    x, classes = photos(EXAMPLES)
    options: dict[str, Any] = {"epochs": 4, "initial_epoch": 1, "verbose": 0}
    assert ours.fit(x, classes, **options).epoch == theirs.fit(x, classes, **options).epoch


def test_a_sequence_is_told_of_its_epochs_in_keras_s_order() -> None:
    """Keras also reads the first batches beforehand to learn their shape; that is left out."""

    class Told(keras.utils.PyDataset):
        def __init__(self, name: str, log: list[str]) -> None:
            super().__init__()
            self.name, self.log = name, log

        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> Any:
            self.log.append(f"{self.name}{i}")
            return np.ones((2, 3), np.float32), np.zeros((2, 1), np.float32)

        def on_epoch_begin(self) -> None:
            self.log.append(f"{self.name}(")

        def on_epoch_end(self) -> None:
            self.log.append(f"){self.name}")

    def epochs(log: list[str]) -> list[str]:
        kept: list[str] = []
        open_: set[str] = set()
        for entry in log:
            name = entry.strip("(0123456789)")
            if len(name) > 1 or entry.endswith("(") or name in open_:
                kept.append(entry)
            open_ = open_ | {name} if entry.endswith("(") else open_
            open_ = open_ - {name} if entry.startswith(")") else open_
        return kept

    def played(library: Any) -> list[str]:
        model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
        model.compile("sgd", "binary_crossentropy")
        log: list[str] = []
        said = library.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: log.append("epoch begin"),
            on_epoch_end=lambda epoch, logs: log.append("epoch end"),
            on_test_begin=lambda logs: log.append("test begin"),
            on_test_end=lambda logs: log.append("test end"),
            on_predict_begin=lambda logs: log.append("predict begin"),
            on_predict_end=lambda logs: log.append("predict end"),
        )
        options: dict[str, Any] = {"verbose": 0, "callbacks": [said]}
        train, validation = Told("t", log), Told("v", log)
        model.fit(train, epochs=2, shuffle=False, validation_data=validation, **options)
        model.evaluate(validation, **options)
        model.predict(train, **options)
        return epochs(log)

    ours, theirs = played(minicnn), played(keras)
    assert ours == theirs
    assert ours.count("t(") == ours.count("v(") == 3


def test_batches_of_a_keras_data_set() -> None:
    """A Keras `PyDataset` feeds both: its batches have weights and different sizes."""

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            x, classes = photos(EXAMPLES)
            weights = np.linspace(0.5, 2, EXAMPLES).astype(np.float32)
            self.columns = x, one_hot(classes), weights

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
            return tuple(column[12 * index : 12 * index + 12] for column in self.columns)

    ours, theirs = classifier("one-hot")
    options: dict[str, Any] = {"epochs": 2, "shuffle": False, "verbose": 0}
    expected = theirs.fit(Batches(), validation_data=Batches(), **options).history
    found = ours.fit(Batches(), validation_data=Batches(), **options).history
    assert_histories_close(found, expected)
    expected_scores = theirs.evaluate(Batches(), verbose=0, return_dict=True)
    assert ours.evaluate(Batches(), return_dict=True) == pytest.approx(expected_scores, rel=1e-4)
    np.testing.assert_allclose(
        ours.predict(Batches()), theirs.predict(Batches(), verbose=0), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluate_and_predict_agree(weighted: bool) -> None:
    ours, theirs = classifier("one-hot")
    x, classes = photos(EXAMPLES)
    y = one_hot(classes)
    options: dict[str, Any] = {"batch_size": 8, "verbose": 0}
    if weighted:
        options["sample_weight"] = np.linspace(0, 3, EXAMPLES).astype(np.float32)
    expected = theirs.evaluate(x, y, **options)
    found = ours.evaluate(x, y, **options)
    assert isinstance(found, list)
    assert found == pytest.approx(expected, rel=1e-5)
    as_dict = ours.evaluate(x, y, return_dict=True, **options)
    expected_dict = theirs.evaluate(x, y, return_dict=True, **options)
    assert as_dict == pytest.approx(expected_dict, rel=1e-5)
    two = theirs.evaluate(x, y, steps=2, **options)
    assert ours.evaluate(x, y, steps=2, **options) == pytest.approx(two, rel=1e-5)
    wanted = theirs.predict(x, verbose=0)
    for size in (1, 8, EXAMPLES, 100):
        np.testing.assert_allclose(ours.predict(x, batch_size=size), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        ours.predict_on_batch(x), theirs.predict_on_batch(x), rtol=1e-5, atol=1e-6
    )


def test_without_metrics_evaluate_gives_one_number() -> None:
    ours, theirs = models = pair_of_models(build)
    compile_both(models, lambda module: {"optimizer": "sgd", "loss": logits_loss(module)})
    x, classes = photos(EXAMPLES)
    y = one_hot(classes)
    found = ours.evaluate(x, y)
    assert np.ndim(found) == 0
    assert found == pytest.approx(theirs.evaluate(x, y, verbose=0), rel=1e-5)


def test_inputs_may_have_any_form_that_keras_takes() -> None:
    """In a list, by name or without the axis of its one channel, x gives the same as in Keras."""

    def make(module: Any) -> Any:
        inputs = module.Input((3, 4, 1), name="photo")
        x = module.layers.Flatten()(inputs)
        return module.Model(inputs, module.layers.Dense(CLASSES)(x))

    ours, theirs = pair_of_models(make)
    ours.compile("sgd", logits_loss(minicnn))
    theirs.compile("sgd", logits_loss(keras), run_eagerly=True)
    x = np.random.default_rng(0).standard_normal((4, 3, 4, 1)).astype(np.float32)
    y, w = one_hot(np.arange(4) % CLASSES), np.arange(4.0)
    for form in ([x], (x,), {"photo": x}, x[..., 0], [x[..., 0]], x[..., None]):
        np.testing.assert_allclose(ours(form), theirs(form), rtol=1e-4, atol=1e-5)
        expected = theirs.test_on_batch(form, [y], [w])
        assert ours.test_on_batch(form, [y], [w]) == pytest.approx(expected, rel=1e-4)


def test_training_false_holds_in_fit_and_keras_overrides_it() -> None:
    """The docstrings of `Layer.__call__` and `Model.__call__`, and README, say so."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(3, 2, (8, 2)).astype(np.float32)
    means = []
    for library in (minicnn, keras):
        base = library.Sequential(
            [library.Input((2,)), library.layers.BatchNormalization(name="norm")]
        )
        inputs = library.Input((2,))
        outputs = library.layers.Dense(1)(base(inputs, training=False))
        model = library.Model(inputs, outputs)
        model.compile("sgd", library.losses.BinaryCrossentropy(from_logits=True))
        model.fit(x, np.ones((8, 1)), verbose=0)
        means.append(float(np.abs(np.array(base.get_weights()[2])).max()))
    assert means[0] == 0
    assert means[1] > 0.01
