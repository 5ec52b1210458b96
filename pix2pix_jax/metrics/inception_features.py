"""Features of images for FID and KID, in the two ways in which published figures are made.

"clean" (Parmar et al. 2022) resizes with PIL's bicubic filter, without rounding; "pytorch_fid"
with torch's bilinear interpolation, which does not average where it shrinks, and takes images of
one size only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import interpolation
from pix2pix_jax.metrics import weights_files
from pix2pix_jax.metrics.batches import in_batches
from pix2pix_jax.models.inception import SIZE, Inception
from pix2pix_jax.pytorch.frozen import Layer, to_frozen
from pix2pix_jax.pytorch.state_dicts import State
from pix2pix_jax.runtime import few_shapes

CLASSES = 1008  # of the network that was trained; the usual Inception-v3 has 1000
EPS = 1e-3  # of its batch norms


class Mode(NamedTuple):
    """How images are brought to 299x299 and to the range of the network."""

    matrix: Callable[[int, int], np.ndarray]  # of the resize
    center: float  # level that becomes 0
    scale: float
    one_size: bool  # whether all images of a set must be alike in size


MODES = {
    "clean": Mode(interpolation.pil_bicubic, 128.0, 128.0, False),
    "pytorch_fid": Mode(interpolation.torch_bilinear, 127.5, 127.5, True),
}


def load(evaluation: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The function that describes images, as the `eval` section of a config says.

    Raises:
        OSError, ValueError: the weights are missing, damaged or of another network.
    """
    state = weights_files.read(evaluation.weights_dir, weights_files.INCEPTION)
    return describer(variables_of(state), evaluation.fid_mode, evaluation.batch_size, SIZE)


def variables_of(state: State) -> dict[str, Any]:
    """Variables of `Inception` from the arrays of the published file.

    Raises:
        ValueError: they are of another network.
    """
    classes = len(state.get("fc.bias", ()))
    try:
        if classes not in (0, CLASSES):
            raise ValueError(f"it tells {classes} classes apart, not {CLASSES}")
        locate = lambda path: Layer(path, path.removesuffix("conv") + "bn", EPS)
        return to_frozen(state, Inception(), (1, SIZE, SIZE, 3), locate)
    except ValueError as error:
        raise ValueError(
            f"these weights are not those of FID's Inception ({error}): take "
            f"{weights_files.INCEPTION.name}, from {weights_files.INCEPTION.source}"
        ) from error


def describer(
    variables: dict[str, Any], mode: str, batch_size: int, size: int = SIZE
) -> Callable[[np.ndarray], np.ndarray]:
    """The function from images uint8 [N, H, W, 1 or 3] to features float32 [N, 2048].

    It raises a ValueError for images of another size than those before, if `mode` takes one.
    """
    settings, sizes = MODES[mode], set()
    variables = jax.device_put(variables)
    network = jax.jit(Inception().apply)
    run = lambda images: network(variables, prepare(images, mode=mode, size=size))

    def describe(images: np.ndarray) -> np.ndarray:
        sizes.add(images.shape[1:3])
        if settings.one_size and len(sizes) > 1:
            (a, b), (c, d) = sorted(sizes)
            raise ValueError(
                f"there are images of {b}x{a} and of {d}x{c}: {mode} takes one size, so resize "
                "them, or use the mode clean"
            )
        return in_batches(run, batch_size, np.broadcast_to(images, (*images.shape[:3], 3)))

    return describe


@few_shapes.jit
def prepare(images: jax.Array, mode: str, size: int = SIZE) -> jax.Array:
    """Images uint8 [N, H, W, 3] as the network takes them, float32 [N, size, size, 3]."""
    settings = MODES[mode]
    resized = interpolation.resize(images.astype(jnp.float32), (size, size), settings.matrix)
    return (jnp.clip(resized, 0, 255) - settings.center) / settings.scale
