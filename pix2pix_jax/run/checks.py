"""Checks before a training begins, beside those of the config alone."""

import pathlib
from typing import Any

from pix2pix_jax.methods.optim import last_epoch
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.methods.state import epoch_of
from pix2pix_jax.metrics.registry import FURTHER, available
from pix2pix_jax.run import config_file
from pix2pix_jax.run.history import read_rows
from pix2pix_jax.run.lock import not_writable
from pix2pix_jax.run.run_folder import CHECKPOINTS
from pix2pix_jax.runtime import storage


def check_writable(workdir: pathlib.Path) -> None:
    """Raises OSError if `workdir` cannot be written or created. Creates nothing."""
    try:
        storage.try_writing(workdir)
    except OSError as error:
        raise OSError(not_writable(workdir, error)) from error


def check_history(workdir: pathlib.Path) -> None:
    """Raises ValueError if the checkpoints of a run that has trained further are gone.

    A new run in its place would begin its history anew.
    """
    stored, rows = config_file.read_config(workdir), read_rows(workdir / "metrics.jsonl")
    if not stored or not rows:
        return
    last, interval = rows[-1]["step"], stored["train"]["checkpoint_every"]
    if interval and last >= 2 * interval:  # a kill may have lost one that was being saved
        raise ValueError(
            f"{workdir} has the history of {last} steps, and no checkpoint any more: put its "
            f"folder {CHECKPOINTS} back, or choose another --workdir; to begin anew here, remove "
            f"{workdir / 'metrics.jsonl'}"
        )


def check_best_metric(config: Any, validation: Any) -> None:
    """Raises ValueError if no validation of these examples measures config.train.best_metric."""
    best = config.train.best_metric
    names = measured(config, validation)
    for metric, values in FURTHER.items():
        if best in values and best not in names:
            raise ValueError(
                f"config.train.best_metric is {best}, which validations measure only with {metric} "
                f"in config.eval.set_metrics: set that to {(*config.eval.set_metrics, metric)}"
            )
    if best not in names:
        why = "" if validation.paired else " (its images have no true translations)"
        raise ValueError(
            f"config.train.best_metric is {best}, which cannot be measured on the validation split "
            f"{config.data.eval_split!r}{why}: choose {' or '.join(names)}"
        )


def measured(config: Any, validation: Any) -> tuple[str, ...]:
    """Names of the metrics that a validation on some examples gives."""
    method = METHODS[config.method]
    inverse = any(direction.inverse for direction in method.directions(config))
    return available(validation.paired, inverse, method.has_holes, config.eval.set_metrics)


def check_length(config: Any, workdir: pathlib.Path, start: int, total_steps: int) -> None:
    """Raises ValueError if more steps have been trained than are asked for."""
    if start > total_steps:
        raise ValueError(
            f"the run in {workdir} has trained {start} steps, and the config asks for "
            f"{total_steps}: raise config.{length_field(config)}, or choose another --workdir"
        )


def length_field(config: Any) -> str:
    """The field that says how long a run is."""
    return "train.num_steps" if config.train.num_steps else "optim.epochs"


def check_schedule(config: Any, num_examples: int, total_steps: int) -> None:
    """Raises ValueError if a linear decay ends before the last step: below 0 Adam would climb."""
    optim, batch_size = config.optim, config.train.batch_size
    end = optim.epoch_count + epoch_of(total_steps - 1, batch_size, num_examples)
    last = last_epoch(optim)
    if last is not None and end > last:
        raise ValueError(
            f"config.train.num_steps is {total_steps}, which end in epoch {end}, and with "
            f"config.optim.policy={optim.policy} the learning rate is 0 after epoch {last}: raise "
            "config.optim.epochs or config.optim.epochs_decay, or set config.optim.policy=constant"
        )
