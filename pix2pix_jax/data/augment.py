"""Random crop and mirror on the device."""

import jax
import jax.numpy as jnp


def draw(
    key: jax.Array, sizes: jax.Array, crop_size: tuple[int, int], flip: bool
) -> tuple[jax.Array, jax.Array]:
    """Draws crop corners and mirroring, one for each image.

    Args:
        key: random key.
        sizes: int32 [B, 2], height and width of each image (it may be padded beyond them).
        crop_size: (height, width).
        flip: whether to mirror at all.

    Returns:
        corners int32 [B, 2], uniform over all positions where the crop lies in the image, and
        mirrored bool [B], true with probability 1/2.
    """
    bits = jax.random.bits(key, (sizes.shape[0], 3))  # one draw: a kernel instead of seventeen
    positions = (sizes - jnp.array(crop_size) + 1).astype(bits.dtype)
    corners = (bits[:, :2] % positions).astype(jnp.int32)  # uneven by 1e-6 at most
    return corners, (bits[:, 2] >> 31 == 1) & flip


def crop_and_flip(
    images: jax.Array, corners: jax.Array, mirrored: jax.Array, crop_size: tuple[int, int]
) -> jax.Array:
    """Cuts [B, H, W, C] to [B, h, w, C] at `corners` and mirrors where told."""

    def one(image, corner, mirror):
        size = (*crop_size, image.shape[-1])
        crop = jax.lax.dynamic_slice(image, (corner[0], corner[1], jnp.int32(0)), size)
        return jnp.where(mirror, crop[:, ::-1], crop)

    return jax.vmap(one)(images, corners, mirrored)
