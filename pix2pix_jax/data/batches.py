"""From record sources to batches that are pure functions of (seed, step).

Examples form an endless stream: position p belongs to epoch p // n and is the element p % n of
that epoch's permutation. The batch at step N holds the positions from N * B, so no iterator has
a state, nothing is left out at the end of an epoch, and a run resumes exactly.
"""

import concurrent.futures
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pix2pix_jax.data import preprocess
from pix2pix_jax.data.sources import Source

Batch = dict[str, np.ndarray]


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order of n examples in an epoch: int32 [n]."""
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    return generator.permutation(n).astype(np.int32)


def order(seed: int, n: int, first: int, count: int) -> np.ndarray:
    """Examples at the positions first .. first + count - 1 of the stream: int32 [count]."""
    positions = np.arange(first, first + count)
    epochs = np.unique(positions // n)
    return np.concatenate(
        [permutation(seed, int(e), n)[positions[positions // n == e] % n] for e in epochs]
    )


class Domain:
    """One kind of image (input or target) of a source: resized, uint8, all of one shape.

    Images of several sizes are padded at the right and bottom to the largest, their own sizes
    kept beside them; that takes a crop to follow.
    """

    def __init__(self, source: Source, key: str, data: Any, train: bool):
        self.source, self._key, self._data, self._train = source, key, data, train
        self.shape: tuple[int, int, int] | None = None

    def read(self, record: dict[str, Any]) -> np.ndarray:
        """The resized image of a record."""
        image, data = record[self._key], self._data
        crop = tuple(data.crop_size)
        size = crop
        if self._train:
            arguments = (data.preprocess, data.load_size, crop)
            size = preprocess.target_size(*image.shape[:2], *arguments)
            if min(size[0] - crop[0], size[1] - crop[1]) < 0:
                raise ValueError(
                    f"{record['name']} is {size[1]}x{size[0]}, smaller than the crop "
                    f"{crop[1]}x{crop[0]}: lower data.crop_size, or resize with "
                    "data.preprocess=resize_and_crop"
                )
            if not preprocess.crops(data.preprocess) and size != crop:
                raise ValueError(
                    f"{record['name']} is {size[1]}x{size[0]} and nothing is cropped: with "
                    f"data.preprocess={data.preprocess} set data.crop_size=({size[0]}, {size[1]}), "
                    "the size of all images, or choose a preprocess with a crop"
                )
        return preprocess.resize(image, size, data.resize_method)


def pad_to(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Zeros below and right of uint8 [H, W, C] up to [height, width, C]."""
    missing = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
    return np.pad(image, missing) if any(m[1] for m in missing) else image


class Examples:
    """A source's images, ready for batches: in memory when small, else read as they are needed.

    The images of a batch are {"input", "target"} for pairs; each comes with "<name>_size",
    int32 (height, width) of the image without padding.
    """

    def __init__(
        self, source: Source, domains: dict[str, str], data: Any, seed: int, train: bool
    ) -> None:
        """Reads the images if they fit data.cache_mb, else the first one.

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
        self._source, self._data, self._seed = source, data, seed
        self._domains = {name: Domain(source, key, data, train) for name, key in domains.items()}
        self._pool = concurrent.futures.ThreadPoolExecutor(data.num_threads)
        first = self._read(0)
        size = sum(first[name].nbytes for name in domains) * len(source)
        self.cache: Batch | None = None
        self._names: list[str] | None = None
        if size <= data.cache_mb * 2**20:
            self.cache = self._load_all()
        self._shapes = {name: first[name].shape for name in domains}

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self._source)

    def _read(self, index: int) -> dict[str, Any]:
        record = self._source[int(index)]
        images = {name: domain.read(record) for name, domain in self._domains.items()}
        if "target" in images and images["input"].shape[:2] != images["target"].shape[:2]:
            raise ValueError(f"the two images of {record['name']} differ in size")
        return {**images, "name": record["name"]}

    def _load_all(self) -> Batch:
        began, told = time.monotonic(), time.monotonic()
        examples = []
        for example in self._pool.map(self._read, range(len(self))):
            examples.append(example)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                seconds = told - began
                print(f"read {len(examples)} of {len(self)} images in {seconds:.0f} s", flush=True)
        self._names = [example["name"] for example in examples]
        return self._stack(examples)

    def _stack(self, examples, shapes=None) -> Batch:
        batch: Batch = {}
        for name in self._domains:
            images = [example[name] for example in examples]
            sizes = np.array([image.shape[:2] for image in images], np.int32)
            height, width = sizes.max(0)
            if shapes:
                if (sizes > shapes[name][:2]).any():
                    raise ValueError(
                        "images of several sizes are kept in memory only: raise data.cache_mb, or "
                        "set data.preprocess=resize_and_crop"
                    )
                height, width = shapes[name][:2]
            batch[name] = np.stack([pad_to(image, height, width) for image in images])
            batch[f"{name}_size"] = sizes
        return batch

    def names(self, indices: np.ndarray) -> list[str]:
        """Names of some examples."""
        if self._names is not None:
            return [self._names[i] for i in indices]
        return [self._source[int(i)]["name"] for i in indices]

    def eval_batch(self, indices: np.ndarray) -> tuple[Batch, list[str]]:
        """Images uint8 [n, h, w, C] of some examples in order, and their names."""
        if self.cache is not None:
            return {name: self.cache[name][indices] for name in self._domains}, self.names(indices)
        examples = list(self._pool.map(self._read, indices))
        batch = self._stack(examples)
        return {k: batch[k] for k in self._domains}, [example["name"] for example in examples]

    def chunk(self, step: int, steps: int, batch_size: int) -> Any:
        """What a dispatch of several steps takes, with leading axes [steps, batch_size].

        Cached: the numbers of examples, int32. Else: their images and sizes.
        """
        indices = order(self._seed, len(self), step * batch_size, steps * batch_size)
        return self.take(indices.reshape(steps, batch_size))

    def take(self, indices: np.ndarray) -> Any:
        """Examples int32 [steps, batch_size]: these numbers when cached, else images and sizes."""
        if self.cache is not None:
            return indices
        batch = self._stack(list(self._pool.map(self._read, indices.ravel())), self._shapes)
        return {k: v.reshape(*indices.shape, *v.shape[1:]) for k, v in batch.items()}

    def domain(self, name: str) -> "Examples":
        """The examples that have the images called `name`."""
        return self

    @property
    def paired(self) -> bool:
        """Whether examples of the two domains belong together."""
        return True


class UnpairedExamples:
    """Two sets of images, A and B, that need not belong together or be equally many.

    An epoch goes once through the larger set, in the order of `permutation`; beside each of its
    images stands a random one of the other. `paired` says that equal numbers belong together
    after all, which evaluation uses.
    """

    def __init__(self, a: Examples, b: Examples, seed: int, paired: bool) -> None:
        self._domains, self._seed, self.paired = {"A": a, "B": b}, seed, paired
        caches = {name: examples.cache for name, examples in self._domains.items()}
        whole = all(cache is not None for cache in caches.values())
        self.cache = caches if whole else None
        if not whole:  # both stream: a chunk holds images of one kind
            a.cache = b.cache = None

    def __len__(self) -> int:
        """Examples in an epoch."""
        return max(map(len, self._domains.values()))

    def domain(self, name: str) -> Examples:
        """The images of domain A or B."""
        return self._domains[name]

    def chunk(self, step: int, steps: int, batch_size: int) -> Any:
        """`Examples.chunk` of both domains: {"A": ..., "B": ...}."""
        n, first, count = len(self), step * batch_size, steps * batch_size
        larger = order(self._seed, n, first, count).reshape(steps, batch_size)
        chunk = {}
        for name, examples in self._domains.items():
            indices = larger
            if len(examples) < n or (name == "B" and len(self._domains["A"]) == n):
                drawn = [
                    random_example(self._seed, len(examples), p)
                    for p in range(first, first + count)
                ]
                indices = np.array(drawn, np.int32).reshape(steps, batch_size)
            chunk[name] = examples.take(indices)
        return chunk


def random_example(seed: int, n: int, position: int) -> int:
    """One of n examples, drawn for a position of the stream."""
    return int(np.random.Generator(np.random.Philox(key=[seed, position])).integers(n))


def prefetched(
    examples: Examples | UnpairedExamples,
    first_step: int,
    last_step: int,
    steps: int,
    batch_size: int,
    depth: int,
) -> Iterator[Any]:
    """The chunks of a run in order, prepared `depth` ahead when they are not cached."""
    firsts = range(first_step, last_step, steps)
    make = functools.partial(examples.chunk, steps=steps, batch_size=batch_size)
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
