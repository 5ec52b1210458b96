"""Which code a process runs, so that a program that such code made is known before it is made."""

import hashlib
import os
import pathlib
import site
import sys
import sysconfig

PACKAGE = pathlib.Path(__file__).parents[1]

_is_in_files = False


def trust_files() -> None:
    """Says that this process runs what its files contain, and nothing changed in memory."""
    global _is_in_files
    _is_in_files = True


def digest() -> str | None:
    """Of the code that runs here: this package and the user's modules, and what is installed.

    Returns:
        A hash; None unless `trust_files` was called. It takes a hundredth of a second.
    """
    if not _is_in_files:
        return None
    found = hashlib.sha256(sys.version.encode())
    for path in sorted(set(PACKAGE.rglob("*.py")) | _own_modules()):
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
        yield from (
            name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))
        )
