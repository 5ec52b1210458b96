"""Helpers that put one set of weights and inputs into our networks and into PyTorch's."""

import jax
import numpy as np
import torch

from pix2pix_jax.methods.optim import adam
from pix2pix_jax.methods.state import NetworkState
from pix2pix_jax.pytorch import state_dicts


def state_dict(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """A copy of the weights as numpy arrays."""
    return {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}


def variables(net: torch.nn.Module, keys: dict[str, tuple[str, ...]]) -> dict:
    """The Flax variables that hold the same weights."""
    return state_dicts.to_flax(state_dict(net), keys)


def network(net: torch.nn.Module, keys: dict[str, tuple[str, ...]], optim) -> NetworkState:
    """A `NetworkState` with the weights of `net` and a fresh optimizer."""
    tree = variables(net, keys)
    return NetworkState(tree["params"], tree["batch_stats"], adam(optim).init(tree["params"]))


def nchw(images: np.ndarray) -> torch.Tensor:
    """[N, H, W, C] -> a tensor [N, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def nhwc(tensor: torch.Tensor) -> np.ndarray:
    """[N, C, H, W] -> an array [N, H, W, C]."""
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def images(*shape: int, seed: int = 0) -> np.ndarray:
    """Uniform random images in [-1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def worst(ours: dict, theirs: dict) -> float:
    """Largest absolute difference of two trees with the same keys."""
    pairs = jax.tree.map(
        lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()), ours, theirs
    )
    return max(jax.tree.leaves(pairs))
