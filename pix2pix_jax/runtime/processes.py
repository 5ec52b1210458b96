"""Several processes that train one run together, each with its own devices and share of the data.

All compute the same steps. Only the first process writes to the workdir and prints; the others
write to a temporary folder. All read checkpoints, so all must see the workdir.
"""

import contextlib
import functools
import pathlib
import secrets
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from pix2pix_jax.runtime import host_memory

TOKEN_FILE = ".processes"  # shows, at the start, that all processes see one workdir


def initialize(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Joins the other processes; must come before anything else of JAX.

    Without arguments JAX asks the cluster (TPU pods, Slurm, Open MPI, Kubernetes).

    Raises:
        ValueError: some arguments are missing, or there is no cluster to give them.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise ValueError(
            "--coordinator=HOST:PORT, --num_processes and --process_id must all be given; on a "
            "cluster that JAX knows (TPU pod, Slurm, Open MPI) give --distributed alone"
        )
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except (RuntimeError, ValueError) as error:
        if "coordinator_address should be defined" in str(error):
            raise ValueError(
                "no cluster that JAX knows (TPU pod, Slurm, Open MPI) was found: give "
                "--coordinator=HOST:PORT, --num_processes and --process_id in place of "
                "--distributed"
            ) from error
        raise ValueError(f"the processes could not join: {error}") from error


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return jax.process_index() == 0


def connect(mesh: Mesh) -> None:
    """Opens the connections that sums over all devices need, while all processes are here.

    On CPU the first sum waits 30 s for a late process, later ones as long as it takes; and a
    process that finds its program in the compilation cache is that much ahead of one that compiles.
    """
    if jax.process_count() == 1:
        return
    split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    ones = distribute(np.ones(jax.local_device_count(), np.float32), split)
    total = jax.jit(jnp.sum, out_shardings=NamedSharding(mesh, PartitionSpec()))
    jax.block_until_ready(total(ones))
    from_first({"ready": 1.0})  # and those of broadcasts


def place(tree: Any, sharding: NamedSharding, donated: bool = False) -> Any:
    """Host arrays, the same in every process, as arrays over all devices.

    With `donated` they are copies that a jitted function can write to. On a CPU others share the
    memory of the host arrays, and a donated state would be there twice.
    """
    if donated:
        host_memory.trim()  # of what drawing or reading them has left
    if jax.process_count() == 1:
        if donated:  # in one program, not one for each shape
            return jax.jit(functools.partial(jax.tree.map, jnp.copy), out_shardings=sharding)(tree)
        return jax.device_put(tree, sharding)
    make = lambda x: jax.make_array_from_callback(np.shape(x), sharding, lambda i: np.asarray(x)[i])
    return jax.tree.map(make, tree)


def distribute(tree: Any, sharding: NamedSharding) -> Any:
    """Rows of a batch that this process has, as its part of arrays over all devices."""
    if jax.process_count() == 1:
        return tree  # jit places it
    make = lambda x: jax.make_array_from_process_local_data(sharding, x)
    return jax.tree.map(make, tree)


def send(tree: Any, sharding: NamedSharding) -> Any:
    """`distribute` that starts the copy to the devices at once, while they compute other things."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return distribute(tree, sharding)


def flags(up: bool, steps: int, sharding: NamedSharding) -> jax.Array | None:
    """A flag of this process, up or not, beside a batch; None if there are no other processes."""
    if jax.process_count() == 1:
        return None
    return distribute(np.full((steps, jax.local_device_count()), up, np.float32), sharding)


def local(tree: Any) -> Any:
    """Arrays that every device has whole, as arrays of one of this process's devices."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def from_first(values: dict[str, float]) -> dict[str, float]:
    """Numbers of the first process, for all: no rounding may set the processes apart."""
    if jax.process_count() == 1:
        return values
    names = sorted(values)
    sent = multihost_utils.broadcast_one_to_all(np.array([values[n] for n in names], np.float32))
    return dict(zip(names, sent.tolist(), strict=True))


@contextlib.contextmanager
def folder_to_write(workdir: pathlib.Path) -> Iterator[pathlib.Path]:
    """The workdir for the first process, a folder that is thrown away for the others."""
    if is_first():
        yield workdir
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield pathlib.Path(scratch)


def check_same(name: str, value: int) -> None:
    """Raises OSError unless all processes have the same value."""
    if jax.process_count() == 1:
        return
    values = multihost_utils.process_allgather(np.array(value, np.int32)).tolist()
    if len(set(values)) > 1:
        raise OSError(f"the processes do not see the same {name}, but {values}: start them again")


def check_shared(run: Any, workdir: str) -> None:
    """Checks that all processes see the same workdir.

    Args:
        run: has write, read and remove for small files in it, see `run.run_folder`.
        workdir: what it is called.

    Raises:
        OSError: this one does not.
    """
    if jax.process_count() == 1:
        return
    token = secrets.randbits(31)
    if is_first():
        run.write(TOKEN_FILE, str(token))
    token = int(multihost_utils.broadcast_one_to_all(np.int32(token)))
    seen = run.read(TOKEN_FILE) == str(token)
    all_see = multihost_utils.process_allgather(np.array(seen)).all()
    if is_first():
        run.remove(TOKEN_FILE)
    if not all_see:
        raise OSError(
            f"not all processes see the workdir {workdir}: give one on a disk that they share, or "
            "in object storage"
        )
