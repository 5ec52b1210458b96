"""What a config leaves to the user's images: their sizes and the depth of the U-Net.

configs/own.py leaves these fields empty or 0. A run that has begun keeps what was chosen for it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pix2pix_jax.data import loading
from pix2pix_jax.data.side_by_side import ASPECT_TOLERANCE
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.models import build
from pix2pix_jax.run import config_file
from pix2pix_jax.run.run_folder import open_run

LARGEST = {"pairs": 512, "sets": 256}  # longer side of larger images, by what a method takes
UNETS = (256, 128, 64, 32)  # sizes whose multiples they take, and names
LOAD_FACTOR = 286 / 256  # of the papers' jitter
TOLERANCE = math.log(1.25)  # of the change of either side by rounding, before a shallower U-Net


def fill_in(config: Any, workdir: str) -> None:
    """Fills the sizes and the generator that `config` leaves open; prints what was chosen.

    Args:
        config: changed in place.
        workdir: of the run, or its address. If it has begun, its choices are taken, and the images
            not looked at.

    Raises:
        ValueError: there is neither a run nor a folder of images to go by.
        FileNotFoundError, ValueError: as `loading.training_sizes`.
    """
    data, model = config.data, config.model
    if all((*data.crop_size, *data.load_size, model.generator)):
        return
    with open_run(workdir) as run:
        run.pull()
        stored = config_file.read_config(run.folder)
    if stored:
        for size in ("crop_size", "load_size"):
            if not all(data[size]):
                data[size] = stored["data"][size]
        model.generator = model.generator or stored["model"]["generator"]
        return
    if not data.dir:
        raise ValueError(
            f"there is no run in {workdir} yet, and no images to take the sizes from: give "
            "--config.data.dir=FOLDER"
        )
    kind = METHODS[config.method].data
    sizes = loading.training_sizes(data, config.seed, kind)
    _choose(config, sizes, LARGEST.get(kind, max(LARGEST.values())))
    print(_choice(config, sizes), flush=True)


def _choose(config, sizes, largest):
    """Sets the sizes, and the U-Net, for images of these (height, width)."""
    data, model = config.data, config.model
    height, width = np.median(np.array(sizes), axis=0)
    scale = min(1.0, largest / max(height, width))
    wanted = (height * scale, width * scale)
    divisors = UNETS
    if model.generator:
        divisors = (build.generator(model, data.output_channels).divisor,)
    if not all(data.crop_size):
        data.crop_size, divisor = rounded(wanted, divisors)
    else:
        fits = (d for d in divisors if not any(side % d for side in data.crop_size))
        divisor = next(fits, divisors[-1])  # else the check of the config says what is wrong
    model.generator = model.generator or f"unet_{divisor}"
    if not all(data.load_size):
        data.load_size = tuple(round(side * LOAD_FACTOR) for side in data.crop_size)


def rounded(size: tuple[float, float], divisors: Sequence[int]) -> tuple[tuple[int, int], int]:
    """A size that a network takes, close to the one that is wanted.

    Args:
        size: (height, width).
        divisors: of networks, the preferred one first; both sides are multiples of it.

    Returns:
        multiples of the first divisor that changes neither side by more than a quarter, else of
        the last one, and that divisor.
    """
    for divisor in divisors:
        found = tuple(max(round(side / divisor), 1) * divisor for side in size)
        changes = (abs(math.log(new / side)) for new, side in zip(found, size, strict=True))
        if max(changes) <= TOLERANCE:
            break
    return found, divisor


def _choice(config, sizes):
    data = config.data
    shown = lambda size: f"{size[1]}x{size[0]}"
    by_area = sorted(sizes, key=lambda size: (math.prod(size), size))
    smallest, largest = by_area[0], by_area[-1]
    several = "" if smallest == largest else f" to {shown(largest)}"
    return _stretched(data, sizes) + (
        f"{data.dir}: images of {shown(smallest)}{several}. The networks see "
        f"{shown(data.crop_size)}, cut from {shown(data.load_size)}; the generator is "
        f"{config.model.generator}. For others set --config.data.crop_size=HEIGHT,WIDTH, "
        "--config.data.load_size or --config.model.generator"
    )


def _stretched(data, sizes):
    """A line on images that are brought to another aspect ratio; empty if there are none."""
    wanted, seen = (np.log(np.array(size)) for size in (data.load_size, sizes))
    ratios = np.abs((seen[:, 0] - seen[:, 1]) - (wanted[0] - wanted[1]))
    far = ratios > math.log(ASPECT_TOLERANCE)
    if not far.any() or data.preprocess != "resize_and_crop":
        return ""
    number = f"{far.sum()} of {len(sizes)} images"
    return (
        f"{number} have another aspect ratio than {data.crop_size[1]}x{data.crop_size[0]} and are "
        "stretched to it: python -m pix2pix_jax.dataset prepare cuts them to one instead\n"
    )
