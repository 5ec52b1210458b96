"""Trained generators applied to images: what evaluation, translation and the demo share."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from pix2pix_jax.images.fitting import fit, fitted_size
from pix2pix_jax.images.levels import like, to_float
from pix2pix_jax.images.tiles import Tiling
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import make_generate, make_statistics
from pix2pix_jax.models import build
from pix2pix_jax.runtime import few_shapes, random_streams
from pix2pix_jax.runtime.batches import in_batches

AXIS = "images"  # of a batch, over devices


class Tiles(NamedTuple):
    """How large images are translated part by part."""

    overlap: float  # part of its side that a tile shares with the next
    run: Callable[..., jax.Array]  # as `make_translate`, with statistics that the tiles share
    measure: Callable[..., Any] | None  # gives variables with these; None if there are none


def make_tiles(config: Any, direction: Direction, devices: Sequence[jax.Device] = ()) -> Tiles:
    """What `Translator` takes for eval.fit "tile"."""
    overlap, measure = config.eval.tile_overlap, make_statistics(config, direction)
    if measure is None:
        run = few_shapes.jit(make_translate(config, direction, devices))
        return Tiles(overlap, run, None)

    def measured(variables, tiles, index, sample):
        key = random_streams.of_sample(config.seed, sample, index)
        return measure(variables, to_float(tiles), key)

    shared = config.copy_and_resolve_references()
    shared.eval.norm_mode = "shared"
    run = few_shapes.jit(make_translate(shared, direction, devices))
    return Tiles(overlap, run, few_shapes.jit(measured))


def make_translate(
    config: Any, direction: Direction, devices: Sequence[jax.Device] = ()
) -> Callable[..., jax.Array]:
    """The pure function (variables, [N, H, W, C], indices [N], sample) -> [N, H, W, O].

    Images are uint8, or rasters in [-1, 1]; the translations are of the same kind. Several devices
    each take their part of the images.
    """
    generate = make_generate(config, direction)

    def translate(variables, images, indices, sample):
        of_index = lambda index: random_streams.of_sample(config.seed, sample, index)
        keys = jax.vmap(of_index)(indices)
        return like(generate(variables, to_float(images), keys), images)

    if len(devices) < 2:
        return translate
    whole, parts = PartitionSpec(), PartitionSpec(AXIS)
    arguments = (whole, parts, parts, whole)
    # Each device computes by itself: nothing is exchanged.
    return jax.shard_map(
        translate, mesh=_mesh(devices), in_specs=arguments, out_specs=parts, check_vma=False
    )


def replicated(variables: Any, devices: Sequence[jax.Device]) -> Any:
    """Variables as a `Translator` with these devices takes them."""
    if len(devices) < 2:
        return variables
    return jax.device_put(variables, NamedSharding(_mesh(devices), PartitionSpec()))


def _mesh(devices):
    return Mesh(np.array(devices), (AXIS,))


class Translator:
    """One direction of a method, jitted once for each size of images."""

    def __init__(self, config: Any, direction: Direction, devices: Sequence[jax.Device] = ()):
        """With several devices these share every batch; its variables must be `replicated`."""
        self.direction = direction
        self._devices = max(1, len(devices))
        self._full: set[Any] = set()  # shapes of which whole batches were computed
        self._sizes: set[tuple[int, int]] = set()  # that were computed
        self._batch_size, self._fit = config.eval.batch_size, config.eval.fit
        self._crop_size = tuple(config.data.crop_size)
        self._resize_method = "bicubic" if config.data.labels == "rgb" else "nearest"
        self._divisor = build.generator(config.model, direction.out_channels).divisor
        self._run = few_shapes.jit(make_translate(config, direction, devices))
        self._tiles = make_tiles(config, direction, devices) if self._fit == "tile" else None

    def batch(
        self, variables: Any, images: np.ndarray, indices: np.ndarray, sample: int = 0
    ) -> np.ndarray:
        """Translates images of a size that the network takes, in batches of one shape.

        The noise of an image depends on the seed, its index and the sample's number alone, so a
        batch of any size gives the same images as one at a time.

        Args:
            variables: of the direction's generator.
            images: uint8, or rasters in [-1, 1], [N, H, W, C].
            indices: int [N], one for each image.
            sample: which of several outputs to draw.

        Returns:
            [N, H, W, O] of the same kind.
        """
        return self._batches(self._run, variables, images, indices, sample)

    def _batches(self, function, variables, images, indices, sample):
        run = lambda images, indices: function(variables, images, indices, sample)
        self._sizes.add(images.shape[1:3])
        whole, shape = self._batch_size * self._devices, (function, images.shape[1:])
        if len(images) >= whole:
            self._full.add(shape)
        # A rest is filled up if its program is there, for compiling takes longer than computing.
        size = whole if shape in self._full else len(images) + -len(images) % self._devices
        return in_batches(run, size, images, np.asarray(indices))

    def padded(
        self, variables: Any, images: list[np.ndarray], indices: np.ndarray, sample: int = 0
    ) -> list[np.ndarray]:
        """Translates images [h, w, C] of several sizes, each at its own resolution.

        One by one, so that no shape is compiled for several numbers of images.
        """
        rows = zip(images, indices, strict=True)
        return [self._fitted(variables, [x], [index], sample, "pad")[0] for x, index in rows]

    def images(
        self, variables: Any, images: Sequence[np.ndarray], indices: np.ndarray, sample: int = 0
    ) -> list[np.ndarray]:
        """Translates images of any sizes, each as eval.fit says; those of one shape together.

        "resize" brings every image to data.crop_size, which the network was trained on, and
        resizes the result back (bicubic); "scale" does so in the image's own proportions. "pad"
        keeps the resolution, and so does "tile", which translates in overlapping tiles.

        Args:
            variables: of the direction's generator.
            images: uint8, or rasters, [h, w, C]; for inpainting with the hole, see `with_hole`.
            indices: choose each image's noise, with the seed and `sample`.
            sample: which of several outputs to draw.

        Returns:
            [h, w, O] of each, of the same kind.
        """
        if self._tiles:
            rows = zip(images, indices, strict=True)
            return [self._tiled(variables, image, index, sample) for image, index in rows]
        return self._fitted(variables, images, indices, sample, self._fit)

    def is_compiled(self, size: tuple[int, int]) -> bool:
        """Whether there is a program for images of this (height, width), by earlier ones."""
        how = "resize" if self._tiles else self._fit  # tiles have the size of training
        return fitted_size(size, how, self._crop_size, self._divisor) in self._sizes

    def describe_tiles(self) -> str:
        """What is to be known of eval.fit "tile"."""
        height, width = self._crop_size
        line = f"tiles of {width}x{height}"
        if self._tiles.measure is None:
            return line
        return (
            f"{line}; an image's tiles are normalised by the statistics of up to "
            f"{self._batch_size} of them together, in place of the whole image's"
        )

    def _tiled(self, variables, image, index, sample):
        """One image in tiles of the size of training, which all have its noise."""
        height, width = image.shape[:2]
        small = [(0, max(0, n - s)) for n, s in zip(self._crop_size, (height, width), strict=True)]
        if any(map(any, small)):
            image = np.pad(image, [*small, (0, 0)], mode="symmetric")
        tiling = Tiling.of(image.shape[:2], self._crop_size, self._tiles.overlap)
        if self._tiles.measure:
            # At random, for a fixed step from tile to tile could always meet the same column.
            drawn = np.random.default_rng(0).permutation(len(tiling))[: self._batch_size]
            chosen = tiling.cut(image, np.sort(drawn))
            variables = self._tiles.measure(variables, chosen, index, sample)

        size = min(self._batch_size * self._devices, len(tiling))
        last = len(tiling) - 1

        def batches():
            for first in range(0, len(tiling), size):
                numbers = np.minimum(np.arange(first, first + size), last)  # one shape
                tiles, indices = tiling.cut(image, numbers), np.full(size, index)
                found = self._batches(self._tiles.run, variables, tiles, indices, sample)
                yield found[: len(tiling) - first]

        return tiling.blend(batches())[:height, :width]

    def _fitted(self, variables, images, indices, sample, how):
        fitted, restore = zip(
            *(
                fit(image, how, self._crop_size, self._divisor, self._resize_method)
                for image in images
            ),
            strict=True,
        )
        outputs = [None] * len(fitted)
        for shape in dict.fromkeys(image.shape for image in fitted):
            rows = [i for i, image in enumerate(fitted) if image.shape == shape]
            stack = np.stack([fitted[i] for i in rows])
            found = self.batch(variables, stack, np.asarray(indices)[rows], sample)
            for i, output in zip(rows, found, strict=True):
                outputs[i] = restore[i](output)
                if how != "pad" and shape != images[i].shape:
                    outputs[i] = self.direction.keep(images[i], outputs[i])
        return outputs


def with_hole(image: np.ndarray, mask: np.ndarray, name: Any = "the mask") -> np.ndarray:
    """Image uint8 [H, W, C] and mask [H, W, 1] -> [H, W, C + 1], 255 where the mask is over 127.

    Raises:
        ValueError: their sizes differ; the message calls the mask `name`.
    """
    if image.shape[:2] != mask.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (mask.shape[:2], image.shape[:2])]
        raise ValueError(f"{name} is {sizes[0]}, but the image is {sizes[1]}: they must agree")
    return np.concatenate([image, np.where(mask > 127, 255, 0).astype(np.uint8)], axis=-1)
