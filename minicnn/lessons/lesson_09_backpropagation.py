# %% [markdown]
# # Lesson 9: Backpropagation
#
# *20 minutes to read, 5 seconds to compute*
#
# Nobody wrote the kernels of lesson 4. How does a network find them? It asks, for each of its
# weights: *if you were a little larger, would the loss be larger or smaller, and how fast?* That is
# the weight's **gradient**. This lesson shows where it comes from, with every number in view.

# %%
import numpy as np

import minicnn as keras
from minicnn import explain
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(9)
layers = keras.layers

# %% [markdown]
# ## A chain of two
#
# Take the smallest network: one number in, two weights one after the other, one number out. The
# loss is the squared distance of the output from 1.
#
# **Before you run this:** x = 2, a = 0.5, b = 3. Should `a` grow or shrink to lower the loss?

# %%
x, a, b, target = 2.0, 0.5, 3.0, 1.0
h = a * x  # forward, step by step; we keep every result
y = b * h
loss = (y - target) ** 2
print("h =", h, " y =", y, " loss =", loss)

# %% [markdown]
# Now backward. We begin at the loss and go back step by step. Each step asks only: *how does my
# output change with my input?* and multiplies the answer by the gradient of its output. That is the
# whole chain rule.

# %%
dy = 2 * (y - target)  # the loss grows by this much for each unit of y
db = dy * h  # y = b · h grows by h for each unit of b
dh = dy * b  # … and by b for each unit of h
da = dh * x  # h = a · x grows by x for each unit of a
print("dy =", dy, " db =", db, " dh =", dh, " da =", da)

# %% [markdown]
# `da` is positive: with a larger `a` the loss grows, so `a` should shrink. Is that true? Let us
# nudge `a`.
#
# **Before you run this:** the loss is 4. If `a` grows by 0.001, roughly what will the loss be?

# %%
print("loss with a little more a:", (b * (a + 0.001) * x - target) ** 2)
print("slope:", ((b * (a + 0.001) * x - target) ** 2 - loss) / 0.001)

# %% [markdown]
# Nudging needs one pass through the network for each weight: 60,000 passes for a small network.
# The backward pass finds *all* gradients at once. That is why networks can learn at all.
#
# Note what it needs: `h`, `x` and `b`, numbers from the forward pass. So layers keep a *cache*.
#
# ## A small network, every number in view

# %%
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((6, 6, 1)),
        layers.Conv2D(2, 3, activation="relu", name="conv"),
        layers.MaxPooling2D(name="pool"),
        layers.Flatten(name="flatten"),
        layers.Dense(3, name="scores"),
    ]
)
model.compile(
    keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
)
x = np.random.default_rng(3).normal(size=(1, 6, 6, 1)).astype(np.float32)
label = np.array([1])  # the right class is number 1
trace = model.trace(x, y=label)
lesson.show(trace)

# %% [markdown]
# The table has a row for each layer. `‖dy‖` is the norm of the gradient that came back to the layer
# (the root of the sum of squares), `‖grads‖` the norm of the gradients of its own weights. From
# here on `x` is a layer's input and `y` its output; `dx` and `dy` are the gradients of the loss
# with respect to them.
#
# ### It begins at the end: p − y
#
# The gradient of softmax and cross-entropy together is as simple as can be: what the network says
# minus what is true.
#
# **Before you run this:** which of the three gradients will be negative? What is their sum?

# %%
scores = trace["scores"].y[0]
p = np.exp(scores) / np.exp(scores).sum()
print("p:    ", p.round(4))
print("p - y:", (p - [0, 1, 0]).round(4))
print("what backward began with:", trace["scores"].dy[0].round(4))

# %% [markdown]
# The score of the right class should grow (its gradient is negative: a larger score means less
# loss); the others should shrink, in proportion to the probability that the network gave them.
#
# ### Pooling sends the gradient to the maximum
#
# Max pooling let one of four numbers through. Only that one affected the result, so it gets the
# whole gradient.
#
# **Before you run this:** `conv` gives 4×4 numbers in each of two channels, and pooling keeps 2×2.
# How many of the 16 gradients of a channel can be nonzero?

# %%
pool = trace["pool"]
figure = draw.numbers(
    [pool.x[0, :, :, 0], pool.dy[0, :, :, 0], pool.dx[0, :, :, 0]],
    ["x: the input", "dy: gradient of the output", "dx: gradient of the input"],
    "Max pooling, channel 0: the maximum gets the whole gradient",
    digits=2,
)
lesson.show(figure)

# %% [markdown]
# ### ReLU is a gate
#
# Where ReLU made a number zero on the way forward, no gradient passes on the way back: a small
# change there changes nothing. The gradient behind the gate is called `dz`. (A filter whose output
# is zero for *every* image never learns again: a "dead ReLU".)
#
# ### The kernel: a sum over all places
#
# The convolution used the same weight at every place. So its gradient is a sum over all places:
# *gradient of the output there × input that the weight was multiplied by*.
#
# **Before you run this:** 4×4 places make 16 products. Most of them are zero. Why?

# %%
lesson.show(trace.explain_gradient("conv", "kernel", at=(0, 0, 0, 0)))

# %% [markdown]
# There the gate is closed, or the number was not the maximum of its pooling window: no gradient, no
# product. Here is the way from the loss down to this weight, along the largest contributions:

# %%
lesson.show(trace.why_gradient("conv", "kernel", at=(0, 0, 0, 0)))

# %% [markdown]
# ## Trust, but check
#
# Everyone who writes a backward pass checks it by nudging. `gradcheck` does this for every layer:
# it nudges some numbers of each array one at a time, then all of them at once. "Numeric" is the
# slope that nudging found. ("Kinks" are places where a nudge crosses a ReLU's zero: the slope is
# not defined there.)

# %%
lesson.show(explain.gradcheck(model, x, label))

# %% [markdown]
# Correct gradients can still be useless: far too large, or too small to matter. `health` examines a
# network before a long training run. Here somebody forgot to rescale the pixels (lesson 2).
#
# **Before you run this:** there are six classes. What loss does a network have that knows nothing?
# What will the loss of this one be, with pixels up to 255? And its gradients?

# %%
careless = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(4),
        layers.Flatten(),
        layers.Dense(6),
    ]
)
careless.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True))
network = keras.models.load_model(PRETRAINED, compile=False)
known = network.metadata["class_names"]
lesson.show(explain.health(careless, *lesson.photos("train", known, 4)))

# %% [markdown]
# ## A step of training has four parts
#
# This is what `fit` does, again and again: forward, the loss, backward, a small step.
#
# **Before you run this:** one image, 20 steps. Will the loss go up or down, and how far?

# %%
losses = []
cross_entropy = model.loss
for _ in range(20):
    scores, tape = model.forward(x)  # what does the model say?
    loss, cache = cross_entropy.forward(label, scores)  # how wrong is it?
    _, grads = model.backward(cross_entropy.backward(cache), tape)  # which weights are to blame?
    for name, weight in model.params.items():  # a small step down
        weight -= 0.1 * grads[name]
    losses.append(float(np.mean(loss)))
lesson.show(
    draw.lines({"loss": losses}, title="Twenty steps by hand", x_label="step", y_label="loss")
)

# %% [markdown]
# ## Back to the pixels
#
# Backward can go on to the image itself: which *pixels* would change the loss? Here are these
# gradients for the trained network.
#
# **Before you run this:** which pixels of a pair of pants matter most: the cloth, the edges, or the
# wall behind?

# %%
images, labels = lesson.photos("test", known)
some = [known.index(kind) * 20 + 4 for kind in ("dress", "hat", "pants", "shirt")]
batch = keras.applications.xception.preprocess_input(images[some])
trace = network.trace(batch, y=labels[some], loss=keras.losses.CategoricalCrossentropy())
strength = np.abs(trace.dx).max(axis=3)  # the largest of the three channels
strength /= strength.max(axis=(1, 2), keepdims=True)
lesson.show(draw.images(images[some], title="Four images", columns=4))
lesson.show(
    draw.maps(
        list(strength),
        title="How much each pixel matters for the loss",
        label="share of the largest",
    )
)

# %% [markdown]
# Mostly the clothes matter: a pixel of the wall matters about a quarter as much as one of the
# cloth. The brightest spots are on details, such as the waist of the pants and the collar of the
# shirt.
#
# ## Exercises
#
# **1.** Write `relu_backward(dy, x)`, which returns the gradient of ReLU's input. `x` is the input
# of the forward pass, `dy` the gradient of the output; both are arrays of the same shape.


# %%
def relu_backward(dy, x):
    return ...


lesson.check(1, relu_backward)

# %% [markdown]
# **2.** The network says: dress 0.2, hat 0.3, pants 0.5. The image shows a hat. Which three numbers
# does backward begin with? Answer with a list.

# %%
dz = ...
lesson.check(2, dz)

# %% [markdown]
# **3.** Write `slope(f, x)`: the slope of a function at x, found by nudging. If you nudge to both
# sides, the error is tiny; the check measures it.


# %%
def slope(f, x):
    return ...


lesson.check(3, slope)

# %% [markdown]
# **You now know** what `fit` does, and that there is no magic in it: only products, sums, and a
# tape that it reads backward.
