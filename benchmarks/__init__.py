"""Timings beside PyTorch; README.md has the results."""

from pix2pix_jax import host_memory

host_memory.keep_freed()  # as launch.py does; what PyTorch gains by it is its own
