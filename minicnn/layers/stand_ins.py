"""Keras layers that do nothing when a model predicts: noise, and random changes of images.

minicnn cannot train through them. A file with such a layer can still be opened for prediction: a
stand-in of the same name keeps its settings, and writes them back when the model is saved.
"""

from typing import Any

from minicnn.layers.base import Array, Cache, Grads, Kept, Layer

_NOISE = {"SpatialDropout3D": "rate"}
"""For each layer, the setting that switches it off when it is 0."""

_IMAGE_CHANGES = "AugMix RandomElasticTransform RandomHeight RandomPerspective RandomWidth"

# Settings that Keras 2 wrote into the configs of such layers and Keras 3 does not take.
_OF_KERAS_2 = ("batch_input_shape", "rng_type")
_OF_SPATIAL_DROPOUT = {"rate", "seed", "name", "dtype", "data_format"}


class StandIn(Layer):
    """y = x. Only files make it (see the module's docstring). Training raises a `ValueError`."""

    instead = "Rebuild the model without it, and copy the weights"

    def __init__(self, settings: dict[str, Any]) -> None:
        shape = settings.get("batch_input_shape")
        super().__init__(
            name=settings.get("name"),
            trainable=settings.get("trainable", True),
            dtype=settings.get("dtype"),
            input_shape=None if shape is None else shape[1:],
        )
        spatial = type(self).__name__ == "SpatialDropout3D"
        self.settings = {
            key: value
            for key, value in settings.items()
            if key not in _OF_KERAS_2 and (not spatial or key in _OF_SPATIAL_DROPOUT)
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "StandIn":
        return cls(config)

    def get_config(self) -> dict[str, Any]:
        own = {"name": self.name, "trainable": self.trainable}
        return {**self.settings, **{key: own[key] for key in own if key in self.settings}}

    @property
    def switched_off(self) -> bool:
        """Return whether the layer does nothing in training, either."""
        switch = _NOISE.get(type(self).__name__)
        return switch is not None and self.settings.get(switch) == 0

    def differs_in_training(self) -> bool:
        return not self.switched_off

    def lacking(self, learning: bool = False, penalties: bool = False) -> list[tuple[str, str]]:
        nothing = self.switched_off or penalties or learning  # training raises an error by itself
        return [] if nothing else [("the training behaviour (fit raises an error)", self.label)]

    def compute(self, x: Array, training: bool) -> tuple[Array, Kept]:
        if training and not self.switched_off:
            raise ValueError(
                f"{self.label} only predicts here: minicnn has no {type(self).__name__} to train "
                f"with. {self.instead}; or call the model that holds it with training=False."
            )
        return x, {}

    def compute_gradients(self, dz: Array, cache: Cache, need_dx: bool) -> tuple[Any, Grads]:
        return dz, {}


class _ImageChange(StandIn):
    instead = (
        "Rebuild the model without it, copy the weights, and let RandomFlip, RandomRotation and "
        "their like of minicnn.layers change the images"
    )


# These are real classes, so that summaries, files and messages name them as Keras does.
STAND_INS: dict[str, type[StandIn]] = {
    **{name: type(name, (StandIn,), {"__module__": __name__}) for name in _NOISE},
    **{
        name: type(name, (_ImageChange,), {"__module__": __name__})
        for name in _IMAGE_CHANGES.split()
    },
}
globals().update(STAND_INS)  # where `pickle` looks for them
