"""The questions of the homework: checks, hints and solutions.

The numbers of the checks are those of the solutions, with room for other processors and other
random starts (`tests/lessons/test_lessons.py` runs the solutions).
"""

from typing import Any

from minicnn.lessons.checking import HOMEWORK, KindError, exercise, first_of, number_of, same


@exercise(
    HOMEWORK,
    1,
    """
def make_model():
    return keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


model = make_model()
parameters = model.count_params()
""",
)
def _parameters(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (found == 1_969_153, ""),
        (found == 896, "these are the convolution's, (3 · 3 · 3 + 1) · 32. Add those of Dense."),
        (found == 1_968_192, "these are the 64 units', without the 32 kernels and the last unit."),
        (found == 7_874_497, "that is without pooling, which leaves 31 of 62 rows and columns."),
        (
            found == 1_969_218,
            "that is with two units at the end. One is enough: it gives the second probability.",
        ),
        (
            found == 2_098_241,
            'that is with padding="same". The default cuts a pixel off each side.',
        ),
        otherwise="not yet: (3 · 3 · 3 + 1) · 32 for the convolution; Flatten gives 31 · 31 · 32 "
        "numbers; each unit behind it has a weight for each of them, and a bias.",
    )


@exercise(HOMEWORK, 2, 'loss = "binary_crossentropy"')
def _loss(answer: Any) -> str:
    found = str(getattr(answer, "name", answer)).lower().replace(" ", "_")
    return first_of(
        (found == "binary_crossentropy", ""),
        (
            found == "categorical_crossentropy",
            "that is for a row of probabilities. A single one is always all of them, so its loss "
            "would be 0.",
        ),
        (
            found == "mean_squared_error",
            "it works, but where the sigmoid is flat its gradient vanishes. Another suits better.",
        ),
        (found == "cosine_similarity", "the angle between two single numbers says nothing."),
        otherwise=f"not yet: answer with one of the four names. It is {answer!r}.",
    )


def one_number(answer: Any, function: str) -> float:
    """The answer as a number; if it is a list, the error says which function makes one of it."""
    if isinstance(answer, (list, tuple)):
        raise KindError(f"that is a list, one number for each epoch: take {function} of it")
    return number_of(answer)


@exercise(
    HOMEWORK,
    3,
    """
keras.utils.set_random_seed(42)
model = make_model()
options = {
    "classes": kinds, "target_size": (64, 64), "batch_size": 20, "class_mode": "binary"
}
plain = ImageDataGenerator(rescale=1 / 255)
train = plain.flow_from_directory(folder / "train", **options)
test = plain.flow_from_directory(folder / "test", **options)
optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.8)
model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
history = model.fit(train, epochs=10, validation_data=test, verbose=0).history
median = np.median(history["accuracy"])
""",
)
def _median(answer: Any) -> str:
    found = one_number(answer, "np.median")
    return first_of(
        (0.78 <= found <= 0.92, ""),
        (found > 1, "accuracies go from 0 to 1."),
        (
            abs(found - 0.5) < 0.03,
            "that is guessing. Is the accuracy the same in each epoch? Then look at class_mode: "
            '"binary" gives one number for each image, as the model does. Or the learning rate is '
            "not 0.01.",
        ),
        (found == 0, 'never right? class_mode="binary" gives the numbers 0 and 1.'),
        (found > 0.92, "that is more than these epochs reach: is it the median of all ten?"),
        otherwise="that is not near 0.85. Check rescale=1 / 255, momentum=0.8 and the 10 epochs.",
    )


@exercise(HOMEWORK, 4, 'deviation = np.std(history["loss"])')
def _deviation(answer: Any) -> str:
    found = one_number(answer, "np.std")
    return first_of(
        (0.1 <= found <= 0.22, ""),
        (0.22 < found <= 0.8, "that may be a mean or a median; np.std says how far they spread."),
        (0.008 < found < 0.05, "that may be np.var: the standard deviation is its square root."),
        (found > 0.8, "the losses begin at 0.7. Check rescale=1 / 255."),
        otherwise='not yet: np.std(history["loss"]), of all ten epochs.',
    )


@exercise(
    HOMEWORK,
    5,
    """
changing = ImageDataGenerator(
    rescale=1 / 255,
    rotation_range=20,
    width_shift_range=0.1,
    height_shift_range=0.1,
    zoom_range=0.1,
    horizontal_flip=True,
    fill_mode="nearest",
)
augmented = model.fit(
    changing.flow_from_directory(folder / "train", **options),
    epochs=10,
    validation_data=test,
    verbose=0,
).history
test_loss = np.mean(augmented["val_loss"])
""",
)
def _test_loss(answer: Any) -> str:
    found = one_number(answer, "np.mean")
    return first_of(
        (0.1 <= found <= 0.3, ""),
        (found > 3, "the loss has jumped: does the new generator have rescale=1 / 255, too?"),
        (0.6 < found < 0.8, "log(2) = 0.69 is guessing. Was the model built again? It must go on."),
        (
            0.3 < found <= 0.6,
            "these epochs have less. Is it the loss before augmentation, or a new model's?",
        ),
        otherwise='not yet: np.mean(augmented["val_loss"]), of the ten epochs with augmentation.',
    )


@exercise(HOMEWORK, 6, 'test_accuracy = np.mean(augmented["val_accuracy"][5:])')
def _test_accuracy(answer: Any) -> str:
    found = one_number(answer, "np.mean")
    return first_of(
        (0.88 <= found <= 0.98, ""),
        (found > 1, "accuracies go from 0 to 1."),
        (abs(found - 0.5) < 0.05, "that is guessing. Was the model built again? It must go on."),
        (
            0.7 <= found < 0.88,
            "that may be the accuracy on the changed training images, or before augmentation.",
        ),
        otherwise='not yet: np.mean(augmented["val_accuracy"][5:]), the last five of ten.',
    )


@exercise(HOMEWORK, 7, "dress = 1 - 0.8")
def _dress(answer: Any) -> str:
    found = number_of(answer)
    return first_of(
        (same(found, 0.2), ""),
        (
            same(found, 0.8),
            "0.8 is the probability of class 1. The folders are in alphabetical order: dress is "
            "class 0, skirt class 1.",
        ),
        (same(found, 20), "as a probability, please: from 0 to 1."),
        (same(found, 0.5), "the model prefers one of the two."),
        otherwise="not yet: 0.8 is the probability of class 1; the two add up to 1.",
    )
