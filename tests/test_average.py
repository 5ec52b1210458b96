"""The average of the generators' parameters: its rule, in training, in evaluation and export."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from pix2pix_jax import exchange, weights
from pix2pix_jax import train as training
from pix2pix_jax.evaluation.validator import Validator
from pix2pix_jax.methods import average
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.registry import METHODS, abstract_state, make_train_step
from pix2pix_jax.methods.state import NetworkState, TrainState
from pix2pix_jax.run import config_file
from pix2pix_jax.run.checkpoints import Checkpoints
from tests import parity
from tests.conftest import small_config

EMA = {"optim.ema_images": 4.0, "optim.ema_ramp": 0.5}
REGRESSION = {
    "method": "regression",
    "loss.lambda_gan": 0.0,
    "model.generator": "convdeconv",
    "train.num_steps": 4,
    "train.log_every": 1,
    "train.sample_every": 0,
    "train.eval_every": 0,
    "train.checkpoint_every": 1,
}


def test_golden_shares():
    """Those of StyleGAN2-ADA's and StyleGAN3's training loops."""
    optim = small_config(**{"optim.ema_images": 10_000.0, "optim.ema_ramp": 0.05}).optim
    assert average.kept_share(optim, 3200, 32) == pytest.approx(0.8705505633, rel=1e-6)
    assert average.kept_share(optim, 0, 32) == 0
    optim.ema_images = 312.5
    assert average.kept_share(optim, 1000, 1) == pytest.approx(0.9862327045, rel=1e-6)
    optim.ema_ramp = 0.0
    assert average.kept_share(optim, 0, 1) == pytest.approx(0.9977843871, rel=1e-6)


def test_the_rule_over_steps():
    """Parameters are averaged, statistics are the latest; a step's own losses are handed on."""
    config = small_config(**EMA, **{"train.batch_size": 2})

    def step(state, batch):
        net = state.networks["G"]
        net = net.replace(params={"w": batch}, batch_stats={"mean": -batch})
        return state.replace(step=state.step + 1, networks={"G": net}), {"l1": batch.sum()}

    net = NetworkState({"w": jnp.full(3, 9.0)}, {"mean": jnp.zeros(3)}, ())
    state = TrainState(jnp.int32(0), {"G": net}, None, {"pools": 1})
    state = state.replace(extra=state.extra | average.start(config.optim, state.networks, ["G"]))
    run, expected = average.with_average(config, step), np.full(3, 9.0)
    for i in range(6):
        value = np.arange(3.0) * (i + 1)
        state, losses = run(state, jnp.asarray(value))
        beta = 0.5 ** (2 / max(min(4.0, 2 * i * 0.5), 1e-8))
        expected = value + beta * (expected - value)
        found = average.evaluated(state, True)["G"]
        np.testing.assert_allclose(found["params"]["w"], expected, rtol=1e-5)
        np.testing.assert_allclose(found["batch_stats"]["mean"], -value)
        assert losses["l1"] == value.sum() and state.extra["pools"] == 1
    np.testing.assert_allclose(average.evaluated(state, False)["G"]["params"]["w"], value)


def test_every_generator_has_one():
    config = small_config(method="cyclegan", **EMA, **{"model.norm": "instance"})
    state = abstract_state(config)
    assert state.extra[average.NAME].keys() == {"G_A", "G_B"}
    batch = dict.fromkeys("AB", jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
    after, _ = jax.eval_shape(make_train_step(config, 10, Layout()), state, batch)
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)


def test_training_keeps_and_validates_the_average(tmp_path, monkeypatch):
    """In the loop, with a step that is cheap to compile: it adds 1 to all parameters."""
    config = small_config(**REGRESSION, **EMA)
    validated = []

    def step(state, batch):
        g = state.networks["G"]
        g = g.replace(params=jax.tree.map(lambda p: p + 1, g.params))
        return state.replace(step=state.step + 1, networks={"G": g}), {"l1": jnp.float32(0)}

    method = METHODS["regression"]._replace(make_train_step=lambda *args: step)
    monkeypatch.setitem(METHODS, "regression", method)

    class Recorder(Validator):
        def metrics(self, state):
            validated.append(jax.device_get(self._variables(state)))
            return {"l1": 0.5}

        def samples(self, state, step):
            return {}

    monkeypatch.setattr(training, "Validator", Recorder)
    training.train(config, str(tmp_path))
    with Checkpoints(tmp_path) as saver:
        before, after = (saver.restore(abstract_state(config), step) for step in (3, 4))
    share = float(average.kept_share(config.optim, 3, 1))
    expected = jax.tree.map(
        lambda p, a: p + share * (a - p), after.networks["G"].params, before.extra["ema"]["G"]
    )
    assert 0 < share < 1 and parity.worst(after.extra["ema"]["G"], expected) < 1e-6
    assert parity.worst(validated[-1]["G"]["params"], expected) < 1e-6
    config.optim.ema_images = 0.0
    with pytest.raises(ValueError, match="ema_images was 4.0 in the run .*, and is now 0.0"):
        training.train(config, str(tmp_path))


def test_the_average_is_what_is_evaluated_exported_and_tuned(tmp_path):
    """Of a checkpoint that has one, whatever the config says; unless eval.average is off."""
    config = small_config(**EMA)
    random = np.random.default_rng(0)
    draw = lambda x: np.asarray(random.normal(size=x.shape), x.dtype)
    state = jax.tree.map(draw, abstract_state(config))
    state = state.replace(step=np.int32(5))
    workdir = tmp_path / "run"
    with Checkpoints(workdir) as saver:
        saver.save(state)
    config_file.write_config(workdir, config)
    raw, averaged = state.networks["G"].params, state.extra["ema"]["G"]
    for fields in ({}, {"optim.ema_images": 0.0}, {"eval.average": False}):
        config = small_config(**EMA)
        config.update_from_flattened_dict(fields)
        expected = averaged if config.eval.average else raw
        found, origin = weights.load_generators(config, str(workdir))
        assert parity.worst(found["G"]["params"], expected) == 0
        assert parity.worst(found["G"]["batch_stats"], state.networks["G"].batch_stats) == 0
        assert origin.endswith("(average of its parameters)") == config.eval.average

    config = small_config(**EMA)
    exchange.export_pth(config, str(workdir), str(tmp_path))
    kernel = torch.load(tmp_path / "5_net_G.pth", weights_only=True)["model.model.0.weight"]
    np.testing.assert_array_equal(
        kernel.numpy().transpose(2, 3, 1, 0), averaged["down_1"]["kernel"]
    )

    config.init_from = str(workdir)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), abstract_state(config))
    tuned = weights.initialize(config, zeros)
    assert parity.worst(tuned.networks["G"].params, averaged) == 0
    assert parity.worst(tuned.extra["ema"]["G"], averaged) == 0
    assert parity.worst(tuned.networks["D"].params, state.networks["D"].params) == 0
