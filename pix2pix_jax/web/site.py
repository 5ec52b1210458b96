"""The page with models of one's own: a folder for any static host."""

import json
import os
import pathlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pix2pix_jax.data.synthetic import SyntheticFacades
from pix2pix_jax.export.description import describe, file_stem
from pix2pix_jax.export.onnx_file import export_onnx
from pix2pix_jax.images.files import save_png
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.run.config_file import CONFIG_FILE, run_config
from pix2pix_jax.trained_models import pth_config

MODELS, LIST = "models", "models.json"  # a folder of the page, and its table of contents
EXAMPLES = 6


def make(
    page: pathlib.Path,
    folder: pathlib.Path,
    paths: Sequence[str],
    defaults: Callable[[], Any],
) -> None:
    """Copies the page into a folder, with models in the place of its own.

    Models that an earlier call has put there, and that are not among `paths`, go.

    Args:
        page: the folder with the page as it comes.
        folder: to make, or to bring up to date.
        paths: runs, or .pth files of generators.
        defaults: makes a config with all fields.

    Raises:
        ValueError, OSError: a path is no trained model, or one that cannot be exported, or two
            have the same name.
    """
    configs = [_config(pathlib.Path(path), defaults) for path in paths]
    names = Counter(
        file_stem(config, direction)
        for config in configs
        for direction in METHODS[config.method].directions(config)
    )
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"{names[twice[0]]} models are called {twice[0]}: rename all but one")
    if folder.resolve() != page.resolve():
        its_models = shutil.ignore_patterns(MODELS)
        shutil.copytree(page, folder, ignore=its_models, dirs_exist_ok=True)
    models, entries = folder / MODELS, []
    earlier = _files_of_earlier(models)
    for path, config in zip(paths, configs, strict=True):
        entries += _export(config, path, models)
    for name in earlier - _files(entries):
        (models / name).unlink(missing_ok=True)
    (models / LIST).write_text(json.dumps(entries, indent=1) + "\n")


def _files(entries):
    """Names of the files of some models in the list."""
    return {name for entry in entries for name in (entry["file"], *entry["examples"])}


def _files_of_earlier(models):
    """Names of the files that the list in a folder has; none if it cannot be read."""
    try:
        names = _files(json.loads((models / LIST).read_bytes()))
        return {pathlib.PurePath(name).name for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _name(path):
    path = pathlib.Path(os.path.abspath(path))  # "." has a name too
    return path.stem if path.suffix == ".pth" else path.name


def _config(path, defaults):
    """The config of a run or .pth, named as it is."""
    if path.suffix == ".pth":
        config = pth_config(path, defaults)
    elif (path / CONFIG_FILE).is_file():
        config = run_config(path, defaults)
    else:
        raise FileNotFoundError(f"{path} is neither a run, with its {CONFIG_FILE}, nor a .pth file")
    if config is None:
        raise ValueError(f"{path} holds a discriminator: the page takes generators")
    if config.data.value_range:
        raise ValueError(f"{path} has a data.value_range, and the page takes photographs")
    config.name = _name(path)
    return config


def _export(config, workdir, folder) -> Iterator[dict[str, Any]]:
    """Writes the models of a run or .pth and yields their entries in the list."""
    files = export_onnx(config, workdir, str(folder))
    for direction, file in zip(METHODS[config.method].directions(config), files, strict=True):
        examples = []
        for number, image in enumerate(_examples(config, direction)):
            examples.append(f"{file.stem}_{number}.png")
            save_png(folder / examples[-1], image)
        facts = {"sketch": _may_take_sketches(config), "file": file.name, "examples": examples}
        yield describe(config, direction) | facts


def _may_take_sketches(config):
    """Whether the page offers a pen: for images of one's own, which may be of any kind."""
    return config.data.name == "folder" and config.method != "colorization"


def _examples(config: Any, direction: Direction) -> list[np.ndarray]:
    """Pictures that the model takes, uint8; none unless it knows facades."""
    data = config.data
    takes_labels = bool(describe(config, direction)["palette"])
    if data.name not in ("synthetic", "facades"):
        return []
    is_night = data.synthetic_kind == "night" and direction.source == "B"
    size = min(data.crop_size)
    facades = SyntheticFacades("page", EXAMPLES, size, 0, "night" if is_night else "labels")
    side = "B" if takes_labels or is_night else "A"
    return [facades[i][side] for i in range(EXAMPLES)]
