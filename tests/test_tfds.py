"""Our TFDS builders on small archives of the published form, without TensorFlow."""

import io
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from pix2pix_jax.data import tfds_builders

NAMES = ("10", "2", "1")


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """facades.tar.gz with three pairs a split; the downloader hands it out."""
    path = tmp_path / "facades.tar.gz"
    contents = {}
    generator = np.random.default_rng(0)
    with tarfile.open(path, "w:gz") as tar:
        for split in ("train", "val", "test"):
            for name in NAMES:
                file = io.BytesIO()
                pair = generator.integers(0, 256, (16, 32, 3), np.uint8)
                Image.fromarray(pair).save(file, "JPEG")
                member = tarfile.TarInfo(f"./facades/{split}/{name}.jpg")
                member.size = len(file.getvalue())
                tar.addfile(member, io.BytesIO(file.getvalue()))
                contents[split, name] = file.getvalue()
    manager = tfds.download.DownloadManager
    monkeypatch.setattr(manager, "download", lambda self, url: path)
    return contents


def test_pairs_have_the_pixels_of_the_published_files(archive, tmp_path):
    for split in ("train", "test"):
        source = tfds_builders.TfdsPairs("facades", split, str(tmp_path / "tfds"), (3, 3))
        assert [source[i]["name"] for i in range(len(source))] == ["1", "2", "10"]
        for i in range(3):
            record = source[i]
            pair = np.asarray(Image.open(io.BytesIO(archive[split, record["name"]])))
            np.testing.assert_array_equal(record["A"], pair[:, :16])
            np.testing.assert_array_equal(record["B"], pair[:, 16:])
    assert "tensorflow" not in sys.modules


def test_images_of_a_cyclegan_archive(tmp_path, monkeypatch):
    path, contents = tmp_path / "horse2zebra.zip", {}
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("horse2zebra/", "")
        for split, count in (("trainA", 3), ("trainB", 2), ("testA", 1), ("testB", 1)):
            for i in range(count):
                file = io.BytesIO()
                image = generator.integers(0, 256, (16, 20, 3), np.uint8)
                Image.fromarray(image).save(file, "JPEG")
                archive.writestr(f"horse2zebra/{split}/n{i}.jpg", file.getvalue())
                contents[split, f"n{i}"] = file.getvalue()
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda self, url: path)
    for split, count in (("trainA", 3), ("testB", 1)):
        source = tfds_builders.TfdsImages("horse2zebra", split, str(tmp_path / "tfds"), 3)
        assert len(source) == count
        for i in range(count):
            record = source[i]
            expected = np.asarray(Image.open(io.BytesIO(contents[split, record["name"]])))
            np.testing.assert_array_equal(record[split[-1]], expected)
    with pytest.raises(ValueError, match="splits train and test, not 'val'"):
        tfds_builders.TfdsImages("horse2zebra", "valA", "", 3)


def test_unknown_names_and_splits():
    with pytest.raises(ValueError, match=r"'facade'; choose one of synthetic, facades"):
        tfds_builders.TfdsPairs("facade", "train", "", (3, 3))
    with pytest.raises(ValueError, match="maps has no split 'test' but train, val"):
        tfds_builders.TfdsPairs("maps", "test", "", (3, 3))


def test_a_failed_download_names_the_address_and_the_mend(tmp_path, monkeypatch):
    def fail(self, url):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", fail)
    with pytest.raises(FileNotFoundError, match=r"facades\.tar\.gz.*no route.*config\.data\.dir"):
        tfds_builders.TfdsPairs("facades", "train", str(tmp_path), (3, 3))
