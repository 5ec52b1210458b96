"""Compiled programs kept on disk, so that the next start takes seconds."""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import platform
import re
import stat
from typing import Any

import jax
import jaxlib

from pix2pix_jax.runtime.whole_file import whole_file

NAME = ".compilation_cache"
SHORTEST = 0.3  # seconds; what compiles faster is not kept


def disable() -> None:
    """Keeps nothing, whatever JAX_COMPILATION_CACHE_DIR says."""
    jax.config.update("jax_compilation_cache_dir", None)


def enable(folder: str | os.PathLike[str]) -> bool:
    """Keeps what JAX compiles in `folder`, which may be deleted at any time.

    JAX runs what it finds there. So only its owner may write to the folder; one that others can
    write to is not used, and a line says so.

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
        print(f"no compilation cache: users other than you can write to {path}", flush=True)
        return False
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    return True


def folder() -> pathlib.Path | None:
    """Where programs are kept; None if they are not."""
    path = jax.config.jax_compilation_cache_dir
    return pathlib.Path(path) if path else None


def read_table(name: str) -> dict[str, Any]:
    """A JSON object kept beside the programs; empty without a cache, a file or a whole one."""
    here = folder()
    try:
        return json.loads((here / name).read_text()) if here else {}
    except (OSError, ValueError):
        return {}


def write_table(name: str, table: dict[str, Any]) -> None:
    """Keeps it, if there is a cache. A disk that is full is no error: it is made anew some time."""
    if here := folder():
        with contextlib.suppress(OSError), whole_file(here / name) as temporary:
            temporary.write_text(json.dumps(table, indent=1))


def place() -> tuple[Any, ...]:
    """What a compiled program depends on beside its text."""
    device, flags = jax.devices()[0], os.environ.get("XLA_FLAGS")
    versions = jax.__version__, jaxlib.__version__
    return *versions, device.platform, device.device_kind, jax.device_count(), _processor(), flags


def digest(*values: Any) -> str:
    """A name for these values, by what is printed of them."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


@functools.cache
def _processor():
    """The processor's kind, instruction sets and number, which programs for a CPU are made for."""
    information = pathlib.Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    kinds = sorted(set(re.findall(r"^(?:flags|Features)\s*:.*$", text, re.MULTILINE)))
    return platform.machine(), kinds or platform.processor(), os.cpu_count()
