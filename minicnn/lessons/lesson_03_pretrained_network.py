# %% [markdown]
# # Lesson 3: A pretrained network
#
# *Section 8.3 of the course · 12 minutes to read, 4 seconds to compute*
#
# Training a network takes many images and patience. Somebody has done it already, so let us take a
# trained network and use it. You will see how well that works, how easily it goes wrong without
# any error message, and what such a network can never say.

# %%
import numpy as np

import minicnn as keras
from minicnn import plots
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(3)
network = keras.models.load_model(PRETRAINED)
network.summary()

# %% [markdown]
# A network is a sequence of *layers*: each takes the output of the one before it and computes its
# own. Lesson 4 opens them. For now read only the shapes: an image goes in at the top, (64, 64, 3),
# and six numbers come out at the bottom. `None` stands for the number of images in the batch.
# *Params* are the numbers that training has found.
#
# This network comes with minicnn (`python -m minicnn.lessons.pretrain` made it). It was shown
# 4,800 drawn images and their mirror images, none of which is in our folders. It knows six kinds
# of clothing:

# %%
known = network.metadata["class_names"]
print(known)

# %% [markdown]
# ## Four steps from photo to answer
#
# 1. Read the photo in the size that the network was trained with.
# 2. Rescale the pixels to the range that it was trained with: here −1 to 1.
# 3. Make a batch of it, and predict.
# 4. Translate the numbers into names.
#
# **Before you run this:** six classes, one photo. What is the shape of the prediction, and what do
# its numbers add up to?

# %%
preprocess_input = keras.applications.xception.preprocess_input

path = lesson.clothes() / "test" / "pants" / "pants-0004.jpg"
photo = keras.utils.load_img(path, target_size=(64, 64))
x = np.stack([keras.utils.img_to_array(photo)])
p = network.predict(preprocess_input(x), verbose=0)
print(p.shape, p.sum())

# %%
for index in np.argsort(-p[0])[:3]:
    print(f"{p[0, index]:7.2%}  {known[index]}")
lesson.show(draw.images(x, ["?"], "What is it?"))

# %% [markdown]
# One photo proves nothing. Here is the accuracy on all 120 test images of the six kinds.

# %%
images, labels = lesson.photos("test", known)
truth = labels.argmax(axis=1)


def accuracy(inputs):
    return np.mean(network.predict(inputs, verbose=0).argmax(axis=1) == truth)


print("accuracy:", accuracy(preprocess_input(images)))

# %% [markdown]
# ## The silent mistake
#
# Now we leave out step 2 and hand over the pixels as they are, 0 to 255. The shapes fit, so there
# is no error message.
#
# **Before you run this:** guess the accuracy. (Pure chance would be 1/6.)

# %%
print("pixels 0 to 255:", accuracy(images))
print("pixels 0 to 1:  ", accuracy(images / 255))

# %% [markdown]
# Worse, but not so bad that you would notice on a photo or two: that makes this mistake a nasty
# one. How sure is the network of its *wrong* answers?

# %%
for name, inputs in (("-1 to 1", preprocess_input(images)), ("0 to 255", images)):
    p = network.predict(inputs, verbose=0)
    wrong = p.argmax(axis=1) != truth
    print(
        f"{name:8}  wrong: {wrong.sum():2} of 120, mean probability of the wrong answers: "
        f"{p[wrong].max(axis=1).mean():.0%}"
    )

# %% [markdown]
# With the wrong range the network is quite sure of its mistakes: its inputs are far larger than any
# that it was trained with. So a high probability does not prove that all is well. Remember this
# when a network disappoints you: first look at what goes in.
#
# ## What it cannot say
#
# Now we show it the four kinds that it has never seen: shoes, shorts, skirts, t-shirts.
#
# **Before you run this:** what will it say to a t-shirt? Can it say "I don't know"?

# %%
new = [kind for kind in keras.datasets.CLOTHING_CLASSES if kind not in known]
strangers, _ = lesson.photos("test", new)
p = network.predict(preprocess_input(strangers), verbose=0)
answers = p.argmax(axis=1).reshape(len(new), -1)
for kind, row in zip(new, answers):
    said = np.bincount(row, minlength=len(known))
    print(f"{kind:8}", {known[i]: int(said[i]) for i in np.argsort(-said) if said[i]})
print(f"and how sure it is, on average: {p.max(axis=1).mean():.0%}")

# %%
some = [0, 1, 20, 21, 40, 41, 60, 61]
figure = plots.predictions(strangers[some], None, p[some], known)
figure.suptitle("What the network says to strangers")
lesson.show(figure)

# %% [markdown]
# The six probabilities add up to 1, whatever comes in. The network must divide its belief among the
# classes that it knows; it cannot say "none of these". Big networks are no different. ImageNet's
# 1000 classes were not chosen for our shop: "jersey" also stands for t-shirts, and none of them is
# called "dress".
#
# Its answers are not stupid, though: it takes t-shirts for shirts and shorts for pants. It knows
# sleeves and legs. Lesson 5 builds on that.
#
# ## A look inside
#
# Each layer turns the image into another block of numbers, its *feature maps*. Each map says where
# in the image one small pattern was found. A *filter* is what looks for the pattern.
#
# **Before you run this:** the summary above shows the shapes. Will the maps of the last block be
# larger or smaller than the first block's? Will there be more or fewer of them?

# %%
trace = network.trace(preprocess_input(x))
for name in ("block1_conv", "block2_conv", "block3_conv", "block4_conv"):
    print(name, trace[name].y.shape)

# %%
lesson.show(plots.feature_maps(trace, "block1_conv"))
lesson.show(plots.feature_maps(trace, "block4_conv", most=24))

# %% [markdown]
# Many of the first maps look like the image with its edges traced, and some light up where the wall
# is. The last maps are coarse: they say *what* is there rather than exactly where. Many of them are
# zero everywhere ("all 0"): the pattern that their filter looks for is not in this image.
#
# ## The big one, with a network connection
#
# Xception has seen more than a million photos of 1000 classes (ImageNet). Its weights are a file of
# 92 MB, so this cell is text. Run it when you are online, with a photo of your own:
#
# ```python
# from minicnn.applications.xception import Xception, decode_predictions, preprocess_input
#
# model = Xception(weights="imagenet")                       # downloaded once
# photo = keras.utils.load_img("photo.jpg", target_size=(299, 299))
# X = preprocess_input(np.stack([keras.utils.img_to_array(photo)]))
# print(decode_predictions(model.predict(X), top=5))
# ```
#
# The size is **299**×299: Xception was trained with it. (If you see 229 in somebody's notes, it is
# a typo.)
#
# ## Exercises
#
# **1.** Write `top(probabilities, names, count)`: a list of pairs `(name, probability)`, the most
# probable first. `probabilities` is one row, such as `p[0]`. (`np.argsort` helps.)


# %%
def top(probabilities, names, count):
    return ...


lesson.check(1, top)

# %% [markdown]
# **2.** You give Xception a batch of five photos, `X.shape == (5, 299, 299, 3)`. What is the shape
# of `model.predict(X)`?

# %%
shape = ...
lesson.check(2, shape)

# %% [markdown]
# **You now know** how to use a trained network, and its two traps: the pixel range, and classes
# that it has never seen.
