"""Shards: the pixels and the training of the folder of PNG files that is prepared from the same."""

import json
import pathlib

import fsspec
import jax
import numpy as np
import pytest
from array_record.python.array_record_data_source import ArrayRecordDataSource
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from pix2pix_jax.data import folders, loading, shards
from pix2pix_jax.dataset import prepare
from pix2pix_jax.dataset.__main__ import main
from pix2pix_jax.train import train
from tests.conftest import small_config

SPLITS = ("train", "val")
NAMES = ("10", "2", "1-2", "1", "b/3", "photo.v2", "4")  # in no order


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """{format: folder} prepared of the same pairs, in shards of 2."""
    monkeypatch.setattr(shards, "IMAGES", 2)
    generator = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "raw" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (40, 72, 3), np.uint8)).save(path)
    found = {kind: tmp_path / kind for kind in ("png", "array_record")}
    for kind, folder in found.items():
        command = ["prepare", f"{tmp_path}/raw", f"--output={folder}", f"--format={kind}"]
        main([*command, "--form=pairs", "--size=36", "--val=0.3"])
    return found


def test_the_pixels_are_those_of_the_files(prepared):
    """Any record by its number, in ours and in ArrayRecord's own reader."""
    folder = prepared["array_record"]
    assert not list(folder.rglob("*.png"))
    files, packed = (
        {split: folders.paired_folder(root, split, SPLITS) for split in SPLITS}
        for root in prepared.values()
    )
    for split, count in (("train", 5), ("val", 2)):
        assert len(files[split]) == len(packed[split]) == count
        for i in reversed(range(count)):
            expected, found = files[split][i], packed[split][i]
            assert found["name"] == expected["name"]
            assert packed[split].header(i) == files[split].header(i)
            for domain in "AB":
                np.testing.assert_array_equal(found[domain], expected[domain])
    paths = sorted((folder / "train").iterdir())
    assert [path.name for path in paths] == [f"0000{i}-of-00003.array_record" for i in range(3)]
    records = ArrayRecordDataSource([str(path) for path in paths])
    names = [row[0] for i in (2, 5, 7) for row in json.loads(records[i])]
    assert len(records) == 5 + 3 and names == [files["train"][i]["name"] for i in range(5)]
    assert records[0] == (prepared["png"] / "train" / f"{names[0]}.png").read_bytes()


def test_training_is_the_same_to_the_bit(prepared, tmp_path):
    """Losses, validation and the pictures at the end; of data that are streamed, the batches."""
    results, streamed = [], []
    for kind, folder in prepared.items():
        workdir, config = tmp_path / f"run_{kind}", small_config(**{"data.dir": str(folder)})
        config.train.num_steps, config.train.log_every = 2, 1
        train(config, str(workdir))
        files = (workdir / "metrics.jsonl", workdir / "samples/step_0000002.png")
        results.append([file.read_bytes() for file in files])
        config.data.cache_mb = 0
        examples = loading.load_examples(config.data, config.seed, "train", True)
        streamed.append(examples.chunk(0, 5, 1))
    assert results[0] == results[1] and results[0][0].count(b"\n") == 3
    jax.tree.map(np.testing.assert_array_equal, *streamed)


def test_sets_and_single_images(tmp_path):
    for i in range(6):
        path = tmp_path / "raw" / "AB"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 40 * i, np.uint8)).save(path)
    prepare.prepare(tmp_path / "raw", tmp_path / "sets", file_format="array_record")
    (found, correspond) = folders.two_sets(tmp_path / "sets", "train", ("train", "test"))
    held, _ = folders.two_sets(tmp_path / "sets", "test", ("train", "test"))
    assert not correspond and [len(found[d]) + len(held[d]) for d in "AB"] == [3, 3]
    together = [s[d][i][d][0, 0, 0] for s in (found, held) for d in "AB" for i in range(len(s[d]))]
    assert sorted(together) == [40 * i for i in range(6)]

    prepare.prepare(tmp_path / "raw" / "A", tmp_path / "one", file_format="array_record")
    config = small_config(**{"data.dir": str(tmp_path / "one"), "data.name": "folder"})
    images = loading.load_examples(config.data, 0, "train", False, "images")
    assert len(images) == 2  # and one held out


def test_shards_in_a_store(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    fsspec.filesystem("memory").put(str(prepared["array_record"]), "/shards", recursive=True)
    config = small_config(**{"data.dir": "memory://shards"})
    assert len(loading.load_examples(config.data, 0, "train", True)) == 5


def test_shards_that_are_missing_or_damaged(prepared):
    folder = prepared["array_record"]
    read = lambda: folders.paired_folder(folder, "train", SPLITS)
    first, second, _ = sorted((folder / "train").iterdir())
    content = second.read_bytes()
    for damaged in (b"", content[:70000], b"x" * 1000):
        second.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{second.name} is damaged .* prepare the data anew"):
            read()
    png = content.index(b"\x89PNG")
    second.write_bytes(content[: png + 500] + b"?" + content[png + 501 :])
    source = read()
    with pytest.raises(ValueError, match=f"{second.name} is damaged"):
        [source[i] for i in range(5)]
    config = small_config(**{"data.dir": str(folder), "data.value_range": (0, 255)})
    with pytest.raises(ValueError, match="hold photographs, and config.data.value_range"):
        loading.load_examples(config.data, 0, "train", True)
    with pytest.raises(SystemExit, match="give the folder that they were prepared from"):
        main(["check", str(folder)])
    second.unlink()
    with pytest.raises(ValueError, match=r"has 2 of 3 shards: copy the others"):
        read()
    pathlib.Path(first).rename(first.with_name("mine.array_record"))
    with pytest.raises(ValueError, match="are no shards of one whole"):
        read()
