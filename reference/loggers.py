"""Tells MLflow or Weights & Biases about a run, if they are installed: `--logger mlflow,wandb`.

They get the options, every epoch's numbers, the result, and the small files of the run; the model
stays in --output. Their own settings say where these go: MLFLOW_TRACKING_URI,
MLFLOW_EXPERIMENT_NAME, WANDB_PROJECT, WANDB_MODE=offline. With `--resume` the same run continues
there, too. Each training of a sweep, or of cross-validation, is a run there, and together they are
a group (`Trials`); a comparison of runs is a run, too.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from minicnn._support.atomic import replacing
from minicnn._support.terminal import pip_install, say
from reference import backend
from reference.console import reason

KEPT = "loggers.json"  # the runs' ids, in --output


class Logger(keras.callbacks.Callback):
    """A callback of `fit` that passes on each epoch's numbers.

    If a service is lost, training continues without it.
    """

    name = ""

    def __init__(self) -> None:
        super().__init__()
        if not backend.installed(self.name):
            raise ImportError(f"--logger {self.name} needs it: {pip_install(self.name)}")
        self._lost = True  # until it begins

    def begin(
        self,
        title: str,
        output: Path,
        options: Mapping[str, Any],
        resume: bool = False,
        group: str = "",
    ) -> None:
        """Begin a run there, perhaps in a group, or continue the one that `output` names."""
        path = output / KEPT
        known = _read(path)
        going_on = known.get(self.name) if resume else None
        try:
            chosen = self._begin(title, output, options, going_on, group)
        except Exception as error:  # whatever a service makes of its settings
            raise ValueError(f"--logger {self.name}: no run can begin: {reason(error)}.") from error
        self._lost = False
        if group:
            return
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(known | {self.name: chosen}) + "\n", "utf-8")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = {name: float(value) for name, value in logs.items()}
        self._tell(lambda: self._epoch(epoch + 1, values))

    def end(self, values: Mapping[str, float], files: Sequence[Path] = ()) -> None:
        """Tell the result, and end the run there."""
        self._tell(lambda: self._end(values, files))
        self._lost = True

    def fail(self) -> None:
        """End the run there, as one that failed or was interrupted."""
        self._tell(self._fail)
        self._lost = True

    def _tell(self, what: Any) -> None:
        if self._lost:
            return
        try:
            what()
        except Exception as error:  # the network, a full disk, a service's own defects
            self._lost = True
            say(f"{self.name} takes no more numbers ({reason(error)}): going on without it.")

    def _begin(
        self, title: str, output: Path, options: Mapping[str, Any], known: str | None, group: str
    ) -> str:
        raise NotImplementedError

    def _epoch(self, number: int, values: Mapping[str, float]) -> None:
        raise NotImplementedError

    def _end(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        raise NotImplementedError

    def _fail(self) -> None:
        raise NotImplementedError


class MLflow(Logger):
    """MLflow: by default it writes below the current folder."""

    name = "mlflow"

    def _begin(
        self, title: str, output: Path, options: Mapping[str, Any], known: str | None, group: str
    ) -> str:
        import mlflow

        tags = {"tags": {"group": group}} if group else {}
        run = mlflow.start_run(run_id=known, run_name=None if known else title, **tags)
        if known is None:  # it refuses to change options
            mlflow.log_params({name: str(value) for name, value in options.items()})
        return str(run.info.run_id)

    def _epoch(self, number: int, values: Mapping[str, float]) -> None:
        import mlflow

        mlflow.log_metrics(dict(values), step=number)

    def _end(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        import mlflow

        mlflow.log_metrics(dict(values))
        for path in files:
            mlflow.log_artifact(str(path))
        mlflow.end_run()

    def _fail(self) -> None:
        import mlflow

        mlflow.end_run("FAILED")


class WeightsAndBiases(Logger):
    """Weights & Biases: online after `wandb login`, or WANDB_MODE=offline."""

    name = "wandb"
    _run: Any = None

    def _begin(
        self, title: str, output: Path, options: Mapping[str, Any], known: str | None, group: str
    ) -> str:
        import wandb

        grouped = {"group": group} if group else {}
        self._run = wandb.init(
            name=title, dir=str(output), config=dict(options), id=known,
            resume="allow" if known else None, settings=wandb.Settings(console="off"), **grouped,
        )  # fmt: skip
        return str(self._run.id)

    def _epoch(self, number: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=number)

    def _end(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        self._run.summary.update(dict(values))
        for path in files:
            self._run.save(str(path), base_path=str(path.parent), policy="now")
        self._run.finish()

    def _fail(self) -> None:
        self._run.finish(exit_code=1)


LOGGERS = {kind.name: kind for kind in (MLflow, WeightsAndBiases)}


def chosen(text: str) -> list[str]:
    """Return the names in an option such as `mlflow,wandb`."""
    names = text.split(",")
    if not set(names) <= set(LOGGERS):
        raise argparse.ArgumentTypeError(
            f"expected {' or '.join(LOGGERS)}, or both separated by a comma, not {text!r}"
        )
    return list(dict.fromkeys(names))


def make(names: Sequence[str] | None) -> list[Logger]:
    """Return the loggers of these names. Raises `ImportError` if one is not installed."""
    return [LOGGERS[name]() for name in names or ()]


def add_option(add: Callable[..., Any]) -> None:
    add("--logger", type=chosen, metavar="L,…",
        help=f"also tell {' or '.join(LOGGERS)} about the run, if installed")  # fmt: skip


class Trials:
    """The trainings of one command, which the loggers of these names record, if any.

    Raises `ImportError` if one is not installed. Losing a service costs no training.
    """

    def __init__(self, names: Sequence[str] | None = None, output: Path = Path()) -> None:
        self._loggers, self._output = make(names), output
        self._group = output.absolute().name or "trials"  # "." and "/" have no name
        self._first = True

    @contextmanager
    def one(self, title: str, options: Mapping[str, Any]) -> Iterator[list[Logger]]:
        """Begin a run there, and yield the loggers: callbacks of `fit` that need an `end`."""
        begun = []
        try:
            for logger in self._loggers:
                try:
                    logger.begin(title, self._output, options, group=self._group)
                    begun.append(logger)
                except ValueError as error:
                    if self._first:
                        raise
                    say(f"{error} Going on without it.")
            self._first, self._loggers = False, begun
            yield begun
        except BaseException:
            for logger in begun:
                logger.fail()
            raise


def _read(path: Path) -> dict[str, str]:
    """Return the ids of the runs that were begun; none from a file that is damaged or not there."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return {name: str(found[name]) for name in LOGGERS if name in found}
    except (OSError, ValueError, TypeError):
        return {}
