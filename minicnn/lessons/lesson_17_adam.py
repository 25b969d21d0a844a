# %% [markdown]
# # Lesson 17: How Adam moves a weight
#
# *20 minutes to read, 3 seconds to compute*
#
# Backpropagation (lesson 9) says which way each weight should go. How *far* it goes is decided by
# the optimizer. Nearly everybody chooses `Adam` with a learning rate of 0.001, and hopes. Adam is
# two older ideas and one correction. This lesson adds them one at a time, by hand.

# %%
import numpy as np

import minicnn as keras
from minicnn.lessons import PRETRAINED, Lesson, draw

lesson = Lesson(17)
layers, optimizers = keras.layers, keras.optimizers

# %% [markdown]
# ## A narrow valley
#
# In lesson 6 there was one weight. Here are two: the loss is ½ · (w₀² + 50 · w₁²), the lowest point
# is (0, 0), and the gradient is (w₀, 50 · w₁). Across, the valley is 50 times as steep as it is
# along. Networks are full of such valleys: some weights matter far more than others.
#
# **Before you run this:** plain gradient descent (`SGD`) starts at (−4, 1). With a rate of 0.02 its
# first step lands at w₁ = 1 − 0.02 · 50 · 1 = 0. How many steps will w₀ need to come near 0? And
# where does the first step land with a rate of 0.036?

# %%
steepness = np.array([1, 50], np.float32)


def valley(w):
    return 0.5 * np.sum(steepness * w**2, axis=-1)


def descend(optimizer, steps=40, factor=1):
    """The places that the optimizer visits on its way down; the loss is multiplied by a factor."""
    w = layers.Variable(np.array([-4, 1], np.float32), "w", "valley")
    path = [w.numpy()]
    for _ in range(steps):
        optimizer.apply({"w": factor * steepness * w.numpy()}, {"w": w})
        path.append(w.numpy())
    return np.array(path)


paths = {f"SGD, rate {rate}": descend(optimizers.SGD(rate)) for rate in (0.02, 0.036)}
for name, path in paths.items():
    print(f"{name}: first step to {path[1].round(2)}, after 40 steps {path[-1].round(3)}")
lesson.show(draw.descents(valley, paths, "Down a narrow valley: gradient descent"))

# %% [markdown]
# The steep direction limits the rate: above 2/50 = 0.04 each step across the valley lands higher
# than it began (lesson 6). And at such a rate the weight along the valley crawls. One rate for both
# is too large for one weight and too small for the other.
#
# ## First idea: momentum
#
# A ball that rolls downhill does not start anew at every step. *Momentum* keeps a velocity: each
# step is the last one, times 0.9, plus a new step.
#
# `velocity = 0.9 · velocity − rate · gradient` and then `w = w + velocity`
#
# **Before you run this:** the gradient is always 1, the rate 0.1. Plain steps would all be 0.1
# long. How long are the first three with momentum? How long will they be in the end?

# %%
velocity, lengths = 0.0, []
for _ in range(50):
    velocity = 0.9 * velocity - 0.1 * 1
    lengths.append(-velocity)
print("first three:", np.round(lengths[:3], 3), " last:", round(lengths[-1], 3))

w = layers.Variable(np.zeros(1, np.float32), "w", "example")
optimizer, before, moved = optimizers.SGD(0.1, momentum=0.9), 0.0, []
for _ in range(50):
    optimizer.apply({"w": np.ones(1, np.float32)}, {"w": w})
    moved.append(before - float(w.numpy()[0]))
    before = float(w.numpy()[0])
print("the optimizer's:", np.round(moved[:3], 3), " last:", round(moved[-1], 3))

# %% [markdown]
# Ten times as long: 0.1 · (1 + 0.9 + 0.9² + …) = 0.1 / (1 − 0.9). Where gradients agree, the steps
# add up. Where they change their sign, they cancel. (So if you turn momentum on, turn the rate
# down.)
#
# ## Second idea: divide by the usual size
#
# The two weights should not share one rate. *RMSprop* keeps, for each weight, a running mean of its
# squared gradient, and divides the gradient by the root of that mean: by how large the gradient
# *usually* is.
#
# `size² = 0.9 · size² + 0.1 · gradient²` and then `w = w − rate · gradient / size`
#
# **Before you run this:** at (−4, 1) the gradient is (−4, 50). How long is RMSprop's first step for
# each of the weights, with a rate of 0.1? (Begin with size² = 0.)

# %%
gradient = np.array([-4, 50])
size = np.sqrt(0.1 * gradient**2)
print("by hand:      ", -0.1 * gradient / size)
path = descend(optimizers.RMSprop(0.1), steps=1)
print("the optimizer:", path[1] - path[0])

# %% [markdown]
# Equally long! The size of the gradient has cancelled out; only its sign is left. But why 0.316 and
# not 0.1? The running mean begins at 0. After one step it holds only a tenth of gradient², so the
# size is too small by √0.1, and the first step too long by 1/√0.1 = 3.16.
#
# ## Adam: both, and a correction
#
# *Adam* divides a running mean of the gradient, `m` (that is the momentum), by the root of a
# running mean of the squared gradient, `v`. Both begin at 0, and Adam corrects for that.
#
# ```
# m = 0.9 · m + 0.1 · gradient           v = 0.999 · v + 0.001 · gradient²
# m' = m / (1 − 0.9ᵗ)                    v' = v / (1 − 0.999ᵗ)
#
# w = w − rate · m' / √v'                t: which step it is
# ```
#
# (A tiny epsilon, 0.0000001, keeps it from dividing by 0.)
#
# **Before you run this:** the gradients of three steps are 2, 2 and −1, the rate is 0.01. Work out
# the first line of the table: m, m', v, v', and the step.

# %%
gradients, rate = [2.0, 2.0, -1.0], 0.01
m = v = by_hand = 0.0
print("t   gradient        m       m'        v       v'      step        w")
for t, g in enumerate(gradients, start=1):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    corrected_m, corrected_v = m / (1 - 0.9**t), v / (1 - 0.999**t)
    step = -rate * corrected_m / np.sqrt(corrected_v)
    by_hand += step
    print(
        f"{t} {g:10.1f} {m:8.4f} {corrected_m:8.4f} {v:8.4f} {corrected_v:8.4f} {step:9.5f}"
        f" {by_hand:8.5f}"
    )

w_adam = layers.Variable(np.zeros(1, np.float32), "w", "example")
adam = optimizers.Adam(rate)
for g in gradients:
    adam.apply({"w": np.array([g], np.float32)}, {"w": w_adam})
print(f"the optimizer's w: {float(w_adam.numpy()[0]):.5f}")

# %% [markdown]
# The first step is the rate, 0.01, as in lesson 6: m' is the gradient, √v' its size. In the third
# step the gradient has turned around. But w still moves on in the old direction, only less far: the
# mean of 2, 2 and −1 is still positive.
#
# **Before you run this:** without the correction, the first step would divide 0.1 · gradient by
# √0.001 · gradient. Would it be too short or too long, and by what factor?


# %%
def steps_of(gradients, corrected=True):
    """How far Adam moves a weight in each step, in units of the rate."""
    m = v = 0.0
    found = []
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        over, under = (1 - 0.9**t, 1 - 0.999**t) if corrected else (1, 1)
        found.append((m / over) / (np.sqrt(v / under) + 1e-7))
    return np.array(found)


steady = np.ones(300)
lengths = {
    "with correction": steps_of(steady),
    "without": steps_of(steady, corrected=False),
}
print({name: steps[[0, 9, 299]].round(2) for name, steps in lengths.items()})
lesson.show(
    draw.lines(lengths, None, "A steady gradient: how long Adam's steps are", "step", "rates")
)

# %% [markdown]
# More than three times too long, and it gets worse before it gets better: m catches up within some
# 20 steps, but v takes a thousand. With the correction every step is one rate long.
#
# And now all four in the valley.
#
# **Before you run this:** which ones will go past the goal and have to come back?

# %%
paths = {
    "SGD": descend(optimizers.SGD(0.036)),
    "momentum": descend(optimizers.SGD(0.01, momentum=0.9)),
    "RMSprop": descend(optimizers.RMSprop(0.2)),
    "Adam": descend(optimizers.Adam(0.3)),
}
for name, path in paths.items():
    print(f"{name:9} loss after 40 steps: {valley(path[-1]):.4f}")
lesson.show(draw.descents(valley, paths, "Down a narrow valley: four optimizers"))

# %% [markdown]
# SGD zigzags and crawls. Momentum is quick, but swings past the goal. RMSprop and Adam set out
# diagonally, as if both directions were equally steep: each weight has a rate of its own. (Adam has
# momentum, too, so it also swings. In this smooth valley RMSprop is ahead. Where each batch says
# something different, it pays to take the mean of several gradients.)
#
# ## The rate is a length
#
# For SGD the learning rate is a factor. For Adam it is a *distance*.
#
# **Before you run this:** the rate is 0.001, and the gradient is always 0.001, or always 1000. How
# far has the weight moved after 100 steps?


# %%
def distance(gradients, rate=0.001):
    """How far Adam moves a weight that gets these gradients one after the other."""
    w, adam = layers.Variable(np.zeros(1, np.float32), "w", "example"), optimizers.Adam(rate)
    for g in gradients:
        adam.apply({"w": np.array([g], np.float32)}, {"w": w})
    return -float(w.numpy()[0])


for g in (0.001, 1000):
    print(f"gradient {g:6}: {distance([g] * 100):.4f}")

# %% [markdown]
# By 100 · 0.001 = 0.1, both times. But that is so only because the gradient was always the same. In
# training each batch has different images, and they do not agree.
#
# **Before you run this:** the mean of the gradients is 1, but they scatter around it with a
# standard deviation of 0, 1, 3 or 10. How far will 1000 steps go now?

# %%
rng = np.random.default_rng(0)
noise = rng.normal(size=1000)
noise = (noise - noise.mean()) / noise.std()
distances = {}
for scatter in (0, 1, 3, 10):
    distances[scatter] = distance(1 + scatter * noise)
    print(f"scatter {scatter:2}: {distances[scatter]:.3f} of at most 1.000")

# %% [markdown]
# The more the batches disagree, the shorter the distance: the mean of the gradient stays, but the
# size that it is divided by grows. So Adam moves a weight with confidence where the images agree on
# the direction, and carefully where they do not. SGD would go equally far in all four cases.
#
# This is why 0.001 suits so many networks. Take lesson 6's head: 64 features, ten kinds.
#
# **Before you run this:** its kernel begins with random weights of up to √(6 / (64 + 10)) = 0.28.
# How many steps of 0.001 does it take to move a weight that far? Lesson 6 trained for 20 epochs of
# 7 steps: how far can a weight move in that time?

# %%
network = keras.models.load_model(PRETRAINED, compile=False)
base = keras.Model(network.input, network.get_layer("average").output)
images, y = lesson.photos("train", count=20)
x = base.predict(keras.applications.xception.preprocess_input(images), verbose=0)
cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)


def make_head(optimizer):
    keras.utils.set_random_seed(0)
    head = keras.Sequential([keras.Input((64,)), layers.Dense(10, name="scores")])
    head.compile(optimizer, cross_entropy, metrics=["accuracy"])
    return head


for rate in (0.001, 0.01):
    head = make_head(optimizers.Adam(rate))
    start = head.get_weights()[0]
    head.fit(x, y, epochs=20, verbose=0)
    moved = np.abs(head.get_weights()[0] - start)
    accuracy = head.evaluate(x, y, verbose=0)[1]
    print(
        f"rate {rate}: moved by {moved.mean():.3f} on average, {moved.max():.3f} at most"
        f" (140 steps: {140 * rate:.2f}), accuracy {accuracy:.2f}"
    )

# %% [markdown]
# With 0.001 a weight hardly gets further than 0.14 in 140 steps, half of what it may have begun
# with. So in lesson 6 this rate was still improving after twenty epochs. Now you can tell
# beforehand: *rate times number of steps* should be about as large as the weights are. A large
# network trains for thousands of steps, and 0.001 takes it far enough. When you fine-tune a trained
# network, its weights should hardly move: 0.00001.
#
# ## One step, number by number
#
# `explain_update` shows where the step of a single weight comes from: which image pushes it which
# way, and what Adam makes of it. We take the weight that leads from a feature to the score for
# pants, and a batch of six images, one of each of six kinds.
#
# **Before you run this:** the weight's gradient is a sum over the images of *feature · (p − y)*
# (lesson 9). Which images want a larger weight, and which a smaller one?

# %%
head = make_head(optimizers.Adam(0.01))
for _ in range(3):
    head.train_on_batch(x, y)  # three steps, so that m and v are not 0
kinds = keras.datasets.CLOTHING_CLASSES
six = [
    kinds.index(kind) * 20 + 10
    for kind in ("dress", "hat", "longsleeve", "pants", "shirt", "shoes")
]
pants = kinds.index("pants")
feature = int(x[six[3]].argmax())  # the one that is strongest for the pants
trace = head.trace(x[six], y=y[six], training=True)
update = trace.explain_update("scores", "kernel", at=(feature, pants))
lesson.show(update)

# %% [markdown]
# Example 3 is the pair of pants. It alone pushes the weight up: where this feature is strong, the
# score for pants should grow. All the others push it down: the more, the stronger the feature is in
# them and the more they are taken for pants. An image without the feature has no say. Below the
# line you see what you have computed by hand: m, v, the corrected rate, the update.
#
# ## What Adam does not notice
#
# **Before you run this:** somebody multiplies the loss by 1000, so all gradients are 1000 times as
# large. Where do five steps lead SGD in our valley, and where do they lead Adam?

# %%
ends = {}
for name, make in (("SGD", lambda: optimizers.SGD(0.02)), ("Adam", lambda: optimizers.Adam(0.3))):
    for factor in (1, 1000):
        ends[name, factor] = descend(make(), steps=5, factor=factor)[-1]
        print(f"{name:4} loss times {factor:4}: {ends[name, factor]}")

# %% [markdown]
# SGD is thrown out of the valley. Adam does not notice: the factor is above and below the fraction
# line, and cancels. The same goes for a loss that is the sum over a batch instead of its mean. For
# SGD you would have to find a new learning rate.
#
# ## A weight that seldom gets a gradient
#
# Some weights get a gradient only once in a while: those behind a ReLU that is nearly always 0, for
# example.
#
# **Before you run this:** the gradient is 1 in step 1000, and 0 before and after it. SGD makes one
# step. What does Adam do?

# %%
rare = np.zeros(1100)
rare[999] = 1
steps = steps_of(rare)
print("steps 999 to 1003:", steps[998:1003].round(2), "rates; all together:", steps.sum().round(1))
places = {"Adam": np.cumsum(steps)[980:1060], "SGD": np.cumsum(rare)[980:1060]}
lesson.show(
    draw.lines(places, range(981, 1061), "One gradient in 1100 steps", "step", "moved, in rates")
)

# %% [markdown]
# Two surprises. The step that the gradient causes is more than twice the rate: `v` has seen a
# thousand zeros, so this gradient is far larger than usual. And the weight goes on moving without
# any gradient: `m` loses only a tenth of it in each step. One gradient has moved the weight by some
# 25 rates. After a rare image, Adam can jump; if a loss curve shows sudden peaks, a smaller rate or
# `clipnorm` helps.
#
# And what is "no gradient"? Epsilon decides.
#
# **Before you run this:** how long is the first step if the gradient is 1, 0.0001, or 0.00000001?
# Epsilon is 0.0000001.

# %%
for g in (1, 1e-4, 1e-8):
    print(f"gradient {g:<7g}: {distance([g], rate=1):.4f} rates")

# %% [markdown]
# A gradient far below epsilon hardly counts. (Adam adds epsilon to √v, before the correction. In
# the first step √v is a thirtieth of the gradient, so epsilon is felt thirty times sooner.)
#
# ## AdamW: decay beside the step
#
# Lesson 12 found that L2 does not work with Adam as it does with SGD: the penalty's gradient is
# divided by its size, too. `AdamW` shrinks the weight first, and makes Adam's step afterwards:
#
# `w = w − rate · decay · w` and then `w = w − rate · m' / √v'`
#
# **Before you run this:** the images always pull w upwards (the gradient is −1), the decay is 0.1.
# Where does w come to rest? (That is where both pulls are equally strong.)

# %%
w = layers.Variable(np.zeros(1, np.float32), "w", "example")
adamw, path = optimizers.AdamW(0.1, weight_decay=0.1), []
for _ in range(800):
    adamw.apply({"w": -np.ones(1, np.float32)}, {"w": w})
    path.append(float(w.numpy()[0]))
print("after 1, 2, 100 and 800 steps:", [round(path[n - 1], 2) for n in (1, 2, 100, 800)])
lesson.show(draw.lines({"w": path}, None, "AdamW: pulled up, decaying", "step", "w"))

# %% [markdown]
# At 10 = 1 / decay: there the decay, rate · 0.1 · 10, takes back exactly one step. The default
# decay of 0.004 lets a weight grow to 250, so it hardly matters in a short training. And the decay
# is multiplied by the rate: with a smaller rate it works more slowly, too.
#
# ## Exercises
#
# **1.** Write `adam_step(w, g, m, v, t, rate)`: one step of Adam. It returns the new w, m and v.
# `t` is 1 in the first step. Take 0.9 and 0.999, and add 1e-7 to the root that you divide by.


# %%
def adam_step(w, g, m, v, t, rate):
    return ...


lesson.check(1, adam_step)

# %% [markdown]
# **2.** SGD with a rate of 0.01 and a momentum of 0.95 gets the same gradient, 2, again and again.
# How long are its steps in the end?

# %%
length = ...
lesson.check(2, length)

# %% [markdown]
# **3.** A weight is 0.2, and would like to be 0. Its gradient is always 1000. How many steps does
# Adam need with its default rate?

# %%
count = ...
lesson.check(3, count)

# %% [markdown]
# **You now know** what Adam is made of, why its rate is a distance, and how to choose it: by how
# far the weights have to go, and in how many steps.
