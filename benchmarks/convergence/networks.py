"""PyTorch's networks and training step for a config of ours, with our weights; and back."""

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import torch_arrays
from benchmarks import torch_baseline as baseline
from configs import default
from pix2pix_jax import pth_networks
from pix2pix_jax.methods.contract import GENERATOR, Network
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.registry import METHODS, fresh_state
from pix2pix_jax.methods.state import NetworkState, TrainState
from pix2pix_jax.pytorch import state_dicts

# Fields that PyTorch's side follows; of the others of these sections it has the defaults.
FOLLOWED = {
    "model": "generator ngf norm dropout discriminator ndf n_layers padding init_type init_gain",
    "loss": "gan_mode lambda_gan lambda_l1 conditional lambda_a lambda_b lambda_identity pool_size",
    "optim": "epochs epochs_decay",
}


def check(config: Any) -> None:
    """Raises ValueError for a config that PyTorch's side does not know."""
    if config.method not in ("pix2pix", "cyclegan"):
        raise ValueError(
            f"PyTorch's side trains pix2pix and CycleGAN, and config.method is {config.method}"
        )
    defaults = default.get_config()
    for section, followed in FOLLOWED.items():
        for name, value in defaults[section].items():
            if name not in followed.split() and config[section][name] != value:
                raise ValueError(
                    f"PyTorch's side knows only config.{section}.{name}={value}, "
                    f"not {config[section][name]}"
                )
    if config.model.dropout not in (0.0, 0.5):
        raise ValueError(f"PyTorch's side has a dropout of 0.5 or 0, not {config.model.dropout}")
    if config.loss.gan_mode == "wgangp":
        raise ValueError("PyTorch's step has no gradient penalty: use vanilla or lsgan")
    if config.method == "cyclegan" and config.loss.lambda_gan != 1:
        raise ValueError("PyTorch's CycleGAN knows only config.loss.lambda_gan=1")
    if config.init_from or config.data.jitter_ends:
        raise ValueError(
            "PyTorch's side knows neither config.init_from nor config.data.jitter_ends"
        )


def create(config: Any) -> tuple[dict[str, nn.Module], Any]:
    """PyTorch's networks, by the names of ours, with the weights that ours begins with.

    Returns:
        the networks, and what trains them (`torch_baseline.Pix2Pix` or `CycleGAN`).
    """
    state, networks = fresh_state(config), {}
    for name, network in METHODS[config.method].networks(config, 1).items():
        arrays = state_dicts.to_torch(
            state.networks[name].variables, pth_networks.torch_keys(config, name)
        )
        networks[name] = _module(config.model, network)
        # Copies: PyTorch changes its weights in place.
        networks[name].load_state_dict({k: torch.tensor(array) for k, array in arrays.items()})
    return networks, _trainer(config, networks)


def _module(model, network: Network):
    channels = network.shape[-1]
    if network.role != GENERATOR:
        if model.discriminator == "pixel":
            return baseline.PixelDiscriminator(channels, model.ndf, model.norm)
        return baseline.NLayerDiscriminator(channels, model.ndf, model.n_layers, model.norm)
    kind, _, size = model.generator.partition("_")
    widths, dropout = (channels, network.module.out_channels), model.dropout > 0
    if kind == "unet":
        num_downs = network.module.num_downs
        return baseline.UnetGenerator(*widths, num_downs, model.ngf, model.norm, dropout)
    blocks = int(size.removesuffix("blocks"))
    return baseline.ResnetGenerator(*widths, model.ngf, model.norm, dropout, blocks, model.padding)


def _trainer(config, networks):
    loss = config.loss
    if config.method == "pix2pix":
        factors = loss.lambda_l1, loss.lambda_gan, loss.conditional
        return baseline.Pix2Pix(networks["G"], networks.get("D"), *factors, loss.gan_mode)
    factors = loss.lambda_a, loss.lambda_b, loss.lambda_identity
    pools = [baseline.ImagePool(loss.pool_size) for _ in range(2)]
    return baseline.CycleGAN(*networks.values(), *factors, loss.gan_mode, *pools)


def as_ours(config: Any, networks: dict[str, nn.Module], step: int) -> TrainState:
    """A state of ours with the weights of PyTorch's networks, without optimizers."""
    found = {}
    for name, net in networks.items():
        tree = torch_arrays.variables(net, pth_networks.torch_keys(config, name))
        found[name] = NetworkState(tree["params"], tree["batch_stats"], None)
    return TrainState(np.int32(step), found, Plateau.create(), {})
