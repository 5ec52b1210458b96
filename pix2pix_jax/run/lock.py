"""One training at a time in a workdir."""

import fcntl
import os
import pathlib
import socket

LOCK_FILE = ".lock"


class WorkdirLock:
    """A lock on a file in the workdir, which ends with the process that holds it.

    The file itself stays behind, and means nothing. It is entered before the workdir need exist,
    so that what can be checked without it is checked before it is created: then nothing is locked
    until `take`.
    """

    def __init__(self, workdir: str | os.PathLike[str], wanted: bool = True):
        """`wanted` is False in the processes of a run that write nothing there."""
        self.workdir = pathlib.Path(workdir)
        self._wanted, self._file = wanted, None

    def __enter__(self) -> "WorkdirLock":
        if self.workdir.is_dir():
            self.take()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def take(self) -> None:
        """Creates the workdir and locks it, unless this has been done.

        Raises:
            OSError: another training holds the lock, or the workdir cannot be written.
        """
        if self._file is not None or not self._wanted:
            return
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
            file = (self.workdir / LOCK_FILE).open("a+")
        except OSError as error:
            raise OSError(not_writable(self.workdir, error)) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise OSError(
                f"{holder} is training in {self.workdir}: wait until it ends, or choose another "
                "--workdir"
            ) from error
        except OSError as error:  # some network file systems know no locks
            print(f"{self.workdir} cannot be locked ({error.strerror}): start no second training")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        self._file = file


def not_writable(workdir: pathlib.Path, error: OSError) -> str:
    """The message for a workdir that cannot be written."""
    return (
        f"cannot write to the workdir {workdir} ({error.strerror}): choose another with --workdir"
    )
