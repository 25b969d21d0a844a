"""Mistakes that the course's FAQ knows are answered in a sentence where they are made.

CONTRIBUTING lists the questions, and where each has its answer.
"""

import warnings
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn import layers
from minicnn.preprocessing.image import ImageDataGenerator
from minicnn.utils import image_dataset_from_directory

ROOT = Path(__file__).parents[2]


def model(units=1, activation="sigmoid", loss="binary_crossentropy"):
    minicnn.utils.set_random_seed(0)
    made = minicnn.Sequential(
        [minicnn.Input((4, 4, 3)), layers.Flatten(), layers.Dense(units, activation=activation)]
    )
    made.compile("sgd", loss, metrics=["accuracy"])
    return made


def pixels(n=8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 4, 4, 3)).astype("float32"), np.arange(n) % 2


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_the_generator_itself_instead_of_its_batches(method):
    with pytest.raises(TypeError, match=r"Received ImageDataGenerator\. Pass what its flow or"):
        getattr(model(), method)(ImageDataGenerator(rescale=1 / 255), verbose=0)


def test_categorical_labels_for_a_single_unit():
    x, y = pixels()
    with pytest.raises(ValueError, match=r'One-hot rows .* read the images with class_mode="bin'):
        model().fit(x, np.eye(2)[y], verbose=0)
    with pytest.raises(ValueError, match=r"Class numbers as targets go with Sparse"):
        model(2, "softmax", "categorical_crossentropy").fit(x, y, verbose=0)


@pytest.mark.parametrize(
    ("units", "activation", "loss"),
    [
        (1, "sigmoid", "binary_crossentropy"),
        (2, "softmax", "sparse_categorical_crossentropy"),
    ],
)
def test_pixels_that_nobody_has_scaled(units, activation, loss):
    x, y = pixels()
    made = model(units, activation, loss)
    made.optimizer.learning_rate = 1
    with pytest.warns(UserWarning, match=r"the loss is above 1,000, .* Are the pixels scaled"):
        made.fit(x, y, epochs=2, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(units, activation, loss).fit(x / 255, y, epochs=2, verbose=0)
        made = model(1, None, "mse")  # there a large loss may be right
        made.optimizer.learning_rate = 0
        made.fit(x, 1000.0 * y, verbose=0)
    made = model(units, activation, loss)
    made.optimizer.learning_rate = 50
    with pytest.warns(UserWarning, match=r"the validation loss is above 1,000, .* in each gener"):
        made.fit(x / 255, y, validation_data=(x * 100, y), verbose=0)


def test_large_losses_of_two_outputs():
    x, inputs = np.ones((4, 2)), minicnn.Input((2,))
    ends = [layers.Dense(1, "sigmoid", kernel_initializer="ones")(inputs) for _ in range(2)]
    made = minicnn.Model(inputs, ends)
    made.compile("sgd", "mse")
    given = {"validation_data": (x, [np.full((4, 1), 99.0)] * 2), "verbose": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.fit(x, [np.ones((4, 1))] * 2, **given)
    made.compile("sgd", ["binary_crossentropy"] * 2, loss_weights=[1e5, 1e5])
    with pytest.warns(UserWarning, match=r"the loss is above 1,000"):
        made.fit(x, [np.zeros((4, 1))] * 2, verbose=0)


def test_a_folder_of_train_and_validation_in_place_of_one_of_them(tmp_path):
    for part in ("train", "Validation"):
        for kind in ("dress", "hat"):
            (tmp_path / part / kind).mkdir(parents=True)
            minicnn.utils.save_img(tmp_path / part / kind / "1.png", np.zeros((4, 4, 3)))
    flow, read = ImageDataGenerator().flow_from_directory, image_dataset_from_directory
    for reader, size in ((flow, "target_size"), (read, "image_size")):
        with pytest.warns(UserWarning, match=r"takes the folders 'Validation', 'train' for clas"):
            reader(tmp_path, **{size: (4, 4)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader(tmp_path / "train", **{size: (4, 4)})


def test_a_path_in_place_of_photos():
    for method in ("fit", "predict"):
        with pytest.raises(TypeError, match=r"x to be numbers\. Received text\. load_img"):
            getattr(model(), method)("clothing-dataset-small/train")


def test_channels_that_are_not_known():
    with pytest.raises(ValueError, match=r"of channels, as in Input\(\(None, None, 3\)\)\. Rec"):
        layers.Conv2D(2, 3)(minicnn.Input((None, None, None)))


def test_weights_for_a_model_that_has_none_yet(tmp_path):
    made = minicnn.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="has no weights yet: start it with an Input, or call it"):
        made.load_weights(tmp_path / "x.weights.h5")


def test_arguments_of_the_past():
    with pytest.raises(ValueError, match=r'not take the argument "lr"\. Use learning_rate'):
        minicnn.optimizers.SGD(lr=0.1)
    with pytest.raises(AttributeError, match=r"no fit_generator\. Use fit, which takes generators"):
        model().fit_generator(None)


def test_the_summary_says_where_the_parameters_come_from(capsys):
    minicnn.Sequential([minicnn.Input((150, 150, 3)), layers.Conv2D(32, 3)]).summary()
    said = capsys.readouterr().out
    assert "│    896 │ (3·3·3+1)·32 │" in said


def test_contributing_lists_the_questions():
    guide = ROOT / ".github" / "CONTRIBUTING.md"
    if not guide.exists():
        pytest.skip("this is not a checkout")
    text = guide.read_text("utf-8")
    rows = text.split("## The course's questions")[1].split("\n## ")[0].splitlines()
    assert sum(row.startswith("| ") for row in rows) > 12
