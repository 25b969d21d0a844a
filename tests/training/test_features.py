"""`fit` computes a frozen base only once, which changes no number."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Model, Sequential, datasets, layers, utils
from minicnn.graph.split import split
from minicnn.preprocessing.image import ImageDataGenerator
from minicnn.training import features
from minicnn.training.batches import SequenceBatches, make_batches

Array = np.ndarray


class Counting(layers.Layer):
    """Passes x on unchanged, and counts the examples."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seen = 0

    def compute(self, x: Array, training: bool) -> tuple[Array, dict[str, Any]]:
        self.seen += len(x)
        return x, {}

    def compute_gradients(self, dz: Array, cache: dict[str, Any], need_dx: bool) -> Any:
        return dz, {}


def transfer(dropout: float = 0.0, base_dropout: float = 0.0, trainable: bool = False) -> Model:
    utils.clear_session()
    utils.set_random_seed(0)
    base = Sequential(
        [
            Input((16, 16, 3)),
            layers.Conv2D(6, 3),
            layers.BatchNormalization(),
            layers.Dropout(base_dropout),
            layers.Conv2D(4, 3, activation="relu"),
        ],
        name="base",
    )
    base.trainable = trainable
    inputs = Input((16, 16, 3))
    x = Counting(name="counting")(layers.Rescaling(1 / 64)(inputs))
    x = layers.GlobalAveragePooling2D()(base(x))
    x = layers.Dense(8, activation="relu")(layers.Dropout(dropout)(x))
    model = Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def examples(count: int = 70) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 255, (count, 16, 16, 3)).astype(np.float32)
    return x, np.arange(count) % 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clothes") / "sample"
    return datasets.write_clothing_sample(root, {"train": 3, "validation": 1}, size=20)


def arrays(_: Path) -> dict[str, Any]:
    x, y = examples()
    return {"x": x, "y": y, "validation_split": 0.2}


def flow(_: Path) -> dict[str, Any]:
    generator = ImageDataGenerator(rescale=0.5)
    return {
        "x": generator.flow(*examples(), batch_size=16, seed=3),
        "validation_data": examples(30),
    }


def directory(folder: Path, **options: Any) -> dict[str, Any]:
    def photos(part: str, **more: Any) -> Any:
        return ImageDataGenerator(**more).flow_from_directory(
            folder / part,
            target_size=(16, 16),
            batch_size=8,
            class_mode="sparse",
            classes=["dress", "hat", "pants"],
        )

    return {"x": photos("train", **options), "validation_data": photos("validation")}


def dataset(folder: Path) -> dict[str, Any]:
    def photos(part: str) -> Any:
        return utils.image_dataset_from_directory(
            folder / part, image_size=(16, 16), batch_size=8, class_names=["dress", "hat", "pants"]
        )

    return {"x": photos("train"), "validation_data": photos("validation")}


KINDS: list[Callable[[Path], dict[str, Any]]] = [arrays, flow, directory, dataset]


def ends_early() -> Any:
    return pytest.warns(UserWarning, match="ended after 2 of 3 steps")


@pytest.mark.slow
@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_the_same_to_the_last_bit(
    kind: Callable[[Path], dict[str, Any]], steps: int | None, folder: Path
) -> None:
    found, order = [], []
    for reuse in (True, False):
        model = transfer(dropout=0.3)
        data = kind(folder)
        if steps:
            data["steps_per_epoch"] = steps
        with ends_early() if steps else nullcontext():
            history = model.fit(**data, epochs=3, verbose=0, reuse_features=reuse)
            # A second fit reads on in the same data, which must be where they would have been.
            again = model.fit(**data, epochs=2, verbose=0, reuse_features=False)
        found.append([history.history, again.history, *map(np.ndarray.tolist, model.get_weights())])
        order.append(history.computed_once)
    assert order == [("rescaling", "counting", "base", "global_average_pooling2d"), ()]
    assert found[0] == found[1]


def test_each_photo_passes_the_base_once() -> None:
    x, y = examples()
    model = transfer()
    model.fit(x, y, epochs=5, validation_data=examples(20), verbose=0)
    # Each passes once. The first 32 (20) are read twice, to see whether they change, but only read.
    assert model.get_layer("counting").seen == 70 + 20
    model.fit(x, y, epochs=5, verbose=0, reuse_features=False)
    assert model.get_layer("counting").seen == 70 + 20 + 5 * 70


def augmented(change: Callable[[Any], Any]) -> Model:
    """Return a model with a frozen base behind something that may change photos."""
    utils.clear_session()
    utils.set_random_seed(0)
    inputs = Input((16, 16, 3))
    x = Counting(name="counting")(change(inputs))
    x = layers.Conv2D(4, 3, strides=2, trainable=False, name="frozen")(x)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = Model(inputs, layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def flipped_and_zoomed() -> Model:
    return augmented(Sequential([Input((16, 16, 3)), layers.RandomFlip(), layers.RandomZoom(0.2)]))


def test_augmented_photos_pass_the_base_each_time_and_those_of_validation_once() -> None:
    found = []
    for reuse, times in ((True, 1), (False, 5)):
        model = flipped_and_zoomed()
        data = {"validation_data": examples(20), "reuse_features": reuse}
        history = model.fit(*examples(), epochs=5, verbose=0, **data)
        assert history.computed_once == ()
        assert model.get_layer("counting").seen == 5 * 70 + times * 20
        found.append(history.history)
    assert found[0] == found[1]


def test_an_augmenting_generator_leaves_validation_alone(folder: Path) -> None:
    model, data = transfer(), directory(folder, horizontal_flip=True)
    model.fit(**data, epochs=4, verbose=0)
    count = data["x"].samples, data["validation_data"].samples
    assert model.get_layer("counting").seen == 4 * count[0] + count[1]


class Trembling(layers.Layer):
    """Asks for `training`, as a layer may that is random whenever it likes."""

    def call(self, x: Any, training: bool = False) -> Any:
        return x * 1.5


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (layers.GaussianNoise(0.1), True),
        (lambda x: layers.GaussianNoise(0.1)(x, training=True), False),
        (lambda x: layers.BatchNormalization(center=False, scale=False)(x), False),
        (lambda x: layers.Dropout(0.1, activity_regularizer="l2")(x), False),
        (lambda x: Trembling()(x), False),
        (lambda x: Sequential([Input((16, 16, 3)), Trembling()])(x), False),
    ],
    ids=["noise", "always noise", "statistics", "penalty", "one's own", "one's own within"],
)
def test_what_validation_computes_once(change: Callable[[Any], Any], kept: bool) -> None:
    model = augmented(change)
    assert split_of(model) is None
    parts = split(model.graph, model.trainable_weights, training=False)
    assert (parts is not None) == kept
    if parts is not None:
        assert {"counting", "frozen"} < {layer.name for layer in parts.layers}


def test_validation_follows_a_callback_that_unfreezes() -> None:
    model = flipped_and_zoomed()

    def unfreeze(epoch: int, logs: Any) -> None:
        model.get_layer("frozen").trainable = epoch > 1

    told: list[float] = []
    callbacks = minicnn.callbacks.LambdaCallback(
        on_epoch_begin=unfreeze,
        on_epoch_end=lambda epoch, logs: told.append(model.evaluate(*examples(20), verbose=0)),
    )
    data = {"validation_data": examples(20), "callbacks": callbacks}
    history = model.fit(*examples(), epochs=4, verbose=0, **data)
    np.testing.assert_allclose(history.history["val_loss"], told, rtol=1e-5)


@pytest.mark.parametrize(("make", "name"), [(transfer, "base"), (flipped_and_zoomed, "frozen")])
def test_a_callback_may_change_the_weights_of_a_frozen_base(
    make: Callable[[], Model], name: str
) -> None:
    def change(epoch: int, logs: Any) -> None:
        if epoch == 2:
            base = model.get_layer(name)
            base.set_weights([2 * weight for weight in base.get_weights()])

    model, data = make(), examples(20)
    told: list[Any] = []
    callback = minicnn.callbacks.LambdaCallback(
        on_epoch_begin=change,
        on_epoch_end=lambda epoch, logs: told.append(model.evaluate(*data, verbose=0)),
    )
    options = {"validation_data": data, "callbacks": callback, "verbose": 0}
    found = model.fit(*data, epochs=4, **options).history
    losses = [np.atleast_1d(each)[0] for each in told]
    np.testing.assert_allclose(found["val_loss"], losses, rtol=1e-5)
    assert abs(losses[2] - losses[1]) > 0.01  # the callback changed something
    if make is transfer:  # whose training reuses features, too
        model = make()
        assert model.fit(*data, epochs=4, reuse_features=False, **options).history == found


def with_another_number(x: Array) -> Array:
    found = x.copy()
    found[3, 4, 5, 0] += 100
    return found


@pytest.mark.parametrize(
    "change", [with_another_number, lambda x: x[:, ::-1].copy(), lambda x: x[::-1].copy()]
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_callback_may_change_arrays_of_images(
    change: Callable[[Array], Array], which: int
) -> None:
    def again(epoch: int, logs: Any) -> None:
        if epoch == 1:
            data[which][0][:] = change(data[which][0])

    found = []
    for reuse in (True, False):
        data, model = (examples(20), examples(12)), transfer()
        callback = minicnn.callbacks.LambdaCallback(on_epoch_begin=again)
        options = {"validation_data": data[1], "callbacks": callback, "verbose": 0}
        found.append(model.fit(*data[0], epochs=3, reuse_features=reuse, **options).history)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"validation_steps": 1}, 3 * 8),
        ({"validation_steps": 2}, 40),  # 48, if each validation read them
        ({"validation_freq": 3}, 40),
        ({"validation_freq": 4}, 0),
        ({"validation_freq": 2, "validation_steps": 5}, 40),
    ],
)
def test_validation_computes_no_more_examples_than_it_reads(
    options: dict[str, Any], seen: int
) -> None:
    model = transfer()
    data = {"validation_data": examples(40), "validation_batch_size": 8, "verbose": 0}
    model.fit(*examples(8), epochs=3, **data, **options)
    assert model.get_layer("counting").seen == 8 + seen


def test_a_fit_of_one_epoch_keeps_no_features() -> None:
    assert transfer().fit(*examples(), epochs=1, verbose=0).computed_once == ()


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: transfer(dropout=0.5), 4),
        (lambda: transfer(base_dropout=0.5), 0),
        (lambda: transfer(trainable=True), 0),
    ],
    ids=["dropout behind", "dropout within", "a base that learns"],
)
def test_what_is_random_or_learns_is_not_kept(make: Callable[[], Model], names: int) -> None:
    history = make().fit(*examples(), epochs=2, verbose=0)
    assert len(history.computed_once) == names


def split_of(model: Model) -> Any:
    return split(model.graph, model.trainable_weights)


def test_a_base_called_for_inference_may_contain_dropout() -> None:
    base = Sequential([Input((4, 4, 3)), layers.Conv2D(2, 3), layers.Dropout(0.5)], name="base")
    base.trainable = False
    inputs = Input((4, 4, 3))
    x = layers.Flatten()(base(inputs, training=False))
    model = Model(inputs, layers.Dense(1)(x))
    parts = split_of(model)
    assert parts is not None
    assert [layer.name for layer in parts.layers] == ["base", "flatten"]


def test_moving_statistics_are_not_frozen_by_having_no_parameters() -> None:
    inputs = Input((4, 4, 3))
    frozen = layers.Conv2D(2, 3, trainable=False, name="frozen")
    x = layers.BatchNormalization(center=False, scale=False)(frozen(inputs))
    parts = split_of(Model(inputs, layers.Dense(1)(layers.Flatten()(x))))
    assert parts is not None
    assert [layer.name for layer in parts.layers] == ["frozen"]


def test_a_model_is_not_split_where_a_shortcut_crosses() -> None:
    inputs = Input((4, 4, 2))
    frozen = layers.Conv2D(2, 3, padding="same", trainable=False)(inputs)
    learned = layers.Conv2D(2, 3, padding="same")(frozen)
    model = Model(inputs, layers.Add()([learned, inputs]))
    assert split_of(model) is None  # the rest would need both photos and features
    assert split_of(Model(inputs, layers.Add()([learned, frozen]))) is not None


@pytest.mark.parametrize(
    "options",
    [
        {"rotation_range": 10},
        {"width_shift_range": 0.1},
        {"height_shift_range": [-2, 2]},
        {"shear_range": 5.0},
        {"zoom_range": 0.2},
        {"horizontal_flip": True},
        {"vertical_flip": True},
        {"brightness_range": (0.5, 1.5)},
        {"channel_shift_range": 5.0},
        {"preprocessing_function": lambda x: x + np.random.uniform()},
    ],
    ids=lambda options: next(iter(options)),
)
def test_augmented_photos_are_new_each_time(options: dict[str, Any], folder: Path) -> None:
    assert transfer().fit(**directory(folder, **options), epochs=2, verbose=0).computed_once == ()


@pytest.mark.parametrize(
    "options",
    [
        {"preprocessing_function": lambda x: x / 2},
        {"samplewise_center": True},
        {"rescale": 1 / 255},
    ],
    ids=lambda options: next(iter(options)),
)
def test_preparation_without_chance_is_computed_once(options: dict[str, Any], folder: Path) -> None:
    assert transfer().fit(**directory(folder, **options), epochs=2, verbose=0).computed_once


def test_features_of_generators_and_sequences_are_not_kept() -> None:
    x, y = examples(32)

    def batches() -> Any:
        while True:
            yield x, y

    class Sequence:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return x, y

    for data in (batches(), Sequence()):
        assert transfer().fit(data, epochs=2, steps_per_epoch=2, verbose=0).computed_once == ()


def test_validation_data_may_be_of_another_kind() -> None:
    x, y = examples(40)
    model = transfer()
    history = model.fit(
        x, y, epochs=2, validation_data=iter([(x, y)] * 2), validation_steps=1, verbose=0
    )
    assert history.computed_once
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert history.history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-6)


def test_too_many_features_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert features.fits((None, 4), 70, 4)
    assert not features.fits((None, None, 4), 70, 4)
    monkeypatch.setattr(features, "LARGEST", 70 * 4 * 4)
    assert features.fits((None, 4), 70, 4)
    monkeypatch.setattr(features, "LARGEST", 70 * 4 * 4 - 1)
    assert transfer().fit(*examples(), epochs=2, verbose=0).computed_once == ()


def test_a_layer_thawed_in_a_frozen_base_is_not_computed_once() -> None:
    model = transfer()
    kernel = model.get_layer("base").layers[-1].kernel
    model.get_layer("base").layers[-1].trainable = True
    before = kernel.numpy()
    history = model.fit(*examples(), epochs=2, verbose=0)
    assert "base" not in history.computed_once
    assert (kernel.numpy() != before).any()


def test_a_callback_may_unfreeze_the_base() -> None:
    model = transfer()
    kernel = model.get_layer("base").layers[0].kernel

    def unfreeze(epoch: int, logs: Any) -> None:
        if epoch == 1:
            model.get_layer("base").trainable = True

    before = kernel.numpy()
    changed = []
    model.fit(
        *examples(),
        epochs=3,
        verbose=0,
        callbacks=[
            minicnn.callbacks.LambdaCallback(
                on_epoch_begin=unfreeze,
                on_epoch_end=lambda e, logs: changed.append((kernel.numpy() != before).any()),
            )
        ],
    )
    assert changed == [False, True, True]


def test_fit_prints_what_it_computed_once(capsys: pytest.CaptureFixture[str]) -> None:
    transfer().fit(*examples(), epochs=2, verbose=2)
    assert (
        "Computed once, because they do not learn: rescaling … dropout_1 (5 layers; "
        in capsys.readouterr().out
    )
    flipped_and_zoomed().fit(*examples(), validation_data=examples(9), epochs=2, verbose=2)
    assert "Computed once, for all validations: sequential … " in capsys.readouterr().out


def test_evaluation_in_a_callback_sees_photos(folder: Path) -> None:
    """The data themselves are not changed: whatever else reads them gets photos, not features."""
    data = directory(folder)
    shapes: list[Any] = []

    def look(epoch: int, logs: Any) -> None:
        shapes.append(data["validation_data"][0][0].shape)

    model = transfer()
    model.fit(
        **data,
        epochs=2,
        verbose=0,
        callbacks=[minicnn.callbacks.LambdaCallback(on_epoch_end=look)],
    )
    assert shapes == [(3, 16, 16, 3)] * 2


def test_examples_read_by_number_are_those_of_the_batches(folder: Path) -> None:
    for kind in KINDS:
        data = kind(folder)
        batches = make_batches(data["x"], data.get("y"))
        count = batches.example_count()
        assert count
        whole = batches.read(np.arange(count))
        seen = np.concatenate([np.asarray(batch.x) for batch in batches.epoch()])
        assert sorted(x.tobytes() for x in whole) == sorted(x.tobytes() for x in seen)


class LateThreads:
    """Threads that start a task as late as possible: when its result is needed, or at the end."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.tasks: list[Any] = []

    def __enter__(self) -> "LateThreads":
        return self

    def __exit__(self, *_: Any) -> None:
        for task in self.tasks:
            if not task.cancelled():
                task.result()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        class Task:
            state = "waiting"
            value: Any = None

            def cancelled(self) -> bool:
                return self.state == "cancelled"

            def cancel(self) -> None:
                self.state = "cancelled" if self.state == "waiting" else self.state

            def result(self) -> Any:
                if self.state == "waiting":
                    self.state, self.value = "done", function(*arguments)
                return self.value

        self.tasks.append(Task())
        return self.tasks[-1]


def test_how_much_is_read_before_an_early_end_does_not_depend_on_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Counted:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            self.seen.append(index)
            return np.zeros((1, 2), np.float32), np.zeros(1)

    def read_two(data: Counted) -> list[int]:
        reader = SequenceBatches(data).epoch()
        next(reader), next(reader)
        reader.close()  # type: ignore[attr-defined]
        return data.seen

    assert read_two(Counted()) == [0, 1, 2]
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", LateThreads)
    assert read_two(Counted()) == [0, 1, 2]
