"""The C library's memory, where the CPU computes."""

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import sys

# Read by glibc at the program's start. No cache of small pieces for each thread: glibc cuts the
# ends, 96 bytes in all, off every aligned allocation; these caches hand such an end beside a step's
# memory to something small that stays; then the next step, whose request is 96 bytes larger than
# that place, takes a new one.
SETTINGS = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # malloc.h
PLACES = {1 << 16: 256, 1 << 20: 16, 1 << 25: 4}  # bytes: how many; they are not touched
CONTAINER_LIMITS = (  # cgroups 2 and 1
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)

_prepared = False  # by `prepare`
_keeps = False
_has_released = False  # at the last call of `release_beyond`
_needed = 0  # bytes that the process had after the step that followed


def restart_with_settings() -> None:
    """Starts this program anew with `SETTINGS`, where `prepare` would do something.

    Call it before anything else is done. It returns where the settings are there already, where
    another program runs this one (IPython's %run), and under a debugger, which would lose it.
    """
    has_settings = all(os.environ.get(name) == value for name, value in SETTINGS.items())
    is_started_here = {sys.argv[0], "pix2pix_jax"} & set(sys.orig_argv)
    is_debugged = sys.gettrace() or "pydevd" in sys.modules
    if has_settings or not is_started_here or is_debugged or not _may_keep():
        return
    os.environ.update(SETTINGS)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def prepare() -> bool:
    """Has JAX compute in this thread, whose memory `keep_freed` can keep; before JAX computes.

    Returns:
        Whether it was done: not with another C library, nor where JAX may find an accelerator, nor
        where the environment has settings for malloc.
    """
    global _prepared
    if _may_keep():
        import jax  # takes a second, which `restart_with_settings` need not wait for

        jax.config.update("jax_cpu_enable_async_dispatch", False)
        _prepared = True
    return _prepared


def keep_freed() -> bool:
    """Has glibc keep what is freed for the next allocation, and gives back what is idle now.

    XLA's CPU backend takes all temporary memory of a step at its start (0.2 GiB for pix2pix, 2 GiB
    for CycleGAN at batch 1) and frees it at its end. Mapped anew for every step, each of its pages
    would be cleared at its first use, which takes up to a tenth of the step. Only what the main
    thread takes is kept: other threads' heaps are too small, and glibc maps such memory after all.
    (One heap for all threads would do as well, but they wait for each other in it: the compiler
    takes nearly twice as long.) The price is memory: without `SETTINGS` small pieces send a step to
    another place, several times. See `release_beyond`.

    Call it when a program is compiled: what the compiler takes and frees is best not kept.

    Returns:
        Whether it was done: never without `prepare`.
    """
    global _keeps
    trim()
    if _prepared and not _keeps:
        settings = {MMAP_MAX: 0, TRIM_THRESHOLD: -1}
        _keeps = all(ctypes.CDLL(None).mallopt(*setting) for setting in settings.items())
        _make_places()
    return _keeps


def release_beyond(share: float = 1 / 3, most: float = 1 / 2) -> bool:
    """Gives what is kept and idle to the system, if the process has that share of all memory.

    A step that needs more than the share keeps its memory too, until a quarter has come on top of
    it or the process has the share `most`. Call it after every step; it reads one number where
    there is nothing to do.

    Returns:
        Whether it was done: never where `keep_freed` did nothing.
    """
    global _has_released, _needed
    if not _keeps:
        return False
    resident = _resident()
    if _has_released:
        _needed = resident
    limit = max(share * _memory(), min(1.25 * _needed, most * _memory()))
    _has_released = resident > limit and trim()
    return _has_released


def trim() -> bool:
    """Gives what malloc keeps idle to the system; False if there was nothing, or without glibc."""
    return platform.libc_ver()[0] == "glibc" and bool(ctypes.CDLL(None).malloc_trim(0))


def _make_places():
    """Frees pieces of memory, apart from each other, that malloc gives to what is smaller.

    What stays for longer than a step, and found no such place, would get the beginning of the one
    that a step has just left, and send the next step to another.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    for size, count in PLACES.items():
        for piece in [libc.malloc(size) for _ in range(2 * count)][::2]:
            libc.free(piece)  # the others stay, or all would become one place


def _resident():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@functools.cache
def _memory():
    """Bytes that the machine has, or that the container may have."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in map(pathlib.Path, CONTAINER_LIMITS):
        if file.exists() and (text := file.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def _may_keep():
    return platform.libc_ver()[0] == "glibc" and _only_cpu() and not _has_others_settings()


def _has_others_settings():
    names = {name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"}
    return any(os.environ[name] != SETTINGS.get(name) for name in names)


def _only_cpu():
    if platforms := os.environ.get("JAX_PLATFORMS"):
        return platforms == "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    return not plugins and importlib.util.find_spec("libtpu") is None
