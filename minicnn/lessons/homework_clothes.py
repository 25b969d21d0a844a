# %% [markdown]
# # Homework: A network of your own
#
# *Module 8 of the course · 10 minutes to read, 10 seconds to compute*
#
# Many lessons used a network that was trained already. Now you train one from scratch, as in the
# course's own homework: dresses or skirts? Each question ends with a check. Numbers depend a little
# on the processor, so a check accepts what lies near its own answer; the options are as far apart
# as those of the course's form.
#
# Write your code above the line with the check, and run the cell as often as you like.

# %%
import numpy as np

import minicnn as keras
from minicnn.lessons import HOMEWORK, Lesson, draw

lesson = Lesson(HOMEWORK)
layers = keras.layers
ImageDataGenerator = keras.preprocessing.image.ImageDataGenerator

# %% [markdown]
# ## The data
#
# 40 images of each kind to train with, and 20 to test with. `classes` names the two folders to
# read.

# %%
folder = lesson.clothes()
kinds = ["dress", "skirt"]
some = [path for kind in kinds for path in sorted((folder / "train" / kind).iterdir())[:4]]
shown = np.stack([keras.utils.img_to_array(keras.utils.load_img(path)) for path in some])
lesson.show(draw.images(shown, kinds[:1] * 4 + kinds[1:] * 4, "Dresses and skirts", columns=4))

# %% [markdown]
# ## Exercises
#
# **1.** Build this model, a `Sequential` one:
#
# * the input is (64, 64, 3)
# * a `Conv2D` with 32 filters of 3×3 and `relu`
# * a `MaxPooling2D` of 2×2
# * `Flatten`
# * a `Dense` layer with 64 units and `relu`
# * a `Dense` layer with 1 unit and the activation that fits two classes
#
# How many parameters does it have in all: 896, 1,968,192, 1,969,153 or 7,874,497?

# %%
model = ...

parameters = ...
lesson.check(1, parameters)

# %% [markdown]
# **2.** Which loss suits it: `"mean_squared_error"`, `"binary_crossentropy"`,
# `"categorical_crossentropy"` or `"cosine_similarity"`?

# %%
loss = ...
lesson.check(2, loss)

# %% [markdown]
# **3.** Make two generators with `ImageDataGenerator(rescale=1 / 255)`. Read the images of `train`
# and `test` with `flow_from_directory(…, classes=kinds, target_size=(64, 64), batch_size=20)` and
# the right `class_mode`. Call `keras.utils.set_random_seed(42)`, build the model again, compile it
# with `SGD(learning_rate=0.01, momentum=0.8)`, and train it for 10 epochs, with the test images as
# `validation_data`.
#
# What is the *median of the training accuracy* of all epochs: 0.25, 0.45, 0.65 or 0.85?

# %%
history = ...

median = ...
lesson.check(3, median)

# %% [markdown]
# **4.** What is the *standard deviation of the training loss* of all epochs: 0.005, 0.05, 0.15 or
# 0.5?

# %%
deviation = ...
lesson.check(4, deviation)

# %% [markdown]
# **5.** Now with augmentation: a new generator for `train` with `rescale=1 / 255`,
# `rotation_range=20`, `width_shift_range=0.1`, `height_shift_range=0.1`, `zoom_range=0.1`,
# `horizontal_flip=True` and `fill_mode="nearest"`. Train *the same model* for 10 more epochs; do
# not build it again.
#
# What is the *mean of the test loss* of these ten epochs: 0.02, 0.2, 0.6 or 1.2?

# %%
augmented = ...

test_loss = ...
lesson.check(5, test_loss)

# %% [markdown]
# **6.** What is the *mean of the test accuracy* of the last five epochs, 6 to 10: 0.53, 0.67, 0.80
# or 0.93?

# %%
test_accuracy = ...
lesson.check(6, test_accuracy)

# %% [markdown]
# **7.** For a new photo `model.predict` gives 0.8. How probable is it, says the model, that the
# photo shows a *dress*?

# %%
dress = ...
lesson.check(7, dress)

# %% [markdown]
# ## How it is marked
#
# One point for each right answer. `lesson.solution(1)` shows a solution to the first question.
#
# **You now know** how to build, train and judge a network without any help.

# %%
print(f"{sum(lesson.solved.values())} of {len(lesson.solved)} points")
