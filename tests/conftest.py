"""What the tests of `reference/` share: drawn photos, and a base so small that it runs at once."""

import importlib.util

import pytest

# `reference/` is written with Keras: where that is not installed, its tests are not collected.
collect_ignore_glob = [] if importlib.util.find_spec("keras") else ["test_reference_*.py"]


@pytest.fixture(scope="session")
def clothes(tmp_path_factory):
    """A small drawn data set: 12 photos to learn from, 6 to choose by, 4 to judge by, per class."""
    from minicnn.datasets import write_clothing_sample

    folder = tmp_path_factory.mktemp("photos") / "clothes"
    return write_clothing_sample(folder, {"train": 12, "validation": 6, "test": 4}, size=48)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A `.keras` file that ends in features: two blocks, random weights."""
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="block1_conv")(inputs)
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    x = keras.layers.SeparableConv2D(24, 3, strides=2, activation="relu", name="block2_conv")(x)
    x = keras.layers.BatchNormalization(name="block2_bn")(x)
    path = tmp_path_factory.mktemp("base") / "tiny.keras"
    keras.Model(inputs, x, name="tiny").save(path)
    return path
