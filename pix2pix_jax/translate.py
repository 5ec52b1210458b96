"""--mode=translate: a user's own images of any size, named like their inputs."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from pix2pix_jax import config_checks, weights
from pix2pix_jax.evaluate import make_translator
from pix2pix_jax.images.files import find_images, read_image, save_png
from pix2pix_jax.images.resizing import resize
from pix2pix_jax.methods.contract import Translation
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.models import build


class ImageTranslator:
    """One direction of a trained model, for images of any size."""

    def __init__(self, config: Any, translation: Translation, variables: Any):
        """`variables` are those of the direction's generator."""
        self.config, self.translation, self._variables = config, translation, variables
        self._run = make_translator(config, translation.out_channels)

    def __call__(self, image: np.ndarray, index: int = 0, sample: int = 0) -> np.ndarray:
        """Image uint8 [H, W, C], of inpainting as `with_hole` gives it -> uint8 [H, W, O].

        The noise depends on config.seed, `index` and `sample`.
        """
        fitted, restore = fit(image, self.config, self.translation.out_channels)
        return restore(self._run(self._variables, fitted[None], np.array([index]), sample)[0])


def load(config: Any, workdir: str) -> tuple[list[ImageTranslator], str]:
    """A translator for each direction, and a line saying where the weights are from.

    Raises as `weights.load_generators` does.
    """
    variables, origin = weights.load_generators(config, workdir)
    directions = METHODS[config.method].translations(config)
    return [ImageTranslator(config, d, variables[d.generator]) for d in directions], origin


def translate(
    config: Any, workdir: str, source: str, output: str, mask: str | None = None
) -> list[str]:
    """Translates an image, or every image below a folder, into the folder `output`.

    An image keeps its size and its path below `source`, as a .png; with several directions or
    noise samples their names and numbers are added. Transparency is laid on
    white. See `fit` for how images of other sizes than data.crop_size pass the network.

    Args:
        config: the whole config.
        workdir: of the run, whose checkpoint is used unless config.init_from names weights.
        source: an image, or a folder of images.
        output: folder.
        mask: inpainting: a mask of the image's size (white in the hole), which serves all
            images, or a folder of masks that are named like the images.

    Returns:
        Names of the files that could not be read; one line was printed for each.

    Raises:
        ValueError, OSError: bad config, checkpoint or folders; one sentence saying what to mend.
    """
    config_checks.check(config)
    paths = find_images(source)
    root = pathlib.Path(source)
    root = root if root.is_dir() else root.parent
    masks = _masks(config, paths, root, mask)
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    translators, origin = load(config, workdir)

    failed = []
    for index, path in enumerate(paths):
        name = path.relative_to(root).with_suffix(".png")
        for translator in translators:
            direction = translator.translation
            try:
                image = read_image(path, direction.in_channels)
                if masks:
                    image = with_hole(image, read_image(masks[path], 1), masks[path])
            except (ValueError, OSError) as error:
                print(f"skipped {path}: {error}", flush=True)
                failed.append(str(path))
                break
            for sample in range(config.eval.noise_samples):
                result = translator(image, index, sample)
                suffix = f"_{direction.name}" if len(translators) > 1 else ""
                suffix += f"_{sample + 1}" if config.eval.noise_samples > 1 else ""
                target = (folder / name).with_stem(name.stem + suffix)
                target.parent.mkdir(parents=True, exist_ok=True)
                save_png(target, result)
    done = len(paths) - len(failed)
    print(f"{done} of {len(paths)} images translated with {origin} into {folder}", flush=True)
    return failed


def _masks(config, paths, root, mask):
    """{image: its mask}; empty for the methods that take none."""
    wanted = METHODS[config.method].DATA == "masked"
    if wanted != bool(mask):
        raise ValueError(
            "inpainting takes --mask=FILE_OR_FOLDER, white in the holes"
            if wanted
            else f"{config.method} takes no --mask; only inpainting does"
        )
    if not wanted:
        return {}
    found, folder = find_images(mask), pathlib.Path(mask)
    if not folder.is_dir():
        return dict.fromkeys(paths, folder)
    by_name = {path.relative_to(folder).with_suffix(""): path for path in found}
    masks = {path: by_name.get(path.relative_to(root).with_suffix("")) for path in paths}
    if missing := [path for path, its_mask in masks.items() if its_mask is None]:
        raise FileNotFoundError(
            f"{missing[0]} has no mask of its name in {folder} ({len(missing)} images have none)"
        )
    return masks


def with_hole(image: np.ndarray, mask: np.ndarray, name: Any = "the mask") -> np.ndarray:
    """Image uint8 [H, W, C] and mask [H, W, 1] -> [H, W, C + 1], 255 where the mask is over 127.

    Raises:
        ValueError: their sizes differ; the message calls the mask `name`.
    """
    if image.shape[:2] != mask.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (mask.shape[:2], image.shape[:2])]
        raise ValueError(f"{name} is {sizes[0]}, and the image {sizes[1]}: they must agree")
    return np.concatenate([image, np.where(mask > 127, 255, 0).astype(np.uint8)], axis=-1)


def fit(
    image: np.ndarray, config: Any, out_channels: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Brings an image to a size that the network takes, and tells how to undo that.

    eval.fit "resize" gives every image data.crop_size, which the network was trained on, and
    resizes the result back (bicubic). "pad" keeps the resolution: it mirrors the right and lower
    border up to the next multiple of the network's divisor and cuts the result.

    Args:
        image: uint8 [H, W, C].
        config: the whole config.
        out_channels: of the result.

    Returns:
        uint8 [h, w, C], and the function from the result [h, w, O] to [H, W, O].
    """
    height, width = image.shape[:2]
    if config.eval.fit == "resize":
        return resize(image, tuple(config.data.crop_size)), lambda y: resize(y, (height, width))
    divisor = build.generator(config.model, out_channels).divisor
    pads = [(0, -height % divisor), (0, -width % divisor), (0, 0)]
    return np.pad(image, pads, mode="symmetric"), lambda y: y[:height, :width]
