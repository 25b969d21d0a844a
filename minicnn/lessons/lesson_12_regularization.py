# %% [markdown]
# # Lesson 12: Regularization and dropout
#
# *Section 8.9 of the course · 20 minutes to read, 12 seconds to compute*
#
# Lesson 8 ended with a warning: its large heads knew all training images by heart and grew surer
# and surer, even of their mistakes. This lesson looks at that more closely, tries three things that
# are said to help, and asks each time whether they do. What keeps a network from learning its
# images by heart is called *regularization*.

# %%
import numpy as np

import minicnn as keras
from minicnn.lessons import Lesson, draw

lesson = Lesson(12)
layers = keras.layers
network = lesson.network()
base = keras.Model(network.input, network.get_layer("average").output)  # images to vectors


def vectors(split, count):
    images, labels = lesson.photos(split, count=count)
    inputs = keras.applications.xception.preprocess_input(images)
    return base.predict(inputs, verbose=0), labels


x, y = vectors("train", 20)
validation = vectors("validation", 20)


# %% [markdown]
# As in lesson 8, the frozen base has computed 64 features of each image, and the head has an inner
# layer of 100 units. Two things are new, and we explain both below: the head may have a `Dropout`
# layer, and its kernels may have a penalty. `cross_entropy` among the metrics is the loss *without*
# such a penalty.


# %%
def make_model(size_inner=100, rate=0.0, l2=0.0, decay=0.0):
    penalty = keras.regularizers.L2(l2) if l2 else None
    head = keras.Sequential([keras.Input(x.shape[1:])])
    head.add(layers.Dense(size_inner, activation="relu", kernel_regularizer=penalty, name="inner"))
    if rate:
        head.add(layers.Dropout(rate, name="dropout"))
    head.add(layers.Dense(10, kernel_regularizer=penalty, name="scores"))
    head.compile(
        optimizer=keras.optimizers.AdamW(0.01, decay) if decay else keras.optimizers.Adam(0.01),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[
            "accuracy",
            keras.metrics.CategoricalCrossentropy(from_logits=True, name="cross_entropy"),
        ],
    )
    return head


def train(model, epochs=50, callbacks=()):
    return model.fit(
        x,
        y,
        batch_size=50,  # four steps in an epoch
        epochs=epochs,
        validation_data=validation,
        validation_batch_size=200,  # all at once
        callbacks=list(callbacks),
        verbose=0,
    ).history


# %% [markdown]
# ## Overfitting, made visible
#
# We train for 50 epochs, more than these heads need, with 10, 100 and 1000 inner units.
#
# **Before you run this:** the training loss falls and falls. Draw the validation loss beside it:
# does it fall as well, level off, or rise? And which size does it treat worst?

# %%
grown = {}
print("inner   training loss   validation loss: lowest (in epoch)   last   validation accuracy")
for size in (10, 100, 1000):
    keras.utils.set_random_seed(0)
    grown[size] = history = train(make_model(size))
    losses = history["val_loss"]
    print(
        f"{size:5}   {history['loss'][-1]:13.3f}   {min(losses):23.3f} "
        f"{f'({np.argmin(losses) + 1})':>10}   {losses[-1]:.3f}   {history['val_accuracy'][-1]:.3f}"
    )

# %%
curves = {
    f"{what}, {size} units": grown[size][key]
    for size in (10, 100)
    for what, key in (("training", "loss"), ("validation", "val_loss"))
}
lesson.show(draw.lines(curves, title="Loss on images seen and not seen", y_label="loss"))

# %% [markdown]
# At first the two losses fall together: what the head learns holds for all images. Then they part:
# what it learns from there on holds only for the 200 training images. The more units it has, the
# sooner the losses part, and the higher the validation loss rises.
#
# The accuracy does not show much of this. It asks only which class comes first. The loss also asks
# how sure the head is, and it is hard on a head that is sure of something wrong.
#
# ## First, how large is luck?
#
# Before we compare anything, we should know how much two *equal* heads differ. There are two kinds
# of luck:
#
# * **the random start.** We measure it: train from several, and look at the spread.
# * **the images.** A head that gets a share p of all images in the world right gets about p of our
#   200 right, give or take the *standard error*: √(p · (1 − p) / 200).
#
# **Before you run this:** five heads differ only in their random start. How far apart are the best
# and the worst? And how many percent is the standard error if p is 0.82?


# %%
def several(count=5, epochs=50, **settings):
    """Histories from several random starts, the same ones each time."""
    found = []
    for seed in range(count):
        keras.utils.set_random_seed(seed)
        found.append(train(make_model(**settings), epochs))
    return found


def last(histories, key):
    return np.array([history[key][-1] for history in histories])


plain = several()
accuracies = last(plain, "val_accuracy")
print("five starts:", np.sort(accuracies), f"standard deviation: {accuracies.std(ddof=1):.3f}")
print(f"standard error from 200 images: {np.sqrt(0.82 * 0.18 / 200):.3f}")

# %% [markdown]
# The random start matters less than the images: with another 200, the accuracy could easily be
# three percent higher or lower. All our heads see the *same* validation images, so this luck
# strikes them alike, and comparisons are less blurred. Still, one percent is just two images.
#
# A mean over n random starts has a standard error, too: s / √n, where s is the standard deviation.
# The difference of two means has the error √(s₁²/n + s₂²/n). As usual, we call two settings
# different if their means are further apart than *twice* this error.
#
# ## Dropout
#
# *Dropout* sets a share of the numbers to zero. It picks them at random, anew for each image in
# each step of training. The share is called the `rate`.
#
# **Before you run this:** 10,000 ones go through a `Dropout` layer with the rates of the course, 0,
# 0.2, 0.5 and 0.8. Which share becomes zero? What happens to the others? And to the mean?

# %%
ones = np.ones((1, 10_000), dtype=np.float32)
keras.utils.set_random_seed(0)
print("rate   zeros   the others   mean")
for rate in (0.0, 0.2, 0.5, 0.8):
    out = layers.Dropout(rate)(ones, training=True)
    print(f"{rate:4}   {np.mean(out == 0):5.3f}   {out.max():10.2f}   {out.mean():.3f}")

# %% [markdown]
# The others grow: they are divided by 1 − rate. So if only a fifth is left (rate 0.8), each counts
# five times, and the next layer gets a sum that is, on average, as large as without dropout. In
# prediction nothing is dropped, and nothing need be scaled. By hand:

# %%
rng = np.random.default_rng(0)
features = rng.uniform(size=(1, 100)).astype(np.float32)
weights = rng.uniform(size=(100,)).astype(np.float32)
rate = 0.5
kept = rng.random((10_000, 100)) >= rate  # 10,000 masks: True stays
sums = (features * kept / (1 - rate)) @ weights
print(f"without dropout: {(features @ weights)[0]:.2f}")
print(f"with dropout:    {sums.mean():.2f} on average, from {sums.min():.1f} to {sums.max():.1f}")
same = layers.Dropout(rate)(features, training=False)
print("in prediction it is as it was:", np.array_equal(same, features))

# %% [markdown]
# ## One mask, forward and backward
#
# A trace in training mode (`training=True`) shows one mask in a head with 12 inner units. `dy` is
# the gradient that came back to the dropout layer, `dx` the one that it sends on.
#
# **Before you run this:** what gradient does a unit get that was dropped? And one that was kept?

# %%
keras.utils.set_random_seed(45)
small = make_model(12, rate=0.5)
trace = small.trace(x[:1], y=y[:1], training=True)
masked = trace["dropout"]
figure = draw.numbers(
    [masked.x, masked.y, masked.dy, masked.dx],
    ["x: 12 units", "y: after dropout", "dy: gradient of y", "dx: gradient of x"],
    "One mask, forward and backward",
    digits=1,
    columns=1,
)
lesson.show(figure)

# %% [markdown]
# The same mask and the same factor, 2, in both directions. (Where `x` is 0, the ReLU had switched
# the unit off; the mask does not show there in `y`, but it does in `dx`.)
#
# What does that mean for the weights on both sides?
#
# **Before you run this:** `inner` has a kernel of shape (64, 12), `scores` one of (12, 10). Which
# columns of the first and which rows of the second get no gradient at all?

# %%
dropped = np.flatnonzero(masked.dx[0] == 0)
columns = np.flatnonzero(~trace["inner"].grads["kernel"].any(axis=0))
rows = np.flatnonzero(~trace["scores"].grads["kernel"].any(axis=1))
print("dropped units:                  ", dropped)
print("columns of inner without gradient:", columns)
print("rows of scores without gradient:  ", rows)

# %% [markdown]
# Those of the dropped units, and those of units that the ReLU switched off. For this image the
# dropped units do not exist: each image trains a thinner network, chosen at random, and all these
# networks share their weights. So no unit can rely on another one to correct its mistakes: that one
# may be missing.
#
# ## Does it help?
#
# **Before you run this:** rates 0, 0.2, 0.5 and 0.8. Which one has the highest accuracy in
# training? Which has the lowest validation loss in the last epoch? With a rate of 0.8, which is
# higher: the accuracy in training or that in validation?

# %%
rates = {0.0: plain} | {rate: several(rate=rate) for rate in (0.2, 0.5, 0.8)}
print("rate   training accuracy   validation accuracy   validation loss")
for rate, histories in rates.items():
    seen, unseen, loss = (last(histories, k) for k in ("accuracy", "val_accuracy", "val_loss"))
    print(
        f"{rate:4}   {seen.mean():17.3f}   {unseen.mean():.3f} ± {unseen.std(ddof=1):.3f}"
        f"         {loss.mean():.3f} ± {loss.std(ddof=1):.3f}"
    )
figure = draw.spread(
    {f"rate {rate}": last(histories, "val_loss") for rate, histories in rates.items()},
    "Validation loss after 50 epochs, five random starts",
    "loss",
)
lesson.show(figure)

# %% [markdown]
# Each dot is one random start; the bar is their mean, plus and minus the standard deviation. There
# are two different answers:
#
# * The **loss** differs clearly between the rates 0 and 0.8: no start of the one comes near any
#   start of the other. The larger the rate, the less the head overfits in 50 epochs.
# * The **accuracies** lie within two or three percent of each other. The rates 0, 0.2 and 0.5
#   differ by no more than luck: do not choose the largest number and call it the best.
#
# And a surprise: with a rate of 0.8, the head seems to do *better* on images that it has never
# seen. Does it?
#
# **Before you run this:** we ask the head about its training images again, this time with
# `evaluate`, which drops nothing. What accuracy will it have?

# %%
keras.utils.set_random_seed(0)
model = make_model(rate=0.8)
history = train(model)
honest = model.evaluate(x, y, verbose=0, return_dict=True)
print(f"training accuracy, as fit reports it: {history['accuracy'][-1]:.3f}")
print(f"training accuracy without dropout:    {honest['accuracy']:.3f}")
print(f"validation accuracy:                  {history['val_accuracy'][-1]:.3f}")

# %% [markdown]
# It does not. `fit` reports what the thinned networks got right *while they learned*, with four of
# five units missing; in validation all units are there. So with dropout these two numbers do not
# show how much a head overfits. Compare with `evaluate`.
#
# ## More epochs
#
# With dropout each step trains only part of the head, so it learns more slowly.
#
# **Before you run this:** we give the rate 0.8 three times as many epochs, 150. Will its accuracy
# in training still grow? Will its validation loss stay as low as it was?

# %%
longer = several(count=2, epochs=150, rate=0.8)
for epoch in (10, 50, 100, 150):
    seen, loss = (np.mean([h[k][epoch - 1] for h in longer]) for k in ("accuracy", "val_loss"))
    print(f"epoch {epoch:3}: training accuracy {seen:.3f}, validation loss {loss:.3f}")
curves = {"rate 0": plain[0]["val_loss"], "rate 0.8": longer[0]["val_loss"]}
lesson.show(draw.lines(curves, title="Dropout delays overfitting", y_label="validation loss"))

# %% [markdown]
# It still learns, and its validation loss rises again, too, only much later. Dropout delays
# overfitting, but does not prevent it. That is why we train longer with dropout, and why we still
# keep the best epoch.
#
# ## L2: a penalty on large weights
#
# A head that is very sure has large weights: they make large scores. *L2 regularization* makes
# them expensive. It adds a penalty to the loss, `l2` times the sum of all squared weights:
#
# `loss = cross-entropy + l2 · Σ w²`
#
# **Before you run this:** what is the gradient of the penalty with respect to one weight w? (The
# slope of w² is 2w.) Which weights does it pull hardest?

# %%
keras.utils.set_random_seed(0)
l2 = 0.001
model = make_model(l2=l2)
kernels = [model.get_layer(name).get_weights()[0] for name in ("inner", "scores")]
said = model.evaluate(x, y, verbose=0, return_dict=True)
print(f"penalty by hand:      {l2 * sum(np.sum(w**2) for w in kernels):.4f}")
print(f"loss - cross-entropy: {said['loss'] - said['cross_entropy']:.4f}")

w, h = np.array([3.0, 0.1, -0.5]), 1e-4
slopes = [(l2 * (v + h) ** 2 - l2 * (v - h) ** 2) / (2 * h) for v in w]
print("gradient by nudging:", np.round(slopes, 6), " by hand:", 2 * l2 * w)
print("of the regularizer: ", keras.regularizers.L2(l2).gradient(w))

# %% [markdown]
# The gradient is 2 · l2 · w: the larger a weight, the harder it is pulled towards zero. The biases
# have no penalty: they shift the scores, and do not make the head more sensitive to its inputs.
#
# Beware: `loss` and `val_loss` now contain the penalty. Do not use them to compare a head that has
# a penalty with one that has none. The metric `cross_entropy` is for that.
#
# ### Weight decay
#
# With SGD a step is `w − rate · (dw + 2 · l2 · w)`, which is `(1 − 2 · rate · l2) · w − rate · dw`:
# each step shrinks the weight by the same percentage. Hence the other name, *weight decay*.
#
# But Adam divides each gradient by its usual size (lesson 6), and the gradient of the penalty with
# it. `AdamW` does not put the decay into the gradient; it shrinks the weights beside the step.
#
# **Before you run this:** three weights, 0.1, 1 and 10, which the images leave alone: only the
# penalty pulls. We choose l2 so that SGD shrinks each by 1% in the first step. What do the others
# do?

# %%
optimizers = {
    "SGD with L2": (keras.optimizers.SGD(0.01), 0.5),
    "Adam with L2": (keras.optimizers.Adam(0.01), 0.5),
    "AdamW": (keras.optimizers.AdamW(0.01, weight_decay=1.0), 0.0),
}
for name, (optimizer, strength) in optimizers.items():
    w = layers.Variable(np.array([0.1, 1, 10], np.float32), "w", "example")
    optimizer.apply({"w": 2 * strength * w.numpy()}, {"w": w})
    print(f"{name:13}", w.numpy())

# %% [markdown]
# Adam moves each weight by 0.01 in this first step, whatever its size, and would do so for any
# other `l2`. The smallest weight loses a tenth, the largest a thousandth. So "L2" and "weight
# decay" are the same for SGD, but not for Adam.
#
# **Before you run this:** we train without a penalty, with L2 and with `AdamW`. In which head will
# most of the weights be close to zero?

# %%
trained = {}
for name, settings in {
    "nothing": {},
    "L2 0.003": {"l2": 0.003},
    "AdamW 0.3": {"decay": 0.3},
}.items():
    keras.utils.set_random_seed(0)
    model = make_model(**settings)
    entropy = train(model)["val_cross_entropy"]
    trained[name] = model.get_layer("inner").get_weights()[0].ravel()
    near = np.mean(np.abs(trained[name]) < 0.05)
    print(
        f"{name:10} cross-entropy: lowest {min(entropy):.3f}, last {entropy[-1]:.3f}"
        f"   weights within ±0.05: {near:.0%}"
    )
lesson.show(draw.histogram(trained, "The weights of the inner layer", "weight"))

# %% [markdown]
# With L2, more than half of the weights end near zero, and none is very large. Weight decay does
# the same, less strongly here. Both heads end with a lower cross-entropy than the one without.
#
# ## Or simply stop
#
# Look at the very first figure again: the validation loss has a lowest point. `EarlyStopping`
# (lesson 7) stops there and restores the weights of the best epoch; `ModelCheckpoint` writes them
# to a file. Nothing about the head changes.
#
# **Before you run this:** with early stopping, each setting is judged by its *best* epoch, no
# longer by its last. Will dropout and the penalties still be ahead of the head that has nothing?

# %%
candidates = {
    "nothing": {},
    "dropout 0.2": {"rate": 0.2},
    "dropout 0.5": {"rate": 0.5},
    "dropout 0.8": {"rate": 0.8},
    "L2 0.003": {"l2": 0.003},
    "AdamW 0.3": {"decay": 0.3},
}


def stopped_in_time(seed, settings):
    """A head with the weights of its best epoch."""
    keras.utils.set_random_seed(seed)
    model = make_model(**settings)
    stop = keras.callbacks.EarlyStopping(
        monitor="val_cross_entropy", mode="min", patience=8, restore_best_weights=True
    )
    train(model, callbacks=[stop])
    return model


def measured(heads, images):
    """The cross-entropy of each head, and the accuracy of each."""
    said = [head.evaluate(*images, verbose=0, return_dict=True) for head in heads]
    return tuple(np.array([one[key] for one in said]) for key in ("cross_entropy", "accuracy"))


heads = {
    name: [stopped_in_time(seed, settings) for seed in range(10)]
    for name, settings in candidates.items()
}
results = {name: measured(found, validation) for name, found in heads.items()}
entropies = {name: entropy for name, (entropy, _) in results.items()}
figure = draw.spread(
    {"nothing, last epoch (5)": last(plain, "val_loss")} | entropies,
    "With early stopping: ten random starts",
    "validation cross-entropy",
)
lesson.show(figure)


# %%
def difference(a, b):
    """The difference of two means as text, with its standard error."""
    error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    return f"{np.mean(a) - np.mean(b):+.3f} ± {error:.3f}"


print("compared with nothing:   cross-entropy     accuracy")
for name in list(candidates)[1:]:
    both = [difference(*pair) for pair in zip(results[name], results["nothing"])]
    print(f"{name:21}   {both[0]}   {both[1]}")

# %% [markdown]
# All of them are far better than the *last* epoch of the head without anything. But stopping in
# time makes nearly all of the difference. Once every head stops in time, dropout of 0.2 and weight
# decay are about as good as nothing: their differences are less than twice their errors.
#
# With dropout of 0.8 fewer images are right, by about three errors. (It learns slowly, and its
# curve zigzags, so our patience of 8 may be too short for it.) In cross-entropy, dropout of 0.5 is
# perhaps better than nothing, and L2 perhaps worse. But be careful with "perhaps": by luck alone
# one comparison in twenty is off by more than two errors, and we have made ten.
#
# Of several settings that are equally good, take the simplest. Here that is a head with nothing but
# early stopping. The validation images have chosen its epoch, so their number flatters it (lesson
# 7); the test images have chosen nothing.
#
# **Before you run this:** what accuracy do you expect on the 200 test images, and within what
# range?

# %%
_, validated = measured(heads["nothing"], validation)
_, tested = measured(heads["nothing"], vectors("test", 20))
print(f"validation: {validated.mean():.3f}   test: {tested.mean():.3f}")

# %% [markdown]
# Should you use dropout, then? It pays where a head is large, its images are few and training is
# long; the large networks of today are trained with dropout and weight decay. Our base has done
# the hard part already, and early stopping does the rest. So try it on your images, with several
# random starts, and let validation decide.
#
# ## Exercises
#
# **1.** Write `dropout(x, kept, rate)`: what a dropout layer makes of `x` in training. `kept` is
# the mask: an array of `True` (stays) and `False`.


# %%
def dropout(x, kept, rate):
    return ...


lesson.check(1, dropout)

# %% [markdown]
# **2.** Write `step(w, dw, l2, learning_rate)`, which returns the weights after one step of SGD
# with L2 regularization. `dw` is the gradient of the cross-entropy alone.


# %%
def step(w, dw, l2, learning_rate):
    return ...


lesson.check(2, step)

# %% [markdown]
# **3.** Write `differ(a, b)`: `True` if the means of two arrays of accuracies are further apart
# than *twice* the standard error of the difference, otherwise `False`. (Use `ddof=1`.) It should
# not matter which of the two comes first.


# %%
def differ(a, b):
    return ...


lesson.check(3, differ)

# %% [markdown]
# **You now know** how to see overfitting, what dropout and L2 do to numbers and gradients, and how
# to tell help from luck. Lesson 13 makes more images out of few.
#
# With a folder of photos: `minicnn transfer --data DIR --inner 100 --dropout 0,0.2,0.5,0.8`
