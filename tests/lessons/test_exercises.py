"""The checks of exercises answer a wrong answer with a sentence that helps."""

import io
import re
import sys

import numpy as np
import pytest
from lesson_cells import EXERCISES, ROOT, exercise_cell

import minicnn
from minicnn import lessons
from minicnn.lessons import checking, draw

WRONG = {
    (0, 1): [
        ("parameters = 896", "the convolution's"),
        ("parameters = 1_968_192", "the 64 units'"),
        ("parameters = 7_874_497", "without pooling"),
        ("parameters = 1_969_218", "two units at the end"),
        ("parameters = 2_098_241", "cuts a pixel off"),
        ("parameters = 5", "Flatten gives"),
    ],
    (0, 2): [
        ("loss = 'categorical crossentropy'", "a row of probabilities"),
        ("loss = minicnn.losses.MeanSquaredError()", "its gradient vanishes"),
        ("loss = 'cosine_similarity'", "the angle"),
        ("loss = 'hinge'", "one of the four names"),
    ],
    (0, 3): [
        ("median = [0.5, 0.8]", "take np.median of it"),
        ("median = 85.0", "from 0 to 1"),
        ("median = 0.5", "look at class_mode"),
        ("median = 0.0", "never right"),
        ("median = 0.99", "of all ten"),
        ("median = 0.65", "Check rescale"),
    ],
    (0, 4): [
        ("deviation = [0.7, 0.2]", "take np.std of it"),
        ("deviation = 0.4", "how far they spread"),
        ("deviation = 0.15 ** 2", "square root"),
        ("deviation = 300", "Check rescale"),
        ("deviation = 0", "of all ten epochs"),
    ],
    (0, 5): [
        ("test_loss = 1234.5", "does the new generator have rescale"),
        ("test_loss = 0.693", "guessing"),
        ("test_loss = 0.4", "before augmentation"),
        ("test_loss = 0.01", "val_loss"),
    ],
    (0, 6): [
        ("test_accuracy = 93", "from 0 to 1"),
        ("test_accuracy = 0.5", "guessing"),
        ("test_accuracy = 0.8", "changed training images"),
        ("test_accuracy = 0.1", "the last five of ten"),
    ],
    (0, 7): [
        ("dress = 0.8", "class 1. The folders"),
        ("dress = 20", "from 0 to 1"),
        ("dress = 0.5", "prefers one"),
        ("dress = 0.4", "add up to 1"),
    ],
    (1, 1): [("accuracy = 0.5", "count images"), ("accuracy = 90", "from 0 to 1")],
    (1, 2): [
        ("def split(p, s):\n    return p, p[:int(s * len(p))]", "in both parts"),
        ("def split(p, s):\n    n = int(s * len(p))\n    return p[n:], p[:n]", "shuffle first"),
        ("def split(p, s):\n    return p[30:119], p[:30]", "are missing"),
        ("def split(p, s):\n    pass", "end in return"),
        ("def split(p):\n    return p, p", "TypeError"),
    ],
    (2, 1): [
        ("shape = (32, 300, 200, 3)", "rows come first"),
        ("shape = (200, 300, 3)", "the batch has an axis of its own"),
        ("shape = 32", "how many, height"),
    ],
    (2, 2): [
        ("def mirror(p):\n    return p[::-1]", "upside down"),
        ("def mirror(p):\n    return p[..., ::-1]", "red and blue"),
        ("def mirror(p):\n    return p", "nothing has moved"),
        ("def mirror(p):\n    return p.T", "should have shape (4, 5, 3)"),
        ("mirror = 3", "should be a function"),
    ],
    (2, 3): [
        ("def to_pixels(x):\n    return ((x + 1) * 128).astype(np.uint8)", "white became 0"),
        ("def to_pixels(x):\n    return ((x + 1) * 127.5).astype(np.uint8)", "round first"),
        ("def to_pixels(x):\n    return np.rint((x + 1) * 127.5)", "dtype should be uint8"),
        ("def to_pixels(x):\n    return (x + 1) * 127.5", "round them"),
        ("def to_pixels(x):\n    return (x * 255).astype(np.uint8)", "add 1 first"),
    ],
    (3, 1): [
        (
            "def top(p, names, count):\n"
            "    return [(names[i], p[i]) for i in np.argsort(p)[:count]]",
            "least probable",
        ),
        (
            "def top(p, names, count):\n"
            "    return [(names[i], p[i]) for i in np.argsort(p)[-count:]]",
            "most probable should come first",
        ),
        ("def top(p, names, count):\n    return list(zip(names, p))", "asks for two pairs"),
        ("def top(p, names, count):\n    return {'pants': 0.65, 'hat': 0.2}", "not a dict"),
        ("def top(p, names, count):\n    return np.argsort(-p)[:count]", "a list of pairs (name,"),
        (
            "def top(p, names, count):\n    return [(0.65, 'pants'), (0.2, 'hat')]",
            "a list of pairs",
        ),
        ("def top(p, names, count):\n    return [('pants', '65%'), ('hat', '20%')]", "a number"),
        (
            "def top(p, names, count):\n    return [('pants', 0.65), ('hat', 0.2)]",
            "count=1 gives 2",
        ),
    ],
    (3, 2): [("shape = (1000,)", "five photos"), ("shape = (5, 6)", "1000 classes")],
    (4, 1): [("parameters = 864", "has a bias"), ("parameters = 320", "all three channels")],
    (4, 2): [
        ("def convolve(x, w):\n    return x", "stay inside"),
        (
            "def convolve(x, w):\n    w = w[::-1, ::-1]\n"
            "    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3))\n"
            "    return (v * w).sum((2, 3))",
            "flipped the kernel",
        ),
        (
            "def convolve(x, w):\n"
            "    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3))\n"
            "    return (v * w).mean((2, 3))",
            "take their sum",
        ),
    ],
    (4, 3): [
        ("shape = (None, 16, 16, 32)", "row off each side"),
        ("shape = (None, 30, 30, 32)", "windows of 4×4"),
        ("shape = (None, 15, 15, 3)", "per filter"),
        ("shape = (1, 15, 15, 32)", "its axis is None"),
        ("shape = 15", "line by line"),
    ],
    (5, 1): [("trainable = 256", "has a bias"), ("trainable = 60772", "only the head")],
    (5, 2): [
        (
            "def cross_entropy(y, s):\n"
            "    e = np.exp(s)\n"
            "    return -np.sum(y * np.log(e / e.sum()))",
            "Subtract the largest",
        ),
        ("def cross_entropy(y, s):\n    return -np.sum(y * np.log(np.abs(s)))", "softmax first"),
        (
            "def cross_entropy(y, s):\n    e = np.exp(s)\n    return -y * np.log(e / e.sum())",
            "one number",
        ),
    ],
    (5, 3): [
        ("ten = 10", "should be a model"),
        (
            "i = minicnn.Input((8, 8, 3))\n"
            "ten = minicnn.Model(i, minicnn.layers.Dense(10)(minicnn.layers.Flatten()(i)))",
            "should be one of its layers",
        ),
    ]
    + [
        (
            "i, l = minicnn.Input((8, 8, 3)), minicnn.layers\n"
            "base = minicnn.Model(i, l.Conv2D(7, 3)(i), trainable=False)\n"
            f"ten = minicnn.Sequential([i, base, l.{pooling}(), l.Dense(10, {activation!r})])",
            "of the *average* of each map",
        )
        for pooling, activation in (
            ("GlobalMaxPooling2D", None),
            ("GlobalAveragePooling2D", "relu"),
        )
    ],
    (6, 1): [
        ("w = 3.4", "uphill"),
        ("w = 2.2", "its slope at 3"),
        ("w = 0.4", "length of the step"),
    ],
    (6, 2): [
        ("rate = 1.2", "diverges"),
        ("rate = 0.3", "no zigzag"),
        ("rate = 1", "two places"),
        ("rate = True", "should be a number"),
    ],
    (6, 3): [
        ("def best(r):\n    return max(r, key=lambda k: max(r[k]['accuracy']))", "by heart"),
        ("def best(r):\n    return max(r, key=lambda k: r[k]['val_accuracy'][-1])", "last epoch"),
        ("def best(r):\n    return max(max(h['val_accuracy']) for h in r.values())", "Which"),
    ],
    (7, 1): [
        ("epochs = [1, 2, 4, 5]", "not better"),
        ("epochs = [5]", "first is saved"),
        ("epochs = '1, 2, 5'", "answer with a list of epochs"),
    ],
    (7, 2): [
        ("pattern = '{val_accuracy:.3f}.keras'", "same name"),
        ("pattern = '{epoch}-{val_accuracy:.3f}.keras'", "two digits"),
        ("pattern = '{epoch:02d}.keras'", "how good"),
        ("pattern = '{epoch:02d}.h5'", "ends in"),
        ("pattern = '{epoc}.keras'", "nothing is called 'epoc'"),
        ("pattern = '{:02d}-{:.3f}.keras'", "braces without a name"),
        ("pattern = '{val_accuracy:.3f}-{epoch:02d}.keras'", "the epoch comes first"),
    ],
    (8, 1): [("parameters = 7400", "has a bias"), ("parameters = 6500", "last one has")],
    (8, 2): [
        ("def join(w1, b1, w2, b2):\n    return w1 @ w2, b2", "b1 got lost"),
        ("def join(w1, b1, w2, b2):\n    return w1 @ w2, b1 @ w2", "b2 got lost"),
        ("def join(w1, b1, w2, b2):\n    return w1, b1", "w is (4, 3)"),
    ],
    (9, 1): [
        ("def relu_backward(dy, x):\n    return dy * (dy > 0)", "The gate was set by x"),
        ("def relu_backward(dy, x):\n    return dy * np.maximum(x, 0)", "not by x"),
        ("def relu_backward(dy, x):\n    return dy * (x >= 0)", "at exactly 0"),
        ("def relu_backward(dy, x):\n    return dy", "everything passes"),
    ],
    (9, 2): [("dz = [-0.2, 0.7, -0.5]", "p − y"), ("dz = [0.2, 0.3, 0.5]", "subtract y")],
    (9, 3): [
        ("def slope(f, x):\n    return (f(x + 1e-5) - f(x)) / 1e-5", "both sides"),
        ("def slope(f, x):\n    return (f(x + 1e-5) - f(x - 1e-5)) / 1e-5", "twice"),
        ("def slope(f, x):\n    return (f(x - 1e-5) - f(x + 1e-5)) / 2e-5", "sign"),
        ("def slope(f, x):\n    return f(x)", "slope of sin at 1 is 0.54030"),
    ],
    (10, 1): [
        ("multiplications = 32 * 32 * 9 * 32", "16 channels"),
        ("multiplications = 9 * 16 * 32", "one place"),
    ],
    (10, 2): [
        (
            "def patches(x):\n    return np.lib.stride_tricks.sliding_window_view(x, (3, 3))",
            "(6, 9)",
        ),
        (
            "def patches(x):\n"
            "    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3))\n"
            "    return v.reshape(6, 9).T",
            "transposed",
        ),
        (
            "def patches(x):\n"
            "    v = np.lib.stride_tricks.sliding_window_view(x, (3, 3))\n"
            "    return v.swapaxes(2, 3).reshape(6, 9)",
            "numbers of a window go row by row",
        ),
    ],
    (10, 3): [
        (
            "def two_outputs(d, g):\n"
            "    sums = [d[i] * g[0] + d[i + 1] * g[1] + d[i + 2] * g[2] for i in (0, 1)]\n"
            "    return np.array(sums)",
            "with 6 multiplications",
        ),
        (
            "def two_outputs(d, g):\n    return sum(g[k] * d[k : k + 2] for k in range(3))",
            "with 6 multiplications",
        ),
        ("def two_outputs(d, g):\n    return np.array([d[0], d[1]])", "it should be"),
    ],
    (11, 1): [
        (
            f"def fold(k, b, gamma, beta, m, v, e):\n    s = {scale}\n    return {kernel}, {bias}",
            hint,
        )
        for scale, kernel, bias, hint in (
            ("gamma / np.sqrt(v)", "k * s", "b", "add epsilon"),
            ("gamma / (np.sqrt(v) + e)", "k * s", "b", "before the root"),
            ("gamma / (v + e)", "k * s", "b", "take the root"),
            ("gamma", "k * s", "b", "also divides"),
            ("1 / np.sqrt(v + e)", "k * s", "b", "gamma got lost"),
            ("1", "k", "b", "as it was"),
            ("2", "k * s", "b", "not right yet"),
            ("1", "k.sum((0, 1))", "b", "the shapes should stay"),
            ("gamma / np.sqrt(v + e)", "k * s", "b - m * s + beta", "multiplies the old bias"),
            ("gamma / np.sqrt(v + e)", "k * s", "beta - m * s", "the old bias got lost"),
            ("gamma / np.sqrt(v + e)", "k * s", "(b - m) * s", "beta got lost"),
            ("gamma / np.sqrt(v + e)", "k * s", "b * s + beta", "the mean got lost"),
            ("gamma / np.sqrt(v + e)", "k * s", "(b + m) * s + beta", "the sign is wrong"),
            ("gamma / np.sqrt(v + e)", "k * s", "(b - m + beta) * s", "beta comes after the scale"),
            ("gamma / np.sqrt(v + e)", "k * s", "b", "set x = 0"),
        )
    ]
    + [("def fold(*weights):\n    return weights[0]", "return two arrays")],
    (11, 2): [
        ("kilobytes = 140", "a place for each"),
        ("kilobytes = 60", "until step 5"),
        ("kilobytes = 40", "does not live alone"),
        ("kilobytes = 50", "reads while it writes"),
        ("kilobytes = 90", "a is no longer needed"),
        ("kilobytes = 70", "too little"),
        ("kilobytes = 110", "works with less"),
    ],
    (11, 3): [
        (f"import math\ndef duration(tasks, threads):\n    return {time}", hint)
        for time, hint in (
            ("sum(tasks)", "one thread alone"),
            ("sum(tasks) / threads", "a quarter of a task"),
            ("math.ceil(sum(tasks) / threads)", "each step waits"),
            ("sum(count // threads for count in tasks)", "the ninth task"),
            ("math.ceil(max(tasks) / threads)", "the longest step alone"),
            ("1", "take 8 ms, not 1"),
            ("sum(-(-count // 4) for count in tasks)", "right for 4 threads"),
        )
    ],
    (12, 1): [
        (f"def dropout(x, kept, rate):\n    return {result}", hint)
        for result, hint in (
            ("x * kept", "the zeros are right"),
            ("x * kept / rate", "the share that is dropped"),
            ("x * kept * (1 - rate)", "makes the rest smaller"),
            ("x * ~kept / (1 - rate)", "True stays"),
            ("x / (1 - rate)", "nothing was dropped"),
            ("x * kept / kept.mean()", "the same number for every mask"),
            ("x", "that is prediction"),
            ("x * kept * 3", "0 where kept is False"),
            ("x[0]", "should have shape (2, 4)"),
        )
    ],
    (12, 2): [
        (f"def step(w, dw, l2, rate):\n    return {result}", hint)
        for result, hint in (
            ("w - rate * dw", "without the penalty"),
            ("w - rate * (dw + l2 * w)", "the slope of w² is 2w"),
            ("w - rate * (dw + l2 * w**2)", "the penalty itself"),
            ("w + rate * (dw + 2 * l2 * w)", "uphill"),
            ("w - rate * (dw - 2 * l2 * w)", "rewards large weights"),
            ("w - rate * dw - 2 * l2 * w", "also multiplies"),
            ("dw + 2 * l2 * w", "that is the gradient"),
            ("rate * (dw + 2 * l2 * w)", "that is the step"),
            ("w * 0", "not yet"),
        )
    ],
    (12, 3): [
        (
            "def differ(a, b):\n"
            f"    d, v = a.mean() - b.mean(), a.var(ddof=1)\n    return {result}",
            hint,
        )
        for result, hint in (
            ("abs(d) > 0", "always differ a little"),
            ("d > 2 * (2 * v / 5) ** 0.5", "which comes first"),
            ("abs(d) > 2 * (2 * v) ** 0.5", "too strict"),
            ("abs(d) > (2 * v / 5) ** 0.5", "too lenient"),
            ("abs(d) > 2 * (v / 5) ** 0.5", "too lenient"),
            ("abs(d) > 0.02", "right for five starts"),
            ("abs(d) > 2 * (2 * v / len(a)) ** 0.5", "one spreads more"),
            ("abs(d) > 2 * (v**0.5 + b.std(ddof=1)) / len(a) ** 0.5", "add the squares"),
            ("d", "should return True or False"),
        )
    ],
    (13, 1): [
        ("degrees = 18", "a full turn is 360"),
        ("degrees = 72", "to each side"),
        ("degrees = 0.1", "How many degrees"),
        ("degrees = 5.73", "not in radians"),
        ("degrees = 10", "0.1 of a full turn"),
    ],
    (13, 2): [
        (
            f"def flip_some(x, rng):\n    coins = rng.random(100) < {share}\n    return {result}",
            hint,
        )
        for share, result, hint in (
            (0.5, "x", "no image was mirrored"),
            (0.5, "x[:, :, ::-1]", "a coin of its own"),
            (0.5, "np.stack([a[::-1] if c else a for a, c in zip(x, coins)])", "upside down"),
            (0.5, "np.stack([a[..., ::-1] if c else a for a, c in zip(x, coins)])", "swapped"),
            (0.5, "x * 2", "as it was, or mirrored"),
            (0.1, "np.stack([a[:, ::-1] if c else a for a, c in zip(x, coins)])", "about half"),
            (0.5, "np.stack([a[:, ::-1] if n % 2 else a for n, a in enumerate(x)])", "another rng"),
            (
                0.5,
                "np.stack([a[:, ::-1] if np.random.random() < 0.5 else a for a in x])",
                "an equal rng",
            ),
        )
    ],
    (13, 3): [
        ("allowed = ['a', 'b', 'd', 'e']", "turn right"),
        ("allowed = ['b', 'c']", "180 degrees"),
        ("allowed = ['b', 'd']", "e: the label stays right"),
        ("allowed = ['x']", "letters from a to e"),
        ("allowed = 3", "letters from a to e"),
    ],
    (14, 1): [
        (
            "def normalize(x, gamma, beta, epsilon):\n"
            "    c, v = x - x.mean(axis=0), x.var(axis=0)\n"
            f"    return {result}",
            hint,
        )
        for result, hint in (
            ("c / np.sqrt(v + epsilon)", "multiply it by gamma"),
            ("gamma * (c / np.sqrt(v + epsilon) + beta)", "beta comes after gamma"),
            ("beta * c / np.sqrt(v + epsilon) + gamma", "swapped"),
            ("gamma * c / np.sqrt(v) + beta", "add epsilon"),
            ("gamma * c / (np.sqrt(v) + epsilon) + beta", "before the root"),
            ("gamma * c / (v + epsilon) + beta", "take the root"),
            ("gamma * c / np.sqrt(x.var(axis=0, ddof=1) + epsilon) + beta", "not by n − 1"),
            (
                "gamma * (x - x.mean(axis=1)[:, None]) / np.sqrt(x.var(axis=1)[:, None] + epsilon)"
                " + beta",
                "each example by itself",
            ),
            ("gamma * (x - x.mean()) / np.sqrt(x.var() + epsilon) + beta", "one mean for all"),
            ("gamma * x / np.sqrt(v + epsilon) + beta", "the mean got lost"),
            ("x", "not yet: gamma"),
            ("x[0]", "should have shape (3, 2)"),
        )
    ],
    (14, 2): [
        ("moving_mean = 10", "still on its way"),
        ("moving_mean = 1", "two more"),
        ("moving_mean = 2.7", "rounded"),
        ("moving_mean = 3", "what is *missing*"),
        ("moving_mean = 7.29", "still missing"),
        ("moving_mean = 9.99", "the share of the *old* value"),
        ("moving_mean = 5", "three times"),
    ],
    (14, 3): [
        (
            "def backward(dy, z, scale):\n"
            f"    mean, along = dy.mean(axis=0), (dy * z).mean(axis=0)\n    return {result}",
            hint,
        )
        for result, hint in (
            ("scale * dy", "the gradient in prediction"),
            ("scale * (dy - mean)", "right for the mean"),
            ("scale * (dy - z * along)", "right for the variance"),
            ("scale * (dy - mean - along)", "multiplied by z"),
            ("dy - mean - z * along", "multiplied by scale"),
            ("scale * (dy + mean + z * along)", "the signs"),
            ("scale * (dy - 6 * mean - z * 6 * along)", "not the sums"),
            ("scale * (dy - dy.mean() - z * (dy * z).mean())", "its own means"),
            ("z", "each mean over axis 0"),
        )
    ],
    (15, 1): [
        (f"def residual_backward(dy, x, w):\n    return {result}", hint)
        for result, hint in (
            ("(dy * (x @ w > 0)) @ w.T", "The shortcut brings dy"),
            ("dy", "what the shortcut brings"),
            ("dy + dy @ w.T", "the ReLU is a gate"),
            ("dy + (dy * (x @ w > 0)) @ w", "multiply by w.T"),
            ("dy + (dy * (x > 0)) @ w.T", "the gate belongs to x @ w"),
            (
                "dy * (x + np.maximum(x @ w, 0) > 0) + (dy * (x @ w > 0)) @ w.T",
                "the gate belongs to x @ w",
            ),
            ("dy * ((dy * (x @ w > 0)) @ w.T)", "not multiplied"),
            ("x", "not yet: dy +"),
        )
    ],
    (15, 2): [
        ("weights = 73728", "not 3×3"),
        ("weights = 8320", "no bias"),
        ("weights = 2048", "places, not weights"),
        ("weights = 128", "each of the 128 filters"),
        ("weights = 64 * 128 * 256", "the multiplications"),
        ("weights = 7", "a window of 1×1"),
    ],
    (15, 3): [
        (
            "def residual_block(x, filters, strides):\n"
            "    c = minicnn.layers.Conv2D\n"
            "    relu, add = minicnn.layers.ReLU(), minicnn.layers.Add()\n"
            "    y = c(filters, 3, strides=strides, padding='same', activation='relu')(x)\n"
            f"    {body}",
            hint,
        )
        for body, hint in (
            ("return 3", "should return a symbol"),
            ("return c(5, 3)(y)", "should stay (8, 8, 4)"),
            ("return relu(add([x, y]))", "two convolutions of 3×3"),
            ("return relu(c(filters, 3, padding='same')(y))", "x should come through"),
            (
                "s = c(filters, 1, strides=strides)(x)\n"
                "    return relu(add([s, c(filters, 3, padding='same')(y)]))",
                "without a projection",
            ),
            ("return add([x, relu(c(filters, 3, padding='same')(y))])", "f can only add"),
            ("return add([x, c(filters, 3, padding='same')(y)])", "missing at the end"),
            (
                "y = c(filters, 3, padding='same')(x)\n"
                "    return relu(add([x, c(filters, 3, padding='same')(y)]))",
                "between the two convolutions",
            ),
            ("return relu(add([x, c(filters, 3, padding='same')(y)]))", "needs a 1×1 convolution"),
            (
                "y = c(filters, 3, padding='same')(y)\n"
                "    x = x if strides == 1 else c(1, 1, strides=2)(x)\n"
                "    y = y if strides == 1 else c(4, 1)(y)\n"
                "    return relu(add([x, y]))",
                "the shape should be (4, 4, 8)",
            ),
        )
    ],
    (16, 1): [
        ("weights = 294912", "don't multiply"),
        ("weights = 32768", "the pointwise step alone"),
        ("weights = 1152", "the depthwise step alone"),
        ("weights = 9 * 256 + 128 * 256", "it has 128 channels"),
        ("weights = 34176", "use_bias=False"),
        ("weights = 128 + 128 * 256", "3·3 weights for each"),
        ("weights = 5", "for the second"),
    ],
    (16, 2): [
        (f"def pointwise(x, w):\n    return {result}", hint)
        for result, hint in (
            ("x @ w.T", "transposed"),
            ("np.maximum(x @ w, 0)", "no ReLU"),
            ("x * np.diag(w)", "all channels of the pixel"),
            ("x", "at each pixel"),
            ("(x @ w)[..., :3]", "with 7 the shape"),
        )
    ],
    (16, 3): [
        (f"def join(d, p):\n    return {result}", hint)
        for result, hint in (
            ("d @ p", "adds up the channels"),
            ("(d[..., None] * p).transpose(0, 1, 3, 2)", "the order is"),
            ("d", "should have shape (3, 3, 4, 5)"),
            ("d[..., None] + p", "do not add"),
            ("2 * d[..., None] * p", "not yet: kernel"),
        )
    ],
    (17, 1): [
        (
            "def adam_step(w, g, m, v, t, rate):\n"
            "    a, b = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2\n"
            "    c, d = a / (1 - 0.9**t), np.sqrt(b / (1 - 0.999**t))\n"
            f"    return {result}",
            hint,
        )
        for result, hint in (
            ("w - rate * c / d", "return three things"),
            ("w, 0.1 * m + 0.9 * g, b", "keeps 0.9 of the old"),
            ("w, 0.9 * m + g, b", "m is a mean"),
            ("w, c, b", "return m itself"),
            ("w, m, b", "m is not right yet"),
            ("w, a, 0.999 * v + 0.001 * g", "square the gradient"),
            ("w, a, 0.9 * v + 0.1 * g**2", "v is slower"),
            ("w, a, d**2", "return v itself"),
            ("w, a, v", "v is not right yet"),
            ("w - rate * a / np.sqrt(b), a, b", "for having begun at 0"),
            ("w + rate * c / d, a, b", "uphill"),
            ("w - rate * c / d**2, a, b", "take the root"),
            (
                "w - rate * m / (1 - 0.9**t) / np.sqrt(v / (1 - 0.999**t)), a, b",
                "not the old ones",
            ),
            ("w - rate * g / d, a, b", "takes the place of the gradient"),
            ("rate * c / d, a, b", "Where is w"),
            ("w, a, b", "m and v are right"),
        )
    ],
    (17, 2): [
        ("length = 0.02", "the first step"),
        ("length = 0.2", "a momentum of 0.9"),
        ("length = 0.019", "what is left"),
        ("length = 0.039", "goes on growing"),
        ("length = -0.4", "no sign"),
        ("length = 2", "0.95²"),
    ],
    (17, 3): [
        ("count = 1", "would be SGD"),
        ("count = 20", "not 0.01"),
        ("count = 2000", "not 0.0001"),
        ("count = 5", "as long as the rate"),
    ],
    (18, 1): [
        ("seconds = 120", "not twice as many"),
        ("seconds = 480", "two sides that grow"),
        ("seconds = 60", "more of them"),
        ("seconds = (299 / 150) ** 2", "how many times as long"),
        ("seconds = '240'", "should be a number"),
    ],
    (18, 2): [
        ("parameters = [2048010, 20490]", "other way round"),
        ("parameters = [20480, 2048000]", "has a bias"),
        ("parameters = [20490, 20490]", "Flatten keeps"),
        ("parameters = [2048010, 2048010]", "one number per channel"),
        ("parameters = 20490", "two numbers"),
        ("parameters = [1, 2]", "numbers that come in"),
    ],
    (18, 3): [
        (f"def choose(runs):\n    {body}", part)
        for body, part in (
            ("return max(runs, key=lambda s: np.mean(runs[s]))", "no more than luck"),
            ("return min(runs)", "far worse than the best"),
            ("return max(runs)", "compare with the best"),
            ("return max(np.mean(a) for a in runs.values())", "Which size reached it"),
            ("return 80", "it chose 80"),
            (
                "b = max(np.mean(a) for a in runs.values())\n"
                "    return min(s for s in runs if b - np.mean(runs[s]) < 0.02)",
                "may be luck",
            ),
            (
                "b = max(runs, key=lambda s: np.mean(runs[s]))\n"
                "    return min(s for s in runs if np.mean(runs[b]) - np.mean(runs[s])\n"
                "               <= 2 * np.hypot(np.std(runs[b], ddof=1), np.std(runs[s], ddof=1))\n"
                "               + 0.015)",
                "is no luck",
            ),
        )
    ],
    (19, 1): [
        (f"def prepare(photo):\n    return {body}", part)
        for body, part in (
            ("photo[:, :, ::-1] / 127.5 - 1", "one axis more"),
            ("photo.T[None]", "should have shape (1, 64, 64, 3)"),
            ("photo[None] / 127.5 - 1", "red first"),
            ("photo[None, :, :, ::-1] / 255", "not with 0 to 1"),
            ("photo[None] / 255", "not with 0 to 1"),
            ("photo[None, :, :, ::-1]", "from 0 to 255"),
            ("photo[None, ::-1, :, ::-1] / 127.5 - 1", "upside down"),
            ("photo[None, :, :, ::-1] / 128 - 1", "divide by 127.5"),
            ("photo[None] * 0", "reverse the last axis"),
        )
    ],
    (19, 2): [
        ("files = ['weights', 'h5', 'keras']", "a: numbers alone"),
        ("files = ['h5', 'h5', 'weights']", "a: that would do"),
        ("files = ['keras', 'keras', 'weights']", "b: .keras came"),
        ("files = ['keras', 'weights', 'weights']", "b: they would"),
        ("files = ['keras', 'h5', '.h5']", "c: it has"),
        ("files = ['keras', 'h5', 'pickle']", "the names are keras"),
        ("files = 'keras'", "a list of three names"),
    ],
    (19, 3): [
        (f"import io\nfrom minicnn import images\ndef status(body):\n    {body}", part)
        for body, part in (
            ("return 400", "a photo should get 200"),
            (
                "if len(body) > 10**6:\n        return 413\n"
                "    images.load_photo(io.BytesIO(body), (64, 64))\n    return 200",
                "catch BadImageError",
            ),
            ("return 200", "a text is no photo"),
            ("return 200 if body[:4] != b'text' else 400", "nothing at all"),
            ("return 200 if body[:4] == b'\\x89PNG' else 400", "cut off"),
            (
                "try:\n        images.load_photo(io.BytesIO(body), (64, 64))\n"
                "    except images.BadImageError:\n        return 400\n    return 200",
                "413, not 200",
            ),
            (
                "try:\n        images.load_photo(io.BytesIO(body), (64, 64))\n"
                "    except images.BadImageError:\n        return 400\n"
                "    return 413 if len(body) > 10**6 else 200",
                "the size first",
            ),
        )
    ],
    (20, 1): [
        (f"def grad_cam(maps, gradients):\n    return {code}", hint)
        for code, hint in (
            ("(maps * gradients.mean(axis=(0, 1))).sum(axis=2)", "becomes 0"),
            ("np.maximum((maps * gradients.sum(axis=(0, 1))).sum(axis=2), 0)", "not the sum"),
            ("np.maximum((maps * gradients).sum(axis=2), 0)", "its own gradient"),
            ("np.maximum(maps * gradients.mean(axis=(0, 1)), 0).sum(axis=2)", "channels first"),
            ("np.maximum((maps * gradients.mean(axis=(0, 1))).mean(axis=2), 0)", "only for α"),
            ("np.maximum(maps.sum(axis=2), 0)", "has a weight"),
            ("maps[..., 0]", "not yet: max("),
            ("maps", "should have shape"),
        )
    ],
    (20, 2): [
        (
            "def occlusion(p, photo, row, column, size, colour):\n    before, x = p(photo), "
            f"photo.copy()\n    {code}",
            hint,
        )
        for code, hint in (
            (
                "photo[row : row + size, column : column + size] = colour\n"
                "    return before - p(photo)",
                "change a copy",
            ),
            (
                "photo[row : row + size, column : column + size] = colour\n"
                "    return p(photo) - p(photo)",
                "the photo itself was covered",
            ),
            (
                "x[row : row + size, column : column + size] = colour\n    return p(x) - before",
                "covering adds",
            ),
            (
                "x[row : row + size, column : column + size] = colour\n    return p(x)",
                "that is p(covered)",
            ),
            ("return before", "nothing was covered"),
            (
                "x[column : column + size, row : row + size] = colour\n    return before - p(x)",
                "rows come first",
            ),
            (
                "x[row : row + size, column : column + size] = 0\n    return before - p(x)",
                "not 0",
            ),
            (
                "x[row : row + size + 1, column : column + size + 1] = colour\n"
                "    return before - p(x)",
                "too large",
            ),
            (
                "x[row : row + size, column : column + size] = colour\n    return p(x) / before",
                "not a ratio",
            ),
            ("return 7", "not yet: p(photo)"),
            ("return p(photo[0])", "p takes a photo of shape"),
        )
    ],
    (20, 3): [
        ("follows = ['a', 'b', 'c']", "how often"),
        ("follows = 'bcd'", "What is weaker"),
        ("follows = ['b', 'c', 'e']", "where, not why"),
        ("follows = ['b']", "c: this does follow"),
        ("follows = ['x']", "letters from a to e"),
    ],
}


def answer_of(code: str, lesson: int, number: int):
    """Return what the exercise's check would get after this code."""
    names = {"np": np, "minicnn": minicnn}
    exec(code, names)
    name = re.search(r"lesson\.check\(\d+, (\w+)\)", exercise_cell(lesson, number))
    assert name
    return names[name[1]]


def test_every_exercise_has_wrong_answers_here():
    assert WRONG.keys() == checking.EXERCISES.keys()


@pytest.mark.parametrize(
    ("key", "code", "hint"), [(k, code, hint) for k, cases in WRONG.items() for code, hint in cases]
)
def test_a_wrong_answer_gets_a_sentence_that_helps(key, code, hint):
    check = checking.EXERCISES[key].check
    said = checking.verdict(check, answer_of(code, *key))
    assert hint in said
    assert said.endswith((".", "!", "?", ")"))
    assert "\n" not in said


@pytest.mark.parametrize("key", EXERCISES)
def test_the_dots_do_not_count_as_an_answer(key):
    answer = answer_of(exercise_cell(*key).rsplit("\n", 1)[0], *key)
    said = checking.verdict(checking.EXERCISES[key].check, answer)
    assert said.startswith("not answered yet")


@pytest.mark.parametrize("answer", [None, "three", [], {}, object(), float("nan"), lambda: 3])
@pytest.mark.parametrize("key", EXERCISES)
def test_a_check_answers_anything_with_a_sentence(key, answer):
    said = checking.verdict(checking.EXERCISES[key].check, answer)
    assert said
    assert "\n" not in said
    assert not said.endswith(("?.", "!.", ".."))


def two_outputs_by_matrices(d, g):
    into = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    weights = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    return np.array([[1, 1, 1, 0], [0, 1, -1, -1]]) @ ((into @ d) * (weights @ g))


def two_outputs_by_halves(d, g):
    ends = g[0] + g[2]
    m2, m3 = 0.5 * (d[1] + d[2]) * g.sum(), (d[2] - d[1]) * (ends - g[1]) * 0.5
    y = np.zeros(2)
    y[:] = (d[0] - d[2]) * g[0] + m2 + m3, m2 - m3 - (d[1] - d[3]) * g[2]
    return y


def block_with_normalization(x, filters, strides):
    layers = minicnn.layers
    y = layers.Conv2D(filters, 3, padding="same", strides=strides, use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
    if strides > 1:
        x = layers.Conv2D(filters, 1, strides=strides)(x)
    return minicnn.activations.relu(x + y)


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ((1, 1), np.array(0.9)),
        ((1, 1), np.float32(0.9)),
        ((6, 3), lambda runs: np.array(0.01)),
        ((2, 1), np.array([32, 200, 300, 3])),
        ((7, 1), np.array([1, 2, 5])),
        ((9, 2), np.array([0.2, -0.7, 0.5])),
        ((9, 2), [[0.2, -0.7, 0.5]]),
        ((10, 3), two_outputs_by_matrices),
        ((10, 3), two_outputs_by_halves),
        ((15, 3), block_with_normalization),
    ],
)
def test_a_right_answer_may_be_written_in_another_way(key, answer):
    assert checking.verdict(checking.EXERCISES[key].check, answer) == ""


@pytest.mark.parametrize(
    ("key", "answer", "said"),
    [
        ((1, 1), "0.9", "not yet: the answer should be a number, but it is '0.9'."),
        ((2, 2), [1], "not yet: the answer should be a function, but it is [1]."),
        ((2, 2), print, "not yet: the function returned None: does it end in return?"),
        ((6, 3), lambda runs: [0.01], "not yet: the result should be a number, but it is [0.01]."),
        ((2, 2), lambda image: 1 / 0, "not yet: this ended in ZeroDivisionError: division by ze"),
        ((1, 1), "x" * 999, f"not yet: the answer should be a number, but it is '{'x' * 78}…."),
    ],
)
def test_an_answer_of_another_kind_is_no_error_of_python_s(key, answer, said):
    assert checking.verdict(checking.EXERCISES[key].check, answer).startswith(said)


def test_a_check_gives_copies_to_the_learner_s_function():
    def spoil(image):
        image[:] = image[:, ::-1].copy()
        return image

    assert checking.verdict(checking.EXERCISES[2, 2].check, spoil) == ""


def test_the_lesson_object_says_what_is_wrong(monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    last = max(lesson for lesson, _ in EXERCISES)
    with pytest.raises(ValueError, match=rf"lessons 1 to {last}\. Received number=99"):
        lessons.Lesson(99)
    lesson = lessons.Lesson(1)
    with pytest.raises(ValueError, match=r"exercises 1 to 2\. Received number=3"):
        lesson.check(3, 1)
    lesson.check(1, 0.9)
    lesson.check(1, 0.8)
    lesson.solution(1)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Exercise 1: right!"
    assert said[1].endswith("(lesson.solution(1) shows a solution.)")
    assert said[2] == "accuracy = 90 / (90 + 10)"
    assert lesson.solved == {1: False}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Train",), r"a split among train, validation, test. Received \['Train'\]\."),
        (("train", "jacket"), r"kinds among dress, hat, .*t-shirt. Received \['jacket'\]\."),
        (("train", []), r"kinds among dress"),
        (("train", ["hat"], 0), "count to be an integer >= 1"),
        (("train", ["hat"], 2), r"a count up to 1: .*'.*hat'. Received count=2\."),
    ],
)
def test_images_that_a_lesson_lacks_are_refused(arguments, said, few_clothes):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=said):
        lessons.Lesson(1).photos(*arguments, folder=few_clothes)


def test_one_kind_of_images_needs_no_list(few_clothes):
    pytest.importorskip("matplotlib")
    x, y = lessons.Lesson(1).photos("train", "hat", 1, size=8, folder=few_clothes)
    assert x.shape == (1, 8, 8, 3)
    assert y.tolist() == [[1]]


@pytest.fixture(scope="module")
def few_clothes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few") / "clothes"
    return minicnn.datasets.write_clothing_sample(folder, {"train": 1}, 16)


def test_without_matplotlib_the_first_cell_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("minicnn.lessons.lesson.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'figures with matplotlib: .*pip install .*"matplotlib'):
        lessons.Lesson(1)


def test_a_script_prints_into_a_file_of_any_encoding(monkeypatch):
    pytest.importorskip("matplotlib")
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, "cp1252", write_through=True))
    lessons.Lesson(17).solution(3)
    print("√v")
    assert file.getvalue().endswith(b"\\u221av\n")


def test_in_a_notebook_a_figure_is_displayed(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    shown = []

    class Shell:
        kernel = object()

    class Fake:
        version_info = (9, 0)  # matplotlib asks for it
        get_ipython = staticmethod(Shell)
        display = staticmethod(shown.append)

    monkeypatch.setitem(sys.modules, "IPython", Fake)
    monkeypatch.setitem(sys.modules, "IPython.display", Fake)
    monkeypatch.chdir(tmp_path)
    figure = draw.bars({"one": 1.0}, "A title")
    lesson, explanation = lessons.Lesson(1), object()
    lesson.show(figure)
    lesson.show(explanation)
    assert shown == [figure, explanation]  # which displays its `_repr_html_`
    assert figure._repr_png_().startswith(b"\x89PNG")  # so pyplot need not show it
    assert list(tmp_path.iterdir()) == []


def test_an_image_is_as_dark_as_the_text_says():
    """Zero is black, one is white, numbers are legible on both; a kernel's colours show signs."""
    pytest.importorskip("matplotlib")
    image, kernel = np.array([[0.0, 0.0, 1.0]]), np.array([[-1.0, 0.0, 1.0]])
    shown = draw.numbers([image, kernel], grey=[0])
    (grey,), (signed,) = (axes.images for axes in shown.axes)
    np.testing.assert_allclose(grey.to_rgba(image)[0, :, :3], [[0] * 3, [0] * 3, [1] * 3])
    assert [text.get_color() for text in shown.axes[0].texts] == ["white", "white", "black"]
    (red, _, blue), (red_above, _, blue_above) = signed.to_rgba(kernel)[0, ::2, :3]
    assert blue > red
    assert red_above > blue_above
    source = (ROOT / "minicnn" / "lessons" / "lesson_04_cnn_layers.py").read_text("utf-8")
    first = source.split("draw.numbers(")[1].split("\n")[0]
    assert "dark on the left" in source.split("draw.numbers(")[0]
    assert first.endswith("grey=[0]))")


def test_an_array_is_drawn_at_its_place_and_time_in_memory():
    pytest.importorskip("matplotlib")
    sizes, steps, offsets = {"a": 3, "b": 2}, {"a": (1, 2), "b": (2, 4)}, {"a": 0, "b": 3}
    (axes,) = draw.lifetimes(sizes, steps, offsets, "A title", unit="MB").axes
    boxes = [(b.get_x(), b.get_y(), b.get_width(), b.get_height()) for b in axes.patches]
    assert boxes == [(0.5, 0, 2, 3), (1.5, 3, 3, 2)]
    assert [text.get_text() for text in axes.texts] == ["a, 3 MB", "b, 2 MB"]


def test_figures_have_labelled_scales(tmp_path):
    pytest.importorskip("matplotlib")
    figure = draw.maps([np.full((2, 2), 20), np.full((2, 2), 255)], label="pixel")
    assert figure.axes[0].images[0].get_clim() == (0, 255)  # from 0, not from the smallest value
    assert figure.axes[-1].get_ylabel() == "pixel"
    assert draw.rows({"a": np.eye(2)}, label="mean").axes[-1].get_ylabel() == "mean"
    (alone,) = draw.lines({"loss": [3, 2, 1]}, y_label="loss").axes
    assert alone.get_ylabel() == "loss"
    assert not alone.figure.legends
    assert alone.get_yscale() == "linear"
    assert draw.lines({"norm": [1, 0.1]}, log=True).axes[0].get_yscale() == "log"
    assert len(draw.lines({"a": [1, 2], "b": [2, 1]}).legends) == 1
    assert all(tick == round(tick) for tick in alone.get_xticks())
    wide, folded = (
        draw.numbers([np.ones((6, 8)), np.ones((4, 6))] * 2, columns=n).get_figwidth()
        for n in (4, 2)
    )
    assert folded < 8 < wide


def test_runs_are_drawn_with_their_mean_and_deviation():
    pytest.importorskip("matplotlib")
    (axes,) = draw.spread({"a": [1, 3], "b": [2, 2, 2]}, "A title", "loss", digits=1).axes
    dots = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert dots == [[[1, 0], [3, 0]], [[2, 1]] * 3]
    assert [text.get_text() for text in axes.texts] == ["2.0 ± 1.4", "2.0 ± 0.0"]  # √2
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    (bar,) = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(bar[:, 0], [2 - 2**0.5, 2 + 2**0.5])


def test_a_histogram_counts_all_groups_in_the_same_bins():
    pytest.importorskip("matplotlib")
    (axes,) = draw.histogram({"a": [-2, 0.5, 0.5], "b": [[0.1], [1.5]]}, bins=4).axes
    counts = [patch.get_xy()[:, 1].tolist()[1:-1:2] for patch in axes.patches]
    assert counts == [[1, 0, 2, 0], [0, 0, 1, 1]]
    assert {patch.get_xy()[0, 0] for patch in axes.patches} == {-2}


def test_descents_are_drawn_on_the_contours_of_their_loss():
    pytest.importorskip("matplotlib")
    path = np.array([[-4, 1], [0, 0]])
    figure = draw.descents(lambda w: (w**2).sum(axis=-1), {"SGD": path, "Adam": path / 2})
    (axes,) = figure.axes
    drawn = [line.get_xydata().tolist() for line in axes.lines]
    assert drawn == [path.tolist(), [[-2, 0.5], [0, 0]]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["SGD", "Adam"]
    assert axes.get_xlabel() == "w₀"
    assert len(axes.collections[0].get_paths()) > 5
