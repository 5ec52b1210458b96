"""The training loop of every method: resumes, reports, validates, saves."""

import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from pix2pix_jax import config_checks, evaluate, weights
from pix2pix_jax.data import loading
from pix2pix_jax.methods.registry import METHODS, abstract_state, fresh_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics.per_image import HIGHER_IS_BETTER
from pix2pix_jax.report.curves import loss_curves
from pix2pix_jax.run import checkpoints, config_file
from pix2pix_jax.run.event_writer import EventWriter
from pix2pix_jax.run.history import History
from pix2pix_jax.run.progress import Stopwatch, duration
from pix2pix_jax.run.reporter import Reporter
from pix2pix_jax.run.stopping import StopRequest
from pix2pix_jax.runtime import host_memory, processes
from pix2pix_jax.runtime.devices import choose_devices


def train(config: Any, workdir: str) -> dict[str, float]:
    """Trains `config` in `workdir`, from its newest checkpoint if it has one.

    Returns:
        The last validation's metrics, by name.

    Raises:
        ValueError, OSError: bad config or data; one sentence saying what to mend.
        FloatingPointError: a loss stopped being finite; the checkpoints before it stay.
    """
    config_checks.check(config)
    devices = choose_devices(config.train.batch_size, config.train.num_devices)
    run = _make_workdir(workdir)
    processes.check_shared(run)
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
    processes.connect(mesh)
    for line in config_file.check_same_network(run, config, config_file.STATE_FIELDS):
        print(line, flush=True)
    kind = METHODS[config.method].DATA
    examples = loading.load_examples(config, config.data.train_split, train=True, kind=kind)
    validation = loading.load_examples(config, config.data.eval_split, train=False, kind=kind)
    replicated, split = shardings(mesh)
    total_steps = num_steps(config, len(examples))
    run_steps = make_run_steps(config, len(examples), mesh)
    cache = processes.place(examples.cache, replicated)
    saver = checkpoints.Checkpoints(run, config.train.keep_last, config.train.best_metric)
    state = _start(config, saver, replicated)
    if processes.is_first():
        config_file.write_config(run, config)
    start, several = int(state.step), jax.process_count() > 1
    steps_per_call = fused_steps(config, total_steps, start)
    print(
        f"{config.name}: {len(examples)} training examples, {len(validation)} for validation, "
        f"steps {start} to {total_steps}, {len(devices)} {jax.default_backend()} device(s), "
        f"in {run}",
        flush=True,
    )

    metrics: dict[str, float] = {}
    with (
        processes.folder_to_write(run) as folder,
        saver,
        StopRequest() as stop,
        EventWriter(folder) as events,
        History(folder / "metrics.jsonl", resume_step=start) as history,
    ):
        events.text("config", f"```\n{config}\n```")
        validate = evaluate.Validator(config, validation, folder / "samples")
        report = Reporter(config, events, history, total_steps, len(examples), start)
        chunks = loading.prefetched(
            examples,
            start,
            total_steps,
            steps_per_call,
            config.train.batch_size,
            config.data.prefetch,
            (jax.process_index(), jax.process_count()),
        )
        step = start
        stopwatch = Stopwatch(folder / "seconds.txt", fresh=start == 0)
        while step < total_steps:
            if report.stop_agreed if several else stop.requested:
                break
            with report.waiting():
                chunk = processes.distribute(next(chunks), split)
                flags = processes.flags(stop.requested, steps_per_call, split)
            state, losses = run_steps(state, cache, chunk, flags)
            report.add(step, losses)
            host_memory.release_beyond()
            step += steps_per_call
            last = step == total_steps
            if last or _due(step, config.train.log_every):
                report.write(step)
            with report.pausing():
                if last or _due(step, config.train.sample_every):
                    for name, grid in validate.samples(state, step).items():
                        events.image(step, name, grid)
                if last or _due(step, config.train.eval_every):
                    metrics = processes.from_first(validate.metrics(state))
                    state = _after_validation(config, state, metrics, replicated)
                    report.validation(step, metrics)
                if last or _due(step, config.train.checkpoint_every):
                    report.check_finite()
                    evaluated = last or _due(step, config.train.eval_every)
                    saver.save(state, metrics if evaluated else None)
                    stopwatch.write()
        if step > start:
            report.check_finite()
            saver.save(state)  # where the loop was asked to stop; else it is saved already
            stopwatch.write()
            print(f"trained {step - start} steps in {duration(stopwatch.seconds)}", flush=True)
        saver.wait()
        if curves := history.curves():
            loss_curves(folder / "losses.png", curves, title=config.name)
    if step < total_steps:
        print(f"stopped and saved at step {step}; run the same command to go on", flush=True)
    return metrics


def make_run_steps(config: Any, num_examples: int, mesh: Mesh) -> Callable:
    """The one jitted function of training: several steps in a dispatch, the state donated.

    Returns:
        (state, cache, chunk, flags) -> (state, losses), where chunk (see `Examples.chunk`) has
        leading axes [steps, batch] and every loss comes back as [steps]. So does "stop", the
        largest of the flags [steps, devices], unless these are None.
    """
    groups = 1 if config.model.sync_batch_norm else mesh.size
    train_step = METHODS[config.method].make_train_step(config, num_examples, groups)
    make_batch = functools.partial(loading.make_batch, config)

    def run_steps(state, cache, chunk, flags):
        def one_step(state, item):
            chunk, flags = item
            state, losses = train_step(state, make_batch(state.step, cache, chunk))
            return state, losses if flags is None else losses | {"stop": flags.max()}

        items = (chunk, flags)
        if jax.tree.leaves(chunk)[0].shape[0] == 1:  # XLA's CPU loops run on a single thread
            state, losses = one_step(state, jax.tree.map(lambda x: x[0], items))
            return state, jax.tree.map(lambda x: x[None], losses)
        return jax.lax.scan(one_step, state, items)

    replicated, split = shardings(mesh)
    return jax.jit(
        run_steps,
        donate_argnums=0,
        in_shardings=(replicated, replicated, split, split),
        out_shardings=replicated,
    )


def shardings(mesh: Mesh) -> tuple[NamedSharding, NamedSharding]:
    """Of what every device has whole, and of [steps, batch, ...] that they share."""
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(None, "data"))


def num_steps(config: Any, num_examples: int) -> int:
    """Steps of the whole run: so many that every epoch's examples have been seen."""
    optim = config.optim
    epochs = optim.epochs + optim.epochs_decay - (optim.epoch_count - 1)
    return config.train.num_steps or math.ceil(epochs * num_examples / config.train.batch_size)


def fused_steps(config: Any, total_steps: int, start: int = 0) -> int:
    """Steps in one dispatch: the most that divide every interval, so that one function serves."""
    train = config.train
    most = train.steps_per_call or (1 if jax.default_backend() == "cpu" else 20)
    intervals = (train.log_every, train.sample_every, train.eval_every, train.checkpoint_every)
    common = math.gcd(total_steps, start, *intervals)
    return max(n for n in range(1, most + 1) if common % n == 0)


def _due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0


def _make_workdir(workdir: str) -> pathlib.Path:
    folder = pathlib.Path(workdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"cannot write to the workdir {folder} ({error.strerror}): give another with --workdir"
        ) from error
    return folder


def _start(config, saver, sharding) -> TrainState:
    """The newest checkpoint, or fresh networks (with the weights of `init_from`)."""
    target = abstract_state(config)
    if saver.latest is not None:
        state = processes.place(saver.restore(target, saver.latest), sharding)
        print(f"resumed from step {saver.latest} of {saver.folder}", flush=True)
        return state
    checkpoints.check_space(saver.folder, target)
    # From host copies: placing a device array can alias it, and donation would delete it.
    state = fresh_state(config)
    if config.init_from:
        state = weights.initialize(config, state)
    return processes.place(state, sharding)


def _after_validation(config, state, metrics, sharding) -> TrainState:
    """Lets the plateau policy see the validation metric."""
    if config.optim.policy != "plateau":
        return state
    name = config.train.best_metric
    plateau = processes.local(state.plateau)
    plateau = plateau.update(config.optim, metrics[name], HIGHER_IS_BETTER[name])
    return state.replace(plateau=processes.place(jax.device_get(plateau), sharding))
