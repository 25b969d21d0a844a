"""Train `six_clothes.keras`, the network of the lessons, in three minutes on two cores.

    python -m minicnn.lessons.pretrain

The network knows six of the ten kinds of clothing and has never seen the other four; lessons 3 and
5 start from it. Its training images are drawn from a seed that no lesson uses, and each is also
shown mirrored. Input: (64, 64, 3), pixels from -1 to 1, as `preprocess_input` makes them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minicnn import datasets, layers, losses, optimizers
from minicnn._support import seeding, terminal
from minicnn.applications.imagenet import preprocess_input
from minicnn.models import Model, Sequential

PRETRAINED = Path(__file__).with_name("six_clothes.keras")
KNOWN = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt")
FILTERS = (16, 32, 64, 64)
SIZE, SEED = 64, 1


def make_network() -> Sequential:
    """Four blocks of convolution and pooling, then six probabilities."""
    model = Sequential([layers.Input((SIZE, SIZE, 3))], name="six_clothes")
    for number, filters in enumerate(FILTERS, start=1):
        name = f"block{number}"
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"{name}_conv"))
        model.add(layers.MaxPooling2D(name=f"{name}_pool"))
    model.add(layers.GlobalAveragePooling2D(name="average"))
    model.add(layers.Dropout(0.2, name="dropout"))
    model.add(layers.Dense(len(KNOWN), activation="softmax", name="probabilities"))
    return model


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` images of each known kind, ready for the network, and their class numbers."""
    rng = np.random.default_rng(seed)
    images = [
        np.asarray(datasets.draw_clothing(kind, rng, SIZE)) for kind in KNOWN for _ in range(count)
    ]
    return preprocess_input(np.stack(images)), np.repeat(np.arange(len(KNOWN)), count)


def scale_features(model: Sequential, x: np.ndarray) -> None:
    """Scale the features to a root mean square of one half; the probabilities stay the same.

    Dividing a ReLU's input by a factor divides its output by the same factor. So this divides the
    weights of the last convolution and multiplies the kernel of the dense layer. A new head with
    random weights then begins with a loss near log(classes), as one that knows nothing, and not as
    one that is sure of something wrong.
    """
    features = Model(model.inputs[0], model.get_layer("average").output).predict(x, verbose=0)
    factor = 2 * np.sqrt(np.mean(features**2))
    convolution, dense = model.get_layer("block4_conv"), model.get_layer("probabilities")
    convolution.set_weights([w / factor for w in convolution.get_weights()])
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel * factor, bias])


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the images, train, and write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m minicnn.lessons.pretrain")
    parser.add_argument("--output", type=Path, default=PRETRAINED)
    parser.add_argument("--count", type=int, default=800, help="images of each kind")
    parser.add_argument("--epochs", type=int, default=24)
    return terminal.run(parser.prog, lambda: _pretrain(parser.parse_args(arguments)))


def _pretrain(options: argparse.Namespace) -> None:
    seeding.set_random_seed(SEED)
    x, y = draw(options.count, SEED)
    x, y = np.concatenate([x, x[:, :, ::-1]]), np.concatenate([y, y])
    held_out = draw(max(options.count // 8, 1), SEED + 1)
    model = make_network()
    # The last third of the epochs takes smaller steps, to refine the weights.
    slow = options.epochs // 3
    for epochs, learning_rate in ((options.epochs - slow, 2e-3), (slow, 3e-4)):
        model.compile(
            optimizers.Adam(learning_rate),
            losses.SparseCategoricalCrossentropy(),
            metrics=["accuracy"],
        )
        model.fit(x, y, epochs=epochs, validation_data=held_out, verbose=2)
    trained = make_network()  # without the optimizer's memory: a third of the size
    trained.set_weights(model.get_weights())
    scale_features(trained, held_out[0])
    trained.metadata = {"class_names": list(KNOWN), "image_size": [SIZE, SIZE]}
    trained.save(options.output)
    terminal.say(f"Wrote {options.output}.")


if __name__ == "__main__":
    raise SystemExit(main())
