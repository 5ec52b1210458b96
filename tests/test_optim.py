"""Learning rates and Adam against torch.optim, epoch by epoch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from configs import horse2zebra, inpaint
from configs.default import get_config
from pix2pix_jax import training_plan
from pix2pix_jax.methods import optim
from pix2pix_jax.methods.state import NetworkState, epoch_of
from pix2pix_jax.run import checks
from pix2pix_jax.settings import config_checks


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


def test_published_values_of_the_lua_code_of_cyclegan():
    """lr = lr - lr0 / niter_decay after each epoch beyond niter."""
    config = horse2zebra.get_config("paper").optim
    found = [float(optim.learning_rate(config, np.int32(e - 1))) for e in (100, 101, 102, 200)]
    np.testing.assert_allclose(found, [2e-4, 2e-4, 1.98e-4, 2e-6], rtol=1e-4)


@pytest.mark.parametrize(
    "data, images, factors",
    [
        ("facades", 400, [1, 0.1, 0.01, 0.001]),  # at the steps 0, 50,000, 100,000, 150,000
        ("dtd", 5_360, [1, 1, 0.1, 0.1]),
        ("folder", 30, [1, 1, 1, 1]),
        ("folder", 30_000, [1, 1, 1, 1]),
    ],
)
def test_learning_rate_of_inpainting(data, images, factors):
    """PEN-Net's, by iterations; of a folder of any size it does not fall to nothing."""
    config = inpaint.get_config(data)
    config_checks.check(config)
    steps = np.array([0, 50_400, 100_400, 150_400], np.int32)  # epochs end a little later
    epochs = epoch_of(steps, config.train.batch_size, images)
    found = optim.learning_rate(config.optim, epochs) * np.ones(4)
    np.testing.assert_allclose(found, 1e-4 * np.array(factors), rtol=1e-4)


@pytest.mark.parametrize("first", [2, 100, 150])
def test_a_schedule_that_starts_at_a_later_epoch(first):
    """PyTorch's --epoch_count: train.py runs epochs first .. n_epochs + n_epochs_decay."""
    config = get_config()
    c = config.optim
    c.epoch_count = first
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    factor = lambda e: 1.0 - max(0, e + first - c.epochs) / float(c.epochs_decay + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    epochs = range(first, c.epochs + c.epochs_decay + 1)
    for epoch in range(len(epochs)):
        expected = optimizer.param_groups[0]["lr"]
        assert float(optim.learning_rate(c, np.int32(epoch))) == pytest.approx(expected, rel=1e-5)
        optimizer.step()
        schedule.step()
    config.train.batch_size = 3
    assert training_plan.num_steps(config, 10) == -(-len(epochs) * 10 // 3)


@pytest.mark.parametrize("policy", ["linear", "linear_late", "step"])
@pytest.mark.parametrize("decay", [0, 3])
def test_more_steps_than_the_schedule_has(policy, decay):
    """They are refused from the first one on whose rate is 0 by the formulas of PyTorch's codes."""
    config = get_config()
    c = config.optim
    c.policy, c.epochs, c.epochs_decay, c.epoch_count = policy, 4, decay, 2
    config.train.batch_size = 3
    factors = {
        "linear": lambda e: 1.0 - max(0, e + 1 - 4) / float(decay + 1),
        "linear_late": lambda e: 1.0 - max(0, e - 4) / max(decay, 1),
        "step": lambda e: 0.1 ** (e // 50),
    }
    refused = []
    for steps in range(1, 40):
        epoch = 1 + (steps - 1) * 3 // 10  # of the last step, from 0; ten examples
        try:
            checks.check_schedule(config, 10, steps)
        except ValueError as error:
            assert f"which end in epoch {epoch + 1}," in str(error)
            refused.append(steps)
        assert (steps in refused) == (factors[policy](epoch) <= 0)
    assert bool(refused) == (policy != "step")
    config.train.num_steps = 0
    checks.check_schedule(config, 10, training_plan.num_steps(config, 10))


def plateau_metrics(kind):
    """Sequences that improve for a while, then only by noise."""
    generator = np.random.default_rng(0)
    noise, trend = generator.normal(0, 0.02, 80), np.geomspace(1, 1e-4, 80)
    return {"l1": np.abs(0.3 + noise) + trend, "psnr": 20 + 10 * noise - 5 * trend}[kind]


@pytest.mark.parametrize("kind", ["l1", "psnr"])
@pytest.mark.parametrize("rate", [1.0, 1e-7])
def test_plateau(kind, rate):
    """Both directions, and PyTorch's eps: decays by less than 1e-8 are not applied."""
    config = get_config().optim
    config.learning_rate = rate
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if kind == "psnr" else "min", factor=0.2, threshold=0.01, patience=5
    )
    state = optim.Plateau.create()
    for metric in plateau_metrics(kind):
        schedule.step(metric)
        state = state.update(config, float(metric), higher_is_better=kind == "psnr")
        assert rate * float(state.scale) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
    assert float(state.scale) < 0.05  # it did decay, twice or more


def adam_steps(dtype, weight, gradients):
    """Ten steps of torch.optim.Adam in a precision."""
    parameter = torch.nn.Parameter(torch.tensor(weight, dtype=dtype))
    optimizer = torch.optim.Adam([parameter], lr=2e-4, betas=(0.5, 0.999), eps=1e-8)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.step()
    return parameter.detach().numpy()


def test_adam():
    """Ten steps, as close to PyTorch in float64 as PyTorch in float32 is."""
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((50, 50)).astype(np.float32) * 0.02
    gradients = generator.standard_normal((10, 50, 50)).astype(np.float32) * 1e-3
    exact = adam_steps(torch.float64, weight, gradients)
    adam = optim.adam(get_config().optim)
    state, moved = adam.init(weight), np.zeros(weight.shape)
    for gradient in gradients:
        update, state = jax.jit(adam.update)(gradient, state)
        moved -= 2e-4 * np.asarray(update, np.float64)
    assert np.abs(moved - (exact - weight)).mean() < 2e-10  # optax: 3.9e-9
    ours, theirs = weight + moved.astype(np.float32), adam_steps(torch.float32, weight, gradients)
    assert np.abs(ours - exact).mean() < 1.1 * np.abs(theirs - exact).mean() < 1.2e-9


def test_adam_without_momentum_and_its_state():
    """beta1 = 0 needs no correction; checkpoints hold optax's state."""
    config = get_config().optim
    config.beta1 = 0.0
    adam, stock = optim.adam(config), optax.scale_by_adam(0.0, 0.999, 1e-8)
    gradient = np.linspace(-1, 1, 5, dtype=np.float32)
    states = [adam.init(gradient), stock.init(gradient)]
    for _ in range(3):
        ours, states[0] = adam.update(gradient, states[0])
        theirs, states[1] = stock.update(gradient, states[1])
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    for a, b in zip(jax.tree.leaves(states[0]), jax.tree.leaves(states[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
        assert a.dtype == b.dtype


def test_a_step_takes_memory_for_its_gradients_alone():
    """Parameters and Adam's moments, which are donated, are written where they lie."""
    config = get_config().optim
    params = {name: np.ones((256, 256), np.float32) for name in "abc"}
    network = NetworkState(params, {}, optim.adam(config).init(params))

    def step(network, x):
        def loss(params):
            y = x
            for kernel in params.values():
                y = jax.nn.relu(y @ kernel)
            return jnp.square(y).sum()

        return network.update(config, 1.0, jax.grad(loss)(network.params))

    compiled = jax.jit(step, donate_argnums=0).lower(network, np.ones((8, 256))).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 3.5 * params["a"].nbytes


@pytest.mark.parametrize("batch_size, n", [(1, 400), (4, 17823), (3, 10)])
def test_epochs_follow_the_images_seen(batch_size, n):
    steps = np.array([0, 1, n // batch_size - 1, n // batch_size + 1, 5 * n])
    expected = [int(step * batch_size / n) for step in steps]
    np.testing.assert_array_equal(jax.vmap(lambda s: epoch_of(s, batch_size, n))(steps), expected)


def test_the_rate_is_computed_once():
    """And not anew for each parameter: what XLA's CPU backend repeats, compiles as often."""
    optimizer = get_config().optim
    params = {f"layer_{i}": np.ones(8, np.float32) for i in range(5)}
    network = NetworkState(params, {}, optim.adam(optimizer).init(params))

    def step(network, gradients, epoch):
        return network.update(optimizer, jnp.maximum(epoch, 3.0), gradients)

    program = jax.jit(step).lower(network, params, jnp.float32(1)).compile().as_text()
    assert program.count(" maximum(") == 1
