"""Photographs larger than what was trained on: tiles, their blending and their statistics."""

import numpy as np
import pytest
import torch

from benchmarks import torch_baseline as baseline
from pix2pix_jax.images.tiles import Tiling, side
from pix2pix_jax.methods.registry import METHODS, fresh_state, make_statistics
from pix2pix_jax.pth_networks import torch_keys
from pix2pix_jax.pytorch.state_dicts import to_flax
from pix2pix_jax.translation.translator import Translator, with_hole
from tests import parity
from tests.conftest import small_config


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
@pytest.mark.parametrize("size", [(32, 32), (33, 70), (97, 64)])
def test_tiles_of_an_image_blend_to_it(size, overlap):
    image, tiling = noise(*size, 3), Tiling.of(size, (32, 16), overlap)
    batches = (tiling.cut(image, part) for part in np.array_split(np.arange(len(tiling)), 2))
    np.testing.assert_array_equal(tiling.blend(batches), image)
    for starts, tile in ((tiling.rows.starts, 32), (tiling.columns.starts, 16)):
        assert (tile - np.diff(starts) >= int(tile * overlap)).all()


def test_one_tile_fades_linearly_into_the_next():
    starts, weights = side(56, 32, 8)
    assert starts.tolist() == [0, 24]
    expected = np.ones(32)
    expected[24:] = (np.arange(8)[::-1] + 0.5) / 8
    np.testing.assert_allclose(weights, [expected, expected[::-1]], rtol=1e-6)


def translator_of(config):
    return Translator(config, *METHODS[config.method].directions(config))


def by_torch(net, image, size, overlap):
    """The tiles of an image as one batch of a network in training mode, blended."""
    tiling = Tiling.of(image.shape[:2], size, overlap)
    tiles = tiling.cut(image, np.arange(len(tiling))) / np.float32(127.5) - 1
    with torch.no_grad():
        output = parity.nhwc(net.train()(parity.nchw(tiles)))
    return tiling.blend([(output + 1) * 127.5])


def test_tiles_share_batch_statistics():
    """As PyTorch's network has them for all tiles at once; with running ones nothing is shared."""
    config = small_config(**{"eval.fit": "tile", "eval.batch_size": 6, "model.dropout": 0.0})
    net = baseline.init_weights(baseline.UnetGenerator(3, 3, 5, 4, "batch", dropout=False), 0)
    image = noise(48, 80, 3)
    image[:, 40:] //= 4  # tiles by themselves would have other statistics
    expected = by_torch(net, image, (32, 32), 0.25)
    variables = to_flax(parity.state_dict(net), torch_keys(config, "G"))
    (found,) = translator_of(config).images(variables, [image], [0])
    assert np.abs(found.astype(int) - expected).max() <= 1
    config.eval.norm_mode = "running"
    assert make_statistics(config, *METHODS["pix2pix"].directions(config)) is None


def test_tiles_share_instance_statistics():
    """Instance norm over all tiles is batch norm without parameters."""
    config = small_config(
        **{
            "eval.fit": "tile",
            "eval.batch_size": 3,
            "model.generator": "resnet_1blocks",
            "model.norm": "instance",
            "model.dropout": 0.0,
        }
    )
    net = baseline.init_weights(baseline.ResnetGenerator(ngf=4, num_blocks=1), 0)
    variables = to_flax(parity.state_dict(net), torch_keys(config, "G"))
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.InstanceNorm2d):
                setattr(module, name, torch.nn.BatchNorm2d(child.num_features, affine=False))
    image = noise(20, 70, 3)  # lower than a tile: mirrored
    mirrored = np.concatenate([image, image[:-13:-1]])
    expected = by_torch(net, mirrored, (32, 32), 0.25)[:20]
    (found,) = translator_of(config).images(variables, [image], [0])
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_inpainting_in_tiles_leaves_the_rest_as_it_is():
    config = small_config(**{"method": "inpainting", "data.input_channels": 4, "eval.fit": "tile"})
    METHODS["inpainting"].check(config)
    image, mask = noise(40, 50, 3), np.zeros((40, 50, 1), np.uint8)
    mask[5:30, 10:45] = 255
    variables = fresh_state(config).networks["G"].variables
    (found,) = translator_of(config).images(variables, [with_hole(image, mask)], [0])
    hole = mask[..., 0] > 0
    assert (found[~hole] == image[~hole]).all() and (found[hole] != image[hole]).any()
