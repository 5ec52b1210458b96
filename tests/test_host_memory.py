"""What is freed stays with the process: the kernel counts the pages that it had to map."""

import os
import platform
import subprocess
import sys

import pytest

from pix2pix_jax import host_memory

PROGRAM = """
import resource, sys
from pix2pix_jax import host_memory
if sys.argv[1] == "keep":
    assert host_memory.keep_freed()
import jax, jax.numpy as jnp
barrier = jax.lax.optimization_barrier
function = jax.jit(lambda x: barrier(jnp.sin(x)).sum())  # takes 64 MiB for the sines
x = jnp.ones(1 << 24)
for step in range(80):
    if step == 30:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    function(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(argument):
    settings = {"GLIBC_TUNABLES", *(name for name in os.environ if name.startswith("MALLOC_"))}
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    environment["JAX_PLATFORMS"] = "cpu"
    command = [sys.executable, "-c", PROGRAM, argument]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone is told")
def test_no_page_is_mapped_anew_once_the_first_steps_are_done():
    assert page_faults("keep") < page_faults("default") / 5  # over 50 steps


def test_machines_with_an_accelerator_are_left_alone(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda,cpu")
    assert not host_memory.keep_freed()


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_ones_own_are_left_alone(monkeypatch, name):
    monkeypatch.setenv(name, "")
    assert not host_memory.keep_freed()


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not host_memory.keep_freed()
