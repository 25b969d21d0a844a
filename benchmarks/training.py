"""Measures training: the time of a step and of an epoch, with `fit` on arrays on both sides.

Each way of each side begins with its own model, all with the same weights, and gets the same
batches in the same order. The losses of an epoch, or after a step, are compared. (Weights cannot be
compared: Adam divides each gradient by its own size, and so treats the rounding error of a gradient
near 0 like a real gradient.) Keras may take the arrays or a `tf.data` pipeline that keeps them as
tensors, with and without XLA; the fastest counts. A step is `train_on_batch`; Keras's gets tensors.
(Steps come first: if XLA was clearly slower there, whole epochs are not tried with it.)

Large networks whose layers all learn are measured by the step, which is all that `fit` does there.

The frozen base is measured with a whole `fit` of several epochs, because minicnn computes its
output once per photo, and Keras once per photo and epoch. The step shows both without this
advantage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import minicnn
from benchmarks import built, on_tensorflow
from benchmarks.harness import OURS, THEIRS, Job, Row, Session, Side, Way, measure

SUBJECT = "training"

Array = np.ndarray


@dataclass(frozen=True)
class Course:
    """A network and how to train it; `optimizer` and `loss` build from either library."""

    name: str
    build: Callable[[Any, int], Any]
    size: int
    batch: int
    batches: int
    classes: int
    optimizer: Callable[[Any], Any]
    loss: Callable[[Any], Any]
    epochs: int = 1
    quick: bool = False
    steps_only: bool = False

    def compiled(self, library: Any) -> Any:
        """Return a new, compiled model."""
        model = self.build(library, self.size)
        model.compile(self.optimizer(library), self.loss(library))
        return model

    def data(self) -> tuple[Array, Array]:
        """Return noise whose class shows in the brightness of one colour: it can be learned."""
        rng = np.random.default_rng(0)
        count = self.batch * self.batches
        x = rng.standard_normal((count, self.size, self.size, 3), np.float32) * np.float32(0.3)
        labels = rng.integers(0, max(self.classes, 2), count)
        x[np.arange(count), :, :, labels % 3] += np.float32(0.2)
        if self.classes == 1:
            return x, labels[:, None].astype(np.float32)
        return x, np.eye(self.classes, dtype=np.float32)[labels]


def _adam(library: Any) -> Any:
    return library.optimizers.Adam(0.001)


def _sgd(library: Any) -> Any:
    return library.optimizers.SGD(0.01, momentum=0.9)


def _many(library: Any) -> Any:
    return library.losses.CategoricalCrossentropy(from_logits=True)


COURSES = (
    Course(
        "small CNN 64×64", built.small_cnn, 64, 32, 12, 10, _adam, _many, quick=True,
    ),
    Course(
        "homework network 150×150", built.homework, 150, 20, 8, 1,
        lambda library: library.optimizers.SGD(0.002, momentum=0.8),
        lambda library: library.losses.BinaryCrossentropy(),
    ),
    Course("frozen MobileNet with a head 150×150", built.frozen_base, 150, 32, 3, 10, _adam, _many,
           epochs=4),
    *(
        Course(
            f"{name} 150×150, all layers", build, 150, 16, 1, 1000, _sgd, _many,
            steps_only=True,
        )
        for name, build in (
            ("MobileNet", built.mobilenet),
            ("Xception", built.xception),
            ("ResNet50", built.resnet50),
        )
    ),
)  # fmt: skip


def jobs(session: Session) -> list[Job]:
    """Return an epoch (or a fit) and a step of each course."""
    slow: set[str] = set()  # courses where XLA was slower
    return [
        _job(session, course, work, slow)
        for course in COURSES
        if course.quick or not session.quick
        for work in _works(course)
    ]


def _works(course: Course) -> list[str]:
    fit = "epoch" if course.epochs == 1 else f"fit, {course.epochs} epochs"
    return ["step"] if course.steps_only else ["step", fit]


def _job(session: Session, course: Course, work: str, slow: set[str]) -> Job:
    photos = course.batch * (1 if work == "step" else course.batches * course.epochs)
    group = f"{'step' if work == 'step' else 'fit'}: {course.name}"
    row = Row(
        SUBJECT, group, course.name, work, course.batch, photos=photos, tolerance=1e-3,
    )  # fmt: skip

    def run() -> list[Row]:
        found = sides(course, work, session, xla=course.name not in slow)
        measure(row, found, session.effort)
        if THEIRS in row.times and row.times[THEIRS].lost("XLA"):
            slow.add(course.name)
        return [row]

    return Job(row.title, run)


def sides(course: Course, work: str, session: Session, xla: bool = True) -> list[Side]:
    """Return both sides, Keras's models first, so that minicnn's can start with their weights."""
    x, y = course.data()
    found = []
    ways = _steps if work == "step" else _fits
    if on_tensorflow.installed() and session.wants(THEIRS):
        import keras

        first = course.compiled(keras)
        found.append(Side(THEIRS, _their_ways(course, work, first, x, y, xla)))
        model = minicnn.models.from_keras(first)
    else:
        model = course.compiled(minicnn)
    if session.wants(OURS):
        found.insert(0, Side(OURS, [ways("arrays", model, x, y, course)]))
    return found


def _fits(name: str, model: Any, x: Any, y: Any, course: Course) -> Way:
    """Return `fit` on arrays, or on a data set if y is None."""
    settings: dict[str, Any] = {"epochs": course.epochs, "shuffle": False, "verbose": 0}
    if y is not None:
        settings["batch_size"] = course.batch
    return Way(
        name,
        lambda: model.fit(x, y, **settings).history["loss"],
        lambda losses: [np.array(losses)],
    )


def _steps(name: str, model: Any, x: Any, y: Any, course: Course) -> Way:
    """Return one step, which for the comparison returns its loss and the loss after it."""
    x, y = x[: course.batch], y[: course.batch]
    return Way(
        name,
        lambda: model.train_on_batch(x, y),
        lambda loss: [np.array([float(loss), float(model.test_on_batch(x, y))])],
    )


def _their_ways(course: Course, work: str, first: Any, x: Array, y: Array, xla: bool) -> list[Way]:
    import keras
    import tensorflow as tf

    weights = first.get_weights()

    def model(jit_compile: bool) -> Any:
        made = course.build(keras, course.size)
        made.set_weights(weights)
        made.compile(course.optimizer(keras), course.loss(keras), jit_compile=jit_compile)
        return made

    if work == "step":
        # `first`, with Keras's default compilation, stays: minicnn's weights come from it.
        tensors = tf.constant(x[: course.batch]), tf.constant(y[: course.batch])
        return [
            _steps(name, model(jit), *tensors, course)
            for name, jit in (("graph", False), ("XLA", True))
        ]
    pipeline = tf.data.Dataset.from_tensor_slices((x, y)).batch(course.batch).cache().prefetch(2)
    found = [
        _fits("arrays", model(False), x, y, course),
        _fits("tf.data", model(False), pipeline, None, course),
    ]
    if xla:
        found.append(_fits("arrays, XLA", model(True), x, y, course))
        found.append(_fits("tf.data, XLA", model(True), pipeline, None, course))
    return found
