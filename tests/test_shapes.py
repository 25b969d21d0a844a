"""Window arithmetic agrees with windows counted by hand and by brute force."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from minicnn import shapes
from minicnn.shapes import ReceptiveField, output_size, same_padding


def taps_of(place: int, kernel: int, stride: int, dilation: int, before: int) -> list[int]:
    """Return the pixels under one window; those before 0 or beyond the end are padding."""
    return [place * stride + i * dilation - before for i in range(kernel)]


# size, kernel, stride, dilation -> zeros before and after, as TensorFlow pads
SAME = [
    ((5, 3, 1, 1), (1, 1)),
    ((5, 2, 1, 1), (0, 1)),  # the extra zero comes after
    ((5, 4, 1, 1), (1, 2)),
    ((5, 1, 1, 1), (0, 0)),
    ((6, 3, 2, 1), (0, 1)),  # an even size with stride 2 needs only one zero, after
    ((5, 3, 2, 1), (1, 1)),  # an odd size needs two
    ((6, 2, 2, 1), (0, 0)),
    ((5, 2, 2, 1), (0, 1)),
    ((224, 7, 2, 1), (2, 3)),  # the first layer of a ResNet
    ((7, 3, 3, 1), (1, 1)),
    ((8, 3, 3, 1), (0, 1)),
    ((9, 3, 3, 1), (0, 0)),
    ((4, 1, 2, 1), (0, 0)),  # a window of one pixel needs no zeros
    ((5, 1, 3, 1), (0, 0)),
    ((5, 3, 1, 2), (2, 2)),
    ((5, 2, 1, 3), (1, 2)),
    ((1, 3, 1, 1), (1, 1)),
    ((2, 5, 2, 1), (1, 2)),
]


@pytest.mark.parametrize(("given", "expected"), SAME)
def test_same_padding(given: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert same_padding(*given) == expected


# size, kernel, stride, padding, dilation -> number of windows
OUTPUT_SIZES = [
    ((5, 3, 1, "valid", 1), 3),
    ((5, 3, 2, "valid", 1), 2),
    ((6, 3, 2, "valid", 1), 2),  # no window sees the last column
    ((7, 3, 2, "valid", 1), 3),
    ((5, 5, 4, "valid", 1), 1),
    ((5, 3, 1, "valid", 2), 1),
    ((299, 3, 2, "valid", 1), 149),  # Xception's first layer
    ((5, 3, 1, "same", 1), 5),
    ((5, 3, 2, "same", 1), 3),
    ((6, 3, 2, "same", 1), 3),
    ((7, 3, 4, "same", 1), 2),
    ((3, 9, 1, "same", 3), 3),
]


@pytest.mark.parametrize(("given", "expected"), OUTPUT_SIZES)
def test_output_size(given: tuple, expected: int) -> None:
    assert output_size(*given) == expected


# size, kernel, stride, padding, dilation, output_padding -> pixels, and pixels cut off before them
TRANSPOSED = [
    ((3, 3, 1, "valid"), (5, 0)),
    ((3, 3, 2, "valid"), (7, 0)),
    ((3, 2, 3, "valid"), (9, 0)),  # the stride exceeds the window: some columns get no stamp
    ((3, 2, 3, "valid", 1, 0), (8, 0)),
    ((3, 3, 2, "valid", 1, 1), (8, 0)),
    ((3, 3, 1, "valid", 2), (7, 0)),
    ((3, 3, 1, "same"), (3, 1)),
    ((3, 4, 1, "same"), (3, 1)),  # of three too many, one is before and two after
    ((3, 3, 2, "same"), (6, 0)),
    ((3, 4, 2, "same"), (6, 1)),
    ((3, 5, 2, "same"), (6, 1)),
    ((3, 2, 3, "same"), (9, 0)),
    ((3, 3, 2, "same", 1, 0), (5, 1)),
    ((3, 3, 2, "same", 1, 1), (6, 0)),
    ((3, 4, 2, "same", 1, 0), (4, 2)),
    ((3, 3, 1, "same", 2), (3, 2)),
]


@pytest.mark.parametrize(("given", "expected"), TRANSPOSED)
def test_transposed_output(given: tuple, expected: tuple[int, int]) -> None:
    assert shapes.transposed_output(*given) == expected


def test_a_transposed_convolution_can_restore_the_size_before_a_convolution() -> None:
    """Among sizes that a convolution reduces to the same size, `output_padding` chooses one."""
    for (size, kernel, stride, dilation), padding in itertools.product(
        GEOMETRIES, ("valid", "same")
    ):
        small = output_size(size, kernel, stride, padding, dilation)
        if small < 1:
            continue
        back = [
            shapes.transposed_output(small, kernel, stride, padding, dilation, more)
            for more in range(stride)
        ]
        extent = (kernel - 1) * dilation + 1
        if padding == "valid" or extent % 2:
            assert size in [out for out, _ in back]
        for out, cut in back:
            if out > 0 and padding == "same" and output_size(out, 1, stride, "same") == small:
                assert cut == same_padding(out, kernel, stride, dilation)[0]


@pytest.mark.parametrize("size", [2, 4])
def test_the_output_size_is_below_1_where_no_window_fits(size: int) -> None:
    assert output_size(size, 3, 1, "valid", dilation=2) < 1


GEOMETRIES = list(itertools.product(range(1, 9), range(1, 5), range(1, 4), range(1, 4)))


def test_valid_windows_are_all_those_inside() -> None:
    for size, kernel, stride, dilation in GEOMETRIES:
        inside = [
            place
            for place in range(size)
            if max(taps_of(place, kernel, stride, dilation, 0)) < size
        ]
        found = output_size(size, kernel, stride, "valid", dilation)
        assert max(found, 0) == len(inside), (size, kernel, stride, dilation)


def test_same_pads_just_enough_and_evenly() -> None:
    for size, kernel, stride, dilation in GEOMETRIES:
        given = (size, kernel, stride, dilation)
        before, after = same_padding(size, kernel, stride, dilation)
        out = output_size(size, kernel, stride, "same", dilation)
        # There are as many windows as strides that begin inside the image.
        assert out == len(range(0, size, stride)), given
        last = taps_of(out - 1, kernel, stride, dilation, before)[-1]
        assert last <= size - 1 + after, given  # no window reaches beyond the zeros
        if before + after:
            assert last == size - 1 + after, given  # and no zero is unused
        assert after - before in (0, 1), given


def test_window() -> None:
    window = shapes.window((6, 5), (3, 2), (2, 1), "same", (1, 2), "conv2d")
    assert window.kernel == (3, 2)
    assert window.strides == (2, 1)
    assert window.dilation == (1, 2)
    assert window.before == (0, 1)  # rows (6, 3, 2): (0, 1); columns (5, 2, 1, 2): (1, 1)
    assert window.out == (3, 5)
    window = shapes.window((6, 5), (3, 2), (2, 1), "valid", (1, 2), "conv2d")
    assert window.before == (0, 0)
    assert window.out == (2, 3)


@pytest.mark.parametrize(
    ("size", "kernel", "dilation", "message"),
    [
        ((2, 9), (3, 3), (1, 1), "pool1 expects an input of at least 3x3 pixels.* Received 2x9"),
        ((9, 2), (3, 3), (1, 1), "at least 3x3 pixels.* Received 9x2"),
        ((9, 4), (2, 3), (1, 2), "at least 2x5 pixels.* Received 9x4"),
        ((0, 9), (1, 1), (1, 1), "at least 1x1 pixels.* Received 0x9"),
    ],
)
def test_window_larger_than_the_input(size, kernel, dilation, message) -> None:
    with pytest.raises(ValueError, match=message):
        shapes.window(size, kernel, (1, 1), "valid", dilation, "pool1")


def test_same_needs_a_pixel() -> None:
    with pytest.raises(ValueError, match=r"at least 3x3 pixels.* Received 4x0"):
        shapes.window((4, 0), (3, 3), (1, 1), "same", (1, 1), "conv2d")


HALF = Fraction(1, 2)  # the stride of a layer that doubles the size of images
# Chains of windows (kernel, stride, dilation), and by hand what one unit of the last sees.
CHAINS = [
    ([], ReceptiveField(1, 1)),
    ([(3, 1, 1)], ReceptiveField(3, 1)),
    ([(3, 1, 1), (3, 1, 1)], ReceptiveField(5, 1)),  # two 3x3 windows see what one 5x5 sees
    ([(3, 1, 1), (2, 2, 1)], ReceptiveField(4, 2)),
    ([(3, 1, 1), (2, 2, 1), (3, 1, 1)], ReceptiveField(8, 2)),
    ([(3, 2, 1), (3, 2, 1), (3, 2, 1)], ReceptiveField(15, 8)),
    ([(3, 1, 2), (3, 1, 4)], ReceptiveField(13, 1)),
    ([(1, 3, 1), (2, 1, 1)], ReceptiveField(4, 3)),
    ([(1, HALF, 1)], ReceptiveField(2 - HALF, HALF, HALF, False)),
    ([(2, 2, 1), (1, HALF, 1)], ReceptiveField(3, 1, 1, False)),  # halved, then doubled again
]


def through(chain) -> ReceptiveField:
    field = ReceptiveField()
    for kernel, stride, dilation in chain:
        field = field.through(kernel, stride, dilation)
    return field


@pytest.mark.parametrize(("chain", "expected"), CHAINS)
def test_receptive_field(chain, expected: ReceptiveField) -> None:
    assert through(chain) == expected


def test_receptive_field_agrees_with_following_the_taps() -> None:
    """Taps lead from two neighbouring units back to the first and last pixels they depend on."""
    windows = [(1, 1, 1), (2, 2, 1), (3, 1, 1), (3, 2, 2), (2, 3, 3)]
    for chain in itertools.product(windows, repeat=3):
        ends = []
        for unit in (0, 1):
            seen = {unit}
            for kernel, stride, dilation in reversed(chain):
                seen = {
                    tap for place in seen for tap in taps_of(place, kernel, stride, dilation, 0)
                }
            ends.append((min(seen), max(seen)))
        (first, last), (neighbour, _) = ends
        assert through(chain) == ReceptiveField(last - first + 1, neighbour - first), chain


def test_where_a_receptive_field_begins() -> None:
    """After two 3-tap windows, padded by one, the second of stride 2, unit 1 centres on pixel 2."""
    field = ReceptiveField().through(3, 1, padding=1).through(3, 2, padding=1)
    assert field == ReceptiveField(size=5, step=2, before=2)
    assert field.pixels(0) == (-2, 2)
    assert field.pixels(1) == (0, 4)
    assert ReceptiveField().through(2, 2).through(3, 1, padding=1).before == 2


def test_the_receptive_field_after_an_upsampling() -> None:
    """Each unit reads pixel floor(unit / n), and the field covers all that units see."""
    windows = [(2, 2, 1), (3, 1, 1), (2, 1, 3), (1, HALF, 1), (1, Fraction(1, 3), 1)]
    for chain in itertools.product(windows, repeat=3):
        if min(stride for _, stride, _ in chain) >= 1:
            continue
        field = through(chain)
        widths = []
        for unit in range(24):
            seen = {unit}
            for kernel, stride, dilation in reversed(chain):
                seen = {int(place * stride) + i * dilation for place in seen for i in range(kernel)}
            low, high = field.pixels(unit)
            assert low <= min(seen) <= max(seen) <= high, (chain, unit)
            widths.append(max(seen) - min(seen) + 1)
        assert field.most >= max(widths)
        if all(stride <= 1 for _, stride, _ in chain):
            assert field.most == max(widths), chain
        again = ReceptiveField().through(*field.window)
        assert (again.size, again.step) == (field.size, field.step)


# ---------------------------------------------------------------------------------------------
# Argument checks: values that are accepted, and the sentences that refuse others
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_positive_int(value) -> None:
    found = shapes.positive_int(value, "filters", "Conv2D")
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, "3", None, True, np.bool_(True), [3], np.nan])
def test_not_a_positive_int(value) -> None:
    with pytest.raises(ValueError, match=r"^Conv2D expects filters to be an integer >= 1\. ") as e:
        shapes.positive_int(value, "filters", "Conv2D")
    assert str(e.value).endswith(f"Received {value!r}.")


def test_minimum() -> None:
    assert shapes.positive_int(0, "padding", "ZeroPadding2D", minimum=0) == 0
    with pytest.raises(ValueError, match=r"integer >= 0\. Received -1\.$"):
        shapes.positive_int(-1, "padding", "ZeroPadding2D", minimum=0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, (3, 3)),
        ((2, 3), (2, 3)),
        ([2, 3], (2, 3)),
        (np.array([2, 3]), (2, 3)),
        (np.int32(2), (2, 2)),
    ],
)
def test_pair(value, expected: tuple[int, int]) -> None:
    found = shapes.pair(value, "strides", "Conv2D")
    assert found == expected
    assert all(type(number) is int for number in found)


@pytest.mark.parametrize(
    "value", [0, -2, (1, 0), (1, 2, 3), (1,), (), 1.5, (1, 1.5), "2", None, (True, 1), [[1, 2]] * 2]
)
def test_not_a_pair(value) -> None:
    message = r"^Conv2D expects strides to be an integer >= 1 or a pair of them\. "
    with pytest.raises(ValueError, match=message) as e:
        shapes.pair(value, "strides", "Conv2D")
    assert str(e.value).endswith(f"Received {value!r}.")


def test_choice() -> None:
    assert shapes.choice("SAME", ("valid", "same"), "padding", "Conv2D") == "same"


@pytest.mark.parametrize("value", ["full", "", None, 1, ("same",)])
def test_not_a_choice(value) -> None:
    message = '^Conv2D expects padding to be one of "valid", "same"\\. '
    with pytest.raises(ValueError, match=message) as e:
        shapes.choice(value, ("valid", "same"), "padding", "Conv2D")
    assert str(e.value).endswith(f"Received {value!r}.")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_check_array_returns_the_array(dtype) -> None:
    x = np.zeros((2, 3), dtype)
    assert shapes.check_array(x, 2, "x", "dense") is x
    assert shapes.check_array(x, None, "x", "dense") is x


@pytest.mark.parametrize(
    ("x", "rank", "error", "message"),
    [
        ([[1.0]], 2, TypeError, r"^dense expects x to be a NumPy array\. Received list\.$"),
        (1.0, None, TypeError, "Received float"),
        (np.float32(1), None, TypeError, "Received float32"),
        (np.zeros(3, np.int64), 1, TypeError, r"float32 or float64\. Received dtype int64"),
        (np.zeros(3, np.uint8), 1, TypeError, r'dtype uint8; x.astype\("float32"\) converts'),
        (np.zeros(3, bool), 1, TypeError, "dtype bool"),
        (np.zeros(3, object), 1, TypeError, "dtype object"),
        (np.zeros(3, np.float16), 1, TypeError, "dtype float16"),
        (np.zeros(3, ">f4"), 1, TypeError, "dtype >f4"),
        (np.zeros(3, complex), 1, TypeError, "dtype complex128"),
        (np.zeros((3, 4)), 4, ValueError, r"x with 4 dimensions \(batch, height, width, channels"),
        (np.zeros(3), 2, ValueError, r"2 dimensions \(batch, features\)\. Received x.shape=\(3,\)"),
        (np.zeros((3, 1)), 1, ValueError, r"x with 1 dimensions\. Received x.shape=\(3, 1\)"),
    ],
)
def test_check_array_refuses(x, rank, error, message) -> None:
    with pytest.raises(error, match=message):
        shapes.check_array(x, rank, "x", "dense")


def test_check_shape() -> None:
    shapes.check_shape(np.zeros((2, 3)), [2, 3], "dy", "dense")
    with pytest.raises(
        ValueError, match=r"^dense expects dy.shape=\(2, 4\)\. Received dy.shape=\(2, 3\)\.$"
    ):
        shapes.check_shape(np.zeros((2, 3)), (2, 4), "dy", "dense")


def test_check_same_dtype() -> None:
    single, double = np.zeros(1, np.float32), np.zeros(1)
    shapes.check_same_dtype({"x": single, "w": single, "b": None}, "dense")
    with pytest.raises(TypeError, match=r"dense expects one dtype .*'x': 'float32', 'b'"):
        shapes.check_same_dtype({"x": single, "w": None, "b": double}, "dense")


def test_kernels_get_plain_arrays() -> None:
    assert type(shapes.contiguous(np.ma.masked_array([1.0, 2.0]))) is np.ndarray
