"""From record sources to batches that are pure functions of (seed, step); see `stream`."""

import concurrent.futures
import functools
import math
from typing import Any

import jax
import numpy as np

from pix2pix_jax.data import augment
from pix2pix_jax.data.reader import ImageReader, Images
from pix2pix_jax.data.sources import Source, header_of
from pix2pix_jax.data.stream import WHOLE, Shard, after_epochs, order, share
from pix2pix_jax.images.levels import to_float
from pix2pix_jax.runtime.counter import Counter


class Examples:
    """A source's images, ready for batches: in memory when small, else read as they are needed.

    An example has one image of each kind: input and target for pairs. Where jitter ends, each is
    there a second time, resized to the crop and under a number that is higher by their count.
    """

    paired = True  # the images of an example show the same thing

    def __init__(
        self,
        source: Source,
        kinds: dict[str, str],
        data: Any,
        seed: int,
        train: bool,
        jittered_epochs: float = math.inf,
    ) -> None:
        """Reads the images if they fit data.cache_mb, else their sizes.

        Args:
            source: of records.
            kinds: {"input": "A", "target": "B"}: names in an example, and in a record.
            data: the `data` section of a config.
            seed: of the order.
            train: resize for a random crop; else for evaluation.
            jittered_epochs: epochs after which images are resized to the crop.

        Raises:
            ValueError: an image is damaged, or its size does not fit; the message names it.
        """
        if not len(source):
            raise ValueError("the data set is empty")
        self._source, self._data, self._seed = source, data, seed
        self.shuffle, self.jittered_epochs = data.shuffle, jittered_epochs
        self._count = len(source) * (1 if jittered_epochs == math.inf else 2)
        labels = {"input"} if data.labels != "rgb" else set()
        self._readers = {
            name: ImageReader(key, data, train, name in labels) for name, key in kinds.items()
        }
        self._pool = concurrent.futures.ThreadPoolExecutor(data.num_threads)
        self.one_size = data.preprocess == "resize_and_crop"  # of all images
        if jittered_epochs == math.inf:  # else they get two sizes, and a device knows one
            first = source[0]
            for reader in self._readers.values():
                reader.leave_to_device(first)
        self._shapes = self._largest()
        self._dtype = np.dtype(np.float32 if data.value_range else np.uint8)
        size = sum(map(math.prod, self._shapes.values())) * self._count * self._dtype.itemsize
        self.cache: dict[str, Images] | None = None
        self._names: list[str] | None = None
        if size <= data.cache_mb * 2**20:
            self.cache = self._read_all()

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self._source)

    def _largest(self):
        """{name: (height, width, channels)} that holds every resized image."""
        first = self._read(0)
        shapes = {name: first[name].shape for name in self._readers}
        if self.one_size:
            return shapes
        headers = list(self._pool.map(lambda i: header_of(self._source, i), range(len(self))))
        for name, reader in self._readers.items():
            sizes = [reader.resized(*size, label) for label, size in headers]
            shapes[name] = (*np.max(sizes, axis=0).tolist(), shapes[name][2])
        return shapes

    def _read(self, index: int, streamed: bool = False) -> dict[str, Any]:
        record, jitter = self._source[int(index) % len(self)], bool(index < len(self))
        images = {
            name: reader.read(record, streamed, jitter) for name, reader in self._readers.items()
        }
        if not self.one_size and len({image.shape[:2] for image in images.values()}) > 1:
            raise ValueError(f"the two images of {record['name']} differ in size")
        return {**images, "name": record["name"]}

    def _read_all(self) -> dict[str, Images]:
        """All examples."""
        progress = Counter(self._count, "reading")
        images, self._names = self._empty(self._count), []
        for i, example in enumerate(self._pool.map(self._read, range(self._count))):
            self._put(images, i, example)
            self._names.append(example["name"])
            progress.add(1)
        return images

    def _empty(self, n) -> dict[str, Images]:
        return {
            name: Images(np.zeros((n, *shape), self._dtype), np.zeros((n, 2), np.int32))
            for name, shape in self._shapes.items()
        }

    def _put(self, images, i, example):
        for name, (pixels, sizes) in images.items():
            height, width = example[name].shape[:2]
            pixels[i, :height, :width] = example[name]
            sizes[i] = height, width

    def _read_some(self, indices) -> dict[str, Images]:
        images = self._empty(len(indices))
        read = functools.partial(self._read, streamed=True)
        for i, example in enumerate(self._pool.map(read, indices)):
            self._put(images, i, example)
        return images

    def names(self, indices: np.ndarray, kind: str | None = None) -> list[str]:
        """Names of some examples, whatever the kind of image."""
        if self._names is not None:
            return [self._names[i] for i in indices]
        return [header_of(self._source, int(i))[0] for i in indices]

    def count(self, kind: str) -> int:
        """Number of images of a kind."""
        return len(self)

    def images(self, kind: str, indices: np.ndarray) -> list[np.ndarray]:
        """Some images of a kind, uint8 or rasters [h, w, C], for evaluation."""
        if self.cache is None:
            reader = self._readers[kind]
            return list(self._pool.map(lambda i: reader.read(self._source[int(i)]), indices))
        pixels, sizes = self.cache[kind]
        return [pixels[i, : sizes[i, 0], : sizes[i, 1]] for i in indices]

    def chunk(self, step: int, steps: int, batch_size: int, shard: Shard = WHOLE) -> Any:
        """What a dispatch of several steps takes, with leading axes [steps, batch_size].

        Cached: the numbers of examples, int32. Else: {name: Images}.

        Args:
            step: the first step.
            steps: their number.
            batch_size: over all processes.
            shard: (index, count) of this process: only its rows of every batch are read.
        """
        first, count = step * batch_size, steps * batch_size
        indices = order(self._seed, len(self), first, count, self.shuffle)
        indices += len(self) * after_epochs(self.jittered_epochs, len(self), first, count)
        return self.take(share(indices.reshape(steps, batch_size), shard))

    def take(self, indices: np.ndarray) -> Any:
        """Examples int32 [steps, batch_size]: these numbers when cached, else {name: Images}."""
        if self.cache is not None:
            return indices
        images = self._read_some(indices.ravel())
        return jax.tree.map(lambda x: x.reshape(*indices.shape, *x.shape[1:]), images)

    def batch(self, key: jax.Array, cache: Any, item: Any) -> dict[str, jax.Array]:
        """One training batch, cropped and mirrored: {name: float32 [N, h, w, C] in [-1, 1]}.

        All images of an example get the same crop and mirroring. Can be jitted.

        Args:
            key: of the random draws.
            cache: `self.cache`, on the device.
            item: one step's part of `chunk`.
        """
        if cache is None:
            images = {name: self._readers[name].finish(x) for name, x in item.items()}
        else:
            images = jax.tree.map(lambda x: x[item], cache)
        crop = tuple(self._data.crop_size)
        sizes = next(iter(images.values())).sizes
        corners, mirrored = augment.draw(key, sizes, crop, self._data.flip)
        return {
            name: to_float(augment.crop_and_flip(pixels, corners, mirrored, crop))
            for name, (pixels, _) in images.items()
        }
