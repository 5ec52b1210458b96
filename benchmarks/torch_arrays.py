"""Weights and images between PyTorch's layout and ours."""

import numpy as np
import torch

from pix2pix_jax.pytorch import layer_names, state_dicts


def state_dict(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """A copy of the weights as numpy arrays."""
    return {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}


def variables(net: torch.nn.Module, keys: layer_names.Keys) -> dict:
    """The Flax variables that hold the same weights."""
    return state_dicts.to_flax(state_dict(net), keys)


def nchw(images: np.ndarray) -> torch.Tensor:
    """[N, H, W, C] -> a tensor [N, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def nhwc(tensor: torch.Tensor) -> np.ndarray:
    """[N, C, H, W] -> an array [N, H, W, C]."""
    return tensor.detach().numpy().transpose(0, 2, 3, 1)
