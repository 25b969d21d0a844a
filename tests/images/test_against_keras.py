"""Keras and minicnn make the same pixels from the same photos, options and seeds.

They are exactly the same, with one exception: for its data sets, TensorFlow decodes JPEG with a
rougher inverse cosine transform than Pillow's.
"""

import numpy as np
import pytest
from PIL import Image

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytest.importorskip("scipy")

from keras._tf_keras.keras.preprocessing.image import (  # noqa: E402
    ImageDataGenerator as KerasGenerator,
)

import minicnn  # noqa: E402
from minicnn.images import ImageDataGenerator, files  # noqa: E402

# Keras's old generator warns about its own code.
pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*"),
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*"),
]

SIZES = [(30, 41, 16, 16), (30, 41, 64, 65), (7, 5, 3, 9), (1, 1, 4, 3), (64, 64, 64, 64)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Write three classes of noisy images of many sizes and kinds, in lossless formats."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("hat", "pants", "t-shirt"):
        (folder / name / "more").mkdir(parents=True)
        for i in range(9):
            height, width = rng.integers(5, 60, 2)
            smooth = rng.integers(0, 256, (4, 4, 4), np.uint8)
            image = Image.fromarray(smooth).resize((int(width), int(height)), Image.BILINEAR)
            mode = ["RGB", "RGBA", "L", "RGB"][i % 4]
            path = folder / name / ("more" if i == 4 else "") / f"{i}.{['png', 'bmp'][i == 3]}"
            image.convert(mode).save(path)
    (folder / "hat" / "notes.txt").write_text("not a photo")
    return folder


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_resize(size, interpolation):
    x = np.random.default_rng(1).integers(0, 256, (*size[:2], 3)).astype(np.uint8)
    expected = tf.image.resize(x, size[2:], method=interpolation).numpy()
    np.testing.assert_array_equal(files.resize(x, size[2:], interpolation), expected)


@pytest.mark.parametrize("mode", ["grayscale", "rgb", "rgba"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box"])
@pytest.mark.parametrize("keep", [False, True])
def test_load_img(photos, mode, interpolation, keep):
    for path in sorted((photos / "hat").glob("*.*"))[:5]:
        arguments = {
            "color_mode": mode,
            "target_size": (21, 13),
            "interpolation": interpolation,
            "keep_aspect_ratio": keep,
        }
        theirs = keras.utils.img_to_array(keras.utils.load_img(path, **arguments))
        ours = minicnn.utils.img_to_array(minicnn.utils.load_img(path, **arguments))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
def test_array_to_img(channels, scale):
    x = np.random.default_rng(2).uniform(0, 255, (6, 7, channels))
    theirs, ours = (
        keras.utils.array_to_img(x, scale=scale),
        minicnn.utils.array_to_img(x, scale=scale),
    )
    assert ours.mode == theirs.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


KINDS = {
    "png": ("L", "RGB", "RGBA", "P", "I;16"),
    "jpg": ("L", "RGB", "CMYK"),
    "gif": ("L", "RGB", "P"),
    "bmp": ("L", "RGB"),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(k, mode) for k, modes in KINDS.items() for mode in modes]
)
def test_decoding_as_tensorflow(tmp_path, kind, mode):
    rng = np.random.default_rng(3)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (20, 30), np.uint16))
    else:
        smooth = Image.fromarray(rng.integers(0, 256, (4, 4, 4), np.uint8))
        image = smooth.resize((30, 20), Image.BILINEAR).convert("RGB" if mode != "RGBA" else mode)
        image = image.convert(mode)
    path = tmp_path / f"a.{kind}"
    image.save(path)
    if kind == "jpg":  # the exact transform; TensorFlow's default is the fast one
        expected = tf.io.decode_jpeg(path.read_bytes(), 3, dct_method="INTEGER_ACCURATE").numpy()
    else:
        expected = tf.io.decode_image(
            path.read_bytes(), channels=3, expand_animations=False
        ).numpy()
    np.testing.assert_allclose(files.decode_photo(path).astype(int), expected, atol=1)


OPTIONS = {
    "nothing": {},
    "rotation": {"rotation_range": 30},
    "width": {"width_shift_range": 0.2},
    "height": {"height_shift_range": 0.2},
    "pixels": {"width_shift_range": 3, "height_shift_range": [1, 4, 7]},
    "no pixels": {"width_shift_range": [], "height_shift_range": None, "rescale": 0},
    "backwards": {"width_shift_range": -1, "height_shift_range": -0.1},
    "shear": {"shear_range": 20},
    "zoom": {"zoom_range": 0.3},
    "zoom range": {"zoom_range": (0.5, 0.9)},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "channels": {"channel_shift_range": 40},
    "brightness": {"brightness_range": (0.3, 1.7)},
    "rescale": {"rescale": 1 / 255},
    "function": {"preprocessing_function": lambda x: x / 127.5 - 1},
    "samplewise": {"samplewise_std_normalization": True},
    "nearest pixel": {"rotation_range": 30, "interpolation_order": 0},
    "float64": {"rotation_range": 30, "dtype": "float64"},
}
OPTIONS["all"] = {
    "rotation_range": 30,
    "width_shift_range": 0.2,
    "height_shift_range": 0.1,
    "shear_range": 10,
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "channel_shift_range": 20,
    "brightness_range": (0.5, 1.5),
    "rescale": 1 / 255,
}


def assert_same_batches(theirs, ours):
    """Compare two epochs read by `next`, then one by index, as `fit` reads it."""
    assert len(ours) == len(theirs)

    def check(a, b):
        a, b = (batch if isinstance(batch, tuple) else (batch,) for batch in (a, b))
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert x.dtype == y.dtype
            # Even when asked for float64, Keras warps in float32.
            np.testing.assert_allclose(y, x, rtol=0, atol=1e-4 if y.dtype == "float64" else 0)

    for _ in range(2 * len(ours)):
        check(next(theirs), next(ours))
    for i in range(len(ours)):
        check(theirs[i], ours[i])
    for it in (theirs, ours):
        it.on_epoch_end()
    check(theirs[0], ours[0])


@pytest.mark.parametrize("name", OPTIONS)
def test_flow_from_directory(photos, name):
    arguments = {"target_size": (24, 31), "batch_size": 10, "seed": 5}
    theirs = KerasGenerator(**OPTIONS[name]).flow_from_directory(str(photos), **arguments)
    ours = ImageDataGenerator(**OPTIONS[name]).flow_from_directory(photos, **arguments)
    assert ours.class_indices == theirs.class_indices
    assert ours.filenames == theirs.filenames
    np.testing.assert_array_equal(ours.classes, theirs.classes)
    assert_same_batches(theirs, ours)


@pytest.mark.parametrize("fill_mode", ["nearest", "constant", "reflect", "wrap"])
@pytest.mark.parametrize("order", [0, 1])
def test_fill_modes(photos, fill_mode, order):
    options = OPTIONS["all"] | {"fill_mode": fill_mode, "cval": 7.0, "interpolation_order": order}
    arguments = {"target_size": (24, 24), "seed": 1}
    assert_same_batches(
        KerasGenerator(**options).flow_from_directory(str(photos), **arguments),
        ImageDataGenerator(**options).flow_from_directory(photos, **arguments),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_mode": "sparse"},
        {"class_mode": None, "shuffle": False},
        {"class_mode": "input"},
        {"classes": ["t-shirt", "hat"], "class_mode": "binary"},
        {"color_mode": "grayscale", "interpolation": "bilinear"},
        {"color_mode": "rgba", "keep_aspect_ratio": True},
        {"subset": "validation"},
        {"subset": "training", "shuffle": False},
    ],
    ids=str,
)
def test_ways_to_read_a_folder(photos, arguments):
    options = {"validation_split": 0.3, "zoom_range": 0.2}
    arguments = {"target_size": (12, 10), "batch_size": 4, "seed": 2} | arguments
    assert_same_batches(
        KerasGenerator(**options).flow_from_directory(str(photos), **arguments),
        ImageDataGenerator(**options).flow_from_directory(photos, **arguments),
    )


@pytest.mark.parametrize("name", ["nothing", "all", "pixels"])
@pytest.mark.parametrize("subset", [None, "training", "validation"])
def test_flow(name, subset):
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 255, (20, 11, 9, 3)).astype(np.float32), np.arange(20) % 2
    options = OPTIONS[name] | {"validation_split": 0.4}
    arguments = {"batch_size": 6, "seed": 3, "subset": subset}
    if subset is None:  # with a subset, Keras gives the weights of other images
        arguments["sample_weight"] = rng.random(20)
    assert_same_batches(
        KerasGenerator(**options).flow(x, y, **arguments),
        ImageDataGenerator(**options).flow(x, y, **arguments),
    )


@pytest.mark.parametrize(
    "option",
    [
        "featurewise_center",
        "featurewise_std_normalization",
        "samplewise_center",
        "samplewise_std_normalization",
        "zca_whitening",
    ],
)
def test_statistics_of_a_data_set(option):
    x = np.random.default_rng(5).normal(2, 3, (30, 4, 3, 2)).astype(np.float32)
    theirs, ours = KerasGenerator(**{option: True}), ImageDataGenerator(**{option: True})
    for generator in (theirs, ours):
        generator.fit(x)
    for some in (x[0], x[:3], x[:1]):  # an image or a batch
        np.testing.assert_allclose(
            ours.standardize(some.copy()), theirs.standardize(some.copy()), rtol=1e-5
        )


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"label_mode": "categorical", "interpolation": "nearest"},
        {"label_mode": None},
        {"color_mode": "rgba"},
        {"class_names": ["t-shirt", "hat"], "label_mode": "binary"},
        {"labels": list(range(26, -1, -1))},
        {"labels": None},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True},
        {"image_size": (20, 11)},
    ],
    ids=str,
)
def test_dataset_in_order(photos, arguments):
    arguments = {"image_size": (16, 16), "batch_size": 5, "shuffle": False} | arguments
    theirs = keras.utils.image_dataset_from_directory(photos, **arguments)
    ours = minicnn.utils.image_dataset_from_directory(photos, **arguments)
    assert ours.file_paths == theirs.file_paths
    assert ours.class_names == theirs.class_names
    assert len(ours) == len(theirs)
    for a, b in zip(theirs, ours, strict=True):
        a, b = (batch if isinstance(batch, tuple) else (batch,) for batch in (a, b))
        for x, y in zip(a, b, strict=True):
            if arguments.get("interpolation") != "nearest":  # Keras's is uint8, ours float32
                assert y.dtype == x.numpy().dtype
            np.testing.assert_allclose(y, x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("subset", ["training", "validation", "both"])
def test_dataset_splits(photos, subset):
    arguments = {"validation_split": 0.3, "subset": subset, "seed": 11, "image_size": (8, 8)}
    theirs = keras.utils.image_dataset_from_directory(photos, **arguments)
    ours = minicnn.utils.image_dataset_from_directory(photos, **arguments)
    pairs = zip(theirs, ours) if subset == "both" else [(theirs, ours)]
    for a, b in pairs:
        assert b.file_paths == a.file_paths


def test_colour_to_gray(photos):
    """They agree within one level: Pillow and libpng use the same weights but round differently."""
    for path in sorted((photos / "hat").glob("[0-2].png")):
        theirs = tf.io.decode_png(path.read_bytes(), channels=1).numpy().astype(int)
        np.testing.assert_allclose(files.decode_photo(path, "grayscale"), theirs, rtol=0, atol=1)
