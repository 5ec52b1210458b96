"""Accelerators that programs are compiled for without being there, and what they do at most."""

import pathlib
from typing import NamedTuple

import jax
from jax.experimental import topologies

H200_FACTS = pathlib.Path(__file__).parent / "h200.txtpb"  # as XLA describes a GPU


class Target(NamedTuple):
    """Chips of one kind. Rates are the peaks of the vendor's data sheet."""

    platform: str
    topology: str
    devices: int
    flops: dict[str, float]  # FLOP/s of a chip's matrix units, by the dtype of a config
    memory_rate: float  # bytes/s of a chip's memory
    memory: float  # bytes of it that a program gets
    link_rate: float  # bytes/s that a chip sends to the others, while it receives as many


# https://www.nvidia.com/en-us/data-center/h200/, where the rates with sparsity are twice these.
# JAX multiplies float32 as TF32 unless a higher precision is asked for, and takes three quarters
# of a GPU's memory. NVLink carries 900 GB/s in both directions together.
H200 = Target(
    platform="cuda",
    topology="1x1x1",  # slices, hosts, devices
    devices=1,
    flops={"bfloat16": 989e12, "float32": 494e12},
    memory_rate=4.8e12,
    memory=0.75 * 141e9,
    link_rate=450e9,
)
# https://cloud.google.com/tpu/docs/v5e. JAX multiplies float32 in one pass of bfloat16 there.
# 1,600 Gbit/s over the four links of a chip; 15.75 GiB is what the compiler lets a program have.
V5E = Target(
    platform="tpu",
    topology="v5e:2x2",
    devices=4,
    flops={"bfloat16": 197e12, "float32": 197e12},
    memory_rate=819e9,
    memory=15.75 * 2**30,
    link_rate=200e9,
)
TARGETS = {
    "h200": H200,
    "h200x8": H200._replace(topology="1x1x8", devices=8),
    "v5e-4": V5E,
    "v5e-16": V5E._replace(topology="v5e:4x4", devices=16),
}


def devices(target: Target) -> list[jax.Device]:
    """What can be compiled for; nothing can run there.

    Raises:
        RuntimeError: the compiler for it is not installed.
    """
    if target.platform == "tpu":
        return list(topologies.get_topology_desc(target.topology, "tpu").devices)
    facts = H200_FACTS.read_text()
    described = topologies.get_topology_desc(
        "h200", target.platform, target_config=facts, topology=target.topology
    )
    return list(described.devices)
