# %% [markdown]
# # Lesson 1: The task and the data
#
# *Section 8.1 of the course · 10 minutes to read, 4 seconds to compute*
#
# A shop for second-hand clothes lets people upload photos. Before a photo goes online, the shop
# wants to know what is on it: a dress, a hat, a pair of pants? Sellers choose the wrong box, or
# none. So we want a program that looks at the photo and says which of **ten kinds** it shows.
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
# ## The pictures
#
# The course has 3,068 photos to train on and 341 to validate. Here we begin with something smaller
# that needs no download: minicnn draws clothes. Each picture has its own cut, cloth, folds, light
# and background, and the folders look like those of the real photos: `SPLIT/CLASS/picture.jpg`.

# %%
counts = {"train": 40, "validation": 20, "test": 20}  # pictures of each kind
folder = keras.datasets.write_clothing_sample("clothes", counts, size=64)
kinds = sorted(path.name for path in (folder / "train").iterdir())
print(kinds)

# %% [markdown]
# **Before you run this:** how many pictures lie in `clothes/train`, and how many in all?

# %%
for split in counts:
    print(split, len(list((folder / split).glob("*/*.jpg"))))

# %%
first = [keras.utils.load_img(sorted((folder / "train" / kind).iterdir())[3]) for kind in kinds]
lesson.show(draw.pictures(first, kinds, "Ten kinds of clothing"))

# %% [markdown]
# Look at *longsleeve*, *shirt* and *t-shirt*. Which detail would you use to tell them apart? Keep
# your answer in mind; in lesson 4 we will look at what a network uses.
#
# ## Why three folders?
#
# A pupil who gets the exam's questions beforehand proves nothing by answering them. So:
#
# | folder | what it is for | how often |
# |---|---|---|
# | `train` | the network learns from it | again and again |
# | `validation` | *we* choose with it: this network or that one? | many times |
# | `test` | the last question: how good is it really? | once |
#
# Validation is not enough for the last question. Who tries fifty networks and keeps the best on
# validation has picked the luckiest, too.
#
# ## How good is good?
#
# *Accuracy* is the share of pictures that get the right answer. A number alone says little: first
# ask what can be had for nothing.
#
# **Before you run this:** a program that always answers "dress", whatever it sees, has which
# accuracy on our validation pictures?

# %%
y = np.repeat(np.arange(10), counts["validation"])  # the right answers, as numbers 0 to 9
always_dress = np.full(len(y), kinds.index("dress"))
print("accuracy:", np.mean(always_dress == y))

# %% [markdown]
# ## A first idea: compare pixels
#
# A picture is a table of numbers (lesson 2). Why not answer with the kind of the *most similar*
# training picture: the one whose numbers differ least?
#
# **Before you run this:** guess its accuracy. 10% is for nothing, 100% is perfect.

# %%
train_x, train_y = lesson.photos("train")
validation_x, validation_y = lesson.photos("validation")


def distances(picture):
    """How far each training picture is from this one: the mean difference of a number."""
    return np.abs(train_x - picture).mean(axis=(1, 2, 3))


nearest = np.array([distances(picture).argmin() for picture in validation_x])
guesses = train_y[nearest].argmax(axis=1)  # a row of train_y has a 1 where its kind is
print("accuracy of the nearest picture:", np.mean(guesses == y))

# %% [markdown]
# Better than nothing, and bad. See why: here are three pictures, and for each the training picture
# that has the most similar pixels. Two of the three answers are wrong, one is right.

# %%
some = [5, 65, 185]
shown = [picture for i in some for picture in (validation_x[i], train_x[nearest[i]])]
names = [name for i in some for name in (kinds[y[i]], f"nearest: {kinds[guesses[i]]}")]
lesson.show(draw.pictures(shown, names, "Similar pixels are not the same thing", columns=6))

# %% [markdown]
# Backgrounds and colours win: most pixels are background. Even the right answer may be right for
# the wrong reason: both t-shirts lie on the same wood. And there is a deeper trouble. Shift a
# picture a little to the side: to you it is the same dress. To the pixels?
#
# **Before you run this:** which is farther from the dress, the same dress shifted by six pixels, or
# the most similar one of 400 *other* pictures?

# %%
dress = validation_x[0]
shifted = np.roll(dress, 6, axis=1)
others = distances(dress)
print(f"shifted by 6 pixels: {np.abs(dress - shifted).mean():.1f} away from the original")
print(f"other pictures: {others.min():.1f} (nearest) … {np.median(others):.1f} (the middle one)")
lesson.show(draw.pictures([dress, shifted], ["a dress", "shifted by 6 pixels"], "The same dress?"))

# %% [markdown]
# A small shift, and to the pixels it is nearly another picture. What we need is something that
# looks for *parts* (a collar, a sleeve, a hem) and finds them **wherever they are**. That is what a
# convolutional neural network does: small pattern detectors that slide over the whole picture.
# Lesson 4 opens it up. First, lesson 2: what exactly is a picture?
#
# ## Exercises
#
# Replace the dots and run the cell. `lesson.solution(1)` shows a solution.
#
# **1.** In another shop's photos there are 90 t-shirts and 10 hats. A program always says
# "t-shirt". Which accuracy does it have? (Then think: would you buy it?)

# %%
accuracy = ...
lesson.check(1, accuracy)

# %% [markdown]
# **2.** Your own photos have no `validation` folder. Write `split(paths, share)`, which returns two
# lists: what stays for training, and the `share` that is held back, such as 0.25 of all. The paths
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
# folder = pathlib.Path("clothing-dataset-small")
# ```
#
# The rest of the lesson stays as it is, except that not all kinds have equally many photos.
#
# **You now know** what the task is, why there are three folders, and why comparing pixels is not
# enough.
