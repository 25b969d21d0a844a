# %% [markdown]
# # Lesson 4: What the layers do
#
# *Section 8.4 of the course · 20 minutes to read, 5 seconds to compute*
#
# Lesson 3 used a network as a black box. Now we open it. By the end you can point at any number
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
# Here is a tiny grey image, dark on the left and bright on the right, and a *kernel* of 3×3 weights
# (red above zero, blue below). Lay the kernel on the image, multiply each weight by the number
# under it, and add the products up: that is one output. Move the kernel on by one pixel for the
# next output.
#
# **Before you run this:** we slide a 3×3 window over a 6×8 image. What is the shape of the output?
# Where in it will the numbers be zero?

# %%
image = np.zeros((6, 8), dtype=np.float32)
image[:, 4:] = 1
kernel = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], dtype=np.float32)

x = image.reshape(1, 6, 8, 1)  # batch, height, width, channels
convolution = layers.Conv2D(1, 3, use_bias=False, name="edge")  # one filter of 3x3
convolution(x)  # the layer makes its weights when it first sees an input
convolution.set_weights([kernel.reshape(3, 3, 1, 1)])
y = convolution(x)
names = ["the image", "the kernel", "the output"]
shown = [image, kernel, y[0, :, :, 0]]
lesson.show(draw.numbers(shown, names, "A kernel that sees an edge", grey=[0]))

# %% [markdown]
# The kernel computes "right column minus left column": zero where all pixels are the same, large
# where the image gets brighter from left to right. It is a *detector* of vertical edges, and it
# finds them wherever they are: the same nine weights serve every place.
#
# One number, in full:

# %%
lesson.show(convolution.explain(x, at=(1, 2, 0)))

# %% [markdown]
# **Before you run this:** what will the same kernel say about an image that gets *darker* to the
# right? And about one with a horizontal edge?

# %%
darker = image[:, ::-1]
horizontal = np.zeros((6, 8), dtype=np.float32)
horizontal[3:] = 1
outputs = [convolution(p.reshape(1, 6, 8, 1))[0, :, :, 0] for p in (darker, horizontal)]
names = ["darker to the right", "its output", "horizontal edge", "its output"]
shown = [darker, outputs[0], horizontal, outputs[1]]
lesson.show(draw.numbers(shown, names, "The same kernel, other edges", columns=2, grey=[0, 2]))

# %% [markdown]
# ## Padding, strides, channels, filters
#
# * `padding="same"` puts zeros around the image, so that the output is as large as the image.
# * `strides=2` moves the window by two pixels at a time.
# * In a colour image the kernel has 3×3 weights for each channel, and all products go into *one*
#   sum.
# * The layer adds one more number to the sum, the *bias*. Weights and biases are the layer's
#   *parameters*: the numbers that training finds.
# * A layer has many *filters*, each with its own kernel and bias; each makes one channel of the
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
# After the sum comes the *activation*. `relu` keeps positive numbers and sets the rest to zero:
# "found it, this strongly" or "not here".

# %%
print(layers.ReLU()(np.array([[-3.0, -0.1, 0.0, 0.1, 3.0]])))

# %% [markdown]
# ## What a trained network has learned to look for
#
# Nobody wrote the kernels of our pretrained network: training found them (lesson 9). Here are the
# 16 kernels of the first layer. They have 3×3 pixels and three channels, so we can show them in
# colour.

# %%
network = keras.models.load_model(PRETRAINED, compile=False)
lesson.show(plots.kernels(network.get_layer("block1_conv")))

# %% [markdown]
# Some are bright on one side and dark on the other: they look for edges in various directions.
# Others look for a colour.
#
# Now let us take a whole image and one number of the first layer: the largest output of filter 4
# away from the border.
#
# **Before you run this:** how many products is this number the sum of?

# %%
known = network.metadata["class_names"]
images, labels = lesson.photos("test", known)
batch = keras.applications.xception.preprocess_input(images)
p = network.predict(batch, verbose=0)[:, known.index("shirt")]
shirts = labels[:, known.index("shirt")] == 1
shirt = int(np.where(shirts, np.abs(p - 0.7), 1).argmin())  # the network is not quite sure of it
trace = network.trace(batch[shirt : shirt + 1])
inner = trace["block1_conv"].y[0, 1:-1, 1:-1, 4]
row, column = (int(i) + 1 for i in np.unravel_index(inner.argmax(), inner.shape))
lesson.show(trace.explain("block1_conv", at=(row, column, 4)))
lesson.show(draw.images(images[[shirt]], title="The image"))

# %% [markdown]
# 3 · 3 · 3 = 27 products and a bias: not a black box at all. `trace` keeps the input and output of
# every layer, and `trace.explain` takes any of these numbers apart.
#
# ## Max pooling
#
# Max pooling keeps the largest of every 2×2 numbers: half the height, half the width. "The edge is
# here *or one pixel further*": exact places get lost, on purpose.
#
# **Before you run this:** the 4×4 block below is pooled. Write down the four numbers that are left.

# %%
block = np.array([[1, 3, 0, 2], [2, 4, 1, 1], [0, 0, 5, 6], [7, 0, 0, 8]], dtype=np.float32)
pooled = layers.MaxPooling2D(2)(block.reshape(1, 4, 4, 1))[0, :, :, 0]
lesson.show(draw.numbers([block, pooled], ["before", "after"], "Max pooling 2×2"))

# %% [markdown]
# ## Deeper layers see more
#
# The second layer does not look at pixels; it looks at the first layer's maps, that is, at edges.
# So it can look for *corners* and *stripes*. And because of the pooling, each of its numbers
# depends on a larger part of the image, its *receptive field*.
#
# **Before you run this:** how many of the 64×64 pixels does one number of the first convolution
# depend on? And one of the fourth? Guess.

# %%
for name in ("block1_conv", "block2_conv", "block3_conv", "block4_conv"):
    height, width = trace[name].y.shape[1:3]
    seen = trace.receptive_field(name, at=(height // 2, width // 2))
    (top, bottom), (left, right) = seen.rows, seen.cols
    size = f"{bottom - top + 1}×{right - left + 1} pixels"
    print(f"{name} sees {size}: rows {top}…{bottom}, columns {left}…{right}")

# %% [markdown]
# Let us use that. For a filter of the third block we search all 120 images for the places where
# its output is largest, and cut out what it sees there: 18×18 pixels.
#
# **Before you run this:** a filter responds to *one* thing. Will the patches in one row look alike?

# %%
_, tape = network.forward(batch)
maps = tape["block3_conv"].y


def loudest(channel, count=6):
    """What the filter sees where its output is largest, in `count` images."""
    inner = maps[:, 2:14, 2:14, channel]  # away from the border, so that it sees 18×18 pixels
    patches = []
    for image in np.argsort(-inner.max(axis=(1, 2)))[:count]:
        row, column = np.unravel_index(inner[image].argmax(), inner.shape[1:])
        seen = trace.receptive_field("block3_conv", at=(row + 2, column + 2))
        (top, bottom), (left, right) = seen.rows, seen.cols
        patches.append(images[image, top : bottom + 1, left : right + 1])
    return patches


channels = (np.argsort(-maps.mean(axis=(0, 1, 2)))[:4]).tolist()
cuts = [patch for channel in channels for patch in loudest(channel)]
names = [f"filter {channel}" if i == 0 else "" for channel in channels for i in range(6)]
lesson.show(draw.images(cuts, names, "Where four filters of block 3 respond most", columns=6))

# %% [markdown]
# Look along the rows. Filter 46 responds to a bright gap between two dark parts: the space between
# two legs, or between sleeve and body. Filter 3 responds to cloth with the wall on its left, filter
# 40 to the upper edge of cloth. Nobody told them to look for these: they turned out to be useful.
#
# ## From maps to an answer
#
# At the end `GlobalAveragePooling2D` takes the mean of each of the last 64 maps: how much of its
# pattern is in the image? For each class `Dense` computes a weighted sum of these 64 numbers, and
# `softmax` turns the six sums into probabilities.
#
# **Before you run this:** the image shows a shirt, and we chose one that the network is not quite
# sure of. What could the network confuse it with?

# %%
p = trace.y[0]
winner = int(p.argmax())
print({name: round(float(value), 3) for name, value in zip(known, p)})
lesson.show(trace.explain("probabilities", at=winner))

# %% [markdown]
# And here is the whole way down from the answer to a pixel, along the largest contribution in each
# layer:

# %%
lesson.show(trace.why("probabilities", at=winner))

# %% [markdown]
# (This is only one path of thousands: the last column says what share of each sum it carries.)
#
# All of this is also on an interactive page, with every window and every sum: open `shirt.html` in
# a browser. It works offline, so you can mail it to a friend. (In a notebook,
# `trace.to_html(class_names=known)`, without a file's name, shows it in the cell.)

# %%
print("Wrote", trace.to_html("shirt.html", class_names=known))

# %% [markdown]
# ## Exercises
#
# **1.** How many parameters does `Conv2D(32, 3)` have if its input is a colour image? Compute it by
# hand; then check with `layers.Conv2D(32, 3)`, an input, and `count_params()`.

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
# What shape comes out? Write it as `model.output_shape` would: `(None, …, …, …)`.

# %%
shape = ...
lesson.check(3, shape)

# %% [markdown]
# **You now know** what convolution, ReLU, pooling, dense layers and softmax do, and how to find out
# where any number comes from.
