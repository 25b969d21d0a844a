"""What plots show, which words they use, and that no text is cut off."""

import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import minicnn as keras
from minicnn import explain, layers, plots
from minicnn.callbacks import History

HISTORY = {
    "loss": [2.0, 1.0, 0.5],
    "accuracy": [0.2, 0.5, 0.8],
    "val_loss": [2.1, 1.2, 1.3],
    "val_accuracy": [0.1, 0.6, 0.6],
}
STRANGE = ["$x_1$", "t_shirt", "_hidden", "Größe µ", r"\frac{1}{2}$"]


@pytest.fixture(autouse=True)
def with_matplotlib(request):
    if "without_matplotlib" not in request.node.name:
        pytest.importorskip("matplotlib")


def texts(figure):
    """Draw the figure and return its texts: `$` read as mathematics would change them or raise."""
    from matplotlib.text import Text

    png(figure)
    return [t for t in figure.findobj(Text) if t.get_text()]


def words(figure):
    return [" ".join(t.get_text().split()) for t in texts(figure)]


def png(figure):
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer)


def pictures(figure):
    """Return what is drawn as an image, cell by cell."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


# -- programs -------------------------------------------------------------------------------------


def test_a_program_has_a_bar_for_each_cost_and_a_box_for_each_array():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, name="first"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax", name="last"),
        ]
    )
    program = model.inference_program(1)
    figure = plots.program(program, "a $ program")
    found = words(figure)
    above, below = figure.axes
    heights = [bar.get_height() for bar in above.patches[: len(program.steps)]]
    assert heights == pytest.approx([cost / 1e6 for cost in program.multiply_adds])
    assert heights == pytest.approx([0, 6 * 6 * 4 * 18 / 1e6, 0, 0, 12 / 1e6, 0])
    assert {"a $ program", "Python: 0.0", "direct: 0.0"} <= set(found)
    boxes = [(*box.get_xy(), box.get_width(), box.get_height()) for box in below.patches]
    assert len(boxes) == len(program.blocks)
    assert (-0.5, 2) in [(x, width) for x, _, width, _ in boxes]  # the image lives until step 1
    assert max(y + height for _, y, _, height in boxes) == pytest.approx(program.arena_bytes / 1024)
    with pytest.raises(TypeError, match=r"model\.inference_program\(\) returns.*Received Sequen"):
        plots.program(model)


# -- training runs --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_curves_of_a_history():
    figure = plots.curves(HISTORY, title="$run$ 1")
    loss, accuracy = figure.axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss (nats)")
    assert accuracy.get_ylabel() == "accuracy (share of examples)"
    assert list(loss.lines[0].get_ydata()) == HISTORY["loss"]
    assert "validation, best 1.200 in epoch 2" in words(figure)
    assert "validation, best 0.600 in epoch 2" in words(figure)
    assert "$run$ 1" in words(figure)


def test_nan_is_never_the_best():
    figure = plots.curves({"loss": [1.0, 0.5], "val_loss": [float("nan"), 0.7]})
    assert "validation, best 0.700 in epoch 2" in words(figure)


@pytest.mark.slow
def test_a_history_draws_itself(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile(
        "sgd", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    history = model.fit(np.ones((4, 3)), np.eye(2)[[0, 1, 0, 1]], epochs=2, verbose=0)
    figure = history.plot(tmp_path / "curves.png", title="Two epochs")
    assert list(figure.axes[0].lines[0].get_ydata()) == history.history["loss"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook shows
    history.plot(tmp_path / "curves.svg")
    assert b"<svg" in (tmp_path / "curves.svg").read_bytes()
    with pytest.raises(ValueError, match="A history has at least the loss"):
        History().plot()


def test_history_plot_without_matplotlib(monkeypatch):
    plots.figures.figure_class.cache_clear()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    history = History()
    history.history = dict(HISTORY)
    with pytest.raises(ImportError, match=r'Plots need matplotlib: .*pip install "matplotlib'):
        history.plot()
    plots.figures.figure_class.cache_clear()


def test_a_sweep_has_training_and_validation_on_one_scale():
    better = History()
    better.history = {**HISTORY, "val_accuracy": [0.3, 0.9, 0.7]}
    figure = plots.sweep({"lr=0.1": HISTORY, "_lr=$10^{-2}$": better}, title="Learning rates")
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("training", "validation")
    assert left.get_ylim() == right.get_ylim()
    assert list(right.lines[0].get_ydata()) == HISTORY["val_accuracy"]
    assert list(right.lines[2].get_ydata()) == better.history["val_accuracy"]
    assert len({line.get_color() for line in right.lines}) == 2
    found = words(figure)
    for part in ("lr=0.1: 0.600", "_lr=$10^{-2}$: 0.900", "best validation accuracy"):
        assert part in found


def test_a_sweep_of_losses_without_validation():
    figure = plots.sweep({"a": {"loss": [3, 1, 2]}, "b": {"loss": [3, 2]}}, "loss")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "loss (nats)"
    assert {"a: 1.000", "b: 2.000", "best training loss"} <= set(words(figure))


def test_many_runs_can_be_told_apart():
    figure = plots.sweep({str(n): HISTORY for n in range(20)})
    drawn = figure.axes[0].lines[::2]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 20


def test_what_a_sweep_refuses():
    with pytest.raises(ValueError, match="at least one run"):
        plots.sweep({})
    with pytest.raises(ValueError, match=r'The run "b" has no "accuracy"\. It has'):
        plots.sweep({"a": HISTORY, "b": {"loss": [1.0]}})
    with pytest.raises(TypeError, match="A history is what fit returns"):
        plots.sweep({"a": [1.0, 2.0]})


# -- what a network sees --------------------------------------------------------------------------


def convolution(channels, filters=4, size=3, kind=layers.Conv2D, **options):
    arguments = (filters, size) if kind is not layers.DepthwiseConv2D else (size,)
    layer = kind(*arguments, name="first_conv", **options)
    layer.build((None, 8, 8, channels))
    return layer


def test_kernels_of_colour_photos_are_in_colour():
    layer = convolution(3, 5)
    kernel = np.zeros((3, 3, 3, 5))
    kernel[0, 0, 0, 1] = 2  # filter 1 answers to red
    kernel[1, 1, :, 2] = -1
    layer.set_weights([kernel, np.zeros(5)])
    figure = plots.kernels(layer)
    drawn = pictures(figure)
    assert len(drawn) == 5
    assert drawn[1][0, 0].tolist() == [1, 0.5, 0.5]
    assert drawn[2][1, 1].tolist() == [0.25, 0.25, 0.25]
    assert drawn[0].tolist() == np.full((3, 3, 3), 0.5).tolist()
    assert "first_conv: 5 kernels of 3×3" in words(figure)
    assert any("full colour: ±2" in text for text in words(figure))


@pytest.mark.slow
def test_kernels_of_many_channels_are_means_or_one_channel():
    layer = convolution(6)
    kernel = layer.kernel.value
    drawn = pictures(plots.kernels(layer))
    assert np.allclose(drawn[3], kernel.mean(axis=2)[..., 3])
    drawn = pictures(plots.kernels(layer, channel=2))
    assert np.allclose(drawn[1], kernel[:, :, 2, 1])
    assert "first_conv: 4 kernels of 3×3, mean of 6 input channels" in words(plots.kernels(layer))
    one = words(plots.kernels(layer, channel=2))
    assert {"first_conv: 4 kernels of 3×3, input channel 2", "weight"} <= set(one)
    image = plots.kernels(layer).axes[0].images[0]
    low, high = image.get_clim()
    assert low == -high  # zero is white
    assert image.cmap(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.02)


def test_depthwise_and_separable_kernels():
    depthwise = convolution(3, kind=layers.DepthwiseConv2D, depth_multiplier=2)
    drawn = pictures(plots.kernels(depthwise))
    assert np.allclose(drawn[3], depthwise.kernel.value[:, :, 1, 1])
    assert len(drawn) == 6
    stamps = convolution(5, filters=2, kind=layers.Conv2DTranspose)
    drawn = pictures(plots.kernels(stamps, channel=3))
    assert np.allclose(drawn[1], stamps.kernel.value[:, :, 1, 3])
    assert len(drawn) == 2
    along = layers.Conv1D(6, 5)
    along.build((None, 9, 2))
    drawn = pictures(plots.kernels(along, channel=1))
    assert np.allclose(drawn[4], along.kernel.value[None, :, 1, 4])
    separable = convolution(4, kind=layers.SeparableConv2D)
    assert len(pictures(plots.kernels(separable))) == 4


def test_kernels_of_zeros_are_marked():
    for channels, kind in ((2, layers.Conv2D), (3, layers.Conv2D), (4, layers.DepthwiseConv2D)):
        options = {} if kind is layers.DepthwiseConv2D else {"filters": 4}
        layer = kind(kernel_size=3, **options)
        layer(np.zeros((1, 5, 5, channels), "float32"))
        kernel = layer.kernel.value.reshape(9, -1, 4)
        kernel[:] = np.arange(1, kernel.size + 1).reshape(kernel.shape)
        kernel[..., 1] = 0
        titles = [axes.get_title() for axes in plots.kernels(layer).axes][:4]
        assert titles == ["0", "1 (all 0)", "2", "3"]


@pytest.mark.slow
def test_only_so_many_kernels_are_drawn():
    figure = plots.kernels(convolution(1, 100))
    assert len(pictures(figure)) == 64
    assert "first_conv: the first 64 of 100 kernels of 3×3" in words(figure)


def test_what_kernels_refuses():
    with pytest.raises(ValueError, match="has no kernels yet"):
        plots.kernels(layers.Conv2D(2, 3))
    dense = layers.Dense(2)
    dense.build((None, 3))
    with pytest.raises(ValueError, match="has no kernels to draw: it is not a convolution"):
        plots.kernels(dense)
    with pytest.raises(ValueError, match=r"input channels 0 to 5\. Received channel=6"):
        plots.kernels(convolution(6), channel=6)
    with pytest.raises(ValueError, match="is depthwise"):
        plots.kernels(convolution(3, kind=layers.DepthwiseConv2D), channel=0)
    layer = convolution(1)
    layer.kernel.value[:] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity among its weights"):
        plots.kernels(layer)
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, name="c"), layers.ReLU()])
    with pytest.raises(ValueError, match=r"is a model\. Pass model\.get_layer.*convolutions c\."):
        plots.kernels(model)


def network():
    inner = keras.Sequential(
        [keras.Input((6, 8, 2)), layers.Conv2D(3, 3, name="inside")], name="base"
    )
    inputs = keras.Input((6, 8, 2))
    x = layers.ReLU(name="rectified")(inner(inputs))
    return keras.Model(inputs, layers.Dense(5, name="end")(layers.Flatten()(x)))


@pytest.mark.slow
def test_feature_maps_of_a_tape_and_of_a_trace():
    model, x = network(), np.random.default_rng(0).standard_normal((2, 6, 8, 2))
    _, tape = model.forward(x)
    expected = tape["rectified"].y
    for source in (tape, model.trace(x)):
        for example in (0, 1, -1):
            drawn = pictures(plots.feature_maps(source, "rectified", example))
            assert len(drawn) == 3
            assert np.array_equal(np.stack(drawn, axis=-1), expected[example])
        nested = plots.feature_maps(source, "base/inside")
        assert np.array_equal(pictures(nested)[1], tape["base"].y[0, :, :, 1])
        assert "base/inside: 3 feature maps of 4×6" in words(nested)


def test_colours_of_feature_maps():
    """With no value below zero, dark is zero; else blue is below, orange above, white zero."""
    model, x = network(), np.random.default_rng(0).standard_normal((1, 6, 8, 2))
    _, tape = model.forward(x)
    image = plots.feature_maps(tape, "rectified").axes[0].images[0]
    assert (image.cmap.name, image.get_clim()[0]) == ("cividis", 0)
    low, high = plots.feature_maps(tape, "base/inside").axes[0].images[0].get_clim()
    assert low == -high
    clims = {axes.images[0].get_clim() for axes in plots.feature_maps(tape, "base").axes[:3]}
    assert len(clims) == 1  # one scale for all


def test_a_silent_map_is_marked():
    layer = layers.ReLU(name="r")
    model = keras.Sequential([keras.Input((4, 4, 2)), layer])
    x = np.ones((1, 4, 4, 2))
    x[..., 1] = -1
    assert {"0", "1 (all 0)"} <= set(words(plots.feature_maps(model.forward(x)[1], "r")))


def test_a_vector_is_drawn_as_bars():
    model, x = network(), np.random.default_rng(0).standard_normal((2, 6, 8, 2))
    y, tape = model.forward(x)
    figure = plots.feature_maps(tape, "end", example=1)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert np.allclose(heights, y[1])
    assert "end: 5 units" in words(figure)
    assert {"unit", "output"} <= set(words(figure))


def test_what_feature_maps_refuses():
    model = network()
    _, tape = model.forward(np.zeros((2, 6, 8, 2)))
    with pytest.raises(KeyError, match=r'Did you mean \\?"rectified\\?"\? It has base, '):
        plots.feature_maps(tape, "rectifed")
    with pytest.raises(ValueError, match=r"examples 0 to 1\. Received example=2"):
        plots.feature_maps(tape, "rectified", example=2)
    tape["rectified"].y[:] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity: nothing to draw"):
        plots.feature_maps(tape, "rectified")


# -- confusion and predictions --------------------------------------------------------------------


def counts(figure):
    """Return the matrix that the texts show."""
    (axes, _) = figure.axes
    size = len(axes.get_xticklabels())
    matrix = np.zeros((size, size), int)
    for text in axes.texts:
        column, row = text.get_position()
        matrix[int(row), int(column)] = int(text.get_text())
    return matrix.tolist()


TRUE, SAID = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("true", [TRUE, np.eye(3)[TRUE], np.array(TRUE)[:, None], np.float32(TRUE)])
@pytest.mark.parametrize(
    "said", [SAID, np.eye(3)[SAID], np.eye(3)[SAID] * 0.4 + 0.2, np.eye(3)[SAID] * 7 - 3]
)
def test_a_confusion_matrix_by_hand(true, said):
    figure = plots.confusion_matrix(true, said, ["a", "b", "c"])
    assert counts(figure) == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    shares = pictures(figure)[0]
    assert np.allclose(shares, [[2 / 3, 1 / 3, 0], [0, 1 / 2, 1 / 2], [0, 0, 1]])
    assert {"predicted class", "true class", "a", "b", "c"} <= set(words(figure))
    assert "4 of 6 right: accuracy 66.7%" in words(figure)


def test_two_classes_from_one_probability():
    for said in ([0.2, 0.7, 0.4, 1.0], np.array([[0.2], [0.7], [0.4], [1.0]])):
        assert counts(plots.confusion_matrix([0, 1, 1, 0], said)) == [[1, 1], [1, 1]]


def test_classes_without_examples_have_rows():
    figure = plots.confusion_matrix([0, 1], [0, 0], list("abcd"))
    assert np.array(counts(figure)).shape == (4, 4)
    assert np.isfinite(pictures(figure)[0]).all()


@pytest.mark.slow
def test_names_from_files_are_drawn_unchanged():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.confusion_matrix(range(5), range(5), STRANGE, title="$\\alpha$ of a_b")
        assert set(STRANGE) <= set(words(figure))
        assert "$\\alpha$ of a_b" in words(figure)
        photos = np.zeros((5, 4, 4, 3))
        figure = plots.predictions(photos, [1, 2, 3, 4, 0], np.eye(5), STRANGE)
        assert f"{STRANGE[0]} 100%" in words(figure)
        assert f"truth: {STRANGE[0]}" in words(figure)
        history = {"loss": [1.0, 2.0], "$m$": [1.0, 0.0]}
        assert "$m$" in words(plots.curves(history))
        assert {f"{name}: 0.800" for name in STRANGE} <= set(
            words(plots.sweep({name: {"accuracy": [0.8]} for name in STRANGE}))
        )
        model = keras.Sequential([keras.Input((4, 4, 1)), layers.ReLU(name="$relu$_1")])
        _, tape = model.forward(np.ones((1, 4, 4, 1)))
        assert "$relu$_1: 1 feature map of 4×4" in words(plots.feature_maps(tape, "$relu$_1"))


def test_long_names_are_turned():
    figure = plots.confusion_matrix([0, 1], [0, 1], ["longsleeve", "t-shirt"])
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {45}
    figure = plots.confusion_matrix([0, 1], [0, 1])
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {0}


@pytest.mark.slow
def test_a_hundred_classes_still_fit():
    numbers = np.arange(100)
    assert max(png(plots.confusion_matrix(numbers, numbers)).size) <= 2000


def test_what_a_confusion_matrix_refuses():
    with pytest.raises(ValueError, match=r"for the same examples\. Received 2 and 3"):
        plots.confusion_matrix([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="at least one example"):
        plots.confusion_matrix([], [])
    with pytest.raises(ValueError, match=r"a name for each of 3 classes\. Received 2 class_names"):
        plots.confusion_matrix([0, 2], [0, 1], ["a", "b"])
    with pytest.raises(ValueError, match="whole class numbers, or probabilities"):
        plots.confusion_matrix([0, 1], [0.5, 1.5])
    with pytest.raises(ValueError, match=r"class numbers from 0\. Received -1"):
        plots.confusion_matrix([0, -1], [0, 1])
    with pytest.raises(ValueError, match="y_pred must be finite"):
        plots.confusion_matrix([0, 1], [0, np.nan])
    with pytest.raises(ValueError, match="Received dtype <U1"):
        plots.confusion_matrix(["a"], [0])
    with pytest.raises(ValueError, match=r"Received y_pred.shape=\(1, 2, 2\)"):
        plots.confusion_matrix([0], np.zeros((1, 2, 2)))


@pytest.mark.parametrize(("scale", "shift"), [(255, 0), (1, 0), (2, -1)])
def test_predictions_show_photos_of_any_range(scale, shift):
    photos = np.random.default_rng(0).random((3, 5, 4, 3))
    photos[0, 0, 0], photos[0, 0, 1] = 0, 1
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    figure = plots.predictions(photos * scale + shift, [0, 1, 1], said, ["cat", "dog"])
    assert np.allclose(pictures(figure), photos, atol=1e-6)
    found = words(figure)
    assert {"cat 90%", "dog 80%", "cat 60%", "truth: dog", "2 of 3 right"} <= set(found)
    assert "truth: cat" not in found
    wrong = [axes.title.get_color() == plots.ORANGE for axes in figure.axes[:3]]
    assert wrong == [False, False, True]


def test_predictions_of_grey_photos_of_unknown_class():
    figure = plots.predictions(np.ones((20, 4, 4, 1)), None, np.full((20, 1), 0.8), most=4)
    assert len(pictures(figure)) == 4
    assert {"1 80%", "What the network says; the first 4"} <= set(words(figure))


def test_what_predictions_refuses():
    photos, said = np.zeros((2, 4, 4, 3)), np.eye(2)
    with pytest.raises(ValueError, match=r"Received x.shape=\(4, 4, 3\)"):
        plots.predictions(photos[0], [0], said)
    with pytest.raises(ValueError, match="Received 2, 1, 2"):
        plots.predictions(photos, [0], said)
    with pytest.raises(ValueError, match="a name for each of 2 classes"):
        plots.predictions(photos, [0, 1], said, ["a"])


# -- all plots ------------------------------------------------------------------------------------

NAN = float("nan")
LONG = ["a very long class name that goes on", "b", "something_else_long_as_well_indeed", "d"]
FORTY = [f"class {number}" for number in range(40)]
LONG_NAME = "a_very_long_name_of_a_layer_in_the_network_as_they_come_from_files"


def maps_of(x, name="maps"):
    model = keras.Sequential([keras.Input(np.shape(x)[1:]), layers.Activation("linear", name=name)])
    return plots.feature_maps(model.forward(np.asarray(x, float))[1], name)


ODD = {
    "one epoch": lambda: plots.curves({name: values[:1] for name, values in HISTORY.items()}),
    "a long title": lambda: plots.curves({"loss": [2.0, 1.0]}, title="more than one line " * 5),
    "six metrics": lambda: plots.curves({name: [2.0, 1.0] for name in ("loss", *"abcde")}),
    "runs of long names": lambda: plots.sweep({n * 3: HISTORY for n in LONG}, title="x" * 200),
    "two kernels": lambda: plots.kernels(convolution(3, 2)),
    "a row of kernels": lambda: plots.kernels(convolution(64, 3)),
    "1x1 kernels": lambda: plots.kernels(convolution(64, 8, 1)),
    "wide kernels": lambda: plots.kernels(convolution(1, 8, (1, 7))),
    "a small unit": lambda: plots.kernels(scaled(convolution(3, 2), 1e-7)),
    "a long layer name": lambda: maps_of(np.ones((1, 8, 8, 3)), LONG_NAME),
    "units of a long name": lambda: maps_of(np.ones((1, 3)), LONG_NAME),
    "one class": lambda: plots.confusion_matrix([0, 0], [0, 0], ["dress"]),
    "long class names": lambda: plots.confusion_matrix(range(4), range(4), LONG),
    "forty classes": lambda: plots.confusion_matrix(range(40), range(40), FORTY),
    "a long matrix title": lambda: plots.confusion_matrix([0, 1], [0, 1], title="many words " * 9),
    "photos of long names": lambda: plots.predictions(
        np.zeros((20, 6, 9, 3)), [0, 2] * 10, np.eye(4)[[2, 2, 0, 1] * 5], LONG
    ),
}


def scaled(layer, factor):
    layer.set_weights([w * factor for w in layer.get_weights()])
    return layer


@pytest.mark.slow
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_no_text_is_cut_off_or_overlaps_another(make, monkeypatch):
    from matplotlib.text import Text

    figure, draw, found = make(), Text.draw, {}

    def spy(text, renderer):
        found[text] = text.get_window_extent(renderer)
        return draw(text, renderer)

    monkeypatch.setattr(Text, "draw", spy)
    figure.savefig(io.BytesIO(), format="png", dpi=figure.dpi)
    width, height = figure.bbox.width, figure.bbox.height
    written = [(text, box) for text, box in found.items() if text.get_text()]
    assert len(written) > 3
    for text, box in written:
        inside = min(box.x0, box.y0, width - box.x1, height - box.y1)
        assert inside > -1.5, text.get_text()
    level = [(text, box) for text, box in written if text.get_rotation() == 0]
    for index, (text, box) in enumerate(level):
        for other, its in level[:index]:
            across = min(box.x1, its.x1) - max(box.x0, its.x0)
            down = min(box.y1, its.y1) - max(box.y0, its.y0)
            assert across < 2 or down < 2, (text.get_text(), other.get_text())


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 5, 15, 300])
def test_epochs_are_whole_numbers(epochs):
    for figure in (
        plots.curves({"loss": [1.0] * epochs}),
        plots.sweep({"a": {"accuracy": [1.0] * epochs}}),
    ):
        png(figure)
        ticks = figure.axes[0].get_xticks()
        assert np.array_equal(ticks, np.rint(ticks))
        low, high = figure.axes[0].get_xlim()
        assert low < 1 <= epochs < high


@pytest.mark.slow
def test_a_run_without_a_finite_number_says_so():
    lost = {"loss": [NAN, NAN], "val_loss": [float("inf"), NAN]}
    found = words(plots.curves(lost))
    assert {"training, never a finite number", "validation, never a finite number"} <= set(found)
    assert "b: never a finite number" in words(plots.sweep({"a": HISTORY, "b": lost}, "loss"))


def test_error_metrics_are_best_when_lowest_and_have_no_unit():
    history = {"loss": [2.0, 1.0], "my_error": [30, 20, 25], "val_my_error": [30, 20, 25]}
    figure = plots.curves(history)
    assert "validation, best 20.000 in epoch 2" in words(figure)
    assert figure.axes[1].get_ylabel() == "my_error"


def test_a_sweep_knows_its_metric_by_either_name():
    found = words(plots.sweep({"a": HISTORY}, "val_accuracy"))
    assert {"validation", "a: 0.600", "accuracy (share of examples)"} <= set(found)
    with pytest.raises(TypeError, match=r"sweep expects a dict.* Received list\."):
        plots.sweep([HISTORY])


def test_nan_looks_different_from_zero():
    x = np.zeros((1, 3, 3, 2))
    x[0, 0, 0, 0], x[0, 1, 1, 1] = NAN, -1
    figure = maps_of(x)
    assert {"0 (NaN: pink)", "1"} <= set(words(figure))
    colours = figure.axes[0].images[0].cmap
    assert colours(np.ma.masked_invalid([NAN]))[0] == pytest.approx(
        (0.8, 0.475, 0.655, 1), abs=0.01
    )
    assert "maps: 3 units, 2 NaN or infinite" in words(maps_of([[1, NAN, float("inf")]]))


def test_weights_that_are_all_zero_are_white():
    image = plots.kernels(scaled(convolution(8), 0)).axes[0].images[0]
    assert image.cmap(image.norm(0.0))[:3] == pytest.approx((1, 1, 1), abs=0.02)


def test_one_kernel_or_unit_is_singular():
    assert "first_conv: 1 kernel of 3×3" in words(plots.kernels(convolution(1, 1)))
    assert "maps: 1 unit" in words(maps_of([[1.0]]))


@pytest.mark.parametrize("most", [0, -3, 1.5, None])
def test_at_least_one_is_drawn(most):
    _, tape = network().forward(np.zeros((1, 6, 8, 2)))
    for draw in (
        lambda: plots.kernels(convolution(3), most=most),
        lambda: plots.feature_maps(tape, "rectified", most=most),
        lambda: plots.predictions(np.zeros((1, 4, 4, 3)), None, [[1.0]], most=most),
    ):
        with pytest.raises(ValueError, match=r"most is a whole number of at least 1\."):
            draw()


def test_other_bad_arguments_are_refused_in_one_sentence():
    model = network()
    with pytest.raises(TypeError, match=r"expects model\.trace\(x\).* Received Model\."):
        plots.feature_maps(model, "rectified")
    _, tape = model.forward(np.zeros((1, 6, 8, 2)))
    with pytest.raises(ValueError, match=r"Received example=0\.5"):
        plots.feature_maps(tape, "rectified", example=0.5)
    with pytest.raises(ValueError, match=r"Received channel=1\.5"):
        plots.kernels(convolution(6), channel=1.5)
    with pytest.raises(ValueError, match=r"draws up to 100 classes\. Received 1000"):
        plots.confusion_matrix([0], [999])
    photos = np.zeros((2, 4, 4, 3))
    for wrong in (np.array([[3.0, -1.0], [0.0, 1.0]]), np.full((2, 2), NAN)):
        with pytest.raises(ValueError, match=r"from 0 to 1; activations\.softmax makes them"):
            plots.predictions(photos, None, wrong)
    with pytest.raises(ValueError, match=r"Received probabilities\.shape=\(2, 2, 2\)"):
        plots.predictions(photos, None, np.ones((2, 2, 2)))


def test_class_names_may_be_an_array():
    figure = plots.predictions(np.zeros((2, 4, 4, 3)), None, np.eye(2), np.array(["cat", "dog"]))
    assert {"cat 100%", "dog 100%"} <= set(words(figure))


@pytest.mark.slow
def test_drawing_needs_no_screen_and_leaves_pyplot_alone():
    code = (
        "import sys; from minicnn import plots; plots.curves({'loss': [1, 2]})._repr_png_(); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(keras.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


# -- heat maps ------------------------------------------------------------------------------------


def looking():
    """Return a trace of two photos through a small network of three classes."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 6, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )
    model.metadata = {"class_names": ["$hat$", "pants", "shoes"]}
    return model.trace(np.random.default_rng(2).random((2, 8, 6, 3)))


@pytest.mark.slow
def test_heat_maps_lie_over_the_photo():
    trace = looking()
    methods = ["grad_cam", "occlusion", "gradient_x_input"]
    heats = [trace.heatmap(method, class_index=0) for method in methods]
    figure = plots.heatmaps(heats)
    found = words(figure)
    assert 'What speaks for "$hat$"' in found
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["the photo", "Grad-CAM", "occlusion", "gradient × input"]
    photo, *maps = pictures(figure)[:4]
    np.testing.assert_allclose(photo, trace.x[0], rtol=1e-6)
    assert [m.shape for m in maps] == [(8, 6, 3)] * 3
    # The strongest number has the strongest colour: orange if it speaks for the class.
    for heat, drawn in zip(heats, maps):
        strongest = np.unravel_index(np.abs(heat.pixels).argmax(), (8, 6))
        red, _, blue = drawn[strongest]
        assert (red > blue) == (heat.pixels[strongest] > 0)
        nothing = drawn[heat.pixels == 0]
        assert np.allclose(nothing, nothing[:, :1])  # grey
    top = np.quantile(np.abs(heats[2].pixels), 0.99)
    assert f"full colour from ±{top:.2g}" in found
    several = plots.heatmaps([heats[0], trace.heatmap(class_index=1)], title="two $classes")
    assert {"two $classes", 'Grad-CAM, "pants"'} <= set(words(several))
    assert heats[0].plot("mine").get_suptitle() == "mine"


def test_what_is_no_heat_map_is_refused():
    trace = looking()
    heat = trace.heatmap("gradient_x_input")
    for wrong in (heat, [heat, trace], "heat", None):
        with pytest.raises(TypeError, match=r"expects a list of what trace\.heatmap\(\) returns"):
            plots.heatmaps(wrong)
    with pytest.raises(ValueError, match=r"at least one heat map\. Received none"):
        plots.heatmaps([])
    with pytest.raises(ValueError, match="maps of several photos"):
        plots.heatmaps([heat, trace.heatmap("gradient_x_input", example=1)])
    with pytest.raises(TypeError, match=r"what heat\.sanity_check\(\) returns. Received Gradient"):
        plots.sanity_check(heat)


@pytest.mark.slow
def test_a_network_that_forgets():
    check = looking().heatmap(class_index=1).sanity_check()
    figure = check.plot()
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles[:2] == ["the photo", "Grad-CAM"]
    assert [title.split(":")[0] for title in titles[2:]] == ["classes", "conv"]
    assert 'Grad-CAM of "pants", beside that of a network that forgets' in words(figure)


def test_photos_with_other_channels_are_drawn_in_grey():
    model = keras.Sequential([keras.Input((4, 4, 2)), layers.Flatten(), layers.Dense(2)])
    heat = model.trace(np.ones((1, 4, 4, 2))).heatmap("gradient_x_input")
    assert pictures(heat.plot())[0].shape == (4, 4)


def test_images_that_are_liked_best():
    model = looking().model
    found = [explain.preferred_image(model, "conv", k, steps=1) for k in range(3)]
    figure = plots.preferred_images(found, "$liked$")
    assert [axes.get_title() for axes in figure.axes] == [f"conv, channel {k}" for k in range(3)]
    assert "$liked$" in words(figure)
    np.testing.assert_allclose(pictures(figure)[1], found[1].pixels)
    assert found[0].plot().get_suptitle() == "The strongest responses"
    with pytest.raises(ValueError, match=r"at least one image, all of one size\. Received none"):
        plots.preferred_images([])
    with pytest.raises(TypeError, match=r"a list of what preferred_image\(\) returns"):
        plots.preferred_images(found[0])
