# %% [markdown]
# # Lesson 15: Residual connections
#
# *20 minutes to read, 15 seconds to compute*
#
# In 2014 the deepest networks that people could train had some 20 layers; at the end of 2015 one
# had 152. In between lies an idea that fits into one line: `y = x + f(x)`. Xception has it in
# nearly every block. This lesson measures, layer by layer, what goes wrong in a deep network
# without it, and what the plus sign does about that.

# %%
import numpy as np

import minicnn as keras
from minicnn import explain
from minicnn.lessons import Lesson, draw

lesson = Lesson(15)
layers = keras.layers
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
images, y = lesson.photos("train", count=20)
x = images[:, ::4, ::4] / 127.5 - 1  # every fourth pixel is enough here
print(x.shape, y.shape)

# %% [markdown]
# ## What arrives at the first layer
#
# We stack convolutions of 16 filters, each with a ReLU. The first one, the *stem*, turns the image
# into 8×8 pixels with 16 channels, and that shape stays from there on. (The function can build a
# few more kinds of network, which we explain when we need them.)


# %%
def convolution(x, number, normalized):
    name = f"conv{number:02d}"
    x = layers.Conv2D(16, 3, padding="same", use_bias=not normalized, name=name)(x)
    return layers.BatchNormalization(momentum=0.9)(x) if normalized else x


def block(x, number, kind, normalized):
    """Two convolutions; `kind` says whether there is a shortcut, and where the ReLUs are."""
    relu, add = layers.ReLU(), layers.Add(name=f"add{number:02d}")
    f = relu(x) if kind == "before" else x
    f = layers.ReLU()(convolution(f, number, normalized))
    f = convolution(f, number + 1, normalized)
    if kind == "plain":
        return relu(f)
    if kind == "after":
        return relu(add([x, f]))
    if kind == "inside":
        return add([x, relu(f)])
    return add([x, f])  # "before"


def make_model(depth, kind, normalized=True):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    stem = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")
    features = stem(inputs)
    for number in range(1, depth, 2):
        features = block(features, number, kind, normalized)
    average = layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, layers.Dense(10)(average))
    model.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"])
    return model


def gradients(model):
    """The norm of the gradient that comes back to each convolution, from the first to the last."""
    trace = model.trace(x[::10], y=y[::10], training=True)
    return [float(np.linalg.norm(entry.dy)) for entry in trace if entry.name.startswith("conv")]


# %% [markdown]
# With Keras's default weights (`glorot_uniform`) a convolution from 16 to 16 channels makes numbers
# whose squares are as large, on average, as those of its input. Then the ReLU sets about half of
# them to zero, and half of the sum of squares is gone. On the way back it is the same: half of the
# gradient is stopped.
#
# **Before you run this:** so each layer makes the gradient smaller, by a factor of √½, about 0.7.
# What is left of it after 10, 20 and 30 layers?

# %%
back = {f"{depth} layers": gradients(make_model(depth, "plain", False)) for depth in (10, 20, 30)}
for name, norms in back.items():
    factor = (norms[0] / norms[-1]) ** (1 / (len(norms) - 1))
    print(f"{name}: last {norms[-1]:.4f}, first {norms[0]:.1e}, factor per layer {factor:.2f}")
figure = draw.lines(
    back, None, "The gradient comes back, from right to left", "layer", "norm", log=True
)
lesson.show(figure)

# %% [markdown]
# Each step up the axis multiplies by the same number, so a straight line means: the same share is
# lost in each layer. After 30 layers a hundred-thousandth is left. That is a *vanishing gradient*.
# On the way forward the signal fades just as much. `health` (lesson 9) looks at both, and tries to
# make the network learn eight images by heart.

# %%
report = explain.health(make_model(30, "plain", False), x, y, steps=20)
for name in ("activations", "gradients", "tiny batch"):
    print(f"{name}: {report[name].measured}\n    {report[name].sentence}")

# %% [markdown]
# So little of the images arrives at the last layers that they cannot tell eight of them apart.
#
# ## A plus sign
#
# A *residual block* adds its input to what its layers compute:
#
# `y = x + f(x)`
#
# The layers no longer have to make y, only what must be added to x to get it, the *residual*. x
# itself comes along the *shortcut*. And on its way back the gradient takes both paths, too:
#
# `dx = dy + (what comes back through f)`
#
# Whatever f does to it, dy arrives.
#
# **Before you run this:** the smallest case: 20 layers, each of which multiplies by 0.1. How fast
# does the output change with the input? And how fast if each layer has a shortcut, y = x + 0.1 · x?

# %%
without, with_shortcuts = 0.1**20, (1 + 0.1) ** 20
print(f"without shortcuts: {without:.0e}")
print(f"with shortcuts:    {with_shortcuts:.2f}")

# %% [markdown]
# Multiply out (1 + a) · (1 + b) · (1 + c) = 1 + a + b + c + ab + ac + bc + abc. Each term is a path
# through the network: past all three layers (1), through one of them, through two, and so on.
# Without shortcuts there is only the last one, through all of them. So a residual network is many
# networks in one, and most of them are short: 15 blocks have 2¹⁵ = 32,768 paths.
#
# ## The same with layers
#
# Now each pair of convolutions gets a shortcut: y = ReLU(x + f(x)). That is how ResNet, the first
# network of this kind, did it in 2015.
#
# **Before you run this:** we look at a block in the middle, at the gradient that the `Add` passes
# to the shortcut, and at the one that comes back through the two convolutions. Which one is larger?
# What does the layer in front of the block get?

# %%
residual = make_model(30, "after", False)
trace = residual.trace(x[::10], y=y[::10])
shortcut, through = trace["add15"].dx[0], trace["conv15"].dx
before = trace["add15"].sources[0]  # the layer in front of the block
for name, gradient in (("shortcut", shortcut), ("through f", through), ("together", before.dy)):
    print(f"{name:9}: norm {np.linalg.norm(gradient):.5f}")
print("the sum of both:", np.allclose(shortcut + through, before.dy, atol=1e-9))

# %% [markdown]
# **Before you run this:** the gradients of all 30 convolutions once more, plain and with shortcuts.
# By how much do the first and the last layer differ now?

# %%
compared = {"plain": back["30 layers"], "with shortcuts": gradients(residual)}
print({name: f"first / last: {norms[0] / norms[-1]:.1e}" for name, norms in compared.items()})
figure = draw.lines(
    compared, None, "Thirty layers, without and with shortcuts", "layer", "norm", log=True
)
lesson.show(figure)

# %% [markdown]
# The gradient arrives. (It even grows a little on its way back: each block adds something.)
#
# ## Does it learn?
#
# A network of 30 layers can do all that one of 6 layers can: 24 of its layers need only pass on
# what they get. So it should not do *worse* on the images that it learns from. All of the following
# networks have batch normalization after each convolution; otherwise the deep ones would not learn
# at all.
#
# **Before you run this:** networks of 6 and 30 layers, plain and with shortcuts, learn for 8
# epochs. Order the four by their loss on the training images.

# %%
losses = {}
for kind, name in (("plain", "plain"), ("after", "with shortcuts")):
    for depth in (6, 30):
        model = make_model(depth, kind)
        losses[f"{depth}, {name}"] = model.fit(x, y, epochs=8, verbose=0).history["loss"]
for name, values in losses.items():
    print(f"{name:18}: loss {values[-1]:.2f} after 8 epochs")
lesson.show(draw.lines(losses, None, "Deeper is worse, unless there are shortcuts", y_label="loss"))

# %% [markdown]
# The plain deep network hardly gets away from log(10) = 2.30. That is not overfitting: it does
# badly on the very images that it learns from. A convolution that starts with random weights cannot
# even pass on what it gets, and 24 of them in a row spoil it thoroughly. With shortcuts, a block
# passes its input on by itself whenever f is near 0. And batch normalization alone is no remedy:

# %%
normalized = gradients(make_model(30, "plain"))
print(f"plain, normalized: first / last: {normalized[0] / normalized[-1]:.0f}")

# %% [markdown]
# Now the gradient *grows* on its way back, and throws the first layers about.
#
# ## When the shapes differ
#
# x and f(x) can only be added if they have the same shape. But some blocks make the image smaller
# and have more filters.
#
# **Before you run this:** x is 8×8 with 16 channels, f(x) is 4×4 with 32. What will `Add` say?

# %%
inputs = keras.Input((8, 8, 16))
f = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(inputs)
f = layers.Conv2D(32, 3, padding="same", use_bias=False)(f)
try:
    layers.Add()([inputs, f])
except ValueError as error:
    print(error)

# %% [markdown]
# So the shortcut needs a layer after all, one that changes the shape and as little else as it can:
# a 1×1 convolution with the same strides, a *projection*. It takes every second pixel and mixes its
# channels.
#
# **Before you run this:** how many weights does it have, and how many do the two convolutions of
# the block have?

# %%
projection = layers.Conv2D(32, 1, strides=2, use_bias=False)
print("shape:", layers.Add()([projection(inputs), f]).shape)
print(f"projection: {projection.count_params():,} weights")
print(f"the block:  {9 * 16 * 32 + 9 * 32 * 32:,} weights")

# %% [markdown]
# It is cheap, but it is no longer the identity, so networks have few of them: one wherever the
# shape changes.
#
# **Before you run this:** Xception has 14 blocks. How many of them have a shortcut? How many of
# these are projections?

# %%
xception = keras.applications.Xception(weights=None)
adds = [layer for layer in xception.layers if isinstance(layer, layers.Add)]
convolutions = [layer for layer in xception.layers if isinstance(layer, layers.Conv2D)]
projections = [layer for layer in convolutions if layer.kernel_size == (1, 1)]
print(f"shortcuts: {len(adds)}, projections: {len(projections)}")

# %% [markdown]
# ## Where does the ReLU go?
#
# There are three places for the ReLU of a block: after the sum, inside f as its last layer, or
# before f's first convolution.
#
# ```
# after:   y = ReLU(x + f(x))           inside:  y = x + ReLU(f(x))
# before:  y = x + f(ReLU(x))
# ```
#
# **Before you run this:** let x be −2 and 1, and f(x), whatever it is, −1 and −1. What is y in each
# case? In which case can a block never make a number smaller?

# %%
a, b = np.array([-2.0, 1.0]), np.array([-1.0, -1.0])
print("after: ", np.maximum(a + b, 0))
print("inside:", a + np.maximum(b, 0))
print("before:", a + b)

# %% [markdown]
# With "inside", a block can only add to its input, never take away: the ReLU leaves no negative f.
# And only "after" changes numbers on the shortcut itself: with f = 0, it would turn the −2 into 0.
#
# **Before you run this:** 15 such blocks in a row. What happens to the mean of the numbers, from
# block to block, in each of the three?

# %%
means = {}
for kind in ("after", "inside", "before"):
    trace = make_model(30, kind).trace(x[::10], training=True)
    ends = [trace[f"add{number:02d}"] for number in range(1, 30, 2)]
    if kind == "after":  # the ReLU after the sum belongs to the block
        means[kind] = [float(np.maximum(entry.y, 0).mean()) for entry in ends]
    else:
        means[kind] = [float(entry.y.mean()) for entry in ends]
    print(f"{kind:6}: block 1 {means[kind][0]:.2f}, block 15 {means[kind][-1]:.2f}")
lesson.show(draw.lines(means, None, "The mean after each block", "block", "mean"))

# %% [markdown]
# With "inside", the mean grows block by block. With "after", it grows, too, but more slowly. With
# "before", it stays where it was: along the shortcut there is nothing but additions, from the first
# block to the last.
#
# **Before you run this:** which of them learns fastest?

# %%
for kind in ("inside", "before"):
    losses[kind] = make_model(30, kind).fit(x, y, epochs=8, verbose=0).history["loss"]
losses["after"] = losses.pop("30, with shortcuts")
orders = {kind: losses[kind] for kind in ("after", "inside", "before")}
print({kind: f"{values[-1]:.2f}" for kind, values in orders.items()})
lesson.show(draw.lines(orders, None, "Thirty layers: where the ReLU is", y_label="loss"))

# %% [markdown]
# "Before" is ahead by far in these short trainings, and "inside" is the worst. The inventors of
# ResNet found the same in 2016, with up to a thousand layers: their second version, as in
# `ResNet50V2`, has its ReLUs and normalizations before the convolutions. In Xception's middle, too,
# the ReLU comes first.
#
# ## Exercises
#
# **1.** A block computes `y = x + ReLU(x @ w)`. Write `residual_backward(dy, x, w)`, which returns
# dx. `x` and `dy` have shape (n, 2), `w` has shape (2, 2).


# %%
def residual_backward(dy, x, w):
    return ...


lesson.check(1, residual_backward)

# %% [markdown]
# **2.** A block turns 32×32 pixels with 64 channels into 16×16 with 128. How many weights does its
# projection have? (It has no bias.)

# %%
weights = ...
lesson.check(2, weights)

# %% [markdown]
# **3.** Write `residual_block(x, filters, strides)` for a symbol `x`: two 3×3 convolutions with
# `padding="same"` (the first one has the strides), a ReLU between them, the shortcut, and a ReLU
# after the sum. Where shapes differ, the shortcut gets a projection; otherwise it gets none.


# %%
def residual_block(x, filters, strides):
    return ...


lesson.check(3, residual_block)

# %% [markdown]
# **You now know** why depth alone can make a network worse, what a shortcut does forward and
# backward, and where its ReLU belongs. Lesson 16 looks into Xception's blocks.
