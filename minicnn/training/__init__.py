"""`compile`, `fit`, `evaluate`, `predict`: Keras's training loop, in the open.

Each file extends the class of the file before it:

    compiling     an optimizer, a loss, metrics
    step          one step: forward, loss, backward, optimizer
    evaluating    data, batch by batch: `evaluate`, `predict`
    trainer       `fit`
"""

from minicnn.training.step import LossOfPass
from minicnn.training.trainer import Trainer

__all__ = ["LossOfPass", "Trainer"]
