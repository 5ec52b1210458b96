"""Label maps as networks take them: a channel for each class, and one for the edges of instances.

How files have them is data.labels. "rgb": as an image like any other. The name of a palette: in its
colours, which are found again by the nearest one. "ids": as numbers, in 1 channel the class; in 3
channels the class, and the instance in two bytes, the high one first.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images.palettes import PALETTES

KINDS = ("rgb", "ids", *PALETTES)


def has_instances(data: Any) -> bool:
    """Whether the label maps say which pixels are one object."""
    return data.labels == "ids" and data.input_channels == 3


def are_numbers(data: Any) -> bool:
    """Whether files of label maps have one number for each pixel, its class."""
    return data.labels == "ids" and data.input_channels == 1


def num_classes(data: Any) -> int:
    """Classes that pixels have; 0 if label maps are taken for images."""
    if data.labels in PALETTES:
        return len(PALETTES[data.labels])
    return data.num_classes if data.labels == "ids" else 0


def num_channels(data: Any) -> int:
    """Channels of what `encode` gives."""
    return num_classes(data) + has_instances(data) if num_classes(data) else data.input_channels


def encode(data: Any, images: jax.Array) -> jax.Array:
    """Label maps in [-1, 1], as files have them -> 1 in the channel of a pixel's class, else 0.

    Args:
        data: the `data` section of a config.
        images: [N, H, W, data.input_channels].

    Returns:
        [N, H, W, num_channels(data)]; the last channel is 1 at the edges of instances if files
        have these. With labels "rgb" the images as they are.
    """
    if data.labels == "rgb":
        return images
    levels = jnp.round((images + 1) * 127.5).astype(jnp.int32)
    if data.labels in PALETTES:
        colours = jnp.array(list(PALETTES[data.labels].values()))
        ids = jnp.square(levels[..., None, :] - colours).sum(-1).argmin(-1)
    else:
        ids = levels[..., 0]
    found = jax.nn.one_hot(ids, num_classes(data), dtype=images.dtype)
    if not has_instances(data):
        return found
    borders = edges(256 * levels[..., 1] + levels[..., 2])
    return jnp.concatenate([found, borders[..., None].astype(found.dtype)], axis=-1)


def edges(instances: jax.Array) -> jax.Array:
    """Where the number left, right, above or below is another: [N, H, W] -> bool [N, H, W]."""
    found = jnp.zeros(instances.shape, bool)
    for axis in (1, 2):
        n = instances.shape[axis]
        part = lambda x, *bounds, axis=axis: jax.lax.slice_in_dim(x, *bounds, axis=axis)
        differ = part(instances, 1, n) != part(instances, 0, n - 1)
        border = jnp.zeros_like(part(found, 0, 1))
        found |= jnp.concatenate([differ, border], axis) | jnp.concatenate([border, differ], axis)
    return found


def check_ids(data: Any, image: np.ndarray, name: Any) -> None:
    """Raises ValueError if a label map uint8 [H, W, C] has a class that there is none of."""
    if data.labels == "ids" and image[..., 0].max() >= data.num_classes:
        raise ValueError(
            f"{name} has the class {image[..., 0].max()}, and with config.data.num_classes="
            f"{data.num_classes} they go from 0 to {data.num_classes - 1}: raise it, or change the "
            "file. Label maps in colours take config.data.labels=rgb"
        )


def show(data: Any, images: np.ndarray) -> np.ndarray:
    """Label maps uint8 [N, H, W, C] as pictures: ids in the colours of the PASCAL VOC data set."""
    if data.labels != "ids":
        return images
    ids = np.arange(256)
    channels = [
        sum(((ids >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3))
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1).astype(np.uint8)[images[..., 0]]
