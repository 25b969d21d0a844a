"""What-if changes of pixels and weights give the same in the browser and in minicnn."""

import numpy as np
from pages import changed, class_probabilities, go_backward, numbers, open_layer, photo, small_cnn

from minicnn import Input, Sequential, functional, layers, losses
from minicnn.explain.page import build


def test_what_if_agrees_with_minicnn(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    real = functional.softmax(model.forward(x)[0])[0]
    open_layer(tab, "first")
    tab.get_by_role("tab", name="What if").click()
    np.testing.assert_allclose(class_probabilities(tab), real, rtol=1e-4)

    column, channel = tab.evaluate("page.state.at")[2], tab.evaluate("page.state.inChannel ?? 0")

    def set_to(label, value, exact=True):
        field = tab.get_by_label(label, exact=exact)
        field.fill(str(value))
        field.press("Enter")

    def check(other, picture=x):
        wanted = functional.softmax(other.forward(picture)[0])[0]
        np.testing.assert_allclose(class_probabilities(tab), wanted, rtol=2e-4, atol=1e-6)
        assert np.abs(wanted - real).max() > 1e-3  # the change has an effect

    kernel = model.get_layer("first").kernel.value
    changed(tab, lambda: set_to("weight 0, 2", 2.5))
    kernel[0, 2, channel, column] = 2.5
    check(model)
    changed(tab, lambda: set_to("bias", -0.75))
    model.get_layer("first").bias.value[column] = -0.75
    check(model)

    for strides, padding in ((2, "same"), (2, "valid"), (1, "valid")):
        if int(tab.get_by_label("Stride").input_value()) != strides:
            changed(tab, lambda s=strides: tab.get_by_label("Stride").select_option(str(s)))
        if tab.get_by_label("Padding").input_value() != padding:
            changed(tab, lambda p=padding: tab.get_by_label("Padding").select_option(p))
        other = small_cnn(strides, padding)
        other.set_weights(model.get_weights())
        check(other)
        shape = tab.evaluate("page.net.y(page.state.node).shape")
        assert tuple(shape) == other.forward(x)[1]["first"].y.shape[1:]

    changed(tab, lambda: tab.get_by_role("button", name="Reset all changes").click())
    np.testing.assert_allclose(class_probabilities(tab), real, rtol=1e-4)


def test_another_pixel_of_the_photo_changes_the_classes(tmp_path, opened):
    model, x = small_cnn(), photo((12, 12, 3))
    tab = opened(build(model, x, tmp_path / "page.html"))
    open_layer(tab, "rescaling")
    tab.get_by_role("tab", name="What if").click()
    tab.evaluate("page.set({ pixel: { node: 0, at: [4, 5, 0] } })")
    for colour in ("red", "green", "blue"):
        field = tab.get_by_label(f"pixel: {colour}")
        changed(tab, lambda f=field: (f.fill("900"), f.press("Enter")))
    x = x.copy()
    x[0, 4, 5] = 900
    wanted = functional.softmax(model.forward(x)[0])[0]
    np.testing.assert_allclose(class_probabilities(tab), wanted, rtol=2e-4, atol=1e-6)
    go_backward(tab)  # now gradients are those of the changed network
    y, tape = model.forward(x)
    p = functional.softmax(y)
    p[0, tab.evaluate("page.net.target")] -= 1
    dx, _ = model.backward(p, tape)
    found = numbers(tab, "Array.from(page.net.dy(0).data)").reshape(x.shape)
    np.testing.assert_allclose(found, dx, rtol=1e-3, atol=1e-4 * np.abs(dx).max())


def test_a_change_that_does_not_fit_the_next_layer_is_refused(tmp_path, opened):
    convolution = layers.Conv2D(2, 3, name="conv")
    model = Sequential([Input((8, 8, 3)), convolution, layers.Flatten(), layers.Dense(2)])
    tab = opened(build(model, photo((8, 8, 3)), tmp_path / "page.html"))
    open_layer(tab, "conv")
    tab.get_by_role("tab", name="What if").click()
    changed(tab, lambda: tab.get_by_label("Stride").select_option("2"))
    assert "expects 72 features" in tab.locator(".results").inner_text()


def test_a_kernel_of_one_pixel_has_no_edges_and_its_largest_gradient_is_shown_first(
    tmp_path, opened
):
    ends = [layers.GlobalAveragePooling2D(), layers.Dense(3, name="scores")]
    model = Sequential([Input((6, 6, 3)), layers.Conv2D(4, 1, name="point"), *ends])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    x = photo((6, 6, 3)) / 255
    tab = opened(build(model, x, tmp_path / "page.html", y=0))
    open_layer(tab, "point")
    tab.get_by_role("tab", name="What if").click()
    assert tab.locator(".presets button").all_inner_texts() == ["zeros", "centre"]
    go_backward(tab)
    tab.get_by_role("tab", name="Weights’ gradients").click()
    trace = model.trace(x, y=[0], loss=losses.SparseCategoricalCrossentropy(from_logits=True))
    at = np.unravel_index(np.abs(trace["point"].grads["kernel"]).argmax(), (1, 1, 3, 4))
    assert f"kernel[{', '.join(map(str, at))}]" in tab.locator(".arithmetic h3").first.inner_text()
