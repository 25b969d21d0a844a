"""Module 8 of the ML Zoomcamp course as one program, in our own code.

`course(keras, photos, work)` uses only the module it is given: `tensorflow.keras` or `minicnn`.
`photos` is a folder with train/, validation/ and test/; `work` is a folder that holds
`xception.weights.h5`, the weights of the base. Where a library would draw weights at random, they
are read from `work` if an earlier run has left them there, so that both libraries start alike.

It returns the numbers, shapes and names that a learner would look at.
"""

from pathlib import Path
from typing import Any

import numpy as np

SIZE = 75
CLASSES = 10


def course(keras: Any, photos: Path, work: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    keras.utils.set_random_seed(1)
    image = keras.preprocessing.image
    preprocess_input = keras.applications.xception.preprocess_input

    # -- 8.2 A photo is an array ---------------------------------------------------------------
    path = photos / "train" / "dress" / "dress-0000.jpg"
    picture = image.load_img(path, target_size=(SIZE, SIZE))
    x = image.img_to_array(picture)
    seen["photo"] = (picture.size, x.shape, str(x.dtype))
    seen["utils.load_img"] = np.array(keras.utils.load_img(path, target_size=(SIZE, SIZE))).shape

    # -- 8.3 A network that others have trained ------------------------------------------------
    network = keras.applications.xception.Xception(
        weights=None, include_top=True, input_shape=(SIZE, SIZE, 3), classes=5
    )
    _begin_alike(network, work / "with-top.weights.h5")
    prediction = network.predict(preprocess_input(np.array([x])), verbose=0)
    seen["prediction"] = prediction

    # -- 8.4, 8.5 Transfer learning ------------------------------------------------------------
    def flow(part: str, shuffle: bool = False, **augmentation: Any) -> Any:
        generator = image.ImageDataGenerator(
            preprocessing_function=preprocess_input, **augmentation
        )
        return generator.flow_from_directory(
            photos / part, target_size=(SIZE, SIZE), batch_size=16, seed=1, shuffle=shuffle
        )

    train, validation = flow("train", shuffle=True), flow("validation")
    seen["class_indices"] = train.class_indices
    batch, labels = next(train)
    seen["batch"] = (batch.shape, labels.shape, np.abs(batch).max() <= 1)

    def fit(model: Any, photos: Any, epochs: int, **more: Any) -> dict[str, list[float]]:
        # Each library would shuffle in its own order.
        history = model.fit(
            photos, epochs=epochs, validation_data=validation, shuffle=False, verbose=0, **more
        )
        return dict(history.history)

    base = keras.applications.xception.Xception(
        weights=work / "xception.weights.h5", include_top=False, input_shape=(SIZE, SIZE, 3)
    )
    # Experiments with the head use a base of few layers, which takes a tenth of the time.
    first_blocks = keras.Model(base.input, base.get_layer("block3_pool").output)

    def make_model(
        learning_rate: float = 0.01,
        size_inner: int = 0,
        droprate: float = 0.0,
        file: str = "head",
        base: Any = first_blocks,
    ) -> Any:
        base.trainable = False
        inputs = keras.Input(shape=(SIZE, SIZE, 3))
        vectors = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
        if size_inner:
            vectors = keras.layers.Dense(size_inner, activation="relu")(vectors)
        if droprate:
            vectors = keras.layers.Dropout(droprate)(vectors)
        outputs = keras.layers.Dense(CLASSES)(vectors)
        model = keras.Model(inputs, outputs)
        _begin_alike(model, work / f"{file}.weights.h5")
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    for old in work.glob("xception_*.keras"):
        old.unlink()
    checkpoint = keras.callbacks.ModelCheckpoint(  # 8.7
        work / "xception_{epoch:02d}_{val_accuracy:.3f}.keras",
        save_best_only=True,
        monitor="val_accuracy",
        mode="max",
    )
    model = make_model(base=base)
    seen["parameters"] = (
        model.count_params(),
        sum(int(np.prod(w.shape)) for w in model.trainable_weights),
    )
    features = keras.Model(model.inputs, model.layers[-2].output)
    seen["features"] = np.array(features.predict(batch, verbose=0))
    seen["history"] = fit(model, flow("train"), 3, callbacks=[checkpoint])
    saved = sorted(work.glob("xception_*.keras"))
    seen["checkpoints"] = [name.name for name in saved]

    # -- 8.6 The learning rate -----------------------------------------------------------------
    seen["a lower rate"] = fit(make_model(learning_rate=0.0001, file="few"), flow("train"), 2)

    # -- 8.8 More layers, 8.9 dropout ------------------------------------------------------------
    model = make_model(0.003, size_inner=16, file="inner")
    seen["inner"] = fit(model, flow("train"), 2)
    model = make_model(0.003, size_inner=16, droprate=0.5, file="dropout")

    # -- 8.10 Augmentation -----------------------------------------------------------------------
    augmented = flow("train", rotation_range=10, zoom_range=0.1, horizontal_flip=True)
    seen["augmented"] = next(augmented)[0].mean()
    seen["dropout and augmented, random"] = fit(model, augmented, 1)

    # -- 8.12 Using the model --------------------------------------------------------------------
    model = keras.models.load_model(saved[-1])
    test = flow("test")
    seen["evaluate"] = list(model.evaluate(test, verbose=0))
    seen["predict"] = model.predict(test, verbose=0)
    one = model.predict(preprocess_input(np.array([x])), verbose=0)[0]
    classes = sorted(train.class_indices)
    seen["answer"] = dict(zip(classes, map(float, one)))

    # -- Homework: two classes, a network of your own --------------------------------------------
    def two(part: str) -> Any:
        return image.ImageDataGenerator(rescale=1.0 / 255).flow_from_directory(
            photos / part,
            target_size=(40, 40),
            batch_size=4,
            class_mode="binary",
            classes=["dress", "pants"],
            shuffle=False,
        )

    model = keras.models.Sequential()
    model.add(keras.layers.Input(shape=(40, 40, 3)))
    model.add(keras.layers.Conv2D(8, (3, 3), activation="relu"))
    model.add(keras.layers.MaxPooling2D((2, 2)))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(16, activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    _begin_alike(model, work / "homework.weights.h5")
    model.compile(
        loss="binary_crossentropy",
        optimizer=keras.optimizers.SGD(learning_rate=0.002, momentum=0.8),
        metrics=["accuracy"],
    )
    seen["homework parameters"] = model.count_params()
    history = model.fit(
        two("train"), epochs=3, validation_data=two("validation"), shuffle=False, verbose=0
    )
    seen["homework"] = history.history
    seen["homework median"] = float(np.median(history.history["accuracy"]))
    return seen


def _begin_alike(model: Any, file: Path) -> None:
    if file.exists():
        model.load_weights(file)
    else:
        model.save_weights(file)
