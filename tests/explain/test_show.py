"""Explanations show as text, rounded or exact, and as HTML that is valid and safe."""

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers, losses
from minicnn.callbacks import History
from minicnn.explain import show

EVIL = '<script>alert("x")</script>'.replace("/", "∕")
X = np.random.default_rng(0).normal(size=(2, 9, 8, 6)).astype(np.float32)


class Page(HTMLParser):
    """Collects the tags of a piece of HTML, and asserts that each is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def model(name: str = "conv") -> minicnn.Model:
    minicnn.utils.set_random_seed(0)
    return minicnn.Sequential(
        [
            minicnn.Input((9, 8, 6)),
            layers.Conv2D(3, 3, activation="relu", name=name),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(4, activation="softmax", name="dense"),
        ],
        name="net",
    )


def shown(name: str = "conv") -> list[Any]:
    """Return one of each object that a notebook can show."""
    net = model(name)
    trace = net.trace(X, y=[1, 2], loss="sparse_categorical_crossentropy")
    history = History()
    history.on_train_begin()
    history.on_epoch_end(0, {name: 0.5, "val_loss": 1.25})
    history.on_epoch_end(1, {name: 0.75, "val_loss": 1.5})
    return [
        net,
        *net.layers,
        trace,
        trace.explain(name, (1, 2, 0)),
        trace.explain("dense", 1),
        trace.explain_gradient(name, "kernel", (0, 1, 2, 0)),
        trace.explain_loss(),
        trace.explain_loss_gradient(0),
        trace.why("dense", 1),
        trace.why_gradient(name, "kernel", (0, 1, 2, 0)),
        history,
        layers.Conv2D(4, 3, name=name),
        layers.BatchNormalization(name=name),
        minicnn.Sequential(name=name),
        History(),
    ]


@pytest.mark.parametrize("index", range(len(shown())))
def test_html_is_valid(index: int) -> None:
    page = Page(shown()[index]._repr_html_())
    assert page.tags[0] == "div"
    assert not {"script", "link", "img", "style"} & set(page.tags), (
        "nothing is loaded, nothing runs"
    )


@pytest.mark.parametrize("index", range(len(shown())))
def test_names_from_files_stay_text(index: int) -> None:
    thing = shown(EVIL)[index]
    html = thing._repr_html_()
    assert "<script" not in html
    page = Page(html)
    assert "script" not in page.tags
    if EVIL in str(thing) or EVIL in getattr(thing, "label", ""):
        assert EVIL in page.text


def test_escape() -> None:
    assert show.escape('<b a="x">&\'') == "&lt;b a=&quot;x&quot;&gt;&amp;&#x27;"
    assert "<b>" not in show.html_grid("<b>", np.ones((1, 1)), 1.0)
    assert "<b>" not in show.html_table(["<b>"], [["<b>"]])
    assert "<b>" not in show.html_block("<b>", [show.html_text("<b>"), show.html_formula("<b>")])


def test_numbers_are_rounded_for_reading_and_exact_on_request() -> None:
    x = np.array([[0.1, 1 / 3]], np.float32)
    layer = layers.Dense(1)
    layer.forward(x)
    layer.set_weights([np.array([[3.0], [1.0]]), np.array([0.0])])
    e = layer.explain(x, at=0)
    assert "0.6333" in str(e)
    assert repr(float(x[0, 1])) not in str(e)
    exact = e.to_string(exact=True)
    assert repr(e.total) in exact
    assert repr(float(x[0, 1])) in exact
    assert show.number(0.0) == "0"
    assert show.number(-12345.678) == "-1.235e+04"
    assert show.number(np.float32(0.1), exact=True) == "0.10000000149011612"


def test_many_terms_are_abridged_but_not_lost() -> None:
    x = np.random.default_rng(0).normal(size=(1, 40)).astype(np.float32)
    e = layers.Dense(2).explain(x, at=1)
    text = str(e)
    assert "… and 28 more, together" in text
    _, rows, rest = e.rows(most=12)
    assert len(rows) == 12
    left = e.largest()[12:].product.sum()
    assert rest == f"… and 28 more, together {left:.4g}"
    assert "more, together" not in e.to_string(terms=None)
    assert len(e.rows(most=None)[1]) == 40
    sizes = np.abs(e.largest(5).product)
    assert (np.diff(sizes) <= 0).all()


def test_windows_are_grids_by_channel() -> None:
    layer = layers.Conv2D(2, 3, padding="same", name="c")
    e = layer.explain(X, at=(0, 0, 1))
    text = str(e)
    assert text.startswith("c (Conv2D), example 0\n\n    y[0, 0, 1] = Σ x[-1+i, -1+j, c]·kernel")
    assert text.count("x·w") == 3
    assert "(0)" in text, "padding stands in brackets"
    assert "… and 3 more channels, together" in text
    assert e.to_string(terms=None).count("x·w") == 6
    parts = [float(e.terms.reshape(3, 3, 6)[:, :, c].product.sum()) for c in range(6)]
    shown = sorted(np.argsort(-np.abs(parts))[:3])
    for channel in shown:
        assert f"channel {channel}, together {parts[channel]:.4g}" in text
    html = e._repr_html_()
    assert html.count("1px dashed") == 3 * 5, "five taps of each shown channel are padding"
    assert "dashed: padding" in html
    assert f"x ±{np.abs(e.terms.input).max():.4g}, w ±" in html


def test_a_wide_window_is_a_list() -> None:
    text = str(layers.Conv2D(1, 7, padding="same").explain(X, at=(4, 4, 0)))
    assert "channel 0, together" not in text
    assert "more, together" in text


def test_text_is_legible_on_every_colour() -> None:
    """Background and text colour are set together, with enough contrast."""

    def luminance(text: str) -> float:
        if text.startswith("#"):
            text = "".join(c * 2 for c in text[1:])
            parts = [int(text[i : i + 2], 16) for i in (0, 2, 4)]
        else:
            parts = [int(n) for n in text[4:-1].split(",")]
        linear = [
            p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4
            for p in (part / 255 for part in parts)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for value in np.linspace(-1, 1, 41):
        pairs = [p.split(":") for p in show.colour(float(value), 1.0).rstrip(";").split(";")]
        style = dict(pairs)
        light, dark = sorted((luminance(style["background"]), luminance(style["color"])))[::-1]
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (value, style)
    assert show.colour(float("nan"), 1.0) == show.colour(float("inf"), 1.0)


def test_a_large_grid_is_cut() -> None:
    html = show.html_grid("x", np.zeros((300, 300)), 1.0)
    assert html.count("<td") == 400
    assert "the first 20×20 of 300×300" in html
    assert show.scale_of(np.array([np.nan, -3.0, 2.0])) == 3.0
    assert show.scale_of(np.zeros(0)) == 1.0


def test_a_grid_of_zeros_says_so() -> None:
    assert "kernel (all 0)" in show.html_grid("kernel", np.zeros((2, 2)), 1.0)
    assert "all 0" not in show.html_grid("kernel", np.eye(2), 1.0)


@pytest.mark.parametrize(
    ("options", "x", "formula"),
    [
        ({}, 2.0, "y[0] = max(x[0], 0)"),
        ({}, -2.0, "y[0] = max(x[0], 0)"),
        ({"max_value": 6.0}, 2.0, "y[0] = min(max(x[0], 0), 6)"),
        ({"max_value": 6.0}, 7.0, "y[0] = min(max(x[0], 0), 6)"),
        ({"max_value": 6.0, "negative_slope": 0.5}, 2.0, "y[0] = x[0], at most 6"),
    ],
)
def test_a_relu_shows_its_limit(options: dict[str, float], x: float, formula: str) -> None:
    e = layers.ReLU(**options).explain(np.array([[x]], np.float32), at=0)
    assert e.formula == formula
    if options:
        assert "max_value=6" in str(e)


def test_history_marks_the_best() -> None:
    history = shown()[-5]
    assert isinstance(history, History)
    text = Page(history._repr_html_()).text
    assert "0.7500 ★" in text
    assert "1.2500 ★" in text
    assert "0.5000 ★" not in text


def test_a_layer_shows_its_kernels() -> None:
    net = model()
    page = Page(net.layers[0]._repr_html_())
    assert "kernel[:, :, 0, 0]" in page.text
    assert "… and 10 more of 3×3" in page.text
    assert "conv/kernel" in page.text
    assert "3×3×6×3" in page.text
    page = Page(layers.Dense(2)._repr_html_())
    assert "No weights yet" in page.text


def test_a_model_shows_its_summary() -> None:
    page = Page(model()._repr_html_())
    assert "(3·3·6+1)·3" in page.text
    assert "Total params:" in page.text
    assert "No layers to show yet" in Page(minicnn.Sequential()._repr_html_()).text


def test_spans() -> None:
    assert show.span(range(3)) == "0…2"
    assert show.span([1, 3, 5]) == "1, 3, 5"
    assert show.span([4]) == "4"
    assert show.count(1, "term") == "1 term"
    assert show.count(2000, "term") == "2,000 terms"


def test_sums_that_overflow_are_still_sums() -> None:
    x = np.array([[np.inf, -np.inf]], np.float32)
    layer = layers.Dense(1, use_bias=False)
    layer.forward(x)
    layer.set_weights([np.ones((2, 1))])
    with np.errstate(all="ignore"):
        e = layer.explain(x, at=0)
    assert np.isnan(e.total)
    assert "NaN" in str(e)


def test_a_loss_object_prints_like_the_rest() -> None:
    trace = model().trace(X, y=[0, 3], loss=losses.SparseCategoricalCrossentropy())
    text = str(trace.explain_loss(1))
    assert text.startswith("SparseCategoricalCrossentropy, example 1")
    assert "the loss said" in text
    assert "log p[k] = z[k] - m - log S" in text
