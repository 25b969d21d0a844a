"""A short training; as a program, by copies of the model on two devices, both of them this CPU.

`python -m mirrored PHOTOS BASE OUTPUT`
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any


def train_on(machine: Any, photos: Path, base_file: Path, output: Path) -> None:
    from reference import data, fitting, train
    from reference import model as models

    settings = fitting.Settings(
        learning_rate=0.05, epochs=3, fine_tune="block2", fine_tune_epochs=1, fine_tune_rate=0.01
    )
    with machine.scope():
        base = models.load_base(str(base_file), 48)
    train.train(data.find(photos), base, settings, output, machine, data.Reader(48))


def main() -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from reference import backend, on_tensorflow

    machine = replace(backend.default(), strategy=on_tensorflow.mirrored(["CPU:0", "CPU:1"]))
    print(machine.describe())
    train_on(machine, *map(Path, sys.argv[1:]))


if __name__ == "__main__":
    main()
