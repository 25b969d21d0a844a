"""A callback that writes what TensorBoard shows: curves, histograms of weights, the graph.

It writes event files through the package `tensorboard`, which works without TensorFlow.
"""

import io
import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from minicnn._support.atomic import make_folder
from minicnn._support.terminal import pip_install
from minicnn.callbacks.base import Callback, Logs

Array = np.ndarray

_numbers = itertools.count()  # one for each file of this process


class _Events:
    """An event file, opened at the first event."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def add(self, step: int, *values: Any) -> None:
        """Write these values of a summary (protobufs) for a step."""
        import socket

        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        if self._writer is None:
            make_folder(self.folder)
            where = f"{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
            self._writer = RecordWriter(
                (self.folder / f"events.out.tfevents.{where}.v2").open("xb")
            )
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class TensorBoard(Callback):
    """Writes event files that `tensorboard --logdir logs` shows.

    Losses and metrics are under `log_dir` in `train` and `validation`, each as "epoch_NAME", with
    the learning rate; `evaluate` adds "evaluation_NAME_vs_iterations".

    Args (Keras's):
        log_dir: a folder for one training; TensorBoard compares those of several.
        histogram_freq: write histograms of all weights every so many epochs; 0 for never.
        write_graph: write the model, which TensorBoard draws as a graph of layers.
        write_images: write each weight as an image, too, wherever there are histograms.
        write_steps_per_second: write the speed of training.
        update_freq: "epoch"; "batch", or every so many batches, to write losses and metrics so
            far in the epoch as "batch_NAME", too. (With a number, Keras leaves out an epoch's final
            values unless its last batch is one of those.)

    Raises `ImportError` without the package tensorboard, and `ValueError` for `profile_batch` and
    `embeddings_freq` other than 0, which minicnn lacks.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        try:
            import tensorboard.summary.writer.record_writer  # noqa: F401
        except ImportError:
            raise ImportError(
                "The callback TensorBoard writes with the package tensorboard: "
                f"{pip_install('tensorboard')}"
            ) from None
        for argument, value in (
            ("profile_batch", profile_batch),
            ("embeddings_freq", embeddings_freq),
            ("embeddings_metadata", embeddings_metadata),
        ):
            if value:
                raise ValueError(f"TensorBoard does not support {argument}={value!r}.")
        if not _is_whole(histogram_freq, 0):
            raise ValueError(
                "TensorBoard expects histogram_freq to be a number of epochs. "
                f"Received {histogram_freq!r}."
            )
        if update_freq not in ("epoch", "batch") and not _is_whole(update_freq, 1):
            raise ValueError(
                'TensorBoard expects update_freq to be "epoch", "batch" or a number of batches. '
                f"Received {update_freq!r}."
            )
        self.log_dir, self.histogram_freq = str(log_dir), histogram_freq
        self.write_graph, self.write_images = bool(write_graph), bool(write_images)
        self.write_steps_per_second = bool(write_steps_per_second)
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self._train, self._validation = (
            _Events(Path(log_dir) / name) for name in ("train", "validation")
        )
        self._batch = self._steps = 0
        self._epoch_start = self._batch_start = 0.0

    # -- training --------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batch = 0
        if self.write_graph and self.model.built:
            self._train.add(0, _text("keras", "graph_keras_model", self.model.to_json()))

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._batch += 1
        self._batch_start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if isinstance(self.update_freq, int) and self._batch % self.update_freq == 0:
            found = {f"batch_{name}": value for name, value in (logs or {}).items()}
            if self.write_steps_per_second:
                found["batch_steps_per_second"] = 1 / (time.perf_counter() - self._batch_start)
            self._train.add(self._batch, *_scalars(found))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start, self._steps = time.perf_counter(), self.model.optimizer.iterations

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        held_out = {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        trained = {k: v for k, v in logs.items() if not k.startswith("val_")}
        trained["learning_rate"] = self.model.optimizer.learning_rate
        if self.write_steps_per_second:
            steps = self.model.optimizer.iterations - self._steps
            trained["steps_per_second"] = steps / (time.perf_counter() - self._epoch_start)
        for events, found in ((self._train, trained), (self._validation, held_out)):
            if found:
                events.add(epoch, *_scalars({f"epoch_{k}": v for k, v in found.items()}))
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        self._train.flush()
        self._validation.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._train.close()
        self._validation.close()

    def _write_weights(self, epoch: int) -> None:
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        for variable in self.model.weights:
            values = [histogram_pb(f"{variable.path}/histogram", variable.numpy()).value[0]]
            image = _as_images(variable.numpy()) if self.write_images else None
            if image is not None:
                values.append(_images(f"{variable.path}/image", image))
            self._train.add(epoch, *values)

    # -- evaluating ------------------------------------------------------------------------------

    def on_test_end(self, logs: Logs | None = None) -> None:
        found = {f"evaluation_{k}_vs_iterations": v for k, v in (logs or {}).items()}
        self._validation.add(self.model.optimizer.iterations, *_scalars(found))
        self._validation.flush()


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _scalars(found: dict[str, Any]) -> list[Any]:
    """Return each number as a scalar of TensorBoard's; for a metric by class, the mean."""
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    return [scalar_pb(name, float(np.mean(value))).value[0] for name, value in found.items()]


def _text(tag: str, plugin: str, text: str) -> Any:
    """Return a text for a plugin of TensorBoard."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.util.tensor_util import make_tensor_proto

    data = SummaryMetadata.PluginData(plugin_name=plugin, content=b"1")
    tensor = make_tensor_proto(text)
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=data), tensor=tensor)


def _as_images(weight: Array) -> Array | None:
    """Return a weight as images (n, height, width, channels), as Keras does, or None."""
    w = np.squeeze(weight)
    if w.ndim == 1:
        return w[None, :, None, None]
    if w.ndim == 2:
        return (w.T if w.shape[0] > w.shape[1] else w)[None, :, :, None]
    if w.ndim == 3:
        return np.moveaxis(w, -1, 0)[..., None]
    return w if w.ndim == 4 and w.shape[-1] in (1, 3, 4) else None


def _images(tag: str, images: Array) -> Any:
    """Return images for TensorBoard: at most three, as PNG; numbers are cut off at 0 and 1."""
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.image import metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    coded = []
    for image in (np.clip(images[:3], 0, 1) * 255.999).astype(np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
        coded.append(buffer.getvalue())
    size = [str(images.shape[axis]).encode() for axis in (2, 1)]  # width, height
    about = metadata.create_summary_metadata(display_name=None, description=None)
    return Summary.Value(tag=tag, metadata=about, tensor=make_tensor_proto([*size, *coded]))
