"""Changes the learning rate during a run.

    constant    r
    cosine      from r down to 0, along half a wave: r · (1 + cos(π · t)) / 2
    one-cycle   up from r / 25 to r in the first 30 % of the steps, then down as cosine

(Loshchilov and Hutter 2017, "SGDR"; Smith and Topin 2018, "Super-convergence".) A warm-up, which
one-cycle already includes, first raises the rate of the others from 0 to r. All are Keras's
`CosineDecay`, which counts steps, not epochs, and which every Keras reads.
"""

import keras

SCHEDULES = ("constant", "cosine", "one-cycle")
_START, _RISING = 1 / 25, 0.3  # of one-cycle: where the rate starts, and how long it rises


def check(schedule: str, warmup: float, epochs: int) -> None:
    """Raise a `ValueError` for an unknown schedule, or a warm-up that does not fit."""
    if schedule not in SCHEDULES:
        raise ValueError(f"The schedule is one of {', '.join(SCHEDULES)}. Received {schedule!r}.")
    if warmup and schedule == "one-cycle":
        raise ValueError("one-cycle begins with its own warm-up: leave out --warmup.")
    if not 0 <= warmup < epochs:
        raise ValueError(
            f"The warm-up should be shorter than the run. Received {warmup:g} of {epochs} epochs."
        )


def of(
    schedule: str, rate: float, epochs: int, steps: int, warmup: float = 0.0
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate of a run of `epochs` with `steps` each; `warmup` is in epochs."""
    whole = epochs * steps
    start, rising = (rate * _START, _RISING) if schedule == "one-cycle" else (0.0, warmup / epochs)
    if schedule == "constant" and not warmup:
        return rate
    before = min(round(rising * whole), whole - 1)  # the wave needs a step
    lowest = 1.0 if schedule == "constant" else 0.0  # where the wave ends, as a share of the rate
    if not before:
        return keras.optimizers.schedules.CosineDecay(rate, whole, lowest)
    return keras.optimizers.schedules.CosineDecay(
        start, whole - before, lowest, warmup_target=rate, warmup_steps=before
    )
