"""Segmentation of Cityscapes by a DRN, from published weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images.interpolation import pil_bilinear, resize
from pix2pix_jax.metrics.batches import in_batches
from pix2pix_jax.metrics.segmentation import Segment
from pix2pix_jax.models.drn import DRN, DRN_D_22, DRN_D_105
from pix2pix_jax.pytorch.frozen import Layer, to_frozen
from pix2pix_jax.pytorch.state_dicts import State
from pix2pix_jax.runtime import few_shapes

MEAN, DEVIATION = (0.29010095, 0.32808145, 0.28696394), (0.18295405, 0.18656561, 0.18447509)


def variables_of(state: State) -> tuple[DRN, dict[str, Any]]:
    """The network that a state_dict belongs to, DRN-D-22 or DRN-D-105, and its variables.

    Raises:
        ValueError: it is of another network.
    """
    module = DRN_D_105 if "base.3.0.conv3.weight" in state else DRN_D_22
    try:
        return module, to_frozen(state, module, (1, 64, 64, 3), locate)
    except ValueError as error:
        raise ValueError(
            f"these weights are not those of a DRN-D-22 or DRN-D-105 for Cityscapes: {error}"
        ) from error


def locate(path: str) -> Layer:
    """Where a state_dict has a layer: the batch norm follows its convolution."""
    if path == "seg":
        return Layer(path)
    before, _, last = path.rpartition(".")
    norm = f"bn{last.removeprefix('conv')}" if last.startswith("conv") else str(int(last) + 1)
    return Layer(path, f"{before}.{norm}")


def segmenter(module: DRN, variables: dict[str, Any], batch_size: int) -> Segment:
    """The function from images uint8 [N, h, w, 3] and a size to classes [N, H, W].

    Images pass at their own size; the scores are enlarged bilinearly, as PIL does.
    """
    variables = jax.device_put(variables)

    @few_shapes.jit
    def classes(variables, images, *, size):
        normalised = (images.astype(jnp.float32) / 255 - jnp.array(MEAN)) / jnp.array(DEVIATION)
        found = module.apply(variables, normalised)
        return resize(found, size, pil_bilinear).argmax(-1).astype(jnp.uint8)

    def segment(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return in_batches(lambda x: classes(variables, x, size=tuple(size)), batch_size, images)

    return segment
