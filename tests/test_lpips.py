"""LPIPS against PyTorch, with random weights of the published shapes, and its golden values."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix_jax.evaluation.evaluator import Evaluator
from pix2pix_jax.metrics import lpips, weights_files
from pix2pix_jax.metrics.__main__ import main
from pix2pix_jax.metrics.registry import check_weights
from pix2pix_jax.models.lpips import BACKBONES, layer_distance
from pix2pix_jax.pytorch.pth_file import write_pth
from tests import parity, torch_measuring
from tests.conftest import small_config

COUNTS = {"alex": 2_469_696, "vgg": 14_714_688}  # parameters of torchvision's features


def random_net(net, seed=0):
    """The backbone in PyTorch, and random heads [1, C, 1, 1]."""
    torch.manual_seed(seed)
    module = torch_measuring.Backbone(net).eval()
    for layer in module.features:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.uniform_(layer.bias, -0.1, 0.1)
    heads = [torch.rand(1, channels, 1, 1) for channels in BACKBONES[net].channels]
    return module, heads


def states(module, heads):
    """Their arrays, under the published names."""
    named = {f"lin{i}.model.1.weight": head.numpy() for i, head in enumerate(heads)}
    return parity.state_dict(module), named


def test_golden_distance_of_a_layer():
    n = np.arange(24).reshape(1, 3, 2, 4).transpose(0, 2, 3, 1)
    features = jnp.concatenate([jnp.sin(jnp.asarray(n)), jnp.cos(jnp.asarray(n) / 2)])
    found = layer_distance(features, jnp.array([0.2, 0.5, 0.1]))
    assert float(found[0]) == pytest.approx(0.575508, abs=2e-6)
    assert float(layer_distance(features, jnp.ones(3))[0]) == pytest.approx(1.875310, abs=2e-6)


@pytest.mark.parametrize("net", lpips.NETS)
def test_distances_equal_pytorchs(net):
    module, heads = random_net(net)
    assert sum(p.numel() for p in module.parameters()) == COUNTS[net]
    x, y = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 48, 3), np.uint8)
    y[1] = x[1]
    y[2] = np.clip(x[2] + 20.0, 0, 255).astype(np.uint8)
    batch_size = 2 if net == "alex" else 1  # few pixels: fewer kinds of convolutions to compile
    variables = lpips.variables_of(net, *states(module, heads))
    measure = lpips.distances(net, *variables, batch_size)
    with torch.no_grad():
        tensors = (parity.nchw(i.astype(np.float32) / 127.5 - 1) for i in (x, y))
        expected = torch_measuring.lpips(module, heads, *tensors).numpy()
    found = measure(x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found[1] < 1e-12 < found[2] < found[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the two files of LPIPS alex, of random weights."""
    folder = tmp_path_factory.mktemp("lpips")
    published = weights_files.BACKBONES["alex"], weights_files.LPIPS_HEADS["alex"]
    for file, state in zip(published, states(*random_net("alex")), strict=True):
        write_pth(folder / file.name, state)
    return folder


@pytest.fixture
def any_hash(monkeypatch):
    """Random weights may pass as the published ones."""
    monkeypatch.setattr(weights_files, "_check_hash", lambda path, published: None)


def test_command_compares_images_of_one_name(folder, any_hash, tmp_path, capsys):
    random, images = np.random.default_rng(0), {}
    for kind in ("real", "fake"):
        images[kind] = random.integers(0, 256, (3, 32, 36, 3), np.uint8)
        for i, image in enumerate(images[kind]):
            Image.fromarray(image).save(tmp_path / f"{i}_{kind}.png")
    patterns = [str(tmp_path / f"*_{kind}.png") for kind in ("real", "fake")]
    main(["lpips", *patterns, f"--weights={folder}", "--batch-size=2"])
    with torch.no_grad():
        tensors = (parity.nchw(x.astype(np.float32) / 127.5 - 1) for x in images.values())
        expected = torch_measuring.lpips(*random_net("alex"), *tensors).mean()
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.endswith("(alex, 3 pairs)")
    assert float(line.split()[1]) == pytest.approx(float(expected), abs=1e-5)
    (tmp_path / "2_fake.png").unlink()
    with pytest.raises(SystemExit, match="1 images have no counterpart of their name, such as 2"):
        main(["lpips", *patterns, f"--weights={folder}"])


def test_evaluation_measures_every_image(monkeypatch):
    """Outputs against targets, in batches of one shape; by a distance that can be seen."""
    config = small_config(**{"eval.set_metrics": ("lpips",), "eval.batch_size": 2})
    shapes = []

    def distance(x, y):
        shapes.append(x.shape)
        return x.astype(float).mean((1, 2, 3)) - 2 * y.astype(float).mean((1, 2, 3))

    monkeypatch.setattr(lpips, "load", lambda evaluation: distance)
    monkeypatch.setattr("pix2pix_jax.evaluation.evaluator.check_weights", lambda evaluation: None)
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), np.uint8)
    examples = SimpleNamespace(
        paired=True, one_size=True, images=lambda kind, indices: list(images[0])
    )
    evaluator = Evaluator(config, examples)
    monkeypatch.setattr(evaluator, "_run", lambda *args: list(images[1]))
    _, scores = evaluator.translate({}, evaluator.directions[0], np.arange(3))
    np.testing.assert_allclose(scores["lpips"], distance(images[1], images[0]))
    assert shapes[:2] == [(2, 32, 32, 3)] * 2
    examples.paired = False
    with pytest.raises(ValueError, match="lpips, which compares outputs with their true"):
        Evaluator(config, examples)


def test_wrong_weights_are_refused(folder, tmp_path):
    backbone, heads = states(*random_net("alex"))
    with pytest.raises(ValueError, match="features.0.weight is a kernel .* take alexnet-owt"):
        lpips.variables_of("alex", {**backbone, "features.0.weight": np.zeros((9, 3, 3, 3))}, heads)
    with pytest.raises(ValueError, match="head lin2 is not one for 384 channels"):
        lpips.variables_of("alex", backbone, {**heads, "lin2.model.1.weight": np.zeros((1, 9))})
    evaluation = SimpleNamespace(weights_dir=str(folder), lpips_net="alex", batch_size=3)
    with pytest.raises(ValueError, match="damaged, or not the published alexnet-owt-7be5be79.pth"):
        lpips.load(evaluation)
    evaluation.weights_dir = str(tmp_path)
    with pytest.raises(FileNotFoundError, match="alexnet-owt-7be5be79.pth and alex.pth are not in"):
        lpips.load(evaluation)
    (tmp_path / "alexnet-owt-7be5be79.pth").touch()
    with pytest.raises(FileNotFoundError, match="weights file alex.pth is not in .* get it from"):
        lpips.load(evaluation)
    every = SimpleNamespace(set_metrics=("fid", "kid", "lpips"), lpips_net="vgg", weights_dir="")
    with pytest.raises(FileNotFoundError, match=r"pt_inception\S+ and vgg16\S+ and vgg.pth "):
        check_weights(every)
    with pytest.raises(ValueError, match="from 32x32 pixels, not 20x16 with 20x16"):
        image = np.zeros((1, 16, 20, 3), np.uint8)
        lpips.distances("alex", {}, [], 1)(image, image)
