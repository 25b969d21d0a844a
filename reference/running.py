"""Runs a training: the best epoch is in a file, and a state lets an interrupted run continue.

`train` is what `reference.train` and `reference.course` call. Several runs may become one model
(`reference.ensemble`); each run is a `_Run`, which trains a head and then thaws blocks of the base.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from minicnn._support.terminal import pip_install, say
from reference import augmenting, backend, calibration, ensemble, features, fitting, tuning
from reference import model as models
from reference.backend import Machine
from reference.batches import Batches, pixels, steps_of_epoch
from reference.data import Reader, Splits
from reference.fitting import History, Settings
from reference.model import About, Base

Array = np.ndarray
_Rows = tuple[Any, Any]  # of the training and the validation photos: arrays, or what reads them


@dataclass(frozen=True)
class Result:
    """The result of a run; the model of the best epoch is in `path`."""

    path: Path
    history: History
    about: About
    computed: bool = True  # the features, if it used any; otherwise they came from the cache
    together: float | None = None  # the validation accuracy of several runs, or mirror images
    alone: tuple[float, ...] = ()  # those of the runs that are in it
    resumed: bool = False  # after epochs of an earlier, interrupted run

    @property
    def best(self) -> float:
        if self.together is not None:
            return self.together
        return self.history["val_accuracy"][fitting.best_epoch(self.history)]


@dataclass(frozen=True)
class _Task:
    """The model and data that a run trains, and where it writes."""

    splits: Splits
    base: Base
    settings: Settings
    output: Path
    machine: Machine
    reader: Reader
    cache: str | Path | None
    tensorboard: bool
    verbose: int
    describing: Callable[[], AbstractContextManager[None]]


def train(
    splits: Splits,
    base: Base,
    settings: Settings,
    output: str | Path,
    machine: Machine,
    reader: Reader,
    cache: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    verbose: int = 0,
    begun: Callable[[], None] = lambda: None,
    watching: Sequence[keras.callbacks.Callback] = (),
    describing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Result:
    """Train, and write into `output`: model.keras (the best epoch), history.csv, state.npz.

    With `resume` an interrupted run continues after its last epoch, to the same result. `begun` is
    called when everything has been checked, and `output` exists; callbacks in `watching` see each
    epoch. The first model.keras is written in the context that `describing` makes, which removes
    the description of an earlier model from `output`, and then describes the new one. Several runs
    that become one model, or one that gets mirror images or a temperature, have folders of their
    own in `output`; the first one's history is the result's. Raises `ValueError` for settings that
    do not fit, or a state of another run.
    """
    output = Path(output)
    task = _Task(
        splits, base, settings, output, machine, reader, cache, tensorboard, verbose, describing
    )
    if settings.as_it_is:
        return _Run(task).go(resume, begun, watching)
    if machine.processes is not None:
        raise ValueError(
            "Several processes train one model, whose best epoch is the result: they take no "
            "--ensemble, --flips, --calibrate."
        )
    weights = base.network.get_weights()
    results: list[Result] = []
    for seed in range(settings.seed, settings.seed + settings.ensemble):
        if verbose and settings.ensemble > 1:
            say(f"Seed {seed}, {len(results) + 1} of {settings.ensemble}:")
        alone = replace(settings, seed=seed, ensemble=1, flips=False, calibrate=False)
        folder = output / f"seed-{seed}"
        run = _Run(replace(task, settings=alone, output=folder, describing=nullcontext))
        results.append(run.go(resume, *((lambda: None, ()) if results else (begun, watching))))
        base.network.set_weights(weights)  # fine-tuning has changed them
        base.network.trainable = False
    return _together(results, task)


def _together(results: Sequence[Result], task: _Task) -> Result:
    """Make one model of the runs' best ones, judge it, and write it."""
    base, settings, validation = task.base, task.settings, task.splits.validation
    wholes = [models.load(result.path).model for result in results]
    first = None
    if settings.fine_tune:
        first = tuning.stages(base.network, settings.fine_tune)[-1]
    model = ensemble.assemble(wholes, base, first, settings.flips)
    title = f"Evaluating {validation.name}"
    logits = features.outputs(model, validation, task.reader, title, task.verbose > 0)
    temperature = 1.0
    if settings.calibrate:
        temperature = calibration.temperature(logits, validation.labels)
        model = ensemble.assemble(wholes, base, first, settings.flips, temperature)
    _, accuracy = fitting.scores(logits, validation.one_hot())
    told = {"val_accuracy": accuracy, "made_with": task.machine.describe()}
    about = replace(
        results[0].about,
        training={**asdict(settings), **told},
        members=len(results),
        first=first,
        flips=settings.flips,
        temperature=temperature,
    )
    clear(task.output)
    path = task.output / "model.keras"
    models.save(model, path, about, _replacing(task, forgets=True))
    fitting.write_history(task.output / "history.csv", results[0].history)
    computed = any(result.computed for result in results)
    alone = tuple(result.best for result in results)
    resumed = any(result.resumed for result in results)
    return Result(path, results[0].history, about, computed, accuracy, alone, resumed)


def clear(folder: Path) -> None:
    """Remove half-written files that a killed run left under hidden names."""
    for name in ("model.keras", "state.npz", "history.csv"):
        for left in folder.glob(f".{name}[.-]????????"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


@contextmanager
def _replacing(task: _Task, forgets: bool) -> Iterator[None]:
    """Replace a model in this context: what the folder says of the one before goes.

    With `forgets` its epochs go, too: that run must not resume with our model.
    """
    for name in ("state.npz", "history.csv") if forgets else ():
        (task.output / name).unlink(missing_ok=True)
    with task.describing():
        yield


def _check_tensorboard() -> None:
    """Raise an `ImportError` if a package is missing that writes TensorBoard's logs.

    Keras writes them with TensorFlow, whichever backend computes.
    """
    needed = ("tensorboard", "tensorflow")
    missing = [package for package in needed if not backend.installed(package)]
    if missing:
        raise ImportError(f"--tensorboard needs it: {pip_install(*missing)}")


def _identity(task: _Task) -> dict[str, Any]:
    """Return what a run's result depends on: only a state with the same can go on."""
    splits, base, settings, reader = task.splits, task.base, task.settings, task.reader
    return {
        **{
            name: value
            for name, value in asdict(settings).items()
            if ("epochs" not in name or settings.schedule != "constant")
            and name not in ("ensemble", "flips", "calibrate")
        },
        "base": base.name,
        "weights": base.sha256(),
        "photos": splits.train.sha256(),
        "validation photos": splits.validation.sha256(),
        "classes": splits.train.classes_sha256(),
        "image_size": list(base.seen) if base.sizes else reader.image_size,
        "interpolation": reader.interpolation,
        "precision": task.machine.precision,
    }


class _Run:
    """A training run, step by step."""

    def __init__(self, task: _Task) -> None:
        splits, base, settings = task.splits, task.base, task.settings
        machine, reader, output = task.machine, task.reader, task.output
        self.splits, self.settings, self.machine, self.reader = splits, settings, machine, reader
        self.output, self.cache = output, task.cache
        self.verbose = task.verbose if machine.is_first else 0  # only one of several prints
        self.model_path, self.state_path = output / "model.keras", output / "state.npz"
        self.tensorboard, self.task, self.described = task.tensorboard, task, False
        if settings.fine_tune:
            tuning.stages(base.network, settings.fine_tune)  # raises for an unknown name
        if task.tensorboard:
            _check_tensorboard()
        self.watching: Sequence[keras.callbacks.Callback] = ()
        self.history = fitting.empty_history()
        self.stages: list[int] = []  # the first epoch of each stage of fine-tuning
        self.state: fitting.State | None = None
        self.about = _identity(task)
        self.class_weights = None
        if settings.class_weights:
            self.class_weights = fitting.balanced(splits.train.one_hot())
        # The features come first: each process computes its own, before they become one.
        self.computed = False  # the features: in this run, not in an earlier one
        self.found: _Rows | None = None
        if not settings.renews:
            self.found = self._extract(base)
        self.maps = self._maps(base) if settings.fine_tune and not settings.renews else None
        self.read: tuple[Any, Any] | None = None
        if machine.processes is not None:
            machine.processes.distribute()
            base = replace(base, network=models.with_policy(base.network, machine.precision))
            base.network.trainable = False
        keras.utils.set_random_seed(settings.seed)
        with machine.scope():
            self.whole = models.make_model(
                base,
                len(splits.train.class_names),
                settings.learning_rate,
                settings.size_inner,
                settings.droprate,
            )
        self.base = base

    def go(
        self,
        resume: bool,
        begun: Callable[[], None],
        watching: Sequence[keras.callbacks.Callback],
    ) -> Result:
        self.output.mkdir(parents=True, exist_ok=True)
        if self.machine.is_first:
            clear(self.output)
        if resume and self.state_path.exists():
            self.state = fitting.read_state(self.state_path, self.about)
            if not self.model_path.is_file():
                raise FileNotFoundError(
                    f"{self.model_path}, the best epoch so far, is gone from beside "
                    f"{self.state_path.name}: put it back, or start anew, without --resume."
                )
            models.check_whole(self.model_path)
            self.history = self.state.history
            self.stages = self.state.stages
        resumed = self.state is not None
        if resume and self.machine.processes is not None:
            done = np.array([len(self.history["loss"])])
            everywhere = self.machine.processes.gather(done, self.machine.processes.count)
            self._check_shared(len(set(everywhere.tolist())) == 1)
        if self.state is not None and self.verbose:
            say(f"Going on after epoch {len(self.history['loss'])}.")
        if self.machine.is_first:
            begun()
            self.watching = watching
        settings = self.settings
        if not self.stages:
            learner = self._learner(settings.learning_rate, self.found)
            self._epochs(learner, settings.epochs, 0, self.found)
        if settings.fine_tune:
            found = tuning.stages(self.base.network, settings.fine_tune)
            for number in range(max(0, len(self.stages) - 1), len(found)):
                self._fine_tune(number, found)
            best = fitting.best_epoch(self.history)
            if best < self.stages[0] and self.verbose:
                say(
                    f"No epoch of fine-tuning was better than epoch {best + 1}, before it: the "
                    "model keeps the base as it was."
                )
        if self.machine.is_first:
            fitting.write_history(self.output / "history.csv", self.history)
        computed = self.found is None or self.computed
        return Result(self.model_path, self.history, self._about(), computed, resumed=resumed)

    def _check_shared(self, same: bool) -> None:
        assert self.machine.processes is not None
        if not self.machine.processes.agree(same):
            raise ValueError(
                f"Several processes share one --output. {str(self.output)!r} is not the same "
                "folder for all of them: put it on a disk that every machine sees."
            )

    def _extract(self, base: Base, first: int | None = None) -> _Rows:
        found = features.extract_both(
            self.splits, self.reader, base, self.machine, self.cache, self.verbose > 0,
            self.settings.batch_size, first,
        )  # fmt: skip
        self.computed = self.computed or any(part.computed for part in found)
        return found[0].x, found[1].x

    def _maps(self, base: Base) -> _Rows | None:
        """Return the outputs of the base's part that never learns, if they fit into memory."""
        assert self.settings.fine_tune is not None
        first = tuning.stages(base.network, self.settings.fine_tune)[-1]
        if tuning.fits(base, first, len(self.splits.train), self.verbose > 0):
            return self._extract(base, first)
        return None

    def _fine_tune(self, number: int, firsts: list[int]) -> None:
        """Continue from the best epoch so far, and let the base's last layers learn slowly."""
        settings = self.settings
        tuning.thaw(self.base.network, firsts[number])
        # The file has a fresh optimizer, for the weights that learn.
        models.compile_for(self.whole, settings.fine_tune_rate)
        self.whole.optimizer.build(self.whole.trainable_variables)
        begins = number == len(self.stages)
        if begins:
            self.stages.append(len(self.history["loss"]))
            if self.machine.processes is not None:
                self.machine.processes.agree(True)  # wait: the first process has then written it
                self._check_shared(self.model_path.is_file())
            with models.of_this_process():
                best = models.load(self.model_path).model.get_weights()
            self.whole.set_weights(best)
        learner = self._learner(settings.fine_tune_rate, self.maps, firsts[-1])
        if begins:  # before the file holds anything other than the best epoch so far
            self._after_epoch(learner)
        since = self.stages[number]
        self._epochs(learner, since + settings.fine_tune_epochs, since, self.maps)

    def _learner(
        self, learning_rate: float, rows: _Rows | None, cut: int | None = None
    ) -> keras.Model:
        """Return the compiled part of the network that `fit` trains: on `rows`, or on pixels."""
        settings = self.settings
        with self.machine.scope():
            if rows is None and settings.renews:
                chosen = settings.augment, settings.randaugment, settings.erasing
                learner = augmenting.augmented(self.whole, settings.seed, *chosen)
            elif rows is None:
                learner = keras.Model(self.whole.inputs, self.whole.outputs)
            elif cut is None:
                learner = models.head_of(self.whole)
            else:
                learner = tuning.behind(self.whole, self.base, cut)
            epochs = settings.fine_tune_epochs if self.stages else settings.epochs
            count = 1 if self.machine.processes is None else self.machine.processes.count
            steps = steps_of_epoch(len(self.splits.train), settings.batch_size, count)
            fitting.compile_learner(
                learner,
                settings,
                settings.varying(learning_rate, epochs, steps),
                self.machine,
                len(self.splits.train) // settings.batch_size if rows and cut is None else None,
                tuning.factors(learner, self.base.network, settings.block_decay),
            )
            # Do this now, in all processes and devices together: a state needs its variables.
            learner.optimizer.build(learner.trainable_variables)
        return learner

    def _epochs(self, learner: keras.Model, last: int, since: int, rows: _Rows | None) -> None:
        settings, group = self.settings, self.machine.processes
        if self.state is not None and len(self.stages) == len(self.state.stages):
            with self.machine.scope():
                fitting.restore(learner, self.state.values)
            self.state = None
        done = len(self.history["loss"])
        if done >= last or fitting.is_over(self.history, settings.patience, since):
            return
        x, validation_x = rows or self._pixels()
        y, validation_y = (photos.one_hot() for photos in self.splits[:2] if photos is not None)
        mix = None
        if settings.mixup or settings.cutmix:
            mix = augmenting.Mixing(settings.mixup, settings.cutmix)
        training = Batches(x, y, settings.batch_size, settings.seed, group, mix, self.class_weights)
        validation: Batches | None = Batches(validation_x, validation_y, settings.batch_size)
        callbacks: list[keras.callbacks.Callback] = []
        if group is not None:
            callbacks.append(self._validation_here(learner, validation_x, validation_y))
            validation = None
        if self.machine.is_first:
            best = max(self.history["val_accuracy"], default=None)
            callbacks.append(fitting.BestModel(self.model_path, self._write_model, best))
            callbacks += self.watching
            if self.tensorboard:
                callbacks.append(keras.callbacks.TensorBoard(str(self.output / "tensorboard")))
        callbacks.append(
            fitting.Record(
                self.history, settings.patience, since, lambda: self._after_epoch(learner)
            )
        )
        fitting.run_epochs(
            learner,
            training,
            validation,
            range(done, last),
            callbacks,
            self.verbose,
        )

    def _pixels(self) -> _Rows:
        if self.read is None:
            train_x, validation_x = (
                pixels(photos, self.reader, self.verbose > 0)
                for photos in self.splits[:2]
                if photos is not None
            )
            self.read = train_x, validation_x
        return self.read

    def _validation_here(self, learner: keras.Model, x: Any, y: Array) -> keras.callbacks.Callback:
        from reference.on_jax import here

        group, size = self.machine.processes, self.settings.batch_size
        own = np.arange(len(y))[group.share(len(y))]
        parts = [own[at : at + size] for at in range(0, len(own), size)]
        run = here(learner)

        def logits() -> Array:
            found = [run(x(rows) if callable(x) else x[rows]) for rows in parts]
            return np.asarray(group.gather(np.concatenate(found), len(y)))

        return fitting.ValidationHere(logits, y, self.settings.label_smoothing)

    def _after_epoch(self, learner: keras.Model) -> None:
        if self.machine.is_first:
            fitting.write_history(self.output / "history.csv", self.history)
            fitting.write_state(self.state_path, self.about, self.history, self.stages, learner)

    def _write_model(self, accuracy: float) -> None:
        about = self._about()
        about.training["val_accuracy"] = accuracy
        replacing = None if self.described else _replacing(self.task, not self.history["loss"])
        models.save(self.whole, self.model_path, about, replacing)
        self.described = True

    def _about(self) -> About:
        settings = self.settings
        return About(
            class_names=list(self.splits.train.class_names),
            image_size=self.reader.image_size,
            interpolation=self.reader.interpolation,
            base=self.base.name,
            input_range=self.base.input_range,
            size_inner=settings.size_inner,
            droprate=settings.droprate,
            image_sizes=list(self.base.sizes),
            training={**asdict(settings), "made_with": self.machine.describe()},
        )
