"""TensorBoard event files, written without TensorFlow."""

import io
import os
import time

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.event_file_writer import EventFileWriter


class EventWriter:
    """Writes scalars, images and texts to a new event file in `logdir`.

    That of a run resumed at step N (0: begun, or begun anew) has a mark at which TensorBoard
    drops what older files have after N.
    """

    def __init__(self, logdir: str | os.PathLike[str], resume_step: int = 0):
        self._writer = EventFileWriter(os.fspath(logdir))
        self._first_step = resume_step
        mark = SessionLog(status=SessionLog.START)
        event = Event(wall_time=time.time(), step=resume_step + 1, session_log=mark)
        self._writer.add_event(event)

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def scalars(self, step: int, scalars: dict[str, float]) -> None:
        """One point of each curve."""
        self._add(step, [Summary.Value(tag=k, simple_value=v) for k, v in scalars.items()])

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture, uint8 [H, W, 3]."""
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        height, width, channels = image.shape
        content = Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=file.getvalue()
        )
        self._add(step, [Summary.Value(tag=name, image=content)])

    def text(self, name: str, text: str) -> None:
        """A Markdown text, at the step at which this file begins."""
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()], tensor_shape=shape)
        plugin = SummaryMetadata.PluginData(plugin_name="text")
        metadata = SummaryMetadata(plugin_data=plugin)
        self._add(self._first_step, [Summary.Value(tag=name, tensor=tensor, metadata=metadata)])

    def _add(self, step, values):
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._writer.add_event(event)
        self._writer.flush()
