"""The network learns on the page, in the same steps as in minicnn.

The page's steps run in a worker; a test asks for some, waits, and compares weights and losses.
"""

import numpy as np
import pytest
from pages import NAMES, numbers, seeded, wait

import minicnn
from minicnn import Input, Model, Sequential, initializers, layers, losses, optimizers
from minicnn.explain.page import build
from minicnn.explain.page.learning import parts_of
from minicnn.explain.page.passes import config_of
from minicnn.layers.applications import StochasticDepth

LOSS = losses.SparseCategoricalCrossentropy(from_logits=True)


def small(last="logits"):
    """Return a small CNN for 12×12 pixels; `last` is what its output says."""
    model = Sequential(
        [
            Input((12, 12, 3)),
            layers.Rescaling(1 / 255, name="rescaling"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="first"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(6, 3, activation="tanh", kernel_regularizer="l2", name="second"),
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(5, activation="softmax" if last == "softmax" else None, name="scores"),
        ]
    )
    return seeded(model)


def in_training():
    """Return a network whose layers differ in training, one of them twice, one frozen."""
    inputs = Input((12, 12, 3))
    x = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="first")(x)
    x = layers.BatchNormalization(momentum=0.5, name="norm")(x)
    x = layers.SpatialDropout2D(0.25, name="maps")(layers.ReLU(name="relu")(x))
    twice = layers.DepthwiseConv2D(3, padding="same", name="twice")
    x = layers.Add(name="add")([x, twice(twice(x))])
    frozen = layers.BatchNormalization(trainable=False, name="frozen")
    x = layers.AlphaDropout(0.2, (None, 1, 6, None), name="alpha")(frozen(x))
    x = layers.Dropout(0.25, (1, None, 1, 1), name="rows")(x)
    x = layers.Flatten(name="flatten")(layers.AlphaDropout(0.1, name="alpha_too")(x))
    x = layers.Dropout(0.5, seed=3, name="dropout")(layers.Dropout(0.25, name="drop")(x))
    model = Model(inputs, layers.Dense(5, name="scores")(x))
    minicnn.utils.set_random_seed(2)
    return minicnn.models.clone_model(model)


def photos(count=12, size=12):
    rng = np.random.default_rng(4)
    x = rng.integers(0, 256, (count, size, size, 3)).astype(np.float32)
    y = np.arange(count) % 5
    x[np.arange(count), :, y] += 40  # something to learn
    return np.minimum(x, 255), y


def page_of(tmp_path, model, **options):
    x, y = photos()
    return build(model, x[:1], tmp_path / "page.html", class_names=NAMES, data=(x, y), **options)


def open_learning(tab):
    tab.get_by_role("button", name="Learn", exact=True).click()
    wait(tab, "page.course?.report && page.course.images")


def choose(tab, **choice):
    tab.evaluate("(c) => page.learn(c)", choice)


def take(tab, steps):
    """Go on to a step on the page, and return weights, losses and accuracies."""
    tab.evaluate("(n) => page.course.go(n)", steps)
    wait(tab, f"page.course.step === {steps}", seconds=60)
    found = tab.evaluate(
        """() => ({
            weights: [...page.course.report.weights].map(([k, p]) => [k, Array.from(p.data)]),
            history: page.course.report.history,
        })"""
    )
    history = found["history"]
    return dict(found["weights"]), *([h[k] for h in history] for k in ("loss", "accuracy"))


def train(model, optimizer, steps, batch):
    """Make the same steps in Python: the examples in turn, round and round."""
    x, y = photos()
    model.compile(optimizer, LOSS if model.layers[-1].activation_name == "linear" else
                  "sparse_categorical_crossentropy", metrics=["accuracy"])  # fmt: skip
    logs = []
    for step in range(steps):
        these = np.arange(step * batch, (step + 1) * batch) % len(x)
        logs.append(model.train_on_batch(x[these], y[these]))
    weights = {v.path: v.numpy() for v in model.weights}
    return weights, *zip(*logs, strict=True)


def compare(found, wanted, tolerance=2e-4):
    weights, loss, accuracy = found
    assert set(weights) == set(wanted[0])
    for path, w in wanted[0].items():
        np.testing.assert_allclose(weights[path], w.ravel(), rtol=0, atol=tolerance, err_msg=path)
    np.testing.assert_allclose(loss, wanted[1], rtol=1e-4)
    np.testing.assert_allclose(accuracy, wanted[2], atol=1e-6)


OPTIMIZERS = {
    "SGD": optimizers.SGD(0.05),
    "SGD, momentum": optimizers.SGD(0.05, momentum=0.9),
    "SGD, Nesterov": optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "RMSprop": optimizers.RMSprop(0.05),
    "Adam": optimizers.Adam(0.05),
    "AdamW": optimizers.AdamW(0.05),
}


def test_twenty_steps_are_those_of_minicnn(tmp_path, opened):
    tab = opened(page_of(tmp_path, small()))
    open_learning(tab)
    for name, optimizer in OPTIMIZERS.items():
        choose(tab, optimizer=name, batch=4)
        choose(tab, rate=0.05)
        found = take(tab, 20)
        wanted = train(small(), optimizer, 20, 4)
        compare(found, wanted)
        assert wanted[1][-1] < wanted[1][0], name


def test_layers_that_differ_in_training_do_so_on_the_page(tmp_path, opened):
    """Dropout draws minicnn's masks; batch normalization takes the batch, and moves its means."""
    model = in_training()
    tab = opened(page_of(tmp_path, model))
    open_learning(tab)
    choose(tab, optimizer="SGD", batch=4)
    found = take(tab, 10)
    minicnn.utils.set_random_seed(0)  # of the page's masks
    compare(found, train(model, optimizers.SGD(0.01), 10, 4))


def augmenting():
    """Return a network with every kind of augmentation, behind a layer that learns."""
    inputs = Input((12, 12, 3))
    x = layers.RandomInvert((0.2, 0.6), name="invert")(layers.RandomGrayscale(0.4)(inputs))
    x = layers.RandomErasing(0.9, (0.1, 0.5), name="noise_in_it")(x)
    x = layers.RandomColorDegeneration((-0.5, 0.7), name="pale")(x)
    x = layers.RandomErasing(1, (0.05, 0.1), (9, 99, 199), name="a_colour_in_it")(x)
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    x = layers.Conv2D(3, 3, padding="same", name="first")(layers.RandomFlip()(x))
    x = layers.RandomGrayscale(0.4, name="gray")(x)
    x = layers.RandomColorDegeneration((-1, 1), (-0.9, 0.9), name="degeneration")(x)
    x = layers.RandomErasing(1, (0.1, 0.4), (0.5, -0.5, 0.1), (-1, 1), name="erasing")(x)
    x = layers.RandomSharpness(1, (-1, 1), name="sharp")(x)
    x = layers.RandomGaussianBlur(0.8, (5, 3), (0.4, 0.9), (-0.8, 0.9), name="blur")(x)
    x = layers.RandomRotation(0.5, "wrap", "nearest", name="turn_far")(x)
    x = layers.RandomFlip("horizontal", seed=5, name="flip")(x)
    x = layers.RandomRotation(0.2, "constant", fill_value=0.5, name="turn")(x)
    x = layers.RandomTranslation(0.3, (-0.1, 0.2), interpolation="nearest", name="shift")(x)
    x = layers.RandomZoom((-0.3, 0.4), 0.2, "wrap", name="zoom")(x)
    x = layers.RandomShear(0.2, (0.1, 0.3), fill_mode="nearest", name="shear")(x)
    x = layers.RandomCrop(10, 9, name="crop")(layers.RandomRotation(0.1, name="turn_again")(x))
    x = layers.RandomCrop(7, 12, name="resized")(x)
    x = layers.RandomContrast(0.4, (-0.5, 0.5), name="contrast")(x)
    x = layers.RandomBrightness(0.2, (-0.5, 0.5), name="brightness")(x)
    x = layers.GaussianDropout(0.2, name="rough")(layers.GaussianNoise(0.1, name="noise")(x))
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return seeded(Model(inputs, layers.Dense(5, name="scores")(x)), 0.4)


def test_augmentation_draws_on_the_page_as_in_python(tmp_path, opened):
    model = augmenting()
    tab = opened(page_of(tmp_path, model))
    open_learning(tab)
    choose(tab, optimizer="SGD", batch=5)
    choose(tab, rate=0.5)
    found = take(tab, 8)
    minicnn.utils.set_random_seed(0)
    wanted = train(model, optimizers.SGD(0.5), 8, 5)
    compare(found, wanted)
    before = augmenting().get_layer("first").kernel.numpy()
    assert np.abs(wanted[0]["first/kernel"] - before).max() > 5e-3  # much more than the tolerance


def changing():
    """Return layers that change images at random in training, with pixels of 0 … 1 or 0 … 255."""
    unit = {"value_range": (0, 1)}
    return [
        layers.RandomHue(0.7, unit["value_range"]),
        layers.RandomHue((0.2, 1)),
        layers.RandomSaturation((0.1, 0.9), (0, 1)),
        layers.RandomSaturation(1.0),
        layers.RandomPosterization((2, 6)),
        layers.RandomPosterization((3, 3), (0, 1)),
        layers.Solarization(0.4, (0, 0.8)),
        layers.Solarization((0.1, 0.2), (0.2, 1), (0, 1)),
        layers.Equalization(),
        layers.Equalization((0, 1), bins=20),
        layers.RandomColorJitter((0, 1), 0.3, (0.2, 0.5), (0.4, 0.6), 0.2),
        layers.RandomColorJitter(contrast_factor=0.5, hue_factor=(0.1, 0.2)),
        *[layers.RandAugment((0, high), 4, 0.5, way) for high in (1, 255)
          for way in ("bilinear", "nearest")],
        layers.RandAugment(num_ops=9, factor=(0.1, 0.2)),
        *(layers.MixUp(), layers.MixUp(1.0), layers.MixUp(2.5)),
        *(layers.CutMix(), layers.CutMix((0.3, 0.4)), layers.CutMix((1, 1)), layers.CutMix(0)),
        StochasticDepth(0.4),
    ]  # fmt: skip


CHANGE = """async (jobs) => {
    const { IN_TRAINING } = await import("page/learn/training.js");
    const { Generator } = await import("page/learn/random.js");
    const random = new Generator(5);
    const data = (all) => all.flatMap((one) => Array.from(one.data));
    return jobs.map(({ layer, shape, given }) => {
        const size = shape.reduce((a, b) => a * b);
        const [xs, dys] = given.map((all) => Array.from({ length: all.length / size }, (_, n) =>
            page.array(shape, Float32Array.from(all.slice(n * size, (n + 1) * size)))));
        const { ys, kept } = IN_TRAINING[layer.type].forward({ layer, xs, random });
        return [data(ys), data(IN_TRAINING[layer.type].backward({ layer, xs, dys, kept }).dxs)];
    });
}"""


def test_random_changes_are_those_of_python(plain_page, opened):
    """Forward and backward, one batch after the other, with the same generator.

    Its seed is one for which no step function, such as Equalization, finds a rounded number next to
    its step: there the page and Python may differ by a step in a few pixels.
    """
    rng = np.random.default_rng(3)
    minicnn.utils.set_random_seed(5)
    jobs, wanted = [], []
    for layer in 2 * changing():
        high = getattr(layer, "value_range", (0, 255))[1]
        x = rng.integers(0, 256, (5, 5, 6, 3)).astype(np.float32)
        x[1:3] //= 99  # equal colours, and black
        x[..., 1] = 9 if len(jobs) % 2 else x[..., 1]
        x *= np.float32(high / 255)
        dy = rng.normal(size=x.shape).astype(np.float32)
        y, cache = layer.forward(x, training=True)
        assert not np.array_equal(x, y), layer
        wanted.append((y, layer.backward(dy, cache)[0]))
        spec = {"type": type(layer).__name__, "config": config_of(layer), **parts_of(layer)}
        given = [x.ravel().tolist(), dy.ravel().tolist()]
        jobs.append({"layer": spec, "shape": x.shape[1:], "given": given})
    for job, found, (y, dx) in zip(
        jobs, opened(plain_page[2]).evaluate(CHANGE, jobs), wanted, strict=True
    ):
        near = {"rtol": 1e-5, "err_msg": str(job["layer"])}
        np.testing.assert_allclose(found[0], y.ravel(), atol=1e-5 * y.max(), **near)
        atol = 1e-5 * max(1, np.abs(dx).max())
        np.testing.assert_allclose(found[1], dx.ravel(), atol=atol, **near)


def test_a_network_of_lines_learns(tmp_path, opened):
    model = Sequential(
        [
            *(Input((16, 3)), layers.Conv1D(4, 3, 2, activation="relu", name="first")),
            *(layers.MaxPooling1D(name="pool"), layers.BatchNormalization(name="norm")),
            *(layers.SpatialDropout1D(0.25, name="maps"), layers.Flatten(name="flatten")),
            layers.Dense(5, name="scores"),
        ]
    )
    seeded(model)
    model.get_layer("norm").moving_variance.value[:] = 1
    x = np.random.default_rng(2).normal(size=(8, 16, 3)).astype(np.float32)
    y = np.arange(8) % 5
    tab = opened(build(model, x[:1], tmp_path / "page.html", data=(x, y)))
    assert tab.locator(".caption p").inner_text().startswith("Forward: from the input to")
    open_learning(tab)
    choose(tab, optimizer="SGD", batch=4)
    choose(tab, rate=0.1)
    found = take(tab, 6)
    assert tab.locator(".learn-photo").count() == 4
    minicnn.utils.set_random_seed(0)
    model.compile(optimizers.SGD(0.1), LOSS, metrics=["accuracy"])
    these = [np.arange(k, k + 4) % 8 for k in range(0, 24, 4)]
    logs = [model.train_on_batch(x[k], y[k]) for k in these]
    compare(found, ({v.path: v.numpy() for v in model.weights}, *zip(*logs, strict=True)))


def test_a_softmax_or_sigmoid_at_the_end(tmp_path, opened):
    model = small("softmax")
    tab = opened(page_of(tmp_path, model))
    open_learning(tab)
    choose(tab, optimizer="SGD", batch=8)
    compare(take(tab, 6), train(model, optimizers.SGD(0.01), 6, 8))
    x, y = photos()
    ends = layers.Dense(1, activation="sigmoid", name="score")
    model = seeded(
        Sequential([Input((12, 12, 3)), layers.Rescaling(1 / 255), layers.Flatten(), ends])
    )
    page = build(model, x[:1], tmp_path / "two.html", class_names=["a", "b"], data=(x, y > 2))
    tab = opened(page)
    open_learning(tab)
    choose(tab, optimizer="SGD", batch=4)
    choose(tab, rate=0.1)
    found = take(tab, 6)
    model.compile(optimizers.SGD(0.1), "binary_crossentropy", metrics=["accuracy"])
    logs = [model.train_on_batch(x[i : i + 4], y[i : i + 4] > 2) for i in (0, 4, 8, 0, 4, 8)]
    compare(found, ({v.path: v.numpy() for v in model.weights}, *zip(*logs, strict=True)))


def test_new_weights_are_those_of_a_seed(tmp_path, opened):
    model = small()
    tab = opened(page_of(tmp_path, model))
    open_learning(tab)
    for seed in (7, 0, 2**32 - 1):
        choose(tab, **{"from": "new", "seed": seed})
        minicnn.utils.set_random_seed(seed)
        fresh = minicnn.models.clone_model(model)
        found = dict(
            tab.evaluate("[...page.course.weights()].map(([k, p]) => [k, Array.from(p.data)])")
        )
        for variable in fresh.weights:
            np.testing.assert_array_equal(
                np.float32(found[variable.path]), variable.numpy().ravel(), err_msg=variable.path
            )


def drawn_in_all_ways():
    """Return a network whose weights begin in every way that the page has."""
    kinds = initializers
    ways = [
        kinds.HeNormal(), kinds.RandomNormal(0.5, 2), kinds.TruncatedNormal(-1, 0.5),
        kinds.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        kinds.GlorotUniform(seed=3), kinds.HeNormal(seed=2**31 + 5), kinds.RandomUniform(0, 3, 1),
        kinds.RandomNormal(0.25, 0.5, seed=7), kinds.TruncatedNormal(1, 2, seed=0),
        kinds.Orthogonal(0.5), kinds.Orthogonal(seed=8),
    ]  # fmt: skip
    return Sequential(
        [
            *(Input((12, 12, 3)), layers.Rescaling(1 / 255)),
            *[layers.Conv2D(11, 3, padding="same", kernel_initializer=way) for way in ways],
            layers.SeparableConv2D(4, 3, depthwise_initializer="he_normal", name="separable"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(6, kernel_initializer=kinds.Identity(0.5)),
            layers.Dense(9, kernel_initializer="orthogonal"),  # more columns than rows
            layers.Dense(5, bias_initializer=kinds.LecunNormal(seed=4), name="scores"),
        ]
    )


def test_new_weights_begin_as_in_python_however_they_are_drawn(tmp_path, opened):
    """Uniform ones are equal, normal ones up to the last bit of a logarithm, sine or cosine."""
    minicnn.utils.set_random_seed(9)
    model = drawn_in_all_ways()
    tab = opened(page_of(tmp_path, model))
    open_learning(tab)
    choose(tab, **{"from": "new", "seed": 9})
    found = tab.evaluate("[...page.course.weights()].map(([k, p]) => [k, Array.from(p.data)])")
    found = {path: np.float32(data) for path, data in found}
    for variable in model.weights:
        np.testing.assert_allclose(
            found[variable.path], variable.numpy().ravel(), rtol=1e-6, atol=1e-7,
            err_msg=variable.path,
        )  # fmt: skip
    assert len({data.tobytes() for data in found.values() if data.any()}) == 17


def test_going_back_and_on_again_gives_the_same_numbers(tmp_path, opened):
    tab = opened(page_of(tmp_path, in_training()))
    open_learning(tab)
    weights = "[...page.course.report.weights.values()].flatMap((p) => Array.from(p.data))"
    take(tab, 4)
    at_four, why = numbers(tab, weights), tab.evaluate("page.course.report.explanation.shares")
    take(tab, 5)
    tab.get_by_label("Step", exact=True).fill("4")
    wait(tab, "page.course.step === 4")
    assert np.array_equal(numbers(tab, weights), at_four)
    assert tab.evaluate("page.course.report.explanation.shares") == why
    assert "step 4 of 5" in tab.locator(".learn-count").inner_text()
    # Back and forth at once: each leads on from the one before.
    tab.evaluate("() => { page.course.take(); page.course.take(); page.course.back(); }")
    wait(tab, "page.course.waiting.size === 0")
    assert tab.evaluate("page.course.step") == 5
    tab.evaluate("void page.course.go(4)")
    wait(tab, "page.course.step === 4")
    # Another learning rate makes another future.
    tab.get_by_label("learning rate").fill("0.5")
    tab.get_by_label("learning rate").press("Enter")
    wait(tab, "page.course.steps === 4")
    take(tab, 5)
    assert tab.evaluate("page.course.report.history.map((h) => h.rate)") == [*[0.001] * 4, 0.5]


def test_a_weight_s_step_is_explained_as_in_python(tmp_path, opened):
    tab = opened(page_of(tmp_path, small()))
    open_learning(tab)
    assert "Take a step" in tab.locator(".learn-weight .void").inner_text()
    choose(tab, optimizer="Adam", batch=4)
    take(tab, 2)
    tab.get_by_label("Layer", exact=True).select_option(label="second")
    tab.get_by_label("Index 3 of 6").fill("2")
    tab.get_by_label("Index 3 of 6").press("Enter")
    wait(
        tab, "page.course.watched.at?.[3] === 2 && page.course.report.explanation.offset % 6 === 2"
    )
    take(tab, 3)
    model, (x, y) = small(), photos()
    train(model, optimizers.Adam(0.001), 2, 4)
    at = tuple(tab.evaluate("page.course.watched.at"))
    update = model.trace(x[8:12], y=y[8:12]).explain_update("second", "kernel", at=at)
    found = tab.evaluate("page.course.report.explanation")
    assert found["step"] == update.step == 3
    shares = {one["example"] - 8: one["share"] for one in found["shares"]}
    for one in update.shares:
        assert shares[one.example] == pytest.approx(one.share, rel=1e-3, abs=1e-8)
    assert found["after"] == pytest.approx(update.value, rel=1e-5)
    lines = {step.name: step.value for step in update.steps}
    shown = {
        line.locator("b").first.inner_text(): line.locator("b").last.get_attribute("title")
        for line in tab.locator(".learn-lines li").all()
    }
    for name in ("penalty", "m", "v", "rate", "√v + ε", "update"):
        text = shown["+ penalty" if name == "penalty" else name].replace("−", "-")
        assert float(text) == pytest.approx(lines[name], rel=2e-3), name
    assert "√(1 − 0.999³)" in tab.locator(".learn-lines").inner_text()
    assert "·10⁻⁷" in tab.locator(".learn-lines").inner_text()  # epsilon
    assert tab.locator(".learn-weight .tick.off").count() == 0
    pushed = tab.locator(".learn-shares tbody tr").all()
    assert len(pushed) == 4
    for row in pushed:
        below = "−" in row.locator("td.strong").inner_text()
        assert row.locator("td").last.inner_text() == ("up" if below else "down")


def test_learning_with_keys_and_names(tmp_path, opened):
    tab = opened(page_of(tmp_path, small()))
    tab.keyboard.press("l")
    wait(tab, "page.course?.report && page.course.images")
    ticks = tab.locator(".learn-chart").first.locator("text").all_text_contents()
    assert ticks == ["0", "0.500", "1"]  # though there is no loss yet
    assert tab.get_by_role("button", name="Back to the start").is_disabled()
    tab.keyboard.press(".")
    wait(tab, "page.course.step === 1")
    loss = tab.evaluate("page.course.report.history[0].loss")
    wait(tab, f"document.querySelector('.live').textContent.includes('loss {loss:.3f}')")
    assert tab.get_by_role("img", name="Loss: ").count() == 1
    assert tab.get_by_role("button", name="map 0 now").count() == 1
    tab.keyboard.press(" ")
    wait(tab, "page.course.step >= 4")
    assert tab.get_by_role("button", name="Pause").count() == 1
    tab.keyboard.press(" ")
    wait(tab, "!page.course.playing")
    tab.get_by_role("button", name="Back to the start").click()
    wait(tab, "page.course.step === 0")
    # It plays once, though it is stopped and begun again before a step has ended.
    found = tab.evaluate(
        """async () => {
            const { course } = page;
            let now = 0, together = 0, steps = 0;
            course.take = async () => {
                if (++now > 1) together += 1;
                await new Promise((resolve) => setTimeout(resolve, 20));
                now -= 1;
                return ++steps < 4;
            };
            const played = [true, false, true].map((on) => course.play(on));
            await Promise.all(played);
            delete course.take;
            return [together, steps];
        }"""
    )
    assert found == [1, 4]  # the first loop ends with the step that it was in
    tab.keyboard.press("Escape")
    assert tab.locator(".overview").count() == 1
    assert tab.evaluate("page.course.playing") is False


def test_the_page_responds_while_it_learns(tmp_path, opened):
    """The steps are made in a worker: in the meantime the page answers."""
    tab = opened(page_of(tmp_path, small()))
    open_learning(tab)
    tab.evaluate("() => { page.course.go(400); }")
    assert tab.evaluate("[page.course.waiting.size, page.course.step]") == [1, 0]
    tab.get_by_label("Layer", exact=True).select_option(label="scores")
    assert tab.evaluate("page.course.watched.name") == "kernel"
    wait(tab, "page.course.step === 400 && page.course.report.explanation.key === 'scores/kernel'")


def test_a_photo_of_the_batch_goes_through_the_layer_and_the_network_is_seen_inside(
    tmp_path, opened
):
    tab = opened(page_of(tmp_path, small()))
    open_learning(tab)
    choose(tab, optimizer="SGD, momentum", batch=4)
    choose(tab, rate=0.2)
    take(tab, 6)
    tab.locator(".learn-photo").nth(1).click()
    wait(tab, "page.course.shown.example >= 0")
    model, x = small(), photos()[0]
    train(model, optimizers.SGD(0.2, momentum=0.9), 6, 4)
    example = tab.evaluate("page.course.shown.example")
    wait(tab, "page.course.waiting.size === 0")
    _, tape = model.forward(x[[example]])
    maps = numbers(tab, "Array.from(page.course.report.maps.data)")
    np.testing.assert_allclose(maps, tape["first"].y.ravel(), rtol=1e-3, atol=1e-4)
    # Now every number of the network is that of the step.
    tab.get_by_role("button", name="Look inside").click()
    wait(tab, "page.state.view === 'overview' && page.net.alternatives.size > 3")
    scores = numbers(tab, "Array.from(page.net.y(page.net.output).data)")
    np.testing.assert_allclose(scores, model.predict(x[:1], verbose=0)[0], rtol=1e-3, atol=1e-4)
    tab.get_by_role("button", name="What-if is on").click()
    wait(tab, "!page.net.changed")


def test_the_maps_are_those_of_the_photo_shown(tmp_path, opened):
    model, (x, y) = small(), photos()
    tab = opened(build(model, x[:2], tmp_path / "page.html", class_names=NAMES, data=(x, y)))
    open_learning(tab)
    for number in (1, 0):
        tab.get_by_role("button", name=f"Photo {number}:").click()
        wait(tab, f"page.net.shown === {number} && page.course.waiting.size === 0")
        maps = numbers(tab, "Array.from(page.course.report.maps.data)")
        wanted = model.forward(x[number, None])[1]["first"].y
        np.testing.assert_allclose(maps, wanted.ravel(), rtol=1e-3, atol=1e-4)


def test_a_rate_that_is_too_large_is_seen_and_undone(tmp_path, opened):
    tab = opened(page_of(tmp_path, small()))
    open_learning(tab)
    choose(tab, optimizer="SGD, momentum", batch=4)
    choose(tab, rate=1000)
    tab.evaluate("page.course.go(40)")
    wait(tab, "page.course.step === 40", seconds=60)
    assert "The loss is no longer a number" in tab.locator(".learn-curves").inner_text()
    tab.get_by_role("button", name="Back to the start").click()
    wait(tab, "page.course.step === 0")
    choose(tab, rate=0.01)
    assert all(np.isfinite(take(tab, 3)[1]))
    tab.get_by_label("learning rate").fill("-1")
    tab.get_by_label("learning rate").press("Enter")
    assert tab.get_by_label("learning rate").input_value() == "0.01"


def test_of_a_large_matrix_the_part_around_the_weight_is_shown(tmp_path, opened):
    tab = opened(page_of(tmp_path, in_training()))
    open_learning(tab)
    tab.get_by_label("Layer", exact=True).select_option(label="scores")
    take(tab, 1)
    for row, text in ((140, "inputs 48 to 143 of 144"), (0, "inputs 0 to 95 of 144")):
        tab.get_by_label("Index 0 of 144").fill(str(row))
        tab.get_by_label("Index 0 of 144").press("Enter")
        wait(tab, f"page.course.watched.at[0] === {row}")
        notes = tab.locator(".learn-layer .note", has_text=text)
        notes.first.wait_for()
        assert notes.count() == 2
    before, after = (
        tab.evaluate(f"page.course.report.explanation.{what}") for what in ("w", "after")
    )
    kernel = numbers(tab, "Array.from(page.course.report.weights.get('scores/kernel').data)")
    at = tab.evaluate("page.course.watched.at")
    assert kernel.reshape(144, 5)[tuple(at)] == after != before


def test_a_browser_that_refuses_the_worker_gets_a_sentence(tmp_path, opened):
    tab = opened(page_of(tmp_path, small()))
    tab.evaluate(
        """() => {
            window.Worker = class {
                postMessage() { setTimeout(() => this.onerror({ message: "not here" })); }
            };
            page.openLearning();
        }"""
    )
    wait(tab, "page.course.error !== ''")
    says = tab.locator(".learn-error").inner_text()
    assert says == "The page could not start its worker: not here."


def test_learning_has_an_address(tmp_path, opened):
    page = page_of(tmp_path, small())
    tab = opened(page, address="#:learn")
    wait(tab, "page.course?.report && page.course.images")
    assert tab.get_by_role("button", name="Take a step").count() == 1
    model = small()
    without = build(model, photos()[0][:1], tmp_path / "without.html")
    tab = opened(without, address="#:learn", tab=tab)
    assert "no photos to learn from" in tab.locator(".notice").inner_text()
    assert tab.get_by_role("button", name="Learn", exact=True).count() == 0


def test_a_page_says_why_a_model_cannot_learn_there(tmp_path, opened):
    dense = layers.Dense(5, kernel_constraint="non_neg", name="scores")
    model = Sequential([Input((12, 12, 3)), layers.Flatten(), dense])
    tab = opened(page_of(tmp_path, seeded(model)), address="#:learn")
    button = tab.get_by_role("button", name="Learn", exact=True)
    assert button.is_disabled()
    assert "scores (Dense) has the constraint NonNeg" in button.get_attribute("title")
    assert "has the constraint NonNeg" in tab.locator(".notice").inner_text()


def test_weights_that_the_page_cannot_draw_are_not_offered(tmp_path, opened):
    own = initializers.HeNormal(seed=np.random.default_rng(0))
    model = Sequential(
        [
            *(Input((12, 12, 3)), layers.Rescaling(1 / 255), layers.Flatten()),
            layers.Dense(5, kernel_initializer=own, name="scores"),
        ]
    )
    tab = opened(page_of(tmp_path, model))
    open_learning(tab)
    option = tab.get_by_label("Start from").locator("option[value=new]")
    assert option.is_disabled()
    assert "scores/kernel starts from a generator of its own" in option.get_attribute("title")
