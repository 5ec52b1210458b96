"""Spectral normalization: a kernel divided by its largest singular value (Miyato et al. 2018).

As torch.nn.utils.spectral_norm computes it: one power iteration at each call in training.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

HIGHEST = jax.lax.Precision.HIGHEST  # GPUs and TPUs would round to fewer bits


def normalize(module: nn.Module, kernel: jax.Array) -> jax.Array:
    """The kernel [K, K, I, O] of `module` over its largest singular value, as [K * K * I, O].

    The iterated vector "u" [O], which approaches the right singular vector, is among the
    module's batch statistics. Gradients take it as a constant.
    """

    def random_unit_vector():
        return _unit(jax.random.normal(module.make_rng("params"), kernel.shape[-1:]))

    matrix = kernel.reshape(-1, kernel.shape[-1])
    u = module.variable("batch_stats", "u", random_unit_vector)
    sigma, iterated = largest_singular_value(matrix, u.value)
    if not module.is_initializing():
        u.value = iterated
    return kernel / sigma


def largest_singular_value(matrix: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """That of a matrix [M, O] after one power iteration from u [O] (algorithm 1), and u after it.

    Only the value has a gradient, in the matrix.
    """
    constant = jax.lax.stop_gradient(matrix)
    v = _unit(_product(constant, u))
    u = _unit(_product(v, constant))
    return _product(_product(v, matrix), u), u


def _product(a, b):
    return jnp.matmul(a, b, precision=HIGHEST)


def _unit(vector):
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
