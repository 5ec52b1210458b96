"""--mode=import and --mode=export: PyTorch's .pth files to a run's checkpoint, and back."""

import pathlib
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from pix2pix_jax import pth_networks, weights
from pix2pix_jax.methods.registry import fresh_state, generator_names
from pix2pix_jax.pytorch import pth_file, state_dicts
from pix2pix_jax.run import checkpoints, config_file, saved_steps
from pix2pix_jax.run.run_folder import CHECKPOINTS, open_run
from pix2pix_jax.runtime import storage
from pix2pix_jax.settings import config_checks


def import_pth(config: Any, workdir: str) -> None:
    """Writes the weights of `config.init_from` as the checkpoint at step 0 of a new run.

    Discriminators without a .pth beside the generator's are freshly initialised.

    Raises:
        ValueError, OSError: the .pth is missing or of another network, or `workdir` already holds
            checkpoints, or is trained in.
    """
    if not config.init_from:
        raise ValueError("--mode=import needs --config.init_from=FILE.pth")
    config_checks.check(config)
    weights.check_source(config)
    with open_run(workdir) as run, run.lock() as lock:
        run.pull()
        if saved_steps.newest_step(run.folder) is not None:
            raise ValueError(
                f"{workdir}/{CHECKPOINTS} already holds checkpoints: give another --workdir"
            )
        state = weights.initialize(config, fresh_state(config))
        lock.take()
        with (
            run.publishing(),
            checkpoints.Checkpoints(run, config.train.keep_last, config.train.best_metric) as saver,
        ):
            saver.save(state)
            saver.wait()
            config_file.write_config(run.folder, config)
    print(f"{config.init_from} is now step 0 of {workdir}", flush=True)


def export_pth(config: Any, workdir: str, output: str) -> list[pathlib.Path]:
    """Writes every network of a run's checkpoint as <step>_net_<name>.pth for PyTorch.

    The run is `workdir`, also where `config.init_from` says what it began with.

    Raises:
        ValueError, OSError: there is no checkpoint, or PyTorch's code has no such network.
    """
    config_checks.check(config)
    storage.check_writable(output)
    with open_run(workdir) as run:
        run.pull()
        if config.init_from.endswith(".pth") and saved_steps.newest_step(run.folder) is None:
            raise ValueError(
                f"{config.init_from} is a .pth already, and {workdir} has no checkpoint: for files "
                "of another kind give --format=onnx or --format=stablehlo"
            )
        best_metric = config.train.best_metric
        step = saved_steps.find_step(run.folder, config.eval.checkpoint, best_metric)
        config_file.check_same_network(run.folder, config, part="state")
        target = weights.abstract_variables(config)
        use_average = config.eval.average
        variables, averaged = saved_steps.restore_variables(run, step, target, use_average)
    variables = _with_biases(config, jax.device_get(variables))
    if remark := _unlike_pytorch(config):
        print(remark, flush=True)
    paths = []
    with storage.output_folder(output) as folder:
        for name, tree in variables.items():
            state = state_dicts.to_torch(tree, pth_networks.torch_keys(config, name), step)
            state = state_dicts.in_order(state, config.model)
            paths.append(folder / f"{step}_net_{name}.pth")
            pth_file.write_pth(paths[-1], state)
            is_average = averaged and name in generator_names(config)
            origin = weights.origin_of(step, workdir, is_average)
            print(f"wrote {storage.shown(paths[-1])} with {origin}", flush=True)
    return paths


def _with_biases(config, variables):
    """`variables` with a bias of zeros wherever PyTorch's layers have one and these have none."""
    complete = config.copy_and_resolve_references()
    complete.model.bias = _bias_of_pytorch(config)
    filled = {}
    for name, shapes in weights.abstract_variables(complete, variables).items():
        flat = traverse_util.flatten_dict(variables[name])
        for path, leaf in traverse_util.flatten_dict(shapes).items():
            if path[-1] == "bias" and path not in flat:
                flat[path] = np.zeros(leaf.shape, leaf.dtype)
        filled[name] = traverse_util.unflatten_dict(flat)
    return filled


def _bias_of_pytorch(config):
    """The value of model.bias with which layers have the biases of the method's PyTorch code."""
    return "all" if config.method == "pix2pixhd" else "torch"


def _unlike_pytorch(config):
    """A line on what a .pth does not say and PyTorch's code has otherwise; empty if nothing is."""
    model = config.model
    changes = [
        f"{field}={model[field]:g} instead of {value:g}"
        for field, value in state_dicts.SETTINGS.items()
        if model[field] != value
    ]
    if model.bias == "all" != _bias_of_pytorch(config) and model.norm == "batch":
        changes.append("biases before its norms")
    if not changes:
        return ""
    return f"PyTorch's code needs changes for these weights: the model has {', '.join(changes)}"
