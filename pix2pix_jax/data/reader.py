"""From one image of a record to what a batch is cropped from: its size, and the resize."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import classes, device_resizing, pil_filters, resizing


class Images(NamedTuple):
    """Images of one kind. Where sizes differ they are padded at the right and bottom."""

    pixels: Any  # uint8, or rasters, [..., H, W, C]
    sizes: Any  # int32 [..., 2], height and width of each


class ImageReader:
    """Reads one kind of image (the input, say) from the records of a source, and resizes it."""

    def __init__(self, key: str, data: Any, train: bool, is_label_map: bool = False):
        """`is_label_map`: its numbers are classes, which nothing lies between."""
        self._key, self._data, self._train = key, data, train
        self._is_label_map = is_label_map
        self._method = "nearest" if is_label_map else data.resize_method
        self._left: tuple[int, int] | None = None  # size of images that the device resizes

    def resized(self, height: int, width: int, name: str, jitter: bool = True) -> tuple[int, int]:
        """(height, width) that an image of this size is resized to.

        For evaluation that is data.crop_size with resize_and_crop; with other preprocessing the
        scale is that of training, and nothing is cropped. Training without `jitter` has crop_size
        in the place of load_size.

        Raises:
            ValueError: the crop is larger than that, or there is none and it should be that.
        """
        data = self._data
        crop = tuple(data.crop_size)
        if not self._train and data.preprocess == "resize_and_crop":
            return crop
        load_size = data.load_size if jitter else crop
        size = resizing.target_size(height, width, data.preprocess, load_size, crop)
        if not self._train:
            return size
        if min(size[0] - crop[0], size[1] - crop[1]) < 0:
            raise ValueError(
                f"the image {name} is {size[1]}x{size[0]}, smaller than the crop "
                f"{crop[1]}x{crop[0]}: lower data.crop_size, or resize with "
                "data.preprocess=resize_and_crop"
            )
        if not resizing.crops(data.preprocess) and size != crop:
            raise ValueError(
                f"the image {name} is {size[1]}x{size[0]} and nothing is cropped: with "
                f"data.preprocess={data.preprocess} set data.crop_size=({size[0]}, {size[1]}), "
                "the size of all images, or choose a preprocess with a crop"
            )
        return size

    def leave_to_device(self, record: dict[str, Any]) -> None:
        """Lets the device enlarge streamed images of this record's size.

        That frees the host of most of its work, and no more bytes travel. All other images are
        resized on the host: a program has one size compiled in.
        """
        data, size = self._data, record[self._key].shape[:2]
        resized = self._train and data.preprocess == "resize_and_crop" and not data.value_range
        if resized and self._method in pil_filters.KERNELS:
            height, width = data.load_size
            fits = size[0] <= height and size[1] <= width
            self._left = size if fits and size != (height, width) else None

    def read(
        self, record: dict[str, Any], streamed: bool = False, jitter: bool = True
    ) -> np.ndarray:
        """The resized image of a record; if it is for `finish`, perhaps as it was."""
        image = record[self._key]
        if streamed and image.shape[:2] == self._left:
            return image
        if self._is_label_map:
            classes.check_ids(self._data, image, f"the label map {record['name']}")
        size = self.resized(*image.shape[:2], record["name"], jitter)
        return resizing.resize(image, size, self._method)

    def finish(self, images: Images) -> Images:
        """Streamed images [N, H, W, C], where those that were left to the device get resized."""
        if self._left is None:
            return images
        (height, width), size = self._left, tuple(self._data.load_size)
        left = (images.sizes == jnp.array(self._left)).all(axis=-1)
        as_read = images.pixels[:, :height, :width]
        resized = device_resizing.resize(as_read, size, self._method)
        pixels = jnp.where(left[:, None, None, None], resized, images.pixels)
        return Images(pixels, jnp.broadcast_to(jnp.array(size), images.sizes.shape))
