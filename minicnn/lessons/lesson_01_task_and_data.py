# %% [markdown]
# # Lesson 1: The task and the data
#
# *Section 8.1 of the course · 10 minutes to read, 4 seconds to compute*
#
# A shop for second-hand clothes lets people upload photos. Before a photo goes online, the shop
# wants to know what is in it: a dress, a hat, a pair of pants? Sellers choose the wrong category,
# or none. So we want a program that looks at the photo and says which of **ten kinds** it shows.
#
# Photo in, one of ten answers out: that is *image classification* with ten *classes*. Nobody can
# write this program by hand (try: which `if` tells a skirt from a pair of shorts?). We will show it
# examples, and let it find the rule.

# %%
import numpy as np

import minicnn as keras
from minicnn.lessons import Lesson, draw

lesson = Lesson(1)

# %% [markdown]
# ## The images
#
# The course (the ML Zoomcamp, module 8) has 3,068 photos to train on and 341 to validate. Here we
# begin with something smaller that needs no download: minicnn draws clothes. Each image has its own
# cut, cloth, folds, light and background, and the folders look like those of the real photos:
# `SPLIT/CLASS/image.jpg`.

# %%
counts = {"train": 40, "validation": 20, "test": 20}  # images of each kind
folder = lesson.clothes("clothes", size=64, counts=counts)
kinds = sorted(path.name for path in (folder / "train").iterdir())
print(kinds)

# %% [markdown]
# **Before you run this:** how many images are in `clothes/train`, and how many are there in all?

# %%
for split in counts:
    print(split, len(list((folder / split).glob("*/*.jpg"))))

# %%
first = [keras.utils.load_img(sorted((folder / "train" / kind).iterdir())[3]) for kind in kinds]
lesson.show(draw.images(first, kinds, "Ten kinds of clothing"))

# %% [markdown]
# Look at *longsleeve*, *shirt* and *t-shirt*. Which detail would you use to tell them apart? Keep
# your answer in mind; in lesson 4 we will look at what a network uses.
#
# ## Why three folders?
#
# A student who has seen the exam questions beforehand proves nothing by answering them. So:
#
# | folder | what it is for | how often |
# |---|---|---|
# | `train` | the network learns from it | again and again |
# | `validation` | *we* choose with it: this network or that one? | many times |
# | `test` | the last question: how good is it really? | once |
#
# Validation is not enough for the last question. If you try fifty networks and keep the one that is
# best on validation, you have also picked the luckiest one.
#
# ## How good is good?
#
# *Accuracy* is the share of images that get the right answer. An accuracy alone says little: first
# find out what a program reaches without looking.
#
# **Before you run this:** what accuracy on our validation images does a program have that always
# answers "dress", whatever it sees?

# %%
y = np.repeat(np.arange(10), counts["validation"])  # the right answers, as numbers 0 to 9
always_dress = np.full(len(y), kinds.index("dress"))
print("accuracy:", np.mean(always_dress == y))

# %% [markdown]
# ## A first idea: compare pixels
#
# An image is a table of numbers (lesson 2). Why not answer with the kind of the *most similar*
# training image: the one whose numbers differ least?
#
# **Before you run this:** guess its accuracy. 10% is pure guessing, 100% is perfect.

# %%
train_x, train_y = lesson.photos("train")
validation_x, validation_y = lesson.photos("validation")


def distances(image):
    """The distance of each training image from this one: the mean absolute difference."""
    return np.abs(train_x - image).mean(axis=(1, 2, 3))


nearest = np.array([distances(image).argmin() for image in validation_x])
guesses = train_y[nearest].argmax(axis=1)  # a row of train_y has a 1 where its kind is
print("accuracy of the nearest image:", np.mean(guesses == y))

# %% [markdown]
# That is better than guessing, but still bad. Here is why: three images, each with the training
# image that has the most similar pixels. Two of the three answers are wrong, one is right.

# %%
some = [5, 65, 185]
shown = [image for i in some for image in (validation_x[i], train_x[nearest[i]])]
names = [name for i in some for name in (kinds[y[i]], f"nearest: {kinds[guesses[i]]}")]
lesson.show(draw.images(shown, names, "Similar pixels are not the same thing", columns=6))

# %% [markdown]
# Backgrounds and colours win: most pixels are background. Even the right answer may be right for
# the wrong reason: both t-shirts lie on the same wood. And there is a deeper problem. If we shift
# an image a little to the side, you still see the same dress. Does a comparison of pixels?
#
# **Before you run this:** which is farther from the dress, the same dress shifted by six pixels, or
# the most similar one of 400 *other* images?

# %%
dress = validation_x[0]
shifted = np.roll(dress, 6, axis=1)
others = distances(dress)
print(f"shifted by 6 pixels: {np.abs(dress - shifted).mean():.1f} away from the original")
print(f"other images: {others.min():.1f} (nearest) … {np.median(others):.1f} (the middle one)")
lesson.show(draw.images([dress, shifted], ["a dress", "shifted by 6 pixels"], "The same dress?"))

# %% [markdown]
# After a small shift nearly every pixel is different. What we need is something that looks for
# *parts* (a collar, a sleeve, a hem) and finds them **wherever they are**. That is what a
# convolutional neural network does: its small pattern detectors slide over the whole image.
# Lesson 4 opens it up. First, lesson 2: what exactly is an image?
#
# ## Exercises
#
# Replace the dots and run the cell. `lesson.solution(1)` shows a solution.
#
# **1.** Another shop's photos show 90 t-shirts and 10 hats. A program always says "t-shirt". What
# accuracy does it have? (Then think: would you buy it?)

# %%
accuracy = ...
lesson.check(1, accuracy)

# %% [markdown]
# **2.** Your own photos have no `validation` folder. Write `split(paths, share)`, which returns two
# lists: the paths to train on, and the `share` of all paths to hold back, such as 0.25. The paths
# come sorted by kind. (`np.random.permutation(n)` helps.)


# %%
def split(paths, share):
    return ...


lesson.check(2, split)

# %% [markdown]
# ## With the real photos
#
# ```python
# # git clone https://github.com/alexeygrigorev/clothing-dataset-small
# lesson = Lesson(1, data="clothing-dataset-small")
# ```
#
# The rest of the lesson stays as it is: it takes 80 photos of each kind, and says what is different
# with them. (In the terminal: `minicnn lessons --run 1 --data clothing-dataset-small`.)
#
# **You now know** what the task is, why there are three folders, and why comparing pixels is not
# enough.
