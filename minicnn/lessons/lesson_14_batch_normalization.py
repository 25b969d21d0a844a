# %% [markdown]
# # Lesson 14: Batch normalization
#
# *20 minutes to read, 10 seconds to compute*
#
# Most convolutional networks since 2015 have it, Xception forty times: a layer that has almost
# nothing to learn, and yet makes learning easier. It also surprises people more than any other
# layer does, since it computes one thing in training and another in prediction. This lesson takes
# `BatchNormalization` apart.

# %%
import numpy as np

import minicnn as keras
from minicnn.lessons import Lesson, draw

lesson = Lesson(14)
layers = keras.layers

# %% [markdown]
# ## Each channel by itself
#
# From each channel the layer subtracts the channel's mean, and divides by the channel's standard
# deviation. Here are four examples with three channels.
#
# **Before you run this:** the second column is five times the first one, plus 5. How will the two
# differ when they are normalized?

# %%
x = np.array([[1, 10, -2], [3, 20, -2], [5, 30, 0], [7, 40, 4]], np.float32)
mean, variance = x.mean(axis=0), x.var(axis=0)
z = (x - mean) / np.sqrt(variance)
print("mean:", mean, " variance:", variance)
figure = draw.numbers(
    [x, z],
    ["x: four examples", "z: normalized"],
    "Each channel: mean 0, deviation 1",
    digits=2,
)
lesson.show(figure)
layer = layers.BatchNormalization()
print("largest difference from the layer:", np.abs(layer(x, training=True) - z).max())

# %% [markdown]
# They don't differ at all: however a channel is stretched and shifted, the result is the same. (The
# layer's own numbers are a little smaller. It adds `epsilon`, 0.001, to each variance, so that it
# never divides by zero.)
#
# In an image a channel has many pixels. All of them, of all images of the batch, share one mean.
#
# **Before you run this:** 20 images of 64×64 pixels have three channels. How many means are there,
# and how many numbers go into each?

# %%
images, labels = lesson.photos("train", count=20)
batch = images[::10]
layer = layers.BatchNormalization()
y = layer(batch, training=True)
print(batch.shape, "means:", layer.moving_mean.shape, "each of", batch[..., 0].size, "numbers")
print("before: mean", batch.mean(axis=(0, 1, 2)), " deviation", batch.std(axis=(0, 1, 2)))
print("after:  mean", y.mean(axis=(0, 1, 2)).round(4), " deviation", y.std(axis=(0, 1, 2)).round(4))

# %% [markdown]
# ## Gamma and beta
#
# It would be a strange layer if no channel could ever have another mean. So the result is scaled
# and shifted again, by two numbers for each channel, which the network learns. They begin at 1 and
# 0:
#
# `y = gamma · z + beta`
#
# **Before you run this:** with which gamma and beta would the layer give back x as it was?

# %%
layer = layers.BatchNormalization()
layer.build(x.shape)
print("weights:", [weight.name for weight in layer.weights])
_, _, moving_mean, moving_variance = layer.get_weights()
layer.set_weights([np.sqrt(variance + layer.epsilon), mean, moving_mean, moving_variance])
print(layer(x, training=True).round(4))

# %% [markdown]
# With the deviation and the mean. So the layer takes nothing away from what a network can do. What
# changes is *who decides*. Without it the mean of a channel is the result of all the weights below;
# each step of training moves them all, and the layers above have to follow. With it the mean is one
# number, beta, and it moves only if that number does.
#
# And one thing is superfluous now.
#
# **Before you run this:** a convolution stands before the normalization. We add 5 to each of its
# biases. By how much does the output of the normalization change?

# %%
keras.utils.set_random_seed(0)
convolution, normalization = layers.Conv2D(4, 3), layers.BatchNormalization()
pixels = batch / 127.5 - 1
before = normalization(convolution(pixels), training=True)
kernel, bias = convolution.get_weights()
convolution.set_weights([kernel, bias + 5])
after = normalization(convolution(pixels), training=True)
print(f"largest change: {np.abs(after - before).max():.6f}")

# %% [markdown]
# It changes by rounding errors alone: what the bias adds, the mean takes away. That is why you see
# `use_bias=False` before a `BatchNormalization`; beta does the bias's work.
#
# ## Training and prediction are two things
#
# The mean is the *batch's*. So in training it matters which other images are in the batch.
#
# **Before you run this:** the same image of pants, once among dresses, once among hats. We look at
# one of its pixels after the layer, in training and in prediction. Which of the four results will
# be equal?

# %%
kinds = keras.datasets.CLOTHING_CLASSES
of = {kind: images[20 * index : 20 * index + 20] / 127.5 - 1 for index, kind in enumerate(kinds)}
layer = layers.BatchNormalization()
together = {c: np.concatenate([of["pants"][:1], of[c]]) for c in ("dress", "hat")}
pixel = {
    (mode, company): layer(some, training=mode == "training")[0, 32, 32]
    for mode in ("prediction", "training")
    for company, some in together.items()
}
for (mode, company), values in pixel.items():
    print(f"{mode:10} among {company:5}: {values.round(3)}")

# %% [markdown]
# In prediction an image gets the same answer in any company, or alone. So there the layer cannot
# use the mean of the batch. It uses a mean that it has collected in training, the *moving average*:
#
# `moving_mean = moving_mean · momentum + batch mean · (1 − momentum)`
#
# It begins at 0, and `momentum` is 0.99: the share of the old value that stays. The moving variance
# begins at 1 and follows in the same way. Neither has a gradient; they are called *non-trainable*
# weights.
#
# **Before you run this:** we show the layer batches whose mean is always 5. Where is the moving
# mean after 1, 10, 100 and 500 of them?

# %%
fives = np.random.default_rng(0).normal(5, 1, (32, 1)).astype(np.float32)
fives += 5 - fives.mean()
followed = {}
for momentum in (0.99, 0.9):
    layer = layers.BatchNormalization(momentum=momentum)
    path = []
    for _ in range(500):
        layer(fives, training=True)
        path.append(float(layer.moving_mean.numpy()[0]))
    followed[f"momentum {momentum}"] = path
    print(f"momentum {momentum:4}:", {n: round(path[n - 1], 2) for n in (1, 10, 100, 500)})
lesson.show(draw.lines(followed, None, "The moving mean follows", "batches", "moving mean"))

# %% [markdown]
# With 0.99 it takes hundreds of batches. That is fine in a training of 100,000 steps. But we often
# train for a few epochs on few images.
#
# ## A gap that is not overfitting
#
# We train a small network on 160 images of four kinds for 8 epochs. That makes 5 batches in an
# epoch, 40 steps in all.
#
# **Before you run this:** 0.99⁴⁰ is 0.67. So how much of the way has the moving mean gone? The
# accuracy in training will be good. What about validation? And if we ask about the training images
# once more, with `evaluate`?


# %%
def halved(split, kinds, count):
    """Every second pixel of the images, from -1 to 1, and their labels."""
    images, labels = lesson.photos(split, kinds, count)
    return images[:, ::2, ::2] / 127.5 - 1, labels


def make_model(momentum=0.99, optimizer=None, normalized=True):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for filters in (16, 32, 32):
        model.add(layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=not normalized))
        if normalized:
            model.add(layers.BatchNormalization(momentum=momentum))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(4))
    model.compile(
        optimizer=optimizer or keras.optimizers.Adam(0.01),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def asked(model, images, labels):
    return model.evaluate(images, labels, verbose=0)[1]


four = ("dress", "hat", "pants", "shoes")
x, y = halved("train", four, 40)
validation = halved("validation", four, 20)
model = make_model()
history = model.fit(x, y, epochs=8, validation_data=validation, verbose=0).history
first = history["accuracy"][-1], asked(model, x, y), history["val_accuracy"][-1]
print("training: {:.2f}   the same images, asked: {:.2f}   validation: {:.2f}".format(*first))

# %% [markdown]
# It looks like overfitting, but it is not: the network does badly on the very images that it has
# learned from. In training it normalizes with the statistics of the batch, and does well. When we
# ask, it uses the moving averages, and they have gone only a third of the way.
#
# We can prove it. With a learning rate of 0 no weight that learns will move, but the moving
# averages still follow the batches.
#
# **Before you run this:** 60 more epochs, with a learning rate of 0. What will the network know
# then?


# %%
def learned(model):
    """A copy of all weights that learn."""
    return [weight.numpy() for weight in model.trainable_weights]


def equal(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others))


before = learned(model)
model.optimizer.learning_rate = 0.0
model.fit(x, y, epochs=60, verbose=0)
second = asked(model, x, y), asked(model, *validation)
print("no weight that learns has moved:", equal(before, learned(model)))
print("the training images, asked: {:.2f}   validation: {:.2f}".format(*second))

# %% [markdown]
# It knew much more than it could say. If you train for a few hundred steps only, choose a smaller
# momentum.
#
# **Before you run this:** the same training of 8 epochs, with a momentum of 0.9. Which of the three
# numbers will change?

# %%
quick = make_model(momentum=0.9)
history = quick.fit(x, y, epochs=8, validation_data=validation, verbose=0).history
third = history["accuracy"][-1], asked(quick, x, y), history["val_accuracy"][-1]
print("training: {:.2f}   the same images, asked: {:.2f}   validation: {:.2f}".format(*third))

# %% [markdown]
# The first one is exactly as it was: in training the layer does not use the moving averages.
#
# ## A batch of one
#
# **Before you run this:** a batch has one example, with the three channels 7, −2 and 100. What is
# the mean of each channel, what is left after subtracting it, and what comes out? (gamma is 1, beta
# is 0.) And which gradient goes back to x?

# %%
layer = layers.BatchNormalization()
alone = np.array([[7, -2, 100]], np.float32)
out, cache = layer.forward(alone, training=True)
dx, _ = layer.backward(np.array([[1, 2, 3]], np.float32), cache)
print("y:", out, " dx:", dx)

# %% [markdown]
# Nothing is left of the example, and nothing comes back: such a network cannot learn. After a
# convolution it is not as bad, since there the mean is over all pixels of the image. But the fewer
# numbers there are in a mean, the more it is a matter of luck. That is why batches of 16 and more
# are usual, and why a last batch of a single image can disturb the training.
#
# ## The gradient goes through the mean
#
# Let us nudge one number of x in training. Its own y changes. But the mean moves, too, and the
# variance, and with them the y of all others.
#
# **Before you run this:** six examples, one channel. The loss is the first y alone, so dy is 1, 0,
# 0, 0, 0, 0. Which of the six x get a gradient in prediction, and which in training? What is the
# sum of the six gradients in each case?

# %%
six = np.array([[1], [2], [4], [5], [7], [11]], np.float64)
dy = np.array([[1], [0], [0], [0], [0], [0]], np.float64)
layer = layers.BatchNormalization(dtype="float64")
gradients = {}
for training in (True, False):
    out, cache = layer.forward(six, training=training)
    gradients[training], _ = layer.backward(dy, cache)
    if training:
        layer.set_weights([np.ones(1), np.zeros(1), six.mean(axis=0), six.var(axis=0)])
figure = draw.numbers(
    [six.T, dy.T, gradients[False].T, gradients[True].T],
    ["x", "dy", "dx in prediction", "dx in training"],
    "Who gets a gradient?",
    digits=2,
    columns=1,
)
lesson.show(figure)


# %% [markdown]
# In training all six of them do, and the sum is 0: if all six grow by the same amount, the mean
# takes it away again, so nothing changes. The formula has a term for each of the three ways:
#
# `dx = gamma / √(variance + epsilon) · (dy − mean of dy − z · mean of dy · z)`
#
# The first term is the way that exists in prediction, too; the second is the way through the mean;
# the third, through the variance.
#
# **Before you run this:** we compute it by hand, and by nudging. Will the three agree?


# %%
def first_y(x):
    return ((x - x.mean()) / np.sqrt(x.var() + 0.001))[0, 0]


deviation = np.sqrt(six.var() + 0.001)
z = (six - six.mean()) / deviation
by_hand = (dy - dy.mean() - z * (dy * z).mean()) / deviation
h = 1e-6
nudged = [(first_y(six + h * e) - first_y(six - h * e)) / (2 * h) for e in np.eye(6)[:, :, None]]
print("the layer: ", gradients[True].ravel().round(4))
print("by hand:   ", by_hand.ravel().round(4))
print("by nudging:", np.round(nudged, 4))

# %% [markdown]
# What does not change the result gets no gradient. For the bias before the layer we know that
# already. The same goes for the *size* of the kernel.
#
# **Before you run this:** we multiply a convolution's kernel by 10. By how much does the result of
# the normalization after it change? And the kernel's gradient?

# %%
net = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(8, 3, name="conv")])
for layer in (layers.BatchNormalization(), layers.GlobalMaxPooling2D(), layers.Dense(4)):
    net.add(layer)
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
kernel, _ = net.get_layer("conv").get_weights()
kernel *= 10  # so that epsilon hardly matters
traces = {}
for factor in (1, 10):
    net.get_layer("conv").set_weights([factor * kernel, np.zeros(8)])
    traces[factor] = net.trace(x[::8], y=y[::8], loss=loss, training=True)
    grads = traces[factor]["conv"].grads
    sizes = {name: float(np.linalg.norm(grad)) for name, grad in grads.items()}
    print(f"kernel times {factor:2}: loss {traces[factor].loss:.4f}, gradients {sizes}")

# %% [markdown]
# The loss stays the same, and the gradient is a tenth as large. So, in comparison with its size, a
# large kernel takes small steps and a small kernel takes large ones; a step that was too long makes
# the kernel larger, and so the next steps shorter. A network with batch normalization forgives
# learning rates that others do not.
#
# **Before you run this:** SGD with rates of 0.01, 0.1 and 1, 20 epochs each, without normalization
# and with it. Knowing nothing costs log(4) = 1.39. Where will the losses end?

# %%
ends = {}
for rate in (0.01, 0.1, 1.0):
    for normalized in (False, True):
        trained = make_model(0.9, keras.optimizers.SGD(rate), normalized)
        ends[rate, normalized] = trained.fit(x, y, epochs=20, verbose=0).history["loss"]
    print(f"rate {rate:<4}: without {ends[rate, False][-1]:.2f}, with {ends[rate, True][-1]:.2f}")
curves = {
    f"{'with' if normalized else 'without'}, {rate:g}": losses
    for (rate, normalized), losses in ends.items()
}
lesson.show(draw.lines(curves, None, "Training without and with normalization", y_label="loss"))

# %% [markdown]
# Without it this small network does little better than guessing, whatever the rate. With it each
# rate works, the large ones best. That, more than anything else, is why the layer is everywhere.
#
# ## Transfer learning: keep it frozen
#
# `quick` knows four kinds of clothes. Let it be our base. The new photos show other kinds, and they
# were taken in the evening: their pixels are much darker.
#
# **Before you run this:** we show the base ten epochs of these photos, again with a learning rate
# of 0. No weight that learns will move. What will it know of its four old kinds afterwards?

# %%
others = ("shirt", "skirt", "longsleeve", "t-shirt")
evening, evening_labels = halved("train", others, 8)
evening = 0.3 * (evening + 1) - 1
before, weights = learned(quick), quick.get_weights()
old = asked(quick, *validation)
quick.optimizer.learning_rate = 0.0
quick.fit(evening, evening_labels, batch_size=8, epochs=10, verbose=0)
spoiled = asked(quick, *validation)
print("no weight that learns has moved:", equal(before, learned(quick)))
print(f"the four old kinds, before: {old:.2f}   after: {spoiled:.2f}")
quick.set_weights(weights)

# %% [markdown]
# The base has forgotten a good part of what it knew, and no gradient did it. Its moving averages
# are those of the evening photos now, while its kernels expect those of the old ones.
#
# So there are *two* ways in which a base can change: by gradients, and by its statistics. And there
# are two settings, which are easily confused:
#
# * `base.trainable = False` freezes the weights. For a `BatchNormalization` it means more: it
#   computes as in prediction, and its statistics stay as they are.
# * `base(inputs, training=False)` makes the base compute as in prediction. Its weights still learn.
#
# **Before you run this:** four models, one for each combination, learn a new head for one epoch. In
# which of them do the kernels move, and in which do the statistics?


# %%
def change(trainable, training):
    """Whether kernels and statistics of the base have moved after an epoch."""
    quick.set_weights(weights)
    base = keras.Model(quick.inputs, quick.layers[-2].output)  # without the last layer
    base.trainable = trainable
    inputs = keras.Input((32, 32, 3))
    features = base(inputs) if training else base(inputs, training=False)
    model = keras.Model(inputs, layers.Dense(4)(features))
    model.compile("adam", loss)
    kernel, moving_mean = quick.layers[0].kernel, quick.layers[1].moving_mean
    before = kernel.numpy(), moving_mean.numpy()
    model.fit(evening, evening_labels, verbose=0)
    pairs = zip(before, (kernel.numpy(), moving_mean.numpy()))
    base.trainable = True
    return [not np.array_equal(*pair) for pair in pairs]


print("trainable   training=False   kernels move   statistics move")
moved = {}
for trainable in (True, False):
    for training in (True, False):
        moved[trainable, training] = change(trainable, training)
        print(
            "{!s:9}   {!s:14}   {!s:12}   {!s}".format(
                trainable, not training, *moved[trainable, training]
            )
        )

# %% [markdown]
# Only the first combination moves the statistics. For a small data set, use the last one, as the
# course does. To fine-tune afterwards, make the base trainable and leave `training=False` where it
# is: the kernels learn, the statistics stay. (That is the second line of the table. There Keras 3
# would compute the base in training mode. If you freeze the base's `BatchNormalization` layers one
# by one, it works in both.)
#
# And when training is over, none of this costs anything: the statistics are fixed numbers, so the
# layer melts into the convolution before it (lesson 11).
#
# ## Exercises
#
# **1.** Write `normalize(x, gamma, beta, epsilon)`: what the layer makes of `x` in training. `x`
# has shape (n, channels); gamma and beta have one number for each channel.


# %%
def normalize(x, gamma, beta, epsilon):
    return ...


lesson.check(1, normalize)

# %% [markdown]
# **2.** A layer has a momentum of 0.9, and its moving mean begins at 0. Three batches come, each
# with the mean 10. What is the moving mean then?

# %%
moving_mean = ...
lesson.check(2, moving_mean)

# %% [markdown]
# **3.** Write `backward(dy, z, scale)`: the gradient of x in training. `dy` and `z` have shape (n,
# channels); `scale` is gamma / √(variance + epsilon), one number for each channel.


# %%
def backward(dy, z, scale):
    return ...


lesson.check(3, backward)

# %% [markdown]
# **You now know** what batch normalization computes, why it is two layers in one, and why a base
# keeps its statistics. Lesson 15 is about the other idea that made deep networks possible.
