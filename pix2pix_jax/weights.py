"""Where weights come from: a run's checkpoints, or `init_from`.

That is a run of ours, a .pth, or the name of a published generator (see `pytorch.published`).
"""

import pathlib
from collections.abc import Iterable
from typing import Any

import jax

from pix2pix_jax import pth_networks
from pix2pix_jax.methods import average
from pix2pix_jax.methods.registry import METHODS, abstract_state, generator_names
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.pytorch import architectures, pth_file, published
from pix2pix_jax.run import config_file, saved_steps
from pix2pix_jax.run.run_folder import open_run
from pix2pix_jax.runtime import storage


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
        files = published.for_networks(config, needed)
        return pth_networks.read_networks(config, files, target), config.init_from
    path = pth_networks.local_path(config.init_from, target)
    files = pth_networks.files_of(path, target)
    if len(needed) == 1 and not pth_networks.names_a_side(path):
        files = {needed[0]: path}
    if missing := [name for name in needed if name not in files]:
        direction = "B2A" if pth_networks.neighbour(path, "G_B") == path else "A2B"
        raise ValueError(
            f"{path} is one generator of CycleGAN, and config.eval.direction="
            f"{config.eval.direction} takes {' and '.join(needed)}: set "
            f"config.eval.direction={direction} to use this one, or "
            + pth_networks.remedy(path, missing)
        )
    origin = " and ".join(storage.shown(files[name]) for name in needed)
    return pth_networks.read_networks(config, files, target), origin


def check_source(config: Any) -> None:
    """Raises FileNotFoundError if `config.init_from` is no file or run that this machine has.

    So that a mistyped name is told before the data are read. What is in the file, in a run or in
    object storage is seen by `initialize`.
    """
    source = config.init_from
    if not source or storage.is_remote(source) or published.is_name(source):
        return
    if not _is_run(source):
        pth_networks.files_of(pathlib.Path(source), ())


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
    print(f"{', '.join(sorted(loaded))}: weights of {config.init_from}", flush=True)
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
        files = published.for_networks(config, generator_names(config))
        return pth_networks.read_networks(config, files, target)
    path = pth_networks.local_path(config.init_from, target)
    files = pth_networks.files_of(path, target)
    if missing := [name for name in generator_names(config) if name not in files]:
        raise ValueError(
            f"{path} is one generator of CycleGAN, and training starts from both: "
            + pth_networks.remedy(path, missing)
        )
    return pth_networks.read_networks(config, files, target)


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
        files = pth_networks.files_of(pth_networks.local_path(config.init_from, names), names)
        fields = [architectures.describe(pth_file.read_pth(file)) for file in files.values()]
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


def _is_run(init_from):
    """Whether it is a run. Raises FileNotFoundError for a folder of this machine that is none."""
    if storage.is_remote(init_from):
        return not init_from.endswith(".pth")
    folder = pathlib.Path(init_from)
    if folder.is_dir() and saved_steps.newest_step(folder) is None:
        files = pth_networks.files_in(folder)
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
