"""The trained models below some folders: our own runs, and PyTorch generators (.pth)."""

import collections
import pathlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pix2pix_jax.data import catalogue
from pix2pix_jax.images.finding import told_of, walk
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.pytorch import architectures, pth_file
from pix2pix_jax.run import config_file, saved_steps
from pix2pix_jax.run.run_folder import CHECKPOINTS
from pix2pix_jax.translation import translate

LOADED = 4  # runs kept in memory
MAX_CROP = 4096  # pixels a side


class Model(NamedTuple):
    """One direction of a trained run, or of a .pth."""

    name: str  # its path, followed by the direction where there are two
    config: Any
    direction: Direction
    number: int  # of the direction
    path: pathlib.Path

    def palette(self) -> str | None:
        """The palette of the label maps that it takes; None if it takes photographs."""
        return catalogue.palette_name(self.config.data, self.direction.source)

    def written(self) -> float:
        """When its weights were written, in seconds since 1970; 0 if they are gone."""
        weights = self.path if self.path.suffix == ".pth" else self.path / CHECKPOINTS
        try:
            return weights.stat().st_mtime
        except OSError:
            return 0


class _Entry(NamedTuple):
    """What was found at a path."""

    version: Any  # changes when there are new weights; None: unknown
    models: list[Model]
    reason: str = ""  # why it was skipped


class TrainedModels:
    """The models in or below some folders; each is read once, and again when it changes.

    The folders may hold anything. A run or .pth that cannot be read, whatever the error, is
    skipped, and one line is printed for it.
    """

    def __init__(self, folders: Sequence[str], defaults: Callable[[], Any]):
        """`defaults` makes a config with all fields, for what a run or .pth does not say."""
        self.folders, self._defaults = list(folders), defaults
        self._entries: dict[pathlib.Path, _Entry] = {}
        self._loaded: collections.OrderedDict[Any, list[translate.TrainedTranslator]]
        self._loaded = collections.OrderedDict()
        self._finding, self._loading = threading.Lock(), threading.Lock()

    def find(self) -> dict[str, Model]:
        """Looks into the folders: models by name."""
        with self._finding:
            self._entries = {path: self._entry(path) for path in self._paths()}
            return {m.name: m for entry in self._entries.values() for m in entry.models}

    def load(self, model: Model) -> translate.TrainedTranslator:
        """The model, ready to use; the last LOADED runs stay in memory.

        Raises:
            ValueError, OSError: its weights are damaged or gone.
        """
        with self._loading:
            entry = self._entries.get(model.path)
            key = (model.path, entry and entry.version)
            if key not in self._loaded:
                self._loaded[key] = self._load(model)
                while len(self._loaded) > LOADED:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key][model.number]

    def _load(self, model):
        try:
            return translate.load(model.config, str(model.path))[0]
        except (ValueError, OSError):
            raise
        except Exception as error:
            raise ValueError(f"{model.path} cannot be loaded: {_reason(error)}") from error

    def _paths(self) -> Iterator[pathlib.Path]:
        for folder in map(pathlib.Path, self.folders):
            files = sorted(path for path in walk(folder) if path.is_file())
            yield from (path.parent for path in files if path.name == config_file.CONFIG_FILE)
            yield from (path for path in files if path.suffix == ".pth")

    def _entry(self, path):
        old = self._entries.get(path, _Entry(None, []))
        version = None
        try:
            version = _version(path)
            if version == old.version:
                return old
            return _Entry(version, self._read(path))
        except Exception as error:
            reason = _reason(error)
        if reason != old.reason:
            print(f"skipped: {ascii(told_of(path, reason))[1:-1]}", flush=True)
        return _Entry(version, [], reason)

    def _read(self, path):
        """The models at a path; none if it is a discriminator's .pth."""
        str(path).encode()  # a name that is no UTF-8 could not be shown
        if path.suffix == ".pth":
            config = pth_config(path, self._defaults)
        else:
            config = config_file.run_config(path, self._defaults)
        if config is None:
            return []
        if config.data.value_range:
            raise ValueError("it has a data.value_range, and its images are no photographs")
        crop = config.data.crop_size
        if len(crop) != 2 or not all(1 <= side <= MAX_CROP for side in crop):
            raise ValueError(f"its data.crop_size is {tuple(crop)}: sides go from 1 to {MAX_CROP}")
        directions = METHODS[config.method].directions(config)
        for channels in (n for d in directions for n in (d.in_channels, d.out_channels)):
            if channels not in (1, 3):  # one for each class, say
                raise ValueError(f"its images have {channels} channels, and photographs 1 or 3")
        return [
            Model(f"{path} {direction.name}".rstrip(), config, direction, number, path)
            for number, direction in enumerate(directions)
        ]


def pth_config(path: pathlib.Path, defaults: Callable[[], Any]) -> Any | None:
    """A config for the generator in a .pth, and for images of the size it is usually trained at.

    None if it holds a discriminator.

    Raises:
        ValueError, OSError: it is damaged, or holds no network that we know.
    """
    state = pth_file.read_pth(path)
    try:
        fields = architectures.describe(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if "model.generator" not in fields:
        return None
    config = defaults()
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
    """Of a .pth when it was written; of a run its newest step, and when its config was written."""
    if path.suffix == ".pth":
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    if (step := saved_steps.newest_step(path)) is None:
        raise FileNotFoundError("it has no checkpoint yet")
    return step, (path / config_file.CONFIG_FILE).stat().st_mtime_ns


def _reason(error):
    """One line that says what is wrong; other errors than ours with their type."""
    text = " ".join(str(error).split())[:300]
    known = text and isinstance(error, ValueError | OSError)
    return text if known else f"{type(error).__name__}: {text}".removesuffix(": ")
