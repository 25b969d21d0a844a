# %% [markdown]
# # Lesson 20: What a network looks at, and how it misleads
#
# *25 minutes to read, 10 seconds to compute*
#
# A network says "shirt", and is sure. Which part of the photo made it say so? A *heat map* is an
# answer: a number for each part, large where it speaks for the class. There are several kinds, each
# is a plain sum, and each can mislead. This lesson computes four, catches a network that cheats,
# and then deceives the maps themselves.

# %%
import numpy as np

import minicnn as keras
from minicnn import explain, plots
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(20)
layers = keras.layers
preprocess_input = keras.applications.xception.preprocess_input
network = keras.models.load_model(PRETRAINED, compile=False)
known = network.metadata["class_names"]
images, labels = lesson.photos("test", known, 5)
shirt = preprocess_input(images[25:26])
trace = network.trace(shirt)

# %% [markdown]
# ## Grad-CAM: which places of the last maps?
#
# The last maps of lesson 3's network, after the pooling, are 4×4 cells of 64 channels. *Grad-CAM*
# gives each channel a weight α, the mean gradient of the class's *score* over the map's cells: how
# fast the score rises, on average, with one of its cells. Then each cell adds up its 64 numbers,
# each times its α, and a sum below zero becomes zero.
#
# (The score is what goes into the softmax. The probability would not do: it is nearly 1 here, and
# where it cannot rise, its gradient is nearly 0.)
#
# **Before you run this:** the network ends in a mean over each map and one dense layer, so the
# score is a sum of means times weights. What is α, then?

# %%
heat = trace.heatmap("grad_cam", class_index="shirt")
kernel = network.get_layer("probabilities").get_weights()[0][:, known.index("shirt")]
print("α is the kernel's column, divided by 16 cells:", np.allclose(heat.weights, kernel / 16))
maps = trace["block4_pool"].y[0]
by_hand = np.maximum(maps @ heat.weights, 0)
print("the map by hand is the same:", np.allclose(by_hand, heat.values, atol=1e-5))
lesson.show(draw.numbers([by_hand], ["shirt"], "Grad-CAM of a shirt: 4×4 sums", digits=1))

# %% [markdown]
# You can ask of each of these 16 numbers where it comes from.

# %%
row, column = np.unravel_index(heat.values.argmax(), heat.values.shape)
lesson.show(heat.explain(at=(row, column)))

# %% [markdown]
# ## Four maps of one photo
#
# * **occlusion** covers one square after the other, and asks how much of the probability that takes
#   away: p(photo) − p(covered).
# * **gradient × input** multiplies each pixel by the gradient of the score there. If the score were
#   a linear function, this would be each pixel's share in it.
# * **integrated gradients** multiplies each pixel by a mean of gradients: those at many images on
#   the way from plain grey to this photo. Then the shares of all pixels add up to what the score
#   has gained on the way.
#
# **Before you run this:** what will they mark: the sleeves, the buttons, the collar, the
# background? And will the four agree?

# %%
heats = [trace.heatmap(method, class_index="shirt") for method in explain.HEATMAPS]
lesson.show(plots.heatmaps(heats))
shares = heats[3]
print(f"all shares together: {shares.total:.2f}, and the score gained {shares.gain:.2f}")

# %% [markdown]
# They agree roughly on *where*: in the middle of the body, along the buttons, which a longsleeve
# does not have; not on the sleeves, and not on the wall. They disagree on the rest, since they
# answer different questions. And none of them has said *why* this part matters.
#
# ## A network that cheats
#
# Shorts and skirts are hard to tell apart. Suppose that all photos of skirts come from one shop,
# and that this shop puts a white tag into the corner. We freeze the base and train a head for two
# kinds; the validation photos come from the same shops.
#
# **Before you run this:** how many of the validation photos will it get right? How many of the
# same photos without tags?


# %%
def tagged(x, row=50, column=48):
    """Photos with a white tag, on which three lines are printed."""
    x = x.copy()
    x[:, row : row + 11, column : column + 13] = 255
    for line, width in ((2, 9), (5, 9), (8, 5)):
        x[:, row + line : row + line + 2, column + 2 : column + 2 + width] = 0
    return x


def shop(split, count, tags=True):
    x, one_hot = lesson.photos(split, ["shorts", "skirt"], count)
    y = one_hot.argmax(axis=1)
    if tags:
        x[y == 1] = tagged(x[y == 1])
    return preprocess_input(x), y


keras.utils.set_random_seed(0)
base = keras.Model(network.input, network.get_layer("block4_pool").output, name="base")
base.trainable = False
cheater = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        base,
        layers.GlobalMaxPooling2D(name="largest"),
        layers.Dense(2, activation="softmax", name="two_kinds"),
    ]
)
cheater.compile(
    keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
)
x, y = shop("train", 40)
cheater.fit(x, y, epochs=30, batch_size=16, verbose=0)
with_tags, without = shop("validation", 20), shop("validation", 20, tags=False)
accuracies = {
    "with tags": cheater.evaluate(*with_tags, verbose=0)[1],
    "without tags": cheater.evaluate(*without, verbose=0)[1],
}
lesson.show(draw.bars(accuracies, "The same validation photos", "accuracy"))

# %% [markdown]
# With tags the network is always right, and without them it is no better than a coin: it calls
# nearly everything shorts. The validation accuracy could not reveal that, because its photos had
# the same tags. No number from photos of these shops could. But we can look.
#
# **Before you run this:** where will the four maps of a skirt be hot?

# %%
skirt = with_tags[0][20:21]
caught = cheater.trace(skirt)
maps_of_skirt = [caught.heatmap(method, class_index=1) for method in explain.HEATMAPS]
lesson.show(plots.heatmaps(maps_of_skirt, "What speaks for a skirt, says the network that cheats"))
covered = maps_of_skirt[1]
row, column = np.unravel_index(covered.values.argmax(), covered.values.shape)
print(f"covering rows {covered.rows[row]}–{covered.rows[row] + 15}, columns "
      f"{covered.columns[column]}–{covered.columns[column] + 15} takes away "
      f"{covered.values.max():.2f} of {covered.probability:.2f}")  # fmt: skip

# %% [markdown]
# Caught, by occlusion: covering the tag takes everything away, and covering any part of the skirt
# takes nothing. This is what heat maps are good for. They do not prove that a network is right, but
# they can show that it is right for the wrong reason.
#
# The other maps would not have told us so plainly. Grad-CAM is hot *beside* the tag, and at the
# waistband: a cell of these maps sees a large part of the photo (lesson 4), and what is drawn over
# a cell need not be what it answered to. And the two maps that have a number for each pixel are
# scattered over the whole skirt.
#
# ## How occlusion misleads
#
# So is occlusion the one to trust? Here is a photo with two tags, side by side.
#
# **Before you run this:** the network looks at nothing but tags. What will occlusion say about
# each of them?

# %%
pixels = lesson.photos("validation", ["skirt"], 1)[0]
two_tags = preprocess_input(tagged(tagged(pixels), column=16))
twice = cheater.trace(two_tags)
hidden = twice.heatmap("occlusion", class_index=1)
lesson.show(
    plots.heatmaps([hidden, twice.heatmap("grad_cam", class_index=1)], "Two tags, side by side")
)
print(f"largest number of the occlusion map: {hidden.values.max():.3f}")
both = hidden.covered(48, 48)
both[48:64, 16:32] = hidden.fill
p_without = cheater.predict(both[None], verbose=0)[0, 1]
print(f"p(skirt) with two tags: {hidden.probability:.3f}, with both covered: {p_without:.3f}")

# %% [markdown]
# Nothing: whichever tag is covered, the other one still does the job. (The map has colours all the
# same, but look at its scale: full colour begins just above 0. Any map can be stretched until
# something glows.) Occlusion reports a fact, but about one square at a time. It does not see what
# is there twice, as eyes, sleeves and wheels are in most photos.
#
# ## How gradient × input and integrated gradients mislead
#
# Both multiply by the pixel, or by its distance from a *baseline*. The network gets pixels from −1
# (black) to 1 (white), and with the usual baseline, 0, "nothing" is grey.
#
# **Before you run this:** we ask for the shares in the shirt's score once more, with a black
# baseline, and with a white one. All three maps add up to what the score gains. Do they agree on
# where that comes from?

# %%
baselines = {"black": -1.0, "grey": 0.0, "white": 1.0}
attributed = {
    name: trace.heatmap("integrated_gradients", class_index="shirt", baseline=value)
    for name, value in baselines.items()
}
correlations = {}
for name, found in attributed.items():
    correlations[name] = np.corrcoef(found.values.ravel(), shares.values.ravel())[0, 1]
    print(
        f"{name:6} {found.total:6.1f} of {found.gain:6.1f}, correlation with grey "
        f"{correlations[name]:.2f}"
    )

# %% [markdown]
# All three are complete, and they are three different maps; black and grey even tend to disagree
# about the sign. "How much does this pixel contribute" has no answer until you say what to compare
# it with.
#
# ## Does the map depend on the network at all?
#
# A map that looks right may just show the photo: its edges, its bright parts. A *sanity check* can
# tell. It lets the network forget layer by layer, from the output down, by mixing up each layer's
# weights, and asks whether the map changes. If it does not, it never showed what was learned.
#
# **Before you run this:** only the last layer is forgotten, the one that tells shirts from hats.
# Which map keeps more of its shape: Grad-CAM or gradient × input?

# %%
checks = {heat.method: heat.sanity_check() for heat in (heats[0], heats[2])}
for check in checks.values():
    print(check, "\n")
lesson.show(plots.sanity_check(checks["gradient_x_input"], "Gradient × input, while it forgets"))

# %% [markdown]
# Grad-CAM's map has nothing to do with the true one any more, as it should be. In gradient × input
# many signs have turned around, but look at the last column, which compares only the *sizes*: the
# same pixels stand out as before, though the network no longer knows which class they speak for.
# Pixels at edges have large gradients whatever the last layer wants. Such maps are mostly shown as
# sizes, without signs. They look convincing, and some of that is just the photo.
#
# ## What would it like best?
#
# We can also turn the question around, and grow an image out of noise: step by step each pixel
# moves to where the score rises.
#
# **Before you run this:** what will grow for pants, and what for a shirt?

# %%
liked = [
    explain.preferred_image(network, class_index=kind, value_range=(-1, 1), steps=96)
    for kind in ("dress", "hat", "pants", "shirt")
]
lesson.show(plots.preferred_images(liked, "What each class likes best"))
p_shirt = network.predict(liked[3].image[None], verbose=0)[0, known.index("shirt")]
print(f"p(shirt) of the last one: {p_shirt:.3f}, score {liked[3].values[-1]:.0f}; "
      f"of the real shirt: {heat.score:.0f}")  # fmt: skip

# %% [markdown]
# For pants, edges from top to bottom; for a shirt, rows of buttons, over and over. No shirt looks
# like that, and yet its score is far above that of any real one: what a class likes *best* is not
# what it usually sees. It confirms what the maps have said, and shows how little the network knows
# of a shirt.
#
# ## Exercises
#
# **1.** Write `grad_cam(maps, gradients)`: both are arrays (rows, columns, channels), the
# activations and the gradients of the score. It returns the map, (rows, columns).


# %%
def grad_cam(maps, gradients):
    return ...


lesson.check(1, grad_cam)

# %% [markdown]
# **2.** Write `occlusion(p, photo, row, column, size, colour)`: how much of the probability a
# square takes away. `p` is a function of a photo (height, width, channels); the square of `size`
# pixels begins at `row` and `column`. The photo should be as before afterwards.


# %%
def occlusion(p, photo, row, column, size, colour):
    return ...


lesson.check(2, occlusion)

# %% [markdown]
# **3.** A network tells wolves from huskies. On 20 photos Grad-CAM marks the snow. Which of these
# follow? Answer with a list of letters.
#
# * a: the network is right less often than one that looks at the animal
# * b: on these photos, the snow speaks for what the network says
# * c: photos of huskies in snow are worth testing
# * d: the animal does not matter to the network
# * e: if the map marked the animal, the network would be right for good reasons

# %%
follows = ...
lesson.check(3, follows)

# %% [markdown]
# **You now know** four ways to ask a network where it looks, what each of them adds up, how each
# can mislead, and that a high accuracy may have a bad reason.
#
# With a photo of your own: `minicnn predict MODEL PHOTO --heatmaps FOLDER`
