"""Chunks of a run in order, read ahead of the device."""

import concurrent.futures
import functools
from collections.abc import Callable, Iterator
from typing import Any

from pix2pix_jax.data.stream import WHOLE, Shard


def prefetched(
    examples: Any,
    first_step: int,
    last_step: int,
    steps: int,
    batch_size: int,
    depth: int,
    shard: Shard = WHOLE,
) -> Iterator[Any]:
    """The chunks of a run in order, prepared `depth` ahead when they are not cached."""
    firsts = range(first_step, last_step, steps)
    make = functools.partial(examples.chunk, steps=steps, batch_size=batch_size, shard=shard)
    if examples.cache is not None:
        return map(make, firsts)
    return _ahead(make, firsts, depth)


def _ahead(make: Callable[[int], Any], items: range, depth: int) -> Iterator[Any]:
    """map(make, items), computed up to `depth` items ahead in a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting: list[concurrent.futures.Future] = []
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > depth:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
