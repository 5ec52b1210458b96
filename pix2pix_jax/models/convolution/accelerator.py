"""How a GPU or TPU computes the three maps of a convolution: as XLA does, but for tiny images.

Where y is no larger than the kernel, as in the innermost layers of a U-Net, XLA takes the weight
gradient for a forward convolution with a huge, dilated kernel, and the three maps want the weights
in different orders in memory. Adam then updates a copy and copies it back: a fifth of all that
a step of pix2pix at batch 1 moves. As matrix products all three take the weights as they lie.
"""

from collections.abc import Callable

import jax

from pix2pix_jax.models.convolution.geometry import Geometry
from pix2pix_jax.models.convolution.patches import fold_adjoint, patch_conv, patch_weight_gradient
from pix2pix_jax.models.convolution.stock import stock, stock_adjoint, stock_weight_gradient

Form = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


def choose_conv(geometry: Geometry) -> Form:
    """The form of the convolution."""
    return patch_conv if _is_tiny(geometry) else stock


def choose_adjoint(geometry: Geometry) -> Form:
    """The form of the adjoint."""
    return fold_adjoint if _is_tiny(geometry) else stock_adjoint


def choose_weight_gradient(geometry: Geometry) -> Form:
    """The form of the weight gradient."""
    return patch_weight_gradient if _is_tiny(geometry) else stock_weight_gradient


def _is_tiny(geometry):
    """What `fold_adjoint` serves (kernel 4, stride 2, padding 1, even sizes), if y is small."""
    doubles = geometry[:2] == (2 * geometry.out_height, 2 * geometry.out_width)
    small = max(geometry.out_height, geometry.out_width) <= geometry.kernel
    return small and doubles and geometry[2:] == (4, 2, 1)
