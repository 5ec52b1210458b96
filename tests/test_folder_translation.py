"""Folders of images: batches over devices and processes, formats, and what is left out."""

import jax
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import torch_baseline as baseline
from pix2pix_jax.runtime import counter
from pix2pix_jax.translation import translate, translated_files
from tests import parity
from tests.conftest import small_config

SIZES = ((32, 32), (20, 50), (32, 32), (40, 40), (20, 50))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """PyTorch's U-Net and its .pth."""
    net = baseline.init_weights(baseline.UnetGenerator(3, 3, 5, 4, dropout=False), 1)
    path = tmp_path_factory.mktemp("net") / "latest_net_G.pth"
    torch.save(net.state_dict(), path)
    return net.train(), path


@pytest.fixture
def folder(tmp_path):
    """Five images of three sizes."""
    (tmp_path / "in").mkdir()
    for i, size in enumerate(SIZES):
        Image.fromarray(noise(*size, 3, seed=i)).save(tmp_path / "in" / f"{i}.png")
    return tmp_path / "in"


def config_of(path, **fields):
    return small_config(**{"init_from": str(path), "model.dropout": 0.0, **fields})


def read(path):
    return np.asarray(Image.open(path)).astype(int)


def run(config, source, output, **options):
    return translate.translate(
        config, "", str(source), str(output), options=translate.Options(**options)
    )


def test_a_folder_over_all_devices(net, folder, monkeypatch, capsys):
    """One image on each of eight devices: what PyTorch makes of each alone, to a level."""
    monkeypatch.setattr(counter, "INTERVAL", 0)
    output = folder.parent / "out"
    (folder / "bad.png").write_bytes(b"nothing")
    failed = run(config_of(net[1], **{"eval.batch_size": 1, "eval.fit": "pad"}), folder, output)
    assert failed == [str(folder / "bad.png")]
    printed = capsys.readouterr().out
    assert (
        f"skipped: {folder}/bad.png cannot be read" in printed
        and "5 of 6 images translated" in printed
    )
    assert "2 of 6 images" in printed  # those of one shape come together
    for i, (height, width) in enumerate(SIZES):
        pads = [(0, -height % 32), (0, -width % 32), (0, 0)]
        padded = np.pad(noise(height, width, 3, seed=i), pads, mode="symmetric")
        with torch.no_grad():
            expected = parity.nhwc(net[0](parity.nchw(padded[None] / np.float32(127.5) - 1)))[0]
        found = read(output / f"{i}.png")
        assert np.abs(found - (expected[:height, :width] + 1) * 127.5).max() <= 1


def test_pairs_in_one_file_are_hinted_at(folder, capsys):
    Image.fromarray(noise(40, 80, 3)).save(folder / "pair.png")
    for name, method, hinted in (
        ("pair", "pix2pix", True), ("0", "pix2pix", False), ("pair", "cyclegan", False)
    ):  # fmt: skip
        config = small_config(method=method)
        translated_files.hint_at_pairs(config, folder / f"{name}.png")
        assert ("80x40, twice as wide" in capsys.readouterr().out) == hinted


def test_images_of_one_shape_come_together(folder):
    paths = [folder / f"{i}.png" for i in range(5)]
    batches = lambda fit: translated_files.in_batches(small_config(**{"eval.fit": fit}), paths, 2)
    assert batches("pad") == [[0, 2], [1, 4], [3]]
    assert batches("scale") == [[0, 2], [3], [1, 4]]  # the shorter side of each becomes 32
    assert batches("resize") == [[0, 1], [2, 3], [4]]


def test_processes_share_a_folder(net, folder, monkeypatch, capsys):
    """Together they write what one would, with the same noise."""
    config, outputs = config_of(net[1]), [folder.parent / name for name in ("one", "two")]
    run(config, folder, outputs[0])
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    for process, names in enumerate((["0", "2", "4"], ["1", "3"])):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        before = set(outputs[1].glob("*.png"))
        run(config, folder, outputs[1])
        assert {path.stem for path in set(outputs[1].glob("*.png")) - before} == set(names)
        last = f"process {process + 1} of 2: {len(names)} of {len(names)} images translated"
        assert last in capsys.readouterr().out
    for i in range(5):
        assert np.abs(read(outputs[0] / f"{i}.png") - read(outputs[1] / f"{i}.png")).max() <= 1


def test_what_is_there_is_left_out_on_request(net, folder, capsys):
    output = folder.parent / "out"
    output.mkdir()
    (output / "1.png").write_bytes(b"as it was")
    config = config_of(net[1])
    run(config, folder, output, skip_existing=True)
    assert (output / "1.png").read_bytes() == b"as it was"
    assert "4 of 5 images translated" in capsys.readouterr().out
    run(config, folder, output, skip_existing=True)
    assert "0 of 5 images translated" in capsys.readouterr().out


@pytest.mark.parametrize("ending, kind", [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_formats_of_the_results(net, folder, ending, kind):
    run(config_of(net[1]), folder / "0.png", folder.parent / "out", image_format=ending)
    with Image.open(folder.parent / "out" / f"0.{ending}") as image:
        assert image.format == kind and image.size == (32, 32)


def test_only_results_are_written_over(net, folder):
    """A second translation replaces the first one's; a file of anybody else stops it before."""
    output, config = folder.parent / "out", config_of(net[1])
    output.mkdir()
    (output / "notes.txt").touch()
    for _ in range(2):
        run(config, folder, output)
    mine = folder.parent / "mine"
    mine.mkdir()
    for name in ("3.png", "20.png"):
        (mine / name).write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"mine has a file 3.png, which would be overwritten"):
        run(config, folder, mine)
    assert {path.name for path in mine.iterdir()} == {"3.png", "20.png"}
    run(config, folder, mine, skip_existing=True)
    assert (mine / "3.png").read_bytes() == b"mine" and (mine / "2.png").exists()
    with pytest.raises(ValueError, match=r"mine has a file 0.png and 4 more, which would be"):
        run(config, folder, mine)
    for inside in (folder, folder / "results"):
        with pytest.raises(ValueError, match="lies in the folder of the images"):
            run(config, folder, inside)
    run(config, folder / "3.png", folder / "results")  # a single image may have them beside it
    with pytest.raises(ValueError, match="1.png is one of the images"):
        run(config, folder / "1.png", folder)
    Image.fromarray(noise(8, 8, 3)).save(folder / "1.jpg")
    with pytest.raises(ValueError, match=r"in has a file 1.png, which would be overwritten"):
        run(config, folder / "1.jpg", folder)


def test_fixed_noise_is_that_of_the_first_image(tmp_path):
    """Images alike then have translations alike."""
    torch.save(
        baseline.init_weights(baseline.UnetGenerator(3, 3, 6, 4), 1).state_dict(),
        tmp_path / "latest_net_G.pth",
    )
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.fromarray(noise(64, 64, 3)).save(tmp_path / "in" / f"{name}.png")
    config = small_config(
        **{
            "init_from": str(tmp_path / "latest_net_G.pth"),
            "model.generator": "unet_64",
            "data.load_size": (64, 64),
            "data.crop_size": (64, 64),
        }
    )
    for fixed in (True, False):
        run(config, tmp_path / "in", tmp_path / "out", fixed_noise=fixed)
        a, b = (read(tmp_path / "out" / f"{name}.png") for name in "ab")
        assert (a == b).all() == fixed


def test_where_nothing_can_be_written_nothing_is_computed(net, folder, monkeypatch):
    monkeypatch.setattr(translate, "load", None)  # comes after
    file = folder.parent / "file"
    file.write_text("")
    for output in (file, file / "below"):
        with pytest.raises(OSError, match=r"cannot write to .*file.*: choose another folder"):
            run(config_of(net[1]), folder, output)
