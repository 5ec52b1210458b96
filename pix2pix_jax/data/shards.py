"""Images of a folder in a few large files, read by number: ArrayRecord shards.

FOLDER/00000-of-00003.array_record has up to IMAGES records that are PNG files, and a last one that
is a JSON list of [name, height, width] of these, so that starting does not read them all.
"""

import bisect
import io
import itertools
import json
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pix2pix_jax.data.sources import PHOTOS, Header, Record, SingleFolder
from pix2pix_jax.images.files import PICTURES, naming, open_image, to_pil
from pix2pix_jax.images.finding import Path, natural
from pix2pix_jax.images.pixel_format import PixelFormat
from pix2pix_jax.runtime.whole_file import whole_file

SUFFIX = ".array_record"
IMAGES = 1000  # of a shard
WRITING = "group_size:1,uncompressed"  # records are read one by one, and PNG is compressed
READING = "readahead_buffer_size:0"


def is_shard(path: pathlib.PurePath) -> bool:
    """Whether a file has the name of a shard."""
    return path.suffix == SUFFIX


def images_of(
    folder: Path, pixel_format: PixelFormat = PHOTOS[0], domain: str = "A"
) -> "SingleFolder | Shards":
    """The images of a folder, in files of their own or in shards. Raises as these do."""
    folder = pathlib.Path(folder)
    if folder.is_dir() and any(map(is_shard, folder.iterdir())):
        return Shards(folder, pixel_format, domain)
    return SingleFolder(folder, pixel_format, domain)


class Shards:
    """Images of one domain in shards, as `SingleFolder`: {domain, "name"}."""

    def __init__(self, folder: pathlib.Path, pixel_format: PixelFormat, domain: str):
        """Reads names and sizes.

        Raises:
            ValueError: shards are missing or damaged, or a value range is asked for.
        """
        if pixel_format.value_range:
            raise ValueError(
                f"{folder} has {SUFFIX} files, which hold photographs, and config.data.value_range "
                "is for other images: leave it empty, or give a folder of image files"
            )
        self._shards = [_Shard(path) for path in _complete(folder)]
        self._ends = list(itertools.accumulate(len(shard.headers) for shard in self._shards))
        self._headers = [header for shard in self._shards for header in shard.headers]
        self._channels, self._domain = pixel_format.channels, domain

    def __len__(self) -> int:
        return len(self._headers)

    def __getitem__(self, index: int) -> Record:
        number = bisect.bisect_right(self._ends, index)
        shard = self._shards[number]
        content = shard.read(index - self._ends[number] + len(shard.headers))
        with naming(self.label(index)):
            image = open_image(io.BytesIO(content), self._channels)
        return {self._domain: image, "name": self._headers[index][0]}

    def header(self, index: int) -> Header:
        """Name and (height, width) of an image."""
        return self._headers[index]

    def label(self, index: int) -> str:
        """What messages call an image."""
        shard = self._shards[bisect.bisect_right(self._ends, index)]
        return f"{self._headers[index][0]} in {shard.path}"


class _Shard:
    """One file; its reader may be used by several threads."""

    def __init__(self, path: pathlib.Path):
        from array_record.python import array_record_module

        self.path = path
        self._reader = array_record_module.ArrayRecordReader(str(path), options=READING)
        count = self._reader.num_records() - 1
        try:
            rows = json.loads(self.read(count))
            self.headers = [(str(name), (int(h), int(w))) for name, h, w in rows]
        except (TypeError, ValueError) as error:
            raise _damaged(path, error) from error
        if len(self.headers) != count:
            raise _damaged(path, f"{count} images, and names of {len(self.headers)}")

    def read(self, position: int) -> bytes:
        """A record. Raises ValueError if the file is damaged."""
        if not self._reader.ok():
            raise _damaged(self.path, "it has no records")
        try:
            return self._reader.read([position])[0]
        except (IndexError, RuntimeError) as error:
            raise _damaged(self.path, error) from error


def _damaged(path, reason):
    return ValueError(f"{path} is damaged ({reason}): copy it again, or prepare the data anew")


def _complete(folder):
    """The shards of a folder in their order, all of them."""
    paths = sorted(filter(is_shard, folder.iterdir()))
    names = [re.fullmatch(r"(\d{5})-of-(\d{5})", path.stem) for path in paths]
    if not all(names) or len({match[2] for match in names}) > 1:
        raise ValueError(
            f"{folder} has {SUFFIX} files that are no shards of one whole, as "
            "python -m pix2pix_jax.dataset prepare --format=array_record writes them"
        )
    if len(paths) != (total := int(names[0][2])):
        raise ValueError(f"{folder} has {len(paths)} of {total} shards: copy the others there, too")
    return paths


def write(folder: pathlib.Path, names: Sequence[str], make: Callable[[list[str]], Any]) -> None:
    """Writes images into shards, in the order in which a folder of their PNG files is read.

    Args:
        folder: for the shards.
        names: of the images.
        make: gives the images, uint8 [H, W, C], of some names.
    """
    from array_record.python import array_record_module

    ordered = sorted(names, key=lambda name: natural(f"{name}.png"))
    parts = [ordered[i : i + IMAGES] for i in range(0, len(ordered), IMAGES)]
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts):
        path, rows = folder / f"{number:05}-of-{len(parts):05}{SUFFIX}", []
        with whole_file(path) as temporary:
            writer = array_record_module.ArrayRecordWriter(str(temporary), WRITING)
            for name, image in zip(part, make(part), strict=True):
                writer.write(_png(image))
                rows.append([name, *image.shape[:2]])
            writer.write(json.dumps(rows).encode())
            writer.close()


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    to_pil(image).save(file, "PNG", **PICTURES["png"][1])
    return file.getvalue()
