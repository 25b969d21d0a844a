"""Metrics agree with Keras over several batches, weighted, in files, as functions and in `fit`."""

import warnings
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Input, Sequential, callbacks, layers, losses, metrics, models

Array = np.ndarray

RNG = np.random.default_rng(0)
COUNT = 12
NUMBERS = RNG.normal(size=(COUNT, 3)).astype(np.float32)
OTHERS = (NUMBERS + RNG.normal(size=(COUNT, 3))).astype(np.float32)
CLASSES = RNG.integers(0, 3, COUNT)
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]
SCORES = RNG.random((COUNT, 3)).astype(np.float32)
SHARES = SCORES / SCORES.sum(axis=-1, keepdims=True)
LABELS = RNG.integers(0, 2, (COUNT, 3)).astype(np.float32)
YES = RNG.integers(0, 2, (COUNT, 1)).astype(np.float32)
CHANCE = np.round(RNG.random((COUNT, 1)), 2).astype(np.float32)
MAPS = RNG.integers(0, 3, (COUNT, 2, 2))
SAID = RNG.integers(0, 4, (COUNT, 2, 2))  # class 3 does not exist

CASES: list[tuple[str, dict[str, Any], Array, Array]] = [
    *[(name, {}, NUMBERS, OTHERS) for name in (
        "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
        "MeanSquaredLogarithmicError", "RootMeanSquaredError", "LogCoshError", "CosineSimilarity",
    )],
    ("RootMeanSquaredError", {}, YES[:, 0], CHANCE),
    ("Poisson", {}, LABELS, SCORES),
    ("KLDivergence", {}, SHARES, SCORES),
    ("Hinge", {}, LABELS, OTHERS),
    ("SquaredHinge", {}, LABELS, OTHERS),
    ("CategoricalHinge", {}, ONE_HOT, OTHERS),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, LABELS, OTHERS),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT, SHARES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES, OTHERS),
    ("Accuracy", {}, LABELS, np.round(SCORES)),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT, np.round(SCORES, 1)),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, CLASSES, np.round(SCORES, 1)),
    *[(name, {}, LABELS, SCORES) for name in (
        "TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives", "Precision", "Recall"
    )],
    ("TruePositives", {"thresholds": [0.7, 0.2]}, LABELS, SCORES),
    ("Precision", {"thresholds": [0.0, 0.5, 1.0]}, YES, np.clip(CHANCE, 0.01, 1)),
    ("Precision", {"top_k": 2}, LABELS, SCORES),
    ("Recall", {"top_k": 1, "class_id": 1}, LABELS, SCORES),
    ("Recall", {"class_id": 2, "thresholds": 0.3}, LABELS, SCORES),
    ("AUC", {}, YES, CHANCE),
    ("AUC", {}, LABELS, SCORES),
    ("AUC", {"curve": "PR"}, YES, CHANCE),
    ("AUC", {"curve": "PR", "summation_method": "majoring", "num_thresholds": 7}, YES, CHANCE),
    ("AUC", {"curve": "PRGAIN"}, YES, CHANCE),
    ("AUC", {"summation_method": "minoring", "thresholds": [0.9, 0.3]}, YES, CHANCE),
    ("AUC", {"multi_label": True}, LABELS, SCORES),
    ("AUC", {"multi_label": True, "label_weights": [1, 2, 3], "curve": "PR"}, LABELS, SCORES),
    ("AUC", {"from_logits": True}, LABELS, OTHERS),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, YES, CHANCE),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5, "num_thresholds": 1}, YES, CHANCE),
    ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 5}, YES, CHANCE),
    ("RecallAtPrecision", {"precision": 0.5}, YES, CHANCE),
    ("F1Score", {}, ONE_HOT, SCORES),
    ("F1Score", {"average": "macro", "threshold": 0.5}, LABELS, SCORES),
    ("FBetaScore", {"average": "micro", "beta": 2.0}, ONE_HOT, SCORES),
    ("FBetaScore", {"average": "weighted", "beta": 0.5}, ONE_HOT, SCORES),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, MAPS, SAID),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, MAPS, SAID),
    ("MeanIoU", {"num_classes": 3, "sparse_y_pred": False}, CLASSES, SCORES),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, LABELS, SCORES),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [1]}, ONE_HOT, SCORES),
    ("OneHotMeanIoU", {"num_classes": 3}, ONE_HOT, SCORES),
]  # fmt: skip
IDS = [f"{name}-{'-'.join(map(str, options.values()))}" for name, options, _, _ in CASES]
PARTS = (slice(0, 5), slice(5, COUNT))


@pytest.mark.keras
@pytest.mark.parametrize(("name", "options", "y_true", "y_pred"), CASES, ids=IDS)
def test_metrics_over_weighted_batches_are_keras_s(
    name: str, options: dict[str, Any], y_true: Array, y_pred: Array
) -> None:
    keras = pytest.importorskip("keras")
    ours, theirs = getattr(metrics, name)(**options), getattr(keras.metrics, name)(**options)
    whole = "IoU" in name  # there, Keras truncates weights to integers
    weights = np.arange(COUNT) % 3 if whole else np.linspace(0, 2, COUNT).astype(np.float32)
    if y_pred.ndim == 3 or name == "BinaryIoU":  # Keras needs a weight for each pixel
        weights = np.broadcast_to(weights.reshape(-1, *[1] * (y_pred.ndim - 1)), y_pred.shape)
    for part in PARTS:
        for w in (None, weights[part]):
            ours.update_state(y_true[part], y_pred[part], w)
            theirs.update_state(y_true[part], y_pred[part], w)
            np.testing.assert_allclose(ours.result(), theirs.result(), rtol=1e-4, atol=1e-6)
    again = metrics.deserialize(metrics.serialize(ours))
    assert again.get_config() == ours.get_config()
    from_keras = metrics.get(keras.metrics.serialize(theirs))
    assert type(from_keras) is type(ours)
    np.testing.assert_array_equal(from_keras(y_true, y_pred), again(y_true, y_pred))
    back = keras.metrics.deserialize(metrics.serialize(ours))
    np.testing.assert_allclose(back(y_true, y_pred), again.result(), rtol=1e-4, atol=1e-6)
    ours.reset_state()
    np.testing.assert_array_equal(np.array(ours(y_true, y_pred)), again.result())


@pytest.mark.keras
def test_names_and_directions_are_keras_s() -> None:
    keras = pytest.importorskip("keras")
    for name in sorted({case[0] for case in CASES}):
        options = next(o for n, o, _, _ in CASES if n == name)
        theirs = getattr(keras.metrics, name)(**options)
        ours = getattr(metrics, name)(**options)
        assert theirs.name.startswith(ours.name)  # Keras numbers them: precision_1
        direction = {"up": True, "down": False}.get(getattr(theirs, "_direction", None))
        assert ours.rises is direction, name


def test_by_hand() -> None:
    t, y = np.array([[1], [0], [1], [1]]), np.array([[0.9], [0.8], [0.4], [0.7]])
    assert metrics.Precision()(t, y) == pytest.approx(2 / 3)
    assert metrics.Recall()(t, y) == pytest.approx(2 / 3)
    assert metrics.AUC(num_thresholds=1000)(t, y) == pytest.approx(1 / 3, abs=1e-3)
    assert metrics.MeanSquaredError()([[1, 2]], np.array([[2.0, 5.0]])) == 5
    assert metrics.RootMeanSquaredError()([[0, 0]], np.array([[3.0, 4.0]])) == pytest.approx(
        12.5**0.5
    )
    assert metrics.BinaryIoU([1])([1, 1, 0], np.array([0.9, 0.1, 0.8])) == pytest.approx(1 / 3)
    total = metrics.Sum()
    total.update_state([1, 2], [3, 1])
    total.update_state(4)
    assert total.result() == 9


def network(library: Any, **options: Any) -> Any:
    model = library.Sequential([library.Input((3,)), library.layers.Dense(3, "sigmoid")])
    model.compile(library.optimizers.SGD(0.1), "mse", **options)
    return model


def off_by(y_true: Array, y_pred: Array) -> Any:
    return abs(y_true - y_pred).max(axis=-1)


@pytest.mark.keras
def test_fit_logs_what_keras_logs(tmp_path: Any) -> None:
    """Metrics may be names, functions, namesakes or weighted; each opens the other's files."""
    keras = pytest.importorskip("keras")

    def made(library: Any) -> Any:
        kinds = library.metrics
        return network(
            library,
            metrics=["mae", "MSE", "accuracy", kinds.AUC(name="auc"), kinds.mean_absolute_error,
                     kinds.F1Score("macro"), kinds.MeanIoU(3, "iou", sparse_y_true=False,
                                                           sparse_y_pred=False)],
            weighted_metrics=["mae", kinds.Precision(name="p")],
            run_eagerly=True,  # tracing a graph takes Keras longer than these steps
        )  # fmt: skip

    ours, theirs = made(minicnn), made(keras)
    theirs.set_weights(ours.get_weights())
    weights = np.linspace(0, 2, COUNT)
    logs = [
        m.fit(NUMBERS, LABELS, 5, epochs=2, sample_weight=weights, shuffle=False, verbose=0).history
        for m in (ours, theirs)
    ]
    assert logs[0].keys() == logs[1].keys()
    assert "weighted_mae" in logs[0]
    for name, values in logs[0].items():
        np.testing.assert_allclose(values, logs[1][name], rtol=1e-4, err_msg=name)
    expected = theirs.evaluate(NUMBERS, LABELS, sample_weight=weights, verbose=0, return_dict=True)
    ours.save(tmp_path / "ours.keras")
    ours.save(tmp_path / "ours.h5")
    theirs.save(tmp_path / "theirs.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        opened = [
            keras.models.load_model(tmp_path / "ours.keras"),
            models.load_model(tmp_path / "theirs.keras"),
            models.load_model(tmp_path / "ours.keras"),
            models.load_model(tmp_path / "ours.h5"),
        ]
    for model in opened:
        found = model.evaluate(NUMBERS, LABELS, sample_weight=weights, verbose=0, return_dict=True)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, err_msg=name)


def test_functions_of_your_own_and_losses_may_be_metrics() -> None:
    model = network(
        minicnn, metrics=[off_by, losses.Huber(0.5), losses.log_cosh, metrics.F1Score()]
    )
    history = model.fit(NUMBERS, LABELS, validation_split=0.25, epochs=2, verbose=0).history
    names = ["f1_score", "huber_loss", "log_cosh", "loss", "off_by"]
    assert sorted(name for name in history if "val" not in name) == names
    assert model.metrics_names[1:] == ["off_by", "huber_loss", "log_cosh", "f1_score"]
    y = model.predict(NUMBERS, verbose=0)
    found = model.evaluate(NUMBERS, LABELS, verbose=0, return_dict=True)
    assert found["off_by"] == pytest.approx(off_by(LABELS, y).mean())
    assert found["huber_loss"] == pytest.approx(float(losses.Huber(0.5)(LABELS, y)), rel=1e-5)
    assert found["f1_score"].shape == (3,)
    assert [m.name for m in model.metrics[1:]] == model.metrics_names[1:]


def test_a_bar_shows_a_metric_that_is_an_array(capsys: Any) -> None:
    model = network(minicnn, metrics=[metrics.F1Score()])
    model.fit(NUMBERS, LABELS, epochs=1, verbose=1)
    model.fit(NUMBERS, LABELS, epochs=1, verbose=2)
    assert "f1_score" in capsys.readouterr().out


def test_a_callback_knows_whether_more_is_better() -> None:
    model = network(minicnn, metrics=["auc", "mae"])
    stop = callbacks.EarlyStopping("val_auc", patience=0)
    model.fit(NUMBERS, LABELS, validation_split=0.25, epochs=2, verbose=0, callbacks=[stop])
    assert stop._rises
    stop = callbacks.EarlyStopping("val_mae", patience=0)
    model.fit(NUMBERS, LABELS, validation_split=0.25, epochs=2, verbose=0, callbacks=[stop])
    assert not stop._rises


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: metrics.Precision(thresholds=[2]), r"thresholds in \[0, 1\]. Received \[2\]"),
        (lambda: metrics.Precision(class_id=5)(LABELS, SCORES), "class_id=5 expects predictions"),
        (lambda: metrics.Precision(class_id=-1), "class_id to be a class number"),
        (lambda: metrics.Recall(top_k=0), "top_k"),
        (lambda: metrics.Recall()(LABELS, SCORES[:, :2]), r"targets of shape \(12, 2\)"),
        (lambda: metrics.Recall()(LABELS, SCORES, np.ones(5)), "sample_weight to have the shape"),
        (lambda: metrics.AUC(curve="X"), 'curve to be "ROC", "PR"'),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds to be an integer > 1"),
        (lambda: metrics.AUC(summation_method="sum"), "summation_method"),
        (lambda: metrics.AUC(num_labels=3), "num_labels with multi_label"),
        (lambda: metrics.AUC(label_weights=[1])(LABELS, SCORES), "label_weights for 3 labels"),
        (lambda: metrics.AUC(multi_label=True, num_labels=2)(LABELS, SCORES), r"\(batch, 2\)"),
        (lambda: metrics.PrecisionAtRecall(1.5), r"recall in \[0, 1\]"),
        (lambda: metrics.F1Score(average="mean"), 'average to be "micro"'),
        (lambda: metrics.F1Score(threshold=2), r"threshold in \(0, 1\]"),
        (lambda: metrics.FBetaScore(beta=0), "beta to be a number > 0"),
        (lambda: metrics.F1Score()(CLASSES, SCORES), r"one shape \(batch, classes\)"),
        (lambda: metrics.F1Score()(ONE_HOT, SCORES, [1]), "one sample weight per example"),
        (lambda: metrics.IoU(3, [3]), "target_class_ids from 0 to 2"),
        (lambda: metrics.MeanIoU(0), "num_classes"),
        (lambda: metrics.MeanIoU(3)(MAPS, SAID[:2]), "as many targets as predictions, 8"),
        (lambda: metrics.MeanIoU(3)(MAPS, SAID, np.ones(5)), "sample_weight to have the shape"),
        (lambda: metrics.BinaryIoU(threshold="x"), "threshold to be a number"),
        (lambda: metrics.TopKCategoricalAccuracy(0), "k"),
        (lambda: metrics.MeanMetricWrapper("mse"), "expects a function"),
        (lambda: metrics.get("mean_io_u"), r"needs arguments: pass an object, MeanIoU\(…\)"),
        (lambda: metrics.get("mean"), None),
    ],
)
def test_what_does_not_fit_is_refused(use: Any, message: str | None) -> None:
    if message is None:
        assert isinstance(use(), metrics.Mean)
        return
    with pytest.raises(ValueError, match=message):
        use()


def test_the_error_of_a_failing_function_names_it() -> None:
    def broken(y_true: Array, y_pred: Array) -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match=r'The metric "broken", a function of .*: no'):
        network(minicnn, metrics=[broken]).evaluate(NUMBERS, LABELS, verbose=0)


def test_a_model_s_layers_and_metrics_are_kept_apart() -> None:
    model = Sequential([Input((2,)), layers.Dense(1)])
    assert model.metrics == []
