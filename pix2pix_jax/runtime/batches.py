"""Images through a compiled function in batches of one shape."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def in_batches(function: Callable[..., Any], size: int, *arrays: np.ndarray) -> Any:
    """Applies `function` to up to `size` rows of each array at a time.

    The last batch is filled up with repeats, so that only one shape is compiled.

    Args:
        function: from arrays [size, ...] to a tree of arrays [size, ...].
        size: rows of a batch.
        arrays: each [N, ...], N > 0.

    Returns:
        the tree of arrays [N, ...], on the host.
    """
    count, found = len(arrays[0]), []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        found.append(jax.device_get(function(*(array[rows] for array in arrays))))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *found)
