"""Terms explain outputs and gradients of every layer and option."""

from typing import Any

import numpy as np
import pytest
from explanations import agrees, with_a_loss
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import check, layers, losses
from minicnn.explain.arithmetic import SUMS
from minicnn.explain.gradients import GRADIENTS
from minicnn.layers import LAYERS, Layer
from minicnn.shapes import same_padding

CASES = list(check.cases())
LEFT_OUT = {"InputLayer"}  # it computes nothing


def draw(case: check.Case, rng: np.random.Generator) -> tuple[Layer, Any]:
    """Return the case's layer with random weights, and an input."""
    layer = LAYERS[case.layer](**case.options)
    xs = [check.values(case, rng) for _ in range(case.inputs)]
    if case.second is not None:
        xs[1] = check.values(case._replace(shape=case.second), rng)
    x = xs if layer.takes_list else xs[0]
    layer.forward(x)
    for variable in layer.weights:
        value = rng.normal(size=variable.shape)
        variable.assign(np.abs(value) + 0.1 if "variance" in variable.name else value)
    return layer, x


def place(shape: Any, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(rng.integers(size)) for size in shape)


def test_no_layer_is_forgotten() -> None:
    assert {case.layer for case in CASES} | LEFT_OUT == set(LAYERS)
    for name, cls in LAYERS.items():
        assert cls in SUMS, f"minicnn/explain/arithmetic.py does not explain {name}"
        if name not in LEFT_OUT:
            assert (cls, "dx") in GRADIENTS, f"minicnn/explain/gradients.py has no dx of {name}"
    for case in CASES:
        layer, _ = draw(case, np.random.default_rng(0))
        for key in layer.params:
            assert (type(layer), key) in GRADIENTS, f"{case.layer} has no gradient of {key}"


@pytest.mark.parametrize("name", sorted(set(LAYERS) - LEFT_OUT))
def test_the_terms_of_every_layer_lead_to_its_output(name: str) -> None:
    rng = np.random.default_rng(0)
    for case in CASES:
        if case.layer == name:
            layer, x = draw(case, rng)
            first = x[0] if isinstance(x, list) else x
            y = np.asarray(layer(x, training=False))
            for _ in range(3):
                example = int(rng.integers(len(first)))
                at = place(y.shape[1:], rng)
                e = layer.explain(x, at, example, training=case.training)
                agrees(e)
                if not case.training:
                    assert e.value == y[(example, *at)]
                assert str(e)
                assert e._repr_html_()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(LAYERS) - LEFT_OUT))
def test_the_terms_of_every_gradient_lead_to_what_backward_gave(name: str) -> None:
    rng = np.random.default_rng(1)
    for case in CASES:
        if case.layer != name:
            continue
        layer, x = draw(case, rng)
        model = with_a_loss(layer, x)
        targets = rng.integers(0, 3, case.shape[0])
        trace = model.trace(
            x, y=targets, loss="sparse_categorical_crossentropy", training=case.training
        )
        entry = trace[layer]
        found = [(key, g.shape, 0, g) for key, g in entry.grads.items()]
        found += [("dz", entry.y.shape[1:], 0, entry.dz)]
        parts = entry.dx if isinstance(entry.dx, list) else [entry.dx]
        found += [("dx", part.shape[1:], number, part) for number, part in enumerate(parts)]
        for what, shape, source, array in found:
            for _ in range(2):
                example, at = int(rng.integers(case.shape[0])), place(shape, rng)
                g = trace.explain_gradient(layer, what, at, example, source)
                agrees(g)
                of_one = what in ("dx", "dz")
                assert g.value == array[(example, *at) if of_one else at]
                sizes = np.abs(g.terms.product)
                assert (np.diff(sizes) <= 0).all(), "the largest term comes first"
                assert str(g)
                assert g._repr_html_()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_windows_of_any_shape(data: st.DataObject) -> None:
    """Strides, padding, dilation, groups and sizes vary; the batch is one example."""
    number = data.draw
    kind = number(st.sampled_from(["Conv2D", "DepthwiseConv2D", "SeparableConv2D"]))
    strides, dilation = number(st.sampled_from([((1, 1), 1), ((2, 1), 1), ((3, 2), 1), (1, 2)]))
    options: dict[str, Any] = {
        "kernel_size": (number(st.integers(1, 4)), number(st.integers(1, 4))),
        "padding": number(st.sampled_from(["valid", "same"])),
        "activation": number(st.sampled_from([None, "relu", "sigmoid"])),
        "strides": strides,
        "dilation_rate": dilation,
    }
    groups = number(st.integers(1, 2)) if kind == "Conv2D" else 1
    if kind == "Conv2D":
        options |= {"groups": groups, "filters": groups * number(st.integers(1, 5))}
    else:
        options["depth_multiplier"] = number(st.integers(1, 2))
        if kind == "SeparableConv2D":
            options["filters"] = number(st.integers(1, 3))
    shape = (1, number(st.integers(7, 9)), number(st.integers(7, 11)), groups * 3)
    rng = np.random.default_rng(number(st.integers(0, 2**20)))
    x = rng.normal(size=shape).astype(np.float32)
    layer = LAYERS[kind](**options)
    model = with_a_loss(layer, x)
    trace = model.trace(x, y=[1], loss="sparse_categorical_crossentropy")
    entry = trace[layer]
    at = place(entry.y.shape[1:], rng)
    e = trace.explain(layer, at)
    agrees(e)
    # The padded taps are exactly those outside the input.
    inside = (e.terms.row >= 0) & (e.terms.row < shape[1])
    inside &= (e.terms.col >= 0) & (e.terms.col < shape[2])
    assert (e.terms.padded == ~inside).all()
    for term in e.terms[inside]:
        assert term.input == x[(0, *term.place)]
    if options["padding"] == "same":
        before = same_padding(shape[1], options["kernel_size"][0], layer.strides[0], dilation)[0]  # type: ignore[attr-defined]
        assert e.terms.row.min() == at[0] * layer.strides[0] - before  # type: ignore[attr-defined]
    for what, array in [*entry.grads.items(), ("dx", entry.dx[0])]:
        agrees(trace.explain_gradient(layer, what, place(array.shape, rng)))


@pytest.mark.slow
@pytest.mark.parametrize("strides", [1, 2])
def test_stamps_of_many_channels(strides: int) -> None:
    """With strides of 1 and so many channels, Winograd's algorithm computes the layer."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(2, 12, 13, 9)) * 100).astype(np.float32)
    layer = layers.Conv2DTranspose(10, 3, strides, padding="same", name="up")
    trace = with_a_loss(layer, x).trace(x, y=[0, 1], loss="sparse_categorical_crossentropy")
    for _ in range(20):
        agrees(trace.explain("up", place(trace[layer].y.shape[1:], rng)))
        agrees(trace.explain_gradient("up", "dx", place(x.shape[1:], rng)))
        agrees(trace.explain_gradient("up", "kernel", place(layer.kernel.shape, rng)))
    with pytest.raises(ValueError, match=r"rows 0…2, columns 0…2, filters 0…9, channels 0…8"):
        trace.explain_gradient("up", "kernel", (3, 0, 0, 0))


@pytest.mark.slow
def test_winograd_s_rounding_is_called_rounding() -> None:
    """Its tiles add pixels outside the window and subtract them again, even for empty windows."""
    rng = np.random.default_rng(0)
    x = np.zeros((1, 16, 15, 16), np.float32)
    x[:, 6:9, 5:9] = rng.normal(size=(1, 3, 4, 16)) * 100
    layer = layers.Conv2D(16, 3, padding="same", name="c")
    model = minicnn.Sequential(
        [minicnn.Input(x.shape[1:]), layer, layers.ReLU(), layers.Flatten(), layers.Dense(3)]
    )
    trace = model.trace(x, y=[1], loss=losses.SparseCategoricalCrossentropy(True))
    inexact = 0
    for at in np.ndindex(16, 15):
        e, g = trace.explain("c", (*at, 3)), trace.explain_gradient("c", "dx", (*at, 3))
        agrees(e)
        agrees(g)
        inexact += not e.terms.product.any() and e.difference != 0
    assert inexact, "some window of zeros gives not quite 0"
    for at in np.ndindex(3, 3, 2, 3):
        agrees(trace.explain_gradient("c", "kernel", at))
    # What is more than rounding is still noticed.
    layer.kernel.assign(layer.kernel.numpy() * 1.001)
    busy = trace.explain("c", (7, 7, 3))
    assert abs(busy.difference) > busy.tolerance


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_pooling_with_ties(data: st.DataObject) -> None:
    """With whole numbers from -1 to 1, nearly every window has a tie."""
    number = data.draw
    kind = number(st.sampled_from(["MaxPooling2D", "AveragePooling2D"]))
    pool = (number(st.integers(1, 3)), number(st.integers(1, 3)))
    options = {
        "strides": number(st.integers(1, 3)),
        "padding": number(st.sampled_from(["valid", "same"])),
    }
    rng = np.random.default_rng(number(st.integers(0, 2**20)))
    x = rng.integers(-1, 2, (1, number(st.integers(3, 6)), 5, 2)).astype(np.float32)
    layer = LAYERS[kind](pool, **options)
    trace = with_a_loss(layer, x).trace(x, y=[0], loss="sparse_categorical_crossentropy")
    for _ in range(4):
        e = trace.explain(layer, place(trace[layer].y.shape[1:], rng))
        agrees(e)
        if kind == "MaxPooling2D":
            winner = e.terms[e.terms.weight == 1]
            assert len(winner) == 1
            tied = (e.terms.input == e.value).nonzero()[0]
            assert e.terms[tied[0]].place.tolist() == winner[0].place.tolist()
        agrees(trace.explain_gradient(layer, "dx", place(x.shape[1:], rng)))
