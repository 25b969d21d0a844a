# %% [markdown]
# # Lesson 5: Transfer learning
#
# *Section 8.5 of the course · 15 minutes to read, 7 seconds to compute*
#
# The network of lesson 3 knows six kinds of clothing. We need four others, and we have only **eight
# images** of each. Should we start from scratch, or reuse what the network has learned to see?

# %%
import numpy as np

import minicnn as keras
from minicnn import plots
from minicnn.lessons import Lesson, draw

lesson = Lesson(5)
layers = keras.layers
network = lesson.network()  # lesson 3's
known = network.metadata["class_names"]
new = [kind for kind in keras.datasets.CLOTHING_CLASSES if kind not in known]
preprocess_input = keras.applications.xception.preprocess_input


def load(split, count):
    x, y = lesson.photos(split, new, count)
    return preprocess_input(x), y


x, y = load("train", 8)
validation = load("validation", 20)
print("new kinds:", new, x.shape, y.shape)

# %% [markdown]
# ## Cut off the top
#
# A network has two parts. The long first part turns pixels into *features*: is there a sleeve, a
# hem, a pattern? The last layer turns features into the six classes. We keep the first part, the
# *base*. (With Keras's networks, `include_top=False` does this.)
#
# **Before you run this:** look at the summary in lesson 3. Four pooling layers halve 64 four times.
# What shape comes out of the base?

# %%
base = keras.Model(network.input, network.get_layer("block4_pool").output, name="base")
features = base.predict(x, verbose=0)
print(features.shape)

# %% [markdown]
# The base gives 64 numbers for each of 16 places. *Global average pooling* takes the mean over the
# places: 64 numbers for an image, wherever the sleeve was. They are the image's *vector*.

# %%
vectors = features.mean(axis=(1, 2))
print(vectors.shape)
by_kind = {kind: vectors[8 * i : 8 * (i + 1)] for i, kind in enumerate(new)}
lesson.show(draw.rows(by_kind, "The vectors: a row for each image", "feature", "mean of its map"))

# %% [markdown]
# The base has never seen a shoe, and yet the rows of one kind resemble each other: columns that are
# bright for t-shirts are dark for shoes. That is what we reuse.
#
# ## A new head
#
# Behind the base we put one `Dense` layer with a score for each new kind. The base is *frozen*:
# training will not touch it.
#
# **Before you run this:** how many parameters does the head have? (64 numbers in, 4 scores out.)


# %%
def make_model(base):
    inputs = keras.Input(x.shape[1:])  # (64, 64, 3)
    vectors = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    return keras.Model(inputs, layers.Dense(len(new))(vectors))


base.trainable = False
keras.utils.set_random_seed(0)
model = make_model(base)
model.summary()

# %% [markdown]
# `training=False` makes the base compute as it does in prediction, even while the head learns. That
# matters for layers that behave differently in training, such as dropout and batch normalization.
#
# ## What does "wrong" mean, as a number?
#
# Training makes one number smaller, the *loss*. Here it is the **cross-entropy**. For each image
# `y` says which kind is right, as a one-hot row: *loading made the labels one-hot* (lesson 2).
# `CategoricalCrossentropy` does not make them one-hot; it **takes** such rows and the scores, and
# returns one number: −log of the probability that the right class got. `Dense` gives scores of any
# size (*logits*), not probabilities; `from_logits=True` tells the loss to apply softmax.
#
# **Before you run this:** before training the head knows nothing about the four kinds. If each gets
# a probability of about 1/4, the loss is −log(1/4) = log(4) = 1.39. Will it be a little more or
# less?

# %%
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
scores = model.predict(x, verbose=0)
print("a label:", y[0], " its scores:", scores[0].round(2))
print(f"loss: {float(loss(y, scores)):.2f}   log(4): {np.log(4):.2f}")

# %% [markdown]
# A little more: random weights prefer some kinds to others, and wrong preferences cost. A loss
# *far* above log(classes) at the start would be a warning that something is wrong with the pixel
# range or the labels.

# %% [markdown]
# ## Learn
#
# `compile` says how to learn: the loss, and the *optimizer* that makes it smaller (Adam; lessons 6
# and 9 look into it). `fit` learns: it takes the images in batches and changes the parameters a
# little after each batch. One pass through all images is an *epoch*.
#
# **Before you run this:** guess both accuracies on 80 validation images: the new head on the
# frozen base, and the same network trained from scratch. Chance is 25%.


# %%
def train(model, learning_rate):
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"])
    history = model.fit(x, y, batch_size=8, epochs=30, validation_data=validation, verbose=0)
    return history.history


before = base.get_weights()[0].copy()
transfer = train(model, 0.01)
print(f"frozen base, new head: {transfer['val_accuracy'][-1]:.2f}")
print("the base is as it was:", np.array_equal(before, base.get_weights()[0]))


# %%
def new_base():
    """The same layers with random weights."""
    block = [keras.Input(x.shape[1:])]
    for filters in (16, 32, 64, 64):
        block.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        block.append(layers.MaxPooling2D())
    return keras.Sequential(block)


keras.utils.set_random_seed(0)
scratch = train(make_model(new_base()), 0.002)  # this rate suits it better: see lesson 6
print(f"from scratch: {scratch['val_accuracy'][-1]:.2f}")
both = {"frozen base": transfer["val_accuracy"], "from scratch": scratch["val_accuracy"]}
lesson.show(
    draw.lines(both, title="8 images of each kind", y_label="validation accuracy", y_range=(0, 1))
)

# %% [markdown]
# The network trained from scratch has 60,772 numbers to find and 32 images to find them with. The
# head has 260, and a base that has seen thousands of clothes.
#
# And it was quick: a frozen base gives the same features for an image in every epoch, so `fit`
# computed them once.
#
# Which kinds does it still confuse?

# %%
p = model.predict(validation[0], verbose=0)
lesson.show(plots.confusion_matrix(validation[1], p, new, title="Frozen base, new head"))

# %% [markdown]
# It takes shoes for skirts: nothing that the base was trained on looks like a shoe. It does not see
# well what it never had to tell apart.
#
# ## Exercises
#
# **1.** How many parameters of `model`, the one with the frozen base, does training change?

# %%
trainable = ...
lesson.check(1, trainable)

# %% [markdown]
# **2.** Write the loss of one image yourself: `cross_entropy(y, scores)`, where `y` is the
# one-hot row and `scores` are the logits. First softmax, `p = exp(scores) / sum(exp(scores))`, then
# `−Σ y · log(p)`. The check also tries a score of 1000.


# %%
def cross_entropy(y, scores):
    return ...


lesson.check(2, cross_entropy)

# %% [markdown]
# **3.** Build the model for all ten kinds: the frozen `base`, average pooling, one `Dense` layer.

# %%
ten = ...
lesson.check(3, ten)

# %% [markdown]
# **You now know** how to teach a trained network new classes with few images. With the real
# photos and Xception it is one command:
#
# ```sh
# minicnn transfer --data clothing-dataset-small
# ```
