"""`jax.jit` for images of any size: only the programs of the last few shapes are kept."""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np

from pix2pix_jax.runtime import host_memory

KEPT = 8  # programs of one function; a U-Net or a Poisson solver takes about 15 MB each


def jit(function: Callable[..., Any], kept: int = KEPT) -> Callable[..., Any]:
    """Compiles `function` for each shape of its arguments, and forgets the least recently used.

    `jax.jit` keeps every program that it has compiled, so a server that is sent images of many
    sizes would grow without end.

    Args:
        function: pure; positional arguments are arrays or trees of them, keyword arguments are
            hashable and compiled in.
        kept: programs kept.

    Returns:
        A function of the same signature. Its `cache_info()` and `cache_clear()` are those of
        `functools.lru_cache`.
    """

    @functools.lru_cache(maxsize=kept)
    def compiled(structure: Hashable, shapes: Hashable, static: tuple[tuple[str, Any], ...]):
        # A function of its own: JAX's caches hold it weakly, and drop the program with it.
        return jax.jit(lambda *args: function(*args, **dict(static)))

    @functools.wraps(function)
    def call(*args: Any, **static: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        shapes = tuple((np.shape(leaf), getattr(leaf, "dtype", None)) for leaf in leaves)
        misses = compiled.cache_info().misses
        result = compiled(structure, shapes, tuple(sorted(static.items())))(*args)
        if compiled.cache_info().misses > misses:
            host_memory.keep_freed()  # but for hundreds of MB that the compiler leaves
        return result

    call.cache_info, call.cache_clear = compiled.cache_info, compiled.cache_clear
    return call
