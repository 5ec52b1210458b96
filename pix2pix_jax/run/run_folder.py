"""The folder of a run: a workdir on this machine, or a working copy of one in object storage.

A run in object storage is worked on in a folder of this machine, which begins with what is needed
to go on, and is given to the store at every save. The store has it in this form:

* small files (metrics.jsonl, event files, samples, ...) come before the checkpoint that they belong
  to. What they have beyond the last checkpoint is dropped by the run that is resumed.
* an object checkpoints/<step>.incomplete exists while checkpoints/<step>/ is written or removed.
  Such a checkpoint does not count, and is cleared away.

So a process that is killed at any moment leaves the saves before as they were. Copying a workdir
there with other tools makes a run, too.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from pix2pix_jax.run.lock import WorkdirLock
from pix2pix_jax.run.saved_state import STATE
from pix2pix_jax.run.store_lock import StoreLock
from pix2pix_jax.runtime import processes, storage
from pix2pix_jax.runtime.store import Store

Path = str | os.PathLike[str]
CHECKPOINTS, INCOMPLETE = "checkpoints", ".incomplete"
# Files that a resumed run goes on with.
CONTINUED = ("config.json", "log.txt", "metrics.jsonl", "seconds.txt")


class RunFolder:
    """A run's files at `folder`, on this machine. With a store they are a working copy of it.

    Without one most methods have nothing to do.
    """

    def __init__(self, folder: Path, store: Store | None = None):
        self.folder, self._store = pathlib.Path(folder), store
        self._lock: StoreLock | None = None
        self._arrays: dict[int, list[str]] = {}  # by step: objects that are not copied yet
        self._known: set[int] = set()  # steps in the store that this run may remove
        self._incomplete: list[str] = []  # steps, as the start found them
        self._uploaded: dict[str, tuple[int, int]] = {}  # times and sizes of files by name

    def lock(self, wanted: bool = True) -> WorkdirLock | StoreLock:
        """The lock on the run, which is to be entered."""
        if self._store is None:
            return WorkdirLock(self.folder, wanted)
        self._lock = StoreLock(self._store, wanted)
        return self._lock

    def pull(self) -> None:
        """Copies what a run goes on with; of its checkpoints all but the arrays, see `fetch`."""
        if self._store is None:
            return
        wanted = {}
        names = self._store.entries()
        marks = [name for name in names if name.endswith(INCOMPLETE)]
        self._incomplete = [pathlib.PurePath(name).stem for name in marks]
        for name in names:
            top, *rest = name.split("/")
            if name in CONTINUED:
                wanted[name] = self.folder / name
            if top != CHECKPOINTS or len(rest) < 2 or rest[0] in self._incomplete:
                continue
            if not rest[0].isdigit():  # of a damaged checkpoint, whose name is taken
                (self.folder / CHECKPOINTS / rest[0]).mkdir(parents=True, exist_ok=True)
            elif rest[1] == STATE:
                self._arrays.setdefault(int(rest[0]), []).append(name)
            else:
                wanted[name] = self.folder / name
            if rest[0].isdigit():
                self._known.add(int(rest[0]))
                (self.folder / CHECKPOINTS / rest[0]).mkdir(parents=True, exist_ok=True)
        self._store.download(wanted)
        self._uploaded = {name: _version(self.folder / name) for name in wanted}

    def fetch(self, step: int) -> None:
        """Copies the arrays of a checkpoint, unless they are here."""
        if names := self._arrays.pop(step, None):
            self._store.download({name: self.folder / name for name in names})

    @contextlib.contextmanager
    def publishing(self) -> Iterator[None]:
        """At the end, even if that is an exception, the store has the small files as they are."""
        try:
            yield
        finally:
            self.push_files()

    def push_files(self) -> None:
        """Gives the store the files outside of checkpoints/ that it has not, or not as they are."""
        if self._store is None or not processes.is_first():
            return
        self._check_lock()
        for name, path in storage.files_below(self.folder, without=CHECKPOINTS).items():
            version = _version(path)
            if self._uploaded.get(name) != version:
                self._store.write(name, path.read_bytes())  # at once, for it may grow meanwhile
                self._uploaded[name] = version

    def push_checkpoint(self, step: int, written: pathlib.Path) -> None:
        """Gives the store a checkpoint, after the small files.

        Args:
            step: of the checkpoint.
            written: the folder that has its files now; its name may be a temporary one.
        """
        if self._store is None:
            return
        self.push_files()
        self.prune()
        with self._marked(step):
            self._store.remove(self._objects(step))  # a damaged one's
            files = storage.files_below(written).items()
            self._store.upload({f"{CHECKPOINTS}/{step}/{name}": path for name, path in files})
        self._known.add(step)

    def prune(self) -> None:
        """Removes checkpoints from the store that are not here any more, and incomplete ones."""
        if self._store is None:
            return
        self._check_lock()
        gone = {s for s in self._known if not (self.folder / CHECKPOINTS / str(s)).exists()}
        for step in [*gone, *self._incomplete]:
            with self._marked(step):
                self._store.remove(self._objects(step))
        self._known -= gone
        self._incomplete = []

    def set_aside(self, step: int, name: str) -> None:
        """Renames a checkpoint here and in the store."""
        folder = self.folder / CHECKPOINTS
        (folder / str(step)).rename(folder / name)
        if self._store is not None:
            old = f"{CHECKPOINTS}/{step}/"
            objects = self._objects(step)
            self._store.copy({n: f"{CHECKPOINTS}/{name}/{n.removeprefix(old)}" for n in objects})
            with self._marked(step):
                self._store.remove(objects)
            self._known.discard(step)

    def write(self, name: str, content: str) -> None:
        """Writes a small file where all processes of the run see it."""
        if self._store is None:
            (self.folder / name).write_text(content)
        else:
            self._store.write(name, content.encode())

    def read(self, name: str) -> str | None:
        """What any process has written with `write`; None if there is no such file."""
        if self._store is not None:
            content = self._store.read(name)
            return None if content is None else content.decode()
        path = self.folder / name
        return path.read_text() if path.is_file() else None

    def remove(self, name: str) -> None:
        """Removes what `write` wrote."""
        if self._store is None:
            (self.folder / name).unlink()
        else:
            self._store.remove([name])

    @contextlib.contextmanager
    def _marked(self, step):
        mark = f"{CHECKPOINTS}/{step}{INCOMPLETE}"
        self._store.write(mark, b"")
        yield
        self._store.remove([mark])  # not after an exception

    def _objects(self, step):
        folder = f"{CHECKPOINTS}/{step}/"
        return [name for name in self._store.entries() if name.startswith(folder)]

    def _check_lock(self):
        if self._lock is not None:
            self._lock.check()


@contextlib.contextmanager
def open_run(workdir: Path) -> Iterator[RunFolder]:
    """The run at a path or an address. An address gets an empty working copy, see `RunFolder.pull`.

    Raises:
        ValueError, OSError: there is no such kind of storage, or the path is no UTF-8.
    """
    if not storage.is_remote(workdir):
        _check_text(pathlib.Path(workdir).absolute())
        yield RunFolder(workdir)
        return
    store = Store(os.fspath(workdir))
    with storage.scratch_folder(store.address) as folder:
        yield RunFolder(folder, store)


def _check_text(folder):
    """Raises ValueError if checkpoints and event files cannot be written there."""
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the workdir {folder} has a name that is no UTF-8, which checkpoints need: rename "
            "that folder, or choose another --workdir"
        ) from error


def _version(path):
    status = path.stat()
    return status.st_mtime_ns, status.st_size
