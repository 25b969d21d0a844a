"""The TensorBoard callback writes Keras's events, and TensorBoard can draw the model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import layers
from minicnn.callbacks import TensorBoard

pytest.importorskip("tensorboard")

Array = np.ndarray


def make(module: Any) -> Any:
    return module.Sequential(
        [
            module.Input((4, 4, 1)),
            module.layers.Conv2D(2, 3, name="conv"),
            module.layers.Flatten(),
            module.layers.Dense(1, name="dense"),
        ]
    )


def data() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((12, 4, 4, 1)).astype("f"), rng.standard_normal((12, 1)).astype("f")


def events(folder: Path) -> list[tuple[str, int, str, Any]]:
    """Return (tag, step, plugin, value) of each event in the folder's files, in order."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util import tensor_util

    found = []
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):  # length (8 bytes), its checksum (4), data, their checksum (4)
            size = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + size])
            at += 16 + size
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                found.append(
                    (value.tag, event.step, plugin, tensor_util.make_ndarray(value.tensor))
                )
    return found


def fitted(module: Any, model: Any, folder: Path, **options: Any) -> None:
    x, y = data()
    model.compile(module.optimizers.SGD(0.01), "mse", metrics=["mae"])
    board = module.callbacks.TensorBoard(folder, **options)
    held_out = {"validation_data": (x[:4], y[:4])}
    model.fit(x, y, batch_size=4, epochs=3, verbose=0, shuffle=False, callbacks=[board], **held_out)
    model.evaluate(x, y, verbose=0, callbacks=[board])


def test_what_is_written(tmp_path: Path) -> None:
    model = make(minicnn)
    fitted(minicnn, model, tmp_path)
    history = model.history.history
    train = events(tmp_path / "train")
    (graph,) = [event for event in train if event[2] == "graph_keras_model"]
    assert json.loads(graph[3].item()) == json.loads(model.to_json())
    scalars = {
        (tag, step): float(value) for tag, step, plugin, value in train if plugin == "scalars"
    }
    assert {tag for tag, _ in scalars} == {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    for epoch in range(3):
        assert scalars["epoch_loss", epoch] == pytest.approx(history["loss"][epoch])
        assert scalars["epoch_learning_rate", epoch] == pytest.approx(0.01)
    held_out = events(tmp_path / "validation")
    tags = ["evaluation_loss_vs_iterations", "evaluation_mae_vs_iterations"]
    tags += ["epoch_loss", "epoch_mae"]
    assert [(tag, step) for tag, step, _, _ in held_out] == [
        *((tag, step) for e in range(3) for tag, step in zip(tags, (3 * e + 3,) * 2 + (e,) * 2)),
        *((tag, 9) for tag in tags[:2]),
    ]


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"update_freq": "batch", "write_graph": False},
        {"update_freq": 2},
        {"histogram_freq": 2, "write_images": True},
    ],
)
def test_the_events_are_keras_s(options: dict[str, Any], tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    from trained_pairs import pair_of_models

    ours, theirs = pair_of_models(make)
    for module, model, name in ((minicnn, ours, "ours"), (keras, theirs, "theirs")):
        fitted(module, model, tmp_path / name, **options)
    for part in ("train", "validation"):
        found, expected = (
            {
                (tag, step, plugin): value
                for tag, step, plugin, value in events(tmp_path / who / part)
            }
            for who in ("ours", "theirs")
        )
        # Keras 3 puts the model's name before a weight's.
        expected = {
            (tag.removeprefix(f"{theirs.name}/"), *rest): v for (tag, *rest), v in expected.items()
        }
        # TensorFlow's own graph of operations has no counterpart here.
        expected = {key: value for key, value in expected.items() if key[0] != "keras" and key[2]}
        found.pop(("keras", 0, "graph_keras_model"), None)
        expected.pop(("keras", 0, "graph_keras_model"), None)
        if options.get("update_freq") == 2:  # Keras omits epochs that end between updates
            found = {key: value for key, value in found.items() if key in expected}
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            if key[2] == "images":
                assert found[key][:2].tolist() == value[:2].tolist(), key
                assert len(found[key]) == len(value), key
            elif key[2] == "scalars":
                np.testing.assert_allclose(found[key], value, rtol=1e-3, err_msg=str(key))
            else:
                assert found[key].shape == value.shape, key
                assert found[key][:, 2].sum() == value[:, 2].sum(), key  # all weights are counted
                np.testing.assert_allclose(found[key][[0, -1], :2], value[[0, -1], :2], atol=2e-3)


def test_tensorboard_draws_the_model() -> None:
    from tensorboard.plugins.graph import keras_util

    inputs = minicnn.Input((4,))
    x = layers.Dense(3, name="a")(inputs)
    branched = minicnn.Model(inputs, layers.Add(name="sum")([x, layers.Dense(3, name="b")(x)]))
    for model, names in ((make(minicnn), ["conv", "dense"]), (branched, ["a", "b", "sum"])):
        graph = keras_util.keras_model_to_graph_def(json.loads(model.to_json()))
        drawn = {node.name.rpartition("/")[2]: list(node.input) for node in graph.node}
        assert set(names) <= set(drawn)


def test_images_of_weights(tmp_path: Path) -> None:
    model = make(minicnn)
    fitted(minicnn, model, tmp_path, histogram_freq=1, write_images=True, write_graph=False)
    images = {
        tag: value for tag, _, plugin, value in events(tmp_path / "train") if plugin == "images"
    }
    assert list(images["conv/kernel/image"][:2]) == [b"3", b"3"]
    assert len(images["conv/kernel/image"]) == 2 + 2  # an image for each filter
    assert images["dense/kernel/image"][2].startswith(b"\x89PNG")


def test_the_speed(tmp_path: Path) -> None:
    fitted(minicnn, make(minicnn), tmp_path, write_steps_per_second=True, update_freq=3)
    found = {(tag, step): value for tag, step, _, value in events(tmp_path / "train")}
    for key in (("batch_steps_per_second", 3), ("epoch_steps_per_second", 2)):
        assert float(found[key]) > 0
    assert ("batch_loss", 3) in found
    assert ("batch_loss", 2) not in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile_batch": 2}, "does not support profile_batch=2"),
        ({"embeddings_freq": 1}, "does not support embeddings_freq=1"),
        ({"embeddings_metadata": "x"}, "does not support embeddings_metadata='x'"),
        ({"histogram_freq": -1}, "histogram_freq to be a number of epochs. Received -1"),
        ({"update_freq": "step"}, 'update_freq to be "epoch", "batch" or .*Received \'step\''),
        ({"update_freq": 0}, "Received 0"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TensorBoard(**options)


@pytest.mark.slow
def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['tensorboard'] = None; import minicnn\n"
        "try: minicnn.callbacks.TensorBoard()\n"
        "except ImportError as error: print(error)"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "writes with the package tensorboard: " in said
    assert "pip install tensorboard" in said


@pytest.mark.slow
def test_it_does_not_load_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys, numpy as np, minicnn as k\n"
        "m = k.Sequential([k.Input((2,)), k.layers.Dense(1)]); m.compile('sgd', 'mse')\n"
        f"board = k.callbacks.TensorBoard({str(tmp_path)!r}, histogram_freq=1)\n"
        "m.fit(np.ones((2, 2)), np.ones(2), verbose=0, callbacks=[board])\n"
        "print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False\n"
