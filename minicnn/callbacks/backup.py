"""A callback that lets interrupted training continue from its last backup."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import shapes
from minicnn._support.archives import read_arrays
from minicnn._support.atomic import make_folder, remove_left, replacing
from minicnn.callbacks.base import Callback, Logs
from minicnn.layers.noise import generators_within


class BackupAndRestore(Callback):
    """Keeps the state of training in a folder; the next `fit` goes on from there.

        model.fit(x, y, epochs=100, callbacks=[BackupAndRestore("backup")])

    Run the same program again after an interrupt, a crash or a power cut: `fit` begins with the
    epoch after the last backup, and ends with the same weights as without the interruption. For
    that, a backup has the weights, the optimizer's state and learning rate, and the random
    generators of minicnn and of its layers. Other state (of other callbacks, a data set with a
    seed, NumPy's global generator) starts anew, as in Keras. Put it last in the list, after
    callbacks that change the learning rate.

    Args (Keras's):
        backup_dir: a folder for this training alone; it is made if it does not exist.
        save_freq: "epoch", or a number of batches. A backup made within an epoch leads back to the
            beginning of that epoch, with the weights of the backup.
        double_checkpoint: also keep the backup before the last one, in case the last is damaged.
        delete_checkpoint: delete the backup at the end of `fit`; otherwise the next `fit` begins
        where this one ended.

    A backup is written beside the old one and then takes its place, so there is always a whole one.
    Raises `ValueError` before the model has weights, and for a backup of another model.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not isinstance(backup_dir, (str, os.PathLike)) or not str(backup_dir):
            raise ValueError(
                f"BackupAndRestore expects backup_dir to be a folder. Received {backup_dir!r}."
            )
        whole = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq >= 1
        if save_freq != "epoch" and not whole:
            raise ValueError(
                'BackupAndRestore expects save_freq to be "epoch" or a number of batches. '
                f"Received {save_freq!r}."
            )
        self.backup_dir, self.save_freq = str(backup_dir), save_freq
        self.double_checkpoint = bool(double_checkpoint)
        self.delete_checkpoint = bool(delete_checkpoint)
        self._epoch = self._batches = 0

    @property
    def _files(self) -> tuple[Path, Path]:
        """Return the paths of the last backup and of the one before it."""
        folder = Path(self.backup_dir)
        return folder / "latest.npz", folder / "previous.npz"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.model.built:
            raise ValueError(
                f"BackupAndRestore expects a model that has weights, and {self.model.label} has "
                "none yet: start it with an Input, or call it on data."
            )
        make_folder(Path(self.backup_dir))
        remove_left(self._files[0])  # by a run that was killed while it wrote
        self._batches = 0
        problem: ValueError | None = None
        for path in self._files:
            if not path.exists():
                continue
            try:
                self._restore(path)
            except ValueError as error:
                problem = problem or error
            else:
                return
        if problem is not None:
            raise problem

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if isinstance(self.save_freq, int):
            self._batches += 1
            if self._batches % self.save_freq == 0:
                self._save(self._epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1)
        self._epoch = epoch + 1

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            for path in self._files:
                path.unlink(missing_ok=True)
            if not any(Path(self.backup_dir).iterdir()):
                Path(self.backup_dir).rmdir()

    def _save(self, epoch: int) -> None:
        """Write a backup from which training goes on with this epoch."""
        model, optimizer = self.model, self.model.optimizer
        weights = [
            optimizer.set_aside.get(id(v), w) for v, w in zip(model.weights, model.get_weights())
        ]
        state = [array for _, array in optimizer.state(model.trainable_weights)]
        about = {
            "epoch": epoch,
            "learning_rate": optimizer.learning_rate if optimizer.has_own_rate else None,
            "generators": [generator.bit_generator.state for generator in generators_within(model)],
        }
        latest, previous = self._files
        if self.double_checkpoint and latest.exists():
            latest.replace(previous)
        arrays = {f"weight {i}": array for i, array in enumerate(weights)}
        arrays |= {f"optimizer {i}": array for i, array in enumerate(state)}
        with replacing(latest) as temporary, temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)

    def _restore(self, path: Path) -> None:
        """Take the state from a backup. Raises `ValueError`, and changes nothing, if it cannot."""
        try:
            found = read_arrays(path, "backup")
            about = json.loads(str(found.pop("about")))
            epoch = shapes.positive_int(about["epoch"], "the epoch", "A backup", minimum=0)
            rate, states = about["learning_rate"], list(about["generators"])
            if rate is not None and not math.isfinite(rate):
                raise ValueError(f"its learning rate is {rate}")
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise ValueError(
                f"{str(path)!r} is not a backup of training, or is damaged ({error}): delete it to "
                "begin anew."
            ) from error
        model, optimizer = self.model, self.model.optimizer
        generators = list(generators_within(model))
        weights, state = (
            [found[f"{kind} {i}"] for i in range(len(found)) if f"{kind} {i}" in found]
            for kind in ("weight", "optimizer")
        )
        before, trained = model.get_weights(), model.trainable_weights
        drawn = [generator.bit_generator.state for generator in generators]
        try:
            model.set_weights(weights)
            if len(states) != len(generators):
                raise ValueError(
                    f"{model.label} has {len(generators)} random generators. Received "
                    f"{len(states)}."
                )
            _continue(generators, states)
            optimizer.build(trained)
            optimizer.set_state(trained, state)
            if rate is not None:
                optimizer.learning_rate = rate  # the state has it as a float32
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            model.set_weights(before)
            _continue(generators, drawn)
            raise ValueError(
                f"{str(path)!r} is a backup of another training: choose another backup_dir, or "
                f"delete it. {error}"
            ) from error
        model.resume_optimizer()
        model.first_epoch = epoch


def _continue(generators: list[np.random.Generator], states: list[Any]) -> None:
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state
