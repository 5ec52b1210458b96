"""The package from Python: load() and what can be done with what it gives."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import pix2pix_jax
from benchmarks import torch_baseline as baseline
from benchmarks import torch_regression
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.run import checkpoints, config_file
from tests import parity
from tests.conftest import small_config


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """PyTorch's generator, its .pth, and what it makes of uint8 images."""
    net = baseline.init_weights(baseline.ResnetGenerator(ngf=4, num_blocks=1), 0)
    path = tmp_path_factory.mktemp("library") / "latest_net_G.pth"
    torch.save(net.state_dict(), path)

    def translate(images):
        with torch.no_grad():
            output = net(parity.nchw(images / np.float32(127.5) - 1))
        return np.round((parity.nhwc(output) + 1) * 127.5)

    return path, translate


@pytest.fixture(scope="module")
def model(generator):
    return pix2pix_jax.load(generator[0], fields={"data.crop_size": (32, 32)})


def test_the_result_is_of_the_kind_that_was_given(model, generator, tmp_path):
    """Its values are PyTorch's, to a level."""
    images = noise(2, 32, 32, 3)
    expected = generator[1](images)
    batch = model(images)
    assert batch.dtype == np.uint8 and np.abs(batch - expected).max() <= 1
    single = model(images[1])
    assert single.shape == (32, 32, 3) and np.abs(single - expected[1]).max() <= 1
    floats = model(images / np.float64(255))
    assert floats.dtype == np.float64 and np.abs(floats - batch / 255).max() < 1e-9
    picture = Image.fromarray(images[0])
    picture.save(tmp_path / "a.png")
    for kind in (picture, tmp_path / "a.png", str(tmp_path / "a.png")):
        found = model(kind)
        assert isinstance(found, Image.Image) and found.mode == "RGB"
        assert np.abs(np.asarray(found) - expected[0]).max() <= 1


def test_sizes_stay(model, generator):
    """Others than that of training are resized, by PIL as it does it, and back."""
    image = noise(50, 21, 3)
    small = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BICUBIC))
    output = generator[1](small[None])[0].astype(np.uint8)
    expected = Image.fromarray(output).resize((21, 50), Image.Resampling.BICUBIC)
    assert np.abs(model(image) - np.asarray(expected, float)).max() <= 2


def test_proportions_stay(generator):
    """eval.fit=scale: the shorter side becomes the crop's, the longer one a multiple of 4."""
    scaling = pix2pix_jax.load(
        generator[0], fields={"data.crop_size": (32, 32), "eval.fit": "scale"}
    )
    image = noise(100, 64, 3)
    small = np.asarray(Image.fromarray(image).resize((32, 50), Image.Resampling.BICUBIC))
    padded = np.pad(small, [(0, 2), (0, 0), (0, 0)], mode="symmetric")
    output = generator[1](padded[None])[0, :50].astype(np.uint8)
    expected = Image.fromarray(output).resize((64, 100), Image.Resampling.BICUBIC)
    assert np.abs(scaling(image) - np.asarray(expected, float)).max() <= 2


@pytest.mark.parametrize(
    "image, words",
    [
        (noise(32, 32, 3) / 127.5 - 1, r"goes from -1 to 1: images of floating point go from 0"),
        (noise(32, 32, 3).astype(np.float32), "goes from 0 to 255"),
        (np.full((32, 32, 3), np.nan), "goes from nan to nan"),
        (noise(32, 32, 3).astype(int), "the array is int64: images are uint8, or floating"),
        (noise(32, 32), r"shape \(32, 32\): this model takes \[H, W, 3\], or \[N, H, W, 3\]"),
        (noise(3, 32, 32), r"shape \(3, 32, 32\)"),
        (noise(0, 32, 32, 3), r"shape \(0, 32, 32, 3\)"),
        (["a.png", "b.png"], "no image but of type list: give a path, .* several files one by one"),
        (None, "no image but of type NoneType"),
        ("/", "/ is a folder: give the image files in it"),
        ("nowhere.png", "nowhere.png cannot be read as an image"),
    ],
)
def test_what_is_no_image_for_the_model(model, image, words):
    with pytest.raises(ValueError, match=words) as error:
        model(image)
    assert "\n" not in str(error.value)


def test_models_that_are_none(tmp_path, generator):
    torch.save(baseline.NLayerDiscriminator(6).state_dict(), tmp_path / "latest_net_D.pth")
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    for path, fields, error, words in (
        (tmp_path / "other.pth", {}, ValueError, r"other\.pth: its layers are those of no U-Net"),
        (tmp_path, {}, OSError, "is no trained run"),
        (tmp_path / "none.pth", {}, OSError, "none.pth"),
        (tmp_path / "latest_net_D.pth", {}, ValueError, "holds a discriminator"),
        (generator[0], {"eval.dropuot": False}, ValueError, "did you mean config.eval.dropout?"),
        (generator[0], {"eval.fit": "crop"}, ValueError, "config.eval.fit is 'crop'"),
    ):
        with pytest.raises(error, match=words):
            pix2pix_jax.load(path, fields=fields)
    with pytest.raises(ValueError, match="has one direction"):
        pix2pix_jax.load(generator[0], "A2B")


def test_whether_a_unet_had_dropout_is_not_in_its_file(tmp_path, capsys):
    net = baseline.init_weights(baseline.UnetGenerator(3, 3, 5, 4, dropout=False), 0)
    torch.save(net.state_dict(), tmp_path / "g.pth")
    pix2pix_jax.load(tmp_path / "g.pth")
    said = capsys.readouterr().out
    assert "g.pth does not say whether its U-Net had dropout, which is taken as pix2pix's" in said
    model = pix2pix_jax.load(tmp_path / "g.pth", fields={"model.dropout": 0})
    assert not capsys.readouterr().out
    image = noise(32, 32, 3)
    with torch.no_grad():
        output = net.train()(parity.nchw(image[None] / np.float32(127.5) - 1))
    assert np.abs(model(image) - (parity.nhwc(output)[0] + 1) * 127.5).max() < 1


def test_a_direction_of_a_cyclegan(tmp_path):
    config = small_config(
        **{"method": "cyclegan", "model.generator": "resnet_1blocks", "model.norm": "instance"}
    )
    state = fresh_state(config)
    config_file.write_config(tmp_path, config)
    with checkpoints.Checkpoints(tmp_path) as saver:
        saver.save(state)
        saver.wait()
    with pytest.raises(ValueError, match="two directions: give direction='A2B' or"):
        pix2pix_jax.load(tmp_path)
    with pytest.raises(ValueError, match="config.eval.direction is 'C'"):
        pix2pix_jax.load(tmp_path, "C")
    image = noise(32, 32, 3)
    results = [pix2pix_jax.load(tmp_path, name)(image) for name in ("A2B", "B2A")]
    assert (results[0] != results[1]).any()


def test_holes_are_filled_and_the_rest_stays(tmp_path):
    net = baseline.init_weights(torch_regression.InpaintingUnet(8), 0)
    torch.save(net.state_dict(), tmp_path / "pennet.pth")
    model = pix2pix_jax.load(tmp_path / "pennet.pth")
    image, mask = noise(64, 64, 3), np.zeros((64, 64, 1), np.uint8)
    mask[10:30, 20:40] = 255
    filled = model(image, mask)
    drawn = Image.fromarray(np.concatenate([np.full((64, 64, 3), 255, np.uint8), mask], axis=-1))
    np.testing.assert_array_equal(model(image, drawn), filled)  # white on transparent
    outside = mask[..., 0] == 0
    assert (filled[outside] == image[outside]).all() and (filled[~outside] != image[~outside]).any()
    with pytest.raises(ValueError, match=r"fills holes: call it as model\(image, mask\)"):
        model(image)
    with pytest.raises(ValueError, match="they must agree"):
        model(image, mask[:32])


def test_import_is_cheap_and_loading_is_quiet(generator):
    """Neither JAX nor anything else that takes its time is imported before it is needed."""
    code = (
        "import sys, pix2pix_jax; assert not {'jax', 'numpy', 'PIL'} & sys.modules.keys();"
        f"pix2pix_jax.load({str(generator[0])!r})"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0 and not result.stdout and not result.stderr, result.stderr
