"""What reads the classes off an evaluated image: its own colours, a DRN, or a run of ours."""

import copy
import pathlib
from typing import Any, NamedTuple

import numpy as np

from pix2pix_jax.data.catalogue import DATA_SETS, palette_name
from pix2pix_jax.images.finding import existing_folders
from pix2pix_jax.images.palettes import PALETTES
from pix2pix_jax.images.resizing import resize
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.metrics import drn, weights_files
from pix2pix_jax.metrics.segmentation import Palette, Segment, predicted_classes
from pix2pix_jax.run import config_file
from pix2pix_jax.translation import translate


class Segmenter(NamedTuple):
    """How the outputs of a direction are segmented, and what they are compared with."""

    segment: Segment
    palette: Palette  # of the label maps
    truth: str  # the column of a row that is the label map: input or target


def for_direction(config: Any, direction: Direction) -> Segmenter:
    """The segmenter that the `eval` section of a config asks for.

    Where the direction makes label maps, their own colours say the classes. Else what it makes is
    segmented by `eval.segmenter`: a run from photograph to label map, or the .pth of a DRN (empty:
    the published one in eval.weights_dir).

    Raises:
        OSError, ValueError: no image of the direction is a label map, or the segmenter cannot be
            loaded, or makes other label maps.
    """
    if name := palette_name(config.data, direction.target):
        return Segmenter(_by_colour(name), PALETTES[name], "target")
    name = palette_name(config.data, direction.source)
    if name is None:
        known = ", ".join(dict.fromkeys(found.name for found in DATA_SETS if found.palette))
        raise ValueError(
            "config.eval.set_metrics has segmentation, which takes label maps, and neither side of "
            f"config.data.name={config.data.name} is known to be one: data.name says in which "
            f"colours they are drawn ({known}), also with data.dir"
        )
    path = pathlib.Path(config.eval.segmenter)
    if config.eval.segmenter and path.is_dir():
        return Segmenter(_by_run(path, name, config), PALETTES[name], "input")
    if config.eval.segmenter and not path.exists():
        raise FileNotFoundError(
            f"config.eval.segmenter is {config.eval.segmenter}, and there is no such folder or file"
            f"{existing_folders(path)}"
        )
    if name != "cityscapes":
        data = config.data.name
        own = data in ("facades", "synthetic")
        variant = data if own else f"facades --config.data.name={data}"
        raise ValueError(
            f"segmentation of {data} takes a segmenter trained here: train "
            f"--config=configs/segmenter.py:{variant}, and give its workdir as "
            "config.eval.segmenter"
        )
    return Segmenter(_by_drn(config.eval), PALETTES[name], "input")


def _by_colour(name):
    """The class of the nearest colour; images of another size are resized before."""
    return lambda images, size: predicted_classes(_fitted(images, size, "nearest"), PALETTES[name])


def _by_drn(evaluation):
    weights = evaluation.segmenter or evaluation.weights_dir
    module, variables = drn.variables_of(weights_files.read(weights, weights_files.DRN))
    return drn.segmenter(module, variables, evaluation.batch_size)


def _by_run(workdir, name, config):
    """A run of ours whose outputs are label maps in the palette `name`."""
    trained = config_file.run_config(workdir, lambda: copy.deepcopy(config))
    translators, origin = translate.load(trained, str(workdir))
    makes = [t for t in translators if palette_name(trained.data, t.direction.target) == name]
    if not makes:
        raise ValueError(
            f"config.eval.segmenter={workdir} makes no label maps in the colours of {name}: give "
            "a run from photograph to label map, such as one of configs/segmenter.py"
        )
    translator = makes[0].translator
    crop, variables = tuple(trained.data.crop_size), makes[0].variables
    colours = _by_colour(name)
    print(f"segmented by {origin}", flush=True)

    def segment(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        # One noise (dropout) for all images: classes do not depend on the place in a batch.
        labels = translator.batch(variables, _fitted(images, crop), np.zeros(len(images), int))
        return colours(labels, size)

    return segment


def _fitted(images, size, method="bicubic"):
    return np.stack([resize(image, size, method) for image in images])
