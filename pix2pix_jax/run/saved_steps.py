"""The checkpoints of a run to read: which it has, and trained networks out of one."""

import pathlib
from typing import Any

from pix2pix_jax.methods import average
from pix2pix_jax.metrics.registry import HIGHER_IS_BETTER
from pix2pix_jax.run.run_folder import CHECKPOINTS, Path, RunFolder
from pix2pix_jax.run.saved_state import (
    DamagedCheckpoint,
    averaged_networks,
    read_metrics,
    restore,
)


def saved_steps(workdir: Path) -> list[int]:
    """Steps of the checkpoints of a run, the newest last."""
    return sorted(int(path.name) for path in _folder(workdir).glob("*") if path.name.isdigit())


def newest_step(workdir: Path) -> int | None:
    """Step of the newest checkpoint of a run; None when it has none."""
    return max(saved_steps(workdir), default=None)


def best_step(workdir: Path, metric: str) -> int | None:
    """Step of the best checkpoint of a run by `metric`; the newest when none has been validated.

    Raises:
        ValueError: the validations did not measure `metric`.
    """
    found = {step: read_metrics(_folder(workdir) / str(step)) for step in saved_steps(workdir)}
    measured = {step: metrics for step, metrics in found.items() if metrics}
    if not measured:
        return newest_step(workdir)
    ranked = {step: values[metric] for step, values in measured.items() if metric in values}
    if not ranked:
        names = sorted(set(HIGHER_IS_BETTER).intersection(*measured.values()))
        raise ValueError(
            f"config.train.best_metric is {metric}, which the validations of {workdir} did not "
            f"measure: set it to one of {', '.join(names)}, or config.eval.checkpoint to latest"
        )
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    return max(ranked, key=lambda step: (sign * ranked[step], step))


def find_step(workdir: Path, which: str | int, metric: str) -> int:
    """Step of the checkpoint called best (by `metric`), latest or by its number.

    Raises:
        FileNotFoundError: there is none.
        ValueError: as `best_step` does.
    """
    steps = saved_steps(workdir)
    if not steps:
        raise FileNotFoundError(
            f"no checkpoint in {_folder(workdir)}: train first, or give --workdir the folder of a "
            "finished run"
        )
    if which in ("best", "latest"):
        return best_step(workdir, metric) if which == "best" else steps[-1]
    if str(which).isdigit() and int(which) in steps:
        return int(which)
    raise FileNotFoundError(
        f"no checkpoint {which!r} in {_folder(workdir)}: there are best, latest, "
        + ", ".join(map(str, steps))
    )


def restore_variables(
    run: RunFolder, step: int, target: dict[str, Any], use_average: bool
) -> tuple[dict[str, Any], bool]:
    """Parameters and batch statistics of some networks, without their optimizers' states.

    Args:
        run: its folder.
        step: of a checkpoint in it.
        target: {name: {"params": ..., "batch_stats": ...}} in abstract form, with shardings.
        use_average: whether parameters are their averages, of networks that have one.

    Returns:
        the variables, and whether there were averages among them.

    Raises:
        DamagedCheckpoint: its files are not as they were saved.
        ValueError: its arrays have other shapes.
    """
    run.fetch(step)
    folder = _folder(run.folder) / str(step)
    try:
        averaged = averaged_networks(folder) & target.keys() if use_average else set()
        tree: dict[str, Any] = {"networks": target}
        if averaged:
            tree[average.NAME] = {name: target[name]["params"] for name in averaged}
        found = restore(folder, tree, partial=True)
    except DamagedCheckpoint as error:
        others = [str(other) for other in saved_steps(run.folder) if other != step]
        hint = f": choose another with config.eval.checkpoint ({', '.join(others)})"
        raise DamagedCheckpoint(
            f"{error}{hint if others else ', and there is no other'}"
        ) from error
    variables = found["networks"]
    for name in averaged:
        variables[name]["params"] = found[average.NAME][name]
    return variables, bool(averaged)


def _folder(workdir):
    return pathlib.Path(workdir).absolute() / CHECKPOINTS
