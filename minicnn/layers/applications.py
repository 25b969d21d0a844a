"""Layers that Keras has only for its own networks, ConvNeXt and InceptionResNetV2.

Files name them; they are not among Keras's public layers, nor among those here.
"""

from typing import Any

from minicnn import initializers, shapes
from minicnn.layers.base import Array, Cache, Grads, Kept, Layer, Shape
from minicnn.layers.merging import Merge
from minicnn.layers.noise import Dropout


class LayerScale(Layer):
    """y = x * gamma, where gamma has a number for each channel, at first close to 0.

    Weight: `gamma` (projection_dim,), whose initial value is `init_values` (Touvron et al. 2021).
    """

    keras_module = "keras.src.applications.convnext"

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values = shapes.number(init_values, "init_values", self.label)
        self.projection_dim = shapes.positive_int(projection_dim, "projection_dim", self.label)

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)
        start = initializers.Constant(self.init_values)
        self.gamma = self.add_weight((self.projection_dim,), start, name="gamma")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if input_shape[-1] != self.projection_dim:
            raise ValueError(
                f"{self.label} expects {self.projection_dim} channels. Received {input_shape}."
            )
        return input_shape

    def parameter_formula(self) -> str:
        return str(self.projection_dim)

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        self.compute_output_shape(x.shape)
        return x * self.gamma.value, {"x": x}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dx = dz * self.gamma.value if need_dx else None
        others = tuple(range(dz.ndim - 1))
        return dx, {"gamma": (dz * cache["x"]).sum(others)} if self.trainable else {}


class StochasticDepth(Dropout):
    """During training, sets whole examples to 0, a random share `drop_path_rate` of them.

    The others are divided by 1 - drop_path_rate. At the end of a residual block, this leaves the
    block out for some examples (Huang 2016). No weights.
    """

    keras_module = "keras.src.applications.convnext"

    def __init__(self, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(drop_path_rate, **kwargs)

    @property
    def drop_path_rate(self) -> float:
        return self.rate

    @classmethod
    def argument_names(cls) -> list[str]:
        return ["drop_path_rate"]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]
        return config

    def mask_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        return x_shape[0], *(1 for _ in x_shape[1:])


class CustomScaleLayer(Merge):
    """y = x0 + scale * x1: a shortcut, and a branch that counts less. No weights."""

    keras_module = "keras.src.applications.inception_resnet_v2"
    operation = "add"

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = shapes.number(scale, "scale", self.label)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2:
            raise ValueError(f"{self.label} expects 2 inputs. Received {len(input_shape)}.")

    def compute(self, x: list[Array], training: bool) -> tuple[Array, Kept]:
        first, second = x
        return super().compute([first, second * second.dtype.type(self.scale)], training)

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        dxs, _ = super().compute_gradients(dz, cache, need_dx)
        first, second = dxs
        return [first, second * second.dtype.type(self.scale) if need_dx else None], {}


APPLICATIONS: dict[str, type[Layer]] = {
    cls.__name__: cls for cls in (CustomScaleLayer, LayerScale, StochasticDepth)
}
"""By class name; a model file may name these, too."""
