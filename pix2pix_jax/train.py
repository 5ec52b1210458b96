"""The training loop of every method: resumes, reports, validates, saves."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from clu import parameter_overview

from pix2pix_jax import training_plan
from pix2pix_jax.data.prefetch import prefetched
from pix2pix_jax.dispatch import make_run_steps, shardings, spans
from pix2pix_jax.evaluation.validator import Validator
from pix2pix_jax.methods.optim import learning_rate
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.methods.state import TrainState, epoch_of
from pix2pix_jax.metrics.registry import HIGHER_IS_BETTER
from pix2pix_jax.report.curves import loss_curves
from pix2pix_jax.run import checkpoints, checks, compiling, config_file
from pix2pix_jax.run.event_writer import EventWriter
from pix2pix_jax.run.history import History
from pix2pix_jax.run.progress import Stopwatch
from pix2pix_jax.run.reporter import Reporter
from pix2pix_jax.run.run_folder import open_run
from pix2pix_jax.run.stopping import StopRequest
from pix2pix_jax.runtime import console, host_memory, processes
from pix2pix_jax.runtime.counter import duration
from pix2pix_jax.runtime.storage import shown


def train(config: Any, workdir: str) -> dict[str, float]:
    """Trains `config` in `workdir`, from its newest checkpoint if it has one.

    Args:
        config: the whole config.
        workdir: a folder, or the address of one in object storage.

    Returns:
        The last validation's metrics, by name; empty if there was nothing left to train.

    Raises:
        ValueError, OSError: bad config or data, a workdir that is in use or damaged; one sentence
            saying how to fix it.
        FloatingPointError: a loss stopped being finite; the checkpoints before it stay.
    """
    with (
        console.opened() as output,
        open_run(workdir) as run,
        run.lock(wanted=processes.is_first()) as lock,
    ):
        run.pull()
        plan = training_plan.make_plan(config, run)
        first_state = training_plan.first_state(plan)
        lock.take()
        processes.check_shared(run, workdir)
        saver = checkpoints.Checkpoints(
            run,
            config.train.keep_last,
            config.train.best_metric,
            on_commit=functools.partial(config_file.write_config, run.folder, config),
        )
        start, first_state = _resumed(plan, saver) or (0, first_state)
        if start == plan.total_steps:
            print(
                f"the run in {workdir} is finished: all {plan.total_steps} steps are trained; "
                f"raise config.{checks.length_field(config)} to train on",
                flush=True,
            )
            return {}
        _print_first_lines(plan, start)
        return _run(plan, saver, start, first_state, output)


def _resumed(plan, saver) -> tuple[int, Callable[[], TrainState]] | None:
    """Step of the newest checkpoint that is whole, and its state; None if there is none."""
    state = saver.restore_newest(plan.abstract)
    step = -1 if state is None else int(state.step)
    processes.check_same("checkpoint's step", step)
    checks.check_length(plan.config, plan.run.folder, step, plan.total_steps)
    if 0 <= step < plan.total_steps:
        print(f"resumed from step {step} of {shown(saver.folder)}", flush=True)
    return None if state is None else (step, training_plan.once(state))


def _print_first_lines(plan, start):
    for name, network in plan.abstract.networks.items():
        print(f"{name}: {parameter_overview.count_parameters(network.params):,} parameters")
    print(
        f"{plan.config.name}: {len(plan.examples)} training examples, {len(plan.validation)} for "
        f"validation, steps {start} to {plan.total_steps}, {plan.mesh.size} "
        f"{jax.default_backend()} device(s), in {shown(plan.run.folder)}",
        flush=True,
    )


def _run(plan, saver, start, first_state, output) -> dict[str, float]:
    """Trains from step `start` until the end, or until the run is stopped.

    `first_state` gives the state at `start`. Returns the last metrics.
    """
    with (
        plan.run.publishing(),
        processes.folder_to_write(plan.run.folder) as folder,
        output.logging_to(folder / "log.txt"),
        History(folder / "metrics.jsonl", resume_step=start) as history,
        saver,
        StopRequest() as stop,
        EventWriter(folder, resume_step=start) as events,
    ):
        if start == 0 and processes.is_first():  # else with the first checkpoint of this config
            config_file.write_config(plan.run.folder, plan.config)
        loop = _Loop(plan, saver, start, first_state, folder, stop, events, history)
        loop.run()
        loop.finish()
    return loop.metrics


class _Loop:
    """Dispatches steps, and does what falls due between them."""

    def __init__(self, plan, saver, start, first_state, folder, stop, events, history):
        config, examples = plan.config, plan.examples
        self._config, self._total, self._start = config, plan.total_steps, start
        self._folder, self._saver, self._stop = folder, saver, stop
        self._events, self._history = events, history
        self._whole, self._split = shardings(plan.mesh)
        run_steps = make_run_steps(config, examples, plan.mesh)
        self._run_steps = compiling.Programs(config, run_steps, len(examples), plan.program)
        self._cache = processes.place(examples.cache, self._whole)
        self._chunks = prefetched(
            examples,
            spans(config, start, self._total),
            config.train.batch_size,
            config.data.prefetch_mb,
            self._split,
            (jax.process_index(), jax.process_count()),
        )
        events.text("config", f"```\n{config}\n```")
        self._validate = Validator(config, plan.validation, folder / "samples")
        self._num_examples = len(examples)
        saved = saver.custom(start)
        _compare_examples(saved.get("examples"), self._num_examples)
        sums = saved.get("losses")
        self._report = Reporter(config, events, history, self._total, len(examples), start, sums)
        self._stopwatch = Stopwatch(folder / "seconds.txt", fresh=start == 0)
        self._state, self._first_state, self._abstract = None, first_state, plan.abstract
        self.step = start
        self.metrics: dict[str, float] = {}  # of the last validation
        self._validated: int | None = None  # its step

    def run(self) -> None:
        """Trains until the last step, or until the run is asked to stop."""
        while self.step < self._total and not self._stopping():
            self._dispatch()
            host_memory.release_beyond()
            if self._due("log_every"):
                self._report.write(self.step, self._learning_rate())
            with self._report.pausing():
                if self._due("sample_every"):
                    self._sample()
                if self._due("eval_every"):
                    self._evaluate()
                best = self._validated == self.step and self._saver.is_best(self.metrics)
                if best or self._due("checkpoint_every"):
                    self._save()

    def finish(self) -> None:
        """Saves where the loop was stopped, and waits until all is on disk."""
        console.clear_bar()
        if self.step > self._start:
            self._save()  # unless it is saved already
            steps = self.step - self._start
            trained = f"trained {steps} step{'s' * (steps != 1)}"
            print(f"{trained} in {duration(self._stopwatch.seconds)}", flush=True)
        self._saver.wait()
        if self.step < self._total:
            where = f"stopped and saved at step {self.step}" if self.step else "stopped at step 0"
            print(f"{where}; run the same command to go on")
        if curves := self._history.curves():
            distance = METHODS[self._config.method].distance(self._config)
            loss_curves(self._folder / "losses.png", curves, self._config.name, distance)

    def _stopping(self):
        """Whether to stop here: several processes do so at the step they agreed on."""
        return self._report.stop_agreed if jax.process_count() > 1 else self._stop.requested

    def _due(self, field):
        """Whether config.train.<field> falls on this step, as all do on the last one."""
        interval = self._config.train[field]
        return self.step == self._total or (interval > 0 and self.step % interval == 0)

    def _dispatch(self):
        with self._report.waiting():
            steps, chunk = next(self._chunks)
            flags = processes.flags(self._stop.requested, len(steps), self._split)
        if self._state is None:  # networks are drawn while their step is compiled
            if not self._run_steps.is_loading:  # and placed while it is loaded
                self._run_steps.compiled(self._abstract, self._cache, chunk, flags)
            self._state = processes.place(self._first_state(), self._whole, donated=True)
        self._state, losses = self._run_steps(self._state, self._cache, chunk, flags)
        self._report.add(self.step, losses)
        self.step = steps.stop

    def _learning_rate(self):
        """That of the last step."""
        config = self._config
        epoch = epoch_of(self.step - 1, config.train.batch_size, self._num_examples)
        scale = processes.local(self._state.plateau.scale)
        return float(learning_rate(config.optim, epoch) * scale)

    def _sample(self):
        for name, grid in self._validate.samples(self._state, self.step).items():
            self._events.image(self.step, name, grid)

    def _evaluate(self):
        self.metrics = processes.from_first(self._validate.metrics(self._state))
        self._validated = self.step
        self._state = _after_validation(self._config, self._state, self.metrics, self._whole)
        self._report.validation(self.step, self.metrics)

    def _save(self):
        self._report.check_finite()
        metrics = self.metrics if self._validated == self.step else None
        custom = {"losses": self._report.sums, "examples": self._num_examples}
        self._saver.save(self._state, metrics, custom=custom)
        self._stopwatch.write()


def _compare_examples(before, now):
    """Prints a line if a resumed run has more or fewer examples than it had (None: not known)."""
    if before not in (None, now):
        print(
            f"there were {before} training examples, and are now {now}: from here on the run is "
            "not the one that it would have been",
            flush=True,
        )


def _after_validation(config, state, metrics, sharding) -> TrainState:
    """Lets the plateau policy see the validation metric."""
    if config.optim.policy != "plateau":
        return state
    name = config.train.best_metric
    plateau = processes.local(state.plateau)
    plateau = plateau.update(config.optim, metrics[name], HIGHER_IS_BETTER[name])
    return state.replace(plateau=processes.place(jax.device_get(plateau), sharding))
