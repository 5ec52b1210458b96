"""Compiled programs kept on disk, so that the next start takes seconds."""

import os
import pathlib
import stat

import jax

NAME = ".compilation_cache"
SHORTEST = 0.3  # seconds of compilation that are worth a file


def enable(folder: str | os.PathLike[str]) -> bool:
    """Keeps what JAX compiles in `folder`, which may be deleted at any time.

    JAX runs what it finds there. So the folder is made for its owner alone, and one that others
    could write is not used (a line says so).

    Returns:
        Whether it is used.
    """
    path = pathlib.Path(folder).absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        print(f"no compilation cache: {path}: {error.strerror}", flush=True)
        return False
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if status.st_uid != os.getuid() or others_write:
        print(f"no compilation cache: others than you can write {path}", flush=True)
        return False
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    return True
