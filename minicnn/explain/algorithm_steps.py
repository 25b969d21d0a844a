"""Computes one convolution by three algorithms: loops, a matrix product, and Winograd's.

    lesson = convolution_steps(x, w, b, algorithm="winograd")
    print(lesson)                      # every intermediate array, with the formula that makes it
    print(compare_algorithms(x, w))    # operations, memory and rounding of each

This is plain NumPy, easy to read; the fast twins are in `minicnn.kernels`. x is (batch, height,
width, channels), w (rows, columns, channels, filters).

**What is counted.** `multiplications` counts those of pixels by weights: the work that grows with
channels times filters. Places of the window on padding count, too, since the fast kernels also
multiply there. `transform_multiplications` are Winograd's, by constants such as 4 or 1/6; each
involves only one image or one kernel. `additions` are all additions and subtractions.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minicnn import shapes
from minicnn.explain import show
from minicnn.shapes import Pair

Array = np.ndarray

# -- Winograd's three matrices, F(4x4, 3x3) -------------------------------------------------------
#
# A tile y of 4x4 outputs comes from a patch d of 6x6 pixels and a kernel g of 3x3 weights:
#
#     y = AT [(G g GT) * (BT d B)] A           * multiplies element by element
#
# The rows of G and BT evaluate a polynomial at 0, 1, -1, 2, -2 and infinity.

G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
BT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    float,
)
AT = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ],
    float,
)

# (multiplications, additions) for one 6x6 patch, one 3x3 kernel and one 4x4 tile, if the matrices
# are applied as sums with shared parts, as in `minicnn.kernels.winograd`.
PATCH_COST, KERNEL_COST, TILE_COST = (84, 144), (54, 54), (30, 100)

ALGORITHMS = ("loops", "im2col", "winograd")
_ROWS, _COLUMNS = 16, 12  # matrices up to this size are printed in full, larger ones in part


class Step(NamedTuple):
    """An intermediate array and its formula; `shown` is the part of it that `cut` names."""

    title: str
    formula: str
    array: Array
    cut: str
    shown: Array


@dataclass(frozen=True)
class Lesson:
    """One algorithm, step by step; the module's docstring explains the counts.

    `y` is the result; `memory` is the size in bytes of the arrays between x, w and y.
    """

    algorithm: str
    steps: tuple[Step, ...]
    y: Array
    multiplications: int
    transform_multiplications: int
    additions: int
    memory: int

    def __getitem__(self, title: str) -> Step:
        for step in self.steps:
            if step.title == title:
                return step
        raise KeyError(f"No step {title!r}: {[step.title for step in self.steps]}.")

    @property
    def title(self) -> str:
        return f"A convolution as {_NAMES[self.algorithm]}"

    def costs(self) -> str:
        """Return the counts as a sentence."""
        constants = ""
        if self.transform_multiplications:
            constants = f", {self.transform_multiplications:,} by constants"
        memory = f"{self.memory:,} bytes between input and output" if self.memory else "no memory"
        return (
            f"{self.multiplications:,} multiplications of pixels by weights{constants}, "
            f"{self.additions:,} additions, {memory}."
        )

    def __str__(self) -> str:
        lines = [self.title]
        for number, step in enumerate(self.steps, 1):
            lines += ["", f"{number}. {step.title}", f"   {step.formula}", ""]
            lines += [f"    {_heading(step)}", *show.columns(_cells(_tidy(step.shown)), 0)]
        return show.joined([*lines, "", self.costs()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = []
        for number, step in enumerate(self.steps, 1):
            parts += [show.html_text(f"{number}. {step.title}"), show.html_formula(step.formula)]
            corner = _tidy(step.shown)[:_ROWS, :_COLUMNS]
            parts.append(show.html_grid(_heading(step), corner, show.scale_of(step.shown)))
        return show.html_block(self.title, [*parts, show.html_text(self.costs())])


_NAMES = {
    "loops": "loops",
    "im2col": "one matrix product (im2col)",
    "winograd": "Winograd's F(4×4, 3×3)",
}


def _heading(step: Step) -> str:
    text = f"{step.cut}, of shape {_by(step.array.shape)}" if step.cut else _by(step.array.shape)
    rows, columns = step.shown.shape
    if rows > _ROWS or columns > _COLUMNS:
        text += f"; the corner of {rows}×{columns}"
    return text


def _by(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _tidy(matrix: Array) -> Array:
    """Replace rounding errors by the exact 0, for legibility."""
    least = 8 * np.finfo(matrix.dtype).eps * show.scale_of(matrix)
    tidy: Array = np.where(np.abs(matrix) < least, 0, matrix)
    return tidy


def _cells(matrix: Array) -> list[list[str]]:
    """Return the numbers as text; of a large matrix, its corner, with dots."""
    down, across = matrix.shape[0] > _ROWS, matrix.shape[1] > _COLUMNS
    rows = [[show.number(v) for v in row[:_COLUMNS]] + ["…"] * across for row in matrix[:_ROWS]]
    return rows + [["…"] * len(rows[0])] * down


# -- the lessons ----------------------------------------------------------------------------------


def convolution_steps(
    x: Array,
    w: Array,
    b: Array | None = None,
    algorithm: str = "loops",
    strides: Any = (1, 1),
    padding: str = "valid",
    dilation_rate: Any = (1, 1),
) -> Lesson:
    """Convolve x with w, plus b, by one `algorithm`, and keep all intermediate arrays.

    `"winograd"` is for 3×3 kernels with strides of 1 and without dilation. The arguments are those
    of `minicnn.functional.conv2d`; for groups, call this once per group.

    Raises:
        TypeError: the arrays are not all float32 or all float64.
        ValueError: the shapes do not fit, or `algorithm` is unknown or cannot do this.
    """
    algorithm = shapes.choice(algorithm, ALGORITHMS, "algorithm", "convolution_steps")
    how = _checked(x, w, b, strides, padding, dilation_rate, "convolution_steps")
    reason = _why_not(algorithm, how)
    if reason:
        raise ValueError(f'algorithm="winograd" {reason}. "loops" and "im2col" take any.')
    lesson: Lesson = {"loops": _loops, "im2col": _im2col, "winograd": _winograd}[algorithm](
        x, w, b, how
    )
    return lesson


def _checked(
    x: Array, w: Array, b: Array | None, strides: Any, padding: str, dilation_rate: Any, who: str
) -> shapes.Window:
    shapes.check_array(x, 4, "x", who)
    shapes.check_array(w, 4, "w", who)
    if b is not None:
        shapes.check_array(b, 1, "b", who)
        shapes.check_shape(b, (w.shape[3],), "b", who)
    shapes.check_same_dtype({"x": x, "w": w, "b": b}, who)
    if x.shape[3] != w.shape[2]:
        raise ValueError(
            f"{who} expects as many channels in x as in w. "
            f"Received x.shape={x.shape}, w.shape={w.shape}."
        )
    if 0 in x.shape or 0 in w.shape:
        raise ValueError(
            f"{who} expects at least one number in each array. "
            f"Received x.shape={x.shape}, w.shape={w.shape}."
        )
    return shapes.window(
        (x.shape[1], x.shape[2]),
        (w.shape[0], w.shape[1]),
        shapes.pair(strides, "strides", who),
        shapes.choice(padding, ("valid", "same"), "padding", who),
        shapes.pair(dilation_rate, "dilation_rate", who),
        who,
    )


def _why_not(algorithm: str, how: shapes.Window) -> str:
    """Return why Winograd's algorithm cannot do this convolution; an empty text if it can."""
    if algorithm != "winograd":
        return ""
    if how.kernel != (3, 3):
        return f"is F(4×4, 3×3), for 3×3 kernels; this one is {_by(how.kernel)}"
    if how.strides != (1, 1) or how.dilation != (1, 1):
        return (
            "needs strides and dilation_rate of 1. "
            f"Received strides={how.strides}, dilation_rate={how.dilation}"
        )
    return ""


def _padded(x: Array, how: shapes.Window, size: Pair) -> Array:
    """Pad x with zeros to `size` pixels."""
    sides = [(b, max(0, s - n - b)) for b, s, n in zip(how.before, size, x.shape[1:3])]
    padded: Array = np.pad(x, ((0, 0), *sides, (0, 0)))
    return padded[:, : size[0], : size[1]]


def _reach(how: shapes.Window) -> Pair:
    """Return how many padded pixels the windows cover, in rows and in columns."""
    rows, columns = (
        (out - 1) * stride + (kernel - 1) * dilation + 1
        for out, stride, kernel, dilation in zip(how.out, how.strides, how.kernel, how.dilation)
    )
    return rows, columns


def _patch(padded: Array, how: shapes.Window, oy: int, ox: int) -> Array:
    """Return the pixels in the window of output (oy, ox), as (batch, rows, columns, channels)."""
    rows, columns = (
        slice(o * stride, o * stride + (kernel - 1) * dilation + 1, dilation)
        for o, stride, kernel, dilation in zip((oy, ox), how.strides, how.kernel, how.dilation)
    )
    return padded[:, rows, columns]


def _under_tap(padded: Array, how: shapes.Window, i: int, j: int) -> Array:
    """Return the pixel under tap (i, j) of all windows: (batch, rows, columns, channels)."""
    rows, columns = (
        slice(tap * dilation, tap * dilation + (out - 1) * stride + 1, stride)
        for tap, dilation, out, stride in zip((i, j), how.dilation, how.out, how.strides)
    )
    return padded[:, rows, columns]


def _places(how: shapes.Window) -> Iterator[tuple[int, int]]:
    for oy in range(how.out[0]):
        for ox in range(how.out[1]):
            yield oy, ox


def _start_formula(how: shapes.Window) -> str:
    """Return the index of p under tap (i, j) of output (oy, ox)'s window, as a formula."""
    parts = [
        f"o{axis}{f'·{stride}' if stride > 1 else ''} + "
        f"{name}{f'·{dilation}' if dilation > 1 else ''}"
        for axis, name, stride, dilation in zip("yx", "ij", how.strides, how.dilation)
    ]
    return f"[{', '.join(parts)}, c]"


def _first_steps(padded: Array, size: Sequence[int], how: shapes.Window) -> list[Step]:
    behind = [p - n - before for p, n, before in zip(padded.shape[1:3], size, how.before)]
    formula = "p = x"
    if max(*how.before, *behind) > 0:
        (above, left), (below, right) = how.before, (max(0, n) for n in behind)
        formula += f" with zeros: {above} above, {below} below, {left} left, {right} right"
    return [Step("The padded input", formula, padded, "p[0, :, :, 0]", padded[0, :, :, 0])]


def _plus_bias(b: Array | None) -> str:
    return " + b[o]" if b is not None else ""


def _sums(x: Array, w: Array, how: shapes.Window, bias: bool) -> tuple[int, int]:
    """Return the (multiplications, additions) that the definition takes."""
    outputs = len(x) * math.prod(how.out) * w.shape[3]
    terms = math.prod(w.shape[:3])
    return outputs * terms, outputs * (terms - 1 + bias)


def _loops(x: Array, w: Array, b: Array | None, how: shapes.Window) -> Lesson:
    padded = _padded(x, how, _reach(how))
    y = np.zeros((len(x), *how.out, w.shape[3]), x.dtype)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            for c in range(w.shape[2]):
                # This computes all places at once, but each adds its products in the loops' order.
                y += _under_tap(padded, how, i, j)[..., c, None] * w[i, j, c]
    y = y if b is None else y + b
    first = _patch(padded, how, 0, 0)
    products = first[..., None] * w
    steps = [
        *_first_steps(padded, x.shape[1:3], how),
        Step(
            "The kernel", "w[i, j, c, o]: for filter o, one weight for each pixel of the window",
            w, "w[:, :, 0, 0]", w[:, :, 0, 0],
        ),
        Step(
            "The window of the first output", f"p{_start_formula(how)} at oy = ox = 0",
            first, "[0, :, :, 0]", first[0, :, :, 0],
        ),
        Step(
            "Its products with filter 0", f"p{_start_formula(how)} · w[i, j, c, 0]",
            products[..., 0], "[0, :, :, 0]", products[0, :, :, 0, 0],
        ),
        Step(
            "The output",
            f"y[oy, ox, o] = Σ over i, j, c of p{_start_formula(how)} · w[i, j, c, o]"
            f"{_plus_bias(b)}",
            y, "y[0, :, :, 0]", y[0, :, :, 0],
        ),
    ]  # fmt: skip
    multiplications, additions = _sums(x, w, how, b is not None)
    return Lesson("loops", tuple(steps), y, multiplications, 0, additions, 0)


def _im2col(x: Array, w: Array, b: Array | None, how: shapes.Window) -> Lesson:
    padded = _padded(x, how, _reach(how))
    patches = np.stack([_patch(padded, how, oy, ox) for oy, ox in _places(how)], axis=1)
    matrix = patches.reshape(len(x) * math.prod(how.out), -1)
    kernel = w.reshape(-1, w.shape[3])
    product = matrix @ kernel
    with_bias = product if b is None else product + b
    y = with_bias.reshape(len(x), *how.out, w.shape[3])
    steps = [
        *_first_steps(padded, x.shape[1:3], how),
        Step(
            "The matrix of patches",
            "C[place, (i, j, c)]: each row has the pixels in the window at one place",
            matrix, "C", matrix,
        ),
        Step(
            "The kernel as a matrix", "W[(i, j, c), o]: one column for each filter",
            kernel, "W", kernel,
        ),
        Step(
            "The matrix product",
            f"Y = C W{' + b' if b is not None else ''}: row times column is window times filter",
            with_bias, "Y", with_bias,
        ),
        Step(
            "The output", "y[oy, ox, o]: the rows of Y laid out as an image again",
            y, "y[0, :, :, 0]", y[0, :, :, 0],
        ),
    ]  # fmt: skip
    multiplications, additions = _sums(x, w, how, b is not None)
    return Lesson("im2col", tuple(steps), y, multiplications, 0, additions, matrix.nbytes)


def _winograd(x: Array, w: Array, b: Array | None, how: shapes.Window) -> Lesson:
    g, bt, at = (matrix.astype(x.dtype) for matrix in (G, BT, AT))
    down, across = (-(-out // 4) for out in how.out)
    padded = _padded(x, how, (4 * down + 2, 4 * across + 2))
    # 6x6 patches, four pixels apart, as (batch, tiles, 6, 6, channels).
    corners = [(4 * row, 4 * column) for row in range(down) for column in range(across)]
    d = np.stack([padded[:, r : r + 6, c : c + 6] for r, c in corners], axis=1)
    u = np.einsum("pi,ijco,qj->pqco", g, w, g)
    v = np.einsum("pi,ntijc,qj->ntpqc", bt, d, bt)
    m = np.einsum("ntpqc,pqco->ntpqo", v, u)
    tiles = np.einsum("ip,ntpqo,jq->ntijo", at, m, at)
    whole = tiles.reshape(len(x), down, across, 4, 4, w.shape[3]).swapaxes(2, 3)
    y = whole.reshape(len(x), 4 * down, 4 * across, -1)[:, : how.out[0], : how.out[1]]
    y = np.ascontiguousarray(y if b is None else y + b)
    channels, filters = w.shape[2:]
    steps = [
        *_first_steps(padded, x.shape[1:3], how),
        Step("The kernel", "g = w[:, :, c, o]", w, "w[:, :, 0, 0]", w[:, :, 0, 0]),
        Step("The matrix G", "3 weights to the 6 points 0, 1, −1, 2, −2, ∞", g, "G", g),
        Step("The transformed kernel", "u = G g Gᵀ", u, "u[:, :, c=0, o=0]", u[:, :, 0, 0]),
        Step(
            "A patch", "d: 6×6 pixels for 4×4 outputs; patches are 4 pixels apart and overlap",
            d, "d[tile 0, :, :, c=0]", d[0, 0, :, :, 0],
        ),
        Step("The matrix Bᵀ", "6 pixels to the same points", bt, "Bᵀ", bt),
        Step("The transformed patch", "v = Bᵀ d B", v, "v[tile 0, :, :, c=0]", v[0, 0, :, :, 0]),
        Step(
            "The products",
            f"m = Σ over {show.count(channels, 'channel')} c of u · v, point by point: "
            "36 multiplications for 16 outputs, where the sum takes 144",
            m, "m[tile 0, :, :, o=0]", m[0, 0, :, :, 0],
        ),
        Step("The matrix Aᵀ", "6 points to 4 outputs", at, "Aᵀ", at),
        Step(
            "A tile of outputs", "y = Aᵀ m A", tiles, "[tile 0, :, :, o=0]", tiles[0, 0, :, :, 0]
        ),
        Step(
            "The output",
            "the tiles side by side"
            + (", cut to size" if (4 * down, 4 * across) != how.out else "")
            + (", plus b[o]" if b is not None else ""),
            y, "y[0, :, :, 0]", y[0, :, :, 0],
        ),
    ]  # fmt: skip
    count = len(x) * down * across
    constants, additions = (
        count * channels * patch + channels * filters * kernel + count * filters * tile
        for patch, kernel, tile in zip(PATCH_COST, KERNEL_COST, TILE_COST)
    )
    additions += 36 * count * filters * (channels - 1)
    if b is not None:
        additions += y.size
    return Lesson(
        "winograd",
        tuple(steps),
        y,
        36 * count * channels * filters,
        constants,
        additions,
        u.nbytes + v.nbytes + m.nbytes,
    )


# -- side by side ---------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """The costs and rounding of one algorithm in float32.

    `from_loops` is the largest difference from the loops, `from_exact` from the loops in float64.
    """

    algorithm: str
    multiplications: int
    transform_multiplications: int
    additions: int
    memory: int
    from_loops: float
    from_exact: float


class Comparisons:
    """The result of `compare_algorithms`: its `rows`, or `["winograd"]` alone; it prints a table.

    `left_out` says why an algorithm is missing. `scale` is the largest |y|.
    """

    def __init__(
        self, title: str, rows: list[Comparison], left_out: dict[str, str], scale: float
    ) -> None:
        self.title, self.rows, self.left_out, self.scale = title, rows, left_out, scale

    def __getitem__(self, algorithm: str) -> Comparison:
        for row in self.rows:
            if row.algorithm == algorithm:
                return row
        raise KeyError(f"No algorithm {algorithm!r}: {[row.algorithm for row in self.rows]}.")

    _HEADER = (
        "algorithm", "multiplications", "by constants", "additions", "memory between",
        "from the loops", "from float64",
    )  # fmt: skip

    def _cells(self) -> list[list[str]]:
        return [
            [
                row.algorithm,
                f"{row.multiplications:,}",
                f"{row.transform_multiplications:,}",
                f"{row.additions:,}",
                f"{row.memory:,} bytes",
                f"{row.from_loops:.1e}",
                f"{row.from_exact:.1e}",
            ]
            for row in self.rows
        ]

    def _sentences(self) -> list[str]:
        said = [
            "Largest differences in float32, from the loops and from the loops in float64; |y| is "
            f"at most {show.number(self.scale)}."
        ]
        return said + [f"No {name}: it {reason}." for name, reason in self.left_out.items()]

    def __str__(self) -> str:
        table = show.columns([list(self._HEADER), *self._cells()], 1, "  ")
        return show.joined([self.title, "", *table, "", *self._sentences()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = show.html_table(self._HEADER, self._cells())
        return show.html_block(self.title, [table, *map(show.html_text, self._sentences())])


def compare_algorithms(
    x: Array,
    w: Array,
    b: Array | None = None,
    strides: Any = (1, 1),
    padding: str = "valid",
    dilation_rate: Any = (1, 1),
) -> Comparisons:
    """Compare the algorithms' operations, memory and rounding on one convolution, in float32.

    An algorithm that cannot compute it is left out, and `left_out` says why. Fewer operations are
    not always faster: `python -m benchmarks` measures the time.

    Raises `TypeError` and `ValueError` like `convolution_steps`.
    """
    who = "compare_algorithms"
    how = _checked(x, w, b, strides, padding, dilation_rate, who)
    x, w = x.astype(np.float32), w.astype(np.float32)
    b = None if b is None else b.astype(np.float32)
    wide = None if b is None else b.astype(np.float64)
    exact = _loops(x.astype(np.float64), w.astype(np.float64), wide, how).y
    reasons = {name: _why_not(name, how) for name in ALGORITHMS}
    lessons = [
        convolution_steps(x, w, b, name, strides, padding, dilation_rate)
        for name, reason in reasons.items()
        if not reason
    ]
    rows = [
        Comparison(
            lesson.algorithm,
            lesson.multiplications,
            lesson.transform_multiplications,
            lesson.additions,
            lesson.memory,
            _largest(lesson.y, lessons[0].y),
            _largest(lesson.y, exact),
        )
        for lesson in lessons
    ]
    left_out = {name: reason for name, reason in reasons.items() if reason}
    title = f"x {_by(x.shape)}, w {_by(w.shape)}, y {_by(exact.shape)}, in float32"
    return Comparisons(title, rows, left_out, float(np.abs(exact).max()))


def _largest(a: Array, b: Array) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
