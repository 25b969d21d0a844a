# %% [markdown]
# # Lesson 4: What the layers do
#
# *Section 8.4 of the course · 20 minutes to read, 5 seconds to compute*
#
# Lesson 3 took a network as a black box. Now we open it. By the end you can point at any number
# inside and say where it comes from.

# %%
import numpy as np

import minicnn as keras
from minicnn import plots
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(4)
layers = keras.layers

# %% [markdown]
# ## A convolution is a sliding window
#
# Here is a tiny grey picture: dark on the left, bright on the right. And a *kernel* of 3×3 weights
# (red above zero, blue below).
# Lay the kernel on the picture, multiply each weight with the number under it, and add up: one
# output. Move on by one pixel: the next one.
#
# **Before you run this:** a 3×3 window in a 6×8 picture: which shape has the output? Where in it
# will the numbers be zero?

# %%
picture = np.zeros((6, 8), dtype=np.float32)
picture[:, 4:] = 1
kernel = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], dtype=np.float32)

x = picture.reshape(1, 6, 8, 1)  # batch, height, width, channels
convolution = layers.Conv2D(1, 3, use_bias=False, name="edge")  # one filter of 3x3
convolution(x)  # the layer makes its weights when it first sees an input
convolution.set_weights([kernel.reshape(3, 3, 1, 1)])
y = convolution(x)
names = ["the picture", "the kernel", "the output"]
shown = [picture, kernel, y[0, :, :, 0]]
lesson.show(draw.numbers(shown, names, "A kernel that sees an edge", grey=[0]))

# %% [markdown]
# "Right column minus left column": zero where all is the same, large where it gets brighter from
# left to right. The kernel is a *detector* of vertical edges, and it finds them wherever they are:
# the same nine weights serve every place.
#
# One number, in full:

# %%
lesson.show(convolution.explain(x, at=(1, 2, 0)))

# %% [markdown]
# **Before you run this:** what will the same kernel say to a picture that gets *darker* to the
# right? And to one with a horizontal edge?

# %%
darker = picture[:, ::-1]
horizontal = np.zeros((6, 8), dtype=np.float32)
horizontal[3:] = 1
outputs = [convolution(p.reshape(1, 6, 8, 1))[0, :, :, 0] for p in (darker, horizontal)]
names = ["darker to the right", "its output", "horizontal edge", "its output"]
shown = [darker, outputs[0], horizontal, outputs[1]]
lesson.show(draw.numbers(shown, names, "The same kernel, other edges", columns=2, grey=[0, 2]))

# %% [markdown]
# ## Padding, strides, channels, filters
#
# * `padding="same"` puts zeros around the picture, so that the output has its size.
# * `strides=2` moves the window by two pixels.
# * With colours the kernel has 3×3 weights for each channel, and all products go into *one* sum.
# * To the sum comes one more number, the *bias*. Weights and bias are a layer's *parameters*: the
#   numbers that training finds.
# * A layer has many *filters*, each with its kernel and its bias; each makes one channel of the
#   output.
#
# **Before you run this:** write down the four shapes.

# %%
photo = np.zeros((1, 64, 64, 3), dtype=np.float32)
print(layers.Conv2D(16, 3)(photo).shape)
print(layers.Conv2D(16, 3, padding="same")(photo).shape)
print(layers.Conv2D(16, 3, padding="same", strides=2)(photo).shape)
print(layers.Conv2D(16, 5)(photo).shape)

# %% [markdown]
# ## ReLU
#
# After the sum comes the *activation*. `relu` keeps what is positive and makes the rest zero:
# "found it, this much" or "not here".

# %%
print(layers.ReLU()(np.array([[-3.0, -0.1, 0.0, 0.1, 3.0]])))

# %% [markdown]
# ## What a trained network has learned to look for
#
# Nobody wrote the kernels of our pretrained network. Training found them (lesson 9). Here are the
# 16 of the first layer: 3×3 pixels, three channels, so they can be shown in colour.

# %%
network = keras.models.load_model(PRETRAINED, compile=False)
lesson.show(plots.kernels(network.get_layer("block1_conv")))

# %% [markdown]
# Some are bright on one side and dark on the other: edges in all directions. Some look for a
# colour.
#
# Now a real picture, and one number of the first layer: the largest of filter 4, away from the
# edge.
#
# **Before you run this:** how many products is this number the sum of?

# %%
known = network.metadata["class_names"]
pictures, labels = lesson.photos("test", known)
batch = keras.applications.xception.preprocess_input(pictures)
p = network.predict(batch, verbose=0)[:, known.index("shirt")]
shirts = labels[:, known.index("shirt")] == 1
shirt = int(np.where(shirts, np.abs(p - 0.7), 1).argmin())  # one that it is not quite sure of
trace = network.trace(batch[shirt : shirt + 1])
inner = trace["block1_conv"].y[0, 1:-1, 1:-1, 4]
row, column = (int(i) + 1 for i in np.unravel_index(inner.argmax(), inner.shape))
lesson.show(trace.explain("block1_conv", at=(row, column, 4)))
lesson.show(draw.pictures(pictures[[shirt]], title="The picture"))

# %% [markdown]
# 3 · 3 · 3 = 27 products and a bias; not a black box at all. `trace` keeps what every layer took
# and gave, and `trace.explain` takes any of these numbers apart.
#
# ## Max pooling
#
# Of every 2×2 numbers keep the largest: half the height, half the width. "The edge is here *or one
# pixel further*": exact places get lost, and that is wanted.
#
# **Before you run this:** the 4×4 block below is pooled. Write down the four numbers that are left.

# %%
block = np.array([[1, 3, 0, 2], [2, 4, 1, 1], [0, 0, 5, 6], [7, 0, 0, 8]], dtype=np.float32)
pooled = layers.MaxPooling2D(2)(block.reshape(1, 4, 4, 1))[0, :, :, 0]
lesson.show(draw.numbers([block, pooled], ["before", "after"], "Max pooling 2×2"))

# %% [markdown]
# ## Deeper layers see more
#
# The second layer does not look at pixels, it looks at the first layer's maps: at edges. So it can
# look for *corners* and *stripes*. And because of the poolings, each of its numbers depends on more
# of the picture: its *receptive field*.
#
# **Before you run this:** how many of the 64×64 pixels can reach one number of the first layer? Of
# the fourth? Guess.

# %%
for name in ("block1_conv", "block2_conv", "block3_conv", "block4_conv"):
    height, width = trace[name].y.shape[1:3]
    seen = trace.receptive_field(name, at=(height // 2, width // 2))
    (top, bottom), (left, right) = seen.rows, seen.cols
    size = f"{bottom - top + 1}×{right - left + 1} pixels"
    print(f"{name} sees {size}: rows {top}…{bottom}, columns {left}…{right}")

# %% [markdown]
# Let us use that. For a filter of the third block we search all 120 pictures for the places where
# it answers loudest, and cut out what it sees there: 18×18 pixels.
#
# **Before you run this:** a filter answers to *one* thing. Will the cut-outs of one row look alike?

# %%
_, tape = network.forward(batch)
maps = tape["block3_conv"].y


def loudest(channel, count=6):
    """What the filter sees where it answers loudest, in `count` pictures."""
    inner = maps[:, 2:14, 2:14, channel]  # away from the edge, to see 18×18 pixels
    patches = []
    for picture in np.argsort(-inner.max(axis=(1, 2)))[:count]:
        row, column = np.unravel_index(inner[picture].argmax(), inner.shape[1:])
        seen = trace.receptive_field("block3_conv", at=(row + 2, column + 2))
        (top, bottom), (left, right) = seen.rows, seen.cols
        patches.append(pictures[picture, top : bottom + 1, left : right + 1])
    return patches


channels = (np.argsort(-maps.mean(axis=(0, 1, 2)))[:4]).tolist()
cuts = [patch for channel in channels for patch in loudest(channel)]
names = [f"filter {channel}" if i == 0 else "" for channel in channels for i in range(6)]
lesson.show(draw.pictures(cuts, names, "Where four filters of block 3 answer loudest", columns=6))

# %% [markdown]
# Look along the rows. Filter 46 answers to a bright gap between two dark parts: the space between
# two legs, or between sleeve and body. Filter 3 answers to cloth with the wall on its left, filter
# 40 to the upper end of cloth. Nobody told them to; it helped.
#
# ## From maps to an answer
#
# At the end `GlobalAveragePooling2D` takes the mean of each of the 64 last maps: how much of it is
# in the picture? `Dense` weighs these 64 numbers for each class, and `softmax` turns the six sums
# into probabilities.
#
# **Before you run this:** it is a shirt, and we chose one of which the network is not quite sure.
# With what could it be confused?

# %%
p = trace.y[0]
winner = int(p.argmax())
print({name: round(float(value), 3) for name, value in zip(known, p)})
lesson.show(trace.explain("probabilities", at=winner))

# %% [markdown]
# And the whole way down, along the largest contribution of each layer, from the answer to a pixel:

# %%
lesson.show(trace.why("probabilities", at=winner))

# %% [markdown]
# (Only one thread of thousands: the last column says how much of each sum it is.)
#
# All of this is also a page to click through, with every window and every sum: open `shirt.html` in
# a browser. It needs no network, so you can mail it to a friend.

# %%
print("Wrote", trace.to_html("shirt.html", class_names=known))

# %% [markdown]
# ## Exercises
#
# **1.** How many parameters has `Conv2D(32, 3)` that gets a colour picture? By hand; then check
# with `layers.Conv2D(32, 3)`, an input, and `count_params()`.

# %%
parameters = ...
lesson.check(1, parameters)

# %% [markdown]
# **2.** Write the convolution yourself: `convolve(x, w)` for one channel and a 3×3 kernel, without
# padding. `x` has shape (height, width). Two loops are enough.


# %%
def convolve(x, w):
    return ...


lesson.check(2, convolve)

# %% [markdown]
# **3.** An input of (64, 64, 3) goes through
#
# ```python
# Conv2D(16, 3)        # no padding
# Conv2D(32, 3)
# MaxPooling2D(4)
# ```
#
# Which shape comes out? Write it as `model.output_shape` would: `(None, …, …, …)`.

# %%
shape = ...
lesson.check(3, shape)

# %% [markdown]
# **You now know** what convolution, ReLU, pooling, dense layer and softmax do, and how to ask any
# number where it comes from.
