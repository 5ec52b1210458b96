"""Reads the folder of one checkpoint, after a check of its files and of the arrays in it.

A folder <step>/ has the state in default/ and the metrics of its validation in metrics/metrics,
both as orbax writes them; besides, what else belongs to the step in custom.json, and digests.json.
Checkpoints of former versions have neither, and restore without a check of their files.
"""

import contextlib
import json
import pathlib
import re
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from pix2pix_jax.methods import average
from pix2pix_jax.run import digests

STATE, METRICS, CUSTOM = "default", "metrics/metrics", "custom.json"
# What the shapes of an array's part of the state depend on.
FIELDS = {
    "pools": "config.data.crop_size, config.loss.pool_size or the channels of config.data",
    "networks": "a field of config.model or the channels of config.data",
    "ema": "config.optim.ema_images",
}


class DamagedCheckpoint(OSError):
    """A checkpoint whose files are not as they were saved."""


def alone() -> ocp.options.MultiprocessingOptions:
    """Every process acts for itself: orbax waits for no other."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}"
    )


@contextlib.contextmanager
def for_orbax(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """`folder`, or a link to it where its path has what orbax does not take as it is.

    Orbax looks for parts of a save by a pattern that begins with the path, and finds nothing in
    run[1]: such a checkpoint has no arrays. To tensorstore a backslash is a slash.
    """
    if not re.search(r"[*?\[\\]", str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        link = pathlib.Path(scratch) / "link"
        link.symlink_to(folder.absolute())
        yield link


def restore(folder: pathlib.Path, target: Any, partial: bool = False) -> Any:
    """The state in `folder`, which is named by its step.

    Args:
        folder: absolute path.
        target: abstract tree. With `partial` some of the arrays, with shardings, that is how
            they come back; else all of them, which come back as numpy arrays.
        partial: whether the checkpoint may have more.

    Raises:
        DamagedCheckpoint: its files are not as they were saved.
        ValueError: its arrays have other names, shapes or dtypes.
    """
    damage = digests.find_damage(folder)
    if not damage and not (folder / STATE / "_METADATA").is_file():
        damage = "its files are missing"
    if damage:
        raise _damaged(folder, damage)
    check_arrays(folder, target, partial)
    if not partial:
        target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), target)
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone())
    args = ocp.args.PyTreeRestore(
        target,
        # The arrays are compared above; former versions also saved parts that have none.
        partial_restore=True,
        restore_args=ocp.checkpoint_utils.construct_restore_args(target),
    )
    with (
        ocp.Checkpointer(handler, multiprocessing_options=alone()) as checkpointer,
        for_orbax(folder) as path,
    ):
        try:
            return checkpointer.restore(path / STATE, args=args)
        except PermissionError:
            raise
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(folder, _first_line(error)) from error


def check_arrays(folder: pathlib.Path, target: Any, partial: bool = False) -> None:
    """Compares the arrays that the checkpoint in `folder` says it has with those of `target`.

    Raises:
        DamagedCheckpoint: it does not say so in a way that can be read.
        ValueError: they differ; the message names the first one.
    """
    saved, wanted = _saved_arrays(folder), _arrays(target)
    names = wanted if partial else sorted(saved.keys() | wanted.keys())
    wrong = [name for name in names if saved.get(name) != wanted.get(name)]
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"the checkpoint {folder} has other arrays than the config asks for: {name} is "
            f"{_describe(saved.get(name))} there, {_describe(wanted.get(name))} here "
            f"({len(wrong)} of {len(wanted)} differ). Set "
            f"{FIELDS.get(name.split('.')[0], 'the config')} as it was, or choose another --workdir"
        )


def read_metrics(folder: pathlib.Path) -> dict[str, float] | None:
    """Metrics of the validation of a checkpoint: none if there was none, None if damaged."""
    try:
        metrics = json.loads((folder / METRICS).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    return metrics if isinstance(metrics, dict) else None


def read_custom(folder: pathlib.Path) -> dict[str, Any]:
    """What `write_custom` wrote; nothing without its file."""
    path = folder / CUSTOM
    return json.loads(path.read_bytes()) if path.exists() else {}


def write_custom(folder: pathlib.Path, text: str) -> None:
    """Writes what else belongs to a step, a JSON object."""
    (folder / CUSTOM).write_text(f"{text}\n")


def averaged_networks(folder: pathlib.Path) -> set[str]:
    """Names of the networks of whose parameters the checkpoint in `folder` has an average.

    Raises:
        DamagedCheckpoint: it cannot be read.
    """
    names = (name.split(".") for name in _saved_arrays(folder))
    return {parts[1] for parts in names if parts[0] == average.NAME}


def _saved_arrays(folder):
    """As `_arrays`, of the checkpoint in `folder`."""
    try:
        with for_orbax(folder) as path:
            return _arrays(ocp.PyTreeCheckpointHandler().metadata(path / STATE).tree)
    except PermissionError:
        raise
    except Exception as error:  # JSON, zstd, tensorstore: whatever reads a damaged file
        raise _damaged(folder, _first_line(error)) from error


def _arrays(tree):
    """{name: (shape, dtype)}."""
    tree = ocp.tree.serialize_tree(tree, keep_empty_nodes=False)
    flat = traverse_util.flatten_dict(tree, sep=".")
    return {name: (tuple(x.shape), np.dtype(x.dtype).name) for name, x in flat.items()}


def _describe(array):
    return "no array" if array is None else f"{array[1]} {array[0]}"


def _damaged(folder, reason):
    return DamagedCheckpoint(f"the checkpoint {folder} is damaged ({reason})")


def _first_line(error):
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
