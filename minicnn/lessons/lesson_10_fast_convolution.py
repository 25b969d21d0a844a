# %% [markdown]
# # Lesson 10: How a fast convolution works
#
# *15 minutes to read, 4 seconds to compute*
#
# A CNN spends nearly all of its time on one operation. You know it from lesson 4: lay a window on
# the image, multiply, add up, move on. Written as loops it is simple and slow. This lesson shows
# two much faster ways to compute the same numbers, and why they are faster.

# %%
import time

import numpy as np

from minicnn import explain, functional
from minicnn.lessons import Lesson, draw

lesson = Lesson(10)
rng = np.random.default_rng(0)

# %% [markdown]
# ## The bill
#
# Take one convolution of a medium-sized network: 32×32 pixels with 16 channels, and 32 filters of
# 3×3. With `padding="same"` there are as many places as pixels.
#
# **Before you run this:** how many multiplications? Each of the 32·32·32 outputs is a sum of 3·3·16
# products.

# %%
x = rng.normal(size=(1, 32, 32, 16)).astype(np.float32)
w = rng.normal(size=(3, 3, 16, 32)).astype(np.float32)
loops = explain.convolution_steps(x, w, algorithm="loops", padding="same")
print(f"{loops.multiplications:,} multiplications")

# %% [markdown]
# Five million, for one layer and one small image. A processor can multiply 8 or 16 pairs of numbers
# in a single instruction if they lie side by side in memory; a Python loop takes them one by one,
# hundreds of instructions apart. So half of the answer is: *lay out the numbers well*.
#
# ## First trick: make it a matrix product
#
# The matrix product is the most thoroughly optimized operation in computing. And a convolution *is*
# a matrix product if you write each window as a row. Here is an example small enough to see it all:
# a 4×5 image, one channel, one filter.
#
# **Before you run this:** in how many places does a 3×3 window fit into 4×5 pixels? What is the
# shape of the matrix with a row for each place?

# %%
small_x = np.arange(20, dtype=np.float32).reshape(1, 4, 5, 1)
small_w = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=np.float32).reshape(3, 3, 1, 1)
steps = explain.convolution_steps(small_x, small_w, algorithm="im2col")
matrix = steps["The matrix of patches"].array
figure = draw.numbers(
    [small_x[0, :, :, 0], matrix],
    ["the image", "its matrix: a row for each place"],
    "Each window becomes a row (im2col)",
    grey=[0, 1],
)
lesson.show(figure)
print(matrix.shape)

# %% [markdown]
# The kernel becomes a column of nine numbers (with 32 filters: 32 columns), and the convolution is
# `matrix @ kernel`:

# %%
kernel = small_w.reshape(9, 1)
print((matrix @ kernel).reshape(2, 3))
print(functional.conv2d(small_x, small_w)[0, :, :, 0])

# %% [markdown]
# This is called *im2col*, "image to columns". It does not save a single multiplication. What it
# gains is order: the numbers lie side by side. The price is memory.
#
# **Before you run this:** how often does a pixel from the middle of the image occur in the matrix?
# How much larger than `x` is the matrix of our medium-sized layer?

# %%
print("the pixel 7 occurs", int((matrix == 7).sum()), "times; in a large image it would be 9")
im2col = explain.convolution_steps(x, w, algorithm="im2col", padding="same")
print(f"x: {x.nbytes / 1024:.0f} KB, its matrix: {im2col.memory / 1024:.0f} KB")

# %% [markdown]
# minicnn's own algorithm, `"direct"`, computes the matrix product without ever writing the matrix:
# it reads the windows where they are.
#
# ## Second trick: fewer multiplications
#
# Now comes the surprise. Take a row of four pixels d and a kernel of three weights g. The kernel
# fits in two places:
#
# ```
# y0 = d0·g0 + d1·g1 + d2·g2
# y1 = d1·g0 + d2·g1 + d3·g2
# ```
#
# **Before you go on:** that is six multiplications. Can we do it with fewer?
#
# Shmuel Winograd found a way with four (1980; Andrew Lavin and Scott Gray brought it to CNNs in
# 2015):
#
# ```
# m1 = (d0 − d2) · g0                      m2 = (d1 + d2) · (g0 + g1 + g2)/2
# m4 = (d1 − d3) · g2                      m3 = (d2 − d1) · (g0 − g1 + g2)/2
#
# y0 = m1 + m2 + m3                        y1 = m2 − m3 − m4
# ```
#
# Additions replace multiplications. And the weights are transformed only once, for all places of
# all images. Check it: multiply out m2 + m3, and most of it cancels.
#
# In two dimensions it gets better: minicnn computes 4×4 outputs from 6×6 pixels.
#
# **Before you run this:** 16 outputs of a 3×3 kernel take 144 multiplications. Winograd's algorithm
# needs one for each of the 6×6 numbers. How many times fewer is that?

# %%
winograd = explain.convolution_steps(x, w, algorithm="winograd", padding="same")
print(f"loops:    {loops.multiplications:>9,}")
print(f"winograd: {winograd.multiplications:>9,}")
names = ["A patch", "The transformed patch", "The products", "A tile of outputs"]
tiny = explain.convolution_steps(
    np.eye(6, dtype=np.float32).reshape(1, 6, 6, 1), small_w, algorithm="winograd"
)
shown = [tiny[name].shown for name in names]
labels = ["6×6 pixels", "transformed", "times the kernel, transformed", "4×4 outputs"]
title = "Winograd on one tile: a diagonal line"
lesson.show(draw.numbers(shown, labels, title, digits=1, grey=[0]))

# %% [markdown]
# Look at the middle: there is one multiplication for each of the 36 cells, and no window slides any
# more.
#
# ## The same numbers?
#
# On paper all algorithms give the same result. But a computer rounds after every operation, and the
# algorithms do different operations.
#
# **Before you run this:** which algorithm will be farthest from the exact result?

# %%
lesson.show(explain.compare_algorithms(x, w, padding="same"))

# %% [markdown]
# Winograd multiplies by numbers such as 1/24 and subtracts numbers that nearly cancel, so its
# rounding error is about ten times as large. A few millionths of the largest value do not matter to
# a network that learned from noisy photos. But they can cost you a day when you compare two
# programs.
#
# ## The stopwatch
#
# Fewer operations do not always take less time, so let us measure. We use the same layer with a
# batch of 8. The loops (`"naive"`) do a 1024th of the work, and we multiply their time.
#
# **Before you run this:** order the four by speed. How far behind the fastest is the slowest?

# %%
photos = rng.normal(size=(8, 32, 32, 16)).astype(np.float32)


def milliseconds(algorithm, x, repeats):
    best = np.inf
    for _ in range(repeats):  # the first call also compiles the kernel, or loads it
        start = time.perf_counter()
        functional.conv2d(x, w, padding="same", algorithm=algorithm)
        best = min(best, time.perf_counter() - start)
    return 1000 * best


times = {"naive": 1024 * milliseconds("naive", photos[:1, :4, :2], 2)}
for algorithm in ("im2col", "direct", "winograd"):
    times[algorithm] = milliseconds(algorithm, photos, 10)
for algorithm, value in times.items():
    print(f"{algorithm:9} {value:10.2f} ms")
del times["naive"]
lesson.show(draw.bars(times, "One convolution, batch of 8", "milliseconds on this computer"))

# %% [markdown]
# Which of the fast ones wins depends on the layer and on your processor; `algorithm="auto"`, the
# default, chooses by the shapes. `python -m benchmarks layers --quick` compares many layers.
#
# To see how the fast ones work, read `minicnn/kernels/direct.py` and `minicnn/kernels/winograd.py`.
#
# ## Exercises
#
# **1.** How many multiplications does the layer above take by the definition? It has 32·32 places,
# a 3×3 window, 16 channels and 32 filters. (Then compare with the first cell.)

# %%
multiplications = ...
lesson.check(1, multiplications)

# %% [markdown]
# **2.** Write `patches(x)` for one image with one channel, `x` of shape (height, width). It returns
# the matrix with a row of nine numbers for each place of a 3×3 window, row by row from the top.


# %%
def patches(x):
    return ...


lesson.check(2, patches)

# %% [markdown]
# **3.** Write `two_outputs(d, g)`, which returns both outputs of four pixels `d` and three weights
# `g` as an array of two, with four multiplications of pixels by weights. The check counts them.


# %%
def two_outputs(d, g):
    return ...


lesson.check(3, two_outputs)

# %% [markdown]
# **You now know** what happens inside `Conv2D`: the same sum, laid out well, and a trick from 1980.
