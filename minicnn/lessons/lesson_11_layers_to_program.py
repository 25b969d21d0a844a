# %% [markdown]
# # Lesson 11: From layers to a program
#
# *20 minutes to read, 3 seconds to compute*
#
# Lesson 10 made a single convolution fast. But a network that looks at one photo can spend most of
# its time elsewhere: *between* its layers. This lesson follows one photo from `model.predict(x)`
# down to the processor, and saves time at every step of the way.

# %%
import time

import numpy as np

import minicnn as keras
from minicnn import functional, plots
from minicnn.graph.program import Program
from minicnn.lessons import Lesson, draw

lesson = Lesson(11)
layers = keras.layers
rng = np.random.default_rng(0)

# %% [markdown]
# ## A network for one photo
#
# We build a network in the style of MobileNet, which was made for telephones. It repeats one block:
#
# * a *depthwise* convolution: one 3×3 filter for each channel, which sees that channel alone,
# * then a *pointwise* one: a 1×1 window, which mixes the channels of each pixel,
# * after both a `BatchNormalization`, which shifts and scales each channel, and a ReLU.
#
# We give it random weights, since they do not change how long it takes.
#
# **Before you run this:** it has about 9 million multiplications. One core of a processor can do
# some 50 in a nanosecond. How many milliseconds should one photo take?

# %%
keras.utils.set_random_seed(0)


def followed(convolution):
    return [convolution, layers.BatchNormalization(), layers.ReLU()]


def block():
    return [
        *followed(layers.DepthwiseConv2D(3, padding="same", use_bias=False)),
        *followed(layers.Conv2D(32, 1, use_bias=False)),
    ]


first = layers.Conv2D(32, 3, strides=2, use_bias=False)
model = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        layers.ZeroPadding2D(1),
        *followed(first),
        *[layer for _ in range(6) for layer in block()],
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ]
)
for layer in model.layers:
    if isinstance(layer, layers.BatchNormalization):  # as if it had been trained
        shape = layer.gamma.shape
        gamma, variance = (rng.uniform(0.5, 1.5, shape) for _ in range(2))
        beta, mean = (rng.normal(size=shape) for _ in range(2))
        layer.set_weights([gamma, beta, mean, variance])
x = rng.normal(size=(1, 64, 64, 3)).astype(np.float32)  # our photo

count = model.multiply_adds((1, 64, 64, 3))
print(f"{len(model.layers)} layers, {count:,} multiplications")
print(f"at 50 in a nanosecond: {count / 50 / 1e6:.2f} ms")

# %% [markdown]
# Now the stopwatch. We call the layers one by one, as a textbook does.
#
# **Before you run this:** how many times longer than that will it take?


# %%
def milliseconds(function, repeats=20):
    best = np.inf
    for _ in range(repeats):  # the first call also compiles what it needs, or loads it
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def one_by_one(y):
    for layer in model.layers:
        y = layer(y)
    return y


print(f"{milliseconds(lambda: one_by_one(x)):.2f} ms")

# %% [markdown]
# Where does the time go? A ReLU of a single number makes it plain.
#
# **Before you run this:** a processor computes max(0, x) in less than a nanosecond. How long does
# the layer take?

# %%
relu, number = layers.ReLU(), np.ones((1, 1), np.float32)
print(f"{1e6 * milliseconds(lambda: relu(number), 1000):,.0f} nanoseconds")

# %% [markdown]
# All of that is preparation. Before its first multiplication, a convolution
#
# 1. checks its input: is it an array, and what are its shape and type?
# 2. chooses an algorithm (lesson 10),
# 3. puts its weights into the order in which the algorithm reads them,
# 4. gets memory for the result,
# 5. wakes the other threads, one for each core; and it waits for the last of them when it is done.
#
# For a large batch this hardly matters. For one photo it is most of the work. And nearly all of it
# comes out the same, photo after photo. So let us do it once.
#
# ## Fewer layers
#
# At inference a BatchNormalization knows its mean and variance: it multiplies each channel by one
# number and adds another. So does a convolution. Here is the smallest of all networks, with one
# weight:
#
# ```
# convolution      y = w·x + b
# normalization    z = (y − mean) / √variance · gamma + beta
#
# w = 2   b = 1    mean = 4   variance = 4   gamma = 3   beta = 1
# ```
#
# (`BatchNormalization` adds a small `epsilon` to the variance, so that it never divides by zero. We
# leave it out for once.)
#
# **Before you run this:** which weight and which bias give z at once, as z = w'·x + b'? Write down
# scale = gamma / √variance first.

# %%
w, b, mean, variance, gamma, beta = 2, 1, 4, 4, 3, 1
scale = gamma / np.sqrt(variance)
new_w, new_b = w * scale, (b - mean) * scale + beta
print(f"z = {new_w:g}·x {new_b:+g}")
for value in (5.0, 0.0, -1.0):
    two_layers = (w * value + b - mean) / np.sqrt(variance) * gamma + beta
    print(f"x = {value:4}: two layers {two_layers:5}, one layer {new_w * value + new_b:5}")

# %% [markdown]
# With real layers it is the same, for each filter. This is called *folding*. A ReLU is folded even
# more easily: the convolution has each sum in its hands, and writes 0 instead if it is negative.
#
# **Before you run this:** will three layers and the folded one give exactly the same numbers?

# %%
normalization = model.layers[2]
gamma, beta, mean, variance = normalization.get_weights()
scale = gamma / np.sqrt(variance + normalization.epsilon)
w = first.get_weights()[0]  # (3, 3, 3, 32): the filters come last, so each gets its own scale
one = functional.conv2d(x, w * scale, beta - mean * scale, strides=2, activation="relu")
three = layers.ReLU()(normalization(first(x)))
print("largest number:", three.max(), " largest difference:", np.abs(one - three).max())

# %% [markdown]
# They agree up to rounding, as in lesson 10. `inference_model` folds a whole network. (Training
# must not do this: there the mean and the variance are those of the batch, and change with it.)
#
# **Before you run this:** how many of our layers will be left?

# %%
folded = model.inference_model()
normalizations = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
kept = len(folded.layers) - 1  # it also counts the input
print(f"{len(model.layers)} layers, {len(normalizations)} of them normalize; folded: {kept}")
print("largest difference:", np.abs(folded(x) - one_by_one(x)).max())

# %% [markdown]
# ## Write down what the layers ask for
#
# The layers that are left still check, choose and prepare. In the end each of them calls a few
# *kernels*, the functions that do the arithmetic (not to be confused with the weights of a
# convolution, which have the same name). Which ones, on which arrays, depends on the shapes alone.
#
# So minicnn calls each layer once, with an array whose numbers are *not known yet*. The layer
# checks its shape, chooses its algorithm and asks for its kernels, as always. But nothing is
# computed: minicnn writes every request down. The list is the *program*.
#
# **Before you run this:** one step for each folded layer would be a good guess. Will there be more
# steps, or fewer?

# %%
program = model.inference_program(1)
print(program)

# %% [markdown]
# Read the first lines together. The columns are the layer, the kernel, into how many *tasks* the
# step is cut, and the shape of what it writes.
#
# * Step 1 is the first convolution, with its normalization and ReLU.
# * Step 2 is a whole block, six layers of the model. `separable` is a depthwise and a pointwise
#   convolution together.
# * The average needs two steps: first over the columns, then over the rows.
#
# Running the program means going through this table, from top to bottom. No Python runs between
# the steps. Does it still compute the same?

# %%
(y,) = program.run([x])
print("bit for bit what the folded layers compute:", np.array_equal(y, folded(x)))

# %% [markdown]
# ## Steps that become one
#
# Two things are missing from the list. minicnn sees all steps at once now, so it can save some that
# layers by themselves cannot:
#
# * **The border of zeros.** `ZeroPadding2D` copies the image into a larger one, only for the
#   convolution to read it again. But the convolution's kernel can act as if it saw zeros outside
#   of the image. So no step writes them.
# * **Depthwise into pointwise.** The pointwise convolution is a matrix product: pixels times
#   weights. It needs only a few rows of pixels at a time.
#
# **Before you run this:** the depthwise convolution makes 32×32 pixels with 32 channels, and each
# number takes 4 bytes. A core's fastest memory, its *cache*, often holds 32 or 48 KB. Does the
# result fit? Would one row of pixels fit?

# %%
print(f"the whole result: {32 * 32 * 32 * 4 / 1024:.0f} KB")
print(f"a row of pixels:  {32 * 32 * 4 / 1024:.0f} KB")

# %% [markdown]
# So the joined step computes a few rows, multiplies them while they are still in the cache, and
# forgets them. The whole result never exists. (In a residual block, a product is joined in the same
# way to the addition and the ReLU after it.)
#
# ## Weights, packed once
#
# A matrix product takes a few columns of the weights at a time, say four: the processor multiplies
# four (or 8, or 16) numbers in a single instruction. But in memory a matrix lies row by row.
#
# **Before you run this:** a matrix of 3 rows and 8 columns holds the numbers 0 to 23, in the order
# in which they lie in memory. Write down the order in which the product reads them: first the left
# four columns, row by row, then the others.

# %%
matrix = np.arange(24).reshape(3, 8)
packed = matrix.reshape(3, 2, 4).transpose(1, 0, 2).reshape(2, 12)
names = ["the weights", "packed: four columns, then the next four"]
lesson.show(draw.numbers([matrix, packed], names, "Weights in the order of reading", columns=1))

# %% [markdown]
# This is called *packing*. A layer that is called alone packs its weights each time; a program
# keeps them packed. The price is a second copy of the weights.
#
# And a risk: what if somebody changes the weights afterwards? The copy would be out of date. So
# `predict`, which keeps programs for you, looks each time whether anything has changed.
#
# **Before you run this:** we add 1 to the last layer's ten biases. What should change in the
# prediction?

# %%
print(f"{program.constant_bytes / 1024:.0f} KB of packed weights")
for _ in range(3):  # when a size of batch comes again, predict makes a program for it
    before = model.predict(x, verbose=0)
kernel, bias = model.layers[-1].get_weights()
model.layers[-1].set_weights([kernel, bias + 1])
print((model.predict(x, verbose=0) - before).round(4))
model.layers[-1].set_weights([kernel, bias])

# %% [markdown]
# ## Memory: what is needed, and until when
#
# A layer that is called alone asks for memory for its result. A program knows all arrays
# beforehand, and for each one when it is first written and when it is last read: its *lifetime*.
# Two arrays that are never needed at the same time can share their place.
#
# Here is a network with a shortcut. Each step writes one array.
#
# ```
# step 1: a = f(photo)       step 2: b = g(a)       step 3: c = h(b)
# step 4: d = a + c          step 5: y = k(d)
# ```
#
# **Before you run this:** the sizes are below, in KB. With a place for each array it takes 288 KB.
# How much is enough? Note that a step reads while it writes: in step 2, both a and b must be there.

# %%
sizes = {"photo": 48, "a": 64, "b": 32, "c": 64, "d": 64, "y": 16}
lifetimes = {"photo": (0, 1), "a": (1, 4), "b": (2, 3), "c": (3, 4), "d": (4, 5), "y": (5, 6)}
for step in range(1, 6):
    needed = [name for name, (begin, end) in lifetimes.items() if begin <= step <= end]
    print(f"step {step}: {' + '.join(needed):10} = {sum(sizes[name] for name in needed):3} KB")

# %% [markdown]
# Step 4 needs the most, 192 KB, so less cannot be enough. Now each array needs a place in one block
# of memory for all of them, the *arena*. We place the largest array first, and each array as low as
# it may lie beside those that live at the same time.


# %%
def places(sizes, lifetimes):
    found = {}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        begin, end = lifetimes[name]
        neighbours = [n for n in found if lifetimes[n][0] <= end and begin <= lifetimes[n][1]]
        offset = 0
        for other in sorted(neighbours, key=lambda n: found[n]):
            if found[other] < offset + sizes[name]:  # it is in the way: go above it
                offset = max(offset, found[other] + sizes[other])
        found[name] = offset
    return found


found = places(sizes, lifetimes)
arena = max(found[name] + sizes[name] for name in sizes)
print(f"a place for each: {sum(sizes.values())} KB, the arena: {arena} KB")
lesson.show(draw.lifetimes(sizes, lifetimes, found, "The arena"))

# %% [markdown]
# Each box is an array: it is as wide as it lives long, and as high as it is large. No two boxes
# overlap. And here is our own network. It is a plain chain, so an array lives for two steps.
#
# **Before you run this:** the 13 folded convolutions have results of 32×32×32 numbers, 128 KB each.
# How large will the program's arena be?

# %%
print(f"a place for each result: {13 * 32 * 32 * 32 * 4 / 1024:.0f} KB")
print(f"the program's arena: {program.arena_bytes / 1024:.0f} KB")
lesson.show(plots.program(program, "Our program"))

# %% [markdown]
# Room for two results, used in turn: six of the 13 are never written (see above), and the others
# take the place of one that is no longer needed. And little memory is not only cheaper: what was
# written there a moment ago is likely still to be in a cache.
#
# ## Tasks and threads
#
# Each step is cut into tasks, small pieces that need nothing of each other. The threads take one
# task after the other until none is left, wait for each other, and go on to the next step. Nobody
# knows beforehand which thread will do which task.
#
# That sounds dangerous, since the order of a sum matters to a computer:

# %%
large, small = np.float32(1e8), np.float32(1)
print((large + small) - large, "but", (large - large) + small)

# %% [markdown]
# **Before you run this:** we compute the same photo with 1, 2, 3 and 7 threads. In how many of the
# digits will the results agree?

# %%
threads = keras.config.num_threads()
results = []
for n in (1, 2, 3, 7):
    keras.config.set_num_threads(n)
    results.append(program.run([x])[0])
    print(f"threads: {n}, the same bits as with one: {np.array_equal(results[-1], results[0])}")
keras.config.set_num_threads(threads)

# %% [markdown]
# In all of them. A task makes whole numbers of the result, each from its first product to its last,
# in an order that the shapes alone decide. *Who* does it, and when, makes no difference. So an
# answer that you get on a laptop does not change when you look for it with 16 cores.
#
# ## The stopwatch
#
# Now all of it together, for one photo and for 32.
#
# **Before you run this:** how many times faster is the program than the layers one by one? Will the
# difference be larger for one photo, or for each of 32?

# %%
photos = rng.normal(size=(32, 64, 64, 3)).astype(np.float32)
for_many = model.inference_program(32)
times = {
    "layer by layer": milliseconds(lambda: one_by_one(x)),
    "folded": milliseconds(lambda: folded(x)),
    "program": milliseconds(lambda: program.run([x])),
    "layer by layer, each of 32": milliseconds(lambda: one_by_one(photos), 3) / 32,
    "folded, each of 32": milliseconds(lambda: folded(photos), 3) / 32,
    "program, each of 32": milliseconds(lambda: for_many.run([photos]), 3) / 32,
}
for name, value in times.items():
    print(f"{name:27} {value:7.2f} ms")
lesson.show(draw.bars(times, "One photo through the network", "milliseconds on this computer"))
print(f"to make the program: {milliseconds(lambda: Program(folded.graph, [x.shape]), 3):.2f} ms")

# %% [markdown]
# In a batch of 32 the photos share what it costs to prepare, so there is less to gain. And even the
# program needs more than the time that we computed at the beginning: a depthwise convolution does
# only nine multiplications with each number that it reads, too few to keep a core busy with them.
#
# The last line says why `predict` does not make a program at once: making it takes longer than
# computing one photo without it. So it waits until a size of batch comes for the second time.
#
# To see how it is done, read `minicnn/graph/program.py`; it is shorter than this lesson. How layers
# are folded is in `minicnn/graph/fusion.py`, which steps become one in `minicnn/graph/peephole.py`,
# and how threads share out tasks in `minicnn/compiler/schedule.py`.
#
# ## Exercises
#
# **1.** Write `fold(kernel, bias, gamma, beta, mean, variance, epsilon)`, which returns the kernel
# and the bias of a convolution that also does the normalization after it. `kernel` has shape
# (3, 3, channels, filters); the others, apart from `epsilon`, have one number for each filter.


# %%
def fold(kernel, bias, gamma, beta, mean, variance, epsilon):
    return ...


lesson.check(1, fold)

# %% [markdown]
# **2.** How many KB must the arena of this network have at least?
#
# ```
#                              writes       who reads it
#          before step 1:      x, 10 KB     step 1
#          step 1              a, 40 KB     step 2
#          step 2              b, 20 KB     steps 3 and 5
#          step 3              c, 30 KB     step 4
#          step 4              d, 30 KB     step 5
#          step 5              y, 10 KB     you
# ```

# %%
kilobytes = ...
lesson.check(2, kilobytes)

# %% [markdown]
# **3.** Write `duration(tasks, threads)`: how many milliseconds a program takes, if each task takes
# one. `tasks` is a list with the number of tasks of each step. A thread does one task at a time,
# and no thread begins a step until the one before it is done.


# %%
def duration(tasks, threads):
    return ...


lesson.check(3, duration)

# %% [markdown]
# **You now know** what happens between `model.predict(x)` and the processor: whatever comes out the
# same for every photo is done once, and what is left is a short table of arithmetic.
#
# Lesson 12 goes back to the course, and to training.
