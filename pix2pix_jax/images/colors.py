"""sRGB and CIELAB (D65, 2 degree observer), as scikit-image converts them. Last axis: channels."""

import jax
import jax.numpy as jnp
import numpy as np

# IEC 61966-2-1: linear sRGB to XYZ, and the white point that Lab is relative to.
XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
EPSILON = 0.008856  # CIE's threshold between cube root and line
SLOPE = 7.787


def rgb_to_lab(rgb: jax.Array) -> jax.Array:
    """sRGB [..., 3] in [0, 1] -> L in [0, 100], a and b in about [-110, 110]."""
    rgb = jnp.asarray(rgb, jnp.float32)
    linear = jnp.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _product(linear, XYZ_FROM_RGB.T / WHITE)
    # The root is kept away from 0, where its gradient is infinite.
    root = jnp.cbrt(jnp.maximum(xyz, EPSILON))
    f = jnp.where(xyz > EPSILON, root, SLOPE * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: jax.Array) -> jax.Array:
    """L in [0, 100], a and b [..., 3] -> sRGB, clipped to [0, 1]."""
    lab = jnp.asarray(lab, jnp.float32)
    y = (lab[..., 0] + 16) / 116
    f = jnp.stack([y + lab[..., 1] / 500, y, jnp.maximum(y - lab[..., 2] / 200, 0)], axis=-1)
    xyz = jnp.where(f > 0.2068966, f**3, (f - 16 / 116) / SLOPE)
    linear = _product(xyz * WHITE, np.linalg.inv(XYZ_FROM_RGB).T)
    # The power is kept away from negative numbers: its gradient there would be NaN.
    curve = 1.055 * jnp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return jnp.clip(jnp.where(linear > 0.0031308, curve, linear * 12.92), 0, 1)


def _product(x, matrix):
    """Exact float32 on every device, unlike a matrix product."""
    return jnp.stack([(x * np.float32(column)).sum(-1) for column in matrix.T], axis=-1)
