"""CUT and FastCUT against PyTorch: networks, losses, whole steps, files; and their runs."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks import torch_baseline as baseline
from benchmarks import torch_cut as theirs
from configs import cut as cut_config
from pix2pix_jax.methods import cut
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.pytorch import state_dicts
from pix2pix_jax.runtime import random_streams
from tests import parity
from tests.test_train_step import check_network

SIZE, BLOCKS, PATCHES, WIDTH = 32, 2, 20, 16
LAYERS = ("padded", "down_1", "down_2", "block_1", "block_2")
NUMBERS = (0, 4, 8, 12, 13)  # of these layers in PyTorch's network


def small_config(fast=False, **fields):
    config = cut_config.base(fast)
    config.name = "small_cut"
    config.update_from_flattened_dict(
        {
            "data.name": "synthetic",
            "data.synthetic_kind": "night",
            "data.load_size": (36, 36),
            "data.crop_size": (SIZE, SIZE),
            "data.synthetic_size": 32,
            "data.synthetic_train": 4,
            "data.synthetic_eval": 3,
            "model.generator": f"resnet_{BLOCKS}blocks",
            "model.ngf": 4,
            "model.ndf": 4,
            "model.n_layers": 2,
            "model.projection_width": WIDTH,
            "loss.nce_layers": LAYERS,
            "loss.nce_patches": PATCHES,
            "train.num_devices": 1,
            "train.num_samples": 2,
            "eval.batch_size": 2,
            **fields,
        }
    )
    return config


CASES = {
    "CUT": ({"train.batch_size": 2}, LAYERS, NUMBERS),
    "FastCUT": ({}, LAYERS, NUMBERS),
    "not antialiased, batch norm": (
        {
            "model.antialias": False,
            "model.antialias_up": False,
            "model.norm": "batch",
            "train.batch_size": 2,
        },
        ("padded", "down_1", "down_norm_2", "block_1", "block_2"),
        (0, 4, 8, 10, 11),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_five_steps(case):
    """Losses within 1e-4 relative at each of five steps, as for CycleGAN."""
    fields, layers, numbers = CASES[case]
    config = small_config(case == "FastCUT", **fields, **{"loss.nce_layers": layers})
    model, loss = config.model, config.loss
    g = theirs.ResnetGenerator(
        ngf=4,
        norm=model.norm,
        num_blocks=BLOCKS,
        antialias=model.antialias,
        antialias_up=model.antialias_up,
    )
    make = theirs if model.antialias else baseline
    d = make.NLayerDiscriminator(3, ndf=4, n_layers=2, norm=model.norm)
    f = theirs.PatchProjection((3, 8, 16, 16, 16), WIDTH)
    nets = {"G": g, "D": d, "F": f}
    keys = {
        "G": state_dicts.generator_keys(model),
        "D": state_dicts.discriminator_keys(model),
        "F": state_dicts.projection_keys(5),
    }
    networks = {}
    for i, (name, net) in enumerate(nets.items()):
        theirs.init_weights(net, i)
        networks[name] = parity.network(net, keys[name], config.optim)
        net.double()  # the same parameters, which the optimizers hold

    step_number = 0

    def draw(name, i, count):
        key = random_streams.at_step(config.seed, random_streams.PATCHES, step_number)
        key = random_streams.named(random_streams.named(key, name), layers[i])
        found = cut.draw_positions(key, (1, 1, count, 1), loss.nce_patches)
        return torch.from_numpy(np.array(found)).long()

    def mirror():
        key = random_streams.at_step(config.seed, random_streams.MIRROR, step_number)
        return loss.flip_equivariance and bool(jax.random.bernoulli(key))

    expectation = theirs.CUT(
        g, d, f, loss.lambda_nce, loss.nce_identity, numbers, draw=draw, mirror=mirror
    )
    state = TrainState(np.int32(0), networks, Plateau.create(), {})
    t = time.time()
    step = jax.jit(cut.make_train_step(config, 400, Layout())).lower(state, {k: np.zeros((config.train.batch_size, SIZE, SIZE, 3), np.float32) for k in "AB"})
    print("lower", time.time() - t)
    t = time.time()
    step = step.compile()
    print("compile", time.time() - t)
    for step_number in range(5):
        a, b = parity.images(2, config.train.batch_size, SIZE, SIZE, 3, seed=step_number)
        expected = expectation.step(parity.nchw(a).double(), parity.nchw(b).double())
        state, found = step(state, {"A": a, "B": b})
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            print(step_number, name, float(value), float(found[name])/float(value)-1)
            assert float(found[name]) == pytest.approx(float(value), rel=1e-4), (step_number, name)
        if step_number in (0, 4):
            for name, net in nets.items():
                tree = parity.variables(net, keys[name])
                check_network(state.networks[name], tree, steps=step_number + 1)
