"""Window arithmetic, and the argument checks that every room shares.

A window of `kernel` pixels, spread by `dilation`, slides over `size` pixels in steps of `stride`:

    extent = (kernel - 1) * dilation + 1                      pixels from its first to its last tap
    "valid":  out = floor((size - extent) / stride) + 1       windows lie inside the input
    "same":   out = ceil(size / stride)                       zeros are put around the input,
              padding = max((out - 1) * stride + extent - size, 0)
              before = padding // 2,  after = padding - before

"same" puts the odd zero after the input, not before it, and with a stride above 1 the padding
depends on the size of the input. This is TensorFlow's rule, and so Keras's.

The windows of a transposed convolution lie on its output, one for each of the `size` input pixels:

    whole = (size - 1) * stride + extent                      pixels that the windows cover
    "valid":  out = whole + output_padding                    by default max(stride - extent, 0)
    "same":   out = size * stride, or, with an output_padding,
                    (size - 1) * stride + extent % 2 + output_padding
              cut off before = max(whole - out, 0) // 2
"""

import difflib
import math
import operator
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, NoReturn

import numpy as np

Pair = tuple[int, int]
Steps = tuple[int | Fraction, int | Fraction]  # below 1 where a layer enlarges its input
# No window or image needs more than these limits, and products of a few stay far below 2**63.
LARGEST_STEP = 2**20  # of a kernel's sides, strides and dilation: no image has so many rows
LARGEST_SIZE = 2**31 - 1  # of a shape: features, channels, pixels a side
_LARGEST_AREA = 2**24  # pixels of a window, or of a padded input
LONGEST_NAME = 10_000  # of a layer: a list of names in an HDF5 file has room for 64 KB


def positive_int(
    value: Any, argument: str, who: str, minimum: int = 1, maximum: int = LARGEST_SIZE
) -> int:
    """Return `value` as an int from `minimum` to `maximum`, or raise a `ValueError`."""
    if type(value) is int and minimum <= value <= maximum:  # the usual case, quickly decided
        return value
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if isinstance(value, (bool, np.bool_)) or number < minimum:
        raise ValueError(
            f"{who} expects {argument} to be an integer >= {minimum}. Received {_shortened(value)}."
        )
    if number > maximum:
        raise ValueError(
            f"{who} expects {argument} to be an integer from {minimum} to {maximum}. "
            f"Received {_shortened(number)}."
        )
    return number


def shape_text(shape: tuple[int | None, ...]) -> str:
    """Return a shape as text: `(None, 64, 64, 3)`."""
    return f"({', '.join(str(size) for size in shape)})"


def product(sizes: Iterable[int | None]) -> int | None:
    """Return the product of the sizes; None if one of them is unknown."""
    known = list(sizes)
    return None if None in known else math.prod(size for size in known if size is not None)


def _shortened(value: Any) -> str:
    """Return a value's text for messages; Python refuses to print thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"


def is_number(value: Any) -> bool:
    """Return whether `value` is a finite number of Python's or NumPy's, within a float's range."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def number(value: Any, argument: str, who: str, least: float | None = None) -> Any:
    """Return `value`, or raise a `ValueError` unless it is a finite number, of at least `least`."""
    if not is_number(value) or (least is not None and value < least):
        wanted = "a number" if least is None else f"a finite number >= {least}"
        raise ValueError(f"{who} expects {argument} to be {wanted}. Received {value!r}.")
    return value


def check_name(name: Any, who: str, slash: bool = True) -> None:
    """Raise a `ValueError` unless files can hold the text `name`; `slash` allows "/" in it."""
    fine = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and (slash or "/" not in name)
    if not fine or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in name):
        shown = repr(name) if len(repr(name)) < 100 else f"{repr(name)[:99]}…"
        slashes = "" if slash else '"/", '
        raise ValueError(
            f"{who} expects name to be a non-empty string without {slashes}"
            f"'\\0' and lone surrogates, of at most {LONGEST_NAME} characters. Received {shown}."
        )


def pair(value: Any, argument: str, who: str, minimum: int = 1) -> Pair:
    """Return `3` or `(3, 3)` as two ints (rows, columns) from `minimum` to `LARGEST_STEP`."""
    two_ints = type(value) is tuple and [type(item) for item in value] == [int, int]
    if two_ints and min(value) >= minimum and max(value) <= LARGEST_STEP:  # the usual case
        return value  # type: ignore[no-any-return]
    items = list(value) if isinstance(value, (tuple, list, np.ndarray)) else [value, value]
    try:
        rows, columns = (positive_int(item, argument, who, minimum, LARGEST_STEP) for item in items)
    except ValueError:
        whole = [item for item in items if isinstance(item, int) and item > LARGEST_STEP]
        most = f", at most {LARGEST_STEP}" if whole else ""
        raise ValueError(
            f"{who} expects {argument} to be an integer >= {minimum} or a pair of them{most}. "
            f"Received {_shortened(value)}."
        ) from None
    return rows, columns


def sides(value: Any, argument: str, who: str) -> tuple[Pair, Pair]:
    """Return `1`, `(1, 2)` or `((1, 1), (2, 2))` as `((top, bottom), (left, right))`, from 0."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return pair(value[0], argument, who, 0), pair(value[1], argument, who, 0)
    both = pair(value, argument, who, 0)
    return both, both


def axes(value: Any, who: str, argument: str = "axis") -> tuple[int, ...]:
    """Return an argument such as `axis`, an integer or several, as a tuple."""
    listed = list(value) if isinstance(value, (tuple, list, np.ndarray)) else [value]
    for axis in listed:
        if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
            raise ValueError(
                f"{who} expects {argument} to be an integer or a list of them. "
                f"Received {_shortened(value)}."
            )
    return tuple(int(axis) for axis in listed)


def axes_of_examples(
    value: tuple[int, ...], shape: Sequence[int | None], who: str
) -> tuple[int, ...]:
    """Return the axes of an array of this shape, counted from 0 and sorted.

    Raises a `ValueError` for an axis that examples do not have (axis 0 is the batch), and for one
    named twice.
    """
    rank = len(shape)
    found = sorted(axis + rank if axis < 0 else axis for axis in value)
    if any(not 0 < axis < rank for axis in found) or len(set(found)) < len(found):
        raise ValueError(
            f"{who} expects axis={value} to name axes of its inputs, each once, and not the "
            f"batch axis. Received {tuple(shape)}."
        )
    return tuple(found)


def choice(value: Any, options: Collection[str], argument: str, who: str) -> str:
    """Return `value` in lower case if it is one of `options`, or raise a `ValueError`."""
    if type(value) is str and value in options:
        return value
    lower = value.lower() if isinstance(value, str) else None
    if lower is None or lower not in options:
        listed = ", ".join(f'"{option}"' for option in options)
        raise ValueError(f"{who} expects {argument} to be one of {listed}. Received {value!r}.")
    return lower


def check_data_format(data_format: Any, who: str) -> str:
    """Return `"channels_last"`; raise a `ValueError` for anything else but None."""
    if not isinstance(data_format, (str, type(None))) or data_format not in (None, "channels_last"):
        raise ValueError(
            f'{who} expects data_format="channels_last", the only one supported. '
            f"Received data_format={data_format!r}."
        )
    return "channels_last"


def refuse_argument(
    argument: str, known: Sequence[str], instead: Mapping[str, str], who: str
) -> NoReturn:
    """Raise a `ValueError` for an argument that `who` does not take; name the one to use."""
    close = difflib.get_close_matches(argument, known, 1)
    if argument in instead:
        hint = f"Use {instead[argument]}."
    elif close:
        hint = f'Did you mean "{close[0]}"?'
    else:
        hint = f"It takes {', '.join(known)}."
    raise ValueError(f'{who} does not take the argument "{argument}". {hint}')


def check_array(x: Any, rank: int | None, argument: str, who: str) -> np.ndarray:
    """Return `x` if it is a float32 or float64 NumPy array of this rank, or raise an error.

    Integers are refused: only the caller knows whether 255 means white or is a class number
    (`x.astype("float32")`, or a `Rescaling` layer).
    """
    if not isinstance(x, np.ndarray):
        raise TypeError(
            f"{who} expects {argument} to be a NumPy array. Received {type(x).__name__}."
        )
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{who} expects {argument} to be float32 or float64. Received dtype {x.dtype}; "
            f'{argument}.astype("float32") converts numbers.'
        )
    if rank is not None and x.ndim != rank:
        meaning = {4: " (batch, height, width, channels)", 2: " (batch, features)"}.get(rank, "")
        raise ValueError(
            f"{who} expects {argument} with {rank} dimensions{meaning}. "
            f"Received {argument}.shape={x.shape}."
        )
    return x


def contiguous(x: Any, dtype: Any = None) -> np.ndarray:
    """Return `x` as kernels need it, in C order and aligned; `x` itself if it is so already."""
    # NumPy imports numpy.ma when it is first mentioned, and no array can be masked before.
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())
    if type(x) is not np.ndarray and isinstance(x, (np.memmap, np.matrix, masked)):
        x = np.asarray(x)  # whose views and results are not those of plain arrays
    if isinstance(x, np.ndarray) and x.ndim:
        if dtype is not None and x.dtype != dtype:
            x = x.astype(dtype)
        return x if x.flags.c_contiguous and x.flags.aligned else x.copy()
    return np.ascontiguousarray(x, dtype)


def check_shape(x: np.ndarray, expected: Sequence[int], argument: str, who: str) -> None:
    """Raise a `ValueError` unless `x.shape` is exactly `expected`."""
    if x.shape != tuple(expected):
        raise ValueError(
            f"{who} expects {argument}.shape={tuple(expected)}. "
            f"Received {argument}.shape={x.shape}."
        )


def check_numbers(x: np.ndarray, argument: str, who: str) -> None:
    """Raise a `TypeError` unless `x` holds numbers: floats, integers or booleans."""
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{who} expects {argument} to be numbers. Received dtype {x.dtype}.")


def check_same_dtype(arrays: dict[str, np.ndarray | None], who: str) -> None:
    """Raise a `TypeError` unless all arrays share one dtype."""
    found = [a.dtype for a in arrays.values() if a is not None]
    if any(dtype != found[0] for dtype in found):
        dtypes = {name: a.dtype.name for name, a in arrays.items() if a is not None}
        raise TypeError(f"{who} expects one dtype for all of its arrays. Received {dtypes}.")


class Window(NamedTuple):
    """A window's geometry along rows and columns, once the input's size is known."""

    kernel: Pair
    strides: Pair
    dilation: Pair
    before: Pair  # zeros above and left of the input
    out: Pair  # how many windows fit


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> Pair:
    """Return the zeros that "same" puts before and after `size` pixels; the odd one is after."""
    extent = (kernel - 1) * dilation + 1
    out = -(-size // stride)
    total = max((out - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def output_size(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> int:
    """Return how many windows fit along `size` pixels; 0 or less means that none does."""
    if padding == "same":
        return -(-size // stride)
    return (size - ((kernel - 1) * dilation + 1)) // stride + 1


def window(
    size: Pair, kernel: Pair, strides: Pair, padding: str, dilation: Pair, who: str
) -> Window:
    """Return the geometry of a window over an input of `size` (height, width).

    Raises a `ValueError` if no window fits, because a "valid" kernel is larger than the input, and
    if the window needs a table or a padded input that is far too large for the input.
    """
    check_extent(size, kernel, strides, padding, dilation, who)
    out = tuple(
        output_size(n, k, s, padding, d)
        for n, k, s, d in zip(size, kernel, strides, dilation, strict=True)
    )
    if min(out) < 1:
        extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        raise ValueError(
            f"{who} expects an input of at least {extent[0]}x{extent[1]} pixels, the size of its "
            f"window. Received {size[0]}x{size[1]}."
        )
    before = (0, 0)
    if padding == "same":
        rows, columns = (
            same_padding(n, k, s, d)[0]
            for n, k, s, d in zip(size, kernel, strides, dilation, strict=True)
        )
        before = rows, columns
    return Window(kernel, strides, dilation, before, (out[0], out[1]))


def transposed_output(
    size: int,
    kernel: int,
    stride: int,
    padding: str,
    dilation: int = 1,
    output_padding: int | None = None,
) -> Pair:
    """Return how many pixels a transposed convolution makes of `size`, and how many it cuts off.

    The second number counts the pixels cut off before the first pixel of the output.
    """
    extent = (kernel - 1) * dilation + 1
    whole = (size - 1) * stride + extent
    if padding == "same":
        fixed = (size - 1) * stride + extent % 2
        out = size * stride if output_padding is None else fixed + output_padding
        return out, max(whole - out, 0) // 2
    return whole + (max(stride - extent, 0) if output_padding is None else output_padding), 0


def transposed_window(
    size: Pair,
    kernel: Pair,
    strides: Pair,
    padding: str,
    dilation: Pair,
    output_padding: Pair | None,
    who: str,
) -> tuple[Window, Pair]:
    """Return the window of a transposed convolution, and the size of its output.

    The window slides over the output; `Window.out` is `size`, that of the input. Raises a
    `ValueError` for an input or output without pixels, and for a window that is far too large.
    """
    check_extent(size, kernel, strides, padding, dilation, who)
    more = (None, None) if output_padding is None else output_padding
    (height, above), (width, beside) = (
        transposed_output(n, k, s, padding, d, m)
        for n, k, s, d, m in zip(size, kernel, strides, dilation, more, strict=True)
    )
    if min(*size, height, width) < 1:
        raise ValueError(
            f"{who} expects an input with pixels that makes an output with pixels. Received "
            f"{size[0]}x{size[1]}, which makes {max(height, 0)}x{max(width, 0)}."
        )
    return Window(kernel, strides, dilation, (above, beside), size), (height, width)


def check_output_padding(value: Any, strides: Pair, who: str) -> Pair | None:
    """Return a transposed convolution's `output_padding` as a pair below its strides, or None."""
    if value is None:
        return None
    found = pair(value, "output_padding", who, minimum=0)
    if found[0] >= strides[0] or found[1] >= strides[1]:
        raise ValueError(
            f"{who} expects an output_padding smaller than its strides. "
            f"Received output_padding={found}, strides={strides}."
        )
    return found


def check_extent(
    size: Pair, kernel: Pair, strides: Pair, padding: str, dilation: Pair, who: str
) -> None:
    """Raise a `ValueError` for a window that would take too much memory.

    Some tables have an entry for each pixel of the window, and some inputs are padded. Each may
    have at most `_LARGEST_AREA` pixels, or 16 times as many as the input, if that is more.
    """
    numbers = (*kernel, *strides, *dilation)
    if max(numbers) > LARGEST_STEP:
        raise ValueError(
            f"{who} expects kernel size, strides and dilation to be at most {LARGEST_STEP}. "
            f"Received {_shortened(max(numbers))}."
        )
    most = max(_LARGEST_AREA, 16 * size[0] * size[1])
    padded = [
        n + (sum(same_padding(n, k, s, d)) if padding == "same" else 0)
        for n, k, s, d in zip(size, kernel, strides, dilation, strict=True)
    ]
    if kernel[0] * kernel[1] > most or padded[0] * padded[1] > most:
        raise ValueError(
            f"{who} has a window of {kernel[0]}x{kernel[1]} pixels, with dilation {dilation}, that "
            f'is too large for an input of {size[0]}x{size[1]} pixels with padding "{padding}".'
        )


class ReceptiveField(NamedTuple):
    """How much of the model's input one unit sees along one axis.

    A unit sees `size` pixels; its neighbour sees those `step` pixels further on (the effective
    stride); `before` of the first unit's pixels are in front of the input, in the padding.
    Through a window:  size' = size + (extent - 1) * step,   step' = step * stride,
                       before' = before + padding * step
    (Araujo et al., "Computing Receptive Fields of CNNs", Distill 2019, equations 1 to 4).

    Upsampling by n has a stride of 1 / n, and steps become fractions: unit u of its output sees
    what unit floor(u / n) of its input saw, up to `slack = step * (1 - 1/n)` before u * step'. So
    `size` and `before` grow by the slack, and a unit sees at most `size` pixels: the field is not
    `exact`.
    """

    size: int | Fraction = 1
    step: int | Fraction = 1
    before: int | Fraction = 0
    exact: bool = True  # whether each unit sees all of `size`

    def through(
        self,
        kernel: int | Fraction,
        stride: int | Fraction,
        dilation: int = 1,
        padding: int | Fraction = 0,
    ) -> "ReceptiveField":
        slack = self.step * max(1 - stride, 0)
        return ReceptiveField(
            self.size + (kernel - 1) * dilation * self.step + slack,
            self.step * stride,
            self.before + padding * self.step + slack,
            self.exact and not slack,
        )

    @property
    def window(self) -> tuple[int | Fraction, int | Fraction]:
        """Return the kernel and stride with which `through` leads from one pixel to this field."""
        return self.size - max(1 - self.step, 0), self.step

    @property
    def most(self) -> int:
        """Return how many whole pixels a unit sees, or, if not `exact`, sees at most."""
        return math.floor(self.size)

    def pixels(self, unit: int) -> tuple[int, int]:
        """Return the first and the last pixel that a unit sees; those below 0 are padding."""
        first = unit * self.step - self.before
        return math.ceil(first), math.floor(first + self.size - 1)
