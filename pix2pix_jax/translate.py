"""--mode=translate: a user's own images of any size, named like their inputs."""

import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pix2pix_jax import weights
from pix2pix_jax.images import pixel_format, rasters
from pix2pix_jax.images.files import find_images, is_image, read_image, save_png, unique_names
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime import storage
from pix2pix_jax.settings import config_checks
from pix2pix_jax.translator import Translator, with_hole


class TrainedTranslator(NamedTuple):
    """One direction of a method with trained weights."""

    direction: Direction
    translator: Translator
    variables: Any  # of the direction's generator

    def __call__(self, image: np.ndarray, index: int = 0, sample: int = 0) -> np.ndarray:
        """Image [H, W, C] -> [H, W, O], see `Translator.images`."""
        return self.images([image], [index], sample)[0]

    def images(
        self, images: Sequence[np.ndarray], indices: Sequence[int], sample: int = 0
    ) -> list[np.ndarray]:
        """As `Translator.images`."""
        return self.translator.images(self.variables, images, indices, sample)


def load(config: Any, workdir: str) -> tuple[list[TrainedTranslator], str]:
    """A translator for each direction, and a line saying where the weights are from.

    Raises as `weights.load_generators` does.
    """
    variables, origin = weights.load_generators(config, workdir)
    translators = [
        TrainedTranslator(d, Translator(config, d), variables[d.generator])
        for d in METHODS[config.method].directions(config)
    ]
    return translators, origin


def translate(
    config: Any, workdir: str, source: str, output: str, mask: str | None = None
) -> list[str]:
    """Translates an image, or every image below a folder, into the folder `output`.

    An image keeps its size and its path below `source`, as a .png; where two names differ in
    their endings only, these are kept. With several directions or noise samples their names and
    numbers are added. Transparent images are shown on white. With data.value_range a translation
    is stored like its image, see `pixel_format.output_kind`. See `Translator.images` for how images
    of other sizes than data.crop_size pass the network.

    Args:
        config: the whole config.
        workdir: of the run, whose checkpoint is used unless config.init_from names weights.
        source: an image, or a folder of images; it, `output` and `mask` may be addresses in
            object storage.
        output: folder.
        mask: inpainting: a mask of the image's size (white in the hole), which serves all
            images, or a folder of masks that are named like the images.

    Returns:
        Names of the files that could not be read; one line was printed for each.

    Raises:
        ValueError, OSError: bad config, checkpoint or folders; one sentence saying what to do.
    """
    config_checks.check(config)
    wanted = pixel_format.formats(config.data)[0].wanted
    root = pathlib.Path(storage.local_copy(source, wanted))
    paths = find_images(root, wanted)
    root = root if root.is_dir() else root.parent
    masks = _masks(config, paths, root, mask)
    targets = _targets(config, paths, root)
    _check_targets(targets, output)
    translators, origin = load(config, workdir)

    failed = []
    with storage.output_folder(output) as folder:
        for index, path in enumerate(paths):
            try:
                images = _read(config, path, translators, masks.get(path))
            except (ValueError, OSError) as error:
                print(storage.shown(f"skipped {path}: {error}"), flush=True)
                failed.append(str(path))
                continue
            for translator, image in zip(translators, images, strict=True):
                for sample in range(config.eval.noise_samples):
                    target = folder / targets[path, translator.direction.name, sample]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _save(config, target, translator(image, index, sample), path, translator)
    done = len(paths) - len(failed)
    print(f"{done} of {len(paths)} images translated with {origin} into {output}", flush=True)
    return failed


def _formats(config, direction):
    """How the images that a direction takes, and those that it makes, are stored."""
    first, second = pixel_format.formats(config.data)
    return (second, first) if direction.source == "B" else (first, second)


def _read(config, path, translators, mask):
    """The image as each direction takes it."""
    if config.data.value_range:
        return [_formats(config, t.direction)[0].read(path) for t in translators]
    images = [read_image(path, t.direction.in_channels) for t in translators]
    if mask is None:
        return images
    return [with_hole(image, read_image(mask, 1), mask) for image in images]


def _kind(config, path, direction):
    """How the translation of a raster is stored."""
    try:
        return pixel_format.output_kind(path, *_formats(config, direction))
    except Exception:  # of a damaged file, which is skipped later
        return rasters.FileKind(".tif", np.dtype(np.float32))


def _save(config, target, image, path, translator):
    """Writes a translation of the file at `path`."""
    if not config.data.value_range:
        return save_png(target, image)
    _, of_output = _formats(config, translator.direction)
    rasters.save(target, of_output.values(image, _kind(config, path, translator.direction).dtype))


def _targets(config, paths, root) -> dict[tuple[pathlib.Path, str, int], str]:
    """The name in the output of each image, direction and sample."""
    directions = METHODS[config.method].directions(config)
    samples = config.eval.noise_samples
    targets = {}
    for path, stem in zip(paths, unique_names(paths, root), strict=True):
        for direction in directions:
            ending = _kind(config, path, direction).suffix if config.data.value_range else ".png"
            for sample in range(samples):
                suffix = f"_{direction.name}" if len(directions) > 1 else ""
                suffix += f"_{sample + 1}" if samples > 1 else ""
                targets[path, direction.name, sample] = f"{stem}{suffix}{ending}"
    return targets


def _check_targets(targets, output):
    """Raises ValueError if two targets are the same, or one is an image to be translated."""
    target, count = Counter(targets.values()).most_common(1)[0]
    if count > 1:
        raise ValueError(
            f"{count} images would be written to {output}/{target}: rename one of them"
        )
    sources = {storage.resolved(path) for path, _, _ in targets}
    for name in targets.values():
        if storage.resolved(f"{output}/{name}") in sources:
            raise ValueError(
                f"{output}/{name} is one of the images to translate, and would be overwritten: "
                "give another folder as --output"
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
    found = find_images(folder)
    if not folder.is_dir():
        return dict.fromkeys(paths, folder)
    by_name = {path.relative_to(folder).with_suffix(""): path for path in found}
    masks = {path: by_name.get(path.relative_to(root).with_suffix("")) for path in paths}
    if missing := [path for path, its_mask in masks.items() if its_mask is None]:
        raise FileNotFoundError(
            f"{missing[0]} has no mask of its name in {folder} ({len(missing)} images have none)"
        )
    return masks
