"""Helpers that put one set of weights and inputs into our networks and into PyTorch's."""

import jax
import numpy as np
import torch

from benchmarks.torch_arrays import nchw, nhwc, state_dict, variables
from pix2pix_jax.methods.optim import adam
from pix2pix_jax.methods.state import NetworkState, TrainState

__all__ = ["follow", "images", "nchw", "network", "nhwc", "state_dict", "variables", "worst"]


def network(net: torch.nn.Module, keys: dict[str, tuple[str, ...]], optim) -> NetworkState:
    """A `NetworkState` with the weights of `net` and a fresh optimizer."""
    tree = variables(net, keys)
    return NetworkState(tree["params"], tree["batch_stats"], adam(optim).init(tree["params"]))


def follow(state: TrainState, nets: dict, keys: dict) -> TrainState:
    """`state` with the weights and statistics that PyTorch's networks have now.

    Adam makes a whole step of a gradient that is zero but for rounding, to a side that depends on
    the processor. From the same weights at each step nothing comes of it.
    """
    networks = dict(state.networks)
    for name, net in nets.items():
        tree = jax.tree.map(np.float32, variables(net, keys[name]))
        networks[name] = networks[name].replace(**tree)
    return state.replace(networks=networks)


def images(*shape: int, seed: int = 0) -> np.ndarray:
    """Uniform random images in [-1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def worst(ours: dict, theirs: dict) -> float:
    """Largest absolute difference of two trees with the same keys."""
    pairs = jax.tree.map(
        lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()), ours, theirs
    )
    return max(jax.tree.leaves(pairs))
