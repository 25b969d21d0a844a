"""A name that only Keras has ends in a sentence that names the alternative."""

import pickle

import pytest

import minicnn
from minicnn import missing


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("layers.RandomFlip", r"^minicnn\.layers has no RandomFlip\. Use ImageDataGenerator\(hor"),
        ("layers.Conv2d", r"has no Conv2d\. Did you mean Conv2D\? It has Activation, Add"),
        ("layers.LSTM", r"has no LSTM\. It has Activation.* For more there is Keras itself\.$"),
        ("optimizers.AdamW", r"minicnn\.optimizers has no AdamW\. Use Adam\(weight_decay=0\.004"),
        ("optimizers.Adagrad", r"It has Adam, Optimizer, RMSprop, SGD, get"),
        ("losses.Huber", r"It has BinaryCrossentropy, CategoricalCrossentropy"),
        ("callbacks.ReduceLROnPlateau", r"Use LambdaCallback\(on_epoch_end"),
        ("utils.Sequence", r"any class with __len__ and __getitem__"),
        ("applications.VGG16", r"Xception or MobileNet"),
        ("preprocessing.image.random_zoom", r"zoom_range"),
        ("models.clone_model", r"get_config"),
        ("ops", r"^minicnn has no ops\. Use NumPy"),
        ("metrics.AUC", "BinaryAccuracy"),
        ("initializers.Orthogonal", "GlorotUniform"),
        ("activations.gelu", "sigmoid"),
        ("preprocessing.text", "image"),
    ],
)
def test_it_says_what_to_use(path: str, message: str) -> None:
    *modules, name = path.split(".")
    found = minicnn
    for module in modules:
        found = getattr(found, module)
    with pytest.raises(AttributeError, match=message):
        getattr(found, name)
    assert not hasattr(found, name)


def test_the_table_names_nothing_that_is_there() -> None:
    for module, instead in [*missing.INSTEAD.items(), (minicnn, missing.TOP)]:
        assert not {name for name in instead if name in vars(module)}


def test_python_s_own_questions_are_not_answered_with_advice() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute .__wrapped"):
        _ = minicnn.layers.__wrapped__  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(minicnn.layers.Dense)) is minicnn.layers.Dense


def test_what_is_in_the_table_is_keras_s() -> None:
    keras = pytest.importorskip("tensorflow").keras
    for module, instead in missing.INSTEAD.items():
        theirs = keras
        for part in module.__name__.split(".")[1:]:
            theirs = getattr(theirs, part)
        assert not {name for name in instead if not hasattr(theirs, name)}, module.__name__
