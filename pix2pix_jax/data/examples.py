"""From record sources to batches that are pure functions of (seed, step); see `stream`."""

import concurrent.futures
import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pix2pix_jax.data.sources import Source, header_of
from pix2pix_jax.data.stream import WHOLE, Shard, order, random_example, share
from pix2pix_jax.images import resizing

Batch = dict[str, np.ndarray]


class Domain:
    """One kind of image (input or target) of a source, resized as the config says."""

    def __init__(self, key: str, data: Any, train: bool):
        self._key, self._data, self._train = key, data, train

    def resized(self, height: int, width: int, name: str) -> tuple[int, int]:
        """(height, width) that an image of this size is resized to.

        Raises:
            ValueError: the crop is larger than that, or there is none and it should be that.
        """
        data = self._data
        crop = tuple(data.crop_size)
        if not self._train:
            return crop
        size = resizing.target_size(height, width, data.preprocess, data.load_size, crop)
        if min(size[0] - crop[0], size[1] - crop[1]) < 0:
            raise ValueError(
                f"{name} is {size[1]}x{size[0]}, smaller than the crop "
                f"{crop[1]}x{crop[0]}: lower data.crop_size, or resize with "
                "data.preprocess=resize_and_crop"
            )
        if not resizing.crops(data.preprocess) and size != crop:
            raise ValueError(
                f"{name} is {size[1]}x{size[0]} and nothing is cropped: with "
                f"data.preprocess={data.preprocess} set data.crop_size=({size[0]}, {size[1]}), "
                "the size of all images, or choose a preprocess with a crop"
            )
        return size

    def read(self, record: dict[str, Any]) -> np.ndarray:
        """The resized image of a record."""
        image = record[self._key]
        size = self.resized(*image.shape[:2], record["name"])
        return resizing.resize(image, size, self._data.resize_method)


class Examples:
    """A source's images, ready for batches: in memory when small, else read as they are needed.

    The images of a batch are {"input", "target"} for pairs; each comes with "<name>_size",
    int32 (height, width) of the image. Where sizes differ and a crop follows, images are padded
    at the right and bottom to the largest; the crop never reaches there.
    """

    def __init__(
        self, source: Source, domains: dict[str, str], data: Any, seed: int, train: bool
    ) -> None:
        """Reads the images if they fit data.cache_mb, else their sizes.

        Args:
            source: of records.
            domains: {"input": "A", "target": "B"}: names in a batch, and in a record.
            data: the `data` section of a config.
            seed: of the order.
            train: resize for a random crop; else straight to data.crop_size.

        Raises:
            ValueError: an image is damaged, or its size does not fit; the message names it.
        """
        if not len(source):
            raise ValueError("the data set is empty")
        self._source, self._seed, self.shuffle = source, seed, data.shuffle
        self._domains = {name: Domain(key, data, train) for name, key in domains.items()}
        self._pool = concurrent.futures.ThreadPoolExecutor(data.num_threads)
        vary = train and data.preprocess != "resize_and_crop"
        self._shapes = self._largest(vary)
        size = sum(map(math.prod, self._shapes.values())) * len(source)
        self.cache: Batch | None = None
        self._names: list[str] | None = None
        if size <= data.cache_mb * 2**20:
            self.cache = self._load_all()

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self._source)

    def _largest(self, vary):
        """{name: (height, width, channels)} that holds every resized image."""
        first = self._read(0)
        shapes = {name: first[name].shape for name in self._domains}
        if not vary:
            return shapes
        headers = list(self._pool.map(lambda i: header_of(self._source, i), range(len(self))))
        for name, domain in self._domains.items():
            sizes = [domain.resized(*size, told) for told, size in headers]
            shapes[name] = (*np.max(sizes, axis=0).tolist(), shapes[name][2])
        return shapes

    def _read(self, index: int) -> dict[str, Any]:
        record = self._source[int(index)]
        images = {name: domain.read(record) for name, domain in self._domains.items()}
        if "target" in images and images["input"].shape[:2] != images["target"].shape[:2]:
            raise ValueError(f"the two images of {record['name']} differ in size")
        return {**images, "name": record["name"]}

    def _load_all(self) -> Batch:
        began = told = time.monotonic()
        batch = self._empty(len(self))
        self._names = []
        for i, example in enumerate(self._pool.map(self._read, range(len(self)))):
            self._put(batch, i, example)
            self._names.append(example["name"])
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"read {i + 1} of {len(self)} images in {told - began:.0f} s", flush=True)
        return batch

    def _empty(self, n) -> Batch:
        batch: Batch = {}
        for name, shape in self._shapes.items():
            batch[name] = np.zeros((n, *shape), np.uint8)
            batch[f"{name}_size"] = np.zeros((n, 2), np.int32)
        return batch

    def _put(self, batch, i, example):
        for name in self._domains:
            height, width = example[name].shape[:2]
            batch[name][i, :height, :width] = example[name]
            batch[f"{name}_size"][i] = height, width

    def _read_batch(self, indices) -> tuple[Batch, list[str]]:
        batch, names = self._empty(len(indices)), []
        for i, example in enumerate(self._pool.map(self._read, indices)):
            self._put(batch, i, example)
            names.append(example["name"])
        return batch, names

    def names(self, indices: np.ndarray) -> list[str]:
        """Names of some examples."""
        if self._names is not None:
            return [self._names[i] for i in indices]
        return [header_of(self._source, int(i))[0] for i in indices]

    def eval_batch(self, indices: np.ndarray) -> tuple[Batch, list[str]]:
        """Images uint8 [n, h, w, C] of some examples in order, and their names."""
        if self.cache is not None:
            return {name: self.cache[name][indices] for name in self._domains}, self.names(indices)
        batch, names = self._read_batch(indices)
        return {name: batch[name] for name in self._domains}, names

    def chunk(self, step: int, steps: int, batch_size: int, shard: Shard = WHOLE) -> Any:
        """What a dispatch of several steps takes, with leading axes [steps, batch_size].

        Cached: the numbers of examples, int32. Else: their images and sizes.

        Args:
            step: the first step.
            steps: their number.
            batch_size: over all processes.
            shard: (index, count) of this process: only its rows of every batch are read.
        """
        first, count = step * batch_size, steps * batch_size
        indices = order(self._seed, len(self), first, count, self.shuffle)
        return self.take(share(indices.reshape(steps, batch_size), shard))

    def take(self, indices: np.ndarray) -> Any:
        """Examples int32 [steps, batch_size]: these numbers when cached, else images and sizes."""
        if self.cache is not None:
            return indices
        batch, _ = self._read_batch(indices.ravel())
        return {k: v.reshape(*indices.shape, *v.shape[1:]) for k, v in batch.items()}

    def domain(self, name: str) -> "Examples":
        """The examples that have the images called `name`."""
        return self

    @property
    def paired(self) -> bool:
        """Whether examples of the two domains belong together."""
        return True


class UnpairedExamples:
    """Two sets of images, A and B, say, that need not belong together or be equally many.

    An epoch goes once through one set (the larger, if none is named), in the order of
    `permutation`; beside each of its images stands a random one of the other. Without data.shuffle
    both go in the order of their names, the other set from its start again as often as needed.
    `paired` says that equal numbers belong together after all, which evaluation uses.
    """

    def __init__(
        self, domains: dict[str, Examples], seed: int, paired: bool, leader: str | None = None
    ) -> None:
        self._domains, self._seed, self.paired = domains, seed, paired
        self._leader = leader or max(domains, key=lambda name: len(domains[name]))
        caches = {name: examples.cache for name, examples in domains.items()}
        whole = all(cache is not None for cache in caches.values())
        self.cache = caches if whole else None
        if not whole:  # both stream: a chunk holds images of one kind
            for examples in domains.values():
                examples.cache = None

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self._domains[self._leader])

    def domain(self, name: str) -> Examples:
        """The images of one set."""
        return self._domains[name]

    def chunk(self, step: int, steps: int, batch_size: int, shard: Shard = WHOLE) -> Any:
        """`Examples.chunk` of both sets, by name."""
        n, first, count = len(self), step * batch_size, steps * batch_size
        shuffle = self._domains[self._leader].shuffle
        in_order = order(self._seed, n, first, count, shuffle).reshape(steps, batch_size)
        chunk = {}
        for name, examples in self._domains.items():
            indices = in_order
            if name != self._leader and not shuffle:
                indices = in_order % len(examples)
            elif name != self._leader:
                drawn = [
                    random_example(self._seed, len(examples), p)
                    for p in range(first, first + count)
                ]
                indices = np.array(drawn, np.int32).reshape(steps, batch_size)
            chunk[name] = examples.take(share(indices, shard))
        return chunk


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
