"""The config of a run, workdir/config.json: what its checkpoints were trained with."""

import json
import os
import pathlib
from typing import Any

import ml_collections

from pix2pix_jax.runtime.whole_file import whole_file

Path = str | os.PathLike[str]
CONFIG_FILE = "config.json"
# What the generators depend on, and what else the shapes of the whole state do.
NETWORK_FIELDS = ("method", "model", "data.input_channels", "data.output_channels")
STATE_FIELDS = (*NETWORK_FIELDS, "loss.lambda_gan", "loss.conditional", "loss.pool_size")
FREE_FIELDS = ("model.dtype", "model.sync_batch_norm", "model.remat")  # of `model`, but no shapes


def write_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Writes the whole config beside the checkpoints, atomically."""
    with whole_file(pathlib.Path(workdir) / CONFIG_FILE) as temporary:
        temporary.write_text(config.to_json_best_effort(indent=2, sort_keys=True) + "\n")


def read_config(workdir: Path) -> dict[str, Any] | None:
    """The config in `workdir`, as nested dicts; None when the folder has none."""
    path = pathlib.Path(workdir) / CONFIG_FILE
    return json.loads(path.read_text()) if path.exists() else None


def check_same_network(
    workdir: Path, config: ml_collections.ConfigDict, fields: tuple[str, ...]
) -> list[str]:
    """Compares `config` with the one in `workdir`.

    Args:
        workdir: of a run; it need not have a config.
        config: what is asked for.
        fields: those (and those below them) that must agree: NETWORK_FIELDS or STATE_FIELDS.

    Returns:
        a line for each other field that has changed.

    Raises:
        ValueError: they describe different networks, so the checkpoint cannot be restored.
    """
    stored = read_config(workdir)
    if stored is None:
        return []
    old, new = flatten(stored), flatten(json.loads(config.to_json_best_effort()))
    # A field that the run did not know yet has the default that stands for how it was before.
    changed = [key for key in sorted(old.keys() & new.keys()) if old[key] != new[key]]
    wrong = [key for key in changed if key.startswith(fields) and key not in FREE_FIELDS]
    wrong = [k for k in wrong if k != "loss.lambda_gan" or bool(old[k]) != bool(new[k])]
    if wrong:
        raise ValueError(
            f"the checkpoints in {workdir} are of another network: "
            + ", ".join(f"{key} is {old[key]} there, {new[key]} here" for key in wrong)
            + ". Set these fields as they are there, or choose another --workdir"
        )
    return [f"config.{key} was {old[key]}, is now {new[key]}" for key in changed]


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"model": {"ngf": 64}} -> {"model.ngf": 64}."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
