"""Trained generators as functions of images: what `pix2pix_jax.load` gives."""

import os
import pathlib
from typing import Any

import numpy as np
from absl import logging
from flax.traverse_util import flatten_dict
from PIL import Image as pil

from pix2pix_jax import trained_models
from pix2pix_jax.images import classes, pixel_format
from pix2pix_jax.images.files import read_image, to_array, to_pil
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.pytorch import published
from pix2pix_jax.run import config_file
from pix2pix_jax.run.run_folder import open_run
from pix2pix_jax.settings import config_checks, flag_errors
from pix2pix_jax.settings.defaults import get_config
from pix2pix_jax.translation import translate
from pix2pix_jax.translation.translator import with_hole

Image = pil.Image | np.ndarray | str | os.PathLike[str]


class LoadedModel:
    """One direction of a trained run, or of a .pth.

    `config` is what it was trained with, `direction` says what it takes and gives.
    """

    def __init__(self, config: Any, translator: translate.TrainedTranslator, origin: str):
        self.config, self.direction = config, translator.direction
        self._translator, self._origin = translator, origin
        self._has_holes = METHODS[config.method].has_holes

    def __call__(
        self, image: Image, mask: Image | None = None, *, index: int = 0, sample: int = 0
    ) -> pil.Image | np.ndarray:
        """Translates an image, or a batch of them; the result is of the same kind and size.

        Kinds are PIL's images and paths of image files, which both give PIL's images; and arrays
        [H, W, C], or [N, H, W, C] for a batch, of uint8 or of floating point in [0, 1] (which is
        rounded to 8 bits). How other sizes than that of training pass the network is the field
        eval.fit of the config.

        With data.value_range arrays have its units, and any dtype of integers or floating point;
        files (TIFF, PNG, .npy) give such arrays. The result has the input's dtype, rounded if that
        is of integers; or float32, where the output has a range of its own.

        Args:
            image: to be translated. PIL's are taken as their pixels lie; a file is turned upright.
            mask: inpainting: of the image's size and any of these kinds, white in the hole.
            index: chooses the noise (dropout) of the first image; the next ones have the next.
            sample: chooses another noise, too: which of several outputs to draw.

        Raises:
            ValueError, OSError: it is no image, or not of the channels or values that the model
                takes; one sentence says which.
        """
        image, mask = _home(image), _home(mask)
        if self._has_holes != (mask is not None):
            raise ValueError(
                "this model fills holes: call it as model(image, mask), the mask white in them"
                if self._has_holes
                else f"{self.config.method} takes no mask; only inpainting does"
            )
        if self.config.data.value_range:
            return self._rasters(image, index, sample)
        as_numbers = classes.are_numbers(self.config.data)
        images = _levels(image, self.direction.in_channels, as_numbers)
        if mask is not None:
            masks = _levels(mask, 1, background="black")
            if len(masks) != len(images):
                raise ValueError(f"there are {len(images)} images and {len(masks)} masks")
            images = [with_hole(x, hole) for x, hole in zip(images, masks, strict=True)]
        indices = np.arange(index, index + len(images))
        return _like(image, self._translator.images(images, indices, sample))

    def _rasters(self, image, index, sample):
        """As `__call__`, with data.value_range."""
        both = of_input, of_output = pixel_format.formats_from(
            self.config.data, self.direction.source
        )
        if isinstance(image, str | os.PathLike):
            shape, images = (), [of_input.read(image)]
            dtype = pixel_format.output_kind(image, *both).dtype
        else:
            array = _array(image, of_input.channels)
            shape = array.shape[:-3]
            images = list(of_input.raster(array, "the array").reshape(-1, *array.shape[-3:]))
            dtype = pixel_format.output_dtype(array.dtype, *both)
        indices = np.arange(index, index + len(images))
        outputs = np.stack(self._translator.images(images, indices, sample))
        return of_output.values(outputs.reshape(*shape, *outputs.shape[1:]), dtype)

    def __repr__(self) -> str:
        return f"<{self.config.method} {self.direction.name or self.config.name}: {self._origin}>"


def load(path: str | os.PathLike[str], direction: str, fields: dict[str, Any]) -> LoadedModel:
    """As `pix2pix_jax.load`, which documents it."""
    path = _home(path)
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # the libraries' warnings are not the user's
    try:
        config = _config(path, direction, fields)
        workdir = "" if config.init_from else path
        (translator,), origin = translate.load(config, workdir)
    finally:
        logging.set_verbosity(before)
    return LoadedModel(config, translator, origin)


def _config(path, direction, fields):
    """The config of a run, .pth or published generator, with a direction and fields of the user."""
    known = published.is_name(path)
    if known:
        path = str(published.fetch(published.GENERATORS[path]))
    elif (hint := published.hint(path)) and not pathlib.Path(path).exists():
        raise FileNotFoundError(f"there is no run {path}{hint}")
    if path.endswith(".pth"):
        config = trained_models.pth_config(pathlib.Path(path), get_config)
        if config is None:
            raise ValueError(f"{path} holds a discriminator: give the .pth of a generator")
        if config.model.generator.startswith("unet_") and not (known or "model.dropout" in fields):
            print(
                f"{path} does not say whether its U-Net had dropout, which is taken as pix2pix's, "
                f"{config.model.dropout}: for one trained with --no_dropout give "
                "fields={'model.dropout': 0}",
                flush=True,
            )
    else:
        with open_run(path) as run:
            run.pull()
            config = config_file.run_config(run.folder, get_config)
    known = list(flatten_dict(config.to_dict(), sep="."))
    for name in fields.keys() - set(known):
        raise ValueError(flag_errors.unknown_field(name, known))
    config.update_from_flattened_dict(fields)
    if direction:
        if not METHODS[config.method].directions(config)[0].name:
            raise ValueError(f"{path} has one direction: leave out direction={direction!r}")
        config.eval.direction = direction
    config_checks.check(config)
    if len(METHODS[config.method].directions(config)) > 1:
        raise ValueError(
            f"{path} translates in two directions: give direction='A2B' or direction='B2A'"
        )
    return config


def _home(image):
    """A path with that of the home folder for ~; anything else as it is."""
    return os.path.expanduser(image) if isinstance(image, str | os.PathLike) else image


def _levels(image, channels, as_numbers=False, background="white"):
    """The image, or each of a batch, as uint8 [H, W, channels]."""
    if isinstance(image, str | os.PathLike):
        return [read_image(image, channels, as_numbers, background)]
    if isinstance(image, pil.Image):
        return [to_array(image, channels, as_numbers, background)]
    array = _array(image, channels)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):  # NaN fails too
            raise ValueError(
                f"the array goes from {array.min():g} to {array.max():g}: images of floating point "
                "go from 0 to 1"
            )
        array = np.round(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ValueError(f"the array is {array.dtype}: images are uint8, or floating point")
    return list(array.reshape(-1, *array.shape[-3:]))


def _array(image, channels):
    """An array of numbers, [H, W, channels] or a batch of such."""
    if not isinstance(image, np.ndarray) and np.asarray(image).dtype.kind not in "uif":
        raise ValueError(
            f"this is no image but of type {type(image).__name__}: give a path, a PIL image or an "
            "array; several files one by one"
        )
    array = np.asarray(image)
    if array.ndim not in (3, 4) or array.shape[-1] != channels or 0 in array.shape:
        raise ValueError(
            f"the array has shape {array.shape}: this model takes [H, W, {channels}], or "
            f"[N, H, W, {channels}] for a batch"
        )
    if array.dtype.kind not in "uif":
        raise ValueError(f"the array is {array.dtype}: images are numbers")
    return array


def _like(image, outputs):
    """The outputs as the kind that `image` is."""
    if isinstance(image, str | os.PathLike | pil.Image):
        return to_pil(outputs[0])
    array = np.asarray(image)
    result = np.stack(outputs).reshape(*array.shape[:-1], -1)
    if array.dtype == np.uint8:
        return result
    return (result / 255).astype(array.dtype)
