"""The jitter against PIL, and the law of its random draws."""

import jax
import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.data import augment
from pix2pix_jax.images import device_resizing, levels, resizing
from tests.test_data import picture


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    "size, load", [((40, 41), (45, 47)), ((37, 90), (80, 31)), ((64, 9), (64, 20))]
)
def test_the_device_resizes_as_pil_does(method, size, load):
    images = np.stack([picture(*size, channels=3, seed=i) for i in range(3)])
    found = device_resizing.resize(images, load, method)
    expected = [Image.fromarray(i).resize(load[::-1], resizing.METHODS[method]) for i in images]
    np.testing.assert_array_equal(found, np.stack(expected))


@pytest.mark.parametrize("method", ["bicubic", "bilinear", "nearest"])
@pytest.mark.parametrize(
    "size, load, channels",
    [
        ((40, 40), (45, 45), 3),
        ((50, 70), (36, 40), 3),
        ((40, 40), (45, 45), 1),
        ((37, 41), (37, 83), 3),
        ((256, 256), (36, 36), 3),
        ((7, 9), (35, 99), 1),
        ((40, 44), (40, 44), 3),
    ],
)
def test_jitter_equals_pil(method, size, load, channels):
    """Resize, crop at the drawn corner and mirror: the same pixels as PIL's, to the level."""
    images = np.stack([picture(*size, channels, seed=i) for i in range(8)])
    crop = (32, 36)  # non-square
    resized = np.stack([resizing.resize(image, load, method) for image in images])
    sizes = np.tile(np.int32(load), (8, 1))
    corners, mirrored = augment.draw(jax.random.key(1), sizes, crop, True)
    found = levels.to_uint8(
        levels.to_float(augment.crop_and_flip(resized, corners, mirrored, crop))
    )
    assert 0 < np.sum(mirrored) < 8
    for i, (top, left) in enumerate(np.asarray(corners)):
        image = Image.fromarray(images[i] if channels == 3 else images[i][..., 0])
        expected = image.resize(load[::-1], resizing.METHODS[method])
        expected = expected.crop((left, top, left + crop[1], top + crop[0]))
        if mirrored[i]:
            expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        expected = np.asarray(expected).reshape(*crop, channels)
        np.testing.assert_array_equal(expected, found[i])


def test_corners_are_uniform_and_reach_both_ends():
    sizes = np.tile(np.int32([8, 6]), (6000, 1))
    corners, mirrored = augment.draw(jax.random.key(0), sizes, (4, 4), True)
    for axis, count in ((0, 5), (1, 3)):
        values, counts = np.unique(np.asarray(corners)[:, axis], return_counts=True)
        np.testing.assert_array_equal(values, np.arange(count))
        np.testing.assert_allclose(counts / 6000, 1 / count, rtol=0.12)
    assert abs(float(mirrored.mean()) - 0.5) < 0.03
    assert not augment.draw(jax.random.key(0), sizes, (4, 4), False)[1].any()


def test_levels_survive_the_way_to_float_and_back():
    every = np.arange(256, dtype=np.uint8)
    floats = levels.to_float(every)
    assert float(floats.min()) == -1 and float(floats.max()) == 1
    np.testing.assert_array_equal(levels.to_uint8(floats), every)
    np.testing.assert_array_equal(levels.to_uint8(np.float32([-3, 3])), [0, 255])


@pytest.mark.parametrize(
    "mode, size, expected",
    [
        ("resize_and_crop", (300, 500), (286, 280)),
        ("crop", (300, 500), (300, 500)),
        ("scale_width", (300, 560), (256, 280)),
        ("scale_width_and_crop", (600, 560), (300, 280)),
        ("none", (301, 499), (300, 500)),
    ],
)
def test_sizes_of_every_mode(mode, size, expected):
    assert resizing.target_size(*size, mode, (286, 280), (256, 256)) == expected
