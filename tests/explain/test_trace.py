"""A trace of a whole pass: its entries, names, nested models, paths and receptive fields."""

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import graphs

import minicnn
from minicnn import layers, losses
from minicnn.explain import Trace

Array = np.ndarray

LOSS = losses.SparseCategoricalCrossentropy(from_logits=True)


def small() -> minicnn.Model:
    """Return a residual network with a nested model, for 12×10 pixels and 4 classes."""
    minicnn.utils.set_random_seed(3)
    inner = minicnn.Sequential(
        [
            minicnn.Input((12, 10, 4)),
            layers.SeparableConv2D(4, 3, padding="same", activation="relu", name="separable"),
            layers.BatchNormalization(name="norm"),
        ],
        name="inner",
    )
    inputs = minicnn.Input((12, 10, 3), name="photo")
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.Add(name="add")([x, inner(x)])
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Conv2D(5, 3, name="top")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return minicnn.Model(inputs, layers.Dense(4, activation="softmax", name="dense")(x))


def photos(count: int = 3) -> Array:
    return np.random.default_rng(0).integers(0, 256, (count, 12, 10, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def trace() -> Any:
    return small().trace(photos(), y=[0, 1, 3], loss="sparse_categorical_crossentropy")


NAMES = ["rescale", "conv", "inner/separable", "inner/norm", "add", "pool", "top", "mean", "dense"]


def test_every_layer_has_its_entry(trace: Trace) -> None:
    assert [entry.name for entry in trace.entries] == NAMES
    assert [entry.layer.name for entry in trace] == [name.split("/")[-1] for name in NAMES]
    assert len(trace) == 9
    assert "conv" in trace
    assert "nowhere" not in trace
    assert trace["conv"].y.shape == (3, 12, 10, 4)
    assert trace["dense"].y is trace.y
    assert trace.x.shape == (3, 12, 10, 3)
    assert trace["inner"].y.shape == (3, 12, 10, 4)


def test_a_trace_has_the_gradients_that_backward_gives(trace: Trace) -> None:
    model = trace.model
    y, tape = model.forward(photos())
    found = model.loss_of_pass([0, 1, 3], y, tape, "sparse_categorical_crossentropy")
    dx, grads = model.backward(found.loss.backward(found.cache), tape, at_logits=True)
    assert np.array_equal(trace.dx, dx)
    assert np.array_equal(trace["rescale"].dx, dx)
    for key, gradient in grads.items():
        *_, layer, weight = key.split("/")
        assert np.array_equal(trace[layer].grads[weight], gradient)
        assert np.array_equal(trace.grads[key], gradient)
    assert np.array_equal(trace["inner"].dx, trace["inner/separable"].dx)
    assert np.array_equal(trace["conv"].dy, trace["add"].dx[0] + trace["inner/separable"].dx)
    assert trace.loss == pytest.approx(found.value)


def test_a_trace_agrees_with_fit() -> None:
    model = small()
    model.compile("sgd", "sparse_categorical_crossentropy")
    trace = model.trace(photos(), y=[0, 1, 3])
    assert trace.loss == pytest.approx(model.evaluate(photos(), np.array([0, 1, 3]), verbose=0))


def test_gradients_and_penalties_together_are_what_the_optimizer_gets() -> None:
    dense = layers.Dense(2, kernel_regularizer=minicnn.regularizers.L2(0.5), name="dense")
    model = minicnn.Sequential([minicnn.Input((3,)), dense])
    model.compile(minicnn.optimizers.SGD(1.0), losses.MeanSquaredError())
    x, y = np.eye(3, dtype="f"), np.ones((3, 2), "f")
    entry, before = model.trace(x, y)["dense"], model.get_weights()
    added = entry.penalties
    assert list(added) == ["kernel"]
    np.testing.assert_allclose(added["kernel"], before[0], rtol=1e-6)  # 2 * 0.5 * w
    model.train_on_batch(x, y)
    step = before[0] - model.get_weights()[0]
    np.testing.assert_allclose(entry.grads["kernel"] + added["kernel"], step, atol=1e-6)
    dense.trainable = False
    assert model.trace(x, y)["dense"].penalties == {}


def test_entries_are_found_by_name(trace: Trace) -> None:
    assert trace["separable"] is trace["inner/separable"]
    assert trace[trace.model.get_layer("pool")] is trace["pool"]
    assert trace.explain("inner", at=(0, 0, 0)).name == "inner/norm"
    with pytest.raises(ValueError, match=r'no layer .*convv.* Did you mean "conv"\? It has r'):
        trace["convv"]
    with pytest.raises(ValueError, match=r"'photo' is an input of .*trace\.x"):
        trace["photo"]
    with pytest.raises(ValueError, match="is not part of this pass"):
        trace[layers.Dense(2)]
    for thing in (7, ["conv"]):
        with pytest.raises(ValueError, match="has no layer"):
            trace[thing]
    assert trace[trace["conv"]] is trace["conv"]


def test_two_layers_with_one_name_and_two_uses_of_one_layer() -> None:
    def base(name: str) -> minicnn.Model:
        return minicnn.Sequential([minicnn.Input((4,)), layers.Dense(4, name="dense")], name=name)

    inputs = minicnn.Input((4,))
    shared = layers.Dense(4, name="shared")
    left, right = base("left"), base("right")
    outputs = layers.Add()([right(left(shared(inputs))), shared(shared(inputs))])
    model = minicnn.Model(inputs, layers.Dense(2, name="last")(outputs))
    trace = model.trace(np.ones((1, 4)), y=[0], loss=LOSS)
    names = {entry.name for entry in trace.entries}
    assert {"left/dense", "right/dense", "shared", "shared:2"} <= names
    with pytest.raises(ValueError, match=r"several layers .*dense.*: left/dense, right/dense"):
        trace["dense"]
    uses = [trace[name] for name in sorted(names) if name.startswith("shared")]
    total = sum(use.grads["kernel"] for use in uses)
    assert np.allclose(total, trace.grads["shared/kernel"], rtol=1e-6)
    for use in uses:
        g = trace.explain_gradient(use.name, "kernel", at=(1, 2))
        assert abs(g.difference) <= g.tolerance
        assert g.value == use.grads["kernel"][1, 2]


def test_tracing_changes_nothing() -> None:
    model = small()
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    trace = model.trace(photos(), y=[0, 1, 2], training=True)
    trace.why("dense", 0)
    trace.why_gradient("conv", "kernel", (0, 0, 0, 0))
    model.layers[1].explain(photos(), at=(0, 0, 0), training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_the_masks_are_those_of_the_next_step() -> None:
    model = minicnn.Sequential(
        [minicnn.Input((50,)), layers.Dropout(0.5, seed=1), layers.Dropout(0.5, name="late")]
    )
    first, again = (
        model.trace(np.ones((2, 50)), training=True),
        model.trace(np.ones((2, 50)), training=True),
    )
    assert np.array_equal(first.y, again.y)
    assert np.array_equal(first.y, model(np.ones((2, 50)), training=True))
    assert not np.array_equal(first.y, model(np.ones((2, 50)), training=True))


def test_a_model_explains_its_output_as_a_layer_does() -> None:
    e = small().explain(photos(), at=2, example=1)
    assert e.name == "dense"
    assert e.at == (2,)


def test_without_targets_there_are_no_gradients() -> None:
    trace = small().trace(photos())
    assert trace.loss is None
    assert trace["conv"].dy is None
    for call in (
        lambda: trace.explain_gradient("conv", "kernel", (0, 0, 0, 0)),
        lambda: trace.explain_loss(),
        lambda: trace.why_gradient("conv", "bias", 0),
    ):
        with pytest.raises(ValueError, match=r"went forward only: model\.trace\(x, y=labels\)"):
            call()
    with pytest.raises(ValueError, match="has no loss to go backward from"):
        small().trace(photos(), y=[0, 1, 2])
    with pytest.raises(ValueError, match="takes loss with targets y only"):
        small().trace(photos(), loss="binary_crossentropy")


def test_gradients_that_are_not_there(trace: Trace) -> None:
    with pytest.raises(ValueError, match=r"has the gradients kernel, .*, dy, dz. Received 'w'"):
        trace.explain_gradient("conv", "w", 0)
    with pytest.raises(ValueError, match=r"at rows 0…2, columns 0…2, .* filters 0…3"):
        trace.explain_gradient("conv", "kernel", (0, 0, 3, 0))
    with pytest.raises(ValueError, match=r"kernel expects at=\(row, column, channel, filter\)"):
        trace.explain_gradient("conv", "kernel", 0)
    with pytest.raises(ValueError, match=r"has the inputs 0…1. Received source=2"):
        trace.explain_gradient("add", "dx", (0, 0, 0), source=2)
    model = small()
    model.get_layer("conv").trainable = False
    frozen = model.trace(photos(1), y=[0], loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r'"conv" is frozen .* no gradient of its kernel'):
        frozen.explain_gradient("conv", "kernel", (0, 0, 0, 0))
    assert frozen.explain_gradient("conv", "dx", (0, 0, 0)).value == frozen["conv"].dx[0, 0, 0, 0]


def test_what_each_user_of_an_output_sends_back(trace: Trace) -> None:
    g = trace.explain_gradient("conv", "dy", at=(2, 3, 1), example=1)
    parts = [trace["add"].dx[0][1, 2, 3, 1], trace["separable"].dx[1, 2, 3, 1]]
    assert sorted(g.terms.product.tolist()) == sorted(float(part) for part in parts)
    assert g.formula == "dy[2, 3, 1] = dx of inner/separable + dx of add"
    assert g.value == trace["conv"].dy[1, 2, 3, 1]
    assert abs(g.difference) <= g.tolerance
    assert trace.explain_gradient("dense", "dy", at=1).name == "SparseCategoricalCrossentropy"
    with pytest.raises(ValueError, match="dy has its entries at rows"):
        trace.explain_gradient("conv", "dy", at=(12, 0, 0))


def test_a_branch_outside_the_model_is_not_traced() -> None:
    inputs = minicnn.Input((4,))
    x = layers.Dense(3, name="main")(inputs)
    layers.Dense(2, name="aside")(x)
    trace = minicnn.Model(inputs, x).trace(np.ones((1, 4)), y=[0], loss=LOSS)
    assert [entry.name for entry in trace] == ["main"]


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expects x.shape=\(batch, 12, 10, 3\)"):
        small().trace(np.zeros((1, 30, 30, 3)))
    with pytest.raises(ValueError, match=r"x\[None\]"):
        small().trace(photos()[0])


def test_a_trace_writes_itself_as_a_page(trace: Trace, tmp_path: Any) -> None:
    path = trace.to_html(tmp_path / "page.html", example=1)
    assert path.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    with pytest.raises(ValueError, match="saw the examples 0…2"):
        trace.to_html(tmp_path / "other.html", example=3)
    several = trace.to_html(example=[2, 0])
    facts = json.loads(several.split('id="data">')[1].split("</script>")[0])
    assert [photo["name"] for photo in facts["photos"]] == [None, None]  # the page numbers them
    with pytest.raises(ValueError, match=r"at least one example\. Received \[\]"):
        trace.to_html(example=[])
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


# -- trouble ---------------------------------------------------------------------------------------


def test_where_nan_comes_from() -> None:
    model = small()
    variable = model.get_layer("top").weights[0]
    variable.assign(
        np.where(np.arange(variable.value.size).reshape(variable.shape) == 7, np.nan, 1)
    )
    with pytest.warns(UserWarning, match="NaN or infinity among the weights top/kernel") as caught:
        trace = model.trace(photos())
    assert caught[0].filename == __file__
    assert "top/kernel" in str(trace)
    assert "top/kernel" in trace._repr_html_()
    path = trace.why("dense", 0)
    assert "nan" in str(path)
    x = photos()
    x[1, 2, 3, 0] = np.nan
    with pytest.warns(UserWarning, match="NaN or infinity in x already"):
        small().trace(x)
    model = small()
    model.get_layer("rescale").scale = 3e38
    with (
        np.errstate(all="ignore"),
        pytest.warns(UserWarning, match="first appears in the output of rescale"),
    ):
        model.trace(photos())


def test_a_model_without_nan_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert small().trace(photos()).trouble == ""


# -- why -------------------------------------------------------------------------------------------


def follows(trace: Trace, path: Any) -> None:
    """Assert that each term's input is what the next link explains, and the last one's a pixel."""
    for link, following in zip(path.links, path.links[1:], strict=False):
        assert link.term.input == following.value
        assert tuple(link.term.place) == following.explanation.at
        assert link.explanation.total == pytest.approx(
            np.sum(link.explanation.terms.product) + link.explanation.bias, rel=1e-9
        )
    last = path.links[-1]
    if last.term is not None:
        assert last.term.input == trace.x[(last.explanation.example, *last.term.place)]


def test_the_path_to_the_pixels(trace: Trace) -> None:
    for unit in range(4):
        path = trace.why("dense", at=(unit,), example=1)
        follows(trace, path)
        assert path[0].explanation.name == "dense"
        assert path[-1].explanation.name == "rescale"
        assert len(path) >= 6
        assert f"Why dense[{unit}] of example 1" in str(path)
        assert "the model's input [" in str(path)


def test_the_path_by_hand() -> None:
    """y = 2·3 - 1·5 + 4·1 is above 0, and its largest positive term is 2·3."""
    dense = layers.Dense(1, use_bias=False, name="dense")
    model = minicnn.Sequential([minicnn.Input((3,)), layers.ReLU(name="relu"), dense])
    dense.set_weights([[[3], [-5], [1]]])
    trace = model.trace(np.array([[2, 1, 4]], np.float32))
    path = trace.why("dense", 0)
    assert [(link.term.input, link.term.weight) for link in path] == [(2, 3), (2, 1)]
    assert path[0].share == 0.6  # 6 of 6 + 4
    assert path.end == "the model's input [0] = 2"
    dense.set_weights([[[3], [-15], [1]]])  # now the sum is below 0
    assert [link.term.input for link in trace.why("dense", 0)] == [1, 1]


def test_a_path_that_ends_early() -> None:
    model = minicnn.Sequential([minicnn.Input((2, 2, 1)), layers.Conv2D(1, 2, name="conv")])
    path = model.trace(np.zeros((1, 2, 2, 1))).why("conv", (0, 0, 0))
    assert "Every term is 0 here" in str(path)
    model = minicnn.Sequential([minicnn.Input((2, 2, 1)), layers.ZeroPadding2D(1, name="pad")])
    assert "Every term is 0 here" in str(model.trace(np.ones((1, 2, 2, 1))).why("pad", (0, 0, 0)))


def test_a_relu_that_is_off_has_a_path_too() -> None:
    model = minicnn.Sequential([minicnn.Input((1,)), layers.ReLU(name="relu")])
    path = model.trace(np.array([[-3.0]])).why("relu", 0)
    assert path.end == "the model's input [0] = -3"


def test_the_path_to_the_loss(trace: Trace) -> None:
    path = trace.why_gradient("conv", "kernel", (1, 1, 0, 2))
    assert path[0].value == trace["conv"].grads["kernel"][1, 1, 0, 2]
    assert path[-1].explanation.name == "SparseCategoricalCrossentropy"
    for link, following in zip(path.links, path.links[1:], strict=False):
        assert link.term.gradient == pytest.approx(following.value, rel=1e-6)
        assert tuple(link.term.place) == following.explanation.at
    names = [link.explanation.name for link in path]
    assert names.index("conv") < names.index("pool") < names.index("dense")
    text = str(path)
    assert text.index("the loss") < text.index("dense") < text.index("conv kernel")


def test_the_path_of_a_separable_convolution_leads_through_both_stages() -> None:
    """There are more channels between the stages than after them, so places differ."""
    model = minicnn.Sequential(
        [
            minicnn.Input((5, 5, 3)),
            layers.SeparableConv2D(2, 3, depth_multiplier=2, activation="tanh", name="separable"),
            layers.Flatten(),
            layers.Dense(2, name="dense"),
        ]
    )
    x = np.random.default_rng(1).normal(size=(2, 5, 5, 3))
    trace = model.trace(x, y=[0, 1], loss=LOSS)
    for what, at in (("depthwise_kernel", (1, 1, 2, 1)), ("dx", (2, 2, 2))):
        path = trace.why_gradient("separable", what, at, example=1)
        assert [link.explanation.what for link in path][:3] == [what, "dh", "dz"]
        for link, following in zip(path.links, path.links[1:], strict=False):
            assert link.term.gradient == pytest.approx(following.value, rel=1e-6)
            assert abs(link.explanation.difference) <= link.explanation.tolerance
    g = trace.explain_gradient("separable", "dh", at=(0, 1, 5))
    point = trace["separable"].layer.pointwise_kernel.value[0, 0, 5]
    assert g.value == pytest.approx(float(trace["separable"].dz[0, 0, 1] @ point), rel=1e-5)
    assert g.formula == "dh[0, 1, 5] = Σ over o of dz[0, 1, o]·pointwise_kernel[0, 0, 5, o]"


def test_a_path_ends_at_a_layer_without_an_explanation() -> None:
    class Halved(layers.Layer):
        def compute(self, x: Array, training: bool) -> Any:
            return x / 2, {}

        def compute_gradients(self, dz: Array, cache: Any, need_dx: bool) -> Any:
            return dz / 2, {}

    x = np.random.default_rng(0).random((2, 3))
    model = minicnn.Sequential(
        [minicnn.Input((3,)), layers.Dense(2), Halved(name="h"), layers.Dense(1, name="out")]
    )
    trace = model.trace(x, y=[0, 1], loss=losses.BinaryCrossentropy(from_logits=True))
    path = trace.why("out", 0)
    assert [link.explanation.name for link in path] == ["out"]
    assert 'Halved "h" is of a kind' in path.end
    assert "@minicnn.explain.sums(Halved)" in path.end
    path = trace.why_gradient(model.layers[0], "kernel", (0, 0))
    assert [link.explanation.what for link in path] == ["kernel"]
    assert "@minicnn.explain.gradient_of(Halved, what='dx')" in path.end
    with pytest.raises(ValueError, match='Halved "h" is of a kind'):
        trace.why("h", 0)


def test_a_path_may_begin_at_any_gradient(trace: Trace) -> None:
    path = trace.why_gradient("conv", "dy", (2, 3, 1), example=1)
    assert path[0].value == trace["conv"].dy[1, 2, 3, 1]
    assert "Why the gradient dy[2, 3, 1] of conv is" in str(path)
    path = trace.why_gradient("add", "dx", (2, 3, 1), example=1, source=1)
    assert path[0].value == trace["add"].dx[1][1, 2, 3, 1]
    assert len(trace.why_gradient("dense", "dy", 1)) == 1


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(make=graphs(), data=st.data())
def test_any_graph(make: Any, data: st.DataObject) -> None:
    """In random graphs, outputs are the model's, and every entry can be explained and followed."""
    model = make(minicnn)
    x = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(2, 6, 5, 2))
    trace = model.trace(x)
    ys = trace.y if isinstance(trace.y, list) else [trace.y]
    expected = model(x)
    for y, wanted in zip(ys, expected if isinstance(expected, list) else [expected], strict=True):
        assert np.array_equal(y, wanted)
    rng = np.random.default_rng(0)
    for entry in trace.entries:
        at = tuple(int(rng.integers(n)) for n in entry.y.shape[1:])
        e = trace.explain(entry.name, at, 1)
        assert abs(e.difference) <= e.tolerance, str(e)
        follows(trace, trace.why(entry.name, at, 1))
        if entry.y.ndim == 4:
            moved = trace.perturb(entry.name, at)
            assert moved.agrees, str(moved)
    assert str(trace)
    assert trace._repr_html_()


# -- receptive fields ------------------------------------------------------------------------------


def chain(*parts: Any, size: tuple[int, int] = (17, 13)) -> Trace:
    """Trace a chain without ReLU and max, so units react to every pixel they see."""
    minicnn.utils.set_random_seed(0)
    model = minicnn.Sequential([minicnn.Input((*size, 1)), *parts])
    return model.trace(np.random.default_rng(1).normal(size=(1, *size, 1)))


def test_receptive_field_by_hand() -> None:
    trace = chain(layers.Conv2D(2, 3, name="a"), layers.Conv2D(2, 3, strides=2, name="b"))
    seen = trace.receptive_field("b", at=(1, 2))
    assert (seen.rows, seen.cols) == ((2, 6), (4, 8))
    assert seen.formula is not None
    assert (seen.formula[0].size, seen.formula[0].step, seen.formula[0].before) == (5, 2, 0)
    assert "rows: 5 pixels from 1·2 - 0 = 2 on, 2…6" in str(seen)


def test_a_receptive_field_at_the_edge_is_cut() -> None:
    trace = chain(
        layers.Conv2D(2, 3, padding="same", name="a"),
        layers.Conv2D(2, 3, padding="same", name="b"),
    )
    seen = trace.receptive_field("b", at=(0, 12))
    assert (seen.rows, seen.cols) == ((0, 2), (10, 12))
    assert seen.formula is not None
    assert seen.formula[0].pixels(0) == (-2, 2)
    assert "-2…2, cut at the image's edge: 0…2" in str(seen)
    assert trace.receptive_field("b").at == (8, 6), "the middle, where no place is given"
    assert trace.receptive_field("b", at=(0, 12, 1)).rows == (0, 2)


def test_a_layer_of_ones_own_may_have_strides_and_padding() -> None:
    class Doubles(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="doubles")
            self.strides, self.padding = 2, "same"  # which mean nothing here

        def compute(self, x: Array, training: bool) -> tuple[Array, dict[str, Array]]:
            return 2 * x, {}

    model = minicnn.Sequential([minicnn.Input((8, 8, 3)), layers.Conv2D(2, 3), Doubles()])
    seen = model.trace(np.ones((1, 8, 8, 3), np.float32)).receptive_field("doubles", at=(1, 2))
    assert (seen.rows, seen.cols) == ((1, 3), (2, 4))


def test_a_receptive_field_after_an_upsampling() -> None:
    """Units 4 to 6 of the larger image come from pixels 2 and 3 along each axis."""
    trace = chain(layers.UpSampling2D(name="up"), layers.Conv2D(1, 3, name="conv"))
    seen = trace.receptive_field("conv", at=(4, 5))
    assert (seen.rows, seen.cols) == ((2, 3), (2, 3))
    assert "rows: at most 2 pixels, from ⌈4·1/2 - 1/2⌉ = 2 on" in str(seen)
    assert trace.rows()[1][1][6:8] == ["≤ 2×2", "1/2×1/2"]


def test_all_pixels_matter_to_a_dense_layer(trace: Trace) -> None:
    seen = trace.receptive_field("dense", at=2)
    assert (seen.rows, seen.cols) == ((0, 11), (0, 9))
    assert seen.whole
    assert "all of it can matter" in str(seen)
    moved = trace.perturb("dense", at=2)
    assert moved.agrees


def test_a_unit_that_sees_only_padding() -> None:
    trace = chain(layers.ZeroPadding2D(3, name="pad"), layers.Conv2D(1, 2, name="conv"))
    assert (
        str(trace.receptive_field("conv", at=(0, 0))) == "conv[0, 0] sees no pixel, only padding."
    )
    assert trace.perturb("conv", at=(0, 0)).rows == ()


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_receptive_fields_are_what_changing_pixels_shows(data: st.DataObject) -> None:
    parts: list[Any] = []
    for _ in range(data.draw(st.integers(1, 3))):
        kinds = ["conv", "dilated", "average", "pad", "crop", "depthwise", "up", "transposed"]
        kind = data.draw(st.sampled_from(kinds))
        padding = data.draw(st.sampled_from(["valid", "same"]))
        kernel, stride = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
        if kind == "conv":
            parts.append(layers.Conv2D(2, kernel, stride, padding))
        elif kind == "dilated":
            parts.append(layers.Conv2D(2, 2, 1, padding, dilation_rate=2))
        elif kind == "average":
            parts.append(layers.AveragePooling2D(kernel, stride, padding))
        elif kind == "depthwise":
            parts.append(layers.DepthwiseConv2D(kernel, stride, padding))
        elif kind == "transposed":
            more = data.draw(st.sampled_from([None, stride - 1]))
            parts.append(layers.Conv2DTranspose(2, kernel + 1, stride, padding, more))
        elif kind == "up":
            parts.append(layers.UpSampling2D((stride, kernel)))
        elif kind == "crop":
            parts.append(layers.Cropping2D(((1, 0), (0, 2))))
        else:
            parts.append(layers.ZeroPadding2D(((1, 0), (2, 1))))
    trace = chain(*parts, size=(18, 16))
    last = trace.entries[-1]
    at = tuple(data.draw(st.integers(0, size - 1)) for size in last.y.shape[1:3])
    moved = trace.perturb(last.layer, at)
    assert moved.agrees, str(moved)
    seen = moved.seen
    assert seen.formula is not None
    if seen.rows[0] > seen.rows[1] or seen.cols[0] > seen.cols[1]:
        return  # it sees only padding
    assert moved.reaches_all, str(moved)
    for axis, unit, (first, last_) in zip(seen.formula, at, (seen.rows, seen.cols), strict=True):
        low, high = axis.pixels(unit)
        assert low <= first <= last_ <= high


def test_any_example_can_be_perturbed() -> None:
    """relu(x - 1000) is off for a black image, whatever noise is added."""
    conv = layers.Conv2D(1, 1, activation="relu", name="conv")
    model = minicnn.Sequential([minicnn.Input((4, 4, 1)), conv])
    conv.set_weights([np.ones((1, 1, 1, 1)), np.full(1, -1000)])
    trace = model.trace(np.stack([np.zeros((4, 4, 1)), np.full((4, 4, 1), 2000)]))
    assert trace.perturb("conv", at=(2, 3)).rows == ()
    assert trace.perturb("conv", at=(2, 3), example=1).rows == (2,)
    with pytest.raises(ValueError, match=r"saw the examples 0…1\. Received example=2"):
        trace.perturb("conv", at=(2, 3), example=2)


def test_a_wrong_receptive_field_is_noticed(monkeypatch: Any) -> None:
    model = minicnn.Sequential([minicnn.Input((9, 9, 1)), layers.Conv2D(1, 3, name="conv")])
    trace = model.trace(np.random.default_rng(0).random((1, 9, 9, 1)))
    wrong = trace.receptive_field("conv", at=(5, 5))
    monkeypatch.setattr(trace, "receptive_field", lambda *_: replace(wrong, at=(2, 3)))
    moved = trace.perturb("conv", at=(2, 3))
    assert (moved.rows, moved.cols) == ((2, 3, 4), (3, 4, 5))
    assert not moved.agrees


def test_a_dense_layer_on_a_map_sees_only_what_its_place_sees() -> None:
    trace = chain(layers.Conv2D(2, 3), layers.Dense(3, name="dense"))
    seen = trace.receptive_field("dense", at=(2, 3))
    assert (seen.rows, seen.cols) == ((2, 4), (3, 5))
    assert not seen.whole
    moved = trace.perturb("dense", at=(2, 3))
    assert moved.agrees
    assert moved.reaches_all


def test_receptive_fields_of_places_outside_the_output_are_refused(trace: Trace) -> None:
    with pytest.raises(ValueError, match=r"rows 0…11, columns 0…9. Received at=\(12, 0\)"):
        trace.receptive_field("conv", at=(12, 0))
    with pytest.raises(ValueError, match=r"expects at=\(row, column\), .* Received at=3"):
        trace.receptive_field("conv", at=3)
    assert trace.receptive_field("conv", at=(2, 3, 1)).at == (2, 3)


def test_a_change_in_rounding_alone_does_not_count_as_seeing() -> None:
    """Winograd computes tiles, so a pixel next to a window can change the rounding in it."""
    same = {"padding": "same", "activation": "tanh"}
    trace = chain(layers.Conv2D(16, 3, **same), layers.Conv2D(16, 3, name="b", **same))
    moved = trace.perturb("b", at=(8, 6))
    assert moved.agrees
    assert moved.reaches_all
    assert "Changing pixels moved it from rows 6…10, columns 4…8: as computed." in str(moved)


def test_the_branches_of_a_graph_are_covered(trace: Trace) -> None:
    """conv sees 3×3 and the nested model after it 5×5; their sum sees the larger field."""
    seen = trace.receptive_field("add", at=(5, 5))
    assert (seen.rows, seen.cols) == ((3, 7), (3, 7))
    assert trace.receptive_field("top", at=(1, 1)).rows == (0, 9)
    assert trace.perturb("add", at=(5, 5)).agrees


def test_branches_that_see_different_places() -> None:
    """One branch is shifted down and right by two and the other is not; the sum sees both."""
    minicnn.utils.set_random_seed(0)
    inputs = minicnn.Input((9, 8, 1))
    x = layers.Conv2D(1, 1, name="base")(inputs)
    shifted = layers.ZeroPadding2D(((2, 0), (2, 0)))(x)
    still = layers.ZeroPadding2D(((0, 2), (0, 2)))(x)
    for order in ([shifted, still], [still, shifted]):
        model = minicnn.Model(inputs, layers.Add(name="sum")(order))
        trace = model.trace(np.random.default_rng(0).normal(size=(1, 9, 8, 1)))
        seen = trace.receptive_field("sum", at=(5, 6))
        assert (seen.rows, seen.cols) == ((3, 5), (4, 6))
        assert seen.formula is not None
        assert seen.formula[0].pixels(5) == (3, 5)
        moved = trace.perturb("sum", at=(5, 6))
        assert (moved.rows, moved.cols) == ((3, 5), (4, 6))  # and nothing between
        assert moved.reaches_all
        assert trace.receptive_field("sum", at=(1, 7)).rows == (1, 1), "above is padding"


# -- the table -------------------------------------------------------------------------------------


def test_the_table(trace: Trace) -> None:
    header, rows = trace.rows()
    assert len({len(row) for row in [header, *rows]}) == 1
    by_name = {row[0].split(" ")[0]: dict(zip(header, row, strict=True)) for row in rows}
    conv = by_name["conv"]
    assert conv["parameters"] == "112"
    assert conv["= formula"] == "(3·3·3+1)·4"
    assert conv["multiply-adds"] == f"{12 * 10 * 27 * 4:,}"
    assert (conv["input"], conv["output"], conv["sees"]) == ("12×10×3", "12×10×4", "3×3")
    assert (by_name["top"]["sees"], by_name["top"]["step"]) == ("10×10", "2×2")
    assert by_name["dense"]["sees"] == "all"
    assert by_name["add"]["input"] == "2 of 12×10×4"
    assert float(conv["‖grads‖"]) > 0
    assert "loss " in str(trace)


def test_several_inputs_and_outputs() -> None:
    """The inputs have different sizes, and the path says which of them it ends in."""
    left, right = minicnn.Input((3,), name="left"), minicnn.Input((2,), name="right")
    joined = layers.Concatenate(name="both")([left, right])
    dense = layers.Dense(1, use_bias=False, name="dense")
    model = minicnn.Model([left, right], [dense(joined), joined])
    dense.set_weights([[[1], [1], [1], [1], [10]]])
    xs = [np.ones((2, 3)), np.full((2, 2), 3.0)]
    trace = model.trace(xs)
    assert [x.shape for x in trace.x] == [(2, 3), (2, 2)]
    assert trace["both"].x_shape == "3 + 2"
    assert trace.why("dense", 0, example=1).end == "the model's input 1 [1] = 3"
    assert "2 examples" in str(trace)
    with pytest.raises(ValueError, match="y to be a list of arrays, or a dict, for the outputs"):
        model.trace(xs, y=[0, 1], loss=LOSS)
    with pytest.raises(ValueError, match="several inputs"):
        trace.to_html("page.html")
    with pytest.raises(ValueError, match="does not take images"):
        trace.receptive_field("dense", at=0)
    with pytest.raises(ValueError, match="no single layer that makes its output"):
        model.explain(xs, at=0)


def test_the_layers_of_a_nested_model_with_several_outputs_are_explained() -> None:
    inputs = minicnn.Input((3,))
    a, b = layers.Dense(2, name="a")(inputs), layers.Dense(2, name="b")(inputs)
    inner = minicnn.Model(inputs, [a, b], name="inner")
    outer = minicnn.Input((3,))
    model = minicnn.Model(outer, layers.Add(name="add")(inner(outer)))
    trace = model.trace(np.ones((1, 3)), y=[1], loss=LOSS)
    with pytest.raises(ValueError, match=r"several outputs: ask .* inner/a, inner/b"):
        trace.explain("inner", at=0)
    assert trace["add"].sources == [trace["inner/a"], trace["inner/b"]]
    for name in ("a", "b"):
        g = trace.explain_gradient(name, "kernel", at=(2, 1))
        assert abs(g.difference) <= g.tolerance
    follows(trace, trace.why("add", 1))


def test_sample_weights_and_targets_as_fit_takes_them() -> None:
    model = small()
    weights = np.array([1.0, 0.0, 3.0])
    trace = model.trace(
        photos(), y=np.eye(4)[[0, 1, 3]], loss="categorical_crossentropy", sample_weight=weights
    )
    singles = [trace.explain_loss(example).total for example in range(3)]
    assert trace.loss == pytest.approx(np.dot(weights, singles) / 3, rel=1e-5)
    assert not trace["conv"].dy[1].any(), "an example of weight 0 sends nothing back"
    g = trace.explain_loss_gradient(at=2, example=2)
    assert g.terms.gradient.tolist() == [1.0, 1.0]  # weight 3, divided by 3 examples
    assert abs(g.difference) <= g.tolerance
