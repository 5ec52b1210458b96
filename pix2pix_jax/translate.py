"""--mode=translate: a user's own images of any size, named like their inputs."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from pix2pix_jax import config_checks, visualize, weights
from pix2pix_jax.data import sources
from pix2pix_jax.data.preprocess import resize
from pix2pix_jax.evaluate import make_translator
from pix2pix_jax.methods import METHODS


def translate(config: Any, workdir: str, source: str, output: str) -> list[str]:
    """Translates an image, or every image below a folder, into the folder `output`.

    An image keeps its size and its path below `source`, as a .png; with several directions or
    noise samples their names and numbers are added. Transparency is laid on
    white. See `fit` for how images of other sizes than data.crop_size pass the network.

    Returns:
        Names of the files that could not be read; one line was printed for each.

    Raises:
        ValueError, OSError: bad config, checkpoint or folders; one sentence saying what to mend.
    """
    config_checks.check(config, 1)
    paths = sources.find_images(source)
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    variables, origin = weights.load_generators(config, workdir)
    directions = METHODS[config.method].translations(config)
    translators = [make_translator(config, direction.out_channels) for direction in directions]
    root = pathlib.Path(source)
    root = root if root.is_dir() else root.parent

    failed = []
    for index, path in enumerate(paths):
        name = path.relative_to(root).with_suffix(".png")
        try:
            image = sources.read_image(path, config.data.input_channels)
        except (ValueError, OSError) as error:
            print(f"skipped {path}: {error}", flush=True)
            failed.append(str(path))
            continue
        fitted, restore = fit(image, config)
        for direction, translator in zip(directions, translators, strict=True):
            for sample in range(config.eval.noise_samples):
                generator = variables[direction.generator]
                result = translator(generator, fitted[None], np.array([index]), sample)[0]
                suffix = f"_{direction.name}" if len(directions) > 1 else ""
                suffix += f"_{sample + 1}" if config.eval.noise_samples > 1 else ""
                target = (folder / name).with_stem(name.stem + suffix)
                target.parent.mkdir(parents=True, exist_ok=True)
                visualize.save_png(target, restore(result))
    done = len(paths) - len(failed)
    print(f"{done} of {len(paths)} images translated with {origin} into {folder}", flush=True)
    return failed


def fit(image: np.ndarray, config: Any) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Brings an image to a size that the network takes, and tells how to undo that.

    eval.fit "resize" gives every image data.crop_size, which the network was trained on, and
    resizes the result back (bicubic). "pad" keeps the resolution: it mirrors the right and lower
    border up to the next multiple of the network's divisor and cuts the result.

    Args:
        image: uint8 [H, W, C].
        config: the whole config.

    Returns:
        uint8 [h, w, C], and the function from the result [h, w, O] to [H, W, O].
    """
    height, width = image.shape[:2]
    if config.eval.fit == "resize":
        return resize(image, tuple(config.data.crop_size)), lambda y: resize(y, (height, width))
    kind, number = config.model.generator.split("_")
    divisor = int(number) if kind == "unet" else 4
    pads = [(0, -height % divisor), (0, -width % divisor), (0, 0)]
    return np.pad(image, pads, mode="symmetric"), lambda y: y[:height, :width]
