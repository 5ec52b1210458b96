"""Images through the compiled functions that measure."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pix2pix_jax.runtime import batches, precision


def in_batches(function: Callable[..., Any], size: int, *arrays: np.ndarray) -> Any:
    """`runtime.batches.in_batches` in float32 on every device, whatever train.precision is."""
    with precision.computing("highest"):
        return batches.in_batches(function, size, *arrays)
