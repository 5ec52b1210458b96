"""What is freed stays with the process: the kernel counts the pages that it had to map."""

import os
import platform
import subprocess
import sys

import pytest

from pix2pix_jax.runtime import host_memory

only_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone is told"
)
PROGRAM = """
import resource, sys
from pix2pix_jax.runtime import host_memory
if sys.argv[1] == "keep":
    assert host_memory.prepare() and host_memory.keep_freed()
import jax, jax.numpy as jnp
barrier = jax.lax.optimization_barrier
function = jax.jit(lambda x: barrier(jnp.sin(x)).sum())  # takes 40 MiB for the sines
x = jnp.ones(10 << 20)
for step in range(80):
    if step == 30:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    function(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

RELEASE = """
import pathlib, sys
from pix2pix_jax.runtime import host_memory
host_memory.CONTAINER_LIMITS = [sys.argv[1]]
assert host_memory.prepare() and host_memory.keep_freed()
import numpy as np
def resident():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
places = [np.ones(1 << 25) for _ in range(2)]  # 256 MiB each
del places[0]
kept = resident()
released = host_memory.release_beyond(1)
print(released, kept, resident())
"""

NEEDED = """
import pathlib, sys
from pix2pix_jax.runtime import host_memory
host_memory.CONTAINER_LIMITS = [sys.argv[1]]
assert host_memory.prepare() and host_memory.keep_freed()
import numpy as np
def kept_after(mebibytes):
    np.ones(mebibytes << 17)  # a step, freed at its end
    host_memory.release_beyond()
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS"))
print(*[kept_after(mebibytes) for mebibytes in (600, 600, 600, 950, 600, 600)])
"""

STEPS = """
import ctypes, sys
from pix2pix_jax.runtime import host_memory
if sys.argv[1] == "restart":
    host_memory.restart_with_settings()
host_memory._prepared = True  # without JAX, which would fill the heap with pieces of its own
assert host_memory.keep_freed()
libc, size, place = ctypes.CDLL(None), 1 << 26, ctypes.c_void_p()
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
# A cache that is full, from what ran before, would take no end of a place.
held = [libc.malloc(size) for size in range(16, 1024, 16) for _ in range(10)]
for shift in range(0, 64, 16):  # whether an end is cut off depends on where the heap ends
    held.append(libc.malloc((1 << 20) + shift))
    places = set()
    for step in range(6):
        assert libc.posix_memalign(ctypes.byref(place), 64, size) == 0
        places.add(place.value)
        small = [libc.malloc(size) for size in range(16, 128, 16)]
        for piece in [place, *small]:
            libc.free(piece)
    print(len(places))
"""

STAYING = """
import ctypes, sys
from pix2pix_jax.runtime import host_memory
host_memory.restart_with_settings()
if sys.argv[1] == "without":
    host_memory.PLACES = {}
host_memory._prepared = True
assert host_memory.keep_freed()
libc, place, places = ctypes.CDLL(None), ctypes.c_void_p(), set()
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
for step in range(6):
    assert libc.posix_memalign(ctypes.byref(place), 64, 1 << 26) == 0
    places.add(place.value)
    libc.free(place)
    for size in (100, 5000, 60000, 300000):
        libc.malloc(size)  # stays
print(len(places))
"""


def run(program, argument):
    settings = {"GLIBC_TUNABLES", *(name for name in os.environ if name.startswith("MALLOC_"))}
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    environment["JAX_PLATFORMS"] = "cpu"
    command = [sys.executable, "-c", program, str(argument)]
    return subprocess.run(command, env=environment, check=True, capture_output=True).stdout.split()


def page_faults(argument):
    return int(run(PROGRAM, argument)[0])


@only_glibc
def test_no_page_is_mapped_anew_once_the_first_steps_are_done():
    assert page_faults("keep") < page_faults("default") / 5  # over 50 steps


@only_glibc
@pytest.mark.parametrize("limit", ["300000000\n", "max\n"])
def test_idle_memory_goes_back_where_a_container_is_almost_full(tmp_path, limit):
    file = tmp_path / "memory.max"
    file.write_text(limit)
    released, kept, left = run(RELEASE, file)
    is_full = limit != "max\n"
    assert float(kept) > 512  # MiB: the piece in use and the idle one
    assert float(left) == pytest.approx(float(kept) - (256 if is_full else 0), abs=8)
    assert (released == b"True") == is_full


@only_glibc
def test_a_step_that_needs_more_than_the_share_keeps_its_memory(tmp_path):
    """Of 2,000 MiB: with 600 the process has more than a third, with 950 more than half."""
    file = tmp_path / "memory.max"
    file.write_text(str(2000 << 20))
    kept = [int(mebibytes) > 600 for mebibytes in run(NEEDED, file)]
    assert kept == [False, True, True, False, True, True]


@only_glibc
def test_steps_take_one_place_after_the_restart():
    assert {int(places) for places in run(STEPS, "restart")} == {1}
    assert max(int(places) for places in run(STEPS, "none")) > 1


@only_glibc
def test_what_stays_between_steps_is_not_in_their_place():
    assert int(run(STAYING, "with")[0]) == 1
    assert int(run(STAYING, "without")[0]) > 1


@only_glibc
def test_a_program_that_runs_this_one_is_not_restarted(monkeypatch):
    """As in IPython, where `%run launch.py` is not what Python was started with."""
    monkeypatch.setattr(host_memory, "_may_keep", lambda: True)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(sys, "argv", ["launch.py"])
    restarts = []
    monkeypatch.setattr(os, "execv", lambda *command: restarts.append(command))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "ipykernel_launcher"])
    host_memory.restart_with_settings()
    assert not restarts
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "launch.py"])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    host_memory.restart_with_settings()
    assert restarts == [(sys.executable, [sys.executable, "-X", "dev", "launch.py"])]


def test_machines_with_an_accelerator_are_left_alone(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    assert not host_memory.prepare()


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_ones_own_are_left_alone(monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert not host_memory.prepare()


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not host_memory.prepare()
