"""Training beside Keras: the same weights and batches must give the same losses, step for step.

Whatever is wrong with a gradient, an optimizer, a moving statistic or a mean of batches shows in
the losses after a few steps, and goes on growing.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]  # most fits are traced by TensorFlow first

STEPS = 200
CLASSES = 4
BATCH = 8


def build(module: Any, last: str | None = None, units: int = CLASSES) -> Any:
    """Convolution, normalization, ReLU, pooling, dense: what a small photo classifier has.

    The same lines make a model of minicnn and of Keras.
    """
    layers = module.layers
    return module.Sequential(
        [
            module.Input((12, 12, 3)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(3, 2, padding="same"),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(units, activation=last),
        ]
    )


def pair_of_models(make: Callable[[Any], Any], seed: int = 0) -> tuple[Any, Any]:
    """(ours, theirs), with the weights that Keras drew."""
    keras.utils.set_random_seed(seed)
    theirs, ours = make(keras), make(minicnn)
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def compile_both(models: tuple[Any, Any], settings: Callable[[Any], dict[str, Any]]) -> None:
    """`settings(module)` makes what `compile` takes, from minicnn and from Keras."""
    ours, theirs = models
    ours.compile(**settings(minicnn))
    # XLA would compile for seconds what takes milliseconds to run here.
    theirs.compile(**settings(keras), jit_compile=False)


def photos(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a patch whose place and colour tell the class: learnable, not at once."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 12, 12, 3)).astype(np.float32)
    classes = rng.integers(0, CLASSES, count)
    for picture, k in zip(x, classes, strict=True):
        picture[3 * k : 3 * k + 3, 2:8, k % 3] += 2
    return x, classes


def one_hot(classes: np.ndarray) -> np.ndarray:
    return np.eye(CLASSES, dtype=np.float32)[classes]


def assert_weights_close(ours: Any, theirs: Any, tolerance: float) -> None:
    found, expected = ours.get_weights(), theirs.get_weights()
    assert len(found) == len(expected) > 0
    for variable, a, b in zip(theirs.weights, found, expected, strict=True):
        scale = max(float(np.abs(b).max()), 1e-3)
        assert float(np.abs(a - b).max()) <= tolerance * scale, variable.path


def batch(step: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """The step's batch of each array; after the last one the first follows."""
    start = step * BATCH % (len(arrays[0]) // BATCH * BATCH)
    return [array[start : start + BATCH] for array in arrays]


# -- the optimizers --------------------------------------------------------------------------------

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"learning_rate": 0.05}),
    "momentum": ("SGD", {"learning_rate": 0.01, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.01, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.002}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.002}),
}
# Adam divides by the size of the gradient: where that is rounding only, so is the step.
WEIGHT_TOLERANCE = {"adam": 1e-3}


def logits_loss(module: Any) -> Any:
    return module.losses.CategoricalCrossentropy(from_logits=True)


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
    """On a dense model, whose gradients are exact to the last bits; the learning rate changes."""

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
    """The targets of 4 classes, in each form that a loss takes."""
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
    # Behind a layer that hides where they come from, probabilities are all that the loss has.
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
def test_a_final_softmax_in_any_form_is_exact_beside_the_loss(last: str) -> None:
    """Where p underflows to 0 its logarithm would be cut off at -16; the logits have the truth."""

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
def test_a_loss_beside_the_other_activation_takes_the_predictions(
    loss: str, last: str, kind: str
) -> None:
    """An intended difference: here Keras on TensorFlow reads a sigmoid's scores as a softmax's.

    Ours is the loss of what the model says, which is what Keras's loss gives for the numbers.
    """
    ours, _ = pair_of_models(lambda module: build(module, last))
    ours.compile(optimizer="sgd", loss=getattr(minicnn.losses, loss)())
    x, classes = photos(BATCH)
    y = targets(kind, classes)
    expected = getattr(keras.losses, loss)()(y, ours.predict(x)).numpy()
    assert ours.test_on_batch(x, y) == pytest.approx(expected, rel=1e-5)


def test_logits_after_a_softmax_are_warned_of() -> None:
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

EXAMPLES = 29  # with batches of 8 the last one has 5, and a validation share is uneven too


def fit_both(
    models: tuple[Any, Any], x: np.ndarray, y: np.ndarray, **options: Any
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Both histories of the same call, without shuffling, silent."""
    ours, theirs = models
    options = {"batch_size": BATCH, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    expected = theirs.fit(x, y, **options).history
    return ours.fit(x, y, **options).history, expected


def assert_histories_close(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert list(found) == list(expected)
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-4, err_msg=key)


def classifier(kind: str, last: str | None = "softmax") -> tuple[Any, Any]:
    """Both models, compiled with Adam, the loss for these targets, and accuracy."""
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


def test_the_history_counts_epochs_as_keras() -> None:
    ours, theirs = classifier("sparse")
    x, classes = photos(EXAMPLES)
    options: dict[str, Any] = {"epochs": 4, "initial_epoch": 1, "verbose": 0}
    assert ours.fit(x, classes, **options).epoch == theirs.fit(x, classes, **options).epoch


def test_a_sequence_hears_of_its_epochs_in_kerass_order() -> None:
    """Keras also looks at the first batches beforehand, to learn their shape; that is left out."""

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
    """A `PyDataset` of Keras feeds both: batches with weights, of different sizes."""

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
    for size in (1, 8, EXAMPLES, 100):
        np.testing.assert_allclose(
            ours.predict(x, batch_size=size), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-6
        )
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


# -- frozen parts ----------------------------------------------------------------------------------


def nested(module: Any, training: bool | None = None, trainable: bool = True) -> Any:
    """A base with normalization inside a larger model, as in transfer learning."""
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
    """Train; assert that each loss, and the weights at the end, are Keras's."""
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
        part = batch(step, x + 1, one_hot(classes))  # no mean of 0, so that statistics move
        expected = theirs.train_on_batch(*part)
        assert ours.train_on_batch(*part) == pytest.approx(expected, rel=1e-4), f"step {step}"
    assert_weights_close(ours, theirs, 1e-4)


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    return [bool((a != b).any()) for a, b in zip(before, after, strict=True)]


# The weights: kernel, gamma, beta, moving mean, moving variance; the dense layer's kernel and bias.
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
    """`base(inputs, training=False)`: no batch statistics, though gamma and beta learn.

    An intended difference: Keras's guide to transfer learning promises this, and its model does it
    where a call says nothing of training; its `fit` passes training=True on over it.
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
    """Train the head, then thaw the base with its normalization frozen, and train on."""
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
    """A model in a model in a model; one dense layer is used twice."""
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
    """The layers' own flags say what learns in the largest model; so after a file, too."""
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
                continue  # Keras's file lacks a Sequential's own flag
            found = [v.path for v in part(mine, inner).trainable_weights]
            expected = [
                "/".join(v.path.split("/")[-2:]) for v in part(other, inner).trainable_weights
            ]
            assert found == expected, inner
    if name == "frozen whole":
        return  # Keras warns and goes on; so do we, and nothing moves
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
    """`trainable=False` stops its parameters and its statistics, and uses the latter."""

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
    """Four examples: there a variance divided by n - 1 would be a third larger."""

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


def test_inputs_come_in_keras_forms() -> None:
    """In a list, by name, without the axis of one channel: the same numbers as Keras's."""

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
    """Said in the docstrings of `Layer.__call__` and `Model.__call__`, and in README."""
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
