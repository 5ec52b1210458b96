"""TFDS builders for the archives of the pix2pix authors, without TensorFlow.

A data set is downloaded and prepared once, below data.tfds_dir (array_record files), in the order
of the file names. The JPEGs are stored as published; `tfds_sources` reads them.
"""

import contextlib
import gzip
import io
import pathlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.example_serializer import ExampleSerializer
from tensorflow_datasets.core.splits import SplitInfo

from pix2pix_jax.images.files import is_image, natural

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


class _InOrder:
    """Builder that writes each split as it is generated: in order, one file, little memory.

    TFDS's own way keeps up to 1 GB of a split in memory and beyond that sorts in files that it
    opens with TensorFlow.
    """

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[Any]:
        del download_config
        serializer = ExampleSerializer(self.info.features.get_serialized_info())
        splits = []
        for split, examples in self._split_generators(dl_manager).items():
            template = self._get_filename_template(split_name=split)
            lengths: list[int] = []

            def encoded(examples=examples, lengths=lengths):
                for key, example in examples:
                    encoded = self.info.features.encode_example(example)
                    lengths.append(len(record := serializer.serialize_example(encoded)))
                    yield key, record

            path = template.sharded_filepath(shard_index=0, num_shards=1)
            self._example_writer().write(path, encoded())
            if not lengths:
                raise ValueError(f"the archive has no images of the split {split}")
            print(f"prepared {len(lengths)} images of {split}", flush=True)
            splits.append(
                SplitInfo(
                    name=split,
                    shard_lengths=[len(lengths)],
                    num_bytes=sum(lengths),
                    filename_template=template,
                )
            )
        return splits

    def _generate_examples(
        self, read: Callable[[str], bytes], names: Iterable[str], folder: str
    ) -> Iterator[tuple[int, Any]]:
        """The images in a folder of an archive, sorted by name; `read` gives a file's content."""
        found = {n: pathlib.PurePosixPath(n) for n in names if f"/{folder}/" in f"/{n}"}
        images = (name for name, path in found.items() if is_image(path))
        for i, name in enumerate(sorted(images, key=natural)):
            yield i, {"image": io.BytesIO(read(name)), "name": found[name].stem}


def _info(builder, homepage):
    features = {"image": tfds.features.Image(), "name": tfds.features.Text()}
    return builder.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(features),
        homepage=homepage,
        disable_shuffling=True,  # keeps the order of the file names
    )


class Pix2pix(_InOrder, tfds.core.GeneratorBasedBuilder):
    """Pairs A|B side by side in one JPEG."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=name) for name in PIX2PIX_SPLITS
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return _info(self, "https://phillipi.github.io/pix2pix/")

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, Any]]]:
        name = self.builder_config.name
        archive = pathlib.Path(dl_manager.download(PIX2PIX_URL.format(name=name)))
        with _removed_if_damaged(archive):
            tar = _unzipped(archive)
        members = {member.name: member for member in tar if member.isfile()}
        read = lambda member: tar.extractfile(members[member]).read()
        return {
            split: self._generate_examples(read, members, f"{name}/{split}")
            for split in PIX2PIX_SPLITS[name]
        }


@contextlib.contextmanager
def _removed_if_damaged(archive: pathlib.Path) -> Iterator[None]:
    """TFDS would take a damaged download again in every later run; without it, it asks anew."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, zlib.error):
        for path in (archive, archive.with_name(f"{archive.name}.INFO")):
            path.unlink(missing_ok=True)
        raise


def _unzipped(archive: pathlib.Path) -> tarfile.TarFile:
    """The .tar.gz without compression, in a file that vanishes with it.

    In gzip every step backwards decompresses from the start again, and names are not in order.
    """
    file = tempfile.TemporaryFile(dir=archive.parent)  # noqa: SIM115
    with gzip.open(archive) as content:
        shutil.copyfileobj(content, file, 2**20)
    file.seek(0)
    return tarfile.open(fileobj=file)


class CycleGan(_InOrder, tfds.core.GeneratorBasedBuilder):
    """Two sets of images, in folders trainA, trainB, testA and testB."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=name) for name in CYCLEGAN_NAMES
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return _info(self, "https://junyanz.github.io/CycleGAN/")

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, Any]]]:
        name = self.builder_config.name
        path = pathlib.Path(dl_manager.download(CYCLEGAN_URL.format(name=name)))
        with _removed_if_damaged(path):
            archive = zipfile.ZipFile(path)
        return {
            split: self._generate_examples(archive.read, archive.namelist(), f"{name}/{split}")
            for split in CYCLEGAN_SPLITS
        }
