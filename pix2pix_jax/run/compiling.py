"""What is known of how long a program will compile, said before it does."""

import contextlib
import gc
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

from pix2pix_jax.runtime import compilation_cache, host_memory, processes
from pix2pix_jax.runtime.counter import duration
from pix2pix_jax.runtime.whole_file import whole_file

FILE = "training_steps.json"  # in the compilation cache: {program: its entry}


class Programs:
    """`dispatch.make_run_steps`'s function, which prints a line before it compiles.

    The line says whether the program lies in the compilation cache; else, how long a similar one
    took, if one was compiled here. What is measured is kept in the cache for the next start.
    """

    def __init__(self, config: Any, run_steps: Callable):
        self._config, self._run_steps = config, run_steps
        self._compiled: dict[int, Callable] = {}  # by number of steps

    def __call__(self, state: Any, cache: Any, chunk: Any, flags: Any) -> Any:
        """As the function."""
        return self.compiled(state, cache, chunk, flags)(state, cache, chunk, flags)

    def compiled(self, state: Any, cache: Any, chunk: Any, flags: Any) -> Callable:
        """The program for such arguments, of which shapes and dtypes are enough."""
        steps = jax.tree.leaves(chunk)[0].shape[0]
        if steps not in self._compiled:
            with _without_collector():
                lowered = self._run_steps.lower(state, cache, chunk, flags)
            self._compiled[steps] = _compile(self._config, lowered, steps)
            host_memory.keep_freed()  # but for what the compiler has left
        return self._compiled[steps]


@contextlib.contextmanager
def _without_collector():
    """Python's collector would look through the growing program again and again, in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _compile(config, lowered, steps):
    # JAX's key of the cache cannot be asked for, so a program is known by its text.
    key, like = _hash(_place(), lowered.as_text()), _hash(_place(), *_sizes(config), steps)
    known = _read()
    print(_line(key, like, steps, known), flush=True)
    began = time.perf_counter()
    host_memory.trim()  # the compiler takes half a gigabyte and more
    program = lowered.compile()
    if key not in known:
        _keep(key, {"like": like, "seconds": round(time.perf_counter() - began, 1)})
    return program


def _line(key, like, steps, known):
    what = "the training step" if steps == 1 else f"{steps} training steps as one program"
    if key in known:
        return f"loading {what} from the compilation cache"
    similar = [entry["seconds"] for entry in known.values() if entry["like"] == like]
    if similar:
        return f"compiling {what}, once; a similar program took {duration(similar[-1])} here"
    return f"compiling {what}, once; large networks take minutes"


def _place():
    """What a compiled program depends on beside its text."""
    device = jax.devices()[0]
    flags = os.environ.get("XLA_FLAGS")
    return jax.__version__, device.platform, device.device_kind, jax.device_count(), flags


def _sizes(config):
    """What the time to compile depends on most."""
    model = sorted(config.model.items())
    return config.method, model, tuple(config.data.crop_size), config.train.batch_size


def _hash(*values):
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def _read() -> dict[str, Any]:
    """What is kept; nothing where there is no cache, no file or a damaged one."""
    try:
        return json.loads((_folder() / FILE).read_text()) if _folder() else {}
    except (OSError, ValueError):
        return {}


def _keep(key, entry):
    if not _folder() or not processes.is_first():
        return
    if entry["seconds"] < compilation_cache.SHORTEST:  # JAX does not keep it either
        return
    with contextlib.suppress(OSError), whole_file(_folder() / FILE) as temporary:
        temporary.write_text(json.dumps(_read() | {key: entry}, indent=1))


def _folder() -> pathlib.Path | None:
    folder = jax.config.jax_compilation_cache_dir
    return pathlib.Path(folder) if folder else None
