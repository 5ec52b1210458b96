"""Objects of a store (s3://, gs://) by their names: list, read, write, copy, remove."""

import contextlib
import glob
import pathlib
from datetime import datetime
from typing import NamedTuple


class Entry(NamedTuple):
    """What a store says of an object."""

    size: int  # bytes
    modified: float  # seconds since 1970


class Store:
    """The objects below an address. Their names are relative to it.

    Every method raises OSError, which tells the address, for whatever goes wrong.
    """

    def __init__(self, address: str):
        """Raises ValueError if there is no such kind of storage, or its package is missing."""
        self.address = normal(address)
        kind, _, rest = address.partition("://")
        if kind in ("file", "local"):
            raise ValueError(f"{address} is on this machine: give the path alone, {rest}")
        try:
            import fsspec

            self._files = fsspec.filesystem(kind)
        except ImportError as error:
            raise ValueError(
                f"{kind}:// takes a package that is not installed ({error}): "
                "pip install -r requirements-cloud.txt"
            ) from error
        except ValueError as error:
            raise ValueError(
                f"{address}: there is no storage called {kind}://; s3:// and gs:// are known"
            ) from error
        self._root = self._files._strip_protocol(self.address)

    def entries(self) -> dict[str, Entry]:
        """All objects by name; the name is empty if the address is one object's own."""
        with self._telling("read"):
            self._files.invalidate_cache()
            try:
                found = self._files.find(self._root, detail=True)
            except FileNotFoundError:  # not even the bucket
                return {}
        entries = {
            path[len(self._root) :].removeprefix("/"): Entry(info["size"], _modified(info))
            for path, info in found.items()
            if info["type"] == "file" and not path.endswith("/")  # as consoles mark empty folders
        }
        for name in entries:
            if name and not set(name.split("/")).isdisjoint({"", ".", ".."}):
                raise OSError(f"{self.address} has {name!r}, which is no name of a file: rename it")
        return entries

    def read(self, name: str) -> bytes | None:
        """An object's content; None if there is no such object."""
        with self._telling("read"):
            try:
                return self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Creates or replaces an object, at once."""
        with self._telling("written"):
            self._files.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Creates an object; False if there is one. Some emulators replace it all the same."""
        with self._telling("written"):
            try:
                self._files.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            return True

    def upload(self, files: dict[str, pathlib.Path]) -> None:
        """Creates or replaces objects with the contents of files."""
        if files:
            with self._telling("written"):
                self._files.put(list(map(str, files.values())), list(map(self._path, files)))

    def download(self, files: dict[str, pathlib.Path]) -> None:
        """Writes objects to files, in folders that are made where need be."""
        for folder in {path.parent for path in files.values()}:
            folder.mkdir(parents=True, exist_ok=True)
        if files:
            with self._telling("read"):
                self._files.get(list(map(self._path, files)), list(map(str, files.values())))

    def copy(self, names: dict[str, str]) -> None:
        """Copies objects to other names."""
        with self._telling("written"):
            for source, target in names.items():
                self._files.cp_file(self._path(source), self._path(target))

    def remove(self, names: list[str]) -> None:
        """Removes objects, if they exist."""
        with self._telling("written"), contextlib.suppress(FileNotFoundError):
            if names:  # fsspec would take [1] for a pattern, and remove what another run has
                self._files.rm([glob.escape(self._path(name)) for name in names])

    def _path(self, name):
        return f"{self._root}/{name}" if name else self._root

    @contextlib.contextmanager
    def _telling(self, what):
        """One kind of error for those of every library below."""
        try:
            yield
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise OSError(
                f"{self.address} cannot be {what} ({reason}): check the address, the credentials "
                "and the connection"
            ) from error


def normal(address: str) -> str:
    """The one spelling of an address: without empty names of folders."""
    kind, _, rest = address.partition("://")
    return f"{kind}://{'/'.join(part for part in rest.split('/') if part)}"


def _modified(info):
    """Libraries disagree on the name and on the type."""
    names = ("LastModified", "mtime", "created")
    when = next((info[name] for name in names if info.get(name)), 0.0)
    return when.timestamp() if isinstance(when, datetime) else float(when)
