"""Which code a process runs, so that a program that such code made is known before it is made."""

import contextlib
import hashlib
import os
import pathlib
import site
import sys
import sysconfig
import time

PACKAGE = pathlib.Path(__file__).parents[1]

_started: float | None = None


def trust_files() -> None:
    """Says that this process runs what its files contain now, and nothing changed in memory.

    Call it before they are imported.
    """
    global _started
    _started = time.time()


def digest() -> str | None:
    """Of the code that runs here: this package and the user's modules, and what is installed.

    Returns:
        A hash; None without `trust_files`, or if a file has changed since. It takes a hundredth
        of a second.
    """
    if _started is None:
        return None
    found = hashlib.sha256(sys.version.encode())
    for path in sorted(set(PACKAGE.rglob("*.py")) | _own_modules()):
        if path.stat().st_mtime > _started:
            return None
        found.update(f"{path}\n".encode(errors="surrogateescape"))
        found.update(path.read_bytes())
    found.update("\n".join(sorted(_installed())).encode())
    return found.hexdigest()


def _own_modules():
    """Files of modules that belong to no installed package: config files, and what they import."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    beginnings = tuple(os.path.join(path, "") for path in paths)
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    own = {pathlib.Path(file) for file in files if file and not file.startswith(beginnings)}
    return {path for path in own if path.is_file()}


def _installed():
    """Names and versions, as the folders of their metadata have them."""
    for folder in filter(os.path.isdir, sys.path):
        with contextlib.suppress(OSError):  # Python imports nothing from there either
            names = os.listdir(folder)
            yield from (name for name in names if name.endswith((".dist-info", ".egg-info")))
