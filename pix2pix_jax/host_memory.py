"""The C library's memory, where the CPU computes."""

import ctypes
import importlib.metadata
import importlib.util
import os
import platform

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # malloc.h


def keep_freed() -> bool:
    """Tells glibc to keep what is freed for the next allocation; call it before JAX is imported.

    XLA's CPU backend takes all temporary memory of a step at its start (0.3 GiB for pix2pix, 3 GiB
    for CycleGAN at batch 1) and frees it at its end. Mapped anew for every step, each of its pages
    would be cleared at its first use, which takes up to a tenth of the step. The price is memory:
    what lies between kept pieces (8.1 GiB at the peak of CycleGAN, not 5.8).

    Returns:
        Whether it was done: not with another C library, nor where JAX may find an accelerator, nor
        where the environment has settings for malloc.
    """
    if platform.libc_ver()[0] != "glibc" or not _only_cpu() or _has_settings():
        return False
    # One arena: other threads' are too small, so that glibc would map the memory after all. It
    # would still use those that exist, hence "before JAX is imported".
    settings = {ARENA_MAX: 1, MMAP_MAX: 0, TRIM_THRESHOLD: -1}
    return all(ctypes.CDLL(None).mallopt(*setting) for setting in settings.items())


def _has_settings():
    return any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)


def _only_cpu():
    if platforms := os.environ.get("JAX_PLATFORMS"):
        return platforms == "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    return not plugins and importlib.util.find_spec("libtpu") is None
