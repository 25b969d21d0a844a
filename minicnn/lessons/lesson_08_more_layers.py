# %% [markdown]
# # Lesson 8: More layers
#
# *Section 8.8 of the course · 12 minutes to read, 4 seconds to compute*
#
# The head was a single `Dense` layer. What if there were one more between the features and the
# scores? More is better, isn't it?

# %%
import numpy as np

import minicnn as keras
from minicnn.lessons import Lesson, draw

lesson = Lesson(8)
layers = keras.layers
network = lesson.network()
base = keras.Model(network.input, network.get_layer("average").output)  # images to vectors


def vectors(split, count):
    images, labels = lesson.photos(split, count=count)
    inputs = keras.applications.xception.preprocess_input(images)
    return base.predict(inputs, verbose=0), labels


x, y = vectors("train", 20)
validation = vectors("validation", 20)
print(x.shape, y.shape)

# %% [markdown]
# As in lesson 6, the frozen base has computed the 64 features of each image, once and for all.
#
# ## An inner layer
#
# `Dense(100, activation="relu")` computes 100 new numbers from the 64 features, each with weights
# of its own, and sets the negative ones to zero.


# %%
def make_model(learning_rate=0.01, size_inner=100):
    head = keras.Sequential([keras.Input(x.shape[1:])])
    if size_inner:
        head.add(layers.Dense(size_inner, activation="relu"))
    head.add(layers.Dense(10))
    head.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return head


# %% [markdown]
# **Before you run this:** how many parameters does the head have without an inner layer, and about
# how many more with 100 units?

# %%
for size in (0, 10, 100, 1000):
    print(f"inner {size:4}: {make_model(size_inner=size).count_params():7,} parameters")

# %% [markdown]
# ## Does it help?
#
# **Before you run this:** which size will be best on validation? Which on training?


# %%
def train(size, seed):
    keras.utils.set_random_seed(seed)
    model = make_model(size_inner=size)
    return model.fit(x, y, epochs=20, validation_data=validation, verbose=0).history


runs = {size: [train(size, seed) for seed in range(3)] for size in (0, 10, 100, 1000)}
print("inner   training (last)   validation (best epoch of three random starts)")
for size, histories in runs.items():
    training = np.mean([history["accuracy"][-1] for history in histories])
    best = [max(history["val_accuracy"]) for history in histories]
    print(f"{size:5}   {training:15.3f}   {np.array(best)}")

# %%
curves = {f"inner {size}": histories[0]["val_loss"] for size, histories in runs.items()}
lesson.show(draw.lines(curves, title="Validation loss by size of the inner layer", y_label="loss"))

# %% [markdown]
# On the training images heads with more units learn faster, and the large ones end at 100%. On
# validation all sizes are about equal: they hardly differ more than random starts do (lesson 6).
#
# Look at the validation *loss*: with the large heads it falls fast, then **rises** again. They
# become surer and surer, even of their mistakes. That is *overfitting*: 200 images cannot determine
# 75,000 numbers.
#
# So more layers can fit more. Whether there is more to learn depends on the images. Here the base
# has already done the hard part.
#
# ## Why the ReLU?
#
# Let us take the ReLU out, so that two `Dense` layers follow each other directly.
#
# **Before you run this:** 64 → 100 → 10 numbers, 7,510 parameters. Can these two layers do anything
# that a single layer with 650 parameters cannot?

# %%
keras.utils.set_random_seed(0)
two = keras.Sequential([keras.Input((64,)), layers.Dense(100), layers.Dense(10)])
w1, b1, w2, b2 = two.get_weights()
one = keras.Sequential([keras.Input((64,)), layers.Dense(10)])
one.set_weights([w1 @ w2, b1 @ w2 + b2])

difference = np.abs(two.predict(x, verbose=0) - one.predict(x, verbose=0)).max()
print("largest difference between two layers and one:", difference)

# %% [markdown]
# Nothing: except for rounding they are the same function, since (x @ w1) @ w2 = x @ (w1 @ w2).
# Without something nonlinear between them, any stack of dense layers collapses into one. The ReLU
# is nonlinear: it has a bend at zero.
#
# What can a bend do? Here a head learns the rule "exactly one of two numbers is positive", which a
# single layer cannot learn.
#
# **Before you run this:** which of the three heads finds the rule?

# %%
rng = np.random.default_rng(1)
points = rng.uniform(-1, 1, size=(200, 2)).astype(np.float32)
rule = (points[:, 0] > 0) != (points[:, 1] > 0)


def learns_the_rule(*inner):
    keras.utils.set_random_seed(3)
    head = keras.Sequential([keras.Input((2,)), *inner, layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # labels as numbers
    head.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return head.fit(points, rule.astype(int), epochs=40, verbose=0).history["accuracy"][-1]


print("one layer:           ", learns_the_rule())
print("two layers, no ReLU: ", learns_the_rule(layers.Dense(16)))
print("two layers with ReLU:", learns_the_rule(layers.Dense(16, activation="relu")))

# %% [markdown]
# ## Exercises
#
# **1.** How many parameters do an inner layer of 100 units and a last layer of 10 units have
# together, if 64 features come in? (Compute it by hand; then compare with the table above.)

# %%
parameters = ...
lesson.check(1, parameters)

# %% [markdown]
# **2.** Write `join(w1, b1, w2, b2)`, which returns `w, b` of the one layer that computes the same
# as the two layers (without ReLU). They compute `x @ w1 + b1`, then `… @ w2 + b2`.


# %%
def join(w1, b1, w2, b2):
    return ...


lesson.check(2, join)

# %% [markdown]
# **You now know** what an inner layer can do, why it needs the ReLU, and that validation decides
# whether it pays. (Lessons 12 and 13 go on with what helps against overfitting: dropout, and more
# images from few.)
