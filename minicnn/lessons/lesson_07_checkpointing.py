# %% [markdown]
# # Lesson 7: Checkpointing
#
# *Section 8.7 of the course · 10 minutes to read, 3 seconds to compute*
#
# Each epoch changes the network. The last version is not always the best, and the best one is lost
# if nobody saved it. A *checkpoint* is a copy of the network on disk.

# %%
from pathlib import Path

import numpy as np

import minicnn as keras
from minicnn.lessons import Lesson

lesson = Lesson(7)
layers = keras.layers
network = lesson.network()
base = keras.Model(network.input, network.get_layer("block4_pool").output, name="base")
base.trainable = False
preprocess_input = keras.applications.xception.preprocess_input


def load(split, count):
    x, y = lesson.photos(split, count=count)
    return preprocess_input(x), y


x, y = load("train", 20)
validation = load("validation", 20)


def make_model(learning_rate):
    inputs = keras.Input(x.shape[1:])
    vectors = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(10)(vectors))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


# %% [markdown]
# ## A restless run
#
# A learning rate of 0.2 is rather large for this head (lesson 6): the accuracy does not settle.
#
# **Before you run this:** which of the 15 epochs will be the best on validation? The last?

# %%
keras.utils.set_random_seed(0)
history = make_model(0.2).fit(x, y, epochs=15, validation_data=validation, verbose=0)
accuracies = history.history["val_accuracy"]
print(np.round(accuracies, 3))
print("best epoch:", 1 + int(np.argmax(accuracies)), " last:", accuracies[-1])
lesson.show(history.plot(title="Fifteen restless epochs"))

# %% [markdown]
# The smallest validation *loss* and the largest validation *accuracy* may occur in different
# epochs: you have to say what "best" means.
#
# ## Keep the best
#
# `fit` calls a *callback* at certain moments; it calls `ModelCheckpoint` after each epoch, and this
# callback writes the model to a file.
#
# | argument | what it says |
# |---|---|
# | `filepath` | the file's name; `{epoch:02d}` and `{val_accuracy:.3f}` are filled in |
# | `monitor` | which number decides (default: `val_loss`) |
# | `save_best_only` | write only if that number is better than all before it |
# | `mode` | `"max"`: more is better; `"min"`: less is; `"auto"` knows it for the loss and metrics |
#
# **Before you run this:** we do the same run again, with the same random start. Look at the list of
# accuracies above: how many files will `ModelCheckpoint` write?

# %%
checkpoint = keras.callbacks.ModelCheckpoint(
    "lesson-07/{epoch:02d}-{val_accuracy:.3f}.keras",
    monitor="val_accuracy",
    save_best_only=True,
    mode="max",
)
for old in Path("lesson-07").glob("*.keras"):
    old.unlink()
keras.utils.set_random_seed(0)
model = make_model(0.2)
model.fit(x, y, epochs=15, validation_data=validation, callbacks=[checkpoint], verbose=0)
files = sorted(Path("lesson-07").iterdir())
for file in files:
    print(file, f"{file.stat().st_size / 1024:.0f} KB")

# %% [markdown]
# ## Load it again
#
# A `.keras` file holds the whole model: layers, weights, and the optimizer with its state, so that
# training could go on from there. (The course writes `.h5` files, Keras's older format;
# `load_model` reads them, too.) `evaluate` returns the loss and the accuracy.
#
# **Before you run this:** `model` is as the last epoch left it, `best` comes from the last file.
# What will `evaluate` say about each?

# %%
best = keras.models.load_model(files[-1])
print("after training:  ", model.evaluate(*validation, verbose=0))
print("best checkpoint: ", best.evaluate(*validation, verbose=0))

# %% [markdown]
# The run repeated itself: with `set_random_seed` minicnn computes the same numbers again, with any
# number of threads. (TensorFlow also needs `tf.config.experimental.enable_op_determinism()`.)
#
# `best` reaches exactly the accuracy in the file's name. And yet this number is a little too good:
# out of fifteen epochs we took the one that did best *on these images*. That is what `test` is for,
# once, at the end.
#
# **Before you run this:** will the test accuracy be higher or lower?

# %%
test = load("test", 20)
print("test accuracy:", best.evaluate(*test, verbose=0)[1])

# %% [markdown]
# (With only 200 images luck can reverse this: a spread of two or three percent is normal.)
#
# ## Stop in time
#
# If nothing has improved for some epochs, why go on? `EarlyStopping` waits `patience` epochs, then
# stops.
#
# **Before you run this:** we allow 100 epochs, with a patience of 4. After which epoch will it
# stop? (The accuracies above are the beginning of this run.)

# %%
stop = keras.callbacks.EarlyStopping(
    monitor="val_accuracy", mode="max", patience=4, restore_best_weights=True
)
keras.utils.set_random_seed(0)
model = make_model(0.2)
history = model.fit(
    x, y, epochs=100, validation_data=validation, callbacks=[stop], verbose=0
).history
print("epochs:", len(history["loss"]), " best:", max(history["val_accuracy"]))

# %% [markdown]
# Early stopping saves time; a checkpoint also survives a power cut. Use both.
#
# ## Exercises
#
# **1.** With `save_best_only=True`, which epochs are saved if the validation accuracies of six
# epochs are 0.50, 0.70, 0.65, 0.70, 0.75, 0.72? Answer with a list of epochs, counted from 1.

# %%
epochs = ...
lesson.check(1, epochs)

# %% [markdown]
# **2.** Write a `filepath` for `ModelCheckpoint` so that no epoch overwrites another, the name
# contains `val_accuracy`, and files sorted by name are in the order of epochs, even after epoch 9.

# %%
pattern = ...
lesson.check(2, pattern)

# %% [markdown]
# **You now know** how to keep the best epoch, and why its number flatters.
