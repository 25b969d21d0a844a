"""Train one model: a frozen base, a head that learns, the best epoch in a file.

    python -m reference.train --data clothing-dataset-small
    python -m reference.train --data sample --base base.keras --inner 100 --dropout 0.2
    python -m reference.train --data clothing-dataset-small --preset best

Without augmentation the base runs once over the photos and the head learns from its features
(`reference.features`); while the base's last blocks learn, too, that holds for the blocks before
them (`reference.tuning`). Augmented photos are new in each epoch, so the whole network runs each
time.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from minicnn import plots
from minicnn._support.arguments import count, non_negative, positive, rate, share
from minicnn._support.atomic import replacing
from minicnn._support.terminal import pip_install, python, quoted, say
from minicnn.images import BadImageError
from reference import (
    augmenting,
    backend,
    calibration,
    config,
    data,
    ensemble,
    evaluate,
    features,
    fitting,
    insight,
    loggers,
    schedules,
    tuning,
)
from reference import model as models
from reference.backend import Machine
from reference.batches import LARGEST_KEPT, Batches, pixels
from reference.console import (
    IMAGE_SIZE,
    add_backend_options,
    add_base_options,
    add_data_options,
    main,
    make_parser,
)
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

    @property
    def best(self) -> float:
        if self.together is not None:
            return self.together
        return self.history["val_accuracy"][fitting.best_epoch(self.history)]


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
) -> Result:
    """Train, and write into `output`: model.keras (the best epoch), history.csv, state.npz.

    With `resume` an interrupted run goes on after its last epoch, to the same result. `begun` is
    called when everything has been checked, and `output` is there; callbacks that are `watching`
    see each epoch. Several runs that become one model, or one that gets mirror images or a
    temperature, have folders of their own in `output`; the first one's history is the result's.
    Raises `ValueError` for settings that do not fit, or a state of another run.
    """
    output = Path(output)
    if settings.as_it_is:
        run = _Run(splits, base, settings, output, machine, reader, cache, tensorboard, verbose)
        return run.go(resume, begun, watching)
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
        run = _Run(splits, base, alone, folder, machine, reader, cache, tensorboard, verbose)
        results.append(run.go(resume, *((lambda: None, ()) if results else (begun, watching))))
        base.network.set_weights(weights)  # fine-tuning has changed them
        base.network.trainable = False
    return _together(results, splits, base, settings, output, machine, reader, verbose)


def _together(
    results: Sequence[Result],
    splits: Splits,
    base: Base,
    settings: Settings,
    output: Path,
    machine: Machine,
    reader: Reader,
    verbose: int,
) -> Result:
    """Make one model of the runs' best ones, judge it, and write it."""
    wholes = [models.load(result.path).model for result in results]
    first = None
    if settings.fine_tune:
        first = tuning.stages(base.network, settings.fine_tune)[-1]
    model = ensemble.assemble(wholes, base, first, settings.flips)
    title = f"Evaluating {splits.validation.name}"
    logits = features.outputs(model, splits.validation, reader, title, verbose > 0)
    temperature = 1.0
    if settings.calibrate:
        temperature = calibration.temperature(logits, splits.validation.labels)
        model = ensemble.assemble(wholes, base, first, settings.flips, temperature)
    _, accuracy = fitting.scores(logits, splits.validation.one_hot())
    told = {"val_accuracy": accuracy, "made_with": machine.describe()}
    about = replace(
        results[0].about,
        training={**asdict(settings), **told},
        members=len(results),
        first=first,
        flips=settings.flips,
        temperature=temperature,
    )
    clear(output)
    fitting.write_history(output / "history.csv", results[0].history)
    path = output / "model.keras"
    models.save(model, path, about)
    computed = any(result.computed for result in results)
    alone = tuple(result.best for result in results)
    return Result(path, results[0].history, about, computed, accuracy, alone)


def clear(folder: Path) -> None:
    """Remove what a kill in the middle of writing left: half a file under a hidden name."""
    for name in ("model.keras", "state.npz", "history.csv"):
        for left in folder.glob(f".{name}[.-]????????"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


class _Run:
    """A training run, step by step."""

    def __init__(
        self,
        splits: Splits,
        base: Base,
        settings: Settings,
        output: Path,
        machine: Machine,
        reader: Reader,
        cache: str | Path | None,
        tensorboard: bool,
        verbose: int,
    ) -> None:
        self.splits, self.settings, self.machine, self.reader = splits, settings, machine, reader
        self.output, self.cache = output, cache
        self.verbose = verbose if machine.is_first else 0  # only one of several processes prints
        self.model_path, self.state_path = output / "model.keras", output / "state.npz"
        self.tensorboard = tensorboard
        if settings.fine_tune:
            tuning.stages(base.network, settings.fine_tune)  # raises for an unknown name
        if tensorboard:
            # Keras writes the logs with TensorFlow, whichever backend computes.
            needed = ("tensorboard", "tensorflow")
            missing = [package for package in needed if not backend.installed(package)]
            if missing:
                raise ImportError(f"--tensorboard needs it: {pip_install(*missing)}")
        self.watching: Sequence[keras.callbacks.Callback] = ()
        self.history = fitting.empty_history()
        self.stages: list[int] = []  # the first epoch of each stage of fine-tuning
        self.state: fitting.State | None = None
        self.about = {
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
            "precision": machine.precision,
        }
        self.class_weight = None
        if settings.class_weights:
            self.class_weight = fitting.balanced(splits.train.one_hot())
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
        if self.machine.is_first:
            fitting.write_history(self.output / "history.csv", self.history)
        computed = self.found is None or self.computed
        return Result(self.model_path, self.history, self._about(), computed)

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
        """What the part of the base that never learns makes of all photos, if memory holds it."""
        assert self.settings.fine_tune is not None
        first = tuning.stages(base.network, self.settings.fine_tune)[-1]
        size = 4 * tuning.extractor(base, first).output_shape[-1] * len(self.splits.train)
        if size <= LARGEST_KEPT:
            return self._extract(base, first)
        if self.verbose:
            say(
                f"The maps below {base.network.layers[first].name} would take {size / 2**30:.1f} "
                f"GiB: the whole network runs in every epoch, uncached."
            )
        return None

    def _fine_tune(self, number: int, firsts: list[int]) -> None:
        """Go on from the best epoch so far, and let the base's last layers learn, too, slowly."""
        settings = self.settings
        tuning.thaw(self.base.network, firsts[number])
        # The file has a fresh optimizer, for the weights that learn.
        models.compile_for(self.whole, settings.fine_tune_rate)
        self.whole.optimizer.build(self.whole.trainable_variables)
        begins = number == len(self.stages)
        if begins:
            self.stages.append(len(self.history["loss"]))
            if self.machine.processes is not None:
                self.machine.processes.agree(True)  # the first one has written the file
                self._check_shared(self.model_path.is_file())
            with models.of_this_process():
                best = models.load(self.model_path).model.get_weights()
            self.whole.set_weights(best)
        learner = self._learner(settings.fine_tune_rate, self.maps, firsts[-1])
        if begins:  # before the file holds anything else than the best one so far
            self._after_epoch(learner)
        since = self.stages[number]
        self._epochs(learner, since + settings.fine_tune_epochs, since, self.maps)

    def _learner(
        self, learning_rate: float, rows: _Rows | None, cut: int | None = None
    ) -> keras.Model:
        """The compiled part of the network that `fit` trains: on `rows`, or on pixels."""
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
            fitting.compile_learner(
                learner,
                settings,
                settings.varying(learning_rate, epochs, len(self.splits.train)),
                self.machine,
                len(self.splits.train) // settings.batch_size if rows and cut is None else None,
                tuning.factors(learner, self.base.network, settings.block_decay),
            )
            # Now, by all processes and devices together: a state needs its variables.
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
        training = Batches(x, y, settings.batch_size, settings.seed, group, mix)
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
            self.class_weight,
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
        models.save(self.whole, self.model_path, about)

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


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = make_parser(
        "train",
        "Trains a classifier of photos on a frozen base (transfer learning, with Keras).\n\n"
        "Writes into --output: model.keras (the best epoch by validation accuracy; class names,\n"
        "image size and preprocessing are inside), history.csv, curves.png, config.toml (all\n"
        "options: --config does the same again), state.npz (to go on after an interruption:\n"
        "--resume), and what reference.evaluate writes for the test photos.",
        "examples:\n"
        "  python -m reference.train --data download\n"
        "  python -m reference.train --data photos --inner 100 --dropout 0.2 --epochs 30\n"
        "  python -m reference.train --data photos --augment --fine-tune block14",
    )
    add_data_options(made)
    add_base_options(made)
    add = made.add_argument_group("training").add_argument
    add("--output", type=Path, default=Path("runs/reference"), metavar="DIR",
        help="default: runs/reference")  # fmt: skip
    add("--preset", choices=("best",),
        help="compare what is known to help on the validation photos, say what each part gives, "
        "and train with the best: antialiasing, three sizes, a schedule, five seeds")  # fmt: skip
    add("--epochs", type=positive, default=10, metavar="N", help="default: 10")
    add("--batch-size", type=positive, default=32, metavar="N", help="default: 32")
    add("--learning-rate", type=rate, default=0.001, metavar="LR", help="for Adam; default: 0.001")
    add_schedule_options(add)
    add("--inner", type=count, default=0, metavar="N",
        help="units of a dense layer before the last one; default: 0, no such layer")  # fmt: skip
    add("--dropout", type=share, default=0.0, metavar="RATE", help="for the last layer; default: 0")
    add("--augment", action="store_true",
        help="flip, shift and zoom the training photos at random: then the features cannot be "
        "kept, and each epoch takes as long as a pass of the base")  # fmt: skip
    add("--randaugment", type=share, default=0.0, metavar="M",
        help="two random operations a batch, such as turns and colours, with this strength below "
        "1; its first step takes long to compile; default: 0, none")  # fmt: skip
    add("--erasing", type=share, default=0.0, metavar="P",
        help="put noise into a rectangle of a photo with this probability; default: 0")  # fmt: skip
    add("--mixup", type=non_negative, default=0.0, metavar="A",
        help="blend each photo with another, by a share from Beta(A, A); default: 0")  # fmt: skip
    add("--cutmix", type=non_negative, default=0.0, metavar="A",
        help="paste a part of another photo into each, in the same way")  # fmt: skip
    add("--fine-tune", metavar="LAYER,…",
        help="then also train the base, from this layer or block on, such as block14; several are "
        "stages, as in block14,block13")  # fmt: skip
    add("--fine-tune-epochs", type=positive, default=5, metavar="N",
        help="of each stage; default: 5")  # fmt: skip
    add("--fine-tune-rate", type=rate, default=1e-5, metavar="LR", help="default: 0.00001")
    add("--block-decay", type=rate, default=1.0, metavar="D",
        help="let each block of the base learn D times as fast as the one behind it, and the last "
        "one D times as fast as the head; default: 1")  # fmt: skip
    add("--weight-decay", type=share, default=0.0, metavar="D",
        help="of the kernels, as AdamW does; default: 0")  # fmt: skip
    add("--label-smoothing", type=share, default=0.0, metavar="S",
        help="spread this part of each target over all classes; default: 0")  # fmt: skip
    add("--ema", type=share, default=0.0, metavar="M",
        help="judge and keep a moving average of the weights, with this momentum, such as 0.99; "
        "default: 0, none")  # fmt: skip
    add("--ensemble", type=positive, default=1, metavar="N",
        help="train with N seeds, from --seed on, and average the logits in one model")  # fmt: skip
    add("--flips", action="store_true",
        help="average over each photo and its mirror image, inside the model")  # fmt: skip
    add("--calibrate", action="store_true",
        help="fit a temperature to the validation photos, which makes probabilities honest and "
        "changes no answer")  # fmt: skip
    add("--class-weights", action="store_true", help="let rare classes count as much as others")
    add("--patience", type=positive, metavar="N",
        help="stop after N epochs without a better validation accuracy")  # fmt: skip
    add("--resume", action="store_true", help="go on with an interrupted run in --output")
    add(
        "--tensorboard",
        action="store_true",
        help="also write logs into --output/tensorboard, for: tensorboard --logdir DIR",
    )
    add("--logger", type=loggers.chosen, metavar="L,…",
        help=f"also tell {' or '.join(loggers.LOGGERS)} about the run, if installed")  # fmt: skip
    add_backend_options(made)
    return made


def add_schedule_options(add: Callable[..., Any]) -> None:
    add("--schedule", choices=schedules.SCHEDULES, default="constant",
        help="how a learning rate changes in the course of a run: constant (default); cosine, down "
        "to 0; one-cycle, up and then down")  # fmt: skip
    add("--warmup", type=non_negative, default=0.0, metavar="EPOCHS",
        help="let the learning rate rise from 0 at first; default: 0, not at all")  # fmt: skip


def settings_from(options: argparse.Namespace) -> Settings:
    names = {field.name: field.name for field in fields(Settings)}
    names |= {"size_inner": "inner", "droprate": "dropout"}
    return Settings(**{field: getattr(options, name) for field, name in names.items()})


def reader_of(options: argparse.Namespace, sizes: Sequence[int]) -> Reader:
    """The reader of photos that the base sees at these sizes."""
    reading = "nearest" if options.course_compatible else "bilinear"
    return Reader(max(sizes), "antialias" if options.antialias else reading)


def base_of(options: argparse.Namespace, sizes: Sequence[int], machine: Machine) -> Base:
    """The options' base, for photos that it sees at these sizes."""
    with machine.scope():
        return models.load_base(
            options.base, max(sizes), options.weights, options.input_range, sizes
        )


def prepare(
    options: argparse.Namespace, sizes: Sequence[int] = ()
) -> tuple[Machine, Splits, Reader, Base]:
    """Set up what every command starts with: the machine, the photos, and the base.

    It sees the photos at `sizes`, or else at those of the options.
    """
    sizes = sizes or options.image_sizes or [options.image_size or IMAGE_SIZE]
    reader = reader_of(options, sizes)
    for size in sorted({229, 289} & set(sizes)):
        say(f"--image-size {size}: is 299, Xception's own size, meant? Going on.")
    machine = backend.start(options)
    if machine.is_first:
        say(machine.describe())
        before = getattr(options, "made_with", None)
        if before not in (None, machine.made_with):
            say(f"{options.config} is of a run with {before}: numbers may differ a little.")
    splits = data.find(data.locate(options.data))
    if options.skip_bad_images:
        checked = [None if p is None else data.check(p, skip=True) for p in splits]
        splits = Splits(*checked)  # type: ignore[arg-type]
    elif splits.test is not None:
        try:
            data.check(splits.test)  # read only at the end, when it would be too late for bad news
        except BadImageError:
            data.check_all(splits)  # which names those of the other splits, too
    base = base_of(options, sizes, machine)
    if machine.is_first:
        parts = [f"{len(p)} {p.name}" for p in splits if p is not None]
        say(f"{', '.join(parts)} photos of {len(splits.train.class_names)} classes.")
    return machine, splits, reader, base


def command(options: argparse.Namespace) -> None:
    told = loggers.make(options.logger)
    if options.preset is not None:
        from reference import preset  # compares heads before the one run that follows

        options = preset.choose(options, parser())
    machine, splits, reader, base = prepare(options)
    settings = settings_from(options)
    if settings.renews and machine.is_first:
        say("Augmented photos are new each time: the whole network runs in every epoch, uncached.")
    start = time.perf_counter()

    def begun() -> None:
        config.write(parser(), options, machine.made_with)
        chosen = {**dict(config.written(parser(), options)), "made-with": machine.made_with}
        for logger in told:
            logger.begin(options.output.name, options.output, chosen, options.resume)

    try:
        result = train(
            splits, base, settings, options.output, machine, reader, options.cache,
            options.resume, options.tensorboard, verbose=1 if sys.stdout.isatty() else 2,
            begun=begun, watching=told,
        )  # fmt: skip
        if machine.is_first:
            values = _report(options, machine, splits, result, time.perf_counter() - start)
            names = ("config.toml", "history.csv", "run.json", "curves.png")
            for logger in told:
                logger.end(values, [options.output / name for name in names])
    except BaseException as error:
        for logger in told:
            logger.fail()
        if machine.processes is not None and isinstance(error, Exception):
            machine.processes.end_if_lost(error)
        raise


def _report(
    options: argparse.Namespace, machine: Machine, splits: Splits, result: Result, seconds: float
) -> dict[str, float]:
    """Print and write what has come out of a run; return its accuracies by name."""
    plots.save(
        plots.curves(result.history, str(settings_from(options))), options.output / "curves.png"
    )
    about = {
        "seconds": seconds,
        "resumed": options.resume,
        "features_from_cache": not result.computed,
        "made_with": machine.made_with,
    }
    with replacing(options.output / "run.json") as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    interval = evaluate.interval(result.best, len(splits.validation))
    if result.together is None:
        best = fitting.best_epoch(result.history)
        say(f"\nBest validation accuracy: {result.best:.3f} {interval} in epoch {best + 1}.")
    else:
        alone = ", ".join(f"{accuracy:.3f}" for accuracy in result.alone)
        say(f"\nValidation accuracy: {result.best:.3f} {interval}; as trained: {alone}.")
    if options.calibrate:
        say(f"Temperature: {result.about.temperature:.2f}.")
    say(f"Wrote {result.path}, history.csv and curves.png beside it.")
    if lacking := models.minicnn_lacks(result.path):
        say(f"The file is for Keras: minicnn cannot open it ({lacking}).")
    found = {"best_val_accuracy": result.best}
    if machine.processes is None:
        saved = models.load(result.path)
        judged = evaluate.evaluate(saved, splits.validation)
        insight.write_probabilities(judged, options.output / "probabilities-validation.csv")
    if splits.test is None:
        say(
            "There is no test folder, so this model has not been tested: the validation photos "
            "chose it. Put photos that it has never seen into test/CLASS/."
        )
    elif machine.processes is not None:
        judge = quoted("-m", "reference.evaluate", result.path, "--data", options.data)
        say(f"Now, in one process, for the test photos:\n  {python()} {judge}")
    else:
        judged = evaluate.evaluate(saved, splits.test, result.best)
        say(judged.summary())
        evaluate.write(judged, options.output)
        found["test_accuracy"] = judged.accuracy
    return found


def run(arguments: Sequence[str] | None = None) -> int:
    return main(parser(), command, None if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(run())
