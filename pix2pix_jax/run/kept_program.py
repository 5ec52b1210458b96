"""The program of a run's first steps, loaded while the next start of its config prepares.

JAX's compilation cache is asked for a program that has been traced, which takes as long as to load
it. What lies here is known by the code, the config and the machine, and, when the data are read, by
the shapes of all that it takes.
"""

import contextlib
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import jax
from jax.experimental import serialize_executable

from pix2pix_jax.runtime import compilation_cache, source_code
from pix2pix_jax.runtime.background import in_background
from pix2pix_jax.runtime.whole_file import whole_file

NAMES = "kept_programs.json"  # in the compilation cache: {code and config: what is kept}
ENDING = ".program"  # of the files beside it
MOST_NAMES, MOST_PROGRAMS = 200, 8  # a CycleGAN's program has 3 MB


class KeptProgram:
    """The first program of a config's runs, kept on disk.

    Nothing is kept without a compilation cache, by code that is not as its files have it, for
    several devices, or for accelerators, on which this was not tried.
    """

    def __init__(self, config: Any) -> None:
        """Begins to load what is there, in a thread. Call it when JAX has chosen its devices."""
        self._folder, self._name = compilation_cache.folder(), _name(config)
        self._known = compilation_cache.read_table(NAMES).get(self._name)
        self._loading, self._is_done = None, not self._folder or not self._name
        if self._known:
            file = self._folder / f"{self._known['program']}{ENDING}"
            self._loading = in_background(_load, file)

    @property
    def is_loading(self) -> bool:
        """Whether there is a program that nobody has taken yet."""
        return self._loading is not None

    def take(self, facts: str | None) -> Callable | None:
        """The program, once; None unless there is one that was kept with the same facts."""
        if self._loading is None:
            return None
        program, self._loading = self._loading(), None
        if program is None or self._known["facts"] != facts:
            return None
        self._is_done = True
        return program

    def keep(self, facts: str | None, key: str, program: Any, is_new: bool) -> None:
        """Writes the run's first program, in a thread; later ones are left.

        Args:
            facts: for `take`; None if nothing is to be kept.
            key: of the program; those of many configs may be the same.
            program: the compiled one.
            is_new: it was compiled here; XLA cannot write one that it has read itself.
        """
        if not self._is_done and facts and source_code.digest():  # no file has changed since
            in_background(_write, self._folder, self._name, facts, key, program, is_new)
        self._is_done = True

    def forget(self) -> None:
        """Has the next start do without what is there."""
        if self._known:
            _write_names({self._name: None})


def _name(config) -> str | None:
    code = source_code.digest()
    if not code or jax.device_count() > 1 or jax.default_backend() != "cpu":
        return None
    settings = sorted(jax.config.values.items())
    return compilation_cache.digest(compilation_cache.place(), settings, code, config)


def _load(file):
    """The program; None if it cannot be used."""
    try:
        return serialize_executable.deserialize_and_load(
            *pickle.loads(zlib.decompress(file.read_bytes()))
        )
    except Exception:  # a damaged file can raise anything, here and in XLA: it is written anew
        file.unlink(missing_ok=True)
        return None


def _write(folder, name, facts, key, program, is_new):
    file = folder / f"{key}{ENDING}"
    with contextlib.suppress(OSError, ValueError):  # a full disk; a program that can't be written
        if is_new and not file.exists():
            content = pickle.dumps(serialize_executable.serialize(program))
            with whole_file(file) as temporary:
                temporary.write_bytes(zlib.compress(content, 1))
        if file.exists():
            file.touch()
            _write_names({name: {"facts": facts, "program": key}})
        newest_first = sorted(folder.glob(f"*{ENDING}"), key=lambda f: -f.stat().st_mtime)
        for old in newest_first[MOST_PROGRAMS:]:
            old.unlink()


def _write_names(new):
    names = compilation_cache.read_table(NAMES) | new
    newest = [(name, known) for name, known in names.items() if known][-MOST_NAMES:]
    compilation_cache.write_table(NAMES, dict(newest))
