"""Photos: what comes out of a file, a folder and a random transform, and what bad ones say."""

import io
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import minicnn as keras
from minicnn import functional, images, naive
from minicnn._support import reading
from minicnn.images import files
from minicnn.images.augmentation import affine_matrix

pytestmark = pytest.mark.usefixtures("pipes_end")

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def gradient(height=6, width=8, channels=3):
    """A picture in which every pixel and channel is another value."""
    count = height * width * channels
    return (
        (np.arange(count) * (255 // count or 1) % 256)
        .astype(np.uint8)
        .reshape(height, width, channels)
    )


def write_photos(folder, classes=("hat", "shirt"), each=3, size=(9, 7)):
    """A folder tree with noise of a class's own brightness; returns its path."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 100, (*size, 3)) + 100 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos")


@pytest.fixture(autouse=True)
def no_thread_is_left_over():
    before = set(threading.enumerate())
    yield
    left = {t for t in threading.enumerate() if t not in before and t.name.startswith("minicnn")}
    assert not left


# ---------------------------------------------------------------------------------------------
# One picture
# ---------------------------------------------------------------------------------------------


def test_load_img_and_back(tmp_path):
    pixels = gradient()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = keras.utils.load_img(tmp_path / "a.png")
    x = keras.utils.img_to_array(image)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, pixels)
    again = keras.utils.array_to_img(x, scale=False)
    np.testing.assert_array_equal(np.asarray(again), pixels)


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, lambda p: io.BytesIO(p.read_bytes())])
def test_load_img_takes_any_path(tmp_path, kind):
    Image.new("RGB", (4, 2), RED).save(tmp_path / "a.png")
    assert keras.utils.load_img(kind(tmp_path / "a.png")).size == (4, 2)


def test_target_size_is_height_and_width(tmp_path):
    Image.new("RGB", (40, 20), RED).save(tmp_path / "a.png")
    assert keras.utils.load_img(tmp_path / "a.png", target_size=(5, 9)).size == (9, 5)


def test_nearest_takes_one_source_pixel(tmp_path):
    pixels = np.zeros((1, 4, 3), np.uint8)
    pixels[0, :, 0] = [10, 20, 30, 40]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = keras.utils.load_img(tmp_path / "a.png", target_size=(1, 2))
    assert np.asarray(image)[0, :, 0].tolist() == [20, 40]


def test_keep_aspect_ratio_cuts_the_middle_out(tmp_path):
    image = Image.new("RGB", (30, 10), RED)
    image.paste(Image.new("RGB", (10, 10), GREEN), (10, 0))
    image.save(tmp_path / "a.png")
    x = np.asarray(keras.utils.load_img(tmp_path / "a.png", "rgb", (5, 5), keep_aspect_ratio=True))
    assert (x == GREEN).all()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 0), (10, 20, 30)),  # alpha is dropped, not blended
        ("LA", (50, 0), (50, 50, 50)),
        ("P", 1, GREEN),
        ("CMYK", (0, 255, 255, 0), RED),
    ],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode, colour, expected):
    image = Image.new(mode, (3, 2), colour)
    if mode == "P":
        image.putpalette([*RED, *GREEN])
    name = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(name)
    assert (np.asarray(keras.utils.load_img(name)) == expected).all()
    assert (files.decode_photo(name) == expected).all()
    assert files.decode_photo(name, "grayscale").shape == (2, 3, 1)
    assert files.decode_photo(name, "rgba").shape == (2, 3, 4)


TIFF_MODES = ("1", "L", "LA", "P", "PA", "I", "F", "I;16", "I;16B", "RGB", "RGBA", "RGBX")
TIFF_MODES += ("CMYK", "YCbCr", "LAB")


@pytest.mark.parametrize("mode", TIFF_MODES)
def test_every_kind_of_tiff_is_read_in_every_way(tmp_path, mode):
    """As `load_img` of Keras reads it; that one has no gray of an L*a*b* picture."""
    pages = [Image.new(mode, (3, 2), colour) for colour in (1, 0)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    for ending, mode_read in ((1, "grayscale"), (3, "rgb"), (4, "rgba")):
        x = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "a.tif", mode_read))
        assert x.shape == (2, 3, ending)
        assert files.decode_photo(tmp_path / "a.tif", mode_read).shape == (2, 3, ending)


def test_lab_becomes_rgb_or_is_a_bad_picture(photos, monkeypatch):
    path = photos / "hat" / "lab.tif"
    Image.new("LAB", (3, 2), (255, 128, 128)).save(path)  # white: L* = 100, a* = b* = 0
    assert np.abs(np.asarray(keras.utils.load_img(path)).astype(int) - 255).max() <= 3
    assert keras.utils.load_img(path, "grayscale").mode == "L"

    def without_littlecms(*arguments, **options):
        raise ImportError("The _imagingcms C module is not installed")

    monkeypatch.setattr("PIL.ImageCms.buildTransform", without_littlecms)
    with pytest.raises(images.BadImageError, match=r"lab\.tif.* has LAB colours"):
        keras.utils.load_img(path, "grayscale")
    with pytest.warns(UserWarning, match="Skipped 1 bad photo of 7"):
        assert flow(photos, on_bad_image="skip").samples == 6


def test_sixteen_bits(tmp_path):
    """`load_img` keeps them for "grayscale", as Keras; a data set takes the upper 8, as TF."""
    deep = np.array([[0, 256, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    gray = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "a.png", "grayscale"))
    assert gray[0, :, 0].tolist() == [0, 256, 65535]
    assert files.decode_photo(tmp_path / "a.png")[0, :, 1].tolist() == [0, 1, 255]
    assert files.decode_photo(tmp_path / "a.png", "rgba")[0, :, 3].tolist() == [255] * 3


def test_exif_rotation_is_ignored_as_in_keras(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees to see it upright"
    Image.new("RGB", (40, 20), RED).save(tmp_path / "a.jpg", exif=exif)
    assert keras.utils.load_img(tmp_path / "a.jpg").size == (40, 20)
    assert files.decode_photo(tmp_path / "a.jpg").shape == (20, 40, 3)


def test_first_picture_of_an_animation(tmp_path):
    first, second = Image.new("RGB", (2, 2), RED), Image.new("RGB", (2, 2), BLUE)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (files.decode_photo(tmp_path / "a.gif") == RED).all()


def test_array_to_img_stretches():
    x = np.array([[[-1.0], [0.0], [1.0]]])
    assert np.asarray(keras.utils.array_to_img(x)).tolist() == [[0, 127, 255]]
    assert np.asarray(keras.utils.array_to_img(np.ones((1, 2, 1)))).tolist() == [[0, 0]]
    assert keras.utils.array_to_img(np.zeros((1, 1, 4))).mode == "RGBA"


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "bmp", "gif"])
def test_save_img(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    keras.utils.save_img(path, np.full((4, 5, 3), 200.0), scale=False)
    assert keras.utils.load_img(path).size == (5, 4)
    assert abs(np.asarray(keras.utils.load_img(path)).astype(int) - 200).max() <= 2
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_save_img_to_an_open_file_and_without_alpha(tmp_path):
    file = io.BytesIO()
    keras.utils.save_img(file, np.zeros((2, 3, 3)), file_format="png")
    assert keras.utils.load_img(io.BytesIO(file.getvalue())).size == (3, 2)
    with pytest.warns(UserWarning, match="alpha"):
        keras.utils.save_img(tmp_path / "a.jpg", np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="expects a format"):
        keras.utils.save_img(tmp_path / "a.whatever", np.zeros((2, 3, 3)))


def test_a_failed_save_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    keras.utils.save_img(path, np.zeros((2, 3, 3)))
    old = path.read_bytes()

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"a\.png' cannot be written: No space"):
        keras.utils.save_img(path, np.ones((2, 3, 3)))
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: keras.utils.array_to_img(np.zeros((2, 2))), r"Received x.shape=\(2, 2\)"),
        (lambda: keras.utils.array_to_img(np.zeros((2, 2, 2))), "1, 3 or 4 channels"),
        (lambda: keras.utils.array_to_img(np.full((2, 2, 3), np.nan)), "finite"),
        (lambda: keras.utils.img_to_array(np.zeros(3)), "2 or 3 axes"),
        (lambda: keras.utils.img_to_array(np.zeros((2, 2)), "channels_first"), "NHWC"),
    ],
)
def test_bad_arrays(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


# ---------------------------------------------------------------------------------------------
# Bad files
# ---------------------------------------------------------------------------------------------


def bad_file(folder, kind):
    """A broken picture of the given kind; returns its path and what is said about it."""
    path = folder / f"{kind}.png"
    good = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)).save(
        good, "png"
    )
    if kind == "empty":
        path.write_bytes(b"")
        return path, "not an image"
    if kind == "text":
        path.write_text("This is not a photo.")
        return path, "not an image"
    if kind == "truncated":
        path.write_bytes(good.getvalue()[: len(good.getvalue()) // 2])
        return path, "damaged"
    if kind == "corrupt":
        data = bytearray(good.getvalue())
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
        path.write_bytes(data)
        return path, "damaged"
    if kind == "pipe":
        os.mkfifo(path)
        return path, "is a pipe"
    if kind == "device":
        path.symlink_to("/dev/null")  # as /dev/zero, but that it ends, should it be read
        return path, "is a device"
    if kind == "long":
        path.write_bytes(good.getvalue())
        os.truncate(path, files.MAX_BYTES + 1)
        return path, "has 268,435,457 bytes, more than the 268,435,456"
    if kind == "program":
        path.write_bytes(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n%%EndComments\n{} loop\n"
        )
        return path, "not an image"
    width = {"giant": 20_000, "colossal": 100_000}[kind]
    header = bytearray(good.getvalue())
    header[16:24] = width.to_bytes(4, "big") + (10_000).to_bytes(4, "big")
    import zlib

    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    path.write_bytes(header)
    return path, "too large"


BAD_KINDS = ("empty", "text", "truncated", "corrupt", "giant", "colossal")
BAD_KINDS += ("pipe", "device", "long", "program")


@pytest.mark.parametrize("kind", BAD_KINDS)
@pytest.mark.parametrize("read", [keras.utils.load_img, lambda p: images.load_photo(p, (8, 8))])
def test_a_bad_file_is_named(tmp_path, kind, read):
    path, said = bad_file(tmp_path, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own warning about size would say it twice
        with pytest.raises(images.BadImageError, match=f"{kind}.png.*{said}"):
            read(path)


@pytest.mark.parametrize("kind", ["pipe", "long"])
def test_what_takes_a_photo_s_place_after_the_first_look_is_named(tmp_path, kind, monkeypatch):
    """A pipe would be opened then, which waits for a writer, unless it is told not to."""
    good = tmp_path / "good.png"
    Image.new("RGB", (6, 5)).save(good)
    path, said = bad_file(tmp_path, kind)
    monkeypatch.setattr(reading, "_stat", lambda *_: good.stat())
    with pytest.raises(images.BadImageError, match=f"{kind}.png.*{said}"):
        images.load_photo(path, (8, 8))


def test_a_truncated_jpeg_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(images.BadImageError, match=r"a\.jpg.*damaged"):
        keras.utils.load_img(tmp_path / "a.jpg")


def test_a_picture_that_memory_does_not_hold_is_named_and_not_skipped(photos, monkeypatch):
    def decode(self):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(MemoryError, match=r"0\.png.*not enough memory"):
        flow(photos, on_bad_image="skip")


def test_a_missing_file_and_no_path(tmp_path):
    (tmp_path / "link.jpg").symlink_to("gone.jpg")
    with pytest.raises(FileNotFoundError, match=r"There is no photo .*link\.jpg.*link to nothing"):
        keras.utils.load_img(tmp_path / "link.jpg")
    with pytest.raises(FileNotFoundError, match="There is no photo"):
        keras.utils.load_img("a\0b.jpg")
    with pytest.raises(IsADirectoryError, match="is a folder: a photo is expected"):
        keras.utils.load_img(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        keras.utils.load_img("nowhere.jpg")
    with pytest.raises(TypeError, match="path-like"):
        keras.utils.load_img(3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"color_mode": "hsv"}, 'color_mode to be one of "grayscale", "rgb", "rgba"'),
        ({"interpolation": "magic"}, "interpolation to be one of"),
        ({"target_size": (0, 5)}, "target_size"),
        ({"target_size": 2.5}, "target_size"),
    ],
)
def test_bad_options_of_load_img(tmp_path, arguments, sentence):
    Image.new("RGB", (4, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=sentence):
        keras.utils.load_img(tmp_path / "a.png", **arguments)


# ---------------------------------------------------------------------------------------------
# Resizing as TensorFlow
# ---------------------------------------------------------------------------------------------


def test_bilinear_by_hand():
    """Twice as wide: the new centres lie at -0.25, 0.25, 0.75, 1.25 of the old pixels."""
    x = np.array([[[0.0], [8.0]]], np.float32)
    assert files.resize(x, (1, 4))[0, :, 0].tolist() == [0, 2, 6, 8]
    # Half as wide: halfway between two pixels each, no smoothing over more.
    x = np.arange(8, dtype=np.float32).reshape(1, 8, 1) ** 2
    assert files.resize(x, (1, 2))[0, :, 0].tolist() == [(1 + 4) / 2, (25 + 36) / 2]


def test_nearest_by_hand():
    x = np.arange(5, dtype=np.float32).reshape(5, 1, 1)
    assert files.resize(x, (2, 1), "nearest")[:, 0, 0].tolist() == [1, 3]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_resizing_stays_between_the_extremes_and_keeps_a_plain_colour(h, w, to_h, to_w):
    x = np.random.default_rng(h * 10 + w).random((h, w, 2)).astype(np.float32)
    y = files.resize(x, (to_h, to_w))
    assert y.shape == (to_h, to_w, 2)
    assert x.min() - 1e-6 <= y.min() <= y.max() <= x.max() + 1e-6
    np.testing.assert_array_equal(files.resize(np.full((h, w, 1), 7.0), (to_h, to_w)), 7)


def test_crop_and_pad(tmp_path):
    image = Image.new("RGB", (30, 10), RED)
    image.paste(Image.new("RGB", (10, 10), GREEN), (10, 0))
    image.save(tmp_path / "a.png")
    cropped = images.load_photo(tmp_path / "a.png", (5, 5), fit="crop")
    assert (cropped == GREEN).all()
    padded = images.load_photo(tmp_path / "a.png", (30, 30), fit="pad")
    assert (padded[:10] == 0).all()
    assert (padded[20:] == 0).all()
    assert (padded[10:20, 10:20] == GREEN).all()


# ---------------------------------------------------------------------------------------------
# The warp, beside its loops
# ---------------------------------------------------------------------------------------------

SHIFT_RIGHT = ([[1.0, 0.0], [0.0, 1.0]], [0.0, -1.0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("nearest", [1, 1, 2]),
        ("reflect", [1, 1, 2]),
        ("constant", [9, 1, 2]),
        ("wrap", [2, 1, 2]),
    ],
)
@pytest.mark.parametrize("run", [functional.affine_transform, naive.affine_transform])
def test_shift_by_hand(run, mode, expected):
    x = np.array([[[1.0], [2.0], [3.0]]])
    assert run(x, *SHIFT_RIGHT, 1, mode, 9.0)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("run", [functional.affine_transform, naive.affine_transform])
def test_bilinear_warp_by_hand(run):
    x = np.array([[[0.0], [4.0]], [[8.0], [20.0]]])
    y = run(x, np.eye(2), [0.25, 0.5], 1, "nearest")
    # 0.75 · (0 + 4) / 2 + 0.25 · (8 + 20) / 2 at the first pixel
    assert y[0, 0, 0] == 0.75 * 2 + 0.25 * 14
    assert run(x, np.eye(2), [0.25, 0.5], 0, "nearest")[0, 0, 0] == 4


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from(functional.FILL_MODES),
    st.integers(0, 1),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 2**31),
)
@settings(max_examples=100, deadline=None)
def test_warp_agrees_with_its_loops(h, w, c, mode, order, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(h, w, c)).astype(dtype)
    before = x.copy()
    matrix, offset = rng.normal(size=(2, 2)) * 2, rng.normal(size=2) * 8
    y = functional.affine_transform(x, matrix, offset, order, mode, 0.5)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(
        y, naive.affine_transform(x, matrix, offset, order, mode, 0.5), rtol=0, atol=1e-5
    )
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.zeros((2, 2), np.float32), np.eye(2), [0, 0]), "3 dimensions"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(3), [0, 0]), r"shape \(2, 2\)"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(2), [0, np.nan]), "finite"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(2), [0, 0], 3), "order to be 0 or 1"),
        ((np.zeros((2, 2, 1), np.float32), np.eye(2), [0, 0], 1, "mirror"), "mode to be one of"),
    ],
)
def test_bad_warps(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        functional.affine_transform(*arguments)


# ---------------------------------------------------------------------------------------------
# ImageDataGenerator
# ---------------------------------------------------------------------------------------------


def test_a_quarter_turn():
    x = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    y = keras.preprocessing.image.ImageDataGenerator().apply_transform(x, {"theta": 90})
    np.testing.assert_allclose(y[..., 0], np.rot90(x[..., 0]), atol=1e-5)


def test_flips_zoom_and_shift_by_hand():
    generator = images.ImageDataGenerator(fill_mode="constant")
    x = gradient(4, 4).astype(np.float32)
    np.testing.assert_array_equal(
        generator.apply_transform(x, {"flip_horizontal": True}), x[:, ::-1]
    )
    np.testing.assert_array_equal(generator.apply_transform(x, {"flip_vertical": True}), x[::-1])
    # A factor above 1 reaches further out: at 3 only the four pixels in the middle show something.
    small = generator.apply_transform(np.ones((4, 4, 1), np.float32), {"zx": 3, "zy": 3})
    expected = np.zeros((4, 4))
    expected[1:3, 1:3] = 1
    np.testing.assert_array_equal(small[..., 0], expected)
    shifted = generator.apply_transform(x, {"ty": 1})  # rows: see affine_matrix
    np.testing.assert_array_equal(shifted[:-1], x[1:])
    np.testing.assert_array_equal(shifted[-1], 0)


def test_affine_matrix_of_nothing_is_the_identity():
    matrix, offset = affine_matrix((5, 7, 3))
    np.testing.assert_array_equal(matrix, np.eye(2))
    np.testing.assert_array_equal(offset, 0)


def test_channel_shift_and_brightness_stay_in_range():
    generator = images.ImageDataGenerator()
    x = gradient().astype(np.float32)
    y = generator.apply_transform(x, {"channel_shift_intensity": 30.0})
    np.testing.assert_array_equal(y, np.clip(x + 30, x.min(), x.max()))
    np.testing.assert_array_equal(generator.apply_transform(x, {"brightness": 0.0}), 0)


def test_transform_leaves_its_input_alone_and_is_repeatable():
    generator = images.ImageDataGenerator(rotation_range=40, zoom_range=0.3, horizontal_flip=True)
    x = gradient().astype(np.float32)
    before = x.copy()
    first, again = generator.random_transform(x, seed=3), generator.random_transform(x, seed=3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, generator.random_transform(x, seed=4))
    np.testing.assert_array_equal(x, before)
    assert generator.random_transform(before.astype(np.uint8)).dtype == np.float32


def test_standardize():
    generator = images.ImageDataGenerator(
        rescale=0.5, preprocessing_function=lambda x: x + 2, samplewise_center=True
    )
    y = generator.standardize(np.array([[[2.0], [6.0]]]))
    assert y.ravel().tolist() == [-1, 1]  # (2 + 2, 6 + 2) / 2 = (2, 4), minus their mean
    for pixels in (np.ones((2, 2, 1), np.uint8), [[[1.0]]]):
        with pytest.raises(TypeError, match=r"an array of floats.*Received (uint8|list)"):
            images.ImageDataGenerator(rescale=0.5).standardize(pixels)


def test_statistics_of_a_data_set():
    x = np.random.default_rng(0).normal(3, 5, (40, 4, 4, 2))
    generator = images.ImageDataGenerator(featurewise_std_normalization=True)
    with pytest.raises(ValueError, match="call fit"):
        generator.standardize(x[0].copy())
    generator.fit(x)
    y = np.stack([generator.standardize(a.astype(np.float32)) for a in x])
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"fill_mode": "mirror"}, "fill_mode to be one of"),
        ({"zoom_range": (1, 2, 3)}, "zoom_range"),
        ({"zoom_range": "a"}, "zoom_range"),
        ({"rescale": "a"}, "rescale to be a number. Received 'a'"),
        ({"rescale": np.nan}, "rescale to be a number. Received nan"),
        ({"rescale": [1, 2]}, "rescale"),
        ({"cval": "a"}, "cval to be a number"),
        ({"cval": np.nan}, "cval"),
        ({"validation_split": "a"}, "validation_split"),
        ({"validation_split": np.nan}, "validation_split"),
        ({"width_shift_range": "a"}, "width_shift_range to be a number or a list of numbers"),
        ({"width_shift_range": np.nan}, "width_shift_range"),
        ({"height_shift_range": [1, np.nan]}, r"height_shift_range .*\[1, nan\]"),
        ({"height_shift_range": [[1], [2]]}, "height_shift_range"),
        ({"height_shift_range": np.ones((2, 2))}, "height_shift_range"),
        ({"height_shift_range": np.array("a")}, "height_shift_range"),
        ({"brightness_range": 0.5}, "brightness_range"),
        ({"rotation_range": "a lot"}, "rotation_range to be a number"),
        ({"validation_split": 1.5}, "validation_split"),
        ({"interpolation_order": 3}, "interpolation_order"),
        ({"data_format": "channels_first"}, "NHWC"),
        ({"preprocessing_function": 1}, "preprocessing_function"),
    ],
)
def test_bad_options_of_the_generator(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        images.ImageDataGenerator(**arguments)


# ---------------------------------------------------------------------------------------------
# flow and flow_from_directory
# ---------------------------------------------------------------------------------------------


def test_flow_in_order():
    x = np.arange(5 * 4, dtype=np.float32).reshape(5, 2, 2, 1)
    y = np.arange(5)
    batches = images.ImageDataGenerator(rescale=2.0).flow(x, y, batch_size=2, shuffle=False)
    assert len(batches) == 3
    first, second, third, fourth = (next(batches) for _ in range(4))
    np.testing.assert_array_equal(first[0], 2 * x[:2])
    assert [b[1].tolist() for b in (first, second, third, fourth)] == [[0, 1], [2, 3], [4], [0, 1]]
    np.testing.assert_array_equal(batches[1][0], 2 * x[2:4])
    with pytest.raises(ValueError, match="3 batches"):
        batches[3]


def test_flow_shuffles_each_epoch_anew_and_repeatably():
    x, y = np.zeros((20, 2, 2, 1)), np.arange(20)

    def orders(seed):
        batches = images.ImageDataGenerator().flow(x, y, batch_size=20, seed=seed)
        return [batches.next()[1].tolist() for _ in range(2)]

    first, second = orders(1)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(20))
    assert orders(1) == [first, second]
    assert orders(2) != [first, second]
    keras.utils.set_random_seed(7)
    drawn = orders(None)
    keras.utils.set_random_seed(7)
    assert orders(None) == drawn


def test_flow_takes_weights_and_more_inputs():
    x, more, w = np.zeros((4, 2, 2, 1)), np.arange(4.0), np.arange(4) / 10
    batches = images.ImageDataGenerator().flow(
        (x, [more]), np.arange(4), batch_size=4, sample_weight=w, shuffle=False
    )
    (pictures, beside), y, weights = next(batches)
    assert pictures.shape == (4, 2, 2, 1)
    assert beside.tolist() == y.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(weights, w)


def test_flow_subsets_do_not_overlap():
    x, y = np.zeros((10, 2, 2, 1)), np.arange(10) % 2
    generator = images.ImageDataGenerator(validation_split=0.3)
    held_out = generator.flow(x, y, subset="validation")
    rest = generator.flow(x, y, subset="training")
    assert (held_out.n, rest.n) == (3, 7)
    with pytest.raises(ValueError, match="different classes"):
        generator.flow(x, np.arange(10), subset="training")


@pytest.mark.parametrize(
    ("x", "arguments", "sentence"),
    [
        (np.zeros((4, 2, 2)), {}, r"Received x.shape=\(4, 2, 2\)"),
        (np.zeros((4, 2, 2, 1), object), {}, "dtype object"),
        (np.zeros((0, 2, 2, 1)), {}, "at least one image"),
        (np.zeros((4, 2, 2, 1)), {"y": [1, 2]}, "one entry of y per image"),
        (np.zeros((4, 2, 2, 1)), {"sample_weight": [1]}, "sample_weight"),
        (np.zeros((4, 2, 2, 1)), {"batch_size": 0}, "batch_size"),
        (np.zeros((4, 2, 2, 1)), {"subset": "training"}, "validation_split"),
        (np.zeros((4, 2, 2, 1)), {"seed": -1}, "seed"),
        (np.zeros((4, 2, 2, 1)), {"save_to_dir": "nowhere-at-all"}, "nowhere-at-all"),
    ],
)
def test_bad_flow(x, arguments, sentence):
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        images.ImageDataGenerator().flow(x, **arguments)


def test_preprocessing_may_not_change_the_shape():
    generator = images.ImageDataGenerator(preprocessing_function=lambda x: x[:1])
    with pytest.raises(ValueError, match="must keep the shape"):
        next(generator.flow(np.zeros((2, 3, 3, 1))))


def test_flow_from_directory(photos, capsys):
    batches = images.ImageDataGenerator().flow_from_directory(
        photos, target_size=(4, 5), batch_size=4, shuffle=False
    )
    assert "Found 6 images belonging to 2 classes." in capsys.readouterr().out
    assert batches.class_indices == {"hat": 0, "shirt": 1}
    assert batches.classes.tolist() == [0, 0, 0, 1, 1, 1]
    assert batches.filenames[0] == os.path.join("hat", "0.png")  # noqa: PTH118 (as Keras)
    assert batches.image_shape == (4, 5, 3)
    x, y = next(batches)
    assert x.shape == (4, 4, 5, 3)
    assert x.dtype == np.float32
    assert y.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    shown = keras.utils.load_img(batches.filepaths[1], target_size=(4, 5))
    np.testing.assert_array_equal(x[1], np.asarray(shown))


@pytest.mark.parametrize(
    ("class_mode", "expected"),
    [("sparse", [0, 0, 0, 1, 1, 1]), ("binary", [0, 0, 0, 1, 1, 1]), (None, None), ("input", "x")],
)
def test_class_modes(photos, class_mode, expected):
    batches = images.ImageDataGenerator().flow_from_directory(
        photos, target_size=(4, 4), class_mode=class_mode, shuffle=False
    )
    batch = next(batches)
    if expected is None:
        assert batch.shape == (6, 4, 4, 3)
    elif expected == "x":
        np.testing.assert_array_equal(*batch)
    else:
        assert batch[1].tolist() == expected


def test_subsets_of_a_folder_split_each_class(tmp_path):
    folder = write_photos(tmp_path / "p", each=5)
    generator = images.ImageDataGenerator(validation_split=0.4)
    held_out = generator.flow_from_directory(folder, subset="validation", shuffle=False)
    rest = generator.flow_from_directory(folder, subset="training", shuffle=False)
    assert [Path(name).name for name in held_out.filenames] == ["0.png", "1.png"] * 2
    assert not set(held_out.filenames) & set(rest.filenames)
    assert held_out.samples + rest.samples == 10


def test_chosen_classes_and_a_folder_within(photos):
    (photos / "shirt" / "more").mkdir()
    Image.new("RGB", (3, 3)).save(photos / "shirt" / "more" / "deep.png")
    (photos / "shirt" / "notes.txt").write_text("no photo")
    batches = images.ImageDataGenerator().flow_from_directory(photos, classes=["shirt", "hat"])
    assert batches.class_indices == {"shirt": 0, "hat": 1}
    assert batches.samples == 7
    with pytest.raises(FileNotFoundError, match="'socks'"):
        images.ImageDataGenerator().flow_from_directory(photos, classes=["hat", "socks"])


def test_augmented_pictures_are_written_where_asked(photos, tmp_path):
    (tmp_path / "out").mkdir()
    batches = images.ImageDataGenerator().flow_from_directory(
        photos, batch_size=4, save_to_dir=tmp_path / "out", save_prefix="aug", save_format="jpeg"
    )
    next(batches)
    written = [p.name for p in (tmp_path / "out").iterdir()]
    assert len(written) == 4
    assert all(name.startswith("aug_") and name.endswith(".jpeg") for name in written)


def test_fit_reads_an_iterator(photos):
    batches = images.ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        photos, target_size=(8, 8), batch_size=2, seed=0
    )
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(batches, epochs=2, validation_data=batches, verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert model.predict(batches, verbose=0).shape == (6, 2)


# ---------------------------------------------------------------------------------------------
# image_dataset_from_directory
# ---------------------------------------------------------------------------------------------


def dataset(folder, **arguments):
    arguments = {"image_size": (4, 4), "verbose": False} | arguments
    return keras.utils.image_dataset_from_directory(folder, **arguments)


def labels_of(batches):
    return [int(label) for _, y in batches for label in y]


def test_dataset(photos, capsys):
    data = dataset(photos, batch_size=4, shuffle=False, verbose=True)
    assert "Found 6 files belonging to 2 classes." in capsys.readouterr().out
    assert data.class_names == ["hat", "shirt"]
    assert len(data) == int(data.cardinality()) == 2
    (x, y), (rest, _) = data
    assert (x.shape, x.dtype, y.dtype) == ((4, 4, 4, 3), np.float32, np.int32)
    assert len(rest) == 2
    assert labels_of(data) == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(x[1], images.load_photo(data.file_paths[1], (4, 4)))


def test_label_modes(photos):
    (_, y), *_ = dataset(photos, label_mode="categorical", shuffle=False)
    assert y.tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    (_, y), *_ = dataset(photos, label_mode="binary", shuffle=False)
    assert y.tolist() == [[0]] * 3 + [[1]] * 3
    (x,) = dataset(photos, label_mode=None)
    assert x.shape == (6, 4, 4, 3)
    (_, y), *_ = dataset(photos, labels=[5, 4, 3, 2, 1, 0], shuffle=False)
    assert y.tolist() == [5, 4, 3, 2, 1, 0]
    (x,) = dataset(photos, labels=None)
    assert x.shape == (6, 4, 4, 3)
    x, y = next(iter(dataset(photos, batch_size=None, shuffle=False)))
    assert x.shape == (4, 4, 3)
    assert int(y) == 0


@pytest.mark.parametrize(("mode", "channels"), [("grayscale", 1), ("rgb", 3), ("rgba", 4)])
def test_color_modes(photos, mode, channels):
    ((x, _),) = dataset(photos, color_mode=mode)
    assert x.shape == (6, 4, 4, channels)


def test_dataset_is_shuffled_anew_each_epoch_and_repeatably(tmp_path):
    folder = write_photos(tmp_path / "p", classes=[str(i) for i in range(8)], each=2)

    def two_epochs(seed):
        data = dataset(folder, seed=seed, batch_size=3)
        return labels_of(data), labels_of(data)

    first, second = two_epochs(1)
    assert first != second
    assert sorted(first) == sorted(second)
    assert two_epochs(1) == (first, second)


def test_cache_decodes_once_and_still_shuffles(tmp_path, monkeypatch):
    folder = write_photos(tmp_path / "p", each=8)
    data = dataset(folder, seed=0, batch_size=5).cache()
    first = [x.copy() for x, _ in data]
    monkeypatch.setattr(files, "open_image", None)  # nothing may be opened any more
    second = [x.copy() for x, _ in data]
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert np.isclose(sum(x.sum() for x in first), sum(x.sum() for x in second))


def test_parts_do_not_overlap(tmp_path):
    folder = write_photos(tmp_path / "p", each=10)
    common = {"validation_split": 0.25, "seed": 3}
    train = dataset(folder, subset="training", **common)
    validation = dataset(folder, subset="validation", **common)
    assert (len(train.file_paths), len(validation.file_paths)) == (15, 5)
    assert not set(train.file_paths) & set(validation.file_paths)
    both = dataset(folder, subset="both", **common)
    assert [d.file_paths for d in both] == [train.file_paths, validation.file_paths]
    for path, label in zip(validation.file_paths, labels_of(both[1])):
        assert Path(path).parent.name == both[1].class_names[label]


def test_map_take_skip_shuffle_prefetch(tmp_path):
    folder = write_photos(tmp_path / "p", each=6)
    data = dataset(folder, batch_size=2, shuffle=False)
    plain = [x for x, _ in data]
    doubled = [x for x, _ in data.map(lambda x, y: (2 * x, y))]
    parallel = [x for x, _ in data.map(lambda x, y: (2 * x, y), num_parallel_calls=3)]
    for a, b, c in zip(plain, doubled, parallel, strict=True):
        np.testing.assert_array_equal(2 * a, b)
        np.testing.assert_array_equal(b, c)
    assert labels_of(data.take(2)) == [0, 0, 0, 0]
    assert labels_of(data.skip(4)) == [1, 1, 1, 1]
    assert len(data.take(2)) == 2
    assert len(data.skip(4)) == 2
    assert labels_of(data.take(-1)) == labels_of(data)
    assert labels_of(data.prefetch(-1)) == labels_of(data)
    mixed = [labels_of(data.shuffle(6, seed=1)) for _ in range(2)]
    assert sorted(mixed[0]) == labels_of(data)
    fixed = data.shuffle(6, seed=1, reshuffle_each_iteration=False)
    assert labels_of(fixed) == labels_of(fixed)
    kept = data.map(lambda x, y: (x, y + 1)).cache()
    assert labels_of(kept) == labels_of(kept) == [1] * 6 + [2] * 6


def test_an_iteration_left_early_ends_its_threads(tmp_path):
    folder = write_photos(tmp_path / "p", each=20)
    for _x, _y in dataset(folder, batch_size=2).prefetch(2):
        break  # the fixture looks for threads


def test_an_error_in_map_reaches_the_loop(photos):
    def fail(x, y):
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        list(dataset(photos).map(fail, num_parallel_calls=2))


def test_fit_reads_a_dataset(photos):
    data = dataset(photos, label_mode="categorical", batch_size=4)
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2


# ---------------------------------------------------------------------------------------------
# Bad folders, for both ways
# ---------------------------------------------------------------------------------------------


def flow(folder, **arguments):
    return images.ImageDataGenerator().flow_from_directory(folder, **arguments)


WAYS = pytest.mark.parametrize("read", [flow, dataset], ids=["flow", "dataset"])


@WAYS
def test_no_folder_a_file_and_an_empty_folder(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file"):
        read(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"at least 2.*Found none"):
        read(tmp_path / "empty")
    write_photos(tmp_path / "two", each=0)
    with pytest.raises(ValueError, match="found no photos"):
        read(tmp_path / "two")


def strange_photos(folder):
    """`hat` with one photo among other files, `sock` with none, and two beside the folders."""
    write_photos(folder, classes=["hat", "shirt"], each=1)
    other = {"hat": ["a.webp", "b.WEBP", "notes.txt", ".DS_Store", "Thumbs.db", "no ending"]}
    for name, names in (other | {"sock": ["c.webp", "d.heic"], ".": ["e.jpg", "LICENSE"]}).items():
        (folder / name).mkdir(exist_ok=True)
        for file in names:
            Image.new("RGB", (3, 3)).save(folder / name / file, "png")
    (folder / "shirt" / "again").symlink_to(folder / "shirt")  # not followed, and no way round
    return folder


@WAYS
def test_what_is_passed_over_is_told_of_each_class(tmp_path, read, capsys):
    folder = strange_photos(tmp_path / "photos")
    more = {} if read is flow else {"verbose": True}
    with pytest.warns(
        UserWarning, match=r"no usable photo of the class 'sock' \(in its folder: 1 "
    ):
        read(folder, **more)
    printed = capsys.readouterr().out
    assert "Found 2 " in printed
    assert "belonging to 3 classes." in printed
    assert printed.splitlines()[1:] == [
        "  hat: 1 used, passed over 2 .webp, 1 other file, 1 .txt.",
        "  shirt: 1 used, passed over 1 linked folder.",
        "  sock: 0 used, passed over 1 .webp, 1 .heic.",
        "  (beside the class folders): 0 used, passed over 1 .jpg.",
    ]
    with pytest.warns(UserWarning, match="'sock'"):
        assert len(read(folder, follow_links=True, batch_size=1)) == 2  # not forty times each


@WAYS
def test_what_all_classes_hold_instead_of_photos_is_told(tmp_path, read):
    folder = write_photos(tmp_path / "p", each=0)
    (folder / "hat" / "a.webp").touch()
    with pytest.raises(ValueError, match=r"found no photos .*Passed over: 1 \.webp"):
        read(folder)


@WAYS
def test_a_class_whose_photos_are_all_skipped_is_told(photos, read, capsys):
    for path in (photos / "hat").iterdir():
        path.write_bytes(b"no photo")
    more = {} if read is flow else {"verbose": True}
    with (
        pytest.warns(UserWarning, match="Skipped 3 bad photos"),
        pytest.warns(UserWarning, match=r"'hat' \(in its folder: 3 unreadable photos\)"),
    ):
        read(photos, on_bad_image="skip", **more)
    assert "  hat: 0 used, passed over 3 unreadable photos." in capsys.readouterr().out


def test_a_class_of_which_the_split_leaves_nothing_to_learn_is_told(tmp_path):
    folder = write_photos(tmp_path / "p", each=1)
    split = {"validation_split": 0.5, "subset": "training", "seed": 1}
    with pytest.warns(UserWarning, match=r"no usable photo .*\(in its folder: 1 photo held out\)"):
        dataset(folder, **split)
    with pytest.raises(ValueError, match="1 photo held out"):
        dataset(folder, **split, on_empty_class="error")


def test_other_kinds_of_photos_are_taken_when_they_are_named(tmp_path):
    folder = strange_photos(tmp_path / "photos")
    with pytest.raises(ValueError, match=r"class 'sock' \(in its folder: 1 \.webp, 1 \.heic\)"):
        dataset(folder, on_empty_class="error")
    data = dataset(folder, on_empty_class="error", formats=[".webp", ".png"], shuffle=False)
    assert [Path(path).name for path in data.file_paths] == [
        "0.png", "a.webp", "b.WEBP", "0.png", "c.webp",
    ]  # fmt: skip
    assert labels_of(data) == [0, 0, 0, 1, 2]


def test_a_folder_that_cannot_be_opened_is_told(photos, monkeypatch, capsys):
    (photos / "hat" / "closed").mkdir()
    usual = os.scandir

    def scan(path="."):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return usual(path)

    monkeypatch.setattr(os, "scandir", scan)
    dataset(photos, verbose=True)
    assert "passed over 1 folder that cannot be opened." in capsys.readouterr().out


@WAYS
def test_one_class_is_no_choice(tmp_path, read):
    folder = write_photos(tmp_path / "one", classes=["hat"])
    with pytest.raises(ValueError, match=r"at least 2.*only 'hat'"):
        read(folder)
    unlabelled = {"class_mode": None} if read is flow else {"label_mode": None}
    assert len(read(folder, **unlabelled)) == 1  # to predict, one folder is fine


@WAYS
def test_binary_labels_need_two_classes(tmp_path, read):
    folder = write_photos(tmp_path / "three", classes=["a", "b", "c"])
    mode = {"class_mode": "binary"} if read is flow else {"label_mode": "binary"}
    with pytest.raises(ValueError, match="exactly 2 class folders"):
        read(folder, **mode)


@WAYS
@pytest.mark.parametrize("kind", BAD_KINDS)
def test_a_bad_photo_stops_by_name_or_is_skipped_and_counted(photos, read, kind):
    bad_file(photos / "shirt", kind)
    with pytest.raises(images.BadImageError, match=f"{kind}.png"):
        list(zip(read(photos), range(1)))
    with pytest.warns(UserWarning, match=f"Skipped 1 bad photo of 7: .*{kind}.png"):
        batches = read(photos, on_bad_image="skip")
    assert [Path(path).name for path in batches.skipped] == [f"{kind}.png"]
    x, y = next(iter(batches))
    assert len(x) == len(y) == 6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"class_mode": "multi"}, "class_mode"),
        ({"color_mode": "hsv"}, "color_mode"),
        ({"target_size": 0}, "target_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"subset": "training"}, "validation_split"),
        ({"on_bad_image": "ignore"}, "on_bad_image"),
    ],
)
def test_bad_options_of_flow_from_directory(photos, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        flow(photos, **arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"label_mode": "multi"}, "label_mode"),
        ({"color_mode": "hsv"}, "color_mode"),
        ({"interpolation": "lanczos3"}, "interpolation"),
        ({"image_size": (4, 0)}, "image_size"),
        ({"batch_size": -1}, "batch_size"),
        ({"labels": [1, 2]}, "one label for each of the 6 files"),
        ({"labels": [0, 1, 2, 3, 4, -5]}, "whole numbers >= 0"),
        ({"labels": "guess"}, "labels to be"),
        ({"class_names": ["hat", "socks"]}, "class_names to be among"),
        ({"labels": [0] * 6, "class_names": ["hat"]}, "class_names go with"),
        ({"validation_split": 0.2}, "go together"),
        ({"subset": "training"}, "go together"),
        ({"validation_split": 2, "subset": "training", "seed": 1}, "between 0 and 1"),
        ({"validation_split": 0.2, "subset": "test", "seed": 1}, "subset"),
        ({"validation_split": 0.2, "subset": "training"}, "needs a seed"),
        ({"validation_split": 0.01, "subset": "validation", "seed": 1}, "leaves no photos"),
        ({"seed": -3}, "seed"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "only one"),
        ({"data_format": "channels_first"}, "NHWC"),
        ({"on_bad_image": "ignore"}, "on_bad_image"),
        ({"on_empty_class": "ignore"}, "on_empty_class"),
        ({"formats": ".jpg"}, "formats to be endings"),
        ({"formats": ["JPG"]}, "formats to be endings"),
        ({"formats": []}, "formats to be endings"),
    ],
)
def test_bad_options_of_the_dataset(photos, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataset(photos, **arguments)
