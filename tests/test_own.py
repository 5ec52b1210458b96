"""configs/own.py: what is chosen for the user's images."""

import pathlib
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from configs import own
from pix2pix_jax import command, own_data
from pix2pix_jax.run import config_file
from pix2pix_jax.settings import config_checks
from pix2pix_jax.settings.run_name import name_run


def folder_of(root, sizes, domains=("",), wide=2):
    """Gray images of (height, width); side by side, or in the folders of `domains`."""
    for domain in domains:
        (root / domain).mkdir(parents=True, exist_ok=True)
        for i, (height, width) in enumerate(sizes):
            pixels = np.full((height, width * (1 if domain else wide), 3), 99, np.uint8)
            Image.fromarray(pixels).save(root / domain / f"{i}.png")
    return root


def filled(root, variant="paired", **fields):
    config = own.get_config(variant)
    config.data.dir = str(root)
    config.update_from_flattened_dict(fields)
    own_data.fill_in(config, name_run(config))
    return config


@pytest.mark.parametrize(
    "sizes, crop, load, generator",
    [
        ([(256, 256)] * 2, (256, 256), (286, 286), "unet_256"),
        ([(600, 400)] * 2, (512, 384), (572, 429), "unet_128"),  # 512 x 341
        ([(96, 96)] * 2, (96, 96), (107, 107), "unet_32"),
        ([(300, 300)] * 4 + [(1000, 1500)], (256, 256), (286, 286), "unet_256"),  # the median
        ([(1800, 1200)] * 2, (512, 384), (572, 429), "unet_128"),
        ([(64, 2000)] * 2, (32, 512), (36, 572), "unet_32"),  # 16 x 512: nothing fits well
    ],
)
def test_sizes_of_pairs_are_those_of_the_images(tmp_path, capsys, sizes, crop, load, generator):
    config = filled(folder_of(tmp_path / "my pairs", sizes))
    assert (config.data.crop_size, config.data.load_size) == (crop, load)
    assert config.model.generator == generator and config.name == "my_pairs"
    assert config.data.direction == "AtoB"
    config_checks.check(config)
    *asked, said = capsys.readouterr().out.splitlines()
    assert f"see {crop[1]}x{crop[0]}, cut from {load[1]}x{load[0]}" in said
    as_photographs = any(2 * width < 1.8 * height for height, width in sizes)
    asked = [line for line in asked if "and are stretched to it" not in line]
    assert ["Are these single images?" in line for line in asked] == [True] * as_photographs


def test_what_the_user_sets_stays(tmp_path):
    root = folder_of(tmp_path, [(256, 256)] * 2)
    config = filled(root, **{"data.crop_size": (64, 128), "name": "mine"})
    assert config.model.generator == "unet_64" and config.data.load_size == (72, 143)
    assert config.name == "mine"
    config = filled(root, **{"model.generator": "resnet_6blocks", "data.load_size": (300, 300)})
    assert config.data.crop_size == (256, 256) and config.data.load_size == (300, 300)


def test_unpaired_images_of_many_sizes(tmp_path):
    root = folder_of(tmp_path, [(100, 150)] * 6 + [(41, 31)], ("trainA", "trainB"))
    config = filled(root, "unpaired")
    assert config.data.crop_size == (100, 152) and config.model.generator == "resnet_9blocks"
    assert config.method == "cyclegan" and config.data.load_size == (112, 170)
    with pytest.raises(FileNotFoundError, match=r"CycleGAN data.*own\.py:unpaired"):
        filled(root)


def test_a_run_keeps_what_was_chosen(tmp_path, monkeypatch, capsys):
    """Other images come into the folder, or it is not named."""
    monkeypatch.chdir(tmp_path)
    root = folder_of(tmp_path / "photos", [(40, 33)] * 6)
    config = filled(root)
    assert config.data.crop_size == (32, 32)
    pathlib.Path("runs/photos").mkdir(parents=True)
    config_file.write_config("runs/photos", config)  # as training does
    folder_of(root, [(128, 128)] * 9)
    assert filled(root).data.crop_size == (32, 32)
    config = own.get_config()
    assert name_run(config, "runs/photos") == "runs/photos" and config.name == "photos"
    own_data.fill_in(config, "runs/photos")
    assert config.model.generator == "unet_32" and config.data.load_size == (36, 36)
    with pytest.raises(ValueError, match=r"no run in runs/other yet.*config\.data\.dir"):
        own_data.fill_in(own.get_config(), "runs/other")


def test_single_photographs_are_asked_about(tmp_path, capsys):
    filled(folder_of(tmp_path / "photographs", [(60, 40)] * 3))  # 80x60, 4:3
    assert "halves A|B are 40x60 (3 of 3 files are like that). Are these" in capsys.readouterr().out
    filled(folder_of(tmp_path / "pairs", [(60, 60), (40, 60)]))
    assert "Are these single images?" not in capsys.readouterr().out


def test_images_that_would_be_stretched_are_counted(tmp_path, capsys):
    """Portraits among landscapes; their areas are equal."""
    sizes = [(60, 90)] * 5 + [(90, 60)] * 2
    filled(folder_of(tmp_path / "mixed", sizes))
    line, choice = capsys.readouterr().out.splitlines()[-2:]
    assert line.startswith("2 of 6 images have another aspect ratio than 96x64 and are stretched")
    assert "images of 90x60 to 60x90. The networks see 96x64" in choice
    filled(folder_of(tmp_path / "sets", sizes, ("trainA", "trainB")), "unpaired")
    assert "4 of 12 images have another aspect ratio" in capsys.readouterr().out
    filled(folder_of(tmp_path / "alike", [(60, 90), (60, 72)]))
    assert "stretched" not in capsys.readouterr().out


def test_pairs_and_sets_of_one_folder_are_two_runs():
    workdirs = []
    for variant in ("paired", "unpaired"):
        config = own.get_config(variant)
        config.data.dir = "my photos"
        workdirs.append(name_run(config))
    assert workdirs == ["runs/my_photos", "runs/my_photos_cyclegan"]


def test_a_run_in_object_storage_keeps_it_too(tmp_path, monkeypatch):
    objects = {}
    monkeypatch.setattr(MemoryFileSystem, "store", objects)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = filled(folder_of(tmp_path / "photos", [(64, 64)] * 3))
    config_file.write_config(tmp_path, config)
    stored = (tmp_path / "config.json").read_bytes()
    fsspec.filesystem("memory").pipe_file("/bucket/photos/config.json", stored)
    config = own.get_config()
    config.data.dir = str(folder_of(tmp_path / "larger", [(128, 128)] * 3))
    own_data.fill_in(config, "memory://bucket/photos")
    assert config.data.crop_size == (64, 64)
    own_data.fill_in(config := own.get_config(), "memory://bucket/photos")
    assert config.data.load_size == (72, 72)


def test_the_command_line_fills_in(tmp_path, monkeypatch):
    config, seen = own.get_config(), []
    config.data.dir = str(folder_of(tmp_path / "photos", [(64, 64)] * 3))
    for name, value in {"CONFIG": config, "WORKDIR": None, "MODE": "train", "OUTPUT": None}.items():
        monkeypatch.setattr(command, name, SimpleNamespace(value=value))
    monkeypatch.setattr(command, "_run", lambda *given: seen.append(given) or True)
    monkeypatch.setattr(command, "_start_jax", lambda workdir: None)
    with pytest.raises(SystemExit) as end:
        command.main(["launch.py"])
    assert not end.value.code and seen == [("train", config, "runs/photos")]
    assert config.data.crop_size == (64, 64)
