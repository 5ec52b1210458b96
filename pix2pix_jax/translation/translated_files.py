"""Which files --mode=translate reads, and what it makes of them."""

import pathlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from pix2pix_jax.data.sources import by_name
from pix2pix_jax.images import classes, rasters
from pix2pix_jax.images.files import image_size, read_image, read_mask, save_picture
from pix2pix_jax.images.finding import find_images, is_image, natural, unique_names
from pix2pix_jax.images.fitting import fitted_size
from pix2pix_jax.images.pixel_format import formats, formats_from, output_kind
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.models import build
from pix2pix_jax.runtime import storage
from pix2pix_jax.translation.translator import with_hole

Targets = dict[tuple[str, int], str]  # names in the output, by direction and sample
MARK = ".translated"  # a file in folders of results, which later translations may write over


class Files(NamedTuple):
    """Images to be translated."""

    paths: list[pathlib.Path]
    masks: dict[pathlib.Path, pathlib.Path]  # of the images; empty but for inpainting
    targets: dict[pathlib.Path, Targets]  # of the images


def find(config: Any, source: str, output: str, mask: str | None, ending: str) -> Files:
    """Looks for images and masks; see `translate.translate`.

    Args:
        config: the whole config.
        source: an image, or a folder.
        output: folder of the results.
        mask: an image, a folder or None.
        ending: .png, .jpg or .webp, of the results. With data.value_range they have that of their
            images.

    Raises:
        ValueError, OSError: there are none, two masks have the same name, results would
            overwrite each other, the images or the masks, or `output` lies in `source`.
    """
    _check_apart(source, output)
    wanted = formats(config.data)[0].wanted
    root = pathlib.Path(storage.local_copy(source, wanted))
    paths = find_images(root, wanted)
    root = root if root.is_dir() else root.parent
    masks = _masks(config, paths, root, mask)
    targets = _targets(config, paths, root, ending)
    _check_targets(targets, masks, output)
    return Files(paths, masks, targets)


def existing(output: str, names: Iterable[str], skipped: bool) -> tuple[set[str], bool]:
    """Which results are there already, and whether the folder may be marked by `MARK`.

    Args:
        output: folder of the results.
        names: theirs.
        skipped: whether those that are there are left as they are.

    Raises:
        ValueError: files would be overwritten that no translation has written.
    """
    there = storage.existing_files(output)
    taken = sorted(there.intersection(names), key=natural)
    if MARK not in there and taken and not skipped:
        others = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise ValueError(
            f"{output} has a file {taken[0]}{others}, which would be overwritten: give another "
            "folder as --output, or --skip_existing to leave what is there"
        )
    return set(taken), MARK in there or not taken


def _check_apart(source, output):
    """Raises ValueError if results would be among the images of the next translation."""
    if not pathlib.Path(source).is_file() and storage.lies_in(output, source):
        raise ValueError(
            f"--output={output} is or lies in the folder of the images, {source}, all of which are "
            "translated: give a folder beside it"
        )


def in_batches(config: Any, paths: list[pathlib.Path], size: int) -> list[list[int]]:
    """Positions of images that are translated together: up to `size` of one shape."""
    groups: dict[Any, list[int]] = {}
    divisor = build.generator(config.model, config.data.output_channels).divisor
    for i, path in enumerate(paths):
        groups.setdefault(_shape(config, path, divisor), []).append(i)
    return [rows[i : i + size] for rows in groups.values() for i in range(0, len(rows), size)]


def hint_at_pairs(config: Any, path: pathlib.Path) -> None:
    """Prints a line if an image looks like a pair A|B, which evaluation takes apart."""
    if METHODS[config.method].data != "pairs" or config.data.value_range:
        return
    try:
        height, width = image_size(path)
    except Exception:  # of a damaged file, which is skipped later
        return
    crop_height, crop_width = config.data.crop_size
    if width * crop_height == 2 * height * crop_width:
        print(
            f"{path} is {width}x{height}, twice as wide as the images of training, and is "
            "translated as one image: pairs A|B are for --mode=eval",
            flush=True,
        )


def _shape(config, path, divisor):
    """The size in which an image passes the network, by its header; None if that is no matter."""
    if config.eval.fit not in ("scale", "pad"):
        return None
    try:
        size = image_size(path)
    except Exception:  # of a damaged file, which is skipped later, or of a raster
        return None
    return fitted_size(size, config.eval.fit, tuple(config.data.crop_size), divisor)


def read(
    config: Any, path: pathlib.Path, directions: list[Direction], mask: pathlib.Path | None
) -> list[np.ndarray]:
    """The image as each direction takes it.

    Raises:
        ValueError, OSError: it cannot be read.
    """
    if config.data.value_range:
        return [formats_from(config.data, d.source)[0].read(path) for d in directions]
    as_numbers = classes.are_numbers(config.data)
    images = [read_image(path, d.in_channels, as_numbers) for d in directions]
    classes.check_ids(config.data, images[0], path)
    if mask is None:
        return images
    return [with_hole(image, read_mask(mask), mask) for image in images]


def _kind(config, path, direction):
    """How the translation of a raster is stored."""
    try:
        return output_kind(path, *formats_from(config.data, direction.source))
    except Exception:  # of a damaged file, which is skipped later
        return rasters.FileKind(".tif", np.dtype(np.float32))


def save(
    config: Any, target: pathlib.Path, image: np.ndarray, path: pathlib.Path, direction: Direction
) -> None:
    """Writes a translation of the file at `path`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not config.data.value_range:
        return save_picture(target, image)
    _, of_output = formats_from(config.data, direction.source)
    rasters.save(target, of_output.values(image, _kind(config, path, direction).dtype))


def _targets(config, paths, root, ending) -> dict[pathlib.Path, Targets]:
    """The names in the output of all that is made of each image."""
    targets = {}
    for path, stem in zip(paths, unique_names(paths, root), strict=True):
        names = targets[path] = {}
        for direction in METHODS[config.method].directions(config):
            stored_alike = config.data.value_range
            own = _kind(config, path, direction).suffix if stored_alike else ending
            for sample, suffix in enumerate(suffixes(config, direction)):
                names[direction.name, sample] = f"{stem}{suffix}{own}"
    return targets


def suffixes(config: Any, direction: Direction) -> list[str]:
    """What is added to a name, for each noise sample: _A2B of several directions, _2 of samples."""
    directions, samples = METHODS[config.method].directions(config), config.eval.noise_samples
    name = f"_{direction.name}" if len(directions) > 1 else ""
    return [f"{name}_{sample + 1}" if samples > 1 else name for sample in range(samples)]


def _check_targets(targets, masks, output):
    """Raises ValueError if two targets are the same, or one is an image to be translated or a mask.

    Args:
        targets: names by image.
        masks: of the images.
        output: folder.
    """
    names = [name for its_names in targets.values() for name in its_names.values()]
    target, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"{count} images would be written to {output}/{target}: rename one of them"
        )
    sources = dict.fromkeys(map(storage.resolved, set(masks.values())), "masks")
    sources |= dict.fromkeys(map(storage.resolved, targets), "images to translate")
    for name in names:
        if kind := sources.get(storage.resolved(f"{output}/{name}")):
            raise ValueError(
                f"{output}/{name} is one of the {kind}, and would be overwritten: give another "
                "folder as --output"
            )


def _masks(config, paths, root, mask):
    """{image: its mask}; empty for the methods that take none."""
    wanted = METHODS[config.method].has_holes
    if wanted != bool(mask):
        raise ValueError(
            "inpainting takes --mask=FILE_OR_FOLDER, white in the holes"
            if wanted
            else f"{config.method} takes no --mask; only inpainting does"
        )
    if not wanted:
        return {}
    folder = pathlib.Path(storage.local_copy(mask, is_image))
    if folder.is_file():
        return dict.fromkeys(paths, folder)
    found = by_name(folder)
    masks = {path: found.get(path.relative_to(root).with_suffix("").as_posix()) for path in paths}
    if missing := [path for path, its_mask in masks.items() if its_mask is None]:
        raise FileNotFoundError(
            f"{missing[0]} has no mask of its name in {folder} ({len(missing)} images have none)"
        )
    return masks
