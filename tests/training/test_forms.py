"""Inputs, targets and sample weights may come in many forms."""

from typing import Any

import numpy as np
import pytest
from training_data import Pairs, X, Y, forever, model

from minicnn import (
    Input,
    Model,
    Sequential,
    layers,
    utils,
)


def photo_model() -> Model:
    utils.set_random_seed(3)
    inputs = Input((4, 5, 1), name="photo")
    scores = layers.Dense(3, "softmax", name="scores")(layers.Flatten()(inputs))
    made = Model(inputs, scores)
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


PHOTOS = np.random.default_rng(0).standard_normal((6, 4, 5, 1)).astype(np.float32)
CLASSES, WEIGHTS = np.arange(6) % 3, np.arange(6) + 1.0

# Keras takes the first six; it refuses lists of examples, where it expects a list of inputs.
PHOTO_FORMS: dict[str, Any] = {
    "[x]": [PHOTOS],
    "(x,)": (PHOTOS,),
    "by name": {"photo": PHOTOS},
    "without channels": PHOTOS[..., 0],
    "[without channels]": [PHOTOS[..., 0]],
    "with one axis more": PHOTOS[..., None],
    "list of photos": list(PHOTOS),
    "tuple of photos": tuple(PHOTOS),
    "list of gray photos": list(PHOTOS[..., 0]),
    "lists of lists": PHOTOS.tolist(),
}
CLASS_FORMS: dict[str, Any] = {
    "[y]": [CLASSES],
    "(y,)": (CLASSES,),
    "[y (n, 1)]": [CLASSES[:, None]],
    "by name": {"scores": CLASSES},
    "list": CLASSES.tolist(),
    "list of scalars": list(CLASSES),
    "list of rows": list(CLASSES[:, None]),
}
WEIGHT_FORMS: list[Any] = [[WEIGHTS], WEIGHTS.tolist(), {"scores": WEIGHTS}, WEIGHTS[:, None]]


@pytest.mark.parametrize("form", PHOTO_FORMS)
def test_inputs_come_in_many_forms(form: str) -> None:
    x = PHOTO_FORMS[form]
    m = photo_model()
    scores = m.predict(PHOTOS, verbose=0)
    for found in (
        m.predict(x, verbose=0, batch_size=4),
        m.predict(iter([(x,)]), verbose=0),
        m.predict_on_batch(x),
        m(x),
    ):
        np.testing.assert_allclose(found, scores, rtol=1e-5)
    expected = m.evaluate(PHOTOS, CLASSES, verbose=0)
    for numbers in (
        m.evaluate(x, CLASSES, batch_size=4, verbose=0),
        m.evaluate(iter([(x, CLASSES)]), verbose=0),
        m.test_on_batch(x, CLASSES),
        photo_model().train_on_batch(x, CLASSES),
    ):
        assert numbers == pytest.approx(expected, rel=1e-5)
    options: dict[str, Any] = {"batch_size": 2, "epochs": 2, "shuffle": False, "verbose": 0}
    plain = photo_model().fit(
        PHOTOS[:3], CLASSES[:3], validation_data=(PHOTOS[3:], CLASSES[3:]), **options
    )
    cut = photo_model().fit(x, CLASSES, validation_split=0.5, **options)
    for key, values in plain.history.items():
        assert cut.history[key] == pytest.approx(values, rel=1e-5)
    batch = iter([(x, CLASSES)])
    history = photo_model().fit(batch, validation_data=(x, CLASSES), verbose=0).history
    assert history["loss"] == pytest.approx(expected[:1], rel=1e-5)
    assert history["val_loss"][0] < history["loss"][0]


@pytest.mark.parametrize("form", CLASS_FORMS)
def test_targets_come_in_many_forms(form: str) -> None:
    y = CLASS_FORMS[form]
    m = photo_model()
    expected = m.evaluate(PHOTOS, CLASSES, sample_weight=WEIGHTS, verbose=0)
    for x in (PHOTOS, [PHOTOS]):
        assert m.evaluate(iter([(x, y, WEIGHTS)]), verbose=0) == pytest.approx(expected)
        for weights in WEIGHT_FORMS:
            found = [
                m.evaluate(x, y, sample_weight=weights, verbose=0),
                m.test_on_batch(x, y, weights),
                photo_model().train_on_batch(x, y, weights),
            ]
            for numbers in found:
                assert numbers == pytest.approx(expected)
    weighted = photo_model().train_on_batch(PHOTOS, CLASSES, class_weight={0: 3.0})
    assert photo_model().train_on_batch(PHOTOS, y, class_weight={0: 3.0}) == weighted
    history = photo_model().fit(
        [PHOTOS], y, class_weight={0: 3.0}, validation_data=([PHOTOS], y, [WEIGHTS]), verbose=0
    )
    assert history.history["loss"] == pytest.approx(weighted[:1])


def test_a_model_without_an_input_is_built_for_the_arrays_in_a_list() -> None:
    for x in ([PHOTOS], list(PHOTOS)):
        m = Sequential([layers.Flatten(), layers.Dense(3, "softmax")])
        assert m.predict(x, verbose=0).shape == (6, 3)
        assert m.input_shape == (None, 4, 5, 1)


def test_rows_as_targets_of_few_examples() -> None:
    """`[[0, 1, 0]]` holds the row of one example; `[array]` holds the targets of the one output."""
    m = photo_model()
    m.compile("sgd", "categorical_crossentropy")
    rows = np.eye(3, dtype=np.float32)
    for count in (1, 3):
        expected = m.evaluate(PHOTOS[:count], rows[:count], verbose=0)
        for y in ([rows[:count]], list(rows[:count]), rows[:count].tolist()):
            found = m.evaluate(list(PHOTOS[:count]), y, verbose=0)
            assert found == pytest.approx(expected, rel=1e-5)


def test_an_input_of_one_number_takes_plain_numbers() -> None:
    inputs = Input((1,))
    m = Model(inputs, layers.Dense(1, "sigmoid")(inputs))
    m.compile("sgd", "binary_crossentropy")
    x, y = np.linspace(-1, 1, 6, dtype=np.float32), np.arange(6) % 2
    expected = m.evaluate(x[:, None], y[:, None], verbose=0)
    for given in (x, [x], x.tolist(), x[:, None, None]):
        assert m.evaluate(given, [y], verbose=0) == pytest.approx(expected)
    one, photo = Input((1,), name="one"), Input((4, 5, 1), name="photo")
    both = Model([one, photo], layers.Concatenate()([one, layers.Flatten()(photo)]))
    expected = both([x[:, None], PHOTOS])
    for pair in ([x, PHOTOS[..., 0]], (x, PHOTOS), {"photo": PHOTOS[..., 0], "one": x}):
        np.testing.assert_array_equal(both.predict(pair, verbose=0), expected)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: m.predict([PHOTOS[0], PHOTOS[0, 1:]]), r"one shape. Received \(4, 5, 1\), \(3,"),
        (lambda m: m.predict([[[1], [2, 3]]]), "one shape. Received 2 rows"),
        (lambda m: m.predict(PHOTOS[0, ..., 0]), r"expects x.shape=\(batch, 4, 5, 1\)"),
        (lambda m: m.predict(PHOTOS[0]), "One example needs its batch axis"),
        (lambda m: m.evaluate(PHOTOS, {"other": CLASSES}), r"y to be .* \['scores'\]. .*'other'"),
        (lambda m: m.evaluate(PHOTOS, [CLASSES, CLASSES]), "one entry per example"),
        (lambda m: m.evaluate(PHOTOS, CLASSES, sample_weight=[WEIGHTS[1:]]), "one entry per ex"),
        (lambda m: m.predict({"other": PHOTOS}), r"expects inputs \['photo'\]"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(use: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use(photo_model())


def test_predict_takes_every_kind_of_data() -> None:
    m = model()
    expected = m.predict(X, verbose=0)
    for given in (Pairs(), list(X.tolist()), np.asfortranarray(X), X.astype(np.float64)):
        np.testing.assert_allclose(m.predict(given, verbose=0), expected, rtol=1e-6)
    np.testing.assert_array_equal(m.predict(forever(), steps=2, verbose=0), expected[:8])
    np.testing.assert_array_equal(m.predict(X, batch_size=5, verbose=0).shape, (24, 3))


def test_several_outputs_are_predicted_as_a_list() -> None:
    x = Input((4,))
    m = Model(x, [layers.Dense(2)(x), layers.Dense(5)(x)])
    assert [y.shape for y in m.predict(X, batch_size=10, verbose=0)] == [(24, 2), (24, 5)]
    m.compile("sgd", "categorical_crossentropy")
    with pytest.raises(
        ValueError, match=r"expects y to be a list of arrays, or a dict, for the ou"
    ):
        m.fit(X, Y, verbose=0)


def test_several_inputs_as_list_and_dict() -> None:
    a, b = Input((4,), name="a"), Input((2,), name="b")
    m = Model([a, b], layers.Dense(1, "sigmoid")(layers.Concatenate()([a, b])))
    m.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    more = np.ones((24, 2), np.float32)
    expected = m.evaluate([X, more], Y > 1, verbose=0)
    assert m.evaluate({"b": more, "a": X}, Y > 1, verbose=0) == expected
    m.fit([X, more], Y > 1, validation_data=([X, more], Y > 1), verbose=0)
