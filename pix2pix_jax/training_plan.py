"""What a run trains on and begins with; found before anything is written."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import AxisType, Mesh

from pix2pix_jax import weights
from pix2pix_jax.data import loading
from pix2pix_jax.methods.registry import METHODS, fresh_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics.registry import check_weights
from pix2pix_jax.run import checks, config_file, disk_space, saved_steps
from pix2pix_jax.run.kept_program import KeptProgram
from pix2pix_jax.run.run_folder import RunFolder
from pix2pix_jax.runtime import processes
from pix2pix_jax.runtime.background import in_background
from pix2pix_jax.runtime.devices import choose_devices
from pix2pix_jax.settings import config_checks, unused_fields


class Plan(NamedTuple):
    """What a run trains on; known before its workdir need exist."""

    config: Any
    abstract: TrainState  # shapes and dtypes of the state
    drawing: Callable[[], TrainState] | None  # gives new networks; None with a checkpoint
    program: KeptProgram  # of earlier starts
    run: RunFolder
    mesh: Mesh
    examples: Any
    validation: Any  # examples
    total_steps: int


def make_plan(config: Any, run: RunFolder) -> Plan:
    """Checks everything that can be checked, and reads the data; writes nothing.

    Raises:
        ValueError, OSError: bad config or data; one sentence saying how to fix it.
    """
    workdir = run.folder
    program = KeptProgram(config)
    abstract = config_checks.check(config)
    devices = choose_devices(config.train.batch_size, config.train.num_devices)
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
    processes.connect(mesh)
    if processes.is_first():
        checks.check_writable(workdir)
    if saved_steps.newest_step(workdir) is not None:
        changes = config_file.check_same_network(workdir, config, part="state")
        config_file.check_same_data(workdir, config)
        config_file.check_same_average(workdir, config)
        config_file.check_same_plateau(workdir, config)
        print("".join(f"{line}\n" for line in changes), end="", flush=True)
        drawing = None
    else:
        checks.check_history(workdir)
        unused_fields.check(config)
        weights.check_source(config)
        drawing = in_background(fresh_state, config)
    check_weights(config.eval)
    data, seed, kind = config.data, config.seed, METHODS[config.method].data
    examples = loading.load_examples(
        data, seed, data.train_split, True, kind, jittered_epochs(config)
    )
    validation = loading.load_examples(data, seed, data.eval_split, train=False, kind=kind)
    checks.check_best_metric(config, validation)
    total_steps = num_steps(config, len(examples))
    checks.check_schedule(config, len(examples), total_steps)
    return Plan(config, abstract, drawing, program, run, mesh, examples, validation, total_steps)


def first_state(plan: Plan) -> Callable[[], TrainState] | None:
    """A function that gives, once, new networks (with the weights of `init_from`).

    It waits until they are drawn. They are on the host: placing a device array can alias it, and
    donation would delete it. None if there is a checkpoint.
    """
    if plan.drawing is None:
        return None
    config = plan.config
    disk_space.check_space(plan.run.folder, plan.abstract)
    if config.init_from:
        return once(weights.initialize(config, plan.drawing()))
    if frozen := config.optim.epochs_frozen:
        print(
            "the global generator is freshly initialised, and not trained in the first "
            f"config.optim.epochs_frozen={frozen} epochs: to start from a trained one, give its "
            "run as config.init_from",
            flush=True,
        )
    return plan.drawing


def once(state: TrainState) -> Callable[[], TrainState]:
    """A function that gives the state, and lets go of what takes as much memory as training's."""
    return [state].pop


def num_steps(config: Any, num_examples: int) -> int:
    """Steps of the whole run: so many that every epoch's examples have been seen."""
    optim = config.optim
    epochs = optim.epochs + optim.epochs_decay - (optim.epoch_count - 1)
    return config.train.num_steps or math.ceil(epochs * num_examples / config.train.batch_size)


def jittered_epochs(config: Any) -> float:
    """Epochs of this run after which images are resized to the crop; infinity if they never are.

    With data.jitter_ends it is when the linear policy begins to decay.
    """
    optim = config.optim
    return optim.epochs - (optim.epoch_count - 1) if config.data.jitter_ends else math.inf
