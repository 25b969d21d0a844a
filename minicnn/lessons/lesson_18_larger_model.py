# %% [markdown]
# # Lesson 18: A larger model, larger images
#
# *Section 8.11 of the course · 15 minutes to read, 6 seconds to compute*
#
# The course's last training run takes images of 299×299 pixels instead of 150×150, and its network
# gets better than ever: 90% of the validation photos are right. Larger images show more, so they
# must be better, right? This lesson measures what they cost and what they bring. The gain does not
# come from where most people look for it.

# %%
import time

import numpy as np

import minicnn as keras
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(18)
layers = keras.layers
preprocess_input = keras.applications.xception.preprocess_input
network = keras.models.load_model(PRETRAINED, compile=False)

# %% [markdown]
# ## The same weights, any size
#
# A convolution slides its window over the image, however large that is. So we can take the layers
# of lesson 3's network, with their weights, and give them an input of another size.
#
# **Before you run this:** an image is twice as high and twice as wide as another. How many times as
# many multiplications does it take, and how many times as many weights?


# %%
def base_for(size):
    """The base with the same layers, and so the same weights, for images of this size."""
    y = inputs = keras.Input((size, size, 3))
    for layer in network.layers[:-2]:  # without dropout and the six probabilities
        y = layer(y)
    return keras.Model(inputs, y)


bases = {size: base_for(size) for size in (32, 48, 64, 96, 128)}
costs = {}
print("image     last maps  multiplications  numbers between layers  weights")
for size, base in bases.items():
    _, tape = base.forward(np.zeros((1, size, size, 3), np.float32))
    maps = tape["block4_pool"].y
    between = sum(tape[layer.name].y.size for layer in base.layers[1:])
    costs[size] = base.multiply_adds((1, size, size, 3))
    print(
        f"{size:3}×{size:<3} {maps.shape[1]:5}×{maps.shape[2]:<2}{costs[size]:18,}{between:24,}"
        f"{base.count_params():9,}"
    )

# %% [markdown]
# Four times as many multiplications, and four times as many numbers between the layers, which
# training has to keep for the backward pass (lesson 9): if it runs out of memory, make the batch
# smaller. The weights stay the same 60,512.
#
# That is so because *global average pooling* turns maps of any size into 64 numbers. A head that
# begins with `Flatten` is another matter.
#
# **Before you run this:** how many parameters does a `Dense(10)` layer have after `Flatten`, for
# images of 64×64 and of 128×128? And what happens if one gets the other's weights?


# %%
def flat_head(size):
    side = size // 16  # four poolings
    return keras.Sequential([keras.Input((side, side, 64)), layers.Flatten(), layers.Dense(10)])


small, large = flat_head(64), flat_head(128)
print(f"{small.count_params():,} and {large.count_params():,} parameters")
try:
    large.set_weights(small.get_weights())
except ValueError as error:
    print(error)

# %% [markdown]
# ## Which size is best?
#
# We draw the clothes larger, 128×128, and read the same files in five sizes. Each base computes
# the features once (lesson 6), and a head learns from them.

# %%
folder = lesson.clothes("large-clothes", size=128, counts={"train": 20, "validation": 20})
images = {}
for size in bases:
    images[size] = [
        lesson.photos(split, count=20, size=size, folder=folder)
        for split in ("train", "validation")
    ]
shown = [images[size][1][0][3] for size in (32, 64, 128)]
lesson.show(draw.images(shown, ["32×32", "64×64", "128×128"], "The same dress in three sizes"))

# %% [markdown]
# **Before you run this:** the network learned its six kinds from images of 64×64. Sort the sizes
# 32, 48, 64, 96 and 128 by the accuracy that you expect on the validation images.


# %%
def train_head(x, y, validation, seed):
    keras.utils.set_random_seed(seed)
    head = keras.Sequential([keras.Input((64,)), layers.Dense(10)])
    head.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return head.fit(x, y, epochs=25, validation_data=validation, verbose=0).history


def last_epochs(base, train, validation):
    """The last validation accuracy and loss of three random starts."""
    (x, y), (vx, vy) = train, validation
    features = base.predict(preprocess_input(x), verbose=0)
    unseen = base.predict(preprocess_input(vx), verbose=0), vy
    runs = [train_head(features, y, unseen, seed) for seed in range(3)]
    return {key: np.array([run[key][-1] for run in runs]) for key in ("val_accuracy", "val_loss")}


results = {size: last_epochs(base, *images[size]) for size, base in bases.items()}
accuracies = {f"{size}×{size}": found["val_accuracy"] for size, found in results.items()}
lesson.show(draw.spread(accuracies, "Three random starts for each size", "validation accuracy"))

# %% [markdown]
# The best size is the one that the network was trained with. At 32×32 the accuracy is much worse,
# which is no surprise: there is little to see. But at 128×128 there is more to see than the
# network has ever seen before, and it does just as badly.
#
# ## Detail or scale?
#
# When an image gets smaller, two things happen. Its *details* are lost, and its *scale* changes: a
# sleeve that was 12 pixels wide is 6 pixels wide now. A kernel of 3×3 looks for patterns of a
# certain size in pixels, and the kernels of later layers build on that. Which of the two does the
# damage?
#
# We can tell them apart: we shrink the images to 32×32, and then enlarge them to 64×64 again. The
# scale is the old one, but no detail comes back.
#
# **Before you run this:** will the accuracy be near that of 32×32, or near that of 64×64?

# %%
enlarge = layers.Resizing(64, 64)
blurred = [(enlarge(x), y) for x, y in images[32]]
restored = last_epochs(bases[64], *blurred)
lesson.show(
    draw.images(
        [images[32][1][0][3], blurred[1][0][3], images[64][1][0][3]],
        ["32×32", "32, enlarged to 64", "64×64"],
        "The scale comes back, the details do not",
    )
)
for name, found in (("32×32", results[32]), ("enlarged", restored), ("64×64", results[64])):
    accuracy, loss = found["val_accuracy"], found["val_loss"]
    print(f"{name:9} accuracy {accuracy.mean():.3f}   loss {loss.mean():.3f}")

# %% [markdown]
# Near that of 64×64, with a somewhat higher loss. So it was the scale. Three quarters of the pixels
# were thrown away, and it hardly mattered.
#
# This also explains the course's 299. **Xception was trained with 299×299.** Photos of 150×150 show
# it clothes at half the size that it knows. With 299 the scale fits, and there is more detail as
# well. A network that was trained with 224×224, such as MobileNet, wants 224.
#
# ## What it costs
#
# **Before you run this:** the base needs some time for an image of 64×64. How many times as long
# will it need for 128×128?


# %%
def milliseconds(size):
    x = preprocess_input(images[size][1][0])
    best = np.inf
    for _ in range(5):  # the first ones also make a program (lesson 11)
        start = time.perf_counter()
        bases[size].predict(x, verbose=0)
        best = min(best, time.perf_counter() - start)
    return 1000 * best / len(x)


times = {size: milliseconds(size) for size in bases}
print("image      ms    times as long   multiplications   accuracy")
for size, ms in times.items():
    accuracy = results[size]["val_accuracy"].mean()
    print(
        f"{size:3}×{size:<3} {ms:6.3f} {ms / times[64]:13.2f} {costs[size] / costs[64]:17.2f}"
        f" {accuracy:13.3f}"
    )

# %% [markdown]
# About as the multiplications say. (Large maps no longer fit into the processor's caches, small
# ones leave threads without work; lessons 10 and 11 have more about that.)
#
# With a frozen base and no augmentation you pay only once, since `fit` keeps the features. With
# augmentation the base runs in each epoch (lesson 13), and each epoch of the course takes four
# times as long with 299 as with 150. So the course looks for the learning rate, the inner layer and
# the dropout rate *with small images*, and then makes one long run with large ones. For that one it
# lowers the learning rate and augments less.
#
# ## A larger network
#
# The other way to a larger model is another network. Here are two of Keras's, without their top;
# the numbers do not depend on the weights, so we download none.
#
# **Before you run this:** Xception has about seven times as many parameters as MobileNet. Does it
# also need seven times as many multiplications? And which needs more: MobileNet with 299×299 or
# Xception with 150×150?

# %%
applications = keras.applications
networks = {
    "MobileNet": applications.mobilenet.MobileNet(weights=None, include_top=False),
    "Xception": applications.xception.Xception(weights=None, include_top=False),
}
giga = {}
for name, model in networks.items():
    giga[name] = {size: model.multiply_adds((1, size, size, 3)) / 1e9 for size in (150, 299)}
    counts = "   ".join(f"{size}: {count:.2f} billion" for size, count in giga[name].items())
    print(f"{name:10} {model.count_params() / 1e6:5.1f} million parameters   {counts}")

# %% [markdown]
# Xception needs more than eight times as many; and MobileNet with 299×299 needs about half of what
# Xception needs with 150×150. Parameters fill a file and the memory; multiplications take the time.
# Neither says how good a network is. Only validation can tell.
#
# ## When it is not worth it
#
# * **The network was trained with smaller images.** You have seen it.
# * **The photos are small themselves.** Enlarging adds no detail. (It may still be right, for the
#   scale.)
# * **The gain is luck.** With 341 validation photos one photo is 0.3%, and the standard error of an
#   accuracy of 90% is 1.6% (lesson 12).
# * **Somebody waits for the answer.** A service pays for each photo, not for training alone
#   (lesson 19).
# * **There are few images.** A larger network has more weights to learn by heart with (lesson 12).
#   If it is frozen, that does not matter: only the head learns.
#
# ## Exercises
#
# **1.** An epoch takes 60 seconds with images of 150×150. About how many seconds will it take with
# 299×299?

# %%
seconds = ...
lesson.check(1, seconds)

# %% [markdown]
# **2.** For 299×299 the last maps of Xception are 10×10 with 2048 channels. How many parameters
# does a `Dense(10)` layer have after `GlobalAveragePooling2D`, and how many after `Flatten`? Answer
# with two numbers, `[…, …]`.

# %%
parameters = ...
lesson.check(2, parameters)

# %% [markdown]
# **3.** Write `choose(runs)`, which returns the smallest size that is as good as the best one,
# except for luck. `runs[64]` is a list of accuracies from several random starts. Two means differ
# by more than luck if they are more than 2·√(s₁²/n₁ + s₂²/n₂) apart, where s is the standard
# deviation of a sample, `np.std(a, ddof=1)`.


# %%
def choose(runs):
    return ...


lesson.check(3, choose)

# %% [markdown]
# **You now know** what larger images cost, and that a network does best with the size that it was
# trained with.
#
# With a folder of photos: `minicnn transfer --data DIR --image-size 299 --learning-rate 5e-4`
