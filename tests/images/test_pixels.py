"""Pixels are the same whoever decodes them, and whether or not they are copied."""

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minicnn import images
from minicnn.images import files, pixels

Array = np.ndarray


def picture(mode: str, height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(height * 1000 + width)
    smooth = Image.fromarray(rng.integers(0, 256, (5, 4, 4)).astype(np.uint8))
    return smooth.resize((width, height), Image.Resampling.BILINEAR).convert(mode)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(["RGB", "RGBA"]))
def test_pixels_in_place_are_those_of_a_copy(height: int, width: int, mode: str) -> None:
    image = picture(mode, height, width)
    expected = np.asarray(image)
    found = pixels.in_place(image)
    del image  # the pixels stay, although the image is gone
    assert (found.shape, found.dtype) == ((height, width, 4), np.uint8)
    np.testing.assert_array_equal(found[:, :, : expected.shape[2]], expected)
    assert not found.flags.writeable


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_image_in_several_pieces_is_copied(mode: str) -> None:
    """Pillow cuts what is larger than 16 MB."""
    image = Image.linear_gradient("L").resize((2500, 2000)).convert(mode)
    with pytest.raises(ValueError, match="contiguous"):
        image.__arrow_c_array__()
    expected = np.asarray(image)
    found = pixels.in_place(image)
    np.testing.assert_array_equal(found[:, :, : expected.shape[2]], expected)


def test_pixels_of_another_size_than_the_image_says_are_refused() -> None:
    """Its array would show memory that is not the image's."""
    image = picture("RGB", 4, 4)
    image._size = (12, 12)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"expects 12x12 .* Received 64 bytes"):
        pixels.in_place(image)


# -- JPEG ------------------------------------------------------------------------------------------


def jpeg(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


JPEGS = {
    "usual": jpeg(picture("RGB", 61, 83), quality=90),
    "rough": jpeg(picture("RGB", 33, 47), quality=20),
    "fine": jpeg(picture("RGB", 33, 47), quality=95, subsampling=0),
    "half": jpeg(picture("RGB", 17, 9), subsampling=1),
    "progressive": jpeg(picture("RGB", 61, 83), progressive=True),
    "one pixel": jpeg(picture("RGB", 1, 1)),
    "gray": jpeg(picture("L", 20, 30)),
    "CMYK": jpeg(picture("CMYK", 20, 30)),
    "restarts": jpeg(picture("RGB", 61, 83), restart_marker_blocks=3),
}
NOT_READ = {
    "cut off": JPEGS["usual"][:-300],
    "no JPEG": b"GIF89a" + bytes(50),
    "only a start": b"\xff\xd8\xff",
    "empty": b"",
}


@pytest.fixture
def _without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "fast_decoder", lambda: None)


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("size", [(16, 16), (61, 83)])
def test_both_libraries_decode_the_same_pixels(
    name: str, mode: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("simplejpeg")
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEGS[name])
    one = images.load_photo(path, size, color_mode=mode)
    raw = files.decode_photo(path, mode)
    monkeypatch.setattr(pixels, "fast_decoder", lambda: None)
    np.testing.assert_array_equal(one, images.load_photo(path, size, color_mode=mode))
    np.testing.assert_array_equal(raw, files.decode_photo(path, mode))


@pytest.mark.parametrize("name", [name for name in JPEGS if name not in ("gray", "CMYK")])
def test_simplejpeg_decodes_what_it_should(name: str) -> None:
    pytest.importorskip("simplejpeg")
    found, image = pixels.of_jpeg(JPEGS[name], 10**6), Image.open(io.BytesIO(JPEGS[name]))
    assert found is not None
    np.testing.assert_array_equal(found[:, :, :3], np.asarray(image))
    plain = pixels.of_jpeg(JPEGS[name], 10**6, (image.height, image.width))
    np.testing.assert_array_equal(plain, np.asarray(image))


@pytest.mark.parametrize("name", ["gray", "CMYK", *NOT_READ])
def test_the_rest_is_left_to_pillow(name: str) -> None:
    assert pixels.of_jpeg({**JPEGS, **NOT_READ}[name], 10**6) is None


def test_more_pixels_than_allowed_are_left_to_pillow() -> None:
    assert pixels.of_jpeg(JPEGS["usual"], 61 * 83 - 1) is None


@pytest.mark.usefixtures("_without")
def test_without_simplejpeg_pillow_decodes_all() -> None:
    assert pixels.of_jpeg(JPEGS["usual"], 10**6) is None


@pytest.mark.parametrize("name", NOT_READ)
def test_a_bad_photo_is_refused_alike(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sentences = tmp_path / "a.jpg", []
    path.write_bytes(NOT_READ[name])
    for _ in range(2):
        with pytest.raises(files.BadImageError) as error:
            images.load_photo(path, (8, 8))
        sentences.append(str(error.value))
        monkeypatch.setattr(pixels, "fast_decoder", lambda: None)
    assert sentences[0] == sentences[1]


# -- vectors ---------------------------------------------------------------------------------------


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40),
    st.integers(1, 4), st.sampled_from(["bilinear", "nearest"]),
)  # fmt: skip
def test_pixels_of_four_bytes_are_resized_like_others(
    height: int, width: int, to_height: int, to_width: int, channels: int, interpolation: str
) -> None:
    """Bit by bit, with a vector for each pixel, and nothing is written beside the result."""
    x = np.random.default_rng(width).integers(0, 256, (height, width, 4)).astype(np.uint8)
    size = to_height, to_width
    expected = files.resize(
        np.ascontiguousarray(x[:, :, :channels]).astype("f"), size, interpolation
    )
    around = np.full((3, *size, channels), 7.0, np.float32)
    files.resize(x, size, interpolation, out=around[1])
    np.testing.assert_array_equal(around[1], expected)
    assert (around[[0, 2]] == 7).all()


# -- in order --------------------------------------------------------------------------------------


def test_batches_are_read_ahead_but_not_more_than_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the reader is, memory holds only some batches."""
    for number in range(40):
        path = tmp_path / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        picture("RGB", 4, 4).save(path)
    begun: list[str] = []
    lock = threading.Lock()
    load_photo = files.load_photo

    def load(path: str, *arguments: Any, **options: Any) -> Any:
        with lock:
            begun.append(path)
        return load_photo(path, *arguments, **options)

    monkeypatch.setattr("minicnn.images.dataset.load_photo", load)
    data = images.image_dataset_from_directory(
        tmp_path, image_size=(4, 4), batch_size=4, shuffle=False, verbose=False
    )
    assert begun == []
    for number, _ in enumerate(data):
        with lock:
            assert len(begun) <= 4 * (number + 3)
    assert sorted(begun) == sorted(data.file_paths)
