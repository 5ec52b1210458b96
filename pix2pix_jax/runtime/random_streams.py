"""Random keys by name and step, so that nothing random is stored and no two purposes share a draw.

A stream is a named purpose of randomness. Its key at a step is a pure function of the seed, the
name and the step: a run resumed at step N draws what the undisturbed one would have drawn.
"""

import zlib

import jax

INITIALISATION = "initialisation"  # of the networks' parameters
DROPOUT = "dropout"
JITTER = "jitter"  # random crops and mirroring
HOLES = "holes"  # inpainting: masks drawn in training
POOL = "pool"  # CycleGAN: which older translations discriminators see
PATCHES = "patches"  # CUT: where features are compared
MIRROR = "mirror"  # CUT: whether the images of a step are translated mirrored
AUGMENT = "augment"  # DiffAugment of what discriminators see
PENALTY = "penalty"  # where the gradient penalty is taken between real and fake


def stream(seed: int, name: str) -> jax.Array:
    """The key of a whole stream."""
    return named(jax.random.key(seed), name)


def at_step(seed: int, name: str, step: jax.Array) -> jax.Array:
    """The key of a stream at a step of training."""
    return jax.random.fold_in(stream(seed, name), step)


def named(key: jax.Array, name: str) -> jax.Array:
    """A key for one of several things of a kind, networks or domains, by its name."""
    # The checksum, for hash() changes from process to process.
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def of_sample(seed: int, sample: jax.Array, index: jax.Array) -> jax.Array:
    """The key of an evaluated image's dropout: of its index and the sample's number alone.

    Samples are counted from 0, and no stream's checksum is that small.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), sample), index)
