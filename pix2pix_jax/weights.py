"""Where weights come from: a run's checkpoints, or `init_from` (a run of ours or a .pth)."""

import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax

from pix2pix_jax.methods.registry import abstract_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.pytorch import pth_file, state_dicts
from pix2pix_jax.run import checkpoints, config_file


def load_generators(config: Any, workdir: str) -> tuple[dict[str, Any], str]:
    """Variables of the networks that translating needs, and a line saying where they are from.

    They are those of `config.init_from` when that is set, else of the checkpoint
    `config.eval.checkpoint` of `workdir`.

    Raises:
        FileNotFoundError: there is no such checkpoint or file.
        ValueError: it is of another network, or damaged.
    """
    target = abstract_variables(config, is_generator)
    if config.init_from:
        return _load(config, target), config.init_from
    return _from_run(config, workdir, target)


def initialize(config: Any, state: TrainState) -> TrainState:
    """`state` with the weights of `config.init_from`, for fine-tuning; optimizers start anew.

    Discriminators are taken too where the run, or a file beside the .pth, has them.
    """
    loaded = _load(config, abstract_variables(config, is_generator))
    others = abstract_variables(config, lambda name: not is_generator(name))
    try:
        loaded |= _load(config, others)
    except FileNotFoundError:
        print(f"{', '.join(others)}: none beside {config.init_from}, freshly initialised")
    networks = {
        name: network.replace(**jax.device_get(loaded[name])) if name in loaded else network
        for name, network in state.networks.items()
    }
    return state.replace(networks=networks)


def is_generator(name: str) -> bool:
    """Whether this is the name of a generator: G, G_A or G_B."""
    return name.startswith("G")


def abstract_variables(
    config: Any, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, Any]:
    """Shapes and dtypes of the networks whose names are `wanted`, on one device."""
    state = abstract_state(config)
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    variables = {name: net.variables for name, net in state.networks.items() if wanted(name)}
    place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    return jax.tree.map(place, variables)


def _load(config, target):
    path = pathlib.Path(config.init_from)
    if path.is_dir():
        return _from_run(config, path, target)[0]
    return {name: _from_pth(config, _beside(path, name), name, target[name]) for name in target}


def _from_run(config, workdir, target):
    config_file.check_same_network(workdir, config, config_file.NETWORK_FIELDS)
    stored = config_file.read_config(workdir)
    if stored and "D" in target and not stored["loss"]["lambda_gan"]:
        raise FileNotFoundError(f"{workdir} was trained without a discriminator")
    with checkpoints.Checkpoints(
        workdir, best_metric=config.train.best_metric, create=False
    ) as saver:
        step = saver.find(config.eval.checkpoint)
    return checkpoints.restore_variables(workdir, step, target), f"step {step} of {workdir}"


def _beside(path, name):
    """The baseline's file of network `name` beside `path`: latest_net_G.pth, latest_net_D.pth."""
    if name == "G":  # the one that was named, be it a CycleGAN's G_A
        return path
    if match := re.fullmatch(r"(.*_net_)(G|D)(_[AB])?(.*)\.pth", path.name):
        return path.with_name(f"{match[1]}{name}{match[4]}.pth")
    raise FileNotFoundError(
        f"{path.name} does not say which network it is, so there is none for {name}: name files "
        "as PyTorch does, latest_net_G.pth (or G_A, G_B) and latest_net_D.pth"
    )


def _from_pth(config, path, name, target):
    state = pth_file.read_pth(path)
    try:
        state_dicts.check_fields(state_dicts.describe(state), config)
        variables = state_dicts.to_flax(state, torch_keys(config, name))
        _check_tree(variables, target)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return variables


def torch_keys(config: Any, name: str) -> state_dicts.Keys:
    """PyTorch's names of the layers of the network called `name`."""
    if is_generator(name):
        return state_dicts.generator_keys(config.model)
    return state_dicts.discriminator_keys(config.model)


def _check_tree(variables, target):
    """Raises ValueError unless both trees have the same leaves with the same shapes."""
    found, wanted = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (variables, target)
    )
    wrong = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
    if wrong:
        key = wrong[0]
        raise ValueError(
            f"{len(wrong)} of its arrays do not fit the network of the config; {key} is "
            f"{found.get(key)}, the config's {wanted.get(key)}"
        )
