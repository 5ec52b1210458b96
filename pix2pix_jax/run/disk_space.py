"""Room for checkpoints, and whether an error came from a lack of it."""

import errno
import os
import shutil
from typing import Any

import jax

from pix2pix_jax.runtime import storage

Path = str | os.PathLike[str]
NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def free_mb(folder: Path) -> float:
    """MiB that are free on the disk of `folder`, which need not exist yet."""
    return shutil.disk_usage(storage.existing_part(folder)).free / 2**20


def check_space(workdir: Path, state: Any) -> None:
    """Raises OSError when the disk cannot hold two more checkpoints of `state`.

    `workdir` need not exist yet.
    """
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)) / 2**20
    free = free_mb(workdir)
    if free < 2 * size:
        raise OSError(
            f"{workdir} has {free:.0f} MiB free, and a checkpoint of this network takes "
            f"{size:.0f}: make room for two, or choose another --workdir"
        )


def no_room(error: BaseException | None) -> bool:
    """Whether an exception comes from a full disk, a quota or a limit on the size of files."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        # tensorstore raises ValueError: "... File too large [os_error_code='27']"
        if any(os.strerror(number) in str(error) for number in NO_ROOM):
            return True
        error = error.__cause__ or error.__context__
    return False
