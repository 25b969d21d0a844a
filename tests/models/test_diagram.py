"""`plot_model` draws each use of a layer once, in rows, with lines beside the boxes."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from minicnn import Input, Model, Sequential, layers, utils


def branched() -> Model:
    inputs = Input((8, 8, 3), name="photo")
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.ReLU(name="relu")(x)
    x = layers.Add(name="sum")([x, inputs])
    return Model(inputs, layers.Flatten(name="flat")(x))


def parts(drawing: str, kind: str) -> list[Any]:
    return list(ElementTree.fromstring(drawing).iter(f"{{http://www.w3.org/2000/svg}}{kind}"))


def boxes(drawing: str) -> list[tuple[float, float, float, float]]:
    keys = ("x", "y", "width", "height")
    return [tuple(float(part.get(key)) for key in keys) for part in parts(drawing, "rect")]  # type: ignore[misc]


def test_boxes_are_in_rows_and_lines_pass_beside_them() -> None:
    drawing = utils.plot_model(branched(), None)
    said = [part.text for part in parts(drawing, "text")]
    assert said == ["InputLayer", "Conv2D", "ReLU", "Add", "Flatten"]
    found = boxes(drawing)
    tops = [y for _, y, _, _ in found]
    assert tops == sorted(set(tops)), "each in a row of its own"
    # 5 boxes, 5 lines of which one passes two rows: 7 pieces, 5 of them with a point.
    paths = [part.get("d") for part in parts(drawing, "path")]
    assert len(paths) == 7
    assert sum("l4 7l4 -7" in path for path in paths) == 5
    for path in paths:
        if "V" not in path:
            continue
        x, end = map(float, re.findall(r"(\S+) \S+V(\S+)$", path)[0])
        for left, top, width, height in found:
            assert not (left <= x <= left + width and top < end <= top + height)


def test_what_boxes_say() -> None:
    model = branched()
    model.get_layer("conv").trainable = False
    drawing = utils.plot_model(
        model,
        None,
        show_shapes=True,
        show_dtype=True,
        show_layer_names=True,
        show_layer_activations=True,
        show_trainable=True,
    )
    said = [part.text for part in parts(drawing, "text")]
    assert said[:3] == ["photo (InputLayer)", "out: (None, 8, 8, 3)", "dtype: float32"]
    assert said[3:9] == [
        "conv (Conv2D)",
        "activation: relu",
        "in: (None, 8, 8, 3)",
        "out: (None, 8, 8, 3)",
        "dtype: float32",
        "frozen",
    ]
    assert "in: (None, 8, 8, 3), (None, 8, 8, 3)" in said


def test_sideways_rows_are_columns() -> None:
    drawing = utils.plot_model(branched(), None, rankdir="LR")
    found = boxes(drawing)
    lefts = [x for x, _, _, _ in found]
    assert lefts == sorted(set(lefts)), "each in a column of its own"
    for (x, _, width, _), (after, _, _, _) in itertools.pairwise(found):
        assert x + width < after
    paths = [part.get("d") for part in parts(drawing, "path")]
    assert sum("l7 4l-7 4" in path for path in paths) == 5
    for path in paths:
        if "H" not in path:
            continue
        y, end = map(float, re.findall(r" (\S+)H(\S+)$", path)[0])
        for left, top, width, height in found:
            assert not (top <= y <= top + height and left < end <= left + width)
    x, y, width, height = map(float, ElementTree.fromstring(drawing).get("viewBox", "").split())
    for left, top, wide, high in found:
        assert x <= left
        assert y <= top
        assert left + wide <= x + width
        assert top + high <= y + height


def test_a_nested_model_is_a_box_or_its_layers() -> None:
    inner_input = Input((4,))
    inner = Sequential([Input((3,)), layers.Dense(3, name="deep")], name="deepest")
    middle = layers.Dense(3, name="first")(inner_input)
    base = Model(inner_input, inner(middle), name="base")
    one, two = Input((4,)), Input((4,))
    model = Model([one, two], layers.Add(name="sum")([base(one), base(two)]))
    closed = utils.plot_model(model, None)
    assert [part.text for part in parts(closed, "text")].count("Model") == 2
    drawing = utils.plot_model(model, None, expand_nested=True, show_layer_names=True)
    said = [part.text for part in parts(drawing, "text")]
    assert said.count("deep (Dense)") == said.count("first (Dense)") == 2  # each use of the base
    assert said.count("in base/deepest") == 4  # its input, too
    assert said.count("in base") == 4
    assert said.count("sum (Add)") == 1
    assert "base (Model)" not in said
    paths = [part.get("d") for part in parts(drawing, "path")]
    assert len(paths) == 10  # two chains of five boxes below the inputs
    assert drawing.count("#fdf3e3") == 8


def test_dpi_is_the_size_at_which_it_is_shown() -> None:
    whole = ElementTree.fromstring(utils.plot_model(branched(), None))
    half = ElementTree.fromstring(utils.plot_model(branched(), None, dpi=100))
    assert half.get("viewBox") == whole.get("viewBox")
    for side in ("width", "height"):
        assert float(half.get(side, "")) == float(whole.get(side, "")) / 2


def test_it_is_written_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "model.svg"
    drawing = utils.plot_model(branched(), path)
    assert path.read_text("utf-8") == drawing == drawing._repr_svg_()
    assert [file.name for file in tmp_path.iterdir()] == ["model.svg"]


def test_a_name_is_text_and_nothing_else() -> None:
    model = Sequential([Input((2,)), layers.Dense(2, name="<script>&\x1b[31m")])
    drawing = utils.plot_model(model, None, show_layer_names=True)
    assert "<script>" not in drawing
    assert "\x1b" not in drawing
    assert "&lt;script&gt;&amp;" in drawing
    assert len(parts(drawing, "rect")) == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: utils.plot_model(branched(), "model.png"),
            ValueError,
            r'end in "\.svg"\. Received',
        ),
        (lambda: utils.plot_model(branched(), None, dpi=0), ValueError, r"above 0\. Received 0"),
        (
            lambda: utils.plot_model(branched(), None, rankdir="BT"),
            ValueError,
            r"\"TB\" or \"LR\"\. Received 'BT'",
        ),
        (
            lambda: utils.plot_model(branched(), None, splines="line"),
            ValueError,
            "Received splines='line'",
        ),
        (lambda: utils.plot_model(3), TypeError, "expects a model. Received int"),
        (
            lambda: utils.plot_model(Sequential([layers.Dense(2)]), None),
            ValueError,
            "start it with an Input",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
