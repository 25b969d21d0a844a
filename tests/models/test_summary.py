"""`summary()` prints the numbers computed by hand, for chains, branches and nested models."""

import re
from typing import Any

import pytest

from minicnn import Input, Model, Sequential, layers
from minicnn._support.terminal import bytes_text


def lines(model: Model, width: int | None = None) -> list[str]:
    found: list[str] = []
    model.summary(line_length=width, print_fn=found.append)
    return found


def cells(model: Model) -> list[list[str]]:
    """Return the body of the table as it is printed."""
    rows = [[c.strip() for c in line.split("│")[1:-1]] for line in lines(model) if "│" in line]
    return rows


def small() -> Model:
    return Sequential(
        [
            Input((32, 30, 3)),
            layers.Conv2D(32, 3),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(10, "softmax"),
        ]
    )


def test_every_cell_of_a_chain() -> None:
    """One unit sees 3 pixels of the image, then 3 + 1, then 4 + 2·2."""
    assert cells(small()) == [
        ["input_layer (InputLayer)", "(None, 32, 30, 3)", "0", "", "0", "1x1"],
        ["conv2d (Conv2D)", "(None, 30, 28, 32)", "896", "(3·3·3+1)·32", "725,760", "3x3"],
        ["max_pooling2d (MaxPooling2D)", "(None, 15, 14, 32)", "0", "", "0", "4x4"],
        ["conv2d_1 (Conv2D)", "(None, 8, 7, 8)", "2,304", "(3·3·32)·8", "129,024", "8x8"],
        ["batch_normalization (BatchNormalization)", "(None, 8, 7, 8)", "32", "4·8", "0", "8x8"],
        [
            "global_average_pooling2d (GlobalAveragePooling2D)",
            "(None, 8)",
            "0",
            "",
            "0",
            "all",
        ],
        ["dropout (Dropout)", "(None, 8)", "0", "", "0", "all"],
        ["dense (Dense)", "(None, 10)", "90", "(8+1)·10", "80", "all"],
    ]


def test_the_totals() -> None:
    text = "\n".join(lines(small()))
    assert "Total params: 3,322 (12.98 KB)" in text
    assert "Trainable params: 3,306 (12.91 KB)" in text
    assert "Non-trainable params: 16 (64.00 B)" in text
    # Only those of convolutions and dense layers count: they are what a network costs.
    assert "Multiply-adds per example: 854,864" in text
    double = Sequential([Input((3,), dtype="float64"), layers.Dense(2, dtype="float64")])
    assert "Total params: 8 (64.00 B)" in "\n".join(lines(double))


def test_a_branch_says_what_it_is_connected_to() -> None:
    x = Input((8, 8, 4), name="photo")
    a = layers.Conv2D(4, 3, padding="same", name="left")(x)
    b = layers.Conv2D(4, (1, 5), padding="same", name="right")(x)
    y = layers.Add(name="sum")([a, b])
    rows = {row[0].split(" ")[0]: row for row in cells(Model(x, y))}
    assert rows["sum"][-1] == "left, right"
    assert rows["left"][-1] == "photo"
    assert rows["sum"][-2] == "3x5", "the largest of what came in"
    assert any("Connected to" in line for line in lines(Model(x, y)))
    assert not any("Connected to" in line for line in lines(small()))


def test_a_layer_used_twice_counts_once() -> None:
    x, shared = Input((4,)), layers.Dense(4)
    model = Model(x, shared(shared(x)))
    assert [row[2] for row in cells(model)] == ["0", "20", "0"]
    assert "Total params: 20 " in "\n".join(lines(model))


def test_a_nested_model_is_one_line() -> None:
    base = Sequential([Input((8, 8, 3)), layers.Conv2D(2, 3), layers.Conv2D(2, 3)], name="base")
    base.trainable = False
    model = Sequential([Input((8, 8, 3)), base, layers.Flatten()])
    row = cells(model)[1]
    assert row[0] == "base (Sequential) (frozen)"
    assert row[1:3] == ["(None, 4, 4, 2)", "94"]
    assert row[4] == f"{6 * 6 * 27 * 2 + 4 * 4 * 18 * 2:,}"
    assert row[5] == "5x5"
    assert "Trainable params: 0 " in "\n".join(lines(model))
    base.layers[-1].trainable = True
    assert cells(model)[1][0] == "base (Sequential) (partly frozen)"
    assert "Trainable params: 38 " in "\n".join(lines(model))


def test_unknown_sizes_and_unknown_costs() -> None:
    x = Input((None, None, 3))
    model = Model(x, layers.Conv2D(2, 3)(x))
    assert cells(model)[-1][1] == "(None, None, None, 2)"
    assert cells(model)[-1][4] == "?"
    assert "Multiply-adds per example: unknown" in "\n".join(lines(model))


def test_brackets_in_a_name_are_not_markup() -> None:
    model = Sequential([Input((3,)), layers.Dense(2, name="a[bold]b")])
    assert cells(model)[1][0] == "a[bold]b (Dense)"


def test_a_narrow_table_loses_nothing() -> None:
    assert all(len(line) <= 80 for line in lines(small(), 80))
    squeezed = "".join(re.sub(r"[│\s]", "", line) for line in lines(small(), 80))
    for text in ("(3·3·3+1)·32", "725,760", "3,322"):
        assert text in squeezed


def test_it_prints_without_print_fn(capsys: pytest.CaptureFixture[str]) -> None:
    small().summary()
    out = capsys.readouterr().out
    assert 'Model: "sequential"' in out
    assert "(3·3·3+1)·32" in out
    assert "\x1b[" not in out, "colours are for terminals"


def test_keras_s_other_arguments_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"layer_range=\['a', 'b'\]\. It takes line_len"):
        small().summary(layer_range=["a", "b"])
    small().summary(layer_range=None, print_fn=len)


def nested() -> Model:
    inner = Sequential(
        [Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="relu")], name="inner"
    )
    inner.trainable = False
    inputs = Input((10, 10, 3), name="photo")
    x = layers.Cropping2D(1, name="crop")(inputs)
    x = layers.Flatten(name="flat")(inner(x))
    return Model(inputs, layers.Dense(2, name="head")(x), name="outer")


def test_the_layers_of_a_nested_model_follow_it() -> None:
    """What they see begins with the nested model's input; the totals count them once."""
    found: list[str] = []
    nested().summary(print_fn=found.append, expand_nested=True, show_trainable=True)
    body = [[c.strip() for c in line.split("│")[1:-1]] for line in found if "│" in line]
    assert [row[3] for row in body if row[3]] == ["see below", "(3·3·3+1)·4", "(144+1)·2"]
    assert [(row[0].partition(" (")[0], *row[2:3], *row[5:]) for row in body] == [
        ("photo", "0", "1x1", "-"),
        ("crop", "0", "1x1", "-"),
        ("inner", "112", "3x3", "N"),
        ("└ input_layer", "0", "1x1", "-"),
        ("└ conv", "112", "3x3", "N"),
        ("└ relu", "0", "3x3", "-"),
        ("flat", "0", "all", "-"),
        ("head", "290", "all", "Y"),
    ]
    assert found[-4:-1] == lines(nested())[-4:-1]
    assert found[-4].startswith(" Total params: 402 ")
    assert found[-1] == " Multiply-adds per example: 4,176"  # 6·6·(3·3·3)·4 + 144·2


def test_a_nested_model_that_is_used_twice_counts_once() -> None:
    inner = Sequential([Input((4,)), layers.Dense(4, name="dense")], name="inner")
    inputs = Input((4,), name="given")
    model = Model(inputs, layers.Add(name="sum")([inner(inputs), inner(inner(inputs))]))
    found: list[str] = []
    model.summary(print_fn=found.append, expand_nested=True)
    body = [[c.strip() for c in line.split("│")[1:-1]] for line in found if "│" in line]
    counts = [row[2] for row in body if row[0].startswith("└ dense")]
    assert sorted(counts, reverse=True) == ["20", "0", "0"]
    assert all(len(row) == 7 for row in body), "what is connected to what"


def test_a_model_without_shapes_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="start it with an Input, or call it on data"):
        Sequential([layers.Dense(2)]).summary()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0.00 B"),
        (1023, "1023.00 B"),
        (1024, "1.00 KB"),
        (3 * 2**20, "3.00 MB"),
        (2**41, "2048.00 GB"),
    ],
)
def test_bytes_are_written_for_people(count: int, text: str) -> None:
    assert bytes_text(count) == text


def windows() -> list[tuple[str, list[Any], str]]:
    conv, pool = layers.Conv2D, layers.MaxPooling2D
    return [
        ("three 3x3 see 7", [conv(1, 3), conv(1, 3), conv(1, 3)], "7x7"),
        ("a stride widens what follows", [conv(1, 3, 2), conv(1, 3, 2), conv(1, 3)], "15x15"),
        ("dilation", [conv(1, 3, dilation_rate=4)], "9x9"),
        ("one by one", [conv(1, 1), pool(2), conv(1, 1)], "2x2"),
        ("another height than width", [conv(1, (1, 5)), pool((3, 1))], "3x5"),
        ("padding sees nothing", [layers.ZeroPadding2D(3), conv(1, 3)], "3x3"),
        (
            "three pixels of a block and its neighbour",
            [layers.UpSampling2D(2), conv(1, 3)],
            "≤ 2x2",
        ),
        (
            "a nested model that makes pictures larger",
            [Sequential([Input((40, 40, 1)), conv(1, 3), layers.UpSampling2D((1, 3))]), conv(1, 4)],
            "≤ 6x4",
        ),
        ("flatten sees all", [layers.Flatten()], "all"),
    ]


@pytest.mark.parametrize("case", windows(), ids=lambda case: case[0])
def test_receptive_fields_by_hand(case: tuple[str, list[Any], str]) -> None:
    model = Sequential([Input((40, 40, 1)), *case[1]])
    assert cells(model)[-1][5] == case[2]


def test_the_cost_of_a_nested_model_depends_on_its_input() -> None:
    base = Sequential([Input((None, None, 3)), layers.Conv2D(4, 3, padding="same")], name="base")
    inputs = Input((10, 6, 3))
    model = Model(inputs, layers.MaxPooling2D()(base(inputs)))
    assert base.multiply_adds((None, 10, 6, 3)) == 10 * 6 * 3 * 3 * 3 * 4
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert any("Multiply-adds per example: 6,480" in line for line in lines)


def test_a_notebook_gets_the_table_and_all_sums_as_two_outputs(monkeypatch):
    """It puts space around each output, so five of them would be far apart."""
    printed = []
    monkeypatch.setattr("rich.console.Console.print", lambda self, what, **_: printed.append(what))
    small().summary()
    assert len(printed) == 2
    assert str(printed[1]).count("\n") == 3
