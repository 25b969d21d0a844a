# %% [markdown]
# # Lesson 16: Separable convolutions
#
# *20 minutes to read, 12 seconds to compute*
#
# The course's network, Xception, has 36 convolutional layers, and 34 of them are not what lesson 4
# called a convolution: they are `SeparableConv2D`. They do a similar job in two steps, which
# together are much cheaper. Their two halves, the 1×1 and the depthwise convolution, have been in
# many networks since.

# %%
import time

import numpy as np

import minicnn as keras
from minicnn import functional
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(16)
layers = keras.layers

# %% [markdown]
# ## Two jobs at once
#
# A 3×3 convolution does two jobs in one go. It looks *around*: at nine neighbouring pixels. And it
# looks *across*: at all channels. Each of its filters has a weight of its own for each pair of a
# pixel and a channel.
#
# **Before you run this:** 64 channels go in, 128 come out. How many weights (without a bias)? And
# for an image of 32×32 pixels, how many multiplications?


# %%
def cost(layer, channels=64, size=32):
    """The weights of a layer, and its multiplications for an image of size×size pixels."""
    inputs = keras.Input((size, size, channels))
    model = keras.Model(inputs, layer(inputs))
    return model.count_params(), model.multiply_adds((1, size, size, channels))


full = layers.Conv2D(128, 3, padding="same", use_bias=False)
print("weights and multiplications:", *(f"{count:,}" for count in cost(full)))

# %% [markdown]
# ## Across, but not around: the 1×1 convolution
#
# A window of 1×1 sees one pixel. It computes new channels from the old ones, for each pixel by
# itself: a `Dense` layer for pixels. Here are four such filters; each has one weight for red, one
# for green and one for blue.
#
# **Before you run this:** a purple shirt hangs on a wall of light wood. In which of the four maps
# is it easiest to tell the shirt from the wall?

# %%
images, labels = lesson.photos("train", count=20)
one = images[keras.datasets.CLOTHING_CLASSES.index("shirt") * 20 + 3 :][:1] / 255
mixing = {  # red, green, blue
    "brightness": (1 / 3, 1 / 3, 1 / 3),
    "red": (1, 0, 0),
    "red − green": (1, -1, 0),
    "blue − red": (-1, 0, 1),
}
w = np.array(list(mixing.values()), np.float32).T
mixed = functional.conv2d(one, w[None, None])
print("kernel:", w[None, None].shape, " output:", mixed.shape)
print("a matrix product at each pixel:", np.allclose(mixed, one @ w, atol=1e-6))
lesson.show(draw.images(one * 255, title="The image"))
lesson.show(draw.maps(list(mixed[0].transpose(2, 0, 1)), list(mixing), "Four 1×1 filters"))

# %% [markdown]
# In the last one: purple has more blue than red, wood more red than blue, so the sign tells them
# apart.
#
# ## Around, but not across: the depthwise convolution
#
# `DepthwiseConv2D` is the other half: one 3×3 filter for each channel, which sees that channel
# alone. Nothing is summed over the channels.
#
# **Before you run this:** three channels in: how many weights, and how many channels out? If we
# change a pixel of the red channel only, which channels of the output will change, and in how many
# places?

# %%
depthwise = layers.DepthwiseConv2D(3, padding="same", use_bias=False)
before = depthwise(one)
redder = one.copy()
redder[0, 30, 30, 0] += 0.5
changed = np.abs(depthwise(redder) - before)[0] > 1e-6
print("weights:", depthwise.count_params(), " output:", before.shape)
print("places that changed in red, green, blue:", changed.sum(axis=(0, 1)))

# %% [markdown]
# ## One after the other
#
# A `SeparableConv2D` is a depthwise convolution and then a 1×1 convolution, called *pointwise*
# here.
#
# **Before you run this:** 64 channels in, 128 out, 3×3. How many weights do the two steps have
# together? How many times fewer is that than the full convolution has?

# %%
separable = layers.SeparableConv2D(128, 3, padding="same", use_bias=False)
counts = {"full": cost(full), "separable": cost(separable)}
for name, (weights, multiplications) in counts.items():
    print(f"{name:10} {weights:7,} weights {multiplications:12,} multiplications")
print({weight.name: weight.shape for weight in separable.weights})
print(f"times fewer: {counts['full'][0] / counts['separable'][0]:.2f}")

# %% [markdown]
# 9 · 64 to look around, and 64 · 128 to look across: a sum instead of a product. The share that is
# left is 1/128 + 1/9, one part for each of the two jobs. With many filters it comes close to a
# ninth.
#
# ## What it cannot do
#
# Does it do the same, then? Two steps in a row are one convolution with the kernel
#
# `kernel[i, j, c, o] = depthwise[i, j, c] · pointwise[c, o]`
#
# so a separable convolution *is* a full one. But not the other way round: for one channel c, all
# 128 filters must look around in the same way, with the same 3×3 pattern. They differ only in how
# much of it they take.
#
# **Before you run this:** we build that kernel and compare. Then we take kernels of a network that
# learned with full convolutions (lesson 3's), and ask for the best separable kernel there is. What
# share of the kernel (of the sum of its squares) will it catch? For random numbers it is about a
# fifth.

# %%
x = np.random.default_rng(0).normal(size=(2, 8, 8, 64)).astype(np.float32)
d, p = separable.get_weights()  # (3, 3, 64, 1) and (1, 1, 64, 128)
joined = d * p  # (3, 3, 64, 128)
difference = np.abs(separable(x) - functional.conv2d(x, joined, padding="same")).max()
print(f"largest difference between separable and joined: {difference:.6f}")


def caught(kernel):
    """The share of a kernel's sum of squares that the best separable kernel has."""
    rows, columns, channels, filters = kernel.shape
    by_channel = kernel.transpose(2, 0, 1, 3).reshape(channels, rows * columns, filters)
    sizes = np.linalg.svd(by_channel, compute_uv=False) ** 2  # a product catches the largest one
    return float(sizes[:, 0].sum() / sizes.sum())


network = keras.models.load_model(PRETRAINED, compile=False)
rng = np.random.default_rng(0)
shares = {}
for block in (2, 3, 4):
    kernel = network.get_layer(f"block{block}_conv").get_weights()[0]
    shares[f"block {block}, learned"] = caught(kernel)
    shares[f"block {block}, random"] = caught(rng.normal(size=kernel.shape))
lesson.show(draw.bars(shares, "What a separable kernel catches", "share of the kernel's squares"))

# %% [markdown]
# More than for random numbers, but still only about a third. So you cannot simply replace the
# convolutions of a trained network. But a network that is trained with separable ones from the
# beginning finds weights of its own. Can one look around and across separately, and lose nothing?
# In 2017 François Chollet tried it on a large scale. His Xception had about as many weights as the
# best network of the kind before it, Inception V3, and it got more of ImageNet's images right:
# 79.0% instead of 78.2%.
#
# ## How far they see
#
# **Before you run this:** two separable 3×3 convolutions, with a 1×1 convolution between them. How
# many pixels does a number at the end see? And two full ones?

# %%
for name, kind in {"separable": layers.SeparableConv2D, "full": layers.Conv2D}.items():
    stack = keras.Sequential([keras.Input((15, 15, 4)), kind(8, 3), layers.Conv2D(8, 1)])
    stack.add(kind(8, 3, name="last"))
    seen = stack.trace(np.zeros((1, 15, 15, 4), np.float32)).receptive_field("last", at=(5, 5))
    print(f"{name:9}:", str(seen).splitlines()[0])

# %% [markdown]
# Both see 5×5: the depthwise step looks just as far around as a full convolution does, and a 1×1
# window adds nothing. So separable convolutions do not save by seeing less.
#
# ## Xception
#
# We build it, with random weights. (That costs nothing but memory; nothing is downloaded.)
#
# **Before you run this:** it has 34 separable convolutions, most of them with 728 channels. What
# share of its weights looks around (depthwise), and what share looks across (pointwise)? And how
# many weights would it have if all 34 were full ones?

# %%
xception = keras.applications.Xception(weights=None)
around = across = if_full = multiplications = multiplications_if_full = 0
separables = [layer for layer in xception.layers if isinstance(layer, layers.SeparableConv2D)]
for layer in separables:
    depthwise_kernel, pointwise_kernel = layer.get_weights()
    _, height, width, _ = layer.output.shape
    around += depthwise_kernel.size
    across += pointwise_kernel.size
    multiplications += layer.multiply_adds(layer.input.shape)
    if_full += 9 * pointwise_kernel.size
    multiplications_if_full += height * width * 9 * pointwise_kernel.size
total = xception.count_params()
print(f"{len(separables)} separable convolutions, {total:,} weights in all")
print(f"around: {around:,} ({around / total:.1%}), across: {across:,} ({across / total:.1%})")
print(f"if they were full ones: {total - around - across + if_full:,} weights")
print(
    f"multiplications: {multiplications / 1e9:.1f} billion, "
    f"if they were full ones: {multiplications_if_full / 1e9:.1f} billion"
)

# %% [markdown]
# Less than one percent of the weights look around! Nearly all the others mix channels. With full
# convolutions the network would have eight times as many weights, and could hardly be trained on
# the same computers. Chollet spent what he saved on width and depth: on 728 channels, and on 36
# layers.
#
# So this is how to read its plan: two plain convolutions at the bottom, where there are few
# channels and little to save; then blocks of two or three separable convolutions, each with batch
# normalization (lesson 14), and a shortcut around each block (lesson 15). There is no ReLU between
# the two halves of a separable convolution: Chollet tried one, and it made the network worse.
#
# ## The stopwatch
#
# **Before you run this:** a separable convolution needs eight times fewer multiplications. Will it
# take an eighth of the time? We time 128 channels in and out, 32×32 pixels, a batch of 8.

# %%
photos = rng.normal(size=(8, 32, 32, 128)).astype(np.float32)
timed = {
    "full 3×3": layers.Conv2D(128, 3, padding="same", use_bias=False),
    "separable": layers.SeparableConv2D(128, 3, padding="same", use_bias=False),
    "1×1 alone": layers.Conv2D(128, 1, use_bias=False),
    "depthwise alone": layers.DepthwiseConv2D(3, padding="same", use_bias=False),
}
times, work = {}, {}
for name, layer in timed.items():
    best = np.inf
    for _ in range(10):  # the first call also compiles the kernel, or loads it
        start = time.perf_counter()
        layer(photos)
        best = min(best, time.perf_counter() - start)
    times[name] = 1000 * best
    work[name] = layer.multiply_adds((None, 32, 32, 128)) / (32 * 32 * 128)
    print(f"{name:16} {times[name]:6.2f} ms, {work[name]:6.0f} multiplications per input number")
ratio = times["full 3×3"] / times["separable"]
print(f"multiplications: {work['full 3×3'] / work['separable']:.1f} times fewer, time: {ratio:.1f}")
lesson.show(draw.bars(times, "Two steps and one", "milliseconds on this computer"))

# %% [markdown]
# Most likely it saves much less of the time than of the multiplications, for two reasons:
#
# * For the full 3×3 convolution there is Winograd's trick (lesson 10), which needs a quarter of the
#   multiplications. For the two halves there is none.
# * A depthwise convolution does only 9 multiplications with each number that it reads. The numbers
#   cannot be brought from memory fast enough to keep a processor busy. The depthwise half has a
#   fifteenth of the separable convolution's multiplications: compare its share of the time.
#
# So count multiplications to compare networks on paper, but take out a stopwatch before you believe
# the result.
#
# ## Does it learn as well?
#
# We train three small networks on all ten kinds of clothes: with full convolutions, with separable
# ones of the same width, and with full ones that are so narrow that they have even fewer weights.
#
# **Before you run this:** which of the three will be best, and which will be second?


# %%
def halved(split, count):
    """Every second pixel of the images, from -1 to 1, and their labels."""
    images, labels = lesson.photos(split, count=count)
    return images[:, ::2, ::2] / 127.5 - 1, labels


def make_model(convolution, widths):
    model = keras.Sequential([keras.Input((32, 32, 3))])
    model.add(layers.Conv2D(widths[0], 3, strides=2, padding="same", use_bias=False))
    for width in widths[1:]:
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        model.add(convolution(width, 3, padding="same", use_bias=False))
        model.add(layers.MaxPooling2D())
    for layer in (
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ):
        model.add(layer)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


x, y = halved("train", 40)
validation = halved("validation", 20)
candidates = {
    "full": (layers.Conv2D, (16, 32, 64)),
    "separable": (layers.SeparableConv2D, (16, 32, 64)),
    "full, narrow": (layers.Conv2D, (8, 9, 22)),
}
accuracies, parameters = {}, {}
for name, candidate in candidates.items():
    accuracies[name] = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        model = make_model(*candidate)
        history = model.fit(x, y, epochs=12, validation_data=validation, verbose=0).history
        accuracies[name].append(np.mean(history["val_accuracy"][-3:]))
    parameters[name] = model.count_params()
    print(
        f"{name:12} {parameters[name]:7,} weights, "
        f"{model.multiply_adds((1, 32, 32, 3)):9,} multiplications"
    )
figure = draw.spread(
    accuracies, "The last three of 12 epochs, three random starts", "validation accuracy"
)
lesson.show(figure)

# %% [markdown]
# The full convolutions are ahead, but they cost nearly six times as much. With about the same
# number of multiplications, the separable network and the narrow one do not differ by more than
# luck (lesson 12). So here the separable convolutions gain nothing!
#
# That is no contradiction. With 16 or 32 channels there is little to save: 1/32 + 1/9 of the
# weights remain, and the narrow network saves as much by leaving channels out. With 728 channels it
# is 1/728 + 1/9 of what would be by far the largest part of the network. What pays in a large
# network need not pay in a small one. Measure.
#
# ## Exercises
#
# **1.** How many weights does `SeparableConv2D(256, 3, use_bias=False)` have if its input has 128
# channels?

# %%
weights = ...
lesson.check(1, weights)

# %% [markdown]
# **2.** Write `pointwise(x, w)`: a 1×1 convolution. `x` has shape (height, width, channels), `w`
# has shape (channels, filters). No loop is needed.


# %%
def pointwise(x, w):
    return ...


lesson.check(2, pointwise)

# %% [markdown]
# **3.** Write `join(depthwise, pointwise)`: the full kernel, of shape (3, 3, channels, filters),
# that does the work of both steps. `depthwise` has shape (3, 3, channels), `pointwise` (channels,
# filters).


# %%
def join(depthwise, pointwise):
    return ...


lesson.check(3, join)

# %% [markdown]
# **You now know** what the course's network is made of, why it can afford to be so wide, and what a
# separable convolution gives up for it.
