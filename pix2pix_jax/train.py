"""The training loop of every method: resumes, reports, validates, saves."""

import functools
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from pix2pix_jax import checkpoints, config_checks, data, evaluate, visualize, weights
from pix2pix_jax.event_writer import EventWriter
from pix2pix_jax.history import History
from pix2pix_jax.methods import METHODS
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics import HIGHER_IS_BETTER
from pix2pix_jax.progress import Progress, Stopwatch, duration
from pix2pix_jax.stopping import StopRequest

CALLS_IN_FLIGHT = 2  # dispatches queued on the device: enough to keep it busy, few to stop soon


def train(config: Any, workdir: str) -> dict[str, float]:
    """Trains `config` in `workdir`, from its newest checkpoint if it has one.

    Returns:
        The last validation's metrics, by name.

    Raises:
        ValueError, OSError: bad config or data; one sentence saying what to mend.
        FloatingPointError: a loss stopped being finite; the checkpoints before it stay.
    """
    devices = jax.devices()[: config.train.num_devices or None]
    config_checks.check(config, len(devices))
    folder = _make_workdir(workdir)
    for line in checkpoints.check_same_network(folder, config, checkpoints.STATE_FIELDS):
        print(line, flush=True)
    kind = METHODS[config.method].DATA
    examples = data.load(config, config.data.train_split, train=True, kind=kind)
    validation = data.load(config, config.data.eval_split, train=False, kind=kind)
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    replicated = NamedSharding(mesh, PartitionSpec())
    total_steps = num_steps(config, len(examples))
    run_steps = make_run_steps(config, len(examples), mesh)
    cache = jax.device_put(examples.cache, replicated)
    saver = checkpoints.Checkpoints(folder, config.train.keep_last, config.train.best_metric)
    state = _start(config, saver, replicated)
    checkpoints.write_config(folder, config)
    validate = evaluate.Validator(config, validation, folder / "samples")
    start = int(state.step)
    steps_per_call = fused_steps(config, total_steps, start)
    print(
        f"{config.name}: {len(examples)} training examples, {len(validation)} for validation, "
        f"steps {start} to {total_steps}, {len(devices)} {jax.default_backend()} device(s), "
        f"in {folder}",
        flush=True,
    )

    metrics: dict[str, float] = {}
    with (
        saver,
        StopRequest() as stop,
        EventWriter(folder) as events,
        History(folder / "metrics.jsonl", resume_step=start) as history,
    ):
        events.text("config", f"```\n{config}\n```")
        report = Reporter(config, events, history, total_steps, len(examples), start)
        chunks = data.prefetched(
            examples,
            start,
            total_steps,
            steps_per_call,
            config.train.batch_size,
            config.data.prefetch,
        )
        step = start
        stopwatch = Stopwatch(folder / "seconds.txt", fresh=start == 0)
        while step < total_steps and not stop.requested:
            with report.waiting():
                chunk = next(chunks)
            state, losses = run_steps(state, cache, chunk)
            report.add(step, losses)
            step += steps_per_call
            last = step == total_steps
            if last or _due(step, config.train.log_every):
                report.write(step)
            with report.pausing():
                if last or _due(step, config.train.sample_every):
                    for name, grid in validate.samples(state, step).items():
                        events.image(step, name, grid)
                if last or _due(step, config.train.eval_every):
                    metrics = validate.metrics(state)
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
            visualize.loss_curves(folder / "losses.png", curves, title=config.name)
    if step < total_steps:
        print(f"stopped and saved at step {step}; run the same command to go on", flush=True)
    return metrics


def make_run_steps(config: Any, num_examples: int, mesh: jax.sharding.Mesh) -> Callable:
    """The one jitted function of training: several steps in a dispatch, the state donated.

    Returns:
        (state, cache, chunk) -> (state, losses), where chunk (see `data.Examples.chunk`) has
        leading axes [steps, batch] and every loss comes back as [steps].
    """
    groups = 1 if config.model.sync_batch_norm else mesh.size
    train_step = METHODS[config.method].make_train_step(config, num_examples, groups)
    make_batch = functools.partial(data.make_batch, config)

    def run_steps(state, cache, chunk):
        def one_step(state, item):
            return train_step(state, make_batch(state.step, cache, item))

        if jax.tree.leaves(chunk)[0].shape[0] == 1:  # XLA's CPU loops run on a single thread
            state, losses = one_step(state, jax.tree.map(lambda x: x[0], chunk))
            return state, jax.tree.map(lambda x: x[None], losses)
        return jax.lax.scan(one_step, state, chunk)

    replicated = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(None, "data"))
    return jax.jit(
        run_steps,
        donate_argnums=0,
        in_shardings=(replicated, replicated, split),
        out_shardings=replicated,
    )


def num_steps(config: Any, num_examples: int) -> int:
    """Steps of the whole run: so many that every epoch's examples have been seen."""
    epochs = config.optim.epochs + config.optim.epochs_decay
    return config.train.num_steps or math.ceil(epochs * num_examples / config.train.batch_size)


def fused_steps(config: Any, total_steps: int, start: int = 0) -> int:
    """Steps in one dispatch: the most that divide every interval, so that one function serves."""
    train = config.train
    most = train.steps_per_call or (1 if jax.default_backend() == "cpu" else 20)
    intervals = (train.log_every, train.sample_every, train.eval_every, train.checkpoint_every)
    common = math.gcd(total_steps, start, *intervals)
    return max(n for n in range(1, most + 1) if common % n == 0)


class Reporter:
    """Gathers losses as they come off the device; writes lines, TensorBoard and history."""

    def __init__(self, config, events, history, total_steps, num_examples, start):
        self._events, self._history = events, history
        self._progress = Progress(total_steps, config.train.batch_size, num_examples, start)
        self._pending: list[tuple[int, dict[str, jax.Array]]] = []
        self._checked: dict[str, list[np.ndarray]] = {}

    def waiting(self):
        """Context in which the loop waits for data."""
        return _Timed(self._progress.waited)

    def pausing(self):
        """Context that does not count as training."""
        return _Timed(self._progress.pause)

    def add(self, first_step: int, losses: dict[str, jax.Array]) -> None:
        """Takes the losses of one dispatch and waits for those `CALLS_IN_FLIGHT` before."""
        self._pending.append((first_step, losses))
        while len(self._pending) > CALLS_IN_FLIGHT:
            self._check(*self._pending.pop(0))

    def check_finite(self) -> None:
        """Waits for all losses; raises FloatingPointError naming the first step that failed."""
        while self._pending:
            self._check(*self._pending.pop(0))

    def _check(self, first_step, losses):
        for name, values in jax.device_get(losses).items():
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                raise FloatingPointError(
                    f"loss {name} is {values[bad[0]]} at step {first_step + bad[0] + 1}. The "
                    "checkpoints before it are whole; lower config.optim.learning_rate, or check "
                    "the images, and run again"
                )
            self._checked.setdefault(name, []).append(values)

    def write(self, step: int) -> None:
        """Means of the losses since the last line, and the speed."""
        self.check_finite()
        losses = {name: float(np.concatenate(v).mean()) for name, v in self._checked.items()}
        self._checked = {}
        rates = self._progress.rates(step)
        print(self._progress.line(step, rates, losses), flush=True)
        rows = {f"train/{name}": value for name, value in losses.items()}
        self._events.scalars(step, rows | {f"speed/{k}": v for k, v in rates.items()})
        self._history.append(step, rows)

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        """The metrics of one validation."""
        line = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        print(f"step {step}  validation  {line}", flush=True)
        rows = {f"val/{name}": value for name, value in metrics.items()}
        self._events.scalars(step, rows)
        self._history.append(step, rows)


class _Timed:
    """Context that gives its duration in seconds to a function."""

    def __init__(self, receive: Callable[[float], None]):
        self._receive = receive

    def __enter__(self):
        self._began = time.perf_counter()

    def __exit__(self, *_):
        self._receive(time.perf_counter() - self._began)


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
    create_state = functools.partial(METHODS[config.method].create_state, config)
    target = jax.eval_shape(create_state, jax.random.key(config.seed))
    if saver.latest is not None:
        place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
        state = saver.restore(jax.tree.map(place, target), saver.latest)
        print(f"resumed from step {saver.latest} of {saver.folder}", flush=True)
        return state
    checkpoints.check_space(saver.folder, target)
    # From host copies: placing a device array can alias it, and donation would delete it.
    state = jax.device_get(jax.jit(create_state)(jax.random.key(config.seed)))
    if config.init_from:
        state = weights.initialize(config, state)
    return jax.device_put(state, sharding)


def _after_validation(config, state, metrics, sharding) -> TrainState:
    """Lets the plateau policy see the validation metric (always as lower is better)."""
    if config.optim.policy != "plateau":
        return state
    name = config.train.best_metric
    metric = -metrics[name] if HIGHER_IS_BETTER[name] else metrics[name]
    return state.replace(
        plateau=jax.device_put(state.plateau.update(config.optim, metric), sharding)
    )
