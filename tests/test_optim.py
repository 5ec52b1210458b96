"""Learning rates and Adam against torch.optim, epoch by epoch."""

import jax
import numpy as np
import pytest
import torch

from configs.default import get_config
from pix2pix_jax.methods import optim
from pix2pix_jax.methods.state import epoch_of


def scheduler(config, optimizer):
    c = config.optim
    kinds = torch.optim.lr_scheduler
    if c.policy == "linear":
        factor = lambda e: 1.0 - max(0, e + 1 - c.epochs) / float(c.epochs_decay + 1)
        return kinds.LambdaLR(optimizer, factor)
    if c.policy == "step":
        return kinds.StepLR(optimizer, c.decay_every, c.decay_factor)
    if c.policy == "cosine":
        return kinds.CosineAnnealingLR(optimizer, c.epochs, 0)
    return kinds.LambdaLR(optimizer, lambda e: 1.0)


@pytest.mark.parametrize("policy", ["linear", "step", "cosine", "constant"])
def test_schedule(policy):
    config = get_config()
    config.optim.policy = policy
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    schedule = scheduler(config, optimizer)
    for epoch in range(200):
        expected = optimizer.param_groups[0]["lr"]
        found = float(optim.learning_rate(config.optim, np.int32(epoch)))
        assert found == pytest.approx(expected, rel=1e-5, abs=2e-11), epoch
        optimizer.step()
        schedule.step()


def test_published_values_of_the_linear_policy():
    config = get_config().optim
    found = [float(optim.learning_rate(config, np.int32(e - 1))) for e in (1, 100, 101, 200)]
    np.testing.assert_allclose(found, [2e-4, 2e-4, 1.9802e-4, 1.98e-6], rtol=1e-4)


def test_plateau():
    config = get_config().optim
    config.decay_factor = 0.2
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "min", factor=0.2, threshold=0.01, patience=5
    )
    state = optim.Plateau.create()
    metrics = np.abs(np.random.default_rng(0).normal(0.3, 0.02, 60)) + np.geomspace(1, 0.01, 60)
    for metric in metrics:
        schedule.step(metric)
        state = state.update(config, float(metric))
        assert float(state.scale) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
    assert float(state.scale) < 0.5  # it did decay


def test_adam():
    generator = np.random.default_rng(0)
    weight = generator.standard_normal(100).astype(np.float32)
    theirs = torch.nn.Parameter(torch.tensor(weight))
    optimizer = torch.optim.Adam([theirs], lr=2e-4, betas=(0.5, 0.999), eps=1e-8)
    adam = optim.adam(get_config().optim)
    state = adam.init(weight)
    for _ in range(20):
        gradient = generator.standard_normal(100).astype(np.float32) * 1e-3
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        update, state = adam.update(gradient, state)
        weight = weight - 2e-4 * update
    np.testing.assert_allclose(weight, theirs.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("batch_size, n", [(1, 400), (4, 17823), (3, 10)])
def test_epochs_follow_the_images_seen(batch_size, n):
    steps = np.array([0, 1, n // batch_size - 1, n // batch_size + 1, 5 * n])
    expected = [int(step * batch_size / n) for step in steps]
    np.testing.assert_array_equal(jax.vmap(lambda s: epoch_of(s, batch_size, n))(steps), expected)
