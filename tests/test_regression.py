"""Regression nets against PyTorch, their training, curves and tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks import torch_regression as theirs
from configs import convdeconv, fcn
from pix2pix_jax.evaluation.evaluate import evaluate
from pix2pix_jax.images.levels import to_float
from pix2pix_jax.methods import regression
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.registry import abstract_state, fresh_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics import per_image
from pix2pix_jax.models import build
from pix2pix_jax.models.fcn import bilinear_init, max_pool
from pix2pix_jax.report import comparison
from pix2pix_jax.run.history import read_rows
from pix2pix_jax.settings import config_checks
from pix2pix_jax.train import train
from pix2pix_jax.translation.translator import Translator
from tests import parity
from tests.conftest import small_config


def keys(net):
    """Our layers have the names of the PyTorch ones in `benchmarks.torch_regression`."""
    return {name: (name,) for name in dict(net.named_children())}


def small_fcn(variant="8s", **fields):
    config = fcn.get_config(variant)
    config.update_from_flattened_dict(
        {"model.ngf": 4, "model.dropout": 0.0, "data.crop_size": (32, 64), **fields}
    )
    net = theirs.FCN(
        stride=int(variant.partition("s")[0]),
        ngf=4,
        convs=tuple(config.model.fcn_convs),
        split=config.model.fcn_split_upsampling,
    )
    return config, net


def small_convdeconv():
    config = convdeconv.get_config("facades")
    config.data.crop_size = (32, 64)
    return config, theirs.ConvDeconv()


CASES = {"convdeconv": small_convdeconv} | {
    name: lambda name=name: small_fcn(name) for name in fcn.VARIANTS if name != "8s_synthetic"
}


def bilinear(net):
    """Sets the upsamplings of a PyTorch FCN to bilinear interpolation, by its definition."""
    for name, layer in net.named_children():
        if name.startswith("upscore"):
            channels, _, size, _ = layer.weight.shape
            center, factor = (size - 1) / 2, size // 2
            ramp = 1 - torch.abs(torch.arange(size) - center) / factor
            filled = torch.zeros_like(layer.weight)
            for c in range(channels):
                filled[c, c] = ramp[:, None] * ramp
            layer.weight.data = filled
    return net


@pytest.mark.parametrize("case", CASES)
def test_two_steps_and_evaluation(case):
    """Losses, weights after Adam, running statistics and the evaluation's image, as in PyTorch."""
    config, net = CASES[case]()
    config.optim.eps = 1e-3  # so that no rounding error of a tiny gradient becomes a whole step
    with torch.no_grad():
        for i, (name, tensor) in enumerate(net.named_parameters()):
            noise = torch.from_numpy(np.random.default_rng(i).standard_normal(tensor.shape)).float()
            tensor.copy_(1 + 0.1 * noise if "norm" in name and "weight" in name else 0.2 * noise)
    bilinear(net)
    rate, optim = config.optim.learning_rate, config.optim
    optimizer = torch.optim.Adam(net.parameters(), rate, (optim.beta1, optim.beta2), optim.eps)
    state = TrainState(
        np.int32(0), {"G": parity.network(net, keys(net), optim)}, Plateau.create(), {}
    )
    expected_loss = {"l1": torch.nn.functional.l1_loss, "l2": torch.nn.functional.mse_loss}
    kind = config.loss.regression
    step = jax.jit(regression.make_train_step(config, 400, Layout()))
    for i in range(2):
        source, target = parity.images(2, 2, 32, 64, 3, seed=i)
        loss = expected_loss[kind](net(parity.nchw(source)), parity.nchw(target))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state, found = step(state, {"input": source, "target": target})
        assert set(found) == {kind}
        assert float(found[kind]) == pytest.approx(float(loss.detach()), rel=1e-4)
    after = parity.variables(net, keys(net))
    assert parity.worst(state.networks["G"].params, after["params"]) < 0.02 * rate
    assert parity.worst(state.networks["G"].batch_stats, after["batch_stats"]) < 1e-4

    net.eval()
    images = np.random.default_rng(5).integers(0, 256, (2, 32, 64, 3), np.uint8)
    with torch.no_grad():
        expected = parity.nhwc(net(parity.nchw(np.asarray(to_float(images)))))
    (direction,) = regression.METHOD.directions(config)
    variables = state.networks["G"].variables
    found = Translator(config, direction).batch(variables, images, np.arange(2))
    assert np.abs(found - (expected + 1) * 127.5).max() < 0.53  # rounding, and 2e-4 of the range


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_fresh_upsamplings_are_bilinear(stride):
    config = fcn.get_config(f"{stride}s")
    config.model.ngf = 2
    module = build.generator(config.model, 3)
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}

    @jax.jit
    def upsamplings(rngs):  # alone, which compiles at once
        params = module.init(rngs, jnp.zeros((1, 32, 32, 3)))["params"]
        return {name: layer for name, layer in params.items() if name.startswith("upscore")}

    params = upsamplings(rngs)
    net = bilinear(theirs.FCN(stride=stride, ngf=2))
    expected = parity.variables(net, keys(net))["params"]
    names = [name for name in expected if name.startswith("upscore")]
    assert names == [f"upscore_{s}" for s in (16, 8) if s >= stride] + ["upscore"]
    for name in names:
        np.testing.assert_allclose(params[name]["kernel"], expected[name]["kernel"], atol=1e-7)
    assert bilinear_init(None, (4, 4, 1, 1))[1, 1, 0, 0] == pytest.approx(0.75**2)


def test_sizes():
    """87,315 parameters as published; FCN's head is counted by hand."""
    count = lambda config: sum(
        leaf.size for leaf in jax.tree.leaves(abstract_state(config).networks["G"].params)
    )
    assert count(convdeconv.get_config()) == 87_315
    torch_size = lambda net: sum(p.numel() for p in net.parameters())
    for name, values in fcn.VARIANTS.items():
        if name != "8s_synthetic":
            with torch.device("meta"):
                net = theirs.FCN(
                    stride=int(name.partition("s")[0]),
                    convs=values.get("model.fcn_convs", (2, 2, 3, 3, 3)),
                    split=values.get("model.fcn_split_upsampling", False),
                )
            assert count(fcn.get_config(name)) == torch_size(net)


def test_max_pool_and_its_gradient():
    """As torch's, which gives a tie's gradient to the first pixel."""
    x = np.random.default_rng(0).integers(0, 3, (2, 6, 8, 3)).astype(np.float32)  # many ties
    weights = parity.images(2, 3, 4, 3)
    found, pull_back = jax.vjp(jax.jit(max_pool), x)
    tensor = parity.nchw(x).requires_grad_()
    expected = torch.nn.functional.max_pool2d(tensor, 2)
    expected.backward(parity.nchw(weights))
    np.testing.assert_array_equal(found, parity.nhwc(expected))
    np.testing.assert_array_equal(pull_back(weights)[0], parity.nhwc(tensor.grad))


def test_the_step_of_a_trained_size_is_finite():
    """FCN-8s's whole jitted gradient at batch 10, where XLA's fused poolings gave NaN on CPUs."""
    config = fcn.get_config("8s_synthetic")
    state = fresh_state(config)
    source, target = parity.images(2, 10, 64, 64, 3)
    state, _ = jax.jit(regression.make_train_step(config, 400, Layout()))(
        state, {"input": source, "target": target}
    )
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(state.networks["G"].params))


@pytest.fixture(scope="module")
def regression_run(tmp_path_factory):
    """A small convdeconv run."""
    config = small_config(
        **{
            "method": "regression",
            "model.generator": "convdeconv",
            "loss.lambda_gan": 0.0,
            "loss.regression": "l2",
            "eval.norm_mode": "running",
            "train.best_metric": "l2",
        }
    )
    workdir = tmp_path_factory.mktemp("regression")
    train(config, str(workdir))
    return config, workdir


def test_curves_and_table(regression_run, finished_run, tmp_path):
    """Training and validation of one loss at the same scale, and the table's numbers."""
    config, workdir = regression_run
    rows = read_rows(workdir / "metrics.jsonl")
    named = lambda name: [row[name] for row in rows if name in row]
    assert named("train/l2") and named("val/l2")
    mean = evaluate(config, str(workdir))
    assert min(named("val/l2")) == pytest.approx(mean["l2"], rel=1e-5)  # of the best checkpoint
    text = comparison.table([str(workdir), str(finished_run[1])])
    header, _, ours, pix2pix = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
    ]
    row = dict(zip(header, ours, strict=True))
    assert row["run"] == str(workdir)  # both runs are called small
    assert row["steps"] == "8" and row["loss"] == "L2"
    assert float(row["training"]) == pytest.approx(named("train/l2")[-1], abs=1e-4)
    assert float(row["validation"]) == pytest.approx(named("val/l2")[-1], abs=1e-4)
    assert float(row["SSIM"]) == pytest.approx(named("val/ssim")[-1], abs=1e-3)
    assert float(row["PSNR"]) == pytest.approx(named("val/psnr")[-1], abs=1e-2)
    net = theirs.ConvDeconv(ngf=4)
    assert row["parameters"] == f"{sum(p.numel() for p in net.parameters()):,}"
    other = dict(zip(header, pix2pix, strict=True))
    rows = read_rows(finished_run[1] / "metrics.jsonl")
    weighted = [row["train/g_l1"] for row in rows if "train/g_l1" in row][-1]
    assert float(other["training"]) == pytest.approx(weighted / 100, abs=1e-4)
    with pytest.raises(FileNotFoundError, match="no run with a validation"):
        comparison.table([str(tmp_path)])


def test_the_published_loss_is_a_quarter():
    """Mean squares of images in [-1, 1] are four times those in [0, 1]."""
    a, b = parity.images(2, 3, 16, 16, 3)
    expected = (((a + 1) / 2 - (b + 1) / 2).astype(float) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(per_image.l2(a, b) / 4, expected, rtol=1e-5)


def test_what_regression_cannot_be():
    config = small_config(**{"method": "regression", "model.generator": "convdeconv"})
    with pytest.raises(ValueError, match=r"no discriminator: set config\.loss\.lambda_gan=0"):
        config_checks.check(config)
    config.loss.lambda_gan = 0.0
    config.model.generator = "fcn_4s"
    with pytest.raises(ValueError, match="fcn_8s"):
        config_checks.check(config)
    config.model.generator = "fcn_8s"
    config.data.crop_size = (32, 48)
    config.data.load_size = (32, 48)
    with pytest.raises(ValueError, match="multiples of 32, not 32x48"):
        config_checks.check(config)
