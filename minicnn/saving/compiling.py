"""Compiles a model as its file says, as far as minicnn can.

Keras 1, 2 and 3 describe this in different words. If minicnn lacks something, as much as possible
still works: a metric is left out; an optimizer is kept as the file describes it, so the model
evaluates but raises an error in training; without its loss, the model is not compiled. One warning
says what is missing.
"""

import copy
import warnings
from typing import Any, TypeGuard

import numpy as np

from minicnn import losses, metrics, optimizers
from minicnn._support.objects import own_object
from minicnn._support.settings import is_ours
from minicnn.layers import carried
from minicnn.saving.half_precision import unscaled
from minicnn.saving.limits import shortened


class _LackingError(ValueError):
    """Something that minicnn lacks; its message is a noun with an article."""


def compile_as_saved(model: Any, config: dict[str, Any], source: str) -> bool:
    """Compile the model as `config["compile_config"]` says; return whether that was possible."""
    settings = config.get("compile_config")
    if not isinstance(settings, dict) or not settings:
        return False
    if _has_own_compile(model):
        _warn_of_no_loss(f"{type(model).__name__} has a compile of its own", source)
        return False
    lost: list[str] = []
    names = model.target_names if model.built else []
    several = len(names) > 1
    try:
        loss = _losses(settings, len(names)) if several else _loss(settings)
    except _LackingError as error:
        _warn_of_no_loss(f"minicnn does not have {error}", source)
        return False
    optimizer = _optimizer(settings.get("optimizer"), lost)
    watched, weighted = (
        _metrics_of_outputs(settings.get(key), names, lost)
        if several
        else _metrics(settings.get(key), lost)
        for key in ("metrics", "weighted_metrics")
    )
    try:
        model.compile(optimizer, loss, settings.get("loss_weights") or None, watched, weighted)
    except ValueError as error:  # its lists or dicts do not fit the outputs
        _warn_of_no_loss(shortened(error), source)
        return False
    if lost:
        warnings.warn(
            f"{source}: the model is compiled without {', '.join(lost)}, which minicnn does not "
            "have.",
            stacklevel=4,
        )
    return True


def compile_alike(model: Any, other: Any) -> None:
    """Compile a model like the other one, with an optimizer and metrics that begin anew.

    Nothing happens if the other one is not compiled, if the model has a `compile` of its own or
    does not know its several outputs yet, or if its optimizer or metrics cannot be made again: the
    learning rate is a function or a schedule of the user's, for example.
    """
    compiled = other.compiled_with
    unknown = compiled is not None and len(compiled.outputs) > 1 and not model.built
    if compiled is None or unknown or _has_own_compile(model):
        return
    optimizer = compiled.optimizer
    try:
        if not isinstance(optimizer, KeptOptimizer):
            optimizer = type(optimizer).from_config(optimizer.get_config())
        watched, weighted = (
            copy.deepcopy([getattr(output, key) for output in compiled.outputs])
            for key in ("metric_identifiers", "weighted_identifiers")
        )
    except (TypeError, ValueError):
        return
    loss = [output.loss_identifier for output in compiled.outputs]
    weights: Any = [output.weight for output in compiled.outputs]
    if all(weight is None for weight in weights):
        weights = None
    model.compile(optimizer, loss, weights, watched, weighted, **compiled.flags)


def _has_own_compile(model: Any) -> bool:
    """Return whether the model's class defines `compile`: no one else knows its arguments."""
    return not is_ours(type(model).compile)


def _warn_of_no_loss(reason: str, source: str) -> None:
    warnings.warn(
        f"{source}: the model is loaded but not compiled: {reason.rstrip('.')}. Call compile "
        "before fit or evaluate.",
        stacklevel=5,
    )


def _made(get: Any, description: Any, what: str) -> Any:
    """Return what `get` makes of the description. Raises `_LackingError` if minicnn lacks it."""
    name = _name(description)
    try:
        return get(description)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        try:
            get(name)
        except (ValueError, TypeError):
            raise _LackingError(f"the {what} {name}") from error
        raise _LackingError(f"the {what} {name}{_unknown_settings(get, description)}") from error


def _unknown_settings(get: Any, description: Any) -> str:
    """Return ` with learning_rate=…`: the settings that `get` does not accept, even alone."""
    config = description.get("config") if isinstance(description, dict) else None
    found = []
    for setting, value in config.items() if isinstance(config, dict) else ():
        try:
            get({**description, "config": {setting: value}})
        except (ValueError, TypeError, AttributeError, LookupError):
            found.append(carried.shown(str(setting), value))
    return f" with {shortened(', '.join(found))}" if found else ""


def _name(description: Any) -> str:
    if isinstance(description, dict):
        kind, config = description.get("class_name"), description.get("config")
        if kind == "function":
            return shortened(config)
        if (
            isinstance(config, dict)
            and isinstance(config.get("fn"), str)
            and "Wrapper" in str(kind)
        ):
            return shortened(config["fn"])
        return shortened(kind)
    return shortened(description)


def _plain(description: Any) -> Any:
    """Return a loss's or metric's description in Keras 3's words."""
    if isinstance(description, str):
        return description
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        return description
    config = {key: value for key, value in description["config"].items() if key != "dtype"}
    function = config.pop("fn", None)  # Keras 2 says which function a class computes
    if isinstance(function, dict):
        function = function.get("config")
    kind = description.get("class_name")
    if kind in ("LossFunctionWrapper", "MeanMetricWrapper"):
        kind = _CLASSES.get(losses.full_name(str(function)), function)
    if config.get("reduction") == "auto":  # Keras 2's name for its default
        del config["reduction"]
    return {"class_name": kind, "config": config}


_CLASSES = {
    name: cls.__name__
    for table in (losses.LOSSES, metrics.METRICS)
    for name, cls in table.items()  # type: ignore[attr-defined]
}


# ---------------------------------------------------------------------------------------------
# Loss and metrics
# ---------------------------------------------------------------------------------------------


def _loss(settings: dict[str, Any]) -> Any:
    """Return the loss of a model with one output."""
    found = _listed(settings.get("loss"))
    if len(found) > 1:
        raise _LackingError(f"a loss for each of {len(found)} outputs, which it does not have")
    return _one_loss(found[0]) if found else None


def _losses(settings: dict[str, Any], outputs: int) -> Any:
    """Return the losses of a model with several outputs, in a list or a dict."""
    loss = settings.get("loss")
    if isinstance(loss, (list, tuple)):
        return [_one_loss(part) for part in loss]
    if is_named(loss):
        return {name: _one_loss(part) for name, part in loss.items()}
    one = _one_loss(loss)
    return one if one is None else [one] * outputs


def _one_loss(description: Any) -> Any:
    """Return a loss, by its name if the file has only that; None for None."""
    own = own_object(description)
    if own is not None:
        return _of_own(own, description)
    plain = _plain(description)
    made = None if plain is None else _made(losses.get, plain, "loss")
    return plain if isinstance(plain, str) else made


def _of_own(own: Any, description: Any) -> Any:
    """Return the user's function, or a new object of the user's class with its configuration."""
    config = description.get("config") if isinstance(description, dict) else None
    made: Any = own
    return made.from_config(config or {}) if isinstance(own, type) else own


def _metrics(description: Any, lost: list[str]) -> list[Any]:
    found = []
    for item in _listed(description):
        own = own_object(item) or own_object(_function_of(item))
        if own is not None:
            found.append(_of_own(own, item))
            continue
        plain = _plain(item)
        try:
            made = _made(lambda d: metrics.get(d, (1, 2), (1, 2)), plain, "metric")
        except _LackingError as error:
            lost.append(str(error))
        else:
            found.append(plain if isinstance(plain, str) else made)
    return found


def _function_of(description: Any) -> Any:
    """Return what a file says about the function of a metric, or None."""
    config = description.get("config") if isinstance(description, dict) else None
    return config.get("fn") if isinstance(config, dict) else None


def _metrics_of_outputs(description: Any, names: list[str], lost: list[str]) -> Any:
    """Return the metrics of several outputs, a list for each, in a list or a dict."""
    if is_named(description):
        return {key: _without(key, _metrics(part, lost)) for key, part in description.items()}
    parts = description if isinstance(description, (list, tuple)) else []
    if len(parts) != len(names):
        return [_metrics(part, lost) for part in parts]  # which `compile` refuses
    return [_without(name, _metrics(part, lost)) for name, part in zip(names, parts)]


def _without(output: str, found: list[Any]) -> list[Any]:
    """Return an output's metrics without the output's name, which Keras 2 writes before theirs."""
    for metric in found:
        if not isinstance(metric, str):
            metric.name = metric.name.removeprefix(f"{output}_")
    return found


def is_named(description: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether this is a dict under the outputs' names, not one object's description."""
    return isinstance(description, dict) and "class_name" not in description


def _listed(description: Any) -> list[Any]:
    """Return the entries for all outputs, given in lists or under names, as one list."""
    if description is None:
        return []
    if is_named(description):
        description = list(description.values())
    if isinstance(description, (list, tuple)):
        return [item for part in description for item in _listed(part)]
    return [description]


# ---------------------------------------------------------------------------------------------
# The optimizer
# ---------------------------------------------------------------------------------------------


def _optimizer(description: Any, lost: list[str]) -> Any:
    """Return an optimizer; for one that minicnn lacks, a `KeptOptimizer`."""
    if description is None:
        return "rmsprop"  # as in Keras's compile
    plain = _plain_optimizer(description)
    decay = plain["config"].pop("decay", None) if isinstance(plain, dict) else None
    try:
        made = _made(optimizers.get, plain, "optimizer")
    except _LackingError as error:
        lost.append(f"{error} (the model evaluates; to train it, compile it with another)")
        if decay:
            plain["config"]["decay"] = decay
        return KeptOptimizer(plain if isinstance(plain, dict) else {"class_name": str(plain)})
    if decay:
        rate = made.learning_rate
        lost.append(f"decay={decay:g} of the learning rate, which stays at {rate:g}")
    return made


def _plain_optimizer(description: Any) -> Any:
    """Return an optimizer's description in Keras 3's words, with `decay`, which has none there."""
    description = unscaled(description)
    if not isinstance(description, dict):
        return description
    config = description.get("config")
    config = dict(config) if isinstance(config, dict) else {}
    # Keras 2 registered its new optimizers where it registers a user's own classes.
    kind = str(description.get("class_name")).removeprefix("Custom>")
    for key in ("is_legacy_optimizer", "jit_compile"):  # Keras 3 would not accept them
        config.pop(key, None)
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    if config.get("epsilon", 0) is None:  # Keras 2.1 for the default
        del config["epsilon"]
    rate = config.get("learning_rate")
    if isinstance(rate, float) and rate == float(np.float32(rate)):
        config["learning_rate"] = float(str(np.float32(rate)))  # 0.001, not 0.0010000000474974513
    return {"class_name": kind, "config": config}


class KeptOptimizer(optimizers.Optimizer):
    """An optimizer that minicnn lacks, kept as a file describes it, and written back.

    It makes no steps: a model with it can be evaluated, but training raises a `ValueError`.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(0.0, name=str(description.get("class_name")).lower())
        self.description = description

    @property
    def keras_class_name(self) -> str:
        return str(self.description.get("class_name"))

    def check_ready(self) -> None:
        raise ValueError(
            f"minicnn does not have the optimizer {self.keras_class_name} as the "
            "model's file describes it: call compile with another one before training."
        )

    def apply(self, grads: Any, variables: Any = None, trainable_variables: Any = None) -> None:
        self.check_ready()

    def get_config(self) -> dict[str, Any]:
        return dict(self.description.get("config") or {})
