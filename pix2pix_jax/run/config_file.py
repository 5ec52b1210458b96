"""The config of a run, workdir/config.json: what its checkpoints were trained with."""

import functools
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any, Literal

import ml_collections
from flax import traverse_util

from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime.whole_file import whole_file

Path = str | os.PathLike[str]
CONFIG_FILE = "config.json"
MAX_CONFIG_BYTES = 2**20
NETWORK_FIELDS = (
    "method",
    "model",
    "data.input_channels",
    "data.output_channels",
    "data.labels",
    "data.num_classes",
)
DATA_FIELDS = (  # what the examples are
    "data.name",
    "data.dir",
    "data.direction",
    "data.train_split",
    "data.synthetic_kind",
    "data.value_range",
)
FORMER_FIELDS = ("data.prefetch",)  # of former versions; nothing that was trained depends on them
REMARKS = {  # on fields that have changed
    "init_from": ", which only a new run reads",
    "train.batch_size": ", and epochs count as if all steps so far had had so many images",
}
FREE_FIELDS = ("model.dtype", "model.sync_batch_norm", "model.remat")  # of `model`, but no shapes


def write_config(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Writes the whole config beside the checkpoints, atomically."""
    with whole_file(pathlib.Path(workdir) / CONFIG_FILE) as temporary:
        temporary.write_text(config.to_json_best_effort(indent=2, sort_keys=True) + "\n")


def read_config(workdir: Path) -> dict[str, Any] | None:
    """The config in `workdir`, as nested dicts without `FORMER_FIELDS`; None if it has none.

    Raises:
        ValueError: the file is damaged.
    """
    path = pathlib.Path(workdir) / CONFIG_FILE
    if not path.exists():
        return None
    try:
        config = json.loads(path.read_bytes())
        if not isinstance(config, dict):
            raise ValueError("no JSON object")
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): restore it from a copy, or remove it, and the config "
            "is no longer compared with the one that the checkpoints were trained with"
        ) from error
    fields = traverse_util.flatten_dict(config, sep=".")
    known = {name: value for name, value in fields.items() if name not in FORMER_FIELDS}
    return traverse_util.unflatten_dict(known, sep=".")


def run_config(workdir: pathlib.Path, defaults: Callable[[], Any]) -> Any:
    """The config that a run was trained with; fields that it does not have are those of `defaults`.

    Raises:
        ValueError, OSError, TypeError and others: there is none, or one of another program.
    """
    path = workdir / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{workdir} is no trained run, for it has no {CONFIG_FILE}")
    size = path.stat().st_size
    if size > MAX_CONFIG_BYTES:
        raise ValueError(f"its {CONFIG_FILE} has {size} bytes, too many for a config")
    stored = read_config(workdir)
    if not isinstance(stored, dict) or "method" not in stored:
        raise ValueError(f"its {CONFIG_FILE} is not the config of a run")
    config = defaults()
    with config.unlocked():
        config.update(stored)
    config.init_from = ""
    return config


def check_same_network(
    workdir: Path,
    config: ml_collections.ConfigDict,
    part: Literal["generators", "networks", "state"],
) -> list[str]:
    """Compares `config` with the one in `workdir`.

    Args:
        workdir: of a run; it need not have a config.
        config: what is asked for.
        part: what must agree: the generators alone, all networks, or all that training needs.

    Returns:
        a line for each other field that has changed.

    Raises:
        ValueError: they describe different networks, so the checkpoint cannot be restored; or
            the config in `workdir` is damaged.
    """
    old, new, changed = _compare(workdir, config)
    fields = NETWORK_FIELDS
    if part != "generators":
        fields += METHODS[config.method].network_fields
    if part == "state":
        fields += METHODS[config.method].state_fields(config)
    wrong = [key for key in changed if key.startswith(fields) and key not in FREE_FIELDS]
    wrong = [k for k in wrong if k != "loss.lambda_gan" or bool(old[k]) != bool(new[k])]
    if "method" in wrong:
        wrong = ["method"]  # the others follow from it
    if wrong:
        other = "choose another --workdir" if part == "state" else "give another run"
        raise ValueError(
            f"the checkpoints in {workdir} are of another network: "
            + ", ".join(f"{key} is {old[key]} there, {new[key]} here" for key in wrong)
            + f". Set these fields as they are there, or {other}"
        )
    shown = lambda value: "empty" if value == "" else value
    return [
        f"config.{key} was {shown(old[key])}, is now {shown(new[key])}{REMARKS.get(key, '')}"
        for key in changed
    ]


def check_same_average(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Raises ValueError if `config` or the run in `workdir` averages parameters, and not both."""
    stored = read_config(workdir)
    if stored is None:
        return
    before = stored["optim"].get("ema_images", 0.0)  # former runs have no such field
    if bool(before) != bool(config.optim.ema_images):
        raise ValueError(
            f"config.optim.ema_images was {before} in the run in {workdir}, and is now "
            f"{config.optim.ema_images}: an average of the generators begins and ends with a run. "
            f"Set it as it was; or start from these weights, with config.init_from={workdir} and "
            "another --workdir"
        )


def check_same_plateau(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Raises ValueError if the plateau policy would compare one metric with another's best."""
    old, new, changed = _compare(workdir, config)
    if "train.best_metric" in changed and old["optim.policy"] == new["optim.policy"] == "plateau":
        raise ValueError(
            f"config.train.best_metric was {old['train.best_metric']} in the run in {workdir}, and "
            f"is now {new['train.best_metric']}: config.optim.policy=plateau compares it with the "
            "best so far, so set it as it was, or choose another policy or --workdir"
        )


def check_same_data(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Raises ValueError if the run in `workdir` was trained on other examples than `config` names.

    config.train.allow_other_data permits that.
    """
    if config.train.allow_other_data:
        return
    old, new, changed = _compare(workdir, config)
    wrong = [key for key in changed if key in DATA_FIELDS]
    if "data.dir" in wrong and _same_folder(old["data.dir"], new["data.dir"]):
        wrong.remove("data.dir")
    if wrong:
        raise ValueError(
            f"the run in {workdir} was trained on other data: "
            + ", ".join(f"{key} is {old[key]!r} there, {new[key]!r} here" for key in wrong)
            + f". To fine-tune, give config.init_from={workdir} and another --workdir; to go on "
            "with this run on the other data, set config.train.allow_other_data=True"
        )


def _same_folder(a, b):
    return bool(a) and bool(b) and pathlib.Path(a).resolve() == pathlib.Path(b).resolve()


def _compare(workdir, config):
    """The stored config and `config`, both flat, and the fields in both whose values differ."""
    stored = read_config(workdir)
    flatten = functools.partial(traverse_util.flatten_dict, sep=".")
    old, new = flatten(stored or {}), flatten(json.loads(config.to_json_best_effort()))
    # A field that the run did not know yet has the default that stands for how it was before.
    return old, new, [key for key in sorted(old.keys() & new.keys()) if old[key] != new[key]]
