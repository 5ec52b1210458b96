"""Checkpoints of the whole training state (orbax): workdir/checkpoints/<step>/ holds one state."""

import os
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as preservation

from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics.registry import HIGHER_IS_BETTER
from pix2pix_jax.runtime import processes

Path = str | os.PathLike[str]


def _alone() -> ocp.options.MultiprocessingOptions:
    """Every process acts for itself: orbax waits for no other."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}"
    )


class Checkpoints:
    """Saves in the background, keeps the newest `keep_last` and the best by `best_metric`.

    A save appears under its final name only when it is whole, so a process killed at any moment
    leaves the checkpoints before it as they were.
    """

    def __init__(
        self, workdir: Path, keep_last: int = 2, best_metric: str = "l1", create: bool = True
    ):
        self.folder = pathlib.Path(workdir).absolute() / "checkpoints"
        higher_is_better = HIGHER_IS_BETTER[best_metric]

        def best(metrics: dict[str, float]) -> float:
            return metrics[best_metric]

        policy = preservation.AnyPreservationPolicy(
            [
                preservation.LatestN(keep_last),
                preservation.BestN(
                    get_metric_fn=best,
                    reverse=not higher_is_better,
                    n=1,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        self._writes = processes.is_first()
        if create:  # ourselves: orbax would not with `active_processes`
            self.folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(
            best_fn=best,
            best_mode="max" if higher_is_better else "min",
            preservation_policy=policy,
            create=False,
            read_only=not self._writes,
            multiprocessing_options=_alone(),
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, state: TrainState, metrics: dict[str, float] | None = None) -> None:
        """Saves `state` under its step; returns once it is copied off the device.

        Raises:
            OSError: this save or the one before could not be written (a full disk, say).
            FloatingPointError: a parameter or statistic is not finite.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return  # a finished run that was started again
        # A copy of our own: the next step donates, and so overwrites, the device's buffers.
        state = jax.tree.map(lambda x: np.array(x, copy=True), state)
        for path, array in jax.tree.leaves_with_path(state.networks):
            if not np.isfinite(array).all():
                raise FloatingPointError(
                    f"{jax.tree_util.keystr(path)} is not finite at step {step}; nothing was saved "
                    "and the checkpoints before it are whole: lower config.optim.learning_rate"
                )
        if not self._writes:
            return
        self._guard(
            lambda: self._manager.save(
                step, args=ocp.args.StandardSave(state.to_tree()), metrics=metrics
            )
        )

    def wait(self) -> None:
        """Waits until the last save is on disk. Raises OSError as `save` does."""
        self._guard(self._manager.wait_until_finished)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def _guard(self, action):
        try:
            return action()
        except Exception as error:
            free = shutil.disk_usage(self.folder).free / 2**20
            kept = self.latest
            raise OSError(
                f"no checkpoint could be written to {self.folder} ({free:.0f} MiB free): {error}. "
                + (f"The one at step {kept} is whole" if kept else "None was saved before")
                + "; make room and run the same command to go on"
            ) from error

    @property
    def latest(self) -> int | None:
        """Step of the newest checkpoint on disk."""
        return newest_step(self.folder.parent)

    @property
    def best(self) -> int | None:
        """Step of the best checkpoint; the newest when none has been validated."""
        step = self._manager.best_step()
        return self.latest if step is None else step

    def find(self, which: str | int) -> int:
        """Step of the checkpoint called best, latest or by its number.

        Raises:
            FileNotFoundError: there is none.
        """
        steps = _saved_steps(self.folder)
        if not steps:
            raise FileNotFoundError(
                f"no checkpoint in {self.folder}: train first, or give --workdir the folder of a "
                "finished run"
            )
        if which in ("best", "latest"):
            return self.best if which == "best" else self.latest
        if str(which).isdigit() and int(which) in steps:
            return int(which)
        raise FileNotFoundError(
            f"no checkpoint {which!r} in {self.folder}: there are best, latest, "
            + ", ".join(map(str, steps))
        )

    def restore(self, target: TrainState, step: int) -> TrainState:
        """The state saved at `step`, of the shapes of `target` (abstract), as host arrays."""
        target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), target.to_tree())
        return TrainState.from_tree(
            self._manager.restore(step, args=ocp.args.StandardRestore(target))
        )


def restore_variables(workdir: Path, step: int, target: dict[str, Any]) -> dict[str, Any]:
    """Parameters and batch statistics of some networks, without their optimizers' states.

    Args:
        workdir: the run's folder.
        step: of a checkpoint in it.
        target: {name: {"params": ..., "batch_stats": ...}} in abstract form, with shardings.
    """
    folder = pathlib.Path(workdir).absolute() / "checkpoints"
    item = {"networks": target}
    args = ocp.args.PyTreeRestore(
        item,
        partial_restore=True,
        restore_args=ocp.checkpoint_utils.construct_restore_args(item),
    )
    options = ocp.CheckpointManagerOptions(read_only=True, multiprocessing_options=_alone())
    with ocp.CheckpointManager(folder, options=options) as manager:
        return manager.restore(step, args=args)["networks"]


def newest_step(workdir: Path) -> int | None:
    """Step of the newest checkpoint of a run; None when it has none."""
    return max(_saved_steps(pathlib.Path(workdir) / "checkpoints"), default=None)


def _saved_steps(folder: pathlib.Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())


def check_space(workdir: Path, state: Any) -> None:
    """Raises OSError when the disk cannot hold two more checkpoints of `state`."""
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    free = shutil.disk_usage(workdir).free
    if free < 2 * size:
        raise OSError(
            f"{workdir} has {free / 2**20:.0f} MiB free, and a checkpoint of this network takes "
            f"{size / 2**20:.0f}: make room for two, or choose another --workdir"
        )
