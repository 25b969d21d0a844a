"""`plot_model` draws each use of a layer once, in rows, with lines beside the boxes."""

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
        (lambda: utils.plot_model(branched(), None, dpi=3), ValueError, r"Received dpi=3"),
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
