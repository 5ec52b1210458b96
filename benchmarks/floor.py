"""The least time that a device needs for some work: its multiplications, or its memory traffic."""

import resource
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch
from torch.utils.flop_counter import FlopCounterMode

REPEATS = 7


def flops(run: Callable[[], None]) -> int:
    """Floating-point operations of PyTorch's convolutions in one call, two for a multiplication."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def nbytes(*trees: object) -> int:
    """Bytes of all arrays."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(trees))


def rates(dtype: str) -> tuple[float, float]:
    """(FLOP/s of a large matrix product, bytes/s of a large sum) that JAX reaches here."""
    on_cpu = jax.default_backend() == "cpu"
    n, megabytes = (2048, 256) if on_cpu else (8192, 4096)
    a = jnp.ones((n, n), dtype)
    x = jnp.ones(megabytes * 2**18, jnp.float32)
    product, increment = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1, donate_argnums=0)

    def add():
        nonlocal x
        x = increment(x)
        return x

    return 2 * n**3 / _seconds(lambda: product(a, a)), 2 * x.nbytes / _seconds(add)


def _seconds(run):
    """The shortest, after one call that compiles: other work on the machine makes no floor."""
    seconds = []
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def peak_memory(ours: bool) -> int:
    """Most bytes that the process took: on an accelerator, or in all (with what compiling took)."""
    if ours and (stats := jax.local_devices()[0].memory_stats()):
        return stats["peak_bytes_in_use"]
    if not ours and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
