"""The order of examples: a pure function of (seed, position).

Examples form an endless stream: position p belongs to epoch p // n and is the element p % n of
that epoch's permutation. The batch at step N holds the positions from N * B, so no iterator has
a state, nothing is left out at the end of an epoch, and a run resumes exactly.
"""

import functools

import numpy as np

Shard = tuple[int, int]
WHOLE: Shard = (0, 1)  # of the only process


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of n examples in an epoch: int32 [n]."""
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(n).astype(np.int32)


def order(seed: int, n: int, first: int, count: int, shuffle: bool = True) -> np.ndarray:
    """Examples at the positions first .. first + count - 1 of the stream: int32 [count].

    Without `shuffle` every epoch goes through them in the order of their numbers.
    """
    positions = np.arange(first, first + count)
    if not shuffle:
        return (positions % n).astype(np.int32)
    epochs = np.unique(positions // n)
    return np.concatenate(
        [permutation(seed, int(e), n)[positions[positions // n == e] % n] for e in epochs]
    )


def after_epochs(epochs: float, n: int, first: int, count: int) -> np.ndarray:
    """Whether the positions first .. first + count - 1 lie after `epochs` of n: int32 [count]."""
    return (np.arange(first, first + count) >= epochs * n).astype(np.int32)


def share(indices: np.ndarray, shard: Shard) -> np.ndarray:
    """The rows of every batch [steps, batch_size] that process `index` of `count` reads.

    Raises:
        ValueError: the processes cannot share a batch evenly.
    """
    index, count = shard
    if indices.shape[1] % count:
        raise ValueError(
            f"train.batch_size is {indices.shape[1]}, which {count} processes cannot share evenly: "
            f"make it a multiple of {count}"
        )
    rows = indices.shape[1] // count
    return indices[:, index * rows : (index + 1) * rows]


def random_example(seed: int, n: int, position: int) -> int:
    """One of n examples, drawn for a position of the stream."""
    return int(np.random.Generator(np.random.Philox(key=[seed, position])).integers(n))
