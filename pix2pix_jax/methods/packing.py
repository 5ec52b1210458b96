"""The small arrays of networks as one array, for the loop over steps.

An accelerator updates each array of a loop's state by a kernel of its own, and the dozens of
biases, scales and statistics of a network take as long as its large kernels. Carried as one array
they are cut apart, and put together again, inside the kernels that use them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Packed = list[Any]


def packing(example: Any) -> tuple[Callable[[Any], Packed], Callable[[Packed], Any]]:
    """Functions that pack trees like `example`, and unpack them.

    Args:
        example: a tree, of arrays or their shapes. All float32 vectors in a dict of it, and in what
            that holds, become one.

    Returns:
        pack and unpack; unpack(pack(tree)) is the tree.
    """
    is_dict = lambda node: isinstance(node, dict)
    nodes, structure = jax.tree.flatten(example, is_leaf=is_dict)

    def pack(tree):
        return [_pack(node) for node in jax.tree.leaves(tree, is_leaf=is_dict)]

    def unpack(packed):
        return structure.unflatten(map(_unpack, packed, nodes))

    return pack, unpack


def _is_small(leaf):
    return leaf.ndim == 1 and leaf.dtype == jnp.float32


def _pack(node):
    leaves = jax.tree.leaves(node)
    small = [leaf for leaf in leaves if _is_small(leaf)]
    vector = jnp.concatenate(small) if small else None
    return vector, [leaf for leaf in leaves if not _is_small(leaf)]


def _unpack(packed, example):
    vector, others = packed
    others, first, leaves = iter(others), 0, []
    examples, structure = jax.tree.flatten(example)
    for leaf in examples:
        if _is_small(leaf):
            leaves.append(jax.lax.slice_in_dim(vector, first, first + leaf.size))
            first += leaf.size
        else:
            leaves.append(next(others))
    return structure.unflatten(leaves)
