"""Where weights come from: a run's checkpoints, or `init_from`.

That is a run of ours, a .pth, or the name of a published generator (see `pytorch.published`).
"""

import pathlib
import re
from collections.abc import Iterable
from typing import Any

import jax
from flax import traverse_util

from pix2pix_jax.methods import average
from pix2pix_jax.methods.contract import GENERATOR, OTHER
from pix2pix_jax.methods.registry import METHODS, abstract_state, generator_names
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.pytorch import architectures, pth_file, published, state_dicts
from pix2pix_jax.run import config_file, saved_steps
from pix2pix_jax.run.run_folder import open_run
from pix2pix_jax.runtime import storage

PTH_NAME = re.compile(r"(.*_net_)G(_[AB])?(.*)\.pth")  # latest_net_G_A.pth


def load_generators(config: Any, workdir: str) -> tuple[dict[str, Any], str]:
    """Variables of the generators that translating needs, and a line saying where they are from.

    They are those of `config.init_from` when that is set, else of the checkpoint
    `config.eval.checkpoint` of `workdir`. With one direction of CycleGAN, the other generator is
    needed for reconstructions only: from .pth files it is left out when it has none.

    Raises:
        FileNotFoundError: there is no such checkpoint or file.
        ValueError: it is of another network, or damaged, or of one direction where both are
            asked for.
    """
    target = abstract_variables(config, generator_names(config))
    if not config.init_from or _is_run(config.init_from):
        variables, origin = _from_run(config, config.init_from or workdir, target)
        return variables, config.init_from or origin
    needed = [direction.generator for direction in METHODS[config.method].directions(config)]
    if published.is_name(config.init_from):
        return _from_pths(config, published.for_networks(config, needed), target), config.init_from
    path = _local_pth(config.init_from, target)
    files = _pth_files(path, target)
    if len(needed) == 1 and not _names_a_side(path):
        files = {needed[0]: path}
    if missing := [name for name in needed if name not in files]:
        direction = "B2A" if _neighbour(path, "G_B") == path else "A2B"
        raise ValueError(
            f"{path} is one generator of CycleGAN, and config.eval.direction="
            f"{config.eval.direction} takes {' and '.join(needed)}: set "
            f"config.eval.direction={direction} to use this one, or {_remedy(path, missing)}"
        )
    return _from_pths(config, files, target), config.init_from


def check_source(config: Any) -> None:
    """Raises FileNotFoundError if `config.init_from` is no file or run that this machine has.

    So that a mistyped name is told before the data are read. What is in the file, in a run or in
    object storage is seen by `initialize`.
    """
    source = config.init_from
    if not source or storage.is_remote(source) or published.is_name(source):
        return
    if not _is_run(source):
        _pth_files(pathlib.Path(source), ())


def initialize(config: Any, state: TrainState) -> TrainState:
    """`state` with the weights of `config.init_from`, for fine-tuning; optimizers start anew.

    Discriminators are taken too where the run, or a file beside the .pth, has them. Where they are
    of a method's first phase, its networks become parts of the larger ones.

    Raises:
        FileNotFoundError: there is no such checkpoint or file.
        ValueError: it is of another network, or damaged, or a generator is missing.
    """
    first = _first_phase(config)
    try:
        loaded = jax.device_get(_initial(first or config))
    except ValueError as error:
        if not first or first.model.ngf == config.model.ngf:
            raise
        raise ValueError(
            f"{error} (here: the global generator inside {config.model.generator}, whose model.ngf "
            f"is config.model.ngf={config.model.ngf} times {first.model.ngf // config.model.ngf})"
        ) from error
    if fresh := sorted(state.networks.keys() - loaded.keys()):
        print(f"{', '.join(fresh)}: none beside {config.init_from}, freshly initialised")
    if first:
        new = {name: network.variables for name, network in state.networks.items()}
        loaded = METHODS[config.method].grow(loaded, new)
    networks = {
        name: network.replace(**loaded[name]) if name in loaded else network
        for name, network in state.networks.items()
    }
    extra = state.extra | average.start(config.optim, networks, generator_names(config))
    return state.replace(networks=networks, extra=extra)


def _initial(config):
    """Variables of the networks in config.init_from, by name."""
    target = abstract_variables(config)
    if _is_run(config.init_from):
        return _from_run(config, config.init_from, target, discriminators=True)[0]
    if published.is_name(config.init_from):
        return _from_pths(config, published.for_networks(config, generator_names(config)), target)
    path = _local_pth(config.init_from, target)
    files = _pth_files(path, target)
    if missing := [name for name in generator_names(config) if name not in files]:
        raise ValueError(
            f"{path} is one generator of CycleGAN, and training starts from both: "
            + _remedy(path, missing)
        )
    return _from_pths(config, files, target)


def _first_phase(config):
    """The config of the networks in config.init_from, if the method's first phase trained them."""
    first = METHODS[config.method].first_phase(config)
    if first is None:
        return None
    if _is_run(config.init_from):
        with open_run(config.init_from) as run:
            run.pull()
            stored = (config_file.read_config(run.folder) or {}).get("model", {})
    else:
        names = ("G", "D")
        files = _pth_files(_local_pth(config.init_from, names), names).values()
        fields = [architectures.describe(pth_file.read_pth(file)) for file in files]
        stored = {k.removeprefix("model."): v for each in fields for k, v in each.items()}
    if stored.get("generator") == config.model.generator:
        return None
    for field in ("num_d", "local_enhancers", "local_blocks"):  # free to be others than later
        first.model[field] = stored.get(field, first.model[field])
    return first


def abstract_variables(config: Any, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Shapes and dtypes of some networks, or of all, on one device."""
    networks = abstract_state(config).networks
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    variables = {name: networks[name].variables for name in names or networks}
    place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    return jax.tree.map(place, variables)


def torch_keys(config: Any, name: str) -> state_dicts.Keys:
    """PyTorch's names of the layers of network `name`."""
    role = METHODS[config.method].networks(config, 1)[name].role
    if role == OTHER:
        return state_dicts.projection_keys(len(config.loss.nce_layers))
    if role == GENERATOR:
        return state_dicts.generator_keys(config.model)
    if config.model.num_d > 1 or config.method == "pix2pixhd":
        return state_dicts.multiscale_keys(config.model, bool(config.loss.lambda_feat))
    return state_dicts.discriminator_keys(config.model)


def _is_run(init_from):
    """Whether it is a run. Raises FileNotFoundError for a folder of this machine that is none."""
    if storage.is_remote(init_from):
        return not init_from.endswith(".pth")
    folder = pathlib.Path(init_from)
    if folder.is_dir() and saved_steps.newest_step(folder) is None:
        files = sorted(path for path in folder.glob("*.pth") if PTH_NAME.fullmatch(path.name))
        hint = f": give one of its files, {files[0]}" if files else ""
        raise FileNotFoundError(f"config.init_from={folder} is no run with checkpoints{hint}")
    return folder.is_dir()


def _from_run(config, workdir, target, discriminators=False):
    with open_run(workdir) as run:
        run.pull()
        if discriminators and _has_no_discriminator(run.folder):
            target = {name: target[name] for name in target if name != "D"}
        part = "networks" if target.keys() - set(generator_names(config)) else "generators"
        config_file.check_same_network(run.folder, config, part)
        best_metric = config.train.best_metric
        step = saved_steps.find_step(run.folder, config.eval.checkpoint, best_metric)
        use_average = config.eval.average
        found, averaged = saved_steps.restore_variables(run, step, target, use_average)
    return found, origin_of(step, workdir, averaged)


def origin_of(step: int, workdir: str, averaged: bool) -> str:
    """How messages name the weights of a run's checkpoint."""
    return f"step {step} of {workdir}{' (average of its parameters)' if averaged else ''}"


def _has_no_discriminator(workdir):
    stored = config_file.read_config(workdir)
    return stored is not None and not stored["loss"]["lambda_gan"]


def _local_pth(init_from, names):
    """The path of a .pth on this machine, beside which are those of the networks `names`."""
    if not storage.is_remote(init_from):
        return pathlib.Path(init_from)
    folder, _, name = init_from.rpartition("/")
    path = pathlib.PurePath(name)
    # Of the same epoch: a folder of PyTorch's code can have files of many.
    wanted = {path, *(_neighbour(path, network) for network in names)}
    return storage.local_copy(folder, wanted.__contains__) / name


def _pth_files(path: pathlib.Path, names: Iterable[str]) -> dict[str, pathlib.Path]:
    """The .pth files of those networks that have one: `path` and its neighbours, by their names.

    Raises:
        FileNotFoundError: `path` does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no weights file {path}{published.hint(path)}")
    # Whatever the file of a lone generator is called, be it a CycleGAN's G_A.
    files = {name: path if name == "G" else _neighbour(path, name) for name in names}
    return {name: file for name, file in files.items() if file and file.is_file()}


def _neighbour(path, name):
    """Where PyTorch's code saves network `name` beside `path`; None if `path` does not say."""
    match = PTH_NAME.fullmatch(path.name)
    if not match or ("_" in name and not match[2]):
        return None
    return path.with_name(f"{match[1]}{name}{match[3]}.pth")


def _names_a_side(path):
    """Whether a file's name says which of CycleGAN's generators it is."""
    return _neighbour(path, "G_A") is not None


def _remedy(path, missing):
    """What to do about generators of CycleGAN that are missing beside `path`."""
    if len(missing) == 1:
        return f"put {_neighbour(path, missing[0]).name} beside it"
    return "give latest_net_G_A.pth as config.init_from, with latest_net_G_B.pth beside it"


def _from_pths(config, files, target):
    """The networks of some files, generators first: what is wrong with them is wrong with all."""
    names = sorted(files, key=lambda name: (not name.startswith("G"), name))
    return {name: _from_pth(config, files[name], name, target[name]) for name in names}


def _from_pth(config, path, name, target):
    state = pth_file.read_pth(path)
    try:
        fields = architectures.describe(state)
        if name.startswith("G") and "model.discriminator" in fields:
            raise ValueError("it holds a discriminator: give the .pth of the generator")
        architectures.check_fields(fields, config)
        state = state_dicts.in_order(state, config.model)
        variables = state_dicts.to_flax(state, torch_keys(config, name))
        variables = _without_needless_biases(variables, target)
        _check_tree(variables, target)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return variables


def _without_needless_biases(variables, target):
    """Without the biases that the network does not have, where they are zero."""
    wanted = traverse_util.flatten_dict(target)
    flat = {
        path: leaf
        for path, leaf in traverse_util.flatten_dict(variables, keep_empty_nodes=True).items()
        if path[-1] != "bias" or path in wanted or leaf.any()
    }
    return traverse_util.unflatten_dict(flat)


def _check_tree(variables, target):
    """Raises ValueError unless both trees have the same leaves with the same shapes."""
    found, wanted = (
        {name: leaf.shape for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()}
        for tree in (variables, target)
    )
    wrong = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"{len(wrong)} of its arrays do not fit the network of the config; {name} has shape "
            f"{found.get(name)} in the file and {wanted.get(name)} in the network"
        )
