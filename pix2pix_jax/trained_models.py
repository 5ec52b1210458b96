"""The trained models below some folders: runs of ours, and PyTorch's generators."""

import functools
import pathlib
import re
from typing import Any, NamedTuple

from configs.default import get_config
from pix2pix_jax import translate
from pix2pix_jax.data import catalogue
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.pytorch import architectures, pth_file
from pix2pix_jax.run import checkpoints, config_file

LOADED = 4  # models kept in memory


class Model(NamedTuple):
    """One direction of a run's best checkpoint, or of a .pth."""

    name: str  # its path; where there are two directions, also that
    config: Any
    direction: Direction
    number: int  # of the direction
    version: float  # changes when there are new weights
    path: pathlib.Path

    def load(self) -> translate.TrainedTranslator:
        """The model, ready to use.

        Raises:
            ValueError, OSError: its weights are damaged or gone.
        """
        return _load(self.path, self.version)[self.number]

    def palette(self) -> str | None:
        """The palette of the label maps that it takes; None if it takes photographs."""
        data, side = self.config.data, self.direction.source
        if side == "input":
            side = "A" if data.direction == "AtoB" else "B"
        has_labels = data.name != "synthetic" or data.synthetic_kind == "labels"
        return catalogue.label_palette(data.name, side) if has_labels else None


def find(*folders: str) -> dict[str, Model]:
    """Models in or below folders, by name: runs with a checkpoint, and generators in .pth files.

    What cannot be read is left out.
    """
    found = {}
    for folder in map(pathlib.Path, folders):
        runs = [file.parent for file in folder.rglob(config_file.CONFIG_FILE)]
        for path in sorted(runs) + sorted(folder.rglob("*.pth")):
            try:
                version = _version(path)
                config = _config(path, version)
                directions = METHODS[config.method].directions(config)
            except (ValueError, OSError, KeyError):
                continue
            for number, direction in enumerate(directions):
                name = f"{path} {direction.name}".rstrip()
                found[name] = Model(name, config, direction, number, version, path)
    return found


def run_config(workdir: pathlib.Path) -> Any:
    """The config that a run was trained with.

    Raises:
        ValueError, OSError, KeyError: there is none, or one of another program.
    """
    config = get_config()  # has what runs of former versions did not know
    with config.unlocked():
        config.update(config_file.read_config(workdir))
    config.init_from = ""
    return config


def pth_config(path: pathlib.Path) -> Any:
    """A config for the generator in a .pth, and for images of the size it is usually trained at.

    Raises:
        ValueError, OSError: it is damaged, or holds no generator.
    """
    fields = architectures.describe(pth_file.read_pth(path))
    if "model.generator" not in fields:
        raise ValueError(f"{path} holds a discriminator: choose a generator, latest_net_G.pth")
    config = get_config()
    config.name, config.init_from, config.data.name = path.stem, str(path), "folder"
    if "dropout" in fields:
        config.model.dropout = 0.5 if fields.pop("dropout") else 0.0
        config.model.padding = "zero" if fields.pop("zero_padding") else "reflect"
    config.update_from_flattened_dict(fields)
    if match := re.fullmatch(r"unet_(\d+)", config.model.generator):
        config.data.crop_size = (int(match[1]),) * 2
    if config.model.generator == "inpainting_unet":
        config.method, config.model.norm, config.eval.fit = "inpainting", "none", "pad"
    return config


def _version(path):
    """When a .pth was written, or the newest step of a run."""
    if path.suffix == ".pth":
        return path.stat().st_mtime
    if (step := checkpoints.newest_step(path)) is None:
        raise FileNotFoundError(f"{path} has no checkpoint")
    return step


@functools.lru_cache(maxsize=256)
def _config(path, version):
    return pth_config(path) if path.suffix == ".pth" else run_config(path)


@functools.lru_cache(maxsize=LOADED)
def _load(path, version):
    return translate.load(_config(path, version), str(path))[0]
