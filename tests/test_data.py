"""Sources, order and batches against PIL, numpy and the rules that the docstrings state."""

import concurrent.futures
import errno
import io
import os
import types
from contextlib import nullcontext

import jax
import numpy as np
import pytest
from PIL import Image

from configs.default import get_config
from pix2pix_jax.data import examples, loading, sources
from pix2pix_jax.data.examples import Examples
from pix2pix_jax.data.prefetch import prefetched
from pix2pix_jax.data.unpaired import UnpairedExamples
from pix2pix_jax.images.files import image_size, read_image
from pix2pix_jax.images.finding import find_images, natural
from tests.conftest import make_batch, small_config


def picture(height, width, channels=3, seed=0):
    """Label-map-like: blocks of saturated colours, hard for resampling, and some noise."""
    generator = np.random.default_rng(seed)
    blocks = generator.choice([0, 85, 170, 255], (height // 4 + 1, width // 4 + 1, channels))
    image = np.kron(blocks, np.ones((4, 4, 1)))[:height, :width].astype(np.uint8)
    image[: height // 2] = generator.integers(0, 256, image[: height // 2].shape)
    return image


# Order


@pytest.mark.parametrize("n, batch_size", [(7, 1), (7, 3), (5, 8)])
def test_every_epoch_is_a_permutation_and_no_batch_has_a_history(n, batch_size):
    stream = examples.order(3, n, 0, 4 * n)
    epochs = stream.reshape(4, n)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(n))
    assert len({tuple(epoch) for epoch in epochs}) > 1
    for step in range(4 * n // batch_size):
        batch = examples.order(3, n, step * batch_size, batch_size)
        np.testing.assert_array_equal(batch, stream[step * batch_size :][:batch_size])
    assert (examples.order(4, n, 0, 4 * n) != stream).any()


def test_unshuffled_examples_come_in_order_again_and_again():
    np.testing.assert_array_equal(
        examples.order(3, 5, 3, 9, shuffle=False), [3, 4, 0, 1, 2, 3, 4, 0, 1]
    )


class Pictures:
    """A source of pictures of given sizes."""

    def __init__(self, sizes):
        self._sizes = sizes

    def __len__(self):
        return len(self._sizes)

    def __getitem__(self, index):
        a, b = (picture(*self._sizes[index], seed=2 * index + i) for i in (0, 1))
        return {"A": a, "B": b, "name": f"picture {index}"}


def settings(**fields):
    config = get_config()
    config.data.update({"load_size": (20, 20), "crop_size": (16, 16), **fields})
    return config


DOMAINS = {"input": "A", "target": "B"}


def whole_chunks(examples, spans, ahead_mb=1):
    """`prefetched` in batches of three, on one device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return prefetched(examples, spans, 3, ahead_mb, sharding)


def take(chunk, i):
    """What one step takes of a chunk."""
    return jax.tree.map(lambda x: x[i], chunk)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(
    "sizes",
    [[(20, 24)] * 5, [(18, 17)] * 5, [(18, 17), (20, 24), (16, 30), (18, 17), (20, 20)]],
    ids=["resized by the host", "by the device", "by both"],
)
def test_streamed_batches_equal_cached_ones(sizes, flip):
    config = settings(flip=flip, cache_mb=1)
    source, spans = Pictures(sizes), [range(2, 4), range(4, 5), range(5, 8)]
    cached = Examples(source, DOMAINS, config.data, 0, train=True)
    config.data.cache_mb = 0
    streamed = Examples(source, DOMAINS, config.data, 0, train=True)
    assert cached.cache is not None and streamed.cache is None
    for span, (steps, a), (same, b) in zip(
        spans, *(whole_chunks(e, spans) for e in (cached, streamed)), strict=True
    ):
        assert steps == same == span
        assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(b))
        for i, number in enumerate(span):
            one = make_batch(config, cached, number, take(a, i))
            two = make_batch(config, streamed, number, take(b, i))
            for name in DOMAINS:
                assert one[name].shape == (3, 16, 16, 3)
                np.testing.assert_array_equal(one[name], two[name])


class Immediately:
    """Stands for an executor, and counts what it is given."""

    def __init__(self, *_):
        self.done = 0

    def submit(self, function, *arguments):
        self.done += 1
        future = concurrent.futures.Future()
        future.set_result(function(*arguments))
        return future


@pytest.mark.parametrize("ahead_mb, waiting", [(1, 2), (3, 6)])
def test_chunks_are_made_ahead_by_their_bytes(ahead_mb, waiting, monkeypatch):
    """Half a MiB each, but at least one."""
    pool = Immediately()
    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", lambda _: nullcontext(pool))
    make = lambda step, steps, *_: np.full((steps, 2**18), step, np.uint8)
    examples = types.SimpleNamespace(cache=None, chunk=make)
    chunks = whole_chunks(examples, [range(i, i + 2) for i in range(0, 20, 2)], ahead_mb)
    for taken, (steps, chunk) in enumerate(chunks, 1):
        assert pool.done == min(taken + waiting, 10)
        assert (chunk == steps.start % 256).all()
    assert taken == 10
    chunks = whole_chunks(examples, [range(0, 9), range(9, 18), range(18, 27)], 1)
    assert next(chunks)[1].shape == (9, 2**18) and pool.done == 12  # each larger than a MiB


def test_both_images_of_a_pair_get_the_same_jitter():
    class Twins(Pictures):
        def __getitem__(self, index):
            record = super().__getitem__(index)
            return {**record, "B": record["A"]}

    config = settings()
    examples = Examples(Twins([(20, 20)] * 4), DOMAINS, config.data, 0, train=True)
    batch = make_batch(config, examples, 3, examples.chunk(3, 1, 4)[0])
    np.testing.assert_array_equal(batch["input"], batch["target"])


def test_images_of_several_sizes_are_cropped_inside_themselves():
    """The padding that makes them one array never shows."""

    class White(Pictures):
        def __getitem__(self, index):
            white = np.full((*self._sizes[index], 3), 255, np.uint8)
            return {"A": white, "B": white, "name": str(index)}

    config = settings(preprocess="crop")
    source = White([(16, 30), (40, 17), (16, 16)])
    examples = Examples(source, DOMAINS, config.data, 0, train=True)
    assert examples.cache["input"].pixels.shape == (3, 40, 30, 3)
    for step in range(20):
        chunk = examples.chunk(step, 1, 3)[0]
        batch = make_batch(config, examples, step, chunk)
        assert (batch["input"] == 1).all()


def test_streamed_images_of_several_sizes_equal_cached_ones():
    config = settings(preprocess="crop", cache_mb=1)
    source = Pictures([(16, 30), (40, 17), (16, 16)])
    cached = Examples(source, DOMAINS, config.data, 0, train=True)
    config.data.cache_mb = 0
    streamed = Examples(source, DOMAINS, config.data, 0, train=True)
    chunk = streamed.chunk(0, 3, 2)
    indices = cached.chunk(0, 3, 2)
    assert streamed.cache is None and chunk["input"].pixels.shape == (3, 2, 40, 30, 3)
    for name, images in cached.cache.items():
        np.testing.assert_array_equal(chunk[name].pixels, images.pixels[indices])
        np.testing.assert_array_equal(chunk[name].sizes, images.sizes[indices])


def test_cache_limit_counts_the_padding():
    config = settings(preprocess="crop", cache_mb=1)
    source = Pictures([(16, 16)] * 7 + [(300, 300)])
    assert Examples(source, DOMAINS, config.data, 0, train=True).cache is None


def test_sizes_are_checked_before_training_streams():
    config = settings(preprocess="crop", cache_mb=0)
    with pytest.raises(ValueError, match="picture 3 is 12x20, smaller than the crop 16x16"):
        Examples(Pictures([(20, 20)] * 3 + [(20, 12)]), DOMAINS, config.data, 0, train=True)


@pytest.mark.parametrize("cache_mb", [0, 1])
def test_without_shuffling_sets_are_read_as_by_pytorch(cache_mb):
    """Its unaligned data set reads A at index % len(A) and B at index % len(B), in order."""
    config = settings(shuffle=False, cache_mb=cache_mb)
    sets = {
        name: Examples(Pictures([(20, 20)] * n), {name: "A"}, config.data, 0, train=True)
        for name, n in (("A", 3), ("B", 5))
    }
    chunk = UnpairedExamples(sets, 0, paired=False).chunk(2, 2, 4)
    epoch = np.arange(5)
    for name, n in (("A", 3), ("B", 5)):
        expected = np.tile(epoch % n, 4)[8:16].reshape(2, 4)
        if cache_mb == 0:
            images = np.stack(sets[name].images(name, np.arange(n)))
            np.testing.assert_array_equal(chunk[name][name].pixels, images[expected])
        else:
            np.testing.assert_array_equal(chunk[name], expected)


@pytest.mark.parametrize("cache_mb", [0, 1])
def test_shards_make_up_the_batch(cache_mb):
    config = settings(cache_mb=cache_mb)
    examples = Examples(Pictures([(20, 20)] * 5), DOMAINS, config.data, 0, train=True)
    whole = examples.chunk(3, 2, 4)
    parts = [examples.chunk(3, 2, 4, shard=(i, 2)) for i in range(2)]
    joined = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *parts)
    jax.tree.map(np.testing.assert_array_equal, whole, joined)
    with pytest.raises(ValueError, match="3 processes cannot share"):
        examples.chunk(3, 2, 4, shard=(0, 3))


def test_evaluation_resizes_to_the_crop():
    config = settings()
    examples = Examples(Pictures([(20, 24)] * 3), DOMAINS, config.data, 0, train=False)
    indices = np.array([2, 0])
    assert examples.names(indices) == ["picture 2", "picture 0"]
    images = examples.images("input", indices)
    expected = Image.fromarray(picture(20, 24, seed=4)).resize((16, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(images[0], expected)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_direction(direction, pairs_folder):
    config = small_config(**{"data.dir": str(pairs_folder), "data.direction": direction})
    examples = loading.load_examples(config.data, config.seed, "train", train=False)
    first = np.array([0])
    pair = np.asarray(Image.open(pairs_folder / "train" / "1.png"))
    halves = (pair[:, :32], pair[:, 32:])
    expected = halves if direction == "AtoB" else halves[::-1]
    np.testing.assert_array_equal(examples.images("input", first)[0], expected[0])
    np.testing.assert_array_equal(examples.images("target", first)[0], expected[1])
    assert examples.names(first) == ["1"]


# Decoding


def test_kinds_of_images(tmp_path):
    array = picture(12, 10)
    image = Image.fromarray(array)
    gray = image.convert("L")
    image.convert("P").save(tmp_path / "palette.png")
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    gray.save(tmp_path / "gray.png")
    for name, factor in (("deep.png", 257), ("deep.tif", 257), ("dark.png", 1)):
        Image.fromarray(np.asarray(gray).astype(np.uint16) * factor).save(tmp_path / name)
    Image.fromarray(np.asarray(gray) / np.float32(255)).save(tmp_path / "real.tif")
    gray.convert("1").save(tmp_path / "bits.png")
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(np.full((12, 10), 0, np.uint8)))
    clear.save(tmp_path / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    for ending in ("png", "jpg", "tif", "webp"):
        image.save(tmp_path / f"turned.{ending}", exif=exif)
    for path in tmp_path.iterdir():
        assert (
            image_size(path)
            == read_image(path, 3).shape[:2]
            == ((10, 12), (12, 10))[path.stem != "turned"]
        )
        assert read_image(path, 3).dtype == np.uint8
        assert read_image(path, 1).shape[-1] == 1
    levels = np.asarray(gray)
    for name in ("deep.png", "deep.tif", "real.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name, 1)[..., 0], levels)
    assert read_image(tmp_path / "dark.png", 1).max() <= 1  # 255 of 65,535, whatever the others
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png", 3)[..., 2], levels)
    assert (read_image(tmp_path / "clear.png", 3) == 255).all()
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png", 3), np.rot90(array, -1))


@pytest.mark.parametrize("array", [np.full((4, 4), 70_000, np.int32), np.full((4, 4), 2.0, "f4")])
def test_values_beyond_the_range_are_refused(array, tmp_path):
    Image.fromarray(array).save(tmp_path / "wide.tif")
    with pytest.raises(ValueError, match=r"wide\.tif .*read from 0 to (1|65535); save it with 8"):
        read_image(tmp_path / "wide.tif", 1)


def test_files_are_found_in_natural_order(tmp_path, capsys):
    for name in ("10.png", "2.PNG", "1.jpeg", "a/3.bmp", "notes.txt", "._1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("no image")
        else:
            Image.fromarray(picture(4, 4)).save(tmp_path / name, name.rsplit(".")[-1].upper())
    (tmp_path / "._1.txt").rename(tmp_path / "._1.png")  # as macOS leaves them
    found = [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)]
    assert found == ["1.jpeg", "2.PNG", "10.png", "a/3.bmp"]
    assert not capsys.readouterr().out
    (tmp_path / "10.png").rename(tmp_path / "10.JFIF")  # goes by its content
    for name in ("4.heic", "a/5.HEIC", "6.gif", "._7.gif"):
        (tmp_path / name).write_bytes(b"")
    assert len([find_images(tmp_path) for _ in range(2)][1]) == len(found)
    line = f"{tmp_path}: 1 .gif, 2 .heic left out, which cannot be read: convert them to PNG or"
    assert capsys.readouterr().out == f"{line} JPEG\n"
    for names in (["1", "01", "001"], ["001", "1", "01"]):  # as a file system may list them
        assert sorted(names, key=natural) == ["001", "01", "1"]


def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(tmp_path, monkeypatch):
    """A stand-in refuses, for root may read everything."""
    for name in ("open/1.png", "closed/2.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(picture(4, 4)).save(tmp_path / name)
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OSError, match="closed cannot be read: Permission denied"):
        find_images(tmp_path)


def test_names_tell_images_apart(tmp_path):
    for name in ("a/1.png", "b/1.png", "b/1.bmp", "2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture(4, 4)).save(tmp_path / name)
    folder = sources.SingleFolder(tmp_path)
    assert [folder[i]["name"] for i in range(4)] == ["2", "a/1", "b/1.bmp", "b/1.png"]


# What is wrong with them


def test_a_damaged_jpeg_is_named(pairs_folder):
    file = io.BytesIO()
    Image.fromarray(picture(32, 64)).save(file, "JPEG")
    (pairs_folder / "train" / "torn.jpg").write_bytes(file.getvalue()[:-300])
    config = small_config(**{"data.dir": str(pairs_folder)})
    with pytest.raises(ValueError, match=r"torn\.jpg cannot be read"):
        loading.load_examples(config.data, config.seed, "train", train=True)


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"preprocess": "crop"}, r"picture 0 is 12x14, smaller than the crop 16x16"),
        ({"preprocess": "none", "crop_size": (12, 12)}, "nothing is cropped"),
    ],
)
def test_sizes_that_do_not_fit_are_named(fields, words):
    with pytest.raises(ValueError, match=words):
        Examples(Pictures([(14, 12)]), DOMAINS, settings(**fields).data, 0, train=True)


def test_max_items(pairs_folder):
    config = small_config(**{"data.dir": str(pairs_folder), "data.max_items": 3})
    assert len(loading.load_examples(config.data, config.seed, "train", train=True)) == 3
