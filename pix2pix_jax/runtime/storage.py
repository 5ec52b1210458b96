"""Files that are in object storage: copies of them on this machine, and what is to appear there.

A store has objects with names, and no folders, appending, renaming or locks. So programs work on
the disk of this machine and this module copies: data to a folder that stays, for the next start
(`local_copy`), results from one that does not (`output_folder`). A run needs more than that, see
`run.run_folder`.

Copies lie below `cache_folder()`; `shown` tells in messages what they are copies of.
"""

import contextlib
import fcntl
import os
import pathlib
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from pix2pix_jax.runtime.store import Store, normal

Path = str | os.PathLike[str]
BATCH = 256  # files of data that are copied before the next ones
DATA, SCRATCH = "data", "scratch"  # folders below the cache folder


def is_remote(path: Path) -> bool:
    """Whether a path is the address of something in object storage."""
    return "://" in os.fspath(path)


def cache_folder() -> pathlib.Path:
    """Where copies lie: ~/.cache/pix2pix_jax, or below $XDG_CACHE_HOME."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache).absolute() / "pix2pix_jax"


def shown(text: Any) -> str:
    """A message or path with the addresses of what is copied in place of the copies' paths."""
    copies = re.escape(str(cache_folder())) + rf"/(?:{DATA}|{SCRATCH}/[^/]+)/(\w+)/"
    return re.sub(copies, r"\1://", str(text))


def message_of(error: Exception) -> str:
    """What an error says, in one line; of the system's errors PATH: REASON."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return shown(f"{error.filename}: {error.strerror}")
    return shown(error)


def resolved(path: Path) -> str:
    """The one spelling of a path, or of the address that it or what it is a copy of has."""
    path = shown(path)
    return normal(path) if is_remote(path) else str(pathlib.Path(path).resolve())


def lies_in(path: Path, folder: Path) -> bool:
    """Whether `path` is the folder or lies below it, also through links; both may be addresses."""
    inner, outer = (resolved(one).rstrip("/") for one in (path, folder))
    return f"{inner}/".startswith(f"{outer}/")


def local_copy(path: Path, wanted: Callable[[pathlib.PurePath], bool]) -> Path:
    """`path`, if it is on this machine; else a copy of the file or folder, brought up to date.

    The copy stays. What has the size and the time of its object is not copied again, and what has
    no object any more is removed.

    Args:
        path: on this machine, or an address.
        wanted: whether a file is to be copied, by its path relative to `path`.

    Raises:
        OSError: there is nothing of that kind at the address, or it cannot be read.
    """
    if not is_remote(path):
        return path
    store, copy = Store(os.fspath(path)), _place(cache_folder() / DATA, os.fspath(path))
    entries = store.entries()
    entries = {n: e for n, e in entries.items() if not n or wanted(pathlib.PurePath(n))}
    if not entries:
        raise FileNotFoundError(f"there is nothing of the kind that is looked for at {path}")
    here = [p.relative_to(copy) for p in copy.rglob("*") if p.is_file()]
    for name in here:
        if wanted(name) and name.as_posix() not in entries:
            (copy / name).unlink(missing_ok=True)
    stale = [name for name, entry in entries.items() if not _is_copy(copy / name, entry)]
    if stale:
        size = sum(entries[name].size for name in stale) / 2**20
        print(f"copying {len(stale)} files ({size:.1f} MiB) of {path} to {copy}", flush=True)
    for first in range(0, len(stale), BATCH):
        names = stale[first : first + BATCH]
        # Of this process alone, for several may copy the same at the same time.
        suffix = f".{secrets.token_hex(4)}.tmp"
        parts = {name: pathlib.Path(f"{copy / name}{suffix}") for name in names}
        store.download(parts)
        for name, part in parts.items():
            os.utime(part, (entries[name].modified,) * 2)
            part.replace(copy / name)
    return copy


def _is_copy(path, entry):
    if not path.is_file():
        return False
    status = path.stat()
    return status.st_size == entry.size and abs(status.st_mtime - entry.modified) < 1e-3


@contextlib.contextmanager
def output_folder(path: Path) -> Iterator[pathlib.Path]:
    """A folder to write to, which exists; what is written appears at `path`.

    At an address it does so at the end, even if that is an exception.
    """
    if not is_remote(path):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        yield pathlib.Path(path)
        return
    store = Store(os.fspath(path))
    with scratch_folder(os.fspath(path)) as folder:
        try:
            yield folder
        finally:
            store.upload(files_below(folder))


def check_writable(path: Path) -> None:
    """Raises OSError if results cannot be written to the folder `path`. Creates nothing.

    Addresses are not looked at: these fail where they are written to.
    """
    try:
        if not is_remote(path):
            try_writing(path)
    except OSError as error:
        raise OSError(
            f"cannot write to {path} ({error.strerror}): choose another folder"
        ) from error


def try_writing(path: Path) -> None:
    """Raises the system's OSError if a folder, or the one it would be created in, takes no file."""
    with tempfile.TemporaryFile(dir=existing_part(path)):
        pass


def existing_part(path: Path) -> pathlib.Path:
    """A folder, or of one that need not exist yet the nearest above it that does."""
    folder = pathlib.Path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def existing_files(path: Path) -> set[str]:
    """Names of the files in a folder, which need not exist, or at an address."""
    if is_remote(path):
        return set(Store(os.fspath(path)).entries())
    folder = pathlib.Path(path)
    return set(files_below(folder)) if folder.is_dir() else set()


def files_below(folder: pathlib.Path, without: str = "") -> dict[str, pathlib.Path]:
    """Files by their names relative to `folder`, but for those that `whole_file` still writes.

    Does not look into the folder `without`.
    """
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != without:
            found |= {f"{path.name}/{name}": below for name, below in files_below(path).items()}
        elif path.is_file() and path.suffix != ".tmp":
            found[path.name] = path
    return found


@contextlib.contextmanager
def scratch_folder(address: str) -> Iterator[pathlib.Path]:
    """An empty folder of this process that stands for an address; removed at the end.

    Also removes those that killed processes of this machine have left.
    """
    parent, host = cache_folder() / SCRATCH, socket.gethostname()
    parent.mkdir(parents=True, exist_ok=True)
    for lock in parent.glob(f"{host}-*.lock"):
        with contextlib.suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its process lives
            shutil.rmtree(str(lock).removesuffix(".lock"), ignore_errors=True)
            lock.unlink()
    scratch = parent / f"{host}-{secrets.token_hex(4)}"
    lock = pathlib.Path(f"{scratch}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        folder = _place(scratch, address)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _place(folder, address):
    kind, _, rest = address.partition("://")
    return folder.joinpath(kind, *(part for part in rest.split("/") if part not in ("", ".", "..")))
