"""Our TFDS builders, without TensorFlow, on small archives of the published form.

The archives come from a web server on this machine, so that TFDS's own downloader takes part.
"""

import functools
import gzip
import http.server
import io
import sys
import tarfile
import threading
import time
import zipfile

import numpy as np
import pytest
from PIL import Image
from tensorflow_datasets.core import shuffle

from pix2pix_jax.data import catalogue, tfds_builders, tfds_sources
from pix2pix_jax.images import palettes

NAMES = ("10", "2", "1")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Quiet; where the server has `cut`, the connection breaks after so many bytes."""

    def log_message(self, *_):
        pass

    def copyfile(self, source, output):
        output.write(source.read(self.server.cut))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder whose archives are what the builders download, and its server."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.cut = -1
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{{name}}"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(catalogue, "PIX2PIX_URL", f"{address}.tar.gz")
        monkeypatch.setattr(catalogue, "CYCLEGAN_URL", f"{address}.zip")
        yield folder, server
        server.shutdown()


def jpeg(generator, height, width):
    file = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def served(server):
    return server[0]


def write_tar(path, contents):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def facades(served):
    """facades.tar.gz with three pairs a split, in no order, and what archivers leave behind."""
    generator = np.random.default_rng(0)
    contents = {"./facades/train/._1.jpg": b"macOS", "./facades/train/Thumbs.db": b"Windows"}
    for split in ("train", "val", "test"):
        for name in NAMES:
            contents[f"./facades/{split}/{name}.jpg"] = jpeg(generator, 16, 32)
    write_tar(served / "facades.tar.gz", contents)
    return contents


def test_pairs_have_the_pixels_of_the_published_files(facades, tmp_path):
    for split in ("train", "test"):
        source = tfds_sources.TfdsPairs("facades", split, str(tmp_path / "tfds"), (3, 1))
        assert [source[i]["name"] for i in range(len(source))] == ["1", "2", "10"]
        for i in range(3):
            record = source[i]
            pair = Image.open(io.BytesIO(facades[f"./facades/{split}/{record['name']}.jpg"]))
            a, b = (pair.crop((x, 0, x + 16, 16)) for x in (0, 16))
            np.testing.assert_array_equal(record["A"], np.asarray(a))
            np.testing.assert_array_equal(record["B"][..., 0], np.asarray(b.convert("L")))
            assert source.header(i) == (record["name"], (16, 16))
    assert "tensorflow" not in sys.modules


def test_a_prepared_set_needs_no_network(facades, served, tmp_path):
    first = tfds_sources.TfdsPairs("facades", "train", str(tmp_path / "tfds"), (3, 3))
    (served / "facades.tar.gz").unlink()
    again = tfds_sources.TfdsPairs("facades", "val", str(tmp_path / "tfds"), (3, 3))
    assert len(first) == len(again) == 3


def test_splits_beyond_the_memory_of_tfds_are_prepared(facades, tmp_path, monkeypatch):
    """TFDS's own writer opens TensorFlow files once a split is larger than this."""
    monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 0)
    source = tfds_sources.TfdsPairs("facades", "train", str(tmp_path / "tfds"), (3, 3))
    assert [source[i]["name"] for i in range(3)] == ["1", "2", "10"]


def test_archives_are_decompressed_once(served, tmp_path, monkeypatch):
    """Sorted names lie anywhere in an archive; steps back in gzip start from its beginning."""
    generator = np.random.default_rng(0)
    contents = {f"maps/train/{i}.jpg": jpeg(generator, 16, 32) for i in reversed(range(40))}
    contents["maps/val/1.jpg"] = jpeg(generator, 16, 32)
    write_tar(served / "maps.tar.gz", contents)
    size = len(gzip.decompress((served / "maps.tar.gz").read_bytes()))
    read = []

    class Counting(gzip.GzipFile):
        def read(self, *arguments):
            read.append(len(content := super().read(*arguments)))
            return content

    monkeypatch.setattr(gzip, "GzipFile", Counting)
    source = tfds_sources.TfdsPairs("maps", "train", str(tmp_path / "tfds"), (3, 3))
    assert [source.header(i)[0] for i in range(40)] == [str(i) for i in range(40)]
    assert sum(read) == size


def test_images_of_a_cyclegan_archive(served, tmp_path):
    contents = {}
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(served / "horse2zebra.zip", "w") as archive:
        archive.writestr("horse2zebra/", "")
        for split, count in (("trainA", 3), ("trainB", 2), ("testA", 1), ("testB", 1)):
            for i in range(count):
                contents[split, f"n{i}"] = jpeg(generator, 16, 20)
                archive.writestr(f"horse2zebra/{split}/n{i}.jpg", contents[split, f"n{i}"])
    for split, count in (("trainA", 3), ("testB", 1)):
        source = tfds_sources.TfdsImages("horse2zebra", split, str(tmp_path / "tfds"), 3)
        assert len(source) == count
        for i in range(count):
            record = source[i]
            expected = np.asarray(Image.open(io.BytesIO(contents[split, record["name"]])))
            np.testing.assert_array_equal(record[split[-1]], expected)
            assert source.header(i) == (f"n{i}", (16, 20))
    with pytest.raises(ValueError, match="splits train and test, not 'val'"):
        tfds_sources.TfdsImages("horse2zebra", "valA", "", 3)


def test_a_damaged_image_is_named(facades, served, tmp_path):
    facades["./facades/val/2.jpg"] = facades["./facades/val/2.jpg"][:-200]
    write_tar(served / "facades.tar.gz", facades)
    source = tfds_sources.TfdsPairs("facades", "val", str(tmp_path / "tfds"), (3, 3))
    with pytest.raises(ValueError, match="2, an image of facades/val, cannot be read"):
        source[1]


def test_unknown_names_and_splits():
    with pytest.raises(ValueError, match=r"'facade'; choose one of synthetic, facades"):
        tfds_sources.TfdsPairs("facade", "train", "", (3, 3))
    with pytest.raises(ValueError, match="maps has no split 'test' but train, val"):
        tfds_sources.TfdsPairs("maps", "test", "", (3, 3))


def test_a_failed_download_names_the_address_and_the_way_round(served, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"facades\.tar\.gz.*404.*config\.data\.dir"):
        tfds_sources.TfdsPairs("facades", "train", str(tmp_path), (3, 3))


def test_without_a_network_the_error_comes_soon(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(catalogue, "PIX2PIX_URL", "http://127.0.0.1:9/{name}.tar.gz")
    began = time.monotonic()
    with pytest.raises(FileNotFoundError, match=r"facades\.tar\.gz.*refused.*config\.data\.dir"):
        tfds_sources.TfdsPairs("facades", "train", str(tmp_path), (3, 3))
    assert time.monotonic() - began < 10


def test_an_archive_without_a_split_is_refused(facades, served, tmp_path):
    kept = {name: content for name, content in facades.items() if "/val/" not in name}
    write_tar(served / "facades.tar.gz", kept)
    with pytest.raises(FileNotFoundError, match="no images of the split val"):
        tfds_sources.TfdsPairs("facades", "train", str(tmp_path / "tfds"), (3, 3))


def truncated_inside(archive):
    """A complete .gz of half a .tar: what a proxy makes of a broken connection."""
    content = gzip.decompress(archive)
    return gzip.compress(content[: len(content) // 2])


def without_a_byte_of_its_files(archive):
    """The directory of a .zip is at its end, so it opens."""
    return archive[:1000] + bytes(20) + archive[1020:]


def open_facades(tmp_path):
    return tfds_sources.TfdsPairs("facades", "train", str(tmp_path / "tfds"), (3, 3))


def downloads(tmp_path):
    return [p for p in (tmp_path / "tfds" / "downloads").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[: len(whole) // 2], lambda _: b"<html>", truncated_inside]
)
def test_a_damaged_download_is_fetched_anew(facades, served, tmp_path, damage):
    path = served / "facades.tar.gz"
    archive = path.read_bytes()
    path.write_bytes(damage(archive))
    with pytest.raises(FileNotFoundError, match=r"facades\.tar\.gz could not be .* Try again"):
        open_facades(tmp_path)
    assert not downloads(tmp_path)
    path.write_bytes(archive)
    assert len(open_facades(tmp_path)) == 3


def test_a_damaged_zip_is_fetched_anew(served, tmp_path):
    path, generator = served / "horse2zebra.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("trainA", "trainB", "testA", "testB"):
            archive.writestr(f"horse2zebra/{split}/1.jpg", jpeg(generator, 16, 40))
    content = path.read_bytes()
    path.write_bytes(without_a_byte_of_its_files(content))
    open_zip = lambda: tfds_sources.TfdsImages("horse2zebra", "trainA", str(tmp_path / "tfds"), 3)
    with pytest.raises(FileNotFoundError, match=r"zip could not be .* archive is damaged"):
        open_zip()
    assert not downloads(tmp_path)
    path.write_bytes(content)
    assert len(open_zip()) == 1


def test_a_broken_connection_leaves_nothing_behind(facades, server, tmp_path):
    server[1].cut = 1000
    with pytest.raises(FileNotFoundError, match=r"could not be .*IncompleteRead.* Try again"):
        open_facades(tmp_path)
    assert not downloads(tmp_path)
    server[1].cut = -1
    assert len(open_facades(tmp_path)) == 3


def test_a_full_disk_keeps_the_download(facades, tmp_path, monkeypatch):
    """The archive is whole; what failed is writing."""

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tfds_builders.shutil, "copyfileobj", full)
        with pytest.raises(FileNotFoundError, match="No space left"):
            open_facades(tmp_path)
    assert len(downloads(tmp_path)) == 2  # and TFDS's note beside it
    assert len(open_facades(tmp_path)) == 3


def test_the_catalogue_knows_what_is_drawn_as_a_label_map():
    drawn = {
        (name, side): palette
        for name in ["synthetic", *catalogue.PAIRED, *catalogue.UNPAIRED]
        for side in "AB"
        if (palette := catalogue.label_palette(name, side))
    }
    assert drawn == {
        ("synthetic", "B"): "facades",
        ("facades", "B"): "facades",
        ("cityscapes", "B"): "cityscapes",
        ("edges2shoes", "A"): "edges",
        ("edges2handbags", "A"): "edges",
    }
    assert set(drawn.values()) == set(palettes.PALETTES)
    assert catalogue.PAIRED["facades"].url.endswith("/pix2pix/datasets/facades.tar.gz")
    assert catalogue.UNPAIRED["facades"].url.endswith("/cyclegan/datasets/facades.zip")
    aligned = {name for name, data_set in catalogue.UNPAIRED.items() if data_set.aligned_test}
    assert aligned == {"facades", "maps", "cityscapes"}
