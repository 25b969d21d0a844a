# %% [markdown]
# # Lesson 2: Images as arrays
#
# *Section 8.2 of the course · 12 minutes to read, 2 seconds to compute*
#
# A network never sees an image. It sees a block of numbers, and most beginners' bugs are a block
# of the wrong shape or in the wrong range. This lesson makes you immune.

# %%
import numpy as np

import minicnn as keras
from minicnn.lessons import Lesson, draw

lesson = Lesson(2)
path = lesson.clothes() / "train" / "t-shirt" / "t-shirt-0003.jpg"

# %% [markdown]
# ## From a file to numbers
#
# `load_img` reads a photo and resizes it to the size that you ask for; `img_to_array` turns it into
# numbers.
#
# **Before you run this:** what shape will `x` have? How many numbers is that?

# %%
image = keras.utils.load_img(path, target_size=(64, 64))
x = keras.utils.img_to_array(image)
print(x.shape, x.dtype, x.size)

# %% [markdown]
# *Height, width, channels*: 64 rows of 64 pixels, each with three numbers for red, green and blue.

# %%
lesson.show(draw.images([x], title="The image"))

# %% [markdown]
# **Before you run this:** each channel is shown alone, bright for large numbers. In which of the
# three is the shirt brightest? And the wall behind it, which is nearly white?

# %%
channels = [x[:, :, channel] for channel in range(3)]
names = ["red", "green", "blue"]
lesson.show(
    draw.maps(channels, names, "Its three channels", colours="gray", label="pixel, 0 to 255")
)

# %% [markdown]
# ## Rows first
#
# `x[row, column]` counts rows from the top and columns from the left. It is a table, not a map with
# x and y.
#
# **Before you run this:** which corner of the image turns red?

# %%
marked = x.copy()
marked[:12, :20] = (255, 0, 0)
lesson.show(draw.images([marked], title="marked[:12, :20] = (255, 0, 0)"))

# %% [markdown]
# `target_size` has the same order, `(height, width)`. Pillow's own `image.size` is the other way
# round, `(width, height)`.
#
# **Before you run this:** what will the second line print?

# %%
flat = keras.utils.load_img(path, target_size=(40, 100))
print("array:", keras.utils.img_to_array(flat).shape)
print("Pillow's size:", flat.size)

# %% [markdown]
# And it must be spelled `target_size`. A misspelt argument is not ignored: it is an error. That is
# good, because otherwise the network would get photos of the wrong size:

# %%
try:
    keras.utils.load_img(path, size=(64, 64))
except TypeError as error:
    print(error)

# %% [markdown]
# ## The range of a pixel
#
# In the file each number is a byte (`uint8`). A byte has 256 different values,
# **0, 1, …, 255**. The largest is 255: no pixel has the value 256.
#
# **Before you run this:** what is 255 + 1 in bytes?

# %%
white = np.array([255], dtype=np.uint8)
print(white + np.uint8(1))
print("smallest and largest pixel of our image:", x.min(), x.max())

# %% [markdown]
# Networks learn best from small numbers around zero, so we rescale the pixels. There is more than
# one convention:
#
# | the network expects | computed from pixels as | used by |
# |---|---|---|
# | 0 to 1 | `x / 255` | many small networks (a `Rescaling(1 / 255)` layer) |
# | −1 to 1 | `x / 127.5 - 1` | Xception, MobileNet: their `preprocess_input` |
#
# **Before you run this:** what do black (0), white (255) and 51 become?

# %%
some = np.array([[[0.0, 51.0, 255.0]]])  # one pixel of one row
print("0 to 1: ", some / 255)
print("-1 to 1:", keras.applications.xception.preprocess_input(some))

# %% [markdown]
# A network that was trained with one convention makes many more mistakes with the other, and
# nothing warns you. In lesson 3 you will see how many.
#
# ## Many at once: the batch
#
# Networks take several images together, a *batch*. The batch is one more axis, in front.
#
# **Before you run this:** what is the shape of a batch with a single image?

# %%
batch = np.stack([x])  # or x[np.newaxis]
print(batch.shape)

# %% [markdown]
# `image_dataset_from_directory` does all of this for a folder: it finds the classes (the names of
# the folders, in alphabetical order), reads the photos, several at a time, and makes batches. (The
# `workers` that older notebooks pass to `fit` are not needed.)

# %%
train = keras.utils.image_dataset_from_directory(
    lesson.clothes() / "train", label_mode="categorical", image_size=(64, 64), batch_size=32, seed=1
)
print(train.class_names)

# %% [markdown]
# **Before you run this:** what are the shapes of the images and the labels of the first batch?

# %%
images, labels = next(iter(train))
print(images.shape, labels.shape)
print(labels[0], "is a", train.class_names[labels[0].argmax()])

# %% [markdown]
# A label is a row of ten numbers, with 1 for the right class and 0 for the others: *one-hot*.
# `label_mode="categorical"` asked for it; with `"int"` it would be the class's number.
#
# (The course does the same with `ImageDataGenerator` and its `flow_from_directory`, which are
# older. minicnn has them, too; there it is `class_mode="categorical"`.)

# %%
names = [train.class_names[row.argmax()] for row in labels[:10]]
lesson.show(draw.images(images[:10], names, "The first ten of a batch"))

# %% [markdown]
# ## Exercises
#
# **1.** A batch has 32 colour photos, each 300 pixels wide and 200 high. What is its shape?

# %%
shape = ...
lesson.check(1, shape)

# %% [markdown]
# **2.** Write `mirror(image)`, which swaps left and right and keeps the shape (height, width, 3). A
# mirrored dress is still a dress: this is the cheapest way to double your training images.


# %%
def mirror(image):
    return ...


lesson.check(2, mirror)

# %% [markdown]
# **3.** Somebody hands you an array with values from −1 to 1. Write `to_pixels(x)`, which turns it
# back into pixels: whole numbers from 0 to 255, of dtype `np.uint8`. The check tries all 256.


# %%
def to_pixels(x):
    return ...


lesson.check(3, to_pixels)

# %% [markdown]
# **You now know** what goes into a network: `(batch, height, width, channels)`, in the range that
# it was trained with.
