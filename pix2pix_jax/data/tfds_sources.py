"""Record sources of prepared TFDS data sets; JPEGs are decoded by PIL, the same everywhere."""

import contextlib
import io
import os
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from pix2pix_jax.data import tfds_builders
from pix2pix_jax.data.sources import Header, Record, split_pair
from pix2pix_jax.images.files import image_size, naming, open_image

CONNECTION_SECONDS = 20


class _Records:
    """A prepared split: images as they were published, decoded by PIL."""

    def __init__(self, builder: Any, split: str, url: str):
        _prepare(builder, url)
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
        if name not in tfds_builders.CYCLEGAN_NAMES:
            names = ", ".join(tfds_builders.CYCLEGAN_NAMES)
            raise ValueError(
                f"data.name is {name!r}; choose one of {names}, or give a folder as data.dir"
            )
        if split not in tfds_builders.CYCLEGAN_SPLITS:
            raise ValueError(
                f"{name} has the splits train and test, not {split[:-1]!r}: set "
                "data.train_split or data.eval_split"
            )
        self._records = _open(
            tfds_builders.CycleGan, name, split, tfds_dir, tfds_builders.CYCLEGAN_URL
        )
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
        if name not in tfds_builders.PIX2PIX_SPLITS:
            names = ", ".join(["synthetic", *tfds_builders.PIX2PIX_SPLITS])
            raise ValueError(
                f"data.name is {name!r}; choose one of {names}, or give a folder as data.dir"
            )
        if split not in tfds_builders.PIX2PIX_SPLITS[name]:
            splits = ", ".join(tfds_builders.PIX2PIX_SPLITS[name])
            raise ValueError(
                f"{name} has no split {split!r} but {splits}: set data.train_split or "
                "data.eval_split"
            )
        self._records = _open(
            tfds_builders.Pix2pix, name, split, tfds_dir, tfds_builders.PIX2PIX_URL
        )
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


def _open(make_builder, name, split, tfds_dir, url):
    """The records of a split; downloads and prepares the data set if need be."""
    data_dir = os.path.expanduser(tfds_dir) or None
    builder = make_builder(config=name, data_dir=data_dir, file_format="array_record")
    return _Records(builder, split, url.format(name=name))


def _prepare(builder, url):
    config = tfds.download.DownloadConfig(register_checksums=False, verify_ssl=True)
    try:
        if not builder.is_prepared():
            _check_connection(url)
        builder.download_and_prepare(download_config=config)
    except ImportError:
        raise
    except Exception as error:  # whatever the network or the archive brings
        raise FileNotFoundError(
            f"{url} could not be downloaded and prepared ({type(error).__name__}: {error}). Fetch "
            "and unpack it by hand, and give the folder with its splits as --config.data.dir=FOLDER"
        ) from error


def _check_connection(url):
    """Raises OSError within seconds; TFDS tries an unreachable host for minutes."""
    request = urllib.request.Request(url, method="HEAD")
    with contextlib.suppress(urllib.error.HTTPError):  # an answer; the download will tell more
        urllib.request.urlopen(request, timeout=CONNECTION_SECONDS).close()
