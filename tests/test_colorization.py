"""Lab against scikit-image, and colorization from files to pictures."""

import jax
import numpy as np
import pytest
from PIL import Image
from skimage import color

from benchmarks import torch_baseline as baseline
from pix2pix_jax.evaluation.evaluate import evaluate
from pix2pix_jax.images import colors
from pix2pix_jax.methods import colorization
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.pytorch import architectures, layer_names
from pix2pix_jax.settings import config_checks
from pix2pix_jax.train import train
from pix2pix_jax.translation import translate
from pix2pix_jax.translation.translator import Translator
from tests import parity
from tests.conftest import small_config


def small(**fields):
    return small_config(
        **{
            "method": "colorization",
            "data.input_channels": 1,
            "data.output_channels": 2,
            **fields,
        }
    )


def cube(steps=18):
    """All corners and a lattice of the sRGB cube, float [1, n, 3]."""
    axis = np.linspace(0, 1, steps)
    return np.stack(np.meshgrid(axis, axis, axis), -1).reshape(1, -1, 3)


def test_lab_there_and_back():
    rgb = cube()
    expected = color.rgb2lab(rgb)
    found = jax.jit(colors.rgb_to_lab)(rgb)
    np.testing.assert_allclose(found, expected, atol=2e-3)  # of 0 to 100
    np.testing.assert_allclose(colors.lab_to_rgb(expected), color.lab2rgb(expected), atol=1e-4)
    np.testing.assert_allclose(colors.lab_to_rgb(found), rgb, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_colours_outside_rgb_are_clipped():
    lab = np.random.default_rng(0).uniform([0, -110, -110], [100, 110, 110], (1, 2000, 3))
    np.testing.assert_allclose(colors.lab_to_rgb(lab), color.lab2rgb(lab), atol=1e-4)


def test_gradients_are_finite():
    """Black, white and colours outside the gamut included."""
    lab = np.array([[0, 0, 0], [100, 0, 0], [50, 110, -110], [3, -110, 110]], np.float32)
    gradient = jax.grad(lambda lab: colors.lab_to_rgb(lab).sum())(lab)
    assert np.isfinite(gradient).all()
    gradient = jax.grad(lambda rgb: colors.rgb_to_lab(rgb).sum())(np.eye(4, 3, dtype=np.float32))
    assert np.isfinite(gradient).all()


def test_one_step():
    """The baseline's step on L / 50 - 1 and ab / 110 as scikit-image converts them."""
    config = small(**{"model.dropout": 0.0})
    g = baseline.init_weights(baseline.UnetGenerator(1, 2, 5, 4, dropout=False), 1)
    d = baseline.init_weights(baseline.NLayerDiscriminator(3, 4, 2), 2)
    model = baseline.Pix2Pix(g, d)
    networks = {
        "G": parity.network(g, layer_names.unet_keys(5), config.optim),
        "D": parity.network(d, layer_names.patchgan_keys(2), config.optim),
    }
    images = parity.images(2, 32, 32, 3)
    lab = color.rgb2lab((images + 1) / 2).astype(np.float32)
    expected = model.step(parity.nchw(lab[..., :1] / 50 - 1), parity.nchw(lab[..., 1:] / 110))
    state = TrainState(np.int32(0), networks, Plateau.create(), {})
    _, found = jax.jit(colorization.make_train_step(config, 400, Layout()))(
        state, {"image": images}
    )
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-4), name


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("colorization")
    train(small(), str(workdir))
    return small(), workdir


def test_pictures_are_rgb_with_the_lightness_of_the_photograph(run):
    config, workdir = run
    means = evaluate(config, str(workdir))
    assert set(means) == {"l1", "l2", "psnr", "ssim"}
    names = sorted(p.name for p in (workdir / "eval" / "images").glob("*_output.png"))
    assert len(names) == 3
    for name in names:
        read = lambda kind, name=name: np.asarray(
            Image.open(workdir / "eval" / "images" / name.replace("output", kind))
        )
        lightness = color.rgb2lab(read("target"))[..., 0]
        assert read("input").ndim == 2
        np.testing.assert_allclose(read("input"), lightness * 2.55, atol=0.6)
        output = read("output")
        assert output.shape == (32, 32, 3)
        inside = ((output > 2) & (output < 253)).all(-1)  # colours that were not clipped
        assert inside.mean() > 0.2
        np.testing.assert_allclose(
            color.rgb2lab(output)[..., 0][inside], lightness[inside], atol=0.8
        )


def test_translating_gray_and_colour_alike(run, tmp_path):
    """A photograph and its lightness as a gray image get the same colours."""
    config, workdir = run
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (32, 32, 3), np.uint8)
    flat = color.rgb2lab(image)
    gray = color.lab2rgb(flat * [1, 0, 0])
    (tmp_path / "in").mkdir()
    Image.fromarray(image).save(tmp_path / "in" / "a.png")
    Image.fromarray(np.round(gray * 255).astype(np.uint8)[..., 0]).save(tmp_path / "in" / "b.png")
    config = small(**{"eval.dropout": False})
    translate.translate(config, str(workdir), str(tmp_path / "in"), str(tmp_path / "out"))
    a, b = (np.asarray(Image.open(tmp_path / "out" / f"{n}.png")).astype(int) for n in "ab")
    assert np.abs(a - b).mean() < 3


@pytest.mark.parametrize("fit", ["resize", "scale"])
def test_a_large_photograph_keeps_its_lightness(fit):
    """The network saw it small; scikit-image measures that only colours are enlarged."""
    config = small(**{"eval.fit": fit})
    variables = fresh_state(config).networks["G"].variables
    (direction,) = colorization.directions(config)
    translator = Translator(config, direction)
    gray = np.random.default_rng(0).integers(60, 190, (96, 160, 1), np.uint8)
    photograph = np.repeat(gray, 3, axis=-1)
    (output,) = translator.images(variables, [photograph], np.zeros(1, int))
    lightness, colour = (color.rgb2lab(image)[..., 0] for image in (photograph, output))
    assert output.shape == photograph.shape and np.ptp(output, axis=-1).max() > 3
    error = np.abs(colour - lightness)  # of rounding to levels, and where RGB lacks a colour
    assert error.max() < 2 and error.mean() < 0.2


def test_channels_are_those_of_lab():
    with pytest.raises(ValueError, match=r"from L to ab.*output_channels=3 to 2"):
        config_checks.check(small(**{"data.output_channels": 3}))


def test_weights_of_pytorch():
    """U-Nets of 1 to 2 channels, as the baseline's colorization model has them."""
    net = baseline.UnetGenerator(1, 2, 5, 4)
    fields = architectures.describe(parity.state_dict(net))
    assert (fields["data.input_channels"], fields["data.output_channels"]) == (1, 2)
