"""`Model`: a network that is made from symbols, trains, and is saved to files."""

import json
import os
from collections.abc import Callable
from typing import Any

from minicnn import saving
from minicnn._support.objects import custom_object_scope
from minicnn._support.settings import snake_case
from minicnn.graph import Graph, Network
from minicnn.graph.layer import SINGLE, Ends
from minicnn.graph.program import Program
from minicnn.graph.rewriting import cut
from minicnn.layers import KerasTensor, called
from minicnn.layers.base import unique_name
from minicnn.models import config as configuration
from minicnn.models import subclassed
from minicnn.models import summary as summaries
from minicnn.training import Trainer


@configuration.network("Functional", "Model")
class Model(Trainer):
    """A graph of layers from `inputs` to `outputs`: symbols made by `Input` and by layer calls.

        inputs = Input((64, 64, 3))
        x = Conv2D(32, 3, activation="relu")(inputs)
        outputs = Dense(10)(GlobalAveragePooling2D()(x))
        model = Model(inputs, outputs)

    Several inputs, or outputs, are in a list, a tuple or a dict; arrays are passed and returned in
    the same. A dict's items have the order of its sorted keys, as in Keras.

    An input may also be a layer's output: `Model(layer.output, model.output)` has the same layers
    after it, on a new `Input`.

    `trainable=False` freezes the model and each layer in it. (Keras's constructor freezes only the
    model itself; its layers learn within a larger one.)

    Raises `ValueError` if an output depends on an `Input` that is not among `inputs`, or if two
    layers share a name.
    """

    keras_class_name = "Functional"
    keras_module = "keras.src.models.functional"
    untracked: tuple[str, ...] = ("_body", "metadata")
    _body: Any = None  # of a class that defines `call`
    metadata: dict[str, Any]  # saved in the model's file: anything that JSON can hold

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        if self.defines_call != (inputs is None and outputs is None):
            raise ValueError(
                f"{type(self).__name__} expects inputs and outputs, or else a class that defines "
                f"call. Received inputs={inputs!r}, outputs={outputs!r}."
            )
        if self.defines_call:
            own = unique_name(snake_case(type(self).__name__))
            self._start(None, SINGLE, name or own, trainable, dtype)
            return
        name = name or unique_name("functional")
        self._start(None, Ends.of(inputs, outputs), name, trainable, dtype)
        starts, ends = _symbols(inputs, "inputs"), _symbols(outputs, "outputs")
        wrong = [key for key, s in zip(self.ends.input_keys, starts) if key != s.name]
        if wrong:
            raise ValueError(
                f"{self.label} expects a dict of inputs to have their names as keys: "
                f"Input(…, name={wrong[0]!r}). Received {inputs!r}."
            )
        if any(symbol.node.inputs for symbol in starts):
            starts, ends = cut(starts, ends, lambda: unique_name("input_layer"))
        self._set_graph(Graph(starts, ends, self.label))
        self._freeze_unless(trainable)

    @classmethod
    def _adopt_call(cls) -> None:
        """Give a class that defines `call` the methods that follow from it."""
        called.adopt(cls, subclassed.Subclassed)

    def _start(
        self,
        graph: Graph | None,
        ends: Ends,
        name: str,
        trainable: bool = True,
        dtype: Any = None,
        stands_for: Network | None = None,
    ) -> None:
        """Initialize a model of any class; everything that makes a model calls this."""
        self.metadata = {}
        Network.__init__(
            self, graph, ends, name=name, trainable=trainable, dtype=dtype, stands_for=stands_for
        )

    def _made_of(self, graph: Graph) -> Network:
        made = object.__new__(Model)
        made._start(graph, self.ends, self.name, stands_for=self)
        return made

    def _freeze_unless(self, trainable: bool) -> None:
        """Also freeze every layer if the constructor was called with `trainable=False`."""
        if not trainable:
            for layer in self.layers:
                layer.trainable = False

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbols that the model starts from."""
        return list(self.require_graph("inputs", AttributeError).inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbols that the model computes."""
        return list(self.require_graph("outputs", AttributeError).outputs)

    @property
    def input(self) -> Any:
        """The symbol that the model starts from (a list if there are several)."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def output(self) -> Any:
        """The symbol that the model computes (several in a list, tuple or dict, as given)."""
        return self.as_given(self.outputs if len(self.outputs) > 1 else self.outputs[0])

    # -- files -------------------------------------------------------------------------------------

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write all weights to a `.weights.h5` file that Keras 3 reads.

        A path that ends in `.h5` alone gets Keras 2's format, which Keras 3 reads, too; it holds no
        optimizer state.
        """
        self.require_graph("weights")
        saving.write_weights(self, filepath, overwrite)

    def load_weights(
        self,
        filepath: str | os.PathLike[str],
        skip_mismatch: bool = False,
        by_name: bool = False,
    ) -> None:
        """Read all weights from a file of Keras's or ours: `.weights.h5`, `.keras` or old `.h5`.

        If anything does not fit, nothing changes.

        Args:
            skip_mismatch: layers that do not fit keep their weights, with a warning.
            by_name: layers get the weights of the layer with their name, wherever it was in the
                other model; layers whose name the file lacks keep their weights. Otherwise layers
                are matched by their order.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is damaged, or does not fit the model.
        """
        self.require_graph("weights")
        skipped = saving.read_weights(self, filepath, skip_mismatch, by_name)
        if skipped:
            import warnings

            warnings.warn(f"Layers that keep their weights: {', '.join(skipped)}.", stacklevel=2)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the whole model to a `.keras` file: architecture, weights, how it was compiled.

        A path that ends in `.h5` gets Keras's old format instead, which Keras 2 reads, too.

        `model.metadata`, a dict that JSON can hold, is saved, too (class names, image size).
        Raises `ValueError` for a folded model, whose weights belong to another model.
        """
        if self.stands_for is not None:
            raise ValueError(f"{self.label} is folded: save the model that it was made from.")
        saving.write_model(self, filepath, overwrite)

    # -- rewritten ---------------------------------------------------------------------------------

    def inference_model(self) -> "Model":
        """Return the model as `predict` runs it: layers after a convolution are folded into it.

        Those are normalization, ReLU and max pooling. The folded model gives the same numbers, up
        to rounding, in fewer steps (`minicnn.graph.fusion`). Its weights are computed from this
        model's on each access. `model.inference_model().summary()` shows it, and
        `model.print_inference_plan()` says what happened to each layer.
        """
        form = self.form(training=False)
        assert isinstance(form, Model)
        return form

    def inference_program(self, batch_size: int = 1) -> Program:
        """Return the program with which `predict` computes a batch of this size.

        `predict` makes one when a batch size occurs for the second time, and keeps it until weights
        or settings change; your program then still has the old ones, so ask for a new one. `print`
        shows its steps, and how much memory they need; see `minicnn.graph.program`. Raises
        `ValueError` for a model whose input has an unknown size other than the batch, and for a
        class of your own, which only Python can run.
        """
        return self.form(training=False).program(batch_size)

    def training_model(self) -> "Model":
        """Return the model as `fit` runs it: max pooling is folded into the convolution before it.

        Frozen models in it that are called with `training=False` are folded as for inference. It
        shares this model's weights.
        """
        form = self.form(training=True)
        assert isinstance(form, Model)
        return form

    def print_inference_plan(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print what `predict` computes: which layers became one, and why that is exact."""
        self.require_graph("layers to fold")
        for line in summaries.inference_plan(self, self.folds()):
            print_fn(line)
        for layer in self.layers:
            if isinstance(layer, Model):
                print_fn("")
                layer.print_inference_plan(print_fn)

    # -- looking inside ----------------------------------------------------------------------------

    def trace(
        self,
        x: Any,
        y: Any = None,
        loss: Any = None,
        training: bool = False,
        sample_weight: Any = None,
    ) -> Any:
        """Record a pass as a `minicnn.explain.Trace`; with targets y, also a backward pass.

            trace = model.trace(x, y=labels)
            print(trace)                                     # every layer: shapes, costs, ranges
            print(trace.explain("conv2d", at=(4, 7, 0)))     # one number, term by term
            print(trace.why("dense", at=(3,)))               # down to the pixels

        Args:
            x: a batch, as `predict` takes it.
            y: targets, as `fit` takes them: for several outputs a list, or a dict under their
                names; the loss is then the sum of theirs, each times its loss weight.
            loss: an object or a name, to be used instead of the compiled loss; for several outputs
                as `compile` takes them.
            training: compute as in training (dropout, batch statistics); the model does not change.
            sample_weight: a weight for each example's loss.

        Raises `ValueError` for inputs or targets that do not fit, and for targets without a loss.
        """
        from minicnn.explain import Trace

        return Trace(self, x, y=y, loss=loss, training=training, sample_weight=sample_weight)

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], Any] | None = None,
        *,
        expand_nested: bool = False,
        show_trainable: bool = False,
        **unknown: Any,
    ) -> None:
        """Print a table: shapes, parameters and their formula, multiply-adds, receptive field.

        Args:
            line_length: the table's width, in characters.
            print_fn: receives the text, line by line.
            expand_nested: show the layers of nested models, too; there the receptive field counts
                pixels of the nested model's input.
            show_trainable: add a column that says which layers learn (Y or N; - without weights).

        Raises `ValueError` if Keras's other arguments ask for more.
        """
        for argument, value in unknown.items():
            if value not in (None, False):
                raise ValueError(
                    f"summary does not support {argument}={value!r}. It takes line_length, "
                    "print_fn, expand_nested and show_trainable."
                )
        self.require_graph("layers to show")
        summaries.print_summary(self, line_length, print_fn, expand_nested, show_trainable)

    # -- config ------------------------------------------------------------------------------------

    def serialize(self) -> dict[str, Any]:
        """Return the model's description for config.json of a `.keras` file."""
        return configuration.serialize_layer(self)

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture, and how the model was compiled, for `model_from_json`.

        The weights go into a file of their own (`save_weights`). `kwargs` are those of
        `json.dumps`.
        """
        compiled = {"compile_config": self.get_compile_config()} if self.compiled else {}
        return json.dumps(self.serialize() | compiled, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the graph as Keras writes it: each layer with its uses (nodes) in this model."""
        described = configuration.describe_graph(self.graph, self.ends)
        return {"name": self.name, "trainable": self.trainable, **described}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "Model":
        """Return a new model, with new weights, from `get_config()`'s dict, Keras's or ours.

        `custom_objects` are your own classes and functions, by name.
        """
        with custom_object_scope(custom_objects):
            model = cls(*configuration.ends_from_config(config), name=config.get("name"))
        model._trainable = config.get("trainable") is not False  # each layer has its own setting
        return model


def _symbols(value: Any, what: str) -> list[KerasTensor]:
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    symbols = list(value) if isinstance(value, (list, tuple)) else [value]
    if not symbols or not all(isinstance(symbol, KerasTensor) for symbol in symbols):
        raise TypeError(
            f"Model expects {what} to be symbols, made by Input and by calling layers on it. "
            f"Received {value!r}."
        )
    return symbols
