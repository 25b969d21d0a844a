"""Trains one model: a frozen base, a head that learns, the best epoch in a file.

    python -m reference.train --data clothing-dataset-small
    python -m reference.train --data sample --base base.keras --inner 100 --dropout 0.2
    python -m reference.train --data clothing-dataset-small --preset best

Without augmentation the base runs once over the photos and the head learns from its features
(`reference.features`); if the base's last blocks learn, too, this applies to the blocks before them
(`reference.tuning`). Augmented photos are new in each epoch, so the whole network runs each time.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from minicnn import plots
from minicnn._support.arguments import non_negative, path_to_write, positive, share
from minicnn._support.atomic import replacing
from minicnn._support.terminal import python, quoted, say
from reference import config, evaluate, fitting, loggers, mistakes, preset
from reference import model as models
from reference.backend import Machine
from reference.console import (
    add_backend_options,
    add_base_options,
    add_data_options,
    main,
    make_parser,
)
from reference.data import Splits
from reference.running import Result, train
from reference.starting import (
    add_training_options,
    check_base_stays,
    check_fine_tuning,
    prepare,
    remove_results,
    settings_from,
)


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
    add("--output", type=path_to_write, default=Path("runs/reference"), metavar="DIR",
        help="default: runs/reference")  # fmt: skip
    add("--preset", choices=("best",),
        help="compare known improvements on the validation photos, say what each adds, "
        "train with the best, and say what to expect: antialiasing, three sizes, a schedule, "
        "five seeds")  # fmt: skip
    add_training_options(add)
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
        help="paste a part of another photo into each, a share of its area from Beta(A, A); "
        "default: 0")  # fmt: skip
    add("--flips", action="store_true",
        help="average over each photo and its mirror image, inside the model")  # fmt: skip
    add("--calibrate", action="store_true",
        help="fit a temperature to the validation photos, which makes probabilities reliable and "
        "changes no answer")  # fmt: skip
    add("--patience", type=positive, metavar="N",
        help="stop after N epochs without a better validation accuracy")  # fmt: skip
    add("--resume", action="store_true", help="go on with an interrupted run in --output")
    add(
        "--tensorboard",
        action="store_true",
        help="also write logs into --output/tensorboard, for: tensorboard --logdir DIR",
    )
    loggers.add_option(add)
    add_backend_options(made)
    return made


def command(options: argparse.Namespace) -> None:
    check_fine_tuning(options)
    check_base_stays(options)
    told = loggers.make(options.logger)
    began, expected = time.perf_counter(), None
    if options.preset is not None:
        options, expected = preset.choose(options)
    machine, splits, reader, base = prepare(options)
    settings = settings_from(options)
    if settings.renews and machine.is_first:
        say("Augmented photos are new each time: the whole network runs in every epoch, uncached.")
    start = time.perf_counter()

    def begun() -> None:
        if not (options.output / "model.keras").exists():  # whose options config.toml would have
            config.write(parser(), options, machine.made_with)
        if not options.resume:  # a later --resume would tell the loggers' older run
            (options.output / loggers.KEPT).unlink(missing_ok=True)
        chosen = {**dict(config.written(parser(), options)), "made-with": machine.made_with}
        for logger in told:
            logger.begin(options.output.name, options.output, chosen, options.resume)

    @contextmanager
    def describing() -> Iterator[None]:
        """Let the folder describe the previous run's model until there is a new one."""
        compared = () if expected is None else ("ablation.html", "ablation.csv")
        keep = ("model.keras", "state.npz", "history.csv", *compared)
        remove_results(options.output, keep)
        yield
        config.write(parser(), options, machine.made_with)

    try:
        result = train(
            splits, base, settings, options.output, machine, reader, options.cache,
            options.resume, options.tensorboard, verbose=1 if sys.stdout.isatty() else 2,
            begun=begun, watching=told, describing=describing,
        )  # fmt: skip
        if machine.is_first:
            seconds = time.perf_counter() - start
            values = _report(options, machine, splits, result, seconds, expected)
            names = ("config.toml", "history.csv", "run.json", "curves.png")
            for logger in told:
                logger.end(values, [options.output / name for name in names])
            if expected is not None:
                say(f"With the comparison, it took {time.perf_counter() - began:.0f} s.")
    except BaseException as error:
        for logger in told:
            logger.fail()
        if machine.processes is not None and isinstance(error, Exception):
            machine.processes.end_if_lost(error)
        raise


def _report(
    options: argparse.Namespace,
    machine: Machine,
    splits: Splits,
    result: Result,
    seconds: float,
    expected: preset.Expected | None,
) -> dict[str, float]:
    """Print and write a run's results; return its accuracies by name."""
    config.write(parser(), options, machine.made_with)  # even if --resume made no new model
    plots.save(
        plots.curves(result.history, str(settings_from(options))), options.output / "curves.png"
    )
    about = {
        "seconds": seconds,
        "resumed": result.resumed,
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
    if expected is not None:
        say(f"These photos chose it. {expected}")
    if options.calibrate:
        say(f"Temperature: {result.about.temperature:.2f}.")
    say(f"Wrote {result.path}, history.csv and curves.png beside it.")
    if lacking := models.minicnn_lacks(result.path):
        say(f"The file is for Keras: minicnn cannot open it ({lacking}).")
    found = {"best_val_accuracy": result.best}
    if expected is not None:
        found["expected_accuracy"] = expected.estimate.mean
    if machine.processes is None:
        saved = models.load(result.path)
        judged = evaluate.evaluate(saved, splits.validation)
        mistakes.write_probabilities(judged, options.output / "probabilities-validation.csv")
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
    return main(parser(), command, arguments)


if __name__ == "__main__":
    sys.exit(run())
