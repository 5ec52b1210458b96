"""Checkpoints of the whole training state (orbax): workdir/checkpoints/<step>/ holds one state."""

import contextlib
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as preservation

from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics.registry import HIGHER_IS_BETTER
from pix2pix_jax.run import digests
from pix2pix_jax.run.disk_space import free_mb, no_room
from pix2pix_jax.run.run_folder import CHECKPOINTS, Path, RunFolder
from pix2pix_jax.run.saved_state import (
    DamagedCheckpoint,
    alone,
    for_orbax,
    read_custom,
    read_metrics,
    write_custom,
)
from pix2pix_jax.run.saved_state import restore as restore_saved
from pix2pix_jax.run.saved_steps import newest_step, saved_steps
from pix2pix_jax.runtime import processes
from pix2pix_jax.runtime.storage import shown


class Checkpoints:
    """Saves in the background, keeps the newest `keep_last` and the best by `best_metric`.

    A save appears under its final name only when it is whole, so a process killed at any moment
    leaves the checkpoints before it as they were. Those of a run in object storage are written
    on this machine and then copied; a save is done when it is there.
    """

    def __init__(
        self,
        run: Path | RunFolder,
        keep_last: int = 2,
        best_metric: str = "l1",
        on_commit: Callable[[], None] | None = None,
    ):
        """`on_commit` is called, in another thread, when a save is written and about to appear."""
        self._run = run if isinstance(run, RunFolder) else RunFolder(run)
        self.folder = self._run.folder.absolute() / CHECKPOINTS
        self._keep_last, self._best_metric = keep_last, best_metric
        self._on_commit = on_commit
        self._writes = processes.is_first()
        self._saved: int | None = None  # the newest step that this process restored or saved
        self._best: float | None = None  # rank of the best checkpoint; None: not looked for
        self._manager: ocp.CheckpointManager | None = None  # from the first save on
        self._links = contextlib.ExitStack()  # by which it sees the folder
        self._saving: tuple[int, str] | None = None  # a step, and its `custom` as JSON

    def save(
        self,
        state: TrainState,
        metrics: dict[str, float] | None = None,
        custom: dict[str, Any] | None = None,
    ) -> None:
        """Saves `state` under its step, unless this is done; returns once it is off the device.

        Args:
            state: on the device or the host.
            metrics: of its validation, which say what the best checkpoint is.
            custom: more to keep with it, as JSON; see `custom`.

        Raises:
            OSError: this save or the one before could not be written (a full disk, say).
            FloatingPointError: a parameter or statistic is not finite.
        """
        step = int(state.step)
        if step == self._saved:
            return
        # No copies: as long as these arrays live, JAX does not give their buffers to the next
        # step, and orbax has copied them when `save` returns.
        state = jax.tree.map(np.asarray, state)
        for path, array in jax.tree.leaves_with_path(state.networks):
            if not np.isfinite(array).all():
                raise FloatingPointError(
                    f"{jax.tree_util.keystr(path)} is not finite at step {step}; nothing was saved "
                    "and the checkpoints before it are whole: lower config.optim.learning_rate"
                )
        if not self._writes:
            return

        text = json.dumps(custom or {})  # now: it may change while the files are written

        def save():
            manager = self._open_manager()
            manager.wait_until_finished()
            self._saving = step, text
            args = ocp.args.StandardSave(state.to_tree())
            manager.save(step, args=args, metrics=metrics, force=True)

        self._guard(save)
        self._saved = step
        if metrics:
            self._best = max(self._best_so_far(), self._rank_of(metrics))

    def is_best(self, metrics: dict[str, float]) -> bool:
        """Whether a checkpoint with these metrics would be the best of all by `best_metric`."""
        return self._rank_of(metrics) > self._best_so_far()

    def _rank_of(self, metrics):
        """The metric by which checkpoints are compared, as a number that is better higher."""
        value = metrics.get(self._best_metric, math.nan)
        rank = value if HIGHER_IS_BETTER[self._best_metric] else -value
        return -math.inf if math.isnan(rank) else rank

    def _best_so_far(self):
        if self._best is None:
            newest = math.inf if self._saved is None else self._saved  # later ones are damaged
            steps = [step for step in saved_steps(self._run.folder) if step <= newest]
            found = (read_metrics(self.folder / str(step)) for step in steps)
            self._best = max((self._rank_of(m) for m in found if m), default=-math.inf)
        return self._best

    def wait(self) -> None:
        """Waits until the last save is on disk. Raises OSError as `save` does."""
        if self._manager is not None:
            self._guard(self._manager.wait_until_finished)
            self._run.prune()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        if self._manager is not None:
            with self._links:
                self._manager.close()

    def _open_manager(self):
        if self._manager is not None:
            return self._manager
        self.folder.mkdir(parents=True, exist_ok=True)
        # What orbax would trip over, or take for newer than what is saved now.
        for step in saved_steps(self._run.folder):
            newer = self._saved is not None and step > self._saved
            if newer or read_metrics(self.folder / str(step)) is None:
                self._set_aside(step)
        policy = preservation.AnyPreservationPolicy(
            [
                preservation.LatestN(self._keep_last),
                preservation.BestN(
                    get_metric_fn=self._rank_of,
                    reverse=False,
                    n=1,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            best_fn=self._rank_of,
            best_mode="max",
            preservation_policy=policy,
            create=False,  # ourselves: orbax would not with `active_processes`
            cleanup_tmp_directories=True,  # what a killed process left of a save
            async_options=ocp.AsyncOptions(post_finalization_callback=self._before_commit),
            multiprocessing_options=alone(),
        )
        seen = self._links.enter_context(for_orbax(self.folder))
        self._manager = ocp.CheckpointManager(seen, options=options)
        return self._manager

    def _before_commit(self):
        """In orbax's thread, when all files are written and the folder has no final name yet."""
        step, text = self._saving
        (folder,) = self.folder.glob(f"{step}.orbax-checkpoint-tmp*")
        write_custom(folder, text)
        digests.write_digests(folder)
        if self._on_commit is not None:
            self._on_commit()
        self._run.push_checkpoint(step, folder)

    def _set_aside(self, step):
        """Keeps a damaged checkpoint under another name."""
        name = next(
            name
            for name in (f"{step}.damaged{suffix}" for suffix in ("", *range(2, 10_000)))
            if not (self.folder / name).exists()
        )
        self._run.set_aside(step, name)
        print(f"the damaged checkpoint {shown(self.folder / str(step))} is now {name}", flush=True)

    def _guard(self, action):
        try:
            return action()
        except (OSError, ValueError, RuntimeError) as error:
            free = free_mb(self.folder)
            kept = newest_step(self._run.folder)
            raise OSError(
                f"no checkpoint could be written to {self.folder} ({free:.0f} MiB free): {error}. "
                + ("None was saved before" if kept is None else f"The one at step {kept} is whole")
                + ("; make room and" if no_room(error) or free < 1 else ";")
                + " run the same command to go on"
            ) from error

    def restore(self, target: TrainState, step: int) -> TrainState:
        """The state saved at `step`, of the shapes of `target` (abstract), as host arrays.

        Raises:
            DamagedCheckpoint: its files are not as they were saved.
            ValueError: it has other arrays than `target`.
        """
        self._run.fetch(step)
        tree = restore_saved(self.folder / str(step), target.to_tree())
        self._saved = step
        return TrainState.from_tree(tree)

    def restore_newest(self, target: TrainState) -> TrainState | None:
        """The newest state that is not damaged; None if there are no checkpoints.

        Prints a line for each damaged one, which stays as it is until the next save.

        Raises:
            DamagedCheckpoint: all are.
            ValueError: it has other arrays than `target`.
        """
        steps = saved_steps(self._run.folder)[::-1]
        for step, before in itertools.zip_longest(steps, steps[1:]):
            try:
                return self.restore(target, step)
            except DamagedCheckpoint as error:
                if before is None:
                    raise DamagedCheckpoint(
                        f"{error}; there is none before it: remove it to begin at step 0, or "
                        "choose another --workdir"
                    ) from error
                print(shown(f"{error}; going back to step {before}"), flush=True)
        return None

    def custom(self, step: int) -> dict[str, Any]:
        """What `save` was given as `custom` at this step."""
        return read_custom(self.folder / str(step))
