"""Record sources of prepared TFDS data sets; PIL decodes the JPEGs, as it does files."""

import contextlib
import io
import os
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from pix2pix_jax.data import tfds_builders
from pix2pix_jax.data.catalogue import PAIRED, UNPAIRED, DataSet
from pix2pix_jax.data.side_by_side import split_pair
from pix2pix_jax.data.sources import Header, Record
from pix2pix_jax.images.files import image_size, naming, open_image

CONNECTION_SECONDS = 20


class _Records:
    """A prepared split: images as they were published, decoded by PIL."""

    def __init__(self, make_builder: Any, data_set: DataSet, split: str, tfds_dir: str):
        data_dir = os.path.expanduser(tfds_dir) or None
        builder = make_builder(config=data_set.name, data_dir=data_dir, file_format="array_record")
        _prepare(builder, data_set)
        self._label = f"an image of {builder.builder_config.name}/{split}"
        self._records = builder.as_data_source(
            split, decoders={"image": tfds.decode.SkipDecoding()}
        )

    def __len__(self) -> int:
        return len(self._records)

    def read(self, index: int, channels: int) -> tuple[str, np.ndarray]:
        """Name and image, uint8 [H, W, channels]. Raises ValueError if it is damaged."""
        record = self._records[index]
        name = record["name"].decode()
        with naming(f"{name}, {self._label},"):
            return name, open_image(io.BytesIO(record["image"]), channels)

    def header(self, index: int) -> Header:
        """Name and (height, width), without decoding."""
        record = self._records[index]
        name = record["name"].decode()
        with naming(f"{name}, {self._label},"):
            return name, image_size(io.BytesIO(record["image"]))


class TfdsImages:
    """One domain of a prepared (or now downloaded) CycleGAN data set: {domain, "name"}."""

    def __init__(self, name: str, split: str, tfds_dir: str, channels: int):
        """`split` is trainA, trainB, testA or testB. Raises as `TfdsPairs`."""
        data_set = _find(UNPAIRED, name)
        if split not in data_set.folders:
            raise ValueError(
                f"{name} has the splits {' and '.join(data_set.splits)}, not {split[:-1]!r}: set "
                "data.train_split or data.eval_split"
            )
        self._records = _Records(tfds_builders.CycleGan, data_set, split, tfds_dir)
        self._domain, self._channels = split[-1], channels

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        name, image = self._records.read(index, self._channels)
        return {self._domain: image, "name": name}

    def header(self, index: int) -> Header:
        """Name and (height, width) of an image."""
        return self._records.header(index)


class TfdsPairs:
    """The pairs of a prepared (or now downloaded) data set: {"A", "B", "name"}."""

    def __init__(self, name: str, split: str, tfds_dir: str, channels: tuple[int, int]):
        """Downloads and prepares the data set if need be.

        Raises:
            ValueError: no such data set or split.
            FileNotFoundError: it could not be downloaded.
        """
        data_set = _find(PAIRED, name, "synthetic")
        if split not in data_set.splits:
            raise ValueError(
                f"{name} has no split {split!r} but {', '.join(data_set.splits)}: set "
                "data.train_split or data.eval_split"
            )
        self._records = _Records(tfds_builders.Pix2pix, data_set, split, tfds_dir)
        self._channels = channels

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        name, image = self._records.read(index, 3)
        return {**split_pair(image, self._channels), "name": name}

    def header(self, index: int) -> Header:
        """Name of a pair and (height, width) of each of its images."""
        name, (height, width) = self._records.header(index)
        return name, (height, width // 2)


def _find(data_sets, name, *others):
    if name not in data_sets:
        raise ValueError(
            f"data.name is {name!r}; choose one of {', '.join([*others, *data_sets])}, or give a "
            "folder as data.dir"
        )
    return data_sets[name]


def _prepare(builder, data_set):
    """Downloads and prepares the data set if need be."""
    url = data_set.url
    config = tfds.download.DownloadConfig(register_checksums=False, verify_ssl=True)
    try:
        if not builder.is_prepared():
            _check_connection(url)
            numbers = " + ".join(f"{n:,}" for n in data_set.train_images[: 2 - data_set.paired])
            kind = "pairs" if data_set.paired else "images"
            print(f"downloading {url} ({numbers} training {kind})", flush=True)
        builder.download_and_prepare(download_config=config)
    except ImportError:
        raise
    except Exception as error:  # whatever the network or the archive brings
        raise FileNotFoundError(
            f"{url} could not be downloaded and prepared ({type(error).__name__}: {error}). Try "
            "again; or fetch and unpack it by hand, and give the folder with its splits as "
            "--config.data.dir=FOLDER"
        ) from error


def _check_connection(url):
    """Raises OSError within seconds; TFDS tries an unreachable host for minutes."""
    request = urllib.request.Request(url, method="HEAD")
    with contextlib.suppress(urllib.error.HTTPError):  # an answer; the download will tell more
        urllib.request.urlopen(request, timeout=CONNECTION_SECONDS).close()
