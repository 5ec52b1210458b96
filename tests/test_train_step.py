"""Whole training steps against PyTorch: the same weights, batches and order of updates."""

import jax
import numpy as np
import pytest
import torch

from benchmarks import torch_baseline as baseline
from configs.default import get_config
from pix2pix_jax.methods import losses, pix2pix
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.models.patchgan import Scale
from pix2pix_jax.pytorch import layer_names
from tests import parity

SIZE = 32
UNET, PATCHGAN = layer_names.unet_keys(5), layer_names.patchgan_keys(3)


def setup(batch_size, **fields):
    """A config and the same networks twice."""
    config = get_config()
    config.update_from_flattened_dict(
        {
            "model.generator": "unet_32",
            "model.ngf": 8,
            "model.ndf": 8,
            "model.dropout": 0.0,
            "data.crop_size": (SIZE, SIZE),
            "train.batch_size": batch_size,
            **fields,
        }
    )
    channels = 6 if config.loss.conditional else 3
    g = baseline.UnetGenerator(3, 3, 5, 8, config.model.norm, dropout=False)
    d = baseline.NLayerDiscriminator(channels, 8, 3, config.model.norm)
    theirs = baseline.Pix2Pix(
        baseline.init_weights(g, 1),
        baseline.init_weights(d, 2),
        config.loss.lambda_l1,
        config.loss.lambda_gan,
        config.loss.conditional,
        config.loss.gan_mode,
    )
    networks = {"G": parity.network(g, UNET, config.optim)}
    if config.loss.lambda_gan:
        networks["D"] = parity.network(d, PATCHGAN, config.optim)
    return config, theirs, TrainState(np.int32(0), networks, Plateau.create(), {})


CASES = {
    "default": {},
    "lsgan": {"loss.gan_mode": "lsgan"},
    "l1": {"loss.lambda_gan": 0.0},
    "cgan": {"loss.lambda_l1": 0.0},
    "unconditional": {"loss.conditional": False},
    "lambda10": {"loss.lambda_l1": 10.0},
    "instance": {"model.norm": "instance"},
}


@pytest.mark.parametrize(
    "batch_size, case", [(2, case) for case in CASES] + [(1, "default"), (1, "instance")]
)
def test_five_steps(batch_size, case):
    """Losses within 1e-4 relative at each of five steps, weights and statistics close.

    Adam divides by the gradient's own size, so where a gradient is about zero its rounding error
    decides the update's sign: after five steps a weight may be off by some steps of 2e-4 at
    worst, while on average it is off by less than 2 % of one step. Running statistics are means
    and stay within 1e-3.
    """
    config, theirs, state = setup(batch_size, **CASES[case])
    step = jax.jit(pix2pix.make_train_step(config, 400, Layout()))
    for i in range(5):
        source, target = parity.images(2, batch_size, SIZE, SIZE, 3, seed=i)
        expected = theirs.step(parity.nchw(source), parity.nchw(target))
        state, found = step(state, {"input": source, "target": target})
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-4), (i, name)
        if i in (0, 4):
            for name, net, keys in (("G", theirs.g, UNET), ("D", theirs.d, PATCHGAN)):
                if name in state.networks:
                    check_network(state.networks[name], parity.variables(net, keys), steps=i + 1)


def check_network(network, expected, steps):
    rate = 2e-4
    differences = [
        np.abs(np.asarray(a) - b).ravel()
        for a, b in zip(
            jax.tree.leaves(network.params), jax.tree.leaves(expected["params"]), strict=True
        )
    ]
    differences = np.concatenate(differences)
    assert differences.max() <= 2.1 * rate * steps
    assert differences.mean() <= 0.02 * rate * steps
    if expected["batch_stats"]:
        assert parity.worst(network.batch_stats, expected["batch_stats"]) < 1e-3


def test_gradients_of_the_first_step():
    """The generator's gradient through the updated discriminator, tensor by tensor."""
    config, theirs, state = setup(2)
    config.optim.eps = 1e6  # Adam's step is then proportional to the gradient
    source, target = parity.images(2, 2, SIZE, SIZE, 3)
    expected_before = parity.variables(theirs.g, UNET)["params"]
    for optimizer in (theirs.g_optim, theirs.d_optim):
        optimizer.param_groups[0]["eps"] = 1e6
        optimizer.param_groups[0]["lr"] = 1e6
    config.optim.learning_rate = 1e6
    theirs.step(parity.nchw(source), parity.nchw(target))
    step = jax.jit(pix2pix.make_train_step(config, 400, Layout()))
    state, _ = step(state, {"input": source, "target": target})
    expected = jax.tree.map(
        lambda new, old: new - old, parity.variables(theirs.g, UNET)["params"], expected_before
    )
    found = jax.tree.map(
        lambda new, old: np.asarray(new) - old, state.networks["G"].params, expected_before
    )
    for name in expected:
        for leaf in expected[name]:
            scale = np.abs(expected[name][leaf]).max()
            error = np.abs(found[name][leaf] - expected[name][leaf]).max()
            assert error <= 2e-3 * scale + 1e-7, (name, leaf)


def test_simultaneous_update_judges_with_the_old_discriminator():
    """TF tutorial: both gradients from the networks before the step."""
    config, theirs, state = setup(1, **{"loss.update_order": "simultaneous"})
    source, target = parity.images(2, 1, SIZE, SIZE, 3)
    with torch.no_grad():
        a = parity.nchw(source)
        logits = theirs.d(torch.cat([a, theirs.g(a)], 1))
        expected = float(baseline.gan_loss(logits, True, "vanilla"))
    step = jax.jit(pix2pix.make_train_step(config, 400, Layout()))
    _, found = step(state, {"input": source, "target": target})
    assert float(found["g_gan"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mode", losses.GAN_MODES)
@pytest.mark.parametrize("real", [True, False])
def test_gan_loss(mode, real):
    logits = 3 * parity.images(2, 30, 30, 1)
    expected = baseline.gan_loss(parity.nchw(logits), real, mode)
    found = losses.gan_loss([Scale(logits, [])], real, mode)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("mode", losses.GAN_MODES)
def test_gan_loss_is_the_sum_over_scales(mode):
    """As in pix2pixHD; each scale counts alike, however many patches it has."""
    logits = [3 * parity.images(2, size, size, 1, seed=size) for size in (30, 14)]
    expected = sum(float(baseline.gan_loss(parity.nchw(x), True, mode)) for x in logits)
    found = losses.gan_loss([Scale(x, []) for x in logits], True, mode)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_gradient_penalty_and_its_gradient():
    """The penalty of a convolutional critic, and its derivative in the critic's weights."""
    from pix2pix_jax.models.convolution.form import convolve

    generator = np.random.default_rng(0)
    w = (generator.standard_normal((4, 4, 3, 5)) * 0.3).astype(np.float32)
    real, fake = parity.images(2, 2, 8, 8, 3)
    key = jax.random.key(3)
    weight = np.asarray(jax.random.uniform(key, (2, 1, 1, 1)))

    def penalty(w):
        return losses.gradient_penalty(
            lambda x: [Scale(jax.numpy.tanh(convolve(x, w, 2, 1)), [])], key, real, fake
        )

    value, gradient = jax.value_and_grad(penalty)(w)
    w_torch = torch.from_numpy(w.transpose(3, 2, 0, 1).copy()).requires_grad_()
    critic = lambda x: torch.tanh(torch.nn.functional.conv2d(x, w_torch, stride=2, padding=1))
    expected = baseline.gradient_penalty(
        critic, parity.nchw(real), parity.nchw(fake), torch.tensor(weight)
    )
    expected.backward()
    assert float(value) == pytest.approx(float(expected.detach()), rel=1e-5)
    theirs = w_torch.grad.numpy().transpose(2, 3, 1, 0)
    np.testing.assert_allclose(gradient, theirs, atol=1e-5 * np.abs(theirs).max())


def test_wgangp_adds_the_penalty():
    config, _, state = setup(2, **{"loss.gan_mode": "wgangp"})
    source, target = parity.images(2, 2, SIZE, SIZE, 3)
    step = jax.jit(pix2pix.make_train_step(config, 400, Layout()))
    _, found = step(state, {"input": source, "target": target})
    assert found["d_gp"] > 0 and np.isfinite(found["d_gp"])
