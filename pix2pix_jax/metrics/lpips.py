"""LPIPS of images with their targets, from the published weights."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from pix2pix_jax.images.levels import to_float
from pix2pix_jax.metrics import weights_files
from pix2pix_jax.metrics.batches import in_batches
from pix2pix_jax.models.lpips import BACKBONES, LEAST, distance
from pix2pix_jax.pytorch.frozen import Layer, to_frozen
from pix2pix_jax.pytorch.state_dicts import State
from pix2pix_jax.runtime import few_shapes

NETS = tuple(BACKBONES)
Distances = Callable[[np.ndarray, np.ndarray], np.ndarray]  # uint8 [N, H, W, C] each -> [N]


def load(evaluation: Any) -> Distances:
    """The distance, as the `eval` section of a config says.

    Raises:
        OSError, ValueError: the weights are missing, damaged or of another network.
    """
    net, folder = evaluation.lpips_net, weights_files.folder_of(evaluation.weights_dir)
    both = weights_files.BACKBONES[net], weights_files.LPIPS_HEADS[net]
    weights_files.check_there(evaluation.weights_dir, *both)
    backbone = weights_files.read(evaluation.weights_dir, both[0])
    heads = weights_files.read(folder, both[1])
    return distances(net, *variables_of(net, backbone, heads), evaluation.batch_size)


def variables_of(net: str, backbone: State, heads: State) -> tuple[dict[str, Any], list[Any]]:
    """Variables of the backbone, and weights of the channels of each layer.

    Args:
        net: "alex" or "vgg".
        backbone: torchvision's state_dict.
        heads: of the file of the package lpips, lin0.model.1.weight [1, C, 1, 1] to lin4.

    Raises:
        ValueError: the files are of other networks.
    """
    module = BACKBONES[net]()
    try:
        variables = to_frozen(backbone, module, (1, 64, 64, 3), Layer)
        weights = []
        for i, channels in enumerate(module.channels):
            weight = heads.get(f"lin{i}.model.1.weight")
            if weight is None or weight.shape != (1, channels, 1, 1):
                raise ValueError(f"its head lin{i} is not one for {channels} channels")
            weights.append(weight.reshape(-1).astype(np.float32))
    except ValueError as error:
        files = weights_files.BACKBONES[net].name, weights_files.LPIPS_HEADS[net].name
        raise ValueError(
            f"these weights are not those of LPIPS {net} ({error}): take {' and '.join(files)}"
        ) from error
    return variables, weights


def distances(net: str, variables: Any, heads: list[Any], batch_size: int) -> Distances:
    """The function from two arrays of images uint8 [N, H, W, 1 or 3] to their distances [N]."""
    module = BACKBONES[net]()
    variables, heads = jax.device_put((variables, heads))
    compute = few_shapes.jit(
        lambda variables, heads, x, y: distance(module, variables, heads, to_float(x), to_float(y))
    )

    def measure(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if x.shape[:3] != y.shape[:3] or min(x.shape[1:3]) < LEAST:
            raise ValueError(
                f"LPIPS compares images of one size, from {LEAST}x{LEAST} pixels, not "
                f"{x.shape[2]}x{x.shape[1]} with {y.shape[2]}x{y.shape[1]}"
            )
        x, y = (np.broadcast_to(images, (*images.shape[:3], 3)) for images in (x, y))
        return in_batches(lambda x, y: compute(variables, heads, x, y), batch_size, x, y)

    return measure
