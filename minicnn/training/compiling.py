"""`compile`: an optimizer, a loss, and metrics to watch."""

import warnings
from dataclasses import dataclass, field
from typing import Any

from minicnn import losses, optimizers
from minicnn import metrics as metrics_module  # `compile` has an argument of that name
from minicnn.graph import Network
from minicnn.layers import carried
from minicnn.training.outputs import Output, by_name, described, is_named, outputs_of

# Keras's methods that a user's model may define, and that training here does not call.
_STEPS = ("compute_loss", "compute_metrics", "predict_step", "test_step", "train_step")


@dataclass
class Compiled:
    """What `compile` received, and the state of training since."""

    optimizer: optimizers.Optimizer
    outputs: list[Output]
    flags: dict[str, Any]
    loss_mean: metrics_module.Mean = field(default_factory=lambda: metrics_module.Mean(name="loss"))
    told: set[str] = field(default_factory=set)  # doubts that `fit` or `evaluate` has told
    warned_of_lacking: set[bool] = field(default_factory=set)
    optimizer_is_ours: bool = False  # whether the optimizer has trained this model since then

    @property
    def has_loss(self) -> bool:
        """Return whether any output has a loss."""
        return any(output.loss is not None for output in self.outputs)


class Compiling(Network):
    """A network that can be compiled for training."""

    untracked: tuple[str, ...] = ("compiled_with",)
    compiled_with: Compiled | None = None  # Keras keeps the name `compiled` for a bool

    @property
    def compiled(self) -> bool:
        """Return whether `compile` was called."""
        return self.compiled_with is not None

    def _as_compiled(self, what: str) -> Compiled:
        if self.compiled_with is None:
            raise AttributeError(f"{self.label} has no {what} yet: call compile first.")
        return self.compiled_with

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer that the model was compiled with."""
        return self._as_compiled("optimizer").optimizer

    @optimizer.setter
    def optimizer(self, value: optimizers.Optimizer) -> None:
        compiled = self._as_compiled("optimizer")
        compiled.optimizer, compiled.optimizer_is_ours = optimizers.get(value), False

    def resume_optimizer(self) -> None:
        """Let the optimizer continue with this model's weights, which it trained before."""
        if self.compiled_with is not None:
            self.compiled_with.optimizer_is_ours = True

    @property
    def loss(self) -> losses.Loss:
        """The loss that the model was compiled with.

        Raises `AttributeError` if it has none, or several outputs, each with its own.
        """
        outputs = self._as_compiled("loss").outputs
        if len(outputs) > 1:
            raise AttributeError(
                f"{self.label} has {len(outputs)} outputs, each with its own loss."
            )
        found = outputs[0].loss
        if found is None:
            raise AttributeError(f"{self.label} was compiled without a loss.")
        return found

    def lacking_in_training(self, penalties: bool) -> str:
        """Return what the model's file asks for in training (or in the loss) and minicnn lacks."""
        return carried.described(self.lacking(learning=True, penalties=penalties))

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        **unknown: Any,
    ) -> None:
        """Set how to train: an optimizer, a loss, and metrics to watch; objects or Keras's names.

        A metric may also be a function of (y_true, y_pred). `weighted_metrics` are metrics that
        also use the weights of examples (`sample_weight`, `class_weight`).

        A model with several outputs takes one loss for all of them, a list in their order, or a
        dict under their names (`model.target_names`); None leaves an output without a loss. The
        loss is the sum of all, each multiplied by its `loss_weights`; the logs also have each loss
        by itself, without that weight, as "NAME_loss". Metrics are in such a list or dict, too, and
        are called "NAME_accuracy" in the logs.

        An optimizer serves one model: as in Keras, the first step raises a `ValueError` if it has
        trained other weights before. Layers that are unfrozen later, without another `compile`,
        learn from then on; Keras on TensorFlow does not notice them.

        `run_eagerly`, `jit_compile` and `auto_scale_loss` (for float16) are Keras's, and have no
        effect here: Python calls each layer, whose kernels are compiled. A file keeps the first
        two.

        Raises `ValueError` for an unknown name, listing those that are known, for lists and dicts
        that do not fit the outputs, and for `steps_per_execution` other than 1.
        """
        if steps_per_execution != 1:
            unknown["steps_per_execution"] = steps_per_execution
        if unknown:
            argument, value = next(iter(unknown.items()))
            raise ValueError(
                f"compile does not support {argument}={value!r}. It takes optimizer, loss, "
                "loss_weights and metrics; models here run batch by batch, and fit's "
                "sample_weight weights examples."
            )
        names = self.target_names if self.built else [""]
        if self.ends.output_keys:  # then Keras's dicts may leave outputs out
            loss, loss_weights = (
                dict.fromkeys(names) | given if is_named(given) else given
                for given in (loss, loss_weights)
            )
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(
                f"{self.label} has several outputs of the name {repeated[0]!r}; to train it, each "
                "needs its own name."
            )
        # All are looked up before one is set, so that an error leaves the model as it was.
        found_optimizer = optimizers.get(optimizer)
        outputs = outputs_of(names, loss, loss_weights, metrics, weighted_metrics)
        flags = {
            "run_eagerly": bool(run_eagerly),
            "jit_compile": jit_compile if isinstance(jit_compile, (bool, str)) else False,
        }
        vars(self)["compiled_with"] = Compiled(found_optimizer, outputs, flags)

    def get_compile_config(self) -> dict[str, Any]:
        """Return what `compile` received, as Keras writes it into a model's file."""
        compiled = self._as_compiled("compile configuration")
        return {
            "optimizer": optimizers.serialize(compiled.optimizer),
            **described(compiled.outputs),
            "steps_per_execution": 1,
            **compiled.flags,
        }

    @property
    def metrics_names(self) -> list[str]:
        """The names of the numbers that `evaluate` returns, in order."""
        if self.compiled_with is None:
            return []
        outputs = self.compiled_with.outputs
        found = list(by_name(outputs))
        if len(outputs) > 1:  # Keras sorts the metrics then
            losses_first = sum(output.loss is not None for output in outputs)
            losses_first = losses_first if losses_first > 1 else 0
            found = [*found[:losses_first], *sorted(found[losses_first:])]
        return ["loss", *found]

    @property
    def metrics(self) -> list[metrics_module.Metric]:
        """The mean of the loss, and the metrics, as objects; none before `compile`."""
        return list(self.metrics_by_name.values())

    @property
    def metrics_by_name(self) -> dict[str, metrics_module.Metric]:
        """The mean of the loss, and the metrics, under their names in the logs."""
        if self.compiled_with is None:
            return {}
        return {"loss": self.compiled_with.loss_mean, **by_name(self.compiled_with.outputs)}

    def _check_compiled(self, method: str) -> None:
        if self.compiled_with is None:
            raise ValueError(f"{self.label}: call compile(optimizer, loss) before {method}.")
        if not self.compiled_with.has_loss:
            raise ValueError(f"{self.label}: compile(…, loss=…) is needed for {method}.")
        self._check_own_steps(method)
        if method in ("fit", "train_on_batch"):
            self.optimizer.check_ready()

    def _check_own_steps(self, method: str) -> None:
        """Raise a `ValueError` if the user's class defines a step that training does not call."""
        found = [name for name in _STEPS if hasattr(type(self), name)]
        if method.startswith("predict"):
            found = [name for name in found if name == "predict_step"]
        for name in found:
            use = (
                "change what predict returns, or what call returns"
                if name == "predict_step"
                else "write the loop with train_on_batch, or a loss with its gradient "
                "(minicnn.losses.Loss shows one), or use add_loss in call"
            )
            raise ValueError(
                f"{type(self).__name__} defines {name}, which {method} does not call: {use}."
            )

    def _warn_of_lacking(self, penalties: bool = False) -> None:
        """Warn once after each `compile` about settings that Keras would have applied."""
        warned = self._as_compiled("optimizer").warned_of_lacking
        if penalties in warned:
            return
        warned.add(penalties)
        missing = self.lacking_in_training(penalties)
        if missing:
            what = "minicnn computes the loss" if penalties else "minicnn trains"
            warnings.warn(
                f"{self.label}: {what} without {missing}, which it does not have. The model's file "
                "asks for it.",
                stacklevel=3,
            )
