"""What is known of how long a program will compile, said before it does."""

import contextlib
import gc
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from pix2pix_jax.dispatch import compiler_options
from pix2pix_jax.run.kept_program import KeptProgram
from pix2pix_jax.runtime import compilation_cache, host_memory, processes
from pix2pix_jax.runtime.compilation_cache import digest, place
from pix2pix_jax.runtime.counter import duration

FILE = "training_steps.json"  # in the compilation cache: {program: its entry}

MOST_CONSTANTS = 1000  # numbers in a program that its code and config can tell

_hits = 0  # programs that JAX has found in its cache


class Programs:
    """`dispatch.make_run_steps`'s function, which prints a line before it compiles.

    The line says whether the program lies in the compilation cache; else, how long a similar one
    took, if one was compiled here. What is measured is kept in the cache for the next start.
    """

    def __init__(self, config: Any, run_steps: Callable, num_examples: int, kept: KeptProgram):
        """`run_steps` was made for `num_examples`; `kept` may have its program already."""
        self._config, self._run_steps = config, run_steps
        self._num_examples, self._kept = num_examples, kept
        self._compiled: dict[int, Callable] = {}  # by number of steps

    @property
    def is_loading(self) -> bool:
        """Whether a program is being loaded meanwhile, so that `compiled` need not be hurried."""
        return self._kept.is_loading

    def __call__(self, state: Any, cache: Any, chunk: Any, flags: Any) -> Any:
        """As the function."""
        program = self.compiled(state, cache, chunk, flags)
        try:
            return program(state, cache, chunk, flags)
        except Exception:  # what is kept is best not tried again
            self._kept.forget()
            raise

    def compiled(self, state: Any, cache: Any, chunk: Any, flags: Any) -> Callable:
        """The program for such arguments, of which shapes and dtypes are enough."""
        steps = jax.tree.leaves(chunk)[0].shape[0]
        if steps not in self._compiled:
            self._compiled[steps] = self._find(steps, state, cache, chunk, flags)
            host_memory.keep_freed()  # but for what the compiler has left
        return self._compiled[steps]

    def _find(self, steps, *arguments):
        facts = self._facts(*arguments)
        if program := self._kept.take(facts):
            print(f"loading {_name(steps)} from the compilation cache", flush=True)
            return program
        with _without_collector():
            traced = self._run_steps.trace(*arguments)
            lowered = traced.lower()
        if sum(map(np.size, traced.jaxpr.consts)) > MOST_CONSTANTS:
            facts = None  # weights of a file, say, which can change
        options = compiler_options(self._config, jax.default_backend())
        # JAX's key of the cache cannot be asked for, so a program is known by its text.
        key, found = digest(place(), options, lowered.as_text()), _hits
        program = _compile(self._config, lowered, key, steps)
        self._kept.keep(facts, key, program, is_new=found == _hits)
        return program

    def _facts(self, *arguments):
        """What the data decide of a program; None where a chunk's shapes do not tell all of it."""
        _, cache, _, _ = arguments
        leaves, _ = jax.tree_util.tree_flatten_with_path(arguments)
        shapes = [(jax.tree_util.keystr(path), np.shape(x), str(x.dtype)) for path, x in leaves]
        return None if cache is None else digest(self._num_examples, shapes)


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


def _compile(config, lowered, key, steps):
    like = digest(place(), *_sizes(config), steps)
    known = compilation_cache.read_table(FILE)
    print(_line(key, like, steps, known), flush=True)
    began = time.perf_counter()
    host_memory.trim()  # the compiler takes half a gigabyte and more
    program = lowered.compile()
    if key not in known:
        _keep(key, {"like": like, "seconds": round(time.perf_counter() - began, 1)})
    return program


def _line(key, like, steps, known):
    what = _name(steps)
    if key in known:
        return f"loading {what} from the compilation cache"
    similar = [entry["seconds"] for entry in known.values() if entry["like"] == like]
    if similar:
        return f"compiling {what}, once; a similar program took {duration(similar[-1])} here"
    return f"compiling {what}, once; large networks take minutes"


def _name(steps):
    return "the training step" if steps == 1 else f"{steps} training steps as one program"


def _sizes(config):
    """What the time to compile depends on most."""
    model = sorted(config.model.items())
    return config.method, model, tuple(config.data.crop_size), config.train.batch_size


def _keep(key, entry):
    # What compiles faster JAX does not keep either.
    if processes.is_first() and entry["seconds"] >= compilation_cache.SHORTEST:
        compilation_cache.write_table(FILE, compilation_cache.read_table(FILE) | {key: entry})


def _count(event, **_):
    global _hits
    _hits += event == "/jax/compilation_cache/cache_hits"


jax.monitoring.register_event_listener(_count)
