# %% [markdown]
# # Lesson 6: The learning rate
#
# *Section 8.6 of the course · 12 minutes to read, 4 seconds to compute*
#
# Training is like walking downhill in fog. The *gradient* says which way is up; you take a step the
# other way. The **learning rate** is how long the step is, and it is the one knob that can ruin
# everything. So turn it first.

# %%
import numpy as np

import minicnn as keras
from minicnn import plots
from minicnn.lessons import Lesson, draw

lesson = Lesson(6)
layers = keras.layers

# %% [markdown]
# ## One weight
#
# Let the loss be (w − 1)². The best w is 1. The slope at w is 2·(w − 1), and a step is
#
# `new w = w − learning rate · slope`


# %%
def walk(rate, steps=12, w=3.0):
    path = [w]
    for _ in range(steps):
        w = w - rate * 2 * (w - 1)
        path.append(w)
    return path


# %% [markdown]
# **Before you run this:** we start at w = 3 with the rates 0.02, 0.3, 0.9 and 1.05. Which one
# arrives at 1 first? What happens with 1.05?

# %%
rates = (0.02, 0.3, 0.9, 1.05)
paths = {f"rate {rate}": walk(rate) for rate in rates}
figure = draw.lines(
    paths, x=range(13), title="Downhill to 1 with four rates", x_label="step", y_label="w"
)
lesson.show(figure)

# %% [markdown]
# Too small: it crawls. Too large: each step jumps over the valley and lands higher on the other
# side. Between them lies a wide range of rates that work.
#
# ## A real network
#
# Now we take lesson 5's network: the frozen base, and a head for all ten kinds, with 20 images of
# each kind to learn from. The base always computes the same features for an image, so we run it
# once: from here on each image is a vector of 64 numbers.
#
# Nobody can draw a valley in 650 dimensions. So we try several rates, each ten times the last.

# %%
network = lesson.network()
base = keras.Model(network.input, network.get_layer("average").output)


def vectors(split, count):
    images, labels = lesson.photos(split, count=count)
    inputs = keras.applications.xception.preprocess_input(images)
    return base.predict(inputs, verbose=0), labels


x, y = vectors("train", 20)
validation = vectors("validation", 20)


def make_model(learning_rate):
    head = keras.Sequential([keras.Input(x.shape[1:]), layers.Dense(10)])
    head.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return head


def train(learning_rate, seed=0, epochs=20):
    keras.utils.set_random_seed(seed)  # the same start for every rate
    model = make_model(learning_rate)
    return model.fit(x, y, epochs=epochs, validation_data=validation, verbose=0).history


# %% [markdown]
# **Before you run this:** five rates, 20 epochs each. Which will be best after one epoch? Which
# after twenty? Which curve will zigzag?

# %%
runs = {rate: train(rate) for rate in (0.0001, 0.001, 0.01, 0.1, 1.0)}
lesson.show(plots.sweep({f"{rate:g}": h for rate, h in runs.items()}, title="Five learning rates"))

# %% [markdown]
# ## Choose
#
# The two small rates are still improving after twenty epochs; the two large ones get there in three
# and then waver. None of them diverges as 1.05 did above: Adam, the optimizer, prevents that (see
# below).
#
# Two columns matter: the accuracy on validation, and how far the training accuracy is above it. A
# large gap means that the head learned its images by heart.

# %%
print("rate     best epoch  validation  training")
for rate, history in runs.items():
    epoch = int(np.argmax(history["val_accuracy"]))
    print(
        f"{rate:<8g} {epoch + 1:>10}  {history['val_accuracy'][epoch]:>10.3f}"
        f"  {history['accuracy'][epoch]:>8.3f}"
    )

# %% [markdown]
# The largest rates may look as good as 0.01 in this table, or a hair better. There are two reasons
# to be careful. First, there are only 200 validation images: one image is half a percent. Second,
# luck: another random start gives another number.
#
# **Before you run this:** we train with 0.01 and with 0.1 from five random starts each. How far
# apart will the best and the worst start be?

# %%
for rate in (0.01, 0.1):
    histories = [train(rate, seed)["val_accuracy"] for seed in range(5)]
    top, last = np.max(histories, axis=1), np.array(histories)[:, -1]
    print(f"rate {rate:<5g} best epoch: {np.sort(top)}   last epoch: {np.sort(last)}")

# %% [markdown]
# Differences as small as this spread mean nothing. Between two rates that are equally good, take
# the one with the smoother curve: its last epoch is nearly as good as its best, so it does not
# depend on a lucky moment.
#
# ## What Adam does with the rate
#
# Plain gradient descent (`SGD`) multiplies rate and gradient, so a steep slope means a giant step.
# *Adam* first divides each weight's gradient by its usual size. So its first step is as long as the
# learning rate, whatever the gradient.
#
# **Before you run this:** three weights are 0, their gradients are 0.001, 1 and −1000, and the rate
# is 0.01. Where does each optimizer move them?

# %%
for name, optimizer in (("SGD", keras.optimizers.SGD(0.01)), ("Adam", keras.optimizers.Adam(0.01))):
    w = layers.Variable(np.zeros(3, np.float32), "w", "example")
    gradient = np.array([0.001, 1, -1000], dtype=np.float32)
    optimizer.apply({"w": gradient}, {"w": w})
    print(f"{name:4}", w.numpy())

# %% [markdown]
# That is why the same few rates, 0.0001 to 0.01, are worth trying with Adam in nearly every
# network. (Our head is a single layer and sees few images: it can use larger rates, too.)
#
# ## Exercises
#
# **1.** The loss is (w − 1)², w is 3, the learning rate 0.1. Where is w after one step?

# %%
w = ...
lesson.check(1, w)

# %% [markdown]
# **2.** Find a rate with which `walk` jumps to the other side of the valley at every step and still
# arrives. (Try some: `walk(rate)`.)

# %%
rate = ...
lesson.check(2, rate)

# %% [markdown]
# **3.** Write `best(runs)`, which returns the learning rate to choose. `runs` is as above:
# `runs[0.01]["val_accuracy"]` is a list. A checkpoint will keep the best epoch (lesson 7).


# %%
def best(runs):
    return ...


lesson.check(3, best)

# %% [markdown]
# **You now know** what the learning rate does, how to find one, and when a difference means
# nothing.
#
# With a folder of photos: `minicnn transfer --data DIR --learning-rate 1e-4,1e-3,1e-2,1e-1`
