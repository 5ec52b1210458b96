"""The name of a run and its workdir."""

import pathlib
import re
from typing import Any

from pix2pix_jax.runtime.storage import is_remote


def name_run(config: Any, workdir: str | None = None) -> str:
    """Names a run without a name after its images and its method, or else its workdir.

    Args:
        config: `config.name` is changed if it is empty.
        workdir: of the run, if it is known.

    Returns:
        the workdir: if none is given, runs/ and the name.
    """
    if not config.name:
        name = _last_part(config.data.dir or workdir or "") or "own"
        # So that pix2pix and CycleGAN on one folder are two runs.
        apart = config.data.dir and config.method != "pix2pix"
        config.name = f"{name}_{config.method}" if apart else name
    return workdir or f"runs/{config.name}"


def _last_part(folder):
    """The last name in a path or address, in characters that any file system takes."""
    path = pathlib.PurePosixPath(folder) if is_remote(folder) else pathlib.Path(folder).resolve()
    return re.sub(r"[^\w.-]+", "_", path.name if folder else "").strip("._")
