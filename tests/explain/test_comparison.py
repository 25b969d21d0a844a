"""Two networks layer by layer: literal answers, matching, and what is printed."""

import numpy as np
import pytest

from minicnn import Input, Model, Sequential, explain, layers
from minicnn.explain.matching import Place, matched


def network(weights, name, middle=(), names=("double", "last")):
    model = Sequential(
        [
            Input((2,)),
            layers.Dense(2, use_bias=False, name=names[0]),
            *middle,
            layers.Dense(1, name=names[1]),
        ],
        name=name,
    )
    model.set_weights([np.array(w, float) for w in weights])
    return model


KERNELS = [[[1, 0], [0, 1]], [[1], [1]], [0]]


def test_by_hand():
    after = [[[1, 0], [0, 1]], [[3], [1]], [4]]
    found = explain.compare_networks(network(KERNELS, "a"), network(after, "b"), [[3.0, 4.0]])
    assert [layer.name for layer in found.layers] == ["double", "last"]
    assert (found.layers[0].outputs, found.layers[0].weights) == (0, 0)
    last = found.layers[1]
    assert last.outputs == pytest.approx(10 / (7 + 17))  # 3 + 4, and 9 + 4 + 4
    assert last.weights == pytest.approx(np.sqrt(4 + 16) / (np.sqrt(2) + np.sqrt(26)))
    assert found.alone == ([], [])
    assert str(found) == (
        "a (a) and b (b): ‖b − a‖ / (‖a‖ + ‖b‖)\n\n"
        "    layer   kind   output  outputs apart  weights apart\n"
        "    double  Dense  2                0.0%           0.0%\n"
        "    last    Dense  1               41.7%          68.7%"
    )
    assert "<td" in found._repr_html_()


def test_networks_that_are_alike_but_for_names_match_by_place():
    twin = network(KERNELS, "twin", names=("dense", "dense_1"))
    found = explain.compare_networks(network(KERNELS, "a"), twin, np.ones((3, 2)))
    assert [layer.outputs for layer in found.layers] == [0, 0]
    assert found.notes() == []


def test_layers_without_a_match_stand_alone():
    deeper = [*KERNELS[:1], np.ones((2, 3)), [0, 0, 0], np.ones((3, 1)), [0]]
    middle = [layers.ReLU(name="relu"), layers.Dense(3, name="wide")]
    found = explain.compare_networks(
        network(KERNELS, "a"), network(deeper, "b", middle), np.ones((1, 2))
    )
    assert [layer.name for layer in found.layers] == ["double", "last"]
    assert found.layers[1].weights == 0  # of the biases alone: the kernels differ in shape
    assert found.alone == ([], ["relu", "wide"])
    assert str(found).endswith("    Only b has relu, wide.")
    assert found.layers[1].outputs == pytest.approx(4 / 8)  # 1 + 1, and 3·(1 + 1)


def test_the_last_layers_of_two_classifiers_match_whatever_their_names_are():
    one = Sequential([Input((2,)), layers.Dense(2, name="scores")])
    other = Sequential(
        [Input((2,)), layers.Dense(5, name="more"), layers.Dense(2, name="other")], name="b"
    )
    one.set_weights([np.eye(2), [0, 0]])
    other.set_weights([np.ones((2, 5)), np.zeros(5), np.ones((5, 2)), [0, 0]])
    found = explain.compare_networks(one, other, [[1.0, 3.0]])
    assert [layer.name for layer in found.layers] == ["scores"]
    apart = np.hypot(19, 17) / (np.hypot(1, 3) + np.hypot(20, 20))  # (1, 3) and (20, 20)
    assert found.layers[0].outputs == pytest.approx(apart)
    assert found.alone == ([], ["more"])
    other = Sequential([*other.layers[:-1], layers.Dense(2, activation="softmax", name="sure")])
    assert explain.compare_networks(one, other, [[1.0, 3.0]]).layers == []  # no scores


def test_zeros_and_a_batch_that_does_not_fit():
    zeros = [np.zeros_like(w, float) for w in KERNELS]
    found = explain.compare_networks(network(zeros, "a"), network(zeros, "b"), np.ones((1, 2)))
    assert [layer.outputs for layer in found.layers] == [0, 0]
    found = explain.compare_networks(network(zeros, "a"), network(KERNELS, "b"), np.ones((1, 2)))
    assert [layer.outputs for layer in found.layers] == [1, 1]
    with pytest.raises(ValueError, match="expects"):
        explain.compare_networks(network(KERNELS, "a"), network(KERNELS, "b"), np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"expects a batch of one or more\. Received 0 examples"):
        explain.compare_networks(network(KERNELS, "a"), network(KERNELS, "b"), np.ones((0, 2)))
    with pytest.raises(TypeError, match=r"expects two models\. Received str"):
        explain.compare_networks(network(KERNELS, "a"), "b", np.ones((1, 2)))


class Two(layers.Layer):
    """Two layers in one, whose weights have the same names."""

    def __init__(self, **options):
        super().__init__(**options)
        self.parts = [layers.Dense(2), layers.Dense(2)]

    def call(self, x):
        return self.parts[1](self.parts[0](x))


def test_weights_of_one_name_in_a_layer_of_layers():
    one, other = (Sequential([Input((2,)), Two(name="two")]) for _ in range(2))
    other.set_weights(one.get_weights())
    assert explain.compare_networks(one, other, np.ones((1, 2))).layers[-1].weights == 0
    kernel, *rest = one.get_weights()
    other.set_weights([-kernel, *rest])
    weights = np.sqrt(sum(np.sum(w**2) for w in one.get_weights()))
    found = explain.compare_networks(one, other, np.ones((1, 2))).layers[-1].weights
    assert found == pytest.approx(np.linalg.norm(kernel) / weights)  # 2‖kernel‖ / 2‖all‖


def test_branches_in_another_order_match_by_name():
    def network(names):
        x = Input((2,))
        parts = {name: layers.Dense(2, name=name)(x) for name in names}
        return Model(x, layers.Add(name="sum")([parts["left"], parts["right"]]))

    one, other = network(["left", "right"]), network(["right", "left"])
    for name in ("left", "right"):
        other.get_layer(name).set_weights(one.get_layer(name).get_weights())
    found = explain.compare_networks(one, other, np.ones((1, 2)))
    assert {layer.name: layer.outputs for layer in found.layers} == {
        "left": 0, "right": 0, "sum": 0
    }  # fmt: skip


def test_automatic_names_match_wherever_they_begin_to_count():
    def network(units):
        return Sequential([Input((2,)), layers.Dense(3), layers.ReLU(), layers.Dense(units)])

    one, other = network(2), network(4)
    other.layers[0].set_weights(one.layers[0].get_weights())
    found = explain.compare_networks(one, other, np.ones((1, 2)))
    names = [layer.name for layer in one.layers]
    assert [(layer.name, layer.outputs) for layer in found.layers] == [(n, 0) for n in names[:2]]
    assert found.alone == (names[2:], [other.layers[2].name])


def test_exact_names_match_though_some_of_them_are_missing():
    def place(name, units=2):
        return Place(name, "Dense", (units,))

    first = [place("base/dense"), place("base/dense_1"), place("base/dense_1"), place("head", 3)]
    assert matched(first, first[1:]) == [(1, 0), (2, 1), (3, 2)]
    later = [place("sequential_3/dense_7"), place("sequential_3/dense_8:2"), place("new", 4)]
    assert matched([place("sequential/dense"), place("sequential/dense_1:2")], later) == [
        (0, 0), (1, 1)
    ]  # fmt: skip


def test_a_last_layer_has_one_counterpart_though_another_layer_has_its_name():
    first = [Place(name, "Dense", (1, 2)) for name in ("stem", "head", "new")]
    second = [Place(name, "Dense", (1, 2)) for name in ("old", "head")]
    assert matched(first, second) == [(1, 1)]
    assert matched(first, second, same_ends=True) == [(2, 1)]


def classifier(names, units=3, last="softmax", seed=0):
    """Return a network whose last layers keep one number for each class, and its pooled Conv2D."""
    model = Sequential(
        [
            Input((4, 4, 2)),
            layers.Conv2D(units, 1, name="scores"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Rescaling(0.8, name="calibrated"),
            layers.Activation(last, name="sure"),
        ],
        name="".join(names),
    )
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    model.metadata["class_names"] = names
    return model


def test_classes_in_another_order_are_compared_by_name():
    x = np.random.default_rng(1).normal(size=(3, 4, 4, 2))
    one, other = classifier(["a", "b", "c"]), classifier(["c", "a", "b"])
    kernel, bias = one.get_weights()
    other.set_weights([kernel[..., [2, 0, 1]], bias[[2, 0, 1]]])
    found = explain.compare_networks(one, other, x)
    assert [(layer.outputs, layer.weights or 0) for layer in found.layers] == [(0, 0)] * 4
    said = "The classes of cab are c, a, b, in this order: its last layers are compared "
    assert found.notes() == [f"{said}class by class."]
    assert np.array_equal(other.get_weights()[1], bias[[2, 0, 1]])  # the user's own is as it was
    other.metadata["class_names"] = ["x", "y", "z"]
    found = explain.compare_networks(one, other, x)
    assert found.layers[0].weights > 0.1
    assert found.notes()[0].endswith(
        "are x, y, z, in this order: its last layers are compared "
        "number by number, not class by class."
    )
    del other.metadata["class_names"]
    assert explain.compare_networks(one, other, x).notes() == []


def test_of_two_classes_in_another_order_the_single_unit_means_the_other_one():
    x = np.random.default_rng(1).normal(size=(3, 4, 4, 2))
    one, other = (classifier(names, 1, "sigmoid") for names in (["a", "b"], ["b", "a"]))
    found = explain.compare_networks(one, other, x)
    assert [layer.weights for layer in found.layers] == [1, None, None, None]  # opposite
    other.set_weights([-w for w in one.get_weights()])
    assert np.allclose(other.predict(x, verbose=0), 1 - one.predict(x, verbose=0))
    found = explain.compare_networks(one, other, x)
    assert [layer.outputs for layer in found.layers] == [0, 0, 0, 0]


def test_classes_keep_their_order_where_their_scores_are_used_otherwise():
    def network(names):
        x = Input((3,))
        scores = layers.Dense(3, name="scores")
        model = Model(x, layers.Softmax(name="sure")(scores(scores(x))))
        model.set_weights([[[1, 0, 0], [0, 2, 0], [0, 0, 3]], [0, 0.1, 0.2]])
        model.metadata["class_names"] = names
        return model

    found = explain.compare_networks(network(["a", "b", "c"]), network(["b", "a", "c"]), np.eye(3))
    assert {layer.outputs for layer in found.layers} == {0}
    assert found.notes()[0].endswith("number by number, not class by class.")


def test_classes_without_a_last_kernel_keep_their_order_though_all_scores_are_equal():
    def network(names):
        model = Sequential(
            [
                *(Input((2,)), layers.Dense(2, kernel_initializer="zeros")),
                *(layers.BatchNormalization(), layers.Softmax()),
            ]
        )
        model.metadata["class_names"] = names
        return model

    found = explain.compare_networks(network(["a", "b"]), network(["b", "a"]), np.eye(2))
    assert found.notes()[0].endswith("number by number, not class by class.")
