"""Algorithm lessons give answers and counts by hand, and agree with the fast convolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import functional, naive
from minicnn.explain import algorithm_steps, compare_algorithms, convolution_steps, show
from minicnn.kernels import winograd

THREE_BY_THREE = np.arange(1, 10, dtype="float32").reshape(1, 3, 3, 1)
TWO_BY_TWO = np.array([[1, 2], [3, 4]], "float32").reshape(2, 2, 1, 1)


def random(shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# -- by hand --------------------------------------------------------------------------------------


def test_the_matrix_of_patches_by_hand():
    lesson = convolution_steps(THREE_BY_THREE, TWO_BY_TWO, algorithm="im2col")
    patches = lesson["The matrix of patches"].array
    assert patches.tolist() == [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]
    assert lesson["The kernel as a matrix"].array.tolist() == [[1], [2], [3], [4]]
    assert lesson["The matrix product"].array.tolist() == [[37], [47], [67], [77]]
    assert lesson.y[0, :, :, 0].tolist() == [[37, 47], [67, 77]]
    assert (lesson.multiplications, lesson.additions, lesson.memory) == (16, 12, 64)


def test_the_loops_by_hand():
    b = np.array([0.5], "float32")
    lesson = convolution_steps(THREE_BY_THREE, TWO_BY_TWO, b, padding="same")
    padded = [[1, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 0], [0, 0, 0, 0]]
    assert lesson["The padded input"].array[0, :, :, 0].tolist() == padded
    assert (
        lesson["The padded input"].formula == "p = x with zeros: 0 above, 1 below, 0 left, 1 right"
    )
    assert lesson["The window of the first output"].shown.tolist() == [[1, 2], [4, 5]]
    assert lesson["Its products with filter 0"].shown.tolist() == [[1, 4], [12, 20]]
    expected = [[37.5, 47.5, 21.5], [67.5, 77.5, 33.5], [23.5, 26.5, 9.5]]
    assert lesson.y[0, :, :, 0].tolist() == expected
    # 9 outputs have 4 products each: 3 additions sum them, 1 adds the bias
    assert (lesson.multiplications, lesson.additions, lesson.memory) == (36, 36, 0)


def test_two_channels_and_two_filters_by_hand():
    x = np.array([1, 10, 2, 20], "float32").reshape(1, 1, 2, 2)
    w = np.array([[1, 2], [3, 4]], "float32").reshape(1, 1, 2, 2)  # w[0, 0, c, o]
    for algorithm in ("loops", "im2col"):
        lesson = convolution_steps(x, w, algorithm=algorithm)
        assert lesson.y.tolist() == [[[[31, 42], [62, 84]]]]
        assert (lesson.multiplications, lesson.additions) == (8, 4)


def test_winograd_by_hand():
    """A kernel of only a 1 in the middle copies the image; u is an outer product of columns."""
    w = np.zeros((3, 3, 1, 1))
    w[1, 1] = 1
    x = random((1, 6, 6, 1), dtype="float64")
    lesson = convolution_steps(x, w, algorithm="winograd")
    middle = np.array([0, -1 / 6, 1 / 6, 1 / 12, -1 / 12, 0])  # G's second column
    assert lesson["The transformed kernel"].shown == pytest.approx(np.outer(middle, middle))
    assert lesson["A patch"].shown.tolist() == x[0, :, :, 0].tolist()
    assert lesson["A tile of outputs"].shown == pytest.approx(x[0, 1:5, 1:5, 0])
    constant = convolution_steps(np.ones((1, 6, 6, 1)), w, algorithm="winograd")
    # A constant row gives 0 at point 0, -6 at 1, 0 at the others: 4 - 5 + 1, -4 - 4 + 1 + 1, …
    rows = np.array([0, -6, 0, 0, 0, 0])
    assert constant["The transformed patch"].shown.tolist() == np.outer(rows, rows).tolist()


def test_winograd_multiplies_a_quarter_as_often():
    """A tile of 4x4 outputs takes 36 products, where plain sums take 16 * 9 = 144."""
    x, w = random((1, 6, 6, 1)), random((3, 3, 1, 1))
    found = compare_algorithms(x, w)
    assert found["winograd"].multiplications == 36
    assert found["loops"].multiplications == found["im2col"].multiplications == 144
    # for 2 examples, 2 * 2 tiles, 5 channels and 3 filters
    x, w = random((2, 10, 10, 5)), random((3, 3, 5, 3))
    found = compare_algorithms(x, w)
    assert found["winograd"].multiplications == 36 * 2 * 4 * 5 * 3
    assert found["loops"].multiplications == 144 * 2 * 4 * 5 * 3
    # u, v and m have 36 numbers per (channel, filter), (tile, channel) and (tile, filter)
    assert found["winograd"].memory == 4 * 36 * (5 * 3 + 8 * 5 + 8 * 3)
    assert found["im2col"].memory == 4 * (2 * 8 * 8) * (3 * 3 * 5)


# -- the transforms equal those of the kernels ----------------------------------------------------


class Counted:
    """A number that counts the operations on it."""

    multiplications = additions = 0

    def __mul__(self, other):
        Counted.multiplications += 1
        return self

    def __add__(self, other):
        Counted.additions += 1
        return self

    __sub__ = __add__


def counted(transform, size, out, times):
    Counted.multiplications = Counted.additions = 0
    assert len(transform([Counted()] * size)) == out
    return Counted.multiplications * times, Counted.additions * times


def test_the_matrices_equal_those_of_the_kernels():
    for matrix, transform in (
        (algorithm_steps.G, winograd.weight_points),
        (algorithm_steps.BT, winograd.input_points),
        (algorithm_steps.AT, winograd.output_pixels),
    ):
        assert np.stack(transform(np.eye(matrix.shape[1]))) == pytest.approx(matrix, abs=1e-15)


def test_the_transforms_cost_what_the_kernels_do():
    """Both axes count: 6 columns and 6 rows of a patch, 3 and 6 of a kernel, 6 and 4 of a tile."""
    assert counted(winograd.input_points, 6, 6, 12) == algorithm_steps.PATCH_COST == (84, 144)
    assert counted(winograd.weight_points, 3, 6, 9) == algorithm_steps.KERNEL_COST == (54, 54)
    assert counted(winograd.output_pixels, 6, 4, 10) == algorithm_steps.TILE_COST == (30, 100)


def test_winograd_s_additions_by_hand():
    x, w, b = random((1, 6, 6, 2)), random((3, 3, 2, 1)), np.zeros(1, "float32")
    lesson = convolution_steps(x, w, b, "winograd")
    assert lesson.transform_multiplications == 2 * 84 + 2 * 54 + 30
    assert lesson.additions == 2 * 144 + 2 * 54 + 100 + 36 + 16  # sums of two products, the bias


# -- agreement ------------------------------------------------------------------------------------


@st.composite
def convolutions(draw):
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (1, 1), (2, 3), (4, 1)]))
    strides = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)]))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1)])) if strides == (1, 1) else (1, 1)
    sizes = draw(st.tuples(*[st.integers(1, n) for n in (2, 14, 14, 4, 4)]))
    n, height, width, channels, filters = sizes
    x = random((n, height + 6, width + 6, channels), draw(st.integers(0, 99)), "float64")
    w = random((*kernel, channels, filters), 1, "float64")
    b = draw(st.sampled_from([None, random((filters,), 2, "float64")]))
    return x, w, b, strides, draw(st.sampled_from(["valid", "same"])), dilation


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_every_algorithm_agrees_with_the_fast_convolution(case):
    x, w, b, *options = case
    expected = functional.conv2d(x, w, b, *options)
    kernel, strides, dilation = w.shape[:2], options[0], options[2]
    fits = kernel == (3, 3) and strides == dilation == (1, 1)
    for algorithm in ("loops", "im2col", *(["winograd"] if fits else [])):
        before = x.copy(), w.copy()
        lesson = convolution_steps(x, w, b, algorithm, *options)
        assert lesson.y.shape == expected.shape
        assert lesson.y.dtype == x.dtype
        np.testing.assert_allclose(lesson.y, expected, rtol=1e-10, atol=1e-11)
        assert lesson.steps[-1].array is lesson.y
        assert np.array_equal(x, before[0])
        assert np.array_equal(w, before[1])
    found = compare_algorithms(x, w, b, *options)
    assert [row.algorithm for row in found.rows] == ["loops", "im2col", *["winograd"] * fits]
    assert set(found.left_out) == ({"winograd"} if not fits else set())


def test_the_loops_round_as_the_naive_loops_do():
    x, w, b = random((1, 7, 6, 3)), random((3, 3, 3, 2), 1), random((2,), 2)
    for options in ({}, {"padding": "same", "strides": (2, 2)}, {"dilation_rate": (2, 1)}):
        lesson = convolution_steps(x, w, b, "loops", **options)
        assert np.array_equal(lesson.y, naive.conv2d(x, w, b, **options))


def test_each_step_follows_from_those_before():
    x, w = random((2, 9, 8, 3), dtype="float64"), random((3, 3, 3, 4), 1, "float64")
    lesson = convolution_steps(x, w, algorithm="winograd", padding="same")
    g, bt, at = (lesson[f"The matrix {name}"].array for name in ("G", "Bᵀ", "Aᵀ"))
    u = g @ w[:, :, 2, 1] @ g.T
    assert lesson["The transformed kernel"].array[:, :, 2, 1] == pytest.approx(u)
    patch = lesson["A patch"].array[1, 3, :, :, 2]
    v = bt @ patch @ bt.T
    assert lesson["The transformed patch"].array[1, 3, :, :, 2] == pytest.approx(v)
    all_u = lesson["The transformed kernel"].array[:, :, :, 1]
    m = (all_u * lesson["The transformed patch"].array[1, 3]).sum(axis=-1)
    assert lesson["The products"].array[1, 3, :, :, 1] == pytest.approx(m)
    tile = at @ m @ at.T
    assert lesson["A tile of outputs"].array[1, 3, :, :, 1] == pytest.approx(tile)
    assert lesson.y[1, 4:8, 4:8, 1] == pytest.approx(tile)  # tile 3 is second in the second row


def test_winograd_rounds_more_and_the_comparison_says_so():
    found = compare_algorithms(random((1, 14, 14, 64)), random((3, 3, 64, 8), 1))
    assert found["loops"].from_loops == 0
    assert 0 < found["im2col"].from_exact < found["winograd"].from_exact < 1e-3
    assert found["loops"].from_exact > 0


# -- how lessons look, and what they refuse -------------------------------------------------------


def test_small_arrays_are_printed_in_full():
    text = str(convolution_steps(THREE_BY_THREE, TWO_BY_TWO, algorithm="im2col"))
    assert "A convolution as one matrix product (im2col)" in text
    assert "    1  2  4  5\n    2  3  5  6\n    4  5  7  8\n    5  6  8  9\n" in text
    assert text.endswith(
        "16 multiplications of pixels by weights, 12 additions, 64 bytes between input and output."
    )
    assert "…" not in text


def test_large_arrays_are_printed_as_shape_and_corner():
    lesson = convolution_steps(random((1, 40, 40, 2)), random((3, 3, 2, 1)))
    assert "p[0, :, :, 0], of shape 1×40×40×2; the corner of 40×40" in str(lesson)
    assert max(map(len, str(lesson).splitlines())) < 150
    assert len(str(lesson).splitlines()) < 90


def test_winograd_shows_its_matrices():
    text = str(convolution_steps(random((1, 6, 6, 1)), random((3, 3, 1, 1)), algorithm="winograd"))
    for part in ("u = G g Gᵀ", "v = Bᵀ d B", "y = Aᵀ m A", "0  -4  -4   1  1  0", "36 multi"):
        assert part in text


def test_a_rounding_error_in_place_of_zero_is_printed_as_zero():
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    w = np.arange(-4, 5, dtype="float32").reshape(3, 3, 1, 1)
    lesson = convolution_steps(x, w, algorithm="winograd", padding="same")
    u = lesson["The transformed kernel"]
    assert u.shown[1, 1] != 0  # exact arithmetic gives 0
    assert abs(u.shown[1, 1]) < 1e-7
    assert "e-0" not in str(lesson)
    assert "e-0" not in lesson._repr_html_().replace(repr(float(u.shown[1, 1])), "")


# What it multiplies is what "im2col" does; only where the numbers are read from is different.
WITHOUT_STEPS = {"direct"}


def test_every_algorithm_is_described_and_has_steps() -> None:
    """Where it is described is a list in the docstring of `minicnn.functional`."""
    for name in functional.ALGORITHMS:
        assert f'\n- `"{name}"` ' in str(functional.__doc__)
    known = {*algorithm_steps.ALGORITHMS, *WITHOUT_STEPS}
    assert {*functional.ALGORITHMS} - {"auto", "naive"} <= known


@pytest.mark.parametrize("algorithm", algorithm_steps.ALGORITHMS)
def test_html_has_a_grid_for_each_step(algorithm):
    lesson = convolution_steps(random((1, 30, 30, 2)), random((3, 3, 2, 3)), algorithm=algorithm)
    html = lesson._repr_html_()
    assert html.count("<table") == len(lesson.steps)
    assert show.escape(lesson.title) in html
    assert len(html) < 200_000


def test_the_comparison_prints_as_a_table():
    found = compare_algorithms(random((1, 6, 6, 1)), random((3, 3, 1, 1)))
    text = str(found)
    assert "x 1×6×6×1, w 3×3×1×1, y 1×4×4×1, in float32" in text
    for part in ("loops", "im2col", "winograd", "144", "36", "by constants", "from float64"):
        assert part in text
    assert found._repr_html_().count("<tr>") == 4
    strided = compare_algorithms(random((1, 6, 6, 1)), random((3, 3, 1, 1)), strides=2)
    assert "No winograd: it needs strides and dilation_rate of 1" in str(strided)
    with pytest.raises(KeyError, match="No algorithm 'winograd'"):
        strided["winograd"]


def test_what_is_refused():
    x, w = random((1, 6, 6, 2)), random((3, 3, 2, 1))
    with pytest.raises(ValueError, match='algorithm to be one of "loops", "im2col", "winograd"'):
        convolution_steps(x, w, algorithm="fft")
    with pytest.raises(ValueError, match=r"as many channels in x as in w. Received x.shape=\(1"):
        convolution_steps(x[..., :1], w)
    with pytest.raises(ValueError, match="needs strides and dilation_rate of 1"):
        convolution_steps(x, w, algorithm="winograd", strides=2)
    with pytest.raises(ValueError, match="for 3×3 kernels; this one is 2×2"):
        convolution_steps(THREE_BY_THREE, TWO_BY_TWO, algorithm="winograd")
    with pytest.raises(ValueError, match="at least 3x3 pixels"):
        convolution_steps(x[:, :2], w)
    with pytest.raises(ValueError, match=r"b.shape=\(1,\)"):
        convolution_steps(x, w, np.zeros(2, "float32"))
    with pytest.raises(ValueError, match="at least one number"):
        convolution_steps(x[:0], w)
    with pytest.raises(TypeError, match="one dtype"):
        convolution_steps(x, w.astype("float64"))
    with pytest.raises(TypeError, match="float32 or float64"):
        compare_algorithms(np.ones((1, 6, 6, 2), int), w)
    with pytest.raises(KeyError, match="No step 'The patch'"):
        convolution_steps(x, w)["The patch"]
