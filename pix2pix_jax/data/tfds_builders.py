"""TFDS builders for the archives of the pix2pix and CycleGAN authors, without TensorFlow.

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

from pix2pix_jax.data.catalogue import PAIRED, UNPAIRED, DataSet
from pix2pix_jax.images.finding import is_image, natural

Archive = tuple[Callable[[str], bytes], list[str]]  # reads a file's content; the files' names
# What reading a damaged .tar.gz or .zip raises; a full disk (OSError) is none of these.
DAMAGE = (
    EOFError,
    KeyError,
    RuntimeError,  # of zipfile: "encrypted"
    ValueError,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class DamagedArchiveError(ValueError):
    """An archive that cannot be read to its end, or lacks images."""


class _ArchiveBuilder:
    """Builder that writes each split as it is generated: in order, one file, little memory.

    TFDS's own way keeps up to 1 GB of a split in memory and beyond that sorts in files that it
    opens with TensorFlow. A subclass has `DATA_SETS` and `_open`.
    """

    DATA_SETS: dict[str, DataSet]

    def _open(self, path: pathlib.Path) -> Archive:
        raise NotImplementedError

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[Any]:
        del download_config
        data_set = self.DATA_SETS[self.builder_config.name]
        with _partial_downloads_removed(pathlib.Path(dl_manager.download_dir)):
            path = pathlib.Path(dl_manager.download(data_set.url))
        with _removed_if_damaged(path):
            with _damage():
                read, names = self._open(path)
            return [
                self._write(folder, self._generate_examples(read, names, data_set.name, folder))
                for folder in data_set.folders
            ]

    def _write(self, split, examples):
        """Writes the examples of a split to its file."""
        serializer = ExampleSerializer(self.info.features.get_serialized_info())
        template = self._get_filename_template(split_name=split)
        lengths: list[int] = []

        def encoded():
            for key, example in examples:
                encoded = self.info.features.encode_example(example)
                lengths.append(len(record := serializer.serialize_example(encoded)))
                yield key, record

        path = template.sharded_filepath(shard_index=0, num_shards=1)
        self._example_writer().write(path, encoded())
        if not lengths:
            raise DamagedArchiveError(f"the archive has no images of the split {split}")
        print(f"prepared {len(lengths)} images of {split}", flush=True)
        return SplitInfo(
            name=split,
            shard_lengths=[len(lengths)],
            num_bytes=sum(lengths),
            filename_template=template,
        )

    def _split_generators(self, dl_manager: Any) -> Any:
        raise NotImplementedError("_generate_splits takes its place")

    def _generate_examples(
        self, read: Callable[[str], bytes], names: Iterable[str], root: str, folder: str
    ) -> Iterator[tuple[int, Any]]:
        """The images in root/folder of an archive, sorted by name."""
        found = {n: pathlib.PurePosixPath(n) for n in names if f"/{root}/{folder}/" in f"/{n}"}
        images = (name for name, path in found.items() if is_image(path))
        for i, name in enumerate(sorted(images, key=natural)):
            with _damage():
                content = io.BytesIO(read(name))
            yield i, {"image": content, "name": found[name].stem}


@contextlib.contextmanager
def _partial_downloads_removed(folder: pathlib.Path) -> Iterator[None]:
    """Removes what a failed download leaves in TFDS's folder of downloads."""
    partial = lambda: set(folder.rglob("*.tmp.*")) if folder.is_dir() else set()
    before = partial()
    try:
        yield
    except BaseException:  # Ctrl-C too
        for path in partial() - before:
            shutil.rmtree(path, ignore_errors=True)
        raise


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Turns the errors of `DAMAGE` into a DamagedArchiveError."""
    try:
        yield
    except DAMAGE as error:
        raise DamagedArchiveError(f"the archive is damaged: {error}") from error


@contextlib.contextmanager
def _removed_if_damaged(archive: pathlib.Path) -> Iterator[None]:
    """Removes a damaged archive, so that the next run downloads it again.

    TFDS would use it again, for it takes every archive that it has downloaded for a good one.
    """
    try:
        yield
    except DamagedArchiveError:
        for path in (archive, archive.with_name(f"{archive.name}.INFO")):
            path.unlink(missing_ok=True)
        raise


def _info(builder, homepage):
    features = {"image": tfds.features.Image(), "name": tfds.features.Text()}
    return builder.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(features),
        homepage=homepage,
        disable_shuffling=True,  # keeps the order of the file names
    )


class Pix2pix(_ArchiveBuilder, tfds.core.GeneratorBasedBuilder):
    """Pairs A|B side by side in one JPEG."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in PAIRED]  # noqa: RUF012
    DATA_SETS = PAIRED

    def _info(self) -> tfds.core.DatasetInfo:
        return _info(self, "https://phillipi.github.io/pix2pix/")

    def _open(self, path: pathlib.Path) -> Archive:
        tar = _unzipped(path)
        members = {member.name: member for member in tar if member.isfile()}
        return lambda name: tar.extractfile(members[name]).read(), list(members)


def _unzipped(archive: pathlib.Path) -> tarfile.TarFile:
    """The .tar.gz without compression, in a file that is deleted when it is closed.

    In gzip every step backwards decompresses from the start again, and names are not in order.
    """
    file = tempfile.TemporaryFile(dir=archive.parent)  # noqa: SIM115
    with gzip.open(archive) as content:
        shutil.copyfileobj(content, file, 2**20)
    file.seek(0)
    return tarfile.open(fileobj=file)


class CycleGan(_ArchiveBuilder, tfds.core.GeneratorBasedBuilder):
    """Two sets of images, in folders trainA, trainB, testA and testB."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in UNPAIRED]  # noqa: RUF012
    DATA_SETS = UNPAIRED

    def _info(self) -> tfds.core.DatasetInfo:
        return _info(self, "https://junyanz.github.io/CycleGAN/")

    def _open(self, path: pathlib.Path) -> Archive:
        archive = zipfile.ZipFile(path)
        return archive.read, archive.namelist()
