# %% [markdown]
# # Lesson 13: Augmentation
#
# *Section 8.10 of the course · 15 minutes to read, 12 seconds to compute*
#
# Lesson 12 fought overfitting by holding the network back. There is a better remedy: more images.
# If there are no more, we can change those that we have. A mirrored shirt is still a shirt, and for
# a network its pixels are all new. That is *augmentation*.

# %%
import time

import numpy as np

import minicnn as keras
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(13)
layers = keras.layers
preprocess_input = keras.applications.xception.preprocess_input

# %% [markdown]
# ## Three layers that change images
#
# * `RandomFlip("horizontal")` mirrors an image with a probability of one half.
# * `RandomRotation(0.05)` rotates it by up to 0.05 of a *full turn*, either way.
# * `RandomZoom(0.2)` shows up to 20% more of it, or up to 20% less.
#
# Each image gets a change of its own, drawn at random.
#
# **Before you run this:** how many degrees is 0.05 of a full turn? And where the image has been
# turned away from its corner, what will be there?

# %%
images, labels = lesson.photos("train", count=12)
one = images[77]  # boots: mirrored, they point the other way
keras.utils.set_random_seed(2)
changes = {
    "flip": layers.RandomFlip("horizontal"),
    "rotation": layers.RandomRotation(0.05),
    "zoom": layers.RandomZoom(0.2),
}
shown, names = [], []
for name, layer in changes.items():
    shown += [one, *layer(np.stack([one] * 4), training=True)]
    names += ["before", *[f"{name} {n}" for n in (1, 2, 3, 4)]]
lesson.show(draw.images(shown, names, "One image, changed by each layer four times"))

# %% [markdown]
# 0.05 of a turn is 18 degrees. Beyond the border the layers have to invent something. They mirror
# the image (`fill_mode="reflect"`), which looks most natural.
#
# Together they make a different image each time. These images are not stored: the layers make them
# while the network trains, and make other ones in the next epoch.

# %%
augment = keras.Sequential([keras.Input(one.shape), *changes.values()])
some = images[::12]  # one of each kind
before_after = np.concatenate([some[:5], augment(some[:5], training=True)])
lesson.show(draw.images(before_after, title="A batch before (above) and after (below)"))

# %% [markdown]
# ## Only in training
#
# Validation asks how well the network does on images *as they come*. Images that were changed would
# be another question, and a random one: the answer would change each time.
#
# **Before you run this:** what does the same model do to a batch in `predict`?

# %%
print("unchanged by predict:     ", np.array_equal(augment.predict(some, verbose=0), some))
print("unchanged in training:    ", np.array_equal(augment(some, training=True), some))

# %% [markdown]
# So with these layers at the beginning of a model you need not think about it: `fit` changes the
# training images; `evaluate`, `predict` and `validation_data` leave theirs as they are.
#
# ## Which changes keep the label?
#
# A change must satisfy two conditions. The label must still be right: a mirrored shirt is a shirt,
# but a mirrored "b" is a "d". And the image should be one that could *come*: nobody photographs
# trousers upside down.
#
# We ask lesson 3's network, which has seen its six kinds upright, and mirrored too.
#
# **Before you run this:** sort these by how much they will cost the network: mirrored, rotated by
# 18 degrees, upside down, red and blue swapped, a quarter turn.

# %%
network = keras.models.load_model(PRETRAINED, compile=False)
known = network.metadata["class_names"]
photos, truth = lesson.photos("validation", known, 20, size=64)
tilt = layers.RandomRotation((0.05, 0.05))  # between 0.05 and 0.05
changed = {
    "as it is": photos,
    "mirrored": photos[:, :, ::-1],
    "18 degrees": tilt(photos, training=True),
    "red and blue swapped": photos[..., ::-1],
    "a quarter turn": np.rot90(photos, axes=(1, 2)),
    "upside down": photos[:, ::-1],
}
shares = {}
for name, x in changed.items():
    p = network.predict(preprocess_input(np.ascontiguousarray(x)), verbose=0)
    shares[name] = float(np.mean(p.argmax(axis=1) == truth.argmax(axis=1)))
lesson.show(
    draw.images([x[45] for x in changed.values()], list(changed), columns=6, title="Changes")
)
lesson.show(draw.bars(shares, "A network that has seen them upright", "accuracy"))

# %% [markdown]
# Mirroring costs nothing, for this network has learned from mirrored images. Colours do not matter
# to it, either, so changing them would teach it nothing new. (With ripe and unripe tomatoes, the
# label would change.) A rotation by 18 degrees costs some accuracy: there is something to learn, if
# such photos can come. Upside down it still gets about half of them right, and after a quarter turn
# it does worse than guessing. Of course: the clothes in its photos always hang upright.
#
# ## Does it help?
#
# We train lesson 8's head, with 100 inner units, on 12 images of each kind: without augmentation,
# with each image mirrored at random, with all three layers, and, as a warning, turned by any angle.
#
# **Before you run this:** guess the validation accuracies. And guess the times: until now the
# frozen base ran *once* for each image, since it always gave the same features (lesson 5). Does it
# still?

# %%
network = lesson.network()
base = keras.Model(network.input, network.get_layer("average").output, name="base")
base.trainable = False
x, y = preprocess_input(images), labels
photos, truth = lesson.photos("validation", count=20)
validation = preprocess_input(photos), truth


def make_model(augmentation):
    inputs = keras.Input(one.shape)
    changed = inputs
    for layer in augmentation:
        changed = layer(changed)
    vectors = base(changed, training=False)
    hidden = layers.Dense(100, activation="relu")(vectors)
    model = keras.Model(inputs, layers.Dense(10)(hidden))
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


settings = {
    "nothing": [],
    "mirrored": [layers.RandomFlip("horizontal")],
    "all three": list(changes.values()),
    "any angle": [layers.RandomRotation(0.5)],
}
runs, models = {}, {}


def last(name, key):
    return np.array([history[key][-1] for history in runs[name]])


print("            accuracy: training   validation      loss: validation   seconds")
for name, augmentation in settings.items():
    begin = time.perf_counter()
    runs[name] = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = make_model(augmentation)
        history = model.fit(x, y, epochs=25, validation_data=validation, verbose=0)
        runs[name].append(history.history)
    models[name], seconds = model, (time.perf_counter() - begin) / 3
    unseen, loss = last(name, "val_accuracy"), last(name, "val_loss")
    print(
        f"{name:12}{last(name, 'accuracy').mean():18.3f}   {unseen.mean():.3f} ± "
        f"{unseen.std(ddof=1):.3f}   {loss.mean():8.3f} ± {loss.std(ddof=1):.3f}"
        f"   {seconds:7.1f}"
    )
figure = draw.spread(
    {name: last(name, "val_loss") for name in settings},
    "Validation loss after 25 epochs, three random starts",
    "loss",
)
lesson.show(figure)

# %% [markdown]
# * **Mirrored** images lower the loss: after each of the last ten epochs its mean is the lower one.
#   After the last epoch the difference is far beyond luck (twice its error, see lesson 12), after
#   others it is not: look once, where you planned to, not where it is largest. All three changes
#   together end with a loss that is about as low.
# * The **accuracies** of the first three do not differ by more than luck.
# * **Any angle** makes everything worse. All labels were right, and yet: the head spent its 100
#   units on images that never come.
# * It costs **time**. The features of a training image are no longer the same in each epoch, so the
#   base has to run each time (for validation, once is still enough). The changes themselves take
#   time, too.
#
# **Before you run this:** the last model trained with all three layers ended with a training
# accuracy that is far below 100%. How many of the training images does it get right if they are
# left as they are?

# %%
unchanged = models["all three"].evaluate(x, y, verbose=0)[1]
print(f"changed images, while it learned: {last('all three', 'accuracy')[-1]:.3f}")
print(f"the same images unchanged:        {unchanged:.3f}")

# %% [markdown]
# As with dropout, `fit` reports the accuracy on a harder task than the one that validation has.
#
# ## The course's way: ImageDataGenerator
#
# The course augments *before* the model, while it reads the files. The same changes have other
# names and units there:
#
# | layer | `ImageDataGenerator` |
# |---|---|
# | `RandomFlip("horizontal")` | `horizontal_flip=True` |
# | `RandomRotation(0.05)`: of a full turn | `rotation_range=18`: degrees |
# | `RandomZoom(0.2)` | `zoom_range=0.2`; stretches height and width separately |
# | the model leaves validation alone | *you* make a second generator without changes |
#
# **Before you run this:** the generators read the same folders. What is the shape of a batch, and
# what is the range of its pixels?

# %%
train_generator = keras.preprocessing.image.ImageDataGenerator(
    preprocessing_function=preprocess_input, rotation_range=18, zoom_range=0.2, horizontal_flip=True
)
validation_generator = keras.preprocessing.image.ImageDataGenerator(
    preprocessing_function=preprocess_input  # and nothing else
)
folder = lesson.clothes()
train_batches = train_generator.flow_from_directory(
    str(folder / "train"), target_size=one.shape[:2], batch_size=10, seed=1
)
validation_batches = validation_generator.flow_from_directory(
    str(folder / "validation"), target_size=one.shape[:2], batch_size=10, shuffle=False
)
batch, batch_labels = next(train_batches)
print(batch.shape, batch_labels.shape, f"from {batch.min():.1f} to {batch.max():.1f}")
as_they_come = np.array_equal(next(validation_batches)[0], validation[0][:10])
print("validation images are as they come:", as_they_come)
lesson.show(draw.images((batch + 1) * 127.5, title="A batch of the training generator"))

# %% [markdown]
# (Here the border is filled with the nearest pixel: another default.) A common mistake is to use
# the first generator for validation, too. Nothing fails, but the accuracy is that of changed
# images. Another one is to scale the pixels (`rescale`, `preprocessing_function`) in one generator
# and not in the other: then the loss jumps to hundreds or thousands.
#
# ## Exercises
#
# **1.** By how many degrees does `RandomRotation(0.1)` turn an image at most?

# %%
degrees = ...
lesson.check(1, degrees)

# %% [markdown]
# **2.** Write `flip_some(images, rng)`: a batch (n, height, width, 3) in which each image is
# mirrored with a probability of one half. `rng` is a `numpy.random.Generator`; each image has a
# coin of its own.


# %%
def flip_some(images, rng):
    return ...


lesson.check(2, flip_some)

# %% [markdown]
# **3.** You classify road signs: "turn left", "turn right", "stop". Which of these changes may you
# use? Answer with a list of letters.
#
# * a: mirrored left to right
# * b: rotated by up to 10 degrees
# * c: rotated by any angle
# * d: zoomed by up to 20%
# * e: up to 20% brighter or darker

# %%
allowed = ...
lesson.check(3, allowed)

# %% [markdown]
# **You now know** how to get more from few images, which changes are allowed, and what they cost.
#
# With a folder of photos: `minicnn transfer --data DIR --inner 100 --augment`
