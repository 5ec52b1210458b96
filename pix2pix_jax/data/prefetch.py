"""Chunks of a run in order, read and sent to the devices before the steps that take them."""

import concurrent.futures
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import jax
from jax.sharding import NamedSharding

from pix2pix_jax.data.stream import WHOLE, Shard
from pix2pix_jax.runtime import processes

MAKERS = 2  # chunks in the making: while the last images of one are decoded, the next is begun


def prefetched(
    examples: Any,
    spans: Iterable[range],
    batch_size: int,
    ahead_mb: int,
    sharding: NamedSharding,
    shard: Shard = WHOLE,
) -> Iterator[tuple[range, Any]]:
    """(steps, chunk) of each dispatch.

    Args:
        examples: what `data.loading` gives.
        spans: the steps of each dispatch, in order.
        batch_size: over all processes.
        ahead_mb: chunks that are not cached are made ahead until those that wait take so many MiB,
            at least one of them.
        sharding: of chunks over the devices.
        shard: (index, count) of this process.
    """
    cached = examples.cache is not None
    place = processes.distribute if cached else processes.send

    def make(span):
        return place(examples.chunk(span.start, len(span), batch_size, shard), sharding)

    if cached:
        return ((span, make(span)) for span in spans)
    return _ahead(make, iter(spans), ahead_mb * 2**20)


def _ahead(make, spans, nbytes):
    """(span, make(span)) of all spans in order, made ahead in threads."""
    waiting: deque[tuple[range, concurrent.futures.Future]] = deque()
    with concurrent.futures.ThreadPoolExecutor(MAKERS) as pool:

        def begin(steps):
            """Begins chunks until those that wait have so many steps."""
            while not waiting or sum(len(span) for span, _ in waiting) < steps:
                if (span := next(spans, None)) is None:
                    return
                waiting.append((span, pool.submit(make, span)))

        try:
            begin(1)
            while waiting:
                span, future = waiting.popleft()
                chunk = future.result()
                begin(nbytes * len(span) / sum(x.nbytes for x in jax.tree.leaves(chunk)))
                yield span, chunk
        finally:
            for _, future in waiting:
                future.cancel()
