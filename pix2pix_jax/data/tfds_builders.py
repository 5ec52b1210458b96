"""TFDS builders for the archives of the pix2pix authors, without TensorFlow.

The first use downloads and prepares a data set below data.tfds_dir (array_record files); the
JPEGs are stored as published and decoded by PIL, so every machine sees the same pixels.
"""

import io
import os
import pathlib
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from pix2pix_jax.data.sources import Record, natural, open_image, split_pair

PIX2PIX_URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"
PIX2PIX_SPLITS = {
    "facades": ("train", "val", "test"),
    "cityscapes": ("train", "val"),
    "maps": ("train", "val"),
    "edges2shoes": ("train", "val"),
    "edges2handbags": ("train", "val"),
    "night2day": ("train", "val", "test"),
}


CYCLEGAN_URL = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/{name}.zip"
CYCLEGAN_NAMES = (
    "horse2zebra",
    "apple2orange",
    "summer2winter_yosemite",
    "monet2photo",
    "cezanne2photo",
    "ukiyoe2photo",
    "vangogh2photo",
    "maps",
    "cityscapes",
    "facades",
    "iphone2dslr_flower",
)
CYCLEGAN_SPLITS = ("trainA", "trainB", "testA", "testB")


class Pix2pix(tfds.core.GeneratorBasedBuilder):
    """Pairs A|B side by side in one JPEG."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=name) for name in PIX2PIX_SPLITS
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(), "name": tfds.features.Text()}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            homepage="https://phillipi.github.io/pix2pix/",
            disable_shuffling=True,  # keeps the order of the file names
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, Any]]]:
        name = self.builder_config.name
        archive = dl_manager.download(PIX2PIX_URL.format(name=name))
        return {
            split: self._generate_examples(os.fspath(archive), f"{name}/{split}/")
            for split in PIX2PIX_SPLITS[name]
        }

    def _generate_examples(self, archive: str, folder: str) -> Iterator[tuple[int, Any]]:
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if m.isfile() and folder in f"/{m.name}"]
            members.sort(key=lambda member: natural(member.name))
            for i, member in enumerate(members):
                content = io.BytesIO(tar.extractfile(member).read())
                yield i, {"image": content, "name": pathlib.PurePosixPath(member.name).stem}


class CycleGan(tfds.core.GeneratorBasedBuilder):
    """Two sets of images, in folders trainA, trainB, testA and testB."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=name) for name in CYCLEGAN_NAMES
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(), "name": tfds.features.Text()}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            homepage="https://junyanz.github.io/CycleGAN/",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, Any]]]:
        name = self.builder_config.name
        archive = os.fspath(dl_manager.download(CYCLEGAN_URL.format(name=name)))
        return {s: self._generate_examples(archive, f"{name}/{s}/") for s in CYCLEGAN_SPLITS}

    def _generate_examples(self, archive: str, folder: str) -> Iterator[tuple[int, Any]]:
        with zipfile.ZipFile(archive) as file:
            names = [n for n in file.namelist() if folder in f"/{n}" and not n.endswith("/")]
            for i, name in enumerate(sorted(names, key=natural)):
                stem = pathlib.PurePosixPath(name).stem
                yield i, {"image": io.BytesIO(file.read(name)), "name": stem}


class TfdsImages:
    """One domain of a prepared (or now downloaded) CycleGAN data set: {domain, "name"}."""

    def __init__(self, name: str, split: str, tfds_dir: str, channels: int):
        """`split` is trainA, trainB, testA or testB. Raises as `TfdsPairs`."""
        if name not in CYCLEGAN_NAMES:
            raise ValueError(
                f"data.name is {name!r}; choose one of {', '.join(CYCLEGAN_NAMES)}, or give a "
                "folder as data.dir"
            )
        if split not in CYCLEGAN_SPLITS:
            raise ValueError(
                f"{name} has the splits train and test, not {split[:-1]!r}: set "
                "data.train_split or data.eval_split"
            )
        self._records = _records(CycleGan, name, split, tfds_dir, CYCLEGAN_URL)
        self._domain, self._channels = split[-1], channels

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        record = self._records[index]
        image = open_image(io.BytesIO(record["image"]), self._channels)
        return {self._domain: image, "name": record["name"].decode()}


class TfdsPairs:
    """The pairs of a prepared (or now downloaded) data set: {"A", "B", "name"}."""

    def __init__(self, name: str, split: str, tfds_dir: str, channels: tuple[int, int]):
        """Downloads and prepares the data set if need be.

        Raises:
            ValueError: no such data set or split.
            FileNotFoundError: it could not be downloaded.
        """
        if name not in PIX2PIX_SPLITS:
            names = ", ".join(["synthetic", *PIX2PIX_SPLITS])
            raise ValueError(
                f"data.name is {name!r}; choose one of {names}, or give a folder as data.dir"
            )
        if split not in PIX2PIX_SPLITS[name]:
            splits = ", ".join(PIX2PIX_SPLITS[name])
            raise ValueError(
                f"{name} has no split {split!r} but {splits}: set data.train_split or "
                "data.eval_split"
            )
        self._records = _records(Pix2pix, name, split, tfds_dir, PIX2PIX_URL)
        self._channels = channels

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        record = self._records[index]
        image = open_image(io.BytesIO(record["image"]), 3)
        return {**split_pair(image, self._channels), "name": record["name"].decode()}


def _records(make_builder, name, split, tfds_dir, url):
    """The records of a split, with images as encoded bytes; prepares the data set if need be."""
    data_dir = os.path.expanduser(tfds_dir) or None
    builder = make_builder(config=name, data_dir=data_dir, file_format="array_record")
    _prepare(builder, url.format(name=name))
    return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def _prepare(builder, url):
    config = tfds.download.DownloadConfig(register_checksums=False, verify_ssl=True)
    try:
        builder.download_and_prepare(download_config=config)
    except ImportError:
        raise
    except Exception as error:  # whatever the network or the archive brings
        raise FileNotFoundError(
            f"{url} could not be downloaded and prepared ({type(error).__name__}: {error}). Fetch "
            "and unpack it by hand, and give the folder with train/ as --config.data.dir=FOLDER"
        ) from error
