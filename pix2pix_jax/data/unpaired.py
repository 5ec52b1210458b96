"""Two sets of images that are trained on without pairs."""

from typing import Any

import jax
import numpy as np

from pix2pix_jax.data.examples import Examples
from pix2pix_jax.data.stream import WHOLE, Shard, after_epochs, order, random_example, share
from pix2pix_jax.runtime import random_streams


class UnpairedExamples:
    """Two sets of images, A and B, say, that need not show the same things or be equally many.

    An epoch goes once through one set (the larger, if none is named), in the order of
    `permutation`; beside each of its images stands a random one of the other. Without data.shuffle
    both go in the order of their names, the other set from its start again as often as needed.
    `paired` says that equal numbers show the same thing after all, which evaluation uses.
    """

    def __init__(
        self, sets: dict[str, Examples], seed: int, paired: bool, leader: str | None = None
    ) -> None:
        self._sets, self._seed, self.paired = sets, seed, paired
        self._leader = leader or max(sets, key=lambda name: len(sets[name]))
        self.one_size = all(examples.one_size for examples in sets.values())
        caches = {name: examples.cache for name, examples in sets.items()}
        whole = all(cache is not None for cache in caches.values())
        self.cache = caches if whole else None
        if not whole:  # both stream: a chunk holds images of one form
            for examples in sets.values():
                examples.cache = None

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self._sets[self._leader])

    def count(self, kind: str) -> int:
        """Number of images in one set."""
        return len(self._sets[kind])

    def names(self, indices: np.ndarray, kind: str | None = None) -> list[str]:
        """Names of some images of a set."""
        return self._sets[kind or self._leader].names(indices)

    def images(self, kind: str, indices: np.ndarray) -> list[np.ndarray]:
        """`Examples.images` of one set."""
        return self._sets[kind].images(kind, indices)

    def chunk(self, step: int, steps: int, batch_size: int, shard: Shard = WHOLE) -> Any:
        """`Examples.chunk` of both sets, by name."""
        n, first, count = len(self), step * batch_size, steps * batch_size
        shuffle = self._sets[self._leader].shuffle
        in_order = order(self._seed, n, first, count, shuffle).reshape(steps, batch_size)
        epochs = self._sets[self._leader].jittered_epochs
        late = after_epochs(epochs, n, first, count).reshape(steps, batch_size)
        chunk = {}
        for name, examples in self._sets.items():
            indices = in_order
            if name != self._leader and not shuffle:
                indices = in_order % len(examples)
            elif name != self._leader:
                drawn = [
                    random_example(self._seed, len(examples), p)
                    for p in range(first, first + count)
                ]
                indices = np.array(drawn, np.int32).reshape(steps, batch_size)
            chunk[name] = examples.take(share(indices + len(examples) * late, shard))
        return chunk

    def batch(self, key: jax.Array, cache: Any, item: Any) -> dict[str, jax.Array]:
        """`Examples.batch` of both sets; each image gets a crop and mirroring of its own."""
        batch = {}
        for name, examples in self._sets.items():
            its_cache = None if cache is None else cache[name]
            batch |= examples.batch(random_streams.named(key, name), its_cache, item[name])
        return batch
